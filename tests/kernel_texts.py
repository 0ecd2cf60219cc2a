"""The text of the kernels of many programs, to hold one state of the compiler against another.

    PYTHONPATH=src:tests python tests/kernel_texts.py DIR

writes a file a program to DIR: the program after its passes, and its loop nests for SSE2, AVX2 and
AVX-512. A change of the compiler that is to change no kernel leaves `diff -r BEFORE AFTER` empty;
one that is to change some shows which. The programs: the corpus, random ones (`--seeds`), training
steps of small models of each kind, and the kernels of eager code for every op's samples.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER), str(FOLDER / "programs"), str(FOLDER / "conformance")]

from calls import ALL_OPS, calls_of
from keeping import load_all
from maker import random_program

import argand as ag
import argand.nn.functional as F
from argand import nn, optim
from argand.backends.cpu import compiler
from argand.backends.cpu.facts import canonical_text
from argand.backends.cpu.lowering import Lowering
from argand.base.errors import ArgandError
from argand.base.settings import settings
from argand.codegen.llvm.target import named_target
from argand.ir.bind import eagerly
from argand.ir.program import Program
from argand.passes.memory import plan_memory
from machines import FORCED


def texts_of(program: Program) -> Iterator[str]:
    """The final program, and the nests of its native segments for each target."""
    final = compiler.optimise(program)
    yield canonical_text(final.program)
    plan = plan_memory(final.program)
    for target in FORCED:
        lowering = Lowering(final.program, plan, named_target(target))
        for native, numbers in compiler.split(final, plan):
            if native:
                yield f"# {target}, nodes {numbers}\n{lowering.module('entry', numbers)}"


# training steps -----------------------------------------------------------------------------------


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.mix, self.out = nn.LayerNorm(64), nn.Linear(64, 192), nn.Linear(64, 64)
        self.wide, self.narrow = nn.Linear(64, 256), nn.Linear(256, 64)

    def forward(self, x: Any) -> Any:
        n, length, _ = x.shape
        q, k, v = self.mix(self.norm(x)).reshape(n, length, 3, 4, 16).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(n, length, 64))
        return x + self.narrow(F.gelu(self.wide(x)))


class _Recurrent(nn.Module):
    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.cells, self.out = kind(24, 32, batch_first=True), nn.Linear(32, 8)

    def forward(self, x: Any) -> Any:
        return self.out(self.cells(x)[0][:, -1])


def _convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 16, 3, padding=1, groups=16),
        nn.Conv2d(16, 32, 1),
        nn.BatchNorm2d(32),
        nn.SiLU(),
        nn.Conv2d(32, 32, 3, stride=2, groups=4),
        nn.GroupNorm(4, 32),
        nn.AvgPool2d(3),
        nn.Flatten(),
        nn.Linear(32 * 4, 10),
    )


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (lambda: nn.Sequential(nn.Linear(40, 70), nn.Tanh(), nn.Linear(70, 10)), (33, 40)),
    "normalised": (
        lambda: nn.Sequential(nn.Linear(33, 65), nn.LayerNorm(65), nn.GELU(), nn.Softmax(-1)),
        (17, 33),
    ),
    "convolutional": (_convolutional, (4, 3, 28, 28)),
    "attention": (_Attention, (2, 19, 64)),
    "lstm": (lambda: _Recurrent(nn.LSTM), (3, 5, 24)),
    "gru": (lambda: _Recurrent(nn.GRU), (3, 5, 24)),
    "transposed": (lambda: nn.Sequential(nn.ConvTranspose2d(4, 6, 4, 2, 1)), (2, 4, 9, 9)),
}
OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda p: optim.SGD(p, 0.1, momentum=0.9),
    "adamw": lambda p: optim.AdamW(p),
}


def model_programs() -> Iterator[tuple[str, Program]]:
    """Training steps, with fixed sizes and with symbolic batches, and inference."""
    for name, (make, shape) in MODELS.items():
        for optimizer, made in OPTIMIZERS.items():
            for dynamic in (False, True):
                ag.manual_seed(0)
                model = make()
                opt = made(model.parameters())

                @ag.compile(backend="reference", dynamic=dynamic)
                def step(x: Any, model: Any = model, opt: Any = opt) -> Any:
                    loss = model(x).square().mean()
                    loss.backward()
                    opt.step()
                    opt.zero_grad()
                    return loss

                sizes = "dynamic" if dynamic else "static"
                yield f"{name}-{optimizer}-{sizes}", step.program(ag.rand(*shape))
        model = make().eval()
        with ag.no_grad():
            infer = ag.compile(model, backend="reference")
            yield f"{name}-inference", infer.program(ag.rand(*shape))


# eager kernels ------------------------------------------------------------------------------------


def eager_texts() -> Iterator[tuple[str, str]]:
    """The kernels that eager calls with every op's samples ask for."""
    for op in ALL_OPS:
        texts: list[str] = []

        def note(_: str, make: Callable[[], Any], __: Any, texts: list[str] = texts) -> Any:
            texts.append(str(make()))
            raise ArgandError("only the text is wanted")

        before, compiler.load_entry = compiler.load_entry, note
        try:
            for call in calls_of(op):
                arrays = call.arrays("float32")
                with eagerly(), contextlib.suppress(ArgandError, TypeError, ValueError):
                    call.apply([ag.from_numpy(a) for a in arrays])
        finally:
            compiler.load_entry = before
        if texts:
            yield f"eager-{op.name}", "\n".join(texts)


def programs(seeds: range) -> Iterator[tuple[str, Program]]:
    """Every program by a name."""
    yield from model_programs()
    for kept in load_all():
        yield f"corpus-{kept.name}", kept.program
    for seed in seeds:
        yield f"seed-{seed}", random_program(seed).program


def main(arguments: list[str]) -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", default="0:150", help="random programs, as FIRST:END")
    parser.add_argument("--match", default="", help="only names that contain this")
    given = parser.parse_args(arguments)
    first, _, end = given.seeds.partition(":")
    given.folder.mkdir(parents=True, exist_ok=True)

    def write(name: str, text: str) -> None:
        (given.folder / f"{name}.txt").write_text(text + "\n")

    with settings.using(cache=False):
        for name, program in programs(range(int(first), int(end))):
            if given.match in name:
                write(name, "\n".join(texts_of(program)))
        if given.match in "eager":
            for name, text in eager_texts():
                write(name, text)


if __name__ == "__main__":
    main(sys.argv[1:])
