"""Linear layers."""

from __future__ import annotations

import math
from typing import Any

from argand.nn import functional as F
from argand.nn import init
from argand.nn.module import Module
from argand.nn.parameter import Parameter
from argand.tensor.creation import empty


class Identity(Module):
    """y = x; takes and ignores any arguments.

    >>> nn.Identity()(ag.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        """The input."""
        return input


class Linear(Module):
    """y = x @ weight.T + bias, for x of (..., in_features).

    `weight` is (out_features, in_features); both start uniform in +-1 / sqrt(in_features). Raises
    ShapeError for another last size.

    >>> nn.Linear(3, 2)(ag.ones(4, 3)).shape
    argand.Size([4, 2])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(empty(out_features, in_features, dtype=dtype, device=device))
        self.register_parameter(
            "bias", Parameter(empty(out_features, dtype=dtype, device=device)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            init.uniform_within_(self.bias, self.in_features)

    def forward(self, input: Any) -> Any:
        """The transformed input, (..., out_features)."""
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Bilinear(Module):
    """y[..., o] = x1 @ weight[o] @ x2 + bias[o], for x1 of (..., in1_features) and x2 of (...,
    in2_features).

    >>> nn.Bilinear(3, 4, 2)(ag.ones(5, 3), ag.ones(5, 4)).shape
    argand.Size([5, 2])
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in1_features, self.in2_features = in1_features, in2_features
        self.out_features = out_features
        shape = (out_features, in1_features, in2_features)
        self.weight = Parameter(empty(shape, dtype=dtype, device=device))
        self.register_parameter(
            "bias", Parameter(empty(out_features, dtype=dtype, device=device)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew: uniform in +-1 / sqrt(in1_features)."""
        init.uniform_within_(self.weight, self.in1_features)
        if self.bias is not None:
            init.uniform_within_(self.bias, self.in1_features)

    def forward(self, input1: Any, input2: Any) -> Any:
        """(..., out_features) for inputs (..., in1_features) and (..., in2_features)."""
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )
