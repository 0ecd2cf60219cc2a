"""Tensors of the device "meta": sizes, strides and a dtype, without values.

The array of one is a `MetaArray`, on memory that is reserved and never touched, so strides and
views are as ever. Ops of such tensors, and functions that make one, are interpreted by `Meta`: it
asks ops for their shape rules and computes nothing. Native code takes exact NumPy arrays only, so
calls of meta tensors always come to Python.
"""

from __future__ import annotations

import functools
import math
import mmap
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import numpy as np

from argand.base.errors import ArgandError
from argand.base.shape import stored_order
from argand.ir import bind as crossroads
from argand.ir.bind import Interpreter
from argand.ir.families import array_type
from argand.ir.op import Literal, Op
from argand.tensor.core import Tensor, wrap
from argand.tensor.device import default_device, is_meta_device
from argand.tensor.views import link
from argand.transform.tape import record

F = TypeVar("F", bound=Callable[..., Any])

# What NumPy may be asked of such an array: nothing of it reads elements.
_HARMLESS = frozenset((np.may_share_memory, np.shares_memory, np.shape, np.ndim, np.size))


# Private pages that count for nothing until they are written; the last flag has no name in 3.11.
_UNBACKED = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)


class NoDataError(ArgandError, NotImplementedError, RuntimeError):
    """The values of a tensor of the device "meta" were asked for."""


def refuse(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise NoDataError."""
    raise NoDataError(
        "Cannot copy out of meta tensor; no data! A tensor of the device 'meta' has a shape and a "
        "dtype only; make one on the CPU of it: ag.empty_like(x, device='cpu'), or of a module: "
        "module.to_empty(device='cpu')"
    )


class MetaArray(np.ndarray[Any, Any]):
    """An array whose elements can't be read or written."""

    def __array_ufunc__(self, *args: Any, **kwargs: Any) -> Any:
        refuse()

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func not in _HARMLESS:
            refuse()
        return super().__array_function__(func, types, args, kwargs)

    def copy(self, order: Any = "C") -> MetaArray:
        """Another one."""
        return reserved(self.shape, self.dtype)

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> MetaArray:
        """One with another dtype."""
        return reserved(self.shape, np.dtype(dtype))

    __setitem__ = __bool__ = __float__ = __int__ = __complex__ = __index__ = __iter__ = refuse
    item = tolist = tobytes = tofile = fill = dump = dumps = __reduce__ = refuse


def reserved(shape: tuple[int, ...], dtype: np.dtype[Any]) -> MetaArray:
    """A row-major array on addresses that no memory stands behind."""
    size = math.prod(shape) * dtype.itemsize
    memory = mmap.mmap(-1, max(size, 1), flags=_UNBACKED)
    return np.ndarray(shape, dtype, memory).view(MetaArray)


def valueless(array: MetaArray) -> Tensor:
    """A tensor of such an array."""
    made = wrap(array.view(np.ndarray))
    made._array = array
    return made


def is_meta(x: Any) -> bool:
    """Whether a value is a tensor without elements."""
    return isinstance(x, Tensor) and type(x._array) is MetaArray


def check_has_values(x: Tensor) -> None:
    """Refuse a tensor without elements."""
    if type(x._array) is MetaArray:
        refuse()


def stored_array(x: Tensor) -> Any:
    """The array of a tensor that isn't traced; NoDataError where it has no elements."""
    check_has_values(x)
    return x._array


def values(x: Tensor) -> Any:
    """The array of a tensor, to be read; NoDataError where it has no elements."""
    check_has_values(x)
    return x.numpy_array()


def twin(x: Any) -> Tensor:
    """A tensor of its own with the same values, or without any."""
    return valueless(x._array.copy()) if is_meta(x) else wrap(np.array(x.numpy_array()))


class Meta(Interpreter):
    """Gives tensors without values; nothing is drawn or written."""

    def bind(self, op: Op, inputs: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, ...]:
        if op.is_view:
            array = inputs[0]._array
            outputs: tuple[Any, ...] = (valueless(_view(op, array, params)),)
            if np.may_share_memory(outputs[0]._array, array):
                link(outputs[0], inputs[0], (op, params))
        else:
            types: list[Any] = [x if type(x) is Literal else array_type(x._array) for x in inputs]
            found: Any = op.infer(*types, **params)
            outputs = tuple([valueless(reserved(t.shape, t.dtype.numpy)) for t in found])
        record(op, params, inputs, outputs)
        return outputs

    def write(self, target: Any, value: Any) -> None:
        """Nothing: there is no memory, or it isn't known what would stand there."""

    def write_at(self, target: Any, dims: tuple[int, ...], indices: Any, value: Any) -> None:
        """Nothing, as `write`."""

    def made(self, tensor: Any) -> Any:
        return to_meta(tensor)

    def concrete(self, tensor: Any) -> Any:
        return tensor._array

    def lift(self, value: Any) -> Any:
        return wrap(np.asarray(value))


META = Meta()


def _view(op: Op, array: Any, params: dict[str, Any]) -> MetaArray:
    found: Any = op.run(array.view(np.ndarray), **params)  # NumPy's views touch no element
    return found.view(MetaArray)  # type: ignore[no-any-return]


def on_meta(device: Any) -> bool:
    """Whether what is made for a device, None for the default one, is without values."""
    return is_meta_device(default_device() if device is None else device)


def like_of(x: Any, options: Any) -> Any:
    """The options of a function that makes a tensor like `x`: on its device, unless it is given."""
    if not crossroads.pushed and type(x._array) is not MetaArray:
        return options
    return {"device": "meta" if is_meta(x) else "cpu"} | {
        name: value for name, value in options.items() if name != "device" or value is not None
    }


def to_meta(x: Any) -> Any:
    """A tensor of the shape, strides and dtype of another, without values; itself if it is so."""
    if is_meta(x):
        return x
    order = stored_order(x._array.strides)
    stored = reserved(tuple(x.shape[d] for d in order), x._array.dtype).view(np.ndarray)
    return valueless(stored.transpose(np.argsort(order)).view(MetaArray))


def without_values(make: Callable[[], Any]) -> Any:
    """What a function makes, without values."""
    with crossroads.interpreting(META):
        return make()


def meta_aware(function: F) -> F:
    """A function that computes nothing, and draws no random number, where its first argument is a
    meta tensor (or a list of them), or the device "meta" is asked for."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if _is_of_meta(args, kwargs):
            return without_values(lambda: function(*args, **kwargs))
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]  # it takes and gives what `function` does


def _is_of_meta(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    device = kwargs.get("device")
    if device is not None:
        return is_meta_device(device)
    first = args[0] if args else next(iter(kwargs.values()), None)
    if isinstance(first, list | tuple) and first:
        first = first[0]
    if isinstance(first, Tensor):
        return type(first._array) is MetaArray
    return bool(crossroads.pushed) and is_meta_device(default_device())
