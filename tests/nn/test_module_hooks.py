"""Hooks of modules and of their state dicts, and modules that save in a way of their own."""

import pytest

import argand as ag
from argand import nn


def test_state_hooks_are_called_in_order():
    log = []
    model = nn.Sequential(nn.Linear(2, 2))
    model.register_state_dict_pre_hook(lambda m, prefix, keep: log.append(("saving", prefix)))
    model.register_state_dict_post_hook(lambda m, state, p, meta: log.append(("saved", len(state))))
    model.register_load_state_dict_pre_hook(lambda m, state, *rest: log.append("loading"))
    model.register_load_state_dict_post_hook(lambda m, keys: log.append("loaded"))
    model.load_state_dict(model.state_dict())
    assert log == [("saving", ""), ("saved", 2), "loading", "loaded"]


def test_a_loaded_hook_may_forgive_missing_keys():
    model = nn.Linear(1, 1)
    model.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
    model.load_state_dict({"weight": ag.ones(1, 1)})
    assert model.weight.item() == 1.0


class Renamed(nn.Module):
    """Reads an older name, as published models do."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(ag.ones(1))
        self.steps = 0

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        if f"{prefix}gamma" in state_dict:
            state_dict[f"{prefix}scale"] = state_dict.pop(f"{prefix}gamma")
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def get_extra_state(self):
        return {"steps": self.steps}

    def set_extra_state(self, state):
        self.steps = state["steps"]


def test_modules_may_load_and_save_in_a_way_of_their_own():
    model = nn.ModuleDict({"a": Renamed()})
    model["a"].steps = 3
    state = model.state_dict()
    assert list(state) == ["a.scale", "a._extra_state"]
    assert dict(state._metadata) == {"": {"version": 1}, "a": {"version": 1}}
    other = nn.ModuleDict({"a": Renamed()})
    given = {"a.gamma": ag.tensor([5.0]), "a._extra_state": state["a._extra_state"]}
    assert str(other.load_state_dict(given)) == "<All keys matched successfully>"
    assert (other["a"].scale.item(), other["a"].steps) == (5.0, 3)
    with pytest.raises(RuntimeError, match=r"missing key.*'a._extra_state'"):
        other.load_state_dict({"a.scale": ag.tensor([9.0])})
    assert other["a"].scale.item() == 5.0  # nothing is written when there is an error


def test_backward_hooks_before_and_after():
    log = []
    layer = nn.Linear(2, 1, bias=False)
    layer.register_full_backward_pre_hook(lambda m, grads: (grads[0] * 3,))
    layer.register_full_backward_hook(lambda m, inner, outer: log.append(outer[0].item()))
    x = ag.ones(1, 2, requires_grad=True)
    layer(x).sum().backward()
    assert log == [3.0]
    assert x.grad.equal(3 * layer.weight.detach())


def test_a_hook_that_is_always_called():
    class Fails(nn.Module):
        def forward(self, x):
            raise ValueError("no")

    seen = []
    module = Fails()
    module.register_forward_hook(lambda m, args, output: seen.append(output), always_call=True)
    with pytest.raises(ValueError, match="no"):
        module(1)
    assert seen == [None]
    module._forward_hooks.clear()
    with pytest.raises(ValueError, match="no"):
        module(1)
    assert seen == [None]


def test_submodules_by_path():
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU()))
    model.set_submodule("1.0", nn.Tanh())
    assert isinstance(model[1][0], nn.Tanh)
    with pytest.raises(AttributeError, match="no module 'x'"):
        model.set_submodule("x", nn.Tanh(), strict=True)


def test_images_weights_in_another_order_of_memory():
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    x = ag.rand(1, 2, 5, 5)
    expected = model.eval()(x)
    model.to(memory_format=ag.channels_last)
    assert model[0].weight.is_contiguous(memory_format=ag.channels_last)
    assert model(x).allclose(expected, atol=1e-6)


def test_parameter_containers_are_whole():
    held = nn.ParameterDict({"a": ag.ones(2), "n": 3})
    assert (held.get("b"), held.setdefault("b", ag.zeros(1)).item()) == (None, 0.0)
    assert list(held | {"c": ag.ones(1)}) == ["a", "n", "b", "c"]
    assert list(reversed(held)) == ["b", "n", "a"]
    assert held.popitem()[0] == "b" and held.pop("n") == 3
    assert [k for k, _ in held.named_parameters()] == ["a"]
    held.clear()
    assert not len(held) and not list(held.parameters())
    listed = nn.ParameterList([ag.ones(1), 5])
    listed += [ag.zeros(2)]
    assert (len(listed), listed[1], listed[-1].tolist()) == (3, 5, [0.0, 0.0])
    with pytest.raises(IndexError, match="out of range for 3"):
        listed[3]


def test_equal_modules_of_a_list_are_shown_once():
    text = repr(nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Tanh()]))
    assert text == "ModuleList(\n  (0-1): 2 x ReLU()\n  (2): Tanh()\n)"
