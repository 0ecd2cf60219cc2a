"""How many files a server may open."""

from __future__ import annotations

import logging
import resource

import pytest

from argand.serve.limits import allow_files


def test_a_server_may_open_as_many_files_as_it_takes_connections(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    set: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: set.append(limits))

    def allowed(soft: int, hard: int) -> None:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
        allow_files(4096)

    allowed(1024, 1 << 20)
    allowed(1024, resource.RLIM_INFINITY)
    allowed(1 << 16, 1 << 20)
    allowed(resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    assert set == [(5120, 1 << 20), (5120, resource.RLIM_INFINITY)]
    with caplog.at_level(logging.WARNING, "argand.serve"):
        allowed(1024, 2048)
    assert set[2:] == [(2048, 2048)]
    assert "more than the 2048 files" in caplog.text
