"""Small pieces of Python's syntax trees: made, and looked at."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

RUNTIME = "ag__"
"""The name under which rewritten code finds `staged`, and the beginning of names that it adds."""

SCOPES = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)
_CHANGING = {
    *("append", "extend", "insert", "pop", "remove", "clear", "update", "setdefault", "add"),
    *("discard", "reverse", "sort"),
}
"""Methods of containers that change them."""


def name(text: str) -> ast.expr:
    """A variable that is read."""
    return ast.Name(text, ast.Load())


def stored(text: str) -> ast.expr:
    """A variable that is assigned."""
    return ast.Name(text, ast.Store())


def call(function: str, *args: ast.expr) -> ast.expr:
    """A call of a function of `staged`."""
    return ast.Call(ast.Attribute(name(RUNTIME), function, ast.Load()), list(args), [])


def lambda_of(body: ast.expr) -> ast.expr:
    """A function without arguments."""
    return ast.Lambda(ast.arguments([], [], None, [], [], None, []), body)


def parse(text: str) -> list[ast.stmt]:
    """Statements of our own."""
    return ast.parse(text).body


def inside(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all in it that belongs to the same scope; a definition is its name."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield stored(node.name)
    elif not isinstance(node, SCOPES):
        yield node
        for child in ast.iter_child_nodes(node):
            yield from inside(child)


def exits_of(stmt: ast.stmt) -> set[type[ast.AST]]:
    """How a statement may leave the block that it stands in: Return, Break, Continue."""
    found: set[type[ast.AST]] = set()
    if isinstance(stmt, (*SCOPES, ast.Try, ast.TryStar)):
        return found  # what leaves a `try` stays as it is
    if isinstance(stmt, ast.Return | ast.Break | ast.Continue):
        return {type(stmt)}
    blocks = [getattr(stmt, part, []) for part in ("body", "orelse")]
    for part in [s for block in blocks for s in block]:
        found |= exits_of(part)
    return found - {ast.Break, ast.Continue} if isinstance(stmt, ast.While | ast.For) else found


def leaves(stmts: Sequence[ast.stmt]) -> bool:
    """Whether anything in the statements leaves them, or is a generator's: they can't be moved into
    a function of their own."""
    kinds = (ast.Return, ast.Yield, ast.YieldFrom, ast.Await)
    if any(isinstance(node, kinds) for stmt in stmts for node in inside(stmt)):
        return True
    return any(_exits_loop(stmt) for stmt in stmts)


def _exits_loop(stmt: ast.AST) -> bool:
    if isinstance(stmt, ast.Break | ast.Continue):
        return True
    if isinstance(stmt, (*SCOPES, ast.While, ast.For)):
        return False
    return any(_exits_loop(child) for child in ast.iter_child_nodes(stmt))


def changed_by(nodes: Sequence[ast.AST]) -> list[str]:
    """The variables, and the attributes of variables (`self.x`), that code may change: assigns,
    deletes, or writes into."""
    found: dict[str, None] = {}
    for node in [n for root in nodes for n in inside(root)]:
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found[node.id] = None
        elif isinstance(node, ast.alias):
            found[(node.asname or node.name).partition(".")[0]] = None
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found[node.name] = None
        elif isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            found |= dict.fromkeys(_path(node))
        elif _changes_inside(node):
            found |= dict.fromkeys(_path(node.value))  # type: ignore[attr-defined]  # of both
    return [n for n in found if n != RUNTIME]


def _changes_inside(node: ast.AST) -> bool:
    """Whether code sets an item of something, or calls a method that changes it."""
    if isinstance(node, ast.Subscript):
        return not isinstance(node.ctx, ast.Load)
    return isinstance(node, ast.Attribute) and node.attr in _CHANGING


def _path(node: ast.expr) -> list[str]:
    """`x`, or `self.x`; nothing of anything longer or computed."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return [f"{node.value.id}.{node.attr}"]
    return []


__all__ = [
    "RUNTIME",
    "SCOPES",
    "call",
    "changed_by",
    "exits_of",
    "inside",
    "lambda_of",
    "leaves",
    "name",
    "parse",
    "stored",
]
