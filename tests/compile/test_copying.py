"""`copy`, `deepcopy` and `pickle` of compiled functions, methods and modules, and new processes."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand import nn, optim


@ag.compile
def double(x: Any) -> Any:
    return x * 2


def plain(x: Any) -> Any:
    return x + 1


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 2)

    @ag.compile
    def forward(self, x: Any) -> Any:
        return self.inner(x)


class Counter:
    def __init__(self, step: float) -> None:
        self.step = step

    @ag.compile
    def ahead(self, x: Any) -> Any:
        return x + self.step

    @staticmethod
    @ag.compile
    def half(x: Any) -> Any:
        return x / 2

    @ag.compile
    @staticmethod
    def third(x: Any) -> Any:
        return x / 3

    @classmethod
    @ag.compile
    def kind(cls, x: Any) -> Any:
        return x * cls.factor

    factor = 2.0

    def slow(self, x: Any) -> Any:
        return x - self.step

    fast = ag.compile(slow)


class Slotted:
    __slots__ = ("step",)

    @ag.compile
    def ahead(self, x: Any) -> Any:
        return x + 1


def again(x: Any) -> Any:
    return pickle.loads(pickle.dumps(x))


WAYS = {"pickle": again, "copy": copy.copy, "deepcopy": copy.deepcopy}
X = [[1.0, -2.0]]


@pytest.fixture(params=[False, True], ids=["fresh", "called"])
def called(request: pytest.FixtureRequest) -> bool:
    """Whether the function was called before it is copied."""
    return bool(request.param)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """This module under its name, where pickle looks; pytest's import mode leaves it out."""
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _this_module())


def _this_module() -> Any:
    found = type(sys)(__name__)
    vars(found).update(globals())
    return found


@pytest.mark.parametrize("way", WAYS)
def test_a_decorated_function(way: str, called: bool) -> None:
    x = ag.tensor(X)
    if called:
        double(x)
    twin = WAYS[way](double)
    np.testing.assert_array_equal(twin(x).numpy(), x.numpy() * 2)
    assert (twin is double) == (way == "pickle")  # by name, as functions are
    assert again(Counter.half) is Counter.half


@pytest.mark.parametrize("way", WAYS)
def test_a_function_compiled_under_another_name_keeps_its_options(way: str, called: bool) -> None:
    dynamic = {"x": (ag.Dim("batch"), None)}
    f = ag.compile(plain, backend="reference", name="other", freeze=True, dynamic=dynamic)
    g = ag.compile(double.function, name="second")
    for fast, expected in ((f, 1.0), (g, 2.0)):
        if called:
            fast(ag.ones(2, 2))
        twin = WAYS[way](fast)
        assert twin.function is fast.function and twin is not fast and not twin.programs
        assert (twin.name, twin.backend, twin.freeze) == (fast.name, fast.backend, fast.freeze)
        assert str(twin.dynamic) == str(fast.dynamic)
        assert twin(ag.ones(3, 2)).sum().item() == 6 * (1 + expected if fast is f else expected)
    assert "(f32[batch, 2])" in WAYS[way](f).program(ag.ones(3, 2)).__str__().replace("x: ", "")


@pytest.mark.parametrize("way", WAYS)
def test_a_model_with_a_compiled_method(way: str, called: bool) -> None:
    model, x = Model(), ag.tensor(X)
    if called:
        model(x)
    twin = WAYS[way](model)
    assert list(twin.state_dict()) == ["inner.weight", "inner.bias"]
    np.testing.assert_array_equal(twin(x).detach().numpy(), model(x).detach().numpy())
    if way != "copy":  # weights of its own, which its own program reads
        with ag.no_grad():
            twin.inner.weight.zero_()
            twin.inner.bias.fill_(7.0)
        assert twin(x).tolist() == [[7.0, 7.0]] != model(x).tolist()
    assert twin.forward.function.__self__ is twin


@pytest.mark.parametrize("way", WAYS)
def test_a_compiled_module(way: str, called: bool) -> None:
    fast, x = ag.compile(nn.Linear(2, 2)), ag.tensor(X)
    if called:
        fast(x)
    twin = WAYS[way](fast)
    np.testing.assert_array_equal(twin(x).detach().numpy(), fast(x).detach().numpy())
    assert type(twin) is type(fast) and (twin.function is fast.function) == (way == "copy")
    assert list(twin.state_dict()) == ["weight", "bias"]


@pytest.mark.parametrize("way", WAYS)
def test_bound_methods_follow_their_object(way: str, called: bool) -> None:
    counter = Counter(3.0)
    if called:
        counter.ahead(ag.ones(1)), counter.fast(ag.ones(1))
    for twin in (WAYS[way](counter).ahead, WAYS[way](counter.ahead)):
        assert twin(ag.ones(1)).item() == 4
        twin.function.__self__.step = 5.0
        assert twin(ag.ones(1)).item() == 6
        counter.step = 3.0
    assert WAYS[way](counter.fast)(ag.ones(1)).item() == -2


class Doubled(Counter):
    factor = 4.0


def test_static_and_class_methods(called: bool) -> None:
    x = ag.tensor(X)
    for owner, factor in ((Counter, 2), (Counter(1.0), 2), (Doubled, 4), (Doubled(1.0), 4)):
        for _ in range(1 + called):
            assert owner.half(x).tolist() == [[0.5, -1.0]]
            np.testing.assert_allclose(owner.third(x).numpy(), x.numpy() / 3, rtol=1e-6)
            assert owner.kind(x).tolist() == (x * factor).tolist()
    assert again(Doubled.kind)(x).tolist() == (x * 4).tolist()
    with pytest.raises(TypeError, match="put @classmethod above @compile"):
        ag.compile(classmethod(plain))  # type: ignore[arg-type]


def test_a_model_and_its_optimizer_go_on_after_a_pickle() -> None:
    model = Model()
    optimizer = optim.Adam(model.parameters(), lr=0.1)

    def step(model: Any, optimizer: Any) -> None:
        optimizer.zero_grad()
        model(ag.tensor(X)).square().sum().backward()
        optimizer.step()

    step(model, optimizer)
    twin, twins_optimizer = again((model, optimizer))
    for _ in range(2):
        step(model, optimizer)
        step(twin, twins_optimizer)
    np.testing.assert_allclose(twin.inner.weight.detach(), model.inner.weight.detach())


def test_what_cannot_be_pickled_says_so_as_python_does() -> None:
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(ag.compile(lambda x: x))


def test_an_object_without_a_place_for_its_method_is_told() -> None:
    with pytest.raises(TypeError, match="'__dict__' to its __slots__"):
        Slotted().ahead(ag.ones(1))


SCRIPT = """
import multiprocessing as mp
import argand as ag

@ag.compile
def double(x):
    return x * 2

def work(f, x, queue):
    queue.put(f(x).tolist())

if __name__ == "__main__":
    double(ag.ones(2))
    context = mp.get_context("spawn")
    with context.Pool(1) as pool:
        print(pool.map(double, [ag.ones(2), ag.ones(3)]))
"""


def test_a_spawned_process_runs_a_compiled_function(tmp_path: Path) -> None:
    path = tmp_path / "spawning.py"
    path.write_text(SCRIPT)
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[tensor([2., 2.]), tensor([2., 2., 2.])]"
