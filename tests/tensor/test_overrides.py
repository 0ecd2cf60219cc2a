"""Subclasses of Tensor, `__torch_function__` and modes, as in PyTorch where it is installed."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest

import argand as ag
import argand.nn.functional as F
from argand import nn
from argand.base.errors import TraceError
from argand.overrides import TorchFunctionMode, get_testing_overrides, resolve_name
from tensor import override_programs


class Image(ag.Tensor):
    """A subclass that adds nothing."""


class Watched(ag.Tensor):
    """A subclass that notes what is called with its tensors."""

    calls: ClassVar[list[Any]] = []

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        cls.calls.append(func)
        return super().__torch_function__(func, types, args, kwargs)


class Duck:
    """No tensor: it takes every call over, and gives what it was."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return ("taken", func, types)


# What each program must give, as PyTorch 2.13 gives it; the first values of some.
KNOWN = {
    "scalar_tensor": ["ScalarTensor(N=2, value=2)", [[2.0, 0.0], [0.0, 2.0]], 1.0],
    "metadata_tensor": ["Metadata:\n{'owner': 'Ministry of Silly Walks'}\n\ndata:\n"],
    "image_with_attributes": [*["TensorImage"] * 4, "TensorMask", "lake", 2],
    "classes_and_priority": [["B", "B add ['A', 'B']", "A add ['A', 'B']"], "B"],
    "modes": ["outer zeros", "inner add", "outer add", "inner relu", "outer relu", "outer add"],
    "logging_tensor": ["LoggingTensor"] * 7,
}


@pytest.mark.parametrize("program", override_programs.PROGRAMS)
def test_published_programs(program: Callable[[Any], Any]) -> None:
    found = program(ag)
    for value, wanted in zip(found, KNOWN[program.__name__], strict=False):
        assert str(value).startswith(str(wanted))


@pytest.mark.parametrize("program", override_programs.PROGRAMS)
def test_published_programs_as_in_pytorch(program: Callable[[Any], Any]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    assert program(ag) == program(torch)


FUNCTIONS = [
    f
    for f in get_testing_overrides()
    if inspect.isfunction(f)
    and not str(resolve_name(f)).startswith("argand.Tensor.")
    and any(p.kind is not p.KEYWORD_ONLY for p in inspect.signature(f).parameters.values())
]
# They make tensors of numbers, however many, and look at no class.
OF_NUMBERS = {"as_tensor", "asarray", "frombuffer", "from_numpy", "is_tensor", "scalar_tensor"}
OF_NUMBERS |= {"tensor", "typename"}


def test_every_function_can_be_taken_over() -> None:
    duck = Duck()
    assert len(FUNCTIONS) > 500
    missed = [
        resolve_name(f)
        for f in FUNCTIONS
        if f.__name__ not in OF_NUMBERS
        and (f(duck) != ("taken", f, (Duck,)) or f(ag.ones(2), [1, duck])[1] is not f)
    ]
    assert not missed


def test_every_member_of_tensor_can_be_taken_over() -> None:
    class All(ag.Tensor):
        @classmethod
        def __torch_function__(
            cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            return ("taken", func)

    with ag._C.DisableTorchFunctionSubclass():
        x = ag.ones(2).as_subclass(All)
    missed = []
    for func in get_testing_overrides():
        name = str(resolve_name(func))
        owner, _, kind = name.removeprefix("argand.Tensor.").partition(".")
        if not name.startswith("argand.Tensor.") or kind == "__set__":
            continue
        member = getattr(All, owner) if kind else None
        found = member.__get__(x, All) if kind else getattr(All, owner)(x, *[2] * _needed(func))
        if (
            found is NotImplemented
            or found[0] != "taken"
            or (kind and found[1] != func)
            or (not kind and found[1].__name__ not in (owner, *SAME.get(owner, ())))
        ):
            missed.append(name)
    assert not missed


# Operators that overrides know as methods, in PyTorch too.
SAME = {
    f"__{name}__": (public,)
    for name, public in {
        **{n: n for n in ("add", "sub", "mul", "matmul", "neg", "abs", "lt", "le", "gt", "ge")},
        "radd": "add",
        "rmul": "mul",
        "truediv": "div",
        "mod": "remainder",
        "ne": "ne",
        "rand": "bitwise_and",
        "ror": "bitwise_or",
        "rxor": "bitwise_xor",
        "iadd": "add_",
        "isub": "sub_",
        "imul": "mul_",
        "itruediv": "div_",
        "ifloordiv": "floor_divide_",
        "imod": "remainder_",
        "pos": "positive",
        "rdiv": "__rtruediv__",
    }.items()
}


def _needed(func: Any) -> int:
    """How many arguments a method asks for after the tensor."""
    parameters = [*inspect.signature(func).parameters.values()][1:]
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in kinds and p.default is p.empty for p in parameters)


OPERATORS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "x + 1": (lambda x: x + 1, "add"),
    "1 + x": (lambda x: 1 + x, "add"),
    "1 - x": (lambda x: 1 - x, "__rsub__"),
    "2 / x": (lambda x: 2 / x, "__rtruediv__"),
    "x / 2": (lambda x: x / 2, "div"),
    "x // 2": (lambda x: x // 2, "__floordiv__"),
    "x % 2": (lambda x: x % 2, "remainder"),
    "x ** 2": (lambda x: x**2, "__pow__"),
    "2 ** x": (lambda x: 2**x, "__rpow__"),
    "x @ x": (lambda x: x @ x, "matmul"),
    "-x": (lambda x: -x, "neg"),
    "x == x": (lambda x: x == x, "__eq__"),
    "x != x": (lambda x: x != x, "ne"),
    "x < 1": (lambda x: x < 1, "lt"),
    "1 < x": (lambda x: x > 1, "gt"),
    "x[0]": (lambda x: x[0], "__getitem__"),
    "len": (len, "__len__"),
    "float": (lambda x: float(x[0]), "__float__"),
    "repr": (repr, "__repr__"),
    "add": (lambda x: x.add(1), "add"),
    "a plain one on the left": (lambda x: ag.ones(2) * x, "mul"),
    "a plain one and a method": (lambda x: ag.ones(2).add(x), "add"),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_the_function_that_an_operator_is_known_by(name: str) -> None:
    call, known = OPERATORS[name]
    x = Watched([3.0, 4.0])
    Watched.calls.clear()
    found = call(x)
    assert Watched.calls[-1] is getattr(ag.Tensor, known)
    plain = call(ag.tensor([3.0, 4.0]))
    if isinstance(found, ag.Tensor):
        assert type(found) is Watched
        np.testing.assert_array_equal(found.numpy(), plain.numpy())
    else:
        assert found == (plain if name != "repr" else plain.replace("tensor", "Watched"))


@pytest.mark.parametrize("name", ["shape", "dtype", "ndim", "T", "data", "requires_grad", "device"])
def test_properties_are_taken_over(name: str) -> None:
    x = Watched([3.0, 4.0])
    Watched.calls.clear()
    found = getattr(x, name)
    assert Watched.calls == [getattr(ag.Tensor, name).__get__]
    assert type(found) is (Watched if name in ("T", "data") else type(getattr(ag.ones(2), name)))


def test_a_property_that_a_subclass_extends_is_taken_over() -> None:
    class Flagged(Watched):
        @property
        def data(self) -> Any:
            return super().data

    x = Flagged([1.0])
    Watched.calls.clear()
    assert type(x.data) is Flagged
    assert Watched.calls == [ag.Tensor.data.__get__]


def test_setters_are_taken_over() -> None:
    x = Watched([3.0, 4.0])
    Watched.calls.clear()
    x.grad = ag.ones(2)
    x.requires_grad = True
    assert Watched.calls == [ag.Tensor.grad.__set__, ag.Tensor.requires_grad.__set__]
    assert type(x.grad) is ag.Tensor  # a gradient is given as it is


def test_a_plan_is_never_used_for_a_subclass() -> None:
    a, b = ag.rand(8, 8), ag.rand(8, 8)
    calls = [lambda v: v + b, lambda v: b + v, lambda v: F.relu(v), lambda v: v.exp(), len]
    calls += [lambda v: ag.cat([b, v]), lambda v: v[1], lambda v: -v, lambda v: v.clip(0, 1)]
    for call in calls:
        for _ in range(300):  # so often that even the first calls of a process have plans
            call(a)
        found = call(a.as_subclass(Image))
        assert found == 8 if call is len else type(found) is Image
        for other in (nn.Parameter(a), nn.Buffer(a), a):
            assert call is len or type(call(other)) is ag.Tensor


def test_results_that_are_arguments_stay_what_they_are() -> None:
    p, x = ag.ones(2), Image([1.0, 2.0])
    made = p.add_(x)
    assert type(made) is Image and type(p) is ag.Tensor
    assert made.data_ptr() == p.data_ptr()
    made.mul_(2)
    assert p.tolist() == [4.0, 6.0]
    out = ag.empty(2)
    assert type(ag.add(x, x, out=out)) is Image and type(out) is ag.Tensor
    assert x.add_(1) is x


def test_attributes_slots_and_constructors() -> None:
    class Named(ag.Tensor):
        __slots__ = ("title",)

        def __new__(cls, data: Any, title: str = "") -> Any:
            made = super().__new__(cls, data)
            made.title = title
            return made

        def __init__(self, data: Any, title: str = "") -> None:
            super().__init__()

    x = Named([1.0, 2.0], title="a")
    assert (x.title, type(x + 1), hasattr(x + 1, "title")) == ("a", Named, False)
    y = Image([1.0, 2.0])
    y.note = [1]
    twin = copy.deepcopy(y)
    assert type(twin) is Image and twin.note == [1] and twin.note is not y.note
    assert type(copy.copy(y)) is Image
    data = ag.ones(2)
    made = ag.Tensor._make_subclass(Image, data, True)
    assert (type(made), made.is_leaf, made.requires_grad) == (Image, True, True)
    assert made.data_ptr() == data.data_ptr()
    assert type(ag.tensor(y)) is ag.Tensor and ag.as_tensor(y) is y
    assert repr(y) == "Image([1., 2.])"
    with pytest.raises(TypeError, match="expected a subclass of Tensor"):
        data.as_subclass(int)


def test_a_shared_memory_is_written_with_its_history() -> None:
    w = ag.ones(2, requires_grad=True)
    x = w * 1
    x.as_subclass(Image).mul_(3)
    (x * x).sum().backward()
    assert w.grad is not None and w.grad.tolist() == [18.0, 18.0]


def test_derivatives_are_no_calls() -> None:
    values = np.array([0.5, 0.25])
    x = Watched(values.tolist()).requires_grad_()
    y = (x * x).exp().sum()
    Watched.calls.clear()
    y.backward()
    assert Watched.calls == [ag.Tensor.backward]
    assert type(x.grad) is ag.Tensor
    z = Watched([2.0, 3.0]).requires_grad_()
    root = z.prod().as_subclass(ag.Tensor)
    Watched.calls.clear()
    root.backward()
    assert Watched.calls == []
    assert type(z.grad) is ag.Tensor
    assert z.grad.tolist() == [3.0, 2.0]
    np.testing.assert_allclose(x.grad.numpy(), 2 * values * np.exp(values**2), rtol=1e-6)


def test_parameters_take_nothing_over() -> None:
    layer = nn.Linear(2, 2)
    assert type(layer.weight * 2) is ag.Tensor
    assert type(layer(ag.ones(1, 2).as_subclass(Image))) is Image
    assert not ag.overrides.has_torch_function((layer.weight, ag.ones(1), 3))
    assert ag.overrides.has_torch_function_unary(Image([1.0]))


def test_modules_keep_the_class() -> None:
    x = ag.rand(2, 4, 8, 8).as_subclass(Image)
    layers: list[Any] = [nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.MaxPool2d(2), nn.GELU()]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.PReLU(), nn.Softmax(-1), nn.Dropout(0.5)]
    layers += [nn.LayerNorm(8), nn.GroupNorm(2, 4), nn.Upsample(scale_factor=2), nn.ReLU6()]
    layers += [nn.ConvTranspose2d(4, 2, 2), nn.Identity(), nn.PixelShuffle(2), nn.ZeroPad2d(1)]
    for layer in layers:
        assert type(layer(x)) is Image, layer
    tokens = ag.rand(2, 3, 8).as_subclass(Image)
    attention, lstm = nn.MultiheadAttention(8, 2), nn.GRU(8, 4)
    assert type(attention(tokens, tokens, tokens)[0]) is Image
    assert type(lstm(tokens)[0]) is Image
    assert type(nn.Embedding(4, 2)(ag.tensor([1, 2]).as_subclass(Image))) is Image


def test_declined_calls_name_all_classes() -> None:
    a, b = ag.ones(2).as_subclass(Image), ag.ones(2).as_subclass(Watched)
    with pytest.raises(TypeError, match=r"unsupported operand type\(s\) for \+: 'Image' and 'Wat"):
        a + b
    with pytest.raises(TypeError, match=r"dispatch failed for 'argand\.add'; all") as told:
        ag.add(a, b)
    assert str(told.value).count("tensor subclass <class") == 2


def test_disabled_classes_compute_as_plain_tensors() -> None:
    x = Image([1.0])
    with ag._C.DisableTorchFunctionSubclass():
        assert type(x + 1) is ag.Tensor
    with ag._C.DisableTorchFunction():
        assert type(F.relu(x)) is ag.Tensor
    assert type(x + 1) is Image

    class Never(ag.Tensor):
        __torch_function__ = ag._C._disabled_torch_function_impl

    assert type(ag.ones(2).as_subclass(Never) * 2) is ag.Tensor


def test_compiled_functions_say_that_they_call_no_override() -> None:
    double = ag.compile(lambda x: x * 2)
    x = ag.ones(3)
    assert double(x).tolist() == double(x).tolist() == [2.0, 2.0, 2.0]
    with pytest.raises(TraceError, match="doesn't call __torch_function__, which Image defines"):
        double(x.as_subclass(Image))
    watched = Watched([1.0])
    Watched.calls.clear()
    with pytest.raises(TraceError, match="which Watched defines"):
        double(watched)
    assert not Watched.calls  # nothing was asked before
    with pytest.raises(TraceError, match="which Image defines"):
        ag.compile(lambda given: given["x"] * 2)({"x": x.as_subclass(Image)})
    held = x.as_subclass(Image)
    with pytest.raises(TraceError, match="which Image defines"):
        ag.compile(lambda x: x * held)(x)
    with pytest.raises(TraceError, match="is made inside a compiled function"):
        ag.compile(lambda x: x.as_subclass(Image))(x)
    with ag._C.DisableTorchFunctionSubclass():
        assert type(double(x.as_subclass(Image))) is ag.Tensor


class Names(TorchFunctionMode):
    """A mode that notes names."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(func.__name__)
        return func(*args, **(kwargs or {}))


def test_a_compiled_function_runs_op_by_op_under_a_mode() -> None:
    step = ag.compile(lambda x: (x * 2).relu())
    step(ag.ones(2))
    with Names() as mode:
        assert step(ag.ones(2)).tolist() == [2.0, 2.0]
    assert mode.names == ["ones", "mul", "relu"]
    assert step(ag.ones(2)).tolist() == [2.0, 2.0] and len(mode.names) == 3


def test_a_mode_declines_and_fails() -> None:
    class Shy(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            return NotImplemented

    with Shy():
        for x in (Image([1.0]), ag.Tensor([1.0])):
            with pytest.raises(TypeError, match="- mode object"):
                ag.add(x, 1)
    with pytest.raises(ZeroDivisionError), Names():
        1 / 0  # noqa: B018  # raises inside the block
    with Names() as mode:
        ag.ones(2) + 1
    assert mode.names == ["ones", "add"]


def test_functions_of_the_users_own() -> None:
    @ag.overrides.wrap_torch_function(lambda x, y=None: (x, y))
    def double(x: Any, y: Any = None) -> Any:
        return x + x

    assert double(2) == 4
    assert double(Duck())[1] is double
    assert type(double(Image([1.0]))) is Image
    with pytest.raises(TypeError, match="Multiple dispatch failed"):
        ag.overrides.handle_torch_function(double, (3,), 3)
    assert ag.overrides.is_tensor_like(Duck()) and not ag.overrides.is_tensor_like(3)
