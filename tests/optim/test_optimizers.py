"""Optimizers against their update rules in float64 NumPy, and against PyTorch where installed."""

import copy
import math
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand import nn, optim
from argand.optim.group import ParamGroup

STEPS = 6


# -- the update rules, each a function of (p, g, state, t) that returns the new p -----------------


def sgd(p, g, s, t, lr=0.1, momentum=0.0, dampening=0.0, wd=0.0, nesterov=False):
    g = g + wd * p
    if momentum:
        s["b"] = g if t == 1 else momentum * s["b"] + (1 - dampening) * g
        g = g + momentum * s["b"] if nesterov else s["b"]
    return p - lr * g


def adam(p, g, s, t, lr=1e-3, b1=0.9, b2=0.999, eps=1e-8, wd=0.0, amsgrad=False, decoupled=False):
    p, g = (p * (1 - lr * wd), g) if decoupled else (p, g + wd * p)
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0) + (1 - b2) * g**2
    s["top"] = np.maximum(s.get("top", 0), s["v"]) if amsgrad else s["v"]
    return p - lr * (s["m"] / (1 - b1**t)) / (np.sqrt(s["top"] / (1 - b2**t)) + eps)


def adamax(p, g, s, t, lr=2e-3, b1=0.9, b2=0.999, eps=1e-8):
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["u"] = np.maximum(b2 * s.get("u", 0), abs(g) + eps)
    return p - lr / (1 - b1**t) * s["m"] / s["u"]


def rmsprop(p, g, s, t, lr=1e-2, alpha=0.99, eps=1e-8, momentum=0.0, centered=False):
    s["v"] = alpha * s.get("v", 0) + (1 - alpha) * g**2
    v = s["v"]
    if centered:
        s["m"] = alpha * s.get("m", 0) + (1 - alpha) * g
        v = v - s["m"] ** 2
    d = g / (np.sqrt(v) + eps)
    if momentum:
        d = s["b"] = momentum * s.get("b", 0) + d
    return p - lr * d


def adagrad(p, g, s, t, lr=1e-2, decay=0.0, eps=1e-10):
    s["sum"] = s.get("sum", 0) + g**2
    return p - lr / (1 + (t - 1) * decay) * g / (np.sqrt(s["sum"]) + eps)


def adadelta(p, g, s, t, lr=1.0, rho=0.9, eps=1e-6):
    s["v"] = rho * s.get("v", 0) + (1 - rho) * g**2
    d = np.sqrt(s.get("d", 0) + eps) / np.sqrt(s["v"] + eps) * g
    s["d"] = rho * s.get("d", 0) + (1 - rho) * d**2
    return p - lr * d


def nadam(p, g, s, t, lr=2e-3, b1=0.9, b2=0.999, eps=1e-8, decay=4e-3):
    now, later = (b1 * (1 - 0.5 * 0.96 ** (at * decay)) for at in (t, t + 1))
    s["product"] = s.get("product", 1) * now
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0) + (1 - b2) * g**2
    top = (1 - now) / (1 - s["product"]) * g + later / (1 - s["product"] * later) * s["m"]
    return p - lr * top / (np.sqrt(s["v"] / (1 - b2**t)) + eps)


def radam(p, g, s, t, lr=1e-3, b1=0.9, b2=0.999):
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0) + (1 - b2) * g**2
    longest = 2 / (1 - b2) - 1
    length = longest - 2 * t * b2**t / (1 - b2**t)
    d = s["m"] / (1 - b1**t)
    if length > 5:
        part = (length - 4) * (length - 2) * longest
        d = d * np.sqrt(part / ((longest - 4) * (longest - 2) * length))
        d = d / np.sqrt(s["v"] / (1 - b2**t))
    return p - lr * d


def rprop(p, g, s, t, lr=1e-2):
    agreement = np.sign(g * s.get("before", 0))
    size = s.get("size", np.full_like(p, lr)) * np.where(agreement > 0, 1.2, 1)
    s["size"] = np.clip(size * np.where(agreement < 0, 0.5, 1), 1e-6, 50)
    s["before"] = np.where(agreement < 0, 0, g)
    return p - np.sign(s["before"]) * s["size"]


def asgd(p, g, s, t, lr=1e-2, lambd=1e-4):
    size = lr / (1 + lambd * lr * (t - 1)) ** 0.75
    return p * (1 - lambd * size) - size * g


def lion(p, g, s, t, lr=1e-4, b1=0.9, b2=0.99, wd=0.0):
    m = s.get("m", 0)
    s["m"] = b2 * m + (1 - b2) * g
    return p - lr * (np.sign(b1 * m + (1 - b1) * g) + wd * p)


CASES = [
    ("SGD", {"lr": 0.1}, sgd, {}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}, sgd, {"momentum": 0.9}),
    (
        "SGD",
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01},
        sgd,
        {"momentum": 0.9, "dampening": 0.3, "wd": 0.01},
    ),
    (
        "SGD",
        {"lr": 0.1, "momentum": 0.9, "nesterov": True},
        sgd,
        {"momentum": 0.9, "nesterov": True},
    ),
    ("Adam", {}, adam, {}),
    ("Adam", {"weight_decay": 0.1, "betas": (0.8, 0.9)}, adam, {"wd": 0.1, "b1": 0.8, "b2": 0.9}),
    ("Adam", {"amsgrad": True, "eps": 1e-3}, adam, {"amsgrad": True, "eps": 1e-3}),
    ("AdamW", {}, adam, {"wd": 1e-2, "decoupled": True}),
    ("Adamax", {}, adamax, {}),
    ("RMSprop", {}, rmsprop, {}),
    (
        "RMSprop",
        {"centered": True, "momentum": 0.9, "alpha": 0.9},
        rmsprop,
        {"centered": True, "momentum": 0.9, "alpha": 0.9},
    ),
    ("Adagrad", {"lr_decay": 0.1}, adagrad, {"decay": 0.1}),
    ("Adadelta", {}, adadelta, {}),
    ("NAdam", {"momentum_decay": 0.1}, nadam, {"decay": 0.1}),
    ("RAdam", {"betas": (0.9, 0.95)}, radam, {"b2": 0.95}),
    ("Rprop", {}, rprop, {}),
    ("ASGD", {"lambd": 0.1}, asgd, {"lambd": 0.1}),
    ("Lion", {"lr": 0.1, "weight_decay": 0.2}, lion, {"lr": 0.1, "wd": 0.2}),
]


def ids(case):
    return f"{case[0]}{case[1] or ''}"


def gradients():
    rng = np.random.default_rng(5)
    return rng.standard_normal((STEPS, 3, 2))


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_update_rule(case):
    name, options, rule, parameters = case
    p = nn.Parameter(ag.tensor(np.linspace(-1, 1, 6).reshape(3, 2)))
    optimizer = getattr(optim, name)([p], **options)
    expected, state = p.detach().numpy().copy(), {}
    for t, g in enumerate(gradients(), 1):
        p.grad = ag.tensor(g)
        optimizer.step()
        expected = rule(expected, g, state, t, **parameters)
        np.testing.assert_allclose(p.detach().numpy(), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_maximize_turns_the_direction(case):
    name, options, rule, parameters = case
    p = nn.Parameter(ag.zeros(3, 2, dtype=ag.float64))
    optimizer = getattr(optim, name)([p], maximize=True, **options)
    g = gradients()[0]
    p.grad = ag.tensor(g)
    optimizer.step()
    expected = rule(np.zeros((3, 2)), -g, {}, 1, **parameters)
    np.testing.assert_allclose(p.detach().numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("case", [c for c in CASES if c[0] != "Lion"], ids=ids)
def test_float32_equals_torch(case):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    name, options, _, _ = case
    start = np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2)
    ours, theirs = nn.Parameter(ag.tensor(start.copy())), torch.nn.Parameter(torch.tensor(start))
    mine = getattr(optim, name)([ours], **options)
    other = getattr(torch.optim, name)([theirs], foreach=False, **options)
    for g in gradients().astype(np.float32):
        ours.grad, theirs.grad = ag.tensor(g), torch.tensor(g)
        mine.step()
        other.step()
    got, expected = ours.detach().numpy(), theirs.detach().numpy()
    np.testing.assert_allclose(got, expected, rtol=3e-7, atol=1e-7)
    saved = other.state_dict()["state"][0] if other.state_dict()["state"] else {}
    expected_keys = {k for k, v in saved.items() if v is not None}
    keys = set(mine.state_dict()["state"].get(0, {}))
    assert keys == expected_keys


def loss_of(net, x):
    return (net(x) ** 2).mean()


def trained(optimizer_of, steps=5):
    ag.manual_seed(0)
    net, x = nn.Linear(3, 2), ag.ones(4, 3)
    optimizer = optimizer_of(net)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(net, x).backward()
        optimizer.step()
    return net, optimizer, x


def test_groups_have_their_own_numbers():
    def build(net):
        return optim.SGD(
            [{"params": [net.weight]}, {"params": net.bias, "lr": 0.0}], lr=0.1, momentum=0.9
        )

    ag.manual_seed(0)
    start = nn.Linear(3, 2)
    net, optimizer, _ = trained(build)
    assert [g["lr"] for g in optimizer.param_groups] == [0.1, 0.0]
    np.testing.assert_array_equal(net.bias.detach().numpy(), start.bias.detach().numpy())
    assert not np.array_equal(net.weight.detach().numpy(), start.weight.detach().numpy())
    extra = nn.Parameter(ag.zeros(1))
    optimizer.add_param_group({"params": extra})
    assert optimizer.param_groups[2]["momentum"] == 0.9


def test_resuming_continues_exactly():
    def build(net):
        return optim.AdamW(net.parameters(), lr=0.01, amsgrad=True)

    whole, _, _ = trained(build, 8)
    half, optimizer, x = trained(build, 4)
    saved = copy.deepcopy(optimizer.state_dict())
    weights = {k: v.clone() for k, v in half.state_dict().items()}
    fresh = nn.Linear(3, 2)
    resumed = build(fresh)
    fresh.load_state_dict(weights)
    resumed.load_state_dict(saved)
    for _ in range(4):
        resumed.zero_grad()
        loss_of(fresh, x).backward()
        resumed.step()
    np.testing.assert_array_equal(fresh.weight.detach().numpy(), whole.weight.detach().numpy())


def test_loading_keeps_the_memory_of_the_state():
    net, optimizer, _ = trained(lambda n: optim.Adam(n.parameters()))
    moment = optimizer.state[net.weight]["exp_avg"]
    saved = copy.deepcopy(optimizer.state_dict())
    saved["state"][0]["exp_avg"] = ag.ones(2, 3)
    optimizer.load_state_dict(saved)
    assert optimizer.state[net.weight]["exp_avg"] is moment
    assert moment.tolist() == [[1.0] * 3] * 2


def test_state_dict_has_torchs_form():
    _, optimizer, _ = trained(lambda n: optim.Adam(n.parameters(), lr=0.5))
    saved = optimizer.state_dict()
    assert saved["param_groups"][0]["params"] == [0, 1]
    assert saved["param_groups"][0]["lr"] == 0.5
    assert set(saved["state"][0]) == {"step", "exp_avg", "exp_avg_sq"}
    assert saved["state"][0]["step"].item() == 5
    assert saved["state"][0]["step"].dtype is ag.float32


def test_load_state_dict_checks_the_groups():
    _, optimizer, _ = trained(lambda n: optim.Adam(n.parameters()))
    saved = optimizer.state_dict()
    other = optim.Adam([nn.Parameter(ag.zeros(1))])
    with pytest.raises(ValueError, match="has 2 parameters in the state dict, 1 in the optimizer"):
        other.load_state_dict(saved)
    saved["param_groups"] *= 2
    with pytest.raises(ValueError, match="2 parameter groups, the optimizer 1"):
        optimizer.load_state_dict(saved)


def test_closure_and_missing_gradients():
    p, q = nn.Parameter(ag.ones(2)), nn.Parameter(ag.ones(2))
    optimizer = optim.SGD([p, q], lr=1.0)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 2.0
    assert p.tolist() == [-1.0, -1.0] and q.tolist() == [1.0, 1.0]
    assert q not in optimizer.state
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0.0, 0.0] and q.grad is None


def test_steps_are_shared_until_parameters_part():
    p, q = nn.Parameter(ag.ones(2)), nn.Parameter(ag.ones(2))
    optimizer = optim.Adam([p, q])

    def go(*moving):
        for each in (p, q):
            each.grad = ag.ones(2) if any(each is m for m in moving) else None
        optimizer.step()
        return [optimizer.state[each]["step"] for each in (p, q)]

    first, second = go(p, q)
    assert first is second and first.item() == 1
    first, second = go(p)
    assert first is not second and (first.item(), second.item()) == (2, 1)
    go(p, q)
    assert [s.item() for s in go(q)] == [3, 3]
    saved = copy.deepcopy(optimizer.state_dict())
    fresh = optim.Adam([p, q])
    fresh.load_state_dict(saved)
    assert fresh.state[p]["step"] is fresh.state[q]["step"]
    saved["state"][1]["step"] = ag.tensor(7.0)
    optimizer.load_state_dict(saved)
    assert [optimizer.state[each]["step"].item() for each in (p, q)] == [3, 7]
    fresh.load_state_dict(saved)
    assert [fresh.state[each]["step"].item() for each in (p, q)] == [3, 7]


@pytest.mark.parametrize("make", [optim.Adam, lambda p: optim.SGD(p, 0.1, 0.9)])
def test_a_parameter_that_is_twice_in_a_group_is_updated_twice(make):
    """PyTorch warns, and a step is two updates of it by the same gradient, with two counts."""
    p, q, again = (nn.Parameter(ag.ones(2)) for _ in range(3))
    with pytest.warns(UserWarning, match="several times in a group"):
        twice = make([p, q, p])
    once, other = make([again]), make([nn.Parameter(ag.ones(2))])
    for k in range(3):
        p.grad = q.grad = again.grad = other.param_groups[0]["params"][0].grad = ag.ones(2) + k
        twice.step()
        once.step()
        once.step()
        other.step()
    assert p.tolist() == again.tolist() != q.tolist() == other.param_groups[0]["params"][0].tolist()
    saved = twice.state_dict()
    assert saved["param_groups"][0]["params"] == [2, 1, 2] and sorted(saved["state"]) == [1, 2]
    with pytest.warns(UserWarning, match="several times in a group"):
        fresh = make([p, q, p])
    fresh.load_state_dict(saved)
    if "step" in saved["state"][1]:
        assert [fresh.state[each]["step"].item() for each in (p, q)] == [6, 3]


def test_refusals():
    p = nn.Parameter(ag.ones(2))
    with pytest.raises(ValueError, match="empty parameter list"):
        optim.SGD([])
    with pytest.raises(TypeError, match="iterable of parameters"):
        optim.SGD(p)
    with pytest.raises(TypeError, match="can only optimize Tensors"):
        optim.SGD([3])
    with pytest.raises(ValueError, match="result of an operation"):
        optim.SGD([p * 2])
    with pytest.raises(ValueError, match="more than one parameter group"):
        optim.SGD([{"params": [p]}, {"params": [p]}])
    with pytest.raises(ValueError, match="did you mean momentum"):
        optim.SGD([{"params": [p], "momentun": 0.9}])
    with pytest.raises(ValueError, match=r"lr must be a number in \[0, inf\], got -1"):
        optim.Adam([p], lr=-1)
    with pytest.raises(ValueError, match=r"betas\[1\] must be a number in \[0, 1\), got 1.0"):
        optim.Adam([p], betas=(0.9, 1.0))
    with pytest.raises(ValueError, match="nesterov"):
        optim.SGD([p], nesterov=True)


class TestParamGroup:
    def test_reads_as_floats(self):
        group = ParamGroup({"params": [], "lr": 1, "betas": [0.9, 0.99], "amsgrad": False})
        assert group["lr"] == 1.0 and group["betas"] == (0.9, 0.99) and group["amsgrad"] is False
        assert dict(group) == {"params": [], "lr": 1, "betas": (0.9, 0.99), "amsgrad": False}
        assert group.get("eps", 3) == 3
        group.update(lr=0.5)
        assert group.setdefault("lr", 7) == 0.5

    def test_tensors_follow_the_numbers(self):
        group = ParamGroup({"params": [], "lr": 0.1, "betas": (0.9, 0.99)})
        tensors = group.tensors()
        assert list(tensors) == ["lr", "betas.0", "betas.1"]
        group["lr"], group["betas"] = 0.2, (0.5, 0.6)
        assert [t.item() for t in tensors.values()] == [0.2, 0.5, 0.6]
        assert all(t.dtype is ag.float64 for t in tensors.values())

    def test_structure_changes_with_what_decides_the_operations(self):
        group = ParamGroup({"params": [], "lr": 0.1, "weight_decay": 0.0, "nesterov": False})
        before = group.__argand_state__().structure
        group["lr"] = 0.2
        assert group.__argand_state__().structure == before
        group["weight_decay"] = 0.1
        assert group.__argand_state__().structure != before

    def test_copies(self):
        group = ParamGroup({"params": [], "lr": 0.1})
        twin = copy.deepcopy(group)
        twin["lr"] = 0.3
        assert group["lr"] == 0.1 and group.tensors()["lr"].item() == 0.1


def test_learning_rate_of_a_tensor_and_nan():
    p = nn.Parameter(ag.ones(1))
    assert optim.SGD([p], lr=ag.tensor(0.25)).param_groups[0]["lr"] == 0.25
    with pytest.raises(ValueError, match="got nan"):
        optim.SGD([p], lr=math.nan)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda saved: saved.pop("param_groups"), "expected what an optimizer's state_dict"),
        (lambda saved: saved.update(state=3), "expected what an optimizer's state_dict"),
        (lambda saved: saved["state"].update({0: 5}), "state of parameter 0 must be a dictionary"),
        (
            lambda saved: saved["state"][1].update(exp_avg=ag.ones(7)),
            r"'exp_avg' of parameter 1 has shape \(7,\), the parameter \(2,\)",
        ),
        (lambda saved: saved["state"][0].update(step="x"), "'step' of parameter 0"),
        (lambda saved: saved["param_groups"][0].update(betas=3), "'betas' of parameter group 0"),
        (lambda saved: saved["param_groups"][0].update(params=["a", "b"]), "expected what"),
    ],
)
def test_a_damaged_state_dict_is_refused_whole(damage: Any, told: str) -> None:
    params = [nn.Parameter(ag.ones(3)), nn.Parameter(ag.ones(2))]
    opt = optim.Adam(params, lr=0.1)
    for p in params:
        p.grad = ag.ones(*p.shape)
    opt.step()
    saved = copy.deepcopy(opt.state_dict())
    saved["param_groups"][0]["lr"] = 7.0
    damage(saved)
    with pytest.raises(ValueError, match=told):
        opt.load_state_dict(saved)
    assert opt.param_groups[0]["lr"] == 0.1
    assert opt.state[params[0]]["step"].item() == 1


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda opt: optim.Adagrad(opt.param_groups[0]["params"], eps=-1), "eps must be a number"),
        (lambda opt: optim.Adadelta(opt.param_groups[0]["params"], rho=2), r"rho .* in \[0, 1\]"),
        (lambda opt: optim.lr_scheduler.StepLR(opt, 0), "step_size must be a whole number"),
        (lambda opt: optim.lr_scheduler.StepLR(opt, 1.5), "step_size must be a whole number"),
        (lambda opt: optim.lr_scheduler.LinearLR(opt, total_iters=0), "total_iters"),
        (lambda opt: optim.lr_scheduler.CosineAnnealingLR(opt, 0), "T_max"),
        (lambda opt: optim.lr_scheduler.ExponentialLR(opt, float("nan")), "gamma .* got nan"),
        (lambda opt: optim.lr_scheduler.OneCycleLR(opt, 0.1, pct_start=2, total_steps=3), "pct"),
        (lambda opt: optim.lr_scheduler.ReduceLROnPlateau(opt, patience=-1), "patience"),
    ],
)
def test_numbers_outside_their_domains_are_refused(make: Any, told: str) -> None:
    opt = optim.SGD([nn.Parameter(ag.ones(1))], lr=0.1)
    with pytest.raises(ValueError, match=told):
        make(opt)


class TestOptions:
    def test_one_without_effect_says_so_once(self):
        p = nn.Parameter(ag.ones(1))
        with pytest.warns(UserWarning, match=r"Adamax\(foreach=True\) has no effect"):
            opt = optim.Adamax([p], foreach=True)
        assert optim.Adamax([p], foreach=True).param_groups[0]["foreach"] is True
        assert opt.defaults["capturable"] is False
        with pytest.raises(RuntimeError, match="can't both be True"):
            optim.SGD([p], fused=True, foreach=True)

    def test_options_of_the_user_are_stored(self):
        p = nn.Parameter(ag.ones(1))
        opt = optim.SGD([{"params": [p], "name": "head", "lr_scale": 0.5}], lr=0.1)
        assert opt.param_groups[0]["name"] == "head"
        assert opt.state_dict()["param_groups"][0]["lr_scale"] == 0.5

    def test_names(self):
        layer = nn.Linear(2, 1)
        opt = optim.SGD(layer.named_parameters(), lr=0.1)
        assert opt.param_groups[0]["param_names"] == ["weight", "bias"]
        with pytest.raises(ValueError, match="all parameter groups have names or none"):
            opt.add_param_group({"params": [nn.Parameter(ag.ones(1))]})
        with pytest.raises(TypeError, match="in a set"):
            optim.SGD([{"params": set(layer.parameters())}])
        with pytest.raises(TypeError, match="a parameter group is a dict"):
            opt.add_param_group(layer.weight)


class TestHooks:
    def test_around_a_step(self):
        seen = []
        p = nn.Parameter(ag.ones(1))
        opt = optim.SGD([p], lr=1.0)
        before = opt.register_step_pre_hook(lambda o, args, kwargs: seen.append("before"))
        opt.register_step_post_hook(lambda o, args, kwargs: seen.append((o is opt, p.item())))
        p.grad = ag.ones(1)
        opt.step()
        before.remove()
        opt.step()
        assert seen == ["before", (True, 0.0), (True, -1.0)]
        opt.register_step_pre_hook(lambda o, args, kwargs: "x")
        with pytest.raises(RuntimeError, match="returns None or a tuple"):
            opt.step()

    def test_arguments_and_a_step_of_the_users(self):
        calls = []

        class Mine(optim.SGD):
            def step(self, closure=None):
                calls.append("mine")
                return super().step(closure)

        p = nn.Parameter(ag.ones(1))
        opt = Mine([p], lr=1.0)
        opt.register_step_pre_hook(lambda o, args, kwargs: ((lambda: "loss",), kwargs))
        opt.register_step_post_hook(lambda o, args, kwargs: calls.append(len(args)))
        assert opt.step() == "loss"
        assert calls == ["mine", 1]

    def test_around_saving_and_loading(self):
        p = nn.Parameter(ag.ones(1))
        opt, seen = optim.SGD([p], lr=1.0), []
        opt.register_state_dict_pre_hook(lambda o: seen.append("saving"))
        opt.register_state_dict_post_hook(lambda o, saved: {**saved, "version": 2})
        opt.register_load_state_dict_pre_hook(lambda o, saved: saved["inner"])
        opt.register_load_state_dict_post_hook(lambda o: seen.append(o.param_groups[0]["lr"]))
        opt.register_load_state_dict_post_hook(lambda o: seen.append("first"), prepend=True)
        saved = opt.state_dict()
        assert saved["version"] == 2
        saved["param_groups"][0]["lr"] = 0.25
        opt.load_state_dict({"inner": saved})
        assert seen == ["saving", "first", 0.25]


def test_loading_drops_what_was_not_saved():
    """As PyTorch: the state is the saved one, not a mixture."""
    p = nn.Parameter(ag.ones(2))
    opt = optim.Adam([p], amsgrad=True)
    start = copy.deepcopy(opt.state_dict())
    p.grad = ag.ones(2)
    opt.step()
    plain = copy.deepcopy(opt.state_dict())
    del plain["state"][0]["max_exp_avg_sq"]
    opt.load_state_dict(plain)
    assert set(opt.state[p]) == {"step", "exp_avg", "exp_avg_sq"}
    opt.load_state_dict(start)
    assert opt.state_dict()["state"] == {}


class Averaged(optim.Optimizer):
    """An optimizer as programs write them, with a step and any state of its own."""

    def step(self, closure=None):
        with ag.no_grad():
            for p in self.param_groups[0]["params"]:
                state = self.state[p]
                if not state:
                    state.update(
                        step=0, rows=ag.zeros(3), kind="mean", seen={"last": [1, ag.ones(2)]}
                    )
                state["step"] += 1
                state["rows"] += p.grad.mean()
                p.sub_(p.grad / state["step"])


def test_a_state_of_its_own_is_loaded_as_it_was_saved():
    p = nn.Parameter(ag.ones(2))
    opt = Averaged([p], {"lr": 1.0})
    p.grad = ag.ones(2)
    opt.step()
    saved = copy.deepcopy(opt.state_dict())
    opt.step()
    opt.load_state_dict(saved)
    opt.step()
    state = opt.state[p]
    assert state["step"] == 2
    assert type(state["step"]) is int
    assert (state["kind"], state["rows"].tolist()) == ("mean", [2.0] * 3)
    assert state["seen"]["last"][1].tolist() == [1.0, 1.0]
    assert p.tolist() == [-1.0, -1.0]
    assert saved["state"][0]["rows"].tolist() == [1.0] * 3


def test_a_default_dtype_of_float64_counts_in_float64():
    ag.set_default_dtype(ag.float64)
    try:
        p = nn.Parameter(ag.ones(2))
        opt = optim.NAdam([p])
        p.grad = ag.ones(2)
        opt.step()
        assert {opt.state[p][k].dtype for k in ("step", "mu_product")} == {ag.float64}
    finally:
        ag.set_default_dtype(ag.float32)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_parameters_are_pairs_of_real_ones(dtype):
    """Every rule moves real and imaginary parts as if they were parameters of their own."""
    rng = np.random.default_rng(0)
    for name in ("SGD", "Adam", "Adagrad", "Rprop", "Lion", "ASGD"):
        start = (rng.standard_normal(3) + 1j * rng.standard_normal(3)).astype(dtype)
        p = nn.Parameter(ag.tensor(start.copy()))
        q = nn.Parameter(ag.view_as_real(ag.tensor(start.copy())).clone())
        ours, parts = getattr(optim, name)([p], lr=0.1), getattr(optim, name)([q], lr=0.1)
        for _ in range(3):
            g = ag.tensor((rng.standard_normal(3) + 1j * rng.standard_normal(3)).astype(dtype))
            p.grad, q.grad = g, ag.view_as_real(g).clone()
            ours.step()
            parts.step()
        got = ag.view_as_real(p.detach()).numpy()
        np.testing.assert_array_equal(got, q.detach().numpy(), err_msg=name)


def test_a_tensor_that_a_step_puts_into_a_group_stays_that_tensor() -> None:
    class Counting(ag.optim.Optimizer):
        @ag.no_grad()
        def step(self, closure: Any = None) -> None:
            for group in self.param_groups:
                if "count" not in group:
                    group["count"] = ag.zeros((), dtype=ag.float64)
                group["count"].add_(1)
                for p in group["params"]:
                    p.sub_(p.grad * group["lr"] * group["count"].item())

    x = ag.ones(2, requires_grad=True)
    optimizer = Counting([x], {"lr": 0.5})
    for _ in range(2):
        optimizer.zero_grad()
        x.sum().backward()
        optimizer.step()
    assert optimizer.param_groups[0]["count"].item() == 2 and x.tolist() == [-0.5, -0.5]
    optimizer.param_groups[0]["count"] = ag.ones(3)
    optimizer.param_groups[0]["count"] = 4.0
    assert optimizer.param_groups[0]["count"] == 4.0
    other = ag.optim.SGD([x], lr=ag.tensor(0.25))
    assert other.param_groups[0]["lr"] == 0.25 and isinstance(other.param_groups[0]["lr"], float)
