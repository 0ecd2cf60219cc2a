"""Depthwise and grouped convolutions, forward and both gradients, beside PyTorch and ONNX Runtime.

    python benchmarks/convolutions.py --torch PY [--ort PY] [--threads 2] [--rounds 3] [--only dw3]

Each column runs in a process of its own, and the columns take turns case by case and round by
round; the least time of all calls counts, in microseconds. All read the same images and weights,
and all results are compared. PyTorch runs channels-last and contiguous, and the better one counts.
`best / ours` is the best peer's time over the least of ours. `floor` is the larger of two times:
the arithmetic over the measured peak, and operands and result, each moved once, over the bandwidth
measured for so many bytes (floors.py). `argand` is compiled and gets channels-last images, `argand
freeze` has its weight as a constant besides, as ONNX Runtime has; `argand eager` gets row-major
images, which it takes without a copy.

`--clock cpu` counts the processor time of the process instead, for one thread on a busy machine;
floors, which are measured by the wall clock, are left out then.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
KINDS = ("forward", "input", "weight")
OURS = ("argand", "argand freeze", "argand eager")


@dataclasses.dataclass(frozen=True)
class Case:
    """Square images of `size`, `batch` of them; the kernel is padded to keep the size."""

    name: str
    batch: int
    channels: int
    size: int
    kernel: int = 3
    stride: int = 1
    dilation: int = 1
    depth: int = 1
    """channels of a group"""

    @property
    def groups(self) -> int:
        return self.channels // self.depth

    @property
    def padding(self) -> int:
        return self.dilation * (self.kernel // 2)

    @property
    def out(self) -> int:
        return (self.size - 1) // self.stride + 1

    @property
    def flops(self) -> float:
        taps = self.kernel**2 * self.depth
        return 2.0 * self.batch * self.channels * self.out**2 * taps

    @property
    def bytes(self) -> float:
        pixels = self.batch * (self.size**2 + self.out**2)
        return 4.0 * self.channels * (pixels + self.kernel**2 * self.depth)

    @property
    def window(self) -> dict[str, Any]:
        window = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}
        return {**window, "groups": self.groups}

    def model(self, folder: str) -> str:
        """The path of the case as an ONNX model."""
        name = "-".join(str(value) for value in dataclasses.astuple(self)).replace(" ", "-")
        return os.path.join(folder, f"{name}.onnx")

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Image, weight and a gradient of the result."""
        rng = np.random.default_rng(0)
        shapes = (
            (self.batch, self.channels, self.size, self.size),
            (self.channels, self.depth, self.kernel, self.kernel),
            (self.batch, self.channels, self.out, self.out),
        )
        x, w, dy = (rng.standard_normal(s, dtype=np.float32) for s in shapes)
        return x, w, dy


def cases() -> Iterator[Case]:
    for batch in (1, 32):
        for channels, size in ((32, 112), (144, 56), (192, 28), (576, 14), (960, 7)):
            yield Case("dw3", batch, channels, size)
        for channels, size in ((96, 112), (144, 56), (192, 28), (576, 14)):
            yield Case("dw3 s2", batch, channels, size, stride=2)
        for channels, size in ((72, 56), (240, 28), (672, 14)):
            yield Case("dw5", batch, channels, size, kernel=5)
        yield Case("dw5 s2", batch, 240, 28, kernel=5, stride=2)
        yield Case("dw3 d2", batch, 256, 28, dilation=2)
        yield Case("dw3", batch, 16, 112)
        for depth, channels, size in ((4, 128, 56), (8, 256, 28), (16, 512, 14), (32, 1024, 7)):
            yield Case(f"group {depth}", batch, channels, size, depth=depth)
        yield Case("group 4 s2", batch, 128, 56, stride=2, depth=4)


# columns ------------------------------------------------------------------------------------------

Step = tuple[Callable[[], Any], Callable[[Any], Any]]
"""What is measured, and what makes a NumPy array of its result."""
Steps = dict[str, Step]


def ours(case: Case, column: str) -> Steps:
    import argand as ag
    from argand.ir.op import ops

    x, w, dy = (ag.tensor(a) for a in case.arrays())
    if column != "argand eager":
        x, dy = (t.to(memory_format=ag.channels_last) for t in (x, dy))
    if column == "argand freeze":
        return {"forward": frozen(case, x, w)}
    size, kernel, window = (case.size, case.size), (case.kernel, case.kernel), case.window

    def forward(x: Any, w: Any) -> Any:
        return ops.conv2d(x, w, **window)

    def image(dy: Any, w: Any) -> Any:
        return ops.conv2d_input_grad(dy, w, size, **window)

    def weight(dy: Any, x: Any) -> Any:
        return ops.conv2d_weight_grad(dy, x, kernel, **window)

    def step(f: Any, *operands: Any) -> Step:
        run = f if column == "argand eager" else ag.compile(f)
        return lambda: run(*operands), lambda y: y.numpy()

    calls = (step(forward, x, w), step(image, dy, w), step(weight, dy, x))
    return dict(zip(KINDS, calls, strict=True))


def frozen(case: Case, x: Any, w: Any) -> Step:
    import argand as ag
    from argand import nn

    layer = nn.Conv2d(case.channels, case.channels, case.kernel, bias=False, **case.window)
    with ag.no_grad():
        layer.weight.copy_(w)
    run = ag.compile(layer, freeze=True)

    def call() -> Any:
        with ag.no_grad():
            return run(x)

    return call, lambda y: y.numpy()


def torch_steps(case: Case, last: bool) -> Steps:
    import torch

    layout = torch.channels_last if last else torch.contiguous_format
    x, w, dy = (torch.from_numpy(a).contiguous(memory_format=layout) for a in case.arrays())
    pairs = [[v, v] for v in (case.stride, case.padding, case.dilation)]

    def gradient(place: int) -> Callable[[], Any]:
        mask = [place == 0, place == 1, False]
        args = (dy, x, w, None, *pairs, False, [0, 0], case.groups, mask)
        return lambda: torch.ops.aten.convolution_backward(*args)[place]

    calls = (
        lambda: torch.nn.functional.conv2d(x, w, None, *pairs, case.groups),
        gradient(0),
        gradient(1),
    )
    return {kind: (f, lambda y: y.numpy()) for kind, f in zip(KINDS, calls, strict=True)}


def export(folder: str) -> None:
    """Write each case as an ONNX model, for ONNX Runtime."""
    import onnx

    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    for case in cases():
        x, w, _ = case.arrays()
        window = {
            "strides": [case.stride] * 2,
            "pads": [case.padding] * 4,
            "dilations": [case.dilation] * 2,
            "group": case.groups,
        }
        graph = helper.make_graph(
            [helper.make_node("Conv", ["x", "w"], ["y"], **window)],
            "conv",
            [helper.make_tensor_value_info("x", kind, x.shape)],
            [helper.make_tensor_value_info("y", kind, None)],
            [onnx.numpy_helper.from_array(w, "w")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        onnx.save(model, case.model(folder))


def ort_steps(case: Case, threads: int) -> Steps:
    import onnxruntime

    x, _, _ = case.arrays()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(case.model(os.environ["CONVOLUTIONS"]), options)
    return {"forward": (lambda: session.run(None, {"x": x})[0], lambda y: y)}


def work(column: str, threads: int, clock: Callable[[], float], least: float) -> None:
    """Answer each case on standard input with times and checksums, as a line of JSON."""
    if column.startswith("argand"):
        import argand as ag

        ag.set_num_threads(threads)
    elif column.startswith("torch"):
        import torch

        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
    for line in sys.stdin:
        case = Case(**json.loads(line))
        if column == "onnxruntime":
            steps = ort_steps(case, threads)
        elif column.startswith("argand"):
            steps = ours(case, column)
        else:
            steps = torch_steps(case, column == "torch channels-last")
        answer = {k: measured(call, look, clock, least) for k, (call, look) in steps.items()}
        print(json.dumps(answer), flush=True)


def measured(
    call: Callable[[], Any], look: Callable[[Any], Any], clock: Callable[[], float], least: float
) -> tuple[float, float, float]:
    """The least time of a call in microseconds, and two sums over the result to compare."""
    y = np.asarray(look(call()), np.float64).ravel()
    signs = np.random.default_rng(1).choice([-1.0, 1.0], y.size)
    best, end = math.inf, time.perf_counter() + least
    while time.perf_counter() < end:
        start = clock()
        call()
        best = min(best, clock() - start)
    return best * 1e6, float(y @ signs), float(y @ y)


# the table ----------------------------------------------------------------------------------------


class Column:
    """A process that measures one column."""

    def __init__(self, name: str, python: str, a: argparse.Namespace) -> None:
        self.name = name
        settings = ["--threads", a.threads, "--clock", a.clock, "--least", a.least]
        command = [python, os.path.abspath(__file__), "--column", name, *map(str, settings)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def measure(self, case: Case) -> dict[str, tuple[float, float, float]]:
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps(dataclasses.asdict(case)), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())


def check(case: Case, kind: str, found: dict[str, tuple[float, float, float]]) -> None:
    """Raise where a column's result is not the others'."""
    names = list(found)
    _, first, square = found[names[0]]
    terms = case.flops / max(case.channels, 1)  # far more than any element sums
    for name in names[1:]:
        _, other, squares = found[name]
        room = 1e-6 * math.sqrt(terms) * math.sqrt(square)
        if abs(first - other) > room or not math.isclose(square, squares, rel_tol=1e-4):
            raise AssertionError(f"{case} {kind}: {names[0]} and {name} differ")


def report(case: Case, columns: list[Column], rounds: int, floor: float) -> dict[str, float]:
    """Measure a case and print a line for each kind; gives best / ours by kind."""
    best: dict[tuple[str, str], float] = {}
    for number in range(rounds):
        turn = columns if number % 2 == 0 else columns[::-1]
        answers = {c.name: c.measure(case) for c in turn}
        for kind in KINDS:
            found = {name: a[kind] for name, a in answers.items() if kind in a}
            check(case, kind, found)
            for name, (us, _, _) in found.items():
                best[name, kind] = min(us, best.get((name, kind), math.inf))
    ratios = {}
    for kind in KINDS:
        times = {c.name: best[c.name, kind] for c in columns if (c.name, kind) in best}
        mine = min(us for name, us in times.items() if name in OURS)
        peers = [us for name, us in times.items() if name not in OURS]
        ratios[kind] = min(peers, default=math.nan) / mine
        what = f"{case.name}: {case.batch} x {case.channels} x {case.size}²"
        cells = [f"{times[c.name]:.0f}" if c.name in times else "–" for c in columns]
        share = f"{100 * floor / mine:.0f}%" if floor else "–"
        print("|", " | ".join([what, kind, *cells, f"{ratios[kind]:.2f}", share]), "|", flush=True)
    return ratios


def floors(threads: int) -> Callable[[Case], float]:
    """The floor of a case on this machine, in microseconds."""
    from floors import Machine

    machine = Machine()
    machine.threads = threads
    peak = machine.flops(threads)
    return lambda case: 1e6 * max(case.flops / peak, case.bytes / machine.copying(case.bytes))


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__)
    add = ap.add_argument
    add("--torch", metavar="PY")
    add("--ort", metavar="PY", help="needs onnx beside PyTorch")
    add("--threads", type=int, default=2)
    add("--rounds", type=int, default=3)
    add("--least", type=float, default=0.1, help="seconds for each call, case and round")
    add("--only", default="", help="how the names of the cases begin, comma-separated")
    add("--batch", type=int, default=0)
    add("--clock", choices=("wall", "cpu"), default="wall")
    add("--column", help=argparse.SUPPRESS)
    add("--export", help=argparse.SUPPRESS)
    a = ap.parse_args()
    if a.export:
        export(a.export)
        return
    if a.column:
        clock = time.perf_counter if a.clock == "wall" else time.process_time
        work(a.column, a.threads, clock, a.least)
        return
    columns = [Column(name, sys.executable, a) for name in OURS]
    for name in ("torch channels-last", "torch contiguous"):
        columns += [Column(name, a.torch, a)] if a.torch else []
    if a.ort:
        os.environ["CONVOLUTIONS"] = folder = tempfile.mkdtemp()
        subprocess.run([a.torch, os.path.abspath(__file__), "--export", folder], check=True)
        columns.append(Column("onnxruntime", a.ort, a))
    print(f"{a.threads} threads, microseconds, {a.clock} clock\n")
    floor_of = floors(a.threads) if a.clock == "wall" else lambda case: 0.0
    print("| case | kind |", " | ".join(c.name for c in columns), "| best / ours | floor |")
    print("|---|---|" + "---:|" * (len(columns) + 2))
    ratios: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for case in cases():
        if a.batch in (0, case.batch) and case.name.startswith(tuple(a.only.split(","))):
            for kind, ratio in report(case, columns, a.rounds, floor_of(case)).items():
                ratios[kind].append(ratio)
    for kind, found in ratios.items():
        mean = math.exp(sum(map(math.log, found)) / len(found))
        print(f"\n{kind}: geometric mean of best / ours {mean:.2f}, least {min(found):.2f}")


if __name__ == "__main__":
    main()
