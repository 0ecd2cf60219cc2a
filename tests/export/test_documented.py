"""Examples of PyTorch's pages on torch.export and torch.jit, with what PyTorch 2.13 gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import argand as ag
from argand import nn
from argand.export import Dim, export


class Mod(nn.Module):
    def forward(self, x: Any, y: Any) -> Any:
        a = ag.sin(x)
        a.add_(y)
        return a


def test_the_first_example() -> None:
    program = export(Mod(), args=(ag.ones(10, 10), ag.ones(10, 10) * 2))
    found = program.module()(ag.ones(10, 10), ag.ones(10, 10) * 2)
    np.testing.assert_allclose(found.numpy(), np.full((10, 10), 2.8414710), rtol=1e-6)
    assert program.graph_signature.user_inputs == ("x", "y")
    assert len(program.graph_signature.user_outputs) == 1
    named = export(Mod(), (ag.ones(2),), {"y": ag.ones(2)})
    np.testing.assert_allclose(named.module()(ag.ones(2), y=ag.ones(2)).numpy(), 1.8414710)


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.branch1 = nn.Sequential(nn.Linear(64, 32), nn.ReLU())
        self.branch2 = nn.Sequential(nn.Linear(128, 64), nn.ReLU())
        self.buffer = nn.Buffer(ag.ones(32))

    def forward(self, x1: Any, x2: Any) -> Any:
        return self.branch1(x1) + self.buffer, self.branch2(x2)


def test_sizes_that_vary_together() -> None:
    batch = Dim("batch")
    shapes = {"x1": {0: batch}, "x2": {0: batch}}
    program = export(Branches(), (ag.rand(32, 64), ag.rand(32, 128)), dynamic_shapes=shapes)
    found = program.module()(ag.rand(7, 64), ag.rand(7, 128))
    assert [tuple(y.shape) for y in found] == [(7, 32), (7, 64)]
    with pytest.raises(RuntimeError, match="must be 7"):
        program.module()(ag.rand(7, 64), ag.rand(8, 128))
    assert sorted(program.graph_signature.inputs_to_parameters.values()) == [
        "branch1.0.bias", "branch1.0.weight", "branch2.0.bias", "branch2.0.weight",
    ]  # fmt: skip
    assert list(program.graph_signature.inputs_to_buffers.values()) == ["buffer"]
    assert len(program.range_constraints) == 1


class BySize(nn.Module):
    def forward(self, x: Any) -> Any:
        if x.shape[0] > 5:
            return x + 1
        return x - 1


def test_a_branch_on_a_size_is_a_guard_or_violates_what_was_declared() -> None:
    program = export(BySize(), (ag.ones(8),), dynamic_shapes={"x": {0: Dim.AUTO}})
    assert program.module()(ag.ones(9)).tolist() == [2.0] * 9
    with pytest.raises(RuntimeError, match="exported for sizes where"):
        program.module()(ag.ones(3))
    with pytest.raises(RuntimeError, match="'d' was declared to take any size"):
        export(BySize(), (ag.ones(8),), dynamic_shapes={"x": {0: Dim("d")}})
    export(BySize(), (ag.ones(8),), dynamic_shapes={"x": {0: Dim("d", min=6)}})


class Shifted(nn.Module):
    def forward(self, x: Any, y: Any) -> Any:
        return x + y[1:]


def test_a_size_that_follows_from_another() -> None:
    dimx = Dim("dimx", min=3, max=6)
    shapes = ({0: dimx}, {0: dimx + 1})
    program = export(Shifted(), (ag.rand(5), ag.rand(6)), dynamic_shapes=shapes)
    assert program.module()(ag.rand(4), ag.rand(5)).shape == (4,)
    for x, y in ((4, 6), (8, 9), (2, 3)):
        with pytest.raises((RuntimeError, ValueError)):
            program.module()(ag.rand(x), ag.rand(y))


class Chosen(nn.Module):
    def forward(self, pred: Any, x: Any, y: Any) -> Any:
        return ag.cond(pred, lambda a, b: a + b, lambda a, b: a - b, (x, y))


class Looped(nn.Module):
    def forward(self, it: Any, x: Any) -> Any:
        return ag.while_loop(lambda it, x: it > 0, lambda it, x: (it - 1, x + 1), (it, x))


def test_control_flow_on_values() -> None:
    program = export(Chosen(), (ag.tensor(True), ag.ones(2), ag.ones(2)))
    for pred, found in ((False, [0.0, 0.0]), (True, [2.0, 2.0])):
        assert program.module()(ag.tensor(pred), ag.ones(2), ag.ones(2)).tolist() == found
    program = export(Looped(), (ag.tensor(3), ag.ones(2)))
    assert [y.tolist() for y in program.module()(ag.tensor(5), ag.ones(2))] == [0, [6.0, 6.0]]
