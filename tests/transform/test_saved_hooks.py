"""Hooks on what is saved for backward, hooks of nodes and of several tensors, and checkpoints."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import argand as ag
import argand.nn.functional as F
from argand import nn
from argand.autograd import graph
from argand.base.errors import AutogradError

LINEAR = nn.Linear(4, 4)
X = ag.tensor(np.random.default_rng(0).standard_normal((3, 4)), dtype=ag.float32)


class Cube(ag.autograd.Function):
    """x^3, which saves an input and an output."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = x * x
        ctx.save_for_backward(x, y)
        return y * x

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        x, y = ctx.saved_tensors
        return grad * (y + 2 * x * x)


STEPS: dict[str, Callable[[Any], Any]] = {
    "mul": lambda x: x * x,
    "exp": lambda x: x.exp(),
    "softmax": lambda x: F.softmax(x, -1).square(),
    "matmul": lambda x: x @ x.T,
    "linear": lambda x: LINEAR(x).tanh(),
    "layer norm": lambda x: F.layer_norm(x, (4,)).square(),
    "views": lambda x: x[1:, ::2].exp() * x[:2, 1::2],
    "gather": lambda x: x[:, [1, 1, 0]].square(),
    "custom": Cube.apply,
    "in place": lambda x: (x * 2).pow_(3).sin_(),
    "checkpoint": lambda x: ag.utils.checkpoint.checkpoint(lambda v: (v.exp() + v).log(), x.abs()),
}


def gradients(step: Callable[[Any], Any], order: int = 1) -> list[Any]:
    """The derivatives of a step's sum by its input, up to an order."""
    x = X.clone().requires_grad_()
    found: list[Any] = []
    y = step(x).sum()
    for n in range(order):
        (g,) = ag.autograd.grad(y, x, create_graph=n + 1 < order)
        found.append(g.detach().numpy())
        y = (g * g).sum()
    return found


@pytest.mark.parametrize("name", STEPS)
def test_what_hooks_keep_elsewhere_gives_the_same_gradients(name: str) -> None:
    packed: dict[int, Any] = {}
    numbers = itertools.count()

    def pack(t: Any) -> int:
        assert not ag.is_grad_enabled()
        number = next(numbers)
        packed[number] = t.detach().numpy().copy()
        return number

    def hooked(x: Any) -> Any:
        with graph.saved_tensors_hooks(pack, lambda number: ag.from_numpy(packed[number].copy())):
            return STEPS[name](x)

    order = 1 if name == "checkpoint" else 2
    for _ in range(3):  # the calls have plans by then
        wanted = gradients(STEPS[name], order)
    found = gradients(hooked, order)
    assert packed
    for mine, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-7)


def test_each_is_packed_once_and_unpacked_when_needed() -> None:
    log: list[str] = []
    x, w = ag.tensor([1.0, 2.0], requires_grad=True), ag.tensor([3.0, 4.0], requires_grad=True)
    for _ in range(300):
        x * w
    with graph.saved_tensors_hooks(
        lambda t: log.append(f"pack {t.tolist()}") or t,
        lambda t: log.append(f"unpack {t.tolist()}") or t,
    ):
        y = x * w
        assert sorted(log) == ["pack [1.0, 2.0]", "pack [3.0, 4.0]"]
    z = y * 2  # outside
    assert len(log) == 2
    z.sum().backward(retain_graph=True)
    assert sorted(log[2:]) == ["unpack [1.0, 2.0]", "unpack [3.0, 4.0]"]
    z.sum().backward()
    assert len(log) == 6
    assert x.grad is not None and x.grad.tolist() == [12.0, 16.0]
    with pytest.raises(RuntimeError, match="have been freed"):
        z.sum().backward()


def test_an_overwritten_operand_is_packed_as_it_was() -> None:
    x = ag.tensor([2.0, 3.0], requires_grad=True)
    with graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        y = x * 1
        y.pow_(3)
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [12.0, 27.0]


def test_the_innermost_hooks_count() -> None:
    seen: list[str] = []
    x = ag.ones(2, requires_grad=True)

    def hooks(name: str) -> Any:
        return graph.saved_tensors_hooks(lambda t: seen.append(name) or t, lambda t: t)

    with hooks("outer"):
        with hooks("inner"):
            x.exp()
        x.exp()
    x.exp()
    assert seen == ["inner", "outer"]


def test_a_wrong_hook_is_told() -> None:
    x = ag.ones(2, requires_grad=True)
    with graph.saved_tensors_hooks(lambda t: t, lambda t: 3):
        y = x.exp()
    with pytest.raises(TypeError, match="unpack_hook must be a Tensor, got int"):
        y.sum().backward()
    with (
        graph.saved_tensors_hooks(lambda t: t.mul_(2), lambda t: t),
        pytest.raises(RuntimeError, match="pack hook is modifying its input in place"),
    ):
        (x * 1).exp()
    with (
        graph.disable_saved_tensors_hooks("not now"),
        pytest.raises(RuntimeError, match="not now"),
        graph.save_on_cpu(),
    ):
        pass
    with (
        graph.save_on_cpu(),
        pytest.raises(RuntimeError, match="not now"),
        graph.disable_saved_tensors_hooks("not now"),
    ):
        pass
    x.exp().sum().backward()  # and all is as before


def test_tensors_saved_on_disk(tmp_path: Path) -> None:
    """The example of PyTorch's tutorial, with `ag.save` and a file for each tensor."""
    names = (tmp_path / f"{i}.pt" for i in itertools.count())

    class SelfDeletingTempFile:
        def __init__(self) -> None:
            self.name = next(names)

        def __del__(self) -> None:
            self.name.unlink()

    def pack(tensor: Any) -> Any:
        temp = SelfDeletingTempFile()
        ag.save(tensor, temp.name)
        return temp

    class SaveToDisk(nn.Module):
        def __init__(self, module: Any) -> None:
            super().__init__()
            self.module = module

        def forward(self, x: Any) -> Any:
            with graph.saved_tensors_hooks(pack, lambda temp: ag.load(temp.name)):
                return self.module(x)

    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), SaveToDisk(nn.Linear(8, 2)))
    loss = net(X).sum()
    assert len(list(tmp_path.iterdir())) > 0
    loss.backward()
    assert not list(tmp_path.iterdir())
    grads = [p.grad.numpy().copy() for p in net.parameters()]
    net.zero_grad()
    net[2] = net[2].module
    net(X).sum().backward()
    for p, g in zip(net.parameters(), grads, strict=True):
        np.testing.assert_array_equal(p.grad.numpy(), g)


def test_what_is_kept_elsewhere_frees_the_memory() -> None:
    import weakref

    x = ag.ones(4, requires_grad=True)
    with graph.saved_tensors_hooks(lambda t: t.tolist(), ag.tensor):
        y = x * 2
        seen = weakref.ref(y)
        z = y * y
        del y
    assert seen() is None
    z.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [8.0] * 4


def test_mutation_is_allowed_on_copies() -> None:
    x = ag.tensor([1.0, 2.0], requires_grad=True)
    with graph.allow_mutation_on_saved_tensors() as kept:
        y = x * 1
        z = y.exp()
        w = y * y + z
        y.zero_()
        z.zero_()
        kept.clear()
    w.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.array([1, 2]) + np.exp([1, 2]), rtol=1e-6)


def test_a_compiled_function_runs_op_by_op_under_hooks() -> None:
    step = ag.compile(lambda x: (x.exp() * x).sum())
    x = ag.tensor([1.0, 2.0], requires_grad=True)
    step(x)
    packed = []
    with graph.save_on_cpu():
        step(x)
    with graph.saved_tensors_hooks(lambda t: packed.append(t) or t, lambda t: t):
        step(x).backward()
    assert len(packed) >= 2
    np.testing.assert_allclose(x.grad.numpy(), np.exp([1, 2]) * [2, 3], rtol=1e-6)


# -- the graph ------------------------------------------------------------------------------------


def test_nodes_and_edges() -> None:
    x = ag.ones(2, requires_grad=True)
    y = (x * 2).exp()
    node = y.grad_fn
    assert isinstance(node, graph.Node)
    (inner, index), *_ = node.next_functions
    assert (inner.name(), index) == ("MulBackward0", 0)
    leaf = inner.next_functions[0][0]
    assert leaf.name() == "AccumulateGrad" and leaf.variable is x and leaf.next_functions == ()
    assert isinstance(leaf, graph.Node) and inner.next_functions[1] == (None, 0)
    assert leaf == graph.get_gradient_edge(x).node
    node.metadata["seen"] = True
    assert y.grad_fn.metadata == {"seen": True}
    with pytest.raises(AutogradError, match="no gradient edge"):
        graph.get_gradient_edge(ag.ones(2))


def test_edges_take_the_place_of_tensors() -> None:
    x = ag.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    edge, leaf = graph.get_gradient_edge(y), graph.get_gradient_edge(x)
    z = (y * y).sum()
    found = ag.autograd.grad(z, [edge, leaf], retain_graph=True)
    assert [g.tolist() for g in found] == [[6.0, 12.0], [18.0, 36.0]]
    (g,) = ag.autograd.grad(edge, x, ag.ones(2), retain_graph=True)
    assert g.tolist() == [3.0, 3.0]
    z.backward(inputs=[leaf])
    assert x.grad is not None and x.grad.tolist() == [18.0, 36.0]


@pytest.mark.parametrize("planned", [False, True])
def test_hooks_of_nodes(planned: bool) -> None:
    x = ag.tensor([1.0, 2.0], requires_grad=True)
    for _ in range(300 if planned else 1):
        y = x * 2
    log: list[Any] = []
    before = y.grad_fn.register_prehook(lambda outs: log.append("before") or (outs[0] * 10,))
    after = y.grad_fn.register_hook(
        lambda ins, outs: log.append((len(ins), outs[0].tolist())) or (ins[0] + 1, *ins[1:])
    )
    y.sum().backward(retain_graph=True)
    assert log == ["before", (2, [10.0, 10.0])]
    assert x.grad is not None and x.grad.tolist() == [21.0, 21.0]
    before.remove()
    after.remove()
    x.grad = None
    y.sum().backward()
    assert len(log) == 2 and x.grad.tolist() == [2.0, 2.0]


def test_a_hook_on_several_tensors() -> None:
    a, b, c = (ag.ones(2, requires_grad=True) for _ in range(3))
    d = a * b
    calls: list[Any] = []
    handle = graph.register_multi_grad_hook((a, b, c, d), calls.append)
    (d + c).sum().backward()
    assert [[g.tolist() for g in call] for call in calls] == [[[1.0, 1.0]] * 4]
    calls.clear()
    (a * b).sum().backward()  # reaches two of them
    assert [[g is None for g in call] for call in calls] == [[False, False, True, True]]
    handle.remove()
    calls.clear()
    (a + c).sum().backward()
    assert not calls
    firsts: list[Any] = []
    graph.register_multi_grad_hook((a, b), firsts.append, mode="any")
    for _ in range(2):
        (a * b).sum().backward()
    assert len(firsts) == 2
    with pytest.raises(ValueError, match="'all' or 'any'"):
        graph.register_multi_grad_hook((a,), print, mode="some")


def test_a_write_by_other_means_is_counted() -> None:
    x = ag.ones(2, requires_grad=True)
    y = x * 1
    z = y * y
    graph.increment_version([y])
    with pytest.raises(AutogradError, match="overwritten in place"):
        z.sum().backward()


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpoint_repeats_the_random_numbers(reentrant: bool) -> None:
    x = ag.ones(64, requires_grad=True)
    calls: list[list[float]] = []

    def drop(v: Any) -> Any:
        kept = F.dropout(v, 0.5)
        calls.append(kept.tolist())
        return kept.square()

    y = ag.utils.checkpoint.checkpoint(drop, x, use_reentrant=reentrant)
    after = ag.rand(1).item()
    state = ag.get_rng_state()
    y.sum().backward()
    assert len(calls) == 2 and calls[0] == calls[1]
    assert ag.get_rng_state().tolist() == state.tolist() and after != ag.rand(1).item()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), 4 * np.array(calls[0]), rtol=1e-6)


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpointed_chain(reentrant: bool) -> None:
    chain = nn.Sequential(*[m for _ in range(4) for m in (nn.Linear(4, 4), nn.Tanh())])
    chain(X).sum().backward()
    wanted = [p.grad.numpy().copy() for p in chain.parameters()]
    chain.zero_grad()
    x = X.clone().requires_grad_()
    runs: list[int] = []
    chain[0].register_forward_hook(lambda *_: runs.append(1))
    out = ag.utils.checkpoint.checkpoint_sequential(chain, 3, x, use_reentrant=reentrant)
    out.sum().backward()
    assert len(runs) == 2
    for p, g in zip(chain.parameters(), wanted, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), g, rtol=1e-6, atol=1e-7)
