"""What comparing PyTorch's databases with ours gives: pinned as JSON, and as a table of the page.

`operators.py` and `module_samples.py` compute the tallies; nothing here needs PyTorch.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from page import put

HERE = Path(__file__).parent

DTYPES = (
    "float64",
    "float32",
    "float16",
    "bfloat16",
    "complex128",
    "complex64",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint8",
    "bool",
)
COUNTS = ("samples", "equal", "gradients", "equal_gradients", "unanswered")


@dataclasses.dataclass
class Tally:
    """What became of the samples of an operator in a dtype, or of its error inputs ("errors")."""

    samples: int = 0
    equal: int = 0
    gradients: int = 0
    equal_gradients: int = 0
    unanswered: int = 0
    """Samples, beside the others, that PyTorch itself refuses."""
    problems: list[str] = dataclasses.field(default_factory=list)
    known: dict[str, int] = dataclasses.field(default_factory=dict)
    """How many samples differ for each reason of `differences.KNOWN`."""

    def add(self, problem: str, reason: str) -> None:
        """A difference: for a reason, or a problem."""
        if reason:
            self.known[reason] = self.known.get(reason, 0) + 1
        else:
            self.problems.append(problem)

    def extend(self, other: Tally) -> None:
        """Count what another tally did."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.problems += other.problems
        for reason, count in other.known.items():
            self.known[reason] = self.known.get(reason, 0) + count


Results = dict[str, dict[str, Tally]]
"""The tallies of every operator, by dtype, with "errors" for its error inputs."""


@dataclasses.dataclass
class Comparison:
    """All that the table shows: the tallies, and what isn't compared as it is."""

    torch: str
    missing: dict[str, str]
    """The operators that aren't there, and why."""
    results: Results
    otherwise: dict[str, list[str]]
    """Names of operators by the reason why something else is compared than their results."""

    @classmethod
    def read(cls, path: Path) -> Comparison:
        """What a file holds."""
        data = json.loads(path.read_text())
        results = {
            name: {d: Tally(*numbers) for d, numbers in found.items()}
            for name, found in data.pop("results").items()
        }
        return cls(results=results, **data)

    def write(self, path: Path) -> None:
        """One line for each operator."""
        rows = [f"{_text(name)}: {_text(_numbers(found))}" for name, found in self.results.items()]
        rest = {"torch": self.torch, "missing": self.missing, "otherwise": self.otherwise}
        head = ",\n".join(f" {_text(k)}: {_text(v)}" for k, v in rest.items())
        lines = ",\n".join(f"  {row}" for row in rows)
        path.write_text(f'{{\n{head},\n "results": {{\n{lines}\n }}\n}}\n')

    @classmethod
    def joined(cls, parts: Iterable[Comparison], order: Iterable[str]) -> Comparison:
        """Parts as one, in the order of the names."""
        first, *others = parts
        results = dict(first.results)
        missing = dict(first.missing)
        for part in others:
            results |= part.results
            missing |= part.missing
        names = list(order)
        return cls(
            first.torch,
            {n: missing[n] for n in names if n in missing and n not in results},
            {n: results[n] for n in names if n in results},
            first.otherwise,
        )


def _numbers(found: dict[str, Tally]) -> dict[str, list[Any]]:
    """The tallies as lists, without empty ends."""
    plain = {dtype: list(dataclasses.astuple(tally)) for dtype, tally in found.items()}
    for numbers in plain.values():
        while numbers and not numbers[-1]:
            numbers.pop()
    return plain


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def pinned(name: str) -> Path:
    """The file of the tallies that the table of that name shows."""
    return HERE / f"{name.replace(' ', '_')}.json"


def changes(before: Comparison, after: Comparison) -> Iterator[str]:
    """What has another outcome than it had, of the operators and dtypes that `after` has."""
    ran = {dtype for tallies in after.results.values() for dtype in tallies}
    yield from (f"{name} is missing" for name in after.missing if name not in before.missing)
    yield from (f"{name} was missing" for name in after.results if name in before.missing)
    for name, found in after.results.items():
        was = before.results.get(name, {})
        for dtype in sorted(ran & (set(was) | set(found))):
            old, new = was.get(dtype, Tally()), found.get(dtype, Tally())
            if old.samples != new.samples:
                yield f"{name} {dtype}: {new.samples} samples, {old.samples} before"
            if set(old.known) != set(new.known):
                gone, come = set(old.known) - set(new.known), set(new.known) - set(old.known)
                yield f"{name} {dtype}: listed differences gone {gone}, come {come}"
            if new.problems:
                yield f"{name} {dtype}: {len(new.problems)} differ: {new.problems[0]}"


def sums(results: Results) -> dict[str, list[int]]:
    """The counts of each dtype, and of "errors"."""
    found: dict[str, list[int]] = {}
    for tallies in results.values():
        for dtype, tally in tallies.items():
            total = found.setdefault(dtype, [0] * len(COUNTS))
            for i, name in enumerate(COUNTS):
                total[i] += getattr(tally, name)
    return found


def table(comparison: Comparison) -> str:
    """The counts, and every operator that is missing or differs, in Markdown."""
    results, missing = comparison.results, comparison.missing
    count = len(results) + len(missing)
    good = sum(not any(t.problems or t.known for t in f.values()) for f in results.values())
    listed = sum(not any(t.problems for t in f.values()) for f in results.values())
    totals = sums(results)
    errors = totals.pop("errors", [0, 0])
    lines = [
        f"torch {comparison.torch}: {count} entries, {len(results)} present "
        f"({len(results) / count:.1%}), {good} agree in all, {listed - good} but for what is "
        f"listed below; {errors[0]} inputs that must be refused, {errors[1]} are.",
        "",
        "| dtype | samples | equal | gradients | equal | samples that PyTorch refuses |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    rows = (d for d in dict.fromkeys((*DTYPES, *totals)) if d in totals)
    lines += [f"| {d} | {' | '.join(map(str, totals[d]))} |" for d in rows]
    lines += _by_reason("Missing", missing.items())
    lines += _unlisted(results)
    lines += _listed(results)
    pairs = ((n, reason) for reason, names in comparison.otherwise.items() for n in names)
    return "\n".join([*lines, *_by_reason("Compared otherwise", pairs)])


def _by_reason(title: str, pairs: Iterable[tuple[str, str]]) -> list[str]:
    """A table of names by their reasons."""
    found: dict[str, list[str]] = {}
    for name, reason in pairs:
        found.setdefault(reason, []).append(f"`{name}`")
    lines = [f"| {reason} | {', '.join(names)} |" for reason, names in found.items()]
    head = ["", f"{title}:", "", "| why | operators |", "|---|---|"]
    return [*head, *lines] if lines else []


def _unlisted(results: Results) -> list[str]:
    """The differences without a reason."""
    lines = []
    for name, found in sorted(results.items()):
        for dtype, tally in found.items():
            if tally.problems:
                first = tally.problems[0].replace("|", "/").replace("\n", " ")[:160]
                part = f"{len(tally.problems)} of {tally.samples}"
                lines.append(f"| `{name}` | {dtype} | {part} | {first} |")
    head = [
        "",
        "Differences:",
        "",
        "| operator | where | differs | the first |",
        "|---|---|---:|---|",
    ]
    return [*head, *lines] if lines else []


def _listed(results: Results) -> list[str]:
    """The differences with a reason: the operators, the dtypes and how many samples differ."""
    found: dict[str, dict[str, list[str]]] = collections.defaultdict(dict)
    for name, tallies in sorted(results.items()):
        for dtype, tally in tallies.items():
            for reason, count in tally.known.items():
                part = f"{dtype} {count} of {tally.samples}"
                found[reason].setdefault(name, []).append(part)
    lines = []
    for reason, parts in sorted(found.items()):
        where = "; ".join(f"`{name}`: {', '.join(texts)}" for name, texts in parts.items())
        lines.append(f"| {reason} | {where} |")
    head = ["", "Samples that differ for a reason:", "", "| reason | where |", "|---|---|"]
    return [*head, *lines] if lines else []


def add_options(parser: argparse.ArgumentParser) -> None:
    """What every comparison can be asked for."""
    parser.add_argument("--details", action="store_true", help="print every difference")
    parser.add_argument("--json", type=Path, help="where the tallies are written")
    parser.add_argument("--write", action="store_true", help="pin the tallies, write the table")
    parser.add_argument("--check", action="store_true", help="compare with what is pinned")


def finish(found: Comparison, name: str, options: argparse.Namespace) -> str | None:
    """Print and write a comparison as the options say; its changes from what is pinned, if any.

    What is returned is for `sys.exit`, which takes an empty text for a failure.
    """
    for operator, tallies in found.results.items():
        for dtype, tally in tallies.items():
            shown = tally.problems if options.details else tally.problems[:1]
            if shown:
                part = f"{len(tally.problems)} of {tally.samples}"
                print(f"{operator} {dtype}: {part}: {'; '.join(shown)}")
    print(table(found))
    if options.json:
        found.write(options.json)
    if options.write:
        found.write(pinned(name))
        put(name, table(found))
    if not options.check:
        return None
    return "\n".join(changes(Comparison.read(pinned(name)), found)) or None
