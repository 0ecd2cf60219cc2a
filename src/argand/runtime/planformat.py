"""How call plans are stored: the numbers that `tensor/plans.py` writes and generated code reads.

All is words (64-bit integers, addresses among them); places are in bytes.
"""

from __future__ import annotations

from typing import Final

# What `state` holds, in bytes.
TABLE: Final = 0
MASK: Final = 8
RECORD: Final = 16
TYPES: Final = 24  # how many types of tensors there are, and then the types
MOST_TYPES: Final = 8
STATE_WORDS: Final = 4 + MOST_TYPES

# The head of a plan, in bytes.
WORDS: Final = 0
WORDS_AT: Final = 8
RUNNING: Final = 16
SCRATCH: Final = 24
VALUES: Final = 32
STEPS: Final = 40
STEPS_AT: Final = 48
RESULT: Final = 56
RESULTS: Final = 64
RESULTS_AT: Final = 72
FACTORY: Final = 80
LEFT: Final = 88  # after so many calls the plan is made again, with all its kernels; 0: never
HEAD_WORDS: Final = 12

# What becomes of the results.
ONE: Final = 0
TUPLE: Final = 1
LIST: Final = 2
MADE: Final = 3
NOTHING: Final = 4

# Steps.
NEW: Final = 1
VIEW: Final = 2
KERNEL: Final = 3
TENSOR: Final = 4
NODE: Final = 5
PYTHON: Final = 6
COPY: Final = 7
LOOK_UP: Final = 8
MAY_WRITE: Final = 9
WROTE: Final = 10
TAKE_PLACE: Final = 11

# Entries of the table without a plan.
SEEN: Final = 0
NEVER: Final = 1
WAYS: Final = 4

MOST_WORDS: Final = 240
MOST_OPERANDS: Final = 24
MOST_VALUES: Final = 64
FIRST_OPERAND: Final = 2  # values 0 and 1 are the plan's scratch memory and address 0

# NumPy's flags of an array, as in its C interface.
C_CONTIGUOUS: Final = 0x1
ALIGNED: Final = 0x100
WRITEABLE: Final = 0x400
