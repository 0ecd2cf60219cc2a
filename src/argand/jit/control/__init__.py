"""Scripted Python whose branches and loops on tensors stay in its program.

`converted` gives a function again with its control flow as calls of `staged`, which run as Python
where the condition is a Python value, and bind `cond` or `while_loop` where it is a traced tensor.
"""

from argand.jit.control.calls import converted, scripted_forwards

__all__ = ["converted", "scripted_forwards"]
