"""Checks that a function of the loop-nest IR is well formed: scopes and types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from argand.nest.types import (
    BINARY,
    BOOL,
    I64,
    PREDICATES,
    PRIMS,
    PTR,
    TERNARY,
    UNARY,
    Block,
    Instruction,
    NestError,
    NestFunction,
    Reg,
    Ty,
    allowed,
)


def verify(function: NestFunction) -> None:
    """Raise NestError where a register is used outside its scope, or types are wrong."""
    scope = {id(reg) for reg in function.body.params}
    _Verifier(function.name).block(function.body, scope, "function")


class _Verifier:
    def __init__(self, name: str) -> None:
        self.name = name

    def block(self, block: Block, scope: set[int], owner: str) -> None:
        for instruction in block.instructions:
            self.instruction(instruction, scope, owner)
            scope.update(map(id, instruction.results))
        self.known(block.yields, scope, "yield")

    def instruction(self, instruction: Instruction, scope: set[int], owner: str) -> None:
        self.known(instruction.args, scope, instruction.kind)
        if instruction.kind in PRIMS:
            self.need(_prim_fits(instruction), instruction)
        else:
            rule = _RULES.get(instruction.kind)
            self.need(rule is not None and rule(instruction), instruction)
        self.need(instruction.kind != "scratch" or owner != "loop", instruction)
        for block in instruction.blocks:
            inner = scope | {id(p) for p in block.params}
            kind = owner if instruction.kind == "if" else instruction.kind
            self.block(block, inner, kind)

    def known(self, regs: Sequence[Reg], scope: set[int], kind: str) -> None:
        for reg in regs:
            if reg.const is None and id(reg) not in scope:
                raise NestError(f"{self.name}: {kind} uses {reg!r} outside its scope")

    def need(self, fits: bool, instruction: Instruction) -> None:
        if not fits:
            args = ", ".join(str(r.ty) for r in instruction.args)
            results = ", ".join(str(r.ty) for r in instruction.results)
            raise NestError(
                f"{self.name}: {instruction.kind}({args}) -> ({results}) {dict(instruction.attrs)}"
            )


def _prim_fits(instruction: Instruction) -> bool:
    kind = instruction.kind
    arity = 1 if kind in UNARY else 2 if kind in BINARY else 3 if kind in TERNARY else 0
    types = [r.ty for r in instruction.args]
    ty = types[-1]
    first = ty.with_elem("bool") if kind == "where" else ty
    result = ty.with_elem("bool") if kind in PREDICATES else ty
    half = ty.kind == "h" and kind != "where"
    return (
        types == [first, *[ty] * (arity - 1)]
        and [r.ty for r in instruction.results] == [result]
        and allowed(kind, ty)
        and not half
    )


def _cast(instruction: Instruction) -> bool:
    source, to = instruction.args[0].ty, instruction.results[0].ty
    halves = "h" not in (source.kind, to.kind) or "float32" in (source.elem, to.elem)
    return source.lanes == to.lanes and halves and "p" not in (source.kind, to.kind)


def _access(instruction: Instruction) -> bool:
    """A load, store, gather or scatter: a pointer, an offset or one a lane, and a mask if any."""
    pointer, offsets, *others = (r.ty for r in instruction.args)
    ty = instruction.results[0].ty if instruction.results else others.pop(0)
    if instruction.kind in ("load", "store"):
        fits = offsets == I64
    else:
        fits = offsets.elem in ("int32", "int64") and offsets.lanes == ty.lanes
    return pointer == PTR and fits and others in ([], [ty.with_elem("bool")])


def _types(instruction: Instruction, *types: Ty) -> bool:
    return tuple(r.ty for r in instruction.args[: len(types)]) == types


def _only(*types: Ty) -> Callable[[Instruction], bool]:
    return lambda instruction: tuple(r.ty for r in instruction.args) == types


def _matrix(instruction: Instruction) -> bool:
    name, registers = instruction.attrs["name"], instruction.attrs["registers"]
    counts = {"begin": 0, "end": 0, "zero": 1, "load": 1, "store": 1, "multiply": 3}
    types = [PTR, I64] if name in ("load", "store") else []
    return (
        counts.get(name) == len(registers)
        and all(0 <= r < 8 for r in registers)
        and [r.ty for r in instruction.args] == types
    )


def _shuffle(instruction: Instruction) -> bool:
    a, b = (r.ty for r in instruction.args)
    lanes = instruction.attrs["lanes"]
    fits = (
        a.elem == b.elem == instruction.results[0].ty.elem
        and len(lanes) == instruction.results[0].ty.lanes
    )
    return fits and a.lanes == b.lanes and all(0 <= lane < 2 * a.lanes for lane in lanes)


def _loop(instruction: Instruction) -> bool:
    carried = [r.ty for r in instruction.args[3:]]
    block = instruction.blocks[0]
    inside = [r.ty for r in block.params]
    yielded = [r.ty for r in block.yields]
    results = [r.ty for r in instruction.results]
    return (
        _types(instruction, I64, I64, I64)
        and inside == [I64, *carried]
        and yielded == carried == results
    )


def _if(instruction: Instruction) -> bool:
    results = [r.ty for r in instruction.results]
    sides = [[r.ty for r in block.yields] for block in instruction.blocks]
    return _types(instruction, BOOL) and len(instruction.args) == 1 and sides == [results, results]


def _parallel(instruction: Instruction) -> bool:
    counts = [r.ty for r in instruction.args]
    block = instruction.blocks[0]
    fits = counts in ([I64], [I64, I64]) and not instruction.results and not block.yields
    return fits and [r.ty for r in block.params] == [I64]


_RULES: Final[dict[str, Callable[[Instruction], bool]]] = {
    "cast": _cast,
    "quotient": lambda i: [r.ty for r in i.args] == [i.results[0].ty] * 2,
    "bitcast": lambda i: len(i.args) == 1,
    "any": lambda i: i.args[0].ty.kind == "b" and i.results[0].ty == BOOL,
    "splat": lambda i: i.args[0].ty == i.results[0].ty.with_lanes(1),
    "extract": lambda i: i.results[0].ty == i.args[0].ty.with_lanes(1),
    "insert": lambda i: i.args[1].ty == i.args[0].ty.with_lanes(1),
    "shuffle": _shuffle,
    "offset": _only(PTR, I64),
    **dict.fromkeys(("load", "store", "gather", "scatter"), _access),
    "prefetch": _only(PTR, I64),
    "matrix": _matrix,
    "alloca": _only(),
    "scratch": _only(I64),
    "loop": _loop,
    "if": _if,
    "parallel": _parallel,
    "fail": _only(I64),
    "call": lambda i: tuple(str(r.ty) for r in i.args) == i.attrs["types"],
}
