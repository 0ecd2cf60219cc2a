"""`load`: a file of ONNX as something that can be called and trained."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from argand.base.dtype import as_dtype
from argand.export.program import DEFAULT, ExportedProgram
from argand.export.traced import Declared, Run, TracedSignature
from argand.onnx import hosted
from argand.onnx.graph import Graph, Setting
from argand.onnx.model import Model, ValueInfo
from argand.onnx.reading import read_model
from argand.onnx.registry import find, knows
from argand.onnx.values import NARROW, ag, constant, is_text, tensor_of
from argand.tensor.core import Tensor, wrap


def program_of(model: Model, compiled: bool = True) -> ExportedProgram:
    """The program of a graph that has been read."""
    roles = _roles(model)
    state = {n: _tensor(model.graph.initialisers[n], role) for n, role in roles.items()}
    rest = {n: v for n, v in model.graph.initialisers.items() if n not in state}
    definition = dataclasses.replace(model.graph, initialisers=rest)
    made = ExportedProgram()
    for name, tensor in state.items():
        made.add_state(name, tensor, roles[name])
    made.card = {f"onnx.{k}": v for k, v in model.metadata.items()}
    inputs = [_described(v) for v in model.graph.inputs if v.name not in model.graph.initialisers]
    outputs = [_described(v) for v in model.graph.outputs]
    body = functools.partial(_body, model, definition)
    signature = TracedSignature(DEFAULT, body, inputs, outputs, convert=_converted)
    signature.reason = None if compiled else "it was loaded with compiled=False"
    made.add_traced(signature)
    return made


def _body(model: Model, definition: Any, state: Mapping[str, Tensor]) -> Run:
    """The function of the inputs, on the weights that a program has."""
    weights = {n: t for n, t in state.items() if n in model.graph.initialisers}
    graph = Graph(definition, Setting(model.opsets, model.functions), weights)
    names = [v.name for v in model.graph.inputs if v.name not in model.graph.initialisers]
    order = [v.name for v in model.graph.inputs]

    def run(values: list[Any]) -> list[Any]:
        given = dict(zip(names, values, strict=True))
        return [_given_back(v) for v in graph.run([given.get(name) for name in order])]

    return run


def _described(info: ValueInfo) -> Declared:
    kind = info.type
    if kind is None or kind.kind != "tensor" or kind.dtype is None:
        return Declared(info.name, None, None, kind is not None and kind.kind == "optional")
    known = not (kind.dtype in NARROW or kind.dtype.kind in "OSU")
    return Declared(info.name, as_dtype(kind.dtype) if known else None, kind.shape)


def _converted(value: Any) -> Any:
    """An argument that is no tensor: an array becomes one, where there are such tensors."""
    if isinstance(value, np.generic | int | float):
        value = np.asarray(value)
    if isinstance(value, list):
        return [_converted(v) for v in value]
    plain = isinstance(value, np.ndarray) and value.dtype != object and value.dtype not in NARROW
    return tensor_of(value) if plain and not is_text(value) else value


def _tensor(array: Any, role: str) -> Any:
    owned = array.flags.writeable and array.dtype not in NARROW
    made = wrap(array) if owned else constant(array)
    return ag.nn.Parameter(made) if role == "parameter" else made


def _roles(model: Model) -> dict[str, str]:
    """What the initialisers are: floats are parameters, but for single numbers and what decides
    about shapes, which are constants, and for running statistics, which are buffers."""
    deciding = _deciding(model)
    statistics = {
        name
        for node in model.graph.nodes
        if (node.domain, node.op) == ("", "BatchNormalization")
        for name in node.inputs[3:5]
    }
    return {
        name: "buffer" if name in statistics else "parameter"
        for name, array in model.graph.initialisers.items()
        if array.dtype.kind == "f" and array.ndim > 0 and name not in deciding
    }


def _deciding(model: Model) -> set[str]:
    """The values of the graph that rules take as arrays, and those that they are made of by ops
    that compute with arrays."""
    found: set[str] = set()
    setting = Setting(model.opsets, model.functions)
    for node in reversed(model.graph.nodes):
        if not knows(node.domain, node.op):
            continue  # a function of the file, or an error that the graph will raise
        if hosted.rule_of(node.domain, node.op) is not None and not found.isdisjoint(node.outputs):
            found |= set(node.inputs)
        rule = find(node, setting.version(node))
        pairs = zip(node.inputs, rule.inputs, strict=False)
        found |= {x for x, p in pairs if str(p.annotation).startswith("Host")}
    return found - {""}


def _given_back(value: Any) -> Any:
    """Host values become tensors where there are such tensors."""
    if isinstance(value, list):
        return [_given_back(v) for v in value]
    if isinstance(value, dict):  # a map: numbers by the names of classes
        return value
    kept = isinstance(value, np.ndarray) and (value.dtype in NARROW or is_text(value))
    return value if kept else tensor_of(value)


def load(source: Any, *, compiled: bool = True) -> ExportedProgram:
    """The program of an ONNX file (a path, bytes, or a ModelProto): called with arrays or tensors,
    in the order of the graph's inputs or by name, it gives a tensor, or a tuple in the order of its
    outputs.

    It is an `ag.export.ExportedProgram`: traced and compiled by the first call, and by the first
    with other sizes once more, for all that the file leaves open; where sizes depend on values it
    runs op by op, and
    `explain()` says why, as it always does with `compiled=False`. Its weights are parameters:
    called with tensors while gradients are recorded, it can be trained. Opsets 7 to the newest that
    the package onnx knows. Raises
    FormatError (a ValueError), which names the node, for a file that is not whole, or has ops that
    Argand doesn't know; MissingExtraError where the package onnx is missing.

    >>> import onnx
    >>> y = onnx.helper.make_node("Relu", ["x"], ["y"])
    >>> x, y_info = (onnx.helper.make_tensor_value_info(n, 1, ["n"]) for n in "xy")
    >>> graph = onnx.helper.make_graph([y], "doc", [x], [y_info])
    >>> model = ag.onnx.load(onnx.helper.make_model(graph))
    >>> model(ag.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return program_of(read_model(source), compiled)
