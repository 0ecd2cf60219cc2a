"""Hooks of tensors and of nodes, and the handles that take them away."""

from __future__ import annotations

import itertools
from typing import Any

from argand.base import epoch

_hook_numbers = itertools.count()


class RemovableHandle:
    """Takes a registered hook away, by `remove()` or at the end of a `with` block."""

    def __init__(self, hooks: dict[int, Any]) -> None:
        self.key = next(_hook_numbers)  # an id() could come again when nobody keeps the handle
        self._hooks = hooks

    def remove(self) -> None:
        """Take the hook away; more than once is fine."""
        self._hooks.pop(self.key, None)
        epoch.bump()

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def registered(hooks: dict[int, Any], hook: Any) -> RemovableHandle:
    """Add a hook to those of a tensor or a node."""
    handle = RemovableHandle(hooks)
    hooks[handle.key] = hook
    return handle
