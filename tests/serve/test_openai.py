"""OpenAI's routes and v2's `generate`, asked by the standard library and by OpenAI's own client."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served import classifier, exported, put
from texts import GPT, LETTERS, plain_loop, small_model
from web import asked

pytest.importorskip("httptools")

from argand.serve import ModelOptions, Server, generation
from argand.serve.generation import Sampling

CONTEXT = 64
PROMPT = "the cat "


@pytest.fixture(scope="module")
def model() -> GPT:
    return small_model(CONTEXT)


@pytest.fixture(scope="module")
def server(model: GPT, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("models")
    roles = {"user": "U: {content}\n", "assistant": "A: {content}\n", "prompt": "A:"}
    program = generation.export(
        model, context=CONTEXT, page=4, chunk=8, vocabulary=LETTERS, roles=roles, stop_texts=["U"]
    )
    put(program, root, "letters", 1)
    put(exported(classifier()), root, "digits", 1)
    options = ModelOptions(generation=generation.GenerationOptions(max_rows=4, max_waiting=4))
    with Server(root, port=0, models={"letters": options}) as started:
        yield started


def expected(model: GPT, prompt: str, **how: Any) -> str:
    """The text that follows, by a plain loop."""
    tokens = [LETTERS.index(c) for c in prompt]
    found = plain_loop(model, tokens, Sampling(**how), CONTEXT)
    return "".join(LETTERS[t] for t in found)


def events(body: bytes) -> list[Any]:
    """The events of a stream, without its end."""
    parts = body.decode().split("\n\n")
    assert parts[-2:] == ["data: [DONE]", ""]
    return [json.loads(p.removeprefix("data: ")) for p in parts[:-2]]


def test_a_completion_is_what_the_model_says(server: Server, model: GPT) -> None:
    how = {"max_tokens": 12, "seed": 3, "temperature": 0.9}
    text = expected(model, PROMPT, **how)
    body = {"model": "letters", "prompt": PROMPT, **how}
    answer = asked(server, "POST", "/v1/completions", body)
    assert answer.status == 200
    found = answer.json
    assert found["object"] == "text_completion"
    assert found["choices"] == [
        {"index": 0, "text": text, "finish_reason": "length", "logprobs": None}
    ]
    assert found["usage"] == {"prompt_tokens": 8, "completion_tokens": 12, "total_tokens": 20}
    tokens = [LETTERS.index(c) for c in PROMPT]
    for prompt in (tokens, [PROMPT, PROMPT]):
        several = asked(server, "POST", "/v1/completions", body | {"prompt": prompt}).json
        assert {c["text"] for c in several["choices"]} == {text}

    streamed = asked(server, "POST", "/v1/completions", body | {"stream": True})
    assert streamed.headers["content-type"] == "text/event-stream"
    told = events(streamed.body)
    assert "".join(e["choices"][0]["text"] for e in told) == text
    assert len(told) > 10
    assert told[-1]["choices"][0]["finish_reason"] == "length"


def test_log_probabilities_and_echo(server: Server) -> None:
    body = {"model": "letters", "prompt": PROMPT, "max_tokens": 3, "seed": 1, "logprobs": 2}
    found = asked(server, "POST", "/v1/completions", body | {"echo": True, "n": 2}).json
    for choice in found["choices"]:
        logprobs = choice["logprobs"]
        assert "".join(logprobs["tokens"]) == choice["text"]
        assert choice["text"].startswith(PROMPT)
        assert logprobs["token_logprobs"][0] is None
        assert all(p < 0 for p in logprobs["token_logprobs"][1:])
        for token, top in zip(logprobs["tokens"][1:], logprobs["top_logprobs"][1:], strict=True):
            assert token in top and len(top) in (2, 3)  # the drawn one besides the best
        assert logprobs["text_offset"] == list(range(11))
    told = events(asked(server, "POST", "/v1/completions", body | {"stream": True}).body)
    parts = [e["choices"][0]["logprobs"] for e in told]
    assert [p["text_offset"] for p in parts if p] == [[0], [1], [2]]


def test_a_chat_is_told_by_roles_and_ends_at_the_next_one(server: Server, model: GPT) -> None:
    how = {"max_tokens": 9, "seed": 2}
    text = expected(model, "U: who\nA:", **how)
    cut = text.partition("U")[0]
    body = {"model": "letters", "messages": [{"role": "user", "content": "who"}], **how}
    found = asked(server, "POST", "/v1/chat/completions", body).json
    assert found["object"] == "chat.completion"
    (choice,) = found["choices"]
    assert choice["message"] == {"role": "assistant", "content": cut, "refusal": None}
    stream = {"stream": True, "stream_options": {"include_usage": True}}
    told = events(asked(server, "POST", "/v1/chat/completions", body | stream).body)
    assert told[0]["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    parts = [e["choices"][0]["delta"].get("content", "") for e in told[:-1]]
    assert "".join(parts) == cut
    assert told[-1]["choices"] == []
    assert told[-1]["usage"] == found["usage"]
    parted = [{"role": "user", "content": [{"type": "text", "text": "who"}]}]
    more = {"messages": parted, "logprobs": True, "top_logprobs": 1}
    (choice,) = asked(server, "POST", "/v1/chat/completions", body | more).json["choices"]
    assert choice["message"]["content"] == cut
    assert len(choice["logprobs"]["content"][0]["top_logprobs"]) == 1


def test_v2_generates_whole_and_in_events(server: Server, model: GPT) -> None:
    parameters = {"max_tokens": 7, "temperature": 0}
    text = expected(model, PROMPT, **parameters)
    body = {"text_input": PROMPT, "parameters": parameters}
    found = asked(server, "POST", "/v2/models/letters/versions/1/generate", body).json
    assert (found["model_name"], found["model_version"]) == ("letters", "1")
    assert (found["text_output"], found["finish_reason"]) == (text, "length")
    flat = {"text_input": PROMPT, **parameters}
    streamed = asked(server, "POST", "/v2/models/letters/generate_stream", flat).body.decode()
    told = [json.loads(p.removeprefix("data: ")) for p in streamed.split("\n\n")[:-1]]
    assert "".join(e["text_output"] for e in told) == text
    assert told[-1]["finish_reason"] == "length"


def test_texts_by_v2s_infer_and_torchserves_predictions(server: Server, model: GPT) -> None:
    how = {"max_tokens": 7, "seed": 5, "temperature": 0.7}
    text = expected(model, PROMPT, **how)
    given = {"name": "text_input", "shape": [1], "datatype": "BYTES", "data": [PROMPT]}
    path = "/v2/models/letters"
    found = asked(server, "POST", path + "/infer", {"inputs": [given], "parameters": how}).json
    assert found["outputs"] == [
        {"name": "text_output", "datatype": "BYTES", "shape": [1], "data": [text]}
    ]
    assert found["parameters"] == {"finish_reason": "length"}
    described = asked(server, "GET", path).json
    assert [x["name"] for x in described["inputs"]] == [
        "text_input", "stream", "sampling_parameters"
    ]  # fmt: skip
    config = asked(server, "GET", path + "/config").json
    assert config["model_transaction_policy"] == {"decoupled": True}
    for body, field in (
        ({"inputs": []}, "text_input"),
        ({"inputs": [given | {"name": "text"}]}, "text"),
        ({"inputs": [given], "outputs": [{"name": "text"}]}, "text"),
        ({"inputs": [given], "parameters": {"max_tokens": "x"}}, "max_tokens"),
    ):
        wrong = asked(server, "POST", path + "/infer", body)
        assert (wrong.status, wrong.headers["x-error-field"]) == (400, field)
    whole = asked(server, "POST", "/predictions/letters", PROMPT.encode())
    assert whole.status == 200 and whole.headers["content-type"].startswith("text/plain")
    for name in ("prompt", "data"):
        fields = {name: PROMPT, "max_new_tokens": 7, "seed": 5, "temperature": 0.7}
        told = asked(
            server, "POST", "/predictions/letters", fields, content_type="application/json"
        )
        assert told.body.decode() == text
    for data in (b"\xff", b""):
        wrong = asked(server, "POST", "/predictions/letters", data)
        assert (wrong.status, wrong.headers["x-error-field"]) == (400, "prompt")


def test_prometheus_is_told_of_pages_and_tokens(server: Server) -> None:
    body = {"model": "letters", "prompt": PROMPT, "max_tokens": 1}
    assert asked(server, "POST", "/v1/completions", body).status == 200
    lines = server.call(server.metrics.text)[0].decode().splitlines()
    told = dict(line.rsplit(" ", 1) for line in lines if line.startswith("argand_generation"))
    assert float(told['argand_generation_tokens{model="letters",version="1"}']) >= 8
    assert told['argand_generation_pages_used{model="letters",version="1"}'] == "0.0"


def test_models_that_generate_are_listed_beside_tensorflows_paths(server: Server) -> None:
    found = asked(server, "GET", "/v1/models").json
    assert [m["id"] for m in found["data"]] == ["letters"]
    status = asked(server, "GET", "/v1/models/letters").json
    assert status["model_version_status"][0]["state"] == "AVAILABLE"
    assert {name: status[name] for name in found["data"][0]} == found["data"][0]
    assert list(asked(server, "GET", "/v1/models/digits").json) == ["model_version_status"]


def test_a_client_that_goes_leaves_nothing_running(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = server.engine.find("letters")
    scheduler = server.call(lambda: generation.generator_of(version)).scheduler
    step, before, end = scheduler._step, scheduler.steps, time.monotonic() + 20

    async def held() -> None:
        """A step; after two of them only once nobody wants the answers, or it would be too late."""
        while scheduler.steps - before >= 2 and time.monotonic() < end:
            if all(s.ended for s in scheduler.running):
                break
            await asyncio.sleep(0.001)
        await step()

    monkeypatch.setattr(scheduler, "_step", held)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    body = {"model": "letters", "prompt": PROMPT, "max_tokens": 50, "stream": True, "n": 4}
    connection.request("POST", "/v1/completions", json.dumps(body | {"seed": 1}))
    connection.getresponse().read(10)
    connection.sock.close()
    connection.close()
    server.call(scheduler.finished)
    assert scheduler.steps - before < 10  # of more than 50
    facts = server.call(lambda: generation.generator_of(version).facts)
    assert (facts["running"], facts["waiting"], facts["pages_used"]) == (0, 0, 0)


CHAT = {"messages": [{"role": "user", "content": "a"}]}


@pytest.mark.parametrize(
    ("path", "change", "status", "param"),
    [
        ("completions", {"model": "latters"}, 404, None),
        ("completions", {"model": "digits"}, 404, None),
        ("completions", {"model": None}, 400, "model"),
        ("completions", {"prompt": None}, 400, "prompt"),
        ("completions", {"prompt": {"a": 1}}, 400, "prompt"),
        ("completions", {"prompt": ["a", 1]}, 400, "prompt"),
        ("completions", {"prompt": "a" * CONTEXT}, 400, "prompt"),
        ("completions", {"prompt": "\N{SNOWMAN}"}, 400, "prompt"),
        ("completions", {"prompt": ["a"] * 65}, 400, "prompt"),
        ("completions", {"max_tokens": "3"}, 400, "max_tokens"),
        ("completions", {"temperature": -2}, 400, "temperature"),
        ("completions", {"top_p": 0}, 400, "top_p"),
        ("completions", {"n": 0}, 400, "n"),
        ("completions", {"n": 5000}, 400, "n"),
        ("completions", {"best_of": 3}, 400, "best_of"),
        ("completions", {"stop": [1]}, 400, "stop"),
        ("completions", {"logprobs": True}, 400, "logprobs"),
        ("completions", {"logit_bias": {"x": 1}}, 400, "logit_bias"),
        ("completions", {"logit_bias": {"999": 1}}, 400, "logit_bias"),
        ("completions", {"suffix": "b"}, 400, "suffix"),
        ("chat/completions", {"messages": []}, 400, "messages"),
        ("chat/completions", CHAT | {"messages": ["a"]}, 400, "messages"),
        ("chat/completions", {"messages": [{"role": "system", "content": "a"}]}, 400, "messages"),
        ("chat/completions", CHAT | {"tools": [1]}, 400, "tools"),
        ("chat/completions", CHAT | {"chat_template": "{{ 1 }}"}, 400, "chat_template"),
        (
            "chat/completions",
            {"messages": [{"role": "user", "content": "\u2603"}]},
            400,
            "messages",
        ),
        ("chat/completions", CHAT | {"response_format": {"type": "json"}}, 400, "response_format"),
    ],
)
def test_what_does_not_fit_is_told_in_openais_way(
    server: Server, path: str, change: dict[str, Any], status: int, param: str | None
) -> None:
    body = {"model": "letters", "prompt": "a", "max_tokens": 2} | change
    answer = asked(server, "POST", f"/v1/{path}", body)
    assert (answer.status, answer.json["error"]["param"]) == (status, param), answer.json
    assert set(answer.json["error"]) == {"message", "type", "param", "code"}


def test_bodies_that_are_no_json_and_full_queues(server: Server) -> None:
    for body in (b"", b"{", b"[]", b"\xff", b"[" * 100_000):
        answer = asked(server, "POST", "/v1/completions", body)
        assert (answer.status, answer.json["error"]["param"]) == (400, "body")
    many = {"model": "letters", "prompt": ["a"] * 20, "max_tokens": 40}
    answer = asked(server, "POST", "/v1/completions", many)
    assert (answer.status, answer.json["error"]["type"]) == (429, "rate_limit_error")


def test_openais_own_client(server: Server, model: GPT) -> None:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    text = expected(model, PROMPT, max_tokens=9, temperature=0)
    given = {"model": "letters", "max_tokens": 9, "temperature": 0}
    found = client.completions.create(prompt=PROMPT, **given)
    assert found.choices[0].text == text
    stream = client.completions.create(prompt=PROMPT, stream=True, **given)
    assert "".join(part.choices[0].text for part in stream) == text
    chat = [{"role": "user", "content": "who"}]
    whole = client.chat.completions.create(messages=chat, logprobs=True, top_logprobs=2, **given)
    stream = client.chat.completions.create(messages=chat, stream=True, **given)
    said = "".join(part.choices[0].delta.content or "" for part in stream)
    assert said == whole.choices[0].message.content
    assert len(whole.choices[0].logprobs.content[0].top_logprobs) == 2
    assert [m.id for m in client.models.list()] == ["letters"]
    with pytest.raises(openai.NotFoundError, match="latters"):
        client.completions.create(model="latters", prompt="a")
    with pytest.raises(openai.BadRequestError, match="top_p"):
        client.completions.create(model="letters", prompt="a", top_p=3)


def test_a_model_with_a_token_wants_it_of_those_who_name_it_in_the_body(
    model: GPT, tmp_path: Path
) -> None:
    put(generation.export(model, context=CONTEXT, vocabulary=LETTERS), tmp_path, "letters", 1)
    body = {"model": "letters", "prompt": "a", "max_tokens": 1}
    with Server(tmp_path, port=0, tokens={"letters": "secret"}) as server:
        answer = asked(server, "POST", "/v1/completions", body)
        assert (answer.status, answer.json["error"]["type"]) == (401, "authentication_error")
        given = {"authorization": "Bearer secret"}
        assert asked(server, "POST", "/v1/completions", body, **given).status == 200
