"""`nn.grad`: gradients of convolutions as functions, against those of the tape."""

import pytest

import argand as ag
import argand.nn.functional as F
from argand import nn

CASES = [
    (1, (2, 4, 9), (6, 2, 3), {"stride": 2, "padding": 1, "groups": 2}),
    (2, (2, 3, 7, 6), (4, 3, 3, 2), {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}),
    (3, (1, 2, 4, 5, 4), (3, 2, 2, 2, 2), {"padding": 1}),
]


@pytest.mark.parametrize(("dims", "size", "weight_size", "options"), CASES)
def test_gradients_of_convolutions(dims, size, weight_size, options):
    ag.manual_seed(0)
    x, w = ag.randn(*size, requires_grad=True), ag.randn(*weight_size, requires_grad=True)
    y = getattr(F, f"conv{dims}d")(x, w, **options)
    along = ag.randn_like(y)
    wanted = ag.autograd.grad(y, (x, w), along)
    by_input = getattr(nn.grad, f"conv{dims}d_input")(size, w.detach(), along, **options)
    by_weight = getattr(nn.grad, f"conv{dims}d_weight")(x.detach(), weight_size, along, **options)
    assert ag.allclose(by_input, wanted[0], atol=1e-5)
    assert ag.allclose(by_weight, wanted[1], atol=1e-5)
    assert not by_input.requires_grad


def test_they_can_be_differentiated_again():
    w = ag.ones(1, 1, 2, requires_grad=True)
    found = nn.grad.conv1d_input((1, 1, 3), w, ag.tensor([[[1.0, 2.0]]]))
    assert ag.autograd.grad(found.sum(), w)[0].tolist() == [[[3, 3]]]


def test_what_is_missing_is_said():
    with pytest.raises(ValueError, match="input_size"):
        nn.grad.conv2d_input(None, ag.ones(1, 1, 1, 1), ag.ones(1, 1, 2, 2))
    with pytest.raises(RuntimeError, match=r"grad_output must have the shape"):
        nn.grad.conv2d_input((1, 1, 2, 2), ag.ones(1, 1, 1, 1), ag.ones(1, 1, 3, 3))
