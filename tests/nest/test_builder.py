"""The nest Builder: folding, sharing, types, scopes, text."""

from __future__ import annotations

import contextlib

import pytest

from argand.nest.builder import BOOL, F32, F64, I64, PTR, NestBuilder, NestError, Param, Ty


def builder() -> NestBuilder:
    return NestBuilder("f", [("x", PTR), ("n", I64), ("s", F32)])


def test_a_loop_over_vectors_masks_what_is_left() -> None:
    seen: list[tuple[object, object]] = []
    for low, high, lanes in ((0, 16, 8), (0, 19, 8), (3, 19, 8), (0, 5, 8), (2, 7, 1)):
        seen.clear()
        b = builder()
        b.vector_loop(
            low, high, lanes, "float32", lambda i, mask: seen.append((i.const, mask and mask.const))
        )
        whole = (high - low) // lanes
        assert [mask is None for _, mask in seen] == [True, False][: 1 + ((high - low) % lanes > 0)]
        loops = [i for i in b.finish().body.instructions if i.kind == "loop"]
        assert len(loops) == (whole != 1)  # a loop that runs once, as the last one does, is none
        if seen[1:]:
            start, mask = seen[1]
            assert start == low + whole * lanes
            assert mask == tuple(j < (high - low) % lanes for j in range(lanes))


def test_a_loop_over_vectors_of_a_size_known_at_run_time() -> None:
    b = builder()
    b.vector_loop(0, b.params[1], 4, "float32", lambda i, mask: None)
    whole, rest = [i for i in b.finish().body.instructions if i.kind == "loop"]
    assert whole.args[1] is rest.args[0]
    assert rest.args[1] is b.params[1]


def test_text() -> None:
    b = NestBuilder("sum", [Param("x", PTR, noalias=True, align=64), ("out", PTR), ("n", I64)])
    x, out, n = b.params
    vec = Ty("float32", 4)
    with b.loop(0, n, 4, [b.const(vec, 0.0)]) as loop:
        value = b.load(x, loop.index, vec, b.tail_mask(loop.index, n, 4))
        b.yield_(b.apply("add", loop.carry[0], value))
    with b.if_(b.lt(0, n)):
        b.store(out, 0, b.extract(loop.results[0], 0))
    assert (
        str(b.finish())
        == """\
function sum(%x: ptr noalias align 64, %out: ptr, %n: i64) {
  %0 = loop i64 0, %n, i64 4, f32x4 0x0.0p+0 : f32x4 (%1: i64, %2: f32x4) {
    %3 = sub %n, %1 index=True : i64
    %4 = min %3, i64 4 : i64
    %5 = max %4, i64 0 : i64
    %6 = cast %5 : i32
    %7 = splat %6 : i32x4
    %8 = lt i32x4 [0 1 2 3], %7 : boolx4
    %9 = load %x, %1, %8 : f32x4
    %10 = add %2, %9 : f32x4
    yield %10
  }
  %11 = lt i64 0, %n : bool
  if %11 {
    %12 = extract %0, i64 0 : f32
    store %out, i64 0, %12
  } else {
  }
}
"""
    )


def test_key_ignores_the_name_only() -> None:
    def make(name: str, value: float) -> str:
        b = NestBuilder(name, [("x", PTR)])
        b.store(b.params[0], 0, b.const(F32, value))
        return b.finish().key()

    assert make("a", 1.0) == make("b", 1.0)
    assert make("a", 0.0) != make("a", -0.0)


def test_index_arithmetic_simplifies() -> None:
    b = builder()
    n = b.params[1]
    assert b.add(n, 0) is n and b.mul(n, 1) is n and b.div(n, 1) is n and b.sub(n, 0) is n
    assert b.mul(n, 0).const == 0 and b.rem(n, 1).const == 0 and b.sub(n, n).const == 0
    assert b.add(3, b.mul(4, 5)).const == 23
    assert b.div(17, 5).const == 3 and b.rem(17, 5).const == 2 and b.ceildiv(17, 5).const == 4
    assert b.div(n, 0) is n and b.rem(n, 0).const == 0  # a size of 0 divides as 1 does
    assert b.min(3, 9).const == 3 and b.max(n, n) is n
    assert b.lt(2, 3).const is True
    assert not b._body.instructions


def test_equal_expressions_are_shared_where_they_dominate() -> None:
    b = builder()
    x, n, _ = b.params
    first = b.add(n, 8)
    assert b.add(n, 8) is first
    assert b.add(8, n) is first
    assert b.mul(n, 8) is not first
    with b.loop(0, n) as loop:
        assert b.add(n, 8) is first
        inside = b.mul(n, n)
        b.store(x, loop.index, b.cast(inside, "float32"))
    assert b.mul(n, n) is not inside
    assert b.load(x, 0, F32) is not b.load(x, 0, F32)
    b.finish()


def test_floats_are_not_simplified_away() -> None:
    b = builder()
    s = b.params[2]
    assert b.apply("mul", s, 1.0) is not s
    assert b.apply("add", s, 0.0) is not s
    assert b.apply("sub", s, s) is not None


def test_constants_take_the_form_of_their_type() -> None:
    b = builder()
    assert b.const(Ty("uint8"), -1).const == 255
    assert b.const(Ty("int8"), 200).const == -56
    assert b.const(F32, 0.1).const == pytest.approx(0.1, rel=1e-7)
    assert b.const(F32, 0.1).const != 0.1
    assert b.const(F32, 1e300).const == float("inf")
    assert b.const(Ty("bfloat16"), 1.005).const == 1.0078125
    assert b.const(Ty("int32", 4), [7, 7, 7, 7]) is b.const(Ty("int32", 4), 7)
    assert b.iota(Ty("int32", 4)).const == (0, 1, 2, 3)
    with pytest.raises(NestError):
        b.const(I64, float("nan"))


def test_static_masks() -> None:
    b = builder()
    assert b.tail_mask(0, 8, 8).const is True
    assert b.tail_mask(8, 11, 4).const == (True, True, True, False)
    x = b.params[0]
    b.load(x, 0, Ty("float32", 8), b.tail_mask(0, 8, 8))
    assert len(b._body.instructions[-1].args) == 2


def test_a_loop_of_one_turn_is_no_loop() -> None:
    b = builder()
    x, _, s = b.params
    with b.loop(2, 3, 1, [s]) as loop:
        b.yield_(b.apply("add", loop.carry[0], 1.0))
    b.store(x, loop.index, loop.results[0])
    assert "loop" not in str(b.finish())
    assert loop.index.const == 2


def test_halves_compute_in_single_precision() -> None:
    b = builder()
    half = b.cast(b.params[2], "bfloat16")
    total = b.apply("add", half, 1.0)
    assert total.ty == Ty("bfloat16")
    assert b.apply("lt", half, total).ty == BOOL
    assert [op.kind for op in b._body.instructions].count("cast") >= 3


def test_scalars_widen_beside_vectors() -> None:
    b = builder()
    x, _, s = b.params
    v = b.load(x, 0, Ty("float32", 8))
    assert b.apply("mul", s, v).ty == Ty("float32", 8)
    assert b.where(b.apply("gt", v, 0), 1.0, v).ty == Ty("float32", 8)


def test_mistakes_are_refused() -> None:
    b = builder()
    x, n, s = b.params
    v = b.load(x, 0, Ty("float32", 8))
    wrong = [
        lambda: Ty("float31"),
        lambda: b.apply("add", n, s),
        lambda: b.apply("add", s),
        lambda: b.apply("frobnicate", s),
        lambda: b.apply("and", s, s),
        lambda: b.apply("exp", n),
        lambda: b.apply("add", b.splat(s, 4), v),
        lambda: b.cast(v, F64),
        lambda: b.bitcast(s, F64),
        lambda: b.add(s, 1),
        lambda: b.splat(v, 16),
        lambda: b.load(x, 0, Ty("float32", 4), b.apply("gt", v, 0.0)),
        lambda: b.reduce("add", b.load(x, 0, Ty("float32", 3))),
    ]
    for attempt in wrong:
        with pytest.raises(NestError):
            attempt()


def test_the_matrix_unit_has_eight_registers_and_six_instructions() -> None:
    right = [("begin", (), False), ("zero", (7,), False), ("load", (0,), True)]
    right += [("store", (7,), True), ("multiply", (0, 6, 7), False), ("end", (), False)]
    wrong = [("zero", (8,), False), ("zero", (), False), ("load", (0,), False)]
    wrong += [("multiply", (0, 1), False), ("multiply", (0, 1, 2), True), ("start", (), False)]
    for cases, fits in ((right, True), (wrong, False)):
        for name, registers, in_memory in cases:
            b = builder()
            b.matrix(name, *registers, ptr=b.params[0] if in_memory else None)
            with contextlib.nullcontext() if fits else pytest.raises(NestError):
                b.finish()


def test_verifier_finds_a_register_out_of_scope() -> None:
    b = builder()
    x, n, _ = b.params
    with b.loop(0, n) as loop:
        inside = b.mul(loop.index, 2)
    b.store(x, 0, inside)
    with pytest.raises(NestError, match="outside its scope"):
        b.finish()


def test_verifier_checks_yields_and_scratch() -> None:
    b = builder()
    _, n, s = b.params
    with pytest.raises(NestError, match="yields other types"), b.loop(0, n, 1, [s]):
        b.yield_(n)
    b = builder()
    with b.loop(0, b.params[1]):
        b.scratch(64)
    with pytest.raises(NestError, match="scratch"):
        b.finish()
    b = builder()
    with b.if_(b.lt(0, b.params[1])):
        b.yield_(b.params[2])
    with pytest.raises(NestError, match="if"):
        b.finish()
