"""Heads of requests that were read before: a client sends the same one again and again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from argand.serve.http.known import Known

END: Final = b"\r\n\r\n"
_KEPT = 512
_LONGEST = 1024  # bytes


class Head(NamedTuple):
    """What the lines before a body say: of HTTP/1.1, of a body of `length` bytes that comes at
    once, over a connection that stays open."""

    method: str
    path: str
    query: str
    headers: Mapping[bytes, bytes]
    length: int


class Heads:
    """What the parser has read in heads, by their bytes, of which few and short ones are kept."""

    def __init__(self) -> None:
        self._known: Known[bytes, Head] = Known(_KEPT)

    def find(self, text: bytes) -> Head | None:
        """What a head says that was read before."""
        return self._known.get(text)

    def keep(self, text: bytes, head: Head) -> None:
        """Remember what a head says."""
        if len(text) > _LONGEST or b"expect" in head.headers or b"upgrade" in head.headers:
            return
        self._known.keep(text, head)


__all__ = ["END", "Head", "Heads"]
