"""Memory that processes share."""

import subprocess
import sys

import numpy as np
import pytest

import argand as ag
from argand import nn

PROGRAM = """
import argand as ag, argand.multiprocessing as mp
from argand import nn, optim

def train(model, x, queue, event):
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    model(ag.ones(1, 3)).sum().backward()
    optimizer.step()
    x[1] = 7
    queue.put(x)
    queue.put(ag.ones(2))
    event.wait()

if __name__ == "__main__":
    context = mp.get_context("{how}")
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2).eval()).share_memory()
    before, x = model[0].bias.detach().clone(), ag.zeros(3).share_memory_()
    queue, event = context.Queue(), context.Event()
    child = context.Process(target=train, args=(model, x, queue, event))
    child.start()
    y, copy = queue.get(), queue.get()
    x[2] = 5
    event.set()
    child.join()
    moved = (before - model[0].bias).tolist()
    print(child.exitcode, [round(v, 4) for v in moved], x.tolist(), y.tolist(), y.is_shared())
    print(copy.tolist(), copy.is_shared(), model[0].bias.requires_grad)
"""


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_processes_train_one_model(how, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(how=how))
    done = subprocess.run([sys.executable, program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "0 [0.5, 0.5] [0.0, 7.0, 5.0] [0.0, 7.0, 5.0] True",
        "[1.0, 1.0] False True",
    ]


def test_a_tensor_keeps_its_elements_order_and_gradient():
    x = ag.arange(6.0).reshape(2, 3).t().clone()
    assert x.share_memory_() is x and x.is_shared() and x.share_memory_() is x
    assert x.tolist() == [[0, 3], [1, 4], [2, 5]]
    view = x[1]
    view += 1
    assert view.is_shared() and x[1].tolist() == [2, 5] and not x.clone().is_shared()
    w = nn.Parameter(ag.ones(2)).share_memory_()
    (w * 3).sum().backward()
    assert w.grad.tolist() == [3, 3] and not w.grad.is_shared()
    empty = ag.zeros(0, 2).share_memory_()
    assert empty.is_shared() and empty.shape == (0, 2)


def test_the_memory_goes_with_the_last_array_of_it():
    from argand.tensor.shared import _files

    x = ag.ones(1000).share_memory_()
    address, array = x.data_ptr(), x.numpy()
    assert address in _files
    del x
    np.testing.assert_array_equal(array, 1)
    assert address in _files
    del array
    assert address not in _files
