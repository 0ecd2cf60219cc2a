"""Language models over gRPC: a stream of pieces, and a whole text."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from rpc import Stub, serving
from served import put, run
from texts import GPT, LETTERS, plain_loop, small_model

from argand.serve import generation
from argand.serve.generation import Sampling
from argand_client.datatypes import from_bytes, to_bytes
from argand_client.definitions import messages

V2 = "inference.GRPCInferenceService"
PROMPT = "the cat "


@pytest.fixture(scope="module")
def model() -> GPT:
    return small_model(64)


@pytest.fixture(scope="module")
def root(model: GPT, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model `letters`."""
    root = tmp_path_factory.mktemp("models")
    put(
        generation.export(model, context=64, page=4, chunk=8, vocabulary=LETTERS),
        root,
        "letters",
        1,
    )
    return root


def request(prompt: str | None, number: str = "", **how: Any) -> Any:
    """A request for a text."""
    made = messages()("inference.ModelInferRequest")(model_name="letters", id=number)
    for name, text in (("text_input", prompt), ("sampling_parameters", json.dumps(how))):
        if text is not None:
            made.inputs.add(name=name, datatype="BYTES", shape=[1])
            made.raw_input_contents.append(to_bytes(np.array([text], object)))
    return made


def text_of(answer: Any) -> str:
    """The text in an answer."""
    return str(from_bytes(answer.raw_output_contents[0], "BYTES", [1])[0].decode())


def expected(model: GPT, prompt: str, **how: Any) -> str:
    """The text that follows, by a plain loop."""
    found = plain_loop(model, [LETTERS.index(c) for c in prompt], Sampling(**how), 64)
    return "".join(LETTERS[t] for t in found)


def test_a_stream_gives_pieces_and_a_call_the_whole(root: Path, model: GPT) -> None:
    how = {"max_tokens": 9, "seed": 3}

    async def ask() -> None:
        async with serving(root) as (_, channel):
            stub = Stub(channel, V2)
            requests = [
                request(PROMPT, "a", **how),
                request(None, "b"),
                request("a dog", "c", **how),
            ]
            pieces: dict[str, list[Any]] = {"a": [], "b": [], "c": []}
            async for answer in stub.ModelStreamInfer(iter(requests)):
                pieces[answer.infer_response.id].append(answer)
            assert [p.error_message for p in pieces["b"]] == ["text_input is missing"]
            for number, prompt in (("a", PROMPT), ("c", "a dog")):
                found = [p.infer_response for p in pieces[number]]
                assert len(found) > 3
                assert "".join(map(text_of, found)) == expected(model, prompt, **how)
                final = [p.parameters["triton_final_response"].bool_param for p in found]
                assert final == [False] * (len(found) - 1) + [True]
            whole = await stub.ModelInfer(request(PROMPT, "d", **how))
            assert text_of(whole) == expected(model, PROMPT, **how)
            assert whole.parameters["finish_reason"].string_param == "length"
            named = {"name": "letters"}
            found = await stub.ModelMetadata(messages()("inference.ModelMetadataRequest")(**named))
            assert [x.name for x in found.outputs] == ["text_output"]
            found = await stub.ModelConfig(messages()("inference.ModelConfigRequest")(**named))
            assert found.config.model_transaction_policy.decoupled

    run(ask())


def test_an_answer_without_outputs_ends_a_text_where_it_is_asked_for(
    root: Path, model: GPT
) -> None:
    how = {"max_tokens": 5, "seed": 3}

    async def ask() -> None:
        async with serving(root) as (_, channel):
            asks = request(PROMPT, "a", **how)
            asks.parameters["triton_enable_empty_final_response"].bool_param = True
            answers = Stub(channel, V2).ModelStreamInfer(iter([asks]))
            found = [answer.infer_response async for answer in answers]
            final = [p.parameters["triton_final_response"].bool_param for p in found]
            assert final == [False] * (len(found) - 1) + [True]
            assert not found[-1].outputs and not found[-1].raw_output_contents
            assert "".join(map(text_of, found[:-1])) == expected(model, PROMPT, **how)

    run(ask())


def test_a_client_that_leaves_a_stream_leaves_nothing_running(root: Path) -> None:
    async def ask() -> None:
        async with serving(root) as (server, channel):
            version = server.engine.find("letters")
            requests = [request(PROMPT, max_tokens=50, ignore_stop=True) for _ in range(6)]
            stream = Stub(channel, V2).ModelStreamInfer(iter(requests))
            await stream.read()
            assert version.in_flight
            stream.cancel()
            for _ in range(500):
                if not version.in_flight:
                    return
                await asyncio.sleep(0.01)
            raise AssertionError(f"{version.in_flight} texts are still computed")

    run(ask())


@pytest.mark.parametrize(
    ("how", "field"), [({"temperature": "x"}, "temperature"), ({"max_tokens": -1}, "max_tokens")]
)
def test_what_does_not_fit_is_refused(root: Path, how: Any, field: str) -> None:
    async def ask() -> None:
        async with serving(root) as (_, channel):
            with pytest.raises(grpc.aio.AioRpcError, match=field) as caught:
                await Stub(channel, V2).ModelInfer(request(PROMPT, **how))
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    run(ask())
