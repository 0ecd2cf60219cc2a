"""A compiled function means what the function means: views, writes, aliases, scalars, gradients."""

from __future__ import annotations

import copy
import functools
import threading
from typing import Any

import numpy as np
import pytest

import argand as ag
import argand.nn.functional as F  # PyTorch's name
from argand import nn, optim
from argand.base.errors import ShapeError
from argand.compile.api import on_replay


def vector(*values: float) -> Any:
    return ag.tensor([float(v) for v in values])


# -- views, writes, aliases -----------------------------------------------------------------------


def test_views_and_writes_inside(compiled: Any) -> None:
    def f(x: Any) -> Any:
        y = x * 1
        top = y[0]
        top += 10
        y.view(-1)[-1] = 5
        column = y.t()[1]
        column.mul_(2)
        return y, top

    x = ag.arange(6.0).reshape(2, 3)
    for got, want in zip(compiled(f)(x), f(x), strict=True):
        assert np.array_equal(got.numpy(), want.numpy())


def test_a_reshaped_transpose_is_a_copy_as_in_eager_code(compiled: Any) -> None:
    def f(x: Any) -> Any:
        y = x * 1
        flat = y.t().reshape(-1)
        flat[0] = 99
        rows = y[1:].reshape(-1)
        rows[0] = -1
        return y, flat

    x = ag.arange(6.0).reshape(2, 3)
    for got, want in zip(compiled(f)(x), f(x), strict=True):
        assert np.array_equal(got.numpy(), want.numpy())


def test_in_place_writes_are_differentiated(compiled: Any) -> None:
    def f(x: Any) -> Any:
        y = x * 2
        y[0] *= 3
        return ag.autograd.grad((y * y).sum(), x)[0]

    x = vector(1, 2).requires_grad_()
    assert np.array_equal(compiled(f)(x).numpy(), f(x).numpy())


def test_captured_state_is_written_where_it_lies(compiled: Any) -> None:
    count, window = ag.zeros(()), ag.zeros(4)
    memory = window.numpy()

    @compiled
    def f(x: Any) -> Any:
        count.add_(1)
        window[1:3] = x
        return count * 1

    assert f(vector(1, 2)).item() == 1
    assert f(vector(3, 4)).item() == 2
    assert count.item() == 2
    assert memory.tolist() == [0, 3, 4, 0]


def test_a_write_through_one_view_is_seen_by_another(compiled: Any) -> None:
    base = ag.zeros(4)
    low, high = base[:2], base[1:]

    @compiled
    def f() -> Any:
        low.add_(1)
        return high * 1

    assert f().tolist() == [1, 0, 0]
    assert f().tolist() == [2, 0, 0]
    assert base.tolist() == [2, 2, 0, 0]


def test_a_written_argument_is_written_in_the_callers_memory(compiled: Any) -> None:
    @compiled
    def f(x: Any, y: Any) -> Any:
        x.add_(y)
        return x

    x, other = vector(1, 2), vector(5, 5)
    assert f(x, vector(1, 1)) is x
    assert f(other, vector(1, 1)) is other
    assert x.tolist() == [2, 3] and other.tolist() == [6, 6]
    assert len(f.programs) == 1


def test_results_alias_as_in_eager_code(compiled: Any) -> None:
    state = ag.zeros(2, 2)

    @compiled
    def f(x: Any) -> Any:
        return x, x[0], state, state[1], x.detach()

    x = ag.ones(2, 2)
    same, row, kept, part, twin = f(x)
    assert same is x and kept is state
    row[0] = 7
    part[1] = 3
    assert x[0, 0].item() == 7 and state[1, 1].item() == 3
    assert twin is not x and twin[0, 0].item() == 7
    other = ag.zeros(2, 2)
    assert f(other)[0] is other


def test_the_same_tensor_twice(compiled: Any) -> None:
    @compiled
    def f(x: Any, y: Any) -> Any:
        x.add_(1)
        return x + y

    a, b = vector(1), vector(5)
    assert f(a, b).tolist() == [7]
    assert f(a, a).tolist() == [6]
    assert len(f.programs) == 2


def test_overlapping_arguments_that_are_written_are_refused(compiled: Any) -> None:
    @compiled
    def f(x: Any, y: Any) -> Any:
        x.add_(1)
        return x + y

    x = vector(1, 2)
    with pytest.raises(RuntimeError, match="x is written in place, and y shares"):
        f(x, x[:])
    assert x.tolist() == [1, 2]


def test_a_parameter_passed_as_an_argument_is_the_captured_one(compiled: Any) -> None:
    w = vector(1, 2)

    @compiled
    def f(x: Any) -> Any:
        return x + w

    assert f(w).tolist() == [2, 4]
    assert f(vector(10, 10)).tolist() == [11, 12]
    assert len(f.programs) == 2


def test_new_values_of_captured_memory_are_seen(compiled: Any) -> None:
    w = vector(1, 2)
    f = compiled(lambda x: x * w)
    assert f(vector(1, 1)).tolist() == [1, 2]
    w.add_(1)
    assert f(vector(1, 1)).tolist() == [2, 3]
    w.data = vector(5, 5)
    assert f(vector(1, 1)).tolist() == [5, 5]


def test_a_strided_argument(compiled: Any) -> None:
    f = compiled(lambda x: x * 2)
    x = ag.arange(6.0).reshape(2, 3)
    assert f(x.t()).tolist() == (x.t() * 2).tolist()


def test_a_numpy_argument_is_a_tensor_of_its_memory(compiled: Any) -> None:
    f = compiled(lambda x: x + 1)
    array = np.ones(2, np.float32)
    assert f(array).tolist() == [2, 2]
    array[:] = 5
    assert f(array).tolist() == [6, 6]


def test_python_asks_how_a_tensor_lies(compiled: Any) -> None:
    kept = ag.ones(3, 4).t()

    def f(x: Any) -> Any:
        views = x[:, 0].stride(), x.expand(2, *x.shape).stride(), kept.stride()
        return x * 2 if x.is_contiguous() else x * 3, x.stride(), views

    fast = compiled(f)
    square, other = ag.ones(4, 4), ag.ones(4, 5)
    for x in (square, square.t(), ag.ones(8, 8)[::2, ::2], square, other.t(), other):
        (got, *layouts), (want, *wanted) = fast(x), f(x)
        assert got.tolist() == want.tolist()
        assert layouts == wanted


def test_a_view_of_what_is_computed_lies_as_in_eager_code(compiled: Any) -> None:
    f = compiled(lambda x: (x * 1).t().stride())
    for n in (3, 5, 6):
        assert f(ag.ones(n, 4)) == (1, 4)


# -- scalars --------------------------------------------------------------------------------------


def test_floats_are_inputs_and_other_values_constants(compiled: Any) -> None:
    @compiled
    def f(x: Any, scale: float, power: int = 2, *, name: str = "a") -> Any:
        assert name
        return x**power * scale

    x = vector(1, 2)
    for scale in (0.5, 1.5, -2.0):
        assert f(x, scale).tolist() == [scale, 4 * scale]
    assert len(f.programs) == 1
    assert f(x, 1.0, power=3).tolist() == [1, 8]
    assert f(x, 1.0, name="b").tolist() == [1, 4]
    assert len(f.programs) == 3


def test_floats_promote_as_python_numbers_do(compiled: Any) -> None:
    def f(x: Any, i: Any, zero_d: Any, s: float) -> Any:
        return x * s, i * s, zero_d * (s * 2 + 1), zero_d + s

    args = (vector(1), ag.tensor([1, 2]), ag.tensor(1.0), 0.1)
    for got, want in zip(compiled(f)(*args), f(*args), strict=True):
        assert got.dtype is want.dtype
        assert np.array_equal(got.numpy(), want.numpy())


def test_a_float_that_python_looks_at_is_a_constant(compiled: Any) -> None:
    @compiled
    def f(x: Any, p: float) -> Any:
        return x * p if p > 0.5 else x - p

    x = vector(1)
    assert f(x, 1.0).tolist() == [1]
    assert f(x, 0.25).tolist() == [0.75]
    assert f(x, 1.0).tolist() == [1]
    assert len(f.programs) == 2


def test_globals_and_closures_are_guarded(compiled: Any) -> None:
    scale = 2

    class Config:
        shift = 0

    config = Config()
    config.shift = 1

    def helper(x: Any) -> Any:
        return x * scale

    f = compiled(lambda x: helper(x) + config.shift)
    x = vector(1)
    assert f(x).tolist() == [3]
    scale = 3
    assert f(x).tolist() == [4]
    config.shift = 10
    assert f(x).tolist() == [13]
    scale, config.shift = 2, 1
    assert f(x).tolist() == [3]
    assert len(f.programs) == 3
    assert "scale: 2 became 3" in f.explain()


SCALE = 2


class Doubler(nn.Module):
    def forward(self, x: Any) -> Any:
        return x * SCALE


class Agent:
    def __init__(self) -> None:
        self.gain = 3

    def act(self, x: Any) -> Any:
        return x * self.gain


def test_what_forwards_and_methods_read_is_guarded(compiled: Any) -> None:
    global SCALE
    model, agent = Doubler(), Agent()
    f = compiled(lambda x: model(x) + agent.act(x))
    assert f(vector(1)).tolist() == [5]
    SCALE = 10
    assert f(vector(1)).tolist() == [13]
    agent.gain = 0
    assert f(vector(1)).tolist() == [10]
    SCALE = 2


def test_partials_and_callable_objects(compiled: Any) -> None:
    class Scaled:
        def __init__(self) -> None:
            self.by = 2

        def __call__(self, x: Any) -> Any:
            return x * self.by

    scaled = Scaled()
    f = compiled(scaled, name="scaled")
    assert f(vector(1)).tolist() == [2]
    scaled.by = 5
    assert f(vector(1)).tolist() == [5]
    w = vector(3)
    g = compiled(functools.partial(lambda w, x: w * x, w), name="g")
    assert g(vector(2)).tolist() == [6]
    w.mul_(2)
    assert g(vector(2)).tolist() == [12]


def test_the_order_of_keywords_does_not_matter(compiled: Any) -> None:
    f = compiled(lambda x, y: x - y)
    assert f(x=vector(3), y=vector(1)).tolist() == [2]
    assert f(y=vector(1), x=vector(3)).tolist() == [2]
    assert len(f.programs) == 1


def test_lists_of_a_closure_are_guarded_item_by_item(compiled: Any) -> None:
    weights = [vector(1), vector(2)]
    f = compiled(lambda x: sum((x * w for w in weights), x))
    assert f(vector(1)).tolist() == [4]
    weights.append(vector(10))
    assert f(vector(1)).tolist() == [14]


def test_grad_mode_is_guarded(compiled: Any) -> None:
    f = compiled(lambda x: x * 2 if ag.is_grad_enabled() else x * 3)
    assert f(vector(1)).tolist() == [2]
    with ag.no_grad():
        assert f(vector(1)).tolist() == [3]


def test_nested_arguments_and_results(compiled: Any) -> None:
    @compiled
    def f(batch: dict[str, Any], rest: list[Any]) -> Any:
        return {"sum": batch["x"] + rest[0], "more": [rest[1], "text", None, 3]}

    x = vector(1)
    got = f({"x": x}, [x, vector(4)])
    assert got["sum"].tolist() == [2]
    assert got["more"][0].tolist() == [4]
    assert got["more"][1:] == ["text", None, 3]


def test_methods_and_modules(compiled: Any, backend: str) -> None:
    class Model:
        def __init__(self, w: float) -> None:
            self.w = ag.tensor(w)

        @ag.compile(backend=backend)
        def apply(self, x: Any) -> Any:
            """Times w."""
            return x * self.w

    a, b = Model(2.0), Model(3.0)
    assert a.apply(vector(1)).tolist() == [2]
    assert b.apply(vector(1)).tolist() == [3]
    assert "Times w" in a.apply.__doc__
    module = nn.Linear(2, 2)
    fast = compiled(module)
    with ag.no_grad():
        got, want = fast(vector(1, 2)), module(vector(1, 2))
    np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-6)
    assert list(fast.state_dict()) == ["weight", "bias"]


def test_a_compiled_function_inside_another(compiled: Any) -> None:
    inner = compiled(lambda x: x * 2)
    outer = compiled(lambda x: inner(x) + 1)
    assert outer(vector(1)).tolist() == [3]
    assert len(outer.program().nodes) == 2
    assert not inner.programs


def test_random_draws_are_those_of_eager_code(compiled: Any) -> None:
    def f() -> Any:
        return ag.rand(3), ag.randn(2), ag.randint(0, 100, (4,))

    ag.manual_seed(3)
    want = [f() for _ in range(3)]
    fast = compiled(f)
    ag.manual_seed(3)
    got = [fast() for _ in range(3)]
    for g, w in zip(got, want, strict=True):
        for a, b in zip(g, w, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-6)


# -- gradients ------------------------------------------------------------------------------------


def gradients(function: Any, model: Any, x: Any) -> list[Any]:
    model.zero_grad()
    x.grad = None
    y = function(x)
    (y * y).sum().backward()
    return [x.grad.numpy(), *(p.grad.numpy() for p in model.parameters())]


def test_a_result_is_differentiated_outside(backend: str) -> None:
    ag.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.LayerNorm(8), nn.Linear(8, 2))
    forward = ag.compile(lambda x: model(x), backend=backend)
    rng = np.random.default_rng(0)
    for _ in range(3):
        x = ag.tensor(rng.standard_normal((3, 4)).astype(np.float32), requires_grad=True)
        want = gradients(model, model, x)
        for a, b in zip(gradients(forward, model, x), want, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert len(forward.programs) == 1


def test_state_written_by_a_forward_that_is_differentiated_outside(compiled: Any) -> None:
    def make() -> Any:
        ag.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 3, 3),
            nn.BatchNorm2d(3),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Flatten(),
            nn.Linear(3 * 16, 2),
        )

    model, twin = make(), make()
    forward = compiled(model)
    opt, other = (optim.SGD(m.parameters(), lr=0.1) for m in (model, twin))
    rng = np.random.default_rng(0)
    for step in range(4):
        x = ag.tensor(rng.standard_normal((4, 1, 6, 6)).astype(np.float32))
        y = ag.tensor([0, 1, 1, 0])
        losses = []
        for run, o in ((forward, opt), (twin, other)):
            ag.manual_seed(step)
            o.zero_grad()
            loss = F.cross_entropy(run(x), y)
            loss.backward()
            o.step()
            losses.append(loss.item())
        np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    assert len(forward.programs) == 1
    for a, b in zip(model.state_dict().values(), twin.state_dict().values(), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-3, atol=1e-5)


def test_a_backward_that_can_not_be_is_refused_when_it_is_asked_for(compiled: Any) -> None:
    scale = vector(2, 3)

    def f(x: Any) -> Any:
        y = (x * scale).sum()
        with ag.no_grad():
            scale.add_(1)
        return y

    x = vector(1, 1).requires_grad_()
    fast = compiled(f)
    assert [fast(x).item(), fast(x).item()] == [5, 7]
    for function in (f, fast):
        with pytest.raises(RuntimeError, match="has been overwritten in place since"):
            function(x).backward()


def test_gradients_flow_through_to_what_made_the_arguments(compiled: Any) -> None:
    w = vector(3).requires_grad_()
    f = compiled(lambda x: ag.sin(x) * w)
    x = vector(0.5).requires_grad_()
    (f(x * 2) * 4).backward()
    np.testing.assert_allclose(x.grad.numpy(), 4 * np.cos(1.0) * 3 * 2, rtol=1e-6)
    np.testing.assert_allclose(w.grad.numpy(), 4 * np.sin(1.0), rtol=1e-6)


def test_several_results_some_of_them_differentiated(compiled: Any) -> None:
    f = compiled(lambda x: (x * 2, ag.exp(x), x.detach() * 3))
    x = vector(1).requires_grad_()
    a, b, c = f(x)
    assert a.requires_grad and b.requires_grad and not c.requires_grad
    b.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.e, rtol=1e-6)


def test_a_second_derivative_inside(compiled: Any) -> None:
    x = vector(2).requires_grad_()
    g = compiled(lambda x: ag.autograd.grad(_slope(x), x)[0])
    np.testing.assert_allclose(g(x).numpy(), 12)


def _slope(x: Any) -> Any:
    (first,) = ag.autograd.grad((x * x * x).sum(), x, create_graph=True)
    return first.sum()


def test_saved_state_that_is_overwritten_is_an_error(compiled: Any) -> None:
    w = vector(2).requires_grad_()
    f = compiled(lambda x: x * w)
    y = f(vector(1).requires_grad_())
    with ag.no_grad():
        w.mul_(2)
    with pytest.raises(RuntimeError, match="overwritten in place"):
        y.sum().backward()


def test_autograd_grad_inside_on_arguments(compiled: Any) -> None:
    def f(x: Any, w: Any, g: Any) -> Any:
        y = ag.tanh(x @ w)
        return y, *ag.autograd.grad(y, (x, w), g)

    rng = np.random.default_rng(0)
    x, w, g = (ag.tensor(rng.standard_normal((3, 3)).astype(np.float32)) for _ in range(3))
    x.requires_grad_()
    w.requires_grad_()
    fast = compiled(f)
    for _ in range(2):
        for a, b in zip(fast(x, w, g), f(x, w, g), strict=True):
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-5)
    assert x.grad is None


def test_backward_inside_on_an_argument_stores_its_gradient(compiled: Any) -> None:
    f = compiled(lambda x: (x * x).sum().backward())
    x, other = vector(3).requires_grad_(), vector(5).requires_grad_()
    f(x)
    f(other)
    assert x.grad.tolist() == [6] and other.grad.tolist() == [10]
    f(x)
    assert x.grad.tolist() == [12]


def test_backward_that_reaches_outside_is_refused(compiled: Any) -> None:
    f = compiled(lambda x: (x * x).sum().backward())
    x = vector(3).requires_grad_()
    with pytest.raises(RuntimeError, match="result of an operation outside"):
        f(x * 2)
    assert x.grad is None


# -- control flow ---------------------------------------------------------------------------------


def test_cond_takes_one_branch(backend: str) -> None:
    w = vector(2, 3)

    def f(x: Any) -> Any:
        return ag.cond(x.sum() > 0, lambda x: x * w, lambda x: x - w, x)

    fast = ag.compile(f, backend=backend)
    for x in (vector(1, 2), vector(-1, -2)):
        assert np.array_equal(fast(x).numpy(), f(x).numpy())
    assert len(fast.programs) == 1


def test_cond_is_differentiated(compiled: Any) -> None:
    w = vector(2, 3).requires_grad_()

    def f(x: Any) -> Any:
        y = ag.cond(x.sum() > 0, lambda: ag.exp(x) * w, lambda: ag.sin(x) - w)
        return ag.autograd.grad(y.sum(), (x, w))

    fast = compiled(f)
    for x in (vector(1, 2), vector(-1, -2)):
        x.requires_grad_()
        for a, b in zip(fast(x), f(x), strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-6)


def test_cond_writes_state_and_draws(compiled: Any) -> None:
    count = ag.zeros(())

    def yes(x: Any) -> Any:
        count.add_(1)
        return x + ag.rand(2)

    def f(x: Any) -> Any:
        return ag.cond(x.sum() > 0, yes, lambda x: x * 1.0, x)

    fast = compiled(f)
    results = []
    for function in (f, fast):
        ag.manual_seed(1)
        count.zero_()
        found = [function(x).numpy() for x in (vector(1, 2), vector(-1, -2), vector(1, 2))]
        results.append((found, count.item()))
    assert results[0][1] == results[1][1] == 2
    for a, b in zip(results[0][0], results[1][0], strict=True):
        assert np.array_equal(a, b)


def test_branches_that_do_not_agree_are_refused(compiled: Any) -> None:
    f = compiled(lambda x: ag.cond(x.sum() > 0, lambda x: x, lambda x: x.sum(), x))
    with pytest.raises(
        RuntimeError, match=r"both branches must give the same types.*test_semantics"
    ):
        f(vector(1, 2))
    g = compiled(lambda x: ag.cond(x.sum() > 0, lambda x: (x, x), lambda x: x, x))
    with pytest.raises(RuntimeError, match="nested alike"):
        g(vector(1, 2))


# -- effects and threads --------------------------------------------------------------------------


def test_effects_on_python_objects_are_replayed(compiled: Any) -> None:
    seen = []

    def log() -> None:
        seen.append(1)

    @compiled
    def f(x: Any) -> Any:
        if not on_replay(log):
            log()
        return x + 1

    for _ in range(3):
        f(vector(1))
    assert len(seen) == 3


def test_calls_from_several_threads(compiled: Any) -> None:
    count = ag.zeros(())

    @compiled
    def f(x: Any) -> Any:
        count.add_(1)
        return x * 2

    wrong = []

    def work(seed: int) -> None:
        for i in range(50):
            x = ag.full((1 + (i + seed) % 3,), float(i))
            if f(x).tolist() != [2.0 * i] * x.shape[0]:
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(s,)) for s in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    assert count.item() == 200
    assert len(f.programs) <= 3


def test_changes_of_captured_tensors_are_seen(compiled: Any) -> None:
    w = vector(1, 2)
    f = compiled(lambda x: x * w)
    assert not f(vector(1, 1)).requires_grad
    w.requires_grad_()
    assert f(vector(1, 1)).requires_grad
    w.requires_grad_(False)
    assert not f(vector(1, 1)).requires_grad
    assert len(f.programs) == 2
    w.data = vector(3)
    assert f(vector(1, 1)).tolist() == [3, 3]
    w.unsqueeze_(1)
    assert f(vector(1, 1)).tolist() == [[3, 3]]


def test_hooks_are_seen(compiled: Any) -> None:
    model = nn.Identity()
    f = compiled(lambda x: model(x) + 1)
    assert f(vector(1)).tolist() == [2]
    handle = model.register_forward_hook(lambda m, args, y: y * 10)
    assert f(vector(1)).tolist() == [11]
    handle.remove()
    assert f(vector(1)).tolist() == [2]


def test_a_compiled_module_and_its_copy() -> None:
    model = nn.Linear(2, 2)
    model.compile(backend="reference")
    with ag.no_grad():
        x = vector(1, 2)
        model(x)
        twin = copy.deepcopy(model)
        twin.weight.zero_()
        twin.bias.zero_()
        assert twin(x).tolist() == [0, 0]
        np.testing.assert_allclose(model(x).numpy(), model.forward(x).numpy(), rtol=1e-6)


def test_printing_a_traced_tensor(capsys: Any) -> None:
    def f(x: Any) -> Any:
        print(x)
        return x * 2

    ag.compile(f, backend="reference")(vector(1, 2))
    assert "<traced>" in capsys.readouterr().out


def test_failures_while_running_name_the_line(compiled: Any) -> None:
    table = ag.ones(3, 2)

    def f(i: Any) -> Any:
        return F.embedding(i, table)

    fast = compiled(f)
    assert fast(ag.tensor([0, 2])).shape == (2, 2)
    with pytest.raises(IndexError) as eager:
        f(ag.tensor([0, 3]))
    with pytest.raises(IndexError) as caught:
        fast(ag.tensor([0, 3]))
    assert str(caught.value).startswith("embedding: index 3 is out of range for")
    assert type(caught.value) is type(eager.value)
    assert "test_semantics.py" in str(caught.value)


@pytest.mark.parametrize("constant", [0, False, 3, None, (0, "a")])
def test_results_may_be_constants(compiled: Any, constant: Any) -> None:
    fast = compiled(lambda x: constant)
    assert fast(vector(1, 2)) == fast(vector(3, 4)) == constant


def test_view_refuses_what_needs_a_copy(compiled: Any) -> None:
    x, w = ag.arange(6.0).view(2, 3), ag.ones(2, 3)
    for f in (
        lambda x: x.t().view(-1),
        lambda x: (x * 2)[:, :2].view(-1),
        lambda x: w.t().view(-1) * x.view(-1),
        lambda x: x.expand(4, 2, 3).view(-1),
    ):
        for function in (f, compiled(f)):
            with pytest.raises(ShapeError, match=r"can't be seen as \(\d+,\) without a copy"):
                function(x)
    with pytest.raises(ShapeError, match="can't be seen as"):
        compiled(lambda x: x.view(-1))(x.t())
    assert compiled(lambda x: (x * 2).view(3, 2))(x).shape == (3, 2)


@pytest.mark.parametrize("compiled", [False, True])
def test_results_with_separate_graphs_are_differentiated_apart(compiled: bool) -> None:
    """As the two losses of a GAN: the backward of one leaves the other's graph; those that share a
    node lose it together."""
    w, v = (ag.tensor([0.5, -1.0, 2.0], requires_grad=True) for _ in range(2))
    x = ag.tensor([1.0, 2.0, 3.0])

    def f(x: Any) -> Any:
        h = (x * w).exp()
        return h.sum(), (x * v).sin().sum(), h.sin().sum(), (v * v).sum() + w.sum()

    function = ag.compile(f) if compiled else f
    for _ in range(2):
        w.grad = v.grad = None
        first, second, third, fourth = function(x)
        second.backward()
        assert w.grad is None
        first.backward()
        fourth.backward()
        with pytest.raises(RuntimeError, match="have been freed"):
            third.backward()
        a, b, given = (t.detach().double().numpy() for t in (w, v, x))
        np.testing.assert_allclose(w.grad.numpy(), given * np.exp(given * a) + 1, rtol=1e-6)
        np.testing.assert_allclose(v.grad.numpy(), given * np.cos(given * b) + 2 * b, rtol=1e-5)
    first, second, *_ = function(x)
    (of_first,) = ag.autograd.grad(first, w, create_graph=True)
    (of_second,) = ag.autograd.grad(second, v, create_graph=True)
    w.grad = v.grad = None
    (of_first.sum() + of_second.sum()).backward()
    np.testing.assert_allclose(w.grad.numpy(), given**2 * np.exp(given * a), rtol=1e-5)
    np.testing.assert_allclose(v.grad.numpy(), -(given**2) * np.sin(given * b), rtol=1e-5)
