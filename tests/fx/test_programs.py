"""Exported programs as graphs, and graphs taken apart."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand import fx, nn
from argand.fx.experimental.proxy_tensor import make_fx
from argand.fx.experimental.symbolic_shapes import (
    free_symbols,
    guard_or_false,
    hint_int,
    sym_and,
    sym_eq,
)
from argand.fx.operator_schemas import normalize_function
from argand.fx.passes.graph_drawer import FxGraphDrawer
from argand.fx.passes.shape_prop import ShapeProp
from argand.fx.passes.split_module import split_module
from argand.library import ops


class Model(nn.Module):
    """State that is written, a constant, and a branch."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.register_buffer("calls", ag.zeros(()))
        self.table = ag.arange(3.0)

    def forward(self, x: Any, scale: Any) -> Any:
        self.calls += 1
        y = self.linear(x).relu() + self.table
        y = ag.cond(y.sum() > 4, lambda: y * 2, lambda: y - x.shape[0])
        return y.reshape(-1) * scale, y.mean()


def exported() -> Any:
    ag.manual_seed(0)
    return ag.export.export(
        Model(), (ag.rand(2, 3), ag.ones(())), dynamic_shapes=({0: ag.Dim("n", min=1)}, None)
    )


def test_a_graph_module_computes_what_the_program_does() -> None:
    program = exported()
    gm, signature = program.graph_module, program.graph_signature
    names = [n.name for n in gm.graph.nodes if n.op == "placeholder"]
    assert names == [s.arg.name for s in signature.input_specs]
    state = [program.state[s.target] for s in signature.input_specs if s.target is not None]
    for x in (ag.rand(2, 3), -ag.rand(5, 3)):
        scale = ag.tensor(3.0)
        calls, *found = gm(*[t.clone() for t in state], x, scale)
        assert calls == program.state["calls"] + 1
        for a, b in zip(found, program(x, scale), strict=True):
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-6)
    gm.graph.lint()
    assert fx.Interpreter(gm).run(*state, ag.rand(1, 3), ag.ones(()))[1].shape == (3,)


def test_nodes_have_types_lines_and_pytorchs_targets() -> None:
    program = exported()
    nodes = {n.name: n for n in program.graph.nodes}
    assert nodes["relu"].target is ops.aten.relu.default
    assert nodes["p_linear_weight"].meta["val"].shape == (3, 3)
    assert str(nodes["relu"].meta["val"]) == "f32[n, 3]"
    assert "test_programs.py" in nodes["relu"].stack_trace
    assert list(nodes["matmul"].meta["nn_module_stack"]) == ["linear"]
    assert nodes["cond"].target is ops.higher_order.cond
    assert nodes["getitem"].target is operator.getitem
    text = str(program.graph)
    assert "target=torch.ops.aten.relu.default](args = (%add" in text


def test_an_edited_graph_leaves_the_program() -> None:
    program = exported()
    gm = program.graph_module
    for node in gm.graph.nodes:
        if node.target is ops.aten.relu.default:
            node.target = ag.neg
    gm.recompile()
    assert any(n.target is ops.aten.relu.default for n in program.graph.nodes)
    assert any(n.target is ag.neg for n in gm.graph.nodes)


def test_a_loop_is_a_node_with_graphs() -> None:
    program = ag.export.export(
        lambda n, x: ag.while_loop(lambda i, x: i < n, lambda i, x: (i + 1, x * 1.5 + n), (0, x)),
        (ag.tensor(2), ag.ones(3)),
    )
    gm = program.graph_module
    for n in (0, 1, 4):
        given = ag.tensor(n), ag.ones(3)
        assert [y.tolist() for y in gm(*given)] == [y.tolist() for y in program(*given)]
    assert isinstance(gm.cond_graph_0, fx.GraphModule)
    assert isinstance(gm.body_graph_0, fx.GraphModule)


def test_make_fx_traces_gradients_and_symbolic_sizes() -> None:
    def f(x: Any) -> Any:
        y = x.detach().requires_grad_()
        (g,) = ag.autograd.grad((y * y * y).sum(), y)
        return g + x.shape[0]

    for mode, sizes in (("real", (3,)), ("symbolic", (3, 5))):
        gm = make_fx(f, tracing_mode=mode)(ag.ones(3))
        for size in sizes:
            found = gm(ag.full((size,), 2.0))
            assert found.tolist() == [12.0 + size] * size
    with pytest.raises(ValueError, match="tracing_mode"):
        make_fx(f, tracing_mode="no")
    w = ag.rand(2)
    gm = make_fx(lambda x: x * w)(ag.ones(2))
    assert [n.target for n in gm.graph.nodes if n.op == "get_attr"] == ["_tensor_constant0"]
    assert ag.equal(gm(ag.ones(2)), w)


class Net(nn.Module):
    """PyTorch's example of `split_module`."""

    def __init__(self) -> None:
        super().__init__()
        self.param = nn.Parameter(ag.rand(3, 4))
        self.linear = nn.Linear(4, 5)

    def forward(self, x: Any, y: Any) -> Any:
        z = self.linear(x + self.param).clamp(min=0.0, max=1.0)
        w = self.linear(y).clamp(min=0.0, max=1.0)
        return z + w


def test_a_split_graph_computes_the_same() -> None:
    ag.manual_seed(0)
    net = Net()
    gm = fx.symbolic_trace(net)
    count = [0]

    def callback(node: Any) -> int:
        count[0] += 1
        return (count[0] - 1) // 2

    names: dict[str, str] = {}
    parts = split_module(gm, net, callback, names)
    x, y = ag.rand(3, 4), ag.rand(3, 4)
    assert ag.equal(parts(x, y), net(x, y))
    assert [name for name, _ in parts.named_children()] == ["submod_0", "submod_1", "submod_2"]
    assert names["submod_0.linear"] == "linear"
    assert parts.param is net.param
    with pytest.raises(RuntimeError, match="cycle exists between partitions"):
        split_module(gm, net, lambda n: 1 if n.name == "clamp" else 0)


def test_arguments_are_normalized_as_pytorch_does() -> None:
    def f(x: Any) -> Any:
        return nn.functional.softmax(x, 1, dtype=ag.float64)

    gm = fx.symbolic_trace(f)
    node = next(n for n in gm.graph.nodes if n.op == "call_function")
    found = node.normalized_arguments(gm, normalize_to_only_use_kwargs=True)
    assert found.args == ()
    assert {k: v for k, v in found.kwargs.items() if k != "input"} == {
        "dim": 1,
        "_stacklevel": 3,
        "dtype": ag.float64,
    }
    model = fx.symbolic_trace(nn.Sequential(nn.Linear(2, 2)))
    call = next(n for n in model.graph.nodes if n.op == "call_module")
    kwargs = call.normalized_arguments(model, normalize_to_only_use_kwargs=True).kwargs
    assert list(kwargs) == ["input"]
    assert normalize_function(ag.relu, (1, 2, 3, 4)) is None


def test_shapes_and_drawings() -> None:
    gm = fx.symbolic_trace(nn.Sequential(nn.Linear(2, 3), nn.ReLU()))
    ShapeProp(gm).propagate(ag.ones(4, 2))
    text = FxGraphDrawer(gm, "net").get_dot_graph().to_string()
    assert "_0 -> _1;" in text
    assert "shape=(4, 3)" in text
    assert text.startswith('digraph "net" {')


def test_questions_about_sizes() -> None:
    n = ag.Dim("n")
    assert free_symbols((n * 2, ag.Dim("m"))) == {"n", "m"}
    assert sym_eq((n, 2), (n, 2)) is True
    assert sym_and(True, 3 > 2)
    assert guard_or_false(n * 2 == n * 2)
    assert hint_int(3) == 3


def test_a_function_knows_that_it_is_exported() -> None:
    def f(x: Any) -> Any:
        return x + 1 if ag.compiler.is_exporting() else x

    assert ag.export.export(f, (ag.zeros(()),))(ag.zeros(())) == 1
    assert f(ag.zeros(())) == 0
    assert ag.compile(f)(ag.zeros(())) == 0


def test_sizes_from_collections_and_further_inputs() -> None:
    x, y, z = ag.ones(2, 3), ag.ones(2), ag.ones(3)

    def f(parts: Any, z: Any) -> Any:
        return parts["x"].sum(1) + parts["y"][0] + z.sum()

    shapes = ag.export.ShapesCollection()
    n = ag.Dim("n", max=8)
    shapes[x], shapes[y[:]] = {0: n}, None
    args = ({"x": x, "y": [y]}, z)
    with pytest.raises(RuntimeError, match="among no arguments"):
        ag.export.export(f, args, dynamic_shapes=shapes)
    shapes = ag.export.ShapesCollection()
    shapes[x], shapes[y] = {0: n}, (n,)
    assert len(shapes) == 2
    assert shapes[x] == {0: n}
    program = ag.export.export(f, args, dynamic_shapes=shapes)
    assert program({"x": ag.ones(5, 3), "y": [ag.ones(5)]}, z).shape == (5,)
    with pytest.raises(ValueError, match="n is 9"):
        program({"x": ag.ones(9, 3), "y": [ag.ones(9)]}, z)
    more = ag.export.AdditionalInputs()
    more.add(({"x": ag.ones(4, 3), "y": [ag.ones(4)]}, z))
    program = ag.export.export(f, args, dynamic_shapes=more)
    more.verify(program)
    assert program({"x": ag.ones(7, 3), "y": [ag.ones(7)]}, z).shape == (7,)
    more.add(({"x": ag.ones(4, 2), "y": [ag.ones(4)]}, z))
    with pytest.raises(RuntimeError):
        more.verify(program)
