"""The engine: finding versions, checking requests, batching, loading and draining."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import classifier, engine_of, exported, inputs, put, run

import argand as ag
from argand.serve import BatchOptions, ModelOptions, ServeError, Status, VersionPolicy
from argand.serve.batching import Batch
from argand.serve.execution import InProcess


def test_rows_of_concurrent_requests_are_batched_and_have_the_bits_of_calls_alone(
    tmp_path: Path,
) -> None:
    program = exported(classifier())
    put(program, tmp_path, "digits", 1)
    x = inputs(40)
    alone = [program(x[i : i + 1]).numpy() for i in range(40)]
    batches: list[Batch] = []

    async def ask() -> list[Any]:
        async with engine_of(tmp_path) as engine:
            engine.observers.append(lambda version, batch: batches.append(batch))
            version = engine.find("digits")
            signature = version.signature()
            futures = [version.submit(signature, {"input": x[i : i + 1]}) for i in range(40)]
            return await asyncio.gather(*futures)

    for answer, expected in zip(run(ask()), alone, strict=True):
        assert answer[0].tobytes() == expected.tobytes()
    assert sum(b.rows for b in batches) == 40
    assert max(b.rows for b in batches) > 8


def test_a_declared_maximum_bounds_the_batches(tmp_path: Path) -> None:
    put(exported(classifier(), most=4), tmp_path, "digits", 1)
    sizes: list[int] = []

    async def ask() -> None:
        async with engine_of(tmp_path) as engine:
            engine.observers.append(lambda version, batch: sizes.append(batch.rows))
            version = engine.find("digits")
            signature = version.signature()
            futures = [version.submit(signature, {"input": inputs(1)}) for _ in range(10)]
            await asyncio.gather(*futures)

    run(ask())
    assert sizes == [4, 4, 2]


@pytest.mark.parametrize(
    ("given", "field", "message"),
    [
        ({"imput": inputs(1)}, "imput", "did you mean input"),
        ({}, "input", "lacks the input 'input'"),
        ({"input": inputs(1)[0]}, "input", r"has the shape \(rows, 6\), got \(6,\)"),
        ({"input": inputs(1)[:, :5]}, "input", "dimension 1 of the input 'input' must be 6"),
        ({"input": inputs(1).astype(np.float64)}, "input", "is float32, got float64"),
        ({"input": inputs(9)}, "rows", "rows is 9, the model takes sizes from 0 to 8"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_with_the_field(
    tmp_path: Path, given: dict[str, Any], field: str, message: str
) -> None:
    put(exported(classifier(), most=8), tmp_path, "digits", 1)

    async def ask() -> None:
        async with engine_of(tmp_path) as engine:
            version = engine.find("digits")
            await version.submit(version.signature(), given)

    with pytest.raises(ServeError, match=message) as caught:
        run(ask())
    assert caught.value.status is Status.INVALID_ARGUMENT
    assert caught.value.field == field


def test_a_matrix_that_can_not_be_decomposed_is_the_requests_fault(tmp_path: Path) -> None:
    put(ag.export.export(ag.linalg.cholesky, (ag.eye(2),)), tmp_path, "roots", 1)

    async def ask() -> None:
        async with engine_of(tmp_path) as engine:
            version = engine.find("roots")
            (given,) = version.signature().inputs
            await version.submit(version.signature(), {given.name: -np.eye(2, dtype=np.float32)})

    with pytest.raises(ServeError, match="not positive definite") as caught:
        run(ask())
    assert caught.value.status is Status.INVALID_ARGUMENT


def test_a_full_queue_refuses_at_once(tmp_path: Path) -> None:
    put(exported(classifier()), tmp_path, "digits", 1)
    options = ModelOptions(batching=BatchOptions(max_queued_rows=3))

    async def ask() -> ServeError:
        async with engine_of(tmp_path, default=options) as engine:
            version = engine.find("digits")
            signature = version.signature()
            futures = [version.submit(signature, {"input": inputs(1)}) for _ in range(3)]
            with pytest.raises(ServeError) as caught:
                version.submit(signature, {"input": inputs(1)})
            await asyncio.gather(*futures)
            return caught.value

    assert run(ask()).status is Status.RESOURCE_EXHAUSTED


def test_a_new_version_replaces_the_old_one_which_finishes_what_it_has(tmp_path: Path) -> None:
    first, second = exported(classifier(0)), exported(classifier(1))
    put(first, tmp_path, "digits", 1)
    x = inputs(2)

    async def ask() -> tuple[Any, Any]:
        async with engine_of(tmp_path) as engine:
            old = engine.find("digits")
            pending = old.submit(old.signature(), {"input": x})
            put(second, tmp_path, "digits", 2)
            await engine.poll()
            new = engine.find("digits")
            assert (new.number, old.state.name) == (2, "END")
            return (await pending)[0], (await new.submit(new.signature(), {"input": x}))[0]

    before, after = run(ask())
    np.testing.assert_array_equal(before, first(x).numpy())
    np.testing.assert_array_equal(after, second(x).numpy())


def test_a_version_that_is_replaced_while_a_request_is_read_still_answers_it(
    tmp_path: Path,
) -> None:
    put(exported(classifier(0)), tmp_path, "digits", 1)
    x = inputs(2)
    replaced = threading.Event()

    async def ask() -> np.ndarray:
        async with engine_of(tmp_path) as engine:
            version = engine.find("digits")

            async def read() -> Any:
                given = await version.beside(lambda: {"input": x} if replaced.wait(60) else {})
                return await version.submit(version.signature(), given)

            reading = asyncio.create_task(read())
            await asyncio.sleep(0)
            put(exported(classifier(1)), tmp_path, "digits", 2)
            polling = asyncio.create_task(engine.poll())
            while engine.find("digits") is version:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.05)
            replaced.set()
            found = await reading
            await polling
            return found[0]

    assert run(ask()).tobytes() == exported(classifier(0))(x).numpy().tobytes()


def test_a_half_copied_file_is_not_served_until_it_is_whole(tmp_path: Path) -> None:
    program = exported(classifier())
    whole = put(program, tmp_path, "digits", 1).read_bytes()
    folder = tmp_path / "digits" / "2"
    folder.mkdir()
    (folder / "model.argand").write_bytes(whole[: len(whole) // 2])

    async def ask() -> None:
        async with engine_of(tmp_path) as engine:
            with pytest.raises(ServeError, match="no version of digits is ready"):
                engine.find("digits")
            (folder / "model.argand").write_bytes(whole)
            await engine.poll()
            assert engine.find("digits").number == 2

    run(ask())


def test_labels_and_policies_choose_versions(tmp_path: Path) -> None:
    for number in (1, 2, 10):
        put(exported(classifier(number)), tmp_path, "digits", number)
    options = ModelOptions(
        policy=VersionPolicy("latest", 2), labels={"stable": 2}, weights={"stable": 1.0}
    )

    async def ask() -> None:
        async with engine_of(tmp_path, default=options) as engine:
            assert engine.models["digits"].available == [2, 10]
            assert engine.find("digits", label="stable").number == 2
            assert engine.find("digits").number == 2  # by weight
            assert engine.find("digits", 10).number == 10
            for version, label in ((1, None), (None, "canary")):
                with pytest.raises(ServeError) as caught:
                    engine.find("digits", version, label)
                assert caught.value.status is Status.NOT_FOUND

    run(ask())


class _Together:
    """A signature whose calls end only when two of them have begun."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(2, timeout=20)

    def run(self, arrays: Any) -> Any:
        """The arrays."""
        self.barrier.wait()
        return arrays


def test_a_version_that_is_scaled_computes_so_many_calls_at_once(tmp_path: Path) -> None:
    async def ask() -> None:
        executor, signature = InProcess(), _Together()
        executor.scale(2)
        done: list[asyncio.Future[Any]] = [asyncio.get_running_loop().create_future() for _ in "ab"]
        for i, future in enumerate(done):
            executor.start(signature, [i], future.set_result)  # type: ignore[arg-type]
        assert await asyncio.gather(*done) == [[0], [1]]
        executor.close()
        put(exported(classifier()), tmp_path, "digits", 1)
        async with engine_of(tmp_path) as engine:
            version = engine.find("digits")
            version.scale(3)
            assert version.workers == 3
            for workers in (0, -1, 65):
                with pytest.raises(ServeError, match="from 1 to 64 workers"):
                    version.scale(workers)
            found = await version.submit(version.signature(), {"input": inputs(2)})
            assert found[0].tobytes() == exported(classifier())(inputs(2)).numpy().tobytes()

    run(ask())


def test_a_label_names_the_version_before_until_the_new_one_takes_requests(tmp_path: Path) -> None:
    for number in (1, 2):
        put(exported(classifier(number)), tmp_path, "digits", number)
    (tmp_path / "digits" / "3").mkdir()
    (tmp_path / "digits" / "3" / "model.argand").write_bytes(b"damaged")

    def only(number: int) -> ModelOptions:
        policy = VersionPolicy("specific", versions=(number,))
        return ModelOptions(policy, labels={"stable": number}, weights={"stable": 1.0})

    async def ask() -> None:
        async with engine_of(tmp_path, default=only(1)) as engine:
            model = engine.models["digits"]
            for number, then in ((2, 2), (1, 1), (3, 1)):
                before = engine.find("digits", label="stable").number
                model.take(only(number))
                looking = asyncio.create_task(engine.poll())
                while not looking.done():
                    named = engine.find("digits", label="stable").number
                    assert named in (before, number)
                    assert engine.find("digits").number == named
                    await asyncio.sleep(0)
                assert engine.find("digits", label="stable").number == then

    run(ask())
