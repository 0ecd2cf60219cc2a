"""Continuous batching: what waits, what is computed, and the steps that all share."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from argand.serve.errors import ServeError, Status
from argand.serve.execution import Executor, InProcess
from argand.serve.generation.layout import LEAST, Layout
from argand.serve.generation.pages import Pool
from argand.serve.generation.sampling import with_logprobs
from argand.serve.generation.sequences import TokenSequence
from argand.serve.signature import ServedSignature


class Scheduler:
    """Computes sequences step by step. A step is a chunk of one prompt, and one token of every
    sequence whose prompt is done; new requests join at the next step.

    What is computed for a sequence depends on its own tokens alone: prompts are cut into chunks
    from their beginning, and sequences whose tables have one length are decoded together. So an
    answer has the same bits whatever else is computed. Where the pool has no page left, the
    sequence that is least urgent gives its own back and is computed again later.

    It lives on one event loop; calls of the model that are long run on a thread.
    """

    def __init__(
        self,
        layout: Layout,
        prefill: ServedSignature,
        decode: ServedSignature,
        pool: Pool,
        *,
        max_rows: int,
        executor: Executor | None = None,
    ) -> None:
        self.layout = layout
        self.prefill = prefill
        self.decode = decode
        self.pool = pool
        self.max_rows = max_rows
        self.waiting: list[TokenSequence] = []
        self.running: list[TokenSequence] = []
        self.preempted = 0
        self.steps = 0
        self.tokens = 0
        self._ends: deque[float] = deque(maxlen=32)  # when the last ones ended
        self._executor = executor or InProcess()
        self._task: asyncio.Task[None] | None = None

    def add(self, sequences: Iterable[TokenSequence]) -> None:
        """Compute these, from the next step on."""
        self.waiting += sequences
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def finished(self) -> None:
        """Return when nothing is to be computed."""
        if self._task is not None:
            await self._task

    def close(self) -> None:
        """Let go of the thread."""
        self._executor.close()

    def expected_wait(self) -> float:
        """The seconds in which those that wait should have begun, as fast as others ended last."""
        if not self._ends:
            return 0.0
        seconds = asyncio.get_running_loop().time() - self._ends[0]
        return len(self.waiting) * seconds / len(self._ends)

    # -- steps ---------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            self._drop()
            self._admit()
            if not self.running:
                return
            await self._step()
            self.steps += 1
            await asyncio.sleep(0)

    async def _step(self) -> None:
        self.running.sort(key=_urgency)
        started = next((s for s in self.running if s.computed < s.prompt), None)
        if started is not None:
            await self._guarded([started], self._prefilled(started))
        ready = [s for s in self.running if s.computed >= s.prompt and not s.ended]
        groups: dict[int, list[TokenSequence]] = defaultdict(list)
        for sequence in ready:
            if sequence in self.running and self._reserve(sequence, 1):
                groups[self.layout.table_size(sequence.computed)].append(sequence)
        for size, group in groups.items():
            members = [s for s in group if s in self.running]  # the others gave their pages back
            if members:
                await self._guarded(members, self._decoded(members, size))

    async def _guarded(self, members: Sequence[TokenSequence], work: Any) -> None:
        """Let a failure end the requests that it is about, and no other."""
        try:
            await work
        except Exception as error:
            for sequence in members:
                sequence.request.fail(error)

    def _drop(self) -> None:
        """Give back the pages of what has ended; end what is too late."""
        now = asyncio.get_running_loop().time()
        for sequence in (*self.running, *self.waiting):
            deadline = sequence.request.deadline
            if deadline is not None and deadline < now:
                sequence.request.fail(
                    ServeError(
                        Status.DEADLINE_EXCEEDED,
                        f"the deadline passed after {sequence.request.made} new tokens",
                    )
                )
        for sequence in self.running:
            if sequence.ended:
                self._free(sequence)
                self._ends.append(now)
        self.running = [s for s in self.running if not s.ended]
        self.waiting = [s for s in self.waiting if not s.ended]

    def _admit(self) -> None:
        """Begin what waits, the most urgent first, as far as there is room."""
        self.waiting.sort(key=_urgency)
        while self.waiting:
            first = self.waiting[0]
            if self._has_room(first):
                self.running.append(self.waiting.pop(0))
                continue
            last = max(self.running, key=_urgency)
            if last.request.priority <= first.request.priority:
                return
            self._preempt(last)
            self.waiting.sort(key=_urgency)

    def _has_room(self, sequence: TokenSequence) -> bool:
        if not self.running:
            return True
        needed = self.layout.pages_for(len(sequence.tokens) + 1)
        promised = sum(
            max(self.layout.pages_for(len(s.tokens) + 1) - len(s.pages), 0) for s in self.running
        )
        there = self.pool.free + self.pool.stored - promised
        return len(self.running) < self.max_rows and needed <= there

    # -- pages ---------------------------------------------------------------------------------

    def _reserve(self, sequence: TokenSequence, count: int) -> bool:
        """Give a sequence pages for so many more tokens, if need be those of less urgent ones;
        False where it had to give its own back."""
        while True:
            needed = self.layout.pages_for(sequence.computed + count) - len(sequence.pages)
            if needed <= 0:
                return True
            pages = self.pool.take(needed)
            if pages is not None:
                sequence.pages += pages
                return True
            last = max(self.running, key=_urgency)
            self._preempt(last)
            if last is sequence:
                return False

    def _preempt(self, sequence: TokenSequence) -> None:
        self.preempted += 1
        self._free(sequence)
        self.running.remove(sequence)
        self.waiting.append(sequence)

    def _free(self, sequence: TokenSequence) -> None:
        self.pool.release(sequence.pages)
        sequence.pages, sequence.computed = [], 0

    def _adopt(self, sequence: TokenSequence) -> None:
        """Take the whole chunks at the beginning of a prompt that are stored already."""
        chunk = self.layout.chunk
        while sequence.computed + chunk < sequence.prompt:
            pages = self.pool.find(sequence.digest(sequence.computed + chunk))
            if pages is None:
                return
            sequence.pages += pages
            sequence.computed += chunk

    def _table(self, sequences: Sequence[TokenSequence], size: int) -> np.ndarray:
        found = np.zeros((len(sequences), size), np.int64)
        for row, sequence in zip(found, sequences, strict=True):
            pages = sequence.pages[:size]
            row[: len(pages)] = pages
        return found

    # -- calls ---------------------------------------------------------------------------------

    async def _prefilled(self, sequence: TokenSequence) -> None:
        """Compute the next chunk of a prompt."""
        layout, request = self.layout, sequence.request
        if not sequence.computed and not request.hears_prompt:
            self._adopt(sequence)
        start = sequence.computed
        count = min(layout.chunk, sequence.prompt - start)
        if not self._reserve(sequence, count):
            return
        tokens = np.zeros((1, max(count, LEAST)), np.int64)
        tokens[0, :count] = sequence.tokens[start : start + count]
        wanted = list(range(count)) if request.hears_prompt else [count - 1]
        wanted = (wanted * LEAST)[: max(len(wanted), LEAST)]
        table = self._table([sequence], layout.table_size(start))
        logits, keys, values = await self._call(
            self.prefill, [tokens, np.array([start]), table, np.array(wanted)]
        )
        if sequence.ended:
            return
        self.pool.write(sequence.pages, start, keys[:, 0, :count], values[:, 0, :count])
        sequence.computed += count
        self.tokens += count
        if count == layout.chunk:
            first = layout.pages_for(start)
            self.pool.keep(
                sequence.digest(sequence.computed),
                sequence.pages[first : first + layout.pages_for(count)],
            )
        if request.hears_prompt and not sequence.told_prompt:
            self._hear(sequence, start, logits[:count])
        if sequence.computed == len(sequence.tokens):
            sequence.advance(logits[count - 1 if request.hears_prompt else 0], *self._limits)

    def _hear(self, sequence: TokenSequence, start: int, logits: np.ndarray) -> None:
        """Note the log-probabilities of the prompt's tokens."""
        top = sequence.request.sampling.logprobs or 0
        if not start:
            sequence.heard = [
                with_logprobs(logits[0], sequence.tokens[0], 0)._replace(logprob=None)
            ]
        following = sequence.tokens[start + 1 : min(start + 1 + len(logits), sequence.prompt)]
        for row, token in zip(logits, following, strict=False):
            sequence.heard.append(with_logprobs(row, token, top))

    async def _decoded(self, group: Sequence[TokenSequence], size: int) -> None:
        """Compute one token of each of some sequences whose tables have one length."""
        rows = [*group] + [group[0]] * max(LEAST - len(group), 0)
        tokens = np.array([[s.tokens[s.computed]] for s in rows], np.int64)
        start = np.array([s.computed for s in rows], np.int64)
        logits, keys, values = await self._call(
            self.decode, [tokens, start, self._table(rows, size)]
        )
        count = len(group)
        last = np.array([s.pages[s.computed // self.layout.page] for s in group])
        self.pool.put(last, start[:count], keys[:, :count, 0], values[:, :count, 0])
        self.tokens += count
        for i, sequence in enumerate(group):
            sequence.computed += 1
            if sequence.ended:
                continue
            if sequence.computed == len(sequence.tokens):
                try:
                    sequence.advance(logits[i], *self._limits)
                except ServeError as error:
                    sequence.request.fail(error)

    @property
    def _limits(self) -> tuple[int, tuple[int, ...]]:
        return self.layout.context, self.layout.stop

    async def _call(self, signature: ServedSignature, arrays: list[Any]) -> list[Any]:
        """The outputs of a call on the pool."""
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()

        def done(found: list[Any] | BaseException) -> None:
            if future.done():  # the server ended meanwhile
                return
            if isinstance(found, BaseException):
                future.set_exception(found)
            else:
                future.set_result(found)

        self._executor.start(signature, [*arrays, self.pool.keys, self.pool.values], done)
        return await future


def _urgency(sequence: TokenSequence) -> tuple[int, int, int]:
    return sequence.urgency


__all__ = ["Scheduler"]
