"""Tensor: memory, a view map, and a place on the tape.

A tensor that shares memory with another is a *view*: it remembers the tensor that owns the memory
(its root) and the chain of moves that leads from it. While a function is being traced a tensor's
contents is a program value instead of an array; everything else works the same.

Slots: `_array` (the NumPy array; None while traced), `_node` (None, LEAF, or the tape node that
made it), `_index` (which output of the node), `_view` (whose memory it shares; see `views`),
`_cold` (what few tensors have).
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np

from argand.base import epoch
from argand.base.conversion import plain
from argand.base.dim import Extent, shown
from argand.base.dtype import DType, from_numpy
from argand.base.errors import ArgumentError, AutogradError, TraceError
from argand.base.naming import naming
from argand.base.shape import numel
from argand.base.userstack import Location, Place, location_of, user_place
from argand.ir import bind as crossroads
from argand.ir.operators import Operators
from argand.tensor.views import View, alias, node_of
from argand.transform.mode import mode
from argand.transform.tape import LEAF, GradientNode

_new: Callable[[type], Any] = object.__new__


_item = tuple.__getitem__


class Size(tuple[Extent, ...]):
    """A shape: a tuple of sizes with `numel()`; parts of it, and sums with tuples, are shapes too.

    >>> ag.ones(2, 3).shape
    argand.Size([2, 3])
    >>> ag.ones(2, 3).shape == (2, 3)
    True
    """

    __slots__ = ()

    def numel(self) -> Extent:
        """The product of the sizes: the number of elements.

        >>> ag.Size((2, 3)).numel()
        6
        """
        return numel(self)

    def __getitem__(self, index: Any) -> Any:
        found = _item(self, index)
        return Size(found) if type(index) is slice else found

    def __add__(self, other: Any) -> Any:
        return Size((*self, *other)) if isinstance(other, tuple) else NotImplemented

    def __radd__(self, other: Any) -> Any:
        return Size((*other, *self)) if isinstance(other, tuple) else NotImplemented

    def __mul__(self, times: Any) -> Any:
        return Size(tuple(self) * times)

    __rmul__ = __mul__

    def __repr__(self) -> str:
        return f"{naming.package}.Size([{shown(self, sys._getframe(1))}])"


class Cold:
    """What few tensors have: gradient, hooks, version, the value while traced."""

    __slots__ = (
        "after",
        "generation",
        "grad",
        "hooks",
        "overwritten_at",
        "retains_grad",
        "shared",
        "unseen",
        "value",
        "version",
    )

    def __init__(self) -> None:
        self.grad: Tensor | None = None
        self.hooks: dict[int, Callable[[Any], Any]] | None = None
        self.after: dict[int, Callable[[Any], Any]] | None = None  # hooks after `grad` has grown
        self.retains_grad = False
        # Of a root: how often its memory was written, and where last.
        self.version = 0
        self.overwritten_at: Place | None = None
        self.unseen = 0  # more writes, those through `data`: backward doesn't look for them
        self.shared = False  # handed out to NumPy or another library, whose writes nothing counts
        # Of a base: how often its node was replaced by an in-place operation.
        self.generation = 0
        self.value: Any = None  # while traced: the program value

    def copied(self) -> Cold:
        """Another one with the same contents."""
        twin = Cold()
        for name in Cold.__slots__:
            setattr(twin, name, getattr(self, name))
        return twin


class Tensor(Operators):
    """An n-dimensional array with automatic differentiation, used as PyTorch's `torch.Tensor`.

    Made by `ag.tensor`, `ag.zeros`, `ag.from_numpy` and the like, not by calling the class.

    >>> x = ag.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    __slots__ = ("__dict__", "__weakref__", "_array", "_cold", "_index", "_node", "_view")

    _array: Any
    _node: Any
    _index: int
    _view: View | None
    _cold: Cold | None

    def __new__(cls, data: Any = None, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError  # tensor/surface.py replaces it

    __array_priority__ = 1000

    if TYPE_CHECKING:  # methods come from tensor/surface.py

        def __getattr__(self, name: str) -> Any: ...
        def __getitem__(self, index: Any) -> Any: ...
        def __setitem__(self, index: Any, value: Any) -> None: ...
        def __iter__(self) -> Iterator[Any]: ...
        def __eq__(self, other: object) -> Any: ...
        def __ne__(self, other: object) -> Any: ...

    # -- what it is ----------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The sizes of the dimensions, a tuple with `numel()`.

        >>> ag.ones(2, 3).shape
        argand.Size([2, 3])
        """
        array = self._array
        return Size(array.shape if array is not None else self._symbolic().shape)

    @property
    def dtype(self) -> DType:
        """The type of the elements, such as ``ag.float32``.

        >>> ag.ones(2, 3).dtype
        argand.float32
        """
        array = self._array
        return from_numpy(array.dtype) if array is not None else self._symbolic().dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions.

        >>> ag.ones(2, 3).ndim
        2
        """
        array = self._array
        return array.ndim if array is not None else len(self._symbolic().shape)

    def _symbolic(self) -> Any:
        cold = self._cold
        if cold is None or cold.value is None:
            raise TraceError(
                "this tensor was computed inside a compiled function that has ended without "
                "returning it; return it from the function"
            )
        return cold.value

    def _cold_part(self) -> Cold:
        cold = self._cold
        if cold is None:
            cold = self._cold = Cold()
        return cold

    def _root(self) -> Tensor:
        """The tensor that owns the memory."""
        view = self._view
        return self if view is None else view.root

    def _share(self) -> None:
        """Note that the memory was handed out: others may write it without our seeing it."""
        self._root()._cold_part().shared = True

    def _is_shared(self) -> bool:
        """Whether others may write the memory: it was handed out, or it came from outside."""
        root = self._root()
        return (root._cold is not None and root._cold.shared) or id(root._array) in _borrowed

    @property
    def _version(self) -> int:
        """How often the memory was written by in-place operations, as backward counts them."""
        cold = self._counter()
        return 0 if cold is None else cold.version

    @property
    def _writes(self) -> int:
        """How often the memory was written by in-place operations, through `data` too."""
        cold = self._root()._cold
        return 0 if cold is None else cold.version + cold.unseen

    @property
    def _overwritten_at(self) -> Location | None:
        cold = self._counter()
        return None if cold is None else location_of(cold.overwritten_at)

    def _counter(self) -> Cold | None:
        """What counts the writes that backward looks for."""
        view = self._view
        return self._root()._cold if view is None or view.counter is None else view.counter

    def _wrote(self) -> None:
        """Count a write to the memory, and remember the user's line."""
        view = self._view
        root = self if view is None else view.root
        cold = root._cold or root._cold_part()
        apart = None if view is None else view.counter
        if apart is not None:
            cold.unseen += 1
            cold = apart
        cold.version += 1
        if mode.enabled:
            cold.overwritten_at = user_place(2)
        if apart is None and type(root._node) is GradientNode:
            root._node.output_is_lost(root._index, cold.overwritten_at)

    def numpy_array(self) -> Any:
        """The NumPy array behind it, history or not: `numpy` without that check.

        In code that is being compiled it raises TraceError, which names the remedy.

        >>> ag.ones(2).numpy_array()
        array([1., 1.], dtype=float32)
        """
        if crossroads.pushed:
            return crossroads.current().concrete(self)
        array = self._array
        if array is None:
            self._symbolic()
            raise TraceError("this tensor belongs to a trace that runs in another thread")
        return array

    # -- autograd ------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow into it: a leaf that wants one, or a result of such.

        >>> x = ag.ones(2, requires_grad=True)
        >>> x.requires_grad, (x * 2).requires_grad, ag.ones(2).requires_grad
        (True, True, False)
        """
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Want a gradient for this leaf, or no longer; returns the tensor.

        Raises RuntimeError for integers and booleans, and when it is turned off for a result;
        TypeError for what is no bool.

        >>> ag.ones(2).requires_grad_()
        tensor([1., 1.], requires_grad=True)
        """
        if not isinstance(requires_grad, bool | np.bool_):
            kind = type(requires_grad).__name__
            raise TypeError(f"requires_grad_: expected True or False, got a value of type {kind}")
        if crossroads.pushed:
            crossroads.current().leaf_changes(self)
        if requires_grad:
            if not self.dtype.is_inexact:
                raise AutogradError(
                    f"only floating-point and complex tensors can require gradients, not "
                    f"{self.dtype.name}"
                )
            if self._node is None:
                self._node = LEAF
                epoch.changed(self)
        elif self._node is not None:
            if self._node is not LEAF:
                raise AutogradError(
                    "requires_grad can be turned off only for leaves; use detach() for a result"
                )
            self._node = None
            epoch.changed(self)
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether it was made by the user, not by a recorded operation.

        `backward` fills the `.grad` of the leaves that require one.

        >>> x = ag.ones(2, requires_grad=True)
        >>> x.is_leaf, (x * 2).is_leaf
        (True, False)
        """
        told = crossroads.current().leafness_is_read(self) if crossroads.pushed else None
        return self._node is None or self._node is LEAF if told is None else told

    @property
    def grad_fn(self) -> GradientNode | None:
        """The node of the tape that made it; None for a leaf.

        >>> (ag.ones(2, requires_grad=True) * 2).grad_fn
        <MulBackward0>
        """
        if crossroads.pushed:
            crossroads.current().leafness_is_read(self)
        node = self._tape()
        return None if node is LEAF else node

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` has added up so far; None before, and for results.

        It can be assigned: a tensor of the same shape and dtype (AutogradError for another), or
        None.

        >>> x = ag.tensor([1.0, 2.0], requires_grad=True)
        >>> (3 * x).sum().backward()
        >>> x.grad
        tensor([3., 3.])
        """
        if crossroads.pushed:
            crossroads.current().grad_is_read(self)
        cold = self._cold
        return None if cold is None else cold.grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        cold = self._cold
        if cold is None:
            if value is None and not crossroads.pushed:
                return
            cold = self._cold_part()
        if value is not None and not self._is_like(value):
            raise AutogradError(
                f"a gradient must be a {self.dtype.name} tensor of shape {tuple(self.shape)}"
            )
        if crossroads.pushed:
            crossroads.current().grad_changes(self)
            cold = self._cold_part()
        cold.grad = value

    @grad.deleter
    def grad(self) -> None:
        self.grad = None

    def _is_like(self, other: Any) -> bool:
        """Whether it is a tensor of the same shape and dtype."""
        if not isinstance(other, Tensor):
            return False
        mine, its = self._array, other._array
        if mine is not None and its is not None and mine.dtype is its.dtype:
            return bool(mine.shape == its.shape)
        return tuple(other.shape) == tuple(self.shape) and other.dtype is self.dtype

    def _tape(self) -> Any:
        """Its node; see `node_of`."""
        return node_of(self)

    def shadow(self, node: Any = None, index: int = 0) -> Tensor:
        """An alias apart: the same memory, with a place of its own on the tape; see `detach`.

        >>> ag.ones(2, requires_grad=True).shadow().requires_grad
        False
        """
        twin: Tensor = _new(Tensor)
        twin._array = self._array
        twin._node = node
        twin._index = index
        twin._cold = None
        alias(twin, self)
        mine = self._cold
        if mine is not None and mine.value is not None:
            cold = twin._cold = Cold()
            cold.value = mine.value
            # A view's traced value may be of before the last write to the root.
            cold.version = mine.version
        return twin

    @classmethod
    def _remade(cls, array: Any, value: Any, node: Any, index: int) -> Tensor:
        """A tensor of memory, or while traced of a program value, that the tape kept."""
        made: Tensor = _new(cls)
        made._array, made._node, made._index = array, node, index
        made._view = made._cold = None
        if array is None:
            made._cold_part().value = value
        return made

    def detach(self) -> Tensor:
        """The same memory without history, so that no gradient flows; writes are seen by both.

        >>> x = ag.ones(2, requires_grad=True)
        >>> (x * x.detach()).sum().backward()
        >>> x.grad
        tensor([1., 1.])
        """
        return self.shadow() if not crossroads.pushed else crossroads.current().detached(self)

    @property
    def data(self) -> Tensor:
        """The same memory without history; assigned, the memory of another tensor.

        Where `detach()` shares the count of writes, by which `backward` finds that what it needs
        was overwritten, `data` has a count of its own, as in PyTorch: a write through it is not
        noticed, and the gradients are those of what the memory holds then.

        >>> x = ag.ones(2, requires_grad=True)
        >>> x.data = ag.tensor([5.0, 6.0])
        >>> x
        tensor([5., 6.], requires_grad=True)
        """
        found = self.detach()
        view = found._view
        if view is not None and found._array is not None:
            found._view = View(view.root, view.parent, view.move, None, 0, Cold())
        return found

    @data.setter
    def data(self, value: Any) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"data must be a Tensor, got {type(value).__name__}")
        self._array = value.numpy_array()
        self._view = None
        self._cold_part().version += 1
        epoch.bump()

    __hash__ = object.__hash__

    # -- reading -------------------------------------------------------------------------------

    def item(self) -> Any:
        """The only element as a Python number; ArgumentError when there are more, or none.

        >>> ag.tensor([[2.5]]).item()
        2.5
        """
        array = self.numpy_array()
        if array.size != 1:
            raise ArgumentError(
                f"a tensor of {array.size} elements can't be converted to a Python number"
            )
        return plain(array).item()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __round__(self, digits: int | None = None) -> Any:
        if not self.weak:  # what stands for a number rounds as that does
            raise TypeError("type Tensor doesn't define __round__ method")
        return round(float(self), digits)

    def __index__(self) -> int:
        if self.dtype.kind not in "iub":
            raise TypeError("only integer tensors of one element can be used as an index")
        return operator.index(self.item())

    def __bool__(self) -> bool:
        array = self.numpy_array()
        if array.size != 1:
            raise RuntimeError(
                f"the truth of a tensor of {array.size} elements is ambiguous; use .any() or .all()"
            )
        return bool(array.reshape(()))

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of a 0-d tensor")
        return int(self.shape[0])


def wrap(array: Any) -> Tensor:
    """A tensor of an array that nobody else writes; no history."""
    t: Tensor = _new(Tensor)
    t._array = array if type(array) is np.ndarray else np.asarray(array)
    t._node = None
    t._view = None
    t._cold = None
    return t


# The arrays that came from outside, by their ids. Tensors on them are as light as others.
_borrowed: WeakValueDictionary[int, Any] = WeakValueDictionary()


def borrow(array: Any) -> Tensor:
    """A tensor of an array that others may write too."""
    t = wrap(array)
    _borrowed[id(t._array)] = t._array
    return t


def of_stand_in(x: Any) -> Any:
    """The tensor of what stands for a NumPy array while a function is traced (`compile/arrays.py`);
    anything else as it is."""
    made = getattr(type(x), "traced_tensor", None)
    return x if made is None else made(x)


_eager: Any = None


def set_eager(interpreter: Any) -> None:
    """Install the eager interpreter, once."""
    global _eager
    _eager = interpreter
    crossroads.install_bottom(interpreter)


def eager() -> Any:
    """The eager interpreter."""
    return _eager
