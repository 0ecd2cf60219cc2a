"""`argand`: the command line."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

import argand
from argand.base.errors import ArgandError


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.command is None:
        parser.print_help()
        return 0
    # a command's own imports (rich, scikit-learn) are loaded only when it runs
    run = importlib.import_module(f"argand.cli.{options.command.replace('-', '_')}").run
    try:
        return int(run(options))
    except ArgandError as error:
        print(f"argand {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="argand",
        description="Deep learning, define-by-run and compiled to native code, in pure Python.",
    )
    parser.add_argument("--version", action="version", version=f"argand {argand.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="train a small network on handwritten digits, eagerly and compiled",
        description="Train a small convolutional network on scikit-learn's handwritten digits: "
        "an epoch eagerly, then compiled; save it, load it again, and look at what it predicts.",
    )
    demo.add_argument("--epochs", type=_positive, default=20, help="epochs compiled (20)")
    demo.add_argument("--batch-size", type=_positive, default=32, help="samples a step (32)")
    demo.add_argument("--lr", type=float, default=3e-3, help="Adam's learning rate (0.003)")
    demo.add_argument("--seed", type=int, default=0, help="of the weights and the order (0)")
    demo.add_argument("--save", metavar="FILE", help="keep the trained weights in this file")
    demo.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    info = commands.add_parser(
        "info",
        help="show the machine, the target of compiled code, threads and the cache",
        description="Show the machine, the target of compiled code, threads and the cache.",
    )
    info.add_argument("--json", action="store_true", help="print one JSON object")
    run = commands.add_parser(
        "run",
        help="run a program written for PyTorch, unmodified",
        description="Run a program written for PyTorch, unmodified: `import torch` finds Argand.",
    )
    run.add_argument("-m", dest="module", action="store_true", help="PROGRAM is a module's name")
    run.add_argument("program", metavar="PROGRAM", help="a file of Python")
    run.add_argument("arguments", metavar="...", nargs=argparse.REMAINDER, help="its arguments")
    as_torch = commands.add_parser(
        "as-torch",
        help="let `import torch` find Argand in this virtual environment",
        description="Put a package `torch`, which is Argand, and its metadata into this virtual "
        "environment, so that programs run and pip takes PyTorch for installed.",
    )
    as_torch.add_argument("--remove", action="store_true", help="take them away again")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


if __name__ == "__main__":
    sys.exit(main())
