"""A Program as an ONNX model: `program_to_model`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from argand.base.dim import Dim
from argand.base.dtype import from_numpy
from argand.base.errors import ArgumentError
from argand.base.polynomial import linear
from argand.ir.program import Program, Value
from argand.ir.rewrite import without_dead_code
from argand.ir.translation import UntranslatableError
from argand.onnx import patterns
from argand.onnx.building import GraphBuilder, Model, elem_type
from argand.onnx.errors import OnnxExporterError
from argand.onnx.package import onnx
from argand.onnx.refs import Failure, Place, Ref, Source
from argand.version import __version__

OLDEST, DEFAULT = 17, 20


def checked_opset(opset: int | None) -> int:
    """The opset that was asked for; ArgumentError for one that can't be written."""
    newest = int(onnx().defs.onnx_opset_version())
    if opset is None:
        return min(DEFAULT, newest)
    if isinstance(opset, bool) or not isinstance(opset, int) or not OLDEST <= opset <= newest:
        raise ArgumentError(
            f"onnx.export: opset_version must be an int from {OLDEST} to {newest}, the newest that "
            f"the installed onnx {onnx().__version__} knows, got {opset!r}"
        )
    return opset


def program_to_model(
    program: Program,
    state: Mapping[str, Any],
    *,
    opset: int | None = None,
    input_names: Sequence[str] = (),
    output_names: Sequence[str] = (),
    state_as_inputs: Sequence[str] = (),
    changed: Sequence[str] = (),
    name: str = "",
) -> Any:
    """The ModelProto of a program.

    Args:
        program: what to translate, as a trace leaves it. Written state is an extra output, named
            as the state with `.out` behind it, and its state an extra input.
        state: the arrays of the program's state, by name: the initializers.
        opset: the version of the operators, 20 unless given.
        input_names: names for the first inputs; the program's own for the rest.
        output_names: names for the first outputs; `output` or `output_0`, ... for the rest.
        state_as_inputs: state that is an input of the model rather than an initializer.
        changed: what else than the program's state a call changes, which is refused.
        name: of the graph; the program's own unless given.

    Raises:
        OnnxExporterError: for a program with ops that ONNX can't express; it lists all of them.
    """
    found = checked_opset(opset)
    program = without_dead_code(program)
    export = _Export(program, state, found, set(state_as_inputs))
    export.shared.failures += [Failure(Place(what), _STATE) for what in changed]
    return export.model(list(input_names), list(output_names), name or program.name)


_STATE = (
    "it is changed, and a model has no state: export in eval() mode, return it, or, for a buffer "
    "that is written in place, pass mutable_state='inputs'"
)


class _Export:
    """One export: the graph's inputs and initializers, its nodes, its outputs."""

    def __init__(
        self, program: Program, state: Mapping[str, Any], opset: int, as_inputs: set[str]
    ) -> None:
        self.program = program
        self.state = state
        self.shared = Model(opset, patterns.translated)
        self.g = GraphBuilder(self.shared)
        self.as_inputs = as_inputs | {program.state[i].name for i in program.writes}
        self.inputs: list[Ref] = []

    def model(self, input_names: list[str], output_names: list[str], name: str) -> Any:
        """The ModelProto."""
        outputs = self._output_names(output_names)
        self.shared.taken |= set(outputs) | {v.name for v in self.program.state}
        self._inputs(input_names)
        self.g.run(self.program)
        results = self._outputs(outputs)
        if self.shared.failures:
            raise _error(name, self.shared.failures)
        _prune(self.g.nodes, {r.name for r in results})
        return self._assembled(results, name)

    # -- inputs --------------------------------------------------------------------------------

    def _inputs(self, names: list[str]) -> None:
        values = self.program.inputs
        if len(names) > len(values):
            raise ArgumentError(
                f"onnx.export: {len(names)} input_names for {len(values)} inputs "
                f"({', '.join(v.name for v in values)})"
            )
        given = [*names, *(v.name for v in values[len(names) :])]
        if len(set(given)) != len(given):
            raise ArgumentError(f"onnx.export: input_names must differ, got {given}")
        for value, label in zip(values, given, strict=True):
            self._declare(value, label)
        for value in self.program.state:
            if value.name in self.as_inputs:
                self._declare(value, value.name)
            else:
                self._initialise(value)

    def _declare(self, value: Value, label: str) -> None:
        self.shared.taken.add(label)
        try:
            elem_type(value.dtype)
        except UntranslatableError as error:
            self.shared.failures.append(Failure(Place(f"the input {label}"), str(error)))
        ref = Ref(label, value.dtype, value.shape)
        self.inputs.append(ref)
        self.g.env[value] = ref
        for d, size in enumerate(value.shape):
            found = linear(size) if isinstance(size, Dim) else None
            if found is not None:
                source = Source(ref, d, found.times, found.plus)
                known = self.shared.symbols.setdefault(found.symbol.name, source)
                if found.times == 1 and known.times > 1:
                    self.shared.symbols[found.symbol.name] = source

    def _initialise(self, value: Value) -> None:
        array = np.ascontiguousarray(self.state[value.name]).reshape(
            np.shape(self.state[value.name])
        )
        self.shared.initializers[value.name] = array
        self.g.env[value] = Ref(value.name, from_numpy(array.dtype), value.shape)

    # -- outputs -------------------------------------------------------------------------------

    def _output_names(self, names: list[str]) -> list[str]:
        count = len(self.program.outputs)
        if len(names) > count:
            raise ArgumentError(f"onnx.export: {len(names)} output_names for {count} outputs")
        rest = ["output"] if count == 1 else [f"output_{i}" for i in range(count)]
        found = [*names, *rest[len(names) :]]
        found += [f"{self.program.state[i].name}.out" for i in sorted(self.program.writes)]
        if len(set(found)) != len(found):
            raise ArgumentError(f"onnx.export: output_names must differ, got {found}")
        return found

    def _outputs(self, names: list[str]) -> list[Ref]:
        """The results under their names: nodes' results are renamed, others go through Identity."""
        g, results = self.g, []
        g.place = Place()
        made = {o for node in g.nodes for o in node.output}
        renamed: dict[str, str] = {}
        for operand, name in zip(self.program.results, names, strict=True):
            try:
                found = g.ref(g.value(operand))
                made |= set(g.nodes[-1].output) if g.nodes else set()
            except UntranslatableError as error:
                self.shared.failures.append(Failure(Place("output"), str(error)))
                continue
            if found.name not in made or found.name in renamed:
                found = g.op("Identity", found)
            renamed[found.name] = name
            results.append(Ref(name, found.dtype, operand.shape))
        _rename(g.nodes, renamed)
        return results

    # -- the model -----------------------------------------------------------------------------

    def _assembled(self, results: list[Ref], name: str) -> Any:
        helper, g = onnx().helper, self.g
        used = _names_read(g.nodes)
        tensors = [
            _tensor(key, array) for key, array in self.shared.initializers.items() if key in used
        ]
        graph = helper.make_graph(
            g.nodes,
            re.sub(r"\W+", "_", name) or "model",
            [g.info(x) for x in self.inputs],
            [g.info(x) for x in results],
            initializer=tensors,
        )
        imports = [helper.make_opsetid("", self.shared.opset)]
        versions = {"": imports[0]}
        for domain in sorted(self.shared.domains):
            versions[domain] = helper.make_opsetid(domain, 1)
        return helper.make_model(
            graph,
            opset_imports=list(versions.values()),
            producer_name="argand",
            producer_version=__version__,
            ir_version=max(8, helper.find_min_ir_version_for(imports)),
        )


def _tensor(name: str, array: Any) -> Any:
    """An initializer of these elements."""
    found = onnx().numpy_helper.from_array(array, name)
    return found


def _subgraphs(node: Any) -> list[Any]:
    return [a.g for a in node.attribute if a.type == onnx().AttributeProto.GRAPH]


def _names_read(nodes: Sequence[Any]) -> set[str]:
    """The names that nodes read, those of branches included."""
    found: set[str] = set()
    for node in nodes:
        found |= set(node.input)
        for graph in _subgraphs(node):
            found |= _names_read(graph.node) | {o.name for o in graph.output}
    return found


def _rename(nodes: Sequence[Any], names: Mapping[str, str]) -> None:
    for node in nodes:
        for i, name in enumerate(node.input):
            node.input[i] = names.get(name, name)
        for i, name in enumerate(node.output):
            node.output[i] = names.get(name, name)
        for graph in _subgraphs(node):
            _rename(graph.node, names)


def _prune(nodes: list[Any], wanted: set[str]) -> None:
    """Take out the nodes whose results nobody reads, in place."""
    kept = []
    live = set(wanted)
    for node in reversed(nodes):
        if any(o in live for o in node.output):
            live |= _names_read([node])
            kept.append(node)
    nodes[:] = kept[::-1]


def _error(name: str, failures: Sequence[Failure]) -> OnnxExporterError:
    """One error for all that can't be translated, each reason once with its lines."""
    places: dict[tuple[str, str], list[str]] = {}
    for place, reason in failures:
        lines = places.setdefault((place.op, reason), [])
        if place.note and place.note not in lines:
            lines.append(place.note)
    text = [f"{name} can't be exported to ONNX, and nothing was written:"]
    for (op, reason), lines in places.items():
        where = f" [{'; '.join(lines[:8])}{'; ...' if len(lines) > 8 else ''}]" if lines else ""
        text.append(f"  {op}: {reason}{where}")
    return OnnxExporterError("\n".join(text))


__all__ = ["DEFAULT", "OLDEST", "OnnxExporterError", "checked_opset", "program_to_model"]
