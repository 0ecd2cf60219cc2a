"""Programs with symbolic sizes, called with many sizes: what eager code gives, or refused."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand import nn
from argand.base.errors import ShapeError
from argand.base.tree import flatten
from argand.export import export, load
from argand.nn import functional as F

SIZES = ((6, 5), (5, 6), (3, 3), (2, 6), (6, 2), (1, 4), (4, 1), (1, 1), (0, 4), (4, 0), (0, 0))

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "column": lambda x: x[:, 2] + 1,
    "narrow": lambda x: x.narrow(0, 1, 2) * 2,
    "slice": lambda x: x[3:] * 2,
    "roll": lambda x: x.roll((1, -2), (0, 1)) + 0,
    "pad": lambda x: F.pad(x, (-1, -2)) + 1,
    "quantile": lambda x: x.quantile(0.3, 0),
    "softmax": lambda x: x[2:].softmax(0),
    "cov": lambda x: ag.cov(x),
    "vander": lambda x: ag.vander(x[:, 0]),
    "batch_norm": lambda x: F.batch_norm(x, None, None, training=True),
    "chunk": lambda x: ag.cat([part.sum(0, keepdim=True) for part in x.chunk(2)]),
    "bucketize": lambda x: ag.bucketize(x, ag.tensor([0.2, 0.5])),
    "meshgrid": lambda x: ag.meshgrid(x[0], x[1], indexing="ij")[0] + 0,
    "one row": lambda x: x * 2 if x.shape[0] == 1 else x - 1,
    "no elements": lambda x: x - 1 if x.numel() == 0 else x * 2,
    "few rows": lambda x: x * 2 if x.shape[0] < 2 else x - 1,
    "as many": lambda x: x[: min(x.shape[0] - 1, x.shape[1])] * 2,
}

# Those whose comparisons no range decides.
UNDECIDED = {"slice", "vander", "chunk", "as many"}


def outcome(function: Callable[..., Any], x: Any) -> Any:
    """An array; None for a call that is refused."""
    try:
        return function(x).numpy()
    except (ValueError, RuntimeError, IndexError):
        return None


@pytest.mark.parametrize("kind", ["declared", "hinted"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_as_eager_or_refused(name: str, kind: str) -> None:
    dims = {0: "n", 1: "m"} if kind == "declared" else {0: ag.Dim.DYNAMIC, 1: ag.Dim.DYNAMIC}
    function, rng = FUNCTIONS[name], np.random.default_rng(0)
    try:
        program = export(function, (ag.rand(6, 5),), dynamic_shapes=(dims,))
    except ShapeError:
        assert kind == "declared" and name in UNDECIDED
        return
    file = io.BytesIO()
    program.save(file)
    calls = {"exported": program, "loaded": load(io.BytesIO(file.getvalue()))}
    for shape in SIZES:
        x = ag.tensor(rng.random(shape, np.float32))
        wanted = outcome(function, x)
        for how, call in calls.items():
            got = outcome(call, x)
            assert got is not None or shape != (6, 5), how
            if got is not None:
                assert wanted is not None and got.dtype == wanted.dtype, (how, shape)
                np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6, strict=True)


MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], tuple[int, ...]]] = {
    "Linear": (lambda: nn.Linear(4, 3), (5, 6, 4), (0, 1)),
    "Conv2d": (lambda: nn.Conv2d(2, 3, 3, padding=1), (2, 2, 6, 7), (0, 2, 3)),
    "LSTM": (lambda: nn.LSTM(3, 4), (5, 2, 3), (0, 1)),
    "attention": (lambda: nn.TransformerEncoderLayer(4, 2, 8).eval(), (5, 2, 4), (0, 1)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(2).eval(), (2, 2, 6, 7), (0, 2, 3)),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d(1), (2, 2, 6, 7), (0, 2, 3)),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_serves_one_of_each(name: str) -> None:
    """Sizes of 1 are no special case of what has none."""
    make, shape, varying = MODULES[name]
    module = make()
    dims = {d: ag.Dim(f"n{d}") for d in varying}
    program = export(module, (ag.rand(*shape),), dynamic_shapes=(dims,))
    for size in (1, 2, 9):
        x = ag.rand(*[size if d in varying else n for d, n in enumerate(shape)])
        with ag.no_grad():
            pairs = zip(flatten(program(x))[0], flatten(module(x))[0], strict=True)
            for got, wanted in pairs:
                np.testing.assert_allclose(got.numpy(), wanted.numpy(), rtol=1e-4, atol=1e-6)


def test_values_that_only_state_decides_are_of_no_symbolic_size() -> None:
    """An expanded bias without elements is as large as its call, and not computed once."""
    conv = nn.Conv2d(2, 3, 3, padding=1)
    dims = dict.fromkeys((0, 2, 3), ag.Dim.DYNAMIC)
    program = export(conv, (ag.rand(2, 2, 5, 5),), dynamic_shapes=(dims,))
    with ag.no_grad():
        assert program(ag.rand(0, 2, 4, 5)).shape == (0, 3, 4, 5)


def test_the_error_names_the_sizes() -> None:
    program = export(lambda x: x[:, 2], (ag.rand(4, 5),), dynamic_shapes=({0: "n", 1: "m"},))
    with pytest.raises(ValueError, match=r"can't run where n is 4, m is 2: .*slice: 2:3"):
        program(ag.rand(4, 2))
    one = export(FUNCTIONS["one row"], (ag.rand(4, 5),), dynamic_shapes=({0: "n"},))
    with pytest.raises(ValueError, match="sizes where n - 1 == 0 is False, and here n is 1"):
        one(ag.rand(1, 5))
    assert one(ag.rand(0, 5)).shape == (0, 5)


def test_numbers_that_python_makes_of_sizes_fix_them() -> None:
    """`int(n * 1.5)` is a number in the trace, and right for one size."""

    def longer(x: Any) -> Any:
        return x.new_ones(int(x.shape[0] * 1.5)) + x.sum()

    program = export(longer, (ag.ones(6),), dynamic_shapes=({0: ag.Dim.AUTO},))
    assert program(ag.ones(6)).shape == (9,)
    with pytest.raises(ValueError, match="must be 6"):
        program(ag.ones(8))
    for dim, text in (("n", "reads a number .* of the size n"), (ag.Dim.DYNAMIC, "to be 6")):
        with pytest.raises(ValueError, match=text):
            export(longer, (ag.ones(6),), dynamic_shapes=({0: dim},))


def test_a_float_that_python_decides_by_is_the_example_s() -> None:
    program = export(lambda x, scale: x * 2 if scale > 0.5 else x, (ag.ones(3), 0.7))
    assert program(ag.ones(3), 0.7).tolist() == [2.0] * 3
    with pytest.raises(TypeError, match=r"must be 0\.7"):
        program(ag.ones(3), 0.1)
    free = export(lambda x, scale: x * scale, (ag.ones(3), 0.75))
    assert free(ag.ones(3), 0.25).tolist() == [0.25] * 3


def test_a_recurrent_layer_takes_no_sequence_without_steps() -> None:
    lstm = nn.LSTM(3, 4)
    program = export(lstm, (ag.rand(5, 2, 3),), dynamic_shapes=({0: "steps", 1: "n"},))
    assert program(ag.rand(5, 0, 3))[0].shape == (5, 0, 4)
    for call in (lstm, program):
        with pytest.raises(RuntimeError, match=r"step"):
            call(ag.rand(0, 2, 3))


@pytest.mark.parametrize("rows", [0, 1, 4])
@pytest.mark.parametrize("name", ["std", "logsumexp", "softmax"])
def test_bodies_of_ops_decide_anew_for_no_row_and_one(name: str, rows: int) -> None:
    """Twice, as a body that a trace made before is used again."""

    def function(x: Any) -> Any:
        return getattr(ag, name)(x, 0)

    x = ag.rand(rows, 2)
    wanted = function(x).numpy()
    for _ in range(2):
        program = export(function, (ag.rand(5, 2),), dynamic_shapes=({0: "n"},))
        np.testing.assert_allclose(program(x).numpy(), wanted, rtol=1e-6)
