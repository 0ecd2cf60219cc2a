"""The same program with and without `@ag.compile`: what it returns, and what it leaves.

Each case takes the decorator, `ag.compile` or one that does nothing, and gives what it has seen.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import types
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand import nn, optim
from argand.base.errors import TraceError
from argand.utils.checkpoint import checkpoint

Decorator = Callable[[Any], Any]
CASES: list[Callable[[Decorator], Any]] = []


def case(function: Callable[[Decorator], Any]) -> Callable[[Decorator], Any]:
    """Adds a case."""
    CASES.append(function)
    return function


def eager(function: Any) -> Any:
    """The decorator that does nothing."""
    return function


def seen(x: Any) -> Any:
    """Tensors as lists, rounded as float32 allows, with their dtypes and whether they want a
    gradient; and the types of what is no tensor."""
    if isinstance(x, ag.Tensor):
        numbers = np.round(x.detach().double().numpy(), 4).tolist()
        return numbers, str(x.dtype), x.requires_grad
    if isinstance(x, list | tuple):
        return [type(x).__name__, *map(seen, x)]
    return type(x).__name__, x


# -- tensors made of data --------------------------------------------------------------------------


@case
def sums_that_start_at_a_tensor(compiled: Decorator) -> Any:
    @compiled
    def total(xs: Any) -> Any:
        t = ag.tensor(0.0)
        for v in xs:
            t += v
        return t

    first = total([ag.tensor(3.0)])
    return first, total([ag.tensor(7.0)]), first


@case
def losses_that_are_added_up(compiled: Decorator) -> Any:
    net = nn.Linear(1, 1)
    opt = optim.SGD(net.parameters(), lr=0.1)

    @compiled
    def step(batches: Any) -> Any:
        loss = ag.tensor(0.0)
        for x in batches:
            loss += net(x).square().mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        return loss.detach()

    return [step([ag.ones(2, 1)]) for _ in range(4)]


@case
def a_result_made_of_data_is_the_callers(compiled: Decorator) -> Any:
    f = compiled(lambda x: ag.tensor([1.0, 2.0]))
    f(ag.ones(1)).add_(5)
    return f(ag.ones(1)), compiled(lambda x: ag.tensor([0, 2, 1]).tolist())(ag.ones(1))


@case
def a_state_made_of_data(compiled: Decorator) -> Any:
    class Kept:
        h: Any = None

    @compiled
    def step(x: Any) -> Any:
        if Kept.h is None:
            Kept.h = ag.tensor([0.0, 0.0])
        Kept.h += x
        return Kept.h * 1

    found = [step(ag.ones(2)) for _ in range(2)]
    Kept.h = None
    return [*found, step(ag.ones(2))]


# -- arguments -------------------------------------------------------------------------------------


@case
def the_order_of_keywords(compiled: Decorator) -> Any:
    @compiled
    def chain(x: Any, **ops: Any) -> Any:
        for name, v in ops.items():
            x = x * v if name == "mul" else x + v
        return x

    x = ag.ones(1)
    return chain(x, mul=2.0, add=1.0), chain(x, add=1.0, mul=2.0), chain(x, mul=2.0, add=1.0)


@case
def a_float_that_is_asked_what_it_is(compiled: Decorator) -> Any:
    x = ag.ones(1)
    table = {0.5: 2.0, 1.0: 3.0}
    held: dict[Any, int] = {}

    @compiled
    def memo(x: Any, s: float) -> Any:
        held[s] = 1
        return x * s

    memo(x, 0.5)
    return [
        compiled(lambda x, s: x * s if isinstance(s, float) else x * 0)(x, 0.5),
        compiled(lambda x, s: x * s if isinstance(s * 2, float) else x * 0)(x, 0.5),
        compiled(lambda x, s: (s in {0.5}, str(s), f"{s:.1f}", table.get(s)))(x, 0.5),
        compiled(lambda x, s: x if s.is_integer() else -x)(x, 2.0),
        compiled(lambda x, s: ag.where(x > 0, s, 0.0))(x, 0.5),
        compiled(lambda x, s: ag.where(x > 0, s, s * 2))(x, 0.5),
        [type(k).__name__ for k in held],
        *[compiled(lambda x, s: x * s + s * 2)(x, float(s)) for s in range(4)],
    ]


@case
def a_number_that_becomes_an_input(compiled: Decorator) -> Any:
    cfg = types.SimpleNamespace(t=1.0)
    f = compiled(lambda x: x * cfg.t if isinstance(cfg.t, float) else x * 0)
    found = []
    for k in range(6):
        cfg.t = 1.0 + k
        found.append(f(ag.ones(1)))
    return found


class _Spec:
    def __init__(self, name: str, gain: float) -> None:
        self.name, self.gain = name, gain

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Spec) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


class _Name(str):
    k = 0.0


@case
def constants_that_are_equal_but_differ(compiled: Decorator) -> Any:
    x = ag.ones(1)
    gain = compiled(lambda x, c: x * c.gain)
    stop = compiled(lambda x, r: x * r.stop)
    text = compiled(lambda x, d: (str(d), x)[0])
    hour = compiled(lambda x, d: x * d.hour)
    kinds = compiled(lambda x, s: [type(i).__name__ for i in s])
    named = compiled(lambda x, n: x * n.k)
    a, b = _Name("n"), _Name("n")
    a.k, b.k = 1.0, 2.0
    zone = datetime.timezone(datetime.timedelta(hours=1))
    noon = datetime.datetime(2020, 1, 1, 12, tzinfo=datetime.UTC)
    return [
        [gain(x, _Spec("a", g)) for g in (2.0, 3.0, 2.0)],
        [stop(x, range(0, n, 2)) for n in (3, 4)],
        [text(x, decimal.Decimal(t)) for t in ("1.0", "1.00")],
        [hour(x, t) for t in (noon, noon.astimezone(zone))],
        [kinds(x, frozenset([t])) for t in (True, 1, 1.0)],
        [named(x, n) for n in (a, b)],
    ]


@case
def what_an_argument_is_beside_its_numbers(compiled: Decorator) -> Any:
    def vector() -> Any:
        return ag.tensor([1.0, 2.0])

    a, b, c = vector().requires_grad_(), vector().requires_grad_(), vector()
    b.register_hook(lambda g: g * 10)
    c.scale = 5.0

    @compiled
    def gradient(x: Any) -> Any:
        x.grad = None
        (x * x).sum().backward()
        return x.grad * 1

    scaled = compiled(lambda x: x * getattr(x, "scale", 1.0))
    kind = compiled(lambda x: isinstance(x, nn.Parameter))
    leaf = compiled(lambda x: x.is_leaf)
    return [
        [gradient(x) for x in (a, b, a)],
        [scaled(x) for x in (vector(), c, vector())],
        [kind(x) for x in (vector().requires_grad_(), nn.Parameter(vector()))],
        [leaf(x) for x in (a, a * 2, a, vector())],
    ]


@case
def which_tensor_an_argument_is(compiled: Decorator) -> Any:
    w = ag.ones(2)

    class Kept:
        last: Any = None

    @compiled
    def repeats(x: Any) -> Any:
        y = x * 100 if x is Kept.last else x * 2
        Kept.last = x
        return y

    f = compiled(lambda x: x * 100 if x is w else x * 2)
    same = compiled(lambda a, b: a is b)
    a, b = ag.ones(2), ag.ones(2)
    v = a[:1]
    return [
        [f(x) for x in (ag.ones(2), w, ag.ones(2))],
        [repeats(x) for x in (a, a, b, b, b)],
        [same(a[:1], a[:1]), same(v, v), same(a, b), same(a, a)],
    ]


# -- errors that the function catches --------------------------------------------------------------


@case
def an_error_that_a_symbol_would_raise(compiled: Decorator) -> Any:
    w = ag.ones(3, 1)

    @compiled
    def f(x: Any) -> Any:
        try:
            return x @ w
        except RuntimeError:
            return ag.zeros(1, 1)

    return [f(ag.ones(1, n)) for n in (4, 5, 3, 6)]


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x * x.sum().item(),
        lambda x: x * 2 if x.sum() > 0 else x,
        lambda x: x[x > 1],
        lambda x: [x * float(i) for i in x],
    ],
)
def test_a_refusal_that_the_function_catches_is_raised_all_the_same(read: Any) -> None:
    @ag.compile
    def f(x: Any) -> Any:
        try:
            return read(x)
        except Exception:
            return x * 0

    with pytest.raises(TraceError, match=r"while (the function|it) is traced"):
        f(ag.tensor([1.0, 2.0]))


def test_a_float_that_passes_for_one_stays_an_input() -> None:
    f = ag.compile(lambda x, s: x * s if isinstance(s, float) else x * 0)
    assert [f(ag.ones(1), s / 8).item() for s in range(40)] == [s / 8 for s in range(40)]
    assert len(f.specialisations) == 1


def test_a_float_that_is_taken_apart_inside_a_try() -> None:
    @ag.compile
    def f(x: Any, s: float) -> Any:
        try:
            return x * int(s)
        except Exception:
            return x * 0

    assert [f(ag.ones(1), s).item() for s in (2.5, 3.5)] == [2.0, 3.0]


# -- state -----------------------------------------------------------------------------------------


@case
def parameters_frozen_for_a_while(compiled: Decorator) -> Any:
    net = nn.Linear(1, 1)

    @compiled
    def generate(z: Any) -> Any:
        net.requires_grad_(False)
        y = net(z).mean()
        net.requires_grad_(True)
        return y

    found = [(generate(ag.ones(1, 1)), [p.requires_grad for p in net.parameters()])]
    return [*found, (generate(ag.ones(1, 1)), [p.requires_grad for p in net.parameters()])]


@case
def what_starts_to_want_a_gradient(compiled: Decorator) -> Any:
    w, x = ag.ones(1), ag.ones(2)

    @compiled
    def toggle(x: Any) -> Any:
        w.requires_grad = not w.requires_grad
        return x * 1

    @compiled
    def wanting(x: Any) -> Any:
        x.requires_grad_()
        return (x * x).sum()

    found = []
    for _ in range(4):
        toggle(x)
        found.append(w.requires_grad)
    y = wanting(x)
    return found, y, x


@case
def the_state_of_an_optimizer_that_is_cleared(compiled: Decorator) -> Any:
    w, u = ag.zeros(1).requires_grad_(), ag.zeros(1).requires_grad_()
    opt = optim.SGD([w], lr=1.0, momentum=0.9)

    @compiled
    def step() -> None:
        opt.zero_grad()
        (w + u).sum().backward()
        opt.step()

    step()
    step()
    opt.state.clear()
    step()
    found = [w.clone(), len(opt.state)]
    opt.state[w]["momentum_buffer"] = ag.ones(1) * 5
    step()
    found.append(w.clone())
    opt.param_groups[0]["params"].append(u)
    step()
    return [*found, w, u]


@case
def hooks_that_read_what_changes(compiled: Decorator) -> Any:
    w, k = ag.ones(1).requires_grad_(), [1.0]
    w.register_hook(lambda g: g * k[0])

    @compiled
    def gradient(x: Any) -> Any:
        w.grad = None
        (w * x).sum().backward()
        return w.grad * 1

    found = [gradient(ag.ones(1))]
    k[0] = 7.0
    found.append(gradient(ag.ones(1)))
    net = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    f = compiled(lambda x: net(x).sum())
    for _ in range(3):
        net.zero_grad()
        f(ag.ones(1, 2)).backward()
        found.append(net[0].weight.grad)
        handle = net[1].register_full_backward_hook(lambda m, gi, go: (gi[0] * 2,))
    handle.remove()
    net.zero_grad()
    f(ag.ones(1, 2)).backward()
    return [*found, net[0].weight.grad]


@case
def a_backward_that_reads_what_changes(compiled: Decorator) -> Any:
    strength = [0.0]

    class Reverse(ag.autograd.Function):
        @staticmethod
        def forward(ctx: Any, v: Any) -> Any:
            return v.clone()

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return -g * strength[0]

    f = compiled(lambda v: Reverse.apply(v).sum())
    found = []
    for k in (0.0, 1.0, 2.0):
        strength[0] = k
        v = ag.ones(1).requires_grad_()
        f(v).backward()
        found.append(v.grad)
    return found


@case
def an_order_that_moves(compiled: Decorator) -> Any:
    d = OrderedDict(a=1.0, b=2.0, c=3.0)

    @compiled
    def oldest(v: Any) -> Any:
        d.move_to_end(next(iter(d)))
        return v * next(iter(d.values()))

    return [oldest(ag.ones(1)) for _ in range(4)], list(d)


@case
def an_attribute_of_the_function_itself(compiled: Decorator) -> Any:
    @compiled
    def f(v: Any) -> Any:
        f.calls += 1
        return v * f.calls

    f.calls = 0
    return [f(ag.ones(1)) for _ in range(3)], f.calls


class _Mode(enum.Enum):
    A = {"k": 1.0}  # noqa: RUF012


@case
def containers_that_show_others(compiled: Decorator) -> Any:
    class Held:
        k = 1.0

    x, d, o = ag.ones(1), {"k": 1.0}, Held()
    _Mode.A.value["k"] = 1.0
    proxy, values, members = types.MappingProxyType(d), d.values(), frozenset([o])
    by_key, by_value = weakref.WeakKeyDictionary({o: 1.0}), weakref.WeakValueDictionary({"o": o})
    functions = [
        compiled(lambda x: x * proxy["k"]),
        compiled(lambda x: x * sum(values)),
        compiled(lambda x: x * by_key[o]),
        compiled(lambda x: x * by_value["o"].k),
        compiled(lambda x: x * _Mode.A.value["k"]),
        compiled(lambda x: x * sum(i.k for i in members)),
    ]
    found = [f(x) for f in functions]
    d["k"] = by_key[o] = o.k = _Mode.A.value["k"] = 2.0
    return [*found, *[f(x) for f in functions]]


@case
def sets_and_sizes_among_the_results(compiled: Decorator) -> Any:
    f = compiled(lambda v: (v, {1, 2}))
    f(ag.ones(1))[1].add(99)
    sizes = compiled(lambda v: [*{v.shape: 1}])
    return f(ag.ones(1))[1], [tuple(sizes(ag.ones(n))[0]) for n in (2, 3, 4)]


@case
def a_checkpoint_with_the_backward_outside(compiled: Decorator) -> Any:
    net = nn.Linear(1, 1)
    f = compiled(lambda v: checkpoint(net, v, use_reentrant=False).sum())
    f(ag.ones(2, 1)).backward()
    return net.weight.grad, net.bias.grad


@case
def a_checkpoint_that_is_watched_for_anomalies(compiled: Decorator) -> Any:
    net = nn.Linear(1, 1)

    @compiled
    def f(v: Any) -> Any:
        with ag.autograd.detect_anomaly():
            return checkpoint(net, v, use_reentrant=False).sum()

    f(ag.ones(2, 1)).backward()
    return net.weight.grad, net.bias.grad


@case
def what_is_rounded_wants_a_gradient(compiled: Decorator) -> Any:
    w = ag.tensor([0.5, 1.5]).requires_grad_()
    y, z = compiled(lambda w: (w.floor(), (w // 2) * w))(w)
    y.sum().backward()
    before = w.grad
    z.sum().backward()
    return y, z, before, w.grad


@case
def a_compiled_module_inside_a_module(compiled: Decorator) -> Any:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(2, 1)
            self.net = compiled(nn.Sequential(nn.Linear(1, 2), nn.Dropout(0.5)))

        def forward(self, x: Any) -> Any:
            return self.head(self.net(x))

    outer = Outer()
    opt = optim.SGD(outer.parameters(), lr=0.1)
    outer.eval()
    for _ in range(2):
        opt.zero_grad()
        outer(ag.ones(3, 1)).sum().backward()
        opt.step()
    names = list(outer.state_dict())
    first = outer.net[0].weight, len(outer.net), outer.net.training, list(outer.net.children())[1].p
    outer.double()
    return [names, *first, outer(ag.ones(3, 1, dtype=ag.float64)), len(list(outer.parameters()))]


@case
def a_module_called_by_its_bound_method(compiled: Decorator) -> Any:
    class Net(nn.Module):
        k = 1.0

        def forward(self, v: Any) -> Any:
            return v * self.k

    net = Net()
    call = compiled(net.__call__)
    found = [call(ag.ones(1))]
    net.k = 5.0
    return [*found, call(ag.ones(1))]


def test_an_iterator_among_the_arguments_is_refused_or_handed_back() -> None:
    items = iter([1.0, 2.0])
    with pytest.raises(TraceError, match="the iterator it is advanced"):
        ag.compile(lambda x, it: x * next(it))(ag.ones(1), items)
    _, back = ag.compile(lambda x, it: (x * 1, it))(ag.ones(1), items)
    assert back is items and next(items) == 1.0


def test_submodules_are_not_added_inside() -> None:
    net = nn.Sequential(nn.Identity())

    @ag.compile
    def grow(v: Any) -> Any:
        y = net(v)
        net.append(nn.ReLU())
        return y

    with pytest.raises(TraceError, match="adds, replaces or removes a submodule"):
        grow(ag.ones(1))
    assert len(net) == 1


def test_what_is_set_on_a_compiled_module_is_set_on_the_module() -> None:
    net = nn.Linear(1, 1)
    compiled = ag.compile(net)
    compiled.gain = 3.0
    assert net.gain == 3.0 and compiled.gain == 3.0
    del compiled.gain
    assert not hasattr(net, "gain")
    assert isinstance(compiled, nn.Linear) and bool(compiled)
    with pytest.raises(TypeError, match="has no len"):
        len(compiled)


@pytest.mark.parametrize("run", CASES, ids=lambda f: f.__name__)
def test_a_compiled_function_does_what_it_does_eagerly(run: Callable[[Decorator], Any]) -> None:
    ag.manual_seed(0)
    want = seen(run(eager))
    ag.manual_seed(0)
    assert seen(run(ag.compile)) == want
