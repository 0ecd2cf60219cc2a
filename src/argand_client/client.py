"""A client of a model: `client.predict(x)`."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import numpy as np

from argand_client.errors import invalid
from argand_client.rest import Rest
from argand_client.rpc import Rpc
from argand_client.signature import Arrays, Signature
from argand_client.transport import Patience, Target, Transport


class Call:
    """A signature of a model on a server: calling it computes."""

    def __init__(self, client: Client, signature: str | None) -> None:
        self._client = client
        self._name = signature

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The outputs as the program returned them."""
        return self._client._predict(self._name, args, kwargs)

    @property
    def signature(self) -> Signature:
        """What it takes and gives."""
        return self._client._signature(self._name)

    def __repr__(self) -> str:
        return repr(self.signature)


class Client:
    """Asks a model of a server that speaks the v2 inference protocol: Argand's, Triton, KServe.

    Arguments are held against what the server says of the model before anything is sent. A client
    can be used by many threads at a time, and keeps its connections open.

    Args:
        url: `http://host:port`, `https://...`, or, with grpcio installed, `grpc://` and `grpcs://`.
        model: the model's name; the only one where not given.
        version: its version; that which the server chooses where not given.
        token: is sent as `authorization: Bearer`.
        timeout: the seconds that a call may take with all its tries; None for no limit.
        retries: how often a call is tried again that the server could not answer now (it was full,
            the connection broke, the model is unloaded); 0 for never. While a server says when it
            will answer, since it loads the model, a call waits as long as `timeout` lets it.
        backoff: the seconds before the second try; each later one waits twice as long.
        headers: are sent with each request: `{"traceparent": ...}`.
        certificates: a file of certificates (PEM) to trust, where not the system's.
        identity: the files of a certificate and its key (PEM) to show to the server.

    Attributes are the model's signatures: `client.encode(x)`. Errors are `ServeError`, with
    `status` and `field`; what does not fit is refused before it is sent.

    >>> from argand_client import Client
    >>> program = ag.export.export(nn.Linear(2, 1), (ag.ones(1, 2),))
    >>> with ag.serve.serve(program, port=0, block=False) as server:
    ...     with Client(server.url) as client:
    ...         client.predict([[1.0, 2.0]]).shape
    (1, 1)
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        *,
        version: int | None = None,
        token: str | None = None,
        timeout: float | None = 60.0,
        retries: int = 5,
        backoff: float = 0.05,
        headers: Mapping[str, str] | None = None,
        certificates: str | Path | None = None,
        identity: tuple[str | Path, str | Path] | None = None,
    ) -> None:
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        self.url = url
        self.version = version
        self._model = model
        self._patience = Patience(timeout, retries, backoff)
        self._transport = _transport(url, sent, certificates, identity)
        self._signatures: dict[str | None, Signature] = {}
        self._names: list[str] | None = None
        self._lock = threading.Lock()

    # -- asking --------------------------------------------------------------------------------

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """The outputs of the default signature for inputs in order or by name: an array where there
        is one, else a tuple, or a dict where they have names. Arrays must have the inputs' types;
        numbers and lists take them."""
        return self._predict(None, args, kwargs)

    def infer(self, inputs: Mapping[str, Any], *, signature: str | None = None) -> Arrays:
        """The outputs by name, for inputs by name."""
        arrays = self._signature(signature).arrays(inputs)
        target = self._target(signature)
        return self._patience.call(lambda left: self._transport.infer(target, arrays, left))

    def _predict(
        self, signature: str | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        found = self._signature(signature)
        return found.returned(self.infer(found.bound(args, kwargs), signature=signature))

    # -- what there is -------------------------------------------------------------------------

    @property
    def model(self) -> str:
        """The model's name."""
        if self._model is None:
            found = self._patience.call(self._transport.models)
            if len(found) != 1:
                raise invalid(
                    f"the server has {len(found)} models ({', '.join(found)}); say which: "
                    "Client(url, model)"
                )
            self._model = found[0]
        return self._model

    @property
    def signature(self) -> Signature:
        """What the default signature takes and gives."""
        return self._signature(None)

    @property
    def signatures(self) -> dict[str, Signature]:
        """The model's signatures by name."""
        if self._names is None:
            target = self._target(None)
            self._names = self._patience.call(lambda left: self._transport.signatures(target, left))
        return {name: self._signature(name) for name in self._names}

    def is_ready(self) -> bool:
        """Whether the model takes requests; asked once."""
        target = self._target(None)
        return self._transport.is_ready(target, self._patience.timeout)

    def refresh(self) -> None:
        """Forget what the server has said of the model, where a new version takes other inputs."""
        self._signatures, self._names = {}, None

    def _target(self, signature: str | None) -> Target:
        return Target(self.model, self.version, signature)

    def _signature(self, name: str | None) -> Signature:
        found = self._signatures.get(name)
        if found is None:
            target = self._target(name)
            found = self._patience.call(lambda left: self._transport.signature(target, left))
            self._signatures[name] = found
        return found

    def __getattr__(self, name: str) -> Call:
        if name.startswith("_") or name not in self.signatures:
            raise AttributeError(f"{type(self).__name__!r} has no attribute or signature {name!r}")
        return Call(self, name)

    # -- its end -------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<client of {self._model or 'the model'} at {self.url}>"


class AsyncClient:
    """A `Client` whose methods are awaited: `await client.predict(x)`. Takes what `Client` takes,
    and `calls`, the most calls at a time; each of them uses a thread."""

    def __init__(
        self, url: str, model: str | None = None, *, calls: int = 32, **options: Any
    ) -> None:
        self._client = Client(url, model, **options)
        self._threads = ThreadPoolExecutor(calls, thread_name_prefix="argand-client")

    async def predict(self, *args: Any, **kwargs: Any) -> Any:
        """See `Client.predict`."""
        return await self._run(self._client.predict, *args, **kwargs)

    async def infer(
        self, inputs: Mapping[str, Any], *, signature: str | None = None
    ) -> dict[str, np.ndarray[Any, Any]]:
        """See `Client.infer`."""
        found: Arrays = await self._run(self._client.infer, inputs, signature=signature)
        return found

    async def signature(self) -> Signature:
        """What the default signature takes and gives."""
        found: Signature = await self._run(lambda: self._client.signature)
        return found

    async def is_ready(self) -> bool:
        """See `Client.is_ready`."""
        return bool(await self._run(self._client.is_ready))

    async def _run(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: function(*args, **kwargs))

    async def close(self) -> None:
        """Close the connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _transport(
    url: str,
    headers: dict[str, str],
    certificates: str | Path | None,
    identity: tuple[str | Path, str | Path] | None,
) -> Transport:
    parts = urlsplit(url)
    if parts.scheme in ("http", "https"):
        context = None
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=certificates)
            if identity is not None:
                context.load_cert_chain(*identity)
        return Rest(url, headers, context)
    if parts.scheme in ("grpc", "grpcs"):
        trusted = None if certificates is None else Path(certificates).read_bytes()
        shown = None if identity is None else tuple(Path(file).read_bytes() for file in identity)
        secure = parts.scheme == "grpcs"
        return Rpc(parts.netloc, headers, secure=secure, certificates=trusted, identity=shown)
    raise ValueError(f"a url begins with http://, https://, grpc:// or grpcs://, got {url!r}")


__all__ = ["AsyncClient", "Call", "Client"]
