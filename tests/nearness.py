"""How near to the exact result code has to be: measured by NumPy's own error."""

from __future__ import annotations

from typing import Any

import numpy as np

_TIMES = 8


def assert_near(
    found: Any, narrow: Any, wide: Any, what: object = "", *, least: float = 0.0
) -> None:
    """Within 8 times the error of `narrow` and a rounding of the largest element of `wide`.

    `wide` is the computation in float64, `narrow` the same by NumPy in the dtype of `found`. Both
    sums in another order and other polynomials stay below 6 times. Where `found` cancels what was
    larger on the way, `least` is the size whose roundings count. What isn't finite, and dtypes
    without roundings, are equal.
    """
    found, narrow, wide = np.asarray(found), np.asarray(narrow), np.asarray(wide)
    assert (found.dtype, found.shape) == (narrow.dtype, wide.shape), what
    some = np.isfinite(narrow) if found.dtype.char in "fdFD" else np.zeros(found.shape, bool)
    np.testing.assert_array_equal(found[~some], narrow[~some], err_msg=str(what))
    found, narrow, wide = found[some], narrow[some], wide[some]
    if not found.size:
        return
    rounding = np.finfo(found.dtype).eps / 2 * max(least, np.abs(wide).max())
    allowed = _TIMES * (np.abs(narrow - wide).max() + rounding)
    error = np.abs(found - wide).max()
    assert error <= allowed, f"off by {error}, allowed {allowed}: {what}"
