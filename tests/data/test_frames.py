"""Columns and frames of pandas, polars and Arrow."""

import numpy as np
import pytest

import argand as ag
from argand import data
from argand.base.errors import ArgumentError

LIBRARIES = ["pandas", "polars", "pyarrow"]
NUMBERS = {"a": [1, 2, 3], "b": [0.5, 1.5, 2.5], "c": [True, False, True]}


def frame(library, columns):
    module = pytest.importorskip(library)
    return (module.table if library == "pyarrow" else module.DataFrame)(columns)


def column(library, values, **options):
    module = pytest.importorskip(library)
    make = {"pandas": "Series", "polars": "Series", "pyarrow": "array"}[library]
    return getattr(module, make)(values, **options)


@pytest.mark.parametrize("library", LIBRARIES)
def test_columns_and_frames(library):
    table = frame(library, NUMBERS)
    whole = ag.tensor(table)
    assert whole.dtype is ag.float64
    assert whole.tolist() == [[1.0, 0.5, 1.0], [2.0, 1.5, 0.0], [3.0, 2.5, 1.0]]
    assert ag.as_tensor(table, dtype=ag.float32).dtype is ag.float32
    for values, dtype in ((NUMBERS["a"], ag.int64), (NUMBERS["c"], ag.bool)):
        made = ag.tensor(column(library, values))
        assert made.tolist() == values and made.dtype is dtype
    floats = ag.as_tensor(
        frame(library, {"x": np.ones(2, np.float32), "y": np.zeros(2, np.float32)})
    )
    assert floats.dtype is ag.float32 and floats.tolist() == [[1, 0], [1, 0]]
    assert ag.tensor(frame(library, {"x": np.zeros(0)})).shape == (0, 1)


@pytest.mark.parametrize("library", LIBRARIES)
def test_memory_is_shared_where_it_can_be(library):
    made = column(library, np.arange(5.0))
    memory = np.asarray(made)
    assert np.shares_memory(ag.as_tensor(made)._array, memory)
    copied = ag.tensor(made)
    copied[0] = 7.0
    assert memory[0] == 0


@pytest.mark.parametrize("library", LIBRARIES)
def test_missing_values(library):
    whole = column(library, [1, None, 3], **({"dtype": "Int64"} if library == "pandas" else {}))
    with pytest.raises(ArgumentError, match=r"misses 1 of its values.*dtype=ag\.float32"):
        ag.tensor(whole)
    assert str(ag.tensor(whole, dtype=ag.float32).tolist()) == "[1.0, nan, 3.0]"
    truth = column(library, [True, None], **({"dtype": "boolean"} if library == "pandas" else {}))
    with pytest.raises(ArgumentError, match="misses 1"):
        ag.as_tensor(truth)
    floats = column(library, [1.5, None], **({"dtype": "Float64"} if library == "pandas" else {}))
    assert str(ag.as_tensor(floats).tolist()) == "[1.5, nan]"
    table = frame(library, {"a": whole, "b": [1.0, 2.0, 3.0]})
    with pytest.raises(ArgumentError, match="column 'a' misses 1"):
        ag.tensor(table)
    assert ag.tensor(table, dtype=ag.float64)[1].isnan().tolist() == [True, False]


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_holds_no_numbers_is_refused(library):
    import datetime

    days = [datetime.datetime(2020, 1, 1), datetime.datetime(2020, 1, 2)]
    for values, what in ((["x", "y"], "texts"), (days, "dates or times")):
        with pytest.raises(TypeError, match=f"the column holds {what}"):
            ag.tensor(column(library, values))
        with pytest.raises(TypeError, match=f"column 'd' holds {what}"):
            ag.as_tensor(frame(library, {"a": [1, 2], "d": values}))


def test_categories_are_their_codes():
    pandas = pytest.importorskip("pandas")
    assert ag.tensor(pandas.Series(["b", "a", "b"], dtype="category")).tolist() == [1, 0, 1]
    with pytest.raises(ArgumentError, match=r"misses 1 of its values.*: fill them first  "):
        ag.tensor(pandas.Series(["b", None], dtype="category"))
    polars = pytest.importorskip("polars")
    made = ag.tensor(polars.Series(["b", "a"], dtype=polars.Enum(["a", "b"])))
    assert made.tolist() == [1, 0] and made.dtype is ag.int64
    arrow = pytest.importorskip("pyarrow")
    coded = arrow.array(["x", "y", "x"]).dictionary_encode()
    assert ag.tensor(coded).tolist() == [0, 1, 0]
    assert ag.tensor(arrow.chunked_array([coded, coded])).tolist() == [0, 1, 0, 0, 1, 0]


def test_arrow_chunks_bitmaps_and_lists():
    arrow = pytest.importorskip("pyarrow")
    chunked = arrow.chunked_array([[1, 2], [], [3]])
    assert ag.tensor(chunked).tolist() == [1, 2, 3]
    bits = arrow.array([True, False] * 20)[3:]
    assert ag.tensor(bits).tolist() == bits.to_pylist()
    lists = arrow.array([[1.0, 2.0], [3.0, 4.0]], arrow.list_(arrow.float32(), 2))
    assert ag.tensor(lists).tolist() == [[1, 2], [3, 4]] and ag.tensor(lists).dtype is ag.float32
    with pytest.raises(TypeError, match="lists of different lengths"):
        ag.tensor(arrow.array([[1], [2, 3]]))
    pandas = pytest.importorskip("pandas")
    assert ag.tensor(pandas.Series([1, 2], dtype="int64[pyarrow]")).tolist() == [1, 2]


@pytest.mark.parametrize("library", LIBRARIES)
def test_datasets_and_fit(library):
    random = np.random.RandomState(0)
    x = random.rand(32, 2).astype(np.float32)
    table = frame(library, {"u": x[:, 0], "v": x[:, 1]})
    target = column(library, x.sum(1))
    samples = data.TensorDataset(table, target)
    np.testing.assert_array_equal(samples.tensors[0].numpy(), x)
    (batch, _), *_ = data.DataLoader(samples, 4)
    np.testing.assert_array_equal(batch.numpy(), x[:4])
    rows = data.Pipeline(frame(library, {"n": [1, 2], "s": ["x", "y"]}))
    assert list(rows) == [{"n": 1, "s": "x"}, {"n": 2, "s": "y"}]
    net = ag.nn.Sequential(ag.nn.Linear(2, 1), ag.nn.Flatten(0))
    net.compile("sgd", "mse")
    history = net.fit(table, target, epochs=2, verbose=0, batch_size=8)
    assert history.history["loss"][1] < history.history["loss"][0]
