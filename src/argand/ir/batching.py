"""Many calls of an op as one: what `vmap` asks of families and ops.

`Op.batched(size, inputs, params)` gets the operands of `size` calls that differ in nothing but
their tensors, and gives their results. An operand is the same for all calls, or has their number as
its first dimension; so do results. What it binds goes to the interpreter on top of the stack, which
is the one around the calls.

Most families compute a stack of calls as they compute one, of operands with one more dimension in
front (`together`): what their parameters say of dimensions is counted on (`behind_one_more`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from argand.base.dim import Extent
from argand.base.shape import Shape, same_shape
from argand.ir.bind import bind
from argand.ir.op import Literal, Params, ops


class Operand(NamedTuple):
    """An operand, or a result, of several calls of an op."""

    value: Any
    many: bool  # whether the first dimension counts the calls

    @property
    def shape(self) -> Shape:
        """The shape that each call sees."""
        shape = tuple(self.value.shape)
        return shape[1:] if self.many else shape

    def stacked(self, size: Extent) -> Any:
        """A value for each call, one behind the other; a literal as it is."""
        if self.many or type(self.value) is Literal:
            return self.value
        shape = self.shape
        return ops.expand(ops.reshape(self.value, (1, *shape)), (size, *shape))


Operands = Sequence[Operand]


def each(values: Sequence[Any]) -> list[Operand]:
    """Values with the number of calls in front."""
    return [Operand(v, True) for v in values]


def together(op: Any, size: Extent, inputs: Operands, params: Params) -> list[Operand]:
    """The calls of an op for which operands with one more dimension in front are nothing new."""
    values = [x.stacked(size) for x in inputs]
    flat = "dim" in params and all(not x.shape for x in inputs)
    if flat:  # a number counts as a vector of one element, along which the op goes
        values = [ops.reshape(v, (size, 1)) for v in values]
        params = {**params, "dim": params["dim"] if params["dim"] != () else (0,)}
    found = bind(op, tuple(values), behind_one_more(params, size))
    return each([ops.reshape(y, (size,)) for y in found] if flat else found)


def behind_one_more(params: Params, size: Extent) -> Params:
    """The parameters of a call for operands with one more dimension, of this size, in front."""
    return {name: _BEHIND[name](v, size) if name in _BEHIND else v for name, v in params.items()}


def _counted_on(dims: Any, size: Extent) -> Any:
    return dims + 1 if isinstance(dims, int) else tuple(d + 1 for d in dims)


# What the parameters of all ops that speak of dimensions are called.
_BEHIND: dict[str, Callable[[Any, Any], Any]] = {
    "dim": _counted_on,
    "dim1": _counted_on,
    "dim2": _counted_on,
    "dims": _counted_on,
    "shape": lambda shape, size: (size, *shape),
    "start": lambda start, size: (0, *start),
    "stop": lambda stop, size: (size, *stop),
    "step": lambda step, size: (1, *step) if isinstance(step, tuple) else step,
    "padding": lambda padding, size: ((0, 0), *padding),
}


def moved(x: Any, source: int, target: int) -> Any:
    """A tensor with one of its dimensions at another place."""
    order = [d for d in range(len(x.shape)) if d != source]
    order.insert(target, source)
    return x if source == target else ops.permute(x, tuple(order))


def merged(x: Any, dim: int) -> Any:
    """A tensor with its first dimension as the outer part of what was dimension `dim` behind it."""
    x = moved(x, 0, dim)
    shape = tuple(x.shape)
    return ops.reshape(x, (*shape[:dim], shape[dim] * shape[dim + 1], *shape[dim + 2 :]))


def parted(x: Any, dim: int, size: Extent) -> Any:
    """What `merged` makes of tensors, taken apart again."""
    shape = tuple(x.shape)
    inner = shape[dim] // size
    return moved(ops.reshape(x, (*shape[:dim], size, inner, *shape[dim + 1 :])), dim, 0)


def one_by_one(op: Any, size: int, inputs: Operands, params: Params) -> list[Operand]:
    """The calls one after another: what every op allows."""
    calls = [
        bind(op, tuple(_of_call(x, i) for x in inputs), params) for i in range(max(int(size), 1))
    ]
    if not size:  # results of no call, in the shapes that one would give
        return each(
            [ops.slice(_one(y), (0,) * (len(y.shape) + 1), (0, *y.shape)) for y in calls[0]]
        )
    if len(calls) == 1:
        return each([_one(y) for y in calls[0]])
    return each([ops.cat(*map(_one, results), dim=0) for results in zip(*calls, strict=True)])


def _of_call(x: Operand, i: int) -> Any:
    """What one call gets of an operand."""
    if not x.many:
        return x.value
    shape = x.shape
    if same_shape(x.value.shape[:1], (0,)):
        return ops.full(shape, 1, x.value.dtype)
    row = ops.slice(x.value, (i, *(0,) * len(shape)), (i + 1, *shape))
    return ops.reshape(row, shape)


def _one(y: Any) -> Any:
    return ops.reshape(y, (1, *y.shape))


def drawn(op: Any, size: Extent, inputs: Operands, params: Params) -> list[Operand]:
    """Random draws, one behind the other; the first operand is the generator's state, which all
    calls share, and so do results behind the first."""
    state, *rest = inputs
    values = [x.stacked(size) for x in rest]
    rows = bool(rest) and "shape" in params  # a shape that the operands tell as well
    if rows:
        values = [merged(v, 0) for v in values]
        shape = (size * params["shape"][0], *params["shape"][1:])
    elif "shape" in params:
        shape = (size, *params["shape"])
    given = {**params, "shape": shape} if "shape" in params else params
    y, *behind = bind(op, (state.value, *values), given)
    return [Operand(parted(y, 0, size) if rows else y, True), *(Operand(x, False) for x in behind)]


def contracted(op: Any, size: Extent, inputs: Operands, params: Params) -> list[Operand]:
    """Contractions with a label more, of those operands that there are many of."""
    lhs, rhs = inputs
    left, right, result = op.label_strings(_Shaped(lhs), _Shaped(rhs), params)
    label = next(c for c in _LABELS if c not in left + right + result)
    terms = [label + s if x.many else s for x, s in zip(inputs, (left, right), strict=True)]
    return each([ops.einsum(f"{','.join(terms)}->{label}{result}", lhs.value, rhs.value)])


_LABELS = "zyxwvutsrqponmlkjihgfedcbaABCDEFGHIJKLMNOPQRSTUVWXYZ"


class _Shaped:
    """An operand as a call sees it."""

    def __init__(self, x: Operand) -> None:
        self.dtype, self.shape = x.value.dtype, x.shape


def convolved(op: Any, size: Extent, inputs: Operands, params: Params) -> list[Operand]:
    """Convolutions. With one weight for all, the calls' images are one batch; with a weight each,
    they are groups of channels."""
    roles = op.roles
    if roles[2] == "weight" or any(
        x.many and role == "weight" for x, role in zip(inputs, roles, strict=False)
    ):
        dims = [0 if role == "weight" else 1 for role in roles]
        given = {**params, "groups": params["groups"] * size}
        values = [merged(x.stacked(size), d) for x, d in zip(inputs, dims, strict=False)]
        return each([parted(bind(op, tuple(values), given)[0], dims[2], size)])
    found = [merged(x.value, 0) if x.many else x.value for x in inputs]
    return each([parted(bind(op, tuple(found), params)[0], 0, size)])


def pooled(op: Any, size: Extent, inputs: Operands, params: Params) -> list[Operand]:
    """Windows over images (N, C, H, W), all of one batch."""
    found = bind(op, tuple([merged(x.stacked(size), 0) for x in inputs]), params)
    return each([parted(y, 0, size) for y in found])


def indexed(op: Any, size: Extent, inputs: Operands, params: Params) -> list[Operand]:
    """Reads or writes x[..., indices, ...], where the number of the call may be one more index.

    `op` is one of `argand.ops.gather`: x, for a write the values, then an index for each of `dims`.
    """
    x, *values = inputs[: len(inputs) - len(params["dims"])]
    indices = inputs[len(inputs) - len(params["dims"]) :]
    dims, rank = params["dims"], len(indices[0].shape)
    inner = [d + 1 for d in dims]
    own = any(i.many for i in indices)
    if own and not x.many and not values:  # all read the same
        (y,) = bind(op, (x.value, *(i.stacked(size) for i in indices)), params)
        return each([moved(y, _place(dims), 0)])
    if own:
        calls = ops.reshape(ops.arange(0, 1, size, "int64"), (size, *(1,) * rank))
        first = ops.expand(calls, (size, *indices[0].shape))
        found, inner = [first, *(i.stacked(size) for i in indices)], [0, *inner]
    else:
        found = [i.value for i in indices]
    # Behind the number of the call come the dimensions of one of its results. The op's result has
    # those of the index together with it, or in front of it, where they have no place of their own.
    begin = 0 if own else _place(tuple(inner))
    ahead = _place(dims)
    results = len(x.shape) - len(dims) + rank + 1
    theirs = list(range(1 + ahead, 1 + ahead + rank))
    if own:
        theirs = [0, *theirs]
    order = [d for d in range(results) if d not in theirs]
    order = [*order[:begin], *theirs, *order[begin:]]
    given = [ops.permute(v.stacked(size), tuple(order)) for v in values]
    (y,) = bind(op, (x.stacked(size), *given, *found), {**params, "dims": tuple(inner)})
    back = tuple(order.index(d) for d in range(results))
    return each([y if values else ops.permute(y, back)])


def _place(dims: Sequence[int]) -> int:
    """Where the dimensions of an index begin in a result; first, unless `dims` are adjacent."""
    return dims[0] if list(dims) == list(range(dims[0], dims[0] + len(dims))) else 0
