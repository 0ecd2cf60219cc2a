"""Images that lie channels-last: same results, no copy at the border, results that lie so too."""

from __future__ import annotations

import numpy as np
import pytest

import argand as ag
from argand.base.errors import ShapeError
from argand.nn import functional as F


def image(*shape: int) -> ag.Tensor:
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    return ag.tensor(values)


def test_contiguous_changes_memory_not_meaning() -> None:
    x = image(2, 3, 4, 5)
    y = x.contiguous(memory_format=ag.channels_last)
    np.testing.assert_array_equal(y.numpy(), x.numpy())
    assert y.stride() == (60, 1, 15, 3)
    assert y.is_contiguous(memory_format=ag.channels_last) and not y.is_contiguous()
    assert y.contiguous(memory_format=ag.channels_last) is y
    with pytest.raises(ShapeError, match=r"images of 4 dimensions, got shape \(3,\)"):
        ag.ones(3).contiguous(memory_format=ag.channels_last)


def test_a_compiled_convolution_keeps_the_layout() -> None:
    x, w = image(4, 8, 10, 12), image(6, 8, 3, 3)

    @ag.compile
    def f(x: ag.Tensor) -> ag.Tensor:
        return F.relu(F.conv2d(x, w, padding=1) + 1) * 2

    plain = f(x)
    last = f(x.contiguous(memory_format=ag.channels_last))
    np.testing.assert_array_equal(last.numpy(), plain.numpy())
    assert plain.is_contiguous()
    assert last.is_contiguous(memory_format=ag.channels_last)


def test_gradients_and_other_programs() -> None:
    x, g, w = image(2, 4, 6, 6), image(2, 4, 6, 6), image(4, 4, 3, 3)

    @ag.compile
    def gradients(x: ag.Tensor, w: ag.Tensor, g: ag.Tensor) -> tuple[ag.Tensor, ...]:
        y = F.conv2d(x, w, padding=1)
        return (y, *ag.autograd.grad(y, (x, w), g))

    def call(x: ag.Tensor, g: ag.Tensor) -> list[np.ndarray]:
        leaf, weight = x.detach().requires_grad_(), w.detach().requires_grad_()
        return [t.detach().numpy() for t in gradients(leaf, weight, g)]

    last = {"memory_format": ag.channels_last}
    want = call(x, g)
    for got in (call(x.contiguous(**last), g.contiguous(**last)), call(x.contiguous(**last), g)):
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    double = ag.compile(lambda t: t * 2 + 1)
    np.testing.assert_array_equal(double(x.contiguous(**last)).numpy(), x.numpy() * 2 + 1)
