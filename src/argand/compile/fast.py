"""The short way of a call: plain tensors of the shapes of the last program, and nothing else.

It compares what a program depends on with precomputed values, one by one, cheapest first, and gives
MISS at the first difference; the long way (`signature`) then finds out what is different.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from argand.base import epoch
from argand.base.settings import settings
from argand.base.tree import LEAF_SPEC
from argand.compile.call import trace_lock
from argand.compile.signature import Bits, ById, ConstantSpec, Exact, FloatSpec, TensorSpec
from argand.compile.slots import Slot
from argand.tensor.core import Tensor
from argand.transform.mode import mode

if TYPE_CHECKING:
    from argand.compile.specialisation import Specialisation

MISS = object()
_new: Callable[[Any], Any] = object.__new__
_array = np.array  # of a float: 0-d float64

Fast = Callable[..., Any]


def fast_path(s: Specialisation) -> Fast | None:
    """The short way into a specialisation; None when its calls need the long one."""
    s.surroundings.guards.compile(s.executable.compiled.guard_entry)
    if not _is_plain(s):
        return None
    if _is_bare(s):
        expected = [part for pair in _expected(s) for part in pair]
        guards = s.surroundings.guards
        alone: Any = guards.only_code if len(guards) else fast_path  # of which nothing changes
        alone = None if s.surroundings.objects else alone
        if len(expected) == 2:
            return _bare_one(s, alone, *expected) if alone else _guarded_one(s, *expected)
        if len(expected) == 4:
            return _bare_two(s, alone, *expected) if alone else _guarded_two(s, *expected)
    if len(s.signature.specs) == 1 and not s.symbolic:
        return _bound_one(s) or _general(s)
    return _general(s)


def _is_plain(s: Specialisation) -> bool:
    """Whether all arguments are tensors of fixed shapes, each by itself, that are only read."""
    parts, specs = s.executable.parts, s.signature.specs
    if parts.guards.tests or s.leafness or s.wanting:
        return False
    if s.asks_attributes or s.surroundings.asks_identity:
        return False  # which the short way doesn't look at
    kind, _, (positional, keywords, *slots) = s.signature.structure
    if kind is not tuple or keywords[1]:
        return False
    if any(p is not LEAF_SPEC for part in (positional, *slots) for p in part[2]):
        return False
    tensors = [x for x in specs if isinstance(x, TensorSpec)]
    if any(x.identity is not None or x.more is not None for x in tensors):
        return False
    aliases = s.signature.aliases
    if s.contiguous or s.executable.moving or aliases != tuple(range(len(aliases))):
        return False
    return parts.inputs == [
        (i, "float" if isinstance(x, FloatSpec) else "tensor")
        for i, x in enumerate(specs)
        if not isinstance(x, ConstantSpec)
    ]


def _direct(s: Specialisation) -> Any:
    """Of a program that is one small native call: how to make the result, the call, and its table
    of offsets; None of others."""
    return getattr(s.executable.compiled, "direct", None)


def _is_bare(s: Specialisation) -> bool:
    """Whether a call is one native call that takes tensors of fixed shapes and gives one, and
    neither the grad mode nor a module can make a difference."""
    behind = s.surroundings
    one_call = s.executable.bare and _direct(s) is not None
    alone = not behind.asks_grad_mode and not behind.modules([]) and not s.gradients
    return one_call and _fixed_tensors(s) and alone


def _fixed_tensors(s: Specialisation) -> bool:
    specs = s.signature.specs
    plain = all(isinstance(x, TensorSpec) and not x.requires_grad for x in specs)
    return plain and not s.symbolic


def _expected(s: Specialisation) -> list[tuple[Any, Any]]:
    return [(x.dtype.numpy, x.shape) for x in s.signature.specs if isinstance(x, TensorSpec)]


def _bare_one(s: Specialisation, alone: FunctionType, dtype: Any, shape: Any) -> Fast:
    """One tensor, and a function that reads nothing else: only its own code may change."""
    make, call, offsets = _direct(s)
    calls, switches, code = s.count, vars(settings), alone.__code__

    def fast(x: Any = None, *more: Any) -> Any:
        if type(x) is not Tensor or x._node is not None or more or switches["debug"]:
            return MISS
        a = x._array
        if a.dtype is not dtype or a.shape != shape:
            return MISS
        if alone.__code__ is not code:
            return MISS
        result = make()
        if call(a, result, offsets, offsets):
            return MISS
        calls()
        out = _new(Tensor)
        out._array = result
        out._node = out._view = out._cold = None
        return out

    return fast


def _bare_two(
    s: Specialisation, alone: FunctionType, dtype: Any, shape: Any, dtype2: Any, shape2: Any
) -> Fast:
    make, call, offsets = _direct(s)
    calls, switches, code = s.count, vars(settings), alone.__code__

    def fast(x: Any = None, y: Any = None, *more: Any) -> Any:
        if type(x) is not Tensor or x._node is not None or more or switches["debug"]:
            return MISS
        if type(y) is not Tensor or y._node is not None:
            return MISS
        a, b = x._array, y._array
        if a.dtype is not dtype or a.shape != shape or b.dtype is not dtype2 or b.shape != shape2:
            return MISS
        if alone.__code__ is not code:
            return MISS
        result = make()
        if call(a, b, result, offsets, offsets):
            return MISS
        calls()
        out = _new(Tensor)
        out._array = result
        out._node = out._view = out._cold = None
        return out

    return fast


def _guarded_one(s: Specialisation, dtype: Any, shape: Any) -> Fast:
    """As `_bare_one`, of a function that reads Python values."""
    make, call, offsets = _direct(s)
    calls, switches, is_valid = s.count, vars(settings), s.is_valid
    quick, hold = s.surroundings.guards.quick, s.surroundings.guards.hold

    def fast(x: Any = None, *more: Any) -> Any:
        if type(x) is not Tensor or x._node is not None or more or switches["debug"]:
            return MISS
        a = x._array
        if a.dtype is not dtype or a.shape != shape:
            return MISS
        if s.checked_epoch != epoch.current and not is_valid((x,)):
            return MISS
        if not quick() and not hold():
            return MISS
        result = make()
        if call(a, result, offsets, offsets):
            return MISS
        calls()
        out = _new(Tensor)
        out._array = result
        out._node = out._view = out._cold = None
        return out

    return fast


def _guarded_two(s: Specialisation, dtype: Any, shape: Any, dtype2: Any, shape2: Any) -> Fast:
    """As `_bare_two`, of a function that reads Python values."""
    make, call, offsets = _direct(s)
    calls, switches, is_valid = s.count, vars(settings), s.is_valid
    quick, hold = s.surroundings.guards.quick, s.surroundings.guards.hold

    def fast(x: Any = None, y: Any = None, *more: Any) -> Any:
        if type(x) is not Tensor or x._node is not None or more or switches["debug"]:
            return MISS
        if type(y) is not Tensor or y._node is not None:
            return MISS
        a, b = x._array, y._array
        if a.dtype is not dtype or a.shape != shape or b.dtype is not dtype2 or b.shape != shape2:
            return MISS
        if s.checked_epoch != epoch.current and not is_valid((x, y)):
            return MISS
        if not quick() and not hold():
            return MISS
        result = make()
        if call(a, b, result, offsets, offsets):
            return MISS
        calls()
        out = _new(Tensor)
        out._array = result
        out._node = out._view = out._cold = None
        return out

    return fast


def _bound_one(s: Specialisation) -> Fast | None:
    """One tensor in, one out, and captured state that is only read: a model's forward pass."""
    executable, spec = s.executable, s.signature.specs[0]
    plain = executable.pure and executable.single and not executable.joints
    if not plain or executable.moving or s.gradients or not isinstance(spec, TensorSpec):
        return None
    dtype, shape, wants_grad = spec.dtype.numpy, spec.shape, spec.requires_grad
    grad_enabled, is_valid, calls = s.signature.grad_enabled, s.is_valid, s.count
    quick, hold = s.surroundings.guards.quick, s.surroundings.guards.hold
    run, state_arrays, switches = executable.compiled.run, executable.state_arrays, vars(settings)

    def fast(x: Any = None, *more: Any) -> Any:
        if type(x) is not Tensor or more or (x._node is not None) is not wants_grad:
            return MISS
        a = x._array
        if a.dtype is not dtype or a.shape != shape:
            return MISS
        if mode.enabled is not grad_enabled or switches["debug"]:
            return MISS
        if s.checked_epoch != epoch.current and not is_valid((x,)):
            return MISS
        if not quick() and not hold():
            return MISS
        calls()
        out = _new(Tensor)
        out._array = run((a,), state_arrays((x,)))[0]
        out._node = out._view = out._cold = None
        return out

    return fast


def _general(s: Specialisation) -> Fast:
    specs = s.signature.specs
    expected = [
        (x.dtype.numpy, None if s.symbolic else x.shape, x.requires_grad)
        if isinstance(x, TensorSpec)
        else None
        for x in specs
    ]
    accepted = s.accepted if s.symbolic else None
    count, grad_enabled, written = len(specs), s.signature.grad_enabled, s.written
    quick, hold = s.surroundings.guards.quick, s.surroundings.guards.hold
    gradients, is_valid, calls, switches = s.gradients, s.is_valid, s.count, vars(settings)
    run = _one_result(s) or s.executable.run

    def fast(*args: Any) -> Any:
        if len(args) != count or mode.enabled is not grad_enabled or switches["debug"]:
            return MISS
        arrays = []
        for t, known, spec in zip(args, expected, specs, strict=True):
            if known is None:
                if type(spec) is FloatSpec and type(t) is float:
                    arrays.append(_array(t))
                elif type(spec) is not ConstantSpec or not _is_same(t, spec):
                    return MISS
                continue
            if type(t) is not Tensor:
                return MISS
            dtype, shape, wants_grad = known
            a = t._array
            if a.dtype is not dtype or (t._node is not None) is not wants_grad:
                return MISS
            if shape is not None and a.shape != shape:
                return MISS
            if written and id(t._root()) in written:
                return MISS
            arrays.append(a)
        if accepted is not None and tuple([a.shape for a in arrays]) not in accepted:
            return MISS
        # What is behind the function: the epoch, gradients that are read, the names that are read.
        if (gradients or s.checked_epoch != epoch.current) and not is_valid(args):
            return MISS
        if not quick() and not hold():
            return MISS
        calls()
        return run(arrays, args)

    return _with_slots(fast, s.slots) if s.slots else fast


def _with_slots(fast: Fast, slots: Sequence[Slot]) -> Fast:
    """The short way of a function that rebinds slots: their values come after the arguments, and no
    other call comes between reading and writing them."""
    reads = [slot.get for slot in slots]

    def with_slots(*args: Any) -> Any:
        with trace_lock:
            return fast(*args, *[read() for read in reads])

    return with_slots


def _is_same(x: Any, spec: ConstantSpec) -> bool:
    """Whether an argument is the constant that a program was made for."""
    if type(spec.value) is Bits:
        return type(x) is spec.kind and Bits(x) == spec.value
    if type(spec.value) is ById:
        return x is spec.value.value
    if type(spec.value) is Exact:
        return type(x) is spec.kind and Exact(x) == spec.value
    return x is spec.value or (type(x) is spec.kind and bool(x == spec.value))


def _one_result(s: Specialisation) -> Callable[[Sequence[Any], Sequence[Any]], Any] | None:
    """What `Executable.run` does for a program that only computes one tensor."""
    executable = s.executable
    if not executable.pure or not executable.single or executable.joints:
        return None
    run, state = executable.compiled.run, executable.state_arrays
    direct = getattr(executable.compiled, "direct", None)
    if direct is not None and not executable.places:
        return _one_result_direct(run, *direct)

    def one(arrays: Sequence[Any], leaves: Sequence[Any]) -> Any:
        out = _new(Tensor)
        out._array = run(arrays, state(leaves))[0]
        out._node = out._view = out._cold = None
        return out

    return one


def _one_result_direct(
    run: Any, make: Any, call: Any, offsets: Any
) -> Callable[[Sequence[Any], Sequence[Any]], Any]:
    def one(arrays: Sequence[Any], leaves: Sequence[Any]) -> Any:
        result = make()
        out = _new(Tensor)
        refused = call(*arrays, result, offsets, offsets)
        out._array = run(arrays, ())[0] if refused else result
        out._node = out._view = out._cold = None
        return out

    return one
