"""Other dtypes, NumPy and the other array libraries, copies."""

from __future__ import annotations

import copy
import inspect
from functools import cache
from typing import Any

import numpy as np

from argand.base.conversion import plain
from argand.base.dtype import ALL, DType, as_dtype, get_default_dtype
from argand.base.dtype import from_numpy as dtype_of_numpy
from argand.base.errors import ArgumentError, AutogradError, ShapeError
from argand.base.naming import naming
from argand.ir import bind as crossroads
from argand.ir.elementwise import Elementwise
from argand.ir.op import Op, ops, registry
from argand.tensor.core import Tensor, borrow, wrap
from argand.tensor.device import check_device, cpu, is_meta_device
from argand.tensor.device import device as device_type
from argand.tensor.meta import is_meta, refuse, to_meta, twin
from argand.tensor.strides import copied, dense, is_preserve, stored
from argand.transform.mode import mode

# -- dtypes and devices ----------------------------------------------------------------------------


def to(self: Any, *args: Any, **kwargs: Any) -> Any:
    """With another dtype or on another device: ``to(dtype)``, ``to(device, dtype)``, ``to(other)``.

    The tensor itself when nothing changes, unless `copy=True`. ``memory_format=ag.channels_last``
    stores an image (N, C, H, W) as (N, H, W, C); see `contiguous`. Floats lose their fraction on
    the way to integers; gradients flow through casts of floats. The only device is "cpu":
    DeviceError for others. Follows `torch.Tensor.to`.

    >>> ag.tensor([1.5, -1.5]).to(ag.int64)
    tensor([ 1, -1])
    """
    dtype, copy = None, bool(kwargs.pop("copy", False))
    kwargs.pop("non_blocking", None)
    memory_format = kwargs.pop("memory_format", None)
    device = kwargs.pop("device", None)
    wanted = kwargs.pop("dtype", None)
    if kwargs:
        raise TypeError(f"to: unexpected argument {next(iter(kwargs))!r}")
    for value in (*args, wanted):
        if isinstance(value, Tensor):
            dtype = value.dtype
        elif is_device(value):
            device = value
        elif value is not None and not isinstance(value, bool):
            dtype = as_dtype(value)
    out = self if dtype is None else ops.cast(self, dtype)
    if device is not None:
        out = moved(out, device)
    if copy and out is self:
        return copied(out, memory_format)
    return stored(out, memory_format)


def moved(x: Any, device: Any) -> Any:
    """A tensor on a device: itself; without values on "meta", from where there is no way back."""
    if is_meta_device(device):
        return to_meta(x)
    check_device(device)
    return refuse() if is_meta(x) else x


def is_device(value: Any) -> bool:
    """Whether an argument of `to` is a device, or is to name one."""
    if isinstance(value, str):
        return not _is_dtype(value)
    return isinstance(value, device_type | int) and not isinstance(value, bool)


def _is_dtype(name: str) -> bool:
    try:
        as_dtype(name)
    except TypeError:
        return False
    return True


def type_(self: Any, dtype: Any = None, **ignored: Any) -> Any:
    """With another dtype; without one, the name of the tensor's type, as PyTorch writes it.

    A dtype may be given by that name too, or as a class such as `FloatTensor`.

    >>> ag.tensor([1.5]).type(ag.int64), ag.tensor([1.5]).type(ag.LongTensor)
    (tensor([1]), tensor([1]))
    >>> ag.tensor([1.5]).type()
    'argand.FloatTensor'
    """
    if dtype is None:
        return f"{naming.package}.{self.dtype.title}Tensor"
    if isinstance(dtype, str) and dtype.endswith("Tensor"):
        path = dtype.removesuffix("Tensor").split(".")
        check_device(path[1] if len(path) == 3 else None)
        dtype = _TITLES.get(path[-1], path[-1])
    elif isinstance(dtype, type):  # FloatTensor and its like; Tensor is the default dtype
        dtype = get_default_dtype() if dtype is Tensor else getattr(dtype, "dtype", dtype)
    return ops.cast(self, as_dtype(dtype))


_TITLES = {d.title: d for d in ALL}


def type_as(self: Any, other: Any) -> Any:
    """``self.to(other.dtype)``: with the dtype of another tensor.

    >>> ag.tensor([1, 2]).type_as(ag.ones(1))
    tensor([1., 2.])
    """
    return ops.cast(self, other.dtype)


def caster(dtype: DType, name: str) -> Any:
    """The method that converts to one dtype."""

    def convert(self: Any, memory_format: Any = None) -> Any:
        return stored(ops.cast(self, dtype), memory_format)

    convert.__name__ = convert.__qualname__ = name
    convert.__doc__ = _CAST.format(dtype.name, name)
    return convert


_CAST = """The tensor as {0}; itself when it is so already. Gradients flow through casts of floats.

To a whole number a float loses its fraction, to a bool all but 0 is true; see `to`.

>>> ag.tensor([0, 2]).{1}().dtype
argand.{0}
"""


def to_cpu(self: Any, memory_format: Any = None) -> Any:
    """The tensor itself, in the memory format that is asked for: it is on the CPU.

    >>> x = ag.ones(2)
    >>> x.cpu() is x
    True
    """
    return stored(moved(self, "cpu"), memory_format)


def to_cuda(self: Any, device: Any = None, non_blocking: bool = False) -> Any:
    """Always raises DeviceError: Argand computes on the CPU.

    >>> ag.ones(2).to("cuda" if ag.cuda.is_available() else "cpu").device
    device(type='cpu')
    """
    check_device("cuda" if device is None else device)
    raise ArgumentError(f"cuda: {device!r} is no CUDA device")


def to_xpu(self: Any, device: Any = None, non_blocking: bool = False) -> Any:
    """Always raises DeviceError: Argand computes on the CPU.

    >>> ag.ones(2).to("xpu" if ag.xpu.is_available() else "cpu").device
    device(type='cpu')
    """
    check_device("xpu" if device is None else device)
    raise ArgumentError(f"xpu: {device!r} is no XPU device")


def device_of(self: Any) -> Any:
    """Where the tensor is stored: the CPU; "meta" where it has no values.

    >>> ag.ones(2).device
    device(type='cpu')
    """
    return device_type("meta") if is_meta(self) else cpu()


# -- copies ----------------------------------------------------------------------------------------


def clone(input: Any, *, memory_format: Any = None) -> Any:
    """A copy in memory of its own, its dimensions stored in the order of those of `input`, or as
    `memory_format` (see `contiguous`) says; gradients flow through it.

    Without them: ``x.detach().clone()``. Follows `torch.clone`.

    >>> x = ag.tensor([1.0, 2.0])
    >>> y = x.clone()
    >>> y[0] = 5.0
    >>> x
    tensor([1., 2.])
    """
    return dense(input) if is_preserve(memory_format) else copied(input, memory_format)


def deepcopy(self: Any, memo: dict[int, Any]) -> Any:
    """A copy for `copy.deepcopy`: of a leaf, with its gradient."""
    if id(self) in memo:
        return memo[id(self)]
    if not self.is_leaf:
        raise AutogradError(
            "only leaves can be deep-copied; detach() the tensor first, or use clone()"
        )
    made = _same_kind(self, twin(self))
    memo[id(self)] = made
    if self.grad is not None:
        made.grad = twin(self.grad)
    for name, value in self.__dict__.items():
        made.__dict__[name] = copy.deepcopy(value, memo)
    return made


def _same_kind(original: Any, made: Any) -> Any:
    """A tensor of the class of `original` on the memory of `made`."""
    if type(original) is not Tensor:
        twin = object.__new__(type(original))
        twin._array, twin._node, twin._index = made._array, None, 0
        twin._view, twin._cold = made._view, made._cold
        made = twin
    if original._node is not None:
        made.requires_grad_()
    return made


def rebuild(kind: type, array: Any, requires_grad: bool, attributes: dict[str, Any]) -> Any:
    """A tensor from what `__reduce__` gave."""
    made: Any = object.__new__(kind)
    made._array, made._node, made._index = array, None, 0
    made._view = made._cold = None
    made.__dict__.update(attributes)
    return made.requires_grad_() if requires_grad else made


def reduced(self: Any) -> Any:
    """How a tensor travels to another process: its array, and whether it wants gradients."""
    if not self.is_leaf:
        raise AutogradError("only leaves can be sent to another process; detach() the tensor first")
    return rebuild, (type(self), self.numpy_array(), self.requires_grad, dict(self.__dict__))


def bytes_as(x: Any, dtype: Any) -> Any:
    """The same memory read as another dtype."""
    wanted = as_dtype(dtype)
    if wanted.itemsize != x.dtype.itemsize and (not x.ndim or not x._array.flags.c_contiguous):
        raise ShapeError(
            f"view: {x.dtype.name} can be read as {wanted.name} only in contiguous memory of at "
            "least one dimension"
        )
    try:
        array = x.numpy_array().view(wanted.numpy)
    except ValueError:
        raise ShapeError(
            f"view: the last dimension of {tuple(x.shape)} does not divide into {wanted.name}"
        ) from None
    return wrap(array)


# -- NumPy -----------------------------------------------------------------------------------------


def numpy(self: Any, *, force: bool = False) -> Any:
    """The elements as a NumPy array on the same memory: writes to either are seen by both.

    bfloat16 is the dtype of the package ml_dtypes. Raises RuntimeError when the tensor requires
    grad, unless gradients are off (`no_grad`) or `force=True`. Follows `torch.Tensor.numpy`.

    >>> ag.tensor([1.0, 2.0]).numpy()
    array([1., 2.], dtype=float32)
    """
    if self._node is not None and not force and mode.enabled:
        raise AutogradError(
            "numpy() of a tensor that requires grad would cut it off from autograd unnoticed; call "
            "detach().numpy()"
        )
    if is_meta(self):
        refuse()
    self._share()
    return self.numpy_array()


def array_protocol(self: Any, dtype: Any = None, copy: bool | None = None) -> Any:
    """What `numpy.asarray(tensor)` gives."""
    array = numpy(self)
    if dtype is not None and array.dtype != dtype:
        if copy is False:
            raise ValueError(f"a copy is needed to convert {array.dtype} to {dtype}")
        return array.astype(dtype)
    return np.array(array) if copy else array


def array_ufunc(self: Any, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """NumPy's functions on tensors: ``np.sin(t)`` is a Tensor, as PyTorch gives.

    ``array * t`` and ``np.float64(2) * t`` arrive here too. Where there is an op for the function,
    the op takes it, so that the result doesn't depend on whether `t` wants a gradient or is traced.
    """
    if method == "__call__" and not kwargs:
        op = _ops_by_ufunc().get(ufunc)
        if op is not None:
            return op(*inputs)
    out = kwargs.pop("out", None)
    arrays = [_numpy_of(x) for x in inputs]
    if out is not None:
        arrays_out = tuple(_numpy_of(o) for o in out)
        getattr(ufunc, method)(*arrays, out=arrays_out, **kwargs)
        for o in out:
            if isinstance(o, Tensor):
                o._wrote()
        return out[0] if len(out) == 1 else out
    result = getattr(ufunc, method)(*arrays, **kwargs)
    if isinstance(result, tuple):
        return tuple(_tensor_of(r) for r in result)
    return _tensor_of(result)


@cache
def _ops_by_ufunc() -> dict[Any, Op]:
    """The elementwise ops by the NumPy function that they are."""
    found: dict[Any, Op] = {np.matmul: registry.get("matmul")}
    for name in registry:
        op = registry.get(name)
        if isinstance(op, Elementwise) and (ufunc := type(op).ufunc) is not None:
            found[inspect.unwrap(ufunc)] = op
    return found


def _numpy_of(x: Any) -> Any:
    return numpy(x) if isinstance(x, Tensor) else x


def _tensor_of(x: Any) -> Any:
    if not isinstance(x, np.ndarray | np.generic):
        return x
    array = np.asarray(x)
    try:
        dtype_of_numpy(array.dtype)
    except TypeError:
        return x
    return wrap(array)


def tolist(self: Any) -> Any:
    """The elements as nested lists of Python numbers; of a 0-d tensor, the number.

    >>> ag.tensor([[1, 2], [3, 4]]).tolist(), ag.tensor(2.5).tolist()
    ([[1, 2], [3, 4]], 2.5)
    """
    return plain(self.numpy_array()).tolist()


def iterate(self: Any) -> Any:
    """The slices along the first dimension."""
    if not self.ndim:
        raise TypeError("iteration over a 0-d tensor")
    return (self[i] for i in range(len(self)))


def contains(self: Any, element: Any) -> bool:
    """Whether an element equals a number or 0-d tensor."""
    return bool(ops.any(ops.eq(self, element)))


# -- dlpack ----------------------------------------------------------------------------------------


def dlpack(
    self: Any,
    *,
    stream: Any = None,
    max_version: tuple[int, int] | None = None,
    dl_device: Any = None,
    copy: bool | None = None,
) -> Any:
    """The tensor for another array library, without a copy unless `copy`."""
    array = numpy(self)
    if not array.flags.writeable:
        array = array.copy()
    given = {"max_version": max_version, "dl_device": dl_device, "copy": copy}
    return array.__dlpack__(**{name: v for name, v in given.items() if v is not None})


def dlpack_device(self: Any) -> Any:
    """The device in dlpack's terms: the CPU."""
    return (1, 0)


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor on the memory of another library's array, which has ``__dlpack__``; no copy is made
    unless `copy`.

    Raises ArgumentError for one that isn't in the CPU's memory. Follows `torch.from_dlpack`.

    >>> ag.from_dlpack(np.arange(3))
    tensor([0, 1, 2])
    """
    check_device(device)
    if isinstance(ext_tensor, Tensor):
        return ext_tensor.detach().clone() if copy else ext_tensor.detach()
    if hasattr(ext_tensor, "__dlpack_device__") and ext_tensor.__dlpack_device__()[0] != 1:
        raise ArgumentError(
            "from_dlpack: the object is not in the CPU's memory; move it there first"
        )
    found = borrow(np.from_dlpack(ext_tensor))
    return clone(found) if copy else found


# -- memory ----------------------------------------------------------------------------------------


def data_ptr(self: Any) -> int:
    """The address in memory of the first element.

    >>> x = ag.arange(4)
    >>> x[2:].data_ptr() - x.data_ptr()
    16
    """
    if is_meta(self):
        return 0
    self._share()
    return int(self.numpy_array().ctypes.data)


def element_size(self: Any) -> int:
    """The bytes of one element, as `itemsize`.

    >>> ag.ones(2, dtype=ag.float64).element_size()
    8
    """
    return int(self.dtype.itemsize)


def nbytes(self: Any) -> Any:
    """The bytes of all elements: numel() * itemsize.

    >>> ag.ones(2, 3).nbytes
    24
    """
    return self.shape.numel() * self.dtype.itemsize


def get_device(self: Any) -> int:
    """-1, as for every tensor on the CPU in PyTorch.

    >>> ag.ones(2).get_device()
    -1
    """
    return -1


def storage_offset(self: Any) -> int:
    """Where the first element is in the memory of the tensor that owns it, in elements.

    >>> ag.arange(6)[2:].storage_offset()
    2
    """
    if crossroads.tracing():
        return crossroads.current().offset_of(self)
    root = self._root()
    return (data_ptr(self) - data_ptr(root)) // int(self.dtype.itemsize)


def itemsize(self: Any) -> int:
    """The bytes of one element.

    >>> ag.ones(2).itemsize
    4
    """
    return int(self.dtype.itemsize)


def detach_(self: Any) -> Any:
    """Cut the tensor off from its history, in place: it becomes a leaf that wants no gradient.

    >>> x = ag.ones(2, requires_grad=True) * 2
    >>> x.detach_().requires_grad
    False
    """
    self._node = None
    return self


def pin_memory(self: Any) -> Any:
    """The tensor itself: there is no other device to copy to.

    >>> x = ag.ones(2)
    >>> x.pin_memory() is x
    True
    """
    return self


def real(input: Any) -> Any:
    """The real part of each element; of a real dtype the tensor itself.

    Of a complex one a view of its memory.

    >>> ag.real(ag.tensor([1 + 2j]))
    tensor([1.])
    """
    return ops.real(input) if input.dtype.is_complex else input


def imag(input: Any) -> Any:
    """The imaginary part of each element: a view of its memory.

    Raises TypeError for real dtypes.

    >>> ag.imag(ag.tensor([1 + 2j]))
    tensor([2.])
    """
    if not input.dtype.is_complex:
        raise TypeError(f"imag: not defined for {input.dtype.name}")
    return ops.imag(input)


def typename(obj: Any) -> str:
    """The name of an object's type with its module; of a tensor, that of its dtype too.

    >>> ag.typename(ag.ones(1)), ag.typename([])
    ('argand.FloatTensor', 'list')
    """
    if isinstance(obj, Tensor):
        return str(obj.type())
    kind = obj if hasattr(obj, "__qualname__") else type(obj)
    module = getattr(kind, "__module__", None) or ""
    where = "" if module in ("", "builtins", "__builtin__") else f"{module}."
    return f"{where}{kind.__qualname__}"


def is_tensor(obj: Any) -> bool:
    """Whether an object is a Tensor.

    >>> ag.is_tensor(ag.ones(1)), ag.is_tensor(np.ones(1))
    (True, False)
    """
    return isinstance(obj, Tensor)
