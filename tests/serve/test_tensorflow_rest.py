"""TensorFlow Serving's REST protocol, by its documented requests and replies."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import classifier, exported, inputs, put
from web import asked, floats, two_inputs

pytest.importorskip("httptools")

import argand as ag
from argand.serve import ModelOptions, ServeError, Server, VersionPolicy
from argand.serve.http.values import array_of, decoded, rows_of_floats
from argand.serve.signature import TensorSpec


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root: Path = tmp_path_factory.mktemp("models")
    for number in (1, 3):
        put(exported(classifier(number)), root, "digits", number)
    put(two_inputs(), root, "two", 1)
    options = {"digits": ModelOptions(policy=VersionPolicy("all"), labels={"stable": 1})}
    with Server(root, port=0, models=options) as running:
        yield running


def test_rows_and_columns_have_the_bits_of_a_call(server: Server) -> None:
    x = inputs(4)
    for path, seed in (("", 3), ("/versions/1", 1), ("/labels/stable", 1), ("/versions/3", 3)):
        expected = exported(classifier(seed))(x).numpy()
        at = f"/v1/models/digits{path}:predict"
        rows = asked(server, "POST", at, {"instances": x.tolist()})
        assert rows.status == 200 and list(rows.json) == ["predictions"]
        named = asked(server, "POST", at, {"instances": [{"input": r} for r in x.tolist()]})
        columns = asked(server, "POST", at, {"inputs": x.tolist()})
        assert list(columns.json) == ["outputs"]
        by_name = asked(
            server,
            "POST",
            at,
            {"inputs": {"input": x.tolist()}, "signature_name": "serving_default"},
        )
        found = [rows.json["predictions"], named.json["predictions"]]
        found += [columns.json["outputs"], by_name.json["outputs"]]
        for answer in found:
            assert floats(answer).tobytes() == expected.tobytes()


def test_several_inputs_and_outputs_go_by_name(server: Server) -> None:
    rows = [{"x": [1.5, 2, 3], "k": 7}, {"x": [4, 5, 6], "k": -1}]
    found = asked(server, "POST", "/v1/models/two:predict", {"instances": rows}).json
    assert found == {
        "predictions": [{"twice": 14, "up": [2.5, 3, 4]}, {"twice": -2, "up": [5, 6, 7]}]
    }
    columns = {"x": [[1.5, 2, 3]], "k": [7]}
    found = asked(server, "POST", "/v1/models/two:predict", {"inputs": columns}).json
    assert found == {"outputs": {"twice": [14], "up": [[2.5, 3, 4]]}}


def test_nan_and_infinities_are_read_and_written_bare(server: Server) -> None:
    body = b'{"inputs": {"x": [[NaN, Infinity, -Infinity]], "k": [1]}}'
    found = asked(server, "POST", "/v1/models/two:predict", body)
    assert b"[NaN,Infinity,-Infinity]" in found.body
    row = json.loads(found.body)["outputs"]["up"][0]
    assert math.isnan(row[0]) and row[1:] == [math.inf, -math.inf]


def test_status_lists_the_newest_first(server: Server) -> None:
    found = asked(server, "GET", "/v1/models/digits").json
    good = {"error_code": "OK", "error_message": ""}
    assert found == {
        "model_version_status": [
            {"version": v, "state": "AVAILABLE", "status": good} for v in ("3", "1")
        ]
    }
    for path in ("versions/1", "labels/stable"):
        found = asked(server, "GET", f"/v1/models/digits/{path}").json["model_version_status"]
        assert [v["version"] for v in found] == ["1"]
    assert asked(server, "GET", "/v1/models/digits/versions/2").status == 404


def test_metadata_describes_the_signatures(server: Server) -> None:
    found = asked(server, "GET", "/v1/models/digits/metadata").json
    assert found["model_spec"] == {"name": "digits", "signature_name": "", "version": "3"}
    signature = found["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    (described,) = signature["inputs"].values()
    assert described["dtype"] == "DT_FLOAT"
    sizes = [d["size"] for d in described["tensor_shape"]["dim"]]
    assert sizes == ["-1", "6"] and described["tensor_shape"]["unknown_rank"] is False


def test_classify_and_regress_take_examples(server: Server) -> None:
    x = inputs(2)
    examples = [{"input": r} for r in x.tolist()]
    found = asked(server, "POST", "/v1/models/digits:classify", {"examples": examples}).json
    expected = exported(classifier(3))(x).numpy()
    assert [[label for label, _ in row] for row in found["results"]] == [["0", "1", "2"]] * 2
    scores = floats([[score for _, score in row] for row in found["results"]])
    assert scores.tobytes() == expected.tobytes()
    context = {"context": {"x": [1, 2, 3]}, "examples": [{"k": 4}, {"k": 5}]}
    found = asked(server, "POST", "/v1/models/two:regress", context)
    assert found.json == {"results": [8, 10]} or found.status == 400


BAD: list[tuple[str, Any, int, str]] = [
    ("digits", b"{", 400, "no JSON"),
    ("digits", b"[1]", 400, "must be a JSON object"),
    ("digits", b"\xff\xfe", 400, "no JSON"),
    ("digits", b'{"instances": ' + b"[" * 100_000, 400, ""),
    ("digits", {}, 400, "Missing 'inputs' or 'instances' key"),
    ("digits", {"inputs": [], "instances": []}, 400, "at the same time"),
    ("digits", {"instances": 5}, 400, "'instances'"),
    ("digits", {"instances": []}, 400, "empty"),
    ("digits", {"instances": [[1, 2]]}, 400, "input"),
    ("digits", {"instances": [[1, 2, 3, 4, 5, 6], [1]]}, 400, "input: the lists have different"),
    ("digits", {"instances": [["a"] * 6]}, 400, "input"),
    ("digits", {"instances": [[True] * 6]}, 400, "input is float32, got an array"),
    ("digits", {"instances": [[1e300] * 6]}, 400, "input: 1e+300 is out of the range of float32"),
    ("digits", {"instances": [{"imput": [1] * 6}]}, 400, "did you mean input"),
    ("digits", {"instances": [{"input": [1] * 6}, {}]}, 400, "element: 1 of 'instances' list"),
    ("digits", {"instances": [{"b64": "?"}]}, 400, "input: b64 is no base64"),
    ("digits", {"instances": [[0] * 6], "signature_name": "x"}, 400, "signature 'x'"),
    ("digits", {"instances": [[0] * 6], "signature_name": 3}, 400, "signature_name"),
    ("two", {"instances": [[1, 2, 3]]}, 400, "must name them"),
    ("two", {"inputs": {"x": [[1, 2, 3]], "k": [1.5]}}, 400, "k is int32"),
    ("two", {"inputs": {"x": [[1, 2, 3]], "k": [1 << 40]}}, 400, "k: 1099511627776 is out of"),
    ("two", {"inputs": {"x": [[1, 2, 3]], "k": [10**400]}}, 400, "k"),
    ("two", {"inputs": {"x": [[1, 2, 3]], "k": [1, 2]}}, 400, "'k'"),
    ("two", {"inputs": {"x": {"b64": base64.b64encode(b"x").decode()}, "k": [1]}}, 400, "x"),
    ("dogits", {"instances": [[0] * 6]}, 404, "did you mean digits"),
    ("digits/versions/9", {"instances": [[0] * 6]}, 404, "no version 9"),
    ("digits/labels/canary", {"instances": [[0] * 6]}, 404, "no label 'canary'"),
    ("digits/versions/x", {"instances": [[0] * 6]}, 400, "a version is a number"),
]


@pytest.mark.parametrize(("model", "body", "status", "message"), BAD)
def test_what_does_not_fit_is_refused_with_the_field(
    server: Server, model: str, body: Any, status: int, message: str
) -> None:
    found = asked(server, "POST", f"/v1/models/{model}:predict", body)
    assert found.status == status and list(found.json) == ["error"]
    assert message in found.json["error"]


@pytest.mark.parametrize(
    ("value", "dtype", "wrong"),
    [
        ([["NaN", 1]], "float32", 'a string "NaN"'),
        ([[1, None, "x"]], "float32", "null"),
        ([["a", 1, "b"]], None, "a number 1"),
        ([[{"b64": "eA=="}, 1]], None, "a number 1"),
        ([[{"a": 1}, 1]], "int64", 'an object {"a":1}'),
    ],
)
def test_the_element_that_is_wrong_is_the_one_that_is_shown(
    value: Any, dtype: str | None, wrong: str
) -> None:
    spec = TensorSpec("x", None if dtype is None else getattr(ag, dtype), None)
    with pytest.raises(ServeError) as caught:
        array_of(value, spec, 9)
    assert str(caught.value) == f"x is {dtype or 'strings'}, got {wrong}"


def test_no_body_brings_the_server_down(server: Server) -> None:
    rng = np.random.default_rng(0)
    whole = json.dumps({"instances": [{"x": [1, 2, 3], "k": 7}]}).encode()
    for _ in range(300):
        body = bytearray(whole)
        for place in rng.integers(0, len(body), rng.integers(1, 4)):
            body[place] = rng.integers(0, 256)
        status = asked(server, "POST", "/v1/models/two:predict", bytes(body)).status
        assert status in (200, 400), bytes(body)


@pytest.mark.parametrize(
    "rows",
    [
        "[[1, 2.5, -3e-3, 0.1, 1e10, 16777217]]",
        "[[1e-46, 3.3999999e38, 0.30000001192092896, 9007199254740993, -0.0, 1e5]]",
        "[[1e39, 0, 0, 0, 0, 0]]",
        "[[1, 2], [3]]",
        "[1, 2]",
        "[[true, 1, 1, 1, 1, 1]]",
        '[["1", 1, 1, 1, 1, 1]]',
        "[[NaN, 1, 1, 1, 1, 1]]",
        "[]",
        "[[]]",
    ],
)
def test_rows_of_numbers_are_read_alike_by_the_short_way(rows: str) -> None:
    spec = TensorSpec("x", ag.float32, ("rows", 6))
    body = b'{"instances": ' + rows.encode() + b"}"
    try:
        expected = array_of(decoded(body)["instances"], spec, 100)
    except ServeError as error:
        with pytest.raises(ServeError, match=re.escape(str(error))):
            found = rows_of_floats(body, spec, 100)
            if found is None:
                raise error
        return
    found = rows_of_floats(body, spec, 100)
    if found is not None:
        assert (found.dtype, found.tobytes()) == (expected.dtype, expected.tobytes())
    assert rows_of_floats(body.replace(b"}", b', "signature_name": "x"}'), spec, 100) is None


def test_large_integers_keep_their_bits() -> None:
    large = [2**63 + 1, 0, 2**64 - 1]
    unsigned = TensorSpec("x", ag.uint64, None)
    np.testing.assert_array_equal(array_of(large, unsigned, 9), np.array(large, np.uint64))
    with pytest.raises(ServeError, match=r"x: .* is out of the range of uint64"):
        array_of([1, 2**64], unsigned, 9)
    with pytest.raises(ServeError, match=r"x: .* is out of the range of int64"):
        array_of([1, 2**63], TensorSpec("x", ag.int64, None), 9)
    numbers = TensorSpec("x", ag.float32, None)
    assert (
        array_of([10**20, 2**63, 1], numbers, 9).tolist() == np.float32([1e20, 2**63, 1]).tolist()
    )
    for beyond in (10**39, 10**400):
        with pytest.raises(ServeError, match=r"x: .* is out of the range of float"):
            array_of([1, beyond], numbers, 9)
