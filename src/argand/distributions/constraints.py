"""Regions that parameters and values belong to, as `torch.distributions.constraints`.

`constraint.check(value)` says of each event of a tensor whether it is inside. Those without
parameters are objects (`positive`, `simplex`), the others classes (`interval`, `greater_than`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from argand.base.dtype import bool_
from argand.base.errors import ArgumentError
from argand.distributions.utils import shown
from argand.ir.op import ops
from argand.tensor.elementary import finfo
from argand.tensor.joining import cat as join
from argand.tensor.joining import stack as pile

__all__ = [
    "Constraint",
    "MixtureSameFamilyConstraint",
    "boolean",
    "cat",
    "corr_cholesky",
    "dependent",
    "dependent_property",
    "greater_than",
    "greater_than_eq",
    "half_open_interval",
    "independent",
    "integer_interval",
    "interval",
    "is_dependent",
    "less_than",
    "lower_cholesky",
    "lower_triangular",
    "multinomial",
    "nonnegative",
    "nonnegative_integer",
    "one_hot",
    "positive",
    "positive_definite",
    "positive_integer",
    "positive_semidefinite",
    "real",
    "real_vector",
    "simplex",
    "square",
    "stack",
    "symmetric",
    "unit_interval",
]


class Constraint:
    """Base of all constraints: a region of values, of which `check` says whether they are in it.

    `is_discrete` says whether the values are whole numbers, `event_dim` how many of the last
    dimensions make one value.

    >>> ag.distributions.constraints.positive.check(ag.tensor([1.0, -1.0]))
    tensor([ True, False])
    """

    is_discrete: Any = False
    event_dim: Any = 0

    def check(self, value: Any) -> Any:
        """Whether each event of a tensor is in the region: booleans, without the event's sizes."""
        raise NotImplementedError

    def _parameters(self) -> str:
        return ""

    def __repr__(self) -> str:
        return f"{type(self).__name__.removeprefix('_')}({self._parameters()})"


class _Dependent(Constraint):
    """A region that depends on other parameters, so that nothing can be checked by itself.

    Called with `is_discrete` or `event_dim`, it says what is known of it.

    >>> ag.distributions.constraints.dependent(is_discrete=True, event_dim=0).is_discrete
    True
    """

    def __init__(
        self, *, is_discrete: Any = NotImplemented, event_dim: Any = NotImplemented
    ) -> None:
        self._is_discrete = is_discrete
        self._event_dim = event_dim

    @property
    def is_discrete(self) -> bool:
        if self._is_discrete is NotImplemented:
            raise NotImplementedError("is_discrete depends on the instance")
        return bool(self._is_discrete)

    @property
    def event_dim(self) -> int:
        if self._event_dim is NotImplemented:
            raise NotImplementedError("event_dim depends on the instance")
        return int(self._event_dim)

    def __call__(
        self, *, is_discrete: Any = NotImplemented, event_dim: Any = NotImplemented
    ) -> _Dependent:
        return _Dependent(
            is_discrete=self._is_discrete if is_discrete is NotImplemented else is_discrete,
            event_dim=self._event_dim if event_dim is NotImplemented else event_dim,
        )

    def check(self, value: Any) -> Any:
        raise ArgumentError("a dependent constraint can't be checked; ask that of an instance")


def is_dependent(constraint: Any) -> bool:
    """Whether a constraint depends on other parameters, so that it can't be checked by itself.

    >>> ag.distributions.constraints.is_dependent(ag.distributions.Uniform.support)
    True
    """
    return isinstance(constraint, _Dependent)


class _DependentProperty(property, _Dependent):
    """A property that, read from the class, is a dependent constraint.

    >>> C = ag.distributions.constraints
    >>> isinstance(ag.distributions.Uniform.support, C.dependent_property)
    True
    """

    def __init__(
        self,
        fn: Callable[..., Any] | None = None,
        *,
        is_discrete: Any = NotImplemented,
        event_dim: Any = NotImplemented,
    ) -> None:
        super().__init__(fn)
        self._is_discrete = is_discrete
        self._event_dim = event_dim

    def __call__(self, fn: Callable[..., Any]) -> _DependentProperty:  # type: ignore[override]
        return _DependentProperty(fn, is_discrete=self._is_discrete, event_dim=self._event_dim)


def _whole_event(result: Any, dims: int) -> Any:
    """Whether all of the last dimensions are True."""
    return result.reshape((*result.shape[: result.ndim - dims], -1)).all(-1)


def _expect_dims(value: Any, dims: int) -> None:
    if value.ndim < dims:
        raise ArgumentError(f"expected at least {dims} dimensions, got {value.ndim}")


class _OfBase(Constraint):
    """A constraint made of another one."""

    def __init__(self, base_constraint: Constraint) -> None:
        _expect_constraints([base_constraint])
        self.base_constraint = base_constraint

    @property
    def is_discrete(self) -> bool:
        return bool(self.base_constraint.is_discrete)

    @property
    def event_dim(self) -> int:
        return int(self.base_constraint.event_dim)


def _expect_constraints(given: Sequence[Any]) -> None:
    for c in given:
        if not isinstance(c, Constraint):
            raise AssertionError(f"expected a Constraint, got {type(c).__name__}")


class _IndependentConstraint(_OfBase):
    """Several events of another constraint as one, which is inside where all of them are.

    >>> C = ag.distributions.constraints
    >>> C.independent(C.positive, 1).check(ag.tensor([1.0, -1.0]))
    tensor(False)
    """

    def __init__(self, base_constraint: Constraint, reinterpreted_batch_ndims: int) -> None:
        super().__init__(base_constraint)
        if not isinstance(reinterpreted_batch_ndims, int) or reinterpreted_batch_ndims < 0:
            raise AssertionError(
                f"reinterpreted_batch_ndims: expected an int >= 0, got {reinterpreted_batch_ndims}"
            )
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims

    @property
    def event_dim(self) -> int:
        return int(self.base_constraint.event_dim) + self.reinterpreted_batch_ndims

    def check(self, value: Any) -> Any:
        _expect_dims(value, self.event_dim)
        return _whole_event(self.base_constraint.check(value), self.reinterpreted_batch_ndims)

    def _parameters(self) -> str:
        return f"{self.base_constraint!r}, {self.reinterpreted_batch_ndims}"


class MixtureSameFamilyConstraint(_OfBase):
    """The region of a mixture: the values that are in the region of every component.

    >>> C = ag.distributions.constraints
    >>> C.MixtureSameFamilyConstraint(C.positive).check(ag.tensor([1.0, -1.0]))
    tensor([ True, False])
    """

    def check(self, value: Any) -> Any:
        _expect_dims(value, self.event_dim)
        result = self.base_constraint.check(value.unsqueeze(-1 - self.event_dim))
        return _whole_event(result, result.ndim - (value.ndim - self.event_dim))

    def _parameters(self) -> str:
        return repr(self.base_constraint)


class _Boolean(Constraint):
    is_discrete = True

    def check(self, value: Any) -> Any:
        return (value == 0) | (value == 1)


class _OneHot(Constraint):
    is_discrete = True
    event_dim = 1

    def check(self, value: Any) -> Any:
        return ((value == 0) | (value == 1)).all(-1) & (value.sum(-1) == 1)


class _Bounded(Constraint):
    """A region with a lower bound, an upper bound or both, numbers or tensors."""

    def _parameters(self) -> str:
        return ", ".join(f"{name}={shown(bound)}" for name, bound in vars(self).items())


class _AtLeast(_Bounded):
    def __init__(self, lower_bound: Any) -> None:
        self.lower_bound = lower_bound


class _AtMost(_Bounded):
    def __init__(self, upper_bound: Any) -> None:
        self.upper_bound = upper_bound


class _Between(_Bounded):
    def __init__(self, lower_bound: Any, upper_bound: Any) -> None:
        self.lower_bound = lower_bound
        self.upper_bound = upper_bound


class _IntegerInterval(_Between):
    """Whole numbers from a lower to an upper bound, both of them included.

    >>> ag.distributions.constraints.integer_interval(0, 2).check(ag.tensor([2.0, 0.5, 3.0]))
    tensor([ True, False, False])
    """

    is_discrete = True

    def check(self, value: Any) -> Any:
        return (value % 1 == 0) & (value >= self.lower_bound) & (value <= self.upper_bound)


class _IntegerGreaterThan(_AtLeast):
    is_discrete = True

    def check(self, value: Any) -> Any:
        return (value % 1 == 0) & (value >= self.lower_bound)


class _Real(Constraint):
    def check(self, value: Any) -> Any:
        return value == value  # not so for NaN


class _GreaterThan(_AtLeast):
    """Numbers above a lower bound.

    >>> ag.distributions.constraints.greater_than(1.0).check(ag.tensor([1.0, 2.0]))
    tensor([False,  True])
    """

    def check(self, value: Any) -> Any:
        return value > self.lower_bound


class _GreaterThanEq(_AtLeast):
    """Numbers from a lower bound on.

    >>> ag.distributions.constraints.greater_than_eq(1.0).check(ag.tensor([1.0, 0.0]))
    tensor([ True, False])
    """

    def check(self, value: Any) -> Any:
        return value >= self.lower_bound


class _LessThan(_AtMost):
    """Numbers below an upper bound.

    >>> ag.distributions.constraints.less_than(1.0).check(ag.tensor([1.0, 0.0]))
    tensor([False,  True])
    """

    def check(self, value: Any) -> Any:
        return value < self.upper_bound


class _Interval(_Between):
    """Numbers from a lower to an upper bound, both of them included.

    >>> ag.distributions.constraints.interval(0.0, 1.0).check(ag.tensor([1.0, 2.0]))
    tensor([ True, False])
    """

    def check(self, value: Any) -> Any:
        return (value >= self.lower_bound) & (value <= self.upper_bound)


class _HalfOpenInterval(_Between):
    """Numbers from a lower bound on, below an upper one.

    >>> ag.distributions.constraints.half_open_interval(0.0, 1.0).check(ag.tensor([0.0, 1.0]))
    tensor([ True, False])
    """

    def check(self, value: Any) -> Any:
        return (value >= self.lower_bound) & (value < self.upper_bound)


class _Simplex(Constraint):
    """Numbers >= 0 along the last dimension that add up to 1, within 1e-6."""

    event_dim = 1

    def check(self, value: Any) -> Any:
        return (value >= 0).all(-1) & ((value.sum(-1) - 1).abs() < 1e-6)


class _Multinomial(_AtMost):
    """Numbers >= 0 along the last dimension that add up to the bound at most, as in PyTorch.

    >>> ag.distributions.constraints.multinomial(3).check(ag.tensor([[1.0, 2.0], [2.0, 2.0]]))
    tensor([ True, False])
    """

    is_discrete = True
    event_dim = 1

    def check(self, value: Any) -> Any:
        return (value >= 0).all(-1) & (value.sum(-1) <= self.upper_bound)


class _LowerTriangular(Constraint):
    event_dim = 2

    def check(self, value: Any) -> Any:
        return _whole_event(value.tril() == value, 2)


class _LowerCholesky(_LowerTriangular):
    def check(self, value: Any) -> Any:
        diagonal = value.diagonal(dim1=-2, dim2=-1)
        return super().check(value) & (diagonal > 0).all(-1)


class _CorrCholesky(_LowerCholesky):
    """Triangular, with a positive diagonal and rows of length 1."""

    def check(self, value: Any) -> Any:
        allowed = finfo(value.dtype).eps * value.shape[-1] * 10
        lengths = ops.sqrt(ops.sum(ops.square(value.detach()), -1))
        return super().check(value) & ((lengths - 1).abs() <= allowed).all(-1)


class _Square(Constraint):
    event_dim = 2

    def check(self, value: Any) -> Any:
        equal = bool(value.shape[-2] == value.shape[-1])
        return ops.full(tuple(value.shape[:-2]), equal, bool_)


class _Symmetric(_Square):
    """Square, and equal to the transpose within 1e-6 and a relative 1e-5."""

    def check(self, value: Any) -> Any:
        if value.shape[-2] != value.shape[-1]:
            return super().check(value)
        apart = (value - value.mT).abs()
        return _whole_event(apart <= 1e-6 + 1e-5 * value.mT.abs(), 2)


class _PositiveSemidefinite(_Symmetric):
    def check(self, value: Any) -> Any:
        symmetric = super().check(value)
        if value.shape[-2] != value.shape[-1]:
            return symmetric
        values, _ = ops.linalg_eigh(value)
        return symmetric & (values >= 0).all(-1)


class _PositiveDefinite(_Symmetric):
    def check(self, value: Any) -> Any:
        symmetric = super().check(value)
        if value.shape[-2] != value.shape[-1]:
            return symmetric
        _, info = ops.linalg_cholesky_ex(value)
        return symmetric & (info == 0)


class _Several(Constraint):
    """One constraint for each part of a tensor along a dimension."""

    def __init__(self, cseq: Sequence[Constraint], dim: int) -> None:
        _expect_constraints(cseq)
        self.cseq = list(cseq)
        self.dim = dim

    @property
    def is_discrete(self) -> bool:
        return any(c.is_discrete for c in self.cseq)

    @property
    def event_dim(self) -> int:
        return max(int(c.event_dim) for c in self.cseq)

    def _expect_dim(self, value: Any) -> None:
        if not -value.ndim <= self.dim < value.ndim:
            raise AssertionError(f"dim {self.dim} is not among {value.ndim} dimensions")


class _Cat(_Several):
    """A constraint for each run of a dimension, of `lengths` (1 each unless given).

    >>> C = ag.distributions.constraints
    >>> C.cat([C.positive, C.real]).check(ag.tensor([-1.0, -1.0]))
    tensor([False,  True])
    """

    def __init__(
        self, cseq: Sequence[Constraint], dim: int = 0, lengths: Sequence[int] | None = None
    ) -> None:
        super().__init__(cseq, dim)
        self.lengths = [1] * len(self.cseq) if lengths is None else list(lengths)
        if len(self.lengths) != len(self.cseq):
            raise AssertionError(f"{len(self.lengths)} lengths for {len(self.cseq)} constraints")

    def check(self, value: Any) -> Any:
        self._expect_dim(value)
        parts = value.split_with_sizes(self.lengths, self.dim)
        return join([c.check(v) for c, v in zip(self.cseq, parts, strict=True)], self.dim)


class _Stack(_Several):
    """A constraint for each index of a dimension.

    >>> C = ag.distributions.constraints
    >>> C.stack([C.positive, C.real]).check(ag.tensor([-1.0, -1.0]))
    tensor([False,  True])
    """

    def __init__(self, cseq: Sequence[Constraint], dim: int = 0) -> None:
        super().__init__(cseq, dim)

    @property
    def event_dim(self) -> int:
        dims = max(int(c.event_dim) for c in self.cseq)
        return dims + (self.dim + dims < 0)

    def check(self, value: Any) -> Any:
        self._expect_dim(value)
        parts = value.unbind(self.dim)
        return pile([c.check(v) for c, v in zip(self.cseq, parts, strict=True)], self.dim)


dependent = _Dependent()
dependent_property = _DependentProperty
independent = _IndependentConstraint
boolean = _Boolean()
one_hot = _OneHot()
nonnegative_integer = _IntegerGreaterThan(0)
positive_integer = _IntegerGreaterThan(1)
integer_interval = _IntegerInterval
real = _Real()
real_vector = independent(real, 1)
positive = _GreaterThan(0.0)
nonnegative = _GreaterThanEq(0.0)
greater_than = _GreaterThan
greater_than_eq = _GreaterThanEq
less_than = _LessThan
multinomial = _Multinomial
unit_interval = _Interval(0.0, 1.0)
interval = _Interval
half_open_interval = _HalfOpenInterval
simplex = _Simplex()
lower_triangular = _LowerTriangular()
lower_cholesky = _LowerCholesky()
corr_cholesky = _CorrCholesky()
square = _Square()
symmetric = _Symmetric()
positive_semidefinite = _PositiveSemidefinite()
positive_definite = _PositiveDefinite()
cat = _Cat
stack = _Stack
