"""The backend suite of `onnx`, computed by Argand: which cases pass, at its own tolerances.

`--write` puts the table into docs/compatibility.md; `--only TEXT` runs the cases whose names have
it, and shows how they fail.
"""

from __future__ import annotations

import functools
import os
import sys
import tomllib
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import DATA_DIR, load_model_tests
from onnx.backend.test.runner import Runner

import argand as ag
from argand.onnx.loading import load

KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator", "real")
REASONS = Path(__file__).with_name("onnx_suite.toml")


@functools.cache
def cases() -> dict[str, Any]:
    """All cases, by kind and name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {f"{k}/{c.name}": c for k in KINDS for c in load_model_tests(kind=k)}
    return dict(sorted(found.items()))


def reasons() -> dict[str, str]:
    """The cases that don't pass, each with its reason."""
    text = tomllib.loads(REASONS.read_text())
    return {f"{kind}/{name}": why for kind, part in text.items() for name, why in part.items()}


def _array(value: Any) -> Any:
    """What a case gives: arrays, TensorProtos, sequences of them."""
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    if isinstance(value, list | tuple):
        return [_array(v) for v in value]
    return value


def _from_file(path: Path, info: Any) -> Any:
    data = path.read_bytes()
    kind = info.type.WhichOneof("value")
    if kind == "sequence_type":
        return numpy_helper.to_list(onnx.SequenceProto.FromString(data))
    if kind == "optional_type":
        return numpy_helper.to_optional(onnx.OptionalProto.FromString(data))
    return numpy_helper.to_array(onnx.TensorProto.FromString(data))


def data_of(case: Any) -> Iterator[tuple[Any, list[Any], list[Any]]]:
    """The model of a case, with inputs and expected outputs, as often as it has them."""
    if case.model is not None:
        for inputs, outputs in case.data_sets:
            yield case.model, [_array(v) for v in inputs], [_array(v) for v in outputs]
    elif case.url is not None:
        path = Path(DATA_DIR) / "light" / os.path.basename(case.url)
        model = onnx.load(path)
        expected = path.with_name(path.stem + "_output_0.pb")
        initialisers = {t.name for t in model.graph.initializer}
        inputs = [
            Runner.generate_dummy_data(v, seed=0, name=case.model_name, random=False)
            for v in model.graph.input
            if v.name not in initialisers
        ]
        yield model, inputs, [_from_file(expected, model.graph.output[0])]
    else:
        folder = Path(case.model_dir)
        model = onnx.load(folder / "model.onnx")
        for data in sorted(folder.glob("test_data_set_*")):
            inputs = [
                _from_file(data / f"input_{i}.pb", v)
                for i, v in enumerate(model.graph.input)
                if (data / f"input_{i}.pb").exists()
            ]
            outputs = [
                _from_file(data / f"output_{i}.pb", v) for i, v in enumerate(model.graph.output)
            ]
            yield model, inputs, outputs


def _plain(value: Any) -> Any:
    """What the judge compares: arrays, lists of arrays."""
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value.detach().numpy() if isinstance(value, ag.Tensor) else value


def check(name: str, compiled: bool = False) -> None:
    """Run a case and compare; raises where it fails."""
    case = cases()[name]
    for proto, inputs, expected in data_of(case):
        model = load(proto, compiled=compiled)
        found = model(*inputs)
        found = found if isinstance(found, tuple) else (found,)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Runner.assert_similar_outputs(
                expected, [_plain(v) for v in found], case.rtol, case.atol
            )


def outcome(name: str, compiled: bool = False) -> str | None:
    """None for a case that passes, else the error."""
    try:
        check(name, compiled)
    except Exception as e:
        text = str(e).strip() or type(e).__name__
        lines = [line for line in text.splitlines() if line.strip()]
        return f"{type(e).__name__}: {' | '.join(lines)[:300]}"
    return None


def table(outcomes: dict[str, str | None]) -> str:
    """How many cases of each kind pass."""
    known = reasons()
    lines = ["| suite | cases | pass | others |", "|---|---:|---:|---|"]
    for kind in KINDS:
        part = {n: e for n, e in outcomes.items() if n.startswith(f"{kind}/")}
        failed = [n for n, e in part.items() if e is not None]
        why: dict[str, int] = {}
        for n in failed:
            why[known.get(n, "not known")] = why.get(known.get(n, "not known"), 0) + 1
        text = "; ".join(f"{count}: {reason}" for reason, count in sorted(why.items()))
        lines.append(f"| {kind} | {len(part)} | {len(part) - len(failed)} | {text} |")
    return "\n".join(lines)


def main() -> None:
    warnings.simplefilter("ignore")
    args = sys.argv[1:]
    compiled = "--compiled" in args
    only = args[args.index("--only") + 1] if "--only" in args else ""
    names = [n for n in cases() if only in n]
    if only and "--trace" in args:
        for n in names:
            try:
                check(n, compiled)
            except Exception:
                print("=====", n)
                traceback.print_exc(limit=-6)
        return
    outcomes = {n: outcome(n, compiled) for n in names}
    for n, e in outcomes.items():
        if e is not None:
            print(n, "|", e)
    passed = sum(e is None for e in outcomes.values())
    print(f"suite: {passed} of {len(outcomes)}")
    if "--write" in args and not only:
        from page import put

        put("onnx suite", table(outcomes))


if __name__ == "__main__":
    main()
