"""`argand inspect`: the signatures, layers and costs of an exported program."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from typing import Any

from argand.base.dim import Dim
from argand.base.errors import ArgumentError
from argand.cli.models import print_table, read_model, settled, signature_of
from argand.export.costs import layers, memory, parameter_names, program_of
from argand.export.program import ExportedProgram
from argand.export.signature import Signature
from argand.fit.summary import size_text


def run(options: argparse.Namespace) -> int:
    """Print what there is to know; nothing is compiled."""
    program = read_model(options.file)
    sizes = dict(options.size)
    named = list(program.signatures.values())
    if options.signature is not None:
        named = [signature_of(program, options.signature, options.file)]
    chosen = [settled(signature, sizes) for signature in named]
    _check_sizes(sizes, chosen, options.file)
    report = {
        "file": options.file,
        "bytes": os.path.getsize(options.file),
        **program.origin,
        "signatures": [_signature_facts(program, s, sizes) for s in chosen],
        "state": _state_facts(program),
        "assets": {name: len(data) for name, data in program.assets.items()},
        "samples": len(program.samples),
        "card": program.card,
    }
    if options.json:
        print(json.dumps(report, default=str))
    else:
        _tell(report)
    return 0


def _check_sizes(sizes: Mapping[str, int], chosen: list[Signature], path: str) -> None:
    known = {name for s in chosen for name in s.ranges}
    for name in sizes:
        if name not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise ArgumentError(f"{path}: --size: there is no size {name!r}; there are: {listed}")


def _state_facts(program: ExportedProgram) -> dict[str, dict[str, int]]:
    """How many tensors, elements and bytes there are of each kind."""
    found: dict[str, dict[str, int]] = {}
    for name, tensor in program.state.items():
        facts = found.setdefault(program.role(name), {"tensors": 0, "elements": 0, "bytes": 0})
        facts["tensors"] += 1
        facts["elements"] += tensor.numel()
        facts["bytes"] += tensor.numel() * tensor.dtype.itemsize
    return found


def _signature_facts(
    program: ExportedProgram, signature: Signature, sizes: Mapping[str, int]
) -> dict[str, Any]:
    own = {name: size for name, size in sizes.items() if name in signature.ranges}
    graph = program_of(signature, own)
    rows = layers(graph, parameter_names(program))
    total: Any = sum([row.multiply_adds for row in rows], 0)
    needed = memory(graph) if len(own) == len(signature.ranges) else None
    return {
        "name": signature.name,
        "inputs": list(map(str, signature.inputs)),
        "outputs": list(map(str, signature.outputs)),
        "sizes": {name: [r.min, r.max] for name, r in signature.ranges.items()},
        "given": own,
        "state_written": sum(1 for _ in graph.writes),
        "nodes": len(graph.nodes),
        "layers": [{**row._asdict(), "multiply_adds": _number(row.multiply_adds)} for row in rows],
        "multiply_adds": _number(total),
        "memory": None if needed is None else {**needed._asdict(), "peak": needed.peak},
    }


def _number(count: Any) -> int | str:
    return str(count) if isinstance(count, Dim) else int(count)


# -- as text ---------------------------------------------------------------------------------------


def _tell(report: Mapping[str, Any]) -> None:
    origin = f", format {report['format']}, by {report['producer']}" if "format" in report else ""
    print(f"{report['file']}: {size_text(report['bytes'])}{origin}")
    for facts in report["signatures"]:
        _tell_signature(facts)
    heads = ("state", "tensors", "elements", "bytes")
    if report["state"]:
        print_table(heads, [(kind, *facts.values()) for kind, facts in report["state"].items()])
    for name, size in report["assets"].items():
        print(f"asset {name}: {size_text(size)}")
    print(f"samples: {report['samples']}")
    for name, value in report["card"].items():
        print(f"card {name}: {value if isinstance(value, str) else json.dumps(value)}")
    if report.get("ops"):
        newer = {name: version for name, version in report["ops"].items() if version != 1}
        listed = ", ".join(f"{n} {v}" for n, v in newer.items()) or "all of version 1"
        print(f"ops: {len(report['ops'])}, {listed}")


_COUNTED = ("output", "parameters", "nbytes", "multiply_adds")


def _tell_signature(facts: Mapping[str, Any]) -> None:
    print(f"\n{facts['name']}({', '.join(facts['inputs'])}) -> ({', '.join(facts['outputs'])})")
    for name, (least, most) in facts["sizes"].items():
        given = f", here {facts['given'][name]}" if name in facts["given"] else ""
        print(f"  {name}: {least} to {'any' if most is None else most}{given}")
    heads = ("layer", "ops", "output", "parameters", "bytes", "multiply-adds")
    rows = [
        (x["module"], _listed(x["ops"]), *(x[key] for key in _COUNTED)) for x in facts["layers"]
    ]
    print_table(heads, rows)
    print(f"  {facts['nodes']} nodes, multiply-adds: {_grouped(facts['multiply_adds'])}")
    needed = facts["memory"]
    if needed is None:
        missing = ", ".join(f"--size {n}=..." for n in facts["sizes"] if n not in facts["given"])
        print(f"  peak memory: depends on the sizes; give {missing}")
        return
    parts = ", ".join(f"{k} {size_text(v)}" for k, v in needed.items() if k != "peak")
    print(f"  peak memory: {size_text(needed['peak'])} ({parts})")


def _grouped(count: int | str) -> str:
    return f"{count:,}" if isinstance(count, int) else count


def _listed(ops: tuple[str, ...], most: int = 4) -> str:
    more = f" and {len(ops) - most} more" if len(ops) > most else ""
    return " ".join(ops[:most]) + more
