"""Features inside boxes, as functions and as layers."""

from __future__ import annotations

from typing import Any

from argand.base.errors import ShapeError
from argand.nn.module import Module
from argand.tensor.core import Tensor
from argand.tensor.creation import full_like
from argand.tensor.joining import cat
from argand.vision.ops import registered


def two(value: Any) -> tuple[int, int]:
    """A number twice, or two numbers."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def rows_of(boxes: Any) -> Any:
    """Boxes (K, 5) with the number of their image, of these or of a list of boxes (L, 4) for each
    image."""
    if isinstance(boxes, list | tuple):
        if any(b.shape[1] != 4 for b in boxes):
            raise ShapeError("boxes given as a list must be (L, 4) for each image")
        numbered = [cat((full_like(b[:, :1], i), b), dim=1) for i, b in enumerate(boxes)]
        return numbered[0] if len(numbered) == 1 else cat(numbered)
    if not isinstance(boxes, Tensor):
        raise TypeError("boxes is expected to be a Tensor[L, 5] or a List[Tensor[K, 4]]")
    if boxes.ndim != 2 or boxes.shape[1] != 5:
        raise ShapeError(f"boxes given as one tensor must be (K, 5), got {tuple(boxes.shape)}")
    return boxes


def roi_align(
    input: Any,
    boxes: Any,
    output_size: Any,
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
) -> Any:
    """The features of images (N, C, H, W) inside boxes, as grids (K, C, h, w) of means of bilinear
    samples. He et al. (2017).

    `boxes` is (K, 5), rows ``(number of the image, x1, y1, x2, y2)``, or a list of (L, 4) for each
    image; `spatial_scale` makes pixels of them, and `aligned` takes half a pixel off. A cell has
    `sampling_ratio` samples in each direction, or as many as pixels where it isn't positive.

    >>> from argand.vision.ops import roi_align
    >>> image = ag.arange(16.0).reshape(1, 1, 4, 4)
    >>> roi_align(image, [ag.tensor([[0.0, 0, 4, 4]])], 2, sampling_ratio=2, aligned=True)
    tensor([[[[ 2.5000,  4.5000],
              [10.5000, 12.5000]]]])
    """
    size = two(output_size)
    return registered.roi_align(
        input, rows_of(boxes), spatial_scale, *size, sampling_ratio, aligned
    )


def roi_pool(input: Any, boxes: Any, output_size: Any, spatial_scale: float = 1.0) -> Any:
    """The greatest pixel of each cell of boxes that are rounded to pixels: (K, C, h, w). Girshick
    (2015); `boxes` as for `roi_align`.

    >>> from argand.vision.ops import roi_pool
    >>> roi_pool(ag.arange(16.0).reshape(1, 1, 4, 4), [ag.tensor([[0.0, 0, 3, 3]])], 2)
    tensor([[[[ 5.,  7.],
              [13., 15.]]]])
    """
    size = two(output_size)
    return registered.roi_pool(input, rows_of(boxes), spatial_scale, *size)[0]


def ps_roi_align(
    input: Any, boxes: Any, output_size: Any, spatial_scale: float = 1.0, sampling_ratio: int = -1
) -> Any:
    """`roi_align` where each cell of the grid has channels of its own: (K, C / (h w), h, w). Dai et
    al. (2016), Li et al. (2017).

    >>> from argand.vision.ops import ps_roi_align
    >>> ps_roi_align(ag.ones(1, 4, 4, 4), [ag.tensor([[0.0, 0, 4, 4]])], 2).shape
    argand.Size([1, 1, 2, 2])
    """
    size = two(output_size)
    rows = rows_of(boxes)
    return registered.ps_roi_align(input, rows, spatial_scale, *size, sampling_ratio)[0]


def ps_roi_pool(input: Any, boxes: Any, output_size: Any, spatial_scale: float = 1.0) -> Any:
    """The mean of each cell of boxes that are rounded to pixels, where each cell has channels of
    its own: (K, C / (h w), h, w). Dai et al. (2016).

    >>> from argand.vision.ops import ps_roi_pool
    >>> ps_roi_pool(ag.ones(1, 4, 4, 4), [ag.tensor([[0.0, 0, 4, 4]])], 2).flatten()
    tensor([1., 1., 1., 1.])
    """
    size = two(output_size)
    return registered.ps_roi_pool(input, rows_of(boxes), spatial_scale, *size)[0]


class _Regions(Module):
    """Base of layers of features inside boxes."""

    _shown: tuple[str, ...] = ()

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)}" for name in self._shown)
        return f"{type(self).__name__}({shown})"


class RoIAlign(_Regions):
    """See `roi_align`.

    >>> from argand.vision.ops import RoIAlign
    >>> RoIAlign(2, 1.0, 2)(ag.ones(1, 3, 4, 4), [ag.tensor([[0.0, 0, 4, 4]])]).shape
    argand.Size([1, 3, 2, 2])
    """

    _shown = ("output_size", "spatial_scale", "sampling_ratio", "aligned")

    def __init__(
        self, output_size: Any, spatial_scale: float, sampling_ratio: int, aligned: bool = False
    ) -> None:
        super().__init__()
        self.output_size, self.spatial_scale = output_size, spatial_scale
        self.sampling_ratio, self.aligned = sampling_ratio, aligned

    def forward(self, input: Any, rois: Any) -> Any:
        options = (self.output_size, self.spatial_scale, self.sampling_ratio, self.aligned)
        return roi_align(input, rois, *options)


class RoIPool(_Regions):
    """See `roi_pool`.

    >>> from argand.vision.ops import RoIPool
    >>> RoIPool(2, 1.0)(ag.ones(1, 3, 4, 4), [ag.tensor([[0.0, 0, 3, 3]])]).shape
    argand.Size([1, 3, 2, 2])
    """

    _shown = ("output_size", "spatial_scale")

    def __init__(self, output_size: Any, spatial_scale: float) -> None:
        super().__init__()
        self.output_size, self.spatial_scale = output_size, spatial_scale

    def forward(self, input: Any, rois: Any) -> Any:
        return roi_pool(input, rois, self.output_size, self.spatial_scale)


class PSRoIAlign(_Regions):
    """See `ps_roi_align`.

    >>> from argand.vision.ops import PSRoIAlign
    >>> PSRoIAlign(2, 1.0, 2)(ag.ones(1, 4, 4, 4), [ag.tensor([[0.0, 0, 4, 4]])]).shape
    argand.Size([1, 1, 2, 2])
    """

    _shown = ("output_size", "spatial_scale", "sampling_ratio")

    def __init__(self, output_size: Any, spatial_scale: float, sampling_ratio: int) -> None:
        super().__init__()
        self.output_size, self.spatial_scale = output_size, spatial_scale
        self.sampling_ratio = sampling_ratio

    def forward(self, input: Any, rois: Any) -> Any:
        options = (self.output_size, self.spatial_scale, self.sampling_ratio)
        return ps_roi_align(input, rois, *options)


class PSRoIPool(_Regions):
    """See `ps_roi_pool`.

    >>> from argand.vision.ops import PSRoIPool
    >>> PSRoIPool(2, 1.0)(ag.ones(1, 4, 4, 4), [ag.tensor([[0.0, 0, 4, 4]])]).shape
    argand.Size([1, 1, 2, 2])
    """

    _shown = ("output_size", "spatial_scale")

    def __init__(self, output_size: Any, spatial_scale: float) -> None:
        super().__init__()
        self.output_size, self.spatial_scale = output_size, spatial_scale

    def forward(self, input: Any, rois: Any) -> Any:
        return ps_roi_pool(input, rois, self.output_size, self.spatial_scale)
