"""Whether this thread exports a function to ONNX."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class _Exporting(threading.local):
    def __init__(self) -> None:
        self.depth = 0


_exporting = _Exporting()


def is_in_onnx_export() -> bool:
    """Whether the function that runs is being exported to ONNX by this thread.

    >>> ag.onnx.is_in_onnx_export()
    False
    """
    return _exporting.depth > 0


@contextlib.contextmanager
def exporting() -> Iterator[None]:
    """Inside the block `is_in_onnx_export()` is True."""
    _exporting.depth += 1
    try:
        yield
    finally:
        _exporting.depth -= 1


__all__ = ["exporting", "is_in_onnx_export"]
