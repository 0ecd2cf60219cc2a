"""The check of a call's tensors: native code and Python refuse the same arguments."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand.base.dtype import float32, float64, int64
from argand.codegen.llvm.cpython import layout_known
from argand.codegen.llvm.matchcall import match_entry
from argand.compile.bound import match_in_python
from argand.compile.signature import FloatSpec, TensorSpec
from argand.compile.values import ConstantSpec
from argand.tensor.core import Tensor

native = pytest.mark.skipif(not layout_known(), reason="CPython's insides are not as expected")

SHAPES = [(), (2,), (3,), (2, 3), (3, 2), (0, 3), (2, 3, 1)]
DTYPES = [float32, float64, int64]


def tensors() -> list[Any]:
    """Tensors of every dtype and shape, some of which want gradients."""
    found = [ag.zeros(shape, dtype=d) for shape, d in itertools.product(SHAPES, DTYPES)]
    return found + [ag.zeros(shape, requires_grad=True) for shape in SHAPES]


def strange() -> list[Any]:
    """What is no plain tensor of an array."""
    traced = object.__new__(Tensor)
    traced._array, traced._node, traced._view, traced._cold = None, None, None, None
    empty = object.__new__(Tensor)
    return [
        *(None, 2.0, 3, "text", np.zeros((2, 3), np.float32), [1.0], Tensor),
        ag.nn.Parameter(ag.zeros(2, 3), requires_grad=False),
        *(traced, empty),
    ]


def spec(x: Any) -> TensorSpec:
    return TensorSpec(x.dtype, tuple(x.shape), x.requires_grad)


def facts(x: Any, any_shape: bool = False) -> Any:
    return x.dtype.numpy, None if any_shape else tuple(x.shape), x.requires_grad


@native
@pytest.mark.parametrize("any_shape", [False, True])
def test_one_tensor(any_shape: bool) -> None:
    for wanted in tensors():
        expected = [facts(wanted, any_shape)]
        check = match_entry(Tensor, expected)
        twin = match_in_python([spec(wanted)], expected)
        assert check is not None
        for x in tensors():
            same = x.dtype is wanted.dtype and x.requires_grad is wanted.requires_grad
            same = same and (any_shape or x.shape == wanted.shape)
            for match in (check, twin):
                found = match(x)
                assert (found is not None) is same
                assert found is None or (len(found) == 1 and found[0] is x._array)


@native
def test_what_is_no_plain_tensor_is_refused() -> None:
    check = match_entry(Tensor, [facts(ag.zeros(2, 3))])
    assert check is not None and check(ag.zeros(2, 3)) is not None
    assert [x for x in strange() if check(x) is not None] == []


@native
@pytest.mark.parametrize("count", range(5))
def test_the_number_of_tensors(count: int) -> None:
    every = tensors()
    some = every[:count]
    check = match_entry(Tensor, list(map(facts, some)))
    twin = match_in_python(list(map(spec, some)), list(map(facts, some)))
    assert check is not None
    for given in range(6):
        for match in (check, twin):
            found = match(*every[:given])
            assert (found is not None) is (given == count)
            assert found is None or all(a is x._array for a, x in zip(found, some, strict=False))


@native
def test_each_place_is_looked_at() -> None:
    some = [ag.zeros(2, 3), ag.zeros(4), ag.zeros((), dtype=float64)]
    check = match_entry(Tensor, list(map(facts, some)))
    assert check is not None and check(*some) is not None
    for order in itertools.permutations(some):
        same = all(x is y for x, y in zip(order, some, strict=True))
        assert (check(*order) is not None) is same


@native
def test_references_are_left_alone() -> None:
    x, y = ag.zeros(2, 3), ag.zeros(3)
    check = match_entry(Tensor, [facts(x)])
    assert check is not None
    counts = [sys.getrefcount(v) for v in (x._array, y._array, None, x)]
    for _ in range(1000):
        check(x), check(y), check(), check(None)
    after = [sys.getrefcount(v) for v in (x._array, y._array, None, x)]
    assert all(abs(a - b) < 100 for a, b in zip(after, counts, strict=True))


def test_floats_and_constants() -> None:
    x = ag.zeros(2)
    specs = [spec(x), FloatSpec(), ConstantSpec(int, 1000)]
    match = match_in_python(specs, [facts(x), None, None])
    found = match(x, 2.5, int("1000"))
    assert found is not None and len(found) == 2
    assert found[1].dtype == np.float64 and found[1].shape == () and found[1] == 2.5
    for args in [
        (x, 2, 1000),
        (x, 2.5, 1001),
        (x, 2.5, 1000.0),
        (x, np.float64(2), 1000),
        (x, 2.5),
    ]:
        assert match(*args) is None
