"""`compile`, `fit`, `evaluate`, `predict` and `summary` of a model, with Keras's arguments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from argand.base.domains import check_counts
from argand.base.errors import ArgumentError
from argand.base.misuse import explained
from argand.fit.callbacks import Callback, History
from argand.fit.feed import Batch, Feed, Reader, make_feed, split_off
from argand.fit.keeper import Keeper, Place
from argand.fit.progress import Progress
from argand.fit.steps import Setup, matched
from argand.fit.summary import summary
from argand.ir.op import ops
from argand.metrics.base import Mean
from argand.nn.module import Module
from argand.transform.mode import no_grad


class ModelMethods:
    """What `Module` calls by its late binding; each function takes the model first."""

    @staticmethod
    @explained
    def compile(
        model: Module,
        optimizer: Any = "adam",
        loss: Any = None,
        metrics: Any = None,
        *,
        run_eagerly: bool = False,
        jit_compile: Any = None,
    ) -> None:
        """Choose the optimizer, the loss and the metrics, by name or as objects."""
        setup = Setup(model, optimizer, loss, metrics, run_eagerly or jit_compile is False)
        model.__dict__["_setup"] = setup

    @staticmethod
    @explained
    def fit(
        model: Module,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Sequence[Callback] | Callback | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
        checkpoint: Any = None,
        save_every: Any = None,
        resume: Any = False,
    ) -> History:
        """Train for `epochs` epochs; returns the History of the loss and the metrics, which is
        `model.history` too.

        `x` and `y` are arrays or tensors (several inputs as a tuple), or `x` is a DataLoader, a
        Dataset or any iterable of (inputs, target).

        `checkpoint` is a folder, or a Checkpointer, for everything that training depends on: model,
        optimizer, random numbers, the place in the data, metrics, history and the callbacks'
        `state_dict`. It is saved after every epoch, or as `save_every` says: a number of steps,
        "2 epochs", "10 minutes", a timedelta. ``resume=True`` goes on from the last checkpoint, in
        the middle of an epoch too, where there is one; the same call then ends with the same bits
        as one that nothing has stopped. ``resume=FOLDER`` says both.

        Ctrl-C and SIGTERM wait until the step (or the validation) is done and saved; then
        KeyboardInterrupt, or SystemExit(143), is raised.
        """
        check_counts(0, epochs=epochs, initial_epoch=initial_epoch)
        check_counts(1, validation_freq=validation_freq)
        check_given(
            batch_size=batch_size,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            validation_batch_size=validation_batch_size,
        )
        setup = _setup(model)
        if validation_split:
            x, y, validation_data = split_off(x, y, validation_split)
        feed = make_feed(x, y, batch_size, shuffle)
        held_out = None
        if validation_data is not None:
            held_out = _validation_feed(validation_data, validation_batch_size or batch_size)
        run = _Run(model, setup, epochs, verbose, callbacks or (), steps_per_epoch or feed.count)
        run.validation = (held_out, validation_steps, validation_freq)
        run.keeper = Keeper(checkpoint, save_every, resume, run.callbacks)
        return run.train(feed, initial_epoch, steps_per_epoch)

    @staticmethod
    @explained
    def evaluate(
        model: Module,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Sequence[Callback] | Callback | None = None,
        return_dict: bool = False,
    ) -> Any:
        """The loss and the metrics on data: one number, a list, or a dictionary."""
        check_given(batch_size=batch_size, steps=steps)
        setup = _setup(model)
        feed = make_feed(x, y, batch_size, shuffle=False)
        count = feed.count if steps is None else steps
        run = _Run(model, setup, 1, verbose, callbacks or (), count)
        run.introduce()
        run.progress.begin(0, count, "Evaluate")
        logs = run.test(feed, steps, run.progress)
        values = [logs[n] for n in setup.names()]
        if return_dict:
            return logs
        return values[0] if len(values) == 1 else values

    @staticmethod
    @explained
    def predict(
        model: Module,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = 0,
        steps: int | None = None,
    ) -> Any:
        """The outputs for data, batch by batch in evaluation mode, put together."""
        check_given(batch_size=batch_size, steps=steps)
        setup = model.__dict__.get("_setup") or Setup(model)
        model.__dict__.setdefault("_setup", setup)
        feed = make_feed(x, None, batch_size, shuffle=False, needs_target=False)
        with _Mode(model, False):
            outputs = [setup.predict(model, batch) for batch in _limited(feed, steps)]
        if not outputs:
            raise ArgumentError("predict: there is no data")
        return _joined(outputs)

    @staticmethod
    @explained
    def summary(model: Module, *args: Any, **kwargs: Any) -> str:
        """Print a table of the layers; see `argand.fit.summary`."""
        setup = model.__dict__.get("_setup")
        kwargs.setdefault("sample", None if setup is None else setup.sample)
        return summary(model, *args, **kwargs)


def check_given(**counts: int | None) -> None:
    """Refuse counts that are given but are not positive."""
    check_counts(1, **{name: value for name, value in counts.items() if value is not None})


def _setup(model: Module) -> Setup:
    setup: Setup | None = model.__dict__.get("_setup")
    if setup is None:
        raise ArgumentError("call model.compile(optimizer, loss, metrics) before fit or evaluate")
    return setup


def _validation_feed(data: Any, batch_size: int | None) -> Feed:
    if isinstance(data, list | tuple):
        if len(data) != 2:
            raise ArgumentError("validation_data must be (x, y), a Dataset or a DataLoader")
        return make_feed(data[0], data[1], batch_size, shuffle=False)
    return make_feed(data, None, batch_size, shuffle=False)


def _limited(feed: Feed, steps: int | None) -> Iterator[Batch]:
    for i, batch in enumerate(feed):
        if steps is not None and i >= steps:
            return
        yield batch


def _joined(outputs: list[Any]) -> Any:
    """The outputs of all batches as one, part by part."""
    first = outputs[0]
    if isinstance(first, list | tuple):
        return type(first)(_joined([o[i] for o in outputs]) for i in range(len(first)))
    if isinstance(first, dict):
        return {k: _joined([o[k] for o in outputs]) for k in first}
    with no_grad():
        return outputs[0] if len(outputs) == 1 else ops.cat(*outputs, dim=0)


class _Mode:
    """Training or evaluation mode for a block; each module has its own back afterwards."""

    def __init__(self, model: Module, training: bool) -> None:
        self.model, self.training = model, training

    def __enter__(self) -> None:
        self.before = [(m, m.training) for m in self.model.modules()]
        self.model.train(self.training)

    def __exit__(self, *exc: object) -> None:
        for module, training in self.before:
            if module.training != training:
                module.training = training


class _Run:
    """One call of fit or evaluate."""

    def __init__(
        self,
        model: Module,
        setup: Setup,
        epochs: int,
        verbose: Any,
        callbacks: Sequence[Callback] | Callback,
        steps: int | None,
    ) -> None:
        self.model, self.setup, self.epochs = model, setup, epochs
        self.progress = Progress(verbose, epochs)
        self.history = History()
        given = [callbacks] if isinstance(callbacks, Callback) else callbacks
        self.callbacks = [*given, self.history]  # last: callbacks may add to the logs
        self.validation: tuple[Feed | None, int | None, int] = (None, None, 1)
        self.keeper = Keeper(None, None, False)
        self.loss, self.place = Mean(), Place()
        self.steps, self.verbose = steps, verbose
        for callback in self.callbacks:
            callback.set_model(model)

    def introduce(self, **more: Any) -> None:
        """Tell the callbacks what is to be done."""
        params = {"epochs": self.epochs, "steps": self.steps, "verbose": self.verbose, **more}
        for callback in self.callbacks:
            callback.set_params(params)

    def tell(self, moment: str, *args: Any) -> None:
        """Call the callbacks."""
        for callback in self.callbacks:
            getattr(callback, moment)(*args)

    def train(self, feed: Feed, first: int, steps_per_epoch: int | None) -> History:
        """The epochs."""
        self.model.stop_training = False
        _offer_history(self.model, self.history)
        reader = Reader(feed)
        found = self.keeper.open(self, reader)
        self.introduce(resumed=found is not None)
        self.tell("on_train_begin", {})
        if found is not None:
            first = found.epoch
            if not found.done:
                self.keeper.restore()
        try:
            with self.keeper:
                logs = self._epochs(range(first, self.epochs), reader, steps_per_epoch)
        finally:
            self.progress.abort()
        self.tell("on_train_end", logs)
        return self.history

    def _epochs(self, epochs: range, reader: Reader, count: int | None) -> dict[str, Any]:
        logs = self.place.logs
        for epoch in epochs:
            if self.model.stop_training:
                break
            logs = self.epoch(epoch, reader, count)
            self.place.next_epoch(epoch + 1, logs)
            self.keeper.after_epoch(epoch + 1)
        return logs

    def epoch(self, epoch: int, reader: Reader, count: int | None) -> dict[str, Any]:
        """One epoch, or what is left of it, and its validation; the logs."""
        self.tell("on_epoch_begin", epoch, {})
        self.progress.begin(epoch, self.steps)
        if not self.keeper.restore():
            self.place.begin(epoch)
            self._reset()
        rest = reader.rest() if count is None else reader.take(count - self.place.done)
        logs = self._steps(self.keeper.guarded(rest))
        if not self.place.done:
            raise ArgumentError("fit: there is no data")
        self.steps = self.steps or self.place.done
        feed, steps, every = self.validation
        if feed is not None and (epoch + 1) % every == 0:
            logs |= {f"val_{k}": v for k, v in self.test(feed, steps, None).items()}
        self.tell("on_epoch_end", epoch, logs)
        self.progress.end(self.place.done, logs)
        return logs

    def _steps(self, batches: Iterator[Batch]) -> dict[str, Any]:
        with _Mode(self.model, True):
            for batch in () if self.model.stop_training else batches:
                done = self.place.done
                self.tell("on_train_batch_begin", done, {})
                value, outputs = self.setup.train(self.model, batch)
                self._note(batch)
                self.loss.update(value, batch.size)
                logs = self._logs(self.loss, outputs, batch.target)
                self.tell("on_train_batch_end", done, logs)
                self.place.step(logs)
                self.progress.step(done + 1, logs)
                self.keeper.after_step()
                if self.model.stop_training:
                    break
        return dict(self.place.logs)

    def _reset(self) -> None:
        self.loss.reset()
        for metric in self.setup.metrics:
            metric.reset()

    def test(self, feed: Feed, steps: int | None, progress: Progress | None) -> dict[str, Any]:
        """The loss and the metrics over a feed."""
        self.tell("on_test_begin", {})
        loss, done = Mean(), 0
        for metric in self.setup.metrics:
            metric.reset()
        logs: dict[str, Any] = {}
        with _Mode(self.model, False):
            for batch in _limited(feed, steps):
                value, outputs = self.setup.test(self.model, batch)
                loss.update(value, batch.size)
                logs = self._logs(loss, outputs, batch.target)
                done += 1
                self.tell("on_test_batch_end", done - 1, logs)
                if progress is not None:
                    progress.step(done, logs)
        if not done:
            raise ArgumentError("evaluate: there is no data")
        self.tell("on_test_end", logs)
        if progress is not None:
            progress.end(done, logs)
        return logs

    def _logs(self, loss: Mean, outputs: Any, target: Any) -> dict[str, Any]:
        logs: dict[str, Any] = {"loss": loss.compute()}
        if self.setup.metrics:
            with no_grad():
                target = matched(outputs, target)
        for metric in self.setup.metrics:
            metric.update(outputs, target)
            logs[metric.name] = metric.compute()
        return logs

    def _note(self, batch: Batch) -> None:
        if self.setup.sample is None:
            self.setup.sample = tuple((tuple(x.shape), x.dtype.numpy) for x in batch.inputs)


def _offer_history(model: Module, history: History) -> None:
    """Set `model.history`, unless that is something of the model's own."""
    if isinstance(getattr(model, "history", history), History):
        model.__dict__["history"] = history
