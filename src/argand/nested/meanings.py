"""What functions mean for nested tensors."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from argand.base.dtype import bool_
from argand.base.errors import ArgumentError
from argand.nested.core import NestedError, NestedTensor, RaggedSize, Rows, made
from argand.nn import functional as F
from argand.tensor import joining, shaping
from argand.tensor.composed import ASKING, BINARY, CASTS, UNARY, Meaning, Meanings
from argand.tensor.core import Tensor
from argand.tensor.surface import functions

_ACTIVATIONS = """alpha_dropout celu dropout elu feature_alpha_dropout gelu hardshrink hardsigmoid
hardswish hardtanh leaky_relu logsigmoid mish prelu relu6 rrelu selu silu softplus softshrink
softsign tanhshrink threshold"""
_TRAILING = "embedding layer_norm linear normalize rms_norm"
_REDUCTIONS = "all amax amin any argmax argmin logsumexp max mean min prod std sum var"
_ALONG = "cumprod cumsum flip log_softmax softmax softmin sort"


def _function(name: str) -> Any:
    if name == "where":  # the method's condition is its second argument
        return functions[name]
    for place in (Tensor, F, shaping):
        found = getattr(place, name, None)
        if found is not None and not isinstance(found, property):
            return found
    return functions[name]


def _dim(x: NestedTensor, dim: int, more: int = 0) -> int:
    """A dimension counted from the first one; IndexError for one that isn't there."""
    rank = x.ndim + more
    if not -rank <= dim < rank:
        raise IndexError(f"dimension {dim} is out of range for a nested tensor of {rank}")
    return operator.index(dim) % rank


def _inner(name: str, x: NestedTensor, dim: int, more: int = 0) -> int:
    """The same dimension of the elements; refused for the batch's."""
    found = _dim(x, dim, more)
    if found == 0:
        raise NestedError(f"{name}(): not supported for NestedTensor on dim=0")
    return found - 1


# -- elementwise -----------------------------------------------------------------------------------


def _operand(name: str, x: Any, like: NestedTensor) -> Any:
    """An operand as it fits the elements of `like`."""
    if isinstance(x, NestedTensor):
        fits = x._rows == like._rows and x.ndim - x._ragged == like.ndim - like._ragged
        if not fits:
            raise NestedError(
                f"{name}: the shapes {tuple(x.shape)} and {tuple(like.shape)} of nested tensors "
                "don't fit: their tensors must have the same sizes"
            )
        return x._elements
    if not isinstance(x, Tensor) or x.ndim < like.ndim:
        return x
    if x.ndim > like.ndim or x.shape[like._ragged] != 1:
        raise NestedError(
            f"{name}: a tensor of shape {tuple(x.shape)} doesn't fit a nested one of shape "
            f"{tuple(like.shape)}, whose ragged dimension it must have as 1"
        )
    if x.shape[0] == 1:
        return functions["squeeze"](x, 0)
    rows = functions["squeeze"](x, like._ragged)
    numbers = functions["tensor"](_of_each_row(like._rows))
    return functions["index_select"](rows, 0, numbers).movedim(0, like._ragged - 1)


def _of_each_row(rows: Rows) -> list[int]:
    """The number of the tensor that each row of the elements belongs to; 0 in a gap."""
    found = [0] * rows.total
    for number, (start, end) in enumerate(zip(rows.starts, rows.ends, strict=True)):
        found[start:end] = [number] * (end - start)
    return found


def _elementwise(name: str) -> Meaning:
    function = _function(name)

    def meaning(*args: Any, **kwargs: Any) -> Any:
        like = next(x for x in (*args, *kwargs.values()) if isinstance(x, NestedTensor))
        given = [_operand(name, x, like) for x in args]
        named = {k: _operand(name, x, like) for k, x in kwargs.items()}
        return like._with(function(*given, **named))

    return meaning


def _where(first: Any, second: Any, *other: Any) -> Any:
    """``where(condition, x, y)``, and ``x.where(condition, y)``."""
    is_method = first.dtype is not bool_
    return _choice(*((second, first) if is_method else (first, second)), *other)


def _of_elements(name: str) -> Meaning:
    function = _function(name)

    def meaning(input: NestedTensor, *args: Any, **kwargs: Any) -> Any:
        given = [x._elements if isinstance(x, NestedTensor) else x for x in args]
        found = function(input._elements, *given, **kwargs)
        return input._with(found) if isinstance(found, Tensor) else found

    return meaning


def _assigned(meaning: Meaning) -> Meaning:
    def inplace(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.requires_grad and self.is_leaf:
            raise ArgumentError("a leaf that requires grad can't be changed in place")
        self._elements = meaning(self, *args, **kwargs)._elements.to(self.dtype)
        return self

    return inplace


def _trailing(name: str) -> Meaning:
    """A layer that works along the last dimensions."""
    function = _function(name)

    def meaning(input: Any, *args: Any, **kwargs: Any) -> Any:
        if name == "embedding" or not isinstance(input, NestedTensor):
            found = function(getattr(input, "_elements", input), *args, **kwargs)
            return input._with(found)
        if input._ragged == input.ndim - 1:
            raise NestedError(f"{name}(): not supported along the ragged dimension; transpose it")
        return input._with(function(input._elements, *args, **kwargs))

    return meaning


def _matmul(input: Any, other: Any) -> Any:
    if isinstance(input, NestedTensor) and isinstance(other, NestedTensor):
        parts = [a @ b for a, b in zip(input.parts(), other.parts(), strict=True)]
        if input._ragged < input.ndim - 1 and other._ragged == other.ndim - 2:
            raise NestedError("matmul: the ragged dimensions don't fit")
        if input._ragged == input.ndim - 1:  # both ragged dimensions are summed over
            return joining.stack(parts)
        return made(joining.cat(parts, input._ragged - 1), input._rows, input._ragged)
    if isinstance(other, NestedTensor) or input._ragged == input.ndim - 1 or other.ndim > 2:
        raise NestedError("matmul: a nested tensor is multiplied by a matrix, from the right")
    return input._with(input._elements @ other)


# -- along dimensions ------------------------------------------------------------------------------


def _reducing(name: str) -> Meaning:
    function = _function(name)

    def meaning(input: Any, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> Any:
        if isinstance(dim, Tensor):
            raise NestedError(f"{name}: of two nested tensors it is torch.maximum or minimum")
        if dim is None:
            return function(_whole(input), **kwargs)
        dims = {_dim(input, d) for d in (dim if isinstance(dim, tuple | list) else (dim,))}
        if 0 in dims and input._ragged not in dims:
            raise NestedError(
                f"{name}(): reducing along the batch dimension but not the ragged dimension is "
                "not supported for nested tensors"
            )
        inner = [d - 1 for d in sorted(dims) if d]
        along: Any = inner if isinstance(dim, tuple | list) else inner[0]
        if 0 in dims:
            found = function(_whole(input), along, keepdim, **kwargs)
            return found.unsqueeze(0) if keepdim else found
        if input._ragged in dims:
            return _stacked([function(x, along, keepdim, **kwargs) for x in input.parts()])
        before = 0 if keepdim else sum(d < input._ragged for d in dims)
        found = function(input._elements, along, keepdim, **kwargs)
        if not isinstance(found, Tensor):
            return type(found)(*[input._turned(x, input._ragged - before) for x in found])
        return input._turned(found, input._ragged - before)

    return meaning


def _whole(x: NestedTensor) -> Any:
    """The elements without the gaps."""
    return joining.cat(x.parts(), x._ragged - 1) if x._rows.has_gaps else x._elements


def _stacked(parts: list[Any]) -> Any:
    if isinstance(parts[0], Tensor):
        return joining.stack(parts)
    return type(parts[0])(*[joining.stack(list(each)) for each in zip(*parts, strict=True)])


def _along(name: str) -> Meaning:
    """A function along one dimension, tensor by tensor if that is the ragged one."""
    function = _function(name)

    def meaning(input: Any, dim: Any = -1, *args: Any, **kwargs: Any) -> Any:
        inner = _inner(name, input, dim)
        if inner != input._ragged - 1:
            found = function(input._elements, inner, *args, **kwargs)
            if not isinstance(found, Tensor):
                return type(found)(*map(input._with, found))
            return input._with(found)
        found = [function(x, inner, *args, **kwargs) for x in input.parts()]
        return made(joining.cat(found, inner), Rows.dense(input._rows.counts), input._ragged)

    return meaning


# -- shapes ----------------------------------------------------------------------------------------


def _transpose(input: NestedTensor, dim0: int, dim1: int) -> Any:
    a, b = (_inner("transpose", input, d) for d in (dim0, dim1))
    at = {a: b, b: a}.get(input._ragged - 1, input._ragged - 1)
    return input._turned(input._elements.transpose(a, b), at + 1)


def _permute(input: NestedTensor, *dims: Any) -> Any:
    order = [_dim(input, d) for d in (dims[0] if isinstance(dims[0], tuple | list) else dims)]
    if order[0] != 0:
        raise NestedError("permute: the batch stays the first dimension of a nested tensor")
    found = input._elements.permute([d - 1 for d in order[1:]])
    return input._turned(found, order.index(input._ragged))


def _unsqueeze(input: NestedTensor, dim: int) -> Any:
    inner = _inner("unsqueeze", input, dim, 1)
    return input._turned(input._elements.unsqueeze(inner), input._ragged + (inner < input._ragged))


def _squeeze(input: NestedTensor, dim: int) -> Any:
    inner = _inner("squeeze", input, dim)
    if inner == input._ragged - 1 or input._elements.shape[inner] != 1:
        return input
    return input._turned(input._elements.squeeze(inner), input._ragged - (inner < input._ragged))


def _flatten(input: NestedTensor, start_dim: int = 0, end_dim: int = -1) -> Any:
    first, last = (_inner("flatten", input, d) for d in (start_dim, end_dim))
    if first <= input._ragged - 1 <= last and first != last:
        raise NestedError("flatten(): not supported for NestedTensor on ragged dim")
    at = input._ragged - (last - first if last < input._ragged - 1 else 0)
    return input._turned(input._elements.flatten(first, last), at)


def _unflatten(input: NestedTensor, dim: int, sizes: Sequence[int]) -> Any:
    inner = _inner("unflatten", input, dim)
    if inner == input._ragged - 1:
        raise NestedError("unflatten(): not supported for NestedTensor on ragged dim")
    at = input._ragged + (len(sizes) - 1 if inner < input._ragged - 1 else 0)
    return input._turned(input._elements.unflatten(inner, sizes), at)


def _reshape(input: NestedTensor, *shape: Any) -> Any:
    sizes = list(shape[0] if isinstance(shape[0], tuple | list) else shape)
    ragged = [i for i, n in enumerate(sizes) if isinstance(n, RaggedSize)]
    ragged = ragged or [i for i, n in enumerate(sizes) if n == -1]
    if not ragged or ragged[0] == 0 or sizes[0] not in (len(input._rows.counts), -1):
        raise NestedError(
            f"view of a nested tensor of shape {tuple(input.shape)}: the batch and the ragged size "
            f"(or -1) must stay, got {tuple(sizes)}"
        )
    inner = [input._rows.total if i == ragged[0] else n for i, n in enumerate(sizes)][1:]
    return input._turned(input._elements.reshape(inner), ragged[0])


def _unbind(input: NestedTensor, dim: int = 0) -> Any:
    if _dim(input, dim) != 0:
        raise NestedError("unbind(): only along the batch of a nested tensor")
    return tuple(input.parts())


def _select(input: NestedTensor, dim: int, index: int) -> Any:
    if _dim(input, dim) == 0:
        return input.parts()[operator.index(index)]
    inner = _inner("select", input, dim)
    if inner == input._ragged - 1:
        return joining.stack([part.select(inner, index) for part in input.parts()])
    return input._turned(
        input._elements.select(inner, index), input._ragged - (inner < input._ragged)
    )


def _getitem(input: NestedTensor, index: Any) -> Any:
    items = list(index) if isinstance(index, tuple) else [index]
    if Ellipsis in items:
        at = items.index(Ellipsis)
        items[at : at + 1] = [slice(None)] * (input.ndim - len(items) + 1)
    first, rest = items[0], tuple(items[1:])
    if isinstance(first, int):
        part = input.parts()[first]
        return part[rest] if rest else part
    if first != slice(None):
        raise NestedError("a nested tensor's batch is indexed by a number, or by `:`")
    along = rest[input._ragged - 1] if len(rest) >= input._ragged else slice(None)
    if along != slice(None):
        raise NestedError("a nested tensor's ragged dimension isn't indexed; see unbind()")
    found, kept = input._elements, 1
    for item in rest:
        if isinstance(item, int):
            found = found.select(kept - 1, item)
        elif isinstance(item, slice):
            found, kept = found[(slice(None),) * (kept - 1) + (item,)], kept + 1
        else:
            raise NestedError("a nested tensor is indexed by numbers and slices")
    before = sum(isinstance(item, int) for item in rest[: input._ragged - 1])
    return input._turned(found, input._ragged - before)


def _parted(name: str) -> Meaning:
    function = _function(name)

    def meaning(input: NestedTensor, sizes: Any, dim: int = 0) -> Any:
        inner = _inner(name, input, dim)
        if inner == input._ragged - 1:
            raise NestedError(f"{name}(): not supported for NestedTensor on the ragged dimension")
        return tuple(input._with(part) for part in function(input._elements, sizes, inner))

    return meaning


def _narrow(input: NestedTensor, dim: int, start: int, length: int) -> Any:
    inner = _inner("narrow", input, dim)
    if inner == input._ragged - 1:
        raise NestedError("narrow(): not supported for NestedTensor on the ragged dimension")
    return input._with(input._elements.narrow(inner, start, length))


def _cat(tensors: Any, dim: int = 0, **options: Any) -> Any:
    first = next(x for x in tensors if isinstance(x, NestedTensor))
    if not all(isinstance(x, NestedTensor) for x in tensors):
        raise NestedError("cat(): expected all tensors to be nested")
    inner = _dim(first, dim) - 1
    if inner == -1:
        rows = Rows.dense([n for x in tensors for n in x._rows.counts])
        found = joining.cat([_whole(x) for x in tensors], first._ragged - 1)
        return made(found, rows, first._ragged, first._layout)
    if inner == first._ragged - 1:
        raise NestedError("cat(): not supported for NestedTensor on the ragged dimension")
    return first._with(joining.cat([_operand("cat", x, first) for x in tensors], inner))


def _like(name: str) -> Meaning:
    return lambda input, **options: input._with(functions[name](input._elements, **options))


# -- attention -------------------------------------------------------------------------------------


def _attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """Attention of each tensor of the batch by itself, (B, heads, j, width) each."""
    if attn_mask is not None:
        raise NestedError("scaled_dot_product_attention: nested tensors take no attn_mask")
    given = (query, key, value)
    if not all(isinstance(x, NestedTensor) and x.ndim == 4 and x._ragged == 2 for x in given):
        raise NestedError(
            "scaled_dot_product_attention: query, key and value must all be nested, of shape "
            "(B, heads, j, width)"
        )
    parts = [
        F.scaled_dot_product_attention(q, k, v, None, dropout_p, is_causal, scale, enable_gqa)
        for q, k, v in zip(*[x.parts() for x in given], strict=True)
    ]
    return made(joining.cat(parts, 1), Rows.dense(query._rows.counts), 2, query._layout)


_choice = _elementwise("where")


def _fill_table() -> None:
    table: Meanings = NestedTensor.meanings
    names = (*UNARY.split(), *BINARY.split(), *_ACTIVATIONS.split(), "masked_fill", "lerp")
    elementwise = {name: _elementwise(name) for name in names}
    table |= elementwise
    table |= {f"{n}_": _assigned(f) for n, f in elementwise.items() if not n.startswith("__")}
    table |= {
        n: _of_elements(n) for n in (*CASTS.split(), *ASKING.split(), "copy_", "requires_grad_")
    }
    table |= {name: _trailing(name) for name in _TRAILING.split()}
    table |= {name: _reducing(name) for name in _REDUCTIONS.split()}
    table |= {name: _along(name) for name in _ALONG.split()}
    table |= {
        n: _like(n)
        for n in ("ones_like", "zeros_like", "full_like", "empty_like", "rand_like", "randn_like")
    }
    table |= {name: _parted(name) for name in ("chunk", "split", "tensor_split")}
    table |= {
        "__getitem__": _getitem,
        "cat": _cat,
        "concat": _cat,
        "clone": lambda x, **options: x._each(lambda part: part.clone()),
        "contiguous": lambda x, **options: x._each(lambda part: part.contiguous()),
        "detach": lambda x: x.detach(),
        "equal": lambda x, y: x._rows == y._rows and functions["equal"](x._elements, y._elements),
        "flatten": _flatten,
        "is_same_size": lambda x, y: tuple(x.shape) == tuple(y.shape),
        "is_tensor": lambda x: True,
        "matmul": _matmul,
        "narrow": _narrow,
        "numel": lambda x: x.numel(),
        "permute": _permute,
        "reshape": _reshape,
        "retain_grad": lambda x: x._elements.retain_grad(),
        "scaled_dot_product_attention": _attention,
        "select": _select,
        "squeeze": _squeeze,
        "swapaxes": _transpose,
        "transpose": _transpose,
        "unbind": _unbind,
        "unflatten": _unflatten,
        "unsqueeze": _unsqueeze,
        "view": _reshape,
        "where": _where,
    }


_fill_table()
