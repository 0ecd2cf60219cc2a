"""What stands for a float argument, and for what is computed from some, in a trace."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from argand.base.errors import note
from argand.base.userstack import asked_by_library
from argand.ir import bind as crossroads
from argand.tensor.core import Tensor
from argand.tensor.subclass import disabled


class FloatArgumentRead(Exception):  # noqa: N818  # a signal, never seen by users
    """Python read the value of float arguments: they must be constants of the program."""

    def __init__(self, numbers: set[int]) -> None:
        super().__init__("a float argument was read by Python")
        self.numbers = numbers
        note(self)


class FloatStandIn(Tensor):
    """What is computed from float arguments alone, while a function is traced.

    It computes as a tensor and passes for a float; who asks what only a float can answer (its text,
    its hash) makes it a constant of the program.
    """

    __torch_function__ = staticmethod(disabled)

    @property
    def __class__(self) -> type:
        return float if self._floats_for(sys._getframe(1)) else Tensor

    @__class__.setter
    def __class__(self, kind: type) -> None:
        raise TypeError("the class of a float can't be changed")

    def __hash__(self) -> int:
        self._is_taken_apart(sys._getframe(1))
        return id(self)

    def __repr__(self) -> str:
        self._is_taken_apart(sys._getframe(1))
        return super().__repr__()

    def __str__(self) -> str:
        self._is_taken_apart(sys._getframe(1))
        return super().__str__()

    def __format__(self, spec: str) -> str:
        self._is_taken_apart(sys._getframe(1))
        return super().__format__(spec)

    def _is_taken_apart(self, asked_by: FrameType) -> None:
        """Have the trace start again with a constant, where the user's code asks."""
        floats = self._floats_for(asked_by)
        if floats:
            raise FloatArgumentRead(floats)

    def _floats_for(self, asked_by: FrameType) -> set[int]:
        """The float arguments that it is computed from, where the user's code asks."""
        tracer: Any = crossroads.current()
        if not hasattr(tracer, "floats_behind") or asked_by_library(asked_by):
            return set()
        found: set[int] = tracer.floats_behind(tracer.read(self))
        return found


def pass_for_float(tensor: Tensor) -> None:
    """Let a tensor of a trace pass for a float."""
    object.__dict__["__class__"].__set__(tensor, FloatStandIn)


__all__ = ["FloatArgumentRead", "FloatStandIn", "pass_for_float"]
