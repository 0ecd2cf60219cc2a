"""What must be refused, what expands, and what subclasses of users get."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import pytest

import argand as ag
from argand import distributions as dist


def test_parameters_are_checked() -> None:
    with pytest.raises(ValueError, match=r"Expected parameter scale .* GreaterThan") as caught:
        dist.Normal(ag.zeros(2), ag.tensor([1.0, -1.0]))
    assert "invalid values" in str(caught.value)
    dist.Normal(ag.zeros(2), ag.tensor([1.0, -1.0]), validate_args=False)
    for make in (
        lambda: dist.Bernoulli(1.5),
        lambda: dist.Categorical(ag.tensor([-1.0, 2.0])),
        lambda: dist.Geometric(ag.tensor(0.0)),
        lambda: dist.ContinuousBernoulli(ag.tensor(1.5)),
        lambda: dist.Uniform(1.0, 0.0),
        lambda: dist.MultivariateNormal(ag.zeros(2), -ag.eye(2)),
        lambda: dist.Wishart(1.0, ag.eye(3)),
        lambda: dist.LKJCholesky(1),
        lambda: dist.Bernoulli(),
        lambda: dist.Bernoulli(0.5, 0.5),
        lambda: dist.Categorical(ag.tensor(0.5)),
        lambda: dist.Dirichlet(ag.tensor(0.5)),
        lambda: dist.MultivariateNormal(ag.zeros(2)),
        lambda: dist.MultivariateNormal(ag.tensor(0.0), ag.eye(2)),
        lambda: dist.MultivariateNormal(ag.zeros(2), ag.ones(2)),
        lambda: dist.Independent(dist.Normal(0.0, 1.0), 1),
        lambda: dist.TransformedDistribution(dist.Normal(0.0, 1.0), [1]),
        lambda: dist.TransformedDistribution(dist.Normal(0.0, 1.0), dist.StickBreakingTransform()),
        lambda: dist.MixtureSameFamily(dist.Normal(0.0, 1.0), dist.Normal(0.0, 1.0)),
        lambda: dist.Normal("0", 1.0),
    ):
        with pytest.raises(ValueError):
            make()
    with pytest.raises(NotImplementedError):
        dist.Multinomial(ag.tensor([1, 2]), ag.ones(2))


def test_values_are_checked() -> None:
    d = dist.Normal(ag.zeros(3), 1.0)
    with pytest.raises(ValueError, match="must be a Tensor"):
        d.log_prob(0.5)
    with pytest.raises(ValueError, match="not broadcastable"):
        d.log_prob(ag.zeros(2))
    with pytest.raises(ValueError, match="within the support"):
        d.log_prob(ag.tensor([ag.nan, 0.0, 0.0]))
    with pytest.raises(ValueError, match="right-most size"):
        dist.Dirichlet(ag.ones(3)).log_prob(ag.ones(2))
    with pytest.raises(ValueError, match="within the support"):
        dist.Gamma(1.0, 1.0).log_prob(ag.tensor(-1.0))
    with pytest.raises(NotImplementedError, match="Categorical does not implement rsample"):
        dist.Categorical(ag.ones(2)).rsample()
    with pytest.raises(NotImplementedError, match="Gamma does not implement icdf"):
        dist.Gamma(1.0, 1.0).icdf(ag.tensor(0.5))
    with pytest.raises(NotImplementedError):
        dist.Binomial(ag.tensor([1.0, 2.0]), ag.tensor(0.5)).entropy()


def test_default_of_validation() -> None:
    assert dist.Distribution._validate_args
    try:
        dist.Distribution.set_default_validate_args(False)
        dist.Normal(0.0, -1.0)
    finally:
        dist.Distribution.set_default_validate_args(True)
    with pytest.raises(ValueError, match="expected a bool"):
        dist.Distribution.set_default_validate_args(3)  # type: ignore[arg-type]


def test_subclasses_of_users() -> None:
    class Shifted(dist.Normal):
        """A family with a constructor of its own."""

        def __init__(self, by: Any) -> None:
            super().__init__(by + 1.0, 1.0)

    with pytest.raises(NotImplementedError, match="must define expand"):
        Shifted(ag.zeros(2)).expand((3, 2))

    class Plain(dist.Normal):
        """One without."""

    assert type(Plain(0.0, 1.0).expand((2,))) is Plain

    class Own(dist.Distribution):
        """A family from nothing."""

        arg_constraints: ClassVar[Any] = {}

        def log_prob(self, value: Any) -> Any:
            self._validate_sample(value)
            return value * 0

    with pytest.warns(UserWarning, match="does not define `support`"):
        Own().log_prob(ag.zeros(2))
    with pytest.raises(NotImplementedError, match="does not implement expand"):
        Own().expand((2,))

    class Nothing(dist.Distribution):
        """One that states nothing."""

    with pytest.warns(UserWarning, match="does not define `arg_constraints`"):
        Nothing()
    with pytest.warns(FutureWarning):
        assert dist.Normal(0.0, 1.0).sample_n(3).shape == (3,)


def test_lazy_parameters_are_kept_and_recorded() -> None:
    logits = ag.tensor([0.0, 1.0], requires_grad=True)
    d = dist.Bernoulli(logits=logits)
    with ag.no_grad():
        first = d.probs
    assert d.probs is first and first.requires_grad
    assert "probs" in vars(d)
    wide = d.expand((3, 2))
    assert wide.probs.shape == (3, 2) and wide.logits.shape == (3, 2)


def test_results_have_no_surprises() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for d in (dist.Normal(0, 1), dist.Gamma(1, 1), dist.Exponential(2), dist.Uniform(0, 1)):
            assert d.sample().dtype is ag.float32 and d.batch_shape == ()
    d64 = dist.Normal(ag.zeros(2, dtype=ag.float64), 1)
    assert d64.scale.dtype is ag.float64 and d64.rsample().dtype is ag.float64
    mixture = dist.MixtureSameFamily(
        dist.Categorical(ag.ones(2)), dist.Independent(dist.Normal(ag.zeros(2, 3), 1.0), 1)
    )
    assert mixture.event_shape == (3,) and mixture.sample((5,)).shape == (5, 3)
    assert mixture.expand((4,)).sample((5,)).shape == (5, 4, 3)
    flow = dist.TransformedDistribution(
        dist.Normal(ag.zeros(2, 3), 1.0), [dist.StickBreakingTransform()]
    )
    assert (flow.batch_shape, flow.event_shape) == ((2,), (4,))
    assert flow.expand((5, 2)).sample((7,)).shape == (7, 5, 2, 4)
    assert flow.log_prob(flow.sample()).shape == (2,)
