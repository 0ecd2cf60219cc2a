"""The verifier: a Program that passes can be compiled. Run after each pass in tests."""

from __future__ import annotations

from typing import Any

from argand.base.dtype import DType
from argand.base.errors import ArgandError, ProgramError
from argand.base.shape import same_shape
from argand.ir.op import Literal
from argand.ir.program import Node, Operand, Program, Value, value_name


def verify(program: Program) -> Program:
    """Check definition before use, single assignment, names and types; returns the program.

    Raises ProgramError that names the node.
    """
    program.number()
    known: set[Value] = set()
    names: set[str] = set()
    for value in [*program.inputs, *program.state]:
        _define(value, known, program)
        if value.name in names:  # its text could not tell them apart
            raise ProgramError(f"{program.name}: two inputs have the name {value.name!r}")
        names.add(value.name)
    for node in program.nodes:
        for operand in node.inputs:
            _check_known(operand, known, program, f"node {value_name(node.outputs[0])}")
        _check_types(node, program)
        for i, out in enumerate(node.outputs):
            if out.node is not node or out.index != i:
                raise ProgramError(f"{program.name}: {value_name(out)} has lost its node")
            _define(out, known, program)
        for region in node.regions:
            verify(region)
    for operand in program.results:
        _check_known(operand, known, program, "the results")
    for i in program.writes:
        _check_write(program, i)
    return program


def _define(value: Value, known: set[Value], program: Program) -> None:
    if value in known:
        raise ProgramError(f"{program.name}: {value_name(value)} is defined twice")
    if value.layout is not None and sorted(value.layout) != list(range(len(value.shape))):
        raise ProgramError(f"{program.name}: {value_name(value)} has the layout {value.layout}")
    known.add(value)


def _check_known(operand: Operand, known: set[Value], program: Program, where: str) -> None:
    if not isinstance(operand, Literal) and operand not in known:
        name = value_name(operand)
        raise ProgramError(f"{program.name}: {where} reads {name} before it is defined")


def _check_types(node: Node, program: Program) -> None:
    operands: list[Any] = [o.type if isinstance(o, Value) else o for o in node.inputs]
    regions: dict[str, Any] = {"regions": node.regions} if node.regions else {}
    try:
        expected = node.op.infer(*operands, **node.params, **regions)
    except ArgandError as e:
        raise ProgramError(f"{program.name}: {value_name(node.outputs[0])}: {e}") from e
    except (KeyError, IndexError, ValueError, TypeError, AttributeError) as e:
        raise ProgramError(
            f"{program.name}: {value_name(node.outputs[0])}: {node.op.name} doesn't take these "
            f"operands or parameters ({type(e).__name__}: {e})"
        ) from e
    if not all(isinstance(t.dtype, DType) for t in expected):
        raise ProgramError(f"{program.name}: {node.op.name} has a parameter that is no dtype")
    if len(expected) != len(node.outputs):
        raise ProgramError(f"{program.name}: {node.op.name} has {len(expected)} results")
    for out, t in zip(node.outputs, expected, strict=True):
        if out.dtype is not t.dtype or not same_shape(out.shape, t.shape):
            raise ProgramError(
                f"{program.name}: {value_name(out)} is {out.type}, but {node.op.name} gives {t}"
            )


def _check_write(program: Program, i: int) -> None:
    state, new = program.state[i], program.writes[i]
    if state.dtype is not new.dtype or not same_shape(state.shape, new.shape):
        raise ProgramError(
            f"{program.name}: state {value_name(state)} is {state.type} and can't become {new}"
        )
