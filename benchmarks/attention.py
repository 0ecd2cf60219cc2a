"""What attention costs: Argand compiled, beside PyTorch's, over sizes of heads and lengths.

    python benchmarks/attention.py --torch ~/peers/torch/bin/python [--threads 2] [--rounds 7]
        [--only "forward;causal"] [--heads 64] [--lengths 512,2048] [--compile]

Each library runs in a process of its own; the two take turns, case by case and round by round. A
figure is the best of the rounds, in milliseconds; beside it are GFLOP/s (causal ones counted by
what is visible) and the ratio of PyTorch's time to Argand's. `--compile` lets PyTorch compile its
step, too. The cases: a forward pass; a causal one; both with the backward pass; heads side by side
in memory, as a model has them, causal; a mask of booleans; one query over a cache of the length.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

CASES = (
    "forward",
    "causal",
    "forward+backward",
    "causal+backward",
    "model",
    "model+backward",
    "mask",
    "decode",
)
ELEMENTS = 1 << 18  # about as many in each of q, k and v
TURN = 0.02  # seconds that a process measures before the other's turn


def sizes(case: str, depth: int, length: int) -> tuple[int, int, int]:
    """Batch, heads and queries."""
    if case == "decode":
        return 1, 8, 1
    heads = 8
    return max(1, ELEMENTS // (heads * depth * length)), heads, length


def flops(case: str, depth: int, length: int) -> float:
    """Of the products alone: two forward, five backward."""
    batch, heads, rows = sizes(case, depth, length)
    total = 4.0 * batch * heads * rows * length * depth
    if case.startswith(("causal", "model")):
        total /= 2
    return total * (3.5 if case.endswith("backward") else 1)


# -- a process that measures ---------------------------------------------------------------------


def step_of(lib: Any, compiled: bool, case: str, depth: int, length: int) -> Callable[[], Any]:
    """A call to time."""
    functional = lib.nn.functional
    batch, heads, rows = sizes(case, depth, length)
    backward = case.endswith("backward")
    operands = [lib.randn(batch, heads, n, depth) for n in (rows, length, length)]
    if case.startswith("model"):
        operands = [lib.randn(batch, length, 3, heads, depth)]
    if case == "mask":
        operands.append(lib.rand(batch, 1, 1, length) > 0.2)
    options = {"is_causal": True} if case.startswith(("causal", "model")) else {}

    def attend(*given: Any) -> Any:
        if case.startswith("model"):
            q, k, v = given[0].permute(2, 0, 3, 1, 4)
            y = functional.scaled_dot_product_attention(q, k, v, **options)
            return y.transpose(1, 2).reshape(batch, length, heads * depth)
        return functional.scaled_dot_product_attention(*given, **options)

    def gradients(*given: Any) -> Any:
        y = attend(*given)
        return (*lib.autograd.grad(y, given, lib.ones_like(y)), y)

    if backward:
        operands = [x.requires_grad_() for x in operands]
    chosen = lib.compile(gradients if backward else attend) if compiled else None
    call = chosen or (gradients if backward else attend)
    return lambda: call(*operands)


def serve(name: str, threads: int, compiled: bool) -> None:
    """Answer each line, [case, head size, length] or null for another turn, with the best time."""
    if name == "torch":
        import torch as lib

        lib.set_num_threads(threads)
    else:
        import argand as lib

        lib.settings.threads = threads
        compiled = True
    step: Callable[[], Any] = lambda: None  # noqa: E731  # until the first case comes
    for line in sys.stdin:
        spot = json.loads(line)
        if spot is not None:
            step = step_of(lib, compiled, *spot)
            for _ in range(3):
                step()
        print(json.dumps(best(step)), flush=True)


def best(step: Callable[[], Any]) -> float:
    """The least seconds a call took within a turn."""
    least, end = math.inf, time.perf_counter() + TURN
    while True:
        start = time.perf_counter()
        step()
        now = time.perf_counter()
        least = min(least, now - start)
        if now > end:
            return least


# -- the process that compares -------------------------------------------------------------------


class Side:
    """One of the two processes."""

    def __init__(self, python: str, name: str, threads: int, compiled: bool) -> None:
        command = [python, __file__, "--serve", name, "--threads", str(threads)]
        self.process = subprocess.Popen(
            [*command, *(["--compile"] if compiled else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def turn(self, spot: tuple[str, int, int] | None) -> float:
        """The best time of a turn; a spot is made ready first."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps(spot), file=self.process.stdin, flush=True)
        return float(json.loads(self.process.stdout.readline()))

    def end(self) -> None:
        """Let the process end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def compare(args: argparse.Namespace) -> None:
    """Print the table."""
    ours = Side(sys.executable, "argand", args.threads, True)
    theirs = Side(args.torch, "torch", args.threads, args.compile)
    ratios = []
    try:
        for case in args.only.split(";"):
            print(f"\n{case}\n{'head':>6}{'length':>8}{'ours ms':>10}{'GFLOP/s':>9}", end="")
            print(f"{'torch ms':>10}{'GFLOP/s':>9}{'ratio':>7}")
            for depth in map(int, args.heads.split(",")):
                for length in map(int, args.lengths.split(",")):
                    spot = (case, depth, length)
                    a, b = ours.turn(spot), theirs.turn(spot)
                    for _ in range(args.rounds - 1):
                        a, b = min(a, ours.turn(None)), min(b, theirs.turn(None))
                    work = flops(*spot) / 1e9
                    ratios.append(b / a)
                    print(f"{depth:6}{length:8}{a * 1e3:10.3f}{work / a:9.0f}", end="")
                    print(f"{b * 1e3:10.3f}{work / b:9.0f}{b / a:7.2f}", flush=True)
    finally:
        ours.end()
        theirs.end()
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    print(f"\ngeometric mean {mean:.2f}, least {min(ratios):.2f}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--torch", default=sys.executable, help="an interpreter that has PyTorch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default=";".join(CASES))
    parser.add_argument("--heads", default="32,64,128")
    parser.add_argument("--lengths", default="17,128,512,2048")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve, args.threads, args.compile)
    else:
        compare(args)


if __name__ == "__main__":
    main()
