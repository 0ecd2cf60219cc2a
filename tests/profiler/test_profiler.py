"""Profiles: what is counted, what is inside what, tables, traces and schedules.

No test looks at how long anything took.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import argand as ag
from argand import nn
from argand.ir import bind as crossroads
from argand.profiler import (
    LegacyProfile,
    ProfilerAction,
    profile,
    record_function,
    schedule,
    tensorboard_trace_handler,
)
from argand.tensor.eager import plan_calls


def counts(measured: Any) -> dict[str, int]:
    return {row.key: row.count for row in measured.key_averages()}


def test_ops_are_counted() -> None:
    model, x = nn.Linear(3, 2), ag.ones(4, 3)
    with profile() as p:
        for _ in range(5):
            with record_function("forward"):
                y = model(x).relu()
            y.sum().backward()
    found = counts(p)
    assert found["forward"] == found["linear"] == found["relu"] == 5
    assert found["ReluBackward0"] == found["AddmmBackward0"] == 5
    assert crossroads.timer is None
    assert not crossroads.pushed
    before = len(p.events())
    model(x)
    assert len(p.events()) == before


def test_ops_that_have_a_plan_are_counted_too() -> None:
    plan_calls()
    x = ag.ones(4, 3)
    for _ in range(5):
        ag.exp(x)
    with profile() as p:
        for _ in range(3):
            ag.exp(x)
    assert counts(p)["exp"] == 3


def test_times_are_those_of_what_is_inside() -> None:
    with profile() as p, record_function("outer"):
        with record_function("inner"):
            y = ag.ones(3) + 1
        y.exp()
    by_name = {e.name: e for e in p.events()}
    outer, inner = by_name["outer"], by_name["inner"]
    assert inner.cpu_parent is outer
    assert by_name["add"].cpu_parent is inner
    assert by_name["exp"].cpu_parent is outer
    for event in p.events():
        assert event.cpu_time_total > 0
        assert 0 <= event.self_cpu_time_total <= event.cpu_time_total
    total = p.key_averages().self_cpu_time_total
    assert total == pytest.approx(outer.cpu_time_total)


def test_shapes_and_memory() -> None:
    with profile(record_shapes=True, profile_memory=True) as p:
        ag.ones(2, 3) @ ag.ones(3, 4)
        ag.ones(5, 3) @ ag.ones(3, 4)
    rows = [r for r in p.key_averages(group_by_input_shape=True) if r.key == "matmul"]
    assert [r.input_shapes for r in rows] == [[[2, 3], [3, 4]], [[5, 3], [3, 4]]]
    assert [r.self_cpu_memory_usage for r in rows] == [2 * 4 * 4, 5 * 4 * 4]
    text = p.key_averages(group_by_input_shape=True).table(sort_by="cpu_memory_usage")
    assert "CPU Mem" in text
    assert "[[2, 3], [3, 4]]" in text


def test_a_table() -> None:
    with profile() as p:
        for _ in range(3):
            (ag.ones(4) * 2).sum()
    text = p.key_averages().table(sort_by="count", row_limit=2, header="All of it")
    lines = text.splitlines()
    assert lines[0] == "All of it"
    assert lines[2].split("  ")[-1].strip() == "# of Calls"
    assert len(lines) == 8
    assert lines[-1].startswith("Self CPU time total: ")
    assert p.key_averages().total_average().count == len(p.events())


def test_a_trace_for_chrome(tmp_path: Path) -> None:
    with profile(record_shapes=True) as p, record_function("all"):
        ag.ones(4) * 2
    p.export_chrome_trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    by_name = {e["name"]: e for e in events}
    block, op = by_name["all"], by_name["mul"]
    assert (block["cat"], op["cat"], op["ph"]) == ("user_annotation", "cpu_op", "X")
    assert block["ts"] <= op["ts"]
    assert op["ts"] + op["dur"] <= block["ts"] + block["dur"] + 1
    assert op["args"]["Input Dims"][0] == [4]
    assert [f.name for f in tmp_path.iterdir()] == ["trace.json"]


def test_compiled_calls_are_one_event_each() -> None:
    f = ag.compile(lambda x: (x * 2).exp())
    f(ag.ones(3))
    with profile() as p:
        f(ag.ones(3))
        f(ag.ones(3))
    assert counts(p)["compiled lambda"] == 2
    assert "exp" not in counts(p)


def test_schedules() -> None:
    plan = schedule(wait=1, warmup=1, active=2, repeat=1, skip_first=1)
    assert [plan(i).value for i in range(8)] == [0, 0, 1, 2, 3, 0, 0, 0]
    with pytest.raises(ValueError, match="schedule"):
        schedule(wait=0, warmup=0, active=0)


def test_steps_of_a_schedule(tmp_path: Path) -> None:
    handed: list[dict[str, int]] = []
    plan = schedule(wait=1, warmup=1, active=2)
    with profile(schedule=plan, on_trace_ready=lambda p: handed.append(counts(p))) as p:
        for _ in range(9):
            ag.ones(2).exp()
            p.step()
    assert [h["exp"] for h in handed] == [2, 2]
    assert {"ProfilerStep#2", "ProfilerStep#3"} <= set(handed[0])
    assert p.current_action is ProfilerAction.WARMUP
    write = tensorboard_trace_handler(str(tmp_path), "me")
    with profile(on_trace_ready=write):
        ag.ones(2).exp()
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("me.")
    assert file.name.endswith(".pt.trace.json")


def test_only_one_at_a_time() -> None:
    with profile(), pytest.raises(RuntimeError, match="already enabled"), profile():
        pass
    assert crossroads.timer is None


def test_a_block_that_raises_ends_its_events() -> None:
    with profile() as p, pytest.raises(RuntimeError), record_function("bad"):
        ag.ones(2) @ ag.ones(3)
    assert counts(p)["bad"] == 1
    with record_function("unmeasured"):
        ag.ones(2)


def test_the_older_profile() -> None:
    with LegacyProfile(record_shapes=True) as p:
        ag.ones(2).exp()
    assert "exp" in p.table()
    assert p.self_cpu_time_total > 0
    assert p.total_average().count == len(p.function_events)


@pytest.mark.parametrize("algorithm", ["philox", "mt19937"])
def test_generators_share_and_copy_states(algorithm: str) -> None:
    with ag.settings.using(generator=algorithm):
        g = ag.Generator().manual_seed(3)
        twin = g.clone_state()
        first = ag.rand(4, generator=g)
        assert ag.equal(first, ag.rand(4, generator=twin))
        other = ag.Generator().graphsafe_set_state(g.graphsafe_get_state())
        twin.set_state(g.get_state())
        ag.rand(4, generator=other)
        ag.rand(4, generator=twin)
        assert ag.equal(ag.rand(4, generator=g), ag.rand(4, generator=twin))
