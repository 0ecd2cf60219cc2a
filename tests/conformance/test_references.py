"""Ops against independent references in float64."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from calls import ALL_CALLS, Call, assert_close, names
from references import REFERENCES, REFUSES

from argand.ir.interpret import interpret
from argand.ir.samples import T

KNOWN = [c for c in ALL_CALLS if c.op.name in REFERENCES and "float64" in c.op.dtypes]


@pytest.mark.parametrize("call", KNOWN, ids=names(KNOWN))
def test_agrees_with_reference(call: Call) -> None:
    arrays = call.arrays("float64")
    actual = interpret(call.program("float64"), arrays)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            expected = reference(call, arrays)
    except REFUSES.get(call.op.name, ()):
        return
    for y, e in zip(actual, expected, strict=False):
        assert_close(y, np.asarray(e), 1e-9, repr(call))


def reference(call: Call, arrays: list[np.ndarray]) -> tuple[Any, ...]:
    """The reference on the call's own arguments."""
    left = iter(arrays)
    args = [next(left) if isinstance(a, T) else a for a in call.sample.args]
    kwargs = {k: next(left) if isinstance(v, T) else v for k, v in call.sample.kwargs.items()}
    found = REFERENCES[call.op.name](*args, **kwargs)
    return found if isinstance(found, tuple) else (found,)


def test_references_name_ops() -> None:
    assert set(REFERENCES) <= {c.op.name for c in ALL_CALLS}
