"""`@ag.compile`: Python functions on tensors become static programs, with their state captured.

The room has the name of the function that it offers. Whoever imports a part of it first makes
Python bind `argand.compile` to this package, so the package can be called as the function.
"""

import sys
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from argand.compile.api import compile as function

        return function(*args, **kwargs)


sys.modules[__name__].__class__ = _Room
