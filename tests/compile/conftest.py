"""What the tests of `ag.compile` share."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["reference", "cpu"])
def backend(request: pytest.FixtureRequest) -> str:
    """Every backend that compiles programs."""
    return str(request.param)
