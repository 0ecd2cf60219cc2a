"""Connectionist temporal classification."""

from __future__ import annotations

import math
from typing import Any

from argand.base.errors import ArgumentError, ShapeError
from argand.ir.op import describe, ops
from argand.nn.functional.reduction import check_reduction


def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """-log of the probability that the frames, without repetitions and blanks, are the target
    (Graves et al., 2006).

    `log_probs` (T, N, C) or (T, C) are logarithms of probabilities; `targets` (N, S), or all of
    them one after the other (sum of lengths), are classes, commonly other than `blank`; of floats
    the whole part counts. The mean divides each loss by its target's length first. A target that is
    too long has an infinite loss, or one of 0 with `zero_infinity`. The gradient is that for
    log_probs which come from `log_softmax`, as in PyTorch: exp(log_probs) is added to it, which
    `log_softmax` takes out again.

    >>> frames = ag.tensor([[0.5, 0.5], [0.5, 0.5]]).log()
    >>> F.ctc_loss(frames, ag.tensor([1]), [2], [1]).exp()  # 1 / (3 / 4)
    tensor(1.3333)
    """
    check_reduction(reduction)
    single = log_probs.ndim == 2
    if log_probs.ndim not in (2, 3) or targets.dtype.is_complex:
        raise ShapeError(
            f"ctc_loss: {describe(log_probs, targets)}: expected log-probabilities (T, N, C) or "
            "(T, C) and targets that are numbers of classes"
        )
    x = ops.reshape(log_probs, (log_probs.shape[0], 1, log_probs.shape[1])) if single else log_probs
    frames, batch, classes = x.shape
    if not 0 <= blank < classes:
        raise ArgumentError(f"ctc_loss: blank {blank} is not one of {classes} classes")
    if single and targets.ndim == 1:
        targets = ops.reshape(targets, (1, *targets.shape))
    used, lengths = _lengths(input_lengths, batch), _lengths(target_lengths, batch)
    if max(used, default=0) > frames or min(used, default=0) < 0:
        raise ArgumentError(f"ctc_loss: input_lengths {used} must be at most {frames}")
    labels = _padded(targets, lengths)
    steps, counts = _column(used), _column(lengths)
    losses = ops.neg(_score(x, labels, steps, counts, int(blank)))
    t = ops.reshape(ops.arange(0, 1, frames, "int64"), (frames, 1, 1))
    mass = ops.sum(ops.where(ops.lt(t, ops.reshape(steps, (batch, 1))), ops.exp(x), 0.0), (0, 2))
    losses = ops.add(losses, ops.sub(mass, mass.detach()))
    if zero_infinity:
        losses = ops.where(ops.eq(losses, math.inf), 0.0, losses)
    if reduction == "mean":
        shares = ops.cast(ops.maximum(counts, 1), x.dtype)
        return ops.mean(ops.div(losses, shares))
    if reduction == "sum":
        return ops.sum(losses)
    return ops.reshape(losses, ()) if single else losses


def _lengths(given: Any, batch: int) -> list[int]:
    """The lengths of the batch as numbers."""
    listed = given.reshape(-1).tolist() if hasattr(given, "reshape") else list(given)
    if len(listed) != batch:
        raise ShapeError(f"ctc_loss: expected {batch} lengths, got {len(listed)}")
    return [int(n) for n in listed]


def _column(numbers: list[int]) -> Any:
    """Numbers as a tensor (N,)."""
    parts = [ops.full((1,), n, "int64") for n in numbers]
    return ops.cat(*parts) if parts else ops.full((0,), 0, "int64")


def _padded(targets: Any, lengths: list[int]) -> Any:
    """The targets as rows (N, S) of int64."""
    targets = ops.cast(targets, "int64")
    longest = max(lengths, default=0)
    if min(lengths, default=0) < 0:
        raise ArgumentError(f"ctc_loss: target_lengths {lengths} must not be negative")
    if targets.ndim == 2:
        if targets.shape[0] != len(lengths) or targets.shape[1] < longest:
            raise ShapeError(
                f"ctc_loss: {describe(targets)}: expected {len(lengths)} targets of up to {longest}"
            )
        return targets
    if targets.ndim != 1 or targets.shape[0] != sum(lengths):
        raise ShapeError(
            f"ctc_loss: {describe(targets)}: expected all {sum(lengths)} labels in one row"
        )
    rows, first = [], 0
    for n in lengths:
        row = ops.pad(ops.slice(targets, (first,), (first + n,), (1,)), ((0, longest - n),), 0)
        rows.append(ops.reshape(row, (1, longest)))
        first += n
    return ops.cat(*rows, dim=0) if rows else ops.full((0, 0), 0, "int64")


def _score(x: Any, labels: Any, steps: Any, counts: Any, blank: int) -> Any:
    """The log-probability of each target: the sum over all ways, frame by frame."""
    frames, batch, _ = x.shape
    size = 2 * labels.shape[1] + 1
    places = ops.arange(0, 1, size, "int64")
    odd = ops.eq(ops.remainder(places, 2), 1)
    wide = ops.full((batch, size), blank, "int64")
    if labels.shape[1]:
        wide = ops.slice_scatter(wide, labels, (0, 1), (batch, size), (1, 2))
    before = _shifted(wide, 2, blank)
    skips = ops.logical_and(ops.logical_and(ops.ne(wide, before), odd), ops.ge(places, 3))
    index = ops.expand(ops.reshape(wide, (1, batch, size)), (frames, batch, size))
    emitted = ops.gather(x, 2, index)
    ends = ops.reshape(ops.mul(counts, 2), (batch, 1))
    begins = ops.logical_and(ops.le(places, 1), ops.le(places, ends))
    lowest = ops.full((batch, size), -math.inf, x.dtype)
    alpha: Any = ops.where(begins, 0.0, lowest)
    steps = ops.reshape(steps, (batch, 1))
    for t in range(int(frames)):
        ways = alpha
        if t:
            skipped = ops.where(skips, _shifted(alpha, 2, -math.inf), -math.inf)
            ways = _log_sum([alpha, _shifted(alpha, 1, -math.inf), skipped])
        frame = ops.slice(emitted, (t, 0, 0), (t + 1, batch, size), (1, 1, 1))
        found = ops.add(ways, ops.reshape(frame, (batch, size)))
        alpha = ops.where(ops.gt(steps, t), found, alpha)
    last = ops.logical_and(ops.le(places, ends), ops.ge(places, ops.sub(ends, 1)))
    # Without frames only the empty target is possible, and it is certain.
    idle = ops.logical_and(ops.eq(steps, 0), ops.gt(places, 0))
    return _log_sum_of_row(ops.where(ops.logical_and(last, ops.logical_not(idle)), alpha, lowest))


def _shifted(x: Any, by: int, fill: Any) -> Any:
    """Each row moved `by` places to the right."""
    wide = ops.pad(x, ((0, 0), (by, 0)), fill)
    return ops.slice(wide, (0, 0), tuple(x.shape), (1, 1))


def _log_sum(parts: list[Any]) -> Any:
    """log of the sum of exp, whose gradient is 0 where every part is -inf."""
    high = ops.maximum(ops.maximum(parts[0], parts[1]), parts[2]).detach()
    high = ops.where(ops.eq(high, -math.inf), 0.0, high)
    total = ops.exp(ops.sub(parts[0], high))
    for part in parts[1:]:
        total = ops.add(total, ops.exp(ops.sub(part, high)))
    return _log_of(total, high)


def _log_sum_of_row(x: Any) -> Any:
    high = ops.amax(x, -1, True).detach()
    high = ops.where(ops.eq(high, -math.inf), 0.0, high)
    total = ops.sum(ops.exp(ops.sub(x, high)), -1)
    return _log_of(total, ops.reshape(high, tuple(total.shape)))


def _log_of(total: Any, high: Any) -> Any:
    some = ops.gt(total, 0)
    return ops.where(some, ops.add(ops.log(ops.where(some, total, 1.0)), high), -math.inf)
