"""Datasets, samplers and loaders: the names of `torch.utils.data`."""

from __future__ import annotations

from typing import Any

from argand.base.errors import unknown_name
from argand.base.misuse import explained_classes
from argand.data.collate import default_collate
from argand.data.dataset import (
    ConcatDataset,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    random_split,
)
from argand.data.loader import DataLoader
from argand.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

__all__ = [
    "BatchSampler",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "default_collate",
    "random_split",
]

explained_classes(globals(), __all__)


def __getattr__(name: str) -> Any:
    raise unknown_name(__name__, name, __all__)
