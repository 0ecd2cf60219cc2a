"""Parameters of every family: what the tests, and the table in docs/compatibility.md, compare.

A case is a family's name and a function that makes the parameters, NumPy arrays and numbers, from a
generator; `make` gives them to Argand's class or to PyTorch's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Draw = Callable[[np.random.Generator, tuple[int, ...]], dict[str, Any]]


class Case(NamedTuple):
    """A family, and the function that draws its parameters for a shape of the batch."""

    name: str
    label: str
    draw: Draw
    shapes: tuple[tuple[int, ...], ...] = ((), (3,), (2, 3))

    def make(self, module: Any, values: dict[str, Any]) -> Any:
        """The distribution, of Argand's or PyTorch's module and tensors."""
        build = BUILT.get(self.name)
        return build(module, **values) if build else getattr(module, self.name)(**values)


def _positive(rng: Any, shape: Any, low: float = 0.3, high: float = 4.0) -> Any:
    return rng.uniform(low, high, shape)


def _real(rng: Any, shape: Any) -> Any:
    return rng.uniform(-2, 2, shape)


def _positives(*names: str) -> Draw:
    return lambda rng, shape: {n: _positive(rng, shape) for n in names}


def _loc_scale(rng: Any, shape: Any) -> dict[str, Any]:
    # the location broadcasts
    return {"loc": _real(rng, shape[-1:]), "scale": _positive(rng, shape)}


def _of_probs(**others: Any) -> Draw:
    return lambda rng, shape: {"probs": rng.uniform(0.05, 0.95, shape), **others}


def _of_logits(**others: Any) -> Draw:
    return lambda rng, shape: {"logits": _real(rng, shape), **others}


def _simplex(rng: Any, shape: Any) -> Any:
    return rng.dirichlet(np.ones(4), shape)


def _of_classes(parameter: str, **others: Any) -> Draw:
    def draw(rng: Any, shape: Any) -> dict[str, Any]:
        value = _simplex(rng, shape) if parameter == "probs" else _real(rng, (*shape, 4))
        return {**others, parameter: value}

    return draw


def _definite(rng: Any, shape: Any, size: int = 3) -> Any:
    x = rng.uniform(-1, 1, (*shape, size, size))
    return x @ np.swapaxes(x, -1, -2) + np.eye(size)


def _matrix(name: str, **others: Any) -> Draw:
    def draw(rng: Any, shape: Any) -> dict[str, Any]:
        matrix = _definite(rng, shape)
        given = np.linalg.cholesky(matrix) if name == "scale_tril" else matrix
        return {**{k: v(rng, shape) for k, v in others.items()}, name: given}

    return draw


def _low_rank(rng: Any, shape: Any) -> dict[str, Any]:
    return {
        "loc": _real(rng, (*shape, 4)),
        "cov_factor": _real(rng, (*shape, 4, 2)),
        "cov_diag": _positive(rng, (*shape, 4)),
    }


def _vector(rng: Any, shape: Any) -> Any:
    return _real(rng, (*shape, 3))


def _temperature(draw: Draw) -> Draw:
    return lambda rng, shape: {"temperature": np.asarray(0.7), **draw(rng, shape)}


def _mixture(module: Any, probs: Any, loc: Any, scale: Any) -> Any:
    return module.MixtureSameFamily(module.Categorical(probs), module.Normal(loc, scale))


def _independent(module: Any, loc: Any, scale: Any) -> Any:
    return module.Independent(module.Normal(loc, scale), 1)


def _transformed(module: Any, loc: Any, scale: Any, shift: Any) -> Any:
    steps = [module.AffineTransform(shift, -2.0), module.SigmoidTransform()]
    return module.TransformedDistribution(module.Normal(loc, scale), steps)


# Families that are made of others.
BUILT: dict[str, Callable[..., Any]] = {
    "MixtureSameFamily": _mixture,
    "Independent": _independent,
    "TransformedDistribution": _transformed,
}


def _parts(**more: Draw) -> Draw:
    """Parameters for one more dimension of 4."""

    def draw(rng: Any, shape: Any) -> dict[str, Any]:
        wide = (*shape, 4)
        found = {"loc": _real(rng, wide), "scale": _positive(rng, wide)}
        return {**found, **{k: f(rng, shape) for k, f in more.items()}}

    return draw


CASES = [
    Case("Bernoulli", "probs", _of_probs()),
    Case("Bernoulli", "logits", _of_logits()),
    Case("Beta", "", _positives("concentration1", "concentration0")),
    Case("Binomial", "probs", _of_probs(total_count=7)),
    Case("Binomial", "logits", _of_logits(total_count=7)),
    Case("Categorical", "probs", _of_classes("probs")),
    Case("Categorical", "logits", _of_classes("logits")),
    Case("Cauchy", "", _loc_scale),
    Case("Chi2", "", _positives("df")),
    Case("ContinuousBernoulli", "probs", _of_probs()),
    Case("ContinuousBernoulli", "logits", _of_logits()),
    Case("Dirichlet", "", lambda rng, shape: {"concentration": _positive(rng, (*shape, 4))}),
    Case("Exponential", "", _positives("rate")),
    Case(
        "FisherSnedecor",
        "",
        lambda r, s: {"df1": _positive(r, s, 1, 9), "df2": _positive(r, s, 1, 9)},
    ),
    Case("Gamma", "", _positives("concentration", "rate")),
    Case(
        "GeneralizedPareto",
        "",
        lambda r, s: {**_loc_scale(r, s), "concentration": r.uniform(-0.4, 0.4, s)},
    ),
    Case("Geometric", "probs", _of_probs()),
    Case("Geometric", "logits", _of_logits()),
    Case("Gumbel", "", _loc_scale),
    Case("HalfCauchy", "", _positives("scale")),
    Case("HalfNormal", "", _positives("scale")),
    Case("Independent", "", _parts()),
    Case("InverseGamma", "", _positives("concentration", "rate")),
    Case(
        "Kumaraswamy",
        "",
        lambda r, s: {n: _positive(r, s, 0.5, 3) for n in ("concentration1", "concentration0")},
    ),
    Case("LKJCholesky", "", lambda r, s: {"dim": 3, "concentration": _positive(r, s)}),
    Case("Laplace", "", _loc_scale),
    Case("LogNormal", "", lambda r, s: {"loc": _real(r, s), "scale": _positive(r, s, 0.2, 1)}),
    Case("LogisticNormal", "", lambda r, s: {"loc": _vector(r, s), "scale": _positive(r, (*s, 3))}),
    Case("LowRankMultivariateNormal", "", _low_rank),
    Case("MixtureSameFamily", "", _parts(probs=_simplex)),
    Case("Multinomial", "probs", _of_classes("probs", total_count=6)),
    Case("Multinomial", "logits", _of_classes("logits", total_count=6)),
    Case("MultivariateNormal", "covariance_matrix", _matrix("covariance_matrix", loc=_vector)),
    Case("MultivariateNormal", "precision_matrix", _matrix("precision_matrix", loc=_vector)),
    Case("MultivariateNormal", "scale_tril", _matrix("scale_tril", loc=_vector)),
    Case("NegativeBinomial", "probs", _of_probs(total_count=5)),
    Case("NegativeBinomial", "logits", _of_logits(total_count=5)),
    Case("Normal", "", _loc_scale),
    Case("OneHotCategorical", "probs", _of_classes("probs")),
    Case("OneHotCategorical", "logits", _of_classes("logits")),
    Case("OneHotCategoricalStraightThrough", "probs", _of_classes("probs")),
    Case("Pareto", "", lambda r, s: {"scale": _positive(r, s), "alpha": _positive(r, s, 1, 5)}),
    Case("Poisson", "", _positives("rate")),
    Case("RelaxedBernoulli", "probs", _temperature(_of_probs())),
    Case("RelaxedBernoulli", "logits", _temperature(_of_logits())),
    Case("RelaxedOneHotCategorical", "probs", _temperature(_of_classes("probs"))),
    Case("RelaxedOneHotCategorical", "logits", _temperature(_of_classes("logits"))),
    Case("StudentT", "", lambda r, s: {"df": _positive(r, s, 0.5, 6), **_loc_scale(r, s)}),
    Case(
        "TransformedDistribution",
        "",
        lambda r, s: {"loc": _real(r, s), "scale": _positive(r, s, 0.3, 1), "shift": _real(r, s)},
    ),
    Case("Uniform", "", lambda r, s: {"low": _real(r, s), "high": 2.5 + _positive(r, s)}),
    Case("VonMises", "", lambda r, s: {"loc": _real(r, s), "concentration": _positive(r, s)}),
    Case("Weibull", "", lambda r, s: {"scale": _positive(r, s), "concentration": _positive(r, s)}),
    Case(
        "Wishart",
        "covariance_matrix",
        _matrix("covariance_matrix", df=lambda r, s: _positive(r, s, 3, 7)),
    ),
    Case("Wishart", "scale_tril", _matrix("scale_tril", df=lambda r, s: _positive(r, s, 3, 7))),
]


def labels() -> list[str]:
    """Test ids."""
    return [f"{c.name}-{c.label}" if c.label else c.name for c in CASES]


def tensors(values: dict[str, Any], tensor: Callable[[Any], Any]) -> dict[str, Any]:
    """The parameters, with arrays as tensors."""
    return {
        k: tensor(v) if isinstance(v, np.ndarray | np.floating) else v for k, v in values.items()
    }
