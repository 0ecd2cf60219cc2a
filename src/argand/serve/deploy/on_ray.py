"""A server's protocols over HTTP as a Ray Serve application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from argand.serve.server import Server


class Replica:
    """One replica: an engine and the routes of HTTP, on Ray's event loop."""

    def __init__(self, models: str) -> None:
        self._server = Server([models], port=0)
        self._app: Any = None
        self._starting: asyncio.Task[None] | None = None

    async def _start(self) -> None:
        await self._server.engine.poll()
        self._app = self._server.make_app()

    async def _started(self) -> None:
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        await self._starting

    async def check_health(self) -> None:
        """Raises RuntimeError unless each model has a version that takes requests."""
        await self._started()
        if not self._server.engine.is_ready:
            raise RuntimeError("no version of a model is ready")

    async def __call__(self, request: Any) -> Any:
        """The response to a request of Starlette's, as the server gives it."""
        from starlette.responses import StreamingResponse

        await self._started()
        sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        task = asyncio.create_task(self._app(request.scope, request.receive, sent.put))
        task.add_done_callback(lambda _: sent.put_nowait({"type": "end"}))
        start = await sent.get()
        if start["type"] == "end":
            await task
            raise RuntimeError("the server gave no response")
        response = StreamingResponse(_body(sent, task), status_code=start["status"])
        response.raw_headers = list(start["headers"])
        return response


async def _body(sent: asyncio.Queue[dict[str, Any]], task: asyncio.Task[Any]) -> AsyncIterator[Any]:
    try:
        while (message := await sent.get())["type"] == "http.response.body":
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body"):
                return
    finally:
        if not task.done():
            task.cancel()


def application(
    models: str | Path,
    *,
    cpus: int = 1,
    memory: int | None = None,
    replicas: tuple[int, int] = (1, 1),
) -> Any:
    """A Ray Serve application, for `serve.run` or a configuration's `import_path`.

    Args:
        models: a folder of models, or a file; every node must have it.
        cpus: processors of a replica.
        memory: bytes of a replica.
        replicas: the least and the most of them; Ray scales between them by load.

    Raises ImportError where `ray[serve]` is not installed.
    """
    try:
        from ray import serve
    except ImportError:
        raise ImportError("Ray Serve is missing: pip install 'ray[serve]'") from None
    needs: dict[str, Any] = {"num_cpus": cpus}
    if memory is not None:
        needs["memory"] = memory
    least, most = replicas
    scaling: dict[str, Any] = {"num_replicas": least}
    if most > least:
        scaling = {"autoscaling_config": {"min_replicas": least, "max_replicas": most}}
    deployed = serve.deployment(
        Replica,
        name="argand",
        ray_actor_options=needs,
        max_ongoing_requests=256,
        health_check_period_s=10,
        health_check_timeout_s=60,
        graceful_shutdown_timeout_s=30,
        **scaling,
    )
    return deployed.bind(str(Path(models).resolve()))


__all__ = ["Replica", "application"]
