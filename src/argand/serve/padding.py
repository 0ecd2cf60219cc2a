"""Requests of different sizes in one batch: inputs are padded, outputs are cut.

Which sizes, and by what values, an archive's card or the options say (`export.padded`). Sizes are
put together that are in one *bucket*: from s to s / (1 - share), so that a request is never padded
by more than that share. Trial calls (`padding_trials`) find out whether a padded request has the
bits that it has alone, and up to which sizes; there is no padding beyond.

Never padded are sizes of 0 and 1, for which a program may be another one, and rows that have
nothing but the value of padding, such as a mask without any token: what attends to nothing may well
attend to all, as many as there are. Nor are integers below 0, which masks may take for less than
padding; trial calls have none.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from argand.base.dim import Dim
from argand.export.padded import axes_of

Sizes = Mapping[str, int]

LEAST: Final = 2
"""The least size that is padded."""


class Padding:
    """How the requests of one signature are padded.

    Args:
        values: by the names of sizes, the values for the inputs by their names.
        inputs, outputs: what the signature says of them.
        share: the largest share of an input that may be padding.

    Raises ValueError where an output has a size that may depend on a padded one in a way that is
    not known.
    """

    def __init__(
        self,
        values: Mapping[str, Mapping[str, Any]],
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        share: float,
    ) -> None:
        self.names = tuple(values)
        self.share = 1 - (1 - share) ** (1 / max(len(values), 1))  # of one size
        self._inputs = [
            [(d, name, values[name][x.name]) for name in values for d in axes_of(x.shape, name)]
            for x in inputs
        ]
        known = {str(s) for x in inputs for s in x.shape or () if not isinstance(s, int)}
        self._outputs = [_cuts(x, self.names, known) for x in outputs]
        self._buckets: dict[str, list[int]] = {}
        self.limit(dict.fromkeys(values, 0))

    # -- which requests go together ------------------------------------------------------------

    def limit(self, largest: Sizes) -> None:
        """Pad up to these sizes only."""
        self.largest = dict(largest)
        self._buckets = {name: self._bounds(most) for name, most in largest.items()}

    def _bounds(self, most: int) -> list[int]:
        """The largest sizes of the buckets, ascending."""
        found, least = [], LEAST
        while least <= most:
            found.append(min(most, int(least / (1 - self.share) + 1e-9)))
            least = found[-1] + 1
        return found

    def key(self, arrays: Sequence[Any], sizes: Sizes) -> tuple[Any, ...]:
        """What requests of one batch have in common: the sizes of their inputs but for the rows,
        and of those that are padded the bucket."""
        if self.is_plain(arrays):
            buckets = {name: self._bucket(name, sizes[name]) for name in self.names}
        else:
            buckets = {name: -sizes[name] for name in self.names}
        rest = [
            tuple([s for d, s in enumerate(a.shape) if d and all(d != p[0] for p in padded)])
            for a, padded in zip(arrays, self._inputs, strict=True)
        ]
        return (*buckets.values(), *rest)

    def _bucket(self, name: str, size: int) -> int:
        """The largest size of the bucket; below 0 for a size that is not padded."""
        if not LEAST <= size <= self.largest[name]:
            return -size
        bounds = self._buckets[name]
        return bounds[bisect.bisect_left(bounds, size)]

    def is_plain(self, arrays: Sequence[Any]) -> bool:
        """Whether each row of each padded input has something that is not padding, and no integer
        is below 0."""
        for array, padded in zip(arrays, self._inputs, strict=True):
            for axis, _, value in padded:
                if not array.size or (array.dtype.kind == "i" and array.min() < min(0, value)):
                    return False
                if len(array) == 1 and array.item(0) != value:
                    continue  # the usual case
                first = _flat(array.take(0, axis)) == value
                if first.all(1).any() and (_flat(array) == value).all(1).any():
                    return False
        return True

    # -- batches -------------------------------------------------------------------------------

    def lengths(self, sizes: Sizes) -> tuple[int, ...]:
        """The sizes of a request that are padded, in order."""
        return tuple([sizes[name] for name in self.names])

    def together(self, requests: Sequence[Sequence[Any]], sizes: Sequence[Sizes]) -> list[Any]:
        """The inputs of a batch: the rows of requests, padded to the largest sizes among them."""
        largest = {name: max(s[name] for s in sizes) for name in self.names}
        return [
            _padded(parts, {axis: (largest[name], value) for axis, name, value in padded})
            for parts, padded in zip(zip(*requests, strict=True), self._inputs, strict=True)
        ]

    def cut(self, outputs: Sequence[Any], rows: slice, sizes: Sizes) -> list[Any]:
        """The outputs of one request of a batch that has these rows and sizes."""
        return [_cut(o, rows, c, sizes) for o, c in zip(outputs, self._outputs, strict=True)]


def _cuts(x: Any, names: Sequence[str], known: set[str]) -> list[tuple[int, str | Dim]]:
    """The dimensions of an output that follow padded sizes, with what they are."""
    if x.shape is None:
        raise ValueError(f"the file doesn't say which sizes the output {x.name!r} has")
    found: list[tuple[int, str | Dim]] = []
    for d, size in enumerate(x.shape):
        if isinstance(size, Dim):
            if not size.symbols().keys().isdisjoint(names):
                found.append((d, size))
        elif not isinstance(size, int):
            if d and str(size) not in known:
                raise ValueError(
                    f"the file doesn't say what the size {size} of the output {x.name!r} is"
                )
            if str(size) in names:
                found.append((d, str(size)))
    return found


def _cut(output: Any, rows: slice, cuts: Sequence[tuple[int, str | Dim]], sizes: Sizes) -> Any:
    """The rows of an output, as large as they are for these sizes."""
    index = [rows] + [slice(None)] * (output.ndim - 1)
    for d, size in cuts:
        index[d] = slice(0, size.evaluate(sizes) if isinstance(size, Dim) else sizes[size])
    found = output[tuple(index)]
    return np.ascontiguousarray(found) if cuts else found


def _padded(parts: Sequence[Any], largest: Mapping[int, tuple[int, Any]]) -> Any:
    """The rows of arrays one after the other, in one that has the largest size in some dimensions,
    filled up with a value for each."""
    shape = [sum(map(len, parts)), *parts[0].shape[1:]]
    for axis, (size, _) in largest.items():
        shape[axis] = size
    made = np.empty(shape, parts[0].dtype)
    start = 0
    for part in parts:
        rows = made[start : start + len(part)]
        for axis, (_, value) in largest.items():
            rows[(slice(None),) * axis + (slice(part.shape[axis], None),)] = value
        rows[tuple(map(slice, part.shape))] = part
        start += len(part)
    return made


def _flat(array: Any) -> Any:
    return array.reshape(len(array), -1)


__all__ = ["LEAST", "Padding", "Sizes"]
