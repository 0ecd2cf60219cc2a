"""Packed sequences: alone as in a batch, and as PyTorch packs them."""

import numpy as np
import pytest

import argand as ag
from argand import nn
from argand.nn.utils import rnn

rng = np.random.default_rng(8)
LENGTHS = [3, 5, 1, 4]


def sequences():
    return [ag.tensor(rng.standard_normal((n, 3))) for n in LENGTHS]


def test_packing_and_back():
    parts = sequences()
    packed = rnn.pack_sequence(parts, enforce_sorted=False)
    assert packed.batch_sizes.tolist() == [4, 3, 3, 2, 1]
    assert packed.data.shape == (13, 3)
    for mine, part in zip(rnn.unpack_sequence(packed), parts, strict=True):
        assert mine.equal(part)
    batch, lengths = rnn.pad_packed_sequence(packed, True, -1.0, total_length=7)
    assert batch.shape == (4, 7, 3)
    assert lengths.tolist() == LENGTHS
    assert (batch[2, 1:] == -1).all()
    with pytest.raises(ag.ArgandError, match="enforce_sorted"):
        rnn.pack_sequence(parts)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_each_sequence_is_as_alone(kind):
    layer = getattr(nn, kind)(3, 4, num_layers=2, bidirectional=True).double()
    parts = sequences()
    y, state = layer(rnn.pack_sequence(parts, enforce_sorted=False))
    for i, (found, part) in enumerate(zip(rnn.unpack_sequence(y), parts, strict=True)):
        expected, ends = layer(part)
        np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), atol=1e-12)
        for mine, end in zip(
            *((s if kind == "LSTM" else (s,)) for s in (state, ends)), strict=True
        ):
            np.testing.assert_allclose(mine[:, i].detach().numpy(), end.detach().numpy())


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("LSTM", {"proj_size": 2, "bidirectional": True, "num_layers": 2}),
        ("LSTM", {"proj_size": 3, "bias": False}),
        ("GRU", {"bidirectional": True}),
    ],
)
def test_as_torch(kind, options):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = getattr(torch.nn, kind)(3, 4, **options).double()
    ours = getattr(nn, kind)(3, 4, **options).double()
    assert repr(ours) == repr(theirs)
    state = {k: ag.tensor(v.numpy()) for k, v in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict(state)
    x = rng.standard_normal((4, 5, 3))
    pack = torch.nn.utils.rnn.pack_padded_sequence
    a, b = (
        rnn.pack_padded_sequence(ag.tensor(x), LENGTHS, True, False),
        pack(torch.tensor(x), LENGTHS, True, False),
    )
    for mine, their in zip(a, b, strict=True):
        np.testing.assert_array_equal(mine.numpy(), their.numpy())
    (y, ends), (expected, wanted) = ours(a), theirs(b)
    np.testing.assert_allclose(y.data.detach().numpy(), expected.data.detach().numpy())
    pairs = (ends, wanted) if kind == "LSTM" else ((ends,), (wanted,))
    for mine, their in zip(*pairs, strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), their.detach().numpy())
    y.data.square().sum().backward()
    expected.data.square().sum().backward()
    for mine, their in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(mine.grad.numpy(), their.grad.numpy(), atol=1e-12)
