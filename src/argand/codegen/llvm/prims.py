"""The primitives that are one or a few LLVM instructions. The others are in `nest.legalize`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from argand.codegen.llvm.text import Lines, llvm_type, splat_literal, vector_of
from argand.nest.types import Instruction, Ty

_FLOAT: Final = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_INT: Final = {"add": "add", "sub": "sub", "mul": "mul", "and": "and", "or": "or", "xor": "xor"}
_COMPARE: Final = {
    # signed, unsigned, float: ordered but for "ne", so that NaN differs from everything
    "lt": ("slt", "ult", "olt"),
    "le": ("sle", "ule", "ole"),
    "gt": ("sgt", "ugt", "ogt"),
    "ge": ("sge", "uge", "oge"),
    "eq": ("eq", "eq", "oeq"),
    "ne": ("ne", "ne", "une"),
}
_INTRINSIC: Final = {
    "abs": "llvm.fabs",
    "floor": "llvm.floor",
    "ceil": "llvm.ceil",
    "trunc": "llvm.trunc",
    "round": "llvm.roundeven",
    "sqrt": "llvm.sqrt",
}


def emit_prim(out: Lines, instruction: Instruction, args: list[str]) -> str:
    """Write a primitive; the name of its result."""
    ty = instruction.args[-1].ty
    rule = _RULES.get(instruction.kind)
    if rule is not None:
        return rule(out, instruction, args)
    if instruction.kind in _COMPARE:
        return _compare(out, instruction.kind, ty, args)
    kind = llvm_type(ty)
    if ty.kind == "f":
        if instruction.kind in _INTRINSIC:
            return out.intrinsic(_INTRINSIC[instruction.kind], kind, [(kind, args[0])], kind)
        if instruction.kind == "div" and ty.lanes > 1 and all(a.startswith("%") for a in args):
            return _vector_quotient(out, kind, args)
        return out.new(f"{_FLOAT[instruction.kind]} {kind} {args[0]}, {args[1]}")
    wrap = " nsw" if "index" in instruction.attrs else ""
    return out.new(f"{_INT[instruction.kind]}{wrap} {kind} {args[0]}, {args[1]}")


def _vector_quotient(out: Lines, kind: str, args: list[str]) -> str:
    """x / y of vectors whose lanes LLVM may know to be zero, as those off a masked load's mask.

    LLVM takes 0 / 0 for zero there (`SimplifyDemandedVectorElts`) and drops a selection that keeps
    the NaN out; of the constrained intrinsic, the same instruction, it assumes nothing.
    """
    operands = [(kind, a) for a in args]
    operands += [("metadata", '!"round.tonearest"'), ("metadata", '!"fpexcept.ignore"')]
    return out.intrinsic("llvm.experimental.constrained.fdiv", kind, operands, kind)


def _compare(out: Lines, prim: str, ty: Ty, args: list[str]) -> str:
    signed, unsigned, ordered = _COMPARE[prim]
    if ty.kind == "f":
        instruction = f"fcmp {ordered}"
    else:
        instruction = f"icmp {signed if ty.kind == 'i' else unsigned}"
    return out.new(f"{instruction} {llvm_type(ty)} {args[0]}, {args[1]}")


def _select(out: Lines, ty: Ty, cond: str, yes: str, no: str) -> str:
    kind, mask = llvm_type(ty), vector_of("i1", ty.lanes)
    return out.new(f"select {mask} {cond}, {kind} {yes}, {kind} {no}")


def _where(out: Lines, instruction: Instruction, args: list[str]) -> str:
    return _select(out, instruction.results[0].ty, *args)


def _fma(out: Lines, instruction: Instruction, args: list[str]) -> str:
    kind = llvm_type(instruction.results[0].ty)
    return out.intrinsic("llvm.fmuladd", kind, [(kind, a) for a in args], kind)


def _neg(out: Lines, instruction: Instruction, args: list[str]) -> str:
    ty = instruction.args[0].ty
    kind = llvm_type(ty)
    if ty.kind == "f":
        return out.new(f"fneg {kind} {args[0]}")
    return out.new(f"sub {kind} {splat_literal(ty, '0')}, {args[0]}")


def _abs(out: Lines, instruction: Instruction, args: list[str]) -> str:
    ty = instruction.args[0].ty
    kind = llvm_type(ty)
    if ty.kind == "f":
        return out.intrinsic("llvm.fabs", kind, [(kind, args[0])], kind)
    if ty.kind == "u":
        return args[0]
    return out.intrinsic("llvm.abs", kind, [(kind, args[0]), ("i1", "false")], kind)


def _extreme(out: Lines, instruction: Instruction, args: list[str]) -> str:
    ty = instruction.args[0].ty
    kind = llvm_type(ty)
    a, b = args
    if ty.kind != "f":
        stem = f"llvm.{'s' if ty.kind == 'i' else 'u'}{instruction.kind}"
        return out.intrinsic(stem, kind, [(kind, a), (kind, b)], kind)
    # One comparison gives b when either is NaN (as maxps does); only a's NaN is left to select.
    better = out.new(f"fcmp {'ogt' if instruction.kind == 'max' else 'olt'} {kind} {a}, {b}")
    best = _select(out, ty, better, a, b)
    unordered = out.new(f"fcmp uno {kind} {a}, {a}")
    return _select(out, ty, unordered, a, best)


def _not(out: Lines, instruction: Instruction, args: list[str]) -> str:
    ty = instruction.args[0].ty
    ones = splat_literal(ty, "true" if ty.kind == "b" else "-1")
    return out.new(f"xor {llvm_type(ty)} {args[0]}, {ones}")


def _isnan(out: Lines, instruction: Instruction, args: list[str]) -> str:
    return out.new(f"fcmp uno {llvm_type(instruction.args[0].ty)} {args[0]}, {args[0]}")


def _shift(out: Lines, instruction: Instruction, args: list[str]) -> str:
    """Too large an amount shifts everything out, as in NumPy; the bare instruction would not."""
    ty = instruction.args[0].ty
    kind = llvm_type(ty)
    word = "shl" if instruction.kind == "shl" else "ashr" if ty.kind == "i" else "lshr"
    amount, bits = instruction.args[1].const, 8 * ty.bytes
    if isinstance(amount, int) and 0 <= amount < bits:
        return out.new(f"{word} {kind} {args[0]}, {args[1]}")
    fits = out.new(f"icmp ult {kind} {args[1]}, {splat_literal(ty, str(bits))}")
    most = splat_literal(ty, str(bits - 1))
    shifted = out.new(f"{word} {kind} {args[0]}, {_select(out, ty, fits, args[1], most)}")
    if word == "ashr":
        return shifted
    return _select(out, ty, fits, shifted, splat_literal(ty, "0"))


def _umulhi(out: Lines, instruction: Instruction, args: list[str]) -> str:
    ty = instruction.args[0].ty
    bits = 8 * ty.bytes
    kind, wide = llvm_type(ty), vector_of(f"i{2 * bits}", ty.lanes)
    a, b = (out.new(f"zext {kind} {arg} to {wide}") for arg in args)
    product = out.new(f"mul {wide} {a}, {b}")
    by = str(bits) if ty.lanes == 1 else f"splat (i{2 * bits} {bits})"
    return out.new(f"trunc {wide} {out.new(f'lshr {wide} {product}, {by}')} to {kind}")


def _index_division(out: Lines, instruction: Instruction, args: list[str]) -> str:
    """x // d or x % d of indices. A size d that is known only when the program runs may be 0, which
    would end the process: it counts as 1 (`NestBuilder.div`)."""
    ty, by = instruction.args[0].ty, args[1]
    kind = llvm_type(ty)
    if by.startswith("%"):
        by = out.intrinsic("llvm.umax", kind, [(kind, by), (kind, splat_literal(ty, "1"))], kind)
    word = "udiv" if instruction.kind == "floordiv" else "urem"
    return out.new(f"{word} {kind} {args[0]}, {by}")


def _quotient(out: Lines, instruction: Instruction, args: list[str]) -> str:
    ty = instruction.args[0].ty
    return out.new(f"{'sdiv' if ty.kind == 'i' else 'udiv'} {llvm_type(ty)} {args[0]}, {args[1]}")


def emit_cast(out: Lines, instruction: Instruction, args: list[str]) -> str:
    """Convert between elements; 16-bit floats only where the target has the instruction."""
    source, to = instruction.args[0].ty, instruction.results[0].ty
    a, b = llvm_type(source), llvm_type(to)
    arg = args[0]
    if "h" in (source.kind, to.kind):
        return _half_cast(out, source, to, arg)
    if to.kind == "b":
        zero = splat_literal(source, "0" if source.is_int else "0x0000000000000000")
        return out.new(f"{'icmp ne' if source.is_int else 'fcmp une'} {a} {arg}, {zero}")
    if source.is_float and to.is_float:
        return out.new(f"{'fpext' if to.bytes > source.bytes else 'fptrunc'} {a} {arg} to {b}")
    if to.is_float:
        return out.new(f"{'sitofp' if source.kind == 'i' else 'uitofp'} {a} {arg} to {b}")
    if source.is_float:
        return _to_int(out, to, a, arg)
    if source.kind != "b" and source.bytes >= to.bytes:
        return arg if source.bytes == to.bytes else out.new(f"trunc {a} {arg} to {b}")
    return out.new(f"{'sext' if source.kind == 'i' else 'zext'} {a} {arg} to {b}")


def _to_int(out: Lines, to: Ty, llvm: str, arg: str) -> str:
    # Narrow integers go through a wide signed one, so that out-of-range values wrap as in C.
    bits = 64 if to.bytes == 8 or to.elem == "uint32" else 32
    wide = vector_of(f"i{bits}", to.lanes)
    whole = out.new(f"fptosi {llvm} {arg} to {wide}")
    return whole if 8 * to.bytes == bits else out.new(f"trunc {wide} {whole} to {llvm_type(to)}")


def _half_cast(out: Lines, source: Ty, to: Ty, arg: str) -> str:
    half = vector_of("half", source.lanes)
    if source.kind == "h":
        bits = out.new(f"bitcast {llvm_type(source)} {arg} to {half}")
        return out.new(f"fpext {half} {bits} to {llvm_type(to)}")
    rounded = out.new(f"fptrunc {llvm_type(source)} {arg} to {half}")
    return out.new(f"bitcast {half} {rounded} to {llvm_type(to)}")


_RULES: Final[dict[str, Callable[[Lines, Instruction, list[str]], str]]] = {
    "where": _where,
    "fma": _fma,
    "neg": _neg,
    "abs": _abs,
    "min": _extreme,
    "max": _extreme,
    "not": _not,
    "isnan": _isnan,
    "shl": _shift,
    "shr": _shift,
    "umulhi": _umulhi,
    "floordiv": _index_division,
    "mod": _index_division,
    "quotient": _quotient,
}
