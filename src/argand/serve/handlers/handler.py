"""A model's handler: what its card says, read once."""

from __future__ import annotations

import functools
import json
import math
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from argand.base.errors import ArgandError, MissingExtraError, did_you_mean
from argand.export.card import (
    Classes,
    Decoded,
    Image,
    Text,
    inputs_described,
    names_of_classes,
    outputs_described,
)
from argand.serve.errors import ServeError, Status, invalid
from argand.serve.handlers.answers import meanings
from argand.serve.handlers.bodies import WHOLE, bytes_of, number_of, string_of, values_of
from argand.serve.handlers.images import array_of_image, image_of_input, may_be_image
from argand.serve.handlers.strings import texts
from argand.serve.handlers.tokens import Tokenizer, tokenizer_of
from argand.serve.http.values import array_of
from argand.serve.signature import ServedSignature, TensorSpec
from argand.serve.version import ModelVersion

Arrays = dict[str, Any]
_CLASSES = "classes.txt"  # names classes where the card says nothing of them
_ALIASES = (WHOLE, "body", "file", "image", "text")


def inputs_of(
    version: ModelVersion, signature: ServedSignature, body: bytes, content_type: str = ""
) -> Arrays:
    """The arrays of a request whose body is an image, a string, a form with these, or JSON.

    Raises ServeError (INVALID_ARGUMENT) with the input that is at fault.

    Args:
        version: the model's.
        signature: of this version.
        body: as it came.
        content_type: the header; what is no form and no JSON is the one described input.
    """
    return _handler(version).inputs_of(signature, body, content_type)


def converted(version: ModelVersion, signature: ServedSignature, inputs: Mapping[str, Any]) -> Any:
    """The inputs of a request with arrays in place of the strings and bytes that protocols with
    names carry: images and texts for inputs that the card describes. The inputs themselves where
    there is nothing to do."""
    if not any(_is_text(x) for x in inputs.values()):
        return inputs
    return _handler(version).converted(signature, inputs)


def answer_of(
    version: ModelVersion, signature: ServedSignature, outputs: Sequence[np.ndarray]
) -> Any:
    """What a model with described outputs answers, for JSON: an item for one row, a list of them
    for several. Nested lists where nothing is described."""
    return _handler(version).answer_of(signature, outputs)


def asked_inputs(version: ModelVersion, signature: ServedSignature) -> list[TensorSpec]:
    """The inputs that a request must name: not those that may be left out, nor those that follow
    from a text, such as its mask."""
    made = {name for how in _handler(version).inputs.values() for name in how.names}
    return [x for x in signature.inputs if not (x.optional or x.name in made)]


def main_input(version: ModelVersion, signature: ServedSignature) -> str | None:
    """The input that the card describes, which TorchServe's clients call `data`; None where it
    describes none."""
    return next((n for n in signature.by_name if n in _handler(version).inputs), None)


def is_described(version: ModelVersion, signature: ServedSignature) -> bool:
    """Whether the card says what an output of a signature means."""
    return bool(_handler(version).described_outputs(signature))


def class_names(
    version: ModelVersion, signature: ServedSignature, output: str, count: int
) -> Sequence[str] | None:
    """The names of an output's classes, where the card or the asset `classes.txt` has as many as
    there are."""
    found = _handler(version).class_names(signature, output)
    return found if len(found) == count else None


_handlers: weakref.WeakKeyDictionary[ModelVersion, Handler] = weakref.WeakKeyDictionary()


def _handler(version: ModelVersion) -> Handler:
    found = _handlers.get(version)
    if found is None:
        try:
            found = Handler(version.metadata, version.asset)
        except ArgandError as error:
            raise _unusable(version.model, error) from None
        _handlers[version] = found
        version.on_close.append(functools.partial(_forget, version))
    return found


def _forget(version: ModelVersion) -> None:
    _handlers.pop(version, None)


def _unusable(model: str, error: Exception) -> ServeError:
    return ServeError(Status.FAILED_PRECONDITION, f"{model}: its card can't be followed: {error}")


class Handler:
    """Follows a card; `asset` gives the contents of the file's assets."""

    def __init__(self, card: Mapping[str, Any], asset: Callable[[str], bytes | None]) -> None:
        self.card = card
        self.inputs = inputs_described(card)
        self.outputs = outputs_described(card)
        self._asset = asset
        self._read = functools.lru_cache(maxsize=None)(self._contents)

    # -- assets --------------------------------------------------------------------------------

    def _contents(self, asset: str) -> Any:
        """The tokenizer, or the names of classes, in an asset."""
        for how in (*self.inputs.values(), *self.outputs.values()):
            if isinstance(how, Text | Decoded) and how.tokenizer == asset:
                unknown = getattr(how, "unknown", "[UNK]")
                lower = getattr(how, "lower", False)
                return tokenizer_of(how.type, asset, self._asset(asset), unknown, lower)
        data = self._asset(asset)
        if data is None:
            raise ServeError(Status.FAILED_PRECONDITION, f"the model's file lacks {asset!r}")
        try:
            return names_of_classes(asset, data)
        except ValueError as e:
            raise ServeError(Status.FAILED_PRECONDITION, f"{asset}: {e}") from None

    # -- inputs --------------------------------------------------------------------------------

    def inputs_of(self, signature: ServedSignature, body: bytes, content_type: str) -> Arrays:
        """The arrays of a body."""
        takes_json = self._is_of_numbers(signature)
        values = self._named(signature, values_of(body, content_type, takes_json=takes_json))
        found: Arrays = {}
        for name, value in values.items():
            spec = signature.by_name[name]
            is_part = isinstance(value, bytes | str) or _has_bytes(value)
            if is_part and name not in self.inputs and not spec.takes_text:
                value = number_of(value)
            if isinstance(value, np.ndarray):
                found[name] = array_of_json(value, spec)
            elif spec.takes_text and name not in self.inputs:
                found[name] = _text_array(value, spec)
            elif (
                isinstance(value, bytes)
                or _has_bytes(value)
                or _has_strings(value)
                or name in self.inputs
            ):
                found |= self._made(spec, value if isinstance(value, list) else [value])
            else:
                found[name] = array_of_json(value, spec)
        return found

    def _main(self, signature: ServedSignature) -> str:
        """The input that a body without names is: a described one, else the first."""
        names = list(signature.by_name)
        return next((n for n in names if n in self.inputs), names[0] if names else "")

    def _is_of_numbers(self, signature: ServedSignature) -> bool:
        """Whether a body without names is of numbers, or an image, so that what looks like JSON
        is JSON whatever its header says."""
        spec = signature.by_name.get(self._main(signature))
        if spec is None or isinstance(self.inputs.get(spec.name), Text):
            return False
        return not spec.takes_text

    def _named(self, signature: ServedSignature, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values by the names of inputs; `data` and its like stand for `_main`."""
        names, main = list(signature.by_name), self._main(signature)
        found = {}
        for name, value in values.items():
            known = name if name in signature.by_name else main if name in _ALIASES else None
            if known is None:
                raise invalid(
                    f"{signature.name} has no input {name!r}{did_you_mean(name, names)}; its "
                    f"inputs are {', '.join(names)}",
                    name,
                )
            found[known] = value
        return found

    def converted(self, signature: ServedSignature, inputs: Mapping[str, Any]) -> Arrays:
        """Arrays in place of strings."""
        found = dict(inputs)
        for name, array in inputs.items():
            spec = signature.by_name.get(name)
            if spec is not None and _is_text(array) and not spec.takes_text:
                del found[name]
                found |= self._made(spec, array.reshape(-1).tolist())
        return found

    def _made(self, spec: TensorSpec, values: list[Any]) -> Arrays:
        """The arrays for the items of an input: its own, and those that follow from it."""
        if not values:
            raise invalid(f"{spec.name}: there is nothing in it", spec.name)
        how = self.inputs.get(spec.name)
        try:
            if isinstance(how, Text):
                return self._tokens(spec, how, [string_of(v, spec.name) for v in values])
            if _is_numbers(values):
                return {spec.name: array_of_json(values, spec)}
            if how is None and not may_be_image(spec.shape or ()):
                raise _no_numbers(spec, next(v for v in values if not _is_numbers([v])))
            how = image_of_input(self.card, spec.name, spec.shape or ())
            return {spec.name: self._images(spec, how, values)}
        except ServeError:
            raise
        except MissingExtraError as error:
            said = f"{spec.name}: {error}"
            raise ServeError(Status.FAILED_PRECONDITION, said, field=spec.name) from None
        except ArgandError as error:
            raise invalid(f"{spec.name}: {error}", spec.name) from None

    def _images(self, spec: TensorSpec, how: Image, values: list[Any]) -> np.ndarray:
        dtype = None if spec.dtype is None else spec.dtype.numpy
        made = [array_of_image(bytes_of(v, spec.name), how, spec.shape, dtype) for v in values]
        if spec.shape is not None and len(spec.shape) == 3 and len(made) == 1:
            return made[0]
        if len({a.shape for a in made}) > 1:
            raise invalid(
                f"{spec.name}: images of one request must have one size, got "
                f"{', '.join(str(a.shape) for a in made)}",
                spec.name,
            )
        return np.stack(made)

    def _tokens(self, spec: TensorSpec, how: Text, texts: list[str]) -> Arrays:
        """Token ids, and the mask and types where the card asks for them."""
        rows = [self._ids(how, text, spec.name) for text in texts]
        longest = how.max_length if how.pad else max(map(len, rows))
        assert longest is not None
        if how.mask is None and not how.pad and min(map(len, rows)) < longest:
            raise invalid(
                f"{spec.name}: texts of one request must have one length where the card "
                "declares no mask; send them one by one",
                spec.name,
            )
        dtype = np.int64 if spec.dtype is None else spec.dtype.numpy
        ids = np.full((len(rows), longest), how.pad_token, dtype)
        mask = np.zeros((len(rows), longest), dtype)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
            mask[i, : len(row)] = 1
        found: Arrays = {spec.name: ids}
        if how.mask is not None:
            found[how.mask] = mask
        if how.types is not None:
            found[how.types] = np.zeros_like(ids)
        if spec.shape is not None and len(spec.shape) == 1 and len(rows) == 1:
            found = {n: a[0] for n, a in found.items()}
        return found

    def _ids(self, how: Text, text: str, name: str) -> list[int]:
        tokenizer: Tokenizer = self._read(how.tokenizer)
        around = [[_special(tokenizer, t)] if t else [] for t in (how.start, how.end)]
        most = None if how.max_length is None else how.max_length - sum(map(len, around))
        found = [*around[0], *tokenizer.encode(text, most), *around[1]]
        if not found:
            raise invalid(f"{name}: the text has no tokens", name)
        return found

    # -- outputs -------------------------------------------------------------------------------

    def described_outputs(self, signature: ServedSignature) -> dict[str, Any]:
        """The descriptions of a signature's outputs."""
        names = {x.name for x in signature.outputs}
        return {n: how for n, how in self.outputs.items() if n in names}

    def class_names(self, signature: ServedSignature, output: str) -> Sequence[str]:
        """The names of an output's classes; none where nothing names them."""
        how = self.described_outputs(signature).get(output)
        asset = how.classes if isinstance(how, Classes) else None
        if asset is None and self._asset(_CLASSES) is not None:
            asset = _CLASSES
        return () if asset is None else self._read(asset)

    def answer_of(self, signature: ServedSignature, outputs: Sequence[np.ndarray]) -> Any:
        """An answer of what the card describes."""
        named = signature.named(outputs)
        described = self.described_outputs(signature)
        if not described:
            plain = {n: o.tolist() for n, o in named.items()}
            return next(iter(plain.values())) if len(plain) == 1 else plain
        found = {n: meanings(n, how, named, self._read) for n, how in described.items()}
        if len(found) == 1:
            rows = next(iter(found.values()))
        else:
            rows = [dict(zip(found, x, strict=True)) for x in zip(*found.values(), strict=True)]
        return rows[0] if len(rows) == 1 else rows


def _special(tokenizer: Tokenizer, token: str) -> int:
    found = tokenizer.id(token)
    if found is None:
        raise invalid(f"the vocabulary has no token {token!r}, which the card puts around texts")
    return found


def array_of_json(value: Any, spec: TensorSpec) -> np.ndarray:
    """Nested lists of numbers in an input's dtype; an item alone becomes a batch of one."""
    found = array_of(value, spec, sys.maxsize)
    if spec.shape is not None and found.ndim == len(spec.shape) - 1:
        found = found[None]
    return found


def _no_numbers(spec: TensorSpec, value: Any) -> ServeError:
    """What an input of numbers got is none, and nothing describes how to make some of it."""
    if isinstance(value, bytes):
        got = f"{len(value):,} bytes that are no JSON"
        try:
            json.loads(value)
        except (ValueError, RecursionError) as error:
            got += f" ({error!s:.100})"
    else:
        got = json.dumps(value, default=repr)[:60]
    return invalid(
        f"{spec.name} takes numbers, {spec}, got {got}; that it is a text or an image is said by "
        f"the field inputs.{spec.name} of the model's card (ag.export.card)",
        spec.name,
    )


def _text_array(value: Any, spec: TensorSpec) -> np.ndarray:
    """The strings of an input that takes strings itself; fewer dimensions than it has get those
    that are missing."""
    array = np.array(string_of(value, spec.name) if isinstance(value, bytes) else value, object)
    if not all(isinstance(x, str | dict) for x in array.reshape(-1)):
        raise invalid(f"{spec.name}: expected strings or lists of them", spec.name)
    array = array_of(array.tolist(), spec, sys.maxsize)
    if spec.shape is None or array.ndim >= len(spec.shape):
        return texts(array, spec.name)
    rest = [s if isinstance(s, int) else 1 for s in spec.shape[1:]]
    if array.size % math.prod(rest):
        raise invalid(f"{spec.name}: {array.size} strings are no rows of {spec}", spec.name)
    return texts(array.reshape(-1, *rest), spec.name)


def _is_text(x: Any) -> bool:
    return getattr(getattr(x, "dtype", None), "kind", "") in "OSUT" and hasattr(x, "dtype")


def _has_bytes(value: Any) -> bool:
    """Whether it is of the parts of a form that have one name."""
    return isinstance(value, list) and any(isinstance(x, bytes) for x in value)


def _has_strings(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_has_strings, value))
    return isinstance(value, str) or (isinstance(value, dict) and "b64" in value)


def _is_numbers(values: list[Any]) -> bool:
    return not any(isinstance(v, bytes) or _has_strings(v) for v in values)


__all__ = [
    "Handler",
    "answer_of",
    "array_of_json",
    "asked_inputs",
    "class_names",
    "converted",
    "inputs_of",
    "is_described",
    "main_input",
]
