"""Functions called around every module's `forward`."""

import pytest

import argand as ag
from argand import nn
from argand.nn.modules import module as common


class Doubled(nn.Module):
    def forward(self, x, by=2):
        return x * by


def test_hooks_of_all_come_before_a_modules_own():
    model, told = nn.Sequential(Doubled(), nn.ReLU()), []
    model[0].register_forward_hook(lambda m, args, y: told.append("own"))
    model[0].register_forward_pre_hook(lambda m, args: told.append("own before"))

    def tell(module, *args):
        told.append(type(module).__name__)

    first = common.register_module_forward_pre_hook(tell)
    with first, common.register_module_forward_hook(tell):
        model(ag.ones(2))
        expected = ["Sequential", "Doubled", "own before", "Doubled", "own", "ReLU", "ReLU"]
        assert told == [*expected, "Sequential"]
    told.clear()
    model(ag.ones(2))
    assert told == ["own before", "own"]


def test_arguments_and_results_are_replaced():
    with common.register_module_forward_pre_hook(lambda m, args: (args[0] + 1,)):
        assert Doubled()(ag.ones(1)).tolist() == [4]
    with common.register_module_forward_hook(lambda m, a, kw, y: y + kw["by"], with_kwargs=True):
        assert Doubled()(ag.ones(1), by=5).tolist() == [10]


def test_compiled_code_calls_them_while_they_are_there():
    model = Doubled()
    step = ag.compile(lambda x: model(x))
    assert step(ag.ones(1)).tolist() == [2]
    with common.register_module_forward_hook(lambda m, args, y: y + 1):
        assert step(ag.ones(1)).tolist() == [3]
    assert step(ag.ones(1)).tolist() == [2]


def test_gradients_are_seen_and_replaced():
    seen = []
    with (
        common.register_module_full_backward_pre_hook(lambda m, g: (g[0] * 10,)),
        common.register_module_full_backward_hook(lambda m, i, o: seen.append((i, o))),
    ):
        x = ag.ones(1, requires_grad=True)
        Doubled()(x).backward()
    assert x.grad.tolist() == [20]
    ((inputs, outputs),) = seen
    assert inputs[0].tolist() == [20] and outputs[0].tolist() == [10]


def test_one_that_is_always_called():
    told = []
    with common.register_module_forward_hook(lambda *a: told.append(a[-1]), always_call=True):
        with pytest.raises(TypeError):
            Doubled()(None)
        Doubled()(ag.ones(1))
    assert told[0] is None and told[1].tolist() == [2]
