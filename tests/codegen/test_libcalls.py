"""Generated code is whole: no primitive becomes a call into a C library, on any machine."""

from __future__ import annotations

import re

import pytest

from argand.codegen.llvm.target import named_target
from argand.nest.builder import PTR, NestBuilder, NestError, NestModule, Ty
from argand.nest.types import BINARY, UNARY
from nestrun import assembly

CALL = re.compile(r"^\s+(?:callq?|bl|jmp)\s+(?!\.L)([^\s%]+)", re.MULTILINE)
CASTS = ("float32", "float64", "float16", "bfloat16", "int8", "int64", "uint8", "bool")


OF_BITS = {"and", "not", "or", "shl", "shr", "umulhi", "xor"}
OF_FLOATS = {
    *("acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "copysign", "cos", "cosh", "div"),
    *("erf", "exp", "exp2", "expm1", "exponent", "fma", "log", "log1p", "log2", "reciprocal"),
    *("rsqrt", "sin", "sinh", "sqrt", "tan", "tanh"),
}


def called(b: NestBuilder, target: str) -> set[str]:
    """The functions that the code of a kernel calls, other than its own."""
    text = assembly(NestModule((b.finish(),)), named_target(target))
    return {name for name in CALL.findall(text) if not name.startswith("k.")}


@pytest.mark.parametrize("target", ["host", "sse2", "avx512", "neon"])
@pytest.mark.parametrize("elem", ["float32", "float64", "float16", "int64"])
def test_no_library_is_called(target: str, elem: str) -> None:
    vec = Ty(elem, named_target(target).lanes(elem))
    for prim in sorted(UNARY | BINARY | {"fma"}):
        b = NestBuilder("k", [("x", PTR)])
        (x,) = b.params
        count = 1 if prim in UNARY else 3 if prim == "fma" else 2
        operands = [b.load(x, 64 * k, vec) for k in range(count)]
        if prim in (OF_FLOATS if elem == "int64" else OF_BITS):
            with pytest.raises(NestError, match=prim):
                b.apply(prim, *operands)
            continue
        result = b.apply(prim, *operands)
        b.store(x, 0, result)
        assert not called(b, target), prim
    for to in CASTS:
        b = NestBuilder("k", [("x", PTR)])
        (x,) = b.params
        b.store(x, 0, b.cast(b.load(x, 0, vec), to))
        assert not called(b, target), to
