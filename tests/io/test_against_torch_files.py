"""Files from PyTorch to Argand and back, where PyTorch is installed."""

import argparse
import dataclasses
import datetime
import enum
import io
import pathlib
from collections import OrderedDict

import numpy as np
import pytest

import argand as ag
from argand import nn
from argand.base.errors import FormatError

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

DTYPES = [
    d
    for d in dir(torch)
    if isinstance(getattr(torch, d), torch.dtype) and hasattr(ag, d) and d not in ("bits8",)
]


def theirs(t):
    t = t.detach().resolve_conj().resolve_neg()
    return (t.float() if t.dtype.itemsize < 4 and t.is_floating_point() else t).numpy()


def ours(t):
    t = t.detach()
    return (t.float() if t.dtype.itemsize < 4 and t.is_floating_point() else t).numpy()


def tensors():
    base = torch.arange(24.0).reshape(2, 3, 4)
    return {
        **{d: torch.arange(6).reshape(2, 3).to(getattr(torch, d)) for d in DTYPES},
        "base": base,
        "permuted": base.permute(2, 0, 1),
        "part": base[1:, ::2, 1:3],
        "repeated": torch.ones(1, 2).expand(3, 2),
        "diagonal": base[0, :3, :3].diagonal(),
        "scalar": torch.tensor(3.5),
        "empty": torch.empty(2, 0, 3),
        "nothing": torch.empty(0),
        "parameter": torch.nn.Parameter(base[0].clone()),
        "wanted": torch.ones(2, requires_grad=True),
    }


def check_same(a, b):
    """A tree of PyTorch's against one of ours."""
    assert list(a) == list(b)
    for name, t in a.items():
        twin = b[name]
        assert str(t.dtype).endswith(f".{twin.dtype.name}") and tuple(t.shape) == tuple(twin.shape)
        assert t.numel() < 2 or t.stride() == twin.stride(), name
        assert t.requires_grad == twin.requires_grad
        assert isinstance(t, torch.nn.Parameter) == isinstance(twin, nn.Parameter)
        np.testing.assert_array_equal(theirs(t), ours(twin), err_msg=name)


def test_every_dtype_is_there():
    wanted = {"float32", "bfloat16", "complex128", "bool", "int8", "uint8", "uint64"}
    assert wanted | {"float8_e5m2", "float8_e8m0fnu"} <= set(DTYPES)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_there(protocol, legacy, tmp_path):
    path = tmp_path / "x.pt"
    options = {"pickle_protocol": protocol, "_use_new_zipfile_serialization": not legacy}
    torch.save(tensors(), path, **options)
    found = ag.load(path)
    check_same(tensors(), found)
    found["base"].fill_(7)
    assert found["permuted"].sum() == 24 * 7 and found["part"].max() == 7


def test_and_back(tmp_path):
    torch.save(tensors(), tmp_path / "theirs.pt")
    ag.save(ag.load(tmp_path / "theirs.pt"), tmp_path / "ours.pt")
    from torch.utils.serialization import config

    for offsets in (False, True):
        config.load.calculate_storage_offsets = offsets
        for mmap in (False, True):
            found = torch.load(tmp_path / "ours.pt", weights_only=True, mmap=mmap)
            check_same(found, ag.load(tmp_path / "ours.pt"))
            found["base"].fill_(7)
            assert found["permuted"].sum() == 24 * 7 and found["part"].max() == 7
    config.load.calculate_storage_offsets = False


def test_objects_that_are_no_tensors():
    tree = {
        "ordered": OrderedDict(a=1, b=[1, (2, ()), None]),
        "numbers": [0, 255, 65536, -1, 1 << 70, 0.1, float("inf"), 1j, True],
        "texts": ["", "ä€\ud800", b"", b"\x80\x00"],
        "sets": {1, "a"},
        (1, "a"): {None: 2.5},
    }
    for saver, loader in ((torch.save, ag.load), (ag.save, torch.load)):
        buffer = io.BytesIO()
        saver(tree, buffer)
        buffer.seek(0)
        found = loader(buffer)
        assert found == tree and type(found["ordered"]) is OrderedDict


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_the_state_of_a_model_and_its_optimizer(kind):
    def run(lib, layer, optimizer):
        optimizer.zero_grad()
        inputs = (lib.arange(12.0).reshape(4, 3) % 5).to(lib.float64)
        (layer(inputs) ** 2).sum().backward()
        optimizer.step()

    # 64 bits, as the small gradients of weights before a batch norm are differences of large ones
    torch.manual_seed(0)
    layer = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).double()
    layer.append(torch.nn.Linear(2, 1).double())
    options = {"lr": 0.01, "momentum": 0.9} if kind == "SGD" else {"lr": 0.01}
    theirs_optimizer = getattr(torch.optim, kind)(layer.parameters(), **options)
    run(torch, layer, theirs_optimizer)
    state, moments = through([layer.state_dict(), theirs_optimizer.state_dict()])
    twin = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 1)).double()
    twin.load_state_dict(state)
    optimizer = getattr(ag.optim, kind)(twin.parameters(), **options)
    optimizer.load_state_dict(moments)
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(theirs(value), ours(twin.state_dict()[name]))
    run(torch, layer, theirs_optimizer)
    run(ag, twin, optimizer)
    names = [n for n, _ in layer.named_parameters() if n != "0.bias"]  # which batch norm undoes
    for name in names:
        a, b = layer.get_parameter(name), twin.get_parameter(name)
        np.testing.assert_allclose(theirs(a), ours(b), rtol=1e-9, atol=1e-10, err_msg=name)
    buffer = io.BytesIO()
    ag.save([twin.state_dict(), optimizer.state_dict()], buffer)
    buffer.seek(0)
    state, moments = torch.load(buffer, weights_only=True)
    for name, value in twin.state_dict().items():
        np.testing.assert_array_equal(theirs(state[name]), ours(value))
    layer.load_state_dict(state)
    theirs_optimizer.load_state_dict(moments)
    run(torch, layer, theirs_optimizer)
    run(ag, twin, optimizer)
    for name in names:
        a, b = layer.get_parameter(name), twin.get_parameter(name)
        np.testing.assert_allclose(theirs(a), ours(b), rtol=1e-9, atol=1e-10, err_msg=name)


def test_a_checksum_that_was_not_computed(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"a": torch.ones(3)}, tmp_path / "x.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert ag.load(tmp_path / "x.pt")["a"].tolist() == [1, 1, 1]


def through(tree):
    """What Argand loads of what PyTorch saves."""
    buffer = io.BytesIO()
    torch.save(tree, buffer)
    buffer.seek(0)
    return ag.load(buffer)


def test_attributes_of_tensors():
    t, p = torch.ones(2), torch.nn.Parameter(torch.ones(2))
    t.note, p.note = {"a": torch.zeros(1)}, "x"
    found = through([t, p])
    assert found[0].note["a"].tolist() == [0] and found[1].note == "x"
    assert isinstance(found[1], nn.Parameter)
    assert through(torch.nn.Buffer(torch.ones(2))).tolist() == [1, 1]


class Sub(torch.Tensor):
    """A class of tensors that Argand does not know."""


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (lambda: torch.ones(2).as_subclass(Sub), "Sub"),
        (lambda: torch.ones(2, device="meta"), r"_rebuild_meta_tensor_no_storage"),
        (lambda: torch.nn.Linear, r"torch\.nn\.modules\.linear\.Linear.*state_dict"),
        (lambda: np.array(["a"]), "elements of type 'U1'"),
    ],
)
def test_other_kinds_are_refused_by_name(made, name):
    with pytest.raises(FormatError, match=name):
        through(made())


def test_numpy_arrays_and_numbers():
    arrays = [np.arange(1000.0), np.asfortranarray(np.ones((2, 3), ">f4")), np.array([True])]
    for array, found in zip(arrays, through(arrays), strict=True):
        np.testing.assert_array_equal(found, array)
    assert through(np.int64(3)) == 3


class Speed(enum.StrEnum):
    SLOW = "slow"


@dataclasses.dataclass
class Settings:
    speed: Speed
    more: object


PLAIN = [argparse.Namespace, pathlib.PosixPath, datetime.datetime, Speed, Settings]


def settings(ones):
    inner = argparse.Namespace(lr=0.1, path=pathlib.Path("/a/b"), kind=Settings)
    inner.itself = inner
    when = datetime.datetime(2024, 2, 29)
    return Settings(Speed.SLOW, [inner, when, np.arange(6.0).reshape(2, 3).T, ones])


def check_settings(found):
    inner, when, array, ones = found.more
    assert type(found) is Settings and found.speed is Speed.SLOW and inner.itself is inner
    assert inner.lr == 0.1 and inner.path == pathlib.Path("/a/b") and inner.kind is Settings
    assert when == datetime.datetime(2024, 2, 29) and ones.tolist() == [1, 1]
    np.testing.assert_array_equal(array, np.arange(6.0).reshape(2, 3).T)


def test_objects_of_registered_classes_both_ways():
    ours, others = io.BytesIO(), io.BytesIO()
    ag.save(settings(ag.ones(2)), ours)
    numpys = [np._core.multiarray._reconstruct, np.ndarray, np.dtype, type(np.dtype("f8"))]
    with torch.serialization.safe_globals([*PLAIN, *numpys]):
        check_settings(torch.load(io.BytesIO(ours.getvalue()), weights_only=True))
    check_settings(torch.load(io.BytesIO(ours.getvalue()), weights_only=False))
    torch.save(settings(torch.ones(2)), others)
    for weights_only in (True, False):
        with pytest.raises(FormatError, match=r"asks for .*Settings"):
            ag.load(io.BytesIO(others.getvalue()), weights_only=weights_only)
    with ag.serialization.safe_globals(PLAIN):
        check_settings(ag.load(io.BytesIO(others.getvalue()), weights_only=False))
