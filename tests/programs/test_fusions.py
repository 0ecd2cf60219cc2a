"""What fusion decides, kernels do: every fusion of a random program has the kernel of its kind."""

from __future__ import annotations

import pytest
from keeping import Kept, load_all
from maker import random_program

from argand.ir.program import Program
from argand.kernels.match import plan_of
from argand.passes.pipeline import run_passes


def kernels_of_fusions(program: Program) -> list[tuple[str, str | None]]:
    """The kind of each fusion, and that of the kernel which computes it."""
    fusions = [node for node in run_passes(program).nodes if node.op.is_fusion]
    plans = [plan_of(node) for node in fusions]
    return [
        (node.params["kind"], None if plan is None else plan.kind)
        for node, plan in zip(fusions, plans, strict=True)
    ]


@pytest.mark.parametrize("seed", range(60))
def test_a_fusion_has_the_kernel_it_was_made_for(seed: int) -> None:
    assert [a for a, b in kernels_of_fusions(random_program(seed).program) if a != b] == []


@pytest.mark.parametrize("kept", load_all(), ids=lambda kept: kept.name)
def test_so_do_those_of_the_corpus(kept: Kept) -> None:
    assert [a for a, b in kernels_of_fusions(kept.program) if a != b] == []
