"""The memory of a file, as readers of safetensors take it."""

import numpy as np

import argand as ag
from argand.tensor.storage import Storage


def test_a_file_is_read_through_its_storage(tmp_path):
    path = tmp_path / "bytes"
    path.write_bytes(np.arange(4, dtype="<f4").tobytes())
    whole = Storage.from_file(str(path), False, 16)
    assert whole.nbytes() == 16 == len(whole) and Storage.from_file(path, False, 8).size() == 8
    part = whole[4:12]
    found = ag.asarray(part, dtype=ag.uint8).view(dtype=ag.float32).reshape(2)
    assert found.tolist() == [1.0, 2.0]
    found[0] = 7.0
    assert path.read_bytes() == np.arange(4, dtype="<f4").tobytes()
    typed = ag.arange(3).storage()
    assert typed.untyped().size() == 24 and len(typed[1:]) == 2 and typed[0] == 0


def test_a_shared_file_is_written(tmp_path):
    path = tmp_path / "bytes"
    path.write_bytes(bytes(4))
    storage = Storage.from_file(path, True, 4)
    np.asarray(storage)[1] = 9
    del storage
    assert path.read_bytes() == bytes([0, 9, 0, 0])
