"""Sizes that follow from others and become 0, 1 or equal: what eager code does then."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand.backends.select import compile_program
from argand.base.errors import ArgumentError
from argand.ir.text import parse_program
from argand.nn import functional as F

KERNEL = ag.ones(1, 2, 3, 1, 1)

# Functions of x[3:] and y, whose dimension 0 has any size.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "squeeze": lambda x, y: x.squeeze(),
    "squeeze_dim": lambda x, y: x.squeeze(0) * 2,
    "add": lambda x, y: x + y,
    "expand": lambda x, y: x.expand(5, 2) + y[:1],
    "where": lambda x, y: ag.where(x > 0.5, y, 0.0),
    "matmul": lambda x, y: x.T @ y,
    "einsum": lambda x, y: ag.einsum("ij,kj->ik", x, y),
    "amax": lambda x, y: x.amax(0),
    "argmin": lambda x, y: x.argmin(0),
    "aminmax": lambda x, y: ag.aminmax(x)[0],
    "median": lambda x, y: x.median(0).values,
    "mode": lambda x, y: x.mode(0).values,
    "norm": lambda x, y: ag.linalg.vector_norm(x, float("inf"), 0),
    "batch_norm": lambda x, y: F.batch_norm(x, None, None, training=True),
    "instance_norm": lambda x, y: F.instance_norm(x.T[None]),
    "response_norm": lambda x, y: F.local_response_norm(x[:, None, :], 3),
    "max_pool": lambda x, y: F.adaptive_max_pool1d(x.T[None], 2),
    "roll": lambda x, y: x.roll(1, 0),
    "logsumexp": lambda x, y: ag.logsumexp(x, 1) + y[:, 0],
    "complex": lambda x, y: ag.complex(x, y),
    "rolled_rows": lambda x, y: x[::2].roll(2) + y[:1],
    "zeros": lambda x, y: ag.zeros(x.shape[0] - 3) + y.shape[0],
    "rand": lambda x, y: ag.rand(x.shape[0] - 3) * 0,
    "arange": lambda x, y: ag.arange(1, 2 * x.shape[0], 3),
    "arange_between": lambda x, y: ag.arange(y.shape[0], x.shape[0]),
    "split": lambda x, y: x.split([3, x.shape[0] - 3])[0],
    "cumulative_trapezoid": lambda x, y: ag.cumulative_trapezoid(x, dim=0),
    "trapezoid": lambda x, y: ag.trapezoid(x[:, 0], y[:, 0]),
    "interpolate": lambda x, y: F.interpolate(x.T[None], scale_factor=0.5),
    "conv_transpose": lambda x, y: F.conv_transpose1d(x.T[None], ag.ones(2, 1, 3)),
    "conv_transpose3d": lambda x, y: F.conv_transpose3d(x[None, None, ..., None], KERNEL),
    "edge": lambda x, y: F.pad(x.T[None], (1, 0), mode="replicate"),
    "cross_entropy": lambda x, y: F.cross_entropy(x, ag.zeros(y.shape[0], dtype=ag.long)),
}


def outcome(function: Callable[..., Any], *args: Any) -> Any:
    """An array, or the class of the error."""
    try:
        return function(*args).numpy()
    except (ValueError, RuntimeError, IndexError) as e:
        return next(c for c in (IndexError, ValueError, RuntimeError) if isinstance(e, c))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_as_eager(name: str) -> None:
    def function(x: Any, y: Any) -> Any:
        return FUNCTIONS[name](x[3:], y)

    compiled = ag.compile(function, dynamic=True)
    ag.manual_seed(0)
    for rows, others in ((8, 5), (9, 6), (4, 5), (8, 1), (3, 5), (4, 1), (5, 2), (8, 5), (3, 1)):
        args = ag.rand(rows, 2), ag.rand(others, 2)
        wanted, got = outcome(function, *args), outcome(compiled, *args)
        if isinstance(wanted, type):
            assert got is wanted, (rows, others)
        else:
            assert not isinstance(got, type) and got.shape == wanted.shape, (rows, others)
            np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_running_statistics_of_an_empty_batch() -> None:
    def function(x: Any, mean: Any, var: Any) -> Any:
        F.batch_norm(x[3:], mean, var, training=True)
        return mean * 1

    compiled = ag.compile(function, dynamic=True)
    for rows in (8, 9, 3):
        x = ag.rand(rows, 2)
        wanted = function(x, ag.ones(2), ag.ones(2))
        np.testing.assert_allclose(
            compiled(x, ag.ones(2), ag.ones(2)).numpy(), wanted.numpy(), rtol=1e-5
        )


def halved() -> Callable[..., Any]:
    """A function that reads the size of a composite op's result."""

    @ag.compile(dynamic=True)
    def function(x: Any) -> Any:
        y = ag.logsumexp(x, 1)
        return y * 0 if y.shape[0] == 4 else y

    return function


def test_two_functions_whose_sizes_have_one_name() -> None:
    """The body of a composite op is shared by traces, but not the sizes of the call at hand."""
    first, second = halved(), halved()
    assert first(ag.rand(4, 5)).tolist() == [0.0] * 4
    x = ag.rand(7, 5)
    np.testing.assert_allclose(second(x).numpy(), ag.logsumexp(x, 1).numpy(), rtol=1e-6)
    assert first(ag.rand(4, 5)).tolist() == [0.0] * 4


QUOTIENTS: dict[str, Callable[[int], int]] = {
    "(n - 9)//(2)": lambda n: (n - 9) // 2,
    "(n - 9)//(3)": lambda n: (n - 9) // 3,
    "(-2*n + 9)//(4)": lambda n: (-2 * n + 9) // 4,
    "(9)//(n - 7)": lambda n: 9 // (n - 7),
}


@pytest.mark.parametrize("size", QUOTIENTS)
def test_quotients_of_what_may_be_negative(size: str) -> None:
    """Native code divides as Python does, whatever the signs are."""
    node = "%0: i64[] = full() {shape=(), value=SIZE, dtype=i64}".replace("SIZE", size)
    native = compile_program(parse_program(f"program f(x: f32[n]) {{ {node}  return %0 }}"), "cpu")
    for n in (2, 3, 5, 6, 8, 9, 10, 11, 12, 30):
        (found,) = native.run([np.zeros(n, np.float32)], [])
        assert found == QUOTIENTS[size](n), n


def test_errors_tell_numbers() -> None:
    compiled = ag.compile(lambda x: ag.arange(x.shape[0] - 5), dynamic=True)
    with pytest.raises(ArgumentError, match="end -2"):
        compiled(ag.zeros(3))


def test_the_declared_range_is_relied_on() -> None:
    """Sizes in the range share a program, which may be wrong of others."""
    w = ag.arange(12.0).reshape(6, 2)
    compiled = ag.compile(lambda x: x + w[: x.shape[0]], dynamic={"x": {0: ag.Dim("n", max=6)}})
    for n in (5, 6, 3):
        assert compiled(ag.zeros(n, 2)).tolist() == w[:n].tolist()
    assert len(compiled.programs) == 1

    dims = {"x": {0: ag.Dim("n", min=4, max=6)}}
    compiled = ag.compile(lambda x: x * 2 if 4 <= x.shape[0] < 7 else x, dynamic=dims)
    for n in (5, 9, 6, 3, 4, 7):
        assert compiled(ag.ones(n)).tolist() == [2.0 if 4 <= n < 7 else 1.0] * n
