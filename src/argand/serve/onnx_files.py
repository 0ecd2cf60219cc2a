"""Files of ONNX as they are served: what no protocol has is given in another form."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from argand.export.program import ExportedProgram
from argand.onnx.loading import program_of
from argand.onnx.model import Model, Node, ValueType
from argand.onnx.parting import WEIGHTS
from argand.onnx.reading import read_model


def read_onnx(graph: Path, weights: Path) -> ExportedProgram:
    """The program of a file that was parted into its graph and its weights."""
    return program_of(without_maps(read_model(graph.read_bytes(), {WEIGHTS: weights})))


def without_maps(model: Model) -> Model:
    """A model that gives the scores of classes as a tensor where it gave them as a list of maps,
    as scikit-learn's converter writes classifiers: no protocol has maps."""
    outputs = {v.name for v in model.graph.outputs}
    maps = {
        n.outputs[0]: n
        for n in model.graph.nodes
        if (n.domain, n.op) == ("ai.onnx.ml", "ZipMap") and n.outputs[0] in outputs
    }
    read = {x for n in model.graph.nodes for x in n.inputs}
    maps = {name: n for name, n in maps.items() if name not in read}
    if not maps:
        return model
    graph = replace(
        model.graph,
        nodes=tuple(_same(n) if n in maps.values() else n for n in model.graph.nodes),
        outputs=tuple(
            replace(v, type=_scores_of(maps[v.name])) if v.name in maps else v
            for v in model.graph.outputs
        ),
    )
    return replace(model, graph=graph)


def _same(node: Node) -> Node:
    """A node that gives what it takes."""
    return replace(node, domain="", op="Identity", attributes={})


def _scores_of(node: Node) -> ValueType:
    """The type of what a ZipMap makes maps of."""
    labels = next(iter(node.attributes.values()), ())
    return ValueType("tensor", np.dtype(np.float32), (None, len(labels) or None))


__all__ = ["read_onnx", "without_maps"]
