"""`load`: a file of ONNX as something that can be called and trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from argand.base.errors import CallError, did_you_mean
from argand.onnx.graph import Graph, Setting
from argand.onnx.model import Model
from argand.onnx.reading import read_model
from argand.onnx.values import NARROW, ag, constant, is_text, tensor_of
from argand.tensor.core import Tensor
from argand.transform.mode import no_grad


class OnnxModel:
    """A model of an ONNX file: called with arrays or tensors it gives a tensor, or a tuple in the
    order of the graph's outputs."""

    def __init__(self, model: Model, compiled: bool = True) -> None:
        self.model = model
        self.state = _state(model)
        rest = {n: v for n, v in model.graph.initialisers.items() if n not in self.state}
        definition = dataclasses.replace(model.graph, initialisers=rest)
        self.graph = Graph(definition, Setting(model.opsets, model.functions), self.state)
        self.inputs = [v for v in model.graph.inputs if v.name not in model.graph.initialisers]
        self.reason: str | None = None if compiled else "it was loaded with compiled=False"
        self._compiled: Any = None

    @classmethod
    def of(cls, source: Any, compiled: bool = True) -> OnnxModel:
        """The model of a path, of bytes or of a ModelProto."""
        return cls(read_model(source), compiled)

    def parameters(self) -> Iterator[Any]:
        """Its weights."""
        return iter(self.state.values())

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        """Its weights, with their names in the file."""
        return iter(self.state.items())

    def explain(self) -> str:
        """Whether calls run compiled, and if not, why."""
        if self.reason is None:
            return "calls run compiled"
        return f"calls run op by op: {self.reason}"

    def __call__(self, *inputs: Any, **by_name: Any) -> Any:
        values = self._arguments(inputs, by_name)
        if any(isinstance(v, Tensor) for v in values):
            found = self.run([tensor_of(v) if _is_number(v) else v for v in values])
        else:
            with no_grad():
                found = self.run([tensor_of(v) if _is_number(v) else v for v in values])
        return found[0] if len(found) == 1 else tuple(found)

    def run(self, values: list[Any]) -> list[Any]:
        """The outputs, in order, of values in the order of the inputs."""
        return [_given_back(v) for v in self.graph.run(self._placed(values))]

    def _placed(self, values: list[Any]) -> list[Any]:
        """Values for all inputs of the graph, of which some have initialisers."""
        given = dict(zip((v.name for v in self.inputs), values, strict=True))
        return [given.get(v.name) for v in self.model.graph.inputs]

    def _arguments(self, inputs: tuple[Any, ...], by_name: dict[str, Any]) -> list[Any]:
        names = [v.name for v in self.inputs]
        if len(inputs) > len(names):
            raise CallError(f"the model takes {len(names)} inputs ({', '.join(names)})")
        given = dict(zip(names, inputs, strict=False))
        for name, value in by_name.items():
            if name not in names or name in given:
                raise CallError(f"no input {name!r} is left{did_you_mean(name, names)}")
            given[name] = value
        return [_as_array(given.get(n)) for n in names]


def _state(model: Model) -> dict[str, Any]:
    """The floats among the initialisers, but for single numbers, as parameters."""
    return {
        name: ag.nn.Parameter(constant(array))
        for name, array in model.graph.initialisers.items()
        if array.dtype.kind == "f" and array.ndim > 0
    }


def _as_array(value: Any) -> Any:
    return np.asarray(value) if isinstance(value, np.generic | int | float) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype != object and value.dtype not in NARROW


def _given_back(value: Any) -> Any:
    """Host values become tensors where there are such tensors."""
    if isinstance(value, list):
        return [_given_back(v) for v in value]
    kept = isinstance(value, np.ndarray) and (value.dtype in NARROW or is_text(value))
    return value if kept else tensor_of(value)


def load(source: Any) -> OnnxModel:
    """The model of an ONNX file (a path, bytes, or a ModelProto): called with arrays or tensors, in
    the order of the graph's inputs or by name, it gives a tensor, or a tuple in the order of its
    outputs.

    Its weights are parameters. Opsets 7 to the newest that the package onnx knows. Raises
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
    return OnnxModel.of(source)
