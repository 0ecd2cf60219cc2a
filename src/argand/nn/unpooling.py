"""Pooling layers of rarer kinds: power means, windows at random steps, and pooling undone."""

from __future__ import annotations

from typing import Any

from argand.base.errors import ArgumentError
from argand.nn import functional as F
from argand.nn.functional.padding import several
from argand.nn.module import Module


class _PowerPool(Module):
    """(sum of x ** p) ** (1 / p) over windows."""

    def __init__(
        self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type, self.kernel_size = norm_type, kernel_size
        self.stride, self.ceil_mode = stride, ceil_mode

    def _options(self) -> tuple[Any, ...]:
        return float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_PowerPool):
    """(sum of x ** p) ** (1 / p) over each window of sequences, p = `norm_type`. See
    `F.lp_pool1d`.

    >>> nn.LPPool1d(2, 2)(ag.tensor([[3.0, 4.0]])).flatten()
    tensor([5.])
    """

    def forward(self, input: Any) -> Any:
        """The pooled input."""
        return F.lp_pool1d(input, *self._options())


class LPPool2d(_PowerPool):
    """(sum of x ** p) ** (1 / p) over each window of images, p = `norm_type`. See
    `F.lp_pool2d`.

    >>> nn.LPPool2d(2, (1, 2))(ag.tensor([[[3.0, 4.0]]])).flatten()
    tensor([5.])
    """

    def forward(self, input: Any) -> Any:
        """The pooled input."""
        return F.lp_pool2d(input, *self._options())


class LPPool3d(_PowerPool):
    """(sum of x ** p) ** (1 / p) over each window of volumes, p = `norm_type`. See
    `F.lp_pool3d`.

    >>> nn.LPPool3d(2, (1, 1, 2))(ag.tensor([[[[3.0, 4.0]]]])).flatten()
    tensor([5.])
    """

    def forward(self, input: Any) -> Any:
        """The pooled input."""
        return F.lp_pool3d(input, *self._options())


class _Unpool(Module):
    """The windows that the elements came from."""

    count = 2

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self.kernel_size = several(kernel_size, self.count, "kernel_size")
        self.stride = several(kernel_size if stride is None else stride, self.count, "stride")
        self.padding = several(padding, self.count, "padding")

    def _window(self) -> tuple[Any, Any, Any]:
        return self.kernel_size, self.stride, self.padding

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_Unpool):
    """Sequences of zeros with the elements at the places that `MaxPool1d` gave with
    `return_indices`. See `F.max_unpool2d`.

    >>> pool, unpool = nn.MaxPool1d(2, return_indices=True), nn.MaxUnpool1d(2)
    >>> unpool(*pool(ag.ones(2, 4, 6))).shape
    argand.Size([2, 4, 6])
    """

    count = 1

    def forward(self, input: Any, indices: Any, output_size: Any = None) -> Any:
        """The unpooled input, of `output_size` where several sizes are possible."""
        return F.max_unpool1d(input, indices, *self._window(), output_size=output_size)


class MaxUnpool2d(_Unpool):
    """Images of zeros with the elements at the places that `MaxPool2d` gave with
    `return_indices`. See `F.max_unpool2d`.

    >>> pool, unpool = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)
    >>> unpool(*pool(ag.ones(2, 4, 6, 6))).shape
    argand.Size([2, 4, 6, 6])
    """

    count = 2

    def forward(self, input: Any, indices: Any, output_size: Any = None) -> Any:
        """The unpooled input, of `output_size` where several sizes are possible."""
        return F.max_unpool2d(input, indices, *self._window(), output_size=output_size)


class MaxUnpool3d(_Unpool):
    """Volumes of zeros with the elements at the places that `MaxPool3d` gave with
    `return_indices`. See `F.max_unpool2d`.

    >>> pool, unpool = nn.MaxPool3d(2, return_indices=True), nn.MaxUnpool3d(2)
    >>> unpool(*pool(ag.ones(2, 4, 6, 6, 2))).shape
    argand.Size([2, 4, 6, 6, 2])
    """

    count = 3

    def forward(self, input: Any, indices: Any, output_size: Any = None) -> Any:
        """The unpooled input, of `output_size` where several sizes are possible."""
        return F.max_unpool3d(input, indices, *self._window(), output_size=output_size)


class _Fractional(Module):
    """Windows at random steps."""

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> None:
        super().__init__()
        if (output_size is None) == (output_ratio is None):
            raise ArgumentError(f"{type(self).__name__}: give either output_size or output_ratio")
        self.kernel_size, self.return_indices = kernel_size, return_indices
        self.output_size, self.output_ratio = output_size, output_ratio
        self.register_buffer("_random_samples", _random_samples)

    def _options(self) -> tuple[Any, ...]:
        sizes = (self.kernel_size, self.output_size, self.output_ratio)
        return (*sizes, self.return_indices, self._random_samples)


class FractionalMaxPool2d(_Fractional):
    """The largest of windows at random steps that give images of `output_size`, or of
    `output_ratio` times their size (Graham, 2014). See `F.fractional_max_pool2d`.

    >>> nn.FractionalMaxPool2d(2, output_size=3)(ag.ones(2, 4, 7, 7)).shape
    argand.Size([2, 4, 3, 3])
    """

    def forward(self, input: Any) -> Any:
        """The pooled input, and with `return_indices` the places too."""
        return F.fractional_max_pool2d(input, *self._options())


class FractionalMaxPool3d(_Fractional):
    """The largest of windows at random steps that give volumes of `output_size`, or of
    `output_ratio` times their size (Graham, 2014). See `F.fractional_max_pool2d`.

    >>> nn.FractionalMaxPool3d(2, output_size=3)(ag.ones(2, 4, 7, 7, 5)).shape
    argand.Size([2, 4, 3, 3, 3])
    """

    def forward(self, input: Any) -> Any:
        """The pooled input, and with `return_indices` the places too."""
        return F.fractional_max_pool3d(input, *self._options())
