"""Initial values of parameters, in place; names, defaults and formulas of `torch.nn.init`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from argand.base.errors import ArgumentError, did_you_mean
from argand.ir.op import ops
from argand.tensor.core import Tensor, wrap
from argand.tensor.inplace import assign
from argand.tensor.random import normal_of, uniform_of
from argand.transform.mode import no_grad


def _fill(tensor: Tensor, values: Any) -> Tensor:
    with no_grad():
        return assign(tensor, values, "init")


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value."""
    return _fill(tensor, ops.full(tuple(tensor.shape), val, tensor.dtype))


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1."""
    return constant_(tensor, 1.0)


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform in [a, b)."""
    with no_grad():
        draws = uniform_of(tuple(tensor.shape), tensor.dtype, generator)
        return assign(tensor, ops.add(ops.mul(draws, b - a), a), "init")


def uniform_within_(tensor: Tensor, fan_in: int) -> Tensor:
    """Uniform in +-1 / sqrt(fan_in), the start of biases."""
    bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0.0
    return uniform_(tensor, -bound, bound)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Normal with the given mean and standard deviation."""
    with no_grad():
        draws = normal_of(tuple(tensor.shape), tensor.dtype, generator)
        return assign(tensor, ops.add(ops.mul(draws, std), mean), "init")


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Any = None,
) -> Tensor:
    """Normal, with what lies outside [a, b] drawn again."""
    shape = tuple(tensor.shape)
    with no_grad():
        values = np.full(shape, np.nan)
        outside = np.ones(shape, bool)
        while outside.any():
            draws = normal_of(shape, tensor.dtype, generator).numpy_array().astype(np.float64)
            values[outside] = draws[outside] * std + mean
            outside = ~((values >= a) & (values <= b))
        return assign(tensor, ops.cast(wrap(values), tensor.dtype), "init")


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix."""
    if tensor.ndim != 2:
        raise ArgumentError(f"eye_: expected 2 dimensions, got {tensor.ndim}")
    return _fill(tensor, wrap(np.eye(*map(int, tensor.shape), dtype=tensor.dtype.numpy)))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Convolution kernels that keep their input."""
    if tensor.ndim not in (3, 4, 5):
        raise ArgumentError(f"dirac_: expected 3, 4 or 5 dimensions, got {tensor.ndim}")
    values = np.zeros(tuple(tensor.shape), tensor.dtype.numpy)
    per_group = values.shape[0] // groups
    centre = tuple(s // 2 for s in values.shape[2:])
    for g in range(groups):
        for i in range(min(per_group, values.shape[1])):
            values[(g * per_group + i, i, *centre)] = 1
    return _fill(tensor, wrap(values))


def fans(tensor: Tensor) -> tuple[int, int]:
    """How many inputs an output element sums, and how many outputs an input element reaches."""
    if tensor.ndim < 2:
        raise ArgumentError(
            f"fan in and fan out need at least 2 dimensions, got {tensor.ndim}; "
            "use uniform_ or zeros_ for vectors"
        )
    field = math.prod(tensor.shape[2:])
    return int(tensor.shape[1] * field), int(tensor.shape[0] * field)


_calculate_fan_in_and_fan_out = fans  # PyTorch programs call it by this name


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance through a nonlinearity."""
    gains = {"tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4, "sigmoid": 1.0, "linear": 1.0}
    gains |= {f"conv{t}{d}d": 1.0 for d in (1, 2, 3) for t in ("", "_transpose")}
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in gains:
        near = did_you_mean(nonlinearity, [*gains, "leaky_relu"])
        raise ArgumentError(f"no gain known for nonlinearity {nonlinearity!r}{near}")
    return gains[nonlinearity]


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError(f"mode must be 'fan_in' or 'fan_out', got {mode!r}")
    fan = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """Uniform in +-gain * sqrt(3 / fan) (He et al., 2015)."""
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """Normal with standard deviation gain / sqrt(fan) (He et al., 2015)."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform in +-gain * sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""
    bound = gain * math.sqrt(6 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Normal with variance gain ** 2 * 2 / (fan_in + fan_out) (Glorot and Bengio, 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(fans(tensor))), generator)


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """A random orthogonal matrix (the first dimension against the others), times `gain`."""
    if tensor.ndim < 2:
        raise ArgumentError(f"orthogonal_: expected at least 2 dimensions, got {tensor.ndim}")
    rows, columns = int(tensor.shape[0]), int(math.prod(tensor.shape[1:]))
    with no_grad():
        draws = normal_of((rows, columns), tensor.dtype, generator).numpy_array()
    flat = draws.astype(np.float64)
    q, r = np.linalg.qr(flat.T if rows < columns else flat)
    q = q * np.sign(np.diag(r))
    q = q.T if rows < columns else q
    values = (gain * q).reshape(tuple(tensor.shape)).astype(tensor.dtype.numpy)
    return _fill(tensor, wrap(np.ascontiguousarray(values)))


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Any = None) -> Tensor:
    """Normal, with the share `sparsity` of each column zero."""
    if tensor.ndim != 2:
        raise ArgumentError(f"sparse_: expected 2 dimensions, got {tensor.ndim}")
    normal_(tensor, 0.0, std, generator)
    rows = int(tensor.shape[0])
    with no_grad():
        order = uniform_of(tuple(tensor.shape), tensor.dtype, generator).numpy_array().argsort(0)
        kept = order.argsort(0) >= math.ceil(sparsity * rows)
        return assign(tensor, ops.mul(tensor, wrap(kept.astype(tensor.dtype.numpy))), "init")
