"""Weights with a norm of their own: `torch.nn.utils.parametrizations`."""

from __future__ import annotations

from typing import Any

from argand.base.errors import ArgumentError
from argand.ir.op import ops
from argand.nn.module import Module
from argand.nn.utils.parametrize import register_parametrization
from argand.tensor.core import Tensor
from argand.tensor.elementary import allclose, finfo
from argand.tensor.factors import geqrf, householder_product, qr
from argand.tensor.formulas import eye
from argand.tensor.inplace import assign
from argand.tensor.random import normal
from argand.tensor.regions import diagonal_scatter
from argand.tensor.spectra import matrix_exp
from argand.tensor.systems import solve
from argand.transform.mode import no_grad

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


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

    first_iterations = 15

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
            self._iterate(self._matrix(weight), self._u, self._v, self.first_iterations)

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


def is_transposed(module: Module) -> bool:
    """Whether a weight's second dimension is that of the outputs."""
    return any("ConvTranspose" in c.__name__ for c in type(module).__mro__)


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Let a weight be divided by its largest singular value, which `n_power_iterations` of the
    power method in every training step keep near the truth (Miyato et al., 2018). Returns the
    module. `dim` is 1 for transposed convolutions, else 0, unless given.

    >>> layer = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3))
    >>> abs(ag.linalg.svd(layer.weight.detach())[1][0].item() - 1) < 0.1
    True
    """
    weight = getattr(module, name)
    if dim is None:
        dim = 1 if is_transposed(module) else 0
    return register_parametrization(
        module, name, SpectralNorm(weight, n_power_iterations, eps, dim)
    )


_MAPS = ("matrix_exp", "cayley", "householder")


class Orthogonal(Module):
    """A matrix with orthonormal columns, or rows where it is wide."""

    def __init__(self, weight: Any, orthogonal_map: str, use_trivialization: bool = True) -> None:
        super().__init__()
        if weight.dtype.is_complex and orthogonal_map == "householder":
            raise ArgumentError("orthogonal: the householder map takes real matrices")
        self.shape, self.orthogonal_map = tuple(weight.shape), orthogonal_map
        self.trivial = use_trivialization
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Any) -> Any:
        """The matrix; X holds the numbers that are trained."""
        wide = X.shape[-2] < X.shape[-1]
        tall = X.mT if wide else X
        reflect = self.orthogonal_map == "householder"
        Q = _reflected(tall) if reflect else _turned(tall, self.orthogonal_map)
        if self.trivial:
            Q = ops.matmul(self.base, Q)
        return Q.mT if wide else Q

    def right_inverse(self, Q: Any) -> Any:
        """The numbers that give Q, made orthogonal first."""
        if tuple(Q.shape) != self.shape:
            raise ArgumentError(f"expected a matrix of shape {self.shape}, got {tuple(Q.shape)}")
        wide = Q.shape[-2] < Q.shape[-1]
        tall = Q.mT if wide else Q
        if self.trivial:
            self.base = _base_of(tall)
            minus = eye(*Q.shape[-2:], dtype=Q.dtype).neg()
            return ops.expand(minus, tuple(Q.shape)).clone()
        if self.orthogonal_map != "householder":
            raise NotImplementedError("orthogonal: these maps are inverted by a base matrix only")
        A, tau = geqrf(tall)
        signs = ops.sign(A.diagonal(dim1=-2, dim2=-1))
        signs = ops.where(ops.eq(tau, 0), ops.neg(signs), signs)
        A = diagonal_scatter(A, signs, 0, -2, -1)
        return A.mT if wide else A


def _turned(X: Any, how: str) -> Any:
    """The first columns of the rotation that a skew-symmetric matrix gives."""
    rows, columns = X.shape[-2:]
    lower = X.tril()
    if rows != columns:
        zero = ops.full((*X.shape[:-1], rows - columns), 0, X.dtype)
        lower = ops.cat(lower, zero, dim=-1)
    A = lower - lower.mH
    if how == "matrix_exp":
        return matrix_exp(A)[..., :columns]
    half, one = ops.mul(A, 0.5), eye(rows, dtype=A.dtype)
    return solve(one - half, one + half)[..., :columns]


def _reflected(X: Any) -> Any:
    """The product of the reflections whose vectors are below the diagonal, which holds signs."""
    A = X.tril(-1)
    tau = ops.div(2.0, ops.add(ops.sum(ops.square(A), -2), 1.0))
    signs = ops.sign(X.diagonal(dim1=-2, dim2=-1).detach())
    return ops.mul(householder_product(A, tau), signs.unsqueeze(-2))


def _base_of(Q: Any) -> Any:
    """A square orthogonal matrix whose first columns are those of Q, made orthogonal."""
    rows, columns = (int(n) for n in Q.shape[-2:])
    if rows == columns:
        gram, one = ops.matmul(Q.mH, Q), eye(rows, dtype=Q.dtype)
        if allclose(gram, one, atol=10 * rows * finfo(Q.dtype).eps):
            return Q.clone()
    else:
        shape = (*Q.shape[:-1], rows - columns)
        Q = ops.cat(Q, normal(0.0, 1.0, shape, dtype=Q.dtype), dim=-1)
    found, upper = qr(Q)
    return ops.mul(found, ops.sign(upper.diagonal(dim1=-2, dim2=-1)).unsqueeze(-2))


def orthogonal(
    module: Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Module:
    """Let a weight be a matrix with orthonormal columns, or rows where it is wide; returns the
    module.

    `orthogonal_map` says how: "matrix_exp" or "cayley" of a skew-symmetric matrix, or "householder"
    reflections, which is the choice for what is not square. With `use_trivialization` it starts at
    the weight made orthogonal, which is kept as `base` (Lezcano-Casado, 2019).

    >>> layer = nn.utils.parametrizations.orthogonal(nn.Linear(3, 3))
    >>> ag.allclose(layer.weight.T @ layer.weight, ag.eye(3), atol=1e-5)
    True
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ArgumentError(f"orthogonal: {type(module).__name__} has no tensor {name!r}")
    if weight.ndim < 2:
        raise ArgumentError(f"orthogonal: expected a matrix, got shape {tuple(weight.shape)}")
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1] or weight.dtype.is_complex
        orthogonal_map = "matrix_exp" if square else "householder"
    if orthogonal_map not in _MAPS:
        raise ArgumentError(
            f"orthogonal_map must be one of {', '.join(_MAPS)}, got {orthogonal_map!r}"
        )
    made = Orthogonal(weight, orthogonal_map, use_trivialization)
    return register_parametrization(module, name, made, unsafe=True)
