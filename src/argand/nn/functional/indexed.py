"""Pooling that always gives the places of the largest elements, by PyTorch's names for it."""

from __future__ import annotations

import math
from typing import Any

from argand.base.errors import ShapeError
from argand.ir.op import describe, ops
from argand.nn.functional.adaptive import (
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
)
from argand.nn.functional.pooling import (
    fractional_max_pool2d,
    fractional_max_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)


def max_pool1d_with_indices(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """`max_pool1d`, with the places, whatever `return_indices` says.

    >>> F.max_pool1d_with_indices(ag.ones(1, 2), 2)[1].flatten()
    tensor([0])
    """
    return max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def max_pool2d_with_indices(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """`max_pool2d`, with the places, whatever `return_indices` says.

    >>> F.max_pool2d_with_indices(ag.ones(1, 2, 2), 2)[1].flatten()
    tensor([0])
    """
    return max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def max_pool3d_with_indices(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """`max_pool3d`, with the places, whatever `return_indices` says.

    >>> F.max_pool3d_with_indices(ag.ones(1, 2, 2, 2), 2)[1].flatten()
    tensor([0])
    """
    return max_pool3d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def adaptive_max_pool1d_with_indices(
    input: Any, output_size: Any, return_indices: bool = False
) -> Any:
    """`adaptive_max_pool1d`, with the places, whatever `return_indices` says.

    >>> F.adaptive_max_pool1d_with_indices(ag.ones(1, 2), 1)[1].flatten()
    tensor([0])
    """
    return adaptive_max_pool1d(input, output_size, True)


def adaptive_max_pool2d_with_indices(
    input: Any, output_size: Any, return_indices: bool = False
) -> Any:
    """`adaptive_max_pool2d`, with the places, whatever `return_indices` says.

    >>> F.adaptive_max_pool2d_with_indices(ag.ones(1, 2, 2), 1)[1].flatten()
    tensor([0])
    """
    return adaptive_max_pool2d(input, output_size, True)


def adaptive_max_pool3d_with_indices(
    input: Any, output_size: Any, return_indices: bool = False
) -> Any:
    """`adaptive_max_pool3d`, with the places, whatever `return_indices` says.

    >>> F.adaptive_max_pool3d_with_indices(ag.ones(1, 2, 2, 2), 1)[1].flatten()
    tensor([0])
    """
    return adaptive_max_pool3d(input, output_size, True)


def fractional_max_pool2d_with_indices(
    input: Any,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """`fractional_max_pool2d`, with the places, whatever `return_indices` says.

    >>> F.fractional_max_pool2d_with_indices(ag.ones(1, 2, 2), 2, 1)[1].flatten()
    tensor([0])
    """
    options = (output_size, output_ratio, True, _random_samples)
    return fractional_max_pool2d(input, kernel_size, *options)


def fractional_max_pool3d_with_indices(
    input: Any,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """`fractional_max_pool3d`, with the places, whatever `return_indices` says.

    >>> F.fractional_max_pool3d_with_indices(ag.ones(1, 2, 2, 2), 2, 1)[1].flatten()
    tensor([0])
    """
    options = (output_size, output_ratio, True, _random_samples)
    return fractional_max_pool3d(input, kernel_size, *options)


def max_pool2d_with_indices_backward(
    grad_output: Any,
    self: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    indices: Any,
) -> Any:
    """The gradient of `max_pool2d`: each of `grad_output` at its place among zeros, added where
    windows share one.

    >>> grads, places = ag.tensor([[[5.0]]]), ag.tensor([[[2]]])
    >>> image = ag.ones(1, 2, 2)
    >>> ag.max_pool2d_with_indices_backward(grads, image, 2, 2, 0, 1, False, places)
    tensor([[[0., 0.],
             [5., 0.]]])
    """
    if tuple(grad_output.shape) != tuple(indices.shape) or grad_output.ndim != self.ndim:
        raise ShapeError(
            f"max_pool2d_with_indices_backward: {describe(grad_output, indices)}: expected a place "
            "for each gradient"
        )
    lead, plane = tuple(self.shape[:-2]), tuple(self.shape[-2:])
    zeros = ops.full((*lead, math.prod(plane)), 0, grad_output.dtype)
    shape = (*lead, math.prod(grad_output.shape[-2:]))
    index, given = ops.reshape(indices, shape), ops.reshape(grad_output, shape)
    found = ops.scatter_add(zeros, len(lead), index, given)
    return ops.reshape(found, tuple(self.shape))
