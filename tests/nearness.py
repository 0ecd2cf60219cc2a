"""How near to the exact result float32 code has to be: measured by NumPy's own error."""

from __future__ import annotations

from typing import Any

import numpy as np


def assert_near(found: Any, narrow: Any, wide: Any, what: object = "") -> None:
    """Within 8 times the error of `narrow`, and a rounding of the largest element of `wide`.

    `wide` is the computation in float64, `narrow` the same by NumPy in the dtype of `found`. Both
    sums in another order and other polynomials stay below 4 times. Integers are equal.
    """
    assert found.shape == wide.shape
    assert found.dtype == narrow.dtype
    if found.dtype.kind != "f":
        np.testing.assert_array_equal(found, narrow, err_msg=str(what))
        return
    rounding = np.finfo(found.dtype).eps / 2 * np.abs(wide).max(initial=0)
    allowed = 8 * (np.abs(narrow - wide).max(initial=0) + rounding)
    error = np.abs(found - wide).max(initial=0)
    assert error <= allowed, f"off by {error}, allowed {allowed}: {what}"
