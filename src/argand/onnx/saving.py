"""Models as files: whole or not at all, large weights in a file beside the model."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import IO, Any

from argand.base.errors import ArgumentError
from argand.io.replacing import replacing
from argand.onnx.package import onnx

LIMIT = 2**31 - 2**20  # a protobuf message is smaller than 2 GB
_INSIDE = 1024  # smaller tensors stay in the model
_ALIGNED = 4096  # so that a runtime can map each


def save(
    model: Any, path: str | os.PathLike[str] | IO[bytes], external: bool | None = None
) -> None:
    """Write a model. `external` puts its weights into `<name>.data` beside it; None does so where
    the model would be 2 GB or more.

    To an open file the whole model is written. Files are written to temporary names and renamed,
    the weights first.
    """
    if hasattr(path, "write"):
        path.write(model.SerializeToString())
        return
    target = Path(os.fspath(path))
    if not target.parent.is_dir():
        raise ArgumentError(f"onnx: there is no folder {str(target.parent)!r} to write into")
    if external is None:
        external = sum(len(t.raw_data) for t in model.graph.initializer) >= LIMIT
    large = [t for t in model.graph.initializer if len(t.raw_data) >= _INSIDE] if external else []
    if not large:
        with replacing(target) as temporary, open(temporary, "wb") as file:
            file.write(model.SerializeToString())
        return
    with contextlib.ExitStack() as stack:
        weights = target.with_name(target.name + ".data")
        written = stack.enter_context(_both(weights, target))
        slim = type(model)()
        with open(written[0], "wb") as file:
            _separate(model, slim, large, file, weights.name)
        with open(written[1], "wb") as file:
            file.write(slim.SerializeToString())


@contextlib.contextmanager
def _both(first: Path, second: Path) -> Any:
    """Temporary names for two files, which replace theirs when the block ends well."""
    with replacing(second) as inner, replacing(first) as outer:
        yield outer, inner


def _separate(model: Any, slim: Any, large: list[Any], file: Any, name: str) -> None:
    """Write the elements of large tensors to a file, and `slim` as the model without them."""
    raw = {t.name: t.raw_data for t in large}
    for tensor in large:
        tensor.ClearField("raw_data")
    try:
        slim.CopyFrom(model)
    finally:
        for tensor in large:
            tensor.raw_data = raw[tensor.name]
    for tensor in slim.graph.initializer:
        data = raw.get(tensor.name)
        if data is None:
            continue
        file.write(b"\0" * (-file.tell() % _ALIGNED))
        place = {"location": name, "offset": str(file.tell()), "length": str(len(data))}
        file.write(data)
        tensor.data_location = onnx().TensorProto.EXTERNAL
        for key, value in place.items():
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value


__all__ = ["save"]
