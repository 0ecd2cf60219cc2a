"""The Transformer's layers against their definition, and what masks must not let through."""

import copy

import numpy as np
import pytest

import argand as ag
from argand import nn

SIZES = {"d_model": 8, "nhead": 2, "dim_feedforward": 16, "dropout": 0.0, "batch_first": True}


def rand(*shape):
    return ag.tensor(np.random.default_rng(1).standard_normal(shape).astype(np.float32))


def attended(heads, x, memory):
    return heads(x, memory, memory, need_weights=False)[0]


@pytest.mark.parametrize("norm_first", [False, True])
def test_encoder_layer(norm_first):
    layer = nn.TransformerEncoderLayer(**SIZES, activation="gelu", norm_first=norm_first)
    x = rand(3, 5, 8)

    def network(x):
        return layer.linear2(nn.functional.gelu(layer.linear1(x)))

    if norm_first:
        normed = layer.norm1(x)
        y = x + attended(layer.self_attn, normed, normed)
        y = y + network(layer.norm2(y))
    else:
        y = layer.norm1(x + attended(layer.self_attn, x, x))
        y = layer.norm2(y + network(y))
    assert layer(x).allclose(y, atol=1e-6)
    assert ag.compile(layer)(x).allclose(y, atol=1e-5)


def test_decoder_layer():
    layer = nn.TransformerDecoderLayer(**SIZES)
    x, memory = rand(3, 5, 8), rand(3, 7, 8)
    y = layer.norm1(x + attended(layer.self_attn, x, x))
    y = layer.norm2(y + attended(layer.multihead_attn, y, memory))
    y = layer.norm3(y + layer.linear2(layer.linear1(y).relu()))
    assert layer(x, memory).allclose(y, atol=1e-6)


def test_state_dicts_have_pytorchs_names():
    names = list(nn.TransformerDecoderLayer(**SIZES).state_dict())
    attention = [f"in_proj_{p}" for p in ("weight", "bias")]
    attention += [f"out_proj.{p}" for p in ("weight", "bias")]
    expected = [f"{m}.{p}" for m in ("self_attn", "multihead_attn") for p in attention]
    layers = ("linear1", "linear2", "norm1", "norm2", "norm3")
    expected += [f"{m}.{p}" for m in layers for p in ("weight", "bias")]
    assert names == expected


def test_a_causal_mask_hides_what_comes_later():
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(**SIZES), 2)
    x = rand(2, 6, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(6)
    changed = copy.deepcopy(x)
    changed[:, 4:] += 1
    for options in ({"mask": mask}, {"mask": mask, "is_causal": True}, {"is_causal": True}):
        before, after = encoder(x, **options), encoder(changed, **options)
        assert before[:, :4].equal(after[:, :4])
        assert not before[:, 4:].allclose(after[:, 4:])


def test_a_padding_mask_hides_the_padding():
    model = nn.Transformer(8, 2, 1, 1, 16, 0.0)
    source, target = rand(6, 2, 8), rand(4, 2, 8)
    padding = ag.tensor([[False] * 6, [False] * 3 + [True] * 3])
    masks = {"src_key_padding_mask": padding, "memory_key_padding_mask": padding}
    changed = source.clone()
    changed[3:, 1] += 1
    before, after = model(source, target, **masks), model(changed, target, **masks)
    assert before.allclose(after, atol=1e-6)
    changed[3:, 0] += 1
    assert not before.allclose(model(changed, target, **masks), atol=1e-3)


def test_layers_of_a_stack_are_copies_with_weights_of_their_own():
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(**SIZES), 2, nn.LayerNorm(8))
    encoder(rand(1, 3, 8)).square().sum().backward()
    first, second = (layer.linear1.weight for layer in encoder.layers)
    assert first is not second
    assert first.grad is not None and not first.grad.equal(second.grad)


def test_an_unknown_activation_is_named():
    with pytest.raises(ValueError, match="activation must be 'relu', 'gelu' or a function"):
        nn.TransformerEncoderLayer(8, 2, activation="tanh")
