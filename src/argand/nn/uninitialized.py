"""Parameters and buffers of lazy layers, which have no shape before the first input."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from argand.base.dtype import as_dtype, get_default_dtype
from argand.nn.parameter import Buffer, Parameter
from argand.tensor.core import Tensor, wrap
from argand.tensor.device import check_device
from argand.tensor.subclass import disabled


class _Uninitialized(Tensor):
    """What both share: a dtype, and no shape."""

    __slots__ = ()
    __torch_function__ = staticmethod(disabled)

    @property
    def shape(self) -> NoReturn:
        """An error: there is no shape yet."""
        raise RuntimeError(
            "a parameter or buffer of a lazy layer has no shape before the layer has seen an "
            "input: call the model on an example first"
        )

    def convert(self, function: Any) -> None:
        """Take the dtype that a function gives tensors."""
        self._array = function(wrap(np.empty(0, self.dtype.numpy))).numpy_array()

    def _fill(self, shape: Any, dtype: Any, cls: Any) -> None:
        wanted = self.dtype if dtype is None else as_dtype(dtype)
        self.__class__ = cls
        self.data = wrap(np.empty(tuple(shape), wanted.numpy))


def _nothing(device: Any, dtype: Any) -> Tensor:
    check_device(device)
    wanted = get_default_dtype() if dtype is None else as_dtype(dtype)
    return wrap(np.empty(0, wanted.numpy))


class UninitializedParameter(_Uninitialized, Parameter):
    """A Parameter without a shape; `materialize` gives it one, and it is a `Parameter` then.

    >>> p = nn.UninitializedParameter()
    >>> p.materialize((2, 3))
    >>> type(p) is nn.Parameter, p.shape
    (True, argand.Size([2, 3]))
    """

    __slots__ = ()

    cls_to_become = Parameter

    def __new__(
        cls, requires_grad: bool = True, device: Any = None, dtype: Any = None
    ) -> UninitializedParameter:
        return super().__new__(cls, _nothing(device, dtype), requires_grad)  # type: ignore[return-value]  # of cls

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        """Made in `__new__`."""

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Give it memory, whose values aren't set."""
        check_device(device)
        self._fill(shape, dtype, Parameter)

    def __repr__(self) -> str:
        return "<UninitializedParameter>"

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.requires_grad, dtype=self.dtype)
        return memo[id(self)]


class UninitializedBuffer(_Uninitialized, Buffer):
    """A Buffer without a shape; `materialize` gives it one, and it is a `Buffer` then.

    >>> b = nn.UninitializedBuffer(dtype=ag.float64)
    >>> b.materialize((2,))
    >>> b.dtype, b.shape
    (argand.float64, argand.Size([2]))
    """

    __slots__ = ()

    cls_to_become = Buffer

    def __new__(
        cls,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> UninitializedBuffer:
        made = super().__new__(cls, _nothing(device, dtype), persistent=persistent)
        made.requires_grad = requires_grad
        return made  # type: ignore[return-value]  # of cls

    def __init__(
        self,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> None:
        """Made in `__new__`."""

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Give it memory, whose values aren't set."""
        check_device(device)
        self._fill(shape, dtype, Buffer)

    def __repr__(self) -> str:
        return "<UninitializedBuffer>"

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            memo[id(self)] = type(self)(dtype=self.dtype, persistent=self.persistent)
        return memo[id(self)]


def is_lazy(x: Any) -> bool:
    """Whether a tensor waits for its shape."""
    return isinstance(x, _Uninitialized)
