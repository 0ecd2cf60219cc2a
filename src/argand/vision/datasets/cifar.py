"""CIFAR-10 and CIFAR-100: small photographs in ten and a hundred classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from argand.base.errors import FormatError
from argand.io.opcodes import Machine
from argand.io.source import Source, Stream
from argand.io.torch_names import NAMES, STATES
from argand.vision.datasets import download
from argand.vision.datasets.vision import Change, VisionDataset, checked_file
from argand.vision.pillow import from_pixels


def read_pickled(path: Path) -> Any:
    """The plain data of a pickled file: containers, numbers, texts and arrays. Nothing in it is
    run, and anything else is refused; texts of Python 2 are read as latin-1."""
    with open(path, "rb") as file:
        stream = Stream(Source(file, str(path), False))
        return Machine(stream, NAMES, STATES, None, "latin1").run()


class CIFAR10(VisionDataset):
    """CIFAR-10: 50,000 photographs (10,000 with ``train=False``) as PIL images of 32 x 32 and the
    numbers of their classes, from ``root/cifar-10-batches-py``. Krizhevsky (2009).

    `data` has all images as an array of bytes (N, 32, 32, 3), `targets` the numbers as a list,
    `classes` their names; `download` fetches the files. They are pickled, and read by a reader that
    builds plain data only.

    Raises DatasetNotFoundError where files are missing, FormatError where one is damaged or asks
    for more than data.

    >>> from argand.vision.datasets import CIFAR10
    >>> CIFAR10("/nowhere")
    Traceback (most recent call last):
        ...
    argand.vision.datasets.download.DatasetNotFoundError: CIFAR10: Dataset not found: ...
    """

    base_folder = "cifar-10-batches-py"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    filename = "cifar-10-python.tar.gz"
    tgz_md5 = "c58f30108f718f92721af3b95e74349a"
    train_list = [
        ["data_batch_1", "c99cafc152244af753f735de768cd75f"],
        ["data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"],
        ["data_batch_3", "54ebc095f3ab1f0389bbae665268c751"],
        ["data_batch_4", "634d18415352ddfa80567beed471001a"],
        ["data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"],
    ]
    test_list = [["test_batch", "40351d587109b95175f43aff81a1287e"]]
    meta = {
        "filename": "batches.meta",
        "key": "label_names",
        "md5": "5ff9c542aee3614f3951f8cda6e48888",
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
        self.train = train
        if download:
            self.download()
        listed = self.train_list if train else self.test_list
        parts = [self._read(name, md5) for name, md5 in listed]
        self.data = np.concatenate([_pixels(part, path) for part, path in parts])
        self.targets: list[int] = [n for part, path in parts for n in _labels(part, path)]
        names, path = self._read(self.meta["filename"], self.meta["md5"])
        self.classes: list[str] = _entry(names, self.meta["key"], path)
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}
        if len(self.data) != len(self.targets):
            raise FormatError(f"{path.parent}: {len(self.data)} images, {len(self.targets)} labels")

    def _read(self, name: str, md5: str | None) -> tuple[Any, Path]:
        """What a file holds, and the file."""
        path = checked_file(self, Path(self.root, self.base_folder, name), md5, self.url)
        return read_pickled(path), path

    def _is_whole(self) -> bool:
        listed = [*self.train_list, *self.test_list]
        folder = Path(self.root, self.base_folder)
        return all(download.is_whole(folder / name, md5) for name, md5 in listed)

    def download(self) -> None:
        """Fetch and unpack the files, unless they are there."""
        if not self._is_whole():
            archive = Path(self.root, self.filename)
            download.fetch([self.url], archive, self.tgz_md5)
            download.extract(archive, Path(self.root))

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        return self._finished(from_pixels(self.data[index], "RGB"), self.targets[index])

    def __len__(self) -> int:
        return len(self.data)

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"


def _entry(found: Any, key: str, path: Path) -> Any:
    if not isinstance(found, dict) or key not in found:
        raise FormatError(f"{path}: there is no {key!r} in it")
    return found[key]


def _pixels(found: Any, path: Path) -> np.ndarray:
    rows = _entry(found, "data", path)
    if not isinstance(rows, np.ndarray) or rows.dtype != np.uint8 or rows.shape[1:] != (3072,):
        raise FormatError(f"{path}: its images are no rows of 3072 bytes")
    return rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def _labels(found: Any, path: Path) -> list[int]:
    key = "labels" if isinstance(found, dict) and "labels" in found else "fine_labels"
    return [int(n) for n in _entry(found, key, path)]


class CIFAR100(CIFAR10):
    """CIFAR-100: `CIFAR10` with a hundred classes, from ``root/cifar-100-python``.

    >>> from argand.vision.datasets import CIFAR100
    >>> CIFAR100.base_folder
    'cifar-100-python'
    """

    base_folder = "cifar-100-python"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    filename = "cifar-100-python.tar.gz"
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    train_list = [["train", "16019d7e3df5f24257cddd939b257f8d"]]
    test_list = [["test", "f0ef6b0ae62326f3e7ffdfab6717acfc"]]
    meta = {
        "filename": "meta",
        "key": "fine_label_names",
        "md5": "7973b15100ade9c7d40fb424638fde48",
    }
