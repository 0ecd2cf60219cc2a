"""The models of pytorch/examples whose programs read their texts by torchtext, on random words."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import torch
from parts import part, stepped
from torch.nn import functional as F

sys.path += ["language_translation", "legacy/snli"]

from model import SNLIClassifier
from src.model import Translator


def mask_of(size: int) -> torch.Tensor:
    """What `generate_square_subsequent_mask` of the program gives."""
    mask = (torch.triu(torch.ones((size, size))) == 1).transpose(0, 1)
    return mask.float().masked_fill(mask == 0, float("-inf")).masked_fill(mask == 1, 0.0)


def translation() -> float:
    """The loss of the transformer after three steps, with padded sentences."""
    model = Translator(2, 2, 32, 4, 50, 60, 64, 0.0)
    source, target = torch.randint(2, 50, (9, 4)), torch.randint(2, 60, (8, 4))
    source[6:, 1] = target[5:, 2] = 1
    given, expected = target[:-1], target[1:]
    masks = torch.zeros((9, 9), dtype=torch.bool), mask_of(7)
    padding = (source == 1).transpose(0, 1), (given == 1).transpose(0, 1)

    def loss() -> torch.Tensor:
        scores = model(source, given, *masks, *padding, padding[0])
        return F.cross_entropy(scores.reshape(-1, 60), expected.reshape(-1), ignore_index=1)

    return stepped(model, loss, lr=0.1)


def inference(bidirectional: bool) -> float:
    """The loss of the classifier of pairs of sentences after three steps."""
    layers = 2
    config = SimpleNamespace(
        d_embed=16, d_proj=24, d_hidden=24, n_layers=layers, birnn=bidirectional, dp_ratio=0.0,
        n_cells=layers * (1 + bidirectional), fix_emb=False, projection=True, n_embed=40, d_out=3,
    )  # fmt: skip
    model = SNLIClassifier(config)
    premise, hypothesis = torch.randint(0, 40, (7, 6)), torch.randint(0, 40, (5, 6))
    batch = SimpleNamespace(premise=premise, hypothesis=hypothesis)
    return stepped(model, lambda: F.cross_entropy(model(batch), torch.arange(6) % 3), lr=0.1)


part("language_translation", translation)
part("snli", lambda: inference(False))
part("snli, both directions", lambda: inference(True))
