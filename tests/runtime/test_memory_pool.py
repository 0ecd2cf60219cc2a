"""The memory pool: reuse, escaped views, bounds, alignment."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from argand.base.settings import settings
from argand.runtime import memory


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    gc.collect()
    memory.trim()
    yield
    gc.collect()
    memory.trim()


def kept_bytes() -> int:
    """Bytes that wait in the pool to be used again."""
    free = list(memory._free_blocks())
    for block in free:
        memory._blocks[block.nbytes].append(block)
    return sum(block.nbytes for block in free)


def address(array: np.ndarray) -> int:
    return array.ctypes.data


@pytest.mark.parametrize("shape", [(), (0,), (3,), (7, 5), (256, 257), (1 << 20,), (3, 0, 1 << 20)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "bool", "complex128"])
def test_empty_is_like_numpys(shape: tuple[int, ...], dtype: str) -> None:
    ours, theirs = memory.empty(shape, dtype), np.empty(shape, dtype)
    assert (ours.shape, ours.dtype, ours.strides) == (theirs.shape, theirs.dtype, theirs.strides)
    assert ours.flags.writeable and ours.flags.c_contiguous
    ours[...] = 1
    assert (ours == 1).all()


def test_memory_is_used_again() -> None:
    first = memory.empty((300, 300))
    place = address(first)
    del first
    assert kept_bytes() >= 360_000
    assert address(memory.empty((300, 300))) == place


def test_a_living_array_is_never_handed_out() -> None:
    arrays = [memory.empty(50_000) for _ in range(20)]
    assert len({address(a) for a in arrays}) == 20
    for value, array in enumerate(arrays):
        array.fill(value)
    assert [a[-1] for a in arrays] == list(range(20))


def test_an_escaped_view_keeps_the_block() -> None:
    array = memory.empty((300, 300))
    place = address(array)
    view = array[10:].T[::2]
    del array
    assert address(memory.empty((300, 300))) != place
    buffer = memoryview(view)
    del view
    gc.collect()
    assert address(memory.empty((300, 300))) != place
    del buffer
    assert kept_bytes() > 0


@pytest.mark.parametrize("count", [1 << 14, 100_000, 1 << 19, 3_000_001])
def test_alignment(count: int) -> None:
    for _ in range(2):
        array = memory.empty(count)
        assert address(array) % 64 == 0
        if array.nbytes >= 2 << 20:
            assert address(array) % (2 << 20) == 0
        del array


def test_bounded() -> None:
    with settings.using(pool_bytes=1 << 20):
        arrays = [memory.empty(100_000) for _ in range(10)]
        del arrays
        assert kept_bytes() <= 1 << 20
    memory.trim()
    assert kept_bytes() == 0


@pytest.mark.parametrize("size", [1 << 16, 100_000, (1 << 20) + 1, 50_000_001])
def test_size_class_wastes_little(size: int) -> None:
    spare = memory.size_class(size) - size
    assert 0 <= spare <= size // 8 + 4096


def test_temporaries_stay_in_the_same_block() -> None:
    held = [memory.empty(50_000) for _ in range(5)]
    places = {address(memory.empty(50_000)) for _ in range(20)}
    assert len(places) == 1
    del held


def test_room_is_made_for_other_sizes() -> None:
    memory.trim()
    in_use = memory._total  # by arrays that other tests left alive
    with settings.using(pool_bytes=in_use + (1 << 20)):
        for count in (50_000, 60_000, 80_000, 100_000, 120_000, 140_000, 160_000):
            memory.empty(count)
        assert 640_000 <= kept_bytes() <= 1 << 20


def test_threads() -> None:
    wrong: list[int] = []

    def work(value: int) -> None:
        for _ in range(300):
            array = memory.empty(20_000, np.int64)
            array.fill(value)
            if not (array == value).all():
                wrong.append(value)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_has_its_own_copy() -> None:
    array = memory.empty(50_000)
    array.fill(1)
    child = os.fork()
    if child == 0:
        array.fill(2)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert (array == 1).all()


_FREED_BY_A_THREAD = """
import threading
from pathlib import Path
import numpy as np
from argand.runtime import memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

def fill_and_free():
    np.ones(30 << 20, np.uint8)  # blocks as large come from the heap from now on
    held = [np.ones(3 << 20, np.uint8) for _ in range(6)]
    held.append(memory.empty(5 << 20, np.uint8))
    held[-1][...] = 1

memory.let_threads_share_an_arena()
before = resident()
thread = threading.Thread(target=fill_and_free)
thread.start()
thread.join()
memory.give_back()
print(resident() - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc")
def test_what_threads_have_freed_is_given_back() -> None:
    found = subprocess.run(
        [sys.executable, "-c", _FREED_BY_A_THREAD], stdout=subprocess.PIPE, check=True, text=True
    )
    assert int(found.stdout) < 2 << 20


_HEAPS = """
import ctypes
import threading
import numpy as np
from argand.runtime import memory

memory.let_threads_share_an_arena()
for _ in range(3):
    thread = threading.Thread(target=np.empty, args=(5000,))
    thread.start()
    thread.join()
library = ctypes.CDLL(None)
library.malloc_info(0, ctypes.c_void_p.in_dll(library, "stdout"))
library.fflush(None)
"""


@pytest.mark.skipif(memory._of_glibc("malloc_info") is None, reason="glibc tells its heaps")
def test_threads_take_from_one_heap() -> None:
    """Whether the end of a second heap is given back depends on what lies last in it."""
    found = subprocess.run(
        [sys.executable, "-c", _HEAPS],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # its threads begin before
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    assert found.stdout.count("<heap nr=") == 1
