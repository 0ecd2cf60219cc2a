"""Files with bytes changed, cut, repeated: each is read or refused with a FormatError.

The short suite tries some of each form, the slow one thousands. Memory is bounded: no file may make
`load` take more than some multiple of what it is.
"""

import io
import pathlib
import resource
import struct
import zipfile

import numpy as np
import pytest

import argand as ag
from argand.base.errors import FormatError
from argand.io.zipped import ZipWriter

FILES = pathlib.Path(__file__).parent / "files"
MOST = 64 << 20  # bytes, beyond what the process had


def own(suffix, tree):
    def make(folder):
        path = folder / f"own{suffix}"
        ag.save(tree, path)
        return path.read_bytes()

    return make


def compressed(folder):
    np.savez_compressed(folder / "c.npz", a=np.arange(50.0), b=np.zeros((2, 3), bool))
    return (folder / "c.npz").read_bytes()


def foreign(name):
    return lambda folder: (FILES / name).read_bytes()


TREE = {"a": [ag.arange(3.0), (1, "text")], "b": ag.ones(2, dtype=ag.bool)}
FORMS = {
    "zip.pt": foreign("zip.pt"),
    "protocol4.pt": foreign("protocol4.pt"),
    "legacy.pt": foreign("legacy.pt"),
    "tar.pt": foreign("tar.pt"),
    "module.pt": foreign("module.pt"),
    "own.pt": own(".pt", TREE),
    "own.safetensors": own(".safetensors", TREE),
    "own.npz": own(".npz", {"a": ag.arange(6.0).reshape(2, 3), "b": ag.ones(1)}),
    "own.npy": own(".npy", ag.arange(6.0).reshape(2, 3)),
    "compressed.npz": compressed,
    "model.keras": foreign("model.keras"),
    "model.h5": foreign("model.h5"),
    "model.weights.h5": foreign("model.weights.h5"),
}


def mutated(data, rng):
    """The data with some bits, bytes or lengths changed, cut off, or repeated elsewhere."""
    data = bytearray(data)
    kind, at = rng.integers(6), int(rng.integers(len(data)))
    if kind == 0:
        return bytes(data[:at])
    if kind == 1:
        data[at] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        for place in rng.integers(len(data), size=rng.integers(1, 6)):
            data[place] = rng.integers(256)
    elif kind == 3:  # a length
        number = int(rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1]))
        form = "<I" if number < 1 << 32 and rng.integers(2) else "<Q"
        new = struct.pack(form, number)
        data[at : at + len(new)] = new
    else:
        start, size = int(rng.integers(len(data))), int(rng.integers(1, 60))
        piece = data[start : start + size]
        data[at : at if kind == 4 else at + size] = piece
    return bytes(data)


def in_archive(mutant):
    """Pickled data in an archive whose checksums are right, with the storages of zip.pt."""
    out = io.BytesIO()
    writer = ZipWriter(out.write)
    with zipfile.ZipFile(FILES / "zip.pt") as file:
        for name in file.namelist():
            writer.add(name, mutant if name.endswith("data.pkl") else file.read(name))
    writer.close()
    return out.getvalue()


def touched(x):
    """Read all that was loaded."""
    if isinstance(x, dict):
        return [touched(v) for v in x.values()]
    if isinstance(x, list | tuple):
        return [touched(v) for v in x]
    return x.numpy_array().tobytes() if isinstance(x, ag.Tensor) and x.numel() < 1e6 else None


def check_mutants(whole, path, count, wrap=lambda mutant: mutant):
    rng = np.random.default_rng(0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = 0
    for i in range(count):
        path.write_bytes(wrap(mutated(whole, rng)))
        source = path if i % 2 else io.BytesIO(path.read_bytes())
        try:
            touched(ag.load(source, map_location="cpu"))
        except FormatError as e:
            refused += 1
            assert str(e).startswith(str(path) if i % 2 else "the open file")
    assert refused > count // 20
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < MOST


def skip_without(name):
    if name.startswith("model."):
        pytest.importorskip("h5py", reason="h5py is not installed")


@pytest.mark.parametrize("name", FORMS)
def test_some_mutants(name, tmp_path):
    skip_without(name)
    check_mutants(FORMS[name](tmp_path), tmp_path / name, 30)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_many_mutants(name, tmp_path):
    skip_without(name)
    check_mutants(FORMS[name](tmp_path), tmp_path / name, 3000)


def pickled(name):
    with zipfile.ZipFile(FILES / name) as file:
        return file.read(next(n for n in file.namelist() if n.endswith("data.pkl")))


@pytest.mark.parametrize("name", ["zip.pt", "protocol4.pt"])
def test_some_changed_instructions(name, tmp_path):
    check_mutants(pickled(name), tmp_path / "x.pt", 100, in_archive)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["zip.pt", "protocol4.pt"])
def test_many_changed_instructions(name, tmp_path):
    check_mutants(pickled(name), tmp_path / "x.pt", 10_000, in_archive)
