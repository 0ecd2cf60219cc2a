"""The matrix unit's instructions as LLVM text: x86's AMX, on registers that the nest numbers."""

from __future__ import annotations

from typing import Final

from argand.codegen.llvm.memory import address
from argand.codegen.llvm.text import Lines
from argand.nest.types import Instruction

_ROWS: Final = 16
_ROW_BYTES: Final = 64
_REGISTERS: Final = 8

# ldtilecfg's 64 bytes: the palette, 15 that are 0, bytes of a row (16 bits) for each of 16
# registers, and rows for each of them.
_WIDTHS: Final = [_ROW_BYTES, 0] * _REGISTERS
_CONFIGURATION: Final = [1, *[0] * 15, *_WIDTHS, *[0] * 16, *[_ROWS] * _REGISTERS, *[0] * 8]

_NAMES: Final = {"load": "tileloadd64", "store": "tilestored64", "zero": "tilezero"}


def emit_matrix(out: Lines, instruction: Instruction, args: list[str]) -> None:
    """Write one instruction."""
    name = instruction.attrs["name"]
    registers = [("i8", str(r)) for r in instruction.attrs["registers"]]
    if name == "begin":
        held = ", ".join(f"i8 {byte}" for byte in _CONFIGURATION)
        out.declarations.add(f"@argand_matrix = private constant [64 x i8] [{held}], align 64")
        out.intrinsic("llvm.x86.ldtilecfg", "void", [("ptr", "@argand_matrix")])
    elif name == "end":
        out.intrinsic("llvm.x86.tilerelease", "void", [])
    elif name == "multiply":
        out.intrinsic("llvm.x86.tdpbf16ps", "void", registers)
    else:
        place = [("ptr", address(out, "float", *args)), ("i64", str(_ROW_BYTES))] if args else []
        out.intrinsic(f"llvm.x86.{_NAMES[name]}", "void", [*registers, *place])
