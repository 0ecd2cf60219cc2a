"""What a server counts: for Prometheus, for Triton's clients, and for the page."""

from __future__ import annotations

import resource
import sys
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class Counts:
    """The batches of a version."""

    requests: int = 0
    rows: int = 0
    failed: int = 0
    waited: float = 0.0
    computed: float = 0.0
    last: float = 0.0
    by_rows: dict[int, list[float]] = field(default_factory=dict)  # count and seconds


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
        self._recent: deque[Second] = deque(maxlen=_KEPT)
        self._exported: _Exported | None = None
        engine.observers.append(self.observe_batch)

    def observe(
        self, protocol: str, model: str, version: str, status: int | str, seconds: float
    ) -> None:
        """Count a request that was answered, with HTTP's status or the name of gRPC's."""
        self._export().observe(protocol, model, version, str(status), seconds)
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
        self._export().observe_batch(version, batch)

    def _export(self) -> _Exported:
        if self._exported is None:
            self._exported = _Exported(self)
        return self._exported

    def text(self) -> tuple[bytes, str]:
        """The metrics as Prometheus reads them, and their content type."""
        from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self._export().registry), CONTENT_TYPE_LATEST

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
    """The metrics in a registry of Prometheus' client."""

    def __init__(self, metrics: Metrics) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram

        self.metrics = metrics
        self.registry = CollectorRegistry()
        registry = self.registry
        self._requests = Counter(
            "argand_requests", "Requests answered.", ("protocol", "model", "version", "status"),
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "argand_request_seconds", "From a request's headers to its answer.",
            ("protocol", "model"), buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        of_version = ("model", "version")
        self._rows = Histogram(
            "argand_batch_rows", "Rows of the batches computed.", of_version, buckets=_SIZES,
            registry=registry,
        )  # fmt: skip
        self._elements = Counter(
            "argand_batch_elements", "Elements of the inputs of batches, padding among them.",
            of_version, registry=registry,
        )  # fmt: skip
        self._padded = Counter(
            "argand_padded_elements", "Elements of the inputs of batches that are padding.",
            of_version, registry=registry,
        )  # fmt: skip
        self._queued = Histogram(
            "argand_queue_seconds", "Longest wait of a batch's requests.", of_version,
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._computed = Histogram(
            "argand_compute_seconds", "Time in which batches were computed.", of_version,
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        registry.register(self)
        self._children: dict[Any, Any] = {}

    def observe(self, protocol: str, model: str, version: str, status: str, seconds: float) -> None:
        """A request."""
        key = (protocol, model, version, status)
        found = self._children.get(key)
        if found is None:
            found = self._children[key] = (
                self._requests.labels(*key),
                self._seconds.labels(protocol, model),
            )
        found[0].inc()
        found[1].observe(seconds)

    def observe_batch(self, version: ModelVersion, batch: Batch) -> None:
        """A batch."""
        key = (version.model, str(version.number))
        found = self._children.get(key)
        if found is None:
            metrics = (
                self._rows, self._queued, self._computed, self._elements, self._padded,
            )  # fmt: skip
            found = self._children[key] = tuple(m.labels(*key) for m in metrics)
        rows, queued, computed, elements, padded = found
        rows.observe(batch.rows)
        queued.observe(batch.waited)
        computed.observe(batch.took)
        elements.inc(batch.elements)
        padded.inc(batch.padded)

    def collect(self) -> Iterator[Any]:
        """What is looked up when it is asked for."""
        from prometheus_client.metrics_core import GaugeMetricFamily

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


__all__ = ["Counts", "Metrics", "Second", "memory"]
