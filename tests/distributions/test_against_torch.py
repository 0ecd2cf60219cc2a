"""Every family against PyTorch's, where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from comparison import close, compare
from family_cases import CASES, Case, labels, tensors

import argand as ag
from argand import distributions as dist

torch: Any = pytest.importorskip("torch", reason="PyTorch isn't installed beside the project")


@pytest.mark.parametrize("case", CASES, ids=labels())
def test_families(case: Case) -> None:
    assert compare(torch, case, ("float64", "float32")) == []


BATCHES = {}
for _case in CASES:
    BATCHES.setdefault(_case.name, _case)


def _both(name: str, seed: int) -> tuple[Any, Any]:
    values = BATCHES[name].draw(np.random.default_rng(seed), (3,))
    ours = BATCHES[name].make(dist, tensors(values, lambda v: ag.tensor(v, dtype=ag.float64)))
    theirs = BATCHES[name].make(
        torch.distributions, tensors(values, lambda v: torch.tensor(v, dtype=torch.float64))
    )
    return ours, theirs


PAIRS = sorted(
    (p.__name__, q.__name__)
    for p, q in torch.distributions.kl._KL_REGISTRY
    if p.__name__ in BATCHES
    and q.__name__ in BATCHES
    # the cases of these have vectors of other sizes
    and {p.__name__, q.__name__} != {"MultivariateNormal", "LowRankMultivariateNormal"}
    # and those of other transforms no divergence
    and p.__name__ != "TransformedDistribution"
)


def test_all_pairs_are_registered() -> None:
    ours = {(p.__name__, q.__name__) for p, q in dist.kl._RULES}
    theirs = {(p.__name__, q.__name__) for p, q in torch.distributions.kl._KL_REGISTRY}
    assert theirs - ours == set()


@pytest.mark.parametrize(("p", "q"), PAIRS)
def test_divergences(p: str, q: str) -> None:
    (one, theirs), (other, their_other) = _both(p, 1), _both(q, 2)
    found = dist.kl_divergence(one, other)
    expected = torch.distributions.kl_divergence(theirs, their_other)
    assert close(found.numpy(), expected.numpy(), 1e-8) == ""


def test_names() -> None:
    assert [n for n in torch.distributions.__all__ if n not in dist.__all__] == []
    theirs = torch.distributions.constraints.__all__
    assert [n for n in theirs if n not in dist.constraints.__all__] == []


@pytest.mark.parametrize(
    ("name", "arguments", "shape"),
    [
        ("ExpTransform", (), (3,)),
        ("PowerTransform", (2.0,), (3,)),
        ("SigmoidTransform", (), (3,)),
        ("SoftplusTransform", (), (3,)),
        ("TanhTransform", (), (3,)),
        ("AffineTransform", (1.0, -2.0), (3,)),
        ("SoftmaxTransform", (), (2, 3)),
        ("StickBreakingTransform", (), (2, 3)),
        ("CorrCholeskyTransform", (), (2, 6)),
        ("LowerCholeskyTransform", (), (2, 3, 3)),
        ("PositiveDefiniteTransform", (), (2, 3, 3)),
        ("ReshapeTransform", ((3, 3), (9,)), (2, 3, 3)),
    ],
)
def test_transforms(name: str, arguments: Any, shape: Any) -> None:
    x = np.random.default_rng(0).uniform(0.1, 2, shape)
    if name == "PowerTransform":
        arguments = (torch.tensor(2.0, dtype=torch.float64),)
        ours = dist.PowerTransform(ag.tensor(2.0, dtype=ag.float64))
    else:
        ours = getattr(dist, name)(*arguments)
    theirs = getattr(torch.distributions, name)(*arguments)
    a, b = ag.from_numpy(x), torch.from_numpy(x)
    assert close(ours(a).numpy(), theirs(b).numpy(), 1e-12) == ""
    assert close(ours.inv(ours(a)).numpy(), theirs.inv(theirs(b)).numpy(), 1e-9) == ""
    assert repr(ours) == repr(theirs) and repr(ours.inv) == repr(theirs.inv)
    assert ours.bijective == theirs.bijective
    if theirs.bijective:
        found, expected = (t.log_abs_det_jacobian(v, t(v)) for t, v in ((ours, a), (theirs, b)))
        assert close(found.numpy(), expected.numpy(), 1e-9) == ""
