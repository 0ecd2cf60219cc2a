"""Autocast against PyTorch's: its own lists of operations, and its whole database."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

import numpy as np
import pytest

import argand as ag

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

PATH = Path(__file__).parents[1] / "compatibility" / "autocast.py"
# Parts of PyTorch's machinery, which are no functions of its own.
NOT_PUBLIC = {"_addmm_activation", "_native_multi_head_attention", "nll_loss2d"}


def converted(x):
    """An argument of PyTorch's as ours."""
    if isinstance(x, torch.Tensor):
        if x.dtype is torch.bfloat16:
            return ag.from_numpy(x.float().numpy()).bfloat16()
        return ag.from_numpy(x.numpy().copy())
    if isinstance(x, list | tuple):
        return type(x)(converted(v) for v in x)
    return x


def ours(name):
    """The function, method or loss of ours for a name in PyTorch's lists."""
    name = "pad" if "_pad" in name else name
    for place in (ag.nn.functional, ag, ag.Tensor):
        if hasattr(place, name):
            return getattr(place, name)
    raise AssertionError(name)


def _theirs(kind, name):
    """PyTorch's function: the public one, which reduces as documented, where there is one."""
    below = torch._C._nn if kind.startswith("nn") else torch
    return getattr(torch.nn.functional, name, None) or getattr(below, name)


def keywords(name, given):
    """The keywords of a call; those of a pad are named otherwise there."""
    if "_pad" not in name:
        return given
    return {"pad": given["padding"], "mode": "reflect" if "reflect" in name else "replicate"}


@pytest.mark.parametrize("lower", ["bfloat16", "float16"])
def test_the_operations_of_pytorchs_lists(lower):
    lists = pytest.importorskip("torch.testing._internal.autocast_test_lists")
    listed = lists.AutocastCPUTestLists(torch.device("cpu"))
    for kind in ("torch_16", "torch_fp32", "nn_16", "nn_fp32", "torch_expect_builtin_promote"):
        for name, given, *more in getattr(listed, kind):
            if name in NOT_PUBLIC:
                continue
            given = given if isinstance(given, tuple) else (given,)
            theirs_of = _theirs(kind, name)
            given = given[:2] if name == "poisson_nll_loss" else given
            if name == "margin_ranking_loss":
                given = (*given[:2], given[2].expand(8, 8))
            options = more[0] if more and isinstance(more[0], dict) else {}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with torch.autocast("cpu", dtype=getattr(torch, lower)):
                    theirs = theirs_of(*given, **options)
                with ag.autocast("cpu", dtype=getattr(ag, lower)):
                    mine = ours(name)(*converted(given), **keywords(name, options))
            assert str(theirs.dtype).removeprefix("torch.") == mine.dtype.name, name
            low = {"bfloat16": 6e-2, "float16": 1e-2}.get(mine.dtype.name, 2e-2)
            expected = theirs.double().numpy()
            np.testing.assert_allclose(
                mine.double().numpy(), expected, low, low * np.abs(expected).max(), err_msg=name
            )


@pytest.mark.slow
def test_every_operator_of_pytorchs_database():
    pytest.importorskip("expecttest", reason="PyTorch's database needs expecttest")
    spec = importlib.util.spec_from_file_location("compatibility_autocast", PATH)
    walk = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(walk)
    assert set(walk.compared()) == walk.known()
