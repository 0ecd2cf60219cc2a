"""The table of routes: which handler answers which method and path."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple
from urllib.parse import unquote

from argand.serve.access import Scope
from argand.serve.errors import ServeError
from argand.serve.http.known import Known
from argand.serve.http.message import Request, Response

Handler = Callable[[Request], Awaitable[Response]]


class Route(NamedTuple):
    """A method and a path, `/v2/models/{model}/infer`, and what answers.

    Args:
        method: GET, POST, ...; a GET answers HEAD too.
        path: the template; a name in braces stands for a part without `/` and `:`.
        handler: is awaited with the request; raises ServeError.
        protocol: its name, for metrics and the log.
        errors: makes the response of a ServeError, as the protocol says it.
        scope: who may ask. `model` looks at the parameter `model`.
        model: stands for the parameter `model` where the path has none.
    """

    method: str
    path: str
    handler: Handler
    protocol: str
    errors: Callable[[ServeError], Response]
    scope: Scope = "model"
    model: str | None = None


class Match(NamedTuple):
    """The routes of a path by method, and what the template named in it."""

    by_method: dict[str, Route]
    params: dict[str, str]


_KEPT = 4096  # paths whose routes are remembered
_NAMED = re.compile(r"\\\{(\w+)\\\}")


class Table:
    """Finds the routes of a path."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = list(routes)
        self._exact: dict[str, dict[str, Route]] = {}
        self._templates: dict[str, tuple[re.Pattern[str], dict[str, Route]]] = {}
        self._known: Known[str, Match] = Known(_KEPT)
        for route in self.routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        if "{" not in route.path:
            methods = self._exact.setdefault(route.path, {})
        else:
            pattern = re.compile(_NAMED.sub(r"(?P<\1>[^/:]+)", re.escape(route.path)))
            methods = self._templates.setdefault(pattern.pattern, (pattern, {}))[1]
        methods.setdefault(route.method, route)
        if route.method == "GET":
            methods.setdefault("HEAD", route)

    def find(self, path: str) -> Match | None:
        """The routes of a path as it was sent."""
        found = self._known.get(path)
        if found is None:
            found = self._search(path)
            if found is not None:
                self._known.keep(path, found)
        return found

    def _search(self, path: str) -> Match | None:
        if len(path) > 1 and path.endswith("/"):
            path = path[:-1]
        if path in self._exact:
            return Match(self._exact[path], {})
        for pattern, methods in self._templates.values():
            match = pattern.fullmatch(path)
            if match is not None:
                return Match(methods, {k: unquote(v) for k, v in match.groupdict().items()})
        return None


__all__ = ["Handler", "Match", "Route", "Table"]
