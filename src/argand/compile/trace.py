"""Tracing: the user's function runs once on symbolic values and leaves a Program.

Tensors keep their identity while traced; only what stands for their contents changes. A tensor of
real memory that the function touches is *captured*: it becomes a hidden input (state) of the program,
and a hidden output when it is written. Nothing of the real tensors is changed by a trace.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from argand.base.dtype import from_numpy
from argand.base.errors import TraceError
from argand.base.userstack import Location, module_path, user_location
from argand.ir.bind import Interpreter, interpreting
from argand.ir.families import Composite
from argand.ir.op import Literal, Op
from argand.ir.program import Program, Value
from argand.ir.record import Recorder
from argand.tensor.core import Cold, Tensor, follow, wrap
from argand.tensor.inplace import replaced
from argand.transform.mode import mode
from argand.transform.tape import record


class FloatArgumentRead(Exception):
    """Python read the value of a float argument: it must be a constant of the program."""

    def __init__(self, number: int) -> None:
        self.number = number


class Capture:
    """A tensor of real memory that the program reads, and what stands for its contents now."""

    __slots__ = ("entry", "is_argument", "leaf", "tensor", "value", "version", "written")

    def __init__(self, tensor: Tensor, value: Value, is_argument: bool) -> None:
        self.tensor = tensor
        self.entry = value  # what the program finds
        self.value: Any = value  # what it holds now
        self.is_argument = is_argument
        self.written = False
        self.version = tensor._version
        self.leaf: Tensor | None = None  # when this is the `.grad` of a leaf: that leaf


class GradLog(NamedTuple):
    """A leaf whose `.grad` the function touched, and the gradient from before the trace."""

    leaf: Tensor
    before: Tensor | None
    was_read: bool


class Tracer(Interpreter):
    """Records the binds of one run of a function."""

    def __init__(self, name: str, name_of: Callable[[Tensor], str | None]) -> None:
        self.program = Program(name)
        self.recorder = Recorder(self.program, module_path)
        self.name_of = name_of
        self.captures: dict[int, Capture] = {}
        self.grads: dict[int, GradLog] = {}
        self.floats: dict[int, int] = {}
        self.made: list[tuple[weakref.ref[Tensor], Location | None]] = []
        self._saved_tape: dict[int, tuple[Tensor, Any, Any, int]] = {}

    # -- what tensors stand for ----------------------------------------------------------------

    def add_argument(self, tensor: Tensor, value: Value) -> None:
        """Let a tensor argument stand for an input of the program."""
        self.program.inputs.append(value)
        self.captures[id(tensor)] = Capture(tensor, value, is_argument=True)

    def read(self, x: Any) -> Any:
        """The program value of a tensor's contents, now."""
        if type(x) is Literal:
            return x
        own = self.captures.get(id(x))
        if own is not None:
            return own.value
        cold = x._cold
        root = None if cold is None else cold.root
        if root is None:
            return self._capture(x).value if x._array is not None else x._symbolic()
        if cold.value is not None and cold.version == root._version:
            return cold.value
        value = self._along(self.read(root), cold.chain)
        if x._array is None:
            cold.value, cold.version = value, root._version
        return value

    def _along(self, value: Any, chain: Any) -> Any:
        with interpreting(self.recorder):
            return follow(value, chain)

    def _capture(self, tensor: Tensor) -> Capture:
        array = tensor._array
        value = Value(from_numpy(array.dtype), array.shape, self._state_name(tensor))
        self.program.state.append(value)
        capture = self.captures[id(tensor)] = Capture(tensor, value, is_argument=False)
        for other in list(self.captures.values()):
            if other.tensor._cold is not None and other.tensor._cold.grad is tensor:
                capture.leaf = other.tensor
                value.name = f"{other.entry.name}.grad"
        return capture

    def _state_name(self, tensor: Tensor) -> str:
        taken = {v.name for v in self.program.state}
        name = self.name_of(tensor) or f"state.{len(taken)}"
        while name in taken:
            name += "'"
        return name

    # -- the interpreter -----------------------------------------------------------------------

    def bind(self, op: Op, inputs: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, ...]:
        if isinstance(op, Composite) and not op.own_adjoint and self._wants_grad(inputs):
            return op.apply_body(inputs, params)
        values = tuple(self.read(x) for x in inputs)
        node = self.recorder.add(op, values, params)
        outputs = tuple(self._traced(v, node.location) for v in node.outputs)
        if op.is_view:
            self._link_view(op, params, inputs[0], outputs[0])
        record(op, params, inputs, outputs)
        return outputs

    def _wants_grad(self, inputs: tuple[Any, ...]) -> bool:
        return mode.enabled and any(
            type(x) is not Literal and x._node is not None for x in inputs
        )

    def _traced(self, value: Value, location: Location | None) -> Tensor:
        tensor = traced_tensor(value)
        self.made.append((weakref.ref(tensor), location))
        return tensor

    def _link_view(self, op: Op, params: dict[str, Any], source: Tensor, out: Tensor) -> None:
        if op.name == "reshape" and not _contiguous(source):
            return  # eager copies here too
        root = source if id(source) in self.captures else source._root()
        cold = out._cold_part()
        cold.root = root
        before = () if root is source or source._cold is None else source._cold.chain
        cold.chain = (*before, (op, params))
        cold.generation = root._cold_part().generation
        cold.version = root._version

    def write(self, target: Tensor, value: Tensor) -> None:
        root = target if id(target) in self.captures else target._root()
        new = self.read(value)
        with interpreting(self.recorder):
            if root is not target and target._cold is not None:
                new = replaced(self.read(root), target._cold.chain, new)
        self._save_tape(root)
        if root is not target:
            self._save_tape(target)
        if root._array is None:
            root._cold_part().value = new
            return
        capture = self.captures.get(id(root)) or self._capture(root)
        capture.value, capture.written = new, True

    def _save_tape(self, tensor: Tensor) -> None:
        """Remember a real tensor's place on the tape before an in-place write replaces it."""
        if tensor._array is not None and id(tensor) not in self._saved_tape:
            index = tensor._index if tensor._node is not None and not tensor.is_leaf else 0
            generation = tensor._cold_part().generation
            self._saved_tape[id(tensor)] = (tensor, tensor._node, index, generation)

    def lift(self, value: Any) -> Tensor:
        if isinstance(value, np.ndarray | list | tuple):
            return wrap(np.array(value))  # captured as a constant state when it is read
        return super().lift(value)  # type: ignore[no-any-return]  # it raises

    def concrete(self, tensor: Tensor) -> Any:
        number = self.floats.get(id(tensor))
        if number is not None:
            raise FloatArgumentRead(number)
        location = user_location(2)
        made = self._maker(tensor)
        raise TraceError(
            f"the value of a tensor{made} is read at {location}, but it is not known while the "
            "function is traced. Use ag.where(condition, a, b) or ag.cond(condition, f, g, ...) "
            "in place of a Python branch; return a tensor and read it outside; or take this part "
            "out of the compiled function"
        )

    def _maker(self, tensor: Tensor) -> str:
        value = self.read(tensor)
        if not isinstance(value, Value) or value.node is None:
            return f" ({value.name})" if isinstance(value, Value) else ""
        where = f" at {value.node.location}" if value.node.location else ""
        return f" made by {value.node.op.name}{where}"

    # -- gradients of leaves -------------------------------------------------------------------

    def grad_is_read(self, leaf: Tensor) -> None:
        if id(leaf) not in self.grads:
            before = None if leaf._cold is None else leaf._cold.grad
            self.grads[id(leaf)] = GradLog(leaf, before, was_read=True)

    def grad_changes(self, leaf: Tensor) -> None:
        if id(leaf) not in self.grads:
            before = None if leaf._cold is None else leaf._cold.grad
            self.grads[id(leaf)] = GradLog(leaf, before, was_read=False)

    # -- the end -------------------------------------------------------------------------------

    def restore(self) -> None:
        """Undo everything that the traced run did to real tensors."""
        for leaf, before, _ in self.grads.values():
            leaf._cold_part().grad = before
        for tensor, node, index, generation in self._saved_tape.values():
            tensor._node, tensor._index = node, index
            tensor._cold_part().generation = generation
        for capture in self.captures.values():
            root = capture.tensor._root()
            if root._cold is not None:
                root._cold.version = min(root._cold.version, capture.version)

    def leaked(self, returned: set[int]) -> list[Location | None]:
        """The lines that made tensors which outlive the trace without being returned."""
        found = []
        for reference, location in self.made:
            tensor = reference()
            if tensor is not None and id(tensor) not in returned:
                found.append(location)
        return found


def traced_tensor(value: Value) -> Tensor:
    """A tensor whose contents is a program value."""
    tensor: Tensor = object.__new__(Tensor)
    tensor._array = None
    tensor._node = None
    cold = tensor._cold = Cold()
    cold.value = value
    return tensor


def _contiguous(tensor: Tensor) -> bool:
    """Whether the memory of a tensor is row-major, as far as a trace can tell."""
    if tensor._array is not None:
        return bool(tensor._array.flags.c_contiguous)
    cold = tensor._cold
    if cold is None or cold.root is None:
        return True
    return all(op.name == "reshape" for op, _ in cold.chain) and _contiguous(cold.root)
