"""Whether operations are recorded for gradients; per thread."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class _Mode(threading.local):
    enabled = True
    # Called with each node and the gradients that it gave; set by detect_anomaly.
    watch: Callable[[Any, Any], None] | None = None
    # The hooks of `saved_tensors_hooks`, innermost last; why there must be none, if so.
    saving: tuple[tuple[Callable[[Any], Any], Callable[[Any], Any]], ...] = ()
    saving_refused: str | None = None
    # The run through the tape that is under way.
    traversal: Any = None


mode = _Mode()


def is_grad_enabled() -> bool:
    """Whether operations are recorded for gradients, in this thread.

    >>> with ag.no_grad():
    ...     print(ag.is_grad_enabled())
    False
    """
    return mode.enabled


class _GradMode:
    """A context manager and decorator that sets the mode."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self.before: list[bool] = []

    def __enter__(self) -> None:
        self.before.append(mode.enabled)
        mode.enabled = self.enabled

    def __exit__(self, *exc: object) -> None:
        mode.enabled = self.before.pop()

    def __call__(self, function: F) -> F:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with _GradMode(self.enabled):
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]  # functools.wraps keeps the signature


class _Fixed(_GradMode):
    """A mode that is given by the class, which decorates with and without parentheses."""

    wanted: bool

    def __init__(self, function: Any = None) -> None:
        self.enabled = self.wanted
        self.before = []

    def __new__(cls, function: Any = None) -> Any:
        return object.__new__(cls) if function is None else _GradMode(cls.wanted)(function)


class no_grad(_Fixed):  # noqa: N801  # PyTorch's name
    """Record nothing for gradients inside the block, or in the decorated function; per thread.

    For evaluation, and for updates of parameters. Results made inside don't require grad. Follows
    `torch.no_grad`.

    >>> x = ag.ones(2, requires_grad=True)
    >>> with ag.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    wanted = False


class enable_grad(_Fixed):  # noqa: N801  # PyTorch's name
    """Record for gradients inside the block, or in the decorated function, also within `no_grad`.

    >>> x = ag.ones(2, requires_grad=True)
    >>> with ag.no_grad(), ag.enable_grad():
    ...     y = x * 2
    >>> y.requires_grad
    True
    """

    wanted = True


class set_grad_enabled(_GradMode):  # noqa: N801  # PyTorch's name
    """Record for gradients from here on, or not; as a context manager, until the end of the block.

    >>> x = ag.ones(2, requires_grad=True)
    >>> with ag.set_grad_enabled(False):
    ...     y = x * 2
    >>> y.requires_grad, (x * 2).requires_grad
    (False, True)
    """

    def __init__(self, mode_enabled: bool) -> None:
        super().__init__(bool(mode_enabled))
        self._outer = mode.enabled
        mode.enabled = self.enabled

    def __enter__(self) -> None:
        self.before.append(self._outer)
        mode.enabled = self.enabled


class inference_mode(_GradMode):  # noqa: N801  # PyTorch's name
    """As `no_grad`, for a block or a function; ``inference_mode(False)`` changes nothing.

    >>> @ag.inference_mode()
    ... def predict(x):
    ...     return x * 2
    >>> predict(ag.ones(2, requires_grad=True)).requires_grad
    False
    """

    def __init__(self, enabled: bool = True) -> None:
        super().__init__(False if enabled else mode.enabled)
