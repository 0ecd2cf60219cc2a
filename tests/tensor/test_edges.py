"""Edges of the composed functions: extremes, NaN, complex and empty operands."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import argand as ag


def test_alpha_multiplies_numbers_too() -> None:
    assert ag.add(ag.tensor([1, 2]), 10, alpha=2).tolist() == [21, 22]
    assert ag.sub(ag.tensor([1, 2]), 10, alpha=2).tolist() == [-19, -18]
    assert ag.rsub(ag.tensor([1, 2]), 10, alpha=2).tolist() == [8, 6]


def test_hypot_neither_overflows_nor_vanishes() -> None:
    x = np.array([3e30, 3e-30, 0, 3, -np.inf, np.nan], np.float32)
    y = np.array([4e30, -4e-30, 0, 1e-30, 1, 1], np.float32)
    found = ag.hypot(ag.tensor(x), ag.tensor(y)).numpy()
    np.testing.assert_allclose(found, np.hypot(x.astype(np.float64), y), rtol=2e-7)


def test_hypot_derivatives() -> None:
    x = ag.tensor([3.0, -5.0], dtype=ag.float64, requires_grad=True)
    y = ag.tensor([[4.0], [12.0]], dtype=ag.float64, requires_grad=True)
    assert ag.autograd.gradcheck(ag.hypot, (x, y))
    assert ag.autograd.gradgradcheck(ag.hypot, (x, y))


def test_isclose_of_complex_numbers() -> None:
    a = ag.tensor([1 + 1j, 1 + 1j, complex(math.nan), complex(math.inf)])
    b = ag.tensor([1 + 1.000001j, 1.1 + 1j, complex(math.nan), complex(math.inf)])
    assert ag.isclose(a, b).tolist() == [True, False, False, True]
    assert ag.isclose(a, b, equal_nan=True).tolist() == [True, False, True, True]


def test_isreal_looks_at_the_imaginary_part_only() -> None:
    assert ag.isreal(ag.tensor([1.0, math.nan])).tolist() == [True, True]
    assert ag.isreal(ag.tensor([1 + 0j, 1j])).tolist() == [True, False]


def test_matrix_norms() -> None:
    a = np.array([[3.0, -4.0, 1.0], [6.0, 8.0, 2.0]])
    for ord in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf):
        found = ag.linalg.norm(ag.tensor(a), ord)
        np.testing.assert_allclose(found.item(), np.linalg.norm(a, ord), rtol=1e-12)
    stack = np.arange(24.0).reshape(2, 3, 4)
    found = ag.linalg.matrix_norm(ag.tensor(stack), 2, (0, 2), keepdim=True)
    wanted = np.linalg.norm(stack, 2, (0, 2), keepdims=True)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-12)
    with pytest.raises(ValueError, match="ord must be"):
        ag.linalg.matrix_norm(ag.tensor(a), 3)


def test_nan_spoils_medians_and_quantiles() -> None:
    x = ag.tensor([[1.0, 5.0, math.nan, 4.0], [1.0, 5.0, 3.0, 4.0]])
    assert ag.median(x).isnan().item()
    values, indices = ag.median(x, 1)
    np.testing.assert_array_equal(values.numpy(), [np.nan, 3])
    assert indices.tolist() == [2, 2]
    np.testing.assert_array_equal(ag.quantile(x, 0.5, dim=1).numpy(), [np.nan, 3.5])


def test_selections_out_of_range() -> None:
    for k in (0, 4):
        with pytest.raises(ValueError, match=f"k = {k} is out of range for a size of 3"):
            ag.kthvalue(ag.tensor([1.0, 2.0, 3.0]), k)
    for function in (lambda x: ag.median(x, 0), lambda x: ag.quantile(x, 0.5)):
        with pytest.raises(ValueError, match="is empty"):
            function(ag.zeros(0))


def test_running_products() -> None:
    x = np.random.default_rng(0).standard_normal((3, 13, 2))
    for dim in (0, 1, -1):
        found = ag.cumprod(ag.tensor(x), dim)
        np.testing.assert_allclose(found.numpy(), np.cumprod(x, dim), rtol=1e-12)
    assert ag.cumprod(ag.tensor([2, 3], dtype=ag.int8), 0).dtype is ag.int64
    assert ag.cumprod(ag.tensor(2.0), 0).item() == 2
    leaf = ag.tensor([2.0, 0.0, 3.0, 4.0], dtype=ag.float64, requires_grad=True)
    assert ag.autograd.gradcheck(lambda t: ag.cumprod(t, 0), leaf)


def test_integers_in_reductions() -> None:
    assert ag.nansum(ag.tensor([1, 2])).dtype is ag.int64
    np.testing.assert_allclose(ag.logsumexp(ag.tensor([1, 2]), 0).item(), np.logaddexp(1, 2))
    counts = ag.bincount(ag.tensor([0, 1, 1]), ag.tensor([1, 2, 3]))
    assert counts.dtype is ag.float64 and counts.tolist() == [1, 5]
    with pytest.raises(ValueError, match="expected integers in one dimension"):
        ag.bincount(ag.tensor([1.0]))


def test_cross_products_look_for_the_first_dimension_of_size_3() -> None:
    a, b = np.random.default_rng(0).standard_normal((2, 4, 3, 3))
    for x, y, axis in ((a, b, 1), (a[:, :, 0].T, b[:, :, 0].T, 0)):
        found = ag.cross(ag.tensor(np.ascontiguousarray(x)), ag.tensor(np.ascontiguousarray(y)))
        np.testing.assert_allclose(found.numpy(), np.cross(x, y, axis=axis), rtol=1e-12)
    found = ag.linalg.cross(ag.tensor(a), ag.tensor(b))
    np.testing.assert_allclose(found.numpy(), np.cross(a, b), rtol=1e-12)
    with pytest.raises(ValueError, match="must have size 3"):
        ag.cross(ag.ones(2, 4), ag.ones(2, 4))


def test_adjoints_are_conjugated() -> None:
    x = ag.tensor([[1 + 2j, 3.0]])
    assert x.H.tolist() == x.mH.tolist() == ag.adjoint(x).tolist() == [[1 - 2j], [3]]
    assert x.mT.tolist() == x.T.tolist() == [[1 + 2j], [3]]
    with pytest.raises(ValueError, match="expected a matrix"):
        _ = ag.ones(2, 3, 4).H


def test_narrow_stays_within_the_dimension() -> None:
    x = ag.arange(5)
    assert ag.narrow(x, 0, -2, 2).tolist() == [3, 4]
    assert ag.narrow(x, 0, 5, 0).tolist() == []
    for start, length in ((3, 3), (3, -1), (-6, 2), (6, 0)):
        with pytest.raises(IndexError, match="out of range for dimension 0 of size 5"):
            ag.narrow(x, 0, start, length)


def test_traces_are_of_matrices() -> None:
    with pytest.raises(ValueError, match=r"expected a matrix, got \(2, 2, 2\)"):
        ag.trace(ag.ones(2, 2, 2))


def test_differences_of_booleans() -> None:
    assert ag.diff(ag.tensor([True, False, False])).tolist() == [True, False]


def test_normal_takes_a_number_beside_a_tensor() -> None:
    assert ag.normal(ag.zeros(3), 1.0).shape == (3,)
    assert ag.normal(1.0, ag.zeros(2, 1)).tolist() == [[1], [1]]
    assert ag.normal(ag.zeros(3), ag.ones(2, 1)).shape == (2, 3)


@pytest.mark.parametrize(
    ("draw", "rule"),
    [
        (lambda x: ag.normal(0.0, -1.0, (2,)), "std >= 0"),
        (lambda x: x.normal_(0, -1), "std >= 0"),
        (lambda x: x.uniform_(3, 2), "from <= to"),
        (lambda x: x.bernoulli_(2.0), "0 <= p <= 1"),
        (lambda x: ag.bernoulli(x, -0.1), "0 <= p <= 1"),
        (lambda x: x.exponential_(0.0), "lambd > 0"),
        (lambda x: x.cauchy_(0, -1), "sigma > 0"),
        (lambda x: x.log_normal_(0, math.nan), "std > 0"),
        (lambda x: ag.multinomial(ag.tensor([-1.0, 2.0]), 1), "weights >= 0"),
        (lambda x: ag.multinomial(ag.zeros(2), 1), "not all of them 0"),
    ],
)
def test_parameters_of_distributions_are_checked(draw: Any, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        draw(ag.ones(2))


def test_nonzero_of_a_number() -> None:
    assert ag.nonzero(ag.tensor(5)).shape == (1, 0)
    assert ag.nonzero(ag.tensor(0)).shape == (0, 0)
    assert [t.tolist() for t in ag.nonzero(ag.tensor(5), as_tuple=True)] == [[0]]


def test_sets_at_their_edges() -> None:
    assert ag.unique(ag.tensor([math.nan, 1.0, math.nan])).shape == (3,)
    assert ag.unique_consecutive(ag.zeros(0)).shape == (0,)
    assert ag.unique_consecutive(ag.zeros(2, 0), dim=0).shape == (1, 0)
    assert ag.isin(2, ag.tensor([2, 3])).item() is True


def test_means_of_scattered_integers_are_integers() -> None:
    zeros, index = ag.zeros(3, dtype=ag.int64), ag.tensor([0, 0, 2])
    found = ag.scatter_reduce(zeros, 0, index, ag.tensor([-1, -2, 3]), "mean", include_self=False)
    assert found.tolist() == [-2, 0, 3] and found.dtype is ag.int64


def test_masked_scatter_wants_enough_elements() -> None:
    mask = ag.tensor([True, False, True])
    assert ag.masked_scatter(ag.zeros(3), mask, ag.tensor([1.0, 2.0])).tolist() == [1, 0, 2]
    with pytest.raises(ValueError, match="the mask takes 2 elements, and source has 1"):
        ag.masked_scatter(ag.zeros(3), mask, ag.tensor([1.0]))


@pytest.mark.parametrize("shape", [(3, 3), (7, 3), (9, 2), (2, 5), (1, 1)])
def test_diagonals_wrap(shape: tuple[int, int]) -> None:
    wanted = np.zeros(shape)
    np.fill_diagonal(wanted, 5, wrap=True)
    np.testing.assert_array_equal(ag.zeros(shape).fill_diagonal_(5, wrap=True).numpy(), wanted)


def test_results_are_stored_by_kind_not_by_size_or_sign() -> None:
    x = ag.ones(2, dtype=ag.uint8)
    x += ag.tensor([1, -2])
    assert x.tolist() == [2, 255] and x.dtype is ag.uint8
    assert ag.can_cast(ag.int64, ag.uint8) and not ag.can_cast(ag.float32, ag.int64)
    with pytest.raises(RuntimeError, match="float32 result can't be stored in a uint8 tensor"):
        x += 0.5


def test_casts_have_their_own_names() -> None:
    assert (ag.Tensor.long.__name__, ag.Tensor.bool.__qualname__) == ("long", "Tensor.bool")


def test_in_place_operations_take_their_arguments_by_name() -> None:
    assert ag.ones(2).add_(other=2, alpha=3).tolist() == [7, 7]
    assert ag.full((2,), 3.0).pow_(exponent=2).tolist() == [9, 9]
    assert ag.full((2,), 3.0).clip_(max=2).tolist() == [2, 2]
    assert ag.full((2,), 3.0).multiply_(other=2).tolist() == [6, 6]


def test_xlogy_takes_a_number_first() -> None:
    found = ag.xlogy(2.0, ag.tensor([0.0, 2.0])).numpy()
    np.testing.assert_allclose(found, [-np.inf, 2 * np.log(2)], rtol=1e-6)
    np.testing.assert_array_equal(ag.xlogy(0.0, ag.tensor([0.0, np.nan])).numpy(), [0, np.nan])


@pytest.mark.parametrize("how", ["eager", "cpu", "reference"])
def test_integers_to_negative_powers(how: str) -> None:
    """As in C: rounded towards 0, so 0 but for 1 and -1."""
    x, y = ag.tensor([2, 1, -1, -1, 3, -2]), ag.tensor([-1, -2, -3, -2, 2, 3])
    raised = (lambda x, y: x**y) if how == "eager" else ag.compile(lambda x, y: x**y, backend=how)
    assert raised(x, y).tolist() == [0, 1, -1, 1, 9, -8]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("shape", "dim"), [((0, 3), 0), ((2, 0, 3), 1), ((2, 0, 3), (0, 1))])
def test_logsumexp_of_nothing(shape: Any, dim: Any, compiled: bool) -> None:
    """The logarithm of an empty sum, as in PyTorch."""
    x = ag.zeros(*shape, requires_grad=True)
    function = lambda x: x.logsumexp(dim)  # noqa: E731
    y = ag.compile(function)(x) if compiled else function(x)
    want = np.full(np.zeros(shape).sum(dim).shape, -np.inf)
    np.testing.assert_array_equal(y.detach().numpy(), want)
    y.sum().backward()
    assert x.grad is not None and x.grad.shape == shape
