"""Functions of the library that stay one node in programs for another format, where that has an
operator for them. Any other program holds the ops that they are made of.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from argand.ir.bind import bind
from argand.ir.op import Op, TensorType
from argand.ir.translation import Graph

Rule = Callable[..., Any]


symbolics: dict[str, Rule] = {}
"""Rules that users register for ops of their own, by qualified name: ``mine::op``."""


class _State(threading.local):
    def __init__(self) -> None:
        self.on = False


_state = _State()


def keeps() -> bool:
    """Whether this thread traces a program for another format."""
    return _state.on


@contextlib.contextmanager
def keeping() -> Iterator[None]:
    """Inside the block such functions stay one node."""
    before, _state.on = _state.on, True
    try:
        yield
    finally:
        _state.on = before


class Kept(Op):
    """One call of such a function: it knows the dtypes of its results and its rule, and is never
    computed.

    It is in no registry: a program with it is for its translation alone.
    """

    abstract = True
    differentiable = False

    def __init__(self, name: str, rule: Rule, given: Sequence[bool], dtypes: Any) -> None:
        self.name = name  # type: ignore[misc]  # as a derived op, named by its instance
        self.rule, self.given, self.result_dtypes = rule, tuple(given), tuple(dtypes)

    def infer(self, *inputs: TensorType, **params: Any) -> tuple[TensorType, ...]:
        pairs = zip(self.result_dtypes, params["shapes"], strict=True)
        return tuple([TensorType(dtype, shape) for dtype, shape in pairs])

    def onnx(self, g: Graph, inputs: Any, params: dict[str, Any]) -> Any:
        left = iter(inputs)
        own = {k: v for k, v in params.items() if k != "shapes"}
        return self.rule(g, *(next(left) if there else None for there in self.given), **own)


def kept(
    name: str, rule: Rule, inputs: Sequence[Any], shapes: Sequence[Any], **params: Any
) -> tuple[Any, ...]:
    """The results of a call that stays one node, of the first operand's dtype and these shapes.

    `rule(g, *inputs, **params)` translates it; operands may be None.
    """
    types = [TensorType(inputs[0].dtype, tuple(shape)) for shape in shapes]
    return kept_of(name, rule, inputs, types, **params)


def kept_of(
    name: str, rule: Rule, inputs: Sequence[Any], types: Sequence[TensorType], **params: Any
) -> tuple[Any, ...]:
    """As `kept`, with results of any types."""
    op = Kept(name, rule, [x is not None for x in inputs], [t.dtype for t in types])
    shapes = tuple(t.shape for t in types)
    operands = tuple(x for x in inputs if x is not None)
    found: tuple[Any, ...] = bind(op, operands, {**params, "shapes": shapes})
    return found


__all__ = ["Kept", "keeping", "keeps", "kept", "kept_of", "symbolics"]
