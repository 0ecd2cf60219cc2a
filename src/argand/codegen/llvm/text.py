"""LLVM's spelling of types, constants and intrinsics, and the lines of a function being written."""

from __future__ import annotations

import re
import struct
from typing import Final

from argand.base.conversion import number
from argand.base.dtype import as_dtype
from argand.nest.types import Number, Reg, Ty

RUNTIME: Final = {
    "argand_parallel": "declare void @argand_parallel(ptr, ptr, i64, i64)",
    "argand_scratch_take": "declare ptr @argand_scratch_take(i64, i64)",
    "argand_scratch_give": "declare void @argand_scratch_give(ptr, i64)",
}
"""What generated code asks of the runtime (see `pool`)."""

# All others are integers of as many bits, narrow floats too: only conversions look inside them.
_NAMES: Final = {"float64": "double", "float32": "float", "bool": "i1", "ptr": "ptr"}


def symbol(name: str) -> str:
    """A name that needs no quoting."""
    return re.sub(r"[^A-Za-z0-9_.]", "_", name)


def _elem_name(ty: Ty) -> str:
    return _NAMES.get(ty.elem, f"i{8 * ty.bytes}")


def llvm_type(ty: Ty) -> str:
    """The type of a register."""
    return vector_of(_elem_name(ty), ty.lanes)


def memory_type(ty: Ty) -> str:
    """The type in memory: a bool is a byte there."""
    return vector_of("i8" if ty.kind == "b" else _elem_name(ty), ty.lanes)


def vector_of(name: str, lanes: int) -> str:
    """`<lanes x name>`, or the name alone for one lane."""
    return name if lanes == 1 else f"<{lanes} x {name}>"


def suffix(llvm: str) -> str:
    """What an overloaded intrinsic's name carries for a type: `<8 x float>` is v8f32."""
    if llvm.startswith("<"):
        lanes, _, elem = llvm[1:-1].split(" ")
        return f"v{lanes}{suffix(elem)}"
    return {"float": "f32", "double": "f64", "half": "f16", "ptr": "p0"}.get(llvm, llvm)


def constant(reg: Reg) -> str:
    """A constant register as an operand."""
    value = reg.const
    if isinstance(value, tuple):
        elem = _elem_name(reg.ty)
        return "<" + ", ".join(f"{elem} {_literal(reg.ty, v)}" for v in value) + ">"
    if value is None:
        raise ValueError(f"{reg!r} is not a constant")
    return splat_literal(reg.ty, _literal(reg.ty, value))


def splat_literal(ty: Ty, literal: str) -> str:
    """A literal in every lane."""
    return literal if ty.lanes == 1 else f"splat ({_elem_name(ty)} {literal})"


def _literal(ty: Ty, value: Number) -> str:
    if ty.kind == "b":
        return "true" if value else "false"
    if ty.kind == "p":
        if value:
            raise ValueError("a pointer constant can only be null")
        return "null"
    if ty.kind == "f":
        return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"
    if ty.elem == "float16":
        return str(struct.unpack("<H", struct.pack("<e", value))[0])
    if ty.elem == "bfloat16":
        return str(struct.unpack("<I", struct.pack("<f", value))[0] >> 16)
    if ty.kind == "h":
        return str(number(value, as_dtype(ty.elem)).view("uint8"))
    return str(int(value))


class Lines:
    """The instructions of one LLVM function, with fresh names and the intrinsics they need."""

    def __init__(self, declarations: set[str]) -> None:
        self.declarations = declarations
        self.entry: list[str] = []
        self.lines: list[str] = []
        self.label = "entry"
        self._count = 0

    def fresh(self, stem: str = "t") -> str:
        """A name nobody has."""
        self._count += 1
        return f"{stem}{self._count}"

    def new(self, expression: str) -> str:
        """Write `%name = expression`; the name."""
        name = f"%{self.fresh()}"
        self.lines.append(f"  {name} = {expression}")
        return name

    def do(self, statement: str) -> None:
        """Write an instruction without a result."""
        self.lines.append(f"  {statement}")

    def at(self, label: str) -> None:
        """Begin a basic block."""
        self.lines.append(f"{label}:")
        self.label = label

    def alloca(self, llvm: str, align: int, count: int = 1) -> str:
        """Stack memory of the whole function, so that a loop does not allocate again."""
        name = f"%{self.fresh('stack')}"
        self.entry.append(f"  {name} = alloca {llvm}, i64 {count}, align {align}")
        return name

    def intrinsic(self, stem: str, result: str, args: list[tuple[str, str]], *over: str) -> str:
        """Call an intrinsic overloaded on types; the result's name ("" for void)."""
        name = ".".join((stem, *map(suffix, over)))
        # what a declaration holds is the type alone; "align 4" belongs to the call
        types = ", ".join(t.split(" align ")[0] for t, _ in args)
        self.declarations.add(f"declare {result} @{name}({types})")
        call = f"call {result} @{name}({', '.join(f'{t} {v}' for t, v in args)})"
        if result == "void":
            self.do(call)
            return ""
        return self.new(call)
