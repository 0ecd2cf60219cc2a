"""A specialisation bound to its conditions: the call of plain tensors, which describes nothing.

A bound call compares what a program depends on with what is there, cheapest first, and gives MISS
at the first difference; `CompiledFunction` then describes the call and looks for another program.
All is compared once: the arguments by `match`, everything else by one list of guards, both in
native code where the backend brings some.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from argand.base import epoch
from argand.base.settings import settings
from argand.base.tree import LEAF_SPEC
from argand.compile.call import trace_lock
from argand.compile.guards import looked_up
from argand.compile.signature import FloatSpec, Spec, TensorSpec
from argand.compile.slots import Record
from argand.compile.specialisation import Specialisation
from argand.compile.values import ConstantSpec, is_constant
from argand.tensor.core import Tensor
from argand.transform.mode import mode

MISS = object()
_new: Callable[[Any], Any] = object.__new__
BoundCall = Callable[..., Any]
Arrays = Sequence[Any]


def bound_call(s: Specialisation) -> BoundCall | None:
    """The call of a specialisation with plain arguments; None when calls have to be described."""
    holds, still_holds = _conditions(s)
    if not _takes_plain_arguments(s):
        return None
    match, further, executable = _match(s), _further(s), s.executable
    run, state = executable.compiled.run, executable.state_arrays
    direct: Any = executable.direct or (None, None, None)
    make, native, table = direct
    many = further is not None or not executable.plain

    def call(*args: Any) -> Any:
        arrays = match(*args)
        if arrays is None or not (holds() or still_holds(args)):
            return MISS
        if many:
            return call_with_more(arrays, args)
        s.calls += 1
        if make is not None:
            result = make()
            if native(*arrays, result, table, table):
                result = run(arrays, ())[0]
        else:
            result = run(arrays, state(args))[0]
        out = _new(Tensor)
        out._array = result
        out._node = out._view = out._cold = None
        return out

    def call_with_more(arrays: Arrays, args: tuple[Any, ...]) -> Any:
        if further is not None and not further(arrays, args):
            return MISS
        s.calls += 1
        return executable.run(arrays, args)

    return call


def exclusive(s: Specialisation, call: BoundCall, lock: Any) -> BoundCall:
    """A bound call that reads what traces replace for a while (see `trace_lock`): no trace and no
    other such call comes between reading and writing it. The values of slots are arguments too."""
    reads = [slot.get for slot in s.slots]

    def with_slots(*args: Any) -> Any:
        with lock, trace_lock:
            return call(*args, *[read() for read in reads])

    return with_slots


# -- the arguments ---------------------------------------------------------------------------------


def _takes_plain_arguments(s: Specialisation) -> bool:
    """Whether all arguments are tensors, floats and constants, each by itself, that are only
    read."""
    parts, specs = s.executable.parts, s.signature.specs
    if parts.guards.tests or s.arguments or s.wanting:
        return False
    if s.asks_attributes or s.surroundings.asks_identity:
        return False  # which a bound call doesn't look at
    kind, _, (positional, keywords, *slots) = s.signature.structure
    if kind is not tuple or keywords[1]:
        return False
    if any(p is not LEAF_SPEC for part in (positional, *slots) for p in part[2]):
        return False
    tensors = [x for x in specs if isinstance(x, TensorSpec)]
    if any(x.identity is not None or x.more is not None for x in tensors):
        return False
    aliases = s.signature.aliases
    if s.executable.moving or aliases != tuple(range(len(aliases))):
        return False
    return parts.inputs == [
        (i, "float" if isinstance(x, FloatSpec) else "tensor")
        for i, x in enumerate(specs)
        if not isinstance(x, ConstantSpec)
    ]


def _match(s: Specialisation) -> Callable[..., Arrays | None]:
    """What gives the arrays of the arguments, or None where these are not as expected."""
    specs, any_shape = s.signature.specs, s.symbolic
    facts = [
        (x.dtype.numpy, None if any_shape else x.shape, x.requires_grad)
        if isinstance(x, TensorSpec)
        else None
        for x in specs
    ]
    native = None if None in facts else s.executable.compiled.match_entry(Tensor, facts)
    return match_in_python(specs, facts) if native is None else native


def match_in_python(specs: Sequence[Spec], facts: Sequence[Any]) -> Callable[..., Arrays | None]:
    """What `match_entry` gives for the facts of tensors, for floats and constants too."""

    def match(*args: Any) -> Arrays | None:
        if len(args) != len(specs):
            return None
        arrays = []
        for x, spec, known in zip(args, specs, facts, strict=True):
            if known is None:
                if type(spec) is FloatSpec and type(x) is float:
                    arrays.append(np.array(x))
                elif type(spec) is not ConstantSpec or not is_constant(x, spec):
                    return None
                continue
            if type(x) is not Tensor:
                return None
            array, (dtype, shape, wants_grad) = x._array, known
            if array.dtype is not dtype or (x._node is not None) is not wants_grad:
                return None
            if shape is not None and array.shape != shape:
                return None
            arrays.append(array)
        return arrays

    return match


# -- everything else -------------------------------------------------------------------------------


def _conditions(s: Specialisation) -> tuple[Callable[[], bool], Callable[[tuple[Any, ...]], bool]]:
    """Whether what is behind the function is unchanged, and whether it is still as good: the second
    looks at all again, also at values that were made anew and at modules."""
    guards, process = s.surroundings.guards, _process(s)

    def as_expected() -> bool:
        return all(looked_up(container, key) is value for container, key, value in process)

    def unchanged() -> bool:
        return s.checked_epoch == epoch.current and as_expected() and guards.hold_strictly()

    def still_holds(args: tuple[Any, ...]) -> bool:
        return as_expected() and s.is_valid(args, strictly=True)

    native = guards.compile(s.executable.compiled.guard_entry, process)
    return native or unchanged, still_holds


def _process(s: Specialisation) -> list[Record]:
    """What a call takes for given of the process: no debugging, and the grad mode."""
    given: list[Record] = [(vars(settings), "debug", False)]
    if _heeds_grad_mode(s):
        given.append((mode, "enabled", s.signature.grad_enabled))
    return given


def _heeds_grad_mode(s: Specialisation) -> bool:
    """Whether the grad mode can make a difference."""
    behind = s.surroundings
    wanted = any(isinstance(x, TensorSpec) and x.requires_grad for x in s.signature.specs)
    return (
        wanted
        or not s.executable.bare
        or behind.asks_grad_mode
        or bool(behind.modules([]))
        or bool(s.gradients)
    )


def _further(s: Specialisation) -> Callable[[Arrays, tuple[Any, ...]], bool] | None:
    """What few calls depend on: sizes, memory that they write, gradients."""
    accepted, written = s.accepted if s.symbolic else None, s.written
    if accepted is None and not written and not s.gradients:
        return None

    def further(arrays: Arrays, args: tuple[Any, ...]) -> bool:
        if accepted is not None and tuple([a.shape for a in arrays]) not in accepted:
            return False
        if written and s.overlaps(args):
            return False
        return s.has_gradients(args)

    return further
