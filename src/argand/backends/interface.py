"""What every backend offers: a Program becomes something that runs on arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol


class CompiledProgram(Protocol):
    """A program that can be run."""

    @property
    def direct(self) -> tuple[Callable[[], Any], Callable[..., int], Any] | None:
        """Of a program that is one native call without an arena and with one output: how to make
        the output, the call on (inputs, output, table, table), which gives 0 where it has run, and
        its table of offsets. None of others."""

    def run(self, inputs: Sequence[Any], state: Sequence[Any]) -> Sequence[Any]:
        """The outputs as new arrays; written state is changed in place."""

    def explain(self) -> list[str]:
        """The segments, one line each: native, or host with the reason."""

    def guard_entry(self, records: list[Any]) -> Callable[[], bool] | None:
        """A native check of guards on Python values (see `codegen.llvm.guardcall`); None where
        the backend has no native code."""

    def match_entry(self, cls: type, expected: Sequence[Any]) -> Callable[..., Any] | None:
        """A native check of a call's tensors (see `codegen.llvm.matchcall`); None where the
        backend has no native code."""
