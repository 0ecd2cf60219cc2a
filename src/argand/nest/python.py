"""Nests as Python functions that do what a kernel does with memory, and nothing else.

The functions have a nest's loops, branches and order, and compute what decides where it reads and
writes: indices, masks, pointers, and what of these is stored in scratch memory. The arithmetic on
data is left out. Each access is a call of a `Memory`, which a checker implements.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

import numpy as np

from argand.nest.types import MATRIX_BYTES, Block, Instruction, NestError, NestFunction, Reg, Ty

__all__ = ["Memory", "StatusError", "python_function"]


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
    def store_value(self, address: int, each: int, offsets: Any, mask: Any, value: Any) -> None: ...
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


# what decides accesses ----------------------------------------------------------------------------


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
        made = self.made.get(id(pointer))
        while isinstance(made, Instruction) and made.kind == "offset":
            pointer = made.args[0]
            made = self.made.get(id(pointer))
        is_scratch = isinstance(made, Instruction) and made.kind in ("alloca", "scratch")
        return pointer if is_scratch else None

    def needs_value(self, instruction: Instruction) -> bool:
        """Whether what a store writes is read again to decide something."""
        base = self.base(instruction.args[0])
        return base is not None and id(base) in self.valued

    def _define(self, block: Block) -> None:
        for instruction in block.instructions:
            if instruction.kind in ("loop", "if"):
                self._define_carried(instruction)
            else:
                self.made.update((id(r), instruction) for r in instruction.results)
            for inner in instruction.blocks:
                self._define(inner)

    def _define_carried(self, instruction: Instruction) -> None:
        regs: tuple[Reg, ...]
        for k, result in enumerate(instruction.results):
            if instruction.kind == "loop":
                (block,) = instruction.blocks
                regs = (instruction.args[3 + k], block.params[1 + k], block.yields[k], result)
                self.made[id(block.params[1 + k])] = _Carried(regs)
            else:
                regs = (*(block.yields[k] for block in instruction.blocks), result)
            self.made[id(result)] = _Carried(regs)

    def _seek(self, block: Block) -> None:
        for instruction in block.instructions:
            for reg in _deciding(instruction):
                self.mark(reg)
            if instruction.kind in ("store", "scatter"):
                self.stores.append(instruction)
            for inner in instruction.blocks:
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
        """Values that are stored in scratch memory to decide something decide it too."""
        before = -1
        while before != len(self.known) + len(self.valued):
            before = len(self.known) + len(self.valued)
            for instruction in self.stores:
                if self.needs_value(instruction):
                    self.mark(instruction.args[2])


def _deciding(instruction: Instruction) -> Sequence[Reg]:
    """The operands that decide what happens to memory."""
    if instruction.kind in ("load", "gather", "matrix"):
        return instruction.args
    if instruction.kind in ("store", "scatter"):
        return (*instruction.args[:2], *instruction.args[3:])
    if instruction.kind == "loop":
        return instruction.args[:3]
    if instruction.kind == "parallel":
        return instruction.args[:1]
    return instruction.args if instruction.kind in ("if", "fail", "call", "scratch") else ()


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
        for instruction in block.instructions:
            self.instruction(instruction, depth)
        if len(self.lines) == before:
            self.say(depth, "pass")

    def instruction(self, instruction: Instruction, depth: int) -> None:
        special = getattr(self, f"write_{instruction.kind}", None)
        if special is not None:
            special(instruction, depth)
        elif instruction.results and instruction.results[0] in self.needed:
            name = self.define(instruction.results[0])
            self.say(depth, f"{name} = {self.expression(instruction)}")

    def expression(self, instruction: Instruction) -> str:
        (result,) = instruction.results
        if any(r.ty.is_float for r in (result, *instruction.args)):
            raise NestError(f"{self.function.name}: a {instruction.kind} of data decides an access")
        args = [self.use(a) for a in instruction.args]
        if result.ty.lanes == 1 and all(a.ty.lanes == 1 for a in instruction.args):
            forms = _INDEX if "index" in instruction.attrs else _SCALAR
            form = forms.get(instruction.kind)
            if form is not None:
                return form.format(*args)
        if instruction.kind == "offset":
            each = Reg(result.ty.with_elem(instruction.attrs["elem"])).ty.bytes
            return f"{args[0]} + {args[1]} * {each}"
        if instruction.kind in ("cast", "bitcast"):
            return f"_cast({args[0]}, {result.ty.elem!r})"
        if instruction.kind == "shuffle":
            return f"_shuffle({args[0]}, {args[1]}, {list(instruction.attrs['lanes'])})"
        if instruction.kind == "splat":
            return f"np.full({result.ty.lanes}, {args[0]}, {_array_type(result)!r})"
        if instruction.kind == "extract":
            return f"_one({args[0]}, {args[1]})"
        if instruction.kind == "insert":
            return f"_insert({', '.join(args)})"
        form = _VECTOR.get(instruction.kind)
        if form is None:
            raise NestError(f"{self.function.name}: {instruction.kind} decides an access")
        return form.format(*args)

    # memory ---------------------------------------------------------------------------------------

    def write_load(self, instruction: Instruction, depth: int) -> None:
        (result,) = instruction.results
        pointer, at, *mask = instruction.args
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

    def write_store(self, instruction: Instruction, depth: int) -> None:
        pointer, at, value, *mask = instruction.args
        each, lanes = value.ty.bytes, value.ty.lanes
        address = self.address(pointer, at, each)
        chosen = self.use(mask[0]) if mask else "None"
        if self.needed.needs_value(instruction):
            offsets = f"np.arange({lanes})" if lanes > 1 else "None"
            where = f"{address}, {each}, {offsets}, {chosen}"
            self.say(depth, f"store_value({where}, {self.use(value)})")
        elif mask:
            self.say(depth, f"store_lanes({address}, {each}, {chosen})")
        else:
            self.say(depth, f"store({address}, {each * lanes})")

    def write_gather(self, instruction: Instruction, depth: int) -> None:
        (result,) = instruction.results
        pointer, offsets, *mask = instruction.args
        chosen = self.use(mask[0]) if mask else "None"
        where = f"{self.use(offsets)}, {chosen}"
        if result in self.needed:
            found = f"values({self.use(pointer)}, {result.ty.elem!r}, {where})"
            self.say(depth, f"{self.define(result)} = {found}")
        else:
            self.say(depth, f"gather({self.use(pointer)}, {result.ty.bytes}, {where})")

    def write_scatter(self, instruction: Instruction, depth: int) -> None:
        pointer, offsets, value, *mask = instruction.args
        chosen = self.use(mask[0]) if mask else "None"
        where = f"{self.use(pointer)}, {value.ty.bytes}, {self.use(offsets)}, {chosen}"
        if self.needed.needs_value(instruction):
            self.say(depth, f"store_value({where}, {self.use(value)})")
        else:
            self.say(depth, f"scatter({where})")

    def write_matrix(self, instruction: Instruction, depth: int) -> None:
        if instruction.args:
            pointer, at = instruction.args
            address = self.address(pointer, at, Ty("float32").bytes)
            self.say(depth, f"{instruction.attrs['name']}({address}, {MATRIX_BYTES})")

    def write_prefetch(self, instruction: Instruction, depth: int) -> None:
        """Nothing is read."""

    def write_alloca(self, instruction: Instruction, depth: int) -> None:
        ty, count = instruction.attrs["ty"], instruction.attrs["count"]
        size = ty.bytes * ty.lanes * count
        self.say(depth, f"{self.define(instruction.results[0])} = m.take({size})")

    def write_scratch(self, instruction: Instruction, depth: int) -> None:
        size = self.use(instruction.args[0])
        self.say(depth, f"{self.define(instruction.results[0])} = m.take({size})")

    def address(self, pointer: Reg, at: Reg, each: int) -> str:
        if isinstance(at.const, int):
            return f"{self.use(pointer)} + {at.const * each}"
        return f"{self.use(pointer)} + {self.use(at)} * {each}"

    # control --------------------------------------------------------------------------------------

    def write_loop(self, instruction: Instruction, depth: int) -> None:
        (block,) = instruction.blocks
        carried = [k for k, r in enumerate(block.params[1:]) if r in self.needed]
        names = [self.define(block.params[1 + k]) for k in carried]
        for name, k in zip(names, carried, strict=True):
            self.say(depth, f"{name} = {self.use(instruction.args[3 + k])}")
        bounds = ", ".join(map(self.use, instruction.args[:3]))
        self.say(depth, f"for {self.define(block.params[0])} in range({bounds}):")
        self.block(block, depth + 1)
        self.pass_on(names, [block.yields[k] for k in carried], depth + 1)
        self.pass_on([self.define(instruction.results[k]) for k in carried], names, depth)

    def write_if(self, instruction: Instruction, depth: int) -> None:
        passed = [k for k, r in enumerate(instruction.results) if r in self.needed]
        names = [self.define(instruction.results[k]) for k in passed]
        self.say(depth, f"if {self.use(instruction.args[0])}:")
        for block, head in zip(instruction.blocks, ("", "else:"), strict=True):
            if head:
                self.say(depth, head)
            self.block(block, depth + 1)
            self.pass_on(names, [block.yields[k] for k in passed], depth + 1)

    def pass_on(self, names: Sequence[str], values: Sequence[Reg | str], depth: int) -> None:
        if names:
            texts = [v if isinstance(v, str) else self.use(v) for v in values]
            self.say(depth, f"{', '.join(names)} = {', '.join(texts)}")

    def write_parallel(self, instruction: Instruction, depth: int) -> None:
        (block,) = instruction.blocks
        count = self.use(instruction.args[0])
        self.say(depth, f"for {self.define(block.params[0])} in m.chunks({count}):")
        self.block(block, depth + 1)

    def write_fail(self, instruction: Instruction, depth: int) -> None:
        self.say(depth, f"raise StatusError({self.use(instruction.args[0])})")

    def write_call(self, instruction: Instruction, depth: int) -> None:
        args = ", ".join(map(self.use, instruction.args))
        self.say(depth, f"m.call({instruction.attrs['function']!r}, {args})")


_METHODS: Final = (
    *("load", "load_lanes", "gather", "store", "store_lanes", "scatter"),
    *("value", "values", "store_value"),
)

_BOTH: Final = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
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
    "floordiv": "_divided({}, {})",
    "mod": "_rest({}, {})",
}
# Of indices: a size that is 0 counts as 1.
_INDEX: Final = _SCALAR | {"floordiv": "{} // ({} or 1)", "mod": "{} % ({} or 1)"}
_VECTOR: Final = _BOTH | {
    "min": "np.minimum({}, {})",
    "max": "np.maximum({}, {})",
    "not": "~{}",
    "where": "np.where({}, {}, {})",
    "quotient": "np.trunc({} / {}).astype(np.int64)",
    "any": "bool({}.any())",
    "floordiv": "_divided({}, {})",
    "mod": "_rest({}, {})",
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


def _divided(x: Any, y: Any) -> Any:
    """x // y of data, 0 where y is 0, as NumPy has it."""
    found = x // np.where(y == 0, 1, y) * (y != 0)
    return found if found.ndim else found.item()


def _rest(x: Any, y: Any) -> Any:
    """x % y of data, 0 where y is 0, as NumPy has it."""
    found = x % np.where(y == 0, 1, y) * (y != 0)
    return found if found.ndim else found.item()


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


_HELPERS: Final = {f.__name__: f for f in (_cast, _divided, _insert, _not, _one, _rest, _shuffle)}
