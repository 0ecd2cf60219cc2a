"""Calls of a version before it takes requests.

They compile what requests will need, so that none waits for it, and they show whether rows that are
computed together have the bits of rows computed alone; only then requests are batched.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from argand.base.dim import Dim
from argand.export.samples import Sample
from argand.export.traced import TracedSignature
from argand.serve.padding_trials import DISCRETE, PaddingTrials, same_bits
from argand.serve.signature import ServedSignature
from argand.tensor.core import Tensor

SECONDS: Final = 2.0
"""How long sizes are compared, beyond the first and the largest."""

_ROWS: Final = (2, 3, 4, 5, 7, 8, 12, 16, 31, 32)
_GUESSES: Final = (8, 32, 64, 224, 320)  # sizes that networks take where a file says nothing


class Trials:
    """The trial calls of a signature; `samples` are those of the file."""

    def __init__(self, served: ServedSignature, samples: Sequence[Sample] = ()) -> None:
        self.served = served
        self.samples = [s for s in samples if s.signature == served.name]
        self.guess = _GUESSES[0]
        self._random = np.random.default_rng(0)

    # -- inputs --------------------------------------------------------------------------------

    def inputs(self, rows: int, lengths: Mapping[str, int]) -> list[np.ndarray]:
        """Inputs of these sizes: floats are drawn, other values are taken from samples, or drawn
        from 0 to the largest there; without samples from 0 and 1, which indices and masks may
        be."""
        sizes = {**lengths, **({self.served.rows: rows} if self.served.rows else {})}
        return [
            self._array(i, spec, self._shape(info, rows, sizes))
            for i, (spec, info) in enumerate(
                zip(self.served.inputs, self.served.signature.inputs, strict=True)
            )
        ]

    def _shape(self, info: Any, rows: int, sizes: Mapping[str, int]) -> tuple[int, ...]:
        if info.shape is None:
            raise ValueError(f"the rank of {info.name} is not known")
        found = []
        for d, size in enumerate(info.shape):
            if isinstance(size, Dim):
                found.append(size.evaluate(sizes))
            elif isinstance(size, int):
                found.append(size)
            else:
                first = rows if d == 0 and self.served.batched else self.guess
                found.append(sizes.get(str(size), first))
        return tuple(found)

    def _array(self, i: int, spec: Any, shape: tuple[int, ...]) -> np.ndarray:
        if spec.dtype is None:
            raise ValueError(f"the dtype of {spec.name} is not known")
        dtype = spec.dtype.numpy
        if spec.dtype.is_floating_point or spec.dtype.is_complex:
            return self._random.standard_normal(shape).astype(dtype)
        for sample in self.samples:
            given = sample.inputs[i]
            array = given.numpy_array() if isinstance(given, Tensor) else np.asarray(given)
            if array.shape[1:] == shape[1:] and len(array) and array.ndim == len(shape):
                return np.asarray(array[self._random.integers(0, len(array), shape[0])])
        return self._random.integers(0, self._most_index(i) + 1, shape).astype(dtype)

    def _most_index(self, i: int) -> int:
        """The largest value that samples have for an input of integers; 1 at least."""
        found = [1]
        for sample in self.samples:
            array = np.asarray(sample.inputs[i])
            if array.dtype.kind in "iu" and array.size:
                found.append(int(array.max()))
        return max(found)

    def usual(self) -> Mapping[str, int]:
        """Usual sizes of what varies but the rows."""
        return next(self._lengths())

    def _lengths(self) -> Iterator[dict[str, int]]:
        """Sizes for the symbols but that of the rows: the usual ones first, then 1, for which a
        program is compiled for itself."""
        names = {
            n: r for n, r in self.served.ranges.items() if n != self.served.rows and r.max != r.min
        }
        usual = {n: _usual(r, self.guess) for n, r in names.items()}
        yield usual
        if len(names) <= 2:
            choices = [sorted({1, u} if names[n].min <= 1 else {u}) for n, u in usual.items()]
            for sizes in itertools.product(*choices):
                found = dict(zip(names, sizes, strict=True))
                if found != usual:
                    yield found

    # -- calls ---------------------------------------------------------------------------------

    def run(self, most: int, compare: bool = True) -> None:
        """Make the calls, those that `compare` bits too. `served.batched` and `served.reason` say
        afterwards whether requests are batched, up to `most` rows, and why they are not."""
        served = self.served
        if not served.is_pure:
            return  # samples put back the state, other calls would not
        try:
            self._first_calls(most)
            if compare and served.batched and most > 1:
                self._compare(most)
                PaddingTrials(served, self).run()
        except Exception as error:
            served.stop_batching(
                "no trial call could be made, so it is not known whether rows have the same bits "
                f"batched as alone; save the program with samples. {type(error).__name__}: {error}"
            )

    def _first_calls(self, most: int) -> None:
        """Calls of many rows, of one, and with each other size usual or 1."""
        error: Exception | None = None
        for guess in _GUESSES if self._has_unknown_sizes() else _GUESSES[:1]:
            self.guess = guess
            try:
                self._call(2, self.usual())
                break
            except Exception as e:
                error = e
        else:
            assert error is not None
            raise error
        if isinstance(self.served.signature, TracedSignature):
            self._other_sizes(most)
        for i, lengths in enumerate(self._lengths()):
            for rows in (self._allowed((1, 2), most)) if self.served.batched else (1,):
                try:
                    self._call(rows, lengths)
                except Exception:
                    if not i:
                        raise

    def _other_sizes(self, most: int) -> None:
        """The calls after which a signature that is traced has programs for all sizes."""
        usual = self.guess
        for guess in (usual, usual * 2) if self._has_unknown_sizes() else (usual,):
            self.guess = guess
            for rows in self._allowed((2, 3, 4, 1), most):
                self._call(rows, {})
        self.guess = usual

    def _has_unknown_sizes(self) -> bool:
        shapes = [x.shape or () for x in self.served.signature.inputs]
        return any(not isinstance(s, int) for shape in shapes for s in shape[1:])

    def _allowed(self, sizes: Sequence[int], most: int) -> list[int]:
        limits = self.served.ranges.get(self.served.rows or "")
        least = 0 if limits is None else limits.min
        return [n for n in sizes if least <= n <= most]

    def _call(self, rows: int, lengths: Mapping[str, int]) -> list[Any]:
        return self.served.run(self.inputs(rows, lengths))

    # -- the bits of rows ----------------------------------------------------------------------

    def _compare(self, most: int) -> None:
        """Stop batching where a row of a batch has other bits than alone."""
        most = min(most, 64)
        x = self.inputs(most, self.usual())
        least = (self._allowed((1, *_ROWS), most) or [most])[0]
        reason = self._different(x, least) or self._hostile(x, least)
        if reason is not None:
            self.served.stop_batching(reason)

    def _different(self, x: Sequence[np.ndarray], least: int) -> str | None:
        """Where a row of a batch of some size has other bits than in the smallest one."""
        started, most = time.perf_counter(), len(x[0])
        alone: dict[int, list[Any]] = {}
        for rows in dict.fromkeys([most, 2, *_ROWS]):
            if rows > most or rows <= least:
                continue
            if len(alone) > 2 and time.perf_counter() - started > SECONDS:
                return None
            together = self.served.run([a[:rows] for a in x])
            for row in sorted({0, rows // 2, rows - least}):
                if row not in alone:
                    alone[row] = self.served.run([a[row : row + least] for a in x])
                if not same_bits([o[row : row + least] for o in together], alone[row]):
                    return f"row {row} of a batch of {rows} has other bits than computed alone"
        return None

    def _hostile(self, x: Sequence[np.ndarray], least: int) -> str | None:
        """Whether NaN or infinity in a row changes another."""
        if len(x[0]) < 2 * least or all(a.dtype.kind in DISCRETE for a in x):
            return None
        alone = self.served.run([a[least : 2 * least] for a in x])
        for value in (np.nan, np.inf):
            given = [a[: 2 * least].copy() for a in x]
            for a in given:
                if a.dtype.kind not in DISCRETE:
                    a[:least] = value
            if not same_bits([o[least:] for o in self.served.run(given)], alone):
                return f"{value} in a row of a batch changes the bits of another"
        return None


def _usual(limits: Any, guess: int) -> int:
    """A size that a symbol may have, the one that the program was traced with where it is known."""
    example: int = guess if limits.example is None else limits.example
    most: int = example if limits.max is None else min(example, limits.max)
    return max(most, int(limits.min))


__all__ = ["SECONDS", "Trials"]
