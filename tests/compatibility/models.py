"""Published models under Argand and under PyTorch: the same weights, the same inputs.

    python tests/compatibility/models.py RUNS --pythons alias/bin/python torch/bin/python
    python tests/compatibility/models.py RUNS --pythons A B --part 0/4     # or in parts
    python tests/compatibility/models.py RUNS --pythons A B --only resnet50 gpt2
    python tests/compatibility/models.py RUNS --write                      # the table in docs/

The one interpreter is that of an environment with Argand and `argand as-torch`, the other has torch
2.13 (CPU) and the torchvision that belongs to it; both have timm, torchvision and transformers.
`models.txt` and `transformers_configs.py` name the models. What ran is kept in the folder RUNS, and
not run again unless `--only` names it. NumPy draws weights and inputs (`model_programs.py`).
Floating-point outputs agree where they differ by no more than TOLERANCE of the output's largest
magnitude; shapes, whole numbers and generated words must be equal.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from page import put
from transformers_configs import CONFIGS

HERE = Path(__file__).parent
TOLERANCE = 1e-4
TOGETHER = 10
"""How many models a process runs, in SECONDS at most."""
SECONDS = 900
LIBRARIES = ("timm", "torchvision", "transformers")
_VERSIONS = (
    "import importlib.metadata as m; print(*(f'{n} {m.version(n)}' for n in "
    "('torch', 'timm', 'torchvision', 'transformers')), sep=', ')"
)

Found = dict[str, Any]


def specs() -> list[str]:
    """Every model: its library, its name, the side of its images."""
    lines = (HERE / "models.txt").read_text().splitlines()
    listed = [line for line in lines if not line.startswith("#")]
    return listed + [f"transformers {name} 32" for name in CONFIGS]


def compare(chosen: list[str], pythons: Iterable[str]) -> Iterator[Found]:
    """What running some models in both interpreters gives."""
    with tempfile.TemporaryDirectory() as scratch:
        folders = {who: Path(scratch, who) for who in ("Argand", "PyTorch")}
        for python, folder in zip(pythons, folders.values(), strict=True):
            folder.mkdir()
            words = [python, str(HERE / "model_programs.py"), str(folder)]
            given = "\n".join(chosen)
            try:
                done = subprocess.run(
                    words, input=given, text=True, capture_output=True, timeout=SECONDS
                )
                end = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            except subprocess.TimeoutExpired:
                end = f"more than {SECONDS} s for {len(chosen)} models"
            folder.joinpath("end").write_text(end)
        for spec in chosen:
            yield {"spec": spec} | agreement(spec.split()[1], folders)


def agreement(name: str, folders: dict[str, Path]) -> Found:
    """What the files of a model's two runs say."""
    for who, folder in folders.items():
        problem, found = folder / f"{name}.txt", folder / f"{name}.npz"
        if problem.exists():
            return {"problem": f"{who}: {problem.read_text().strip().splitlines()[-1]}"}
        if not found.exists():
            return {"problem": f"{who}: {folder.joinpath('end').read_text()}"}
    ours, theirs = (json.loads(Path(f, f"{name}.json").read_text()) for f in folders.values())
    first = [n for n, sample in theirs["first"].items() if not near(ours["first"].get(n), sample)]
    notes = {"seconds": [ours["seconds"], theirs["seconds"]], "first": first}
    return notes | differ(*(dict(np.load(Path(f, f"{name}.npz"))) for f in folders.values()))


def near(ours: list[float] | None, theirs: list[float]) -> bool:
    """Whether first values agree but for last bits."""
    return ours is not None and np.allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def differ(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> Found:
    """The largest relative difference of outputs, or why they can't agree."""
    if set(ours) != set(theirs):
        return {"problem": f"outputs {sorted(set(ours) ^ set(theirs))} on one side only"}
    worst = 0.0
    for name, wanted in theirs.items():
        found = ours[name]
        if found.shape != wanted.shape or found.dtype != wanted.dtype:
            kinds = [f"{x.dtype}{list(x.shape)}" for x in (found, wanted)]
            return {"problem": f"{name}: {kinds[0]} for {kinds[1]}"}
        if wanted.dtype.kind != "f":
            if not np.array_equal(found, wanted):
                return {"problem": f"{name}: {(found != wanted).mean():.1%} of the numbers differ"}
        elif wanted.size:
            worst = max(worst, float(abs(found - wanted).max() / (abs(wanted).max() or 1.0)))
    if not worst <= TOLERANCE:
        return {"problem": f"outputs differ by {worst:.1e}", "worst": worst}
    return {"worst": worst}


def run(kept: Path, pythons: list[str], part: str, only: list[str]) -> None:
    """Run the models of a part that have not run yet, or those of `only`."""
    kept.mkdir(parents=True, exist_ok=True)
    versions = [subprocess.check_output([p, "-c", _VERSIONS], text=True).strip() for p in pythons]
    (kept / "versions").write_text("\n".join(versions))
    start, count = map(int, part.split("/"))
    paths = {spec: kept / f"{spec.replace(' ', '+')}.json" for spec in specs()[start::count]}
    waiting = [s for s, p in paths.items() if (s.split()[1] in only if only else not p.exists())]
    for i in range(0, len(waiting), TOGETHER):
        for found in compare(waiting[i : i + TOGETHER], pythons):
            paths[found["spec"]].write_text(json.dumps(found))
            print(found["spec"], found.get("problem") or f"{found['worst']:.1e}", end=" ")
            print(found.get("seconds"), (found.get("first") or ["all first values"])[0], flush=True)


def table(kept: Path) -> str:
    """The counts of each library, and what differs, in Markdown."""
    found = [json.loads(path.read_text()) for path in sorted(kept.glob("*.json"))]
    ours, theirs = (kept / "versions").read_text().split("\n")
    lines = [
        f"{date.today()}; under Argand: {ours}; under PyTorch: {theirs}.",
        "",
        "| library | models | equal outputs | the worst difference | equal first values |",
        "|---|---:|---:|---:|---:|",
    ]
    for library in LIBRARIES:
        chosen = [f for f in found if f["spec"].startswith(library)]
        equal = [f for f in chosen if not f.get("problem")]
        worst = max((f["worst"] for f in equal), default=0.0)
        first = sum(not f["first"] for f in equal)
        lines.append(f"| {library} | {len(chosen)} | {len(equal)} | {worst:.0e} | {first} |")
    wrong = [f for f in found if f.get("problem")]
    lines += ["", *(f"* {f['spec'].split()[1]}: {f['problem']}" for f in wrong)]
    other = [f["spec"].split()[1] for f in found if f.get("first")]
    lines += ["", f"First values differ in {', '.join(other)}."] if other else []
    return "\n".join(lines).strip()


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kept", type=Path, help="the folder of runs")
    parser.add_argument("--pythons", nargs=2, metavar=("ARGAND", "PYTORCH"))
    parser.add_argument("--part", default="0/1", help="I/N: every N-th model, from the I-th on")
    parser.add_argument("--only", nargs="+", default=[], help="names, to run again")
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    options = parser.parse_args()
    if options.pythons:
        run(options.kept, options.pythons, options.part, options.only)
    text = table(options.kept)
    print(text)
    if options.write:
        put("models", text)


if __name__ == "__main__":
    sys.exit(main())
