"""Whole training steps: native throughout, state updated in place, equal to the interpreter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import argand as ag
import argand.nn.functional as F
from argand import nn, optim
from argand.backends.cpu import lowering, native
from argand.backends.cpu.program import NativeProgram
from argand.base.errors import CompileError
from argand.base.events import listen
from argand.base.settings import settings
from argand.runtime.kernels import Library
from argand.runtime.threads import get_num_threads, set_num_threads


@pytest.fixture(autouse=True)
def checked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with settings.using(verify=True, cache_dir=tmp_path_factory.getbasetemp() / "cache"):
        yield


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(30, 50), nn.ReLU(), nn.Linear(50, 20), nn.Tanh())


def norms() -> nn.Module:
    return nn.Sequential(nn.Linear(30, 50), nn.LayerNorm(50), nn.GELU(), nn.Dropout(0.2))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 5, 3, stride=2),
        nn.ReLU(),
        nn.Flatten(),
    )


CASES: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "mlp": (mlp, (13, 30)),
    "norms": (norms, (7, 30)),
    "cnn": (cnn, (6, 3, 16, 16)),
}


def train(name: str, backend: str, steps: int = 4) -> tuple[list[float], list[Any], Any]:
    """Losses and parameters after some steps, and the compiled program."""
    build, shape = CASES[name]
    ag.manual_seed(0)
    model = build()
    opt = optim.Adam(model.parameters(), lr=1e-2, eps=1e-3)
    rng = np.random.default_rng(0)
    x = ag.tensor(rng.standard_normal(shape).astype(np.float32))
    y = ag.tensor(rng.integers(0, 5, shape[0]))

    def step(x: Any, y: Any) -> Any:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    compiled = ag.compile(step, backend=backend)
    losses = [float(compiled(x, y)) for _ in range(steps)]
    program = compiled.specialisations[-1].executable.compiled
    return losses, [p.detach().numpy().copy() for p in model.parameters()], program


@pytest.mark.parametrize("name", CASES)
def test_a_step_is_native_and_right(name: str) -> None:
    losses, parameters, program = train(name, "cpu")
    wanted, reference, _ = train(name, "reference")
    np.testing.assert_allclose(losses, wanted, rtol=1e-4)
    for got, want in zip(parameters, reference, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-2, atol=2e-4)
    assert isinstance(program, NativeProgram)
    assert not any("host" in line for line in program.explain())


@pytest.mark.parametrize("name", CASES)
def test_optimizers_update_their_state_in_place(name: str) -> None:
    """No matrix is only copied into its memory; small things that a kernel also reads may be."""
    program = train(name, "cpu", 2)[2].program
    copies = [v for v in program.writes.values() if v.node.op.name == "contiguous"]
    assert not [v for v in copies if v.ndim > 1]


@pytest.mark.parametrize("name", CASES)
def test_the_same_bits_for_any_number_of_threads(name: str) -> None:
    before = get_num_threads()
    results = []
    try:
        for threads in (1, 2, 5):
            set_num_threads(threads)
            losses, parameters, _ = train(name, "cpu")
            results.append((losses, [p.tobytes() for p in parameters]))
    finally:
        set_num_threads(before)
    assert results[0] == results[1] == results[2]


def test_a_node_without_a_kernel_runs_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect of a lowering costs speed, not the result, and `explain` tells."""
    lower = lowering.lower_node

    def broken(b: Any, node: Any, env: Any) -> None:
        if node.params.get("kind") == "contract":
            raise CompileError("not today")
        lower(b, node, env)

    monkeypatch.setattr(lowering, "lower_node", broken)
    monkeypatch.setattr(native, "LIBRARY", Library())
    seen: list[str] = []
    stop = listen("not_lowered", lambda **info: seen.append(info["reason"]))
    with settings.using(verify=False, cache=False):
        losses, _, program = train("mlp", "cpu")
    stop()
    np.testing.assert_allclose(losses, train("mlp", "reference")[0], rtol=1e-4)
    assert any("host" in line for line in program.explain())
    assert "not today" in seen[0]
