"""Writes the files of other programs that the tests read: tests/io/files.

    python tests/io/make_files.py            # PyTorch's; it needs torch 2.13

The contents are those that `test_torch_files.py` expects.
"""

import io
import pickle
import struct
import sys
import tarfile
import zipfile
from collections import OrderedDict
from pathlib import Path

import torch

FILES = Path(__file__).parent / "files"


class Net(torch.nn.Module):
    """A module, saved whole."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)


def contents():
    """What the files have in them."""
    base = torch.arange(12.0).reshape(3, 4)
    state = OrderedDict(weight=torch.nn.Parameter(torch.ones(2, 3)), bias=torch.zeros(2))
    state._metadata = OrderedDict([("", {"version": 1})])
    return {
        "model": state,
        "base": base,
        "row": base[1],
        "transposed": base.t(),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "empty": torch.empty(0, 3),
        "half": torch.tensor([1.5, -2.0]).to(torch.bfloat16),
        "flags": torch.tensor([True, False]),
        "conj": torch.tensor([1 + 2j, 3 - 1j]).conj(),
        "wanted": torch.ones(2, requires_grad=True),
        "epoch": 3,
        "lr": 0.5,
        "notes": ["a", ("b", None, True), b"\x00\xff", {1, 2}, 1 + 2j],
        "kinds": [torch.float16, torch.device("cpu"), torch.Size([2, 3])],
    }


def tar(path):
    """The form before 0.2, which nothing writes any more: two tensors on one storage."""
    storage = torch.arange(6.0)
    parts = {"storages": io.BytesIO(), "tensors": io.BytesIO(), "pickle": io.BytesIO()}
    out = parts["storages"]
    pickle.dump(1, out, 2)
    pickle.dump((11, "cpu", torch.FloatStorage), out, 2)
    out.write(struct.pack("<q", 6) + storage.numpy().tobytes())
    pickle.dump([(12, 11, 2, 3)], out, 2)
    out = parts["tensors"]
    pickle.dump(2, out, 2)
    for key, root, size, stride in ((21, 11, (2, 3), (3, 1)), (22, 12, (3,), (1,))):
        pickle.dump((key, root, torch.FloatTensor), out, 2)
        out.write(struct.pack("<ii", len(size), 0))
        out.write(struct.pack(f"<{2 * len(size) + 1}q", *size, *stride, 0))

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            return obj.key if isinstance(obj, Key) else None

    Pickler(parts["pickle"], 2).dump(OrderedDict(a=Key(21), b=Key(22)))
    with tarfile.open(path, "w:", format=tarfile.USTAR_FORMAT) as file:
        for name, part in parts.items():
            info = tarfile.TarInfo(name)
            info.size = len(part.getvalue())
            part.seek(0)
            file.addfile(info, part)


class Key:
    """What stands for a tensor."""

    def __init__(self, key):
        self.key = key


def big_endian(source, path):
    """A file as a machine with the other byte order writes it; its storages are of 4 bytes."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith("byteorder"):
                data = b"big"
            elif "/data/" in name:
                data = b"".join(data[i : i + 4][::-1] for i in range(0, len(data), 4))
            new.writestr(zipfile.ZipInfo(name), data)


def main():
    """Write them all."""
    FILES.mkdir(exist_ok=True)
    torch.manual_seed(0)
    torch.save(contents(), FILES / "zip.pt")
    torch.save(contents(), FILES / "protocol4.pt", pickle_protocol=4)
    torch.save(contents(), FILES / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(Net(), FILES / "module.pt")
    torch.jit.script(torch.nn.Linear(1, 1)).save(str(FILES / "script.pt"))
    torch.save({"a": torch.arange(3.0), "b": torch.tensor([7], dtype=torch.int32)}, FILES / "x.pt")
    big_endian(FILES / "x.pt", FILES / "big_endian.pt")
    (FILES / "x.pt").unlink()
    torch.save([torch.ones(2)], FILES / "gpu.pt")
    data = (FILES / "gpu.pt").read_bytes()
    with zipfile.ZipFile(FILES / "gpu.pt") as old:
        records = {name: old.read(name) for name in old.namelist()}
    assert b"X\3\0\0\0cpu" in data
    with zipfile.ZipFile(FILES / "gpu.pt", "w") as new:
        for name, data in records.items():
            moved = data.replace(b"X\3\0\0\0cpu", b"X\6\0\0\0cuda:0")
            new.writestr(zipfile.ZipInfo(name), moved)
    tar(FILES / "tar.pt")
    old = torch.load(FILES / "tar.pt", weights_only=False)
    assert old["a"].tolist() == [[0, 1, 2], [3, 4, 5]] and old["b"].tolist() == [2, 3, 4]
    assert torch.load(FILES / "big_endian.pt")["a"].tolist() == [0, 1, 2]
    optimizer(FILES / "optimizer.pt")


def optimizer(path):
    """A model and Adam after two steps, and the model after a third."""
    layer = torch.nn.Linear(2, 1)
    adam = torch.optim.Adam(layer.parameters(), lr=0.1)
    saved = {}
    for i in range(3):
        if i == 2:
            saved["model"] = {k: v.clone() for k, v in layer.state_dict().items()}
            buffer = io.BytesIO()
            torch.save(adam.state_dict(), buffer)
            buffer.seek(0)
            saved["optimizer"] = torch.load(buffer)
        adam.zero_grad()
        layer(torch.ones(3, 2)).pow(2).sum().backward()
        adam.step()
    saved["after"] = layer.state_dict()
    torch.save(saved, path)


if __name__ == "__main__":
    sys.exit(main())
