"""Strings of requests: bytes on the wire, text in a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from argand.serve.errors import invalid


def objects(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    """An array of strings."""
    found = np.empty(len(values), object)
    found[:] = list(values)
    return found


def texts(array: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
    """An array of `str`, of one that may have UTF-8 as bytes; `name` is the input that an error
    names."""
    values = array.ravel().tolist()
    try:
        found = [x.decode() if isinstance(x, bytes) else x for x in values]
        return objects(found).reshape(array.shape)
    except UnicodeDecodeError as error:
        raise invalid(f"{name}: a string is no UTF-8: {error.reason}", name) from None


__all__ = ["objects", "texts"]
