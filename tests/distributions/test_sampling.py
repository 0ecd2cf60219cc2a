"""Samples at fixed seeds: their distribution, their moments, and the gradients through them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from family_cases import CASES, Case, labels, tensors

import argand as ag
from argand import distributions as dist

st: Any = pytest.importorskip("scipy.stats", reason="SciPy is an extra")

COUNT = 4000
each_case = pytest.mark.parametrize("case", CASES, ids=labels())


def made(case: Case, grad: bool = False) -> tuple[Any, list[Any]]:
    """The distribution in float64 for a batch of 3, and its tensors."""
    values = case.draw(np.random.default_rng(3), (3,))
    given = tensors(values, lambda v: ag.tensor(v, dtype=ag.float64).requires_grad_(grad))
    parameters = [v for v in given.values() if isinstance(v, ag.Tensor)]
    return case.make(dist, given), parameters


def moment(name: str, d: Any) -> Any:
    """A moment by its formula; None where there is none."""
    try:
        found = getattr(d, name)
    except NotImplementedError:
        return None
    return found if bool(ag.isfinite(found).all()) else None


@each_case
def test_moments(case: Case) -> None:
    d, _ = made(case)
    ag.manual_seed(11)
    x = d.sample((COUNT,)).numpy().astype(np.float64)
    assert x.shape == (COUNT, *d.batch_shape, *d.event_shape)
    if case.name == "VonMises":  # the moments are the circular ones
        vector = np.exp(1j * x).mean(0)
        assert np.abs(np.angle(vector * np.exp(-1j * d.mean.numpy()))).max() < 0.1
        np.testing.assert_allclose(1 - np.abs(vector), d.variance.numpy(), atol=0.05)
        return
    mean, variance = moment("mean", d), moment("variance", d)
    heavy = case.name in ("StudentT", "FisherSnedecor", "Pareto", "InverseGamma")
    if mean is None or variance is None:
        return
    error = np.abs(x.mean(0) - mean.numpy()) / (np.sqrt(variance.numpy() / COUNT) + 1e-12)
    assert error.max() < (8 if heavy else 5), error
    if not heavy:
        fourth = ((x - x.mean(0)) ** 4).mean(0)
        spread = np.sqrt(np.maximum(fourth - x.var(0) ** 2, 1e-12) / COUNT)
        assert (np.abs(x.var(0) - variance.numpy()) < 6 * spread + 1e-9).all()


@each_case
def test_probabilities(case: Case) -> None:
    """By Kolmogorov and Smirnov's test of the probabilities of samples up to themselves."""
    d, _ = made(case)
    ag.manual_seed(7)
    x = d.sample((COUNT,))
    try:
        u = d.cdf(x).numpy().reshape(COUNT, -1)
    except NotImplementedError:
        return
    for column in u.T:
        assert st.kstest(column, "uniform").pvalue > 1e-4


DISCRETE = [c for c in CASES if c.name in ("Bernoulli", "Binomial", "Categorical", "Geometric")]
DISCRETE += [c for c in CASES if c.name in ("NegativeBinomial", "Poisson")]


@pytest.mark.parametrize("case", DISCRETE, ids=lambda c: f"{c.name}-{c.label}")
def test_frequencies(case: Case) -> None:
    """By Pearson's test of how often each value comes."""
    d, _ = made(case)
    ag.manual_seed(5)
    x = d.sample((COUNT,)).numpy().reshape(COUNT, -1)
    last = {"Bernoulli": 2, "Binomial": 8, "Categorical": 4}.get(case.name, 60)
    values = np.arange(last)[:, None] * np.ones(3)
    dtype = np.int64 if case.name == "Categorical" else np.float64
    expected = np.exp(d.log_prob(ag.from_numpy(values.astype(dtype))).numpy()) * COUNT
    for column, wanted in zip(x.T, expected.T, strict=True):
        seen = np.bincount(column.astype(int), minlength=last)[:last]
        often = wanted >= 5
        difference = ((seen - wanted) ** 2 / np.maximum(wanted, 1e-9))[often].sum()
        rest = max(COUNT - wanted[often].sum(), 1e-9)
        difference += (COUNT - seen[often].sum() - rest) ** 2 / rest if rest > 5 else 0
        assert st.chi2.sf(difference, max(often.sum(), 1)) > 1e-5


QUICK = {"Gamma", "Dirichlet", "StudentT", "Normal", "Uniform", "InverseGamma"}


def _gradients() -> list[Any]:
    """The cases, all but some of them of the long suite."""
    return [
        pytest.param(c, marks=() if c.name in QUICK else pytest.mark.slow, id=label)
        for c, label in zip(CASES, labels(), strict=True)
    ]


@pytest.mark.parametrize("case", _gradients())
def test_gradients_of_samples(case: Case) -> None:
    """The mean gradient of x + x^2 of samples is that of its mean, where both are finite."""
    d, parameters = made(case, grad=True)
    if not d.has_rsample:
        with pytest.raises(NotImplementedError):
            d.rsample()
        return
    assert d.rsample((2,)).requires_grad and not d.sample((2,)).requires_grad
    mean, variance = moment("mean", d), moment("variance", d)
    if mean is None or variance is None or case.name in ("Pareto", "FisherSnedecor"):
        return  # no mean, or gradients of infinite variance
    if case.name == "OneHotCategoricalStraightThrough":
        return  # whose estimate is biased
    ag.manual_seed(2)
    groups, size = 40, 250
    total = (mean + mean.pow(2) + variance).sum()
    options: Any = {"retain_graph": True, "materialize_grads": True, "allow_unused": True}
    expected = ag.autograd.grad(total, parameters, **options)
    found = []
    for _ in range(groups):
        x = d.rsample((size,))
        found.append(ag.autograd.grad((x + x.pow(2)).mean(0).sum(), parameters, **options))
    for n, theirs in enumerate(expected):
        ours = np.stack([f[n].numpy() for f in found])
        spread = ours.std(0) / math.sqrt(groups) + 1e-9
        if case.label == "covariance_matrix" and n:  # of which the lower half alone is read
            ours, theirs = ours + ours.swapaxes(-1, -2), theirs + theirs.mT
        assert (np.abs(ours.mean(0) - theirs.numpy()) < 6 * spread).all(), case.label


@pytest.mark.parametrize("shape", [0.03, 0.4, 1.0, 2.5, 40.0])
def test_implicit_gradient_of_gamma(shape: float) -> None:
    """dx / da = -(dF / da) / f, by central differences of SciPy's incomplete gamma function."""
    from scipy.special import gammainc, gammaincc

    a = ag.full((200,), shape, dtype=ag.float64).requires_grad_()
    ag.manual_seed(1)
    x = dist.Gamma(a, 1.0).rsample()
    (found,) = ag.autograd.grad(x.sum(), a)
    value = x.detach().numpy()
    h = 1e-5 * shape
    lower = (gammainc(shape + h, value) - gammainc(shape - h, value)) / (2 * h)
    upper = (gammaincc(shape - h, value) - gammaincc(shape + h, value)) / (2 * h)
    below = gammainc(shape, value) < 0.5
    slope = np.where(below, lower, upper)
    expected = -slope / st.gamma(shape).pdf(value)
    large = value > 1e-200
    np.testing.assert_allclose(found.numpy()[large], expected[large], rtol=2e-5, atol=1e-300)


def test_gamma_has_no_second_gradient() -> None:
    a = ag.tensor(2.0, requires_grad=True)
    x = dist.Gamma(a, 1.0).rsample()
    (slope,) = ag.autograd.grad(x, a, create_graph=True)
    with pytest.raises(RuntimeError):
        ag.autograd.grad(slope, a)


def test_seeds_and_dtypes() -> None:
    for dtype in (ag.float32, ag.float64):
        d = dist.Gamma(ag.full((5,), 0.7, dtype=dtype), 1.0)
        ag.manual_seed(4)
        first = d.sample()
        ag.manual_seed(4)
        assert first.dtype is dtype and ag.equal(first, d.sample())
        assert not ag.equal(first, d.sample())


@pytest.mark.parametrize("name", ["binomial", "poisson"])
def test_functions_refuse(name: str) -> None:
    function = getattr(ag, name)
    second = (ag.tensor(0.5),) if name == "binomial" else ()
    with pytest.raises(ag.ArgandError, match="expected"):
        function(ag.tensor([-1.0]), *second)
    with pytest.raises(ag.ArgandError, match="not defined for int64"):
        function(ag.tensor([1]), *second)
    assert function(ag.tensor([3.0], dtype=ag.float16), *second).dtype is ag.float16
    compiled = ag.compile(lambda x: function(x, *second))
    ag.manual_seed(9)
    wanted = function(ag.full((20,), 30.0), *second)
    ag.manual_seed(9)
    assert ag.equal(compiled(ag.full((20,), 30.0)), wanted)
    assert bool(ag.isnan(compiled(ag.full((20,), -1.0))).all())


def test_long_rows_of_multinomial_are_searched_as_short_ones() -> None:
    """By halves from 64 classes on: each class as often as its weight says, none of weight 0."""
    rng = np.random.default_rng(0)
    weights = rng.uniform(0, 1, (2, 100)) * (rng.uniform(0, 1, (2, 100)) > 0.3)
    ag.manual_seed(0)
    drawn = ag.multinomial(ag.from_numpy(weights), 20000, replacement=True).numpy()
    for row, weight in zip(drawn, weights, strict=True):
        seen = np.bincount(row, minlength=100)
        wanted = 20000 * weight / weight.sum()
        assert not seen[weight == 0].any()
        some = weight > 0
        difference = ((seen - wanted)[some] ** 2 / wanted[some]).sum()
        assert st.chi2.sf(difference, some.sum() - 1) > 1e-4
