"""`argand export`: an exported program as an ONNX file."""

from __future__ import annotations

import argparse
import json
import os

from argand import onnx
from argand.base.errors import ArgumentError
from argand.cli.models import read_model, signature_of
from argand.fit.summary import size_text


def run(options: argparse.Namespace) -> int:
    """Write the file; it appears whole or not at all."""
    if not options.target.lower().endswith(".onnx"):
        raise ArgumentError(f"{options.target}: the target's name must end in .onnx")
    program = read_model(options.file)
    signature = signature_of(program, options.signature, options.file)
    onnx.export(signature, f=options.target, opset=options.opset, mutable_state="inputs")
    size = os.path.getsize(options.target)
    if options.json:
        print(json.dumps({"file": options.target, "bytes": size, "signature": signature.name}))
    else:
        print(f"{options.target}: {signature.name}, {size_text(size)}")
    return 0
