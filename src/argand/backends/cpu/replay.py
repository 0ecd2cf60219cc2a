"""Replay: what the kernels of a program read and write, element by element, in their real order.

Each byte of the inputs, the state, the results and the arena remembers whose element it holds: the
value that was last written there. The program's kernels then run as `nest/python` leaves them,
without their arithmetic, at the addresses that the native entry would give them. A kernel may read
an operand only where the operand's own elements are stored; it may write nothing but its results,
inside their bounds; and chunks that run on different threads may not read what another one writes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from argand.backends.cpu.facts import short_name
from argand.backends.cpu.lowering import Lowering, operands_of
from argand.base.dim import evaluate
from argand.base.errors import ArgandError, CompileError
from argand.ir.interpret import run_node
from argand.ir.program import Node, Program, Value, value_name
from argand.nest.python import python_function
from argand.nest.target import Target
from argand.passes.memory import MemoryPlan
from argand.passes.views import nbytes

__all__ = ["Replay", "ReplayError", "TooLongError", "replay"]

_TAG: Final = 48
_OFFSET: Final = (1 << _TAG) - 1
_BIAS: Final = 1 << 40
_SCRATCH: Final = b"\xff\xff"


class ReplayError(CompileError):
    """A kernel reads what is not there, or writes where it must not."""


class TooLongError(Exception):
    """The replay was given up: the program makes more accesses than it was to follow."""


def replay(
    program: Program,
    plan: MemoryPlan,
    target: Target,
    segments: Sequence[tuple[bool, Sequence[int]]],
    arrays: Sequence[Any],
    sizes: Mapping[str, int],
    most: int | None = None,
) -> int:
    """Run all segments - (native, node numbers) in order - and check every access.

    `arrays` are the inputs, then the state; only integers among them matter, where elements are
    looked up. Returns how many accesses were made. Raises ReplayError, which names the kernel;
    TooLongError after `most`; and StatusError where a kernel fails.
    """
    run = Replay(program, plan, target, arrays, sizes, most)
    for native, numbers in segments:
        run.segment(native, numbers)
    run.finish()
    return run.accesses


Access = Callable[[int, int], None]


class _Memory:
    """Bytes that remember whose they are, and which chunk of a parallel region touched them."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.owner = bytearray(2 * size)
        self.written: Any = None
        self.read: Any = None

    def stamps(self) -> tuple[Any, Any]:
        if self.written is None:
            self.written = np.zeros(self.size, np.int64)
            self.read = np.zeros(self.size, np.int64)
        return self.written, self.read


@dataclasses.dataclass(slots=True)
class _Window:
    """What a pointer may reach: bytes `low` to `high` of it, which are stored from `start` on.

    What is read must be owned by `mark`, and what is written becomes so.
    """

    memory: _Memory
    start: int
    low: int
    high: int
    mark: bytes
    value: Value | None
    writable: bool
    inside: bytes | None = None
    kept: dict[int, Any] = dataclasses.field(default_factory=dict)


class Replay:
    """One run of a program's kernels."""

    def __init__(
        self,
        program: Program,
        plan: MemoryPlan,
        target: Target,
        arrays: Sequence[Any],
        sizes: Mapping[str, int],
        most: int | None = None,
    ) -> None:
        program.number()
        self.program, self.plan, self.sizes = program, plan, dict(sizes)
        self.arrays = arrays
        self.lowering = Lowering(program, plan, target)
        self.roots: list[Value] = [p.root for p in plan.places.values() if p.root in plan.homes]
        self.roots = list(dict.fromkeys(self.roots))
        self.marks = {v: (i + 1).to_bytes(2, "little") for i, v in enumerate(self.roots)}
        self.offsets, self.total = plan.offsets(self.sizes)
        self.arena = _Memory(self.total)
        self.given: dict[tuple[str, int], _Memory] = {}
        self._open_buffers()
        self.windows: list[_Window] = []
        self.functions: dict[str, Callable[..., None]] = {}
        self.env: dict[Value, Any] | None = None
        self.node: Node | None = None
        self.chunk = 0  # a stamp while chunks run, else 0
        self.regions = 0
        self.accesses, self.most = 0, most

    # buffers --------------------------------------------------------------------------------------

    def _open_buffers(self) -> None:
        program = self.program
        kinds = (("input", program.inputs), ("state", program.state), ("output", program.outputs))
        for kind, values in kinds:
            for i, v in enumerate(values):
                assert isinstance(v, Value)
                memory = self.given[kind, i] = _Memory(self._bytes(v, kind, i))
                if kind != "output":
                    memory.owner[:] = self.marks[v] * memory.size

    def _bytes(self, v: Value, kind: str, i: int) -> int:
        if kind != "input":
            return evaluate(nbytes(v), self.sizes)
        shape, strides = self._laid_out(v)
        if 0 in shape:
            return 0
        last = sum((s - 1) * step for s, step in zip(shape, strides, strict=True))
        each: int = v.dtype.itemsize
        return (last + 1) * each

    def _laid_out(self, v: Value) -> tuple[list[int], list[int]]:
        shape = [evaluate(s, self.sizes) for s in v.shape]
        strides = [evaluate(s, self.sizes) for s in self.plan.places[v].strides]
        return shape, strides

    def _stored(self, v: Value) -> tuple[_Memory, int, int]:
        """The memory of a value's root, where the root begins in it, and its bytes."""
        root = self.plan.places[v].root
        kind, i = self.plan.homes[root]
        if kind == "arena":
            return self.arena, self.offsets[i], evaluate(nbytes(root), self.sizes)
        memory = self.given[kind, i]
        size = memory.size if kind == "input" else evaluate(nbytes(root), self.sizes)
        return memory, 0, size

    def _window(self, v: Value, writable: bool) -> _Window:
        place = self.plan.places[v]
        memory, base, size = self._stored(v)
        first = evaluate(place.offset, self.sizes) * v.dtype.itemsize
        if not 0 <= base <= base + size <= memory.size:
            raise self._error(f"{self._name(place.root)} is outside of its memory")
        inside = None if place.root is v and not writable else self._elements(v, first, size)
        mark = self.marks[place.root]
        return _Window(memory, base + first, -first, size - first, mark, v, writable, inside)

    def _elements(self, v: Value, first: int, size: int) -> bytes | None:
        """For each byte of the root, from its start on, whether it belongs to an element."""
        shape, strides = self._laid_out(v)
        held = np.zeros(size, bool)
        if 0 not in shape and shape:
            at = sum(np.ix_(*(np.arange(n) * s for n, s in zip(shape, strides, strict=True))))
            at = np.asarray(at).reshape(-1) * v.dtype.itemsize + first
            if at.size and not 0 <= at.min() <= at.max() + v.dtype.itemsize <= size:
                raise self._error(f"{self._name(v)} is a view that leaves its memory")
            for byte in range(v.dtype.itemsize):
                held[at + byte] = True
        elif not shape:
            held[first : first + v.dtype.itemsize] = True
        return None if held.all() else held.tobytes()

    # running --------------------------------------------------------------------------------------

    def segment(self, native: bool, numbers: Sequence[int]) -> None:
        """The nodes with these numbers: one native call, or one by one on the host."""
        if not native:
            for number in numbers:
                self._host(self.program.nodes[number])
            return
        module = self.lowering.module("entry", numbers)
        self.functions = {f.name: python_function(f) for f in module.functions}
        self.windows = []
        buffers = [*self.given.values(), self.arena]
        pointers = [self._open(_Window(m, 0, 0, 0, b"", None, False)) for m in buffers]
        pointers.append(self._open(self._table()))
        dims = [self.sizes[s] for s in self.lowering.symbols]
        self.functions[module.entry.name](self, *pointers, *dims)

    def _table(self) -> _Window:
        """The offsets of the arena's blocks, as the entry reads them."""
        size = 8 * len(self.offsets)
        table = _Window(_Memory(size), 0, 0, size, _SCRATCH, None, False)
        table.kept = {8 * i: offset for i, offset in enumerate(self.offsets)}
        return table

    def call(self, name: str, *args: int) -> None:
        """A kernel, as the entry calls it."""
        status = next(i for i, a in enumerate(args) if a < 1 << _TAG)
        self.node = node = self.program.nodes[args[status] - 1]
        operands = operands_of(node)
        windows = [self._window(v, v in node.outputs) for v in operands]
        for v, window, address in zip(operands, windows, args, strict=False):
            given, at = self._at(address)
            if given.memory is not window.memory or at + given.start != window.start:
                raise self._error(f"{self._name(v)} is handed over at another place than it has")
        kept, self.windows = self.windows, []
        pointers = [self._open(w) for w in windows]
        self.functions[name](self, *pointers, *args[status:])
        self.windows = kept
        self._check_written(node)

    def _host(self, node: Node) -> None:
        self.node = node
        for v in dict.fromkeys(node.values):
            self._whole(v, self._window(v, False), "reads")
        for v in node.outputs:
            window = self._window(v, True)
            at = window.start + window.low
            window.memory.owner[2 * at : 2 * (at + window.high)] = window.mark * window.high

    def _check_written(self, node: Node) -> None:
        for v in node.outputs:
            self._whole(v, self._window(v, False), "does not write")

    def _whole(self, v: Value, window: _Window, verb: str) -> None:
        """All elements of a value must be there."""
        low, high = window.start + window.low, window.start + window.high
        owner = window.memory.owner
        if owner[2 * low : 2 * high] == window.mark * (high - low):
            return
        inside = window.inside or b"\1" * (high - low)
        if window.inside is None and self.plan.places[v].root is not v:
            inside = self._elements(v, -window.low, high - low) or inside
        for i, held in enumerate(inside):
            if held and owner[2 * (low + i) : 2 * (low + i) + 2] != window.mark:
                raise self._error(self._wrong(window, i + window.low, verb))

    def finish(self) -> None:
        """The results and the state must hold what the program returns; inputs what they held."""
        self.node = None
        program = self.program
        wanted = [*program.inputs, *program.state, *program.outputs]
        for i, new in program.writes.items():
            wanted[len(program.inputs) + i] = new
        for v in wanted:
            assert isinstance(v, Value)
            self._whole(v, self._window(v, False), "ends without")

    def chunks(self, count: int) -> Iterator[int]:
        """The chunks of a parallel region, each with a stamp of its own."""
        self.regions += 1
        for chunk in range(count):
            self.chunk = self.regions << 24 | (chunk + 1) if count > 1 else 0
            yield chunk
        self.chunk = 0

    def take(self, nbytes: int) -> int:
        """Scratch memory."""
        return self._open(_Window(_Memory(nbytes), 0, 0, nbytes, _SCRATCH, None, True))

    def _open(self, window: _Window) -> int:
        self.windows.append(window)
        return len(self.windows) << _TAG | _BIAS

    # accesses -------------------------------------------------------------------------------------

    def _at(self, address: int) -> tuple[_Window, int]:
        return self.windows[(address >> _TAG) - 1], (address & _OFFSET) - _BIAS

    def _reach(self, address: int, nbytes: int) -> tuple[_Window, int]:
        self.accesses += 1
        if self.most is not None and self.accesses > self.most:
            raise TooLongError
        window, at = self._at(address)
        if at < window.low or at + nbytes > window.high:
            raise self._error(
                f"bytes {at - window.low} to {at - window.low + nbytes} of "
                f"{self._window_name(window)}, which has {window.high - window.low}"
            )
        return window, at

    def load(self, address: int, nbytes: int) -> None:
        """Bytes are read."""
        window, at = self._reach(address, nbytes)
        start = window.start + at
        found = window.memory.owner[2 * start : 2 * (start + nbytes)]
        if window.value is not None and found != window.mark * nbytes:
            wrong = next(i for i in range(nbytes) if found[2 * i : 2 * i + 2] != window.mark)
            raise self._error(self._wrong(window, at + wrong, "reads"))
        if window.inside is not None:
            self._check_inside(window, at, nbytes, "reads")
        if self.chunk:
            self._stamp_read(window, start, nbytes, at)

    def store(self, address: int, nbytes: int) -> None:
        """Bytes are written."""
        window, at = self._reach(address, nbytes)
        if not window.writable:
            raise self._error(f"it writes {self._window_name(window)}, an operand")
        if window.inside is not None:
            self._check_inside(window, at, nbytes, "writes")
        start = window.start + at
        window.memory.owner[2 * start : 2 * (start + nbytes)] = window.mark * nbytes
        if self.chunk:
            self._stamp_written(window, start, nbytes, at)

    def _check_inside(self, window: _Window, at: int, nbytes: int, verb: str) -> None:
        assert window.inside is not None
        first = at - window.low
        if 0 in window.inside[first : first + nbytes]:
            name = self._window_name(window)
            raise self._error(f"it {verb} byte {first} of the memory of {name}, no element of it")

    def _stamp_read(self, window: _Window, start: int, nbytes: int, at: int) -> None:
        written, read = window.memory.stamps()
        mine, end = self.chunk, start + nbytes
        seen = written[start:end]
        if ((seen >> 24 == mine >> 24) & (seen != mine)).any():
            raise self._error(f"a chunk reads {self._element(window, at)}, another one writes it")
        before = read[start:end]
        others = (before >> 24 == mine >> 24) & (before != mine)
        read[start:end] = np.where(others, mine | 0xFFFFFF, mine)

    def _stamp_written(self, window: _Window, start: int, nbytes: int, at: int) -> None:
        written, read = window.memory.stamps()
        mine, end = self.chunk, start + nbytes
        for stamps, verb in ((written, "writes"), (read, "reads")):
            seen = stamps[start:end]
            if ((seen >> 24 == mine >> 24) & (seen != mine)).any():
                element = self._element(window, at)
                raise self._error(f"a chunk writes {element}, another one {verb} it")
        written[start:end] = mine

    def _each(self, address: int, each: int, offsets: Any, mask: Any) -> Iterator[int]:
        count = len(mask) if offsets is None else len(offsets)
        for lane in range(count):
            if mask is None or mask[lane]:
                yield address + (lane if offsets is None else int(offsets[lane])) * each

    def load_lanes(self, address: int, each: int, mask: Any) -> None:
        """The lanes of a mask are read from contiguous memory."""
        self._lanes(address, each, mask, self.load)

    def store_lanes(self, address: int, each: int, mask: Any) -> None:
        """The lanes of a mask are written to contiguous memory."""
        self._lanes(address, each, mask, self.store)

    def _lanes(self, address: int, each: int, mask: Any, access: Access) -> None:
        mask = np.atleast_1d(mask)
        count = int(mask.sum())
        if mask[:count].all():
            if count:
                access(address, count * each)
            return
        for one in self._each(address, each, None, mask):
            access(one, each)

    def gather(self, address: int, each: int, offsets: Any, mask: Any) -> None:
        """Elements are read at offsets."""
        for one in self._each(address, each, offsets, mask):
            self.load(one, each)

    def scatter(self, address: int, each: int, offsets: Any, mask: Any) -> None:
        """Elements are written at offsets, in the order of the lanes."""
        for one in self._each(address, each, offsets, mask):
            self.store(one, each)

    # values that decide ---------------------------------------------------------------------------

    def value(self, address: int, elem: str) -> Any:
        """An integer, a bool or a pointer that is read."""
        each = 8 if elem == "ptr" else np.dtype(elem).itemsize
        self.load(address, each)
        window, at = self._at(address)
        if window.value is None:
            if at not in window.kept:
                raise self._error("it decides by scratch memory whose content is not known")
            return window.kept[at]
        flat = self._flat(self.plan.places[window.value].root)
        return flat[(at - window.low) // each].item()

    def values(self, address: int, elem: str, offsets: Any, mask: Any) -> Any:
        """Several of them; lanes that the mask leaves out read as zero."""
        each = 8 if elem == "ptr" else np.dtype(elem).itemsize
        kind = "bool" if elem == "bool" else "uint64" if elem.startswith("u") else "int64"
        mask = None if mask is None else np.atleast_1d(mask)
        found = np.zeros(len(offsets), kind)
        for lane, offset in enumerate(offsets):
            if mask is None or mask[lane]:
                found[lane] = self.value(address + int(offset) * each, elem)
        return found

    def store_value(self, address: int, each: int, offsets: Any, mask: Any, value: Any) -> None:
        """Values are written that decide something later."""
        held = np.atleast_1d(value)
        mask = None if mask is None else np.atleast_1d(mask)
        offsets = range(len(held)) if offsets is None else offsets
        for lane, offset in enumerate(offsets):
            if mask is None or mask[lane]:
                one = address + int(offset) * each
                self.store(one, each)
                window, at = self._at(one)
                window.kept[at] = held[lane].item()

    def _flat(self, root: Value) -> Any:
        """The elements of a value in the order of its memory, by the reference interpreter."""
        if self.env is None:
            operands = [*self.program.inputs, *self.program.state]
            self.env = dict(zip(operands, self.arrays, strict=True))
        with np.errstate(all="ignore"):
            for node in self._makers(root):
                try:
                    run_node(node, self.env, self.sizes, False)
                except ArgandError:  # made-up numbers may have no inverse, or be no pivots
                    for out in node.outputs:
                        shape = tuple(evaluate(s, self.sizes) for s in out.shape)
                        self.env[out] = np.zeros(shape, out.dtype.numpy)
        array = np.asarray(self.env[root])
        if root.layout:
            array = array.transpose(root.layout)
        return array.reshape(-1)

    def _makers(self, root: Value) -> list[Node]:
        """The nodes that a value follows from and that haven't run. Others might refuse the made-up
        numbers, as an inverse does."""
        assert self.env is not None
        needed, found = {root}, []
        for node in reversed(self.program.nodes):
            if not needed.isdisjoint(node.outputs):
                needed.update(node.values)
                found.append(node)
        return [node for node in reversed(found) if node.outputs[0] not in self.env]

    # telling --------------------------------------------------------------------------------------

    def _name(self, v: Value) -> str:
        return value_name(v)

    def _window_name(self, window: _Window) -> str:
        return "its scratch memory" if window.value is None else self._name(window.value)

    def _element(self, window: _Window, at: int) -> str:
        if window.value is None:
            return f"byte {at} of its scratch memory"
        root = self.plan.places[window.value].root
        return f"element {(at - window.low) // root.dtype.itemsize} of {self._name(root)}"

    def _wrong(self, window: _Window, at: int, verb: str) -> str:
        start = 2 * (window.start + at)
        owner = bytes(window.memory.owner[start : start + 2])
        by = next((v for v, mark in self.marks.items() if mark == owner), None)
        what = f"{verb} {self._element(window, at)}"
        if by is None:
            return f"it {what}, which nobody has written"
        return f"it {what}, which {self._name(by)} has overwritten"

    def _error(self, what: str) -> ReplayError:
        name = self.program.name
        if self.node is not None:
            results = ", ".join(self._name(v) for v in self.node.outputs)
            name = f"{name}: the kernel {short_name(self.node)} of {results}"
        return ReplayError(f"{name}: {what}; this is a defect of Argand")
