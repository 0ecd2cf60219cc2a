"""What host values make of each other, in NumPy: shapes, and constants among them.

These are the same ops as those of `importers`, on arrays of known elements, symbolic sizes among
them. A rule gives NotImplemented for what it leaves to the op's importer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from argand.base.dim import Dim
from argand.onnx.values import NARROW, dtype_of, has_dims, int_list, is_text, scalar, settled, sizes

Rule = Callable[..., Any]
_RULES: dict[str, Rule] = {}

LARGEST = 1 << 20
"""Elements that a host value may be made to have; a tensor is made of larger ones."""


def on_host(*names: str) -> Callable[[Rule], Rule]:
    """Makes a function of arrays the rule of ops."""

    def register(rule: Rule) -> Rule:
        for name in names:
            _RULES[name] = rule
        return rule

    return register


def rule_of(domain: str, op: str) -> Rule | None:
    """The rule of an op, if there is one."""
    return _RULES.get(op) if domain == "" else None


def _elementwise(name: str, function: Callable[..., Any]) -> None:
    def rule(*values: Any, **attributes: Any) -> Any:
        if attributes or any(v is None or is_text(v) or v.dtype in NARROW for v in values):
            return NotImplemented
        with np.errstate(all="ignore"):
            result = function(*values)
        return settled(_like(result, values[0]))

    _RULES[name] = rule


def _like(result: Any, first: Any) -> Any:
    """As an array of the operands' dtype: NumPy makes scalars of arrays without dimensions."""
    if isinstance(result, np.ndarray):
        return result
    if isinstance(result, Dim):
        return sizes([result]).reshape(())
    return np.asarray(result)


_elementwise("Add", np.add)
_elementwise("Sub", np.subtract)
_elementwise("Mul", np.multiply)


@on_host("Div")
def _div(a: Any, b: Any) -> Any:
    if has_dims(a) or has_dims(b):
        # Sizes are not negative, so floor is truncation.
        return settled(_like(np.floor_divide(a, b), a))
    if a.dtype.kind not in "iu" or (np.asarray(b) == 0).any():
        return NotImplemented
    quotient = np.floor_divide(a, b)
    return np.asarray(quotient + ((quotient < 0) & (quotient * b != a)), a.dtype)


@on_host("Mod")
def _mod(a: Any, b: Any, *, fmod: int = 0) -> Any:
    if fmod or a.dtype.kind == "f" or not (has_dims(a) or has_dims(b)):
        return NotImplemented
    return settled(_like(np.mod(a, b), a))


def _comparison(name: str, compare: Callable[..., Any]) -> None:
    def rule(a: Any, b: Any) -> Any:
        if is_text(a) or is_text(b):
            return NotImplemented
        if has_dims(a) or has_dims(b):
            return np.asarray(np.vectorize(compare, otypes=[bool])(a, b))
        return np.asarray(compare(a, b))

    _RULES[name] = rule


for _name, _compare in {
    "Equal": lambda a, b: a == b,
    "Greater": lambda a, b: a > b,
    "Less": lambda a, b: a < b,
    "GreaterOrEqual": lambda a, b: a >= b,
    "LessOrEqual": lambda a, b: a <= b,
}.items():
    _comparison(_name, _compare)


@on_host("And")
def _and(a: Any, b: Any) -> Any:
    return np.asarray(a & b)


@on_host("Or")
def _or(a: Any, b: Any) -> Any:
    return np.asarray(a | b)


@on_host("Not")
def _not(a: Any) -> Any:
    return np.asarray(~a)


def _extremes(name: str, larger: bool) -> None:
    from argand.base.dim import dim_max, dim_min

    def rule(*values: Any) -> Any:
        if any(has_dims(v) for v in values):
            choose: Any = np.frompyfunc(dim_max if larger else dim_min, 2, 1)
        elif all(v.dtype.kind in "iu" for v in values):
            choose = np.maximum if larger else np.minimum
        else:
            return NotImplemented
        result = values[0]
        for v in values[1:]:
            result = choose(result, v)
        return settled(_like(result, values[0]))

    _RULES[name] = rule


_extremes("Max", True)
_extremes("Min", False)


@on_host("Identity")
def _identity(x: Any) -> Any:
    return x


@on_host("Shape")
def _shape(x: Any, *, start: int = 0, end: int | None = None) -> Any:
    if not isinstance(x, np.ndarray):
        return NotImplemented
    return np.array(x.shape[start:end], np.int64)


@on_host("Size")
def _size(x: Any) -> Any:
    return np.array(x.size, np.int64) if isinstance(x, np.ndarray) else NotImplemented


@on_host("Constant")
def _constant(**attributes: Any) -> Any:
    from argand.onnx.importers.shaping import constant

    return constant(**attributes)


@on_host("Cast")
def _cast(x: Any, *, to: int, saturate: int = 1, round_mode: str = "up") -> Any:
    dtype = dtype_of(to)
    if has_dims(x):
        return x if to in (6, 7) else NotImplemented
    if is_text(x) or isinstance(dtype, np.dtype) or x.dtype.kind not in "iufb":
        return NotImplemented
    if dtype.kind in "iu" and x.dtype.kind == "f" and not np.isfinite(x).all():
        return NotImplemented
    if dtype.kind not in "iufb" or dtype.itemsize < 4:
        return NotImplemented
    with np.errstate(all="ignore"):
        return x.astype(dtype.numpy)


@on_host("Reshape")
def _reshape(x: Any, shape: Any, *, allowzero: int = 0) -> Any:
    from argand.onnx.importers.shaping import new_shape

    if has_dims(shape):
        return NotImplemented
    return x.reshape(new_shape(x.shape, int_list(shape), bool(allowzero)))


@on_host("Squeeze")
def _squeeze(x: Any, axes: Any = None) -> Any:
    return np.squeeze(x, None if axes is None else tuple(int_list(axes)))


@on_host("Unsqueeze")
def _unsqueeze(x: Any, axes: Any) -> Any:
    return np.expand_dims(x, tuple(int_list(axes)))


@on_host("Transpose")
def _transpose(x: Any, *, perm: Any = None) -> Any:
    return np.transpose(x, perm)


@on_host("Concat")
def _concat(*values: Any, axis: int) -> Any:
    if any(v is None or v.dtype in NARROW for v in values):
        return NotImplemented
    return settled(np.concatenate(values, axis)) if not is_text(values[0]) else NotImplemented


@on_host("Gather")
def _gather(x: Any, indices: Any, *, axis: int = 0) -> Any:
    if has_dims(indices) or x.size > LARGEST:
        return NotImplemented
    return settled(_like(np.take(x, indices, axis), x))


@on_host("Slice")
def _slice(x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    from argand.onnx.importers.shaping import bounds

    if any(v is not None and has_dims(v) for v in (starts, ends)):
        return NotImplemented
    index = [slice(None)] * x.ndim
    for axis, start, stop, step in bounds(x.shape, starts, ends, axes, steps):
        index[axis] = slice(start, None if stop < 0 else stop, step)
    return settled(x[tuple(index)])


@on_host("ConstantOfShape")
def _constant_of_shape(shape: Any, *, value: Any = None) -> Any:
    if has_dims(shape) or math.prod(int_list(shape)) > LARGEST:
        return NotImplemented
    fill = np.zeros(1, np.float32) if value is None else value
    return np.full(int_list(shape), fill.reshape(-1)[0], fill.dtype)


@on_host("Expand")
def _expand(x: Any, shape: Any) -> Any:
    if has_dims(shape) or math.prod(int_list(shape)) * x.size > LARGEST:
        return NotImplemented
    return np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(int_list(shape))))


@on_host("Range")
def _range(start: Any, limit: Any, delta: Any) -> Any:
    if any(has_dims(v) for v in (start, limit, delta)) or start.dtype.kind not in "iu":
        return NotImplemented
    first, last, step = scalar(start), scalar(limit), scalar(delta)
    if step == 0 or (last - first) / step > LARGEST:
        return NotImplemented
    return np.arange(first, last, step).astype(start.dtype)


@on_host("Where")
def _where(condition: Any, a: Any, b: Any) -> Any:
    if is_text(a) or is_text(b) or a.dtype in NARROW:
        return NotImplemented
    return settled(np.where(condition, a, b))


@on_host("ReduceProd")
def _reduce_prod(
    x: Any, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> Any:
    if noop_with_empty_axes or x.dtype.kind not in "iO":
        return NotImplemented
    axis = None if axes is None or not len(axes) else tuple(int_list(axes))
    return settled(_like(np.prod(x, axis, keepdims=bool(keepdims)), x))


@on_host("Split")
def _split(
    x: Any, split: Any = None, *, axis: int = 0, num_outputs: int | None = None, node: Any = None
) -> Any:
    if split is None or has_dims(split):
        return NotImplemented
    parts = np.split(x, np.cumsum(int_list(split))[:-1], axis)
    return tuple(settled(p) for p in parts)
