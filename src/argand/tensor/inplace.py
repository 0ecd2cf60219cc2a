"""In-place operations: write the memory, count the version, put the write on the tape.

A write to a view replaces the root's place on the tape by "the root with this region replaced", and
the other views of the root make their nodes again when they are next used.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from argand.base.dtype import can_cast, promote_types
from argand.base.errors import DTypeError, ShapeError
from argand.base.shape import same_shape, shape_text
from argand.ir import bind as crossroads
from argand.ir.elementwise import Elementwise
from argand.ir.op import ops
from argand.tensor.core import Tensor, wrap
from argand.tensor.eager import check_writable
from argand.tensor.views import Move, base_of, follow, moves_from
from argand.transform.mode import mode, no_grad
from argand.transform.saved import Packed, Saved, keep
from argand.transform.tape import LEAF, GradientNode, next_sequence


def apply_inplace(op: Any, target: Tensor, *operands: Any, **params: Any) -> Tensor:
    """``target = op(target, ...)`` in the memory of `target`; returns it."""
    if target.weak:  # a Python number while it is traced: those have no in-place operations
        return op(target, *operands, **params)  # type: ignore[no-any-return]  # an op gives Any
    check_writable(target)
    if _in_pieces(op, target, operands, params):
        return target
    began = next_sequence()
    result = op(target, *operands, **params)
    if mode.enabled and result._node is not None:
        _keep_operand(target, result._node, began)
    name = getattr(op, "name", getattr(op, "__name__", "operation"))
    return assign(target, result, f"{name}_")


# Results of so many bytes and more are computed in pieces of as many, each written at once.
PIECE = 32 << 20


def _in_pieces(op: Any, target: Tensor, operands: tuple[Any, ...], params: Any) -> bool:
    """Whether an elementwise op has been applied to one part of `target` after another, so that the
    result needs no memory of its size; not where gradients are recorded or memory is shared."""
    array = target._array
    if array is None or array.nbytes < 2 * PIECE or not array.flags.c_contiguous:
        return False
    each = getattr(inspect.unwrap(op), "op", op)
    tensors = [v for v in (*operands, *params.values()) if isinstance(v, Tensor)]
    if not isinstance(each, Elementwise) or each.checks_values or crossroads.tracing():
        return False
    if mode.enabled and any(t._node is not None for t in (target, *tensors)):
        return False
    if not all(_keeps_apart(t, array) for t in tensors):
        return False
    _apply_to_parts(op, target, operands, params)
    return True


def _keeps_apart(t: Tensor, array: Any) -> bool:
    """Whether an operand is read only where it is not yet written."""
    if t._array is None or (t.ndim and t._array.shape != array.shape):
        return False
    same = t._array.ctypes.data == array.ctypes.data and t._array.strides == array.strides
    return bool(t.ndim and same) or not np.may_share_memory(t._array, array)


def _apply_to_parts(op: Any, target: Tensor, operands: tuple[Any, ...], params: Any) -> None:
    name = getattr(op, "name", getattr(op, "__name__", "operation"))
    flat = target._array.reshape(-1)
    step = PIECE // flat.itemsize

    def part(v: Any, start: int) -> Any:
        if not isinstance(v, Tensor) or not v.ndim:
            return v
        return wrap(v._array.reshape(-1)[start : start + step])

    rows = [v if not isinstance(v, Tensor) else v.contiguous() for v in operands]
    named = {k: v if not isinstance(v, Tensor) else v.contiguous() for k, v in params.items()}
    for start in range(0, flat.size, step):
        piece = wrap(flat[start : start + step])
        given = {k: part(v, start) for k, v in named.items()}
        assign(piece, op(piece, *(part(v, start) for v in rows), **given), f"{name}_")
    target._wrote()


def _keep_operand(target: Tensor, node: Any, began: int) -> None:
    """Let the nodes made since `began` keep a copy of the contents that are about to go."""
    kept: Saved | Packed | None = None
    waiting, seen = [node], set()
    while waiting:
        node = waiting.pop()
        if type(node) is not GradientNode or node.sequence <= began or node in seen:
            continue
        seen.add(node)
        waiting += [edge[0] for edge in node.edges]
        inputs = node.inputs or ()
        if any(_keeps(s, target) for s in inputs):
            kept = kept or _copied(target)
            node.inputs = [kept if _keeps(s, target) else s for s in inputs]


def _keeps(saved: Any, target: Tensor) -> bool:
    """Whether it is what a node keeps of a tensor."""
    if type(saved) is Packed:
        return saved.source() is target
    return type(saved) is Saved and saved.tensor is target


def _copied(target: Tensor) -> Saved | Packed:
    with no_grad():
        copy = ops.contiguous(target)
    copy._node, copy._index = target._node, getattr(target, "_index", 0)
    return keep(copy)


def assign(target: Tensor, result: Any, name: str = "assignment") -> Tensor:
    """Write a result of the same shape into `target`; returns it."""
    if not same_shape(result.shape, target.shape):
        raise ShapeError(
            f"{name}: a result of shape {shape_text(result.shape)} can't be written into a tensor "
            f"of shape {shape_text(target.shape)}"
        )
    if result.dtype is not target.dtype:
        _check_cast(result.dtype, target.dtype, name)
        result = ops.cast(result, target.dtype)
    if mode.enabled and result._node is LEAF:  # the target is none: it has a place behind it
        result = ops.contiguous(result)
    crossroads.current().write(target, result)
    target._wrote()
    if mode.enabled and (result._node is not None or target._node is not None):
        _rebase(target, result)
    return target


def _check_cast(source: Any, target: Any, name: str) -> None:
    if not can_cast(source, target):
        both = promote_types(source, target)
        raise DTypeError(
            f"{name}: a {source.name} result can't be stored in a {target.name} tensor; "
            f"convert the tensor with .to({both!r}) first"
        )


def _rebase(target: Tensor, result: Any) -> None:
    """Give `target` the place of `result` on the tape; what it is a view of, accordingly."""
    base = base_of(target)
    if base is None:
        _take_place(target, result)
        return
    before = base.shadow(base._node, base._index if base._node is not None else 0)
    _take_place(base, replaced(before, moves_from(base, target), result))


def _take_place(target: Tensor, result: Any) -> None:
    target._node = result._node
    target._index = result._index if result._node is not None else 0
    target._cold_part().generation += 1


def replaced(x: Any, chain: tuple[Move, ...], new: Any) -> Any:
    """`x` with the region that `chain` leads to replaced by `new`."""
    if not chain:
        return new
    (op, params), *rest = chain
    part = follow(x, ((op, params),))
    return op.write_back(x, replaced(part, tuple(rest), new), params)
