"""The standard's extension for linear algebra."""

from __future__ import annotations

from typing import Any

from argand.array_api.elementwise import operands
from argand.base.errors import ShapeError
from argand.ir.op import ops
from argand.tensor import algebra, factors, spectra, systems
from argand.tensor.reducing import vector_norm as norm_of
from argand.tensor.regions import diagonal_of
from argand.tensor.results import QR, SVD, Eigen, SignLog


def cholesky(x: Any, /, *, upper: bool = False) -> Any:
    """The triangular L with x = L L^H, or U with x = U^H U.

    >>> ag.array_api.linalg.cholesky(ag.tensor([[4.0]]))
    tensor([[2.]])
    """
    return factors.cholesky(x, upper=upper)


def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The cross product of vectors of 3 elements along an axis.

    >>> ag.array_api.linalg.cross(ag.tensor([1, 0, 0]), ag.tensor([0, 1, 0]))
    tensor([0, 0, 1])
    """
    return _of_two(algebra.cross, x1, x2, axis)


def det(x: Any, /) -> Any:
    """The determinant of square matrices.

    >>> ag.array_api.linalg.det(ag.tensor([[2.0, 0.0], [0.0, 3.0]]))
    tensor(6.)
    """
    return systems.det(x)


def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """The diagonals of matrices.

    >>> ag.array_api.linalg.diagonal(ag.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    return diagonal_of(x, offset, -2, -1)


def eigh(x: Any, /) -> Eigen:
    """The eigenvalues, in ascending order, and eigenvectors of Hermitian matrices.

    >>> ag.array_api.linalg.eigh(ag.tensor([[3.0]])).eigenvalues
    tensor([3.])
    """
    return spectra.eigh(x)  # type: ignore[no-any-return]  # a function of tensors


def eigvalsh(x: Any, /) -> Any:
    """The eigenvalues of Hermitian matrices, in ascending order.

    >>> ag.array_api.linalg.eigvalsh(ag.tensor([[3.0]]))
    tensor([3.])
    """
    return spectra.eigvalsh(x)


def inv(x: Any, /) -> Any:
    """The inverse of square matrices.

    >>> ag.array_api.linalg.inv(ag.tensor([[4.0]]))
    tensor([[0.2500]])
    """
    return systems.inv(x)


def matmul(x1: Any, x2: Any, /) -> Any:
    """The product of matrices, or of vectors.

    >>> ag.array_api.matmul(ag.tensor([1, 2]), ag.tensor([3, 4]))
    tensor(11)
    """
    return ops.matmul(*operands(x1, x2))


def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """A norm of matrices.

    >>> ag.array_api.linalg.matrix_norm(ag.tensor([[3.0, 4.0]]))
    tensor(5.)
    """
    return spectra.matrix_norm(x, ord, keepdim=keepdims)


def matrix_power(x: Any, n: int, /) -> Any:
    """The n-th power of square matrices.

    >>> ag.array_api.linalg.matrix_power(ag.tensor([[2.0]]), 3)
    tensor([[8.]])
    """
    return algebra.matrix_power(x, n)


def matrix_rank(x: Any, /, *, rtol: Any = None) -> Any:
    """How many singular values exceed `rtol` times the largest.

    >>> ag.array_api.linalg.matrix_rank(ag.eye(2))
    tensor(2)
    """
    return spectra.matrix_rank(x, rtol=rtol)


def matrix_transpose(x: Any, /) -> Any:
    """The transposes of matrices.

    >>> ag.array_api.matrix_transpose(ag.ones(2, 3)).shape
    argand.Size([3, 2])
    """
    if x.ndim < 2:
        raise ShapeError(f"matrix_transpose: a matrix has at least 2 axes, not {x.ndim}")
    return x.mT


def outer(x1: Any, x2: Any, /) -> Any:
    """The products of each element of one vector with each of another.

    >>> ag.array_api.linalg.outer(ag.tensor([1, 2]), ag.tensor([3, 4]))
    tensor([[3, 4],
            [6, 8]])
    """
    return algebra.outer(*operands(x1, x2))


def pinv(x: Any, /, *, rtol: Any = None) -> Any:
    """The pseudo-inverse of matrices.

    >>> ag.array_api.linalg.pinv(ag.tensor([[4.0]]))
    tensor([[0.2500]])
    """
    return systems.pinv(x, rtol=rtol)


def qr(x: Any, /, *, mode: str = "reduced") -> QR:
    """Q with orthonormal columns and the triangular R with x = Q R.

    >>> abs(ag.array_api.linalg.qr(ag.tensor([[3.0], [4.0]])).R)
    tensor([[5.]])
    """
    return factors.qr(x, mode)  # type: ignore[no-any-return]  # a function of tensors


def slogdet(x: Any, /) -> SignLog:
    """The sign of the determinant and the logarithm of its size.

    >>> ag.array_api.linalg.slogdet(ag.tensor([[-1.0]])).sign
    tensor(-1.)
    """
    return systems.slogdet(x)  # type: ignore[no-any-return]  # a function of tensors


def solve(x1: Any, x2: Any, /) -> Any:
    """y with x1 @ y = x2; x2 is a vector only where it has one axis.

    >>> ag.array_api.linalg.solve(ag.tensor([[4.0]]), ag.tensor([2.0]))
    tensor([0.5000])
    """
    a, b = operands(x1, x2)
    if b.ndim == 1:
        return systems.solve(a, b.unsqueeze(-1)).squeeze(-1)
    return systems.solve(a, b)


def svd(x: Any, /, *, full_matrices: bool = True) -> SVD:
    """U, S and Vh with x = U diag(S) Vh.

    >>> ag.array_api.linalg.svd(ag.tensor([[3.0]])).S
    tensor([3.])
    """
    return spectra.svd(x, full_matrices=full_matrices)  # type: ignore[no-any-return]  # as above


def svdvals(x: Any, /) -> Any:
    """The singular values of matrices, in descending order.

    >>> ag.array_api.linalg.svdvals(ag.tensor([[3.0]]))
    tensor([3.])
    """
    return spectra.svdvals(x)


def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    """Sums of products over pairs of axes: the last ones of x1 and the first of x2, or as listed.

    >>> ag.array_api.tensordot(ag.ones(2, 3), ag.ones(3, 2), axes=1)
    tensor([[3., 3.],
            [3., 3.]])
    """
    return _of_two(algebra.tensordot, x1, x2, axes)


def _of_two(function: Any, x1: Any, x2: Any, dims: Any) -> Any:
    return function(*operands(x1, x2), dims)


def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """The sums of the diagonals of matrices.

    >>> ag.array_api.linalg.trace(ag.ones(2, 2))
    tensor(2.)
    """
    found = diagonal(x, offset=offset)
    return ops.sum(found if dtype is None else ops.cast(found, dtype), -1)


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The sum of conj(x1) x2 along an axis.

    >>> ag.array_api.vecdot(ag.tensor([1, 2]), ag.tensor([3, 4]))
    tensor(11)
    """
    a, b = operands(x1, x2)
    if a.shape[axis] != b.shape[axis]:
        raise ShapeError(f"vecdot: {a.shape[axis]} and {b.shape[axis]} elements along the axis")
    products = ops.mul(ops.conj(a) if a.dtype.is_complex else a, b)
    return ops.cast(ops.sum(products, axis), a.dtype)


def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """A norm of vectors, of all elements or along axes.

    >>> ag.array_api.linalg.vector_norm(ag.tensor([3.0, 4.0]))
    tensor(5.)
    """
    return norm_of(x, ord, axis, keepdims)


__all__ = [
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]
