"""`argand.serialization`: what `load` may build besides plain data, as `torch.serialization`.

>>> import pathlib
>>> with ag.serialization.safe_globals([pathlib.PosixPath]):
...     ag.serialization.get_safe_globals() == [pathlib.PosixPath]
True
"""

from argand.io.endianness import (
    LoadEndianness,
    get_default_load_endianness,
    set_default_load_endianness,
)
from argand.io.files import get_unsafe_globals_in_checkpoint, load, save
from argand.io.registered import (
    add_safe_globals,
    clear_safe_globals,
    get_safe_globals,
    safe_globals,
)
from argand.io.skipping import skip_data

__all__ = [
    "LoadEndianness",
    "add_safe_globals",
    "clear_safe_globals",
    "get_default_load_endianness",
    "get_safe_globals",
    "get_unsafe_globals_in_checkpoint",
    "load",
    "safe_globals",
    "save",
    "set_default_load_endianness",
    "skip_data",
]
