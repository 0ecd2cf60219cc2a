"""One step of training, evaluation and prediction; compiled unless asked to run eagerly."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from argand.base.errors import ArgandError, ArgumentError, TraceError
from argand.base.late import resolve
from argand.fit.feed import Batch
from argand.fit.names import loss_of, optimizer_of
from argand.ir.op import ops
from argand.metrics.base import Metric, get
from argand.nn.module import Module
from argand.tensor.core import Tensor
from argand.transform.mode import no_grad


def matched(outputs: Any, target: Any) -> Any:
    """The target as the loss wants it, where data commonly come otherwise.

    Outputs (N, 1) make a target (N,) a column; scores (N, classes) make a column of class numbers
    (N,); numbers and truth values in the shape of the outputs become of their dtype.
    """
    if not isinstance(outputs, Tensor) or not isinstance(target, Tensor) or not outputs.ndim:
        return target
    whole = not target.dtype.is_inexact
    if target.ndim == outputs.ndim - 1 and outputs.shape[-1] == 1:
        target = ops.reshape(target, (*target.shape, 1))
    elif whole and target.ndim == outputs.ndim > 1 and target.shape[-1] == 1 != outputs.shape[-1]:
        target = ops.reshape(target, tuple(target.shape[:-1]))
    if whole and target.ndim == outputs.ndim and outputs.dtype.is_floating_point:
        target = ops.cast(target, outputs.dtype)
    return target


def train_step(model: Any, loss: Any, optimizer: Any, inputs: Any, target: Any) -> Any:
    """Forward, loss, backward and update; the loss and the outputs.

    The gradients are forgotten at the end, so a compiled step needn't write them.
    """
    outputs = model(*inputs)
    value = loss(outputs, matched(outputs, target))
    value.backward()
    optimizer.step()
    optimizer.zero_grad()
    return value, outputs


def test_step(model: Any, loss: Any, inputs: Any, target: Any) -> Any:
    """The loss and the outputs."""
    outputs = model(*inputs)
    return loss(outputs, matched(outputs, target)), outputs


def predict_step(model: Any, inputs: Any) -> Any:
    """The outputs."""
    return model(*inputs)


class Setup:
    """What `model.compile` was told, and the compiled steps."""

    def __init__(
        self,
        model: Module,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = None,
        run_eagerly: bool = False,
    ) -> None:
        self.optimizer = optimizer_of(optimizer, model)
        self.loss = loss_of(loss)
        self._compares = isinstance(loss, str | Module)  # a user's function may do without
        listed = [] if metrics is None else metrics
        listed = listed if isinstance(listed, list | tuple) else [listed]
        self.metrics: list[Metric] = [get(m) for m in listed]
        self.run_eagerly = bool(run_eagerly)
        self._steps: dict[str, Callable[..., Any]] = {}
        self.sample: tuple[Any, ...] | None = None  # shapes and dtypes of inputs seen

    def __deepcopy__(self, memo: dict[int, Any]) -> Setup:
        """For a copy of the model; the copy compiles its own steps."""
        made = Setup.__new__(Setup)
        memo[id(self)] = made
        for name, value in vars(self).items():
            setattr(made, name, {} if name == "_steps" else deepcopy(value, memo))
        return made

    def names(self) -> list[str]:
        """The loss and the metrics, as they appear in logs."""
        return ["loss", *(m.name for m in self.metrics)]

    def train(self, model: Module, batch: Batch) -> tuple[float, Any]:
        """One training step: the loss and the outputs."""
        step = self._step("train", train_step)
        args = (self._loss(batch), self._optimizer(), batch.inputs, batch.target)
        value, outputs = _running(step, model, *args)
        return float(value.item()), outputs

    def test(self, model: Module, batch: Batch) -> tuple[float, Any]:
        """The loss and the outputs of one batch."""
        with no_grad():
            step = self._step("test", test_step)
            value, outputs = _running(step, model, self._loss(batch), batch.inputs, batch.target)
        return float(value.item()), outputs

    def predict(self, model: Module, batch: Batch) -> Any:
        """The outputs of one batch."""
        with no_grad():
            return _running(self._step("predict", predict_step), model, batch.inputs)

    def _step(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        found = self._steps.get(name)
        if found is None:
            compiled = function if self.run_eagerly else resolve("compile.compile")(function)
            found = self._steps[name] = compiled
        return found

    def _loss(self, batch: Batch) -> Any:
        if self.loss is None:
            raise ArgumentError("no loss was given: call model.compile(optimizer, loss) first")
        if batch.target is None and self._compares:
            raise ArgumentError(
                "the loss compares with a target, and there is none: give y, or batches of "
                "(inputs, target)"
            )
        return self.loss

    def _optimizer(self) -> Any:
        if self.optimizer is None:
            raise ArgumentError("no optimizer was given: call model.compile(optimizer, loss) first")
        return self.optimizer


def _running(step: Callable[..., Any], *args: Any) -> Any:
    try:
        return step(*args)
    except TraceError as error:
        _advise(error)
        raise


def _advise(error: ArgandError) -> None:
    error.add_note(
        "while compiling the step of fit; model.compile(..., run_eagerly=True) runs it in Python"
    )
