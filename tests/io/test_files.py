"""Safetensors and archives: round trips, foreign readers, and refusal of malformed files."""

import json
import os
import pickle
import struct
from collections import OrderedDict

import numpy as np
import pytest
import safetensors.numpy

import argand as ag
from argand import io, nn, optim
from argand.base.errors import FormatError

ALL = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32"]
ALL += ["float64", "complex64", "uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2"]
ALL += ["float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"]


def test_round_trip_of_every_dtype(tmp_path):
    rng = np.random.default_rng(0)
    tensors = {d: ag.tensor(rng.integers(0, 2, (3, 2))).to(getattr(ag, d)) for d in ALL}
    tensors |= {"scalar": ag.tensor(2.5), "empty": ag.zeros(0, 3), "näme/α": ag.ones(1)}
    path = tmp_path / "x.safetensors"
    io.save_file(tensors, path, {"made by": "a test"})
    loaded = io.load_file(path)
    assert set(loaded) == set(tensors)
    for name, t in tensors.items():
        assert loaded[name].dtype is t.dtype and loaded[name].shape == t.shape
        np.testing.assert_array_equal(loaded[name].numpy(), t.numpy())
    assert io.load_metadata(path) == {"made by": "a test"}


def test_the_reference_library_reads_and_writes_the_same(tmp_path):
    arrays = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.array([True, False, True])}
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    io.save_file(arrays, ours, {"k": "v"})
    safetensors.numpy.save_file(arrays, theirs, {"k": "v"})
    assert ours.read_bytes() == theirs.read_bytes()
    for name, array in safetensors.numpy.load_file(ours).items():
        np.testing.assert_array_equal(array, arrays[name])
    for name, t in io.load_file(theirs).items():
        np.testing.assert_array_equal(t.numpy(), arrays[name])


def test_views_and_strided_arrays_are_saved_as_they_look(tmp_path):
    t = ag.arange(6.0).reshape(2, 3).t()
    io.save_file({"t": t}, tmp_path / "x")
    np.testing.assert_array_equal(io.load_file(tmp_path / "x")["t"].numpy(), t.numpy())


def test_loaded_tensors_can_be_written(tmp_path):
    io.save_file({"t": ag.zeros(2)}, tmp_path / "x")
    t = io.load_file(tmp_path / "x")["t"]
    t.fill_(1.0)
    assert io.load_file(tmp_path / "x")["t"].tolist() == [0.0, 0.0]


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "x"
    io.save_file({"t": ag.zeros(2)}, path)
    before = path.read_bytes()
    with pytest.raises(TypeError, match="can't be saved"):
        io.save_file({"t": np.array([object()])}, path)
    with pytest.raises(TypeError, match="t: elements of type complex128 can't be saved"):
        io.save_file({"t": ag.zeros(1, dtype=ag.complex128)}, path)
    with pytest.raises(TypeError, match="strings to strings"):
        io.save_file({}, path, {"a": 1})
    with pytest.raises(ValueError, match="under the name '__metadata__'"):
        io.save_file({"__metadata__": ag.zeros(1)}, path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["x"]


def crafted(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


MALFORMED = {
    "not a safetensors file, or truncated": b"abc",
    "not a safetensors file (header too large)": struct.pack("<Q", 1 << 60) + b"{}",
    "truncated: the file is shorter than its header": crafted({}, length=100),
    "bad header (invalid JSON": crafted(b"{nope"),
    "bad header (invalid UTF-8": crafted(b"\xff\xfe"),
    "bad header (invalid JSON in header: invalid type: sequence": crafted([]),
    "bad header: a name appears twice": crafted(
        b'{"a":%b,"a":%b}' % ((json.dumps(entry()).encode(),) * 2), bytes(4)
    ),
    "missing field `shape`": crafted({"a": {"dtype": "F32"}}),
    "unknown or unsupported dtype (invalid JSON in header: unknown variant `F31`": crafted(
        {"a": entry("F31")}, bytes(4)
    ),
    "expected string or map": crafted({"a": entry(["F32"])}, bytes(4)),
    "unknown or unsupported dtype 'F4'": crafted({"a": entry("F4", (8,))}, bytes(4)),
    "a shape is too large": crafted({"a": entry(shape=(1 << 40, 1 << 40))}, bytes(4)),
    "invalid value: integer `-1`, expected usize": crafted({"a": entry(shape=(-1,))}, bytes(4)),
    "invalid length 3, expected 2 elements": crafted({"a": entry(offsets=(0, 2, 4))}, bytes(4)),
    "shape and dtype don't take the bytes": crafted({"a": entry(shape=(2,))}, bytes(4)),
    "overlap another tensor's or leave a hole (invalid offset for tensor `b`": crafted(
        {"a": entry(), "b": entry(offsets=(2, 6))}, bytes(6)
    ),
    "overlap another tensor's or leave a hole (invalid offset for tensor `a`": crafted(
        {"a": entry(offsets=(4, 8))}, bytes(8)
    ),
    "truncated: the tensors take 4 bytes, the file has 2": crafted({"a": entry()}, bytes(2)),
    "4 bytes after the last tensor": crafted({"a": entry()}, bytes(8)),
    "invalid type: integer `1`, expected a string": crafted({"__metadata__": {"a": 1}}),
    "must be 0 or 1, got 7": crafted({"a": entry("BOOL", (1,), (0, 1))}, b"\x07"),
    "more dimensions": crafted({"a": entry(shape=[1] * 70)}, bytes(4)),
}


@pytest.mark.parametrize("reason", MALFORMED)
@pytest.mark.parametrize("load", [io.load_file, io.load], ids=["load_file", "load"])
def test_malformed_files_are_refused_with_the_reason(reason, load, tmp_path):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(MALFORMED[reason])
    with pytest.raises(FormatError) as caught:
        load(path)
    assert reason in str(caught.value)
    assert "bad.safetensors" in str(caught.value)


def test_files_of_other_forms_are_named(tmp_path):
    for data in (pickle.dumps({"weight": [1.0]}, protocol=2), b"PK\x03\x04" + bytes(60)):
        (tmp_path / "x").write_bytes(data)
        with pytest.raises(FormatError, match=r"use ag\.load"):
            io.load_file(tmp_path / "x")


def test_a_header_whose_length_begins_as_a_pickle(tmp_path):
    header = json.dumps({"a": entry()}).encode().ljust(0x280)
    (tmp_path / "x").write_bytes(crafted(header, np.ones(1, np.float32).tobytes()))
    assert (tmp_path / "x").read_bytes()[:2] == b"\x80\x02"
    assert ag.load(tmp_path / "x")["a"].tolist() == [1.0]


def test_every_truncation_is_refused(tmp_path):
    path = tmp_path / "x"
    io.save_file({"a": ag.arange(3.0), "b": ag.ones(2, 2)}, path, {"k": "v"})
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(FormatError):
            io.load_file(path)


def test_random_damage_is_an_error_or_harmless(tmp_path):
    path = tmp_path / "x"
    io.save({"a": ag.arange(3.0), "b": [1, (2.5, "text")]}, path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            damaged[rng.integers(len(damaged))] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            found = io.load(path)
        except FormatError:
            refused += 1
        else:  # the damage lies in the numbers, or in names and text
            assert isinstance(found, dict)
    assert 100 < refused < 300


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        io.load(tmp_path / "nothing")


def test_archive_round_trip(tmp_path):
    tree = {
        "model": OrderedDict(weight=ag.ones(2, 3), bias=ag.zeros(3).to(ag.bfloat16)),
        "epoch": 3,
        "big": 1 << 70,
        "loss": 0.1 + 0.2,
        "best": float("inf"),
        "nothing": None,
        "flags": [True, (False, "text"), {1, 2}],
        7: {"array": np.arange(3), None: [], 2.5: ag.float16},
    }
    path = tmp_path / "archive"
    ag.save(tree, path)
    back = ag.load(path)
    assert list(back) == list(tree) and isinstance(back["model"], OrderedDict)
    assert back["epoch"] == 3 and back["big"] == 1 << 70 and back["loss"] == 0.1 + 0.2
    assert back["best"] == float("inf") and back["nothing"] is None
    assert back["flags"] == tree["flags"]
    np.testing.assert_array_equal(back[7]["array"], np.arange(3))
    assert isinstance(back[7]["array"], np.ndarray)
    assert back[7][None] == [] and back[7][2.5] is ag.float16
    assert back["model"]["bias"].dtype is ag.bfloat16
    assert set(io.load_file(path)) == {"model.weight", "model.bias", "7.array"}


def test_a_state_dict_is_a_plain_safetensors_file(tmp_path):
    layer = nn.Linear(2, 3)
    ag.save(layer.state_dict(), tmp_path / "x")
    assert set(safetensors.numpy.load_file(tmp_path / "x")) == {"weight", "bias"}
    fresh = nn.Linear(2, 3)
    fresh.load_state_dict(ag.load(tmp_path / "x"))
    np.testing.assert_array_equal(fresh.weight.detach().numpy(), layer.weight.detach().numpy())


def test_a_foreign_file_gives_its_tensors(tmp_path):
    safetensors.numpy.save_file({"a": np.ones(2, np.float32)}, tmp_path / "x")
    assert ag.load(tmp_path / "x")["a"].tolist() == [1.0, 1.0]


def test_optimizer_state_survives(tmp_path):
    def build():
        ag.manual_seed(0)
        layer = nn.Linear(3, 2)
        return layer, optim.Adam(layer.parameters(), lr=0.1)

    def step(layer, optimizer):
        optimizer.zero_grad()
        layer(ag.ones(4, 3)).pow(2).sum().backward()
        optimizer.step()

    layer, optimizer = build()
    step(layer, optimizer)
    ag.save({"model": layer.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "x")
    step(layer, optimizer)
    other, resumed = build()
    saved = ag.load(tmp_path / "x")
    other.load_state_dict(saved["model"])
    resumed.load_state_dict(saved["optimizer"])
    step(other, resumed)
    np.testing.assert_array_equal(other.weight.detach().numpy(), layer.weight.detach().numpy())


def test_what_can_t_be_saved_is_named(tmp_path):
    with pytest.raises(TypeError, match=r"can't save a Linear \(at a.1\).*state_dict"):
        ag.save({"a": [1, nn.Linear(1, 1)]}, tmp_path / "x")
    with pytest.raises(TypeError, match="key of type tuple"):
        ag.save({(1, 2): 3}, tmp_path / "x")
    assert not (tmp_path / "x").exists()
    with (tmp_path / "y").open("wb") as file, pytest.raises(TypeError, match="takes a path"):
        ag.save({}, file, format="safetensors")


def test_a_forged_tree_can_t_do_anything(tmp_path):
    forged = ['["exec","print(1)"]', '["tensor","absent",false]', "{}", "[", '["dict",["a"]]', "[]"]
    for tree in forged:
        io.save_file({"t": ag.zeros(1)}, tmp_path / "x", {"argand.tree": tree})
        with pytest.raises(FormatError, match="its tree"):
            ag.load(tmp_path / "x")


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder to write a\.safetensors into: .*b'"):
        io.save({"x": ag.ones(2)}, tmp_path / "b" / "a.safetensors")
