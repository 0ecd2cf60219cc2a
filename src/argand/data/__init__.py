"""Datasets, samplers and loaders: the names of `torch.utils.data`."""

from __future__ import annotations

from typing import Any

from argand.base.errors import unknown_name
from argand.base.misuse import explained_classes
from argand.data.collate import default_collate, default_convert
from argand.data.dataset import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from argand.data.distributed import DistributedSampler
from argand.data.loader import DataLoader
from argand.data.pipeline import Pipeline
from argand.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from argand.data.worker_info import get_worker_info

__all__ = [
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "DistributedSampler",
    "IterableDataset",
    "Pipeline",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "StackDataset",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "default_collate",
    "default_convert",
    "get_worker_info",
    "random_split",
]


explained_classes(globals(), __all__)


def __getattr__(name: str) -> Any:
    raise unknown_name(__name__, name, __all__)
