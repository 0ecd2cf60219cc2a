"""DETR: the model, its matching and losses, training steps, boxes as results."""

from __future__ import annotations

import torch
from models.backbone import Backbone, Joiner
from models.detr import DETR, PostProcess, SetCriterion
from models.matcher import HungarianMatcher
from models.position_encoding import PositionEmbeddingLearned, PositionEmbeddingSine
from models.transformer import Transformer
from parts import part, stepped
from util.misc import nested_tensor_from_tensor_list

WEIGHTS = {"loss_ce": 1, "loss_bbox": 5, "loss_giou": 2}
LOSSES = ["labels", "boxes", "cardinality"]


def made(position: object = None) -> DETR:
    """A small model."""
    position = position or PositionEmbeddingSine(16, normalize=True)
    joined = Joiner(Backbone("resnet18", True, False, False), position)
    joined.num_channels = 512
    transformer = Transformer(
        32, 4, 2, 2, 64, dropout=0.0, normalize_before=True, return_intermediate_dec=True
    )
    return DETR(joined, transformer, num_classes=5, num_queries=8, aux_loss=True)


def batch() -> tuple[object, list[dict[str, torch.Tensor]]]:
    """Two images of different sizes and what is on them."""
    images = [torch.rand(3, 64, 96), torch.rand(3, 80, 64)]
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.3], [0.3, 0.6, 0.4, 0.2]])
    targets = [
        {"labels": torch.tensor([1, 3]), "boxes": boxes},
        {"labels": torch.tensor([2]), "boxes": boxes[:1] * 0.9},
    ]
    return nested_tensor_from_tensor_list(images), targets


def trained(model: DETR) -> float:
    """The loss after two steps."""
    criterion = SetCriterion(5, HungarianMatcher(1, 5, 2), WEIGHTS, 0.1, LOSSES)
    images, targets = batch()

    def loss() -> torch.Tensor:
        found = criterion(model(images), targets)
        return sum(found[name] * weight for name, weight in WEIGHTS.items())

    return stepped(model, loss, steps=2)


def located() -> float:
    """Boxes and scores without gradients."""
    model, (images, _) = made().eval(), batch()
    with torch.no_grad():
        found = PostProcess()(model(images), torch.tensor([[64, 96], [80, 64]]))
    return float(found[0]["boxes"].abs().mean() + found[1]["scores"].sum())


part("training", lambda: trained(made()))
part("learned positions", lambda: trained(made(PositionEmbeddingLearned(16))))
part("boxes", located)
