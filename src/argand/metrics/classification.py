"""Metrics of classification.

Predictions are scores (N, classes, ...), class numbers, or for two classes probabilities compared
with `threshold`; targets are class numbers, or one-hot rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from argand.base.errors import ArgumentError, ShapeError
from argand.base.shape import shape_text
from argand.metrics.base import Metric, array, register


def classes_of(preds: Any, target: Any, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true class numbers, both flat."""
    p, t = array(preds), array(target)
    if p.ndim == t.ndim + 1:
        p = p.argmax(1)
    elif p.ndim == t.ndim and p.ndim > 1 and p.shape[1] > 1 and p.shape == t.shape:
        if p.dtype.kind == "f":
            p, t = p.argmax(1), t.argmax(1)
    elif p.dtype.kind == "f":
        p = (p > threshold).astype(np.int64)
    if p.size != t.size:
        raise ShapeError(
            f"predictions of shape {shape_text(array(preds).shape)} don't fit targets of shape "
            f"{shape_text(array(target).shape)}: expected scores (N, classes) and class numbers "
            "(N,), or equal shapes"
        )
    return p.reshape(-1).astype(np.int64), t.reshape(-1).astype(np.int64)


@register("accuracy", "acc")
class Accuracy(Metric):
    """The share of samples whose class is predicted.

    Predictions are scores (N, classes), or probabilities of one class (N) against `threshold`; the
    target is class numbers (N).

    >>> accuracy = ag.metrics.Accuracy()
    >>> accuracy.update([[0.1, 0.9], [0.8, 0.2]], [1, 1])
    >>> accuracy.compute()
    0.5
    """

    name = "accuracy"

    def __init__(self, threshold: float = 0.5, name: str | None = None) -> None:
        self.threshold = threshold
        super().__init__(name)

    def reset(self) -> None:
        self.right = 0
        self.count = 0

    def update(self, preds: Any, target: Any) -> None:
        p, t = classes_of(preds, target, self.threshold)
        self.right += int((p == t).sum())
        self.count += t.size

    def compute(self) -> float:
        return self.right / self.count if self.count else float("nan")


class TopKAccuracy(Metric):
    """The share of samples whose class is among the k highest scores.

    >>> top2 = ag.metrics.TopKAccuracy(k=2)
    >>> top2.update([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]], [1, 0])
    >>> top2.compute()
    0.5
    """

    name = "top_k_accuracy"

    def __init__(self, k: int = 5, name: str | None = None) -> None:
        if k < 1:
            raise ArgumentError(f"TopKAccuracy: k must be positive, got {k}")
        self.k = k
        super().__init__(name)

    def reset(self) -> None:
        self.right = 0
        self.count = 0

    def update(self, preds: Any, target: Any) -> None:
        p, t = array(preds), array(target).reshape(-1)
        if p.ndim != 2 or len(p) != len(t):
            raise ShapeError(f"TopKAccuracy: expected scores (N, classes), got {p.shape}")
        best = np.argsort(-p, axis=1, kind="stable")[:, : self.k]
        self.right += int((best == t[:, None]).any(1).sum())
        self.count += len(t)

    def compute(self) -> float:
        return self.right / self.count if self.count else float("nan")


class ConfusionMatrix(Metric):
    """How often each true class (row) was predicted as each class (column).

    >>> matrix = ag.metrics.ConfusionMatrix(num_classes=2)
    >>> matrix.update([0, 1, 1], [0, 0, 1])
    >>> matrix.compute()
    array([[1, 1],
           [0, 1]])
    """

    name = "confusion_matrix"

    def __init__(self, num_classes: int, threshold: float = 0.5, name: str | None = None) -> None:
        self.num_classes, self.threshold = num_classes, threshold
        super().__init__(name)

    def reset(self) -> None:
        self.counts = np.zeros((self.num_classes, self.num_classes), np.int64)

    def update(self, preds: Any, target: Any) -> None:
        p, t = classes_of(preds, target, self.threshold)
        highest = max(p.max(initial=0), t.max(initial=0))
        if highest >= self.num_classes:
            raise ArgumentError(
                f"class {highest} does not fit a confusion matrix of {self.num_classes} classes"
            )
        np.add.at(self.counts, (t, p), 1)

    def compute(self) -> Any:
        return self.counts.copy()


class _Averaged(Metric):
    """A ratio of counts of each class, averaged over the classes; of class 1 if there are two."""

    def __init__(
        self,
        num_classes: int = 2,
        average: str = "macro",
        threshold: float = 0.5,
        name: str | None = None,
    ) -> None:
        if average not in ("macro", "micro", "none"):
            raise ArgumentError(f"average must be 'macro', 'micro' or 'none', got {average!r}")
        self.matrix = ConfusionMatrix(num_classes, threshold)
        self.average = average
        super().__init__(name)

    def reset(self) -> None:
        self.matrix.reset()

    def update(self, preds: Any, target: Any) -> None:
        self.matrix.update(preds, target)

    def ratio(self, right: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> Any:
        """The ratio from the counts of right, predicted and true samples of each class."""
        raise NotImplementedError(f"{type(self).__name__} does not define ratio")

    def compute(self) -> Any:
        counts = self.matrix.counts
        right, predicted, true = np.diag(counts), counts.sum(0), counts.sum(1)
        if self.average == "micro":
            sums = (np.asarray([a.sum()]) for a in (right, predicted, true))
            return float(self.ratio(*sums)[0])
        each = self.ratio(right, predicted, true)
        if self.average == "none":
            return each
        if len(counts) == 2:
            return float(each[1])
        seen = (predicted + true) > 0
        return float(each[seen].mean()) if seen.any() else float("nan")


def _share(part: Any, whole: Any) -> Any:
    """part / whole, 0 where there is nothing."""
    return np.divide(part, whole, out=np.zeros(np.shape(part)), where=np.asarray(whole) > 0)


class Precision(_Averaged):
    """Right predictions of a class over all predictions of it: TP / (TP + FP).

    >>> precision = ag.metrics.Precision()
    >>> precision.update([1, 1, 0], [1, 0, 1])
    >>> precision.compute()
    0.5
    """

    name = "precision"

    def ratio(self, right: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> Any:
        return _share(right, predicted)


class Recall(_Averaged):
    """Right predictions of a class over all its samples: TP / (TP + FN).

    >>> recall = ag.metrics.Recall()
    >>> recall.update([1, 0, 0, 0], [1, 1, 1, 1])
    >>> recall.compute()
    0.25
    """

    name = "recall"

    def ratio(self, right: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> Any:
        return _share(right, true)


class F1Score(_Averaged):
    """The harmonic mean of precision and recall: 2 * TP / (2 * TP + FP + FN).

    >>> f1 = ag.metrics.F1Score()
    >>> f1.update([1, 1, 0], [1, 0, 1])
    >>> f1.compute()
    0.5
    """

    name = "f1"

    def ratio(self, right: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> Any:
        return _share(2 * right, predicted + true)


register("precision")(Precision)
register("recall")(Recall)
register("f1")(F1Score)
register("top_k_accuracy")(TopKAccuracy)
