"""Long arrays in JSON: read and written piece by piece, as the same values and texts."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from web import asked

for needed in ("httptools", "msgspec", "prometheus_client"):
    pytest.importorskip(needed)

import argand as ag
from argand import nn
from argand.serve import Server
from argand.serve.errors import ServeError
from argand.serve.http import long_arrays
from argand.serve.http.long_arrays import LARGE, Writing, decoded_in_pieces
from argand.serve.http.values import decoded, encoded, listed
from argand.serve.server import serve

drawn = np.random.default_rng(0)
ARRAYS = [
    drawn.standard_normal((3, 5000)),
    drawn.standard_normal((9000, 2)).astype(np.float32),
    drawn.integers(-(2**62), 2**62, (2, 3, 4, 200)),
    drawn.standard_normal(9000).astype(np.float16),
    drawn.standard_normal((9000, 1, 1)),
    np.where(drawn.standard_normal((50, 500)) > 2, np.nan, -np.inf),
    drawn.standard_normal((500, 50)) > 0,
    np.array([["a", "bc"]] * 9000, object),
    np.zeros((0, 5)),
    np.float32(3),
]


def same(found: Any, expected: Any) -> int:
    """Asserts that two values of JSON are equal; how many arrays are NumPy's."""
    if isinstance(found, np.ndarray):
        wanted = np.asarray(expected)
        assert found.dtype == wanted.dtype
        assert found.shape == wanted.shape
        assert found.tobytes() == wanted.tobytes()
        return 1
    assert type(found) is type(expected)
    if isinstance(found, dict):
        assert list(found) == list(expected)
        return sum(same(found[name], expected[name]) for name in found)
    if isinstance(found, list):
        assert len(found) == len(expected)
        return sum(map(same, found, expected))
    assert found == expected or (found != found and expected != expected)
    return 0


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{a.shape}")
def test_texts_are_those_of_lists(array: Any) -> None:
    array = np.asarray(array)
    writing = Writing()
    value = {"a": writing(array), "b": [{"c": writing(array)}], "text": "x"}
    shown = {"a": listed(array), "b": [{"c": listed(array)}], "text": "x"}
    text = writing.text(value)
    assert text == encoded(shown, [array])
    pieces = 0 if array.dtype.kind in "bO" or array.size < 2000 else 2
    assert same(decoded_in_pieces(text), decoded(text)) == pieces


@pytest.mark.parametrize("seed", range(4))
def test_random_values_and_random_damage(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (("_LONG", 6), ("_PIECE", 5), ("_NUMBERS", 3)):
        monkeypatch.setattr(long_arrays, name, size)
    monkeypatch.setattr(long_arrays, "let_others", lambda: None)
    pick = random.Random(seed)
    arrays = 0
    for _ in range(150):
        body = bytearray(json.dumps(_value(pick, 3), indent=pick.choice([None, 1])).encode())
        for _ in range(pick.choice([0, 0, 1, 2])):
            place = pick.randrange(len(body))
            body[place : place + pick.randrange(2)] = pick.choice(b'[],"\\1-. e{}:n').to_bytes(1)
        arrays += _read_as_a_whole(bytes(body))
    assert arrays > 20


def _value(pick: random.Random, depth: int) -> Any:
    kind = pick.randrange(9) if depth else 0
    if kind == 1:
        return {pick.choice(TEXTS): _value(pick, depth - 1) for _ in range(3)}
    if kind == 2:
        return [_value(pick, depth - 1) for _ in range(3)]
    if kind > 2:
        shape = [pick.randrange(1, 5) for _ in range(pick.randrange(1, 4))]
        numbers = pick.choice([[1, -2, 3], [1.5, 2], [0.5, 1e300], [float("nan"), 1], [2**63, 1]])
        array = np.array([pick.choice(numbers) for _ in range(int(np.prod(shape)))], object)
        return array.reshape(shape).tolist()
    return pick.choice([*TEXTS, 1, None, True, [], {}, [[]], [[], [1]], [1, [2]], [[1], [2, 3]]])


TEXTS = ["", "[1,2,3,4,5,6]", 'a"[1,2,3,4', "\\", '\\"[7,7,7,7,7]', "\u2603"]


def _read_as_a_whole(body: bytes) -> int:
    try:
        expected = decoded(body)
    except ServeError as error:
        with pytest.raises(ServeError) as caught:
            decoded_in_pieces(body)
        assert str(caught.value) == str(error)
        return 0
    return same(decoded_in_pieces(body), expected)


@pytest.mark.parametrize("text", ['a"b', "\\", '\\"', "\\" * 70 + '"', '"[1, 2'])
def test_arrays_are_found_behind_any_text(text: str) -> None:
    value = {"s": text, "x": ARRAYS[0].tolist(), text: text}
    body = json.dumps(value).encode()
    assert same(decoded_in_pieces(body), value) == (len(text) < 60)


def test_others_get_their_turn_after_each_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = []
    monkeypatch.setattr(long_arrays, "let_others", lambda: turns.append(1))
    array = drawn.standard_normal((40, 5000))
    writing = Writing()
    text = writing.text(writing(array))
    assert len(turns) > 20
    turns.clear()
    decoded_in_pieces(text)
    assert len(turns) > 2 * len(text) / 100_000


class Both(nn.Module):
    """Two outputs of a row: it doubled, and a number added."""

    def forward(self, x: Any, k: Any) -> Any:
        return {"twice": x * 2, "more": k + 1}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    rows = {0: ag.Dim("rows")}
    example = (ag.ones(2, 50), ag.ones(2, 50, dtype=ag.int64))
    both = ag.export.export(Both(), example, dynamic_shapes=(rows, rows))
    one = ag.export.export(nn.ReLU(), example[:1], dynamic_shapes=(rows,))
    with serve({"both": both, "one": one}, port=0, block=False, profile="vertex",
               model="one") as running:  # fmt: skip
        yield running


ROWS = 2000
X = drawn.standard_normal((ROWS, 50)).astype(np.float32)
K = drawn.integers(0, 9, (ROWS, 50))


@pytest.mark.parametrize("kind", ["columns", "rows", "v2", "torchserve"])
def test_large_requests_of_two_inputs(server: Server, kind: str) -> None:
    x, k = X.tolist(), K.tolist()
    tensors = [("x", "FP32", x), ("k", "INT64", k)]
    path, body = {
        "columns": ("/v1/models/both:predict", {"inputs": {"x": x, "k": k}}),
        "rows": ("/v1/models/both:predict",
                 {"instances": [{"x": a, "k": b} for a, b in zip(x, k, strict=True)]}),
        "v2": ("/v2/models/both/infer",
               {"inputs": [{"name": n, "shape": [ROWS, 50], "datatype": d, "data": v}
                           for n, d, v in tensors]}),
        "torchserve": ("/predictions/both", {"x": x, "k": k}),
    }[kind]  # fmt: skip
    assert len(json.dumps(body)) > LARGE
    answer = asked(server, "POST", path, body, content_type="application/json")
    assert answer.status == 200, answer.body[:300]
    found = answer.json
    if kind == "columns":
        found = found["outputs"]
    elif kind == "rows":
        rows = found["predictions"]
        found = {n: [row[n] for row in rows] for n in rows[0]}
    elif kind == "v2":
        found = {o["name"]: o["data"] for o in found["outputs"]}
    more, twice = (np.asarray(found[n]).reshape(ROWS, 50) for n in ("more", "twice"))
    np.testing.assert_array_equal(more, K + 1)
    np.testing.assert_array_equal(twice.astype(np.float32), X * 2)


@pytest.mark.parametrize("path", ["/v1/models/one:predict", "/predict"])
def test_large_rows_with_nan(server: Server, path: str) -> None:
    x = np.where(X > 2, np.nan, np.where(X < -2, np.inf, X))
    body: dict[str, Any] = {"instances": x.tolist(), "parameters": {"other": 1}}
    if path.startswith("/v1"):
        del body["parameters"]
    answer = asked(server, "POST", path, body)
    assert answer.status == 200, answer.body[:300]
    found = np.asarray(answer.json["predictions"], np.float32)
    np.testing.assert_array_equal(found, np.maximum(x, 0).astype(np.float32))


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        (lambda x, k: x[7].append(1.0), "x", "different lengths"),
        (lambda x, k: x.append([1.0]), "x", "different lengths"),
        (lambda x, k: k[9].__setitem__(3, 2.5), "k", "k is int64, got a number 2.5"),
        (lambda x, k: k[9].__setitem__(3, 2**70), "k", f"{2**70} is out of the range of int64"),
        (lambda x, k: x[9].__setitem__(3, 1e39), "x", "1e+39 is out of the range of float32"),
        (lambda x, k: x[9].__setitem__(3, "a"), "x", "x is float32, got"),
        (lambda x, k: [row.pop() for row in x], "x", "dimension 1 of the input 'x' must be 50"),
    ],
)
def test_large_requests_that_do_not_fit(server: Server, change: Any, field: str, said: str) -> None:
    x, k = X.astype(float).tolist(), K.tolist()
    change(x, k)
    answer = asked(server, "POST", "/v1/models/both:predict", {"inputs": {"x": x, "k": k}})
    assert (answer.status, answer.headers["X-Error-Field"]) == (400, field)
    assert said in answer.json["error"]
