"""Whole models, compiled: the same bits on any number of threads and in any batch, and as near to
float64 as NumPy in float32, with vectors of any width."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import argand as ag
import argand.nn.functional as F  # PyTorch's name
from argand import nn, optim
from argand.backends.cpu.compiler import optimise, split
from argand.backends.cpu.lowering import Lowering
from argand.codegen.llvm.target import named_target
from argand.ir.interpret import interpret
from argand.passes.memory import plan_memory
from argand.runtime.threads import get_num_threads, set_num_threads
from machines import HERE
from nearness import assert_near
from nestrun import object_of
from suites import first


class Block(nn.Module):
    """A block of a small GPT over a batch of token numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(11, 24)
        self.first, self.second = nn.LayerNorm(24), nn.LayerNorm(24)
        self.mix, self.out = nn.Linear(24, 72), nn.Linear(24, 24)
        self.wide, self.narrow = nn.Linear(24, 50), nn.Linear(50, 24)
        self.head = nn.Linear(24, 11)

    def forward(self, x: Any) -> Any:
        n, length = x.shape
        h = self.tokens(x)
        q, k, v = self.mix(self.first(h)).reshape(n, length, 3, 3, 8).unbind(2)
        heads = [t.transpose(1, 2) for t in (q, k, v)]
        mixed = F.scaled_dot_product_attention(*heads, is_causal=True)
        h = h + self.out(mixed.transpose(1, 2).reshape(n, length, 24))
        h = h + self.narrow(F.gelu(self.wide(self.second(h))))
        return self.head(h).mean(1)


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(33, 70), nn.ReLU(), nn.Linear(70, 65), nn.Tanh(), nn.Linear(65, 11)
    )


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 9, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(9, 16, 3),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(64, 11),
    )


def normalised() -> nn.Module:
    return nn.Sequential(
        nn.Linear(33, 40), nn.LayerNorm(40), nn.SiLU(), nn.Linear(40, 11), nn.Softmax(-1)
    )


def pictures(n: int) -> Any:
    return ag.randn(n, 2, 8, 8)


def rows(n: int) -> Any:
    return ag.randn(n, 33)


def tokens(n: int) -> Any:
    return ag.randint(0, 11, (n, 13))


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[int], Any]]] = {
    "mlp": (mlp, rows),
    "cnn": (cnn, pictures),
    "normalised": (normalised, rows),
    "block": (Block, tokens),
}
each_model = pytest.mark.parametrize("name", list(MODELS))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path) -> Iterator[None]:
    with ag.settings.using(cache_dir=tmp_path, verify=True):
        yield


def made(name: str, batch: int) -> tuple[nn.Module, Any, Any]:
    ag.manual_seed(0)
    make, data = MODELS[name]
    return make(), data(batch), ag.randint(0, 11, (batch,))


def train(name: str, batch: int, *, wide: bool = False, **options: Any) -> list[np.ndarray]:
    """The losses of three compiled steps and the parameters after them; `wide` is in float64.

    With Adam's usual eps of 1e-8 a gradient that is 0 but for rounding would move a parameter by
    the whole learning rate; with this one the result is a smooth function of the gradients.
    """
    model, x, y = made(name, batch)
    if wide:
        model, x = model.double(), x.double() if x.is_floating_point() else x
    opt = optim.AdamW(model.parameters(), lr=1e-2, eps=1e-3)

    @ag.compile(**options)
    def step(x: Any, y: Any) -> Any:
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        return loss

    losses = [step(x, y).numpy() for _ in range(3)]
    return [*losses, *(p.detach().numpy().copy() for p in model.parameters())]


@pytest.mark.parametrize("target", first(1, ["host", "wide"]))
@each_model
def test_a_step_has_the_same_bits_on_any_number_of_threads(name: str, target: str) -> None:
    before = get_num_threads()
    found = []
    try:
        for threads in (1, 2, 5):
            set_num_threads(threads)
            with ag.settings.using(target=target):
                found.append([a.tobytes() for a in train(name, 203)])
    finally:
        set_num_threads(before)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("target", first(1, ["host", "wide"]))
@pytest.mark.parametrize("dynamic", [False, True])
@each_model
def test_a_row_has_the_same_bits_in_any_batch(name: str, dynamic: bool, target: str) -> None:
    model, x, _ = made(name, 131)
    forward = ag.compile(lambda x: model(x), dynamic=dynamic)
    with ag.no_grad(), ag.settings.using(target=target):
        whole = forward(x).numpy()
        for size in (1, 2, 3, 7, 16, 64, 130):
            assert forward(x[:size]).numpy().tobytes() == whole[:size].tobytes(), size
        assert forward(x[40:45]).numpy().tobytes() == whole[40:45].tobytes()


@each_model
def test_forward_is_near_float64_compiled_and_eager(name: str) -> None:
    model, x, _ = made(name, 9)
    forward = ag.compile(lambda x: model(x))
    with ag.no_grad():
        found, eager = forward(x).numpy(), model(x).numpy()
        program = forward.program(x)
    by_name = {n: p.detach().numpy() for n, p in model.named_parameters()}
    state = [by_name[str(v.name).removeprefix("model.")] for v in program.state]
    (narrow,) = interpret(program, [x.numpy(), *state])
    (wide,) = interpret(program, [x.numpy(), *state], wide=True)
    assert_near(found, narrow, wide)
    assert_near(eager, narrow, wide)


@pytest.fixture(scope="module")
def exact() -> Callable[[str], list[tuple[np.ndarray, np.ndarray]]]:
    """Training by NumPy, in float32 and in float64."""

    @functools.cache
    def pairs(name: str) -> list[tuple[np.ndarray, np.ndarray]]:
        found = (train(name, 19, wide=wide, backend="reference") for wide in (False, True))
        return list(zip(*found, strict=True))

    return pairs


@pytest.mark.parametrize("target", HERE)
@each_model
def test_training_is_near_float64(name: str, target: str, exact: Any) -> None:
    with ag.settings.using(target=target):
        found = train(name, 19)
    for f, (narrow, wide) in zip(found, exact(name), strict=True):
        assert_near(f, narrow, wide)


@pytest.mark.parametrize("target", ["neon", "avx512"])
@each_model
def test_objects_for_other_machines(name: str, target: str) -> None:
    """A whole training step becomes an object for a machine that this one is not."""
    model, x, y = made(name, 6)

    @ag.compile(backend="reference")
    def step(x: Any, y: Any) -> Any:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    final = optimise(step.program(x, y))
    plan = plan_memory(final.program)
    machine = named_target(target)
    lowering = Lowering(final.program, plan, machine)
    number = 0
    for native, numbers in split(final, plan):
        if native:
            data = object_of(lowering.module("entry", numbers), machine)
            assert data[:4] == b"\x7fELF"
            assert int.from_bytes(data[18:20], "little") == (183 if target == "neon" else 62)
            number += 1
    assert number


@pytest.mark.parametrize("name", [n for n, (_, data) in MODELS.items() if data is not tokens])
def test_a_nan_in_a_row_stays_in_its_row(name: str) -> None:
    model, x, _ = made(name, 20)
    forward = ag.compile(lambda x: model(x))
    with ag.no_grad():
        clean = forward(x).numpy()
        for bad in (float("nan"), float("inf"), float("-inf")):
            spoiled = x.clone()
            spoiled[7] = bad
            found, wanted = forward(spoiled).numpy(), model(spoiled).numpy()
            others = np.arange(20) != 7
            assert found[others].tobytes() == clean[others].tobytes()
            np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
            np.testing.assert_array_equal(np.isinf(found), np.isinf(wanted))
