"""Kernels that cut even the smallest work in pieces: chunks for threads, blocks, splits of K."""

from __future__ import annotations

import sys

import pytest

import argand.kernels.match

assert argand.kernels.match  # all modules that lower are there

PIECES = {
    "SERIAL_NS": 0,
    "CHUNK_NS": 1,
    "BLOCK": 16,
    "VIRTUAL_ROW": 16,
    "SERIAL_FLOPS": 2,
    "PACK_PIECE": 32,
    "K_BLOCK": 8,
    "LONG_K": 32,
    "QUERIES": 8,
    "PART_ROWS": 16,
}
"""What lowering compares costs and lengths with, whichever modules have it."""


def cut_small(patch: pytest.MonkeyPatch) -> None:
    """Until the patch is undone, lower every kernel in small pieces."""
    missing = set(PIECES)
    for name, module in list(sys.modules.items()):
        if not name.startswith(("argand.nest.", "argand.lowering.", "argand.kernels.")):
            continue
        for constant, value in PIECES.items():
            if isinstance(getattr(module, constant, None), int):
                patch.setattr(module, constant, value)
                missing.discard(constant)
    assert not missing, f"no module has {missing}"
