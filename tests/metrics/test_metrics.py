"""Streaming metrics against scikit-learn on all data at once."""

import numpy as np
import pytest
from sklearn import metrics as sk

import argand as ag
from argand import metrics

rng = np.random.default_rng(2)
SCORES = rng.standard_normal((30, 4)).astype(np.float32)
CLASSES = rng.integers(0, 4, 30)
PREDICTED = SCORES.argmax(1)


def streamed(metric, preds, target, cuts=(7, 20)):
    for p, t in zip(np.split(preds, cuts), np.split(target, cuts), strict=True):
        metric.update(ag.tensor(p), ag.tensor(t))
    return metric.compute()


def test_accuracy():
    expected = sk.accuracy_score(CLASSES, PREDICTED)
    assert streamed(metrics.Accuracy(), SCORES, CLASSES) == pytest.approx(expected)
    assert streamed(metrics.Accuracy(), PREDICTED, CLASSES) == pytest.approx(expected)
    hot = np.eye(4, dtype=np.float32)[CLASSES]
    assert streamed(metrics.Accuracy(), SCORES, hot) == pytest.approx(expected)
    probabilities = np.array([0.2, 0.7, 0.9, 0.4])
    metric = metrics.Accuracy()
    metric.update(probabilities, [0, 1, 0, 0])
    assert metric.compute() == 0.75
    metric.reset()
    assert np.isnan(metric.compute())


def test_top_k():
    expected = sk.top_k_accuracy_score(CLASSES, SCORES, k=2)
    assert streamed(metrics.TopKAccuracy(2), SCORES, CLASSES) == pytest.approx(expected)


def test_confusion_and_its_ratios():
    matrix = streamed(metrics.ConfusionMatrix(4), SCORES, CLASSES)
    np.testing.assert_array_equal(matrix, sk.confusion_matrix(CLASSES, PREDICTED))
    pairs = [
        (metrics.Precision, sk.precision_score),
        (metrics.Recall, sk.recall_score),
        (metrics.F1Score, sk.f1_score),
    ]
    for ours, reference in pairs:
        for average in ("macro", "micro"):
            expected = reference(CLASSES, PREDICTED, average=average)
            got = streamed(ours(4, average), SCORES, CLASSES)
            assert got == pytest.approx(expected)
        binary = reference(CLASSES > 1, PREDICTED > 1)
        got = streamed(ours(), (PREDICTED > 1).astype(int), (CLASSES > 1).astype(int))
        assert got == pytest.approx(binary)
    each = streamed(metrics.Recall(4, "none"), SCORES, CLASSES)
    np.testing.assert_allclose(each, sk.recall_score(CLASSES, PREDICTED, average=None))
    with pytest.raises(ValueError, match="class 3 does not fit a confusion matrix of 2"):
        metrics.ConfusionMatrix(2).update(SCORES, CLASSES)


def test_regression():
    p, t = rng.standard_normal((30, 2)), rng.standard_normal((30, 2))
    assert streamed(metrics.MeanSquaredError(), p, t) == pytest.approx(sk.mean_squared_error(t, p))
    assert streamed(metrics.MeanAbsoluteError(), p, t) == pytest.approx(
        sk.mean_absolute_error(t, p)
    )
    rmse = sk.mean_squared_error(t, p) ** 0.5
    assert streamed(metrics.RootMeanSquaredError(), p, t) == pytest.approx(rmse)
    r2 = sk.r2_score(t[:, 0], p[:, 0])
    assert streamed(metrics.R2Score(), p[:, :1], t[:, 0]) == pytest.approx(r2)
    with pytest.raises(RuntimeError, match=r"shape \(2,\) don't fit targets of shape \(3,\)"):
        metrics.MeanSquaredError().update([1.0, 2.0], [1.0, 2.0, 3.0])


def test_mean_is_weighted():
    mean = metrics.Mean()
    mean.update(2.0, 3)
    mean.update(ag.tensor([4.0]))
    assert mean.compute() == 2.5


def test_by_name():
    assert isinstance(metrics.get("acc"), metrics.Accuracy) and metrics.get("acc").name == "acc"
    assert isinstance(metrics.get(metrics.R2Score), metrics.R2Score)
    metric = metrics.get(lambda p, t: abs(p - t).mean())
    metric.update(ag.tensor([1.0, 2.0]), ag.tensor([0.0, 0.0]))
    assert metric.result() == 1.5
    with pytest.raises(ValueError, match="did you mean accuracy"):
        metrics.get("acuracy")
    with pytest.raises(TypeError, match="got int"):
        metrics.get(3)


def test_kerass_order():
    metric = metrics.Precision()
    metric.update_state([0, 1], [1, 1])
    assert metric.result() == 0.5
    assert "Precision(0.5)" in repr(metric)
