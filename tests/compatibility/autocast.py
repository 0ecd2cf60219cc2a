"""Autocast against PyTorch's, over its own database of operators and its lists for the CPU.

    python tests/compatibility/autocast.py            # what differs
    python tests/compatibility/autocast.py --only linalg.inv,mv

It needs an interpreter with torch 2.13 (CPU), expecttest and Argand. The first samples of every
operator, in float32 and in the lower dtype, are run by both in a block: dtypes, shapes and values
must agree.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import argand as ag

sys.path.insert(0, str(Path(__file__).parent))
import operators  # beside this file

SAMPLES = 6
# What PyTorch refuses is not compared: without a block `operators.py` compares it.
REASONS = {
    "computed in float32 throughout; PyTorch's is made of products": (
        "linalg.pinv",
        "linalg.pinv.hermitian",
    ),
    "a size of 1 makes PyTorch multiply elements": ("tensordot",),
    "PyTorch's chunks are one operation": (
        "nn.functional.linear_cross_entropy.chunked",
        "nn.functional.linear_cross_entropy.chunked_none",
    ),
    "sums of many products of 16 bits, rounded at other places": (
        "addbmm",
        "nn.functional.conv_transpose3d",
    ),
    "random numbers": ("nn.functional.scaled_dot_product_attention",),
    "PyTorch's overflows": ("matrix_exp",),
    "refused in 16 bits; PyTorch accepts empty matrices": (
        "linalg.det",
        "linalg.ldl_factor",
        "linalg.ldl_factor_ex",
        "linalg.solve_ex",
    ),
    "an explicit dtype, which PyTorch does not raise": ("masked.prod",),
}
TOLERANCES = {"float32": (3e-2, 3e-2), "complex64": (3e-2, 3e-2), "bfloat16": (6e-2, 6e-2)}


def samples(op: Any, dtype: Any) -> Iterator[Any]:
    """The first samples of an operator, its floats in a dtype."""
    torch.manual_seed(0)
    own = dtype if dtype in op.dtypes else torch.float32

    def converted(x: Any) -> Any:
        return x.to(dtype) if isinstance(x, torch.Tensor) and x.is_floating_point() else x

    try:
        found = op.sample_inputs("cpu", own, requires_grad=False)
    except Exception:
        return  # not of this kind of number
    for sample in itertools.islice(found, SAMPLES):
        yield sample if own is dtype else sample.transform(converted)


def differences(op: Any, given: str, lower: str) -> Iterator[str]:
    """In what the results of an operator differ inside a block."""
    function = operators.ours(op.name, op.variant_test_name)
    if function is None or op.name in operators.NO_VALUES:
        return
    for sample in samples(op, getattr(torch, given)):
        try:
            first, args, kwargs = operators.to_ours(
                (sample.input, list(sample.args), dict(sample.kwargs))
            )
            with torch.autocast("cpu", dtype=getattr(torch, lower)):
                theirs = op.op(sample.input, *sample.args, **sample.kwargs)
                theirs = operators.processed(op, sample, theirs)
        except Exception:
            continue  # PyTorch itself can't
        try:
            with ag.autocast("cpu", dtype=getattr(ag, lower)):
                mine = operators.processed(op, sample, function(first, *args, **kwargs))
        except Exception as error:
            yield operators.short(error)
            continue
        text = operators.difference(theirs, mine)
        if text:
            yield text


def compared(only: set[str] | None = None) -> dict[str, str]:
    """The first difference of each operator, by name."""
    operators.TOLERANCES |= TOLERANCES
    found: dict[str, str] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for op in operators.op_db:
            name = operators.full_name(op)
            if only is not None and name not in only:
                continue
            for given in ("float32", "bfloat16"):
                for text in differences(op, given, "bfloat16"):
                    found.setdefault(name, f"{given}: {text}")
    return found


def known() -> set[str]:
    """The operators that may differ, each with a reason."""
    return {name for names in REASONS.values() for name in names}


def main() -> None:
    """Print what differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", help="names of operators, with commas")
    arguments = parser.parse_args()
    only = set(arguments.only.split(",")) if arguments.only else None
    for name, text in compared(only).items():
        print(f"{name}: {text}{' (has a reason)' if name in known() else ''}")


if __name__ == "__main__":
    main()
