"""Requests are followed by their ids and traces to what computes them, and into its log."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from served import classifier, exported, inputs, put, run
from web import asked

grpc = pytest.importorskip("grpc")
for needed in ("httptools", "msgspec", "prometheus_client"):
    pytest.importorskip(needed)

from argand.serve import Engine, ModelOptions, Server
from argand.serve.channel import Channel, Failed, Run
from argand.serve.execution import InProcess, Told
from argand.serve.options import BatchOptions
from argand.serve.signature import ServedSignature
from argand.serve.tracing import Asker, asking, named
from argand.serve.worker import Worker
from argand.serve.workers import WorkerPool
from argand_client.definitions import messages

V2 = "/inference.GRPCInferenceService"
TRACES = [f"00-{str(i) * 32}-{'a' * 16}-01" for i in (1, 2)]


class Spy(InProcess):
    """Keeps who asked for each call."""

    def __init__(self) -> None:
        super().__init__()
        self.askers: list[list[Asker]] = []

    def start(
        self,
        signature: ServedSignature,
        arrays: Sequence[Any],
        done: Told,
        askers: Sequence[Asker] = (),
    ) -> None:
        self.askers.append(list(askers))
        super().start(signature, arrays, done)


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Spy]]:
    root, spy = tmp_path_factory.mktemp("models"), Spy()
    put(exported(classifier()), root, "digits", 1)
    waits = ModelOptions(batching=BatchOptions(max_rows=4, max_delay=0.2))
    engine = Engine([root], executor=lambda version: spy, default=waits)
    with Server(engine, port=0, grpc_port=0) as server:
        yield server, spy


def test_a_call_knows_each_of_its_requests(followed: tuple[Server, Spy]) -> None:
    server, spy = followed
    spy.askers.clear()

    def over_http(number: int) -> None:
        given = {"x-request-id": f"r{number}", "traceparent": TRACES[number]}
        body = {"instances": inputs(2).tolist()}
        assert asked(server, "POST", "/v1/models/digits:predict", body, **given).status == 200

    threads = [threading.Thread(target=over_http, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (askers,) = spy.askers  # one batch
    assert set(askers) == {Asker("r0", "1" * 32), Asker("r1", "2" * 32)}


def test_calls_of_grpc_are_followed_as_well(followed: tuple[Server, Spy]) -> None:
    server, spy = followed
    spy.askers.clear()
    request = messages()("inference.ModelInferRequest")(model_name="digits")
    request.inputs.add(name="input", datatype="FP32", shape=(1, 6))
    request.raw_input_contents.append(inputs(1).tobytes())
    data = request.SerializeToString()
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        one = channel.unary_unary(f"{V2}/ModelInfer")
        one(data, metadata=[("traceparent", TRACES[0])], timeout=20)
        stream = channel.stream_stream(f"{V2}/ModelStreamInfer")
        metadata = [("x-request-id", "s"), ("traceparent", TRACES[1])]
        assert len(list(stream(iter([data, data]), metadata=metadata, timeout=20))) == 2
    found = [asker for askers in spy.askers for asker in askers]
    assert [a.trace for a in found] == ["1" * 32, "2" * 32, "2" * 32]
    assert found[0].request
    assert [a.request for a in found[1:]] == ["s", "s"]


def test_a_worker_names_the_requests_of_a_call_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    def broken(arrays: Any) -> Any:
        raise RuntimeError("a fault of the program's")

    ours, theirs = map(Channel, socket.socketpair())
    worker = Worker(theirs)
    worker._versions[0] = SimpleNamespace(signatures={"f": SimpleNamespace(run=broken)})  # type: ignore[assignment]
    asks = (Asker("r1", "1" * 32), Asker("r2"))
    ours.send(Run(0, "f", [], asks))
    ours.socket.shutdown(socket.SHUT_WR)
    with pytest.raises(EOFError):
        worker.run()
    answer, _ = ours.receive()
    assert isinstance(answer, Failed) and answer.status == "INTERNAL"
    (record,) = caplog.records
    said = f"request r1, trace {'1' * 32}; request r2"
    assert record.getMessage() == f"a call failed ({said}): RuntimeError: a fault of the program's"
    assert record.exc_info is not None
    ours.close()
    theirs.close()


def test_a_worker_that_ends_is_told_of_with_the_requests_that_it_computed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(exported(classifier()), tmp_path, "digits", 1)

    async def ask() -> Any:
        pool = WorkerPool(1)
        engine = Engine([tmp_path], executor=pool.executor)
        await engine.poll()
        version = engine.find("digits")
        worker = pool.workers[0]
        assert worker is not None
        os.kill(worker.process.pid, signal.SIGSTOP)  # so the call is still computed
        asking.set(Asker("r1", "1" * 32))
        answer = version.submit(version.signature(), {"input": inputs(1)}, timeout=60.0)
        while worker.job is None:
            await asyncio.sleep(0)
        os.kill(worker.process.pid, signal.SIGKILL)
        found = await answer
        await engine.close()
        pool.close()
        return found

    assert run(ask())[0].shape == (1, 3)
    (said,) = (r.getMessage() for r in caplog.records if r.levelno == logging.WARNING)
    assert said == (f"worker 0 ended (-9) while it computed for request r1, trace {'1' * 32}")


def test_a_line_does_not_grow_with_the_batch() -> None:
    assert named([]) == "no request"
    text = named([Asker(f"r{i}") for i in range(100)])
    assert text.startswith("request r0; request r1;")
    assert text.endswith("request r15; 84 more requests")
