"""What families share: broadcast parameters, probabilities and logits, triangles as vectors."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import update_wrapper
from numbers import Real
from typing import Any

from argand.base.dtype import get_default_dtype
from argand.base.errors import ArgumentError
from argand.ir import bind as crossroads
from argand.ir.op import ops
from argand.tensor.core import Tensor
from argand.tensor.elementary import finfo
from argand.tensor.formulas import arange
from argand.tensor.joining import cat
from argand.tensor.random import randn
from argand.tensor.shaping import broadcast_tensors
from argand.transform.mode import enable_grad

euler_constant = 0.57721566490153286060

LOG_2PI = math.log(2 * math.pi)


def broadcast_all(*values: Any) -> tuple[Any, ...]:
    """The values as tensors of one shape: numbers get the dtype of the first tensor among them.

    Without a tensor among them all are of the default dtype. Raises ArgumentError for anything
    else.

    >>> ag.distributions.utils.broadcast_all(1.0, ag.zeros(2))
    (tensor([1., 1.]), tensor([0., 0.]))
    """
    for v in values:
        if not isinstance(v, Tensor | Real):
            raise ArgumentError(f"parameters are numbers or tensors, got {type(v).__name__}")
    given = [v.dtype for v in values if isinstance(v, Tensor)]
    dtype = given[0] if given else get_default_dtype()
    return broadcast_tensors(
        *[v if isinstance(v, Tensor) else ops.full((), v, dtype) for v in values]
    )


class lazy_property:  # noqa: N801  # PyTorch's name
    """A property that is computed when it is first read, and kept in the instance from then on.

    It is recorded for gradients even where it is first read under `no_grad`. While a function is
    traced it is computed each time, so that no instance keeps a value of the trace.

    >>> class Circle:
    ...     @ag.distributions.utils.lazy_property
    ...     def area(self):
    ...         print("computed")
    ...         return 3.14
    >>> c = Circle()
    >>> c.area + c.area
    computed
    6.28
    """

    def __init__(self, wrapped: Callable[[Any], Any]) -> None:
        self.wrapped = wrapped
        update_wrapper(self, wrapped)  # type: ignore[arg-type]  # the property passes for it

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        with enable_grad():
            value = self.wrapped(instance)
        if not crossroads.tracing():
            setattr(instance, self.wrapped.__name__, value)
        return value


def shown(value: Any) -> Any:
    """A value as it is printed: a tensor without dimensions as its number."""
    return value.item() if isinstance(value, Tensor) and not value.ndim else value


def all_true(valid: Any) -> bool:
    """Whether every element is True; taken for granted while traced, where there are no values."""
    return crossroads.tracing() or bool(valid.all())


def sum_rightmost(value: Any, dims: int) -> Any:
    """The sum over the last dimensions, as many as asked for.

    >>> ag.distributions.utils.sum_rightmost(ag.ones(2, 3, 4), 2)
    tensor([12., 12.])
    """
    return ops.sum(value, tuple(range(-dims, 0))) if dims else value


def clamp_probs(probs: Any) -> Any:
    """The probabilities, at least eps and at most 1 - eps of their dtype.

    >>> ag.distributions.utils.clamp_probs(ag.tensor([0.0, 0.5, 1.0]))
    tensor([1.1921e-07, 5.0000e-01, 1.0000e+00])
    """
    eps = finfo(probs.dtype).eps
    return ops.clamp(probs, eps, 1 - eps)


def logits_to_probs(logits: Any, is_binary: bool = False) -> Any:
    """Probabilities of logarithms of them, which needn't be normalised; of log-odds if binary.

    >>> ag.distributions.utils.logits_to_probs(ag.zeros(2))
    tensor([0.5000, 0.5000])
    """
    return ops.sigmoid(logits) if is_binary else ops.softmax(logits, -1)


def probs_to_logits(probs: Any, is_binary: bool = False) -> Any:
    """Logarithms of probabilities, kept away from 0 and 1 by eps; log-odds if binary.

    >>> ag.distributions.utils.probs_to_logits(ag.tensor([0.5, 0.75]), is_binary=True)
    tensor([0.0000, 1.0986])
    """
    inside = clamp_probs(probs)
    logs = ops.log(inside)
    return ops.sub(logs, ops.log1p(ops.neg(inside))) if is_binary else logs


def one_hot(index: Any, count: int, dtype: Any) -> Any:
    """1 at the index, along a new last dimension, and 0 elsewhere."""
    places = arange(count, dtype=index.dtype)
    return ops.cast(ops.eq(index.unsqueeze(-1), places), dtype)


def softplus(x: Any) -> Any:
    """ln(1 + exp(x)), exact in float64 too, where the activation function is x from 20 on."""
    return ops.softplus(x, 1.0, 40.0)


def log_sigmoid(x: Any) -> Any:
    """ln(1 / (1 + exp(-x)))."""
    return ops.neg(softplus(ops.neg(x)))


def cross_entropy_of_logits(logits: Any, target: Any) -> Any:
    """-t log(p) - (1 - t) log(1 - p), for log-odds: max(x, 0) - x t + log(1 + exp(-|x|))."""
    return ops.binary_cross_entropy_with_logits(logits, target, reduction="none")


def _triangle(size: int, diag: int) -> list[int]:
    """The places of the triangle of a square matrix, row after row."""
    return [
        row * size + column for row in range(size) for column in range(min(size, row + diag + 1))
    ]


def tril_matrix_to_vec(mat: Any, diag: int = 0) -> Any:
    """The elements of the lower triangle of matrices (..., N, N), row after row.

    Up to the diagonal `diag` above the main one. Raises ArgumentError where there is none.

    >>> ag.distributions.utils.tril_matrix_to_vec(ag.tensor([[1, 2], [3, 4]]))
    tensor([1, 3, 4])
    """
    size = int(mat.shape[-1])
    if not -size <= diag < size:
        raise ArgumentError(f"tril_matrix_to_vec: diag {diag} is not in [{-size}, {size - 1}]")
    flat = mat.reshape((*mat.shape[:-2], size * size))
    return flat[..., _triangle(size, diag)]


def vec_to_tril_matrix(vec: Any, diag: int = 0) -> Any:
    """Matrices (..., N, N) with the elements of vectors in the lower triangle, row after row.

    Raises ArgumentError where no N fits the vector's length.

    >>> ag.distributions.utils.vec_to_tril_matrix(ag.tensor([1.0, 2.0, 3.0]))
    tensor([[1., 0.],
            [2., 3.]])
    """
    length = int(vec.shape[-1])
    root = (1 + 2 * diag) ** 2 + 8 * length + 4 * abs(diag) * (diag + 1)
    size = round((-(1 + 2 * diag) + root**0.5) / 2)
    places = _triangle(size, diag)
    if len(places) != length:
        raise ArgumentError(f"vec_to_tril_matrix: {length} elements fill no triangle")
    # the element behind the last is 0
    order = [places.index(n) if n in places else length for n in range(size * size)]
    wide = cat([vec, vec.new_zeros((*vec.shape[:-1], 1))], -1)
    return wide[..., order].reshape((*vec.shape[:-1], size, size))


def _standard_normal(shape: Any, dtype: Any, device: Any) -> Any:
    """Standard normal numbers; programs that define families of their own call it."""
    return randn(tuple(shape), dtype=dtype, device=device)


_sum_rightmost = sum_rightmost  # PyTorch programs call it by this name
