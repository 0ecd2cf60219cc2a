"""Files of data as published programs look for them, small ones.

Digits are MNIST's, text is Shakespeare's and the graph is Cora's; other images are random.
"""

from __future__ import annotations

import pickle
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Maker = Callable[..., None]
MAKERS: dict[str, Maker] = {}


def maker(make: Maker) -> Maker:
    """Let `programs.toml` name a function."""
    MAKERS[make.__name__] = make
    return make


def make(asked: str, folder: Path, data: Path) -> None:
    """Make what a line of `programs.toml` asks for: a name, a path and arguments."""
    name, path, *given = asked.split()
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    MAKERS[name](target, data, *given)


@maker
def mnist(target: Path, data: Path, train: str = "600", test: str = "200") -> None:
    """The first digits, in the four files that torchvision reads."""
    raw = target / "MNIST" / "raw"
    raw.mkdir(parents=True)
    with np.load(data / "mnist.npz") as found:
        for name, part, count in (("train", "train", int(train)), ("t10k", "test", int(test))):
            x, y = found[f"x_{part}"][:count], found[f"y_{part}"][:count]
            head = struct.pack(">IIII", 2051, len(x), 28, 28)
            (raw / f"{name}-images-idx3-ubyte").write_bytes(head + x.tobytes())
            head = struct.pack(">II", 2049, len(y))
            (raw / f"{name}-labels-idx1-ubyte").write_bytes(head + y.tobytes())


@maker
def cifar10(target: Path, data: Path, train: str = "100", test: str = "50") -> None:
    """Random images in the files of CIFAR-10."""
    folder = target / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)

    def batch(count: int) -> dict[str, Any]:
        pixels = random.integers(0, 256, (count, 3072), dtype=np.uint8)
        return {"data": pixels, "labels": random.integers(0, 10, count).tolist()}

    for number in range(1, 6):
        _pickled(folder / f"data_batch_{number}", batch(int(train) // 5))
    _pickled(folder / "test_batch", batch(int(test)))
    _pickled(folder / "batches.meta", {"label_names": [f"class {i}" for i in range(10)]})


def _pickled(path: Path, value: Any) -> None:
    path.write_bytes(pickle.dumps(value, protocol=2))


@maker
def images(
    target: Path,
    data: Path,
    count: str = "8",
    width: str = "64",
    height: str = "",
    end: str = "jpg",
    links: str = "0",
) -> None:
    """A folder of random images, smooth ones, and of links to the first for programs that put many
    aside."""
    from PIL import Image

    target.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(len(target.name))
    size = int(width), int(height or width)
    for number in range(int(count)):
        pixels = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
        image.save(target / f"{number + 1}.{end}")
    for number in range(int(links)):
        (target / f"z{number}.{end}").symlink_to(target / f"1.{end}")


@maker
def masks(target: Path, data: Path, count: str = "8", size: str = "64") -> None:
    """A folder of masks of two values beside `images`, in GIF."""
    from PIL import Image

    target.mkdir(parents=True, exist_ok=True)
    for number in range(int(count)):
        pixels = np.zeros((int(size), int(size)), dtype=np.uint8)
        pixels[number : 30 + number, 10:40] = 1
        Image.fromarray(pixels).save(target / f"{number + 1}.gif")


@maker
def digits_in_color(target: Path, data: Path, train: str = "600", test: str = "200") -> None:
    """MNIST-M: digits on random grounds, as its Python readers keep them."""
    import torch  # the file is PyTorch's, and this interpreter's torch writes it

    random = np.random.default_rng(0)
    folder = target / "processed"
    folder.mkdir(parents=True)
    with np.load(data / "mnist.npz") as found:
        for name, part, count in (("train", "train", int(train)), ("test", "test", int(test))):
            x = found[f"x_{part}"][:count, :, :, None].astype(np.int64)
            x = (x + random.integers(0, 256, (len(x), 28, 28, 3))) % 256
            y = found[f"y_{part}"][:count].astype(np.int64)
            pair = torch.from_numpy(x.astype(np.uint8)), torch.from_numpy(y)
            torch.save(pair, folder / f"mnist_m_{name}.pt")


@maker
def text(target: Path, data: Path, characters: str = "1115394", start: str = "0") -> None:
    """A part of Shakespeare's plays."""
    whole = (data / "tinyshakespeare.txt").read_text()
    target.write_text(whole[int(start) :][: int(characters)])


@maker
def names(target: Path, data: Path, count: str = "2000") -> None:
    """Words of Shakespeare's for names, one a line."""
    whole = (data / "tinyshakespeare.txt").read_text().lower()
    found = dict.fromkeys(word for word in whole.split() if word.isalpha() and word.isascii())
    target.write_text("\n".join([*found][: int(count)]) + "\n")


@maker
def cora(target: Path, data: Path) -> None:
    """Cora in the files of its first publication: papers with their words, and citations."""
    target.mkdir(parents=True, exist_ok=True)
    with np.load(data / "cora.npz") as found:
        features, labels, edges = found["features"], found["labels"], found["edges"]
    kinds = [f"kind_{i}" for i in range(int(labels.max()) + 1)]
    lines = (
        "\t".join([str(i), *map(str, row.astype(int)), kinds[label]])
        for i, (row, label) in enumerate(zip(features, labels, strict=True))
    )
    (target / "cora.content").write_text("\n".join(lines) + "\n")
    pairs = (f"{a}\t{b}" for a, b in edges.T if a < b)
    (target / "cora.cites").write_text("\n".join(pairs) + "\n")


@maker
def packed(target: Path, data: Path, folder: str) -> None:
    """An archive of a folder that lies beside it."""
    with tarfile.open(target, "w:gz") as archive:
        archive.add(target.parent / folder, folder)


@maker
def celeba(target: Path, data: Path, count: str = "12", size: str = "72") -> None:
    """Random faces with random attributes in the list of CelebA; most files are links to a few."""
    images(target, data, "8", size)
    names = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young")
    random = np.random.default_rng(1)
    for number in range(9, int(count) + 1):
        (target / f"{number}.jpg").symlink_to(target / f"{number % 8 + 1}.jpg")
    lines = [count, " ".join(names)]
    for number in range(1, int(count) + 1):
        values = random.choice(["1", "-1"], len(names))
        lines.append(" ".join([f"{number}.jpg", *values]))
    (target / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
