"""Calls: bytes to a message, a handler's answer to bytes, errors to gRPC's statuses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple, Self

import grpc
from google.protobuf.message import DecodeError

from argand.serve.errors import NEVER, ServeError, Status, invalid
from argand.serve.limits import LAST_CALL
from argand.serve.tracing import Trace, asker, asking, request_id, told_of, trace_of
from argand_client.definitions import BAD_REQUEST, DETAILS, RETRY_INFO, messages
from argand_client.wire import Method

_LONGEST = 1500  # characters of a message: clients refuse metadata of more than 8 KB
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Record(NamedTuple):
    """What is told of a call that has ended."""

    method: str
    model: str | None
    version: int | None
    status: Status | None  # None where it succeeded
    seconds: float
    peer: str
    request_id: str
    trace: Trace | None


class Call:
    """A call that is being answered. Handlers say in `model` and `version` what it asked for.

    The context is read here and now: gRPC frees what is behind it when the client cancels, and
    reading it afterwards ends the process.
    """

    def __init__(self, context: Any, method: str) -> None:
        self.context = context
        self.method = method
        self.started = time.perf_counter()
        self.model: str | None = None
        self.version: int | None = None
        self.peer: str = context.peer()
        pairs = context.invocation_metadata() or ()
        self.metadata = {key: value for key, value in pairs if isinstance(value, str)}
        self.request_id = request_id(self.metadata.get("x-request-id"))
        self.trace = trace_of(self.metadata.get("traceparent"), self.metadata.get("tracestate"))
        remaining = context.time_remaining()
        self._ends = None if remaining is None else self.started + max(float(remaining), 0.0)

    @property
    def timeout(self) -> float | None:
        """The seconds until the client's deadline; None where it has none."""
        return None if self._ends is None else max(self._ends - time.perf_counter(), 0.0)

    def record(self, status: Status | None) -> Record:
        """What is told of the call when it has ended."""
        return Record(
            self.method,
            self.model,
            self.version,
            status,
            time.perf_counter() - self.started,
            self.peer,
            self.request_id,
            self.trace,
        )


Observe = Callable[[Record], None]


class Gate:
    """Lets so many calls in at a time, tells of each that has ended, and ends streams that are idle
    when the server ends."""

    def __init__(self, most: int, observe: Observe) -> None:
        self.most = most
        self.observe = observe
        self.inside = 0
        # By the loop's time: requests of streams are read till then.
        self.ends_at: float | None = None
        self.streams: set[_Requests] = set()

    def end(self) -> None:
        """Read no more requests of streams than those that are on their way."""
        self.ends_at = asyncio.get_running_loop().time() + LAST_CALL
        for stream in self.streams:
            stream.hurry()

    def enter(self) -> None:
        """Raises ServeError where too many calls are answered, this one among them."""
        if self.inside > self.most:
            raise ServeError(
                Status.RESOURCE_EXHAUSTED,
                f"{self.most} calls are answered already; try again later",
                retry_after=1.0,
            )


class _Requests:
    """The requests of a stream, until its client or the server ends."""

    def __init__(self, requests: AsyncIterator[bytes], kind: Any, gate: Gate) -> None:
        self.is_cut = False  # by the server
        self._requests = requests
        self._kind = kind
        self._gate = gate
        self._waits: asyncio.Timeout | None = None

    def __enter__(self) -> Self:
        self._gate.streams.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._gate.streams.discard(self)

    def hurry(self) -> None:
        """Wait for the next request until the gate ends only."""
        if self._waits is not None:
            self._waits.reschedule(self._gate.ends_at)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            async with asyncio.timeout_at(self._gate.ends_at) as self._waits:
                data = await anext(self._requests)
        except TimeoutError:
            self.is_cut = True
            raise StopAsyncIteration from None
        finally:
            self._waits = None
        return parsed(self._kind, data)


def parsed(kind: Any, data: bytes) -> Any:
    """The message in some bytes."""
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise invalid(f"the request is no {kind.DESCRIPTOR.full_name}: {error}") from None


def handler(
    service: str, method: Method, function: Callable[..., Any], gate: Gate
) -> grpc.RpcMethodHandler:
    """How gRPC calls a method: messages stay bytes until they come here, so that what can't be
    read is answered as any other error."""
    name = f"/{service}/{method.name}"

    async def one(data: bytes, context: Any) -> bytes:
        call = Call(context, name)
        async with _answering(call, gate):
            gate.enter()
            answer = await function(parsed(method.request, data), call)
            encoded: bytes = answer.SerializeToString()
            return encoded
        raise AssertionError  # an error has been told

    async def to_many(data: bytes, context: Any) -> AsyncIterator[bytes]:
        call = Call(context, name)
        async with _answering(call, gate):
            gate.enter()
            async for answer in function(parsed(method.request, data), call):
                yield answer.SerializeToString()

    async def many_to_many(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        call = Call(context, name)
        async with _answering(call, gate):
            gate.enter()
            with _Requests(requests, method.request, gate) as read:
                async for answer in function(read, call):
                    yield answer.SerializeToString()
                if read.is_cut:
                    raise ServeError(Status.UNAVAILABLE, "the server ends")

    if method.many_requests:
        return grpc.stream_stream_rpc_method_handler(many_to_many)
    if method.many_responses:
        return grpc.unary_stream_rpc_method_handler(to_many)
    return grpc.unary_unary_rpc_method_handler(one)


def unknown(gate: Gate) -> grpc.GenericRpcHandler:
    """Answers the methods that no service has, so that these calls are told of too."""

    class Unknown(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
        def service(self, details: Any) -> grpc.RpcMethodHandler:
            async def refused(requests: Any, context: Any) -> AsyncIterator[bytes]:
                async with _answering(Call(context, details.method), gate):
                    raise ServeError(
                        Status.UNIMPLEMENTED, f"there is no method {details.method[:200]}"
                    )
                yield b""

            return grpc.stream_stream_rpc_method_handler(refused)

    return Unknown()


class _answering:  # noqa: N801  # a context manager
    """Tells the client of errors and the request's id, and the observer of every call."""

    def __init__(self, call: Call, gate: Gate) -> None:
        self.call = call
        self.gate = gate

    async def __aenter__(self) -> None:
        self.gate.inside += 1
        asking.set(asker(self.call.request_id, self.call.trace))  # in the task of this call
        trailing = [("x-request-id", self.call.request_id)]
        trace = self.call.trace
        if trace is not None:
            trailing.append(("traceparent", trace.header))
            if trace.state:
                trailing.append(("tracestate", trace.state))
        self.call.context.set_trailing_metadata(tuple(trailing))

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        self.gate.inside -= 1
        if error is None:
            self.gate.observe(self.call.record(None))
            return False
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            self.gate.observe(self.call.record(Status.CANCELLED))
            return False
        found = told_of(error, self.call.method, self.call.request_id, self.call.trace)
        self.gate.observe(self.call.record(found.status))
        await _abort(self.call, found)
        return True


async def _abort(call: Call, error: ServeError) -> None:
    """End a call with the status of an error, its field as google.rpc.BadRequest says it, and when
    to ask again as google.rpc.RetryInfo and clients of gRPC do."""
    message = str(error)
    if len(message) > _LONGEST:
        message = message[:_LONGEST] + " ..."
    trailing = [(key, value) for key, value in call.context.trailing_metadata() or ()]
    later = None if error.retry_after == NEVER else error.retry_after
    if error.field or later is not None:
        trailing.append((DETAILS, _details(error, message, later)))
    if later is not None:
        trailing.append(("grpc-retry-pushback-ms", str(int(later * 1000))))
    await call.context.abort(_CODES[error.status.grpc], message, tuple(trailing))


def _details(error: ServeError, message: str, later: float | None) -> bytes:
    status = messages()("google.rpc.Status")(code=error.status.grpc, message=message[:200])
    if error.field:
        bad = messages()("google.rpc.BadRequest")()
        bad.field_violations.add(field=error.field[:200], description=message[:200])
        status.details.add(type_url=BAD_REQUEST, value=bad.SerializeToString())
    if later is not None:
        nanos = round(later * 1e9)
        delay = {"seconds": nanos // 10**9, "nanos": nanos % 10**9}
        retry = messages()("google.rpc.RetryInfo")(retry_delay=delay)
        status.details.add(type_url=RETRY_INFO, value=retry.SerializeToString())
    found: bytes = status.SerializeToString()
    return found


__all__ = ["Call", "Gate", "Observe", "Record", "handler", "parsed", "unknown"]
