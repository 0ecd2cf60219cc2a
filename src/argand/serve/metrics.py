"""What a server counts: for Prometheus, for Triton's clients, and for the page."""

from __future__ import annotations

import resource
import sys
import time
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from typing import Any

from argand.serve.batching import Batch
from argand.serve.engine import Engine
from argand.serve.generation.generator import FACTS, facts_of
from argand.serve.version import ModelVersion, State

_SECONDS = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1, 2.5, 10)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_FAILURES = {429, 500, 503, 504, "RESOURCE_EXHAUSTED", "INTERNAL", "UNAVAILABLE"}
_UNSHOWN = {"health", "openapi", "page"}  # protocols that ask about the server, not of it
_KEPT = 120  # seconds that the page shows
_SAMPLES = 1000  # latencies of a second that are kept for its quantiles


class Histogram:
    """How many values there were up to each of some bounds, and above, and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


@dataclass(slots=True)
class Counts:
    """The batches of a version; Triton's clients are told of those that were computed, Prometheus
    of those that failed too."""

    requests: int = 0
    rows: int = 0
    failed: int = 0
    waited: float = 0.0
    computed: float = 0.0
    last: float = 0.0
    by_rows: dict[int, list[float]] = field(default_factory=dict)  # count and seconds
    sizes: Histogram = field(default_factory=partial(Histogram, _SIZES))
    waits: Histogram = field(default_factory=partial(Histogram, _SECONDS))
    calls: Histogram = field(default_factory=partial(Histogram, _SECONDS))
    elements: int = 0
    padded: int = 0


@dataclass(slots=True)
class Second:
    """The requests that ended within a second."""

    time: int
    requests: int = 0
    failed: int = 0
    seconds: list[float] = field(default_factory=list)

    def quantile(self, share: float) -> float | None:
        """A quantile of the seconds that requests took."""
        if not self.seconds:
            return None
        ordered = sorted(self.seconds)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


class Metrics:
    """Counts the requests of a server and the batches of its engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.started = time.time()
        self.connections: Callable[[], int] = lambda: 0  # that are open
        self._counts: defaultdict[tuple[str, int], Counts] = defaultdict(Counts)
        self._requests: defaultdict[tuple[str, ...], int] = defaultdict(int)
        self._seconds: defaultdict[tuple[str, ...], Histogram] = defaultdict(
            partial(Histogram, _SECONDS)
        )
        self._recent: deque[Second] = deque(maxlen=_KEPT)
        engine.observers.append(self.observe_batch)

    def observe(
        self, protocol: str, model: str, version: str, status: int | str, seconds: float
    ) -> None:
        """Count a request that was answered, with HTTP's status or the name of gRPC's."""
        self._requests[protocol, model, version, str(status)] += 1
        self._seconds[protocol, model].add(seconds)
        if protocol in _UNSHOWN:
            return
        now = int(time.time())
        if not self._recent or self._recent[-1].time != now:
            self._recent.append(Second(now))
        second = self._recent[-1]
        second.requests += 1
        second.failed += status in _FAILURES
        if len(second.seconds) < _SAMPLES:
            second.seconds.append(seconds)

    def observe_batch(self, version: ModelVersion, batch: Batch) -> None:
        """Count a batch that was computed."""
        counts = self._counts[version.model, version.number]
        if batch.failed:
            counts.failed += batch.requests
        else:
            counts.requests += batch.requests
            counts.rows += batch.rows
            counts.waited += batch.waited
            counts.computed += batch.took
            counts.last = time.time()
            of_size = counts.by_rows.setdefault(batch.rows, [0, 0.0])
            of_size[0] += 1
            of_size[1] += batch.took
        counts.sizes.add(batch.rows)
        counts.waits.add(batch.waited)
        counts.calls.add(batch.took)
        counts.elements += batch.elements
        counts.padded += batch.padded

    def text(self) -> tuple[bytes, str]:
        """The metrics as Prometheus reads them, and their content type."""
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

        registry = CollectorRegistry()
        registry.register(_Exported(self))
        return generate_latest(registry), CONTENT_TYPE_LATEST

    def of_version(self, model: str, number: int) -> dict[str, Any]:
        """The statistics of a version, as Triton gives them."""
        c = self._counts[model, number]
        executions = sum(int(count) for count, _ in c.by_rows.values())
        return {
            "name": model,
            "version": str(number),
            "last_inference": int(c.last * 1000),
            "inference_count": c.rows,
            "execution_count": executions,
            "inference_stats": {
                "success": _duration(c.requests, c.waited + c.computed),
                "fail": _duration(c.failed, 0.0),
                "queue": _duration(c.requests, c.waited),
                "compute_input": _duration(c.requests, 0.0),
                "compute_infer": _duration(c.requests, c.computed),
                "compute_output": _duration(c.requests, 0.0),
            },
            "batch_stats": [
                {
                    "batch_size": rows,
                    "compute_input": _duration(int(count), 0.0),
                    "compute_infer": _duration(int(count), seconds),
                    "compute_output": _duration(int(count), 0.0),
                }
                for rows, (count, seconds) in sorted(c.by_rows.items())
            ],
        }

    def recent(self) -> list[dict[str, Any]]:
        """The last seconds in which something was asked: requests, failures, latencies in ms."""
        return [
            {
                "time": s.time,
                "requests": s.requests,
                "failed": s.failed,
                "p50": _milliseconds(s.quantile(0.5)),
                "p99": _milliseconds(s.quantile(0.99)),
            }
            for s in self._recent
        ]


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": int(seconds * 1e9)}


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 3)


def memory(process: int | str = "self") -> int:
    """The bytes of memory that a process has now; of another one 0 where it is not known."""
    try:
        with open(f"/proc/{process}/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        if process != "self":
            return 0
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class _Exported:
    """The metrics as Prometheus' client collects them."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics

    def describe(self) -> list[Any]:
        """What is registered before anything is collected: nothing."""
        return []

    def collect(self) -> Iterator[Any]:
        """What was counted, and what is looked up when it is asked for."""
        from prometheus_client.metrics_core import GaugeMetricFamily

        yield from self._of_requests()
        yield from self._of_batches()
        engine = self.metrics.engine
        states = GaugeMetricFamily(
            "argand_version_state", "1 for the state that a version has.",
            labels=("model", "version", "state"),
        )  # fmt: skip
        flying = GaugeMetricFamily(
            "argand_in_flight", "Requests that are not answered yet.", labels=("model", "version")
        )
        weights = GaugeMetricFamily(
            "argand_version_bytes", "Weights of a version.", labels=("model", "version")
        )
        for name, model in engine.models.items():
            for number, version in model.versions.items():
                weights.add_metric((name, str(number)), version.size)
                for state in State:
                    is_it = float(version.state is state)
                    states.add_metric((name, str(number), state.name), is_it)
                flying.add_metric((name, str(number)), version.in_flight)
        yield states
        yield flying
        yield weights
        yield from self._queues()
        yield from self._generation()
        plain = (
            ("argand_memory_bytes", "Memory of the process.", memory()),
            ("argand_connections", "Open connections of HTTP.", self.metrics.connections()),
            ("argand_start_time_seconds", "When the server started.", self.metrics.started),
        )
        for name, title, value in plain:
            yield GaugeMetricFamily(name, title, value=float(value))

    def _of_requests(self) -> Iterator[Any]:
        """How many requests were answered, and in how long."""
        from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily

        requests = CounterMetricFamily(
            "argand_requests", "Requests answered.",
            labels=("protocol", "model", "version", "status"),
        )  # fmt: skip
        seconds = HistogramMetricFamily(
            "argand_request_seconds", "From a request's headers to its answer.",
            labels=("protocol", "model"),
        )  # fmt: skip
        for labels, count in self.metrics._requests.items():
            requests.add_metric(labels, count)
        for labels, found in self.metrics._seconds.items():
            seconds.add_metric(labels, _buckets(found), found.sum)
        yield requests
        yield seconds

    def _of_batches(self) -> Iterator[Any]:
        """The batches of each version."""
        from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily

        histograms = {
            "sizes": ("argand_batch_rows", "Rows of the batches computed."),
            "waits": ("argand_queue_seconds", "Longest wait of a batch's requests."),
            "calls": ("argand_compute_seconds", "Time in which batches were computed."),
        }
        counters = {
            "elements": (
                "argand_batch_elements",
                "Elements of the inputs of batches, padding among them.",
            ),
            "padded": (
                "argand_padded_elements",
                "Elements of the inputs of batches that are padding.",
            ),
        }
        versions = [((m, str(n)), c) for (m, n), c in self.metrics._counts.items()]
        for name, said in histograms.items():
            histogram = HistogramMetricFamily(*said, labels=("model", "version"))
            for labels, counts in versions:
                found = getattr(counts, name)
                histogram.add_metric(labels, _buckets(found), found.sum)
            yield histogram
        for name, said in counters.items():
            counter = CounterMetricFamily(*said, labels=("model", "version"))
            for labels, counts in versions:
                counter.add_metric(labels, getattr(counts, name))
            yield counter

    def _queues(self) -> Iterator[Any]:
        """How full the queues of models are, and the processes that empty them."""
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

        engine = self.metrics.engine
        rows = GaugeMetricFamily(
            "argand_queued_rows", "Rows that wait to be computed.", labels=("model",)
        )
        most = GaugeMetricFamily(
            "argand_queue_limit", "Rows that may wait; more are refused.", labels=("model",)
        )
        for name, model in engine.models.items():
            rows.add_metric((name,), model.budget.rows)
            most.add_metric((name,), model.budget.limit)
        yield rows
        yield most
        if engine.pool is None:
            return
        memories = GaugeMetricFamily(
            "argand_worker_memory_bytes",
            "Memory of worker processes, with what they share.",
            labels=("worker",),
        )
        for index, process in engine.pool.processes.items():
            memories.add_metric((str(index),), memory(process))
        yield memories
        yield CounterMetricFamily(
            "argand_worker_restarts", "Workers that ended and were replaced.",
            value=engine.pool.restarts,
        )  # fmt: skip

    def _generation(self) -> Iterator[Any]:
        """What language models have to do."""
        from prometheus_client.metrics_core import GaugeMetricFamily

        labels = ("model", "version")
        families = {
            name: GaugeMetricFamily(f"argand_generation_{name}", title, labels=labels)
            for name, title in FACTS.items()
        }
        for model in self.metrics.engine.models.values():
            for number, version in model.versions.items():
                for name, value in facts_of(version).items():
                    families[name].add_metric((model.name, str(number)), value)
        yield from families.values()


def _buckets(found: Histogram) -> list[tuple[str, float]]:
    """How many values there were up to each bound."""
    from prometheus_client.utils import floatToGoString

    bounds = [*map(floatToGoString, found.bounds), "+Inf"]
    return list(zip(bounds, accumulate(found.counts), strict=True))


__all__ = ["Counts", "Histogram", "Metrics", "Second", "memory"]
