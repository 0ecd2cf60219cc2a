"""Servers collect garbage when they unload a model; here it is not what all the tests have left."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="package", autouse=True)
def apart() -> Iterator[None]:
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
