"""`Pipeline`: elements of a source, changed stage by stage."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from argand.base.domains import check_counts
from argand.base.errors import ArgumentError
from argand.base.userstack import user_location
from argand.data.applying import Apply, threads
from argand.data.collate import default_collate
from argand.data.dataset import IterableDataset, StackDataset
from argand.data.padding import padded_collate
from argand.data.randomness import PROCESS, captured, restore
from argand.data.readers import (
    Ahead,
    Batched,
    Bucketed,
    Cached,
    Chained,
    Context,
    Filtered,
    Indexed,
    Interleaved,
    Iterated,
    Mapped,
    Prefetched,
    Reader,
    Repeated,
    Shuffled,
    Sliced,
    Thunk,
    Unbatched,
    Zipped,
    check_readable,
)
from argand.data.sampler import drawn_seed
from argand.data.store import FileStore, MemoryStore
from argand.tensor.columns import column_values, is_frame
from argand.tensor.core import Tensor

_VERSION = 1
_Open = Callable[[Context], Reader]


class Pipeline(IterableDataset):
    """Elements of a source, changed stage by stage; each method gives a pipeline with one more.

    A source is a dataset or sequence (anything with `__getitem__` and `__len__`), an iterable, a
    function that makes an iterable, or columns by name (a dict, or a frame of pandas, polars or
    Arrow), whose rows are dicts. A pipeline can be
    gone through many times, in a loop, by `fit`, or by `DataLoader`, whose workers share its
    elements out among them: order and content don't depend on how many there are.

    A pass draws a seed from the default generator; a stage with a seed of its own depends on that
    and on the pass's number. Elements are computed when they are handed out: what `skip`, `shard`
    or a worker passes over isn't.

    `state_dict` tells the place in the middle of a pass as plain data; `load_state_dict` goes back
    to it, exactly, in a new process too: `map` isn't called again for elements before it. What
    `shuffle`, `bucket`, `interleave` and iterables without a state have read is read again.

    An error of a function names the stage and the line that added it.

    >>> squares = ag.data.Pipeline(range(5)).map(lambda i: i * i).batch(2)
    >>> [batch.tolist() for batch in squares]
    [[0, 1], [4, 9], [16]]
    """

    def __init__(self, source: Any) -> None:
        if is_frame(source):
            source = column_values(source)
        if isinstance(source, Mapping):
            source = StackDataset(**source)
        if isinstance(source, Pipeline):
            self._become(source._open, source._count, source)
            return
        if not callable(source) or hasattr(source, "__iter__") or hasattr(source, "__getitem__"):
            check_readable(source)
        self._become(partial(_opened, source), lambda: _known_length(source))

    def _become(
        self, opened: _Open, count: Callable[[], int], before: Pipeline | None = None
    ) -> None:
        self._open, self._count, self._before = opened, count, before
        self._passes = 0
        self._reading: _Pass | None = None
        self._saved: Mapping[str, Any] | None = None

    def _stage(self, opened: _Open, count: Callable[[], int] | None = None) -> Pipeline:
        """A pipeline with another stage; as long as this one unless told otherwise."""
        found = Pipeline.__new__(Pipeline)
        found._become(opened, count or self._count, self)
        return found

    # -- passes ------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Any]:
        saved, self._saved = self._saved, None
        if saved is not None:
            self._reading = _Pass(self._open, saved["seed"], saved["number"])
            self._reading.load_state_dict(saved)
        else:
            self._reading = _Pass(self._open, drawn_seed(None), self._next_number())
        return self._reading

    def _begin(self, seed: int, number: int) -> _Pass:
        """A pass for a loader, which has drawn the seed and keeps the place."""
        return _Pass(self._open, seed, number)

    def _next_number(self) -> int:
        """The number of the next pass."""
        self._passes += 1
        return self._passes - 1

    def __len__(self) -> int:
        return self._count()

    def state_dict(self) -> dict[str, Any]:
        """The place: in the pass that was last begun, and which passes were; and the states of the
        process's generators. Plain data, that JSON can hold.

        >>> pipeline = ag.data.Pipeline(range(4)).shuffle(2)
        >>> elements = iter(pipeline)
        >>> first, state = next(elements), pipeline.state_dict()
        >>> rest = list(elements)
        >>> pipeline.load_state_dict(state)
        >>> list(pipeline) == rest
        True
        """
        reading = self._saved
        if reading is None and self._reading is not None and not self._reading.finished:
            reading = self._reading.state_dict()
        return {
            "kind": "argand.Pipeline",
            "version": _VERSION,
            "passes": self._passes,
            "pass": reading,
            "generators": captured(PROCESS),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go back to a place that `state_dict` gave; the next pass is the rest of that one.

        Raises ArgumentError for a state of anything else; a state of another pipeline isn't
        recognised where its stages could have given it.

        >>> ag.data.Pipeline("ab").load_state_dict({})
        Traceback (most recent call last):
        argand.base.errors.ArgumentError: Pipeline.load_state_dict: expected what state_dict() \
gives, got {}
        """
        kind = state_dict.get("kind") if isinstance(state_dict, Mapping) else None
        if kind != "argand.Pipeline" or state_dict["version"] != _VERSION:
            raise ArgumentError(
                "Pipeline.load_state_dict: expected what state_dict() gives, got "
                f"{state_dict!r:.80}"
            )
        restore(PROCESS, state_dict["generators"])
        self._passes, self._saved = state_dict["passes"], state_dict["pass"]
        self._reading = None

    # -- functions ---------------------------------------------------------------------------------

    def map(
        self,
        fn: Callable[..., Any],
        num_workers: int = 0,
        *,
        workers: str = "threads",
        generator: bool = False,
    ) -> Pipeline:
        """What a function makes of each element, in order.

        `num_workers` threads compute ahead, or `workers="processes"`, which have the function by
        fork and hand arrays over in shared memory. With `generator=True` it is called with an
        `ag.Generator` too, seeded by the pass and the element's number: what it draws from that
        doesn't depend on workers or on where a pass is resumed.

        >>> noisy = ag.data.Pipeline([1.0, 2.0]).map(
        ...     lambda x, g: x + 0.1 * ag.rand((), generator=g), generator=True)
        >>> len(list(noisy))
        2
        """
        check_counts(0, num_workers=num_workers)
        if workers not in ("threads", "processes"):
            raise ArgumentError(f"map: workers must be 'threads' or 'processes', got {workers!r}")
        apply = Apply("map", fn, str(user_location()), generator)

        def opened(context: Context) -> Reader:
            seed = context.at("map").seed_of(None, True)
            before = self._open(context.at("in"))
            if num_workers and workers == "processes":
                from argand.data.applied import processes  # most pipelines need none

                return Ahead(before, processes(apply, seed, num_workers), 2 * num_workers)
            mapped = Mapped(before, lambda x, number: apply(x, number, seed))
            if not num_workers:
                return mapped
            return Ahead(mapped, threads(num_workers), 2 * num_workers)

        return self._stage(opened)

    def filter(self, fn: Callable[[Any], Any]) -> Pipeline:
        """The elements that a function says yes to.

        >>> list(ag.data.Pipeline(range(5)).filter(lambda i: i % 2))
        [1, 3]
        """
        apply = Apply("filter", fn, str(user_location()))
        return self._stage(
            lambda context: Filtered(self._open(context.at("in")), apply), _unknown("filter")
        )

    def interleave(
        self, fn: Callable[[Any], Any], cycle_length: int = 2, block_length: int = 1
    ) -> Pipeline:
        """The elements of the sources that a function makes of the elements: of `cycle_length`
        sources at a time, `block_length` of each in turn.

        >>> list(ag.data.Pipeline(["ab", "cd"]).interleave(lambda text: text))
        ['a', 'c', 'b', 'd']
        """
        check_counts(1, cycle_length=cycle_length, block_length=block_length)
        apply = Apply("interleave", fn, str(user_location()))

        def opened(context: Context) -> Reader:
            def inner(element: Any, number: int) -> Reader:
                return Pipeline(apply(element))._open(context.at(number))

            return Interleaved(self._open(context.at("in")), inner, cycle_length, block_length)

        return self._stage(opened, _unknown("interleave"))

    # -- order -------------------------------------------------------------------------------------

    def shuffle(
        self, buffer_size: int | None = None, seed: int | None = None, reshuffle: bool = True
    ) -> Pipeline:
        """A random one of the next `buffer_size` elements each time; of all where it is None.

        Another order in each pass, unless `reshuffle=False` is given with a seed.

        >>> sorted(ag.data.Pipeline(range(4)).shuffle(seed=0))
        [0, 1, 2, 3]
        """
        if buffer_size is not None:
            check_counts(1, buffer_size=buffer_size)

        def opened(context: Context) -> Reader:
            drawn = context.at("shuffle").seed_of(seed, reshuffle)
            return Shuffled(self._open(context.at("in")), buffer_size, drawn)

        return self._stage(opened)

    def repeat(self, count: int | None = None) -> Pipeline:
        """All elements `count` times, or for ever; shuffled anew each time.

        >>> list(ag.data.Pipeline("ab").repeat(2))
        ['a', 'b', 'a', 'b']
        """

        def opened(context: Context) -> Reader:
            return Repeated(lambda k: self._open(context.at(f"round {k}")), count)

        length = _unknown("repeat") if count is None else lambda: count * len(self)
        return self._stage(opened, length)

    def concat(self, *others: Any) -> Pipeline:
        """The elements of this one, then those of others.

        >>> list(ag.data.Pipeline("ab").concat("c"))
        ['a', 'b', 'c']
        """
        parts = [self, *map(Pipeline, others)]
        return self._stage(
            lambda context: Chained(*(p._open(context.at(i)) for i, p in enumerate(parts))),
            lambda: sum(map(len, parts)),
        )

    chain = concat

    def zip(self, *others: Any) -> Pipeline:
        """Tuples of an element of this one and of each other, as many as the shortest has.

        >>> list(ag.data.Pipeline("ab").zip(range(9)))
        [('a', 0), ('b', 1)]
        """
        parts = [self, *map(Pipeline, others)]
        return self._stage(
            lambda context: Zipped(*(p._open(context.at(i)) for i, p in enumerate(parts))),
            lambda: min(map(len, parts)),
        )

    # -- parts -------------------------------------------------------------------------------------

    def _sliced(self, start: int, stop: int | None, step: int) -> Pipeline:
        return self._stage(
            lambda context: Sliced(self._open(context.at("in")), start, stop, step),
            lambda: len(range(len(self))[start:stop:step]),
        )

    def take(self, count: int) -> Pipeline:
        """The first `count` elements.

        >>> list(ag.data.Pipeline("abc").take(2))
        ['a', 'b']
        """
        check_counts(0, count=count)
        return self._sliced(0, count, 1)

    def skip(self, count: int) -> Pipeline:
        """All but the first `count` elements.

        >>> list(ag.data.Pipeline("abc").skip(2))
        ['c']
        """
        check_counts(0, count=count)
        return self._sliced(count, None, 1)

    def shard(self, num_shards: int, index: int) -> Pipeline:
        """Every `num_shards`-th element, from number `index` on.

        >>> list(ag.data.Pipeline("abcde").shard(2, 1))
        ['b', 'd']
        """
        check_counts(1, num_shards=num_shards)
        if not 0 <= index < num_shards:
            raise ArgumentError(
                f"shard: index must be at least 0 and below {num_shards}, got {index}"
            )
        return self._sliced(index, None, num_shards)

    def enumerate(self, start: int = 0) -> Pipeline:
        """Pairs of a number and an element.

        >>> list(ag.data.Pipeline("ab").enumerate())
        [(0, 'a'), (1, 'b')]
        """
        return self._stage(
            lambda context: Mapped(self._open(context.at("in")), lambda x, n: (start + n, x))
        )

    # -- batches -----------------------------------------------------------------------------------

    def batch(
        self,
        batch_size: int,
        drop_last: bool = False,
        collate_fn: Callable[[list[Any]], Any] = default_collate,
    ) -> Pipeline:
        """`batch_size` elements together, as `default_collate` does it; the last batch may be
        smaller, unless `drop_last`.

        >>> list(ag.data.Pipeline(range(3)).batch(2, collate_fn=list))
        [[0, 1], [2]]
        """
        check_counts(1, batch_size=batch_size)
        apply = Apply("batch", collate_fn, str(user_location()))
        rounded = math.floor if drop_last else math.ceil
        return self._stage(
            lambda context: Batched(self._open(context.at("in")), batch_size, drop_last, apply),
            lambda: rounded(len(self) / batch_size),
        )

    def unbatch(self) -> Pipeline:
        """The rows of batches, as `default_collate` has put them together: of a tensor or array,
        and of the parts of dicts (as dicts), tuples and lists (as tuples).

        >>> list(ag.data.Pipeline({"x": [1, 2]}).batch(2).unbatch())
        [{'x': tensor(1)}, {'x': tensor(2)}]
        """
        rows = Apply("unbatch", _rows, str(user_location()))
        return self._stage(
            lambda context: Unbatched(self._open(context.at("in")), rows), _unknown("unbatch")
        )

    def flatten(self) -> Pipeline:
        """The elements of elements that are iterables.

        >>> list(ag.data.Pipeline(["ab", "c"]).flatten())
        ['a', 'b', 'c']
        """
        parts = Apply("flatten", iter, str(user_location()))
        return self._stage(
            lambda context: Unbatched(self._open(context.at("in")), parts), _unknown("flatten")
        )

    def bucket(
        self,
        boundaries: Sequence[int],
        batch_size: int | Sequence[int],
        length: Callable[[Any], int] = len,
        *,
        pad_value: Any = 0,
        drop_last: bool = False,
        collate_fn: Callable[[list[Any]], Any] | None = None,
    ) -> Pipeline:
        """Batches of elements of similar lengths: below the first boundary, from there to below the
        second, and so on; `batch_size` for all, or one for each of the buckets.

        Sequences in a batch are padded at their end with `pad_value` to the longest, unless
        `collate_fn` puts them together. A batch is given when it is full, the rest at the end.

        >>> words = ag.data.Pipeline([[1], [2, 3, 4], [5, 6], [7]])
        >>> [b.tolist() for b in words.bucket([3], 2, collate_fn=None)]
        [[[1, 0], [5, 6]], [[7]], [[2, 3, 4]]]
        """
        counts = [batch_size] if isinstance(batch_size, int) else list(batch_size)
        sizes = counts * (len(boundaries) + 1) if isinstance(batch_size, int) else counts
        if list(boundaries) != sorted(set(boundaries)) or len(sizes) != len(boundaries) + 1:
            raise ArgumentError(
                "bucket: boundaries must ascend, and batch_size be one number or one more than "
                f"there are boundaries; got {list(boundaries)} and {batch_size}"
            )
        for size in sizes:
            check_counts(1, batch_size=size)
        measure = Apply("bucket", length, str(user_location()))
        collate = collate_fn or partial(padded_collate, pad_value=pad_value)
        together = Apply("bucket", collate, str(user_location()))

        def bucket(element: Any) -> int:
            return int(np.searchsorted(boundaries, measure(element), side="right"))

        def opened(context: Context) -> Reader:
            return Bucketed(self._open(context.at("in")), bucket, sizes, together, drop_last)

        return self._stage(opened, _unknown("bucket"))

    # -- when elements are computed ----------------------------------------------------------------

    def cache(self, path: Any = None) -> Pipeline:
        """Elements computed once, and kept in memory, or in a file that later processes read too.

        What comes before the cache is fixed by the first pass: shuffle behind it. The file is
        written when a pass has computed every element, or a loader's workers have between them; it
        holds tensors, arrays, numbers, texts, bytes, None, lists, tuples and dicts, and raises
        TypeError for anything else.

        >>> calls = []
        >>> once = ag.data.Pipeline([1, 2]).map(lambda x: calls.append(x) or x).cache()
        >>> list(once), list(once), calls
        ([1, 2], [1, 2], [1, 2])
        """
        store = MemoryStore() if path is None else FileStore(path)

        def opened(context: Context) -> Reader:
            store.context = store.context or context.at("in")._replace(ends=[])
            store.begin()
            context.ends.append(store.settle)
            return Cached(self._open(store.context._replace(ends=context.ends)), store)

        return self._stage(opened)

    def prefetch(self, count: int = 2) -> Pipeline:
        """`count` elements computed ahead by a thread.

        >>> list(ag.data.Pipeline("ab").prefetch())
        ['a', 'b']
        """
        check_counts(1, count=count)
        return self._stage(lambda context: Prefetched(self._open(context.at("in")), count))


class _Pass:
    """A pass over a pipeline."""

    def __init__(self, opened: _Open, seed: int, number: int) -> None:
        self.seed, self.number, self.finished = seed, number, False
        self._open = opened  # not the pipeline, which keeps the pass
        self._begin()

    def _begin(self) -> None:
        self._ends: list[Callable[[], None]] = []
        self._reader = self._open(Context(self.seed, self.number, self._ends))

    def __iter__(self) -> _Pass:
        return self

    def __next__(self) -> Any:
        return self._take()()

    def _take(self) -> Thunk:
        try:
            return self._reader.take()
        except StopIteration:
            self.finished = True
            for end in self._ends:
                end()
            raise

    def pass_over(self, count: int) -> None:
        """Leave elements out, without computing them."""
        for _ in range(count):
            self._take()

    @property
    def given(self) -> int:
        """How many elements were taken or passed over."""
        return self._reader.given

    def state_dict(self) -> dict[str, Any]:
        """The place, as plain data."""
        return {"seed": self.seed, "number": self.number, "reader": self._reader.state()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go to a place from the beginning."""
        self.seed, self.number = state_dict["seed"], state_dict["number"]
        self._begin()
        self._reader.load(state_dict["reader"])


def _opened(source: Any, context: Context) -> Reader:
    """The reader of a source."""
    stream = isinstance(source, IterableDataset)
    if not stream and hasattr(source, "__getitem__") and hasattr(source, "__len__"):
        return Indexed(source)
    if not hasattr(source, "__iter__"):
        source = source()
        if isinstance(source, Pipeline):
            return source._open(context.at("made"))
    return Iterated(source)


def _known_length(source: Any) -> int:
    if not hasattr(source, "__len__"):
        raise TypeError(f"the length of a pipeline of a {type(source).__name__} isn't known")
    return len(source)


def _unknown(stage: str) -> Callable[[], int]:
    """The length behind a stage that doesn't tell it."""

    def length() -> int:
        raise TypeError(f"the length of a pipeline behind {stage} isn't known")

    return length


def _rows(batch: Any) -> Iterable[Any]:
    """The samples of a batch."""
    if isinstance(batch, Mapping):
        return (dict(zip(batch, row, strict=True)) for row in _together(batch.values()))
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return (type(batch)(*row) for row in _together(batch))
    if isinstance(batch, tuple | list) and not all(isinstance(x, str | bytes) for x in batch):
        return _together(batch)
    if isinstance(batch, Tensor | np.ndarray | tuple | list):
        return iter(batch)
    raise TypeError(f"unbatch: expected a batch of samples, got {type(batch).__name__}")


def _together(parts: Iterable[Any]) -> Iterable[tuple[Any, ...]]:
    return zip(*map(_rows, parts), strict=True)
