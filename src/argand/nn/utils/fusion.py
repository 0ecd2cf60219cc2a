"""Batch normalisation folded into the layer before it, for evaluation."""

from __future__ import annotations

import copy
from typing import Any

from argand.base.errors import ArgumentError
from argand.ir.op import ops
from argand.nn.module import Module
from argand.nn.parameter import Parameter
from argand.transform.mode import no_grad

__all__ = [
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "fuse_linear_bn_eval",
    "fuse_linear_bn_weights",
]


def fuse_conv_bn_weights(
    conv_w: Any,
    conv_b: Any,
    bn_rm: Any,
    bn_rv: Any,
    bn_eps: float,
    bn_w: Any,
    bn_b: Any,
    transpose: bool = False,
) -> tuple[Any, Any]:
    """The weight and the bias of a convolution that does what it and the normalisation do.

    >>> one, zero = ag.ones(1), ag.zeros(1)
    >>> w, b = nn.utils.fuse_conv_bn_weights(ag.ones(1, 1, 1), None, one, one, 0.0, one * 2, zero)
    >>> w.item(), b.item()
    (2.0, -2.0)
    """
    with no_grad():
        scale = ops.rsqrt(ops.add(bn_rv, bn_eps))
        scale = scale if bn_w is None else ops.mul(scale, bn_w)
        shape = [1] * conv_w.ndim
        shape[1 if transpose else 0] = scale.shape[0]
        weight = ops.mul(conv_w, ops.cast(ops.reshape(scale, tuple(shape)), conv_w.dtype))
        shift = ops.neg(bn_rm) if conv_b is None else ops.sub(conv_b, bn_rm)
        bias = ops.mul(shift, scale)
        bias = ops.cast(bias if bn_b is None else ops.add(bias, bn_b), conv_w.dtype)
    wanted = bool(conv_w.requires_grad)
    return Parameter(weight.detach(), wanted), Parameter(bias.detach(), wanted)


def fuse_linear_bn_weights(
    linear_w: Any, linear_b: Any, bn_rm: Any, bn_rv: Any, bn_eps: float, bn_w: Any, bn_b: Any
) -> tuple[Any, Any]:
    """The weight and the bias of a linear layer that does what it and the normalisation do.

    >>> one, zero = ag.ones(1), ag.zeros(1)
    >>> w, b = nn.utils.fuse_linear_bn_weights(ag.ones(1, 1), one, one, one, 0.0, one, one)
    >>> w.item(), b.item()
    (1.0, 1.0)
    """
    return fuse_conv_bn_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)


def _fused(layer: Any, bn: Any, transpose: bool) -> Any:
    if layer.training or bn.training:
        raise ArgumentError("only layers in evaluation mode can be fused; call .eval() first")
    if bn.running_mean is None or bn.running_var is None:
        raise ArgumentError("only a normalisation with running statistics can be fused")
    made = copy.deepcopy(layer)
    statistics = (bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias)
    made.weight, made.bias = fuse_conv_bn_weights(made.weight, made.bias, *statistics, transpose)
    return made


def fuse_conv_bn_eval(conv: Module, bn: Module, transpose: bool = False) -> Any:
    """A copy of a convolution that also does what the batch normalisation behind it does.

    >>> conv, bn = nn.Conv2d(1, 2, 3).eval(), nn.BatchNorm2d(2).eval()
    >>> x = ag.ones(1, 1, 4, 4)
    >>> nn.utils.fuse_conv_bn_eval(conv, bn)(x).allclose(bn(conv(x)), atol=1e-6)
    True
    """
    return _fused(conv, bn, transpose)


def fuse_linear_bn_eval(linear: Module, bn: Module) -> Any:
    """A copy of a linear layer that also does what the batch normalisation behind it does.

    >>> linear, bn = nn.Linear(3, 2).eval(), nn.BatchNorm1d(2).eval()
    >>> x = ag.ones(1, 3)
    >>> nn.utils.fuse_linear_bn_eval(linear, bn)(x).allclose(bn(linear(x)), atol=1e-6)
    True
    """
    return _fused(linear, bn, False)
