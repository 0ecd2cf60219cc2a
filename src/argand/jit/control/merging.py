"""Branches and rounds on traced conditions: what they leave in variables becomes results of a node.

A variable's value is taken apart into leaves (tensors, numbers, anything else) and a structure.
Leaves that no branch and no round changes stay what they are; others become tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from argand.base.dtype import DType, as_dtype
from argand.base.errors import TraceError
from argand.base.tree import Structure, flatten, unflatten
from argand.compile.control import Branches, Loop, as_condition
from argand.compile.regions import Region
from argand.compile.tracer import Tracer
from argand.ir import bind as crossroads
from argand.ir.elementwise import is_number
from argand.ir.op import ops
from argand.jit.control.exits import VALUE
from argand.tensor.core import Tensor

_ATTEMPTS = 16


class Undefined:
    """What a variable has that has no value."""

    def __repr__(self) -> str:
        return "undefined"


UNDEFINED = Undefined()


class State(NamedTuple):
    """The variables that a statement may change."""

    get: Callable[[], tuple[Any, ...]]
    put: Callable[[Sequence[Any]], None]
    names: Sequence[str]

    def run(self, begin: Sequence[Leaves], function: Callable[[], Any]) -> tuple[Any, list[Leaves]]:
        """What a function returns, and what it leaves, begun with copies of the containers."""
        self.put([b.rebuilt() for b in begin])
        found = function()
        return found, self.leaves()

    def leaves(self) -> list[Leaves]:
        """The variables as they are."""
        return [Leaves(*flatten(x)) for x in self.get()]

    def end(self, found: Sequence[Leaves], before: Sequence[Any]) -> None:
        """Set the variables; a list or dictionary that was there is changed in place."""
        self.put([_into(x.rebuilt(), was) for x, was in zip(found, before, strict=True)])


class Leaves(NamedTuple):
    """A variable's value, taken apart."""

    items: list[Any]
    structure: Structure

    @property
    def is_undefined(self) -> bool:
        """Whether the variable has no value."""
        return len(self.items) == 1 and self.items[0] is UNDEFINED

    def rebuilt(self) -> Any:
        """The value, in new containers."""
        return unflatten(self.structure, self.items)


def _into(value: Any, was: Any) -> Any:
    """The value, in the container that was there before."""
    if type(was) is list and type(value) is list:
        was[:] = value
        return was
    if type(was) is dict and type(value) is dict:
        if was.keys() != value.keys() or any(was[k] is not value[k] for k in value):
            was.clear()
            was.update(value)
        return was
    return value


def condition(x: Any) -> Any:
    """A tensor of one element as a 0-d boolean."""
    if x.shape.numel() != 1:
        raise TraceError(
            f"a condition on a tensor takes one element, got one of shape {tuple(x.shape)}; use "
            ".any() or .all()"
        )
    return as_condition(x)


def weakly(x: Any) -> Any:
    """A 0-d tensor that promotes as a Python number does."""
    x.weak = True
    return x


def _tracer() -> Tracer:
    tracer = crossroads.current()
    assert isinstance(tracer, Tracer)
    return tracer


# -- branches --------------------------------------------------------------------------------------


def branch(
    test: Any, then: Callable[[], None], otherwise: Callable[[], None], state: State
) -> None:
    """An `if` statement as a `cond`."""
    before, begin = state.get(), state.leaves()
    branches = Branches(_tracer())
    sides = []
    for region, function in ((branches.yes, then), (branches.no, otherwise)):
        sides.append(region.run(state.run, begin, function)[1])
    joined = _Joined(branches, begin)
    for name, yes, no in zip(state.names, *sides, strict=True):
        joined.add(name, yes, no)
    state.end(joined.bound(test), before)


class _Joined:
    """The results of two branches: leaves that are the same in both, or outputs of the node."""

    def __init__(self, branches: Branches, begin: Sequence[Leaves]) -> None:
        self.branches = branches
        self.merged: list[Leaves] = []
        self.outputs: tuple[list[Any], list[Any]] = [], []
        self.weak: list[bool] = []

    def add(self, name: str, yes: Leaves, no: Leaves) -> None:
        """One variable more."""
        if yes.is_undefined != no.is_undefined and name == VALUE:
            region = self.branches.yes if yes.is_undefined else self.branches.no
            there = no if yes.is_undefined else yes
            filled = Leaves([region.run(_nothing_like, x) for x in there.items], there.structure)
            yes, no = (filled, no) if yes.is_undefined else (yes, filled)
        if yes.is_undefined or no.is_undefined:
            self.merged.append(Leaves(*flatten(UNDEFINED)))
            return
        if yes.structure != no.structure:
            raise TraceError(
                f"{_title(name)} is {_kind(yes)} in one branch of an if on a tensor's value and "
                f"{_kind(no)} in the other; a program needs the same kind in both"
            )
        items = [self._leaf(name, a, b) for a, b in zip(yes.items, no.items, strict=True)]
        self.merged.append(Leaves(items, yes.structure))

    def _leaf(self, name: str, yes: Any, no: Any) -> Any:
        if is_same(yes, no):
            return yes
        if not (_is_value(yes) and _is_value(no)):
            raise TraceError(
                f"{_title(name)} is {_shown(yes)} in one branch of an if on a tensor's value and "
                f"{_shown(no)} in the other; a program can choose between tensors and numbers"
            )
        dtype = _common(yes, no)
        self.weak.append(_is_weak(yes) and _is_weak(no))
        for x, side, region in zip(
            (yes, no), self.outputs, (self.branches.yes, self.branches.no), strict=True
        ):
            side.append(region.run(_tensor, x, dtype))
        return _Output(len(self.weak) - 1)

    def bound(self, test: Any) -> list[Leaves]:
        """The node, and the variables behind it."""
        for side, region in zip(self.outputs, (self.branches.yes, self.branches.no), strict=True):
            region.give(side)
        found = self.branches.bind(test)
        for x, weak in zip(found, self.weak, strict=True):
            x.weak = weak
        return [
            Leaves([found[x.number] if isinstance(x, _Output) else x for x in items], structure)
            for items, structure in self.merged
        ]


class _Output(NamedTuple):
    """A leaf that is an output of the node."""

    number: int


def is_same(a: Any, b: Any) -> bool:
    """Whether a leaf is the same in both branches, or before and after a round."""
    if a is b:
        return True
    if isinstance(a, Tensor) or isinstance(b, Tensor) or type(a) is not type(b):
        return False
    return bool(a == b)


def _is_value(x: Any) -> bool:
    return isinstance(x, Tensor) or is_number(x)


def _is_weak(x: Any) -> bool:
    return not isinstance(x, Tensor) or bool(x.weak)


def _dtype_of(x: Any) -> DType:
    if isinstance(x, Tensor):
        return x.dtype
    return as_dtype(
        "bool" if isinstance(x, bool) else "float64" if isinstance(x, float) else "int64"
    )


def _common(a: Any, b: Any) -> DType | None:
    """The dtype that numbers take; None where both are tensors, which stay as they are."""
    if not _is_weak(a):
        return None if not _is_weak(b) else a.dtype
    if not _is_weak(b):
        return b.dtype  # type: ignore[no-any-return]  # a tensor
    dtypes = {_dtype_of(a), _dtype_of(b)}
    return max(dtypes, key=lambda d: ("b", "i", "f").index(d.kind) if d.kind in "bif" else 3)


def _tensor(x: Any, dtype: DType | None) -> Any:
    if not isinstance(x, Tensor):
        return ops.full((), x, dtype or _dtype_of(x))
    return ops.cast(x, dtype) if dtype is not None and x.weak and x.dtype is not dtype else x


def _nothing_like(x: Any) -> Any:
    """What stands for a result that this branch doesn't give: nobody reads it."""
    return ops.full(x.shape, 0, x.dtype) if isinstance(x, Tensor) else x


def _title(name: str) -> str:
    return "the result of the function" if name == VALUE else f"{name!r}"


def _kind(found: Leaves) -> str:
    value = found.rebuilt()
    return (
        f"a {type(value).__name__} of {len(value)}" if hasattr(value, "__len__") else _shown(value)
    )


def _shown(x: Any) -> str:
    return "a tensor" if isinstance(x, Tensor) else "None" if x is None else f"{x!r:.60}"


# -- loops -----------------------------------------------------------------------------------------


def loop(goes_on: Callable[[], Any], body: Callable[[], None], state: State) -> None:
    """A `while` statement as a `while_loop`.

    Which leaves change is found by tracing: first none is carried; what a round then changes is
    carried in the next trace, until nothing else changes. A number that becomes a tensor of another
    dtype or shape begins as one.
    """
    before = state.get()
    rounds = _Rounds(_tracer(), state, state.leaves())
    for _ in range(_ATTEMPTS):
        found = rounds.attempt(goes_on, body)
        if found is not None:
            state.end(found, before)
            return
    raise TraceError("a loop on a tensor's value changes its variables in too many ways")


class _Rounds:
    """A loop that is traced until it is known what it carries."""

    def __init__(self, tracer: Tracer, state: State, begin: list[Leaves]) -> None:
        self.tracer = tracer
        self.state = state
        self.begin = begin
        self.carried: dict[tuple[int, int], Any] = {}  # by variable and leaf: what it begins with

    def attempt(self, goes_on: Callable[[], Any], body: Callable[[], None]) -> list[Leaves] | None:
        """The variables behind the loop; None where more has to be carried."""
        keys = sorted(self.carried)
        node = Loop(self.tracer, [_beginning(self.carried[key]) for key in keys])
        at_test = dict(zip(keys, node.at_condition, strict=True))
        test, _ = node.goes_on.run(self.state.run, self._with(at_test), goes_on)
        if isinstance(test, Tensor):
            test = node.goes_on.run(condition, test)
        at_body = dict(zip(keys, node.at_body, strict=True))
        entered = self._with(at_body)
        _, after = node.body.run(self.state.run, entered, body)
        if not self._learn(node.body, entered, after):
            return None
        results = [after[i].items[k] for i, k in keys]
        given = [
            node.body.run(_tensor, x, None if not _is_weak(x) else at_body[key].dtype)
            for key, x in zip(keys, results, strict=True)
        ]
        outputs = node.bind(test, given)
        for key, x in zip(keys, outputs, strict=True):
            x.weak = at_body[key].weak
        found = self._with(dict(zip(keys, outputs, strict=True)))
        return [
            b if not a.is_undefined and not b.is_undefined else Leaves(*flatten(UNDEFINED))
            for a, b in zip(after, found, strict=True)
        ]

    def _with(self, values: dict[tuple[int, int], Any]) -> list[Leaves]:
        """The variables at the begin of a round, with these values of what is carried."""
        return [
            Leaves([values.get((i, k), x) for k, x in enumerate(leaves.items)], leaves.structure)
            for i, leaves in enumerate(self.begin)
        ]

    def _learn(self, region: Region, entered: list[Leaves], after: list[Leaves]) -> bool:
        """Whether all that a round changes is carried; if not, carry that too."""
        known = True
        for i, (was, now) in enumerate(zip(entered, after, strict=True)):
            name = self.state.names[i]
            if was.is_undefined:
                if name == VALUE and not now.is_undefined:
                    self.begin[i] = Leaves(list(map(_nothing_like, now.items)), now.structure)
                    known = False
                continue  # of a round's own
            if now.is_undefined:
                continue
            if was.structure != now.structure:
                raise TraceError(
                    f"{_title(name)} is {_kind(was)} before a round of a loop on a tensor's value "
                    f"and {_kind(now)} after it; a program carries the same kind from round to "
                    "round. Write into a tensor of the final size, or loop a known number of times"
                )
            for k, (a, b) in enumerate(zip(was.items, now.items, strict=True)):
                known &= self._is_carried(name, (i, k), a, b)
        return known

    def _is_carried(self, name: str, key: tuple[int, int], was: Any, now: Any) -> bool:
        if key not in self.carried:
            if is_same(was, now):
                return True
            if not (_is_value(was) and _is_value(now)):
                raise TraceError(
                    f"{_title(name)} is {_shown(was)} before a round of a loop on a tensor's value "
                    f"and {_shown(now)} after it; a program carries tensors and numbers"
                )
            self.carried[key] = was
            return False
        if isinstance(now, Tensor) and not now.weak and was.weak:
            begin = _beginning(self.carried[key])
            self.carried[key] = ops.expand(ops.cast(begin, now.dtype), tuple(now.shape))
            return False
        if _is_weak(now) and was.weak and _dtype_of(now) is not was.dtype:
            wider = _common(now, was)
            if wider is not was.dtype:
                self.carried[key] = weakly(ops.cast(_beginning(self.carried[key]), wider))
                return False
        return True


def _beginning(x: Any) -> Any:
    """What a leaf is before the first round, as a tensor."""
    return x if isinstance(x, Tensor) else weakly(ops.full((), x, _dtype_of(x)))


__all__ = ["UNDEFINED", "State", "Undefined", "branch", "condition", "is_number", "loop", "weakly"]
