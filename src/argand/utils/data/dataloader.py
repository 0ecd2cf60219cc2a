"""`argand.utils.data.dataloader`: loaders and their passes under PyTorch's address."""

from argand.data.collate import default_collate, default_convert
from argand.data.dataset import Dataset, IterableDataset
from argand.data.iterators import (
    _BaseDataLoaderIter,
    _DatasetKind,
    _SingleProcessDataLoaderIter,
)
from argand.data.loader import DataLoader
from argand.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    _InfiniteConstantSampler,
)
from argand.data.worker import ExceptionWrapper
from argand.data.worker_info import get_worker_info
from argand.data.workers import _MultiProcessingDataLoaderIter

__all__ = [
    "BatchSampler",
    "DataLoader",
    "Dataset",
    "ExceptionWrapper",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "_BaseDataLoaderIter",
    "_DatasetKind",
    "_InfiniteConstantSampler",
    "_MultiProcessingDataLoaderIter",
    "_SingleProcessDataLoaderIter",
    "default_collate",
    "default_convert",
    "get_worker_info",
]
