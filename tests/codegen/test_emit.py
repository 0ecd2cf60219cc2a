"""Memory and control flow of generated code."""

from __future__ import annotations

import numpy as np
import pytest
from nests import numpy_dtype

from argand.base.errors import CompileError
from argand.codegen.llvm.emit import emit_module
from argand.codegen.llvm.objects import text_to_object
from argand.codegen.llvm.target import host_target, named_target
from argand.nest.builder import (
    F32,
    F64,
    I64,
    PTR,
    NestBuilder,
    NestFunction,
    NestModule,
    Param,
    Ty,
)
from machines import HERE
from nestrun import assembly, call_of, entry, load, object_of


def dot(lanes: int) -> NestFunction:
    b = NestBuilder("dot", [Param("x", PTR, noalias=True), ("y", PTR), ("out", PTR), ("n", I64)])
    x, y, out, n = b.params
    vec = Ty("float32", lanes)
    with b.loop(0, n, lanes, [b.const(vec, 0.0)]) as loop:
        mask = b.tail_mask(loop.index, n, lanes)
        u, v = (b.load(p, loop.index, vec, mask) for p in (x, y))
        b.yield_(b.fma(u, v, loop.carry[0]))
    b.store(out, 0, b.reduce("add", loop.results[0]))
    return b.finish()


@pytest.mark.parametrize("target", HERE)
@pytest.mark.parametrize("lanes", [1, 4, 8, 16])
def test_loop_carries_a_sum(lanes: int, target: str) -> None:
    run = entry(dot(lanes), named_target(target))
    rng = np.random.default_rng(0)
    for n in (0, 1, 7, 16, 131):
        x, y = rng.normal(size=(2, n)).astype(np.float32)
        out = np.full(1, np.nan, np.float32)
        assert run(x, y, out, n) == 0
        assert np.allclose(out[0], np.dot(x.astype(float), y), rtol=1e-5, atol=1e-5)


def test_nested_loops_and_carries() -> None:
    b = NestBuilder("table", [("out", PTR), ("rows", I64), ("columns", I64)])
    out, rows, columns = b.params
    with b.loop(0, rows, 1, [b.i64(0)]) as outer:
        with b.loop(0, columns, 1, [outer.carry[0]]) as inner:
            count = b.add(inner.carry[0], 1)
            b.store(out, b.affine(inner.index, (outer.index, columns)), count)
            b.yield_(count)
        b.yield_(inner.results[0])
    b.store(out, b.mul(rows, columns), outer.results[0])
    table = np.zeros(13, np.int64)
    assert entry(b.finish())(table, 3, 4) == 0
    assert table.tolist() == [*range(1, 13), 12]


def test_branches_yield() -> None:
    b = NestBuilder("choose", [("out", PTR), ("n", I64), ("x", F64), ("y", F64)])
    out, n, x, y = b.params
    with b.if_(b.lt(n, 10)) as branch:
        b.yield_(b.apply("mul", x, 2.0), n)
    with branch.else_():
        b.yield_(y, b.i64(-1))
    value, tag = branch.results
    b.store(out, 0, value)
    b.store(out, 1, b.cast(tag, "float64"))
    run, out_array = entry(b.finish()), np.zeros(2)
    run(out_array, 3, 1.25, 9.5)
    assert out_array.tolist() == [2.5, 3.0]
    run(out_array, 30, 1.25, 9.5)
    assert out_array.tolist() == [9.5, -1.0]


def test_fail_leaves_with_a_status_from_within() -> None:
    b = NestBuilder("find", [("x", PTR), ("n", I64)])
    x, n = b.params
    b.scratch(100)
    with b.loop(0, n) as loop:
        bad = b.apply("isnan", b.load(x, loop.index, F32))
        with b.if_(bad):
            b.fail(b.add(loop.index, 1))
    run = entry(b.finish())
    x_array = np.ones(9, np.float32)
    assert run(x_array, 9) == 0
    x_array[5] = np.nan
    assert run(x_array, 9) == 6


def test_functions_call_each_other_and_pass_on_a_status() -> None:
    b = NestBuilder("inner", [("x", PTR), ("i", I64)])
    x, i = b.params
    with b.if_(b.lt(i, 0)):
        b.fail(7)
    b.store(x, i, b.const(F32, 4.0))
    inner = b.finish()
    b = NestBuilder("outer", [("x", PTR), ("i", I64)])
    x, i = b.params
    b.call(inner, x, i)
    b.store(x, 0, b.const(F32, 1.0))
    module = NestModule((b.finish(), inner))
    loaded = load(module)
    run = call_of(loaded, module.entry)
    x_array = np.zeros(3, np.float32)
    assert run(x_array, 2) == 0
    assert x_array.tolist() == [1, 0, 4]
    assert run(x_array, -1) == 7


@pytest.mark.parametrize("target", HERE)
@pytest.mark.parametrize("lanes", [1, 2, 8])
@pytest.mark.parametrize("elem", ["float32", "float64", "bfloat16", "int8", "int64", "bool"])
def test_gather_scatter_and_masks(elem: str, lanes: int, target: str) -> None:
    b = NestBuilder("move", [("x", PTR), ("at", PTR), ("y", PTR), ("n", I64)])
    x, at, y, n = b.params
    with b.loop(0, n, lanes) as loop:
        mask = b.tail_mask(loop.index, n, lanes, "int64")
        places = b.load(at, loop.index, Ty("int64", lanes), mask)
        picked = b.gather(x, places, Ty(elem, lanes), mask)
        b.scatter(y, places, picked, mask)
    run = entry(b.finish(), named_target(target))
    rng = np.random.default_rng(1)
    source = rng.integers(0, 2, 50).astype(numpy_dtype(elem))
    places = rng.permutation(50)[:19].astype(np.int64)
    target_array = np.full(50, 1, numpy_dtype(elem))
    want = target_array.copy()
    want[places] = source[places]
    assert run(source, places, target_array, 19) == 0
    assert (target_array == want).all()


@pytest.mark.parametrize("target", HERE)
@pytest.mark.parametrize("elem", ["bfloat16", "float16", "float32", "int8", "uint8", "int32"])
def test_masked_stores_of_casts_touch_no_neighbour(elem: str, target: str) -> None:
    """LLVM's AVX-512 stores 4 bytes of a bfloat16 where a constant mask leaves one lane."""
    for count in (1, 2, 3, 15):
        b = NestBuilder("put", [("x", PTR), ("out", PTR)])
        x, out = b.params
        value = b.cast(b.load(x, 0, Ty("float32", 16)), elem)
        b.store(out, 1, value, b.tail_mask(b.i64(0), b.i64(count), 16))
        given = np.arange(1, 17, dtype=np.float32)
        got = np.full(20, 99).astype(numpy_dtype(elem))
        want = got.copy()
        want[1 : 1 + count] = given[:count].astype(want.dtype)
        assert entry(b.finish(), named_target(target))(given, got) == 0
        assert np.array_equal(got, want), count


def test_stack_shuffles_and_lanes() -> None:
    b = NestBuilder("lanes", [("x", PTR), ("y", PTR)])
    x, y = b.params
    vec = Ty("float32", 4)
    stack = b.alloca(vec, 2)
    v = b.load(x, 0, vec)
    b.store(stack, 4, b.shuffle(v, None, [3, 2, 1, 0]))
    w = b.load(stack, 4, vec)
    w = b.insert(w, 9.0, 1)
    b.store(y, 0, b.shuffle(v, w, [0, 4, 1, 5]))
    b.store(y, 4, b.extract(w, b.i64(3)))
    b.store(y, 5, b.reduce("max", w))
    b.store(y, 6, b.shuffle(b.extract(v, 0), b.extract(v, 1), [1, 0]))
    out = np.zeros(8, np.float32)
    entry(b.finish())(np.arange(1, 5, dtype=np.float32), out)
    assert out.tolist() == [1, 4, 2, 9, 1, 9, 2, 1]


def test_prefetch_and_offset() -> None:
    b = NestBuilder("stream", [("x", PTR), ("n", I64)])
    x, n = b.params
    with b.loop(0, n, 8) as loop:
        b.prefetch(x, b.add(loop.index, 64), "float32")
        place = b.offset(x, loop.index, "float32")
        value = b.const(Ty("float32", 8), 3.0)
        b.store(place, 0, value)
    function = b.finish()
    assert "prefetch" in assembly(NestModule((function,)), named_target("avx2"))
    written = np.zeros(64, np.float32)
    assert entry(function)(written, 64) == 0
    assert (written == 3).all()


def test_masked_scalar_accesses_touch_nothing() -> None:
    b = NestBuilder("guard", [("x", PTR), ("on", I64)])
    x, on = b.params
    mask = b.apply("ne", on, 0)
    value = b.load(x, 0, F32, mask)
    b.store(x, 1, b.apply("add", value, 1.0), mask)
    run = entry(b.finish())
    assert run(0, 0) == 0  # a null pointer
    x_array = np.array([2, 0], np.float32)
    run(x_array, 1)
    assert x_array.tolist() == [2, 3]


def test_other_machines_get_objects() -> None:
    module = NestModule((dot(4),))
    for name, machine in (("neon", 183), ("avx512", 62), ("avx2", 62), ("sse2", 62)):
        data = object_of(module, named_target(name))
        assert data[:4] == b"\x7fELF"
        assert int.from_bytes(data[18:20], "little") == machine
    assert "fmla" in assembly(module, named_target("neon"))
    assert "zmm" in assembly(NestModule((dot(16),)), named_target("avx512"))


def test_elementary_functions_for_every_machine() -> None:
    for name in ("neon", "avx512"):
        target = named_target(name)
        for prim in ("exp", "sin", "floor", "fmod", "tanh"):
            b = NestBuilder("one", [("x", PTR)])
            (x,) = b.params
            value = b.load(x, 0, target.vector("float32"))
            others = (3.0,) if prim == "fmod" else ()
            b.store(x, 0, b.apply(prim, value, *others))
            text = assembly(NestModule((b.finish(),)), target)
            assert "fmodf" not in text and "expf" not in text


def test_unknown_target_and_bad_code_are_our_errors() -> None:
    with pytest.raises(CompileError, match="no target 'vax'"):
        named_target("vax")
    with pytest.raises(CompileError, match="kernel broken"):
        text_to_object("define i64 @x() { ret i32 0 }", host_target(), "broken")


def test_text_of_a_module_is_stable() -> None:
    text = emit_module(NestModule((dot(8),)), named_target("avx2"))
    assert text == emit_module(NestModule((dot(8),)), named_target("avx2"))
    assert text.startswith('target triple = "x86_64')
    assert "define i64 @dot(ptr %slots)" in text
