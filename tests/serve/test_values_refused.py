"""Values that a model can't compute with: the error names the input that they come from, and the
other requests of the batch are answered."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from web import asked

grpc = pytest.importorskip("grpc")
for needed in ("httptools", "msgspec", "prometheus_client"):
    pytest.importorskip(needed)

import argand as ag
from argand import nn
from argand.serve import BatchOptions, Client, ModelOptions, ServeError, Server
from argand.serve.server import serve
from argand.serve.signature import ServedSignature


class Words(nn.Module):
    """The sum of the vectors of words, whose numbers are divided, and of one of its elements."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(10, 4)

    def forward(self, ids: Any, by: Any, place: Any) -> Any:
        summed = self.words(ids // by.unsqueeze(1)).sum(1)
        return summed + ag.gather(summed, 1, place.unsqueeze(1)).relu()


def words() -> Any:
    ag.manual_seed(0)
    rows = {0: ag.Dim("rows")}
    numbers = ag.ones(2, dtype=ag.int64)
    example = (ag.ones(2, 3, dtype=ag.int64), numbers, numbers)
    return ag.export.export(Words().eval(), example, dynamic_shapes=(rows, rows, rows))


def given(**changes: int) -> dict[str, np.ndarray]:
    """A request of one row."""
    values = {"ids": 3, "by": 1, "place": 2} | changes
    return {n: np.full((1, 3) if n == "ids" else 1, v) for n, v in values.items()}


@pytest.fixture(scope="module", params=[0, 1], ids=["in the server's process", "in a worker"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    options = ModelOptions(batching=BatchOptions(max_rows=3, max_delay=2.0))
    running = serve(
        {"words": words()},
        port=0,
        grpc_port=0,
        block=False,
        workers=request.param,
        models={"words": options},
    )
    with running:
        yield running


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"place": 12}, "place", "gather: index 12 is out of range for dimension 1 of size 4"),
        ({"place": -1}, "place", "gather: index -1 is out of range"),
        ({"by": 0}, "by", "integers can't be divided by 0"),
        ({"ids": 77}, None, "the inputs 'ids', 'by': embedding: index 77 is out of"),
    ],
)
def test_the_input_is_named_and_the_others_of_the_batch_are_answered(
    server: Server, changes: dict[str, int], field: str | None, said: str
) -> None:
    requests = [given(), given(**changes), given(ids=5)]
    url = f"grpc://127.0.0.1:{server.grpc_port}"
    with Client(url, "words") as client, ThreadPoolExecutor(3) as threads:
        first, wrong, last = (threads.submit(client.infer, x) for x in requests)
        with pytest.raises(ServeError) as caught:
            wrong.result()
        program = words()
        for future, asked_for in ((first, requests[0]), (last, requests[2])):
            (output,) = future.result().values()
            with ag.no_grad():
                assert output.tobytes() == program(**asked_for).numpy().tobytes()
    assert caught.value.status.name == "INVALID_ARGUMENT"
    assert caught.value.field == field
    assert said in str(caught.value)


@pytest.mark.parametrize("path", ["/v2/models/words/infer", "/v1/models/words:predict"])
def test_over_http(server: Server, path: str) -> None:
    inputs = {n: x.tolist() for n, x in given(place=12).items()}
    body: Any = {"inputs": inputs}
    if path.startswith("/v2"):
        body = {
            "inputs": [
                {"name": n, "shape": np.shape(x), "datatype": "INT64", "data": x}
                for n, x in inputs.items()
            ]
        }
    answer = asked(server, "POST", path, body)
    assert (answer.status, answer.headers["X-Error-Field"]) == (400, "place")
    assert "serving_default: the input 'place': gather: index 12" in answer.json["error"]


def test_of_a_model_with_one_input_it_is_that_one_also_op_by_op() -> None:
    class Row(nn.Module):
        def forward(self, x: Any) -> Any:
            return ag.linalg.inv(x)

    program = ag.export.export(Row(), (ag.eye(3),))
    with pytest.raises(ServeError, match=r"the input 'x': .*singular") as caught:
        ServedSignature(program.signatures["serving_default"]).run([np.zeros((3, 3), np.float32)])
    assert caught.value.field == "x"
