"""Published programs, unmodified, under PyTorch and under Argand.

    python tests/compatibility/programs.py --sources DIR --data DIR --write
    python tests/compatibility/programs.py --sources DIR --data DIR --only nanoGPT,mnist
    python tests/compatibility/programs.py --sources DIR --data DIR --part 0/2 --write

DIR of `--sources` has the checkouts of the repositories that `programs.toml` names, in folders of
their names; that of `--data` has mnist.npz, tinyshakespeare.txt and cora.npz, of which
`program_data.py` makes the files that programs look for. Every program runs in a copy of its
checkout, once in an interpreter with PyTorch and torchvision and once in one in which Argand has
the name `torch` (`--torch`, `--argand`; by default environments in the user's cache folder, made
once). Random numbers are the same in both, so that runs are compared number by number: what
`backward` was called on, or else the tensors and the text that a program leaves.

`--write` keeps the results in `programs.json` beside those of programs that didn't run this time,
and puts the table into the page. `test_programs.py` runs Argand's half again.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import termios
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import program_data
from environment import for_programs
from page import put
from program_table import table

HERE = Path(__file__).resolve().parent
LIST = tomllib.loads((HERE / "programs.toml").read_text())
KEPT = HERE / "programs.json"
CLOSE = 1e-4
COMPARED = 10
"""Steps of each stage that must be within CLOSE."""
EXACT = 1e-8
"""Where more is apart: how close both must be in float64."""
NOISE = 4
"""Or how many times as far as PyTorch's own runs, rounded otherwise, they may be."""
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|\bnan\b|\binf\b")
_TIMES = re.compile(
    r"^\d+\t|[\d.:]+ ?(ms|s|sec|seconds|min|it/s|s/it)\b|ms/batch +[\d.]+|mfu.*|0x\w+"
    r"|time:? ?[\d.]+|\d+:\d\d(:\d\d)?(\.\d+)?|\d\d\d\d-\d\d-\d\d|^\S*Warning.*|it/s.*|ETA.*",
    re.MULTILINE,
)


@dataclass
class Outcome:
    """What became of a program in one interpreter."""

    error: str = ""
    runs: list[list[float]] = field(default_factory=list)
    """The losses of each stage that has some."""
    tensors: dict[str, float] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    output: str = ""
    seconds: float = 0.0
    in_parts: bool = False
    """Whether a driver ran parts of a program, each by itself."""

    @property
    def losses(self) -> list[float]:
        """Those of all stages."""
        return [loss for run in self.runs for loss in run]


@dataclass
class Runner:
    """One of the two interpreters, and where its copies of the checkouts lie."""

    python: str
    work: Path
    options: argparse.Namespace

    def run(self, program: dict[str, Any], seed: int = 0, how: str = "") -> Outcome:
        """Run all stages of a program in a copy of its checkout; `how` is one of the ways to
        compute that `program_run.py` knows."""
        copy = self.work / "checkout"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(
            self.options.sources / program["source"],
            copy,
            symlinks=True,
            ignore=shutil.ignore_patterns(".git", "docs", "papers", "*.gif"),
        )
        folder = copy / program.get("folder", ".")
        for name in program.get("data", []):
            program_data.make(name, folder, self.options.data)
        for stage in program["stages"] if "smaller" in program else ():
            _make_smaller(folder / shlex.split(stage)[0], program["smaller"])
        found = Outcome()
        for stage in program["stages"]:
            self._stage(shlex.split(stage), program, folder, {"seed": seed, "how": how}, found)
            if found.error:
                break
        return found

    def _stage(
        self,
        words: list[str],
        program: dict[str, Any],
        folder: Path,
        how: dict[str, Any],
        found: Outcome,
    ) -> None:
        record = self.work / "record.json"
        record.unlink(missing_ok=True)
        copy = self.work / "checkout"
        asked = how | {
            "record": str(record),
            "steps": program.get("steps"),
            "fetched": {k: str(folder / v) for k, v in program.get("fetched", {}).items()},
            "vision": program.get("vision", False),
            "paths": [str(copy / path) for path in program.get("paths", [])] + [str(folder)],
        }
        if words[0].startswith("@"):
            words[0] = str(HERE / "program_drivers" / words[0][1:])
        command = [self.python, "-W", "ignore", str(HERE / "program_run.py"), json.dumps(asked)]
        limit = program.get("limit", self.options.limit)
        try:
            with _input(program) as stdin:
                done = subprocess.run(
                    [*command, *words],
                    cwd=folder,
                    env=self._environment(program),
                    capture_output=True,
                    stdin=stdin,
                    text=True,
                    timeout=limit,
                )
        except subprocess.TimeoutExpired:
            found.error = f"not done after {limit} seconds"
            return
        found.output += done.stdout
        if done.returncode or not record.exists():
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            found.error = lines[-1][:300] if lines else f"status {done.returncode}"
            if self.options.details:
                print(done.stderr[-6000:])
            return
        kept = json.loads(record.read_text())
        found.runs += [kept["losses"]] if kept["losses"] else []
        found.tensors |= kept["tensors"]
        found.problems |= kept["problems"]
        found.seconds += kept["seconds"]
        found.in_parts |= kept["in_parts"]

    def _environment(self, program: dict[str, Any]) -> dict[str, str]:
        threads = str(self.options.threads)
        paths = [str(HERE / "program_site"), self._older(program), os.environ.get("PYTHONPATH")]
        return os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "OMP_NUM_THREADS": threads,
            "ARGAND_THREADS": threads,
            "PYTHONHASHSEED": "0",
            "TORCH_HOME": str(self.work / "hub"),
            "NLTK_DATA": str(self.work / "nltk_data"),
            "WANDB_MODE": "offline",
            "PYTHONUNBUFFERED": "1",
            "PYGAME_HIDE_SUPPORT_PROMPT": "1",
        }

    def _older(self, program: dict[str, Any]) -> str:
        """A folder with the releases of libraries that a program was written for, if it says so."""
        asked = program.get("older", [])
        folder = self.work / "-".join(["older", *asked])
        if asked and not folder.exists():
            pip = [self.python, "-m", "pip", "install", "-q", "--no-deps", "--target"]
            subprocess.run([*pip, str(folder), *asked], check=True)
        return str(folder) if asked else ""


@contextmanager
def _input(program: dict[str, Any]) -> Iterator[int]:
    """What a program reads from: nothing, or a terminal of 80 columns where it looks for one."""
    if not program.get("terminal"):
        yield subprocess.DEVNULL
        return
    ours, theirs = pty.openpty()
    try:
        termios.tcsetwinsize(theirs, (24, 80))
        yield theirs
    finally:
        os.close(ours)
        os.close(theirs)


def _make_smaller(path: Path, constants: list[list[str]]) -> None:
    """Put smaller constants into a program that takes no arguments."""
    text = path.read_text()
    for before, after in constants:
        assert before in text, f"{path.name} has no line {before!r}"
        text = text.replace(before, after)
    path.write_text(text)


def distance(ours: float, theirs: float) -> float:
    """How far two numbers are apart: absolutely below 1, relatively above."""
    if ours == theirs or (ours != ours and theirs != theirs):
        return 0.0
    gap = abs(ours - theirs) / max(1.0, abs(theirs))
    return gap if gap == gap else float("inf")


def difference(ours: Outcome, theirs: Outcome, what: str) -> tuple[float, str]:
    """The largest distance of what is compared, and what that was."""
    if what == "losses":
        left, right = ([loss for r in o.runs for loss in r[:COMPARED]] for o in (ours, theirs))
        if len(left) != len(right):
            return float("inf"), f"{len(ours.losses)} steps, not {len(theirs.losses)}"
        gaps = [distance(a, b) for a, b in zip(left, right, strict=True)]
        steps = f"{len(gaps)} of {len(theirs.losses)} losses"
        if len(ours.losses) != len(theirs.losses):  # a program may end where its loss is low
            steps += f", {len(ours.losses)} with Argand"
        return max(gaps, default=0.0), steps
    if what == "tensors":
        names = [name for name in theirs.tensors if name in ours.tensors]
        gaps = [distance(ours.tensors[name], theirs.tensors[name]) for name in names]
        return max(gaps, default=0.0), f"{len(names)} tensors"
    return _of_texts(ours.output, theirs.output)


def _of_texts(ours: str, theirs: str) -> tuple[float, str]:
    left, right = _TIMES.sub("", ours), _TIMES.sub("", theirs)
    words = f"{len(right.splitlines())} lines"
    if _NUMBER.sub("#", left).split() != _NUMBER.sub("#", right).split():
        return float("inf"), f"{words}: other words"
    pairs = zip(_NUMBER.findall(left), _NUMBER.findall(right), strict=True)
    return max((distance(float(a), float(b)) for a, b in pairs), default=0.0), words


def kind_of(program: dict[str, Any], theirs: Outcome) -> str:
    """What is compared of a program."""
    usual = (
        "losses"
        if theirs.losses and not theirs.in_parts
        else "tensors"
        if theirs.tensors
        else "output"
    )
    return str(program.get("compare", usual))


def reference(theirs: Outcome, what: str) -> dict[str, Any]:
    """Nine digits of PyTorch's numbers, for later runs of Argand (`test_programs.py`)."""
    if what == "losses":
        return {"runs": [list(map(_rounded, run[:COMPARED])) for run in theirs.runs]}
    if what == "tensors":
        return {"tensors": {name: _rounded(value) for name, value in theirs.tensors.items()}}
    return {"output": _TIMES.sub("", theirs.output)}


def _rounded(value: float) -> float:
    return float(f"{value:.9g}")


def result(program: dict[str, Any], torch: Runner, argand: Runner) -> dict[str, Any]:
    """A program's row of the table."""
    theirs, ours = torch.run(program), argand.run(program)
    found: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "torch": {"error": theirs.error, "seconds": round(theirs.seconds, 1)},
        "argand": {"error": ours.error, "seconds": round(ours.seconds, 1)},
    }
    if theirs.in_parts or theirs.problems or ours.problems:
        found["torch"]["problems"] = theirs.problems
        found["argand"]["problems"] = ours.problems
    if theirs.error or ours.error:
        return found
    what = kind_of(program, theirs)
    gap, of = difference(ours, theirs, what)
    found |= {"difference": gap if gap < float("inf") else "other", "of": of, "compared": what}
    found["reference"] = reference(theirs, what)
    if gap > CLOSE:
        again, _ = difference(torch.run(program, how="otherwise"), theirs, what)
        found["itself"] = again if again < float("inf") else "other"
        found["double"] = _in_double(program, what, torch, argand)
    if gap > CLOSE and program.get("spread"):
        found |= _within_spread(program, ours, theirs, torch)
    if torch.options.details:
        _show(what, ours, theirs)
    return found


def _in_double(program: dict[str, Any], what: str, torch: Runner, argand: Runner) -> float | str:
    """The difference where both compute in float64: what is left is not a matter of rounding."""
    theirs, ours = (runner.run(program, how="double") for runner in (torch, argand))
    if theirs.error or ours.error:
        return theirs.error or ours.error
    gap, _ = difference(ours, theirs, what)
    if torch.options.details:
        _show(what, ours, theirs)
    return gap if gap < float("inf") else "other"


def _within_spread(
    program: dict[str, Any], ours: Outcome, theirs: Outcome, torch: Runner
) -> dict[str, Any]:
    """Whether the last losses are among those of three seeds."""
    others = [theirs, *(torch.run(program, seed) for seed in (1, 2))]
    ends = [_end(outcome.losses) for outcome in others]
    spread = max(ends) - min(ends)
    inside = min(ends) - spread <= _end(ours.losses) <= max(ends) + spread
    return {"spread": [_end(ours.losses), *ends], "inside": inside}


def _end(losses: list[float]) -> float:
    last = losses[-max(1, len(losses) // 10) :]
    return sum(last) / len(last)


def _show(what: str, ours: Outcome, theirs: Outcome) -> None:
    if what == "losses":
        for a, b in zip(ours.losses, theirs.losses, strict=False):
            print(f"    {a:.7g}  {b:.7g}  {distance(a, b):.1e}")
    for name, value in theirs.tensors.items():
        other = ours.tensors.get(name, float("nan"))
        if not distance(other, value) <= CLOSE:
            print(f"    {name}: {other:.7g}  {value:.7g}")
    if what == "output":
        for a, b in zip(ours.output.splitlines(), theirs.output.splitlines(), strict=False):
            print(*([f"    {a}\n  / {b}"] if a != b else []), end="\n" if a != b else "")


def chosen(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The programs to run."""
    programs = LIST["program"]
    if options.only:
        asked = options.only.split(",")
        programs = [p for p in programs if any(a in f"{p['source']}: {p['name']}" for a in asked)]
    if options.part:
        number, count = map(int, options.part.split("/"))
        programs = programs[number::count]
    return list(programs)


def interpreters(options: argparse.Namespace) -> tuple[str, str]:
    """The interpreters of PyTorch and of Argand; made where they aren't given."""
    libraries, vision = LIST["libraries"], LIST["torchvision"]
    torch = options.torch or str(for_programs(libraries, vision, alias=False))
    return torch, options.argand or str(for_programs(libraries, vision, alias=True))


def run_all(options: argparse.Namespace) -> dict[str, Any]:
    """The rows of all programs that were asked for, printed as they come."""
    torch, argand = interpreters(options)
    found = {}
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        for program in chosen(options):
            both = [Runner(p, work / n, options) for p, n in ((torch, "torch"), (argand, "argand"))]
            for runner in both:
                runner.work.mkdir(parents=True, exist_ok=True)
            key = f"{program['source']}: {program['name']}"
            found[key] = result(program, *both)
            print(key, json.dumps(found[key]), flush=True)
            if options.write:
                keep({key: found[key]})
    return found


def keep(found: dict[str, Any]) -> None:
    """Put rows beside those that are kept, in the order of the list."""
    rows = (json.loads(KEPT.read_text()) if KEPT.exists() else {}) | found
    names = [f"{p['source']}: {p['name']}" for p in LIST["program"]]
    rows = {name: rows[name] for name in names if name in rows}
    temporary = KEPT.with_suffix(".tmp")
    temporary.write_text(json.dumps(rows, indent=1) + "\n")
    temporary.replace(KEPT)
    put("programs", table(LIST, rows))


def main() -> str | None:
    """Run programs; the error that some fail or differ without a reason, if they do."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=lambda p: Path(p).resolve(), required=True)
    parser.add_argument("--data", type=lambda p: Path(p).resolve(), required=True)
    parser.add_argument("--torch", help="an interpreter with PyTorch")
    parser.add_argument("--argand", help="an interpreter in which torch is Argand")
    parser.add_argument("--only", help="programs whose names have one of these parts")
    parser.add_argument("--part", help="0/2: the first of two halves")
    parser.add_argument("--work", type=lambda p: Path(p).resolve(), help="where copies are left")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--limit", type=int, default=600, help="seconds a stage")
    parser.add_argument("--details", action="store_true", help="show errors and all losses")
    parser.add_argument("--write", action="store_true", help="keep the results")
    found = run_all(parser.parse_args())
    return "\n".join(filter(None, (complaint(name, row) for name, row in found.items()))) or None


def complaint(name: str, row: dict[str, Any]) -> str:
    """What is wrong with Argand in a row; empty where nothing is."""
    if row["torch"]["error"]:
        return ""
    if row["argand"]["error"]:
        return f"{name}: {row['argand']['error']}"
    known = row["torch"].get("problems", {})
    missing = {k: v for k, v in row["argand"].get("problems", {}).items() if k not in known}
    if missing:
        return f"{name}: {missing}"
    allowed = max(CLOSE, NOISE * _size(row.get("itself", 0)))
    exact = _size(row.get("double", "other")) <= EXACT
    if row.get("inside") or exact or _size(row["difference"]) <= allowed:
        return ""
    return f"{name}: differs by {row['difference']}"


def is_close(gap: float | str) -> bool:
    """Whether a kept difference is as small as that of a program that agrees has to be."""
    return _size(gap) <= CLOSE


def _size(gap: Any) -> float:
    return float("inf") if isinstance(gap, str) else float(gap)


if __name__ == "__main__":
    sys.exit(main())
