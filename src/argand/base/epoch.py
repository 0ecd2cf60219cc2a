"""One number that moves when something a compiled program was made for may have changed.

`Module.__setattr__`, `train()`/`eval()` and `tensor.data = ...` bump it; a call of a compiled
function compares it with the number of its last check, and looks at the details only when it has
moved.
"""

from __future__ import annotations

current = 0


def bump() -> None:
    """Tell compiled functions to look at their captured state again."""
    global current
    current += 1
