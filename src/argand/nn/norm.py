"""Normalisation layers."""

from __future__ import annotations

from typing import Any

from argand.base.domains import check_counts, check_numbers
from argand.base.errors import ShapeError
from argand.base.notices import no_effect
from argand.ir.op import describe, ops
from argand.nn import functional as F
from argand.nn import init
from argand.nn.module import Module
from argand.nn.parameter import Parameter
from argand.tensor.creation import ones, zeros
from argand.tensor.inplace import assign
from argand.transform.mode import no_grad


def _affine(module: Module, shape: Any, weight: bool, bias: bool, options: dict[str, Any]) -> None:
    module.register_parameter("weight", Parameter(ones(shape, **options)) if weight else None)
    module.register_parameter("bias", Parameter(zeros(shape, **options)) if bias else None)


def _start(weight: Any, bias: Any) -> None:
    """The values with which a layer begins."""
    if weight is not None:
        init.ones_(weight)
    if bias is not None:
        init.zeros_(bias)


def _statistics(module: Module, features: int, kept: bool, options: dict[str, Any]) -> None:
    """The buffers of running statistics, None unless they are kept."""
    module.register_buffer("running_mean", zeros(features, **options) if kept else None)
    module.register_buffer("running_var", ones(features, **options) if kept else None)
    module.register_buffer("num_batches_tracked", zeros((), dtype="int64") if kept else None)


def _check(num_features: Any, eps: Any, momentum: Any) -> None:
    check_counts(0, num_features=num_features)
    check_numbers("[0, inf)", eps=eps)
    if momentum is not None:
        check_numbers("[0, 1]", momentum=momentum)


class _NormBase(Module):
    """What has running statistics, a weight and a bias for each channel."""

    def reset_running_stats(self) -> None:
        """Forget the running statistics."""
        if self.track_running_stats:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            init.constant_(self.num_batches_tracked, 0)

    def reset_parameters(self) -> None:
        """The parameters and statistics as at the start."""
        self.reset_running_stats()
        _start(self.weight, self.bias)


class _BatchNorm(_NormBase):
    """y = (x - mean) / sqrt(var + eps) * weight + bias for each channel (dimension 1).

    In training mode the mean and variance are the batch's, and the running ones move by `momentum`
    towards them (None: their plain average over all batches); in evaluation mode they are the
    running ones.
    """

    ranks: tuple[int, ...] = ()

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        _check(num_features, eps, momentum)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        options = {"device": device, "dtype": dtype}
        _affine(self, num_features, affine, affine and bias, options)
        _statistics(self, num_features, track_running_stats, options)

    def _check_input_dim(self, input: Any) -> None:
        """Refuse what has another number of dimensions."""
        if self.ranks and input.ndim not in self.ranks:
            expected = " or ".join(map(str, self.ranks))
            raise ShapeError(
                f"{type(self).__name__}: expected an input of {expected} dimensions, got "
                f"{describe(input)}"
            )

    def forward(self, input: Any) -> Any:
        """The normalised input, in its shape."""
        self._check_input_dim(input)
        momentum: Any = self.momentum
        counted = self.num_batches_tracked
        if self.training and counted is not None:
            with no_grad():
                assign(counted, ops.add(counted, 1))
            if momentum is None:
                momentum = ops.div(1.0, ops.cast(counted, input.dtype))
        return F.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            momentum,
            self.eps,
        )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias for each channel of (N, C) or (N, C, L)
    (Ioffe and Szegedy, 2015).

    In training mean and variance are the batch's, and the buffers `running_mean` and `running_var`
    follow them by `momentum`; in evaluation they are the buffers.

    >>> nn.BatchNorm1d(1)(ag.tensor([[1.0], [3.0]])).detach()
    tensor([[-1.0000],
            [ 1.0000]])
    """

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias for each channel of images (N, C, H, W)
    (Ioffe and Szegedy, 2015). See BatchNorm1d for the running statistics.

    >>> nn.BatchNorm2d(4)(ag.ones(2, 4, 3, 3)).shape
    argand.Size([2, 4, 3, 3])
    """

    ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of volumes (N, C, D, H, W).

    y = (x - mean) / sqrt(var + eps) * weight + bias for each channel (Ioffe and Szegedy, 2015).

    >>> nn.BatchNorm3d(4)(ag.rand(2, 4, 3, 5, 5)).shape
    argand.Size([2, 4, 3, 5, 5])
    """

    ranks = (5,)


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation over all processes, of which there is one: that of (N, C, ...).

    >>> nn.SyncBatchNorm(4)(ag.rand(2, 4, 3)).shape
    argand.Size([2, 4, 3])
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        options = (num_features, eps, momentum, affine, track_running_stats, device, dtype)
        super().__init__(*options, bias=bias)
        no_effect("SyncBatchNorm", "there is one process", process_group=(process_group, None))
        self.process_group = process_group

    def forward(self, input: Any) -> Any:
        """The normalised input, in its shape."""
        if input.ndim < 2:
            raise ShapeError(f"SyncBatchNorm: expected (N, C, ...), got {describe(input)}")
        return super().forward(input)

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """The module with a SyncBatchNorm in place of each batch norm below it, or of itself."""
        made = module
        if isinstance(module, _BatchNorm) and not isinstance(module, cls):
            options = (module.eps, module.momentum, module.affine, module.track_running_stats)
            made = cls(module.num_features, *options, process_group)
            made.training = module.training
            for name in ("weight", "bias"):
                made.register_parameter(name, getattr(module, name))
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                made.register_buffer(name, getattr(module, name))
        for name, child in list(module.named_children()):
            made.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return made


class LayerNorm(Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias over the last dimensions,
    `normalized_shape`.

    Mean and (biased) variance are each sample's own (Ba, Kiros and Hinton, 2016). `weight` starts
    at 1 and `bias` at 0.

    >>> nn.LayerNorm(3)(ag.tensor([[1.0, 2.0, 3.0]])).detach()
    tensor([[-1.2247,  0.0000,  1.2247]])
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        one = isinstance(normalized_shape, int)
        self.normalized_shape = (normalized_shape,) if one else tuple(normalized_shape)
        check_numbers("[0, inf)", eps=eps)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        options = {"device": device, "dtype": dtype}
        affine = elementwise_affine
        _affine(self, self.normalized_shape, affine, affine and bias, options)

    def reset_parameters(self) -> None:
        """weight = 1, bias = 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Any) -> Any:
        """The normalised input, in its shape."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine, bias = self.elementwise_affine, self.bias is not None
        shape = self.normalized_shape
        return f"{shape}, eps={self.eps}, elementwise_affine={affine}, bias={bias}"


class RMSNorm(Module):
    """y = x / sqrt(mean(x ** 2) + eps) * weight over the last dimensions (Zhang and Sennrich,
    2019).

    >>> nn.RMSNorm(2)(ag.tensor([3.0, 4.0])).detach()
    tensor([0.8485, 1.1314])
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if eps is not None:
            check_numbers("[0, inf)", eps=eps)
        one = isinstance(normalized_shape, int)
        self.normalized_shape = (normalized_shape,) if one else tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        made = ones(self.normalized_shape, device=device, dtype=dtype)
        self.register_parameter("weight", Parameter(made) if elementwise_affine else None)

    def reset_parameters(self) -> None:
        """The weight as at the start."""
        _start(self.weight, None)

    def forward(self, input: Any) -> Any:
        """The normalised input, in its shape."""
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        affine = self.elementwise_affine
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={affine}"


class GroupNorm(Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, with groups of channels of each sample
    normalised together (Wu and He, 2018). `weight` and `bias` have one element for each channel.

    >>> nn.GroupNorm(2, 4)(ag.tensor([[1.0, 3.0, 0.0, 10.0]])).detach()
    tensor([[-1.0000,  1.0000, -1.0000,  1.0000]])
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups:
            raise ShapeError(
                f"GroupNorm: {num_channels} channels can't be divided into {num_groups} groups"
            )
        self.num_groups, self.num_channels = num_groups, num_channels
        if eps is not None:
            check_numbers("[0, inf)", eps=eps)
        self.eps, self.affine = eps, affine
        _affine(self, num_channels, affine, affine and bias, {"device": device, "dtype": dtype})

    def reset_parameters(self) -> None:
        """The parameters as at the start."""
        _start(self.weight, self.bias)

    def forward(self, input: Any) -> Any:
        """The normalised input, in its shape."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class _InstanceNorm(_NormBase):
    """y = (x - mean) / sqrt(var + eps) * weight + bias for each channel of each sample."""

    ranks: tuple[int, ...] = ()

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        _check(num_features, eps, momentum)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        options = {"device": device, "dtype": dtype}
        _affine(self, num_features, affine, affine and bias, options)
        _statistics(self, num_features, track_running_stats, options)

    def _check_input_dim(self, input: Any) -> None:
        """Refuse what has another number of dimensions."""
        if input.ndim not in self.ranks:
            raise ShapeError(
                f"{type(self).__name__}: expected an input of {self.ranks[1]} dimensions, got "
                f"{describe(input)}"
            )

    def forward(self, input: Any) -> Any:
        """The normalised input, in its shape."""
        self._check_input_dim(input)
        channels = input.shape[1 - self.ranks[1]]
        if channels != self.num_features and (self.affine or self.track_running_stats):
            raise ShapeError(
                f"{type(self).__name__}: {describe(input)}: expected {self.num_features} channels"
            )
        x = input if input.ndim == self.ranks[1] else ops.reshape(input, (1, *input.shape))
        given = self.training or not self.track_running_stats
        momentum = 0.0 if self.momentum is None else self.momentum
        statistics = (self.running_mean, self.running_var)
        y = F.instance_norm(x, *statistics, self.weight, self.bias, given, momentum, self.eps)
        return y if y.ndim == input.ndim else ops.reshape(y, tuple(input.shape))

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )


class InstanceNorm1d(_InstanceNorm):
    """y = (x - mean) / sqrt(var + eps), each channel of each sequence (N, C, L) on its own; with
    `affine` also times weight plus bias, for each channel.

    >>> nn.InstanceNorm1d(1)(ag.tensor([[[1.0, 3.0]]]))
    tensor([[[-1.0000,  1.0000]]])
    """

    ranks = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """y = (x - mean) / sqrt(var + eps), each channel of each image (N, C, H, W) on its own (Ulyanov
    et al., 2016); with `affine` also times weight plus bias, for each channel.

    >>> nn.InstanceNorm2d(1)(ag.tensor([[[[1.0, 3.0]]]]))
    tensor([[[[-1.0000,  1.0000]]]])
    """

    ranks = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Each channel of each volume (N, C, D, H, W) normalised on its own.

    >>> nn.InstanceNorm3d(4)(ag.rand(2, 4, 3, 5, 5)).shape
    argand.Size([2, 4, 3, 5, 5])
    """

    ranks = (4, 5)


class LocalResponseNorm(Module):
    """x / (k + alpha * mean(x ** 2 over `size` neighbouring channels)) ** beta. See
    `F.local_response_norm`.

    >>> nn.LocalResponseNorm(2)(ag.ones(1, 4, 5, 5)).shape
    argand.Size([1, 4, 5, 5])
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Any) -> Any:
        """The normalised input, in its shape."""
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
