"""The text of tokens as they come, and where it ends."""

from __future__ import annotations

from collections.abc import Sequence

from argand.serve.handlers.tokens import Tokenizer

_BROKEN = "\ufffd"  # of a character whose bytes have not all come


class TextStream:
    """The text of one sequence, token by token.

    `add` gives what is certain of it: a character only once all its bytes are there, and nothing
    that may be the beginning of a text of `stop`.
    """

    def __init__(self, tokenizer: Tokenizer | None, stop: Sequence[str]) -> None:
        self.tokenizer = tokenizer
        self.stop = stop
        self.stopped = False
        self._ids: list[int] = []
        self._prefix = 0  # ids from here on are decoded again, since they decide on spaces
        self._read = 0  # ids up to here have been told
        self._held = ""

    def add(self, token: int) -> str:
        """What a token adds; `stopped` says whether the text ended with it."""
        if self.tokenizer is None:
            return ""
        self._ids.append(token)
        before = self.tokenizer.decode(self._ids[self._prefix : self._read])
        now = self.tokenizer.decode(self._ids[self._prefix :])
        if len(now) <= len(before) or now.endswith(_BROKEN):
            return ""
        self._prefix, self._read = self._read, len(self._ids)
        return self._certain(self._held + now[len(before) :])

    def _certain(self, text: str) -> str:
        ends = [i for i in (text.find(s) for s in self.stop) if i >= 0]
        if ends:
            self.stopped, self._held = True, ""
            return text[: min(ends)]
        held = max((_overlap(text, s) for s in self.stop), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def finish(self) -> str:
        """What was held back."""
        if self.tokenizer is None or self.stopped:
            return ""
        before = self.tokenizer.decode(self._ids[self._prefix : self._read])
        now = self.tokenizer.decode(self._ids[self._prefix :])
        found, self._held = self._held + now[len(before) :], ""
        self._prefix = self._read = len(self._ids)
        return found


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of a text begin `stop`."""
    for count in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:count]):
            return count
    return 0


__all__ = ["TextStream"]
