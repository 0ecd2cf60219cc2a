"""What small eager operations cost: Argand's time over PyTorch's, one thread each.

    python benchmarks/eager.py --torch ~/peers/torch/bin/python [--before ../before/src]
        [--only "a + b;cat"] [--rounds 9] [--json FILE] [--variants]
    python benchmarks/eager.py --first-script

Each library runs in a process of its own; the two take turns, case by case and round by round, and
their results and gradients are checked against each other first. A figure is the best of the
rounds; a row is the geometric mean over an op's variants (eager_cases.py), not recorded and
recorded for gradients; networks are run forward and backward. `--before` adds a column for
another checkout's package. `--first-script` times a script whose kernels are not compiled yet.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from eager_cases import NETWORKS, OPS, Case, operand

HERE = Path(__file__).resolve()
SOURCE = HERE.parents[1] / "src"
CASES = {c.name: c for c in (*OPS, *NETWORKS)}
TURN = 1.5e-3  # seconds that a process measures before the other's turn
WARM = 0.01
RUNS = 300  # after which calls have their plans, and these all their kernels


class Spot(NamedTuple):
    """One thing to time: a case, a line of operands, and whether it is recorded."""

    case: str
    operands: str
    recorded: bool

    @property
    def row(self) -> tuple[str, bool]:
        """The row of the table that it is part of."""
        return self.case, self.recorded


def spots(only: Sequence[str]) -> list[Spot]:
    """All of them, or those of the named cases."""
    return [
        Spot(name, variant, recorded)
        for name, case in CASES.items()
        if not only or name in only
        for recorded in case.recorded
        for variant in case.variants
    ]


# -- a process that measures ---------------------------------------------------------------------


def library(name: str) -> Any:
    """The library, with one thread."""
    if name == "torch":
        import torch

        torch.set_num_threads(1)
        return torch
    import argand

    argand.settings.threads = 1
    return argand


class Bench:
    """Prepares a step, then runs it as often as asked."""

    def __init__(self, lib: Any) -> None:
        self.lib = lib
        self.step: Callable[[], Any] = lambda: None
        self.count = 1

    def prepare(self, spot: Spot) -> list[Any]:
        """Set a step up and warm it; its results and gradients."""
        case = CASES[spot.case]
        operands = [operand(t, spot.case) for t in spot.operands.split()]
        tensors = [self.tensor(o.values, o.order) for o in operands]
        for tensor, o in zip(tensors, operands, strict=True):
            tensor.requires_grad_(spot.recorded and o.wants_gradient)
        call = case.make(self.lib, tensors)
        self.step = lambda: call(*tensors)
        leaves = [t for t in tensors if t.requires_grad]
        if case in NETWORKS:
            self.step = _with_backward(self.step, leaves)
        found = self.results(case, leaves)
        self.warm()
        return found

    def tensor(self, values: Any, order: tuple[int, ...]) -> Any:
        """A tensor of some values, with its dimensions stored in an order."""
        stored = self.lib.tensor(values.transpose(order).tolist(), dtype=self.dtype(values))
        return stored.permute([order.index(d) for d in range(len(order))]) if order else stored

    def dtype(self, values: Any) -> Any:
        """The library's name of a dtype."""
        return getattr(self.lib, "bool" if values.dtype.kind == "b" else values.dtype.name)

    def results(self, case: Case, leaves: Sequence[Any]) -> list[Any]:
        """What the step gives and the gradients of the sum of its squares, as nested lists."""
        out = self.step()
        if case not in NETWORKS and out.requires_grad:
            (out * out).sum().backward()
        found = [(out.detach(), list(out.shape)), *[(t.grad, list(t.shape)) for t in leaves]]
        for leaf in leaves:
            leaf.grad = None
        return [None if t is None else (t.tolist(), shape) for t, shape in found]

    def warm(self) -> None:
        """Run the step until nothing is done for the first time, and choose how often to."""
        start = time.perf_counter()
        ran = 0
        while time.perf_counter() - start < WARM or ran < RUNS:
            self.step()
            ran += 1
        wait_for_optimised(self.lib)
        self.count = 1
        self.count = max(1, round(TURN / self.turn()))
        self.count = max(1, round(self.count * TURN / (self.turn() * self.count)))

    def turn(self) -> float:
        """Seconds for the step, over some repetitions."""
        step = self.step
        step()
        start = time.perf_counter()
        for _ in itertools.repeat(None, self.count):
            step()
        return (time.perf_counter() - start) / self.count


def _with_backward(forward: Callable[[], Any], leaves: Sequence[Any]) -> Callable[[], Any]:
    def step() -> Any:
        for leaf in leaves:
            leaf.grad = None
        loss = forward()
        loss.backward()
        return loss

    return step


def serve(name: str) -> None:
    """Answer requests, a line of JSON each, until there are no more."""
    answers = sys.stdout
    sys.stdout = sys.stderr
    bench = Bench(library(name))
    for line in sys.stdin:
        request = json.loads(line)
        if request is None:
            answer: Any = bench.turn()
        else:
            gc.collect()
            answer = bench.prepare(Spot(*request))
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


# -- the process that asks -----------------------------------------------------------------------


class Worker:
    """A library in a process of its own."""

    def __init__(self, python: str, name: str, source: Path | None) -> None:
        env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        env["ARGAND_THREADS"] = "1"
        if source is not None:
            env["PYTHONPATH"] = str(source)
        self.process = subprocess.Popen(
            [python, str(HERE), "--serve", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )

    def ask(self, request: Spot | None) -> Any:
        """The answer to a request: results of a spot, or with None the time of a turn."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a worker has ended; its error is above")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def different(ours: Any, theirs: Any) -> bool:
    """Whether results differ by more than rounding; a missing gradient is zeros in Argand."""
    if ours is None or theirs is None:
        present = ours or theirs
        return present is not None and any(x != 0 for x in _flat(present[0]))
    if ours[1] != theirs[1]:
        return True
    pairs = list(zip(_flat(ours[0]), _flat(theirs[0]), strict=True))
    largest = max([1.0, *[abs(b) for _, b in pairs]])
    return any(abs(a - b) > 1e-5 * largest for a, b in pairs)


def _flat(values: Any) -> Iterator[float]:
    if isinstance(values, list):
        for v in values:
            yield from _flat(v)
    else:
        yield float(values)


def measure(
    workers: dict[str, Worker], wanted: Sequence[Spot], rounds: int
) -> dict[Spot, dict[str, float]]:
    """The best time of each spot in each process, in microseconds."""
    table = {}
    for spot in wanted:
        found = {name: w.ask(spot) for name, w in workers.items()}
        first, *others = found.values()
        for other in others:
            pairs = list(zip(first, other, strict=True))
            for n, (a, b) in enumerate(pairs):
                if different(a, b):
                    what = f"the gradient of leaf {n - 1}" if n else "the result"
                    raise SystemExit(f"{spot}: {what} differs")
        times: dict[str, list[float]] = {name: [] for name in workers}
        for n in range(rounds):
            for name in list(workers)[:: -1 if n % 2 else 1]:
                times[name].append(workers[name].ask(None))
        table[spot] = {name: min(t) * 1e6 for name, t in times.items()}
    return table


def geometric_mean(values: Sequence[float]) -> float:
    """The geometric mean."""
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def rows_of(table: dict[Spot, dict[str, float]]) -> dict[tuple[str, bool], dict[str, float]]:
    """Each row's times: the geometric means over its variants."""
    rows: dict[tuple[str, bool], list[dict[str, float]]] = {}
    for spot, times in table.items():
        rows.setdefault(spot.row, []).append(times)
    return {
        row: {name: geometric_mean([t[name] for t in found]) for name in found[0]}
        for row, found in rows.items()
    }


def show(table: dict[Spot, dict[str, float]], variants: bool) -> None:
    """Print the table, its geometric mean and its worst."""
    rows = rows_of(table)
    columns = [name for name in next(iter(rows.values())) if name != "torch"]
    against = "torch" in next(iter(rows.values()))
    kinds = {False: "not recorded", True: "recorded"}
    shown = [*columns, *(["torch"] if against else [])]
    ratios = [f"{name} / torch" for name in columns] if against else []
    print(f"{'':44} " + " ".join(f"{n + ', us':>12}" for n in shown), *[f"{r:>14}" for r in ratios])

    def line(label: str, times: dict[str, float]) -> None:
        figures = [f"{times[name]:12.2f}" for name in shown]
        figures += [f"{times[name] / times['torch']:14.2f}" for name in columns if against]
        print(f"{label:44} " + " ".join(figures))

    for row, times in rows.items():
        network = CASES[row[0]] in NETWORKS
        line(f"{row[0]}, {'and backward' if network else kinds[row[1]]}", times)
        for spot, found in table.items():
            if variants and spot.row == row:
                line(f"    {spot.operands}", found)
    for name in columns if against else ():
        summary(name, {r: t[name] / t["torch"] for r, t in rows.items()}, table)


def summary(
    name: str, ratios: dict[tuple[str, bool], float], table: dict[Spot, dict[str, float]]
) -> None:
    """Print what a column comes to."""
    worst = max(ratios, key=ratios.__getitem__)
    spot, times = max(table.items(), key=lambda item: item[1][name] / item[1]["torch"])
    print(
        f"{name}: geometric mean {geometric_mean(list(ratios.values())):.2f} of {len(ratios)} rows"
    )
    for recorded, label in ((False, "not recorded"), (True, "recorded")):
        part = [v for r, v in ratios.items() if r[1] is recorded and CASES[r[0]] not in NETWORKS]
        if part:
            print(f"    {label} {geometric_mean(part):.2f}")
    above = sum(v > 2 for v in ratios.values())
    print(f"    above 2: {above}; worst row {ratios[worst]:.2f}, {worst[0]}", end="")
    print(f"{', recorded' if worst[1] else ''}; worst variant ", end="")
    print(f"{times[name] / times['torch']:.2f}, {spot.case} of {spot.operands}", end="")
    print(", recorded" if spot.recorded else "")


# -- the first script ----------------------------------------------------------------------------


def script(name: str) -> None:
    """What a first script does: every variant of the table once, or a small network's training."""
    lib = library("argand")
    start, used = time.perf_counter(), time.process_time()
    if name == "table":
        bench = Bench(lib)
        for spot in spots(()):
            case = CASES[spot.case]
            operands = [operand(t, spot.case) for t in spot.operands.split()]
            tensors = [bench.tensor(o.values, o.order) for o in operands]
            for tensor, o in zip(tensors, operands, strict=True):
                tensor.requires_grad_(spot.recorded and o.wants_gradient)
            out = case.make(lib, tensors)(*tensors)
            if out.requires_grad:
                (out * out).sum().backward()
    else:
        train(lib)
    print(time.perf_counter() - start, time.process_time() - used)
    wait_for_optimised(lib)


def wait_for_optimised(lib: Any) -> None:
    """Wait until the kernels that were met run optimised, and the cache has them."""
    if lib.__name__ == "argand":
        from argand.codegen.llvm.tiers import OPTIMISER

        OPTIMISER.wait()


def train(lib: Any) -> None:
    """A few steps of a small classifier with a layer norm and dropout, then its accuracy."""
    nn = lib.nn
    lib.manual_seed(0)
    x = lib.randn(64, 20)
    target = (x.sum(1) > 0).long()
    model = nn.Sequential(
        nn.Linear(20, 32), nn.LayerNorm(32), nn.GELU(), nn.Dropout(0.1), nn.Linear(32, 2)
    )
    optimizer = lib.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(5):
        for i in range(0, 64, 16):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x[i : i + 16]), target[i : i + 16])
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    model.eval()
    with lib.no_grad():
        right = (model(x).argmax(-1) == target).float().mean()
    assert right.item() > 0.5


def first_script(rounds: int) -> None:
    """Print what a script takes with an empty cache, with a full one, and the difference: the time
    that passes, and the processor's time, to which others on the machine add less."""
    print(f"{'':24} {'empty cache, s':>16} {'full cache, s':>16} {'for kernels, s':>16}")
    for name in ("training", "table"):
        first, second = [], []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as cache:
                first.append(_seconds(name, cache))
                second.append(_seconds(name, cache))
        for what, empties, fulls in zip(
            ("", ", processor"), zip(*first, strict=True), zip(*second, strict=True), strict=True
        ):
            empty, full = min(empties), min(fulls)
            print(f"{name + what:24} {empty:16.2f} {full:16.2f} {empty - full:16.2f}")


def _seconds(name: str, cache: str) -> list[float]:
    env = {**os.environ, "ARGAND_CACHE": cache, "PYTHONPATH": str(SOURCE)}
    command = [sys.executable, str(HERE), "--script", name]
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    return [float(seconds) for seconds in done.stdout.split()]


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch", help="an interpreter that has PyTorch")
    parser.add_argument("--before", type=Path, help="the src folder of another checkout")
    parser.add_argument(
        "--only", default="", help="names of cases, with ; between them; default all"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--variants", action="store_true", help="a line for each variant, too")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--first-script", action="store_true")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--script", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
    elif options.script:
        script(options.script)
    elif options.first_script:
        first_script(min(options.rounds, 3))
    else:
        compare(options)


def compare(options: argparse.Namespace) -> None:
    """Measure the libraries in turns, and print."""
    only = [name for name in options.only.split(";") if name]
    workers = {"argand": Worker(sys.executable, "argand", SOURCE)}
    if options.before:
        workers["before"] = Worker(sys.executable, "argand", options.before.resolve())
    if options.torch:
        workers["torch"] = Worker(options.torch, "torch", None)
    try:
        table = measure(workers, spots(only), options.rounds)
    finally:
        for worker in workers.values():
            worker.close()
    show(table, options.variants)
    if options.json:
        lines = [{**spot._asdict(), "us": times} for spot, times in table.items()]
        options.json.write_text(json.dumps(lines, indent=1))


if __name__ == "__main__":
    main()
