"""What a client loads: NumPy and the standard library."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import argand_client

PACKAGE = Path(argand_client.__file__).parent
AT_ONCE = {"argand_client", "numpy"}
WHEN_USED = {"google", "grpc", "ml_dtypes"}


def imported(node: ast.AST) -> list[str]:
    """The packages that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [str(node.module).split(".")[0]]
    return []


def test_the_client_imports_numpy_and_the_standard_library_only() -> None:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            for name in imported(node):
                known = name in sys.stdlib_module_names or name in AT_ONCE | WHEN_USED
                assert known, f"{path.name}:{getattr(node, 'lineno', 0)} imports {name}"


def test_importing_the_client_loads_neither_argand_nor_grpc() -> None:
    script = (
        "import sys, argand_client; "
        "print([m for m in ('argand', 'grpc', 'google.protobuf', 'llvmlite', 'ml_dtypes') "
        "if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert found.stdout.strip() == "[]", found.stderr
