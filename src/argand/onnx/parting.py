"""A model in two parts: its graph, and its large tensors one behind the other in a file that
processes map, so that they share the memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from argand.base.errors import FormatError
from argand.onnx import package
from argand.onnx.arrays import external
from argand.onnx.reading import parsed

WEIGHTS: Final = "weights"
"""Where the graph says that its tensors are: `read_model(graph, {WEIGHTS: path})` finds them."""

_LEAST: Final = 1 << 12  # bytes of a tensor that is worth a mapping of its own
_ALIGNED: Final = 64
_EXTERNAL: Final = 1  # of TensorProto.DataLocation


def parted(path: Path, weights: BinaryIO) -> bytes:
    """The graph of a file, whose large tensors, and those in files beside it, go to `weights`.

    FormatError says what is wrong with the file, or with one beside it.
    """
    proto = parsed(package.onnx(), path.read_bytes())
    folder = path.resolve().parent
    known: dict[tuple[tuple[str, str], ...], tuple[int, int]] = {}
    for tensor in _tensors(proto):
        if tensor.data_location == _EXTERNAL:
            facts = tuple(sorted((e.key, e.value) for e in tensor.external_data))
            if facts not in known:
                data = external(tensor, f"tensor {tensor.name!r}", folder)
                known[facts] = _append(weights, data)
            place, size = known[facts]
        elif len(tensor.raw_data) >= _LEAST:
            place, size = _append(weights, tensor.raw_data)
        else:
            continue
        _move(tensor, place, size)
    data = proto.SerializeToString()
    if len(data) + weights.tell() > 2 * _bytes_of(path):
        raise FormatError("its tensors take more than the files have: they overlap")
    return bytes(data)


def _append(weights: BinaryIO, data: Any) -> tuple[int, int]:
    weights.write(bytes(-weights.tell() % _ALIGNED))
    place = weights.tell()
    weights.write(data)
    return place, len(data)


def _move(tensor: Any, place: int, size: int) -> None:
    tensor.ClearField("raw_data")
    tensor.ClearField("external_data")
    tensor.data_location = _EXTERNAL
    for key, value in (("location", WEIGHTS), ("offset", str(place)), ("length", str(size))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value


def _bytes_of(path: Path) -> int:
    """The bytes of a model and of what is beside it, of which its tensors are."""
    return sum(p.stat().st_size for p in path.resolve().parent.iterdir() if p.is_file())


def _tensors(proto: Any) -> Iterator[Any]:
    """All tensors that a model holds, those of attributes too."""
    yield from _of_graph(proto.graph)
    for function in proto.functions:
        yield from _of_nodes(function.node)


def _of_graph(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Any) -> Iterator[Any]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _of_graph(graph)


__all__ = ["WEIGHTS", "parted"]
