"""Ops against PyTorch, results and gradients, where it is installed.

PyTorch is no dependency of the project: these tests need an environment that has it as well.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from calls import ALL_CALLS, Call, assert_close, names
from derivatives import float_inputs, float_outputs

from argand.base.dtype import DType
from argand.ir.interpret import interpret
from argand.ir.samples import T
from argand.transform.graph import vjp

torch: Any = pytest.importorskip("torch", reason="PyTorch isn't installed beside the project")
F: Any = torch.nn.functional

# Ops of the compiler's own, such as PyTorch offers only as a backward of something else, and
# singular vectors, which may differ by a sign.
WITHOUT = {"cond", "uniform", "normal", "randint", "arange", "log_gamma_slope"}
WITHOUT |= {"draw_binomial", "draw_log_gamma", "draw_poisson", "draw_von_mises"}
WITHOUT |= {"conv2d_weight_grad", "max_pool2d_grad", "avg_pool2d_grad", "linalg_svd"}
WITHOUT |= {"scaled_dot_product_attention_grad", "exponent"}
# PyTorch's are off by up to 1e-5 in float64.
WITHOUT |= {"airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1"}


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
    return lambda x, y: function(torch.as_tensor(x), torch.as_tensor(y))


def _over_dims(name: str) -> Callable[..., Any]:
    """PyTorch's reduction along one dimension, along any."""

    def reduce(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        dims = range(x.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
        for d in sorted((d % x.ndim for d in dims), reverse=True):
            x = getattr(torch, name)(x, d, keepdim)
        return x

    return reduce


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
    "linalg_inv": torch.linalg.inv,
    "linalg_solve": torch.linalg.solve,
    "linalg_cholesky": torch.linalg.cholesky,
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
# PyTorch has no gradient of floor_divide.
NO_GRADIENT = {"floor_divide"}


def _peer(name: str) -> Callable[..., Any]:
    if name in SPECIAL:
        return SPECIAL[name]
    places = (F, torch, torch.special)
    return next(found for place in places if (found := getattr(place, name, None)) is not None)


KNOWN = [c for c in ALL_CALLS if c.op.name not in WITHOUT and "float64" in c.op.dtypes]


@pytest.mark.parametrize("call", KNOWN, ids=names(KNOWN))
def test_agrees_with_torch(call: Call) -> None:
    arrays = call.arrays("float64")
    program = call.program("float64")
    weighted = len(arrays) > 2 and ("loss" in call.op.name or "entropy" in call.op.name)
    # Weights of losses have no gradient in PyTorch; ours are held by finite differences.
    wants = call.op.differentiable and call.op.name not in NO_GRADIENT and not weighted
    operands = [torch.tensor(a, requires_grad=wants and a.dtype.kind == "f") for a in arrays]
    theirs = _apply(call, operands)
    ours = interpret(program, arrays)
    for y, e in zip(ours, theirs, strict=True):
        assert_close(y, e.detach().numpy(), 1e-9, repr(call))
    if wants and float_inputs(program) and float_outputs(program):
        _compare_gradients(call, program, arrays, operands, theirs)


def _apply(call: Call, operands: list[Any]) -> tuple[Any, ...]:
    left = iter(operands)

    def convert(v: Any) -> Any:
        if isinstance(v, DType):
            return getattr(torch, v.name)
        return next(left) if isinstance(v, T) else v

    args = [convert(a) for a in call.sample.args]
    kwargs = {k: convert(v) for k, v in call.sample.kwargs.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns of broadcast targets
        found = _peer(call.op.name)(*args, **kwargs)
    return tuple(found) if isinstance(found, tuple) else (found,)


def _compare_gradients(
    call: Call, program: Any, arrays: Any, operands: Any, theirs: tuple[Any, ...]
) -> None:
    wrt, outputs = float_inputs(program), float_outputs(program)
    rng = np.random.default_rng(0)
    seeds = [rng.uniform(-1, 1, program.outputs[n].shape) for n in outputs]
    ours = interpret(vjp(program, wrt, outputs), [*arrays, *seeds])
    roots = [theirs[n] for n in outputs]
    pairs = [(r, torch.tensor(s)) for r, s in zip(roots, seeds, strict=True) if r.requires_grad]
    if not pairs:
        assert not any(np.any(g) for g in ours), f"a gradient of {call}, which has none in PyTorch"
        return
    wanted = [operands[n] for n in wrt]
    found = torch.autograd.grad(
        [r for r, _ in pairs], wanted, [s for _, s in pairs], allow_unused=True
    )
    for g, e in zip(ours, found, strict=True):
        expected = np.zeros(g.shape) if e is None else e.numpy()
        assert_close(g, expected, 1e-8, f"gradient of {call}")
