"""Int arguments: one program serves many values, and the results are eager's."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import argand as ag
import argand.nn.functional as F  # PyTorch's name
from argand.base.integer import Integer, IntegerRead

X = ag.tensor(np.random.default_rng(0).standard_normal((6, 12)).astype(np.float32))
WHOLE = ag.arange(12) - 4


def filled(x: Any, n: int) -> Any:
    y = x.clone()
    y[0] = n
    return y


def several(x: Any, n: int) -> Any:
    return x * 1, n, n + 1, 2 - n, n // 2, n % 5, -n, abs(n), n == 3, n > 3, n * n, [n], {"k": n}


# In programs: 0, 1 and -1 have one each, the first value and each sign have one, and so has each
# outcome of a comparison.
ROLES: dict[str, tuple[int, Callable[[Any, int], Any]]] = {
    "product": (6, lambda x, n: x * n),
    "sum": (6, lambda x, n: n + x),
    "quotient": (6, lambda x, n: x / n if n else x),
    "divided": (6, lambda x, n: n / (x + 10)),
    "of ints": (6, lambda x, n: WHOLE * n),
    "int quotient": (6, lambda x, n: WHOLE // n),
    "int remainder": (6, lambda x, n: WHOLE % n),
    "int division": (6, lambda x, n: WHOLE / n),
    "half": (6, lambda x, n: x * (n / 2)),
    "fraction": (6, lambda x, n: x + n * 0.5 - n + (0.25 - n)),
    "floor": (7, lambda x, n: x * (n // 2)),
    "floor of a negative": (7, lambda x, n: x * (n // -3) + n % -3),
    "of a hundred": (6, lambda x, n: x * (100 // n) + 100 % n),
    "remainder": (6, lambda x, n: x + n % 3),
    "even": (8, lambda x, n: x if n % 2 == 0 else -x),
    "bits": (8, lambda x, n: x * (n & 3) + (n >> 1) - (n << 2) if n >= 0 else x),
    "signs": (6, lambda x, n: x * -n + abs(n) + round(n)),
    "extremes": (8, lambda x, n: x * min(n, 3) + max(n, 7)),
    "branch": (7, lambda x, n: x * 2 if n > 3 else x * 3),
    "power": (6, lambda x, n: abs(x) ** n),
    "own power": (6, lambda x, n: x * n**2 + n**0),
    "decay": (6, lambda x, n: x / (1.5 - 0.9**n)),
    "root": (7, lambda x, n: x * n**0.5 if n >= 0 else x),
    "truth": (6, lambda x, n: x * 2 if n else x),
    "bound": (7, lambda x, n: x[:, :n]),
    "lower bound": (7, lambda x, n: x[:, n:].sum(1)),
    "bound from the end": (8, lambda x, n: x[:, -n:] * 2),
    "index": (7, lambda x, n: x[:, n]),
    "roll": (9, lambda x, n: x.roll(n, 1)),
    "zeros": (3, lambda x, n: ag.zeros(n, 2 * n) + n),
    "range": (3, lambda x, n: ag.arange(n).sum()),
    "full": (6, lambda x, n: ag.full((2, 2), n)),
    "tensor": (6, lambda x, n: ag.tensor(n) * x),
    "reshape": (11, lambda x, n: x.reshape(n, -1)),
    "expand": (5, lambda x, n: x[:1].expand(n, 12)),
    "repeat": (3, lambda x, n: x.repeat(n, 1)),
    "narrow": (4, lambda x, n: x.narrow(1, 0, n)),
    "clamp": (6, lambda x, n: x.clamp(-n, n)),
    "where": (6, lambda x, n: ag.where(x > n, x, n)),
    "equal": (6, lambda x, n: n == WHOLE),
    "filled": (6, lambda x, n: filled(x, n) + ag.full_like(x, n)),
    "masked": (6, lambda x, n: x.masked_fill(x > 0, n)),
    "softmax": (6, lambda x, n: (x * n).softmax(1) * n - n),
    "mean": (7, lambda x, n: x[:, :n].mean()),
    "square": (3, lambda x, n: ag.eye(n).triu().sum()),
    "alpha": (6, lambda x, n: ag.add(x, x, alpha=n)),
    "half precision": (6, lambda x, n: x.half() * n),
    "a number": (6, lambda x, n: x * 2 if isinstance(n, int) else x * 5),
    "returned": (14, several),
    # what needs the value has a program for each
    "loop": (44, lambda x, n: sum([x * i for i in range(n)], x)),
    "dimension": (5, lambda x, n: x.sum(n)),
    "text": (44, lambda x, n: (x, f"{n}")),
    "key": (44, lambda x, n: x * {1: 2, 3: 4}.get(n, 9)),
    "item": (8, lambda x, n: x * [1, 2, 3, 4][n]),
    "int": (44, lambda x, n: x * int(n)),
    "type": (44, lambda x, n: x if type(n) is int else x * 2),
    "math": (44, lambda x, n: x / math.sqrt(n) if n > 0 else x),
    "numpy": (44, lambda x, n: x * float(np.array([1, n]).sum())),
}


def outcome(f: Any, *args: Any) -> Any:
    """What a call gives: its result, or the type of its error."""
    try:
        return f(*args)
    except Exception as error:
        return type(error)


def same(got: Any, expected: Any) -> None:
    if isinstance(expected, ag.Tensor):
        assert isinstance(got, ag.Tensor) and got.dtype is expected.dtype
        assert got.shape == expected.shape
        values = (t.double().numpy() for t in (got, expected))
        np.testing.assert_allclose(*values, rtol=2e-5, atol=1e-6)
    elif isinstance(expected, tuple | list):
        for a, b in zip(got, expected, strict=True):
            same(a, b)
    else:
        assert type(got) is type(expected) and got == expected


@pytest.mark.parametrize("role", ROLES)
def test_an_int_in_every_role(role: str) -> None:
    most, f = ROLES[role]
    fast = ag.compile(f)
    with ag.settings.using(retrace_limit=44):
        for n in range(-3, 41):
            same(outcome(fast, X, n), outcome(f, X, n))
    assert len(fast.programs) <= most


@pytest.mark.parametrize(
    "f",
    [
        lambda x, n: x * n,
        lambda x, n: x[:, : n % 12 + 1].sum() + n / 2,
        lambda x, n: ag.zeros(n) + 1,
        lambda x, n: F.one_hot(ag.arange(3) % n, n).sum(0),
    ],
    ids=["arithmetic", "slice", "size", "one_hot"],
)
def test_a_hundred_values_within_the_usual_limit(f: Any, compiled: Callable[..., Any]) -> None:
    fast = compiled(f)
    for n in range(1, 101):
        same(fast(X, n), f(X, n))
    assert len(fast.programs) <= 4


def test_numpy_integers_keywords_and_containers(compiled: Callable[..., Any]) -> None:
    @dataclasses.dataclass
    class Config:
        n: int
        sizes: tuple[int, ...]

    def f(x: Any, config: Config, *, k: Any) -> Any:
        return x[:, : config.sizes[1]] * config.n + k

    fast = compiled(f)
    for n in range(2, 40):
        config = Config(n, (n, n % 9 + 2))
        same(fast(X, config, k=np.int64(n + 3)), f(X, config, k=np.int64(n + 3)))
    assert len(fast.programs) <= 3


def test_bools_and_enumerations_stay_constants() -> None:
    class Kind(enum.IntEnum):
        A = 2
        B = 3

    def f(x: Any, n: Any) -> Any:
        return x * 2 if n is True or n is Kind.A else x

    fast = ag.compile(f)
    for n in (True, False, Kind.A, Kind.B, True, Kind.A):
        same(fast(X, n), f(X, n))
    assert len(fast.programs) == 4


def test_one_program_is_symbolic_from_the_second_value_on() -> None:
    fast = ag.compile(lambda x, n: x * n, name="f")
    assert "mul(x, 5.0)" in str(fast.program(X, 5))
    text = str(fast.program(X, 7))
    assert "n: i8[0, int1]" in text and "value=int1" in text
    assert "argument 1: 5 became 7" in fast.explain()
    same(fast(X, 9), X * 9)
    assert len(fast.programs) == 2
    never, always = (
        ag.compile(fast.function, dynamic=False),
        ag.compile(fast.function, dynamic=True),
    )
    for n in (3, 4, 5):
        same(never(X, n), X * n)
        same(always(X, n), X * n)
    assert (len(never.programs), len(always.programs)) == (3, 1)


def test_huge_ints_are_constants() -> None:
    fast = ag.compile(lambda x, n: x + n % 7)
    for n in (2**50, 2**50 + 3, 2**70):
        same(fast(X, n), X + n % 7)


def test_powers_that_leave_int64_are_computed_as_python_does() -> None:
    fast = ag.compile(lambda x, n: x * (n * n * n * n))
    for n in (2, 3, 100_000, 200_000):
        same(fast(X, n), X * float(n**4))


def test_division_by_zero_is_pythons_error() -> None:
    for f in (lambda x, n: x * (10 // (n - 5)), lambda x, n: x * (n / (n - 5))):
        fast = ag.compile(f)
        for n in (2, 3, 4, 5, 6):
            if n == 5:
                with pytest.raises(ZeroDivisionError):
                    fast(X, n)
            else:
                same(fast(X, n), f(X, n))


def test_a_caught_reading_makes_a_constant_too() -> None:
    def f(x: Any, n: int) -> Any:
        try:
            return x * [1, 2, 3, 4, 5, 6][n]
        except Exception:
            return x * 100

    fast = ag.compile(f)
    for n in (2, 3, 4, 9, 10):
        same(fast(X, n), f(X, n))


def test_an_error_of_the_function_itself_leaves_the_int_symbolic() -> None:
    def f(x: Any, n: int) -> Any:
        if n % 5 == 0:
            raise KeyError("a fifth")
        return x * n

    fast = ag.compile(f)
    for n in range(2, 60):
        if n % 5 == 0:
            with pytest.raises(KeyError, match="a fifth"):
                fast(X, n)
        else:
            same(fast(X, n), f(X, n))
    assert len(fast.programs) <= 3


def test_a_size_and_an_int_together(compiled: Callable[..., Any]) -> None:
    def f(x: Any, n: int) -> Any:
        return x[:n] * n + x.shape[0], x.shape[0] + n, x.shape, len(x) if n < 0 else n

    fast = compiled(f)
    for size in range(3, 9):
        for n in range(2, size + 2):
            x = ag.arange(size)
            got, expected = fast(x, n), f(x, n)
            same(got, expected)
            assert type(got[2]) is ag.Size


def test_sizes_are_returned_as_ints(compiled: Callable[..., Any]) -> None:
    f = lambda x: (x * 2, x.shape[0], x.shape[0] // 2, x.shape[0] * 0.5, x[: x.shape[0] // 2])  # noqa: E731
    fast = compiled(f)
    for n in range(2, 9):
        same(fast(ag.ones(n)), f(ag.ones(n)))
    assert len(fast.programs) == 2


def test_numbers_computed_from_floats_are_returned_as_numbers(compiled: Callable[..., Any]) -> None:
    f = lambda x, a: (x * a, a, a * 2 + 1, a / 3)  # noqa: E731
    fast = compiled(f)
    for a in (0.5, -2.0):
        same(fast(X, a), f(X, a))
    assert len(fast.programs) == 1


def branch_of_floats(x: Any, a: Any) -> Any:
    return x * min(1.0, a / 10) if a > 0 and a != 4 else -x


@pytest.mark.parametrize("numbers", [range(-3, 40), np.linspace(-2, 20, 45).tolist()])
def test_branches_on_computed_numbers_have_a_program_each(
    numbers: Any, compiled: Callable[..., Any]
) -> None:
    fast = compiled(branch_of_floats)
    for a in [*numbers, *numbers]:
        same(fast(X, a), branch_of_floats(X, a))
    assert len(fast.programs) <= 9


def test_branches_on_computed_sizes(compiled: Callable[..., Any]) -> None:
    f = lambda x: x * 2 if x.shape[0] / 4 > 1 else -x  # noqa: E731
    fast = compiled(f)
    for n in range(1, 20):
        same(fast(ag.ones(n)), f(ag.ones(n)))
    assert len(fast.programs) <= 4


def test_a_warm_up_inside_a_step() -> None:
    def losses(compiled: bool) -> list[float]:
        ag.manual_seed(0)
        model = ag.nn.Linear(12, 1)
        optimizer = ag.optim.SGD(model.parameters(), lr=0.01)

        def step(x: Any, i: int) -> Any:
            loss = model(x).square().mean() * min(1.0, (i + 1) / 10)
            loss.backward()
            if i % 2:
                optimizer.step()
                optimizer.zero_grad()
            return loss

        fast = ag.compile(step) if compiled else step
        return [fast(X, i).item() for i in range(30)]

    np.testing.assert_allclose(losses(True), losses(False), rtol=1e-4)


def test_gradients_of_first_and_second_order(compiled: Callable[..., Any]) -> None:
    def f(x: Any, n: int) -> Any:
        return (x[:n] ** 3 * n).sum()

    fast = compiled(f)
    for n in range(1, 8):
        results = []
        for way in (fast, f):
            x = ag.tensor(np.linspace(-1, 1, 6), requires_grad=True)
            (g,) = ag.autograd.grad(way(x, n), x, create_graph=True)
            (g * g).sum().backward()
            results.append((g.detach(), x.grad))
        same(*results)


def test_debug_mode_runs_symbolic_ints_node_by_node() -> None:
    fast = ag.compile(lambda x, n: x[:, :n] * n)
    with ag.settings.using(debug=True):
        for n in (2, 3, 4, 5):
            same(fast(X, n), X[:, :n] * n)


def test_a_stand_in_used_outside_of_its_trace_is_explained() -> None:
    n = Integer.argument("n", 5)
    assert isinstance(n, int) and n == n and n > 1 and -n < 0
    for read in (range, hash, str, float, "{}".format, {5: 1}.get, [0][:].__getitem__):
        with pytest.raises(IntegerRead, match="return it from the function"):
            read(n)  # type: ignore[operator]


def test_the_limit_names_ints_that_python_reads() -> None:
    fast = ag.compile(lambda x, n: sum(x for _ in range(n)))
    with ag.settings.using(retrace_limit=3):
        for n in (1, 2, 3):
            fast(X, n)
        with pytest.raises(RuntimeError, match=r"3 became 4.*range\(n\).*for each value"):
            fast(X, 4)
