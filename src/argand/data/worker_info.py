"""Which worker process this is."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True)
class WorkerInfo:
    """Which worker this process is: `id` of `num_workers`, the `seed` that its generators were
    started from, and its own copy of the `dataset`."""

    id: int
    num_workers: int
    seed: int
    dataset: Any
    rng: Any = None
    worker_method: str | None = "multiprocessing"


this: WorkerInfo | None = None

crew = ""
"""A name that this worker and those beside it have, and no others."""


def get_worker_info() -> WorkerInfo | None:
    """Which of a loader's worker processes this is; None in the process that made the loader.

    An IterableDataset asks it for its part of the samples.

    >>> ag.data.get_worker_info() is None
    True
    """
    return this
