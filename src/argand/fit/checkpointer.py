"""Checkpoints of everything that training depends on, for loops of one's own and for `fit`."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from argand.base.domains import check_counts
from argand.base.errors import ArgumentError, FormatError
from argand.fit.every import Every
from argand.fit.interrupts import Interrupts
from argand.fit.monitor import Monitor
from argand.fit.parts import (
    CheckpointError,
    check_part,
    misfit,
    missing_parts,
    random_state,
    restore,
    set_random_state,
    state_of,
    title,
)
from argand.io.checkpoints import OtherFormError, read_checkpoint, read_facts, write_checkpoint

_NAME = re.compile(r"step-(\d+)\.safetensors")


class Checkpointer:
    """Keeps checkpoints of training in a folder, and goes on from the last one.

    The keywords name what is kept: anything with `state_dict()` and `load_state_dict()` (models,
    optimizers, schedules, `GradScaler`, loaders, metrics), generators of random numbers, and lists,
    dicts and sets of plain data, which are filled again. The global generators - Argand's, Python's
    and NumPy's - are kept unless `random` is False. None is left out.

    Three ways to use it, each started again by running the program again::

        for step in ck.steps(1000): ...                   # the rest of 0 to 999

        for epoch in ck.epochs(10):                       # the rest of 0 to 9
            for batch in loader:                          # goes on in the middle of an epoch
                ...
                ck.step()

        start = ck.resume() or 0
        for step in range(start, 1000):
            ...
            ck.save(step + 1)

    `every` says when `step()` and the ends of epochs save: a number of steps, "epoch", "2 epochs",
    "10 minutes" or a timedelta. The last `keep` checkpoints are kept (None: all), and the `best`
    by a value that is saved with them (``best="val_loss"``; `mode` "min", "max" or "auto").

    A checkpoint is one file, ``step-00000012.safetensors``, which `ag.load` reads too. It appears
    whole or not at all, whenever the process is killed; a checksum tells whether it is what was
    written, and `resume` falls back to the one before, with a warning, where it is not. One folder
    is for one training: a folder with checkpoints that were not resumed from is not written over.

    In `steps`, `epochs` and a `with` block, Ctrl-C and SIGTERM wait until `step()` (or the body of
    `steps`) is done and saved; then KeyboardInterrupt or SystemExit(143) is raised. The second
    signal is obeyed at once.

    >>> import tempfile
    >>> folder, model = tempfile.mkdtemp(), nn.Linear(2, 1)
    >>> opt, losses = optim.Adam(model.parameters()), []
    >>> ck = ag.fit.Checkpointer(folder, model=model, optimizer=opt, losses=losses, every=10)
    >>> for step in ck.steps(25):
    ...     loss = model(ag.rand(4, 2)).square().mean()
    ...     loss.backward(); opt.step(); opt.zero_grad()
    ...     losses.append(loss.item())
    >>> again = ag.fit.Checkpointer(folder, model=nn.Linear(2, 1))
    >>> again.resume(strict=False), again.files()[-1].name
    (25, 'step-00000025.safetensors')
    """

    def __init__(
        self,
        folder: Any,
        *,
        every: Any = "epoch",
        keep: int | None = 2,
        best: str | None = None,
        mode: str = "auto",
        random: bool = True,
        **parts: Any,
    ) -> None:
        if keep is not None:
            check_counts(1, keep=keep)
        self.folder = Path(folder)
        self.parts = {name: part for name, part in parts.items() if part is not None}
        for name, part in self.parts.items():
            check_part(name, part)
        self.every, self.keep, self.random = Every(every), keep, random
        self.watch = None if best is None else Monitor(best, mode)
        self.done = 0  # steps
        self.epoch = 0
        self.plain: dict[str, Any] = {}
        self._resumed = False
        self._saved: int | None = None  # the step of the last checkpoint of this training
        self._interrupts = Interrupts()
        self._depth = 0
        self._values: dict[Path, float | None] = {}

    def __repr__(self) -> str:
        return f"Checkpointer({str(self.folder)!r}, keeps {', '.join(self.parts) or 'nothing'})"

    # -- loops -------------------------------------------------------------------------------------

    def steps(self, count: int) -> Iterator[int]:
        """The numbers of the steps that are left of `count`, from where the last run stopped; the
        body of the loop is a step. The end is saved."""
        with self:
            self._begin()
            while self.done < count:
                yield self.done
                self.step()
            self._save_once()

    def epochs(self, count: int) -> Iterator[int]:
        """The numbers of the epochs that are left of `count`, beginning with the one that the last
        run stopped in; `step()` in the body tells of its steps. The end is saved."""
        with self:
            self._begin()
            while self.epoch < count:
                yield self.epoch
                self.epoch += 1
                if self.every.after_epoch(self.epoch):
                    self.save(**self.plain)
                self.leave_if_asked()
            self._save_once()

    def step(self, **plain: Any) -> None:
        """One more step is done: save if that is due, or if the process was asked to leave."""
        self.done += 1
        self.plain = {**self.plain, **plain}
        if self.every.after_step(self.done):
            self.save(**self.plain)
        self.leave_if_asked()

    def __enter__(self) -> Checkpointer:
        if not self._depth:
            self._interrupts.__enter__()
        self._depth += 1
        return self

    def __exit__(self, *exc: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._interrupts.__exit__()

    def leave_if_asked(self) -> None:
        """Where Ctrl-C or SIGTERM has come: save, and raise KeyboardInterrupt or SystemExit."""
        if self._interrupts.asked is not None:
            self._save_once()
            last = f"saved in {self.folder}; run it again to go on"
            raise self._interrupts.reason(f"stopped after step {self.done}, {last}")

    def _begin(self) -> None:
        if not self._resumed:
            self.resume()

    def _save_once(self) -> None:
        if self._saved != self.done or self._epoch_saved != self.epoch:
            self.save(**self.plain)

    # -- saving ------------------------------------------------------------------------------------

    def save(self, step: int | None = None, **plain: Any) -> Path:
        """Save everything now, with plain values by name, which are in `plain` after `resume`.

        `step` is the number that `resume` returns: by default that of the steps done. Raises
        OSError where the file can't be written, which says what is intact; ArgumentError where the
        folder has later checkpoints of a training that was not resumed.
        """
        self.done = self.done if step is None else int(step)
        check_counts(0, step=self.done)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._check_folder()
        self.plain = dict(plain)
        path = self._path(self.done)
        value = None if self.watch is None else self._value()
        try:
            write_checkpoint(self._tree(), {"step": self.done, "value": value}, path)
        except OSError as e:
            raise OSError(
                e.errno,
                f"{e.strerror or e}: the checkpoint of step {self.done} was not written; "
                f"{self._intact()}",
                str(path),
            ) from e
        self._saved, self._epoch_saved = self.done, self.epoch
        self._values[path] = value
        self._remove_old(path)
        self.every.restart()
        return path

    _epoch_saved = -1

    def _tree(self) -> dict[str, Any]:
        return {
            "step": self.done,
            "epoch": self.epoch,
            "parts": {name: state_of(part) for name, part in self.parts.items()},
            "classes": {name: title(part) for name, part in self.parts.items()},
            "random": random_state() if self.random else None,
            "plain": self.plain,
        }

    def _value(self) -> float | None:
        assert self.watch is not None
        return (
            self.watch.value(self.plain, "Checkpointer") if self.watch.name in self.plain else None
        )

    def _check_folder(self) -> None:
        if self._resumed or self._saved is not None:
            return
        steps = [_step_of(path) for path in self.files()]
        if steps and steps[-1] >= self.done:
            raise ArgumentError(
                f"{self.folder} has checkpoints of an earlier training, the last of step "
                f"{steps[-1]}: go on from it with resume(), or use another folder"
            )

    def _remove_old(self, new: Path) -> None:
        """Remove what is not to be kept: first of all what lies ahead of the new one, which belongs
        to a training that was left or is damaged."""
        files = self.files()
        here = [path for path in files if _step_of(path) <= _step_of(new)]
        kept = set(here if self.keep is None else here[-self.keep :])
        best = self._best_of(here)
        for path in files:
            if path not in kept and path != best:
                path.unlink(missing_ok=True)
        for left in self.folder.glob(".step-*.safetensors.*"):  # of a process that was killed
            left.unlink(missing_ok=True)

    # -- what is there -----------------------------------------------------------------------------

    def files(self) -> list[Path]:
        """The checkpoints in the folder, the oldest first."""
        if not self.folder.is_dir():
            return []
        found = [path for path in self.folder.iterdir() if _NAME.fullmatch(path.name)]
        return sorted(found, key=_step_of)

    @property
    def best(self) -> int | None:
        """The step of the best checkpoint, for `resume(ck.best)`; None where there is none."""
        path = self._best_of(self.files())
        return None if path is None else _step_of(path)

    def _best_of(self, files: list[Path]) -> Path | None:
        if self.watch is None:
            return None
        best, found = self.watch.worst, None
        for path in files:
            value = self._value_of(path)
            if value is not None and (found is None or self.watch.better(value, best)):
                best, found = value, path
        return found

    def _value_of(self, path: Path) -> float | None:
        if path not in self._values:
            try:
                self._values[path] = read_facts(path).get("value")
            except FormatError:
                self._values[path] = None
        return self._values[path]

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}.safetensors"

    def _intact(self) -> str:
        steps = [_step_of(path) for path in self.files()]
        if not steps:
            return f"there is no other in {self.folder}"
        listed = ", ".join(map(str, steps[-5:]))
        return f"those of before are intact in {self.folder}: steps {listed}"

    # -- going on ----------------------------------------------------------------------------------

    def resume(self, step: int | None = None, *, strict: bool = True) -> int | None:
        """Go back to the last checkpoint that is whole, or to that of `step`.

        Returns its step, and None where there is none. `strict=False` takes the parts that both the
        checkpoint and the program have. Raises CheckpointError, before anything is changed, where
        a checkpoint is of another model or lacks parts, or where all are damaged.
        """
        found = self.find(step)
        self._resumed = True
        if found is None:
            return None
        self.take(*found, strict=strict)
        return self.done

    def find(self, step: int | None = None) -> tuple[Path, Any] | None:
        """The file and the contents of the last checkpoint that is whole, or of that of `step`."""
        if step is not None:
            return self._only(step)
        damaged: list[str] = []
        for path in reversed(self.files()):
            try:
                tree = read_checkpoint(path)[0]
            except OtherFormError:
                raise
            except FormatError as e:
                damaged.append(str(e))
                continue
            if damaged:
                warnings.warn(
                    f"{'; '.join(damaged)}. Training goes on from {path.name}, which is whole",
                    stacklevel=3,
                )
            return path, tree
        if damaged:
            raise CheckpointError(f"no checkpoint is whole, nothing was loaded: {damaged}")
        return None

    def _only(self, step: int) -> tuple[Path, Any]:
        path = self._path(step)
        if not path.exists():
            steps = ", ".join(str(_step_of(p)) for p in self.files())
            raise FileNotFoundError(
                f"there is no checkpoint of step {step} in {self.folder}; there are: {steps}"
            )
        return path, read_checkpoint(path)[0]

    def take(self, path: Path, tree: Any, *, strict: bool = True) -> None:
        """Go back to the contents of a checkpoint."""
        states, classes = tree["parts"], tree["classes"]
        if strict and (said := missing_parts(states, self.parts)):
            raise CheckpointError(
                f"{path}: {said}. Nothing was loaded and the file is whole; resume(strict=False) "
                "takes what both have"
            )
        shared = [name for name in self.parts if name in states]
        for name in shared:
            if said := misfit(self.parts[name], states[name], classes[name]):
                raise CheckpointError(
                    f"{path}: the state of {name} does not fit: {said}\nNothing was loaded, and "
                    "the file is whole"
                )
        self._restore(path, shared, states)
        self.done, self.epoch, self.plain = tree["step"], tree["epoch"], tree["plain"]
        self._saved, self._epoch_saved, self._resumed = self.done, self.epoch, True
        if self.random and tree["random"] is not None:
            set_random_state(tree["random"])
        self.every.restart()

    def _restore(self, path: Path, names: list[str], states: Any) -> None:
        for i, name in enumerate(names):
            try:
                restore(self.parts[name], states[name])
            except Exception as e:
                before = (
                    f"{', '.join(names[:i])} before it are loaded" if i else "nothing is loaded"
                )
                e.add_note(f"{path}: while the state of {name} was loaded; {before}")
                raise


def _step_of(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return int(match[1])
