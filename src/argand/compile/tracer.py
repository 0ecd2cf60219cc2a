"""Tracing: the user's function runs once on symbolic values and leaves a Program.

Arguments get stand-ins. Other tensors keep their identity while traced; what represents their
contents changes. A tensor of real memory that the function touches is *captured*: it becomes a
hidden input (state) of the program, and a hidden output when it is written. Nothing of the real
tensors is changed by a trace: what it has to change (a gradient, a place on the tape) is put back
when it ends, also when it fails.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from argand.base.dim import Dim
from argand.base.dtype import float64, from_numpy
from argand.base.errors import TraceError
from argand.base.integer import Integer, as_plain
from argand.base.intlike import numbers
from argand.base.scripting import running
from argand.base.size_guards import remember
from argand.base.userstack import Location, module_path, user_location
from argand.compile.baking import Example, note_read
from argand.compile.decisions import decide
from argand.compile.float_standin import FloatArgumentRead, FloatStandIn, pass_for_float
from argand.compile.integers import Sources, carried, carrier_value, sizes_of
from argand.compile.layout import Made, computed, offset_of, stored
from argand.compile.places import (
    Argument,
    GradientOf,
    Held,
    Place,
    is_contiguous,
    is_leaf,
    moved,
    strides,
)
from argand.ir import bind as crossroads
from argand.ir.bind import Interpreter, interpreting
from argand.ir.elementwise import Elementwise
from argand.ir.families import Composite
from argand.ir.interpret import concrete
from argand.ir.op import Literal, Op, ops
from argand.ir.program import Program, Value
from argand.ir.record import Recorder
from argand.ops.arithmetic import Cast
from argand.ops.move import Reshape
from argand.tensor.core import Cold, Tensor, of_stand_in, wrap
from argand.tensor.inplace import replaced
from argand.tensor.meta import check_has_values
from argand.tensor.views import View, chain_of, follow, link, root_of
from argand.transform.mode import mode
from argand.transform.tape import LEAF, record


@dataclasses.dataclass(slots=True, eq=False)
class Capture:
    """A tensor that the program reads from outside, and the program's value of its contents now."""

    tensor: Tensor
    entry: Value  # what the program finds
    place: Place
    value: Any = None  # what it holds now
    written: bool = False

    def __post_init__(self) -> None:
        self.value = self.entry if self.value is None else self.value

    @property
    def is_argument(self) -> bool:
        """Whether it comes with each call."""
        return isinstance(self.place, Argument)


class Touched(NamedTuple):
    """A real tensor that the trace may change, and what it was like before."""

    tensor: Tensor
    view: View | None
    cold: Cold | None
    node: Any
    output: int


class Tracer(Interpreter):
    """Records the binds of one run of a function."""

    traces = True

    def __init__(self, name: str, name_of: Callable[[Tensor], str | None]) -> None:
        self.program = Program(name)
        self.recorder = Recorder(self.program, module_path)
        self.name_of = name_of
        self.captures: dict[int, Capture] = {}
        self.elementwise: dict[int, Made] = {}  # results, by their ids
        self.touched: dict[int, Touched] = {}
        self.floats: dict[Value, int] = {}  # the inputs that are float arguments
        self.integers: dict[str, int] = {}  # the leaf of each symbol that is an int argument
        self.leaves: Sequence[Any] = ()  # of the call that is traced
        # What was asked of arguments (by their numbers), and the answers.
        self.answers: dict[tuple[Callable[[Tensor], Any], int], Any] = {}
        self.grads_read: dict[int, tuple[Tensor, bool]] = {}  # leaves whose `.grad` Python saw
        self.asks_attributes = False  # whether arguments were asked for what a user may set on them
        self.after_call: list[Callable[[], None]] = []
        self._wanted_before: dict[int, tuple[Tensor, bool]] = {}
        self._known: dict[Value, Any] = {}  # what was made of data
        self.example = Example()
        self._grads_before: dict[int, tuple[Tensor, Tensor | None]] = {}
        self._grads_set: dict[int, None] = {}  # in order
        self._gradient_of: dict[int, Tensor] = {}
        self._made: list[tuple[weakref.ref[Tensor], Location | None]] = []

    # -- arguments -----------------------------------------------------------------------------

    def argument(self, leaf: Tensor, number: int, value: Value) -> Tensor:
        """The stand-in of an argument while the function runs."""
        proxy: Tensor = object.__new__(type(leaf))
        proxy._array = None
        proxy._node = None if leaf._node is None else LEAF
        proxy._index = 0
        cold = proxy._cold = _copied(leaf._cold) or Cold()
        proxy._view, cold.value = None, value
        if vars(leaf):
            proxy.__dict__ = dict(vars(leaf))
        return self._input(proxy, value, number)

    def float_argument(self, number: int, value: Value) -> Tensor:
        """The stand-in of a float, a 0-d tensor; it promotes as a Python number does."""
        proxy = traced_tensor(value)
        proxy.weak = True
        pass_for_float(proxy)
        self.floats[value] = number
        return self._input(proxy, value, number)

    def integer_argument(self, number: int, integer: Integer, label: str) -> Integer:
        """The stand-in of an int; an input without elements brings its value."""
        value = carrier_value(integer, label)
        self.integers[carried(integer)] = number
        self._input(traced_tensor(value), value, number)
        return integer

    def _input(self, proxy: Tensor, value: Value, number: int) -> Tensor:
        value.name = self.program.free_name(value.name)
        self.program.inputs.append(value)
        self.captures[id(proxy)] = Capture(proxy, value, Argument(number))
        return proxy

    # -- values of tensors ---------------------------------------------------------------------

    def read(self, x: Any) -> Any:
        """The program value of a tensor's contents, now."""
        if type(x) is Literal:
            return x
        own = self.captures.get(id(x))
        if own is not None:
            return own.value
        if x._array is not None:
            self.touch(x)
        if x._view is None:
            return self._capture(x).value if x._array is not None else x._symbolic()
        cold, root = x._cold, root_of(x)
        if cold is not None and cold.value is not None and cold.version == root._writes:
            return cold.value
        value = self._along(self.read(root), chain_of(x))
        if x._array is None:
            cold = x._cold_part()
            cold.value, cold.version = value, root._writes
        return value

    def _along(self, value: Any, chain: Any) -> Any:
        with interpreting(self.recorder):
            return follow(value, chain)

    def touch(self, tensor: Tensor) -> None:
        """Let the trace change a tensor's gradient, version and place on the tape, for a while.

        A result of an operation from before the trace is a leaf inside it: gradients go no further.
        """
        if id(tensor) in self.touched:
            return
        node = tensor._node
        index = tensor._index if node is not None and node is not LEAF else 0
        self.touched[id(tensor)] = Touched(tensor, tensor._view, tensor._cold, node, index)
        tensor._cold = _copied(tensor._cold)
        if node is not None:
            tensor._node, tensor._index = LEAF, 0

    def _capture(self, tensor: Tensor) -> Capture:
        check_has_values(tensor)
        array = tensor._array
        value = Value(from_numpy(array.dtype), array.shape, self._state_name(tensor))
        self.program.state.append(value)
        leaf = self._gradient_of.get(id(tensor))
        place: Place = Held(tensor)
        if leaf is not None:
            place = GradientOf(self.place_of(leaf))
        capture = self.captures[id(tensor)] = Capture(tensor, value, place)
        return capture

    def place_of(self, tensor: Tensor) -> Place:
        """Where a call finds a tensor."""
        capture = self.captures.get(id(tensor))
        return Held(tensor) if capture is None else capture.place

    def _state_name(self, tensor: Tensor) -> str:
        leaf = self._gradient_of.get(id(tensor))
        name = self.name_of(tensor) if leaf is None else f"{self.label(leaf)}.grad"
        return self.program.free_name(name) if name else ""

    def name_states(self, name_of: Callable[[Tensor], str | None]) -> None:
        """Name the states that had no name when they were captured, made by the trace itself."""
        for capture in self.captures.values():
            if not capture.entry.name:
                number = self.program.state.index(capture.entry)
                name = name_of(capture.tensor) or f"state.{number}"
                capture.entry.name = self.program.free_name(name)

    def label(self, tensor: Tensor) -> str:
        """What messages call a tensor."""
        capture = self.captures.get(id(tensor))
        return capture.entry.name if capture is not None else self.name_of(tensor) or "a tensor"

    # -- the interpreter -----------------------------------------------------------------------

    def bind(self, op: Op, inputs: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, ...]:
        params = {k: as_plain(v) for k, v in params.items()}
        if isinstance(op, Composite) and (
            op.opens or (not op.own_adjoint and self._wants_grad(inputs))
        ):
            outputs = op.apply_body(inputs, params)
            for out in outputs if not op.keeps_order else ():
                self.elementwise.pop(id(out), None)  # eager code stores it row-major
            return outputs
        for name, param in params.items():
            for part in param if isinstance(param, tuple) else (param,):
                if isinstance(part, Tensor):
                    raise self._refusal(part, f"as the parameter {name!r} of {op.name}")
        values = tuple([self.read(x) for x in inputs])
        node = self.recorder.add(op, values, params)
        outputs = tuple([self._traced(v, node.location) for v in node.outputs])
        if isinstance(op, Elementwise):
            self.elementwise[id(outputs[0])] = Made(outputs[0], op, inputs)
            if not isinstance(op, Cast):
                self._mark_weak(inputs, outputs)
        if op.is_view:
            self._link_view(op, params, inputs[0], outputs[0])
        record(op, params, inputs, outputs)
        return outputs

    def _wants_grad(self, inputs: tuple[Any, ...]) -> bool:
        return mode.enabled and any(type(x) is not Literal and x._node is not None for x in inputs)

    @staticmethod
    def _mark_weak(inputs: tuple[Any, ...], outputs: tuple[Any, ...]) -> None:
        """What is computed from floats alone is a float still."""
        tensors = [x for x in inputs if type(x) is not Literal]
        if tensors and all(x.weak for x in tensors):
            for out in outputs:
                out.weak = True
                if any(isinstance(x, FloatStandIn) for x in tensors):
                    pass_for_float(out)

    def _traced(self, value: Value, location: Location | None) -> Tensor:
        tensor = traced_tensor(value)
        self._made.append((weakref.ref(tensor), location))
        return tensor

    def _link_view(self, op: Op, params: dict[str, Any], source: Tensor, out: Tensor) -> None:
        captured = id(source) in self.captures
        root = source if captured else source._root()
        before = () if root is source else chain_of(source)
        if isinstance(op, Reshape) and not self._shares_memory(root, before, op, params):
            return  # eager code copies here too
        link(out, source, (op, params), root)
        out._cold_part().version = root._writes

    def _shares_memory(self, root: Tensor, chain: Any, op: Op, params: dict[str, Any]) -> bool:
        """Whether eager code gives a view for a move: tried on memory laid out as the root's."""
        array = self.memory(root, is_contiguous)
        array = computed(self, root) if array is None else array
        plain = array is None or array.flags.c_contiguous
        if plain and all(isinstance(before, Reshape) for before, _ in chain):
            return True
        if array is None:
            array = np.empty(concrete(tuple(root.shape), self.hints()), np.uint8)
        before = moved(array, chain, self.hints())
        return bool(np.may_share_memory(before, moved(before, ((op, params),), self.hints())))

    def memory(self, root: Tensor, *questions: Callable[[Tensor], Any]) -> Any:
        """The array of a tensor from outside, of which something is asked; None of another one."""
        place = self.place_of(root)
        if not isinstance(place, Argument):
            return root._array
        leaf = self.leaves[place.number]
        if not isinstance(leaf, Tensor):
            return None
        self.answers |= {(ask, place.number): ask(leaf) for ask in questions}
        return leaf._array

    def hints(self) -> dict[str, int]:
        return {name: s.hint for name, s in self.program.symbols().items()}

    def layout_of(self, tensor: Tensor) -> Any:
        return stored(self, tensor, is_contiguous, strides)[1]

    def offset_of(self, tensor: Tensor) -> int:
        return offset_of(self, tensor)

    def write(self, target: Tensor, value: Tensor) -> None:
        captured = self.captures.get(id(target))
        root = target if captured is not None else target._root()
        new = self.read(value)
        if root is not target:
            with interpreting(self.recorder):
                new = replaced(self.read(root), chain_of(target), new)
        if root._array is not None:
            self.touch(root)
            if root is not target and target._array is not None:
                self.touch(target)
        capture = self.captures.get(id(root))
        if capture is None and root._array is not None:
            capture = self._capture(root)
        if capture is not None:
            capture.value, capture.written = new, True
        if root._array is None:
            root._cold_part().value = new

    def lift(self, value: Any) -> Tensor:
        found = of_stand_in(value)
        if found is not value:
            return found  # type: ignore[no-any-return]  # its memory is read at every call
        if isinstance(value, np.ndarray | list | tuple):
            return wrap(np.array(value))  # captured as a constant state when it is read
        return super().lift(value)  # type: ignore[no-any-return]  # it raises

    def attribute_is_missing(self, tensor: Tensor) -> None:
        self.asks_attributes |= id(tensor) in self.captures

    def made(self, tensor: Tensor) -> Tensor:
        """What each call makes of the data; Python may read it, as long as nothing is written."""
        out: Tensor = ops.contiguous(tensor)
        self._known[self.read(out)] = tensor._array
        return out

    # -- values that aren't known --------------------------------------------------------------

    def knows(self, tensor: Tensor) -> bool:
        operand = self.read(tensor)
        if self._known.get(operand) is not None:
            return True
        return decide(operand, self.floats, self.sources(), self.leaves) is not None

    def is_made(self, tensor: Tensor) -> bool:
        """Whether every call makes a tensor of the same data."""
        return self._known.get(self.read(tensor)) is not None

    def concrete(self, tensor: Tensor) -> Any:
        known = self._known.get(self.read(tensor))
        if known is not None:
            return np.array(known)
        decision = decide(self.read(tensor), self.floats, self.sources(), self.leaves)
        if decision is None:
            return self._of_example(tensor)
        remember(decision.holds, decision.symbols(), decision.floats.values())
        return np.array(decision.outcome)

    def _of_example(self, tensor: Tensor) -> Any:
        """What a tensor is in the example, where the trace takes that for a constant."""
        found = None
        if running.reads is not None and type(self) is Tracer:
            entries = {c.entry: c.place for c in self.captures.values()}
            leaves = [*running.leaves, *self.leaves[len(running.leaves) :]]
            sizes = sizes_of(self.sources(), leaves)
            found = self.example.value(self.read(tensor), entries, leaves, sizes)
        if found is None:
            raise self._refusal(tensor, "")
        note_read()
        return found

    def sources(self) -> Sources:
        """Where a call finds the values of the symbols."""
        found: dict[str, tuple[str, int, int]] = {}
        for capture in self.captures.values():
            if isinstance(capture.place, Argument):
                for d, size in enumerate(capture.entry.shape):
                    if isinstance(size, Dim):
                        name = str(size)
                        found.setdefault(name, (name, capture.place.number, d))
        return tuple(found.values())

    def _refusal(self, tensor: Tensor, where: str) -> Exception:
        value = self.read(tensor)
        floats = self.floats_behind(value)
        if floats:
            return FloatArgumentRead(floats)
        location = user_location(3)
        return TraceError(
            f"the value of {self._describe(value)} is read{' ' + where if where else ''} at "
            f"{location}, but it is not known while the function is traced. Use "
            "ag.where(condition, a, b) or ag.cond(condition, f, g, ...) in place of a Python "
            "branch; return a tensor and read it outside; or take this part out of the compiled "
            "function"
        )

    def floats_behind(self, value: Any) -> set[int]:
        """The float and int arguments that a value depends on; empty when it depends on more."""
        found: set[int] = set()
        stack, seen = [value], set()
        while stack:
            v = stack.pop()
            if not isinstance(v, Value) or v in seen:
                continue
            seen.add(v)
            if v in self.floats:
                found.add(self.floats[v])
            elif v.node is None:
                return set()
            else:
                found |= self._integers_in(tuple(v.node.params.values()))
                stack.extend(v.node.values)
        return found

    def _integers_in(self, params: Any) -> set[int]:
        if isinstance(params, tuple):
            return {i for param in params for i in self._integers_in(param)}
        names = params.symbols() if isinstance(params, Dim) else {}
        return {self.integers[name] for name in names if name in self.integers}

    def _describe(self, value: Any) -> str:
        if not isinstance(value, Value):
            return "a tensor"
        if value.node is None:
            return f"the tensor {value.name!r}"
        where = f" at {value.node.location}" if value.node.location else ""
        module = f" in module {value.node.module}" if value.node.module else ""
        return f"a tensor made by {value.node.op.name}{where}{module}"

    # -- gradients of leaves -------------------------------------------------------------------

    def leaf_changes(self, leaf: Tensor) -> None:
        if leaf._array is not None:
            self.touch(leaf)
        if leaf._array is not None or id(leaf) in self.captures:
            self.leafness_is_read(leaf)
            self._wanted_before.setdefault(id(leaf), (leaf, leaf._node is not None))

    def wants_before(self) -> list[tuple[Place, bool]]:
        """Whether the tensors from outside that start or stop to want a gradient wanted one."""
        return [(self.place_of(leaf), before) for leaf, before in self._wanted_before.values()]

    def wants_changed(self) -> list[tuple[Place, bool]]:
        """The tensors from outside that want a gradient now, or no longer want one."""
        return [
            (self.place_of(leaf), leaf._node is not None)
            for leaf, before in self._wanted_before.values()
            if (leaf._node is not None) is not before
        ]

    def leafness_is_read(self, tensor: Tensor) -> bool | None:
        capture = self.captures.get(id(tensor))
        if capture is None or not isinstance(capture.place, Argument):
            return None
        number = capture.place.number
        leafness = self.answers[is_leaf, number] = is_leaf(self.leaves[number])
        return leafness

    def grad_is_read(self, leaf: Tensor) -> None:
        self.leafness_is_read(leaf)
        if leaf._array is None and id(leaf) not in self.captures:
            return
        if leaf._array is not None:
            self.touch(leaf)
        if id(leaf) in self._grads_set or id(leaf) in self.grads_read:
            return
        before = self._remember_gradient(leaf)
        self.grads_read[id(leaf)] = (leaf, before is not None)

    def grad_changes(self, leaf: Tensor) -> None:
        self.leafness_is_read(leaf)
        if leaf._array is not None:
            self.touch(leaf)
        self._remember_gradient(leaf)
        self._grads_set[id(leaf)] = None

    def _remember_gradient(self, leaf: Tensor) -> Tensor | None:
        if id(leaf) not in self._grads_before:
            before = None if leaf._cold is None else leaf._cold.grad
            self._grads_before[id(leaf)] = (leaf, before)
            if before is not None:
                self._gradient_of[id(before)] = leaf
        return self._grads_before[id(leaf)][1]

    def new_gradients(self) -> list[tuple[Tensor, Tensor | None]]:
        """The leaves from outside whose `.grad` was set, with what it is now."""
        found = []
        for number in self._grads_set:
            leaf, before = self._grads_before[number]
            now = None if leaf._cold is None else leaf._cold.grad
            outside = leaf._array is not None or id(leaf) in self.captures
            if outside and (now is not before or now is None):
                found.append((leaf, now))
        return found

    # -- effects -------------------------------------------------------------------------------

    def after(self, callback: Callable[[], None]) -> bool:
        self.after_call.append(callback)
        return True

    # -- the end -------------------------------------------------------------------------------

    def restore(self) -> None:
        """Undo everything that the traced run did to real tensors."""
        for tensor, view, cold, node, index in self.touched.values():
            tensor._view, tensor._cold, tensor._node, tensor._index = view, cold, node, index

    def forget(self) -> None:
        """Let go of all tensors, so that only those that others hold are left."""
        self._wanted_before.clear()
        self._known.clear()
        self.elementwise.clear()
        for held in (self.captures, self.grads_read, self._grads_before, self._gradient_of):
            held.clear()
        for reference, _ in self._made:
            tensor = reference()
            if tensor is not None and tensor._cold is not None:
                tensor._cold.value = None  # an error from now on

    def leaked(self) -> list[Location | None]:
        """The lines that made tensors which outlive the trace."""
        return [location for reference, location in self._made if reference() is not None]


def _size_as_number(dim: Dim) -> Any:
    """A symbolic size in arithmetic with floats: a tensor that promotes as a Python number does."""
    if not isinstance(crossroads.current(), Tracer):
        return None
    found = ops.full((), dim, float64)
    found.weak = True
    return found


numbers.append(_size_as_number)


def traced_tensor(value: Value) -> Tensor:
    """A tensor whose contents is a program value."""
    tensor: Tensor = object.__new__(Tensor)
    tensor._array = None
    tensor._node = None
    tensor._index = 0
    tensor._view = None
    cold = tensor._cold = Cold()
    cold.value = value
    return tensor


def _copied(cold: Cold | None) -> Cold | None:
    return None if cold is None else cold.copied()
