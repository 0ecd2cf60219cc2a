"""What a call's arguments look like: the part of them that a program depends on.

Tensors are described by dtype, shape, whether they want a gradient, and whether they share memory;
floats are inputs (0-d float64 tensors); ints become symbolic at their second value (`integers`);
every other Python value is a constant of the program.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from argand.base.dim import Dim, Shape
from argand.base.dtype import DType
from argand.base.integer import Integer, is_integer
from argand.base.polynomial import Symbol
from argand.base.shape import shape_text
from argand.base.tree import Structure, flatten
from argand.compile.integers import NO_INTEGERS, fits_integer
from argand.compile.snapshot import hooks_of_tensor
from argand.compile.values import ById, ConstantSpec, constant_spec
from argand.ir import bind as crossroads
from argand.ir.overrides import check_untaken
from argand.tensor.core import Tensor, wrap
from argand.tensor.meta import check_has_values


class TensorSpec(NamedTuple):
    """One tensor argument. `identity` is set for a tensor that the function also reaches without
    its arguments (a parameter of a captured model): the program is for this very tensor. `more`
    has what else a tensor is: its class, the hooks and the attributes that a user gave it."""

    dtype: DType
    shape: Shape
    requires_grad: bool
    identity: int | None = None
    more: Any = None

    def __str__(self) -> str:
        grad = ", requires_grad" if self.requires_grad else ""
        same = ", captured too" if self.identity is not None else ""
        return f"{self.dtype.short}{shape_text(self.shape)}{grad}{same}"


class FloatSpec(NamedTuple):
    """A float argument: an input of the program."""

    def __str__(self) -> str:
        return "a float"


Spec = TensorSpec | FloatSpec | ConstantSpec
Given = tuple[tuple[Any, ...], dict[str, Any]]  # the arguments of a call


class Signature(NamedTuple):
    """The description of a whole call."""

    structure: Structure
    specs: tuple[Spec, ...]
    # for each tensor argument: the number of the first one that shares its memory, inverted (~)
    # where that is another tensor
    aliases: tuple[int, ...]
    grad_enabled: bool
    casting: Any = None  # what the casts of the calling thread depend on


def describe_call(
    given: Given,
    grad_enabled: bool,
    constant_numbers: Collection[int] = (),
    reached: Collection[int] = (),
    rebound: Sequence[Any] = (),
    shared: Collection[int] = (),
) -> tuple[Signature, list[Any]]:
    """The signature of a call and its leaves, NumPy arrays among them as tensors of their memory.

    `constant_numbers` are the leaves whose numbers are constants of the program; `reached` the ids
    of the tensors that the function reaches without its arguments. `rebound` are the values of the
    slots that the function rebinds, inputs like the arguments; `shared` the ids of the tensors that
    are found elsewhere too.
    """
    leaves, structure = flatten(given)
    count = len(leaves)
    if rebound:
        more, inner = flatten(list(rebound))
        leaves += more
        structure = (*structure[:2], (*structure[2], inner))
    specs = []
    for i, x in enumerate(leaves):
        if isinstance(x, np.ndarray) and i < count:
            x = leaves[i] = wrap(x)
        specs.append(_spec(x, i in constant_numbers, reached if i < count else shared))
    aliases, casting = _aliases(leaves), crossroads.casting_key()
    return Signature(structure, tuple(specs), aliases, grad_enabled, casting), leaves


def _spec(x: Any, constant_float: bool, reached: Collection[int]) -> Spec:
    if isinstance(x, Tensor):
        check_untaken(x)
        check_has_values(x)
        identity = id(x) if id(x) in reached else None
        return TensorSpec(x.dtype, tuple(x.shape), x._node is not None, identity, _more(x))
    if (type(x) is float or isinstance(x, np.floating)) and not constant_float:
        return FloatSpec()
    return constant_spec(x)


def _more(x: Tensor) -> Any:
    hooks = [tuple(map(ById, found)) for found in hooks_of_tensor(x)]
    if type(x) is Tensor and not any(hooks) and not vars(x):
        return None
    marks = tuple([(name, constant_spec(value)) for name, value in vars(x).items()])
    return type(x), *hooks, marks


def _aliases(leaves: Sequence[Any]) -> tuple[int, ...]:
    tensors = [x for x in leaves if isinstance(x, Tensor)]
    if len(tensors) < 2:
        return tuple(range(len(tensors)))
    first: dict[int, int] = {}
    found = [first.setdefault(id(t._root()), i) for i, t in enumerate(tensors)]
    # another tensor on the memory of an earlier one is told from that tensor itself
    return tuple([at if t is tensors[at] else ~at for at, t in zip(found, tensors, strict=True)])


def sizes_that_fit(
    mine: Signature,
    shapes: Sequence[Shape | None],
    other: Signature,
    integers: Mapping[int, Integer] = NO_INTEGERS,
) -> dict[str, int] | None:
    """The sizes of the symbols in `shapes`, and the values of those of int arguments, for another
    call; None when the call doesn't fit."""
    if mine.structure != other.structure or mine.grad_enabled != other.grad_enabled:
        return None
    if mine.aliases != other.aliases:
        return None
    if mine.casting is not other.casting:
        return None
    sizes: dict[str, int] = {}
    for i, (spec, shape, theirs) in enumerate(zip(mine.specs, shapes, other.specs, strict=True)):
        if i in integers:
            if not isinstance(spec, ConstantSpec) or not isinstance(theirs, ConstantSpec):
                return None
            if theirs.kind is not spec.kind or not fits_integer(integers[i], theirs.value, sizes):
                return None
        elif shape is None or not isinstance(spec, TensorSpec):
            if spec != theirs:
                return None
        elif not isinstance(theirs, TensorSpec) or not _fits(spec, shape, theirs, sizes):
            return None
    return sizes


def _fits(spec: TensorSpec, shape: Shape, other: TensorSpec, sizes: dict[str, int]) -> bool:
    if spec.dtype is not other.dtype or spec[2:] != other[2:] or len(shape) != len(other.shape):
        return False
    for size, actual in zip(shape, other.shape, strict=True):
        if isinstance(size, Dim):
            assert isinstance(actual, int)
            if not _allows(size, actual) or sizes.setdefault(str(size), actual) != actual:
                return False
        elif size != actual:
            return False
    return True


def blank(signature: Signature) -> Signature:
    """A signature without sizes and ints: what calls have in common that one program may serve."""
    return signature._replace(specs=tuple(map(_blank, signature.specs)))


def _blank(spec: Spec) -> Spec:
    if isinstance(spec, TensorSpec):
        return spec._replace(shape=(0,) * len(spec.shape))
    if isinstance(spec, ConstantSpec) and is_integer(spec.value):
        return ConstantSpec(spec.kind, 0)
    return spec


def generalise(
    shape: Shape,
    seen: Sequence[Shape],
    names: dict[Any, Dim],
    declared: Mapping[int, Dim],
    everything: bool = False,
) -> Shape:
    """A shape whose varying sizes have become symbols.

    `seen` are the shapes that came at this place before; `names` maps a size at hand to its symbol,
    so that equal varying sizes share one; `declared` are the dims that the user named; `everything`
    makes a symbol of each size. Sizes 0 and 1 stay numbers, and those outside of the range of a dim
    that the user named are treated as if it were not named.
    """
    result: list[Any] = []
    for i, size in enumerate(shape):
        assert isinstance(size, int)
        if size < 2:
            result.append(size)
        elif i in declared and _allows(declared[i], size):
            result.append(_declared(declared[i], size, names))
        elif everything or any(_differs(s[i], size) for s in seen):
            if size not in names:
                names[size] = Dim.symbol(f"s{len(names)}", hint=size)
            result.append(names[size])
        else:
            result.append(size)
    return tuple(result)


def _differs(before: Any, size: int) -> bool:
    return isinstance(before, Dim) or (before != size and before >= 2)


def _allows(dim: Dim, size: int) -> bool:
    """Whether a size is at least 2, and in the range that the user declared for a dim."""
    least, most = dim.bounds()
    return size >= max(2, least or 0) and (most is None or size <= most)


def _declared(dim: Dim, size: int, names: dict[Any, Dim]) -> Dim:
    name = str(dim)  # a declared dim's key is its name, an undeclared one's the size at hand
    if name not in names:
        symbol = Symbol(name, hint=size, declared=True)
        symbol.least, symbol.most = dim.bounds()
        names[name] = Dim({(symbol,): 1})
    elif names[name].hint != size:
        raise ValueError(
            f"the dim {name!r} is {names[name].hint} in one argument and {size} in another"
        )
    return names[name]


def difference(old: Signature, new: Signature) -> list[str]:
    """What differs between two calls, one line an argument."""
    if old.structure != new.structure:
        return ["the arguments are nested differently"]
    lines = [
        f"argument {i}: {a} became {b}"
        for i, (a, b) in enumerate(zip(old.specs, new.specs, strict=True))
        if a != b
    ]
    if old.aliases != new.aliases:
        lines.append("other arguments share memory")
    if old.grad_enabled != new.grad_enabled:
        lines.append(f"grad mode: {old.grad_enabled} became {new.grad_enabled}")
    if old.casting is not new.casting:
        lines.append(f"autocast: {old.casting} became {new.casting}")
    return lines


def keeps_order(function: Any) -> bool:
    """Whether a function can see in which order keywords are given: it takes any."""
    kinds = {p.kind for p in _parameters(function)}
    return not kinds or inspect.Parameter.VAR_KEYWORD in kinds


def _parameters(function: Any) -> list[inspect.Parameter]:
    target = getattr(function, "forward", function)  # a module's arguments are its forward's
    try:
        return list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):
        return []  # a callable without a signature


def parameter_names(function: Any) -> list[str]:
    """The names of the parameters that arguments in order are for, as far as it tells them."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in _parameters(function) if p.kind in positional]


def argument_origins(function: Any, given: Given) -> list[tuple[int | None, str]]:
    """For each leaf the position and the name of the argument that it belongs to."""
    names = parameter_names(function)
    origins: list[tuple[int | None, str]] = []
    for i, value in enumerate(given[0]):
        name = names[i] if i < len(names) else f"arg{i}"
        origins += [(i, name)] * len(flatten(value)[0])
    for name, value in given[1].items():
        position = names.index(name) if name in names else None
        origins += [(position, name)] * len(flatten(value)[0])
    return origins


def argument_labels(function: Any, given: Given) -> list[str]:
    """A name for every leaf of the arguments: the parameter's, numbered where it has several."""
    names = [name for _, name in argument_origins(function, given)]
    labels: list[str] = []
    for i, name in enumerate(names):
        count = names.count(name)
        labels.append(name if count == 1 else f"{name}_{names[:i].count(name)}")
    return labels
