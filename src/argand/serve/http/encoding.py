"""Bodies that are packed: gzip and deflate, within the limit of a body."""

from __future__ import annotations

import asyncio
import zlib

from argand.serve.errors import ServeError, Status, invalid

_FIELD = "content-encoding"
_FORMATS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
_SHORT = 1 << 14  # bytes that are unpacked sooner than a thread begins


async def unpacked(body: bytes, encoding: str, most: int) -> bytes:
    """What a body holds, of at most `most` bytes; no more than those are ever unpacked.

    Raises ServeError for an encoding that is not read, for damaged data and for too much of it.
    """
    name = encoding.strip().lower()
    if name == "identity" or not body:
        return body
    if name not in _FORMATS:
        raise ServeError(
            Status.UNSUPPORTED_TYPE,
            f"bodies are packed with gzip or deflate, or not at all, got {encoding[:40]!r}",
            field=_FIELD,
        )
    if len(body) < _SHORT:
        return _unpacked(body, name, min(most, _SHORT << 6)) or await _apart(body, name, most)
    return await _apart(body, name, most)


async def _apart(body: bytes, name: str, most: int) -> bytes:
    found = await asyncio.to_thread(_unpacked, body, name, most)
    if found is None:
        raise ServeError(
            Status.TOO_LARGE, f"the body is larger than {most:,} bytes, unpacked", field=_FIELD
        )
    return found


def _unpacked(body: bytes, name: str, most: int) -> bytes | None:
    """The data, or None where they are more."""
    unpacker = zlib.decompressobj(_FORMATS[name])
    try:
        found = unpacker.decompress(body, most + 1)
    except zlib.error as error:
        raise invalid(f"the body is no {name}: {error}", _FIELD) from None
    if len(found) > most:
        return None
    if not unpacker.eof or unpacker.unused_data:
        raise invalid(f"the body is no whole {name}", _FIELD)
    return found


__all__ = ["unpacked"]
