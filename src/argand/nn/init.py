"""Initial values of parameters, in place; names, defaults and formulas of `torch.nn.init`."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from argand.base.errors import ArgumentError, did_you_mean
from argand.base.notices import notice
from argand.ir.op import ops
from argand.tensor.core import Tensor, wrap
from argand.tensor.generators import source_of
from argand.tensor.inplace import assign
from argand.tensor.meta import is_meta, meta_aware
from argand.tensor.random import normal_of
from argand.transform.mode import no_grad

__all__ = [
    "calculate_gain",
    "constant",
    "constant_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
]


def _fill(tensor: Tensor, values: Any) -> Tensor:
    with no_grad():
        return assign(tensor, values, "init")


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value; returns the tensor.

    >>> nn.init.constant_(ag.empty(2), 0.5)
    tensor([0.5000, 0.5000])
    """
    return _fill(tensor, ops.full(tuple(tensor.shape), val, tensor.dtype))


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0; returns the tensor.

    >>> nn.init.zeros_(ag.empty(2))
    tensor([0., 0.])
    """
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1; returns the tensor.

    >>> nn.init.ones_(ag.empty(2))
    tensor([1., 1.])
    """
    return constant_(tensor, 1.0)


@meta_aware
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Draws uniform in [a, b); returns the tensor.

    >>> bool((nn.init.uniform_(ag.empty(100), 2.0, 3.0) >= 2).all())
    True
    """
    with no_grad():
        return assign(tensor, source_of(generator).uniform_into(tensor, a, b), "init")


def uniform_within_(tensor: Tensor, fan_in: int) -> Tensor:
    """Uniform in +-1 / sqrt(fan_in), the start of biases."""
    bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0.0
    return uniform_(tensor, -bound, bound)


@meta_aware
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Draws from the normal distribution with the given mean and standard deviation; returns the
    tensor.

    >>> nn.init.normal_(ag.empty(3), std=0.02).shape
    argand.Size([3])
    """
    with no_grad():
        return assign(tensor, source_of(generator).normal_into(tensor, mean, std), "init")


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Any = None,
) -> Tensor:
    """Draws from the normal distribution, what lies outside [a, b] again; returns the tensor.

    >>> bool((nn.init.trunc_normal_(ag.empty(100)).abs() <= 2).all())
    True
    """
    if is_meta(tensor):
        return tensor
    shape, source = tuple(tensor.shape), source_of(generator)
    with no_grad():
        values = np.full(shape, np.nan)
        outside = np.ones(shape, bool)
        while outside.any():
            draws = source.normal(shape, tensor.dtype, mean, std).numpy_array().astype(np.float64)
            values[outside] = draws[outside]
            outside = ~((values >= a) & (values <= b))
        return assign(tensor, ops.cast(wrap(values), tensor.dtype), "init")


def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with the identity; returns the tensor.

    >>> nn.init.eye_(ag.empty(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    if tensor.ndim != 2:
        raise ArgumentError(f"eye_: expected 2 dimensions, got {tensor.ndim}")
    return _fill(tensor, wrap(np.eye(*map(int, tensor.shape), dtype=tensor.dtype.numpy)))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fill a convolution's weight (out, in, ...) so that it keeps its input; returns the tensor.

    >>> nn.init.dirac_(ag.empty(1, 1, 3))
    tensor([[[0., 1., 0.]]])
    """
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


_calculate_fan_in_and_fan_out = fans  # PyTorch programs call it by this name, and the next


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    """The one of `fans` that `mode` names, "fan_in" or "fan_out"."""
    if mode.lower() not in ("fan_in", "fan_out"):
        raise ArgumentError(f"mode must be 'fan_in' or 'fan_out', got {mode!r}")
    return fans(tensor)[mode.lower() == "fan_out"]


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance through a nonlinearity: sqrt(2) for "relu", 5 / 3 for
    "tanh", ...

    `param` is the negative slope of "leaky_relu". Raises ValueError for an unknown name.

    >>> nn.init.calculate_gain("tanh")
    1.6666666666666667
    """
    gains = {"tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4, "sigmoid": 1.0, "linear": 1.0}
    gains |= {f"conv{t}{d}d": 1.0 for d in (1, 2, 3) for t in ("", "_transpose")}
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in gains:
        near = did_you_mean(nonlinearity, [*gains, "leaky_relu"])
        raise ArgumentError(f"no gain known for nonlinearity {nonlinearity!r}{near}")
    return gains[nonlinearity]


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fan = _calculate_correct_fan(tensor, mode)
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """Draws uniform in +-gain * sqrt(3 / fan), with fan the inputs or ("fan_out") the outputs of an
    element (He et al., 2015); returns the tensor.

    >>> bool((nn.init.kaiming_uniform_(ag.empty(8, 6), nonlinearity="relu").abs() <= 1).all())
    True
    """
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:
    """Draws from the normal distribution with standard deviation gain / sqrt(fan) (He et al.,
    2015); returns the tensor.

    >>> nn.init.kaiming_normal_(ag.empty(8, 6)).shape
    argand.Size([8, 6])
    """
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Draws uniform in +-gain * sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010); returns the
    tensor.

    >>> bool((nn.init.xavier_uniform_(ag.empty(3, 3)).abs() <= 1).all())
    True
    """
    bound = math.sqrt(3) * (gain * math.sqrt(2 / sum(fans(tensor))))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Draws from the normal distribution with variance gain ** 2 * 2 / (fan_in + fan_out) (Glorot
    and Bengio, 2010); returns the tensor.

    >>> nn.init.xavier_normal_(ag.empty(3, 3)).shape
    argand.Size([3, 3])
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(fans(tensor))), generator)


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """A random orthogonal matrix (the first dimension against the others), times `gain` (Saxe et
    al., 2013); returns the tensor.

    >>> q = nn.init.orthogonal_(ag.empty(3, 3))
    >>> bool(ag.allclose(q @ q.T, ag.eye(3), atol=1e-5))
    True
    """
    if tensor.ndim < 2:
        raise ArgumentError(f"orthogonal_: expected at least 2 dimensions, got {tensor.ndim}")
    if is_meta(tensor):
        return tensor
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
    """Draws from the normal distribution, with the share `sparsity` of each column zero (Martens,
    2010); returns the tensor.

    >>> (nn.init.sparse_(ag.empty(4, 2), 0.5) == 0).sum(0)
    tensor([2, 2])
    """
    if tensor.ndim != 2:
        raise ArgumentError(f"sparse_: expected 2 dimensions, got {tensor.ndim}")
    if is_meta(tensor):
        return tensor
    normal_(tensor, 0.0, std, generator)
    rows, columns = map(int, tensor.shape)
    kept = np.ones((rows, columns), bool)
    with no_grad():
        for column in range(columns):
            order = source_of(generator).permutation(rows).numpy_array()
            kept[order[: math.ceil(sparsity * rows)], column] = False
        return assign(tensor, ops.where(wrap(kept), tensor, 0.0), "init")


def _older(name: str) -> Any:
    """A function by the name that it had before it said that it works in place."""
    newer = globals()[f"{name}_"]

    @functools.wraps(newer)
    def call(*args: Any, **kwargs: Any) -> Any:
        notice(f"nn.init.{name} is the older name of nn.init.{name}_", FutureWarning)
        return newer(*args, **kwargs)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"""The older name of `{name}_`, with a FutureWarning.

    >>> callable(nn.init.{name})
    True
    """
    return call


uniform = _older("uniform")
normal = _older("normal")
constant = _older("constant")
eye = _older("eye")
dirac = _older("dirac")
xavier_uniform = _older("xavier_uniform")
xavier_normal = _older("xavier_normal")
kaiming_uniform = _older("kaiming_uniform")
kaiming_normal = _older("kaiming_normal")
orthogonal = _older("orthogonal")
sparse = _older("sparse")
