"""Samples: inputs with the outputs that they gave, kept in an archive so that it can be checked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import numpy as np

from argand.base.dtype import DType
from argand.base.errors import FormatError, LoopLimitError
from argand.base.settings import settings
from argand.export.pairs import as_pairs, from_pairs, needs_pairs
from argand.export.program import ExportedProgram
from argand.export.signature import Signature, TensorInfo
from argand.io.safetensors import contents
from argand.tensor.core import Tensor, wrap
from argand.transform.mode import no_grad

_LARGEST = 64 << 20
_MOST_ROUNDS = 10_000  # of a loop: there may be no sample whose loop ends


class Sample(NamedTuple):
    """The inputs of a signature in order, and the outputs that they gave."""

    signature: str
    inputs: list[Any]
    outputs: list[np.ndarray]
    state: dict[str, np.ndarray]  # what a generator of random numbers held


class Compared(NamedTuple):
    """How far the outputs of a sample are from those that the file has."""

    signature: str
    output: str
    is_equal: bool
    largest: float  # of the absolute differences
    relative: float  # of the differences, as parts of the largest magnitude
    dtype: DType

    @property
    def tolerance(self) -> float:
        """How large `relative` may be on another machine; 0 for what is not rounded."""
        return _TOLERANCES.get(self.dtype.name, 0.0)

    def fits(self, tolerance: float | None = None) -> bool:
        """Whether the bits are equal, or `relative` is at most the tolerance."""
        limit = self.tolerance if tolerance is None else tolerance
        return self.is_equal or self.relative <= limit

    def __str__(self) -> str:
        off = "the same bits" if self.is_equal else f"{self.largest:.3g} off ({self.relative:.2g})"
        return f"{self.signature}: {self.output}: {off}"


# Machines with other vectors add up in another order; what is not rounded is the same.
_TOLERANCES = {
    "float64": 1e-10,
    "complex128": 1e-10,
    "float32": 1e-4,
    "complex64": 1e-4,
    "float16": 1e-2,
    "bfloat16": 2e-2,
}


def taken_samples(program: ExportedProgram, wanted: bool | Mapping[str, Any]) -> dict[str, Sample]:
    """Samples by the names of their parts, computed now; the state stays as it is."""
    if wanted is False:
        return {}
    calls: dict[str, Sequence[Any]] = {k: [v] for k, v in program.examples.items()}
    if isinstance(wanted, Mapping):
        calls |= wanted
    found: dict[str, Sample] = {}
    for name, given in calls.items():
        for args, kwargs in given:
            signature = program.signatures[name].settled
            inputs = signature._inputs(tuple(args), dict(kwargs))
            if sum(getattr(x, "nbytes", 8) for x in inputs) <= _LARGEST:
                with suppress(LoopLimitError), _short_loops():
                    found[f"samples/{len(found)}.safetensors"] = taken(program, signature, inputs)
    for sample in program.samples:  # of the file that it came from, with what they give now
        if sample.signature not in calls:
            own = program.signatures[sample.signature].settled
            found[f"samples/{len(found)}.safetensors"] = taken(program, own, sample.inputs)
    return found


def _short_loops() -> Any:
    return settings.using(loop_limit=min(settings.loop_limit, _MOST_ROUNDS))


def taken(program: ExportedProgram, signature: Signature, inputs: Sequence[Any]) -> Sample:
    """A sample of these inputs."""
    states = {n: t for n, t in program.state.items() if program.role(n) == "generator"}
    drawn = {n: t.numpy_array().copy() for n, t in states.items() if n in signature.state_names}
    outputs = _run(program, signature, inputs, {})
    return Sample(signature.name, list(inputs), [np.array(o) for o in outputs], drawn)


def _run(
    program: ExportedProgram,
    signature: Signature,
    inputs: Sequence[Any],
    state: Mapping[str, np.ndarray],
) -> list[np.ndarray]:
    """The outputs of a call, after which the state is as it was."""
    copies = [wrap(x.numpy_array().copy()) if isinstance(x, Tensor) else x for x in inputs]
    with no_grad(), _kept(program, signature):
        for name, array in state.items():
            program.state[name]._array[...] = array
        return [o.numpy_array().copy() for o in signature.flat(copies)]


@contextmanager
def _kept(program: ExportedProgram, signature: Signature) -> Iterator[None]:
    """Put back what a call writes, when the block is left."""
    names = [signature.state_names[i] for i in signature.program.writes]
    before = {n: program.state[n]._array.copy() for n in names if isinstance(n, str)}
    try:
        yield
    finally:
        for name, array in before.items():
            tensor = program.state[name]
            tensor._array[...] = array
            tensor._wrote()


def compared(program: ExportedProgram, sample: Sample) -> list[Compared]:
    """A sample run again, output by output."""
    signature = program.signatures[sample.signature].settled
    outputs = _run(program, signature, sample.inputs, sample.state)
    return [
        _compared(sample.signature, info, expected, found)
        for info, expected, found in zip(signature.outputs, sample.outputs, outputs, strict=True)
    ]


def _compared(signature: str, info: TensorInfo, expected: Any, found: Any) -> Compared:
    if expected.shape != found.shape:
        return Compared(signature, info.name, False, math.inf, math.inf, info.dtype)
    if expected.tobytes() == found.tobytes():
        return Compared(signature, info.name, True, 0.0, 0.0, info.dtype)
    a, b = expected.astype(np.complex128), found.astype(np.complex128)
    unequal = ~((a == b) | (np.isnan(a) & np.isnan(b)))
    with np.errstate(all="ignore"):
        off = np.abs(a - b)[unequal]
    off[np.isnan(off)] = math.inf
    sizes = np.abs(a[np.isfinite(a)])
    largest, scale = float(off.max(initial=0.0)), float(sizes.max(initial=0.0))
    relative = largest / scale if scale else largest
    return Compared(signature, info.name, False, largest, relative, info.dtype)


# -- as parts of an archive ------------------------------------------------------------------------


def sample_parts(samples: Mapping[str, Sample]) -> dict[str, list[Any]]:
    """The contents of the parts that hold samples."""
    return {
        part: contents({n: as_pairs(a) for n, a in _named(sample).items()})
        for part, sample in samples.items()
    }


def _named(sample: Sample) -> dict[str, Any]:
    arrays = {f"input.{i}": np.asarray(_array(x)) for i, x in enumerate(sample.inputs)}
    arrays |= {f"output.{i}": x for i, x in enumerate(sample.outputs)}
    return arrays | {f"state.{n}": a for n, a in sample.state.items()}


def _array(x: Any) -> Any:
    return x.numpy_array() if isinstance(x, Tensor) else np.float64(x)


def read_samples(signature: Signature, arrays: Mapping[str, np.ndarray], part: str) -> Sample:
    """The sample that a part holds."""
    inputs: list[Any] = []
    for i, info in enumerate(signature.inputs):
        array = arrays.get(f"input.{i}")
        if array is None:
            raise FormatError(f"{part}: input.{i} is missing")
        if needs_pairs(info.dtype):
            array = from_pairs(array, f"{part}: input.{i}")
        inputs.append(float(array) if info.is_number else wrap(array))
    outputs = []
    for i, info in enumerate(signature.outputs):
        array = arrays.get(f"output.{i}")
        if array is not None and needs_pairs(info.dtype):
            array = from_pairs(array, f"{part}: output.{i}")
        if array is None or array.dtype != info.dtype.numpy or array.ndim != len(info.shape):
            raise FormatError(f"{part}: output.{i} does not fit the signature")
        outputs.append(array)
    prefix = "state."
    states = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
    if len(arrays) != len(inputs) + len(outputs) + len(states):
        raise FormatError(f"{part}: it has tensors that belong to nothing")
    unknown = set(states) - {n for n in signature.state_names if isinstance(n, str)}
    if unknown:
        raise FormatError(f"{part}: {min(unknown)!r:.60} is no state of {signature.name}")
    return Sample(signature.name, inputs, outputs, states)


def check_samples(program: ExportedProgram) -> list[Compared]:
    """All samples of a program that was loaded, run again."""
    return [found for sample in program.samples for found in compared(program, sample)]


__all__ = [
    "Compared",
    "Sample",
    "check_samples",
    "compared",
    "read_samples",
    "sample_parts",
    "taken",
    "taken_samples",
]
