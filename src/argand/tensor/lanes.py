"""The light lanes: shortcuts from an elementwise op's call to its NumPy functions.

A lane takes tensors of one dtype and shape, and Python numbers beside them, which is most of what
programs do in small steps; anything else (a promotion, a broadcast that gradients must know of, a
large tensor, which a compiled kernel computes better) goes the op's usual way. An op gets its lane
when the eager interpreter first runs it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from argand.base.dtype import DType, bool_, float32, float64, from_numpy, int64
from argand.base.late import resolve
from argand.base.settings import settings
from argand.ir import scalar
from argand.ir.elementwise import DerivedElementwise, Elementwise
from argand.ir.op import Literal
from argand.tensor.core import LIGHT, Tensor, quiet, wrap
from argand.transform.mode import mode
from argand.transform.tape import record_light, record_one

Lane = Callable[[tuple[Any, ...]], Any]

_F32, _F64, _I64 = np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.int64)
_BOOL = np.dtype(np.bool_)

Compute = Callable[..., Any]


def lane_of(op: Elementwise) -> Lane | None:
    """The lane of an op; None for ops with parameters or an execution of their own."""
    kind = type(op)
    if kind.prepare is not Elementwise.prepare or kind.run is not Elementwise.run:
        return None
    if op.conditions == 1 and kind.ufunc is np.where:
        return _where(op)
    if op.conditions or any(d is bool_ for d in op.operand_dtypes(float32)):
        return None
    made = {1: _unary, 2: _binary}.get(len(op.operands), _several)
    return made(op, _chooser(op))


def _chooser(op: Elementwise) -> Callable[[Any], Compute | None]:
    """What gives, for a dtype, the function that computes the op; None where the lane ends.

    An op that is not exact runs in its native kernel at any size, so that its bits don't depend on
    the size; the function is made when it is first needed.
    """
    known: dict[Any, Compute] = {}
    if "i" in op.kinds and op.promotion != "float" and not isinstance(op, DerivedElementwise):
        known[_I64] = _compute(op, int64)
    if "f" not in op.kinds:
        return known.get
    if op.exact(float32):
        known[_F32], known[_F64] = _compute(op, float32), _compute(op, float64)
        return known.get

    def choose(dtype: Any) -> Compute | None:
        found = known.get(dtype)
        if dtype is _I64 or not settings.eager_kernels:
            return found if dtype is _I64 else None
        if found is None and (dtype is _F32 or dtype is _F64):
            found = known[dtype] = resolve("eager.pointwise")(op, from_numpy(dtype))
        return found

    return choose


def _compute(op: Elementwise, dtype: DType) -> Compute:
    ufunc = type(op).ufunc
    if ufunc is not None:
        return ufunc
    steps = scalar.steps(op.expression(dtype))
    return lambda *arrays: scalar.run_steps(steps, arrays)


def _unary(op: Elementwise, choose: Callable[[Any], Compute | None]) -> Lane:
    (reads,), reads_output = _reads(op, (True,))

    def lane(args: tuple[Any, ...]) -> Any:
        if len(args) != 1 or not isinstance(args[0], Tensor):
            return None
        x = args[0]
        array = x._array
        compute = None if array is None else choose(array.dtype)
        if compute is None or array.size > LIGHT:
            return None
        found = quiet.run(compute, array)
        if found is None:
            return None
        out = wrap(found)
        if x._node is not None and mode.enabled and op.differentiable:
            return record_one(op, x, out, reads, reads_output)
        return out

    return lane


def _binary(op: Elementwise, choose: Callable[[Any], Compute | None]) -> Lane:
    both = {wants: _reads(op, wants) for wants in _patterns(2)}
    left, right = both[True, False], both[False, True]
    differentiable = op.differentiable

    def lane(args: tuple[Any, ...]) -> Any:
        if len(args) != 2:
            return None
        x, y = args
        if not isinstance(x, Tensor):
            return reverse(x, y) if isinstance(y, Tensor) else None
        a = x._array
        compute = None if a is None else choose(a.dtype)
        if compute is None or a.size > LIGHT:
            return None
        if isinstance(y, Tensor):
            b = y._array
            if b is None or a.dtype is not b.dtype or a.shape != b.shape:
                return None
            found = quiet.run(compute, a, b)
            if found is None:
                return None
            out = wrap(found)
            wants = (x._node is not None, y._node is not None)
            if mode.enabled and differentiable and (wants[0] or wants[1]):
                return record_light(op, args, out, wants, *both[wants])
            return out
        constant = _constant(y, a.dtype)
        if constant is None:
            return None
        found = quiet.run(compute, a, constant[0])
        if found is None:
            return None
        out = wrap(found)
        if x._node is not None and mode.enabled and differentiable:
            return record_one(op, x, out, left[0][0], left[1], after=constant[1])
        return out

    def reverse(x: Any, y: Tensor) -> Any:
        b = y._array
        compute = None if b is None else choose(b.dtype)
        constant = None if compute is None else _constant(x, b.dtype)
        if constant is None or b.size > LIGHT:
            return None
        found = quiet.run(compute, constant[0], b)
        if found is None:
            return None
        out = wrap(found)
        if y._node is not None and mode.enabled and differentiable:
            return record_one(op, y, out, right[0][1], right[1], before=constant[1])
        return out

    return lane


def _several(op: Elementwise, choose: Callable[[Any], Compute | None]) -> Lane:
    count = len(op.operands)
    saves = {wants: _reads(op, wants) for wants in _patterns(count)}

    def lane(args: tuple[Any, ...]) -> Any:
        if len(args) != count:
            return None
        first = None
        for x in args:
            if isinstance(x, Tensor):
                first = x._array
                break
        if first is None:  # no tensor, or one of a trace that has ended
            return None
        dtype, shape = first.dtype, first.shape
        compute = choose(dtype)
        if compute is None or first.size > LIGHT:
            return None
        arrays: list[Any] = []
        inputs: list[Any] = []
        wanted = False
        for x in args:
            if isinstance(x, Tensor):
                array = x._array
                if array is None or array.dtype is not dtype or array.shape != shape:
                    return None
                wanted = wanted or x._node is not None
                arrays.append(array)
                inputs.append(x)
            else:
                constant = _constant(x, dtype)
                if constant is None:
                    return None
                arrays.append(constant[0])
                inputs.append(constant[1])
        found = quiet.run(compute, *arrays)
        if found is None:
            return None
        out = wrap(found)
        if wanted and mode.enabled and op.differentiable:
            wants = tuple([type(x) is not Literal and x._node is not None for x in inputs])
            return record_light(op, inputs, out, wants, *saves[wants])
        return out

    return lane


def _where(op: Elementwise) -> Lane:
    """The lane of a choice by a condition."""
    saves = {wants: _reads(op, (False, *wants)) for wants in _patterns(2)}

    def lane(args: tuple[Any, ...]) -> Any:
        if len(args) != 3 or not isinstance(args[0], Tensor) or args[0]._array is None:
            return None
        condition = args[0]._array
        first = next((x._array for x in args[1:] if isinstance(x, Tensor)), None)
        if first is None or condition.dtype is not _BOOL or first.dtype not in (_F32, _F64):
            return None
        shape = condition.shape
        if first.shape != shape or first.size > LIGHT:
            return None
        left = _operand(args[1], first.dtype, shape)
        right = _operand(args[2], first.dtype, shape)
        if left is None or right is None:
            return None
        (a, x), (b, y) = left, right
        out = wrap(np.where(condition, a, b))
        wants = tuple([type(v) is not Literal and v._node is not None for v in (x, y)])
        if mode.enabled and (wants[0] or wants[1]):
            return record_light(op, (args[0], x, y), out, (False, *wants), *saves[wants])
        return out

    return lane


def _operand(x: Any, dtype: Any, shape: tuple[int, ...]) -> tuple[Any, Any] | None:
    """An operand's array and what is recorded of it; None when it does not fit."""
    if not isinstance(x, Tensor):
        return _constant(x, dtype)
    array = x._array
    if array is None or array.dtype is not dtype or array.shape != shape:
        return None
    return array, x


def _patterns(count: int) -> list[tuple[bool, ...]]:
    return [tuple(bool(n >> i & 1) for i in range(count)) for n in range(1, 2**count)]


def _reads(op: Elementwise, wants: tuple[bool, ...]) -> tuple[tuple[bool, ...], bool]:
    """Which operands the adjoint reads, and whether it reads the output."""
    if not op.differentiable:
        return (False,) * len(wants), False
    inputs, outputs = op.saves_for(wants, {})
    return tuple(i in inputs for i in range(len(wants))), bool(outputs)


# Numbers as 0-d arrays and literals, by value.
_Constants = dict[Any, tuple[Any, Literal]]
_constants: dict[str, _Constants] = {"f": {}, "d": {}, "l": {}, "q": {}}


def _constant(x: Any, dtype: Any) -> tuple[Any, Literal] | None:
    """A Python number as a 0-d array of a dtype that it does not change."""
    kind = type(x)
    if kind is int:
        if not -(1 << 24) < x < 1 << 24:
            return None
    elif kind is not float or dtype is _I64:
        return None
    known = _constants[dtype.char]
    key = x if x else str(x)  # 0.0 and -0.0 are equal
    return known.get(key) or _new_constant(known, key, x, dtype)


def _new_constant(known: _Constants, key: Any, x: Any, dtype: Any) -> tuple[Any, Literal]:
    if len(known) > 4096:
        known.clear()
    ours = from_numpy(dtype)
    value = scalar.const(x, ours).value
    with np.errstate(all="ignore"):
        found = known[key] = (np.asarray(value, dtype), Literal(ours, value))
    return found
