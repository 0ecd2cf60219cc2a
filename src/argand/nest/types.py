"""The loop-nest IR as data: types, registers, instructions, blocks, functions, and their text.

A `NestModule` holds `NestFunction`s; a function's body is a `Block` of `Instruction`s; a loop, a
branch or a parallel region is an instruction that owns blocks. Registers (`Reg`) are strictly typed
and assigned once.
Constants are registers that carry their value, so they need no defining instruction and no scope.

`argand.nest.builder` builds functions; equal kernels print equally, so caches key on the text.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final

from argand.base.conversion import number
from argand.base.dtype import as_dtype

# element name -> (short name, bytes in memory, kind); kinds: f float, h float of 8 or 16 bits,
# i signed, u unsigned, b bool, p pointer
ELEMS: Final[dict[str, tuple[str, int, str]]] = {
    "float64": ("f64", 8, "f"),
    "float32": ("f32", 4, "f"),
    "float16": ("f16", 2, "h"),
    "bfloat16": ("bf16", 2, "h"),
    "float8_e4m3fn": ("f8e4m3fn", 1, "h"),
    "float8_e4m3fnuz": ("f8e4m3fnuz", 1, "h"),
    "float8_e5m2": ("f8e5m2", 1, "h"),
    "float8_e5m2fnuz": ("f8e5m2fnuz", 1, "h"),
    "float8_e8m0fnu": ("f8e8m0fnu", 1, "h"),
    "int64": ("i64", 8, "i"),
    "int32": ("i32", 4, "i"),
    "int16": ("i16", 2, "i"),
    "int8": ("i8", 1, "i"),
    "uint64": ("u64", 8, "u"),
    "uint32": ("u32", 4, "u"),
    "uint16": ("u16", 2, "u"),
    "uint8": ("u8", 1, "u"),
    "bool": ("bool", 1, "b"),
    "ptr": ("ptr", 8, "p"),
}


MATRIX_BYTES: Final = 1024
"""Bytes of a register of the matrix unit."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


UNARY: Final = _words(
    "neg abs sign floor ceil trunc round sqrt rsqrt reciprocal exp exp2 expm1 log log2 log1p "
    "sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf exponent not isnan isinf"
)
COMPARE: Final = _words("lt le gt ge eq ne")
BINARY: Final = COMPARE | _words(
    "add sub mul div floordiv mod fmod pow atan2 copysign min max and or xor shl shr umulhi"
)
TERNARY: Final = _words("where fma")
PRIMS: Final = UNARY | BINARY | TERNARY
PREDICATES: Final = COMPARE | _words("isnan isinf")
"""Primitives whose result is bool."""

_BITWISE: Final = _words("and or xor shl shr not umulhi")
_FLOAT_ONLY: Final = _words(
    "sqrt rsqrt reciprocal exp exp2 expm1 log log2 log1p sin cos tan asin acos atan sinh cosh tanh "
    "asinh acosh atanh erf exponent copysign atan2 div fma"
)


class NestError(Exception):
    """A loop nest that is not well formed: a mistake of the code that built it, not of the user."""


@dataclasses.dataclass(frozen=True, slots=True)
class Ty:
    """The type of a register: an element (a dtype's name, or "ptr") and a number of lanes."""

    elem: str
    lanes: int = 1
    kind: str = dataclasses.field(init=False, repr=False, compare=False)
    """f float, h float of 8 or 16 bits, i signed, u unsigned, b bool, p pointer."""

    def __post_init__(self) -> None:
        if self.elem not in ELEMS or self.lanes < 1:
            raise NestError(f"no such register type: {self.elem!r} x {self.lanes}")
        object.__setattr__(self, "kind", ELEMS[self.elem][2])

    @property
    def bytes(self) -> int:
        """Bytes of one element in memory (a bool takes one)."""
        return ELEMS[self.elem][1]

    @property
    def is_float(self) -> bool:
        return self.kind in "fh"

    @property
    def is_int(self) -> bool:
        return self.kind in "iu"

    def with_lanes(self, lanes: int) -> Ty:
        return self if lanes == self.lanes else Ty(self.elem, lanes)

    def with_elem(self, elem: str) -> Ty:
        return self if elem == self.elem else Ty(elem, self.lanes)

    def __str__(self) -> str:
        short = ELEMS[self.elem][0]
        return short if self.lanes == 1 else f"{short}x{self.lanes}"


PTR: Final = Ty("ptr")
I64: Final = Ty("int64")
I32: Final = Ty("int32")
F32: Final = Ty("float32")
F64: Final = Ty("float64")
BOOL: Final = Ty("bool")


Number = int | float | bool
Const = Number | tuple[Number, ...] | None


@dataclasses.dataclass(eq=False, slots=True)
class Reg:
    """A value, assigned once. `const` is its value if known: one for all lanes or one per lane."""

    ty: Ty
    const: Const = None
    name: str = ""

    def __repr__(self) -> str:
        return (
            f"Reg({self.name or '_'}: {self.ty}{'' if self.const is None else f' = {self.const}'})"
        )


IntOrReg = int | Reg
"""A number known now, or an i64 register."""


def static(x: IntOrReg) -> int | None:
    """The number, if it is known now."""
    if isinstance(x, int):
        return x
    return x.const if isinstance(x.const, int) else None


def folded(x: IntOrReg) -> IntOrReg:
    """As a number if it is known now."""
    number = static(x)
    return x if number is None else number


@dataclasses.dataclass(eq=False, slots=True)
class Block:
    """Instructions in order, registers that the owner passes in (index, carries) and out."""

    params: tuple[Reg, ...] = ()
    instructions: list[Instruction] = dataclasses.field(default_factory=list)
    yields: tuple[Reg, ...] = ()


@dataclasses.dataclass(eq=False, slots=True)
class Instruction:
    """One instruction: its kind, what it reads, fixed attributes, what it defines, its blocks."""

    kind: str
    args: tuple[Reg, ...]
    attrs: Mapping[str, Any]
    results: tuple[Reg, ...] = ()
    blocks: tuple[Block, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Param:
    """A parameter of a function. A pointer may promise to alias no other, and an alignment."""

    name: str
    ty: Ty
    noalias: bool = False
    align: int = 1


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class NestFunction:
    """A finished function. It returns a status (i64, 0 = fine); results go through pointers."""

    name: str
    params: tuple[Param, ...]
    body: Block

    def __str__(self) -> str:
        return function_text(self, self.name)

    def key(self) -> str:
        """Equal for functions that compute the same in the same way, whatever their name."""
        return hashlib.sha256(function_text(self, "_").encode()).hexdigest()


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class NestModule:
    """Functions that are compiled together; the first one is exported.

    The exported symbol is `i64 name(ptr slots)`: an array of 8-byte slots, one a parameter
    (pointers, integers as i64, floats as f64).
    """

    functions: tuple[NestFunction, ...]

    @property
    def entry(self) -> NestFunction:
        return self.functions[0]

    def __str__(self) -> str:
        return "\n".join(str(function) for function in self.functions)


def allowed(prim: str, ty: Ty) -> bool:
    """Whether a primitive is defined on operands of this type (16-bit floats: as float32)."""
    if prim == "where":
        return True
    if ty.kind == "p":
        return prim in ("eq", "ne")
    if ty.kind == "b":
        return prim in ("and", "or", "xor", "not") or prim in COMPARE
    if prim in _BITWISE:
        return ty.is_int
    return ty.is_float or prim not in _FLOAT_ONLY


# values -------------------------------------------------------------------------------------------


def held_const(ty: Ty, value: Number) -> Number:
    """The value as `ty` holds it: integers wrap, floats round, anything is a bool."""
    if ty.kind == "b":
        return bool(value)
    if ty.is_float:
        return _rounded(ty.elem, float(value))
    if not math.isfinite(value):
        raise NestError(f"{value} as {ty}")
    bits = 8 * ty.bytes
    number = int(value) & ((1 << bits) - 1)
    return number - (1 << bits) if ty.kind == "i" and number >> (bits - 1) else number


def _rounded(elem: str, value: float) -> float:
    if elem.startswith("float8"):
        return float(number(value, as_dtype(elem)))
    if elem == "float64" or not math.isfinite(value):
        return value
    code = "<e" if elem == "float16" else "<f"
    try:
        packed = struct.pack(code, value)
    except OverflowError:
        return math.copysign(math.inf, value)
    if elem != "bfloat16":
        return float(struct.unpack(code, packed)[0])
    (bits,) = struct.unpack("<I", packed)
    bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
    return float(struct.unpack("<f", struct.pack("<I", bits & 0xFFFFFFFF))[0])


# text ---------------------------------------------------------------------------------------------


def function_text(function: NestFunction, name: str) -> str:
    """The canonical text: registers are numbered in the order they are defined."""
    printer = _Printer()
    params = []
    for param in function.params:
        facts = " noalias" * param.noalias + f" align {param.align}" * (param.align > 1)
        params.append(f"%{param.name}: {param.ty}{facts}")
    lines = [f"function {name}({', '.join(params)}) {{", *printer.block(function.body, 1), "}"]
    return "\n".join(lines) + "\n"


class _Printer:
    """Numbers registers in the order in which they are defined."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}

    def define(self, reg: Reg) -> str:
        return self._names.setdefault(id(reg), f"%{len(self._names)}")

    def use(self, reg: Reg) -> str:
        if reg.const is not None:
            if isinstance(reg.const, tuple):
                return f"{reg.ty} [{' '.join(map(_value_text, reg.const))}]"
            return f"{reg.ty} {_value_text(reg.const)}"
        return f"%{reg.name}" if reg.name else self._names.get(id(reg), "%?")

    def block(self, block: Block, depth: int) -> Iterator[str]:
        pad = "  " * depth
        for instruction in block.instructions:
            yield from self.instruction(instruction, pad, depth)
        if block.yields:
            yield f"{pad}yield {', '.join(map(self.use, block.yields))}"

    def instruction(self, instruction: Instruction, pad: str, depth: int) -> Iterator[str]:
        words = [instruction.kind, ", ".join(map(self.use, instruction.args))]
        words += [f"{key}={value}" for key, value in sorted(instruction.attrs.items())]
        before = " ".join(word for word in words if word)
        left = ", ".join(map(self.define, instruction.results))
        types = ", ".join(str(r.ty) for r in instruction.results)
        head = f"{pad}{left} = {before} : {types}" if left else f"{pad}{before}"
        if not instruction.blocks:
            yield head
            return
        for index, block in enumerate(instruction.blocks):
            params = ", ".join(f"{self.define(p)}: {p.ty}" for p in block.params)
            opening = f" ({params}) {{" if params else " {"
            yield (head if index == 0 else f"{pad}}} else") + opening
            yield from self.block(block, depth + 1)
        yield f"{pad}}}"


def _value_text(value: Number) -> str:
    return value.hex() if isinstance(value, float) else str(value).lower()
