"""The protocols that a server speaks: each module gives its routes."""

from __future__ import annotations

from argand.serve.host import Host
from argand.serve.http import (
    clouds,
    generate,
    health,
    openai,
    openapi,
    page,
    tensorflow,
    torchserve,
    triton,
    v2,
)
from argand.serve.http.routes import Route

PROTOCOLS = (clouds, health, v2, triton, generate, openai, tensorflow, torchserve, openapi, page)
"""In the order in which paths are looked up."""


def routes(host: Host) -> list[Route]:
    """The routes of all protocols."""
    return [route for protocol in PROTOCOLS for route in protocol.routes(host)]


__all__ = ["PROTOCOLS", "routes"]
