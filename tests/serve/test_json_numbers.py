"""NaN and infinities in JSON, in and out, in each protocol."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from web import asked, floats

pytest.importorskip("httptools")

import argand as ag
from argand import nn
from argand.serve import Server, serve


@pytest.fixture(scope="module")
def plain() -> Iterator[Server]:
    """A server of a model that gives its input back."""
    rows = ag.Dim("rows")
    program = ag.export.export(nn.Flatten(), (ag.ones(2, 3),), dynamic_shapes=({0: rows},))
    with serve({"m": program}, port=0, block=False) as server:
        yield server


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("/v1/models/m:predict", '{"instances": [%s]}', "predictions"),
        ("/v1/models/m:predict", '{"inputs": [%s]}', "outputs"),
        ("/predictions/m", '{"data": [%s]}', None),
        (
            "/v2/models/m/infer",
            '{"inputs": [{"name": "input", "shape": [1, 3], "datatype": "FP32", "data": %s}]}',
            "outputs",
        ),
    ],
)
def test_numbers_that_json_has_not_go_in_and_out(
    plain: Server, path: str, body: str, answer: str | None
) -> None:
    found = asked(plain, "POST", path, (body % "[NaN, Infinity, -Infinity]").encode())
    assert found.status == 200
    value = found.json if answer is None else found.json[answer]
    if path.startswith("/v2"):
        value = [value[0]["data"]]
    assert floats(value).tobytes() == floats([[np.nan, np.inf, -np.inf]]).tobytes()
    assert b"NaN" in found.body and b"-Infinity" in found.body
    for number in ("1e39", "1e400", "-1" + "0" * 400):
        above = asked(plain, "POST", path, (body % f"[{number}, 1, 1]").encode())
        assert (above.status, above.headers["X-Error-Field"]) == (400, "input"), number
        assert b"out of the range" in above.body
