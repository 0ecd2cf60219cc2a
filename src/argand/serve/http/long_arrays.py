"""Long arrays of numbers in JSON, read and written piece by piece.

A call of msgspec keeps the interpreter until it is done, and with it the event loop: 0.2 s for a
body of 60 MB. So a thread cuts the arrays out of a body and reads them a piece at a time, each to
an array of NumPy's; others take their turns between the pieces. What is left is short.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Annotated, Any

import msgspec
import numpy as np

from argand.serve.beside import beside_calls, let_others
from argand.serve.errors import ServeError
from argand.serve.http.values import decoded, encoded, listed, loads

LARGE = 1 << 18
"""Bytes of a body, or of outputs, from which on JSON is read, or written, on a thread."""

_LONG = 1 << 13  # bytes of an array that is worth being cut out
_PIECE = 1 << 16  # bytes that are read at once: it takes 0.3 ms
_NUMBERS = 1 << 13  # that are written at once
_RANKS = 8
_SLASHES = 64  # backslashes in a row that are looked at
_Int = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_QUOTE, _BACKSLASH = b'"\\'
_OTHERS = bytes(set(range(256)) - set(b"[],"))


class _NoArrayError(Exception):
    """What was looked at is no array of numbers, or one that is ragged."""


# -- reading ---------------------------------------------------------------------------------------


def decoded_in_pieces(body: bytes) -> Any:
    """The value of a JSON body, as `values.decoded` gives it, but that long arrays of numbers are
    arrays of float64, or int64 where all are integers."""
    with beside_calls():
        try:
            rest, arrays = _cut(body)
            value = _by_items(rest) if len(rest) > _PIECE else decoded(rest)
            return _placed(value, arrays) if arrays else value
        except (_NoArrayError, ServeError):  # which names places of the whole
            return decoded(body)


def _cut(body: bytes) -> tuple[bytes, dict[str, np.ndarray]]:
    """A body with a string in the place of each long array, and the arrays by these strings."""
    arrays: dict[str, np.ndarray] = {}
    parts: list[bytes] = []
    done, mark = 0, secrets.token_hex(16)
    for start, stop in _places(body):
        try:
            found = _array(body, start, stop)
        except _NoArrayError:
            continue
        arrays[f"{mark}{len(arrays)}"] = found
        parts += (body[done:start], b'"%s%d"' % (mark.encode(), len(arrays) - 1))
        done = stop
    return b"".join([*parts, body[done:]]), arrays


def _by_items(body: bytes) -> Any:
    """The value of a body that is, or whose fields are, lists of many items, such as rows that are
    objects: they are told apart at once, which is quick, and read some at a time."""
    try:
        if body.lstrip()[:1] == b"[":
            return _items(body.strip())
        return {name: _items(text) for name, text in _fields(body).items()}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return decoded(body)


def _items(text: bytes | msgspec.Raw) -> Any:
    if len(text) < _PIECE or bytes(memoryview(text)[:1]) != b"[":
        return decoded(bytes(text))
    found: list[Any] = []
    some, size = [], 0
    for item in _apart(text):
        some.append(item)
        size += len(item)
        if size > _PIECE:
            found += decoded(b"[" + b",".join(some) + b"]")
            some, size = [], 0
            let_others()
    return found + decoded(b"[" + b",".join(some) + b"]")


_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_apart = msgspec.json.Decoder(list[msgspec.Raw]).decode


def _placed(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, str):
        return arrays.get(value, value)
    if isinstance(value, list):
        return [_placed(x, arrays) for x in value]
    if isinstance(value, dict):
        return {name: _placed(x, arrays) for name, x in value.items()}
    return value


def _places(body: bytes) -> Iterator[tuple[int, int]]:
    """Where long arrays are: from a bracket to a bracket, with no string and no object between."""
    for start, stop in _outside_of_strings(body):
        first = body.find(b"[", start, stop)
        ends = [body.find(brace, first, stop) for brace in (b"{", b"}")] if first >= 0 else []
        last = body.rfind(b"]", first, min([e for e in ends if e >= 0], default=stop))
        if first >= 0 and last - first >= _LONG:
            yield first, last + 1


def _outside_of_strings(body: bytes) -> Iterator[tuple[int, int]]:
    """The long stretches between two strings."""
    text = np.frombuffer(body, np.uint8)
    quotes = np.flatnonzero(text == _QUOTE)
    if b"\\" in body:
        quotes = quotes[~_are_escaped(text, quotes)]
    ends = np.concatenate([[-1], quotes, [len(body)]])
    for i in np.flatnonzero(np.diff(ends) > _LONG):
        if i % 2 == 0:  # quotes before it: those of whole strings
            yield int(ends[i]) + 1, int(ends[i + 1])


def _are_escaped(text: np.ndarray, quotes: np.ndarray) -> np.ndarray:
    """Whether an odd number of backslashes is before each quote."""
    found = np.zeros(len(quotes), bool)
    left = np.arange(len(quotes))
    for back in range(1, _SLASHES):
        places = quotes[left] - back
        left = left[(places >= 0) & (text[places] == _BACKSLASH)]
        if not len(left):
            return found
        found[left] ^= True
    raise _NoArrayError


def _array(body: bytes, start: int, stop: int) -> np.ndarray:
    """The array of a text that begins and ends with a bracket."""
    shape = _shape(body, start, stop)
    pieces = list(_pieces(body, start, stop, len(shape)))
    if {p.dtype for p in pieces} - {np.dtype(np.int64), np.dtype(np.float64)}:
        raise _NoArrayError
    found = np.concatenate(pieces)
    if found.size != math.prod(shape):
        raise _NoArrayError
    return found.reshape(shape)


def _shape(body: bytes, start: int, stop: int) -> tuple[int, ...]:
    """The sizes of nested lists, from their brackets and commas, which must be those of an array;
    an empty list looks as one of a single number does."""
    signs = b"".join(_signs(body, start, stop))
    rank = len(signs) - len(signs.lstrip(b"["))
    if not 1 <= rank <= _RANKS:
        raise _NoArrayError
    shape: list[int] = []
    pattern = b""
    for level in range(rank):
        # the first list of this level ends with the first so many brackets after another
        end = signs.find(b"]" * (level + 1), rank - level - 1)
        size, left = divmod(end + level + 1 - (rank - level), len(pattern) + 1)
        if end < 0 or left or size < 1:
            raise _NoArrayError
        shape.insert(0, size)
        pattern = b"[" + pattern + (b"," + pattern) * (size - 1) + b"]"
    if pattern != signs:
        raise _NoArrayError
    return tuple(shape)


def _signs(body: bytes, start: int, stop: int) -> Iterator[bytes]:
    for i in range(start, stop, _PIECE):
        yield body[i : min(i + _PIECE, stop)].translate(None, _OTHERS)
        let_others()


def _pieces(body: bytes, start: int, stop: int, rank: int) -> Iterator[np.ndarray]:
    """The numbers of an array. A text is cut at commas, and each piece gets the brackets that are
    open where it begins and where it ends."""
    decode, depth = _decoder(rank), 0
    while start < stop:
        end = body.find(b",", start + _PIECE, stop)
        end = stop if end < 0 else end
        piece = body[start:end]
        after = depth + piece.count(b"[") - piece.count(b"]")
        nested = _nested(b"[" * depth + piece + b"]" * after, decode)
        for _ in range(rank - 1):
            nested = list(chain.from_iterable(nested))
        try:
            yield np.array(nested)
        except (ValueError, OverflowError):
            raise _NoArrayError from None
        start, depth = end + 1, after
        let_others()


def _nested(piece: bytes, decode: Callable[[bytes], Any]) -> Any:
    try:
        return decode(piece)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        if b"NaN" not in piece and b"Infinity" not in piece:
            raise _NoArrayError from None
    try:
        return loads(piece)
    except ValueError:
        raise _NoArrayError from None


@lru_cache(maxsize=_RANKS)
def _decoder(rank: int) -> Callable[[bytes], Any]:
    """Reads lists of lists of numbers."""
    kind: Any = _Int | float
    for _ in range(rank):
        kind = list[kind]
    return msgspec.json.Decoder(kind).decode


# -- writing ---------------------------------------------------------------------------------------


class Writing:
    """Writes a value with long arrays, for a thread: called with an array, it gives what stands for
    it in the value, and `text` puts the arrays' texts in these places, which have their order."""

    def __init__(self) -> None:
        self._mark = secrets.token_hex(16)
        self._texts: list[list[bytes]] = []

    def __call__(self, array: np.ndarray) -> str:
        """What stands for an array as `values.listed` gives it."""
        with beside_calls():
            return self._kept(_texts(array))

    def rows(self, arrays: Sequence[np.ndarray], make: Callable[[list[Any]], list[Any]]) -> str:
        """What stands for the list that is made of the rows of some arrays."""
        with beside_calls():
            return self._kept(_lists(arrays, make))

    def _kept(self, texts: Iterator[bytes]) -> str:
        self._texts.append(list(texts))
        return self._mark

    def text(self, value: Any) -> bytes:
        """The JSON of a value."""
        parts, mark, whole = [], f'"{self._mark}"'.encode(), encoded(value)
        for texts in self._texts:
            before, _, whole = whole.partition(mark)
            parts += [before, *texts]
        return b"".join([*parts, whole])


def _texts(array: np.ndarray) -> Iterator[bytes]:
    """The text of an array, in pieces."""
    row = array[0].size if array.ndim and len(array) else 0
    if array.size <= _NUMBERS or not row:
        yield encoded(listed(array), [array])
    elif row <= _NUMBERS:
        yield from _lists([array], lambda parts: listed(parts[0]))
    else:
        for i, part in enumerate(array):
            yield b"," if i else b"["
            yield from _texts(part)
        yield b"]"


def _lists(arrays: Sequence[np.ndarray], make: Callable[[list[Any]], list[Any]]) -> Iterator[bytes]:
    rows = len(arrays[0])
    step = max(1, _NUMBERS * rows // max(1, sum(a.size for a in arrays)))
    for i in range(0, rows, step):
        parts = [a[i : i + step] for a in arrays]
        yield b"," if i else b"["
        yield encoded(make(parts), parts)[1:-1]
        let_others()
    yield b"]"


__all__ = ["LARGE", "Writing", "decoded_in_pieces"]
