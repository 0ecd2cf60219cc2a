"""What can be set for a model that is served."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from argand.base.errors import ArgumentError, did_you_mean

HUNG_SECONDS: Final = 120.0
"""After how many seconds a worker that computes one call counts as hung, where nothing else is set;
TorchServe's default, too."""


def hold_at_least(options: Any, **least: float) -> None:
    """Raises ArgumentError where a field of some options is no number or is less than given."""
    for name, bound in least.items():
        value = getattr(options, name)
        if not (_is_number(value) and value >= bound):
            raise ArgumentError(f"{name} must be at least {bound}, got {value!r:.60}")


def hold_above_zero(options: Any, *names: str, unit: str = "") -> None:
    """Raises ArgumentError where a field of some options is no number or is not above 0."""
    for name in names:
        value = getattr(options, name)
        if not (_is_number(value) and value > 0):
            raise ArgumentError(f"{name} must be above 0{unit}, got {value!r:.60}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """How requests are put together.

    Args:
        max_rows: the most rows of a batch; 1 turns batching off.
        max_delay: how many seconds a request may wait for others while nothing is computed. With 0
            batches are made of what has arrived while the one before was computed.
        max_queued_rows: the most rows that wait; a request above that is refused at once.
        padded: the sizes in which requests may differ and be computed together, padded by a value
            for each input that has them: `{"length": {"ids": 0, "mask": 0}}`. None takes what the
            archive's card declares; `{}` pads nothing. Trial calls hold it to the bits that
            requests have alone.
        max_padding: the largest share of an input that may be padding.
        target_p99: where given, `max_rows` and `max_delay` are found so that the 99th percentile
            of the seconds from arrival to answer stays below it; they are upper bounds then.
    """

    max_rows: int = 32
    max_delay: float = 0.0
    max_queued_rows: int = 1024
    padded: dict[str, dict[str, bool | int | float]] | None = None
    max_padding: float = 0.25
    target_p99: float | None = None

    def __post_init__(self) -> None:
        hold_at_least(self, max_rows=1, max_delay=0, max_queued_rows=1, max_padding=0)
        if self.target_p99 is not None:
            hold_above_zero(self, "target_p99", unit=" seconds")
        if self.max_padding >= 1:
            raise ArgumentError(f"max_padding must be below 1, got {self.max_padding!r}")


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """How a language model is served.

    Args:
        max_rows: the most sequences that are computed at once.
        max_waiting: the most that wait; a request above that is refused at once.
        memory: the bytes of the pool of keys and values; it is no larger than `max_rows` sequences
            of the longest context need. Where it has no room for one, texts end sooner.
    """

    max_rows: int = 32
    max_waiting: int = 256
    memory: int = 1 << 28

    def __post_init__(self) -> None:
        hold_at_least(self, max_rows=1, max_waiting=0, memory=1)


_POLICIES = ("latest", "all", "specific")


@dataclass(frozen=True, slots=True)
class VersionPolicy:
    """Which of the versions that are there are served: the latest `count`, all, or those given."""

    kind: Literal["latest", "all", "specific"] = "latest"
    count: int = 1
    versions: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in _POLICIES:
            raise ArgumentError(
                f"kind must be one of {', '.join(_POLICIES)}, got {self.kind!r:.60}"
                f"{did_you_mean(str(self.kind), _POLICIES)}"
            )
        hold_at_least(self, count=1)
        if (self.kind == "specific") != bool(self.versions):
            raise ArgumentError(
                "versions are those of VersionPolicy('specific', versions=(1, 3)) alone; got kind "
                f"{self.kind!r} and versions {self.versions!r:.60}"
            )

    def wanted(self, there: list[int]) -> list[int]:
        """The versions to serve of those that are there, ascending."""
        there = sorted(there)
        if self.kind == "all":
            return there
        if self.kind == "specific":
            return [v for v in there if v in self.versions]
        return there[-self.count :]


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """What can be set for one model.

    Args:
        policy: which versions are served.
        labels: names of versions, `{"stable": 3, "canary": 4}`.
        weights: shares of the requests that name no version, by label:
            `{"stable": 9, "canary": 1}`.
        batching: how requests are put together.
        generation: how a language model is served.
        timeout: the seconds that a request without a deadline may take; None for no limit.
    """

    policy: VersionPolicy = VersionPolicy()
    labels: dict[str, int] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    batching: BatchOptions = BatchOptions()
    generation: GenerationOptions = GenerationOptions()
    timeout: float | None = 60.0

    def __post_init__(self) -> None:
        for label, weight in self.weights.items():
            if label not in self.labels:
                raise ArgumentError(
                    f"weights has the label {label!r}, which labels does not name; there are "
                    f"{', '.join(self.labels) or 'none'}{did_you_mean(label, self.labels)}"
                )
            if not 0 <= weight < float("inf"):
                raise ArgumentError(f"weights: {label} must be at least 0, got {weight!r}")
        if self.timeout is not None:
            hold_above_zero(self, "timeout", unit=" seconds")


__all__ = ["HUNG_SECONDS", "BatchOptions", "GenerationOptions", "ModelOptions", "VersionPolicy"]
