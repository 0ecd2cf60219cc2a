"""Strings of requests: bytes on the wire, text in a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from argand.serve.errors import invalid


def texts(values: Sequence[bytes], name: str) -> np.ndarray[Any, Any]:
    """An array of `str`, of the UTF-8 in a request; `name` is the input that an error names."""
    found = np.empty(len(values), object)
    try:
        found[:] = [value.decode() for value in values]
    except UnicodeDecodeError as error:
        raise invalid(f"{name}: a string is no UTF-8: {error.reason}", name) from None
    return found


__all__ = ["texts"]
