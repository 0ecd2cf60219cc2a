"""`return`, `break` and `continue` inside branches and loops, as flags that later code looks at.

    while test:                        stop = False
        if a: break              →     while test and not stop:
        work()                             if a: stop = True
                                           if not stop: work()

So a branch or a round always runs to its end, and can be a function of its own.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from argand.jit.control.syntax import RUNTIME, call, exits_of, lambda_of, name, parse, stored

RETURNED = f"{RUNTIME}_returned"
VALUE = f"{RUNTIME}_value"

Flags = dict[str, None]  # an ordered set


def without_exits(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """The body of a function in which nothing leaves a branch or a loop before its end."""
    lowering = _Lowering()
    early = any(ast.Return in exits_of(stmt) for stmt in body if not isinstance(stmt, ast.Return))
    found, _ = lowering.block(body, early)
    if not early:
        return found
    begin = parse(f"{RETURNED} = False\n{VALUE} = {RUNTIME}.UNDEFINED")
    end = parse(f"return {RUNTIME}.returned({VALUE})")
    return [*begin, *found, *end]


class _Lowering:
    """Numbers the loops; `lowers` says whether returns become flags too."""

    def __init__(self) -> None:
        self.loops: list[int] = []
        self.count = 0

    def block(self, body: Sequence[ast.stmt], lowers: bool) -> tuple[list[ast.stmt], Flags]:
        """Statements in order: what comes behind one that may leave runs where it hasn't."""
        out: list[ast.stmt] = []
        flags: Flags = {}
        for i, stmt in enumerate(body):
            found, left = self.statement(stmt, lowers)
            out += [ast.copy_location(s, stmt) for s in found]
            flags |= left
            if left and i + 1 < len(body):
                rest, more = self.block(body[i + 1 :], lowers)
                test = call("none_of", *map(name, left))
                out.append(ast.copy_location(ast.If(test, rest, []), body[i + 1]))
                return out, flags | more
        return out, flags

    def statement(self, stmt: ast.stmt, lowers: bool) -> tuple[list[ast.stmt], Flags]:
        """One statement, and the flags that it may set."""
        if isinstance(stmt, ast.Return) and lowers:
            value = stmt.value or ast.Constant(None)
            return [_assigned(VALUE, value), *parse(f"{RETURNED} = True")], {RETURNED: None}
        if isinstance(stmt, ast.Break | ast.Continue):
            kind = "stop" if isinstance(stmt, ast.Break) else "skip"
            flag = f"{RUNTIME}_{kind}_{self.loops[-1]}"
            return parse(f"{flag} = True"), {flag: None}
        if isinstance(stmt, ast.If):
            stmt.body, left = self.block(stmt.body, lowers)
            stmt.orelse, more = self.block(stmt.orelse, lowers)
            return [stmt], left | more
        if isinstance(stmt, ast.With):
            stmt.body, left = self.block(stmt.body, lowers)
            return [stmt], left
        if isinstance(stmt, ast.While | ast.For):
            return self._loop(stmt, lowers)
        return [stmt], {}

    def _loop(self, loop: ast.While | ast.For, lowers: bool) -> tuple[list[ast.stmt], Flags]:
        self.count += 1
        stop, skip = (f"{RUNTIME}_{kind}_{self.count}" for kind in ("stop", "skip"))
        self.loops.append(self.count)
        body, left = self.block(loop.body, lowers)
        self.loops.pop()
        before = parse(f"{stop} = False") if stop in left else []
        loop.body = [*parse(f"{skip} = False"), *body] if skip in left else body
        stops = [flag for flag in left if flag != skip]
        out: Flags = {RETURNED: None} if RETURNED in left else {}
        if isinstance(loop, ast.While):
            if stops:
                goes_on = lambda_of(call("none_of", *map(name, stops)))
                loop.test = call("and_", goes_on, lambda_of(loop.test))
        else:
            loop.stops = stops  # type: ignore[attr-defined]  # for `rewriting`
        otherwise, more = self.block(loop.orelse, lowers)
        loop.orelse = []
        if stops and otherwise:
            otherwise = [ast.If(call("none_of", *map(name, stops)), otherwise, [])]
        return [*before, loop, *otherwise], out | more


def _assigned(variable: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([stored(variable)], value)


__all__ = ["without_exits"]
