"""Every model of pytorch-cifar: forward, loss, backward."""

from __future__ import annotations

import models
import torch
from parts import part
from torch import nn

NAMES = (
    *(
        [
            "LeNet",
            "VGG11",
            "VGG19",
            "ResNet18",
            "ResNet50",
            "PreActResNet18",
            "PreActResNet50",
            "GoogLeNet",
        ]
    ),
    *(
        [
            "DenseNet121",
            "ResNeXt29_2x64d",
            "ResNeXt29_32x4d",
            "MobileNet",
            "MobileNetV2",
            "DPN26",
            "DPN92",
        ]
    ),
    *(
        [
            "ShuffleNetG2",
            "ShuffleNetG3",
            "SENet18",
            "ShuffleNetV2",
            "EfficientNetB0",
            "RegNetX_200MF",
        ]
    ),
    *(["RegNetY_400MF", "PNASNetA", "PNASNetB", "SimpleDLA", "DLA"]),
)


def trained(name: str) -> float:
    """The loss of a batch, and the mean size of the gradients."""
    if name.startswith("VGG"):
        net = models.VGG(name)
    else:
        net = getattr(models, name)(*((1,) if name == "ShuffleNetV2" else ()))
    images = torch.randn(2, 3, 32, 32)
    loss = nn.CrossEntropyLoss()(net(images), torch.tensor([3, 5]))
    loss.backward()
    gradients = [p.grad.abs().mean() for p in net.parameters() if p.grad is not None]
    return float(loss) + float(sum(gradients)) / len(gradients)


for name in NAMES:
    part(name, lambda name=name: trained(name))
