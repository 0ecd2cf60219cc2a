"""A loader that loads a state goes on exactly as the one that gave it."""

import json
import random

import numpy as np
import pytest

import argand as ag
from argand import data
from argand.base.errors import ArgumentError

COUNT = 23


class Noisy(data.Dataset):
    """Samples with numbers from every generator of the process."""

    def __len__(self):
        return COUNT

    def __getitem__(self, i):
        return i, random.random(), np.random.rand(), ag.rand(2)


class Foreign(data.Sampler):
    """An order drawn from generators that are not Argand's, a bit at a time."""

    def __init__(self, source):
        self.source = source

    def __iter__(self):
        for _ in range(len(self)):
            yield random.randrange(COUNT) if random.random() < 0.5 else np.random.randint(COUNT)

    def __len__(self):
        return COUNT


class Drawn(data.Sampler):
    """An order that is drawn when the iteration is asked for."""

    def __iter__(self):
        return iter(np.random.permutation(COUNT).tolist())

    def __len__(self):
        return COUNT


class Shuffling(data.IterableDataset):
    """A stream that is shuffled with a buffer by Python's generator."""

    def __iter__(self):
        waiting = []
        for i in range(COUNT):
            waiting.append(i)
            if len(waiting) > 4:
                yield waiting.pop(random.randrange(len(waiting)))
        yield from waiting


class Counting(data.IterableDataset):
    """A stream that says where it is, and can't be read twice."""

    def __init__(self):
        self.at, self.rounds = 0, 0

    def __iter__(self):
        while self.at < COUNT:
            self.at += 1
            yield self.at + 100 * self.rounds
        self.at, self.rounds = 0, self.rounds + 1

    def state_dict(self):
        return {"at": self.at, "rounds": self.rounds}

    def load_state_dict(self, state):
        self.at, self.rounds = state["at"], state["rounds"]


class CountingIterator(data.IterableDataset):
    """A stream whose iterator says where it is."""

    class Iterator:
        def __init__(self):
            self.at = 0

        def __iter__(self):
            return self

        def __next__(self):
            if self.at == COUNT:
                raise StopIteration
            self.at += 1
            return self.at

        def state_dict(self):
            return {"at": self.at}

        def load_state_dict(self, state):
            self.at = state["at"]

    def __iter__(self):
        return self.Iterator()


def tensors():
    return data.TensorDataset(ag.arange(COUNT), ag.arange(COUNT) * 2)


def own():
    return ag.Generator().manual_seed(4)


def repeated(generator):
    return data.RandomSampler(range(COUNT), True, 2100, generator)


LOADERS = {
    "in order": lambda: data.DataLoader(tensors(), 4),
    "in order, the rest dropped": lambda: data.DataLoader(tensors(), 4, drop_last=True),
    "shuffled": lambda: data.DataLoader(tensors(), 4, shuffle=True),
    "by a generator": lambda: data.DataLoader(tensors(), 4, shuffle=True, generator=own()),
    "by the default one": lambda: data.DataLoader(
        tensors(), 300, sampler=repeated(ag.random.default_generator)
    ),
    "with replacement": lambda: data.DataLoader(tensors(), 300, sampler=repeated(own())),
    "noisy": lambda: data.DataLoader(Noisy(), 4, shuffle=True),
    "noisy, seeded": lambda: data.DataLoader(Noisy(), 4, shuffle=True, batch_seeds=True),
    "no batches": lambda: data.DataLoader(Noisy(), None, shuffle=True),
    "subset": lambda: data.DataLoader(
        tensors(), 3, sampler=data.SubsetRandomSampler(range(2, COUNT, 2))
    ),
    "weighted": lambda: data.DataLoader(
        tensors(), 3, sampler=data.WeightedRandomSampler(range(COUNT), 10)
    ),
    "foreign": lambda: data.DataLoader(tensors(), 3, sampler=Foreign(None)),
    "drawn at once": lambda: data.DataLoader(tensors(), 3, sampler=Drawn()),
    "batches": lambda: data.DataLoader(
        tensors(), batch_sampler=data.BatchSampler(Foreign(None), 5, True)
    ),
    "stream": lambda: data.DataLoader(Shuffling(), 4),
    "stream of samples": lambda: data.DataLoader(Shuffling(), None),
    "stream with a state": lambda: data.DataLoader(Counting(), 4),
    "stream with a state, the rest dropped": lambda: data.DataLoader(Counting(), 4, drop_last=True),
    "stream whose iterator has a state": lambda: data.DataLoader(CountingIterator(), 4),
}


def plain(batch):
    """A batch as lists of numbers."""
    parts = batch if isinstance(batch, list | tuple) else [batch]
    return [np.asarray(part).tolist() for part in parts]


def seed(number):
    ag.manual_seed(number)
    random.seed(number)
    np.random.seed(number)


def passes(loader, log, states, epochs=3):
    """Go over the data, drawing from every generator between batches."""
    for _ in range(epochs):
        for batch in loader:
            log.append((plain(batch), random.random(), np.random.rand(), ag.rand(1).item()))
            states.append(json.dumps(loader.state_dict()))
        log.append("end")
        states.append(json.dumps(loader.state_dict()))


@pytest.fixture(params=["philox", "mt19937"])
def generator(request):
    with ag.settings.using(generator=request.param):
        yield request.param


@pytest.mark.parametrize("kind", LOADERS)
def test_goes_on_exactly(kind, generator):
    seed(1)
    whole, states = [], []
    passes(LOADERS[kind](), whole, states)
    ends = whole.index("end"), len(whole) - 1
    for k in sorted({0, 1, ends[0] - 1, ends[0], ends[0] + 2}):
        seed(99)
        loader = LOADERS[kind]()
        ag.rand(3)
        loader.load_state_dict(json.loads(states[k]))
        rest, again = [], []
        passes(loader, rest, again, whole[k + 1 :].count("end"))
        assert rest == whole[k + 1 :]
        assert again == states[k + 1 :]


def test_a_state_of_a_state():
    """Loaded, asked at once, and loaded again; asked at the first batch behind a load."""
    seed(2)
    loader = data.DataLoader(Noisy(), 4, shuffle=True)
    batches = iter(loader)
    next(batches)
    state = loader.state_dict()
    rest = [plain(batch) for batch in batches]
    loader.load_state_dict(state)
    loader.load_state_dict(loader.state_dict())
    batches = iter(loader)
    assert plain(next(batches)) == rest[0]
    state = loader.state_dict()
    loader = data.DataLoader(Noisy(), 4, shuffle=True)
    loader.load_state_dict(state)
    assert [plain(batch) for batch in loader] == rest[1:]


def test_a_pass_left_by_break_counts_as_interrupted():
    loader = data.DataLoader(list(range(6)), 2)
    for _ in loader:
        break
    state = loader.state_dict()
    assert [b.tolist() for b in loader] == [[0, 1], [2, 3], [4, 5]]
    loader.load_state_dict(state)
    assert [b.tolist() for b in loader] == [[2, 3], [4, 5]]
    assert [b.tolist() for b in loader] == [[0, 1], [2, 3], [4, 5]]


def test_a_sampler_with_a_state_is_asked():
    def made():
        sampler = data.DistributedSampler(range(10), 2, 1, seed=3)
        return sampler, data.DataLoader(list(range(10)), 2, sampler=sampler)

    sampler, loader = made()
    sampler.set_epoch(5)
    batches = iter(loader)
    next(batches)
    state = loader.state_dict()
    sampler, again = made()
    again.load_state_dict(state)
    assert sampler.epoch == 5
    assert [b.tolist() for b in again] == [b.tolist() for b in batches]


def test_states_of_other_loaders_are_refused():
    loader = data.DataLoader(list(range(6)), 2)
    for state, message in [
        ({"a": 1}, "expected what state_dict"),
        (None, "expected what state_dict"),
        (
            data.DataLoader(list(range(6)), 3).state_dict(),
            "batch_size=3, this one has batch_size=2",
        ),
        (data.DataLoader(list(range(5)), 2).state_dict(), "samples=5, this one has samples=6"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            loader.load_state_dict(state)
    state = loader.state_dict()
    with (
        ag.settings.using(generator="mt19937"),
        pytest.raises(ArgumentError, match="the state is of the generator 'philox'"),
    ):
        loader.load_state_dict(state)


def test_a_sampler_that_has_become_shorter_is_refused():
    order = [0, 1, 2, 3]
    loader = data.DataLoader(list(range(6)), 2, sampler=order)
    batches = iter(loader)
    next(batches), next(batches)
    state = loader.state_dict()
    del order[1:]
    loader.load_state_dict(state)
    with pytest.raises(ArgumentError, match="the state has 2 batches, the sampler gives 1"):
        iter(loader)


def test_draws_of_a_batch_depend_on_its_number_only():
    def noise(seeds, generator="philox"):
        with ag.settings.using(generator=generator):
            seed(3)
            loader = data.DataLoader(Noisy(), 4, batch_seeds=seeds)
            batches = iter(loader)
            first, before = next(batches), (random.random(), ag.rand(1).item())
            return first, plain(next(batches)), before

    _, second, after = noise(True)
    _, again, after_again = noise(True)
    assert second == again and after == after_again
    seed(3)
    data.sampler.drawn_seed(None)
    assert after == (random.random(), ag.rand(1).item()), "generators go on as if nothing was read"
