"""x[...] and x[...] = v against NumPy, where PyTorch agrees with it; views; gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import argand as ag

ARRAY = np.arange(60, dtype=np.float32).reshape(3, 4, 5)


def basic(draw: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """A random basic index with positive steps."""
    items: list[Any] = []
    for size in shape:
        kind = draw(st.sampled_from(["int", "slice", "all", "none"]))
        if kind == "int":
            items.append(draw(st.integers(-size, size - 1)))
        elif kind == "slice":
            bound = st.one_of(st.none(), st.integers(-size - 2, size + 2))
            items.append(slice(draw(bound), draw(bound), draw(st.sampled_from([None, 1, 2, 3]))))
        elif kind == "all":
            items.append(slice(None))
        else:
            items += [None, slice(None)]
    return tuple(items)


@st.composite
def basic_indices(draw: Any) -> tuple[Any, ...]:
    return basic(draw, ARRAY.shape)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(basic_indices())
def test_basic_indexing_is_numpys_and_a_view(index: tuple[Any, ...]) -> None:
    t = ag.tensor(ARRAY)
    out = t[index]
    expected = ARRAY[index]
    assert tuple(out.shape) == expected.shape
    np.testing.assert_array_equal(out.numpy(), expected)
    if expected.size:
        assert np.shares_memory(out.numpy(), t.numpy())


@settings(max_examples=60, deadline=None, derandomize=True)
@given(basic_indices())
def test_basic_writing_is_numpys(index: tuple[Any, ...]) -> None:
    t, a = ag.tensor(ARRAY), ARRAY.copy()
    t[index] = 7.0
    a[index] = 7.0
    np.testing.assert_array_equal(t.numpy(), a)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(hnp.integer_array_indices((3, 4, 5), result_shape=hnp.array_shapes(max_dims=2, max_side=4)))
def test_integer_arrays_are_numpys(index: tuple[np.ndarray, ...]) -> None:
    t = ag.tensor(ARRAY)
    given_index = tuple(ag.tensor(i) for i in index)
    np.testing.assert_array_equal(t[given_index].numpy(), ARRAY[index])


ADVANCED = {
    "rows": ([2, 0],),
    "negative": ([-1, 0],),
    "columns": (slice(None), [1, 1, 3]),
    "pair": ([0, 1], [2, 3]),
    "broadcast": (np.array([[0], [2]]), [1, 3]),
    "apart": ([0, 1], slice(None), [2, 3]),
    "after slice": (slice(1, None), [0, 2], [1, 1]),
    "ellipsis": (..., [4, 0]),
    "with none": (None, [0, 2]),
    "mask": (ARRAY > 30,),
    "mask rows": (np.array([True, False, True]),),
    "mask and slice": (slice(None), np.array([True, False, True, True]), slice(0, 2)),
    "empty": ([],),
    "range": (range(2),),
}


@pytest.mark.parametrize("name", ADVANCED)
def test_advanced_indexing_is_numpys(name: str) -> None:
    index = ADVANCED[name]
    plain = tuple(list(i) if isinstance(i, range) else i for i in index)
    plain = (
        tuple(np.array(i, np.int64) if i == [] else i for i in plain) if name == "empty" else plain
    )
    t = ag.tensor(ARRAY)
    np.testing.assert_array_equal(t[index].numpy(), ARRAY[plain])
    a = ARRAY.copy()
    t[index] = -1.0
    a[plain] = -1.0
    np.testing.assert_array_equal(t.numpy(), a)


def test_integers_are_selected_first_as_in_pytorch() -> None:
    assert ag.tensor(ARRAY)[0, :, [1, 2]].shape == (4, 2)


def test_errors_name_the_place() -> None:
    t = ag.tensor(ARRAY)
    with pytest.raises(IndexError, match="index 5 is out of bounds for dimension 1 with size 4"):
        t[0, 5]
    with pytest.raises(IndexError, match="too many indices"):
        t[0, 0, 0, 0]
    with pytest.raises(ValueError, match="greater than zero"):
        t[::-1]
    with pytest.raises(IndexError, match="only one ellipsis"):
        t[..., ...]
    with pytest.raises(IndexError, match="got float"):
        t[1.5]
    with pytest.raises(IndexError, match="mask of shape"):
        t[ag.tensor([True, False])]
    with pytest.raises(RuntimeError, match=r"shape \(2,\) can't be written"):
        t[0, 0] = ag.ones(2)


def test_augmented_assignment_writes_once() -> None:
    t = ag.zeros(3, 2)
    t[1] += 2
    t[:, 0] *= 3
    assert t.tolist() == [[0, 0], [6, 2], [0, 0]]
    assert t._version == 2


def test_gradient_of_indexing() -> None:
    x = ag.tensor(ARRAY.astype(np.float64), requires_grad=True)
    assert ag.autograd.gradcheck(lambda x: x[1:, [0, 2], ::2] ** 2, (x,))
    assert ag.autograd.gradcheck(lambda x: x[[0, 0, 2]].sum(0), (x,))


def test_gradient_through_writing() -> None:
    def fill(x: ag.Tensor, y: ag.Tensor) -> ag.Tensor:
        out = x * 2
        out[0, 1:] = y[:2] ** 2
        out[[1, 2], [0, 0]] = y[2]
        out[out > 3] = 0.5
        return out**2

    rng = np.random.default_rng(0)
    x = ag.tensor(rng.uniform(-1, 1, (3, 3)), requires_grad=True)
    y = ag.tensor(rng.uniform(-1, 1, 3), requires_grad=True)
    assert ag.autograd.gradcheck(fill, (x, y))


@pytest.mark.parametrize("dims", [(0,), (1,), (2,), (0, 1), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("count", [2, 200], ids=["few values", "many values"])
def test_sums_at_places_of_a_larger_tensor(dims: tuple[int, ...], count: int) -> None:
    """Equal places add up, whichever way the places in memory are found."""
    rng = np.random.default_rng(0)
    x = rng.integers(-9, 9, (7, 6, 5)).astype(np.float64)
    place: list[Any] = [slice(None)] * 3
    for d in dims:
        place[d] = rng.integers(-x.shape[d], x.shape[d], count)
    values = rng.integers(-9, 9, x[tuple(place)].shape).astype(np.float64)
    expected = x.copy()
    np.add.at(expected, tuple(place), values)
    key = tuple(ag.tensor(i) if isinstance(i, np.ndarray) else i for i in place)
    table = ag.tensor(x, requires_grad=True)
    (gradient,) = ag.autograd.grad(table[key], table, ag.tensor(values))
    assert np.array_equal(gradient.numpy() + x, expected)
    if dims == (0,):
        found = ag.tensor(x).index_add(0, ag.tensor(place[0] % 7), ag.tensor(values))
        assert np.array_equal(found.numpy(), expected)
