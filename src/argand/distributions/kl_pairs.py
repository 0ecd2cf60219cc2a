"""Divergences of a distribution of one family from one of another."""

from __future__ import annotations

import math
from typing import Any

from argand.distributions.bernoulli import Bernoulli
from argand.distributions.beta import Beta
from argand.distributions.binomial import Binomial
from argand.distributions.continuous_bernoulli import ContinuousBernoulli
from argand.distributions.exponential import Exponential
from argand.distributions.gamma import Gamma
from argand.distributions.gumbel import Gumbel
from argand.distributions.kl import Rule, register_kl
from argand.distributions.laplace import Laplace
from argand.distributions.normal import Normal
from argand.distributions.pareto import Pareto
from argand.distributions.poisson import Poisson
from argand.distributions.uniform import Uniform
from argand.distributions.utils import LOG_2PI, euler_constant
from argand.ir.op import ops

# Values of the first family that are outside the support of the second have some probability.
_UNBOUNDED: dict[Any, tuple[str, tuple[Any, ...]]] = {
    Beta: ("concentration1", (Pareto,)),
    ContinuousBernoulli: ("probs", (Pareto,)),
    Exponential: ("rate", (Beta, ContinuousBernoulli, Pareto, Uniform)),
    Gamma: ("concentration", (Beta, ContinuousBernoulli, Pareto, Uniform)),
    Gumbel: ("loc", (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform)),
    Laplace: ("loc", (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform)),
    Normal: ("loc", (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform)),
    Pareto: ("scale", (Beta, ContinuousBernoulli, Uniform)),
    Poisson: ("rate", (Bernoulli, Binomial)),
}


def _infinite(name: str) -> Rule:
    def rule(p: Any, q: Any) -> Any:
        like = getattr(p, name)
        return ops.full(tuple(like.shape), math.inf, like.dtype)

    return rule


for _family, (_name, _others) in _UNBOUNDED.items():
    for _other in _others:
        register_kl(_family, _other)(_infinite(_name))


def _x_log_x(x: Any) -> Any:
    return ops.xlogy(x, x)


def _gamma_normalizer(q: Any) -> Any:
    return q.concentration.lgamma() - q.concentration * q.rate.log()


def _from_normal(p: Any, q: Any, entropy: Any) -> Any:
    """The mean of -ln q, by p's mean and variance, minus the entropy."""
    apart = (p.variance + (p.mean - q.loc).pow(2)) / (2 * q.scale.pow(2))
    return 0.5 * LOG_2PI + q.scale.log() + apart - entropy


def _from_exponential(p: Any, q: Any, entropy: Any) -> Any:
    return q.rate * p.mean - q.rate.log() - entropy


def _from_continuous_bernoulli(p: Any, q: Any) -> Any:
    return -p.entropy() - p.mean * q.logits - (-q.probs).log1p() - q._cont_bern_log_norm()


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p: Any, q: Any) -> Any:
    return q.rate - p.entropy() - p.probs * q.rate.log()


@register_kl(Beta, ContinuousBernoulli)
def _beta_continuous_bernoulli(p: Any, q: Any) -> Any:
    return _from_continuous_bernoulli(p, q)


@register_kl(Beta, Exponential)
@register_kl(ContinuousBernoulli, Exponential)
@register_kl(Gamma, Exponential)
def _exponential_of_entropy(p: Any, q: Any) -> Any:
    return _from_exponential(p, q, p.entropy())


@register_kl(Beta, Normal)
@register_kl(ContinuousBernoulli, Normal)
@register_kl(Exponential, Normal)
@register_kl(Gamma, Normal)
@register_kl(Gumbel, Normal)
@register_kl(Laplace, Normal)
@register_kl(Uniform, Normal)
def _normal_of_entropy(p: Any, q: Any) -> Any:
    return _from_normal(p, q, p.entropy())


@register_kl(Beta, Gamma)
def _beta_gamma(p: Any, q: Any) -> Any:
    total = p.concentration1 + p.concentration0
    log_mean = p.concentration1.digamma() - total.digamma()
    return (
        _gamma_normalizer(q)
        - p.entropy()
        - (q.concentration - 1) * log_mean
        + q.rate * p.concentration1 / total
    )


@register_kl(Beta, Uniform)
@register_kl(ContinuousBernoulli, Uniform)
def _unit_interval_uniform(p: Any, q: Any) -> Any:
    found = (q.high - q.low).log() - p.entropy()
    return ops.where((q.low > 0) | (q.high < 1), math.inf, found)


@register_kl(Exponential, Gamma)
def _exponential_gamma(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    a = q.concentration
    return ratio - a * ratio.log() + a.lgamma() + a * euler_constant - (1 + euler_constant)


@register_kl(Exponential, Gumbel)
def _exponential_gumbel(p: Any, q: Any) -> Any:
    product = p.rate * q.scale
    apart = q.loc / q.scale
    tail = apart.exp() * product / (product + 1)
    return product.log() - 1 - apart + tail + product.reciprocal()


@register_kl(Gamma, Gumbel)
def _gamma_gumbel(p: Any, q: Any) -> Any:
    product = p.rate * q.scale
    apart = q.loc / q.scale
    tail = apart.exp() * (1 + product.reciprocal()).pow(-p.concentration)
    return q.scale.log() - p.entropy() + p.concentration / product - apart + tail


@register_kl(Normal, Gumbel)
def _normal_gumbel(p: Any, q: Any) -> Any:
    ratio = (p.scale / q.scale).pow(2)
    apart = (p.loc - q.loc) / q.scale
    tail = (0.5 * ratio - apart).exp()
    return apart + tail - 0.5 * ratio.log() - 0.5 * (1 + LOG_2PI)


@register_kl(Normal, Laplace)
def _normal_laplace(p: Any, q: Any) -> Any:
    apart = p.loc - q.loc
    relative = apart / p.scale
    near = math.sqrt(2 / math.pi) * p.scale * (-0.5 * relative.pow(2)).exp()
    far = apart * (math.sqrt(0.5) * relative).erf()
    logs = (p.scale / q.scale).log() + 0.5 * (1 + math.log(0.5 * math.pi))
    return (near + far) / q.scale - logs


@register_kl(Pareto, Exponential)
def _pareto_exponential(p: Any, q: Any) -> Any:
    return _from_exponential(p, q, p.entropy())


@register_kl(Pareto, Gamma)
def _pareto_gamma(p: Any, q: Any) -> Any:
    log_mean = p.scale.log() + p.alpha.reciprocal()
    return _gamma_normalizer(q) - p.entropy() + (1 - q.concentration) * log_mean + q.rate * p.mean


@register_kl(Pareto, Normal)
def _pareto_normal(p: Any, q: Any) -> Any:
    return ops.where(p.alpha <= 2, math.inf, _from_normal(p, q, p.entropy()))


@register_kl(Uniform, Beta)
def _uniform_beta(p: Any, q: Any) -> Any:
    width = p.high - p.low
    log_mean = (_x_log_x(p.high) - _x_log_x(p.low) - width) / width
    log_rest = (_x_log_x(1 - p.low) - _x_log_x(1 - p.high) - width) / width
    a, b = q.concentration1, q.concentration0
    normalizer = a.lgamma() + b.lgamma() - (a + b).lgamma()
    found = normalizer - (a - 1) * log_mean - (b - 1) * log_rest - width.log()
    return ops.where((p.high > 1) | (p.low < 0), math.inf, found)


@register_kl(Uniform, ContinuousBernoulli)
def _uniform_continuous_bernoulli(p: Any, q: Any) -> Any:
    found = _from_continuous_bernoulli(p, q)
    return ops.where((p.high > 1) | (p.low < 0), math.inf, found)


@register_kl(Uniform, Exponential)
def _uniform_exponential(p: Any, q: Any) -> Any:
    return ops.where(p.low < 0, math.inf, _from_exponential(p, q, p.entropy()))


@register_kl(Uniform, Gamma)
def _uniform_gamma(p: Any, q: Any) -> Any:
    width = p.high - p.low
    log_mean = (_x_log_x(p.high) - _x_log_x(p.low) - width) / width
    found = _gamma_normalizer(q) + (1 - q.concentration) * log_mean + q.rate * p.mean
    return ops.where(p.low < 0, math.inf, found - width.log())


@register_kl(Uniform, Gumbel)
def _uniform_gumbel(p: Any, q: Any) -> Any:
    share = q.scale / (p.high - p.low)
    high, low = (p.high - q.loc) / q.scale, (p.low - q.loc) / q.scale
    return share.log() + 0.5 * (high + low) - share * ((-high).exp() - (-low).exp())


@register_kl(Uniform, Pareto)
def _uniform_pareto(p: Any, q: Any) -> Any:
    width = p.high - p.low
    log_mean = (_x_log_x(p.high) - _x_log_x(p.low) - width) / width
    found = (q.alpha + 1) * log_mean - q.alpha.log() - q.alpha * q.scale.log() - width.log()
    return ops.where(p.low < q.scale, math.inf, found)
