"""A line search that ends at a point that satisfies the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

_SUFFICIENT, _CURVATURE = 1e-4, 0.9


class Point(NamedTuple):
    """A step along the direction, the loss and the gradient there, and the slope of the loss."""

    step: float
    loss: float
    gradient: Any
    slope: float


def strong_wolfe(
    at: Callable[[float], Point], start: Point, step: float, size: float, least: float, most: int
) -> tuple[Point, int]:
    """The point that was found from the first step, and how many were evaluated.

    `size` is the largest element of the direction, `least` the smallest change that counts, `most`
    the number of evaluations. Nocedal and Wright (2006), algorithms 3.5 and 3.6, as PyTorch's.
    """
    bracket, done, tried = _bracketed(at, start, step, most)
    low = 0 if len(bracket) == 1 or bracket[0].loss <= bracket[1].loss else 1
    stuck, evaluated = False, tried + 1
    while not done and tried < most:
        if abs(bracket[1].step - bracket[0].step) * size < least:
            break
        step, stuck = _inside(bracket, stuck)
        new = at(step)
        tried, evaluated = tried + 1, evaluated + 1
        if _too_high(new, start) or new.loss >= bracket[low].loss:
            bracket[1 - low] = new
            low = 0 if bracket[0].loss <= bracket[1].loss else 1
            continue
        if abs(new.slope) <= -_CURVATURE * start.slope:
            done = True
        elif new.slope * (bracket[1 - low].step - bracket[low].step) >= 0:
            bracket[1 - low] = bracket[low]
        bracket[low] = new
    return bracket[low], evaluated


def _bracketed(
    at: Callable[[float], Point], start: Point, step: float, most: int
) -> tuple[list[Point], bool, int]:
    """Two points with a good one between them, or one that is good; and the steps it took."""
    before, new = start, at(step)
    for tried in range(most):
        if _too_high(new, start) or (tried > 1 and new.loss >= before.loss):
            return [before, new], False, tried
        if abs(new.slope) <= -_CURVATURE * start.slope:
            return [new], True, tried
        if new.slope >= 0:
            return [before, new], False, tried
        low, high = new.step + 0.01 * (new.step - before.step), new.step * 10
        step = _cubic_minimum(before, new, low, high)
        before, new = new, at(step)
    return [start, new], False, max(most, 0)


def _too_high(new: Point, start: Point) -> bool:
    """Whether the loss fell less than the slope at the start promised."""
    return new.loss > start.loss + _SUFFICIENT * new.step * start.slope


def _inside(bracket: list[Point], stuck: bool) -> tuple[float, bool]:
    """The next step to try, away from the ends when it was near one before."""
    low, high = sorted(point.step for point in bracket)
    step = _cubic_minimum(bracket[0], bracket[1], low, high)
    margin = 0.1 * (high - low)
    if min(high - step, step - low) >= margin:
        return step, False
    if not (stuck or step >= high or step <= low):
        return step, True
    return (high - margin if abs(step - high) < abs(step - low) else low + margin), False


def _cubic_minimum(one: Point, two: Point, low: float, high: float) -> float:
    """Where the cubic through two points with these slopes is least, between bounds."""
    if one.step == two.step:
        return math.nan
    d1 = one.slope + two.slope - 3 * (one.loss - two.loss) / (one.step - two.step)
    square = d1**2 - one.slope * two.slope
    if not square >= 0:
        return (low + high) / 2
    d2 = math.sqrt(square)
    left, right = (one, two) if one.step <= two.step else (two, one)
    part = (right.slope + d2 - d1) / (right.slope - left.slope + 2 * d2)
    return min(max(right.step - (right.step - left.step) * part, low), high)
