"""Ops along axes: sums and other reductions, positions, running sums, softmax, the largest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argand.base.errors import ShapeError
from argand.onnx.registry import importer
from argand.onnx.values import F, Host, ag, int_list, scalar
from argand.tensor.core import Tensor


def _over(function: Callable[..., Any]) -> Callable[..., Any]:
    """The rule of a reduction, of a function of a tensor, axes and keepdim."""

    def rule(
        x: Tensor, axes: Host | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Any:
        dims = [] if axes is None else int_list(axes)
        if not dims:
            if noop_with_empty_axes:
                return function(x[None], [0], False)
            dims = list(range(x.ndim))
        return function(x, dims, bool(keepdims)) if dims else function(x[None], [0], False)

    return rule


def _prod(x: Any, dims: list[int], keepdim: bool) -> Any:
    for d in sorted((d % x.ndim for d in dims), reverse=True):
        x = ag.prod(x, d, keepdim)
    return x


def _extreme(function: Callable[..., Any], larger: bool) -> Callable[..., Any]:
    def reduce(x: Any, dims: list[int], keepdim: bool) -> Any:
        if any(x.shape[d] == 0 for d in dims):
            shape = [1 if d in dims or d - x.ndim in dims else n for d, n in enumerate(x.shape)]
            if not keepdim:
                shape = [
                    n for d, n in enumerate(x.shape) if d not in dims and d - x.ndim not in dims
                ]
            return ag.full(shape, _least(x.dtype, larger), dtype=x.dtype)
        return function(x, dims, keepdim)

    return reduce


def _least(dtype: Any, larger: bool) -> Any:
    """What a maximum, or a minimum, starts from."""
    if dtype.is_floating_point:
        return float("-inf") if larger else float("inf")
    if dtype is ag.bool:
        return not larger
    return ag.iinfo(dtype).min if larger else ag.iinfo(dtype).max


def _same_dtype(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, dims, keepdim: function(x, dims, keepdim).to(x.dtype)


def _sum(x: Any, dims: list[int], keepdim: bool) -> Any:
    return ag.sum(x, dims, keepdim, dtype=x.dtype)


_REDUCTIONS = {
    "ReduceSum": _sum,
    "ReduceMean": lambda x, dims, keep: (
        ag.mean(x, dims, keep)
        if x.dtype.is_floating_point
        else ag.mean(x.to(ag.float64), dims, keep).to(x.dtype)
    ),
    "ReduceMax": _extreme(ag.amax, True),
    "ReduceMin": _extreme(ag.amin, False),
    "ReduceProd": _same_dtype(_prod),
    "ReduceSumSquare": lambda x, dims, keep: _sum(x * x, dims, keep),
    "ReduceL1": lambda x, dims, keep: _sum(ag.abs(x), dims, keep),
    "ReduceL2": lambda x, dims, keep: ag.sqrt(_sum(x * x, dims, keep)).to(x.dtype),
    "ReduceLogSum": lambda x, dims, keep: ag.log(_sum(x, dims, keep)).to(x.dtype),
    "ReduceLogSumExp": lambda x, dims, keep: ag.logsumexp(x, dims, keep).to(x.dtype),
}
for _name, _function in _REDUCTIONS.items():
    importer(_name)(_over(_function))


@importer("ArgMax")
def _argmax(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Any:
    if select_last_index:
        last = x.shape[axis] - 1 - ag.argmax(ag.flip(x, [axis]), axis, keepdim=bool(keepdims))
        return last
    return ag.argmax(x, axis, keepdim=bool(keepdims))


@importer("ArgMin")
def _argmin(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Any:
    if select_last_index:
        return x.shape[axis] - 1 - ag.argmin(ag.flip(x, [axis]), axis, keepdim=bool(keepdims))
    return ag.argmin(x, axis, keepdim=bool(keepdims))


def _running(function: Callable[..., Any], start: int) -> Callable[..., Any]:
    def rule(x: Tensor, axis: Host, *, exclusive: int = 0, reverse: int = 0) -> Any:
        d = scalar(axis)
        if not -x.ndim <= d < x.ndim:
            raise ShapeError(f"the axis {d} is none of a tensor of {x.ndim} dimension(s)")
        d %= x.ndim
        values = ag.flip(x, [d]) if reverse else x
        if exclusive:
            first = ag.full_like(values.narrow(d, 0, 1), start)
            values = ag.cat([first, values.narrow(d, 0, x.shape[d] - 1)], d)
        made = function(values, d).to(x.dtype)
        return ag.flip(made, [d]) if reverse else made

    return rule


importer("CumSum")(_running(ag.cumsum, 0))
importer("CumProd")(_running(ag.cumprod, 1))


@importer("Softmax", since=13)
def _softmax(x: Tensor, *, axis: int = -1) -> Any:
    return F.softmax(x, axis)


@importer("LogSoftmax", since=13)
def _log_softmax(x: Tensor, *, axis: int = -1) -> Any:
    return F.log_softmax(x, axis)


@importer("Hardmax", since=13)
def _hardmax(x: Tensor, *, axis: int = -1) -> Any:
    first = ag.argmax(x, axis, keepdim=True)
    return ag.zeros_like(x).scatter(axis, first, 1.0)


def _over_the_rest(function: Callable[..., Any]) -> Callable[..., Any]:
    """Before opset 13 these took all axes from `axis` on as one."""

    def rule(x: Tensor, *, axis: int = 1) -> Any:
        d = axis % x.ndim if x.ndim else 0
        return function(ag.flatten(x, d), axis=d).reshape(x.shape)

    return rule


for _name, _function in {
    "Softmax": _softmax,
    "LogSoftmax": _log_softmax,
    "Hardmax": _hardmax,
}.items():
    importer(_name)(_over_the_rest(_function))


@importer("TopK")
def _topk(x: Tensor, k: Host, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> Any:
    values, places = ag.sort(x, dim=axis, descending=bool(largest), stable=True)
    n = int_list(k)[0]
    return values.narrow(axis, 0, n), places.narrow(axis, 0, n)
