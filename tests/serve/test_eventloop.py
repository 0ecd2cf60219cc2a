"""The selector that polls before it waits."""

import asyncio
import selectors
import socket
import time

import pytest

from argand.serve.eventloop import BusySelector, begun, event_loop


@pytest.fixture
def pair():
    here, there = socket.socketpair()
    with here, there:
        yield here, there


@pytest.fixture
def looks(monkeypatch):
    """The timeouts that the system was asked with, and a clock that each look moves by a
    microsecond."""
    asked, real = [], selectors.DefaultSelector.select

    def select(self, timeout=None):
        asked.append(timeout)
        return real(self, 0)

    monkeypatch.setattr(selectors.DefaultSelector, "select", select)
    monkeypatch.setattr(time, "perf_counter", lambda: 1e-6 * len(asked))
    return asked


def test_it_sleeps_when_nothing_has_come_for_a_while(looks, pair):
    with BusySelector(5e-6) as selector:
        selector.register(pair[0], selectors.EVENT_READ)
        assert selector.select() == []
        assert looks[:-1] == [0] * len(looks[:-1]) and 5 <= len(looks) <= 7 and looks[-1] is None
    with BusySelector(5e-6) as selector:
        del looks[:]
        assert selector.select(1.0) == []
        assert looks[-1] == pytest.approx(1.0 - 5e-6)
    with BusySelector(5e-6) as selector:
        del looks[:]
        assert selector.select(2e-6) == []
        assert len(looks) <= 4 and looks[-1] == 0
        del looks[:]
        assert selector.select(0) == [] and looks == [0]


def test_it_polls_only_after_a_short_wait(looks, pair):
    with BusySelector(5e-6) as selector:
        key = selector.register(pair[0], selectors.EVENT_READ)
        assert selector.select() == []
        del looks[:]
        assert selector.select(1.0) == [] and looks == [1.0]
        pair[1].send(b"x")
        del looks[:]
        assert selector.select(1.0) == [(key, selectors.EVENT_READ)] and looks == [1.0]
        pair[0].recv(1)
        del looks[:]
        assert selector.select(1.0) == [] and looks[0] == 0 and len(looks) >= 5


def test_what_is_there_is_found_at_once(looks, pair):
    with BusySelector(5e-6) as selector:
        key = selector.register(pair[0], selectors.EVENT_READ)
        pair[1].send(b"x")
        assert selector.select() == [(key, selectors.EVENT_READ)]
        assert looks == [0]


@pytest.mark.parametrize("busy_poll", [0.0, 1e-4])
def test_a_loop_wakes_for_timers_sockets_and_other_threads(busy_poll, pair):
    async def run():
        loop = asyncio.get_running_loop()
        reader, writer = await asyncio.open_connection(sock=pair[0])
        loop.call_later(0.01, pair[1].send, b"late")
        late = await reader.readexactly(4)
        writer.close()
        await writer.wait_closed()
        return late, await asyncio.to_thread(lambda: "done")

    with asyncio.Runner(loop_factory=lambda: event_loop(busy_poll)) as runner:
        assert runner.run(run()) == (b"late", "done")


def test_work_that_needs_not_wait_is_done_at_once():
    done = []

    async def work(event):
        done.append("begun")
        try:
            if event is not None:
                done.append(await event.wait())
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            done.append("cancelled")
            raise
        done.append("done")

    async def at_once():
        done.append("all")

    async def run():
        assert begun(at_once()) is None and done == ["all"]
        event = asyncio.Event()
        task = begun(work(event))
        assert done[1:] == ["begun"]
        event.set()
        await task
        assert done[2:] == [True, "done"]
        del done[:]
        task = begun(work(event))  # waits for the next turn
        assert done == ["begun", True]
        await task
        assert done[2:] == ["done"]
        for turns in (0, 1):
            del done[:]
            task = begun(work(asyncio.Event()))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert done == ["begun", "cancelled"]

    asyncio.run(run())


def test_a_loop_knows_whether_something_else_has_come(pair):
    other = socket.socketpair()
    seen = []

    async def run():
        loop = asyncio.get_running_loop()
        for s in (pair[0], other[0]):
            loop.add_reader(s, lambda s=s: (s.recv(1), seen.append(loop.is_alone)))
        pair[1].send(b"x")
        await asyncio.sleep(0.01)
        for s in (pair[1], other[1]):
            s.send(b"x")
        await asyncio.sleep(0.01)

    with other[0], other[1], asyncio.Runner(loop_factory=event_loop) as runner:
        runner.run(run())
    assert seen == [True, False, False]
