"""`argand demo`: train on handwritten digits, eagerly and compiled, and look at the result."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import argand
from argand.cli.demo_export import agrees, check_exports
from argand.cli.demo_serve import check_packages, check_serving
from argand.compile.api import compile as compile_function
from argand.data.dataset import TensorDataset
from argand.data.loader import DataLoader
from argand.fit.progress import Progress
from argand.io.files import load, save
from argand.nn import functional as F
from argand.nn.activation import ReLU
from argand.nn.containers import Sequential
from argand.nn.conv import Conv2d
from argand.nn.linear import Linear
from argand.nn.module import Module
from argand.nn.pooling import MaxPool2d
from argand.nn.reshape import Flatten
from argand.optim.adam import Adam
from argand.tensor.core import wrap
from argand.tensor.generators import Generator, manual_seed
from argand.transform.mode import no_grad
from argand.vision.datasets import Digits

Step = Callable[[Any, Any], Any]


def make_model(seed: int) -> Module:
    """A convolutional network for images of 8 x 8 pixels."""
    manual_seed(seed)
    return Sequential(
        Conv2d(1, 16, 3, padding=1),
        ReLU(),
        MaxPool2d(2),
        Conv2d(16, 32, 3, padding=1),
        ReLU(),
        MaxPool2d(2),
        Flatten(),
        Linear(128, 64),
        ReLU(),
        Linear(64, 10),
    )


def make_step(model: Module, lr: float) -> Step:
    """The usual training step, as one would write it in PyTorch."""
    optimizer = Adam(model.parameters(), lr=lr)

    def step(x: Any, y: Any) -> Any:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return step


class Epoch(NamedTuple):
    """What an epoch gave."""

    losses: list[float]
    seconds: float
    first_step: float  # seconds, in which a compiled step is traced and compiled
    samples: int

    @property
    def samples_per_second(self) -> float:
        """Without the first step."""
        steps = len(self.losses)
        share = (steps - 1) / steps if steps > 1 else 1.0
        return self.samples * share / max(self.seconds - self.first_step, 1e-9)


def loader_of(data: TensorDataset, options: argparse.Namespace) -> DataLoader:
    """Whole batches in an order that depends on the seed alone."""
    generator = Generator().manual_seed(options.seed)
    return DataLoader(data, options.batch_size, shuffle=True, drop_last=True, generator=generator)


def run_epochs(
    step: Step, loader: DataLoader, count: int, progress: Progress, title: str
) -> list[Epoch]:
    """Every batch once, `count` times, under one progress bar."""
    epochs: list[Epoch] = []
    progress.begin(0, count * len(loader), title)
    for number in range(1, count + 1):
        losses: list[float] = []
        first = 0.0
        started = time.perf_counter()
        for x, y in loader:
            losses.append(float(step(x, y).item()))
            first = first or time.perf_counter() - started
            done = len(epochs) * len(loader) + len(losses)
            progress.step(done, {"epoch": number, "loss": losses[-1]})
        seconds = time.perf_counter() - started
        samples = len(losses) * loader.batch_sampler.batch_size
        epochs.append(Epoch(losses, seconds, first, samples))
    progress.end(count * len(loader), {"epoch": count, "loss": float(np.mean(losses))})
    return epochs


def predictions(model: Module, data: Digits) -> np.ndarray:
    """The scores for all images, in evaluation mode."""
    model.eval()
    with no_grad():
        scores = model(wrap(data.images.numpy_array().copy()))
    model.train()
    return np.array(scores.numpy_array())


def train(options: argparse.Namespace, say: Callable[[str], None]) -> tuple[Module, dict[str, Any]]:
    """An epoch eagerly, then from the same start compiled; the model and what was measured."""
    data = Digits(train=True)
    progress = Progress(0 if options.json else "auto", options.epochs)
    eager_model = make_model(options.seed)
    say("One epoch eagerly: every operation runs as Python reaches it.")
    eager_step = make_step(eager_model, options.lr)
    (eager,) = run_epochs(eager_step, loader_of(data, options), 1, progress, "Eager   ")
    model = make_model(options.seed)
    say(
        "The same step behind @argand.compile: forward, loss, backward and Adam's update become "
        "one native program."
    )
    step = compile_function(make_step(model, options.lr))
    loader = loader_of(data, options)
    epochs = run_epochs(step, loader, options.epochs, progress, "Compiled")
    rest = epochs[1:] or epochs
    speed = sum(e.samples for e in rest) / sum(e.seconds for e in rest)
    pairs = zip(eager.losses, epochs[0].losses, strict=True)
    found = {
        "eager_samples_per_second": eager.samples_per_second,
        "compiled_samples_per_second": speed,
        "compile_seconds": epochs[0].first_step,
        "largest_loss_difference": max(abs(a - b) for a, b in pairs),
        "last_loss": float(np.mean(epochs[-1].losses)),
        "training_seconds": eager.seconds + sum(e.seconds for e in epochs),
    }
    return model, found


def check_reload(model: Module, scores: np.ndarray, data: Digits, path: Path) -> bool:
    """Save, load into a fresh model, and compare the predictions."""
    save(model.state_dict(), path)
    fresh = make_model(seed=12345)
    fresh.load_state_dict(load(path))
    return bool(np.array_equal(predictions(fresh, data), scores))


def run(options: argparse.Namespace) -> int:
    """The demo; 0 when the network learned and everything agreed."""
    started = time.perf_counter()

    def say(text: str) -> None:
        if not options.json:
            print(text)

    if options.serve:
        check_packages()
    say(f"Argand {argand.__version__}: handwritten digits, a small convolutional network.\n")
    held_out = Digits(train=False)
    model, found = train(options, say)
    scores = predictions(model, held_out)
    labels = held_out.labels.numpy_array()
    accuracy = float((scores.argmax(1) == labels).mean())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(options.save) if options.save else Path(folder) / "digits.safetensors"
        same = check_reload(model, scores, held_out, path)
        size = os.path.getsize(path)
        exported = {}
        if options.export is not None:
            target = Path(options.export or folder)
            target.mkdir(parents=True, exist_ok=True)
            say("")
            exported = check_exports(model, held_out.images.numpy_array(), target, say)
        served = {}
        if options.serve:
            say("")
            served = check_serving(
                model, held_out.images.numpy_array(), Path(folder) / "served", say
            )
    report = {
        "version": argand.__version__,
        "accuracy": accuracy,
        "held_out": len(labels),
        "epochs": options.epochs,
        **found,
        **exported,
        **served,
        "speedup": found["compiled_samples_per_second"] / found["eager_samples_per_second"],
        "reloaded_predictions_equal": same,
        "seconds": time.perf_counter() - started,
    }
    if options.json:
        print(json.dumps(report))
    else:
        _tell(report, held_out.images.numpy_array(), labels, scores, size)
    agree = found["largest_loss_difference"] < 1e-2 and (not exported or agrees(exported))
    agree = agree and all(served.get("served_bits_equal", {}).values())
    return 0 if same and agree and np.isfinite(found["last_loss"]) else 1


def _tell(
    report: dict[str, Any], images: np.ndarray, labels: np.ndarray, scores: np.ndarray, size: int
) -> None:
    print(f"\n{report['accuracy']:.1%} of {report['held_out']} held-out digits are right.")
    print(
        f"eager     {report['eager_samples_per_second']:10,.0f} images a second\n"
        f"compiled  {report['compiled_samples_per_second']:10,.0f} images a second, "
        f"{report['speedup']:.1f} times as many, after {report['compile_seconds']:.2f} s of "
        "compiling\n"
        f"The losses of both agree within {report['largest_loss_difference']:.1e}.\n"
    )
    print(gallery(images, labels, scores))
    equal = "the same" if report["reloaded_predictions_equal"] else "NOT the same"
    print(f"\nSaved ({size:,} bytes), loaded into a fresh model: {equal} predictions.")
    print(f"All in {report['seconds']:.1f} s. What to try next:")
    print("  argand demo --export FOLDER            the model as an archive and as ONNX")
    print("  argand demo --epochs 50 --lr 0.001     more patience")
    print("  ARGAND_CACHE_ENABLED=0 argand demo     compile from scratch, without the cache")
    print("  python examples/mnist.py --data mnist.npz")
    print("  python examples/char_gpt.py --text some.txt")


def gallery(images: np.ndarray, labels: np.ndarray, scores: np.ndarray, count: int = 6) -> str:
    """A few digits side by side, drawn in shades; mistakes come first."""
    found = scores.argmax(1)
    wrong = np.flatnonzero(found != labels)[: count // 2]
    right = np.flatnonzero(found == labels)[: count - len(wrong)]
    chosen = [*wrong, *right]
    lines = [
        "  ".join(parts) for parts in zip(*(_drawn(images[i, 0]) for i in chosen), strict=True)
    ]
    captions = []
    for i in chosen:
        mark = "" if found[i] == labels[i] else f" not {labels[i]}"
        captions.append(f"{found[i]}{mark}".center(16))
    return "\n".join([*lines, "  ".join(captions)])


_SHADES = " ░▒▓█"


def _drawn(image: np.ndarray) -> list[str]:
    """An 8 x 8 image as 8 lines of 16 characters."""
    levels = np.clip((image * len(_SHADES)).astype(int), 0, len(_SHADES) - 1)
    return ["".join(_SHADES[v] * 2 for v in row) for row in levels]
