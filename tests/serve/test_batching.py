"""Batches: deadlines, delays, priorities, bounds, requests that fail, and the bits of rows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from served import exported, inputs, run

import argand as ag
from argand import nn
from argand.serve import BatchOptions, ModelOptions, ModelVersion, ServeError, Status
from argand.serve.batching import Batch, Batcher
from argand.serve.errors import HungError
from argand.serve.execution import Executor, InProcess, Told
from argand.serve.signature import ServedSignature
from argand.serve.trials import Trials


class ByHand(Executor):
    """Computes nothing until the test says what a call gives."""

    def __init__(self, room: int = 1) -> None:
        self.room = room
        self.calls: list[tuple[Sequence[Any], Told]] = []

    def start(
        self, signature: ServedSignature, arrays: Sequence[Any], done: Told, askers: Any = ()
    ) -> None:
        self.calls.append((arrays, done))

    def answer(self, found: Any = None) -> int:
        """End the first call; its number of rows."""
        arrays, done = self.calls.pop(0)
        done([arrays[0] * 2] if found is None else found)
        return len(arrays[0])

    def close(self) -> None: ...


class Place:
    """A batcher of a signature (rows, 6) to (rows, 6)."""

    def __init__(self, executor: Executor, **options: Any) -> None:
        rows = ag.Dim("rows")
        program = ag.export.export(lambda x: x * 2, (ag.ones(2, 6),), dynamic_shapes=({0: rows},))
        self.signature = ServedSignature(program.default)
        self.batches: list[Batch] = []
        self.batcher = Batcher(
            self.signature, BatchOptions(**options), executor, self.batches.append
        )

    def ask(self, rows: int = 1, value: float = 1.0, **how: Any) -> asyncio.Future[Any]:
        """Submit rows of a value."""
        name = self.signature.inputs[0].name
        checked = self.signature.check({name: np.full((rows, 6), value, np.float32)})
        return self.batcher.submit(checked, **how)


async def turns() -> None:
    """Let the loop do what is to be done soon."""
    for _ in range(3):
        await asyncio.sleep(0)


def test_a_request_that_comes_alone_is_computed_at_once() -> None:
    async def ask() -> None:
        place = Place(InProcess())
        place.signature.run([np.ones((1, 6), np.float32)])  # compiles
        await place.ask()  # on a thread, which shows that it is short
        await turns()
        future = place.ask(value=3.0, at_once=True)
        assert future.done() and future.result()[0][0, 0] == 6.0
        await turns()
        assert [b.rows for b in place.batches] == [1, 1]

        hand = ByHand()
        place = Place(hand)
        first = place.ask(at_once=True)
        others = [place.ask(at_once=True) for _ in range(3)]  # while the first is computed
        assert len(hand.calls) == 1 and not first.done()
        hand.answer()
        await asyncio.sleep(0)
        assert first.done() and hand.answer() == 3
        await asyncio.gather(*others)

        place.ask()
        place.ask(at_once=True)  # beside one that waits for the end of the turn
        assert not hand.calls
        await turns()
        assert hand.answer() == 2

        slow = Place(hand, max_delay=0.01)
        slow.ask(at_once=True)
        await turns()
        assert not hand.calls

    run(ask())


def test_a_client_hears_at_its_deadline_whatever_its_request_waits_for() -> None:
    async def ask() -> None:
        executor = ByHand()
        place = Place(executor)
        soon = asyncio.get_running_loop().time() + 0.02
        computed = place.ask(deadline=soon)
        await turns()
        waiting, other = place.ask(deadline=soon), place.ask()
        for future in (computed, waiting):
            with pytest.raises(ServeError, match="deadline passed") as caught:
                await asyncio.wait_for(future, 5)
            assert caught.value.status is Status.DEADLINE_EXCEEDED
        assert place.batcher.queued_rows == 1
        with pytest.raises(ServeError, match="deadline passed"):
            place.ask(deadline=soon)
        executor.answer()
        await turns()
        assert executor.answer() == 1
        assert (await other)[0].tolist() == [[2.0] * 6]

    run(ask())


def test_a_full_batch_does_not_wait_for_the_delay() -> None:
    async def ask() -> None:
        executor = ByHand()
        place = Place(executor, max_rows=4, max_delay=60.0)
        futures = [place.ask() for _ in range(3)]
        await turns()
        assert executor.calls == []
        futures.append(place.ask())
        await turns()
        assert executor.answer() == 4
        await asyncio.gather(*futures)

    run(ask())


def test_a_delay_ends_with_fewer_rows() -> None:
    async def ask() -> None:
        executor = ByHand()
        place = Place(executor, max_rows=4, max_delay=0.01)
        _ = [place.ask(), place.ask()]
        await asyncio.sleep(0.05)
        assert executor.answer() == 2

    run(ask())


def test_clients_that_have_gone_are_not_computed_and_leave_their_place() -> None:
    async def ask() -> None:
        executor = ByHand()
        place = Place(executor, max_queued_rows=3)
        first = place.ask()
        await turns()
        waiting = [place.ask(value=v) for v in (1.0, 2.0, 3.0)]
        waiting[1].cancel()
        late = place.ask(value=4.0)  # in the place of the one that has gone
        with pytest.raises(ServeError) as caught:
            place.ask()
        assert caught.value.status is Status.RESOURCE_EXHAUSTED
        assert caught.value.retry_after is not None
        executor.answer()
        await turns()
        assert executor.calls[0][0][0][:, 0].tolist() == [1.0, 3.0, 4.0]
        executor.answer()
        await asyncio.gather(first, waiting[0], waiting[2], late)

    run(ask())


def test_urgent_requests_come_first_and_the_others_before_long() -> None:
    async def ask() -> None:
        executor = ByHand()
        place = Place(executor, max_rows=1)
        place.ask()
        await turns()
        low, usual = place.ask(value=3, priority=1), place.ask(value=2)
        urgent = place.ask(value=1, priority=-1)
        order = []
        for _ in range(4):
            order.append(float(executor.calls[0][0][0][0, 0]))
            executor.answer()
            await turns()
        assert order == [1.0, 1.0, 2.0, 3.0]
        await asyncio.gather(low, usual, urgent)
        place.ask()
        await turns()
        patient = place.ask(value=9, priority=1)
        await asyncio.sleep(0.15)  # longer than a priority is worth
        place.ask(value=8)
        executor.answer()
        await turns()
        assert executor.calls[0][0][0][0, 0] == 9.0
        executor.answer()
        await patient

    run(ask())


def test_of_a_batch_that_fails_only_the_guilty_request_fails() -> None:
    async def ask() -> None:
        executor = ByHand()
        place = Place(executor)
        first = place.ask()
        await turns()
        futures = [place.ask(value=v) for v in (1.0, 2.0, 3.0)]
        executor.answer()
        await turns()
        executor.answer(IndexError("index 9 is out of range"))
        for v in (1.0, 2.0, 3.0):
            await turns()
            executor.answer(IndexError("index 9 is out of range") if v == 2.0 else None)
        await first
        good = await asyncio.gather(futures[0], futures[2])
        assert [g[0][0, 0] for g in good] == [2.0, 6.0]
        with pytest.raises(ServeError, match="out of range") as caught:
            await futures[1]
        assert caught.value.status is Status.INVALID_ARGUMENT
        await turns()  # batches are told of once the answers are sent
        assert [b.failed for b in place.batches] == [False, True, False, True, False]

    run(ask())


def test_a_call_that_hung_is_computed_once_more_for_those_who_still_wait() -> None:
    async def ask() -> None:
        executor = ByHand()
        place = Place(executor)
        soon = asyncio.get_running_loop().time() + 0.01
        first, late = place.ask(), place.ask(deadline=soon)
        await turns()
        hung = HungError(Status.INTERNAL, "it took too long")
        with pytest.raises(ServeError, match="deadline"):
            await late
        executor.answer(hung)
        await turns()
        assert len(executor.calls) == 1
        second = place.ask()
        executor.answer(hung)
        await turns()
        assert first.done()
        with pytest.raises(ServeError, match="too long, twice") as caught:
            await first
        assert caught.value.status is Status.INTERNAL
        executor.answer()
        await second
        assert not executor.calls

    run(ask())


def test_an_index_out_of_range_fails_alone_in_a_model() -> None:
    model = nn.Embedding(10, 3).eval()
    program = ag.export.export(
        model, (ag.zeros(2, 4, dtype=ag.int64),), dynamic_shapes=({0: ag.Dim("rows")},)
    )

    async def ask() -> list[Any]:
        version = ModelVersion("words", 1, None, ModelOptions(), program)
        version.read()
        version.warm()
        version.open(InProcess(), lambda batch: None)
        name = version.signature().inputs[0].name
        given = [np.full((1, 4), v, np.int64) for v in (1, 99, 2)]
        futures = [version.submit(version.signature(), {name: g}) for g in given]
        found = await asyncio.gather(*futures, return_exceptions=True)
        version.retire()
        await version.close()
        return found

    good, bad, other = run(ask())
    assert good[0].shape == other[0].shape == (1, 4, 3)
    assert isinstance(bad, ServeError)
    assert bad.status is Status.INVALID_ARGUMENT


def test_a_larger_request_goes_alone_and_one_without_rows_is_not_computed() -> None:
    async def ask() -> None:
        executor = ByHand()
        place = Place(executor, max_rows=4)
        first = place.ask()
        await turns()
        large, small = place.ask(rows=9), place.ask()
        assert [o.shape for o in await place.ask(rows=0)] == [(0, 6)]
        for rows in (1, 9, 1):
            assert executor.answer() == rows
            await turns()
        await asyncio.gather(first, large, small)

    run(ask())


def test_requests_of_other_lengths_are_batched_apart() -> None:
    program = ag.export.export(
        lambda x: x * 2,
        (ag.ones(2, 6),),
        dynamic_shapes=({0: ag.Dim("rows"), 1: ag.Dim("length")},),
    )

    async def ask() -> list[list[int]]:
        executor = ByHand()
        signature = ServedSignature(program.default)
        batcher = Batcher(signature, BatchOptions(), executor)
        name = signature.inputs[0].name
        given = [np.ones((1, n), np.float32) for n in (9, 5, 7, 5, 7, 5)]
        futures = [batcher.submit(signature.check({name: g})) for g in given]
        shapes = []
        while not all(f.done() for f in futures):
            await turns()
            shapes.append(list(executor.calls[0][0][0].shape))
            executor.answer()
        return shapes

    assert run(ask()) == [[1, 9], [3, 5], [2, 7]]


# -- the bits of rows ------------------------------------------------------------------------------


def trial(program: Any, most: int = 16) -> ServedSignature:
    """A signature after its trial calls."""
    signature = ServedSignature(program.default)
    Trials(signature, program.samples).run(most)
    return signature


def test_a_model_whose_rows_depend_on_each_other_is_not_batched() -> None:
    rows = ag.Dim("rows")
    shapes = ({0: rows},)
    alone = trial(
        ag.export.export(lambda x: x + x.mean(0), (ag.ones(2, 6),), dynamic_shapes=shapes)
    )
    assert not alone.batched
    assert "has other bits than computed alone" in str(alone.reason)
    assert alone.most_rows == 1
    poisoned = trial(
        ag.export.export(lambda x: x + 0 * x.mean(0), (ag.ones(2, 6),), dynamic_shapes=shapes)
    )
    assert poisoned.reason == "nan in a row of a batch changes the bits of another"
    together = trial(ag.export.export(lambda x: x + 1, (ag.ones(2, 6),), dynamic_shapes=shapes))
    assert (together.batched, together.reason) == (True, None)


def _models() -> list[nn.Module]:
    return [
        nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 3), nn.Softmax(-1)),
        nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.BatchNorm1d(8)),
        nn.Sequential(
            nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 4, 3), nn.GroupNorm(2, 4), nn.Flatten()
        ),
        nn.Sequential(
            nn.Unflatten(1, (3, 2)),
            nn.TransformerEncoderLayer(2, 1, 8, dropout=0.0, batch_first=True),
            nn.Flatten(),
        ),
    ]


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("as_onnx", [False, True])
def test_rows_have_the_same_bits_in_any_batch(which: int, as_onnx: bool, tmp_path: Any) -> None:
    ag.manual_seed(which)
    model = _models()[which].eval()
    program = exported(model)
    if as_onnx:
        pytest.importorskip("onnx")
        shapes = ({0: ag.Dim("rows")},)
        ag.onnx.export(model, (ag.ones(2, 6),), tmp_path / "m.onnx", dynamic_shapes=shapes)
        program = ag.onnx.load(tmp_path / "m.onnx")
    signature = trial(program)
    assert (signature.batched, signature.reason) == (True, None)
    random = np.random.default_rng(which)
    x = inputs(40, which) * 3
    alone = [signature.run([x[i : i + 1]])[0].tobytes() for i in range(len(x))]
    for _ in range(8):
        start = int(random.integers(0, 30))
        stop = start + int(random.integers(1, 11))
        (together,) = signature.run([x[start:stop]])
        assert [row.tobytes() for row in together] == alone[start:stop]
