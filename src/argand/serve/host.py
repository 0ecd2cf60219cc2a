"""What protocols see of the server that they belong to."""

from __future__ import annotations

from typing import Protocol

from argand.serve.access import Access
from argand.serve.engine import Engine
from argand.serve.metrics import Metrics
from argand.serve.settings import ServerOptions


class Host(Protocol):
    """A server, as protocols see it."""

    engine: Engine
    options: ServerOptions
    access: Access
    metrics: Metrics

    is_draining: bool

    @property
    def is_ready(self) -> bool:
        """Whether requests should come."""
        ...


__all__ = ["Host"]
