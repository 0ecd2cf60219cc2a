"""Weights that many rows are multiplied by, and how they are stored for a matrix unit."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import argand as ag
from argand import nn
from argand.codegen.llvm.target import add_target, host_target, named_target
from argand.compile.constants import split_constants, weights_of_rows
from argand.ir.text import parse_program

_AVX512 = named_target("avx512")
add_target(
    dataclasses.replace(_AVX512, name="amx", features=_AVX512.features + ",+amx-tile,+amx-bf16")
)

PRODUCT = """program f(x: f32[{rows}, {k}]; state w: f32[{n}, {k}], v: f32[{k}, {n}]) {{
  %0: f32[{k}, {n}] = permute(w) {{dims=(1, 0)}}
  %1: f32[{flat}, {k}] = reshape(x) {{shape=({flat}, {k})}}
  %2: f32[{flat}, {n}] = matmul(%1, %0)
  %3: f32[{flat}, {n}] = matmul(%1, v)
  return %2, %3
}}"""


def program(rows: str, flat: str, k: int = 512, n: int = 512) -> str:
    return PRODUCT.format(rows=rows, flat=flat, k=k, n=n)


@pytest.mark.parametrize(
    ("rows", "flat", "found"),
    [
        ("b, l", "b*l", {0, 1}),
        ("1, l", "l", {0, 1}),
        ("b, 197", "197*b", {0, 1}),
        ("8, 16", "128", {0, 1}),
        ("8, 15", "120", set()),
        ("b, 1", "b", set()),
        ("b", "b", set()),
        ("4096", "4096", set()),
        ("3, 4, 4", "48", {0, 1}),
    ],
)
def test_rows_beside_the_first_dimension_count(rows: str, flat: str, found: set[int]) -> None:
    assert weights_of_rows(parse_program(program(rows, flat))) == found


def widths(text: str, of_rows: frozenset[int] | None = None) -> list[int]:
    """The columns of the panels of the constants, 0 where they have none."""
    parsed = parse_program(text)
    split = split_constants(parsed, [True, True], "cpu", of_rows)
    if split is None:
        return []
    return [v.shape[-1] if v.ndim == 3 else 0 for v in split.once.outputs]


def test_large_ones_are_stored_for_the_unit() -> None:
    deep, flat = program("b, l", "b*l"), program("b", "b")
    with ag.settings.using(target="amx"):
        assert widths(deep) == [32, 32]
        assert widths(flat) == [64, 64]
        assert widths(program("b, l", "b*l", 500)) == [64, 64], "too small"
        assert widths(deep, frozenset([1])) == [64, 32]
        assert widths(flat, frozenset([0])) == [32, 64], "as the program of all sizes says"
        with ag.settings.using(matrix_unit=False):
            assert widths(deep) == [64, 64]
    with ag.settings.using(target="avx512"):
        assert widths(deep) == [64, 64]


class Layer(nn.Module):
    """Products by large weights, of rows (batch, length) and of one row of each of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(512, 640), nn.Linear(640, 512, bias=False)
        self.head = nn.Linear(512, 512)

    def forward(self, x: ag.Tensor) -> tuple[ag.Tensor, ag.Tensor]:
        y = self.second(nn.functional.gelu(self.first(x))) + x
        return y, self.head(y[:, 0])


@pytest.mark.skipif(not host_target().matrix_unit, reason="this machine has no AMX")
def test_an_exported_program_has_the_same_bits_for_any_sizes(tmp_path: Path) -> None:
    ag.manual_seed(0)
    model = Layer().eval()
    shapes = ({0: ag.Dim("rows"), 1: ag.Dim("length")},)
    path = tmp_path / "layer.argand"
    ag.export.export(model, (ag.randn(2, 20, 512),), dynamic_shapes=shapes).save(path)
    program = ag.export.load(path)
    x = np.random.default_rng(0).standard_normal((5, 37, 512)).astype(np.float32)
    whole, head = (np.asarray(y) for y in program(x))
    for rows in (1, 2, 4):
        some, some_head = (np.asarray(y) for y in program(x[:rows]))
        np.testing.assert_array_equal(some, whole[:rows])
        np.testing.assert_array_equal(some_head, head[:rows])
    for length in (1, 2, 16, 33):
        some, _ = (np.asarray(y) for y in program(x[:, :length]))
        np.testing.assert_array_equal(some, whole[:, :length])
    with ag.no_grad():
        near = [y.numpy() for y in model(ag.from_numpy(x))]
    np.testing.assert_allclose(whole, near[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(head, near[1], rtol=1e-5, atol=1e-5)
    assert not np.array_equal(whole, near[0]), "the unit has other roundings, so it was used"
    with ag.settings.using(matrix_unit=False):
        plain, _ = (np.asarray(y) for y in ag.export.load(path)(x))
    np.testing.assert_array_equal(plain, near[0])


class Columns(nn.Module):
    """Products of rows that are columns of the input, or are made of parts of several rows."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(512, 512), nn.Linear(512, 512)

    def forward(self, x: ag.Tensor) -> tuple[ag.Tensor, ...]:
        y = self.first(x.transpose(1, 2))
        heads = x.reshape(x.shape[0], 8, 64, -1).permute(0, 3, 1, 2)  # (rows, length, 8, 64)
        return y, y.transpose(1, 2), self.second(heads.permute(0, 1, 3, 2).flatten(2))


@pytest.mark.skipif(not host_target().matrix_unit, reason="this machine has no AMX")
def test_rows_that_are_columns_have_the_same_bits_in_any_batch() -> None:
    ag.manual_seed(0)
    shapes = ({0: ag.Dim("rows"), 2: ag.Dim("length")},)
    model = Columns().eval()
    program = ag.export.export(model, (ag.randn(2, 512, 20),), dynamic_shapes=shapes)
    x = np.random.default_rng(0).standard_normal((5, 512, 37)).astype(np.float32)
    for length in (1, 2, 37):
        part = np.ascontiguousarray(x[..., :length])
        whole = [np.asarray(y) for y in program(part)]
        with ag.no_grad():
            near = model(ag.from_numpy(part))
        for y, other in zip(whole, near, strict=True):
            np.testing.assert_allclose(y, other.numpy(), rtol=1e-5, atol=1e-5)
        for rows in (1, 2, 4):
            for some, y in zip(program(part[:rows]), whole, strict=True):
                np.testing.assert_array_equal(np.asarray(some), y[:rows])


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize(("rule", "right"), [("mk,kn->mn", (32,)), ("mk,pkn->mpn", (3, 32))])
def test_32_columns_of_other_operands_are_not_for_the_unit(
    rule: str, right: tuple[int, ...], dynamic: bool
) -> None:
    def product(x: ag.Tensor, w: ag.Tensor) -> ag.Tensor:
        return ag.einsum(rule, x, w)

    run = ag.compile(product, dynamic=dynamic)
    for k in (300, 301, 1, 0):
        ag.manual_seed(k)
        x, w = ag.randn(5, k), ag.randn(*right[:-1], k, right[-1])
        np.testing.assert_array_equal(run(x, w).numpy(), product(x, w).numpy())
