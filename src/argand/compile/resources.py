"""The memory of compiled programs, in processes that live long: given back when they are gone, and
shared with other processes while they are there (`sharing`)."""

from __future__ import annotations

import gc

from argand.backends.select import load_backend
from argand.runtime import memory
from argand.runtime.packed import Shelf, sharing


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
    """Give the memory that nothing uses back to the system."""
    memory.give_back()


def reclaim() -> None:
    """Free programs that are gone, which refer to themselves, and give their memory back. It takes
    some hundredths of a second."""
    gc.collect()
    give_back()


__all__ = ["Shelf", "give_back", "prepare_giving_back", "reclaim", "set_apart", "sharing"]
