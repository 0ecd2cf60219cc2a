"""Building call plans: the binds of a recorded call as the steps of a plan.

Results, what gradient nodes refer to and what Python computes become tensors or arrays; what only
kernels read is scratch memory, and a view that only they read is an address.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from argand.base.errors import ArgandError
from argand.base.late import resolve
from argand.ir.families import Create, Gather, Move
from argand.ir.op import Literal, Op
from argand.runtime import planformat
from argand.runtime.memory import SMALL
from argand.runtime.memory import empty as pooled
from argand.tensor.core import Tensor, eager
from argand.tensor.eager import array_of, keeps_channels_last, kept_order, turned
from argand.transform.saved import Saved, SavedOutput
from argand.transform.tape import GradientNode

# Larger operands and results take the general path, where time goes into their elements.
_LARGE = 256 << 10
_MOST_VALUES = 60
# What is made from parameters alone is part of a plan up to so many bytes.
_SMALL_CONSTANT = 16 << 10
_ALIGNMENT = 64
# A plan asks NumPy to compute what is exact, as the general path does, until it has run so often:
# a script of a few steps waits for no kernels that it doesn't need.
CALLS_BEFORE_KERNELS = 64


class Bound(NamedTuple):
    """An op that was bound while a call was recorded."""

    op: Op
    params: dict[str, Any]
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]

    @property
    def node(self) -> GradientNode | None:
        """The gradient node that was made for it."""
        for out in self.outputs:
            if type(out._node) is GradientNode and out._node.op is self.op:
                return out._node
        return None

    @property
    def source(self) -> Any:
        """What its only output is a view of; None when that has memory of its own."""
        return self.inputs[0] if self.op.is_view and self.outputs[0]._view is not None else None


class Written(NamedTuple):
    """A tensor whose memory was overwritten while a call was recorded, and what with."""

    target: Any
    value: Any
    recorded: bool  # the target has the value's place on the tape since


class NoPlanError(Exception):
    """A call has no plan."""


class CallPlan:
    """A plan's memory, and what it refers to."""

    def __init__(self, head: list[int], steps: list[list[int]], results: list[int]) -> None:
        self.head, self.steps, self.results = head, steps, results
        self.kept: list[Any] = []
        self.address = 0
        self.memory = np.zeros(0, np.int64)

    def finish(self, words: Sequence[int], call: Any) -> None:
        """Write the plan for calls that are described by `words`."""
        # Of what the words know by address, nothing may be replaced by something else.
        self.kept.append(_constants(call))
        flat = list(itertools.chain.from_iterable(self.steps))
        body = [*flat, *self.results, *words]
        self.memory = np.array([*self.head, *body], np.int64)
        self.address = self.memory.ctypes.data
        first = planformat.HEAD_WORDS
        places = {
            planformat.WORDS: len(words),
            planformat.WORDS_AT: self.address + 8 * (first + len(flat) + len(self.results)),
            planformat.STEPS: len(self.steps),
            planformat.STEPS_AT: self.address + 8 * first,
            planformat.RESULTS: len(self.results),
            planformat.RESULTS_AT: self.address + 8 * (first + len(flat)),
        }
        for at, value in places.items():
            self.memory[at // 8] = value


def _constants(x: Any) -> Any:
    """The arguments of a call without its tensors."""
    if isinstance(x, Tensor):
        return (type(x), None if x._array is None else x._array.dtype)
    if isinstance(x, tuple | list):
        return [_constants(item) for item in x]
    if isinstance(x, dict):
        return [(k, _constants(v)) for k, v in x.items()]
    return x


class _Address(NamedTuple):
    """Where a value's elements begin: a value of the plan, and bytes from its data."""

    value: int
    offset: int


class PlanBuilder:
    """Makes a plan of what was bound. It is `hot` if it has run often."""

    def __init__(
        self, bound: list[Bound], written: Written | None, operands: list[Tensor], hot: bool
    ) -> None:
        self.bound, self.written = bound, written
        self.hot = hot or not CALLS_BEFORE_KERNELS
        self.left = 0
        self.sources: dict[int, Any] = {}  # what views are views of, by the views' ids
        self.steps: list[list[int]] = []
        self.kept: list[Any] = []
        self.values: dict[int, int] = {}  # the values of tensors that have arrays, by id
        self.places: dict[int, _Address] = {}
        self.first_own = self.count = planformat.FIRST_OPERAND + len(operands)
        self.kernels: dict[int, Any] = {}
        self.scratch = 0
        self.arena = 0
        for i, x in enumerate(operands):
            if x._array.nbytes >= _LARGE:
                raise NoPlanError
            self.values[id(x)] = planformat.FIRST_OPERAND + i
            self.places[id(x)] = _Address(planformat.FIRST_OPERAND + i, 0)
        self.tensors: set[int] = set()  # the ids of those that must be tensors
        self.arrays: set[int] = set()  # and of those that must at least have an array

    def plan(self, result: Any) -> CallPlan:
        """The plan of a call with this result."""
        results, kind, factory = self._results(result)
        self._look_at_needs(results)
        for bound in self.bound:
            self._add(bound)
        if self.written is not None:
            if kind not in (planformat.ONE, planformat.NOTHING):
                raise NoPlanError
            self._add_write(*self.written)
        if any(x is not None and id(x) not in self.values for x in results):
            raise NoPlanError
        arena = _aligned(self.scratch + self.arena)
        self.kept += [arena, factory]
        head = [0] * planformat.HEAD_WORDS
        head[planformat.SCRATCH // 8] = arena.ctypes.data
        head[planformat.VALUES // 8] = self.count
        head[planformat.RESULT // 8] = kind
        head[planformat.FACTORY // 8] = id(factory)
        head[planformat.LEFT // 8] = self.left
        for step in self.steps:  # the kernels' arenas come behind the values
            if step[0] == planformat.KERNEL:
                arena_at = 4 + 2 * (step[3] - 1)
                step[arena_at + 1] = self.scratch
        plan = CallPlan(
            head, self.steps, [-1 if x is None else self.values[id(x)] for x in results]
        )
        plan.kept = self.kept
        return plan

    def _results(self, result: Any) -> tuple[list[Any], int, Any]:
        if isinstance(result, Tensor):
            return [result], planformat.ONE, None
        if result is None and self.written is not None:
            return [], planformat.NOTHING, None
        if not isinstance(result, tuple | list):
            raise NoPlanError
        if not all(x is None or isinstance(x, Tensor) for x in result):
            raise NoPlanError
        if type(result) is tuple:
            return list(result), planformat.TUPLE, None
        if type(result) is list:
            return list(result), planformat.LIST, None
        make = getattr(type(result), "_make", None)
        if make is None:
            raise NoPlanError
        return list(result), planformat.MADE, make

    def _look_at_needs(self, results: list[Any]) -> None:
        self.tensors = {id(x) for x in results if x is not None}
        for bound in reversed(self.bound):
            tensors = [x for x in bound.inputs if type(x) is not Literal]
            if bound.node is not None:
                self.tensors |= {id(x) for x in (*tensors, *bound.outputs)}
            source = bound.source
            if source is None:
                if self._way(bound) == self._add_python:
                    self.arrays |= {id(x) for x in (*tensors, *bound.outputs)}
            elif id(bound.outputs[0]) in self.tensors:
                self.tensors.add(id(source))
            elif id(bound.outputs[0]) in self.arrays:
                self.arrays.add(id(source))

    def _way(self, bound: Bound) -> Callable[[Bound], None]:
        """How an op that gives no view is done."""
        if isinstance(bound.op, Create) and self._is_constant(bound.outputs[0]):
            return self._add_constant
        if isinstance(bound.op, Move) and _parts(bound) is not None:
            return self._add_copies
        if isinstance(bound.op, Gather) and _looked_up(bound) is not None:
            return self._add_look_up
        return self._add_python if self._kernel(bound) is None else self._add_kernel

    def _kernel(self, bound: Bound) -> Any:
        key = id(bound)
        if key not in self.kernels:
            self.kernels[key] = None if self._is_deferred(bound) else _kernel_of(bound)
        return self.kernels[key]

    def _is_deferred(self, bound: Bound) -> bool:
        """Whether a kernel is left out for now; the plan is then made again."""
        if self.hot or not resolve("eager.has_form")(bound.op):
            return False
        if not eager().is_small_and_exact(bound.op, [array_of(x) for x in bound.inputs]):
            return False
        self.left = CALLS_BEFORE_KERNELS
        return True

    def _add(self, bound: Bound) -> None:
        for x in bound.inputs:
            if type(x) is not Literal and id(x) not in self.places:
                raise NoPlanError  # it came from elsewhere
        for out in bound.outputs:
            if id(out) in self.places or type(out) is not Tensor:
                raise NoPlanError  # an op that gave its operand
            if out._array.nbytes >= _LARGE:
                raise NoPlanError
        source = bound.source
        if source is not None:
            self.sources[id(bound.outputs[0])] = source
            self._add_view(bound, source)
        else:
            self._way(bound)(bound)
        for out in bound.outputs:
            if id(out) in self.tensors:
                self._add_tensor(bound, out, source)
        if bound.node is not None:
            self._add_node(bound.node, bound)
        if self.count > _MOST_VALUES:
            raise NoPlanError

    def _step(self, kind: int, *words: int) -> None:
        self.steps.append([kind, 8 * (len(words) + 2), *words])

    def _new_value(self, x: Any) -> int:
        value = self.count
        self.count += 1
        self.values[id(x)] = value
        self.places[id(x)] = _Address(value, 0)
        return value

    def _keep(self, x: Any) -> int:
        self.kept.append(x)
        return id(x)

    def _add_view(self, bound: Bound, source: Any) -> None:
        out = bound.outputs[0]
        array, owner = out._array, source._array
        delta = array.ctypes.data - owner.ctypes.data
        place = self.places[id(source)]
        if id(out) not in self.tensors and id(out) not in self.arrays:
            self.places[id(out)] = _Address(place.value, place.offset + delta)
            return
        flags = planformat.ALIGNED | (planformat.WRITEABLE if array.flags.writeable else 0)
        given = self.values[id(source)]
        value = self._new_value(out)
        layout = (self._keep(array.dtype), array.ndim, *array.shape, *array.strides)
        self._step(planformat.VIEW, value, given, delta, flags, *layout)

    def _is_constant(self, out: Any) -> bool:
        """Whether a tensor made from parameters alone is only read by kernels, and small."""
        needed = id(out) in self.tensors or id(out) in self.arrays
        return not needed and out._array.nbytes <= _SMALL_CONSTANT

    def _add_constant(self, bound: Bound) -> None:
        out = bound.outputs[0]
        constant = out._array.copy()
        self._keep(constant)
        self.places[id(out)] = _Address(1, constant.ctypes.data)

    def _add_copies(self, bound: Bound) -> None:
        out = bound.outputs[0]
        place = self._memory_for(out, out._array.shape, out._array.dtype)
        for number, part in _parts(bound) or ():
            x = bound.inputs[number]
            to = out._array[(*part, ...)]
            offset = place.offset + to.ctypes.data - out._array.ctypes.data
            self._copy(x, _Address(place.value, offset), to.strides)

    def _copy(self, x: Any, place: _Address, strides: Sequence[int]) -> None:
        """Copy the elements of a tensor to a place with these strides."""
        self._copy_array(x._array, self.places[id(x)], place, strides)

    def _copy_array(self, a: Any, at: _Address, place: _Address, strides: Sequence[int]) -> None:
        size, sizes, (first, second) = _blocks(a.shape, a.itemsize, strides, a.strides)
        words = (*place, *at, size, len(sizes))
        self._step(planformat.COPY, *words, *sizes, *first, *second)

    def _row_major(self, x: Any, a: Any) -> _Address:
        """Where the elements of a tensor's array are row-major: its own memory, or a copy."""
        if a.flags.c_contiguous:
            return self.places[id(x)]
        place = self._scratch_for(a.nbytes)
        self._copy_array(a, self.places[id(x)], place, np.empty(a.shape, a.dtype).strides)
        return place

    def _add_look_up(self, bound: Bound) -> None:
        out, (x, index) = bound.outputs[0], bound.inputs
        found = _looked_up(bound)
        assert found is not None
        dim, wraps = found
        shape, each = x._array.shape, x._array.itemsize
        places = (
            self._memory_for(out, out._array.shape, out._array.dtype),
            self.places[id(x)],
            self.places[id(index)],
        )
        facts = (prod(shape[:dim]), shape[dim], prod(shape[dim + 1 :]) * each, index._array.size)
        words = itertools.chain(*places)
        self._step(planformat.LOOK_UP, *words, *facts, int(wraps))

    def _add_kernel(self, bound: Bound) -> None:
        kernel = self._kernel(bound)
        pointers: list[_Address] = []
        arrays, order = _operands(bound)
        for x, array in zip(bound.inputs, arrays, strict=True):
            if type(x) is Literal:
                number = np.asarray(array)
                self._keep(number)
                pointers.append(_Address(1, number.ctypes.data))
            elif kernel.row_major:
                pointers.append(self._row_major(x, array))
            else:
                pointers.append(self.places[id(x)])
        for out, (shape, dtype) in zip(bound.outputs, kernel.results, strict=True):
            pointers.append(self._memory_for(out, shape, dtype))
            if order is not None and id(out) in self.values:
                self._add_turned(out)
        self.arena = max(self.arena, kernel.arena_bytes)
        pointers.append(_Address(0, 0))  # the arena; see `plan`
        self._keep(kernel)
        words = [w for p in pointers for w in p]
        tail = [kernel.table.ctypes.data, *kernel.sizes]
        self._step(
            planformat.KERNEL, kernel.kernel.address, len(pointers), *words, len(tail), *tail
        )

    def _memory_for(self, out: Any, shape: tuple[int, ...], dtype: Any) -> _Address:
        size = int(np.prod(shape)) * dtype.itemsize
        if id(out) not in self.tensors and id(out) not in self.arrays:
            place = self.places[id(out)] = self._scratch_for(size)
            return place
        make = 0
        if size >= SMALL:
            make = self._keep(lambda: pooled(shape, dtype))
        value = self._new_value(out)
        self._step(planformat.NEW, value, self._keep(dtype), make, len(shape), *shape)
        return self.places[id(out)]

    def _add_turned(self, out: Any) -> None:
        """Let a result be the view of its memory that has its dimensions in their own order."""
        memory, array = self.values[id(out)], out._array
        value = self._new_value(out)
        layout = (self._keep(array.dtype), array.ndim, *array.shape, *array.strides)
        flags = planformat.ALIGNED | planformat.WRITEABLE
        self._step(planformat.VIEW, value, memory, 0, flags, *layout)

    def _scratch_for(self, size: int) -> _Address:
        place = _Address(0, self.scratch)
        self.scratch += -(-size // _ALIGNMENT) * _ALIGNMENT
        return place

    def _add_python(self, bound: Bound) -> None:
        op, params = bound.op, bound.params
        constants = [array_of(x) if type(x) is Literal else None for x in bound.inputs]

        def compute(*arrays: Any) -> tuple[Any, ...]:
            rest = iter(arrays)
            given = tuple([next(rest) if c is None else c for c in constants])
            found = eager().compute(op, given, params)
            return tuple([y if type(y) is np.ndarray else np.asarray(y) for y in found])

        given = [self.values[id(x)] for x in bound.inputs if type(x) is not Literal]
        found = [self._new_value(out) for out in bound.outputs]
        self._step(planformat.PYTHON, self._keep(compute), len(given), *given, len(found), *found)

    def _add_tensor(self, bound: Bound, out: Any, source: Any) -> None:
        if source is None:
            self._step(planformat.TENSOR, self.values[id(out)], -1, 0)
        else:
            move = self._keep((bound.op, bound.params))
            self._step(planformat.TENSOR, self.values[id(out)], self.values[id(source)], move)

    def _add_write(self, target: Any, value: Any, recorded: bool) -> None:
        """The last steps: what may still fail, then the elements, the version, and the node."""
        owner = target
        while id(owner) in self.sources:
            owner = self.sources[id(owner)]
        operand = self.values.get(id(owner))
        given = id(value) in self.places
        if operand is None or operand >= self.first_own or not given or not target._array.size:
            raise NoPlanError
        place = -1
        if recorded and value._node is not None:
            place = self.values[id(value)]
            if place < self.first_own or owner is not target:
                raise NoPlanError
        to, source = target._array, value._array
        if _overlaps_itself(to):
            raise NoPlanError
        ends = (*_ends(self.places[id(target)], to), *_ends(self.places[id(value)], source))
        where = itertools.chain.from_iterable(ends)
        self._step(planformat.MAY_WRITE, operand, int(recorded), *where)
        self._copy(value, self.places[id(target)], to.strides)
        self._step(planformat.WROTE, operand)
        if recorded:
            self._step(planformat.TAKE_PLACE, operand, place)

    def _add_node(self, node: GradientNode, bound: Bound) -> None:
        words = [self._keep(node.op), self._keep(node.params), self._keep(node.wants)]
        outs = [out for out in bound.outputs if out._node is node]
        words.append(len(outs))
        for out in outs:
            words += [self.values[id(out)], self._keep(out._index)]
        words.append(len(bound.inputs))
        for x, want in zip(bound.inputs, node.wants, strict=True):
            words.append(self.values[id(x)] if want else -1)
        assert node.inputs is not None
        words.append(len(node.inputs))
        for x, kept in zip(bound.inputs, node.inputs, strict=True):
            words += self._saved(x, kept)
        words.append(len(node.outputs))
        for x, kept in zip(bound.outputs, node.outputs, strict=True):
            words += self._saved(x, kept)
        self._step(planformat.NODE, *words)

    def _saved(self, x: Any, kept: Any) -> list[int]:
        if type(kept) is Saved and kept.tensor is not x:
            raise NoPlanError  # a copy of what is overwritten
        if type(kept) in (Saved, SavedOutput):
            return [self.values[id(x)], 0]
        return [-1, self._keep(kept)]


def _parts(bound: Bound) -> list[tuple[int, tuple[slice, ...]]] | None:
    """The copies that a move comes to; None where it is more than that."""
    arrays = [x._array for x in bound.inputs]
    if any(a.size == 0 for a in arrays) or bound.outputs[0]._array.size == 0:
        return None
    found: list[tuple[int, tuple[slice, ...]]] | None
    found = bound.op.parts([a.shape for a in arrays], bound.params)  # type: ignore[attr-defined]  # it has parts
    return found


def _looked_up(bound: Bound) -> tuple[int, bool] | None:
    """The dimension along which whole rows are looked up, and whether indices wrap."""
    if len(bound.inputs) != 2:
        return None
    table, index = (x._array for x in bound.inputs)
    stored = table.flags.c_contiguous and index.flags.c_contiguous
    if not stored or index.dtype != np.int64 or not index.size or not table.size:
        return None
    return bound.op.whole_rows(bound.params)  # type: ignore[attr-defined, no-any-return]  # a Gather


def _blocks(
    shape: Sequence[int], size: int, *strides: Sequence[int]
) -> tuple[int, tuple[int, ...], list[tuple[int, ...]]]:
    """The bytes of the blocks that all strides leave together, the sizes around them, and the
    strides of these."""
    sizes: list[int] = []
    steps: list[tuple[int, ...]] = []
    for n, *step in reversed(list(zip(shape, *strides, strict=True))):
        if n == 1:
            continue
        if not sizes and all(s == size for s in step):
            size *= n
        elif sizes and all(s == b * sizes[0] for s, b in zip(step, steps[0], strict=True)):
            sizes[0] *= n
        else:
            sizes.insert(0, n)
            steps.insert(0, tuple(step))
    return size, tuple(sizes), [tuple(s[i] for s in steps) for i in range(len(strides))]


def _ends(place: _Address, array: Any) -> tuple[_Address, _Address]:
    """Where the elements of an array that begins at a place begin in memory, and where they end."""
    steps = [(n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)]
    low, high = sum(min(s, 0) for s in steps), sum(max(s, 0) for s in steps)
    first, last = place.offset + low, place.offset + high + array.itemsize
    return _Address(place.value, first), _Address(place.value, last)


def _overlaps_itself(array: Any) -> bool:
    """Whether elements of an array may share memory, so that the order of writes counts."""
    reach = array.itemsize
    for step, n in sorted((abs(s), n) for s, n in zip(array.strides, array.shape, strict=True)):
        if n > 1 and step < reach:
            return True
        reach += (n - 1) * step
    return False


def _operands(bound: Bound) -> tuple[Sequence[Any], tuple[int, ...] | None]:
    """The arrays that the kernel of a bound op takes, and the order that dimensions have in them
    where it isn't their own."""
    arrays = [array_of(x) for x in bound.inputs]
    order = kept_order(bound.op, arrays)
    return (arrays, None) if order is None else (turned(arrays, order), order)


def _kernel_of(bound: Bound) -> Any:
    """The kernel of a bound op; None where it has none and `Eager.compute` finds another way."""
    if not (eager().has_kernels(bound.op) or isinstance(bound.op, Gather)):
        return None
    arrays, _ = _operands(bound)
    if keeps_channels_last(bound.op, arrays):
        return None
    try:
        kernel = resolve("eager.kernel_step")(bound.op, arrays, bound.params)
    except ArgandError:
        return None
    if kernel is None or kernel.arena_bytes >= _LARGE or len(kernel.sizes) > 60:
        return None
    return kernel


def _aligned(size: int) -> Any:
    block = np.zeros(size + _ALIGNMENT, np.uint8)
    skip = -block.ctypes.data % _ALIGNMENT
    return block[skip : skip + size + 1]
