"""Libraries' own tests, file by file, where `torch` is Argand and where it is PyTorch."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
SECONDS = 900
"""How long one process of tests may take."""


@dataclass
class FileRun:
    """What became of the tests of a file under one interpreter."""

    seconds: float = 0.0
    ended: str = ""
    """Why pytest stopped before the last test, if it did."""
    outcomes: dict[str, str] = field(default_factory=dict)

    def count(self, outcome: str) -> int:
        return Counter(self.outcomes.values())[outcome]


Runs = dict[str, FileRun]
"""The runs of one interpreter, by file."""


def run_files(
    python: Path,
    folder: Path,
    files: Sequence[str],
    environment: Mapping[str, str],
    words: Sequence[str] = (),
) -> Runs:
    """Run the tests of files of `folder` in one process; those that a hang or a crash keeps from
    running are not among what comes back."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        record = Path(scratch, "outcomes")
        record.touch()
        command = [python, "-m", "pytest", *(folder / file for file in files), "-q", *words]
        command += ["-p", "outcomes", "-p", "no:cacheprovider", "--rootdir", folder]
        more = {"OUTCOMES": str(record), "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"}
        ended = ""
        try:
            subprocess.run(
                [*map(str, command), "-c", os.devnull],
                cwd=scratch,
                env={**os.environ, **environment, **more},
                capture_output=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            ended = f"more than {SECONDS} s"
        *lines, last = record.read_text().splitlines() or [""]
        if last.strip() != "finished":
            lines.append(last)
            ended = ended or "a hang or a crash"
    each = round((time.monotonic() - begun) / len(files), 1)
    return _by_file(lines, files, ended, each)


def _by_file(lines: Sequence[str], files: Sequence[str], ended: str, seconds: float) -> Runs:
    runs = {file: FileRun(seconds) for file in files}
    last = files[0]
    for line in filter(None, lines):
        outcome, _, test = line.partition(" ")
        last, _, name = test.partition("::")
        runs[last].outcomes[name] = "failed" if outcome == "begun" else outcome
    if not ended:
        return runs
    runs[last].ended = ended
    return {file: run for file, run in runs.items() if run.outcomes or file == last}


def read(kept: Path, who: str) -> Runs:
    """The runs of an interpreter that a folder keeps."""
    found = sorted(Path(kept, who).glob("*.json"))
    return {path.stem.replace("+", "/"): FileRun(**json.loads(path.read_text())) for path in found}


def add(kept: Path, who: str, file: str, run: FileRun) -> None:
    """Keep a run among the others; several processes may."""
    folder = Path(kept, who)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{file.replace('/', '+')}.json"
    part = path.with_suffix(".part")
    part.write_text(json.dumps(asdict(run), indent=0))
    part.replace(path)


def losses(ours: FileRun, theirs: FileRun) -> list[str]:
    """The tests that pass with PyTorch and don't with Argand."""
    passed = (name for name, outcome in theirs.outcomes.items() if outcome == "passed")
    return [name for name in passed if ours.outcomes.get(name) != "passed"]
