"""Eager code's heavy ops: native kernels with sizes and strides as arguments.

A kernel is compiled once for an op, dtypes, ranks, window parameters and which sizes are 1, and
kept on disk, so a new shape never waits for LLVM. What a call needs - the kernel, the sizes in
order, how to allocate the results - is worked out once for each combination of shapes and strides.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from argand.backends.cpu.compiler import Kernel, compile_kernel
from argand.backends.cpu.executable import new_arena, result_maker
from argand.backends.cpu.forms import FORMS, Call, Form, elementwise_form, plain_value
from argand.base.dim import Guards, collecting_guards
from argand.base.dtype import from_numpy
from argand.base.errors import ArgandError
from argand.ir.elementwise import Elementwise
from argand.ir.op import Literal, Op, TensorType

SMALLEST = 32 << 10
"""Elementwise ops on fewer elements than this are left to NumPy."""

Plan = Callable[[Sequence[Any]], tuple[Any, ...] | None]

_MOST_PLANS = 4096
_lock = threading.Lock()
_plans: dict[Any, Plan | None] = {}
_kernels: dict[str, list[tuple[Guards, Kernel | None]]] = {}


def run_eager(op: Op, arrays: Sequence[Any], params: dict[str, Any]) -> tuple[Any, ...] | None:
    """The outputs of an op, or None when it is better left to NumPy (`op.run`).

    None also stands for a call that can't be computed: NumPy then raises the op's own error.
    """
    form = FORMS.get(op.name)
    if form is None:
        if not isinstance(op, Elementwise):
            return None
        if arrays[0].size < SMALLEST and arrays[-1].size < SMALLEST:
            return None
        form = elementwise_form
    try:
        key = (op.name, *params.items(), *[_facts(a) for a in arrays])
        plan = _plans[key]
    except KeyError:
        plan = _new_plan(key, form, op, arrays, params)
    except TypeError:  # a parameter that can't be hashed
        return None
    return None if plan is None else plan(arrays)


def _facts(a: Any) -> tuple[Any, ...]:
    """What a plan depends on, of one array."""
    if a.ndim:
        return a.shape, a.strides, a.dtype
    return plain_value(a), type(a), a.dtype


def _new_plan(key: Any, form: Form, op: Op, arrays: Sequence[Any], params: dict[str, Any]) -> Any:
    with _lock:
        try:
            plan = _make_plan(form, op, arrays, params)
        except ArgandError:
            plan = None  # NumPy tells what is wrong
        if len(_plans) >= _MOST_PLANS:
            _plans.clear()
        _plans[key] = plan
    return plan


def _make_plan(form: Form, op: Op, arrays: Sequence[Any], params: dict[str, Any]) -> Any:
    if any(a.size == 0 for a in arrays):
        return None
    call = form(op, arrays, params)
    kernel = _kernel_for(call) if call is not None else None
    if call is None or kernel is None:
        return None
    types = [_type(a) for a in arrays]
    makers = [
        result_maker(tuple(map(int, t.shape)), t.dtype.numpy) for t in op.infer(*types, **params)
    ]
    sizes = [call.sizes[s] for s in kernel.symbols]
    offsets, total = kernel.plan.offsets(call.sizes)
    table = np.array(offsets or [0], np.int64)
    scalars = any(type(a) is not np.ndarray for a in arrays)
    return _runner(kernel.call, makers, (table, *sizes), total, scalars)


def _type(a: Any) -> Any:
    dtype = from_numpy(a.dtype)
    return TensorType(dtype, a.shape) if type(a) is np.ndarray else Literal(dtype, a.item())


def _kernel_for(call: Call) -> Kernel | None:
    """The kernel of a call whose facts about sizes hold; compiled when there is none."""
    known = _kernels.setdefault(call.key, [])
    for guards, kernel in known:
        if guards.hold(call.sizes):
            return kernel
    guards = Guards()
    with collecting_guards(guards):
        kernel = compile_kernel(call.program(guards), call.strides)
    known.append((guards, kernel))
    return kernel


def _runner(
    call: Callable[..., int],
    makers: Sequence[Callable[[], Any]],
    last: tuple[Any, ...],
    arena_bytes: int,
    scalars: bool,
) -> Plan:
    arenas: list[Any] = []

    def run(arrays: Sequence[Any]) -> tuple[Any, ...] | None:
        given = [np.asarray(a) for a in arrays] if scalars else arrays
        outputs = tuple([make() for make in makers])
        arena = arenas.pop() if arenas else new_arena(arena_bytes)
        status = call(*given, *outputs, arena, *last)
        arenas.append(arena)
        return outputs if status == 0 else None

    return run
