"""Bags of embeddings, CTC and rarer losses, against loops and enumeration in float64."""

import itertools

import numpy as np
import pytest
from scipy.spatial.distance import pdist

import argand as ag
from argand.nn import functional as F

rng = np.random.default_rng(5)


def bags_by_loop(table, index, starts, mode, weights, padding):
    found = []
    for a, b in zip(starts, [*starts[1:], len(index)], strict=True):
        rows = [
            (table[i], 1.0 if weights is None else weights[j])
            for j, i in enumerate(index)
            if a <= j < b and i != padding
        ]
        if not rows:
            found.append(np.zeros(table.shape[1]))
        elif mode == "max":
            found.append(np.max([r for r, _ in rows], 0))
        else:
            total = sum(r * w for r, w in rows)
            found.append(total / len(rows) if mode == "mean" else total)
    return np.array(found)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("padding", [None, 2])
def test_bags(mode, padding):
    table, index, starts = rng.standard_normal((6, 4)), rng.integers(0, 6, 11), [0, 3, 3, 7, 10]
    weights = rng.standard_normal(11) if mode == "sum" else None
    w = ag.tensor(table, requires_grad=True)
    given = None if weights is None else ag.tensor(weights)

    def bags(w):
        return F.embedding_bag(
            ag.tensor(index),
            w,
            ag.tensor(starts),
            mode=mode,
            per_sample_weights=given,
            padding_idx=padding,
        )

    expected = bags_by_loop(table, index, starts, mode, weights, padding)
    np.testing.assert_allclose(bags(w).detach().numpy(), expected)
    if padding is None:
        assert ag.autograd.gradcheck(bags, (w,))
    with pytest.raises(ag.ArgandError, match="offsets"):
        F.embedding_bag(ag.tensor(index), w, ag.tensor([0, 12]), mode=mode)


def test_rows_that_are_named_are_shortened_in_place():
    table = rng.standard_normal((5, 3)) * 3
    w = ag.tensor(table.copy())
    F.embedding(ag.tensor([1, 3, 1]), w, max_norm=1.0)
    norms = np.linalg.norm(table, axis=1, keepdims=True)
    short = np.where(norms > 1, table / (norms + 1e-7), table)
    np.testing.assert_allclose(w.numpy()[[1, 3]], short[[1, 3]])
    np.testing.assert_array_equal(w.numpy()[[0, 2, 4]], table[[0, 2, 4]])


def test_gradients_by_frequency():
    w = ag.ones(4, 1, requires_grad=True)
    F.embedding(ag.tensor([0, 1, 1, 1]), w, scale_grad_by_freq=True).sum().backward()
    np.testing.assert_allclose(w.grad.numpy().ravel(), [1, 1, 0, 0])


def ctc_by_enumeration(log_probs, target, blank):
    """-log of the sum over all paths that collapse to the target."""
    total = 0.0
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        labels = [k for k, _ in itertools.groupby(path) if k != blank]
        if labels == list(target):
            total += np.exp(sum(log_probs[t, k] for t, k in enumerate(path)))
    return -np.log(total) if total else np.inf


@pytest.mark.parametrize("blank", [0, 2])
def test_ctc(blank):
    classes = [c for c in range(3) if c != blank]
    targets = [[classes[0], classes[0]], [classes[1]], [], [classes[1], classes[0]]]
    logits, steps = rng.standard_normal((5, 4, 3)), [5, 3, 4, 1]
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = [
        ctc_by_enumeration(logs[:n, i], t, blank)
        for i, (n, t) in enumerate(zip(steps, targets, strict=True))
    ]
    flat, lengths = ag.tensor([k for t in targets for k in t]), [len(t) for t in targets]
    found = F.ctc_loss(ag.tensor(logs), flat, steps, lengths, blank, "none")
    np.testing.assert_allclose(found.numpy(), expected)
    x = ag.tensor(logits, requires_grad=True)

    def loss(x):
        return F.ctc_loss(
            F.log_softmax(x, -1),
            flat,
            ag.tensor(steps),
            ag.tensor(lengths),
            blank,
            zero_infinity=True,
        )

    floats = F.ctc_loss(ag.tensor(logs), flat + 0.5, steps, lengths, blank, "none")
    assert ag.equal(floats, found)
    shares = [0 if e == np.inf else e / max(n, 1) for e, n in zip(expected, lengths, strict=True)]
    np.testing.assert_allclose(loss(x).item(), np.mean(shares))
    assert ag.autograd.gradcheck(loss, (x,))


def test_ctc_with_a_target_that_has_the_blank():
    """PyTorch's numbers: the blank is a label like others there."""
    chances = np.arange(1, 25).reshape(4, 2, 3)
    logs = np.log(chances / chances.sum(-1, keepdims=True))
    targets = ag.tensor([[1, 2, 0], [1, 0, 2]])
    found = F.ctc_loss(ag.tensor(logs), targets, [4, 4], [3, 3], reduction="none")
    np.testing.assert_allclose(found.numpy(), [2.516552947, 2.542636914], rtol=1e-6)


def test_distances_of_pairs():
    x = rng.standard_normal((5, 3))
    for p, metric in ((2.0, "euclidean"), (1.0, "cityblock"), (np.inf, "chebyshev")):
        np.testing.assert_allclose(F.pdist(ag.tensor(x), p).numpy(), pdist(x, metric))


def test_alpha_dropout_keeps_mean_and_variance():
    x = ag.tensor(rng.standard_normal((400, 500)))
    y = F.alpha_dropout(x, 0.3, training=True).numpy()
    assert abs(y.mean()) < 0.02 and abs(y.var() - 1) < 0.03
    z = F.feature_alpha_dropout(ag.ones(40, 50, 3), 0.3, training=True).numpy()
    assert (z == z[:, :, :1]).all() and len(np.unique(z)) == 2


def test_margins_of_several_labels():
    x, target = rng.standard_normal((3, 4)), np.array([[2, 0, -1, 1], [3, -1, 0, 0], [-1, 1, 2, 3]])
    expected = []
    for row, labels in zip(x, ([2, 0], [3], []), strict=True):
        others = [i for i in range(4) if i not in labels]
        expected.append(sum(max(0, 1 - row[j] + row[i]) for j in labels for i in others) / 4)
    found = F.multilabel_margin_loss(ag.tensor(x), ag.tensor(target), reduction="none")
    np.testing.assert_allclose(found.numpy(), expected)
