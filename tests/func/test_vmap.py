"""`vmap`: what it says of dimensions, trees, randomness, memory and values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import argand as ag
from argand.func import debug_unwrap, grad, vmap

ROWS = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


def same(found: Any, wanted: Any) -> None:
    np.testing.assert_allclose(found.numpy(), np.asarray(wanted), rtol=1e-6)


def test_dims_of_arguments_and_results() -> None:
    x, y = ag.tensor(ROWS), ag.tensor([10.0, 20.0, 30.0])
    same(vmap(lambda a, b: a * b)(x, y), (x * y[:, None]).numpy())
    same(vmap(lambda a: a, in_dims=1)(x), x.T.numpy())
    same(vmap(lambda a: a, in_dims=-1, out_dims=1)(x), x.numpy())
    same(vmap(lambda a, b: a + b, in_dims=(None, 0))(x, y), x.numpy() + y.numpy()[:, None, None])
    assert vmap(lambda a: ag.zeros(4, 5), out_dims=2)(x).shape == (4, 5, 3)
    assert vmap(lambda a: ag.zeros(4, 5), out_dims=-1)(x).shape == (4, 5, 3)


def test_trees() -> None:
    given = {"a": ag.tensor(ROWS), "b": [ag.tensor([1.0, 2.0, 3.0]), 7]}
    dims = ({"a": 0, "b": [0, None]},)
    found = vmap(lambda t: {"s": t["a"].sum() * t["b"][1], "t": (t["b"][0],)}, in_dims=dims)(given)
    same(found["s"], [21.0, 49.0, 77.0])
    same(found["t"][0], [1.0, 2.0, 3.0])
    first, second = vmap(lambda a: (a, a), out_dims=(0, 1))(ag.tensor(ROWS))
    assert (first.shape, second.shape) == ((3, 2), (2, 3))
    assert vmap(lambda a: (a, 3), out_dims=(0, None))(ag.tensor(ROWS))[1] == 3
    same(vmap(lambda a, *, k: a.sum() + k.sum())(ag.tensor(ROWS), k=ag.ones(3)), [6.0, 10.0, 14.0])


def test_nested() -> None:
    a, b = ag.tensor([1.0, 2.0, 3.0]), ag.tensor([10.0, 20.0])
    table = vmap(vmap(lambda x, y: x * y, (None, 0)), (0, None))(a, b)
    same(table, np.outer(a.numpy(), b.numpy()))
    deep = vmap(vmap(vmap(lambda x: x.cumsum(0))))(ag.ones(2, 3, 4, 5))
    same(deep, np.broadcast_to(np.arange(1.0, 6.0), (2, 3, 4, 5)))


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_chunks(chunk: int) -> None:
    x = ag.arange(10.0).reshape(2, 5)
    found = vmap(lambda a: (a.sum(), a * 2), in_dims=1, out_dims=(0, 1), chunk_size=chunk)(x)
    same(found[0], x.numpy().sum(0))
    same(found[1], x.numpy() * 2)


def test_no_examples() -> None:
    assert vmap(lambda a: a.sum())(ag.zeros(0, 3)).shape == (0,)


def test_random_numbers() -> None:
    x = ag.zeros(3, 2)
    with pytest.raises(RuntimeError, match="randomness error mode"):
        vmap(lambda a: ag.rand(2))(x)
    alike = vmap(lambda a: a + ag.rand(2), randomness="same")(x).numpy()
    assert (alike == alike[0]).all()
    each = vmap(lambda a: a + ag.randn(2), randomness="different")(x).numpy()
    assert len(np.unique(each)) == 6
    dropped = vmap(lambda a: ag.dropout(a, 0.5, True), randomness="same")(ag.ones(3, 64)).numpy()
    assert (dropped == dropped[0]).all()
    assert 0 < (dropped == 0).sum() < dropped.size
    own = vmap(lambda a: ag.bernoulli(a), randomness="different")(ag.full((3, 64), 0.5)).numpy()
    assert not (own == own[0]).all()
    orders = vmap(lambda a: ag.randperm(32), randomness="different")(x).numpy()
    assert (np.sort(orders) == np.arange(32)).all()
    assert not (orders == orders[0]).all()


def test_random_numbers_of_pytorch() -> None:
    with ag.settings.using(generator="mt19937"):
        g = ag.Generator().manual_seed(0)
        each = vmap(lambda a: ag.rand(4, generator=g), randomness="different")(ag.zeros(3))
        order = vmap(lambda a: ag.randperm(5, generator=g), randomness="different")(ag.zeros(3))
        g.manual_seed(0)
        same(each, ag.rand(3, 4, generator=g).numpy())
        same(order, [ag.randperm(5, generator=g).numpy() for _ in range(3)])


def test_writes() -> None:
    def filled(a: Any) -> Any:
        out = ag.zeros(3)
        view = out[1:]
        view += a
        out[0] = a.sum()
        return out, view * 2

    whole, part = vmap(filled)(ag.tensor(ROWS))
    same(whole, [[3.0, 1.0, 2.0], [7.0, 3.0, 4.0], [11.0, 5.0, 6.0]])
    same(part, np.array(ROWS) * 2)


def test_arguments_are_written_where_they_are() -> None:
    x, kept = ag.tensor(ROWS), ag.zeros(2)
    vmap(lambda a: a[0].add_(10), in_dims=1)(x)
    same(x, [[11.0, 12.0], [3.0, 4.0], [5.0, 6.0]])
    with pytest.raises(RuntimeError, match="vmapped over but `self` not"):
        vmap(lambda a: kept.add_(a))(x)
    same(kept, [0.0, 0.0])


def test_written_values_keep_their_gradients() -> None:
    def f(x: Any) -> Any:
        y = x * 2
        y[0] = y[1].clone() * x[0]
        y.exp_()
        return y.sum()

    x = ag.tensor(ROWS, dtype=ag.float64)
    rows = ag.stack([grad(f)(row) for row in x])
    same(vmap(grad(f))(x), rows.numpy())
    same(grad(lambda x: vmap(f)(x).sum())(x), rows.numpy())


@pytest.mark.parametrize(
    ("use", "match"),
    [
        (lambda x: x.sum().item(), r"calling .item\(\)"),
        (lambda x: x if x.sum() > 0 else -x, "data-dependent control flow"),
        (lambda x: x.numpy(), "data-dependent"),
        (lambda x: x.tolist(), "data-dependent"),
        (lambda x: x[x > 0], "indexing with a boolean mask"),
        (lambda x: x.nonzero(), "data-dependent"),
    ],
)
def test_values_are_not_known(use: Any, match: str) -> None:
    with pytest.raises(RuntimeError, match=match):
        vmap(use)(ag.tensor(ROWS))


def test_values_of_what_is_the_same_are_known() -> None:
    w = ag.tensor(3.0)
    same(vmap(lambda x: x * w.item() if w > 1 else x)(ag.ones(2)), [3.0, 3.0])
    chosen = vmap(lambda x: x[ag.tensor([True, False]) & (w > 1)])(ag.tensor(ROWS))
    same(chosen, [[1.0], [3.0], [5.0]])


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda x: vmap(lambda a: 1.0)(x), ValueError, "must only return Tensors, got type"),
        (lambda x: vmap(lambda a: a, out_dims=None)(x), ValueError, "when out_dim is None"),
        (lambda x: vmap(lambda a, b: a)(x, x[:2]), ValueError, r"got sizes \[3, 2\]"),
        (lambda x: vmap(lambda a: a, in_dims=None)(x), ValueError, "expected `in_dims` to be int"),
        (lambda x: vmap(lambda a: a, in_dims=(0, 0))(x), ValueError, "not compatible with the str"),
        (lambda x: vmap(lambda a: a, in_dims=2)(x), ValueError, "Got in_dim=2 for some input"),
        (lambda x: vmap(lambda a: a)(1.0), ValueError, "cannot vmap over non-Tensor arguments"),
        (lambda x: vmap(lambda: x)(), ValueError, "got no inputs"),
        (lambda x: vmap(lambda a: a, out_dims=(0, 0))(x), ValueError, "out_dims is not compatible"),
        (lambda x: vmap(lambda a: a, randomness="x"), RuntimeError, "Only allowed values"),
        (lambda x: vmap(lambda a: a, chunk_size=0), ValueError, "None or greater than 0"),
    ],
)
def test_misuse(make: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        make(ag.tensor(ROWS))


def test_a_look_inside() -> None:
    seen = []
    x = ag.ones(3, 4, 5)
    vmap(vmap(lambda a: seen.append((debug_unwrap(a), debug_unwrap(a, recurse=False))) or a))(x)
    ((whole, part),) = seen
    assert whole.shape == (3, 4, 5)
    assert part.shape == (4, 5)


def test_printed() -> None:
    shown: list[str] = []
    vmap(lambda a: shown.append(repr(a * 2)) or a)(ag.tensor([1.0, 2.0]))
    assert shown == ["BatchedTensor(lvl=1, bdim=0, value=\n    tensor([2., 4.])\n)"]


def test_branches_of_both_kinds() -> None:
    def f(x: Any) -> Any:
        return ag.cond(x.sum() > 3, lambda v: v * 2, lambda v: -v, (x,))

    same(vmap(f)(ag.tensor(ROWS)), [[-1.0, -2.0], [6.0, 8.0], [10.0, 12.0]])


def test_compiled_it_is_one_program_without_a_loop() -> None:
    w = ag.tensor([1.0, 10.0])

    @ag.compile
    def f(x: Any) -> Any:
        return vmap(lambda a: (a.sin() * w).sum())(x)

    x = ag.tensor(ROWS)
    same(f(x), (np.sin(x.numpy()) * w.numpy()).sum(1))
    assert len(list(f.program())) < 8
