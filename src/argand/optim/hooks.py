"""Functions called around an optimizer's `step`, `state_dict` and `load_state_dict`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from argand.base import epoch
from argand.transform.hooks import RemovableHandle

_before_every_step: dict[int, Any] = {}
_after_every_step: dict[int, Any] = {}


class Hooks:
    """The functions registered with one optimizer, by what they are called around."""

    def __init__(self) -> None:
        self.before_step: dict[int, Any] = {}
        self.after_step: dict[int, Any] = {}
        self.before_saving: dict[int, Any] = {}
        self.after_saving: dict[int, Any] = {}
        self.before_loading: dict[int, Any] = {}
        self.after_loading: dict[int, Any] = {}


def register(hooks: dict[int, Any], hook: Any, prepend: bool = False) -> RemovableHandle:
    """Add a hook after the others, or before them."""
    handle = RemovableHandle(hooks)
    others = dict(hooks) if prepend else {}
    if prepend:
        hooks.clear()
    hooks[handle.key] = hook
    hooks.update(others)
    epoch.bump()
    return handle


def register_optimizer_step_pre_hook(hook: Any) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` before every step of any optimizer."""
    return register(_before_every_step, hook)


def register_optimizer_step_post_hook(hook: Any) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` after every step of any optimizer."""
    return register(_after_every_step, hook)


def hooked(step: Callable[..., Any]) -> Callable[..., Any]:
    """A `step` with the hooks around it, once where it calls that of its base class."""

    @functools.wraps(step)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        # without: a wrapper that isn't initialised, whose inner optimizer has the hooks
        if getattr(self, "stepping", True):
            return step(self, *args, **kwargs)
        self.stepping = True
        try:
            hooks = self.hooks
            for hook in [*_before_every_step.values(), *hooks.before_step.values()]:
                args, kwargs = _arguments(hook(self, args, kwargs), args, kwargs)
            result = step(self, *args, **kwargs)
            for hook in [*hooks.after_step.values(), *_after_every_step.values()]:
                hook(self, args, kwargs)
            return result
        finally:
            self.stepping = False

    return call


def _arguments(changed: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """What a hook gave in place of the arguments of `step`."""
    if changed is None:
        return args, kwargs
    if not isinstance(changed, tuple) or len(changed) != 2:
        raise RuntimeError(
            f"a step hook returns None or a tuple of (args, kwargs), got {changed!r}"
        )
    return changed
