"""`argand.testing`: comparing tensors in tests, as `torch.testing`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from argand.tensor.core import Tensor
from argand.tensor.creation import as_tensor

# By dtype: relative and absolute tolerance; PyTorch's.
_TOLERANCE = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5),
    "complex128": (1e-7, 1e-7),
}


def assert_close(
    actual: Any,
    expected: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_dtype: bool = True,
    msg: str | None = None,
) -> None:
    """AssertionError unless |actual - expected| <= atol + rtol * |expected| for all elements.

    Tensors, arrays or numbers, or nested lists, tuples and dicts of them; shapes must be equal, and
    dtypes unless `check_dtype=False`. The tolerances follow the dtype unless given: rtol 1.3e-6 and
    atol 1e-5 for float32, 1e-7 both for float64, 1e-3 and 1.6e-2 (rtol) for the 16-bit floats, 0
    for integers. NaNs are equal only with `equal_nan`. The message tells how many elements differ
    and where the first is, unless `msg` is given. Follows `torch.testing.assert_close`.

    >>> ag.testing.assert_close(ag.tensor([1.0, 2.0]), ag.tensor([1.0, 2.0 + 1e-6]))
    """
    options: dict[str, Any] = {
        "rtol": rtol,
        "atol": atol,
        "equal_nan": equal_nan,
        "check_dtype": check_dtype,
        "msg": msg,
    }
    if isinstance(expected, Mapping):
        assert set(actual) == set(expected), f"keys {sorted(actual)} and {sorted(expected)} differ"
        for key in expected:
            assert_close(actual[key], expected[key], **options)
    elif isinstance(expected, Sequence) and not isinstance(expected, str):
        assert len(actual) == len(expected), f"lengths {len(actual)} and {len(expected)} differ"
        for a, b in zip(actual, expected, strict=True):
            assert_close(a, b, **options)
    else:
        _assert_tensors_close(as_tensor(actual), as_tensor(expected), options)


def _assert_tensors_close(actual: Tensor, expected: Tensor, options: Mapping[str, Any]) -> None:
    message = options["msg"]
    a, b = actual.detach().numpy(), expected.detach().numpy()
    assert a.shape == b.shape, message or f"shapes {a.shape} and {b.shape} differ"
    if options["check_dtype"]:
        names = (actual.dtype.name, expected.dtype.name)
        assert names[0] == names[1], message or f"dtypes {names[0]} and {names[1]} differ"
    rtol, atol = _TOLERANCE.get(expected.dtype.name, (0.0, 0.0))
    rtol = rtol if options["rtol"] is None else options["rtol"]
    atol = atol if options["atol"] is None else options["atol"]
    wide = np.complex128 if expected.dtype.is_complex else np.float64
    a, b = a.astype(wide), b.astype(wide)
    bad = ~np.isclose(a, b, rtol, atol, equal_nan=options["equal_nan"])
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        raise AssertionError(
            message
            or f"{int(bad.sum())} of {bad.size} elements are not close; the first one at index "
            f"{at}: {a[at]} and {b[at]} (rtol {rtol:g}, atol {atol:g})"
        )


def assert_allclose(actual: Any, expected: Any, rtol: float = 1e-7, atol: float = 0.0) -> None:
    """`assert_close` without looking at dtypes, with rtol 1e-7 and atol 0 unless given.

    >>> ag.testing.assert_allclose(ag.tensor([1, 2]), ag.tensor([1.0, 2.0]))
    """
    assert_close(actual, expected, rtol=rtol, atol=atol, check_dtype=False)


__all__ = ["assert_allclose", "assert_close"]
