"""The dtypes of results: which pairs of operands give what, as a table that PyTorch fills in.

    python tests/compatibility/promotion.py --write          # promotion.txt

It needs an interpreter with torch 2.13 (CPU). Every op is called with every pair of operands: a
tensor and a 0-d tensor of every dtype, and the four kinds of Python numbers.
`tests/tensor/test_promotion.py` compares Argand with the table.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from page import command

TABLE = Path(__file__).with_name("promotion.txt")
DTYPES = {
    "bool": "b1",
    "uint8": "u1",
    "int8": "i1",
    "int16": "i2",
    "int32": "i4",
    "int64": "i8",
    "float16": "f2",
    "bfloat16": "bf",
    "float32": "f4",
    "float64": "f8",
    "complex64": "c8",
    "complex128": "c16",
    "uint16": "u2",
    "uint32": "u4",
    "uint64": "u8",
    "float8_e4m3fn": "e4",
    "float8_e5m2": "e5",
    "float8_e4m3fnuz": "z4",
    "float8_e5m2fnuz": "z5",
    "float8_e8m0fnu": "e8",
}
WIDER = {"complex32": "complex64"}
"""What Argand has in place of a dtype that it lacks."""
NUMBERS: dict[str, Any] = {"bool": True, "int": 1, "float": 1.0, "complex": 1j}
OPERANDS = (
    *DTYPES,
    *(f"{name}()" for name in DTYPES),  # without dimensions
    *(f"py-{name}" for name in NUMBERS),
)
REFUSED = "-"
UNWRITTEN = "."
"""Where PyTorch has no kernel: no rule refuses the operands, so Argand may compute them."""

Call = Callable[..., Any]


def operand(m: Any, name: str) -> Any:
    """A fresh operand by its name in the table, of ones."""
    if name.startswith("py-"):
        return NUMBERS[name[3:]]
    shape = () if name.endswith("()") else (2,)
    return m.ones(shape, dtype=getattr(m, name.removesuffix("()")))


def _function(name: str, **keywords: Any) -> Call:
    return lambda m, a, b: getattr(m, name)(a, b, **keywords)


def _method(name: str, **keywords: Any) -> Call:
    return lambda m, a, b: getattr(a, name)(b, **keywords)


BINARY: dict[str, Call] = {
    "a + b": lambda m, a, b: a + b,
    "a - b": lambda m, a, b: a - b,
    "a * b": lambda m, a, b: a * b,
    "a / b": lambda m, a, b: a / b,
    "a // b": lambda m, a, b: a // b,
    "a % b": lambda m, a, b: a % b,
    "a ** b": lambda m, a, b: a**b,
    "a == b": lambda m, a, b: a == b,
    "a < b": lambda m, a, b: a < b,
    "a & b": lambda m, a, b: a & b,
    "a ^ b": lambda m, a, b: a ^ b,
    "a << b": lambda m, a, b: a << b,
    "cat": lambda m, a, b: m.cat([a, b]),
    "stack": lambda m, a, b: m.stack([a, b]),
    "hstack": lambda m, a, b: m.hstack([a, b]),
    "where": lambda m, a, b: m.where(m.tensor([True, False]), a, b),
    "div floor": _function("div", rounding_mode="floor"),
    "div trunc": _function("div", rounding_mode="trunc"),
    "add alpha": _function("add", alpha=2),
    "clamp min": lambda m, a, b: m.clamp(a, min=b),
    "lerp 0.5": lambda m, a, b: m.lerp(a, b, 0.5),
    "addcmul": lambda m, a, b: m.addcmul(a, a, b),
    "masked_fill": lambda m, a, b: a.masked_fill(m.tensor([True, False]), b),
    "index_add": lambda m, a, b: a.index_add(0, m.tensor([0, 1]), b),
    "scatter": lambda m, a, b: a.scatter(0, m.tensor([0, 1]), b),
    "masked_scatter": lambda m, a, b: a.masked_scatter(m.tensor([True, True]), b),
    "setitem": lambda m, a, b: (a.__setitem__(Ellipsis, b), a)[1],
    "isin": _function("isin"),
    "isclose": _function("isclose"),
    "searchsorted": _function("searchsorted"),
    "tensordot": lambda m, a, b: m.tensordot(a, b, dims=1),
    "linalg.vecdot": lambda m, a, b: m.linalg.vecdot(a, b),
} | {
    name: _function(name)
    for name in (
        "result_type",
        "sub",
        "rsub",
        "div",
        "floor_divide",
        "remainder",
        "fmod",
        "pow",
        "float_power",
        "maximum",
        "fmax",
        "atan2",
        "hypot",
        "copysign",
        "nextafter",
        "heaviside",
        "xlogy",
        "logaddexp",
        "ldexp",
        "ne",
        "logical_and",
        "logical_xor",
        "bitwise_or",
        "bitwise_left_shift",
        "gcd",
        "dot",
        "outer",
        "matmul",
        "vdot",
        "kron",
    )
}
INPLACE: dict[str, Call] = {
    "div_ floor": _method("div_", rounding_mode="floor"),
    "div_ trunc": _method("div_", rounding_mode="trunc"),
    "masked_fill_": lambda m, a, b: a.masked_fill_(m.tensor([True, False]), b),
    "lerp_": lambda m, a, b: a.lerp_(b, 0.5),
    "addcmul_": lambda m, a, b: a.addcmul_(b, b),
    "out of add": lambda m, a, b: m.add(m.ones(2), b, out=a),
    "out of mul": lambda m, a, b: m.mul(b, m.ones(2), out=a),
} | {
    name: _method(name)
    for name in (
        "add_",
        "sub_",
        "mul_",
        "div_",
        "floor_divide_",
        "remainder_",
        "fmod_",
        "pow_",
        "copy_",
        "fill_",
        "bitwise_and_",
        "bitwise_xor_",
        "logical_and_",
        "atan2_",
        "copysign_",
        "eq_",
        "lt_",
        "xlogy_",
        "hypot_",
    )
}
METHODS = ("masked_fill", "index_add", "scatter", "masked_scatter", "setitem", *INPLACE)
"""The ops whose left operand is a tensor."""
UNARY: dict[str, Call] = {
    name: (lambda n: lambda m, a: getattr(m, n)(a))(name)
    for name in (
        "abs",
        "neg",
        "positive",
        "sign",
        "sgn",
        "signbit",
        "square",
        "sqrt",
        "rsqrt",
        "reciprocal",
        "exp",
        "expm1",
        "log",
        "log1p",
        "sin",
        "atan",
        "sigmoid",
        "tanh",
        "erf",
        "relu",
        "floor",
        "ceil",
        "round",
        "trunc",
        "frac",
        "angle",
        "real",
        "deg2rad",
        "logit",
        "isnan",
        "isfinite",
        "isinf",
        "isreal",
        "logical_not",
        "bitwise_not",
        "nan_to_num",
        "sum",
        "nansum",
        "prod",
        "mean",
        "nanmean",
        "var",
        "std",
        "median",
        "any",
        "all",
        "amax",
        "max",
        "argmax",
        "count_nonzero",
        "norm",
        "sort",
        "unique",
    )
} | {
    "cumsum": lambda m, a: m.cumsum(a, 0),
    "cumprod": lambda m, a: m.cumprod(a, 0),
    "cummax": lambda m, a: m.cummax(a, 0)[0],
    "logcumsumexp": lambda m, a: m.logcumsumexp(a, 0),
    "logsumexp": lambda m, a: m.logsumexp(a, 0),
    "softmax": lambda m, a: m.softmax(a, 0),
    "log_softmax": lambda m, a: m.log_softmax(a, 0),
    "sum f8": lambda m, a: m.sum(a, dtype=m.float64),
    "mean f4": lambda m, a: m.mean(a, dtype=m.float32),
    "clamp 0 1": lambda m, a: m.clamp(a, 0, 1),
    "clamp 0.5": lambda m, a: m.clamp(a, 0.5),
    "bincount": lambda m, a: m.bincount(a),
    "histc": lambda m, a: m.histc(a, 2),
    "cov": lambda m, a: m.cov(a),
    "polar": lambda m, a: m.polar(a, a),
    "complex": lambda m, a: m.complex(a, a),
    "vander": lambda m, a: m.linalg.vander(a),
    "vector_norm": lambda m, a: m.linalg.vector_norm(a),
    "full_like": lambda m, a: m.full_like(a, 1.5),
    "rand_like": lambda m, a: m.rand_like(a),
    "diff": lambda m, a: m.diff(a),
    "trapezoid": lambda m, a: m.trapezoid(a),
}


def answer(m: Any, call: Call, *names: str) -> str:
    """The dtype that a call gives, or that it is refused."""
    try:
        found = call(m, *(operand(m, name) for name in names))
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
        return UNWRITTEN if "not implemented for" in str(error) else REFUSED
    found = found[0] if isinstance(found, tuple) else found
    dtype = str(getattr(found, "dtype", found)).rpartition(".")[2]
    return DTYPES[WIDER.get(dtype, dtype)]


def rights(left: str) -> tuple[str, ...]:
    """The right operands: two numbers are no call of a function of tensors."""
    return tuple(o for o in OPERANDS if not (left.startswith("py-") and o.startswith("py-")))


def lefts(name: str) -> Iterator[str]:
    """The left operands of an op."""
    return (o for o in OPERANDS if not (name in METHODS and o.startswith("py-")))


def table(m: Any, name: str) -> list[str]:
    """The lines of one op."""
    if name in UNARY:
        return [" ".join(answer(m, UNARY[name], o) for o in OPERANDS if o[:3] != "py-")]
    call = (BINARY | INPLACE)[name]
    return [" ".join(answer(m, call, a, b) for b in rights(a)) for a in lefts(name)]


def tables(m: Any) -> dict[str, list[str]]:
    """The lines of every op by its name."""
    return {name: table(m, name) for name in (*BINARY, *INPLACE, *UNARY)}


def text(m: Any) -> str:
    """The whole file; ops of equal tables share one."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, rows in tables(m).items():
        groups.setdefault(tuple(rows), []).append(name)
    parts = [f"# Columns, and rows of two operands: {', '.join(OPERANDS)}"]
    for rows, names in groups.items():
        parts.append("\n".join([f"[{', '.join(names)}]", *rows]))
    return "\n\n".join(parts) + "\n"


def read() -> dict[str, list[str]]:
    """The table of the file: the lines of every op by its name."""
    found = {}
    for part in TABLE.read_text().split("\n\n")[1:]:
        head, *rows = part.strip().split("\n")
        found |= dict.fromkeys(head.strip("[]").split(", "), rows)
    return found


def made() -> str:
    """The file as PyTorch fills it in."""
    import torch  # only this command needs it

    return text(torch)


if __name__ == "__main__":
    sys.exit(command(__doc__, made, TABLE.read_text, TABLE.write_text))
