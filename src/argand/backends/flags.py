"""Switches of libraries that PyTorch's programs set: variables of a module, set together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any


def setter(switches: dict[str, Any], names: str) -> Callable[..., tuple[Any, ...]]:
    """`set_flags` of a module: sets those variables that are given, returns what all were."""
    listed = names.split()

    def set_flags(*values: Any, **named: Any) -> tuple[Any, ...]:
        """Set switches; returns what they were.

        >>> before = ag.backends.nnpack.set_flags(True)
        """
        given = dict(zip(listed, values, strict=False)) | {k.lstrip("_"): named[k] for k in named}
        unknown = given.keys() - set(listed)
        if unknown or len(values) > len(listed):
            raise TypeError(f"set_flags takes {', '.join(listed)}, got {sorted(unknown) or values}")
        before = tuple(switches[name] for name in listed)
        switches.update({k: v for k, v in given.items() if v is not None})
        return before

    return set_flags


def block(
    switches: dict[str, Any], defaults: dict[str, Any]
) -> Callable[..., AbstractContextManager[None]]:
    """`flags` of a module: sets its variables for a block, those that aren't given to a default."""

    @contextmanager
    def flags(**given: Any) -> Iterator[None]:
        """Set switches for the length of a block.

        >>> with ag.backends.cudnn.flags(enabled=False):
        ...     print(ag.backends.cudnn.enabled)
        False
        """
        unknown = given.keys() - defaults.keys()
        if unknown:
            raise TypeError(f"flags takes {', '.join(defaults)}, got {min(unknown)}")
        before = {name: switches[name] for name in defaults}
        switches.update(defaults | given)
        try:
            yield
        finally:
            switches.update(before)

    return flags
