"""The device "meta": shapes, strides and dtypes without values."""

from __future__ import annotations

import copy
import resource

import numpy as np
import pytest

import argand as ag
from argand import nn


def meta(*shape: int, dtype: ag.DType = ag.float32) -> ag.Tensor:
    return ag.empty(shape, dtype=dtype, device="meta")


def test_a_meta_tensor_has_everything_but_values() -> None:
    x = meta(2, 3)
    assert (x.device, x.is_meta, x.is_cpu) == (ag.device("meta"), True, False)
    assert x.t().stride() == (1, 3) and not x.t().is_contiguous() and x.data_ptr() == 0
    assert repr(x) == "tensor(..., device='meta', size=(2, 3))"
    assert repr(meta(0, dtype=ag.int32).requires_grad) == "False"
    assert not ag.ones(2).is_meta and ag.ones(2).device == ag.device("cpu")


FUNCTIONS = {
    "add": lambda x: x + 1,
    "broadcast": lambda x: x + ag.ones(2, 1, 1, device=x.device),
    "matmul": lambda x: x @ x.mT,
    "view": lambda x: x.view(-1)[3:].unsqueeze(0),
    "slice": lambda x: x[:, ::2, 0],
    "index": lambda x: x[ag.tensor([0, 1, 1], device=x.device)],
    "sum": lambda x: x.sum((0, 2), keepdim=True),
    "softmax": lambda x: x.softmax(-1),
    "layer_norm": lambda x: nn.functional.layer_norm(x, (4,)),
    "conv": lambda x: nn.functional.conv1d(x, ag.ones(5, 3, 2, device=x.device)),
    "where": lambda x: ag.where(x > 0, x, 0),
    "cat": lambda x: ag.cat([x, x], 1),
    "stack": lambda x: ag.stack([x, x]),
    "sort": lambda x: x.sort(-1).indices,
    "topk": lambda x: x.topk(2).values,
    "cumsum": lambda x: x.cumsum(0),
    "einsum": lambda x: ag.einsum("abc,dbc->ad", x, x),
    "attention": lambda x: nn.functional.scaled_dot_product_attention(x, x, x),
    "dropout": lambda x: nn.functional.dropout(x, 0.5),
    "half": lambda x: x.half(),
    "permute": lambda x: x.permute(2, 0, 1),
    "fft": lambda x: ag.fft.rfft(x),
    "masked_fill": lambda x: x.masked_fill(x > 0, 1.0),
    "in place": lambda x: x.add_(1).mul_(2),
    "pad": lambda x: nn.functional.pad(x, (1, 2)),
    "full": lambda x: ag.full_like(x, 2.0, dtype=ag.int64),
    "new": lambda x: x.new_zeros(7),
    "randn": lambda x: ag.randn_like(x),
    "normal": lambda x: x.normal_(),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_have_the_shapes_strides_and_dtypes_of_real_ones(name: str) -> None:
    real, found = FUNCTIONS[name](ag.rand(2, 3, 4)), FUNCTIONS[name](meta(2, 3, 4))
    assert found.is_meta
    assert (found.shape, found.dtype) == (real.shape, real.dtype)
    assert found.stride() == real.stride()


def test_a_model_is_made_run_and_differentiated_without_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ag.manual_seed(0)
    expected = ag.rand(2)
    ag.manual_seed(0)
    with ag.device("meta"):
        model = nn.Sequential(
            nn.Embedding(500_000, 8192),
            nn.TransformerEncoderLayer(8192, 64, 32768, batch_first=True),
            nn.Linear(8192, 500_000),
        )
        tokens = ag.arange(6).view(2, 3)
        out = model(tokens)
    out.sum().backward()
    assert out.shape == (2, 3, 500_000)
    assert all(p.is_meta and p.grad.is_meta for p in model.parameters())
    assert ag.equal(ag.rand(2), expected)  # nothing was drawn
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000  # kilobytes, where the parameters would take 40 GB


def test_the_default_device_is_of_what_is_made_not_of_what_is_computed() -> None:
    real = ag.ones(2)
    with ag.device("meta"):
        assert (real + 1).tolist() == [2, 2] and not ag.zeros_like(real).is_meta
        assert ag.tensor([1, 2]).is_meta and ag.eye(2).is_meta and ag.as_tensor(np.ones(2)).is_meta
        assert ag.linspace(0, 1, 3).is_meta and ag.randperm(3).is_meta
        assert not ag.ones(1, device="cpu").is_meta
    ag.set_default_device("meta")
    try:
        assert ag.ones(1).is_meta
    finally:
        ag.set_default_device("cpu")
    assert not ag.ones(1).is_meta


@pytest.mark.parametrize(
    "ask",
    [
        lambda x: x.item(),
        lambda x: x.tolist(),
        lambda x: x.numpy(),
        lambda x: np.asarray(x),
        lambda x: bool(x),
        lambda x: float(x),
        lambda x: x.cpu(),
        lambda x: x.to("cpu"),
        lambda x: x.nonzero(),
        lambda x: ag.equal(x, x),
        lambda x: ag.ones(1).copy_(x),
        lambda x: x.unique(),
        lambda x: nn.Linear(1, 1).to("meta").to("cpu"),
        lambda x: nn.Linear(1, 1, device="meta").cpu(),
    ],
)
def test_values_are_refused(ask) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor; no data!"):
        ask(meta(1))


@pytest.mark.parametrize("name", ["x.pt", "x.safetensors", "x.npz"])
def test_a_meta_tensor_isnt_saved_as_zeros(tmp_path, name: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(NotImplementedError, match="no data"):
        ag.save({"a": meta(2)}, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_module_gets_memory_and_values() -> None:
    real, empty = nn.Linear(3, 2), nn.Linear(3, 2, device="meta")
    empty.load_state_dict(real.state_dict())
    assert empty.weight.is_meta
    empty.load_state_dict(real.state_dict(), assign=True)
    assert ag.equal(empty.weight, real.weight) and isinstance(empty.weight, nn.Parameter)
    made = nn.Linear(3, 2, device="meta").to_empty(device="cpu")
    assert made.weight.device == ag.device("cpu") and made.weight.requires_grad
    made.load_state_dict(real.state_dict())
    x = ag.rand(1, 3)
    assert ag.equal(made(x), real(x))
    twin = copy.deepcopy(nn.Linear(3, 2, device="meta"))
    assert twin.weight.is_meta and twin.weight.requires_grad


def test_compiled_functions_give_shapes_and_compute_no_zeros() -> None:
    double = ag.compile(lambda x: x * 2)
    assert double(meta(3)).is_meta and double(ag.ones(3)).tolist() == [2, 2, 2]
    assert double(meta(3)).is_meta
    layer = nn.Linear(2, 2)
    compiled = ag.compile(layer)
    compiled(ag.ones(1, 2))
    layer.to("meta")
    with pytest.raises(NotImplementedError, match="no data"):
        compiled(ag.ones(1, 2))
