"""Take the decorator away and the results are the same, whatever changes between two calls.

Each case makes a function and a list of changes. The function runs eagerly and compiled, on two
sets of objects made alike, with a change between any two calls; results and state must be equal.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import copy
import dataclasses
import enum
import functools
import operator
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from between_calls import Case, Cases, Net, Plain, check_case, putter, setter, vector

import argand as ag
import argand.nn.functional as F  # PyTorch's name
from argand import nn, optim

CASES: Cases = {}


def case(make: Callable[[], Any]) -> Callable[[], Any]:
    CASES[make.__name__] = make
    return make


# -- what Python reads: globals, closures, attributes ---------------------------------------------

SCALE = 2.0
TABLE = {"a": 1.0, "inner": {"b": [1.0, 2.0]}}
LEVEL = types.ModuleType("level")
LEVEL.gain = 1.5  # type: ignore[attr-defined]


def set_global(name: str, value: Any) -> None:
    globals()[name] = value


@case
def a_global_number() -> Case:
    set_global("SCALE", 2.0)
    changes = [functools.partial(set_global, "SCALE", v) for v in (3.0, True, 1, 1.0, -0.0, 0.0)]
    return lambda x: x / SCALE if SCALE else x * SCALE / x, changes


@case
def a_global_dictionary() -> Case:
    set_global("TABLE", {"a": 1.0, "inner": {"b": [1.0, 2.0]}})
    table: Any = TABLE
    changes = [
        *putter(table, "a", 5.0),
        *putter(table["inner"], "c", 2.0),
        *putter(table["inner"]["b"], 1, 7.0),
        lambda: table["inner"]["b"].append(4.0),
    ]
    return lambda x: x * TABLE["a"] + sum(TABLE["inner"]["b"]) + len(TABLE["inner"]), changes


@case
def an_attribute_of_a_module_of_code() -> Case:
    level: Any = LEVEL
    level.gain = 1.5
    return lambda x: x * LEVEL.gain, setter(level, "gain", 2.5, 3)


@case
def a_global_function() -> Case:
    set_global("helper", lambda x: x * 2)
    changes = [functools.partial(set_global, "helper", f) for f in (ag.exp, lambda x: x - 1)]
    return lambda x: helper(x), changes  # type: ignore[name-defined]  # noqa: F821


@case
def a_closure() -> Case:
    scale = 2

    def change(value: Any) -> None:
        nonlocal scale
        scale = value

    return lambda x: x * scale, [functools.partial(change, v) for v in (3, 2, 2.0, True)]


@case
def a_variable_two_functions_out() -> Case:
    scale = 2.0

    def outer() -> Any:
        def inner(x: Any) -> Any:
            return (lambda y: y * scale)(x)

        return inner

    def change(value: float) -> None:
        nonlocal scale
        scale = value

    return outer(), [functools.partial(change, 4.0)]


@case
def an_attribute_of_an_object() -> Case:
    cfg = Plain(gain=2.0, name="a")
    changes = [*setter(cfg, "gain", 3.0), *setter(cfg, "name", "b")]
    return lambda x: x * cfg.gain if cfg.name == "a" else x - cfg.gain, changes


@case
def an_attribute_of_a_nested_object() -> Case:
    cfg = Plain(inner=Plain(deep=Plain(gain=2.0)))
    other = Plain(deep=Plain(gain=9.0))
    changes = [*setter(cfg.inner.deep, "gain", 3.0), *setter(cfg, "inner", other)]
    changes += setter(other.deep, "gain", 1.0)
    return lambda x: x * cfg.inner.deep.gain, changes


@case
def an_attribute_through_a_local_variable() -> Case:
    cfg = Plain(inner=Plain(gain=2.0))

    def f(x: Any) -> Any:
        part = cfg.inner
        return x * part.gain

    return f, setter(cfg.inner, "gain", 5.0)


@case
def an_attribute_read_by_getattr() -> Case:
    cfg = Plain(gain=2.0)
    return lambda x: x * getattr(cfg, "gain"), setter(cfg, "gain", 5.0)  # noqa: B009


@case
def an_attribute_that_may_be_missing() -> Case:
    cfg = Plain()
    changes = [*setter(cfg, "gain", 5.0), functools.partial(delattr, cfg, "gain")]
    return lambda x: x * getattr(cfg, "gain", 1.0), changes


@case
def an_attribute_asked_for_by_hasattr() -> Case:
    cfg = Plain()
    return lambda x: x * 2 if hasattr(cfg, "on") else x, setter(cfg, "on", 1)


@case
def an_attribute_read_by_a_helper() -> Case:
    cfg = Plain(gain=2.0)

    def helper(c: Any, x: Any) -> Any:
        return x * c.gain

    return lambda x: helper(cfg, x), setter(cfg, "gain", 5.0)


@case
def objects_in_a_list() -> Case:
    parts = [Plain(gain=2.0), Plain(gain=3.0)]

    def f(x: Any) -> Any:
        for part in parts:
            x = x * part.gain
        return x

    changes = [*setter(parts[1], "gain", 5.0), lambda: parts.append(Plain(gain=0.5))]
    return f, [*changes, parts.reverse, lambda: parts.pop() and None]


@case
def a_class_attribute() -> Case:
    class Config:
        gain = 2.0

    return lambda x: x * Config.gain, setter(Config, "gain", 3.0, 2)


@case
def a_class_attribute_through_an_object() -> Case:
    class Config:
        gain = 2.0

    cfg = Config()
    changes = [*setter(Config, "gain", 3.0), *setter(cfg, "gain", 4.0)]
    return lambda x: x * cfg.gain, [*changes, lambda: delattr(cfg, "gain")]


@case
def an_inherited_class_attribute() -> Case:
    class Base:
        gain = 2.0

    class Config(Base):
        pass

    cfg = Config()
    changes = [*setter(Base, "gain", 3.0), *setter(Config, "gain", 4.0)]
    return lambda x: x * cfg.gain, changes


@case
def a_method_that_is_replaced() -> Case:
    class Agent:
        def act(self, x: Any) -> Any:
            return x * 2

    agent = Agent()
    changes = [*setter(Agent, "act", lambda self, x: x * 3), *setter(agent, "act", ag.exp)]
    return lambda x: agent.act(x), changes


@case
def a_property() -> Case:
    class Config:
        def __init__(self) -> None:
            self._gain = 2.0

        @property
        def gain(self) -> float:
            return self._gain * 2

    cfg = Config()
    return lambda x: x * cfg.gain, setter(cfg, "_gain", 3.0)


@case
def a_class_method_and_a_static_method() -> Case:
    class Config:
        gain = 2.0

        @classmethod
        def scaled(cls, x: Any) -> Any:
            return x * cls.gain

        @staticmethod
        def shifted(x: Any) -> Any:
            return x + SCALE

    set_global("SCALE", 2.0)
    changes = [*setter(Config, "gain", 3.0), functools.partial(set_global, "SCALE", 7.0)]
    return lambda x: Config.scaled(x) + Config.shifted(x), changes


@case
def slots() -> Case:
    class Config:
        __slots__ = ("gain",)

    cfg = Config()
    cfg.gain = 2.0
    return lambda x: x * cfg.gain, setter(cfg, "gain", 3.0)


@case
def a_dataclass() -> Case:
    @dataclasses.dataclass
    class Config:
        gain: float = 2.0
        sizes: list[int] = dataclasses.field(default_factory=lambda: [1, 2])

    cfg = Config()
    changes = [*setter(cfg, "gain", 3.0), *putter(cfg.sizes, 0, 9), lambda: cfg.sizes.append(5)]
    return lambda x: x * cfg.gain + sum(cfg.sizes), changes


@case
def a_namespace() -> Case:
    cfg, args = types.SimpleNamespace(gain=2.0), argparse.Namespace(shift=1.0)
    changes = [*setter(cfg, "gain", 3.0), *setter(args, "shift", 9.0)]
    return lambda x: x * cfg.gain + args.shift, changes


@case
def special_methods() -> Case:
    class Table:
        def __init__(self) -> None:
            self.values = [1.0, 2.0]

        def __getitem__(self, i: int) -> float:
            return self.values[i]

        def __len__(self) -> int:
            return len(self.values)

        def __call__(self, x: Any) -> Any:
            return x * self.values[0]

        def __enter__(self) -> float:
            return self.values[-1]

        def __exit__(self, *what: object) -> None:
            pass

    table = Table()

    def f(x: Any) -> Any:
        with table as last:
            return table(x) * table[1] + len(table) + last

    return f, [*putter(table.values, 0, 5.0), lambda: table.values.append(8.0)]


@case
def an_attribute_made_by_getattr_of_the_class() -> Case:
    class Config:
        def __init__(self) -> None:
            self.values = {"gain": 2.0}

        def __getattr__(self, name: str) -> Any:
            try:
                return self.__dict__["values"][name]
            except KeyError:
                raise AttributeError(name) from None

    cfg = Config()
    return lambda x: x * cfg.gain, putter(cfg.values, "gain", 3.0)


@case
def a_list_of_numbers() -> Case:
    numbers = [1.0, 2.0]
    changes = [*putter(numbers, 0, 5.0), lambda: numbers.append(3.0), numbers.clear]
    return lambda x: sum((x * n for n in numbers), x), changes


@case
def a_long_list() -> Case:
    numbers = [float(i % 3) for i in range(500)]
    return lambda x: x * sum(numbers), putter(numbers, 499, 100.0)


@case
def a_set_and_a_deque() -> Case:
    words, last = {"a"}, collections.deque([1.0, 2.0], maxlen=2)
    changes = [lambda: words.add("b"), lambda: last.append(9.0), lambda: words.discard("a")]
    return lambda x: x * last[0] * len(words) * (2 if "a" in words else 3), changes


@case
def the_order_of_a_dictionary() -> Case:
    steps = {"double": 2.0, "next": 1.0}

    def f(x: Any) -> Any:
        for name, value in steps.items():
            x = x * value if name == "double" else x + value
        return x

    def turn() -> None:
        steps["double"] = steps.pop("double")

    return f, [turn]


@case
def a_tuple_in_a_dictionary() -> Case:
    table = {"range": (1.0, 2.0)}
    return lambda x: x.clamp(*table["range"]), putter(table, "range", (0.0, 1.5), (1, 2))


@case
def a_counter_and_a_default_dictionary() -> Case:
    counts, groups = collections.Counter("aab"), collections.defaultdict(list, {"a": [1.0]})
    changes = [lambda: counts.update("b"), lambda: groups["a"].append(4.0)]
    return lambda x: x * counts["b"] + sum(groups["a"]), changes


@case
def defaults_of_arguments() -> Case:
    def f(x: Any, scale: float = 2.0, *, shift: float = 1.0, table: Any = (1.0,)) -> Any:
        return x * scale + shift + sum(table)

    changes = [
        *setter(f, "__defaults__", (3.0,)),
        lambda: f.__kwdefaults__.update(shift=5.0),
        *setter(f, "__kwdefaults__", {"shift": 0.0, "table": [2.0]}),
    ]
    return f, changes


@case
def a_default_that_is_changed() -> Case:
    def f(x: Any, table: list[float] = [1.0]) -> Any:  # noqa: B006
        return x * sum(table)

    return f, [lambda: f.__defaults__[0].append(5.0)]


@case
def defaults_of_a_helper() -> Case:
    def helper(x: Any, scale: float = 2.0) -> Any:
        return x * scale

    return lambda x: helper(x), setter(helper, "__defaults__", (3.0,))


@case
def keywords_of_a_partial() -> Case:
    def scaled(x: Any, scale: float) -> Any:
        return x * scale

    f = functools.partial(scaled, scale=2.0)
    return f, putter(f.keywords, "scale", 3.0)


@case
def a_partial_that_is_called() -> Case:
    inner = functools.partial(lambda scale, x, shift: x * scale + shift, 2.0, shift=1.0)
    return lambda x: inner(x), putter(inner.keywords, "shift", 7.0)


@case
def an_attribute_of_a_function() -> Case:
    def helper(x: Any) -> Any:
        return x * helper.gain  # type: ignore[attr-defined]

    helper.gain = 2.0  # type: ignore[attr-defined]
    return lambda x: helper(x), setter(helper, "gain", 3.0)


@case
def a_decorated_function() -> Case:
    cfg = Plain(gain=2.0)

    def times(f: Any) -> Any:
        @functools.wraps(f)
        def wrapper(x: Any) -> Any:
            return f(x) * cfg.gain

        return wrapper

    @times
    def f(x: Any) -> Any:
        return x + cfg.shift

    cfg.shift = 1.0  # type: ignore[attr-defined]
    return f, [*setter(cfg, "gain", 3.0), *setter(cfg, "shift", 4.0)]


@case
def a_callable_object() -> Case:
    class Scaled:
        def __init__(self) -> None:
            self.by, self.also = 2.0, [1.0]

        def __call__(self, x: Any) -> Any:
            return x * self.by + sum(self.also)

    f = Scaled()
    return f, [*setter(f, "by", 3.0), lambda: f.also.append(2.0)]


@case
def a_bound_method() -> Case:
    agent = Plain(gain=2.0)
    f = types.MethodType(lambda self, x: x * self.gain, agent)
    return f, setter(agent, "gain", 3.0)


@case
def the_default_dtype() -> Case:
    def f(x: Any) -> Any:
        return ag.zeros(2) + ag.tensor([1.0, 2.0]), ag.arange(3) / 2, x

    def change(dtype: Any) -> None:
        ag.set_default_dtype(dtype)

    return f, [functools.partial(change, d) for d in (ag.float64, ag.float32, ag.float64)]


@case
def grad_mode() -> Case:
    weight = vector(1, 2, 3).requires_grad_()
    modes = [ag.set_grad_enabled]
    changes = [lambda: modes[0](False) and None, lambda: modes[0](True) and None]
    return lambda x: x * weight if ag.is_grad_enabled() else x - weight, changes


@case
def numpy_arrays_in_arithmetic() -> Case:
    array = np.array([1.0, 2.0, 3.0], np.float32)
    cfg = Plain(array=array)
    changes = [*putter(array, 1, 9.0), *setter(cfg, "array", np.ones(3, np.float32))]
    return lambda x: x * cfg.array + array, changes


@case
def values_read_from_numpy_arrays() -> Case:
    array = np.array([1.0, 2.0, 3.0])
    changes = [*putter(array, 0, -1.0), *putter(array, 2, 8.0)]
    return lambda x: x * float(array.sum()) if array[0] > 0 else x - float(array[2]), changes


@case
def numpy_arrays_made_into_tensors() -> Case:
    array = np.array([1.0, 2.0, 3.0], np.float32)

    def f(x: Any) -> Any:
        return x * ag.tensor(array) + ag.from_numpy(array) + ag.as_tensor(array * 2)

    return f, putter(array, 1, 9.0)


@case
def numpy_scalars() -> Case:
    cfg = Plain(gain=np.float32(2))
    return lambda x: x * cfg.gain, setter(cfg, "gain", np.float32(3), np.float64(3), 3)


@case
def an_index_array() -> Case:
    index = np.array([0, 2])
    return lambda x: x[index], putter(index, 0, 1)


# -- what Python itself hides ----------------------------------------------------------------------


@case
def a_method_of_a_parent_class() -> Case:
    class Base:
        gain = 2.0

        def act(self, x: Any) -> Any:
            return x * self.gain

    class Middle(Base):
        shift = 1.0

        def act(self, x: Any) -> Any:
            return super().act(x) + self.shift

    class Agent(Middle):
        def act(self, x: Any) -> Any:
            return super().act(x) * 2

    agent = Agent()
    changes = [*setter(Base, "gain", 3.0), *setter(Middle, "shift", 4.0)]
    return agent.act, [*changes, *setter(Base, "act", lambda self, x: x)]


@case
def attributes_with_computed_names() -> Case:
    cfg = Plain(gain0=2.0, gain1=3.0)

    def f(x: Any) -> Any:
        for i in range(2):
            x = x * getattr(cfg, f"gain{i}")
        return x

    return f, [*setter(cfg, "gain0", 5.0), *setter(cfg, "gain1", 7.0)]


@case
def attributes_named_in_a_tuple() -> Case:
    cfg = Plain(a=2.0, b=3.0)
    names = ("a", "b")
    return lambda x: sum(x * getattr(cfg, n) for n in names), setter(cfg, "b", 5.0)


@case
def an_attribute_getter() -> Case:
    cfg = Plain(inner=Plain(gain=2.0))
    gain = operator.attrgetter("inner.gain")
    return lambda x: x * gain(cfg), setter(cfg.inner, "gain", 5.0)


@case
def the_dictionary_of_globals() -> Case:
    set_global("SCALE", 2.0)
    return lambda x: x * globals()["SCALE"], [functools.partial(set_global, "SCALE", 5.0)]


@case
def dictionaries_written_in_python() -> Case:
    chain = collections.ChainMap({"a": 2.0}, {"b": 3.0})
    user = collections.UserDict(a=2.0)
    changes = [*putter(chain, "b", 5.0), *putter(chain.maps[1], "b", 7.0), *putter(user, "a", 9.0)]
    return lambda x: x * chain["a"] + chain["b"] * user["a"], changes


@case
def objects_as_keys() -> Case:
    key = Plain(gain=2.0)
    table = {key: 3.0}
    return lambda x: sum(x * k.gain * v for k, v in table.items()), setter(key, "gain", 5.0)


@case
def a_weak_reference() -> Case:
    cfg = Plain(gain=2.0)
    ref = weakref.ref(cfg)
    return lambda x: x * ref().gain, setter(cfg, "gain", 5.0)  # type: ignore[union-attr]


@case
def an_attribute_of_a_thread() -> Case:
    here = threading.local()
    here.gain = 2.0
    return lambda x: x * here.gain, setter(here, "gain", 5.0)


@case
def attributes_of_members_numbers_and_tensors() -> Case:
    class Kind(enum.Enum):
        A = 1

    class Count(int):
        gain = 1.0

    member: Any = Kind.A
    member.gain = 2.0
    count, weight = Count(2), vector(1, 2, 3)
    count.gain = weight.rate = 3.0
    changes = [
        *setter(member, "gain", 5.0),
        *setter(count, "gain", 7.0),
        *setter(weight, "rate", 9),
    ]
    return lambda x: x * member.gain + count * count.gain + weight * weight.rate, changes


@case
def an_attribute_of_a_metaclass() -> Case:
    class Meta(type):
        gain = 2.0

        def scaled(cls, x: Any) -> Any:
            return x * cls.gain

    class Config(metaclass=Meta):
        pass

    changes = [*setter(Meta, "gain", 3.0), *setter(Config, "gain", 4.0)]
    return lambda x: Config.scaled(x), changes


@case
def a_function_that_dispatches() -> Case:
    @functools.singledispatch
    def act(kind: Any, x: Any) -> Any:
        return x * 2

    def change() -> None:
        act.register(str, lambda kind, x: x * 3)

    return lambda x: act("a", x), [change]


@case
def methods_that_are_bound_in_part_or_dispatch() -> Case:
    class Config:
        gain = 2.0

        def scaled(self, k: float, x: Any) -> Any:
            return x * k * self.gain

        twice = functools.partialmethod(scaled, 2.0)

        @functools.singledispatchmethod
        def act(self, kind: Any, x: Any) -> Any:
            return x

        @act.register
        def _(self, kind: int, x: Any) -> Any:
            return x * self.gain

    cfg = Config()
    changes = [*setter(Config, "gain", 3.0), *setter(cfg, "gain", 4.0)]
    return lambda x: cfg.twice(x) + cfg.act(3, x), changes


@case
def attributes_that_tensors_may_have() -> Case:
    model = nn.Linear(3, 3)
    with ag.no_grad():
        model.weight.fill_(0.5)
        model.bias.fill_(0.25)

    def f(x: Any) -> Any:
        return sum(p.sum() * getattr(p, "decay", 0.5) for p in model.parameters()) + x

    return f, [*setter(model.weight, "decay", 1.0, 2.0), *setter(model.bias, "decay", 3.0)]


@case
def attributes_of_a_function_that_are_rebound() -> Case:
    def f(x: Any) -> Any:
        f.h = getattr(f, "h", 0) + x  # type: ignore[attr-defined]
        f.calls = getattr(f, "calls", 0) + 1  # type: ignore[attr-defined]
        return f.h * f.calls  # type: ignore[attr-defined]

    return f, [lambda: dict(vars(f)), *setter(f, "calls", 7), lambda: delattr(f, "h")]


@case
def a_list_of_new_dictionaries() -> Case:
    history: list[Any] = []

    def f(x: Any) -> Any:
        history.insert(0, {"x": x * 2, "n": len(history)})
        return history[-1]["x"] * len(history)

    return f, [lambda: list(history), lambda: history[0].update(n=5), lambda: list(history)]


@case
def a_context_manager_made_of_a_generator() -> Case:
    cfg = Plain(gain=2.0)

    @contextlib.contextmanager
    def gain() -> Any:
        yield cfg.gain

    def f(x: Any) -> Any:
        with gain() as value:
            return x * value

    return f, setter(cfg, "gain", 5.0)


@case
def a_mask_of_an_array() -> Case:
    masks = {"a": np.array([True, False, True])}
    changes = [*putter(masks["a"], 1, True), *putter(masks, "a", np.array([False, False, True]))]
    return lambda x: x[masks["a"]] * 2, changes


@case
def a_list_with_attributes_and_methods() -> Case:
    class Log(list):  # type: ignore[type-arg]
        gain = 2.0

        def push(self, x: Any) -> None:
            self.append(x * self.gain)
            self.pushed = getattr(self, "pushed", 0) + 1

    log = Log()

    def f(x: Any) -> Any:
        log.push(x)
        return log[-1] * log.pushed

    return f, [*setter(Log, "gain", 3.0), lambda: vars(log), log.clear]


@case
def an_ordered_dictionary_that_is_turned() -> Case:
    table = collections.OrderedDict(a=vector(1, 1, 1), b=vector(2, 2, 2))

    def f(x: Any) -> Any:
        table.move_to_end(next(iter(table)))
        table["c"] = table[next(iter(table))] + x
        return table["c"] * 2

    return f, [lambda: dict(table), lambda: [*table], lambda: table.popitem(last=False)]


# -- modules --------------------------------------------------------------------------------------


@case
def an_activation() -> Case:
    net = Net(lambda self, x: self.act(x), act=F.relu)
    return net, setter(net, "act", F.silu, ag.tanh, nn.GELU())


@case
def a_dictionary_of_a_module() -> Case:
    net = Net(lambda self, x: x * self.cfg["a"], cfg={"a": 2.0})
    return net, [*putter(net.cfg, "a", 3.0), *setter(net, "cfg", {"a": 5.0})]


@case
def a_list_of_a_module() -> Case:
    net = Net(lambda self, x: x * sum(self.lst), lst=[1.0, 2.0])
    return net, [lambda: net.lst.append(4.0), *putter(net.lst, 0, 0.5)]


@case
def an_object_of_a_module() -> Case:
    net = Net(lambda self, x: x * self.obj.v, obj=Plain(v=2.0))
    return net, [*setter(net.obj, "v", 3.0), *setter(net, "obj", Plain(v=7.0))]


@case
def a_private_attribute_of_a_module() -> Case:
    net = Net(lambda self, x: x * self._gain, _gain=2.0)
    return net, setter(net, "_gain", 3.0)


@case
def a_class_attribute_of_a_module() -> Case:
    class Scaled(Net):
        gain = 2.0

    net = Scaled(lambda self, x: x * self.gain)
    return net, setter(Scaled, "gain", 3.0)


@case
def modes_of_a_module() -> Case:
    net = Net(lambda self, x: x * 2 if self.training else x)
    return net, [lambda: net.eval() and None, lambda: net.train() and None]


@case
def layers_that_are_replaced() -> Case:
    net = Net(lambda self, x: self.layer(x), layer=nn.Identity())
    return net, [*setter(net, "layer", nn.ReLU(), nn.Softplus(beta=3.0))]


@case
def layers_of_a_container() -> Case:
    net = nn.Sequential(nn.Identity(), nn.ReLU())
    changes = [lambda: net.append(nn.Tanh()) and None, *putter(net, 1, nn.Sigmoid())]
    return net, changes


@case
def hyper_parameters_of_a_layer() -> Case:
    net = nn.LeakyReLU(0.1)
    negative = nn.Sequential(net)
    return lambda x: negative(-x), setter(net, "negative_slope", 0.5)


@case
def a_parameter_that_is_replaced() -> Case:
    net = Net(lambda self, x: x * self.scale)
    changes = [
        lambda: setattr(net, "scale", nn.Parameter(ag.full((3,), 5.0))),
        lambda: setattr(net, "scale", nn.Parameter(ag.full((1,), 2.0))),
        lambda: net.scale.requires_grad_(False) and None,
        lambda: setattr(net.scale, "data", vector(1, 0, 1)),
    ]
    return net, changes


@case
def a_buffer_that_is_replaced_again_and_again() -> Case:
    net = Net(lambda self, x: x + self.count)
    changes = [
        functools.partial(lambda v: setattr(net, "count", vector(v, v, v)), i) for i in range(40)
    ]
    return net, changes


@case
def a_global_tensor_that_is_replaced_again_and_again() -> Case:
    set_global("WEIGHT", vector(1, 1, 1))
    changes = [functools.partial(set_global, "WEIGHT", vector(i, i, i)) for i in range(40)]
    return lambda x: x * WEIGHT, changes  # type: ignore[name-defined]  # noqa: F821


@case
def an_attribute_that_takes_forty_values() -> Case:
    cfg = Plain(gain=1.0)
    return lambda x: x * cfg.gain, setter(cfg, "gain", *[0.5 * i for i in range(40)])


@case
def an_attribute_of_a_module_that_takes_forty_values() -> Case:
    net = Net(lambda self, x: x * self.gain, gain=1.0)
    return net, setter(net, "gain", *[0.5 * i for i in range(40)])


@case
def a_step_count_that_the_caller_advances() -> Case:
    cfg = Plain(step=0, gain=2.0)

    def f(x: Any) -> Any:
        found = cfg
        return x * found.gain if found.step >= 0 else x

    return f, setter(cfg, "step", *range(1, 41))


@case
def a_hook_that_is_added() -> Case:
    net = nn.Identity()
    changes = [lambda: net.register_forward_hook(lambda m, a, y: y * 10) and None]
    return net, changes


# -- what the function itself rebinds -------------------------------------------------------------


@case
def a_buffer() -> Case:
    def compute(self: Any, x: Any) -> Any:
        self.count = self.count * 0.9 + x * 0.1
        return self.count * 2

    net = Net(compute)
    return net, [
        lambda: dict(net.state_dict()),
        lambda: net.count.clone(),
        lambda: setattr(net, "count", ag.ones(3)),
        lambda: dict(net.state_dict()),
        lambda: copy.deepcopy(net).count,
    ]


@case
def a_hidden_state() -> Case:
    def compute(self: Any, x: Any) -> Any:
        h = ag.tanh(x if self.h is None else x + self.h) * self.scale
        self.h = h.detach()
        return h

    net = Net(compute, h=None)
    return net, [lambda: net.h, *setter(net, "h", None), lambda: net.h, lambda: net.h + 1]


@case
def a_hidden_state_with_history() -> Case:
    def compute(self: Any, x: Any) -> Any:
        self.h = (x if self.h is None else x + self.h) * self.scale
        return self.h.sum()

    net = Net(compute, h=None)
    return net, [lambda: net.h.detach(), lambda: setattr(net, "h", net.h.detach()), lambda: net.h]


@case
def an_attribute_that_was_not_there() -> Case:
    def compute(self: Any, x: Any) -> Any:
        if not hasattr(self, "first"):
            self.first = x * 1
        return x - self.first

    net = Net(compute)
    return net, [lambda: net.first, lambda: delattr(net, "first"), lambda: net.first]


@case
def an_attribute_that_is_deleted() -> Case:
    state = Plain(h=vector(1, 2, 3))

    def f(x: Any) -> Any:
        if hasattr(state, "h"):
            x = x + state.h
            del state.h
        return x

    return f, [lambda: hasattr(state, "h"), *setter(state, "h", vector(4, 4, 4))]


@case
def a_pair_of_states() -> Case:
    state = Plain(hc=(ag.zeros(3), ag.zeros(3)))

    def f(x: Any) -> Any:
        h, c = state.hc
        c = c * 0.5 + x
        state.hc = (ag.tanh(c) + h, c)
        return state.hc[0]

    return f, [lambda: state.hc, *setter(state, "hc", (vector(1, 1, 1), vector(2, 2, 2)))]


@case
def items_of_a_list() -> Case:
    cache = [ag.zeros(3), ag.zeros(3)]

    def f(x: Any) -> Any:
        cache[0], cache[1] = cache[1], x * 1
        return cache[0] + cache[1]

    return f, [lambda: cache, lambda: cache.__setitem__(0, ag.ones(3)), lambda: cache]


@case
def a_cache_of_keys_that_grows() -> Case:
    cache: dict[str, Any] = {}

    def f(x: Any) -> Any:
        cache["k"] = ag.cat([cache["k"], x]) if "k" in cache else x * 1
        return cache["k"].sum() * x

    return f, [lambda: cache["k"]] * 30 + [cache.clear, lambda: cache]


@case
def a_cache_that_is_reset() -> Case:
    model = Plain(cache={})

    def f(x: Any) -> Any:
        model.cache["k"] = model.cache.get("k", 0.0) + x
        return model.cache["k"]

    def reset() -> None:
        model.cache = {}

    return f, [lambda: model.cache, reset] * 20


@case
def a_cache_in_an_object() -> Case:
    class Cache:
        def __init__(self) -> None:
            self.keys: list[Any] = [None, None]

        def update(self, layer: int, k: Any) -> Any:
            old = self.keys[layer]
            self.keys[layer] = k if old is None else ag.cat([old, k])
            return self.keys[layer]

    cache = Cache()

    def f(x: Any) -> Any:
        return cache.update(0, x).sum() + cache.update(1, x * 2).sum()

    return f, [lambda: cache.keys] * 20


@case
def a_variable_of_the_closure() -> Case:
    total = ag.zeros(3)

    def f(x: Any) -> Any:
        nonlocal total
        total = total + x
        return total * 2

    return f, [lambda: total, lambda: total + 1]


@case
def a_global_variable() -> Case:
    set_global("TOTAL", ag.zeros(3))

    def f(x: Any) -> Any:
        global TOTAL
        TOTAL = TOTAL + x  # type: ignore[name-defined]
        return TOTAL

    return f, [lambda: TOTAL]  # type: ignore[name-defined]


@case
def a_class_attribute_that_is_rebound() -> Case:
    class State:
        total = ag.zeros(3)

    def f(x: Any) -> Any:
        State.total = State.total + x
        return State.total * 1

    return f, [lambda: State.total, *setter(State, "total", ag.ones(3))]


@case
def slots_that_are_rebound() -> Case:
    class State:
        __slots__ = ("h",)

    state = State()
    state.h = ag.zeros(3)

    def f(x: Any) -> Any:
        state.h = state.h + x
        return state.h

    return f, [lambda: state.h]


@case
def a_dataclass_that_is_rebound() -> Case:
    @dataclasses.dataclass
    class State:
        h: Any
        steps: list[Any]

    state = State(ag.zeros(3), [])

    def f(x: Any) -> Any:
        state.h = state.h + x
        state.steps[:] = [state.h * 2]
        return state.steps[0]

    return f, [lambda: (state.h, state.steps)]


@case
def a_new_object_every_call() -> Case:
    box = Plain(state=Plain(h=ag.zeros(3), n="a"))

    def f(x: Any) -> Any:
        box.state = Plain(h=box.state.h + x, n=box.state.n)
        return box.state.h

    return f, [lambda: box.state.h]


@case
def a_counter() -> Case:
    net = Net(lambda self, x: x * 2)

    class Counting(Net):
        def forward(self, x: Any) -> Any:
            self.calls += 1
            return x * 2

    net = Counting(lambda self, x: x, calls=0)
    return net, [lambda: net.calls] * 30


@case
def a_counter_that_is_read() -> Case:
    state = Plain(step=0, decay=0.5)

    def f(x: Any) -> Any:
        state.step += 1
        state.decay *= 0.9
        return x * state.step + state.decay

    return f, [lambda: (state.step, round(state.decay, 12))] * 30


@case
def a_flag_that_switches() -> Case:
    state = Plain(first=True)

    def f(x: Any) -> Any:
        if state.first:
            state.first = False
            return x * 100
        return x

    return f, [lambda: state.first, *setter(state, "first", True), lambda: state.first]


@case
def a_turn_of_three() -> Case:
    state = Plain(turn="a")
    after = {"a": "b", "b": "c", "c": "a"}

    def f(x: Any) -> Any:
        state.turn = after[state.turn]
        return x * (1 + "abc".index(state.turn))

    return f, [lambda: state.turn] * 8


@case
def a_log_that_grows() -> Case:
    log: list[Any] = []
    sizes = Plain(shapes=[])

    def f(x: Any) -> Any:
        log.append(x.sum())
        sizes.shapes.append(tuple(x.shape))
        return x * 2

    return f, [lambda: log, lambda: sizes.shapes] * 20


@case
def a_window_of_frames() -> Case:
    frames: collections.deque[Any] = collections.deque([ag.zeros(3)] * 3, maxlen=3)

    def f(x: Any) -> Any:
        frames.append(x * 1)
        return ag.stack(list(frames)).sum(0)

    return f, [lambda: list(frames)] * 5


@case
def two_names_that_are_swapped() -> Case:
    state = Plain(a=ag.zeros(3), b=ag.ones(3))

    def f(x: Any) -> Any:
        state.a, state.b = state.b, state.a
        return state.a * x

    return f, [lambda: (state.a, state.b)] * 3


@case
def a_state_that_is_a_parameter_at_first() -> Case:
    start = nn.Parameter(vector(1, 2, 3))
    state = Plain(h=start)

    def f(x: Any) -> Any:
        state.h = (state.h + x + start).detach()
        return state.h

    return f, [lambda: state.h, lambda: start.detach(), *setter(state, "h", start)]


@case
def a_result_that_is_the_state() -> Case:
    state = Plain(h=ag.zeros(3))

    def f(x: Any) -> Any:
        state.h = state.h + x
        return state.h

    compared: list[Any] = []

    def look() -> Any:
        compared.append(state.h)
        return len({id(t) for t in compared}) == len(compared)  # a new tensor every call

    return f, [look, look, look]


@case
def a_state_whose_old_value_others_hold() -> Case:
    state = Plain(h=ag.zeros(3))
    held = []

    def f(x: Any) -> Any:
        state.h = state.h + x
        return state.h * 2

    def hold() -> Any:
        held.append(state.h)
        return [t.tolist() for t in held]

    return f, [hold, hold, hold]


@case
def a_state_written_in_place_and_rebound() -> Case:
    state = Plain(h=ag.zeros(3))

    def f(x: Any) -> Any:
        state.h += x
        state.h = state.h * 0.5
        state.h[0] = 7
        return state.h.sum()

    return f, [lambda: state.h] * 3


@case
def a_state_that_grows_and_is_detached() -> Case:
    state = Plain(h=ag.zeros(1, 3))

    def f(x: Any) -> Any:
        state.h = ag.cat([state.h, x[None]]).detach()
        return state.h.mean(0)

    return f, [lambda: state.h] * 25


@case
def a_training_step_with_state() -> Case:
    net = Net(lambda self, x: x * self.scale)
    opt = optim.Adam(net.parameters(), lr=0.1)
    state = Plain(average=None, steps=0)

    def f(x: Any) -> Any:
        opt.zero_grad()
        loss = (net(x) - 1).square().mean()
        loss.backward()
        opt.step()
        state.steps += 1
        mine = loss.detach()
        state.average = mine if state.average is None else 0.9 * state.average + 0.1 * mine
        return mine

    return f, [lambda: (state.average, state.steps, net.scale.detach())] * 5


@case
def a_moving_average_of_a_model() -> Case:
    net, shadow = Net(lambda self, x: x * self.scale), {}

    def f(x: Any) -> Any:
        for name, p in net.named_parameters():
            old = shadow.get(name)
            shadow[name] = p.detach() * 1 if old is None else old * 0.9 + p.detach() * 0.1
        return net(x)

    def move() -> None:
        with ag.no_grad():
            net.scale.add_(1)

    return f, [lambda: shadow, move, lambda: shadow]


@case
def a_cached_property() -> Case:
    class Config:
        def __init__(self) -> None:
            self.base = 2.0

        @functools.cached_property
        def gain(self) -> float:
            return self.base * 2

    cfg = Config()

    def forget() -> None:
        cfg.base = 5.0
        del cfg.gain

    return lambda x: x * cfg.gain, [*setter(cfg, "gain", 3.0), forget, lambda: cfg.gain]


@case
def a_method_of_the_base_class() -> Case:
    class Base:
        gain = 2.0

        def act(self, x: Any) -> Any:
            return x * self.gain + self.shift

    class Agent(Base):
        def __init__(self) -> None:
            self.shift = 1.0

        def act(self, x: Any) -> Any:
            return super().act(x) * 2

    agent = Agent()
    changes = [*setter(agent, "shift", 4.0), *setter(Base, "gain", 3.0)]
    return lambda x: agent.act(x), [*changes, *setter(Base, "act", lambda self, x: x)]


@case
def attributes_read_by_operator() -> Case:
    cfg, table = Plain(inner=Plain(gain=2.0)), {"a": 1.0}
    read, take = operator.attrgetter("inner.gain"), operator.itemgetter("a")
    changes = [*setter(cfg.inner, "gain", 3.0), *putter(table, "a", 6.0)]
    return lambda x: x * cfg.inner.gain * read(cfg) + take(table), changes


@case
def a_comprehension() -> Case:
    rows = [{"w": 1.0, "on": True}, {"w": 2.0, "on": False}]
    changes = [*putter(rows[1], "on", True), *putter(rows[0], "w", 7.0)]
    return lambda x: x * sum([r["w"] for r in rows if r["on"]]), changes


@case
def a_match_statement() -> Case:
    cfg = Plain(kind="relu", options={"scale": 2.0})

    def f(x: Any) -> Any:
        match (cfg.kind, cfg.options):
            case ("relu", {"scale": scale}):
                return x.relu() * scale
            case (kind, _):
                return x - len(kind)

    return f, [*putter(cfg.options, "scale", 4.0), *setter(cfg, "kind", "none")]


@case
def an_exception_that_is_caught() -> Case:
    table: dict[str, float] = {}

    def f(x: Any) -> Any:
        try:
            return x * table["gain"]
        except KeyError:
            return x

    return f, [*putter(table, "gain", 3.0), lambda: table.pop("gain") and None]


@case
def a_string_that_is_formatted() -> Case:
    cfg = Plain(layer=0, gain_0=2.0, gain_1=3.0)
    return lambda x: x * getattr(cfg, f"gain_{cfg.layer}"), setter(cfg, "layer", 1)


@case
def a_dictionary_that_is_merged() -> Case:
    state: dict[str, Any] = {"a": ag.zeros(3)}

    def f(x: Any) -> Any:
        state.update(b=x * 2, a=state["a"] + 1)
        state.setdefault("c", x * 1)
        return state["a"] + state.pop("b")

    return f, [lambda: state] * 3


@case
def a_list_that_is_sliced_and_sorted() -> Case:
    items, order = [ag.zeros(3), ag.ones(3), ag.ones(3) * 2], [3, 1, 2]

    def f(x: Any) -> Any:
        items[1:] = [items[2], x * 1]
        order.sort()
        order.insert(0, order.pop())
        return items[1] + order[0]

    return f, [lambda: items, lambda: order] * 2


@case
def a_parameter_list() -> Case:
    scales = nn.ParameterList([ag.ones(3), ag.ones(3) * 2])

    def f(x: Any) -> Any:
        for scale in scales:
            x = x * scale
        return x.detach()

    def change() -> None:
        scales[1] = nn.Parameter(vector(3, 3, 3))

    return f, [change, lambda: scales.append(nn.Parameter(vector(0, 1, 2))) and None]


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_change_between_calls_is_seen(name: str, backend: str) -> None:
    check_case(CASES[name], backend)


def test_there_are_a_hundred_kinds() -> None:
    assert len(CASES) >= 100
