"""The number of threads of native code.

The pool of threads is generated code. It is attached here when it is loaded, and told the number
then and whenever it changes.
"""

from __future__ import annotations

from collections.abc import Callable

from argand.base.domains import check_counts
from argand.base.misuse import explained
from argand.base.settings import settings

_set_pool: Callable[[int], None] | None = None


def attach(set_pool: Callable[[int], None]) -> None:
    """Called by the pool when it is loaded."""
    global _set_pool
    _set_pool = set_pool
    set_pool(settings.threads)


def get_num_threads() -> int:
    """The number of threads that native code uses, the calling one among them.

    The number of CPUs that the process may use unless changed, or ``ARGAND_THREADS``.

    >>> ag.get_num_threads() >= 1
    True
    """
    count: int = settings.threads
    return count


@explained
def set_num_threads(count: int) -> None:
    """Use `count` threads from now on; results don't depend on it, to the bit.

    Raises ValueError for less than one. Follows `torch.set_num_threads`.

    >>> before = ag.get_num_threads()
    >>> ag.set_num_threads(1)
    >>> ag.get_num_threads()
    1
    >>> ag.set_num_threads(before)
    """
    check_counts(1, count=count)
    count = int(count)
    if _set_pool is not None:
        _set_pool(count)
    settings.threads = count
