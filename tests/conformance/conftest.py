"""Lets the tests of this folder import their helpers, and keeps their kernels to themselves."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from argand.base.settings import settings

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True, scope="session")
def _own_kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with settings.using(cache_dir=tmp_path_factory.mktemp("kernels")):
        yield
