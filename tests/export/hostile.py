"""Files of exported programs that were changed: made for the fuzzer, run in a process of their own.

`python hostile.py FOLDER` reads seeds from standard input, one a line, and prints what became of
each: "right", "refused", or the error that should not have been.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import math
import random
import re
import resource
import signal
import struct
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import argand as ag
from argand import nn, optim
from argand.base.dim import evaluate
from argand.base.errors import ArgandError, FormatError
from argand.export import ExportedProgram, export, load
from argand.export.samples import compared
from argand.io.zipped import ZipWriter
from argand.ir.op import registry

Parts = dict[str, bytes]


# -- files -----------------------------------------------------------------------------------------


def parts_of(contents: bytes) -> Parts:
    """The parts of an archive."""
    with zipfile.ZipFile(io.BytesIO(contents)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(parts: Parts) -> bytes:
    """An archive of parts, as they are."""
    file = io.BytesIO()
    writer = ZipWriter(file.write)
    for name, data in parts.items():
        writer.add(name, data)
    writer.close()
    return file.getvalue()


def signed(parts: Parts) -> bytes:
    """An archive of parts, whose manifest states their SHA-256."""
    with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
        manifest = json.loads(parts["manifest.json"])
        manifest["parts"] = {
            name: hashlib.sha256(data).hexdigest()
            for name, data in parts.items()
            if name != "manifest.json"
        }
        parts = {**parts, "manifest.json": json.dumps(manifest).encode()}
    return packed(parts)


def written(program: ExportedProgram) -> bytes:
    """The contents of a program's file."""
    file = io.BytesIO()
    program.save(file)
    return file.getvalue()


# -- mutations -------------------------------------------------------------------------------------

_NUMBERS = (0, 1, 2, 3, 5, 7, 63, 64, 1 << 31, (1 << 31) - 1, 1 << 40, 1 << 60, 1 << 63, 10**30)
_NUMBERS += tuple(-n for n in _NUMBERS)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_WORD = re.compile(r"[A-Za-z_][A-Za-z_0-9.]*")
_ITEM = re.compile(r"\w+=(?:\([^()]*\)|[^,{}()]+)")
_DTYPES = ("bool", "u8", "i8", "i32", "i64", "f16", "bf16", "f32", "f64", "c64", "c128", "u64")


def mutated(contents: bytes, draw: random.Random) -> bytes:
    """A changed file."""
    kind = draw.random()
    if kind < 0.06:
        return _bytes_changed(contents, draw)
    parts = parts_of(contents)
    if kind < 0.60:
        name = draw.choice([n for n in parts if n.startswith("programs/")])
        text = parts[name].decode()
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            text = _changed_text(text, draw)
        parts[name] = text.encode()
    elif kind < 0.85:
        parts["manifest.json"] = _changed_json(parts["manifest.json"], draw)
    elif kind < 0.95:
        name = draw.choice([n for n in parts if n.endswith(".safetensors")])
        parts[name] = _changed_tensors(parts[name], draw)
    else:
        name = draw.choice(list(parts))
        other = draw.choice(list(parts))
        change = draw.randrange(3)
        if change == 0:
            del parts[name]
        elif change == 1:
            parts[name] = parts[other]
        else:
            parts[draw.choice(("extra", "programs/9.txt", "assets/" + "x" * 9999))] = parts[name]
    return signed(parts) if draw.random() < 0.97 else packed(parts)


def _bytes_changed(contents: bytes, draw: random.Random) -> bytes:
    if draw.random() < 0.3:
        return contents[: draw.randrange(len(contents))]
    data = bytearray(contents)
    tail = draw.random() < 0.7  # where the directory is
    for _ in range(draw.choice((1, 2, 8))):
        low = max(0, len(data) - 700) if tail else 0
        place = draw.randrange(low, len(data))
        width = draw.choice((1, 2, 4, 8))
        data[place : place + width] = (draw.choice(_NUMBERS) % (1 << 8 * width)).to_bytes(
            width, "little"
        )[: len(data) - place]
    return bytes(data)


def _changed_text(text: str, draw: random.Random) -> str:
    return draw.choice(_TEXT_CHANGES)(text, draw)


def _replaced(text: str, pattern: re.Pattern[str], make: Callable[[str], str], draw: Any) -> str:
    found = list(pattern.finditer(text))
    if not found:
        return text
    at = draw.choice(found)
    return text[: at.start()] + make(at.group()) + text[at.end() :]


def _number(text: str, draw: random.Random) -> str:
    def near(old: str) -> str:
        value = float(old) if "." in old else int(old)
        return str(draw.choice((*_NUMBERS, value + 1, value - 1, -value, 2 * value, 1.5, "n")))

    return _replaced(text, _NUMBER, near, draw)


def _parameter(text: str, draw: random.Random) -> str:
    values = ["None", "True", "-1", "()", "(0, 0)", "(9,)", '"x"', "1e400", "nan", "f16", "n", "1j"]
    values += list(map(str, _NUMBERS[:9]))

    def other(old: str) -> str:
        name, _, value = old.partition("=")
        change = draw.randrange(4)
        if change == 0:
            return f"{name}={draw.choice(values)}"
        if change == 1:
            return f"{name}_=1"
        if change == 2 and value.startswith("("):
            return f"{name}=({draw.choice(values)}, {value[1:]}"
        return f"{name}={_replaced(value, _NUMBER, lambda n: str(draw.choice(_NUMBERS)), draw)}"

    return _replaced(text, _ITEM, other, draw)


def _word(text: str, draw: random.Random) -> str:
    words = [*registry, *_DTYPES, "x0", "%0", "%1", "return", "with", "state", "inf", "None"]
    return _replaced(text, _WORD, lambda _: draw.choice(words), draw)


def _dtype(text: str, draw: random.Random) -> str:
    pattern = re.compile(r"\b(" + "|".join(_DTYPES) + r")\b")
    old = draw.choice(_DTYPES)
    if draw.random() < 0.5:  # of everything, so that it may fit
        return re.sub(rf"\b{draw.choice(_DTYPES[:9])}\b", old, text)
    return _replaced(text, pattern, lambda _: old, draw)


def _operation(text: str, draw: random.Random) -> str:
    names = list(registry)
    return _replaced(text, re.compile(r"(?<== )[\w.]+(?=\()"), lambda _: draw.choice(names), draw)


def _operand(text: str, draw: random.Random) -> str:
    numbers = (
        "%0",
        "%1",
        "%2",
        "1",
        "1e400",
        "nan",
        "True",
        "2:f32",
        "1:bool",
        "3:i64",
        "x0",
        "1j",
    )
    pattern = re.compile(r"(?<=[(,] )?(?:%\d+|x\d|input)(?=[,)])")
    return _replaced(text, pattern, lambda _: draw.choice(numbers), draw)


def _size_everywhere(text: str, draw: random.Random) -> str:
    """The same size in all its places, so that it fits more often."""
    sizes = re.findall(r"\b\d+\b", text)
    if not sizes:
        return text
    new = str(draw.choice((0, 1, 2, 9, 1 << 20, 1 << 31, 1 << 60, "n", "n*n", "-1")))
    return re.sub(rf"\b{draw.choice(sizes)}\b(?![:.=])", new, text)


_SYMBOL = re.compile(r"\b(?:s\d+|[nmshw])\b(?!=)")


def _symbol(text: str, draw: random.Random) -> str:
    """Another size in the place of a symbolic one, or of a symbol in it."""
    names = sorted(set(_SYMBOL.findall(text)))
    ways = ("{} + 5", "{} - 1", "{}//(2)", "2*{}", "-{}", "{}*{}", "min({}, 3)", "9", "1", "0")
    ways += tuple(names) * 2
    return _replaced(text, _SYMBOL, lambda old: draw.choice(ways).replace("{}", old), draw)


def _line(text: str, draw: random.Random) -> str:
    lines = text.split("\n")
    at, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    change = draw.randrange(3)
    if change == 0:
        del lines[at]
    elif change == 1:
        lines.insert(at, lines[other])
    else:
        lines[at], lines[other] = lines[other], lines[at]
    return "\n".join(lines)


def _long(text: str, draw: random.Random) -> str:
    """Sizes and texts that grow when they are read."""
    sums = "(" + "+".join(f"a{i}" for i in range(9)) + ")"
    deep = draw.choice((50, 199, 3000, 100_000))
    size = draw.choice(
        (
            "*".join([sums] * 20),
            "n" + "*n" * deep,
            "(" * deep + "n" + ")" * deep,
            "min(n, " * deep + "2" + ")" * deep,
            "n" + "//2" * deep,
            "-" * deep + "n",
            "9" * deep,
            "min(n*n, max(n, " * (deep // 60) + "2" + "))" * (deep // 60),
        )
    )
    return _replaced(text, re.compile(r"\b\d+\b|\bn\b"), lambda _: size, draw)


_TEXT_CHANGES = (_number, _parameter, _parameter, _word, _dtype, _operation, _operand, _line)
_TEXT_CHANGES += (_size_everywhere, _size_everywhere, _long, _symbol, _symbol, _symbol)


def _changed_json(data: bytes, draw: random.Random) -> bytes:
    value = json.loads(data)
    places = list(_places(value))
    for _ in range(draw.choice((1, 1, 2))):
        owner, key = draw.choice(places)
        new = draw.choice(
            (
                None,
                True,
                -1,
                0,
                1,
                3,
                1 << 60,
                10**40,
                1.5,
                "",
                "n",
                "x0",
                [],
                {},
                [[]],
                "\ud800"[:0],
            )
        )
        change = draw.randrange(4)
        try:
            if change == 0:
                del owner[key]
            elif change == 1:
                owner[key] = _nested(draw.choice((3, 200, 5000)))
            elif change == 2:
                owner[key] = json.loads(json.dumps(draw.choice(places)[0]))
            else:
                owner[key] = new
        except (KeyError, IndexError, RecursionError):
            continue
    with contextlib.suppress(RecursionError, ValueError):
        return json.dumps(value).encode()
    return b'{"a":' * 100_000


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def _nested(depth: int) -> Any:
    found: Any = "*"
    for _ in range(depth):
        found = [found] if depth % 2 else {"tuple": [found]}
    return found


def _changed_tensors(data: bytes, draw: random.Random) -> bytes:
    length = struct.unpack("<Q", data[:8])[0]
    change = draw.randrange(4)
    if change == 0:
        return struct.pack("<Q", draw.choice(_NUMBERS) % (1 << 64)) + data[8:]
    if change == 1:
        return data[: draw.randrange(len(data) + 1)]
    header = json.loads(data[8 : 8 + length])
    if change == 2 and header:
        text = json.dumps(header)
        text = _replaced(text, _NUMBER, lambda _: str(draw.choice(_NUMBERS)), draw)
    elif header:
        entry = header[draw.choice(list(header))]
        entry["dtype"] = draw.choice(("F32", "F64", "I64", "BOOL", "F8_E4M3", "X", None))
        text = json.dumps(header)
    else:
        text = "{}" * draw.randrange(3)
    return struct.pack("<Q", len(text)) + text.encode() + data[8 + length :]


# -- running ---------------------------------------------------------------------------------------


def outcome(contents: bytes) -> str:
    """What becomes of a file that is loaded, whose samples are called, and then other sizes."""
    try:
        program = load(io.BytesIO(contents))
    except FormatError:
        return "refused"
    except BaseException as e:
        return f"load: {type(e).__name__}: {e}"[:300]
    calls = [functools.partial(compared, program, sample) for sample in program.samples]
    found = [_called(call) for call in [*calls, *_calls_of_other_sizes(program)]]
    wrong = (said for said in found if said not in ("right", "refused"))
    return next(wrong, "refused" if "refused" in found[: len(calls)] else "right")


def _called(call: Callable[[], Any]) -> str:
    try:
        with warnings.catch_warnings(), ag.settings.using(loop_limit=100):
            warnings.simplefilter("ignore")
            call()
    except (ArgandError, IndexError, np.linalg.LinAlgError):
        return "refused"
    except BaseException as e:
        return f"call: {type(e).__name__}: {e}"[:300]
    return "right"


def _calls_of_other_sizes(program: ExportedProgram) -> Iterator[Callable[[], Any]]:
    """Calls of each signature with symbolic sizes, where these are small."""
    for signature in program.signatures.values():
        names = sorted(signature.ranges)
        for k in (0, 1, 2, 3, 8) if names else ():
            sizes = {name: k + (i if k > 2 else 0) for i, name in enumerate(names)}
            shapes = [[evaluate(n, sizes) for n in info.shape] for info in signature.inputs]
            if all(0 <= n <= 64 for shape in shapes for n in shape) and all(
                len(shape) < 33 and math.prod(shape) < 1 << 20 for shape in shapes
            ):
                pairs = zip(shapes, signature.inputs, strict=True)
                given = [ag.ones(*shape, dtype=info.dtype) for shape, info in pairs]
                yield functools.partial(signature, *given)


def programs_of_ops(most: int, step: int) -> Iterator[tuple[str, ExportedProgram]]:
    """The samples that the ops carry, each exported; at most so many of each `step`-th op."""
    from calls import calls_of

    for name in list(registry)[::step]:
        for call in calls_of(registry.get(name))[:most]:
            arrays = call.arrays(registry.get(name).dtypes[0])
            given = [*map(ag.tensor, arrays)]
            every = tuple(dict.fromkeys(range(x.ndim), ag.Dim.AUTO) for x in given)
            for shapes in (None, every):
                with contextlib.suppress(Exception):
                    yield (
                        name,
                        export(lambda *xs, call=call: call.apply(xs), given, dynamic_shapes=shapes),
                    )


def models() -> Iterator[tuple[str, ExportedProgram]]:
    """Programs of several ops, with symbolic sizes, branches and state."""
    ag.manual_seed(0)
    n = ag.Dim("n")
    cnn = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
    ).eval()
    yield "cnn", export(cnn, (ag.rand(2, 1, 8, 8),), dynamic_shapes=({0: n},))
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    yield "layer", export(layer, (ag.rand(2, 5, 8),), dynamic_shapes=({0: n, 1: "s"},))
    yield "cond", export(_branches, (ag.ones(3),), dynamic_shapes=(("n",),))
    yield "loop", export(_rounds_of, (ag.ones(3),), dynamic_shapes=(("n",),))
    yield "moves", export(_moves, (ag.rand(6, 2),), dynamic_shapes=({0: n},))
    yield "places", export(_places_of, (ag.rand(6),))
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))
    opt = optim.AdamW(model.parameters())

    def step(x: Any, y: Any) -> Any:
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    batch = (ag.rand(6, 4), ag.randint(0, 2, (6,)))
    step(*batch)
    yield "step", export({"train": (step, batch), "predict": (model.eval(), (batch[0],))})


def _branches(x: Any) -> Any:
    return ag.cond(x.sum() > 0, lambda t: t * 2, lambda t: t - 1, x)


def _rounds_of(x: Any) -> Any:
    return ag.while_loop(lambda i, y: i < 4, lambda i, y: (i + 1, y * 2 + x), (0, x))


def _moves(x: Any) -> Any:
    joined = ag.cat([x[1:], x[:-1]]).reshape(-1, 2).flip(0)
    return joined[:, ::2].unfold(0, 2, 1).sum(-1) + ag.arange(x.shape[0] * 2 - 3)[:, None]


def _places_of(x: Any) -> Any:
    return nn.functional.pad(x, (1, 2)).as_strided((3, 2), (2, 1), 1)[x.long()[:2]]


def write_corpus(folder: Path, most: int, step: int = 1) -> None:
    """Files to mutate: some of the ops' samples, and as many again of models."""
    files = [(name, written(p)) for name, p in programs_of_ops(most, step)]
    whole = [(name, written(p)) for name, p in models()]
    times = 1 + len(files) // (2 * len(whole))
    for i, (name, contents) in enumerate([*files, *whole * times]):
        (folder / f"{i:05}.{name}.argand").write_bytes(contents)


def main(folder: str) -> None:
    """Run the jobs of standard input."""
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    paths = sorted(Path(folder).glob("*.argand"))
    for line in sys.stdin:
        draw = random.Random(int(line))
        contents = mutated(draw.choice(paths).read_bytes(), draw)
        signal.alarm(30)  # a hang ends the process, which is an outcome
        print(outcome(contents), flush=True)
        signal.alarm(0)


if __name__ == "__main__":
    main(sys.argv[1])
