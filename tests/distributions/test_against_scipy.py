"""Densities, probabilities, quantiles, moments and entropies against SciPy's."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand import distributions as dist

st: Any = pytest.importorskip("scipy.stats", reason="SciPy is an extra")

Frozen = Callable[..., Any]

# A family, its parameters, and SciPy's of the same.
CONTINUOUS: list[tuple[str, dict[str, Any], Frozen]] = [
    (
        "Beta",
        {"concentration1": [0.5, 3.0], "concentration0": [0.7, 2.0]},
        lambda a, b: st.beta(a, b),
    ),
    ("Cauchy", {"loc": [0.3, -2.0], "scale": [0.5, 3.0]}, lambda m, s: st.cauchy(m, s)),
    ("Chi2", {"df": [0.8, 7.0]}, lambda k: st.chi2(k)),
    ("Exponential", {"rate": [0.3, 4.0]}, lambda r: st.expon(scale=1 / r)),
    ("FisherSnedecor", {"df1": [3.0, 8.0], "df2": [5.0, 9.0]}, lambda a, b: st.f(a, b)),
    (
        "Gamma",
        {"concentration": [0.4, 5.0], "rate": [0.5, 3.0]},
        lambda a, r: st.gamma(a, scale=1 / r),
    ),
    (
        "GeneralizedPareto",
        {"loc": [0.0, 1.0, 2.0], "scale": [1.0, 2.0, 0.5], "concentration": [0.3, -0.5, 0.0]},
        lambda m, s, c: st.genpareto(c, m, s),
    ),
    ("Gumbel", {"loc": [0.3, -2.0], "scale": [0.5, 3.0]}, lambda m, s: st.gumbel_r(m, s)),
    ("HalfCauchy", {"scale": [0.5, 3.0]}, lambda s: st.halfcauchy(scale=s)),
    ("HalfNormal", {"scale": [0.5, 3.0]}, lambda s: st.halfnorm(scale=s)),
    (
        "InverseGamma",
        {"concentration": [2.5, 5.0], "rate": [0.5, 3.0]},
        lambda a, r: st.invgamma(a, scale=r),
    ),
    ("Laplace", {"loc": [0.3, -2.0], "scale": [0.5, 3.0]}, lambda m, s: st.laplace(m, s)),
    (
        "LogNormal",
        {"loc": [0.3, -1.0], "scale": [0.5, 1.0]},
        lambda m, s: st.lognorm(s, scale=np.exp(m)),
    ),
    ("Normal", {"loc": [0.3, -2.0], "scale": [0.5, 3.0]}, lambda m, s: st.norm(m, s)),
    ("Pareto", {"scale": [0.5, 3.0], "alpha": [2.5, 4.0]}, lambda s, a: st.pareto(a, scale=s)),
    (
        "StudentT",
        {"df": [2.5, 7.0], "loc": [0.3, -2.0], "scale": [0.5, 3.0]},
        lambda k, m, s: st.t(k, m, s),
    ),
    ("Uniform", {"low": [-1.0, 2.0], "high": [0.5, 5.0]}, lambda a, b: st.uniform(a, b - a)),
    (
        "Weibull",
        {"scale": [0.5, 3.0], "concentration": [0.8, 2.0]},
        lambda s, c: st.weibull_min(c, scale=s),
    ),
]
DISCRETE: list[tuple[str, dict[str, Any], Frozen]] = [
    ("Bernoulli", {"probs": [0.2, 0.9]}, lambda p: st.bernoulli(p)),
    ("Binomial", {"total_count": [9.0, 9.0], "probs": [0.2, 0.9]}, lambda n, p: st.binom(n, p)),
    ("Geometric", {"probs": [0.2, 0.9]}, lambda p: st.geom(p, loc=-1)),
    (
        "NegativeBinomial",
        {"total_count": [3.0, 7.5], "probs": [0.2, 0.6]},
        lambda n, p: st.nbinom(n, 1 - p),
    ),
    ("Poisson", {"rate": [0.3, 12.0]}, lambda r: st.poisson(r)),
]


def made(name: str, values: dict[str, Any], dtype: Any) -> Any:
    """The distribution of a list of cases."""
    return getattr(dist, name)(**{k: ag.tensor(v, dtype=dtype) for k, v in values.items()})


def close(found: Any, expected: Any, tolerance: float, what: str) -> None:
    """Within a tolerance relative to the larger of 1 and the expected value."""
    found, expected = found.numpy().astype(np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape, what
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(found[~finite], expected[~finite], what)
    error = np.abs(found - expected)[finite] / np.maximum(1, np.abs(expected[finite]))
    assert error.max(initial=0) < tolerance, f"{what}: off by {error.max()}"


def _integral(y: Any, x: Any) -> float:
    return float(np.sum((y[1:] + y[:-1]) / 2 * np.diff(x)))


def _number_of(entry: tuple[str, dict[str, Any], Frozen]) -> str:
    return entry[0]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 5e-5)])
@pytest.mark.parametrize("entry", CONTINUOUS, ids=_number_of)
def test_continuous(
    entry: tuple[str, dict[str, Any], Frozen], dtype: str, tolerance: float
) -> None:
    name, values, frozen = entry
    d, theirs = made(name, values, getattr(ag, dtype)), frozen(*map(np.array, values.values()))
    u = np.linspace(0.03, 0.97, 7)[:, None] * np.ones(len(next(iter(values.values()))))
    x = theirs.ppf(u).astype(dtype)
    value = ag.from_numpy(x)
    close(d.log_prob(value), theirs.logpdf(x.astype(np.float64)), tolerance, "log_prob")
    if type(d).cdf is not dist.Distribution.cdf:
        close(d.cdf(value), theirs.cdf(x.astype(np.float64)), tolerance, "cdf")
    if type(d).icdf is not dist.Distribution.icdf and name not in ("Gamma", "Chi2", "InverseGamma"):
        close(d.icdf(ag.from_numpy(u.astype(dtype))), theirs.ppf(u), 20 * tolerance, "icdf")
    if type(d).entropy is not dist.Distribution.entropy:
        close(d.entropy(), theirs.entropy(), tolerance, "entropy")
    if name not in ("Cauchy", "HalfCauchy"):
        close(d.mean, theirs.mean(), tolerance, "mean")
        close(d.variance, theirs.var(), tolerance, "variance")
        close(d.stddev, theirs.std(), tolerance, "stddev")


@pytest.mark.parametrize("entry", CONTINUOUS, ids=_number_of)
def test_density_falls_beside_the_mode(entry: tuple[str, dict[str, Any], Frozen]) -> None:
    name, values, frozen = entry
    d, theirs = made(name, values, ag.float64), frozen(*map(np.array, values.values()))
    mode = d.mode.numpy()
    with np.errstate(all="ignore"):
        top = theirs.logpdf(mode)
        for step in (-1e-3, 1e-3):
            beside = theirs.logpdf(mode + step)
            assert bool(np.all(np.isnan(mode) | ~(beside > top))), name


@pytest.mark.parametrize("entry", DISCRETE, ids=_number_of)
def test_discrete(entry: tuple[str, dict[str, Any], Frozen]) -> None:
    name, values, frozen = entry
    d, theirs = made(name, values, ag.float64), frozen(*map(np.array, values.values()))
    k = np.arange(2.0 if name == "Bernoulli" else 10.0)[:, None] * np.ones(2)
    close(d.log_prob(ag.from_numpy(k)), theirs.logpmf(k), 1e-9, "log_prob")
    close(d.mean, theirs.mean(), 1e-9, "mean")
    close(d.variance, theirs.var(), 1e-9, "variance")
    if name not in ("NegativeBinomial", "Poisson"):
        close(d.entropy(), theirs.entropy(), 1e-7, "entropy")
    logits = getattr(dist, name)
    if "probs" in values:
        given = {n: ag.tensor(v, dtype=ag.float64) for n, v in values.items() if n != "probs"}
        again = logits(**given, logits=d.logits)
        close(again.log_prob(ag.from_numpy(k)), theirs.logpmf(k), 1e-9, "by logits")


def test_vectors() -> None:
    rng = np.random.default_rng(0)
    a = rng.uniform(0.5, 3, 4)
    x = rng.dirichlet(a, 5)
    d = dist.Dirichlet(ag.from_numpy(a))
    close(d.log_prob(ag.from_numpy(x)), st.dirichlet(a).logpdf(x.T), 1e-9, "dirichlet")
    close(d.entropy(), st.dirichlet(a).entropy(), 1e-9, "entropy")
    close(d.mean, st.dirichlet(a).mean(), 1e-9, "mean")
    close(d.variance, st.dirichlet(a).var(), 1e-9, "variance")
    counts = rng.multinomial(9, a / a.sum(), 5).astype(np.float64)
    m = dist.Multinomial(9, ag.from_numpy(a))
    theirs = st.multinomial(9, a / a.sum())
    close(m.log_prob(ag.from_numpy(counts)), theirs.logpmf(counts), 1e-9, "multinomial")
    close(m.entropy(), theirs.entropy(), 1e-9, "entropy")


def test_matrices() -> None:
    rng = np.random.default_rng(0)
    root = rng.uniform(-1, 1, (3, 3))
    cov, mean, x = root @ root.T + np.eye(3), rng.uniform(-1, 1, 3), rng.uniform(-1, 1, (5, 3))
    theirs = st.multivariate_normal(mean, cov)
    for name, matrix in (
        ("covariance_matrix", cov),
        ("precision_matrix", np.linalg.inv(cov)),
        ("scale_tril", np.linalg.cholesky(cov)),
    ):
        d = dist.MultivariateNormal(ag.from_numpy(mean), **{name: ag.from_numpy(matrix)})
        close(d.log_prob(ag.from_numpy(x)), theirs.logpdf(x), 1e-9, name)
        close(d.entropy(), theirs.entropy(), 1e-9, name)
        close(d.covariance_matrix, cov, 1e-9, name)
        close(d.precision_matrix, np.linalg.inv(cov), 1e-9, name)
        close(d.variance, np.diag(cov), 1e-9, name)
    factor, diagonal = rng.uniform(-1, 1, (3, 2)), rng.uniform(0.5, 2, 3)
    low = dist.LowRankMultivariateNormal(*map(ag.from_numpy, (mean, factor, diagonal)))
    cov_low = factor @ factor.T + np.diag(diagonal)
    theirs = st.multivariate_normal(mean, cov_low)
    close(low.log_prob(ag.from_numpy(x)), theirs.logpdf(x), 1e-9, "low rank")
    close(low.entropy(), theirs.entropy(), 1e-9, "low rank")
    close(low.precision_matrix, np.linalg.inv(cov_low), 1e-9, "low rank")
    close(low.scale_tril, np.linalg.cholesky(cov_low), 1e-9, "low rank")
    wishart = dist.Wishart(ag.tensor(4.5, dtype=ag.float64), ag.from_numpy(cov))
    theirs = st.wishart(4.5, cov)
    sample = theirs.rvs(4, random_state=0)
    expected = theirs.logpdf(np.moveaxis(sample, 0, -1))
    close(wishart.log_prob(ag.from_numpy(sample)), expected, 1e-9, "wishart")
    close(wishart.entropy(), theirs.entropy(), 1e-9, "wishart")
    close(wishart.mean, theirs.mean(), 1e-9, "wishart")
    close(wishart.variance, theirs.var(), 1e-9, "wishart")


def test_angles() -> None:
    x = np.linspace(-3, 3, 9)
    for k in (1e-3, 0.5, 30.0):
        d = dist.VonMises(ag.tensor(0.4, dtype=ag.float64), ag.tensor(k, dtype=ag.float64))
        close(d.log_prob(ag.from_numpy(x)), st.vonmises(k, 0.4).logpdf(x), 1e-9, "von Mises")


def test_kumaraswamy_and_continuous_bernoulli() -> None:
    """Closed forms of their probabilities, which SciPy does not have."""
    a, b, x = 1.7, 2.6, np.linspace(0.05, 0.95, 9)
    k = dist.Kumaraswamy(*[ag.tensor(v, dtype=ag.float64) for v in (a, b)])
    value = ag.from_numpy(x)
    density = a * b * x ** (a - 1) * (1 - x**a) ** (b - 1)
    close(k.log_prob(value), np.log(density), 1e-9, "log_prob")
    close(k.cdf(value), 1 - (1 - x**a) ** b, 1e-9, "cdf")
    close(k.mode, ((a - 1) / (a * b - 1)) ** (1 / a), 1e-9, "mode")
    for p in (0.1, 0.4995, 0.5, 0.7):
        c = dist.ContinuousBernoulli(ag.tensor(p, dtype=ag.float64))
        grid = np.linspace(0, 1, 20001)
        weight = p**grid * (1 - p) ** (1 - grid)
        total = _integral(weight, grid)
        found = np.exp(c.log_prob(value).numpy())
        np.testing.assert_allclose(found, p**x * (1 - p) ** (1 - x) / total, rtol=1e-7)
        mean = _integral(weight * grid, grid) / total
        close(c.mean, mean, 1e-7, "mean")
        variance = _integral(weight * grid**2, grid) / total - mean**2
        close(c.variance, variance, 1e-7, "variance")
        np.testing.assert_allclose(c.icdf(c.cdf(value)).numpy(), x, atol=1e-7)


def test_lkj_integrates_to_one() -> None:
    """Over the factors of 2x2 matrices, by their one free number r: the density is that of r."""
    r = np.tanh(np.linspace(-12, 12, 4001))
    last = np.sqrt(1 - r**2)
    factors = np.zeros((len(r), 2, 2))
    factors[:, 0, 0], factors[:, 1, 0], factors[:, 1, 1] = 1, r, last
    for eta in (0.6, 1.0, 3.0):
        d = dist.LKJCholesky(2, ag.tensor(eta, dtype=ag.float64), validate_args=False)
        density = np.exp(d.log_prob(ag.from_numpy(factors)).numpy())
        assert abs(_integral(density, r) - 1) < 1e-4


def test_edge_values() -> None:
    inf = math.inf
    assert dist.Geometric(ag.tensor(1.0)).log_prob(ag.tensor([0.0, 1.0])).tolist() == [0.0, -inf]
    assert dist.Poisson(ag.tensor(0.0)).log_prob(ag.tensor([0.0, 1.0])).tolist() == [0.0, -inf]
    nothing = dist.NegativeBinomial(ag.tensor(0.0), ag.tensor(0.5), validate_args=False)
    assert nothing.log_prob(ag.tensor(0.0)).item() == 0.0
    assert nothing.sample((3,)).tolist() == [0.0, 0.0, 0.0]
    for p in (0.0, 1.0):
        d = dist.Binomial(3, ag.tensor(p))
        assert d.sample((2,)).tolist() == [3 * p] * 2
        assert abs(d.log_prob(ag.tensor(3 * p)).item()) < 1e-5
    certain = dist.Categorical(ag.tensor([0.0, 1.0]))
    assert certain.sample((4,)).tolist() == [1] * 4
    assert abs(certain.entropy().item()) < 1e-5
    outside = dist.Uniform(0.0, 1.0, validate_args=False).log_prob(ag.tensor([-1.0, 1.0, 2.0]))
    assert outside.tolist() == [-inf] * 3
    assert dist.HalfNormal(1.0, validate_args=False).log_prob(ag.tensor(-1.0)).item() == -inf
    heavy = dist.StudentT(ag.tensor([0.5, 1.5]))
    assert math.isnan(heavy.variance[0].item()) and heavy.variance[1].item() == inf
    low = dist.Gamma(ag.tensor(1e-4), ag.tensor(1.0))
    assert bool((low.sample((50,)) > 0).all())
    assert bool(ag.isfinite(dist.Dirichlet(ag.full((3,), 1e-3)).sample((50,))).all())
