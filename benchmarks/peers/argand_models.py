"""The networks of torch_models.py, written with Argand."""

import math
from itertools import pairwise

import argand as ag
import argand.nn.functional as F
from argand import nn


class MLP(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, sizes=(784, 512, 512, 10)):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


class MnistCNN(nn.Module):
    """The net of pytorch/examples mnist without dropout; gives log-probabilities."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.fc1 = nn.Linear(9216, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = ag.flatten(F.max_pool2d(x, 2), 1)
        x = F.relu(self.fc1(x))
        return F.log_softmax(self.fc2(x), dim=1)


class Norm(nn.Module):
    """Layer norm over the last axis, with or without a bias."""

    def __init__(self, n, bias):
        super().__init__()
        self.weight = nn.Parameter(ag.ones(n))
        self.bias = nn.Parameter(ag.zeros(n)) if bias else None

    def forward(self, x):
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, 1e-5)


class GPTBlock(nn.Module):
    """Pre-norm causal attention and a GELU network, each added to the stream."""

    def __init__(self, d, heads, bias):
        super().__init__()
        self.ln1 = Norm(d, bias)
        self.qkv = nn.Linear(d, 3 * d, bias=bias)
        self.proj = nn.Linear(d, d, bias=bias)
        self.ln2 = Norm(d, bias)
        self.up = nn.Linear(d, 4 * d, bias=bias)
        self.down = nn.Linear(4 * d, d, bias=bias)
        self.heads = heads

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = (
            z.view(b, t, self.heads, d // self.heads).transpose(1, 2)
            for z in self.qkv(self.ln1(x)).split(d, dim=2)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(b, t, d))
        return x + self.down(F.gelu(self.up(self.ln2(x))))


class GPT(nn.Module):
    """nanoGPT: learned positions, tied embedding, logits of every position."""

    def __init__(self, layers, heads, d, block, vocab, bias=False):
        super().__init__()
        self.wte = nn.Embedding(vocab, d)
        self.wpe = nn.Embedding(block, d)
        self.blocks = nn.ModuleList(GPTBlock(d, heads, bias) for _ in range(layers))
        self.lnf = Norm(d, bias)
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, 0, 0.02)

    def forward(self, idx):
        x = self.wte(idx) + self.wpe.weight[: idx.shape[1]]
        for block in self.blocks:
            x = block(x)
        return F.linear(self.lnf(x), self.wte.weight)


def baby_gpt():
    """The network of gpt_train and gpt_infer."""
    return GPT(6, 6, 384, 256, 65)


C0 = math.sqrt(2 / math.pi)
C1 = C0 * 0.044715


def gelu_chain(x):
    """tanh GELU by hand: 8 elementwise operations."""
    return (ag.tanh((x * x * C1 + C0) * x) + 1.0) * x * 0.5


def micro_ops():
    """name -> (function, input shapes); forward only."""
    ops = {
        "gelu_chain": (gelu_chain, [(4096, 1024)]),
        "softmax": (lambda x: ag.softmax(x, -1), [(4096, 1024)]),
        "layernorm": (
            lambda x, w, b: F.layer_norm(x, (1024,), w, b),
            [(4096, 1024), (1024,), (1024,)],
        ),
        "sum0": (lambda x: x.sum(0), [(4096, 1024)]),
        "sum1": (lambda x: x.sum(1), [(4096, 1024)]),
        "bmm": (lambda a, b: ag.bmm(a, b), [(96, 128, 64), (96, 64, 128)]),
        "conv3x3": (
            lambda x, w: F.conv2d(x, w, padding=1),
            [(32, 64, 56, 56), (64, 64, 3, 3)],
        ),
        "dwconv3x3": (
            lambda x, w: F.conv2d(x, w, padding=1, groups=128),
            [(32, 128, 28, 28), (128, 1, 3, 3)],
        ),
        "attention": (
            lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
            [(8, 6, 256, 64)] * 3,
        ),
        "transpose": (lambda x: x.t().contiguous(), [(4096, 4096)]),
    }
    for n in (256, 512, 1024, 2048):
        ops[f"matmul{n}"] = (lambda a, b: a @ b, [(n, n), (n, n)])
    return ops
