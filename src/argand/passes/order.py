"""The order of what depends on one another."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence


def in_order(needs: Sequence[Collection[int]], kinds: Sequence[bool]) -> list[int]:
    """The numbers 0, 1, ... so that each comes after those that it needs, else ascending, but those
    of one kind gathered between those of the other; True comes first.

    >>> in_order([(), (2,), (), ()], [True, True, False, True])
    [0, 3, 2, 1]
    """
    waiting = [len(need) for need in needs]
    after: list[list[int]] = [[] for _ in needs]
    for i, need in enumerate(needs):
        for m in need:
            after[m].append(i)
    ready: dict[bool, list[int]] = {True: [], False: []}  # ascending, so heaps
    for i, count in enumerate(waiting):
        if count == 0:
            ready[kinds[i]].append(i)
    order: list[int] = []
    now = True
    while ready[True] or ready[False]:
        now = now if ready[now] else not now
        i = heapq.heappop(ready[now])
        order.append(i)
        for j in after[i]:
            waiting[j] -= 1
            if waiting[j] == 0:
                heapq.heappush(ready[kinds[j]], j)
    assert len(order) == len(needs), "they depend on each other in a ring"
    return order
