"""Eager code: a row has the same bits alone as in any batch, on any number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from batches import ALL_BATCHES, NO_ROWS, NOTHING_COMPUTED, Batch
from calls import ALL_OPS

import argand as ag
from argand.base.dtype import as_dtype
from argand.ir.op import registry
from argand.runtime.threads import get_num_threads, set_num_threads

# The largest batch passes every threshold of size that chooses how an op runs, and is worth
# several threads.
ELEMENTS = 100_000
SIZES = (1, 2, 7, 64)


def cases() -> list[Any]:
    """Every batch in its op's first dtype; in the others in the long suite."""
    count: dict[str, int] = {}
    found = []
    for batch in ALL_BATCHES:
        number = count[batch.op.name] = count.get(batch.op.name, -1) + 1
        for n, dtype in enumerate(batch.op.dtypes):
            marks = [pytest.mark.slow] if n else []
            name = f"{batch.op.name}-{number}-{dtype}"
            found.append(pytest.param(batch, dtype, id=name, marks=marks))
    return found


def test_every_op_is_here() -> None:
    here = {batch.op.name for batch in ALL_BATCHES} | NO_ROWS.keys()
    assert {op.name for op in ALL_OPS if not isinstance(op, NOTHING_COMPUTED)} - here == set()


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = get_num_threads()
    set_num_threads(count)
    try:
        yield
    finally:
        set_num_threads(before)


def results(batch: Batch, rows: list[np.ndarray], fixed: list[np.ndarray]) -> list[np.ndarray]:
    """The outputs, and the gradients of the batched operands."""
    given = [ag.from_numpy(a) for a in rows]
    wanted = [x for x in given if x.dtype.is_inexact and batch.op.differentiable]
    for x in wanted:
        x.requires_grad_()
    found = batch.apply(*given, *[ag.from_numpy(a) for a in fixed])
    outputs = list(found) if isinstance(found, tuple) else [found]
    recorded = [y for y in outputs if y.requires_grad]
    slopes: Any = ()
    if wanted and recorded:
        seeds = [ag.ones_like(y) * 0.7 for y in recorded]
        slopes = ag.autograd.grad(recorded, wanted, seeds, allow_unused=True)
    everything = [*outputs, *[g for g in slopes if g is not None]]
    return [y.detach().numpy().copy() for y in everything]


def check(found: list[np.ndarray], expected: list[np.ndarray], what: str) -> None:
    assert len(found) == len(expected)
    for y, e in zip(found, expected, strict=True):
        assert y.tobytes() == e.tobytes(), f"{what}: {np.sum(y != e)} of {e.size} differ"


@pytest.mark.parametrize(("batch", "dtype"), cases())
def test_a_row_has_the_same_bits_in_any_batch(batch: Batch, dtype: str) -> None:
    largest = max(int(np.prod(t.shape)) for t in batch.rows)
    count = max(ELEMENTS // max(largest, 1), 130)
    rows, fixed = batch.arrays(dtype, count)
    whole = results(batch, rows, fixed)
    for i in (0, 63, count - 1):
        alone = results(batch, [a[i : i + 1] for a in rows], fixed)
        check(alone, [y[i : i + 1] for y in whole], f"{dtype}: row {i} alone")
    for size in SIZES:
        part = [a[:size] for a in rows]
        check(results(batch, part, fixed), [y[:size] for y in whole], f"{dtype}: {size} rows")
    for size in (1, 7, count):
        part = [np.asfortranarray(a[:size]) for a in rows]
        found = results(batch, part, fixed)
        check(found, [y[:size] for y in whole], f"{dtype}: {size} transposed rows")
    for count in (1, 2, 5):
        with threads(count):
            check(results(batch, rows, fixed), whole, f"{dtype}: {count} threads")


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int64"])
def test_running_sums_have_the_same_bits_on_every_path(dtype: str) -> None:
    cumsum = registry.get("cumsum")
    for shape, dim in (
        *(((n, 3), 0) for n in (1, 2, 255, 256, 257, 70_000)),
        *(((2, n), 1) for n in (1, 33, 256, 257, 70_000)),
        ((2, 257, 5), 1),
    ):
        a = np.random.default_rng(3).uniform(-9, 9, shape).astype(as_dtype(dtype).numpy)
        expected = cumsum.run(a, dim=dim)
        for x in (ag.from_numpy(a), ag.from_numpy(np.asfortranarray(a))):
            what = f"{shape}, {dim}"
            check([x.cumsum(dim).numpy()], [expected], f"{what} eager")
            compiled = ag.compile(lambda t, dim=dim: t.cumsum(dim), dynamic=False)
            check([compiled(x).numpy()], [expected], f"{what} compiled")
