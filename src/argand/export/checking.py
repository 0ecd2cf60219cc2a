"""Programs from outside: every node must be what a call of its op gives, before it is compiled.

Native code trusts a program: it reads where the parameters say. So the nodes of a file are held
against what `prepare` of their ops makes of the same operands and parameters, which refuses all
that users' calls may not say. Where sizes are symbolic this is done for the sizes of a call, and
holds for all further calls for which the comparisons that were made come out the same.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from argand.base.dim import Dim
from argand.base.dtype import DType
from argand.base.errors import ArgandError, ProgramError
from argand.base.shape import numel
from argand.base.size_guards import Guards, collecting_guards
from argand.ir.bind import interpreting
from argand.ir.elementwise import Elementwise
from argand.ir.op import Literal, only_stored
from argand.ir.program import Node, Program, Value, param_text, value_name
from argand.ir.record import Recorder
from argand.ir.sizes import with_sizes
from argand.ir.verify import verify

_MOST_DIMENSIONS = 64
_SMALL = 1 << 30
_RATIO = 1 << 14
_REMEMBERED = 4096

_Sizes = tuple[tuple[str, int], ...]

# What `prepare` and `infer` raise of operands and parameters that they don't expect.
UNEXPECTED = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)


class Checked:
    """A program of a file, checked for the sizes of each call."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._guards: dict[_Sizes, list[Guards]] = {}  # by the sizes below 2
        self._known: set[_Sizes] = set()
        self._lock = threading.Lock()

    def check(self, sizes: Mapping[str, int]) -> None:
        """Raise ProgramError where a node does not fit, for these sizes of the symbols."""
        key = tuple(sorted(sizes.items()))
        if key in self._known:
            return
        with self._lock:
            passed = self._guards.setdefault(tuple(x for x in key if x[1] < 2), [])
            if not any(guards.hold(sizes) for guards in passed):
                passed.append(self._compared(sizes))
            if len(self._known) < _REMEMBERED:
                self._known.add(key)

    def _compared(self, sizes: Mapping[str, int]) -> Guards:
        """Check for these sizes, and return the comparisons of sizes that were made."""
        guards = Guards(doubts=True)
        hinted = {n: Dim.symbol(n, size) if size > 1 else size for n, size in sizes.items()}
        with collecting_guards(guards):
            check_nodes(verify(with_sizes(self.program, hinted)))
        return guards


def check_nodes(program: Program, limit: Any = None) -> None:
    """Refuse a program with a node that no call gives, or with results out of all proportion."""
    given = sum([v.nbytes for v in (*program.inputs, *program.state)], 0)
    limit = _limit(given) if limit is None else limit
    for value in _values(program):
        _check_size(program, value, limit)
    for node in program.nodes:
        try:
            problem = _problem(node)
        except UNEXPECTED as e:
            problem = str(e) if isinstance(e, ArgandError) else f"{type(e).__name__}: {e}"
        if problem:
            name = value_name(node.outputs[0])
            raise ProgramError(f"{program.name}: {name}: {node.op.name}: {problem}")
        for region in node.regions:
            check_nodes(region, limit)


def check_symbols(program: Program) -> None:
    """Refuse sizes that no call can tell, as no input and no state has them."""
    known = set(program.symbols())
    for node in program.nodes:
        sizes = [size for o in node.outputs for size in o.shape]
        sizes += [x.value for x in node.inputs if isinstance(x, Literal)]
        for unknown in _symbols([*sizes, *node.params.values()]) - known:
            raise ProgramError(
                f"{program.name}: {value_name(node.outputs[0])}: the size {unknown} is not that "
                "of any input"
            )
        for region in node.regions:
            check_symbols(region)


def _symbols(values: Any) -> set[str]:
    found: set[str] = set()
    for value in values:
        if isinstance(value, Dim):
            found |= set(value.symbols())
        elif isinstance(value, tuple):
            found |= _symbols(value)
    return found


def _limit(given: Any) -> Any:
    return given * _RATIO + _SMALL


def _values(program: Program) -> Iterator[Value]:
    yield from program.inputs
    yield from program.state
    for node in program.nodes:
        yield from node.outputs


def _check_size(program: Program, value: Value, limit: Any) -> None:
    where = f"{program.name}: {value_name(value)}"
    if len(value.shape) > _MOST_DIMENSIONS:
        raise ProgramError(f"{where} has {len(value.shape)} dimensions")
    if any(size < 0 for size in value.shape):
        raise ProgramError(f"{where} is {value.type}, with a negative size")
    if numel(value.shape) * value.dtype.itemsize > limit:
        raise ProgramError(f"{where} is {value.type}, out of proportion to what the program reads")


def _problem(node: Node) -> str:
    """What is wrong with a node; an empty string for nothing."""
    if not all(map(_is_plain, node.params.items())):
        return "a parameter that counts or names a place is no whole number"
    literals = [x for x in node.inputs if isinstance(x, Literal)]
    if literals and not isinstance(node.op, Elementwise):
        return "takes tensors, and not numbers"
    for literal in literals:
        if not _fits(literal.value, literal.dtype):
            return f"{literal.value!r:.40} is no {literal.dtype.name}"
    dtypes = [x.dtype for x in (*node.inputs, *node.outputs)]
    if not node.op.stores(node.params):
        for dtype in (*dtypes, node.params.get("dtype")):
            if isinstance(dtype, DType) and dtype.kind == "s":
                return str(only_stored(node.op.name, dtype))
    call = node.op.as_call(node.inputs, dict(node.params))
    if call is None:
        return ""
    with interpreting(Recorder(Program("check"))):
        inputs, params = node.op.prepare(*call[0], **call[1])
    if len(inputs) != len(node.inputs) or not all(map(_is_same, inputs, node.inputs)):
        return "its operands are not of the dtypes and shapes that it takes"
    if _text(params) != _text(node.params):
        return f"its parameters {{{_text(node.params):.200}}} are not those of a call"
    return ""


# Parameters that are numbers of any kind; `arange` has a start and a step too.
_MEASURES = {"value", "scale", "eps", "delta", "beta", "label_smoothing", "correction"}
_MEASURES |= {"start", "step"}


def _is_plain(item: tuple[str, Any]) -> bool:
    name, value = item
    if isinstance(value, tuple):
        return all(_is_plain(("", part)) for part in value)
    return name in _MEASURES or not isinstance(value, float | complex)


def _is_same(a: Any, b: Any) -> bool:
    if isinstance(a, Literal) and isinstance(b, Literal):
        return a.dtype is b.dtype and repr(a.value) == repr(b.value)
    return a is b


def _text(params: Mapping[str, Any]) -> str:
    shown = {k: _measure(k, v) for k, v in sorted(params.items()) if k != "regions"}
    return ", ".join(f"{k}={param_text(v)}" for k, v in shown.items())


def _measure(name: str, value: Any) -> Any:
    """A number of any kind as a float: where a symbolic size was, a program has a whole one."""
    return float(value) if name in _MEASURES and type(value) is int else value


def _fits(value: Any, dtype: DType) -> bool:
    """Whether a number of a program can be an element of a dtype."""
    if isinstance(value, Dim):
        return not isinstance(value, bool) and dtype.kind != "b"
    if dtype.kind == "b":
        return isinstance(value, bool)
    if dtype.is_complex:
        return isinstance(value, int | float | complex) and not isinstance(value, bool)
    if dtype.is_inexact:
        return isinstance(value, int | float) and not isinstance(value, bool)
    limits = np.iinfo(dtype.numpy)
    return type(value) is int and bool(limits.min <= value <= limits.max)


__all__ = ["UNEXPECTED", "Checked", "check_nodes", "check_symbols"]
