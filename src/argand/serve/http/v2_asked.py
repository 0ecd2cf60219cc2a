"""What a request of the v2 protocol asks over REST: its JSON, and the binary tensors behind it."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from argand.serve.errors import ServeError, invalid
from argand.serve.http.known import Known
from argand.serve.http.long_arrays import LARGE, decoded_in_pieces
from argand.serve.http.message import Request
from argand.serve.http.values import array_of, decoded
from argand.serve.signature import ServedSignature, TensorSpec
from argand.serve.v2_parameters import integer_of, signature_name_of, timeout_of
from argand.serve.v2_tensors import check_given, datatype, sizes
from argand_client.datatypes import dtype_of, element_count, from_bytes

HEADER: Final = b"inference-header-content-length"
Parameters = dict[str, Any]

_KEPT = 256
_LONGEST = 1024  # bytes


class Input(msgspec.Struct):
    """An input: `data`, or as many bytes of the binary part as `binary_data_size` says."""

    name: str
    shape: list[int]
    datatype: str
    data: Any = None
    parameters: Parameters = {}


class _Output(msgspec.Struct):
    name: str
    parameters: Parameters = {}


class _Infer(msgspec.Struct):
    inputs: list[Input]
    outputs: list[_Output] = []
    id: str = ""
    parameters: Parameters = {}


_decode = msgspec.json.Decoder(_Infer).decode


class _Place(NamedTuple):
    """Where a tensor of numbers lies in the binary part."""

    name: str
    shape: list[int]
    dtype: np.dtype[Any]
    start: int


class Asked:
    """What the JSON of a request says.

    Raises ServeError where a parameter is none. `wanted` are the parameters of the outputs that
    are named; where none is, all are asked for.
    """

    def __init__(self, said: _Infer) -> None:
        self.inputs = said.inputs
        self.wanted = {o.name: o.parameters for o in said.outputs}
        self.id = said.id
        self.parameters = parameters = said.parameters
        self.signature_name = signature_name_of(parameters)
        self.timeout = timeout_of(parameters)
        self.priority = integer_of(parameters, "priority")
        self.is_binary = bool(parameters.get("binary_data_output", False))
        self._places: list[_Place] | None = None
        self._size = 0

    def arrays(self, rest: memoryview, most: int) -> dict[str, Any]:
        """The arrays by name; those that are binary lie in `rest`, one after the other. None has
        more than `most` elements."""
        if self._places is not None and len(rest) == self._size:
            return {p.name: np.ndarray(p.shape, p.dtype, rest, p.start) for p in self._places}
        found: dict[str, Any] = {}
        place = 0
        for tensor in self.inputs:
            name = tensor.name
            try:
                check_given(tensor, found, most)
                if "binary_data_size" in tensor.parameters:
                    size = integer_of(tensor.parameters, "binary_data_size")
                    if size < 0 or place + size > len(rest):
                        raise ValueError(
                            f"binary_data_size is {size}, {len(rest) - place} bytes are left"
                        )
                    data = rest[place : place + size]
                    found[name] = from_bytes(data, tensor.datatype, tensor.shape)
                    place += size
                else:
                    found[name] = _of_json(tensor, most)
            except ValueError as error:
                raise invalid(f"{name}: {error}", name) from None
        if place != len(rest):
            raise invalid(f"{len(rest) - place} bytes follow the last binary tensor", "inputs")
        return found

    @property
    def is_layout(self) -> bool:
        """Whether it says nothing but where tensors of numbers lie, which any bytes are."""
        return not self.id and all(
            "binary_data_size" in x.parameters and x.datatype not in ("BOOL", "BYTES")
            for x in self.inputs
        )

    def settle(self) -> None:
        """Remember where the tensors lie, which `arrays` has looked at."""
        self._places, self._size = [], 0
        for x in self.inputs:
            self._places.append(_Place(x.name, x.shape, dtype_of(x.datatype), self._size))
            self._size += x.parameters["binary_data_size"]


class Reading:
    """Reads requests, whose tensors have `most` elements at most. What short JSON says that is
    nothing but a layout is kept: a client sends the same again and again."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._known: Known[bytes, Asked] = Known(_KEPT)

    def asked(self, body: bytes) -> Asked:
        """What a JSON body says."""
        return self._known.get(body) or Asked(_infer_of(body))

    def arrays(self, asked: Asked, body: bytes, rest: memoryview) -> dict[str, Any]:
        """The arrays by name of a request whose JSON is `body`."""
        found = asked.arrays(rest, self.most)
        if 0 < len(body) <= _LONGEST and body not in self._known and asked.is_layout:
            asked.settle()
            self._known.keep(body, asked)
        return found


def split(request: Request) -> tuple[bytes, memoryview]:
    """The JSON of a body, and the binary tensors behind it."""
    header = request.headers.get(HEADER)
    body = request.body
    if header is None:
        return body, memoryview(b"")
    text = header.strip()
    size = int(text) if text.isdigit() and len(text) <= 18 else -1
    if not 0 <= size <= len(body):
        shown = text[:40].decode("latin-1")
        raise invalid(
            f"Inference-Header-Content-Length is {shown!r}, the body has {len(body)} bytes",
            "inference-header-content-length",
        )
    return body[:size], memoryview(body)[size:]


def _infer_of(body: bytes) -> _Infer:
    """The request of a JSON body."""
    try:
        if len(body) > LARGE:
            return msgspec.convert(decoded_in_pieces(body), _Infer)
        return _decode(body)
    except msgspec.ValidationError as error:
        if "out of range" not in str(error):  # of which the input is told below
            raise _misfit(error) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass
    try:
        return msgspec.convert(decoded(body), _Infer)  # with NaN, or the error of the JSON
    except msgspec.ValidationError as error:
        raise _misfit(error) from None


def _misfit(error: msgspec.ValidationError) -> ServeError:
    """The error of a body whose parts are of other kinds; msgspec tells which as `$.inputs[0]`."""
    said = str(error)
    found = [pattern.search(said) for pattern in (_PLACE, _MISSING)]
    field = ".".join(match.group(1) for match in found if match) or "body"
    return invalid(f"{field}: {said.partition(' - at ')[0]}", field)


_PLACE = re.compile(r"at `\$\.?([^`]+)`")
_MISSING = re.compile(r"required field `(\w+)`")


def raw(signature: ServedSignature, size: int) -> Asked:
    """The request of a body that is nothing but the bytes of a signature's one input, as Triton
    takes it: one size that varies follows from the number of bytes, others are 1."""
    if len(signature.inputs) != 1:
        raise invalid(
            f"{signature.name} has {len(signature.inputs)} inputs: the body must name them"
        )
    (spec,) = signature.inputs
    kind, shape = datatype(spec), sizes(spec)
    if kind == "BYTES":
        raise invalid(
            f"{spec.name}: strings have lengths, which a body of raw bytes lacks", spec.name
        )
    for i in [i for i, n in enumerate(shape) if n < 0][:-1]:
        shape[i] = 1
    if -1 in shape:
        one = dtype_of(kind).itemsize * element_count([n for n in shape if n >= 0])
        shape[shape.index(-1)] = size // one if one else 0
    given = Input(spec.name, shape, kind, parameters={"binary_data_size": size})
    return Asked(_Infer([given]))


def _of_json(tensor: Input, most: int) -> np.ndarray:
    """The array of `data`, which may be nested or flat."""
    dtype = dtype_of(tensor.datatype)
    if tensor.data is None:
        raise ValueError("it has neither data nor binary_data_size")
    if dtype.kind == "O":
        array = array_of(tensor.data, TensorSpec(tensor.name, None, None), most)
        if array.dtype.kind != "O":
            raise ValueError("BYTES are strings")
    else:
        array = array_of(tensor.data, _typed(tensor.name, dtype), most)
        if array.dtype.kind == "O":
            raise ValueError(f"{tensor.datatype} are no strings")
    if array.size != element_count(tensor.shape):
        raise ValueError(
            f"the shape {tensor.shape} has {element_count(tensor.shape)} elements, data has "
            f"{array.size}"
        )
    return array.reshape(tensor.shape)


def _typed(name: str, dtype: np.dtype[Any]) -> TensorSpec:
    from argand.base.dtype import from_numpy

    return TensorSpec(name, from_numpy(dtype), None)


__all__ = ["HEADER", "Asked", "Input", "Parameters", "Reading", "raw", "split"]
