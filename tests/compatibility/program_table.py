"""The table of programs in docs/compatibility.md."""

from __future__ import annotations

from typing import Any


def table(listed: dict[str, Any], rows: dict[str, Any]) -> str:
    """A table for each repository, and what has no row yet."""
    found = []
    for source, about in listed["sources"].items():
        programs = [p for p in listed["program"] if p["source"] == source]
        lines = [_row(p, rows[k]) for p in programs if (k := f"{source}: {p['name']}") in rows]
        if lines:
            head = f"{about['repository']} at {about['commit'][:7]}"
            found.append(f"**{head}**\n\n{_HEAD}\n" + "\n".join(lines))
    return "\n\n".join(found)


_HEAD = """| program | PyTorch 2.13 | Argand | difference | seconds: PyTorch, Argand | date |
|---|---|---|---|---:|---|"""


def _row(program: dict[str, Any], row: dict[str, Any]) -> str:
    name = program["name"] + (f" ({program['note']})" if "note" in program else "")
    cells = [name, *(_status(row, who) for who in ("torch", "argand")), _difference(program, row)]
    times = ", ".join(_seconds(row[who]) for who in ("torch", "argand"))
    return f"| {' | '.join([*cells, times, row['date']])} |".replace("\n", " ")


def _status(row: dict[str, Any], who: str) -> str:
    found = row[who]
    if found["error"]:
        return f"no: {found['error'][:90]}".replace("|", "/").replace("<", "&lt;")
    problems = found.get("problems", {})
    if who == "argand":  # what doesn't run on PyTorch is said there
        problems = {k: v for k, v in problems.items() if k not in row["torch"]["problems"]}
    if not problems:
        return "yes"
    listed = "; ".join(f"{k}: {v[:60]}" for k, v in list(problems.items())[:4])
    rest = f"; {len(problems) - 4} more" if len(problems) > 4 else ""
    return f"but for {listed}{rest}".replace("|", "/").replace("<", "&lt;")


def _difference(program: dict[str, Any], row: dict[str, Any]) -> str:
    if "difference" not in row:
        return str(program.get("missing", program.get("why", "")))
    gap = row["difference"]
    text = f"{_said(gap)} ({row['of']})"
    if "itself" in row:
        text += f"; PyTorch's own, rounded otherwise: {_said(row['itself'])}"
    if "double" in row:
        text += f"; both in float64: {_said(row['double'])}"
    if "inside" in row:
        text += f"; {'within' if row['inside'] else 'beyond'} the spread of three seeds"
    return f"{text}; {program['why']}" if "why" in program else text


def _said(gap: float | str) -> str:
    if isinstance(gap, str):
        return gap
    return f"{gap:.0e}" if gap else "none"


def _seconds(found: dict[str, Any]) -> str:
    return "" if found["error"] or found["seconds"] is None else f"{found['seconds']:.0f}"
