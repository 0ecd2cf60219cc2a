"""Transforms of vectors, matrices and parts of tensors."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any

from argand.base.errors import ArgumentError
from argand.distributions import constraints
from argand.distributions.elementwise_transforms import clipped_sigmoid
from argand.distributions.transform import Transform, expect_dims
from argand.distributions.utils import (
    lazy_property,
    log_sigmoid,
    softplus,
    sum_rightmost,
    tril_matrix_to_vec,
    vec_to_tril_matrix,
)
from argand.ir.op import ops
from argand.tensor.core import Size
from argand.tensor.elementary import finfo
from argand.tensor.formulas import arange, eye
from argand.tensor.joining import cat, stack


class ReshapeTransform(Transform):
    """The last dimensions of x, of `in_shape`, in `out_shape`.

    Raises ArgumentError where these have different numbers of elements.

    >>> ag.distributions.ReshapeTransform((4,), (2, 2))(ag.ones(3, 4)).shape
    argand.Size([3, 2, 2])
    """

    bijective = True

    def __init__(self, in_shape: Any, out_shape: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size=cache_size)
        self.in_shape, self.out_shape = Size(in_shape), Size(out_shape)
        if self.in_shape.numel() != self.out_shape.numel():
            raise ArgumentError(
                f"{self.in_shape} and {self.out_shape} have different numbers of elements"
            )

    @constraints.dependent_property
    def domain(self) -> Any:
        """Real numbers of `in_shape`."""
        return constraints.independent(constraints.real, len(self.in_shape))

    @constraints.dependent_property
    def codomain(self) -> Any:
        """Real numbers of `out_shape`."""
        return constraints.independent(constraints.real, len(self.out_shape))

    def with_cache(self, cache_size: int = 1) -> Any:
        if self._cache_size == cache_size:
            return self
        return ReshapeTransform(self.in_shape, self.out_shape, cache_size=cache_size)

    def _call(self, x: Any) -> Any:
        return x.reshape(self.forward_shape(x.shape))

    def _inverse(self, y: Any) -> Any:
        return y.reshape(self.inverse_shape(y.shape))

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return ops.full(tuple(x.shape[: x.ndim - len(self.in_shape)]), 0, x.dtype)

    def forward_shape(self, shape: Any) -> Any:
        return _replaced(shape, self.in_shape, self.out_shape)

    def inverse_shape(self, shape: Any) -> Any:
        return _replaced(shape, self.out_shape, self.in_shape)


def _replaced(shape: Any, old: Any, new: Any) -> tuple[Any, ...]:
    expect_dims(shape, len(old))
    lead = len(shape) - len(old)
    if tuple(shape[lead:]) != tuple(old):
        raise ArgumentError(f"shape mismatch: expected {tuple(old)}, got {tuple(shape[lead:])}")
    return (*shape[:lead], *new)


def _shifted(x: Any, first: float) -> Any:
    """The vector moved on by one place, without its last element."""
    return cat([ops.full((*x.shape[:-1], 1), first, x.dtype), x[..., :-1]], -1)


class CorrCholeskyTransform(Transform):
    """Vectors of N (N - 1) / 2 real numbers as Cholesky factors (N, N) of correlation matrices.

    Row after row r = tanh(x) breaks off its part of the row's length 1: y_j is r_j times the root
    of what is left, sqrt(prod of 1 - r_i^2 before j) (Lewandowski, Kurowicka and Joe 2009).

    >>> ag.distributions.CorrCholeskyTransform()(ag.tensor([1.0]))
    tensor([[1.0000, 0.0000],
            [0.7616, 0.6481]])
    """

    domain = constraints.real_vector
    codomain = constraints.corr_cholesky
    bijective = True

    def _call(self, x: Any) -> Any:
        eps = finfo(x.dtype).eps
        r = vec_to_tril_matrix(ops.clamp(ops.tanh(x), -1 + eps, 1 - eps), diag=-1)
        left = ops.sqrt(ops.sub(1, ops.square(r))).cumprod(-1)
        return (r + eye(r.shape[-1], dtype=r.dtype)) * _shifted(left, 1)

    def _inverse(self, y: Any) -> Any:
        left = tril_matrix_to_vec(_shifted(1 - ops.square(y).cumsum(-1), 1), diag=-1)
        return ops.atanh(tril_matrix_to_vec(y, diag=-1) / ops.sqrt(left))

    def log_abs_det_jacobian(self, x: Any, y: Any, intermediates: Any = None) -> Any:
        left = 1 - ops.square(y).cumsum(-1)
        breaking = 0.5 * ops.log(tril_matrix_to_vec(left, diag=-2)).sum(-1)
        tanh = -2 * (x + softplus(-2 * x) - math.log(2.0)).sum(-1)
        return breaking + tanh

    def forward_shape(self, shape: Any) -> Any:
        expect_dims(shape, 1)
        count = int(shape[-1])
        size = round((0.25 + 2 * count) ** 0.5 + 0.5)
        if size * (size - 1) // 2 != count:
            raise ArgumentError(f"{count} elements fill no triangle below a diagonal")
        return (*shape[:-1], size, size)

    def inverse_shape(self, shape: Any) -> Any:
        expect_dims(shape, 2)
        if shape[-2] != shape[-1]:
            raise ArgumentError(f"expected square matrices, got {tuple(shape)}")
        return (*shape[:-2], shape[-1] * (shape[-1] - 1) // 2)


class _VectorTransform(Transform):
    """A transform of vectors of any length to others of `longer` more elements."""

    longer = 0
    domain = constraints.real_vector
    codomain = constraints.simplex

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def forward_shape(self, shape: Any) -> Any:
        expect_dims(shape, 1)
        return (*shape[:-1], shape[-1] + self.longer)

    def inverse_shape(self, shape: Any) -> Any:
        expect_dims(shape, 1)
        return (*shape[:-1], shape[-1] - self.longer)


class SoftmaxTransform(_VectorTransform):
    """y = exp(x) / sum(exp(x)); not bijective, since x may be moved by any number.

    >>> ag.distributions.SoftmaxTransform()(ag.zeros(4))
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """

    def _call(self, x: Any) -> Any:
        return ops.softmax(x, -1)

    def _inverse(self, y: Any) -> Any:
        return ops.log(y)


class StickBreakingTransform(_VectorTransform):
    """Vectors of N real numbers as N + 1 probabilities: each breaks its part off what is left.

    y_k = z_k prod of (1 - z_i) before k, with z_k = sigmoid(x_k - ln(N - k)) for k from 0.

    >>> ag.distributions.StickBreakingTransform()(ag.zeros(2))
    tensor([0.3333, 0.3333, 0.3333])
    """

    longer = 1
    bijective = True

    def _call(self, x: Any) -> Any:
        z = clipped_sigmoid(x - _log_left(x.shape[-1], x.dtype))
        left = (1 - z).cumprod(-1)
        last = ops.full((*x.shape[:-1], 1), 1, x.dtype)
        return cat([z, last], -1) * cat([last, left], -1)

    def _inverse(self, y: Any) -> Any:
        parts = y[..., :-1]
        left = ops.clamp(1 - parts.cumsum(-1), finfo(y.dtype).tiny, None)
        return ops.log(parts) - ops.log(left) + _log_left(parts.shape[-1], y.dtype)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        moved = x - _log_left(x.shape[-1], x.dtype)
        return (log_sigmoid(moved) - moved + ops.log(y[..., :-1])).sum(-1)


def _log_left(count: Any, dtype: Any) -> Any:
    """ln(N), ln(N - 1), ... ln(1)."""
    return ops.log(count - arange(count, dtype=dtype))


class _MatrixTransform(Transform):
    """A transform of square matrices."""

    domain = constraints.independent(constraints.real, 2)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)


class LowerCholeskyTransform(_MatrixTransform):
    """The lower triangle of a matrix, with exp of its diagonal.

    >>> ag.distributions.LowerCholeskyTransform()(ag.zeros(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """

    codomain = constraints.lower_cholesky

    def _call(self, x: Any) -> Any:
        return x.tril(-1) + x.diagonal(dim1=-2, dim2=-1).exp().diag_embed()

    def _inverse(self, y: Any) -> Any:
        return y.tril(-1) + y.diagonal(dim1=-2, dim2=-1).log().diag_embed()


class PositiveDefiniteTransform(_MatrixTransform):
    """L L^T, with the Cholesky factor L that `LowerCholeskyTransform` makes of a matrix.

    >>> ag.distributions.PositiveDefiniteTransform()(ag.ones(1, 1))
    tensor([[7.3891]])
    """

    codomain = constraints.positive_definite

    def _call(self, x: Any) -> Any:
        factor = LowerCholeskyTransform()(x)
        return factor @ factor.mT

    def _inverse(self, y: Any) -> Any:
        return LowerCholeskyTransform().inv(ops.linalg_cholesky(y))


class _Several(Transform):
    """One transform for each part of a tensor along a dimension."""

    def __init__(self, tseq: Sequence[Transform], dim: int, cache_size: int) -> None:
        for t in tseq:
            if not isinstance(t, Transform):
                raise AssertionError(f"expected a Transform, got {type(t).__name__}")
        super().__init__(cache_size=cache_size)
        self.transforms = [t.with_cache(cache_size) for t in tseq] if cache_size else list(tseq)
        self.dim = dim

    @property
    def bijective(self) -> bool:
        return all(t.bijective for t in self.transforms)

    def _expect(self, x: Any, size: int) -> None:
        if not -x.ndim <= self.dim < x.ndim:
            raise AssertionError(f"dim {self.dim} is not among {x.ndim} dimensions")
        if x.shape[self.dim] != size:
            raise AssertionError(f"size {x.shape[self.dim]} of dim {self.dim} must be {size}")

    def _parts(self, x: Any) -> Sequence[Any]:
        raise NotImplementedError

    def _joined(self, parts: Sequence[Any]) -> Any:
        raise NotImplementedError

    def _call(self, x: Any) -> Any:
        pairs = zip(self.transforms, self._parts(x), strict=True)
        return self._joined([t(part) for t, part in pairs])

    def _inverse(self, y: Any) -> Any:
        pairs = zip(self.transforms, self._parts(y), strict=True)
        return self._joined([t.inv(part) for t, part in pairs])


class CatTransform(_Several):
    """A transform for each run of a dimension, of `lengths` (1 each unless given).

    >>> D = ag.distributions
    >>> D.CatTransform([D.ExpTransform(), D.identity_transform], lengths=[1, 2])(ag.zeros(3))
    tensor([1., 0., 0.])
    """

    def __init__(
        self,
        tseq: Sequence[Transform],
        dim: int = 0,
        lengths: Sequence[int] | None = None,
        cache_size: int = 0,
    ) -> None:
        super().__init__(tseq, dim, cache_size)
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)
        if len(self.lengths) != len(self.transforms):
            raise AssertionError(f"{len(self.lengths)} lengths, {len(self.transforms)} transforms")

    @lazy_property
    def event_dim(self) -> Any:
        """The largest of the parts'."""
        return max(t.event_dim for t in self.transforms)

    @lazy_property
    def length(self) -> Any:
        """The size of the dimension."""
        return sum(self.lengths)

    def with_cache(self, cache_size: int = 1) -> Any:
        if self._cache_size == cache_size:
            return self
        return CatTransform(self.transforms, self.dim, self.lengths, cache_size)

    def _parts(self, x: Any) -> Sequence[Any]:
        self._expect(x, self.length)
        return x.split_with_sizes(self.lengths, self.dim)  # type: ignore[no-any-return]  # a method

    def _joined(self, parts: Sequence[Any]) -> Any:
        return cat(list(parts), self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        terms = []
        for t, before, after in zip(self.transforms, self._parts(x), self._parts(y), strict=True):
            term = t.log_abs_det_jacobian(before, after)
            terms.append(sum_rightmost(term, self.event_dim - t.event_dim))
        dim = (self.dim - x.ndim if self.dim >= 0 else self.dim) + self.event_dim
        return cat(terms, dim) if dim < 0 else functools.reduce(operator.add, terms)

    @constraints.dependent_property
    def domain(self) -> Any:
        """The parts' domains."""
        return constraints.cat([t.domain for t in self.transforms], self.dim, self.lengths)

    @constraints.dependent_property
    def codomain(self) -> Any:
        """The parts' codomains."""
        return constraints.cat([t.codomain for t in self.transforms], self.dim, self.lengths)


class StackTransform(_Several):
    """A transform for each index of a dimension.

    >>> D = ag.distributions
    >>> D.StackTransform([D.ExpTransform(), D.identity_transform], dim=1)(ag.zeros(2, 2))
    tensor([[1., 0.],
            [1., 0.]])
    """

    def __init__(self, tseq: Sequence[Transform], dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(tseq, dim, cache_size)

    def with_cache(self, cache_size: int = 1) -> Any:
        if self._cache_size == cache_size:
            return self
        return StackTransform(self.transforms, self.dim, cache_size)

    def _parts(self, x: Any) -> Sequence[Any]:
        self._expect(x, len(self.transforms))
        return x.unbind(self.dim)  # type: ignore[no-any-return]  # a method of tensors

    def _joined(self, parts: Sequence[Any]) -> Any:
        return stack(list(parts), self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        parts = zip(self.transforms, self._parts(x), self._parts(y), strict=True)
        return self._joined([t.log_abs_det_jacobian(a, b) for t, a, b in parts])

    @constraints.dependent_property
    def domain(self) -> Any:
        """The parts' domains."""
        return constraints.stack([t.domain for t in self.transforms], self.dim)

    @constraints.dependent_property
    def codomain(self) -> Any:
        """The parts' codomains."""
        return constraints.stack([t.codomain for t in self.transforms], self.dim)
