"""MaskedTensor; the expected texts and numbers are PyTorch 2.13's."""

import pickle

import numpy as np
import pytest

import argand as ag
from argand.masked import MaskedTensor, as_masked_tensor, is_masked_tensor, masked_tensor

DATA = np.arange(12.0).reshape(3, 4) - 4
MASK = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 0, 1]], bool)


def made(data=DATA, mask=MASK, **options):
    return masked_tensor(ag.tensor(data), ag.tensor(mask), **options)


def agrees(found, data, mask):
    """Whether a masked tensor has a mask, and numbers where it is True."""
    mask = np.asarray(mask)
    assert is_masked_tensor(found) and found.get_mask().numpy().tolist() == mask.tolist()
    np.testing.assert_allclose(
        found.get_data().detach().numpy()[mask], np.asarray(data)[mask], 1e-6
    )
    return True


def test_it_is_shown_as_pytorch_shows_it():
    assert (
        repr(made()[:1])
        == "MaskedTensor(\n  [\n    [ -4.0000,       --,  -2.0000,  -1.0000]\n  ]\n)"
    )
    whole = masked_tensor(ag.arange(4), ag.tensor([True, False, True, False]))
    assert f"{whole}" == "MaskedTensor(\n  [0,       --, 2,       --]\n)"
    assert repr(made()[0, 1]) == "MaskedTensor(--, False)"
    assert repr(made()[0, 0]) == "MaskedTensor( -4.0000, True)"


def test_arithmetic_keeps_the_mask():
    a, b = made(), made(DATA * 2 + 1)
    other = DATA * 2 + 1
    assert agrees(a + b, DATA + other, MASK) and agrees(a * 2, DATA * 2, MASK)
    assert agrees(1 - a, 1 - DATA, MASK) and agrees(-a, -DATA, MASK)
    assert agrees(a / b, DATA / other, MASK) and agrees(a**2, DATA**2, MASK)
    assert agrees(a < b, other > DATA, MASK) and agrees(a == b, other == DATA, MASK)
    assert agrees(ag.exp(a), np.exp(DATA), MASK) and agrees(a.clamp(-1, 1), DATA.clip(-1, 1), MASK)
    assert agrees(a + ag.tensor(DATA), 2 * DATA, MASK)
    assert agrees(a + ag.ones(2, 3, 4), np.stack([DATA + 1] * 2), np.stack([MASK] * 2))
    a.add_(1).exp_()
    assert agrees(a, np.exp(DATA + 1), MASK)


def test_reductions_take_what_counts():
    a = made()
    held = [row[keep] for row, keep in zip(DATA, MASK, strict=True)]
    some = MASK.any(1)
    for name, function in {
        "sum": np.sum,
        "mean": np.mean,
        "amax": np.max,
        "amin": np.min,
        "prod": np.prod,
    }.items():
        rows = [function(row) if len(row) else 0.0 for row in held]
        assert agrees(getattr(a, name)(1), rows, some), name
        assert agrees(
            getattr(ag, name)(a, dim=1, keepdim=True), np.array(rows)[:, None], some[:, None]
        )
        assert agrees(getattr(a, name)(), function(DATA[MASK]), True), name
    assert agrees(a.argmax(1), [3, 0, 3], some) and agrees(a.argmin(1), [0, 0, 0], some)
    assert agrees(a.var(1), [np.var(h, ddof=1) if len(h) else 0 for h in held], some)
    assert agrees((a > -3).all(1), [False, True, True], some)
    assert agrees(a.sum((0, 1)), DATA[MASK].sum(), True)
    weights = np.exp(DATA) * MASK
    assert agrees(a.softmax(1), weights / weights.sum(1, keepdims=True).clip(1e-9), MASK)


def test_moves_and_indices_move_the_mask():
    a = made()
    assert agrees(a[0], DATA[0], MASK[0]) and agrees(a[:, 1:], DATA[:, 1:], MASK[:, 1:])
    assert agrees(a.T, DATA.T, MASK.T) and agrees(a.transpose(0, 1), DATA.T, MASK.T)
    assert agrees(a.reshape(2, 6), DATA.reshape(2, 6), MASK.reshape(2, 6))
    assert agrees(a.view(12).unsqueeze(0), DATA.reshape(1, 12), MASK.reshape(1, 12))
    assert agrees(ag.cat([a, a]), np.concatenate([DATA] * 2), np.concatenate([MASK] * 2))
    assert agrees(ag.stack([a, a], 1), np.stack([DATA] * 2, 1), np.stack([MASK] * 2, 1))
    first, rest = a.split([1, 2])
    assert agrees(first, DATA[:1], MASK[:1]) and agrees(rest, DATA[1:], MASK[1:])
    assert [row.shape for row in a] == [(4,)] * 3 and len(a) == 3 and a.shape == (3, 4)
    assert a.float().dtype is ag.float32 and a.to(ag.float16).dtype is ag.float16
    assert agrees(a.clone(), DATA, MASK) and agrees(ag.ones_like(a), np.ones((3, 4)), MASK)
    assert a.to_tensor(9).numpy().tolist() == np.where(MASK, DATA, 9).tolist()
    assert a[0, 0].item() == -4 and agrees(pickle.loads(pickle.dumps(a)), DATA, MASK)


def test_gradients_are_masked():
    leaf = made(requires_grad=True)
    (leaf * leaf).sum(1).mean().backward()
    assert agrees(leaf.grad, DATA, MASK)  # 2x over the two rows that count
    leaf = made(requires_grad=True)
    leaf.amax(1).sum().backward()
    wanted = np.zeros((3, 4))
    wanted[[0, 2], 3] = 1
    assert agrees(leaf.grad, wanted, MASK)
    x = ag.tensor(DATA, requires_grad=True)
    (as_masked_tensor(x, ag.tensor(MASK)) * 3).sum().backward()
    assert x.grad.numpy().tolist() == np.where(MASK, 3.0, 0.0).tolist()


def test_a_chosen_branch_alone_has_a_gradient():
    """The example of PyTorch's page: no nan where the other branch overflows."""
    x = ag.tensor([-10.0, -5, 0, 5, 10, 50, 100])
    low = x < 0
    a = masked_tensor(x, low, requires_grad=True)
    b = masked_tensor(ag.ones_like(x), ~low, requires_grad=True)
    total = ag.where(low, ag.exp(a), b).sum()
    total.backward()
    assert abs(total.item() - 5.0067834) < 1e-5
    assert agrees(a.grad, np.exp(x.numpy().clip(None, 0)), low.numpy())
    assert agrees(b.grad, np.ones(7), ~low.numpy())


def test_compiled_functions_take_them():
    double = ag.compile(lambda x: (x * 2).sum(1))
    assert agrees(double(made()), [-14.0, 0, 32.0], MASK.any(1))


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda a: a + made(mask=~MASK), ValueError, "masks must match"),
        (lambda a: masked_tensor(a.get_data(), ag.tensor(MASK).int()), TypeError, "bool"),
        (lambda a: made(mask=MASK[0]), ValueError, r"data.dim\(\)"),
        (lambda a: made(mask=MASK[:, :2]), ValueError, r"data.size\(\)"),
        (lambda a: MaskedTensor([1.0], ag.tensor([True])), TypeError, "data must be a Tensor"),
        (lambda a: made(DATA + 1j), TypeError, "not supported in MaskedTensor"),
        (lambda a: ag.fft.fft(a), TypeError, "not there for masked tensors"),
        (lambda a: a @ a.T, TypeError, "matmul.*not there for masked tensors"),
        (lambda a: a[0, 1].item(), ValueError, "doesn't count"),
        (lambda a: a.numpy(), TypeError, "masked tensors"),
        (lambda a: made(requires_grad=True).add_(1), RuntimeError, "leaf"),
    ],
)
def test_what_is_refused(call, kind, text):
    with pytest.raises(kind, match=text):
        call(made())
