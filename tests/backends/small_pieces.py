"""Kernels that cut even the smallest work in pieces: chunks for threads, blocks, splits of K."""

from __future__ import annotations

import importlib

import pytest

PIECES = {
    "loops.schedule": {"SERIAL_NS": 0, "CHUNK_NS": 1, "BLOCK": 16},
    "loops.rows": {"SERIAL_NS": 0, "CHUNK_NS": 1, "VIRTUAL_ROW": 16},
    "loops.turn": {"BLOCK": 16},
    "kernels.contraction": {"SERIAL_FLOPS": 2, "PACK_PIECE": 32, "LONG_K": 32},
    "kernels.contraction_few": {"K_BLOCK": 8},
    "kernels.contraction_pack": {"K_BLOCK": 8},
    "kernels.contraction_plan": {"SERIAL_FLOPS": 2, "K_BLOCK": 8, "LONG_K": 32},
    "kernels.contraction_tile": {"K_BLOCK": 8},
    "kernels.contraction_walk": {"SERIAL_NS": 0, "K_BLOCK": 8},
}
"""What lowering compares costs and lengths with, by module."""


def cut_small(patch: pytest.MonkeyPatch) -> None:
    """Until the patch is undone, lower every kernel in small pieces; load none from a cache."""
    for module, names in PIECES.items():
        found = importlib.import_module(f"argand.{module}")
        for name, value in names.items():
            if hasattr(found, name):
                patch.setattr(found, name, value)
