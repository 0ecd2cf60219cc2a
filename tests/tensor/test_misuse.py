"""Calls with arguments of a wrong kind explain themselves; nothing of NumPy's or Python's gets out.

A walk over the public functions, methods and modules with values that none of them takes.
"""

from __future__ import annotations

import inspect
import random
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import argand as ag
import argand.nn.functional as F  # PyTorch's name
from argand import nn, optim
from argand.base.errors import CallError, OutOfMemoryError
from argand.base.misuse import explained
from argand.base.shape import shape_text
from argand.tensor.eager import plan_calls

plan_calls()

TENSORS: list[Callable[[], Any]] = [
    lambda: ag.ones(2, 3),
    lambda: ag.ones(4, 5),
    lambda: ag.ones(3),
    lambda: ag.tensor(2.0),
    lambda: ag.zeros(0, 3),
    lambda: ag.ones(2, 3, 4, 5),
    lambda: ag.arange(6).reshape(2, 3),
    lambda: ag.tensor([True, False]),
    lambda: ag.tensor([7, -9, 100]),
    lambda: ag.ones(40, 50),
]
VALUES: list[Any] = [
    0, 1, -1, 2, -5, 7, 1.5, float("nan"), float("inf"), None, True, "x", "mean", (0, 0), (1,),
    (-1, 2), (2, -1, -1), [3, 3], (), (1.5, 2), ("a",), object(), ag.float32, "float33",
    slice(0, 9, -1), {}, np.zeros((2, 2)), np.float64(2), 1j, -(2**70),
]  # fmt: skip
# They take what they get (a printer, a switch), or ask for memory by design.
SKIPPED = (
    *("set_printoptions", "manual_seed", "seed", "set_rng_state", "fork_rng"),
    *("register_hook", "apply_", "share_memory_", "data_ptr", "is_set_to", "backward"),
    "set_default_dtype",
    *("set_default_device", "set_num_threads", "set_float32_matmul_precision"),
    *("use_deterministic_algorithms", "set_deterministic_debug_mode"),
)


def public() -> dict[str, list[tuple[str, Any]]]:
    functions = [(n, getattr(ag, n)) for n in ag.__all__]
    methods = [(n, getattr(ag.Tensor, n)) for n in dir(ag.Tensor) if not n.startswith("_")]
    layers = [(n, getattr(nn, n)) for n in nn.__all__]
    return {
        "function": [(n, f) for n, f in functions if inspect.isfunction(f)],
        "functional": [(n, getattr(F, n)) for n in F.__all__],
        "method": [(n, f) for n, f in methods if callable(f)],
        "module": [(n, f) for n, f in layers if isinstance(f, type) and issubclass(f, nn.Module)],
    }


def is_clear(error: BaseException) -> bool:
    """Ours, or raised by us with a reason, or Python's about the argument list."""
    if isinstance(error, ag.ArgandError):
        return True
    trace = traceback.extract_tb(error.__traceback__)
    by_us = "argand" in trace[-1].filename and "raise" in (trace[-1].line or "")
    return by_us or (isinstance(error, TypeError) and "argument" in str(error))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["function", "functional", "method", "module"])
def test_no_raw_error_gets_out(kind: str, seed: int) -> None:
    rng = random.Random(seed)

    def value() -> Any:
        return rng.choice(TENSORS)() if rng.random() < 0.5 else rng.choice(VALUES)

    raw = []
    for name, function in public()[kind]:
        if name in SKIPPED:
            continue
        for _ in range(3):
            args = [value() for _ in range(rng.choice((0, 1, 1, 2, 2, 3)))]
            if (kind != "module" and rng.random() < 0.8) or kind == "method":
                args.insert(0, rng.choice(TENSORS)())
            try:
                with warnings.catch_warnings(), np.errstate(all="ignore"):
                    warnings.simplefilter("ignore")
                    if kind == "module":
                        function(*args[:2])(*args[2:])
                    else:
                        function(*args)
            except Exception as error:  # whatever comes is judged
                if not is_clear(error):
                    raw.append(f"{name}: {type(error).__name__}: {error}")
    assert not raw, "\n".join(raw)


# -- every message names the call, the shapes and the line ----------------------------------------

# They read a value or a property of one tensor, which the message says without a call's name.
BARE = ("item", "numpy", "numpy_array", "requires_grad_", "size", "tolist")


class Holder(nn.Module):
    """Gives a module a path."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *args: Any) -> Any:
        return self.inner(*args)


def complaints(error: Exception, name: str, args: list[Any], where: list[str]) -> list[str]:
    """What the message of a failed call fails to tell."""
    text = str(error)
    if isinstance(error, TypeError) and "() " in text and "argument" in text:
        return []  # Python's about the argument list
    while_running = text.startswith(f"{name}: ")  # of a program: the arguments are gone
    shapes = [shape_text(a.shape) for a in args if isinstance(a, ag.Tensor)]
    wanted = [name, "test_misuse.py:", *where, *([] if while_running else shapes)]
    return [f"{name} doesn't tell {w}: {text}" for w in wanted if w not in text]


def failure(function: Callable[..., Any], args: list[Any]) -> Exception | None:
    """The error of a call."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            function(*args)
    except Exception as error:  # whatever comes is judged
        return error
    return None


@pytest.mark.filterwarnings("ignore:size_average")  # a number drawn at its place
@pytest.mark.filterwarnings("ignore:.* is the older:FutureWarning")
@pytest.mark.parametrize("how", ["eager", "compiled"])
@pytest.mark.parametrize("kind", ["function", "functional", "method", "module"])
def test_a_message_names_the_call_the_shapes_and_the_line(kind: str, how: str) -> None:
    rng = random.Random(0)
    missing: list[str] = []

    def judge(error: Exception | None, *told: Any) -> None:
        missing.extend(complaints(error, *told) if error is not None else [])

    for name, function in public()[kind]:
        for _ in range(0 if name in (*SKIPPED, *BARE) else 4):
            args = [rng.choice(TENSORS)() for _ in range(rng.choice((1, 2, 3)))]
            args += [rng.choice((0, 1, 9, (4,), "x"))] * rng.choice((0, 1))
            called, told = function, (name, args, [])
            if kind == "module":
                sizes = [rng.choice((1, 3, 4)) for _ in range(rng.choice((0, 1, 2, 3)))]
                error = failure(function, sizes)
                if error is not None:
                    judge(error, name, sizes, [])
                    continue
                became = name.removeprefix("Lazy")
                called, told = Holder(function(*sizes)), (became, args, ["module inner"])
                if [*called.inner.children()]:
                    told = ("", [], ["module inner"])  # the layer at fault is named
            if how == "compiled":
                called = ag.compile(lambda *a, f=called: f(*a), backend="reference")
            judge(failure(called, args), *told)
    assert not missing, "\n".join(missing)


def test_an_optimizers_step_is_named() -> None:
    for name in ("SGD", "Adam", "AdamW", "Adamax", "RMSprop", "Adagrad", "Adadelta"):
        p = nn.Parameter(ag.ones(3))
        opt = getattr(optim, name)([p], **({"momentum": 0.9} if name == "SGD" else {}))
        p.grad = ag.ones(3)
        opt.step()
        p.data, p.grad = ag.ones(2), None
        p.grad = ag.ones(2)
        with pytest.raises(RuntimeError, match=rf"step\({name}.*test_misuse.py:\d+") as caught:
            opt.step()
        assert "(3,)" in str(caught.value) and "(2,)" in str(caught.value)


@pytest.mark.parametrize("how", ["eager", "native"])
def test_a_value_out_of_range_is_told_of_the_function(how: str) -> None:
    def call(function: Callable[..., Any], *args: Any) -> str:
        with pytest.raises(IndexError) as caught:
            (ag.compile(function) if how == "native" else function)(*args)
        return str(caught.value)

    scores, target = ag.ones(2, 3), ag.tensor([1, 7])
    text = call(lambda x, y: F.cross_entropy(x, y), scores, target)
    assert text.startswith("cross_entropy") and " 7 is out of range" in text
    loss = Holder(nn.NLLLoss())
    text = call(lambda x, y: loss(x, y), scores, target)
    assert text.startswith("NLLLoss") and "module inner]" in text


def test_the_message_says_what_came_and_what_is_taken() -> None:
    with pytest.raises(CallError) as caught:
        F.group_norm(ag.ones(2, 4), "two")
    text = str(caught.value)
    assert text.startswith("group_norm(f32(2, 4), 'two'): group_norm can't work with these")
    assert "it takes group_norm(input, num_groups, " in text
    assert "test_misuse.py:" in text


def test_a_module_names_itself() -> None:
    with pytest.raises(CallError, match=r"LayerNorm\(None\).*it takes LayerNorm\(normalized_shape"):
        nn.LayerNorm(None)
    with pytest.raises(CallError, match=r"Flatten\(start_dim=1, end_dim=-1\)\(5\)"):
        nn.Flatten()(5)


def test_memory_that_there_is_not() -> None:
    with pytest.raises(OutOfMemoryError, match="needs more memory than there is") as caught:
        ag.zeros(1 << 30, 1 << 30)
    assert isinstance(caught.value, MemoryError) and isinstance(caught.value, RuntimeError)


def test_errors_of_the_users_own_functions_pass() -> None:
    class Mine(nn.Module):
        def forward(self, x: Any) -> Any:
            return {}["missing"]

    with pytest.raises(KeyError, match="missing"):
        Mine()(1)
    with pytest.raises(ZeroDivisionError):
        ag.ones(2).apply_(lambda v: 1 / 0)


def test_our_own_errors_and_missing_arguments_pass() -> None:
    @explained
    def check(x: Any) -> Any:
        raise ValueError("ours would be raised in the package; this one is the user's")

    with pytest.raises(ValueError, match="user's"):
        check(1)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        ag.gather(ag.ones(2), 0)


@pytest.mark.parametrize(
    ("call", "nearest"),
    [
        (lambda: nn.Linaer, "Linear"),
        (lambda: F.reluu, "relu"),
        (lambda: ag.sofmax, "softmax"),
        (lambda: ag.optim.Adamm, "Adam"),
        (lambda: ag.data.DataLoadr, "DataLoader"),
        (lambda: ag.metrics.Acuracy, "Accuracy"),
        (lambda: ag.ones(1).resahpe, "reshape"),
        (lambda: nn.Linear(1, 1).wieght, "weight"),
        (lambda: nn.Linear(3, 4, bais=False), "bias"),
        (lambda: ag.optim.Adam([ag.ones(1)], lrr=1), "lr"),
        (lambda: F.conv2d(ag.ones(1, 1, 3, 3), ag.ones(1, 1, 3, 3), strid=2), "stride"),
        (lambda: ag.zeros(1, dtype="flaot32"), "float32"),
        (lambda: setattr(ag.settings, "thraeds", 1), "threads"),
        (lambda: nn.Linear(1, 1).load_state_dict({"wieght": ag.ones(1, 1)}), "weight"),
        (lambda: nn.Linear(1, 1).compile(optimizer="adm", loss="mse"), "adam"),
        (lambda: nn.Linear(1, 1).compile(optimizer="adam", loss="mxe"), "mse"),
        (lambda: nn.Linear(1, 1).compile("adam", "mse", metrics=["acuracy"]), "accuracy"),
    ],
)
def test_unknown_names_suggest_the_nearest(call: Callable[[], Any], nearest: str) -> None:
    for _ in range(3):  # a call that came before is run to be planned
        with pytest.raises(Exception, match=rf"did you mean .*\b{nearest}\b"):
            call()


@pytest.mark.parametrize("how", ["eager", "compiled"])
@pytest.mark.parametrize(
    "call",
    [
        lambda x: x + ag.ones(4, 5),
        lambda x: x @ ag.ones(4, 5),
        lambda x: x.add_(ag.ones(4, 5)),
        lambda x: ag.cat([x, ag.ones(4, 5)]),
        lambda x: ag.stack([x, ag.ones(4, 5)]),
        lambda x: ag.where(x > 0, x, ag.ones(4, 5)),
        lambda x: ag.einsum("ij,jk->ik", x, ag.ones(4, 5)),
        lambda x: x.reshape(4, 5),
        lambda x: x.expand(4, 5),
        lambda x: F.mse_loss(x, ag.ones(4, 5)),
        lambda x: F.linear(x, ag.ones(4, 5)),
        lambda x: F.layer_norm(x, (4, 5)),
        lambda x: x.clone().index_add(0, ag.tensor([0]), ag.ones(4, 5)),
    ],
)
def test_shapes_that_do_not_fit_are_named(how: str, call: Callable[[Any], Any]) -> None:
    function = ag.compile(call, backend="reference") if how == "compiled" else call
    with pytest.raises(RuntimeError) as caught:
        function(ag.ones(2, 3))
    text = str(caught.value)
    assert "test_misuse.py:" in text
    assert "(4, 5)" in text
    assert "(2, 3)" in text


def test_the_module_is_named_through_plain_functions() -> None:
    class Head(nn.Module):
        def forward(self, x: Any) -> Any:
            return ag.stack([x, ag.ones(4, 5)])

    model = nn.Sequential(nn.Identity(), nn.Sequential(Head()))
    for function in (model, ag.compile(lambda x: model(x), backend="reference")):
        with pytest.raises(RuntimeError, match=r"stack: .*test_misuse.py:\d+, module 1\.0"):
            function(ag.ones(2, 3))
