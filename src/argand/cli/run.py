"""`argand run`: one PyTorch program, unmodified, on Argand."""

from __future__ import annotations

import argparse
import os
import runpy
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from types import ModuleType
from typing import Any

from argand.alias.install import SITE, install_as_torch
from argand.base.settings import let_children_import

_IMPORTS = "<frozen importlib._bootstrap"
_LOADERS = ("<frozen runpy>", f"{_IMPORTS}>", f"{_IMPORTS}_external>")


def run(options: argparse.Namespace) -> int:
    """Run the program as `__main__`, as Python does; returns the exit status."""
    install_as_torch()
    let_children_import(SITE)
    sys.argv = [options.program, *options.arguments]
    if options.module:
        _set_first_path(os.getcwd())
        return _status(
            lambda: runpy.run_module(options.program, run_name="__main__", alter_sys=True)
        )
    if not os.access(options.program, os.R_OK) or os.path.isdir(options.program):
        print(f"argand run: can't read the file {options.program!r}", file=sys.stderr)
        return 2
    _set_first_path(os.path.dirname(os.path.realpath(options.program)))
    main = ModuleType("__main__")
    main.__file__, main.__builtins__ = options.program, __builtins__  # type: ignore[attr-defined]  # as Python sets it
    sys.modules["__main__"] = main
    return _status(lambda: _Program("__main__", options.program).exec_module(main))


class _Program(SourceFileLoader):
    """Loads a program; its code is not kept on disk."""

    def set_data(self, *args: Any, **kwargs: Any) -> None:
        """Nothing is written."""


def _status(program: Callable[[], Any]) -> int:
    """The status of a program that ends; its errors are shown from its own first line on."""
    try:
        program()
    except SystemExit:
        raise
    except BaseException as error:
        trace = error.__traceback__
        ours = {__file__, runpy.__file__, *_LOADERS}
        while trace is not None and trace.tb_frame.f_code.co_filename in ours:
            trace = trace.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _set_first_path(folder: str) -> None:
    """Put a folder where Python puts that of its program: in the place of the command's own."""
    if not sys.flags.safe_path:
        sys.path[0] = folder
