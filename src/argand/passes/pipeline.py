"""The passes, in order: from the program that a trace leaves to the one that is lowered."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from argand.base.settings import settings
from argand.ir.program import Program
from argand.ir.verify import verify
from argand.passes.canonicalise import canonicalise
from argand.passes.cse import cse, dead_code
from argand.passes.fold import fold
from argand.passes.fuse import fuse
from argand.passes.hoist import hoist_slices
from argand.passes.inline import inline_composites
from argand.passes.layout import layout
from argand.passes.results import own_results

Pass = Callable[[Program], Program]

SIMPLIFY: tuple[Pass, ...] = (canonicalise, fold, cse, dead_code)

PASSES: tuple[Pass, ...] = (
    hoist_slices,  # before products whose other rows nobody reads
    *SIMPLIFY,
    inline_composites,  # those without a kernel of their own
    *SIMPLIFY,
    own_results,
    layout,  # channels-last around convolutions
    fuse,  # one node for each kernel
)
"""Every step from a recorded program to one that the backend lowers node by node."""


def run_passes(program: Program, passes: Sequence[Pass] = PASSES) -> Program:
    """The program after the passes; the given one is left as it was.

    With `settings.verify` the verifier runs after each, and an error names the pass.
    """
    for step in passes:
        program = step(program)
        if settings.verify:
            _verify_after(program, step)
    return program


def _verify_after(program: Program, step: Pass) -> None:
    try:
        verify(program)
    except Exception as e:  # whatever it is, say which pass it follows
        e.add_note(f"after the pass {step.__name__}")
        raise
