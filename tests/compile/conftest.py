"""What the tests of `ag.compile` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import argand as ag


@pytest.fixture(params=["reference", "cpu"])
def backend(request: pytest.FixtureRequest) -> str:
    """Every backend that compiles programs."""
    return str(request.param)


@pytest.fixture
def compiled(backend: str) -> Callable[..., Any]:
    """`ag.compile` for each backend."""
    return lambda function, **options: ag.compile(function, backend=backend, **options)
