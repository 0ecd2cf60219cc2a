"""The kernel library and the number of threads."""

from __future__ import annotations

import threading

import pytest

from argand.runtime import threads
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
    assert len(library) == 1
    assert "k" in library
    library.clear()
    assert "k" not in library


def test_a_failed_build_is_not_remembered() -> None:
    library = Library()

    def fail() -> tuple[int, object]:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        library.address("k", fail)
    assert library.address("k", lambda: (8, None)) == 8


def test_number_of_threads_reaches_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    before = threads.get_num_threads()
    monkeypatch.setattr(threads, "_set_pool", None)
    threads.attach(seen.append)
    threads.set_num_threads(3)
    assert (seen, threads.get_num_threads()) == ([before, 3], 3)
    threads.set_num_threads(before)
    with pytest.raises(ValueError, match="at least 1"):
        threads.set_num_threads(0)
