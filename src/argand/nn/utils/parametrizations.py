"""Weights with a norm of their own: `torch.nn.utils.parametrizations`."""

from __future__ import annotations

from typing import Any

from argand.base.errors import ArgumentError
from argand.ir.op import ops
from argand.nn.module import Module
from argand.nn.utils.parametrize import register_parametrization
from argand.tensor.inplace import assign
from argand.tensor.random import normal
from argand.transform.mode import no_grad

__all__ = ["spectral_norm", "weight_norm"]


class WeightNorm(Module):
    """g * v / norm(v), with the norm over all dimensions but `dim`."""

    def __init__(self, dim: int | None) -> None:
        super().__init__()
        self.dim = dim

    def _norm(self, v: Any) -> Any:
        kept = None if self.dim is None else self.dim % v.ndim
        dims = tuple(d for d in range(v.ndim) if d != kept)
        return ops.sqrt(ops.sum(ops.square(v), dims, self.dim is not None))

    def forward(self, g: Any, v: Any) -> Any:
        """The weight."""
        return ops.mul(v, ops.div(g, self._norm(v)))

    def right_inverse(self, weight: Any) -> tuple[Any, Any]:
        """The norm and the direction of a weight."""
        return self._norm(weight), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Let a weight be g * v / norm(v): its size `original0` and its direction `original1` are
    trained apart (Salimans and Kingma, 2016). The norm is that of each slice along `dim`, or of the
    whole weight for None. Returns the module.

    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    >>> [n for n, _ in layer.named_parameters()]
    ['bias', 'parametrizations.weight.original0', 'parametrizations.weight.original1']
    """
    return register_parametrization(module, name, WeightNorm(dim))


class SpectralNorm(Module):
    """weight / its largest singular value, which power iteration follows."""

    def __init__(self, weight: Any, n_power_iterations: int, eps: float, dim: int) -> None:
        super().__init__()
        if n_power_iterations < 1:
            raise ArgumentError(
                f"spectral_norm: n_power_iterations must be positive, got {n_power_iterations}"
            )
        self.n_power_iterations, self.eps, self.dim = n_power_iterations, eps, dim
        with no_grad():
            rows, columns = self._matrix(weight).shape
            self.register_buffer("_u", self._unit(normal(0.0, 1.0, (rows,), dtype=weight.dtype)))
            self.register_buffer("_v", self._unit(normal(0.0, 1.0, (columns,), dtype=weight.dtype)))
            self._iterate(self._matrix(weight), self._u, self._v, 15)

    def _matrix(self, weight: Any) -> Any:
        dim = self.dim % weight.ndim
        order = (dim, *(d for d in range(weight.ndim) if d != dim))
        return ops.reshape(ops.permute(weight, order), (weight.shape[dim], -1))

    def _unit(self, x: Any) -> Any:
        return ops.div(x, ops.clamp(ops.sqrt(ops.sum(ops.square(x))), min=self.eps))

    def _iterate(self, matrix: Any, u: Any, v: Any, count: int) -> None:
        for _ in range(count):
            assign(u, self._unit(ops.matmul(matrix, v)))
            assign(v, self._unit(ops.matmul(u, matrix)))

    def forward(self, weight: Any) -> Any:
        """The weight with a largest singular value of about 1."""
        return self.divided(weight, self._u, self._v, self.training)

    def divided(self, weight: Any, u: Any, v: Any, training: bool) -> Any:
        """The weight by its largest singular value, whose vectors are moved on in training."""
        matrix = self._matrix(weight)
        if training:
            with no_grad():
                self._iterate(matrix, u, v, self.n_power_iterations)
        u, v = u.clone(), v.clone()  # the next call overwrites them
        return ops.div(weight, ops.matmul(u, ops.matmul(matrix, v)))


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int = 0,
) -> Module:
    """Let a weight be divided by its largest singular value, which `n_power_iterations` of the
    power method in every training step keep near the truth (Miyato et al., 2018). Returns the
    module.

    >>> layer = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3))
    >>> abs(ag.linalg.svd(layer.weight.detach())[1][0].item() - 1) < 0.1
    True
    """
    weight = getattr(module, name)
    return register_parametrization(
        module, name, SpectralNorm(weight, n_power_iterations, eps, dim)
    )
