"""Dual numbers: derivatives along tangents that are given to tensors (`autograd.forward_ad`)."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, NamedTuple

from argand.base.shape import same_shape
from argand.func.places import Places, pushed
from argand.tensor.core import Tensor
from argand.transform.mode import enable_grad, mode
from argand.transform.tape import GradientNode


class UnpackedDualTensor(NamedTuple):
    """A tensor and its derivative along the tangents of a level; None where it depends on none.

    >>> ag.autograd.forward_ad.UnpackedDualTensor(ag.ones(2), None).tangent
    """

    primal: Any
    tangent: Any


class _Level:
    """The dual tensors of one level: aliases of primals, each in a place of its own on the tape."""

    def __init__(self) -> None:
        self.places = Places()
        self.duals: dict[int, tuple[Tensor, Any]] = {}  # by the id of the node

    def dual(self, tensor: Any, tangent: Any) -> Any:
        twin = self.places.place(tensor)
        self.duals[id(twin._node)] = (twin, tangent)
        return twin

    def tangent(self, tensor: Any) -> Any:
        """The derivative of a tensor along the tangents of all duals that it depends on."""
        found = self._behind(tensor)
        if not found:
            return None
        inputs, tangents = zip(*found, strict=True)
        with enable_grad():
            goes_on = self.places.goes_on([tensor, *tangents])
            (result,) = pushed([tensor], inputs, tangents, goes_on)
        return result

    def _behind(self, tensor: Any) -> list[tuple[Tensor, Any]]:
        waiting, seen, found = [tensor._tape()], set(), []
        while waiting:
            node = waiting.pop()
            if type(node) is GradientNode and id(node) not in seen:
                seen.add(id(node))
                if id(node) in self.duals:
                    found.append(self.duals[id(node)])
                waiting += [target for target, _ in node.edges]
        return found


class _Levels(threading.local):
    def __init__(self) -> None:
        self.items: list[_Level] = []


_levels = _Levels()


def enter_dual_level() -> int:
    """Begin a level of dual tensors, inside those of this thread; its number. See `dual_level`.

    >>> level = ag.autograd.forward_ad.enter_dual_level()
    >>> ag.autograd.forward_ad.exit_dual_level(level=level)
    """
    _levels.items.append(_Level())
    return len(_levels.items) - 1


def exit_dual_level(*, level: int | None = None) -> None:
    """End the innermost level; RuntimeError if `level` is another one, or there is none.

    >>> ag.autograd.forward_ad.exit_dual_level(level=ag.autograd.forward_ad.enter_dual_level())
    """
    last = len(_levels.items) - 1
    if last < 0 or (level is not None and level != last):
        raise RuntimeError(
            "Trying to exit a forward AD level that was not the last one that was created. This is "
            "not supported."
        )
    _levels.items.pop().places.close()


class dual_level:  # noqa: N801  # PyTorch's name
    """A block in which tensors may have tangents: `make_dual` gives them, `unpack_dual` takes what
    has become of them.

    Tangents are followed by the tape, so not inside `no_grad`. Follows
    `torch.autograd.forward_ad.dual_level`.

    >>> import argand.autograd.forward_ad as fwAD
    >>> with fwAD.dual_level():
    ...     x = fwAD.make_dual(ag.tensor(2.0), ag.tensor(1.0))
    ...     print(fwAD.unpack_dual(x**3).tangent)
    tensor(12.)
    """

    def __enter__(self) -> int:
        self.level = enter_dual_level()
        return self.level

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        exit_dual_level(level=self.level)


def make_dual(tensor: Any, tangent: Any, *, level: int | None = None) -> Any:
    """The tensor with a tangent, a small change of it of the same shape, at a level.

    The innermost one unless given. RuntimeError outside of any level, or for a tangent of another
    shape; ValueError unless both are floating point. Follows `torch.autograd.forward_ad.make_dual`.

    >>> with ag.autograd.forward_ad.dual_level():
    ...     ag.autograd.forward_ad.make_dual(ag.ones(2), ag.ones(2)).shape
    argand.Size([2])
    """
    for what, x in (("primal", tensor), ("tangent", tangent)):
        if not x.dtype.is_inexact:
            raise ValueError(f"Expected {what} to be floating point or complex, but got: {x.dtype}")
    found = _level(level)
    if found is None:
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to "
            "enter_dual_level() first."
        )
    if not same_shape(tensor.shape, tangent.shape):
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original "
            f"Tensor, this is not supported. Tensor is of size {list(tensor.shape)} while the "
            f"given forward gradient is of size {list(tangent.shape)}."
        )
    return found.dual(tensor, tangent)


def unpack_dual(tensor: Any, *, level: int | None = None) -> UnpackedDualTensor:
    """The tensor without tangents, and its derivative along those of a level.

    The innermost one unless given. Computed in two passes in reverse, as `func.jvp` does; can be
    differentiated again. Follows `torch.autograd.forward_ad.unpack_dual`.

    >>> ag.autograd.forward_ad.unpack_dual(ag.ones(2)).tangent is None
    True
    """
    found = _level(level)
    if found is None:
        return UnpackedDualTensor(tensor, None)
    tangent = found.tangent(tensor)
    if tangent is None:
        return UnpackedDualTensor(tensor, None)
    around = found.places.now()
    around.records = found.places.records and mode.enabled
    primal, tangent = around.left([tensor, tangent])
    return UnpackedDualTensor(primal, tangent)


def _level(number: int | None) -> _Level | None:
    last = len(_levels.items) - 1
    number = last if number is None else number
    return _levels.items[number] if 0 <= number <= last else None
