"""What an op's rule for another graph format gets to work with, and what it raises where it can't.

A rule is a method of the op or its family, `onnx(g, inputs, params)`, as its gradient is. The graph
that it adds to is `g`, whose implementation is in `onnx/building.py`; nothing here knows of ONNX's
files. The rule gives what stands for the op's outputs, or for the first of them where the others
are hidden and nobody reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from argand.base.dim import Extent, Shape
from argand.base.dtype import DType
from argand.base.errors import ArgandError


class UntranslatableError(ArgandError, NotImplementedError):
    """An op that the format can't express, and why; those of a whole graph are told at once."""


class Ref(Protocol):
    """A value of the graph: a name, a dtype, and its shape where it is one of the program's."""

    name: str
    dtype: DType
    shape: Shape


class Graph(Protocol):
    """The graph that rules add to."""

    @property
    def opset(self) -> int:
        """The version of the operators."""

    @property
    def result_shape(self) -> Shape:
        """The shape of the first result that the rule is to give."""

    def op(self, kind: str, *inputs: Any, outputs: int = 1, dtype: Any = None, **attrs: Any) -> Any:
        """An operator of that name on values, literals, arrays or None (left out): its results.

        Operands of a dtype that the operator doesn't take are cast to a wider one, results back.
        """

    def constant(self, value: Any, dtype: Any = None) -> Any:
        """A number or an array as a value."""

    def cast(self, x: Any, dtype: DType) -> Any:
        """A value converted to a dtype."""

    def sizes(self, shape: Sequence[Extent]) -> Any:
        """Sizes, symbolic ones too, as a vector of int64."""

    def size(self, extent: Extent) -> Any:
        """A size as an int64 without dimensions."""

    def formula(self, expression: Any, inputs: Sequence[Any]) -> Any:
        """A scalar expression, element by element."""

    def reshape(self, x: Any, shape: Sequence[Extent]) -> Any:
        """A value in another shape."""

    def reduce(self, kind: str, x: Any, dims: Sequence[int], keepdim: bool) -> Any:
        """A reduction along dimensions."""

    def filled(self, shape: Sequence[Extent], value: Any, dtype: DType) -> Any:
        """One number, or symbolic size, everywhere."""

    def choice(self, condition: Any, then: Any, otherwise: Any) -> Any:
        """The results of one of two branches."""

    def inline(self, program: Any, inputs: Sequence[Any]) -> Any:
        """The results of a Program, node by node."""

    def branch(self, program: Any, inputs: Sequence[Any]) -> Any:
        """A Program as a graph of its own, which reads what is around it."""
