"""Exported programs: what they compute, how they are called, and what they refuse."""

from __future__ import annotations

import copy
import dataclasses
import io
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import argand as ag
from argand import nn, optim
from argand.base.tree import flatten
from argand.export import ExportedProgram, export, load


def model() -> nn.Module:
    ag.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)).eval()


def exported(m: nn.Module, **options: Any) -> ExportedProgram:
    shapes = ({0: ag.Dim("n", **options)},)
    return export(m, (ag.rand(5, 4),), dynamic_shapes=shapes)


@pytest.mark.parametrize("size", [0, 1, 2, 7, 64])
def test_a_declared_size_may_be_any(size: int, tmp_path: Path) -> None:
    m = model()
    program = exported(m)
    program.save(tmp_path / "m.argand")
    x = ag.rand(size, 4)
    with ag.no_grad():
        expected = m(x).numpy()
    for found in (program, load(tmp_path / "m.argand")):
        np.testing.assert_allclose(found(x.numpy()).numpy(), expected, rtol=1e-5, atol=1e-6)


def test_an_example_of_one_row_may_be_the_example_of_many() -> None:
    m = model()
    program = export(m, (ag.rand(1, 4),), dynamic_shapes=(("n", None),))
    x = ag.rand(6, 4)
    np.testing.assert_allclose(program(x.numpy()).numpy(), m(x).detach().numpy(), rtol=1e-5)


def test_arguments_by_order_by_name_and_as_they_were_nested() -> None:
    def f(x: Any, scale: float, *, more: Any, twice: bool = False) -> Any:
        return {"a": x * scale, "b": (more["y"][0] + x.sum(), x.shape[0])}

    y = ag.ones(2)
    program = export(f, (ag.ones(3), 2.0), {"more": {"y": [y]}}, dynamic_shapes={"x": ("n",)})
    assert [str(i) for i in program.default.inputs] == [
        "x: f32(n,)",
        "scale: f64()",
        "more: f32(2,)",
    ]
    nested = program(ag.ones(5), 3.0, more={"y": [y]})
    assert nested["b"][1] == 5
    assert nested["a"].tolist() == [3.0] * 5
    assert nested["b"][0].tolist() == [6.0, 6.0]
    for given in (program(ag.ones(5), 3.0, y), program(more=y, scale=3.0, x=ag.ones(5))):
        assert given["a"].tolist() == nested["a"].tolist()


def test_python_values_are_constants_that_calls_must_repeat() -> None:
    program = export(lambda x, k: x * k, (ag.ones(2), 3))
    assert program(ag.ones(2), 3).tolist() == [3.0, 3.0]
    with pytest.raises(TypeError, match=r"must be 3, as it was .*, got 4"):
        program(ag.ones(2), 4)


@pytest.mark.parametrize(
    ("args", "kind", "message"),
    [
        ((ag.ones(3, 5),), ValueError, r"dimension 1 of the input 'input' must be 4, got \(3, 5\)"),
        ((ag.ones(4),), ValueError, r"has the shape \(n, 4\), got \(4,\)"),
        ((ag.ones(65, 4),), ValueError, r"n is 65, .* sizes from 0 to 64"),
        ((ag.ones(3, 4).double(),), TypeError, "is float32, got float64"),
        ((np.array([["a"]]),), TypeError, "can't be made of an array"),
        ((), TypeError, r"lacks input; its inputs are \(input: f32\(n, 4\)\)"),
        ((ag.ones(3, 4), ag.ones(3, 4)), TypeError, r"takes 1 input\(s\)"),
        (("text",), TypeError, "takes a tensor, an array or numbers, got str"),
    ],
)
def test_bad_calls(args: Any, kind: type[Exception], message: str) -> None:
    program = exported(model(), max=64)
    with pytest.raises(kind, match=message):
        program(*args)


def test_an_input_that_is_not_there_is_named() -> None:
    with pytest.raises(TypeError, match=r"no input 'imput'.*did you mean input"):
        exported(model())(imput=ag.ones(2, 4))


def test_sizes_found_to_be_tied_are_one_or_a_number() -> None:
    auto = {0: ag.Dim.AUTO, 1: ag.Dim.AUTO}
    program = export(
        lambda x, y: x @ y, (ag.ones(2, 3), ag.ones(3, 4)), dynamic_shapes=(auto, auto)
    )
    x, y = ag.rand(5, 6), ag.rand(6, 7)
    np.testing.assert_allclose(program(x, y).numpy(), x.numpy() @ y.numpy(), rtol=1e-5)
    with pytest.raises(ValueError, match="dimension 0 of the input 'y' must be 6"):
        program(x, ag.rand(5, 7))
    layer = export(nn.Linear(3, 2), (ag.ones(2, 3),), dynamic_shapes=(auto,))
    assert str(layer.default.inputs[0]).endswith(", 3)")
    with pytest.raises(ValueError, match="was declared to take any size"):
        export(nn.Linear(3, 2), (ag.ones(2, 3),), dynamic_shapes=(("n", "m"),))


def test_sizes_that_follow_from_a_dim(tmp_path: Path) -> None:
    n = ag.Dim("n")
    program = export(
        lambda x, y: x.reshape(-1, 2, 3).sum(1) * y[1:],
        (ag.rand(4, 3), ag.rand(3, 3)),
        dynamic_shapes=({0: 2 * n}, {0: n + 1}),
    )
    assert repr(program.default) == (
        "<signature serving_default(x: f32(2*n, 3), y: f32(n + 1, 3)) -> (output: f32(n, 3))>"
    )
    program.save(tmp_path / "m.argand")
    loaded = ag.export.load(tmp_path / "m.argand")
    for size in (2, 5, 1, 0, 3):
        x, y = ag.rand(2 * size, 3), ag.rand(size + 1, 3)
        expected = x.numpy().reshape(size, 2, 3).sum(1) * y.numpy()[1:]
        np.testing.assert_allclose(program(x, y).numpy(), expected, 1e-6)
        np.testing.assert_allclose(loaded(x, y).numpy(), expected, 1e-6)
    with pytest.raises(ValueError, match=r"'x' must be 6 \(2\*n\), got \(7, 3\)"):
        loaded(ag.rand(7, 3), ag.rand(4, 3))
    with pytest.raises(ValueError, match=r"'y' must be 1 \(n \+ 1\), got \(0, 3\)"):
        loaded(ag.rand(0, 3), ag.rand(0, 3))


@pytest.mark.parametrize("dim", ["n", ag.Dim.DYNAMIC])
def test_sizes_that_vary_must_not_be_taken_for_numbers(dim: Any) -> None:
    with pytest.raises(ValueError, match=r"declared to take any size|to be 4; leave it fixed"):
        export(lambda x: x.reshape(4, 2) + 1, (ag.ones(4, 2),), dynamic_shapes=({0: dim},))


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"y": {0: "n"}}, "names 'y', which is no argument; there are input"),
        (({0: "n"}, None), "has 2 entries, the call has 1"),
        (({7: "n"},), "has 2 dimension"),
        (({0: 3},), "is 5, not 3"),
        (({0: ag.Dim("n") * 2},), "declared to be 2\\*n, and is 5"),
        (({0: ag.Dim("n") * ag.Dim("m")},), "a multiple of one plus a number; m\\*n is not"),
    ],
)
def test_bad_dynamic_shapes(shapes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        export(model(), (ag.rand(5, 4),), dynamic_shapes=shapes)


@pytest.mark.parametrize("clears_first", [False, True])
def test_a_training_step_is_a_signature_and_goes_on_as_the_loop_would(
    tmp_path: Path, clears_first: bool
) -> None:
    m = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))
    opt = optim.AdamW(m.parameters(), lr=0.01)

    def step(x: Any, y: Any) -> Any:
        if clears_first:  # and leaves gradients of what it has updated
            opt.zero_grad()
        loss = nn.functional.cross_entropy(m(x), y)
        loss.backward()
        opt.step()
        if not clears_first:
            opt.zero_grad()
        return loss

    batches = [(ag.rand(6, 4), ag.randint(0, 2, (6,))) for _ in range(5)]
    step(*batches[0])  # makes the optimizer's state
    program = export({"train": (step, batches[0])})
    program.add_signature("predict", m.eval(), (ag.rand(6, 4),))
    program.save(tmp_path / "step.argand")
    m.train()
    again = load(tmp_path / "step.argand")
    for x, y in batches:
        ag.manual_seed(3)
        expected = step(x, y)
        ag.manual_seed(3)
        np.testing.assert_allclose(
            again.signatures["train"](x, y).item(), expected.item(), rtol=1e-6
        )
    weights = m.state_dict()
    for name, tensor in again.state_dict.items():
        np.testing.assert_allclose(
            tensor.detach().numpy(), weights[name].numpy(), rtol=1e-5, atol=1e-7
        )
    with ag.no_grad():
        expected = m.eval()(batches[0][0])
        found = again.signatures["predict"](batches[0][0])
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)


class Cache(nn.Module):
    """Keeps the last rows that it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("rows", ag.zeros(3, 2))
        self.register_buffer("count", ag.zeros((), dtype=ag.int64))

    def forward(self, x: Any) -> Any:
        self.rows.copy_(ag.cat([self.rows[1:], x[None]]))
        self.count += 1
        return self.rows.sum(0)


def test_state_is_explicit_and_saving_leaves_it(tmp_path: Path) -> None:
    program = export(Cache(), (ag.ones(2),))
    assert program(ag.ones(2)).tolist() == [1.0, 1.0]
    program.save(tmp_path / "c.argand")
    again = load(tmp_path / "c.argand")
    for p in (program, again):
        assert p.state_dict["count"].item() == 1
        assert p(ag.full((2,), 2.0)).tolist() == [3.0, 3.0]
    twin = copy.deepcopy(again)
    assert twin(ag.zeros(2)).tolist() == [3.0, 3.0]
    assert (again.state_dict["count"].item(), twin.state_dict["count"].item()) == (2, 3)
    copied = pickle.loads(pickle.dumps(again))
    assert copied(ag.zeros(2)).tolist() == [3.0, 3.0]


def test_an_argument_that_is_written_stays_written(tmp_path: Path) -> None:
    def f(cache: Any, x: Any) -> Any:
        cache[0] = x
        return cache.sum()

    export(f, (ag.zeros(3), ag.ones(()))).save(tmp_path / "f.argand")
    cache = ag.zeros(3)
    assert load(tmp_path / "f.argand")(cache, ag.tensor(5.0)).item() == 5.0
    assert cache.tolist() == [5.0, 0.0, 0.0]


def test_gradients_flow_through_a_loaded_program(tmp_path: Path) -> None:
    m = model()
    exported(m).save(tmp_path / "m.argand")
    program = load(tmp_path / "m.argand")
    x = ag.rand(6, 4, requires_grad=True)
    m(x).square().sum().backward()
    expected, x.grad = x.grad, None
    program(x).square().sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), expected.numpy(), rtol=1e-4, atol=1e-6)
    for name, parameter in program.named_parameters():
        own = m.get_parameter(name).grad
        np.testing.assert_allclose(parameter.grad.numpy(), own.numpy(), rtol=1e-4, atol=1e-6)
    assert not program(x.detach().numpy()).requires_grad


def test_a_loaded_program_is_trained_inside_a_compiled_step(tmp_path: Path) -> None:
    exported(model()).save(tmp_path / "m.argand")
    plain, module = load(tmp_path / "m.argand").module(), load(tmp_path / "m.argand").module()
    x, y = ag.rand(16, 4), ag.rand(16, 2)

    def steps(m: Any) -> Any:
        opt = optim.SGD(m.parameters(), lr=0.1)

        def step(x: Any, y: Any) -> Any:
            loss = nn.functional.mse_loss(m(x), y)
            loss.backward()
            opt.step()
            opt.zero_grad()
            return loss

        return step

    eager, compiled = steps(plain), ag.compile(steps(module))
    for _ in range(4):
        np.testing.assert_allclose(compiled(x, y).item(), eager(x, y).item(), rtol=1e-5)
    assert sorted(module.state_dict()) == sorted(
        k for k in model().state_dict() if "batches" not in k
    )


def test_control_flow_and_branches(tmp_path: Path) -> None:
    def f(x: Any) -> Any:
        return ag.cond(x.sum() > 0, lambda t: t * 2, lambda t: t - 1, x)

    export(f, (ag.ones(3),), dynamic_shapes=(("n",),)).save(tmp_path / "f.argand")
    program = load(tmp_path / "f.argand")
    for n in (1, 4):
        assert program(ag.ones(n)).tolist() == [2.0] * n
        assert program(-ag.ones(n)).tolist() == [-2.0] * n
    with pytest.raises(RuntimeError, match=r"ag.cond"):
        export(lambda x: x * 2 if x.sum() > 0 else x, (ag.ones(3),))


def test_what_changes_python_objects_is_refused() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.seen = 0

        def forward(self, x: Any) -> Any:
            self.seen = self.seen + 1
            return x * 2

    with pytest.raises(RuntimeError, match=r"changes .*seen.*write them in\s+place"):
        export(Counter(), (ag.ones(2),))


def test_gradients_inside_the_function() -> None:
    def f(x: Any) -> Any:
        x = x.detach().requires_grad_()
        (slope,) = ag.autograd.grad(x.sin().sum(), x)
        return slope

    x = ag.rand(5)
    np.testing.assert_allclose(export(f, (x,))(x).numpy(), np.cos(x.numpy()), rtol=1e-5)


def test_a_constant_of_which_a_call_takes_a_part() -> None:
    places = nn.Parameter(ag.arange(12.0).reshape(6, 2))

    def f(x: Any) -> Any:
        return x + places[: x.shape[0]].exp()

    with pytest.raises(ValueError, match="declare a range that decides it"):
        export(f, (ag.ones(3, 2),), dynamic_shapes=(("n", None),))
    shapes = ((ag.Dim("n", max=6), None),)
    file = io.BytesIO()
    export(f, (ag.ones(3, 2),), dynamic_shapes=shapes).save(file)
    program = load(io.BytesIO(file.getvalue()))
    expected = np.exp(np.arange(12.0).reshape(6, 2))
    for n in (5, 3):
        found = program(np.zeros((n, 2), np.float32))
        np.testing.assert_allclose(found.numpy(), expected[:n], rtol=1e-6)
    assert "for n =" not in program.explain()  # one native program for both


def test_gradients_that_nothing_has_used_are_not_lost_in_silence() -> None:
    m = nn.Linear(4, 2)

    def gradients(x: Any) -> Any:
        m(x).sum().backward()
        return x * 2

    with pytest.raises(ag.ArgandError, match=r"the \.grad of a parameter"):
        export(gradients, (ag.rand(3, 4),))


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_recurrent_layers_for_sequences_of_any_length(kind: Any, bidirectional: bool) -> None:
    sizes = {"proj_size": 3} if kind is nn.LSTM else {}
    m = kind(4, 6, 2, batch_first=True, bidirectional=bidirectional, **sizes).eval()
    shapes = ({0: ag.Dim("rows"), 1: ag.Dim("length")},)
    program = export(m, (ag.rand(2, 5, 4),), dynamic_shapes=shapes)
    for rows, length in ((3, 9), (1, 2), (2, 1)):
        x = ag.rand(rows, length, 4)
        with ag.no_grad():
            expected, found = flatten(m(x))[0], flatten(program(x))[0]
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6, strict=True)


def test_gradients_of_a_recurrent_layer_of_any_length() -> None:
    m = nn.LSTM(4, 6, bidirectional=True)
    compiled = ag.compile(lambda x: m(x)[0].square().sum(), dynamic={"x": ("length", None, None)})
    for length in (3, 7):
        x = ag.rand(length, 2, 4)
        compiled(x).backward()
        found = [p.grad.clone() for p in m.parameters()]
        m.zero_grad()
        m(x)[0].square().sum().backward()
        for p, g in zip(m.parameters(), found, strict=True):
            np.testing.assert_allclose(g.numpy(), p.grad.numpy(), rtol=1e-5, atol=1e-6)
        m.zero_grad()
    assert len(compiled.programs) == 1


def test_sizes_that_only_a_guard_ties_together(tmp_path: Path) -> None:
    def f(x: Any) -> Any:
        rows, n = x.shape
        if n % 4:
            return x * 2
        return x.reshape(rows, n // 4, 4).reshape(rows * (n // 4), 4).reshape(rows, n) + 1

    auto = ({0: ag.Dim.AUTO, 1: ag.Dim.AUTO},)
    export(f, (ag.rand(3, 8),), dynamic_shapes=auto).save(tmp_path / "f.argand")
    program = load(tmp_path / "f.argand")
    for shape in ((3, 8), (5, 16), (1, 4), (2, 20)):
        x = ag.rand(*shape)
        assert ag.equal(program(x), f(x))
    with pytest.raises(ValueError, match="was exported for sizes where"):
        program(ag.rand(3, 10))


def test_a_tensor_that_is_given_twice_is_two_inputs(tmp_path: Path) -> None:
    x = ag.rand(3)
    program = export(lambda a, b, c: a - b * 2 + c, (x, x, x[1:2]))
    program.save(tmp_path / "f.argand")
    found = load(tmp_path / "f.argand")(ag.ones(3), ag.full((3,), 2.0), ag.tensor([5.0]))
    assert found.tolist() == [2.0, 2.0, 2.0]


class Counting(nn.Module):
    """Buffers that are replaced, as PyTorch's programs do."""

    seen: Any
    last: Any

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 2)
        self.inner.register_buffer("seen", ag.zeros(()))
        self.register_buffer("last", ag.zeros(2))

    def forward(self, x: Any) -> Any:
        before = self.last
        self.inner.seen = self.inner.seen + 1
        self.last = x.sum(0)
        return before + self.last * 2 + self.inner.seen


def test_a_buffer_that_is_replaced_is_state() -> None:
    model, twin = Counting(), Counting()
    program = ag.export.export(model, (ag.ones(3, 2),), dynamic_shapes=({0: ag.Dim("n")},))
    assert sorted(program.graph_signature.buffers_to_mutate.values()) == ["inner.seen", "last"]
    file = io.BytesIO()
    program.save(file)
    file.seek(0)
    for made in (program, ag.export.load(file), ag.jit.trace(Counting(), ag.ones(3, 2))):
        twin = Counting()
        for rows in (2, 4, 3):
            x = ag.arange(2.0 * rows).reshape(rows, 2)
            assert made(x).tolist() == twin(x).tolist()
    assert model.last.tolist() == twin.last.tolist()


def saved_and_loaded(program: Any) -> Any:
    file = io.BytesIO()
    program.save(file)
    return load(io.BytesIO(file.getvalue()))


class Pair(NamedTuple):
    a: Any
    b: Any


@dataclasses.dataclass
class Record:
    a: Any
    b: Any


@pytest.mark.parametrize("kind", [Pair, Record])
def test_a_loaded_program_takes_named_tuples_and_dataclasses(kind: Any) -> None:
    program = ag.export.export(lambda p, k: (p.a + p.b) * k, (kind(ag.ones(2), ag.ones(2)), 2.0))
    loaded = saved_and_loaded(program)
    for made in (program, loaded):
        assert made(kind(ag.ones(2), ag.zeros(2)), 3.0).tolist() == [3.0, 3.0]
        assert made(p=kind(ag.ones(2), ag.zeros(2)), k=3.0).tolist() == [3.0, 3.0]
    plain = (ag.ones(2), ag.zeros(2)) if kind is Pair else {"a": ag.ones(2), "b": ag.zeros(2)}
    assert loaded(plain, 3.0).tolist() == [3.0, 3.0]


class Wide(nn.Module):
    """State of complex numbers of 128 bits."""

    last: Any

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(ag.tensor([1 + 2j, 1e-300j], dtype=ag.complex128))
        self.register_buffer("last", ag.zeros((), dtype=ag.complex128))

    def forward(self, x: Any) -> Any:
        self.last.copy_(x.sum())
        return x * self.w


def test_state_and_samples_of_complex128() -> None:
    program = ag.export.export(Wide(), (ag.ones(2, dtype=ag.complex128) * 3j,))
    loaded = saved_and_loaded(program)
    assert loaded.state_dict["w"].dtype is ag.complex128
    assert loaded.state_dict["w"].tolist() == [1 + 2j, 1e-300j]
    assert isinstance(loaded.state_dict["w"], nn.Parameter)
    assert all(found.is_equal for found in ag.export.check_samples(loaded))
    x = ag.tensor([1j, 2.0], dtype=ag.complex128)
    assert loaded(x).tolist() == program(x).tolist() == [-2 + 1j, 2e-300j]
    assert loaded.state_dict["last"].item() == 2 + 1j


@pytest.mark.parametrize("rows", [0, 1])
def test_sizes_of_0_and_1_that_may_vary_are_no_other_sizes(rows: int) -> None:
    """A trace has 2 or more in their place, which are not those of other dimensions."""
    auto = ({0: ag.Dim.AUTO, 1: ag.Dim.AUTO, 2: ag.Dim.AUTO},)
    program = export(lambda x: ag.linalg.det(x), (ag.rand(rows, 2, 2),), dynamic_shapes=auto)
    for shape in ((rows, 2, 2), (3, 4, 4), (2, 2, 2)):
        x = ag.rand(*shape)
        np.testing.assert_allclose(program(x).numpy(), np.linalg.det(x.numpy()), atol=1e-6)
    with pytest.raises(ValueError, match="dimension 2"):
        program(ag.rand(3, 4, 5))


def test_a_size_of_1_that_is_broadcast_stays_one() -> None:
    auto = {0: ag.Dim.AUTO, 1: ag.Dim.AUTO}
    program = export(
        lambda x, y: x + y, (ag.rand(1, 3), ag.rand(5, 3)), dynamic_shapes=(auto, auto)
    )
    x, y = ag.rand(1, 4), ag.rand(7, 4)
    np.testing.assert_array_equal(program(x, y).numpy(), x.numpy() + y.numpy())
    with pytest.raises(ValueError, match="dimension 0 of the input 'x' must be 1"):
        program(ag.rand(2, 4), y)
