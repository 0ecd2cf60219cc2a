"""The programs that `tests/museum` keeps files of; run it to write those of this format.

Files that are there stay as they are: a format that was released never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import argand as ag
from argand import nn, optim
from argand.export import ExportedProgram, export
from argand.export.versions import FORMAT
from argand.ir.op import registry

FOLDER = Path(__file__).parent
OPS = FOLDER / "ops.txt"
_DTYPES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64"


def cnn() -> ExportedProgram:
    """A convolutional network for batches of any size."""
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
    ).eval()
    return export(model, (ag.rand(2, 1, 6, 6),), dynamic_shapes=({0: ag.Dim("n")},))


def transformer() -> ExportedProgram:
    """A layer of a transformer, for batches and sequences of any size."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    return export(layer, (ag.rand(2, 5, 8),), dynamic_shapes=({0: "n", 1: "s"},))


def step() -> ExportedProgram:
    """A training step with dropout, and the network that it trains."""
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    opt = optim.AdamW(model.parameters())
    batch = (ag.rand(6, 4), ag.randint(0, 2, (6,)))

    def train(x: Any, y: Any) -> Any:
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    train(*batch)  # makes the optimizer's state
    return export({"train": (train, batch), "predict": (model.eval(), batch[:1])})


class Cache(nn.Module):
    """Keeps the last rows that it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("rows", ag.zeros(3, 2))

    def forward(self, x: Any) -> Any:
        self.rows.copy_(ag.cat([self.rows[1:], x[None]]))
        return {"sum": self.rows.sum(0), "all": (self.rows * 1, x.shape[0])}


def state() -> ExportedProgram:
    """State, and results that are nested."""
    return export(Cache(), (ag.ones(2),))


def branches() -> ExportedProgram:
    """Control flow on a value."""

    def f(x: Any) -> Any:
        return ag.cond(x.sum() > 0, lambda t: t * 2, lambda t: t - 1, x)

    return export(f, (ag.ones(3),), dynamic_shapes=(("n",),))


def dtypes() -> ExportedProgram:
    """Inputs and state of every dtype that files of weights have."""
    kept = {name: ag.ones(2, dtype=getattr(ag, name)) for name in _DTYPES.split()}

    def f(x: Any) -> Any:
        return {name: (x.to(t.dtype) + t if name != "bool" else t) for name, t in kept.items()}

    return export(f, (ag.tensor([0.5, 2.0]),))


EXHIBITS: tuple[Callable[[], ExportedProgram], ...] = (
    cnn,
    transformer,
    step,
    state,
    branches,
    dtypes,
)


def op_lines() -> Iterator[str]:
    """For each op its version, and the parameters that nodes of its samples have."""
    from calls import calls_of

    for name in registry:
        op = registry.get(name)
        found: dict[str, None] = {}
        for call in calls_of(op):
            for node in call.program(op.dtypes[0]):
                if node.op is op:
                    found |= dict.fromkeys(node.params)
        yield f"{name} {op.version}: {' '.join(sorted(found))}".rstrip()


def main() -> None:
    """Write what is missing."""
    folder = FOLDER / f"format{FORMAT}"
    folder.mkdir(exist_ok=True)
    for make in EXHIBITS:
        path = folder / f"{make.__name__}.argand"
        if not path.exists():
            ag.manual_seed(0)
            make().save(path)
    OPS.write_text("\n".join(op_lines()) + "\n")


if __name__ == "__main__":
    main()
