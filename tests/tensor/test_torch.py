"""The same lines run by Argand and by PyTorch: same results, dtypes, shapes and error types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import argand as ag

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: it is a peer, not a dependency"
)

Case = Callable[[Any], Any]


def f(m: Any, *shape: int, seed: int = 0) -> Any:
    """A float tensor with fixed contents, for either library."""
    rng = np.random.default_rng(seed)
    return m.tensor(rng.uniform(-2, 2, shape).astype(np.float32))


def i(m: Any, *shape: int, high: int = 5, seed: int = 0) -> Any:
    """An integer tensor with fixed contents."""
    return m.tensor(np.random.default_rng(seed).integers(0, high, shape))


CASES: dict[str, Case] = {
    # creation
    "tensor of floats": lambda m: m.tensor([1.5, 2.0]),
    "tensor of ints": lambda m: m.tensor([[1, 2], [3, 4]]),
    "tensor of mixed": lambda m: m.tensor([1, 2.5]),
    "tensor of bools": lambda m: m.tensor([True, False]),
    "tensor of complex": lambda m: m.tensor([1j, 2.0]),
    "tensor scalar": lambda m: m.tensor(3),
    "tensor nothing": lambda m: m.tensor([]),
    "tensor of tensors": lambda m: m.tensor([m.tensor(1.0), m.tensor(2.0)]),
    "tensor float64 array": lambda m: m.tensor(np.array([1.0, 2.0])),
    "tensor of np scalars": lambda m: m.tensor(np.float64(2.5)),
    "tensor dtype": lambda m: m.tensor([1.7, -2.2], dtype=m.int64),
    "as_tensor": lambda m: m.as_tensor(np.arange(3)),
    "zeros": lambda m: m.zeros(2, 3),
    "zeros tuple": lambda m: m.zeros((2, 3), dtype=m.int32),
    "zeros size": lambda m: m.zeros(size=(2, 3)),
    "ones": lambda m: m.ones(2, dtype=m.bool),
    "full int": lambda m: m.full((2,), 3),
    "full float": lambda m: m.full((2, 2), 1.5),
    "full bool": lambda m: m.full((2,), True),
    "full_like": lambda m: m.full_like(i(m, 3), 7),
    "zeros_like": lambda m: m.zeros_like(f(m, 2, 3), dtype=m.float64),
    "arange": lambda m: m.arange(5),
    "arange float": lambda m: m.arange(0, 1, 0.3),
    "arange down": lambda m: m.arange(5, 0, -2),
    "arange dtype": lambda m: m.arange(3, dtype=m.float32),
    "linspace": lambda m: m.linspace(-1, 2, 7),
    "linspace one": lambda m: m.linspace(3, 5, 1),
    "logspace": lambda m: m.logspace(0, 2, 3),
    "eye": lambda m: m.eye(3, 4),
    "tril": lambda m: m.tril(f(m, 3, 4), 1),
    "triu": lambda m: m.triu(f(m, 2, 4, 3), -1),
    "meshgrid": lambda m: m.meshgrid(m.arange(2), m.arange(3), indexing="ij"),
    "meshgrid xy": lambda m: m.meshgrid(m.arange(2), m.arange(3), indexing="xy"),
    # promotion
    "int + float number": lambda m: m.arange(3) + 1.5,
    "int / int": lambda m: m.arange(1, 4) / 2,
    "int // int": lambda m: m.tensor([-7, 7]) // 2,
    "int % int": lambda m: m.tensor([-7, 7]) % 3,
    "float % ": lambda m: m.tensor([-7.5, 7.5]) % 2,
    "f32 + f64 0-d": lambda m: f(m, 2) + m.tensor(1.0, dtype=m.float64),
    "bool + bool": lambda m: m.tensor([True]) + m.tensor([True]),
    "bool + int": lambda m: m.tensor([True, False]) + 1,
    "uint8 + int8": lambda m: m.tensor([1], dtype=m.uint8) + m.tensor([1], dtype=m.int8),
    "int ** int": lambda m: m.arange(4) ** 2,
    "2 ** x": lambda m: 2 ** f(m, 3),
    "1 - x": lambda m: 1 - f(m, 3),
    "exp of ints": lambda m: m.exp(m.arange(3)),
    "f16 + f32": lambda m: f(m, 2).half() + f(m, 2),
    # methods
    "add alpha": lambda m: f(m, 3).add(f(m, 3, seed=1), alpha=2),
    "sub alpha": lambda m: m.sub(f(m, 3), f(m, 3, seed=1), alpha=0.5),
    "div floor": lambda m: m.div(f(m, 4), 0.3, rounding_mode="floor"),
    "div trunc": lambda m: m.div(f(m, 4), 0.3, rounding_mode="trunc"),
    "clamp": lambda m: f(m, 9).clamp(-0.5, 0.7),
    "clamp min": lambda m: f(m, 9).clamp(min=0),
    "clip": lambda m: m.clip(f(m, 9), max=0.1),
    "where": lambda m: m.where(f(m, 5) > 0, f(m, 5), 0.0),
    "where nonzero": lambda m: m.where(m.tensor([0, 1, 2])),
    "masked_fill": lambda m: f(m, 2, 3).masked_fill(f(m, 2, 3) > 0, -1e9),
    "masked_select": lambda m: m.masked_select(f(m, 2, 3), f(m, 2, 3) > 0),
    "sign": lambda m: f(m, 4).sign(),
    "round": lambda m: m.round(m.tensor([0.5, 1.5, 2.5, -0.5])),
    "round decimals": lambda m: m.round(m.tensor([1.2345, 2.71]), decimals=2),
    "frac": lambda m: f(m, 4).frac(),
    "logaddexp": lambda m: m.logaddexp(f(m, 3), f(m, 3, seed=2)),
    "nan_to_num": lambda m: m.nan_to_num(m.tensor([float("nan"), float("inf"), 1.0])),
    "isclose": lambda m: m.isclose(f(m, 3), f(m, 3) + 1e-6),
    "allclose": lambda m: m.allclose(f(m, 3), f(m, 3)),
    "equal": lambda m: m.equal(f(m, 3), f(m, 3)),
    "addcmul": lambda m: m.addcmul(f(m, 3), f(m, 3), f(m, 3), value=0.5),
    "lerp": lambda m: m.lerp(f(m, 3), f(m, 3, seed=1), 0.3),
    "sinc": lambda m: m.sinc(m.tensor([0.0, 0.5])),
    "logit": lambda m: m.logit(m.tensor([0.2, 0.9])),
    "bitwise": lambda m: (i(m, 4) & 3) | (i(m, 4, seed=1) ^ 1),
    "invert": lambda m: ~m.tensor([True, False]),
    # reductions
    "sum": lambda m: f(m, 2, 3).sum(),
    "sum dim": lambda m: f(m, 2, 3, 4).sum((0, 2), keepdim=True),
    "sum int": lambda m: m.tensor([1, 2], dtype=m.int32).sum(),
    "sum dtype": lambda m: m.tensor([1, 2]).sum(dtype=m.float32),
    "mean": lambda m: f(m, 2, 3).mean(-1),
    "mean dtype": lambda m: m.tensor([1, 2]).mean(dtype=m.float32),
    "var": lambda m: f(m, 4, 3).var(0),
    "var biased": lambda m: f(m, 4, 3).var(0, unbiased=False),
    "var all": lambda m: f(m, 4, 3).var(False),
    "std correction": lambda m: f(m, 4, 3).std(1, correction=0, keepdim=True),
    "var_mean": lambda m: m.var_mean(f(m, 4, 3), 1),
    "max": lambda m: f(m, 2, 3).max(),
    "max dim": lambda m: f(m, 2, 3).max(1),
    "min dim keep": lambda m: f(m, 2, 3).min(0, keepdim=True),
    "max of two": lambda m: m.max(f(m, 3), f(m, 3, seed=1)),
    "amax": lambda m: f(m, 2, 3).amax(1),
    "argmax": lambda m: f(m, 2, 3).argmax(),
    "argmin dim": lambda m: f(m, 2, 3).argmin(1, keepdim=True),
    "any": lambda m: (f(m, 2, 3) > 1).any(1),
    "all": lambda m: (f(m, 2, 3) > -3).all(),
    "prod": lambda m: f(m, 2, 3).prod(1),
    "cumsum": lambda m: f(m, 2, 3).cumsum(1),
    "cumprod": lambda m: f(m, 2, 3).cumprod(1),
    "norm": lambda m: f(m, 2, 3).norm(),
    "norm p dim": lambda m: f(m, 2, 3).norm(1, dim=1),
    "norm inf": lambda m: m.norm(f(m, 2, 3), float("inf")),
    "logsumexp": lambda m: f(m, 2, 3).logsumexp(1),
    "softmax": lambda m: f(m, 2, 3).softmax(-1),
    "log_softmax": lambda m: m.log_softmax(f(m, 2, 3), 0),
    "median": lambda m: f(m, 7).median(),
    "median dim": lambda m: f(m, 3, 4).median(1),
    "quantile": lambda m: f(m, 9).quantile(0.3),
    "quantile several": lambda m: m.quantile(f(m, 3, 9), m.tensor([0.1, 0.5]), dim=1),
    "sort": lambda m: f(m, 3, 4).sort(1, descending=True),
    "argsort": lambda m: f(m, 9).argsort(),
    "topk": lambda m: f(m, 3, 6).topk(2),
    "topk smallest": lambda m: m.topk(f(m, 6), 3, largest=False),
    "kthvalue": lambda m: m.kthvalue(f(m, 6), 2),
    "bincount": lambda m: m.bincount(i(m, 9)),
    "histc": lambda m: m.histc(f(m, 20), 4, -2, 2),
    "unique": lambda m: m.unique(i(m, 9), return_inverse=True, return_counts=True),
    "unique_consecutive": lambda m: m.unique_consecutive(m.tensor([1, 1, 2, 2, 2, 1])),
    "count_nonzero": lambda m: m.count_nonzero(i(m, 3, 4), dim=0),
    # shapes
    "view": lambda m: f(m, 2, 6).view(3, -1),
    "reshape": lambda m: f(m, 2, 6).t().reshape(4, 3),
    "flatten": lambda m: f(m, 2, 3, 4).flatten(1),
    "unflatten": lambda m: f(m, 2, 6).unflatten(1, (2, -1)),
    "squeeze": lambda m: f(m, 1, 3, 1).squeeze(),
    "squeeze dim": lambda m: f(m, 1, 3, 1).squeeze(0),
    "unsqueeze": lambda m: f(m, 3).unsqueeze(-1),
    "transpose": lambda m: f(m, 2, 3, 4).transpose(0, -1),
    "permute": lambda m: f(m, 2, 3, 4).permute(2, 0, 1),
    "movedim": lambda m: m.movedim(f(m, 2, 3, 4), 0, 2),
    "expand": lambda m: f(m, 3, 1).expand(-1, 4),
    "repeat": lambda m: f(m, 2, 3).repeat(2, 1, 2),
    "tile": lambda m: f(m, 2, 3).tile((2,)),
    "repeat_interleave": lambda m: f(m, 2, 3).repeat_interleave(2, dim=1),
    "repeat_interleave tensor": lambda m: m.repeat_interleave(f(m, 3), m.tensor([1, 0, 2])),
    "cat": lambda m: m.cat([f(m, 2, 3), f(m, 1, 3)], 0),
    "cat promotes": lambda m: m.cat([m.arange(2), m.ones(1)]),
    "stack": lambda m: m.stack([f(m, 3), f(m, 3)], -1),
    "hstack": lambda m: m.hstack([f(m, 2, 1), f(m, 2, 2)]),
    "vstack": lambda m: m.vstack([f(m, 3), f(m, 3)]),
    "split": lambda m: f(m, 7, 2).split(3),
    "split sizes": lambda m: f(m, 6).split([1, 5]),
    "chunk": lambda m: f(m, 7).chunk(3),
    "chunk of nothing": lambda m: m.zeros(0, 3).chunk(2),
    "tensor_split": lambda m: m.tensor_split(f(m, 7), 3),
    "unbind": lambda m: f(m, 3, 2).unbind(1),
    "roll": lambda m: f(m, 3, 4).roll((1, -1), (0, 1)),
    "roll flat": lambda m: f(m, 3, 4).roll(2),
    "flip": lambda m: f(m, 3, 4).flip(0, 1),
    "diag": lambda m: m.diag(f(m, 3), 1),
    "diag of": lambda m: m.diag(f(m, 3, 4), -1),
    "diagonal": lambda m: f(m, 2, 3, 4).diagonal(0, 1, 2),
    "trace": lambda m: f(m, 3, 3).trace(),
    "unfold": lambda m: f(m, 7).unfold(0, 3, 2),
    "diff": lambda m: f(m, 4, 3).diff(dim=0),
    "narrow": lambda m: f(m, 5, 2).narrow(0, 1, 3),
    "select": lambda m: f(m, 5, 2).select(1, -1),
    "atleast_2d": lambda m: m.atleast_2d(f(m, 3)),
    "broadcast_tensors": lambda m: m.broadcast_tensors(f(m, 3, 1), f(m, 4)),
    # picking
    "gather": lambda m: f(m, 3, 4).gather(1, i(m, 3, 2, high=4)),
    "take_along_dim": lambda m: m.take_along_dim(f(m, 3, 4), i(m, 3, 1, high=4), 1),
    "scatter": lambda m: m.zeros(3, 5).scatter(1, i(m, 3, 2), 1.5),
    "scatter_": lambda m: m.zeros(3, 5).scatter_(1, m.tensor([[0], [2], [4]]), f(m, 3, 1)),
    "scatter_add": lambda m: m.ones(3, 5).scatter_add(1, i(m, 3, 4), f(m, 3, 4)),
    "scatter_reduce": lambda m: m.ones(5).scatter_reduce(0, i(m, 9), f(m, 9), "mean"),
    "index_select": lambda m: f(m, 3, 4).index_select(1, m.tensor([0, 0, 3])),
    "index_add": lambda m: f(m, 5, 2).index_add(0, i(m, 3), f(m, 3, 2, seed=1)),
    "index_fill": lambda m: f(m, 5, 2).index_fill(0, m.tensor([0, 4]), 9.0),
    "take": lambda m: m.take(f(m, 3, 4), m.tensor([0, 11])),
    "nonzero": lambda m: m.nonzero(i(m, 3, 3)),
    "searchsorted": lambda m: m.searchsorted(m.tensor([1.0, 3.0, 5.0]), m.tensor([0.0, 3.0, 9.0])),
    "bucketize": lambda m: m.bucketize(m.tensor([1, 4]), m.tensor([1, 3, 5]), right=True),
    "isin": lambda m: m.isin(i(m, 9), m.tensor([1, 3])),
    # indexing
    "x[1]": lambda m: f(m, 3, 4)[1],
    "x[-1, 2]": lambda m: f(m, 3, 4)[-1, 2],
    "x[1:, ::2]": lambda m: f(m, 3, 4)[1:, ::2],
    "x[..., 0]": lambda m: f(m, 3, 4, 5)[..., 0],
    "x[None]": lambda m: f(m, 3)[None, :, None],
    "x[5:2]": lambda m: f(m, 7)[5:2],
    "x[-3:-1]": lambda m: f(m, 7)[-3:-1],
    "x[[0, 2]]": lambda m: f(m, 3, 4)[[0, 2]],
    "x[:, idx]": lambda m: f(m, 3, 4)[:, m.tensor([[0, 1], [2, 3]])],
    "x[idx, idx]": lambda m: f(m, 3, 4)[m.tensor([0, 1]), m.tensor([2, -1])],
    "x[idx, :, idx]": lambda m: f(m, 3, 4, 5)[m.tensor([0, 1]), :, m.tensor([2, 3])],
    "x[0, :, idx]": lambda m: f(m, 3, 4, 5)[0, :, m.tensor([2, 3])],
    "x[:, 0, idx]": lambda m: f(m, 3, 4, 5)[:, 0, m.tensor([2, 3])],
    "x[mask]": lambda m: f(m, 3, 4)[f(m, 3, 4) > 0],
    "x[mask rows]": lambda m: f(m, 3, 4)[m.tensor([True, False, True])],
    "x[mask, idx]": lambda m: f(m, 3, 4)[m.tensor([True, False, True]), m.tensor([1, 2])],
    "x[:, None, idx]": lambda m: f(m, 3, 4)[:, None, m.tensor([2, 3])],
    "x[True]": lambda m: f(m, 3)[True],
    "x[0-d]": lambda m: f(m, 3, 4)[m.tensor(1)],
    # products
    "mm": lambda m: m.mm(f(m, 2, 3), f(m, 3, 4)),
    "bmm": lambda m: m.bmm(f(m, 2, 3, 4), f(m, 2, 4, 5)),
    "matmul vectors": lambda m: f(m, 3) @ f(m, 3, seed=1),
    "matmul broadcast": lambda m: f(m, 5, 1, 2, 3) @ f(m, 4, 3, 2),
    "mv": lambda m: m.mv(f(m, 2, 3), f(m, 3)),
    "dot": lambda m: m.dot(f(m, 3), f(m, 3, seed=1)),
    "outer": lambda m: m.outer(f(m, 3), f(m, 2)),
    "addmm": lambda m: m.addmm(f(m, 4), f(m, 2, 3), f(m, 3, 4), beta=0.5, alpha=2),
    "baddbmm": lambda m: m.baddbmm(f(m, 2, 2, 2), f(m, 2, 2, 3), f(m, 2, 3, 2)),
    "einsum": lambda m: m.einsum("bij,bjk->bik", f(m, 2, 3, 4), f(m, 2, 4, 5)),
    "einsum implicit": lambda m: m.einsum("ij,jk", f(m, 2, 3), f(m, 3, 4)),
    "einsum trace": lambda m: m.einsum("ii->i", f(m, 3, 3)),
    "einsum dots": lambda m: m.einsum("...ij,...kj->...ik", f(m, 2, 3, 4), f(m, 2, 5, 4)),
    "einsum three": lambda m: m.einsum("i,ij,j->", f(m, 2), f(m, 2, 3), f(m, 3)),
    "einsum sum": lambda m: m.einsum("ij->j", f(m, 2, 3)),
    "tensordot": lambda m: m.tensordot(f(m, 2, 3, 4), f(m, 4, 3), dims=([1, 2], [1, 0])),
    "cdist": lambda m: m.cdist(f(m, 3, 4), f(m, 2, 4)),
    "cross": lambda m: m.cross(f(m, 2, 3), f(m, 2, 3, seed=1), dim=1),
    "matrix_power": lambda m: m.matrix_power(f(m, 3, 3), 3),
    # conversion
    "long": lambda m: m.tensor([1.7, -1.7]).long(),
    "bool": lambda m: m.tensor([0.0, 2.0]).bool(),
    "to dtype": lambda m: f(m, 3).to(m.float64),
    "to other": lambda m: m.arange(3).to(f(m, 1)),
    "type_as": lambda m: m.arange(3).type_as(f(m, 1)),
    "type name": lambda m: m.arange(3).type().split(".")[1],
    "tolist": lambda m: m.tensor([[1, 2], [3, 4]]).tolist(),
    "item": lambda m: m.tensor(2.5).item(),
    "numel": lambda m: (f(m, 2, 3).numel(), f(m, 2, 3).dim(), f(m, 2, 3).size(-1)),
    "stride": lambda m: f(m, 2, 3).t().stride(),
    "is_contiguous": lambda m: (f(m, 2, 3).t().is_contiguous(), f(m, 2, 3).is_contiguous()),
    "iter": lambda m: list(f(m, 3, 2)),
    "in": lambda m: 3 in m.arange(5),
    "format": lambda m: f"{m.tensor(1.23456):.2f}",
    "finfo": lambda m: (m.finfo(m.float32).eps, m.finfo(m.bfloat16).max, m.iinfo(m.int32).min),
}

IN_PLACE: dict[str, Case] = {
    "add_": lambda m: f(m, 3).add_(1),
    "mul_": lambda m: f(m, 3).mul_(f(m, 3)),
    "+=": lambda m: _changed(f(m, 3), lambda x: x.__iadd__(2)),
    "copy_": lambda m: f(m, 2, 3).copy_(m.arange(3)),
    "fill_": lambda m: f(m, 2).fill_(3),
    "zero_": lambda m: f(m, 2).zero_(),
    "clamp_": lambda m: f(m, 5).clamp_(0, 1),
    "masked_fill_": lambda m: f(m, 5).masked_fill_(f(m, 5) > 0, 0),
    "index_add_": lambda m: f(m, 5).index_add_(0, m.tensor([1, 1]), m.ones(2), alpha=2),
    "index_copy_": lambda m: f(m, 5).index_copy_(0, m.tensor([1, 4]), m.ones(2)),
    "x[0] = ": lambda m: _changed(f(m, 3, 2), lambda x: x.__setitem__(0, 5)),
    "x[:, 1] += ": lambda m: _changed(f(m, 3, 2), lambda x: x[:, 1].add_(1)),
    "x[mask] = ": lambda m: _changed(f(m, 3, 2), lambda x: x.__setitem__(x > 0, 0)),
    "x[mask] = values": lambda m: _changed(
        f(m, 3), lambda x: x.__setitem__(m.tensor([True, False, True]), m.tensor([8.0, 9.0]))
    ),
    "x[idx] = ": lambda m: _changed(
        f(m, 4, 2), lambda x: x.__setitem__(m.tensor([0, 3]), m.ones(2))
    ),
    "x[:, idx] = ": lambda m: _changed(
        f(m, 2, 4), lambda x: x.__setitem__((slice(None), [1, 2]), 7.0)
    ),
    "x[1:, 0] = row": lambda m: _changed(
        f(m, 3, 2), lambda x: x.__setitem__((slice(1, None), 0), m.tensor([1, 2]))
    ),
    "index_put_": lambda m: f(m, 4).index_put_((m.tensor([1, 1]),), m.ones(2), accumulate=True),
    "index_put_ at a number": lambda m: f(m, 4).index_put_((m.tensor(1),), m.tensor(5.0)),
    "unsqueeze_": lambda m: f(m, 3).unsqueeze_(0),
    "t_": lambda m: f(m, 3, 2).t_(),
    "fill_diagonal_": lambda m: f(m, 3, 3).fill_diagonal_(1),
    "lerp_": lambda m: f(m, 3).lerp_(m.ones(3), 0.25),
    "addcdiv_": lambda m: f(m, 3).addcdiv_(m.ones(3), m.ones(3) * 2, value=-1),
    "int += float": lambda m: m.arange(3).add_(1.5),
    "shape mismatch": lambda m: m.ones(2).add_(m.ones(3, 2)),
    "int div_": lambda m: m.arange(3).div_(2),
}

ERRORS: dict[str, Case] = {
    "broadcast": lambda m: f(m, 2) + f(m, 3),
    "matmul": lambda m: f(m, 2, 3) @ f(m, 2, 3),
    "view": lambda m: f(m, 2, 3).t().view(6),
    "reshape": lambda m: f(m, 2, 3).reshape(4),
    "dim range": lambda m: f(m, 2, 3).sum(2),
    "index range": lambda m: f(m, 2)[2],
    "too many indices": lambda m: f(m, 2)[0, 0],
    "index by float": lambda m: f(m, 2)[1.0],
    "negative step": lambda m: f(m, 2)[::-1],
    "item of many": lambda m: f(m, 2).item(),
    "bool of many": lambda m: bool(f(m, 2)),
    "len of 0-d": lambda m: len(m.tensor(1)),
    "numpy with grad": lambda m: f(m, 2).requires_grad_().numpy(),
    "grad of ints": lambda m: m.arange(2).requires_grad_(),
    "leaf in place": lambda m: f(m, 2).requires_grad_().add_(1),
    "view of leaf in place": lambda m: f(m, 2).requires_grad_()[0].add_(1),
    "backward of many": lambda m: (f(m, 2).requires_grad_() * 2).backward(),
    "backward twice": lambda m: _twice(f(m, 2).requires_grad_().exp().sum()),
    "backward of nothing": lambda m: f(m, 2).sum().backward(),
    "overwritten": lambda m: _overwritten(f(m, 2).requires_grad_() * 1),
    "mean of ints": lambda m: m.arange(3).mean(),
    "cat shapes": lambda m: m.cat([f(m, 2, 3), f(m, 2, 2)]),
    "stack shapes": lambda m: m.stack([f(m, 2), f(m, 3)]),
    "mask shape": lambda m: f(m, 3)[m.tensor([True, False])],
    "unknown method": lambda m: f(m, 2).summ(),
    "max of nothing": lambda m: m.zeros(0).max(),
    "ragged": lambda m: m.tensor([[1, 2], [3]]),
    "squeeze range": lambda m: f(m, 2).squeeze(3),
    "unsqueeze range": lambda m: f(m, 2).unsqueeze(3),
    "iterate 0-d": lambda m: list(m.tensor(1)),
    "tensor of text": lambda m: m.tensor(["a"]),
    "x[idx] range": lambda m: f(m, 3)[m.tensor([3])],
    "index shapes": lambda m: f(m, 3, 3)[m.tensor([0, 1]), m.tensor([0, 1, 2])],
    "set shape": lambda m: f(m, 3).__setitem__(slice(None), m.ones(2)),
    "expand": lambda m: f(m, 3).expand(4),
    "dot shapes": lambda m: m.dot(f(m, 2), f(m, 3)),
    "mm of 3-d": lambda m: m.mm(f(m, 2, 2, 2), f(m, 2, 2)),
    "einsum labels": lambda m: m.einsum("ijk->i", f(m, 2, 2)),
    "minus of bools": lambda m: m.tensor([True]) - m.tensor([True]),
    "negative power": lambda m: m.arange(3) ** -1,
    "arange sign": lambda m: m.arange(0, 5, -1),
}

GRADIENTS: dict[str, Case] = {
    "x[idx]": lambda m: lambda x: x[m.tensor([0, 0, 2])].pow(2).sum(),
    "x[mask]": lambda m: lambda x: x[x > 0].sum(),
    "x[1:, ::2]": lambda m: lambda x: (x[1:, ::2] ** 3).sum(),
    "max dim": lambda m: lambda x: x.max(1)[0].sum(),
    "amax": lambda m: lambda x: x.amax(0).sum(),
    "norm": lambda m: lambda x: x.norm() + (x * 0).norm(),
    "std": lambda m: lambda x: x.std(1).sum(),
    "sort": lambda m: lambda x: (x.sort(1)[0] * m.arange(4)).sum(),
    "topk": lambda m: lambda x: x.topk(2, 1)[0].pow(2).sum(),
    "cumsum": lambda m: lambda x: x.cumsum(1).pow(2).sum(),
    "cat": lambda m: lambda x: m.cat([x, x * 2], 1).pow(2).sum(),
    "stack": lambda m: lambda x: (m.stack([x, x * 2], 1) ** 2).sum(),
    "split": lambda m: lambda x: (x.split(3, 1)[0] * x.split(3, 1)[1][:, :1]).sum(),
    "gather": lambda m: lambda x: x.gather(1, m.tensor([[0, 0], [1, 2], [3, 3]])).pow(2).sum(),
    "scatter": lambda m: (
        lambda x: m.zeros(3, 4).scatter(1, m.tensor([[0], [1], [2]]), x[:, :1]).sum()
    ),
    "index_add": lambda m: lambda x: m.ones(5, 4).index_add(0, m.tensor([0, 0, 4]), x).pow(2).sum(),
    "roll": lambda m: lambda x: (x.roll(1, 1) * x).sum(),
    "repeat": lambda m: lambda x: x.repeat(2, 2).pow(2).sum(),
    "expand": lambda m: lambda x: (x[:, :1].expand(3, 5) ** 2).sum(),
    "diag": lambda m: lambda x: m.diag(x[:, :3]).pow(2).sum(),
    "tril": lambda m: lambda x: x.tril().pow(2).sum(),
    "einsum": lambda m: lambda x: m.einsum("ij,kj->ik", x, x).sum(),
    "where": lambda m: lambda x: m.where(x > 0, x, x * x).sum(),
    "clamp": lambda m: lambda x: x.clamp(-1, 1).pow(2).sum(),
    "logsumexp": lambda m: lambda x: x.logsumexp(1).sum(),
    "softmax": lambda m: lambda x: (x.softmax(1) * m.arange(4)).sum(),
    "prod": lambda m: lambda x: x.prod(1).sum(),
    "in place on result": lambda m: lambda x: (x * 2).add_(1).mul_(3).sum(),
    "in place on view": lambda m: lambda x: _through_view(m, x),
    "in place of rows": lambda m: lambda x: _rows_written(m, x),
    "masked write": lambda m: lambda x: _masked_write(m, x),
    "unfold": lambda m: lambda x: x.unfold(1, 2, 1).pow(2).sum(),
    "var": lambda m: lambda x: x.var().sqrt(),
    "median": lambda m: lambda x: x.median(1)[0].sum(),
    "matrix": lambda m: lambda x: (x @ x.T).pow(2).sum(),
    "quantile": lambda m: lambda x: x.quantile(0.4, dim=1).sum(),
}


def _changed(x: Any, change: Callable[[Any], Any]) -> Any:
    change(x)
    return x


def _twice(y: Any) -> None:
    y.backward()
    y.backward()


def _overwritten(x: Any) -> None:
    y = x.exp()
    y.add_(1)
    y.sum().backward()


def _through_view(m: Any, x: Any) -> Any:
    y = x * 1
    rows = y[1:]
    rows.mul_(x[:2])
    rows[0].exp_()
    return (y * y).sum()


def _rows_written(m: Any, x: Any) -> Any:
    out = m.zeros(3, 4)
    for n in range(3):
        out[n] = x[n] * n
    out[:, 0] += 1
    return (out**2).sum()


def _masked_write(m: Any, x: Any) -> Any:
    y = x.clone()
    y[y > 0.5] = 0
    y[m.tensor([0, 2])] = x[:2] * 3
    return (y**2).sum()


def _plain(value: Any) -> Any:
    """Results of either library as comparable Python and NumPy values."""
    if isinstance(value, ag.Tensor | torch.Tensor):
        array = np.asarray(value.detach().numpy())
        return str(value.dtype).rpartition(".")[2], tuple(value.shape), array
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value


def _same(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, tuple) and len(theirs) == 3 and isinstance(theirs[2], np.ndarray):
        assert ours[:2] == theirs[:2]
        np.testing.assert_allclose(ours[2], theirs[2], rtol=2e-5, atol=2e-6)
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            _same(a, b)
    else:
        assert ours == theirs


@pytest.mark.parametrize("name", [*CASES, *IN_PLACE])
def test_results(name: str) -> None:
    case = (CASES | IN_PLACE)[name]
    try:
        theirs = case(torch)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        with pytest.raises(type(error)):
            case(ag)
        return
    _same(_plain(case(ag)), _plain(theirs))


@pytest.mark.parametrize("name", ERRORS)
def test_error_types(name: str) -> None:
    try:
        ERRORS[name](torch)
    except Exception as error:  # whatever PyTorch raises, we raise
        theirs = error
    with pytest.raises(type(theirs)):
        ERRORS[name](ag)


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name: str) -> None:
    grads = []
    for m in (ag, torch):
        x = f(m, 3, 4).requires_grad_()
        GRADIENTS[name](m)(x).backward()
        grads.append(x.grad.numpy())
    np.testing.assert_allclose(grads[0], grads[1], rtol=2e-5, atol=2e-6)


PRINTED: dict[str, Case] = {
    "floats": lambda m: m.tensor([1.0, 2.5, -3.25]),
    "whole": lambda m: m.tensor([1.0, 2.0, 100.0]),
    "wide range": lambda m: m.tensor([1e-5, 1.0, 3.0]),
    "large": lambda m: m.tensor([1e10, 1.0]),
    "scalar": lambda m: m.tensor(3.14159),
    "matrix": lambda m: m.tensor([[1.0, -2.0], [3.5, 4.0]]),
    "cube": lambda m: m.arange(8).reshape(2, 2, 2),
    "bools": lambda m: m.tensor([True, False]),
    "empty": lambda m: m.tensor([]),
    "empty 2-d": lambda m: m.zeros(2, 0),
    "double": lambda m: m.tensor([1.0], dtype=m.float64),
    "int32": lambda m: m.tensor([1, 2], dtype=m.int32),
    "requires grad": lambda m: m.tensor([1.0], requires_grad=True),
    "nan": lambda m: m.tensor([float("nan"), 1.0, float("inf")]),
    "nan whole": lambda m: m.tensor([float("nan"), 1.5, -float("inf")]),
    "summarised": lambda m: m.arange(2000),
    "summarised matrix": lambda m: m.arange(10000).reshape(100, 100),
    "long line": lambda m: m.arange(40),
    "long floats": lambda m: m.arange(40) / 7,
    "complex": lambda m: m.tensor([1 + 2j, 3.5 - 1j]),
    "int scalar": lambda m: m.tensor(7),
    "half": lambda m: m.tensor([1.5, 2.0], dtype=m.float16),
    "size": lambda m: m.zeros(2, 3).shape,
    "device": lambda m: m.device("cpu"),
}


@pytest.mark.parametrize("name", PRINTED)
def test_printing(name: str) -> None:
    ours = repr(PRINTED[name](ag)).replace("argand.", "torch.")
    assert ours == repr(PRINTED[name](torch))
