"""Trainings that the kill test stops: each ends by writing what it has come to.

``python trainee.py`` is a server of them. A line ``KIND FOLDER RESULT DELAY`` starts one in a
process of its own, forked from one that has everything imported, and kills it after DELAY seconds
("-": never); the answer is "killed" or "finished". So a restart takes milliseconds.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import argand as ag
from argand import nn, optim
from argand.data import DataLoader, TensorDataset
from argand.io import safetensors

X = np.random.default_rng(3).standard_normal((90, 6)).astype(np.float32)
Y = (X[:, 0] * X[:, 1] > 0).astype(np.int64)


def network() -> nn.Module:
    """Dropout, batch norm and a matrix or two."""
    ag.manual_seed(1)
    parts = nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 2)
    return nn.Sequential(*parts)


def loader(workers: int) -> DataLoader:
    return DataLoader(TensorDataset(X, Y), batch_size=9, shuffle=True, num_workers=workers)


def by_steps(folder: str, compiled: bool) -> dict[str, Any]:
    """A loop over steps, whose batches are drawn."""
    model = network()
    opt = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    rates = optim.lr_scheduler.OneCycleLR(opt, max_lr=0.1, total_steps=60)
    losses: list[float] = []

    def step(x: ag.Tensor, y: ag.Tensor) -> ag.Tensor:
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    step = ag.compile(step) if compiled else step
    kept = {"model": model, "optimizer": opt, "scheduler": rates, "losses": losses}
    x, y = ag.tensor(X), ag.tensor(Y)
    for _ in ag.fit.Checkpointer(folder, every=4, **kept).steps(60):
        chosen = ag.randperm(90)[: random.randint(8, 9) if not compiled else 9]
        noise = ag.tensor(np.random.standard_normal((len(chosen), 6)).astype(np.float32))
        losses.append(step(x[chosen] + 0.01 * noise, y[chosen]).item())
        rates.step()
    return {"model": model.state_dict(), "optimizer": opt.state_dict(), "losses": losses}


def by_epochs(folder: str, compiled: bool, workers: int = 0) -> dict[str, Any]:
    """A loop over epochs and a loader, saved in the middle of epochs."""
    model, data = network(), loader(workers)
    opt = optim.AdamW(model.parameters(), lr=0.01)
    rates = optim.lr_scheduler.CosineAnnealingLR(opt, T_max=5)
    accuracy = ag.metrics.Accuracy()
    losses: list[float] = []
    scores: list[float] = []

    def step(x: ag.Tensor, y: ag.Tensor) -> tuple[ag.Tensor, ag.Tensor]:
        outputs = model(x)
        loss = nn.functional.cross_entropy(outputs, y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss, outputs

    step = ag.compile(step) if compiled else step
    kept = {"model": model, "optimizer": opt, "scheduler": rates, "loader": data}
    lists = {"accuracy": accuracy, "losses": losses, "scores": scores}
    ck = ag.fit.Checkpointer(folder, every=3, **kept, **lists)
    for _ in ck.epochs(5):
        for x, y in data:
            loss, outputs = step(x, y)
            accuracy.update(outputs, y)
            losses.append(loss.item())
            ck.step()
        scores.append(accuracy.compute())
        accuracy.reset()
        rates.step()
    result = {"model": model.state_dict(), "optimizer": opt.state_dict(), "losses": losses}
    return {**result, "scores": scores}


def by_fit(folder: str, compiled: bool, workers: int = 0) -> dict[str, Any]:
    """`fit` with everything."""
    model = network()
    opt = optim.Adam(model.parameters(), lr=0.02)
    model.compile(opt, "cross_entropy", ["accuracy"], run_eagerly=not compiled)
    callbacks = [
        ag.fit.EarlyStopping("val_loss", patience=3, restore_best_weights=True),
        ag.fit.ReduceLROnPlateau("val_loss", patience=0, factor=0.5),
        ag.fit.CSVLogger(f"{folder}.csv"),
    ]
    history = model.fit(
        loader(workers),
        epochs=5,
        verbose=0,
        callbacks=callbacks,
        validation_data=(X[:20], Y[:20]),
        checkpoint=folder,
        save_every=4,
        resume=True,
    )
    result = {"model": model.state_dict(), "optimizer": opt.state_dict()}
    lines = Path(f"{folder}.csv").read_text()
    return {**result, "history": history.history, "epochs": history.epoch, "lines": lines}


def cut(folder: str, after: int) -> dict[str, Any]:
    """Save once more, and be killed before the call of the system number `after`."""
    model = network()
    ck = ag.fit.Checkpointer(folder, keep=1, model=model)
    step = ck.resume()
    calls = [0]

    def counted(function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            calls[0] += 1
            if calls[0] > after:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return call

    for name in ("open", "close", "fsync", "chmod", "replace", "unlink"):
        setattr(os, name, counted(getattr(os, name)))
    safetensors.bytes_of = counted(safetensors.bytes_of)
    ck.save(0 if step is None else step + 1)
    return {}


KINDS = {
    "steps": lambda folder: by_steps(folder, False),
    "steps-compiled": lambda folder: by_steps(folder, True),
    "epochs": lambda folder: by_epochs(folder, False),
    "epochs-compiled": lambda folder: by_epochs(folder, True),
    "epochs-workers": lambda folder: by_epochs(folder, False, workers=2),
    "fit": lambda folder: by_fit(folder, False),
    "fit-compiled": lambda folder: by_fit(folder, True),
    "fit-compiled-workers": lambda folder: by_fit(folder, True, workers=2),
}


def train(kind: str, folder: str, result: str) -> None:
    """One training, from where it stopped."""
    random.seed(1)
    np.random.seed(1)
    ag.save(KINDS[kind](folder), result, format="safetensors")


def serve() -> None:
    """Answer the lines of the standard input."""
    for kind in KINDS:  # so that no child compiles a kernel
        train(kind, f"{sys.argv[1]}/warm-{kind}", f"{sys.argv[1]}/warm-{kind}.st")
    print("ready", flush=True)
    for line in sys.stdin:
        kind, folder, result, delay = line.split()
        child = os.fork()
        if not child:
            os.setpgid(0, 0)
            if kind.startswith("cut-"):
                cut(folder, int(kind.removeprefix("cut-")))
            else:
                train(kind, folder, result)
            os._exit(0)
        if delay != "-":
            time.sleep(float(delay))
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        print("killed" if killed else "finished" if not status else "failed", flush=True)


if __name__ == "__main__":
    serve()
