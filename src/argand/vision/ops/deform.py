"""Convolutions that read where offsets say."""

from __future__ import annotations

import math
from typing import Any

from argand.base.errors import ShapeError
from argand.nn import init
from argand.nn.module import Module
from argand.nn.parameter import Parameter
from argand.tensor.creation import empty, zeros
from argand.vision.ops import registered
from argand.vision.ops.regions import two


def deform_conv2d(
    input: Any,
    offset: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = (1, 1),
    padding: Any = (0, 0),
    dilation: Any = (1, 1),
    mask: Any = None,
) -> Any:
    """A convolution that reads each pixel of its window at a place that `offset` moves it to, by
    bilinear interpolation, times `mask`. Dai et al. (2017), Zhu et al. (2018).

    `offset` is (N, 2 G kh kw, h, w): for each of G groups of channels and pixel of the window how
    far down and to the right; `mask` is (N, G kh kw, h, w).

    >>> from argand.vision.ops import deform_conv2d
    >>> image, offset = ag.arange(9.0).reshape(1, 1, 3, 3), ag.full((1, 2, 3, 3), 0.5)
    >>> deform_conv2d(image, offset, ag.ones(1, 1, 1, 1))[0, 0, 0]
    tensor([2.0000, 3.0000, 1.7500])
    """
    kernel = int(weight.shape[2]) * int(weight.shape[3])
    offset_groups = int(offset.shape[1]) // (2 * kernel)
    if offset_groups == 0:
        raise ShapeError(
            "the shape of the offset tensor at dimension 1 is not valid. It should be a multiple "
            f"of 2 * weight.size[2] * weight.size[3].\nGot offset.shape[1]={offset.shape[1]}, "
            f"while 2 * weight.size[2] * weight.size[3]={2 * kernel}"
        )
    if bias is None:
        bias = zeros(weight.shape[0], dtype=input.dtype)
    window = (*two(stride), *two(padding), *two(dilation))
    groups = int(input.shape[1]) // int(weight.shape[1])
    return registered.deform_conv2d(
        input, weight, offset, mask, bias, *window, groups, offset_groups, mask is not None
    )


class DeformConv2d(Module):
    """See `deform_conv2d`; the weights begin as those of `nn.Conv2d`.

    >>> from argand.vision.ops import DeformConv2d
    >>> DeformConv2d(2, 3, 3)(ag.ones(1, 2, 5, 5), ag.zeros(1, 18, 3, 3)).shape
    argand.Size([1, 3, 3, 3])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if in_channels % groups:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % groups:
            raise ValueError("out_channels must be divisible by groups")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride = two(kernel_size), two(stride)
        self.padding, self.dilation = two(padding), two(dilation)
        self.weight = Parameter(empty(out_channels, in_channels // groups, *self.kernel_size))
        self.bias = Parameter(empty(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.weight[0].numel())
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Any, offset: Any, mask: Any = None) -> Any:
        window = (self.stride, self.padding, self.dilation)
        return deform_conv2d(input, offset, self.weight, self.bias, *window, mask)

    def __repr__(self) -> str:
        told = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        told.append(f"stride={self.stride}")
        usual = {"padding": (0, 0), "dilation": (1, 1), "groups": 1}
        told += [f"{k}={getattr(self, k)}" for k, v in usual.items() if getattr(self, k) != v]
        if self.bias is None:
            told.append("bias=False")
        return f"DeformConv2d({', '.join(told)})"
