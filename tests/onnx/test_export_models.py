"""Whole models, exported with sizes that vary, and run by ONNX Runtime at other sizes too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnxrun import session

import argand as ag
from argand import nn
from argand.base.tree import flatten
from argand.nn import functional as F

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

Call = tuple[Any, ...]
rand = ag.rand


def agree(model: Callable[..., Any], calls: list[Call], dynamic: Any = None, **options: Any) -> Any:
    """Export for the first call, compare at all of them; the program."""
    program = ag.onnx.export(model, calls[0], dynamic_shapes=dynamic, **options)
    running = session(program.model_proto)
    for args in calls:
        with ag.no_grad():
            expected = model(*args)
        expected = [x for x in flatten(expected)[0] if isinstance(x, ag.Tensor)]
        tensors = [np.asarray(x) for x in flatten(args)[0] if isinstance(x, ag.Tensor)]
        given = dict(zip(program.input_names, tensors, strict=True))
        for a, e in zip(running.run(None, given), expected, strict=True):
            np.testing.assert_allclose(a, np.asarray(e), 1e-4, 1e-5)
    return program


def kinds(program: Any) -> list[str]:
    """The operators of a model, in order."""
    return [node.op_type for node in program.model_proto.graph.node]


@pytest.fixture(autouse=True)
def _seed() -> None:
    ag.manual_seed(0)


def test_a_perceptron() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    program = agree(model, [(ag.rand(3, 4),), (ag.rand(1, 4),), (ag.rand(7, 4),)], ({0: "batch"},))
    assert kinds(program) == ["Gemm", "Relu", "Gemm"]
    names = {t.name for t in program.model_proto.graph.initializer}
    assert names == {"0.weight", "0.bias", "2.weight", "2.bias"}


class Block(nn.Module):
    """Two convolutions."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.c1 = nn.Conv2d(inner, outer, 3, padding=1, bias=False)
        self.b1 = nn.BatchNorm2d(outer)
        self.c2 = nn.Conv2d(outer, outer, 3, padding=1)
        self.b2 = nn.BatchNorm2d(outer)

    def forward(self, x: Any) -> Any:
        """The image with other channels."""
        return F.relu(self.b2(self.c2(F.relu(self.b1(self.c1(x))))))


class UNet(nn.Module):
    """One level down and up."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.deep, self.last = Block(3, 8), Block(8, 16), Block(16, 8)
        self.up, self.head = nn.ConvTranspose2d(16, 8, 2, 2), nn.Conv2d(8, 2, 1)

    def forward(self, x: Any) -> Any:
        """Scores of each pixel."""
        a = self.down(x)
        y = self.up(self.deep(F.max_pool2d(a, 2)))
        return self.head(self.last(ag.cat([a, y], 1)))


class GPT(nn.Module):
    """One block of a decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.place = nn.Embedding(50, 16), nn.Embedding(32, 16)
        self.qkv, self.out = nn.Linear(16, 48), nn.Linear(16, 16)
        self.n1, self.n2 = nn.LayerNorm(16), nn.LayerNorm(16)
        self.mlp = nn.Sequential(nn.Linear(16, 64), nn.GELU(), nn.Linear(64, 16))
        self.head = nn.Linear(16, 50, bias=False)

    def forward(self, ids: Any) -> Any:
        """Scores of the next token."""
        b, t = ids.shape
        x = self.token(ids) + self.place(ag.arange(t))
        parts = self.qkv(self.n1(x)).split(16, -1)
        q, k, v = (z.view(b, t, 4, 4).transpose(1, 2) for z in parts)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, 16))
        return self.head(x + self.mlp(self.n2(x)))


class ViT(nn.Module):
    """Patches, a class token, and an encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 16, 4, 4)
        self.token, self.places = nn.Parameter(rand(1, 1, 16)), nn.Parameter(rand(1, 17, 16))
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Any) -> Any:
        """Scores of the classes."""
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = ag.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        return self.head(self.encoder(x)[:, 0])


def ids(*shape: int) -> ag.Tensor:
    """Tokens."""
    return ag.randint(0, 50, shape)


def sequences(layer: Any) -> Any:
    """A recurrent layer of sequences whose number and length vary."""
    dims = ({0: "n", 1: "t"},) if layer.batch_first else ({0: "t", 1: "n"},)
    return layer, [(rand(2, 3, 4),), (rand(3, 5, 4),), (rand(1, 1, 4),)], dims, {layer.kind}


N = ({0: ag.Dim("n")},)
IMAGES = ({0: "n", 2: "h", 3: "w"},)


def _resize(mode: str) -> Callable[..., Any]:
    return lambda x: F.interpolate(x, scale_factor=2, mode=mode)


# A model, its calls, which sizes vary, and operators that it has to become.
MODELS: dict[str, Callable[[], Any]] = {
    "conv1d": lambda: (
        nn.Sequential(nn.Conv1d(3, 4, 3, padding=1), nn.ReLU()),
        [(rand(2, 3, 10),), (rand(4, 3, 13),)],
        ({0: "n", 2: ag.Dim("t")},),
        {"Conv", "Relu"},
    ),
    "conv3d": lambda: (nn.Conv3d(2, 3, 3, padding=1), [(rand(2, 2, 5, 6, 7),)], N, {"Conv"}),
    "conv_transpose": lambda: (
        nn.ConvTranspose2d(3, 4, 4, stride=2, padding=1),
        [(rand(2, 3, 5, 5),), (rand(3, 3, 7, 6),)],
        ({0: ag.Dim("n"), 2: ag.Dim("h"), 3: ag.Dim("w")},),
        {"ConvTranspose"},
    ),
    "batch_norm": lambda: (
        nn.BatchNorm1d(8).eval(),
        [(rand(2, 8),), (rand(3, 8),)],
        N,
        {"BatchNormalization"},
    ),
    "group_norm": lambda: (
        nn.GroupNorm(2, 4),
        [(rand(2, 4, 5, 5),), (rand(3, 4, 5, 5),)],
        N,
        {"InstanceNormalization"},
    ),
    "instance_norm": lambda: (
        nn.InstanceNorm2d(4, affine=True),
        [(rand(2, 4, 5, 5),), (rand(3, 4, 5, 5),)],
        N,
        {"InstanceNormalization"},
    ),
    "rms_norm": lambda: (nn.RMSNorm(8), [(rand(2, 8),), (rand(3, 8),)], N, set()),
    "lstm": lambda: sequences(nn.LSTM(4, 6, 2, bidirectional=True, batch_first=True)),
    "gru": lambda: sequences(nn.GRU(4, 6)),
    "rnn": lambda: sequences(nn.RNN(4, 6, nonlinearity="relu", bias=False)),
    **{
        f"resize_{mode}": lambda mode=mode: (
            _resize(mode),
            [(rand(2, 3, 5, 5),), (rand(3, 3, 5, 5),)],
            N,
            {"Resize"},
        )
        for mode in ("nearest", "nearest-exact", "bilinear", "bicubic")
    },
    "resize_area": lambda: (_resize("area"), [(rand(2, 3, 5, 5),)], N, set()),
    "resize_linear": lambda: (_resize("linear"), [(rand(2, 3, 5),)], N, {"Resize"}),
    "upsample": lambda: (
        nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
        [(rand(2, 3, 5, 5),), (rand(3, 3, 7, 6),)],
        IMAGES,
        {"Resize"},
    ),
    "grid_sample": lambda: (
        lambda x, g: F.grid_sample(x, g, align_corners=False),
        [(rand(2, 3, 5, 5), rand(2, 4, 4, 2) * 2 - 1)],
        None,
        {"GridSample"},
    ),
    "pools": lambda: (
        nn.Sequential(nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.AvgPool2d(2)),
        [(rand(2, 3, 9, 9),), (rand(3, 3, 17, 16),)],
        IMAGES,
        {"MaxPool", "AveragePool"},
    ),
    "encoder_with_mask": lambda: (
        _masked(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, activation="gelu").eval()),
        [(rand(2, 3, 16), _mask(2, 3)), (rand(1, 5, 16), _mask(1, 5))],
        ({0: "n", 1: "t"}, {0: "n", 1: "t"}),
        {"Softmax", "Gelu"},
    ),
    "gpt": lambda: (GPT(), [(ids(2, 5),), (ids(3, 9),), (ids(1, 1),)], ({0: "n", 1: "t"},), set()),
    "vit": lambda: (ViT().eval(), [(rand(2, 3, 16, 16),), (rand(5, 3, 16, 16),)], N, {"Conv"}),
    "unet": lambda: (
        UNet().eval(),
        [(rand(1, 3, 8, 8),), (rand(3, 3, 12, 16),)],
        ({0: "n", 2: 2 * ag.Dim("h"), 3: 2 * ag.Dim("w")},),
        {"Conv", "BatchNormalization", "ConvTranspose", "Concat"},
    ),
    "choices": lambda: (
        lambda x: (x.topk(2)[0], x.sort(descending=True)[1], x[:, [0, 2]], x[x.shape[0] // 2 :]),
        [(rand(4, 5),), (rand(6, 5),)],
        ({0: "n"},),
        {"TopK"},
    ),
    "cond": lambda: (
        lambda x: ag.cond(x.sum() > 0, lambda y: y * 2, lambda y: y - y.mean(0), (x,)),
        [(rand(2, 3),), (-rand(3, 3),)],
        N,
        {"If"},
    ),
    "while_loop": lambda: (
        lambda x: ag.while_loop(
            lambda i, y: (i < 9) & (y.sum() < 50), lambda i, y: (i + 1, y * 2 + x), (0, x)
        ),
        [(rand(2, 3),), (-rand(3, 3),), (rand(2, 3) * 100,)],
        N,
        {"Loop"},
    ),
    "containers": lambda: (
        lambda d: {"y": d["a"] + d["b"][0]},
        [({"a": rand(2, 3), "b": [rand(2, 3)]},)],
        ({"a": {0: "n"}, "b": [("n", None)]},),
        {"Add"},
    ),
    "activations": lambda: (
        nn.Sequential(nn.Hardswish(), nn.SiLU(), nn.Mish(), nn.SELU(), nn.PReLU(), nn.GLU()),
        [(rand(2, 4) - 0.5,), (rand(3, 4),)],
        N,
        set(),
    ),
    "reductions": lambda: (
        lambda x: (x.norm(dim=1), F.normalize(x), x.std(1), x.var(), x.prod(1), x // 0.3, x % 0.3),
        [(rand(2, 4),), (rand(3, 4),)],
        N,
        set(),
    ),
    "moves": lambda: (
        lambda x: (x.tril(), x.triu(1), x.flip(0), x.roll(1, 0), x.repeat(2, 3), x.unfold(1, 2, 1)),
        [(rand(3, 3),), (rand(5, 3),)],
        N,
        set(),
    ),
    "folds": lambda: (
        lambda x: F.fold(F.unfold(x, 3, padding=1), (6, 6), 3, padding=1),
        [(rand(2, 3, 6, 6),)],
        None,
        set(),
    ),
    "loss": lambda: (
        lambda x, y: F.cross_entropy(x, y),
        [(rand(2, 3), ag.tensor([0, 2]))],
        None,
        {"SoftmaxCrossEntropyLoss"},
    ),
}


def _mask(n: int, t: int) -> ag.Tensor:
    found = ag.zeros(n, t, dtype=ag.bool)
    found[0, -1] = True
    return found


def _masked(encoder: Any) -> Callable[..., Any]:
    return lambda x, mask: encoder(x, src_key_padding_mask=mask)


@pytest.mark.parametrize("name", MODELS)
def test_models_agree_with_the_runtime(name: str) -> None:
    model, calls, dims, wanted = MODELS[name]()
    program = agree(model, calls, dims)
    assert wanted <= set(kinds(program)), kinds(program)


@pytest.mark.slow
@pytest.mark.parametrize("opset", range(17, onnx.defs.onnx_opset_version() + 1))
@pytest.mark.parametrize("name", MODELS)
def test_models_agree_in_every_opset(name: str, opset: int) -> None:
    model, calls, dims, _ = MODELS[name]()
    agree(model, calls, dims, opset=opset)


def test_a_convolutional_network() -> None:
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)]
    model = nn.Sequential(*layers).eval()
    agree(model, [(ag.rand(2, 3, 8, 8),), (ag.rand(5, 3, 8, 8),)], ({0: "batch"},))


@pytest.mark.parametrize("opset", [17, 20, 23])
def test_a_transformer(opset: int) -> None:
    model = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True).eval()
    calls = [(ag.rand(2, 5, 16),), (ag.rand(3, 9, 16),), (ag.rand(1, 1, 16),)]
    program = agree(model, calls, ({0: "batch", 1: "time"},), opset=opset)
    assert "LayerNormalization" in kinds(program)
    assert ("Attention" in kinds(program)) == (opset >= 23)


def test_shape_arithmetic() -> None:
    def regrouped(x: Any) -> Any:
        n, t, _ = x.shape
        y = x.reshape(n, t * 3, 1).expand(-1, -1, t // 2).transpose(1, 2)
        return F.pad(y, (1, 2), value=0.5).cumsum(-1) / n + ag.arange(3 * t + 3)

    calls = [(ag.rand(2, 6, 3),), (ag.rand(5, 8, 3),)]
    agree(regrouped, calls, ({0: "n", 1: ag.Dim("t")},))
