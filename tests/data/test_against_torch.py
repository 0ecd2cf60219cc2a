"""Batches, orders, seeds and errors beside PyTorch's, under its generator."""

import random
import re

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
