"""Programs from text: the inverse of `program.print_program`.

program f(x: f32[N, 3]; state "0.weight": f32[3]) {
  %0: f32[N, 3] = mul(x, 2.0)
  return %0
}
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

from argand.base.dim import Dim, Extent, dim_max, dim_min
from argand.base.dtype import ALL, DType, int64
from argand.base.errors import ArgandError, ProgramError
from argand.base.userstack import Location
from argand.ir.op import Literal, TensorType, registry
from argand.ir.program import Node, Operand, Program, Value

_TOKEN = re.compile(
    r"""[ \t\r]*(?:(?P<line>\n+)
      |(?P<comment>\#[^\n]*)
      |(?P<number>-?(?:inf|nan)\b|-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?j?)
      |(?P<string>"(?:[^"\\\n]|\\.)*")
      |(?P<name>%?[A-Za-z_0-9][A-Za-z0-9_.]*)
      |(?P<sign><-|//|[(){}\[\],:;=@+\-*%<])
      |(?P<end>\Z))""",
    re.VERBOSE,
)
_DTYPES: dict[str, DType] = {d.short: d for d in ALL}


_PLACE = re.compile(r"#\s*(?:(?P<file>\S+):(?P<line>\d{1,9}))?(?: · )?(?P<module>[\w.]*)\s*")


class _Tokens:
    def __init__(self, text: str) -> None:
        self.items: list[tuple[str, str, int]] = []
        self.comments: dict[int, str] = {}  # by their lines
        position, line = 0, 1
        for m in _TOKEN.finditer(text):
            if m.start() != position:
                break
            kind, position = str(m.lastgroup), m.end()
            word = m[kind]
            if kind == "line":
                line += len(word)
            elif kind == "comment":
                self.comments[line] = word
            elif kind != "end":
                self.items.append((kind, word, line))
        if position < len(text):
            raise ProgramError(f"line {line}: unexpected {text[position]!r}")
        self.items.append(("end", "end of text", line))
        self.at = 0

    def peek(self) -> str:
        return self.items[self.at][1]

    def kind(self) -> str:
        return self.items[self.at][0]

    def next(self) -> str:
        self.at += 1
        return self.items[self.at - 1][1]

    def take(self, text: str) -> bool:
        if self.peek() == text and self.kind() != "string":
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.take(text):
            raise self.error(f"expected {text!r}, found {self.peek()!r}")

    def error(self, message: str) -> ProgramError:
        return ProgramError(f"line {self.items[self.at][2]}: {message}")


Upgrade = Callable[[str, dict[str, Any]], dict[str, Any]]
"""Looks at a node's op, by name, and its parameters before it is made; gives the parameters."""

_LONGEST_SIZE = 20_000  # tokens of one size, which is a polynomial
_MOST_TERMS = 1_000  # of a product of two polynomials
_DEEPEST = 60  # regions in regions
_ENDS = {",", "]", ")", "}"}
_MOST_FACTORS = 64  # of one term
_MOST_DIVISIONS = 300  # in one size, where each may be of the one before


class _Parser:
    def __init__(self, text: str, upgrade: Upgrade | None = None) -> None:
        self.t = _Tokens(text)
        self.dims: dict[str, Dim] = {}
        self.upgrade = upgrade
        self.nodes_left = sys.maxsize
        self.size_begin: int | None = None  # of the size that is being read
        self.divisions = 0  # in that size
        self.depth = 0

    def program(self, head: str = "program") -> Program:
        t = self.t
        self.depth += 1
        if self.depth > _DEEPEST:
            raise t.error("regions are nested too deeply")
        if head:
            t.expect(head)
        program = Program(t.next())
        env: dict[str, Value] = {}
        t.expect("(")
        program.inputs = self.declarations(env, (")", ";"))
        if t.take(";"):
            t.expect("state")
            program.state = self.declarations(env, (")",))
        t.expect(")")
        t.expect("{")
        while not t.take("return"):
            program.nodes.append(self.node(env))
        self.results(program, env)
        self.depth -= 1
        return program

    def declarations(self, env: dict[str, Value], ends: tuple[str, ...]) -> list[Value]:
        found = []
        while self.t.peek() not in ends:
            found.append(self.declaration(env))
            if not self.t.take(","):
                break
        return found

    def declaration(self, env: dict[str, Value]) -> Value:
        name = self.name()
        self.t.expect(":")
        dtype, shape, layout = self.type()
        value = Value(dtype, shape, name)
        value.layout = layout
        if name in env:
            raise self.t.error(f"{name} is defined twice")
        env[name] = value
        return value

    def type(self) -> tuple[DType, tuple[Extent, ...], tuple[int, ...] | None]:
        name = self.t.next()
        if name not in _DTYPES:
            raise self.t.error(f"{name!r} is not a dtype")
        self.t.expect("[")
        shape: list[Extent] = []
        while not self.t.take("]"):
            shape.append(self.size())
            self.t.take(",")
        layout = tuple(map(int, self.t.next())) if self.t.take("@") else None
        return _DTYPES[name], tuple(shape), layout

    def node(self, env: dict[str, Value]) -> Node:
        t = self.t
        first = t.items[t.at][2]
        self.nodes_left -= 1
        if self.nodes_left < 0:
            raise t.error("more nodes than a program may have")
        outs = [self.declaration(env)]
        while t.take(","):
            outs.append(self.declaration(env))
        t.expect("=")
        name = t.next()
        try:
            op = registry.get(name)
        except KeyError as e:
            raise t.error(str(e.args[0])) from None
        t.expect("(")
        raw: list[Any] = []
        while not t.take(")"):
            raw.append(self.operand(env))
            t.take(",")
        inputs = _typed_literals(raw)
        params = self.params() if t.take("{") else {}
        if self.upgrade is not None:
            params = self.upgrade(name, params)
        regions = []
        if t.take("with"):
            while t.kind() == "name" and t.items[t.at + 1][1] == "(":
                regions.append(self.program(""))
        node = Node(op, inputs, params, [TensorType(o.dtype, o.shape) for o in outs])
        node.regions = tuple(regions)
        for i, out in enumerate(outs):
            out.node, out.index = node, i
        node.outputs = tuple(outs)
        node.location, node.module = _place(t.comments.get(first, ""))
        return node

    def operand(self, env: dict[str, Value]) -> Any:
        t = self.t
        if t.kind() == "number" or t.peek() in ("True", "False"):
            value = self.scalar()
            return Literal(_DTYPES[t.next()], value) if t.take(":") else value
        if t.peek() == "complex" and t.items[t.at + 1][1] == "(":
            value = self.complex()
            return Literal(_DTYPES[t.next()], value) if t.take(":") else value
        name = self.name()
        if name not in env:
            raise t.error(f"{name} is not defined")
        return env[name]

    def name(self) -> str:
        """The name of a value: a string where it is no plain one."""
        kind, word = self.t.kind(), self.t.next()
        return str(json.loads(word)) if kind == "string" else word.removeprefix("%")

    def complex(self) -> complex:
        self.t.next()
        self.t.expect("(")
        real = float(self.t.next())
        self.t.expect(",")
        imaginary = float(self.t.next())
        self.t.expect(")")
        return complex(real, imaginary)

    def scalar(self) -> Any:
        word = self.t.next()
        if word in ("True", "False"):
            return word == "True"
        if word.endswith("j"):
            return complex(word)
        return float(word) if re.search(r"[.einf]", word) else int(word)

    def params(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not self.t.take("}"):
            name = self.t.next()
            self.t.expect("=")
            found[name] = self.param()
            self.t.take(",")
        return found

    def param(self) -> Any:
        t = self.t
        word = t.peek()
        if t.kind() == "string":
            return json.loads(t.next())
        if word in ("True", "False", "None"):
            t.next()
            return {"True": True, "False": False, "None": None}[word]
        if word in _DTYPES:
            return _DTYPES[t.next()]
        if word == "complex" and t.items[t.at + 1][1] == "(":
            return self.complex()
        if word == "(" and self._begins_tuple():
            t.next()
            items = []
            while not t.take(")"):
                items.append(self.param())
                t.take(",")
            return tuple(items)
        if t.kind() == "number" and re.search(r"[.einf]", word):
            return float(t.next())
        return self.size()

    def _begins_tuple(self) -> bool:
        """Whether the bracket here is that of a tuple, not of a size."""
        depth = 0
        for at in range(self.t.at, len(self.t.items)):
            kind, word, _ = self.t.items[at]
            depth += (word in "([") - (word in ")]") if kind == "sign" else 0
            if depth == 0:
                break
            if kind == "sign" and word == "," and depth == 1:
                return True
        return self.t.items[self.t.at + 1][1] == ")"

    def size(self) -> Extent:
        kind, word, _ = self.t.items[self.t.at]
        if kind == "number" and word.isdigit() and self.t.items[self.t.at + 1][1] in _ENDS:
            self.t.at += 1  # most sizes are numbers
            return int(word)
        before = self.size_begin
        if before is None:
            self.size_begin, self.divisions = self.t.at, 0
        try:
            total = self.sum()
            self.check_length()
        finally:
            self.size_begin = before
        return total

    def sum(self) -> Extent:
        total = self.term()
        while self.t.peek() in ("+", "-") or self._negative_number():
            self.check_length()
            if self.t.take("-"):
                total = total - self.term()
            else:  # "a -2" is a sum with a negative number
                self.t.take("+")
                total = total + self.term()
        return total

    def _negative_number(self) -> bool:
        return self.t.kind() == "number" and self.t.peek()[0] == "-"

    def term(self) -> Extent:
        total = self.factor()
        while self.t.peek() in ("*", "//", "%"):
            sign = self.t.next()
            other = self.factor()
            if _terms(total) * _terms(other) > _MOST_TERMS:
                raise self.t.error("a size is too long a formula")
            if sign == "*":
                total = total * other
                self.check_degree(total)
            else:
                self.count_division()
                total = total // other if sign == "//" else total % other
            self.check_length()
        return total

    def check_length(self) -> None:
        if self.t.at - (self.size_begin or 0) > _LONGEST_SIZE:
            raise self.t.error("a size is too long a formula")

    def check_degree(self, size: Extent) -> None:
        terms: Any = size.terms if isinstance(size, Dim) else ()
        if any(len(factors) > _MOST_FACTORS for factors in terms):
            raise self.t.error("a size is too long a formula")

    def count_division(self) -> None:
        self.divisions += 1
        if self.divisions > _MOST_DIVISIONS:
            raise self.t.error("a size is too long a formula")

    def factor(self) -> Extent:
        t = self.t
        if t.take("-"):
            return -1 * self.factor()
        if t.take("("):
            inner = self.sum()
            t.expect(")")
            return inner
        word = t.next()
        if word in ("min", "max") and t.take("("):
            left = self.size()
            t.expect(",")
            right = self.size()
            t.expect(")")
            return dim_min(left, right) if word == "min" else dim_max(left, right)
        if re.fullmatch(r"-?\d+", word):
            return int(word)
        if not re.fullmatch(r"[A-Za-z_]\w*", word):
            raise t.error(f"expected a size, found {word!r}")
        return self.dims.setdefault(word, Dim.symbol(word))

    def results(self, program: Program, env: dict[str, Value]) -> None:
        t = self.t
        usual = int64
        while not t.take("}"):
            if t.take(";"):
                continue
            if t.items[t.at + 1][1] == "<-":
                target = env[self.name()]
                t.expect("<-")
                program.writes[program.state.index(target)] = _literal(self.operand(env), usual)
            else:
                program.outputs.append(_literal(self.operand(env), usual))
            t.take(",")


def _terms(size: Extent) -> int:
    return len(size.terms) if isinstance(size, Dim) else 1


def _place(comment: str) -> tuple[Location | None, str]:
    """The user's line and the module that a comment names, as a node's text says them."""
    found = _PLACE.fullmatch(comment)
    if found is None:
        return None, ""
    file, line = found["file"], found["line"]
    return (Location(file, int(line)) if file else None), found["module"]


def _typed_literals(raw: list[Any]) -> list[Operand]:
    usual = next((o.dtype for o in raw if isinstance(o, Value)), int64)
    return [_literal(o, usual) for o in raw]


def _literal(o: Any, usual: DType) -> Operand:
    return o if isinstance(o, Value | Literal) else Literal(usual, o)


def parse_size(text: str) -> Extent:
    """The size that a text describes: a number, or a polynomial of symbols.

    >>> parse_size("2*n + 1")
    2*n + 1
    """
    parser = _Parser(text)
    try:
        found = parser.size()
    except (IndexError, ValueError, TypeError, ZeroDivisionError) as error:
        raise ProgramError(f"{text!r:.60} is not a size: {error}") from None
    if parser.t.kind() != "end":
        raise ProgramError(f"{text!r:.60} is not a size")
    return found


def parse_program(
    text: str,
    upgrade: Upgrade | None = None,
    most_nodes: int | None = None,
    symbols: Mapping[str, Dim] | None = None,
) -> Program:
    """The program that a text describes; ProgramError names the line that doesn't fit.

    `upgrade` may replace the parameters of each node, or raise an error; `most_nodes` is how many
    nodes a text from outside may have; `symbols` are known ones, by whose ranges and hints
    comparisons are decided where guards are collected.
    """
    parser = _Parser(text, upgrade)
    parser.dims.update(symbols or {})
    if most_nodes is not None:
        parser.nodes_left = most_nodes
    try:
        program = parser.program()
    except RecursionError:
        raise ProgramError("a size or a parameter is nested too deeply") from None
    except (KeyError, IndexError, ValueError, TypeError, AttributeError, AssertionError) as error:
        if isinstance(error, ArgandError):
            raise
        # an unknown name, a missing parameter, operands that the op doesn't take
        tokens = parser.t
        tokens.at = min(tokens.at, len(tokens.items) - 1)
        raise tokens.error(f"not part of a valid program ({error})") from error
    if parser.t.kind() != "end":
        raise parser.t.error(f"unexpected {parser.t.peek()!r} after the program")
    return program
