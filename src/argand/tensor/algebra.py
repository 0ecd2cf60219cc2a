"""Products of tensors, and linear algebra. Most are also Tensor methods."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

from argand.base.dtype import promote_types
from argand.base.errors import ArgumentError, DTypeError, ShapeError
from argand.base.shape import normalize_dim
from argand.ir import bind as crossroads
from argand.ir.elementwise import rounded_once
from argand.ir.op import describe, ops
from argand.tensor.arranging import roll
from argand.tensor.formulas import eye
from argand.tensor.reducing import norm
from argand.tensor.regions import diagonal_of


def _ranks(name: str, *wanted: tuple[Any, int]) -> None:
    for x, rank in wanted:
        if x.ndim != rank:
            shapes = describe(*[x for x, _ in wanted])
            raise ShapeError(f"{name}: expected a tensor of {rank} dimensions, got {shapes}")


def mm(input: Any, mat2: Any) -> Any:
    """input @ mat2: (M, K) times (K, N) gives (M, N), without broadcasting; see `matmul`.

    Raises ShapeError for operands that aren't matrices, or don't fit.

    >>> ag.mm(ag.tensor([[1.0, 2.0], [3.0, 4.0]]), ag.tensor([[1.0], [10.0]]))
    tensor([[21.],
            [43.]])
    """
    _ranks("mm", (input, 2), (mat2, 2))
    return ops.matmul(input, mat2)


def bmm(input: Any, mat2: Any) -> Any:
    """input[b] @ mat2[b] for every b: (B, M, K) times (B, K, N) gives (B, M, N); see `matmul`.

    Raises ShapeError for operands that don't have three dimensions, or don't fit.

    >>> ag.bmm(ag.ones(10, 3, 4), ag.ones(10, 4, 5)).shape
    argand.Size([10, 3, 5])
    """
    _ranks("bmm", (input, 3), (mat2, 3))
    return ops.matmul(input, mat2)


def mv(input: Any, vec: Any) -> Any:
    """sum over k of input[i, k] * vec[k]: (M, K) times (K,) gives (M,); see `matmul`.

    >>> ag.mv(ag.tensor([[1.0, 2.0], [3.0, 4.0]]), ag.tensor([1.0, 10.0]))
    tensor([21., 43.])
    """
    _ranks("mv", (input, 2), (vec, 1))
    return ops.matmul(input, vec)


def dot(input: Any, tensor: Any) -> Any:
    """sum over i of input[i] * tensor[i], the scalar product of two vectors (N,), as a 0-d tensor.

    >>> ag.dot(ag.tensor([1.0, 2.0]), ag.tensor([3.0, 4.0]))
    tensor(11.)
    """
    _ranks("dot", (input, 1), (tensor, 1))
    return ops.matmul(input, tensor)


def inner(input: Any, other: Any) -> Any:
    """The sum of products over the last dimension of both: (..., K) and (***, K) give (..., ***).

    A 0-d operand is multiplied. Follows `torch.inner`.

    >>> ag.inner(ag.tensor([[1.0, 2.0], [3.0, 4.0]]), ag.tensor([1.0, 10.0]))
    tensor([21., 43.])
    """
    if not input.ndim or not other.ndim:
        return ops.mul(input, other)
    if input.ndim == other.ndim == 1:
        with crossroads.uncast():  # a scalar product, to autocast
            return tensordot(input, other, ([-1], [-1]))
    return tensordot(input, other, ([-1], [-1]))


def vdot(input: Any, other: Any) -> Any:
    """sum over i of conj(input[i]) * other[i], of two vectors (N,), as a 0-d tensor.

    >>> ag.vdot(ag.tensor([1 + 1j]), ag.tensor([1 + 1j]))
    tensor(2.+0.j)
    """
    return dot(ops.conj(input) if input.dtype.is_complex else input, other)


def outer(input: Any, vec2: Any) -> Any:
    """y[i, j] = input[i] * vec2[j]: vectors (N,) and (M,) give a matrix (N, M).

    >>> ag.outer(ag.tensor([1.0, 2.0]), ag.tensor([3.0, 4.0, 5.0]))
    tensor([[ 3.,  4.,  5.],
            [ 6.,  8., 10.]])
    """
    _ranks("outer", (input, 1), (vec2, 1))
    return ops.mul(ops.reshape(input, (input.shape[0], 1)), vec2)


def _sum_of(input: Any, product: Any, beta: Any, alpha: Any) -> Any:
    """beta * input + alpha * product; beside integers both factors lose their fractions."""
    if not (input.dtype.is_inexact or product.dtype.is_inexact):
        beta, alpha = int(beta), int(alpha)
    if beta == 0:
        return product if alpha == 1 else ops.mul(product, alpha)

    def total(input: Any, product: Any) -> Any:
        left = input if beta == 1 else ops.mul(input, beta)
        return ops.add(left, product if alpha == 1 else ops.mul(product, alpha))

    return rounded_once(total, input, product)


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * (mat1 @ mat2); `input` broadcasts to the product, (N, M).

    With beta = 0 `input` is ignored, NaN and all. Follows `torch.addmm`.

    >>> ag.addmm(ag.tensor([1.0, 2.0]), ag.ones(2, 3), ag.ones(3, 2), beta=10)
    tensor([[13., 23.],
            [13., 23.]])
    """
    return _sum_of(input, mm(mat1, mat2), beta, alpha)


def addmv(input: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * (mat @ vec); `input` broadcasts to the product, (N,).

    With beta = 0 `input` is ignored, NaN and all.

    >>> ag.addmv(ag.tensor([1.0, 2.0]), ag.ones(2, 3), ag.ones(3), alpha=2)
    tensor([7., 8.])
    """
    return _sum_of(input, mv(mat, vec), beta, alpha)


def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * sum over b of batch1[b] @ batch2[b]; `input` broadcasts to (N, M).

    With beta = 0 `input` is ignored, NaN and all.

    >>> ag.addbmm(ag.zeros(1), ag.ones(10, 1, 3), ag.ones(10, 3, 2))
    tensor([[30., 30.]])
    """
    _ranks("addbmm", (batch1, 3), (batch2, 3))
    if batch1.shape[0] != batch2.shape[0] or batch1.shape[2] != batch2.shape[1]:
        raise ShapeError(f"addbmm: {describe(batch1, batch2)}: expected (B, N, K) and (B, K, M)")
    inner, (_, rows, _), columns = batch1.shape[0] * batch1.shape[2], batch1.shape, batch2.shape[2]
    left = ops.reshape(ops.permute(batch1, (1, 0, 2)), (rows, inner))
    product = ops.matmul(left, ops.reshape(batch2, (inner, columns)))
    return _sum_of(input, product, beta, alpha)


def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * (batch1 @ batch2), matrix by matrix; `input` broadcasts to (B, N, M).

    With beta = 0 `input` is ignored, NaN and all.

    >>> ag.baddbmm(ag.ones(1), ag.ones(10, 4, 3), ag.ones(10, 3, 2), alpha=0.5).shape
    argand.Size([10, 4, 2])
    """
    return _sum_of(input, bmm(batch1, batch2), beta, alpha)


def addr(input: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * outer(vec1, vec2); `input` broadcasts to (N, M).

    With beta = 0 `input` is ignored, NaN and all.

    >>> ag.addr(ag.zeros(2, 2), ag.tensor([1.0, 2.0]), ag.tensor([3.0, 4.0]), alpha=10)
    tensor([[30., 40.],
            [60., 80.]])
    """
    product = outer(vec1, vec2)
    if not (input.dtype.is_inexact or product.dtype.is_inexact):
        for name, factor in (("beta", beta), ("alpha", alpha)):
            if isinstance(factor, float):
                raise ArgumentError(f"addr: {name} of integers must be an integer, got {factor}")
    found = _sum_of(input, product, beta, alpha)
    both = input.dtype.kind == product.dtype.kind == "b"
    return ops.cast(found, input.dtype) if both else found


def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """Sums of products over the last `dims` dimensions of `a` and the first `dims` of `b`.

    Or over two lists of dimensions, ``(of a, of b)``, paired in order. What is left of `a` comes
    first in the result, then what is left of `b`. A size of 1 broadcasts to the other of its pair;
    ShapeError where they differ otherwise.    Follows `torch.tensordot`.

    >>> ag.tensordot(ag.ones(2, 3, 4), ag.ones(4, 3, 5), dims=([1, 2], [1, 0])).shape
    argand.Size([2, 5])
    """
    if isinstance(dims, int):
        left = list(range(a.ndim - dims, a.ndim))
        right = list(range(dims))
    else:
        left = [normalize_dim(d, a.ndim, "tensordot") for d in dims[0]]
        right = [normalize_dim(d, b.ndim, "tensordot") for d in dims[1]]
    if len(left) != len(right):
        raise ArgumentError(f"tensordot: {len(left)} and {len(right)} dimensions can't be paired")
    for i, j in zip(left, right, strict=True):
        if a.shape[i] == 1:
            b = ops.cast(ops.sum(b, j, keepdim=True), b.dtype)
        elif b.shape[j] == 1:
            a = ops.cast(ops.sum(a, i, keepdim=True), a.dtype)
        elif a.shape[i] != b.shape[j]:
            raise ShapeError(f"tensordot: {describe(a, b)}: sizes of dims {i} and {j} differ")
    kept_a = [d for d in range(a.ndim) if d not in left]
    kept_b = [d for d in range(b.ndim) if d not in right]
    shape = tuple(a.shape[d] for d in kept_a) + tuple(b.shape[d] for d in kept_b)
    inner_size = _product([a.shape[d] for d in left])
    rows = ops.reshape(
        ops.permute(a, (*kept_a, *left)), (_product([a.shape[d] for d in kept_a]), inner_size)
    )
    columns = ops.reshape(
        ops.permute(b, (*right, *kept_b)), (inner_size, _product([b.shape[d] for d in kept_b]))
    )
    return ops.reshape(ops.matmul(rows, columns), shape)


def _product(sizes: list[Any]) -> Any:
    total: Any = 1
    for s in sizes:
        total = total * s
    return total


# -- einsum ----------------------------------------------------------------------------------------


def einsum(equation: str, *operands: Any) -> Any:
    """Sums of products over labelled dimensions, as Einstein wrote them.

    Labels left of ``->`` that are missing on its right are summed over. A label is a letter; one
    that an operand repeats is its diagonal, ``...`` stands for dimensions that broadcast. Without
    ``->`` the result has the labels that occur once, in alphabetical order. Operands, given one by
    one or as a list, are joined from left to right. Raises ShapeError where sizes of one label
    differ. Follows `torch.einsum`.

    >>> ag.einsum("ij,jk->ik", ag.ones(2, 3), ag.ones(3, 1))
    tensor([[3.],
            [3.]])
    >>> ag.einsum("ii", ag.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) == len(operands) > 1 and len({x.dtype for x in operands}) > 1:
        operands = _of_one_dtype(terms, right if arrow else None, operands)
    if len(terms) != len(operands) or all(len(set(t)) == len(t) for t in map(_letters, terms)):
        return ops.einsum(equation, *operands)
    if not arrow:
        once = sorted(c for c in set(left) - {",", "."} if left.count(c) == 1)
        right = "..." * ("..." in left) + "".join(once)
    pairs = [_on_diagonal(x, t) for x, t in zip(operands, terms, strict=True)]
    labels = ",".join(t for _, t in pairs)
    return ops.einsum(f"{labels}->{right}", *[x for x, _ in pairs])


def _of_one_dtype(terms: list[str], kept: str | None, operands: Any) -> Any:
    """The operands in their common dtype where none is multiplied with another along a dimension
    that is summed over: PyTorch multiplies them element by element there, else as matrices."""
    sizes: dict[str, int] = {}
    for term, x in zip(terms, operands, strict=True):
        labels = dict(zip(term, x.shape, strict=True)) if "..." not in term else {}
        for label in set(labels):
            sizes[label] = sizes.get(label, 0) + bool(labels[label] != 1)
    text = ",".join(terms)
    summed = [c for c in sizes if (text.count(c) > 1 if kept is None else c not in kept)]
    if "..." in text or any(sizes[c] > 1 for c in summed):
        return operands
    wide = functools.reduce(promote_types, (x.dtype for x in operands))
    return tuple(ops.cast(x, wide) for x in operands)


def _letters(term: str) -> str:
    return term.replace(".", "")


def _on_diagonal(x: Any, labels: str) -> tuple[Any, str]:
    """An operand with its repeated labels reduced to their diagonal."""
    front, dots, back = labels.partition("...")
    between = x.ndim - len(front) - len(back) if dots else 0
    each = [*front, *[dots] * between, *back]  # a label for each dimension
    for c in dict.fromkeys(front + back):
        while each.count(c) > 1:
            i = each.index(c)
            j = each.index(c, i + 1)
            x = diagonal_of(x, 0, i, j)
            each = [*each[:i], *each[i + 1 : j], *each[j + 1 :], c]
    if dots and not between:
        return x, "".join(each) + dots
    return x, "".join(c for d, c in enumerate(each) if c != dots or each[d - 1 : d] != [dots])


# -- geometry --------------------------------------------------------------------------------------


def cross(input: Any, other: Any, dim: int | None = None) -> Any:
    """The vector product: at right angles to both, along a dimension of size 3.

    `dim` is the first dimension of size 3 unless given; the others broadcast. Raises ShapeError for
    another size. Follows `torch.cross`.

    >>> ag.cross(ag.tensor([1.0, 0.0, 0.0]), ag.tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """
    if input.ndim != other.ndim:
        raise ShapeError(f"cross: {describe(input, other)}: ranks must agree")
    if dim is None:
        dim = next((d for d, size in enumerate(input.shape) if size == 3), -1)
    d = normalize_dim(dim, input.ndim, "cross")
    if input.shape[d] != 3 or other.shape[d] != 3:
        raise ShapeError(f"cross: {describe(input, other)}: dimension {d} must have size 3")
    ahead = ops.mul(roll(input, -1, d), roll(other, -2, d))
    return ops.sub(ahead, ops.mul(roll(input, -2, d), roll(other, -1, d)))


_MODES = (
    "use_mm_for_euclid_dist_if_necessary",
    "use_mm_for_euclid_dist",
    "donot_use_mm_for_euclid_dist",
)


def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: str | None = None) -> Any:
    """y[..., i, j] = the p-norm of x1[..., i, :] - x2[..., j, :]: distances of two sets of points.

    (..., P, M) and (..., R, M) give (..., P, R); leading dimensions broadcast. The gradient at
    equal points is 0. `compute_mode` allows PyTorch products of matrices, which are less exact;
    here no mode uses them. Follows `torch.cdist`.

    >>> ag.cdist(ag.tensor([[0.0, 0.0], [3.0, 4.0]]), ag.tensor([[0.0, 0.0], [0.0, 4.0]]))
    tensor([[0., 4.],
            [5., 3.]])
    """
    if compute_mode is not None and compute_mode not in _MODES:
        raise ArgumentError(f"cdist: compute_mode must be one of {_MODES}, got {compute_mode!r}")
    if x1.ndim < 2 or x2.ndim < 2 or x1.shape[-1] != x2.shape[-1]:
        raise ShapeError(f"cdist: {describe(x1, x2)}: expected (..., P, M) and (..., R, M)")
    if p < 0:
        raise ArgumentError(f"cdist: p must be at least 0, got {p}")
    a = ops.reshape(x1, (*tuple(x1.shape[:-1]), 1, x1.shape[-1]))
    b = ops.reshape(x2, (*tuple(x2.shape[:-2]), 1, *tuple(x2.shape[-2:])))
    return norm(ops.sub(a, b), p, -1)


def chain_matmul(*matrices: Any) -> Any:
    """matrices[0] @ matrices[1] @ ..., in the order of the fewest multiplications.

    >>> ag.chain_matmul(ag.ones(2, 3), ag.ones(3, 4), ag.ones(4, 1))
    tensor([[12.],
            [12.]])
    """
    _ranks("chain_matmul", *((m, 2) for m in matrices))
    for left, right in itertools.pairwise(matrices):
        if left.shape[1] != right.shape[0] or left.dtype is not right.dtype:
            raise ShapeError(f"chain_matmul: {describe(*matrices)}: sizes and dtypes must fit")
    return _joined(matrices, *_cheapest([m.shape[0] for m in matrices] + [matrices[-1].shape[1]]))


Parts = dict[tuple[int, int], int]


def _cheapest(sizes: list[Any]) -> tuple[Parts, int, int]:
    """Where to part each run of a product of matrices of these sizes, so that least is done."""
    count = len(sizes) - 1
    cost: dict[tuple[int, int], Any] = {(i, i): 0 for i in range(count)}
    parts: Parts = {}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            costs = [
                cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1]
                for k in range(i, j)
            ]
            cost[i, j] = min(costs)
            parts[i, j] = i + costs.index(cost[i, j])
    return parts, 0, count - 1


def _joined(matrices: Sequence[Any], parts: Parts, i: int, j: int) -> Any:
    """The product of the matrices i to j."""
    if i == j:
        return matrices[i]
    k = parts[i, j]
    return ops.matmul(_joined(matrices, parts, i, k), _joined(matrices, parts, k + 1, j))


def multi_dot(tensors: Any) -> Any:
    """tensors[0] @ tensors[1] @ ..., in the order of the fewest multiplications.

    All are matrices; the first may be a row and the last a column, as vectors. Follows
    `torch.linalg.multi_dot`.

    >>> ag.linalg.multi_dot([ag.ones(2, 3), ag.ones(3, 4), ag.ones(4)])
    tensor([12., 12.])
    """
    tensors = list(tensors)
    if len(tensors) < 2:
        raise ShapeError(f"multi_dot: expected at least 2 tensors, got {len(tensors)}")
    first, last = tensors[0], tensors[-1]
    if first.ndim not in (1, 2) or last.ndim not in (1, 2):
        raise ShapeError(
            f"multi_dot: {describe(*tensors)}: expected vectors or matrices at the ends"
        )
    tensors[0] = first[None] if first.ndim == 1 else first
    tensors[-1] = last[:, None] if last.ndim == 1 else last
    found = chain_matmul(*tensors)
    found = found[:, 0] if last.ndim == 1 else found
    return found[0] if first.ndim == 1 else found


def vecdot(x: Any, y: Any, *, dim: int = -1) -> Any:
    """The sum of conj(x) * y along `dim`; the shapes broadcast. Follows `torch.linalg.vecdot`.

    >>> ag.linalg.vecdot(ag.tensor([[1.0, 2.0], [3.0, 4.0]]), ag.tensor([1.0, 10.0]))
    tensor([21., 43.])
    """
    if not x.dtype.is_inexact:
        raise DTypeError(f"vecdot: not defined for {x.dtype.name}; convert with .float()")
    if x.dtype is not y.dtype:
        raise DTypeError(f"vecdot: {describe(x, y)}: expected one dtype")
    return ops.sum(ops.mul(ops.conj(x), y), dim)


def matrix_power(input: Any, n: int) -> Any:
    """The product of `n` copies of a square matrix (..., M, M), by repeated squaring.

    n = 0 gives the identity, a negative n powers of the inverse; LinAlgError where that doesn't
    exist. Follows `torch.linalg.matrix_power`.

    >>> ag.matrix_power(ag.tensor([[1.0, 1.0], [1.0, 0.0]]), 10)
    tensor([[89., 55.],
            [55., 34.]])
    """
    if n < 0:
        return matrix_power(ops.linalg_inv(input), -n)
    out, power = None, input
    while n:
        if n & 1:
            out = power if out is None else ops.matmul(out, power)
        power, n = ops.matmul(power, power) if n > 1 else power, n >> 1
    if out is None:
        return ops.add(ops.mul(input, 0), eye(int(input.shape[-1]), dtype=input.dtype))
    return out
