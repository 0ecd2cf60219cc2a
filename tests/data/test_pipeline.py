"""Pipelines: what stages give, and that a place is found again."""

import gc
import itertools
import json
import threading

import numpy as np
import pytest

import argand as ag
from argand import data
from argand.base.errors import ArgumentError, FormatError
from argand.data import DataLoader, Pipeline


def plain(element):
    if isinstance(element, dict):
        return {key: plain(value) for key, value in element.items()}
    if isinstance(element, list | tuple):
        return [plain(part) for part in element]
    return element if isinstance(element, str) else np.asarray(element).tolist()


def read(pipeline):
    return [plain(element) for element in pipeline]


def letters():
    yield from "abcdefg"


# -- stages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ([3, 1], [3, 1]),
        (range(3), [0, 1, 2]),
        (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
        (ag.arange(2), [0, 1]),
        (data.TensorDataset(ag.arange(2), ag.ones(2)), [[0, 1.0], [1, 1.0]]),
        (data.ChainDataset(["ab", "c"]), ["a", "b", "c"]),
        (letters, list("abcdefg")),
        ({"x": [1, 2], "y": np.array([0.5, 1])}, [{"x": 1, "y": 0.5}, {"x": 2, "y": 1.0}]),
        ({5, 6}, [5, 6]),
        (Pipeline("ab"), ["a", "b"]),
    ],
)
def test_sources(source, expected):
    pipeline = Pipeline(source)
    assert read(pipeline) == expected
    assert read(pipeline) == expected, "twice"


def test_sources_that_are_refused():
    with pytest.raises(ArgumentError, match="an iterator, which can be read only once: give a fu"):
        Pipeline(iter([1]))
    with pytest.raises(TypeError, match="expected a dataset, an iterable, a function"):
        Pipeline(3)


def test_stages_beside_itertools():
    numbers = Pipeline(range(10))
    assert read(numbers.map(lambda i: i * 2).filter(lambda i: i % 3)) == [
        i * 2 for i in range(10) if i * 2 % 3
    ]
    assert read(numbers.take(4)) == [0, 1, 2, 3]
    assert read(numbers.skip(7)) == [7, 8, 9]
    assert read(numbers.shard(3, 1)) == [1, 4, 7]
    assert read(numbers.enumerate(5).take(2)) == [[5, 0], [6, 1]]
    assert read(numbers.zip("abc", letters)) == [[0, "a", "a"], [1, "b", "b"], [2, "c", "c"]]
    assert read(numbers.take(1).concat("ab", [7])) == [0, "a", "b", 7]
    assert read(Pipeline("ab").repeat(2)) == list("abab")
    assert read(Pipeline("ab").repeat().take(5)) == list("ababa")
    assert read(Pipeline([]).repeat()) == read(Pipeline([1]).repeat(0)) == []
    assert read(numbers.batch(4)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert read(numbers.batch(4, drop_last=True)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert read(numbers.batch(4).unbatch()) == list(range(10))
    rows = Pipeline({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    assert read(rows.batch(2).unbatch()) == read(rows)
    pairs = Pipeline([(1, 2.0), (3, 4.0), (5, 6.0)])
    assert read(pairs.batch(2).unbatch()) == read(pairs)
    assert read(Pipeline(["abc", "", "d"]).flatten()) == list("abcd")
    assert read(numbers.prefetch(3)) == list(range(10))
    inner = Pipeline([3, 1, 0, 2]).interleave(lambda n: [n] * n, cycle_length=2)
    assert read(inner) == [3, 1, 3, 3, 2, 2]
    blocks = Pipeline("ab").interleave(lambda c: [c + str(i) for i in range(3)], 2, 2)
    assert read(blocks) == ["a0", "a1", "b0", "b1", "a2", "b2"]


def test_lengths():
    numbers = Pipeline(range(10))
    for pipeline in (
        numbers.map(str),
        numbers.shuffle(3),
        numbers.batch(3),
        numbers.batch(3, drop_last=True),
        numbers.take(20),
        numbers.take(4),
        numbers.skip(4),
        numbers.skip(40),
        numbers.shard(3, 2),
        numbers.repeat(3),
        numbers.zip("abc"),
        numbers.concat("abc"),
        numbers.enumerate().cache().prefetch(),
    ):
        assert len(pipeline) == len(read(pipeline))
    for pipeline in (numbers.filter(bool), numbers.repeat(), Pipeline(letters), numbers.flatten()):
        with pytest.raises(TypeError, match="the length of a pipeline"):
            len(pipeline)


def test_shuffle():
    ag.manual_seed(0)
    shuffled = Pipeline(range(50)).shuffle(8)
    first, second = read(shuffled), read(shuffled)
    assert sorted(first) == sorted(second) == list(range(50)) and first != second
    assert all(value <= place + 8 for place, value in enumerate(first)), (
        "no further than the buffer"
    )
    ag.manual_seed(0)
    assert [read(shuffled), read(shuffled)] == [first, second]
    own = Pipeline(range(50)).shuffle(seed=3)
    ag.manual_seed(1)
    a = [read(own), read(own)]
    again = Pipeline(range(50)).shuffle(seed=3)
    assert [read(again), read(again)] == a and a[0] != a[1]
    fixed = Pipeline(range(50)).shuffle(seed=3, reshuffle=False)
    assert read(fixed) == read(fixed) == a[0]
    twice = read(Pipeline(range(50)).shuffle(seed=3).repeat(2))
    assert sorted(twice[:50]) == sorted(twice[50:]) and twice[:50] != twice[50:]


def test_buckets():
    words = [[1] * n for n in (2, 5, 1, 7, 3, 6, 9)]
    batches = read(Pipeline(words).bucket([4, 8], [2, 2, 1], pad_value=-1))
    assert batches == [
        [[1, 1], [1, -1]],
        [[1] * 5 + [-1] * 2, [1] * 7],
        [[1] * 9],
        [[1, 1, 1]],
        [[1] * 6],
    ]
    rows = Pipeline([(ag.ones(n, 2), n) for n in (1, 3)])
    ((xs, ns),) = list(rows.bucket([], 2, length=lambda row: row[1]))
    assert xs.shape == (2, 3, 2) and xs.dtype is ag.float32 and xs.sum() == 8
    assert ns.tolist() == [1, 3]
    assert read(Pipeline(words).bucket([4], 3, drop_last=True, collate_fn=len)) == [3, 3]
    with pytest.raises(ArgumentError, match="boundaries must ascend"):
        Pipeline(words).bucket([4, 2], 3)


@pytest.mark.parametrize("workers", ["threads", "processes"])
def test_map_by_workers(workers):
    def noisy(i, generator):
        return i, ag.rand(3, generator=generator)

    found = []
    for count in (0, 1, 3):
        ag.manual_seed(2)
        pipeline = Pipeline(range(9)).map(noisy, count, workers=workers, generator=True)
        found.append([read(pipeline), read(pipeline)])
    assert found[0] == found[1] == found[2]
    assert found[0][0] != found[0][1]


def test_cache_in_memory():
    calls = []
    pipeline = Pipeline(range(5)).shuffle().map(lambda i: calls.append(i) or i).cache()
    first = read(pipeline.take(2))
    whole = read(pipeline)
    assert whole[:2] == first and read(pipeline) == whole and sorted(calls) == list(range(5))


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("workers", [1, 3])
def test_cache_in_a_file_by_workers(tmp_path, workers, persistent):
    """Each computes a part; together they write one file, which the next pass reads."""
    path, computed = tmp_path / "cache [x]", tmp_path / "computed"

    def element(i):
        with open(computed, "a") as file:
            file.write(f"{i}\n")
        return {"x": ag.full((2,), float(i)), "name": str(i)}

    pipeline = Pipeline(range(11)).map(element).cache(path).shuffle(4)
    loader = DataLoader(pipeline, 2, num_workers=workers, persistent_workers=persistent)
    for _ in range(3):
        names = [name for batch in loader for name in batch["name"]]
        assert sorted(names, key=int) == [str(i) for i in range(11)]
    assert sorted(map(int, computed.read_text().split())) == list(range(11))
    del loader
    gc.collect()
    assert {p.name for p in tmp_path.iterdir()} == {"cache [x]", "computed"}
    again = Pipeline(range(11)).map(element).cache(path)
    assert [e["x"].tolist() for e in again] == [[i, i] for i in range(11)]


def test_cache_in_a_file(tmp_path):
    things = [
        {"a": ag.rand(3).bfloat16(), "b": (1, None, 2.5, "text", b"bytes", True)},
        [np.arange(6).reshape(2, 3), np.float32(2), float("nan"), np.array(["a", "bc"])],
        {1: ag.ones(0, 2), ("k",): ag.arange(3)[::2]},
    ]
    path = tmp_path / "folder" / "cache"
    read_things = list(Pipeline(things).cache(path))
    assert [p.name for p in path.parent.iterdir()] == ["cache"]
    calls = []
    again = list(Pipeline(things).map(calls.append).cache(path))
    assert not calls and str(again) == str(read_things) == str(things)
    assert again[0]["a"].dtype is ag.bfloat16 and again[2][1].shape == (0, 2)
    part = Pipeline(range(5)).cache(tmp_path / "part")
    assert read(part.take(3)) == [0, 1, 2]
    del part
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
    with pytest.raises(TypeError, match="a object can't be kept in a file"):
        list(Pipeline([object()]).cache(tmp_path / "bad"))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(FormatError, match="is no cache of a pipeline"):
        list(Pipeline(things).cache(path))


def test_prefetch_computes_ahead_and_ends():
    started = threading.Event()

    def note(i):
        if i == 3:
            started.set()
        return i

    pipeline = Pipeline(range(100)).map(note).prefetch(3)
    elements = iter(pipeline)
    assert next(elements) == 0
    assert started.wait(20)
    before = [t for t in threading.enumerate() if t.name == "argand pipeline"]
    del elements, pipeline
    for thread in before:
        thread.join(20)
        assert not thread.is_alive()


# -- errors ----------------------------------------------------------------------------------------


def fails(i):
    raise ValueError(f"no {i}")


@pytest.mark.parametrize(
    ("pipeline", "stage"),
    [
        (lambda p: p.map(fails), "map"),
        (lambda p: p.map(fails, 2), "map"),
        (lambda p: p.map(fails, 1, workers="processes"), "map"),
        (lambda p: p.filter(fails), "filter"),
        (lambda p: p.batch(2, collate_fn=fails), "batch"),
        (lambda p: p.interleave(fails), "interleave"),
        (lambda p: p.bucket([2], 2, length=fails), "bucket"),
        (lambda p: p.map(fails).prefetch(), "map"),
        (lambda p: p.map(fails).shuffle().batch(2), "map"),
    ],
)
def test_errors_name_the_stage_and_the_line(pipeline, stage):
    made = pipeline(Pipeline(range(3)))
    with pytest.raises(ValueError, match=rf"in {stage}\(fails\) of the pipeline, added in test_pi"):
        list(made)


def test_errors_without_a_text_are_noted():
    def lookup(i):
        return {}[i]

    with pytest.raises(KeyError) as caught:
        list(Pipeline([1]).map(lookup))
    assert caught.value.args == (1,)
    assert "in map(lookup) of the pipeline, added in test_pipeline.py" in caught.value.__notes__[0]


# -- places ----------------------------------------------------------------------------------------


class Stateful(data.IterableDataset):
    """A stream whose iterator tells its place."""

    def __iter__(self):
        return self.Reading()

    class Reading:
        at = 0

        def __iter__(self):
            return self

        def __next__(self):
            if self.at == 12:
                raise StopIteration
            self.at += 1
            return self.at

        def state_dict(self):
            return {"at": self.at}

        def load_state_dict(self, state):
            self.at = state["at"]


def noisy(i, generator):
    return i, ag.rand((), generator=generator)


PIPELINES = {
    "numbers": lambda: Pipeline(range(11)),
    "function": lambda: Pipeline(letters),
    "stateful": lambda: Pipeline(Stateful()).map(lambda i: i + 1),
    "drawn": lambda: Pipeline(range(9)).map(lambda i: (i, ag.rand(()))),
    "usual": lambda: Pipeline(range(23)).shuffle(7).map(noisy, generator=True).batch(3).prefetch(2),
    "threads": lambda: Pipeline(range(23)).shuffle().map(noisy, 3, generator=True).batch(4),
    "processes": lambda: (
        Pipeline(range(7)).shuffle().map(noisy, 2, workers="processes", generator=True)
    ),
    "filter": lambda: Pipeline(letters).shuffle(3).filter(lambda c: c != "d").enumerate(),
    "buckets": lambda: (
        Pipeline(range(20)).shuffle(9).map(lambda n: [1] * n).bucket([5, 9], 3).map(ag.sum)
    ),
    "interleave": lambda: (
        Pipeline([4, 0, 3, 2])
        .shuffle()
        .interleave(lambda n: Pipeline(range(n)).shuffle().map(lambda i: (n, i)), 2)
    ),
    "unbatch": lambda: Pipeline(range(9)).shuffle(4).batch(4).unbatch().skip(1).shard(2, 1),
    "flatten": lambda: Pipeline(["abc", "", "defg"]).shuffle().flatten().batch(2, collate_fn=list),
    "joined": lambda: (
        Pipeline(range(4)).shuffle().repeat(3).zip(Pipeline(letters).concat("xyzuvw")).take(9)
    ),
    "cache": lambda: Pipeline(range(9)).shuffle(5).map(noisy, generator=True).cache().shuffle(3),
}


@pytest.mark.parametrize("kind", PIPELINES)
def test_goes_on_exactly(kind):
    ag.manual_seed(3)
    pipeline = PIPELINES[kind]()
    whole, states = [], []
    for _ in range(3):
        for element in pipeline:
            whole.append(plain(element))
            states.append(json.dumps(pipeline.state_dict()))
        whole.append("end")
        states.append(json.dumps(pipeline.state_dict()))
    end = whole.index("end")
    for k in sorted({0, 1, end // 2, end - 1, end, end + 2}):
        ag.manual_seed(9)
        pipeline = PIPELINES[kind]()
        pipeline.load_state_dict(json.loads(states[k]))
        rest = [states[k]]
        if kind == "cache" and k >= end:
            continue  # what is kept is kept by the process
        assert json.dumps(pipeline.state_dict()) == states[k]
        rest = []
        for _ in range(whole[k + 1 :].count("end")):
            rest += [*read(pipeline), "end"]
        assert rest == whole[k + 1 :]


def test_elements_before_a_place_are_not_computed():
    calls = []
    pipeline = Pipeline(range(100)).shuffle(10).map(lambda i: calls.append(i) or i).batch(4)
    batches = iter(pipeline)
    for _ in range(20):
        next(batches)
    state = pipeline.state_dict()
    assert len(calls) == 80
    calls.clear()
    pipeline.load_state_dict(state)
    assert len(read(pipeline)) == 5 and len(calls) == 20
    calls.clear()
    assert len(read(pipeline.skip(24))) == 1 and len(calls) == 4


# -- loaders, fit ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [None, 4])
def test_in_loaders_whatever_the_number_of_workers(size):
    found = []
    for workers in (0, 1, 3):
        ag.manual_seed(4)
        pipeline = Pipeline(range(18)).shuffle(6).map(noisy, generator=True)
        loader = data.DataLoader(pipeline, size, num_workers=workers)
        found.append([read(loader), read(loader)])
    assert found[0] == found[1] == found[2]
    first, second = found[0]
    assert first != second
    numbers = [b[0] for b in first]
    assert sorted(numbers if size is None else itertools.chain(*numbers)) == list(range(18))


@pytest.mark.parametrize("workers", [0, 2])
def test_places_in_loaders(workers):
    def made():
        pipeline = Pipeline(range(18)).shuffle(6).map(noisy, generator=True)
        return data.DataLoader(pipeline, 4, num_workers=workers)

    ag.manual_seed(4)
    loader = made()
    whole, states = [], []
    for _ in range(2):
        for batch in loader:
            whole.append(plain(batch))
            states.append(json.dumps(loader.state_dict()))
    for k in (0, 3, 4, 6):
        ag.manual_seed(5)
        loader = made()
        loader.load_state_dict(json.loads(states[k]))
        rest = read(loader)
        while len(rest) < len(whole) - k - 1:
            rest += read(loader)
        assert rest == whole[k + 1 :]


def test_fit_takes_its_batches():
    x = np.random.RandomState(0).rand(40, 3).astype(np.float32)
    pipeline = Pipeline({"x": x, "y": x.sum(1, keepdims=True)}).shuffle(seed=1)
    batches = pipeline.map(lambda row: (row["x"], row["y"])).batch(8)
    net = ag.nn.Sequential(ag.nn.Linear(3, 1))
    net.compile("sgd", "mse")
    history = net.fit(batches, epochs=3, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
