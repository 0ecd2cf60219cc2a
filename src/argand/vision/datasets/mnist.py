"""MNIST and the datasets that are kept in its form: files of bytes behind a short header."""

from __future__ import annotations

import os
import shutil
import string
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from argand.base.dtype import int64
from argand.base.errors import FormatError
from argand.tensor.core import Tensor, wrap
from argand.vision.datasets import download
from argand.vision.datasets.arrays import MNISTArchive
from argand.vision.datasets.vision import Change, VisionDataset, not_found
from argand.vision.pillow import from_pixels

_KINDS = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def read_array(path: Path) -> np.ndarray:
    """The array of a file in MNIST's form ("IDX"), packed or not: two bytes of 0, the kind of
    numbers, how many dimensions, their sizes, and the numbers, the highest byte first.

    Raises FormatError where the file is another or ends early.
    """
    try:
        with download.opened(path) as file:
            content = file.read()
    except download.DAMAGED as error:
        raise FormatError(f"{path}: the packed file is damaged: {error}") from None
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _KINDS:
        raise FormatError(f"{path}: not a file in the form of MNIST's: it begins {content[:4]!r}")
    dims, kind = content[3], np.dtype(_KINDS[content[2]])
    start = 4 + 4 * dims
    if len(content) < start:
        raise FormatError(f"{path}: truncated: it ends in its header")
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", dims, 4))
    expected = int(np.prod(shape, dtype=object)) * kind.itemsize
    if len(content) - start != expected:
        raise FormatError(
            f"{path}: its header says {shape}, which is {expected} bytes, and it has "
            f"{len(content) - start}"
        )
    array = np.frombuffer(content, kind, offset=start).reshape(shape)
    return array.astype(kind.newbyteorder("="))


def _images(path: Path) -> Tensor:
    array = read_array(path)
    if array.dtype != np.uint8 or array.ndim != 3:
        raise FormatError(
            f"{path}: images are 3-d arrays of bytes, got {array.ndim}-d {array.dtype}"
        )
    return wrap(array)


class MNIST(VisionDataset):
    """MNIST: 60,000 handwritten digits (10,000 with ``train=False``) as PIL images of 28 x 28 and
    their numbers, from ``root/MNIST/raw``. LeCun, Cortes and Burges (1998).

    `data` has all images as bytes (N, 28, 28), `targets` all numbers. The files are as they come
    (``train-images-idx3-ubyte``, or with ``.gz``); `download` fetches them. Where `root` is a file,
    it is Keras's mnist.npz, and the samples are float32 tensors (1, 28, 28) in [0, 1].

    Raises DatasetNotFoundError where files are missing, FormatError where one is damaged.

    >>> import pathlib, tempfile
    >>> from argand.vision.datasets import MNIST
    >>> raw = pathlib.Path(tempfile.mkdtemp(), "MNIST", "raw")
    >>> raw.mkdir(parents=True)
    >>> header = bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28])
    >>> _ = (raw / "train-images-idx3-ubyte").write_bytes(header + bytes(784))
    >>> _ = (raw / "train-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 1, 7]))
    >>> image, number = MNIST(raw.parents[1])[0]
    >>> image.size, number
    ((28, 28), 7)
    """

    mirrors = [
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ]
    resources: Any = [
        ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ]
    classes: Any = [
        "0 - zero",
        "1 - one",
        "2 - two",
        "3 - three",
        "4 - four",
        "5 - five",
        "6 - six",
        "7 - seven",
        "8 - eight",
        "9 - nine",
    ]

    def __new__(cls, root: Any = None, *args: Any, **options: Any) -> Any:
        if cls is MNIST and isinstance(root, str | os.PathLike) and Path(root).is_file():
            return MNISTArchive(root, *args, **options)
        return super().__new__(cls)

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
        for path in self._files():
            if not _exists(path):
                raise not_found(self, path, self.mirrors)
        self.data, self.targets = self._load_data()
        if len(self.data) != len(self.targets):
            raise FormatError(
                f"{self.raw_folder}: {len(self.data)} images and {len(self.targets)} labels"
            )

    def _by_older_name(self, older: str, name: str) -> Any:
        warnings.warn(f"{older} has been renamed {name}", stacklevel=3)
        return getattr(self, name)

    @property
    def train_data(self) -> Any:
        """The older name of `data`."""
        return self._by_older_name("train_data", "data")

    @property
    def test_data(self) -> Any:
        """The older name of `data`."""
        return self._by_older_name("test_data", "data")

    @property
    def train_labels(self) -> Any:
        """The older name of `targets`."""
        return self._by_older_name("train_labels", "targets")

    @property
    def test_labels(self) -> Any:
        """The older name of `targets`."""
        return self._by_older_name("test_labels", "targets")

    @property
    def raw_folder(self) -> str:
        """Where the files are."""
        return os.path.join(self.root, type(self).__name__, "raw")

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The number of each class."""
        return {name: i for i, name in enumerate(self.classes)}

    def _files(self) -> list[Path]:
        """The files of the images and of the targets, without the ending of packed ones."""
        part = "train" if self.train else "t10k"
        names = (f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte")
        return [Path(self.raw_folder, name) for name in names]

    def _load_data(self) -> tuple[Tensor, Tensor]:
        images, labels = self._files()
        return _images(images), wrap(read_array(labels).astype(np.int64))

    def download(self) -> None:
        """Fetch and unpack the files that are missing."""
        for name, md5 in self.resources:
            path = Path(self.raw_folder, name)
            if not path.with_suffix("").is_file():
                download.fetch([mirror + name for mirror in self.mirrors], path, md5)
                download.unpack(path)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        image = from_pixels(self.data[index].numpy(), "L")
        return self._finished(image, int(self.targets[index]))

    def __len__(self) -> int:
        return len(self.data)

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"


_exists = download.exists


class FashionMNIST(MNIST):
    """Fashion-MNIST: 60,000 and 10,000 pictures of clothes, kept as `MNIST` is. Xiao et al. (2017).

    >>> from argand.vision.datasets import FashionMNIST
    >>> FashionMNIST.classes[:2]
    ['T-shirt/top', 'Trouser']
    """

    mirrors = ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ]
    classes = [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ]


class KMNIST(MNIST):
    """Kuzushiji-MNIST: 60,000 and 10,000 cursive Japanese characters, kept as `MNIST` is. Clanuwat
    et al. (2018).

    >>> from argand.vision.datasets import KMNIST
    >>> KMNIST.classes[:3]
    ['o', 'ki', 'su']
    """

    mirrors = ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7"),
        ("train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344"),
        ("t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7"),
        ("t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134"),
    ]
    classes = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]


_MERGED = set("cijklmopsuvwxyz")
_LETTERS = sorted(string.digits + string.ascii_letters)


class EMNIST(MNIST):
    """EMNIST: handwritten letters and digits, kept as `MNIST` is, in one of six splits ("byclass",
    "bymerge", "balanced", "letters", "digits", "mnist"). Images lie on their side. Cohen et al.
    (2017).

    >>> from argand.vision.datasets import EMNIST
    >>> len(EMNIST.classes_split_dict["balanced"])
    47
    """

    url = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
    md5 = "58c8d27c78d21e728a6bc7b3cc06412e"
    mirrors = [url]
    splits = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    classes_split_dict: Any = {
        "byclass": _LETTERS,
        "bymerge": [c for c in _LETTERS if c not in _MERGED],
        "balanced": [c for c in _LETTERS if c not in _MERGED],
        "letters": ["N/A", *string.ascii_lowercase],
        "digits": list(string.digits),
        "mnist": list(string.digits),
    }

    def __init__(self, root: Any, split: str, **kwargs: Any) -> None:
        self.split = download.choice(split, "split", self.splits)
        super().__init__(root, **kwargs)
        self.classes = self.classes_split_dict[self.split]

    def _files(self) -> list[Path]:
        part = f"emnist-{self.split}-{'train' if self.train else 'test'}"
        names = (f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte")
        return [Path(self.raw_folder, name) for name in names]

    def download(self) -> None:
        """Fetch the archive, and unpack the files of all splits."""
        if all(map(_exists, self._files())):
            return
        archive = Path(self.raw_folder, "gzip.zip")
        download.fetch([self.url], archive, self.md5)
        with zipfile.ZipFile(archive) as packed:
            for member in packed.namelist():
                if member.endswith(".gz"):
                    name = Path(self.raw_folder, Path(member).name)
                    with packed.open(member) as source, open(name, "wb") as file:
                        shutil.copyfileobj(source, file)
        archive.unlink()


_QMNIST = "https://raw.githubusercontent.com/facebookresearch/qmnist/master/"


class QMNIST(MNIST):
    """QMNIST: MNIST made again, with 60,000 test digits and where each came from. Yadav and Bottou
    (2019). `what` is "train", "test", "test10k", "test50k" or "nist"; with ``compat=False`` a
    target is the row of all that is known.

    >>> from argand.vision.datasets import QMNIST
    >>> sorted(QMNIST.subsets)
    ['nist', 'test', 'test10k', 'test50k', 'train']
    """

    mirrors = [_QMNIST]
    subsets = {k: k.rstrip("0123456789k") for k in ("train", "test", "test10k", "test50k")} | {
        "nist": "nist"
    }
    resources = {
        "train": [
            (f"{_QMNIST}qmnist-train-images-idx3-ubyte.gz", "ed72d4157d28c017586c42bc6afe6370"),
            (f"{_QMNIST}qmnist-train-labels-idx2-int.gz", "0058f8dd561b90ffdd0f734c6a30e5e4"),
        ],
        "test": [
            (f"{_QMNIST}qmnist-test-images-idx3-ubyte.gz", "1394631089c404de565df7b7aeaf9412"),
            (f"{_QMNIST}qmnist-test-labels-idx2-int.gz", "5b5b05890a5e13444e108efe57b788aa"),
        ],
        "nist": [
            (f"{_QMNIST}xnist-images-idx3-ubyte.xz", "7f124b3b8ab81486c9d8c2749c17f834"),
            (f"{_QMNIST}xnist-labels-idx2-int.xz", "5ed0e788978e45d4a8bd4b7caec3d79d"),
        ],
    }

    def __init__(
        self,
        root: Any,
        what: str | None = None,
        compat: bool = True,
        train: bool = True,
        **kwargs: Any,
    ) -> None:
        usual = "train" if train else "test"
        self.what = download.choice(what or usual, "what", tuple(self.subsets))
        self.compat = compat
        super().__init__(root, train, **kwargs)

    def _kept(self) -> list[tuple[str, str]]:
        kept: list[tuple[str, str]] = self.resources[self.subsets[self.what]]
        return kept

    def _files(self) -> list[Path]:
        return [Path(self.raw_folder, Path(url).stem) for url, _ in self._kept()]

    def _load_data(self) -> tuple[Tensor, Tensor]:
        images, labels = self._files()
        data, targets = _images(images), wrap(read_array(labels)).to(int64)
        if targets.ndim != 2:
            raise FormatError(f"{labels}: labels are rows, got {targets.ndim} dimensions")
        part = {"test10k": slice(10000), "test50k": slice(10000, None)}.get(self.what, slice(None))
        return data[part], targets[part]

    def download(self) -> None:
        """Fetch and unpack the files of this part that are missing."""
        for url, md5 in self._kept():
            path = Path(self.raw_folder, Path(url).name)
            if not path.with_suffix("").is_file():
                download.fetch([url], path, md5)
                download.unpack(path)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        image = from_pixels(self.data[index].numpy(), "L")
        target = self.targets[index]
        return self._finished(image, int(target[0]) if self.compat else target)

    def extra_repr(self) -> str:
        return f"Split: {self.what}"
