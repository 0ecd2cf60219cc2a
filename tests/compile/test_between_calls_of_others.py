"""What changes between two calls beside the function's own objects: the process, the library, code.

The cases are run as those of `test_between_calls`.
"""

from __future__ import annotations

import array
import contextvars
import copy
import functools
import math
import os
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from between_calls import Case, Cases, Net, Plain, check_case, putter, setter, vector

import argand as ag
import argand.nn.functional as F  # PyTorch's name
from argand import nn
from argand.base.errors import TraceError

CASES: Cases = {}
VARIABLE: contextvars.ContextVar[Any] = contextvars.ContextVar("VARIABLE", default=1.5)
UNSET: contextvars.ContextVar[Any] = contextvars.ContextVar("UNSET")


def case(make: Callable[[], Any]) -> Callable[[], Any]:
    CASES[make.__name__] = make
    return make


def setenv(name: str, *values: str | None) -> list[Callable[[], None]]:
    """Changes of a variable of the environment, the first of them made now; None removes it."""

    def change(value: str | None) -> None:
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value

    change(values[0])
    return [functools.partial(change, value) for value in values[1:]]


@pytest.fixture(autouse=True)
def put_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("ARGAND_TEST_MODE", "ARGAND_TEST_GAIN"):
        monkeypatch.delenv(name, raising=False)
    threads = ag.get_num_threads()
    yield
    ag.set_num_threads(threads)


# -- the process -----------------------------------------------------------------------------------


@case
def a_variable_of_the_environment() -> Case:
    changes = setenv("ARGAND_TEST_MODE", None, "two", "three", None, "two", None)

    def f(x: Any) -> Any:
        return x * 2 if os.environ.get("ARGAND_TEST_MODE") == "two" else x * 3

    return f, changes


@case
def a_variable_of_the_environment_read_by_a_function() -> Case:
    changes = setenv("ARGAND_TEST_GAIN", "2", "3", None, "2", None)
    read = os.getenv

    def f(x: Any) -> Any:
        return x * float(read("ARGAND_TEST_GAIN", "5")) + ("ARGAND_TEST_GAIN" in os.environ)

    return f, changes


@case
def the_whole_environment() -> Case:
    changes = setenv("ARGAND_TEST_MODE", None, "two", None)

    def f(x: Any) -> Any:
        return x + sum(name.startswith("ARGAND_TEST") for name in os.environ)

    return f, changes


@case
def a_context_variable() -> Case:
    VARIABLE.set(1.5)

    def f(x: Any) -> Any:
        return x * VARIABLE.get() + UNSET.get(7.0)

    return f, [lambda: VARIABLE.set(2.0) and None, lambda: VARIABLE.set(4.0) and None]


@case
def a_tensor_in_a_context_variable() -> Case:
    VARIABLE.set(vector(1, 2, 3))

    def f(x: Any) -> Any:
        token = VARIABLE.set(VARIABLE.get() * 2)  # for a while
        y = x * VARIABLE.get()
        VARIABLE.reset(token)
        return y

    def write() -> None:
        VARIABLE.get().add_(1)

    return f, [lambda: VARIABLE.set(vector(3, 2, 1)) and None, write]


@case
def bytes_and_arrays_of_python() -> Case:
    data, numbers = bytearray(b"\1\2"), array.array("d", [1.0, 2.0])

    def f(x: Any) -> Any:
        return x * data[0] + numbers[1]

    return f, [*putter(data, 0, 3, 5), *putter(numbers, 1, -1.0), lambda: numbers.append(3.0)]


@case
def an_array_of_python_that_is_written() -> Case:
    numbers = array.array("d", [1.0, 2.0])

    def f(x: Any) -> Any:
        y = x * numbers[0]
        numbers[0] = 5.0
        return y

    return f, [lambda: numbers.tolist(), *putter(numbers, 0, 3.0), lambda: numbers.tolist()]


@case
def how_many_threads_there_are() -> Case:
    ag.set_num_threads(2)

    def f(x: Any) -> Any:
        return x * ag.get_num_threads() + ag.settings.threads

    return f, [functools.partial(ag.set_num_threads, n) for n in (3, 2)]


@case
def the_class_and_the_namespace_of_an_object() -> Case:
    class Two:
        def gain(self) -> float:
            return 2.0

    class Three:
        def gain(self) -> float:
            return 3.0

    owner: Any = Two()
    owner.shift = 1.0

    def f(x: Any) -> Any:
        return x * owner.gain() + owner.shift

    return f, [*setter(owner, "__class__", Three, Two), *setter(owner, "__dict__", {"shift": 5.0})]


@case
def containers_that_get_longer() -> Case:
    numbers, table = [1.0, 2.0], {"a": 1.0}

    def f(x: Any) -> Any:
        for number in [*numbers, *table.values()]:
            x = x + number
        return x

    return f, [lambda: numbers.append(3.0), *putter(table, "b", 5.0), lambda: numbers.pop()]


@case
def memory_of_another_dtype() -> Case:
    w = ag.ones(3)

    def f(x: Any) -> Any:
        return x * w.sum()

    def change(data: Any) -> None:
        w.data = data

    return f, [functools.partial(change, d) for d in (ag.ones(5), ag.ones(3, dtype=ag.float64))]


@case
def a_layer_of_a_class_of_the_same_name() -> Case:
    def scaling(factor: float) -> Any:
        class Scaling(nn.Module):
            def forward(self, x: Any) -> Any:
                return x * factor

        return Scaling()

    layers = nn.Sequential(scaling(2.0), scaling(3.0))

    def f(x: Any) -> Any:
        return layers(x)

    return f, [functools.partial(layers.__setitem__, 0, scaling(5.0))]


@case
def one_of_two_tied_parameters() -> Case:
    first, second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    second.weight = first.weight = nn.Parameter(ag.ones(3, 3))

    def f(x: Any) -> Any:
        return first(x) + 2 * second(x)

    def untie() -> None:
        second.weight = nn.Parameter(ag.ones(3, 3) * 3)

    def tie() -> None:
        second.weight = first.weight

    return f, [untie, tie]


@case
def the_modules_of_python() -> Case:
    def module(gain: float) -> Any:
        made: Any = types.ModuleType("argand_test_gain")
        made.gain = gain
        return made

    def f(x: Any) -> Any:
        try:
            import argand_test_gain  # type: ignore[import-not-found]
        except ImportError:
            return x * 0
        return x * argand_test_gain.gain

    def change(found: Any) -> None:
        sys.modules.pop("argand_test_gain", None)
        if found is not None:
            sys.modules["argand_test_gain"] = found

    change(None)
    return f, [functools.partial(change, m) for m in (module(2.0), module(3.0), None)]


@case
def the_environment_as_bytes() -> Case:
    changes = setenv("ARGAND_TEST_GAIN", "1", "22", None)
    return lambda x: x * len(os.environb.get(b"ARGAND_TEST_GAIN", b"")), changes


@case
def a_grad_mode_that_the_function_sets() -> Case:
    def f(x: Any) -> Any:
        ag.set_grad_enabled(False)
        return x * 2

    def look(enabled: bool) -> bool:
        before = ag.is_grad_enabled()
        ag.set_grad_enabled(enabled)
        return before

    return f, [functools.partial(look, e) for e in (True, True, False, True, True)]


@case
def a_default_dtype_that_the_function_sets() -> Case:
    def f(x: Any) -> Any:
        ag.set_default_dtype(ag.float64)
        return ag.zeros(2)

    def look() -> str:
        before = str(ag.get_default_dtype())
        ag.set_default_dtype(ag.float32)
        return before

    return f, [look] * 20


@case
def a_hook_of_a_tensor() -> Case:
    w, handles = vector(1, 2, 3).requires_grad_(), []

    def f(x: Any) -> Any:
        (w * x).sum().backward()
        gradient, w.grad = w.grad, None
        assert gradient is not None
        return gradient * 1

    def add() -> None:
        handles.append(w.register_hook(lambda g: g * 2))

    return f, [add, lambda: handles[0].remove()]


@case
def a_dictionary_that_is_replaced_again_and_again() -> Case:
    owner = Plain(table={"gain": 1.0, "kind": "a"})

    def f(x: Any) -> Any:
        return x * owner.table["gain"] + (1 if owner.table["kind"] == "a" else 2)

    tables = [{"gain": float(i), "kind": "ab"[i % 2]} for i in range(40)]
    return f, setter(owner, "table", *tables)


@case
def a_list_of_a_module_that_is_replaced_again_and_again() -> Case:
    net = Net(lambda self, x: sum((x * g for g in self.gains), x), gains=[1.0])
    return net, setter(net, "gains", *([float(i)] * (1 + i % 3) for i in range(40)))


# -- code ------------------------------------------------------------------------------------------


@case
def the_code_of_a_helper() -> Case:
    def double(x: Any) -> Any:
        return x * 2

    def triple(x: Any) -> Any:
        return x * 3

    def f(x: Any) -> Any:
        return double(x) + 1

    return f, setter(double, "__code__", triple.__code__, double.__code__)


@case
def the_code_of_the_function() -> Case:
    def triple(x: Any) -> Any:
        return x * 3

    def f(x: Any) -> Any:
        return x * 2

    return f, setter(f, "__code__", triple.__code__, f.__code__)


@case
def a_function_of_the_library_that_is_replaced() -> Case:
    relu = F.relu
    return lambda x: F.relu(x - 2), setter(F, "relu", lambda x: x * 7, relu)


@case
def a_function_of_python_that_is_replaced() -> Case:
    floor = math.floor
    return lambda x: x * math.floor(2.5), setter(math, "floor", lambda x: 9, floor)


@case
def the_forward_of_a_layer_that_is_replaced() -> Case:
    layer, forward = nn.ReLU(), nn.ReLU.forward

    def f(x: Any) -> Any:
        return layer(x - 2)

    return f, setter(nn.ReLU, "forward", lambda self, x: x * 7, forward)


@case
def a_list_of_a_module_of_python() -> Case:
    before = list(sys.argv)

    def f(x: Any) -> Any:
        return x * (1 + ("--double" in sys.argv))

    def change(now: list[str]) -> None:
        sys.argv[:] = now

    return f, [functools.partial(change, [*before, "--double"]), functools.partial(change, before)]


@case
def a_module_that_the_function_imports() -> Case:
    made: Any = types.ModuleType("argand_test_level")
    made.gain, made.table = 2.0, {"a": 1.0}
    sys.modules["argand_test_level"] = made

    def f(x: Any) -> Any:
        import argand_test_level  # type: ignore[import-not-found]
        from argand_test_level import table as known

        def shifted(y: Any) -> Any:
            return y + argand_test_level.gain

        return shifted(x * argand_test_level.gain) + known["a"]

    return f, [*setter(made, "gain", 3.0, 4.0), *putter(made.table, "a", 2.0)]


@case
def a_module_that_is_used_in_the_next_instruction() -> Case:
    made: Any = types.ModuleType("argand_test_gain_2")
    made.gain = 2.0
    sys.modules["argand_test_gain_2"] = made

    def f(x: Any) -> Any:
        import argand_test_gain_2 as module  # type: ignore[import-not-found]

        return module.gain * x

    return f, setter(made, "gain", 3.0, 4.0)


@case
def an_attribute_that_hides_the_one_of_its_class() -> Case:
    class Scaled:
        scale = 2.0

    owner = Scaled()

    def f(x: Any) -> Any:
        alias = owner
        return x * alias.scale

    return f, [*setter(owner, "scale", 5.0), lambda: delattr(owner, "scale")]


@case
def a_module_that_nobody_had_imported() -> Case:
    sys.modules.pop("colorsys", None)

    def f(x: Any) -> Any:
        import colorsys

        return x * colorsys.ONE_THIRD

    def change() -> None:
        sys.modules["colorsys"].ONE_THIRD = 0.5  # type: ignore[attr-defined]

    def back() -> None:
        sys.modules["colorsys"].ONE_THIRD = 1.0 / 3.0  # type: ignore[attr-defined]

    return f, [change, back]


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_change_between_calls_is_seen(name: str, backend: str) -> None:
    check_case(CASES[name], backend)


def test_the_code_of_a_function_of_two_tensors(backend: str) -> None:
    def plus(x: Any, y: Any) -> Any:
        return x + y

    def times(x: Any, y: Any) -> Any:
        return x * y

    f, x, y = ag.compile(plus, backend=backend), vector(1, 2), vector(3, 4)
    for _ in range(3):
        assert f(x, y).tolist() == [4.0, 6.0]
    plus.__code__ = times.__code__
    for _ in range(3):
        assert f(x, y).tolist() == [3.0, 8.0]


class Base:
    double = ag.compile(lambda self, x: x * 2)
    triple = ag.compile(lambda self, x: x * 3)

    gain = 2.0

    @ag.compile
    def step(self, x: Any) -> Any:
        return x * self.gain


class Derived(Base):
    @ag.compile
    def step(self, x: Any) -> Any:
        return super().step(x) + 1


def test_methods_of_one_name() -> None:
    x, base, derived = vector(1, 2), Base(), Derived()
    for _ in range(3):
        assert base.double(x).tolist() == [2.0, 4.0]
        assert base.triple(x).tolist() == [3.0, 6.0]
        assert derived.step(x).tolist() == [3.0, 5.0]
        assert super(Derived, derived).step(x).tolist() == [2.0, 4.0]
    assert base.step(x).tolist() == [2.0, 4.0]
    base.__class__ = Derived
    assert base.step(x).tolist() == [3.0, 5.0]
    for way in (copy.copy, copy.deepcopy):
        other = way(base)
        other.gain = 10.0
        assert other.step(x).tolist() == [11.0, 21.0]
        assert base.step(x).tolist() == [3.0, 5.0]


# -- what is refused -------------------------------------------------------------------------------


def test_a_context_variable_is_not_set_by_calls(backend: str) -> None:
    VARIABLE.set(1.0)

    def f(x: Any) -> Any:
        VARIABLE.set(2.0)
        return x * VARIABLE.get()

    with pytest.raises(TraceError, match=r"f sets the context variable 'VARIABLE'.*outside"):
        ag.compile(f, backend=backend)(vector(1, 2))
    assert VARIABLE.get() == 1.0


@pytest.mark.parametrize("delete", [False, True])
def test_the_environment_is_not_set_by_calls(backend: str, delete: bool) -> None:
    os.environ["ARGAND_TEST_MODE"] = "one"

    def f(x: Any) -> Any:
        if delete:
            del os.environ["ARGAND_TEST_MODE"]
        else:
            os.environ["ARGAND_TEST_MODE"] = "two"
        return x

    kind = type(os.environ)
    with pytest.raises(TraceError, match=r"variable ARGAND_TEST_MODE is set at .*others\.py:\d+"):
        ag.compile(f, backend=backend)(vector(1, 2))
    assert os.environ["ARGAND_TEST_MODE"] == "one"
    assert type(os.environ) is kind


def test_only_what_is_read_of_the_environment_counts(backend: str) -> None:
    f = ag.compile(lambda x: x + len(os.getenv("ARGAND_TEST_GAIN", "")), backend=backend)
    f(vector(1, 2))
    os.environ["ARGAND_TEST_MODE"] = "two"
    f(vector(1, 2))
    assert len(f.programs) == 1
    os.environ["ARGAND_TEST_GAIN"] = "22"
    assert f(vector(1, 2)).tolist() == [3.0, 4.0]
    assert "os.environ['ARGAND_TEST_GAIN']" in f.explain()


def test_settings_are_not_set_by_calls(backend: str) -> None:
    def threads(x: Any) -> Any:
        ag.set_num_threads(7)
        return x

    def limit(x: Any) -> Any:
        ag.settings.retrace_limit = 3
        return x

    before = ag.get_num_threads(), ag.settings.retrace_limit
    for function, name in ((threads, "threads"), (limit, "retrace_limit")):
        with pytest.raises(TraceError, match=rf"sets settings\.{name}.*set it outside"):
            ag.compile(function, backend=backend)(vector(1, 2))
        assert (ag.get_num_threads(), ag.settings.retrace_limit) == before


def test_settings_of_other_threads_are_left_alone() -> None:
    """While one thread traces, another one sets a limit and the default dtype."""
    limit = ag.settings.retrace_limit

    def other() -> None:
        ag.settings.retrace_limit = limit + 17
        ag.set_default_dtype(ag.float64)

    threads = [threading.Thread(target=other)]

    def f(x: Any) -> Any:
        for thread in threads:
            thread.start()
            thread.join()
        return x * 2

    compiled = ag.compile(f)
    try:
        compiled(vector(1, 2))
        assert ag.settings.retrace_limit == limit + 17
        assert ag.get_default_dtype() is ag.float64
        ag.set_default_dtype(ag.float32)
        threads.clear()
        compiled(ag.ones(2))
        assert ag.get_default_dtype() is ag.float32
    finally:
        ag.settings.retrace_limit = limit
        ag.set_default_dtype(ag.float32)


def test_large_arrays_of_python_are_refused(backend: str) -> None:
    data = bytearray(2 << 20)
    with pytest.raises(TraceError, match=r"data \(2097152 bytes\) is read.*ag\.frombuffer"):
        ag.compile(lambda x: x * data[3], backend=backend)(vector(1, 2))
