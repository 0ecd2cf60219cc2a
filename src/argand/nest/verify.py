"""Checks that a function of the loop-nest IR is well formed: scopes, types, places."""

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
    """Raise NestError if a register is used outside its scope or an op has the wrong types."""
    scope = {id(reg) for reg in function.body.params}
    _Verifier(function.name).block(function.body, scope, "function")


class _Verifier:
    def __init__(self, name: str) -> None:
        self.name = name

    def block(self, block: Block, scope: set[int], owner: str) -> None:
        for op in block.ops:
            self.op(op, scope, owner)
            scope.update(map(id, op.results))
        self.known(block.yields, scope, "yield")

    def op(self, op: Instruction, scope: set[int], owner: str) -> None:
        self.known(op.args, scope, op.kind)
        if op.kind in PRIMS:
            self.need(_prim_fits(op), op)
        else:
            rule = _RULES.get(op.kind)
            self.need(rule is not None and rule(op), op)
        self.need(op.kind != "scratch" or owner != "loop", op)
        for block in op.blocks:
            inner = scope | {id(p) for p in block.params}
            kind = owner if op.kind == "if" else op.kind
            self.block(block, inner, kind)

    def known(self, regs: Sequence[Reg], scope: set[int], kind: str) -> None:
        for reg in regs:
            if reg.const is None and id(reg) not in scope:
                raise NestError(f"{self.name}: {kind} uses {reg!r} outside its scope")

    def need(self, fits: bool, op: Instruction) -> None:
        if not fits:
            args = ", ".join(str(r.ty) for r in op.args)
            results = ", ".join(str(r.ty) for r in op.results)
            raise NestError(f"{self.name}: {op.kind}({args}) -> ({results}) {dict(op.attrs)}")


def _prim_fits(op: Instruction) -> bool:
    arity = 1 if op.kind in UNARY else 2 if op.kind in BINARY else 3 if op.kind in TERNARY else 0
    types = [r.ty for r in op.args]
    ty = types[-1]
    first = ty.with_elem("bool") if op.kind == "where" else ty
    result = ty.with_elem("bool") if op.kind in PREDICATES else ty
    half = ty.kind == "h" and op.kind != "where"
    return (
        types == [first, *[ty] * (arity - 1)]
        and [r.ty for r in op.results] == [result]
        and allowed(op.kind, ty)
        and not half
    )


def _cast(op: Instruction) -> bool:
    source, to = op.args[0].ty, op.results[0].ty
    halves = "h" not in (source.kind, to.kind) or "float32" in (source.elem, to.elem)
    return source.lanes == to.lanes and halves and "p" not in (source.kind, to.kind)


def _access(op: Instruction, ty: Ty, fixed: int) -> bool:
    masks = [r.ty for r in op.args[fixed:]]
    return masks in ([], [ty.with_elem("bool")])


def _load(op: Instruction) -> bool:
    return _types(op, PTR, I64) and _access(op, op.results[0].ty, 2)


def _store(op: Instruction) -> bool:
    return _types(op, PTR, I64) and _access(op, op.args[2].ty, 3)


def _gather(op: Instruction) -> bool:
    return _offsets(op, op.results[0].ty) and _access(op, op.results[0].ty, 2)


def _scatter(op: Instruction) -> bool:
    return _offsets(op, op.args[2].ty) and _access(op, op.args[2].ty, 3)


def _offsets(op: Instruction, ty: Ty) -> bool:
    offsets = op.args[1].ty
    return _types(op, PTR) and offsets.elem in ("int32", "int64") and offsets.lanes == ty.lanes


def _types(op: Instruction, *types: Ty) -> bool:
    return tuple(r.ty for r in op.args[: len(types)]) == types


def _only(*types: Ty) -> Callable[[Instruction], bool]:
    return lambda op: tuple(r.ty for r in op.args) == types


def _shuffle(op: Instruction) -> bool:
    a, b = (r.ty for r in op.args)
    lanes = op.attrs["lanes"]
    fits = a.elem == b.elem == op.results[0].ty.elem and len(lanes) == op.results[0].ty.lanes
    return fits and a.lanes == b.lanes and all(0 <= lane < 2 * a.lanes for lane in lanes)


def _loop(op: Instruction) -> bool:
    carried = [r.ty for r in op.args[3:]]
    block = op.blocks[0]
    inside = [r.ty for r in block.params]
    yielded = [r.ty for r in block.yields]
    results = [r.ty for r in op.results]
    return _types(op, I64, I64, I64) and inside == [I64, *carried] and yielded == carried == results


def _if(op: Instruction) -> bool:
    results = [r.ty for r in op.results]
    sides = [[r.ty for r in block.yields] for block in op.blocks]
    return _types(op, BOOL) and len(op.args) == 1 and sides == [results, results]


def _parallel(op: Instruction) -> bool:
    counts = [r.ty for r in op.args]
    block = op.blocks[0]
    fits = counts in ([I64], [I64, I64]) and not op.results and not block.yields
    return fits and [r.ty for r in block.params] == [I64]


_RULES: Final[dict[str, Callable[[Instruction], bool]]] = {
    "cast": _cast,
    "quotient": lambda op: [r.ty for r in op.args] == [op.results[0].ty] * 2,
    "bitcast": lambda op: len(op.args) == 1,
    "any": lambda op: op.args[0].ty.kind == "b" and op.results[0].ty == BOOL,
    "splat": lambda op: op.args[0].ty == op.results[0].ty.with_lanes(1),
    "extract": lambda op: op.results[0].ty == op.args[0].ty.with_lanes(1),
    "insert": lambda op: op.args[1].ty == op.args[0].ty.with_lanes(1),
    "shuffle": _shuffle,
    "offset": _only(PTR, I64),
    "load": _load,
    "store": _store,
    "gather": _gather,
    "scatter": _scatter,
    "prefetch": _only(PTR, I64),
    "alloca": _only(),
    "scratch": _only(I64),
    "loop": _loop,
    "if": _if,
    "parallel": _parallel,
    "fail": _only(I64),
    "call": lambda op: tuple(str(r.ty) for r in op.args) == op.attrs["types"],
}
