"""PyTorch's functions for our ops, by the ops' names; and the ops that have none, with the reason.

It needs PyTorch: only `test_torch.py` imports it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

F = torch.nn.functional
Peer = Callable[..., Any]

_DRAWS = "random numbers of another generator; tests/conformance/random_references.py"
_BASES = "bases are determined up to signs and phases; tests/conformance/linalg_references.py"
_INEXACT = "PyTorch's are off by up to 1e-5 in float64; SciPy's are compared"
WITHOUT: dict[str, str] = {
    **dict.fromkeys(["uniform", "normal", "randint"], _DRAWS),
    **dict.fromkeys(["draw_binomial", "draw_log_gamma", "draw_poisson", "draw_von_mises"], _DRAWS),
    **dict.fromkeys(
        [
            "mersenne_choices",
            "mersenne_integers",
            "mersenne_normal",
            "mersenne_permutation",
            "mersenne_rejected",
            "mersenne_uniform",
        ],
        "parts of draws, which tests/tensor/test_random_numbers.py compares",
    ),
    **dict.fromkeys(["box_muller_cos", "box_muller_sin", "fma", "libm"], "has no function"),
    **dict.fromkeys(["linalg_eig", "linalg_eigh", "linalg_svd"], _BASES),
    **dict.fromkeys(["airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1"], _INEXACT),
    "cond": "takes functions that the tracer records; tests/compile compares",
    "while_loop": "takes functions that the tracer records; tests/compile compares",
    "log_gamma_slope": "has no public function; SciPy's quantiles are compared",
    "scaled_dot_product_attention_grad": "compared as the gradient of attention",
}

PROMOTED: dict[str, str] = {
    **dict.fromkeys(
        ["all", "any", "sum", "prod"],
        "gives the dtype of its operand, where PyTorch's function gives int64, or uint8 of all",
    ),
    **dict.fromkeys(
        ["maximum", "minimum", "igamma", "igammac"],
        "promotes a number as other ops do, where PyTorch's function takes tensors",
    ),
    "batch_norm": "gives statistics in float32",
    "einsum": "gives the dtype of its operands, whatever is summed",
}
"""Ops that give another dtype than the PyTorch's in some; the public functions give PyTorch's
(tests/compatibility/promotion.txt)."""
TIES = {"sort", "topk", "mode"}
"""Which of equal integers their second result names isn't determined."""


def _place(x: Any, indices: Any, dims: Any) -> Any:
    by_dim = dict(zip(dims or range(len(indices)), indices, strict=True))
    return tuple(by_dim.get(d, slice(None)) for d in range(x.ndim))


def _index_put(
    x: Any, values: Any, *indices: Any, dims: Any = None, accumulate: bool = False
) -> Any:
    y = x.clone()
    place = _place(x, indices, dims)
    if not accumulate:
        y[place] = values
        return y
    shape = torch.empty(x.shape)[place].shape
    where = torch.arange(x.numel()).reshape(x.shape)[place].reshape(-1)
    added = values.expand(shape).reshape(-1)
    return y.reshape(-1).index_add(0, where, added).reshape(x.shape)


def _slice_scatter(x: Any, src: Any, *bounds: Any) -> Any:
    y = x.clone()
    y[tuple(map(slice, *bounds))] = src
    return y


def _pad(x: Any, padding: Any, value: Any = 0) -> Any:
    flat = [n for pair in reversed(padding) for n in pair]
    return F.pad(x, flat, value=value) if flat else x


def _batch_norm(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    dims = [d for d in range(x.ndim) if d != 1]
    y = F.batch_norm(x, None, None, weight, bias, True, 0.1, eps)
    return y, x.mean(dims), x.var(dims, correction=0)


def _conv2d_input_grad(g: Any, w: Any, size: Any, **params: Any) -> Any:
    x = torch.zeros(g.shape[0], w.shape[1] * params["groups"], *size, dtype=g.dtype)
    return torch.nn.grad.conv2d_input(x.shape, w, g, **params)


def _scatter(x: Any, dim: int, index: Any, src: Any) -> Any:
    return torch.scatter(x, dim, index, src)


def _scatter_add(x: Any, dim: int, index: Any, src: Any) -> Any:
    """PyTorch's has no gradient from a part of its source, so it gets the part."""
    if isinstance(src, torch.Tensor):
        src = src[tuple(map(slice, index.shape))]
    else:
        src = torch.full(index.shape, src, dtype=x.dtype)
    return torch.scatter_add(x, dim, index, src)


def _of_tensors(name: str) -> Callable[..., Any]:
    """PyTorch's function of tensors for operands of which one may be a number."""
    function = getattr(torch, name)

    def call(x: Any, y: Any) -> Any:
        dtype = next(v.dtype for v in (x, y) if isinstance(v, torch.Tensor))
        return function(*(torch.as_tensor(v, dtype=_dtype_of(v, dtype)) for v in (x, y)))

    return call


def _dtype_of(v: Any, other: Any) -> Any:
    """The dtype of an operand: a number of a kind that the other tensor's dtype has takes that."""
    if isinstance(v, torch.Tensor):
        return v.dtype
    fits = other.is_floating_point or (isinstance(v, int) and other is not torch.bool)
    return other if fits else None


def _over_dims(name: str) -> Callable[..., Any]:
    """PyTorch's reduction along one dimension, along any."""

    def reduce(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        dims = range(x.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
        for d in sorted((d % x.ndim for d in dims), reverse=True):
            x = getattr(torch, name)(x, d, keepdim)
        return x

    return reduce


def _fft(x: Any, dims: Any, inverse: bool = False, norm: Any = None) -> Any:
    if not x.numel():  # PyTorch fails
        return x + 0j
    return (torch.fft.ifftn if inverse else torch.fft.fftn)(x, dim=dims, norm=norm)


def _rfft(x: Any, dim: int = -1, norm: Any = None) -> Any:
    return torch.fft.rfft(x, None, dim, norm) if x.numel() else x.narrow(dim, 0, 3) + 0j


def _conv2d_weight_grad(g: Any, x: Any, kernel: Any, **params: Any) -> Any:
    shape = g.shape[1], x.shape[1] // params["groups"], *kernel
    return torch.nn.grad.conv2d_weight(x, shape, g, **params)


def _max_pool2d_grad(g: Any, index: Any, size: Any, **_: Any) -> Any:
    flat = torch.zeros(*g.shape[:2], size[0] * size[1], dtype=g.dtype)
    return flat.scatter_add(2, index.flatten(2), g.flatten(2)).unflatten(2, size)


def _avg_pool2d_grad(g: Any, size: Any, *window: Any, **params: Any) -> Any:
    x = torch.zeros(*g.shape[:2], *size, dtype=g.dtype, requires_grad=True)
    y = F.avg_pool2d(x, *window, **params)
    return torch.autograd.grad(y, x, g, create_graph=True)[0]


def _lu_permutation(pivots: Any, size: int) -> Any:
    lu = torch.zeros(*pivots.shape[:-1], size, pivots.shape[-1])
    return torch.lu_unpack(lu, pivots.int(), unpack_data=False)[0].argmax(-2)


def _cofactors(a: Any) -> Any:
    return torch.linalg.det(a)[..., None, None] * torch.linalg.inv(a).mT


def _arange(start: Any, step: Any, size: int, dtype: Any) -> Any:
    kind = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    return (start + torch.arange(size, dtype=torch.float64) * step).to(kind)


def _pinv(a: Any, atol: Any, rtol: Any, hermitian: bool = False) -> Any:
    limits = {"atol": atol.detach(), "rtol": rtol.detach()}
    return torch.linalg.pinv(a, **limits, hermitian=hermitian)


def _linear(x: Any, w: Any, b: Any = None) -> Any:
    return F.linear(x, w, b) if w.ndim > 1 else x @ w if b is None else x @ w + b


_LOGIC = ("logical_and", "logical_or", "logical_xor")
SPECIAL: dict[str, Callable[..., Any]] = {
    "slice": lambda x, *bounds: x[tuple(map(slice, *bounds))],
    "slice_scatter": _slice_scatter,
    "expand": lambda x, shape: x.expand(shape),
    "pad": _pad,
    "flip": lambda x, dims: torch.flip(x, [dims] if isinstance(dims, int) else list(dims)),
    "cat": lambda *xs, dim=0: torch.cat(xs, dim),
    "permute": lambda x, dims: x.permute(dims),
    "index": lambda x, *i, dims=None: x[_place(x, i, dims)],
    "index_put": _index_put,
    "scatter": _scatter,
    "scatter_add": _scatter_add,
    "prod": _over_dims("prod"),
    "sum": _over_dims("sum"),
    **{name: _of_tensors(name) for name in ("eq", "ne", "lt", "le", "gt", "ge")},
    **{name: _of_tensors(name) for name in _LOGIC},
    "cast": lambda x, dtype: x.to(getattr(torch, dtype)),
    "contiguous": lambda x: x.contiguous(),
    "full": lambda shape, value, dtype: torch.full(shape, value, dtype=getattr(torch, dtype)),
    "conj": lambda x: x.conj().resolve_conj(),
    "embedding": lambda w, i, padding_idx=None: F.embedding(i, w, padding_idx),
    "batch_norm": _batch_norm,
    "conv2d_input_grad": _conv2d_input_grad,
    "relu6": F.relu6,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    **{
        f"linalg_{name}": getattr(torch.linalg, name)
        for name in (
            "cholesky",
            "cholesky_ex",
            "det",
            "inv",
            "ldl_solve",
            "matrix_exp",
            "qr",
            "slogdet",
            "solve",
            "solve_triangular",
        )
    },
    "linalg_cofactors": _cofactors,
    "linalg_geqrf": torch.geqrf,
    "linalg_ldl_factor": torch.linalg.ldl_factor_ex,
    "linalg_lu_factor": lambda a, **_: torch.linalg.lu_factor_ex(a),
    "linalg_lu_permutation": _lu_permutation,
    "linalg_pinv": _pinv,
    "linear": _linear,
    "unfold": lambda x, dim, size, step: x.unfold(dim, size, step),
    "arange": _arange,
    "avg_pool2d_grad": _avg_pool2d_grad,
    "conv2d_weight_grad": _conv2d_weight_grad,
    "max_pool2d_grad": _max_pool2d_grad,
    "divisor": lambda x: x,
    "exponent": lambda x: torch.frexp(x).exponent.to(x.dtype),
    "fft": _fft,
    "integer_sum": _over_dims("sum"),
    "irfft": torch.fft.irfft,
    "rfft": _rfft,
    "running_max": lambda x, dim: torch.cummax(x, dim).values,
    "running_min": lambda x, dim: torch.cummin(x, dim).values,
    "scatter_combine": torch.scatter_reduce,
    "view_as_complex": lambda x: torch.complex(x[..., 0], x[..., 1]),
    "trigamma": lambda x: torch.polygamma(1, x),
    **{
        name: _of_tensors(name)
        for name in ("fmax", "fmin", "gcd", "igamma", "igammac", "nextafter")
    },
    "where": torch.where,
    "sort": torch.sort,
    "maximum": lambda x, y: torch.maximum(x, torch.as_tensor(y, dtype=x.dtype)),
    "minimum": lambda x, y: torch.minimum(x, torch.as_tensor(y, dtype=x.dtype)),
    "max_pool2d": F.max_pool2d,
    "avg_pool2d": F.avg_pool2d,
    "layer_norm": F.layer_norm,
    "scaled_dot_product_attention": F.scaled_dot_product_attention,
}


def peer(name: str) -> Peer | None:
    """PyTorch's function for an op; None where there is none."""
    if name in SPECIAL:
        return SPECIAL[name]
    found = (getattr(place, name, None) for place in (F, torch, torch.special))
    return next((f for f in found if callable(f)), None)
