"""`argand.nn.grad`: the gradients of convolutions as functions, as `torch.nn.grad`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from argand.base.errors import ArgumentError
from argand.base.shape import shape_text
from argand.nn.functional.volume import conv3d
from argand.nn.functional.window import conv1d, conv2d
from argand.tensor.autograd import grad
from argand.tensor.creation import zeros
from argand.transform.mode import enable_grad

__all__ = [
    "conv1d_input",
    "conv1d_weight",
    "conv2d_input",
    "conv2d_weight",
    "conv3d_input",
    "conv3d_weight",
]


def _gradient(
    conv: Callable[..., Any], input: Any, weight: Any, wanted: int, grad_output: Any, *options: Any
) -> Any:
    """The gradient of a convolution by its operand number `wanted`, along `grad_output`."""
    operands = [input, weight]
    operands[wanted] = operands[wanted].detach().requires_grad_()
    with enable_grad():
        found = conv(*operands, None, *options)
    if tuple(found.shape) != tuple(grad_output.shape):
        raise ArgumentError(
            f"grad_output must have the shape of the convolution's result, "
            f"{shape_text(found.shape)}, got {shape_text(grad_output.shape)}"
        )
    recorded = any(t.requires_grad for t in (grad_output, operands[1 - wanted]))
    return grad(found, operands[wanted], grad_output, create_graph=recorded)[0]


def _zeros(sizes: Sequence[int] | None, like: Any) -> Any:
    if sizes is None:
        raise ValueError("grad.conv_input requires specifying an input_size")
    return zeros(*sizes, dtype=like.dtype)


def _of_input(
    conv: Callable[..., Any],
    input_size: Any,
    weight: Any,
    grad_output: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    input = _zeros(input_size, grad_output)
    return _gradient(conv, input, weight, 0, grad_output, stride, padding, dilation, groups)


def _of_weight(
    conv: Callable[..., Any],
    input: Any,
    weight_size: Any,
    grad_output: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    weight = _zeros(weight_size, grad_output)
    return _gradient(conv, input, weight, 1, grad_output, stride, padding, dilation, groups)


def conv1d_input(
    input_size: Any,
    weight: Any,
    grad_output: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """The gradient of `F.conv1d` by its input of shape `input_size`, along `grad_output`.

    >>> nn.grad.conv1d_input((1, 1, 3), ag.ones(1, 1, 2), ag.ones(1, 1, 2))
    tensor([[[1., 2., 1.]]])
    """
    return _of_input(conv1d, input_size, weight, grad_output, stride, padding, dilation, groups)


def conv1d_weight(
    input: Any,
    weight_size: Any,
    grad_output: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """The gradient of `F.conv1d` by its weight of shape `weight_size`, along `grad_output`.

    >>> nn.grad.conv1d_weight(ag.arange(3.0).view(1, 1, 3), (1, 1, 2), ag.ones(1, 1, 2))
    tensor([[[1., 3.]]])
    """
    return _of_weight(conv1d, input, weight_size, grad_output, stride, padding, dilation, groups)


def conv2d_input(
    input_size: Any,
    weight: Any,
    grad_output: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """The gradient of `F.conv2d` by its input of shape `input_size`, along `grad_output`.

    >>> nn.grad.conv2d_input((1, 1, 2, 2), ag.ones(1, 1, 1, 2), ag.ones(1, 1, 2, 1))
    tensor([[[[1., 1.],
              [1., 1.]]]])
    """
    return _of_input(conv2d, input_size, weight, grad_output, stride, padding, dilation, groups)


def conv2d_weight(
    input: Any,
    weight_size: Any,
    grad_output: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """The gradient of `F.conv2d` by its weight of shape `weight_size`, along `grad_output`.

    >>> nn.grad.conv2d_weight(ag.ones(1, 1, 3, 3), (1, 1, 1, 1), ag.ones(1, 1, 3, 3))
    tensor([[[[9.]]]])
    """
    return _of_weight(conv2d, input, weight_size, grad_output, stride, padding, dilation, groups)


def conv3d_input(
    input_size: Any,
    weight: Any,
    grad_output: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """The gradient of `F.conv3d` by its input of shape `input_size`, along `grad_output`.

    >>> nn.grad.conv3d_input((1, 1, 1, 1, 2), ag.ones(1, 1, 1, 1, 2), ag.ones(1, 1, 1, 1, 1)).sum()
    tensor(2.)
    """
    return _of_input(conv3d, input_size, weight, grad_output, stride, padding, dilation, groups)


def conv3d_weight(
    input: Any,
    weight_size: Any,
    grad_output: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """The gradient of `F.conv3d` by its weight of shape `weight_size`, along `grad_output`.

    >>> nn.grad.conv3d_weight(ag.ones(1, 1, 2, 2, 2), (1, 1, 1, 1, 1), ag.ones(1, 1, 2, 2, 2)).sum()
    tensor(8.)
    """
    return _of_weight(conv3d, input, weight_size, grad_output, stride, padding, dilation, groups)
