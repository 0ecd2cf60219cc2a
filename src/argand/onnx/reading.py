"""From a ModelProto (a path, its bytes, or the object) to a checked `Model`; runs nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from argand.base.errors import FormatError
from argand.onnx import package
from argand.onnx.arrays import Folder, array_of, numpy_dtype
from argand.onnx.model import (
    DOMAINS,
    FunctionDef,
    GraphDef,
    Model,
    Node,
    Reference,
    Required,
    ValueInfo,
    ValueType,
)

MAX_NODES = 1_000_000
MAX_DEPTH = 64
"""Limits of a file: nodes altogether, and graphs inside of graphs."""


def check_known(node: Node, version: int) -> None:
    """That an opset has the op of a node; those that it has no longer may still be used."""
    if node.domain not in ("", "ai.onnx.ml"):
        return
    defs = package.onnx().defs
    try:
        defs.get_schema(node.op, version, node.domain)
    except defs.SchemaError:
        if not defs.has(node.op, node.domain) or defs.get_schema(node.op, node.domain).deprecated:
            return
        raise node.error(
            f"the op is of a newer opset than {version}, which the model imports; export the model "
            "for a newer one"
        ) from None


def read_model(source: Any, files: Mapping[str, Path] | None = None) -> Model:
    """The model of a path, of bytes, of a file that is open, or of a ModelProto. Tensors that are
    in other files are looked for beside the path, or in `files` by the names that the model has for
    them."""
    onnx = package.onnx()
    folder: Folder = files
    if isinstance(source, onnx.ModelProto):
        proto = source
    else:
        if isinstance(source, str | os.PathLike):
            path = Path(source)
            folder, data = path.resolve().parent, path.read_bytes()
        else:
            data = source.read() if hasattr(source, "read") else bytes(source)
        proto = parsed(onnx, data)
    return _Reader(onnx, proto, folder).model()


def parsed(onnx: Any, data: bytes) -> Any:
    """The ModelProto of bytes; FormatError where they are none."""
    from google.protobuf.message import DecodeError

    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as e:
        raise FormatError(f"not an ONNX model: the file is damaged or truncated ({e})") from e
    return proto


class _Reader:
    def __init__(self, onnx: Any, proto: Any, folder: Folder) -> None:
        self.onnx, self.proto, self.folder = onnx, proto, folder
        self.nodes = 0

    def model(self) -> Model:
        proto = self.proto
        _check_texts(proto)
        if not proto.HasField("graph"):
            raise FormatError("not an ONNX model: it has no graph")
        if proto.ir_version > self.onnx.IR_VERSION:
            raise FormatError(
                f"ir_version {proto.ir_version} is newer than {self.onnx.IR_VERSION}, the newest "
                "that the installed onnx knows: pip install -U onnx"
            )
        opsets = self.opsets(proto.opset_import, "the model")
        functions = {}
        for function in proto.functions:
            domain = DOMAINS.get(function.domain, function.domain)
            name = function.name + (f":{function.overload}" if function.overload else "")
            if (domain, name) in functions:
                raise FormatError(f"two functions are called {domain}.{name}")
            functions[domain, name] = self.function(function)
        _check_calls(functions)
        graph = self.graph(proto.graph, set(), 0)
        metadata = {p.key: p.value for p in proto.metadata_props}
        return Model(graph, opsets, functions, metadata)

    def opsets(self, imports: Iterable[Any], whose: str) -> dict[str, int]:
        found: dict[str, int] = {}
        known = self.onnx.defs.onnx_opset_version()
        for item in imports:
            domain = DOMAINS.get(item.domain, item.domain)
            if found.get(domain, item.version) != item.version:
                raise FormatError(f"opset_import of {whose} has two versions of {domain!r}")
            if item.version < 1 or (domain == "" and item.version > known):
                raise FormatError(
                    f"{whose} uses opset {item.version} of {domain or 'ai.onnx'}; 7 to {known} "
                    "are known. Export the model for one of these, or  pip install -U onnx argand"
                )
            found[domain] = item.version
        if not found:
            raise FormatError(f"opset_import of {whose} is empty: its ops have no meaning")
        return found

    def function(self, proto: Any) -> FunctionDef:
        what = f"function {proto.name!r}"
        self.count(proto.node, what, 0)
        inputs, outputs = tuple(proto.input), tuple(proto.output)
        _check_unique(inputs, f"{what}: input")
        nodes = [self.node(n, set(inputs), 0) for n in proto.node]
        body = GraphDef(
            proto.name,
            tuple(ValueInfo(n, None) for n in inputs),
            tuple(ValueInfo(n, None) for n in outputs),
            _sorted(nodes, set(inputs), what),
            {},
        )
        _check_outputs(body, set(), what)
        attributes: dict[str, Any] = dict.fromkeys(proto.attribute, Required)
        for a in proto.attribute_proto:
            attributes[a.name] = self.attribute(a, f"{what}: attribute {a.name!r}", set(), 0)
        return FunctionDef(body, self.opsets(proto.opset_import, what), attributes)

    def count(self, nodes: Any, what: str, depth: int) -> None:
        self.nodes += len(nodes)
        if self.nodes > MAX_NODES:
            raise FormatError(f"{what}: the model has more than {MAX_NODES} nodes")
        if depth > MAX_DEPTH:
            raise FormatError(f"{what}: more than {MAX_DEPTH} graphs inside of each other")

    def graph(self, proto: Any, outer: set[str], depth: int) -> GraphDef:
        what = f"graph {proto.name!r}"
        self.count(proto.node, what, depth)
        inputs = tuple(self.info(v) for v in proto.input)
        _check_unique([v.name for v in inputs], f"{what}: input")
        initialisers = {}
        for tensor in proto.initializer:
            if not tensor.name:
                raise FormatError(f"{what}: an initializer has no name")
            if tensor.name in initialisers:
                raise FormatError(f"{what}: two initializers are called {tensor.name!r}")
            text = f"initializer {tensor.name!r}"
            initialisers[tensor.name] = array_of(tensor, text, self.folder)
        for sparse in proto.sparse_initializer:
            name = sparse.values.name
            initialisers[name] = self.sparse(sparse, f"sparse_initializer {name!r}")
        for v in inputs:
            _check_initialiser(v, initialisers.get(v.name))
        known = {v.name for v in inputs} | set(initialisers)
        nodes = [self.node(n, outer | known, depth) for n in proto.node]
        made = GraphDef(
            proto.name,
            inputs,
            tuple(self.info(v) for v in proto.output),
            _sorted(nodes, known, what, outer),
            initialisers,
        )
        _check_outputs(made, outer, what)
        return made

    def node(self, proto: Any, outer: set[str], depth: int) -> Node:
        op = proto.op_type + (f":{proto.overload}" if proto.overload else "")
        domain = DOMAINS.get(proto.domain, proto.domain)
        bare = Node(domain, op, proto.name, tuple(proto.input), tuple(proto.output), {})
        attributes: dict[str, Any] = {}
        for a in proto.attribute:
            if a.name in attributes:
                raise bare.error(f"it has two attributes {a.name!r}")
            attributes[a.name] = self.attribute(a, f"{bare}: attribute {a.name!r}", outer, depth)
        return Node(domain, op, proto.name, bare.inputs, bare.outputs, attributes)

    def attribute(self, a: Any, what: str, outer: set[str], depth: int) -> Any:
        """Its value: a number, a text, an array, a graph, a type, or a tuple of such."""
        if a.ref_attr_name:
            return Reference(a.ref_attr_name)
        kinds = self.onnx.AttributeProto
        folder = self.folder
        match a.type:
            case kinds.FLOAT:
                return a.f
            case kinds.INT:
                return a.i
            case kinds.STRING:
                return _text(a.s)
            case kinds.TENSOR:
                return array_of(a.t, what, folder)
            case kinds.GRAPH:
                return _Enclosed(self, a.g, depth + 1)
            case kinds.SPARSE_TENSOR:
                return self.sparse(a.sparse_tensor, what)
            case kinds.TYPE_PROTO:
                return self.type(a.tp, what)
            case kinds.FLOATS:
                return tuple(a.floats)
            case kinds.INTS:
                return tuple(a.ints)
            case kinds.STRINGS:
                return tuple(_text(s) for s in a.strings)
            case kinds.TENSORS:
                return tuple(array_of(t, what, folder) for t in a.tensors)
            case kinds.GRAPHS:
                return tuple(_Enclosed(self, g, depth + 1) for g in a.graphs)
        raise FormatError(f"{what}: its type {a.type} is unknown")

    def sparse(self, proto: Any, what: str) -> Any:
        """The dense array of a sparse tensor."""
        import math

        import numpy as np

        dims = tuple(proto.dims)
        if any(d < 0 for d in dims) or math.prod(dims) > MAX_DENSE:
            raise FormatError(f"{what}: its sizes {list(dims)} are negative or too large")
        values = array_of(proto.values, what, self.folder)
        places = array_of(proto.indices, what, self.folder)
        if places.ndim == 2 and places.shape == (values.size, len(dims)):
            limits = np.array(dims, np.int64)
            inside = bool(((places >= 0) & (places < limits)).all())
        elif places.shape == (values.size,):
            inside = bool(((places >= 0) & (places < math.prod(dims))).all())
        else:
            inside = False
        if not inside:
            raise FormatError(f"{what}: its indices are no places in the shape {list(dims)}")
        dense = np.zeros(dims, values.dtype)
        if places.ndim == 2:
            dense[tuple(places.T)] = values
        else:
            dense.reshape(-1)[places] = values
        return dense

    def info(self, proto: Any) -> ValueInfo:
        if not proto.name:
            raise FormatError("an input or output of a graph has no name")
        kind = proto.type.WhichOneof("value") if proto.HasField("type") else None
        return ValueInfo(
            proto.name, None if kind is None else self.type(proto.type, f"value {proto.name!r}")
        )

    def type(self, proto: Any, what: str, depth: int = 0) -> ValueType:
        kind = proto.WhichOneof("value")
        if kind is None or depth > 16:
            raise FormatError(f"{what}: its type is not given")
        part = getattr(proto, kind)
        if kind in ("tensor_type", "sparse_tensor_type"):
            dtype = numpy_dtype(part.elem_type, what) if part.elem_type else None
            shape = None
            if part.HasField("shape"):
                shape = tuple(_extent(d, what) for d in part.shape.dim)
            return ValueType("tensor", dtype, shape)
        if kind in ("sequence_type", "optional_type"):
            inner = self.type(part.elem_type, what, depth + 1)
            return ValueType(kind.removesuffix("_type"), element=inner)
        return ValueType(kind.removesuffix("_type"))


MAX_DENSE = 1 << 28
"""Elements that a sparse tensor of a file may have."""


def _check_texts(message: Any) -> None:
    """That all texts of a message are texts: damaged ones are bytes."""
    for field, value in message.ListFields():
        if field.type not in (field.TYPE_STRING, field.TYPE_MESSAGE):
            continue
        for part in value if field.is_repeated else (value,):
            if field.type == field.TYPE_MESSAGE:
                _check_texts(part)
            elif not isinstance(part, str):
                raise FormatError(f"not an ONNX model: {field.full_name} is no text: {part!r:.60}")


class _Enclosed:
    """A graph among attributes, until it is known what the graph around it has made."""

    def __init__(self, reader: _Reader, proto: Any, depth: int) -> None:
        self.reader, self.proto, self.depth = reader, proto, depth

    def resolved(self, outer: set[str]) -> GraphDef:
        return self.reader.graph(self.proto, outer, self.depth)

    def reads(self) -> set[str]:
        """The names that it takes from outside."""
        return _free_names(self.proto)


def _free_names(graph: Any) -> set[str]:
    inner = {v.name for v in graph.input} | {t.name for t in graph.initializer}
    inner |= {t.values.name for t in graph.sparse_initializer}
    inner |= {o for n in graph.node for o in n.output}
    used = {v.name for v in graph.output} | {i for n in graph.node for i in n.input}
    for n in graph.node:
        for a in n.attribute:
            for g in (*a.graphs, *((a.g,) if a.HasField("g") else ())):
                used |= _free_names(g)
    return used - inner - {""}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _extent(dim: Any, what: str) -> int | str | None:
    if not dim.HasField("dim_value"):
        return str(dim.dim_param) or None
    if dim.dim_value == -1:  # as some converters write a size that isn't known
        return None
    if dim.dim_value < 0:
        raise FormatError(f"{what}: its shape has the negative size {dim.dim_value}")
    return int(dim.dim_value)


def _check_unique(names: Iterable[str], what: str) -> None:
    seen = set()
    for name in names:
        if name in seen:
            raise FormatError(f"{what} {name!r} is there twice")
        seen.add(name)


def _check_initialiser(info: ValueInfo, array: Any) -> None:
    """That an input's type is that of its default."""
    if array is None or info.type is None or info.type.kind != "tensor":
        return
    shape, dtype = info.type.shape, info.type.dtype
    lies = shape is not None and (
        len(shape) != array.ndim
        or any(isinstance(s, int) and s != have for s, have in zip(shape, array.shape, strict=True))
    )
    if lies or (dtype is not None and dtype != array.dtype):
        raise FormatError(
            f"input {info.name!r} is declared as {dtype} of shape {shape}, its initializer is "
            f"{array.dtype} of shape {array.shape}"
        )


def _check_outputs(graph: GraphDef, outer: set[str], what: str) -> None:
    made = {v.name for v in graph.inputs} | set(graph.initialisers) | outer
    made.update(o for n in graph.nodes for o in n.outputs)
    for v in graph.outputs:
        if v.name not in made:
            raise FormatError(f"{what}: nothing makes its output {v.name!r}")


def _sorted(
    nodes: list[Node], known: set[str], what: str, outer: Iterable[str] = ()
) -> tuple[Node, ...]:
    """Nodes in an order in which values are made before they are used, graphs in them resolved."""
    maker: dict[str, int] = {}
    for i, n in enumerate(nodes):
        for o in n.outputs:
            if o and (o in maker or o in known):
                raise n.error(f"the value {o!r} is made twice")
            maker[o] = i
    maker.pop("", None)
    visible = known | set(outer)
    needs = [_needs(n) for n in nodes]
    for n, names in zip(nodes, needs, strict=True):
        for name in names:
            if name not in maker and name not in visible:
                raise n.error(f"nothing makes its input {name!r}")
    order = _order(nodes, [{maker[x] for x in names if x in maker} for names in needs], what)
    done, result = set(visible), []
    for i in order:
        result.append(_resolved(nodes[i], done))
        done.update(nodes[i].outputs)
    return tuple(result)


def _needs(node: Node) -> set[str]:
    names = {i for i in node.inputs if i}
    for value in node.attributes.values():
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, _Enclosed):
                names |= part.reads()
    return names


def _resolved(node: Node, names: set[str]) -> Node:
    def of(value: Any) -> Any:
        if isinstance(value, _Enclosed):
            return value.resolved(names)
        if isinstance(value, tuple) and value and isinstance(value[0], _Enclosed):
            return tuple(v.resolved(names) for v in value)
        return value

    attributes = {k: of(v) for k, v in node.attributes.items()}
    return Node(node.domain, node.op, node.name, node.inputs, node.outputs, attributes)


def _order(nodes: list[Node], needs: list[set[int]], what: str) -> list[int]:
    """A topological order, as near to the given one as can be."""
    import heapq

    users: dict[int, list[int]] = {}
    left = [len(n) for n in needs]
    for i, wanted in enumerate(needs):
        for j in wanted:
            users.setdefault(j, []).append(i)
    ready = [i for i, n in enumerate(left) if n == 0]
    order = []
    while ready:
        i = heapq.heappop(ready)
        order.append(i)
        for j in users.get(i, ()):
            left[j] -= 1
            if left[j] == 0:
                heapq.heappush(ready, j)
    if len(order) < len(nodes):
        stuck = [str(nodes[i]) for i, n in enumerate(left) if n]
        raise FormatError(f"{what}: a cycle goes through {', '.join(stuck[:4])}")
    return order


def _check_calls(functions: Mapping[tuple[str, str], FunctionDef]) -> None:
    """That no function calls itself, and that all calls together stay below the limit."""
    sizes: dict[tuple[str, str], int] = {}
    active: set[tuple[str, str]] = set()

    def size(key: tuple[str, str], depth: int) -> int:
        if key in active or depth > MAX_DEPTH:
            raise FormatError(f"function {key[0]}.{key[1]} calls itself, or too deeply")
        if key not in sizes:
            active.add(key)
            calls = (n for n in _all_nodes(functions[key].body))
            sizes[key] = sum(
                size((n.domain, n.op), depth + 1) if (n.domain, n.op) in functions else 1
                for n in calls
            )
            active.discard(key)
        if sizes[key] > MAX_NODES:
            raise FormatError(f"function {key[0]}.{key[1]} stands for over {MAX_NODES} nodes")
        return sizes[key]

    for key in functions:
        size(key, 0)


def _all_nodes(graph: GraphDef) -> Iterable[Node]:
    for n in graph.nodes:
        yield n
        for value in n.attributes.values():
            for part in value if isinstance(value, tuple) else (value,):
                if isinstance(part, GraphDef):
                    yield from _all_nodes(part)
