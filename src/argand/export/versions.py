"""Versions: of the archive's format, and of each op, with what makes old ones new.

An op whose meaning or parameters change gets the next number in `Op.version`, and a function here
that turns the parameters of a node of the version before into those of the new one. So a file of
any age is read; `tests/museum` keeps one of every format and holds us to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from argand.base.dim import Dim
from argand.base.errors import FormatError, ProgramError
from argand.base.size_guards import Guards, collecting_guards
from argand.export.capture import Fact
from argand.export.checking import check_nodes, check_symbols
from argand.ir.op import Op, registry
from argand.ir.program import Program
from argand.ir.text import parse_program
from argand.ir.verify import verify

FORMAT = 1

Params = dict[str, Any]
UPGRADES: dict[tuple[str, int], Callable[[Params], Params]] = {}
"""By an op's name and an old version: the parameters of the next version."""

_MOST_NODES = 1 << 17


def op_versions(programs: Iterable[Program]) -> dict[str, int]:
    """The versions of the ops that programs use, by name."""
    found: dict[str, int] = {}
    for program in programs:
        for node in program.nodes:
            name = node.op.name.partition(".")[0]
            found[name] = registry.get(name).version
            found |= op_versions(node.regions)
    return dict(sorted(found.items()))


def parse_archived(
    text: str, versions: Mapping[str, Any], symbols: Mapping[str, Dim]
) -> tuple[Program, list[Fact]]:
    """The program of a file: its ops are Argand's own, of the versions that are known, and
    everything fits, as far as the facts hold that are found by the hints of its symbols."""

    def upgraded(name: str, params: Params) -> Params:
        base = name.partition(".")[0]
        op = registry.get(base)
        check_allowed(op)
        version = versions.get(base)
        if type(version) is not int or version < 1:
            raise FormatError(f"ops: the version of {base} is missing")
        if version > op.version:
            raise FormatError(
                f"the op {base} is of version {version}, and this Argand knows {op.version}; use a "
                "newer one"
            )
        for old in range(version, op.version):
            if (base, old) not in UPGRADES:
                raise FormatError(f"the op {base} of version {old} can't be read any more")
            params = UPGRADES[base, old](params)
        return params

    guards = Guards()
    with collecting_guards(guards):
        program = parse_program(text, upgraded, most_nodes=_MOST_NODES, symbols=symbols)
        _check_layouts(program)
        verify(program)
    check_symbols(program)
    if not program.symbols():
        check_nodes(program)
    return program, guards.facts


def _check_layouts(program: Program) -> None:
    made = [o for node in program.nodes for o in node.outputs]
    if any(v.layout is not None for v in (*program.inputs, *program.state, *made)):
        raise ProgramError("a value has a layout, which a file states for none")
    for node in program.nodes:
        for region in node.regions:
            _check_layouts(region)


def check_allowed(op: Op) -> None:
    """Refuse ops that are not Argand's own, or that only the compiler makes."""
    if not type(op).__module__.startswith("argand.") or op.is_fusion:
        raise FormatError(
            f"the op {op.name} is not one of Argand's own, and a file may name no others"
        )


__all__ = ["FORMAT", "UPGRADES", "check_allowed", "op_versions", "parse_archived"]
