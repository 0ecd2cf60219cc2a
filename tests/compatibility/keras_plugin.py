"""A plugin of pytest: what Keras' tests take from the `conftest.py` of its repository."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

BACKEND = "torch"


def skip_if_backend(name: str, reason: str) -> Any:
    """Skip a test with the backend of that name."""
    return pytest.mark.skipif(name == BACKEND, reason=reason)


def pytest_configure(config: pytest.Config) -> None:
    """Let ``from conftest import skip_if_backend`` find it, and register the markers."""
    import torch  # noqa: F401  # before tensorflow, with which it shares C++ symbols

    module = ModuleType("conftest")
    vars(module)["skip_if_backend"] = skip_if_backend
    sys.modules["conftest"] = module
    for marker in ("requires_trainable_backend", "multi_device"):
        config.addinivalue_line("markers", f"{marker}: of Keras' tests")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """There is one device."""
    for item in items:
        if "multi_device" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="there is one device"))
