"""Products of matrices."""

from __future__ import annotations

import string
from typing import Any

from argand.onnx.registry import importer
from argand.onnx.values import ag
from argand.tensor.core import Tensor


@importer("MatMul")
def _matmul(a: Tensor, b: Tensor) -> Any:
    return ag.matmul(a, b)


@importer("Gemm", since=7)
def gemm(
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Any:
    """alpha * a @ b + beta * c."""
    product = ag.matmul(a.T if transA else a, b.T if transB else b)
    if alpha != 1.0:
        product = product * alpha
    if c is None:
        return product
    return product + (c if beta == 1.0 else c * beta)


@importer("Gemm", since=1)
def _old_gemm(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    broadcast: int = 0,
    transA: int = 0,
    transB: int = 0,
) -> Any:
    return gemm(a, b, c, alpha=alpha, beta=beta, transA=transA, transB=transB)


@importer("Einsum")
def _einsum(*operands: Tensor, equation: str) -> Any:
    return ag.einsum(_spelled_out(equation.replace(" ", ""), [x.ndim for x in operands]), *operands)


def _spelled_out(equation: str, ranks: list[int]) -> str:
    """With letters in place of the dots, so that labels beside them may be repeated."""
    if "..." not in equation:
        return equation
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    free = [c for c in string.ascii_letters if c not in equation]
    most = max(
        rank - len(term.replace("...", ""))
        for term, rank in zip(terms, ranks, strict=True)
        if "..." in term
    )
    dots = "".join(free[:most])
    parts = []
    for term, rank in zip(terms, ranks, strict=True):
        here = rank - len(term.replace("...", ""))
        parts.append(term.replace("...", dots[most - here :] if here else ""))
    if not arrow:
        labels = left.replace("...", "").replace(",", "")
        right = dots + "".join(sorted(c for c in set(labels) if labels.count(c) == 1))
    return ",".join(parts) + "->" + right.replace("...", dots)


@importer("Det")
def _det(x: Tensor) -> Any:
    return ag.linalg.det(x)
