"""`argand.jit`: programs under TorchScript's names. PyTorch's answers are written down."""

from __future__ import annotations

import copy
import io
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand import jit, nn
from argand.base.errors import FormatError


def classifier() -> nn.Module:
    ag.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)]
    return nn.Sequential(*layers).eval()


def saved_and_loaded(made: Any) -> Any:
    return jit.load(io.BytesIO(made.save_to_buffer()))


def assert_same(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(
        found.detach().numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-6
    )


def test_a_traced_module_takes_other_batches_before_and_after_its_file() -> None:
    m = classifier()
    traced = jit.trace(m, ag.rand(1, 1, 8, 8))
    x = ag.rand(5, 1, 8, 8)
    for found in (traced, saved_and_loaded(traced), copy.deepcopy(traced)):
        assert_same(found(x), m(x))
        assert list(found.state_dict()) == list(m.state_dict())
        assert not found.training
    assert isinstance(traced, jit.TopLevelTracedModule)
    assert traced[4].weight is m[4].weight
    assert_same(traced[0](x), m[0](x))


def test_what_a_module_is_called_and_printed_as() -> None:
    m = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    traced, scripted = jit.trace(m, ag.ones(1, 2)), jit.script(m)
    assert repr(traced).startswith("Sequential(\n  original_name=Sequential\n  (0): Linear(orig")
    for found in (scripted, saved_and_loaded(traced)):
        assert repr(found).startswith("RecursiveScriptModule(\n  original_name=Sequential\n")
        assert isinstance(found, jit.ScriptModule)
    assert "matmul" in traced.code
    assert "relu" in jit.export_opnames(traced)


def test_a_call_that_does_not_fit_is_traced_anew_and_refused_by_a_loaded_one() -> None:
    traced = jit.trace(nn.Flatten(), ag.rand(2, 3))
    deep = ag.rand(2, 3, 4)
    assert traced(deep).shape == (2, 12)
    assert jit.trace(nn.ReLU(), ag.rand(2))(ag.ones(3, dtype=ag.int64)).dtype is ag.int64
    with pytest.raises(ValueError, match=r"has the shape .*, got \(2, 3, 4\)"):
        saved_and_loaded(traced)(deep)


def test_a_size_of_one_that_is_broadcast_stays_one() -> None:
    traced = jit.trace(lambda x, y: x + y, (ag.rand(4, 3), ag.rand(1, 3)))
    x, y = ag.rand(6, 3), ag.rand(1, 3)
    assert_same(traced(x, y), x + y)


def test_what_python_computed_is_as_in_the_example_and_a_check_says_so() -> None:
    class M(nn.Module):
        calls = 0

        def forward(self, x: Any) -> Any:
            self.calls += 1
            return x * self.calls

    m = M()
    traced = jit.trace(m, ag.ones(2))
    assert m.calls == 0
    assert [traced(ag.ones(1)).item() for _ in range(2)] == [1.0, 1.0]
    with pytest.warns(jit.TracerWarning, match=r"Output nr 1\. of the traced function"):
        jit.trace(lambda x: x * (time.perf_counter_ns() % 100003), ag.ones(2))


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (lambda m: jit.trace(m, None), RuntimeError, "needs example_inputs"),
        (
            lambda m: jit.trace(m, (ag.ones(1, 2),), example_kwarg_inputs={}),
            RuntimeError,
            "can't both",
        ),
        (
            lambda m: jit.trace(m, example_kwarg_inputs=(1,)),
            RuntimeError,
            "should be a dict",
        ),
        (
            lambda m: jit.trace(lambda x: {"a": x}, ag.ones(2)),
            RuntimeError,
            "Encountering a dict at the output of the tracer",
        ),
        (lambda m: jit.trace(lambda x: [x], ag.ones(2)), RuntimeError, "Encountering a list"),
        (lambda m: jit.trace(lambda x: 3, ag.ones(2)), RuntimeError, "Only tensors, lists"),
        (
            lambda m: jit.trace(lambda x, k: x * k, (ag.ones(2), 3)),
            RuntimeError,
            "Type 'int' cannot be traced. Only Tensors",
        ),
        (lambda m: jit.trace_module(m, {"nope": ag.ones(1, 2)}), AttributeError, "nope"),
        (lambda m: jit.trace_module(m, [1]), AttributeError, "expected a dictionary"),
        (lambda m: jit.trace_module(len, {}), AttributeError, "expected torch.nn.Module"),
        (lambda m: jit.script(3), TypeError, "got int"),
        (lambda m: jit.freeze(m), RuntimeError, "Freezing expects a ScriptModule"),
        (lambda m: jit.freeze(jit.script(m)), RuntimeError, "for modules in eval mode"),
        (lambda m: jit.optimize_for_inference(m), RuntimeError, "expects a ScriptModule"),
        (lambda m: jit.save(m, "x"), AttributeError, "no attribute 'save'"),
        (lambda m: jit.load("/nowhere.pt"), ValueError, "/nowhere.pt does not exist"),
        (lambda m: jit.load(io.BytesIO(b"x" * 100)), FormatError, "no zip archive"),
        (lambda m: jit.script(m).save_to_buffer(), RuntimeError, "has not been called"),
    ],
)
def test_what_is_refused(given: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        given(nn.Linear(2, 3))


def test_what_need_not_be_strict_and_arguments_by_name() -> None:
    def f(x: Any, y: Any = None) -> Any:
        return {"sum": x + y, "parts": [x, y]}

    given = {"x": ag.ones(2), "y": ag.ones(2)}
    traced = jit.trace(f, example_kwarg_inputs=given, strict=False)
    found = saved_and_loaded(traced)(x=ag.ones(3), y=ag.ones(3))
    assert found["sum"].tolist() == [2.0] * 3
    assert len(found["parts"]) == 2


def test_tracing_twice_gives_the_object_back() -> None:
    traced = jit.trace(nn.ReLU(), ag.ones(2))
    with pytest.warns(UserWarning, match="already a ScriptModule, tracing it is a no-op"):
        assert jit.trace(traced, ag.ones(2)) is traced
    assert jit.script(traced) is traced


class Coder(nn.Module):
    """Two methods, attributes, and a part that nobody uses."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.unused = nn.Linear(2, 2)
        self.k, self.label, self.table = 3, "abc", {"a": 1}

    def forward(self, x: Any) -> Any:
        return self.layer(x) * self.k

    @jit.export
    def other(self, x: Any) -> Any:
        return x + self.k


def test_attributes_methods_and_unused_parameters_are_kept() -> None:
    m = Coder()
    x = ag.rand(4, 2)
    scripted = jit.script(m)
    scripted.eval()
    assert (scripted.training, scripted.layer.training, m.training) == (False, False, True)
    scripted.k = 5
    assert m.k == 3
    assert_same(scripted(x), m.layer(x) * 5)
    scripted.other(x)
    loaded = saved_and_loaded(scripted)
    assert (loaded.k, loaded.label, loaded.table, loaded.training) == (5, "abc", {"a": 1}, False)
    assert_same(loaded(x), m.layer(x) * 5)
    assert_same(loaded.other(x), x + 5)
    assert list(loaded.state_dict()) == list(m.state_dict())
    with pytest.raises(NotImplementedError, match="is a part of a program that was loaded"):
        loaded.layer(x)
    both = jit.trace_module(m, {"forward": x, "other": (x,)})
    assert_same(saved_and_loaded(both).other(x), x + 3)


def test_parameters_are_shared_and_trained() -> None:
    m = nn.Linear(2, 2)
    traced = jit.trace(m, ag.rand(3, 2))
    x = ag.rand(5, 2)
    traced(x).sum().backward()
    assert m.weight.grad is not None
    with ag.no_grad():
        m.weight.zero_()
    assert_same(traced(x), m.bias.expand(5, 2))
    traced.double()
    assert traced(x.double()).dtype is ag.float64


def test_tied_and_transient_tensors_come_back_as_they_were() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 2)
            self.b.weight = self.a.weight
            self.register_buffer("scale", ag.tensor(2.0), persistent=False)

        def forward(self, x: Any) -> Any:
            return self.b(self.a(x)) * self.scale

    m = Tied()
    loaded = saved_and_loaded(jit.trace(m, ag.rand(1, 2)))
    assert loaded.b.weight is loaded.a.weight
    assert sorted(loaded.state_dict()) == sorted(m.state_dict())
    assert len(list(loaded.parameters())) == 3


def test_frozen_modules_have_no_parameters() -> None:
    m = classifier()
    x = ag.rand(2, 1, 8, 8)
    for made in (jit.trace(m, x), jit.script(m)):
        expected = made(x)
        frozen = jit.freeze(made)
        assert list(frozen.state_dict()) == []
        with ag.no_grad():
            made[4].bias.add_(1)
        assert_same(frozen(x), expected)
        with ag.no_grad():
            made[4].bias.sub_(1)
        loaded = saved_and_loaded(frozen)
        assert list(loaded.parameters()) == []
        assert_same(loaded(x), expected)
        assert_same(jit.optimize_for_inference(made)(x), expected)


def test_extra_files_and_functions(tmp_path: Path) -> None:
    f = jit.trace(lambda x: x * 2, ag.ones(2))
    assert (f.name, f.qualified_name) == ("_lambda", "__torch__._lambda")
    f.save(tmp_path / "f.argand", _extra_files={"a.txt": "hi", "b": b"\x00"})
    extra = {"a.txt": "", "b": "", "c": ""}
    loaded = jit.load(str(tmp_path / "f.argand"), map_location="cpu", _extra_files=extra)
    assert extra == {"a.txt": b"hi", "b": b"\x00", "c": b""}
    assert loaded(ag.ones(3)).tolist() == [2.0] * 3


def test_code_is_told_whether_it_is_traced_or_scripted() -> None:
    @jit.ignore
    def inside() -> bool:
        return jit.is_scripting()

    def f(x: Any) -> Any:
        return x + (4 * jit.is_tracing() + 2 * jit.is_scripting() + inside())

    x = ag.tensor(0)
    assert f(x).item() == 0
    assert jit.trace(f, x, check_trace=False)(x).item() == 4
    assert jit.script(f)(x).item() == 2
    assert not jit.is_tracing()
    assert not jit.is_scripting()


def test_gradients_and_state_of_the_example_are_left() -> None:
    m = nn.BatchNorm1d(2)
    before = {k: v.clone() for k, v in m.state_dict().items()}
    ag.manual_seed(3)
    traced = jit.trace(m, ag.rand(4, 2))
    assert ag.rand(1).item() == (ag.manual_seed(3), ag.rand(4, 2), ag.rand(1))[2].item()
    for name, value in m.state_dict().items():
        assert ag.equal(value, before[name])
    traced(ag.rand(4, 2))
    assert m.num_batches_tracked.item() == 1


class _Found(OrderedDict[str, Any]):
    """A result as transformers has it: a mapping that also has its items as attributes."""

    def __init__(self, logits: Any) -> None:
        super().__init__(logits=logits)
        self.logits, self.hidden = logits, None


def test_a_mapping_with_attributes_is_traced_by_its_items() -> None:
    m = nn.Linear(2, 3)
    traced = ag.jit.trace(lambda x: _Found(m(x)), (ag.ones(1, 2),), strict=False)
    x = ag.rand(4, 2)
    assert ag.equal(traced(ag.ones(1, 2))["logits"], m(ag.ones(1, 2)))
    with pytest.raises(RuntimeError, match="Encountering a dict"):
        ag.jit.trace(lambda x: _Found(m(x)), (x,))


def test_what_a_trace_reads_of_its_example_is_a_constant_with_a_warning() -> None:
    def f(x: Any) -> Any:
        if x.sum() > 0:  # of one row, which stands for any number of them
            x = x * 2
        rows = int(x.max())
        return x[:, :rows] + x.min().item() + float(x.sum())

    x = ag.tensor([[-0.25, 1.0, 0.5]])
    with pytest.warns(jit.TracerWarning) as said:
        traced = jit.trace(f, x)
    lines = [w.lineno - f.__code__.co_firstlineno for w in said]
    kinds = [str(w.message).split("tensor to a ")[1].split(" might")[0] for w in said]
    assert list(zip(lines, kinds, strict=True)) == [
        (1, "Python boolean"),
        (3, "Python integer"),
        (4, "Python number"),
        (4, "Python float"),
    ]
    assert "the trace might not generalize to other inputs!" in str(said[0].message)
    assert_same(traced(x), f(x))
    for other in (-x, ag.ones(2, 4)):  # PyTorch gives the same
        assert_same(traced(other), other[:, :2] * 2 + 2)


def test_an_export_reads_no_example() -> None:
    with pytest.raises(RuntimeError, match="is not known while the function is traced"):
        ag.export.export(lambda x: x if x.sum() > 0 else -x, (ag.ones(2),))


def test_graphs_have_the_methods_of_torchscript() -> None:
    def f(x: Any) -> Any:
        while x.sum() < 10:
            x = x * 2
        return x.relu() if x.max() > 3 else x

    graph = jit.script(f, example_inputs=[(ag.ones(2),)]).graph
    assert [n.kind() for n in graph.nodes()][-1] == "prim::If"
    assert len(graph.findAllNodes("aten::mul")) == 1
    assert graph.findNode("aten::mul", recurse=False) is None
    (loop,) = graph.findAllNodes("prim::Loop")
    assert [len(list(block.nodes())) for block in loop.blocks()] == [2, 1]
    assert loop.output() in list(graph.findNode("prim::If").inputs())
    assert [v.debugName() for v in graph.inputs()] == ["x"]
    assert loop.output().node().kind() == "prim::Loop"
    assert "while_loop(x)" in str(graph)
