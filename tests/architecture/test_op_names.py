"""The compiler asks an op for what it wants to know and never selects by its name.

Names are for texts: of programs, errors, cache keys and functions. A decision is made by a trait
that the op or its family states (docs/design.md), or by the op's class.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import argand
import argand.ops  # fills the registry
from argand.ir.op import registry
from argand.ir.primitives import PRIMITIVES

PACKAGE = Path(argand.__file__).parent
COMPILER = ("nest", "lowering", "passes", "kernels", "codegen", "backends")
OTHERS = ("ir", "transform", "tensor", "compile")
REGISTRY = "ir/op.py"

# Instructions of nests and primitives of formulas have names of their own.
OPS = {name for name in registry if name not in PRIMITIVES}
TEXT_TESTS = {"startswith", "endswith", "find", "partition", "removeprefix", "split"}
LOOKUPS = {"get", "pop", "setdefault"}


def is_op(node: ast.expr) -> bool:
    """Whether an expression is an op, by what it is called."""
    last = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return last == "op" or last.endswith("_op")


def is_name(node: ast.AST, aliases: set[str]) -> bool:
    """Whether an expression is the name of an op, or of its class."""
    if isinstance(node, ast.Name):
        return node.id in aliases
    if not isinstance(node, ast.Attribute):
        return False
    if node.attr == "__name__":  # type(op).__name__
        return isinstance(node.value, ast.Call) and any(map(is_op, node.value.args))
    return node.attr == "name" and is_op(node.value)


def own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function or module, without those of the functions in it."""
    for child in ast.iter_child_nodes(scope):
        yield child
        if not isinstance(child, ast.FunctionDef):
            yield from own_nodes(child)


def aliases_in(nodes: Iterable[ast.AST]) -> set[str]:
    """The variables that hold names of ops."""
    found: set[str] = set()
    for node in nodes:
        for target in node.targets if isinstance(node, ast.Assign) else ():
            pairs = [(target, node.value)]  # type: ignore[attr-defined]
            if isinstance(target, ast.Tuple) and isinstance(pairs[0][1], ast.Tuple):
                pairs = list(zip(target.elts, pairs[0][1].elts, strict=False))
            found |= {t.id for t, v in pairs if isinstance(t, ast.Name) and is_name(v, set())}
    return found


def is_registry_call(node: ast.AST) -> bool:
    """Whether an expression looks an op up."""
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "registry.get"


def selections(scope: ast.AST, outer: frozenset[str] = frozenset()) -> Iterator[tuple[int, str]]:
    """Where a file selects by the name of an op: the lines, and how."""
    nodes = list(own_nodes(scope))
    aliases = outer | aliases_in(nodes)
    for node in nodes:
        if isinstance(node, ast.FunctionDef):
            yield from selections(node, aliases)
        asked: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            asked = [node.left, *node.comparators]
            if any(map(is_registry_call, asked)):
                yield node.lineno, "compares with an op that it looked up"
        elif isinstance(node, ast.Subscript):
            asked = [node.slice]
        elif isinstance(node, ast.Match):
            asked = [node.subject]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in TEXT_TESTS:
                asked = [node.func.value]
            elif node.func.attr in LOOKUPS:
                asked = node.args[:1]
        if any(is_name(a, aliases) for a in asked):
            yield node.lineno, f"selects by a name: {ast.unparse(node)}"


def tables(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Where a file has a table of names of ops, or asks for the names of their base classes."""
    public = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "__mro__":
            yield node.lineno, "asks for the base classes"
        if not isinstance(node, ast.Set | ast.List | ast.Tuple | ast.Dict) or node in public:
            continue
        items = node.keys if isinstance(node, ast.Dict) else node.elts
        texts = [i.value for i in items if isinstance(i, ast.Constant) and type(i.value) is str]
        named = [text for text in texts if text in OPS]
        if len(named) >= 2 and 2 * len(named) > len(texts):
            yield node.lineno, f"has a table of ops: {', '.join(named)}"


def files(rooms: tuple[str, ...]) -> list[str]:
    """The files of some rooms."""
    found = [path for room in rooms for path in (PACKAGE / room).rglob("*.py")]
    return sorted(str(path.relative_to(PACKAGE)) for path in found)


@pytest.mark.parametrize("name", files((*COMPILER, *OTHERS)))
def test_nothing_selects_by_the_name_of_an_op(name: str) -> None:
    tree = ast.parse((PACKAGE / name).read_text())
    bad = [] if name == REGISTRY else list(selections(tree))
    if name.partition("/")[0] in COMPILER:
        bad += tables(tree)
    assert not bad, "\n".join(f"{name}:{line} {how}" for line, how in sorted(set(bad)))


WRONG = (
    'VIEWS = frozenset(("reshape", "permute", "expand", "slice"))',
    'COMBINES = {"sum": "add", "prod": "mul"}',
    'IMAGES = {"conv2d": (0,), "conv2d_weight_grad": (0, 1)}',
    'found = node.op.name == "fusion"',
    'found = node.op.name in ("permute", "reshape")',
    'found = "weight" not in node.op.name',
    'found = node.op.name.startswith("arg")',
    "rule = RULES.get(node.op.name)",
    "rule = RULES[self.node.op.name]",
    'def f(node):\n    name, p = node.op.name, 1\n    return name == "conv2d"',
    'match node.op.name:\n    case "sum": x = 1',
    "families = {cls.__name__ for cls in type(node.op).__mro__}",
    'found = type(node.op).__name__ == "Reduce"',
    "class A:\n    def f(self):\n        name = self.op.name\n        return lambda: TABLE[name]",
    'found = node.op is registry.get("matmul")',
)
RIGHT = (
    'text = f"{node.op.name} has no kernel"',
    "key = (node.op.name, params)",
    'node = Node(registry.get("contiguous"), (x,), {}, types)',
    'primitives = {"add": 1, "mul": 2, "max": 3}',
    'found = op.primitive in ("add", "mul")',
    'names = " ".join(n.op.name for n in nodes)',
    '__all__ = ["softmax", "matmul"]',
    'def f(op):\n    name = op.name\n\ndef g(name):\n    return name == "x"',
)


@pytest.mark.parametrize("code", WRONG)
def test_it_is_found(code: str) -> None:
    tree = ast.parse(code)
    assert [*selections(tree), *tables(tree)]


@pytest.mark.parametrize("code", RIGHT)
def test_it_is_no_selection(code: str) -> None:
    tree = ast.parse(code)
    assert not [*selections(tree), *tables(tree)]
