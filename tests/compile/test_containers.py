"""Dataclasses and other containers as arguments and results of compiled functions."""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import queue
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import argand as ag
from argand import nn
from argand.base.errors import TraceError
from argand.base.tree import flatten, tree_map, unflatten

made: queue.SimpleQueue[str] = (
    queue.SimpleQueue()
)  # what a list holds, calls would add to  # which constructors ran


@dataclasses.dataclass
class Plain:
    y: Any
    count: int = 3
    parts: list[Any] = dataclasses.field(default_factory=list)
    hidden: Any = dataclasses.field(init=False, default=None)

    def __post_init__(self) -> None:
        made.put("plain")
        self.hidden = self.y + 1
        self.extra = [self.y * 2]  # no field


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    inner: Plain
    table: dict[str, Any]

    def total(self) -> Any:
        return self.inner.y.sum() + self.table["k"]


class Pair(NamedTuple):
    first: Any
    second: Any


class Tagged(list[Any]):
    """A list with an attribute."""

    tag: str


@dataclasses.dataclass
class ModelOutput(collections.OrderedDict[str, Any]):
    """As Transformers' outputs: the fields are items too."""

    loss: Any = None
    logits: Any = None

    def __post_init__(self) -> None:
        made.put("output")
        for field in dataclasses.fields(self):
            if getattr(self, field.name) is not None:
                super().__setitem__(field.name, getattr(self, field.name))

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else list(self.values())[key]


class Attrs:
    """As classes made by the attrs package."""

    __attrs_attrs__ = ("value",)
    __slots__ = ("__private", "value")

    def __init__(self, value: Any) -> None:
        made.put("attrs")
        self.value = value
        self.__private = value * 3

    def private(self) -> Any:
        return self.__private


def same(a: Any, b: Any) -> None:
    """Two results are of the same types and of equal tensors."""
    one, structure = flatten(a)
    two, other = flatten(b)
    assert structure == other
    for x, y in zip(one, two, strict=True):
        assert type(x) is type(y)
        if isinstance(x, ag.Tensor):
            assert x.dtype is y.dtype
            np.testing.assert_array_equal(x.detach().numpy(), y.detach().numpy())
        else:
            assert x == y


def plain(x: Any) -> Any:
    return Plain(x * 2, 7, [x, (x + 1, "text")])


def nested(x: Any) -> Any:
    return [Frozen(Plain(x * 2), {"k": x.sum()}), {"a": Pair(x + 1, 2)}]


def tagged(x: Any) -> Any:
    found = Tagged([x * 2, 5])
    found.tag = "here"
    return found


RESULTS: dict[str, Callable[[Any], Any]] = {
    "dataclass": plain,
    "nested": nested,
    "named tuple": lambda x: Pair(x + 1, Pair(x, None)),
    "ordered dict": lambda x: collections.OrderedDict(b=x * 1, a=x * 2),
    "default dict": lambda x: collections.defaultdict(list, {"a": [x * 1]}),
    "model output": lambda x: ModelOutput(x.sum(), x * 3),
    "part of a model output": lambda x: ModelOutput(logits=x * 3),
    "list subclass": tagged,
    "attrs": lambda x: Attrs(x * 2),
    "namespace": lambda x: types.SimpleNamespace(loss=x.sum(), aux=[x]),
    "size": lambda x: (x * 2).shape,
    "max": lambda x: x.max(0),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_has_eagers_types_and_values_at_every_call(
    name: str, compiled: Callable[..., Any]
) -> None:
    f = RESULTS[name]
    fast = compiled(f)
    for i in range(3):
        x = ag.tensor([1.0 + i, 2.0, -3.0])
        same(fast(x), f(x))
    assert len(fast.programs) == 1


def test_constructors_run_while_the_function_is_traced_only() -> None:
    fast = ag.compile(lambda x: (plain(x), ModelOutput(x, x), Attrs(x)))
    fast(ag.ones(2))
    while not made.empty():
        made.get()
    fast(ag.ones(2))
    assert made.empty()


def test_a_model_output_keeps_items_and_attributes_together() -> None:
    out = ag.compile(lambda x: ModelOutput(x.sum(), x * 3))(ag.ones(2))
    assert out.logits is out["logits"] is out[1]
    assert list(out) == ["loss", "logits"]
    assert Attrs(ag.ones(1)).private() is not None
    assert ag.compile(lambda x: Attrs(x))(ag.ones(1)).private().item() == 3


def test_results_in_a_dataclass_are_differentiable() -> None:
    w = nn.Parameter(ag.tensor([2.0, 3.0]))
    out = ag.compile(lambda x: Frozen(Plain(w * x), {"k": (w * w).sum()}))(ag.ones(2))
    out.total().backward()
    np.testing.assert_allclose(w.grad.numpy(), [5.0, 7.0])


def test_dataclasses_are_taken_apart_as_arguments(compiled: Callable[..., Any]) -> None:
    def f(state: Frozen, scale: Any = 1.0) -> Any:
        assert isinstance(state, Frozen) and type(state.inner) is Plain
        return state.total() * scale + state.inner.extra[0] * state.inner.count

    fast = compiled(f)
    for i in range(3):
        state = Frozen(Plain(ag.ones(2) * i), {"k": ag.tensor(1.0 + i)})
        same(fast(state, scale=0.5 + i), f(state, 0.5 + i))
    assert len(fast.programs) == 1
    assert "state_0" in str(fast.program())


def test_what_a_dataclass_argument_holds_is_guarded() -> None:
    @dataclasses.dataclass
    class Config:
        act: str
        scale: float

    def f(x: Any, config: Config) -> Any:
        return (x.relu() if config.act == "relu" else x.tanh()) * config.scale

    fast, config, x = ag.compile(f), Config("relu", 2.0), ag.tensor([-1.0, 1.0])
    same(fast(x, config), f(x, config))
    config.act = "tanh"
    same(fast(x, config), f(x, config))
    config.scale = 3.0
    same(fast(x, config), f(x, config))
    assert len(fast.programs) == 2


def test_sets_are_compared_by_their_elements() -> None:
    f, words, x = ag.compile(lambda x, words: x * 2 if "a" in words else x), {"a"}, ag.ones(1)
    assert f(x, words).item() == f(x, {"a"}).item() == 2
    words.clear()
    assert f(x, words).item() == 1 and len(f.programs) == 2


def test_an_object_that_contains_itself_is_one_leaf() -> None:
    @dataclasses.dataclass(eq=False)
    class Branch:
        value: Any
        parent: Any = None
        children: list[Any] = dataclasses.field(default_factory=list)

    top = Branch(2.0)
    top.children.append(Branch(3.0, top))
    leaves, structure = flatten([1, top])
    assert leaves == [1, top] and unflatten(structure, leaves)[1] is top
    f = ag.compile(lambda x, node: x * node.children[0].value)
    assert f(ag.ones(1), top).item() == 3


def test_members_of_enumerations_modules_and_errors_stay_themselves() -> None:
    @dataclasses.dataclass
    class Data:
        n: int

    class Kind(Data, enum.Enum):
        A = 1

    @dataclasses.dataclass(eq=False)
    class Layer(nn.Module):
        n: int

        def __post_init__(self) -> None:
            super().__init__()

    @dataclasses.dataclass
    class FailureError(Exception):
        n: int

    for value in (Kind.A, Layer(1), FailureError(1), Data):
        leaves, structure = flatten((value,))
        assert leaves[0] is value and unflatten(structure, leaves)[0] is value


def test_trees_keep_kinds_keys_and_factories() -> None:
    tree = [
        collections.defaultdict(lambda: 5, a=1),
        collections.Counter("aab"),
        Pair(1, [2]),
        types.SimpleNamespace(a=1),
        Frozen(tagged(ag.ones(1)), {}),  # type: ignore[arg-type]
    ]
    again = tree_map(lambda x: x, tree)
    assert [type(x) for x in again] == [type(x) for x in tree]
    assert again[:4] == tree[:4] and again[0]["new"] == 5
    assert again[4].inner.tag == "here"
    assert flatten(collections.defaultdict(lambda: 5))[1] != flatten(collections.Counter())[1]


# -- what would be dead ----------------------------------------------------------------------------


class Holder:
    def __init__(self, value: Any) -> None:
        self.value = value


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def generator(x: Any) -> Any:
    yield x * 2


async def coroutine(x: Any) -> Any:
    return x * 2


async def async_generator(x: Any) -> Any:
    yield x * 2


class Yields(nn.Module):
    def forward(self, x: Any) -> Any:
        yield x * 2


@pytest.mark.parametrize(
    "f,words",
    [
        (lambda x: Holder([x + 1]), r"Holder that holds a traced tensor in \.value\[0\]"),
        (lambda x: [Slotted({"k": x + 1})], r"Slotted .* in \.value\['k'\]"),
        (lambda x: {x + 1}, "a set that holds a traced tensor"),
        (lambda x: lambda: x + 1, r"a function that holds a traced tensor in \.x"),
        (lambda x: functools.partial(ag.add, x * 2), r"a partial .* in \.args\[0\]"),
        (lambda x: Holder(x * 2).__init__, r"a method .*\.value"),  # type: ignore[misc]
        (lambda x: map(ag.sin, [x]), "returns a map.*return a list"),
        (lambda x: zip([x], [x], strict=True), "returns a zip.*return a list"),
        (lambda x: (v for v in [x]), "returns a generator.*return a list"),
        (lambda x: {"a": iter([x])}, "returns a list_iterator.*return a list"),
        (lambda x: coroutine(x), "returns a coroutine.*async"),
        (generator, "generator function.*yield.*list"),
        (functools.partial(generator), "generator function"),
        (coroutine, "async function"),
        (async_generator, "async function"),
        (Yields(), "generator function"),
    ],
)
def test_a_result_that_would_be_dead_is_refused_by_name(f: Any, words: str) -> None:
    fast = ag.compile(f)
    for _ in range(2):
        with pytest.raises(TraceError, match=words):
            fast(ag.ones(2))
    assert not fast.programs


def test_objects_that_hold_no_traced_tensor_pass_through() -> None:
    held = Holder(ag.ones(1))
    f = ag.compile(lambda x, it: (x * 2, held, it, {1, 2}))
    items = iter([1])
    _, same_object, same_iterator, numbers = f(ag.ones(1), items)
    assert same_object is held and same_iterator is items and numbers == {1, 2}
