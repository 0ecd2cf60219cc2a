"""What ops state of themselves for the compiler, held against what they compute in NumPy."""

from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np
import pytest
from calls import ALL_CALLS, ALL_OPS, Call, names
from numpy.lib.stride_tricks import as_strided

from argand.base.dtype import as_dtype
from argand.ir.elementwise import Elementwise
from argand.ir.families import Convolution, Create, Gather, Move, Reduce, Scan, Scatter, View
from argand.ir.op import Op, registry
from argand.ir.primitives import PRIMITIVES

SPECIAL = [0.0, -0.0, 1.0, -1.5, 3.0, 1e-40, np.inf, -np.inf, np.nan]
DTYPES = ("float32", "float64", "int64", "int32", "uint8", "bool")


class Indices:
    """The `b` of a move's `source`, for plain ints."""

    add, sub, mul = operator.add, operator.sub, operator.mul
    div, rem = operator.floordiv, operator.mod
    lt, le, eq = operator.lt, operator.le, operator.eq

    def apply(self, primitive: str, x: bool, y: bool) -> bool:
        assert primitive == "and"
        return x and y


def elementwise(trait: str) -> list[Elementwise]:
    """The elementwise ops that state a trait."""
    members = [op for op in ALL_OPS if isinstance(op, Elementwise)]
    return [op for op in members if getattr(type(op), trait) != getattr(Elementwise, trait)]


def numbers(dtype: str) -> np.ndarray:
    """Values of a dtype, those that rules of algebra trip over included."""
    kind = as_dtype(dtype).kind
    given = SPECIAL if kind == "f" else [0, 1, 2, 7, 100] if kind == "u" else [0, 1, -1, 5, -99]
    return np.array(given).astype(as_dtype(dtype).numpy)


def accepted(op: Elementwise) -> list[str]:
    """The dtypes that an op computes in."""
    kinds = {"float": "f"}.get(op.promotion, "buif")
    return [d for d in DTYPES if as_dtype(d).kind in kinds and as_dtype(d).kind in op.kinds]


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays are the same, signs of zeros included; a NaN is a NaN."""
    both = np.isnan(a) & np.isnan(b) if a.dtype.kind == "f" else np.zeros(a.shape, bool)
    bits = np.equal(a, b) & (np.signbit(a) == np.signbit(b)) if a.dtype.kind == "f" else a == b
    return a.dtype == b.dtype and bool(np.all(both | bits))


@pytest.mark.parametrize("op", elementwise("swapped"), ids=lambda op: op.name)
def test_the_swapped_op_takes_the_operands_in_the_other_order(op: Elementwise) -> None:
    for dtype in accepted(op):
        x, y = (grid.reshape(-1) for grid in np.meshgrid(numbers(dtype), numbers(dtype)))
        np.testing.assert_array_equal(op.run(x, y), registry.get(op.swapped).run(y, x))


@pytest.mark.parametrize("op", elementwise("neutral"), ids=lambda op: op.name)
def test_a_neutral_operand_changes_no_bit(op: Elementwise) -> None:
    found = 0
    for dtype in accepted(op):
        neutral = op.neutral(as_dtype(dtype))
        if neutral is not None and as_dtype(dtype).kind != "b":
            x = numbers(dtype)
            assert same_bits(op.run(x, np.full_like(x, neutral)), x), dtype
            found += 1
    assert found


@pytest.mark.parametrize("op", elementwise("involution"), ids=lambda op: op.name)
def test_an_involution_gives_its_operand_when_applied_twice(op: Elementwise) -> None:
    for dtype in accepted(op):
        x = numbers(dtype)
        assert same_bits(op.run(op.run(x)), x), dtype


# -- nodes of one family ---------------------------------------------------------------------------


def nodes_of(family: type[Op]) -> list[Any]:
    """Every sample of a family's members: the op, its arrays, its parameters, what it gives."""
    found = []
    for call in ALL_CALLS:
        if isinstance(call.op, family):
            dtype = "float32" if "float32" in call.op.dtypes else call.op.dtypes[0]
            found.append(pytest.param(call, dtype, id=names([call])[0]))
    assert found
    return found


def computed(call: Call, dtype: str) -> list[tuple[Any, list[np.ndarray], dict[str, Any], Any]]:
    """The nodes of the call's own op in its program: op, arrays, parameters, result."""
    program = call.program(dtype)
    env: dict[Any, Any] = dict(zip(program.inputs, call.arrays(dtype), strict=True))
    found = []
    for node in program.nodes:
        arrays = [env[v] if v in env else np.asarray(v.value) for v in node.inputs]
        result = node.op.run(*arrays, **node.params)
        results = result if isinstance(result, tuple) else (result,)
        env.update(zip(node.outputs, results, strict=True))
        if node.op is call.op:
            found.append((node.op, arrays, node.params, results[0]))
    return found


@pytest.mark.parametrize(("call", "dtype"), nodes_of(View))
def test_views_read_the_same_elements_with_their_strides(call: Call, dtype: str) -> None:
    for op, (x,), params, expected in computed(call, dtype):
        layouts = [np.array(x, order="C"), np.array(x, order="F")]
        for array in layouts:
            strides = tuple(s // x.itemsize for s in array.strides)
            found = type(op).view_strides(x.shape, strides, params)
            if found is None:
                assert not np.may_share_memory(op.run(array, **params), array)
            elif expected.size:
                flat = array.reshape(-1, order="A")[found[0] :]
                steps = [s * x.itemsize for s in found[1]]
                np.testing.assert_array_equal(as_strided(flat, expected.shape, steps), expected)


@pytest.mark.parametrize(("call", "dtype"), nodes_of(Move))
def test_moves_say_where_elements_come_from_and_go_to(call: Call, dtype: str) -> None:
    for op, arrays, params, expected in computed(call, dtype):
        shapes = [x.shape for x in arrays] if op.several else arrays[0].shape
        for index in np.ndindex(expected.shape):
            found = type(op).source(Indices(), index, shapes, params)
            pairs = found if op.several else [found]
            value = params["value"] if op.fills else None
            for x, (place, valid) in zip(arrays, pairs, strict=True):
                value = x[tuple(place)] if valid is None or valid else value
            assert value == expected[index]
        if op.target is not None:
            for index in np.ndindex(arrays[0].shape):
                place = type(op).target(Indices(), index, shapes, params)
                assert expected[tuple(place)] == arrays[0][index]
        assert op.repeats or op.several or op.fills or expected.size <= arrays[0].size


def looker(arrays: list[np.ndarray]) -> Any:
    """The `look` of gathers and scatters, for arrays."""

    def look(number: int, index: Any, size: int, wraps: bool = False) -> int:
        place = int(arrays[number][tuple(index)])
        assert (-size if wraps else 0) <= place < size
        return place % size

    return look


@pytest.mark.parametrize(("call", "dtype"), nodes_of(Gather))
def test_gathers_say_where_elements_come_from(call: Call, dtype: str) -> None:
    for op, arrays, params, expected in computed(call, dtype):
        shapes = [x.shape for x in arrays]
        for index in np.ndindex(expected.shape):
            place = type(op).source(index, looker(arrays), shapes, params)
            assert arrays[0][tuple(place)] == expected[index]


@pytest.mark.parametrize(("call", "dtype"), nodes_of(Scatter))
def test_scatters_say_where_elements_go_and_which_meet(call: Call, dtype: str) -> None:
    for op, arrays, params, expected in computed(call, dtype):
        shapes = [x.shape for x in arrays]
        values, y = arrays[op.values], arrays[0].copy()
        collides = type(op).collides(shapes, params)
        rest: dict[tuple[int, ...], list[int]] = {}
        for index in np.ndindex(values.shape):
            place = tuple(type(op).target(index, looker(arrays), shapes, params))
            y[place] = y[place] + values[index] if type(op).adds(params) else values[index]
            free = [i for d, i in enumerate(index) if d not in collides]
            assert rest.setdefault(place, free) == free
        np.testing.assert_allclose(y, expected, rtol=1e-6)


@pytest.mark.parametrize(("call", "dtype"), nodes_of(Create))
def test_creations_say_each_element(call: Call, dtype: str) -> None:
    for op, _, params, expected in computed(call, dtype):
        for index in np.ndindex(expected.shape):
            value = op.constant(params)
            if value is None:
                place, start, step = type(op).progression(index, params)
                value = start + place * step
            assert expected[index] == value


@pytest.mark.parametrize("family", [Reduce, Scan])
def test_the_primitive_combines_the_elements(family: type[Op]) -> None:
    for op in (op for op in ALL_OPS if isinstance(op, family)):
        combine = PRIMITIVES[op.primitive].numpy  # type: ignore[attr-defined]
        truth = family is Reduce and op.accumulates == "bool"  # type: ignore[attr-defined]
        for dtype in ("bool",) if truth else ("float32", "int64"):
            x = np.array([3, 1, 4, 0, 5]).astype(as_dtype(dtype).numpy)
            total = functools.reduce(combine, x)
            params = {"dim": 0} if family is Scan else {"dim": (0,), "keepdim": False}
            y = op.run(x, **params)
            if family is Scan:
                y = y[-1]
            elif op.finds_position:  # type: ignore[attr-defined]
                y = x[y]
            assert y == total, (op.name, dtype)


@pytest.mark.parametrize(("call", "dtype"), nodes_of(Convolution))
def test_convolutions_say_what_each_operand_is(call: Call, dtype: str) -> None:
    for op, arrays, params, expected in computed(call, dtype):
        shapes = dict(zip(op.roles, (x.shape for x in (*arrays, expected)), strict=True))
        image, weight, result = (shapes[role] for role in ("image", "weight", "result"))
        assert image[0] == result[0]
        assert image[1] == weight[1] * params["groups"]
        assert weight[0] == result[1]
        assert op.gives_image == (op.roles[2] != "weight")
