"""What a generator draws from: a state, and the distributions that are drawn by it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from argand.base.errors import ArgumentError
from argand.ir import bind as crossroads
from argand.ir.op import only_stored, ops
from argand.tensor.core import Tensor, wrap
from argand.tensor.inplace import assign
from argand.transform.mode import no_grad

Draw = Callable[..., Any]
DEFAULT_SEED = 67280421310721


class Source(ABC):
    """Random numbers by one algorithm. `state` is a tensor, so drawing inside a compiled function
    is nothing special: it reads the state, and writes the one behind the draw."""

    def __init__(self, seed: int = DEFAULT_SEED) -> None:
        self.state: Tensor = wrap(self.started(seed))

    # -- the state ---------------------------------------------------------------------------------

    @abstractmethod
    def started(self, seed: int) -> np.ndarray:
        """The state that a seed starts."""

    @abstractmethod
    def seed(self) -> int:
        """The seed that the state was started from."""

    @abstractmethod
    def check(self, state: Any) -> None:
        """Raise ArgumentError for what is no state."""

    def set(self, state: Any) -> None:
        """Go on from another state."""
        self.check(state)
        with no_grad():
            assign(self.state, state)

    def advance(self, state: Any) -> None:
        """Go on from the state behind a draw."""
        if crossroads.pushed:
            with no_grad():
                assign(self.state, state)
        else:
            self.state._array[...] = state.numpy_array()
            self.state._cold_part().version += 1

    # -- distributions: tensors of a shape and a dtype ---------------------------------------------

    @abstractmethod
    def uniform(self, shape: Sequence[Any], dtype: Any, low: Any = 0.0, high: Any = 1.0) -> Any:
        """Uniform numbers in [low, high); both parts of complex ones."""

    @abstractmethod
    def normal(self, shape: Sequence[Any], dtype: Any, mean: Any = 0.0, std: Any = 1.0) -> Any:
        """Normal numbers; the parts of complex ones share the variance."""

    @abstractmethod
    def integers(self, shape: Sequence[Any], low: int, high: int) -> Any:
        """Whole numbers in [low, high), int64."""

    def whole(self, shape: Sequence[Any], dtype: Any) -> Any:
        """Whole numbers as far as a dtype counts exactly, int64."""
        return self.integers(shape, 0, most(dtype))

    @abstractmethod
    def permutation(self, count: int) -> Any:
        """0 to count - 1 in random order, int64."""

    @abstractmethod
    def chosen(self, shape: Sequence[Any], dtype: Any, chances: Any) -> Any:
        """Booleans that are true with the chances given, a number or a tensor; `dtype` is that of
        what is filled by them."""

    @abstractmethod
    def exponential(self, shape: Sequence[Any], dtype: Any, rate: Any = 1.0) -> Any:
        """Exponential numbers of a rate."""

    @abstractmethod
    def cauchy(self, shape: Sequence[Any], dtype: Any, median: Any, sigma: Any) -> Any:
        """Cauchy numbers."""

    @abstractmethod
    def geometric(self, shape: Sequence[Any], dtype: Any, p: float) -> Any:
        """How many trials it takes until one succeeds."""

    @abstractmethod
    def log_normal(self, shape: Sequence[Any], dtype: Any, mean: Any, std: Any) -> Any:
        """Powers of e with normal exponents."""

    @abstractmethod
    def choices(self, weights: Any, count: int) -> Any:
        """`count` indices with replacement for each row of weights (..., N), int64."""

    @abstractmethod
    def subsets(self, weights: Any, count: int) -> Any:
        """`count` indices without replacement for each row of weights (..., N), int64."""

    @abstractmethod
    def dropped(self, x: Any, shape: Sequence[Any], p: float) -> Any:
        """`x` with 0 in place of what is drawn with the chance `p`, the rest divided by 1 - p; one
        draw for each element of `shape`, which broadcasts."""

    def slopes(self, x: Any, low: float, high: float) -> Any:
        """Uniform numbers for the elements of `x` that aren't positive; any for the others."""
        return self.uniform(tuple(x.shape), x.dtype, low, high)

    @abstractmethod
    def by_rejection(self, kind: str, operands: Sequence[Any]) -> Any:
        """A draw of `ops/draws.py`: "binomial", "log_gamma", "poisson" or "von_mises"."""

    def like(self, target: Any, draw: Draw) -> Any:
        """`draw(shape)` of the shape of a target whose elements it is for."""
        return draw(tuple(target.shape))

    def chosen_into(self, target: Any, chances: Any) -> Any:
        """Booleans to be written to a target."""
        return self.chosen(target.shape, target.dtype, chances)

    def uniform_into(self, target: Any, low: Any, high: Any) -> Any:
        """Uniform numbers to be written to a target."""
        return self.like(target, lambda shape: self.uniform(shape, target.dtype, low, high))

    def normal_into(self, target: Any, mean: Any, std: Any) -> Any:
        """Normal numbers to be written to a target."""
        return self.like(target, lambda shape: self.normal(shape, target.dtype, mean, std))

    def normal_like(self, target: Any, dtype: Any) -> Any:
        """Standard normal numbers for a new tensor that is stored as a target is."""
        return self.like(target, lambda shape: self.normal(shape, dtype))


def check_computed(dtype: Any) -> None:
    """Refuse a dtype that is only stored."""
    if dtype.kind == "s":
        raise only_stored("random numbers", dtype)


def most(dtype: Any) -> int:
    """The end of the whole numbers that `random_` draws in a dtype."""
    check_computed(dtype)
    if dtype.is_floating_point:
        return 2 ** {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}[dtype.name]  # type: ignore[no-any-return]  # an op gives Any
    return 2 if dtype.kind == "b" else int(np.iinfo(dtype.numpy).max)


def scaled(x: Any, factor: Any, offset: Any) -> Any:
    """x * factor + offset."""
    return ops.add(ops.mul(x, factor), offset)


def expect_state(state: Any, dtype: Any, size: int) -> None:
    """Refuse what hasn't the dtype and the shape of a state."""
    if tuple(state.shape) != (size,) or state.dtype is not dtype:
        raise ArgumentError(
            f"set_state: expected the {dtype.name} tensor ({size},) of get_state, got "
            f"{state.dtype.name} of shape {tuple(state.shape)}"
        )
