"""Layers that learn their number of inputs from the first input they see."""

from __future__ import annotations

from typing import Any, NoReturn

from argand.base import epoch
from argand.base.errors import ArgumentError, ShapeError
from argand.nn.conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from argand.nn.linear import Linear
from argand.nn.module import Module
from argand.nn.norm import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
)


class _Unknown(dict[str, Any]):
    """The parameters of a layer that has none yet: asking for them says what to do."""

    def __init__(self, owner: str) -> None:
        self.owner = owner

    def items(self) -> NoReturn:
        raise ArgumentError(
            f"{self.owner} has no parameters before it has seen an input: call the model on an "
            "example first, then make the optimizer"
        )


class _Lazy(Module):
    """A layer that becomes `layer` when it is first called."""

    layer: type[Any]
    axis = 1  # of the input, whose size is the layer's first argument

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.__dict__["_parameters"] = _Unknown(type(self).__name__)
        self.__dict__["_made_with"] = args, kwargs

    def forward(self, input: Any, *args: Any, **kwargs: Any) -> Any:
        """What the layer makes of the input."""
        given, options = self.__dict__["_made_with"]
        made = self.layer(self._size(input), *given, **options)
        made.training = self.training
        del self.__dict__["_made_with"]
        self.__class__ = self.layer
        self.__dict__.update(vars(made))
        epoch.bump()
        return self.forward(input, *args, **kwargs)

    def _size(self, input: Any) -> int:
        least = self.axis + 1 if self.axis >= 0 else -self.axis
        if input.ndim < least:
            raise ShapeError(f"expected an input of at least {least} dimensions")
        return int(input.shape[self.axis])

    def extra_repr(self) -> str:
        given, options = self.__dict__["_made_with"]
        return ", ".join(map(str, (*given, *(f"{k}={v}" for k, v in options.items()))))


class LazyLinear(_Lazy):
    """``LazyLinear(out_features)``: a `Linear` whose in_features is the first input's last size.

    >>> layer = nn.LazyLinear(2)
    >>> layer(ag.ones(4, 3)).shape, layer
    (argand.Size([4, 2]), Linear(in_features=3, out_features=2, bias=True))
    """

    layer, axis = Linear, -1


class LazyConv1d(_Lazy):
    """A `Conv1d` without in_channels, which it takes from the first input (N, C, L).

    >>> nn.LazyConv1d(4, kernel_size=3)(ag.ones(1, 2, 8)).shape
    argand.Size([1, 4, 6])
    """

    layer, axis = Conv1d, -2


class LazyConv2d(_Lazy):
    """A `Conv2d` without in_channels, which it takes from the first input (N, C, H, W).

    >>> nn.LazyConv2d(4, kernel_size=3)(ag.ones(1, 2, 8, 8)).shape
    argand.Size([1, 4, 6, 6])
    """

    layer, axis = Conv2d, -3


class LazyConv3d(_Lazy):
    """A `Conv3d` without in_channels, which it takes from the first input (N, C, D, H, W).

    >>> nn.LazyConv3d(4, kernel_size=3)(ag.ones(1, 2, 8, 8, 8)).shape
    argand.Size([1, 4, 6, 6, 6])
    """

    layer, axis = Conv3d, -4


class LazyConvTranspose1d(_Lazy):
    """A `ConvTranspose1d` without in_channels, which it takes from the first input (N, C, L).

    >>> nn.LazyConvTranspose1d(4, kernel_size=3)(ag.ones(1, 2, 8)).shape
    argand.Size([1, 4, 10])
    """

    layer, axis = ConvTranspose1d, -2


class LazyConvTranspose2d(_Lazy):
    """A `ConvTranspose2d` without in_channels, taken from the first input (N, C, H, W).

    >>> nn.LazyConvTranspose2d(4, kernel_size=3)(ag.ones(1, 2, 8, 8)).shape
    argand.Size([1, 4, 10, 10])
    """

    layer, axis = ConvTranspose2d, -3


class LazyConvTranspose3d(_Lazy):
    """A `ConvTranspose3d` without in_channels, taken from the first input (N, C, D, H, W).

    >>> nn.LazyConvTranspose3d(4, kernel_size=3)(ag.ones(1, 2, 4, 8, 8)).shape
    argand.Size([1, 4, 6, 10, 10])
    """

    layer, axis = ConvTranspose3d, -4


class LazyBatchNorm1d(_Lazy):
    """A `BatchNorm1d` without num_features, which it takes from the first input (N, C) or
    (N, C, L).

    >>> nn.LazyBatchNorm1d()(ag.rand(3, 2)).shape
    argand.Size([3, 2])
    """

    layer = BatchNorm1d


class LazyBatchNorm2d(_Lazy):
    """A `BatchNorm2d` without num_features, which it takes from the first input (N, C, H, W).

    >>> nn.LazyBatchNorm2d()(ag.rand(3, 2, 4, 4)).shape
    argand.Size([3, 2, 4, 4])
    """

    layer = BatchNorm2d


class LazyBatchNorm3d(_Lazy):
    """A `BatchNorm3d` without num_features, taken from the first input (N, C, D, H, W).

    >>> nn.LazyBatchNorm3d()(ag.rand(3, 2, 4, 4, 4)).shape
    argand.Size([3, 2, 4, 4, 4])
    """

    layer = BatchNorm3d


class LazyInstanceNorm1d(_Lazy):
    """An `InstanceNorm1d` without num_features, taken from the first input (N, C, L).

    >>> nn.LazyInstanceNorm1d()(ag.rand(3, 2, 4)).shape
    argand.Size([3, 2, 4])
    """

    layer, axis = InstanceNorm1d, -2


class LazyInstanceNorm2d(_Lazy):
    """An `InstanceNorm2d` without num_features, taken from the first input (N, C, H, W).

    >>> nn.LazyInstanceNorm2d()(ag.rand(3, 2, 4, 4)).shape
    argand.Size([3, 2, 4, 4])
    """

    layer, axis = InstanceNorm2d, -3


class LazyInstanceNorm3d(_Lazy):
    """An `InstanceNorm3d` without num_features, taken from the first input (N, C, D, H, W).

    >>> nn.LazyInstanceNorm3d()(ag.rand(3, 2, 4, 4, 4)).shape
    argand.Size([3, 2, 4, 4, 4])
    """

    layer, axis = InstanceNorm3d, -4
