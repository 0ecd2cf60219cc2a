"""A language model that is served: requests in, answers out."""

from __future__ import annotations

import asyncio
import functools
import secrets
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from argand.base.errors import ArgandError
from argand.serve.errors import ServeError, Status, invalid
from argand.serve.generation.layout import CARD, DECODE, LEAST, PREFILL, Layout, layout_of
from argand.serve.generation.pages import Pool
from argand.serve.generation.sampling import Sampling
from argand.serve.generation.scheduler import Scheduler
from argand.serve.generation.sequences import Generation, TokenSequence
from argand.serve.generation.text import TextStream
from argand.serve.handlers.tokens import Tokenizer, tokenizer_of
from argand.serve.options import GenerationOptions
from argand.serve.signature import ServedSignature
from argand.serve.version import ModelVersion

_MOST_ANSWERS = 16


class Generator:
    """Generates text with the signatures of a language model's archive.

    Args:
        signatures: by name; `prefill` and `decode` are used.
        card: the model card.
        asset: gives the contents of an asset.
        options: see `GenerationOptions`.

    Raises ArgumentError where the card or the tokenizer is wrong.
    """

    def __init__(
        self,
        signatures: Mapping[str, ServedSignature],
        card: Mapping[str, Any],
        asset: Callable[[str], bytes | None],
        options: GenerationOptions | None = None,
    ) -> None:
        layout = layout_of(card)
        if layout is None or not {PREFILL, DECODE} <= set(signatures):
            raise ServeError(
                Status.FAILED_PRECONDITION,
                "the model generates no text; ag.serve.generation.export makes one that does",
            )
        self.options = options or GenerationOptions()
        self.tokenizer: Tokenizer | None = None
        if layout.tokenizer is not None:
            data = asset(layout.tokenizer)
            self.tokenizer = tokenizer_of(layout.type, layout.tokenizer, data, layout.unknown)
        decode = signatures[DECODE]
        pool = _pool(layout, decode, self.options)
        layout = replace(layout, context=min(layout.context, pool.count * layout.page))
        self.layout = layout
        shape = decode.outputs[0].shape
        self.vocabulary = shape[-1] if shape and isinstance(shape[-1], int) else 1 << 62
        self.scheduler = Scheduler(
            layout, signatures[PREFILL], decode, pool, max_rows=self.options.max_rows
        )
        self._number = 0

    # -- requests ------------------------------------------------------------------------------

    def submit(
        self,
        prompt: str | Sequence[int],
        sampling: Sampling | None = None,
        *,
        count: int = 1,
        echo: bool = False,
        priority: int = 0,
        timeout: float | None = None,
        on_end: Callable[[], None] | None = None,
    ) -> Generation:
        """Begin to answer a prompt.

        Raises ServeError: INVALID_ARGUMENT for a prompt that doesn't fit, RESOURCE_EXHAUSTED where
        too many wait.

        Args:
            prompt: a text, or token ids.
            sampling: how tokens are drawn.
            count: how many answers.
            echo: whether the answers begin with the prompt.
            priority: lower ones are computed first.
            timeout: the seconds after which the answer is of no use.
            on_end: is called when nothing more will come.
        """
        sampling = sampling or Sampling()
        if not 1 <= count <= _MOST_ANSWERS:
            raise invalid(f"n must be from 1 to {_MOST_ANSWERS}, got {count}", "n")
        tokens = self.tokens_of(prompt)
        if sampling.stop and self.tokenizer is None:
            raise invalid("stop: the model has no tokenizer, so texts can't be found", "stop")
        waiting = len(self.scheduler.waiting)
        if waiting and waiting + count > self.options.max_waiting:
            raise ServeError(
                Status.RESOURCE_EXHAUSTED,
                f"{waiting} sequences wait already; try again later",
                retry_after=self.scheduler.expected_wait(),
            )
        self._number += 1
        made = Generation(
            self._number,
            tokens,
            prompt if isinstance(prompt, str) else self.text_of(tokens),
            sampling,
            secrets.randbits(63) if sampling.seed is None else sampling.seed,
            count=count,
            echo=echo,
            priority=priority,
            deadline=None if timeout is None else asyncio.get_running_loop().time() + timeout,
        )
        if on_end is not None:
            made.on_end = on_end
        self.scheduler.add(
            TokenSequence(made, i, TextStream(self.tokenizer, sampling.stop)) for i in range(count)
        )
        return made

    def tokens_of(self, prompt: str | Sequence[int]) -> list[int]:
        """The tokens of a prompt, which must leave room for an answer."""
        if isinstance(prompt, str):
            tokens = [*self.layout.start, *self._encoded(prompt)]
        else:
            tokens = list(prompt)
        if not tokens:
            raise invalid("the prompt is empty", "prompt")
        if len(tokens) >= self.layout.context:
            raise invalid(
                f"the prompt has {len(tokens)} tokens, the model takes {self.layout.context}, the "
                "answer included",
                "prompt",
            )
        if not all(type(t) is int and 0 <= t < self.vocabulary for t in tokens):
            raise invalid(f"the prompt's tokens must be from 0 to {self.vocabulary - 1}", "prompt")
        return tokens

    def _encoded(self, text: str) -> list[int]:
        if self.tokenizer is None:
            raise invalid("the model has no tokenizer: give the prompt as token ids", "prompt")
        try:
            return self.tokenizer.encode(text)
        except ArgandError as error:
            raise invalid(f"the prompt: {error}", "prompt") from None

    def text_of(self, tokens: Sequence[int]) -> str:
        """The text of tokens; nothing without a tokenizer."""
        return "" if self.tokenizer is None else self.tokenizer.decode(list(tokens))

    def chat_prompt(self, messages: Sequence[tuple[str, str]]) -> str:
        """The prompt of a chat: roles and contents, as the card puts them together."""
        roles = self.layout.roles
        parts = []
        for role, content in messages:
            if role not in roles or role == "prompt":
                known = ", ".join(r for r in roles if r != "prompt")
                raise invalid(f"messages: no role {role!r:.40}; there are {known}", "messages")
            parts.append(roles[role].replace("{content}", content))
        return "".join(parts) + roles.get("prompt", "")

    # -- its life ------------------------------------------------------------------------------

    @property
    def facts(self) -> dict[str, int]:
        """What is going on, by the names of `FACTS`."""
        scheduler, pool = self.scheduler, self.scheduler.pool
        return {
            "running": len(scheduler.running),
            "waiting": len(scheduler.waiting),
            "pages": pool.count,
            "pages_used": pool.used,
            "pages_stored": pool.stored,
            "steps": scheduler.steps,
            "tokens": scheduler.tokens,
            "preempted": scheduler.preempted,
        }

    def close(self) -> None:
        """End all requests, and let go of the thread."""
        error = ServeError(Status.UNAVAILABLE, "the model is being unloaded")
        for sequence in (*self.scheduler.running, *self.scheduler.waiting):
            sequence.request.fail(error)
        self.scheduler.close()


FACTS = {
    "running": "Sequences that are computed.",
    "waiting": "Sequences that wait.",
    "pages": "Pages of the pool of keys and values.",
    "pages_used": "Pages that sequences hold.",
    "pages_stored": "Pages that are kept for prompts that begin alike.",
    "steps": "Steps since the first request.",
    "tokens": "Tokens since the first request, those of prompts included.",
    "preempted": "Times that a sequence gave its pages back.",
}


def facts_of(version: ModelVersion) -> dict[str, int]:
    """The facts of a version's generator; none where nobody has asked for text yet."""
    found = _generators.get(version)
    return {} if found is None else found.facts


_generators: weakref.WeakKeyDictionary[ModelVersion, Generator] = weakref.WeakKeyDictionary()


def generator_of(version: ModelVersion) -> Generator:
    """The generator of a version, made when it is first asked for and closed with the version.

    Raises ServeError (FAILED_PRECONDITION) where the model generates no text.
    """
    found = _generators.get(version)
    if found is None:
        if version.program is None:
            raise version.gone()
        options = version.options.generation
        try:
            found = Generator(version.signatures, version.metadata, version.asset, options)
        except ArgandError as error:
            if isinstance(error, ServeError):
                raise
            message = f"{version.model}: its card can't be followed: {error}"
            raise ServeError(Status.FAILED_PRECONDITION, message) from None
        _generators[version] = found
        version.on_close.append(functools.partial(_end, version))
    return found


def _end(version: ModelVersion) -> None:
    _generators.pop(version).close()


def is_language_model(version: ModelVersion) -> bool:
    """Whether a version generates text."""
    return CARD in version.metadata


def begin(
    version: ModelVersion,
    prompt: str | Sequence[int],
    *,
    timeout: float | None = None,
    **options: Any,
) -> Generation:
    """`Generator.submit` of a version, which doesn't end before the answers do. Without a `timeout`
    the one of the version's options holds."""
    seconds = version.seconds_for(timeout)
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    made = generator_of(version).submit(
        prompt, timeout=seconds, on_end=lambda: ended.set_result(None), **options
    )
    version.track(ended)
    return made


def _pool(layout: Layout, decode: ServedSignature, options: GenerationOptions) -> Pool:
    """A pool as the signature takes it; FAILED_PRECONDITION where the card lies."""
    keys = decode.by_name.get("keys")
    expected = (layout.layers, layout.page, layout.heads, layout.width)
    shape = () if keys is None else keys.shape or ()
    if keys is None or keys.dtype is None or (*shape[:1], *shape[2:]) != expected:
        raise ServeError(
            Status.FAILED_PRECONDITION,
            f"card.generation says {expected} of layers, page, heads and width, and the signature "
            f"{DECODE} takes {keys}",
        )
    dtype = keys.dtype.numpy
    page = 2 * layout.layers * layout.page * layout.heads * layout.width * dtype.itemsize
    count = min(options.memory // page, options.max_rows * layout.pages_for(layout.context))
    if count < LEAST:
        raise ServeError(
            Status.FAILED_PRECONDITION,
            f"a page of keys and values has {page:,} bytes, and GenerationOptions.memory is "
            f"{options.memory:,}",
        )
    return Pool(layout, count, dtype)


__all__ = ["FACTS", "Generator", "begin", "facts_of", "generator_of", "is_language_model"]
