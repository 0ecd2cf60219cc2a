"""Products whose second operand is stored in panels: the bits of the same product on a matrix."""

from __future__ import annotations

import numpy as np
import pytest
from products import in_panels, matmul, panelled, spec_of, store_to

from argand.codegen.llvm.target import named_target
from argand.kernels.contraction.blocked import contraction
from argand.kernels.contraction.plan import plan
from argand.kernels.contraction.spec import Contraction
from argand.kernels.contraction.tiles import panel_width
from argand.nest.builder import I64, PTR, NestBuilder, NestFunction, Param, Reg
from argand.nest.target import Target
from machines import FORCED, HERE
from nestrun import compiled

SIZES = {"float32": [(3, 64, 1), (7, 96, 257), (23, 192, 600)], "float64": [(5, 64, 300)]}


def plain(n: int, k: int, elem: str, target: Target) -> NestFunction:
    b = NestBuilder("plain", [*(Param(p, PTR, noalias=True) for p in "abc"), Param("m", I64)])
    spec = matmul(b.params[0], b.params[1], elem, ((), b.params[3], n, k), (k, 1), (n, 1))
    epilogue = store_to(b.params[2], elem, {spec.m[0]: n, spec.n[0]: 1}, spec.n[0])
    contraction(b, Contraction(spec.a, spec.b, (), spec.m, spec.n, spec.k, epilogue, elem), target)
    return b.finish()


@pytest.mark.parametrize("elem", ["float32", "float64"])
@pytest.mark.parametrize("name", HERE)
def test_the_bits_of_a_matrix_stored_row_by_row(name: str, elem: str) -> None:
    target, rng = named_target(name), np.random.default_rng(0)
    for m, n, k in SIZES[elem]:
        width = panel_width(n, elem, target)
        if width is None:
            width = n  # one panel, where that is narrow enough
        a, b = (rng.standard_normal(s).astype(elem) for s in ((m, k), (k, n)))
        want = np.zeros((m, n), elem)
        compiled(plain(n, k, elem, target))(a, b, want, m)
        exact = a.astype(np.float64) @ b.astype(np.float64)
        np.testing.assert_allclose(want, exact, rtol=1e-4, atol=1e-4)
        for known in (True, False):
            got = np.zeros((m, n), elem)
            run = compiled(panelled(m if known else None, n, k, width, elem, target))
            run(a, in_panels(b, width), got, *([] if known else [m]))
            np.testing.assert_array_equal(got.view(np.uint8), want.view(np.uint8), f"{m, n, k}")


@pytest.mark.parametrize("name", FORCED)
def test_nothing_is_packed(name: str) -> None:
    target = named_target(name)
    width = panel_width(512, "float32", target)
    assert width is not None
    nothing = (Reg(PTR, None, "p"),) * 3
    for m in (7, 700, None):
        found = plan(spec_of(m or Reg(I64, None, "m"), 512, 300, width, "float32", nothing), target)
        assert all("b place" in str(choice) and "shared" not in str(choice) for choice in found)
        assert all(width % choice.width == 0 for choice in found)
