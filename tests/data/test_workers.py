"""Batches that are read by worker processes."""

import contextlib
import gc
import itertools
import json
import os
import random
import signal
import time
from collections import namedtuple
from multiprocessing import active_children

import numpy as np
import pytest

import argand as ag
from argand import data
from argand.base.errors import ArgumentError

COUNT = 23
Point = namedtuple("Point", "x y")


class Numbers(data.Dataset):
    """Samples of every kind of content."""

    def __len__(self):
        return COUNT

    def __getitem__(self, i):
        image = np.arange(12, dtype=np.float32).reshape(3, 4) + i
        return {"image": image, "label": i, "name": str(i), "point": Point(ag.ones(2) * i, 0.5)}


class Noisy(data.Dataset):
    def __len__(self):
        return COUNT

    def __getitem__(self, i):
        return i, random.random(), np.random.rand(), ag.rand(2)


class Stream(data.IterableDataset):
    """0 to COUNT - 1, of which each worker reads its share."""

    def __init__(self, shares=True):
        self.shares = shares

    def __iter__(self):
        info = data.get_worker_info()
        numbers = iter(range(COUNT))
        if info is None or not self.shares:
            return numbers
        return iter(range(info.id, COUNT, info.num_workers))


class Failing(data.Dataset):
    """A sample whose reading does what it is told."""

    def __init__(self, what, at=5):
        self.what, self.at = what, at

    def __len__(self):
        return 12

    def __getitem__(self, i):
        if i == self.at:
            self.what()
        return i


def plain(batch):
    if isinstance(batch, dict):
        return {key: plain(value) for key, value in batch.items()}
    if isinstance(batch, list | tuple):
        return [plain(part) for part in batch]
    return batch if isinstance(batch, str) else np.asarray(batch).tolist()


def descriptors():
    """The open descriptors that may be of connections or shared memory."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/self/fd/{name}"))
    return [name for name in found if name.startswith(("socket:", "/memfd:", "anon_inode:"))]


def shared_files():
    """The files of shared memory but for semaphores, which other programs make."""
    return {name for name in os.listdir("/dev/shm") if not name.startswith("sem.")}


@pytest.fixture(autouse=True)
def leaves_nothing():
    """No processes, no descriptors, no files of shared memory."""
    files = shared_files()
    gc.collect()
    before = descriptors()
    yield
    gc.collect()
    assert not active_children()
    assert descriptors() == before
    assert shared_files() <= files


def test_batches_are_those_without_workers():
    def batches(workers, **options):
        ag.manual_seed(1)
        return [plain(b) for b in data.DataLoader(Numbers(), 4, num_workers=workers, **options)]

    assert batches(2) == batches(0)
    assert batches(3, shuffle=True, drop_last=True) == batches(0, shuffle=True, drop_last=True)
    batch = next(iter(data.DataLoader(Numbers(), 4, num_workers=1)))
    assert isinstance(batch["point"], Point) and batch["point"].x.dtype is ag.float32
    batch["image"].zero_()
    assert batch["image"].sum() == 0, "memory can be written"


def test_cut_batches_and_single_samples():
    samples = data.TensorDataset(ag.arange(7), ag.rand(7, 3))
    for size in (3, None):
        here, there = (data.DataLoader(samples, size, num_workers=n) for n in (0, 2))
        assert [plain(b) for b in here] == [plain(b) for b in there]


class Big(data.Dataset):
    """Samples whose batches go through shared memory, of sizes that change."""

    def __init__(self, count=40):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        return np.full(60_000 + 20_000 * (i % 7 == 3), i, np.float32), i


def address(x):
    return x.numpy().__array_interface__["data"][0]


@pytest.mark.parametrize("persistent", [False, True])
def test_memory_is_filled_again_when_no_batch_has_it(persistent):
    loader = data.DataLoader(Big(), None, num_workers=2, persistent_workers=persistent)
    held, places = [], set()
    rng = random.Random(0)
    for _ in range(3):
        for x, i in loader:
            assert (x == i).all()
            places.add(address(x))
            held.append((x.view(2, -1)[1], int(i)))  # a view is enough
            x += 0.5
            if len(held) > 3:
                held.pop(rng.randrange(len(held)))
            assert all((y == k + 0.5).all() for y, k in held)
    assert len(places) < 60


def test_what_is_held_is_never_filled_again():
    loader = data.DataLoader(Big(64), None, num_workers=2)
    held = list(loader)
    assert all((x == i).all() for x, i in held)
    assert len({address(x) for x, _ in held}) == 64


def test_a_fork_keeps_the_batch_that_it_was_made_with():
    """The parent lets go of it, and workers go on; the child's copy of the array is the same."""
    alike = [i for i in range(64) if i % 7 != 3]  # in size: others get new memory
    batches = iter(data.DataLoader(Big(64), None, sampler=alike, num_workers=1))
    x, i = next(batches)
    reader, writer = os.pipe()
    to_go, go = os.pipe()
    pid = os.fork()
    if not pid:
        os.read(to_go, 1)
        os.write(writer, b"same" if bool((x == i).all()) else b"other")
        os._exit(0)
    del x
    assert all((y == k).all() for y, k in itertools.islice(batches, 40))
    os.write(go, b"x")
    os.waitpid(pid, 0)
    assert os.read(reader, 9) == b"same"
    for file in (reader, writer, to_go, go):
        os.close(file)


def test_labels_do_not_hold_the_images_beside_them():
    labels, images = [], []
    for x, y in data.DataLoader(Big(), 2, num_workers=1, collate_fn=together):
        images.append(address(x))
        labels.append(y)
        del x
    assert len(set(images)) < 12
    assert ag.cat(labels).tolist() == list(range(40))


def together(samples):
    return ag.tensor(np.concatenate([x for x, _ in samples])), ag.tensor([i for _, i in samples])


def test_arrays_of_every_kind_arrive():
    big = np.arange(300_000).reshape(3, 10, -1)
    things = [
        big,
        big.transpose(2, 0, 1),
        big[:, ::2],
        np.array(3.5),
        np.zeros((0, 4)),
        np.array(["a", "bc"]),
        np.array(["2020-01-01"], "datetime64[D]"),
        np.array([{"a": 1}, None]),
        np.array([(1, 2.5)], [("a", "i4"), ("b", "f8")]),
        ag.rand(3, 4).bfloat16(),
        ag.rand(2, 3, 8, 8).contiguous(memory_format=ag.channels_last),
        ag.tensor(True),
        ag.nn.Parameter(ag.rand(2)),
        b"bytes" * 10_000,
    ]
    loader = data.DataLoader([things], None, num_workers=1, collate_fn=lambda sample: sample)
    (found,) = loader
    for a, b in zip(things, found, strict=True):
        assert type(a) is type(b)
        if isinstance(a, ag.Tensor):
            assert a.dtype is b.dtype and a.stride() == b.stride() and ag.equal(a, b)
            assert a.requires_grad == b.requires_grad
        elif isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype and (b.flags.writeable or not b.size)
        else:
            assert a == b


def test_many_batches_can_be_kept():
    """They hold no descriptors."""
    wide = [np.full(40_000, i, np.float64) for i in range(60)]
    before = descriptors()
    batches = list(data.DataLoader(wide, None, num_workers=2))
    assert descriptors() == before
    assert [batch[7].item() for batch in batches] == list(range(60))


def test_draws_do_not_depend_on_the_number_of_workers():
    def noise(workers, **options):
        ag.manual_seed(5)
        loader = data.DataLoader(Noisy(), 4, shuffle=True, num_workers=workers, **options)
        found = [[plain(b) for b in loader] for _ in range(2)]
        return found, ag.rand(1).item()

    one = noise(1)
    assert one[0][0] != one[0][1]
    assert noise(3) == one
    assert noise(2, persistent_workers=True) == one
    assert noise(0, batch_seeds=True) == noise(2, batch_seeds=True) == one
    here = noise(0)
    assert here[1] == one[1]
    assert [[b[3] for b in p] for p in here[0]] == [[b[3] for b in p] for p in one[0]]


def test_what_worker_init_fn_seeds_is_the_users():
    def start(worker):
        np.random.seed(worker)

    loader = data.DataLoader(Noisy(), 4, num_workers=2, worker_init_fn=start)
    found = [b[2].tolist() for b in loader]
    expected = [np.random.RandomState(i) for i in range(2)]
    assert found[:4] == [expected[i % 2].rand(4).tolist() for i in range(4)]


def test_worker_info():
    class Asks(data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, i):
            info = data.get_worker_info()
            mine = info.dataset is self
            return info.id, info.num_workers, mine, info.seed, ag.get_num_threads()

    ag.manual_seed(3)
    found = [plain(b) for b in data.DataLoader(Asks(), None, num_workers=2)]
    assert [b[:3] for b in found] == [[i % 2, 2, True] for i in range(4)]
    ag.manual_seed(3)
    seed = data.sampler.drawn_seed(None)
    assert [b[3:] for b in found] == [[seed + i % 2, 1] for i in range(4)]
    assert data.get_worker_info() is None


def test_streams():
    assert [b.tolist() for b in data.DataLoader(Stream(), 5, num_workers=2)] == [
        [0, 2, 4, 6, 8],
        [1, 3, 5, 7, 9],
        [10, 12, 14, 16, 18],
        [11, 13, 15, 17, 19],
        [20, 22],
        [21],
    ]
    twice = sorted(data.DataLoader(Stream(shares=False), None, num_workers=2))
    assert twice == sorted([*range(COUNT)] * 2)
    few = data.DataLoader(data.ChainDataset([[1, 2]]), 1, num_workers=3, drop_last=True)
    assert sorted(b.item() for b in few) == [1, 1, 1, 2, 2, 2]


def test_a_stream_that_is_longer_than_it_says():
    class Few(data.IterableDataset):
        def __iter__(self):
            return iter(range(4))

        def __len__(self):
            return 4

    loader = data.DataLoader(Few(), 1, num_workers=2)
    assert sum(1 for _ in loader) == 8
    assert len(loader) == 4
    with pytest.warns(
        UserWarning, match=r"reported to be 4 .* but 5 samples have been fetched: ea"
    ):
        list(loader)


def test_kernels_run_in_workers():
    """Also where they have to be compiled, and where the parent has run them by threads."""

    class Model(data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, i):
            x = ag.full((300, 300), float(i + 1))
            return (x @ x).softmax(0).sum(), ag.special.ndtri(ag.tensor([0.5])), step(x)

    step = ag.compile(lambda x: (x * 2).exp2().mean())
    here = [plain(Model()[i]) for i in range(4)]
    assert [plain(b) for b in data.DataLoader(Model(), None, num_workers=2)] == here


# -- errors ----------------------------------------------------------------------------------------


class OwnError(Exception):
    def __init__(self, code, text):
        super().__init__(code, text)


def refuse(kind, *args):
    def fail(*_):
        raise kind(*args)

    return fail


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        ((ValueError, "no such image"), ValueError),
        ((KeyError, "no such image"), KeyError),
        ((OwnError, 3, "no such image"), RuntimeError),
        ((type("Local", (ZeroDivisionError,), {}), "no such image"), ZeroDivisionError),
    ],
)
def test_errors_arrive_with_the_workers_traceback(raised, expected):
    loader = data.DataLoader(Failing(refuse(*raised)), 2, num_workers=2)
    batches = iter(loader)
    assert [next(batches).tolist() for _ in range(2)] == [[0, 1], [2, 3]]
    with pytest.raises(expected) as caught:
        next(batches)
    text = str(caught.value)
    name = raised[0].__name__
    assert text.startswith(
        f"Caught {name} in DataLoader worker process 0.\nOriginal Traceback (most recent call last)"
    )
    assert "in __getitem__\n    self.what()" in text and "no such image" in text
    assert [b.tolist() for b in batches] == [[6, 7], [8, 9], [10, 11]], "the pass goes on"


def test_errors_of_worker_init_fn_and_of_batches_that_can_not_be_sent():
    with pytest.raises(OSError, match="Caught OSError in DataLoader worker process 0"):
        next(iter(data.DataLoader([1], num_workers=1, worker_init_fn=refuse(OSError, "disk"))))
    loader = data.DataLoader([1], num_workers=1, collate_fn=lambda batch: lambda: batch)
    with pytest.raises(Exception, match="in DataLoader worker process 0"):
        next(iter(loader))


@pytest.mark.parametrize(
    ("end", "how"),
    [
        (lambda: os._exit(3), "exit status 3"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "killed by SIGKILL"),
    ],
)
def test_a_worker_that_dies_is_an_error(end, how):
    batches = iter(data.DataLoader(Failing(end), 2, num_workers=2))
    pids = [w.pid for w in batches._workers]
    with pytest.raises(
        RuntimeError, match=rf"DataLoader worker \(pid\(s\) {pids[0]}\) exited unexpectedly: {how}"
    ):
        list(batches)
    with pytest.raises(RuntimeError, match="workers have ended"):
        next(batches)


def test_timeout():
    batches = iter(
        data.DataLoader(Failing(lambda: time.sleep(30), 1), 1, num_workers=1, timeout=0.3)
    )
    assert next(batches).item() == 0
    with pytest.raises(RuntimeError, match=r"DataLoader timed out after 0.3 seconds"):
        next(batches)
    batches._crew.workers[0].process.kill()


def test_the_end_of_a_pass_that_is_left():
    loader = data.DataLoader(Noisy(), 1, num_workers=2, prefetch_factor=4)
    for _ in loader:
        break
    gc.collect()
    assert not active_children()


def test_persistent_workers_stay():
    loader = data.DataLoader(list(range(8)), 2, num_workers=2, persistent_workers=True)
    batches = iter(loader)
    pids = {w.pid for w in batches._workers}
    next(batches)
    again = [b.tolist() for b in loader]
    assert again == [[0, 1], [2, 3], [4, 5], [6, 7]], "what was read ahead is left out"
    assert {w.pid for w in iter(loader)._workers} == pids
    os.kill(min(pids), signal.SIGKILL)
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        list(iter(loader))
    assert len(list(loader)) == 4, "the next pass has new ones"
    del loader, batches


def test_large_requests_and_answers_do_not_block():
    order = [[i] * 40_000 for i in range(40)]
    loader = data.DataLoader(
        list(range(40)), batch_sampler=order, num_workers=1, prefetch_factor=40
    )
    assert [b[0].item() for b in loader] == list(range(40))


def test_out_of_order():
    class Slow(data.Dataset):
        def __len__(self):
            return 6

        def __getitem__(self, i):
            time.sleep(0.4 if i == 0 else 0)
            return i

    loader = data.DataLoader(Slow(), None, num_workers=2, in_order=False)
    batches = iter(loader)
    found = [next(batches) for _ in range(3)]
    assert 0 not in found
    state = json.loads(json.dumps(loader.state_dict()))
    del batches
    loader.load_state_dict(state)
    assert sorted(found + list(loader)) == list(range(6))


# -- places ----------------------------------------------------------------------------------------


class Walk(data.IterableDataset):
    """A stream that draws as it goes."""

    def __iter__(self):
        info = data.get_worker_info()
        for i in range(info.id if info else 0, COUNT, 3):
            yield i + random.random()


LOADERS = {
    "samples": lambda n: data.DataLoader(Noisy(), 2, shuffle=True, num_workers=n),
    "streams": lambda n: data.DataLoader(Walk(), 2, num_workers=n),
    "by a generator": lambda n: data.DataLoader(
        Noisy(),
        3,
        sampler=data.RandomSampler(range(COUNT), True, 40, ag.random.default_generator),
        num_workers=n,
        prefetch_factor=3,
    ),
}


@pytest.mark.parametrize("generator", ["philox", "mt19937"])
@pytest.mark.parametrize("kind", LOADERS)
def test_goes_on_exactly(kind, generator):
    with ag.settings.using(generator=generator):
        ag.manual_seed(1)
        loader = LOADERS[kind](2)
        whole, states = [], []
        for _ in range(2):
            for batch in loader:
                whole.append((plain(batch), ag.rand(1).item()))
                states.append(json.dumps(loader.state_dict()))
        for k in (0, 4, len(whole) // 2 - 1):
            ag.manual_seed(77)
            loader = LOADERS[kind](2)
            loader.load_state_dict(json.loads(states[k]))
            rest = [(plain(b), ag.rand(1).item()) for _ in range(2) for b in loader]
            assert rest == whole[k + 1 :]


def test_the_number_of_workers_may_change_for_samples_only():
    ag.manual_seed(2)
    whole = [plain(b) for b in LOADERS["samples"](2)]
    for before, after in ((2, 0), (0, 3), (3, 1)):
        ag.manual_seed(2)
        loader = LOADERS["samples"](before)
        loader.batch_seeds = True
        batches = iter(loader)
        assert [plain(next(batches)) for _ in range(3)] == whole[:3]
        state = loader.state_dict()
        del batches
        loader = LOADERS["samples"](after)
        loader.batch_seeds = True
        loader.load_state_dict(state)
        assert [plain(b) for b in loader] == whole[3:]
    loader = LOADERS["streams"](2)
    batches = iter(loader)
    next(batches)
    state = loader.state_dict()
    del batches
    loader = LOADERS["streams"](1)
    loader.load_state_dict(state)
    with pytest.raises(ArgumentError, match="with num_workers=2: it can't be loaded with num_w"):
        iter(loader)


def test_refused_options():
    for options, message in [
        ({"num_workers": -1}, "num_workers option should be non-negative"),
        ({"timeout": -1}, "timeout option should be non-negative"),
        ({"prefetch_factor": 2}, "prefetch_factor option could only be specified"),
        ({"prefetch_factor": 0, "num_workers": 1}, "non-negative and not 0"),
        ({"persistent_workers": True}, "persistent_workers option needs num_workers > 0"),
        ({"multiprocessing_context": "fork"}, "only be used with multi-process loading"),
        ({"multiprocessing_context": "a", "num_workers": 1}, "should specify a valid start method"),
    ]:
        with pytest.raises(ValueError, match=message):
            data.DataLoader([1], **options)
    with pytest.raises(TypeError, match="valid context object"):
        data.DataLoader([1], num_workers=1, multiprocessing_context=3)
