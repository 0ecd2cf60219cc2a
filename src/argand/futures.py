"""`argand.futures`: values that come later, as `torch.futures`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import GenericAlias
from typing import Any

__all__ = ["Future", "collect_all", "wait_all"]


class Future:
    """A value that some thread will set, or an error.

    >>> future = ag.futures.Future()
    >>> doubled = future.then(lambda done: done.value() * 2)
    >>> future.set_result(21)
    >>> doubled.wait()
    42
    """

    __class_getitem__: Any = classmethod(GenericAlias)  # annotations say Future[Tensor]

    def __init__(self, *, devices: Any = None) -> None:
        self._changed = threading.Condition()
        self._done = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[Future], Any]] = []

    def done(self) -> bool:
        """Whether there is a value or an error."""
        return self._done

    def wait(self) -> Any:
        """Wait for the value and give it; an error is raised."""
        with self._changed:
            self._changed.wait_for(self.done)
        return self.value()

    def value(self) -> Any:
        """The value of a future that is done; an error is raised, RuntimeError before it is."""
        if not self._done:
            raise RuntimeError("this future has no value yet: wait() waits for it")
        if self._error is not None:
            raise self._error
        return self._value

    def set_result(self, result: Any) -> None:
        """Set the value, and call what waits for it. Raises RuntimeError if there is one."""
        self._set(result, None)

    def set_exception(self, result: BaseException) -> None:
        """Set an error, which waiting raises."""
        if not isinstance(result, BaseException):
            raise AssertionError(f"{result!r} is no exception")
        self._set(None, result)

    def _set(self, value: Any, error: BaseException | None) -> None:
        with self._changed:
            if self._done:
                raise RuntimeError("this future has its value already")
            self._done, self._value, self._error = True, value, error
            callbacks, self._callbacks = self._callbacks, []
            self._changed.notify_all()
        for callback in callbacks:
            callback(self)

    def add_done_callback(self, callback: Callable[[Future], None]) -> None:
        """Call ``callback(self)`` when the future is done; at once if it is."""
        with self._changed:
            if not self._done:
                self._callbacks.append(callback)
                return
        callback(self)

    def then(self, callback: Callable[[Future], Any]) -> Future:
        """A future of what ``callback(self)`` gives when this one is done."""
        after = Future()

        def go_on(done: Future) -> None:
            try:
                found = callback(done)
            except Exception as error:
                after.set_exception(error)
            else:
                after.set_result(found)

        self.add_done_callback(go_on)
        return after


def collect_all(futures: list[Future]) -> Future:
    """A future of the list of futures, done when all of them are.

    >>> parts = [ag.futures.Future(), ag.futures.Future()]
    >>> together = ag.futures.collect_all(parts)
    >>> for i, part in enumerate(parts):
    ...     part.set_result(i)
    >>> [part.value() for part in together.wait()]
    [0, 1]
    """
    together, waiting, lock = Future(), len(futures), threading.Lock()

    def count(_: Future) -> None:
        nonlocal waiting
        with lock:
            waiting -= 1
            last = waiting == 0
        if last:
            together.set_result(futures)

    for future in futures:
        future.add_done_callback(count)
    if not futures:
        together.set_result(futures)
    return together


def wait_all(futures: list[Future]) -> list[Any]:
    """The values of all futures; the first error among them is raised.

    >>> future = ag.futures.Future()
    >>> future.set_result(3)
    >>> ag.futures.wait_all([future])
    [3]
    """
    return [future.wait() for future in collect_all(futures).wait()]
