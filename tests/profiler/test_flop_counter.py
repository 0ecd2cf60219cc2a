"""How many operations products take, against counts by hand."""

import argand as ag
from argand import nn
from argand.utils.flop_counter import FlopCounterMode


def count(function):
    with FlopCounterMode(display=False) as counter:
        function()
    return counter


def test_products_convolutions_and_attention():
    assert count(lambda: ag.ones(2, 3) @ ag.ones(3, 5)).get_total_flops() == 2 * 2 * 3 * 5
    assert count(lambda: ag.ones(4, 2, 3).bmm(ag.ones(4, 3, 5))).get_total_flops() == 2 * 4 * 30
    assert count(lambda: ag.addmm(ag.ones(5), ag.ones(2, 3), ag.ones(3, 5))).get_total_flops() == 60
    conv = nn.Conv2d(4, 6, 3, groups=2, bias=False)
    assert count(lambda: conv(ag.ones(1, 4, 8, 8))).get_total_flops() == 2 * 6 * 36 * 2 * 9
    q, k = ag.ones(1, 2, 5, 4), ag.ones(1, 2, 7, 4)
    attention = nn.functional.scaled_dot_product_attention
    assert count(lambda: attention(q, k, k)).get_total_flops() == 2 * 2 * 2 * 5 * 7 * 4
    assert count(lambda: ag.ones(10).exp() + 1).get_total_flops() == 0


def test_modules_and_backward():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 1)

        def forward(self, x):
            return self.last(self.first(x))

    net = Net()
    counter = count(lambda: net(ag.ones(2, 3)).sum().backward())
    counts = {name: sum(found.values()) for name, found in counter.get_flop_counts().items()}
    forward = {"Net": 64, "Net.first": 48, "Net.last": 16}
    # backward: both weights, and the input of the last layer
    assert counts == forward | {"Global": 64 + 48 + 16 + 16}
    assert "Net.first" in counter.get_table() and "50.00%" not in counter.get_table(0)


def test_nothing_is_left_behind(capsys):
    with FlopCounterMode():
        ag.compile(lambda x: x @ x)(ag.ones(2, 2))
    assert "Global" in capsys.readouterr().out
    counter = count(lambda: None)
    ag.ones(2, 2) @ ag.ones(2, 2)
    assert counter.get_total_flops() == 0


def test_counting_and_profiling_end_in_any_order():
    from argand import profiler

    counter, profiled = FlopCounterMode(display=False), profiler.profile()
    counter.__enter__()
    profiled.__enter__()
    _ = ag.ones(2, 2) @ ag.ones(2, 2)
    counter.__exit__(None, None, None)
    _ = ag.ones(2, 2) @ ag.ones(2, 2)
    profiled.__exit__(None, None, None)
    assert counter.get_total_flops() == 16
    counts = {row.key: row.count for row in profiled.key_averages()}
    assert counts["matmul"] == 2
