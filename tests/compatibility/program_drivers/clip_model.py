"""CLIP's model with random weights: the loss of pairs, and steps of it; its tokens and images."""

from __future__ import annotations

import clip
import torch
from clip.model import CLIP
from parts import part, stepped
from PIL import Image
from torch.nn import functional as F

TEXTS = ["a diagram", "a dog", "a cat"]


def made(layers: object, patch: int | None) -> CLIP:
    """A small model: `layers` of four numbers for the ResNet, of one for the ViT."""
    return CLIP(64, 64, layers, 64, patch, 77, 49408, 64, 2, 2)


def loss(model: CLIP) -> torch.Tensor:
    """The contrastive loss of three pairs."""
    images = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    per_image, per_text = model(images, clip.tokenize(TEXTS))
    pairs = torch.arange(3)
    return (F.cross_entropy(per_image, pairs) + F.cross_entropy(per_text, pairs)) / 2


def trained(*given: object) -> float:
    """The loss after three steps."""
    model = made(*given)
    return stepped(model, lambda: loss(model), lr=0.01)


def looked_at() -> float:
    """A picture through the preprocessing of the package and the model without gradients."""
    model = made(2, 16).eval()
    picture = Image.new("RGB", (90, 70), (200, 30, 90))
    with torch.no_grad():
        image = clip.clip._transform(64)(picture).unsqueeze(0)
        features = model.encode_image(image)
        probabilities = model(image, clip.tokenize(TEXTS))[0].softmax(dim=-1)
    return float(features.square().mean() + probabilities[0, 1])


def rebuilt() -> float:
    """A model built from a state dict, as `clip.load` does."""
    from clip.model import build_model

    model = build_model(made(2, 16).state_dict()).float()
    with torch.no_grad():
        return float(loss(model))


part("ViT", lambda: trained(2, 16))
part("ResNet", lambda: trained((1, 1, 1, 1), None))
part("preprocessing", looked_at)
part("build_model", rebuilt)
