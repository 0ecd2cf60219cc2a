"""The table of docs/operators.md is current."""

from __future__ import annotations

import pytest

pytest.importorskip("onnx")


def test_the_table_is_current() -> None:
    import op_table

    command = "PYTHONPATH=src:tests:tests/conformance python tests/onnx/op_table.py"
    assert op_table.PAGE.read_text() == op_table.page(), f"write it anew:  {command}"
