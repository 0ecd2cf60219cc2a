"""Small parts of PyTorch's namespace: futures, weak references, timers, symbolic sizes."""

import gc
import threading

import numpy as np
import pytest
from scipy import linalg

import argand as ag
from argand import futures
from argand.utils import weak
from argand.utils.benchmark import Compare, Measurement, TaskSpec, Timer


def test_a_future_waits_for_another_thread():
    future = futures.Future()
    told = []
    future.add_done_callback(lambda done: told.append(done.value()))
    thread = threading.Timer(0.01, future.set_result, (5,))
    thread.start()
    assert future.wait() == 5 and future.done()
    thread.join()
    assert told == [5] and future.then(lambda done: done.value() + 1).wait() == 6
    with pytest.raises(RuntimeError, match="already"):
        future.set_result(6)


def test_errors_go_through_futures():
    future = futures.Future()
    with pytest.raises(RuntimeError, match="no value yet"):
        future.value()
    after = future.then(lambda done: done.value() + 1)
    future.set_exception(ValueError("of a worker"))
    for failed in (future, after, futures.collect_all([future])):
        with pytest.raises(ValueError, match="of a worker"):
            found = failed.wait()
            found[0].wait()
    with pytest.raises(ValueError, match="of a worker"):
        futures.wait_all([after])
    assert futures.collect_all([]).wait() == [] == futures.wait_all([])


def test_entries_go_with_their_tensors():
    x, y = ag.ones(2), ag.ones(2)
    names = weak.WeakTensorKeyDictionary({x: "x"})
    names[y] = "y"
    assert names[x] == "x" and len(names) == 2 and {id(k) for k in names} == {id(x), id(y)}
    ref = weak.TensorWeakRef(x)
    del x
    gc.collect()
    assert ref() is None and len(names) == 1 and ag.ones(2) not in names and 3 not in names
    del names[y]
    assert not names


def test_a_timer_measures():
    ticks = iter(range(1000))
    timer = Timer("f()", "f = int", timer=lambda: next(ticks), sub_label="n", label="ints")
    found = timer.timeit(10)
    assert found.times == [0.1] and found.title == "ints: n"
    text = repr(timer.blocked_autorange(min_run_time=3))
    assert "Median: 1.00 s" in text and "setup: f = int" in text and "3 measurements" in text
    assert timer.adaptive_autorange(min_run_time=1).iqr == 0
    with pytest.raises(ValueError, match=r"no C\+\+ library"):
        Timer("f()", language="c++")
    before = ag.get_num_threads()
    assert Timer("pass").timeit(3).median > 0 and ag.get_num_threads() == before


def test_measurements_of_one_task_are_merged():
    task = TaskSpec("f(x)", "pass")
    (found,) = Measurement.merge([Measurement(1, [1.0, 2.0], task), Measurement(10, [30.0], task)])
    assert found.times == [1, 2, 3] and found.median == found.mean == 2 and found.iqr == 1
    assert "f(x)" in str(Compare([found])) and "seconds (s)" in str(Compare([found]))


def test_sizes_compute_as_numbers():
    assert (ag.sym_int(3.7), ag.sym_int(-3.7), ag.sym_float(3)) == (3, -3, 3.0)
    assert isinstance(ag.sym_max(3, 1.0), float) and ag.sym_min(3, 1) == 1
    assert ag.sym_not(0) and ag.sym_ite(True, 1, 2) == 1 and ag.sym_sum([1, 2]) == 3
    assert ag.sym_sqrt(9) == 3
    with pytest.raises(TypeError, match="one type"):
        ag.sym_ite(True, 1, 2.0)


def test_elements_are_mapped_by_python():
    x = ag.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert x.map_(ag.tensor([10.0, 20.0]), lambda a, b: a * b).tolist() == [[10, 40], [30, 80]]
    assert x.map2_(x, ag.ones(2, 2), lambda a, b, c: a + b + c).tolist() == [[21, 81], [61, 161]]
    with pytest.raises(TypeError, match="one dtype"):
        x.map_(ag.tensor([1, 2]), lambda a, b: a)
    with pytest.raises(RuntimeError, match=r"x\.detach\(\)\.map_"):
        x.requires_grad_().map_(ag.ones(2), lambda a, b: a)


@pytest.mark.parametrize("largest", [True, False])
def test_first_eigenvalues(largest):
    rng = np.random.default_rng(0)
    A, L = rng.standard_normal((2, 9, 9)), np.tril(rng.standard_normal((9, 9))) + 3 * np.eye(9)
    A, B = A + A.transpose(0, 2, 1), L @ L.T
    values, vectors = ag.lobpcg(ag.tensor(A), k=3, B=ag.tensor(B), largest=largest)
    for a, e, x in zip(A, values.numpy(), vectors.numpy(), strict=True):
        wanted = linalg.eigh(a, B)[0]
        np.testing.assert_allclose(e, wanted[::-1][:3] if largest else wanted[:3])
        np.testing.assert_allclose(a @ x, B @ x * e, atol=1e-10)
        np.testing.assert_allclose(x.T @ B @ x, np.eye(3), atol=1e-10)
    with pytest.raises(ag.ArgandError, match="from 1 to a third"):
        ag.lobpcg(ag.tensor(A), k=4)
    sparse = ag.tensor(A[0]).to_sparse()
    assert ag.allclose(ag.lobpcg(sparse, 2)[0], ag.lobpcg(ag.tensor(A[0]), 2)[0])
