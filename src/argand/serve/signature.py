"""A signature as the server knows it: what a request must hold, and whether rows can be batched."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from argand.base.dim import Dim
from argand.base.dtype import DType, float64
from argand.base.errors import ArgandError, ArgumentError, LinAlgError, did_you_mean
from argand.base.shape import shape_text
from argand.export.padded import axes_of, check_padded
from argand.export.program import AnySignature, ExportedProgram
from argand.export.signature import Signature, SizeRange
from argand.serve.errors import ServeError, Status, invalid
from argand.serve.options import BatchOptions
from argand.serve.padding import Padding
from argand.tensor.core import Tensor, wrap
from argand.transform.mode import no_grad

_NAME = re.compile(r"[A-Za-z_]\w*")  # of a symbol in the text of a size
_REMEMBERED = 256  # the shapes of requests that fit

_OF_VALUES = (IndexError, ZeroDivisionError, LinAlgError)
"""What calls raise for values that they can't compute with."""

Size = int | str | None
"""A size: a number, the name of one that varies, or None where nothing is known."""


class TensorSpec(NamedTuple):
    """An input or an output: `dtype` and `shape` are None where the file doesn't say."""

    name: str
    dtype: DType | None
    shape: tuple[Size, ...] | None
    optional: bool = False
    is_number: bool = False

    @property
    def takes_text(self) -> bool:
        """Whether it is of strings; so is one of which the file doesn't say what it is."""
        return self.dtype is None

    def __str__(self) -> str:
        if self.shape is None:
            return f"{self.name}: {self.dtype.short if self.dtype else '?'}(...)"
        sizes = ", ".join("?" if s is None else str(s) for s in self.shape)
        return f"{self.name}: {self.dtype.short if self.dtype else '?'}({sizes})"


class Checked(NamedTuple):
    """A request that fits: an array for each input, its rows, what requests of one batch must
    share, and its sizes by their names."""

    arrays: list[Any]
    rows: int
    key: tuple[Any, ...]
    sizes: Mapping[str, int]


class Findings(NamedTuple):
    """What trial calls have found out about a signature: why its requests are not batched, why they
    are not padded (None where they are), and up to which sizes they are padded."""

    reason: str | None
    padding_reason: str | None = None
    largest: Mapping[str, int] | None = None


class ServedSignature:
    """One way to call a model, held against requests before anything is computed.

    `batched` says that all inputs and outputs have the rows of a batch as their first dimension,
    and that a call changes nothing; then the rows of several requests can be computed by one call.
    `reason` says why not. `padding` is how requests of different sizes are put together, where the
    file or the options declare which sizes may be padded; None where they are not, and then
    `padding_reason` says why, unless nothing is declared.
    """

    def __init__(self, signature: AnySignature) -> None:
        self.name = signature.name
        self.signature = signature
        self.inputs = tuple(map(_spec, signature.inputs))
        self.outputs = tuple(map(_spec, signature.outputs))
        self.by_name = {x.name: x for x in self.inputs}
        self.ranges: Mapping[str, SizeRange] = getattr(signature, "ranges", {})
        self.is_pure = _is_pure(signature)
        self.rows = _rows_symbol(self.inputs, self.outputs) if self.is_pure else None
        self.batched = self.rows is not None
        self.reason = None if self.batched else _why_alone(self)
        self.padding: Padding | None = None
        self.padding_reason: str | None = None
        self._fitting: dict[tuple[Any, ...], tuple[int, Any, Mapping[str, int]]] = {}

    def pad(self, values: Mapping[str, Mapping[str, Any]], share: float) -> None:
        """Let requests be padded in the sizes of `values` that it has, by `share` of an input at
        most. Trial calls find out up to which sizes; none are padded before."""
        inputs = self.signature.inputs
        own = {n: v for n, v in values.items() if any(axes_of(x.shape, n) for x in inputs)}
        if not own or share <= 0:
            return
        if not self.batched:
            self.padding_reason = f"requests are not batched: {self.reason}"
            return
        try:
            self._fitting.clear()
            self.padding = Padding(own, inputs, self.signature.outputs, share)
        except ValueError as error:
            self.padding_reason = str(error)

    def stop_batching(self, reason: str) -> None:
        """Compute each request alone from now on."""
        self._fitting.clear()
        self.batched, self.reason = False, reason
        if self.padding is not None:
            self.stop_padding(f"requests are not batched: {reason}")

    def stop_padding(self, reason: str) -> None:
        """Put only requests of equal sizes together from now on."""
        self._fitting.clear()
        self.padding, self.padding_reason = None, reason

    @property
    def findings(self) -> Findings:
        """What is known after trial calls."""
        largest = None if self.padding is None else self.padding.largest
        return Findings(self.reason, self.padding_reason, largest)

    def take(self, found: Findings) -> None:
        """Do as trial calls in another process have found."""
        if found.reason is not None:
            self.stop_batching(found.reason)
        if found.padding_reason is not None:
            self.stop_padding(found.padding_reason)
        elif self.padding is not None and found.largest is not None:
            self.padding.limit(found.largest)

    @property
    def most_rows(self) -> int:
        """The most rows that a batch may have."""
        limits = self.ranges.get(self.rows) if self.rows is not None else None
        if limits is not None and limits.max is not None:
            return limits.max
        return sys.maxsize if self.batched else 1

    def without_rows(self) -> list[np.ndarray] | None:
        """The outputs for no rows, where the file says their other sizes; nothing is computed."""
        found = []
        for spec in self.outputs:
            rest = [s for s in (spec.shape or ())[1:] if isinstance(s, int)]
            if spec.dtype is None or spec.shape is None or len(rest) < len(spec.shape) - 1:
                return None
            found.append(np.empty((0, *rest), spec.dtype.numpy))
        return found

    def check(self, given: Mapping[str, Any]) -> Checked:
        """The arrays of a request in order; an error names the input that does not fit."""
        facts = tuple([(n, a.dtype, a.shape) for n, a in given.items() if a is not None])
        known = self._fitting.get(facts)
        if known is not None:
            return Checked([given.get(x.name) for x in self.inputs], *known)
        found = self._held_against(given)
        if self.padding is None and len(self._fitting) < _REMEMBERED:
            self._fitting[facts] = found[1:]
        return found

    def _held_against(self, given: Mapping[str, Any]) -> Checked:
        for name in given:
            if name not in self.by_name:
                raise invalid(
                    f"{self.name} has no input {name!r}{did_you_mean(name, self.by_name)}; its "
                    f"inputs are {self._listed()}",
                    name,
                )
        sizes: dict[str, int] = {}
        arrays = [self._checked(x, given.get(x.name), sizes) for x in self.inputs]
        self._check_ranges(sizes)
        if not self.batched:
            return Checked(arrays, 1, (), sizes)
        if self.padding is not None:
            return Checked(arrays, len(arrays[0]), self.padding.key(arrays, sizes), sizes)
        key = tuple([a.shape[1:] for a in arrays])
        return Checked(arrays, len(arrays[0]), key, sizes)

    def _checked(self, spec: TensorSpec, array: Any, sizes: dict[str, int]) -> Any:
        if array is None:
            if spec.optional:
                return None
            raise invalid(
                f"{self.name} lacks the input {spec.name!r}; its inputs are {self._listed()}",
                spec.name,
            )
        if spec.dtype is not None and array.dtype != spec.dtype.numpy:
            raise invalid(
                f"{self.name}: the input {spec.name!r} is {spec.dtype.name}, got {array.dtype}",
                spec.name,
            )
        if spec.dtype is None and array.dtype.kind not in "OSU":
            raise invalid(
                f"{self.name}: the input {spec.name!r} takes strings, got {array.dtype}", spec.name
            )
        if spec.shape is None:
            return array
        if len(spec.shape) != array.ndim:
            raise invalid(
                f"{self.name}: the input {spec.name!r} has the shape {_shown(spec)}, got "
                f"{shape_text(array.shape)}",
                spec.name,
            )
        for d, (expected, size) in enumerate(zip(spec.shape, array.shape, strict=True)):
            wanted = sizes.setdefault(expected, size) if isinstance(expected, str) else expected
            if wanted is not None and wanted != size:
                raise invalid(
                    f"{self.name}: dimension {d} of the input {spec.name!r} must be {wanted}, got "
                    f"{shape_text(array.shape)}",
                    spec.name,
                )
        return array

    def _check_ranges(self, sizes: Mapping[str, int]) -> None:
        for name, limits in self.ranges.items():
            size = sizes.get(name)
            above = size is not None and limits.max is not None and size > limits.max
            if size is not None and (above or size < limits.min):
                raise invalid(
                    f"{self.name}: {name} is {size}, the model takes sizes from {limits}", name
                )

    def _listed(self) -> str:
        return "(" + ", ".join(map(str, self.inputs)) + ")"

    def run(self, arrays: Sequence[Any]) -> list[Any]:
        """The outputs for an array for each input, in order. It blocks until they are there."""
        given = [_argument(x, a) for x, a in zip(self.inputs, arrays, strict=True)]
        try:
            with no_grad():
                found = self.signature.flat(given)
        except (ArgandError, IndexError) as error:
            if isinstance(error, _OF_VALUES):
                raise self._refused(error) from error
            if isinstance(error, ValueError | TypeError):
                raise invalid(str(error)) from error
            raise
        return [o.numpy_array() if isinstance(o, Tensor) else o for o in found]

    def _refused(self, error: Exception) -> ServeError:
        """The error of values that can't be computed with, with the input that they come from."""
        names = getattr(error, "inputs", ())
        if len(self.inputs) == 1:
            names = tuple(self.by_name)
        if not names:
            return invalid(str(error))
        told = f"the input{'s' * (len(names) > 1)} {', '.join(map(repr, names))}"
        return invalid(f"{self.name}: {told}: {error}", names[0] if len(names) == 1 else None)

    def named(self, outputs: Sequence[Any]) -> dict[str, np.ndarray]:
        """The outputs by their names."""
        return {x.name: np.asarray(o) for x, o in zip(self.outputs, outputs, strict=True)}

    def __repr__(self) -> str:
        return f"<served {self.signature!r}, {'batched' if self.batched else 'not batched'}>"


def served_signatures(
    program: ExportedProgram, batching: BatchOptions
) -> dict[str, ServedSignature]:
    """The signatures of a program by their names, with the padding that its card declares, or in
    its place the options.

    Raises ServeError (FAILED_PRECONDITION) where what is declared doesn't fit.
    """
    of_options = batching.padded is not None
    padded = batching.padded if of_options else program.card.get("padded", {})
    signatures = program.signatures
    try:
        check_padded(
            padded, signatures.values(), "batching.padded" if of_options else "card.padded"
        )
    except ArgumentError as error:
        raise ServeError(Status.FAILED_PRECONDITION, str(error)) from None
    found = {name: ServedSignature(s) for name, s in signatures.items()}
    for signature in found.values():
        signature.pad(padded or {}, batching.max_padding)
    return found


def _spec(x: Any) -> TensorSpec:
    """What a signature says of an input or an output, of a program or of a file of ONNX."""
    shape = None if x.shape is None else tuple([_size(s) for s in x.shape])
    number = getattr(x, "is_number", False)
    dtype = float64 if number else x.dtype
    return TensorSpec(x.name, dtype, shape, getattr(x, "optional", False), number)


def _size(size: Any) -> Size:
    if isinstance(size, Dim):
        return str(size)
    return size if isinstance(size, int) else None if size in (None, "?", "") else str(size)


def _is_pure(signature: AnySignature) -> bool:
    """Whether a call changes nothing, so that it can be repeated and put together with others."""
    return not (isinstance(signature, Signature) and signature.program.writes)


def _why_alone(served: ServedSignature) -> str:
    if not served.is_pure:
        return "a call changes the model's state"
    return "not all inputs and outputs have a first dimension that varies with the others'"


def _rows_symbol(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> str | None:
    """The name of the first size of all inputs and outputs, where it is one and stands nowhere
    else; "" where a file doesn't say its name."""
    specs = [*inputs, *outputs]
    if not inputs or any(not x.shape or x.optional for x in specs):
        return None
    first = {x.shape[0] for x in specs if x.shape}
    rest = {s for x in specs if x.shape for s in x.shape[1:]}
    if len(first) != 1:
        return None
    (symbol,) = first
    if symbol is None:
        return "" if all(isinstance(s, int) for s in rest) else None
    named = {name for s in rest if isinstance(s, str) for name in _NAME.findall(s)}
    if not isinstance(symbol, str) or not symbol.isidentifier() or symbol in named:
        return None
    return symbol


def _argument(spec: TensorSpec, array: Any) -> Any:
    if spec.is_number:
        return float(array)
    if array is None or array.dtype.kind in "OSU":
        return array
    flags = array.flags
    if not (flags.c_contiguous and flags.aligned and array.dtype.isnative):
        array = np.require(array, array.dtype.newbyteorder("="), ["C", "A"])
    return wrap(array)


def _shown(spec: TensorSpec) -> str:
    return "(" + ", ".join("?" if s is None else str(s) for s in spec.shape or ()) + ")"


__all__ = ["Checked", "Findings", "ServedSignature", "Size", "TensorSpec", "served_signatures"]
