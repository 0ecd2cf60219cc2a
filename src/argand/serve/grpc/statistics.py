"""Counts of requests and batches by version, as Triton's clients ask for them."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from argand.serve.batching import Batch
from argand.serve.engine import Engine
from argand.serve.version import ModelVersion


@dataclass(slots=True)
class _Counts:
    requests: int = 0
    rows: int = 0
    failed: int = 0
    waited: float = 0.0
    computed: float = 0.0
    last: float = 0.0
    batches: dict[int, list[float]] = field(default_factory=dict)  # by rows: count and seconds


class Statistics:
    """Counts what an engine computes, from the moment that it is made."""

    def __init__(self, engine: Engine) -> None:
        self._counts: defaultdict[tuple[str, int], _Counts] = defaultdict(_Counts)
        engine.observers.append(self._observe)

    def _observe(self, version: ModelVersion, batch: Batch) -> None:
        counts = self._counts[version.model, version.number]
        if getattr(batch, "failed", False):
            counts.failed += batch.requests
            return
        counts.requests += batch.requests
        counts.rows += batch.rows
        counts.waited += batch.waited
        counts.computed += batch.took
        counts.last = time.time()
        of_size = counts.batches.setdefault(batch.rows, [0, 0.0])
        of_size[0] += 1
        of_size[1] += batch.took

    def describe(self, model: str, version: int, into: Any) -> None:
        """Write the counts of a version into a ModelStatistics."""
        counts = self._counts[model, version]
        executions = sum(int(count) for count, _ in counts.batches.values())
        into.name, into.version = model, str(version)
        into.last_inference = int(counts.last * 1000)
        into.inference_count, into.execution_count = counts.rows, executions
        stats = into.inference_stats
        _set(stats.success, counts.requests, counts.waited + counts.computed)
        _set(stats.fail, counts.failed, 0.0)
        _set(stats.queue, counts.requests, counts.waited)
        _set(stats.compute_input, counts.requests, 0.0)
        _set(stats.compute_infer, counts.requests, counts.computed)
        _set(stats.compute_output, counts.requests, 0.0)
        for rows, (count, seconds) in sorted(counts.batches.items()):
            row = into.batch_stats.add(batch_size=rows)
            for part, took in (("input", 0.0), ("infer", seconds), ("output", 0.0)):
                _set(getattr(row, f"compute_{part}"), int(count), took)


def _set(duration: Any, count: int, seconds: float) -> None:
    duration.count, duration.ns = count, int(seconds * 1e9)


__all__ = ["Statistics"]
