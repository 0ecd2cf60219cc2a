"""Edges that PyTorch's database of operators found: dtypes of results, gradients of constants."""

from __future__ import annotations

import pytest

import argand as ag
from argand.ir.op import ops


def test_running_sums_in_the_dtype_asked_for() -> None:
    x = ag.tensor([200, 100], dtype=ag.uint8)
    found = ag.cumsum(x, 0, dtype=ag.uint8)
    assert (found.dtype, found.tolist()) == (ag.uint8, [200, 44])
    assert ag.cumsum(x, 0).tolist() == [200, 300]
    assert ag.masked.cumprod(x, 0).dtype is ag.uint8
    assert x[0].sum_to_size(()).dtype is ag.int64


def test_extremes_of_booleans() -> None:
    x = ag.tensor([[False, True, True], [False, False, False]])
    assert ag.max(x, 1).values.tolist() == [True, False]
    assert ag.max(x, 1).indices.tolist() == [1, 0]
    assert ag.min(x, 1).indices.tolist() == [0, 0]
    with pytest.raises(TypeError, match="must be a Tensor"):
        ag.max(2, x)


def test_what_was_filled_still_has_a_gradient() -> None:
    x = ag.ones(3, requires_grad=True)
    y = x * 2
    y[:2].zero_()
    y.sum().backward()
    assert x.grad.tolist() == [0, 0, 2]
    z = x.clone().fill_(4)
    assert z.requires_grad
    assert ag.autograd.grad(z.sum(), x)[0].tolist() == [0, 0, 0]
    with ag.no_grad():
        assert not ag.zeros(2).fill_(3).requires_grad


def test_whole_ranges_of_fractions() -> None:
    assert ag.arange(-0.9, 2.1, 2.0, dtype=ag.int32).tolist() == [0, 2]
    assert ag.arange(2.7, -3.2, -1.5, dtype=ag.int16).tolist() == [2, 1, 0, -1]


def test_variances_of_complex_numbers_that_a_mask_names() -> None:
    x = ag.tensor([1 + 1j, 9j, 3 + 1j])
    mask = ag.tensor([True, False, True])
    found = ag.masked.var(x, mask=mask)
    assert found.dtype is ag.complex64
    assert found.item() == 2


def test_refusals() -> None:
    with pytest.raises(TypeError, match="expected a list of tensors"):
        ag.cat(ag.ones(2, 3))
    with pytest.raises(TypeError, match="weights must be floats"):
        ag.multinomial(ag.tensor([1, 2]), 1)
    with pytest.raises(RuntimeError, match="over 0"):
        ag.multinomial(ag.ones(2), 0)


def test_in_place_functions_write_their_operand() -> None:
    x = ag.tensor([4.0, 9.0])
    assert ag.sqrt_(x) is x and x.tolist() == [2, 3]
    assert ag.zero_(x) is x and not x.any()
    y = ag.arange(6.0)
    y.as_strided_((2, 2), (1, 3))[0, 1] = 7
    assert y.tolist() == [[0, 7], [1, 4]]
    assert ag.tensor([2.0, 3.0]).cumprod_(0).tolist() == [2, 6]


def test_copies_of_the_parts_of_complex_numbers() -> None:
    z = ag.tensor([1 + 2j])
    ag.view_as_real_copy(z).zero_()
    ag.view_as_complex_copy(ag.view_as_real(z)).zero_()
    assert z.item() == 1 + 2j


def test_the_op_of_interpolation_takes_numbers() -> None:
    assert ops.lerp(ag.ones(2), 3.0, ag.tensor([0.0, 0.5])).tolist() == [1, 2]
