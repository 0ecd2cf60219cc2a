"""Puts random weights where torchvision looks for those of a model that it would fetch.

weights.py resnet18
"""

from __future__ import annotations

import os
import sys

import torch
from torchvision.models import get_model, get_model_weights

folder = os.path.join(torch.hub.get_dir(), "checkpoints")
for name in sys.argv[1:]:
    asked = get_model_weights(name)["IMAGENET1K_V1"]
    path = os.path.join(folder, os.path.basename(asked.url))
    if not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        torch.manual_seed(0)
        torch.save(get_model(name).state_dict(), path)
