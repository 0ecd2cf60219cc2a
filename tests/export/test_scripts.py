"""`jit.script`: control flow on tensors stays in the file; each call against the plain Python."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand import jit, nn
from argand.base.errors import TraceError
from argand.base.tree import flatten

BASE = (1.0, 2.0, 3.0)


def vector(scale: float = 1.0, base: Any = BASE) -> Any:
    return ag.tensor(base) * scale


def reloaded(function: Any, *calls: Any) -> Any:
    """The file of what was scripted, after these calls."""
    scripted = jit.script(function)
    for args in calls:
        scripted(*args)
    return jit.load(io.BytesIO(scripted.save_to_buffer()))


def assert_same(found: Any, expected: Any) -> None:
    (left, structure), (right, other) = flatten(found), flatten(expected)
    assert structure == other
    for a, b in zip(left, right, strict=True):
        assert isinstance(a, ag.Tensor) == isinstance(b, ag.Tensor)
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-6)


# -- functions, as TorchScript takes them ----------------------------------------------------------


def greater(x: Any, y: Any) -> Any:
    if x.max() > y.max():
        r = x
    else:
        r = y
    return r


def early(x: Any) -> Any:
    if x.sum() > 10:
        return x * 2
    if x.sum() < 0:
        return -x
    return x + 1


def doubled(x: Any) -> Any:
    i = 0
    while x.sum() < 100:
        x = x * 2
        i += 1
    return x, i


def leaves_rounds(x: Any) -> Any:
    s = 0.0
    for i in range(10):
        if x[i % 3] > 2.5:
            break
        if i % 2 == 0:
            continue
        x = x + 0.3
        s = s + x.sum()
    return x + s


def endless(x: Any) -> Any:
    n = 0
    while True:
        x = x * 1.5
        n = n + 1
        if x.max() > 10:
            return x + n


def skips(x: Any) -> Any:
    total = ag.zeros(())
    i = 0
    while i < x.abs().sum():
        i += 1
        if i % 2 == 0:
            continue
        total = total + i
        if total > 20:
            break
    else:
        total = total - 1000
    return total, i


def counted(x: Any, n: int) -> Any:
    for i in range(n):
        x = x + i
    return x


def by_flag(x: Any, n: int, flag: bool) -> Any:
    x = x * n if flag else x - n
    if n > 3 and x.sum() > 3:
        n = n - 1
    return x, n


def by_float(x: Any, s: float) -> Any:
    if s > 0.5:
        return x * s
    return x


def rows(x: Any) -> Any:
    h = ag.zeros(2)
    for i in range(x.size(0)):
        h = h * 0.5 + x[i]
    for row in x:
        h = h - row * row
    return h


def listed(x: Any) -> Any:
    out = []
    for i in range(x.size(0)):
        out.append(x[i] * 2)  # noqa: PERF401  # as it is written
    return ag.stack(out)


def digits(x: Any) -> Any:
    v = int(x.sum().item())
    k = 0
    while v > 0:
        v = v // 2
        k += v % 2
    return x * k


def containers(x: Any) -> Any:
    kept = {"k": x}
    if x.sum() > 7:
        kept["k"] = kept["k"] + 1
        both = [x, x]
    else:
        both = [x * 2, x]
    return kept["k"] + both[0]


def in_order(x: Any) -> Any:
    i = 0
    while i < 3 and x[i] < 2.5:
        i += 1
    return x * i


def chosen(x: Any) -> Any:
    y = x if x.sum() > 7 else -x
    for row in y:
        if row > 100:
            break
        y = y + row
    else:
        y = y - 1
    return y


def helper(x: Any) -> Any:
    if x.sum() > 7:
        return x
    return x * 3


def calls(x: Any) -> Any:
    return helper(helper(x)) + max(float(x.sum()), 2.0)


def compared(x: Any) -> Any:
    if not 1 < x.max() < 4 or (x < 0).any():
        x = x - 1
    elif x.max() > 2:
        x = x * 3
    else:
        x = x * 4
    return x


def inner(x: Any) -> Any:
    def scale(y: Any) -> Any:
        if y.sum() > 7:
            return y / 2
        return y

    total = x * 0
    for factor in (1, 3):
        total = total + scale(x * factor)
    return total


def written(x: Any) -> Any:
    y = x.clone()
    if x.sum() > 7:
        y[0] = 9.0
        y.mul_(2)
    while y.sum() < 40:
        y[1] += 5
    return y


N = [(vector(),), (vector(5),), (vector(-1),)]
CASES: dict[Callable[..., Any], list[Any]] = {
    greater: [(vector(), vector(2)), (vector(2), vector())],
    early: N,
    doubled: [(vector(),), (vector(60),)],
    leaves_rounds: N,
    endless: [(vector(),), (vector(30),)],
    skips: [*N, (vector(0),), (vector(9),)],
    counted: [(vector(), 3), (vector(), 0), (vector(), 7)],
    by_flag: [(vector(), 3, True), (vector(), 5, False), (vector(), 9, True)],
    by_float: [(vector(), 0.3), (vector(), 0.7)],
    rows: [(ag.ones(3, 2) * 2,), (ag.ones(6, 2),), (ag.ones(1, 2),)],
    listed: [(vector(),), (vector(2),)],
    digits: [(vector(),), (vector(5),)],
    containers: N,
    in_order: [(vector(),), (vector(3),), (vector(0),)],
    chosen: [*N, (vector(40),)],
    calls: N,
    compared: [*N, (vector(0.5),)],
    inner: N,
    written: N,
}


@pytest.mark.parametrize("function", CASES, ids=lambda f: f.__name__)
def test_a_file_takes_the_branches_and_rounds_of_each_call(function: Any) -> None:
    loaded = reloaded(function, CASES[function][0])
    for args in CASES[function]:
        copies = [x.clone() if isinstance(x, ag.Tensor) else x for x in args]
        assert_same(loaded(*copies), function(*args))


def test_loops_over_sizes_and_counts_are_loops_of_the_program() -> None:
    for function, count in ((rows, 2), (counted, 1), (doubled, 1), (endless, 1)):
        scripted = jit.script(function)
        scripted(*CASES[function][0])
        names = [node.op.name for node in scripted.graph.nodes]
        assert names.count("while_loop") == count, (function, names)


class Gate(nn.Module):
    def forward(self, x: Any) -> Any:
        if x.sum() > 0:
            return x
        else:
            return -x


class Cell(nn.Module):
    """PyTorch's example of scripting, with state and a private attribute."""

    seen: Any

    def __init__(self) -> None:
        super().__init__()
        self.gates = nn.Sequential(Gate(), nn.Linear(4, 4), Gate())
        self.register_buffer("seen", ag.zeros(()))
        self.__rate = 0.5

    def forward(self, x: Any, h: Any) -> Any:
        h = ag.tanh(self.gates(x) + h)
        if h.mean() > 0:
            self.seen += 1
        return self.halved(h), h

    def halved(self, h: Any) -> Any:
        while h.abs().max() > 0.3:
            h = h * self.__rate
        return h


def test_modules_all_the_way_down_with_their_state() -> None:
    ag.manual_seed(0)
    cell = Cell()
    twin = Cell()
    twin.load_state_dict(cell.state_dict())
    x, h = ag.randn(3, 4), ag.randn(3, 4)
    with ag.no_grad():
        loaded = reloaded(cell, (x, h))
        twin(x, h)
        for args in ((x, h), (-x, -h), (x * 3, h + 2)):
            assert_same(loaded(*args), twin(*args))
            assert loaded.seen == twin.seen
    assert 0 < loaded.seen < 4
    assert "forward" not in vars(cell.gates[0])


def test_gradients_go_through_branches_and_loops() -> None:
    loaded = reloaded(leaves_rounds, (vector(),))
    for scale in (0.1, 1, 2):
        grads = []
        for function in (loaded, leaves_rounds):
            x = vector(scale).requires_grad_()
            function(x).sum().backward()
            grads.append(x.grad)
        assert_same(*grads)


def test_what_is_scripted_keeps_its_branches_inside_a_trace_and_a_compiled_function() -> None:
    scripted = jit.script(early)
    for made in (
        jit.trace(lambda x: scripted(x) + 1, vector()),
        ag.compile(lambda x: scripted(x) + 1),
        ag.export.export(lambda x: scripted(x) + 1, (vector(),)),
    ):
        for scale in (1, 5, -1):
            assert_same(made(vector(scale)), early(vector(scale)) + 1)


@pytest.mark.parametrize("call", [(vector(),), (vector(5),)])
def test_lines_of_the_user_are_those_of_the_nodes(call: Any) -> None:
    scripted = jit.script(early)
    scripted(*call)
    assert early.__code__.co_firstlineno < scripted.graph.nodes[0].location.line
    assert scripted.graph.nodes[0].location.file == __file__


def none_or_tensor(x: Any) -> Any:
    y = None
    if x.sum() > 0:
        y = x
    return y


def grows(x: Any) -> Any:
    out = []
    while x.sum() < 10:
        out.append(x)
        x = x * 2
    return out


def other_shapes(x: Any) -> Any:
    if x.sum() > 0:
        return x
    return x.sum()


def fails(x: Any) -> Any:
    if x.sum() > 0:
        raise ValueError("positive")
    return x


def too_large(x: Any) -> Any:
    if x > 0:
        x = x + 1
    return x


def reads_text(x: Any) -> Any:
    word = "a"
    if x.sum() > 0:
        word = "b"
    return x, word


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (none_or_tensor, "'y' is a tensor in one branch .* and None in the other"),
        (grows, "'out' is a list of 0 before a round .* and a list of 1 after it"),
        (other_shapes, "both branches must give the same types"),
        (fails, "raise ValueError.*no errors of its own"),
        (reads_text, "'word' is 'b' in one branch .* and 'a' in the other"),
    ],
)
def test_what_a_program_cannot_keep_is_named(function: Any, message: str) -> None:
    scripted = jit.script(function)
    with pytest.raises((TraceError, RuntimeError), match=message):
        scripted.example = None
        scripted._method.example = None
        jit.script(function, example_inputs=[(vector(),)]).save_to_buffer()


def test_a_condition_of_several_elements_is_refused() -> None:
    made = jit.script(too_large, example_inputs=[(vector(),)])
    with pytest.raises(RuntimeError, match=r"one element|\.any\(\)"):
        made.save_to_buffer()
