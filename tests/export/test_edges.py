"""What is rare but right: odd names and numbers, files written again, threads."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand import nn
from argand.export import ExportedProgram, check_samples, export, load

NAMES = (
    'x y"z',
    "ünï",
    "n" * 300,
    "#a;{",
    "a\\b",
    "new\nline",
    "%0",
    "return",
    "123",
    "True",
    "nan",
)


def again(program: ExportedProgram) -> ExportedProgram:
    file = io.BytesIO()
    program.save(file)
    file.seek(0)
    found = load(file)
    assert all(c.is_equal for c in check_samples(found))
    return found


class Named(nn.Module):
    """Adds parameters of odd names."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ParameterDict({name: nn.Parameter(ag.ones(2)) for name in NAMES})

    def forward(self, x: Any) -> Any:
        for part in self.parts.values():
            x = x + part
        return x


def test_names_of_any_characters() -> None:
    found = again(export(Named(), (ag.ones(2),)))
    assert found(ag.ones(2)).tolist() == [len(NAMES) + 1.0] * 2
    assert list(found.state_dict) == [f"parts.{name}" for name in NAMES]
    plain = {name: ag.ones(()) for name in NAMES}
    found = again(export(lambda d: sum(d.values()), (plain,)))
    assert found(plain).item() == len(NAMES)


def test_numbers_that_are_no_plain_text() -> None:
    def f(x: Any) -> Any:
        return ag.where(x > 0, float("nan"), x.clamp(max=float("inf"))) + ag.full((2,), -np.inf)

    again(export(f, (ag.ones(2),)))
    z = ag.tensor([1 + 1j, 2 - 1j])
    found = again(export(lambda x: x * (1 - 2j) + complex(0.0, float("inf")), (z,)))
    assert found(z)[0].real.item() == 3.0


@pytest.mark.parametrize(
    "name", ["bool", "uint8", "int8", "int64", "uint64", "float16", "bfloat16", "float8_e4m3fn"]
)
def test_every_dtype_goes_in_and_out(name: str) -> None:
    kept = ag.tensor([1, 0, 1]).to(getattr(ag, name))
    found = again(export(lambda x: (x.float() + kept.float(), x, kept), (kept.clone(),)))
    assert found(kept)[0].tolist() == [2.0, 0.0, 2.0]


def test_no_dimensions_no_elements_no_inputs_and_inputs_as_results() -> None:
    assert again(export(lambda x: x * 2, (ag.tensor(3.0),)))(np.float32(4)).item() == 8.0
    assert again(export(lambda x: x.sum(), (ag.zeros(0, 3),)))(ag.zeros(0, 3)).item() == 0.0
    assert again(export(lambda: ag.arange(3) * 2))().tolist() == [0, 2, 4]
    x, y = ag.ones(2), ag.zeros(2)
    found = again(export(lambda x, y: (x, y, x), (x, y)))(x, y)
    assert [t.tolist() for t in found] == [[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]


def test_a_file_written_again_over_its_mapped_self_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "m.argand"
    export(nn.Linear(100, 10), (ag.ones(1, 100),)).save(path)
    before = path.read_bytes()
    program = load(path)
    program.save(path)
    assert path.read_bytes() == before
    assert ag.equal(program(ag.ones(1, 100)), load(path)(ag.ones(1, 100)))


def test_threads_call_one_program() -> None:
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)).eval()
    program = again(export(model, (ag.rand(2, 8),), dynamic_shapes=(("n", None),)))
    inputs = [np.full((i + 1, 8), i, np.float32) for i in range(8)]
    expected = [model(ag.tensor(x)).detach().numpy() for x in inputs]
    wrong = []

    def work(first: int) -> None:
        for i in range(first, first + 24):
            found = program(inputs[i % 8]).numpy()
            if not np.allclose(found, expected[i % 8], rtol=1e-5, atol=1e-6):
                wrong.append(i % 8)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
