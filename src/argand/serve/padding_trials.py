"""Calls that show whether padded requests have the bits that they have alone.

A network may add up, average or attend to what was appended in spite of what its card declares, or
follow the length in other ways; and a kernel may cut a long sum where that depends on its length.
So batches of different sizes are compared with their requests alone, for values of several kinds,
from small sizes up to the largest. What lies beyond is not padded.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np

from argand.serve.padding import LEAST, Padding
from argand.serve.signature import ServedSignature

SECONDS: Final = 4.0
"""After how long no larger sizes are tried."""

ELEMENTS: Final = 1 << 23
"""The most elements of inputs that are tried at once."""

DISCRETE: Final = "biuOSU"
"""Kinds of dtypes without NaN."""

_SIZES: Final = (3, 4, 5, 8, 11, 16, 23, 32, 47, 64, 95, 128, 191, 256, 383, 512, 767, 1024, 2048)
_UNBOUNDED: Final = 512  # up to which sizes are tried where the file says no largest one
_DRAWS: Final = 50


class Draws(Protocol):
    """Makes inputs."""

    def inputs(self, rows: int, lengths: Mapping[str, int]) -> list[np.ndarray]:
        """Inputs of these sizes."""
        ...

    def usual(self) -> Mapping[str, int]:
        """Usual sizes of what varies but the rows."""
        ...


class PaddingTrials:
    """The calls for a signature of which padding is declared."""

    def __init__(self, served: ServedSignature, draws: Draws) -> None:
        self.served = served
        self._draws = draws
        self._random = np.random.default_rng(0)

    def run(self) -> None:
        """Let sizes be padded up to those for which it makes no difference, or not at all."""
        padding = self.served.padding
        if padding is None:
            return
        started = time.perf_counter()
        largest: dict[str, int] = {}
        for size in _SIZES:
            sizes = {name: self._within(name, size) for name in padding.names}
            if sizes == largest:
                continue
            if time.perf_counter() - started > SECONDS:
                break
            try:
                own = self._sizes(padding, sizes)
                requests = [self._request(padding, s, kind) for kind, s in enumerate(own)]
                if largest and sum(a.size for r in requests for a in r) > ELEMENTS:
                    break
                difference = self._difference(padding, requests, own)
            except Exception as error:  # a size that the network doesn't take, say
                if not largest:
                    self.served.stop_padding(
                        f"no padded call could be made: {type(error).__name__}: {error}"
                    )
                    return
                break
            if difference is not None:
                self.served.stop_padding(difference)
                return
            largest = sizes
        padding.limit(largest)

    def _within(self, name: str, size: int) -> int:
        """A size that the signature allows."""
        limits = self.served.ranges.get(name)
        if limits is None:
            return min(size, _UNBOUNDED)
        most = _UNBOUNDED if limits.max is None else limits.max
        return max(min(size, most), limits.min)

    def _sizes(self, padding: Padding, largest: Mapping[str, int]) -> list[dict[str, int]]:
        """The sizes of the requests of a batch that is padded to some sizes."""
        least = self._least(padding, largest)
        between = [self._between(least, largest) for _ in range(2)]
        return [dict(largest), least, *between]

    def _difference(
        self,
        padding: Padding,
        requests: Sequence[Sequence[np.ndarray]],
        sizes: Sequence[Mapping[str, int]],
    ) -> str | None:
        """Where a request of a padded batch, whose first is the largest, has other bits than
        alone."""
        rows = len(requests[0][0])
        together = self.served.run(padding.together(requests, sizes))
        for i, (own, request) in enumerate(zip(sizes, requests, strict=True)):
            found = padding.cut(together, slice(i * rows, (i + 1) * rows), own)
            if not same_bits(found, self.served.run(request)):
                text = ", ".join(f"{n} {own[n]} to {sizes[0][n]}" for n in padding.names)
                return f"a request that is padded ({text}) has other bits than computed alone"
        return None

    def _least(self, padding: Padding, largest: Mapping[str, int]) -> dict[str, int]:
        """The least sizes that are padded to these; smaller by 1 at least, if they may be."""
        found = {}
        for name, size in largest.items():
            share = min(size - 1, math.ceil(size * (1 - padding.share)))
            found[name] = max(self._within(name, share), min(LEAST, size))
        return found

    def _between(self, least: Mapping[str, int], largest: Mapping[str, int]) -> dict[str, int]:
        return {n: int(self._random.integers(least[n], largest[n] + 1)) for n in largest}

    def _request(self, padding: Padding, sizes: Mapping[str, int], kind: int) -> list[np.ndarray]:
        """Inputs of one request that may be padded: with infinities and NaN, as they are drawn, or
        with large values."""
        given = {**self._draws.usual(), **sizes}
        limits = self.served.ranges.get(self.served.rows or "")
        rows = max(1, 1 if limits is None else limits.min)
        for _ in range(_DRAWS):
            arrays = self._draws.inputs(rows, given)
            if padding.is_plain(arrays):
                break
        return [self._hostile(a, kind) for a in arrays]

    def _hostile(self, array: np.ndarray, kind: int) -> np.ndarray:
        if array.dtype.kind in DISCRETE or not array.size:
            return array
        array = array.copy()
        if kind == 2:
            array *= array.dtype.type(100 if array.itemsize == 2 else 1e4)
        elif kind in (0, 3):
            places = self._random.integers(0, array.size, 2)
            array.reshape(-1)[places] = np.nan if kind == 3 else np.inf
        return array


def same_bits(found: Sequence[Any], expected: Sequence[Any]) -> bool:
    """Whether arrays have the same shapes and bits."""
    return all(
        a.shape == b.shape and a.tobytes() == b.tobytes()
        for a, b in zip(found, expected, strict=True)
    )


__all__ = ["DISCRETE", "ELEMENTS", "SECONDS", "PaddingTrials", "same_bits"]
