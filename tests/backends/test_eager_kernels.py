"""Eager code's native kernels against NumPy, over shapes and strides that share a kernel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import argand as ag
import argand.ops
from argand.backends.cpu import eager
from argand.backends.cpu.eager import run_eager
from argand.base.dtype import from_numpy
from argand.base.settings import settings
from argand.ir.interpret import interpret
from argand.ir.op import TensorType, registry
from argand.ir.record import record

assert argand.ops  # fills the registry
rng = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with settings.using(cache_dir=tmp_path_factory.getbasetemp() / "cache"):
        yield


def f32(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def check(name: str, *arrays: Any, tolerance: float = 1e-5, **params: Any) -> None:
    """The native result is NumPy's in float64, in shape and dtype too."""
    op = registry.get(name)
    found = run_eager(op, arrays, params)
    assert found is not None, "NumPy was asked to do it"
    program = record(
        lambda *xs: tuple(argand.ir.bind.bind(op, xs, params)),
        [TensorType(from_numpy(a.dtype), a.shape) for a in map(np.asarray, arrays)],
    ) if all(a.ndim for a in arrays) else None  # fmt: skip
    narrow = op.run(*arrays, **params)
    wide = interpret(program, arrays, wide=True) if program is not None else narrow
    for got, n, w in zip(
        found, *(x if isinstance(x, tuple | list) else (x,) for x in (narrow, wide)), strict=True
    ):
        assert got.shape == n.shape
        assert got.dtype == n.dtype
        np.testing.assert_allclose(got, w, rtol=tolerance, atol=tolerance * np.abs(w).max())


@pytest.mark.parametrize("shape", [(40000,), (5, 9000), (33, 7, 201)])
@pytest.mark.parametrize("name", ["exp", "tanh", "gelu", "sqrt"])
def test_elementwise(name: str, shape: tuple[int, ...]) -> None:
    check(name, np.abs(f32(*shape)))


def test_elementwise_strides() -> None:
    x = f32(300, 200)
    check("add", x, f32(200, 300).T)
    check("mul", x, np.broadcast_to(f32(200), (300, 200)))
    check("sub", x, np.broadcast_to(f32(300, 1), (300, 200)))
    check("add", f32(300, 400)[:, ::2], x)
    check("maximum", f32(20, 30, 100).transpose(1, 0, 2), f32(30, 20, 100))


def test_scalars_are_arguments_and_plain_ones_their_own_kernels() -> None:
    x = f32(300, 200)
    for value in (0.3, 2.0, 0.7, 1.0, -0.0, 0.0, 2.0):
        check("mul", x, np.float32(value))
        check("pow", np.abs(x), np.float32(value))
    op = registry.get("mul")
    found = run_eager(op, (x, np.float32(-0.0)), {})
    assert found is not None
    assert np.signbit(found[0][x > 0]).all()


def test_what_no_kernel_walks_is_copied_first() -> None:
    check("exp", f32(30, 20)[::-1])
    check("exp", f32(3, 4, 5, 6, 7).transpose(4, 2, 0, 3, 1)[:, ::-1])
    check("sum", f32(30, 20).T, dim=(1,), keepdim=False)
    check("softmax", f32(30, 20).T, dim=1)
    check("matmul", f32(30, 20)[::-1], f32(20, 7)[:, ::-1])


def test_empty_arrays_are_left_to_numpy() -> None:
    assert run_eager(registry.get("softmax"), (f32(0, 3),), {"dim": 1}) is None


def test_contractions_are_products_of_matrices() -> None:
    check("einsum", f32(5, 6, 7), f32(7, 3), equation="bij,jk->bki")
    check("einsum", f32(5, 6), f32(5, 6), equation="ij,ij->i")


@pytest.mark.parametrize("rows", [1, 2, 37])
@pytest.mark.parametrize("columns", [1, 5, 300])
def test_rows(rows: int, columns: int) -> None:
    x = f32(rows, columns)
    check("softmax", x, dim=1)
    check("log_softmax", x, dim=1)
    shape = {"normalized_shape": (columns,), "eps": 1e-5}
    check("layer_norm", x, f32(columns), f32(columns), **shape, affine="wb", tolerance=1e-4)
    target = rng.integers(0, columns, rows)
    options = {"reduction": "mean", "ignore_index": -100, "label_smoothing": 0.0}
    check("cross_entropy", x, target, **options)


def test_an_index_out_of_range_is_numpys_error() -> None:
    options = {"reduction": "mean", "ignore_index": -100, "label_smoothing": 0.0}
    arrays = (f32(4, 3), np.array([0, 3, 1, 2]))
    assert run_eager(registry.get("cross_entropy"), arrays, options) is None


@pytest.mark.parametrize("dim", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("name", ["sum", "amax", "mean"])
def test_reductions(name: str, dim: tuple[int, ...]) -> None:
    check(name, f32(31, 40, 50), dim=dim, keepdim=False, tolerance=1e-4)
    check(name, f32(64, 8, 65), dim=dim, keepdim=True, tolerance=1e-4)


@pytest.mark.parametrize("m", [1, 2, 7, 64])
def test_matmul(m: int) -> None:
    check("matmul", f32(m, 40), f32(40, 50))
    check("matmul", f32(m, 33), f32(65, 33).T)
    check("matmul", f32(33, m).T, f32(33, 65))
    check("matmul", f32(6, m, 40), f32(6, 40, 50))
    check("matmul", f32(6, m, 40), np.broadcast_to(f32(40, 50), (6, 40, 50)))
    check("matmul", f32(2, 3, m, 40), f32(2, 3, 50, 40).swapaxes(2, 3))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("size", [(9, 9), (12, 7)])
def test_convolutions(stride: int, groups: int, size: tuple[int, int]) -> None:
    geometry = {
        "stride": (stride, stride),
        "padding": (1, 1),
        "dilation": (1, 1),
        "groups": groups,
    }
    x, w = f32(2, 4, *size), f32(6, 4 // groups, 3, 3)
    check("conv2d", x, w, **geometry)
    g = f32(2, 6, *((s - 1) // stride + 1 for s in size))
    check("conv2d_input_grad", g, w, size=size, **geometry)
    check("conv2d_weight_grad", g, x, kernel=(3, 3), **geometry, tolerance=1e-4)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_of_transposed_heads(causal: bool) -> None:
    q, k, v = (f32(2, 17, 3, 8).transpose(0, 2, 1, 3) for _ in range(3))
    check("scaled_dot_product_attention", q, k, v, is_causal=causal, scale=0.35)


def test_pooling() -> None:
    window = {
        "kernel_size": (2, 2),
        "stride": (2, 2),
        "padding": (0, 0),
        "dilation": (1, 1),
        "ceil_mode": False,
    }
    check("max_pool2d", f32(2, 3, 9, 8), **window)
    check("max_pool2d", f32(1, 5, 6, 6), **window)


def test_float64() -> None:
    check("matmul", f32(30, 40).astype(np.float64), f32(40, 50).astype(np.float64))
    check("softmax", f32(30, 40).astype(np.float64), dim=1)


@pytest.mark.parametrize("target", ["host", "avx2", "sse2"])
@pytest.mark.parametrize("k", [5, 256, 300, 512, 800, 1025])
def test_a_row_of_a_product_has_the_same_bits_in_any_batch(target: str, k: int) -> None:
    rng = np.random.default_rng(k)
    with ag.settings.using(target=target):
        for n in (1, 15, 16, 50, 97):
            x = rng.uniform(-1, 1, (17, k)).astype(np.float32)
            w = rng.uniform(-1, 1, (n, k)).astype(np.float32)
            all_rows = ag.nn.functional.linear(ag.from_numpy(x), ag.from_numpy(w)).numpy()
            np.testing.assert_allclose(
                all_rows, x.astype(np.float64) @ w.T.astype(np.float64), atol=1e-4
            )
            for rows in (1, 2, 3, 4, 5):
                some = ag.from_numpy(x[:rows].copy())
                expected = all_rows[:rows].tobytes()
                assert ag.nn.functional.linear(some, ag.from_numpy(w)).numpy().tobytes() == expected
                product = some @ ag.from_numpy(w.T.copy())
                assert product.numpy().tobytes() == expected


@pytest.mark.parametrize("correction", [0.0, 0.5, 1])
def test_a_kernel_from_the_disk_asks_no_size_of_the_call_it_was_made_for(
    correction: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with settings.using(cache_dir=tmp_path):
        for size in (5, 3):
            monkeypatch.setattr(eager, "_kernels", {})
            monkeypatch.setattr(eager, "_plans", {})
            x = rng.standard_normal(size).astype(np.float32)
            (found,) = run_eager(
                registry.get("var"), (x,), {"dim": (0,), "correction": correction, "keepdim": False}
            )
            distance = x.astype(np.float64) - x.mean(dtype=np.float64)
            wanted = (distance**2).sum() / (size - correction)
            np.testing.assert_allclose(found, wanted, rtol=1e-5)
