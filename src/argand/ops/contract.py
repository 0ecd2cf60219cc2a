"""Contractions: matrix products and einsum of two operands."""

from __future__ import annotations

from string import ascii_lowercase, ascii_uppercase
from typing import Any

import numpy as np

from argand.base.dim import Extent, same
from argand.base.errors import DTypeError, ShapeError
from argand.base.shape import broadcast_shapes, numel, same_shape, shape_text
from argand.ir.contract import Contract
from argand.ir.elementwise import lifted
from argand.ir.families import Composite
from argand.ir.op import describe, ops
from argand.ir.samples import ErrorSample, Sample, T
from argand.ops.move import is_one

_LETTERS = ascii_lowercase + ascii_uppercase


class Matmul(Contract):
    """Matrix product y[..., i, j] = sum over k of a[..., i, k] * b[..., k, j].

    (..., M, K) times (..., K, N) gives (..., M, N); leading dimensions broadcast. A 1-d operand is
    a row (on the left) or a column (on the right) that vanishes from the result, so two vectors
    give their scalar product. Raises ShapeError where the inner sizes differ or an operand is 0-d,
    and DTypeError where the dtypes differ or are boolean. Follows `torch.matmul`.

    In programs both operands have the same leading dimensions, and a stack of matrices times one
    (K, N) matrix is a single product whose rows are folded together.

    >>> ag.matmul(ag.tensor([[1.0, 2.0], [3.0, 4.0]]), ag.tensor([1.0, 10.0]))
    tensor([21., 43.])
    >>> (ag.ones(5, 1, 2, 3) @ ag.ones(4, 3, 6)).shape
    argand.Size([5, 4, 2, 6])
    """

    samples = (
        Sample(T((3, 4)), T((4, 5))),
        Sample(T((4,)), T((4,))),
        Sample(T((4,)), T((4, 5))),
        Sample(T((3, 4)), T((4,))),
        Sample(T((2, 3, 4)), T((4, 5))),
        Sample(T((2, 3, 4)), T((4,))),
        Sample(T((4,)), T((2, 4, 3))),
        Sample(T((2, 3, 4)), T((2, 4, 5))),
        Sample(T((2, 1, 3, 4)), T((3, 4, 2))),
        Sample(T((1, 1)), T((1, 1))),
        Sample(T((2, 0)), T((0, 3))),
        Sample(T((0, 2)), T((2, 3))),
        Sample(T((33, 65)), T((65, 17))),
    )
    error_samples = (
        ErrorSample(
            RuntimeError,
            "matmul: f32(2, 3) and f32(4, 5): the inner sizes 3 and 4 differ",
            T((2, 3), dtype="float32"),
            T((4, 5), dtype="float32"),
        ),
        ErrorSample(RuntimeError, "matmul: f32() and f32(2,): both", T(()), T((2,))),
        ErrorSample(RuntimeError, "shapes (2,) and (3,)", T((2, 3, 4)), T((3, 4, 5))),
        ErrorSample(
            TypeError, "must have one dtype", T((2, 2), dtype="float32"), T((2, 2), dtype="float64")
        ),
    )
    dtypes = ("float32", "float64", "int64")
    tolerance = {"float32": 2e-5}

    def apply(self, a: Any, b: Any) -> Any:
        a, b = lifted(a), lifted(b)
        _check_operands(self.name, a, b, -1 if len(b.shape) == 1 else -2)
        if len(b.shape) == 1:
            column = ops.reshape(b, (b.shape[0], 1))
            return ops.reshape(self(a, column), a.shape[:-1])
        if len(a.shape) == 1:
            row = ops.reshape(a, (1, a.shape[0]))
            return ops.reshape(self(row, b), (*b.shape[:-2], b.shape[-1]))
        if len(b.shape) == 2 and len(a.shape) > 2:
            rows = ops.reshape(a, (numel(a.shape[:-1]), a.shape[-1]))
            return ops.reshape(self(rows, b), (*a.shape[:-1], b.shape[-1]))
        return super().apply(a, b)

    def prepare(self, a: Any, b: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        batch = broadcast_shapes(a.shape[:-2], b.shape[:-2], op=self.name)
        return (_batched(a, batch), _batched(b, batch)), {}

    def labels(lhs: Any, rhs: Any, params: Any) -> tuple[str, str, str]:
        batch = _LETTERS[: len(lhs.shape) - 2]
        return batch + "MK", batch + "KN", batch + "MN"

    def run(self, *arrays: Any, **params: Any) -> Any:
        a, b = arrays
        if a.dtype.itemsize == 2 and a.dtype.kind not in "ui":
            return np.matmul(a.astype(np.float32), b.astype(np.float32)).astype(a.dtype)
        return np.matmul(a, b)

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        return g.op("MatMul", *inputs)

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        return self.adjoint_for((True, True), grads, inputs, outputs, params)

    def adjoint_for(
        self, wants: Any, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]
    ) -> Any:
        (g,), (a, b) = grads, inputs
        return [
            ops.matmul(g, _conjugate_transpose(b)) if wants[0] else None,
            ops.matmul(_conjugate_transpose(a), g) if wants[1] else None,
        ]

    def saves_for(self, wants: Any, params: dict[str, Any]) -> Any:
        return [i for i in (0, 1) if wants[1 - i]], ()


class Linear(Composite):
    """y = x @ weight.T + bias, for x (..., K), a weight (N, K) and a bias (N,).

    A weight (K,) gives (...). Raises ShapeError where the sizes K differ. In eager code it is one
    kernel and one gradient node; a program holds its matrix product and its sum.
    """

    samples = (
        Sample(T((3, 4)), T((5, 4)), T((5,))),
        Sample(T((3, 4)), T((5, 4))),
        Sample(T((2, 3, 4)), T((5, 4)), T((5,))),
        Sample(T((4,)), T((5, 4)), T((5,))),
        Sample(T((3, 4)), T((4,)), T(())),
        Sample(T((3, 4)), T((5, 4)), T((3, 1))),
        Sample(T((1, 1)), T((1, 1)), T((1,))),
        Sample(T((0, 4)), T((5, 4)), T((5,))),
        Sample(T((2, 0)), T((3, 0)), T((3,))),
    )
    error_samples = (
        ErrorSample(
            RuntimeError,
            "linear: f32(2, 3) and f32(5, 4): the inner sizes 3 and 4 differ",
            T((2, 3), dtype="float32"),
            T((5, 4), dtype="float32"),
        ),
        ErrorSample(RuntimeError, "linear: f32() and f32(2, 2): both", T(()), T((2, 2))),
        ErrorSample(
            TypeError, "must have one dtype", T((2, 2), dtype="float32"), T((2, 2), dtype="float64")
        ),
    )
    dtypes = ("float32", "float64", "int64")
    tolerance = {"float32": 2e-5}
    opens = True

    def apply(self, x: Any, weight: Any, bias: Any = None) -> Any:
        x, weight = lifted(x), lifted(weight)
        _check_operands(self.name, x, weight, -1)
        added = () if bias is None else (lifted(bias),)
        if len(weight.shape) == 2 and all(_is_row_of(b, weight) for b in added):
            return super().apply(x, weight, *added)
        y = ops.matmul(x, _transposed(weight))
        return ops.add(y, bias) if added else y

    def body(x: Any, weight: Any, *bias: Any) -> Any:
        y = ops.matmul(x, _transposed(weight))
        return ops.add(y, bias[0]) if bias else y

    def adjoint(self, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]) -> Any:
        return self.adjoint_for((True,) * len(inputs), grads, inputs, outputs, params)

    def adjoint_for(
        self, wants: Any, grads: Any, inputs: Any, outputs: Any, params: dict[str, Any]
    ) -> Any:
        (g,), (x, weight, *_) = grads, inputs
        found: list[Any] = [None] * len(wants)
        if wants[0]:
            found[0] = ops.matmul(g, _conjugate(weight))
        if wants[1]:
            found[1] = ops.matmul(_transposed(_rows(g)), _conjugate(_rows(x)))
        if len(wants) == 3 and wants[2]:
            lead = tuple(range(len(g.shape) - 1))
            found[2] = ops.sum(g, lead) if lead else g
        return found

    def saves_for(self, wants: Any, params: dict[str, Any]) -> Any:
        return [i for i in (0, 1) if wants[1 - i]], ()


def _is_row_of(bias: Any, weight: Any) -> bool:
    """Whether a bias has the dtype of a weight and an element for each of its rows."""
    return bias.dtype is weight.dtype and same_shape(bias.shape, weight.shape[:1])


def _rows(x: Any) -> Any:
    """A tensor (..., N) as a matrix."""
    return x if len(x.shape) == 2 else ops.reshape(x, (numel(x.shape[:-1]), x.shape[-1]))


def _transposed(x: Any) -> Any:
    """The transpose of a matrix, a vector as it is."""
    return x if len(x.shape) < 2 else ops.permute(x, (1, 0))


def _conjugate(x: Any) -> Any:
    return ops.conj(x) if x.dtype.is_complex else x


def _check_operands(op: str, a: Any, b: Any, inner_of_b: int) -> None:
    if not len(a.shape) or not len(b.shape):
        raise ShapeError(f"{op}: {describe(a, b)}: both must have at least 1 dimension")
    if a.dtype is not b.dtype:
        raise DTypeError(f"{op}: {describe(a, b)}: both must have one dtype; cast one of them")
    if a.dtype.kind == "b":
        raise DTypeError(f"{op}: not defined for bool")
    inner, other = a.shape[-1], b.shape[inner_of_b]
    if not same(inner, other) and inner != other:
        raise ShapeError(f"{op}: {describe(a, b)}: the inner sizes {inner} and {other} differ")


def _batched(x: Any, batch: tuple[Extent, ...]) -> Any:
    shape = (*batch, *x.shape[-2:])
    return x if same_shape(x.shape, shape) else ops.expand(x, shape)


def _conjugate_transpose(x: Any) -> Any:
    rank = len(x.shape)
    y = ops.permute(x, (*range(rank - 2), rank - 1, rank - 2))
    return ops.conj(y) if x.dtype.is_complex else y


class Einsum(Contract):
    """Sums of products by Einstein's convention: ``einsum("bij,bjk->bik", a, b)``.

    As `torch.einsum`, without repeated labels in one operand. An ellipsis means broadcast
    dimensions; without ``->`` the result has the labels that occur once, in order. More than two
    operands are contracted from left to right.
    """

    samples = (
        Sample("ij,jk->ik", T((3, 4)), T((4, 5))),
        Sample("bij,bjk->bik", T((2, 3, 4)), T((2, 4, 5))),
        Sample("bhid,bhjd->bhij", T((2, 2, 3, 4)), T((2, 2, 5, 4))),
        Sample("ij,kj", T((3, 4)), T((5, 4))),
        Sample("i,j->ji", T((3,)), T((4,))),
        Sample("ij,ij->", T((3, 4)), T((3, 4))),
        Sample("ijk,kl->i", T((2, 3, 4)), T((4, 5))),
        Sample("...ij,jk->...ik", T((2, 3, 4)), T((4, 5))),
        Sample("ij->ji", T((3, 4))),
        Sample("i,i->", T((0,)), T((0,))),
        Sample("ij,jk,kl->il", T((2, 3)), T((3, 4)), T((4, 2))),
    )
    error_samples = (
        ErrorSample(
            RuntimeError,
            "einsum: f32(2, 3) and f32(4, 5): label 'j' has the sizes 3 and 4",
            "ij,jk->ik",
            T((2, 3), dtype="float32"),
            T((4, 5), dtype="float32"),
        ),
        ErrorSample(RuntimeError, "has 1 labels for 2 dimensions", "i,jk", T((2, 3)), T((4, 5))),
        ErrorSample(RuntimeError, "names 2 operands, got 1", "ij,jk->ik", T((2, 3))),
        ErrorSample(RuntimeError, "label 'q'", "ij,jk->iq", T((2, 3)), T((3, 5))),
        ErrorSample(RuntimeError, "twice in one operand", "ii->i", T((2, 2))),
        ErrorSample(
            TypeError, "not defined for bool", "i,i->", T((2,), dtype="bool"), T((2,), dtype="bool")
        ),
    )
    tolerance = {"float32": 2e-5}

    def apply(self, equation: str, *operands: Any) -> Any:
        if len(operands) == 1 and isinstance(operands[0], list | tuple):
            operands = tuple(operands[0])
        values = [lifted(x) for x in operands]
        terms, result = _parse(equation, values)
        acc, labels = values[0], terms[0]
        for i, (x, term) in enumerate(zip(values[1:], terms[1:], strict=True), 2):
            later = {c for t in terms[i:] for c in t} | set(result)
            acc, labels = self._pair(acc, labels, x, term, result if i == len(terms) else later)
        return _arranged(acc, labels, result)

    def _pair(self, a: Any, la: str, b: Any, lb: str, keep: Any) -> tuple[Any, str]:
        """The product of two operands, with the labels in `keep` left over."""
        _check_sizes(a, la, b, lb)
        a, la = _summed(a, la, lb, keep)
        b, lb = _summed(b, lb, la, keep)
        out = keep if isinstance(keep, str) else "".join(c for c in dict.fromkeys(la + lb))
        out = "".join(c for c in out if c in keep and (c in la or c in lb))
        return super().apply(a, b, equation=f"{la},{lb}->{out}"), out

    def labels(lhs: Any, rhs: Any, params: Any) -> tuple[str, str, str]:
        operands, result = params["equation"].split("->")
        left, right = operands.split(",")
        return left, right, result

    def onnx(self, g: Any, inputs: Any, params: dict[str, Any]) -> Any:
        return g.op("Einsum", *inputs, equation=params["equation"])


def _parse(equation: str, values: list[Any]) -> tuple[list[str], str]:
    """The labels of each operand and of the result, the ellipsis replaced by labels."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(values):
        raise ShapeError(f"einsum: {equation!r} names {len(terms)} operands, got {len(values)}")
    free = [c for c in _LETTERS if c not in text]
    hidden = 0
    for i, (term, x) in enumerate(zip(terms, values, strict=True)):
        rank = len(x.shape) - len(term.replace("...", ""))
        if rank < 0 or (rank and "..." not in term):
            named = len(term.replace("...", ""))
            raise ShapeError(
                f"einsum: {term!r} has {named} labels for {len(x.shape)} dimensions of "
                f"shape {shape_text(x.shape)}"
            )
        if "..." in term:
            hidden = max(hidden, rank)
            terms[i] = term.replace("...", "".join(free[:rank][::-1]))
        if len(set(terms[i])) != len(terms[i]):
            raise ShapeError(f"einsum: a label is twice in one operand of {equation!r}")
    rest = "".join(free[:hidden][::-1])
    if not arrow:
        every = "".join(terms)
        right = rest + "".join(sorted(c for c in set(every) - set(rest) if every.count(c) == 1))
    result = right.replace("...", rest)
    for c in result:
        if not any(c in t for t in terms) or result.count(c) > 1:
            raise ShapeError(
                f"einsum: label {c!r} of the result of {equation!r} is unknown or twice"
            )
    _drop_ones(values, terms)
    return terms, result


def _drop_ones(values: list[Any], terms: list[str]) -> None:
    """Size-1 dimensions whose label is larger elsewhere broadcast: they lose the label."""
    sizes: dict[str, Extent] = {}
    for x, term in zip(values, terms, strict=True):
        sizes |= {c: s for c, s in zip(term, x.shape, strict=True) if not is_one(s)}
    for i, (x, term) in enumerate(zip(values, terms, strict=True)):
        keep = [d for d, c in enumerate(term) if not (is_one(x.shape[d]) and c in sizes)]
        if len(keep) < len(term):
            values[i] = ops.reshape(x, tuple(x.shape[d] for d in keep))
            terms[i] = "".join(term[d] for d in keep)


def _check_sizes(a: Any, la: str, b: Any, lb: str) -> None:
    if a.dtype is not b.dtype:
        raise DTypeError(f"einsum: {describe(a, b)}: both must have one dtype; cast one of them")
    if a.dtype.kind == "b":
        raise DTypeError("einsum: not defined for bool")
    for c in la:
        if c in lb:
            left, right = a.shape[la.index(c)], b.shape[lb.index(c)]
            if not same(left, right) and left != right:
                raise ShapeError(
                    f"einsum: {describe(a, b)}: label {c!r} has the sizes {left} and {right}"
                )


def _summed(x: Any, labels: str, others: str, keep: Any) -> tuple[Any, str]:
    """Sum what occurs in this operand alone, so that a contraction shares every summed label."""
    alone = [d for d, c in enumerate(labels) if c not in others and c not in keep]
    if not alone:
        return x, labels
    rest = "".join(c for d, c in enumerate(labels) if d not in alone)
    return ops.sum(x, alone, dtype=x.dtype), rest


def _arranged(x: Any, labels: str, result: str) -> Any:
    x, labels = _summed(x, labels, "", result)
    order = tuple(labels.index(c) for c in result)
    return x if order == tuple(range(len(order))) else ops.permute(x, order)
