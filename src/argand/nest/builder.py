"""The builder: how every function of the loop-nest IR is made.

It folds constants, simplifies index arithmetic (`nest.simplify`) and shares equal pure expressions
as they are written, so what it builds needs no pass that tidies it. The IR itself is
`argand.nest.types`; its names are offered here too.

A dot product, 8 lanes at a time:

>>> b = NestBuilder("dot", [("x", PTR), ("y", PTR), ("out", PTR), ("n", I64)])
>>> x, y, out, n = b.params
>>> vec = Ty("float32", 8)
>>> with b.loop(0, n, 8, [b.const(vec, 0.0)]) as loop:
...     mask = b.tail_mask(loop.index, n, 8)
...     u, v = (b.load(p, loop.index, vec, mask) for p in (x, y))
...     b.yield_(b.fma(u, v, loop.carry[0]))
>>> b.store(out, 0, b.reduce("add", loop.results[0]))
>>> dot = b.finish()
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from argand.nest.simplify import simplify
from argand.nest.types import (
    BINARY,
    BOOL,
    F32,
    F64,
    I32,
    I64,
    PREDICATES,
    PTR,
    TERNARY,
    UNARY,
    Block,
    Instruction,
    IntOrReg,
    NestError,
    NestFunction,
    NestModule,
    Number,
    Param,
    Reg,
    Ty,
    allowed,
    folded,
    held_const,
    static,
)
from argand.nest.verify import verify

__all__ = [
    "BOOL",
    "F32",
    "F64",
    "I32",
    "I64",
    "PTR",
    "Block",
    "Instruction",
    "IntOrReg",
    "NestBuilder",
    "NestError",
    "NestFunction",
    "NestModule",
    "Param",
    "Reg",
    "Ty",
    "folded",
    "static",
]

Operand = Reg | int | float | bool

_COMMUTES: Final = frozenset(["add", "mul", "min", "max", "and", "or", "xor", "eq", "ne", "umulhi"])
_ON_BOOL: Final = {"add": "or", "max": "or", "mul": "and", "min": "and"}


class Loop:
    """A loop being built: `index`, the carried registers inside, and `results` after it."""

    def __init__(self, index: Reg, carry: tuple[Reg, ...]) -> None:
        self.index = index
        self.carry = carry
        self.results: tuple[Reg, ...] = ()


class Branch:
    """A branch being built; `results` are what its sides yielded."""

    def __init__(self, builder: NestBuilder, condition: Reg) -> None:
        self._builder = builder
        self._then = Block()
        self._else = Block()
        self._instruction = Instruction("if", (condition,), {}, (), (self._then, self._else))
        self.results: tuple[Reg, ...] = ()

    @contextlib.contextmanager
    def else_(self) -> Iterator[None]:
        """The side taken when the condition is false; it yields what the first side yields."""
        with self._builder._inside(self._else):
            yield


class NestBuilder:
    """Builds one function.

    Operands may be Python numbers: they take the type of the register beside them. A scalar operand
    beside a vector is splatted. Elements must agree exactly; `cast` converts.
    """

    def __init__(self, name: str, params: Sequence[Param | tuple[str, Ty]]) -> None:
        self.name = name
        self._params = tuple(p if isinstance(p, Param) else Param(*p) for p in params)
        self.params: tuple[Reg, ...] = tuple(Reg(p.ty, name=p.name) for p in self._params)
        self._body = Block(self.params)
        self._stack: list[Block] = [self._body]
        self._seen: list[dict[object, Reg]] = [{}]
        self._consts: dict[tuple[str, int, str], Reg] = {}
        self._indices: dict[int, Reg] = {}
        self.fused = True
        """Whether `fma` rounds once; a legalization that counts on it has another way if not."""

    @classmethod
    def into(cls, block: Block, *, fused: bool = True) -> NestBuilder:
        """A builder that appends to a block of no function: to legalize one instruction."""
        builder = cls("_", ())
        builder.fused = fused
        builder._body = block
        builder._stack = [block]
        return builder

    def finish(self) -> NestFunction:
        """The function, verified."""
        if len(self._stack) != 1:
            raise NestError(f"{self.name}: a loop, branch or parallel region is still open")
        function = NestFunction(self.name, self._params, self._body)
        verify(function)
        return function

    # constants ------------------------------------------------------------------------------------

    def const(self, ty: Ty, value: Number | Sequence[Number]) -> Reg:
        """A constant: one value for all lanes, or one a lane."""
        held: Number | tuple[Number, ...]
        if isinstance(value, (int, float)):
            held = held_const(ty, value)
        else:
            held = tuple(held_const(ty, v) for v in value)
            if len(held) != ty.lanes:
                raise NestError(f"{len(held)} values for {ty}")
            if all(repr(v) == repr(held[0]) for v in held):
                held = held[0]
        key = (ty.elem, ty.lanes, repr(held))
        reg = self._consts.get(key)
        if reg is None:
            reg = self._consts[key] = Reg(ty, held)
        return reg

    def i64(self, value: int) -> Reg:
        """An index constant."""
        reg = self._indices.get(value)
        if reg is None:
            reg = self._indices[value] = self.const(I64, value)
        return reg

    def iota(self, ty: Ty) -> Reg:
        """The lane numbers 0, 1, 2 … as a constant of `ty`."""
        return self.const(ty, range(ty.lanes))

    # the scalar language --------------------------------------------------------------------------

    def apply(self, prim: str, *args: Operand) -> Reg:
        """A primitive of the scalar language, lane by lane, with NumPy's meaning for the dtype.

        16-bit floats are computed in float32 and rounded back.
        """
        if prim in _ON_BOOL and any(isinstance(a, Reg) and a.ty.kind == "b" for a in args):
            prim = _ON_BOOL[prim]
        regs = self._coerce(prim, args)
        ty = regs[-1].ty
        if ty.kind == "h" and prim != "where":
            wide = [self.cast(r, r.ty.with_elem("float32")) for r in regs]
            result = self.apply(prim, *wide)
            return result if prim in PREDICATES else self.cast(result, ty)
        folded = simplify(prim, regs, self.const)
        if folded is not None:
            return folded
        result_ty = ty.with_elem("bool") if prim in PREDICATES else ty
        return self._pure(prim, regs, {}, result_ty)

    def where(self, condition: Operand, yes: Operand, no: Operand) -> Reg:
        """`yes` where the condition holds, else `no`."""
        return self.apply("where", condition, yes, no)

    def fma(self, x: Operand, y: Operand, z: Operand) -> Reg:
        """x * y + z, fused where the target fuses (llvm.fmuladd)."""
        return self.apply("fma", x, y, z)

    def cast(self, x: Reg, to: Ty | str) -> Reg:
        """Convert to another element with NumPy's rules; lanes stay."""
        ty = x.ty.with_elem(to) if isinstance(to, str) else to
        if ty.lanes != x.ty.lanes:
            raise NestError(f"cast from {x.ty} to {ty} changes the number of lanes")
        if ty == x.ty:
            return x
        if isinstance(x.const, (int, float)) and ty.kind != "h" and x.ty.kind != "h":
            return self.const(ty, x.const) if math.isfinite(x.const) else self._cast(x, ty)
        if "h" in (x.ty.kind, ty.kind) and "float32" not in (x.ty.elem, ty.elem):
            return self.cast(self.cast(x, "float32"), ty)
        return self._cast(x, ty)

    def _cast(self, x: Reg, ty: Ty) -> Reg:
        return self._pure("cast", (x,), {}, ty)

    def bitcast(self, x: Reg, to: Ty) -> Reg:
        """The same bits as another type of the same size."""
        if to.bytes * to.lanes != x.ty.bytes * x.ty.lanes or "b" in (to.kind, x.ty.kind):
            raise NestError(f"bitcast from {x.ty} to {to}")
        return x if to == x.ty else self._pure("bitcast", (x,), {}, to)

    def quotient(self, a: Reg, b: Reg) -> Reg:
        """a / b of integers, towards zero; no lane of b may be 0, nor the result overflow."""
        return self._pure("quotient", (a, b), {}, a.ty)

    # index arithmetic: i64 scalars that never overflow, div and rem of non-negative numbers -------
    # A divisor is a size, which may turn out to be 0 when the code runs. No element is there then,
    # but the index of one may be computed all the same: whoever runs a nest divides by 1 for it.

    def add(self, *terms: Operand) -> Reg:
        """The sum of indices."""
        total = self.index(terms[0])
        for term in terms[1:]:
            total = self._arith("add", total, self.index(term))
        return total

    def sub(self, a: Operand, b: Operand) -> Reg:
        """a - b of indices."""
        return self._arith("sub", self.index(a), self.index(b))

    def mul(self, *factors: Operand) -> Reg:
        """The product of indices."""
        product = self.index(factors[0])
        for factor in factors[1:]:
            product = self._arith("mul", product, self.index(factor))
        return product

    def div(self, a: Operand, b: Operand) -> Reg:
        """a // b of a non-negative index and a size."""
        return self._arith("floordiv", self.index(a), self._divisor(b))

    def rem(self, a: Operand, b: Operand) -> Reg:
        """a % b of a non-negative index and a size."""
        return self._arith("mod", self.index(a), self._divisor(b))

    def ceildiv(self, a: Operand, b: Operand) -> Reg:
        """a / b rounded up, of a non-negative index and a size."""
        return self.div(self.add(a, self.sub(b, 1)), b)

    def affine(self, base: Operand, *terms: tuple[Operand, Operand]) -> Reg:
        """base + the sum of index * stride."""
        return self.add(base, *(self.mul(index, stride) for index, stride in terms))

    def min(self, a: Operand, b: Operand) -> Reg:
        """The smaller of two indices."""
        return self.apply("min", self.index(a), self.index(b))

    def max(self, a: Operand, b: Operand) -> Reg:
        """The larger of two indices."""
        return self.apply("max", self.index(a), self.index(b))

    def lt(self, a: Operand, b: Operand) -> Reg:
        """a < b of indices."""
        return self.apply("lt", self.index(a), self.index(b))

    def le(self, a: Operand, b: Operand) -> Reg:
        """a <= b of indices."""
        return self.apply("le", self.index(a), self.index(b))

    def eq(self, a: Operand, b: Operand) -> Reg:
        """a == b of indices."""
        return self.apply("eq", self.index(a), self.index(b))

    def index(self, value: Operand) -> Reg:
        """The register of an index that may be a number."""
        if isinstance(value, Reg):
            if value.ty != I64:
                raise NestError(f"an index is an i64, not {value.ty}")
            return value
        return self.i64(int(value))

    def _divisor(self, size: Operand) -> Reg:
        found = self.index(size)
        return self.i64(1) if found.const == 0 else found

    def _arith(self, prim: str, a: Reg, b: Reg) -> Reg:
        folded = simplify(prim, (a, b), self.const)
        if folded is not None:
            return folded
        return self._pure(prim, (a, b), {"index": True}, I64)

    # vectors --------------------------------------------------------------------------------------

    def splat(self, x: Reg, lanes: int) -> Reg:
        """The scalar in every lane."""
        if x.ty.lanes == lanes:
            return x
        if x.ty.lanes != 1:
            raise NestError(f"splat of {x.ty}")
        ty = x.ty.with_lanes(lanes)
        return self._pure("splat", (x,), {}, ty) if x.const is None else self.const(ty, x.const)

    def ramp(self, step: IntOrReg, lanes: int) -> Reg:
        """0, step, 2 step … as an i64 vector."""
        numbers = self.iota(Ty("int64", lanes))
        return self.apply("mul", numbers, self.splat(self.index(step), lanes))

    def extract(self, x: Reg, lane: int | Reg) -> Reg:
        """One lane as a scalar."""
        if isinstance(lane, int) and x.const is not None:
            value = x.const[lane] if isinstance(x.const, tuple) else x.const
            return self.const(x.ty.with_lanes(1), value)
        return self._pure("extract", (x, self.index(lane)), {}, x.ty.with_lanes(1))

    def insert(self, x: Reg, value: Operand, lane: int | Reg) -> Reg:
        """The vector with one lane replaced."""
        held = value if isinstance(value, Reg) else self.const(x.ty.with_lanes(1), value)
        return self._pure("insert", (x, held, self.index(lane)), {}, x.ty)

    def shuffle(self, a: Reg, b: Reg | None, lanes: Sequence[int]) -> Reg:
        """Lanes picked from a (0 …) and b (from a's number of lanes on)."""
        ty = a.ty.with_lanes(len(lanes))
        if len(lanes) == 1:
            source, lane = (a, lanes[0]) if lanes[0] < a.ty.lanes else (b, lanes[0] - a.ty.lanes)
            return self.extract(source if source is not None else a, lane)
        second = a if b is None else b
        return self._pure("shuffle", (a, second), {"lanes": tuple(lanes)}, ty)

    def reduce(self, prim: str, x: Reg) -> Reg:
        """Combine the lanes by a fixed tree: the upper half onto the lower, until one is left."""
        return self.halved(prim, x, 1)

    def halved(self, prim: str, x: Reg, lanes: int) -> Reg:
        """The upper half of the lanes combined with the lower, until no more than `lanes` are
        left."""
        while x.ty.lanes > lanes:
            half = x.ty.lanes // 2
            if x.ty.lanes % 2:
                raise NestError(f"reduce needs a power of two lanes, not {x.ty}")
            low = self.shuffle(x, None, range(half))
            x = self.apply(prim, low, self.shuffle(x, None, range(half, 2 * half)))
        return x

    def any(self, mask: Reg) -> Reg:
        """Whether a lane of the mask holds (a scalar bool)."""
        return mask if mask.ty.lanes == 1 else self._pure("any", (mask,), {}, BOOL)

    def tail_mask(self, i: Operand, n: Operand, lanes: int, elem: str = "float32") -> Reg:
        """Lanes j with i + j < n, for memory of `elem`; a constant when i and n are."""
        left = self.sub(n, i)
        if isinstance(left.const, int):
            return self.const(Ty("bool", lanes), [j < left.const for j in range(lanes)])
        name = {1: "int8", 2: "int16", 4: "int32", 8: "int64"}[Ty(elem).bytes]
        if name != "int64":
            left = self.cast(self.max(self.min(left, lanes), 0), name)
        return self.apply("lt", self.iota(Ty(name, lanes)), self.splat(left, lanes))

    # memory: offsets count elements ---------------------------------------------------------------

    def offset(self, ptr: Reg, count: Operand, elem: str) -> Reg:
        """The pointer moved by `count` elements."""
        by = self.index(count)
        if by.const == 0:
            return ptr
        return self._pure("offset", (ptr, by), {"elem": elem}, PTR)

    def load(self, ptr: Reg, offset: Operand, ty: Ty, mask: Reg | None = None) -> Reg:
        """ptr[offset …] as `ty`; masked-off lanes are not touched and read as zero."""
        return self._emit("load", (ptr, self.index(offset), *_mask(mask, ty)), {}, ty)

    def store(self, ptr: Reg, offset: Operand, value: Reg, mask: Reg | None = None) -> None:
        """ptr[offset …] = value, in the lanes of the mask."""
        args = (ptr, self.index(offset), value, *_mask(mask, value.ty))
        self._emit("store", args, {}, None)

    def gather(self, ptr: Reg, offsets: Reg, ty: Ty, mask: Reg | None = None) -> Reg:
        """ptr[offsets[j]] in lane j; masked-off lanes read as zero."""
        return self._emit("gather", (ptr, offsets, *_mask(mask, ty)), {}, ty)

    def scatter(self, ptr: Reg, offsets: Reg, value: Reg, mask: Reg | None = None) -> None:
        """ptr[offsets[j]] = value[j], in lane order."""
        self._emit("scatter", (ptr, offsets, value, *_mask(mask, value.ty)), {}, None)

    def prefetch(self, ptr: Reg, offset: Operand, elem: str, *, far: bool = False) -> None:
        """Ask the first-level cache for ptr[offset], or the second one where it is needed only in
        some microseconds; never faults."""
        level = {"level": 2} if far else {}
        self._emit("prefetch", (ptr, self.index(offset)), {"elem": elem, **level}, None)

    def matrix(
        self, name: str, *registers: int, ptr: Reg | None = None, offset: Operand = 0
    ) -> None:
        """An instruction of the matrix unit on its registers 0 … 7, each 16 rows of 64 bytes:

        - `begin` and `end`: between them the registers can be used;
        - `zero` one, `load` one from ptr[offset …], an array of float32, or `store` it there;
        - `multiply` (sums, left, right): sums[i, j] += left[i, k] * right[k, j] in float32, k = 0 …
          31; two neighbouring bfloat16 of left's row i, and of right's row k // 2, are k and k + 1.
        """
        args = () if ptr is None else (ptr, self.index(offset))
        self._emit("matrix", args, {"name": name, "registers": registers}, None)

    def alloca(self, ty: Ty, count: int = 1) -> Reg:
        """A small array of `count` values of `ty` on the stack of the function or chunk."""
        return self._emit("alloca", (), {"ty": ty, "count": count}, PTR)

    def scratch(self, size: Operand) -> Reg:
        """`size` bytes, 64-byte aligned, for the running thread until the enclosing function or
        parallel chunk ends. Its content is arbitrary; the same core tends to get the same memory.
        """
        return self._emit("scratch", (self.index(size),), {}, PTR)

    # control --------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def loop(
        self, lo: Operand, hi: Operand, step: Operand = 1, carry: Sequence[Reg] = ()
    ) -> Iterator[Loop]:
        """for index in range(lo, hi, step), step > 0, carrying registers between iterations.

            with b.loop(0, n, 8, [zero]) as loop:
                b.yield_(b.fma(x, y, loop.carry[0]))
            total, = loop.results

        A loop that is known to have one iteration leaves no loop behind.
        """
        bounds = tuple(self.index(v) for v in (lo, hi, step))
        yielded: tuple[Reg, ...] = ()
        if _iterations(*bounds) == 1:
            loop, block = Loop(bounds[0], tuple(carry)), self._stack[-1]
            outer, block.yields = block.yields, yielded
            yield loop
            yielded, block.yields = block.yields, outer
            loop.results = yielded
        else:
            loop = Loop(Reg(I64), tuple(Reg(c.ty) for c in carry))
            block = Block((loop.index, *loop.carry))
            with self._inside(block):
                yield loop
            yielded = block.yields
            loop.results = tuple(Reg(c.ty) for c in carry)
            self._append(Instruction("loop", (*bounds, *carry), {}, loop.results, (block,)))
        if [reg.ty for reg in yielded] != [c.ty for c in carry]:
            raise NestError(f"{self.name}: a loop yields other types than it carries")

    def vector_loop(
        self,
        low: Operand,
        high: Operand,
        lanes: int,
        elem: str,
        body: Callable[[Reg, Reg | None], None],
    ) -> None:
        """body(index, mask) for each vector of low … high - 1, low <= high: whole ones without a
        mask, then the rest, if there may be one, under a mask for memory of `elem`."""
        count = self.sub(high, low)
        whole = self.add(low, self.mul(self.div(count, lanes), lanes))
        with self.loop(low, whole, lanes) as loop:
            body(loop.index, None)
        if lanes == 1 or (isinstance(count.const, int) and count.const % lanes == 0):
            return
        with self.loop(whole, high, lanes) as loop:
            body(loop.index, self.tail_mask(loop.index, high, lanes, elem))

    @contextlib.contextmanager
    def if_(self, condition: Reg) -> Iterator[Branch]:
        """Run the block when the (scalar bool) condition holds; see `Branch.else_`.

        with b.if_(b.lt(i, n)) as branch:
            b.yield_(x)
        with branch.else_():
            b.yield_(y)
        z, = branch.results
        """
        branch = Branch(self, condition)
        with self._inside(branch._then):
            yield branch
        branch.results = tuple(Reg(r.ty) for r in branch._then.yields)
        branch._instruction.results = branch.results
        self._append(branch._instruction)

    @contextlib.contextmanager
    def parallel(self, chunks: Operand, cost: Operand | None = None) -> Iterator[Reg]:
        """Run the block for each chunk 0 … chunks - 1, in any order, on any threads.

        `cost` estimates the whole region in nanoseconds: too little of it stays on this thread.
        """
        count = self.index(chunks)
        extra = () if cost is None else (self.index(cost),)
        block = Block((Reg(I64),))
        with self._inside(block):
            yield block.params[0]
        self._append(Instruction("parallel", (count, *extra), {}, (), (block,)))

    def yield_(self, *regs: Reg) -> None:
        """What the innermost open loop or branch passes on."""
        self._stack[-1].yields = regs

    def fail(self, code: Operand) -> None:
        """Leave the function with this status (not 0); in a parallel region: once it ends."""
        self._emit("fail", (self.index(code),), {}, None)

    def call(self, function: NestFunction, *args: Operand) -> None:
        """Call another function of the module; a status that is not 0 is returned at once."""
        regs = tuple(
            a if isinstance(a, Reg) else self.const(p.ty, a)
            for a, p in zip(args, function.params, strict=True)
        )
        self._emit("call", regs, {"function": function.name, "types": _types(function)}, None)

    # emission -------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _inside(self, block: Block) -> Iterator[None]:
        self._stack.append(block)
        self._seen.append({})
        try:
            yield
        finally:
            self._stack.pop()
            self._seen.pop()

    def _append(self, instruction: Instruction) -> None:
        self._stack[-1].instructions.append(instruction)

    def _emit(self, kind: str, args: Sequence[Reg], attrs: dict[str, Any], ty: Ty | None) -> Reg:
        result = Reg(ty if ty is not None else BOOL)
        self._append(Instruction(kind, tuple(args), attrs, () if ty is None else (result,)))
        return result

    def _pure(self, kind: str, args: Sequence[Reg], attrs: dict[str, Any], ty: Ty) -> Reg:
        """Emit, or find the same expression already there in a block that dominates this one."""
        ids = sorted(map(id, args)) if kind in _COMMUTES else map(id, args)
        key = (kind, *ids, *attrs.values(), ty.elem, ty.lanes)
        for seen in reversed(self._seen):
            found = seen.get(key)
            if found is not None:
                return found
        result = self._seen[-1][key] = self._emit(kind, args, attrs, ty)
        return result

    def _coerce(self, prim: str, args: Sequence[Operand]) -> tuple[Reg, ...]:
        """Registers of one type (the condition of a `where` apart), numbers and scalars widened."""
        arity = 1 if prim in UNARY else 2 if prim in BINARY else 3 if prim in TERNARY else 0
        if arity != len(args):
            raise NestError(f"{prim!r} with {len(args)} operands")
        typed = [a.ty for a in args if isinstance(a, Reg)]
        values = [a.ty for a in args[1:] if isinstance(a, Reg)] if prim == "where" else typed
        if not values:
            raise NestError(f"{prim}: no operand says the type")
        lanes = max(t.lanes for t in typed)
        ty = values[0].with_lanes(lanes)
        wants = [ty.with_elem("bool") if prim == "where" and i == 0 else ty for i in range(arity)]
        regs = tuple(
            self.splat(a, lanes) if isinstance(a, Reg) else self.const(t, a)
            for a, t in zip(args, wants, strict=True)
        )
        if [r.ty for r in regs] != wants or not allowed(prim, ty):
            raise NestError(f"{prim} of {', '.join(str(r.ty) for r in regs)}")
        return regs


# small helpers ------------------------------------------------------------------------------------


def _mask(mask: Reg | None, ty: Ty) -> tuple[Reg, ...]:
    if mask is None or mask.const is True:
        return ()
    if mask.ty != ty.with_elem("bool"):
        raise NestError(f"a mask of {mask.ty} for {ty}")
    return (mask,)


def _types(function: NestFunction) -> tuple[str, ...]:
    return tuple(str(p.ty) for p in function.params)


def _iterations(lo: Reg, hi: Reg, step: Reg) -> int | None:
    low, high, apart = static(lo), static(hi), static(step)
    return None if low is None or high is None or apart is None else len(range(low, high, apart))
