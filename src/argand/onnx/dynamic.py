"""Which sizes of the inputs vary: `dynamic_shapes` and `dynamic_axes`, in PyTorch's forms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from argand.base.dim import Dim
from argand.base.errors import ArgumentError, did_you_mean
from argand.base.polynomial import Polynomial, Symbol
from argand.base.tree import flatten
from argand.compile.signature import parameter_names
from argand.tensor.core import Tensor, wrap

Dims = dict[int, Dim]


def declared(
    function: Callable[..., Any],
    given: tuple[tuple[Any, ...], dict[str, Any]],
    tensors: Sequence[int],
    labels: Sequence[str],
    shapes: Any,
    axes: Any,
    input_names: Sequence[str],
) -> list[Dims]:
    """For each tensor among the arguments, the dimensions that vary and the symbols of their sizes.

    `tensors` are the numbers of the tensors among the leaves of the arguments.
    """
    leaves = flatten(given)[0]
    ranks = [
        np.ndim(leaves[i]) if not isinstance(leaves[i], Tensor) else leaves[i].ndim for i in tensors
    ]
    fresh = _Fresh()
    if shapes is not None and axes is not None:
        raise ArgumentError("onnx.export: give dynamic_shapes or dynamic_axes, not both")
    if axes is not None:
        return _by_axes(axes, labels, input_names, ranks, fresh)
    if shapes is None:
        return [{} for _ in tensors]
    found = _by_leaf(function, given, shapes, input_names, labels)
    return [_dims(found.get(i), rank, fresh) for i, rank in zip(tensors, ranks, strict=True)]


class _Fresh:
    """Names for sizes that the user didn't name."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, start: str) -> Dim:
        self.count += 1
        return Dim.symbol(f"{start}{self.count - 1}")


def _by_axes(
    axes: Any, labels: Sequence[str], names: Sequence[str], ranks: Sequence[int], fresh: _Fresh
) -> list[Dims]:
    """`dynamic_axes`: by the names of inputs, and of outputs, which follow."""
    if not isinstance(axes, Mapping):
        raise ArgumentError(f"onnx.export: dynamic_axes must be a dict, got {type(axes).__name__}")
    shown = [*names, *labels[len(names) :]]
    found = []
    for label, shown_label, rank in zip(labels, shown, ranks, strict=False):
        spec = axes.get(shown_label, axes.get(label))
        if spec is not None and not isinstance(spec, Mapping):
            spec = {d: f"{shown_label}_dim_{d}" for d in spec}
        found.append(_dims(spec, rank, fresh))
    return found


def _by_leaf(
    function: Callable[..., Any],
    given: tuple[tuple[Any, ...], dict[str, Any]],
    shapes: Any,
    input_names: Sequence[str],
    labels: Sequence[str],
) -> dict[int, Any]:
    """`dynamic_shapes`: nested as the arguments are, by position or by name."""
    args, kwargs = given
    names = parameter_names(function)
    named = [(names[i] if i < len(names) else f"arg{i}", x) for i, x in enumerate(args)]
    named += list(kwargs.items())
    if isinstance(shapes, list | tuple):
        if len(shapes) > len(named):
            raise ArgumentError(
                f"onnx.export: {len(shapes)} dynamic_shapes for {len(named)} arguments"
            )
        by_name = dict(zip([n for n, _ in named], shapes, strict=False))
    elif isinstance(shapes, Mapping):
        by_name = _known_names(shapes, [n for n, _ in named], input_names)
    else:
        raise ArgumentError(
            f"onnx.export: dynamic_shapes must be a dict or a tuple, got {type(shapes).__name__}"
        )
    found: dict[int, Any] = {}
    at = 0
    for name, value in named:
        at = _walk(value, by_name.get(name), at, found)
    return found


def _known_names(
    shapes: Mapping[Any, Any], names: Sequence[str], input_names: Sequence[str]
) -> dict[str, Any]:
    """The specifications by the parameters' names; positions and input_names stand for them."""
    other = dict(zip(input_names, names, strict=False)) | dict(enumerate(names))
    found = {}
    for key, spec in shapes.items():
        name = key if key in names else other.get(key)
        if name is None:
            raise ArgumentError(
                f"onnx.export: dynamic_shapes names {key!r}, which is no argument "
                f"({', '.join(names)}){did_you_mean(str(key), names)}"
            )
        found[name] = spec
    return found


def _walk(value: Any, spec: Any, at: int, found: dict[int, Any]) -> int:
    """Give each leaf of an argument its specification; the number of the next leaf."""
    if isinstance(value, Tensor | np.ndarray):
        found[at] = spec
        return at + 1
    if isinstance(value, Mapping) and isinstance(spec, Mapping):
        for key, part in value.items():
            at = _walk(part, spec.get(key), at, found)
        return at
    if isinstance(value, list | tuple) and isinstance(spec, list | tuple):
        for i, part in enumerate(value):
            at = _walk(part, spec[i] if i < len(spec) else None, at, found)
        return at
    return at + len(flatten(value)[0])


def _dims(spec: Any, rank: int, fresh: _Fresh) -> Dims:
    """One tensor's dimensions that vary."""
    if spec is None:
        return {}
    pairs = spec.items() if isinstance(spec, Mapping) else enumerate(spec)
    found: Dims = {}
    for d, size in pairs:
        if not isinstance(d, int) or not -rank <= d < rank:
            raise ArgumentError(f"onnx.export: dimension {d!r} of a tensor of {rank} dimensions")
        dim = _dim(size, fresh)
        if dim is not None:
            found[d % rank] = dim
    return found


def _dim(size: Any, fresh: _Fresh) -> Dim | None:
    """A size that varies; None for one that doesn't. A name's is not checked, a Dim's is."""
    if size is None or isinstance(size, Dim):
        return size
    if isinstance(size, str):
        return Dim.symbol(size)
    kind = getattr(size, "name", getattr(size, "__name__", None))
    if isinstance(kind, str):
        if kind == "STATIC":
            return None
        names = {"AUTO": AUTO, "DYNAMIC": "s"}
        return fresh(names[kind]) if kind in names else Dim(kind)
    if isinstance(size, int):
        return None  # a size that is given as a number stays
    raise ArgumentError(f"onnx.export: a size that varies is a Dim or a name, got {size!r}")


class Linear(NamedTuple):
    """A size that is times * symbol + plus."""

    symbol: Symbol
    times: int
    plus: int


def linear(size: Dim) -> Linear | None:
    """A size as a multiple of one symbol, plus a number; None for any other."""
    terms = dict(size.terms)
    plus = terms.pop((), 0)
    if len(terms) != 1:
        return None
    ((atoms, times),) = terms.items()
    if len(atoms) != 1 or not isinstance(atoms[0], Symbol) or times < 1:
        return None
    return Linear(atoms[0], times, plus)


def _parts(size: Dim) -> Linear:
    found = linear(size)
    if found is None:
        raise ArgumentError(
            f"onnx.export: a size that varies is a Dim, or a multiple of one plus a number; {size} "
            "is not"
        )
    return found


def with_hint(size: Dim, at_hand: Any, hints: dict[str, int]) -> Dim:
    """A declared size that knows its value in the call being traced."""
    symbol, times, plus = _parts(size)
    hint, rest = divmod(at_hand - plus, times)
    if rest or hints.setdefault(symbol.name, hint) != hint:
        raise ArgumentError(
            f"onnx.export: a size was declared to be {size}, and is {at_hand}"
            + (f" where {symbol.name} is {hints[symbol.name]}" if not rest else "")
        )
    terms: dict[Any, int] = {(Symbol(symbol.name, hint, symbol.declared),): times}
    return Dim(terms | ({(): plus} if plus else {}))


def enlarged(tensors: list[Any], dims: Sequence[Dims]) -> list[Any]:
    """The tensors with sizes for which symbols are at least 2: 0 and 1 are programs of their own.

    A trace looks at sizes, not at values, so elements may be repeated.
    """
    hints: dict[str, int] = {}
    for x, found in zip(tensors, dims, strict=True):
        for d, dim in found.items():
            symbol, times, plus = _parts(dim)
            least = max(2, (x.shape[d] - plus) // times)
            hints[symbol.name] = max(hints.get(symbol.name, 2), least)
    return [_repeated(x, found, hints) for x, found in zip(tensors, dims, strict=True)]


def _repeated(x: Any, dims: Dims, hints: Mapping[str, int]) -> Any:
    wanted = {d: dim.evaluate(hints) for d, dim in dims.items()}
    small = {d: n for d, n in wanted.items() if x.shape[d] != n}
    if any(x.shape[d] > 1 for d in small):
        return x  # sizes that don't fit one another, which is said later
    if not small:
        return x
    shape = tuple(small.get(d, n) for d, n in enumerate(x.shape))
    array = x._array
    return wrap(np.broadcast_to(array, shape).copy() if array.size else np.ones(shape, array.dtype))


AUTO = "auto_"
"""How the names of sizes begin that vary unless the function takes them for a number."""


class TakenError(ArgumentError):
    """A function takes a size that varies for a number."""

    def __init__(self, name: str, symbol: Symbol) -> None:
        super().__init__(
            f"onnx.export: {name} takes the size {symbol.name} to be {symbol.hint}; leave it "
            "fixed, or let the function do without its value"
        )
        self.symbol = symbol.name


def check_facts(facts: Sequence[tuple[Any, str, bool]], name: str) -> None:
    """TakenError where the traced function takes a size that varies for a number."""
    for difference, op, outcome in facts:
        found = _alone(difference) if op == "==" and outcome else None
        if found is not None:
            raise TakenError(name, found.symbol)


def _alone(difference: Polynomial) -> Linear | None:
    """What is 0, as a multiple of one symbol plus a number: without factors that all terms have."""
    terms = dict(difference.terms)
    for atom in dict.fromkeys(a for monomial in terms for a in monomial):
        while all(atom in monomial for monomial in terms):
            terms = {_without(m, atom): c for m, c in terms.items()}
    turned = {m: -c for m, c in terms.items()}
    found = linear(Dim(terms)) or linear(Dim(turned))
    return found if found is not None and found.plus else None


def _without(monomial: tuple[Any, ...], atom: Any) -> tuple[Any, ...]:
    at = monomial.index(atom)
    return (*monomial[:at], *monomial[at + 1 :])


__all__ = ["AUTO", "TakenError", "check_facts", "declared", "enlarged", "linear", "with_hint"]
