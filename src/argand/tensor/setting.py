"""What a tensor is, given anew: `set_`, `dim_order`, and two tensors that swap all they are."""

from __future__ import annotations

import gc
import operator
import weakref
from typing import Any

from argand.base import epoch
from argand.base.errors import ArgumentError, AutogradError
from argand.base.shape import contiguous_strides
from argand.base.strides import common_order
from argand.tensor.core import Tensor, borrow, wrap
from argand.tensor.regions import as_strided
from argand.tensor.storage import Storage
from argand.tensor.strides import is_contiguous
from argand.tensor.strides import stride as stride_of
from argand.tensor.views import View
from argand.transform.mode import mode
from argand.transform.tape import LEAF

_MEMORY = ("_array", "_view")
_ALL = ("_array", "_node", "_index", "_view", "_cold")


def set_(
    self: Tensor, source: Any = None, storage_offset: int = 0, size: Any = None, stride: Any = None
) -> Tensor:
    """The memory of `source`, a tensor or a storage, in place of the tensor's own; returns it.

    Of a tensor its sizes and strides too, unless `size` (and `stride`) are given, which count from
    the element `storage_offset` of its memory; of a storage all elements. Without `source` it
    becomes empty. Raises ArgumentError for another dtype and for elements beyond the memory, which
    doesn't grow, and AutogradError for a leaf that requires a gradient. Follows
    `torch.Tensor.set_`.

    >>> x, memory = ag.zeros(2), ag.arange(6.0)
    >>> x.set_(memory.untyped_storage(), 2, (2, 2), (2, 1))
    tensor([[2., 3.],
            [4., 5.]])
    >>> memory[2] = 9.0
    >>> x[0, 0]
    tensor(9.)
    """
    if self._node is LEAF and mode.enabled:
        raise AutogradError("set_: a leaf that requires a gradient can't be given other memory")
    self.numpy_array()  # refuses in a trace, where there is no memory
    found = _source(self, source)
    if size is not None or isinstance(source, Storage):
        shape = (found.numel(),) if size is None else tuple(map(operator.index, size))
        first = operator.index(storage_offset)
        if size is None:
            shape = (shape[0] - first,)
        if first < 0:
            raise ArgumentError(f"set_: invalid storage offset {first}")
        found = as_strided(
            found, shape, contiguous_strides(shape) if stride is None else stride, first
        )
    for slot in _MEMORY:
        setattr(self, slot, getattr(found, slot))
    if found._view is None:
        self._view = View(found, None, None, None, 0)
    epoch.bump()
    return self


def _source(self: Tensor, source: Any) -> Any:
    """The tensor whose memory is taken over, apart from its gradient."""
    if source is None:
        return wrap(self.numpy_array().reshape(-1)[:0].copy())
    if isinstance(source, Tensor):
        if source.dtype is not self.dtype:
            raise ArgumentError(
                f"set_: could not set a {self.dtype.name} tensor to one of {source.dtype.name}"
            )
        return source.detach()
    if not isinstance(source, Storage):
        raise TypeError(f"set_() takes a tensor or a storage, got {type(source).__name__}")
    elements = source.owner if source.owner is not None else borrow(source.elements())
    elements = as_strided(elements.detach(), (elements.numel(),), (1,), 0)
    if elements.dtype is self.dtype:
        return elements
    if source.typed:
        raise ArgumentError(
            f"set_: expected a storage of {self.dtype.name} or an untyped one, got one of "
            f"{elements.dtype.name}"
        )
    return elements.view(self.dtype)


def dim_order(self: Tensor, *, ambiguity_check: Any = False) -> tuple[int, ...]:
    """The dimensions in the order of memory, the outermost first.

    With ``ambiguity_check=True`` RuntimeError where sizes of 1 or repeated elements leave a choice;
    with a list of memory formats it is one unless exactly one of them fits. Follows
    `torch.Tensor.dim_order`.

    >>> ag.ones(2, 3).dim_order(), ag.ones(2, 3).T.dim_order()
    ((0, 1), (1, 0))
    """
    if not isinstance(ambiguity_check, bool | list):
        raise TypeError("The ambiguity_check argument must be a bool or a list of memory formats.")
    steps = stride_of(self)
    if ambiguity_check is not False:
        if not all(steps) or (len({*steps}) < len(steps) and 1 not in self.shape):
            raise ArgumentError("The tensor does not have unique dim order.")
        formats = ambiguity_check if isinstance(ambiguity_check, list) else []
        fitting = [f for f in formats if is_contiguous(self, memory_format=f)]
        if 1 in self.shape and len(fitting) != 1:
            raise ArgumentError(
                "The tensor does not have unique dim order, or cannot map to exact one of the "
                "given memory formats."
            )
    return common_order(tuple(self.shape), steps) or tuple(range(self.ndim))


def swap_tensors(t1: Any, t2: Any) -> None:
    """Exchange all that two tensors are: class, memory, gradient and attributes.

    Whoever holds the one then holds what was the other. RuntimeError where there are views of
    either, weak references to it, or operations recorded through it. Follows
    `torch.utils.swap_tensors`.

    >>> a, b = ag.zeros(2), nn.Parameter(ag.ones(3))
    >>> ag.utils.swap_tensors(a, b)
    >>> type(a).__name__, b
    ('Parameter', tensor([0., 0.]))
    """
    for name, t in (("t1", t1), ("t2", t2)):
        _check_alone(name, t)
    t1.__class__, t2.__class__ = t2.__class__, t1.__class__
    t1.__dict__, t2.__dict__ = t2.__dict__, t1.__dict__
    for slot in _ALL:
        mine, other = getattr(t1, slot, None), getattr(t2, slot, None)
        setattr(t1, slot, other)
        setattr(t2, slot, mine)
    epoch.bump()


def _check_alone(name: str, t: Any) -> None:
    """Refuse a tensor that others know by what it is now."""
    if weakref.getweakrefcount(t):
        raise RuntimeError(f"Cannot swap {name} because it has weakref associated with it")
    if any(type(other) is View for other in gc.get_referrers(t)):
        raise RuntimeError(f"Cannot swap {name}, which other tensors are views of")
