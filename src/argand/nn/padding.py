"""Padding layers."""

from __future__ import annotations

from typing import Any

from argand.base.errors import ShapeError
from argand.ir.op import describe
from argand.nn import functional as F
from argand.nn.module import Module


class _Pad(Module):
    """Elements added at the ends of the last dimensions."""

    mode = "constant"
    sides = 4

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = (padding,) * self.sides if isinstance(padding, int) else tuple(padding)

    def forward(self, input: Any) -> Any:
        """The padded input."""
        rank = self.sides // 2
        if self.mode != "constant" and input.ndim not in (rank + 1, rank + 2):
            raise ShapeError(
                f"{type(self).__name__}: {describe(input)}: expected {rank + 1} or {rank + 2} "
                "dimensions"
            )
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return str(self.padding)


class ZeroPad2d(_Pad):
    """Zeros around images: (left, right, top, bottom), or one number.

    >>> nn.ZeroPad2d(1)(ag.ones(1, 1, 1))
    tensor([[[0., 0., 0.],
             [0., 1., 0.],
             [0., 0., 0.]]])
    """


class ConstantPad1d(_Pad):
    """One value at the ends of sequences: (left, right), or one number.

    >>> nn.ConstantPad1d((1, 2), 9.0)(ag.ones(1, 1))
    tensor([[9., 1., 9., 9.]])
    """

    sides = 2

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Any) -> Any:
        """The padded input."""
        return F.pad(input, self.padding, value=self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad2d(ConstantPad1d):
    """One value around images: (left, right, top, bottom), or one number.

    >>> nn.ConstantPad2d((1, 1, 0, 0), 9.0)(ag.ones(1, 1, 1))
    tensor([[[9., 1., 9.]]])
    """

    sides = 4


class ReflectionPad2d(_Pad):
    """Images continued by their mirror image, without the edge: (left, right, top, bottom).

    >>> nn.ReflectionPad2d((1, 1, 0, 0))(ag.tensor([[[1.0, 2.0, 3.0]]]))
    tensor([[[2., 1., 2., 3., 2.]]])
    """

    mode = "reflect"


class ReplicationPad2d(_Pad):
    """Images continued by their edge: (left, right, top, bottom).

    >>> nn.ReplicationPad2d((1, 1, 0, 0))(ag.tensor([[[1.0, 2.0, 3.0]]]))
    tensor([[[1., 1., 2., 3., 3.]]])
    """

    mode = "replicate"


class ReflectionPad1d(_Pad):
    """Sequences continued by their mirror image, without the edge: (left, right), or one number.

    >>> nn.ReflectionPad1d(1)(ag.tensor([[1.0, 2.0]]))
    tensor([[2., 1., 2., 1.]])
    """

    mode = "reflect"
    sides = 2


class ReplicationPad1d(_Pad):
    """Sequences continued by their edge: (left, right), or one number.

    >>> nn.ReplicationPad1d(1)(ag.tensor([[1.0, 2.0]]))
    tensor([[1., 1., 2., 2.]])
    """

    mode = "replicate"
    sides = 2


class CircularPad1d(_Pad):
    """Sequences continued by their other end: (left, right), or one number.

    >>> nn.CircularPad1d(1)(ag.tensor([[1.0, 2.0]]))
    tensor([[2., 1., 2., 1.]])
    """

    mode = "circular"
    sides = 2


class CircularPad2d(_Pad):
    """Images continued by their other end: (left, right, top, bottom), or one number.

    >>> nn.CircularPad2d((1, 0, 0, 0))(ag.tensor([[[1.0, 2.0]]]))
    tensor([[[2., 1., 2.]]])
    """

    mode = "circular"


class ZeroPad1d(_Pad):
    """Zeros at the ends of sequences: (left, right), or one number.

    >>> nn.ZeroPad1d((1, 2))(ag.ones(1, 1)).flatten()
    tensor([0., 1., 0., 0.])
    """

    sides = 2


class ZeroPad3d(_Pad):
    """Zeros around volumes: (left, right, top, bottom, front, back), or one number.

    >>> nn.ZeroPad3d((1, 0, 0, 0, 0, 0))(ag.ones(1, 1, 1, 1)).flatten()
    tensor([0., 1.])
    """

    sides = 6


class ConstantPad3d(ConstantPad1d):
    """One value around volumes: (left, right, top, bottom, front, back), or one number.

    >>> nn.ConstantPad3d((0, 0, 0, 0, 0, 1), 9.0)(ag.ones(1, 1, 1, 1)).flatten()
    tensor([1., 9.])
    """

    sides = 6


class ReflectionPad3d(_Pad):
    """Volumes continued by their mirror image, without the edge: six numbers, or one.

    >>> nn.ReflectionPad3d((1, 0, 0, 0, 0, 0))(ag.tensor([[[[1.0, 2.0]]]])).flatten()
    tensor([2., 1., 2.])
    """

    mode = "reflect"
    sides = 6


class ReplicationPad3d(_Pad):
    """Volumes continued by their edge: six numbers, or one.

    >>> nn.ReplicationPad3d((1, 0, 0, 0, 0, 0))(ag.tensor([[[[1.0, 2.0]]]])).flatten()
    tensor([1., 1., 2.])
    """

    mode = "replicate"
    sides = 6


class CircularPad3d(_Pad):
    """Volumes continued by their other end: six numbers, or one.

    >>> nn.CircularPad3d((1, 0, 0, 0, 0, 0))(ag.tensor([[[[1.0, 2.0]]]])).flatten()
    tensor([2., 1., 2.])
    """

    mode = "circular"
    sides = 6
