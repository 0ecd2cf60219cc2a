"""A constraint in a `pip.conf`, whose other lines stay as they are."""

from __future__ import annotations

_HEADER = "[global]"


def with_constraint(text: str, address: str) -> str:
    """The text of a `pip.conf` with a file of constraints more.

    >>> print(with_constraint("", "file:///a"), end="")
    [global]
    constraint = file:///a
    """
    lines = without_constraint(text, address).splitlines()
    if _HEADER not in lines:
        lines += [_HEADER]
    key = _key_line(lines)
    if key is None:
        lines.insert(lines.index(_HEADER) + 1, f"constraint = {address}")
    else:
        lines[key] += f" {address}"
    return "\n".join(lines) + "\n"


def without_constraint(text: str, address: str) -> str:
    """The text of a `pip.conf` without a file of constraints; empty if nothing else was in it.

    >>> without_constraint("[global]\\nconstraint = file:///a\\n", "file:///a")
    ''
    """
    lines = text.splitlines()
    for i, line in enumerate(lines):
        if address in line.split():
            lines[i] = line.replace(f" {address}", "")
            if lines[i].rstrip(" =") == "constraint":
                del lines[i]
                _drop_empty_section(lines, i - 1)
            break
    return "".join(f"{line}\n" for line in lines)


def _drop_empty_section(lines: list[str], at: int) -> None:
    if lines[at] == _HEADER and (at + 1 == len(lines) or lines[at + 1].startswith("[")):
        del lines[at]


def _key_line(lines: list[str]) -> int | None:
    """Where the section for all commands names its constraints."""
    for i in range(lines.index(_HEADER) + 1, len(lines)):
        if lines[i].startswith("["):
            return None
        if lines[i].partition("=")[0].strip() == "constraint":
            return i
    return None
