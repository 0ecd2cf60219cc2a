"""What was found before for keys that come again and again."""

from __future__ import annotations

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Known(dict[K, V]):
    """A dictionary of at most `most` entries: when it is full it begins anew."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def keep(self, key: K, value: V) -> None:
        """Remember a value."""
        if len(self) >= self.most:
            self.clear()
        self[key] = value


__all__ = ["Known"]
