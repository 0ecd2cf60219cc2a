"""Call plans: what a public call of eager code did, kept to be done again without Python.

When a call comes with the same facts a second time - the function, the tensors' dtypes, sizes,
strides and wishes for gradients, other arguments by value - it runs under a `CallRecorder`, which
notes every bind. If the call was nothing but binds of its operands, they become a plan: a list of
steps that `codegen/llvm/plancall.py` runs in one native call. Everything else, and whatever a plan
does not fit, goes on to take the general path, which stays the meaning of the call.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np

from argand.base.dtype import DType
from argand.base.errors import ArgandError
from argand.base.events import listen
from argand.base.forks import lock_held_over_forks
from argand.base.late import resolve
from argand.base.userstack import register_passing
from argand.ir import bind as crossroads
from argand.ir import overrides
from argand.ir.bind import Interpreter, interpreting
from argand.ir.families import Composite
from argand.ir.op import Op
from argand.runtime import planformat
from argand.tensor.core import Cold, Size, Tensor, eager
from argand.tensor.planning import Bound, CallPlan, NoPlanError, PlanBuilder, Written
from argand.tensor.views import View, node_of
from argand.transform import tape
from argand.transform.mode import mode
from argand.transform.saved import Saved, SavedOutput
from argand.transform.tape import LEAF, GradientNode

_BUCKETS = 1024


class CallRecorder(Interpreter):
    """Runs binds eagerly and notes them. `broken` is set by what a plan can't do again."""

    def __init__(self) -> None:
        self.bound: list[Bound] = []
        self.written: Written | None = None
        self.asked: list[Any] = []  # the tensors of which it was asked whether they are leaves
        self.broken = False
        self._inside = False

    def bind(self, op: Op, inputs: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, ...]:
        if self._inside:  # a part of an op that runs as a whole
            return eager().bind(op, inputs, params)  # type: ignore[no-any-return]  # an op gives Any
        if eager().is_inlined(op, inputs):
            return op.apply_body(inputs, params)  # type: ignore[attr-defined, no-any-return]  # a Composite
        if _runs_by_parts(op, inputs):
            with suppress(ArgandError):  # the op itself tells better what is wrong
                return op.apply_body(inputs, params)  # type: ignore[attr-defined, no-any-return]  # a Composite
        self._inside = True
        try:
            outputs: tuple[Any, ...] = eager().bind(op, inputs, params)
        finally:
            self._inside = False
        self.bound.append(Bound(op, params, inputs, outputs))
        self.broken |= self.written is not None  # a write is the last that a plan does
        return outputs

    def write(self, target: Any, value: Any) -> None:
        recorded = mode.enabled and (node_of(target) is not None or node_of(value) is not None)
        through_view = recorded and target._view is not None
        if self._inside or self.written is not None or through_view:
            self.broken = True
        self.written = Written(target, value, recorded)
        eager().write(target, value)

    def replaces_node_of(self, x: Tensor) -> bool:
        """Whether the write was recorded for gradients, as an operation on this tensor."""
        return self.written is not None and self.written.recorded and self.written.target is x

    def write_at(self, target: Any, dims: tuple[int, ...], indices: Any, value: Any) -> None:
        self.broken = True
        eager().write_at(target, dims, indices, value)

    def concrete(self, tensor: Any) -> Any:
        if not self._inside:
            self.broken = True
        return eager().concrete(tensor)

    def lift(self, value: Any) -> Any:
        self.broken = True
        return eager().lift(value)

    def grad_changes(self, leaf: Any) -> None:
        self.broken = True

    def grad_is_read(self, leaf: Any) -> None:
        self.broken = True

    def leaf_changes(self, leaf: Any) -> None:
        self.broken = True

    def leafness_is_read(self, tensor: Any) -> bool | None:
        self.asked.append(tensor)
        return None


def _runs_by_parts(op: Op, inputs: tuple[Any, ...]) -> bool:
    """Whether `Eager.compute` runs an unrecorded composite op by op."""
    if not isinstance(op, Composite) or not eager().has_kernels(op):
        return False
    wanted = mode.enabled and any(node_of(x) is not None for x in inputs)
    return not wanted and not resolve("eager.has_form")(op)


# -- the table -------------------------------------------------------------------------------------


class _Table:
    """The plans, by the hash of what they are for; native code reads the same memory.

    An entry is a hash and a plan's address; SEEN and NEVER in its place mean that the call came
    once, and that it has no plan.
    """

    def __init__(self) -> None:
        self.entries = np.zeros((_BUCKETS, planformat.WAYS, 2), np.int64)
        self.state = np.zeros(planformat.STATE_WORDS, np.int64)
        self.plans: dict[int, CallPlan] = {}
        self.lock = lock_held_over_forks("plans")
        self.state[planformat.TABLE // 8] = self.entries.ctypes.data
        self.state[planformat.MASK // 8] = _BUCKETS - 1
        self.state[planformat.RECORD // 8] = id(record)

    def set(self, words: Sequence[int], plan: CallPlan | None) -> None:
        """Enter what was found out about a call."""
        number = _hashed(words)
        bucket = self.entries[number & (_BUCKETS - 1)]
        with self.lock:
            way = next((w for w in bucket if w[0] == number), None)
            if way is None:
                way = min(bucket, key=lambda w: int(w[1]) > planformat.NEVER)
                if way[1] > planformat.NEVER:
                    way = bucket[number >> 40 & (planformat.WAYS - 1)]
            self._drop(int(way[1]))
            if plan is not None:
                self.plans[plan.address] = plan
            way[0] = number
            way[1] = planformat.NEVER if plan is None else plan.address

    def has_plan(self, words: Sequence[int]) -> bool:
        """Whether a call has a plan already."""
        number = _hashed(words)
        bucket = self.entries[number & (_BUCKETS - 1)]
        return any(w[0] == number and w[1] > planformat.NEVER for w in bucket)

    def _drop(self, address: int) -> None:
        plan = self.plans.get(address)
        if plan is not None and not plan.memory[planformat.RUNNING // 8]:
            del self.plans[address]

    def clear(self) -> None:
        """Forget all plans that don't run now."""
        with self.lock:
            self.entries[:] = 0
            for address in list(self.plans):
                self._drop(address)

    def add_type(self, kind: type) -> None:
        """Let tensors of a class have plans."""
        first, most = planformat.TYPES // 8, planformat.MOST_TYPES
        if self.state[first] < most:
            self.state[first] += 1
            self.state[first + int(self.state[first])] = id(kind)


_table: _Table | None = None
_kinds: list[type] = []
T = TypeVar("T", bound=type)


def allow(kind: T) -> T:
    """Let tensors of a class, which behaves as Tensor does, be operands of plans."""
    _kinds.append(overrides.plain(kind))
    if _table is not None:
        _table.add_type(kind)
    return kind


def clear() -> None:
    """Forget all plans: what they were made under has changed."""
    if _table is not None:
        _table.clear()


def maker() -> Callable[[Any], Any] | None:
    """What makes a function's native entry; None where there can be none."""
    global _table
    table = _Table()
    objects = {
        "tensor_type": Tensor,
        "view_type": View,
        "node_type": GradientNode,
        "saved_type": Saved,
        "saved_output_type": SavedOutput,
        "size_type": Size,
        "dtype_type": DType,
        "mode": mode,
        "leaf": LEAF,
        "no_edge": (None, 0),
        "counter": tape.counter,
        "count_write": Tensor._wrote,
    }
    classes = {
        "TENSOR": Tensor,
        "VIEW": View,
        "COLD": Cold,
        "NODE": GradientNode,
        "SAVED": Saved,
        "OUTPUT": SavedOutput,
    }
    made: Callable[[Any], Any] | None = resolve("eager.plan_call")(
        objects, classes, table.state, ctypes.addressof(crossroads.gate)
    )
    if made is not None:
        _table = table
        for kind in _kinds:
            table.add_type(kind)
        listen("default_dtype", lambda **info: clear())
        listen("setting", lambda **info: clear())
    return made


def _hashed(words: Sequence[int]) -> int:
    """As in plancall."""
    most = (1 << 64) - 1
    number = len(words)
    for word in words:
        number = (number ^ (word & most)) * 0x9E3779B97F4A7C1 & most
        number ^= number >> 31
    return number - (1 << 64) if number >> 63 else number


def record(text: bytes, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run a call whose facts came before, and keep a plan of it if it has one."""
    recorder = CallRecorder()
    operands = list(_unique(_tensors((args, tuple(kwargs.values())))))
    before = [(x._array, x._view, x._node) for x in operands]
    with interpreting(recorder):
        result = function(*args, **kwargs)
    for x, (array, view, node) in zip(operands, before, strict=True):
        if x._array is not array or x._view is not view:
            recorder.broken = True  # such as unsqueeze_
        elif x._node is not node and not recorder.replaces_node_of(x):
            recorder.broken = True  # such as detach_
    if not all(map(recorder.replaces_node_of, recorder.asked)):  # of these plans see to it
        recorder.broken = True
    words = np.frombuffer(text, np.int64).tolist()
    table = _table
    assert table is not None
    plan = None
    if not recorder.broken:
        try:
            hot = table.has_plan(words)
            plan = PlanBuilder(recorder.bound, recorder.written, operands, hot).plan(result)
        except NoPlanError:
            plan = None
    if plan is not None:
        plan.finish(words, (function, args, kwargs))
    table.set(words, plan)
    return result


register_passing(record)


def _tensors(x: Any) -> Iterator[Tensor]:
    """The tensors among arguments, in the order in which native code meets them."""
    if isinstance(x, Tensor):
        yield x
    elif isinstance(x, tuple | list):
        for item in x:
            yield from _tensors(item)


def _unique(tensors: Iterator[Tensor]) -> Iterator[Tensor]:
    seen: set[int] = set()
    for t in tensors:
        if id(t) not in seen:
            seen.add(id(t))
            yield t
