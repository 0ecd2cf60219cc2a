"""`detect_anomaly`: finds the operation that a NaN comes from, in the forward or backward pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from argand.base.errors import AutogradError
from argand.base.userstack import Location, user_location
from argand.ir import bind as crossroads
from argand.ir.bind import Interpreter
from argand.ir.op import Literal, Op
from argand.transform.mode import mode
from argand.transform.tape import GradientNode


class _Watch(Interpreter):
    """Passes everything on to the interpreter below, and remembers where NaNs come from."""

    def __init__(self, below: Interpreter, check_nan: bool) -> None:
        self.below = below
        for name in vars(Interpreter):
            if name not in vars(_Watch) and not name.startswith("__"):
                setattr(self, name, getattr(below, name))
        self.check_nan = check_nan
        self.places: dict[int, Location | None] = {}  # sequence number of a node -> user's line
        self.born: tuple[str, Location | None] | None = None  # the first op that made a NaN

    def bind(self, op: Op, inputs: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, ...]:
        outputs = self.below.bind(op, inputs, params)
        for out in outputs:
            node = out._node
            if type(node) is GradientNode and node.sequence not in self.places:
                self.places[node.sequence] = user_location()
        fresh = self.check_nan and self.born is None and any(map(_has_nan, outputs))
        if fresh and not any(map(_has_nan, inputs)):
            self.born = (op.name, user_location())
        return outputs

    def inspect(self, node: GradientNode, results: Sequence[Any]) -> None:
        """Called with the gradients that a node gave."""
        if not self.check_nan:
            return
        for i, gradient in enumerate(results):
            if gradient is not None and _has_nan(gradient):
                raise AutogradError(self._message(node, i))

    def _message(self, node: GradientNode, i: int) -> str:
        where = self.places.get(node.sequence)
        text = f"{node.name()} returned NaN for input {i}"
        text += f"; the operation was called at {where}" if where else ""
        if self.born is not None:
            name, line = self.born
            text += f"; the first NaN appeared in {name}" + (f" at {line}" if line else "")
        return text


def _has_nan(x: Any) -> bool:
    if type(x) is Literal or x._array is None or not x.dtype.is_inexact:
        return False
    return bool((x._array != x._array).any())


class detect_anomaly:  # noqa: N801  # PyTorch's name
    """Inside the block a NaN in a gradient is an error that says where it came from.

    AutogradError names the operation, the user's line that called it, and the operation in which a
    NaN first appeared. Slow: for debugging. With `check_nan=False` lines are recorded, NaNs not
    looked for. Follows `torch.autograd.detect_anomaly`.

    >>> x = ag.tensor(0.0, requires_grad=True)
    >>> with ag.autograd.detect_anomaly():
    ...     (x.sqrt() * 0).backward()
    Traceback (most recent call last):
        ...
    argand.base.errors.AutogradError: ...SqrtBackward0 returned NaN for input 0; ...
    """

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan
        self._blocks: list[tuple[Any, Any]] = []

    def __enter__(self) -> None:
        watch = _Watch(crossroads.current(), self.check_nan)
        block = crossroads.interpreting(watch)
        block.__enter__()
        self._blocks.append((block, mode.watch))
        mode.watch = watch.inspect

    def __exit__(self, *exc: Any) -> None:
        block, before = self._blocks.pop()
        mode.watch = before
        block.__exit__(*exc)


class set_detect_anomaly:  # noqa: N801  # PyTorch's name
    """`detect_anomaly` as a switch: on until it is set to False, or for a `with` block.

    >>> with ag.autograd.set_detect_anomaly(True):
    ...     y = ag.ones(2, requires_grad=True).sum()
    ...     y.backward()
    """

    _on: detect_anomaly | None = None

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        cls = set_detect_anomaly
        self.before = cls._on is not None
        self._set(mode, check_nan)

    @classmethod
    def _set(cls, on: bool, check_nan: bool = True) -> None:
        if cls._on is not None:
            cls._on.__exit__(None, None, None)
            cls._on = None
        if on:
            cls._on = detect_anomaly(check_nan)
            cls._on.__enter__()

    def __enter__(self) -> None:
        """Already set."""

    def __exit__(self, *exc: object) -> None:
        self._set(self.before)
