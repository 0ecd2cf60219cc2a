"""Two tiers of code: the same bits, the swap, the helper process, forks, exits, failures."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand.backends.cpu import eager
from argand.base.errors import CompileError
from argand.base.events import listen
from argand.codegen.llvm import tiers
from argand.codegen.llvm.objectfile import cached_object
from argand.codegen.llvm.objects import immortal
from argand.codegen.llvm.source import Source
from argand.codegen.llvm.target import host_target
from argand.codegen.llvm.tiers import Optimiser, TieredCode
from argand.runtime.kernels import LIBRARY
from argand.tensor import plans
from argand.tensor.eager import plan_calls

F = ag.nn.functional
KEY = "ab" * 32
plan_calls()


@pytest.fixture
def nothing_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """As in a new process with an empty cache; gives the folder of objects."""
    kernels: dict[str, Any] = immortal({})  # plans refer to its code by address
    monkeypatch.setattr(LIBRARY, "_kernels", kernels)
    monkeypatch.setattr(eager, "_plans", {})
    monkeypatch.setattr(eager, "_kernels", {})
    with ag.settings.using(cache_dir=tmp_path):
        yield tmp_path / "objects"
    plans.clear()


@pytest.fixture
def optimiser(monkeypatch: pytest.MonkeyPatch) -> Optimiser:
    """One that no other test uses."""
    made = Optimiser()
    monkeypatch.setattr(tiers, "OPTIMISER", made)
    return made


class Held:
    """An optimiser that does nothing until it is told to."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Source, Callable[[bytes], None]]] = []

    def submit(self, source: Source, install: Callable[[bytes], None]) -> bool:
        self.jobs.append((source, install))
        return True

    def finish(self) -> None:
        for source, install in self.jobs:
            install(source.optimised())


def returning(number: int, folder: Path | None = None) -> Source:
    text = f"define i64 @entry(ptr %slots) {{\n  ret i64 {number}\n}}\n"
    return Source(text, "entry", host_target(), folder, KEY)


def called(address: int) -> int:
    return int(ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(address)(None))


def codes() -> list[TieredCode]:
    return [code for _, code in LIBRARY._kernels.values() if isinstance(code, TieredCode)]


# -- the swap ------------------------------------------------------------------------------------


def test_calls_go_on_to_what_was_installed() -> None:
    code = TieredCode(returning(1), {})
    address = code.address
    assert called(address) == 1
    code.install(returning(2).optimised())
    assert called(address) == 2


def test_installing_again_unloads_nothing() -> None:
    """A call of another thread may be running what was installed first."""
    code = TieredCode(returning(1), {})
    code.install(returning(2).optimised())
    first = weakref.ref(code._optimised)
    code.install(returning(3).optimised())
    gc.collect()
    assert called(code.address) == 3
    assert first() is not None


def test_a_plan_that_was_made_before_runs_the_optimised_code(
    nothing_compiled: Path, optimiser: Optimiser
) -> None:
    x = ag.ones(3, 4)
    for _ in range(4):
        before = x.exp().numpy()
    (code,) = codes()
    optimiser.wait()
    assert code._optimised is not None
    assert x.exp().numpy().tobytes() == before.tobytes()
    code.install(returning(1).optimised())  # it writes nothing
    assert called(code.address) == 1


def usual_ops() -> dict[str, Callable[[], Any]]:
    rng = np.random.default_rng(3)

    def t(*shape: int) -> ag.Tensor:
        return ag.from_numpy(rng.uniform(-2, 2, shape).astype("float32"))

    x, y, v, square = t(17, 37), t(17, 37), t(37), t(37, 37)
    image, filters = t(2, 3, 9, 9), t(4, 3, 3, 3)
    index = ag.from_numpy(rng.integers(0, 17, 11))
    target = ag.from_numpy(rng.integers(0, 37, 17))
    special = x.clone()
    special.view(-1)[::5] = float("inf")
    special.view(-1)[1::7] = -0.0
    special.view(-1)[2::11] = float("nan")
    leaf = t(37, 37).requires_grad_()
    half = x.to(ag.bfloat16)

    def gradient(call: Callable[[], Any]) -> Any:
        leaf.grad = None
        call().backward()
        return leaf.grad

    return {
        "exp": lambda: x.exp(),
        "special": lambda: (special.exp(), special.tanh(), special.softmax(-1), special.sum(0)),
        "sines": lambda: (x * 1000).sin() + x.cos(),
        "gelu": lambda: F.gelu(x),
        "bfloat16": lambda: half.exp() @ half.T,
        "float64": lambda: (x.double().log1p(), x.double() @ square.double()),
        "power": lambda: x.abs() ** 1.7,
        "softmax": lambda: (x.softmax(-1), x.softmax(0), x.log_softmax(-1)),
        "layer norm": lambda: F.layer_norm(x, (37,), v, v),
        "sums": lambda: (x.sum(), x.sum(0), x.mean(1), x.std(), x.norm(), x.logsumexp(1)),
        "extremes": lambda: (x.max(1).values, x.argmax(0), x.cumsum(1)),
        "products": lambda: (x @ square, x[:1] @ square, x.T @ y, square @ v),
        "linear": lambda: F.linear(x, square, v),
        "attention": lambda: F.scaled_dot_product_attention(x[None], y[None], y[None]),
        "convolution": lambda: F.conv2d(image, filters, padding=1),
        "pooling": lambda: F.max_pool2d(image, 2),
        "gather": lambda: (x[index], F.embedding(index, x)),
        "cross entropy": lambda: F.cross_entropy(x, target),
        "gradient of a product": lambda: gradient(lambda: F.gelu(x @ leaf).sum()),
        "gradient of a softmax": lambda: gradient(
            lambda: F.cross_entropy(F.layer_norm(x @ leaf, (37,)), target)
        ),
    }


def contents(found: Any) -> list[bytes]:
    tensors = found if isinstance(found, tuple) else (found,)
    return [t.detach().contiguous().view(-1).float().numpy().tobytes() for t in tensors]


@pytest.mark.parametrize("threads", [1, 2])
def test_both_tiers_have_the_same_bits(
    nothing_compiled: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    held = Held()
    monkeypatch.setattr(tiers, "OPTIMISER", held)
    calls = usual_ops()
    with ag.settings.using(threads=threads):
        quick = {name: contents(call()) for name, call in calls.items()}
        assert len(held.jobs) == len(codes()) > 20
        assert all(code._optimised is None for code in codes())
        held.finish()
        assert all(code._optimised is not None for code in codes())
        for name, call in calls.items():
            assert contents(call()) == quick[name], name


def test_a_dropout_draws_the_same_on_both_tiers(
    nothing_compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held()
    monkeypatch.setattr(tiers, "OPTIMISER", held)
    x = ag.ones(64, 64)
    found = []
    for _ in range(2):
        ag.manual_seed(5)
        found.append(contents(F.gelu(F.dropout(x, 0.3))))
        held.finish()
    assert found[0] == found[1]


def test_large_operands_wait_for_optimised_code(
    nothing_compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiers, "OPTIMISER", Held())
    ag.ones(8, 8).exp()
    (code,) = codes()
    assert code._optimised is None
    ag.ones(1024, 1024).exp()
    assert code._optimised is not None


def test_code_that_is_verified_has_one_tier(nothing_compiled: Path) -> None:
    with ag.settings.using(verify=True):
        ag.ones(3, 4).exp()
    assert LIBRARY._kernels
    assert not codes()


# -- the helper process --------------------------------------------------------------------------


def test_the_cache_gets_optimised_objects(nothing_compiled: Path, optimiser: Optimiser) -> None:
    x = ag.ones(5, 6)
    x.exp()
    (x @ x.T).tanh()
    optimiser.wait()
    for key, (_, code) in LIBRARY._kernels.items():
        assert isinstance(code, TieredCode)
        assert cached_object(nothing_compiled, key) == code.source.optimised()


def test_without_a_cache_the_code_is_optimised_too(
    nothing_compiled: Path, optimiser: Optimiser
) -> None:
    with ag.settings.using(cache=False):
        ag.ones(3, 4).exp()
        optimiser.wait()
    assert [code._optimised is not None for code in codes()] == [True]
    assert not nothing_compiled.exists()


def test_a_folder_that_was_deleted_is_not_made_again(tmp_path: Path) -> None:
    optimiser, found = Optimiser(), []
    assert optimiser.submit(returning(1), found.append)
    optimiser.wait()
    gone = returning(2, tmp_path / "gone")
    with optimiser._change:
        optimiser._jobs.append(tiers._Job(gone, found.append))
        optimiser._change.notify_all()
    optimiser.wait()
    assert len(found) == 2
    assert not (tmp_path / "gone").exists()


def test_an_idle_process_ends_and_another_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers, "IDLE_SECONDS", 0.01)
    optimiser, found = Optimiser(), []
    for _ in range(2):
        assert optimiser.submit(returning(1), found.append)
        process = optimiser._process
        optimiser.wait()
        deadline = time.monotonic() + 60
        while process.returncode is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert process.returncode is not None
    assert len(found) == 2


def test_what_a_lost_process_owes_is_done_here() -> None:
    optimiser, found = Optimiser(), []
    assert optimiser.submit(returning(1), found.append)
    os.kill(optimiser._process.pid, signal.SIGKILL)
    optimiser.wait()
    assert found == [returning(1).optimised()]
    assert not optimiser.submit(returning(1), found.append)


def test_where_no_process_starts_code_is_optimised_at_once(
    nothing_compiled: Path, optimiser: Optimiser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    ag.ones(3, 4).exp()
    assert [code._optimised is not None for code in codes()] == [True]


def test_a_text_that_is_refused_is_told() -> None:
    optimiser, told = Optimiser(), []
    stop = listen("not_optimised", lambda **info: told.append(info["kernel"]))
    wrong = Source("define i64 @entry() { ret i32 0 }", "entry", host_target(), None, KEY)
    assert optimiser.submit(wrong, lambda data: None)
    with pytest.raises(CompileError, match="kernel entry: the code generated for it is not valid"):
        optimiser.wait()
    stop()
    assert told == ["entry"]
    optimiser.wait()


# -- processes -----------------------------------------------------------------------------------

SCRIPT = """
import os, sys
import numpy as np
import argand as ag
from argand.codegen.llvm import tiers
x = ag.ones(5, 6)
y = (x @ x.T).exp()
"""


def run(script: str, cache: Path) -> str:
    env = {**os.environ, "ARGAND_CACHE": os.fspath(cache)}
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", SCRIPT + script],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_an_exit_waits_for_nothing_and_the_cache_is_filled(tmp_path: Path) -> None:
    for _ in range(3):
        run("", tmp_path)
    deadline = time.monotonic() + 120
    while len(list(tmp_path.rglob("*.o"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(list(tmp_path.rglob("*.o"))) == 4  # of two kernels, what calls them, the pool
    never = "tiers.OPTIMISER.wait(); assert tiers.OPTIMISER._process is None"
    run(never, tmp_path)


def test_a_fork_goes_on_with_quick_code(tmp_path: Path) -> None:
    script = """
child = os.fork()
again = (x @ x.T).exp()
assert np.array_equal(again.numpy(), y.numpy())
more = ag.softmax(again, -1)
tiers.OPTIMISER.wait()
assert np.array_equal(ag.softmax(again, -1).numpy(), more.numpy())
if child == 0:
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    # Python warns of any fork beside threads, and a program has these for its own work too.
    quiet = "import warnings\nwarnings.simplefilter('ignore', DeprecationWarning)\n"
    run(quiet + script, tmp_path)
