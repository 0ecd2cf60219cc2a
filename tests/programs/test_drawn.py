"""Random programs: native on every target, each pass interpreted; and that all kinds are drawn."""

from __future__ import annotations

import collections
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from checks import HERE, THREADS, machine_of, native_fault, pass_fault, run_native
from draw import draw, drawn_in_processes, judges_of, seeds_of
from draws import NOT_DRAWN, drawable
from keeping import text_of, without_locations
from maker import Drawn, random_program

from argand.backends.cpu import compile_program
from argand.base.dtype import float32
from argand.base.errors import LinAlgError
from argand.base.settings import settings
from argand.ir.families import Host
from argand.ir.interpret import interpret
from argand.ir.op import registry
from argand.ir.program import Value
from argand.ir.text import parse_program

# Run natively in the short suite: each op has its turn; pow, which may become a square, another.
SHORT = range(len(drawable()) + 8)
COUNTED = range(6 * len(drawable()))  # only made: how often each kind is drawn
CHUNK = 13
FAR = 100_000  # seeds of other kinds of checks begin here
# The share of results about which rounding lets the comparison say little.
UNSURE = 0.04


@pytest.fixture(autouse=True)
def checked() -> Iterator[None]:
    with settings.using(verify=True, cache=False):
        yield


@pytest.mark.parametrize("start", SHORT[::CHUNK])
def test_programs_agree(start: int) -> None:
    seeds = range(start, min(start + CHUNK, SHORT.stop))
    for one in draw(seeds, native=True, passes=True):
        assert one["wrong"] is None, f"{one['wrong']}\n{one['text']}"


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("start", range(0, 20_000, 1000))
def test_twenty_thousand_programs_agree(start: int) -> None:
    """Two processes, each program on one target; together all targets and threads."""
    results = unsure = 0
    for one in drawn_in_processes(range(start, start + 1000), 2, ["--passes"]):
        assert one["wrong"] is None, f"{one['wrong']}\n{one['text']}"
        results += one["results"]
        unsure += one["unclear"] + one["coarse"]
    assert unsure <= UNSURE * results


@pytest.mark.slow
@pytest.mark.timeout(36_000)
def test_programs_of_the_seeds_asked_for() -> None:
    """ARGAND_TEST_SEEDS=FIRST:LAST draws others; without it a few beyond the 20,000."""
    seeds = seeds_of(os.environ.get("ARGAND_TEST_SEEDS", "20000:20100"))
    found = drawn_in_processes(seeds, 2, ["--passes"])
    wrong = [f"{one['wrong']}\n{one['text']}" for one in found if one["wrong"] is not None]
    assert not wrong, "\n".join(wrong)


@pytest.fixture(scope="module")
def drawn() -> list[Drawn]:
    return [random_program(seed) for seed in COUNTED]


def test_every_op_is_drawn(drawn: list[Drawn]) -> None:
    """Ops that only a gradient brings don't count; an op that is added is drawn by its samples."""
    count = collections.Counter(
        name for one in drawn for name in {node.op.name for node in one.program.nodes}
    )
    names = {op.name for op in drawable()}
    assert names | set(NOT_DRAWN) == set(registry)
    assert {name: count[name] for name in names if count[name] < 2} == {}
    few = {op.name for op in drawable()} - {node.op.name for one in drawn[: len(SHORT)]
                                           for node in one.program.nodes}  # fmt: skip
    assert few == set(), "not in the short suite's native programs"


def features(one: Drawn) -> Iterator[str]:
    """What a program has."""
    program = one.program
    operands = [*program.inputs, *program.state]
    values = [*operands, *(o for node in program.nodes for o in node.outputs)]
    yield from {f"dtype {v.dtype.name}" for v in values}
    yield from {f"family {type(node.op).__mro__[1].__name__}" for node in program.nodes}
    shapes = [a.shape for arrays in one.calls for a in arrays]
    uses = program.uses()
    outputs = [o for o in program.outputs if isinstance(o, Value)]
    writes = list(program.writes.values())
    found = {
        "no dimension": any(shape == () for shape in shapes),
        "size 0": any(0 in shape for shape in shapes),
        "size 1": any(1 in shape for shape in shapes),
        "a symbol": bool(program.symbols()),
        "several calls": len(one.calls) > 1,
        "large": any(a.size > 4096 for arrays in one.calls for a in arrays),
        "several outputs": len(outputs) > 1,
        "an output twice": len(set(outputs)) < len(outputs),
        "an input is an output": any(o in operands for o in outputs),
        "a shared value": any(v.node and len(uses.get(v, ())) > 1 for v in values),
        "an output that is read": any(o.node and uses[o] for o in outputs),
        "writes": bool(writes),
        "state exchanged": any(o in program.state for o in writes),
        "a written output": any(o in outputs for o in writes),
        "a gradient": program.name.endswith("_grad"),
        "an unread input": any(not uses[v] and v not in outputs for v in program.inputs),
    }
    yield from (name for name, has in found.items() if has)


KINDS = {
    **dict.fromkeys(
        ("dtype float32", "dtype int64", "dtype bool", "size 1", "several outputs"), 100
    ),
    **{f"dtype {n}": 20 for n in ("float64", "float16", "bfloat16", "int32", "uint8", "complex64")},
    **dict.fromkeys(("no dimension", "size 0", "a symbol", "several calls"), 20),
    **dict.fromkeys(("an input is an output", "a shared value", "an output that is read"), 40),
    **dict.fromkeys(("writes", "a gradient", "an unread input"), 40),
    **dict.fromkeys(("an output twice", "state exchanged", "a written output"), 8),
    "large": 8,
}


def test_every_kind_is_drawn(drawn: list[Drawn]) -> None:
    count = collections.Counter(name for one in drawn for name in features(one))
    assert {name: count[name] for name, least in KINDS.items() if count[name] < least} == {}
    families = {type(op).__mro__[1].__name__ for op in drawable()}
    missing = {name: n for name in families if (n := count[f"family {name}"]) < 10}
    assert missing == {}
    machines = {machine_of(one.seed) for one in drawn}
    assert machines == {(target, n) for target in HERE for n in THREADS}


def test_host_segments_lie_between_native_ones(drawn: list[Drawn]) -> None:
    between = 0
    for one in drawn:
        if any(isinstance(node.op, Host) for node in one.program.nodes):
            kinds = [s.call is not None for s in compile_program(one.program).segments]
            between += any(kinds[:i] and kinds[i + 1 :] and not k for i, k in enumerate(kinds))
        if between == 3:
            return
    pytest.fail(f"{between} programs have such a segment")


def test_little_is_left_unsure(drawn: list[Drawn]) -> None:
    """The reference's own precision decides nearly all results, so the comparison says much."""
    results = unsure = 0
    for one in drawn[:150]:
        for judge in judges_of(one):
            found = interpret(one.program, judge.arrays)
            assert judge.disagreement(found) is None
            results, unsure = results + judge.checked, unsure + judge.unclear + judge.coarse
    assert results > 500
    assert unsure <= UNSURE * results


def test_text_keeps_a_program(drawn: list[Drawn]) -> None:
    for one in drawn[:150]:
        text = without_locations(str(one.program))
        again = parse_program(text)
        assert str(again) == text
        if not any(v.dtype.is_complex for v in again.inputs):
            kept = parse_program(text_of("a test", one.program, one.calls))
            assert pass_fault(one.program, one.calls, judges_of(one), [lambda p, k=kept: k]) is None


@pytest.mark.parametrize("seed", range(FAR, FAR + 12))
def test_the_same_bits_for_any_number_of_threads(seed: int) -> None:
    one = random_program(seed, sizes=(700,))
    results = [
        [a.tobytes() for arrays in run_native(one.program, one.calls, "host", n) for a in arrays]
        for n in THREADS
    ]
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("seed", range(FAR + 20, FAR + 40))
def test_nan_and_infinity_pass_through(seed: int) -> None:
    one = random_program(seed, gradients=False, dtype="float32")
    rng = np.random.default_rng(seed)
    nodes = one.program.nodes  # of an image gradient's weights docs/differences.md says why not
    weights = [n.inputs[1] for n in nodes if n.op.name == "conv2d_input_grad"]
    for arrays in one.calls:
        for v, a in zip((*one.program.inputs, *one.program.state), arrays, strict=True):
            if a.dtype == np.float32 and a.size and v not in weights:
                places = rng.integers(0, a.size, 1 + a.size // 8)
                a.reshape(-1)[places] = rng.choice([np.nan, np.inf, -np.inf], len(places))
    assert any(v.dtype is float32 for v in one.program.inputs)
    try:
        judges = judges_of(one)
    except LinAlgError:  # eigenvalues of what isn't finite
        with pytest.raises(LinAlgError):
            run_native(one.program, one.calls, "host", 1)
        return
    assert native_fault(one.program, one.calls, judges) is None


def test_a_compiled_program_is_the_same_in_another_process() -> None:
    """Places and names depend on nothing that changes from process to process."""
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from maker import random_program\n"
        "from argand.backends.cpu.compiler import optimise\n"
        "from argand.backends.cpu.facts import canonical_text\n"
        "from argand.passes.memory import plan_memory\n"
        "for seed in range(16):\n"
        "    program = random_program(seed).program\n"
        "    final = optimise(program).program\n"
        "    print(canonical_text(final), plan_memory(final).offsets({'N': 7}))\n"
    )
    here = Path(__file__).parent
    texts = []
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        run = [sys.executable, "-c", code, str(here), str(here.parent)]
        texts.append(subprocess.run(run, env=env, capture_output=True, check=True).stdout)
    assert texts[0] == texts[1]
