"""`Calls`: the interpreter of code that stands for several calls at once, which `vmap` pushes.

A tensor of this interpreter has, as a traced one, no memory but a value: an `Operand`, a tensor of
the interpreter around it with the number of the calls in front, or one that is the same for all.
Its shape is what one call sees. Every op is bound to the interpreter around, by the rule of its
family (`ir/batching.py`); so calls nest, and may be traced.

Gradients are recorded twice, each time for those who ask there: at this level for what the mapped
function itself differentiates (`vmap(grad(f))`: a gradient for each call), and around it, where
every op of the rules is an ordinary one (`grad(vmap(f))`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from argand.func.custom import applied
from argand.ir import bind as crossroads
from argand.ir.batching import Operand, one_by_one
from argand.ir.bind import Interpreter, interpreting
from argand.ir.families import Composite, Control
from argand.ir.op import Literal, Op, ops, registry
from argand.ir.record import replay
from argand.ops.control import Cond
from argand.tensor.core import Cold, Tensor
from argand.tensor.eager import check_writable
from argand.tensor.inplace import assign, replaced
from argand.tensor.views import View, chain_of, follow, link, root_of
from argand.transform.mode import mode
from argand.transform.tape import record


class Value:
    """The contents of a tensor of a level: what `Tensor` asks of a value while it has no memory."""

    __slots__ = ("dtype", "level", "operand", "owned", "shape")

    def __init__(self, level: Calls, operand: Operand, owned: bool) -> None:
        self.level = level
        self.operand = operand
        # Whether the memory belongs to this level: no tensor of the interpreter around shows it, so
        # a write makes a new value. Else it is written where it is.
        self.owned = owned
        self.dtype = operand.value.dtype
        self.shape = operand.shape

    def __str__(self) -> str:
        return f"{self.dtype.short}[{', '.join(map(str, self.shape))}] of each call"

    def told(self, x: Tensor) -> str:
        """What printing shows of a tensor that has this value, as PyTorch does."""
        value, many = self.level.read(x)
        with interpreting(self.level.around):
            text = repr(value).replace("\n", "\n    ")
        return (
            f"BatchedTensor(lvl={self.level.depth}, bdim=0, value=\n    {text}\n)" if many else text
        )


def value_of(x: Any) -> Value | None:
    """The value of a tensor of any level of calls; None of another one."""
    if type(x) is Literal or x._array is not None or x._cold is None:
        return None
    value = x._cold.value
    return value if type(value) is Value else None


class Calls(Interpreter):
    """`size` calls at once."""

    traces = True  # values can't be looked at

    def __init__(self, size: Any, randomness: str) -> None:
        self.size = size
        self.randomness = randomness
        self.around = crossroads.current()
        self.depth = getattr(self.around, "depth", 0) + 1
        self.recorded = False  # whether a tape around goes through what was computed here

    # -- tensors -----------------------------------------------------------------------------------

    def tensor(self, operand: Operand, owned: bool = True) -> Tensor:
        """A tensor of this level."""
        made: Tensor = object.__new__(Tensor)
        made._array = made._node = made._view = None
        made._index = 0
        made._cold = Cold()
        made._cold.value = Value(self, operand, owned)
        self.recorded |= operand.value._node is not None
        return made

    def own(self, x: Any) -> Value | None:
        """The value of a tensor of this level; None of another one."""
        value = value_of(x)
        return value if value is not None and value.level is self else None

    def read(self, x: Any) -> Operand:
        """What a tensor, or a literal, is in the interpreter around."""
        value = self.own(x)
        if value is None:
            return Operand(x, False)
        if x._view is not None:
            root = root_of(x)
            at_root = self.own(root)
            if at_root is not None and at_root.owned and x._cold.version != root._writes:
                fresh = self.own(follow(self.bare(root), chain_of(x)))
                assert fresh is not None
                x._cold.value, x._cold.version = fresh, root._writes
                value = fresh
        return value.operand

    def bare(self, x: Any) -> Any:
        """A tensor of this level of the same contents, without a place on this level's tape."""
        return x if type(x) is Literal else self.tensor(self.read(x), False)

    def entered(self, x: Any) -> Any:
        return x.shadow() if self.own(x) is not None else self.tensor(Operand(x, False), False)

    def owns(self, x: Any) -> bool:
        return self.own(x) is not None

    def varies(self, x: Any) -> bool:
        return self.read(x).many

    def knows(self, x: Any) -> bool:
        operand = self.read(x)
        one = operand.value
        return not operand.many and (one._array is not None or self.around.knows(one))

    def detached(self, x: Any) -> Any:
        value, twin = self.own(x), x.shadow()
        if value is not None:
            operand = self.read(x)
            with interpreting(self.around):
                apart = Operand(operand.value.detach(), operand.many)
            twin._cold.value = Value(self, apart, value.owned)
            twin._cold.version = root_of(x)._writes
        return twin

    def applied(self, function: Any, args: Any, kwargs: Any) -> Any:
        return applied(self, function, args, kwargs)

    def differentiates(self) -> bool:
        return self.recorded or self.around.differentiates()

    # -- computing ---------------------------------------------------------------------------------

    def bind(self, op: Op, inputs: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, ...]:
        wanted = mode.enabled and any(
            self.own(x) is not None and x._tape() is not None for x in inputs
        )
        if wanted and isinstance(op, Composite) and not op.own_adjoint:
            return op.apply_body(inputs, params)
        operands = [self.read(x) for x in inputs]
        outputs = tuple([self.tensor(y) for y in self._computed(op, operands, params)])
        if op.is_view:
            self._link_view(op, params, inputs[0], operands[0], outputs[0])
        if wanted:
            mine = [x if type(x) is Literal or self.own(x) else self.bare(x) for x in inputs]
            record(op, params, mine, outputs)
        return outputs

    def _computed(
        self, op: Op, operands: list[Operand], params: dict[str, Any]
    ) -> Sequence[Operand]:
        if not op.merges:
            return self._drawn(op, operands, params)
        if not any(x.many for x in operands):
            return self._once(op, operands, params)
        if isinstance(op, Cond):
            return self._both(operands, params)
        if isinstance(op, Control):  # a loop, whose rounds are each call's own
            with interpreting(self.around):
                return one_by_one(op, self.size, operands, params)
        with interpreting(self.around):
            found = op.batched(self.size, operands, params)
        if found is not None:
            return found  # type: ignore[no-any-return]  # an op gives Any
        if isinstance(op, Composite):
            given = [x.value if type(x.value) is Literal else self.tensor(x) for x in operands]
            return [self.read(y) for y in op.apply_body(given, params)]
        with interpreting(self.around):
            return one_by_one(op, self.size, operands, params)

    def _once(
        self, op: Op, operands: Sequence[Operand], params: dict[str, Any]
    ) -> Sequence[Operand]:
        with interpreting(self.around):
            found = crossroads.bind(op, tuple([x.value for x in operands]), params)
        return [Operand(y, False) for y in found]

    def _drawn(
        self, op: Op, operands: Sequence[Operand], params: dict[str, Any]
    ) -> Sequence[Operand]:
        """Random numbers: for all calls or for each, as the user said."""
        if self.randomness == "error":
            raise RuntimeError(
                "vmap: called random operation while in randomness error mode. Please either use "
                "the 'same' or 'different' randomness flags on vmap or perform the randomness "
                "operation out of vmap"
            )
        if self.randomness == "same":
            if any(x.many for x in operands):
                raise RuntimeError(
                    "vmap: a draw whose parameters differ from call to call can't be the same for "
                    "all calls; use randomness='different'"
                )
            return self._once(op, operands, params)
        with interpreting(self.around):
            return op.batched(self.size, operands, params)  # type: ignore[no-any-return]  # an op gives Any

    def _both(self, operands: Sequence[Operand], params: dict[str, Any]) -> Sequence[Operand]:
        """Both branches, and of each call's results those that it chose."""
        which, *given = [self.tensor(x) for x in operands]
        then, otherwise = (replay(region, given) for region in params["regions"])
        return [self.read(ops.where(which, a, b)) for a, b in zip(then, otherwise, strict=True)]

    # -- memory ------------------------------------------------------------------------------------

    def _link_view(
        self, op: Op, params: dict[str, Any], source: Any, operand: Operand, out: Tensor
    ) -> None:
        """Remember whose memory a result shares, where it does so around."""
        value = self.own(out)
        assert value is not None
        whole, part = operand.value, value.operand.value
        if part._view is None or root_of(part) is not root_of(whole):
            return
        if self.own(source) is None:  # memory of the interpreter around, apart from its gradient
            out._view = View(root_of(source), source._view, (op, params), None, 0)
            value.owned = False
            return
        link(out, source, (op, params))
        root = root_of(source)
        at_root = self.own(root)
        value.owned = at_root is not None and at_root.owned
        out._cold_part().version = root._writes

    def write(self, target: Tensor, value: Any) -> None:
        new, root = self.read(value), root_of(target)
        at_root = self.own(root)
        if at_root is None or not at_root.owned:
            self._write_around(self.read(target), new)
            return
        given = self.own(value)
        if given is None or not given.owned:  # who writes there must not write here
            (new,) = self._computed(registry.get("contiguous"), [new], {})
        if root is not target:
            new = self.read(replaced(self.bare(root), chain_of(target), self.tensor(new)))
        root._cold_part().value = Value(self, new, True)

    def _write_around(self, target: Operand, new: Operand) -> None:
        """Write to memory that belongs to the interpreter around."""
        if new.many and not target.many:
            raise RuntimeError(
                "vmap: inplace arithmetic(self, *extra_args) is not possible because there exists "
                "a Tensor `other` in extra_args that has more elements than `self`. This happened "
                "due to `other` being vmapped over but `self` not being vmapped over in a vmap. "
                "Please try to use out-of-place operators instead of inplace arithmetic."
            )
        with interpreting(self.around):
            check_writable(target.value)
            assign(target.value, new.stacked(self.size) if target.many else new.value)

    # -- what Python asks --------------------------------------------------------------------------

    def concrete(self, tensor: Tensor) -> Any:
        operand = self.read(tensor)
        if operand.many:
            raise RuntimeError(
                "vmap: It looks like you're either (1) calling .item() on a Tensor or (2) "
                "attempting to use a Tensor in some data-dependent control flow, such as an `if`. "
                "We don't support that yet: its value differs from call to call. Please try to "
                "rewrite what you're doing with other operations, such as torch.where"
            )
        with interpreting(self.around):
            return operand.value.numpy_array()

    def lift(self, value: Any) -> Any:
        return self.around.lift(value)

    def made(self, tensor: Any) -> Any:
        return self.tensor(Operand(self.around.made(tensor), False))

    def layout_of(self, tensor: Tensor) -> Any:
        operand = self.read(tensor)
        array = operand.value._array
        if array is None:
            array = self.around.layout_of(operand.value)
        if array is None or not operand.many:
            return array
        return array[0] if len(array) else np.empty(operand.shape, array.dtype)

    def attribute_is_missing(self, tensor: Tensor) -> None:
        self.around.attribute_is_missing(tensor)

    def grad_changes(self, leaf: Any) -> None:
        self.around.grad_changes(leaf)

    def grad_is_read(self, leaf: Any) -> None:
        self.around.grad_is_read(leaf)
