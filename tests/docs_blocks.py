"""Runs the Python blocks of a Markdown file and holds what they print against its `output` blocks.

A fenced block ```` ```output ```` shows what the Python block before it prints. To write them
anew after a change:  python tests/docs_blocks.py docs/design.md
"""

from __future__ import annotations

import contextlib
import io
import linecache
import re
import sys
from pathlib import Path
from typing import NamedTuple

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Shown(NamedTuple):
    """What a block printed, and the span and text of the `output` block that shows it."""

    line: int
    printed: str
    span: tuple[int, int]
    shown: str


def run_blocks(path: Path) -> list[Shown]:
    """Run the blocks in order, in one namespace; errors name the file and line."""
    text = path.read_text()
    space: dict[str, object] = {"__name__": "docs"}
    printed = ""
    found = []
    for match in _FENCE.finditer(text):
        kind, body = match.groups()
        line = text.count("\n", 0, match.start()) + 2
        if kind == "python":
            out = io.StringIO()
            source = "\n" * (line - 1) + body
            linecache.cache[path.name] = (1, None, source.splitlines(True), path.name)
            code = compile(source, path.name, "exec")
            with contextlib.redirect_stdout(out):
                exec(code, space)
            printed = out.getvalue().strip()
        elif kind == "output":
            found.append(Shown(line, printed, match.span(2), body.strip()))
    return found


def write_outputs(path: Path) -> None:
    """Replace the `output` blocks by what the code prints now.

    Longer output moves the code below, whose line numbers may be printed: then run it once more.
    """
    text = path.read_text()
    for shown in reversed(run_blocks(path)):
        start, end = shown.span
        text = text[:start] + shown.printed + "\n" + text[end:]
    path.write_text(text)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        write_outputs(Path(name))
