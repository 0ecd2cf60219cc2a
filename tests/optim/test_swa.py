"""Averaged models, and the schedule that goes with them, beside their formulas and PyTorch."""

import numpy as np
import pytest

import argand as ag
from argand import nn, optim
from argand.optim import swa_utils


def changing(layer, values):
    """Give a layer one weight after the other."""
    for value in values:
        with ag.no_grad():
            layer.weight.fill_(value)
        yield layer


def averages(**options):
    layer = nn.Linear(1, 1, bias=False)
    averaged = swa_utils.AveragedModel(layer, **options)
    seen = []
    for each in changing(layer, [2.0, 4.0, 9.0]):
        averaged.update_parameters(each)
        seen.append(averaged.module.weight.item())
    assert averaged.n_averaged.item() == 3
    assert set(averaged.state_dict()) == {"n_averaged", "module.weight"}
    return seen


def test_averages():
    assert averages() == pytest.approx([2, 3, 5])
    assert averages(multi_avg_fn=swa_utils.get_swa_multi_avg_fn()) == pytest.approx([2, 3, 5])
    assert averages(avg_fn=swa_utils.get_ema_avg_fn(0.9)) == pytest.approx([2, 2.2, 2.88])
    assert averages(multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.9)) == pytest.approx(
        [2, 2.2, 2.88]
    )
    assert averages(avg_fn=lambda old, new, count: new - old) == pytest.approx([2, 2, 7])
    with pytest.raises(ValueError, match="not both"):
        averages(avg_fn=max, multi_avg_fn=max)
    with pytest.raises(ValueError, match="decay"):
        swa_utils.get_ema_avg_fn(1.5)


def test_buffers_are_copied_or_averaged():
    for use_buffers, expected in ((False, 8.0), (True, 5.0)):
        model = nn.BatchNorm1d(1)
        averaged = swa_utils.AveragedModel(model, use_buffers=use_buffers)
        for value in (2.0, 8.0):
            model.running_mean.fill_(value)
            averaged.update_parameters(model)
        assert averaged.module.running_mean.item() == expected


def test_statistics_are_means_over_the_batches():
    model = nn.Sequential(nn.BatchNorm1d(2), nn.ReLU()).eval()
    rng = np.random.default_rng(0)
    batches = rng.standard_normal((5, 8, 2)).astype(np.float32)
    swa_utils.update_bn([(ag.tensor(b), 1) for b in batches], model)
    np.testing.assert_allclose(model[0].running_mean.numpy(), batches.mean((0, 1)), rtol=1e-5)
    expected = batches.var(1, ddof=1).mean(0)
    np.testing.assert_allclose(model[0].running_var.numpy(), expected, rtol=1e-5)
    assert model[0].momentum == 0.1 and not model.training


def build(library, parameter, **options):
    optimizer = library.SGD([parameter], lr=0.8, momentum=0.5)
    return optimizer, library.swa_utils.SWALR(optimizer, swa_lr=0.1, **options)


@pytest.mark.parametrize("strategy", ["cos", "linear"])
def test_rates(strategy):
    optimizer, schedule = build(
        optim, nn.Parameter(ag.ones(1)), anneal_epochs=4, anneal_strategy=strategy
    )
    for t in range(1, 7):
        schedule.step()
        part = min(t / 4, 1.0)
        share = part if strategy == "linear" else (1 - np.cos(np.pi * part)) / 2
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.8 + (0.1 - 0.8) * share)
    with pytest.raises(ValueError, match="anneal_strategy must be"):
        swa_utils.SWALR(optimizer, 0.1, anneal_strategy="steps")


@pytest.mark.filterwarnings("ignore")  # PyTorch warns about the order of steps
def test_rates_go_on_from_torchs_state():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.optim.swa_utils  # noqa: B018  # it is there
    optimizer, schedule = build(optim, nn.Parameter(ag.ones(1)))
    other, theirs = build(torch.optim, torch.nn.Parameter(torch.ones(1)))
    for _ in range(3):
        theirs.step()
    assert set(schedule.state_dict()) == set(theirs.state_dict())
    schedule.load_state_dict(theirs.state_dict())
    optimizer.param_groups[0]["lr"] = other.param_groups[0]["lr"]
    for _ in range(9):
        schedule.step()
        theirs.step()
        assert schedule.get_last_lr() == pytest.approx(theirs.get_last_lr(), rel=1e-12)
