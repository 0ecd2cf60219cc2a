"""The memory that compiled programs leave when they are gone, in a process that lives long."""

from __future__ import annotations

import gc

from argand.backends.select import load_backend
from argand.runtime import memory


def prepare_giving_back() -> None:
    """Let `give_back` find all that is free, before the process begins its threads."""
    memory.let_threads_share_an_arena()


def set_apart() -> None:
    """Let no collection look at the objects that there are, those of the compiler among them, since
    they live as long as the process: for one that runs programs and nothing else."""
    load_backend("cpu")
    gc.collect()
    gc.freeze()


def give_back() -> None:
    """Free what only refers to itself, as programs do, and give the memory that nothing uses back
    to the system. It takes some hundredths of a second."""
    gc.collect()
    memory.give_back()


__all__ = ["give_back", "prepare_giving_back", "set_apart"]
