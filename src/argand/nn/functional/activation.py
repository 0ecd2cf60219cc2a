"""Activations."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from argand.base.domains import check_numbers
from argand.base.errors import ArgumentError, ShapeError
from argand.base.shape import normalize_dim
from argand.ir.op import ops
from argand.tensor.core import Tensor
from argand.tensor.generators import default_generator
from argand.tensor.inplace import apply_inplace
from argand.tensor.operands import rounded_once
from argand.tensor.strides import row_major


def _applied(function: Any, input: Any, inplace: bool, *args: Any) -> Any:
    """function(input, *args); with `inplace` the input's memory takes it."""
    return apply_inplace(function, input, *args) if inplace else function(input, *args)


def _once(formula: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A formula of several ops that rounds 16-bit floats once."""
    return partial(rounded_once, formula)


def relu(input: Any, inplace: bool = False) -> Any:
    """max(x, 0), element by element; the gradient at 0 is 0. Follows `torch.nn.functional.relu`.

    With `inplace` the input's memory takes the result.

    >>> F.relu(ag.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 0., 2.])
    """
    return _applied(ops.relu, input, inplace)


def relu6(input: Any, inplace: bool = False) -> Any:
    """min(max(x, 0), 6), element by element (Krizhevsky, 2010).

    >>> F.relu6(ag.tensor([-1.0, 3.0, 9.0]))
    tensor([0., 3., 6.])
    """
    return _applied(ops.relu6, input, inplace)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x where x > 0, negative_slope * x elsewhere (Maas et al., 2013).

    >>> F.leaky_relu(ag.tensor([-2.0, 3.0]), 0.1)
    tensor([-0.2000,  3.0000])
    """
    return _applied(ops.leaky_relu, input, inplace, negative_slope)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where x > 0, alpha * (exp(x) - 1) elsewhere (Clevert et al., 2015).

    >>> F.elu(ag.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """
    return _applied(ops.elu, input, inplace, alpha)


def selu(input: Any, inplace: bool = False) -> Any:
    """scale * elu(x, alpha), with scale = 1.0507 and alpha = 1.6733: layers of it keep mean 0 and
    variance 1 (Klambauer et al., 2017).

    >>> F.selu(ag.tensor([-1.0, 1.0]))
    tensor([-1.1113,  1.0507])
    """
    alpha, scale = 1.6732632423543772, 1.0507009873554805
    formula = _once(lambda x: ops.mul(ops.elu(x, alpha), scale))
    return _applied(formula, input, inplace)


def gelu(input: Any, approximate: str = "none") -> Any:
    """x * Phi(x), with Phi the standard normal distribution function (Hendrycks and Gimpel, 2016).

    `approximate="tanh"` computes 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x ** 3))).

    >>> F.gelu(ag.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.1587,  0.0000,  0.8413])
    """
    return ops.gelu(input, approximate)


def silu(input: Any, inplace: bool = False) -> Any:
    """x * sigmoid(x), also called swish (Elfwing et al., 2017).

    >>> F.silu(ag.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.2689,  0.0000,  0.7311])
    """
    of_complex = input.dtype.is_complex
    return _applied(_complex_silu if of_complex else ops.silu, input, inplace)


def _complex_silu(x: Any) -> Any:
    return ops.div(x, ops.add(1, ops.exp(ops.neg(x))))


def mish(input: Any, inplace: bool = False) -> Any:
    """x * tanh(softplus(x)) (Misra, 2019).

    >>> F.mish(ag.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.3034,  0.0000,  0.8651])
    """
    formula = _once(lambda x: ops.mul(x, ops.tanh(ops.softplus(x))))
    return _applied(formula, input, inplace)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + exp(beta * x)) / beta, a smooth relu; x itself where beta * x > threshold.

    >>> F.softplus(ag.tensor([-1.0, 0.0, 30.0]))
    tensor([ 0.3133,  0.6931, 30.0000])
    """
    return ops.softplus(input, beta, threshold)


def softsign(input: Any) -> Any:
    """x / (1 + abs(x)), in (-1, 1).

    >>> F.softsign(ag.tensor([-3.0, 1.0]))
    tensor([-0.7500,  0.5000])
    """
    return ops.div(input, ops.add(ops.abs(input), 1))


def logsigmoid(input: Any) -> Any:
    """log(1 / (1 + exp(-x))), without overflow.

    >>> F.logsigmoid(ag.tensor([-100.0, 0.0]))
    tensor([-100.0000,   -0.6931])
    """
    return row_major(ops.neg(ops.softplus(ops.neg(input), 1.0, math.inf)))


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """x kept within [min_val, max_val]; the gradient outside is 0.

    >>> F.hardtanh(ag.tensor([-3.0, 0.5, 3.0]))
    tensor([-1.0000,  0.5000,  1.0000])
    """
    if min_val > max_val:
        raise ArgumentError(f"hardtanh: min_val {min_val} is above max_val {max_val}")
    return _applied(ops.hardtanh, input, inplace, min_val, max_val)


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """relu6(x + 3) / 6, a sigmoid of straight lines.

    >>> F.hardsigmoid(ag.tensor([-4.0, 0.0, 1.5]))
    tensor([0.0000, 0.5000, 0.7500])
    """
    formula = _once(lambda x: ops.div(ops.relu6(ops.add(x, 3)), 6))
    return _applied(formula, input, inplace)


def hardswish(input: Any, inplace: bool = False) -> Any:
    """x * relu6(x + 3) / 6 (Howard et al., 2019).

    >>> F.hardswish(ag.tensor([-4.0, 1.0, 4.0]))
    tensor([-0.0000, 0.6667, 4.0000])
    """
    formula = _once(lambda x: ops.mul(x, ops.div(ops.relu6(ops.add(x, 3)), 6)))
    return _applied(formula, input, inplace)


def tanh(input: Any) -> Any:
    """(exp(x) - exp(-x)) / (exp(x) + exp(-x)), in [-1, 1].

    >>> F.tanh(ag.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.7616,  0.0000,  0.7616])
    """
    return ops.tanh(input)


def sigmoid(input: Any) -> Any:
    """1 / (1 + exp(-x)), in [0, 1].

    >>> F.sigmoid(ag.tensor([-1.0, 0.0, 1.0]))
    tensor([0.2689, 0.5000, 0.7311])
    """
    return ops.sigmoid(input)


def softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """exp(x) / sum(exp(x)) along `dim`, computed from x - max(x), so that nothing overflows.

    Without `dim` it is 0 for inputs of 0, 1 or 3 dimensions and 1 for others, as in PyTorch.
    `dtype` is what the input is converted to first.

    >>> F.softmax(ag.tensor([[1.0, 2.0, 3.0]]), dim=1)
    tensor([[0.0900, 0.2447, 0.6652]])
    """
    x = input if dtype is None else ops.cast(input, dtype)
    return ops.softmax(x, _softmax_dim(x) if dim is None else dim)


def softmin(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """softmax(-x) along `dim`: the smallest element gets the largest share.

    >>> F.softmin(ag.tensor([1.0, 2.0, 3.0]), dim=0)
    tensor([0.6652, 0.2447, 0.0900])
    """
    return softmax(ops.neg(input), dim, dtype=dtype)


def log_softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """x - log(sum(exp(x))) along `dim`, without overflow; `dim` and `dtype` as in `softmax`.

    >>> F.log_softmax(ag.tensor([1.0, 2.0, 3.0]), dim=0)
    tensor([-2.4076, -1.4076, -0.4076])
    """
    x = input if dtype is None else ops.cast(input, dtype)
    return ops.log_softmax(x, _softmax_dim(x) if dim is None else dim)


def _softmax_dim(x: Tensor) -> int:
    """PyTorch's choice when no dimension is named."""
    return 0 if x.ndim in (0, 1, 3) else 1


def glu(input: Any, dim: int = -1) -> Any:
    """a * sigmoid(b), with a and b the halves of the input along `dim`, whose size must be even
    (Dauphin et al., 2016). Raises ShapeError for an odd one.

    >>> F.glu(ag.tensor([1.0, 2.0, 0.0, 0.0]))
    tensor([0.5000, 1.0000])
    """
    dim = normalize_dim(dim, input.ndim, "glu")
    size = input.shape[dim]
    if size % 2:
        raise ShapeError(f"glu: the size {size} of dimension {dim} must be even")
    one = (1,) * input.ndim
    zero = [0] * input.ndim
    ends = list(input.shape)
    middle, half = list(zero), list(ends)
    middle[dim] = half[dim] = size // 2

    def formula(x: Any) -> Any:
        first = ops.slice(x, zero, half, one)
        return ops.mul(first, ops.sigmoid(ops.slice(x, middle, ends, one)))

    return rounded_once(formula, input)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """max(0, x) + min(0, alpha * (exp(x / alpha) - 1)) (Barron, 2017).

    >>> F.celu(ag.tensor([-2.0, 2.0]), alpha=2.0)
    tensor([-1.2642,  2.0000])
    """

    if alpha == 0:
        raise ArgumentError("celu: alpha can't be 0")

    def formula(x: Any) -> Any:
        above = ops.gt(x, 0)
        below = ops.elu(ops.div(ops.where(above, 0.0, x), alpha))
        return ops.where(above, x, ops.mul(below, alpha))

    return _applied(_once(formula), input, inplace)


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """x where abs(x) > lambd, 0 elsewhere.

    >>> F.hardshrink(ag.tensor([-1.0, 0.3]))
    tensor([-1.,  0.])
    """
    return ops.where(ops.le(ops.abs(input), lambd), 0.0, input)


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """sign(x) * max(abs(x) - lambd, 0).

    >>> F.softshrink(ag.tensor([-2.0, 0.3]))
    tensor([-1.5000,  0.0000])
    """
    check_numbers("[0, inf)", lambd=lambd)
    return rounded_once(lambda x: ops.sub(x, ops.clamp(x, -lambd, lambd)), input)


def tanhshrink(input: Any) -> Any:
    """x - tanh(x), element by element.

    >>> F.tanhshrink(ag.tensor([1.0]))
    tensor([0.2384])
    """
    return ops.sub(input, ops.tanh(input))


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """x where x > threshold, `value` elsewhere.

    >>> F.threshold(ag.tensor([0.5, 2.0]), 1.0, -1.0)
    tensor([-1.,  2.])
    """
    return _applied(lambda x: ops.where(ops.le(x, threshold), value, x), input, inplace)


def rrelu(
    input: Any,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Any:
    """x where x > 0, a * x elsewhere: in training `a` is drawn from [lower, upper) for every
    element, else it is their mean (Xu et al., 2015).

    >>> F.rrelu(ag.tensor([-24.0, 1.0]))
    tensor([-5.5000,  1.0000])
    """
    if lower > upper:
        raise ArgumentError(f"rrelu: lower {lower} must be at most upper {upper}")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    slope = default_generator.source.slopes(input, lower, upper)

    def sloped(x: Any) -> Any:
        return ops.cast(ops.where(ops.gt(x, 0), x, ops.mul(x, slope)), x.dtype)

    return _applied(sloped, input, inplace)


def gumbel_softmax(
    logits: Any, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Any:
    """A draw of a category as a vector near one-hot: softmax((logits + g) / tau) with g = -log of
    an exponential draw (Jang et al., 2017).

    With `hard` it is one-hot, and the gradient is that of the soft one.

    >>> F.gumbel_softmax(ag.tensor([0.0, 100.0]), hard=True)
    tensor([0., 1.])
    """
    source = default_generator.source
    drawn = source.like(logits, lambda shape: source.exponential(shape, logits.dtype))
    noise = ops.neg(ops.log(ops.clamp(drawn, min=eps)))
    soft = ops.softmax(ops.div(ops.add(logits, noise), tau), dim)
    if not hard:
        return soft
    best = ops.argmax(soft, dim, True)
    categories = ops.arange(0, 1, soft.shape[dim], "int64")
    tail = (1,) * (soft.ndim - 1 - dim % soft.ndim)
    chosen = ops.cast(ops.eq(best, ops.reshape(categories, (soft.shape[dim], *tail))), soft.dtype)
    return ops.add(chosen, ops.sub(soft, soft.detach()))
