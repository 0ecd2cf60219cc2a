"""Switches of cuDNN that PyTorch's programs set: they can be set, and there is no cuDNN to heed
them, as in an installation of PyTorch for the CPU."""

from __future__ import annotations

enabled = True
benchmark = False
deterministic = False
allow_tf32 = True


def is_available() -> bool:
    """False: there is no cuDNN.

    >>> ag.backends.cudnn.is_available()
    False
    """
    return False


def version() -> None:
    """None: there is no cuDNN.

    >>> ag.backends.cudnn.version() is None
    True
    """
    return
