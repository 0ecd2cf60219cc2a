"""What outputs mean, as a model's card describes them: class names, boxes, text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from argand.export.card import Classes, Decoded, Detections, Segments

Outputs = Mapping[str, np.ndarray]
Asset = Callable[[str], Any]
"""The names of classes, or the tokenizer, that an asset holds."""


def class_shares(scores: np.ndarray, how: Classes, names: Sequence[str]) -> list[Any]:
    """For each row a dictionary from the names of the best classes to their shares."""
    shares = scores.reshape(-1, scores.shape[-1]).astype(np.float64)
    if how.softmax:
        shares = softmax(shares)
    elif how.sigmoid:
        shares = np.asarray(1 / (1 + np.exp(-np.clip(shares, -700, 700))))
    found = []
    for row in shares:
        best = np.argsort(-row, kind="stable")[: how.top]
        kept = [j for j in best if how.threshold is None or row[j] >= how.threshold]
        found.append({_name(names, int(j)): float(row[j]) for j in kept})
    return found


def softmax(scores: np.ndarray, axis: int = -1) -> np.ndarray:
    """exp(s) / sum exp(s) along an axis."""
    powers = np.exp(scores - scores.max(axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis, keepdims=True))


def distinct(names: Sequence[str]) -> list[str]:
    """Names of classes; those of several, such as ImageNet's two cranes, with their numbers."""
    counts = Counter(names)
    return [name if counts[name] == 1 else f"{name} ({j})" for j, name in enumerate(names)]


def _name(names: Sequence[str], j: int) -> str:
    return names[j] if 0 <= j < len(names) else str(j)


def objects(
    boxes: np.ndarray, outputs: Outputs, how: Detections, names: Sequence[str]
) -> list[Any]:
    """For each row the objects that are sure enough: [{name: [x1, y1, x2, y2], "score": s}]."""
    labels, scores = outputs[how.labels], outputs[how.scores]
    if boxes.ndim == 2:
        boxes, labels, scores = boxes[None], labels[None], scores[None]
    return [
        [
            {_name(names, int(label)): [float(x) for x in box], "score": float(score)}
            for box, label, score in zip(*row, strict=True)
            if score >= how.threshold
        ]
        for row in zip(boxes, labels, scores, strict=True)
    ]


def pixel_classes(scores: np.ndarray, how: Segments, names: Sequence[str]) -> list[Any]:
    """For each row and pixel the best class and its share: (height, width, 2), as TorchServe's
    segmenter gives it; names in place of numbers where there are some."""
    shares = softmax(scores.astype(np.float64), axis=-3)
    shares = shares if shares.ndim == 4 else shares[None]
    best, share = shares.argmax(1), shares.max(1)
    if not names:
        return list(np.stack([best, share], -1).tolist())
    named = np.array([_name(names, j) for j in range(shares.shape[1])], object)[best]
    return [
        [
            [[n, s] for n, s in zip(*line, strict=True)]
            for line in zip(a.tolist(), b.tolist(), strict=True)
        ]
        for a, b in zip(named, share, strict=True)
    ]


def meanings(name: str, how: Any, outputs: Outputs, asset: Asset) -> list[Any]:
    """An answer for each row of an output that the card describes."""
    array = outputs[name]
    if isinstance(how, Decoded):
        tokenizer = asset(how.tokenizer)
        return [tokenizer.decode(row) for row in array.reshape(-1, array.shape[-1]).tolist()]
    names = distinct(asset(how.classes)) if how.classes is not None else ()
    if isinstance(how, Detections):
        return objects(array, outputs, how, names)
    if isinstance(how, Segments):
        return pixel_classes(array, how, names)
    return class_shares(array, how, names)


__all__ = ["class_shares", "distinct", "meanings", "objects", "pixel_classes", "softmax"]
