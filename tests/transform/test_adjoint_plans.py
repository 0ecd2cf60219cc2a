"""Nodes that share parameters, but are of other ops, numbers or shapes, have their own adjoints."""

from __future__ import annotations

from typing import Any

import numpy as np

import argand as ag
from argand.base.dtype import float32
from argand.ir.bind import bind
from argand.ir.op import Literal, registry
from argand.tensor.eager import plan_calls

TIMES = 4  # of these the second makes a plan, if there is one


def slope(name: str, params: dict[str, Any], *others: Any, size: int = 3) -> np.ndarray:
    x = ag.ones(size, requires_grad=True)
    (y,) = bind(registry.get(name), (x, *others), params)
    (found,) = ag.autograd.grad(y, x, ag.ones(size))
    return found.numpy()


def test_another_op_with_the_same_parameters_has_its_own_adjoint() -> None:
    plan_calls()
    params: dict[str, Any] = {}
    for _ in range(TIMES):
        np.testing.assert_allclose(slope("exp", params), np.e, rtol=1e-6)
        np.testing.assert_allclose(slope("sin", params), np.cos(1), rtol=1e-6)


def test_another_number_has_its_own_adjoint() -> None:
    plan_calls()
    params: dict[str, Any] = {}
    for _ in range(TIMES):
        for number in (2.0, 5.0):
            found = slope("mul", params, Literal(float32, number))
            np.testing.assert_array_equal(found, np.full(3, number, np.float32))


def test_another_shape_has_its_own_adjoint() -> None:
    plan_calls()
    params: dict[str, Any] = {"dim": (0,), "keepdim": False}
    for _ in range(TIMES):
        for size in (3, 5):
            x = ag.ones(size, requires_grad=True)
            (y,) = bind(registry.get("sum"), (x,), params)
            (found,) = ag.autograd.grad(y, x)
            np.testing.assert_array_equal(found.numpy(), np.ones(size, np.float32))


def test_a_graph_of_gradients_and_none_alternate() -> None:
    plan_calls()
    for _ in range(2 * TIMES):
        x = ag.tensor([1.0, 2.0], requires_grad=True)
        (first,) = ag.autograd.grad((x**3).sum(), x, create_graph=True)
        (second,) = ag.autograd.grad(first.sum(), x)
        np.testing.assert_allclose(second.numpy(), [6.0, 12.0], rtol=1e-6)
        (bare,) = ag.autograd.grad((x**3).sum(), x)
        assert not bare.requires_grad
        np.testing.assert_allclose(bare.numpy(), [3.0, 12.0], rtol=1e-6)
