"""A server: the engine behind HTTP and gRPC, from its first model to its last reply."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
import ssl
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Self

from argand.base.errors import ArgumentError, did_you_mean
from argand.compile.resources import set_apart
from argand.export.program import ExportedProgram
from argand.io.replacing import replacing
from argand.serve.access import Access
from argand.serve.engine import Engine
from argand.serve.eventloop import event_loop
from argand.serve.folders import SUFFIXES
from argand.serve.limits import allow_files
from argand.serve.metrics import Metrics
from argand.serve.options import ModelOptions
from argand.serve.scratch import scratch_folder
from argand.serve.settings import ServerOptions

_log = logging.getLogger("argand.serve")

_LAST = 1.0  # seconds for models to end, where requests took all of the time
_LAST_WORDS = 0.5  # seconds for clients to hear that theirs took too long
_LAST_OF_TLS = 5.0  # seconds for a client to read the last bytes and say that it ends, too
_BACKLOG = 2048  # connections that the kernel keeps while the loop computes


class Server:
    """Serves models over HTTP, and over gRPC where `grpc_port` is given.

    Args:
        served: an engine, or what it is to serve: a folder of models, a file, or several of them.
        options: what can be set; each can be given by its name too.
        models: what is set for models, by their names, and `default` for the others; for a new
            engine.

    `run` serves until a signal comes; `start` does so in a thread, until `stop`. A server is a
    context, too:

    >>> from argand.serve.server import Server
    >>> with Server([], port=0) as server:
    ...     server.url.startswith("http://127.0.0.1:")
    True
    """

    def __init__(
        self,
        served: Engine | str | Path | Iterable[str | Path],
        options: ServerOptions | None = None,
        *,
        models: Mapping[str, ModelOptions] | None = None,
        default: ModelOptions | None = None,
        **changes: Any,
    ) -> None:
        self.options = _with(options or ServerOptions(), changes)
        self.engine = _engine(served, models, default, self.options)
        self.access = Access(self.options.token, self.options.tokens)
        self.metrics = Metrics(self.engine)
        self.port = self.options.port
        self.grpc_port = self.options.grpc_port
        self.is_loading = False
        self.is_draining = False
        self.app: Any = None
        self._grpc: Any = None
        self._log: Any = None
        self._connections: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ends: asyncio.Event | None = None
        self._ends_at_once: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._closers: list[Callable[[], None]] = []
        self._has_run = False

    @property
    def url(self) -> str:
        """The address of HTTP."""
        scheme = "http" if self.options.certificate is None else "https"
        return f"{scheme}://{self._shown_host}:{self.port}"

    @property
    def _shown_host(self) -> str:
        """The host as an address has it; of one that means all, this machine's own."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.options.host, self.options.host)
        return f"[{host}]" if ":" in host and host[0] != "[" else host

    @property
    def is_ready(self) -> bool:
        """Whether requests should come: each model has a version, also of those that are still
        looked for, and the server isn't ending."""
        return not self.is_loading and not self.is_draining and self.engine.is_ready

    # -- running -------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; requests that have begun end within `drain` seconds. A
        second signal ends at once. In a thread beside the main one, which gets no signals, serve
        until `stop`."""
        if asyncio._get_running_loop() is not None:
            raise RuntimeError(
                "an event loop runs in this thread, as in a notebook; serve in a thread: "
                "ag.serve.serve(..., block=False), or start() in place of run()"
            )
        self._begin()
        is_main = threading.current_thread() is threading.main_thread()
        if is_main:
            set_apart()
            ports = 1 if self.options.grpc_port is None else 2
            allow_files(ports * self.options.limits.connections)
        with asyncio.Runner(loop_factory=lambda: event_loop(self.options.busy_poll)) as runner:
            runner.run(self._serve(with_signals=is_main))

    def _begin(self) -> None:
        if self._has_run:
            raise RuntimeError("a server runs once; make another one")
        self._has_run = True

    def start(self) -> Self:
        """Serve in a thread; returns once requests are taken."""
        self._begin()
        self._thread = threading.Thread(target=self._in_thread, name="argand-serve", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._error is not None:
            self._thread.join()
            self._thread = None
            raise self._error
        return self

    def _in_thread(self) -> None:
        try:
            with asyncio.Runner(loop_factory=event_loop) as runner:
                runner.run(self._serve(with_signals=False))
        except BaseException as error:  # is raised by `start`
            self._error = error
        finally:
            self._started.set()

    def stop(self) -> None:
        """Let what has begun end, then stop."""
        if self._loop is not None and self._ends is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ends.set)
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        for close in self._closers:
            close()
        self._closers = []

    def __enter__(self) -> Self:
        return self if self._thread is not None else self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def call(self, function: Callable[[], Any]) -> Any:
        """What a function or a coroutine function gives on the thread of the engine, for a server
        that runs in a thread: `server.call(server.engine.poll)`."""
        if self._loop is None:
            raise RuntimeError("the server does not run")

        async def ask() -> Any:
            found = function()
            return await found if asyncio.iscoroutine(found) else found

        return asyncio.run_coroutine_threadsafe(ask(), self._loop).result()

    # -- on the loop ---------------------------------------------------------------------------

    async def _serve(self, *, with_signals: bool) -> None:
        from argand.serve.http.wire import Connections

        self._loop = asyncio.get_running_loop()
        self._ends, self._ends_at_once = asyncio.Event(), asyncio.Event()
        if with_signals:
            for number in (signal.SIGTERM, signal.SIGINT):
                self._loop.add_signal_handler(number, self._on_signal)
        self.is_loading, self.is_draining = True, False
        self.app = self.make_app()
        self._connections = Connections(self.app, self.options.limits)
        self.metrics.connections = lambda: len(self._connections.open)
        listening = await self._listen(self._loop)
        self.port = listening.sockets[0].getsockname()[1]
        try:
            await self._load()
            self.is_loading = False
            await self._start_grpc()
            if self.options.poll is not None:
                self.engine.start_polling(self.options.poll)
            self._tell()
            self._started.set()
            await self._ends.wait()
        finally:
            await self._close(listening)

    async def _load(self) -> None:
        """Load what is there, unless a signal says that the server is to end."""
        assert self._ends is not None
        loading = asyncio.create_task(self.engine.poll())
        ended = asyncio.create_task(self._ends.wait())
        try:
            await asyncio.wait((loading, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            is_loaded = loading.done()
            if not is_loaded:
                loading.cancel()
        if is_loaded:
            loading.result()

    def _tell(self) -> None:
        """Say what is served, and which options are for models that are not there."""
        models = self.engine.models
        served = [name for name, model in models.items() if model.available]
        grpc = "" if self._grpc is None else f", gRPC at {self._shown_host}:{self.grpc_port}"
        _log.info("serving %s at %s%s", ", ".join(served) or "no model yet", self.url, grpc)
        if self.engine.empty_roots:
            where = ", ".join(map(str, self.engine.empty_roots))
            _log.warning("no model in %s: one lies in NAME/1/model.argand (or .onnx)", where)
        named = {*self.options.tokens, *self.engine.options, self.options.model or "*"}
        for name in named - {"*", *models}:
            said = "there is no model %r, for which options or a token are given%s"
            _log.warning(said, name, did_you_mean(name, models))

    async def _listen(self, loop: asyncio.AbstractEventLoop) -> asyncio.Server:
        host, port = self.options.host, self.port
        try:
            tls = self._tls()  # clients that begin or end it are none that `Connections` knows
            return await loop.create_server(
                self._connections,
                host,
                port,
                ssl=tls,
                backlog=_BACKLOG,
                ssl_handshake_timeout=self.options.limits.header_seconds if tls else None,
                ssl_shutdown_timeout=_LAST_OF_TLS if tls else None,
            )
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            said = f"port {port} of {host} is in use; give another one, or 0 for one that is free"
            raise OSError(error.errno, said) from None

    async def _start_grpc(self) -> None:
        if self.options.grpc_port is None:
            return
        from argand.serve.grpc import start

        self._grpc = await start(
            self.engine,
            self.options.host,
            self.options.grpc_port,
            access=self.access,
            limits=self.options.limits,
            certificate=self.options.certificate,
            key=self.options.key,
            clients=self.options.clients,
            observe=self._count_call,
            metrics=self.metrics,
        )
        self.grpc_port = self._grpc.port

    def _on_signal(self) -> None:
        assert self._ends is not None and self._ends_at_once is not None
        if self._ends.is_set():
            self._ends_at_once.set()
        self._ends.set()

    async def _close(self, listening: asyncio.Server) -> None:
        """Take no more connections, let requests end, then the models."""
        assert self._ends_at_once is not None
        self.is_draining = True
        self.engine.stop_polling()
        listening.close()
        beside = [asyncio.create_task(self._cut()), asyncio.create_task(self._end_in_time())]
        loop = asyncio.get_running_loop()
        until = loop.time() + self.options.drain
        seconds = self.options.drain + _LAST_WORDS
        ending = [self._connections.close(seconds)]
        if self._grpc is not None:
            ending.append(self._grpc.stop(seconds))
        await asyncio.gather(*ending)
        for task in beside:
            task.cancel()
        left = 0.0 if self._ends_at_once.is_set() else until - loop.time()
        await self.engine.close(max(left, _LAST))
        if self._log is not None:
            self._log.close()

    async def _end_in_time(self) -> None:
        """End the models after `drain` seconds, so that who waits still hears UNAVAILABLE in the
        form of the protocol, and not that the connection has broken."""
        await asyncio.sleep(self.options.drain)
        await self.engine.close(0.0)

    async def _cut(self) -> None:
        """Let no request end, once a second signal comes."""
        assert self._ends_at_once is not None
        await self._ends_at_once.wait()
        self._connections.abort()
        if self._grpc is not None:
            await self._grpc.stop(0)

    def make_app(self) -> Any:
        """The application of this server's HTTP, which any ASGI server can run too."""
        from argand.serve.http.app import App
        from argand.serve.http.log import AccessLog
        from argand.serve.http.protocols import routes

        app = App(routes(self), self.access, self.options.limits)
        app.observers.append(self._count)
        if self.options.log == "json":
            self._log = AccessLog(getattr(sys.stdout, "buffer", sys.stdout))
            app.observers.append(self._log)
        return app

    def _count(self, request: Any, response: Any, seconds: float) -> None:
        version = request.version
        model, number = ("", "") if version is None else (version.model, str(version.number))
        self.metrics.observe(request.protocol or "none", model, number, response.status, seconds)

    def _count_call(self, record: Any) -> None:
        """Count a call of gRPC."""
        status = "OK" if record.status is None else record.status.name
        known = record.version is not None  # a name that no model has must not be a new time series
        model, version = (record.model, str(record.version)) if known else ("", "")
        self.metrics.observe("grpc", model, version, status, record.seconds)
        if self._log is not None:
            self._log.of_call(record)

    def _tls(self) -> ssl.SSLContext | None:
        if self.options.certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        files = [f for f in (self.options.certificate, self.options.key) if f is not None]
        try:
            context.load_cert_chain(*files)
            if self.options.clients is not None:
                files = [self.options.clients]
                context.load_verify_locations(*files)
                context.verify_mode = ssl.CERT_REQUIRED
        except ssl.SSLError as error:
            said = "no PEM of certificates, with the key that belongs to them"
            raise ssl.SSLError(error.errno, f"{', '.join(files)}: {said} ({error})") from None
        return context


def _with(options: ServerOptions, changes: Mapping[str, Any]) -> ServerOptions:
    """The options with some fields changed."""
    known = [field.name for field in fields(ServerOptions)]
    for name in changes:
        if name not in known:
            raise ArgumentError(
                f"there is no option {name!r}{did_you_mean(name, known)}; there are "
                f"{', '.join(known)}"
            )
    return replace(options, **changes)


def _engine(
    served: Engine | str | Path | Iterable[str | Path],
    models: Mapping[str, ModelOptions] | None,
    default: ModelOptions | None,
    options: ServerOptions,
) -> Engine:
    if isinstance(served, Engine):
        return served
    return Engine(
        _roots(served),
        models,
        default=default,
        workers=options.workers,
        hung_seconds=options.hung_seconds,
    )


def _roots(served: str | Path | Iterable[str | Path]) -> list[Path]:
    paths = [served] if isinstance(served, str | Path) else list(served)
    roots = [Path(p) for p in paths]
    for root in roots:
        if not root.exists():
            raise FileNotFoundError(2, "there is no such file or folder", str(root))
        _check_suffix(root)
    return roots


def serve(
    served: Any, *, block: bool = True, models: Mapping[str, ModelOptions] | None = None, **set: Any
) -> Server:
    """Serve models over HTTP, and over gRPC with `grpc_port`.

    Args:
        served: an exported program, a file of one, a folder of models, or several by name,
            `{"digits": program, "words": "words.onnx"}`; a program alone is the model `model`.
        block: serve until a signal comes; otherwise in a thread, until `stop` of what is returned.
        models: what is set for models, by their names.
        set: the fields of `ServerOptions`: `port=0` takes a free port.

    >>> from argand.serve.server import serve
    >>> program = ag.export.export(nn.Linear(2, 1), (ag.ones(1, 2),))
    >>> with serve(program, port=0, block=False) as server:
    ...     list(server.engine.models)
    ['model']
    """
    if isinstance(served, ExportedProgram):
        served = {"model": served}
    with contextlib.ExitStack() as made:
        if isinstance(served, Mapping):
            _check(served)
            folder = made.enter_context(scratch_folder())
            for name, model in served.items():
                _put(folder / name, model)
            served = folder
        elif not isinstance(served, Engine):
            served = list(served) if isinstance(served, list | tuple) else [served]
            for model in served:
                _check_model(model)
        server = Server(served, models=models, **set)
        server._closers.append(made.pop_all().close)
    if not block:
        try:
            return server.start()
        except BaseException:
            server.stop()
            raise
    try:
        server.run()
    finally:
        server.stop()
    return server


def _check(served: Mapping[str, Any]) -> None:
    """Raises ArgumentError unless all of a dict can be served."""
    for name, model in served.items():
        if not isinstance(name, str) or not name or name[0] == "." or not {*"/\0"}.isdisjoint(name):
            raise ArgumentError(
                f"the name of a model is a text without '/' and does not begin with '.', "
                f"got {name!r:.60}"
            )
        if not isinstance(model, ExportedProgram):
            _check_model(model, f" for {name!r}")


def _check_model(model: Any, where: str = "") -> None:
    if isinstance(model, ExportedProgram):
        raise ArgumentError("several programs need names: serve({'name': program, ...})")
    if not isinstance(model, str | Path):
        raise ArgumentError(
            f"serve takes exported programs, files, folders or a dict of them, got "
            f"{type(model).__name__}{where}; a module or a function is exported by "
            "ag.export.export(module, inputs)"
        )
    _check_suffix(Path(model))


def _check_suffix(path: Path) -> None:
    if path.is_file() and path.suffix.lower() not in SUFFIXES:
        raise ArgumentError(f"{path}: a model's file is {' or '.join(SUFFIXES)}")


def _put(folder: Path, model: Any) -> None:
    """A model's folder with what is served under its name."""
    if isinstance(model, ExportedProgram):
        (folder / "1").mkdir(parents=True)
        with replacing(folder / "1" / "model.argand") as temporary:
            model.save(temporary)
        return
    path = Path(model).absolute()
    if not path.exists():
        raise FileNotFoundError(2, "there is no such file or folder", str(path))
    if path.is_dir():
        folder.symlink_to(path, target_is_directory=True)
        return
    (folder / "1").mkdir(parents=True)
    (folder / "1" / f"model{path.suffix}").symlink_to(path)


__all__ = ["Server", "serve"]
