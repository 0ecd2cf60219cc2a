"""The next token from its logits: a function of the logits, the tokens before and the request."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from argand.serve.errors import invalid

MOST_LOGPROBS = 20
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn, and when a text ends.

    Args:
        max_tokens: the most new tokens.
        temperature: logits are divided by it; 0 takes the most probable token.
        top_k: only the k most probable tokens; 0 for all.
        top_p: only the fewest tokens whose probabilities add up to p.
        min_p: only tokens with at least this part of the largest probability.
        repetition_penalty: logits of tokens that came before, the prompt included, are divided by
            it where positive and multiplied where negative (Keskar et al., 2019).
        presence_penalty: is taken off the logits of tokens that were generated.
        frequency_penalty: is taken off as many times as they were.
        logit_bias: is added, by token.
        seed: the same seed gives the same text, whatever else the server computes.
        stop: texts that end the answer; they are not part of it.
        stop_tokens: tokens that do, besides those of the model.
        logprobs: for each token its log-probability, and that of so many of the most probable;
            None for none.
        ignore_stop: go on at the stop tokens of the model.
    """

    max_tokens: int = 16
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None
    stop: tuple[str, ...] = ()
    stop_tokens: tuple[int, ...] = ()
    logprobs: int | None = None
    ignore_stop: bool = False

    def __post_init__(self) -> None:
        _hold(self.max_tokens >= 0, "max_tokens", "0 or more", self.max_tokens)
        _hold(0 <= self.temperature < math.inf, "temperature", "0 or more", self.temperature)
        _hold(self.top_k >= 0, "top_k", "0 or more", self.top_k)
        _hold(0 < self.top_p <= 1, "top_p", "above 0 and up to 1", self.top_p)
        _hold(0 <= self.min_p <= 1, "min_p", "from 0 to 1", self.min_p)
        fits = 0 < self.repetition_penalty < math.inf
        _hold(fits, "repetition_penalty", "above 0", self.repetition_penalty)
        for name in ("presence_penalty", "frequency_penalty"):
            value = getattr(self, name)
            _hold(-2 <= value <= 2, name, "from -2 to 2", value)
        _hold(all(map(math.isfinite, self.logit_bias.values())), "logit_bias", "finite", "inf")
        _hold(len(self.stop) <= 16 and all(self.stop), "stop", "up to 16 texts", list(self.stop))
        wanted = self.logprobs is None or 0 <= self.logprobs <= MOST_LOGPROBS
        _hold(wanted, "logprobs", f"from 0 to {MOST_LOGPROBS}", self.logprobs)


def _hold(fits: bool, name: str, rule: str, value: object) -> None:
    if not fits:
        raise invalid(f"{name} must be {rule}, got {value!r:.60}", name)


class Drawn(NamedTuple):
    """A token; its log-probability and the most probable tokens with theirs, where asked for."""

    token: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


def uniform(seed: int, sequence: int, number: int) -> float:
    """A number from 0 to 1 that depends on the seed, the answer and its place alone: 53 bits of
    BLAKE2b of the three."""
    data = struct.pack("<QQQ", seed & _MASK, sequence, number)
    bits = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
    return (bits >> 11) * 2.0**-53


def draw(logits: np.ndarray, before: Sequence[int], prompt: int, how: Sampling, u: float) -> Drawn:
    """The next token.

    Args:
        logits: (vocabulary).
        before: the tokens of the prompt, `prompt` of them, and those that were generated.
        how: the request's.
        u: from 0 to 1.
    """
    row = logits.astype(np.float64)
    token = _drawn(_adjusted(row.copy(), before, prompt, how), how, u)
    if how.logprobs is None:
        return Drawn(token)
    return with_logprobs(row, token, how.logprobs)


def with_logprobs(row: np.ndarray, token: int, count: int) -> Drawn:
    """A token with log-probabilities by the model, before anything was taken off."""
    shifted = row.astype(np.float64) - row.max()
    logs = shifted - math.log(np.exp(shifted).sum())
    best = np.argsort(-logs, kind="stable")[:count]
    return Drawn(token, float(logs[token]), tuple((int(i), float(logs[i])) for i in best))


def _adjusted(row: np.ndarray, before: Sequence[int], prompt: int, how: Sampling) -> np.ndarray:
    if how.repetition_penalty != 1:
        seen = np.unique(np.asarray(before, np.int64))
        factor = how.repetition_penalty
        row[seen] = np.where(row[seen] > 0, row[seen] / factor, row[seen] * factor)
    if how.presence_penalty or how.frequency_penalty:
        made, counts = np.unique(np.asarray(before[prompt:], np.int64), return_counts=True)
        row[made] -= how.presence_penalty + how.frequency_penalty * counts
    for token, bias in how.logit_bias.items():
        if not 0 <= token < len(row):
            raise invalid(f"logit_bias: there is no token {token}", "logit_bias")
        row[token] += bias
    return row


def _drawn(row: np.ndarray, how: Sampling, u: float) -> int:
    if how.temperature == 0 or how.top_k == 1:
        return int(row.argmax())
    shares = np.exp((row - row.max()) / max(how.temperature, 1e-6))
    shares /= shares.sum()
    kept = _kept(shares, how)
    sums = np.cumsum(shares[kept])
    return int(kept[min(np.searchsorted(sums, u * sums[-1], side="right"), len(kept) - 1)])


def _kept(shares: np.ndarray, how: Sampling) -> np.ndarray:
    """The tokens that may be drawn; equal probabilities in the order of their numbers."""
    if not how.top_k and how.top_p == 1 and how.min_p == 0:
        return np.flatnonzero(shares)
    least = 0.0
    if 0 < how.top_k < len(shares):
        least = np.partition(shares, len(shares) - how.top_k)[len(shares) - how.top_k]
    elif not how.top_k:  # all that are below add up to less than what top_p leaves out
        least = (1 - how.top_p) / len(shares)
    likely = np.flatnonzero(shares >= least)
    order = likely[np.argsort(-shares[likely], kind="stable")]
    if how.top_k:
        order = order[: how.top_k]
    if how.top_p < 1:
        sums = np.cumsum(shares[order]) / shares[order].sum()
        order = order[: int(np.searchsorted(sums, how.top_p)) + 1]
    return np.asarray(order[shares[order] >= how.min_p * shares[order[0]]])


__all__ = ["MOST_LOGPROBS", "Drawn", "Sampling", "draw", "uniform", "with_logprobs"]
