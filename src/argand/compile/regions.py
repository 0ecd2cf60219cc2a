"""Functions that become a part of one node: the branches of `cond`, the rounds of `while_loop`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from argand.base.errors import TraceError
from argand.compile.places import Place
from argand.compile.tracer import Capture, Tracer
from argand.ir.bind import interpreting
from argand.ir.elementwise import is_number
from argand.ir.op import ops
from argand.ir.program import Value
from argand.tensor.core import Tensor
from argand.transform.mode import no_grad


class Region(Tracer):
    """Records what one of an op's functions does; tensors from outside become its inputs.

    `operands` are those tensors, of all functions of the op, in the order in which they are read.
    """

    def __init__(
        self, outer: Tracer, operands: dict[int, Tensor], name: str, op: str, what: str
    ) -> None:
        super().__init__(name, outer.name_of)
        self.op, self.what = op, what  # for messages: "cond", "a branch"
        self.entries: list[Value] = []  # the inputs that are no operands
        self.outer = outer
        self.operands = operands
        self.answers, self.leaves = outer.answers, outer.leaves
        self._mine: dict[int, Tensor] = {}

    def enter(self, like: Tensor) -> Tensor:
        """The stand-in of a value that the function gets beside the operands."""
        value = Value(like.dtype, tuple(like.shape))
        self.entries.append(value)
        proxy = self._traced(value, None)
        proxy.weak = like.weak
        return proxy

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """What the function returns, recorded; no gradients are followed inside."""
        with interpreting(self), no_grad():
            return function(*args)

    def give(self, results: Sequence[Any]) -> None:
        """Make tensors, and numbers, the outputs."""
        with interpreting(self), no_grad():
            self.program.outputs = [self.read(as_tensor(x, self)) for x in results]

    def read(self, x: Any) -> Any:
        if id(x) in self.captures or id(x) in self._mine or not isinstance(x, Tensor):
            return super().read(x)
        return self._capture(x).value

    def _traced(self, value: Value, location: Any) -> Tensor:
        tensor = super()._traced(value, location)
        self._mine[id(tensor)] = tensor
        return tensor

    def shadowed(self, tensor: Tensor) -> bool:
        """Whether a tensor is an alias of one that this branch made."""
        return id(tensor._root()) in self._mine

    def place_of(self, tensor: Tensor) -> Place:
        return self.outer.place_of(tensor)

    def touch(self, tensor: Tensor) -> None:
        self.outer.touch(tensor)

    def _capture(self, tensor: Tensor) -> Capture:
        if self.shadowed(tensor):
            self._mine[id(tensor)] = tensor
            return Capture(tensor, super().read(tensor), self.place_of(tensor))
        found = self.outer.read(tensor)
        value = Value(found.dtype, found.shape, f"x{len(self.program.inputs)}")
        self.program.inputs.append(value)
        self.operands.setdefault(id(tensor), tensor)
        capture = self.captures[id(tensor)] = Capture(tensor, value, self.place_of(tensor))
        return capture

    def write(self, target: Tensor, value: Tensor) -> None:
        root = target._root()
        if id(root) in self._mine:
            super().write(target, value)
            return
        shared = [c.tensor for c in self.captures.values() if c.tensor._root() is root]
        if any(t is not root for t in shared):
            raise TraceError(
                f"{self.op}: {self.what} writes into a view of a tensor from outside; return "
                f"the new value and write it after the {self.op}"
            )
        self.read(root)
        around = None if root._array is not None else root._cold_part().value
        super().write(target, value)
        if root._array is None:
            root._cold_part().value = around  # until the node is there, whose output it becomes

    def grad_changes(self, leaf: Tensor) -> None:
        raise TraceError(
            f"{self.op}: {self.what} can't run backward(); run it on the result of the {self.op}"
        )

    def after(self, callback: Callable[[], None]) -> bool:
        raise TraceError(
            f"{self.op}: {self.what} can't step a scheduler or change other Python objects, as it "
            f"does not run once at every call; do it outside the {self.op}"
        )

    def writes_to(self, key: int) -> bool:
        """Whether the function wrote an operand."""
        return key in self.captures and self.captures[key].written

    def close(self, operands: Sequence[int], written: Sequence[int]) -> None:
        """Take all the operands, in order, and return what either function wrote."""
        inputs = {}
        for key in operands:
            capture, tensor = self.captures.get(key), self.operands[key]
            inputs[key] = (
                Value(tensor.dtype, tuple(tensor.shape)) if capture is None else capture.entry
            )
        self.program.inputs = [*self.entries, *inputs.values()]
        for i, value in enumerate(self.program.inputs):
            value.name = f"x{i}"
        for key in written:
            now = self.captures[key].value if key in self.captures else inputs[key]
            self.program.outputs.append(now)


def as_tensor(x: Any, region: Region | None = None) -> Any:
    """A result of a function that an op records."""
    if isinstance(x, Tensor):
        return x
    if not is_number(x):
        where = "while_loop" if region is None else f"{region.op}: {region.what}"
        raise TraceError(f"{where} got a {type(x).__name__}; it must be a tensor")
    return ops.full((), x, "float32" if isinstance(x, float) else "int64")


__all__ = ["Region", "as_tensor"]
