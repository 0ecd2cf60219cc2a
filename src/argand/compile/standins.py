"""What replaces NumPy arrays and iterators behind a function while it is traced.

The stand-in of an array sees what is done with it. An operation on tensors takes the array's memory
as an input of the program, so that every call finds what is there then. NumPy and Python can only
read the numbers of this moment: then the program is for these numbers, which every call compares,
or is refused where that would cost too much.

C code holds how far an iterator has come. A program can't advance one, so every call would get the
item of the trace: the stand-in of an iterator refuses to be advanced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np

from argand.base.errors import TraceError
from argand.base.userstack import user_location
from argand.compile.guards import MOST_BYTES
from argand.tensor.core import Tensor, borrow


class ArrayStandIn:
    """Replaces a NumPy array while a function is traced; it passes for one."""

    def __init__(self, array: Any, name: str, is_read: Callable[[Any, str], None]) -> None:
        self.__dict__.update(_array=array, _name=name, _is_read=is_read, _tensor=None)

    @property  # type: ignore[misc]  # it passes for an array
    def __class__(self) -> type:
        return np.ndarray

    def traced_tensor(self) -> Tensor:
        """A tensor on the array's memory."""
        space = self.__dict__
        if space["_tensor"] is None:
            space["_tensor"] = borrow(space["_array"])
        found: Tensor = space["_tensor"]
        return found

    def array(self) -> Any:
        """The array itself, for who stores it."""
        return self.__dict__["_array"]

    def _read(self) -> Any:
        """The array itself, for who looks at its numbers."""
        space = self.__dict__
        space["_is_read"](space["_array"], space["_name"])
        return space["_array"]

    def _part(self, found: Any) -> Any:
        """A view as a stand-in of its own."""
        space = self.__dict__
        if type(found) is np.ndarray and np.may_share_memory(found, space["_array"]):
            return ArrayStandIn(found, space["_name"], space["_is_read"])
        self._read()
        return found

    def __getattr__(self, name: str) -> Any:
        array = self.__dict__["_array"]
        if name in _KNOWN:
            return getattr(array, name)
        if name in ("T", "mT", "real", "imag"):
            return self._part(getattr(array, name))
        if name in _VIEWS:
            return lambda *args, **kwargs: self._part(getattr(array, name)(*args, **kwargs))
        return getattr(self._read(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._read(), name, value)

    def __getitem__(self, index: Any) -> Any:
        return self._part(self.__dict__["_array"][index])

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TraceError(
            f"the NumPy array {self.__dict__['_name']} is written at {user_location(2)}, inside a "
            "compiled function, whose calls would not do it; write a tensor of its memory, made "
            "outside by ag.from_numpy"
        )

    def __len__(self) -> int:
        return len(self.__dict__["_array"])

    def __iter__(self) -> Any:
        return iter([self[i] for i in range(len(self))])

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return np.asarray(self._read(), *args)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return getattr(ufunc, method)(*map(_plain, inputs), **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return function(*map(_plain, args), **{k: _plain(v) for k, v in kwargs.items()})


# What the identity of an array decides.
_KNOWN = frozenset(
    (
        *("dtype", "shape", "ndim", "size", "itemsize", "nbytes", "strides", "flags"),
        "__array_priority__",
    )
)
_VIEWS = frozenset(("reshape", "transpose", "view", "ravel", "squeeze", "swapaxes", "diagonal"))


def _plain(x: Any) -> Any:
    if type(x) is ArrayStandIn:
        return x._read()
    return [_plain(v) for v in x] if isinstance(x, list | tuple) else x


def _unary(name: str) -> Callable[[Any], Any]:
    return lambda self: getattr(self._read(), name)()


def _binary(name: str) -> Callable[[Any, Any], Any]:
    def operator(self: Any, other: Any) -> Any:
        if isinstance(other, Tensor):
            return NotImplemented  # the tensor's operator takes the memory as an input
        return getattr(self._read(), name)(_plain(other))

    return operator


_UNARY = ("float", "int", "complex", "bool", "index", "neg", "pos", "abs", "invert", "repr", "str")
_ARITHMETIC = (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor"),
    *("lshift", "rshift", "divmod"),
)
_REFLECTED = tuple(f"r{name}" for name in _ARITHMETIC)
_COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge", "contains")
for _name in _UNARY:
    setattr(ArrayStandIn, f"__{_name}__", _unary(f"__{_name}__"))
for _name in (*_ARITHMETIC, *_REFLECTED, *_COMPARISONS):
    setattr(ArrayStandIn, f"__{_name}__", _binary(f"__{_name}__"))
ArrayStandIn.__hash__ = None  # type: ignore[assignment]  # as that of an array


def check_size(array: Any, name: str) -> None:
    """Refuse to hold the numbers of a large array against those of every call."""
    if array.nbytes > MOST_BYTES:
        raise TraceError(
            f"the NumPy array {name} ({array.nbytes} bytes) is read by Python or NumPy at "
            f"{user_location(3)}, inside a compiled function, which would keep the numbers of this "
            "moment; make a tensor of it outside by ag.from_numpy and compute with that, or pass "
            "the array as an argument"
        )


_MODULES = ("builtins", "itertools")


def is_iterator(value: Any) -> bool:
    """Whether a value is a generator or an iterator of Python's own, such as `iter([1, 2])`."""
    return type(value).__module__ in _MODULES and isinstance(value, Iterator)


class IteratorStandIn:
    """Replaces an iterator while a function is traced."""

    def __init__(self, name: str, iterator: Any) -> None:
        self._name = name
        self.iterator = iterator

    def __iter__(self) -> IteratorStandIn:
        return self

    def __next__(self) -> NoReturn:
        self._refuse()

    def send(self, value: Any) -> NoReturn:
        """Refuse to go on."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise TraceError(
            f"the iterator {self._name} is advanced at {user_location(3)}, inside a compiled "
            "function, whose calls would not do it; call next() outside and pass what it gives, or "
            "keep a list and a position"
        )
