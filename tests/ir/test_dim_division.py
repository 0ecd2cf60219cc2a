"""Division of sizes: exact where one polynomial divides the other, else floor."""

from __future__ import annotations

import random
from typing import Any

from argand.base.dim import Dim, same

N, M = Dim.symbol("N"), Dim.symbol("M")


def polynomial(draw: random.Random) -> Any:
    """A sum of a few products of sizes, opaque ones among them."""
    atoms = (N, M, N // 2, (M + 1) // 3, 1)
    total: Any = draw.randint(1, 4)
    for _ in range(draw.randint(0, 3)):
        total = total + draw.randint(1, 5) * draw.choice(atoms) * draw.choice(atoms)
    return total


def test_a_product_is_divided_by_its_factors() -> None:
    draw = random.Random(0)
    for _ in range(200):
        a, b = polynomial(draw), polynomial(draw)
        assert same((a * b) // b, a)
        assert same((a * b) // a, b)
        assert same((-a * b) // b, -a)


def test_any_quotient_is_the_floor_at_all_sizes() -> None:
    draw = random.Random(1)
    for _ in range(200):
        a, b = polynomial(draw), polynomial(draw)
        quotient = a // b
        for n, m in ((2, 2), (3, 7), (10, 4), (31, 64)):
            sizes = {"N": n, "M": m}
            expected = value(a, sizes) // value(b, sizes)
            assert value(quotient, sizes) == expected, f"({a}) // ({b})"


def value(size: Any, sizes: dict[str, int]) -> int:
    return int(size.evaluate(sizes)) if isinstance(size, Dim) else int(size)


def test_multiples_by_a_number() -> None:
    q = (N - 1) // 2
    assert (4 * q + 4) // (2 * q + 2) == 2
    assert (6 * q - 6 * M) // (3 * q - 3 * M) == 2
    assert isinstance((4 * q + 5) // (2 * q + 2), Dim)
