"""Pooling layers."""

from __future__ import annotations

from typing import Any

from argand.nn import functional as F
from argand.nn.functional.padding import several
from argand.nn.module import Module


class _MaxPool(Module):
    """The largest value of each window."""

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size, self.return_indices = kernel_size, return_indices
        self.stride = kernel_size if stride is None else stride
        self.padding, self.dilation, self.ceil_mode = padding, dilation, ceil_mode

    def _options(self) -> tuple[Any, ...]:
        """The arguments of the function behind its input."""
        window = (self.kernel_size, self.stride, self.padding, self.dilation)
        return (*window, self.ceil_mode, self.return_indices)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The largest value of each window of sequences (N, C, L). See `F.max_pool2d` for the
    arguments.

    >>> nn.MaxPool1d(2)(ag.tensor([[1.0, 2.0, 4.0, 3.0]]))
    tensor([[2., 4.]])
    """

    def forward(self, input: Any) -> Any:
        """(N, C, L')."""
        return F.max_pool1d(input, *self._options())


class MaxPool2d(_MaxPool):
    """The largest value of each window of images (N, C, H, W); padding never wins. See
    `F.max_pool2d`.

    >>> nn.MaxPool2d(2)(ag.ones(1, 8, 6, 6)).shape
    argand.Size([1, 8, 3, 3])
    """

    def forward(self, input: Any) -> Any:
        """(N, C, H', W')."""
        return F.max_pool2d(input, *self._options())


class MaxPool3d(_MaxPool):
    """The largest value of each window of volumes (N, C, D, H, W); padding never wins. See
    `F.max_pool3d`.

    >>> nn.MaxPool3d(2)(ag.ones(1, 8, 4, 6, 6)).shape
    argand.Size([1, 8, 2, 3, 3])
    """

    def forward(self, input: Any) -> Any:
        """(N, C, D', H', W')."""
        return F.max_pool3d(input, *self._options())


class AvgPool1d(Module):
    """The mean of each window of sequences (N, C, L). See `F.avg_pool2d` for the arguments.

    >>> nn.AvgPool1d(2)(ag.tensor([[1.0, 2.0, 4.0, 3.0]]))
    tensor([[1.5000, 3.5000]])
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = several(kernel_size, 1, "kernel_size")
        self.stride = self.kernel_size if stride is None else several(stride, 1, "stride")
        self.padding, self.ceil_mode = several(padding, 1, "padding"), ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Any) -> Any:
        """(N, C, L')."""
        return F.avg_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(Module):
    """The mean of each window of images (N, C, H, W). See `F.avg_pool2d`.

    >>> nn.AvgPool2d(2)(ag.ones(1, 8, 6, 6)).shape
    argand.Size([1, 8, 3, 3])
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input: Any) -> Any:
        """(N, C, H', W')."""
        return F.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool3d(AvgPool2d):
    """The mean of each window of volumes (N, C, D, H, W). See `F.avg_pool3d`.

    >>> nn.AvgPool3d(2)(ag.ones(1, 8, 4, 6, 6)).shape
    argand.Size([1, 8, 2, 3, 3])
    """

    def forward(self, input: Any) -> Any:
        """(N, C, D', H', W')."""
        return F.avg_pool3d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class _Adaptive(Module):
    """Pooling with windows chosen for an output size."""

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_Adaptive):
    """The mean over windows that give sequences of `output_size`. See `F.adaptive_avg_pool2d`.

    >>> nn.AdaptiveAvgPool1d(2)(ag.tensor([[1.0, 3.0, 5.0, 7.0]]))
    tensor([[2., 6.]])
    """

    def forward(self, input: Any) -> Any:
        """(N, C, output_size)."""
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_Adaptive):
    """The mean over windows that give images of `output_size`. See `F.adaptive_avg_pool2d`.

    >>> nn.AdaptiveAvgPool2d((1, 1))(ag.ones(2, 8, 6, 6)).shape
    argand.Size([2, 8, 1, 1])
    """

    def forward(self, input: Any) -> Any:
        """(N, C, *output_size)."""
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_Adaptive):
    """The mean over windows that give volumes of `output_size`. See `F.adaptive_avg_pool2d`.

    >>> nn.AdaptiveAvgPool3d(1)(ag.ones(2, 8, 4, 6, 6)).shape
    argand.Size([2, 8, 1, 1, 1])
    """

    def forward(self, input: Any) -> Any:
        """(N, C, *output_size)."""
        return F.adaptive_avg_pool3d(input, self.output_size)


class _AdaptiveMax(_Adaptive):
    """The largest instead of the mean."""

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices


class AdaptiveMaxPool1d(_AdaptiveMax):
    """The largest over windows that give sequences of `output_size`. See `F.adaptive_avg_pool2d`.

    >>> nn.AdaptiveMaxPool1d(2)(ag.tensor([[1.0, 3.0, 5.0, 7.0]]))
    tensor([[3., 7.]])
    """

    def forward(self, input: Any) -> Any:
        """(N, C, output_size)."""
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMax):
    """The largest over windows that give images of `output_size`. See `F.adaptive_avg_pool2d`.

    >>> nn.AdaptiveMaxPool2d(3)(ag.ones(2, 8, 6, 6)).shape
    argand.Size([2, 8, 3, 3])
    """

    def forward(self, input: Any) -> Any:
        """(N, C, *output_size)."""
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(_AdaptiveMax):
    """The largest over windows that give volumes of `output_size`. See `F.adaptive_avg_pool2d`.

    >>> nn.AdaptiveMaxPool3d(2)(ag.ones(2, 8, 4, 6, 6)).shape
    argand.Size([2, 8, 2, 2, 2])
    """

    def forward(self, input: Any) -> Any:
        """(N, C, *output_size)."""
        return F.adaptive_max_pool3d(input, self.output_size, self.return_indices)
