"""Call plans: what they are kept for, and everything that must not be mistaken for it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand.ir import entries
from argand.ir.bind import eagerly
from argand.ir.op import ops, registry
from argand.tensor import planning, plans
from argand.tensor.eager import Eager, plan_calls

plan_calls()
pytestmark = pytest.mark.skipif(not entries.installed(), reason="no entries on this Python")


@pytest.fixture(autouse=True)
def none_yet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No plans, and kernels in them from the first one on: what NumPy computes in a plan follows
    its operands, whatever the plan says."""
    monkeypatch.setattr(planning, "CALLS_BEFORE_KERNELS", 0)
    plans.clear()
    yield
    plans.clear()


def plan_count() -> int:
    assert plans._table is not None
    return len(plans._table.plans)


def planned(call: Callable[[], Any]) -> Any:
    """The result of a call that has a plan by then."""
    for _ in range(2):
        call()
    count = plan_count()
    result = call()
    assert plan_count() == count > 0, "the call has no plan"
    return result


def as_reference(call: Callable[[], Any]) -> Any:
    with eagerly():
        return call()


def tensor(*shape: int, dtype: str = "float32", seed: int = 0) -> ag.Tensor:
    values = np.random.default_rng(seed).uniform(1, 2, shape)
    return ag.from_numpy(values.astype(dtype))


def test_a_call_has_a_plan_the_second_time() -> None:
    x = tensor(3, 4)
    x.exp()
    assert plan_count() == 0
    x.exp()
    assert plan_count() == 1
    assert x.exp().tolist() == as_reference(x.exp).tolist()
    assert plan_count() == 1


def test_a_plan_has_kernels_of_exact_ops_after_many_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "CALLS_BEFORE_KERNELS", 3)
    x, y = tensor(3, 4), tensor(3, 4, seed=1)
    made: list[str] = []
    kernel_of = planning._kernel_of
    monkeypatch.setattr(
        planning, "_kernel_of", lambda bound: made.append(bound.op.name) or kernel_of(bound)
    )
    found = [(x + y).numpy().tobytes() for _ in range(4)]
    assert not made
    assert plan_count() == 1
    found += [(x + y).numpy().tobytes() for _ in range(4)]
    assert made == ["add"]
    assert plan_count() == 1
    assert len(set(found)) == 1


def test_another_dtype_is_another_call() -> None:
    planned(lambda: tensor(3, 4) + tensor(3, 4))
    a, b = tensor(3, 4, dtype="int32"), tensor(3, 4, dtype="int32")
    assert (a + b).dtype is ag.int32
    assert (a + b).tolist() == (a.numpy() + b.numpy()).tolist()


def test_other_sizes_are_another_call() -> None:
    planned(lambda: tensor(3, 4) * 2)
    assert (tensor(2, 4) * 2).shape == (2, 4)
    assert (tensor(4) * 2).shape == (4,)


def test_other_strides_are_another_call() -> None:
    x = tensor(4, 4)
    planned(lambda: x[1])
    turned = x.t()
    assert turned[1].tolist() == x.numpy()[:, 1].tolist()
    planned(lambda: x + x)
    assert (turned + x).tolist() == (x.numpy().T + x.numpy()).tolist()


def test_the_same_tensor_twice_is_another_call() -> None:
    x, y = tensor(3), tensor(3, seed=1)
    planned(lambda: x * x)
    assert (x * y).tolist() == (x.numpy() * y.numpy()).tolist()
    planned(lambda: x - y)
    assert (x - x).tolist() == [0, 0, 0]


def test_numbers_count_by_value() -> None:
    x = tensor(3)
    planned(lambda: x * 2.0)
    assert (x * 3.0).tolist() == (x.numpy() * 3).tolist()
    assert (x * 2).tolist() == (x.numpy() * 2).tolist()
    planned(lambda: x.sum(0))
    zero = ag.zeros(1)
    planned(lambda: ag.div(1.0, zero * 0.0))
    assert ag.div(1.0, zero * -0.0).item() == -np.inf


def test_keywords_count() -> None:
    x = tensor(3, 4)
    assert planned(lambda: x.sum(dim=1)).shape == (3,)
    assert x.sum(dim=0).shape == (4,)
    assert x.sum(1, keepdim=True).shape == (3, 1)


def test_the_wish_for_a_gradient_counts() -> None:
    x, y = tensor(3), tensor(3)
    planned(lambda: x * y)
    y.requires_grad_()
    assert (x * y).requires_grad
    planned(lambda: x * y)
    with ag.no_grad():
        assert not (x * y).requires_grad
    assert not (x * x).requires_grad
    x.requires_grad_()
    (x * y).sum().backward()
    assert x.grad.tolist() == y.tolist() and y.grad.tolist() == x.tolist()


def test_a_recorded_call_saves_what_its_gradient_reads() -> None:
    x = tensor(3).requires_grad_()
    y = planned(lambda: x.exp())
    y.sum().backward()
    assert x.grad.tolist() == y.tolist()
    z = planned(lambda: x.exp())
    with ag.no_grad():
        z.add_(1)
    with pytest.raises(RuntimeError, match="exp needs its own result"):
        z.sum().backward()


def test_a_write_to_what_was_saved_is_seen() -> None:
    w = tensor(3).requires_grad_()
    x = tensor(3)
    y = planned(lambda: w * x)
    x.add_(1)
    with pytest.raises(RuntimeError, match="mul needs a float32 operand"):
        y.sum().backward()
    z = w * x  # saved at the version that it has now
    z.sum().backward()
    assert w.grad.tolist() == x.tolist()


def test_a_view_whose_base_was_written_gets_its_new_node() -> None:
    x = ag.ones(2, 3)
    row = x[0]
    planned(lambda: row * 2)
    w = tensor(3).requires_grad_()
    x[0] = w
    (row * 2).sum().backward()
    assert w.grad.tolist() == [2, 2, 2]


def test_planned_views_share_memory_and_gradients() -> None:
    x = tensor(4, 4).requires_grad_()
    y = x * 1
    part = planned(lambda: y[1:3])
    assert part._root() is y
    with ag.no_grad():
        part.zero_()
    assert y[1:3].sum().item() == 0
    part = y.t()[planned_index()]
    part.sum().backward()
    assert x.grad.sum().item() == 4


def planned_index() -> int:
    return 2


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_kernel_takes_copies_of_what_it_can_not_read(
    dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = tensor(3, 4, 5, dtype=dtype).permute(2, 0, 1)
    expected = as_reference(lambda: x.cumsum(1)).tolist()
    planned(lambda: x.cumsum(1))
    monkeypatch.setattr(type(registry.get("cumsum")), "run", None)
    monkeypatch.setattr(Eager, "compute", None)
    assert x.cumsum(1).tolist() == expected


@pytest.mark.parametrize("dtype", ["int8", "float16", "float32", "float64", "complex128"])
def test_elements_of_every_size_are_copied(dtype: str) -> None:
    x = tensor(3, 4, 5, dtype=dtype).permute(2, 0, 1)
    y = x[:, ::2]
    found = planned(lambda: ag.cat([x, y], 1))
    assert found.tolist() == as_reference(lambda: ag.cat([x, y], 1)).tolist()


def test_an_index_out_of_range_is_the_users_error() -> None:
    x = tensor(4, 3)
    planned(lambda: x[ag.tensor([0, 3])])
    with pytest.raises(IndexError, match=r"out of (range|bounds)"):
        x[ag.tensor([0, 4])]
    assert x[ag.tensor([-1, 0])].tolist() == x.numpy()[[-1, 0]].tolist()


def test_read_only_memory_stays_read_only() -> None:
    x = ag.ones(2)
    fixed = x.expand(2, 2)[0]
    assert not planned(lambda: fixed[1:]).numpy().flags.writeable
    assert fixed.stride() == x.stride()
    assert x[1:].numpy().flags.writeable


def test_an_interpreter_that_is_pushed_sees_every_call() -> None:
    x, kept = tensor(3), tensor(3)
    planned(lambda: ag.mul(kept, kept))
    assert "mul" in str(ag.compile(lambda t: t + ag.mul(kept, kept)).program(x))


def test_what_reads_values_has_no_plan() -> None:
    x = ag.tensor([1.0, 0.0, 2.0])
    for count in (2, 1, 3, 2):
        x[:] = ag.tensor([1.0] * count + [0.0] * (3 - count))
        assert x[x > 0].shape == (count,)
        assert len(ag.nonzero(x)) == count
    for i in (0, 1, 2, 0):
        assert x[ag.tensor(i)].item() == x.tolist()[i]


def test_writes_have_plans() -> None:
    x = ag.zeros(3)
    for _ in range(4):
        x.add_(1)
        x += 1
        ag.add(x, 1, out=x)
    assert x.tolist() == [12, 12, 12]
    assert plan_count() >= 3
    for call in (lambda: x.zero_(), lambda: x.fill_(2), lambda: x.copy_(ag.ones(1))):
        assert planned(call) is x
    planned(lambda: x.__setitem__(1, 5.0))
    assert x.tolist() == [1, 5, 1]


@pytest.mark.parametrize("recorded", [False, True])
def test_a_planned_write_counts_once(recorded: bool) -> None:
    with ag.set_grad_enabled(recorded):
        x = ag.zeros(2, 3)
        twin, part = x.detach(), x[0]
        planned(lambda: part.add_(1))
        version = x._version
        part.add_(1)
        assert x._version == twin._version == part._version == version + 1
        x[1] = 4.0
        planned(lambda: x.__setitem__(1, 4.0))
        assert x._version == version + 5
    assert x.tolist() == [[4, 4, 4], [4, 4, 4]]


def test_a_planned_write_tells_its_line() -> None:
    w, x = tensor(3).requires_grad_(), tensor(3)
    planned(lambda: x.add_(1))
    y = w * x
    x.add_(1)
    with pytest.raises(RuntimeError, match=rf"test_plans.py:{line() - 1}; use the out-of-place"):
        y.sum().backward()
    y = w.exp()
    with ag.no_grad():
        planned(lambda: y.detach().add_(1))
    with pytest.raises(RuntimeError, match="exp needs its own result"):
        y.sum().backward()


def line() -> int:
    return sys._getframe(1).f_lineno


def test_an_operand_that_is_written_too_is_read_first() -> None:
    x = ag.arange(12.0)
    planned(lambda: ag.zeros(10)[::2].copy_(ag.ones(10)[::2]))
    to, source = x[2::2], x[:-2:2]
    to.copy_(source)
    assert x.tolist() == [0, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11]
    y = ag.arange(9.0).reshape(3, 3)
    planned(lambda: ag.zeros(3, 3).copy_(ag.ones(3, 3).t()))
    y.copy_(y.t())
    assert y.tolist() == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]
    planned(lambda: y.add_(y.t()))
    expected = y.numpy() + y.numpy().T
    assert y.add_(y.t()).tolist() == expected.tolist()


def test_elements_that_share_memory_are_written_by_numpy() -> None:
    values = ag.arange(9.0).reshape(3, 3)

    def written() -> list[float]:
        a = np.zeros(5, np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(a, 3, writeable=True)
        ag.from_numpy(windows.T).copy_(values)
        return a.tolist()  # type: ignore[no-any-return]

    expected = as_reference(written)
    before = plan_count()
    assert [written() for _ in range(4)] == [expected] * 4
    assert plan_count() == before


def test_a_place_is_not_written_with_itself() -> None:
    x, other = ag.zeros(2, 3), ag.ones(2, 3)
    planned(lambda: x.__setitem__(0, other[0]))
    version = x._version
    x[0] = x[0]
    assert x._version == version
    plans.clear()
    for _ in range(3):
        x[0] = x[0]
    x[0] = other[1] * 2
    assert x.tolist() == [[2, 2, 2], [0, 0, 0]]


def test_a_write_that_must_be_recorded_is() -> None:
    leaf, y = tensor(2, 3).requires_grad_(), ag.zeros(2, 3)
    planned(lambda: y[0].add_(1))
    with ag.no_grad():
        part = leaf[0]
        part.add_(1)
    with pytest.raises(RuntimeError, match="view of a leaf"):
        part.add_(1)
    with pytest.raises(RuntimeError, match="a leaf tensor"):
        leaf.add_(1)
    w = tensor(2, 3).requires_grad_()
    for _ in range(4):
        y = ag.ones(2, 3)
        y.mul_(w)
        assert y.mul_(2).requires_grad
    y.sum().backward()
    assert w.grad.tolist() == [[2, 2, 2], [2, 2, 2]]


def test_a_recorded_write_has_a_plan() -> None:
    w, b = tensor(2, 3).requires_grad_(), tensor(2, 3, seed=1).requires_grad_()
    y = w * 1
    planned(lambda: (w * 1).add_(b))
    part, version = y[0], y._version
    assert y.add_(b) is y and y._version == version + 1
    assert y.grad_fn.name() == "AddBackward0"
    assert part.grad_fn is not None  # made again: its base was written
    (part * part).sum().backward()
    assert b.grad is not None and w.grad.tolist() == b.grad.tolist()
    assert w.grad[0].tolist() == (2 * (w + b))[0].tolist() and not w.grad[1].any()
    z = w.exp()
    planned(lambda: w.exp().add_(b))
    z.add_(b)
    with pytest.raises(RuntimeError, match="exp needs its own result"):
        z.sum().backward()
    planned(lambda: (w * 1).zero_())
    z = w * 1
    assert z.zero_().requires_grad  # as in PyTorch: its gradient is 0
    assert not ag.autograd.grad(z.sum(), w)[0].any()


def test_a_recorded_write_is_of_no_leaf_and_of_no_view() -> None:
    b = tensor(2, 3).requires_grad_()
    planned(lambda: (b * 1).add_(b))
    leaf = tensor(2, 3).requires_grad_()
    with pytest.raises(RuntimeError, match="a leaf tensor"):
        leaf.add_(b)
    planned(lambda: ag.zeros(2, 3).add_(b))
    for y, slope in ((b * 1, 2), (ag.zeros(2, 3), 1)):
        y.view(2, 3).add_(b)  # a view: what it is of has another place on the tape from now on
        b.grad = None
        assert y.requires_grad
        y.sum().backward()
        assert b.grad.tolist() == [[slope] * 3] * 2
    twin = ag.zeros(2, 3).detach()
    assert twin.add_(b).requires_grad and twin._version == 1


def test_a_leaf_that_is_copied_gets_the_gradient() -> None:
    w = tensor(3).requires_grad_()
    for _ in range(4):
        x = ag.zeros(3)
        x.copy_(w)
        w.grad = None
        (x * 2).sum().backward()
        assert w.grad.tolist() == [2, 2, 2] and not x.is_leaf


def test_an_operand_that_becomes_another_view_has_no_plan() -> None:
    for _ in range(4):
        x = ag.ones(2, 3)
        assert x.unsqueeze_(0).shape == (1, 2, 3)
        assert x.transpose_(1, 2).shape == (1, 3, 2)
        y = x * tensor(1, 3, 2).requires_grad_()
        assert y.detach_().grad_fn is None


@pytest.mark.parametrize("error", [KeyboardInterrupt, TimeoutError])
def test_what_interrupts_a_write_does_not_repeat_it(error: type[BaseException]) -> None:
    x = ag.zeros(3)
    planned(lambda: x.add_(1))

    def interrupt(frame: Any, event: str, arg: Any) -> None:
        if event == "call" and frame.f_code is ag.Tensor._wrote.__code__:
            sys.setprofile(None)
            raise error

    sys.setprofile(interrupt)
    try:
        with pytest.raises(error):
            x.add_(1)
    finally:
        sys.setprofile(None)
    assert x.tolist() == [4, 4, 4]


def test_threads_write_apart() -> None:
    tensors = [ag.zeros(1000) for _ in range(4)]

    def run(x: ag.Tensor) -> None:
        for _ in range(500):
            x.add_(1)

    workers = [threading.Thread(target=run, args=(x,)) for x in tensors]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(x.eq(500).all().item() and x._version == 500 for x in tensors)


def test_random_numbers_differ() -> None:
    x = ag.ones(64)
    drawn = [ag.nn.functional.dropout(x).tolist() for _ in range(4)]
    assert len(set(map(tuple, drawn))) == 4


def test_the_default_dtype_counts() -> None:
    x = ag.tensor([1, 2, 3])
    planned(lambda: x.exp())
    ag.set_default_dtype("float64")
    try:
        assert x.exp().dtype is ag.float64
    finally:
        ag.set_default_dtype("float32")
    assert x.exp().dtype is ag.float32


def test_subclasses_keep_their_own_ways() -> None:
    class Mine(ag.Tensor):
        __slots__ = ()

    x = tensor(3)
    planned(lambda: x + x)
    mine = object.__new__(Mine)
    mine._array, mine._node, mine._view, mine._cold = x._array, None, None, None
    before = plan_count()
    for _ in range(3):
        assert (mine + mine).tolist() == (x + x).tolist()
    assert plan_count() == before


def test_plans_are_bounded() -> None:
    x = ag.zeros(1)
    for i in range(6000):
        x + float(i)
        x + float(i)
    assert plan_count() <= 4096
    assert (x + 5999.0).item() == 5999


def test_threads_share_plans() -> None:
    x = tensor(64, 64)
    call = lambda: ag.nn.functional.layer_norm(x @ ops.linalg_inv(x), (64,))  # noqa: E731
    expected = as_reference(call).tolist()
    wrong: list[int] = []

    def run(number: int) -> None:
        wrong.extend(number for _ in range(30) if call().tolist() != expected)

    workers = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_an_interrupt_is_no_reason_to_run_the_call_again(monkeypatch: pytest.MonkeyPatch) -> None:
    x, calls = tensor(5, 5), []
    planned(lambda: ops.linalg_inv(x))

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        raise KeyboardInterrupt

    monkeypatch.setattr(type(registry.get("linalg_inv")), "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ops.linalg_inv(x)
    assert len(calls) == 1
