"""Sizes as text: what is printed is read back as the same polynomial.

The kept kernels of a program are found by its text, and their plan is read back from text.
"""

from __future__ import annotations

import random
from typing import Any

from argand.base.dim import Dim, dim_max, dim_min
from argand.base.dtype import float32
from argand.ir.program import Program, Value, print_program
from argand.ir.text import parse_program

N, M = Dim.symbol("n"), Dim.symbol("m")
VALUES = [{"n": n, "m": m} for n in range(2, 12) for m in range(2, 8)]


def read_back(size: Any) -> Any:
    program = Program("p", [Value(float32, (N, M, size), "x")])
    program.outputs = [program.inputs[0]]
    return parse_program(print_program(program)).inputs[0].shape[2]


def check(size: Any) -> None:
    again = read_back(size)
    for values in VALUES if isinstance(size, Dim) else ():
        assert again.evaluate(values) == size.evaluate(values), (str(size), str(again))


def test_quotients_keep_their_parentheses() -> None:
    for size in (
        N - 4 * (N // 4),
        5 * N - 20 * (N // 4),
        -(N // 4) + 9,
        N * (M // 3) * (N // 2),
        N - M // 4 * M,
        (N // 4) * 4 + N % 3 * 2,
        -(N % 3) + 7,
    ):
        check(size)


def made(rng: random.Random, depth: int) -> Any:
    if depth == 0:
        return rng.choice([N, M, rng.randint(1, 5)])
    a, b = made(rng, depth - 1), made(rng, depth - 1)
    kind = rng.choice(["add", "sub", "mul", "div", "mod", "min", "max"])
    if kind in ("div", "mod"):
        c = rng.randint(2, 5)
        return a // c if kind == "div" else a % c
    if kind in ("min", "max"):
        return dim_min(a, b) if kind == "min" else dim_max(a, b)
    return a + b if kind == "add" else a - b if kind == "sub" else a * b


def test_drawn_sizes() -> None:
    rng = random.Random(0)
    for _ in range(300):
        check(made(rng, rng.randint(1, 3)))
