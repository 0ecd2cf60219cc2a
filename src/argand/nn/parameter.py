"""Parameter and Buffer: the tensors that a module registers when they are assigned to it."""

from __future__ import annotations

from typing import Any

from argand.base.errors import DTypeError, TraceError
from argand.tensor.core import Tensor
from argand.tensor.meta import twin
from argand.tensor.plans import allow
from argand.tensor.subclass import disabled
from argand.tensor.views import alias, root_of
from argand.transform.tape import LEAF


@allow
class Parameter(Tensor):
    """A leaf tensor that a module registers when it is assigned as an attribute.

    It shares the memory of `data`, as `torch.nn.Parameter`.

    >>> nn.Parameter(ag.zeros(2)).requires_grad
    True
    """

    __slots__ = ()
    __torch_function__ = staticmethod(disabled)

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Parameter:
        if not isinstance(data, Tensor):
            raise TypeError(f"a Parameter is made of a Tensor, got {type(data).__name__}")
        if requires_grad and not data.dtype.is_inexact:
            raise DTypeError(
                f"only floating-point and complex tensors can require gradients, not "
                f"{data.dtype.name}; pass requires_grad=False"
            )
        array = _memory(data)
        made: Parameter = object.__new__(cls)
        made._array = array
        made._node = LEAF if requires_grad else None
        made._index = 0
        made._view = made._cold = None
        _own_memory(made, data)
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Made in `__new__`, which subclasses may define with arguments of their own."""

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        found = memo.get(id(self))
        if found is None:
            found = type(self)(twin(self), self.requires_grad)
            memo[id(self)] = found
        return found


@allow
class Buffer(Tensor):
    """A tensor that a module registers as state that is not trained, as `torch.nn.Buffer`.

    `persistent` puts it in the state dict.

    >>> nn.Buffer(ag.zeros(2)).requires_grad
    False
    """

    __slots__ = ("persistent",)
    __torch_function__ = staticmethod(disabled)

    persistent: bool

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Buffer:
        if not isinstance(data, Tensor):
            raise TypeError(f"a Buffer is made of a Tensor, got {type(data).__name__}")
        made: Buffer = object.__new__(cls)
        made._array = _memory(data)
        made._node = None
        made._index = 0
        made._view = made._cold = None
        made.persistent = persistent
        _own_memory(made, data)
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Made in `__new__`, which subclasses may define with arguments of their own."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Buffer:
        found = memo.get(id(self))
        if found is None:
            found = type(self)(twin(self), persistent=self.persistent)
            memo[id(self)] = found
        return found


def _memory(data: Tensor) -> Any:
    """The array that a parameter or a buffer takes over."""
    try:
        return data.numpy_array()
    except TraceError:
        raise TraceError(
            "a module, Parameter or Buffer is made inside a compiled function, where tensors have "
            "no memory of their own; make it outside: what the function does to it lasts"
        ) from None


def _own_memory(made: Tensor, data: Tensor) -> None:
    """Make the parameter the owner of the memory that it shares with `data`.

    A compiled function captures memory through its owner, and the parameter outlives the tensor
    that it was made of. A view stays a view of what it looked at.
    """
    if root_of(data) is data:
        alias(data, made)
        if data._cold is not None and data._cold.shared:
            made._share()
    else:
        alias(made, data)
