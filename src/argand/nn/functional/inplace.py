"""Activations that write into their input, as `torch.nn.functional`'s names with an underscore."""

from __future__ import annotations

from typing import Any

from argand.nn.functional.activation import (
    celu,
    elu,
    hardtanh,
    leaky_relu,
    relu,
    rrelu,
    selu,
)
from argand.nn.functional.activation import threshold as _threshold


def relu_(input: Any) -> Any:
    """`relu`, written into the input.

    >>> F.relu_(ag.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return relu(input, True)


def celu_(input: Any, alpha: float = 1.0) -> Any:
    """`celu`, written into the input.

    >>> F.celu_(ag.tensor([0.0, 2.0]))
    tensor([0., 2.])
    """
    return celu(input, alpha, True)


def elu_(input: Any, alpha: float = 1.0) -> Any:
    """`elu`, written into the input.

    >>> F.elu_(ag.tensor([0.0, 2.0]))
    tensor([0., 2.])
    """
    return elu(input, alpha, True)


def selu_(input: Any) -> Any:
    """`selu`, written into the input.

    >>> F.selu_(ag.tensor([0.0, 1.0]))
    tensor([0.0000, 1.0507])
    """
    return selu(input, True)


def leaky_relu_(input: Any, negative_slope: float = 0.01) -> Any:
    """`leaky_relu`, written into the input.

    >>> F.leaky_relu_(ag.tensor([-2.0, 2.0]), 0.5)
    tensor([-1.,  2.])
    """
    return leaky_relu(input, negative_slope, True)


def hardtanh_(input: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """`hardtanh`, written into the input.

    >>> F.hardtanh_(ag.tensor([-2.0, 0.5]))
    tensor([-1.0000,  0.5000])
    """
    return hardtanh(input, min_val, max_val, True)


def threshold_(input: Any, threshold: float, value: float) -> Any:
    """`threshold`, written into the input.

    >>> F.threshold_(ag.tensor([0.5, 2.0]), 1.0, -1.0)
    tensor([-1.,  2.])
    """
    return _threshold(input, threshold, value, True)


def rrelu_(input: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False) -> Any:
    """`rrelu`, written into the input.

    >>> F.rrelu_(ag.tensor([-24.0, 1.0]))
    tensor([-5.5000,  1.0000])
    """
    return rrelu(input, lower, upper, training, True)
