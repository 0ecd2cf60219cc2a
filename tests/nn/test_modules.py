"""Module: registration, walking, state dicts, modes, hooks, text."""

import copy
import math
import typing

import numpy as np
import pytest

import argand as ag
import argand.nn.functional as F  # PyTorch's name
from argand import nn
from argand.base import epoch
from argand.base.userstack import module_path


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.rest = nn.Sequential(nn.ReLU(), nn.Linear(4, 2, bias=False))
        self.scale = nn.Parameter(ag.ones(2))
        self.register_buffer("seen", ag.zeros(()))
        self.register_buffer("scratch", ag.zeros(2), persistent=False)

    def forward(self, x):
        return self.rest(self.first(x)) * self.scale


NAMES = ["scale", "first.weight", "first.bias", "rest.1.weight"]


def test_named_parameters_and_buffers():
    net = Net()
    assert [n for n, _ in net.named_parameters()] == NAMES
    assert [n for n, _ in net.named_buffers()] == ["seen", "scratch"]
    assert len(list(net.parameters(recurse=False))) == 1
    assert [n for n, _ in net.named_modules()] == ["", "first", "rest", "rest.0", "rest.1"]
    assert [n for n, _ in net.named_children()] == ["first", "rest"]


def test_shared_parameters_are_listed_once():
    net = Net()
    net.twin = net.first
    assert [n for n, _ in net.named_parameters()] == NAMES
    assert "twin.weight" in dict(net.named_parameters(remove_duplicate=False))
    assert "twin.weight" in net.state_dict()


def test_reassigning_moves_a_name_between_kinds():
    net = Net()
    net.scale = None
    assert "scale" not in net.state_dict()
    with pytest.raises(TypeError, match="registered as a Parameter"):
        net.scale = 3
    del net.scale
    net.scale = 3
    assert net.scale == 3
    net.scale = nn.Linear(1, 1)
    assert "scale.weight" in net.state_dict()


def test_assignment_before_init_is_explained():
    class Early(nn.Module):
        def __init__(self):
            self.layer = nn.ReLU()

    with pytest.raises(AttributeError, match=r"super\(\).__init__\(\)"):
        Early()


def test_unknown_attribute_suggests():
    with pytest.raises(AttributeError, match="did you mean first"):
        Net().firts  # noqa: B018


class Named(nn.Module):
    """Parts with the names of methods that PyTorch's modules don't have, as programs give them."""

    def __init__(self):
        super().__init__()
        self.predict = nn.Linear(2, 1)
        self.fit = nn.Parameter(ag.ones(1))
        self.register_buffer("summary", ag.full((1,), 2.0))
        self.add_module("evaluate", nn.ReLU())
        self._hooks, self._get, self._convert = [], 3, None

    def forward(self, x):
        return self.evaluate(self.predict(x) * 0 - 1) + self.fit + self.summary


def test_parts_may_have_the_names_of_methods():
    model, calls = Named(), []
    model.register_forward_hook(lambda *given: calls.append(len(given)))
    assert model(ag.ones(3, 2)).tolist() == [[3.0]] * 3
    assert calls == [3]
    assert {"fit", "summary", "predict.weight", "predict.bias"} == set(model.double().state_dict())
    assert model.get_parameter("fit").dtype == ag.float64
    model.set_submodule("predict", nn.Linear(2, 1, bias=False), strict=True)
    assert model.predict.bias is None
    del model.predict
    with pytest.raises((TypeError, RuntimeError)):
        model.predict()
    assert "outputs for data" in nn.Module.predict.__doc__


def test_registration_refuses_bad_names():
    net = Net()
    with pytest.raises(KeyError, match="must not be empty"):
        net.register_buffer("a.b", ag.zeros(1))
    with pytest.raises(KeyError, match="already exists"):
        net.register_buffer("forward", ag.zeros(1))
    with pytest.raises(TypeError, match="takes a Parameter"):
        net.register_parameter("p", ag.zeros(1))
    with pytest.raises(TypeError, match="takes a Module"):
        net.add_module("m", ag.zeros(1))


def test_state_dict_shares_memory_and_loads():
    net, other = Net(), Net()
    state = net.state_dict()
    assert list(state) == ["scale", "seen", "first.weight", "first.bias", "rest.1.weight"]
    assert not any(t.requires_grad for t in state.values())
    with ag.no_grad():
        state["scale"].fill_(7.0)
    assert net.scale.tolist() == [7.0, 7.0]
    weight = other.first.weight
    assert other.load_state_dict(state) == ([], [])
    assert other.first.weight is weight
    np.testing.assert_array_equal(other.first.weight.detach(), net.first.weight.detach())


def test_load_state_dict_reports_everything_and_writes_nothing():
    net = Net()
    state = {k: v.clone() for k, v in net.state_dict().items()}
    before = {k: v.clone() for k, v in state.items()}
    state["first.wieght"] = state.pop("first.weight")
    state["first.bias"] = ag.ones(5)
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    message = str(caught.value)
    assert "unexpected key(s) in state_dict: 'first.wieght'; did you mean first.weight" in message
    assert "missing key(s) in state_dict: 'first.weight'" in message
    assert (
        "size mismatch for first.bias: shape (5,) in the state dict, (4,) in the module" in message
    )
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    with pytest.raises(RuntimeError, match="size mismatch"):
        net.load_state_dict(state, strict=False)


def test_load_state_dict_not_strict():
    net = Net()
    result = net.load_state_dict({"scale": ag.zeros(2), "other": ag.zeros(1)}, strict=False)
    assert result.unexpected_keys == ["other"]
    assert "first.weight" in result.missing_keys
    assert net.scale.tolist() == [0.0, 0.0]


def test_load_state_dict_assign_takes_the_tensor():
    net, value = Net(), ag.zeros(2)
    net.load_state_dict({"scale": value}, strict=False, assign=True)
    with ag.no_grad():
        value.fill_(3.0)
    assert net.scale.tolist() == [3.0, 3.0]


def test_modes_and_epoch():
    net = Net()
    now = epoch.current
    net.train()
    assert epoch.current == now  # nothing changed, so compiled functions need not look
    net.eval()
    assert epoch.current > now
    assert not any(m.training for m in net.modules())
    with pytest.raises(ValueError, match="must be a bool"):
        net.train("yes")


def test_setattr_moves_the_epoch_only_for_a_new_value():
    net = Net()
    net.flag = True
    now = epoch.current
    net.flag = True
    assert epoch.current == now
    net.flag = False
    assert epoch.current > now


def test_zero_grad():
    net = Net()
    net(ag.ones(1, 3)).sum().backward()
    assert net.scale.grad is not None
    net.zero_grad(set_to_none=False)
    assert net.scale.grad.tolist() == [0.0, 0.0]
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_conversion_keeps_parameters_and_their_gradients():
    net = Net()
    net(ag.ones(1, 3)).sum().backward()
    scale = net.scale
    assert net.double() is net
    assert net.scale is scale
    assert scale.dtype is ag.float64 and scale.grad.dtype is ag.float64
    assert net.seen.dtype is ag.float64
    assert scale.requires_grad and scale.is_leaf
    net(ag.ones(1, 3, dtype=ag.float64)).sum().backward()
    assert net.to(ag.float32).scale.dtype is ag.float32
    assert net.to("cpu") is net
    with pytest.raises(RuntimeError, match="'cuda' is not available"):
        net.to("cuda")
    with pytest.raises(TypeError, match="floating-point"):
        net.to(ag.int64)


def test_requires_grad_and_apply():
    net = Net()
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())
    seen = []
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["Linear", "ReLU", "Linear", "Sequential", "Net"]


def test_getters():
    net = Net()
    assert net.get_submodule("rest.1") is net.rest[1]
    assert net.get_parameter("rest.1.weight") is net.rest[1].weight
    assert net.get_buffer("seen") is net.seen
    assert net.get_submodule("") is net
    with pytest.raises(AttributeError, match=r"has no module 'rest\.2'"):
        net.get_submodule("rest.2")
    with pytest.raises(AttributeError, match=r"did you mean first\.weight"):
        net.get_parameter("first.weigth")


def test_forward_hooks():
    net, calls = Net(), []
    for parameter in net.parameters():
        nn.init.ones_(parameter)
    before = net.register_forward_pre_hook(lambda m, args: (args[0] * 2,))
    after = net.register_forward_hook(lambda m, args, out: calls.append(args[0].sum().item()))
    x = ag.ones(1, 3)
    doubled = net(x)
    assert calls == [6.0]
    before.remove()
    after.remove()
    after.remove()
    np.testing.assert_allclose(net(x * 2).detach(), doubled.detach())
    with net.register_forward_hook(lambda m, args, out: out * 0):
        assert net(x).sum().item() == 0.0
    assert net(x).sum().item() != 0.0


def test_the_hook_of_a_copy_is_a_method_of_the_copy():
    class Watching(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.seen = nn.Linear(2, 2), []
            self.layer.register_forward_hook(self.note)

        def note(self, module, args, result):
            self.seen.append(result.shape)

        def forward(self, x):
            return self.layer(x)

    model = Watching()
    twin = copy.deepcopy(model)
    twin(ag.ones(3, 2))
    assert (model.seen, twin.seen) == ([], [(3, 2)])


def test_hook_with_keyword_arguments_and_order():
    class Add(nn.Module):
        def forward(self, x, y=0):
            return x + y

    add, order = Add(), []
    add.register_forward_pre_hook(
        lambda m, args, kwargs: (order.append("late"), (args, {"y": 5}))[1], with_kwargs=True
    )
    add.register_forward_pre_hook(lambda m, args: order.append("early"), prepend=True)
    assert add(ag.ones(1), y=1).item() == 6.0
    assert order == ["early", "late"]


def test_repr_is_torchs():
    assert repr(Net()) == (
        "Net(\n"
        "  (first): Linear(in_features=3, out_features=4, bias=True)\n"
        "  (rest): Sequential(\n"
        "    (0): ReLU()\n"
        "    (1): Linear(in_features=4, out_features=2, bias=False)\n"
        "  )\n"
        ")"
    )


def test_module_path_is_known_inside_forward():
    class Inner(nn.Module):
        def forward(self, x):
            paths.append(module_path())
            return x

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = nn.ModuleList([nn.Identity(), Inner()])

        def forward(self, x):
            return self.parts[1](x)

    paths = []
    Outer()(ag.ones(1))
    assert paths == ["parts.1"]


def test_errors_name_the_module_and_the_users_line():
    class Wrong(Net):
        def forward(self, x):
            return self.rest(x)

    with pytest.raises(RuntimeError, match=r"test_modules\.py:\d+, module rest\.1"):
        Wrong()(ag.ones(1, 3))


def test_deepcopy_is_independent():
    net = Net()
    twin = copy.deepcopy(net)
    assert [n for n, _ in twin.named_parameters()] == NAMES
    with ag.no_grad():
        twin.scale.fill_(9.0)
    assert net.scale.tolist() == [1.0, 1.0]
    assert isinstance(twin.scale, nn.Parameter) and twin.scale.requires_grad


def test_forward_must_be_defined():
    with pytest.raises(NotImplementedError, match="Module does not define forward"):
        nn.Module()(1)


class TestParameter:
    def test_shares_memory(self):
        data = ag.zeros(2)
        p = nn.Parameter(data)
        with ag.no_grad():
            data.fill_(1.0)
        assert p.tolist() == [1.0, 1.0]
        assert p.is_leaf and p.requires_grad
        assert repr(p).startswith("Parameter containing:\ntensor([1., 1.]")

    def test_of_a_view_stays_a_view(self):
        whole = ag.zeros(2, 3)
        p = nn.Parameter(whole[0])
        with ag.no_grad():
            p.fill_(2.0)
        assert whole.tolist() == [[2.0] * 3, [0.0] * 3]

    def test_refusals(self):
        with pytest.raises(TypeError, match="made of a Tensor, got list"):
            nn.Parameter([1.0])
        with pytest.raises(TypeError, match="requires_grad=False"):
            nn.Parameter(ag.zeros(2, dtype=ag.int64))
        assert not nn.Parameter(ag.zeros(2, dtype=ag.int64), requires_grad=False).requires_grad


def test_buffers_by_assignment():
    net = Net()
    net.kept = nn.Buffer(ag.ones(2))
    net.lost = nn.Buffer(ag.ones(2), persistent=False)
    assert "kept" in net.state_dict() and "lost" not in net.state_dict()
    assert [n for n, _ in net.named_buffers()] == ["seen", "scratch", "kept", "lost"]
    net.kept = ag.zeros(2)
    assert net.state_dict()["kept"].tolist() == [0.0, 0.0]
    assert not copy.deepcopy(net).lost.persistent
    with pytest.raises(TypeError, match="made of a Tensor"):
        nn.Buffer(3)


class TestContainers:
    def test_sequential_as_a_list(self):
        s = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Sigmoid())
        assert len(s) == 3
        assert isinstance(s[-1], nn.Sigmoid)
        assert [type(m).__name__ for m in s[:2]] == ["ReLU", "Tanh"]
        s.append(nn.Identity()).insert(0, nn.Flatten())
        assert [type(m).__name__ for m in s] == ["Flatten", "ReLU", "Tanh", "Sigmoid", "Identity"]
        del s[0]
        assert list(s._modules) == ["0", "1", "2", "3"]
        s[0] = nn.GELU()
        assert isinstance(s[0], nn.GELU)
        with pytest.raises(IndexError, match="out of range for 4 modules"):
            s[4]

    def test_sequential_by_name(self):
        s = nn.Sequential({"a": nn.Linear(2, 3), "b": nn.ReLU()})
        assert list(s.state_dict()) == ["a.weight", "a.bias"]
        assert isinstance(s.b, nn.ReLU)
        assert list(s[:1]._modules) == ["a"]

    def test_module_list(self):
        layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
        assert len(list(layers.parameters())) == 6
        assert len(layers[1:]) == 2 and isinstance(layers[1:], nn.ModuleList)
        assert layers.pop() not in layers
        assert len(layers + nn.ModuleList([nn.ReLU()])) == 3
        layers.extend([nn.ReLU()])
        assert list(layers._modules) == ["0", "1", "2"]

    def test_module_dict(self):
        d = nn.ModuleDict({"x": nn.Linear(1, 1)})
        d["y"] = nn.ReLU()
        assert list(d) == ["x", "y"] and "x" in d and len(d) == 2
        assert list(d.state_dict()) == ["x.weight", "x.bias"]
        assert isinstance(d.pop("y"), nn.ReLU)
        d.clear()
        assert not list(d.items())

    def test_parameter_containers(self):
        listed = nn.ParameterList([ag.zeros(2), nn.Parameter(ag.ones(1))])
        assert list(listed.state_dict()) == ["0", "1"]
        assert isinstance(listed[0], nn.Parameter)
        named = nn.ParameterDict({"a": ag.zeros(2)})
        named["b"] = ag.ones(1)
        assert list(named.state_dict()) == ["a", "b"] and "b" in named


def test_backward_hooks_see_and_replace_gradients():
    seen = []
    layer = nn.Linear(3, 2)
    model = nn.Sequential(nn.Linear(4, 3), layer, nn.Tanh())

    def watch(module, grad_input, grad_output):
        seen.append((module, *grad_input, *grad_output))
        return (grad_input[0] * 0,)

    handle = layer.register_full_backward_hook(watch)
    x = ag.rand(5, 4)
    model(x).sum().backward()
    module, into, out = seen[0]
    assert module is layer
    slope = 1 - model(x).detach().square()
    np.testing.assert_allclose(out.numpy(), slope.numpy(), rtol=1e-6)
    np.testing.assert_allclose(into.numpy(), (slope @ layer.weight.detach()).numpy(), rtol=1e-5)
    assert not model[0].weight.grad.any() and layer.weight.grad.any()
    handle.remove()
    model(x).sum().backward()
    assert len(seen) == 1 and model[0].weight.grad.any()


def test_a_backward_hook_of_the_first_layer_gets_no_input_gradient():
    layer, seen = nn.Linear(3, 2), []
    layer.register_full_backward_hook(lambda module, into, out: seen.append((into, out)))
    layer(ag.ones(1, 3)).sum().backward()
    ((into, out),) = seen
    assert into == (None,)
    assert out[0].tolist() == [[1.0, 1.0]]


def test_backward_hooks_work_under_compile():
    layer = nn.Linear(3, 2)
    layer.register_full_backward_hook(lambda module, into, out: (into[0] * 2,))

    def slope(x):
        return ag.autograd.grad(layer(x).sum(), x)[0]

    x = ag.ones(4, 3, requires_grad=True)
    expected = 2 * layer.weight.detach().sum(0).numpy()
    for f in (slope, ag.compile(slope)):
        np.testing.assert_allclose(f(x)[0].numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["leaky_relu", "elu", "selu", "silu", "mish", "hardswish"])
def test_activations_in_place_have_the_gradient_of_those_that_are_not(name):
    def slope(x, inplace):
        y = x * 1.5
        return ag.autograd.grad(getattr(nn.functional, name)(y, inplace=inplace).sum(), x)[0]

    x = ag.linspace(-4, 4, 9).requires_grad_()
    assert slope(x, True).allclose(slope(x, False))
    assert ag.compile(lambda x: slope(x, True))(x).allclose(slope(x, False))


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: nn.LayerNorm(3, eps=-1), r"LayerNorm\(3, eps=-1\): eps must be a number in"),
        (lambda: nn.RMSNorm(3, eps=math.nan), "eps must be a number in"),
        (lambda: nn.BatchNorm1d(3, momentum=2), "momentum must be a number in"),
        (lambda: nn.InstanceNorm1d("x"), "num_features must be a whole number"),
        (lambda: nn.LSTM(3, 4, 2, dropout=1.5), "dropout must be a number in"),
        (lambda: nn.GRU(3, 4, num_layers=0), "num_layers must be a whole number"),
        (lambda: nn.Conv2d(1, 1, 3, stride=0), "stride must be at least 1"),
        (
            lambda: nn.ConvTranspose2d(1, 1, 3, output_padding=-1),
            "output_padding must be at least 0",
        ),
        (lambda: F.max_pool2d(ag.ones(1, 4, 4), 2, stride=0), "stride and dilation must be at"),
        (lambda: F.unfold(ag.ones(1, 1, 4, 4), 2, dilation=0), "dilation must be at least 1"),
        (lambda: F.pixel_shuffle(ag.ones(4, 2, 2), 1.5), "upscale_factor must be a whole number"),
        (lambda: F.hardtanh(ag.ones(2), 2, 1), "min_val 2 is above max_val 1"),
        (lambda: F.glu(ag.ones(2), dim=5), "dimension 5 is out of range"),
        (lambda: F.huber_loss(ag.ones(2), ag.ones(2), delta=0), "delta must be a number in"),
        (lambda: nn.LazyConv2d(2, 3)(ag.ones(3)), "expected an input of at least 3 dimensions"),
    ],
)
def test_numbers_outside_their_domains_are_refused(call, told):
    with pytest.raises((ValueError, IndexError), match=told):
        call()


def test_a_lazy_layer_that_failed_can_be_called_again():
    layer = nn.LazyConv2d(2, 3)
    with pytest.raises(RuntimeError, match=r"LazyConv2d.*\(f32\(3,\)\): expected an input"):
        layer(ag.ones(3))
    assert layer(ag.ones(1, 5, 5)).shape == (2, 3, 3) and isinstance(layer, nn.Conv2d)


def test_the_annotations_of_modules_can_be_evaluated():
    """fastai does it where Argand's names mean nothing."""

    class Plain(nn.Module):
        pass

    assert typing.get_type_hints(Plain(), globalns={}, localns={})["training"] is bool
    for module in (nn.CrossEntropyLoss(), nn.Linear(2, 2)):
        # Python 3.11 gives a class annotations of its own, none, when somebody asks for them.
        assert set(typing.get_type_hints(module, globalns={}, localns={}).values()) <= {bool}
