"""What users of OpenAI's client ask: `openai_uses.py HTTP GRPC FOLDER`."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Any

import openai
from attempts import attempt

PROMPT = "the cat "
ASKED: dict[str, Any] = {"model": "letters", "prompt": PROMPT, "max_tokens": 6, "seed": 3}
CHAT: dict[str, Any] = {
    "model": "letters", "messages": [{"role": "user", "content": "the cat"}], "seed": 3,
    "max_completion_tokens": 6,
}  # fmt: skip


class Uses:
    """Calls of the client."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = openai.OpenAI(base_url=url + "/v1", api_key="none", max_retries=0)
        self.parts = (
            self.models, self.completions, self.several, self.logprobs, self.stops, self.chats,
            self.errors, self.asynchronous,
        )  # fmt: skip

    def refused(self, call: Any, kind: Any, param: str | None, *words: str) -> None:
        try:
            call()
        except kind as error:
            assert error.param == param, (error.param, error.body)
            for word in words:
                assert word in error.message, error.message
            return
        raise AssertionError(f"not refused: {param} {words}")

    def models(self) -> None:
        (model,) = self.client.models.list().data
        assert (model.id, model.object, model.owned_by) == ("letters", "model", "argand")
        assert self.client.models.retrieve("letters").id == "letters"
        assert self.client.models.retrieve("letters").created == model.created > 1.6e9
        for name in ("latters",):
            try:
                self.client.models.retrieve(name)
                raise AssertionError(name)
            except openai.NotFoundError as error:
                assert error.status_code == 404

    def completions(self) -> None:
        create = self.client.completions.create
        found = create(**ASKED)
        assert found.object == "text_completion" and found.model == "letters"
        assert found.id.startswith("cmpl-") and found.created > 1.6e9
        (choice,) = found.choices
        assert choice.index == 0 and choice.finish_reason == "length" and choice.logprobs is None
        assert len(choice.text) == 6
        assert found.usage.prompt_tokens == len(PROMPT)
        assert found.usage.completion_tokens == 6
        assert found.usage.total_tokens == len(PROMPT) + 6
        pieces = list(create(**ASKED, stream=True))
        assert "".join(p.choices[0].text for p in pieces) == choice.text
        assert pieces[-1].choices[0].finish_reason == "length" and pieces[0].usage is None
        pieces = list(create(**ASKED, stream=True, stream_options={"include_usage": True}))
        assert pieces[-1].choices == [] and pieces[-1].usage == found.usage
        assert all(p.usage is None for p in pieces[:-1])
        assert {p.id for p in pieces} == {pieces[0].id}

    def several(self) -> None:
        create = self.client.completions.create
        found = create(**ASKED, n=3).choices
        assert [c.index for c in found] == [0, 1, 2] and len({c.text for c in found}) == 3
        found = create(**{**ASKED, "prompt": ["a", "b"]}, n=2).choices
        assert [c.index for c in found] == [0, 1, 2, 3]
        texts = [""] * 4
        for piece in create(**{**ASKED, "prompt": ["a", "b"]}, n=2, stream=True):
            for c in piece.choices:
                texts[c.index] += c.text
        assert texts == [c.text for c in found]
        ids = create(**{**ASKED, "prompt": [5, 6, 7]}).choices
        assert create(**{**ASKED, "prompt": [[5, 6, 7]]}).choices == ids

    def logprobs(self) -> None:
        create = self.client.completions.create
        found = create(**ASKED, logprobs=2, temperature=0).choices[0]
        told = found.logprobs
        assert "".join(told.tokens) == found.text and len(told.token_logprobs) == 6
        assert all(len(t) == 2 for t in told.top_logprobs)
        assert told.text_offset[0] == len(PROMPT) or told.text_offset[0] == 0, told.text_offset
        echoed = create(**ASKED, echo=True, logprobs=0).choices[0]
        assert echoed.text.startswith(PROMPT) and echoed.logprobs.token_logprobs[0] is None
        scored = create(**{**ASKED, "max_tokens": 0}, echo=True, logprobs=1).choices[0]
        assert scored.text == PROMPT and len(scored.logprobs.tokens) == len(PROMPT)
        assert create(**ASKED, echo=True).choices[0].text.startswith(PROMPT)

    def stops(self) -> None:
        create = self.client.completions.create
        whole = create(**{**ASKED, "max_tokens": 30}).choices[0].text
        stop = whole[7]
        found = create(**{**ASKED, "max_tokens": 30}, stop=stop).choices[0]
        assert found.finish_reason == "stop" and found.text == whole[: whole.index(stop)]
        found = create(**{**ASKED, "max_tokens": 30}, stop=[stop, "#"]).choices[0]
        assert found.finish_reason == "stop"
        create(
            **ASKED,
            temperature=0,
            top_p=0.5,
            presence_penalty=1,
            frequency_penalty=-1,
            user="me",
            best_of=1,
            logit_bias={"3": 5},
        )

    def chats(self) -> None:
        create = self.client.chat.completions.create
        found = create(**CHAT)
        assert found.object == "chat.completion" and found.id.startswith("chatcmpl-")
        (choice,) = found.choices
        assert choice.message.role == "assistant" and choice.message.refusal is None
        assert choice.finish_reason in ("length", "stop")
        pieces = list(create(**CHAT, stream=True))
        assert pieces[0].choices[0].delta.role == "assistant"
        text = "".join(p.choices[0].delta.content or "" for p in pieces)
        assert text == choice.message.content
        assert pieces[-1].choices[0].finish_reason == choice.finish_reason
        pieces = list(create(**CHAT, stream=True, stream_options={"include_usage": True}))
        assert pieces[-1].usage == found.usage
        told = create(**CHAT, logprobs=True, top_logprobs=3).choices[0].logprobs.content
        assert told and len(told[0].top_logprobs) == 3 and told[0].bytes
        parts = {"role": "user", "content": [{"type": "text", "text": "the cat"}]}
        assert create(**{**CHAT, "messages": [parts]}).choices[0].message == choice.message
        create(
            **{
                **CHAT,
                "messages": [
                    {"role": "user", "content": "a"},
                    {"role": "assistant", "content": "b"},
                    {"role": "user", "content": "c"},
                ],
            }
        )
        create(**CHAT, response_format={"type": "text"}, n=2, store=False, metadata={})
        with self.client.chat.completions.stream(**CHAT) as stream:
            events = list(stream)
        assert "".join(e.delta for e in events if e.type == "content.delta") == text

    def errors(self) -> None:
        create, chat = self.client.completions.create, self.client.chat.completions.create
        bad, none = openai.BadRequestError, openai.NotFoundError
        self.refused(lambda: create(**{**ASKED, "model": "latters"}), none, None, "letters")
        self.refused(lambda: create(**{**ASKED, "model": "digits"}), none, None, "digits")
        for change in (
            {"max_tokens": -1},
            {"temperature": -1},
            {"top_p": 2},
            {"n": 0},
            {"n": 10**9},
            {"logprobs": 100},
            {"prompt": ""},
            {"prompt": "x" * 100},
            {"stop": 5},
            {"echo": 1},
            {"stream": "yes"},
            {"seed": "a"},
            {"seed": 1.5},
            {"stream_options": 3},
            {"logit_bias": {"a": 1}},
            {"suffix": "x"},
            {"best_of": 5},
            {"priority": "a"},
            {"prompt": [10**6]},
            {"prompt": [-1]},
            {"prompt": [10**30]},
        ):
            (name,) = change
            self.refused(lambda change=change: create(**{**ASKED, "extra_body": change}), bad, name)
        self.refused(lambda: chat(**{**CHAT, "messages": []}), bad, "messages")
        self.refused(lambda: chat(**CHAT, tools=[{"type": "function"}]), bad, "tools")
        self.refused(
            lambda: chat(**{**CHAT, "messages": [{"role": "nobody", "content": "a"}]}),
            bad,
            "messages",
        )
        self.refused(
            lambda: chat(**CHAT, response_format={"type": "json_object"}), bad, "response_format"
        )
        try:
            self.client.embeddings.create(model="letters", input="a")
        except openai.NotFoundError as error:
            assert isinstance(error.body, dict) and error.body["type"], error.body
        with contextlib.suppress(openai.APITimeoutError):
            self.client.with_options(timeout=0.0001).completions.create(**ASKED)

    def asynchronous(self) -> None:
        async def many() -> None:
            async with openai.AsyncOpenAI(base_url=self.url + "/v1", api_key="x") as client:
                one = await client.completions.create(**ASKED)
                found = await asyncio.gather(
                    *(client.completions.create(**ASKED) for _ in range(8))
                )
                assert all(f.choices == one.choices for f in found)
                stream = await client.chat.completions.create(**CHAT, stream=True)
                async for _ in stream:
                    break
                await stream.close()

        asyncio.run(many())


def main(http: str, address: str, folder: str) -> None:
    """Ask a server."""
    attempt((part.__name__, part) for part in Uses("http://" + http).parts)


if __name__ == "__main__":
    main(*sys.argv[1:])
