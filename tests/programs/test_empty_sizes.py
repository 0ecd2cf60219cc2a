"""A symbolic size that is 0 when the code runs: indices are divided by it where there is nothing.

`MADE` makes a matrix of an x: f32[N, 3, 2] that is empty, so that the index of each element in x is
a quotient by N, or by what N is part of; `USES` has a use of it for every kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from checks import THREADS, native_fault, pass_fault
from judging import Judge

from argand.base.dim import Dim
from argand.base.dtype import float32, int64
from argand.base.settings import settings
from argand.ir.op import TensorType, ops
from argand.ir.record import record
from machines import HERE

Use = Callable[[Any, Any], Any]
N = Dim.symbol("N")
WIDTH = 3 * N + 2


@pytest.fixture(autouse=True)
def checked() -> Iterator[None]:
    with settings.using(verify=True, cache=False):
        yield


def turned(x: Any) -> Any:
    return ops.permute(ops.reshape(x, (3 * N, 2)), (1, 0))


def strided(x: Any) -> Any:
    return ops.reshape(ops.permute(x, (2, 1, 0)), (2, 3 * N))


def between(x: Any) -> Any:
    one = ops.full((2, 1), 1.0, float32)
    return ops.cat(one, x, one, dim=1)


def padded(x: Any) -> Any:
    return ops.pad(x, ((0, 0), (1, 1)), 0.5)


MADE: dict[str, Callable[[Any], Any]] = {
    "turned between others": lambda x: between(turned(x)),
    "strided and padded": lambda x: padded(strided(x)),
}


def transposed(m: Any) -> Any:
    return ops.permute(m, (1, 0))


def image(m: Any) -> Any:
    return ops.reshape(m, (1, 1, 2, WIDTH))


def heads(m: Any) -> Any:
    return ops.reshape(transposed(m), (1, 1, WIDTH, 2))


def attended(m: Any) -> Any:
    return ops.scaled_dot_product_attention(heads(m), heads(ops.sin(m)), heads(m))


def convolved(m: Any) -> Any:
    return ops.conv2d(image(m), ops.full((3, 1, 2, 2), 0.25, float32))


def pooled(m: Any) -> Any:
    return ops.max_pool2d(image(m), (2, 2))


def normalised(m: Any) -> Any:
    mean = ops.mean(m, (1,), True)
    return ops.div(ops.sub(m, mean), ops.add(ops.sum(ops.square(m), (1,), True), 1.0))


USES: dict[str, Use] = {
    "loop": lambda m, i: ops.mul(ops.exp(m), 0.5),
    "loop transposed": lambda m, i: ops.contiguous(transposed(ops.sin(m))),
    "rows": lambda m, i: ops.softmax(m, 1),
    "columns": lambda m, i: ops.softmax(m, 0),
    "rows and their means": lambda m, i: normalised(m),
    "sum of all": lambda m, i: ops.sum(ops.mul(m, m), (0, 1), False),
    "sum of columns": lambda m, i: ops.sum(m, (0,), False),
    "largest": lambda m, i: (ops.amax(m, (1,), False), ops.argmax(m, 1, False)),
    "product": lambda m, i: ops.matmul(m, transposed(m)),
    "outer product": lambda m, i: ops.relu(ops.matmul(transposed(m), m)),
    "convolution": lambda m, i: convolved(m),
    "pool": lambda m, i: pooled(m),
    "attention": lambda m, i: attended(m),
    "scan": lambda m, i: ops.cumsum(m, 1),
    "scan of columns": lambda m, i: ops.cumsum(ops.exp(m), 0),
    "gather": lambda m, i: ops.gather(m, 1, i),
    "rows that an index names": lambda m, i: ops.embedding(transposed(m), i),
    "scatter": lambda m, i: ops.scatter_add(m, 1, i, ops.cast(i, float32)),
    "sort": lambda m, i: ops.sort(m, 1),
    "topk": lambda m, i: ops.topk(m, 2, 1),
    "cat": lambda m, i: ops.cat(m, ops.flip(m, (1,)), m, dim=1),
}


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("use", USES)
def test_a_kernel_beside_nothing(use: str, made: str) -> None:
    types = [TensorType(float32, (N, 3, 2)), TensorType(int64, (2, 3))]
    program = record(lambda x, i: USES[use](MADE[made](x), i), types)
    rng = np.random.default_rng(0)
    index = np.array([[0, 1, 1], [1, 0, 0]])
    calls = [[rng.standard_normal((n, 3, 2)).astype(np.float32), index] for n in (0, 2)]
    judges = [Judge(program, arrays) for arrays in calls]
    assert pass_fault(program, calls, judges) is None
    number = list(USES).index(use) + list(MADE).index(made)
    target, threads = HERE[number % len(HERE)], THREADS[number % len(THREADS)]
    assert native_fault(program, calls, judges, target, threads) is None
