"""State that a program only reads, under `freeze=True`: what depends on it alone is computed once.

A Linear's weight is stored (out, in), as in PyTorch; its product reads vectors along `out`.
Transposed once, it streams at the speed of memory at every call:

    y = matmul(x, permute(weight))    →    packed.0: weight ↦ contiguous(permute(weight))
                                           y = matmul(x, packed.0)

A convolution's weight (out, in, height, width) is stored as (height, width, in, out), the order
that the op states:

    y = conv2d(x, weight)             →    packed.0: weight ↦ contiguous(permute(weight))
                                           y = conv2d(x, permute(packed.0))

What a product reads by columns is stored in panels as wide as the backend's tiles, where they come
out even, so that no call packs it:

    y = matmul(x, permute(weight))    →    packed.0: (n/64, k, 64)
                                           y = matmul(x, reshape(permute(packed.0)))

The copies are made again when an in-place operation has written the memory behind them, and at
every call when NumPy or another library shares that memory, since such writes go unnoticed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple

import numpy as np

from argand.backends.interface import CompiledProgram
from argand.backends.select import compile_program, keep_values, kept_values, panel_width
from argand.base.dim import Dim, Extent
from argand.base.settings import settings
from argand.base.shape import numel
from argand.compile.by_numpy import Packing, packing
from argand.compile.places import Held, Place
from argand.compile.winograd import with_winograd
from argand.ir.contract import Contract
from argand.ir.families import Random
from argand.ir.op import Params, registry
from argand.ir.program import Node, Operand, Program, Value, copied_nodes, resolved
from argand.ir.rewrite import without_dead_code
from argand.ops.move import Reshape
from argand.ops.winograd import WinogradWeight
from argand.runtime.packed import is_sharing
from argand.tensor.core import Tensor, wrap

MANY_ROWS: Final = 16
"""As many as a register of a matrix unit has."""


class Storage(NamedTuple):
    """How a constant is stored: the order of its dimensions, outermost first, and the columns of a
    panel of the last one, each of which has all of the others; 0 without panels."""

    order: tuple[int, ...]
    width: int


_Wanted = dict[Value, Storage | None]
"""The constants that the rest of a program reads, each with how to store it."""


class Split(NamedTuple):
    """A program in two: what is computed once, and what is left for every call."""

    once: Program  # its state is that of `kept`, its outputs are the first's further state
    rest: Program
    sources: list[int]  # which state of the whole program `once` reads
    kept: list[int]  # which state of the whole program `rest` still reads or writes


def split_constants(
    program: Program,
    fixed: Sequence[bool],
    backend: str,
    of_rows: AbstractSet[int] | None = None,
) -> Split | None:
    """Part a program at the values that only `fixed`, unwritten state decides; None if none does.

    They are stored as the backend reads them fastest. A value larger than what it is made of (an
    expanded bias) is left where it is used. `of_rows` are what `weights_of_rows` said of a program
    of which this one is a version for some sizes.
    """
    if of_rows is None:
        of_rows = weights_of_rows(program)
    nodes, constant = _constants_of(program, fixed)
    if backend == "cpu" and settings.winograd:
        faster = with_winograd(program, constant)
        if faster is not program:
            program = faster
            nodes, constant = _constants_of(program, fixed)
    made = {o for n in nodes for o in n.outputs}
    rest = [n for n in program.nodes if n not in set(nodes)]
    read = dict.fromkeys(v for n in rest for v in n.values)
    read |= dict.fromkeys(v for v in program.results if isinstance(v, Value))
    stored = _stored(program, rest, constant, backend, of_rows)
    wanted = {v: stored.get(v) for v in read if v in made or v in stored}
    if not wanted:
        return None
    read = {v: None for v in read if v not in wanted}
    kept = [i for i, v in enumerate(program.state) if v in read or i in program.writes]
    once, sources = _once(program, nodes, wanted)
    return Split(once, _rest(program, rest, wanted, kept), sources, kept)


def _constants_of(program: Program, fixed: Sequence[bool]) -> tuple[list[Node], set[Value]]:
    """The nodes whose values only `fixed`, unwritten state decides; with that state, the values."""
    constant = {
        v
        for i, v in enumerate(program.state)
        if fixed[i] and i not in program.writes and isinstance(numel(v.shape), int)
    }
    nodes: list[Node] = []
    for node in program.nodes:
        if _is_constant(node, constant):
            constant.update(node.outputs)
            nodes.append(node)
    return nodes, constant


def weights_of_rows(program: Program) -> frozenset[int]:
    """The state behind constants that a program multiplies many rows by for each element of their
    first dimension, along which batches grow: a sequence's embeddings, an image's patches."""
    sources, found = _sources(program), set[int]()
    reshaped = {n.outputs[0]: n.values[0] for n in program.nodes if isinstance(n.op, Reshape)}
    for node in program.nodes:
        if isinstance(node.op, Contract) and node.op.reads_columns(1, node.inputs, node.params):
            x, w = node.values
            each = numel(reshaped.get(x, x).shape[1:-1])
            if isinstance(each, Dim) or each >= MANY_ROWS:
                found |= sources.get(w, frozenset())
    return frozenset(found)


def _sources(program: Program) -> dict[Value, frozenset[int]]:
    """The values that state alone decides, each with the state that it is made of."""
    sources = {v: frozenset([i]) for i, v in enumerate(program.state)}
    for node in program.nodes:
        if node.values and all(v in sources for v in node.values):
            behind = frozenset[int]().union(*(sources[v] for v in node.values))
            sources.update((o, behind) for o in node.outputs)
    return sources


def _stored(
    program: Program,
    nodes: list[Node],
    constant: set[Value],
    backend: str,
    of_rows: AbstractSet[int],
) -> dict[Value, Storage]:
    """The constants that all their readers want stored in one way that is not that of their shape,
    and how."""
    sources = _sources(program)
    asked: dict[Value, set[Storage | None]] = {
        v: {None} for v in program.results if isinstance(v, Value)
    }
    for node in nodes:
        for i, v in enumerate(node.inputs):
            if isinstance(v, Value) and v in constant:
                deep = not of_rows.isdisjoint(sources.get(v, ()))
                asked.setdefault(v, set()).add(_storage(node, i, v, backend, deep))
    found = {v: next(iter(ways)) for v, ways in asked.items() if len(ways) == 1}
    return {v: way for v, way in found.items() if way is not None}


def _storage(node: Node, i: int, value: Value, backend: str, of_rows: bool) -> Storage | None:
    """How a node wants an operand stored; None where that is as its shape says. Large ones that are
    `of_rows` are for a matrix unit, where there is one."""
    shaped = tuple(range(value.ndim))
    order, width = node.op.stored_order(i) or shaped, 0
    if node.op.reads_columns(i, node.inputs, node.params):
        for_unit = of_rows and isinstance(node.op, Contract)
        columns, elements = int(value.shape[order[-1]]), int(numel(value.shape)) if for_unit else 0
        width = panel_width(columns, value.dtype, backend, for_unit=elements) or 0
    return Storage(order, width) if width or order != shaped else None


def _is_constant(node: Node, constant: set[Value]) -> bool:
    if node.regions or isinstance(node.op, Random) or not node.values:
        return False
    if any(v not in constant for v in node.values):
        return False
    if any(isinstance(size, Dim) for o in node.outputs for size in o.shape):
        return False  # a call's own
    if isinstance(node.op, WinogradWeight):
        return True  # which is larger
    made = sum(numel(o.shape) for o in node.outputs)
    return made <= sum(numel(v.shape) for v in node.values)


def _once(program: Program, nodes: list[Node], wanted: _Wanted) -> tuple[Program, list[int]]:
    """The program of the constant values, each contiguous as it is to be stored."""
    once = Program(f"{program.name}.constants", state=[v.copy(v.name) for v in program.state])
    env: dict[Value, Operand] = dict(zip(program.state, once.state, strict=True))
    once.nodes = copied_nodes(nodes, env)
    for v, storage in wanted.items():
        value = resolved(v, env)
        assert isinstance(value, Value)
        if storage is not None:
            value = _as_stored(once, value, storage)
        once.nodes.append(Node(registry.get("contiguous"), [value], {}, [value.type]))
        once.outputs.append(once.nodes[-1].outputs[0])
    return _trimmed(once)


def _trimmed(program: Program) -> tuple[Program, list[int]]:
    """The program without what its outputs don't need, and which of its state it reads."""
    program = without_dead_code(program)
    read = {v for n in program.nodes for v in n.values}
    sources = [i for i, v in enumerate(program.state) if v in read]
    program.state = [program.state[i] for i in sources]
    return program, sources


def _as_stored(program: Program, value: Value, storage: Storage) -> Value:
    """A view of a value whose dimensions are in the order in which it is stored."""
    value = _permuted(program, value, storage.order)
    if not storage.width:
        return value
    *others, columns = value.shape
    parted = _reshaped(program, value, (*others, columns // storage.width, storage.width))
    panels = len(others)
    return _permuted(program, parted, (panels, *range(panels), panels + 1))


def _as_read(program: Program, stored: Value, storage: Storage) -> Value:
    """A view of a stored value that has the shape of the value itself."""
    value = stored
    if storage.width:
        panels, *others, width = value.shape
        last = len(others) + 1
        value = _permuted(program, value, (*range(1, last), 0, last))
        value = _reshaped(program, value, (*others, panels * width))
    return _permuted(program, value, np.argsort(storage.order).tolist())


def _permuted(program: Program, value: Value, order: Sequence[int]) -> Value:
    """The value with its dimensions in another order, by a node at the end of the program."""
    if tuple(order) == tuple(range(value.ndim)):
        return value
    return _viewed(program, value, "permute", {"dims": tuple(order)})


def _reshaped(program: Program, value: Value, shape: Sequence[Extent]) -> Value:
    return _viewed(program, value, "reshape", {"shape": tuple(shape)})


def _viewed(program: Program, value: Value, name: str, params: Params) -> Value:
    op = registry.get(name)
    node = Node(op, [value], params, op.infer(value.type, **params))
    program.nodes.append(node)
    return node.outputs[0]


def _rest(program: Program, nodes: list[Node], wanted: _Wanted, kept: list[int]) -> Program:
    """The program without the constant nodes; their values are state that comes last."""
    rest = Program(program.name, [v.copy(v.name) for v in program.inputs])
    rest.state = [program.state[i].copy(program.state[i].name) for i in kept]
    olds = [*program.inputs, *(program.state[i] for i in kept)]
    env: dict[Value, Operand] = dict(zip(olds, [*rest.inputs, *rest.state], strict=True))
    for i, (v, storage) in enumerate(wanted.items()):
        shape = v.shape if storage is None else _stored_shape(v.shape, storage)
        packed = Value(v.dtype, shape, rest.free_name(f"packed.{i}"))
        rest.state.append(packed)
        env[v] = packed if storage is None else _as_read(rest, packed, storage)
    rest.nodes += copied_nodes(nodes, env)
    rest.outputs = [resolved(o, env) for o in program.outputs]
    rest.writes = {kept.index(i): resolved(o, env) for i, o in program.writes.items()}
    return rest


def _stored_shape(shape: Sequence[Extent], storage: Storage) -> tuple[Extent, ...]:
    *others, columns = (shape[d] for d in storage.order)
    if not storage.width:
        return (*others, columns)
    return (columns // storage.width, *others, storage.width)


class Constants:
    """The constant values of a program, and when they must be computed again."""

    def __init__(
        self,
        once: Program,
        places: list[Place],
        backend: str,
        contents: Sequence[str] | None = None,
        names: Sequence[str] = (),
        others: Sequence[Constants] = (),
    ) -> None:
        """`contents` names what each place holds now, the same in every process: the values are
        kept on disk under it, and processes that find them there share the memory. `names` (see
        `names_of`) tell which values `others` have already."""
        self.program = once
        self.places = places
        self.backend = backend
        self.names = list(names)
        self._known: list[tuple[Any, int]] = []
        self._read: list[Any] = []
        self._shared = False
        self._runs: CompiledProgram | Packing | None = None
        self._note()
        if contents is None and is_sharing():
            contents = [_digest(array) for array in self._read]
        there = {
            name: tensor
            for other in others
            if not other.moved() and not other.replaced()
            for name, tensor in zip(other.names, other._tensors, strict=True)
        }
        found = [there.get(name) for name in self.names] or [None] * len(once.outputs)
        missing = [i for i, tensor in enumerate(found) if tensor is None]
        self._taken = len(found) - len(missing)
        made = iter(self._first(missing, contents) if missing else ())
        self._tensors: list[Tensor] = [wrap(next(made)) if t is None else t for t in found]

    def _first(self, wanted: Sequence[int], contents: Sequence[str] | None) -> list[Any]:
        """Some of the values for the first time, or from disk."""
        program, sources = self.program, list(range(len(self._read)))
        if len(wanted) < len(program.outputs):
            program, sources = _part(program, wanted)
        key = None if contents is None else "\n".join(contents[i] for i in sources)
        kept = None if key is None else kept_values(program, key, self.backend)
        if kept is not None:
            return kept
        runs = _first_runner(program, self.backend)
        arrays = list(runs.run((), [self._read[i] for i in sources]))
        if program is self.program:
            self._runs = runs
        return arrays if key is None else keep_values(program, key, arrays, self.backend)

    @property
    def packed(self) -> list[Place]:
        """Where the values are stored."""
        return [Held(t) for t in self._tensors]

    def moved(self) -> bool:
        """Whether the memory behind may have been written since."""
        # a list, since a generator costs more than what it looks at
        return self._shared or True in [
            cold.version + cold.unseen != writes or cold.shared for cold, writes in self._known
        ]

    def replaced(self) -> bool:
        """Whether a place holds other memory than the values were computed from."""
        arrays = (p.find(())._array for p in self.places)
        return any(a is not read for a, read in zip(arrays, self._read, strict=True))

    def _note(self) -> None:
        """Note what the state is now."""
        sources = [p.find(()) for p in self.places]
        self._known = [(c, c.version + c.unseen) for c in (t._root()._cold_part() for t in sources)]
        self._shared = any(t._is_shared() for t in sources)
        self._read = [t._array for t in sources]

    def compute(self) -> None:
        """Compute the values from the state as it is now."""
        self._note()
        if self._runs is None:
            self._runs = _first_runner(self.program, self.backend)
        elif isinstance(self._runs, Packing):  # once more: they may be computed often
            self._runs = compile_program(self.program, self.backend)
        self._taken = 0
        arrays = self._runs.run((), self._read)
        for tensor, array in zip(self._tensors, arrays, strict=True):
            tensor._array = array

    def explain(self) -> list[str]:
        """What is computed once."""
        head = f"constants: {len(self.program.nodes)} nodes, computed when their state changes"
        lines = ["read from disk"] if self._runs is None else self._runs.explain()
        if self._taken:
            lines = [f"{self._taken} of {len(self.names)} values are those of other sizes"]
        return [head, *(f"  {line}" for line in lines)]


def _first_runner(program: Program, backend: str) -> CompiledProgram | Packing:
    """What computes values once: NumPy, where to compile takes longer."""
    found = packing(program) if backend == "cpu" else None
    return compile_program(program, backend) if found is None else found


def _part(program: Program, outputs: Sequence[int]) -> tuple[Program, list[int]]:
    """The program of some of the outputs, and which of the state it reads."""
    part = Program(program.name, state=[v.copy(v.name) for v in program.state])
    env: dict[Value, Operand] = dict(zip(program.state, part.state, strict=True))
    part.nodes = copied_nodes(program.nodes, env)
    part.outputs = [resolved(program.outputs[i], env) for i in outputs]
    return _trimmed(part)


def names_of(program: Program, sources: Sequence[int]) -> list[str]:
    """A name for each output: equal where it is computed in the same way from the same state, whose
    numbers are `sources`."""
    names = {v: f"{v.type} {i}" for v, i in zip(program.state, sources, strict=True)}
    for node in program.nodes:
        operands = [names[x] if isinstance(x, Value) else repr(x) for x in node.inputs]
        params = sorted(node.params.items())
        text = hashlib.sha256(repr((node.op.name, params, operands)).encode()).hexdigest()
        names |= {o: f"{text} {i}" for i, o in enumerate(node.outputs)}
    return [names[v] if isinstance(v, Value) else repr(v) for v in program.outputs]


def _digest(array: Any) -> str:
    """A name of what an array holds."""
    found = hashlib.sha256(f"{array.dtype} {array.shape} ".encode())
    found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return found.hexdigest()
