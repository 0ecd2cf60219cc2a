"""`bind`: an op applied to inputs is given to the interpreter on top of the stack.

The bottom interpreter (eager execution) is installed by `tensor/`; tracing and the other transforms
push their own for the length of a `with` block. Stacks are per thread.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from argand.base.errors import ArgandError
from argand.base.forks import lock_held_over_forks
from argand.base.userstack import register_passing

Operation = Any
"""An `Op`, whose module imports this one."""


class Interpreter:
    """Gives meaning to an op applied to inputs."""

    traces = False
    """Whether ops are recorded rather than computed."""

    def bind(
        self, op: Operation, inputs: tuple[Any, ...], params: dict[str, Any]
    ) -> tuple[Any, ...]:
        """The outputs of `op`."""
        raise ArgandError(f"{type(self).__name__} has no bind")

    def write(self, target: Any, value: Any) -> None:
        """Replace the contents of a tensor; views of its memory see it."""
        raise ArgandError(f"{type(self).__name__} can't write")

    def write_at(self, target: Any, dims: tuple[int, ...], indices: Any, value: Any) -> None:
        """Replace the elements of a tensor at index arrays along some dimensions."""
        raise ArgandError(f"{type(self).__name__} can't write at computed places")

    def grad_changes(self, leaf: Any) -> None:
        """Called before a leaf's `.grad` is replaced."""

    def grad_is_read(self, leaf: Any) -> None:
        """Called before a leaf's `.grad` is read."""

    def attribute_is_missing(self, tensor: Any) -> None:
        """Called when a tensor is asked for an attribute that it lacks."""

    def made(self, tensor: Any) -> Any:
        """A tensor just made of data, as this interpreter has it."""
        return tensor

    def entered(self, tensor: Any) -> Any:
        """An alias of a tensor that belongs to this interpreter, with no place on the tape yet."""
        return tensor.shadow()

    def owns(self, tensor: Any) -> bool:
        """Whether a tensor's place on the tape is one of this interpreter's."""
        return True

    def detached(self, tensor: Any) -> Any:
        """An alias of a tensor through which no gradient flows, to nobody."""
        return tensor.shadow()

    def applied(self, function: Any, args: Any, kwargs: Any) -> Any:
        """The result of a function with a derivative of its own (`transform/custom.py`)."""
        return function.apply_here(*args, **kwargs)

    def varies(self, tensor: Any) -> bool:
        """Whether a tensor has several values, one for each of several calls."""
        return False

    def knows(self, tensor: Any) -> bool:
        """Whether the values of a tensor that has no memory can be read all the same."""
        return False

    def differentiates(self) -> bool:
        """Whether gradients are recorded of what the tensors stand for, beside their own."""
        return False

    def leaf_changes(self, leaf: Any) -> None:
        """Called before a tensor starts to want a gradient, or no longer wants one."""

    def leafness_is_read(self, tensor: Any) -> bool | None:
        """Called before `is_leaf` is answered; the answer, for a tensor that replaces another."""
        return None

    def after(self, callback: Callable[[], None]) -> bool:
        """Have `callback` called after each call of the program being recorded; False: none is."""
        return False

    def concrete(self, tensor: Any) -> Any:
        """The NumPy array of a tensor, where values are known."""
        raise ArgandError(f"{type(self).__name__} has no values")

    def layout_of(self, tensor: Any) -> Any:
        """A NumPy array, of whatever elements, with the strides that a tensor of this interpreter
        would have in eager code; None where that isn't known."""
        return None

    def offset_of(self, tensor: Any) -> int:
        """How many elements of the memory that a tensor shares in eager code come before it."""
        return 0

    def lift(self, value: Any) -> Any:
        """A value of this interpreter made of a foreign one (a NumPy array, a list of numbers)."""
        raise TypeError(f"expected a Tensor or a number, got {type(value).__name__}")


class Casting(Protocol):
    """Changes the dtypes of what a thread's ops and public functions are called with."""

    @property
    def key(self) -> Any:
        """What a compiled program depends on."""

    def __call__(self, callee: Any, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """The result of a function, which is of this op or public function."""


class _Stack(threading.local):
    def __init__(self) -> None:
        self.items: list[Interpreter] = []
        self.casting: Casting | None = None
        self.uncast = 0


_stack = _Stack()
_bottom: Interpreter = Interpreter()

# How many interpreters are pushed in all threads: 0 means that every thread runs eagerly. The plans
# of eager calls run only then; native code reads the number in `gate`.
pushed = 0
gate = ctypes.c_int64(0)
_pushed_lock = lock_held_over_forks("stack")


# What measures how long everything takes (`argand.profiler`): `run(name, function)` gives the
# result of a function. None where nothing is measured.
timer: Any = None


def timed(name: str, function: Callable[[], Any]) -> Any:
    """The result of a function, measured where anything is."""
    return function() if timer is None else timer.run(name, function)


def install_bottom(interpreter: Interpreter) -> None:
    """Set the interpreter that is used when none is pushed."""
    global _bottom
    _bottom = interpreter


def current() -> Interpreter:
    """The interpreter on top of this thread's stack."""
    items = _stack.items
    return items[-1] if items else _bottom


def tracing() -> bool:
    """Whether operations of this thread are recorded now rather than run."""
    return bool(pushed) and current().traces


def intercepted() -> bool:
    """Whether ops of this thread are given to another interpreter than the bottom one now."""
    return bool(pushed) and current() is not _bottom


def bind(op: Operation, inputs: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, ...]:
    """Apply an op to normalised inputs: the outputs, always as a tuple."""
    items = _stack.items
    return (items[-1] if items else _bottom).bind(op, inputs, params)


@contextmanager
def interpreting(interpreter: Interpreter) -> Iterator[None]:
    """Send every bind of this thread to `interpreter` inside the block."""
    _stack.items.append(interpreter)
    _count(1)
    try:
        yield
    finally:
        _stack.items.pop()
        _count(-1)


def _count(change: int) -> None:
    """Note that there is one more thing, or one less, that plans of calls know nothing of."""
    global pushed
    with _pushed_lock:
        pushed += change
        gate.value = pushed


def watch(change: int) -> None:
    """Note that so many more, or fewer, modes look at the calls of this thread."""
    _count(change)


@contextmanager
def watching(change: int) -> Iterator[None]:
    """As `watch`, for the length of a block."""
    _count(change)
    try:
        yield
    finally:
        _count(-change)


def set_casting(casting: Casting | None) -> None:
    """Have `casting` look at what this thread calls from now on: every op and public function."""
    before, _stack.casting = _stack.casting, casting
    _count((casting is not None) - (before is not None))


@contextmanager
def uncast() -> Iterator[None]:
    """Leave what this thread calls as it is inside the block."""
    _stack.uncast += 1
    try:
        yield
    finally:
        _stack.uncast -= 1


def called(callee: Any, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """A call of the function of an op, or of a public function, with what it is to have."""
    casting = _stack.casting
    if casting is None or _stack.uncast:
        return function(*args, **kwargs)
    return casting(callee, function, args, kwargs)


register_passing(called)


def casting_key() -> Any:
    """What a compiled program depends on of the casts of this thread; None where there are none."""
    casting = _stack.casting
    return None if casting is None or _stack.uncast else casting.key


@contextmanager
def eagerly() -> Iterator[None]:
    """Run the block eagerly even while this thread is tracing."""
    with interpreting(_bottom):
        yield
