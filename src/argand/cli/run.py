"""`argand run`: one PyTorch program, unmodified, on Argand."""

from __future__ import annotations

import argparse
import io
import os
import runpy
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from argand.alias.install import SITE, install_as_torch


def run(options: argparse.Namespace) -> int:
    """Run the program as `__main__`, as Python does; returns the exit status."""
    install_as_torch()
    _let_children_find_torch()
    sys.argv = [options.program, *options.arguments]
    if options.module:
        _set_first_path(os.getcwd())
        return _status(
            lambda: runpy.run_module(options.program, run_name="__main__", alter_sys=True)
        )
    try:
        with io.open_code(os.path.abspath(options.program)) as file:
            source = file.read()
    except OSError as error:
        print(f"argand run: can't open {options.program!r}: {error.strerror}", file=sys.stderr)
        return 2
    _set_first_path(os.path.dirname(os.path.realpath(options.program)))
    main = ModuleType("__main__")
    main.__file__ = options.program
    vars(main).update(__builtins__=__builtins__, __cached__=None)
    sys.modules["__main__"] = main
    return _status(lambda: exec(compile(source, options.program, "exec"), vars(main)))


def _status(program: Callable[[], Any]) -> int:
    """The status of a program that ends; its errors are shown from its own first line on."""
    try:
        program()
    except SystemExit:
        raise
    except BaseException as error:
        trace = error.__traceback__
        ours = {__file__, runpy.__file__, "<frozen runpy>"}
        while trace is not None and trace.tb_frame.f_code.co_filename in ours:
            trace = trace.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _set_first_path(folder: str) -> None:
    """Put a folder where Python puts that of its program: in the place of the command's own."""
    if not sys.flags.safe_path:
        sys.path[0] = folder


def _let_children_find_torch() -> None:
    """Let processes that the program starts find the alias package."""
    sys.path.append(SITE)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([before, SITE] if before else [SITE])
