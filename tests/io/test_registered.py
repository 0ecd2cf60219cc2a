"""Objects of ordinary classes: written as pickled data, built again from registered classes."""

import argparse
import collections
import contextlib
import dataclasses
import datetime
import enum
import functools
import io
import os
import pathlib
import random
import re
import struct
import subprocess
import zipfile

import numpy as np
import pytest

import argand as ag
from argand import nn
from argand.base.errors import FormatError
from argand.io.zipped import ZipWriter
from argand.serialization import add_safe_globals, clear_safe_globals, safe_globals

PATH = f"{pathlib.PosixPath.__module__}.PosixPath"  # pathlib._local's in Python 3.13


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


@dataclasses.dataclass
class Options:
    lr: float
    more: object = None


class Slots:
    __slots__ = ("a", "b")


class Own:
    """Counts how often it was given a state."""

    def __getstate__(self):
        return {"told": 1}

    def __setstate__(self, state):
        self.told = state["told"] + 1


class Names(list):
    pass


class Table(dict):
    pass


class Loud:
    def __init__(self, *args):
        raise KeyError("no")

    def __getattr__(self, name):
        return getattr(self, name + "_")


def double(x):
    return 2 * x


class Doubled:
    def __reduce__(self):
        return double, (21,)


CLASSES = [argparse.Namespace, Colour, Level, Options, Slots, Own, double, pathlib.PosixPath]
CLASSES += [datetime.datetime, datetime.timedelta, functools.partial, int, Names, Table]


@pytest.fixture(autouse=True)
def nothing_registered():
    clear_safe_globals()
    yield
    clear_safe_globals()


def objects():
    slots = Slots()
    slots.a, slots.b = 1, [ag.ones(2)]
    found = argparse.Namespace(
        options=Options(0.1, {"inner": Options(0.2)}),
        colours=[Colour.RED, Colour.RED, Level.HIGH],
        slots=slots,
        own=Own(),
        path=pathlib.Path("/a/b"),
        when=datetime.datetime(2024, 2, 29, 12),
        took=datetime.timedelta(seconds=1.5),
        call=functools.partial(int, "12"),
        kind=Options,
        doubled=Doubled(),
        arrays=[np.arange(6, dtype=np.int16).reshape(2, 3).T, np.ones(2, bool), np.array(2.5)],
        states=[np.random.RandomState(1).get_state(), random.Random(2).getstate()],
    )
    found.itself = found
    return found


def check(found):
    wanted = objects()
    assert type(found) is argparse.Namespace and found.itself is found
    assert found.options == wanted.options and found.options.more["inner"].lr == 0.2
    assert found.colours[0] is Colour.RED and found.colours[2] is Level.HIGH
    assert found.slots.a == 1 and found.slots.b[0].tolist() == [1, 1] and found.own.told == 2
    assert found.path == wanted.path and found.when == wanted.when and found.took == wanted.took
    assert found.call() == 12 and found.kind is Options and found.doubled == 42
    for a, b in zip(found.arrays, wanted.arrays, strict=True):
        assert a.dtype == b.dtype and np.array_equal(a, b)
    assert np.array_equal(found.states[0][1], wanted.states[0][1])
    assert found.states[1] == wanted.states[1]


def test_objects_are_written_and_read_again(tmp_path):
    path = tmp_path / "x.pt"
    ag.save({"all": objects()}, path)
    with safe_globals(CLASSES):
        check(ag.load(path)["all"])
    names = ag.serialization.get_unsafe_globals_in_checkpoint(path)
    assert names[:2] == ["argparse.Namespace", f"{__name__}.Options"]
    assert PATH in names and len(names) == len(set(names))


@pytest.mark.parametrize("weights_only", [None, True, False])
def test_nothing_is_built_that_is_not_registered(tmp_path, weights_only):
    path = tmp_path / "x.pt"
    ag.save({"a": Options(0.1), "b": pathlib.Path("x")}, path)
    with pytest.raises(FormatError) as caught:
        ag.load(path, weights_only=weights_only)
    said = str(caught.value)
    assert f"asks for {__name__}.Options, {PATH}: load builds tensors" in said
    assert "whatever weights_only says" in said
    assert f"ag.serialization.add_safe_globals([{__name__}.Options, {PATH}])" in said
    add_safe_globals([Options])
    with pytest.raises(FormatError, match=f"asks for {re.escape(PATH)}: "):
        ag.load(path, weights_only=weights_only)
    add_safe_globals([(pathlib.PurePosixPath, PATH), Options])
    assert type(ag.load(path)["b"]) is pathlib.PurePosixPath
    assert ag.serialization.get_safe_globals()[0] is Options
    assert len(ag.serialization.get_safe_globals()) == 2


def test_a_block_registers_for_itself():
    add_safe_globals([Options])
    with pytest.raises(ZeroDivisionError), safe_globals([Colour]):
        assert ag.serialization.get_safe_globals() == [Options, Colour]
        raise ZeroDivisionError
    assert ag.serialization.get_safe_globals() == [Options]


def here(value, name):
    return (value, f"{__name__}.{name}")


@pytest.mark.parametrize("value", [os.system, eval, getattr, open, type, subprocess.Popen])
def test_what_no_file_gets(value):
    data = f"c{value.__module__}\n{value.__qualname__}\n".encode() + text("x") + b"\x85R."
    renamed = f"c{__name__}\nharmless\n".encode() + text("x") + b"\x85R."
    with safe_globals([value, here(value, "harmless"), (double, "os.system")]):
        for said, hostile in ((r"No file gets .*, even if registered", data), ("", renamed)):
            with pytest.raises(FormatError, match="refused, since it asks for.*" + said):
                ag.load(archive(hostile))
        with pytest.raises(FormatError, match=r"No file gets os\.system"):
            ag.load(archive(b"cos\nsystem\nK\1\x85R."))


@pytest.mark.parametrize("name", ["io.open", "_io.open", "_posixsubprocess.fork_exec", "_imp.exec"])
def test_private_modules_are_no_way_round(name):
    module, _, function = name.partition(".")
    data = f"c{module}\n{function}\n".encode() + text("x") + b"\x85R."
    with (
        safe_globals([(double, name)]),
        pytest.raises(FormatError, match="No file gets " + re.escape(name)),
    ):
        ag.load(archive(data))


def test_what_is_registered():
    for wrong in ("os.system", 3, (double, 3)):
        with pytest.raises(TypeError, match="takes classes, functions, and pairs"):
            add_safe_globals([wrong])


def test_what_can_t_be_written_is_named(tmp_path):
    class Local:
        pass

    for bad, said in (
        (Local(), r"can't save a type \(at a.Local\): .*Local is not found under that name"),
        (lambda: 0, r"can't save a function \(at a\): .*<lambda> is not found"),
        (nn.Linear(1, 1), r"can't save a Linear \(at a\).*state_dict"),
        (open(os.devnull), "cannot pickle|can't pickle"),  # noqa: SIM115
    ):
        with pytest.raises(TypeError, match=said):
            ag.save({"a": bad}, tmp_path / "x.pt")
        if hasattr(bad, "close"):
            bad.close()
    with pytest.raises(TypeError, match="can't save a Options"):
        ag.save({"a": Options(1.0)}, tmp_path / "x.safetensors")
    assert not list(tmp_path.iterdir())


def test_whole_modules_are_for_programs_of_pytorch(monkeypatch):
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    with pytest.raises(TypeError, match="can't save a Sequential"):
        ag.save(model, io.BytesIO())
    monkeypatch.setattr("argand.base.naming.naming.package", "torch")
    file = io.BytesIO()
    ag.save(model.eval(), file)
    data = file.getvalue()
    with pytest.raises(FormatError, match=r"asks for argand\.nn\.containers\.Sequential"):
        ag.load(io.BytesIO(data), weights_only=False)
    with safe_globals([nn.Sequential, nn.Linear, nn.BatchNorm1d, nn.Dropout]):
        again = ag.load(io.BytesIO(data))
    x = ag.rand(4, 2)
    assert type(again) is nn.Sequential and not again.training and ag.equal(again(x), model(x))
    assert isinstance(again[0].weight, nn.Parameter) and again[0].weight is not model[0].weight


# -- hostile files ---------------------------------------------------------------------------------


def archive(data, storage=None):
    out = io.BytesIO()
    writer = ZipWriter(out.write)
    writer.add("x/data.pkl", data)
    if storage is not None:
        writer.add("x/data/0", storage)
    writer.close()
    return io.BytesIO(out.getvalue())


def name(value, module=None):
    return f"c{module or value.__module__}\n{value.__qualname__}\n".encode()


def text(s):
    return b"X" + struct.pack("<I", len(s)) + s.encode()


OPTIONS = name(Options) + b")\x81"
BAD = {
    "asks for os.system": name(Options) + b"0cos\nsystem\n" + text("true") + b"\x85R.",
    "asks for builtins.eval": b"c__builtin__\neval\n" + text("1") + b"\x85R.",
    "a dict is called": b"})R.",
    "a Options is called": OPTIONS + b")R.",
    "a partial is called": name(functools.partial) + name(double) + b"\x85R)R.",
    "Options: TypeError": name(Options) + b"K\1K\2K\3\x87R.",
    "Options is called with a dict": name(Options) + b"}\x81.",
    "double: TypeError": name(double) + b")R.",
    "a function is asked for an object": name(double) + b"K\1\x85\x81.",
    "Loud: KeyError: 'no'": name(Loud) + b")R.",
    "'red' is not|'blue' is not a valid": name(Colour) + text("blue") + b"\x85R.",
    "state of a Options: it can't be given the attribute '__class__'": OPTIONS
    + b"}"
    + text("__class__")
    + name(Colour)
    + b"sb.",
    "state of a Slots: it can't be given the attribute '__class__'": name(Slots)
    + b")\x81N}"
    + text("__class__")
    + name(Options)
    + b"s\x86b.",
    "state of a Options: a state that is no dictionary": OPTIONS + b"]b.",
    "state of a Options: .* attributes": OPTIONS + b"}K\1K\2sb.",
    "state of a Own: 'told'": name(Own) + b")\x81}b.",
    "a type is given a state": name(Options) + b"}b.",
    "a function is given a state": name(double) + b"}" + text("__code__") + b"Nsb.",
    "items are appended to a Options": OPTIONS + b"K\1a.",
    "keys are set in a Options": OPTIONS + b"K\1K\2s.",
    "a key of type list": name(Table) + b")\x81]K\2s.",
    "containers nested more than": OPTIONS
    + b"q\x000"
    + (OPTIONS + b"}" + text("m") + b"h\0sbq\x000") * 1200
    + b"h\0.",
    "it copies more than it has": b"]("
    + b"N" * 1000
    + b"eq\0"
    + (name(Names) + b"h\0\x85\x81") * 60
    + b".",
    "it ends before its objects do": OPTIONS + OPTIONS + b".",
    "builtins.bytearray|bytes are written": b"c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R.",
}


@pytest.mark.parametrize("reason", BAD)
def test_hostile_files_are_refused(reason):
    with safe_globals([*CLASSES, Loud]), pytest.raises(FormatError, match=reason):
        ag.load(archive(BAD[reason]), weights_only=False)


def test_an_object_that_asks_itself_for_ever_is_only_looked_at():
    with safe_globals([Loud]):
        assert type(ag.load(archive(name(Loud) + b")\x81."))) is Loud


def test_subclasses_of_containers_are_filled_without_their_own_methods():
    items = name(Names) + b")\x81(K\1K\2e" + name(Table) + b")\x81K\1K\2s\x86."
    with safe_globals(CLASSES):
        names, table = ag.load(archive(items))
    assert type(names) is Names and names == [1, 2] and type(table) is Table and table == {1: 2}


def test_named_tuples_and_default_dicts_of_pickle():
    pair = collections.namedtuple("Pair", "x y")
    pair.__module__, pair.__qualname__ = "there", "Pair"
    data = b"cthere\nPair\nK\1K\2\x86\x81ccollections\ndefaultdict\nc__builtin__\nlist\n\x85R"
    data += text("a") + b"]s\x86."
    with safe_globals([pair, collections.defaultdict, list]):
        found, table = ag.load(archive(data))
    assert found == (1, 2) and type(found) is pair
    assert table == {"a": []} and table["new"] == []


def test_changed_bytes_are_read_or_refused(tmp_path):
    ag.save({"all": objects()}, tmp_path / "x.pt")
    with zipfile.ZipFile(tmp_path / "x.pt") as file:
        data, storage = file.read("archive/data.pkl"), file.read("archive/data/0")
    draw, whole = random.Random(0), 0
    with safe_globals([*CLASSES, collections.defaultdict, list]):
        for _ in range(300):
            changed = bytearray(data)
            for _ in range(draw.randint(1, 3)):
                changed[draw.randrange(len(data))] = draw.randrange(256)
            with contextlib.suppress(FormatError):
                ag.load(archive(bytes(changed), storage))
                whole += 1
        assert 10 < whole < 290


def test_elements_are_left_out(tmp_path):
    ag.save([ag.ones(3)], tmp_path / "whole.pt")
    with ag.serialization.skip_data():
        ag.save([ag.ones(3)], tmp_path / "empty.pt")
        assert ag.load(tmp_path / "whole.pt")[0].tolist() == [0, 0, 0]
    assert ag.load(tmp_path / "empty.pt")[0].tolist() == [0, 0, 0]
    assert ag.load(tmp_path / "whole.pt")[0].tolist() == [1, 1, 1]
    sizes = [(tmp_path / f"{name}.pt").stat().st_size for name in ("whole", "empty")]
    assert sizes[0] == sizes[1]
    kept = ag.serialization.skip_data(materialize_fake_tensors=True)
    with pytest.raises(ValueError, match="tensors always have memory"), kept:
        pass


def test_default_order_of_bytes():
    order = ag.serialization
    assert order.get_default_load_endianness() is None
    order.set_default_load_endianness(order.LoadEndianness.BIG)
    try:
        assert order.get_default_load_endianness() is order.LoadEndianness.BIG
    finally:
        order.set_default_load_endianness(None)
    with pytest.raises(TypeError, match="expected a LoadEndianness"):
        order.set_default_load_endianness("big")
