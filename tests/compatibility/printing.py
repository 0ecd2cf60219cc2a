"""How tensors print: PyTorch's texts of many tensors, which Argand's have to equal.

    python tests/compatibility/printing.py --write          # printing.json

It needs an interpreter with torch 2.13 (CPU). `tests/tensor/test_printing.py` compares.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from page import command

TEXTS = Path(__file__).with_name("printing.json")
DTYPES = (
    "bool",
    "uint8",
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
    "uint16",
    "uint32",
    "uint64",
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
)
ROWS: dict[str, list[Any]] = {
    "ones": [1.0, 1.0],
    "zeros": [0.0, -0.0],
    "fractions": [0.5, -1.25, 3.0],
    "mixed widths": [1.0, -10.5, 100.25],
    "ratio of 1000": [1.0, 1000.0],
    "beyond 1000": [1.0, 1001.0],
    "fractions beyond 1000": [0.5, 1001.0],
    "large": [1e8, 2.0],
    "larger": [100000008.0, 1e7],
    "whole and large": [123456789.0],
    "huge": [1e30, -1e30],
    "small": [1e-4, 2e-4],
    "smaller": [9e-5, 2e-4],
    "tiny": [1e-38, 1.0],
    "nan": [float("nan")],
    "inf": [float("inf"), 1.0, -float("inf")],
    "nan and fractions": [float("nan"), 0.5, float("inf"), -3.0],
    "inf and large": [float("inf"), 1e9],
    "zero and small": [0.0, 1e-5],
    "rounds up": [0.99999, 9.99996],
    "negative": [-1.0, -22.0],
    "thirds": [1 / 3, 2 / 3, -4 / 3],
}
COMPLEX: dict[str, list[complex]] = {
    "units": [1j, 1.0, -1j],
    "fractions": [0.5 - 1.5j, -2 + 0.25j],
    "widths": [100.5 + 1j, -1.5 - 2000.5j],
    "large": [1e9 + 1j, 2j],
    "nan": [complex(float("nan"), 1.0), complex(1.0, float("inf")), complex(0.0, -float("inf"))],
    "minus zero": [complex(0.0, -0.0), complex(-0.0, 0.5)],
}
SHAPES = ((), (1,), (2, 3), (2, 1, 3), (1, 1, 1, 1), (0,), (0, 3), (2, 0, 1), (30,), (3, 30))
LONG = ((1001,), (10, 101), (5, 5, 50), (2, 600), (1001, 1), (7, 7, 7, 7))

Case = Callable[[Any], Any]


def counted(m: Any, shape: tuple[int, ...], dtype: str = "int64", scale: float = 1) -> Any:
    """The numbers 0, 1, … times a scale, in a shape."""
    count = 1
    for size in shape:
        count *= size
    return (m.arange(count, dtype=m.float64) * scale).reshape(shape).to(getattr(m, dtype))


def _under(m: Any, options: dict[str, Any], make: Case) -> str:
    m.set_printoptions(**options)
    try:
        return repr(make(m))
    finally:
        m.set_printoptions(profile="default")


OPTIONS: dict[str, dict[str, Any]] = {
    "precision 2": {"precision": 2},
    "precision 8": {"precision": 8},
    "precision 0": {"precision": 0},
    "threshold 5": {"threshold": 5},
    "edgeitems 1": {"threshold": 5, "edgeitems": 1},
    "edgeitems 0": {"threshold": 5, "edgeitems": 0},
    "linewidth 20": {"linewidth": 20},
    "linewidth 200": {"linewidth": 200},
    "scientific": {"sci_mode": True},
    "never scientific": {"sci_mode": False},
    "short": {"profile": "short"},
    "full": {"profile": "full"},
    "full, precision 1": {"profile": "full", "precision": 1},
}
UNDER_OPTIONS: dict[str, Case] = {
    "floats": lambda m: counted(m, (3, 7), "float32", 0.37),
    "whole floats": lambda m: counted(m, (12,), "float32"),
    "large floats": lambda m: counted(m, (4,), "float64", 12345678.9),
    "integers": lambda m: counted(m, (2, 3, 9)),
    "complex": lambda m: m.tensor(COMPLEX["widths"]),
    "nonfinite": lambda m: m.tensor(ROWS["nan and fractions"]),
    "wide": lambda m: counted(m, (2, 1200), "float32", 0.5),
}
OTHERS: dict[str, Case] = {
    "requires_grad": lambda m: m.ones(2, requires_grad=True),
    "requires_grad double": lambda m: m.ones(2, dtype=m.float64, requires_grad=True),
    "requires_grad of a full line": lambda m: counted(m, (12,), "float32", 0.1).requires_grad_(),
    "dtype of a full line": lambda m: counted(m, (17,), "int32", 10),
    "dtype after lines": lambda m: counted(m, (40,), "int16", 10),
    "strided": lambda m: counted(m, (4, 6), "float32", 0.25).t()[::2],
    "parameter": lambda m: m.nn.Parameter(m.ones(2, 2)),
    "scalar": lambda m: m.tensor(3.14159),
    "scalar integer": lambda m: m.tensor(-7),
    "scalar bool": lambda m: m.tensor(True),
    "scalar large": lambda m: m.tensor(1e10),
    "scalar nan": lambda m: m.tensor(float("nan")),
    "scalar complex": lambda m: m.tensor(1 - 2.5j),
    "empty int32": lambda m: m.zeros(0, dtype=m.int32),
    "empty bool": lambda m: m.zeros((0, 2), dtype=m.bool),
    "smallest integers": lambda m: m.tensor([-(2**63), 2**63 - 1]),
    "largest integers": lambda m: m.tensor([2**64 - 1, 0], dtype=m.uint64),
    "powers of two": lambda m: m.tensor([0.25, 1.0, 512.0], dtype=m.float8_e8m0fnu),
    "all numbers of 8 bits": lambda m: m.arange(256).to(m.uint8).view(m.float8_e4m3fn).view(32, 8),
}


def cases() -> dict[str, Case]:
    """What prints, by names."""
    found: dict[str, Case] = {}
    for name, row in ROWS.items():
        for dtype in ("float16", "bfloat16", "float32", "float64", "float8_e5m2"):
            found[f"{name}, {dtype}"] = _row(row, dtype)
    for name, row in COMPLEX.items():
        for dtype in ("complex64", "complex128"):
            found[f"{name}, {dtype}"] = _row(row, dtype)
    for dtype in DTYPES:
        for shape in SHAPES:
            found[f"{shape} {dtype}"] = _counted(shape, dtype)
    for shape in LONG:
        for dtype in ("int64", "float32", "complex64", "bool"):
            found[f"{shape} {dtype}, long"] = _counted(shape, dtype)
    return found | OTHERS


def _row(row: list[Any], dtype: str) -> Case:
    return lambda m: m.tensor(row, dtype=getattr(m, dtype))


def _counted(shape: tuple[int, ...], dtype: str) -> Case:
    scale = 1 if dtype in ("bool", "uint8", "int8") else 0.5 if dtype[0] in "fbc" else 3
    return lambda m: counted(m, shape, dtype, scale)


def texts(m: Any) -> dict[str, str]:
    """The texts of all cases, with Argand's names of dtypes."""
    found = {name: repr(make(m)) for name, make in cases().items()}
    for option, values in OPTIONS.items():
        for name, make in UNDER_OPTIONS.items():
            found[f"{option}: {name}"] = _under(m, values, make)
    return {name: text.replace("=torch.", "=argand.") for name, text in found.items()}


def made() -> str:
    """The file with PyTorch's texts."""
    import torch  # only this command needs it

    return json.dumps(texts(torch), indent=0) + "\n"


if __name__ == "__main__":
    sys.exit(command(__doc__, made, TEXTS.read_text, TEXTS.write_text))
