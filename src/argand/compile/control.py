"""Control flow on tensor values that stays inside one program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from argand.base.errors import CallError, TraceError
from argand.base.misuse import FAILURES, explain
from argand.base.tree import Structure, flatten, unflatten
from argand.compile.places import Place
from argand.compile.tracer import Capture, Tracer
from argand.ir import bind as crossroads
from argand.ir.bind import interpreting
from argand.ir.elementwise import is_number
from argand.ir.op import ops, registry
from argand.ir.program import Value
from argand.tensor.core import Tensor
from argand.transform import graph as _graph  # gives Control its derivative
from argand.transform.mode import no_grad

assert _graph is not None


def cond(
    pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], *operands: Any
) -> Any:
    """`true_fn(*operands)` where `pred` is true, else `false_fn(*operands)`; as `torch.cond`.

    Outside of a compiled function this is a Python branch. Inside, both functions become part of
    the program and one of them runs at each call; they must return tensors of the same dtypes and
    shapes, nested alike. Tensors that they close over take part, in derivatives too. As in PyTorch
    the operands may be given as one tuple. Where `vmap` gives each example a condition of its own,
    both functions run, and each example takes one's results.

    >>> ag.cond(ag.tensor(True), lambda x: x + 1, lambda x: x - 1, ag.tensor(3.0))
    tensor(4.)
    """
    for function in (true_fn, false_fn):
        if not callable(function):
            raise CallError(f"cond takes two functions, got {type(function).__name__}")
    if len(operands) == 1 and isinstance(operands[0], tuple | list):
        operands = tuple(operands[0])
    tracer = crossroads.current()
    if isinstance(pred, Tensor) and tracer.varies(pred):
        return _chosen(pred, true_fn(*operands), false_fn(*operands))
    if not isinstance(pred, Tensor) or not isinstance(tracer, Tracer):
        return (true_fn if pred else false_fn)(*operands)
    try:
        return _Branches(tracer, operands).run(_as_condition(pred), true_fn, false_fn)
    except FAILURES as error:
        explain(error)
        raise


def _chosen(pred: Tensor, yes: Any, no: Any) -> Any:
    """Of the results of both branches, those of one; under `vmap`, which computes both."""
    (left, structure), (right, other) = flatten(yes), flatten(no)
    if structure != other:
        raise TraceError("cond: both branches must return tensors nested alike")
    condition = _as_condition(pred)
    chosen = [ops.where(condition, a, b) for a, b in zip(left, right, strict=True)]
    return unflatten(structure, chosen)


def _as_condition(pred: Tensor) -> Any:
    if pred.ndim and pred.shape.numel() == 1:
        pred = ops.reshape(pred, ())
    return pred if pred.dtype.kind == "b" else ops.ne(pred, 0)


class _Branches:
    """Two functions traced as regions over the same operands."""

    def __init__(self, outer: Tracer, arguments: Sequence[Any]) -> None:
        self.outer = outer
        self.arguments = arguments
        self.operands: dict[int, Tensor] = {}  # what either branch reads from outside, in order

    def run(self, pred: Any, true_fn: Any, false_fn: Any) -> Any:
        """Trace both, bind the op, write what they wrote."""
        yes, structure = self._traced(true_fn, "then")
        no, other = self._traced(false_fn, "otherwise")
        if structure != other:
            raise TraceError("cond: both branches must return tensors nested alike")
        written = [k for k in self.operands if yes.writes_to(k) or no.writes_to(k)]
        for region in (yes, no):
            region.close(list(self.operands), written)
        regions = (yes.program, no.program)
        inputs = (pred, *self.operands.values())
        outputs = list(crossroads.bind(registry.get("cond"), inputs, {"regions": regions}))
        for key, value in zip(written, outputs[len(outputs) - len(written) :], strict=True):
            with no_grad():
                self.outer.write(self.operands[key], value)
                self.operands[key]._wrote()
        return unflatten(structure, outputs[: len(outputs) - len(written)])

    def _traced(self, function: Callable[..., Any], name: str) -> tuple[_Region, Structure]:
        region = _Region(self.outer, self.operands, name)
        with interpreting(region), no_grad():
            leaves, structure = flatten(function(*self.arguments))
            region.program.outputs = [region.read(_result(x)) for x in leaves]
        return region, structure


def _result(x: Any) -> Any:
    if isinstance(x, Tensor):
        return x
    if not is_number(x):
        raise TraceError(f"cond: a branch returned a {type(x).__name__}; it must return tensors")
    return ops.full((), x, "float32" if isinstance(x, float) else "int64")


class _Region(Tracer):
    """Records one branch; tensors from outside become inputs of its program."""

    def __init__(self, outer: Tracer, operands: dict[int, Tensor], name: str) -> None:
        super().__init__(name, outer.name_of)
        self.outer = outer
        self.operands = operands
        self.answers, self.leaves = outer.answers, outer.leaves
        self._mine: dict[int, Tensor] = {}

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
        if id(root) not in self._mine:
            shared = [c.tensor for c in self.captures.values() if c.tensor._root() is root]
            if root is not target or any(t is not root for t in shared):
                raise TraceError(
                    "cond: a branch writes into a view of a tensor from outside; return the new "
                    "value from both branches and write it after the cond"
                )
            self.read(root)
        super().write(target, value)

    def grad_changes(self, leaf: Tensor) -> None:
        raise TraceError("cond: a branch can't run backward(); run it on the result of the cond")

    def after(self, callback: Callable[[], None]) -> bool:
        raise TraceError(
            "cond: a branch can't step a scheduler or change other Python objects, as it does not "
            "run at every call; do it outside the cond"
        )

    def writes_to(self, key: int) -> bool:
        """Whether this branch wrote an operand."""
        return key in self.captures and self.captures[key].written

    def close(self, operands: Sequence[int], written: Sequence[int]) -> None:
        """Take all the operands of both branches, in order, and return what either wrote."""
        inputs = []
        for i, key in enumerate(operands):
            capture = self.captures.get(key)
            tensor = self.operands[key]
            entry = Value(tensor.dtype, tuple(tensor.shape)) if capture is None else capture.entry
            entry.name = f"x{i}"
            inputs.append(entry)
        current = {k: c.value for k, c in self.captures.items()}
        self.program.inputs = inputs
        for key in written:
            self.program.outputs.append(current.get(key, inputs[operands.index(key)]))
