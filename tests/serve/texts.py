"""A small language model that the tests generate with."""

from __future__ import annotations

from typing import Any

import numpy as np

import argand as ag
from argand import nn
from argand.nn import functional as F
from argand.serve.generation import Sampling
from argand.serve.generation.sampling import draw, uniform

LETTERS = "\n abcdefghijklmnopqrstuvwxyz.!:ABU"


class Block(nn.Module):
    """Causal attention and a GELU network."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.heads = heads

    def forward(self, x: Any) -> Any:
        b, t, c = x.shape
        q, k, v = (
            part.view(b, t, self.heads, c // self.heads).transpose(1, 2)
            for part in self.qkv(self.norm1(x)).split(c, dim=2)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(b, t, c))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    """Tokens and positions embedded, blocks, and the logits of the next token."""

    def __init__(self, vocabulary: int, layers: int, heads: int, width: int, length: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.places = nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens: Any, positions: Any) -> Any:
        x = self.tokens(tokens) + self.places(positions)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def small_model(context: int = 64) -> GPT:
    """A model with weights that make no token likely for long."""
    ag.manual_seed(0)
    model = GPT(len(LETTERS), layers=2, heads=2, width=16, length=context).eval()
    with ag.no_grad():
        model.head.weight *= 6.0
    return model


def plain_logits(model: Any, tokens: list[int]) -> np.ndarray:
    """The logits of all tokens by the model itself, eagerly."""
    given = ag.tensor(np.array([tokens]))
    with ag.no_grad():
        found: np.ndarray = model(given, ag.arange(len(tokens)).unsqueeze(0)).numpy()[0]
    return found


def plain_loop(
    model: Any, prompt: list[int], how: Sampling, context: int, number: int = 0
) -> list[int]:
    """The tokens that follow a prompt, without any cache."""
    tokens = list(prompt)
    while len(tokens) - len(prompt) < how.max_tokens and len(tokens) < context:
        u = uniform(how.seed or 0, number, len(tokens) - len(prompt))
        drawn = draw(plain_logits(model, tokens)[-1], tokens, len(prompt), how, u)
        if drawn.token in how.stop_tokens:
            break
        tokens.append(drawn.token)
    return tokens[len(prompt) :]


__all__ = ["GPT", "LETTERS", "Block", "plain_logits", "plain_loop", "small_model"]
