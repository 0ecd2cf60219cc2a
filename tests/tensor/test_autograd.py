"""Views, in-place operations and the tape's bookkeeping, as PyTorch documents them."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import argand as ag


def test_gradients_accumulate_and_can_be_cleared() -> None:
    x = ag.ones(2, requires_grad=True)
    (x * 2).sum().backward()
    (x * 3).sum().backward()
    assert x.grad.tolist() == [5, 5]
    x.grad = None
    (x * 3).sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_gradient_must_fit() -> None:
    x = ag.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="a gradient must be a float32 tensor of shape"):
        x.grad = ag.ones(3)
    with pytest.raises(RuntimeError, match="only for scalars"):
        (x * 2).backward()
    (x * 2).backward(ag.tensor([1.0, 2.0]))
    assert x.grad.tolist() == [2, 4]


def test_detach_and_data_share_memory_without_history() -> None:
    x = ag.ones(2, requires_grad=True)
    y = x * 2
    d = y.detach()
    assert not d.requires_grad and d.is_leaf
    x.data.mul_(5)
    assert x.tolist() == [5, 5]
    x.detach().zero_()
    assert x.tolist() == [0, 0]
    d[0] = 9
    assert y[0].item() == 9


def test_writing_to_a_detached_tensor_is_noticed() -> None:
    x = ag.ones(2, requires_grad=True)
    y = x.exp()
    y.detach().mul_(2)
    with pytest.raises(RuntimeError, match="overwritten in place"):
        y.sum().backward()


def test_data_counts_its_own_writes() -> None:
    """As `x.data` of PyTorch, whose gradients these are; a few calls, so that plans count too."""
    for _ in range(6):
        w, x = ag.tensor([2.0, 3.0], requires_grad=True), ag.tensor([1.0, 5.0])
        y = w * x
        x.data.view(2)[:1].add_(6)  # unseen by the backward of y, which reads what is there
        y.sum().backward()
        assert (w.grad.tolist(), x._version) == ([7, 5], 0)
        part = x.data
        y = (w * part).sum()
        x.add_(1)  # and a write to x is unseen by what saved its data
        y.backward()
        assert w.grad.tolist() == [15, 11]
        y = (w * part).sum()
        part.detach().add_(1)
        assert (part._version, part.view(1, 2)._version, x._version, x.data._version) == (
            1,
            1,
            1,
            0,
        )
        with pytest.raises(RuntimeError, match="overwritten in place"):
            y.backward()


def test_code_compiled_with_frozen_state_sees_writes_through_data() -> None:
    x = ag.ones(3)
    doubled = ag.compile(lambda y: y + x.exp(), freeze=True)
    before = doubled(ag.zeros(3))
    x.data.add_(1)
    after = doubled(ag.zeros(3))
    assert before.tolist() == ag.ones(3).exp().tolist() and after.tolist() == x.exp().tolist()


def test_detached_stays_detached_when_the_original_moves_on() -> None:
    x = ag.ones(2, requires_grad=True)
    y = x * 2
    d = y.detach()
    y.mul_(3)
    assert not d.requires_grad
    w = ag.ones(2, requires_grad=True)
    e = y.detach()
    e.mul_(w)
    assert e.requires_grad and e.grad_fn is not None
    (y.sum()).backward()
    assert x.grad.tolist() == [6, 6]


def test_error_names_the_line_that_overwrote() -> None:
    x = ag.ones(2, requires_grad=True)
    y = x.exp()
    y.add_(1)
    with pytest.raises(RuntimeError, match=r"exp needs its own result.*test_autograd\.py:\d+"):
        y.sum().backward()
    a = ag.ones(2, requires_grad=True) * 1
    b = a * a
    a.add_(1)
    with pytest.raises(RuntimeError, match=r"mul needs a float32 operand of shape \(2,\)"):
        b.sum().backward()


def test_leaves_are_not_written() -> None:
    x = ag.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf tensor that requires grad"):
        x.add_(1)
    with pytest.raises(RuntimeError, match="view of a leaf"):
        x[0] = 3
    with ag.no_grad():
        x.add_(1)
        x[0] = 3
    assert x.tolist() == [3, 2]


def test_in_place_on_views_reaches_the_base() -> None:
    x = ag.ones(2, 3, requires_grad=True)
    y = x * 1
    row, column = y[0], y[:, 0]
    row.mul_(2)
    assert column.grad_fn is not None
    (column * ag.tensor([1.0, 10.0])).sum().backward()
    assert x.grad.tolist() == [[2, 0, 0], [10, 0, 0]]


def test_in_place_on_a_view_of_a_constant() -> None:
    w = ag.tensor([1.0, 2.0], requires_grad=True)
    out = ag.zeros(2, 2)
    out[0] = w
    out.T[1].add_(w)
    assert out.requires_grad
    assert out.tolist() == [[1, 1 + 2], [0, 2]]
    (out**2).sum().backward()  # a^2 + (a + b)^2 + b^2 of w = (a, b)
    assert w.grad.tolist() == [2 * 1 + 2 * 3, 2 * 3 + 2 * 2]


def test_view_chains_against_finite_differences() -> None:
    def f(x: ag.Tensor) -> ag.Tensor:
        y = x * 2
        v = y.reshape(3, 2).t()[1]
        v.mul_(x.flatten()[:3])
        y.view(6)[::2] = x.flatten()[1::2] ** 2
        v.exp_()
        return y * x

    x = ag.tensor(np.random.default_rng(0).uniform(-1, 1, (2, 3)), requires_grad=True)
    assert ag.autograd.gradcheck(f, (x,))


def test_expanded_memory_is_not_written_with_gradients() -> None:
    x = ag.ones(1, requires_grad=True)
    with pytest.raises(RuntimeError, match="memory is read-only; clone"):
        (x * 1).expand(3).add_(1)


def test_in_place_keeps_dtype() -> None:
    i = ag.arange(3)
    i += 1
    assert i.tolist() == [1, 2, 3]
    with pytest.raises(RuntimeError, match=r"can't be stored in a int64|can't be stored"):
        i.add_(0.5)
    with pytest.raises(RuntimeError, match=r"\(3, 2\)"):
        ag.ones(2).add_(ag.ones(3, 2))


def test_backward_twice_needs_retain_graph() -> None:
    x = ag.ones(2, requires_grad=True)
    y = (x.exp()).sum()
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        y.backward()


def test_grad_function() -> None:
    x, y = (ag.tensor(v, requires_grad=True) for v in (2.0, 3.0))
    z = x * x * y
    gx, gy = ag.autograd.grad(z, (x, y), create_graph=True)
    assert (gx.item(), gy.item()) == (12, 4)
    (gxy,) = ag.autograd.grad(gx, y)
    assert gxy.item() == 4
    assert x.grad is None
    with pytest.raises(RuntimeError, match="was not used"):
        ag.autograd.grad(x * 2, y)
    assert ag.autograd.grad(x * 2, y, allow_unused=True) == (None,)
    h = x * 2
    assert ag.autograd.grad(h * h, [h, x])[0].item() == 8


def test_hooks_are_taken_away() -> None:
    x = ag.tensor([1.0], requires_grad=True)
    y = x * 2
    seen: list[str] = []
    with y.register_hook(lambda g: seen.append("y")):
        kept = x.register_hook(lambda g: seen.append("x"))
        after = x.register_post_accumulate_grad_hook(lambda p: seen.append("after"))
        y.backward(retain_graph=True)
    assert seen == ["y", "x", "after"]
    kept.remove(), kept.remove(), after.remove()
    y.backward()
    assert len(seen) == 3


def test_hooks() -> None:
    x = ag.ones(2, requires_grad=True)
    seen = []
    handle = x.register_hook(lambda g: seen.append(g.tolist()) or g * 10)
    y = x * 2
    y.register_hook(lambda g: g + 1)
    y.retain_grad()
    y.sum().backward()
    assert seen == [[4, 4]] and x.grad.tolist() == [40, 40]
    assert y.grad is not None
    handle.remove()
    (x * 1).sum().backward()
    assert x.grad.tolist() == [41, 41]
    counted = []
    x.register_post_accumulate_grad_hook(lambda p: counted.append(p is x))
    (x * 1).sum().backward()
    assert counted == [True]


def test_grad_modes() -> None:
    x = ag.ones(2, requires_grad=True)
    with ag.no_grad():
        assert not (x * 2).requires_grad
        with ag.enable_grad():
            assert (x * 2).requires_grad
    with ag.inference_mode():
        assert not ag.is_grad_enabled()
    with ag.set_grad_enabled(False):
        assert not (x + x).requires_grad

    @ag.no_grad()
    def f() -> ag.Tensor:
        return x + 1

    assert not f().requires_grad
    seen = []
    with ag.no_grad():
        thread = threading.Thread(target=lambda: seen.append(ag.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_tape_is_freed_without_the_cycle_collector() -> None:
    gc.disable()
    try:
        x = ag.ones(1000, requires_grad=True)
        y = x.exp().tanh().sigmoid()
        kept = weakref.ref(y)
        del y
        assert kept() is None
    finally:
        gc.enable()


def test_deep_graphs_do_not_overflow_the_stack() -> None:
    x = ag.ones(1, requires_grad=True)
    y = x
    for _ in range(5000):
        y = y + 1
    y.sum().backward()
    assert x.grad.item() == 1


def test_integer_and_boolean_results_carry_no_gradient() -> None:
    x = ag.ones(3, requires_grad=True)
    assert not (x > 0).requires_grad
    assert not x.argmax().requires_grad
    values, indices = x.max(0)
    assert values.requires_grad and not indices.requires_grad


def test_requires_grad_rules() -> None:
    with pytest.raises(RuntimeError, match="only floating-point"):
        ag.arange(3).requires_grad_()
    y = ag.ones(2, requires_grad=True) * 2
    with pytest.raises(RuntimeError, match=r"use detach\(\)"):
        y.requires_grad_(False)
    with pytest.raises(RuntimeError, match="nothing to differentiate"):
        ag.ones(()).backward()


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(AttributeError, match="did you mean reshape"):
        ag.ones(2).reshpae(1)
    with pytest.raises(AttributeError, match="did you mean zeros"):
        _ = ag.zeroes


def test_shape_errors_name_op_shapes_and_line() -> None:
    with pytest.raises(RuntimeError, match=r"add: shapes \(2,\) and \(3,\).*test_autograd\.py"):
        ag.ones(2) + ag.ones(3)
    with pytest.raises(RuntimeError, match=r"matmul: .*\(2, 3\).*\(2, 3\).*test_autograd\.py"):
        ag.ones(2, 3) @ ag.ones(2, 3)


def test_a_saved_result_that_was_overwritten_before_it_died() -> None:
    x = ag.ones(3, requires_grad=True)

    def f() -> Any:
        y = ag.tanh(x)
        total = y.sum()
        with ag.no_grad():
            y[0] = 5.0
        return total

    with pytest.raises(RuntimeError, match="its own result, which has been overwritten"):
        f().backward()


def test_a_gradient_of_a_wider_shape_is_summed_and_another_refused():
    class Filled(ag.autograd.Function):
        @staticmethod
        def forward(ctx, x, shape):
            ctx.wide = shape
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            return ag.full(ctx.wide, 0.5), None

    for shape, wide, wanted in (((1, 3), (4, 2, 3), 4.0), ((), (2, 3), 3.0), ((2,), (2,), 0.5)):
        x = ag.ones(shape, requires_grad=True)
        Filled.apply(x, wide).sum().backward()
        assert x.grad.shape == shape and x.grad.flatten().tolist() == [wanted] * x.numel()
    for shape, wide in (((2,), (3,)), ((1, 3), (3,))):
        with pytest.raises(RuntimeError, match=r"Filled\.backward returned a gradient of shape"):
            Filled.apply(ag.ones(shape, requires_grad=True), wide).sum().backward()
