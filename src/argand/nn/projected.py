"""A linear layer and its loss as one, and layers by older names."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from argand.base.errors import ShapeError
from argand.base.notices import notice
from argand.ir.op import describe, ops
from argand.nn import functional as F
from argand.nn.linear import Linear
from argand.nn.loss import NLLLoss, _WeightedLoss
from argand.nn.module import Module


@dataclasses.dataclass(frozen=True)
class LinearCrossEntropyOptions:
    """How much memory PyTorch's `linear_cross_entropy` uses; here it has no effect.

    >>> nn.LinearCrossEntropyOptions().acc_policy
    'auto'
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: Any = None


class LinearCrossEntropyLoss(_WeightedLoss):
    """Cross-entropy of what a linear layer gives. See `F.linear_cross_entropy`.

    >>> nn.LinearCrossEntropyLoss(3, 4)(ag.ones(2, 3), ag.tensor([0, 1])).shape
    argand.Size([])
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Any = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: Any = None,
    ) -> None:
        super().__init__(weight, reduction=reduction)
        self.in_features, self.num_classes = in_features, num_classes
        self.out_features = tuple(out_features)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing
        self.options = options
        rows = math.prod((num_classes, *self.out_features))
        self.linear = Linear(in_features, rows, bias, device=device, dtype=dtype)

    def forward(self, input: Any, target: Any) -> Any:
        """The loss."""
        shape = (self.num_classes, *self.out_features)
        bias = self.linear.bias
        return F.linear_cross_entropy(
            input,
            ops.reshape(self.linear.weight, (*shape, self.in_features)),
            target,
            linear_bias=None if bias is None else ops.reshape(bias, shape),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            options=self.options,
        )

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, num_classes={self.num_classes}, "
            f"out_features={self.out_features}, bias={self.linear.bias is not None}, "
            f"reduction={self.reduction}, ignore_index={self.ignore_index}, "
            f"label_smoothing={self.label_smoothing}, options={self.options}"
        )


class NLLLoss2d(NLLLoss):
    """The older name of `NLLLoss`, with a FutureWarning.

    >>> issubclass(nn.NLLLoss2d, nn.NLLLoss)
    True
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        notice("NLLLoss2d is the older name of NLLLoss", FutureWarning)
        super().__init__(*args, **kwargs)


class Container(Module):
    """The older base of modules with parts, given by name; with a FutureWarning.

    >>> issubclass(nn.Container, nn.Module)
    True
    """

    def __init__(self, **kwargs: Any) -> None:
        notice("Container is the older form of Module; derive from nn.Module", FutureWarning)
        super().__init__()
        for name, module in kwargs.items():
            self.add_module(name, module)


class CrossMapLRN2d(Module):
    """x / (k + alpha / size * sum of x ** 2 over the channels near) ** beta, for images
    (N, C, H, W): (size - 1) // 2 channels on either side and the one itself.

    PyTorch's goes on adding the first channel to all windows behind it; this one does not.

    >>> nn.CrossMapLRN2d(3)(ag.ones(1, 2, 1, 1)).shape
    argand.Size([1, 2, 1, 1])
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Any) -> Any:
        """The normalised images."""
        if input.ndim != 4:
            raise ShapeError(f"CrossMapLRN2d: expected (N, C, H, W), got {describe(input)}")
        near = 2 * ((self.size - 1) // 2) + 1
        alpha = self.alpha * near / self.size
        return F.local_response_norm(input, near, alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


def factory_kwargs(kwargs: dict[str, Any] | None) -> dict[str, Any]:
    """The `device`, `dtype` and `memory_format` among keywords, or in their `factory_kwargs`;
    TypeError for others.

    >>> nn.factory_kwargs({"dtype": ag.float64})
    {'dtype': argand.float64}
    """
    if kwargs is None:
        return {}
    own = {"device", "dtype", "memory_format"}
    unknown = kwargs.keys() - {*own, "factory_kwargs"}
    if unknown:
        raise TypeError(f"unexpected keyword arguments {sorted(unknown)}")
    found = dict(kwargs.get("factory_kwargs", {}))
    for name in own & kwargs.keys():
        if name in found:
            raise TypeError(f"{name} is given twice, once in factory_kwargs")
        found[name] = kwargs[name]
    return found
