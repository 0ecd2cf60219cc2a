"""What rewritten code calls: Python's control flow, and the program's where a condition is traced.

A statement comes as functions of no arguments (`then`, `body`, ...) that assign the variables
around them; `get` reads these variables and `put` sets them. Where the condition is a Python value
the functions run once each, as the statement would. Where it is a traced tensor, each is recorded
as a region, and what it leaves in the variables is what the region gives.
"""

from __future__ import annotations

import builtins
import functools
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from argand.base.dim import Dim
from argand.base.errors import TraceError
from argand.compile.regions import Region
from argand.compile.tracer import Tracer
from argand.ir import bind as crossroads
from argand.ir.op import ops
from argand.jit.control import merging
from argand.jit.control.merging import UNDEFINED, weakly
from argand.tensor.core import Tensor

Variables = tuple[Any, ...]
Get = Callable[[], Variables]
Put = Callable[[Sequence[Any]], None]
Names = Sequence[str]


def callee(function: Any) -> Any:
    """What is called in the place of a function; `calls` sets it."""
    return function


def value(read: Callable[[], Any]) -> Any:
    """A variable's value, or that it has none."""
    try:
        return read()
    except (NameError, AttributeError):
        return UNDEFINED


def set_attribute(owner: Any, name: str, found: Any) -> None:
    """Give an attribute its value, where it isn't that."""
    if found is UNDEFINED:
        vars(owner).pop(name, None)
    elif value(lambda: getattr(owner, name)) is not found:
        setattr(owner, name, found)


def is_staged(condition: Any) -> bool:
    """Whether a condition is a tensor whose value only calls of the program will know."""
    if not isinstance(condition, Tensor) or not crossroads.tracing():
        return False
    tracer = crossroads.current()
    return isinstance(tracer, Tracer) and not tracer.is_made(condition)


# -- conditions ------------------------------------------------------------------------------------


def not_(x: Any) -> Any:
    """`not x`."""
    return ops.logical_not(merging.condition(x)) if is_staged(x) else not x


def and_(first: Callable[[], Any], *rest: Callable[[], Any]) -> Any:
    """`first and ...`; of tensors the logical and."""
    return _in_order(first, rest, False)


def or_(first: Callable[[], Any], *rest: Callable[[], Any]) -> Any:
    """`first or ...`; of tensors the logical or."""
    return _in_order(first, rest, True)


def _in_order(first: Callable[[], Any], rest: Sequence[Callable[[], Any]], ends: bool) -> Any:
    """What is true (`ends`) or false leaves what comes behind it alone."""
    left = first()
    if not rest:
        return left
    if not is_staged(left):
        return left if bool(left) is ends else _in_order(rest[0], rest[1:], ends)
    nodes = crossroads.current().program.nodes  # type: ignore[attr-defined]  # a Tracer's
    count = len(nodes)
    right = _in_order(rest[0], rest[1:], ends)
    if not isinstance(right, Tensor):
        return left if bool(right) is not ends else ends
    if any(node.op.can_fail for node in nodes[count:]):  # it may rely on what came before it
        again = functools.partial(_in_order, rest[0], rest[1:], ends)
        sides = (lambda: ends, again) if ends else (again, lambda: ends)
        return if_expression(left, *sides)
    op = ops.logical_or if ends else ops.logical_and
    return op(merging.condition(left), merging.condition(right))


_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "Lt": operator.lt,
    "LtE": operator.le,
    "Gt": operator.gt,
    "GtE": operator.ge,
    "Eq": operator.eq,
    "NotEq": operator.ne,
    "Is": operator.is_,
    "IsNot": operator.is_not,
    "In": lambda a, b: a in b,
    "NotIn": lambda a, b: a not in b,
}


def compare(left: Any, *rest: Any) -> Any:
    """`left < b < c`: names of comparisons, and functions that give what comes behind them."""
    name, read, *more = rest
    right = read()
    found = _COMPARISONS[name](left, right)
    return and_(lambda: found, lambda: compare(right, *more)) if more else found


def any_of(*flags: Any) -> Any:
    """Whether any flag is set."""
    return or_(*[lambda flag=flag: flag for flag in flags]) if flags else False


def none_of(*flags: Any) -> Any:
    """Whether no flag is set."""
    return not_(any_of(*flags))


def assert_(test: Any, message: Callable[[], Any]) -> None:
    """`assert test, message`; of a traced tensor nothing, as a program has no errors of its own."""
    if not is_staged(test) and not test:
        raise AssertionError(message())


def raises(text: str) -> None:
    """Called before `raise`: a branch of the program can't raise."""
    if isinstance(crossroads.current(), Region):
        raise TraceError(
            f"raise {text:.80}: an error under a condition on a tensor's value, and a program has "
            "no errors of its own; return a flag, or check the tensor before the call"
        )


def if_expression(test: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """`then() if test else otherwise()`."""
    if not is_staged(test):
        return then() if test else otherwise()
    found: list[Any] = [UNDEFINED]

    def assign(function: Callable[[], Any]) -> Callable[[], None]:
        return lambda: found.__setitem__(0, function())

    if_(
        test,
        assign(then),
        assign(otherwise),
        lambda: (found[0],),
        lambda values: found.__setitem__(0, values[0]),
        ("the expression",),
    )
    return found[0]


def returned(found: Any) -> Any:
    """What a function returns that may return early: None where it ran to its end."""
    return None if found is UNDEFINED else found


# -- statements ------------------------------------------------------------------------------------


def if_(
    test: Any,
    then: Callable[[], None],
    otherwise: Callable[[], None],
    get: Get,
    put: Put,
    names: Names,
) -> None:
    """`if test: then() else: otherwise()`."""
    if not is_staged(test):
        (then if test else otherwise)()
        return
    merging.branch(merging.condition(test), then, otherwise, merging.State(get, put, names))


def while_(
    goes_on: Callable[[], Any], body: Callable[[], None], get: Get, put: Put, names: Names
) -> None:
    """`while goes_on(): body()`; rounds go to the program from the first test on that is traced."""
    while True:
        test = goes_on()
        if is_staged(test):
            merging.loop(goes_on, body, merging.State(get, put, names))
            return
        if not test:
            return
        body()


def for_(
    items: Iterable[Any],
    goes_on: Callable[[], Any],
    take: Callable[[Any], None],
    body: Callable[[], None],
    get: Get,
    put: Put,
    names: Names,
) -> None:
    """`for take in items: body()`, which stops where `goes_on` doesn't hold."""
    if isinstance(items, Tensor) and items.ndim and _is_symbolic(items.shape[0]):
        rows = items
        items = TracedRange(0, rows.shape[0], 1, lambda i: rows[i])
    if isinstance(items, TracedRange):
        items.run(goes_on, take, body, get, put, names)
        return
    for item in items:

        def round_(item: Any = item) -> None:
            take(item)
            body()

        test = goes_on()
        if not is_staged(test) and not test:
            return
        if_(test, round_, lambda: None, get, put, names)


class TracedRange:
    """A `range` whose length only calls know; `at` gives the item of a number."""

    def __init__(
        self, start: Any, stop: Any, step: Any, at: Callable[[Any], Any] = lambda i: i
    ) -> None:
        self.start, self.stop, self.step, self.at = start, stop, step, at

    def __iter__(self) -> Any:
        raise TraceError(
            "range of a number that is computed while the program runs: use it in a for statement "
            "of a scripted function"
        )

    def run(
        self,
        goes_on: Callable[[], Any],
        take: Callable[[Any], None],
        body: Callable[[], None],
        get: Get,
        put: Put,
        names: Names,
    ) -> None:
        """The loop, which counts in a variable of its own."""
        counter = [self.start]

        def is_inside() -> Any:
            if isinstance(self.step, Tensor):
                up = ops.logical_and(self.step > 0, counter[0] < self.stop)
                return ops.logical_or(up, ops.logical_and(self.step < 0, counter[0] > self.stop))
            return counter[0] < self.stop if self.step > 0 else counter[0] > self.stop

        def round_() -> None:
            take(self.at(counter[0]))
            body()
            counter[0] = counter[0] + self.step

        def put_all(values: Sequence[Any]) -> None:
            counter[0] = values[0]
            put(values[1:])

        state = merging.State(lambda: (counter[0], *get()), put_all, ("the count", *names))
        merging.loop(lambda: and_(goes_on, is_inside), round_, state)


def _is_symbolic(size: Any) -> bool:
    return isinstance(size, Dim)


# -- functions that Python has for numbers ---------------------------------------------------------


def special(function: Any) -> Any:
    """A function of Python's own for traced numbers; None for any other function."""
    found = _SPECIAL.get(function) if _is_hashable(function) else None
    if found is not None:
        return found
    owner = getattr(function, "__self__", None)
    if isinstance(owner, Tensor) and getattr(function, "__name__", "") == "item":
        return lambda: _item(owner)
    return None


def _is_hashable(function: Any) -> bool:
    return type(function) in (type, type(len))


def _item(x: Tensor) -> Any:
    if not is_staged(x):
        return x.item()
    return _as(x, "float64" if x.dtype.is_floating_point else x.dtype)


def _as(x: Tensor, dtype: Any) -> Any:
    return weakly(ops.cast(ops.reshape(x, ()), dtype))


def _int(*args: Any) -> Any:
    return _as(args[0], "int64") if len(args) == 1 and is_staged(args[0]) else int(*args)


def _float(*args: Any) -> Any:
    return _as(args[0], "float64") if args and is_staged(args[0]) else float(*args)


def _bool(*args: Any) -> Any:
    return merging.condition(args[0]) if args and is_staged(args[0]) else bool(*args)


def _range(*args: Any) -> Any:
    if not any(is_staged(a) or _is_symbolic(a) for a in args):
        return range(*args)
    start, stop, step = (0, *args, 1) if len(args) == 1 else (*args, 1)[:3]
    return TracedRange(start, stop, step)


def _least(*args: Any, **kwargs: Any) -> Any:
    return _extreme(builtins.min, "minimum", args, kwargs)


def _most(*args: Any, **kwargs: Any) -> Any:
    return _extreme(builtins.max, "maximum", args, kwargs)


def _extreme(function: Any, op: str, args: Any, kwargs: Any) -> Any:
    if kwargs or len(args) < 2 or not any(map(is_staged, args)):
        return function(*args, **kwargs)
    found, *rest = args
    for x in rest:
        found = weakly(getattr(ops, op)(found, x))
    return found


_SPECIAL: dict[Any, Any] = {
    int: _int,
    float: _float,
    bool: _bool,
    range: _range,
    min: _least,
    max: _most,
}
