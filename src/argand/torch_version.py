"""`argand.torch_version`: text that compares as versions do, as `torch.torch_version`."""

from __future__ import annotations

import re
from typing import Any


class TorchVersion(str):
    """A version that compares by its numbers, with another one or with a tuple of numbers; what
    follows a `+` doesn't count. As `torch.torch_version.TorchVersion`.

    >>> from argand.torch_version import TorchVersion
    >>> TorchVersion("2.13.0+cpu") >= "2.9", TorchVersion("2.13.0") < (2, 14)
    (True, True)
    """

    __slots__ = ()

    def __lt__(self, other: Any) -> bool:
        return _numbers(self) < _numbers(other)

    def __le__(self, other: Any) -> bool:
        return _numbers(self) <= _numbers(other)

    def __gt__(self, other: Any) -> bool:
        return _numbers(self) > _numbers(other)

    def __ge__(self, other: Any) -> bool:
        return _numbers(self) >= _numbers(other)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str) and str.__eq__(self, other):
            return True
        return isinstance(other, str | tuple | list) and _numbers(self) == _numbers(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


def _numbers(version: Any) -> tuple[int, ...]:
    """The numbers of a version, without zeros at the end: 2.0 is 2."""
    parts = version if isinstance(version, tuple | list) else _text_parts(str(version))
    numbers = [int(part) for part in parts]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def _text_parts(text: str) -> list[str]:
    release = re.match(r"\d+(\.\d+)*", text)
    return release[0].split(".") if release else []


__all__ = ["TorchVersion"]
