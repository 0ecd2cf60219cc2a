"""`argand.overrides`: calls that a class or a mode takes over, as `torch.overrides`.

>>> class Scalar:
...     def __init__(self, value):
...         self.value = value
...     @classmethod
...     def __torch_function__(cls, func, types, args=(), kwargs=None):
...         plain = [a.value if isinstance(a, Scalar) else a for a in args]
...         return func(*plain, **(kwargs or {}))
>>> ag.add(Scalar(2.0), ag.ones(2))
tensor([3., 3.])
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FunctionType
from typing import Any

from argand import fft, linalg, special
from argand.base.naming import naming
from argand.ir import overrides
from argand.nn import functional
from argand.tensor.core import Tensor
from argand.tensor.subclass import IGNORED, default_nowrap_functions, is_open
from argand.tensor.surface import functions


class TorchFunctionMode:
    """Takes over all calls of public functions inside a `with` block, to be subclassed.

    `__torch_function__(self, func, types, args, kwargs)` is called for each, in the innermost mode
    first; calls that it makes go to the modes around it. NotImplemented passes the call on. Follows
    `torch.overrides.TorchFunctionMode`.

    >>> class Names(ag.overrides.TorchFunctionMode):
    ...     def __torch_function__(self, func, types, args=(), kwargs=None):
    ...         print(ag.overrides.resolve_name(func))
    ...         return func(*args, **(kwargs or {}))
    >>> with Names():
    ...     y = ag.ones(2) + 1
    argand.ones
    argand.Tensor.add
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no __torch_function__")

    def __enter__(self) -> TorchFunctionMode:
        overrides.enter(self)
        return self

    def __exit__(self, *exc: object) -> None:
        overrides.leave()


class BaseTorchFunctionMode(TorchFunctionMode):
    """The mode that changes nothing.

    >>> with ag.overrides.BaseTorchFunctionMode():
    ...     print(ag.ones(1))
    tensor([1.])
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether a mode, or the class of an argument, takes a call with these arguments over.

    >>> ag.overrides.has_torch_function((ag.ones(2), 3))
    False
    """
    return overrides.is_taken(relevant_args)


def has_torch_function_unary(tensor: Any) -> bool:
    """`has_torch_function` of one argument.

    >>> ag.overrides.has_torch_function_unary(ag.ones(2))
    False
    """
    return overrides.is_taken((tensor,))


def has_torch_function_variadic(*args: Any) -> bool:
    """`has_torch_function` of the arguments.

    >>> ag.overrides.has_torch_function_variadic(ag.ones(2), 3)
    False
    """
    return overrides.is_taken(args)


def handle_torch_function(
    public_api: Callable[..., Any], relevant_args: Iterable[Any], *args: Any, **kwargs: Any
) -> Any:
    """What the modes, or the first of `relevant_args` that doesn't decline, make of a call of
    `public_api`; TypeError if all return NotImplemented.

    >>> def double(x):
    ...     if ag.overrides.has_torch_function((x,)):
    ...         return ag.overrides.handle_torch_function(double, (x,), x)
    ...     return x + x
    >>> class Image(ag.Tensor):
    ...     pass
    >>> double(Image([1.0]))
    Image([2.])
    """
    return overrides.dispatch(public_api, overrides.overriding(relevant_args), args, kwargs)


def wrap_torch_function(dispatcher: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a function that classes and modes may take over. `dispatcher` gives, of its
    arguments, those whose classes count.

    >>> @ag.overrides.wrap_torch_function(lambda x: (x,))
    ... def double(x):
    ...     return x + x
    >>> double(ag.ones(1))
    tensor([2.])
    """

    def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            relevant = dispatcher(*args, **kwargs)
            if not overrides.is_taken(relevant):
                return function(*args, **kwargs)
            return handle_torch_function(call, relevant, *args, **kwargs)

        return call

    return decorated


def is_tensor_like(inp: Any) -> bool:
    """Whether it is a Tensor, or has `__torch_function__`.

    >>> ag.overrides.is_tensor_like(ag.ones(2)), ag.overrides.is_tensor_like([1.0])
    (True, False)
    """
    return isinstance(inp, Tensor) or hasattr(inp, "__torch_function__")


@contextmanager
def enable_reentrant_dispatch() -> Iterator[None]:
    """Changes nothing: calls inside `__torch_function__` are always dispatched again.

    >>> with ag.overrides.enable_reentrant_dispatch():
    ...     pass
    """
    yield


# -- which functions there are ---------------------------------------------------------------------


@functools.cache
def get_overridable_functions() -> dict[Any, list[Callable[..., Any]]]:
    """The functions that can be taken over, by the module, or Tensor, that has them.

    >>> ag.Tensor.add in ag.overrides.get_overridable_functions()[ag.Tensor]
    True
    """
    found: dict[Any, list[Callable[..., Any]]] = {
        sys.modules["argand"]: [f for f in functions.values() if _is_overridable(f)]
    }
    for module in (functional, linalg, fft, special):
        members = (getattr(module, name) for name in module.__all__)
        found[module] = [f for f in members if _is_overridable(f)]
    found[Tensor] = list(_of_tensor())
    return found


def _is_overridable(value: Any) -> bool:
    return isinstance(value, FunctionType) and getattr(value, "is_overridable", False)


def _of_tensor() -> Iterator[Callable[..., Any]]:
    for name, value in vars(Tensor).items():
        if isinstance(value, property) and is_open(name, value):
            yield value.__get__
            if value.fset is not None:
                yield value.__set__
        elif is_open(name, value):
            yield value


@functools.cache
def get_ignored_functions() -> frozenset[Callable[..., Any]]:
    """The functions of Tensor that are never taken over.

    >>> ag.Tensor.as_subclass in ag.overrides.get_ignored_functions()
    True
    """
    return frozenset(getattr(Tensor, name) for name in IGNORED if callable(getattr(Tensor, name)))


@functools.cache
def get_testing_overrides() -> dict[Callable[..., Any], Callable[..., Any]]:
    """A stand-in for each function that can be taken over: of its arguments, giving -1.

    >>> ag.overrides.get_testing_overrides()[ag.add](1, 2)
    -1
    """
    found = {}
    for several in get_overridable_functions().values():
        for function in several:
            found[function] = _stand_in(function)
    return found


def _stand_in(function: Callable[..., Any]) -> Callable[..., Any]:
    def stand_in(*args: Any, **kwargs: Any) -> int:
        return -1

    with suppress(TypeError, ValueError):  # of what has no signature
        stand_in.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]  # what inspect reads
    return stand_in


@functools.cache
def _names() -> dict[Any, str]:
    """What follows the package in the full name of each."""
    found: dict[Any, str] = {}
    for owner, several in get_overridable_functions().items():
        if owner is not Tensor:
            prefix = owner.__name__.removeprefix("argand")
            for name, value in vars(owner).items():
                if isinstance(value, FunctionType) and value in set(several):
                    found.setdefault(value, f"{prefix}.{name}")
    for name, value in vars(Tensor).items():
        if isinstance(value, property):
            for part in ("__get__", "__set__", "__delete__"):
                found[getattr(value, part)] = f".Tensor.{name}.{part}"
        elif isinstance(value, FunctionType):
            found.setdefault(value, f".Tensor.{name}")
    return found


def resolve_name(f: Callable[..., Any]) -> str | None:
    """The full name of a function that can be taken over; None for any other.

    >>> ag.overrides.resolve_name(ag.Tensor.add), ag.overrides.resolve_name(F.relu)
    ('argand.Tensor.add', 'argand.nn.functional.relu')
    >>> ag.overrides.resolve_name(ag.Tensor.shape.__get__)
    'argand.Tensor.shape.__get__'
    """
    name = _names().get(f)
    return name if name is None else f"{naming.package}{name}"


def is_tensor_method_or_property(func: Callable[..., Any]) -> bool:
    """Whether a function is a method of Tensor, or gets or sets a property of it.

    >>> ag.overrides.is_tensor_method_or_property(ag.Tensor.add)
    True
    """
    return _names().get(func, "").startswith(".Tensor.")


def get_default_nowrap_functions() -> frozenset[Any]:
    """The functions whose results `Tensor.__torch_function__` gives as they are.

    >>> ag.Tensor.grad.__get__ in ag.overrides.get_default_nowrap_functions()
    True
    """
    return default_nowrap_functions()


__all__ = [
    "BaseTorchFunctionMode",
    "TorchFunctionMode",
    "enable_reentrant_dispatch",
    "get_default_nowrap_functions",
    "get_ignored_functions",
    "get_overridable_functions",
    "get_testing_overrides",
    "handle_torch_function",
    "has_torch_function",
    "has_torch_function_unary",
    "has_torch_function_variadic",
    "is_tensor_like",
    "is_tensor_method_or_property",
    "resolve_name",
    "wrap_torch_function",
]
