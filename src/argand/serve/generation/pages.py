"""The pool of pages that all sequences of a model share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from argand.serve.generation.layout import Layout


class Pool:
    """Pages of keys and values; a page is free, or held by sequences and by the store of prefixes.

    Page 0 is never given out: it is zeros, and fills tables up. A page is zeroed when it is taken,
    so nothing of an earlier sequence reaches a later one.
    """

    def __init__(self, layout: Layout, pages: int, dtype: np.dtype) -> None:
        shape = (layout.layers, pages + 1, layout.page, layout.heads, layout.width)
        self.layout = layout
        self.count = pages
        self.keys = np.zeros(shape, dtype)
        self.values = np.zeros(shape, dtype)
        self._free = list(range(pages, 0, -1))
        self._holders = [0] * (pages + 1)
        self._prefixes: OrderedDict[bytes, list[int]] = OrderedDict()  # the latest used last

    @property
    def free(self) -> int:
        """How many pages nobody holds."""
        return len(self._free)

    @property
    def stored(self) -> int:
        """How many pages only the store of prefixes holds; they are given out when needed."""
        return sum(self._holders[p] == 1 for pages in self._prefixes.values() for p in pages)

    @property
    def used(self) -> int:
        """How many pages sequences hold."""
        return self.count - self.free - self.stored

    def take(self, count: int) -> list[int] | None:
        """So many pages of zeros, or None where there are not as many."""
        while len(self._free) < count and self._forget():
            pass
        if len(self._free) < count:
            return None
        found = [self._free.pop() for _ in range(count)]
        for page in found:
            self._holders[page] = 1
        if found:
            self.keys[:, found] = 0
            self.values[:, found] = 0
        return found

    def release(self, pages: Sequence[int]) -> None:
        """Let go of pages that a sequence held."""
        for page in pages:
            self._holders[page] -= 1
            if not self._holders[page]:
                self._free.append(page)

    def write(self, pages: Sequence[int], start: int, keys: np.ndarray, values: np.ndarray) -> None:
        """Store new keys and values (layers, tokens, heads, width) from the position `start` on."""
        places = np.arange(start, start + keys.shape[1])
        self.put(np.asarray(pages)[places // self.layout.page], places, keys, values)

    def put(
        self, pages: np.ndarray, positions: np.ndarray, keys: np.ndarray, values: np.ndarray
    ) -> None:
        """Store new keys and values (layers, tokens, heads, width), each in its page."""
        places = positions % self.layout.page
        self.keys[:, pages, places] = keys
        self.values[:, pages, places] = values

    # -- prefixes ------------------------------------------------------------------------------

    def keep(self, key: bytes, pages: Sequence[int]) -> None:
        """Store the pages of a whole chunk, which are not written again, under its prefix."""
        if key in self._prefixes:
            return
        self._prefixes[key] = list(pages)
        for page in pages:
            self._holders[page] += 1

    def find(self, key: bytes) -> list[int] | None:
        """The pages of a chunk, held once more, where they are stored."""
        pages = self._prefixes.get(key)
        if pages is None:
            return None
        self._prefixes.move_to_end(key)
        for page in pages:
            self._holders[page] += 1
        return list(pages)

    def _forget(self) -> bool:
        """Let go of the stored chunk that was used longest ago and that no sequence holds."""
        for key, pages in self._prefixes.items():
            if all(self._holders[p] == 1 for p in pages):
                del self._prefixes[key]
                self.release(pages)
                return True
        return False


__all__ = ["Pool"]
