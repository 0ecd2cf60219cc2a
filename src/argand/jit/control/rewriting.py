"""Control flow as calls of `staged`.

if a > 0: y = f(x)           def then(): nonlocal y; y = f(x)
else: y = g(x)         →     def otherwise(): nonlocal y; y = g(x)
                             def get(): return (value(lambda: y),)
                             def put(values): nonlocal y; y, = values
                             if_(a > 0, then, otherwise, get, put, ("y",))
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from argand.jit.control.exits import without_exits
from argand.jit.control.syntax import (
    RUNTIME,
    call,
    changed_by,
    inside,
    lambda_of,
    leaves,
    name,
    parse,
)


def rewritten(function: ast.FunctionDef, owner: str = "") -> ast.FunctionDef:
    """The definition with its control flow as calls; `owner` is the class that it stands in."""
    return _Rewriter(owner).function(function)


class _Rewriter(ast.NodeTransformer):
    """Rewrites one function, and those defined in it."""

    def __init__(self, owner: str) -> None:
        self.owner = owner.lstrip("_")
        self.count = 0
        self.shared: set[str] = set()  # names that are declared global or nonlocal
        self.declared: dict[str, None] = {}
        self.first = ""  # the first argument: `self`, in a method

    def function(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """A function, whose variables that functions in it assign are declared as its own."""
        outer = self.shared, self.declared, self.first
        arguments = [*node.args.posonlyargs, *node.args.args]
        self.first = arguments[0].arg if arguments else ""
        self.shared = {
            shared
            for stmt in node.body
            for n in inside(stmt)
            if isinstance(n, ast.Global | ast.Nonlocal)
            for shared in n.names
        }
        self.declared = {}
        body = without_exits(node.body)
        node.body = [found for stmt in body for found in self._visited(stmt)]
        node.body = [s for n in self.declared for s in parse(f"{n}: object")] + node.body
        self.shared, self.declared, self.first = outer
        return node

    def _visited(self, stmt: ast.stmt) -> list[ast.stmt]:
        found = self.visit(stmt)
        return found if isinstance(found, list) else [found]

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        if any(isinstance(n, ast.Yield | ast.YieldFrom) for s in node.body for n in inside(s)):
            return node
        return self.function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> Any:
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        return node

    # -- statements ----------------------------------------------------------------------------

    def visit_If(self, node: ast.If) -> Any:
        moved = not leaves([*node.body, *node.orelse])
        states = self._states([*node.body, *node.orelse])
        self.generic_visit(node)
        if not moved:
            return node
        then, otherwise = self._name("then"), self._name("otherwise")
        made = [self._part(then, node.body, states), self._part(otherwise, node.orelse, states)]
        return self._placed(node, made, states, "if_", node.test, name(then), name(otherwise))

    def visit_While(self, node: ast.While) -> Any:
        moved = not leaves(node.body)
        states = self._states([*node.body, node.test])
        self.generic_visit(node)
        if not moved:
            return node
        goes_on, body = self._name("goes_on"), self._name("body")
        test = [ast.copy_location(ast.Return(node.test), node)]
        made = [self._part(goes_on, test, states), self._part(body, node.body, states)]
        return self._placed(node, made, states, "while_", name(goes_on), name(body))

    def visit_For(self, node: ast.For) -> Any:
        moved = not leaves(node.body)
        states = self._states([*node.body, node.target])
        stops = [name(flag) for flag in getattr(node, "stops", ())]
        self.generic_visit(node)
        if not moved:
            ends = [ast.If(call("any_of", *stops), [ast.Break()], [])] if stops else []
            node.body += [ast.copy_location(stmt, node) for stmt in ends]
            return node
        body, take, item = self._name("body"), self._name("take"), self._name("item")
        taken: list[ast.stmt] = [ast.Assign([node.target], name(item))]
        made = [
            self._part(take, taken, states, item),
            self._part(body, node.body, states),
        ]
        goes_on = lambda_of(call("none_of", *stops))
        return self._placed(node, made, states, "for_", node.iter, goes_on, name(take), name(body))

    def visit_Assert(self, node: ast.Assert) -> Any:
        self.generic_visit(node)
        message = lambda_of(node.msg or ast.Constant(""))
        return ast.copy_location(ast.Expr(call("assert_", node.test, message)), node)

    def visit_Raise(self, node: ast.Raise) -> Any:
        if node.exc is None:
            return node
        check = ast.Expr(call("raises", ast.Constant(ast.unparse(node.exc))))
        self.generic_visit(node)
        return [ast.copy_location(check, node), node]

    def _states(self, nodes: Sequence[ast.AST]) -> list[str]:
        """What statements may change, of what belongs to the function; variables are declared."""
        found = [n for n in changed_by(nodes) if n.partition(".")[0] not in self.shared]
        self.declared |= {n: None for n in found if "." not in n}
        return found

    def _name(self, kind: str) -> str:
        self.count += 1
        return f"{RUNTIME}_{kind}_{self.count}"

    def _part(
        self, title: str, body: Sequence[ast.stmt], states: Sequence[str], argument: str = ""
    ) -> ast.stmt:
        """A function of a branch or a round, which assigns the variables around it."""
        (made,) = parse(f"def {title}({argument}): pass")
        assert isinstance(made, ast.FunctionDef)
        own = [n for n in states if "." not in n]
        head = [ast.Nonlocal(own)] if own else []
        made.body = [*head, *(body or [ast.Pass()])]
        return made

    def _placed(
        self, node: ast.stmt, made: list[ast.stmt], states: Sequence[str], kind: str, *args: Any
    ) -> list[ast.stmt]:
        """The functions and the call that stand for a statement."""
        get, put = self._name("get"), self._name("put")
        read = "".join(f"{RUNTIME}.value(lambda: {state})," for state in states)
        made += parse(f"def {get}():\n return ({read})")
        own = [state for state in states if "." not in state]
        lines = [f"nonlocal {', '.join(own)}"] if own else []
        lines += [line for i, state in enumerate(states) for line in _put(state, i)]
        made += parse("\n ".join([f"def {put}({RUNTIME}_values):", *lines, "pass"]))
        titles = ast.Tuple([ast.Constant(state) for state in states], ast.Load())
        made.append(ast.Expr(call(kind, *args, name(get), name(put), titles)))
        return [ast.copy_location(stmt, node) for stmt in made]

    # -- expressions ---------------------------------------------------------------------------

    def visit_Call(self, node: ast.Call) -> Any:
        bare = isinstance(node.func, ast.Name) and not node.args and not node.keywords
        if bare and node.func.id == "super":  # type: ignore[attr-defined]  # a Name
            node.args = [name("__class__"), name(self.first)]
            return node
        self.generic_visit(node)
        own = isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)
        if own and node.func.value.id == RUNTIME:  # type: ignore[attr-defined]  # likewise
            return node
        node.func = ast.copy_location(call("callee", node.func), node.func)
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        self.generic_visit(node)
        if _binds(node):
            return node
        kind = "and_" if isinstance(node.op, ast.And) else "or_"
        return ast.copy_location(call(kind, *map(lambda_of, node.values)), node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Not):
            return node
        return ast.copy_location(call("not_", node.operand), node)

    def visit_Compare(self, node: ast.Compare) -> Any:
        """`a < b() < c`, which has an `and` in it."""
        self.generic_visit(node)
        if len(node.ops) == 1 or _binds(node):
            return node
        args = [node.left]
        for op, side in zip(node.ops, node.comparators, strict=True):
            args += [ast.Constant(type(op).__name__), lambda_of(side)]
        return ast.copy_location(call("compare", *args), node)

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        self.generic_visit(node)
        if _binds(node):
            return node
        parts = node.test, lambda_of(node.body), lambda_of(node.orelse)
        return ast.copy_location(call("if_expression", *parts), node)

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        """`self.__x` of a class, which Python renames there."""
        self.generic_visit(node)
        if self.owner and node.attr.startswith("__") and not node.attr.endswith("__"):
            node.attr = f"_{self.owner}{node.attr}"
        return node


def _put(state: str, i: int) -> list[str]:
    """The lines that give a variable, or an attribute, its value; or no value."""
    owner, dot, attribute = state.partition(".")
    value = f"{RUNTIME}_values[{i}]"
    if dot:
        return [f"{RUNTIME}.set_attribute({owner}, {attribute!r}, {value})"]
    return [f"{state} = {value}", f"if {state} is {RUNTIME}.UNDEFINED: del {state}"]


def _binds(node: ast.AST) -> bool:
    """Whether an expression assigns a variable, or waits: it can't move into a function."""
    kinds = (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)
    return any(isinstance(n, kinds) for n in inside(node))


__all__ = ["rewritten"]
