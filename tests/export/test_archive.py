"""Archives: what is written is read again, and damage and hostility are refused."""

from __future__ import annotations

import hashlib
import io
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand import nn
from argand.base.errors import FormatError
from argand.export import check_samples, export, load
from argand.io.zipped import ZipWriter


@pytest.fixture(scope="module")
def contents() -> bytes:
    ag.manual_seed(0)
    m = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)).eval()
    program = export(m, (ag.rand(2, 1, 8, 8),), dynamic_shapes=({0: ag.Dim("n", max=32)},))
    file = io.BytesIO()
    program.save(file, assets={"classes.txt": "a\nb\nc"}, card={"license": "MIT"})
    return file.getvalue()


def parts_of(contents: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(contents)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(parts: dict[str, bytes]) -> io.BytesIO:
    file = io.BytesIO()
    writer = ZipWriter(file.write)
    for name, data in parts.items():
        writer.add(name, data)
    writer.close()
    file.seek(0)
    return file


def test_the_file_is_a_stored_aligned_zip_of_data(contents: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(contents)) as archive:
        assert archive.testzip() is None
        names = {i.filename: i for i in archive.infolist()}
        assert all(i.compress_type == zipfile.ZIP_STORED for i in names.values())
        record = names["weights.safetensors"]
        head = contents[record.header_offset :][:30]
        start = record.header_offset + 30 + sum(np.frombuffer(head[26:30], "<u2").tolist())
        assert start % 64 == 0
        manifest = json.loads(archive.read("manifest.json"))
    assert set(names) == {
        "manifest.json",
        "programs/0.txt",
        "weights.safetensors",
        "assets/classes.txt",
        "samples/0.safetensors",
    }
    assert manifest["format"] == 1
    assert manifest["card"] == {"license": "MIT"}


def test_samples_give_the_same_bits_again(contents: bytes) -> None:
    program = load(io.BytesIO(contents))
    assert program.assets == {"classes.txt": b"a\nb\nc"}
    assert [found.is_equal for found in check_samples(program)] == [True]
    program.samples[0].outputs[0][0, 0] += 0.5
    (found,) = check_samples(program)
    assert not found.is_equal
    assert abs(found.largest - 0.5) < 1e-5


def test_weights_are_mapped_and_the_file_is_never_written(contents: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.argand"
    path.write_bytes(contents)
    program = load(path)
    with ag.no_grad():
        for parameter in program.parameters():
            parameter.zero_()
    assert program(np.ones((1, 1, 8, 8), np.float32)).abs().sum().item() == 0.0
    assert path.read_bytes() == contents


def test_any_damaged_byte_is_found(contents: bytes) -> None:
    draw = random.Random(0)
    for _ in range(300):
        place = draw.randrange(len(contents))
        damaged = bytearray(contents)
        damaged[place] ^= 1 << draw.randrange(8)
        if bytes(damaged) == contents:
            continue
        try:
            program = load(io.BytesIO(bytes(damaged)))
        except FormatError:
            continue
        # padding between records, or a field of the zip that nobody reads
        assert [found.is_equal for found in check_samples(program)] == [True]


def test_a_large_part_that_is_damaged_is_refused(tmp_path: Path) -> None:
    """It is hashed beside the reading of the others, in a file that is mapped."""
    path = tmp_path / "large.argand"
    export(nn.Linear(600, 600), (ag.ones(1, 600),)).save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(FormatError, match="safetensors is damaged"):
        load(path)


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_truncated_files(contents: bytes, part: float) -> None:
    with pytest.raises(FormatError):
        load(io.BytesIO(contents[: int(len(contents) * part)]))


def changed_manifest(contents: bytes, change: Callable[[dict[str, Any]], Any]) -> io.BytesIO:
    parts = parts_of(contents)
    manifest = json.loads(parts["manifest.json"])
    change(manifest)
    return packed({**parts, "manifest.json": json.dumps(manifest).encode()})


def deep(value: dict[str, Any], path: str, new: Any) -> None:
    *keys, last = path.split("/")
    for key in keys:
        value = value[int(key)] if isinstance(value, list) else value[key]
    value[int(last) if isinstance(value, list) else last] = new


S = "signatures/serving_default/"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("kind", "other", "not an Argand program"),
        ("format", 99, "format 99 is not known"),
        ("format", "1", "format must be of type int"),
        ("ops/conv2d", 7, "op conv2d is of version 7"),
        ("ops", {}, "version of .* is missing"),
        ("parts/extra", "00", "not both in the archive and named"),
        ("parts/programs~0.txt", "00", "SHA-256"),
        (S + "program", "../x", "is missing"),
        (S + "inputs/0/dtype", "f64", "inputs does not fit the program"),
        (S + "inputs/0/shape", ["n", 1, 8, 9], "inputs does not fit the program"),
        (S + "inputs/0/shape", ["n", 1, 8, -1], "is not a size"),
        (S + "outputs", [], "names no|results|is no result"),
        (S + "sources", [[5, "tensor"]], "names no input"),
        (S + "state", [0, 1, 2, 3], "does not fit the program|sources|inputs"),
        (S + "arguments", {"tuple": ["*"]}, "arguments does not fit"),
        (S + "leaves", [], "leaves does not fit"),
        (S + "sizes", {}, "sizes does not fit"),
        (S + "sizes/n", [5, 2], "is no range"),
        (S + "returned", {"tuple": ["*", "*"]}, "results does not fit"),
        (S + "facts", [["n*(", "==", True]], "is not a size|comparison"),
        ("state/0.bias/role", "code", "no role"),
        ("samples", [["other", "x"]], "names no signature"),
    ],
)
def test_manifests_that_lie(contents: bytes, path: str, value: Any, message: str) -> None:
    def change(manifest: dict[str, Any]) -> None:
        keys = path.replace("~", "/") if path.startswith("parts/") else path
        if path.startswith("parts/"):
            manifest["parts"][keys.removeprefix("parts/")] = value
        elif path.startswith("state/"):
            manifest["state"]["0.bias"]["role"] = value
        else:
            deep(manifest, path, value)

    with pytest.raises(FormatError, match=message):
        load(changed_manifest(contents, change))


def test_facts_that_the_types_rely_on_must_be_stated() -> None:
    def f(x: Any) -> Any:
        halves = nn.functional.avg_pool1d(x, 2)
        return nn.functional.interpolate(halves, scale_factor=2, mode="nearest") + x

    program = export(f, (ag.rand(2, 1, 8),), dynamic_shapes=({2: ag.Dim.AUTO},))
    file = io.BytesIO()
    program.save(file)
    assert load(io.BytesIO(file.getvalue()))(ag.ones(2, 1, 12)).tolist() == [[[2.0] * 12]] * 2
    with pytest.raises(ValueError, match="exported for sizes where"):
        program(ag.ones(2, 1, 13))

    def change(manifest: dict[str, Any]) -> None:
        manifest["signatures"]["serving_default"]["facts"] = []

    with pytest.raises(FormatError, match=r"facts: that .* is missing"):
        load(changed_manifest(file.getvalue(), change))


def with_program(contents: bytes, change: Callable[[str], str]) -> io.BytesIO:
    parts = parts_of(contents)
    text = change(parts["programs/0.txt"].decode()).encode()
    manifest = json.loads(parts["manifest.json"])
    manifest["parts"]["programs/0.txt"] = hashlib.sha256(text).hexdigest()
    return packed({**parts, "programs/0.txt": text, "manifest.json": json.dumps(manifest).encode()})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("= relu(", "= no_such_op(", "no op 'no_such_op'"),
        ("= relu(", "= fusion(", "fusion|no op"),
        ("return", "return %999,", "not defined"),
        ("f32[n, 3]", "f32[n, 4]", "gives|is f32"),
        ("f32[n, 3]", "f32[" + "n*" * 60 + "n, 3]", "gives|is f32"),
        ("f32[n, 3]", "f32[" + "n*" * 300 + "n, 3]", "too long"),
        ("f32[n, 3]", "f32[" + "*".join(["(n + m + k + j)"] * 12) + ", 3]", "too long"),
        ("f32[n, 3]", "f32[" + "(" * 3000 + "n", "nested too deeply|too long"),
        ("f32[n, 3] =", "f32[n, 3]@10 =", "layout"),
        ("program", "import os #", "expected"),
    ],
)
def test_programs_that_do_not_fit(contents: bytes, old: str, new: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        load(with_program(contents, lambda text: text.replace(old, new, 1)))


def test_compressed_and_foreign_archives(contents: bytes) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts_of(contents).items():
            archive.writestr(name, data)
    file.seek(0)
    with pytest.raises(FormatError, match="is compressed"):
        load(file)
    with pytest.raises(FormatError, match="it is no zip archive"):
        load(io.BytesIO(b"something else" * 10))
    weights = io.BytesIO()
    ag.save({"x": ag.ones(2)}, weights)
    with pytest.raises(FormatError, match="not an Argand program"):
        load(io.BytesIO(weights.getvalue()))


def test_what_a_file_cannot_hold_leaves_no_file(tmp_path: Path) -> None:
    program = export(lambda x, kind: x * 2, (ag.ones(2), int))
    with pytest.raises(TypeError, match="a type among the arguments"):
        program.save(tmp_path / "x.argand", samples=False)
    assert list(tmp_path.iterdir()) == []
