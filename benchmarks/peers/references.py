"""What the single operations give in float64 NumPy: what Argand's results are held against."""

import math

import numpy as np

C0 = math.sqrt(2 / math.pi)
C1 = C0 * 0.044715


def gelu_chain(x):
    return (np.tanh((x * x * C1 + C0) * x) + 1.0) * x * 0.5


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def layernorm(x, w, b):
    mean = x.mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * w + b


def taps(x):
    """The nine shifted images of a 3x3 convolution with padding 1, in the order of its weights."""
    n, c, h, w = x.shape
    padded = np.zeros((n, c, h + 2, w + 2))
    padded[:, :, 1:-1, 1:-1] = x
    return [(i, j, padded[:, :, i : i + h, j : j + w]) for i in range(3) for j in range(3)]


def conv3x3(x, w):
    """(N, C, H, W) and (O, C, 3, 3), padding 1."""
    return sum(np.moveaxis(np.tensordot(w[:, :, i, j], t, (1, 1)), 0, 1) for i, j, t in taps(x))


def conv3x3_gradients(x, w, g):
    """The gradients of conv3x3 by x and by w for an output gradient g."""
    dx = conv3x3(g, w[:, :, ::-1, ::-1].swapaxes(0, 1))
    dw = np.zeros(w.shape)
    for i, j, t in taps(x):
        dw[:, :, i, j] = np.tensordot(g, t, ((0, 2, 3), (0, 2, 3)))
    return dx, dw


def dwconv3x3(x, w):
    """(N, C, H, W) and (C, 1, 3, 3), padding 1, every channel by itself."""
    return sum(w[:, 0, i, j][:, None, None] * t for i, j, t in taps(x))


def attention(q, k, v):
    """Causal softmax attention."""
    scores = q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1])
    hidden = np.triu(np.ones(scores.shape[-2:], bool), 1)
    return softmax(np.where(hidden, -np.inf, scores)) @ v


def mlp(x, weights, biases):
    """Linear layers with ReLU between them."""
    for w, b in zip(weights[:-1], biases[:-1], strict=True):
        x = np.maximum(x @ w.T + b, 0)
    return x @ weights[-1].T + biases[-1]


MICRO = {
    "gelu_chain": gelu_chain,
    "softmax": softmax,
    "layernorm": layernorm,
    "sum0": lambda x: x.sum(0),
    "sum1": lambda x: x.sum(1),
    "bmm": np.matmul,
    "conv3x3": conv3x3,
    "dwconv3x3": dwconv3x3,
    "attention": attention,
    "transpose": lambda x: x.T,
    **{f"matmul{n}": np.matmul for n in (256, 512, 1024, 2048)},
}
