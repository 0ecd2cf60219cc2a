"""Datasets from files that are written here, in the form in which they are published."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import struct
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import argand as ag
from argand import hub
from argand.data import DataLoader
from argand.vision import datasets, transforms
from argand.vision.datasets import download
from argand.vision.datasets.mnist import read_array

Image = pytest.importorskip("PIL.Image")
RNG = np.random.default_rng(0)


def idx(array: np.ndarray) -> bytes:
    """An array in MNIST's form."""
    kind = {"uint8": 8, "int32": 12}[array.dtype.name]
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_mnist(root: Path, name: str, packed: bool) -> tuple[np.ndarray, np.ndarray]:
    images = RNG.integers(0, 256, (5, 28, 28)).astype(np.uint8)
    labels = np.array([3, 1, 4, 1, 5], np.uint8)
    raw = root / name / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 5), ("t10k", 2)):
        for kind, array in (("images-idx3", images[:count]), ("labels-idx1", labels[:count])):
            content = idx(array)
            path = raw / f"{part}-{kind}-ubyte"
            if packed:
                path.with_name(path.name + ".gz").write_bytes(gzip.compress(content))
            else:
                path.write_bytes(content)
    return images, labels


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", [datasets.MNIST, datasets.FashionMNIST, datasets.KMNIST])
def test_mnist(tmp_path: Path, kind: Any, packed: bool) -> None:
    images, labels = write_mnist(tmp_path, kind.__name__, packed)
    found = kind(tmp_path)
    assert (len(found), len(kind(str(tmp_path), train=False))) == (5, 2)
    assert found.data.dtype is ag.uint8 and found.targets.dtype is ag.int64
    np.testing.assert_array_equal(found.data.numpy(), images)
    assert found.targets.tolist() == labels.tolist()
    image, target = found[4]
    assert (image.mode, image.size, target) == ("L", (28, 28), 5)
    np.testing.assert_array_equal(np.asarray(image), images[4])
    assert found.class_to_idx[found.classes[3]] == 3
    assert "Number of datapoints: 5" in repr(found) and "Split: Train" in repr(found)


def test_samples_are_transformed_and_batched(tmp_path: Path) -> None:
    images, labels = write_mnist(tmp_path, "MNIST", False)
    to_tensor = transforms.ToTensor()
    data = datasets.MNIST(tmp_path, transform=to_tensor, target_transform=lambda t: t + 10)
    x, y = next(iter(DataLoader(data, batch_size=5)))
    np.testing.assert_allclose(x.numpy()[:, 0], images / np.float32(255))
    assert y.tolist() == [n + 10 for n in labels.tolist()]
    assert "Transform: ToTensor()" in repr(data)


def test_files_that_are_missing_or_damaged_say_which(tmp_path: Path) -> None:
    with pytest.raises(
        RuntimeError, match=r"Dataset not found.*train-images-idx3-ubyte.*download=True"
    ):
        datasets.MNIST(tmp_path)
    write_mnist(tmp_path, "MNIST", False)
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    whole = path.read_bytes()
    for content, told in (
        (whole[:-1], "its header says"),
        (whole[:9], "ends in its header"),
        (b"PK" + whole[2:], "not a file in the form of MNIST's"),
        (idx(np.zeros((5, 2), np.int32)), "3-d arrays of bytes"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=told):
            datasets.MNIST(tmp_path)
    path.unlink()
    for content in (b"no gzip", gzip.compress(whole)[:-9], gzip.compress(whole)[:-4] + b"1234"):
        path.with_name(path.name + ".gz").write_bytes(content)
        with pytest.raises(ValueError, match="the packed file is damaged"):
            datasets.MNIST(tmp_path)
    path.write_bytes(whole)
    path.with_name("train-labels-idx1-ubyte").write_bytes(idx(np.zeros(4, np.uint8)))
    with pytest.raises(ValueError, match="5 images and 4 labels"):
        datasets.MNIST(tmp_path)


def test_mnist_of_keras_is_still_read(tmp_path: Path) -> None:
    images, labels = np.full((3, 28, 28), 255, np.uint8), np.arange(3, dtype=np.uint8)
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=images, y_train=labels, x_test=images[:1], y_test=labels[:1])
    image, label = datasets.MNIST(path)[2]
    assert image.shape == (1, 28, 28) and image.mean().item() == 1.0 and label.item() == 2


def test_emnist_and_qmnist(tmp_path: Path) -> None:
    images = RNG.integers(0, 256, (4, 28, 28)).astype(np.uint8)
    raw = tmp_path / "EMNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "emnist-letters-train-images-idx3-ubyte").write_bytes(idx(images))
    (raw / "emnist-letters-train-labels-idx1-ubyte").write_bytes(idx(np.arange(4, dtype=np.uint8)))
    letters = datasets.EMNIST(tmp_path, "letters")
    assert letters.classes[letters[3][1]] == "c"
    with pytest.raises(ValueError, match=r"'leters'.*did you mean letters"):
        datasets.EMNIST(tmp_path, "leters")
    raw = tmp_path / "QMNIST" / "raw"
    raw.mkdir(parents=True)
    rows = np.arange(32, dtype=np.int32).reshape(4, 8)
    (raw / "qmnist-train-images-idx3-ubyte").write_bytes(idx(images))
    (raw / "qmnist-train-labels-idx2-int").write_bytes(idx(rows))
    assert datasets.QMNIST(tmp_path)[2][1] == 16
    assert datasets.QMNIST(tmp_path, compat=False)[2][1].tolist() == rows[2].tolist()
    assert read_array(raw / "qmnist-train-labels-idx2-int").dtype == np.int32


# -- CIFAR -----------------------------------------------------------------------------------------


def small_cifar(kind: Any, root: Path, extra: Any = None) -> tuple[Any, np.ndarray]:
    """A class with the checksums of small files, as Python 2 wrote them, and their images."""
    folder = root / kind.base_folder
    folder.mkdir(parents=True)
    key = "labels" if kind is datasets.CIFAR10 else "fine_labels"
    pixels = RNG.integers(0, 256, (3, 3072)).astype(np.uint8)
    sums = {}

    def write(name: str, content: Any) -> None:
        written = pickle.dumps(content, protocol=2)
        written = written.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
        (folder / name).write_bytes(written)
        sums[name] = hashlib.md5(written, usedforsecurity=False).hexdigest()

    for name, _ in [*kind.train_list, *kind.test_list]:
        write(name, {"batch_label": "x", key: [2, 0, 1], "data": pixels, "extra": extra})
    write(kind.meta["filename"], {kind.meta["key"]: ["cat", "dog", "ant"]})
    parts = {
        n: [[name, sums[name]] for name, _ in getattr(kind, n)] for n in ("train_list", "test_list")
    }
    meta = {"meta": kind.meta | {"md5": sums[kind.meta["filename"]]}}
    return type(kind.__name__, (kind,), parts | meta), pixels


@pytest.mark.parametrize("kind", [datasets.CIFAR10, datasets.CIFAR100])
def test_cifar(tmp_path: Path, kind: Any) -> None:
    small, pixels = small_cifar(kind, tmp_path)
    found = small(tmp_path)
    assert len(found) == 3 * len(kind.train_list) and len(small(tmp_path, train=False)) == 3
    assert found.data.shape == (len(found), 32, 32, 3) and found.targets[:3] == [2, 0, 1]
    image, target = found[1]
    assert (image.mode, target, found.classes[target]) == ("RGB", 0, "cat")
    np.testing.assert_array_equal(
        np.asarray(image), pixels[1].reshape(3, 32, 32).transpose(1, 2, 0)
    )
    assert found.class_to_idx == {"cat": 0, "dog": 1, "ant": 2}


def test_a_damaged_batch_is_told_by_its_checksum(tmp_path: Path) -> None:
    small, _ = small_cifar(datasets.CIFAR10, tmp_path)
    path = tmp_path / small.base_folder / "data_batch_3"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    expected = dict(small.train_list)["data_batch_3"]
    with pytest.raises(
        ValueError, match=rf"data_batch_3: its MD5 checksum is \w+, expected {expected}"
    ):
        small(tmp_path)
    path.unlink()
    with pytest.raises(RuntimeError, match=r"there is no .*data_batch_3.*put the files into"):
        small(tmp_path)


def test_nothing_in_a_batch_is_run(tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    small, _ = small_cifar(datasets.CIFAR10, tmp_path / "a", Runs())
    with pytest.raises(ValueError, match="refused"):
        small(tmp_path / "a")
    assert not (tmp_path / "ran").exists()


# -- folders, noise --------------------------------------------------------------------------------


def test_image_folder(tmp_path: Path) -> None:
    for name, colour in (("cat", 10), ("dog", 20)):
        (tmp_path / name / "more").mkdir(parents=True)
        Image.new("L", (4, 3), colour).save(tmp_path / name / "b.PNG")
        Image.new("RGB", (4, 3), (colour,) * 3).save(tmp_path / name / "more" / "a.png")
        (tmp_path / name / "notes.txt").write_text("no image")
    found = datasets.ImageFolder(tmp_path)
    assert found.classes == ["cat", "dog"] and found.class_to_idx == {"cat": 0, "dog": 1}
    assert found.targets == [0, 0, 1, 1] and found.imgs is found.samples
    assert [Path(path).name for path, _ in found.samples[:2]] == ["b.PNG", "a.png"]
    image, target = found[2]
    assert (image.mode, image.getpixel((0, 0)), target) == ("RGB", (20, 20, 20), 1)
    only = datasets.ImageFolder(tmp_path, is_valid_file=lambda path: path.endswith("a.png"))
    assert len(only) == 2
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no valid file for the classes empty.*\.jpg"):
        datasets.ImageFolder(tmp_path)
    assert len(datasets.ImageFolder(tmp_path, allow_empty=True)) == 4
    with pytest.raises(FileNotFoundError, match="Couldn't find any class folder"):
        datasets.ImageFolder(tmp_path / "empty")
    with pytest.raises(ValueError, match="cannot be None or not None"):
        datasets.DatasetFolder(tmp_path, open)


def test_fake_data_are_the_same_each_time_and_leave_the_generator_alone() -> None:
    data = datasets.FakeData(4, (3, 5, 6), 7, transforms.PILToTensor())
    ag.manual_seed(1)
    wanted = ag.rand(3).tolist()
    ag.manual_seed(1)
    first, again = data[2], data[2]
    assert ag.rand(3).tolist() == wanted
    assert first[0].shape == (3, 5, 6) and first[0].equal(again[0]) and first[1] == again[1] < 7
    assert not first[0].equal(data[3][0])
    with pytest.raises(IndexError):
        data[4]


# -- fetching --------------------------------------------------------------------------------------


class _Files(BaseHTTPRequestHandler):
    """Serves the files of the class, and parts of them."""

    files: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[Any]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Range")))
        content = self.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:])

    def log_message(self, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Any:
    _Files.files, _Files.asked = {}, []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Files) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{made.server_port}/"
        made.shutdown()
        thread.join()


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def test_a_dataset_is_fetched_from_the_mirror_that_has_it(server: str, tmp_path: Path) -> None:
    write_mnist(tmp_path / "there", "MNIST", True)
    files = sorted((tmp_path / "there" / "MNIST" / "raw").iterdir())
    _Files.files = {f"/second/{f.name}": f.read_bytes() for f in files}
    listed = [(f.name, md5(f.read_bytes())) for f in files]
    mirrors = [f"{server}first/", f"{server}second/"]
    small = type("MNIST", (datasets.MNIST,), {"mirrors": mirrors, "resources": listed})
    found = small(tmp_path / "here", download=True)
    assert len(found) == 5
    asked = len(_Files.asked)
    assert len(small(tmp_path / "here", download=True)) == 5 and len(_Files.asked) == asked


def test_a_broken_transfer_goes_on_and_a_wrong_file_is_refused(server: str, tmp_path: Path) -> None:
    content = bytes(range(256)) * 40
    _Files.files = {"/a": content, "/b": b"another"}
    path = tmp_path / "new" / "a.bin"
    path.parent.mkdir()
    path.with_name("a.bin.part").write_bytes(content[:1000])
    download.fetch([f"{server}a"], path, md5(content))
    assert path.read_bytes() == content and _Files.asked == [("/a", "bytes=1000-")]
    with pytest.raises(
        RuntimeError,
        match=rf"(?s)c.bin could not be downloaded.*b: .*checksum.*put it into {path.parent}",
    ):
        download.fetch([f"{server}b", f"{server}absent"], path.with_name("c.bin"), md5(content))
    assert [p.name for p in path.parent.iterdir()] == ["a.bin"]
    path.write_bytes(b"damaged")
    with pytest.raises(ValueError, match="checksum"):
        download.fetch([f"{server}a"], path, md5(content))


def test_files_of_weights_come_the_same_way(server: str, tmp_path: Path) -> None:
    """`hub.download_url_to_file`: whole and with the right checksum, or as it was."""
    content = bytes(range(256)) * 9
    sha = hashlib.sha256(content).hexdigest()
    _Files.files = {f"/net-{sha[:8]}.bin": content}
    path, url = tmp_path / "new" / "net.bin", f"{server}net-{sha[:8]}.bin"
    hub.download_url_to_file(url, str(path), sha[:8], progress=False)
    assert path.read_bytes() == content
    path.write_bytes(b"before")
    with pytest.raises(ValueError, match="expected 0000"):
        hub.download_url_to_file(url, str(path), "0000")
    with pytest.raises(OSError, match="404"):
        hub.download_url_to_file(f"{server}absent", str(path))
    assert path.read_bytes() == b"before" and [p.name for p in path.parent.iterdir()] == ["net.bin"]
    hub.download_url_to_file(url, str(path))
    assert path.read_bytes() == content


def test_without_a_network_the_error_says_what_to_put_where(tmp_path: Path) -> None:
    closed = type("MNIST", (datasets.MNIST,), {"mirrors": ["http://127.0.0.1:9/"]})
    with pytest.raises(
        RuntimeError, match=r"(?s)train-images-idx3-ubyte.gz could not be.*127.0.0.1:9.*MNIST/raw"
    ):
        closed(tmp_path, download=True)


def test_files_by_the_names_of_torchvision(server: str, tmp_path: Path) -> None:
    utils = datasets.utils
    _Files.files = {"/a.txt.gz": gzip.compress(b"hello")}
    utils.download_and_extract_archive(
        f"{server}a.txt.gz", str(tmp_path / "x"), remove_finished=True
    )
    assert (tmp_path / "x" / "a.txt").read_bytes() == b"hello"
    assert utils.list_files(tmp_path / "x", ".txt") == ["a.txt"]
    assert utils.list_dir(tmp_path, prefix=True) == [str(tmp_path / "x")]
    assert utils.check_integrity(tmp_path / "x" / "a.txt", md5(b"hello"))
    assert not utils.check_md5(tmp_path / "x" / "a.txt", md5(b"hallo"))
    with pytest.raises(ValueError, match=r"'tran'.*did you mean train"):
        utils.verify_str_arg("tran", "split", ("train", "test"))


def test_older_names_of_mnist_say_the_new_one(tmp_path: Path) -> None:
    write_mnist(tmp_path, "MNIST", False)
    found = datasets.MNIST(tmp_path)
    with pytest.warns(UserWarning, match="train_labels has been renamed targets"):
        assert found.train_labels is found.targets


def test_archives_stay_in_their_folder(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "x", "../outside")
    with pytest.raises(ValueError, match="can't be unpacked"):
        download.extract(tmp_path / "a.tar.gz", tmp_path / "in")
    assert not (tmp_path / "outside").exists()
