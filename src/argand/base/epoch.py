"""One number that moves when something a compiled program was made for may have changed.

`Module.__setattr__`, `train()`/`eval()` and `tensor.data = ...` bump it; a call of a compiled
function compares it with the number of its last check, and looks at the details only when it has
moved.
"""

from __future__ import annotations

current = 0

# The ids of the tensors that compiled functions captured: their memory, shape and place on the tape
# are looked at again when a change of one of them bumps the number.
watched: set[int] = set()


def bump() -> None:
    """Tell compiled functions to look at their captured state again."""
    global current
    current += 1


def changed(tensor: object) -> None:
    """Bump the number when a compiled function captured this tensor."""
    if id(tensor) in watched:
        bump()
