"""Nests as Python functions that do what a kernel does with memory, and nothing else.

The functions keep a nest's loops, branches and order, and compute what decides where it reads and
writes: indices, masks, pointers, and what of these waits in scratch memory. The arithmetic on data
is left out. Each access is a call of a `Memory`, which a checker implements.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

import numpy as np

from argand.nest.types import Block, Instruction, NestError, NestFunction, Reg

__all__ = ["Memory", "StatusError", "python_function", "python_text"]


class StatusError(Exception):
    """A kernel left with a status that is not 0."""


class Memory(Protocol):
    """What the functions ask. Addresses are integers that count bytes; `elem` is a dtype's name."""

    def load(self, address: int, nbytes: int) -> None: ...
    def load_lanes(self, address: int, each: int, mask: Any) -> None: ...
    def gather(self, address: int, each: int, offsets: Any, mask: Any) -> None: ...
    def store(self, address: int, nbytes: int) -> None: ...
    def store_lanes(self, address: int, each: int, mask: Any) -> None: ...
    def scatter(self, address: int, each: int, offsets: Any, mask: Any) -> None: ...
    def value(self, address: int, elem: str) -> Any: ...
    def values(self, address: int, elem: str, offsets: Any, mask: Any) -> Any: ...
    def keep(self, address: int, each: int, offsets: Any, mask: Any, value: Any) -> None: ...
    def take(self, nbytes: int) -> int: ...
    def chunks(self, count: int) -> Iterator[int]: ...
    def call(self, name: str, *args: int) -> None: ...


def python_function(function: NestFunction) -> Callable[..., None]:
    """The function to call with a Memory and the values of its parameters."""
    text, constants = _Writer(function).text()
    scope: dict[str, Any] = {"np": np, "StatusError": StatusError, **_HELPERS, **constants}
    module = compile(text, f"<accesses of {function.name}>", "exec")
    (code,) = (c for c in module.co_consts if isinstance(c, types.CodeType))
    return types.FunctionType(code, scope)


def python_text(function: NestFunction) -> str:
    """The function's text, to read."""
    return _Writer(function).text()[0]


# what has to be known -----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class _Carried:
    """A register that a loop or a branch passes on: the others that it is the same as."""

    same: tuple[Reg, ...]


class _Needed:
    """The registers that decide where memory is read and written."""

    def __init__(self, function: NestFunction) -> None:
        self.made: dict[int, Instruction | _Carried] = {}
        self.known: set[int] = set()
        self.valued: set[int] = set()  # bases of scratch memory whose content decides
        self.stores: list[Instruction] = []
        self._define(function.body)
        self._seek(function.body)
        self._settle()

    def __contains__(self, reg: Reg) -> bool:
        return id(reg) in self.known

    def base(self, pointer: Reg) -> Reg | None:
        """The scratch memory that a pointer leads into, if it is told by the text."""
        op = self.made.get(id(pointer))
        while isinstance(op, Instruction) and op.kind == "offset":
            pointer = op.args[0]
            op = self.made.get(id(pointer))
        return pointer if isinstance(op, Instruction) and op.kind in ("alloca", "scratch") else None

    def keeps(self, op: Instruction) -> bool:
        """Whether what a store writes is read again to decide something."""
        base = self.base(op.args[0])
        return base is not None and id(base) in self.valued

    def _define(self, block: Block) -> None:
        for op in block.ops:
            if op.kind in ("loop", "if"):
                self._define_carried(op)
            else:
                self.made.update((id(r), op) for r in op.results)
            for inner in op.blocks:
                self._define(inner)

    def _define_carried(self, op: Instruction) -> None:
        regs: tuple[Reg, ...]
        for k, result in enumerate(op.results):
            if op.kind == "loop":
                (block,) = op.blocks
                regs = (op.args[3 + k], block.params[1 + k], block.yields[k], result)
                self.made[id(block.params[1 + k])] = _Carried(regs)
            else:
                regs = (*(block.yields[k] for block in op.blocks), result)
            self.made[id(result)] = _Carried(regs)

    def _seek(self, block: Block) -> None:
        for op in block.ops:
            for reg in _deciding(op):
                self.mark(reg)
            if op.kind in ("store", "scatter"):
                self.stores.append(op)
            for inner in op.blocks:
                self._seek(inner)

    def mark(self, reg: Reg) -> None:
        waiting = [reg]
        while waiting:
            r = waiting.pop()
            if r.const is not None or id(r) in self.known:
                continue
            self.known.add(id(r))
            made = self.made.get(id(r))
            if isinstance(made, _Carried):
                waiting += made.same
            elif made is not None:
                waiting += made.args
                if made.kind in ("load", "gather"):
                    base = self.base(made.args[0])
                    if base is not None:
                        self.valued.add(id(base))

    def _settle(self) -> None:
        """Values that are kept in scratch memory to decide something decide it too."""
        before = -1
        while before != len(self.known) + len(self.valued):
            before = len(self.known) + len(self.valued)
            for op in self.stores:
                if self.keeps(op):
                    self.mark(op.args[2])


def _deciding(op: Instruction) -> Sequence[Reg]:
    """The operands of an op that decide what happens to memory."""
    if op.kind in ("load", "gather"):
        return op.args
    if op.kind in ("store", "scatter"):
        return (*op.args[:2], *op.args[3:])
    if op.kind == "loop":
        return op.args[:3]
    if op.kind == "parallel":
        return op.args[:1]
    return op.args if op.kind in ("if", "fail", "call", "scratch") else ()


# text ---------------------------------------------------------------------------------------------


class _Writer:
    def __init__(self, function: NestFunction) -> None:
        self.function = function
        self.needed = _Needed(function)
        self.lines: list[str] = []
        self.names: dict[int, str] = {}
        self.constants: dict[str, Any] = {}

    def text(self) -> tuple[str, dict[str, Any]]:
        body = self.function.body
        params = [self.define(reg) for reg in body.params]
        self.lines = [f"def run({', '.join(['m', *params])}):"]
        for name in _METHODS:
            self.say(1, f"{name} = m.{name}")
        self.block(body, 1)
        return "\n".join(self.lines) + "\n", self.constants

    def say(self, depth: int, line: str) -> None:
        self.lines.append("  " * depth + line)

    def define(self, reg: Reg) -> str:
        return self.names.setdefault(id(reg), f"r{len(self.names)}")

    def use(self, reg: Reg) -> str:
        if reg.const is None:
            if id(reg) not in self.names:
                raise NestError(f"{self.function.name}: {reg!r} decides an access but is not known")
            return self.names[id(reg)]
        if reg.ty.lanes == 1:
            return repr(reg.const)
        held = reg.const if isinstance(reg.const, tuple) else (reg.const,) * reg.ty.lanes
        name = f"K{len(self.constants)}"
        self.constants[name] = np.array(held, _array_type(reg))
        return name

    def block(self, block: Block, depth: int) -> None:
        before = len(self.lines)
        for op in block.ops:
            self.op(op, depth)
        if len(self.lines) == before:
            self.say(depth, "pass")

    def op(self, op: Instruction, depth: int) -> None:
        special = getattr(self, f"op_{op.kind}", None)
        if special is not None:
            special(op, depth)
        elif op.results and op.results[0] in self.needed:
            self.say(depth, f"{self.define(op.results[0])} = {self.expression(op)}")

    def expression(self, op: Instruction) -> str:
        (result,) = op.results
        if any(r.ty.is_float for r in (result, *op.args)):
            raise NestError(f"{self.function.name}: a {op.kind} of data decides an access")
        args = [self.use(a) for a in op.args]
        if result.ty.lanes == 1 and all(a.ty.lanes == 1 for a in op.args):
            form = _SCALAR.get(op.kind)
            if form is not None:
                return form.format(*args)
        if op.kind == "offset":
            each = Reg(result.ty.with_elem(op.attrs["elem"])).ty.bytes
            return f"{args[0]} + {args[1]} * {each}"
        if op.kind in ("cast", "bitcast"):
            return f"_cast({args[0]}, {result.ty.elem!r})"
        if op.kind == "shuffle":
            return f"_shuffle({args[0]}, {args[1]}, {list(op.attrs['lanes'])})"
        if op.kind == "splat":
            return f"np.full({result.ty.lanes}, {args[0]}, {_array_type(result)!r})"
        if op.kind == "extract":
            return f"_one({args[0]}, {args[1]})"
        if op.kind == "insert":
            return f"_insert({', '.join(args)})"
        form = _VECTOR.get(op.kind)
        if form is None:
            raise NestError(f"{self.function.name}: {op.kind} decides an access")
        return form.format(*args)

    # memory ---------------------------------------------------------------------------------------

    def op_load(self, op: Instruction, depth: int) -> None:
        (result,) = op.results
        pointer, at, *mask = op.args
        each, lanes = result.ty.bytes, result.ty.lanes
        address = self.address(pointer, at, each)
        if result in self.needed:
            name = self.define(result)
            if lanes == 1 and not mask:
                self.say(depth, f"{name} = value({address}, {result.ty.elem!r})")
                return
            offsets = f"np.arange({lanes})" if lanes > 1 else "np.zeros(1, np.int64)"
            chosen = self.use(mask[0]) if mask else "None"
            found = f"values({address}, {result.ty.elem!r}, {offsets}, {chosen})"
            self.say(depth, f"{name} = {found}" + ("" if lanes > 1 else "[0]"))
        elif mask:
            self.say(depth, f"load_lanes({address}, {each}, {self.use(mask[0])})")
        else:
            self.say(depth, f"load({address}, {each * lanes})")

    def op_store(self, op: Instruction, depth: int) -> None:
        pointer, at, value, *mask = op.args
        each, lanes = value.ty.bytes, value.ty.lanes
        address = self.address(pointer, at, each)
        chosen = self.use(mask[0]) if mask else "None"
        if self.needed.keeps(op):
            offsets = f"np.arange({lanes})" if lanes > 1 else "None"
            self.say(depth, f"keep({address}, {each}, {offsets}, {chosen}, {self.use(value)})")
        elif mask:
            self.say(depth, f"store_lanes({address}, {each}, {chosen})")
        else:
            self.say(depth, f"store({address}, {each * lanes})")

    def op_gather(self, op: Instruction, depth: int) -> None:
        (result,) = op.results
        pointer, offsets, *mask = op.args
        chosen = self.use(mask[0]) if mask else "None"
        where = f"{self.use(offsets)}, {chosen}"
        if result in self.needed:
            found = f"values({self.use(pointer)}, {result.ty.elem!r}, {where})"
            self.say(depth, f"{self.define(result)} = {found}")
        else:
            self.say(depth, f"gather({self.use(pointer)}, {result.ty.bytes}, {where})")

    def op_scatter(self, op: Instruction, depth: int) -> None:
        pointer, offsets, value, *mask = op.args
        chosen = self.use(mask[0]) if mask else "None"
        where = f"{self.use(pointer)}, {value.ty.bytes}, {self.use(offsets)}, {chosen}"
        if self.needed.keeps(op):
            self.say(depth, f"keep({where}, {self.use(value)})")
        else:
            self.say(depth, f"scatter({where})")

    def op_prefetch(self, op: Instruction, depth: int) -> None:
        """Nothing is read."""

    def op_alloca(self, op: Instruction, depth: int) -> None:
        size = op.attrs["ty"].bytes * op.attrs["ty"].lanes * op.attrs["count"]
        self.say(depth, f"{self.define(op.results[0])} = m.take({size})")

    def op_scratch(self, op: Instruction, depth: int) -> None:
        self.say(depth, f"{self.define(op.results[0])} = m.take({self.use(op.args[0])})")

    def address(self, pointer: Reg, at: Reg, each: int) -> str:
        if isinstance(at.const, int):
            return f"{self.use(pointer)} + {at.const * each}"
        return f"{self.use(pointer)} + {self.use(at)} * {each}"

    # control --------------------------------------------------------------------------------------

    def op_loop(self, op: Instruction, depth: int) -> None:
        (block,) = op.blocks
        carried = [k for k, r in enumerate(block.params[1:]) if r in self.needed]
        names = [self.define(block.params[1 + k]) for k in carried]
        for name, k in zip(names, carried, strict=True):
            self.say(depth, f"{name} = {self.use(op.args[3 + k])}")
        bounds = ", ".join(map(self.use, op.args[:3]))
        self.say(depth, f"for {self.define(block.params[0])} in range({bounds}):")
        self.block(block, depth + 1)
        self.pass_on(names, [block.yields[k] for k in carried], depth + 1)
        self.pass_on([self.define(op.results[k]) for k in carried], names, depth)

    def op_if(self, op: Instruction, depth: int) -> None:
        passed = [k for k, r in enumerate(op.results) if r in self.needed]
        names = [self.define(op.results[k]) for k in passed]
        self.say(depth, f"if {self.use(op.args[0])}:")
        for block, head in zip(op.blocks, ("", "else:"), strict=True):
            if head:
                self.say(depth, head)
            self.block(block, depth + 1)
            self.pass_on(names, [block.yields[k] for k in passed], depth + 1)

    def pass_on(self, names: Sequence[str], values: Sequence[Reg | str], depth: int) -> None:
        if names:
            texts = [v if isinstance(v, str) else self.use(v) for v in values]
            self.say(depth, f"{', '.join(names)} = {', '.join(texts)}")

    def op_parallel(self, op: Instruction, depth: int) -> None:
        (block,) = op.blocks
        count = self.use(op.args[0])
        self.say(depth, f"for {self.define(block.params[0])} in m.chunks({count}):")
        self.block(block, depth + 1)

    def op_fail(self, op: Instruction, depth: int) -> None:
        self.say(depth, f"raise StatusError({self.use(op.args[0])})")

    def op_call(self, op: Instruction, depth: int) -> None:
        args = ", ".join(map(self.use, op.args))
        self.say(depth, f"m.call({op.attrs['function']!r}, {args})")


_METHODS: Final = (
    *("load", "load_lanes", "gather", "store", "store_lanes", "scatter"),
    *("value", "values", "keep"),
)

_BOTH: Final = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "floordiv": "{} // {}",
    "mod": "{} % {}",
    "neg": "-{}",
    "abs": "abs({})",
    "lt": "{} < {}",
    "le": "{} <= {}",
    "gt": "{} > {}",
    "ge": "{} >= {}",
    "eq": "{} == {}",
    "ne": "{} != {}",
    "and": "{} & {}",
    "or": "{} | {}",
    "xor": "{} ^ {}",
    "shl": "{} << {}",
    "shr": "{} >> {}",
}
_SCALAR: Final = _BOTH | {
    "min": "min({}, {})",
    "max": "max({}, {})",
    "not": "_not({})",
    "where": "{1} if {0} else {2}",
    "quotient": "int({} / {})",
    "splat": "{}",
    "any": "{}",
}
_VECTOR: Final = _BOTH | {
    "min": "np.minimum({}, {})",
    "max": "np.maximum({}, {})",
    "not": "~{}",
    "where": "np.where({}, {}, {})",
    "quotient": "np.trunc({} / {}).astype(np.int64)",
    "any": "bool({}.any())",
}


def _array_type(reg: Reg) -> str:
    return {"b": "bool", "u": "uint64"}.get(reg.ty.kind, "int64")


def _cast(x: Any, elem: str) -> Any:
    """Integers wrap to their size; anything is a bool."""
    if elem == "bool":
        return x != 0
    bits = 64 if elem == "ptr" else int(elem.lstrip("uint"))
    if isinstance(x, np.ndarray):
        return x.astype(elem).astype("uint64" if elem.startswith("u") else "int64")
    x = int(x) & ((1 << bits) - 1)
    return x - (1 << bits) if elem.startswith("i") and x >> (bits - 1) else x


def _not(x: Any) -> Any:
    return (not x) if isinstance(x, bool | np.bool_) else ~x


def _lanes(x: Any) -> Any:
    return x if isinstance(x, np.ndarray) else np.array([x])


def _shuffle(a: Any, b: Any, lanes: list[int]) -> Any:
    return np.concatenate([_lanes(a), _lanes(b)])[lanes]


def _one(x: Any, lane: int) -> Any:
    return _lanes(x)[lane].item()


def _insert(x: Any, value: Any, lane: int) -> Any:
    copy = _lanes(x).copy()
    copy[lane] = value
    return copy


_HELPERS: Final = {f.__name__: f for f in (_cast, _not, _shuffle, _one, _insert)}
