"""More datasets of small images: SVHN, STL-10, USPS, SEMEION."""

from __future__ import annotations

import bz2
from pathlib import Path
from typing import Any

import numpy as np

from argand.base.errors import FormatError, missing_extra
from argand.vision.datasets import download
from argand.vision.datasets.vision import Change, VisionDataset, checked_file
from argand.vision.pillow import from_pixels


class _Split(VisionDataset):
    """Images (N, 3, H, W) and labels of a split, in memory."""

    split: str
    data: np.ndarray
    labels: np.ndarray

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        image = from_pixels(self.data[index].transpose(1, 2, 0), "RGB")
        return self._finished(image, int(self.labels[index]))

    def __len__(self) -> int:
        return len(self.data)

    def extra_repr(self) -> str:
        return f"Split: {self.split}"


class SVHN(_Split):
    """SVHN: house numbers as PIL images of 32 x 32 in RGB and their digits, "train", "test" or
    "extra", from ``root/train_32x32.mat`` (read by SciPy). Netzer et al. (2011).

    >>> from argand.vision.datasets import SVHN
    >>> sorted(SVHN.split_list)
    ['extra', 'test', 'train']
    """

    split_list: Any = {
        "train": [
            "http://ufldl.stanford.edu/housenumbers/train_32x32.mat",
            "train_32x32.mat",
            "e26dedcc434d2e4c54c9b2d4a06d8373",
        ],
        "test": [
            "http://ufldl.stanford.edu/housenumbers/test_32x32.mat",
            "test_32x32.mat",
            "eb5a983be6a315427106f1b164d9cef3",
        ],
        "extra": [
            "http://ufldl.stanford.edu/housenumbers/extra_32x32.mat",
            "extra_32x32.mat",
            "a93ce644f1a588dc4d68dda5feec44a7",
        ],
    }

    def __init__(
        self,
        root: Any,
        split: str = "train",
        transform: Change = None,
        target_transform: Change = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = _choice(split, "split", tuple(self.split_list))
        self.url, self.filename, self.file_md5 = self.split_list[self.split]
        if download:
            self.download()
        path = checked_file(self, Path(self.root, self.filename), self.file_md5, self.url)
        found = _read_mat(path)
        self.labels = found["y"].astype(np.int64).reshape(-1)
        self.labels[self.labels == 10] = 0
        self.data = np.ascontiguousarray(found["X"].transpose(3, 2, 0, 1))

    def download(self) -> None:
        """Fetch the file, unless it is there."""
        download.fetch([self.url], Path(self.root, self.filename), self.file_md5)


_choice = download.choice


def _read_mat(path: Path) -> Any:
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise missing_extra("scipy", "scipy", "a dataset in MATLAB's form") from error
    try:
        return loadmat(path)
    except (ValueError, TypeError, KeyError, NotImplementedError) as error:
        raise FormatError(f"{path}: not a file in MATLAB's form: {error}") from None


class STL10(_Split):
    """STL-10: photographs of 96 x 96 as PIL images and their classes, "train", "test", "unlabeled"
    or "train+unlabeled" (-1 where there is none), from ``root/stl10_binary``; `folds` is one of ten
    parts of the training images. Coates et al. (2011).

    >>> from argand.vision.datasets import STL10
    >>> STL10.splits
    ('train', 'train+unlabeled', 'unlabeled', 'test')
    """

    base_folder = "stl10_binary"
    url = "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz"
    filename = "stl10_binary.tar.gz"
    tgz_md5 = "91f7769df0f17e558f3565bffb0c7dfb"
    class_names_file = "class_names.txt"
    folds_list_file = "fold_indices.txt"
    train_list = [
        ["train_X.bin", "918c2871b30a85fa023e0c44e0bee87f"],
        ["train_y.bin", "5a34089d4802c674881badbb80307741"],
        ["unlabeled_X.bin", "5242ba1fed5e4be9e1e742405eb56ca4"],
    ]
    test_list = [
        ["test_X.bin", "7f263ba9f9e0b06b93213547f721ac82"],
        ["test_y.bin", "36f9794fa4beb8a2c72628de14fa638e"],
    ]
    splits = ("train", "train+unlabeled", "unlabeled", "test")

    def __init__(
        self,
        root: Any,
        split: str = "train",
        folds: int | None = None,
        transform: Change = None,
        target_transform: Change = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = _choice(split, "split", self.splits)
        if folds is not None and folds not in range(10):
            raise ValueError(
                f"Value for argument folds should be in the range [0, 10), but got {folds}."
            )
        self.folds = folds
        if download:
            self.download()
        parts = [self._part(name) for name in self.split.split("+")]
        self.data = np.concatenate([data for data, _ in parts])
        self.labels = np.concatenate([labels for _, labels in parts])
        names = Path(self.root, self.base_folder, self.class_names_file)
        self.classes = names.read_text().split() if names.is_file() else []

    def _part(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        listed = dict([*self.train_list, *self.test_list])
        folder = Path(self.root, self.base_folder)
        images = f"{name}_X.bin"
        path = checked_file(self, folder / images, listed[images], self.url)
        data = np.fromfile(path, np.uint8).reshape(-1, 3, 96, 96).transpose(0, 1, 3, 2)
        if name == "unlabeled":
            return data, np.full(len(data), -1)
        numbers = f"{name}_y.bin"
        path = checked_file(self, folder / numbers, listed[numbers], self.url)
        labels = np.fromfile(path, np.uint8).astype(np.int64) - 1
        if self.folds is not None and name == "train":
            line = (folder / self.folds_list_file).read_text().splitlines()[self.folds]
            chosen = np.array(line.split(), np.int64)
            return data[chosen], labels[chosen]
        return data, labels

    def download(self) -> None:
        """Fetch and unpack the files, unless they are there."""
        listed = [*self.train_list, *self.test_list]
        folder = Path(self.root, self.base_folder)
        if not all(download.is_whole(folder / name, md5) for name, md5 in listed):
            archive = Path(self.root, self.filename)
            download.fetch([self.url], archive, self.tgz_md5)
            download.extract(archive, Path(self.root))


class USPS(VisionDataset):
    """USPS: handwritten digits of 16 x 16 as PIL images and their numbers, from ``root/usps.bz2``
    (``usps.t.bz2`` with ``train=False``). Hull (1994).

    >>> from argand.vision.datasets import USPS
    >>> USPS.split_list["test"][1]
    'usps.t.bz2'
    """

    split_list: Any = {
        "train": [
            "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/usps.bz2",
            "usps.bz2",
            "ec16c51db3855ca6c91edd34d0e9b197",
        ],
        "test": [
            "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/usps.t.bz2",
            "usps.t.bz2",
            "8ea070ee2aca1ac39742fdd1ef5ed118",
        ],
    }

    def __init__(
        self,
        root: Any,
        train: bool = True,
        transform: Change = None,
        target_transform: Change = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        url, name, md5 = self.split_list["train" if train else "test"]
        path = Path(self.root, name)
        if download:
            _fetch([url], path, md5)
        with bz2.open(checked_file(self, path, None, url), "rt") as file:
            rows = [line.split() for line in file]
        values = [[pair.split(":")[-1] for pair in row[1:]] for row in rows]
        pixels = np.array(values, np.float32).reshape(-1, 16, 16)
        self.data = ((pixels + 1) / 2 * 255).astype(np.uint8)
        self.targets = [int(row[0]) - 1 for row in rows]

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        return self._finished(from_pixels(self.data[index], "L"), self.targets[index])

    def __len__(self) -> int:
        return len(self.data)


_fetch = download.fetch


class SEMEION(VisionDataset):
    """SEMEION: handwritten digits of 16 x 16 in black and white as PIL images and their numbers,
    from ``root/semeion.data``. Buscema et al. (1994).

    >>> from argand.vision.datasets import SEMEION
    >>> SEMEION.filename
    'semeion.data'
    """

    url = "http://archive.ics.uci.edu/ml/machine-learning-databases/semeion/semeion.data"
    filename = "semeion.data"
    md5_checksum: str | None = "cb545d371d2ce14ec121470795a77432"

    def __init__(
        self,
        root: Any,
        transform: Change = None,
        target_transform: Change = None,
        download: bool = True,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        path = Path(self.root, self.filename)
        if download:
            _fetch([self.url], path, self.md5_checksum)
        rows = np.loadtxt(checked_file(self, path, self.md5_checksum, self.url))
        self.data = (rows[:, :256] * 255).astype(np.uint8).reshape(-1, 16, 16)
        self.labels = rows[:, 256:].argmax(axis=1)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        return self._finished(from_pixels(self.data[index], "L"), int(self.labels[index]))

    def __len__(self) -> int:
        return len(self.data)
