"""Argand's distributions against PyTorch's, family by family.

    PYTHONPATH=src:tests/distributions python tests/compatibility/distributions.py --write

It needs an interpreter with torch 2.13 (CPU), SciPy and Argand. Each family is compared for three
shapes of the batch in float64 and float32: densities, probabilities, quantiles, moments, entropies,
and the gradients of these, shapes, dtypes and texts. Samples are other numbers; the tests of
`tests/distributions` hold their distribution and their gradients.
"""

from __future__ import annotations

import inspect
import sys
from typing import Any

import torch
from comparison import METHODS, UNEQUAL, compare
from family_cases import CASES
from page import table_command

from argand import distributions as dist
from argand.distributions import constraints, kl


def families() -> list[str]:
    """PyTorch's families."""
    theirs = torch.distributions
    found = [n for n in theirs.__all__ if inspect.isclass(getattr(theirs, n))]
    return sorted(n for n in found if issubclass(getattr(theirs, n), theirs.Distribution))


def row(name: str) -> str:
    """A family's line of the table."""
    cases = [c for c in CASES if c.name == name]
    ours = getattr(dist, name, None)
    if ours is None:
        return f"| `{name}` | missing | | |"
    if not cases:
        return f"| `{name}` | present | the others are made of it | |"
    base = dist.Distribution
    own = [m for m in METHODS if getattr(ours, m) is not getattr(base, m)]
    own += ["rsample"] if cases and ours.rsample is not base.rsample else []
    differences = [d for c in cases for d in compare(torch, c, ("float64", "float32"))]
    notes = sorted({f"`{m}`: {why}" for (n, m), why in UNEQUAL.items() if n == name})
    equal = "all equal" if not differences else f"{len(differences)} differ"
    return f"| `{name}` | {', '.join(f'`{m}`' for m in own)} | {equal} | {'; '.join(notes)} |"


def table() -> str:
    """The counts and the table, in Markdown."""
    names = families()
    present = [n for n in names if hasattr(dist, n)]
    pairs = {(p.__name__, q.__name__) for p, q in torch.distributions.kl._KL_REGISTRY}
    ours = {(p.__name__, q.__name__) for p, q in kl._RULES}
    transforms = torch.distributions.transforms.__all__
    regions = torch.distributions.constraints.__all__
    counts = [
        f"{len(present)} of {len(names)} families",
        f"{len(pairs & ours)} of {len(pairs)} pairs of `kl_divergence`",
        f"{_shared(transforms, dist)} of {len(transforms)} transforms",
        f"{_shared(regions, constraints)} of {len(regions)} constraints",
    ]
    lines = ["| family | methods | compared | not compared |", "|---|---|---|---|"]
    return "\n".join([", ".join(counts) + ".", "", *lines, *map(row, names)])


def _shared(names: list[str], module: Any) -> int:
    return sum(hasattr(module, n) for n in names)


def text() -> str:
    """The table, and of which PyTorch it is."""
    return f"Families of torch {torch.__version__.partition('+')[0]}: {table()}"


if __name__ == "__main__":
    sys.exit(table_command("distributions", __doc__, text))
