"""A signature: one way to call an exported program, with names, dtypes and sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from argand.base.dim import Dim, Shape
from argand.base.dtype import DType, from_numpy
from argand.base.errors import (
    ArgandError,
    CallError,
    DTypeError,
    ProgramError,
    ShapeError,
    TraceError,
)
from argand.base.polynomial import Polynomial, Symbol
from argand.base.shape import shape_text
from argand.base.size_guards import holds
from argand.base.tree import Structure, flatten, unflatten
from argand.compile.call import Input
from argand.export.arguments import by_order_and_name, recording
from argand.export.capture import Captured, Result
from argand.export.checking import UNEXPECTED, Checked
from argand.export.running import Runner
from argand.export.structure import plain
from argand.ir import bind as crossroads
from argand.ir.program import Program
from argand.ir.sizes import found_sizes
from argand.tensor.core import Tensor, wrap
from argand.tensor.creation import tensor

_REMEMBERED = 512  # calls' shapes that are known to fit


class TensorInfo(NamedTuple):
    """What an input or an output is: its name, dtype and shape; `is_number` of Python floats."""

    name: str
    dtype: DType
    shape: Shape
    is_number: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype.short}{shape_text(self.shape)}"


class SizeRange(NamedTuple):
    """The sizes that a symbolic dimension may have, no bound where `max` is None; and the one that
    the program was traced with."""

    min: int
    max: int | None
    example: int | None = None

    def __str__(self) -> str:
        return f"{self.min} to {'any' if self.max is None else self.max}"


class Leaf(NamedTuple):
    """A leaf of the arguments: the number of an input, or the value that it must have."""

    input: int | None
    value: Any = None


class Signature:
    """One way to call an exported program.

    Call it as the function that was exported, with tensors or NumPy arrays, or with all its inputs
    in order, or by their names. Arrays are computed with under `no_grad`.

    >>> program = ag.export.export(nn.Linear(2, 3), (ag.ones(4, 2),))
    >>> program.signatures["serving_default"]
    <signature serving_default(input: f32(4, 2)) -> (output: f32(4, 3))>
    """

    def __init__(
        self,
        name: str,
        program: Program,
        *,
        inputs: Sequence[TensorInfo],
        outputs: Sequence[TensorInfo],
        leaves: Sequence[Leaf],
        structure: Structure,
        parameters: Sequence[str],
        sources: Sequence[Input],
        results: Sequence[Result],
        returned: Structure,
        state_names: Sequence[str | int],
        ranges: Mapping[str, SizeRange],
        facts: Sequence[tuple[Polynomial, str, bool]],
    ) -> None:
        self.name = name
        self.program = program
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.leaves = tuple(leaves)
        self.structure = structure
        self.parameters = tuple(parameters)
        self.sources = tuple(sources)
        self.results = tuple(results)
        self.returned = returned
        self.state_names = tuple(state_names)
        self.ranges = dict(ranges)
        self.facts = tuple(facts)
        self.runner: Runner | None = None
        self.checked = Checked(program) if program.symbols() else None
        self._fitting: dict[tuple[Any, ...], dict[str, Any]] = {}  # sizes, by shapes that fit
        self._known: dict[tuple[Any, ...], dict[str, Any]] = {}  # sizes, by arrays that fit

    def bind_state(
        self, state: Mapping[str, Tensor], contents: Mapping[str, str] | None = None
    ) -> Signature:
        """Let calls read and write these tensors; returns the signature. `contents` names what they
        hold, where it has a name that is the same in every process."""
        found = [name if isinstance(name, int) else state[name] for name in self.state_names]
        known = [(contents or {}).get(str(name)) for name in self.state_names]
        self.runner = Runner(self.program, found, self.sources, known)
        return self

    @property
    def state(self) -> dict[str, Tensor]:
        """The tensors that calls read or write, by name; not the arguments that they write."""
        held = self.runner.state if self.runner is not None else []
        pairs = zip(self.state_names, held, strict=False)
        return {name: t for name, t in pairs if isinstance(name, str) and isinstance(t, Tensor)}

    # -- calling -------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        tensors = self._inputs(args, kwargs)
        sizes = self.sizes(tensors)
        with recording(flatten((args, kwargs))[0]):
            outputs = self._run(tensors, sizes)
        return self._returned(outputs, sizes)

    def check(self, *args: Any, **kwargs: Any) -> None:
        """Raise what a call with these arguments would raise: CallError, ShapeError, DTypeError."""
        self.sizes(self._inputs(args, kwargs))

    def flat(self, tensors: Sequence[Any]) -> list[Tensor]:
        """The program's outputs for a tensor, or a number, for each input in order."""
        facts = _facts(tensors)
        sizes = None if facts is None else self._known.get(facts)
        if sizes is not None:
            return self._run(tensors, sizes)
        given = [self._checked(i, x) for i, x in enumerate(tensors)]
        sizes = self.sizes(given)
        if facts is not None and len(self._known) < _REMEMBERED:
            self._known[facts] = sizes
        return self._run(given, sizes)

    def _run(self, tensors: Sequence[Any], sizes: Mapping[str, Any]) -> list[Tensor]:
        assert self.runner is not None
        try:
            return self.runner(tensors, sizes)
        except ArgandError as error:
            error.inputs = tuple([self.inputs[self.sources[i].leaf].name for i in error.sources])
            raise

    def _returned(self, outputs: Sequence[Tensor], sizes: Mapping[str, Any]) -> Any:
        leaves = []
        for kind, value in self.results:
            if kind == "size":
                value = value.evaluate(sizes) if isinstance(value, Dim) else value
            elif kind != "value":
                value = outputs[value].item() if kind == "number" else outputs[value]
            leaves.append(value)
        return unflatten(self.returned, leaves)

    def _inputs(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """A tensor, or a float, for each input."""
        as_exported = self._as_exported(args, kwargs)
        if as_exported is not None:
            return as_exported
        values = by_order_and_name(self.name, self.inputs, args, kwargs)
        return [self._checked(i, value) for i, value in enumerate(values)]

    def _as_exported(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any] | None:
        """The inputs of a call that is nested as the example was; None for another one."""
        positional, named = list(args), dict(kwargs)
        expected = [len(part[2]) for part in self.structure[2]]  # of args and kwargs
        names = self.parameters[: expected[0]]
        while len(positional) < len(names) and names[len(positional)] in named:
            positional.append(named.pop(names[len(positional)]))
        keys = self.structure[2][1][1] or ()
        ordered = {key: named[key] for key in keys if key in named}
        if len(ordered) < len(named):
            return None
        given = (tuple(positional), ordered)
        leaves, structure = flatten(given)
        if structure != self.structure:  # a file has the plain containers of what was nested
            leaves, structure = flatten(plain(given))
        if structure != self.structure:
            return None
        found: list[Any] = [None] * len(self.inputs)
        for leaf, value in zip(self.leaves, leaves, strict=True):
            if leaf.input is not None:
                found[leaf.input] = self._checked(leaf.input, value)
            elif not _is_same(leaf.value, value):
                raise CallError(
                    f"{self.name}: an argument that is no tensor must be {leaf.value!r}, as it was "
                    f"when the program was exported, got {value!r}"
                )
        return found

    def _checked(self, i: int, value: Any) -> Any:
        """An argument as the tensor of an input: of its dtype, and with as many dimensions."""
        info = self.inputs[i]
        if info.is_number:
            if isinstance(value, Tensor | np.ndarray) and value.ndim == 0:
                value = value.item()
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise CallError(
                    f"{self.name}: the input {info.name!r} is a number, got {type(value).__name__}"
                )
            return float(value)
        if isinstance(value, np.ndarray | np.generic):
            value = tensor_of(value)
        elif not isinstance(value, Tensor):
            value = _converted(self.name, info, value)
        if value.dtype is not info.dtype:
            raise DTypeError(
                f"{self.name}: the input {info.name!r} is {info.dtype.name}, got "
                f"{value.dtype.name}; convert it first"
            )
        if len(value.shape) != len(info.shape):
            raise ShapeError(
                f"{self.name}: the input {info.name!r} has the shape {shape_text(info.shape)}, got "
                f"{shape_text(value.shape)}"
            )
        return value

    # -- sizes ---------------------------------------------------------------------------------

    def sizes(self, tensors: Sequence[Any]) -> dict[str, Any]:
        """The sizes of the symbols, from the inputs, which must fit each other and the ranges."""
        shapes = tuple([getattr(value, "shape", ()) for value in tensors])
        are_numbers = {type(size) for shape in shapes for size in shape} <= {int}
        if are_numbers and shapes in self._fitting:
            return self._fitting[shapes]
        found = self._sizes_of(shapes)
        if are_numbers and len(self._fitting) < _REMEMBERED:
            self._fitting[shapes] = found
        return found

    def _sizes_of(self, shapes: Sequence[Any]) -> dict[str, Any]:
        sizes = found_sizes([info.shape for info in self.inputs], shapes)
        for info, shape in zip(self.inputs, shapes, strict=True):
            for d, (expected, size) in enumerate(zip(info.shape, shape, strict=True)):
                wanted = expected.evaluate(sizes) if isinstance(expected, Dim) else expected
                if wanted != size:
                    named = f" ({expected})" if isinstance(expected, Dim) else ""
                    raise ShapeError(
                        f"{self.name}: dimension {d} of the input {info.name!r} must be "
                        f"{wanted}{named}, got {shape_text(shape)}"
                    )
        self.check_ranges(sizes)
        if self.checked is not None and all(type(size) is int for size in sizes.values()):
            self._check_nodes(self.checked, sizes)
        return sizes

    def _check_nodes(self, checked: Checked, sizes: Mapping[str, int]) -> None:
        try:
            checked.check(sizes)
        except (ProgramError, *UNEXPECTED) as error:
            given = ", ".join(f"{name} is {size}" for name, size in sizes.items())
            raise ShapeError(f"{self.name}: the program can't run where {given}: {error}") from None

    def check_ranges(self, sizes: Mapping[str, Any]) -> None:
        """Refuse sizes, by symbol, that the program was not exported for."""
        for name, limits in self.ranges.items():
            size, least, most = sizes.get(name), limits.min, limits.max
            if isinstance(size, int) and (size < least or (most is not None and size > most)):
                raise ShapeError(
                    f"{self.name}: {name} is {size}, but the program was exported for sizes from "
                    f"{limits}; export it again with "
                    f"ag.Dim({name!r}, min=..., max=...)"
                )
        for fact in self.facts:
            if not holds(fact, sizes):
                polynomial, op, outcome = fact
                raise ShapeError(
                    f"{self.name}: the program was exported for sizes where {polynomial} {op} 0 is "
                    f"{outcome}, "
                    f"and here {', '.join(f'{k} is {v}' for k, v in sizes.items())}"
                )

    # -- showing -------------------------------------------------------------------------------

    @property
    def settled(self) -> Signature:
        """Itself: its program is known."""
        return self

    def explain(self) -> list[str]:
        """What runs natively, one line each."""
        return self.runner.explain() if self.runner is not None else []

    def __repr__(self) -> str:
        inputs = ", ".join(map(str, self.inputs))
        outputs = ", ".join(map(str, self.outputs))
        return f"<signature {self.name}({inputs}) -> ({outputs})>"


def tensor_of(value: Any) -> Tensor:
    """The tensor of an array, row-major and in the machine's byte order."""
    array = np.asarray(value, np.asarray(value).dtype.newbyteorder("="), order="C")
    try:
        from_numpy(array.dtype)
    except TypeError as e:
        raise DTypeError(f"a tensor can't be made of an array of {array.dtype}: {e}") from None
    return wrap(array)


def as_tensor(leaf: Any) -> Any:
    """An array as a tensor; anything else as it is."""
    return tensor_of(leaf) if isinstance(leaf, np.ndarray) else leaf


def _converted(name: str, info: TensorInfo, value: Any) -> Tensor:
    """A tensor of a number, or of nested lists of numbers."""
    try:
        made: Tensor = tensor(value, dtype=info.dtype)
    except (TypeError, ValueError) as e:
        raise CallError(
            f"{name}: the input {info.name!r} takes a tensor, an array or numbers, got "
            f"{type(value).__name__}: {e}"
        ) from None
    return made


def _is_same(expected: Any, value: Any) -> bool:
    if type(expected) is not type(value):
        return False
    return bool(expected == value) or (expected != expected and value != value)


# -- making ----------------------------------------------------------------------------------------


def signature_of(
    name: str,
    found: Captured,
    state_names: Sequence[str | int],
    parameters: Sequence[str],
    *,
    input_names: Sequence[str] = (),
    output_names: Sequence[str] = (),
) -> Signature:
    """The signature of what a trace captured; `state_names` are those of its state."""
    _check_results(found)
    values: dict[int, Any] = {
        x.leaf: v for x, v in zip(found.inputs, found.program.inputs, strict=True)
    }
    written = zip(found.state, found.program.state, strict=True)
    values |= {leaf: v for leaf, v in written if isinstance(leaf, int)}
    numbers = {leaf: i for i, leaf in enumerate(sorted(values))}
    floats = {x.leaf for x in found.inputs if x.kind == "float"}
    names = list(input_names) or [found.labels[leaf] for leaf in sorted(values)]
    _check_names("input_names", names, len(numbers))
    inputs = [
        TensorInfo(n, v.dtype, v.shape, leaf in floats)
        for n, (leaf, v) in zip(names, sorted(values.items()), strict=True)
    ]
    sources = [x._replace(leaf=numbers[x.leaf]) for x in found.inputs]
    leaves = [
        Leaf(numbers[i]) if i in numbers else Leaf(None, value)
        for i, value in enumerate(found.leaves[: len(found.labels)])
    ]
    return Signature(
        name,
        found.program,
        inputs=inputs,
        outputs=_outputs(found, output_names),
        leaves=leaves,
        structure=found.structure,
        parameters=parameters,
        sources=sources,
        results=found.results,
        returned=found.returned,
        state_names=[numbers[x] if isinstance(x, int) else x for x in state_names],
        ranges={n: _range(s) for n, s in found.symbols.items()},
        facts=found.facts,
    )


def _check_results(found: Captured) -> None:
    for kind, value in found.results:
        if kind == "parts" or not isinstance(value, str | int | float | bool | Dim | None):
            made = "n object" if kind == "parts" else f" {type(value).__name__}"
            raise TraceError(
                f"{found.program.name} returns a{made}, which an exported program can't; return "
                "tensors, numbers and strings, in tuples, lists and dictionaries"
            )


def _outputs(found: Captured, given: Sequence[str]) -> list[TensorInfo]:
    """Names for the outputs: those given, or made of the keys that lead to them."""
    names = list(given) or _result_names(found)
    _check_names("output_names", names, len(found.program.outputs))
    return [
        TensorInfo(n, o.dtype, o.shape) for n, o in zip(names, found.program.outputs, strict=True)
    ]


def _result_names(found: Captured) -> list[str]:
    """The keys of dictionaries, `output` for a single tensor, else `output_0` and so on."""
    count = len(found.program.outputs)
    names = ["output"] if count == 1 else [f"output_{i}" for i in range(count)]
    whole = unflatten(found.returned, list(found.results))
    if isinstance(whole, dict) and not isinstance(whole, Result):
        for key, result in whole.items():
            if isinstance(result, Result) and result.kind == "tensor" and isinstance(key, str):
                names[result.value] = key
    return _apart(names)


def _apart(names: Sequence[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        while name in found:
            name += "_"
        found.append(name)
    return found


def _check_names(argument: str, names: Sequence[str], count: int) -> None:
    if len(names) != count:
        raise CallError(f"{argument} has {len(names)} names, there are {count}")
    if len(set(names)) != len(names):
        raise CallError(f"{argument} has a name twice: {', '.join(names)}")


def _range(symbol: Symbol) -> SizeRange:
    return SizeRange(0 if symbol.least is None else symbol.least, symbol.most, symbol.hint)


def _facts(tensors: Sequence[Any]) -> tuple[Any, ...] | None:
    """The dtypes and shapes of tensors with memory; None where there are others, or a trace."""
    arrays: list[Any] = [x._array if type(x) is Tensor else None for x in tensors]
    if crossroads.pushed or True in [a is None for a in arrays]:
        return None
    return tuple([(a.dtype, a.shape) for a in arrays])


__all__ = ["Leaf", "Signature", "SizeRange", "TensorInfo", "as_tensor", "signature_of", "tensor_of"]
