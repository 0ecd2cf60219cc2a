"""The part of the samples that belongs to one of several processes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sized
from typing import Any

from argand.base.errors import ArgumentError
from argand.data.sampler import Sampler
from argand.tensor.generators import Generator
from argand.tensor.random import randperm


class DistributedSampler(Sampler):
    """Every `num_replicas`-th sample from `rank` on, of all in order or shuffled by seed and epoch.

    The parts are equally long: samples are repeated, or left out with `drop_last`. `num_replicas`
    is 1 and `rank` 0 unless given. Call `set_epoch` before each epoch for another order. Follows
    `torch.utils.data.distributed.DistributedSampler`.

    >>> list(ag.data.DistributedSampler("abcde", num_replicas=2, rank=1, shuffle=False))
    [1, 3, 0]
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        self.dataset, self.shuffle, self.seed = dataset, shuffle, seed
        self.num_replicas = 1 if num_replicas is None else num_replicas
        self.rank, self.drop_last, self.epoch = rank or 0, drop_last, 0
        if not 0 <= self.rank < self.num_replicas:
            raise ArgumentError(
                f"DistributedSampler: rank must be at least 0 and below {self.num_replicas}, "
                f"got {rank}"
            )
        rounded = math.floor if drop_last else math.ceil
        self.num_samples = rounded(len(dataset) / self.num_replicas)
        self.total_size = self.num_samples * self.num_replicas

    def __iter__(self) -> Iterator[int]:
        count = len(self.dataset)
        order = list(range(count))
        if self.shuffle:
            generator = Generator()
            generator.manual_seed(self.seed + self.epoch)
            drawn: Any = randperm(count, generator=generator)
            order = drawn.tolist()
        while order and len(order) < self.total_size:
            order += order[: self.total_size - len(order)]
        return iter(order[self.rank : self.total_size : self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Shuffle by this epoch's number."""
        self.epoch = epoch

    def state_dict(self) -> dict[str, int]:
        """The epoch's number; a loader's state has it."""
        return {"epoch": self.epoch}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Set the epoch's number to that of a `state_dict()`."""
        self.epoch = state_dict["epoch"]
