"""What the v2 protocol says of tensors and versions, over REST and gRPC alike."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import numpy as np

from argand.serve.errors import ServeError, Status, invalid
from argand.serve.signature import TensorSpec
from argand.serve.v2_absent import no_shared_memory
from argand.serve.version import State
from argand_client.datatypes import as_bytes, element_count, name_of

EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "generate",
    "model_configuration",
    "model_repository",
    "model_repository(unload_dependents)",
    "parameters",
    "schedule_policy",
    "statistics",
)
"""What is served beyond the protocol's core, by the names of Triton and KServe."""

STATES = {
    State.START: "LOADING",
    State.LOADING: "LOADING",
    State.AVAILABLE: "READY",
    State.UNLOADING: "UNLOADING",
    State.END: "UNAVAILABLE",
}
"""What a version does, by the names of Triton."""


def check_given(tensor: Any, found: Container[str], most: int) -> None:
    """Raises ServeError where a request gives an input twice (`found` are those before it), in
    shared memory, or with more than `most` elements; ValueError where its shape is none."""
    name = tensor.name
    if name in found:
        raise invalid(f"the input {name!r} is given twice", name)
    if "shared_memory_region" in tensor.parameters:
        raise no_shared_memory(name, name)
    if element_count(tensor.shape) > most:
        raise ServeError(
            Status.TOO_LARGE,
            f"{name}: the shape {list(tensor.shape)} has more than {most:,} elements",
            field=name,
        )


def datatype_of(dtype: Any, name: str) -> str:
    """The protocol's name for the dtype of a tensor of this name."""
    try:
        return name_of(dtype)
    except ValueError as error:
        raise ServeError(Status.UNIMPLEMENTED, f"{name}: {error}", field=name) from None


def datatype(spec: TensorSpec) -> str:
    """The protocol's name for the type of an input or an output."""
    return "BYTES" if spec.dtype is None else datatype_of(spec.dtype.numpy, spec.name)


def sizes(spec: TensorSpec) -> list[int]:
    """The sizes of an input or an output; -1 for what varies."""
    return [size if isinstance(size, int) else -1 for size in spec.shape or ()]


def classified(
    array: Any, count: int, name: str, names: Sequence[str] | None = None
) -> np.ndarray[Any, Any]:
    """The `count` largest scores along the last dimension, as Triton's texts `score:index`, or
    `score:index:name` where the classes have names."""
    if array.ndim == 0 or array.dtype.kind not in "fiu" or count < 0:
        raise invalid(f"{name}: {count} classes can't be made of {array.dtype}", name)
    order = np.argsort(-array.astype(np.float64), axis=-1, kind="stable")[..., :count]
    scores = np.take_along_axis(array, order, -1)
    found = np.empty(order.size, object)
    pairs = zip(scores.ravel().tolist(), order.ravel().tolist(), strict=True)
    ends = [""] * array.shape[-1] if names is None else [f":{name}" for name in names]
    found[:] = [as_bytes(f"{score:f}:{index}{ends[index]}") for score, index in pairs]
    return found.reshape(order.shape)


__all__ = ["EXTENSIONS", "STATES", "check_given", "classified", "datatype", "datatype_of", "sizes"]
