"""Layers that vision models are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from argand.nn import functional as F
from argand.nn.activation import ReLU, Sigmoid
from argand.nn.containers import Sequential
from argand.nn.conv import Conv2d, Conv3d
from argand.nn.dropout import Dropout
from argand.nn.linear import Linear
from argand.nn.module import Module
from argand.nn.norm import BatchNorm2d, BatchNorm3d
from argand.nn.pooling import AdaptiveAvgPool2d
from argand.tensor.creation import empty, ones, zeros

Layer = Callable[..., Module]


class FrozenBatchNorm2d(Module):
    """``(x - running_mean) / sqrt(running_var + eps) * weight + bias``, all of them fixed.

    >>> from argand.vision.ops import FrozenBatchNorm2d
    >>> FrozenBatchNorm2d(3, eps=0.0)(ag.ones(1, 3, 1, 1)).flatten()
    tensor([1., 1., 1.])
    """

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", ones(num_features))
        self.register_buffer("bias", zeros(num_features))
        self.register_buffer("running_mean", zeros(num_features))
        self.register_buffer("running_var", ones(num_features))

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        state_dict.pop(f"{prefix}num_batches_tracked", None)  # of a BatchNorm2d
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def forward(self, x: Any) -> Any:
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        bias = self.bias - self.running_mean * scale
        return x * scale.reshape(1, -1, 1, 1) + bias.reshape(1, -1, 1, 1)

    def __repr__(self) -> str:
        return f"FrozenBatchNorm2d({self.weight.shape[0]}, eps={self.eps})"


class _ConvNormActivation(Sequential):
    """A convolution, a normalisation and an activation."""

    def __init__(
        self,
        conv_layer: Layer,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        groups: int,
        norm_layer: Layer | None,
        activation_layer: Layer | None,
        dilation: Any,
        inplace: bool | None,
        bias: bool | None,
    ) -> None:
        if padding is None:
            padding = _same_padding(kernel_size, dilation)
        bias = norm_layer is None if bias is None else bias
        options = {"dilation": dilation, "groups": groups, "bias": bias}
        layers = [conv_layer(in_channels, out_channels, kernel_size, stride, padding, **options)]
        if norm_layer is not None:
            layers.append(norm_layer(out_channels))
        if activation_layer is not None:
            layers.append(activation_layer(**({} if inplace is None else {"inplace": inplace})))
        super().__init__(*layers)
        self.out_channels = out_channels


def _same_padding(kernel_size: Any, dilation: Any) -> Any:
    """What keeps the size, at a stride of 1."""
    if isinstance(kernel_size, int) and isinstance(dilation, int):
        return (kernel_size - 1) // 2 * dilation
    dims = len(kernel_size if isinstance(kernel_size, Sequence) else dilation)
    sizes, steps = ([v] * dims if isinstance(v, int) else v for v in (kernel_size, dilation))
    return tuple((k - 1) // 2 * d for k, d in zip(sizes, steps, strict=True))


class Conv2dNormActivation(_ConvNormActivation):
    """`nn.Conv2d`, a normalisation and an activation; the padding keeps the size if not told.

    >>> from argand.vision.ops import Conv2dNormActivation
    >>> Conv2dNormActivation(3, 8, kernel_size=3)(ag.ones(1, 3, 5, 5)).shape
    argand.Size([1, 8, 5, 5])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any = 3,
        stride: Any = 1,
        padding: Any = None,
        groups: int = 1,
        norm_layer: Layer | None = BatchNorm2d,
        activation_layer: Layer | None = ReLU,
        dilation: Any = 1,
        inplace: bool | None = True,
        bias: bool | None = None,
    ) -> None:
        window: Any = (kernel_size, stride, padding, groups)
        rest: Any = (norm_layer, activation_layer, dilation, inplace, bias)
        super().__init__(Conv2d, in_channels, out_channels, *window, *rest)


class Conv3dNormActivation(_ConvNormActivation):
    """`nn.Conv3d`, a normalisation and an activation; the padding keeps the size if not told.

    >>> from argand.vision.ops import Conv3dNormActivation
    >>> Conv3dNormActivation(3, 8, kernel_size=3)(ag.ones(1, 3, 2, 5, 5)).shape
    argand.Size([1, 8, 2, 5, 5])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any = 3,
        stride: Any = 1,
        padding: Any = None,
        groups: int = 1,
        norm_layer: Layer | None = BatchNorm3d,
        activation_layer: Layer | None = ReLU,
        dilation: Any = 1,
        inplace: bool | None = True,
        bias: bool | None = None,
    ) -> None:
        window: Any = (kernel_size, stride, padding, groups)
        rest: Any = (norm_layer, activation_layer, dilation, inplace, bias)
        super().__init__(Conv3d, in_channels, out_channels, *window, *rest)


class SqueezeExcitation(Module):
    """Each channel times a number that a small network finds from the means of all. Hu et al.
    (2018).

    >>> from argand.vision.ops import SqueezeExcitation
    >>> SqueezeExcitation(4, 2)(ag.ones(1, 4, 3, 3)).shape
    argand.Size([1, 4, 3, 3])
    """

    def __init__(
        self,
        input_channels: int,
        squeeze_channels: int,
        activation: Layer = ReLU,
        scale_activation: Layer = Sigmoid,
    ) -> None:
        super().__init__()
        self.avgpool = AdaptiveAvgPool2d(1)
        self.fc1 = Conv2d(input_channels, squeeze_channels, 1)
        self.fc2 = Conv2d(squeeze_channels, input_channels, 1)
        self.activation, self.scale_activation = activation(), scale_activation()

    def forward(self, input: Any) -> Any:
        hidden = self.activation(self.fc1(self.avgpool(input)))
        return self.scale_activation(self.fc2(hidden)) * input


class MLP(Sequential):
    """Linear layers with a normalisation, an activation and dropout between them.

    >>> from argand.vision.ops import MLP
    >>> MLP(3, [8, 2])(ag.ones(5, 3)).shape
    argand.Size([5, 2])
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: Sequence[int],
        norm_layer: Layer | None = None,
        activation_layer: Layer | None = ReLU,
        inplace: bool | None = None,
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        options: Any = {} if inplace is None else {"inplace": inplace}
        layers: list[Module] = []
        sizes = [in_channels, *hidden_channels]
        for i, size in enumerate(hidden_channels):
            layers.append(Linear(sizes[i], size, bias=bias))
            if i < len(hidden_channels) - 1:
                if norm_layer is not None:
                    layers.append(norm_layer(size))
                if activation_layer is not None:
                    layers.append(activation_layer(**options))
            layers.append(Dropout(dropout, **options))
        super().__init__(*layers)


class Permute(Module):
    """The dimensions in another order.

    >>> from argand.vision.ops import Permute
    >>> Permute([1, 0])(ag.ones(2, 3)).shape
    argand.Size([3, 2])
    """

    def __init__(self, dims: list[int]) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Any) -> Any:
        return x.permute(*self.dims)


# -- what is left out at random --------------------------------------------------------------------


def _check_chance(p: float) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"drop probability has to be between 0 and 1, but got {p}")


def stochastic_depth(input: Any, p: float, mode: str, training: bool = True) -> Any:
    """0 with a chance of `p`, else ``x / (1 - p)``: for each sample ("row"), or the whole batch
    ("batch"). Huang et al. (2016).

    >>> from argand.vision.ops import stochastic_depth
    >>> stochastic_depth(ag.ones(2), 1.0, "batch")
    tensor([0., 0.])
    """
    _check_chance(p)
    if mode not in ("batch", "row"):
        raise ValueError(f"mode has to be either 'batch' or 'row', but got {mode}")
    if not training or p == 0.0:
        return input
    first = input.shape[0] if mode == "row" else 1
    kept = empty(first, *[1] * (input.ndim - 1), dtype=input.dtype).bernoulli_(1.0 - p)
    return input * (kept / (1.0 - p) if p < 1.0 else kept)


class StochasticDepth(Module):
    """See `stochastic_depth`.

    >>> from argand.vision.ops import StochasticDepth
    >>> StochasticDepth(1.0, "row")(ag.ones(2, 1)).flatten()
    tensor([0., 0.])
    """

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()
        self.p, self.mode = p, mode

    def forward(self, input: Any) -> Any:
        return stochastic_depth(input, self.p, self.mode, self.training)

    def __repr__(self) -> str:
        return f"StochasticDepth(p={self.p}, mode={self.mode})"


def _without_blocks(
    input: Any, p: float, block_size: int, inplace: bool, eps: float, training: bool, dims: int
) -> Any:
    """What drop_block2d and drop_block3d have in common."""
    _check_chance(p)
    if input.ndim != dims + 2:
        raise ValueError(f"input should be {dims + 2} dimensional. Got {input.ndim} dimensions.")
    if not training or p == 0.0:
        return input
    sizes = [int(n) for n in input.shape[2:]]
    block = min(block_size, *sizes)
    if block % 2 == 0:
        raise ValueError(f"block size should be odd. Got {block} which is even.")
    chance, places = p, 1
    for n in sizes:
        chance, places = chance * n, places * (n - block + 1)
    chance /= block**dims * places
    shape = (*input.shape[:2], *(n - block + 1 for n in sizes))
    middles = empty(*shape, dtype=input.dtype).bernoulli_(chance)
    middles = F.pad(middles, (block // 2,) * (2 * dims))
    pool = F.max_pool2d if dims == 2 else F.max_pool3d
    kept = 1 - pool(middles, block, stride=1, padding=block // 2)
    scale = kept.numel() / (eps + kept.sum())
    return input.mul_(kept).mul_(scale) if inplace else input * kept * scale


def drop_block2d(
    input: Any,
    p: float,
    block_size: int,
    inplace: bool = False,
    eps: float = 1e-6,
    training: bool = True,
) -> Any:
    """Square blocks of images (N, C, H, W) set to 0, so that about a part `p` of them is, and the
    rest scaled to make up for it. Ghiasi et al. (2018).

    >>> from argand.vision.ops import drop_block2d
    >>> drop_block2d(ag.ones(1, 1, 4, 4), 0.5, 3, training=False).sum()
    tensor(16.)
    """
    return _without_blocks(input, p, block_size, inplace, eps, training, 2)


def drop_block3d(
    input: Any,
    p: float,
    block_size: int,
    inplace: bool = False,
    eps: float = 1e-6,
    training: bool = True,
) -> Any:
    """`drop_block2d` for volumes (N, C, D, H, W).

    >>> from argand.vision.ops import drop_block3d
    >>> drop_block3d(ag.ones(1, 1, 4, 4, 4), 0.5, 3, training=False).sum()
    tensor(64.)
    """
    return _without_blocks(input, p, block_size, inplace, eps, training, 3)


class DropBlock2d(Module):
    """See `drop_block2d`.

    >>> from argand.vision.ops import DropBlock2d
    >>> DropBlock2d(0.5, 3).eval()(ag.ones(1, 1, 4, 4)).sum()
    tensor(16.)
    """

    def __init__(self, p: float, block_size: int, inplace: bool = False, eps: float = 1e-6) -> None:
        super().__init__()
        self.p, self.block_size, self.inplace, self.eps = p, block_size, inplace, eps

    def forward(self, input: Any) -> Any:
        options = (self.p, self.block_size, self.inplace, self.eps, self.training)
        return drop_block2d(input, *options)

    def __repr__(self) -> str:
        shown = f"p={self.p}, block_size={self.block_size}, inplace={self.inplace}"
        return f"{type(self).__name__}({shown})"


class DropBlock3d(DropBlock2d):
    """See `drop_block3d`.

    >>> from argand.vision.ops import DropBlock3d
    >>> DropBlock3d(0.5, 3).eval()(ag.ones(1, 1, 4, 4, 4)).sum()
    tensor(64.)
    """

    def forward(self, input: Any) -> Any:
        options = (self.p, self.block_size, self.inplace, self.eps, self.training)
        return drop_block3d(input, *options)
