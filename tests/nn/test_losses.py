"""Losses against their definitions in float64 NumPy."""

import numpy as np
import pytest
from scipy import special

import argand as ag
from argand import nn
from argand.nn import functional as F

rng = np.random.default_rng(11)
X, Y = rng.standard_normal((6, 4)), rng.standard_normal((6, 4))
P, Q = special.expit(X), special.expit(Y)
CLASSES = np.array([0, 3, 1, 1, 2, 0])
WEIGHT = np.array([0.5, 1.0, 2.0, 0.25])
LOGP = special.log_softmax(X, 1)


def t(a):
    return ag.tensor(a)


def reduced(losses, reduction):
    return {"none": losses, "mean": losses.mean(), "sum": losses.sum()}[reduction]


def huber(d, delta):
    d = abs(d)
    return np.where(d < delta, 0.5 * d**2, delta * (d - 0.5 * delta))


def bce(p, q):
    return -(q * np.log(p) + (1 - q) * np.log(1 - p))


ELEMENTWISE = [
    (F.mse_loss, nn.MSELoss, {}, (X, Y), (X - Y) ** 2),
    (F.l1_loss, nn.L1Loss, {}, (X, Y), abs(X - Y)),
    (F.smooth_l1_loss, nn.SmoothL1Loss, {"beta": 0.5}, (X, Y), huber(X - Y, 0.5) / 0.5),
    (F.smooth_l1_loss, nn.SmoothL1Loss, {"beta": 0.0}, (X, Y), abs(X - Y)),
    (F.huber_loss, nn.HuberLoss, {"delta": 0.7}, (X, Y), huber(X - Y, 0.7)),
    (F.binary_cross_entropy, nn.BCELoss, {}, (P, Q), bce(P, Q)),
    (F.binary_cross_entropy_with_logits, nn.BCEWithLogitsLoss, {}, (X, Q), bce(P, Q)),
    (F.kl_div, nn.KLDivLoss, {}, (LOGP, Q), Q * (np.log(Q) - LOGP)),
    (F.kl_div, nn.KLDivLoss, {"log_target": True}, (LOGP, Y), np.exp(Y) * (Y - LOGP)),
    (F.cross_entropy, nn.CrossEntropyLoss, {}, (X, CLASSES), -LOGP[range(6), CLASSES]),
    (F.cross_entropy, nn.CrossEntropyLoss, {}, (X, Q), -(LOGP * Q).sum(1)),
    (F.nll_loss, nn.NLLLoss, {}, (LOGP, CLASSES), -LOGP[range(6), CLASSES]),
]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    ("function", "layer", "options", "data", "losses"),
    ELEMENTWISE,
    ids=lambda v: getattr(v, "__name__", None),
)
def test_losses(function, layer, options, data, losses, reduction):
    expected = reduced(losses, reduction)
    tensors = [t(d) for d in data]
    got = function(*tensors, reduction=reduction, **options)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-9)
    again = layer(reduction=reduction, **options)(*tensors)
    np.testing.assert_allclose(again.numpy(), expected, rtol=1e-9)


def test_class_weights_divide_the_mean():
    w = WEIGHT[CLASSES]
    expected = -(LOGP[range(6), CLASSES] * w).sum() / w.sum()
    loss = nn.CrossEntropyLoss(weight=t(WEIGHT))
    assert loss(t(X), t(CLASSES)).item() == pytest.approx(expected)
    assert F.nll_loss(t(LOGP), t(CLASSES), t(WEIGHT)).item() == pytest.approx(expected)
    assert list(loss.state_dict()) == ["weight"]
    assert list(nn.CrossEntropyLoss().state_dict()) == []


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_label_smoothing_and_ignored_targets(weight, reduction):
    classes = CLASSES.copy()
    classes[2] = -100
    kept = classes != -100
    w = np.ones(4) if weight is None else weight
    smooth = 0.3
    target = np.eye(4)[np.where(kept, classes, 0)] * (1 - smooth) + smooth / 4
    losses = np.where(kept, -(LOGP * target * w).sum(1), 0.0)
    shares = np.where(kept, w[np.where(kept, classes, 0)], 0.0)
    expected = losses.sum() / shares.sum() if reduction == "mean" else reduced(losses, reduction)
    got = F.cross_entropy(
        t(X),
        t(classes),
        None if weight is None else t(weight),
        reduction=reduction,
        label_smoothing=smooth,
    )
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-9)


def test_cross_entropy_of_images_and_of_one_sample():
    x, classes = rng.standard_normal((2, 3, 4, 5)), rng.integers(0, 3, (2, 4, 5))
    logp = special.log_softmax(x, 1)
    picked = np.take_along_axis(logp, classes[:, None], 1)
    assert F.cross_entropy(t(x), t(classes)).item() == pytest.approx(-picked.mean())
    assert F.cross_entropy(t(X[0]), t(CLASSES[0])).item() == pytest.approx(-LOGP[0, 0])


def test_binary_losses_with_weights():
    weight, positive = rng.random((6, 4)), np.array([1.0, 2.0, 3.0, 0.5])
    losses = bce(P, Q) * weight
    assert F.binary_cross_entropy(t(P), t(Q), t(weight)).item() == pytest.approx(losses.mean())
    expected = -(positive * Q * np.log(P) + (1 - Q) * np.log(1 - P))
    loss = nn.BCEWithLogitsLoss(pos_weight=t(positive))
    assert loss(t(X), t(Q)).item() == pytest.approx(expected.mean())
    assert F.binary_cross_entropy(t([0.0]), t([1.0])).item() == 100.0


def test_batchmean_is_the_divergence():
    expected = (Q * (np.log(Q) - LOGP)).sum() / 6
    assert nn.KLDivLoss(reduction="batchmean")(t(LOGP), t(Q)).item() == pytest.approx(expected)


def test_cosine_similarity():
    expected = (X * Y).sum(1) / np.linalg.norm(X, axis=1) / np.linalg.norm(Y, axis=1)
    np.testing.assert_allclose(nn.CosineSimilarity()(t(X), t(Y)).numpy(), expected, rtol=1e-9)


def test_unknown_reduction():
    with pytest.raises(ValueError, match="did you mean mean"):
        nn.MSELoss(reduction="maen")
    with pytest.raises(ValueError, match="must be one of"):
        F.mse_loss(t(X), t(Y), reduction="average")


def test_target_out_of_range():
    with pytest.raises(IndexError, match="target 4 is out of range for 4 classes"):
        F.cross_entropy(t(X), t(CLASSES + 1))


def test_gradient_of_cross_entropy_is_softmax_minus_one_hot():
    x = t(X).requires_grad_()
    F.cross_entropy(x, t(CLASSES)).backward()
    expected = (special.softmax(X, 1) - np.eye(4)[CLASSES]) / 6
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(
    ("size_average", "reduce", "meant"),
    [(True, None, "mean"), (False, None, "sum"), (None, False, "none"), (False, True, "sum")],
)
def test_the_older_form_of_a_reduction(size_average, reduce, meant):
    x, y = ag.tensor([1.0, 2.0]), ag.tensor([3.0, 7.0])
    expected = F.mse_loss(x, y, reduction=meant)
    with pytest.warns(UserWarning, match=f"write reduction='{meant}'"):
        found = F.mse_loss(x, y, size_average, reduce)
    with pytest.warns(UserWarning, match="older form"):
        layer = nn.MSELoss(size_average, reduce)
    assert found.tolist() == layer(x, y).tolist() == expected.tolist()
    assert layer.reduction == meant


def test_a_reduction_is_no_size_average():
    with pytest.raises(TypeError, match="write reduction='sum'"):
        F.mse_loss(t(X), t(Y), "sum")
