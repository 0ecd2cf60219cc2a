"""Which files Argand reads and writes, tried out, as a table.

    python tests/compatibility/files.py --write            # the table, and the one in docs/

It needs an interpreter with torch 2.13 (CPU), h5py and Argand. A tensor counts where its values,
dtype, shape and strides (where the form has strides) came through.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import safetensors.torch
import torch
from page import table_command
from torch._weights_only_unpickler import _get_allowed_globals

import argand as ag
from argand.base.errors import FormatError
from argand.io.torch_names import NAMES

DTYPES = [
    "bool",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "complex128",
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
]

Case = tuple[str, torch.Tensor]


def cases(dtypes: list[str]) -> Iterator[Case]:
    """Tensors of every dtype, stored in every way."""
    for dtype in dtypes:
        made = torch.arange(24).remainder(2 if dtype == "bool" else 24).to(getattr(torch, dtype))
        grid = made.reshape(2, 3, 4)
        for name, t in (
            ("whole", grid),
            ("transposed", grid.permute(2, 0, 1)),
            ("part", grid[1:, ::2, 1:3]),
            ("0-d", made[5]),
            ("empty", grid[:0]),
        ):
            yield f"{dtype} {name}", t


def plain(t: torch.Tensor) -> np.ndarray:
    """The elements, those without a type of NumPy's as bytes."""
    t = t.detach().contiguous()
    kind = {"torch.bfloat16": torch.int16}.get(str(t.dtype))
    kind = torch.uint8 if "float8" in str(t.dtype) else kind
    return (t if kind is None else t.view(kind)).numpy()


def same(t: torch.Tensor, found: Any, strides: bool) -> bool:
    """Whether a tensor of ours is one of PyTorch's."""
    if not isinstance(found, ag.Tensor) or f"torch.{found.dtype.name}" != str(t.dtype):
        return False
    array, expected = np.ascontiguousarray(found.detach().numpy_array()), plain(t)
    if tuple(found.shape) != tuple(t.shape) or array.tobytes() != expected.tobytes():
        return False
    return not strides or t.numel() < 2 or found.stride() == t.stride()


def read(
    write: Callable[[Any, Path], None], options: dict[str, Any], strides: bool
) -> tuple[set[str], set[str]]:
    """The cases that another program writes, and those that come through when Argand reads."""
    possible, passed = set(), set()
    for name, t in cases(DTYPES):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "file"
            try:
                write({"t": t}, path)
            except (TypeError, KeyError, ValueError):
                continue
            possible.add(name)
            try:
                found = ag.load(path, **options)["t"]
            except FormatError:
                continue
            passed |= {name} if same(t, found, strides) else set()
    return possible, passed


def written(suffix: str, load: Callable[[Path], Any]) -> set[str]:
    """The cases that come through when Argand writes and another program reads."""
    passed = set()
    for name, t in cases(DTYPES):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"file{suffix}"
            torch.save({"t": t}, path.with_suffix(".source"))
            try:
                ag.save({"t": ag.load(path.with_suffix(".source"))["t"]}, path)
                found = load(path)["t"]
            except (FormatError, TypeError, KeyError, ValueError, RuntimeError):
                continue
            twin = torch.as_tensor(found)
            equal = twin.dtype == t.dtype and twin.shape == t.shape
            passed |= {name} if equal and plain(twin).tobytes() == plain(t).tobytes() else set()
    return passed


def legacy(tree: Any, path: Path) -> None:
    """PyTorch's form before 1.6."""
    torch.save(tree, path, _use_new_zipfile_serialization=False)


def numpy_archive(tree: Any, path: Path) -> None:
    """NumPy's form."""
    with path.open("wb") as file:
        np.savez(file, **{name: own_kind(t) for name, t in tree.items()})


def own_kind(t: torch.Tensor) -> np.ndarray:
    """The array of a tensor whose dtype NumPy has; TypeError for others."""
    return t.detach().numpy()


def hdf5(tree: Any, path: Path) -> None:
    """The form of Keras's weights."""
    with h5py.File(path, "w") as file:
        for name, t in tree.items():
            file[name] = own_kind(t)


def safe(tree: Any, path: Path) -> None:
    """A safetensors file, which has no strides."""
    safetensors.torch.save_file({name: t.contiguous() for name, t in tree.items()}, path)


def load_npz(path: Path) -> Any:
    """What NumPy reads."""
    with np.load(path) as file:
        return dict(file)


FORMS: tuple[tuple[str, Any, dict[str, Any], bool, tuple[str, Any] | None], ...] = (
    ("PyTorch, zip (`.pt`, `.pth`, `.bin`)", torch.save, {}, True, (".pt", torch.load)),
    ("the same, `mmap=True`", torch.save, {"mmap": True}, True, None),
    ("PyTorch before 1.6", legacy, {}, True, None),
    ("safetensors", safe, {}, False, (".safetensors", safetensors.torch.load_file)),
    ("the same, `mmap=True`", safe, {"mmap": True}, False, None),
    ("NumPy (`.npz`, `.npy`)", numpy_archive, {}, False, (".npz", load_npz)),
    ("HDF5 of Keras (`.h5`, `.keras`)", hdf5, {}, False, None),
)


def share(passed: set[str], possible: set[str]) -> str:
    """How many of the possible cases came through, and the dtypes of the others."""
    others = dict.fromkeys(p.split()[0] for p in sorted(possible - passed))
    missing = f" (not {', '.join(others)})" if others else ""
    return f"{len(passed & possible)} of {len(possible)}{missing}"


def table() -> str:
    """The forms, and how many cases came through, in Markdown."""
    lines = ["| form | read | written |", "|---|---|---|"]
    for name, write, options, strides, back in FORMS:
        possible, found = read(write, options, strides)
        out = "" if back is None else share(written(*back), possible)
        lines.append(f"| {name} | {share(found, possible)} | {out} |")
    return "\n".join(lines)


KINDS = {
    "sparse": "sparse",
    "quantized": r"q\w*int|qtensor|Q\w*Storage|per_\w+(affine|symmetric)",
    "of less than a byte, and other forms of floats": (
        r"bits\d|\.u?int\d$|float4|complex32|float8_\w+(fnuz|fnu)"
    ),
    "nested, without memory, or of other devices and classes": r"_rebuild_|TypedStorage",
}


def names() -> str:
    """The names that `torch.load(weights_only=True)` builds and `ag.load` refuses."""
    theirs = set(_get_allowed_globals())
    refused = sorted(theirs - set(NAMES))
    kinds = {kind: [n for n in refused if re.search(pattern, n)] for kind, pattern in KINDS.items()}
    rest = [f"`{n}`" for n in refused if not any(n in found for found in kinds.values())]
    counts = [f"{len(found)} {kind}" for kind, found in kinds.items()]
    return (
        f"Of the {len(theirs)} names that `torch.load(weights_only=True)` builds, `ag.load` builds "
        f"{len(theirs) - len(refused)}. It refuses those of tensors that Argand does not have, by "
        f"name: {'; '.join([*counts, *rest])}."
    )


def text() -> str:
    """The table, and of which PyTorch it is."""
    return f"Files of torch {torch.__version__.partition('+')[0]}.\n\n{table()}\n\n{names()}"


if __name__ == "__main__":
    sys.exit(table_command("files", __doc__, text))
