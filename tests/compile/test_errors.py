"""What a compiled function says when it can't do what is asked; nothing is changed then."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import argand as ag
import argand.nn.functional as F  # PyTorch's name
from argand import nn, optim
from argand.base.errors import TraceError


def compiled(function: Any, **options: Any) -> Any:
    return ag.compile(function, backend="reference", **options)


def test_a_branch_on_a_value() -> None:
    @compiled
    def f(x: Any) -> Any:
        if x.sum() > 0:
            return x
        return -x

    with pytest.raises(RuntimeError) as caught:
        f(ag.ones(2))
    text = str(caught.value)
    assert "made by gt at test_errors.py" in text
    assert "is read at test_errors.py" in text
    assert "ag.where" in text and "ag.cond" in text


@pytest.mark.parametrize(
    "read", [lambda x: float(x), lambda x: x.item(), lambda x: x.numpy(), lambda x: x.tolist()]
)
def test_reading_a_value(read: Any) -> None:
    def f(x: Any) -> Any:
        read(x[0])
        return x

    with pytest.raises(RuntimeError, match="not known while the function is traced"):
        compiled(f)(ag.ones(2))


@pytest.mark.parametrize(
    ("read", "call"),
    [
        (lambda x: x[3:].nonzero(), "nonzero(f32(2, 4))"),
        (lambda x: x.narrow(0, x.shape[0] - 3, x[0, 0]), "narrow(f32(5, 4), 0, 2, f32())"),
        (lambda x: ag.unique(ag.cat([x, x])), "unique(f32(10, 4))"),
    ],
)
def test_a_call_that_reads_a_value_is_told_with_the_sizes_of_the_call(read: Any, call: str) -> None:
    f = ag.compile(read, dynamic=True)
    with pytest.raises(TraceError) as caught:
        f(ag.ones(5, 4))
    assert str(caught.value).startswith(f"{call}: ")


def test_a_size_that_is_printed_is_no_fact(capsys: Any) -> None:
    def f(x: Any) -> Any:
        print(x[3:])
        return x * 2

    g = ag.compile(f, dynamic=True)
    for rows in (5, 6, 9):
        assert g(ag.ones(rows, 4)).shape == (rows, 4)
    assert len(g.programs) == 1
    assert "shape=(2, 4)" in capsys.readouterr().out


def test_a_captured_tensor_is_named() -> None:
    scale = ag.tensor(2.0)
    with pytest.raises(RuntimeError, match="the tensor 'scale' is read"):
        compiled(lambda x: x * float(scale))(ag.ones(2))


def test_shapes_name_the_line_and_the_module() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.Linear(5, 2)))
    with pytest.raises(RuntimeError) as caught:
        compiled(lambda x: model(x))(ag.ones(2, 3))
    text = str(caught.value)
    assert "matmul" in text or "linear" in text
    assert "module 1.0" in text and "test_errors.py" in text


def test_a_failing_trace_changes_nothing() -> None:
    ag.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    opt = optim.Adam(model.parameters())
    x, y = ag.randn(5, 3), ag.tensor([0, 1, 0, 1, 0])
    F.cross_entropy(model(x), y).backward()
    opt.step()

    def everything() -> list[Any]:
        tensors = [*model.parameters(), *model.buffers(), ag.default_generator.state]
        tensors += [t for s in opt.state.values() for t in s.values()]
        found = [t.detach().numpy().copy() for t in tensors]
        found += [t._version for t in tensors]
        found += [id(p.grad) for p in model.parameters()]
        found += [p.grad.numpy().copy() for p in model.parameters()]
        return found + [t.grad_fn for t in tensors]

    @compiled
    def step(x: Any, y: Any) -> Any:
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        model[0].weight.data.mul_(2)
        return loss if float(loss) > 0 else None

    before = everything()
    with pytest.raises(RuntimeError, match="not known while"):
        step(x, y)
    for a, b in zip(before, everything(), strict=True):
        assert np.array_equal(a, b)
    assert not step.programs


def test_tensors_that_can_not_be_kept_are_refused() -> None:
    class Keeper:
        def __init__(self) -> None:
            self.items: Any = None

    keeper = Keeper()

    @compiled
    def f(x: Any) -> Any:
        y = x * 2
        keeper.items = iter([y])
        return y + 1

    with pytest.raises(RuntimeError, match=r"keeper\.items was set to a list_iterator that holds"):
        f(ag.ones(1))
    assert keeper.items is None


def test_what_contains_itself_is_refused() -> None:
    """Not with a RecursionError; and nothing of it is left."""
    given: list[Any] = [ag.ones(2)]
    given.append(given)
    with pytest.raises(ValueError, match="contains itself"):
        ag.compile(lambda items: items[0] * 2)(given)

    @ag.compile
    def returns(x: Any) -> Any:
        found = {"double": x * 2}
        found["itself"] = found
        return found

    with pytest.raises(ValueError, match="contains itself"):
        returns(ag.ones(2))

    kept, items = SimpleNamespace(first=None), []

    @ag.compile
    def keeps(x: Any) -> Any:
        parent, child = _Link(x * 2), _Link(x * 3)
        parent.other, child.other = child, parent
        kept.first = parent
        return x

    with pytest.raises(TraceError, match=r"first.*other.other is set to .* contains itself"):
        keeps(ag.ones(2))
    assert kept.first is None

    @ag.compile
    def appends(x: Any) -> Any:
        items.append(items)
        return x * 2

    with pytest.raises(ValueError, match="contains itself"):
        appends(ag.ones(2))
    assert items == []


class _Link:
    def __init__(self, value: Any) -> None:
        self.value, self.other = value, None


def test_unknown_options_suggest() -> None:
    with pytest.raises(TypeError, match="no option 'dynamics'; did you mean dynamic"):
        ag.compile(lambda x: x, dynamics=True)
    with pytest.raises(ValueError, match="no backend 'cpi'; did you mean cpu"):
        ag.compile(lambda x: x, backend="cpi")
    with pytest.raises(TypeError, match="takes a function or a module, got int"):
        ag.compile(3)


def test_a_state_that_would_keep_a_history() -> None:
    w, hidden = ag.ones(1, requires_grad=True), ag.zeros(1)

    @compiled
    def f(x: Any) -> Any:
        hidden.copy_(hidden + x * w)
        return hidden * 1

    with pytest.raises(RuntimeError, match="hidden is written in place with a value that carries"):
        f(ag.ones(1))
    assert hidden.tolist() == [0] and not hidden.requires_grad


def test_leaves_written_in_place_are_refused_as_in_eager_code() -> None:
    w = ag.ones(1, requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf tensor that requires grad"):
        compiled(lambda x: w.add_(x))(ag.ones(1))


def test_read_only_memory_is_not_written() -> None:
    def read_only() -> Any:
        array = np.ones(2, np.float32)
        array.flags.writeable = False
        return ag.from_numpy(array)

    state = read_only()
    with pytest.raises(RuntimeError, match="read-only"):
        compiled(lambda x: state.add_(x))(ag.ones(2))
    f = compiled(lambda x: x.add_(1))
    assert f(ag.ones(2)).tolist() == [2, 2]
    with pytest.raises(RuntimeError, match="read-only"):
        f(read_only())


# -- debug mode -----------------------------------------------------------------------------------


def test_debug_names_the_line_that_made_a_nan() -> None:
    def f(x: Any) -> Any:
        y = x - 2
        return ag.log(y).sum()

    fast = compiled(f)
    assert np.isnan(fast(ag.ones(2)).item())
    with ag.settings.using(debug=True), pytest.raises(FloatingPointError) as caught:
        fast(ag.ones(2))
    assert "log at test_errors.py" in str(caught.value)


def test_debug_finds_what_no_guard_sees() -> None:
    file = io.StringIO("123456789")
    fast = compiled(lambda x: x * int(file.read(1)))
    with ag.settings.using(debug=True), pytest.raises(RuntimeError, match="two different programs"):
        fast(ag.ones(2))


def test_debug_computes_the_same() -> None:
    model = nn.Linear(3, 2)
    opt = optim.SGD(model.parameters(), lr=0.1)

    def step(x: Any) -> Any:
        loss = model(x).square().mean()
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    fast = compiled(step)
    x = ag.ones(4, 3)
    with ag.settings.using(debug=True):
        losses = [fast(x).item() for _ in range(3)]
    assert losses[2] < losses[1] < losses[0]
    assert fast(x).item() < losses[2]


def test_modules_are_made_outside() -> None:
    for make in (
        lambda: nn.Linear(3, 4),
        lambda: nn.LSTM(3, 4),
        lambda: nn.BatchNorm1d(3),
        lambda: nn.Parameter(ag.ones(2)),
    ):
        with pytest.raises(RuntimeError, match=r"is made inside a compiled function.*make it out"):
            compiled(lambda x, make=make: make() and x)(ag.ones(2, 3))


def test_a_size_that_is_a_tensor() -> None:
    with pytest.raises(RuntimeError, match=r"reshape\(f32\(4,\)"):
        compiled(lambda x, n: x.reshape(n, n))(ag.ones(4), ag.tensor(2))


def test_a_training_step_leaves_no_tensors_behind() -> None:
    model = nn.Sequential(nn.Linear(8, 16), nn.LayerNorm(16), nn.Dropout(0.1), nn.Linear(16, 4))
    opt = optim.AdamW(model.parameters())

    @compiled
    def step(x: Any, y: Any) -> Any:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        opt.zero_grad()
        return loss

    for count in (4, 4, 5, 1, 7):  # a warning would be an error
        step(ag.rand(count, 8), ag.arange(count) % 4)
