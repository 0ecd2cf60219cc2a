"""A module of loop nests as LLVM IR text, with explicit vectors; no IR passes are needed after it.

Each function becomes `i64 @name.body(parameters)`; the module's first one also gets the exported
`i64 @name(ptr slots)`. A parallel region becomes a function of its own, `void (ptr context, i64
chunk, i64 worker)`, and its captured registers travel in the context.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from argand.codegen.llvm.matrix import emit_matrix
from argand.codegen.llvm.memory import (
    address,
    emit_gather,
    emit_load,
    emit_scatter,
    emit_store,
    load_plain,
    store_plain,
)
from argand.codegen.llvm.prims import emit_cast, emit_prim
from argand.codegen.llvm.text import (
    RUNTIME,
    Lines,
    constant,
    llvm_type,
    memory_type,
    symbol,
    vector_of,
)
from argand.nest.legalize import legalize
from argand.nest.target import Target
from argand.nest.types import (
    PRIMS,
    Block,
    Instruction,
    NestError,
    NestFunction,
    NestModule,
    Param,
    Reg,
    Ty,
)

_ATTRIBUTES: Final = 'nounwind "no-builtins"'
_EMITTERS: Final[dict[str, Callable[[Lines, Instruction, list[str]], str | None]]] = {
    "cast": emit_cast,
    "quotient": emit_prim,
    "load": emit_load,
    "store": emit_store,
    "gather": emit_gather,
    "scatter": emit_scatter,
    "matrix": emit_matrix,
}
_MANY: Final = str(1 << 62)


def emit_module(module: NestModule, target: Target) -> str:
    """The LLVM IR text of a module."""
    unit = _Unit(target)
    for function in module.functions:
        unit.function(function)
    unit.texts.append(_entry(module.entry))
    text = "\n".join(unit.texts)
    used = [line for name, line in RUNTIME.items() if f"@{name}(" in text]
    head = [f'target triple = "{target.triple}"', *used, *sorted(unit.declarations)]
    return "\n".join(head) + "\n\n" + text


class _Unit:
    """The texts of a module's functions, as they are written."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.declarations: set[str] = set()
        self.texts: list[str] = []

    def function(self, function: NestFunction) -> None:
        writer = _Writer(self, symbol(function.name))
        writer.names.update({id(reg): f"%p.{symbol(reg.name)}" for reg in function.body.params})
        writer.block(function.body)
        writer.leave("ret i64 0")
        params = ", ".join(map(_param, function.params))
        head = f"define internal i64 @{writer.name}.body({params})"
        self.texts.append(writer.text(head))

    def chunk(self, name: str, captured: list[Reg], block: Block) -> None:
        writer = _Writer(self, name, parallel=True)
        for reg, offset in zip(captured, _layout(captured)[0], strict=True):
            ptr = address(writer.out, "i8", "%context", str(offset))
            writer.names[id(reg)] = load_plain(writer.out, reg.ty, ptr)
        writer.names[id(block.params[0])] = "%chunk"
        writer.block(block)
        writer.leave("ret void")
        head = f"define internal void @{name}(ptr noalias %context, i64 %chunk, i64 %worker)"
        self.texts.append(writer.text(head))


class _Writer:
    """Writes one LLVM function: the body of a nest function or of a parallel region."""

    def __init__(self, unit: _Unit, name: str, parallel: bool = False) -> None:
        self.unit = unit
        self.name = name
        self.parallel = parallel
        self.out = Lines(unit.declarations)
        self.names: dict[int, str] = {}
        self._scratch: list[str] = []
        self._defined: list[Reg] = []

    def text(self, head: str) -> str:
        lines = [f"{head} {_ATTRIBUTES} {{", "entry:", *self.out.entry, *self.out.lines, "}", ""]
        return "\n".join(lines)

    def use(self, reg: Reg) -> str:
        return constant(reg) if reg.const is not None else self.names[id(reg)]

    def define(self, reg: Reg, name: str) -> None:
        self.names[id(reg)] = name
        # ids are only unique among living objects
        self._defined.append(reg)

    def block(self, block: Block) -> None:
        for instruction in block.instructions:
            self.instruction(instruction)

    def instruction(self, instruction: Instruction) -> None:
        kind, results = instruction.kind, instruction.results
        args = [self.use(reg) for reg in instruction.args]
        if kind in PRIMS or kind == "cast":
            legal = legalize(instruction, self.unit.target)
            if legal is not None:
                self.names.update(zip(map(id, legal.params), args, strict=True))
                self.block(legal)
                self.define(results[0], self.use(legal.yields[0]))
                return
        emit = emit_prim if kind in PRIMS else _EMITTERS.get(kind)
        if emit is not None:
            result = emit(self.out, instruction, args)
        else:
            result = getattr(self, f"write_{kind}")(instruction, args)
        if result is not None:
            self.define(results[0], result)

    # values and memory ------------------------------------------------------------------------

    def write_bitcast(self, instruction: Instruction, args: list[str]) -> str:
        a, b = llvm_type(instruction.args[0].ty), llvm_type(instruction.results[0].ty)
        return args[0] if a == b else self.out.new(f"bitcast {a} {args[0]} to {b}")

    def write_splat(self, instruction: Instruction, args: list[str]) -> str:
        ty, one = instruction.results[0].ty, llvm_type(instruction.args[0].ty)
        kind, index = llvm_type(ty), vector_of("i32", ty.lanes)
        first = self.out.new(f"insertelement {kind} poison, {one} {args[0]}, i64 0")
        return self.out.new(f"shufflevector {kind} {first}, {kind} poison, {index} zeroinitializer")

    def write_any(self, instruction: Instruction, args: list[str]) -> str:
        kind = llvm_type(instruction.args[0].ty)
        return self.out.intrinsic("llvm.vector.reduce.or", "i1", [(kind, args[0])], kind)

    def write_extract(self, instruction: Instruction, args: list[str]) -> str:
        ty = instruction.args[0].ty
        if ty.lanes == 1:
            return args[0]
        return self.out.new(f"extractelement {llvm_type(ty)} {args[0]}, i64 {args[1]}")

    def write_insert(self, instruction: Instruction, args: list[str]) -> str:
        vector, one = llvm_type(instruction.args[0].ty), llvm_type(instruction.args[1].ty)
        return self.out.new(f"insertelement {vector} {args[0]}, {one} {args[1]}, i64 {args[2]}")

    def write_shuffle(self, instruction: Instruction, args: list[str]) -> str:
        if instruction.args[0].ty.lanes == 1:
            return self._join(instruction, args)
        kind, lanes = llvm_type(instruction.args[0].ty), instruction.attrs["lanes"]
        picks = ", ".join(f"i32 {lane}" for lane in lanes)
        return self.out.new(
            f"shufflevector {kind} {args[0]}, {kind} {args[1]}, <{len(lanes)} x i32> <{picks}>"
        )

    def _join(self, instruction: Instruction, args: list[str]) -> str:
        kind, one = llvm_type(instruction.results[0].ty), llvm_type(instruction.args[0].ty)
        name = "poison"
        for lane, pick in enumerate(instruction.attrs["lanes"]):
            name = self.out.new(f"insertelement {kind} {name}, {one} {args[pick]}, i64 {lane}")
        return name

    def write_offset(self, instruction: Instruction, args: list[str]) -> str:
        return address(self.out, memory_type(Ty(instruction.attrs["elem"])), *args)

    def write_prefetch(self, instruction: Instruction, args: list[str]) -> None:
        ptr = address(self.out, memory_type(Ty(instruction.attrs["elem"])), *args)
        locality = 4 - int(instruction.attrs.get("level", 1))  # LLVM counts from the memory up
        operands = [("ptr", ptr), ("i32", "0"), ("i32", str(locality)), ("i32", "1")]
        self.out.intrinsic("llvm.prefetch", "void", operands, "ptr")

    def write_alloca(self, instruction: Instruction, args: list[str]) -> str:
        return self.out.alloca(memory_type(instruction.attrs["ty"]), 64, instruction.attrs["count"])

    def write_scratch(self, instruction: Instruction, args: list[str]) -> str:
        worker = "%worker" if self.parallel else "0"
        name = self.out.new(f"call ptr @argand_scratch_take(i64 {args[0]}, i64 {worker})")
        slot = self.out.alloca("ptr", 8)
        self.out.entry.append(f"  store ptr null, ptr {slot}")
        self.out.do(f"store ptr {name}, ptr {slot}")
        self._scratch.append(slot)
        return name

    # control ----------------------------------------------------------------------------------

    def write_loop(self, instruction: Instruction, args: list[str]) -> None:
        """A guard, then a body that tests at its end: no pass has to rotate it."""
        out, block = self.out, instruction.blocks[0]
        lo, hi, step, *start = args
        body, done, before = out.fresh("body"), out.fresh("done"), out.label
        certain = _runs(instruction)
        if certain:
            out.do(f"br label %{body}")
        else:
            enter = out.new(f"icmp slt i64 {lo}, {hi}")
            out.do(f"br i1 {enter}, label %{body}, label %{done}")
        out.at(body)
        heads = [f"%{out.fresh('phi')}" for _ in block.params]
        where = len(out.lines)
        for reg, head in zip(block.params, heads, strict=True):
            self.define(reg, head)
        self.block(block)
        after = out.new(f"add nsw i64 {heads[0]}, {step}")
        again = out.new(f"icmp slt i64 {after}, {hi}")
        ends = [self.use(reg) for reg in block.yields]
        latch = out.label
        out.do(f"br i1 {again}, label %{body}, label %{done}")
        types = [llvm_type(reg.ty) for reg in block.params]
        out.lines[where:where] = [
            f"  {head} = phi {ty} [ {a}, %{before} ], [ {z}, %{latch} ]"
            for head, ty, a, z in zip(heads, types, [lo, *start], [after, *ends], strict=True)
        ]
        out.at(done)
        for reg, ty, a, z in zip(instruction.results, types[1:], start, ends, strict=True):
            skipped = "" if certain else f"[ {a}, %{before} ], "
            self.define(reg, out.new(f"phi {ty} {skipped}[ {z}, %{latch} ]"))

    def write_if(self, instruction: Instruction, args: list[str]) -> None:
        out = self.out
        yes, no, done = out.fresh("yes"), out.fresh("no"), out.fresh("done")
        out.do(f"br i1 {args[0]}, label %{yes}, label %{no}")
        ends = []
        for label, block in zip((yes, no), instruction.blocks, strict=True):
            out.at(label)
            self.block(block)
            ends.append(([self.use(reg) for reg in block.yields], out.label))
            out.do(f"br label %{done}")
        out.at(done)
        (a, from_a), (b, from_b) = ends
        for reg, x, y in zip(instruction.results, a, b, strict=True):
            phi = f"phi {llvm_type(reg.ty)} [ {x}, %{from_a} ], [ {y}, %{from_b} ]"
            self.define(reg, out.new(phi))

    def write_parallel(self, instruction: Instruction, args: list[str]) -> None:
        out, block = self.out, instruction.blocks[0]
        captured = list(_captured(block))
        offsets, size = _layout(captured)
        context = out.alloca("i8", 64, size)
        out.do(f"store i64 0, ptr {context}, align 64")
        for reg, offset in zip(captured, offsets, strict=True):
            ptr = address(out, "i8", context, str(offset))
            store_plain(out, reg.ty, self.use(reg), ptr)
        name = f"{self.name}.{out.fresh('parallel')}"
        self.unit.chunk(name, captured, block)
        cost = args[1] if len(args) == 2 else _MANY
        out.do(f"call void @argand_parallel(ptr @{name}, ptr {context}, i64 {args[0]}, i64 {cost})")
        if _may_fail(block):
            status = out.new(f"load atomic i64, ptr {context} acquire, align 64")
            self._check(status)

    def write_fail(self, instruction: Instruction, args: list[str]) -> None:
        self._fail(args[0])
        # what follows in this block is never reached, but must be in a basic block
        self.out.at(self.out.fresh("dead"))

    def write_call(self, instruction: Instruction, args: list[str]) -> None:
        operands = ", ".join(
            f"{llvm_type(reg.ty)} {name}" for reg, name in zip(instruction.args, args, strict=True)
        )
        callee = symbol(instruction.attrs["function"])
        self._check(self.out.new(f"call i64 @{callee}.body({operands})"))

    def _check(self, status: str) -> None:
        """Pass on a status that is not 0."""
        out = self.out
        bad, fine = out.fresh("bad"), out.fresh("fine")
        failed = out.new(f"icmp ne i64 {status}, 0")
        out.do(f"br i1 {failed}, label %{bad}, label %{fine}")
        out.at(bad)
        self._fail(status)
        out.at(fine)

    def _fail(self, code: str) -> None:
        if self.parallel:
            # the largest status of all chunks wins, so that the order of chunks does not show
            self.out.do(f"atomicrmw umax ptr %context, i64 {code} acq_rel")
        self.leave("ret void" if self.parallel else f"ret i64 {code}")

    def leave(self, instruction: str) -> None:
        """Give back what scratch memory was taken, and return."""
        for slot in self._scratch:
            ptr = self.out.new(f"load ptr, ptr {slot}")
            worker = "%worker" if self.parallel else "0"
            self.out.do(f"call void @argand_scratch_give(ptr {ptr}, i64 {worker})")
        self.out.do(instruction)


# helpers ------------------------------------------------------------------------------------------


def _param(param: Param) -> str:
    facts = " noalias" * param.noalias
    facts += f" align {param.align}" * (param.align > 1 and param.ty.kind == "p")
    return f"{llvm_type(param.ty)}{facts} %p.{symbol(param.name)}"


def _entry(function: NestFunction) -> str:
    """The exported function: reads the slots and calls the body."""
    name, lines, operands = symbol(function.name), [], []
    for index, param in enumerate(function.params):
        value = f"%v{index}"
        lines.append(f"  %a{index} = getelementptr i64, ptr %slots, i64 {index}")
        if param.ty.lanes != 1 or param.ty.bytes != 8:
            raise NestError(f"a parameter of the exported function can't be {param.ty}")
        lines.append(f"  {value} = load {llvm_type(param.ty)}, ptr %a{index}")
        operands.append(f"{llvm_type(param.ty)} {value}")
    lines += [f"  %status = call i64 @{name}.body({', '.join(operands)})", "  ret i64 %status"]
    head = f"define i64 @{name}(ptr %slots) {_ATTRIBUTES} {{"
    return "\n".join([head, *lines, "}", ""])


def _runs(instruction: Instruction) -> bool:
    """Whether a loop is known to have at least one iteration."""
    lo, hi = instruction.args[0].const, instruction.args[1].const
    return isinstance(lo, int) and isinstance(hi, int) and lo < hi


def _captured(block: Block) -> Iterator[Reg]:
    """Registers that a block reads from outside, each once, in the order of their use."""
    inside: set[int] = set()
    seen: set[int] = set()

    def reads_of(inner: Block) -> Iterator[Reg]:
        inside.update(map(id, inner.params))
        for instruction in inner.instructions:
            yield from fresh(instruction.args)
            for nested in instruction.blocks:
                yield from reads_of(nested)
            inside.update(map(id, instruction.results))
        yield from fresh(inner.yields)

    def fresh(regs: tuple[Reg, ...]) -> Iterator[Reg]:
        for reg in regs:
            if reg.const is None and id(reg) not in inside and id(reg) not in seen:
                seen.add(id(reg))
                yield reg

    return reads_of(block)


def _layout(regs: list[Reg]) -> tuple[list[int], int]:
    """The offset of each register in a context, after the status; and the context's size."""
    offsets, end = [], 8
    for reg in regs:
        size = reg.ty.bytes * reg.ty.lanes
        end = -(-end // reg.ty.bytes) * reg.ty.bytes
        offsets.append(end)
        end += size
    return offsets, end


def _may_fail(block: Block) -> bool:
    return any(
        instruction.kind in ("fail", "call") or any(map(_may_fail, instruction.blocks))
        for instruction in block.instructions
    )
