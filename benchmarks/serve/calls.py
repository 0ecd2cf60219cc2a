"""What a server's model calls take without a server, beside ONNX Runtime, by turns on one core.

    python benchmarks/serve/calls.py FOLDER

FOLDER has what `run.py --out FOLDER` wrote there, or gets it. Rounds of both runtimes alternate; a
figure is the median of a round's calls, and the smallest of the rounds'.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from models import VOCABULARY, inputs, make

Call = Callable[[np.ndarray], Any]
ROUNDS = 5


def argand(folder: Path, name: str) -> Call:
    """The archive's own call."""
    import argand as ag

    signature = ag.export.load(folder / "models" / name / name / "1" / "model.argand").default

    def call(x: np.ndarray) -> Any:
        with ag.no_grad():
            return signature.flat([ag.from_numpy(x)])

    return call


def onnxruntime(folder: Path, name: str) -> Call:
    """The same model in ONNX Runtime, by one thread."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    file = folder / "onnx" / f"{name}.onnx"
    session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"x": x})


def milliseconds(call: Call, xs: Sequence[np.ndarray]) -> list[float]:
    """What each call takes."""
    found = []
    for x in xs:
        start = time.perf_counter()
        call(x)
        found.append(1e3 * (time.perf_counter() - start))
    return found


def beside(calls: Sequence[Call], xs: Sequence[np.ndarray], mean: bool = False) -> list[float]:
    """The calls' times for the same arrays: of each round the median (or the mean), of the rounds
    the smallest."""
    best = [float("inf")] * len(calls)
    middle = statistics.mean if mean else statistics.median
    for call in calls:
        milliseconds(call, xs)
    for _ in range(ROUNDS):
        best = [min(b, middle(milliseconds(c, xs))) for b, c in zip(best, calls, strict=True)]
    return best


def row(what: str, found: Sequence[float], rows: int = 1) -> None:
    """A line of the table: milliseconds a row, and how many times as fast Argand is."""
    ours, theirs = (f / rows for f in found)
    print(f"| {what} | {ours:.2f} | {theirs:.2f} | {theirs / ours:.2f} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if not (folder / "models").is_dir():
        make(folder)
    print("| call | Argand, ms a row | ONNX Runtime, ms a row | theirs / ours |")
    print("|---|---:|---:|---:|")
    calls = [make_call(folder, "resnet18") for make_call in (argand, onnxruntime)]
    images = np.concatenate(inputs("resnet18", 8))
    for rows in (1, 2, 4, 8):
        row(f"ResNet-18, {rows} rows", beside(calls, [images[:rows]] * (24 // rows)), rows)
    calls = [make_call(folder, "encoder") for make_call in (argand, onnxruntime)]
    random = np.random.default_rng(1)
    for length in (8, 32, 68, 128):
        ids = random.integers(0, VOCABULARY, (1, length))
        row(f"encoder, {length} tokens", beside(calls, [ids] * 12))
    row("encoder, mean of 32 lengths", beside(calls, inputs("encoder"), mean=True))
    calls = [make_call(folder, "encoder") for make_call in (argand, onnxruntime)]
    drawn = [random.integers(0, VOCABULARY, (1, n)) for n in random.permutation(range(8, 128))[:40]]
    for call in calls:
        call(drawn[0])
        call(np.concatenate([drawn[0]] * 2))
    for when in ("new lengths, first calls", "the same again"):
        row(f"encoder, {when}", [statistics.mean(milliseconds(call, drawn)) for call in calls])


if __name__ == "__main__":
    main()
