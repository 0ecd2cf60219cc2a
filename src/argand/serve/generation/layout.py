"""The convention for archives of language models: two signatures over pages of keys and values.

The keys and values of earlier tokens lie in pages, arrays of the server's that all requests share:
``keys`` and ``values`` (layers, pool, page, heads, width). A sequence's *table* names its pages in
order; page 0 is always zeros, and fills tables up. Both signatures read pages and give back the
keys and values of the tokens that they were given, for the server to store:

* ``prefill(tokens: i64(1, chunk), start: i64(1), table: i64(1, pages), wanted: i64(wanted), keys,
  values)``: a piece of one prompt that begins at the position `start`; `logits` (wanted,
  vocabulary) of the tokens whose numbers are `wanted`, `new_keys` and `new_values` (layers, 1,
  chunk, heads, width).
* ``decode(tokens: i64(rows, 1), start: i64(rows), table: i64(rows, pages), keys, values)``: the
  next token of each of several sequences; `logits` (rows, vocabulary), `new_keys` and
  `new_values` (layers, rows, 1, heads, width).

All sizes that vary are 2 at least, so that there is one program for each signature. The card's
field ``generation`` has the rest; see `Layout`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from argand.base.errors import ArgumentError, did_you_mean
from argand.export.card import TOKENIZERS

PREFILL, DECODE = "prefill", "decode"
CARD = "generation"
LEAST = 2
"""The smallest size of chunks, tables and rows."""

ROLES = {
    "system": "{content}\n",
    "user": "User: {content}\n",
    "assistant": "Assistant: {content}\n",
    "prompt": "Assistant:",
}
"""What stands for a message of each role, and what the answer follows, unless the card says it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a language model's archive is to be used, as its card says.

    Args:
        layers, heads, width: of the keys and values.
        page: the tokens of a page.
        chunk: the tokens of a prompt that one call takes; a multiple of `page`.
        context: the most tokens of a sequence.
        tokenizer: the asset with the vocabulary; requests give token ids without it.
        type: what the asset is; see `ag.export.card.text`.
        unknown: the token for what the vocabulary lacks.
        start: token ids before every prompt that is a text.
        stop: token ids that end a text.
        roles: for chats, what stands for a message of each role, with ``{content}`` in it, and
            under "prompt" what the answer follows.
        stop_texts: what ends an answer in a chat besides.
    """

    layers: int
    heads: int
    width: int
    page: int
    chunk: int
    context: int
    tokenizer: str | None = None
    type: str = "tokenizers"
    unknown: str = "[UNK]"
    start: tuple[int, ...] = ()
    stop: tuple[int, ...] = ()
    roles: Mapping[str, str] = field(default_factory=lambda: dict(ROLES))
    stop_texts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("layers", "heads", "width", "page", "chunk", "context"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ArgumentError(f"card.{CARD}.{name}: an int above 0, got {value!r:.40}")
        if self.chunk % self.page or self.chunk < LEAST:
            raise ArgumentError(
                f"card.{CARD}.chunk: a multiple of page ({self.page}), got {self.chunk}"
            )
        if self.type not in TOKENIZERS:
            raise ArgumentError(f"card.{CARD}.type: one of {', '.join(TOKENIZERS)}")

    def pages_for(self, tokens: int) -> int:
        """How many pages hold so many tokens."""
        return -(-tokens // self.page)

    def table_size(self, tokens: int) -> int:
        """The length of a table for so many tokens: a power of two. It depends on nothing else, so
        a sequence's bits don't depend on those that it is computed with."""
        return max(LEAST, 1 << (self.pages_for(tokens) - 1).bit_length())

    def fields(self) -> dict[str, Any]:
        """As JSON, for a card."""
        return {
            f.name: _plain(getattr(self, f.name))
            for f in dataclasses.fields(self)
            if getattr(self, f.name) != f.default
        }


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def layout_of(card: Mapping[str, Any]) -> Layout | None:
    """What a card says of generation; None where it says nothing.

    Raises ArgumentError, which names the field that is wrong.
    """
    given = card.get(CARD)
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise ArgumentError(f"card.{CARD}: expected fields, got {given!r:.60}")
    known = {f.name: f for f in dataclasses.fields(Layout)}
    for name in given:
        if name not in known:
            raise ArgumentError(f"card.{CARD}.{name}: no such field{did_you_mean(name, known)}")
    for name in ("layers", "heads", "width", "page", "chunk", "context"):
        if name not in given:
            raise ArgumentError(f"card.{CARD}.{name} is missing")
    return Layout(**{name: _typed(name, value) for name, value in given.items()})


def _typed(name: str, value: Any) -> Any:
    """A value of JSON as a field has it."""
    kind = _LISTS.get(name)
    if kind is not None:
        if isinstance(value, list | tuple) and all(type(x) is kind for x in value):
            return tuple(value)
        raise ArgumentError(f"card.{CARD}.{name}: a list of {kind.__name__}s, got {value!r:.60}")
    if name == "roles":
        if isinstance(value, Mapping) and all(isinstance(x, str) for x in value.values()):
            return dict(value)
        raise ArgumentError(f"card.{CARD}.roles: texts by role, got {value!r:.60}")
    if name in ("type", "unknown", "tokenizer") and not isinstance(value, str):
        raise ArgumentError(f"card.{CARD}.{name}: a string, got {value!r:.60}")
    return value


_LISTS: dict[str, type] = {"start": int, "stop": int, "stop_texts": str}

__all__ = ["CARD", "DECODE", "LEAST", "PREFILL", "ROLES", "Layout", "layout_of"]
