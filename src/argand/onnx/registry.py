"""Rules for the ops: `@importer("Conv")` before a function of Argand's tensors.

The function's positional parameters are the op's inputs in order, with None for those that may be
left out; its keyword parameters are the op's attributes, with ONNX's defaults (one without a
default has to be given). So the signature is the schema, and files are checked against it when they
are loaded. The annotation of an input says in which form it comes: `Tensor`; `Host`, a NumPy array,
for what decides about shapes; `Any`, as it is (sequences, texts).

An attribute that has the name of an input is given as that input, a host array: opsets that moved
`axes` from the attributes to the inputs need one rule. The keyword `node` brings the `Call`.

`since` is the opset from which on a rule holds: of several rules of an op a model gets the newest
that isn't newer than its opset.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from argand.base.errors import did_you_mean
from argand.onnx.model import GraphDef, Node

Function = Callable[..., Any]

Body = Any
"""A graph among the attributes, as a rule gets it: called with its inputs, it gives a list."""


@dataclass(frozen=True)
class Importer:
    """A rule: how a node of an op is computed, for opsets from `since` on."""

    domain: str
    op: str
    since: int
    function: Function
    inputs: tuple[inspect.Parameter, ...]
    variadic: inspect.Parameter | None
    attributes: Mapping[str, Any]
    draws: bool
    """Whether two runs may differ, so that constants don't make a constant."""

    def forms(self, count: int) -> list[str]:
        """In which form each of so many inputs comes: "tensor", "host" or "any"."""
        found = [_form(p) for p in self.inputs]
        more = "any" if self.variadic is None else _form(self.variadic)
        return (found + [more] * count)[:count]


def _form(parameter: inspect.Parameter) -> str:
    annotation = str(parameter.annotation)
    if annotation.startswith("Tensor"):
        return "tensor"
    return "host" if annotation.startswith("Host") else "any"


class Call:
    """What a rule can ask about its node (the keyword `node`)."""

    def __init__(self, node: Node, version: int) -> None:
        self.node, self.version = node, version
        self.outputs = len(node.outputs)

    def wants(self, output: int) -> bool:
        """Whether an output is used."""
        return output < self.outputs and bool(self.node.outputs[output])


_RULES: dict[tuple[str, str], list[Importer]] = {}


def importer(
    *names: str, since: int = 1, domain: str = "", draws: bool = False
) -> Callable[[Function], Function]:
    """Makes a function the rule of ops."""

    def register(function: Function) -> Function:
        parameters = inspect.signature(function).parameters.values()
        inputs = tuple(p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)
        variadic = next((p for p in parameters if p.kind is p.VAR_POSITIONAL), None)
        attributes = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        for name in names:
            rule = Importer(domain, name, since, function, inputs, variadic, attributes, draws)
            rules = _RULES.setdefault((domain, name), [])
            assert all(r.since != since for r in rules), f"two rules for {name} since {since}"
            rules.append(rule)
            rules.sort(key=lambda r: -r.since)
        return function

    return register


def find(node: Node, version: int) -> Importer:
    """The rule of a node for its opset; FormatError where there is none."""
    rules = _RULES.get((node.domain, node.op))
    if rules is None:
        known = [op for domain, op in _RULES if domain == node.domain]
        raise node.error(
            f"the op is unknown{did_you_mean(node.op, known)}; Argand imports the ops of onnx, "
            "and functions of the file"
        )
    for rule in rules:
        if rule.since <= version:
            return rule
    raise node.error(f"the op is there from opset {rules[-1].since} on, the model has {version}")


def knows(domain: str, op: str) -> bool:
    """Whether there is a rule for an op."""
    return (domain, op) in _RULES


def rules() -> list[Importer]:
    """All rules."""
    return [r for found in _RULES.values() for r in found]


_KINDS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (float, int),
    "str": (str,),
    "Body": (GraphDef,),
}


def bound(rule: Importer, node: Node) -> tuple[dict[str, Any], dict[int, Any]]:
    """The attributes of a node as keywords, and those that are inputs in newer opsets by place."""
    places = {p.name: i for i, p in enumerate(rule.inputs)}
    keywords: dict[str, Any] = {}
    given: dict[int, Any] = {}
    for name, value in node.attributes.items():
        if name in rule.attributes and name != "node":
            _check_kind(rule, node, name, value)
            keywords[name] = value
        elif name in places and (places[name] >= len(node.inputs)):
            given[places[name]] = _as_input(value)
        else:
            raise node.error(
                f"the op has no attribute {name!r}{did_you_mean(name, rule.attributes)}"
            )
    for name, default in rule.attributes.items():
        if default is inspect.Parameter.empty and name not in keywords and name != "node":
            raise node.error(f"its attribute {name!r} is missing")
    needed = [i for i, p in enumerate(rule.inputs) if p.default is p.empty]
    for i in needed:
        if i not in given and (i >= len(node.inputs) or not node.inputs[i]):
            raise node.error(f"its input {i}, {rule.inputs[i].name!r}, is missing")
    if rule.variadic is None and len(node.inputs) > len(rule.inputs):
        raise node.error(f"it has {len(node.inputs)} inputs, the op takes {len(rule.inputs)}")
    return keywords, given


def _check_kind(rule: Importer, node: Node, name: str, value: Any) -> None:
    annotation = rule.function.__annotations__.get(name, "")
    wanted = _KINDS.get(str(annotation).split(" |")[0])
    if wanted is not None and not isinstance(value, wanted):
        raise node.error(f"its attribute {name!r} must be {annotation}, got {value!r}")


def _as_input(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value
    first = value[0] if isinstance(value, tuple) and value else value
    return np.array(value, np.float32 if isinstance(first, float) else np.int64)
