"""The tables of docs/compatibility.md: what a command of this folder printed, between its marks."""

from __future__ import annotations

import argparse
import difflib
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "compatibility.md"


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def section(name: str) -> str:
    """The table of that name as the page shows it."""
    begin, end = _marks(name)
    return PAGE.read_text().split(begin)[1].split(end)[0].strip()


def put(name: str, text: str) -> None:
    """Replace the table of that name."""
    begin, end = _marks(name)
    before, rest = PAGE.read_text().split(begin)
    temporary = PAGE.with_suffix(".tmp")
    temporary.write_text(f"{before}{begin}\n\n{text}\n\n{end}{rest.split(end)[1]}")
    temporary.replace(PAGE)


def rows(text: str) -> list[list[str]]:
    """The cells of a Markdown table, row by row, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def names_table(
    head: str,
    namespaces: Iterable[str],
    public: Callable[[str], list[str]],
    missing: Callable[[str], list[str]],
) -> str:
    """How many names of each namespace are there, and the missing ones, in Markdown."""
    lines = [f"| {head} | names | present | missing |", "|---|---:|---:|---|"]
    for name in namespaces:
        names, absent = public(name), missing(name)
        text = ", ".join(f"`{n}`" for n in absent)
        lines.append(f"| `{name}` | {len(names)} | {len(names) - len(absent)} | {text} |")
    return "\n".join(lines)


def table_command(name: str, doc: str, make: Callable[[], str]) -> str | None:
    """`command` for the table of that name."""
    return command(doc, make, lambda: section(name), lambda text: put(name, text))


def command(
    doc: str, make: Callable[[], str], kept: Callable[[], str], keep: Callable[[str], object]
) -> str | None:
    """Print what `make` gives, and keep it if asked to; if asked, how it differs from what is kept.

    What is returned is for `sys.exit`: None, or an error.
    """
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--write", action="store_true", help="write it where it is kept")
    parser.add_argument("--check", action="store_true", help="fail where what is kept differs")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    text = make()
    if options.write:
        keep(text)
    if not options.check:
        print(text)
        return None
    lines = difflib.unified_diff(kept().splitlines(), text.splitlines(), "kept", "now", n=0)
    return "\n".join(lines) or None
