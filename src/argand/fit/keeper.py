"""What `fit` keeps of a training, and how it goes on from it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from argand.base.errors import ArgumentError
from argand.fit.callbacks import BackupAndRestore
from argand.fit.checkpointer import Checkpointer
from argand.fit.every import Every
from argand.fit.interrupts import Interrupts
from argand.fit.parts import restore, state_of


class Place:
    """How far a training is: the epoch, the steps done in it, and the logs of the last one."""

    def __init__(self) -> None:
        self.epoch = self.done = 0
        self.logs: dict[str, Any] = {}

    def begin(self, epoch: int) -> None:
        """An epoch begins."""
        self.epoch, self.done, self.logs = epoch, 0, {}

    def step(self, logs: dict[str, Any]) -> None:
        """A step is done."""
        self.done += 1
        self.logs = dict(logs)

    def next_epoch(self, epoch: int, logs: dict[str, Any]) -> None:
        """An epoch and its validation are done."""
        self.epoch, self.done, self.logs = epoch, 0, dict(logs)

    def state_dict(self) -> dict[str, Any]:
        """The place as plain data."""
        return dict(vars(self))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to another place."""
        vars(self).update(state_dict)


class _All:
    """Several objects as one part of a checkpoint, by their names."""

    def __init__(self, objects: dict[str, Any]) -> None:
        self.objects = objects

    def state_dict(self) -> dict[str, Any]:
        return {name: state_of(x) for name, x in self.objects.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, x in self.objects.items():
            if state_dict.get(name):  # a callback may be new
                restore(x, state_dict[name])


class _Flag:
    """`model.stop_training`."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def state_dict(self) -> dict[str, Any]:
        return {"stop": bool(self.model.stop_training)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.model.stop_training = state_dict["stop"]


class Keeper:
    """Saves a run of `fit` when it is due, and leaves in order when the process is asked to.

    Without a folder it only does the latter.
    """

    def __init__(
        self, checkpoint: Any, save_every: Any, resume: Any, callbacks: Sequence[Any] = ()
    ) -> None:
        backup = next((c for c in callbacks if isinstance(c, BackupAndRestore)), None)
        self.keeps_history = checkpoint is not None or backup is None
        if checkpoint is None and backup is not None:
            checkpoint, resume = backup.backup_dir, True
            save_every = backup.save_freq if save_every is None else save_every
        if isinstance(resume, str | os.PathLike):
            if checkpoint is not None and _folder_of(checkpoint) != Path(resume):
                raise ArgumentError("give one folder: checkpoint=FOLDER with resume=True")
            checkpoint, resume = checkpoint or resume, True
        if checkpoint is None and (resume or save_every is not None):
            asked = "resume=True" if resume else "save_every"
            raise ArgumentError(f"{asked} needs the folder: fit(..., checkpoint=FOLDER)")
        self.resume = bool(resume)
        self.checkpointer: Checkpointer | None = None
        if checkpoint is not None:
            given = isinstance(checkpoint, Checkpointer)
            self.checkpointer = checkpoint if given else Checkpointer(checkpoint)
            if save_every is not None:
                self.checkpointer.every = Every(save_every)
        self._interrupts = Interrupts()
        self._found: tuple[Path, Any] | None = None
        self._run: Any = None

    def open(self, run: Any, reader: Any) -> Place | None:
        """Look for a checkpoint to go on from; the place that it was made at."""
        self._run = run
        if self.checkpointer is None:
            return None
        callbacks = run.callbacks if self.keeps_history else run.callbacks[:-1]
        self.checkpointer.parts |= _parts(run, reader, callbacks)
        if not self.resume:
            self._check_new(self.checkpointer)
            return None
        self._found = self.checkpointer.find()
        if self._found is None:
            return None
        place = Place()
        if "fit" not in self._found[1]["parts"]:
            raise ArgumentError(
                f"{self._found[0]}: a checkpoint of a loop of its own, not of fit: go on from it "
                "with Checkpointer.resume()"
            )
        place.load_state_dict(self._found[1]["parts"]["fit"]["place"])
        return place

    def _check_new(self, checkpointer: Checkpointer) -> None:
        files = checkpointer.files()
        if files:
            raise ArgumentError(
                f"{checkpointer.folder} has checkpoints of an earlier training, the last is "
                f"{files[-1].name}: go on from it with resume=True, or use another folder"
            )

    def restore(self) -> bool:
        """Go to the checkpoint that was found, once; whether there was one."""
        found, self._found = self._found, None
        if found is None or self.checkpointer is None:
            return False
        self.checkpointer.take(*found)
        return True

    def __enter__(self) -> Keeper:
        self._interrupts.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._interrupts.__exit__()

    def guarded(self, batches: Iterator[Any]) -> Iterator[Any]:
        """The batches; where a signal that came has ended the loader's workers too, leave."""
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except Exception:
                self._leave_if_asked()
                raise
            yield batch

    def after_step(self) -> None:
        """A step is done."""
        keeper = self.checkpointer
        if keeper is not None:
            keeper.done += 1
            if keeper.every.after_step(keeper.done):
                self._save()
        self._leave_if_asked()

    def after_epoch(self, epochs: int) -> None:
        """So many epochs are done."""
        keeper = self.checkpointer
        if keeper is not None:
            keeper.epoch = epochs
            last = epochs == self._run.epochs or self._run.model.stop_training
            if last or keeper.every.after_epoch(epochs):
                self._save()
        self._leave_if_asked()

    def _save(self) -> None:
        assert self.checkpointer is not None
        self.checkpointer.save(**self._run.place.logs)

    def _leave_if_asked(self) -> None:
        if self._interrupts.asked is None:
            return
        place, keeper = self._run.place, self.checkpointer
        said = f"stopped in epoch {place.epoch + 1} after {place.done} steps"
        if keeper is not None:
            self._save()
            said += f"; saved in {keeper.folder}, resume=True goes on from there"
        raise self._interrupts.reason(said)


def _parts(run: Any, reader: Any, callbacks: Sequence[Any]) -> dict[str, Any]:
    """Everything that a run of `fit` depends on but random numbers."""
    kept = {"place": run.place, "loss": run.loss, "stop": _Flag(run.model)}
    kept |= _numbered(run.setup.metrics, "metric")
    kept |= _numbered(callbacks, "callback")
    parts = {"model": run.model, "optimizer": run.setup.optimizer}
    if hasattr(run.setup.loss, "state_dict"):
        parts["loss"] = run.setup.loss
    return {**parts, "data": reader, "fit": _All(kept)}


def _numbered(objects: Any, kind: str) -> dict[str, Any]:
    """Objects by their classes, and numbers where several are of one."""
    found: dict[str, Any] = {}
    for x in objects:
        name = f"{kind} {type(x).__name__}"
        same = sum(other.split("#")[0] == name for other in found)
        found[f"{name}#{same + 1}" if same else name] = x
    return found


def _folder_of(checkpoint: Any) -> Path:
    return checkpoint.folder if isinstance(checkpoint, Checkpointer) else Path(checkpoint)
