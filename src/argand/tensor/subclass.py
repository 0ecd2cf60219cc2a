"""Subclasses of Tensor: how they are made, and what operations on them give.

A subclass that takes calls over (`ir/overrides`) has `Overridable` between itself and Tensor: what
Tensor's properties, and the methods that don't look at their arguments themselves, go through. So
these cost plain tensors nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any

from argand.base.errors import TraceError
from argand.base.misuse import explained
from argand.base.naming import published
from argand.base.tree import flatten, is_composed
from argand.base.userstack import register_passing
from argand.ir import bind as crossroads
from argand.ir import overrides
from argand.ir.op import registry
from argand.tensor.core import Size, Tensor

disabled = overrides.disabled
_new: Callable[[type], Any] = object.__new__
_SLOTS = ("_array", "_node", "_index", "_view", "_cold")


def as_subclass(self: Any, cls: type) -> Any:
    """The same elements as a tensor of `cls`, a subclass of Tensor, or Tensor itself.

    It shares the memory, and gradients flow through it. Raises TypeError for another class. Follows
    `torch.Tensor.as_subclass`.

    >>> class Image(ag.Tensor):
    ...     pass
    >>> ag.ones(2).as_subclass(Image) * 2
    Image([2., 2.])
    """
    _check(cls)
    with overrides.without_any():
        dims = tuple(range(self.ndim))
        (twin,) = crossroads.bind(registry.get("permute"), (self,), {"dims": dims})
    return as_class(twin, cls)


def make_subclass(cls: type, data: Any, require_grad: bool = False) -> Any:
    """A leaf of a subclass on the memory of `data`; see `torch.Tensor._make_subclass`."""
    _check(cls)
    with overrides.without_any():
        return as_class(data.detach(), cls).requires_grad_(require_grad)


def _check(cls: Any) -> None:
    if not isinstance(cls, type) or not issubclass(cls, Tensor):
        raise TypeError(f"expected a subclass of Tensor, got {cls!r}")
    if crossroads.tracing() and overrides.takes_over(cls):
        raise TraceError(
            f"a {cls.__name__} is made inside a compiled function, which gives plain tensors; make "
            "it of what the function returns: y.as_subclass(...)"
        )


def as_class(made: Any, cls: type) -> Any:
    """A tensor that nobody else has, as one of a class."""
    if type(made) is cls:
        return made
    try:
        made.__class__ = cls
    except TypeError:  # the class has slots of its own
        twin = _new(cls)
        for name in _SLOTS:
            setattr(twin, name, getattr(made, name, None))
        return twin
    return made


def plainly(func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """What a call gives that no class of an argument takes over."""
    with overrides.without_classes():
        return func(*args, **kwargs)


# -- calls with tensors of a subclass --------------------------------------------------------------


def called(cls: type, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """What a subclass makes of a call with one of its tensors: the same, in that subclass.

    Results that are tensors become ones of the subclass; NotImplemented where another class of
    `types` is no base of this one. To be overridden, and called by `super()`. Follows
    `torch.Tensor.__torch_function__`.

    >>> class Logged(ag.Tensor):
    ...     @classmethod
    ...     def __torch_function__(cls, func, types, args=(), kwargs=None):
    ...         if func is not ag.Tensor.__repr__:
    ...             print(func.__name__)
    ...         return super().__torch_function__(func, types, args, kwargs)
    >>> Logged([1.0, 2.0]) * 3
    mul
    Logged([3., 6.])
    """
    if not all(issubclass(cls, kind) for kind in types):
        return NotImplemented
    kwargs = kwargs or {}
    with overrides.without_classes():
        found = func(*args, **kwargs)
    if func in default_nowrap_functions():
        return found
    return _converted(found, cls, {id(x) for x in flatten((args, kwargs))[0]})


@functools.cache
def default_nowrap_functions() -> frozenset[Any]:
    """What gives the tensors that there are, whatever their class."""
    return frozenset((Tensor.__dict__["grad"].__get__,))


def _converted(found: Any, cls: type, given: set[int]) -> Any:
    """A result, and tensors in it, in a class; those that were `given` stay what they are."""
    if cls is Tensor:
        return found
    if isinstance(found, Tensor):
        if isinstance(found, cls):
            return found
        return as_subclass(found, cls) if id(found) in given else as_class(found, cls)
    if isinstance(found, tuple | list) and not isinstance(found, Size):
        parts = [_converted(x, cls, given) for x in found]
        make = getattr(found, "_make", type(found))
        return make(parts)
    return found


class Overridable(Tensor):
    """Tensor's properties and methods for classes that take calls over; see the module."""

    __slots__ = ()


def make_overridable(cls: type) -> None:
    """Let the properties of a new class be taken over."""
    if Overridable not in cls.__mro__:
        bases = [Overridable if b is Tensor else b for b in cls.__bases__]
        cls.__bases__ = tuple(bases if Overridable in bases else [*bases, Overridable])


def _init_subclass(cls: Any, /, **options: Any) -> None:
    super(Tensor, cls).__init_subclass__(**options)
    if overrides.takes_over(cls):
        if not is_composed(cls):  # the tape never meets one
            overrides.note_tensor_class()
        make_overridable(cls)


def _property(known: property) -> property:
    def opened(slot: Any) -> Any:
        def access(*args: Any) -> Any:
            found = overrides.taken(slot, args, {})
            return slot(*args) if found is overrides.UNTAKEN else found

        register_passing(access)
        return access

    return property(
        opened(known.__get__),
        opened(known.__set__) if known.fset else None,
        opened(known.__delete__) if known.fdel else None,
        known.__doc__,
    )


def _method(known: Any) -> Any:
    @functools.wraps(known)
    def call(*args: Any, **kwargs: Any) -> Any:
        found = overrides.taken(known, args, kwargs)
        return known(*args, **kwargs) if found is overrides.UNTAKEN else found

    register_passing(call)
    return call


# What is never taken over: PyTorch's overrides leave it alone too, or it calls what is.
IGNORED = frozenset(
    [
        "__new__",
        "__init__",
        "__init_subclass__",
        "__getattr__",
        "__hash__",
        "__array_ufunc__",
        "__array_priority__",
        "__iter__",
        "__reduce__",
        "as_subclass",
        "numpy_array",
        "shadow",
        "apply_",
        "__array_namespace__",
        "__dlpack__",
        "__dlpack_device__",
    ]
)


def is_open(name: str, value: Any) -> bool:
    """Whether an attribute of Tensor is one that overrides see."""
    special = name.startswith("__") and name.endswith("__")
    if name in IGNORED or (name.startswith("_") and not special):
        return False
    return isinstance(value, property | FunctionType)


def install() -> None:
    """Give Tensor what makes subclasses, and `Overridable` its properties and methods."""
    members: dict[str, Any] = {
        "__torch_function__": classmethod(called),
        "__init_subclass__": classmethod(_init_subclass),
        "as_subclass": explained(as_subclass),
        "_make_subclass": staticmethod(make_subclass),
    }
    for name, value in vars(Tensor).items():
        if is_open(name, value) and not getattr(value, "is_overridable", False):
            made = _property(value) if isinstance(value, property) else _method(value)
            setattr(Overridable, name, made)
    for name, value in members.items():
        setattr(Tensor, name, value)
    published("argand", members, owner="Tensor.")
    overrides.plain(Tensor)
    overrides.plain(Size)
