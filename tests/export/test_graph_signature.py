"""`torch.export`'s description of what a program takes and gives."""

from __future__ import annotations

import io
from typing import Any

import pytest

import argand as ag
from argand import export, nn


class Counting(nn.Module):
    """A parameter, a buffer that is read, and one that is written."""

    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(4, 3)
        self.register_buffer("b", ag.ones(3))
        self.register_buffer("c", ag.zeros(()))

    def forward(self, x: Any) -> Any:
        self.c += 1
        return self.lin(x) * self.b, x.sum()


def test_inputs_and_outputs_by_kind() -> None:
    program = export.export(Counting(), (ag.rand(2, 4),), dynamic_shapes={"x": {0: ag.Dim("n")}})
    found = program.run_decompositions().graph_signature
    assert sorted(found.inputs_to_parameters.items()) == [
        ("p_lin_bias", "lin.bias"),
        ("p_lin_weight", "lin.weight"),
    ]
    assert sorted(found.inputs_to_buffers.items()) == [("b_b", "b"), ("b_c", "c")]
    assert found.user_inputs == ("x",)
    assert len(found.user_outputs) == 2
    assert list(found.buffers_to_mutate.values()) == ["c"]
    assert "p_lin_weight: PARAMETER target='lin.weight'\n" in str(found)
    assert "b_b: BUFFER target='b' persistent=True\n" in str(found)


def test_small_names() -> None:
    file = io.BytesIO()
    export.save(export.export(ag.exp, (ag.ones(1),)), file, extra_files={"a": "hi"})
    file.seek(0)
    extra = {"a": "", "b": ""}
    export.load(file, extra_files=extra)
    assert extra == {"a": "hi", "b": ""}
    n, m = export.dims("n", "m", max=8)
    program = export.draft_export(lambda x: x * 2, (ag.ones(2, 3),), dynamic_shapes=((n, m),))
    assert program(ag.ones(8, 1)).shape == (8, 1)
    with pytest.raises(ValueError, match="n is 9"):
        program(ag.ones(9, 1))
    with pytest.raises(TypeError, match="takes a dataclass"):
        export.register_dataclass(int)
