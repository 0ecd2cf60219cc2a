"""The body of a request as values by name: a form's parts, JSON's fields, or one thing."""

from __future__ import annotations

import base64
import binascii
import email.parser
import email.policy
import re
from typing import Any
from urllib.parse import parse_qsl

from argand.serve.errors import invalid
from argand.serve.handlers.tables import CSV, NPY, array_of_npy, rows_of_csv
from argand.serve.http.long_arrays import LARGE, decoded_in_pieces
from argand.serve.http.values import loads

WHOLE = "data"
"""The name of a body that is one value; TorchServe's."""


def values_of(body: bytes, content_type: str, *, takes_json: bool = False) -> dict[str, Any]:
    """What a body holds by name: bytes, or what JSON has. With `takes_json` a body that begins as
    JSON does is JSON, whatever its header says: curl names none."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return _form(body, content_type)
    if kind == "application/json" or kind.endswith("+json"):
        return _json(body)
    if kind == "application/x-www-form-urlencoded" and _FIELD.match(body):
        return _fields(body)
    if kind == NPY:
        return {WHOLE: array_of_npy(body)}
    if kind == CSV:
        return {WHOLE: rows_of_csv(body)}
    if takes_json and body.lstrip()[:1] in (b"[", b"{"):
        return _json(body)
    return {WHOLE: body}


def _json(body: bytes) -> dict[str, Any]:
    if len(body) > LARGE:
        found = decoded_in_pieces(body)
    else:
        try:
            found = loads(body)
        except (ValueError, RecursionError) as e:
            raise invalid(f"the body is no JSON: {e}", "body") from None
    if not isinstance(found, dict) or set(found) == {"b64"}:
        return {WHOLE: _items(found)}
    if set(found) == {"instances"}:
        return {WHOLE: _items(found["instances"])}
    if "input_data" in found:
        return _of_azure(found["input_data"])
    return found


def _items(found: Any) -> Any:
    """A list of what TorchServe's clients write `{"data": item}`."""
    is_wrapped = isinstance(found, list) and all(
        isinstance(x, dict) and len(x) == 1 and x.keys() <= _WRAPS for x in found
    )
    return [next(iter(x.values())) for x in found] if is_wrapped else found


def _of_azure(found: Any) -> dict[str, Any]:
    """Azure's `{"input_data": ...}`: rows, a table with its columns, or inputs by name."""
    if not isinstance(found, dict):
        return {WHOLE: found}
    return {WHOLE: found["data"]} if {"columns", "data"} <= found.keys() else found


_WRAPS = {WHOLE, "body"}
_FIELD = re.compile(rb"(data|body|file|image|text)=[\x21-\x7e]*\Z")
"""A form of one field; curl calls bodies of other kinds so too, unless it is told their kind."""


def _fields(body: bytes) -> dict[str, Any]:
    """The fields of a form that is written as a query."""
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict"))
    except ValueError as e:
        raise invalid(f"the body is no form: {e}", "body") from None


def _form(body: bytes, content_type: str) -> dict[str, Any]:
    """The parts of a form by their names."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    parsed = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    if not parsed.is_multipart():
        raise invalid("the body is no form: it has no parts", "body")
    found: dict[str, Any] = {}
    for part in parsed.iter_parts():
        name = part.get_param("name", WHOLE, header="content-disposition")
        if part.is_multipart():
            continue
        value, before = part.get_payload(decode=True), found.get(str(name))
        if before is not None:  # several files of one name are a batch
            value = [*before, value] if isinstance(before, list) else [before, value]
        found[str(name)] = value
    if not found:
        raise invalid("the form has no parts", "body")
    return found


def number_of(data: Any) -> Any:
    """What a part or a field of a form is for an input of numbers: JSON's numbers, or the bytes
    of an image, which are no JSON."""
    if isinstance(data, list):  # of parts with one name
        return [number_of(x) if isinstance(x, bytes) else x for x in data]
    try:
        return loads(data)
    except (ValueError, RecursionError):
        return data


def bytes_of(value: Any, field: str) -> bytes:
    """The bytes that a value is: itself, or its base64."""
    if isinstance(value, dict) and set(value) == {"b64"}:
        value = value["b64"]
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if isinstance(value, str):
        text = value.partition(",")[2] if value.startswith("data:") else value
        try:
            return base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error):
            raise invalid(f"{field}: a string of an image is its base64", field) from None
    raise invalid(f"{field}: expected bytes or their base64, got {type(value).__name__}", field)


def string_of(value: Any, field: str) -> str:
    """The string that a value is."""
    if isinstance(value, dict) and set(value) == {"b64"}:
        value = bytes_of(value, field)
    if isinstance(value, bytes | bytearray):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError as e:
            raise invalid(f"{field}: the text is not UTF-8: {e}", field) from None
    if isinstance(value, str):
        return value
    raise invalid(f"{field}: expected a string, got {type(value).__name__}", field)


__all__ = ["WHOLE", "bytes_of", "number_of", "string_of", "values_of"]
