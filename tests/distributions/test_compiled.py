"""Densities, entropies and samples in compiled code: the numbers and gradients of eager code."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from family_cases import CASES, Case, labels, tensors

import argand as ag
from argand import distributions as dist

QUICK = {"Normal", "Categorical-logits", "Gamma"}


def _cases() -> list[Any]:
    return [
        pytest.param(c, marks=() if label in QUICK else pytest.mark.slow, id=label)
        for c, label in zip(CASES, labels(), strict=True)
    ]


@pytest.mark.parametrize("case", _cases())
def test_as_eager(case: Case) -> None:
    values = case.draw(np.random.default_rng(3), (2, 3))
    given = tensors(values, lambda v: ag.tensor(v, dtype=ag.float64))
    names = [k for k, v in given.items() if isinstance(v, ag.Tensor)]
    fixed = {k: v for k, v in given.items() if k not in names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = case.make(dist, given).sample((4,))

    def compute(value: Any, *parameters: Any) -> Any:
        d = case.make(dist, {**dict(zip(names, parameters, strict=True)), **fixed})
        found = [d.log_prob(value), d.rsample((2,)) if d.has_rsample else d.sample((2,))]
        return tuple(found)

    def entropy_too(value: Any, *parameters: Any) -> Any:
        d = case.make(dist, {**dict(zip(names, parameters, strict=True)), **fixed})
        return (*compute(value, *parameters), d.entropy())

    try:
        entropy_too(value, *[given[n] for n in names])
        function = entropy_too
    except NotImplementedError:
        function = compute
    parameters = [given[n].requires_grad_() for n in names]

    def run(function: Any) -> list[Any]:
        ag.manual_seed(5)
        found = function(value, *parameters)
        total = sum((x * 0.7).sum() for x in found if x.requires_grad)
        slopes = ag.autograd.grad(total, parameters, allow_unused=True, materialize_grads=True)
        return [*found, *slopes]

    for one, other in zip(run(function), run(ag.compile(function)), strict=True):
        np.testing.assert_allclose(
            other.detach().numpy(), one.detach().numpy(), rtol=1e-9, atol=1e-9
        )


def test_divergence_and_lazy_parameters() -> None:
    prior = dist.Bernoulli(logits=ag.tensor([0.3, -1.0]))

    @ag.compile
    def loss(logits: Any) -> Any:
        d = dist.Bernoulli(logits=logits)
        return dist.kl_divergence(d, prior).sum() + prior.probs.sum()

    logits = ag.tensor([0.5, 0.1], requires_grad=True)
    found = loss(logits)
    d = dist.Bernoulli(logits=logits)
    expected = dist.kl_divergence(d, dist.Bernoulli(logits=prior.logits)).sum()
    assert abs((found - expected - prior.logits.sigmoid().sum()).item()) < 1e-6
    (slope,) = ag.autograd.grad(loss(logits), logits)
    (wanted,) = ag.autograd.grad(expected, logits)
    np.testing.assert_allclose(slope.numpy(), wanted.numpy(), rtol=1e-5)


def test_a_step_with_samples_draws_new_ones_at_every_call() -> None:
    @ag.compile
    def draw(scale: Any) -> Any:
        return dist.Gamma(scale, 1.0).rsample((3,))

    ag.manual_seed(1)
    a, b = draw(ag.tensor(2.0)), draw(ag.tensor(2.0))
    assert not ag.equal(a, b)
    ag.manual_seed(1)
    assert ag.equal(a, dist.Gamma(ag.tensor(2.0), 1.0).rsample((3,)))


def test_a_trace_leaves_no_lazy_parameter_behind() -> None:
    prior = dist.Bernoulli(logits=ag.tensor([0.3, -1.0]))
    function = ag.compile(lambda x: prior.probs * x)
    assert ag.equal(function(ag.ones(2)), prior.logits.sigmoid())
    assert "probs" not in vars(prior)
