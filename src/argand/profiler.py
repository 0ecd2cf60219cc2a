"""`argand.profiler`: blocks that `torch.profiler` would measure run as they are.

>>> import argand.profiler
>>> with argand.profiler.record_function("forward"):
...     print(1 + 1)
2
"""

from __future__ import annotations

from contextlib import ContextDecorator


class record_function(ContextDecorator):  # noqa: N801  # PyTorch's name
    """A block with a name; nothing is measured.

    >>> import argand.profiler
    >>> with argand.profiler.record_function("forward"):
    ...     print(1 + 1)
    2
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name, self.args = name, args

    def __enter__(self) -> record_function:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing was measured."""


def kineto_available() -> bool:
    """False: nothing is measured.

    >>> import argand.profiler
    >>> argand.profiler.kineto_available()
    False
    """
    return False


__all__ = ["kineto_available", "record_function"]
