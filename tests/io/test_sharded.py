"""Several files with an index; and safetensors by memory map."""

import json
import mmap

import numpy as np
import pytest

import argand as ag
from argand import io
from argand.base.errors import FormatError


def tensors():
    return {f"layer.{i}": ag.arange(10.0) + i for i in range(5)}


def check(found):
    assert list(found) == list(tensors())
    for name, t in tensors().items():
        np.testing.assert_array_equal(found[name], t)


def test_shards_and_their_index(tmp_path):
    io.save_sharded(tensors(), tmp_path / "model.safetensors", "100B", {"made": "here"})
    names = [f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)]
    assert sorted(p.name for p in tmp_path.iterdir()) == [*names, "model.safetensors.index.json"]
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"] == {"total_size": 200}
    assert io.load_metadata(tmp_path / names[0]) == {"made": "here"}
    for option in (False, True):
        check(ag.load(tmp_path / "model.safetensors.index.json", mmap=option))
    io.save_sharded(tensors(), tmp_path / "one.safetensors")
    check(ag.load(tmp_path / "one.safetensors"))
    with pytest.raises(ValueError, match="as '5GB', got 'much'"):
        io.save_sharded(tensors(), tmp_path / "x", "much")


def test_shards_of_pytorch(tmp_path):
    parts = list(tensors().items())
    for i, part in enumerate((parts[:2], parts[2:])):
        ag.save(dict(part), tmp_path / f"pytorch_model-{i}.bin")
    files = {name: f"pytorch_model-{int(i >= 2)}.bin" for i, (name, _) in enumerate(parts)}
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": files}))
    check(ag.load(index))
    check(ag.load(str(index), map_location="cpu", mmap=True))


BAD = {
    "not a valid index": "{",
    "without a weight_map": "[]",
    "without a weight": '{"weight_map": []}',
    "a name appears twice": '{"weight_map": {}, "weight_map": {}}',
    "which is no file beside it": '{"weight_map": {"a": "../x"}}',
    "is no file beside it": '{"weight_map": {"a": "/etc/passwd"}}',
    "no file beside it": '{"weight_map": {"a": 3}}',
    "is in another index": '{"weight_map": {"a": "bad.index.json"}}',
    "its file 'absent' is missing": '{"weight_map": {"a": "absent"}}',
    "has no tensor 'a'": '{"weight_map": {"a": "x"}}',
    "has no tensors by their names": '{"weight_map": {"a": "list.pt"}}',
    "recursion": '{"weight_map": ' + "[" * 100000,
}


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_index_is_refused_with_the_reason(reason, tmp_path):
    io.save_file({"b": ag.ones(1)}, tmp_path / "x")
    ag.save([1], tmp_path / "list.pt")
    (tmp_path / "bad.index.json").write_text(BAD[reason])
    with pytest.raises(FormatError, match=reason):
        ag.load(tmp_path / "bad.index.json")


def test_a_mapped_file(tmp_path):
    path = tmp_path / "x.safetensors"
    kinds = {d: ag.arange(5).to(d) for d in ("int8", "bool", "bfloat16", "float64", "complex64")}
    io.save_file(kinds, path)
    before = path.read_bytes()
    for found in (io.load_file(path, mmap=True), ag.load(path, mmap=True)):
        for name, t in kinds.items():
            assert found[name].dtype is t.dtype and found[name].tolist() == t.tolist()
        memory = found["float64"].numpy_array()
        while isinstance(memory, np.ndarray):
            memory = memory.base
        assert isinstance(memory.obj, mmap.mmap)
        found["float64"].fill_(9)
    assert path.read_bytes() == before
