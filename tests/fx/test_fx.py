"""`argand.fx`: graphs as PyTorch's `torch.fx` makes them. PyTorch's answers are written down."""

from __future__ import annotations

import copy
import math
import operator
import pickle
from typing import Any

import pytest

import argand as ag
import argand.nn.functional as F
from argand import fx, nn
from argand.fx.passes.shape_prop import ShapeProp
from argand.fx.proxy import GraphAppendingTracer, TraceError


class Small(nn.Module):
    """Layers, a parameter, a buffer, a constant, methods, functions and unpacking."""

    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(4, 6)
        self.p = nn.Parameter(ag.rand(4))
        self.register_buffer("b", ag.ones(4))
        self.seq = nn.Sequential(nn.ReLU(), nn.Linear(6, 5))

    def forward(self, x: Any, y: Any = None, *, k: int = 3) -> Any:
        n = x.shape[0]
        z = F.relu(self.lin(x + self.p * self.b))
        u, v = z.chunk(2, dim=1)
        z = ag.cat([u, v], 1).view(n, -1)[:, 0:]
        z = self.seq(2 - z)
        return {"a": z * ag.tensor([1.0]), "b": (z.sum(), k)}


CODE = """


def forward(self, x, y = None, k = 3):
    getattr_1 = x.shape
    getitem = getattr_1[0];  getattr_1 = None
    p = self.p
    b = self.b
    mul = p * b;  p = b = None
    add = x + mul;  x = mul = None
    lin = self.lin(add);  add = None
    relu = argand.nn.functional.relu(lin);  lin = None
    chunk = relu.chunk(2, dim = 1);  relu = None
    getitem_1 = chunk[0]
    getitem_2 = chunk[1];  chunk = None
    cat = argand.cat([getitem_1, getitem_2], 1);  getitem_1 = getitem_2 = None
    view = cat.view(getitem, -1);  cat = getitem = None
    getitem_3 = view[(slice(None, None, None), slice(0, None, None))];  view = None
    sub = 2 - getitem_3;  getitem_3 = None
    seq_0 = getattr(self.seq, "0")(sub);  sub = None
    seq_1 = getattr(self.seq, "1")(seq_0);  seq_0 = None
    _tensor_constant0 = self._tensor_constant0
    mul_1 = seq_1 * _tensor_constant0;  _tensor_constant0 = None
    sum_1 = seq_1.sum();  seq_1 = None
    return {'a': mul_1, 'b': (sum_1, k)}
    """


def test_the_text_of_a_graph_is_pytorchs() -> None:
    gm = fx.symbolic_trace(Small())
    assert gm.code == CODE
    assert str(gm.graph).splitlines()[:4] == [
        "graph():",
        "    %x : [num_users=2] = placeholder[target=x]",
        "    %y : [num_users=0] = placeholder[target=y](default=None)",
        "    %k : [num_users=1] = placeholder[target=k](default=3)",
    ]
    assert "%add : [num_users=1] = call_function[target=operator.add](args = (%x, %mul)" in str(
        gm.graph
    )
    assert type(gm).__name__ == "Small"


def test_a_graph_computes_what_the_module_computes() -> None:
    m = Small()
    gm = fx.symbolic_trace(m)
    x = ag.rand(2, 4)
    for made in (gm, copy.deepcopy(gm), pickle.loads(pickle.dumps(gm)), ag.compile(gm)):
        found = made(x, k=7)
        assert ag.allclose(found["a"], m(x)["a"], atol=1e-6)
        assert found["b"][1] == 7
    assert type(found["b"]) is tuple
    assert gm.lin.weight is m.lin.weight
    assert copy.deepcopy(gm).lin.weight is not m.lin.weight
    gm(x)["a"].sum().backward()
    assert m.p.grad is not None
    assert next(n.op.name for n in gm.program(x).program.nodes) == "mul"


def test_walking_inserting_replacing_and_deleting() -> None:
    gm = fx.symbolic_trace(lambda x, y: (x + y, ag.add(x, y), x.add(y)))
    for node in gm.graph.nodes:
        if node.target in (operator.add, ag.add, "add"):
            with gm.graph.inserting_after(node):
                new = gm.graph.call_function(ag.bitwise_and, node.args, node.kwargs)
            node.replace_all_uses_with(new)
            gm.graph.erase_node(node)
    gm.recompile()
    a, b = ag.tensor([6]), ag.tensor([3])
    assert [int(v) for v in gm(a, b)] == [2, 2, 2]
    assert [n.name for n in gm.graph.nodes] == [
        "x", "y", "bitwise_and", "bitwise_and_1", "bitwise_and_2", "output",
    ]  # fmt: skip
    last = gm.graph.output_node()
    assert [n.name for n in last.all_input_nodes] == [n.name for n in last.args[0]]
    x = next(iter(gm.graph.nodes))
    assert (x.next.name, x.prev.op, len(x.users)) == ("y", "root", 3)
    assert x < last
    with pytest.raises(RuntimeError, match="still had 3 users"):
        gm.graph.erase_node(x)
    with pytest.raises(NotImplementedError, match="does not support mutation"):
        last.args[0][0].args[0].meta or last.args[0][0].kwargs.update(a=1)


def test_dead_code_and_the_order_of_nodes() -> None:
    graph = fx.Graph()
    x = graph.placeholder("input")
    assert x.name == "input_1"
    a = graph.call_function(ag.relu, (x,))
    graph.call_function(ag.exp, (a,))
    out = graph.output(a)
    assert graph.eliminate_dead_code()
    assert not graph.eliminate_dead_code()
    assert [n.name for n in reversed(graph.nodes)] == ["output", "relu", "input_1"]
    a.prepend(out)
    with pytest.raises(RuntimeError, match="used before it has been defined"):
        graph.lint()
    with pytest.raises(RuntimeError, match="nonexistent attribute nothing"):
        graph2 = fx.Graph()
        graph2.output(graph2.get_attr("nothing"))
        graph2.owning_module = nn.ReLU()
        graph2.lint()


def test_branches_loops_and_lengths_are_refused() -> None:
    for function, kind, message in (
        (lambda x: x if x.sum() > 0 else -x, TraceError, "cannot be used as inputs to control"),
        (lambda x: list(x), TraceError, "cannot be iterated"),
        (lambda x: len(x), RuntimeError, "'len' is not supported"),
    ):
        with pytest.raises(kind, match=message):
            fx.symbolic_trace(function)
    assert nn.Module.__call__(nn.ReLU(), ag.tensor(-1.0)).item() == 0  # put back after an error


def test_concrete_arguments_are_checked() -> None:
    gm = fx.symbolic_trace(lambda x, flag: x + 1 if flag else x, concrete_args={"flag": True})
    assert [n.name for n in gm.graph.nodes] == ["x", "flag_1", "eq", "_assert", "add", "output"]
    assert gm(ag.ones(1), True).item() == 2
    with pytest.raises(AssertionError, match="specialized to have value True"):
        gm(ag.ones(1), False)


@fx.wrap
def wrapped(x: Any, times: int) -> Any:
    """Not traced through."""
    return x if times == 0 else wrapped(x * 2, times - 1)


def test_wrapped_functions_are_nodes() -> None:
    gm = fx.symbolic_trace(lambda x: wrapped(x, 3) + math.sqrt(x.numel()))
    called = [n.target.__name__ for n in gm.graph.nodes if n.op == "call_function"]
    assert called[0] == "wrapped"
    assert gm(ag.ones(4)).tolist() == [10.0] * 4
    assert wrapped(ag.ones(1), 1).item() == 2


def test_tracers_say_what_a_leaf_is() -> None:
    class Deep(fx.Tracer):
        def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
            return False

        def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
            node = super().create_node(*args, **kwargs)
            node.meta["tag"] = 1
            return node

    graph = Deep().trace(nn.Sequential(nn.ReLU(), nn.Linear(2, 2)))
    assert all(n.op != "call_module" and n.meta["tag"] == 1 for n in graph.nodes)
    assert [n.target for n in graph.nodes if n.op == "get_attr"] == ["1.weight", "1.bias"]


def test_patterns_are_replaced() -> None:
    class M(nn.Module):
        def forward(self, x: Any, w1: Any, w2: Any) -> Any:
            a = ag.cat([ag.neg(w1), w2]).sum()
            b = ag.cat([ag.neg(w1), w2]).sum()
            return x + ag.max(a) + ag.max(b)

    gm = fx.symbolic_trace(M())
    found = fx.replace_pattern(
        gm, lambda a, b: ag.cat([ag.neg(a), b]).sum(), lambda a, b: ag.stack([a, b])
    )
    assert len(found) == 2
    assert [n.name for n in gm.graph.nodes] == [
        "x", "w1", "w2", "stack", "max_1", "add", "stack_1", "max_2", "add_1", "output",
    ]  # fmt: skip
    assert gm(ag.ones(1), ag.ones(2), ag.full((2,), 3.0)).item() == 7
    inside = fx.symbolic_trace(lambda x: ag.relu(ag.neg(x)) + ag.neg(x).exp())
    assert len(fx.replace_pattern(inside, lambda x: ag.neg(x), lambda x: x - 1)) == 2
    shared = fx.symbolic_trace(lambda x: (lambda y: ag.relu(y) + y)(ag.neg(x)))
    assert not fx.replace_pattern(shared, lambda x: ag.relu(ag.neg(x)), lambda x: x)
    chained = fx.symbolic_trace(lambda x: ag.relu(ag.relu(x)))
    assert len(fx.replace_pattern(chained, lambda x: ag.relu(x), lambda x: x * 2)) == 2
    assert chained(ag.ones(1)).item() == 4


def test_modules_are_swapped_as_a_quantizer_does() -> None:
    gm = fx.symbolic_trace(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)))
    for node in list(gm.graph.nodes):
        if node.op == "call_module" and isinstance(gm.get_submodule(node.target), nn.ReLU):
            assert gm.add_submodule("extra.act", nn.Tanh())
            with gm.graph.inserting_before(node):
                node.replace_all_uses_with(gm.graph.call_module("extra.act", node.args))
            gm.graph.erase_node(node)
    gm.delete_all_unused_submodules()
    gm.graph.lint()
    gm.recompile()
    assert [name for name, _ in gm.named_modules()] == ["", "0", "2", "extra", "extra.act"]
    x = ag.rand(3, 2)
    assert ag.equal(gm(x), gm.get_submodule("2")(gm.get_submodule("0")(x).tanh()))


def test_interpreters_and_transformers() -> None:
    class Negated(fx.Interpreter):
        def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
            return super().call_function(ag.neg if target is ag.relu else target, args, kwargs)

    class Swapped(fx.Transformer):
        def call_method(self, target: Any, args: Any, kwargs: Any) -> Any:
            return super().call_method("exp" if target == "sigmoid" else target, args, kwargs)

    gm = fx.symbolic_trace(lambda x: ag.relu(x).sigmoid())
    x = ag.tensor([2.0])
    assert ag.equal(Negated(gm).run(x), (-x).sigmoid())
    assert ag.equal(Swapped(gm).transform()(x), x.exp())
    with pytest.raises(RuntimeError, match="Expected positional argument for parameter x"):
        fx.Interpreter(gm).run()
    with pytest.raises(TypeError) as raised:
        fx.Interpreter(fx.symbolic_trace(lambda x: x + 1)).run("a")
    assert "While executing %add" in raised.value.__notes__[0]


def test_shapes_of_values() -> None:
    gm = fx.symbolic_trace(nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten()))
    ShapeProp(gm).propagate(ag.rand(2, 1, 5, 5))
    found = {n.name: tuple(n.meta["tensor_meta"].shape) for n in gm.graph.nodes}
    assert found["_0"] == (2, 3, 3, 3)
    assert found["output"] == (2, 27)


def test_proxies_append_to_a_graph() -> None:
    graph = fx.Graph()
    tracer = GraphAppendingTracer(graph)
    x = fx.Proxy(graph.placeholder("x"), tracer)
    y = ag.relu(x) ** 2
    graph.output(y.node)
    assert fx.GraphModule({}, graph)(ag.tensor([3.0])).item() == 9
    copied = fx.Graph()
    copied.output(copied.graph_copy(graph, {}))
    assert str(copied) == str(graph)
    with pytest.raises(RuntimeError, match="was not provided in `root`"):
        bad = fx.Graph()
        bad.output(bad.call_module("a.b"))
        fx.GraphModule({}, bad)
