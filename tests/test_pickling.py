"""Public functions and methods are pickled by name, as layers that keep one are."""

import pickle
from types import FunctionType

import pytest

import argand as ag
from argand import nn
from public import FACADES, LIBRARY, public

SPAWNED = ("argand.array_api.",)  # a namespace of its own, whose functions are made from a table


def test_functions_are_found_by_their_names() -> None:
    lost = []
    functions = public(*FACADES, *LIBRARY)
    for name, value in functions.items():
        if isinstance(value, FunctionType) and not name.startswith(SPAWNED):
            try:
                if pickle.loads(pickle.dumps(value)) is not value:
                    lost.append(name)
            except (pickle.PicklingError, AttributeError):
                lost.append(name)
    assert lost == [] and len(functions) > 1000


def test_methods_are_found_by_their_names() -> None:
    for name in ("add", "add_", "relu", "sum", "view", "backward", "float", "numpy", "to"):
        method = getattr(ag.Tensor, name)
        assert pickle.loads(pickle.dumps(method)) is method


@pytest.mark.parametrize("activation", ["relu", nn.functional.gelu, ag.tanh])
def test_a_layer_keeps_its_function(activation: object) -> None:
    layer = nn.TransformerEncoderLayer(4, 2, 8, activation=activation)  # type: ignore[arg-type]
    again = pickle.loads(pickle.dumps(layer)).eval()
    x = ag.rand(2, 3, 4)
    assert again.activation is layer.activation
    assert ag.equal(again(x), layer.eval()(x))
