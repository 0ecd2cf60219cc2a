"""What the v2 protocol says of tensors and versions, over REST and gRPC alike."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

import numpy as np

from argand.serve.engine import Engine
from argand.serve.errors import ServeError, Status, invalid
from argand.serve.handlers import class_names
from argand.serve.metrics import Metrics
from argand.serve.signature import ServedSignature, TensorSpec
from argand.serve.v2_absent import no_shared_memory
from argand.serve.v2_parameters import Parameters, integer_of
from argand.serve.version import ModelVersion, State
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
    """The sizes of an input or an output: -1 for one that varies, and alone where the file doesn't
    say how many there are. Triton takes such a tensor for one of a single element, `[1]`."""
    if spec.shape is None:
        return [-1]
    return [size if isinstance(size, int) else -1 for size in spec.shape]


def check_wanted(wanted: Mapping[str, Parameters], outputs: Iterable[str], model: str) -> None:
    """Raises ServeError where a request wants an output that its model has not, or one in shared
    memory. `wanted` are the parameters of those that it names."""
    outputs = list(outputs)
    for name, parameters in wanted.items():
        if name not in outputs:
            raise invalid(
                f"{model} has no output {name!r}; its outputs are {', '.join(outputs)}", name
            )
        if "shared_memory_region" in parameters:
            raise no_shared_memory(name, name)


def classified(
    version: ModelVersion,
    signature: ServedSignature,
    name: str,
    array: np.ndarray[Any, Any],
    parameters: Parameters,
) -> np.ndarray[Any, Any]:
    """An output; in its place its largest scores along the last dimension, where the parameter
    `classification` says how many, as Triton's texts `score:index`, or `score:index:name` where the
    classes have names."""
    count = integer_of(parameters, "classification")
    if not count:
        return array
    if array.ndim == 0 or array.dtype.kind not in "fiu" or count < 0:
        raise invalid(f"{name}: {count} classes can't be made of {array.dtype}", name)
    names = class_names(version, signature, name, array.shape[-1])
    ends = [""] * array.shape[-1] if names is None else [f":{x}" for x in names]
    order = np.argsort(-array.astype(np.float64), axis=-1, kind="stable")[..., :count]
    scores = np.take_along_axis(array, order, -1)
    found = np.empty(order.size, object)
    pairs = zip(scores.ravel().tolist(), order.ravel().tolist(), strict=True)
    found[:] = [as_bytes(f"{score:f}:{index}{ends[index]}") for score, index in pairs]
    return found.reshape(order.shape)


def statistics(
    engine: Engine, metrics: Metrics, model: str = "", number: int | None = None
) -> list[dict[str, Any]]:
    """What was computed by the versions that answer: all, or those of a model or a number."""
    return [
        metrics.of_version(name, version)
        for name, served in engine.models.items()
        for version in served.available
        if model in ("", name) and number in (None, version)
    ]


def indexed(engine: Engine, ready: bool) -> list[dict[str, str]]:
    """The versions of all models with their states, or of those that are `ready`."""
    return [
        {
            "name": name,
            "version": str(number),
            "state": STATES[version.state],
            "reason": "" if version.error is None else str(version.error),
        }
        for name, model in engine.models.items()
        for number, version in sorted(model.versions.items())
        if version.is_available or not ready
    ]


def batched_rows(version: ModelVersion, signature: ServedSignature) -> int:
    """The most rows of a batch, as Triton's `max_batch_size`: 0 where requests are not batched."""
    most = min(version.options.batching.max_rows, signature.most_rows)
    return most if signature.batched else 0


__all__ = [
    "EXTENSIONS",
    "STATES",
    "batched_rows",
    "check_given",
    "check_wanted",
    "classified",
    "datatype",
    "datatype_of",
    "indexed",
    "sizes",
    "statistics",
]
