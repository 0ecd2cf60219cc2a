"""Loads, stores, gathers and scatters as LLVM text."""

from __future__ import annotations

from argand.codegen.llvm.text import Lines, llvm_type, memory_type, splat_literal, vector_of
from argand.nest.types import Instruction, Ty


def address(out: Lines, elem: str, ptr: str, offset: str) -> str:
    """The pointer moved by `offset` elements of an LLVM type."""
    return ptr if offset == "0" else out.new(f"getelementptr {elem}, ptr {ptr}, i64 {offset}")


def _elem(ty: Ty) -> str:
    return memory_type(ty.with_lanes(1))


def _to_register(out: Lines, ty: Ty, name: str) -> str:
    if ty.kind != "b":
        return name
    return out.new(f"icmp ne {memory_type(ty)} {name}, zeroinitializer")


def to_memory(out: Lines, ty: Ty, name: str) -> str:
    """The value as memory holds it: a bool becomes a byte."""
    return out.new(f"zext {llvm_type(ty)} {name} to {memory_type(ty)}") if ty.kind == "b" else name


def load_plain(out: Lines, ty: Ty, ptr: str) -> str:
    """The value of `ty` at a pointer."""
    name = out.new(f"load {memory_type(ty)}, ptr {ptr}, align {ty.bytes}")
    return _to_register(out, ty, name)


def store_plain(out: Lines, ty: Ty, value: str, ptr: str) -> None:
    """Write a value of `ty` at a pointer."""
    held = to_memory(out, ty, value)
    out.do(f"store {memory_type(ty)} {held}, ptr {ptr}, align {ty.bytes}")


def emit_load(out: Lines, instruction: Instruction, args: list[str]) -> str:
    """A load, masked or not."""
    ty = instruction.results[0].ty
    ptr = address(out, _elem(ty), args[0], args[1])
    if len(args) == 2 or ty.lanes == 1:
        return load_plain(out, ty, ptr if len(args) == 2 else _guarded(out, ty, ptr, args[2]))
    kind, mask = vectors(ty)
    operands = [(f"ptr align {ty.bytes}", ptr), (mask, args[2]), (kind, "zeroinitializer")]
    name = out.intrinsic("llvm.masked.load", kind, operands, kind, "ptr")
    return _to_register(out, ty, name)


def vectors(ty: Ty) -> tuple[str, str]:
    """The memory type and its mask's type."""
    return memory_type(ty), vector_of("i1", ty.lanes)


def _guarded(out: Lines, ty: Ty, ptr: str, mask: str, value: str | None = None) -> str:
    """A scalar under a mask goes to a spare cell instead of being skipped: no branch."""
    spare = out.alloca(memory_type(ty), ty.bytes)
    if value is None:
        out.do(f"store {memory_type(ty)} zeroinitializer, ptr {spare}")
    return out.new(f"select i1 {mask}, ptr {ptr}, ptr {spare}")


def emit_store(out: Lines, instruction: Instruction, args: list[str]) -> None:
    """A store, masked or not."""
    ty = instruction.args[2].ty
    ptr = address(out, _elem(ty), args[0], args[1])
    if len(args) == 3:
        store_plain(out, ty, args[2], ptr)
    elif ty.lanes == 1:
        store_plain(out, ty, args[2], _guarded(out, ty, ptr, args[3], args[2]))
    else:
        kind, mask = vectors(ty)
        held = to_memory(out, ty, args[2])
        lanes = instruction.args[3].const
        if isinstance(lanes, tuple) and sum(map(bool, lanes)) == 1:
            _store_lane(out, ty, held, ptr, lanes.index(True))
            return
        operands = [(kind, held), (f"ptr align {ty.bytes}", ptr), (mask, args[3])]
        out.intrinsic("llvm.masked.store", "void", operands, kind, "ptr")


def _store_lane(out: Lines, ty: Ty, held: str, ptr: str, lane: int) -> None:
    """The one lane that a mask leaves, as a scalar.

    LLVM (22, AVX-512) makes a scalar store of a masked one with a single constant lane, and where
    the vector was truncated (bfloat16 is the upper half of a float32) it stores the lane before the
    truncation: 4 bytes instead of 2, past the end of the memory.
    """
    kind, element = memory_type(ty), _elem(ty)
    value = out.new(f"extractelement {kind} {held}, i64 {lane}")
    at = out.new(f"getelementptr {element}, ptr {ptr}, i64 {lane}") if lane else ptr
    out.do(f"store {element} {value}, ptr {at}, align {ty.bytes}")


def _addresses(out: Lines, instruction: Instruction, ty: Ty, args: list[str]) -> tuple[str, str]:
    """The pointers of a gather or scatter, and their type."""
    offsets = instruction.args[1].ty
    kind, index = vector_of("ptr", ty.lanes), args[1]
    if offsets.bytes != 8:
        index = out.new(f"sext {llvm_type(offsets)} {index} to {vector_of('i64', ty.lanes)}")
    wide = vector_of("i64", ty.lanes)
    return out.new(f"getelementptr {_elem(ty)}, ptr {args[0]}, {wide} {index}"), kind


def emit_gather(out: Lines, instruction: Instruction, args: list[str]) -> str:
    """A gather of vector lanes."""
    ty = instruction.results[0].ty
    pointers, kind = _addresses(out, instruction, ty, args)
    if ty.lanes == 1:
        ptr = pointers if len(args) == 2 else _guarded(out, ty, pointers, args[2])
        return load_plain(out, ty, ptr)
    memory, mask = vectors(ty)
    lanes = args[2] if len(args) == 3 else splat_literal(ty.with_elem("bool"), "true")
    operands = [(f"{kind} align {ty.bytes}", pointers), (mask, lanes), (memory, "zeroinitializer")]
    name = out.intrinsic("llvm.masked.gather", memory, operands, memory, kind)
    return _to_register(out, ty, name)


def emit_scatter(out: Lines, instruction: Instruction, args: list[str]) -> None:
    """A scatter of vector lanes, in lane order."""
    ty = instruction.args[2].ty
    pointers, kind = _addresses(out, instruction, ty, args)
    if ty.lanes == 1:
        ptr = pointers if len(args) == 3 else _guarded(out, ty, pointers, args[3], args[2])
        store_plain(out, ty, args[2], ptr)
        return
    memory, mask = vectors(ty)
    held = to_memory(out, ty, args[2])
    lanes = args[3] if len(args) == 4 else splat_literal(ty.with_elem("bool"), "true")
    operands = [(memory, held), (f"{kind} align {ty.bytes}", pointers), (mask, lanes)]
    out.intrinsic("llvm.masked.scatter", "void", operands, memory, kind)
