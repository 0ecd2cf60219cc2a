"""Ops against PyTorch, results and gradients, where it is installed.

PyTorch is no dependency of the project: these tests need an environment that has it as well.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from bounds import EPS, assert_within
from calls import ALL_CALLS, ALL_OPS, Call, assert_close, names
from derivatives import float_inputs, float_outputs
from dtypes import DTYPES, GROUPS, PARTLY, REFUSED, calls_in

import argand as ag
from argand.base.dtype import DType
from argand.base.errors import DTypeError
from argand.ir.interpret import interpret
from argand.ir.op import Op
from argand.ir.samples import T
from argand.transform.graph import vjp

torch: Any = pytest.importorskip("torch", reason="PyTorch isn't installed beside the project")
torch_peers: Any = importlib.import_module("torch_peers")  # which imports PyTorch

# PyTorch has no gradient of floor_divide.
NO_GRADIENT = {"floor_divide"}
WIDER = {
    "float16": "float64",
    "bfloat16": "float64",
    "float32": "float64",
    "complex64": "complex128",
}

COMPARED = [op for op in ALL_OPS if op.name not in torch_peers.WITHOUT]
KNOWN = [c for c in ALL_CALLS if c.op in COMPARED and "float64" in c.op.dtypes]


def test_every_op_has_a_peer_or_a_reason() -> None:
    names = {op.name for op in ALL_OPS}
    assert set(torch_peers.WITHOUT) <= names
    assert set(torch_peers.SPECIAL) <= names
    assert not [op.name for op in COMPARED if torch_peers.peer(op.name) is None]


@pytest.mark.parametrize("call", KNOWN, ids=names(KNOWN))
def test_agrees_with_torch(call: Call) -> None:
    arrays = call.arrays("float64")
    program = call.program("float64")
    weighted = len(arrays) > 2 and ("loss" in call.op.name or "entropy" in call.op.name)
    # Weights of losses have no gradient in PyTorch; ours are held by finite differences.
    wants = call.op.differentiable and call.op.name not in NO_GRADIENT and not weighted
    operands = [torch.tensor(a, requires_grad=wants and a.dtype.kind == "f") for a in arrays]
    theirs = _apply(call, operands)
    ours = interpret(program, arrays)
    for y, e in zip(ours, theirs, strict=True):
        assert_close(y, e.detach().numpy(), 1e-9, repr(call))
    if wants and float_inputs(program) and float_outputs(program):
        _compare_gradients(call, program, arrays, operands, theirs)


def _apply(call: Call, operands: list[Any]) -> tuple[Any, ...]:
    left = iter(operands)

    def convert(v: Any) -> Any:
        if isinstance(v, DType):
            return getattr(torch, v.name)
        return next(left) if isinstance(v, T) else v

    args = [convert(a) for a in call.sample.args]
    kwargs = {k: convert(v) for k, v in call.sample.kwargs.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns of broadcast targets
        found = torch_peers.peer(call.op.name)(*args, **kwargs)
    return tuple(found) if isinstance(found, tuple) else (found,)


def _compare_gradients(
    call: Call, program: Any, arrays: Any, operands: Any, theirs: tuple[Any, ...]
) -> None:
    wrt, outputs = float_inputs(program), float_outputs(program)
    rng = np.random.default_rng(0)
    seeds = [rng.uniform(-1, 1, program.outputs[n].shape) for n in outputs]
    ours = interpret(vjp(program, wrt, outputs), [*arrays, *seeds])
    roots = [theirs[n] for n in outputs]
    pairs = [(r, torch.tensor(s)) for r, s in zip(roots, seeds, strict=True) if r.requires_grad]
    if not pairs:
        assert not any(np.any(g) for g in ours), f"a gradient of {call}, which has none in PyTorch"
        return
    wanted = [operands[n] for n in wrt]
    found = torch.autograd.grad(
        [r for r, _ in pairs], wanted, [s for _, s in pairs], allow_unused=True
    )
    for g, e in zip(ours, found, strict=True):
        expected = np.zeros(g.shape) if e is None else e.numpy()
        assert_close(g, expected, 1e-8, f"gradient of {call}")


@pytest.mark.parametrize("op", COMPARED, ids=lambda op: op.name)
def test_agrees_with_torch_in_every_dtype(op: Op) -> None:
    """Eager results, in every dtype that both take."""
    compared = False
    for dtype in DTYPES:
        if dtype not in (*REFUSED.get(op.name, ()), *GROUPS["stored"]):
            for call in calls_in(op, dtype):
                compared |= _agrees(call, dtype)
    assert compared or not any(calls_in(op, d) for d in DTYPES)


def _agrees(call: Call, dtype: str) -> bool:
    """Whether PyTorch takes the dtype; if so the results are equal, or as near to those of 64 bits
    as roundings of the dtype allow."""
    arrays = call.arrays(dtype)
    try:
        theirs = _apply(call, [tensor(a) for a in arrays])
    except (NotImplementedError, RuntimeError, TypeError, OverflowError):
        return False
    if any("float8" in str(e.dtype) for e in theirs):
        return False  # which NumPy can't hold; files are compared in these
    try:
        found = call.apply([ag.from_numpy(a) for a in arrays])
    except DTypeError:
        assert dtype in PARTLY.get(call.op.name, ()), f"{call} {dtype}"
        return False
    ours = found if isinstance(found, tuple) else (found,)
    same = [
        y.dtype.name == str(e.dtype).removeprefix("torch.")
        for y, e in zip(ours, theirs, strict=True)
    ]
    if call.op.name in torch_peers.PROMOTED and not all(same):
        return True
    assert all(same), f"{call} {dtype}: {[y.dtype.name for y in ours]}, {theirs}"
    if call.op.name in torch_peers.TIES and dtype in (*GROUPS["whole"], *GROUPS["bool"]):
        ours, theirs = ours[:1], theirs[:1]
    wide = theirs
    if dtype in WIDER:
        wide = _apply(call, [tensor(a, dtype, WIDER[dtype]) for a in arrays])
    for y, e, w in zip(ours, theirs, wide, strict=True):
        actual, near = y.detach().numpy(), to_numpy(e)
        if not np.array_equal(actual, near, equal_nan=near.dtype.kind in "fc"):
            exact = to_numpy(w)
            if dtype in ("float64", "complex128"):  # PyTorch's own error is larger
                assert_close(actual, exact, 1e-9, f"{call} {dtype}")
                continue
            if actual.dtype.name in EPS and exact.dtype.name == actual.dtype.name:
                exact = exact.astype(np.complex128 if exact.dtype.kind == "c" else np.float64)
            assert_within(actual, exact, call, f"{call} {dtype}")
    return True


def tensor(a: np.ndarray, narrow: str = "", wide: str = "") -> Any:
    """PyTorch's tensor of an array; of dtype `wide` where it has the dtype `narrow`."""
    if a.dtype == ml_dtypes.bfloat16:
        made = torch.from_numpy(a.view(np.int16)).view(torch.bfloat16)
    else:
        made = torch.from_numpy(a.copy())
    return made.to(getattr(torch, wide)) if a.dtype.name == narrow else made


def to_numpy(x: Any) -> np.ndarray:
    """The array of PyTorch's tensor."""
    x = x.detach().resolve_conj().resolve_neg()
    if x.dtype is torch.bfloat16:
        array: np.ndarray = x.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
        return array
    return np.asarray(x.numpy())


COMPLEX = [
    op for op in COMPARED if op.differentiable and "complex128" not in REFUSED.get(op.name, ())
]


@pytest.mark.parametrize("op", COMPLEX, ids=lambda op: op.name)
def test_complex_gradients_agree_with_torch(op: Op) -> None:
    """By the tape, where PyTorch has a gradient."""
    for call in calls_in(op, "complex128"):
        arrays = call.arrays("complex128")
        theirs = [tensor(a) for a in arrays]
        mine = [ag.from_numpy(a) for a in arrays]
        wrt = [i for i, a in enumerate(arrays) if a.dtype.kind in "fc"]
        for i in wrt:
            theirs[i].requires_grad_()
            mine[i].requires_grad_()
        try:
            expected = _apply(call, theirs)
            if any("float8" in str(e.dtype) for e in expected):
                continue
        except (NotImplementedError, RuntimeError, TypeError):
            continue
        found = call.apply(mine)
        found = found if isinstance(found, tuple) else (found,)
        roots = [i for i, y in enumerate(expected) if y.requires_grad]
        if not roots:
            continue
        rng = np.random.default_rng(0)
        seeds = [_seed(rng, to_numpy(expected[i])) for i in roots]
        try:
            slopes = torch.autograd.grad(
                [expected[i] for i in roots],
                [theirs[i] for i in wrt],
                [tensor(s) for s in seeds],
                allow_unused=True,
            )
        except (NotImplementedError, RuntimeError):
            continue
        ours = ag.autograd.grad(
            [found[i] for i in roots],
            [mine[i] for i in wrt],
            [ag.from_numpy(s) for s in seeds],
            allow_unused=True,
        )
        for i, g, e in zip(wrt, ours, slopes, strict=True):
            zero = np.zeros(arrays[i].shape, arrays[i].dtype)
            actual, wanted = (zero if v is None else v for v in (g, e))
            actual = actual if isinstance(actual, np.ndarray) else actual.numpy()
            wanted = wanted if isinstance(wanted, np.ndarray) else to_numpy(wanted)
            assert_close(actual, wanted, 1e-8, f"gradient {i} of {call}")


def _seed(rng: np.random.Generator, like: np.ndarray) -> np.ndarray:
    seed = rng.uniform(-1, 1, like.shape)
    if like.dtype.kind == "c":
        seed = seed + 1j * rng.uniform(-1, 1, like.shape)
    return np.asarray(seed).astype(like.dtype)
