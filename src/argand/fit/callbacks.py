"""Callbacks of `fit`: Keras's names and arguments."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from argand.base.domains import check_counts, check_numbers
from argand.base.errors import did_you_mean
from argand.fit.monitor import Monitor
from argand.io.files import save
from argand.optim.lr_scheduler import ReduceLROnPlateau as Plateau
from argand.tensor.generators import get_rng_state
from argand.transform.mode import no_grad

Logs = dict[str, Any]


class Callback:
    """Base of callbacks: override the methods of the moments that matter.

    `self.model` is the model; `logs` holds the loss and the metrics so far.

    >>> class Watch(ag.fit.Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         print(epoch, sorted(logs))
    >>> model = nn.Linear(2, 1)
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(ag.ones(4, 2), ag.ones(4, 1), verbose=0, callbacks=[Watch()])
    0 ['loss']
    """

    model: Any = None
    params: dict[str, Any]

    def set_model(self, model: Any) -> None:
        """Told before training which model it is."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Told before training: epochs, steps and verbose."""
        self.params = params

    def state_dict(self) -> dict[str, Any]:
        """What the callback needs to go on, as plain data; kept by ``fit(checkpoint=...)``."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned; called after `on_train_begin`, and for a training
        that stopped in the middle of an epoch after its `on_epoch_begin`."""
        vars(self).update(state_dict)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch; `logs` holds the validation values too."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a training step."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a training step."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of an evaluation."""


class LambdaCallback(Callback):
    """A callback made of functions, by the names of Callback's methods.

    >>> shout = ag.fit.LambdaCallback(on_epoch_end=lambda epoch, logs: print("epoch", epoch))
    >>> shout.on_epoch_end(0, {})
    epoch 0
    """

    def __init__(self, **functions: Callable[..., Any]) -> None:
        for name, function in functions.items():
            known = [n for n in dir(Callback) if n.startswith("on_")]
            if name not in known:
                raise TypeError(f"LambdaCallback: no moment {name!r}{did_you_mean(name, known)}")
            if function is not None:
                setattr(self, name, function)


class History(Callback):
    """The logs of every epoch, by name: ``history.history["loss"]``. `fit` returns it.

    >>> model = nn.Linear(2, 1)
    >>> model.compile("sgd", "mse")
    >>> len(model.fit(ag.ones(4, 2), ag.ones(4, 1), epochs=3, verbose=0).history["loss"])
    3
    """

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def state_dict(self) -> dict[str, Any]:
        return {"history": self.history, "epoch": self.epoch}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


class EarlyStopping(Callback):
    """Stop when a value has not got better by more than `min_delta` for `patience` epochs.

    `mode` is "min", "max" or "auto" (by the value's name); `restore_best_weights` goes back to the
    best epoch.

    >>> model = nn.Linear(2, 1)
    >>> model.compile(optim.SGD(model.parameters(), lr=0.0), "mse")
    >>> stop = ag.fit.EarlyStopping(monitor="loss", patience=2)
    >>> history = model.fit(ag.ones(4, 2), ag.ones(4, 1), epochs=9, verbose=0, callbacks=[stop])
    >>> len(history.history["loss"])
    3
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        check_counts(0, patience=patience, start_from_epoch=start_from_epoch)
        self.watch = Monitor(monitor, mode, min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch

    def state_dict(self) -> dict[str, Any]:
        names = ("wait", "stopped_epoch", "best_epoch", "best", "best_weights")
        return {name: getattr(self, name) for name in names}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = self.watch.worst if self.baseline is None else self.baseline
        self.best_weights: dict[str, Any] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if epoch < self.start_from_epoch:
            return
        value = self.watch.value(logs, "EarlyStopping")
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights = _copied(self.model)
        self.wait += 1
        if self.watch.better(value, self.best):
            self.best, self.best_epoch, self.wait = value, epoch, 0
            if self.restore_best_weights:
                self.best_weights = _copied(self.model)
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            self.model.load_state_dict(self.best_weights)


def _copied(model: Any) -> dict[str, Any]:
    with no_grad():
        return {name: t.clone() for name, t in model.state_dict().items()}


class ModelCheckpoint(Callback):
    """Save the model after every epoch, or only when a value got better.

    `filepath` may name the epoch and the logs: ``"{epoch:02d}-{val_loss:.2f}.safetensors"``. The
    file takes its name when it is whole, so an interrupted save never leaves half a file. It holds
    the state dict, or without `save_weights_only` also the optimizer's state, the epoch and the
    random state.

    >>> import os, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> path = os.path.join(folder, "{epoch}.safetensors")
    >>> keep = ag.fit.ModelCheckpoint(path, save_weights_only=True)
    >>> model = nn.Linear(2, 1)
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(ag.ones(4, 2), ag.ones(4, 1), epochs=2, verbose=0, callbacks=[keep])
    >>> sorted(os.listdir(folder))
    ['1.safetensors', '2.safetensors']
    """

    def __init__(
        self,
        filepath: Any,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: Any = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        if save_freq != "epoch":
            check_counts(1, save_freq=save_freq)
        self.filepath, self.verbose = str(filepath), verbose
        self.watch = Monitor(monitor, mode)
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        self.save_freq = save_freq
        threshold = initial_value_threshold
        self.best = self.watch.worst if threshold is None else threshold
        self._steps = self._epoch = 0

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "_steps": self._steps, "_epoch": self._epoch}

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._steps += 1
        if self.save_freq != "epoch" and self._steps % self.save_freq == 0:
            self._save(self._epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, logs)

    def _save(self, epoch: int, logs: Logs | None) -> None:
        if self.save_best_only:
            value = self.watch.value(logs, "ModelCheckpoint")
            if not self.watch.better(value, self.best):
                return
            self.best = value
        path = Path(self.filepath.format(epoch=epoch + 1, **(logs or {})))
        path.parent.mkdir(parents=True, exist_ok=True)
        save(
            self.model.state_dict() if self.save_weights_only else everything(self.model, epoch),
            path,
        )
        if self.verbose:
            print(f"Epoch {epoch + 1}: saved the model to {path}")


def everything(model: Any, epoch: int) -> dict[str, Any]:
    """All that training depends on after an epoch: weights, optimizer, random state."""
    return {
        "model": model.state_dict(),
        "optimizer": _optimizer(model).state_dict(),
        "epoch": epoch + 1,
        "random": get_rng_state(),
    }


class BackupAndRestore(Callback):
    """A `fit` that is stopped and started again goes on where it stopped.

    As ``fit(checkpoint=backup_dir, save_every=save_freq, resume=True)``: an interrupted training,
    started again with the same arguments, ends with the same weights as one that was never
    interrupted. The history has the epochs of this call only, as in Keras. What is in the folder is
    removed when training ends, unless `delete_checkpoint` is False. `save_freq` is "epoch", or a
    number of steps.

    >>> import os, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> model = nn.Linear(2, 1)
    >>> model.compile("sgd", "mse")
    >>> resume = ag.fit.BackupAndRestore(folder)
    >>> history = model.fit(ag.ones(4, 2), ag.ones(4, 1), verbose=0, callbacks=[resume])
    >>> os.listdir(folder)
    []
    """

    def __init__(
        self, backup_dir: Any, delete_checkpoint: bool = True, *, save_freq: Any = "epoch"
    ) -> None:
        self.backup_dir, self.delete_checkpoint = Path(backup_dir), delete_checkpoint
        self.save_freq = save_freq

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.delete_checkpoint:
            for path in self.backup_dir.glob("step-*.safetensors"):
                path.unlink(missing_ok=True)


class LearningRateScheduler(Callback):
    """Set the learning rate before each epoch: `schedule` maps (epoch, lr), or epoch, to it.

    >>> model = nn.Linear(2, 1)
    >>> opt = optim.SGD(model.parameters(), lr=0.1)
    >>> model.compile(opt, "mse")
    >>> halve = ag.fit.LearningRateScheduler(lambda epoch: 0.1 / 2**epoch)
    >>> history = model.fit(ag.ones(4, 2), ag.ones(4, 1), epochs=2, verbose=0, callbacks=[halve])
    >>> opt.param_groups[0]["lr"]
    0.05
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        for group in _optimizer(self.model).param_groups:
            try:
                rate = self.schedule(epoch, group["lr"])
            except TypeError:  # a schedule of the epoch alone
                rate = self.schedule(epoch)
            group["lr"] = float(rate)
        if self.verbose:
            print(f"Epoch {epoch + 1}: the learning rate is {rate}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = _optimizer(self.model).param_groups[0]["lr"]


def _optimizer(model: Any) -> Any:
    return model.__dict__["_setup"].optimizer


class ReduceLROnPlateau(Callback):
    """The rate times `factor` when a metric has not got better for more than `patience` calls of
    ``step(metric)``.

    `mode` "min" or "max" says what better is; by `threshold`, relative to the best ("rel") or
    absolute ("abs").

    >>> opt = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    >>> schedule = optim.lr_scheduler.ReduceLROnPlateau(opt, patience=0)
    >>> for loss in (1.0, 1.0):
    ...     schedule.step(loss)
    >>> opt.param_groups[0]["lr"]
    0.1
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        check_numbers("(-inf, 1)", factor=factor)
        check_numbers("(-inf, inf)", min_lr=min_lr, min_delta=min_delta)
        check_counts(0, patience=patience, cooldown=cooldown)
        self.watch = Monitor(monitor, mode)
        self.verbose = verbose
        self.options = {
            "mode": "max" if self.watch.up else "min",
            "factor": factor,
            "patience": patience,
            "threshold": min_delta,
            "threshold_mode": "abs",
            "cooldown": cooldown,
            "min_lr": min_lr,
        }

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.plateau = Plateau(_optimizer(self.model), **self.options)  # type: ignore[arg-type]

    def state_dict(self) -> dict[str, Any]:
        return self.plateau.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.plateau.load_state_dict(state_dict)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        before = self.plateau.get_last_lr()
        self.plateau.step(self.watch.value(logs, "ReduceLROnPlateau"))
        if self.verbose and self.plateau.get_last_lr() != before:
            print(f"Epoch {epoch + 1}: the learning rate is {self.plateau.get_last_lr()[0]}")
        if logs is not None:
            logs["learning_rate"] = self.plateau.get_last_lr()[0]


class CSVLogger(Callback):
    """The logs of every epoch as lines of a CSV file.

    >>> import os, pathlib, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "log.csv")
    >>> model = nn.Linear(2, 1)
    >>> model.compile("sgd", "mse")
    >>> log = ag.fit.CSVLogger(path)
    >>> history = model.fit(ag.ones(4, 2), ag.ones(4, 1), verbose=0, callbacks=[log])
    >>> pathlib.Path(path).read_text().split()[0]
    'epoch,loss'
    """

    def __init__(self, filename: Any, separator: str = ",", append: bool = False) -> None:
        self.filename, self.separator, self.append = Path(filename), separator, append
        self.names: list[str] | None = None

    def state_dict(self) -> dict[str, Any]:
        size = self.filename.stat().st_size if self.filename.exists() else 0
        return {"names": self.names, "size": size}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.names = state_dict["names"]
        if self.filename.exists():  # without the lines of epochs that are run again
            os.truncate(self.filename, state_dict["size"])

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.names = None
        if not self.append and not self.params.get("resumed"):
            self.filename.write_text("")
        elif self.filename.exists() and self.filename.stat().st_size:
            with self.filename.open(newline="") as file:
                self.names = next(csv.reader(file, delimiter=self.separator))[1:]

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        with self.filename.open("a", newline="") as file:
            writer = csv.writer(file, delimiter=self.separator)
            if self.names is None:
                self.names = sorted(logs)
                writer.writerow(["epoch", *self.names])
            writer.writerow([epoch, *(logs.get(n, "") for n in self.names)])


class TerminateOnNaN(Callback):
    """Stop when the loss is not finite.

    >>> model = nn.Linear(2, 1)
    >>> model.compile("sgd", "mse")
    >>> x = ag.full((4, 2), float("nan"))
    >>> stop = ag.fit.TerminateOnNaN()
    >>> history = model.fit(x, ag.ones(4, 1), epochs=9, verbose=0, callbacks=[stop])
    Batch 0: the loss is nan, training stops
    >>> len(history.epoch)
    1
    """

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            print(f"Batch {batch}: the loss is {loss}, training stops")
            self.model.stop_training = True
