"""How soon a second process gives its first answer from a file, after it has imported Argand.

    python benchmarks/start.py [--rounds 5]

Each model is exported, saved, loaded and called once, so that the object cache is warm; then fresh
processes load the file and call it. Times are in milliseconds, the least of the rounds, with the
parts that they are made of.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PROGRAM = """
import json, sys, time
import argand as ag
import argand.export
import numpy as np
x = np.load(sys.argv[2])
start = time.perf_counter()
program = ag.export.load(sys.argv[1])
loaded = time.perf_counter()
y = program(x).numpy()
first = time.perf_counter()
program(x)
second = time.perf_counter()
print(json.dumps([loaded - start, first - loaded, second - first, first - start]))
"""
PARTS = ("load", "first call", "second call", "first answer")


def models() -> Iterator[tuple[str, Callable[[], Any], tuple[int, ...]]]:
    """Names, modules and the shapes of their inputs."""
    from argand import nn
    from argand.cli.demo import make_model

    yield "MLP", lambda: nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)), (1, 64)
    yield "digits CNN", lambda: make_model(0), (1, 1, 8, 8)
    yield "ResNet-18", resnet18, (1, 3, 224, 224)
    layer = {"d_model": 128, "nhead": 4, "dim_feedforward": 512, "batch_first": True}
    yield (
        "transformer",
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(**layer), 4),
        (1, 32, 128),
    )


def resnet18() -> Any:
    """The usual network, of basic blocks."""
    from argand import nn

    class Block(nn.Module):
        def __init__(self, a: int, b: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(a, b, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(b)
            self.conv2 = nn.Conv2d(b, b, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(b)
            self.shortcut = nn.Sequential()
            if stride != 1 or a != b:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(a, b, 1, stride, bias=False), nn.BatchNorm2d(b)
                )

        def forward(self, x: Any) -> Any:
            y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
            return (y + self.shortcut(x)).relu()

    stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    sizes = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1)]
    sizes += [(128, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1)]
    blocks = [Block(*size) for size in sizes]
    tail = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000)]
    return nn.Sequential(*stem, nn.MaxPool2d(3, 2, 1), *blocks, *tail)


def run(path: Path, example: Path) -> list[float]:
    """The times of one fresh process."""
    command = [sys.executable, "-c", PROGRAM, str(path), str(example)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    times: list[float] = json.loads(found.stdout)
    return times


def main() -> None:
    """Print the table."""
    import numpy as np

    import argand as ag

    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(f"{'':14}{'MB':>8}" + "".join(f"{part:>14}" for part in PARTS))
    for name, make, shape in models():
        ag.manual_seed(0)
        with tempfile.TemporaryDirectory() as folder:
            path, example = Path(folder) / "m.argand", Path(folder) / "x.npy"
            x = ag.rand(*shape)
            np.save(example, x.numpy())
            ag.export.export(make().eval(), (x,)).save(path)
            run(path, example)
            times = [run(path, example) for _ in range(rounds)]
            size = path.stat().st_size / 1e6
        best = [1e3 * min(column) for column in zip(*times, strict=True)]
        print(f"{name:14}{size:8.1f}" + "".join(f"{t:14.1f}" for t in best))


if __name__ == "__main__":
    main()
