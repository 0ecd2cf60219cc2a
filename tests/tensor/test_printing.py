"""The texts of tensors against PyTorch's, `tests/compatibility/printing.json`."""

from __future__ import annotations

import json

import printing
import pytest

import argand as ag


def test_every_text_is_pytorchs() -> None:
    wanted = json.loads(printing.TEXTS.read_text())
    found = printing.texts(ag)
    assert list(found) == list(wanted)
    wrong = [name for name in wanted if found[name] != wanted[name]]
    shown = "\n".join(f"{n}:\n{found[n]}\nPyTorch's:\n{wanted[n]}" for n in wrong[:5])
    assert not wrong, f"{len(wrong)} of {len(wanted)}: {wrong}\n{shown}"


def test_options_hold_inside_a_block() -> None:
    before = ag.get_printoptions()
    with pytest.raises(KeyError), ag.printoptions(precision=1, sci_mode=True):
        assert repr(ag.tensor([1.25])) == "tensor([1.2e+00])"
        raise KeyError
    assert ag.get_printoptions() == before


def test_a_history_prints_after_the_elements() -> None:
    x = ag.ones(2, requires_grad=True)
    assert repr(x * 2) == "tensor([2., 2.], grad_fn=<MulBackward0>)"


def test_a_number_is_formatted_as_one() -> None:
    assert f"{ag.tensor(3.5)} {ag.tensor(0):>2} {ag.tensor(True)}" == "3.5  0 True"
    assert f"{ag.ones(1):.2f} {ag.ones(2)}" == "1.00 tensor([1., 1.])"
    assert f"{ag.ones(1)}" == "tensor([1.])"
