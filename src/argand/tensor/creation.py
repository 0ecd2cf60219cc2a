"""Tensors made from data or from a formula."""

from __future__ import annotations

import operator
from typing import Any, TypedDict, Unpack

import numpy as np

from argand.base.conversion import converted
from argand.base.dim import Dim
from argand.base.dtype import (
    DType,
    as_dtype,
    bool_,
    get_default_dtype,
    int64,
    uint64,
)
from argand.base.dtype import (
    from_numpy as dtype_from_numpy,
)
from argand.base.errors import ArgumentError, ShapeError
from argand.base.layout import strided
from argand.ir import bind as crossroads
from argand.ir.op import ops
from argand.tensor.columns import library_of, table_array
from argand.tensor.core import Tensor, borrow, of_stand_in, wrap
from argand.tensor.device import check_device
from argand.tensor.meta import like_of, on_meta, to_meta, without_values
from argand.tensor.strides import dense, is_preserve, order_of

_CONTAINERS = (list, tuple, range)


def sizes(args: tuple[Any, ...], size: Any = None) -> tuple[Any, ...]:
    """A shape given as numbers, as one sequence, or by the keyword `size`."""
    if size is not None:
        if args:
            raise TypeError(f"the sizes {args} were given, and {size} by name; give them once")
        args = (size,)
    if len(args) == 1 and isinstance(args[0], list | tuple):
        args = tuple(args[0])
    return tuple(s if isinstance(s, Dim) else operator.index(s) for s in args)


class CreationOptions(TypedDict, total=False):
    """What every creating function takes beside its own arguments: the first two have a meaning,
    the others are PyTorch's and have none here."""

    device: Any
    requires_grad: bool
    layout: Any
    pin_memory: bool
    memory_format: Any
    out: None


class SizeOptions(CreationOptions, total=False):
    """Of functions whose sizes may also be given by name."""

    size: Any


def finished(t: Tensor, **options: Unpack[SizeOptions]) -> Tensor:
    """Apply the options that every creating function has; the size has been taken out."""
    if not options and not crossroads.pushed:
        return t
    for name in options.keys() - CreationOptions.__annotations__.keys():
        raise TypeError(f"unexpected argument {name!r}")
    if options.get("out") is not None:
        raise TypeError("out= is not supported; write `t.copy_(...)`")
    t = placed(t, options.get("device"))
    if options.get("layout") not in (None, strided):
        t = t.to_sparse(layout=options["layout"])
    if options.get("requires_grad"):
        t = t if t.is_leaf else t.detach()
        t.requires_grad_()
    return t


def placed(t: Tensor, device: Any) -> Tensor:
    """A tensor just made, on the device that was asked for; None: the default one."""
    if on_meta(device):
        return to_meta(t)  # type: ignore[no-any-return]
    check_device(device)
    return t


# -- from data -------------------------------------------------------------------------------------


def tensor(data: Any, *, dtype: Any = None, **options: Unpack[CreationOptions]) -> Tensor:
    """A new tensor with a copy of `data`: a number, nested lists, a NumPy array, a Tensor.

    Python floats become the default float dtype, integers int64, booleans bool; arrays and tensors
    keep their dtype, unless `dtype` is given. With `requires_grad` it is a leaf that gathers
    gradients. Raises ShapeError for lists of different lengths, ArgumentError for what isn't
    numbers. Follows `torch.tensor`.

    >>> ag.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    >>> ag.tensor([0.5, 1.5], dtype=ag.float64)
    tensor([0.5000, 1.5000], dtype=argand.float64)
    """
    data = of_stand_in(data)
    if isinstance(data, Tensor):
        wanted = _dtype_of(data, dtype)
        return finished(ops.cast(ops.contiguous(data.detach()), wanted), **options)
    if isinstance(data, Dim):
        return finished(ops.full((), data, int64 if dtype is None else as_dtype(dtype)), **options)
    return finished(_of_call(wrap(array_from(data, dtype, copy=True))), **options)


def _of_call(made: Tensor) -> Tensor:
    """A tensor just made of data; while a function is traced, one that each call makes anew."""
    return crossroads.current().made(made) if crossroads.pushed else made


def array_from(data: Any, dtype: Any = None, copy: bool = False) -> Any:
    """A NumPy array of `data`, with PyTorch's choice of dtype."""
    wanted = None if dtype is None else as_dtype(dtype)
    if isinstance(data, _CONTAINERS):
        array = _from_nested(data, wanted)
    elif isinstance(data, bool | int | float | complex) and not isinstance(data, np.generic):
        array = _python_array(np.asarray(data), wanted)
    elif library_of(data):
        array = table_array(data, wanted is not None and wanted.is_inexact)
        array = np.array(array) if copy else array
    else:
        array = np.asarray(data)
        if copy and array is data:
            array = np.array(array)
    native = array.dtype.newbyteorder("=")
    if array.dtype != native:
        array = array.astype(native)
    if wanted is not None:
        if wanted.numpy != array.dtype:
            array = _converted(array, wanted)
    else:
        dtype_from_numpy(array.dtype)
    return array


def _converted(array: Any, dtype: DType) -> Any:
    if array.dtype.kind not in "buifcV":
        dtype_from_numpy(array.dtype)
    return converted(array, dtype)


def _from_nested(data: Any, wanted: DType | None) -> Any:
    data = _without_tensors(data)
    try:
        array = np.array(data)
    except ValueError:
        raise ShapeError(
            "tensor: the nested lists have different lengths, so they make no rectangular tensor"
        ) from None
    except OverflowError:
        raise ArgumentError("tensor: an integer does not fit int64") from None
    if array.dtype.kind in "OUS":
        first = _first(data)
        raise ArgumentError(
            f"tensor: expected numbers, got {type(first).__name__} in the data; Argand has no "
            "tensors of text or objects"
        )
    if isinstance(_first(data), np.generic | np.ndarray):
        return array
    return _python_array(_of_large_integers(array, data), wanted)


def _python_array(array: Any, wanted: DType | None) -> Any:
    """Python numbers as the default dtypes; as they are where a dtype is wanted, so that they are
    rounded once."""
    kind = array.dtype.kind
    default = get_default_dtype()
    if wanted is not None and (kind != "u" or wanted.is_inexact or wanted is uint64):
        return array
    if kind == "f":
        return converted(array, default)
    if kind == "c":
        return array.astype(np.complex128 if default.name == "float64" else np.complex64)
    if kind == "u":
        raise ArgumentError("tensor: an integer does not fit int64")
    return array.astype(np.int64) if kind == "i" else array


def _of_large_integers(array: Any, data: Any) -> Any:
    """The array that NumPy made of Python's numbers; integers beyond int64 as uint64, where NumPy
    has made floats of them because there are smaller ones too."""
    if array.dtype.kind != "f" or not np.any(np.abs(array) >= _BEYOND_INT64):
        return array
    exact = np.array(data, object)
    if not all(isinstance(v, int) for v in exact.flat):
        return array
    try:
        return exact.astype(np.uint64)
    except OverflowError:
        raise ArgumentError("tensor: the integers fit neither int64 nor uint64") from None


_BEYOND_INT64 = 2.0**63


def _without_tensors(data: Any) -> Any:
    if isinstance(data, Tensor):
        return data.numpy_array() if data.ndim else data.item()
    if isinstance(data, list | tuple):
        return [_without_tensors(d) if isinstance(d, Tensor | list | tuple) else d for d in data]
    return data


def _first(data: Any) -> Any:
    while isinstance(data, _CONTAINERS) and len(data):
        data = data[0]
    return 0.0 if isinstance(data, _CONTAINERS) else data


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a tensor: itself, or on the memory of a NumPy array; only other data are copied.

    A copy is made too where `dtype` asks for another dtype. Follows `torch.as_tensor`.

    >>> a = np.zeros(2)
    >>> ag.as_tensor(a)[0] = 1.0
    >>> a
    array([1., 0.])
    """
    data = of_stand_in(data)
    if isinstance(data, Tensor):
        wanted = _dtype_of(data, dtype)
        made = data if wanted is data.dtype else ops.cast(data, wanted)
    elif isinstance(data, Dim):
        made = tensor(data, dtype=dtype)
    else:
        made = _of_call(borrow(array_from(data, dtype)))
    return made if device is None and not crossroads.pushed else placed(made, device)


def asarray(
    obj: Any, *, dtype: Any = None, copy: bool | None = None, **options: Unpack[CreationOptions]
) -> Tensor:
    """As `as_tensor`; with `copy=True` memory is never shared, as `tensor`.

    >>> ag.asarray([1, 2, 3])
    tensor([1, 2, 3])
    """
    if copy:
        return tensor(obj, dtype=dtype, **options)
    return finished(as_tensor(obj, dtype), **options)


def from_numpy(ndarray: Any) -> Tensor:
    """A tensor that shares the memory of a NumPy array: writes to either are seen by both.

    Raises TypeError for dtypes that Argand lacks (strings, dates, ...). Follows `torch.from_numpy`.

    >>> a = np.array([1.0, 2.0])
    >>> t = ag.from_numpy(a)
    >>> a[0] = 5
    >>> t
    tensor([5., 2.], dtype=argand.float64)
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"from_numpy: expected a NumPy array, got {type(ndarray).__name__}")
    dtype_from_numpy(ndarray.dtype)
    found = of_stand_in(ndarray)
    return _of_call(borrow(ndarray)) if found is ndarray else found


def frombuffer(
    buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A 1-d tensor on the memory of an object with the buffer protocol (bytes, array, mmap).

    It takes `count` elements of `dtype`, or all (-1), from byte `offset` on. Follows
    `torch.frombuffer`.

    >>> ag.frombuffer(bytearray([1, 0, 2, 0]), dtype=ag.int16)
    tensor([1, 2], dtype=argand.int16)
    """
    array = np.frombuffer(buffer, as_dtype(dtype).numpy, count, offset)
    return finished(borrow(array), requires_grad=requires_grad)


def scalar_tensor(s: Any, *, dtype: Any = None, **options: Unpack[CreationOptions]) -> Tensor:
    """A 0-d tensor of a number, of the default float dtype unless `dtype` is given.

    >>> ag.scalar_tensor(3)
    tensor(3.)
    """
    return tensor(s, dtype=get_default_dtype() if dtype is None else dtype, **options)


# -- of one value ----------------------------------------------------------------------------------


def _filled(shape: tuple[Any, ...], value: Any, dtype: Any, options: Any) -> Tensor:
    wanted = get_default_dtype() if dtype is None else as_dtype(dtype)
    if (options or crossroads.pushed) and on_meta(options.get("device")):
        return finished(without_values(lambda: ops.full(shape, value, wanted)), **options)
    return finished(ops.full(shape, value, wanted), **options)


def zeros(*shape: Any, dtype: Any = None, **options: Unpack[SizeOptions]) -> Tensor:
    """Zeros of the given shape: as numbers, as one tuple, or as `size=`; float32 unless changed.

    The default dtype is `ag.get_default_dtype()`. Follows `torch.zeros`.

    >>> ag.zeros(2, 3)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    >>> ag.zeros((2,), dtype=ag.int64)
    tensor([0, 0])
    """
    return _filled(sizes(shape, options.pop("size", None)), 0, dtype, options)


def ones(*shape: Any, dtype: Any = None, **options: Unpack[SizeOptions]) -> Tensor:
    """Ones of the given shape; the arguments are those of `zeros`.

    >>> ag.ones(2, 3)
    tensor([[1., 1., 1.],
            [1., 1., 1.]])
    """
    return _filled(sizes(shape, options.pop("size", None)), 1, dtype, options)


def empty(*shape: Any, dtype: Any = None, **options: Unpack[SizeOptions]) -> Tensor:
    """A tensor of the given shape whose contents don't matter (zeros, in fact); as `zeros`.

    >>> ag.empty(2, 3).shape
    argand.Size([2, 3])
    """
    return _filled(sizes(shape, options.pop("size", None)), 0, dtype, options)


def full(
    size: Any, fill_value: Any, *, dtype: Any = None, **options: Unpack[CreationOptions]
) -> Tensor:
    """A tensor of shape `size` filled with one value.

    Its dtype follows the value's unless given: bool, int64, the default float or complex. The value
    may be a 0-d tensor, through which gradients flow. Follows `torch.full`.

    >>> ag.full((2, 2), 7)
    tensor([[7, 7],
            [7, 7]])
    """
    shape = sizes((size,))
    if isinstance(fill_value, Tensor):
        wanted = _dtype_of(fill_value, dtype)
        out = ops.expand(fill_value, shape)
        out = ops.contiguous(out if wanted is out.dtype else ops.cast(out, wanted))
        return finished(out, **options)
    if dtype is None:
        dtype = _number_dtype(fill_value)
    return _filled(shape, fill_value, dtype, options)


def _dtype_of(data: Tensor, dtype: Any) -> DType:
    """The dtype that a tensor is copied in: the one asked for, else its own; the default one for
    what stands for a float."""
    if dtype is not None:
        return as_dtype(dtype)
    return get_default_dtype() if data.weak and data.dtype.is_floating_point else data.dtype


def _number_dtype(value: Any) -> DType:
    if isinstance(value, bool | np.bool_):
        return bool_
    if isinstance(value, int | np.integer | Dim):
        return int64
    if isinstance(value, complex):
        return as_dtype("complex128" if get_default_dtype().name == "float64" else "complex64")
    return get_default_dtype()


def full_like(
    input: Any, fill_value: Any, *, dtype: Any = None, **options: Unpack[CreationOptions]
) -> Tensor:
    """One value in the shape and dtype of `input` (or in `dtype`), stored in its order.

    >>> ag.full_like(ag.ones(2, 2), 7)
    tensor([[7., 7.],
            [7., 7.]])
    """
    dtype = input.dtype if dtype is None else dtype
    order = order_of(input) if is_preserve(options.get("memory_format")) else None
    if order is None:
        return full(tuple(input.shape), fill_value, dtype=dtype, **like_of(input, options))
    wanted = options.pop("requires_grad", False)
    sizes = tuple(input.shape[d] for d in order)
    turned = full(sizes, fill_value, dtype=dtype, **like_of(input, options))
    made: Tensor = dense(ops.permute(turned, tuple(map(order.index, range(len(order))))))
    return made.requires_grad_(wanted)


def zeros_like(input: Any, *, dtype: Any = None, **options: Unpack[CreationOptions]) -> Tensor:
    """Zeros in the shape and dtype of `input` (or in `dtype`).

    >>> ag.zeros_like(ag.tensor([1, 2]))
    tensor([0, 0])
    """
    return full_like(input, 0, dtype=dtype, **options)


def ones_like(input: Any, *, dtype: Any = None, **options: Unpack[CreationOptions]) -> Tensor:
    """Ones in the shape and dtype of `input` (or in `dtype`).

    >>> ag.ones_like(ag.tensor([1, 2]), dtype=ag.float32)
    tensor([1., 1.])
    """
    return full_like(input, 1, dtype=dtype, **options)


def empty_like(input: Any, *, dtype: Any = None, **options: Unpack[CreationOptions]) -> Tensor:
    """A tensor in the shape and dtype of `input` whose contents don't matter (zeros, in fact).

    >>> ag.empty_like(ag.ones(2, 3)).shape
    argand.Size([2, 3])
    """
    return full_like(input, 0, dtype=dtype, **options)


def new_zeros(
    self: Tensor, *shape: Any, dtype: Any = None, **options: Unpack[SizeOptions]
) -> Tensor:
    """Zeros of the given shape with the dtype of this tensor; see `zeros`.

    >>> ag.ones(2, dtype=ag.float64).new_zeros(3)
    tensor([0., 0., 0.], dtype=argand.float64)
    """
    dtype = self.dtype if dtype is None else dtype
    return zeros(*shape, dtype=dtype, **like_of(self, options))


def new_ones(
    self: Tensor, *shape: Any, dtype: Any = None, **options: Unpack[SizeOptions]
) -> Tensor:
    """Ones of the given shape with the dtype of this tensor; see `ones`.

    >>> ag.tensor([5, 6]).new_ones(3)
    tensor([1, 1, 1])
    """
    dtype = self.dtype if dtype is None else dtype
    return ones(*shape, dtype=dtype, **like_of(self, options))


def new_empty(
    self: Tensor, *shape: Any, dtype: Any = None, **options: Unpack[SizeOptions]
) -> Tensor:
    """Any contents in the given shape with the dtype of this tensor; see `empty`.

    >>> ag.tensor([5, 6]).new_empty(2, 3).dtype
    argand.int64
    """
    dtype = self.dtype if dtype is None else dtype
    return empty(*shape, dtype=dtype, **like_of(self, options))


def new_full(
    self: Tensor,
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    **options: Unpack[CreationOptions],
) -> Tensor:
    """One value in the given shape with the dtype of this tensor, whatever the value's; see `full`.

    >>> ag.ones(2).new_full((3,), 7)
    tensor([7., 7., 7.])
    """
    return full(size, fill_value, dtype=self.dtype if dtype is None else dtype, **options)


def new_tensor(
    self: Tensor, data: Any, *, dtype: Any = None, **options: Unpack[CreationOptions]
) -> Tensor:
    """A copy of `data` with the dtype of this tensor; see `tensor`.

    >>> ag.ones(2, dtype=ag.float64).new_tensor([1, 2])
    tensor([1., 2.], dtype=argand.float64)
    """
    return tensor(data, dtype=self.dtype if dtype is None else dtype, **options)
