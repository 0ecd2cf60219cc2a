"""Handwritten digits that need no download, and MNIST as Keras keeps it: tensors, not images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from argand.base.errors import ArgumentError, FormatError, missing_extra
from argand.data.dataset import TensorDataset
from argand.tensor.core import wrap


class Digits(TensorDataset):
    """1797 handwritten digits of 8 x 8 pixels, from scikit-learn (the extra ``data``).

    Images are float32 (N, 1, 8, 8) in [0, 1], labels int64. Every fifth sample is held out:
    `train` chooses the 1437 others or these 360. Alpaydin and Kaynak (1998), UCI.

    >>> image, label = Digits()[0]
    >>> image.shape, label
    (argand.Size([1, 8, 8]), tensor(1))
    """

    classes = tuple("0123456789")

    def __init__(self, train: bool = True) -> None:
        images, labels = _load_digits()
        held_out = np.arange(len(images)) % 5 == 0
        chosen = ~held_out if train else held_out
        self.train = train
        super().__init__(wrap(images[chosen]), wrap(labels[chosen]))

    @property
    def images(self) -> Any:
        """All images, (N, 1, 8, 8)."""
        return self.tensors[0]

    @property
    def labels(self) -> Any:
        """All labels, (N,)."""
        return self.tensors[1]


def _load_digits() -> tuple[np.ndarray, np.ndarray]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as e:
        raise missing_extra("scikit-learn", "data", "the Digits dataset") from e
    bunch = load_digits()
    images = (bunch.images / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    return images, bunch.target.astype(np.int64)


class MNISTArchive(TensorDataset):
    """MNIST from a NumPy archive with x_train, y_train, x_test and y_test (Keras's mnist.npz).

    Images become float32 (N, 1, 28, 28) in [0, 1], labels int64. LeCun et al. (1998).

    >>> import os, tempfile
    >>> from argand.vision.datasets.arrays import MNISTArchive
    >>> path = os.path.join(tempfile.mkdtemp(), "mnist.npz")
    >>> images, labels = np.zeros((2, 28, 28), np.uint8), np.array([3, 7])
    >>> np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    >>> len(MNISTArchive(path)), MNISTArchive(path)[1][1]
    (2, tensor(7))
    """

    classes = tuple("0123456789")

    def __init__(self, file: Any, train: bool = True) -> None:
        images, labels = _read_npz(Path(file), "train" if train else "test")
        self.train = train
        scaled = (images.astype(np.float32) / 255).reshape(len(images), 1, *images.shape[-2:])
        super().__init__(wrap(scaled), wrap(labels.astype(np.int64)))

    @property
    def images(self) -> Any:
        """All images, (N, 1, 28, 28)."""
        return self.tensors[0]

    @property
    def labels(self) -> Any:
        """All labels, (N,)."""
        return self.tensors[1]


def _read_npz(path: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    names = (f"x_{part}", f"y_{part}")
    try:
        # allow_pickle stays off: an array of objects in the file is an error, not code to run
        with np.load(path, allow_pickle=False) as archive:
            missing = [n for n in names if n not in archive.files]
            if missing:
                raise ArgumentError(
                    f"{path}: no array {missing[0]!r}; it has {', '.join(archive.files)}"
                )
            images, labels = (archive[n] for n in names)
    except (ValueError, EOFError, OSError) as e:
        if isinstance(e, FileNotFoundError | ArgumentError):
            raise
        raise FormatError(f"{path}: not a NumPy archive of arrays: {e}") from None
    if images.ndim not in (3, 4) or labels.shape != images.shape[:1]:
        raise FormatError(f"{path}: images {images.shape} and labels {labels.shape} don't fit")
    return images, labels
