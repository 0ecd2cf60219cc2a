"""The kept corpus: programs that have ever gone wrong, as text with their calls.

A file of `tests/corpus` is the text of a program under comments: why it is kept, and its data.

    # Why: one result of a fusion took over a buffer that another still read.
    # call
    # a = [[1.0, -2.0]]
    # b = uniform -2 2
    program f(a: f32[1, 2], b: f32[2, 2]) { ... }

Each `# call` begins the arrays of a call. An array is JSON, or a distribution with its bounds:
`uniform`, or `whole` for whole numbers; what isn't named is uniform in -2..2, or whole in 0..1.
`# sizes N=5` gives the sizes of the symbols where no JSON does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from argand.base.dim import evaluate
from argand.ir.interpret import bind_sizes
from argand.ir.program import Program, Value
from argand.ir.text import parse_program

FOLDER = Path(__file__).parent.parent / "corpus"
_LOCATION = re.compile(r"  # [^\n]*$", re.MULTILINE)


class Kept(NamedTuple):
    """A program of the corpus: its file's name, why it is there, its calls."""

    name: str
    why: str
    program: Program
    calls: list[list[np.ndarray]]


class _Call(NamedTuple):
    """What a file says of one call: the sizes of symbols, and the data of arrays by name."""

    sizes: dict[str, int]
    data: dict[str, str]


def load(path: Path) -> Kept:
    """The program and the calls of a file."""
    text = path.read_text(encoding="utf-8")
    program = parse_program(text)
    why, calls = [], []
    for line in (line[1:].strip() for line in text.splitlines() if line.startswith("#")):
        name, equals, data = line.partition(" = ")
        if line == "call":
            calls.append(_Call({}, {}))
        elif not calls:
            why.append(line)
        elif line.startswith("sizes "):
            pairs = (pair.split("=") for pair in line.split()[1:])
            calls[-1].sizes.update((symbol, int(size)) for symbol, size in pairs)
        elif equals:
            calls[-1].data[name] = data
    if not why or not why[0].startswith("Why: "):
        raise ValueError(f"{path.name} doesn't say why it is kept")
    operands = [*program.inputs, *program.state]
    arrays = [
        [_array(v, call, n) for n, v in enumerate(operands)] for call in calls or [_Call({}, {})]
    ]
    return Kept(path.stem, " ".join(why), program, arrays)


def load_all() -> list[Kept]:
    """The whole corpus."""
    return [load(path) for path in sorted(FOLDER.glob("*.txt"))]


def _array(value: Value, call: _Call, seed: int) -> np.ndarray:
    shape = [evaluate(s, call.sizes) for s in value.shape]
    plain = "uniform -2 2" if value.dtype.is_inexact else "whole 0 1"
    data = call.data.get(value.name, plain)
    words = data.split()
    if words[0] not in ("uniform", "whole"):
        return np.array(json.loads(data), value.dtype.numpy).reshape(shape)
    low, high = float(words[1]), float(words[2])
    rng = np.random.default_rng(seed)
    if words[0] == "whole":
        found = rng.integers(int(low), int(high), shape, endpoint=True)
    else:
        found = np.asarray(rng.uniform(low, high, shape))
    return found.astype(value.dtype.numpy)


def text_of(why: str, program: Program, calls: Sequence[Sequence[Any]]) -> str:
    """What `load` reads back, with the arrays as JSON."""
    operands = [*program.inputs, *program.state]
    lines = [f"# Why: {why}"]
    for arrays in calls:
        lines.append("# call")
        sizes = bind_sizes(operands, arrays)
        if sizes:
            lines.append("# sizes " + " ".join(f"{k}={v}" for k, v in sizes.items()))
        for v, a in zip(operands, arrays, strict=True):
            if v.dtype.is_complex:
                raise ValueError(f"{v.name} is complex, which JSON doesn't know")
            plain = a if a.dtype.kind in "biu" else a.astype(np.float64)
            lines.append(f"# {v.name} = {json.dumps(plain.tolist())}")
    return "\n".join([*lines, without_locations(str(program)), ""])


def without_locations(text: str) -> str:
    """The text of a program without the lines of the user's code."""
    return _LOCATION.sub("", text)
