"""Weights that are normalised at each use, with PyTorch's older names of their parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from argand.base.errors import ArgumentError
from argand.ir.op import ops
from argand.nn.module import Module
from argand.nn.parameter import Parameter
from argand.nn.utils.computed import compute
from argand.nn.utils.parametrizations import SpectralNorm, WeightNorm, is_transposed
from argand.tensor.inplace import assign
from argand.transform.mode import no_grad

__all__ = ["remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm"]


def _parameter(function: str, module: Module, name: str) -> Parameter:
    found = module._parameters.get(name)
    if found is None:
        raise ArgumentError(f"{function}: {type(module).__name__} has no parameter {name!r}")
    return found


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Let a weight be g * v / norm(v), of the parameters `weight_g` and `weight_v` (Salimans and
    Kingma, 2016); returns the module. `nn.utils.parametrizations.weight_norm` is the newer form.

    >>> [n for n, _ in nn.utils.weight_norm(nn.Linear(3, 2)).named_parameters()]
    ['bias', 'weight_g', 'weight_v']
    """
    weight = _parameter("weight_norm", module, name)
    norm = WeightNorm(dim)
    with no_grad():
        g, v = norm.right_inverse(weight.detach())
    delattr(module, name)
    module.register_parameter(f"{name}_g", Parameter(g.clone(), weight.requires_grad))
    module.register_parameter(f"{name}_v", Parameter(v.clone(), weight.requires_grad))
    compute(module, name, _product(norm, name))
    return module


def _product(norm: WeightNorm, name: str) -> Callable[[Any], Any]:
    return lambda module: norm(getattr(module, f"{name}_g"), getattr(module, f"{name}_v"))


def _is_computed(module: Module, name: str) -> bool:
    return name in getattr(type(module), "_computed", {})


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Let the weight be one parameter again, with the value that it has; returns the module.

    >>> layer = nn.utils.remove_weight_norm(nn.utils.weight_norm(nn.Linear(3, 2)))
    >>> sorted(layer.state_dict())
    ['bias', 'weight']
    """
    if not _is_computed(module, name) or f"{name}_g" not in module._parameters:
        raise ValueError(f"weight_norm of {name!r} not found in {module}")
    return _restored(module, name, (f"{name}_g", f"{name}_v"))


def _restored(module: Module, name: str, parts: tuple[str, ...]) -> Module:
    with no_grad():
        value = getattr(module, name).detach().clone()
    wanted = getattr(module, parts[0]).requires_grad
    compute(module, name, None)
    for part in parts:
        delattr(module, part)
    module.register_parameter(name, Parameter(value, wanted))
    return module


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Let a weight be `weight_orig` divided by its largest singular value, which the power method
    follows in training (Miyato et al., 2018); returns the module. Its vectors are the buffers
    `weight_u` and `weight_v`. `dim` is 1 for transposed convolutions, else 0, unless given.

    >>> layer = nn.utils.spectral_norm(nn.Linear(3, 3))
    >>> sorted(layer.state_dict())
    ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    weight = _parameter("spectral_norm", module, name)
    if dim is None:
        dim = 1 if is_transposed(module) else 0
    norm = _LeftVectorLast(weight.detach(), n_power_iterations, eps, dim)
    delattr(module, name)
    module.register_parameter(f"{name}_orig", Parameter(weight.detach(), weight.requires_grad))
    module.register_buffer(f"{name}_u", norm._u)
    module.register_buffer(f"{name}_v", norm._v)
    compute(module, name, _divided(norm, name))
    return module


class _LeftVectorLast(SpectralNorm):
    """The power method as in the older form: from random vectors, the right one first."""

    first_iterations = 0

    def _iterate(self, matrix: Any, u: Any, v: Any, count: int) -> None:
        for _ in range(count):
            assign(v, self._unit(ops.matmul(u, matrix)))
            assign(u, self._unit(ops.matmul(matrix, v)))


def _divided(norm: SpectralNorm, name: str) -> Callable[[Any], Any]:
    def value(module: Any) -> Any:
        u, v = getattr(module, f"{name}_u"), getattr(module, f"{name}_v")
        return norm.divided(getattr(module, f"{name}_orig"), u, v, module.training)

    return value


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Let the weight be one parameter again, with the value that it has; returns the module.

    >>> layer = nn.utils.remove_spectral_norm(nn.utils.spectral_norm(nn.Linear(3, 3)))
    >>> sorted(layer.state_dict())
    ['bias', 'weight']
    """
    if not _is_computed(module, name) or f"{name}_orig" not in module._parameters:
        raise ValueError(f"spectral_norm of {name!r} not found in {module}")
    training, module.training = module.training, False
    try:
        return _restored(module, name, (f"{name}_orig", f"{name}_u", f"{name}_v"))
    finally:
        module.training = training
