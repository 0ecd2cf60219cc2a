"""The light lanes: shortcuts from an elementwise op's call to its NumPy functions.

A lane takes tensors of one dtype and shape, and Python numbers beside them, which is most of what
programs do in small steps; anything else (a promotion, a broadcast that gradients must know of, a
large tensor, which a compiled kernel computes better) goes the op's usual way. An op gets its lane when
the eager interpreter first runs it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from argand.base.dtype import DType, bool_, from_numpy
from argand.ir import scalar
from argand.ir.elementwise import DerivedElementwise, Elementwise
from argand.ir.op import Literal
from argand.tensor.core import LIGHT, Tensor, quiet, wrap
from argand.transform.mode import mode
from argand.transform.tape import record_light

Lane = Callable[[tuple[Any, ...]], Any]

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_WHOLE = (np.dtype(np.int64),)
_BOOL = np.dtype(np.bool_)

# Numbers as 0-d arrays and literals, by dtype and value.
_constants: dict[tuple[Any, Any], tuple[Any, Literal]] = {}


def lane_of(op: Elementwise) -> Lane | None:
    """The lane of an op; None for ops with parameters or an execution of their own."""
    kind = type(op)
    if kind.prepare is not Elementwise.prepare or kind.run is not Elementwise.run:
        return None
    dtypes = _FLOATS
    if "i" in op.kinds and op.promotion != "float" and not isinstance(op, DerivedElementwise):
        dtypes = _FLOATS + _WHOLE
    allowed = {d: _compute(op, from_numpy(d)) for d in dtypes if from_numpy(d).kind in op.kinds}
    if op.conditions or any(_is_truth(op, i) for i in range(len(op.operands))):
        return None
    return _unary(op, allowed) if len(op.operands) == 1 else _several(op, allowed)


def _is_truth(op: Elementwise, i: int) -> bool:
    return op.operand_dtypes(from_numpy(_FLOATS[0]))[i] is bool_


def _compute(op: Elementwise, dtype: DType) -> Callable[..., Any]:
    ufunc = type(op).ufunc
    if ufunc is not None:
        return ufunc
    steps = scalar.steps(op.expression(dtype))
    return lambda *arrays: scalar.run_steps(steps, arrays)


def _unary(op: Elementwise, allowed: dict[Any, Callable[..., Any]]) -> Lane:
    (reads,), outputs = _reads(op, (True,))

    def lane(args: tuple[Any, ...]) -> Any:
        if len(args) != 1:
            return None
        x = args[0]
        if not isinstance(x, Tensor):
            return None
        array = x._array
        compute = None if array is None else allowed.get(array.dtype)
        if compute is None or array.size > LIGHT:
            return None
        out = wrap(quiet.run(compute, array))
        if x._node is not None and mode.enabled and op.differentiable:
            return record_light(op, args, out, (reads,), outputs)
        return out

    return lane


def _several(op: Elementwise, allowed: dict[Any, Callable[..., Any]]) -> Lane:
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
        compute = allowed.get(dtype)
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
        out = wrap(quiet.run(compute, *arrays))
        if wanted and mode.enabled and op.differentiable:
            wants = tuple([type(x) is not Literal and x._node is not None for x in inputs])
            return record_light(op, tuple(inputs), out, *saves[wants])
        return out

    return lane


def _patterns(count: int) -> list[tuple[bool, ...]]:
    return [tuple(bool(n >> i & 1) for i in range(count)) for n in range(1, 2**count)]


def _reads(op: Elementwise, wants: tuple[bool, ...]) -> tuple[tuple[bool, ...], bool]:
    """Which operands the adjoint reads, and whether it reads the output."""
    if not op.differentiable:
        return (False,) * len(wants), False
    inputs, outputs = op.saves_for(wants, {})
    return tuple(i in inputs for i in range(len(wants))), bool(outputs)


def _constant(x: Any, dtype: Any) -> tuple[Any, Literal] | None:
    """A Python number as a 0-d array of a dtype that it does not change."""
    kind = type(x)
    if kind is int:
        if not -(1 << 24) < x < 1 << 24:
            return None
    elif kind is not float or dtype in _WHOLE:
        return None
    key = (dtype, x) if x else (dtype, str(x))  # 0.0 and -0.0 are equal
    found = _constants.get(key)
    if found is None:
        if len(_constants) > 4096:
            _constants.clear()
        ours = from_numpy(dtype)
        value = scalar.const(x, ours).value
        with np.errstate(all="ignore"):
            found = _constants[key] = (np.asarray(value, dtype), Literal(ours, value))
    return found
