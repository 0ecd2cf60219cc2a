"""Weights of Keras: what Keras wrote (`make_keras_files.py`); what leads elsewhere is refused."""

import io
import pathlib
import sys
import zipfile

import numpy as np
import pytest

import argand as ag
from argand.base.errors import FormatError, MissingExtraError

FILES = pathlib.Path(__file__).parent / "files"
SHAPES = [(2, 3), (3,), (3, 1), (1,)]
NAMES = {
    "model.keras": [f"layers/dense{n}/vars/{i}" for n in ("", "_1") for i in (0, 1)],
    "model.weights.h5": [f"layers/dense{n}/vars/{i}" for n in ("", "_1") for i in (0, 1)],
    "model.h5": [
        f"model_weights/{layer}/net/{layer}/{part}"
        for layer in ("first", "last")
        for part in ("kernel", "bias")
    ],
}


def test_the_package_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    for name in NAMES:
        with pytest.raises(MissingExtraError, match=r"argand\[keras\]"):
            ag.load(FILES / name)


def test_the_config_is_data():
    config = ag.io.load_keras_config(FILES / "model.keras")
    (code,) = (x for x in config["config"]["layers"] if x["class_name"] == "Lambda")
    assert isinstance(code["config"]["function"]["config"]["code"], str)
    with pytest.raises(FormatError, match="not a file of Keras"):
        ag.io.load_keras_config(FILES / "zip.pt")
    for text, reason in ((b"[" * 100000, "not valid JSON"), (b"\xff", "not UTF-8")):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as file:
            file.writestr("config.json", text)
            file.writestr("model.weights.h5", b"")
        out.seek(0)
        with pytest.raises(FormatError, match=reason):
            ag.io.load_keras_config(out)


@pytest.mark.parametrize("name", NAMES)
def test_weights(name):
    pytest.importorskip("h5py", reason="h5py is not installed")
    found = ag.load(FILES / name)
    assert {k for k in found if "optimizer" not in k} == set(NAMES[name])
    for i, (key, shape) in enumerate(zip(NAMES[name], SHAPES, strict=True)):
        expected = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) + 10 * i
        np.testing.assert_array_equal(found[key], expected)
    assert list(ag.load(io.BytesIO((FILES / name).read_bytes()))) == list(found)


def test_the_config_of_a_whole_model():
    pytest.importorskip("h5py", reason="h5py is not installed")
    assert ag.io.load_keras_config(FILES / "model.h5")["class_name"] == "Sequential"
    with pytest.raises(FormatError, match="without the config of a model"):
        ag.io.load_keras_config(FILES / "model.weights.h5")


def hdf5(fill):
    """The bytes of a file that a function fills."""
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        fill(h5py, file)
    out.seek(0)
    return out


def external_link(h5py, file):
    file["a"] = h5py.ExternalLink("/etc/passwd", "/a")


def soft_link(h5py, file):
    file["a"] = h5py.SoftLink("/b")


def external_storage(h5py, file):
    file.create_dataset("a", (4,), "f4", external=[("/etc/passwd", 0, 16)])


def virtual(h5py, file):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "a", (4,))
    file.create_virtual_dataset("a", layout)


def ring(h5py, file):
    file.create_group("a")["b"] = file["/"]


def deep(h5py, file):
    file.create_group("/".join("a" * 150))


def bomb(h5py, file):
    file.create_dataset("a", (1 << 30,), "f4", chunks=(1 << 16,), compression="gzip")


def texts(h5py, file):
    file["a"] = ["x", "y"]


def objects(h5py, file):
    file["a"] = np.zeros(2, [("x", "f4"), ("y", "i4")])


def other_filter(h5py, file):
    file.create_dataset("a", (4,), "f4", chunks=(4,), compression="lzf")


def nothing(h5py, file):
    file["a"] = h5py.Empty("f4")


BAD = {
    "'a' is a link to somewhere else": external_link,
    "is a link to somewhere": soft_link,
    "has its elements in another file": external_storage,
    "its elements in another file": virtual,
    "is inside itself, or too deep": ring,
    "or too deep": deep,
    "4294967296 when they are read are refused": bomb,
    "elements of type": texts,
    "which Argand lacks": objects,
    "compressed in a way not known here": other_filter,
    "has no elements and no shape": nothing,
}


@pytest.mark.parametrize("reason", BAD)
def test_what_leads_elsewhere_is_refused_with_the_reason(reason):
    with pytest.raises(FormatError, match=reason):
        ag.load(hdf5(BAD[reason]))


def test_compressed_datasets_and_other_byte_orders():
    def fill(h5py, file):
        file.create_dataset("a", data=np.arange(100.0), compression="gzip", shuffle=True)
        file.create_dataset("b/10", data=np.arange(3, dtype=">i4"))
        file.create_dataset("b/9", data=np.array(True))

    found = ag.load(hdf5(fill))
    assert list(found) == ["a", "b/9", "b/10"]
    np.testing.assert_array_equal(found["a"], np.arange(100.0))
    assert found["b/10"].tolist() == [0, 1, 2] and found["b/9"].item() is True
