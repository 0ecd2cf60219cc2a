"""NumPy's files: what NumPy writes and reads, and refusal of anything but numbers."""

import io
import zipfile

import numpy as np
import pytest

import argand as ag
from argand.base.dtype import ALL
from argand.base.errors import DTypeError, FormatError

DTYPES = [d.numpy for d in ALL if d.numpy.isbuiltin == 1]


def arrays():
    grid = np.arange(6).reshape(2, 3)
    return {
        **{str(d): grid.astype(d) for d in DTYPES},
        "columns": np.asfortranarray(grid.astype(np.float32)),
        "swapped": grid.astype(">f4"),
        "scalar": np.array(2.5),
        "empty": np.empty((0, 3)),
    }


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes(save, tmp_path):
    path = tmp_path / "x.npz"
    save(path, **arrays())
    for mmap in (False, True) if save is np.savez else (False,):
        found = ag.load(path, mmap=mmap)
        assert list(found) == list(arrays())
        for name, array in arrays().items():
            assert found[name].dtype.numpy == array.dtype.newbyteorder("=")
            np.testing.assert_array_equal(found[name], array)
    assert found["columns"].stride() == (1, 2)
    if save is np.savez_compressed:
        with pytest.raises(FormatError, match="is compressed, so it can't be mapped"):
            ag.load(path, mmap=True)
    for place in ({"cuda": "cpu"}, lambda storage, name: storage):
        with pytest.raises(ValueError, match="does not say on which devices"):
            ag.load(path, map_location=place)
    np.save(tmp_path / "x.npy", arrays()["columns"])
    np.testing.assert_array_equal(ag.load(tmp_path / "x.npy", mmap=True), arrays()["columns"])


def test_what_numpy_reads(tmp_path):
    path = tmp_path / "x.npz"
    ag.save(
        {name: ag.tensor(a.astype(a.dtype.newbyteorder("="))) for name, a in arrays().items()}, path
    )
    with np.load(path) as found:
        for name, array in arrays().items():
            np.testing.assert_array_equal(found[name], array)
    ag.save(ag.ones(2, 3).t(), tmp_path / "x.npy")
    assert np.load(tmp_path / "x.npy").shape == (3, 2)
    out = io.BytesIO()
    ag.save(np.ones(3), out, format="npy")
    out.seek(0)
    assert ag.load(out).tolist() == [1, 1, 1]


def test_what_can_t_be_saved(tmp_path):
    for bad, error in (
        ([ag.ones(1)], TypeError),
        ({"a": 1}, TypeError),
        ({"a": ag.ones(1, dtype=ag.bfloat16)}, TypeError),
        ({"a": ag.ones(1, dtype=ag.float8_e5m2)}, DTypeError),
        ({"a": np.array([object()])}, TypeError),
        ({"../a": ag.ones(1)}, ValueError),
    ):
        with pytest.raises(error):
            ag.save(bad, tmp_path / "x.npz")
    assert not list(tmp_path.iterdir())


def npy(header, data=b"", version=1):
    size = len(header).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + size + header.encode() + data


def described(descr="'<f4'", order="False", shape="(1,)"):
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


MALFORMED = {
    "objects are never read": npy(described("'|O'"), b"\x80\x04N."),
    "type '<U3' are none": npy(described("'<U3'"), bytes(12)),
    "type [('a', '<f4')] are none": npy(described("[('a', '<f4')]"), bytes(4)),
    "type '<f3' are none": npy(described("'<f3'"), bytes(3)),
    "a header that NumPy does not write": npy("__import__('os').system('true')"),
    "that NumPy does not write": npy(described(shape="(9,)*9"), bytes(4)),
    "takes 8 bytes, the file has 4": npy(described(shape="(2,)"), bytes(4)),
    "takes 4 bytes, the file has 5": npy(described(), bytes(5)),
    "a shape that no array has": npy(described(shape="(" + "9" * 30 + ",)"), bytes(4)),
    "no array has": npy(described(shape="(1,,1)"), bytes(4)),
    "a header that is too long": npy(" " * 20000 + described(), bytes(4)),
    "truncated, or a header": npy(described())[:40],
    "a boolean must be 0 or 1, got 7": npy(described("'|b1'"), b"\7"),
    "is not an array of NumPy": npy(described(), bytes(4), version=1).replace(b"Y\1", b"Y\7", 1),
}


@pytest.mark.parametrize("reason", MALFORMED)
def test_malformed_arrays_are_refused_with_the_reason(reason, tmp_path):
    path = tmp_path / "x.npy"
    path.write_bytes(MALFORMED[reason])
    with pytest.raises(FormatError) as caught:
        ag.load(path)
    assert reason in str(caught.value)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        file.writestr("good.npy", npy(described(), bytes(4)))
        file.writestr("bad.npy", MALFORMED[reason])
    with pytest.raises(FormatError) as caught:
        ag.load(tmp_path / "x.npz")
    assert reason in str(caught.value) and "'bad.npy'" in str(caught.value)
