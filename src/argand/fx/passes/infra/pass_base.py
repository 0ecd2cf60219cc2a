"""The base of passes that are classes."""

from __future__ import annotations

import abc
from typing import Any, NamedTuple


class PassResult(NamedTuple):
    """What a pass gives: the module, and whether it has changed it."""

    graph_module: Any
    modified: bool


class PassBase(abc.ABC):
    """A pass: `requires` and `ensures` check the module before and after `call`."""

    def __call__(self, graph_module: Any) -> PassResult | None:
        self.requires(graph_module)
        result = self.call(graph_module)
        self.ensures(graph_module)
        return result

    @abc.abstractmethod
    def call(self, graph_module: Any) -> PassResult | None:
        """What the pass does."""

    def requires(self, graph_module: Any) -> None:  # noqa: B027  # a subclass may check
        """Raise where the module is not what the pass takes."""

    def ensures(self, graph_module: Any) -> None:  # noqa: B027  # a subclass may check
        """Raise where the module is not what the pass promises."""


__all__ = ["PassBase", "PassResult"]
