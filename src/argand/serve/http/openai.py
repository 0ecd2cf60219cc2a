"""OpenAI's protocol for language models: completions, chats, and the list of models.

`GET /v1/models/{model}` is TensorFlow Serving's status too, which has the same path: one answer
carries the fields of both (`http/tensorflow.py`).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec

from argand.serve.engine import Model
from argand.serve.errors import ServeError, Status, invalid, not_found
from argand.serve.generation import (
    Answer,
    Generation,
    Generator,
    Piece,
    Sampling,
    begin,
    generator_of,
    is_language_model,
)
from argand.serve.generation.sampling import Drawn
from argand.serve.host import Host
from argand.serve.http.asking import seconds_of
from argand.serve.http.generating import (
    DONE,
    Fields,
    event,
    field,
    fields_of,
    pieces_of,
    sampling_of,
    with_errors,
)
from argand.serve.http.message import Request, Response, StreamResponse
from argand.serve.http.routes import Route
from argand.serve.version import ModelVersion

_MOST_PROMPTS = 64
_LOWEST = -9999.0  # stands for a log-probability of minus infinity, which JSON lacks
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_REFUSED = ("tools", "functions", "suffix", "audio", "modalities", "chat_template")


def errors(error: ServeError) -> Response:
    """`{"error": {"message", "type", "param", "code"}}`."""
    return Response(msgspec.json.encode(_shown(error)), status=error.status.http)


def _shown(error: ServeError) -> dict[str, Any]:
    status = error.status.http
    kind = "invalid_request_error" if status < 500 else "server_error"
    code = "model_not_found" if error.status is Status.NOT_FOUND else None
    return {
        "error": {
            "message": str(error),
            "type": _TYPES.get(status, kind),
            "param": None if code else error.field,  # OpenAI names none here
            "code": code,
        }
    }


def routes(host: Host) -> list[Route]:
    """Its paths, below `/v1`."""
    served = OpenAI(host)
    return [
        Route("GET", "/v1/models", served.models, "openai", errors, "read"),
        Route("POST", "/v1/completions", served.completions, "openai", errors, "open"),
        Route("POST", "/v1/chat/completions", served.chats, "openai", errors, "open"),
    ]


class _Asked(NamedTuple):
    """A request that was begun: who answers, and how the answers are told."""

    id: str
    model: str
    generator: Generator
    requests: list[Generation]
    sampling: Sampling
    is_chat: bool
    with_usage: bool

    @property
    def usage(self) -> dict[str, int]:
        """The tokens so far."""
        prompt = sum(len(r.prompt) for r in self.requests)
        made = sum(r.made for r in self.requests)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": made,
            "total_tokens": prompt + made,
        }

    def told(self, choices: list[Any], kind: str, **more: Any) -> dict[str, Any]:
        """A response, or a part of one."""
        return {
            "id": self.id,
            "object": kind,
            "created": int(time.time()),
            "model": self.model,
            "choices": choices,
            **more,
        }


class OpenAI:
    """Answers the protocol's requests."""

    def __init__(self, host: Host) -> None:
        self.host = host

    async def models(self, request: Request) -> Response:
        """The models that generate text."""
        engine = self.host.engine
        found = [described(model) for model in engine.models.values()]
        data = [model for model in found if model]
        return Response(msgspec.json.encode({"object": "list", "data": data}))

    async def completions(self, request: Request) -> Response:
        """Texts that go on from prompts."""
        fields = fields_of(request.body)
        version = self._version(request, fields)
        for name in _REFUSED:
            if fields.get(name):
                raise invalid(f"{name} is not supported", name)
        sampling = sampling_of(fields)
        count = field(fields, "n", int, 1)
        if field(fields, "best_of", int, count) != count:
            raise invalid("best_of is not supported, but for n", "best_of")
        prompts = _prompts(fields.get("prompt"))
        echo = field(fields, "echo", bool, False)
        asked = self._begin(request, version, fields, prompts, sampling, echo=echo, count=count)
        return await self._answered(asked, fields)

    async def chats(self, request: Request) -> Response:
        """Answers to conversations."""
        fields = fields_of(request.body)
        version = self._version(request, fields)
        generator = generator_of(version)
        wanted = field(fields, "response_format", dict, {}).get("type", "text")
        refused = [n for n in _REFUSED if fields.get(n)] + ["response_format"] * (wanted != "text")
        if refused:
            raise invalid(f"{refused[0]} is not supported", refused[0])
        top = None
        if field(fields, "logprobs", bool, False):
            top = field(fields, "top_logprobs", int, 0)
        layout = generator.layout
        own = {k: v for k, v in fields.items() if k != "logprobs"}
        if own.get("max_tokens") is None and own.get("max_completion_tokens") is None:
            own["max_tokens"] = layout.context
        sampling = sampling_of(own)
        stop = (*sampling.stop, *layout.stop_texts)
        sampling = replace(sampling, stop=stop, logprobs=top)
        prompt = generator.chat_prompt(_messages(fields.get("messages")))
        count = field(fields, "n", int, 1)
        try:
            asked = self._begin(
                request, version, fields, [prompt], sampling, chat=True, count=count
            )
        except ServeError as error:
            if error.field == "prompt":  # which a chat has in its messages
                error.field = "messages"
            raise
        return await self._answered(asked, fields)

    # -- asking --------------------------------------------------------------------------------

    def _version(self, request: Request, fields: Fields) -> ModelVersion:
        name = field(fields, "model", str)
        if name is None:
            raise invalid("model is missing", "model")
        self.host.access.check("model", name, request.header(b"authorization"))
        version = self.host.engine.find(name)
        request.version = version
        if not is_language_model(version):
            raise not_found(f"the model {name!r} generates no text", "model")
        return version

    def _begin(
        self,
        request: Request,
        version: ModelVersion,
        fields: Fields,
        prompts: Sequence[Any],
        sampling: Sampling,
        *,
        echo: bool = False,
        chat: bool = False,
        count: int = 1,
    ) -> _Asked:
        options = field(fields, "stream_options", dict, {})
        timeout = seconds_of(request)
        requests: list[Generation] = []
        try:
            for prompt in prompts:
                made = begin(
                    version,
                    prompt,
                    sampling=sampling,
                    count=count,
                    echo=echo,
                    priority=field(fields, "priority", int, 0),
                    timeout=timeout,
                )
                requests.append(made)
        except BaseException:
            for made in requests:
                made.cancel()
            raise
        return _Asked(
            ("chatcmpl-" if chat else "cmpl-") + secrets.token_hex(12),
            version.model,
            generator_of(version),
            requests,
            sampling,
            chat,
            options.get("include_usage") is True,
        )

    async def _answered(self, asked: _Asked, fields: Fields) -> Response:
        if field(fields, "stream", bool, False):
            return StreamResponse(with_errors(_streamed(asked), _shown))
        kind = "chat.completion" if asked.is_chat else "text_completion"
        choices = [_choice(asked, i, a) for i, a in enumerate(await _answers(asked))]
        return Response(msgspec.json.encode(asked.told(choices, kind, usage=asked.usage)))


def described(model: Model) -> dict[str, Any]:
    """A model that generates text, as OpenAI describes one; empty for any other."""
    if not model.available:
        return {}
    version = model.versions[model.available[-1]]
    if not is_language_model(version):
        return {}
    created = int(version.history[0][1])
    return {"id": model.name, "object": "model", "created": created, "owned_by": "argand"}


def _prompts(given: Any) -> list[Any]:
    """The prompts of a request: a text, token ids, or several of these."""
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list) or not given:
        raise invalid("prompt must be a string, a list of token ids, or a list of these", "prompt")
    found = [given] if all(type(x) is int for x in given) else given
    if len(found) > _MOST_PROMPTS:
        raise invalid(f"prompt has {len(found)} texts, up to {_MOST_PROMPTS} are taken", "prompt")
    if not all(isinstance(x, str | list) for x in found):
        raise invalid("prompt must be a string, a list of token ids, or a list of these", "prompt")
    return found


def _messages(given: Any) -> list[tuple[str, str]]:
    """Roles and texts."""
    if not isinstance(given, list) or not given:
        raise invalid("messages must be a list of messages", "messages")
    found = []
    for i, message in enumerate(given):
        where = f"messages[{i}]"
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise invalid(f"{where}: a message has a role and a content", "messages")
        content = message.get("content")
        if isinstance(content, list):
            if not all(isinstance(p, dict) and isinstance(p.get("text"), str) for p in content):
                raise invalid(f"{where}: only parts of text are supported", "messages")
            content = "".join(p["text"] for p in content)
        if not isinstance(content, str):
            raise invalid(f"{where}: content must be a string", "messages")
        found.append((message["role"], content))
    return found


# -- telling ---------------------------------------------------------------------------------------


async def _answers(asked: _Asked) -> list[Answer]:
    """All answers, those of the first prompt first."""
    count = asked.requests[0].count
    texts = [""] * (count * len(asked.requests))
    tokens: list[list[Drawn]] = [[] for _ in texts]
    finish = [""] * len(texts)
    async for which, piece in pieces_of(asked.requests):
        i = which * count + piece.number
        texts[i] += piece.text
        tokens[i] += piece.tokens
        finish[i] = piece.finish or ""
    return [Answer(i, texts[i], tuple(tokens[i]), finish[i]) for i in range(len(texts))]


def _choice(asked: _Asked, index: int, answer: Answer) -> dict[str, Any]:
    logprobs = _logprobs(asked, answer.tokens, 0) if asked.sampling.logprobs is not None else None
    found: dict[str, Any] = {
        "index": index,
        "finish_reason": answer.finish,
        "logprobs": logprobs,
    }
    if asked.is_chat:
        return found | {"message": {"role": "assistant", "content": answer.text, "refusal": None}}
    return found | {"text": answer.text}


def _logprobs(asked: _Asked, tokens: Sequence[Drawn], offset: int) -> dict[str, Any]:
    """Log-probabilities, as chats or completions have them; `offset` is the place of the text."""
    if asked.is_chat:
        content = [
            _token(asked, d.token, d.logprob)
            | {"top_logprobs": [_token(asked, t, p) for t, p in d.top]}
            for d in tokens
        ]
        return {"content": content, "refusal": None}
    texts = [asked.generator.text_of([d.token]) for d in tokens]
    offsets = [offset + sum(map(len, texts[:i])) for i in range(len(texts))]
    tops = [
        None
        if d.logprob is None
        else {asked.generator.text_of([t]): max(p, _LOWEST) for t, p in _most(d)}
        for d in tokens
    ]
    return {
        "tokens": texts,
        "token_logprobs": [None if d.logprob is None else max(d.logprob, _LOWEST) for d in tokens],
        "top_logprobs": tops,
        "text_offset": offsets,
    }


def _most(drawn: Drawn) -> list[tuple[int, float]]:
    """The most probable tokens, and the one that was drawn where it is none of them."""
    found = list(drawn.top)
    if drawn.logprob is not None and drawn.token not in dict(found):
        found.append((drawn.token, drawn.logprob))
    return found


def _token(asked: _Asked, token: int, logprob: float | None) -> dict[str, Any]:
    text = asked.generator.text_of([token])
    shown = _LOWEST if logprob is None else max(logprob, _LOWEST)
    return {"token": text, "logprob": shown, "bytes": list(text.encode())}


async def _streamed(asked: _Asked) -> AsyncGenerator[bytes, None]:
    """The events of an answer that is told as it is made."""
    kind = "chat.completion.chunk" if asked.is_chat else "text_completion"
    more: dict[str, Any] = {"usage": None} if asked.with_usage else {}
    count = asked.requests[0].count
    if asked.is_chat:
        for i in range(count):
            delta = {"role": "assistant", "content": "", "refusal": None}
            choice = {"index": i, "delta": delta, "logprobs": None, "finish_reason": None}
            yield event(asked.told([choice], kind, **more))
    offsets = [0] * (count * len(asked.requests))
    async with aclosing(pieces_of(asked.requests)) as pieces:
        async for which, piece in pieces:
            i = which * count + piece.number
            if piece.text or piece.finish or asked.sampling.logprobs is not None:
                yield event(asked.told([_part(asked, i, piece, offsets)], kind, **more))
    if asked.with_usage:
        yield event(asked.told([], kind, usage=asked.usage))
    yield DONE


def _part(asked: _Asked, index: int, piece: Piece, offsets: list[int]) -> dict[str, Any]:
    """The choice of a chunk."""
    logprobs = None
    if asked.sampling.logprobs is not None and piece.tokens:
        logprobs = _logprobs(asked, piece.tokens, offsets[index])
        offsets[index] += sum(len(asked.generator.text_of([d.token])) for d in piece.tokens)
    found: dict[str, Any] = {
        "index": index,
        "finish_reason": piece.finish,
        "logprobs": logprobs,
    }
    if asked.is_chat:
        return found | {"delta": {"content": piece.text} if piece.text else {}}
    return found | {"text": piece.text}


__all__ = ["OpenAI", "described", "errors", "routes"]
