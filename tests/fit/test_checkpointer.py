"""Checkpointer and fit(checkpoint=...): what is kept, what is refused, and leaving in order."""

from __future__ import annotations

import errno
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter, deque
from datetime import timedelta

import numpy as np
import pytest
import safetensors.numpy

import argand as ag
from argand import fit, io, nn, optim
from argand.data import DataLoader, TensorDataset
from argand.fit.every import Every

rng = np.random.default_rng(5)
X = rng.standard_normal((40, 3)).astype(np.float32)
Y = (X.sum(1) > 0).astype(np.int64)


def net(*sizes, seed=0):
    ag.manual_seed(seed)
    sizes = sizes or (3, 4, 2)
    layers = [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
    return nn.Sequential(*layers)


def learn(model, opt, steps=2):
    for _ in range(steps):
        model(ag.rand(5, 3)).square().mean().backward()
        opt.step()
        opt.zero_grad()


def bits(model):
    return {name: t.numpy().tobytes() for name, t in model.state_dict().items()}


# -- what is kept ----------------------------------------------------------------------------------


def test_every_kind_of_state_comes_back(tmp_path):
    model = net()
    opt = optim.Adam(model.parameters())
    parts = {
        "model": model,
        "optimizer": opt,
        "rates": optim.lr_scheduler.MultiStepLR(opt, [1, 1, 5], gamma=0.5),
        "scaler": ag.amp.GradScaler("cpu", init_scale=8.0),
        "metric": ag.metrics.Accuracy(),
        "own": ag.Generator().manual_seed(4),
        "python": random.Random(5),
        "numpy": np.random.default_rng(6),
        "older": np.random.RandomState(7),
        "names": ["a", ("b", 1), {"c": b"\0\xff", "d": 1 + 2j}],
        "table": {"x": ag.ones(2, dtype=ag.complex128), 3: np.arange(3.0), None: Counter("abca")},
        "seen": {1, 2},
        "last": deque([1, 2], maxlen=2),
    }
    learn(model, opt)
    parts["metric"].update([[0.1, 0.9]], [1])
    ck = fit.Checkpointer(tmp_path, **parts)
    ck.save(7, epoch=1, note="so far")

    def draws():
        own = [parts["own"], ag.default_generator]
        drawn = [ag.rand(3, generator=g).tolist() for g in own]
        drawn += [parts["python"].random(), parts["numpy"].random(), parts["older"].rand()]
        return [*drawn, random.random(), np.random.rand()]

    first, before = draws(), bits(model)
    learn(model, opt)
    parts["rates"].step()
    parts["metric"].reset()
    for held in ("names", "table", "seen", "last"):
        parts[held].clear()
    assert ck.resume() == 7 and ck.plain == {"epoch": 1, "note": "so far"}
    assert bits(model) == before and draws() == first
    assert parts["rates"].last_epoch == 0 and parts["rates"].milestones == Counter([1, 1, 5])
    assert parts["metric"].compute() == 1.0
    assert parts["names"] == ["a", ("b", 1), {"c": b"\0\xff", "d": 1 + 2j}]
    assert parts["table"]["x"].dtype is ag.complex128 and parts["table"]["x"].tolist() == [1, 1]
    assert parts["table"][3].tolist() == [0, 1, 2] and parts["table"][None]["a"] == 2
    assert parts["seen"] == {1, 2} and list(parts["last"]) == [1, 2]


def test_both_kinds_of_generators_come_back(tmp_path, monkeypatch):
    ck = fit.Checkpointer(tmp_path, model=net())

    def draws():
        found = []
        for kind in ("philox", "mt19937"):
            monkeypatch.setattr(ag.settings, "generator", kind)
            found.append(ag.rand(3).tolist())
        return found

    draws()
    ck.save(1)
    first = draws()
    assert draws() != first and ck.resume() == 1 and draws() == first


def test_a_checkpoint_is_a_safetensors_file(tmp_path):
    model = net()
    path = fit.Checkpointer(tmp_path, model=model).save(3, loss=0.5)
    assert path.name == "step-00000003.safetensors"
    found = safetensors.numpy.load_file(path)
    assert np.array_equal(found["parts.model.0.weight"], model[0].weight.detach().numpy())
    tree = ag.load(path)
    assert tree["plain"] == {"loss": 0.5} and tree["step"] == 3
    assert json.loads(io.load_metadata(path)["argand.checkpoint"])["form"] == 1


def test_what_has_no_state_is_refused(tmp_path):
    with pytest.raises(TypeError, match="schedule: a function has no state that can be kept"):
        fit.Checkpointer(tmp_path, schedule=lambda step: 1.0)
    with pytest.raises(TypeError, match=r"can't save a object \(at plain.thing\)"):
        fit.Checkpointer(tmp_path, model=net()).save(1, thing=object())
    assert not list(tmp_path.iterdir())


def test_the_last_and_the_best_are_kept(tmp_path):
    ck = fit.Checkpointer(tmp_path, model=net(), keep=2, best="accuracy")
    for step, value in enumerate([0.1, 0.9, 0.3, 0.4, 0.5]):
        ck.save(step, accuracy=value)
    assert [int(p.name[5:13]) for p in ck.files()] == [1, 3, 4]
    again = fit.Checkpointer(tmp_path, model=net(), keep=2, best="accuracy")
    assert again.best == 1 and again.resume(again.best) == 1 and again.plain["accuracy"] == 0.9
    again.save(2, accuracy=0.2)  # what was ahead belongs to another training
    assert [int(p.name[5:13]) for p in again.files()] == [1, 2]
    with pytest.raises(FileNotFoundError, match=r"no checkpoint of step 4 in .*; there are: 1, 2"):
        again.resume(4)


@pytest.mark.parametrize(
    ("every", "steps", "epochs"),
    [(3, [3, 6], []), ("epoch", [], [1, 2, 3]), ("2 epochs", [], [2]), (None, [], [])],
)
def test_when_a_checkpoint_is_due(every, steps, epochs):
    due = Every(every)
    assert [n for n in range(1, 8) if due.after_step(n)] == steps
    assert [n for n in range(1, 4) if due.after_epoch(n)] == epochs


def test_times_between_checkpoints(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    for every, seconds in (("90 seconds", 90), ("2 minutes", 120), (timedelta(hours=1), 3600)):
        due = Every(every)
        now[0] += seconds - 1
        assert not due.after_step(1)
        now[0] += 1
        assert due.after_step(2)
        due.restart()
        assert not due.after_step(3)
    for wrong in (0, -1, "often", "2 fortnights", "0.5 steps", 1.5, ""):
        with pytest.raises(ValueError, match="save every so many steps"):
            Every(wrong)


# -- what is refused -------------------------------------------------------------------------------


def test_a_checkpoint_of_another_model(tmp_path):
    fit.Checkpointer(tmp_path, model=net(3, 4, 2)).save(1)
    other = net(*[3] * 9)
    before = bits(other)
    with pytest.raises(fit.CheckpointError) as caught:
        fit.Checkpointer(tmp_path, model=other).resume()
    said = str(caught.value)
    assert "step-00000001.safetensors: the state of model does not fit: it is of another" in said
    assert "only the model has: 2.weight (3, 3), 2.bias (3,), 3.weight (3, 3)" in said
    assert "and 7 more" in said and "Nothing was loaded, and the file is whole" in said
    assert "of another shape in the checkpoint: 0.weight (4, 3) instead of (3, 3)" in said
    assert bits(other) == before


def test_a_checkpoint_of_another_optimizer(tmp_path):
    model = net()
    fit.Checkpointer(tmp_path, model=model, optimizer=optim.SGD(model.parameters(), 0.1)).save(1)
    for p in model.parameters():
        p.detach().zero_()
    zero = bits(model)
    for opt, said in (
        (optim.Adam(model.parameters()), "it is of SGD, and the program has Adam"),
        (optim.SGD(model[0].parameters(), 0.1), "group 0 has 4 parameters in the state dict, 2"),
    ):
        with pytest.raises(fit.CheckpointError, match=said):
            fit.Checkpointer(tmp_path, model=model, optimizer=opt).resume()
    assert bits(model) == zero


def test_missing_parts(tmp_path):
    model = net()
    opt = optim.SGD(model.parameters(), 0.1)
    fit.Checkpointer(tmp_path, model=model, losses=[1]).save(1)
    ck = fit.Checkpointer(tmp_path, model=model, optimizer=opt)
    with pytest.raises(fit.CheckpointError) as caught:
        ck.resume()
    assert "it has no optimizer; the program does not keep its losses" in str(caught.value)
    assert ck.resume(strict=False) == 1


def test_a_damaged_checkpoint(tmp_path):
    ck = fit.Checkpointer(tmp_path, model=net(), keep=3)
    for step in (1, 2, 3):
        ck.save(step)
    old, new = ck.files()[1], ck.files()[2]
    data = bytearray(new.read_bytes())
    data[-1] ^= 1
    new.write_bytes(data)
    again = fit.Checkpointer(tmp_path, model=net(), keep=3)
    with pytest.warns(UserWarning, match="damaged.*Training goes on from step-00000002"):
        assert again.resume() == 2
    with pytest.raises(ag.ArgandError, match="damaged: its contents are not those of its checksum"):
        again.resume(3)
    old.write_bytes(old.read_bytes()[:-5])
    with pytest.warns(UserWarning, match="step-00000003.*step-00000002.*truncated"):
        assert again.resume() == 1
    ck.files()[0].write_bytes(b"")
    with pytest.raises(fit.CheckpointError, match="no checkpoint is whole, nothing was loaded"):
        again.resume()


def test_every_changed_byte_is_noticed(tmp_path):
    path = fit.Checkpointer(tmp_path, model=nn.Linear(1, 1), random=False).save(1)
    data = path.read_bytes()
    draw = random.Random(0)
    for place in draw.sample(range(len(data)), 200):
        changed = bytearray(data)
        changed[place] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        with pytest.raises(ag.ArgandError):
            fit.Checkpointer(tmp_path, model=nn.Linear(1, 1)).resume(1)


def test_another_form(tmp_path):
    path = fit.Checkpointer(tmp_path, model=net()).save(1)
    data = path.read_bytes().replace(b'\\"form\\": 1', b'\\"form\\": 9')
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"in form 9 of checkpoints; this is Argand .* form 1"):
        fit.Checkpointer(tmp_path, model=net()).resume()


def test_a_folder_of_another_training_is_not_written_over(tmp_path):
    fit.Checkpointer(tmp_path, model=net()).save(5)
    with pytest.raises(ValueError, match="earlier training, the last of step 5: go on from it"):
        fit.Checkpointer(tmp_path, model=net()).save(5)
    model = net()
    model.compile("sgd", "cross_entropy", run_eagerly=True)
    with pytest.raises(ValueError, match="with resume=True, or use another folder"):
        model.fit(X, Y, verbose=0, checkpoint=tmp_path)
    with pytest.raises(ValueError, match="a checkpoint of a loop of its own, not of fit"):
        model.fit(X, Y, verbose=0, checkpoint=tmp_path, resume=True)


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_full_disk_says_what_is_intact(tmp_path, monkeypatch, call):
    model = net()
    ck = fit.Checkpointer(tmp_path, model=model)
    ck.save(1)
    ck.save(2)

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    if call == "write":
        monkeypatch.setattr("argand.io.safetensors.bytes_of", full)
    else:
        monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left") as caught:
        ck.save(3)
    monkeypatch.undo()
    assert caught.value.errno == errno.ENOSPC
    assert "the checkpoint of step 3 was not written; those of before are intact" in str(
        caught.value
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == [p.name for p in ck.files()]
    assert fit.Checkpointer(tmp_path, model=net()).resume() == 2


# -- fit -------------------------------------------------------------------------------------------


class Stop(fit.Callback):
    """Ends the process, so to say, after so many steps."""

    def __init__(self, after):
        self.left = after

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise ZeroDivisionError


class Plain:
    """Batches without a place: drawn again from the random state."""

    def __iter__(self):
        for i in ag.randperm(8).tolist():
            yield X[i * 5 : i * 5 + 5], Y[i * 5 : i * 5 + 5]


SOURCES = {
    "arrays": lambda: {"x": X, "y": Y, "batch_size": 5},
    "loader": lambda: {"x": DataLoader(TensorDataset(X, Y), batch_size=5, shuffle=True)},
    "steps": lambda: {"x": X, "y": Y, "batch_size": 5, "steps_per_epoch": 5},
    "plain": lambda: {"x": Plain()},
    "plain steps": lambda: {"x": Plain(), "steps_per_epoch": 5},
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("after", [3, 10, 13])
def test_fit_goes_on_in_the_middle_of_an_epoch(tmp_path, source, after):
    def training(*callbacks, **options):
        model = nn.Sequential(net(), nn.Dropout(0.2))
        ag.manual_seed(3)
        model.compile(
            optim.Adam(model.parameters(), 0.05), "cross_entropy", ["acc"], run_eagerly=True
        )
        history = model.fit(
            **SOURCES[source](), epochs=3, verbose=0, callbacks=list(callbacks), **options
        )
        return bits(model), history.history, history.epoch

    kept = {"checkpoint": tmp_path / "ck", "save_every": 1}
    wanted = training(validation_data=(X[:9], Y[:9]))
    with pytest.raises(ZeroDivisionError):
        training(Stop(after), validation_data=(X[:9], Y[:9]), **kept)
    ag.manual_seed(11)
    assert training(validation_data=(X[:9], Y[:9]), resume=True, **kept) == wanted
    assert training(validation_data=(X[:9], Y[:9]), resume=True, **kept) == wanted  # nothing to do


def test_a_given_checkpointer_keeps_more(tmp_path):
    model = net()
    model.compile("sgd", "cross_entropy", run_eagerly=True)
    losses = [1.0]
    ck = fit.Checkpointer(tmp_path, losses=losses, keep=None, best="val_loss")
    model.fit(X, Y, epochs=3, verbose=0, checkpoint=ck, validation_data=(X, Y))
    assert len(ck.files()) == 3 and ck.best == 6 and model.history.epoch == [0, 1, 2]
    losses.clear()
    assert ck.resume(4) == 4 and losses == [1.0] and ck.epoch == 2


def test_arguments_of_resume(tmp_path):
    model = net()
    model.compile("sgd", "cross_entropy", run_eagerly=True)
    with pytest.raises(ValueError, match=r"resume=True needs the folder: fit\(..., checkpoint="):
        model.fit(X, Y, verbose=0, resume=True)
    with pytest.raises(ValueError, match="save_every needs the folder"):
        model.fit(X, Y, verbose=0, save_every=3)
    with pytest.raises(ValueError, match="give one folder"):
        model.fit(X, Y, verbose=0, checkpoint=tmp_path / "a", resume=tmp_path / "b")
    model.fit(X, Y, epochs=2, verbose=0, resume=tmp_path)
    assert model.fit(X, Y, epochs=3, verbose=0, resume=tmp_path).epoch == [0, 1, 2]


# -- leaving in order ------------------------------------------------------------------------------


class Send(fit.Callback):
    """Sends signals to the process in its fourth step."""

    def __init__(self, *signals):
        self.signals, self.steps = signals, 0

    def on_train_batch_begin(self, batch, logs=None):
        self.steps += 1
        if self.steps == 4:
            for number in self.signals:
                os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_fit_leaves_in_order(tmp_path, number, error):
    model = net()
    model.compile("sgd", "cross_entropy", run_eagerly=True)
    before = signal.getsignal(number)
    with pytest.raises(error) as caught:
        model.fit(
            X, Y, batch_size=20, epochs=9, verbose=0, callbacks=Send(number), checkpoint=tmp_path
        )
    assert signal.getsignal(number) == before
    assert model.history.epoch == [0]
    assert [p.name for p in fit.Checkpointer(tmp_path).files()][-1] == "step-00000004.safetensors"
    if error is SystemExit:
        assert caught.value.code == 143
    else:
        assert "stopped in epoch 2 after 2 steps; saved in" in str(caught.value)


def test_a_signal_that_ends_the_workers_too(tmp_path):
    class Fails:
        def __iter__(self):
            yield X[:5], Y[:5]
            os.kill(os.getpid(), signal.SIGTERM)
            raise RuntimeError("a worker was killed")

    model = net()
    model.compile("sgd", "cross_entropy", run_eagerly=True)
    with pytest.raises(SystemExit):
        model.fit(Fails(), verbose=0, checkpoint=tmp_path)
    assert fit.Checkpointer(tmp_path).files()[-1].name == "step-00000001.safetensors"


@pytest.mark.parametrize(("kept", "program"), [([1.0], {}), ({"a": 1}, []), ({1}, {})])
def test_a_container_of_another_kind_changes_nothing(tmp_path, kept, program):
    model = net()
    fit.Checkpointer(tmp_path, model=model, kept=kept).save(1)
    other = net()
    before = [p.clone() for p in other.parameters()]
    said = f"it is a {type(kept).__name__}, and the program has a {type(program).__name__}"
    with pytest.raises(fit.CheckpointError, match=said):
        fit.Checkpointer(tmp_path, model=other, kept=program).resume()
    assert all((p == q).all() for p, q in zip(other.parameters(), before, strict=True))


GROUP = """
import os, sys, time
import argand as ag
from argand import data, fit

class Samples(data.Dataset):
    def __len__(self):
        return 24

    def __getitem__(self, i):
        time.sleep(0.05)
        return ag.full((1,), float(i))

if __name__ == "__main__":
    model, seen = ag.nn.Linear(1, 1), []
    loader = data.DataLoader(Samples(), 2, num_workers=2, multiprocessing_context=sys.argv[2])
    ck = fit.Checkpointer(sys.argv[1], model=model, seen=seen, loader=loader)
    for epoch in ck.epochs(2):
        for x in loader:
            seen.append(x.tolist())
            print(len(seen), flush=True)
            ck.step()
    print(seen)
"""


@pytest.mark.parametrize("method", ["fork", pytest.param("forkserver", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_signal_to_the_whole_group_waits_for_the_step(tmp_path, number, method):
    """The workers get it too, and go on: their parent, which waits for a batch most of the time,
    decides when to leave."""
    script, folder = tmp_path / "script.py", tmp_path / "run"
    script.write_text(GROUP)
    command = [sys.executable, script, folder, method]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        for _ in range(3):
            process.stdout.readline()
        os.killpg(process.pid, number)
        said, errors = process.communicate(timeout=60)
    assert process.returncode == (143 if number == signal.SIGTERM else -number), errors
    assert "worker" not in errors and len(said.split()) < 4
    (file,) = fit.Checkpointer(folder).files()
    assert int(file.stem[5:]) in range(3, 8)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    expected = [[[float(i)], [float(i + 1)]] for i in range(0, 24, 2)] * 2
    assert json.loads(done.stdout.splitlines()[-1]) == expected


def test_the_second_signal_is_obeyed_at_once(tmp_path):
    model = net()
    model.compile("sgd", "cross_entropy", run_eagerly=True)
    send = Send(signal.SIGINT, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt) as caught:
        model.fit(X, Y, batch_size=20, epochs=9, verbose=0, callbacks=send)
    assert not str(caught.value) and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_handlers_of_the_program_and_other_threads_are_left_alone(tmp_path):
    ck = fit.Checkpointer(tmp_path, model=net())
    mine, seen = lambda number, frame: seen.append(number), []
    before = signal.signal(signal.SIGTERM, mine)
    try:
        with ck:
            assert signal.getsignal(signal.SIGTERM) is mine
            assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)
    thread = threading.Thread(target=lambda: list(ck.steps(2)))
    thread.start()
    thread.join()
    assert ck.done == 2 and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_loop_leaves_with_the_status_of_its_signal(tmp_path):
    program = f"""if True:
        import os, signal, time
        import argand as ag
        model = ag.nn.Linear(1, 1)
        ck = ag.fit.Checkpointer({str(tmp_path)!r}, model=model, losses=(losses := []))
        try:
            for step in ck.steps(1000):
                losses.append(step)
                if step == 5:
                    os.kill(os.getpid(), signal.SIGTERM)
        finally:
            print(losses, flush=True)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 143 and done.stdout == "[0, 1, 2, 3, 4, 5]\n", done.stderr
    losses = []
    ck = fit.Checkpointer(tmp_path, model=nn.Linear(1, 1), losses=losses)
    assert ck.resume() == 6 and losses == [0, 1, 2, 3, 4, 5]
