"""What a file of ONNX says, checked: graphs of nodes over named values, as immutable data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from argand.base.errors import FormatError

DOMAINS = {"ai.onnx": ""}
"""Other names of domains."""


@dataclass(frozen=True)
class ValueType:
    """The type of a value: of a "tensor" its dtype and sizes, of anything else its kind and parts.

    A size is a number, the name of a symbolic one, or None where nothing is said.
    """

    kind: str
    dtype: np.dtype[Any] | None = None
    shape: tuple[int | str | None, ...] | None = None
    element: ValueType | None = None


@dataclass(frozen=True)
class ValueInfo:
    """A named input or output of a graph."""

    name: str
    type: ValueType | None


@dataclass(frozen=True)
class Reference:
    """An attribute that stands for one of the function's that its node belongs to."""

    name: str


@dataclass(frozen=True)
class Node:
    """An op applied to named values; "" is an input or output that is left out."""

    domain: str
    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def __str__(self) -> str:
        op = f"{self.domain}.{self.op}" if self.domain else self.op
        name = self.name or next((o for o in self.outputs if o), "")
        return f"node {name!r} ({op})"

    def error(self, message: str) -> FormatError:
        """An error of the file that names this node."""
        return FormatError(f"{self}: {message}")


@dataclass(frozen=True)
class GraphDef:
    """Nodes, sorted so that values are made before they are used, and what they start from."""

    name: str
    inputs: tuple[ValueInfo, ...]
    outputs: tuple[ValueInfo, ...]
    nodes: tuple[Node, ...]
    initialisers: Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class FunctionDef:
    """A function of the file: the body that stands for an op."""

    body: GraphDef
    opsets: Mapping[str, int]
    attributes: Mapping[str, Any]
    """Those that a node of it may have, with their defaults; `Required` where there is none."""


class Required:
    """Stands for the default of an attribute that has to be given."""


@dataclass(frozen=True)
class Model:
    """A whole file."""

    graph: GraphDef
    opsets: Mapping[str, int]
    functions: Mapping[tuple[str, str], FunctionDef] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
