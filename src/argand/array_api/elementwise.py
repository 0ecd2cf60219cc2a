"""Elementwise functions by the standard's names: a table over Argand's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argand.base.dtype import promote_types
from argand.ir.elementwise import is_number
from argand.ir.op import ops
from argand.tensor.surface import functions


def _same(names: str) -> dict[str, str]:
    return {name: name for name in names.split()}


# By the standard's name, Argand's.
UNARY = _same(
    "abs acos acosh asin asinh atan atanh ceil conj cos cosh exp expm1 floor imag isfinite isinf "
    "isnan log log1p log2 log10 logical_not positive real reciprocal round signbit sin sinh "
    "square sqrt tan tanh trunc"
) | {"bitwise_invert": "bitwise_not", "negative": "neg", "sign": "sgn"}
BINARY = _same(
    "add atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign "
    "hypot logaddexp logical_and logical_or logical_xor maximum minimum nextafter pow "
    "remainder"
) | {
    "divide": "div",
    "equal": "eq",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "multiply": "mul",
    "not_equal": "ne",
    "subtract": "sub",
}
METHODS = {"imag": ops.imag, "real": ops.real}


def operands(*values: Any) -> list[Any]:
    """Tensors of one dtype: those of other dtypes cast, numbers in the dtype of the tensors."""
    tensors = [v for v in values if not is_number(v)]
    dtype = tensors[0].dtype
    for t in tensors[1:]:
        dtype = promote_types(dtype, t.dtype)
    return [ops.full((), v, dtype) if is_number(v) else ops.cast(v, dtype) for v in values]


def _of_one(name: str, target: str) -> Callable[..., Any]:
    function = METHODS.get(name) or functions[target]

    def call(x: Any, /) -> Any:
        return function(x)

    return _named(call, name, target)


def _of_two(name: str, target: str) -> Callable[..., Any]:
    function = functions[target]

    def call(x1: Any, x2: Any, /) -> Any:
        return function(*operands(x1, x2))

    return _named(call, name, target)


def _named(call: Any, name: str, target: str) -> Callable[..., Any]:
    call.__name__ = call.__qualname__ = name
    call.__doc__ = (
        f"`argand.{target}`, by the standard's name and rules of promotion.\n\n"
        f"    >>> callable(ag.array_api.{name})\n    True\n    "
    )
    return call  # type: ignore[no-any-return]  # it is a function


def floor_divide(x1: Any, x2: Any, /) -> Any:
    """floor(x1 / x2); of infinities what the standard says, where `argand.floor_divide` has NaN.

    >>> ag.array_api.floor_divide(ag.tensor([7.0, ag.inf]), 2.0)
    tensor([3., inf])
    """
    a, b = operands(x1, x2)
    found = ops.floor_divide(a, b)
    if not a.dtype.is_inexact:
        return found
    endless = ops.logical_or(ops.isinf(a), ops.isinf(b))
    return ops.where(endless, ops.floor(ops.div(a, b)), found)


def clip(x: Any, /, min: Any = None, max: Any = None) -> Any:
    """x kept between two bounds, either of which may be None; the dtype stays that of x.

    >>> ag.array_api.clip(ag.tensor([1, 5, 9]), 2, 6)
    tensor([2, 5, 6])
    """
    if min is not None:
        x = _bounded(x, min, ops.maximum)
    return ops.contiguous(x) if max is None else _bounded(x, max, ops.minimum)


def _bounded(x: Any, bound: Any, choose: Any) -> Any:
    if is_number(bound):
        return functions["clamp"](x, *((bound, None) if choose is ops.maximum else (None, bound)))
    return choose(x, ops.cast(bound, x.dtype))


TABLE = {name: _of_one(name, target) for name, target in UNARY.items()} | {
    name: _of_two(name, target) for name, target in BINARY.items()
}
