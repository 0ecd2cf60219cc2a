"""The multivariate normal distribution."""

from __future__ import annotations

from typing import Any

from argand.base.errors import ArgumentError
from argand.base.shape import broadcast_shapes
from argand.distributions import constraints
from argand.distributions.distribution import Distribution
from argand.distributions.sampling import standard_normal
from argand.distributions.utils import LOG_2PI, lazy_property
from argand.ir.op import ops
from argand.tensor.factors import cholesky_inverse
from argand.tensor.formulas import eye

MATRICES = ("covariance_matrix", "precision_matrix", "scale_tril")


def times_vector(matrix: Any, vector: Any) -> Any:
    """The products of a batch of matrices and one of vectors, which broadcast."""
    return (matrix @ vector.unsqueeze(-1)).squeeze(-1)


def log_diagonal(factor: Any) -> Any:
    """The sum of the logarithms of the diagonal: half of ln|L L^T|."""
    return factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def mahalanobis(factor: Any, x: Any) -> Any:
    """x^T (L L^T)^-1 x for lower triangular L (..., N, N) and vectors x (..., N).

    Dimensions that only x has become columns, so that no matrix is repeated for them.
    """
    batch = factor.ndim - 2
    x = x.reshape((*(1,) * (batch + 1 - x.ndim), *x.shape))
    lead = x.ndim - 1 - batch
    columns = x.reshape((-1, *x.shape[lead:])).movedim(0, -1)
    squares = ops.linalg_solve_triangular(factor, columns, upper=False).pow(2).sum(-2)
    return squares.movedim(-1, 0).reshape((*x.shape[:lead], *squares.shape[:-1]))


def factor_of_precision(precision: Any) -> Any:
    """The Cholesky factor of a precision matrix's inverse."""
    flipped = ops.linalg_cholesky(precision.flip((-2, -1)))
    inverse = flipped.flip((-2, -1)).transpose(-2, -1)
    identity = eye(precision.shape[-1], dtype=precision.dtype)
    return ops.linalg_solve_triangular(inverse, identity, upper=False)


def factor_of(name: str, matrix: Any) -> Any:
    """The Cholesky factor of the covariance matrix, from the parameter of that name."""
    if name == "scale_tril":
        return matrix
    return ops.linalg_cholesky(matrix) if name == MATRICES[0] else factor_of_precision(matrix)


class CovarianceParameter(Distribution):
    """Base of families with a covariance matrix, its inverse or its Cholesky factor."""

    # the factor, of the matrix's own batch
    _unbroadcasted_scale_tril: Any

    def _expanded(self, matrix: Any) -> Any:
        size = self._event_shape[-1]
        return matrix.expand((*self._batch_shape, size, size))

    @lazy_property
    def scale_tril(self) -> Any:
        """The Cholesky factor of the covariance matrix."""
        return self._expanded(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self) -> Any:
        """The covariance matrix."""
        factor = self._unbroadcasted_scale_tril
        return self._expanded(factor @ factor.mT)

    @lazy_property
    def precision_matrix(self) -> Any:
        """The inverse of the covariance matrix."""
        return self._expanded(cholesky_inverse(self._unbroadcasted_scale_tril))


def one_matrix(*matrices: Any) -> tuple[str, Any]:
    """The name of the one of MATRICES that is given, and it; ArgumentError for none or several."""
    given = [(name, m) for name, m in zip(MATRICES, matrices, strict=True) if m is not None]
    if len(given) != 1:
        raise ArgumentError(f"exactly one of {', '.join(MATRICES)} must be specified")
    ((name, matrix),) = given
    if matrix.ndim < 2:
        raise ArgumentError(f"{name} must be at least two-dimensional, got {matrix.ndim}")
    return name, matrix


class MultivariateNormal(CovarianceParameter):
    """Normal vectors of mean `loc` with a covariance matrix, its inverse or its Cholesky factor.

    The density is exp(-(x - m)^T C^-1 (x - m) / 2) / sqrt((2 pi)^N |C|).

    >>> d = ag.distributions.MultivariateNormal(ag.zeros(2), ag.eye(2))
    >>> d.log_prob(ag.tensor([0.0, 1.0]))
    tensor(-2.3379)
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True
    _batched = ("loc", *MATRICES)
    _shared = ("_unbroadcasted_scale_tril",)

    def __init__(
        self,
        loc: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        if loc.ndim < 1:
            raise ArgumentError("loc must be at least one-dimensional")
        name, matrix = one_matrix(covariance_matrix, precision_matrix, scale_tril)
        batch = broadcast_shapes(tuple(matrix.shape[:-2]), tuple(loc.shape[:-1]), op="batch")
        self.loc = loc.expand((*batch, loc.shape[-1]))
        setattr(self, name, matrix.expand((*batch, *matrix.shape[-2:])))
        super().__init__(batch, loc.shape[-1:], validate_args=validate_args)
        self._unbroadcasted_scale_tril = factor_of(name, matrix)

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        squares = self._unbroadcasted_scale_tril.pow(2).sum(-1)
        return squares.expand((*self._batch_shape, *self._event_shape))

    def rsample(self, sample_shape: Any = ()) -> Any:
        noise = standard_normal(self._extended_shape(sample_shape), self.loc.dtype)
        return self.loc + times_vector(self._unbroadcasted_scale_tril, noise)

    def log_prob(self, value: Any) -> Any:
        self._expect(value)
        distance = mahalanobis(self._unbroadcasted_scale_tril, value - self.loc)
        return -0.5 * (distance + self._event_shape[0] * LOG_2PI) - log_diagonal(
            self._unbroadcasted_scale_tril
        )

    def entropy(self) -> Any:
        found = log_diagonal(self._unbroadcasted_scale_tril)
        found = found + 0.5 * self._event_shape[0] * (1.0 + LOG_2PI)
        return found.expand(tuple(self._batch_shape))
