"""Layers that learn their number of inputs from the first input they see."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from argand.base import epoch
from argand.base.errors import ShapeError
from argand.ir.op import ops
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
from argand.nn.uninitialized import UninitializedBuffer, UninitializedParameter, is_lazy
from argand.tensor.generators import fork_rng
from argand.tensor.inplace import assign
from argand.transform.mode import no_grad

_WITH_STATISTICS = {"affine": True, "track_running_stats": True}


class _Lazy(Module):
    """A layer that becomes `layer` when it is first called."""

    layer: type[Any]
    axis = 1  # of the input, whose size is the layer's first argument
    counted = "num_features"  # the attribute that has this size
    defaults: Mapping[str, Any] = {}  # where they aren't the layer's

    def __init_subclass__(cls) -> None:
        _, *rest = inspect.signature(cls.layer).parameters.values()
        rest = [p.replace(default=cls.defaults.get(p.name, p.default)) for p in rest]
        cls.__signature__ = inspect.Signature(rest)  # type: ignore[attr-defined]  # what inspect reads

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        try:
            given = inspect.signature(type(self)).bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}.__init__() {error}") from None
        given.apply_defaults()
        with fork_rng():  # the values that are drawn here are replaced
            made = self.layer(given.arguments.get("groups", 1), *given.args, **given.kwargs)
        self.__dict__.update(vars(made), _made_with=(given.args, given.kwargs))
        setattr(self, self.counted, 0)
        for name, p in made._parameters.items():
            if p is not None:
                made._parameters[name] = UninitializedParameter(dtype=p.dtype)
        for name, b in made._buffers.items():
            if b is not None and b.ndim:
                made._buffers[name] = UninitializedBuffer(dtype=b.dtype)

    @property
    def cls_to_become(self) -> type[Any]:
        """The class that the layer gets with its first input."""
        return self.layer

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or a buffer waits for the first input."""
        return any(map(is_lazy, (*self._parameters.values(), *self._buffers.values())))

    def initialize_parameters(self, input: Any, *args: Any, **kwargs: Any) -> None:
        """Give the parameters and buffers the sizes that an input asks for, and first values."""
        size = self._size(input)
        setattr(self, self.counted, size)
        if not self.has_uninitialized_params():
            return
        given, options = self.__dict__["_made_with"]
        made = self.layer(size, *given, **options)
        tensors: Any = {**self._parameters, **self._buffers}
        found: Any = {**made._parameters, **made._buffers}
        with no_grad():
            for name in filter(lambda n: is_lazy(tensors[n]), tensors):
                tensors[name].materialize(tuple(found[name].shape))
                assign(tensors[name], ops.cast(found[name], tensors[name].dtype))

    def forward(self, input: Any, *args: Any, **kwargs: Any) -> Any:
        """What the layer makes of the input."""
        self.initialize_parameters(input, *args, **kwargs)
        self.__dict__.pop("_made_with")
        self.__class__ = self.layer
        epoch.bump()
        return self.forward(input, *args, **kwargs)

    def _size(self, input: Any) -> int:
        least = self.axis + 1 if self.axis >= 0 else -self.axis
        if input.ndim < least:
            raise ShapeError(f"expected an input of at least {least} dimensions")
        return int(input.shape[self.axis])

    def reset_parameters(self) -> None:
        """First values anew, where there are values."""
        if not self.has_uninitialized_params():
            super().reset_parameters()  # type: ignore[misc]  # the layer's

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        for name, tensor in self._own_tensors():
            kept = keep_vars or is_lazy(tensor)
            destination[prefix + name] = tensor if kept else tensor.detach()

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, *rest: Any
    ) -> None:
        waiting = [name for name, tensor in self._own_tensors() if is_lazy(tensor)]
        for name in waiting:
            given = state_dict.get(prefix + name)
            if given is not None and not is_lazy(given):
                tensor: Any = {**self._parameters, **self._buffers}[name]
                tensor.materialize(tuple(given.shape))
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


class LazyLinear(_Lazy, Linear):
    """``LazyLinear(out_features)``: a `Linear` whose in_features is the first input's last size.

    >>> layer = nn.LazyLinear(2)
    >>> layer(ag.ones(4, 3)).shape, layer
    (argand.Size([4, 2]), Linear(in_features=3, out_features=2, bias=True))
    """

    layer, axis, counted = Linear, -1, "in_features"


class LazyConv1d(_Lazy, Conv1d):
    """A `Conv1d` without in_channels, which it takes from the first input (N, C, L).

    >>> nn.LazyConv1d(4, kernel_size=3)(ag.ones(1, 2, 8)).shape
    argand.Size([1, 4, 6])
    """

    layer, axis, counted = Conv1d, -2, "in_channels"


class LazyConv2d(_Lazy, Conv2d):
    """A `Conv2d` without in_channels, which it takes from the first input (N, C, H, W).

    >>> nn.LazyConv2d(4, kernel_size=3)(ag.ones(1, 2, 8, 8)).shape
    argand.Size([1, 4, 6, 6])
    """

    layer, axis, counted = Conv2d, -3, "in_channels"


class LazyConv3d(_Lazy, Conv3d):
    """A `Conv3d` without in_channels, which it takes from the first input (N, C, D, H, W).

    >>> nn.LazyConv3d(4, kernel_size=3)(ag.ones(1, 2, 8, 8, 8)).shape
    argand.Size([1, 4, 6, 6, 6])
    """

    layer, axis, counted = Conv3d, -4, "in_channels"


class LazyConvTranspose1d(_Lazy, ConvTranspose1d):
    """A `ConvTranspose1d` without in_channels, which it takes from the first input (N, C, L).

    >>> nn.LazyConvTranspose1d(4, kernel_size=3)(ag.ones(1, 2, 8)).shape
    argand.Size([1, 4, 10])
    """

    layer, axis, counted = ConvTranspose1d, -2, "in_channels"


class LazyConvTranspose2d(_Lazy, ConvTranspose2d):
    """A `ConvTranspose2d` without in_channels, taken from the first input (N, C, H, W).

    >>> nn.LazyConvTranspose2d(4, kernel_size=3)(ag.ones(1, 2, 8, 8)).shape
    argand.Size([1, 4, 10, 10])
    """

    layer, axis, counted = ConvTranspose2d, -3, "in_channels"


class LazyConvTranspose3d(_Lazy, ConvTranspose3d):
    """A `ConvTranspose3d` without in_channels, taken from the first input (N, C, D, H, W).

    >>> nn.LazyConvTranspose3d(4, kernel_size=3)(ag.ones(1, 2, 4, 8, 8)).shape
    argand.Size([1, 4, 6, 10, 10])
    """

    layer, axis, counted = ConvTranspose3d, -4, "in_channels"


class LazyBatchNorm1d(_Lazy, BatchNorm1d):
    """A `BatchNorm1d` without num_features, which it takes from the first input (N, C) or
    (N, C, L).

    >>> nn.LazyBatchNorm1d()(ag.rand(3, 2)).shape
    argand.Size([3, 2])
    """

    layer = BatchNorm1d


class LazyBatchNorm2d(_Lazy, BatchNorm2d):
    """A `BatchNorm2d` without num_features, which it takes from the first input (N, C, H, W).

    >>> nn.LazyBatchNorm2d()(ag.rand(3, 2, 4, 4)).shape
    argand.Size([3, 2, 4, 4])
    """

    layer = BatchNorm2d


class LazyBatchNorm3d(_Lazy, BatchNorm3d):
    """A `BatchNorm3d` without num_features, taken from the first input (N, C, D, H, W).

    >>> nn.LazyBatchNorm3d()(ag.rand(3, 2, 4, 4, 4)).shape
    argand.Size([3, 2, 4, 4, 4])
    """

    layer = BatchNorm3d


class LazyInstanceNorm1d(_Lazy, InstanceNorm1d):
    """An `InstanceNorm1d` without num_features, taken from the first input (N, C, L).

    >>> nn.LazyInstanceNorm1d()(ag.rand(3, 2, 4)).shape
    argand.Size([3, 2, 4])
    """

    layer, axis, defaults = InstanceNorm1d, -2, _WITH_STATISTICS


class LazyInstanceNorm2d(_Lazy, InstanceNorm2d):
    """An `InstanceNorm2d` without num_features, taken from the first input (N, C, H, W).

    >>> nn.LazyInstanceNorm2d()(ag.rand(3, 2, 4, 4)).shape
    argand.Size([3, 2, 4, 4])
    """

    layer, axis, defaults = InstanceNorm2d, -3, _WITH_STATISTICS


class LazyInstanceNorm3d(_Lazy, InstanceNorm3d):
    """An `InstanceNorm3d` without num_features, taken from the first input (N, C, D, H, W).

    >>> nn.LazyInstanceNorm3d()(ag.rand(3, 2, 4, 4, 4)).shape
    argand.Size([3, 2, 4, 4, 4])
    """

    layer, axis, defaults = InstanceNorm3d, -4, _WITH_STATISTICS
