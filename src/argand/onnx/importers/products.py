"""Products of matrices."""

from __future__ import annotations

from typing import Any

from argand.onnx.registry import importer
from argand.onnx.values import ag
from argand.tensor.core import Tensor


@importer("MatMul")
def _matmul(a: Tensor, b: Tensor) -> Any:
    return ag.matmul(a, b)


@importer("Gemm")
def _gemm(
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Any:
    product = ag.matmul(a.T if transA else a, b.T if transB else b)
    if alpha != 1.0:
        product = product * alpha
    if c is None:
        return product
    return product + (c if beta == 1.0 else c * beta)


@importer("Einsum")
def _einsum(*operands: Tensor, equation: str) -> Any:
    return ag.einsum(equation.replace(" ", ""), *operands)


@importer("Det")
def _det(x: Tensor) -> Any:
    return ag.linalg.det(x)
