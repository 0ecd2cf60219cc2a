"""8-bit floats as tensors: stored, moved, cast and compared; never computed with."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import argand as ag
from argand.base.errors import DTypeError

NAMES = ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu")
MOVES: dict[str, Any] = {
    "transposed": lambda x: x.t(),
    "a part": lambda x: x[1:, ::2],
    "reversed": lambda x: x.flip(0),
    "joined": lambda x: ag.cat([x, x[:1]]),
    "stacked": lambda x: ag.stack([x, x]),
    "rolled": lambda x: x.roll(3, 0),
    "picked": lambda x: x[ag.tensor([3, 0, -1])],
    "gathered": lambda x: x.gather(1, ag.zeros(16, 2, dtype=ag.int64)),
    "repeated": lambda x: x[:1].expand(3, 16).contiguous(),
    "chosen": lambda x: ag.where(ag.arange(16) % 2 == 0, x, x.flip(1)),
}


def codes(name: str) -> Any:
    """A tensor of every code."""
    return ag.arange(256).to(ag.uint8).view(getattr(ag, name)).view(16, 16)


@pytest.mark.parametrize("name", NAMES)
def test_moves_keep_every_bit(name: str) -> None:
    x = codes(name)
    compiled = ag.compile(lambda t: [move(t) for move in MOVES.values()])(x)
    for (what, move), native in zip(MOVES.items(), compiled, strict=True):
        wanted = move(x.view(ag.uint8))
        for found in (move(x), native):
            assert found.dtype is x.dtype, what
            assert ag.equal(found.contiguous().view(ag.uint8), wanted.contiguous()), what


@pytest.mark.parametrize("name", NAMES)
def test_casts_are_the_same_compiled(name: str) -> None:
    x, values = codes(name), ag.randn(1000, generator=ag.Generator().manual_seed(0)) * 300
    for dtype in ("float32", "float16", "bfloat16", "float64", "bool"):
        native = ag.compile(lambda t, dtype=dtype: t.to(dtype))(x)
        np.testing.assert_array_equal(x.to(dtype).float().numpy(), native.float().numpy())
        wide = values.to(dtype)
        eager, native = wide.to(name), ag.compile(lambda t: t.to(name))(wide)
        assert ag.equal(eager.view(ag.uint8), native.view(ag.uint8)), dtype


def test_what_is_too_large() -> None:
    x = ag.tensor([449.0, -1e9, ag.inf, ag.nan])
    nan = ag.nan
    wanted = {
        "float8_e4m3fn": [448, -448, 448, nan],
        "float8_e5m2": [448, -ag.inf, ag.inf, nan],
        "float8_e4m3fnuz": [nan] * 4,
        "float8_e5m2fnuz": [448, nan, nan, nan],
        "float8_e8m0fnu": [512, 2.0**30, nan, nan],
    }
    for name, numbers in wanted.items():
        np.testing.assert_array_equal(x.to(name).tolist(), numbers)
    with pytest.raises(ag.ArgandError, match="doesn't fit into float8_e4m3fn"):
        ag.full((2,), 449.0, dtype=ag.float8_e4m3fn)


@pytest.mark.parametrize("name", NAMES)
def test_comparisons_with_numbers(name: str) -> None:
    x = codes(name).reshape(-1)
    wide = x.double()
    for f in (lambda t: t == 2.0, lambda t: t != 2.0, lambda t: t == 1e39, lambda t: t.isnan()):
        assert ag.equal(f(x), f(wide)) and ag.equal(ag.compile(f)(x), f(wide))
    assert (x == 1.03).sum() == 1  # the number is rounded first, as in PyTorch


@pytest.mark.parametrize("name", NAMES)
def test_arithmetic_is_refused_with_the_remedy(name: str) -> None:
    x = ag.ones(3).to(name)
    for use in (
        lambda t: t + t, lambda t: t * 2, lambda t: t < 2, lambda t: -t, lambda t: t.sum(),
        lambda t: t.sort(), lambda t: t @ t, lambda t: t.max(), lambda t: t.softmax(0),
        lambda t: t.scatter_add(0, ag.tensor([0]), t[:1]), lambda t: ag.rand_like(t),
        lambda t: t.cumsum(0), lambda t: t.exp_(), lambda t: ag.arange(3, dtype=t.dtype),
    ):  # fmt: skip
        for call in (use, ag.compile(use)):
            with pytest.raises(NotImplementedError, match=rf"not implemented for {name}.*\.float"):
                call(x)
    for use in (lambda: x + ag.ones(3), lambda: ag.cat([x, ag.ones(3)])):
        with pytest.raises(DTypeError, match="don't promote"):
            use()
    with pytest.raises(TypeError, match="computed with"):
        ag.set_default_dtype(name)


@pytest.mark.parametrize("name", NAMES)
def test_what_else_a_dtype_answers(name: str) -> None:
    dtype = getattr(ag, name)
    x = ag.tensor([1.0, 2.0, 4.0], dtype=dtype)
    assert x.numpy().dtype == getattr(ml_dtypes, name) and x.tolist() == [1, 2, 4]
    assert ag.from_numpy(x.numpy()).dtype is dtype and x[1].item() == 2.0
    assert dtype.is_floating_point and x.element_size() == 1
    info, theirs = ag.finfo(dtype), ml_dtypes.finfo(getattr(ml_dtypes, name))
    assert (info.max, info.min, info.eps) == (theirs.max, theirs.min, theirs.eps)
    assert info.resolution == 1 and info.bits == 8
    x[0] = 4.0
    x[1:].copy_(ag.tensor([8.0, 16.0]))
    assert x.tolist() == [4, 8, 16] and x.clone().zero_().float().abs().max() < 1e-30
    assert [len(t) for t in (ag.zeros(2, dtype=dtype), ag.empty(3, dtype=dtype))] == [2, 3]
    assert f"dtype=argand.{name}" in repr(x)
    assert ag.isin(x, x).all() and x.any() and bool(x[0])


def test_gradients_flow_through_casts() -> None:
    x = ag.tensor([1.03, -2.0], requires_grad=True)
    (x.to(ag.float8_e4m3fn).float() * ag.tensor([3.0, 5.0])).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [3.0, 5.0]
    leaf = ag.ones(2).to(ag.float8_e5m2).requires_grad_()
    (leaf.float() * 2).sum().backward()
    assert leaf.grad is not None and leaf.grad.dtype is ag.float8_e5m2


@pytest.mark.parametrize("name", NAMES)
def test_pytorch_casts_the_same(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    bits = np.random.default_rng(0).integers(0, 1 << 32, 1 << 16, dtype=np.uint32)
    for x in (bits.view(np.float32), np.arange(1 << 16, dtype=np.uint16).view(np.float16)):
        theirs = torch.from_numpy(x).to(getattr(torch, name)).view(torch.uint8).numpy()
        assert (ag.from_numpy(x).to(name).view(ag.uint8).numpy() == theirs).all()
    codes_there = torch.arange(256).to(torch.uint8).view(getattr(torch, name))
    for dtype in ("float32", "float16", "float64", "bool"):
        found = codes(name).reshape(-1).to(dtype).numpy()
        np.testing.assert_array_equal(found, codes_there.to(getattr(torch, dtype)).numpy())
