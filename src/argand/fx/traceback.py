"""`argand.fx.traceback`: what is kept beside nodes while graphs are made and run."""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_meta: contextvars.ContextVar[dict[str, Any]] = contextvars.ContextVar("meta")


def get_current_meta() -> dict[str, Any]:
    """What is kept now.

    >>> from argand.fx import traceback
    >>> with traceback.annotate({"stage": 1}):
    ...     print(traceback.get_current_meta())
    {'custom': {'stage': 1}}
    """
    return _meta.get({})


@contextmanager
def annotate(annotation_dict: dict[str, Any]) -> Iterator[None]:
    """A block whose nodes are annotated, for those who ask `get_current_meta`."""
    before = get_current_meta()
    token = _meta.set({**before, "custom": {**before.get("custom", {}), **annotation_dict}})
    try:
        yield
    finally:
        _meta.reset(token)


@contextmanager
def preserve_node_meta(enable: bool = True) -> Iterator[None]:
    """A block that runs as it is: nodes keep their `meta` always."""
    yield


def has_preserved_node_meta() -> bool:
    """True: nodes keep their `meta` always.

    >>> from argand.fx import traceback
    >>> traceback.has_preserved_node_meta()
    True
    """
    return True


def format_stack() -> list[str]:
    """No lines: each node has the line of the user's code that made it."""
    return []


__all__ = [
    "annotate",
    "format_stack",
    "get_current_meta",
    "has_preserved_node_meta",
    "preserve_node_meta",
]
