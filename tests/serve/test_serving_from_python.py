"""`ag.serve.serve` as programs, notebooks and threads call it, and what they get wrong."""

from __future__ import annotations

import asyncio
import errno
import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import classifier, exported, inputs

pytest.importorskip("httptools")

import argand as ag
from argand.base.errors import ArgumentError
from argand.serve import (
    AsyncClient,
    BatchOptions,
    Client,
    Engine,
    GenerationOptions,
    Limits,
    ModelOptions,
    Server,
    ServerOptions,
    VersionPolicy,
    serve,
)


@pytest.fixture(scope="module")
def program() -> Any:
    return exported(classifier())


@pytest.mark.parametrize(
    ("served", "message"),
    [
        (classifier(), "got Sequential; a module or a function is exported by"),
        (ag.compile(lambda x: x), "got CompiledFunction"),
        ({"a": lambda x: x}, "got function for 'a'"),
        (np.ones(3), "got ndarray"),
        ([np.ones(3)], "got ndarray"),
        (Path(__file__), "a model's file is .argand or .onnx"),
    ],
)
def test_what_is_no_program_is_refused_with_what_to_do(served: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        serve(served, port=0, block=False)


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "", 1])
def test_a_name_that_no_folder_can_have_is_refused(program: Any, name: Any) -> None:
    with pytest.raises(ArgumentError, match="the name of a model is a text without '/'"):
        serve({name: program}, port=0, block=False)


def test_several_programs_need_names(program: Any) -> None:
    with pytest.raises(ArgumentError, match=r"several programs need names: serve\({'name'"):
        serve([program, program], port=0, block=False)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (ServerOptions, {"port": "8000"}, "port must be a number from 0 to 65535, got '8000'"),
        (ServerOptions, {"grpc_port": 65536}, "grpc_port must be a number from 0 to 65535"),
        (ServerOptions, {"workers": -1}, "workers must be at least 0, got -1"),
        (ServerOptions, {"poll": 0}, "poll must be above 0 seconds"),
        (ServerOptions, {"log": "text"}, "log must be 'json' or None"),
        (ServerOptions, {"drain": None}, "drain must be at least 0, got None"),
        (Limits, {"body": 0}, "body must be above 0, got 0"),
        (Limits, {"body_seconds": "60"}, "body_seconds must be above 0, got '60'"),
        (BatchOptions, {"max_rows": 0}, "max_rows must be at least 1, got 0"),
        (BatchOptions, {"max_delay": float("nan")}, "max_delay must be at least 0, got nan"),
        (BatchOptions, {"target_p99": 0.0}, "target_p99 must be above 0 seconds"),
        (GenerationOptions, {"max_waiting": -1}, "max_waiting must be at least 0"),
        (VersionPolicy, {"kind": "latst"}, "got 'latst'; did you mean latest"),
        (VersionPolicy, {"count": 0}, "count must be at least 1"),
        (VersionPolicy, {"kind": "specific"}, "versions are those of VersionPolicy"),
        (VersionPolicy, {"versions": (1,)}, "got kind 'latest' and versions"),
        (ModelOptions, {"timeout": 0}, "timeout must be above 0 seconds"),
        (ModelOptions, {"weights": {"a": 1}}, "weights has the label 'a', which labels does not"),
        (ModelOptions, {"labels": {"a": 1}, "weights": {"a": -1}}, "weights: a must be at least 0"),
    ],
)
def test_options_that_mean_nothing_are_refused(kind: Any, options: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        kind(**options)


def test_an_option_that_is_not_there_is_told_with_one_that_is(program: Any) -> None:
    with pytest.raises(ArgumentError, match="no option 'prot'; did you mean port"):
        serve(program, prot=0)


@pytest.mark.parametrize("name", ["certificate", "key", "clients"])
def test_a_file_that_is_not_there_is_told_before_the_server_starts(name: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such file: .none.pem"):
        ServerOptions(**{"certificate": __file__, name: "none.pem"})


def test_options_and_tokens_of_models_that_are_not_there_are_told(
    program: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "argand.serve")
    options = {"digits": ModelOptions(), "other": ModelOptions()}
    named = {"models": options, "tokens": {"digit": "x"}, "model": "numbers"}
    with serve({"digits": program}, port=0, block=False, **named) as server:
        assert f"serving digits at {server.url}" in caplog.messages
    told = "there is no model {!r}, for which options or a token are given{}"
    assert told.format("digit", "; did you mean digits?") in caplog.messages
    assert told.format("other", "") in caplog.messages
    assert told.format("numbers", "") in caplog.messages


def test_a_port_that_is_in_use_is_told_and_the_server_there_lives_on(program: Any) -> None:
    with serve(program, port=0, block=False) as server:
        with pytest.raises(OSError, match=f"port {server.port} of 127.0.0.1 is in use") as caught:
            serve(program, port=server.port, block=False)
        assert caught.value.errno == errno.EADDRINUSE
        with Client(server.url) as client:
            expected = program(inputs(2)).numpy()
            assert client.predict(inputs(2)).tobytes() == expected.tobytes()
    for again in (server.start, server.run):
        with pytest.raises(RuntimeError, match="a server runs once"):
            again()
    server.stop()


def test_a_notebook_serves_in_a_thread(program: Any) -> None:
    async def cell() -> Any:
        with pytest.raises(RuntimeError, match="block=False"):
            serve(program, port=0)
        with serve(program, port=0, block=False) as server:
            async with AsyncClient(server.url) as client:
                return await client.predict(inputs(1))

    assert asyncio.run(cell()).tobytes() == program(inputs(1)).numpy().tobytes()


def test_a_thread_may_serve_until_stop(program: Any) -> None:
    engine = Engine()
    server = Server(engine, port=0)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert server._started.wait(20)
    server.call(lambda: engine.add("model", program))
    with Client(server.url) as client:
        assert client.predict(inputs(1)).shape == (1, 3)
    server.stop()
    thread.join(20)
    assert not thread.is_alive()


def test_a_label_that_goes_takes_its_share_along(program: Any) -> None:
    options = ModelOptions(labels={"a": 1, "b": 1}, weights={"a": 1.0, "b": 3.0})
    with serve({"m": program}, models={"m": options}, port=0, block=False) as server:
        server.call(lambda: server.engine.set_label("m", "b", None))
        assert server.engine.models["m"].options.weights == {"a": 1.0}
