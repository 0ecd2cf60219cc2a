"""Lines of code of each room: no docstrings, comments or blank lines.

    python benchmarks/code_size.py [FOLDER]

FOLDER is a package's sources, by default this checkout's `src/argand`. The last line adds up the
engine (`base` to `compile`, without `ops`) and `tensor`.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections import Counter
from pathlib import Path

SKIPPED = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
ENGINE = [
    "base",
    "ir",
    "runtime",
    "transform",
    "nest",
    "lowering",
    "kernels",
    "passes",
    "codegen",
    "backends",
    "compile",
    "loops",
]


def code_lines(text: str) -> int:
    """How many lines of a file hold code."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in SKIPPED:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def main(arguments: list[str]) -> None:
    """Print the table."""
    package = Path(arguments[0]) if arguments else Path(__file__).parents[1] / "src" / "argand"
    count: Counter[str] = Counter()
    for path in package.rglob("*.py"):
        count[path.relative_to(package).parts[0]] += code_lines(path.read_text(encoding="utf-8"))
    for room, lines in sorted(count.items()):
        print(f"{room:14} {lines:6}")
    engine = sum(count[room] for room in ENGINE)
    print(f"engine {engine}, tensor {count['tensor']}, together {engine + count['tensor']}")


if __name__ == "__main__":
    main(sys.argv[1:])
