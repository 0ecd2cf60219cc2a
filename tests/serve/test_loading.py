"""Loading: policies, explicit loads, changed and damaged files, memory, reloads under load."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import classifier, engine_of, exported, inputs, put, run

import argand as ag
from argand import nn
from argand.runtime import memory
from argand.serve import (
    Engine,
    ModelOptions,
    ModelVersion,
    ServeError,
    Status,
    VersionPolicy,
    folders,
)


async def asked(engine: Engine, x: np.ndarray, version: int | None = None) -> np.ndarray:
    """The answer of the model "digits"."""
    found = engine.find("digits", version)
    return (await found.submit(found.signature(), {"input": x}))[0]


def refused(engine: Engine, version: int | None = None, label: str | None = None) -> Status:
    """Why there is no version to answer."""
    with pytest.raises(ServeError) as caught:
        engine.find("digits", version, label)
    return caught.value.status


def test_unloaded_models_stay_unloaded_until_they_are_loaded(tmp_path: Path) -> None:
    for number in (1, 2):
        put(exported(classifier(number)), tmp_path, "digits", number)
    both = ModelOptions(policy=VersionPolicy("all"))

    async def ask() -> None:
        async with engine_of(tmp_path, default=both) as engine:
            await engine.unload("digits", 2)
            await engine.poll()
            assert engine.models["digits"].available == [1]
            assert refused(engine, 2) is Status.NOT_FOUND
            await engine.unload("digits")
            await engine.poll()
            assert engine.models["digits"].available == []
            assert engine.is_ready  # nobody wants it
            assert refused(engine) is Status.UNAVAILABLE
            await engine.load("digits")
            assert engine.models["digits"].available == [1, 2]
            await engine.load("digits", [1])
            assert engine.models["digits"].available == [1]
            for name, versions in (("digit", None), ("digits", [3])):
                with pytest.raises(ServeError) as caught:
                    await engine.load(name, versions)
                assert caught.value.status is Status.NOT_FOUND

    run(ask())


def test_an_explicit_engine_loads_nothing_by_itself(tmp_path: Path) -> None:
    put(exported(classifier()), tmp_path, "digits", 1)

    async def ask() -> None:
        async with engine_of(tmp_path, explicit=True) as engine:
            assert engine.models["digits"].available == []
            await engine.load("digits")
            await engine.poll()
            assert engine.models["digits"].available == [1]

    run(ask())


def test_labels_and_policies_can_be_changed_while_models_are_served(tmp_path: Path) -> None:
    for number in (1, 2):
        put(exported(classifier(number)), tmp_path, "digits", number)

    async def ask() -> None:
        async with engine_of(tmp_path) as engine:
            with pytest.raises(ServeError, match="takes no requests") as caught:
                engine.set_label("digits", "stable", 1)
            assert caught.value.status is Status.FAILED_PRECONDITION
            await engine.set_policy("digits", VersionPolicy("all"))
            engine.set_label("digits", "stable", 1)
            engine.set_label("digits", "canary", 2)
            engine.set_weights("digits", {"stable": 3, "canary": 1})
            drawn = [engine.find("digits").number for _ in range(400)]
            assert 60 < drawn.count(2) < 140
            await engine.unload("digits", 2)  # the canary's share goes to the others
            assert {engine.find("digits").number for _ in range(20)} == {1}
            engine.set_label("digits", "stable", None)
            assert refused(engine, label="stable") is Status.NOT_FOUND

    run(ask())


def test_a_file_that_changes_in_place_is_loaded_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = exported(classifier(0)), exported(classifier(1))
    path = put(first, tmp_path, "digits", 1)
    whole = put(second, tmp_path / "other", "digits", 1).read_bytes()
    x = inputs(3)

    async def ask() -> None:
        async with engine_of(tmp_path) as engine:
            with open(path, "r+b") as file:  # a file that is mapped must not become shorter
                file.truncate(100)
            for _ in range(2):
                await engine.poll()
                np.testing.assert_array_equal(await asked(engine, x), first(x).numpy())
            assert str(path) in str(engine.find("digits").error)
            assert [r.message.partition(":")[0] for r in caplog.records] == [
                "digits version 1 can't be served",
                "digits version 1 is served as it was",
            ]
            with pytest.raises(ServeError, match=r"truncated|not an Argand program"):
                await engine.load("digits")
            path.write_bytes(whole)
            await engine.poll()
            np.testing.assert_array_equal(await asked(engine, x), second(x).numpy())
            assert engine.find("digits").error is None
            path.write_bytes(whole[:-1])
            await engine.poll()
            assert engine.find("digits").error is not None
            shutil.rmtree(tmp_path / "digits")
            await engine.poll()
            assert refused(engine) is Status.NOT_FOUND

    run(ask())


def test_a_damaged_version_has_its_error_and_the_others_are_served(tmp_path: Path) -> None:
    good = exported(classifier())
    whole = put(good, tmp_path, "digits", 1).read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    folder = tmp_path / "digits" / "2"
    folder.mkdir()
    (folder / "model.argand").write_bytes(damaged)

    async def ask() -> None:
        async with engine_of(tmp_path, default=ModelOptions(policy=VersionPolicy("all"))) as engine:
            assert engine.models["digits"].available == [1]
            version = engine.models["digits"].versions[2]
            assert version.state.name == "END"
            assert str(folder / "model.argand") in str(version.error)
            assert [s.name for s, _ in version.history] == ["START", "LOADING", "END"]
            await engine.poll()
            assert engine.models["digits"].versions[2] is version  # not read again
            with pytest.raises(ServeError, match="damaged"):
                await engine.load("digits")
            shutil.rmtree(folder)
            await engine.poll()
            assert refused(engine, 2) is Status.NOT_FOUND
            assert len(await asked(engine, inputs(1))) == 1

    run(ask())


def test_a_damaged_model_keeps_a_server_from_being_ready_only_from_the_start(
    tmp_path: Path,
) -> None:
    whole = put(exported(classifier()), tmp_path, "digits", 1).read_bytes()
    later = tmp_path / "later" / "1" / "model.argand"

    async def ask(is_ready: bool) -> None:
        async with engine_of(tmp_path) as engine:
            assert engine.is_ready is is_ready
            later.parent.mkdir(parents=True, exist_ok=True)
            later.write_bytes(whole[:99])
            await engine.poll()
            assert engine.models["later"].available == []
            assert engine.is_ready is is_ready
            later.write_bytes(whole)
            await engine.poll()
            assert engine.models["later"].available == [1] and engine.is_ready
            later.write_bytes(whole[:99])  # for the next start

    run(ask(is_ready=True))
    run(ask(is_ready=False))


def test_models_that_are_removed_end_and_a_missing_root_ends_nothing(tmp_path: Path) -> None:
    root = tmp_path / "models"
    put(exported(classifier()), root, "digits", 1)

    async def ask() -> None:
        async with engine_of(root) as engine:
            root.rename(tmp_path / "away")
            await engine.poll()
            assert engine.models["digits"].available == [1]
            root.mkdir()
            await engine.poll()
            assert engine.models == {}

    run(ask())


def test_a_folder_of_versions_is_a_model_and_what_is_none_is_told(tmp_path: Path) -> None:
    root = tmp_path / "digits"
    for number in (3, 12):
        path = put(exported(classifier(number)), tmp_path, "digits", number)
    (tmp_path / "other" / "v1").mkdir(parents=True)
    shutil.copy(path, tmp_path / "other" / "v1")
    (tmp_path / "begun").mkdir()

    async def ask() -> None:
        for roots in ([root], [tmp_path]):
            engine = Engine(roots)
            await engine.poll()
            assert list(engine.models) == ["digits"]
            assert engine.models["digits"].available == [12]
            if roots == [tmp_path]:
                (said,) = engine.problems
                place = tmp_path / "other" / "v1"
                assert said == f"{place} is not served: versions are folders 1, 2, ..."
            await engine.close()

    run(ask())


def test_a_link_that_is_switched_while_folders_are_looked_at_shows_what_it_leads_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, file = tmp_path / "models" / "digits", folders._file
    link.parent.mkdir()
    releases = [tmp_path / "first" / "1", tmp_path / "second" / "2"]
    for folder in releases:
        folder.mkdir(parents=True)
        (folder / "model.argand").touch()

    def switched(folder: Path, problems: list[str]) -> Path | None:
        if releases:
            (tmp_path / "new").symlink_to(releases.pop().parent)
            (tmp_path / "new").rename(link)
        return file(folder, problems)

    switched(tmp_path, [])
    monkeypatch.setattr(folders, "_file", switched)
    found = folders.found_at([link.parent]).models
    assert [v.path for v in found["digits"].values()] == [link / "1" / "model.argand"]


def test_of_two_models_of_one_name_the_first_is_served(tmp_path: Path) -> None:
    put(exported(classifier(0)), tmp_path / "a", "digits", 1)
    put(exported(classifier(1)), tmp_path / "b", "digits", 2)

    async def ask() -> None:
        engine = Engine([tmp_path / "a", tmp_path / "b"])
        await engine.poll()
        assert engine.models["digits"].available == [1]
        assert len(engine.problems) == 1
        assert "digits is the name of a model already" in engine.problems[0]
        await engine.close()

    run(ask())


def test_programs_and_files_outside_the_folders_can_be_served(tmp_path: Path) -> None:
    program = exported(classifier())

    async def ask() -> None:
        engine = Engine()
        await engine.add("digits", program)
        await engine.add("digits", put(program, tmp_path, "x", 1), version=2)
        await engine.poll()
        x = inputs(2)
        for number in (1, 2):
            np.testing.assert_array_equal(await asked(engine, x, number), program(x).numpy())
        with pytest.raises(ServeError, match="not an Argand program"):
            (tmp_path / "no.argand").write_bytes(b"no")
            await engine.add("digits", tmp_path / "no.argand", version=3)
        await engine.unload("digits")
        assert engine.models == {}
        await engine.close()

    run(ask())


def test_a_file_of_onnx_with_weights_beside_it_is_held_while_they_change(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    folder = tmp_path / "digits" / "1"
    folder.mkdir(parents=True)
    model = classifier()
    rows = ag.Dim("rows")
    ag.onnx.export(model, (ag.ones(2, 6),), tmp_path / "m.onnx", dynamic_shapes=({0: rows},))
    onnx.save_model(
        onnx.load(tmp_path / "m.onnx"),
        folder / "model.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    for file in folder.iterdir():
        os.utime(file, (1, 1))  # long ago
    x = inputs(2)

    async def ask() -> None:
        async with engine_of(tmp_path) as engine:
            name = engine.find("digits").signature().inputs[0].name
            with open(folder / "weights.bin", "r+b") as file:
                file.truncate(0)
            version = engine.find("digits")
            (found,) = await version.submit(version.signature(), {name: x})
            np.testing.assert_allclose(found, model(ag.tensor(x)).detach().numpy(), rtol=1e-5)

    run(ask())


def test_no_request_fails_while_versions_are_replaced(tmp_path: Path) -> None:
    programs = [exported(classifier(i)) for i in range(2)]
    x = inputs(2)
    right = {p(x).numpy().tobytes() for p in programs}
    for i, program in enumerate(programs):
        put(program, tmp_path / "spare", str(i), 1)
    put(programs[0], tmp_path, "digits", 1)
    path = tmp_path / "digits" / "1" / "model.argand"
    answers: list[bytes] = []

    async def ask() -> None:
        async with engine_of(tmp_path) as engine:
            loop, ends = asyncio.get_running_loop(), threading.Event()

            def client() -> None:
                while not ends.is_set():
                    future = asyncio.run_coroutine_threadsafe(asked(engine, x), loop)
                    answers.append(future.result(30).tobytes())

            async def reloads() -> None:
                for i in range(6):
                    new = tmp_path / ".new"
                    shutil.copyfile(tmp_path / "spare" / str(i % 2) / "1" / "model.argand", new)
                    new.replace(path)
                    await engine.poll()

            clients = [asyncio.create_task(asyncio.to_thread(client)) for _ in range(3)]
            await reloads()
            ends.set()
            await asyncio.gather(*clients)

    run(ask())
    assert set(answers) == right


def test_a_server_that_is_to_end_does_not_wait_for_what_it_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("httptools")
    from argand.serve import Server

    put(exported(classifier()), tmp_path, "digits", 1)
    reads, may_read = threading.Event(), threading.Event()

    def read(version: Any) -> None:
        reads.set()
        assert may_read.wait(60)

    monkeypatch.setattr(ModelVersion, "read", read)

    async def ask() -> None:
        server = Server(tmp_path, port=0)
        serving = asyncio.create_task(server._serve(with_signals=False))
        while not reads.is_set():
            await asyncio.sleep(0.001)
        assert server._ends is not None
        server._ends.set()
        await asyncio.wait_for(serving, 30)
        may_read.set()

    run(ask())


def test_a_request_that_found_a_version_which_ends_is_answered(tmp_path: Path) -> None:
    put(exported(classifier()), tmp_path, "digits", 1)

    async def ask() -> None:
        async with engine_of(tmp_path) as engine:
            version = engine.find("digits")
            with version.hold():
                ending = asyncio.create_task(engine.unload("digits"))
                await asyncio.sleep(0.01)
                assert version.state.name == "UNLOADING"
                await version.submit(version.signature(), {"input": inputs(1)})
            await ending
            with pytest.raises(ServeError, match="digits version 1 is END") as caught:
                version.signature()
            assert caught.value.status is Status.UNAVAILABLE

    run(ask())


_ROUNDS = """
import asyncio, os, sys
from pathlib import Path
import numpy as np
from argand.serve import Engine

root, rounds, workers = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
x = np.ones((3, 6), np.float32)

def resident(process):
    return int(Path(f"/proc/{process}/statm").read_text().split()[1])

def processes():
    tasks = Path("/proc/self/task").iterdir()
    found = [int(n) for task in tasks for n in (task / "children").read_text().split()]
    return [os.getpid(), *sorted(found)]

async def asked(engine):
    version = engine.find("digits")
    await version.submit(version.signature(), {"input": x})

async def main():
    engine = Engine([root], workers=workers)
    await engine.poll()
    for _ in range(rounds):
        await asked(engine)
        await engine.unload("digits")
        found = [resident(p) for p in processes()]
        for _ in range(20 if workers else 0):  # they do it in their own time
            await asyncio.sleep(0.03)
            found = [min(n, resident(p)) for n, p in zip(found, processes())]
        print(*found)
        await engine.load("digits")
    await engine.close()

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("rounds", "workers"),
    [
        (5, 0),
        pytest.param(100, 0, marks=pytest.mark.slow),
        pytest.param(100, 2, marks=pytest.mark.slow),
    ],
)
def test_unloading_gives_the_memory_back(tmp_path: Path, rounds: int, workers: int) -> None:
    model = nn.Sequential(
        nn.Unflatten(1, (6, 1, 1)),
        nn.Upsample(scale_factor=24),
        nn.Conv2d(6, 24, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(24 * 24 * 24, 200),
    )
    put(exported(model.eval()), tmp_path, "digits", 1)
    environment = {**os.environ, "PYTHONPATH": str(Path(ag.__file__).parent.parent)}
    found = subprocess.run(
        [sys.executable, "-c", _ROUNDS, str(tmp_path), str(rounds), str(workers)],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    lines = [[int(n) for n in line.split()] for line in found.stdout.splitlines()]
    for resident in zip(*lines, strict=True):
        assert max(resident[3:]) < 1.05 * resident[2]


def test_an_unloaded_version_leaves_nothing_in_the_pool_of_memory(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(6, 800), nn.ReLU(), nn.Linear(800, 800)).eval()
    put(exported(model), tmp_path, "digits", 1)

    async def ask() -> None:
        async with engine_of(tmp_path) as engine:
            await asked(engine, inputs(8))
            assert sum(len(blocks) for blocks in memory._blocks.values())
            await engine.unload("digits")
            assert list(memory._free_blocks()) == []

    run(ask())
