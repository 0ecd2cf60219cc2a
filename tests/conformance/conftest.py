"""Keeps the kernels that these tests compile out of the user's cache."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from argand.base.settings import settings


@pytest.fixture(autouse=True, scope="session")
def _own_kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with settings.using(cache_dir=tmp_path_factory.mktemp("kernels")):
        yield
