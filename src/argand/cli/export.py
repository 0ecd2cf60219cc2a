"""`argand export`: an exported program as an ONNX file."""

from __future__ import annotations

import argparse
import json
import os

from argand.base.errors import ArgumentError
from argand.cli.models import read_model, settled, signature_of
from argand.export.program import AnySignature, ExportedProgram
from argand.fit.summary import size_text
from argand.onnx import exporter, exporting, saving


def run(options: argparse.Namespace) -> int:
    """Write the file; it appears whole or not at all."""
    if not options.target.lower().endswith(".onnx"):
        raise ArgumentError(f"{options.target}: the target's name must end in .onnx")
    program = read_model(options.file)
    signature = signature_of(program, options.signature, options.file)
    write_onnx(program, signature, options.target, options.opset)
    size = os.path.getsize(options.target)
    if options.json:
        print(json.dumps({"file": options.target, "bytes": size, "signature": signature.name}))
    else:
        print(f"{options.target}: {signature.name}, {size_text(size)}")
    return 0


def write_onnx(
    program: ExportedProgram, signature: AnySignature, path: str, opset: int | None = None
) -> None:
    """Write one signature as an ONNX model, which ONNX's checker has seen."""
    found = settled(signature, {})
    names = [found.inputs[s.leaf].name for s in found.sources]
    model = exporting.program_to_model(
        found.program,
        {name: tensor.numpy_array() for name, tensor in program.state.items()},
        opset=opset,
        input_names=names,
        output_names=[x.name for x in found.outputs],
        name=found.name,
    )
    exporter.check(model)
    saving.save(model, path)
