"""Runs a graph: node by node, each by its rule, on Argand's tensors and host values.

What it computes on tensors is ordinary eager code: differentiable, and recorded where it runs in a
trace. Nodes whose inputs are all host values give host values.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from argand.base.errors import FormatError, TraceError
from argand.ir.bind import eagerly
from argand.onnx import hosted, importers, registry
from argand.onnx.model import FunctionDef, GraphDef, Node, Reference, Required, ValueInfo
from argand.onnx.reading import check_known
from argand.onnx.values import has_dims, host_of, is_host, tensor_of
from argand.tensor import autograd
from argand.tensor.core import Tensor
from argand.transform.mode import enable_grad, no_grad

assert importers is not None  # it fills the registry

Environment = dict[str, Any]

MAX_STEPS = 1_000_000
"""Nodes of all graphs together, where functions count as often as they are called."""

FOLDED = 1 << 22
"""Bytes of a constant that is computed once and kept."""


class Setting:
    """What all graphs of a model know: versions of the ops, functions, how large they are."""

    def __init__(
        self, opsets: Mapping[str, int], functions: Mapping[tuple[str, str], FunctionDef]
    ) -> None:
        self.opsets, self.functions = opsets, functions
        self.total = [0]

    def inside(self, opsets: Mapping[str, int]) -> Setting:
        """The same, in a function with versions of its own."""
        made = Setting(opsets, self.functions)
        made.total = self.total
        return made

    def count(self, node: Node) -> None:
        """Note one more node."""
        self.total[0] += 1
        if self.total[0] > MAX_STEPS:
            raise node.error(f"functions make more than {MAX_STEPS} nodes of the model")

    def version(self, node: Node) -> int:
        """The opset that a node belongs to."""
        found = self.opsets.get(node.domain)
        if found is None and node.domain in ("com.microsoft", "ai.onnx.ml"):
            return 1 if node.domain == "com.microsoft" else 5
        if found is None:
            raise node.error(
                f"opset_import has no version of its domain {node.domain or 'ai.onnx'!r}"
            )
        return found


class Body:
    """A graph among a node's attributes, with the values around it."""

    def __init__(self, graph: Graph, around: Environment) -> None:
        self.graph, self.around = graph, around

    def __call__(self, *inputs: Any) -> list[Any]:
        return self.graph.run(list(inputs), self.around)


Step = Callable[[Environment], Any]


class Graph:
    """A graph that can run: `run(inputs)` gives the values of its outputs."""

    def __init__(
        self,
        definition: GraphDef,
        setting: Setting,
        state: Mapping[str, Any] | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        self.definition = definition
        self.inputs = [v.name for v in definition.inputs]
        self.outputs = [v.name for v in definition.outputs]
        self.constants: Environment = {**definition.initialisers, **(state or {})}
        self.steps = [_step(n, setting, attributes or {}, definition) for n in definition.nodes]
        made = {*self.inputs, *self.constants, *(o for n in definition.nodes for o in n.outputs)}
        used = {x for s in self.steps for x in s.reads} | set(self.outputs)
        self.free = used - made - {""}
        self._fixed = _fixed(self)
        self._dead = self._last_uses()
        self.folded: Environment = {}

    def _last_uses(self) -> list[tuple[str, ...]]:
        """After each node, the values that nobody needs any more."""
        kept = {*self.outputs, *self.constants, *self.free, ""}
        last: dict[str, int] = {}
        for i, step in enumerate(self.steps):
            for name in (*step.reads, *step.node.outputs):
                if name not in kept:
                    last[name] = i
        dead: list[list[str]] = [[] for _ in self.steps]
        for name, i in last.items():
            dead[i].append(name)
        return [tuple(d) for d in dead]

    def run(self, inputs: Sequence[Any], around: Environment | None = None) -> list[Any]:
        """The values of the outputs for those of the inputs, in the graph's orders."""
        env: Environment = {} if around is None else {n: around[n] for n in self.free}
        env.update(self.constants)
        for name, value in itertools.zip_longest(self.inputs, inputs[: len(self.inputs)]):
            if value is not None or name not in env:
                env[name] = value
        for i, step in enumerate(self.steps):
            fixed = self._fixed[i]
            if fixed and self._known(step.node, env):
                continue
            results = step.run(env)
            for name, value in zip(step.node.outputs, results, strict=False):
                if name:
                    env[name] = value
            if fixed:
                self._keep(step.node, env)
            for name in self._dead[i]:
                env.pop(name, None)
        return [env[n] for n in self.outputs]

    def _known(self, node: Node, env: Environment) -> bool:
        """Take the outputs of a node that were computed before, if they were."""
        for name in node.outputs:
            if name and name not in self.folded:
                return False
        env.update((n, self.folded[n]) for n in node.outputs if n)
        return True

    def _keep(self, node: Node, env: Environment) -> None:
        values = [env[n] for n in node.outputs if n]
        if all(isinstance(v, np.ndarray) and v.nbytes <= FOLDED for v in values):
            self.folded.update((n, env[n]) for n in node.outputs if n)

    def nodes(self) -> Iterator[Node]:
        """Its nodes."""
        return iter(self.definition.nodes)


def _fixed(graph: Graph) -> list[bool]:
    """For each node whether it has the same host values in every run."""
    known = {n for n, v in graph.constants.items() if isinstance(v, np.ndarray)}
    known -= set(graph.inputs)
    found = []
    for step in graph.steps:
        fixed = step.pure and all(name in known for name in step.reads)
        found.append(fixed)
        if fixed:
            known.update(n for n in step.node.outputs if n)
    return found


class _Step:
    """A node made ready: what it reads, and how its outputs are computed."""

    pure = False

    def __init__(self, node: Node) -> None:
        self.node = node
        self.reads: list[str] = [n for n in node.inputs if n]

    def run(self, env: Environment) -> Sequence[Any]:
        raise NotImplementedError


class _FunctionStep(_Step):
    """A call of a function of the file."""

    def __init__(
        self, node: Node, function: FunctionDef, setting: Setting, attributes: Mapping[str, Any]
    ) -> None:
        super().__init__(node)
        given = {k: _referred(v, attributes) for k, v in node.attributes.items()}
        for name, default in function.attributes.items():
            if given.setdefault(name, default) is Required:
                raise node.error(f"its attribute {name!r} is missing")
        if len(node.inputs) > len(function.body.inputs):
            raise node.error(
                f"it has {len(node.inputs)} inputs, the function takes {len(function.body.inputs)}"
            )
        self.body = Graph(function.body, setting.inside(function.opsets), attributes=given)

    def run(self, env: Environment) -> Sequence[Any]:
        return self.body.run([env[n] if n else None for n in self.node.inputs])


class _RuleStep(_Step):
    """A node that a rule computes."""

    def __init__(self, node: Node, setting: Setting, attributes: Mapping[str, Any]) -> None:
        super().__init__(node)
        version = setting.version(node)
        self.rule = rule = registry.find(node, version)
        check_known(node, version)
        bodies: dict[str, Graph] = {}
        for name, value in node.attributes.items():
            if isinstance(value, GraphDef):
                bodies[name] = Graph(value, setting, attributes=attributes)
                self.reads += bodies[name].free
        resolved = {k: _referred(v, attributes) for k, v in node.attributes.items()}
        resolved = {k: v for k, v in resolved.items() if v is not _LEFT_OUT}
        bare = Node(node.domain, node.op, node.name, node.inputs, node.outputs, resolved)
        self.keywords, given = registry.bound(rule, bare)
        self.bodies = bodies
        if "node" in rule.attributes:
            self.keywords["node"] = registry.Call(bare, version)
        self.given = sorted(given.items())
        self.host = hosted.rule_of(node.domain, node.op)
        self.pure = not rule.draws and not bodies
        count = max([len(node.inputs), *(i + 1 for i in given)])
        self.forms = [_FORMS[form] for form in rule.forms(count)]

    def run(self, env: Environment) -> Sequence[Any]:
        values = [env[n] if n else None for n in self.node.inputs]
        for place, value in self.given:
            values += [None] * (place + 1 - len(values))
            values[place] = value
        try:
            return self.computed(values, env)
        except TraceError as error:
            if str(self.node) not in str(error):
                error.args = (f"{self.node}: {error}",)
            raise
        except Exception as error:
            error.add_note(f"  in the ONNX {self.node}")
            raise

    def computed(self, values: list[Any], env: Environment) -> Sequence[Any]:
        keywords = self.keywords
        if self.bodies:
            keywords = keywords | {k: Body(g, env) for k, g in self.bodies.items()}
        elif self.pure and all(is_host(v) for v in values):
            if self.host is not None:
                found = self.host(*values, **keywords)
                if found is not NotImplemented:
                    return _as_sequence(found, self.node)
            if not any(isinstance(v, np.ndarray) and has_dims(v) for v in values):
                return self.folded(values, keywords)
        return self.called(values, keywords)

    def called(self, values: list[Any], keywords: dict[str, Any]) -> Sequence[Any]:
        arguments = [form(v) for form, v in zip(self.forms, values, strict=True)]
        return _as_sequence(self.rule.function(*arguments, **keywords), self.node)

    def folded(self, values: list[Any], keywords: dict[str, Any]) -> Sequence[Any]:
        """The outputs as host values, computed now even while a function is traced."""
        with eagerly(), no_grad():
            return [host_of(v) for v in self.called(values, keywords)]


class _GradientStep(_Step):
    """`Gradient`: the part of the graph from some values to another, differentiated."""

    def __init__(
        self, node: Node, setting: Setting, attributes: Mapping[str, Any], graph: GraphDef
    ) -> None:
        super().__init__(node)
        setting.version(node)
        xs, zs = (tuple(node.attributes.get(k, ())) for k in ("xs", "zs"))
        y = node.attributes.get("y")
        if not xs or not isinstance(y, str) or len(node.inputs) != len(xs) + len(zs):
            raise node.error("its inputs must be those that xs and zs name, and y be given")
        self.count = len(xs)
        part = _part(graph, {*xs, *zs}, y, node)
        self.body = Graph(part, setting, attributes=attributes)
        self.names = (*xs, *zs)
        self.reads += self.body.free - set(self.names)

    def run(self, env: Environment) -> Sequence[Any]:
        values = [tensor_of(env[n]) for n in self.node.inputs]
        with enable_grad():
            leaves = [v.detach().requires_grad_() for v in values[: self.count]]
            around = env | dict(zip(self.names, [*leaves, *values[self.count :]], strict=True))
            (y,) = self.body.run([], around)
            return autograd.grad(y.sum(), leaves, create_graph=True)


def _part(graph: GraphDef, start: set[str], y: str, node: Node) -> GraphDef:
    """The nodes that lead from some values to `y`."""
    wanted, kept = {y}, []
    for n in reversed(graph.nodes):
        if wanted & set(n.outputs) - start:
            kept.append(n)
            wanted |= set(n.inputs)
    if not kept and y not in start:
        raise node.error(f"nothing before it makes {y!r}")
    return GraphDef(graph.name, (), (ValueInfo(y, None),), tuple(reversed(kept)), {})


_LEFT_OUT = object()


def _referred(value: Any, attributes: Mapping[str, Any]) -> Any:
    """An attribute, taken from those of the function where it stands for one."""
    if isinstance(value, Reference):
        return attributes.get(value.name, _LEFT_OUT)
    return value


def _as_it_is(value: Any) -> Any:
    return value


_FORMS = {"tensor": tensor_of, "host": host_of, "any": _as_it_is}


def _as_sequence(result: Any, node: Node) -> Sequence[Any]:
    if isinstance(result, tuple):
        return result
    if len(node.outputs) > 1 and any(node.outputs[1:]):
        raise FormatError(f"{node}: it has {len(node.outputs)} outputs, the op gives one")
    return (result,)


def _step(node: Node, setting: Setting, attributes: Mapping[str, Any], graph: GraphDef) -> Any:
    setting.count(node)
    function = setting.functions.get((node.domain, node.op))
    if function is not None:
        return _FunctionStep(node, function, setting, attributes)
    if (node.domain, node.op) == ("ai.onnx.preview.training", "Gradient"):
        return _GradientStep(node, setting, attributes, graph)
    return _RuleStep(node, setting, attributes)


def is_tensor(value: Any) -> bool:
    """Whether a value is a tensor."""
    return isinstance(value, Tensor)
