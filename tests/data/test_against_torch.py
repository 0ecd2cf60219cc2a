"""Batches, orders, seeds and errors beside PyTorch's, under its generator."""

import random
import re
from collections import OrderedDict, UserDict, UserList, deque, namedtuple
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

import argand as ag

torch = pytest.importorskip("torch", reason="PyTorch isn't installed beside the project")

COUNT = 17


def places(m):
    """The same datasets and loaders of one library."""
    data = m.utils.data

    class Noisy(data.Dataset):
        def __len__(self):
            return COUNT

        def __getitem__(self, i):
            info = data.get_worker_info()
            seed = info.seed if info else 0
            return i, random.random(), np.random.rand(), m.rand(2), m.randint(0, 9, (2,)), seed

    class Stream(data.IterableDataset):
        def __init__(self, length=None):
            self.length = length

        def __iter__(self):
            info = data.get_worker_info()
            start, step = (info.id, info.num_workers) if info else (0, 1)
            for i in range(start, COUNT + 5 * start, step):
                yield i, m.rand(1)

    return data, Noisy(), Stream()


CASES = {
    "in order": lambda d, s, i, n: d.DataLoader(s, 3, num_workers=n),
    "shuffled": lambda d, s, i, n: d.DataLoader(s, 3, shuffle=True, num_workers=n, drop_last=True),
    "single": lambda d, s, i, n: d.DataLoader(s, None, shuffle=True, num_workers=n),
    "persistent": lambda d, s, i, n: d.DataLoader(
        s,
        4,
        shuffle=True,
        num_workers=n,
        persistent_workers=n > 0,
        prefetch_factor=n + 1 if n else None,
    ),
    "weighted": lambda d, s, i, n: d.DataLoader(
        s, 4, sampler=d.WeightedRandomSampler(range(1, COUNT + 1), 9), num_workers=n
    ),
    "subset": lambda d, s, i, n: d.DataLoader(
        s, 2, sampler=d.SubsetRandomSampler(range(0, COUNT, 2)), num_workers=n
    ),
    "stream": lambda d, s, i, n: d.DataLoader(i, 3, num_workers=n),
    "stream, the rest dropped": lambda d, s, i, n: d.DataLoader(
        i, 3, num_workers=n, drop_last=True
    ),
    "stream of samples": lambda d, s, i, n: d.DataLoader(i, None, num_workers=n),
}


def plain(batch):
    parts = batch if isinstance(batch, list | tuple) else [batch]
    return [np.asarray(part).tolist() for part in parts]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("case", CASES)
def test_batches(case, workers):
    found = []
    with ag.settings.using(generator="mt19937"):
        for m in (ag, torch):
            m.manual_seed(7)
            random.seed(8)
            np.random.seed(9)
            loader = CASES[case](*places(m), workers)
            passes = [[plain(b) for b in loader] for _ in range(2)]
            found.append((passes, m.rand(2).tolist(), m.initial_seed()))
    assert found[0] == found[1]


def test_texts_of_errors():
    class Bad:
        def __len__(self):
            return 2

        def __getitem__(self, i):
            raise KeyError("missing")

    texts = []
    for m in (ag, torch):
        with pytest.raises(KeyError) as caught:
            next(iter(m.utils.data.DataLoader(Bad(), num_workers=1)))
        lines = str(caught.value).splitlines()
        texts.append([lines[0], lines[1], lines[-1]])
    assert texts[0] == texts[1]
    for options in (
        {"num_workers": -1},
        {"timeout": -1},
        {"prefetch_factor": 2},
        {"persistent_workers": True},
        {"shuffle": True, "sampler": [0]},
        {"batch_size": None, "drop_last": True},
    ):
        texts = []
        for m in (ag, torch):
            with pytest.raises(ValueError) as caught:
                m.utils.data.DataLoader([1], **options)
            texts.append(str(caught.value))
        assert re.split(r"[.,;]", texts[1])[0] in texts[0]


class Frozen(Mapping):
    """A mapping that can't be changed, and is made of another."""

    def __init__(self, parts):
        self.parts = parts

    def __getitem__(self, key):
        return self.parts[key]

    def __iter__(self):
        return iter(self.parts)

    def __len__(self):
        return len(self.parts)


class Row(Sequence):
    """A sequence that takes its elements one by one, so that a list doesn't make one."""

    def __init__(self, *parts):
        self.parts = parts

    def __getitem__(self, i):
        return self.parts[i]

    def __len__(self):
        return len(self.parts)


Pair = namedtuple("Pair", "a b")


def batches(m):
    """Lists of samples with every kind of content."""
    return [
        [1, 2],
        [True, False],
        [1, 2.5],
        [2.5, 1],
        ["a", "b"],
        ("a", "b"),
        [b"a", b"b"],
        [np.float32(1), np.float32(2)],
        [np.int16(1), np.int16(2)],
        [np.float64(1), np.float64(2)],
        [np.bool_(1), np.bool_(0)],
        [np.str_("a"), np.str_("b")],
        [np.ones(2), np.zeros(2)],
        [np.ones(2, np.float32), np.zeros(2, np.int32)],
        [np.array(3), np.array(4)],
        [np.zeros((0, 2)), np.zeros((0, 2))],
        [np.ones(2), np.ones(3)],
        [np.array(["a"]), np.array(["b"])],
        [np.array([None]), np.array([None])],
        [np.datetime64("2020"), np.datetime64("2021")],
        [m.ones(2), m.zeros(2)],
        [m.ones(2), m.zeros(2, dtype=m.float64)],
        [m.tensor(1), m.tensor(2)],
        [m.ones(2), m.ones(3)],
        [m.ones(2, requires_grad=True), m.zeros(2)],
        [(1, "a"), (2, "b")],
        [[1, "a"], [2, "b"]],
        [[1], [1, 2]],
        [(), ()],
        [{"a": 1, "b": {"c": 2.0}}, {"b": {"c": 3.0}, "a": 4}],
        [{"a": 1, "b": 2}, {"a": 1}],
        [OrderedDict(b=1, a=2), OrderedDict(b=3, a=4)],
        [UserDict(a=1), UserDict(a=2)],
        [Frozen({"a": 1}), Frozen({"a": 2})],
        [Pair(1, "x"), Pair(2, "y")],
        [Row(1, 2), Row(3, 4)],
        [deque([1, 2]), deque([3, 4])],
        [UserList([1, 2]), UserList([3, 4])],
        [range(2), range(2)],
        [{1, 2}, {3}],
        [None, None],
        [batches],
        [],
    ]


def described(value):
    """Types and numbers, without the library's own."""
    if isinstance(value, ag.Tensor | torch.Tensor):
        return str(value.dtype).split(".")[1], tuple(value.shape), value.tolist()
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.tolist()
    if isinstance(value, Mapping):
        return type(value), {key: described(part) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return type(value), [described(part) for part in value]
    return type(value), value


@pytest.mark.parametrize("place", range(len(batches(ag))))
def test_collate(place):
    found = []
    for m in (ag, torch):
        batch = batches(m)[place]
        for name in ("default_collate", "default_convert"):
            try:
                found.append(described(getattr(m.utils.data, name)(batch)))
            except Exception as error:
                found.append((type(error), str(error)))
    for mine, theirs in zip(found[:2], found[2:], strict=True):
        if isinstance(theirs[0], type) and issubclass(theirs[0], Exception):
            assert issubclass(mine[0], theirs[0]), (mine, theirs)
        else:
            assert mine == theirs


def test_datasets():
    texts = []
    for m in (ag, torch):
        data, found = m.utils.data, []
        part = data.Subset(data.Subset(list(range(10)), range(2, 9)), [3, 0, 6])
        found.append((part[1], part.__getitems__([2, 0]), len(part)))
        stack = data.StackDataset(a=part, b=[7, 8, 9])
        found.append((stack[1], stack.__getitems__([2, 0])))
        found.append(data.StackDataset(part, "xyz").__getitems__([1]))
        both = data.ConcatDataset([part, [5, 6]])
        found.append([both[i] for i in range(-5, 5)])
        with ag.settings.using(generator="mt19937"):
            for lengths in ([7, 3], [0.5, 0.3, 0.2], [0.77, 0.23], [1], [0.1] * 10):
                m.manual_seed(3)
                parts = data.random_split(range(10), lengths)
                found.append([list(part) for part in parts])
        for wrong in (
            lambda d=data: d.random_split(range(10), [1, 2]),
            lambda d=data: d.random_split(range(10), [1.5, -0.5]),
            lambda b=both: b[-6],
            lambda b=both: b[5],
            lambda d=data: d.ConcatDataset([]),
            lambda d=data, o=m.ones: d.TensorDataset(o(2), o(3)),
            lambda d=data: d.StackDataset([1], [1, 2]),
            lambda d=data: d.StackDataset(),
        ):
            try:
                wrong()
            except Exception as error:
                found.append(error)
        texts.append(found)
    for mine, theirs in zip(*texts, strict=True):
        if isinstance(theirs, Exception):
            assert isinstance(mine, type(theirs)), (mine, theirs)
        else:
            assert mine == theirs
