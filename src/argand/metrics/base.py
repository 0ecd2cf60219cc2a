"""What a metric is, and the metrics by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

import numpy as np

from argand.base.errors import ArgumentError, ShapeError, did_you_mean
from argand.tensor.core import Tensor

_by_name: dict[str, Callable[[], Metric]] = {}


class Metric:
    """Base of metrics: a subclass defines `reset`, `update` and `compute`.

    >>> from argand import metrics
    >>> accuracy = metrics.Accuracy()
    >>> accuracy.update([[0.1, 0.9], [0.8, 0.2]], [1, 1])
    >>> accuracy.compute()
    0.5
    """

    name: str = "metric"

    def __init__(self, name: str | None = None) -> None:
        if name is not None:
            self.name = name
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        raise NotImplementedError(f"{type(self).__name__} does not define reset")

    def update(self, preds: Any, target: Any) -> None:
        """Take a batch of predictions and targets into account."""
        raise NotImplementedError(f"{type(self).__name__} does not define update")

    def compute(self) -> Any:
        """The value over everything seen since `reset`."""
        raise NotImplementedError(f"{type(self).__name__} does not define compute")

    def state_dict(self) -> dict[str, Any]:
        """What has been seen since `reset`, for `load_state_dict`: the attributes that are data.

        >>> mean = ag.metrics.Mean()
        >>> mean.update(3.0, 2)
        >>> mean.state_dict()
        {'total': 6.0, 'weight': 2.0}
        """
        found = {}
        for name, value in vars(self).items():
            if isinstance(value, Metric):
                found[name] = value.state_dict()
            elif name != "name" and _is_data(value):
                found[name] = value
        return found

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        >>> mean = ag.metrics.Mean()
        >>> mean.load_state_dict({"total": 6.0, "weight": 2.0})
        >>> mean.compute()
        3.0
        """
        for name, value in state_dict.items():
            held = vars(self).get(name)
            if isinstance(held, Metric):
                held.load_state_dict(value)
            else:
                vars(self)[name] = copy(value)

    def result(self) -> Any:
        """The value, by Keras's name."""
        return self.compute()

    def update_state(self, target: Any, preds: Any) -> None:
        """Take a batch into account, with Keras's name and order of arguments."""
        self.update(preds, target)

    def __call__(self, preds: Any, target: Any) -> Any:
        """Take a batch into account; returns the value over everything so far."""
        self.update(preds, target)
        return self.compute()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.compute()})"


def _is_data(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_data, value))
    if isinstance(value, dict):
        return all(map(_is_data, value.values()))
    data = (Tensor, np.ndarray, np.generic, str, bytes, int, float, complex, type(None))
    return isinstance(value, data)


def array(x: Any) -> np.ndarray:
    """A tensor or anything like it as a NumPy array."""
    return np.asarray(x.detach().numpy_array() if isinstance(x, Tensor) else x)


class Mean(Metric):
    """The weighted mean of the numbers seen: of a loss over batches, say.

    >>> mean = ag.metrics.Mean()
    >>> mean.update(1.0, 2); mean.update(4.0, 1)
    >>> mean.compute()
    2.0
    """

    name = "mean"

    def reset(self) -> None:
        self.total = 0.0
        self.weight = 0.0

    def update(self, preds: Any, target: Any = 1) -> None:
        """Take values into account; the second argument is their weight."""
        if isinstance(preds, float) and isinstance(target, int):  # a loss and its batch's size
            self.total += preds * target
            self.weight += target
            return
        values = np.asarray(array(preds), np.float64)
        weights = np.asarray(array(target), np.float64)
        try:
            weights = np.broadcast_to(weights, values.shape)
        except ValueError:
            raise ShapeError(
                f"{self.name}: weights of shape {weights.shape} don't fit values of shape "
                f"{values.shape}"
            ) from None
        self.total += float(np.sum(values * weights))
        self.weight += float(np.sum(weights))

    def compute(self) -> float:
        return self.total / self.weight if self.weight else float("nan")


MeanMetric = Mean  # torchmetrics' name


def register(*names: str) -> Callable[[type[Metric]], type[Metric]]:
    """Let `get` find a metric by these names."""

    def add(cls: type[Metric]) -> type[Metric]:
        for name in names:
            _by_name[name] = cls
        return cls

    return add


def get(metric: Any) -> Metric:
    """A metric by name, the metric itself, or a function of (preds, target) averaged.

    Raises ValueError, with the nearest name, for a name that is unknown.

    >>> type(ag.metrics.get("accuracy")).__name__
    'Accuracy'
    """
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str):
        if metric not in _by_name:
            near = did_you_mean(metric, _by_name)
            known = ", ".join(sorted(_by_name))
            raise ArgumentError(f"no metric is called {metric!r}{near}; there are: {known}")
        made = _by_name[metric]()
        made.name = metric
        return made
    if isinstance(metric, type) and issubclass(metric, Metric):
        return metric()
    if callable(metric):
        return FunctionMetric(metric)
    raise TypeError(f"a metric is a name, a Metric or a function, got {type(metric).__name__}")


class FunctionMetric(Metric):
    """The mean of a function of (preds, target) over batches, weighted by their sizes."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        self.function = function
        self.mean = Mean()
        super().__init__(getattr(function, "__name__", type(function).__name__))

    def reset(self) -> None:
        self.mean.reset()

    def update(self, preds: Any, target: Any) -> None:
        value = array(self.function(preds, target))
        self.mean.update(value.mean(), len(array(preds)))

    def compute(self) -> float:
        return self.mean.compute()
