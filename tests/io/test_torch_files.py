"""PyTorch's files: what PyTorch wrote is read, what Argand wrote is read back, the rest refused.

The files of `files/` are PyTorch's own (`make_files.py` writes them).
"""

import io
import mmap
import pathlib
import struct
import threading
import zipfile
from collections import Counter, OrderedDict

import numpy as np
import pytest

import argand as ag
from argand import nn, optim
from argand.base.errors import FormatError
from argand.io.zipped import ZipWriter

FILES = pathlib.Path(__file__).parent / "files"


def check_contents(found):
    """What `make_files.contents` puts into a file."""
    model = found["model"]
    assert type(model) is OrderedDict and model._metadata == {"": {"version": 1}}
    assert isinstance(model["weight"], nn.Parameter) and model["weight"].requires_grad
    np.testing.assert_array_equal(model["weight"].detach(), np.ones((2, 3), np.float32))
    base = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(found["base"], base)
    np.testing.assert_array_equal(found["row"], base[1])
    np.testing.assert_array_equal(found["transposed"], base.T)
    assert found["transposed"].stride() == (1, 4)
    assert found["scalar"].dtype is ag.float64 and found["scalar"].item() == 2.5
    assert found["empty"].shape == (0, 3)
    assert found["half"].dtype is ag.bfloat16 and found["half"].tolist() == [1.5, -2.0]
    assert found["flags"].tolist() == [True, False]
    assert found["conj"].tolist() == [1 - 2j, 3 + 1j]
    assert found["wanted"].requires_grad and found["wanted"].is_leaf
    assert found["epoch"] == 3 and found["lr"] == 0.5
    assert found["notes"] == ["a", ("b", None, True), b"\x00\xff", {1, 2}, 1 + 2j]
    assert found["kinds"] == [ag.float16, ag.device("cpu"), ag.Size([2, 3])]
    found["base"].mul_(2)  # one memory
    np.testing.assert_array_equal(found["row"], 2 * base[1])
    np.testing.assert_array_equal(found["transposed"], 2 * base.T)


@pytest.mark.parametrize("name", ["zip", "protocol4", "legacy"])
def test_files_of_pytorch(name):
    path = FILES / f"{name}.pt"
    check_contents(ag.load(path))
    check_contents(ag.load(str(path), weights_only=True))
    check_contents(ag.load(io.BytesIO(path.read_bytes()), map_location="cpu"))
    with path.open("rb") as file:
        check_contents(ag.load(file, weights_only=False))


def test_the_oldest_form_and_the_other_byte_order():
    found = ag.load(FILES / "tar.pt")
    assert found["a"].tolist() == [[0, 1, 2], [3, 4, 5]] and found["b"].tolist() == [2, 3, 4]
    found["a"][0, 2] = 7.0
    assert found["b"].tolist() == [7, 3, 4]
    found = ag.load(FILES / "big_endian.pt")
    assert found["a"].tolist() == [0, 1, 2] and found["b"].tolist() == [7]


def test_a_mapped_file_is_written_to_in_memory_only(tmp_path):
    path = tmp_path / "x.pt"
    path.write_bytes((FILES / "zip.pt").read_bytes())
    found = ag.load(path, mmap=True)
    memory = found["base"].numpy_array()
    while isinstance(memory, np.ndarray):
        memory = memory.base
    assert isinstance(memory.obj, mmap.mmap)
    check_contents(found)
    assert path.read_bytes() == (FILES / "zip.pt").read_bytes()
    with pytest.raises(FormatError, match=r"mmap=True takes .* the zip form"):
        ag.load(FILES / "legacy.pt", mmap=True)
    with path.open("rb") as file, pytest.raises(ValueError, match="give the path"):
        ag.load(file, mmap=True)


def test_an_optimizer_goes_on_where_pytorch_stopped():
    saved = ag.load(FILES / "optimizer.pt")
    layer = nn.Linear(2, 1)
    layer.load_state_dict(saved["model"])
    adam = optim.Adam(layer.parameters(), lr=0.1)
    adam.load_state_dict(saved["optimizer"])
    layer(ag.ones(3, 2)).pow(2).sum().backward()
    adam.step()
    for name, value in saved["after"].items():
        np.testing.assert_allclose(
            layer.state_dict()[name].numpy(), value.numpy(), rtol=1e-6, atol=1e-7
        )


@pytest.mark.parametrize("kind", ["Adam", "AdamW", "NAdam", "RAdam", "Adagrad", "RMSprop"])
def test_the_steps_of_parameters_are_saved_apart(kind, tmp_path):
    """PyTorch advances the count in place, once for each parameter."""
    layer = nn.Linear(2, 1)
    optimizer = getattr(optim, kind)(layer.parameters(), lr=0.1)
    layer(ag.ones(3, 2)).pow(2).sum().backward()
    optimizer.step()
    ag.save(optimizer.state_dict(), tmp_path / "x.pt")
    state = ag.load(tmp_path / "x.pt")["state"]
    state[0]["step"].add_(1)
    assert state[0]["step"].item() == 2 and state[1]["step"].item() == 1


def test_places():
    path = FILES / "gpu.pt"
    for place in ("cpu", ag.device("cpu"), {"cuda:0": "cpu"}, lambda storage, name: storage.cpu()):
        assert ag.load(path, map_location=place)[0].tolist() == [1, 1]
    asked = []
    ag.load(
        path, map_location=lambda storage, name: asked.append((storage.nbytes(), name)) or storage
    )
    assert asked == [(8, "cuda:0")]
    for place in (None, {"cuda:1": "cpu"}, lambda storage, name: None):
        with pytest.raises(RuntimeError, match=r"saved on 'cuda:0'.*map_location='cpu'"):
            ag.load(path, map_location=place)
    with pytest.raises(TypeError, match="must return the storage"):
        ag.load(path, map_location=lambda storage, name: 3)
    with pytest.raises(TypeError, match="map_location must be a device"):
        ag.load(path, map_location=3.5)
    with pytest.raises(RuntimeError):
        ag.load(path, map_location=lambda storage, name: storage.cuda(0))


def test_modules_and_programs_are_refused_with_the_way_to_do_it():
    with pytest.raises(FormatError, match=r"asks for __main__\.Net.*torch\.nn.*state_dict\(\)"):
        ag.load(FILES / "module.pt")
    with pytest.raises(FormatError, match=r"TorchScript.*state_dict\(\)"):
        ag.load(FILES / "script.pt")
    with pytest.raises(TypeError, match=r"can't save a Linear \(at a.1\).*state_dict"):
        ag.save({"a": [1, nn.Linear(1, 1)]}, io.BytesIO())


def everything():
    base = ag.arange(24.0).reshape(4, 6)
    return {
        "base": base,
        "columns": base[:, ::2],
        "transposed": base.t(),
        "repeated": ag.ones(1).expand(5),
        "scalar": ag.tensor(3.5),
        "empty": ag.empty(0, 3),
        "parameter": nn.Parameter(ag.ones(2)),
        "wanted": ag.ones(2, requires_grad=True),
        "kinds": [ag.arange(3).to(d) for d in (ag.bool, ag.int8, ag.bfloat16, ag.complex128)],
        "ordered": OrderedDict(a=1, b=[1, (2,), ()]),
        "counter": Counter("abca"),
        "numbers": [0, 255, 256, 65535, 65536, -1, 1 << 31, -(1 << 31), 1 << 70, 0.1, 1j],
        "texts": ["", "ä€\ud800", b"", b"\x80\x00"],
        "others": [None, True, ag.Size([1, 2]), {1, "a"}, ag.float16, ag.device("cpu")],
        1: {None: 2, 2.5: 3, (1, "a"): 4},
    }


def check_everything(found):
    expected = everything()
    assert list(found) == list(expected)
    for name in ("ordered", "counter", "numbers", "texts", "others", 1):
        assert found[name] == expected[name] and type(found[name]) is type(expected[name])
    tensors = [(found[n], t) for n, t in expected.items() if isinstance(t, ag.Tensor)]
    for a, b in (*tensors, *zip(found["kinds"], expected["kinds"], strict=True)):
        assert (a.shape, a.dtype, a.stride()) == (b.shape, b.dtype, b.stride())
        assert a.requires_grad == b.requires_grad and type(a) is type(b)
        np.testing.assert_array_equal(a.detach(), b.detach())
    found["base"].add_(1)
    assert found["columns"][0].tolist() == [1, 3, 5]


def test_what_is_written_is_read_again(tmp_path):
    for name in ("x.pt", "x.pth", "x.bin", "x.ckpt"):
        ag.save(everything(), tmp_path / name)
        check_everything(ag.load(tmp_path / name))
    buffer = io.BytesIO()
    ag.save(everything(), buffer)
    buffer.seek(0)
    check_everything(ag.load(buffer))
    ag.save(everything(), tmp_path / "x", format="torch")
    check_everything(ag.load(tmp_path / "x", mmap=True))
    assert zipfile.ZipFile(tmp_path / "x").testzip() is None


def test_objects_that_are_there_twice_stay_one(tmp_path):
    t, inner = ag.ones(2), [1]
    ag.save({"a": t, "b": t, "c": inner, "d": inner}, tmp_path / "x.pt")
    found = ag.load(tmp_path / "x.pt")
    assert found["a"] is found["b"] and found["c"] is found["d"]
    ring = []
    ring.append(ring)
    ag.save(ring, tmp_path / "x.pt")
    found = ag.load(tmp_path / "x.pt")
    assert found[0] is found


def test_memory_with_gaps_is_not_saved_with_what_is_between(tmp_path):
    array = np.arange(1000, dtype=np.float32)
    for view in (array[::100], array[::-1], array.reshape(10, 100)[:, 3]):
        ag.save(ag.from_numpy(view), tmp_path / "x.pt")
        found = ag.load(tmp_path / "x.pt")
        np.testing.assert_array_equal(found, view)
        assert found.is_contiguous()


def test_a_view_saves_the_memory_that_it_is_of(tmp_path):
    base = ag.zeros(1000)
    ag.save(base[:1], tmp_path / "x.pt")
    assert (tmp_path / "x.pt").stat().st_size > 4000
    ag.save(base[:1].clone(), tmp_path / "x.pt")
    assert (tmp_path / "x.pt").stat().st_size < 2000


def test_a_save_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.pt"
    ag.save({"t": ag.zeros(2)}, path)
    before = path.read_bytes()
    deep = []
    for _ in range(2000):
        deep = [deep]
    for bad, error in (
        ({"t": object()}, TypeError),
        ({"t": np.array([None])}, TypeError),
        ({"t": lambda: 0}, TypeError),
        ({"t": threading.Lock()}, TypeError),
        ({ag.float32: 1}, TypeError),
        (deep, ValueError),
        (1 << 3000, ValueError),
    ):
        with pytest.raises(error):
            ag.save(bad, path)
    with pytest.raises(ValueError, match="format must be one of"):
        ag.save({}, path, format="pickle")
    with pytest.raises(ValueError, match="leave"):
        ag.save({}, path, pickle_protocol=4)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["x.pt"]


# -- files that are not what they should be --------------------------------------------------------


def archive(data, records=(), folder="x"):
    """An archive with pickled data and other records."""
    out = io.BytesIO()
    writer = ZipWriter(out.write)
    writer.add(f"{folder}/data.pkl", data)
    for name, content in records:
        writer.add(f"{folder}/{name}", content)
    writer.close()
    out.seek(0)
    return out


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


def text(s):
    data = s.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(n):
    return b"\x8a\x08" + struct.pack("<q", n)


def storage(count, key="0", kind="FloatStorage"):
    return (
        b"("
        + text("storage")
        + name("torch", kind)
        + text(key)
        + text("cpu")
        + number(count)
        + b"tQ"
    )


NO_GRADIENT = b"\x89" + name("collections", "OrderedDict") + b")R"


def tensor(
    offset=0,
    size=(2,),
    stride=(1,),
    count=2,
    rest=NO_GRADIENT,
):
    numbers = [b"(" + b"".join(map(number, n)) + b"t" for n in (size, stride)]
    made = name("torch._utils", "_rebuild_tensor_v2")
    return made + b"(" + storage(count) + number(offset) + b"".join(numbers) + rest + b"tR"


TWO = [("data/0", bytes(8))]
DEEP = b"]" * 5000 + b"a" * 4999 + b"."
NESTED_KEY = b"K\x01" + b"q\0h\0\x86q\0" * 3
BAD = {
    "asks for os.system": name("os", "system") + text("true") + b"\x85R.",
    "asks for builtins.eval": name("__builtin__", "eval") + text("1") + b"\x85R.",
    "asks for a.B, c.D": b"(" + name("a", "B") + b")R" + name("c", "D") + b")\x81}bt.",
    "asks for a.b.C": b"\x80\x04" + b"\x8c\x03a.b\x8c\x01C\x93.",
    "kinds of tensors that Argand does not have": name("torch", "QInt8Storage") + b".",
    "instruction b'i'": b"(ios\nsystem\n.",
    "instruction b'\\x82'": b"\x82\x01.",
    "instruction b'P'": b"Pa\n.",
    "it uses what it has not made": b"h\x05.",
    "it uses what it has not": b"R.",
    "truncated": b"X\xff\xff\xff\xffabc",
    "truncated: it ends": b"\x8e" + b"\xff" * 8 + b".",
    "a name of more than 1000 bytes": b"c" + b"a" * 2000,
    "nested more than 1000 deep": DEEP,
    "nested more than 1000": b"(" * 5000 + b".",
    "a key of type tuple": b"}" + NESTED_KEY + b"Ns.",
    "a key of type list": b"}]Ns.",
    "an integer of more than 64 bits": b"}\x8a\x0a" + b"\x01" * 10 + b"Ns.",
    "a key without a value": b"}(Ku.".replace(b"K", b"N"),
    "items are appended to a dict": b"}Na.",
    "keys are set in a list": b"](NNu.",
    "a int is called": b"K\x01)R.",
    "is called with a list": name("torch", "Size") + b"]R.",
    "a list is given a state": b"]}b.",
    "attributes that are not those": name("collections", "OrderedDict")
    + b")R}"
    + text("x")
    + b"Nsb.",
    "which is no data": name("torch", "Size") + b".",
    "it gives a storage without a tensor": storage(2) + b".",
    "it ends before its objects do": b"NN.",
    "protocol of pickled data": b"\x80\x09N.",
    "a string is not UTF-8": b"X\1\0\0\0\xff.",
    "it copies more than it has": text("a" * 3000)
    + b"q\0("
    + (name("_codecs", "encode") + b"h\0" + text("latin1") + b"\x86R") * 200
    + b"t.",
    "reaches element 2 of 2": tensor(offset=1),
    "of 2": tensor(size=(1 << 40, 1 << 40), stride=(1, 1)),
    "sizes and strides must be": tensor(size=(-1,)),
    "don't belong together": tensor(stride=(1, 1)),
    "must have 32 bytes": tensor(count=8),
    "a storage of -1 elements": tensor(count=-1),
    "marked 'other'": tensor(rest=b"\x89N}" + text("other") + b"Ns"),
    "only floating-point": name("torch._utils", "_rebuild_tensor_v2")
    + b"("
    + storage(2, kind="IntStorage")
    + number(0)
    + number(2)
    + b"\x85"
    + number(1)
    + b"\x85\x88Nt"
    + b"R.",
    "storage '7' is missing": storage(2, key="7") + b".",
    "described in two ways": b"(" + storage(2) + storage(1, kind="DoubleStorage") + b"t.",
    "a persistent id that is no storage": text("x") + b"Q.",
    "expected a storage and a dtype": name("torch._utils", "_rebuild_tensor") + b"(NNNNtR.",
    "can't be given the attribute '__class__'": name("torch._tensor", "_rebuild_from_type_v2")
    + b"("
    + name("torch._utils", "_rebuild_tensor")
    + name("torch", "Tensor")
    + b"("
    + storage(2)
    + b"K\0K\2\x85K\1\x85t}"
    + text("__class__")
    + b"NstR.",
}


@pytest.mark.parametrize("reason", BAD)
def test_pickled_data_are_refused_with_the_reason(reason):
    data = BAD[reason]
    with pytest.raises(FormatError) as caught:
        ag.load(archive(data if data.endswith(b".") else data + b".", TWO))
    assert reason in str(caught.value)


def with_directory(change):
    """A good archive whose bytes are changed."""
    data = bytearray(archive(b"N.", TWO).getvalue())
    return io.BytesIO(bytes(change(data)))


def renamed(data):
    return data.replace(b"data/0", b"../../")


def first_name(data):
    return data.replace(b"x/data/0", b"x/data/1", 1)


def twice():
    out = io.BytesIO()
    writer = ZipWriter(out.write)
    for _ in range(2):
        writer.add("x/data.pkl", b"N.")
    writer.close()
    return out


def bomb():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x/data.pkl", b"N.")
        file.writestr("x/data/0", bytes(66 << 20))
    return out


def over_another():
    """Two records whose contents are the same bytes."""
    data = bytearray(archive(b"N.", TWO).getvalue())
    first = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", first + 1)
    header = struct.unpack_from("<I", data, second + 42)[0]
    struct.pack_into("<II", data, first + 20, header + 40, header + 40)
    return io.BytesIO(bytes(data))


def two_folders():
    out = io.BytesIO()
    writer = ZipWriter(out.write)
    writer.add("x/data.pkl", b"N.")
    writer.add("y/data/0", b"")
    writer.close()
    return out


BAD_ARCHIVES = {
    "leads out of the archive": lambda: with_directory(renamed),
    "another name than in the zip directory": lambda: with_directory(first_name),
    "bytes after the end": lambda: with_directory(lambda d: d + b"x"),
    "without its directory": lambda: with_directory(lambda d: d[:-30]),
    "is there twice": twice,
    "are refused": bomb,
    "is not apart from the next one": over_another,
    "its checksum is wrong": lambda: with_directory(lambda d: d.replace(b"N.", b"M.", 1)),
    "in one folder": two_folders,
    "byte order b'middle'": lambda: archive(b"N.", [("byteorder", b"middle")]),
    "TorchScript": lambda: archive(b"N.", [("constants.pkl", b"N.")]),
    "none that PyTorch or Argand writes": lambda: archive(b"N.", folder="x/y"),
}


@pytest.mark.parametrize("reason", BAD_ARCHIVES)
def test_archives_are_refused_with_the_reason(reason):
    file = BAD_ARCHIVES[reason]()
    file.seek(0)
    with pytest.raises(FormatError, match=reason):
        ag.load(file)


def test_what_is_no_file():
    with pytest.raises(TypeError, match="takes a path or a binary file"):
        ag.load(3)
    with pytest.raises(TypeError, match="'rb', not as text"):
        ag.load(io.StringIO("x"))
    with pytest.raises(FormatError, match="not a PyTorch file"):
        ag.load(io.BytesIO(b"nothing"))
    with pytest.raises(FormatError, match="not a PyTorch file"):
        ag.load(io.BytesIO(b"\x80\x02N."))
    with pytest.raises(ValueError, match="no pickle module"):
        ag.load(FILES / "zip.pt", pickle_module=io)
    with pytest.raises(ValueError, match="encoding must be one of"):
        ag.load(FILES / "zip.pt", encoding="utf-7")


def test_texts_of_python_2():
    data = b"(U\x02\xc3\xa4T\x01\0\0\0at."
    assert ag.load(archive(data)) == ("ä", "a")
    assert ag.load(archive(data), encoding="latin1") == ("Ã¤", "a")
    assert ag.load(archive(data), encoding="bytes") == (b"\xc3\xa4", b"a")
    with pytest.raises(FormatError, match="try encoding"):
        ag.load(archive(data), encoding="ascii")


def test_large_containers_are_within_the_budget(tmp_path):
    tree = [set(range(100_000)), Counter(range(10_000)), bytes(range(256)) * 1000]
    ag.save(tree, tmp_path / "x.pt")
    assert ag.load(tmp_path / "x.pt") == tree


ONE = b"K\1K\1\x85"  # version 1 and shape (1,)


def test_numbers_and_arrays_of_numpy():
    kind = name("numpy", "dtype") + text("f8") + b"\x89\x88\x87R(K\3" + text("<") + b"NNNtb"
    latin = name("_codecs", "encode")
    raw = latin + text(np.float64(1.5).tobytes().decode("latin1")) + text("latin1") + b"\x86R"
    scalar = name("numpy.core.multiarray", "scalar") + kind + raw + b"\x86R"
    found = ag.load(archive(scalar + b"."))
    assert found == 1.5 and type(found) is np.float64
    empty = name("numpy._core.multiarray", "_reconstruct") + name("numpy", "ndarray") + b"K\0\x85Nt"
    array = (
        empty.replace(b"cnumpy\n", b"(cnumpy\n") + b"R(K\1K\1\x85" + kind + b"\x89" + raw + b"tb"
    )
    found = ag.load(archive(array + b"."))
    assert isinstance(found, np.ndarray) and found.tolist() == [1.5]
    many = np.arange(1000.0)
    raw_many = latin + text(many.tobytes().decode("latin1")) + text("latin1") + b"\x86R"
    found = ag.load(archive(array.replace(raw, raw_many).replace(ONE, b"K\1M\xe8\3\x85") + b"."))
    np.testing.assert_array_equal(found, many)
    objects = array.replace(b"f8", b"O8")
    with pytest.raises(FormatError, match="elements of type 'O8'"):
        ag.load(archive(objects + b"."))
    longer = array.replace(ONE, b"K\1K\2\x85")
    with pytest.raises(FormatError, match="state of a ndarray"):
        ag.load(archive(longer + b"."))
