"""Eager code's native kernels, with sizes and strides as arguments.

A kernel is compiled once for an op, dtypes, ranks, window parameters and which sizes are 1, and
kept on disk, so a new shape never waits for LLVM. What a call needs - the kernel, the sizes in
order, how to allocate the results - is worked out once for each combination of shapes and strides.

Whether an op has a kernel never depends on how many rows a batch has: an array whose strides no
kernel takes is copied first. So a row has the same bits in any batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from argand.backends.cpu.compiler import LoadedKernel, compile_kernel
from argand.backends.cpu.forms import FORMS, Form, KernelCall, dense, elementwise_form, plain_value
from argand.backends.cpu.program import new_arena, result_maker
from argand.base.dtype import from_numpy
from argand.base.errors import ArgandError
from argand.base.forks import lock_held_over_forks
from argand.base.size_guards import Guards, collecting_guards
from argand.ir.contract import Contract
from argand.ir.elementwise import Elementwise
from argand.ir.op import Literal, Op, TensorType, registry

EagerPlan = Callable[[Sequence[Any]], tuple[Any, ...] | None]

_MOST_PLANS = 4096
# Operands of fewer bytes may run a kernel that isn't optimised yet: it takes milliseconds more.
_MOST_UNOPTIMISED = 1 << 20
_lock = lock_held_over_forks("eager")
_plans: dict[Any, EagerPlan | None] = {}
_kernels: dict[str, list[tuple[Guards, LoadedKernel | None]]] = {}


def run_eager(op: Op, arrays: Sequence[Any], params: dict[str, Any]) -> tuple[Any, ...] | None:
    """The outputs of an op, or None when it has no kernel for such operands.

    None also for a call that can't be computed: NumPy then raises the op's own error.
    """
    try:
        key = (op.name, *params.items(), *[_facts(a) for a in arrays])
        plan = _plans[key]
    except KeyError:
        plan = _new_plan(key, op, arrays, params)
    except TypeError:  # a parameter that can't be hashed
        return None
    return None if plan is None else plan(arrays)


def _facts(a: Any) -> tuple[Any, ...]:
    """What a plan depends on, of one array."""
    if a.ndim:
        return a.shape, a.strides, a.dtype
    return plain_value(a), type(a), a.dtype


def _new_plan(key: Any, op: Op, arrays: Sequence[Any], params: dict[str, Any]) -> EagerPlan | None:
    with _lock:
        try:
            plan = _make_plan(op, arrays, params)
        except ArgandError:
            plan = None  # NumPy tells what is wrong
        if len(_plans) >= _MOST_PLANS:
            _plans.clear()
        _plans[key] = plan
    return plan


@dataclasses.dataclass(slots=True)
class KernelStep:
    """A kernel with all that a call of it needs beside the operands.

    Its slots are the operands, the results, an arena, the table of offsets and the sizes.
    """

    kernel: LoadedKernel
    results: list[tuple[tuple[int, ...], Any]]  # shapes and NumPy's dtypes
    arena_bytes: int
    table: Any
    sizes: list[int]
    row_major: bool = False  # whether it takes row-major copies of operands stored otherwise


def kernel_step(op: Op, arrays: Sequence[Any], params: dict[str, Any]) -> KernelStep | None:
    """The kernel that computes an op of arrays, or None."""
    form = _form_of(op)
    if form is None or any(a.size == 0 for a in arrays):
        return None
    with _lock:
        call = form(op, arrays, params)
        if call is not None:
            return _step_of(call, op, arrays, params)
        copies = _row_major(arrays)
        call = None if dense(*arrays) else form(op, copies, params)
        step = None if call is None else _step_of(call, op, copies, params)
        return None if step is None else dataclasses.replace(step, row_major=True)


def has_form(op: Op) -> bool:
    """Whether an op has a kernel of its own for any operands."""
    return _form_of(op) is not None


def _form_of(op: Op) -> Form | None:
    return FORMS.get(type(op), elementwise_form if isinstance(op, Elementwise) else None)


def _step_of(
    call: KernelCall, op: Op, arrays: Sequence[Any], params: dict[str, Any]
) -> KernelStep | None:
    kernel = _kernel_for(call)
    if kernel is None:
        return None
    if sum(a.nbytes for a in arrays) >= _MOST_UNOPTIMISED:
        kernel.settle()
    types = op.infer(*[_type(a) for a in arrays], **params)
    results = [(tuple(map(int, t.shape)), t.dtype.numpy) for t in types]
    offsets, total = kernel.plan.offsets(call.sizes)
    table = np.array(offsets or [0], np.int64)
    return KernelStep(kernel, results, total, table, [call.sizes[s] for s in kernel.symbols])


def _make_plan(op: Op, arrays: Sequence[Any], params: dict[str, Any]) -> EagerPlan | None:
    if any(a.size == 0 for a in arrays):
        return None
    form = _form_of(op)
    if form is None:
        return _product_plan(op, params) if isinstance(op, Contract) else None
    call = form(op, arrays, params)
    if call is None:
        return _copying_plan(op, arrays, params)
    step = _step_of(call, op, arrays, params)
    if step is None:
        return None
    makers = [result_maker(*result) for result in step.results]
    scalars = any(type(a) is not np.ndarray for a in arrays)
    return _runner(step.kernel.call, makers, (step.table, *step.sizes), step.arena_bytes, scalars)


def _copying_plan(op: Op, arrays: Sequence[Any], params: dict[str, Any]) -> EagerPlan | None:
    """The plan for row-major copies of arrays whose strides no kernel takes."""
    if dense(*arrays):
        return None
    plan = _make_plan(op, _row_major(arrays), params)
    return None if plan is None else lambda given: plan(_row_major(given))


def _row_major(arrays: Sequence[Any]) -> list[Any]:
    return [np.asarray(a, order="C") if a.ndim else a for a in arrays]


def _product_plan(op: Contract, params: dict[str, Any]) -> EagerPlan:
    """A contraction as a product of matrices."""
    matmul = registry.get("matmul")

    def run(arrays: Sequence[Any]) -> tuple[Any, ...] | None:
        a, b, finish = op.matrices(arrays, params)
        found = run_eager(matmul, (a, b), {})
        return None if found is None else (finish(found[0]),)

    return run


def _type(a: Any) -> Any:
    dtype = from_numpy(a.dtype)
    return TensorType(dtype, a.shape) if type(a) is np.ndarray else Literal(dtype, a.item())


def _kernel_for(call: KernelCall) -> LoadedKernel | None:
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
) -> EagerPlan:
    arenas: list[Any] = []

    def run(arrays: Sequence[Any]) -> tuple[Any, ...] | None:
        given = [np.asarray(a) for a in arrays] if scalars else arrays
        outputs = tuple([make() for make in makers])
        arena = arenas.pop() if arenas else new_arena(arena_bytes)
        status = call(*given, *outputs, arena, *last)
        arenas.append(arena)
        return outputs if status == 0 else None

    return run
