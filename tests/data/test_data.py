"""Datasets, samplers, collation and loaders."""

from collections import Counter, namedtuple

import numpy as np
import pytest

import argand as ag
from argand import data
from argand.base import notices
from argand.data.fetch import is_cut
from argand.utils.data import DataLoader as TorchsPlace
from argand.utils.data import _utils as places
from argand.utils.data import dataloader


def numbers(n):
    return data.TensorDataset(ag.arange(n), ag.arange(n) * 10)


class Squares(data.Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return {"x": np.float32(i), "square": i * i}


class Stream(data.IterableDataset):
    def __iter__(self):
        yield from range(5)


def test_tensor_dataset():
    d = numbers(4)
    assert len(d) == 4
    assert [t.item() for t in d[2]] == [2, 20]
    assert [t.tolist() for t in d[1:3]] == [[1, 2], [10, 20]]
    assert data.TensorDataset(np.ones((2, 3)))[0][0].shape == (3,)
    with pytest.raises(RuntimeError, match=r"first sizes differ: \(2,\) and \(3,\)"):
        data.TensorDataset(ag.zeros(2), ag.zeros(3))


def test_subset_and_concatenation():
    d = data.Subset(numbers(10), [3, 5, 7])
    assert len(d) == 3 and d[1][0].item() == 5
    both = d + numbers(2)
    assert [both[i][0].item() for i in range(5)] == [3, 5, 7, 0, 1]
    assert both[-1][0].item() == 1
    with pytest.raises(IndexError, match="sample 5 is out of range for 5"):
        both[5]


def test_random_split():
    generator = ag.Generator().manual_seed(1)
    parts = data.random_split(numbers(10), [0.55, 0.45], generator)
    assert [len(p) for p in parts] == [6, 4]
    assert sorted(i for p in parts for i in p.indices) == list(range(10))
    again = data.random_split(numbers(10), [6, 4], ag.Generator().manual_seed(1))
    assert [p.indices for p in again] == [p.indices for p in parts]
    with pytest.raises(ValueError, match="sum to 9, the dataset has 10"):
        data.random_split(numbers(10), [5, 4])


def test_default_collate():
    Point = namedtuple("Point", "x y")
    batch = data.default_collate([(1, 2.5, "a", {"k": ag.ones(2)}, Point(True, np.zeros(3)))] * 2)
    assert batch[0].tolist() == [1, 1] and batch[0].dtype is ag.int64
    assert batch[1].dtype is ag.float64
    assert batch[2] == ("a", "a")
    assert batch[3]["k"].shape == (2, 2)
    assert isinstance(batch[4], Point) and batch[4].x.dtype is ag.bool
    assert batch[4].y.shape == (2, 3)
    with pytest.raises(RuntimeError, match="different lengths"):
        data.default_collate([(1,), (1, 2)])
    with pytest.raises(TypeError, match="found <class 'object'>; pass collate_fn"):
        data.default_collate([object()])


@pytest.mark.parametrize("dataset", [numbers(7), data.Subset(numbers(20), range(3, 10))])
@pytest.mark.parametrize("drop_last", [False, True])
def test_loader_cuts_tensor_datasets(dataset, drop_last):
    loader = data.DataLoader(dataset, batch_size=3, drop_last=drop_last)
    batches = list(loader)
    first = [dataset[i][0].item() for i in range(7)]
    expected = [first[:3], first[3:6]] + ([] if drop_last else [first[6:]])
    assert [x.tolist() for x, _ in batches] == expected
    assert all((y == x * 10).all() for x, y in batches)
    assert len(loader) == len(expected)


def test_subclasses_are_cut_unless_they_read_otherwise():
    class Named(data.TensorDataset):
        """Reads rows as its parent does."""

    class Doubled(data.TensorDataset):
        def __getitem__(self, i):
            return self.tensors[0][i] * 2

    assert is_cut(data.DataLoader(Named(ag.arange(3))))
    assert not is_cut(data.DataLoader(Doubled(ag.arange(3))))
    loader = data.DataLoader(Doubled(ag.arange(3)), batch_size=3)
    assert next(iter(loader)).tolist() == [0, 2, 4]


def test_batches_do_not_share_memory_with_the_dataset():
    d = numbers(4)
    for x, _ in data.DataLoader(d, batch_size=4):
        x.zero_()
    assert d.tensors[0].tolist() == [0, 1, 2, 3]


def test_shuffling_is_a_new_seeded_order_each_time():
    def orders(seed):
        loader = data.DataLoader(
            numbers(8), batch_size=3, shuffle=True, generator=ag.Generator().manual_seed(seed)
        )
        return [[v for x, _ in loader for v in x.tolist()] for _ in range(2)]

    first, second = orders(0)
    assert first != second and sorted(first) == sorted(second) == list(range(8))
    assert orders(0) == [first, second]
    ag.manual_seed(3)
    default = [x.item() for x, _ in data.DataLoader(numbers(8), shuffle=True)]
    ag.manual_seed(3)
    assert [x.item() for x, _ in data.DataLoader(numbers(8), shuffle=True)] == default


def test_vectorised_path_equals_sample_by_sample():
    d = numbers(9)
    options = {"batch_size": 4, "shuffle": True}
    fast = data.DataLoader(d, generator=ag.Generator().manual_seed(5), **options)
    slow = data.DataLoader(
        d,
        generator=ag.Generator().manual_seed(5),
        collate_fn=lambda batch: data.default_collate(batch),
        **options,
    )
    for a, b in zip(fast, slow, strict=True):
        assert [t.tolist() for t in a] == [t.tolist() for t in b]


def test_own_datasets_and_no_batching():
    batches = list(data.DataLoader(Squares(5), batch_size=2))
    assert batches[1]["square"].tolist() == [4, 9] and batches[1]["x"].dtype is ag.float32
    assert [s["square"] for s in data.DataLoader(Squares(3), batch_size=None)] == [0, 1, 4]
    assert [b.tolist() for b in data.DataLoader(Stream(), batch_size=2)] == [[0, 1], [2, 3], [4]]
    assert list(data.DataLoader(Stream(), batch_size=None)) == [0, 1, 2, 3, 4]


def test_samplers():
    assert list(data.SequentialSampler(range(3))) == [0, 1, 2]
    assert sorted(data.RandomSampler(range(5))) == list(range(5))
    assert len(list(data.RandomSampler(range(5), num_samples=12))) == 12
    draws = list(data.RandomSampler(range(3), replacement=True, num_samples=50))
    assert set(draws) == {0, 1, 2}
    assert sorted(data.SubsetRandomSampler([4, 2, 9])) == [2, 4, 9]
    ag.manual_seed(0)
    counts = Counter(data.WeightedRandomSampler([0.0, 1.0, 3.0], 400))
    assert counts[0] == 0 and 2 < counts[2] / counts[1] < 4.5
    batches = data.BatchSampler(data.SequentialSampler(range(5)), 2, drop_last=True)
    assert list(batches) == [[0, 1], [2, 3]] and len(batches) == 2
    loader = data.DataLoader(numbers(5), batch_sampler=[[4, 0], [1]])
    assert [x.tolist() for x, _ in loader] == [[4, 0], [1]]
    loader = data.DataLoader(numbers(5), batch_size=2, sampler=[3, 1, 2])
    assert [x.tolist() for x, _ in loader] == [[3, 1], [2]]


def test_refusals():
    with pytest.raises(ValueError, match="sampler or shuffle"):
        data.DataLoader(numbers(3), shuffle=True, sampler=[0])
    with pytest.raises(ValueError, match="mutually exclusive with batch_size"):
        data.DataLoader(numbers(3), batch_size=2, batch_sampler=[[0]])
    with pytest.raises(ValueError, match="its own order"):
        data.DataLoader(Stream(), shuffle=True)
    with pytest.raises(TypeError, match="unexpected keyword argument 'suffle'"):
        data.DataLoader(numbers(3), suffle=True)
    with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1"):
        data.DataLoader(numbers(3), batch_size=0)
    with pytest.raises(TypeError, match="expected a dataset with samples by number, got 5"):
        data.DataLoader(5)
    with pytest.raises(TypeError, match="num_samples must be a whole number"):
        data.RandomSampler(numbers(3), num_samples=1.5)


def test_samples_out_of_range():
    few = data.Subset(numbers(5), [1, 9])
    with pytest.raises(IndexError, match="sample 7 is out of range for 2 samples"):
        few[7]
    with pytest.raises(IndexError, match="sample 9 is out of range for 5 samples"):
        list(data.DataLoader(few, batch_size=2))
    with pytest.raises(IndexError, match="sample 7 is out of range for 2 samples"):
        list(data.DataLoader(few, batch_size=2, sampler=[0, 7]))


def test_torchs_place_and_ignored_options(monkeypatch):
    monkeypatch.setattr(notices, "_said", set())
    loader = TorchsPlace(numbers(3), batch_size=3, num_workers=2, pin_memory=True)
    with pytest.warns(UserWarning, match="pin_memory=True has no effect here: there is no accel"):
        assert len(list(loader)) == 1
    nothing = data.TensorDataset(ag.zeros(0, 2))
    assert len(list(data.DataLoader(nothing))) == 0
    with pytest.raises(ValueError, match="num_samples must be a whole number of at least 1, got 0"):
        data.DataLoader(nothing, shuffle=True)  # as PyTorch's: an order of nothing


def test_rules_for_other_types(monkeypatch):
    class Length(float):
        """A number with a unit."""

    def joined(batch, *, collate_fn_map):
        assert collate_fn_map is places.collate.default_collate_fn_map
        return "joined", batch

    rules = dict(places.collate.default_collate_fn_map)
    monkeypatch.setitem(places.collate.default_collate_fn_map, set, joined)
    assert data.default_collate([({1}, 2), ({3}, 4)])[0] == ("joined", ({1}, {3}))
    found = places.collate.collate(
        [Length(1), Length(2)], collate_fn_map={Length: lambda b, **_: b}
    )
    assert found == [1, 2]
    monkeypatch.setitem(places.collate.default_collate_fn_map, ag.Tensor, joined)
    (batch,) = data.DataLoader(data.TensorDataset(ag.arange(2)), 2)
    assert batch[0][0] == "joined", "rows aren't cut where tensors have another rule"
    monkeypatch.undo()
    assert places.collate.default_collate_fn_map == rules


def test_what_is_fixed():
    loader = data.DataLoader([1, 2])
    with pytest.raises(ValueError, match="batch_size attribute should not be set after DataLoader"):
        loader.batch_size = 2
    assert isinstance(iter(loader), dataloader._BaseDataLoaderIter)
    assert loader._dataset_kind == dataloader._DatasetKind.Map


def test_a_batch_sampler_that_was_given_says_the_order():
    rows = data.TensorDataset(ag.arange(8))
    backwards = data.BatchSampler(list(range(7, -1, -1)), 3, True)
    loader = data.DataLoader(rows, batch_sampler=backwards)
    assert [batch[0].tolist() for batch in loader] == [[7, 6, 5], [4, 3, 2]]
    in_order = data.BatchSampler(data.SequentialSampler(rows), 3, False)
    loader = data.DataLoader(rows, batch_sampler=in_order)
    assert [batch[0].tolist() for batch in loader] == [[0, 1, 2], [3, 4, 5], [6, 7]]


def test_a_loader_of_another_library_is_read_as_pytorch_reads_it():
    """fastai gives PyTorch's iterators an object that has their private attributes."""
    from itertools import count

    from argand.utils.data.dataloader import (
        _DatasetKind,
        _MultiProcessingDataLoaderIter,
        _SingleProcessDataLoaderIter,
    )

    class Foreign:
        _auto_collation, _dataset_kind, num_workers = False, _DatasetKind.Iterable, 2
        collate_fn = staticmethod(lambda sample: sample * 10)
        dataset: object = (1, 2, 3)
        _index_sampler: object = count()

    for kind in (_SingleProcessDataLoaderIter, _MultiProcessingDataLoaderIter):
        assert list(kind(Foreign())) == [10, 20, 30]
    loader = Foreign()
    loader._auto_collation, loader._dataset_kind = True, _DatasetKind.Map
    loader.dataset, loader._index_sampler = "abc", [[0, 2], [1]]
    assert [*_SingleProcessDataLoaderIter(loader)] == [["a", "c"] * 10, ["b"] * 10]
