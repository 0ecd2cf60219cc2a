"""Rooms import only rooms above them; function-local imports count."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import argand
from argand.base.late import BINDINGS, resolve

PACKAGE = Path(argand.__file__).parent

# From the top; rooms of one line are strangers to each other.
ENGINE = (
    ("base",),
    ("ir",),
    ("runtime",),
    ("ops",),
    ("transform",),
    ("nest",),
    ("lowering",),
    ("kernels",),
    ("passes",),
    ("codegen",),
    ("backends",),
    ("tensor",),
    ("compile",),
)
LIBRARY = (
    ("nn", "data", "metrics", "io", "distributions"),
    ("func",),
    ("export",),
    ("jit", "fx"),
    ("optim",),
    ("fit",),
    ("vision",),
    ("onnx",),
    ("serve",),
    ("alias",),
    ("cli",),
)
VISIBLE_TO_LIBRARY = {"base", "ops", "transform", "tensor", "compile"}
# The registry's calls and the crossroads are the library's way to the ops.
OPEN_TO_LIBRARY = {"argand.ir", "argand.ir.bind", "argand.ir.entries", "argand.ir.op"}
ALSO = {
    "func": {"ir", "utils"},
    "export": {"ir", "backends", "version"},
    "fx": {"checks", "library", "overrides"},
    "jit": {"ir"},
    "alias": {"foreach", "torch_version"},
    "io": {"ir", "version"},
    "onnx": {"ir", "version"},
    "serve": {"version"},
    "cli": {"runtime", "backends", "codegen"},
}

# Modules of the package itself: addresses that PyTorch's programs use, made of the rooms' parts.
FACADES = {
    "__init__": {*sum(ENGINE, ()), *sum(LIBRARY, ()), "version"},
    "__main__": {"cli"},
    "_C": {"base", "ir", "tensor"},
    "__config__": {"base", "version"},
    "accelerator": {"base"},
    "amp": {"amp", "base", "ir", "tensor", "transform"},
    "array_api": {"array_api", "base", "fft", "ir", "tensor"},
    "autograd": {"tensor", "transform", "autograd", "func"},
    "checks": {"base", "tensor"},
    "compiler": {"base", "ir"},
    "cpu": {"amp", "backends", "base", "cpu"},
    "cuda": {"amp", "base", "cuda"},
    "distributed": {"base", "tensor"},
    "devices": {"base", "cpu", "cuda", "mps", "mtia", "tensor", "xpu"},
    "fft": {"tensor"},
    "foreach": {"base", "tensor"},
    "_lobpcg": {"base", "ir", "linalg", "tensor"},
    "futures": set(),
    "hub": {"base", "io"},
    "library": {"base", "ir", "ops", "profiler", "transform", "vision"},
    "linalg": {"base", "ir", "tensor"},
    "masked": {"base", "ir", "tensor"},
    "mps": {"base"},
    "mtia": {"base"},
    "multiprocessing": {"base"},
    "nested": {"base", "ir", "nn", "tensor"},
    "overrides": {"base", "fft", "ir", "linalg", "nn", "special", "tensor"},
    "quasirandom": {"base", "tensor"},
    "return_types": {"tensor"},
    "profiler": {"base", "io", "ir", "tensor"},
    "version": set(),
    "xpu": {"base"},
    "serialization": {"io"},
    "signal": {"base", "ir", "signal", "tensor"},
    "random": {"tensor"},
    "sparse": {"base", "ir", "sparse", "tensor"},
    "special": {"base", "ir", "tensor"},
    "testing": {"tensor"},
    "torch_version": set(),
    "types": {"base", "tensor"},
    "utils": {"base", "data", "ir", "nn", "runtime", "tensor", "utils", "version"},
}

# The places that import by name at run time, besides base/late.py.
IMPORTS_BY_NAME = {
    "__init__.py",
    "alias/modules.py",
    "backends/select.py",
    "base/late.py",
    "cli/main.py",
    "cuda/__init__.py",
    "fit/progress.py",
    "onnx/__init__.py",
    "optim/__init__.py",
    "utils/__init__.py",
    "vision/pillow.py",
}


def room_of(path: Path) -> str:
    """The room, or the facade, that a file belongs to."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """The modules that a file imports, anywhere in it; those only for type checkers don't count."""
    tree = ast.parse(path.read_text())
    ignored: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            ignored |= set(ast.walk(node))
    for node in ast.walk(tree):
        if node in ignored:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            yield node.lineno, str(node.module)
            if node.module == "argand":
                for alias in node.names:
                    yield node.lineno, f"argand.{alias.name}"


def allowed(room: str) -> set[str]:
    """The rooms that a room may import, besides itself."""
    if room in FACADES:
        return FACADES[room]
    above: set[str] = set()
    for line in ENGINE:
        if room in line:
            return above
        above |= set(line)
    above = set(VISIBLE_TO_LIBRARY)
    for line in LIBRARY:
        if room in line:
            return above | ALSO.get(room, set())
        above |= set(line)
    raise AssertionError(f"room {room} is not in the list")


FILES = sorted(PACKAGE.rglob("*.py"))


def test_every_room_is_known() -> None:
    rooms = {room_of(p) for p in FILES}
    assert rooms <= {*sum(ENGINE, ()), *sum(LIBRARY, ()), *FACADES}


@pytest.mark.parametrize("room", sorted({room_of(p) for p in FILES}))
def test_rooms_import_one_way(room: str) -> None:
    bad = []
    library = any(room in line for line in LIBRARY)
    for path in FILES:
        if room_of(path) != room:
            continue
        for line, module in imports(path):
            if library and module in OPEN_TO_LIBRARY:
                continue
            top, _, rest = module.partition(".")
            target = rest.partition(".")[0]
            if top == "argand" and target and target != room and target not in allowed(room):
                bad.append(f"{path.relative_to(PACKAGE)}:{line} imports {module}")
    assert not bad, "\n".join(bad)


def test_llvmlite_is_imported_in_one_room_only() -> None:
    for path in FILES:
        for line, module in imports(path):
            if module.split(".")[0] == "llvmlite":
                assert path.is_relative_to(PACKAGE / "codegen" / "llvm"), f"{path}:{line}"


def test_only_the_listed_files_import_by_name() -> None:
    found = {str(p.relative_to(PACKAGE)) for p in FILES if "import_module(" in p.read_text()}
    assert found <= IMPORTS_BY_NAME


def test_late_bindings_are_pinned() -> None:
    assert set(BINDINGS) == LATE
    for name in BINDINGS:
        assert resolve(name) is not None


LATE = {
    "compile.compile",
    "eager.entries",
    "eager.has_form",
    "eager.kernel_step",
    "eager.native",
    "eager.plan_call",
    "export.archive",
    "export.graph",
    "export.module",
    "fit.model",
    "func.vmap",
    "nn.parameter",
    "tensor.namespace",
    "tensor.sparse",
}

ABSENT = ("llvmlite", "rich", "sklearn", "safetensors", "scipy", "torch", "argand.nn")


def test_import_is_light() -> None:
    script = f"import argand, sys; print([m for m in {ABSENT!r} if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_lazy_names_resolve() -> None:
    for name, (module, attribute) in argand._LAZY.items():
        loaded = importlib.import_module(module)
        assert attribute is None or hasattr(loaded, attribute), name


# -- what the compiler sees of modules and optimizers ----------------------------------------------


def private_names(path: Path) -> Iterator[tuple[int, str]]:
    """The private names that a file uses, off objects or as texts."""
    for node in ast.walk(ast.parse(path.read_text())):
        name = None
        if isinstance(node, ast.Attribute):
            name = node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
        if name and name.isidentifier() and name.startswith("_") and not name.startswith("__"):
            yield node.lineno, name


def names_in(*rooms: str) -> set[str]:
    """The private names that files of these rooms use."""
    return {name for p in FILES if room_of(p) in rooms for _, name in private_names(p)}


def test_the_compiler_asks_modules_and_optimizers_for_their_state() -> None:
    """It reads `__argand_state__` (base/stateful.py), nothing private."""
    # the compiler belongs to the rooms whose private names it may use
    private = names_in("nn", "optim") - names_in("base", "ir", "transform", "tensor")
    assert {"_parameters", "_buffers", "_modules", "_special", "_transient"} <= private
    bad = [
        f"{path.relative_to(PACKAGE)}:{line} uses {name}"
        for path in FILES
        if room_of(path) == "compile"
        for line, name in private_names(path)
        if name in private and not _defines(name)
    ]
    assert not bad, "\n".join(bad)


def _defines(name: str) -> bool:
    """Whether the compiler has a function or an attribute of its own of that name."""
    texts = [p.read_text() for p in FILES if room_of(p) == "compile"]
    return any(f"def {name}(" in text or f"self.{name} = " in text for text in texts)
