"""The shortcut of PyTorch's encoder layers: it can be switched, and layers compute as ever.

>>> ag.backends.mha.get_fastpath_enabled()
True
"""

from __future__ import annotations

_enabled = True


def get_fastpath_enabled() -> bool:
    """What `set_fastpath_enabled` was given last.

    >>> ag.backends.mha.get_fastpath_enabled()
    True
    """
    return _enabled


def set_fastpath_enabled(value: bool) -> None:
    """Allow the shortcut, or forbid it: kept and answered, layers compute as ever.

    >>> ag.backends.mha.set_fastpath_enabled(True)
    """
    global _enabled
    _enabled = value
