"""Divergences of two distributions of one family."""

from __future__ import annotations

import math
from typing import Any

from argand.base.errors import ArgumentError
from argand.distributions.bernoulli import Bernoulli
from argand.distributions.beta import Beta
from argand.distributions.binomial import Binomial
from argand.distributions.categorical import Categorical
from argand.distributions.cauchy import Cauchy
from argand.distributions.continuous_bernoulli import ContinuousBernoulli
from argand.distributions.dirichlet import Dirichlet
from argand.distributions.exp_family import ExponentialFamily
from argand.distributions.exponential import Exponential
from argand.distributions.gamma import Gamma
from argand.distributions.geometric import Geometric
from argand.distributions.gumbel import Gumbel
from argand.distributions.half_normal import HalfNormal
from argand.distributions.independent import Independent
from argand.distributions.kl import kl_divergence, register_kl
from argand.distributions.laplace import Laplace
from argand.distributions.lowrank_multivariate_normal import LowRankMultivariateNormal
from argand.distributions.multivariate_normal import (
    MultivariateNormal,
    log_diagonal,
    mahalanobis,
)
from argand.distributions.normal import Normal
from argand.distributions.one_hot_categorical import OneHotCategorical
from argand.distributions.pareto import Pareto
from argand.distributions.poisson import Poisson
from argand.distributions.transformed_distribution import TransformedDistribution
from argand.distributions.uniform import Uniform
from argand.distributions.utils import all_true, euler_constant, softplus, sum_rightmost
from argand.ir.op import ops
from argand.tensor.autograd import grad


def _weighted(weight: Any, impossible: Any, logarithm: Any) -> Any:
    """weight times logarithm: 0 for a weight of 0, infinite for what q makes impossible."""
    some = ops.where(impossible, math.inf, weight * logarithm)
    return ops.where(weight == 0, 0.0, some)


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Any, q: Any) -> Any:
    yes = softplus(-q.logits) - softplus(-p.logits)
    no = softplus(q.logits) - softplus(p.logits)
    return _weighted(p.probs, q.probs == 0, yes) + _weighted(1 - p.probs, q.probs == 1, no)


@register_kl(Beta, Beta)
def _beta(p: Any, q: Any) -> Any:
    return _dirichlet(p._dirichlet, q._dirichlet)


@register_kl(Binomial, Binomial)
def _binomial(p: Any, q: Any) -> Any:
    if not all_true(p.total_count >= q.total_count):
        raise NotImplementedError("the divergence from a Binomial of a larger total_count")
    found = p.total_count * _bernoulli(p, q)
    return ops.where(p.total_count > q.total_count, math.inf, found)


@register_kl(Categorical, Categorical)
def _categorical(p: Any, q: Any) -> Any:
    return _weighted(p.probs, q.probs == 0, p.logits - q.logits).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot_categorical(p: Any, q: Any) -> Any:
    return _categorical(p._categorical, q._categorical)


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _continuous_bernoulli(p: Any, q: Any) -> Any:
    own = p._cont_bern_log_norm() + (-p.probs).log1p()
    other = q._cont_bern_log_norm() + (-q.probs).log1p()
    return p.mean * (p.logits - q.logits) + own - other


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Any, q: Any) -> Any:
    a, b = p.concentration, q.concentration
    totals = a.sum(-1).lgamma() - b.sum(-1).lgamma()
    slope = a.digamma() - a.sum(-1).digamma().unsqueeze(-1)
    return totals - (a.lgamma() - b.lgamma()).sum(-1) + ((a - b) * slope).sum(-1)


@register_kl(Exponential, Exponential)
def _exponential(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    return ratio - ratio.log() - 1


@register_kl(ExponentialFamily, ExponentialFamily)
def _exponential_family(p: Any, q: Any) -> Any:
    """The Bregman divergence of the log normaliser."""
    if type(p) is not type(q):
        raise NotImplementedError("the divergence of one exponential family from another")
    own = [x.detach().requires_grad_() for x in p._natural_params]
    normalizer = p._log_normalizer(*own)
    slopes = grad(normalizer.sum(), own, create_graph=True)
    result = q._log_normalizer(*q._natural_params) - normalizer
    for mine, other, slope in zip(own, q._natural_params, slopes, strict=True):
        term = (other - mine) * slope
        result = result - sum_rightmost(term, term.ndim - normalizer.ndim)
    return result


@register_kl(Gamma, Gamma)
def _gamma(p: Any, q: Any) -> Any:
    a, b = p.concentration, q.concentration
    return (
        b * (p.rate / q.rate).log()
        + b.lgamma()
        - a.lgamma()
        + (a - b) * a.digamma()
        + (q.rate - p.rate) * (a / p.rate)
    )


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Any, q: Any) -> Any:
    ratio = p.scale / q.scale
    apart = (q.loc - p.loc) / q.scale
    tail = (apart + (1 + ratio).lgamma()).exp()
    return ratio * euler_constant - ratio.log() - apart + tail - (1 + euler_constant)


@register_kl(Geometric, Geometric)
def _geometric(p: Any, q: Any) -> Any:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: Any, q: Any) -> Any:
    return _normal(p.base_dist, q.base_dist)


@register_kl(Laplace, Laplace)
def _laplace(p: Any, q: Any) -> Any:
    ratio = p.scale / q.scale
    apart = (p.loc - q.loc).abs()
    return apart / q.scale + ratio * (-apart / p.scale).exp() - ratio.log() - 1


@register_kl(Normal, Normal)
def _normal(p: Any, q: Any) -> Any:
    ratio = (p.scale / q.scale).pow(2)
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).pow(2) - 1 - ratio.log())


@register_kl(Pareto, Pareto)
def _pareto(p: Any, q: Any) -> Any:
    ratio = q.alpha / p.alpha
    found = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return ops.where(p.scale < q.scale, math.inf, found)


@register_kl(Poisson, Poisson)
def _poisson(p: Any, q: Any) -> Any:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: Any, q: Any) -> Any:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError("the divergence of values that are transformed otherwise")
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Uniform, Uniform)
def _uniform(p: Any, q: Any) -> Any:
    found = ((q.high - q.low) / (p.high - p.low)).log()
    return ops.where((q.low > p.low) | (q.high < p.high), math.inf, found)


@register_kl(Independent, Independent)
def _independent(p: Any, q: Any) -> Any:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("the divergence of values of other dimensions")
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Any, q: Any) -> Any:
    squares = (p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)
    return squares.log() - (4 * p.scale * q.scale).log()


# -- multivariate normal distributions -------------------------------------------------------------


def _expect_same_event(p: Any, q: Any) -> None:
    if p.event_shape != q.event_shape:
        raise ArgumentError(
            f"vectors of different sizes have no divergence: {p.event_shape[0]} and "
            f"{q.event_shape[0]}"
        )


def _squares(matrix: Any) -> Any:
    """The trace of X X^T."""
    return matrix.pow(2).sum((-2, -1))


def _solved(factor: Any, matrix: Any) -> Any:
    return ops.linalg_solve_triangular(factor, matrix, upper=False)


@register_kl(MultivariateNormal, MultivariateNormal)
def _multivariate_normal(p: Any, q: Any) -> Any:
    _expect_same_event(p, q)
    own, other = p._unbroadcasted_scale_tril, q._unbroadcasted_scale_tril
    trace = _squares(_solved(other, own))
    distance = mahalanobis(other, q.loc - p.loc)
    logs = log_diagonal(other) - log_diagonal(own)
    return logs + 0.5 * (trace + distance - p.event_shape[0])


def _trace_of_low_rank(q: Any, root: Any) -> Any:
    """The trace of q's inverse covariance times R R^T."""
    diagonal = q._unbroadcasted_cov_diag.rsqrt().unsqueeze(-1)
    return _squares(root * diagonal) - _squares(q._half_inverse() @ root)


@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _low_rank(p: Any, q: Any) -> Any:
    _expect_same_event(p, q)
    logs = q._log_determinant() - p._log_determinant()
    distance = q._mahalanobis(q.loc - p.loc)
    own = p._unbroadcasted_cov_diag
    # without the diagonal matrix of p
    half = q._half_inverse() * own.sqrt().unsqueeze(-2)
    trace = (own / q._unbroadcasted_cov_diag).sum(-1) - _squares(half)
    trace = trace + _trace_of_low_rank(q, p._unbroadcasted_cov_factor)
    return 0.5 * (logs + trace + distance - p.event_shape[0])


@register_kl(MultivariateNormal, LowRankMultivariateNormal)
def _normal_of_low_rank(p: Any, q: Any) -> Any:
    _expect_same_event(p, q)
    own = p._unbroadcasted_scale_tril
    logs = q._log_determinant() - 2 * log_diagonal(own)
    distance = q._mahalanobis(q.loc - p.loc)
    return 0.5 * (logs + _trace_of_low_rank(q, own) + distance - p.event_shape[0])


@register_kl(LowRankMultivariateNormal, MultivariateNormal)
def _low_rank_of_normal(p: Any, q: Any) -> Any:
    _expect_same_event(p, q)
    other = q._unbroadcasted_scale_tril
    logs = 2 * log_diagonal(other) - p._log_determinant()
    distance = mahalanobis(other, q.loc - p.loc)
    diagonal = p._unbroadcasted_cov_diag.sqrt().diag_embed()
    trace = _squares(_solved(other, p._unbroadcasted_cov_factor))
    trace = trace + _squares(_solved(other, diagonal))
    return 0.5 * (logs + trace + distance - p.event_shape[0])
