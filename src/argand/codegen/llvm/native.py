"""Native functions written in a small part of Python: how generated code handles Python objects.

A function of words (64-bit integers, addresses among them) becomes LLVM text. It may assign to
local variables, branch (`if`, `while`, `break`, `continue`), return, compute with integers, and
call: other such functions, functions of C by their names, `load`, `store`, `stack` … (below), and
an address, by `call`. A global name is a constant, or the address of an object that the code is
linked to. Comparisons are signed and give 0 or 1. The functions never run as Python.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import CodeType

from argand.base.errors import CompileError

WORD = 8


def load(address: int, at: int = 0) -> int:
    """The word `at` bytes behind an address."""
    raise CompileError("load runs as native code only")


def load32(address: int, at: int = 0) -> int:
    """The signed 32-bit number `at` bytes behind an address."""
    raise CompileError("load32 runs as native code only")


def store(address: int, at: int, value: int) -> None:
    """Write a word `at` bytes behind an address."""
    raise CompileError("store runs as native code only")


def store32(address: int, at: int, value: int) -> None:
    """Write the lower 32 bits of a word `at` bytes behind an address."""
    raise CompileError("store32 runs as native code only")


def stack(words: int) -> int:
    """The address of so many words that last until the function returns."""
    raise CompileError("stack runs as native code only")


def call(address: int, *args: int) -> int:
    """Call a function of words at an address."""
    raise CompileError("call runs as native code only")


_BINARY = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.BitAnd: "and",
    ast.BitOr: "or",
    ast.BitXor: "xor",
    ast.LShift: "shl",
    ast.RShift: "lshr",
}
_COMPARE = {
    ast.Eq: "eq",
    ast.NotEq: "ne",
    ast.Lt: "slt",
    ast.LtE: "sle",
    ast.Gt: "sgt",
    ast.GtE: "sge",
}


class NativeUnit:
    """Functions that are compiled together.

    `numbers` are the constants that they name, `objects` the names of addresses that are known
    when the code is linked, and `functions` says of each C function what it gives: "word", "int"
    (32 bits) or "none".
    """

    def __init__(
        self,
        sources: Iterable[Callable[..., object]],
        numbers: Mapping[str, int],
        objects: Iterable[str],
        functions: Mapping[str, str],
    ) -> None:
        self.sources = list(sources)
        self.names = {f.__name__ for f in self.sources}
        self.numbers = numbers
        self.objects = set(objects)
        self.functions = functions
        self.used: dict[str, int] = {}  # the C functions that are called, and with how much

    @functools.cached_property
    def named(self) -> list[str]:
        """The C functions that the functions name."""
        found = {name for f in self.sources for name in f.__code__.co_names}
        return sorted(found & set(self.functions))

    def facts(self) -> tuple[object, ...]:
        """All that the text follows from, in less time than it takes to write it."""
        codes = [_code_facts(f.__code__) for f in self.sources]
        numbers, objects = sorted(self.numbers.items()), sorted(self.objects)
        results = [self.functions[name] for name in self.named]
        return _translator(), codes, numbers, objects, results

    def text(self, triple: str, exported: Iterable[str]) -> str:
        """The LLVM module."""
        public = set(exported)
        bodies = [_Body(self, f, f.__name__ in public).text() for f in self.sources]
        head = [f'target triple = "{triple}"']
        head += [f"@{name} = external global i8" for name in sorted(self.objects)]
        for name, count in sorted(self.used.items()):
            result = {"word": "i64", "int": "i32", "none": "void"}[self.functions[name]]
            head.append(f"declare {result} @{name}({', '.join(['i64'] * count)})")
        return "\n".join([*head, "", *bodies])


@functools.cache
def _translator() -> str:
    """What becomes of the functions is this file's doing."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def _code_facts(code: CodeType) -> tuple[object, ...]:
    """What a function's bytecode says, without its place."""
    return code.co_name, code.co_varnames, code.co_names, repr(code.co_consts), code.co_code


class _Body:
    """The LLVM text of one function."""

    def __init__(self, unit: NativeUnit, function: Callable[..., object], public: bool) -> None:
        self.unit = unit
        self.tree = _parsed(function)
        self.public = public
        self.head: list[str] = []  # what is allocated on entry
        self.lines: list[str] = []
        self.variables: set[str] = set()
        self.count = 0
        self.loops: list[tuple[str, str]] = []  # where `continue` and `break` lead

    def text(self) -> str:
        names = [a.arg for a in self.tree.args.args]
        for name in names:
            self.assign(name, f"%{name}.given")
        self.block(self.tree.body)
        self.lines.append("  ret i64 0")
        given = ", ".join(f"i64 %{n}.given" for n in names)
        linkage = "" if self.public else "internal "
        return "\n".join(
            [
                f"define {linkage}i64 @{self.tree.name}({given}) nounwind {{",
                *self.head,
                *self.lines,
                "}\n",
            ]
        )

    # -- statements --------------------------------------------------------------------------------

    def block(self, statements: Iterable[ast.stmt]) -> None:
        for statement in statements:
            self.statement(statement)

    def statement(self, s: ast.stmt) -> None:
        match s:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self.assign(name, self.value(value))
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                self.assign(name, self.apply(op, self.read(name), self.value(value)))
            case ast.Return(value=value):
                self.lines.append(f"  ret i64 {'0' if value is None else self.value(value)}")
                self.label(self.fresh("after"))
            case ast.If(test=test, body=body, orelse=orelse):
                self.branch(test, body, orelse)
            case ast.While(test=test, body=body, orelse=[]):
                self.loop(test, body)
            case ast.Break():
                self.jump(self.loops[-1][1])
            case ast.Continue():
                self.jump(self.loops[-1][0])
            case ast.Expr(value=ast.Constant(value=str())) | ast.Pass():
                pass
            case ast.Expr(value=value):
                self.value(value)
            case _:
                raise self.refused(s)

    def branch(self, test: ast.expr, body: list[ast.stmt], orelse: list[ast.stmt]) -> None:
        yes, no, after = self.fresh("yes"), self.fresh("no"), self.fresh("joined")
        self.condition(test, yes, no)
        self.lines.append(f"{yes}:")
        self.block(body)
        self.lines += [f"  br label %{after}", f"{no}:"]
        self.block(orelse)
        self.lines.append(f"  br label %{after}")
        self.lines.append(f"{after}:")

    def loop(self, test: ast.expr, body: list[ast.stmt]) -> None:
        again, inside, after = self.fresh("again"), self.fresh("inside"), self.fresh("done")
        self.lines += [f"  br label %{again}", f"{again}:"]
        self.condition(test, inside, after)
        self.lines.append(f"{inside}:")
        self.loops.append((again, after))
        self.block(body)
        self.loops.pop()
        self.lines += [f"  br label %{again}", f"{after}:"]

    def jump(self, label: str) -> None:
        self.lines.append(f"  br label %{label}")
        self.label(self.fresh("after"))

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")

    def condition(self, test: ast.expr, yes: str, no: str) -> None:
        """Branch by a test; `and` and `or` evaluate their right side only where needed."""
        match test:
            case ast.BoolOp(op=op, values=values):
                for part in values[:-1]:
                    more = self.fresh("more")
                    both = isinstance(op, ast.And)
                    self.condition(part, more if both else yes, no if both else more)
                    self.label(more)
                self.condition(values[-1], yes, no)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                self.condition(operand, no, yes)
            case ast.Compare(left=left, ops=[ast.In()], comparators=[ast.Tuple(elts=items)]):
                found = self.value(left)
                for item in items:
                    other = self.fresh("other")
                    same = self.emit(f"icmp eq i64 {found}, {self.value(item)}")
                    self.lines.append(f"  br i1 {same}, label %{yes}, label %{other}")
                    self.label(other)
                self.lines.append(f"  br label %{no}")
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                a, b = self.value(left), self.value(right)
                name = self.emit(f"icmp {_COMPARE[type(op)]} i64 {a}, {b}")
                self.lines.append(f"  br i1 {name}, label %{yes}, label %{no}")
            case _:
                name = self.emit(f"icmp ne i64 {self.value(test)}, 0")
                self.lines.append(f"  br i1 {name}, label %{yes}, label %{no}")

    # -- values ------------------------------------------------------------------------------------

    def value(self, e: ast.expr) -> str:
        match e:
            case ast.Constant(value=int() as number):
                return str(int(number))
            case ast.Name(id=name):
                return self.read(name)
            case ast.BinOp(left=left, op=op, right=right):
                return self.apply(op, self.value(left), self.value(right))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self.emit(f"sub i64 0, {self.value(operand)}")
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                a, b = self.value(left), self.value(right)
                return self.emit(
                    f"zext i1 {self.emit(f'icmp {_COMPARE[type(op)]} i64 {a}, {b}')} to i64"
                )
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self.called(name, args)
        raise self.refused(e)

    def apply(self, op: ast.operator, a: str, b: str) -> str:
        return self.emit(f"{_BINARY[type(op)]} i64 {a}, {b}")

    def called(self, name: str, args: list[ast.expr]) -> str:
        if name == "stack":
            space, words = f"%stack{self.next()}", self.constant(args[0])
            # a fixed number once a call, wherever it is asked for; any other where it is known
            lines, count = (
                (self.lines, self.value(args[0])) if words is None else (self.head, words)
            )
            lines.append(f"  {space} = alloca i64, i64 {count}, align 16")
            return self.emit(f"ptrtoint ptr {space} to i64")
        values = [self.value(a) for a in args]
        if name in ("load", "load32"):
            place = self.place(values[0], values[1] if len(values) > 1 else "0")
            if name == "load":
                return self.emit(f"load i64, ptr {place}")
            return self.emit(f"sext i32 {self.emit(f'load i32, ptr {place}')} to i64")
        if name == "store":
            self.lines.append(f"  store i64 {values[2]}, ptr {self.place(values[0], values[1])}")
            return "0"
        if name == "store32":
            half = self.emit(f"trunc i64 {values[2]} to i32")
            self.lines.append(f"  store i32 {half}, ptr {self.place(values[0], values[1])}")
            return "0"
        if name == "call":
            target = self.emit(f"inttoptr i64 {values[0]} to ptr")
            return self.emit(f"call i64 {target}({_words(values[1:])})")
        if name in self.unit.names:
            return self.emit(f"call i64 @{name}({_words(values)})")
        kind = self.unit.functions[name]
        if self.unit.used.setdefault(name, len(values)) != len(values):
            raise CompileError(f"{name} is called with different numbers of arguments")
        if kind == "none":
            self.lines.append(f"  call void @{name}({_words(values)})")
            return "0"
        result = "i64" if kind == "word" else "i32"
        found = self.emit(f"call {result} @{name}({_words(values)})")
        return found if kind == "word" else self.emit(f"sext i32 {found} to i64")

    def place(self, address: str, at: str) -> str:
        total = address if at == "0" else self.emit(f"add i64 {address}, {at}")
        return self.emit(f"inttoptr i64 {total} to ptr")

    def constant(self, e: ast.expr) -> int | None:
        match e:
            case ast.Constant(value=int() as number):
                return number
            case ast.Name(id=name) if name in self.unit.numbers:
                return self.unit.numbers[name]
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                a, b = self.constant(left), self.constant(right)
                return None if a is None or b is None else a * b
        return None

    # -- names -------------------------------------------------------------------------------------

    def read(self, name: str) -> str:
        if name in self.variables:
            return self.emit(f"load i64, ptr %{name}.kept")
        if name in self.unit.numbers:
            return str(self.unit.numbers[name])
        if name in self.unit.objects:
            return self.emit(f"ptrtoint ptr @{name} to i64")
        raise CompileError(f"native function {self.tree.name}: no name {name}")

    def assign(self, name: str, value: str) -> None:
        if name not in self.variables:
            self.variables.add(name)
            self.head.append(f"  %{name}.kept = alloca i64")
        self.lines.append(f"  store i64 {value}, ptr %{name}.kept")

    def emit(self, instruction: str) -> str:
        name = f"%v{self.next()}"
        self.lines.append(f"  {name} = {instruction}")
        return name

    def next(self) -> int:
        self.count += 1
        return self.count

    def fresh(self, name: str) -> str:
        return f"{name}{self.next()}"

    def refused(self, node: ast.AST) -> CompileError:
        return CompileError(f"native function {self.tree.name}: {ast.unparse(node)}")


def _words(values: Iterable[str]) -> str:
    return ", ".join(f"i64 {v}" for v in values)


@functools.cache
def _parsed(function: Callable[..., object]) -> ast.FunctionDef:
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(tree, ast.FunctionDef)
    return tree
