"""Divergences against integrals of p ln(p / q), sums, and matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand import distributions as dist
from argand.distributions import kl

F64 = ag.float64
REAL, HALF, UNIT = "real", "half", "unit"


def t(x: Any) -> Any:
    """A float64 tensor."""
    return ag.tensor(x, dtype=F64)


# Two members of each family of numbers, and the lines that their values are on.
NUMBERS: dict[str, tuple[Any, Any, Any]] = {
    "Beta": (
        {"concentration1": t(1.6), "concentration0": t(2.2)},
        {"concentration1": t(1.2), "concentration0": t(3.0)},
        UNIT,
    ),
    "Cauchy": ({"loc": t(0.3), "scale": t(1.1)}, {"loc": t(-0.5), "scale": t(2.0)}, REAL),
    "ContinuousBernoulli": ({"probs": t(0.3)}, {"probs": t(0.8)}, UNIT),
    "Exponential": ({"rate": t(1.3)}, {"rate": t(0.6)}, HALF),
    "Gamma": (
        {"concentration": t(2.3), "rate": t(1.4)},
        {"concentration": t(1.2), "rate": t(0.8)},
        HALF,
    ),
    "Gumbel": ({"loc": t(0.2), "scale": t(0.7)}, {"loc": t(-0.4), "scale": t(1.2)}, REAL),
    "HalfNormal": ({"scale": t(0.7)}, {"scale": t(1.5)}, HALF),
    "Laplace": ({"loc": t(0.0), "scale": t(0.7)}, {"loc": t(0.6), "scale": t(1.3)}, REAL),
    "LogNormal": ({"loc": t(0.2), "scale": t(0.7)}, {"loc": t(-0.4), "scale": t(1.2)}, HALF),
    "Normal": ({"loc": t(0.2), "scale": t(0.7)}, {"loc": t(-0.4), "scale": t(1.2)}, REAL),
    "Pareto": ({"scale": t(1.0), "alpha": t(4.5)}, {"scale": t(0.5), "alpha": t(2.0)}, "from 1"),
    "Uniform": ({"low": t(0.2), "high": t(0.9)}, {"low": t(-1.0), "high": t(2.0)}, "uniform"),
}
COUNTS: dict[str, tuple[Any, Any]] = {
    "Bernoulli": ({"probs": t(0.3)}, {"probs": t(0.8)}),
    "Binomial": ({"total_count": 6, "probs": t(0.3)}, {"total_count": 6, "probs": t(0.7)}),
    "Categorical": ({"probs": t([0.2, 0.5, 0.3])}, {"probs": t([0.4, 0.4, 0.2])}),
    "Geometric": ({"probs": t(0.4)}, {"probs": t(0.7)}),
    "Poisson": ({"rate": t(2.0)}, {"rate": t(3.5)}),
}


def line(kind: str) -> tuple[Any, Any]:
    """Places of a line and the weights of an integral: the double exponential rule."""
    step = 0.004
    end = 4.0 if kind in (REAL, HALF, "from 1") else 3.0  # where the bounds are not reached
    s = np.arange(-end, end, step)
    inner, slope = np.pi / 2 * np.sinh(s), np.pi / 2 * np.cosh(s)
    if kind == REAL:
        return np.sinh(inner), np.cosh(inner) * slope * step
    if kind in (HALF, "from 1"):
        return np.exp(inner) + (kind != HALF), np.exp(inner) * slope * step
    low, high = (0.0, 1.0) if kind == UNIT else (0.2, 0.9)
    half = (high - low) / 2
    return low + half + half * np.tanh(inner), half * slope / np.cosh(inner) ** 2 * step


def integral(p: Any, q: Any, kind: str) -> float:
    """Of p ln(p / q), where p is not 0."""
    x, weight = line(kind)
    logs = [d.log_prob(ag.from_numpy(x)).numpy() for d in (p, q)]
    with np.errstate(all="ignore"):
        density = np.exp(logs[0])
        terms = np.where(density > 1e-280, density * (logs[0] - logs[1]) * weight, 0.0)
    return float(terms[np.isfinite(weight)].sum())


def made(name: str, which: int) -> Any:
    """One of two members of a family, which checks no values."""
    table: Any = NUMBERS if name in NUMBERS else COUNTS
    return getattr(dist, name)(**table[name][which], validate_args=False)


def pairs(table: Any) -> list[tuple[str, str]]:
    """The registered pairs of families of a table."""
    found = [(p.__name__, q.__name__) for p, q in kl._RULES]
    same = [("LogNormal", "LogNormal")] if "LogNormal" in table else []
    return sorted({*[(p, q) for p, q in found if p in table and q in table], *same})


@pytest.mark.parametrize(("p", "q"), pairs(NUMBERS))
def test_numbers(p: str, q: str) -> None:
    one, other = made(p, 0), made(q, 1)
    found = dist.kl_divergence(one, other)
    assert found.shape == ()
    if math.isinf(found.item()):
        x, _ = line(NUMBERS[p][2])
        logs = [d.log_prob(ag.from_numpy(x)).numpy() for d in (one, other)]
        outside = (logs[0] > -700) & ~(logs[1] > -math.inf)
        inside = other.support.check(ag.from_numpy(x)).numpy()
        assert (outside | ((logs[0] > -700) & ~inside)).any()
        return
    assert abs(found.item() - integral(one, other, NUMBERS[p][2])) < 2e-5


@pytest.mark.parametrize(("p", "q"), pairs(COUNTS))
def test_counts(p: str, q: str) -> None:
    one, other = made(p, 0), made(q, 1)
    found = dist.kl_divergence(one, other).item()
    if p == "Poisson" and q != "Poisson":
        assert found == math.inf
        return
    last = {"Bernoulli": 2, "Binomial": 7, "Categorical": 3}.get(p, 60)
    k = ag.arange(last) if p == "Categorical" else ag.arange(last, dtype=F64)
    logs = [d.log_prob(k).numpy() for d in (one, other)]
    assert abs(found - (np.exp(logs[0]) * (logs[0] - logs[1])).sum()) < 1e-9


def test_every_pair_is_tested() -> None:
    vectors = {"Dirichlet", "MultivariateNormal", "LowRankMultivariateNormal"}
    others = {"OneHotCategorical", "ExponentialFamily", "TransformedDistribution", "Independent"}
    known = {*NUMBERS, *COUNTS, *vectors, *others}
    classes = {c for pair in kl._RULES for c in pair}
    ours = {c.__name__ for c in classes if getattr(dist, c.__name__, None) is c}  # no example's
    assert len(ours) > 20 and ours - known == set()


def test_supports_that_do_not_fit() -> None:
    inf = math.inf
    inner, outer = dist.Uniform(t(0.0), t(1.0)), dist.Uniform(t(-1.0), t(0.5))
    assert dist.kl_divergence(inner, outer).item() == inf
    low, high = dist.Pareto(t(0.5), t(2.0)), dist.Pareto(t(1.0), t(2.0))
    assert dist.kl_divergence(low, high).item() == inf
    never, ever = dist.Bernoulli(t(0.0)), dist.Bernoulli(t(0.5))
    assert dist.kl_divergence(ever, never).item() == inf
    assert abs(dist.kl_divergence(never, ever).item() - math.log(2)) < 1e-12
    some = dist.Categorical(t([0.5, 0.5, 0.0]))
    assert dist.kl_divergence(dist.Categorical(t([0.2, 0.3, 0.5])), some).item() == inf
    fewer, more = dist.Binomial(3, t(0.5)), dist.Binomial(5, t(0.5))
    assert dist.kl_divergence(more, fewer).item() == inf
    with pytest.raises(NotImplementedError):
        dist.kl_divergence(fewer, more)
    # the whole unit interval is in the support of both
    c = dist.ContinuousBernoulli(t(0.3))
    assert abs(dist.kl_divergence(c, inner).item() - integral(c, inner, UNIT)) < 1e-7
    assert math.isfinite(dist.kl_divergence(inner, c).item())


def _gaussian(m0: Any, c0: Any, m1: Any, c1: Any) -> float:
    inverse = np.linalg.inv(c1)
    logs = np.linalg.slogdet(c1)[1] - np.linalg.slogdet(c0)[1]
    apart = m1 - m0
    return float(0.5 * (np.trace(inverse @ c0) + apart @ inverse @ apart - len(m0) + logs))


def test_vectors() -> None:
    rng = np.random.default_rng(0)

    def one(kind: str) -> tuple[Any, Any, Any]:
        mean, root = rng.uniform(-1, 1, 4), rng.uniform(-1, 1, (4, 4))
        if kind == "full":
            cov = root @ root.T + np.eye(4)
            return dist.MultivariateNormal(t(mean), t(cov)), mean, cov
        factor, diagonal = root[:, :2], rng.uniform(0.5, 2, 4)
        d = dist.LowRankMultivariateNormal(t(mean), t(factor), t(diagonal))
        return d, mean, factor @ factor.T + np.diag(diagonal)

    for a in ("full", "low"):
        for b in ("full", "low"):
            (p, m0, c0), (q, m1, c1) = one(a), one(b)
            found = dist.kl_divergence(p, q).item()
            assert abs(found - _gaussian(m0, c0, m1, c1)) < 1e-9, (a, b)
    with pytest.raises(ValueError, match="different sizes"):
        dist.kl_divergence(one("full")[0], dist.MultivariateNormal(t([0.0]), t([[1.0]])))
    p, q = dist.Dirichlet(t([1.5, 2.5])), dist.Dirichlet(t([1.2, 0.8]))
    beta = dist.kl_divergence(dist.Beta(t(1.5), t(2.5)), dist.Beta(t(1.2), t(0.8)))
    assert abs(dist.kl_divergence(p, q).item() - beta.item()) < 1e-12
    hot = [dist.OneHotCategorical(t([0.2, 0.8])), dist.OneHotCategorical(t([0.6, 0.4]))]
    plain = [dist.Categorical(t([0.2, 0.8])), dist.Categorical(t([0.6, 0.4]))]
    assert dist.kl_divergence(*hot).item() == dist.kl_divergence(*plain).item()
    batch = [dist.Normal(t([0.0, 1.0]), t(1.0)), dist.Normal(t([2.0, 2.0]), t(3.0))]
    independent = dist.kl_divergence(*[dist.Independent(d, 1) for d in batch])
    assert abs((independent - dist.kl_divergence(*batch).sum()).item()) < 1e-12


def test_exponential_families_by_their_normalisers() -> None:
    """The general rule gives what the rules of the families give."""
    general = kl._RULES[dist.ExponentialFamily, dist.ExponentialFamily]
    for name in ("Bernoulli", "Beta", "ContinuousBernoulli", "Exponential", "Gamma", "Normal"):
        p, q = made(name, 0), made(name, 1)
        assert abs(general(p, q).item() - dist.kl_divergence(p, q).item()) < 1e-7, name
        by_normaliser = dist.ExponentialFamily.entropy
        if name != "Beta":  # which has no mean of its carrier measure
            assert abs(by_normaliser(p).item() - p.entropy().item()) < 1e-7, name
    with pytest.raises(NotImplementedError):
        general(made("Beta", 0), made("Gamma", 0))
    rng = np.random.default_rng(0)
    roots = rng.uniform(-1, 1, (2, 3, 3))
    p, q = (dist.Wishart(t(4.0 + n), t(r @ r.T + np.eye(3))) for n, r in enumerate(roots))
    ag.manual_seed(0)
    x = p.sample((3000,))
    logs = (p.log_prob(x) - q.log_prob(x)).numpy()
    assert abs(dist.kl_divergence(p, q).item() - logs.mean()) < 5 * logs.std() / math.sqrt(3000)


def test_register() -> None:
    class Mine(dist.Normal):
        """A family of a user."""

    class Other(dist.Normal):
        """Another one."""

    before = dict(kl._RULES)
    try:
        dist.register_kl(Mine, dist.Normal)(lambda p, q: t(1.0))
        assert dist.kl_divergence(Mine(0.0, 1.0), dist.Normal(0.0, 1.0)).item() == 1.0
        dist.register_kl(dist.Normal, Other)(lambda p, q: t(2.0))
        with pytest.warns(RuntimeWarning, match="ambiguous"):
            dist.kl_divergence(Mine(0.0, 1.0), Other(0.0, 1.0))
    finally:
        kl._RULES.clear()
        kl._RULES.update(before)
        kl._FOUND.clear()
    with pytest.raises(TypeError, match="class of distributions"):
        dist.register_kl(3, dist.Normal)
    with pytest.raises(NotImplementedError, match="no divergence of VonMises from Normal"):
        dist.kl_divergence(dist.VonMises(0.0, 1.0), dist.Normal(0.0, 1.0))
