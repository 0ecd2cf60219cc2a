"""Products of all with all, integrals along a dimension, and covariances."""

from __future__ import annotations

import itertools
from typing import Any

from argand.base.dim import is_equal
from argand.base.dtype import bool_, compute_dtype, get_default_dtype, int64, promote_types
from argand.base.errors import ArgumentError, DTypeError, ShapeError
from argand.base.shape import broadcast_shapes, normalize_dim, shape_text
from argand.ir.elementwise import is_number
from argand.ir.op import describe, ops
from argand.tensor.creation import tensor, zeros
from argand.tensor.formulas import meshgrid
from argand.tensor.joining import cat, sliced, stack
from argand.tensor.reducing import cumsum
from argand.tensor.regions import diagonal_of
from argand.tensor.shaping import adjoint


def kron(input: Any, other: Any) -> Any:
    """Kronecker's product: each element of `input` times the whole of `other`, as blocks.

    Sizes (A, B) and (C, D) give (A * C, B * D), and so with more dimensions; the one with fewer
    gets leading ones. Follows `torch.kron`.

    >>> ag.kron(ag.tensor([1, 10]), ag.tensor([1, 2, 3]))
    tensor([ 1,  2,  3, 10, 20, 30])
    """
    rank = max(input.ndim, other.ndim)
    first = (1,) * (rank - input.ndim) + tuple(input.shape)
    second = (1,) * (rank - other.ndim) + tuple(other.shape)
    left = ops.reshape(input, tuple(itertools.chain(*((s, 1) for s in first))))
    right = ops.reshape(other, tuple(itertools.chain(*((1, s) for s in second))))
    sizes = tuple(a * b for a, b in zip(first, second, strict=True))
    return ops.reshape(ops.mul(left, right), sizes)


def block_diag(*tensors: Any) -> Any:
    """A matrix with the given ones along its diagonal, and zeros; of vectors their rows.

    Follows `torch.block_diag`.

    >>> ag.block_diag(ag.tensor([[1, 2]]), ag.tensor(3))
    tensor([[1, 2, 0],
            [0, 0, 3]])
    """
    if not tensors:
        return zeros(1, 0)
    if any(x.ndim > 2 for x in tensors):
        raise ShapeError(f"block_diag: {describe(*tensors)}: expected at most 2 dimensions")
    blocks = [ops.reshape(x, (1,) * (2 - x.ndim) + tuple(x.shape)) for x in tensors]
    width, done = sum(x.shape[1] for x in blocks), 0
    rows: list[Any] = []
    for x in blocks:
        after = width - done - x.shape[1]
        rows.append(ops.pad(x, ((0, 0), (done, after)), 0))
        done += x.shape[1]
    return cat(rows)


def cartesian_prod(*tensors: Any) -> Any:
    """All ways to take one element of each vector, as rows; of a single vector its elements.

    Follows `torch.cartesian_prod`.

    >>> ag.cartesian_prod(ag.tensor([1, 2]), ag.tensor([4, 5]))
    tensor([[1, 4],
            [1, 5],
            [2, 4],
            [2, 5]])
    """
    if any(x.ndim != 1 for x in tensors):
        raise ShapeError(f"cartesian_prod: {describe(*tensors)}: expected vectors")
    if len(tensors) == 1:
        return tensors[0]
    return stack([ops.reshape(x, (-1,)) for x in meshgrid(*tensors)], -1)


def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    """All ways to take `r` elements of a vector (N,) in its order, as rows.

    With `with_replacement` an element may be taken again. Follows `torch.combinations`.

    >>> ag.combinations(ag.tensor([1, 2, 3]))
    tensor([[1, 2],
            [1, 3],
            [2, 3]])
    """
    if input.ndim != 1:
        raise ShapeError(f"combinations: {describe(input)}: expected a vector")
    if r < 0:
        raise ArgumentError(f"combinations: r must be at least 0, got {r}")
    if r == 0:
        return sliced(input, 0, 0, 0)
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    places = list(choose(range(int(input.shape[0])), r))
    if not places:
        return ops.reshape(sliced(input, 0, 0, 0), (0, r))
    return input[tensor(places, dtype=int64)]


def vander(x: Any, N: int | None = None, *, increasing: bool = False) -> Any:
    """y[i, j] = x[i]^(N - 1 - j): Vandermonde's matrix of a vector (M,), shape (M, N).

    With `increasing` y[i, j] = x[i]^j. N is M unless given. Raises ShapeError unless x is a vector,
    ArgumentError for a negative N. Follows `torch.vander`; `linalg.vander` takes batches.

    >>> ag.vander(ag.tensor([1, 2, 3]))
    tensor([[1, 1, 1],
            [4, 2, 1],
            [9, 3, 1]])
    """
    if x.ndim != 1:
        raise ShapeError(f"vander: x must be a vector, got shape {shape_text(x.shape)}")
    count = x.shape[0] if N is None else N
    if count < 0:
        raise ArgumentError(f"vander: N must not be negative, got {count}")
    found = _powers_of(x, count)
    return found if increasing else ops.flip(found, (1,))


def powers_of(name: str, x: Any, count: int) -> Any:
    """y[..., j] = x[...]^j for j = 0, ..., count - 1."""
    if x.dtype is bool_ or compute_dtype(x.dtype) is not x.dtype:
        raise DTypeError(f"{name}: not defined for {x.dtype.name}")
    return _powers_of(x, count)


def _powers_of(x: Any, count: int) -> Any:
    x = x if x.dtype.is_inexact else ops.cast(x, int64)
    if not count:
        return ops.full((*x.shape, 0), 1, x.dtype)
    powers = [ops.full(tuple(x.shape), 1, x.dtype)]
    while len(powers) < count:
        powers.append(ops.mul(powers[-1], x))
    return stack(powers, -1)


# -- integrals -------------------------------------------------------------------------------------


def _strips(name: str, y: Any, x: Any, dx: Any, dim: int) -> Any:
    """The areas between neighbours, by the trapezoidal rule."""
    if x is not None and dx is not None:
        raise ArgumentError(f"{name}: either x or dx, not both")
    if y.dtype.kind == "b" or (x is not None and x.dtype.kind == "b"):
        raise DTypeError(f"{name}: not defined for bool")
    d = normalize_dim(dim, y.ndim, name)
    count = y.shape[d]
    second = 0 if is_equal(count, 0) else 1
    heights = ops.add(sliced(y, d, second, count), sliced(y, d, 0, count - second))
    if x is None:
        return ops.mul(ops.mul(heights, 1 if dx is None else dx), 0.5), d
    if x.ndim == 1 and x.shape[0] == count:
        x = ops.reshape(x, (count,) + (1,) * (y.ndim - d - 1))
        axis = 0
    else:
        axis = d - y.ndim + x.ndim
        if axis < 0 or x.shape[axis] != count:
            raise ShapeError(f"{name}: {describe(y, x)}: expected one x for each y along {d}")
        broadcast_shapes(x.shape, y.shape, op=name)
    widths = ops.sub(sliced(x, axis, second, count), sliced(x, axis, 0, count - second))
    return ops.mul(ops.mul(heights, widths), 0.5), d


def trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """The integral of y along `dim` by the trapezoidal rule, at the places x or `dx` (1) apart.

    Follows `torch.trapezoid`.

    >>> ag.trapezoid(ag.tensor([1.0, 5.0, 10.0])), ag.trapezoid(ag.tensor([1.0, 5.0]), dx=2.0)
    (tensor(10.5000), tensor(6.))
    """
    if y.ndim and not y.shape[normalize_dim(dim, y.ndim, "trapezoid")]:
        return _nothing(y, dim)
    strips, d = _strips("trapezoid", y, x, dx, dim)
    return ops.sum(strips, d - y.ndim)


def _nothing(y: Any, dim: int) -> Any:
    """Zeros for a dimension without elements."""
    d = normalize_dim(dim, y.ndim, "trapezoid")
    dtype = y.dtype if y.dtype.is_inexact else get_default_dtype()
    return ops.full(tuple(s for i, s in enumerate(y.shape) if i != d), 0, dtype)


def cumulative_trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """The integrals of y from the first place to each of the others along `dim`; see `trapezoid`.

    >>> ag.cumulative_trapezoid(ag.tensor([1.0, 5.0, 10.0]))
    tensor([ 3.0000, 10.5000])
    """
    strips, d = _strips("cumulative_trapezoid", y, x, dx, dim)
    return cumsum(strips, d - y.ndim)


# -- covariances -----------------------------------------------------------------------------------


def cov(input: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """The covariances of the rows of (V, N), variables of N observations each: (V, V).

    A vector is one variable, and gives its variance. `fweights` (integers) say how often each
    observation was made, `aweights` how much it counts. Divided by N - correction. Follows
    `torch.cov`.

    >>> ag.cov(ag.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    if input.ndim > 2 or input.dtype.kind == "b":
        raise ShapeError(f"cov: {describe(input)}: expected at most 2 dimensions, not of bool")
    x = ops.reshape(input, (1, -1)) if input.ndim < 2 else input
    x = x if x.dtype.is_inexact else ops.cast(x, get_default_dtype())
    if aweights is not None and aweights.dtype.is_floating_point:
        aweights = ops.cast(aweights, promote_types(aweights.dtype, x.dtype.to_real()))
    weights = _observation_weights(x.shape[1], fweights, aweights)
    if weights is None:
        total: Any = x.shape[1]
        mean = ops.div(ops.sum(x, 1, keepdim=True), total)
        norm: Any = total - correction
    else:
        total = ops.sum(weights)
        mean = ops.div(ops.sum(ops.mul(x, weights), 1, keepdim=True), total)
        shrink: Any = correction
        if aweights is not None:
            spread = ops.mul(ops.sum(ops.mul(weights, aweights)), correction)
            shrink = ops.div(spread, total)
        norm = ops.sub(total, shrink)
    centred = ops.sub(x, mean)
    weighted = centred if weights is None else ops.mul(centred, weights)
    found = ops.matmul(weighted, adjoint(centred))
    found = ops.div(found, max(norm, 0) if is_number(norm) else ops.clamp(norm, 0, None))
    return ops.reshape(found, ()) if x.shape[0] == 1 else found


def _observation_weights(count: Any, fweights: Any, aweights: Any) -> Any:
    """The product of both weights, floats; None without any."""
    for name, w in (("fweights", fweights), ("aweights", aweights)):
        if w is None:
            continue
        if w.ndim > 1 or (w.shape[0] if w.ndim else 1) != count:
            raise ShapeError(f"cov: {name} {describe(w)}: expected one for each of {count}")
        if w.dtype.is_inexact != (name == "aweights"):
            raise DTypeError(f"cov: {name} can't be {w.dtype.name}")
        if bool((w < 0).any()):
            raise ArgumentError(f"cov: {name} can't be negative")
    if fweights is None or aweights is None:
        return fweights if aweights is None else aweights
    return ops.mul(fweights, aweights)


def corrcoef(input: Any) -> Any:
    """The correlations of the rows of (V, N), variables of N observations each: (V, V).

    Complex ones have parts clipped to [-1, 1]. Follows `torch.corrcoef`.

    >>> ag.corrcoef(ag.tensor([[0.0, 1.0, 2.0], [4.0, 2.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    if input.ndim > 2:
        raise ShapeError(f"corrcoef: {describe(input)}: expected at most 2 dimensions")
    found = cov(input)
    if not found.ndim:
        return ops.div(found, found)
    spread = ops.sqrt(diagonal_of(found))
    found = ops.div(ops.div(found, ops.reshape(spread, (-1, 1))), spread)
    if found.dtype.is_complex:
        return ops.complex(*(ops.clamp(part(found), -1, 1) for part in (ops.real, ops.imag)))
    return ops.clamp(found, -1, 1)
