"""Requests for text, and the sequences that answer them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import NamedTuple

import numpy as np

from argand.serve.generation.sampling import Drawn, Sampling, draw, uniform
from argand.serve.generation.text import TextStream


class Piece(NamedTuple):
    """What one step added to one of the answers; `finish` ("stop" or "length") stands in its last
    piece, `prompt` says that it repeats the prompt."""

    number: int
    text: str
    tokens: tuple[Drawn, ...] = ()
    finish: str | None = None
    prompt: bool = False


class Answer(NamedTuple):
    """A whole answer."""

    number: int
    text: str
    tokens: tuple[Drawn, ...]
    finish: str


class TokenSequence:
    """One answer as it grows: the tokens, those whose keys are in pages, and the pages.

    Tokens from `prompt` on were generated. Where a sequence lost its pages, they are computed
    again as they were before: the prompt in chunks, then token by token; so it has the same bits.
    """

    def __init__(self, request: Generation, index: int, text: TextStream) -> None:
        self.request = request
        self.index = index
        self.tokens = list(request.prompt)
        self.prompt = len(self.tokens)
        self.computed = 0
        self.pages: list[int] = []
        self.text = text
        self.finish: str | None = None
        self.heard: list[Drawn] = []  # of the prompt, where it is told with log-probabilities
        self.told_prompt = not request.echo

    @property
    def urgency(self) -> tuple[int, int, int]:
        """The smallest first."""
        return self.request.priority, self.request.number, self.index

    @property
    def ended(self) -> bool:
        """Whether nothing more is to be computed for it."""
        return self.finish is not None or self.request.ended

    def digest(self, count: int) -> bytes:
        """Stands for the first tokens."""
        return hashlib.sha256(np.array(self.tokens[:count], np.int64).tobytes()).digest()

    def advance(self, logits: np.ndarray, most: int, stop: Sequence[int]) -> None:
        """Draw the next token; `most` is the length that no sequence exceeds."""
        self.tell_prompt()
        how = self.request.sampling
        made = len(self.tokens) - self.prompt
        if made >= how.max_tokens:  # a request for none
            self._end("length")
            return
        u = uniform(self.request.seed, self.index, made)
        drawn = draw(logits, self.tokens, self.prompt, how, u)
        if drawn.token in how.stop_tokens or (drawn.token in stop and not how.ignore_stop):
            self._end("stop")
            return
        self.tokens.append(drawn.token)
        text = self.text.add(drawn.token)
        self.request.tell(Piece(self.index, text, (drawn,)))
        if self.text.stopped:
            self._end("stop")
        elif made + 1 >= how.max_tokens or len(self.tokens) >= most:
            self._end("length")

    def tell_prompt(self) -> None:
        """Repeat the prompt, where the request wants that."""
        if not self.told_prompt:
            self.told_prompt = True
            heard = self.heard or [Drawn(t) for t in self.tokens[: self.prompt]]
            self.request.tell(Piece(self.index, self.request.text, tuple(heard), prompt=True))

    def _end(self, why: str) -> None:
        self.finish = why
        self.request.tell(Piece(self.index, self.text.finish(), (), why))


class Generation:
    """A request for one or several answers to a prompt; iterate over it for the pieces as they
    come, or await `answers`.

    Args:
        number: of the request; earlier ones come first at equal priority.
        prompt: the tokens.
        text: of the prompt.
        sampling: how tokens are drawn.
        seed: of the draws.
        count: how many answers.
        echo: whether the answers begin with the prompt.
        priority: lower ones are computed first.
        deadline: a time of the loop.
    """

    def __init__(
        self,
        number: int,
        prompt: Sequence[int],
        text: str,
        sampling: Sampling,
        seed: int,
        *,
        count: int = 1,
        echo: bool = False,
        priority: int = 0,
        deadline: float | None = None,
    ) -> None:
        self.number = number
        self.prompt = list(prompt)
        self.text = text
        self.sampling = sampling
        self.seed = seed
        self.count = count
        self.echo = echo
        self.priority = priority
        self.deadline = deadline
        self.made = 0  # tokens, of all answers
        self.left = count
        self.ended = False
        self.on_end: Callable[[], None] = _nothing
        self._pieces: asyncio.Queue[Piece | BaseException | None] = asyncio.Queue()

    @property
    def hears_prompt(self) -> bool:
        """Whether the log-probabilities of the prompt are wanted."""
        return self.echo and self.sampling.logprobs is not None

    def tell(self, piece: Piece) -> None:
        """Hand a piece out."""
        if self.ended:
            return
        self.made += 0 if piece.prompt else len(piece.tokens)
        self._pieces.put_nowait(piece)
        if piece.finish is not None:
            self.left -= 1
            if not self.left:
                self._close(None)

    def fail(self, error: BaseException) -> None:
        """End it with an error."""
        if not self.ended:
            self._close(error)

    def cancel(self) -> None:
        """End it: nobody wants the rest. Its pages are free with the next step."""
        if not self.ended:
            self._close(None)

    def _close(self, last: BaseException | None) -> None:
        self.ended = True
        self._pieces.put_nowait(last)
        self.on_end()

    async def __aiter__(self) -> AsyncGenerator[Piece, None]:
        """The pieces of all answers as they come; leaving the loop cancels the rest."""
        try:
            while True:
                piece = await self._pieces.get()
                if piece is None:
                    return
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
        finally:
            self.cancel()

    async def answers(self) -> list[Answer]:
        """All answers, once they are whole; ServeError where they can't be."""
        texts = [""] * self.count
        tokens: list[list[Drawn]] = [[] for _ in range(self.count)]
        finish = [""] * self.count
        async for piece in self:
            texts[piece.number] += piece.text
            tokens[piece.number] += piece.tokens
            finish[piece.number] = piece.finish or ""
        return [Answer(i, texts[i], tuple(tokens[i]), finish[i]) for i in range(self.count)]


def _nothing() -> None:
    """Nobody waits for the end."""


__all__ = ["Answer", "Generation", "Piece", "TokenSequence"]
