"""Features of several resolutions."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from argand.base.dtype import int64
from argand.nn import functional as F
from argand.nn import init
from argand.nn.containers import ModuleList
from argand.nn.conv import Conv2d
from argand.nn.module import Module
from argand.tensor.creation import tensor, zeros
from argand.tensor.joining import cat
from argand.vision.ops.boxes import box_area
from argand.vision.ops.layers import Conv2dNormActivation
from argand.vision.ops.regions import roi_align, rows_of, two


class ExtraFPNBlock(Module):
    """Base of what adds levels to a `FeaturePyramidNetwork`: ``forward(results, x, names)`` gives
    more results and names."""

    def forward(self, results: Any, x: Any, names: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define forward")


class LastLevelMaxPool(ExtraFPNBlock):
    """One more level, of every second pixel of the last."""

    def forward(self, results: Any, x: Any, names: Any) -> Any:
        last = F.max_pool2d(results[-1], kernel_size=1, stride=2)
        return [*results, last], [*names, "pool"]


class LastLevelP6P7(ExtraFPNBlock):
    """Two more levels, of convolutions (RetinaNet, Lin et al. 2017)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.p6 = Conv2d(in_channels, out_channels, 3, 2, 1)
        self.p7 = Conv2d(out_channels, out_channels, 3, 2, 1)
        for layer in (self.p6, self.p7):
            init.kaiming_uniform_(layer.weight, a=1)
            init.constant_(layer.bias, 0)
        self.use_P5 = in_channels == out_channels

    def forward(self, results: Any, x: Any, names: Any) -> Any:
        sixth = self.p6(results[-1] if self.use_P5 else x[-1])
        return [*results, sixth, self.p7(F.relu(sixth))], [*names, "p6", "p7"]


class FeaturePyramidNetwork(Module):
    """Features of all resolutions with the same number of channels, each with what the coarser ones
    know. Lin et al. (2017). Takes and gives a dict of them, the finest first.

    >>> from argand.vision.ops import FeaturePyramidNetwork
    >>> levels = {"a": ag.ones(1, 4, 8, 8), "b": ag.ones(1, 8, 4, 4)}
    >>> {name: x.shape[1] for name, x in FeaturePyramidNetwork([4, 8], 5)(levels).items()}
    {'a': 5, 'b': 5}
    """

    _version = 2

    def __init__(
        self,
        in_channels_list: Sequence[int],
        out_channels: int,
        extra_blocks: ExtraFPNBlock | None = None,
        norm_layer: Callable[..., Module] | None = None,
    ) -> None:
        super().__init__()
        if 0 in in_channels_list:
            raise ValueError("in_channels=0 is currently not supported")
        if extra_blocks is not None and not isinstance(extra_blocks, ExtraFPNBlock):
            raise TypeError(
                f"extra_blocks should be of type ExtraFPNBlock not {type(extra_blocks)}"
            )
        options: Any = {"norm_layer": norm_layer, "activation_layer": None}
        self.inner_blocks, self.layer_blocks = ModuleList(), ModuleList()
        for channels in in_channels_list:
            inner = Conv2dNormActivation(channels, out_channels, 1, padding=0, **options)
            self.inner_blocks.append(inner)
            self.layer_blocks.append(Conv2dNormActivation(out_channels, out_channels, 3, **options))
        for layer in self.modules():
            if isinstance(layer, Conv2d):
                init.kaiming_uniform_(layer.weight, a=1)
                if layer.bias is not None:
                    init.constant_(layer.bias, 0)
        self.extra_blocks = extra_blocks

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, *rest: Any
    ) -> None:
        if (local_metadata.get("version") or 1) < 2:  # when a block was a convolution alone
            for block in ("inner_blocks", "layer_blocks"):
                for i in range(len(self.inner_blocks)):
                    for part in ("weight", "bias"):
                        old = f"{prefix}{block}.{i}.{part}"
                        if old in state_dict:
                            state_dict[f"{prefix}{block}.{i}.0.{part}"] = state_dict.pop(old)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)

    def forward(self, x: Any) -> Any:
        names, levels = list(x), list(x.values())
        coarser: Any = None
        results: list[Any] = []
        for i in reversed(range(len(levels))):
            inner = self.inner_blocks[i](levels[i])
            if coarser is not None:
                inner = inner + F.interpolate(coarser, size=inner.shape[-2:], mode="nearest")
            coarser = inner
            results.insert(0, self.layer_blocks[i](inner))
        if self.extra_blocks is not None:
            results, names = self.extra_blocks(results, levels, names)
        return OrderedDict(zip(names, results, strict=True))


class MultiScaleRoIAlign(Module):
    """`roi_align` of each box at the resolution that fits its size. Lin et al. (2017).

    >>> from argand.vision.ops import MultiScaleRoIAlign
    >>> levels = {"a": ag.ones(1, 4, 8, 8), "b": ag.ones(1, 4, 4, 4)}
    >>> pool = MultiScaleRoIAlign(["a", "b"], 3, 2)
    >>> pool(levels, [ag.tensor([[0.0, 0, 16, 16]])], [(32, 32)]).shape
    argand.Size([1, 4, 3, 3])
    """

    def __init__(
        self,
        featmap_names: list[str],
        output_size: Any,
        sampling_ratio: int,
        *,
        canonical_scale: int = 224,
        canonical_level: int = 4,
    ) -> None:
        super().__init__()
        self.featmap_names, self.sampling_ratio = featmap_names, sampling_ratio
        self.output_size = two(output_size)
        self.canonical_scale, self.canonical_level = canonical_scale, canonical_level
        self.scales: list[float] | None = None

    def _find_scales(self, levels: list[Any], image_shapes: Any) -> list[float]:
        """What makes pixels of each level of those of the images: powers of 2."""
        if not image_shapes:
            raise ValueError("images list should not be empty")
        height = max(shape[0] for shape in image_shapes)
        return [2.0 ** round(math.log2(int(x.shape[-2]) / height)) for x in levels]

    def forward(self, x: Any, boxes: list[Any], image_shapes: Any) -> Any:
        levels = [v for k, v in x.items() if k in self.featmap_names]
        if self.scales is None:
            self.scales = self._find_scales(levels, image_shapes)
        rows = rows_of(boxes)
        if len(levels) == 1:
            return self._aligned(levels[0], rows, self.scales[0])
        chosen = self._levels(boxes, self.scales)
        parts, order = [], []
        for i, (level, scale) in enumerate(zip(levels, self.scales, strict=True)):
            members = (chosen == i).nonzero().flatten()
            parts.append(self._aligned(level, rows[members], scale))
            order.append(members)
        if not len(rows):
            return zeros(0, levels[0].shape[1], *self.output_size, dtype=levels[0].dtype)
        return cat(parts)[cat(order).argsort()]

    def _aligned(self, level: Any, rows: Any, scale: float) -> Any:
        return roi_align(level, rows, self.output_size, scale, self.sampling_ratio)

    def _levels(self, boxes: list[Any], scales: list[float]) -> Any:
        """The number of the level of each box, by the root of its area."""
        first, last = (int(-math.log2(scales[i])) for i in (0, -1))
        side = cat([box_area(b) for b in boxes]).sqrt()
        wanted = self.canonical_level + (side / self.canonical_scale).log2()
        wanted = (wanted + tensor(1e-6, dtype=side.dtype)).floor().clamp(first, last)
        return wanted.to(int64) - first

    def __repr__(self) -> str:
        return (
            f"MultiScaleRoIAlign(featmap_names={self.featmap_names}, "
            f"output_size={self.output_size}, sampling_ratio={self.sampling_ratio})"
        )
