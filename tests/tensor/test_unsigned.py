"""uint16, uint32 and uint64: NumPy's meaning, in eager and in compiled code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import argand as ag

NAMES = ("uint16", "uint32", "uint64")
BINARY: dict[str, Any] = {
    "add": (ag.add, np.add),
    "sub": (ag.sub, np.subtract),
    "mul": (ag.mul, np.multiply),
    "floor_divide": (ag.floor_divide, np.floor_divide),
    "remainder": (ag.remainder, np.remainder),
    "fmod": (ag.fmod, np.fmod),
    "maximum": (ag.maximum, np.maximum),
    "minimum": (ag.minimum, np.minimum),
    "lt": (ag.lt, np.less),
    "le": (ag.le, np.less_equal),
    "gt": (ag.gt, np.greater),
    "ge": (ag.ge, np.greater_equal),
    "eq": (ag.eq, np.equal),
    "ne": (ag.ne, np.not_equal),
    "bitwise_and": (ag.bitwise_and, np.bitwise_and),
    "bitwise_or": (ag.bitwise_or, np.bitwise_or),
    "bitwise_xor": (ag.bitwise_xor, np.bitwise_xor),
}
UNARY: dict[str, Any] = {
    "neg": (ag.neg, np.negative),
    "abs": (ag.abs, np.abs),
    "sign": (ag.sign, np.sign),
    "bitwise_not": (ag.bitwise_not, np.invert),
    "shifted left": (lambda x: x << 3, lambda x: x << 3),
    "shifted right": (lambda x: x >> 3, lambda x: x >> 3),
    "float32": (lambda x: x.float(), lambda x: x.astype(np.float32)),
    "float64": (lambda x: x.double(), lambda x: x.astype(np.float64)),
    "int64": (lambda x: x.long(), lambda x: x.astype(np.int64)),
    "int8": (lambda x: x.to(ag.int8), lambda x: x.astype(np.int8)),
    "bool": (lambda x: x.bool(), lambda x: x.astype(bool)),
    "sum": (lambda x: x.sum(0), lambda x: x.astype(np.int64).sum(0)),
    "cumsum": (lambda x: x.cumsum(0), lambda x: x.astype(np.int64).cumsum(0)),
    "amax": (lambda x: x.amax(0), lambda x: x.max(0)),
    "amin": (lambda x: x.amin(0), lambda x: x.min(0)),
    "argmax": (lambda x: x.argmax(0), lambda x: x.argmax(0)),
    "argmin": (lambda x: x.argmin(0), lambda x: x.argmin(0)),
    "sorted": (lambda x: x.sort(0)[0], np.sort),
    "falling": (lambda x: x.sort(0, descending=True)[0], lambda x: np.sort(x)[::-1].copy()),
    "cummax": (lambda x: x.cummax(0)[0], np.maximum.accumulate),
}


def pairs(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Every pair of edges: zero, the largest, both sides of a signed number's sign bit."""
    top = int(np.iinfo(name).max)
    edges = np.array([0, 1, 2, 7, top // 2, top // 2 + 1, top - 1, top], name)
    x, y = (a.ravel().copy() for a in np.meshgrid(edges, edges))
    return x, y


def check(functions: dict[str, Any], *arrays: np.ndarray) -> None:
    operands = [ag.from_numpy(a) for a in arrays]
    compiled = ag.compile(lambda *xs: [ours(*xs) for ours, _ in functions.values()])(*operands)
    for (name, (ours, numpys)), native in zip(functions.items(), compiled, strict=True):
        with np.errstate(all="ignore"):
            wanted = numpys(*arrays)
        for found in (ours(*operands).numpy(), native.numpy()):
            assert found.dtype == wanted.dtype, name
            np.testing.assert_array_equal(found, wanted, name)


@pytest.mark.parametrize("name", NAMES)
def test_edges(name: str) -> None:
    x, y = pairs(name)
    safe = np.where(y == 0, np.array(3, name), y)
    divisions = ("floor_divide", "remainder", "fmod")
    check({k: v for k, v in BINARY.items() if k not in divisions}, x, y)
    check({k: BINARY[k] for k in divisions}, x, safe)
    check(UNARY, x)


@pytest.mark.parametrize("name", NAMES)
def test_numbers_beyond_the_range_are_compared_or_refused(name: str) -> None:
    x = ag.from_numpy(pairs(name)[0])
    for f in (lambda t: (t == -1, t > -1, t < -5), ag.compile(lambda t: (t == -1, t > -1, t < -5))):
        equal, more, less = f(x)
        assert not equal.any() and more.all() and not less.any()
    with pytest.raises(ag.ArgandError, match=f"-1 doesn't fit into {name}"):
        x + -1
    with pytest.raises(ag.ArgandError, match="doesn't fit"):
        ag.full((2,), 1 << 64, dtype=name)


@pytest.mark.parametrize("name", NAMES)
def test_floats_beyond_the_range_wrap(name: str) -> None:
    bits = 8 * getattr(ag, name).itemsize
    reach = 2.0**31 if bits == 16 else 2.0**63
    values = [-1.0, -1.5, 300.7, 65536.0, 70000.0, 0.99 * reach, -0.99 * reach]
    for dtype in ("float32", "float64"):
        x = ag.tensor(values, dtype=dtype)
        wanted = [int(v) % 2**bits for v in x.tolist()]
        assert x.to(name).tolist() == wanted
        assert ag.compile(lambda t: t.to(name))(x).tolist() == wanted


def test_integers_beyond_int64() -> None:
    top = 2**64 - 1
    assert ag.tensor([0, top], dtype=ag.uint64).tolist() == [0, top]
    assert ag.tensor(top, dtype=ag.uint64).item() == top
    assert ag.tensor([0, top], dtype=ag.float64).tolist() == [0.0, 2.0**64]
    assert ag.full((2,), top, dtype=ag.uint64).tolist() == [top, top]
    assert (ag.tensor([0, top], dtype=ag.uint64) == top).tolist() == [False, True]
    for data in ([0, top], [top], top, [-1, top]):
        with pytest.raises(ag.ArgandError, match="fit"):
            ag.tensor(data)
    assert ag.tensor([0.5, top]).dtype is ag.float32
    close = ag.isclose(*(ag.tensor([n], dtype=ag.uint64) for n in (top, 5)))
    assert not close.item()


def test_unsigned_64_bit_integers_are_no_indices() -> None:
    """As int64 they would count from the end."""
    x, index = ag.arange(5), ag.tensor([2**64 - 1], dtype=ag.uint64)
    for use in (lambda: x[index], lambda: x.gather(0, index), lambda: ag.bincount(index)):
        with pytest.raises(ag.ArgandError):
            use()
    assert x[ag.tensor([1, 2], dtype=ag.uint16)].tolist() == [1, 2]
    assert [10, 20][ag.tensor(1, dtype=ag.uint32)] == 20


@pytest.mark.parametrize("name", NAMES)
def test_what_else_a_dtype_answers(name: str) -> None:
    dtype = getattr(ag, name)
    x = ag.arange(4).to(dtype)
    assert x.type() == f"argand.{dtype.title}Tensor" and x.type(x.type()).dtype is dtype
    assert ag.iinfo(dtype).max == np.iinfo(name).max and ag.iinfo(dtype).min == 0
    assert not dtype.is_floating_point and x.element_size() == np.dtype(name).itemsize
    assert not ag.is_signed(x)
    assert ag.from_dlpack(x).dtype is dtype and np.from_dlpack(x).dtype == name
    assert x.view(ag.uint8).view(dtype).tolist() == [0, 1, 2, 3]
    assert ag.randint(3, 9, (50,), dtype=dtype).min() >= 3
    assert ag.cat([x, x]).dtype is dtype and ag.stack([x, x]).t().dtype is dtype
    with pytest.raises(RuntimeError, match="no common dtype"):
        ag.cat([x, ag.arange(4)])
