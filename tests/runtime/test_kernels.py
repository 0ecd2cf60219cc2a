"""The library of loaded kernels."""

from __future__ import annotations

import threading

import pytest

from argand.runtime.kernels import Library


def test_a_key_is_built_once() -> None:
    library, built = Library(), []

    def make() -> tuple[int, object]:
        built.append(1)
        return 64, object()

    workers = [threading.Thread(target=library.address, args=("k", make)) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(built) == 1


def test_a_failed_build_is_not_remembered() -> None:
    library = Library()

    def fail() -> tuple[int, object]:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        library.address("k", fail)
    assert library.address("k", lambda: (8, None)) == 8
