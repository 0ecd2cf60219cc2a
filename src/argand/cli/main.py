"""`argand`: the command line."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Any

import argand
from argand.base.errors import ArgandError
from argand.cli.serve import add_options


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
    except (ArgandError, OSError) as error:
        print(f"argand {options.command}: {_one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


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
    demo.add_argument(
        "--export",
        nargs="?",
        const="",
        metavar="FOLDER",
        help="export the model as an archive and as ONNX, and check both; keep them in a folder",
    )
    demo.add_argument(
        "--serve",
        action="store_true",
        help="serve the model, and compare the bits of what each protocol answers",
    )
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
    _add_program_commands(commands)
    _add_deploy(commands)
    _add_serve(commands)
    return parser


def _add_program_commands(commands: Any) -> None:
    """The commands that take the file of an exported program."""
    check = commands.add_parser(
        "check",
        help="run the samples of an exported program again, and say how far off they are",
        description="Check all of a file, run its samples again, and say how far off each output "
        "is. The exit status is 1 where one is further off than the tolerance.",
    )
    check.add_argument("file", metavar="FILE", help="an .argand file")
    check.add_argument(
        "--tolerance",
        type=_tolerance,
        help="the largest difference, as a part of the output's largest magnitude (1e-4 for "
        "float32, 1e-10 for float64, 1e-2 for float16, 2e-2 for bfloat16, else 0)",
    )
    inspect = commands.add_parser(
        "inspect",
        help="show the signatures, layers and costs of an exported program",
        description="Show the signatures of a file, its layers with their parameters, bytes and "
        "multiply-adds, the memory that a call needs, and what else the file has.",
    )
    inspect.add_argument("file", metavar="FILE", help="an .argand or .onnx file")
    inspect.add_argument("--signature", metavar="NAME", help="show the layers of this one only")
    inspect.add_argument(
        "--size",
        action="append",
        default=[],
        type=_size,
        metavar="NAME=NUMBER",
        help="count for this size of a symbol",
    )
    predict = commands.add_parser(
        "predict",
        help="call an exported program on arrays or images from files",
        description="Call an exported program on arrays or images from files, and print or keep "
        "what it gives.",
    )
    predict.add_argument("file", metavar="FILE", help="an .argand or .onnx file")
    predict.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="[NAME=]FILE",
        help="an input: .npy, .json, an image, or .npz with one or several; in the order of the "
        "signature, or by name",
    )
    predict.add_argument("--signature", metavar="NAME", help="which one to call")
    predict.add_argument("--output", metavar="FILE", help="keep the outputs: .npy, .npz or .json")
    export = commands.add_parser(
        "export",
        help="turn an exported program into an ONNX file",
        description="Write the program of an .argand file as an ONNX file.",
    )
    export.add_argument("file", metavar="FILE", help="an .argand file")
    export.add_argument("target", metavar="TARGET", help="the .onnx file")
    export.add_argument("--signature", metavar="NAME", help="which one to write")
    export.add_argument("--opset", type=int, metavar="NUMBER", help="the version of ONNX's ops")
    for command in (check, inspect, predict, export):
        command.add_argument("--json", action="store_true", help="print one JSON object")


def _add_deploy(commands: Any) -> None:
    deploy = commands.add_parser(
        "deploy",
        help="write what Docker, KServe, a cloud or Ray Serve needs to serve a model",
        description="Write the Dockerfile, the YAML or the Ray Serve application that serves the "
        "model of a file: pinned, with health checks and bounds, as a user without rights.",
    )
    deploy.add_argument("file", metavar="FILE", help="an .argand or .onnx file")
    targets = ("docker", "kserve", "vertex", "sagemaker", "azure", "ray")
    add = deploy.add_argument
    add("--to", required=True, choices=targets, help="where the model is to be served")
    add("--output", metavar="FOLDER", help="where the files are written (NAME-TARGET)")
    add("--name", help="of the model and the service (from the file's name)")
    add("--image", metavar="ADDRESS", help="of the image in a registry (NAME:1)")
    add("--cpus", type=_positive, default=2, help="processors of a replica (2)")
    add("--memory", default="4Gi", help="of a replica (4Gi)")
    add("--replicas", type=_positive, default=1, help="the least that run (1)")
    add("--most-replicas", type=_positive, default=4, help="the most, where load decides (4)")
    add("--force", action="store_true", help="overwrite files")
    add("--json", action="store_true", help="print one JSON object")


def _add_serve(commands: Any) -> None:
    serve = commands.add_parser(
        "serve",
        help="serve exported programs and ONNX models over HTTP and gRPC",
        description="Serve exported programs and ONNX models: the REST and gRPC protocols of "
        "TensorFlow Serving, of KServe and Triton, TorchServe's, and those of the clouds.",
    )
    add_options(serve)


def _tolerance(text: str) -> float:
    number = float(text)
    if not number >= 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, got {text}")
    return number


def _size(text: str) -> tuple[str, int]:
    name, sign, number = text.partition("=")
    if not sign or not number.isdigit():
        raise argparse.ArgumentTypeError(f"must be like n=8, got {text!r}")
    return name, int(number)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


if __name__ == "__main__":
    sys.exit(main())
