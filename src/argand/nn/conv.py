"""Convolution layers."""

from __future__ import annotations

import math
from typing import Any

from argand.base.errors import ArgumentError
from argand.nn import functional as F
from argand.nn import init
from argand.nn.functional.padding import several
from argand.nn.module import Module
from argand.nn.parameter import Parameter
from argand.tensor.creation import empty


class _Conv(Module):
    """What the convolution layers share: `dimensions` spatial ones."""

    dimensions = 2
    transposed = False

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
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ArgumentError(
                f"{type(self).__name__}: groups ({groups}) must divide in_channels "
                f"({in_channels}) and out_channels ({out_channels})"
            )
        if padding_mode not in ("zeros", "reflect", "replicate", "circular"):
            raise ArgumentError(f"{type(self).__name__}: unknown padding_mode {padding_mode!r}")
        count = self.dimensions
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = several(kernel_size, count, "kernel_size")
        self.stride = several(stride, count, "stride")
        self.padding = padding if isinstance(padding, str) else several(padding, count, "padding")
        self.dilation = several(dilation, count, "dilation")
        self.padding_mode, self.output_padding = padding_mode, (0,) * count
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Parameter(empty(shape, dtype=dtype, device=device))
        self.register_parameter(
            "bias", Parameter(empty(out_channels, dtype=dtype, device=device)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew: uniform in +-1 / sqrt(in_channels / groups * kernel)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            init.uniform_within_(self.bias, init.fans(self.weight)[0])

    def _conv_forward(self, input: Any, weight: Any, bias: Any) -> Any:
        """What `forward` gives, with this weight and bias: layers that make theirs anew in every
        call are made of it."""
        x: Any = input
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            x = F.pad(input, self._reversed_padding_repeated_twice, self.padding_mode)
            padding = 0
        convolve = (F.conv1d, F.conv2d, F.conv3d)[self.dimensions - 1]
        return convolve(x, weight, bias, self.stride, padding, self.dilation, self.groups)

    @property
    def _reversed_padding_repeated_twice(self) -> tuple[int, ...]:
        """The padding as `F.pad` takes it."""
        amounts = self.padding
        if isinstance(amounts, str):
            both = [d * (k - 1) for k, d in zip(self.kernel_size, self.dilation, strict=True)]
            pairs = [(t // 2, t - t // 2) if amounts == "same" else (0, 0) for t in both]
        else:
            pairs = [(p, p) for p in amounts]
        return tuple(p for pair in reversed(pairs) for p in pair)

    def extra_repr(self) -> str:
        parts = [
            f"{self.in_channels}, {self.out_channels}",
            f"kernel_size={self.kernel_size}, stride={self.stride}",
        ]
        ones = (1,) * self.dimensions
        if self.padding != (0,) * self.dimensions:
            parts.append(f"padding={self.padding}")
        if self.dilation != ones:
            parts.append(f"dilation={self.dilation}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


class Conv1d(_Conv):
    """Convolution of sequences (N, C, L): y[n, o] = bias[o] + sum over c of weight[o, c] * x[n, c].

    `weight` is (out_channels, in_channels / groups, kernel); * is cross-correlation. The lengths
    are those of `F.conv1d`; weight and bias start uniform in +-1 / sqrt(in_channels / groups *
    kernel).

    >>> nn.Conv1d(3, 8, 5, stride=2)(ag.ones(2, 3, 21)).shape
    argand.Size([2, 8, 9])
    """

    dimensions = 1

    def forward(self, input: Any) -> Any:
        """(N, out_channels, L')."""
        return self._conv_forward(input, self.weight, self.bias)


class Conv2d(_Conv):
    """Convolution of images (N, C, H, W): y[n, o] = bias[o] + sum over c of weight[o, c] * x[n, c].

    `weight` is (out_channels, in_channels / groups, kh, kw); * is cross-correlation. The sizes are
    those of `F.conv2d`; weight and bias start uniform in +-1 / sqrt(in_channels / groups * kh *
    kw).

    >>> nn.Conv2d(1, 4, 3, padding=1)(ag.ones(2, 1, 8, 8)).shape
    argand.Size([2, 4, 8, 8])
    """

    def forward(self, input: Any) -> Any:
        """(N, out_channels, H', W')."""
        return self._conv_forward(input, self.weight, self.bias)


class Conv3d(_Conv):
    """Convolution of volumes (N, C, D, H, W):
    y[n, o] = bias[o] + sum over c of weight[o, c] * x[n, c]. See `F.conv3d`.

    `weight` is (out_channels, in_channels / groups, kd, kh, kw); * is cross-correlation.

    >>> nn.Conv3d(1, 4, 3, padding=1)(ag.ones(2, 1, 5, 6, 7)).shape
    argand.Size([2, 4, 5, 6, 7])
    """

    dimensions = 3

    def forward(self, input: Any) -> Any:
        """(N, out_channels, D', H', W')."""
        return self._conv_forward(input, self.weight, self.bias)


class _ConvTranspose(_Conv):
    """What the transposed convolutions share."""

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        Module.__init__(self)
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ArgumentError(
                f"{type(self).__name__}: groups ({groups}) must divide in_channels "
                f"({in_channels}) and out_channels ({out_channels})"
            )
        if padding_mode != "zeros":
            raise ArgumentError(f"{type(self).__name__}: only padding_mode='zeros' is supported")
        count = self.dimensions
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = several(kernel_size, count, "kernel_size")
        self.stride = several(stride, count, "stride")
        self.padding = several(padding, count, "padding")
        self.output_padding = several(output_padding, count, "output_padding")
        self.dilation = several(dilation, count, "dilation")
        self.padding_mode = padding_mode
        shape = (in_channels, out_channels // groups, *self.kernel_size)
        self.weight = Parameter(empty(shape, dtype=dtype, device=device))
        self.register_parameter(
            "bias", Parameter(empty(out_channels, dtype=dtype, device=device)) if bias else None
        )
        self.reset_parameters()

    def _options(self, input: Any, output_size: Any) -> tuple[Any, ...]:
        """The arguments of the function behind its input."""
        own = (self.stride, self.padding, self.kernel_size, self.dimensions, self.dilation)
        extra = self._output_padding(input, output_size, *own)
        window = (self.stride, self.padding, extra, self.groups, self.dilation)
        return (self.weight, self.bias, *window)

    def _output_padding(
        self,
        input: Any,
        output_size: Any,
        stride: Any,
        padding: Any,
        kernel_size: Any,
        num_spatial_dims: int,
        dilation: Any = None,
    ) -> tuple[Any, ...]:
        """The output_padding that gives an output size, one of those that the strides allow."""
        count = num_spatial_dims
        if output_size is None:
            return several(self.output_padding, count, "output_padding")
        wanted = tuple(output_size)[-count:]
        window = (stride, padding, dilation or (1,) * count, kernel_size)
        parts = zip(input.shape[-count:], *window, strict=True)
        least = tuple((n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in parts)
        extra = tuple(w - n for w, n in zip(wanted, least, strict=True))
        fits = all(0 <= e < s for e, s in zip(extra, stride, strict=True))
        if not fits or len(output_size) not in (count, count + 2):
            raise ArgumentError(
                f"{type(self).__name__}: output_size {tuple(output_size)} must be at least {least} "
                f"and less than a stride {stride} more"
            )
        return extra

    def extra_repr(self) -> str:
        zeros = (0,) * self.dimensions
        parts = [
            f"{self.in_channels}, {self.out_channels}",
            f"kernel_size={self.kernel_size}, stride={self.stride}",
        ]
        if self.padding != zeros:
            parts.append(f"padding={self.padding}")
        if self.dilation != (1,) * self.dimensions:
            parts.append(f"dilation={self.dilation}")
        if self.output_padding != zeros:
            parts.append(f"output_padding={self.output_padding}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        return ", ".join(parts)


class ConvTranspose1d(_ConvTranspose):
    """The gradient of Conv1d for its input, as a layer: sequences (N, C, L) become longer.

    `weight` is (in_channels, out_channels / groups, kernel). The lengths are those of
    `F.conv_transpose1d`.

    >>> nn.ConvTranspose1d(4, 2, 3, stride=2)(ag.ones(1, 4, 5)).shape
    argand.Size([1, 2, 11])
    """

    dimensions = 1

    def forward(self, input: Any, output_size: Any = None) -> Any:
        """(N, out_channels, L')."""
        return F.conv_transpose1d(input, *self._options(input, output_size))


class ConvTranspose2d(_ConvTranspose):
    """The gradient of Conv2d for its input, as a layer: images (N, C, H, W) become larger.

    `weight` is (in_channels, out_channels / groups, kh, kw). The sizes are those of
    `F.conv_transpose2d`.

    >>> nn.ConvTranspose2d(4, 2, 2, stride=2)(ag.ones(1, 4, 5, 5)).shape
    argand.Size([1, 2, 10, 10])
    """

    def forward(self, input: Any, output_size: Any = None) -> Any:
        """(N, out_channels, H', W')."""
        return F.conv_transpose2d(input, *self._options(input, output_size))


class ConvTranspose3d(_ConvTranspose):
    """The gradient of Conv3d for its input, as a layer: volumes (N, C, D, H, W) become larger.

    `weight` is (in_channels, out_channels / groups, kd, kh, kw). The sizes are those of
    `F.conv_transpose3d`.

    >>> nn.ConvTranspose3d(4, 2, 2, stride=2)(ag.ones(1, 4, 3, 5, 5)).shape
    argand.Size([1, 2, 6, 10, 10])
    """

    dimensions = 3

    def forward(self, input: Any, output_size: Any = None) -> Any:
        """(N, out_channels, D', H', W')."""
        return F.conv_transpose3d(input, *self._options(input, output_size))
