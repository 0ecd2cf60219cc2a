"""The eager interpreter: runs an op now, on NumPy memory, and puts it on the tape."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from argand.base.conversion import number
from argand.base.dtype import DType, from_numpy
from argand.base.errors import ArgandError, AutogradError, IndexRangeError, TraceError
from argand.base.late import resolve
from argand.base.settings import settings
from argand.base.strides import common_order, is_channels_last
from argand.ir import bind as crossroads
from argand.ir import entries
from argand.ir.bind import Interpreter
from argand.ir.contract import Contract
from argand.ir.elementwise import Elementwise, operand_dtype
from argand.ir.families import Composite, Reduce, Scan, Sort, Window, array_type
from argand.ir.op import Literal, Op
from argand.tensor.core import Tensor, set_eager, wrap
from argand.tensor.meta import META, MetaArray, is_meta, refuse
from argand.tensor.strides import row_major
from argand.tensor.views import base_of, link
from argand.transform.mode import mode
from argand.transform.tape import GradientNode, Primal, record

# The families that have native kernels: called with the op, the arrays and the parameters, None
# means that there is no kernel for these.
NATIVE = (Elementwise, Reduce, Contract, Window, Composite, Scan, Sort)
# Of ops that are exact, NumPy computes all with fewer elements than this: it finds the same bits,
# and needs nothing compiled or loaded.
LARGE = 32 << 10
# So many ops of a process run the general way before calls are planned: short scripts need no LLVM.
UNPLANNED = 200
# Runs an op by the function that it is given first, as that would be called: (op, inputs, params).
Watcher = Callable[..., tuple[Any, ...]]
NativeLane = Callable[[Op, tuple[Any, ...], dict[str, Any]], tuple[Any, ...] | None]


class Eager(Interpreter):
    """The bottom interpreter."""

    def __init__(self) -> None:
        self.native: NativeLane | None = None
        self._exact: dict[Any, bool] = {}
        self.binds = 0
        self._watchers: list[Watcher] = []

    def watch(self, watcher: Watcher) -> None:
        """From here on `watcher` runs every op that runs eagerly, around those who came before."""
        self._watchers.append(watcher)
        self._chain(1)

    def unwatch(self, watcher: Watcher) -> None:
        """Leave `watcher` out again, whoever came behind it."""
        self._watchers.remove(watcher)
        self._chain(-1)

    def _chain(self, change: int) -> None:
        vars(self).pop("bind", None)
        for watcher in self._watchers:
            self.bind = functools.partial(watcher, self.bind)  # type: ignore[method-assign]  # the chain
        crossroads.watch(change)  # while there are any, no call goes by a plan

    def is_inlined(self, op: Op, inputs: tuple[Any, ...]) -> bool:
        """Whether an op's body is run and recorded in its place."""
        return isinstance(op, Composite) and not op.own_adjoint and _wants_grad(inputs)

    def has_kernels(self, op: Op) -> bool:
        """Whether an op runs in kernels where there are any for its operands."""
        return isinstance(op, NATIVE) and settings.eager_kernels

    def bind(self, op: Op, inputs: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, ...]:
        if self.is_inlined(op, inputs):
            found: tuple[Any, ...] = op.apply_body(inputs, params)  # type: ignore[attr-defined]  # a Composite
            return found if op.keeps_order else tuple(map(row_major, found))  # type: ignore[attr-defined]  # likewise
        self.binds += 1
        if self.binds == UNPLANNED:
            plan_calls()
        arrays = tuple([array_of(x) for x in inputs])
        if MetaArray in map(type, arrays):
            return META.bind(op, inputs, params)
        outputs = tuple([wrap(y) for y in self.compute(op, arrays, params)])
        if op.is_view:
            link_view(op, params, inputs[0], outputs[0])
        record(op, params, inputs, outputs)
        return outputs

    def compute(self, op: Op, arrays: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, ...]:
        """The output arrays.

        The bits of a result depend on who computes it, unless the op is exact. So an op that isn't
        goes the same way at all sizes: to its native kernel; a composite without one, to its parts;
        to NumPy where there is neither.

        What an elementwise op gives is stored in the order of its operands, as PyTorch does: it
        computes them as if that order were row-major. What a convolution or pooling gives is
        channels-last where the image is.
        """
        if keeps_channels_last(op, arrays):
            return tuple(map(_channels_last, self._compute(op, arrays, params)))
        order = kept_order(op, arrays)
        if order is None:
            return self._compute(op, arrays, params)
        found = self._compute(op, turned(arrays, order), params)
        back = np.argsort(order)
        return tuple([y.transpose(back) for y in found])

    def _compute(self, op: Op, arrays: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, ...]:
        if self.has_kernels(op):
            exact = self._is_exact(op, arrays)
            if not exact or _is_large(arrays):
                found = self._run_natively(op, arrays, params)
                if found is not None:
                    return found
            if isinstance(op, Composite) and not exact:
                with suppress(ArgandError):  # its own `run` tells better what is wrong
                    return _run_body(op, arrays, params)
        try:
            outputs = op.run(*arrays, **params)
        except (ValueError, TypeError, IndexError):
            # NumPy's message knows neither op nor shapes; the shape rule has a better one
            op.infer(*[array_type(x) for x in arrays], **params)
            raise
        found = outputs if type(outputs) is tuple else (outputs,)
        return found if op.is_view else tuple([_as_of_a_kernel(y, arrays) for y in found])

    def is_small_and_exact(self, op: Op, arrays: Sequence[Any]) -> bool:
        """Whether NumPy computes an op, though there may be a kernel."""
        return self._is_exact(op, arrays) and not _is_large(arrays)

    def _is_exact(self, op: Op, arrays: Sequence[Any]) -> bool:
        key = (op, *[x.dtype for x in arrays])
        exact = self._exact.get(key)
        if exact is None:
            exact = self._exact[key] = is_exact(op, [from_numpy(x.dtype) for x in arrays])
        return exact

    def _run_natively(
        self, op: Op, arrays: tuple[Any, ...], params: dict[str, Any]
    ) -> tuple[Any, ...] | None:
        if self.native is None:
            self.native = resolve("eager.native")
        return self.native(op, arrays, params)

    def write(self, target: Tensor, value: Tensor) -> None:
        if is_meta(target):
            return
        if is_meta(value):
            refuse()
        np.copyto(_writeable(target), value._array, casting="unsafe")

    def write_at(
        self, target: Tensor, dims: tuple[int, ...], indices: tuple[Tensor, ...], value: Tensor
    ) -> None:
        if is_meta(target):
            return
        array = _writeable(target)
        key: list[Any] = [slice(None)] * array.ndim
        for d, index in zip(dims, indices, strict=True):
            _check_range(index._array, array.shape[d], d)
            key[d] = index._array
        array[tuple(key)] = value._array

    def concrete(self, tensor: Tensor) -> Any:
        array = tensor._array
        if array is None:
            tensor._symbolic()
            raise TraceError(
                "this tensor was computed by the trace around this block, so its value is not known"
            )
        return array

    def lift(self, value: Any) -> Tensor:
        if isinstance(value, np.ndarray | list | tuple):
            return wrap(np.asarray(value))
        return super().lift(value)  # type: ignore[no-any-return]  # it raises


def kept_order(op: Op, arrays: Sequence[Any]) -> tuple[int, ...] | None:
    """The order of dimensions in which a result is stored; None where that is row-major."""
    if not isinstance(op, Elementwise):
        return None
    given = [a for a in arrays if type(a) is np.ndarray and a.ndim > 1]
    if not given or given[0].flags.c_contiguous or not given[0].size:
        return None
    return common_order(given[0].shape, *[a.strides for a in given])


def keeps_channels_last(op: Op, arrays: Sequence[Any]) -> bool:
    """Whether the result is stored channels-last, as the image is."""
    if not isinstance(op, Window) or not op.gives_image:
        return False
    return is_channels_last(arrays[0].shape, arrays[0].strides)


def _channels_last(y: Any) -> Any:
    return np.asarray(y.transpose(0, 2, 3, 1), order="C").transpose(0, 3, 1, 2)


def turned(arrays: Sequence[Any], order: tuple[int, ...]) -> tuple[Any, ...]:
    """Operands with their dimensions in another order; numbers as they are."""
    return tuple([a.transpose(order) if type(a) is np.ndarray and a.ndim else a for a in arrays])


def _as_of_a_kernel(y: Any, operands: tuple[Any, ...]) -> Any:
    """A result in memory of its own and row-major, which NumPy doesn't see to."""
    y = np.asarray(y, order="C")
    shared = any(y is x for x in operands) or (
        y.base is not None and any(np.may_share_memory(y, x) for x in operands)
    )
    return y.copy() if shared else y


def _writeable(target: Tensor) -> Any:
    array = target._array
    if not array.flags.writeable:
        raise RuntimeError("this tensor's memory is read-only; clone() it before writing")
    return array


def _check_range(index: Any, size: int, dim: int) -> None:
    if index.size and not (-size <= index.min() and index.max() < size):
        bad = index[(index < -size) | (index >= size)].flat[0]
        raise IndexRangeError(f"index {bad} is out of bounds for dimension {dim} with size {size}")


def _is_large(arrays: Sequence[Any]) -> bool:
    return any(x.size >= LARGE for x in arrays)


def is_exact(op: Op, dtypes: list[DType]) -> bool:
    """Whether NumPy and native code find the same bits."""
    if isinstance(op, Elementwise):
        return op.exact(operand_dtype(dtypes))
    return not any(d.is_inexact for d in dtypes)


def _run_body(op: Composite, arrays: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, ...]:
    """A composite op by op, unrecorded."""
    before, mode.enabled = mode.enabled, False
    try:
        outputs = op.apply_body([wrap(x) for x in arrays], params)
    finally:
        mode.enabled = before
    order: Any = None if op.keeps_order else "C"
    return tuple([np.asarray(y._array, order=order) for y in outputs])


def plan_calls() -> None:
    """Let public calls begin with their native entries."""
    if not entries.installed():
        make = resolve("eager.entries")()
        if make is not None:
            entries.install(make)


def array_of(x: Any) -> Any:
    """The NumPy array of a tensor, or the NumPy scalar of a literal."""
    if type(x) is Literal:
        return number(x.value, x.dtype)
    array = x._array
    return array if array is not None else x.numpy_array()


def link_view(op: Op, params: dict[str, Any], source: Tensor, out: Tensor) -> None:
    """Remember that `out` shares memory with `source`, when it does."""
    if not np.may_share_memory(out._array, source._array):
        return
    link(out, source, (op, params))


def _wants_grad(inputs: tuple[Any, ...]) -> bool:
    return mode.enabled and any(type(x) is not Literal and x._node is not None for x in inputs)


def _is_leaf(x: Tensor) -> bool:
    """Whether it is a leaf that wants a gradient, or in the place of one in a function of which a
    transform takes the derivative."""
    node = x._node
    if type(node) is GradientNode and type(node.op) is Primal:
        return True
    return node is not None and x.is_leaf


def check_writable(target: Tensor) -> None:
    """Refuse in-place writes that autograd can't follow."""
    if not mode.enabled:
        return
    if _is_leaf(target):
        raise AutogradError(
            "a leaf tensor that requires grad is being written in place; do it under "
            "ag.no_grad(), or use the out-of-place operation"
        )
    base = base_of(target)
    if base is not None and _is_leaf(base):
        raise AutogradError(
            "a view of a leaf tensor that requires grad is being written in place; do it under "
            "ag.no_grad(), or clone() the leaf first"
        )


set_eager(Eager())
