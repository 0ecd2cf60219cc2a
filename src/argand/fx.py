"""`argand.fx`: the decorators that programs written for `torch.fx` use; functions are traced by
`ag.compile`."""

from __future__ import annotations

from typing import Any


def wrap(fn_or_name: Any) -> Any:
    """The function itself, or the name: nothing is traced symbolically.

    >>> import argand.fx
    >>> argand.fx.wrap(len) is len
    True
    """
    return fn_or_name


__all__ = ["wrap"]
