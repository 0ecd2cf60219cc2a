"""Layers that change shapes."""

from __future__ import annotations

import math
from typing import Any

from argand.base.shape import normalize_dim
from argand.ir.op import ops
from argand.nn import functional as F
from argand.nn.module import Module


class Flatten(Module):
    """The dimensions `start_dim` to `end_dim` as one; a batch (dimension 0) stays.

    >>> nn.Flatten()(ag.ones(2, 3, 4)).shape
    argand.Size([2, 12])
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Any) -> Any:
        """The flattened input."""
        first = normalize_dim(self.start_dim, input.ndim, "Flatten")
        last = normalize_dim(self.end_dim, input.ndim, "Flatten")
        shape = tuple(input.shape)
        flat = math.prod(shape[first : last + 1])
        return ops.reshape(input, (*shape[:first], flat, *shape[last + 1 :]))

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """One dimension as several, of the sizes `unflattened_size`.

    >>> nn.Unflatten(1, (3, 4))(ag.ones(2, 12)).shape
    argand.Size([2, 3, 4])
    """

    def __init__(self, dim: int, unflattened_size: Any) -> None:
        super().__init__()
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input: Any) -> Any:
        """The input with the dimension unfolded."""
        dim = normalize_dim(self.dim, input.ndim, "Unflatten")
        shape = tuple(input.shape)
        return ops.reshape(input, (*shape[:dim], *self.unflattened_size, *shape[dim + 1 :]))

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Upsample(Module):
    """Images enlarged to `size` or by `scale_factor`, by repeating pixels. See `F.interpolate`.

    >>> nn.Upsample(scale_factor=2)(ag.ones(1, 1, 3, 3)).shape
    argand.Size([1, 1, 6, 6])
    """

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.size, self.mode, self.align_corners = size, mode, align_corners
        self.recompute_scale_factor = recompute_scale_factor
        whole = isinstance(scale_factor, int)
        self.scale_factor = float(scale_factor) if whole else scale_factor

    def forward(self, input: Any) -> Any:
        """The images at the new size."""
        options = (self.mode, self.align_corners, self.recompute_scale_factor)
        return F.interpolate(input, self.size, self.scale_factor, *options)

    def extra_repr(self) -> str:
        given = f"size={self.size}" if self.size else f"scale_factor={self.scale_factor}"
        return f"{given}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Images (N, C, H, W) at another size, by the nearest pixel. See `F.interpolate`.

    >>> nn.UpsamplingNearest2d(scale_factor=2)(ag.ones(1, 1, 3, 3)).shape
    argand.Size([1, 1, 6, 6])
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor)


class UpsamplingBilinear2d(Upsample):
    """Images (N, C, H, W) at another size, bilinearly with aligned corners. See `F.interpolate`.

    >>> nn.UpsamplingBilinear2d(size=3)(ag.tensor([[[[1.0, 2.0]]]])).flatten()[:3]
    tensor([1.0000, 1.5000, 2.0000])
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, "bilinear", True)


class PixelShuffle(Module):
    """(N, C * r * r, H, W) as (N, C, H * r, W * r), r = `upscale_factor`. See `F.pixel_shuffle`.

    >>> nn.PixelShuffle(2)(ag.ones(1, 8, 3, 3)).shape
    argand.Size([1, 2, 6, 6])
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Any) -> Any:
        """The larger images."""
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """(N, C, H * r, W * r) as (N, C * r * r, H, W), r = `downscale_factor`. See
    `F.pixel_unshuffle`.

    >>> nn.PixelUnshuffle(2)(ag.ones(1, 2, 6, 6)).shape
    argand.Size([1, 8, 3, 3])
    """

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Any) -> Any:
        """The smaller images, with more channels."""
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """The channels of (N, C, ...) taken from each of `groups` groups in turn (Zhang et al., 2018).

    >>> nn.ChannelShuffle(2)(ag.arange(4).reshape(1, 4, 1)).flatten()
    tensor([0, 2, 1, 3])
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Any) -> Any:
        """The shuffled channels."""
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"


class Unfold(Module):
    """The windows of images as columns: (N, C * kh * kw, number of windows). See `F.unfold`.

    >>> nn.Unfold(2)(ag.ones(1, 3, 4, 4)).shape
    argand.Size([1, 12, 9])
    """

    def __init__(
        self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        super().__init__()
        self.kernel_size, self.dilation = kernel_size, dilation
        self.padding, self.stride = padding, stride

    def forward(self, input: Any) -> Any:
        """The columns."""
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, "
            f"stride={self.stride}"
        )


class Fold(Module):
    """Images from the columns of `Unfold`; what several windows cover is added up. See `F.fold`.

    >>> nn.Fold((4, 4), 2)(ag.ones(1, 12, 9)).shape
    argand.Size([1, 3, 4, 4])
    """

    def __init__(
        self,
        output_size: Any,
        kernel_size: Any,
        dilation: Any = 1,
        padding: Any = 0,
        stride: Any = 1,
    ) -> None:
        super().__init__()
        self.output_size, self.kernel_size = output_size, kernel_size
        self.dilation, self.padding, self.stride = dilation, padding, stride

    def forward(self, input: Any) -> Any:
        """The images."""
        window = (self.kernel_size, self.dilation, self.padding, self.stride)
        return F.fold(input, self.output_size, *window)

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, "
            f"dilation={self.dilation}, padding={self.padding}, stride={self.stride}"
        )
