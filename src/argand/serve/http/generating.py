"""What the protocols of language models share: how tokens are drawn, and events of a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, get_args, get_type_hints

import msgspec

from argand.serve.errors import ServeError, invalid
from argand.serve.generation import Generation, Piece, Sampling

Fields = Mapping[str, Any]
DONE = b"data: [DONE]\n\n"
_OTHER_NAMES = {
    "max_completion_tokens": "max_tokens",
    "max_new_tokens": "max_tokens",
    "random_seed": "seed",
    "stop_words": "stop",
    "stop_token_ids": "stop_tokens",
    "ignore_eos": "ignore_stop",
}


def fields_of(body: bytes) -> dict[str, Any]:
    """The fields of a body."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise invalid(f"the body is no JSON: {error}", "body") from None
    if not isinstance(found, dict):
        raise invalid(f"the body must be a JSON object, got {type(found).__name__}", "body")
    return found


def field(fields: Fields, name: str, kind: Any, default: Any = None) -> Any:
    """One field, of a type, or of one of several; `default` where it is missing or null."""
    value = fields.get(name)
    if value is None:
        return default
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if type(value) is int and float in kinds and int not in kinds:
        return float(value)
    if type(value) not in kinds:
        wanted = " or ".join(_READABLE.get(k, k.__name__) for k in kinds)
        raise invalid(f"{name} must be {wanted}, got {value!r:.60}", name)
    return value


_READABLE = {str: "a string", int: "an int", float: "a number", bool: "a bool", list: "a list"}


def sampling_of(fields: Fields, **given: Any) -> Sampling:
    """How tokens are drawn: the fields of `Sampling` by their names, or by those that others give
    them; `given` are known already."""
    named = {_OTHER_NAMES.get(name, name): value for name, value in fields.items()}
    found: dict[str, Any] = {}
    for name, kind in _KINDS.items():
        value = field(named, name, kind)
        if name not in given and value is not None:
            found[name] = value
    if "stop" in found:
        stop = found["stop"]
        found["stop"] = tuple(_all(str, [stop] if isinstance(stop, str) else stop, "stop"))
    if "stop_tokens" in found:
        found["stop_tokens"] = tuple(_all(int, found["stop_tokens"], "stop_tokens"))
    if "logit_bias" in found:
        found["logit_bias"] = _biases(found["logit_bias"])
    return Sampling(**found, **given)


def _kinds() -> dict[str, Any]:
    """The JSON types of the fields of `Sampling`."""
    lists = {"stop": (str, list), "stop_tokens": list, "logit_bias": dict}
    hints = get_type_hints(Sampling)
    return {
        name: lists.get(name) or next((k for k in get_args(hint) if k is not type(None)), hint)
        for name, hint in hints.items()
    }


_KINDS = _kinds()


def _all(kind: type, values: Sequence[Any], name: str) -> Sequence[Any]:
    if not all(type(v) is kind for v in values):
        raise invalid(f"{name} must be a list of {kind.__name__}s, got {values!r:.60}", name)
    return values


def _biases(given: Mapping[str, Any]) -> dict[int, float]:
    try:
        found = {int(token): float(bias) for token, bias in given.items()}
    except (TypeError, ValueError):
        raise invalid(
            f"logit_bias must be numbers by token id, got {given!r:.60}", "logit_bias"
        ) from None
    if not all(-100 <= bias <= 100 for bias in found.values()):
        raise invalid("logit_bias must be from -100 to 100", "logit_bias")
    return found


# -- events ----------------------------------------------------------------------------------------


def event(value: Any) -> bytes:
    """A server-sent event."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


async def pieces_of(
    requests: Sequence[Generation],
) -> AsyncGenerator[tuple[int, Piece], None]:
    """The pieces of several requests as they come, with the number of the request; leaving the
    loop, or a failure of one, cancels all."""
    queue: asyncio.Queue[tuple[int, Piece] | BaseException | None] = asyncio.Queue()

    async def follow(number: int, request: Generation) -> None:
        try:
            async for piece in request:
                queue.put_nowait((number, piece))
            queue.put_nowait(None)
        except Exception as error:
            queue.put_nowait(error)

    tasks = [asyncio.create_task(follow(i, r)) for i, r in enumerate(requests)]
    left = len(tasks)
    try:
        while left:
            found = await queue.get()
            if isinstance(found, BaseException):
                raise found
            if found is None:
                left -= 1
            else:
                yield found
    finally:
        for task in tasks:
            task.cancel()  # which leaves the loop over its request


async def with_errors(
    chunks: AsyncGenerator[bytes, None], shown: Callable[[ServeError], Any]
) -> AsyncIterator[bytes]:
    """A stream whose failure is its last event."""
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk
    except ServeError as error:
        yield event(shown(error))


__all__ = ["DONE", "event", "field", "fields_of", "pieces_of", "sampling_of", "with_errors"]
