"""The name of a kept program covers everything that decides its code: a stale kernel is a wrong
result."""

from __future__ import annotations

import ast
import os
import platform
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import llvmlite
import llvmlite.binding
import ml_dtypes
import numpy as np
import pytest

import argand as ag
from argand.backends.cpu import store
from argand.backends.cpu.store import ROOMS, Store
from argand.base.dtype import float64
from argand.base.sources import PACKAGE, files_of, sources_digest
from argand.codegen.llvm.target import host_target
from argand.ir.text import parse_program

FILES = [file.relative_to(PACKAGE) for file in files_of(ROOMS)]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package."""
    folder = tmp_path / "argand"
    shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_every_file_that_decides_code_changes_the_key(copy: Path) -> None:
    """Also where size and time stay as they were."""
    whole = sources_digest(ROOMS, copy)
    assert whole == sources_digest(ROOMS)
    for file in FILES:
        path = copy / file
        content, stat = path.read_bytes(), path.stat()
        path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert sources_digest(ROOMS, copy) != whole, file
        path.write_bytes(content)
    assert sources_digest(ROOMS, copy) == whole


def test_files_that_come_go_or_are_renamed_change_the_key(copy: Path) -> None:
    seen = {sources_digest(ROOMS, copy)}
    (copy / "base" / "new.py").write_text("")
    seen.add(sources_digest(ROOMS, copy))
    (copy / "base" / "new.py").rename(copy / "base" / "newer.py")
    seen.add(sources_digest(ROOMS, copy))
    (copy / "base" / "newer.py").unlink()
    (copy / "base" / "dim.py").unlink()
    seen.add(sources_digest(ROOMS, copy))
    assert len(seen) == 4


def test_a_file_that_decides_no_code_does_not_change_the_key(copy: Path) -> None:
    whole = sources_digest(ROOMS, copy)
    (copy / "nn" / "linear.py").write_text("")
    os.utime(copy / "base" / "dim.py")
    assert sources_digest(ROOMS, copy) == whole


def imported(file: Path) -> Iterator[str]:
    """The rooms that a file imports, in functions too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
        for name in names:
            if name.startswith("argand."):
                yield name.split(".")[1]


def test_the_rooms_hold_all_that_the_compiler_imports() -> None:
    reached, waiting = {"backends"}, ["backends"]
    while waiting:
        for file in files_of([waiting.pop()]):
            new = {r for r in imported(file) if (PACKAGE / r).is_dir()} - reached
            reached |= new
            waiting += new
    assert reached <= set(ROOMS)


def test_a_room_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="nowhere"):
        files_of(["base", "nowhere"])


VERSIONS: list[tuple[object, str, object]] = [
    (llvmlite, "__version__", "0.0.1"),
    (llvmlite.binding, "llvm_version_info", (1, 0, 0)),
    (np, "__version__", "0.0.1"),
    (ml_dtypes, "__version__", "0.0.1"),
    (platform, "python_version", lambda: "3.0.0"),
    (platform, "python_implementation", lambda: "Other"),
]

PROGRAM = """
    program f(x: f32[4]) {
      %0: f32[4] = exp(x)
      return %0
    }"""


def key() -> str:
    program = parse_program(textwrap.dedent(PROGRAM))
    return Store(host_target()).key(str(program), program)


@pytest.fixture
def fresh() -> Iterator[Callable[[], None]]:
    """Forget the digests that a process works out once."""

    def forget() -> None:
        store.code_digest.cache_clear()

    yield forget
    forget()


@pytest.mark.parametrize(
    ("module", "name", "value"), VERSIONS, ids=lambda x: getattr(x, "__name__", str(x))
)
def test_every_version_changes_the_key(
    module: object,
    name: str,
    value: object,
    monkeypatch: pytest.MonkeyPatch,
    fresh: Callable[[], None],
) -> None:
    fresh()
    before = key()
    assert key() == before
    monkeypatch.setattr(module, name, value)
    fresh()
    assert key() != before


def test_the_default_dtype_changes_the_key() -> None:
    """Bodies of composites may ask for it."""
    before = key()
    ag.set_default_dtype(float64)
    try:
        assert key() != before
    finally:
        ag.set_default_dtype(ag.float32)


ELEMENTWISE = """
import numpy as np
import argand as ag
from argand.ir.elementwise import Elementwise
from argand.ir.op import ops
from argand.ir.samples import Uniform

class StoreTestOp(Elementwise):
    'A formula.'

    samples = Uniform(-1, 1)

    def body(b, x):
        return FORMULA

def f(x):
    y = ops.store_test_op(x)
    return y, ag.autograd.grad(y.sum(), x)[0]

x = ag.tensor([1.0, 2.0], requires_grad=True)
print([t.tolist() for t in ag.compile(f)(x)])
"""

COMPOSITE = """
import argand as ag
from argand.ir.families import Composite
from argand.ir.op import ops, TensorType

class StoreTestBoth(Composite):
    'Other ops.'

    samples = ()

    def body(x):
        return FORMULA

print(ag.compile(lambda x: ops.store_test_both(x))(ag.tensor([1.0, 2.0])).tolist())
"""


@pytest.mark.parametrize(
    ("code", "first", "second", "results"),
    [
        (
            ELEMENTWISE,
            "x * x",
            "x * x * x",
            ("[[1.0, 4.0], [2.0, 4.0]]", "[[1.0, 8.0], [3.0, 12.0]]"),
        ),
        (COMPOSITE, "ops.mul(x, 2.0)", "ops.mul(x, 3.0)", ("[2.0, 4.0]", "[3.0, 6.0]")),
    ],
    ids=["elementwise", "composite"],
)
def test_an_op_of_a_user_may_change_its_formula(
    code: str, first: str, second: str, results: tuple[str, str], tmp_path: Path
) -> None:
    env = {**os.environ, "ARGAND_CACHE": str(tmp_path)}
    for formula, wanted in zip((first, second), results, strict=True):
        for _ in range(2):  # the second time from the cache, if it is kept
            text = code.replace("FORMULA", formula)
            run = [sys.executable, "-c", text]
            done = subprocess.run(run, env=env, capture_output=True, text=True, check=False)
            assert done.stdout.strip() == wanted, done.stderr


SIZED = """
import sys
import numpy as np
import argand
from argand.backends.cpu import eager, forms, store
from argand.ir.families import Composite
from argand.ir.op import ops, registry

class StoreTestSized(Composite):
    'Asks for a size.'

    samples = ()

    def body(x, dim, keepdim):
        return ops.mul(ops.sum(x, dim, keepdim), 2.0 if x.shape[0] > 4 else 3.0)

store.foreign_formulas = lambda program: ()  # it is stored and has a form, as ours
op = registry.get("store_test_sized")
eager.FORMS = {**forms.FORMS, type(op): forms.reduce_form}
for size in sys.argv[1]:
    x = np.ones(int(size), np.float32)
    print(*eager.run_eager(op, (x,), {"dim": (0,), "keepdim": False}))
"""


def test_what_relied_on_the_sizes_of_a_call_is_not_stored_for_others(tmp_path: Path) -> None:
    env = {**os.environ, "ARGAND_CACHE": str(tmp_path)}
    for sizes in ("6", "3", "363"):
        run = [sys.executable, "-c", SIZED, sizes]
        done = subprocess.run(run, env=env, capture_output=True, text=True, check=False)
        wanted = [{"6": "12.0", "3": "9.0"}[size] for size in sizes]
        assert done.stdout.split() == wanted, done.stderr
