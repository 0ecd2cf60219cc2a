"""What programs that make layers of PyTorch's call or replace inside them."""

from __future__ import annotations

import pytest

import argand as ag
from argand import nn


class Centered(nn.Conv2d):
    """A convolution of its weight without the mean."""

    def forward(self, input):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return self._conv_forward(input, weight, self.bias)


@pytest.mark.parametrize("mode", ["zeros", "reflect"])
def test_a_convolution_of_another_weight(mode):
    layer = Centered(2, 3, 3, padding=(1, 2), padding_mode=mode)
    plain = nn.Conv2d(2, 3, 3, padding=(1, 2), padding_mode=mode)
    plain.load_state_dict(layer.state_dict())
    x = ag.rand(1, 2, 5, 5)
    with ag.no_grad():
        plain.weight.sub_(plain.weight.mean((1, 2, 3), keepdim=True))
    assert ag.equal(layer(x), plain(x))
    assert layer._reversed_padding_repeated_twice == (2, 2, 1, 1)
    assert (layer.transposed, layer.output_padding) == (False, (0, 0))


def test_a_transposed_convolution_chooses_its_output_padding():
    layer = nn.ConvTranspose2d(2, 3, 3, stride=2)
    own = (layer.stride, layer.padding, layer.kernel_size, 2, layer.dilation)
    assert tuple(layer._output_padding(ag.ones(1, 2, 4, 4), (10, 9), *own)) == (1, 0)
    assert (layer.transposed, layer.padding_mode) == (True, "zeros")
    before = layer.weight.detach().clone()
    layer.reset_parameters()
    assert not ag.equal(layer.weight, before)


def test_the_weights_of_a_recurrent_layer_by_layer_and_direction():
    layer = nn.LSTM(3, 4, 2, bidirectional=True, bias=False)
    assert layer._all_weights[1] == ["weight_ih_l0_reverse", "weight_hh_l0_reverse"]
    assert layer.all_weights[2][1] is layer.weight_hh_l1
    assert [id(w) for w in layer._flat_weights] == [id(p) for p in layer.parameters()]
    assert layer._flat_weights_names[:2] == ["weight_ih_l0", "weight_hh_l0"]


@pytest.mark.parametrize(
    ("make", "start"),
    [
        (lambda: nn.GRU(3, 4), None),
        (lambda: nn.LSTMCell(3, 4), None),
        (lambda: nn.Bilinear(2, 3, 4), None),
        (lambda: nn.GroupNorm(1, 4), 4.0),
        (lambda: nn.RMSNorm(4), 4.0),
        (lambda: nn.PReLU(init=0.5), 0.5),
    ],
)
def test_layers_begin_anew(make, start):
    layer = make()
    for p in layer.parameters():
        nn.init.constant_(p, 9.0)
    layer.reset_parameters()
    assert all(p.abs().max() <= 1 for p in layer.parameters())
    if start is not None:
        assert sum(p.sum().item() for p in layer.parameters()) == start


class Ranked(nn.BatchNorm2d):
    """A normalisation of any number of dimensions."""

    def _check_input_dim(self, input):
        assert input.ndim == 3


def test_the_check_of_dimensions_is_the_subclasss():
    assert Ranked(2)(ag.ones(2, 2, 3)).shape == (2, 2, 3)
    with pytest.raises(ValueError, match="expected an input of 4 dimensions"):
        nn.InstanceNorm2d(2)._check_input_dim(ag.ones(2))


class Silent(nn.TransformerDecoderLayer):
    """A layer without its second and third part, which says what it was asked for."""

    def _sa_block(self, x, attn_mask, key_padding_mask, is_causal=False):
        return x * 2

    def _mha_block(self, x, mem, attn_mask, key_padding_mask, is_causal=False):
        return mem + (0 if key_padding_mask is None else key_padding_mask)

    def _ff_block(self, x):
        return x * 0


def test_parts_of_a_transformers_layer_are_replaced():
    layer = Silent(4, 2, 8, norm_first=True)
    for norm in (layer.norm1, layer.norm2, layer.norm3):
        norm.register_forward_hook(lambda module, args, output: args[0])
    x, memory = ag.full((3, 1, 4), 5.0), ag.ones(3, 1, 4)
    assert nn.TransformerDecoder(layer, 1)(x, memory).unique().tolist() == [16.0]
    padding = ag.full((1,), 2.0)
    stack = nn.TransformerDecoder(layer, 1)
    assert stack(x, memory, memory_key_padding_mask=padding).unique().tolist() == [18.0]


class Counted(nn.Module):
    """A module with a call of its own."""

    def __init__(self):
        super().__init__()
        self.register_buffer("kept", ag.ones(1), persistent=False)
        self.layer = nn.Embedding(3, 2, padding_idx=1)

    def __call__(self, *args):
        return self._call_impl(*args) + 1

    def forward(self, x):
        return x


def test_what_libraries_ask_a_module_for():
    module = Counted()
    assert module(ag.ones(1)).item() == 2
    assert module._non_persistent_buffers_set == {"kept"}
    assert [n for n, _ in module._named_members(lambda m: m._parameters.items())] == [
        "layer.weight"
    ]
    nn.init.ones_(module.layer.weight)
    module.layer._fill_padding_idx_with_zero()
    assert module.layer.weight.tolist() == [[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]
