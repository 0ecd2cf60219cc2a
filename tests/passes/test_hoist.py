"""Hoisted slices: text in, text out, and random programs beside their meaning."""

import random
import textwrap
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand.base.dim import Dim, evaluate, same
from argand.base.dtype import float32
from argand.base.shape import numel, same_shape
from argand.ir.interpret import interpret
from argand.ir.op import TensorType, ops
from argand.ir.program import Program
from argand.ir.record import record
from argand.ir.text import parse_program
from argand.ir.verify import verify
from argand.passes.cse import cse, dead_code
from argand.passes.hoist import hoist_slices


def hoisted(text: str) -> list[str]:
    program = verify(parse_program(textwrap.dedent(text)))
    before = str(program)
    found = verify(hoist_slices(program))
    assert str(program) == before
    return [line.split("  # ")[0].strip() for line in str(found).splitlines()[1:-1]]


def test_rows_of_a_layer() -> None:
    assert hoisted(
        """
        program f(x: f32[b, n, 4], w: f32[4, 6], y: f32[6]) {
          %0: f32[b*n, 4] = reshape(x) {shape=(b*n, 4)}
          %1: f32[b*n, 6] = matmul(%0, w)
          %2: f32[b, n, 6] = reshape(%1) {shape=(b, n, 6)}
          %3: f32[b, n, 6] = expand(y) {shape=(b, n, 6)}
          %4: f32[b, n, 6] = add(%2, %3)
          %5: f32[b, 1, 6] = slice(%4) {start=(0, n - 1, 0), stop=(b, n, 6), step=(1, 1, 1)}
          return %5
        }"""
    ) == [
        "%0: f32[b, 1, 4] = slice(x) {start=(0, n - 1, 0), stop=(b, n, 4), step=(1, 1, 1)}",
        "%1: f32[b, 4] = reshape(%0) {shape=(b, 4)}",
        "%2: f32[b, 6] = matmul(%1, w)",
        "%3: f32[b, 1, 6] = reshape(%2) {shape=(b, 1, 6)}",
        "%4: f32[b, 1, 6] = expand(y) {shape=(b, 1, 6)}",
        "%5: f32[b, 1, 6] = add(%3, %4)",
        "return %5",
    ]


@pytest.mark.parametrize("causal", [False, True])
def test_a_query_of_attention(causal: bool) -> None:
    """Causal ones stay: which keys a query sees follows from its place."""
    text = """
        program f(q: f32[2, 8, 4], k: f32[2, 8, 4], m: bool[8, 8]) {
          %0: f32[2, 8, 4], %1: f32[2, 8] = scaled_dot_product_attention(q, k, k, m) PARAMS
          %2: f32[2, 1, 4] = slice(%0) {start=(0, 3, 0), stop=(2, 4, 4), step=(1, 1, 1)}
          return %2
        }"""
    params = "{is_causal=CAUSAL, scale=0.5}".replace("CAUSAL", str(causal))
    found = hoisted(text.replace("PARAMS", params).replace(", m)" if causal else "-", ")"))
    if causal:
        assert found[1].startswith("%2: f32[2, 1, 4] = slice(%0)")
        return
    assert found == [
        "%0: f32[2, 1, 4] = slice(q) {start=(0, 3, 0), stop=(2, 4, 4), step=(1, 1, 1)}",
        "%1: bool[1, 8] = slice(m) {start=(3, 0), stop=(4, 8), step=(1, 1)}",
        f"%2: f32[2, 1, 4], %3: f32[2, 1] = scaled_dot_product_attention(%0, k, k, %1) {params}",
        "return %2",
    ]


def test_the_last_query_of_causal_attention_sees_all_keys() -> None:
    assert hoisted(
        """
        program f(q: f32[2, n, 4], k: f32[2, n, 4]) {
          %0: f32[2, n, 4], %1: f32[2, n] = scaled_dot_product_attention(q, k, k) PARAMS
          %2: f32[2, 1, 4] = slice(%0) {start=(0, n - 1, 0), stop=(2, n, 4), step=(1, 1, 1)}
          return %2
        }""".replace("PARAMS", "{is_causal=True, scale=0.5}")
    )[1] == (
        "%1: f32[2, 1, 4], %2: f32[2, 1] = scaled_dot_product_attention(%0, k, k) "
        "{is_causal=False, scale=0.5}"
    )


@pytest.mark.parametrize(
    ("what", "reader"),
    [
        ("another reader", "%3: f32[8, 6] = exp(%0)\n return %2, %3"),
        (
            "another part",
            "%3: f32[1, 6] = slice(%0) {start=(1, 0), stop=(2, 6), step=(1, 1)}\n return %2, %3",
        ),
        ("the result", "return %2, %0"),
    ],
)
def test_what_is_read_otherwise_is_computed_whole(what: str, reader: str) -> None:
    found = hoisted(
        """
        program f(x: f32[8, 4], w: f32[4, 6]) {
          %0: f32[8, 6] = matmul(x, w)
          %1: f32[8, 6] = exp(%0)
          %2: f32[1, 6] = slice(%1) {start=(0, 0), stop=(1, 6), step=(1, 1)}
          READER
        }""".replace("READER", reader)
    )
    assert found[0] == "%0: f32[8, 6] = matmul(x, w)", what


def test_more_than_half_is_computed_whole() -> None:
    text = """
        program f(x: f32[8, 4], w: f32[4, 6]) {
          %0: f32[8, 6] = matmul(x, w)
          %1: f32[STOP, 6] = slice(%0) {start=(0, 0), stop=(STOP, 6), step=(1, 1)}
          return %1
        }"""
    assert hoisted(text.replace("STOP", "5"))[0] == "%0: f32[8, 6] = matmul(x, w)"
    assert hoisted(text.replace("STOP", "4"))[1] == "%1: f32[4, 6] = matmul(%0, w)"


# -- random programs -------------------------------------------------------------------------------


def _linear(draw: random.Random, x: Any, v: Any, made: list[Any]) -> Any:
    rows, features = x.shape[:-1], x.shape[-1]
    if not rows or not isinstance(features, int):
        return None
    w = ops.reshape(ops.slice(v, (0,), (features * 6,), (1,)), (features, 6))
    found = ops.matmul(ops.reshape(x, (numel(rows), features)), ops.mul(w, 0.3))
    return ops.reshape(found, (*rows, 6))


def _bias(draw: random.Random, x: Any, v: Any, made: list[Any]) -> Any:
    if not isinstance(x.shape[-1], int):
        return None
    return ops.add(x, ops.expand(ops.slice(v, (0,), (x.shape[-1],), (1,)), x.shape))


def _unary(draw: random.Random, x: Any, v: Any, made: list[Any]) -> Any:
    return draw.choice((ops.tanh, ops.sin, lambda y: ops.mul(y, 0.5), ops.contiguous))(x)


def _residual(draw: random.Random, x: Any, v: Any, made: list[Any]) -> Any:
    alike = [y for y in made if same_shape(y.shape, x.shape)]
    return ops.add(x, draw.choice(alike)) if alike else None


def _norm(draw: random.Random, x: Any, v: Any, made: list[Any]) -> Any:
    size = x.shape[-1]
    return ops.layer_norm(x, (size,), None, None) if isinstance(size, int) else None


def _softmax(draw: random.Random, x: Any, v: Any, made: list[Any]) -> Any:
    return draw.choice((ops.softmax, ops.log_softmax))(x, draw.randrange(len(x.shape)))


def _permute(draw: random.Random, x: Any, v: Any, made: list[Any]) -> Any:
    dims = list(range(len(x.shape)))
    draw.shuffle(dims)
    return ops.permute(x, tuple(dims))


def _split(draw: random.Random, x: Any, v: Any, made: list[Any]) -> Any:
    if not same(x.shape[-1], 6):
        return None
    return ops.reshape(x, (*x.shape[:-1], *draw.choice(((2, 3), (3, 2), (1, 6)))))


def _join(draw: random.Random, x: Any, v: Any, made: list[Any]) -> Any:
    if len(x.shape) < 3:
        return None
    return ops.reshape(x, (*x.shape[:-2], x.shape[-2] * x.shape[-1]))


def _attend(draw: random.Random, x: Any, v: Any, made: list[Any]) -> Any:
    if len(x.shape) < 3:
        return None
    kind, size = draw.choice(("all", "causal", "keys", "both")), x.shape[-2]
    mask = None
    if kind in ("keys", "both"):
        rows = size if kind == "both" else 1
        mask = ops.expand(ops.reshape(ops.slice(v, (0,), (1,), (1,)), (1, 1)), (rows, size))
    return ops.scaled_dot_product_attention(x, x, x, mask, kind == "causal", 0.3)


def _product(draw: random.Random, x: Any, v: Any, made: list[Any]) -> Any:
    rank = len(x.shape)
    if rank < 2:
        return None
    transposed = ops.permute(x, (*range(rank - 2), rank - 1, rank - 2))
    return ops.mul(ops.matmul(ops.matmul(x, transposed), x), 0.05)


def _reduce(draw: random.Random, x: Any, v: Any, made: list[Any]) -> Any:
    d = draw.randrange(len(x.shape))
    if draw.random() < 0.6 or len(x.shape) == 1:
        return ops.sub(x, ops.expand(ops.amax(x, (d,), True), x.shape))
    return ops.sum(x, (d,), False)


STEPS = (
    *(_linear, _linear, _linear, _bias, _unary, _residual, _norm, _softmax, _permute),
    *(_split, _join, _attend, _product, _reduce),
)


def _part(draw: random.Random, x: Any) -> Any:
    """A slice of some dimensions."""
    ranges = []
    for size in x.shape:
        found = (0, size, 1)
        if not isinstance(size, int):
            ends = [(0, 1), (size - 1, size), (1, 2), (0, size)]
            found = (*draw.choice(ends), 1)
        elif draw.random() < 0.5:
            start = draw.randint(0, max(size - 1, 0))
            stop = draw.choice((start, start + 1, start + 1, size))
            found = (start, min(stop, size), draw.choice((1, 1, 2, 3)))
        ranges.append(found)
    return ops.slice(x, *zip(*ranges, strict=True)) if ranges else x


def drawn(seed: int) -> Program:
    """A random program of x (b, n, 6) and a vector."""
    draw = random.Random(seed)
    b, n = Dim("b"), Dim("n")
    sizes = draw.choice([(2, 5), (1, 4), (b, n), (3, n), (1, n)])

    def function(x: Any, v: Any) -> list[Any]:
        made = [x]
        for _ in range(draw.randint(2, 9)):
            found = draw.choice(STEPS)(draw, made[-1], v, made)
            if found is not None:
                made.append(found)
        results = [_part(draw, draw.choice(made[-2:]))]
        if draw.random() < 0.4:
            results.append(_part(draw, draw.choice(made)))
        if draw.random() < 0.2:
            results.append(draw.choice(made))
        return results

    types = [TensorType(float32, (*sizes, 6)), TensorType(float32, (2000,))]
    return record(function, types, "f", ["x", "v"])


def arrays_of(program: Program, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    sizes = {"b": int(rng.integers(2, 4)), "n": int(rng.integers(2, 6))}
    shapes = [tuple(evaluate(s, sizes) for s in v.shape) for v in program.inputs]
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def test_random_programs_keep_their_meaning() -> None:
    changed = 0
    for seed in range(200):
        program = verify(dead_code(cse(drawn(seed))))
        found = verify(hoist_slices(program))
        changed += found is not program
        arrays = arrays_of(program, seed)
        wanted = interpret(program, arrays, wide=True)
        for got, want in zip(interpret(found, arrays, wide=True), wanted, strict=True):
            assert got.shape == want.shape
            np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-11, err_msg=f"seed {seed}")
    assert changed > 25


def test_a_classifier_reads_one_place() -> None:
    """What the last layer computes for other places has no part in the result, compiled."""
    ag.manual_seed(0)
    layer = ag.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    function = ag.compile(lambda x: layer(x)[:, 0])
    x = ag.rand(3, 5, 8)
    with ag.no_grad():
        np.testing.assert_allclose(function(x).numpy(), layer(x)[:, 0].numpy(), atol=1e-6)
        (program,) = function.programs
    products = [n for n in hoist_slices(program) if n.op.name == "matmul"]
    assert [n.outputs[0].shape[0] for n in products] == [3, 15, 15, 3, 3, 3]
