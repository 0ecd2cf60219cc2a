"""Files of every format are read, and give what they gave; ops change with their version only."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import hostile
import numpy as np
import pytest
from exhibits import EXHIBITS, FOLDER, OPS, op_lines

import argand as ag
from argand.base.errors import FormatError
from argand.export import check_samples, export, load
from argand.export.versions import FORMAT, UPGRADES
from argand.ir.op import registry

FILES = sorted(FOLDER.glob("format*/*.argand"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_old_files_give_what_they_gave(path: Any) -> None:
    program = load(path)
    assert program.origin["format"] == int(path.parent.name.removeprefix("format"))
    found = check_samples(program)
    assert found
    assert all(c.fits() for c in found), list(map(str, found))


def test_every_format_has_every_exhibit() -> None:
    names = {make.__name__ for make in EXHIBITS}
    for number in range(1, FORMAT + 1):
        assert {p.stem for p in FILES if p.parent.name == f"format{number}"} == names


def test_parameters_of_ops_change_with_their_version_only() -> None:
    pinned = dict(line.split(":") for line in OPS.read_text().splitlines())
    found = dict(line.split(":") for line in op_lines())
    changed = [name for name in pinned if name in found and pinned[name] != found[name]]
    assert not changed, "raise Op.version, and say in UPGRADES how old files are read"
    assert pinned == found, "write ops.txt anew: python tests/museum/exhibits.py"


def softmax_of_version_one() -> bytes:
    """A file of the time when softmax, so it is said here, called its dimension `axis`."""
    program = export(lambda x: ag.softmax(x, 1), (ag.ones(2, 4),))
    parts = hostile.parts_of(hostile.written(program))
    text = parts["programs/0.txt"].decode().replace("dim=1", "axis=1").encode()
    assert text != parts["programs/0.txt"]
    manifest = json.loads(parts["manifest.json"])
    manifest["parts"]["programs/0.txt"] = hashlib.sha256(text).hexdigest()
    assert manifest["ops"]["softmax"] == 1
    return hostile.packed(
        {**parts, "programs/0.txt": text, "manifest.json": json.dumps(manifest).encode()}
    )


def test_an_op_of_a_newer_version_reads_old_files(monkeypatch: pytest.MonkeyPatch) -> None:
    old = softmax_of_version_one()
    with pytest.raises(FormatError, match="softmax"):
        load(io.BytesIO(old))
    monkeypatch.setattr(registry.get("softmax"), "version", 2)
    with pytest.raises(FormatError, match="softmax of version 1 can't be read"):
        load(io.BytesIO(old))
    monkeypatch.setitem(UPGRADES, ("softmax", 1), lambda params: {"dim": params["axis"]})
    found = load(io.BytesIO(old))(np.ones((2, 4), np.float32))
    assert found.tolist() == [[0.25] * 4] * 2
    new = hostile.written(export(lambda x: ag.softmax(x, 1), (ag.ones(2, 4),)))
    monkeypatch.undo()
    with pytest.raises(FormatError, match="softmax is of version 2, and this Argand knows 1"):
        load(io.BytesIO(new))
