"""Transforms: inverses, derivatives, shapes, caches; constraints and their registries."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand import distributions as dist
from argand.autograd.functional import jacobian
from argand.distributions import constraints as C
from argand.distributions.utils import tril_matrix_to_vec

F64 = ag.float64
X = np.array([-1.3, -0.2, 0.4, 1.1, 2.0])


def t(x: Any) -> Any:
    """A float64 tensor."""
    return ag.tensor(x, dtype=F64)


ELEMENTWISE = [
    (dist.ExpTransform(), X),
    (dist.PowerTransform(t(-1.5)), np.abs(X)),
    (dist.SigmoidTransform(), X),
    (dist.SoftplusTransform(), X),
    (dist.TanhTransform(), X),
    (dist.AffineTransform(0.5, -2.0), X),
    (dist.AffineTransform(t(0.5), t(X + 3)), X),
    (dist.CumulativeDistributionTransform(dist.Normal(t(0.3), t(1.2))), X),
    (dist.ComposeTransform([dist.AffineTransform(0.1, 0.7), dist.TanhTransform()]), X),
    (dist.ComposeTransform([]), X),
    (dist.CatTransform([dist.ExpTransform(), dist.TanhTransform()], lengths=[2, 3]), X),
    (dist.StackTransform([dist.ExpTransform(), dist.TanhTransform()]), X[:2]),
]


@pytest.mark.parametrize(("transform", "x"), ELEMENTWISE, ids=lambda v: type(v).__name__)
def test_elementwise(transform: Any, x: Any) -> None:
    x = t(x).requires_grad_()
    y = transform(x)
    np.testing.assert_allclose(transform.inv(y).detach().numpy(), x.detach().numpy(), rtol=1e-9)
    assert transform.inv.inv is transform and transform.bijective and transform.inv.bijective
    assert bool(transform.codomain.check(y).all()) and bool(transform.domain.check(x).all())
    (slope,) = ag.autograd.grad(y.sum(), x, retain_graph=True)
    found = transform.log_abs_det_jacobian(x, y).detach().numpy()
    np.testing.assert_allclose(found, np.log(np.abs(slope.numpy())), rtol=1e-9, atol=1e-12)
    back = transform.inv.log_abs_det_jacobian(y, x).detach().numpy()
    np.testing.assert_allclose(back, -found)
    if not isinstance(transform, dist.CatTransform | dist.StackTransform):
        assert (np.sign(slope.numpy()) == np.asarray(_numbers(transform.sign))).all()
    assert tuple(transform.forward_shape((4, 5))) == (4, 5)


def _numbers(sign: Any) -> Any:
    return sign.numpy() if isinstance(sign, ag.Tensor) else sign


def _flat(y: Any) -> Any:
    """The numbers of y that are free."""
    if y.ndim == 2:
        return tril_matrix_to_vec(y, diag=-1)
    return y[..., :-1]


@pytest.mark.parametrize(
    ("transform", "count"),
    [(dist.StickBreakingTransform(), 4), (dist.CorrCholeskyTransform(), 3)],
    ids=["stick", "corr"],
)
def test_vectors(transform: Any, count: int) -> None:
    """The determinant of the derivative by automatic differentiation, of the free numbers."""
    x = t(np.linspace(-0.8, 0.9, count))
    y = transform(x)
    np.testing.assert_allclose(transform.inv(y).numpy(), x.numpy(), atol=1e-9)
    assert bool(transform.codomain.check(y).all())
    assert tuple(transform.forward_shape((7, count))) == (7, *y.shape)
    assert tuple(transform.inverse_shape((7, *y.shape))) == (7, count)
    slope = jacobian(lambda v: _flat(transform(v)), x)
    _, expected = np.linalg.slogdet(slope.numpy())
    assert abs(transform.log_abs_det_jacobian(x, y).item() - expected) < 1e-9
    batch = t(np.stack([x.numpy(), -x.numpy()]))
    np.testing.assert_allclose(transform(batch)[0].numpy(), y.numpy())


def test_matrices_and_others() -> None:
    x = t(np.linspace(-1, 1, 9).reshape(3, 3))
    for transform in (dist.LowerCholeskyTransform(), dist.PositiveDefiniteTransform()):
        y = transform(x)
        assert bool(transform.codomain.check(y))
        np.testing.assert_allclose(transform(transform.inv(y)).numpy(), y.numpy(), atol=1e-9)
    soft = dist.SoftmaxTransform()
    y = soft(x)
    assert bool(C.simplex.check(y).all()) and not soft.bijective
    np.testing.assert_allclose(soft(soft.inv(y)).numpy(), y.numpy(), atol=1e-12)
    shape = dist.ReshapeTransform((3, 3), (9,))
    assert shape(x).shape == (9,) and ag.equal(shape.inv(shape(x)), x)
    assert shape.log_abs_det_jacobian(x, shape(x)).item() == 0
    assert tuple(shape.forward_shape((2, 3, 3))) == (2, 9)
    with pytest.raises(ValueError, match="different numbers of elements"):
        dist.ReshapeTransform((3,), (4,))
    with pytest.raises(ValueError, match="shape mismatch"):
        shape.forward_shape((2, 9, 1))
    absolute = dist.AbsTransform()
    assert absolute(x).min().item() >= 0 and not absolute.bijective
    independent = dist.IndependentTransform(dist.ExpTransform(), 1)
    assert ag.allclose(independent.log_abs_det_jacobian(x, independent(x)), x.sum(-1))
    with pytest.raises(ValueError, match="too few dimensions"):
        independent(t(1.0))


def test_caches() -> None:
    t1 = dist.ExpTransform(cache_size=1)
    x = t(X)
    y = t1(x)
    assert t1(x) is y and t1.inv(y) is x and t1(t(X)) is not y
    t0 = dist.ExpTransform()
    assert t0(x) is not t0(x)
    assert t0.with_cache().with_cache(1)._cache_size == 1 and t0.with_cache(0) is t0
    chain = dist.ComposeTransform([dist.TanhTransform(), dist.AffineTransform(0.0, 2.0)], 1)
    big = t([30.0])
    assert chain.inv(chain(big)) is big  # tanh alone would give infinity
    with pytest.raises(ValueError, match="cache_size must be 0 or 1"):
        dist.ExpTransform(cache_size=2)


def test_equality_and_text() -> None:
    assert dist.ExpTransform() == dist.ExpTransform() != dist.TanhTransform()
    assert dist.AffineTransform(0.0, t([1.0, 2.0])) == dist.AffineTransform(0.0, t([1.0, 2.0]))
    assert dist.AffineTransform(0.0, 1.0) != dist.AffineTransform(0.0, 2.0)
    assert dist.ExpTransform().inv == dist.ExpTransform().inv
    assert repr(dist.ExpTransform().inv) == "_InverseTransform(ExpTransform())"
    composed = dist.ComposeTransform([dist.ExpTransform(), dist.TanhTransform()])
    assert repr(composed) == "ComposeTransform(\n    ExpTransform(),\n    TanhTransform()\n)"


CONSTRAINTS: list[tuple[Any, list[Any], list[Any]]] = [
    (C.real, [1.0, -math.inf], [math.nan]),
    (C.boolean, [0.0, 1.0], [0.5, 2.0]),
    (C.positive, [0.1], [0.0, -1.0, math.nan]),
    (C.nonnegative, [0.0], [-0.1]),
    (C.nonnegative_integer, [0.0, 4.0], [0.5, -1.0]),
    (C.positive_integer, [1.0], [0.0]),
    (C.integer_interval(-1, 1), [-1.0, 1.0], [2.0, 0.5]),
    (C.greater_than(2.0), [2.1], [2.0]),
    (C.greater_than_eq(2.0), [2.0], [1.9]),
    (C.less_than(2.0), [1.9], [2.0]),
    (C.unit_interval, [0.0, 1.0], [-0.1, 1.1]),
    (C.interval(1.0, 2.0), [1.0, 2.0], [0.9, 2.1]),
    (C.half_open_interval(1.0, 2.0), [1.0], [2.0]),
    (C.real_vector, [[1.0, 2.0]], [[1.0, math.nan]]),
    (C.simplex, [[0.5, 0.5]], [[0.5, 0.6], [-0.5, 1.5]]),
    (C.one_hot, [[0.0, 1.0]], [[1.0, 1.0], [0.5, 0.5]]),
    (C.multinomial(3), [[1.0, 2.0]], [[2.0, 2.0], [-1.0, 2.0]]),
    (C.lower_triangular, [[[1.0, 0.0], [2.0, -1.0]]], [[[1.0, 1.0], [0.0, 1.0]]]),
    (C.lower_cholesky, [[[1.0, 0.0], [2.0, 1.0]]], [[[1.0, 0.0], [2.0, -1.0]]]),
    (C.corr_cholesky, [[[1.0, 0.0], [0.6, 0.8]]], [[[1.0, 0.0], [0.6, 0.7]]]),
    (C.square, [[[1.0, 0.0], [2.0, 1.0]]], [[[1.0, 0.0]]]),
    (C.symmetric, [[[1.0, 2.0], [2.0, 1.0]]], [[[1.0, 2.0], [1.0, 1.0]], [[1.0, 0.0]]]),
    (C.positive_semidefinite, [[[1.0, 1.0], [1.0, 1.0]]], [[[1.0, 2.0], [2.0, 1.0]]]),
    (C.positive_definite, [[[2.0, 1.0], [1.0, 2.0]]], [[[1.0, 2.0], [2.0, 1.0]]]),
    (C.independent(C.positive, 2), [[[1.0]]], [[[1.0, -1.0]]]),
]


@pytest.mark.parametrize(("constraint", "inside", "outside"), CONSTRAINTS, ids=lambda c: repr(c))
def test_constraints(constraint: Any, inside: list[Any], outside: list[Any]) -> None:
    for value in inside:
        found = constraint.check(t(value))
        assert bool(found) and found.dtype is ag.bool
    for value in outside:
        assert not bool(constraint.check(t(value)).all())


def test_constraints_of_parts() -> None:
    x = t([1.0, -1.0])
    assert C.cat([C.positive, C.real]).check(x).tolist() == [True, True]
    assert C.stack([C.positive, C.positive]).check(x).tolist() == [True, False]
    assert C.is_dependent(dist.Uniform.support) and not C.is_dependent(C.real)
    assert dist.Uniform.support.event_dim == 0 and not dist.Uniform.support.is_discrete
    with pytest.raises(ValueError, match="can't be checked"):
        C.dependent.check(x)
    with pytest.raises(NotImplementedError):
        _ = C.dependent.event_dim
    assert C.dependent(is_discrete=True, event_dim=1).event_dim == 1
    assert repr(C.interval(0.0, t(2.0))) == "Interval(lower_bound=0.0, upper_bound=2.0)"
    assert repr(C.independent(C.real, 1)) == "IndependentConstraint(Real(), 1)"


REGISTERED = [
    C.real,
    C.positive,
    C.greater_than(2.0),
    C.less_than(-1.0),
    C.unit_interval,
    C.interval(1.0, 3.0),
    C.half_open_interval(1.0, 3.0),
    C.simplex,
    C.corr_cholesky,
    C.independent(C.positive, 1),
    C.cat([C.positive, C.real], lengths=[1, 2]),
    C.stack([C.positive, C.real, C.unit_interval]),
    C.lower_cholesky,
    C.positive_definite,
]


@pytest.mark.parametrize("constraint", REGISTERED, ids=repr)
def test_registries(constraint: Any) -> None:
    matrices = constraint in (C.lower_cholesky, C.positive_definite)
    x = t(np.linspace(-1, 1, 9).reshape(3, 3) if matrices else [-1.0, 0.3, 1.2])
    transform = dist.transform_to(constraint)
    assert bool(constraint.check(transform(x)).all())
    if matrices:
        with pytest.raises(NotImplementedError):
            dist.biject_to(constraint)
        return
    bijection = dist.biject_to(constraint)
    assert bijection.bijective
    np.testing.assert_allclose(bijection.inv(bijection(x)).numpy(), x.numpy(), atol=1e-9)


def test_own_constraints() -> None:
    registry = dist.constraint_registry.ConstraintRegistry()

    class Even(C.Constraint):
        """Even numbers."""

    @registry.register(Even)
    def even(constraint: Any) -> Any:
        return dist.AffineTransform(0, 2)

    assert registry(Even())(t(1.0)).item() == 2
    with pytest.raises(NotImplementedError, match="no transform"):
        registry(C.real)
    with pytest.raises(TypeError, match="expected a Constraint"):
        registry.register(int, even)
