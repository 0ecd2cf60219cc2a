"""Creation, against NumPy and PyTorch's documented behaviour."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import argand as ag


def test_python_numbers_get_the_default_dtypes() -> None:
    assert ag.tensor(1).dtype is ag.int64
    assert ag.tensor(1.0).dtype is ag.float32
    assert ag.tensor(True).dtype is ag.bool
    assert ag.tensor(1j).dtype is ag.complex64
    assert ag.tensor([1, 2.5]).dtype is ag.float32


def test_default_dtype_can_be_changed() -> None:
    ag.set_default_dtype(ag.float64)
    try:
        assert ag.tensor(1.0).dtype is ag.float64
        assert ag.zeros(2).dtype is ag.float64
        assert (ag.arange(2) / 2).dtype is ag.float64
    finally:
        ag.set_default_dtype(ag.float32)


def test_tensor_copies_and_from_numpy_shares() -> None:
    array = np.arange(3.0)
    copied, shared = ag.tensor(array), ag.from_numpy(array)
    array[0] = 9
    assert copied[0].item() == 0
    assert shared[0].item() == 9
    shared[1] = 7
    assert array[1] == 7


def test_as_tensor_shares_when_the_dtype_fits() -> None:
    array = np.arange(3, dtype=np.float32)
    assert np.shares_memory(ag.as_tensor(array).numpy(), array)
    assert not np.shares_memory(ag.as_tensor(array, dtype=ag.float64).numpy(), array)
    t = ag.ones(2)
    assert ag.as_tensor(t) is t


@pytest.mark.parametrize("bad", [["a"], [None], [object()]])
def test_what_is_not_numbers_is_refused(bad: list[object]) -> None:
    with pytest.raises((TypeError, ValueError), match="expected numbers"):
        ag.tensor(bad)


def test_ragged_lists_are_refused() -> None:
    with pytest.raises(ValueError, match="different lengths"):
        ag.tensor([[1, 2], [3]])


def test_unsupported_dtypes_are_named() -> None:
    with pytest.raises(TypeError, match="datetime64"):
        ag.from_numpy(np.zeros(2, "datetime64[s]"))
    with pytest.raises(TypeError, match="did you mean float32"):
        ag.zeros(2, dtype="flaot32")


def test_big_endian_arrays_are_converted() -> None:
    assert ag.tensor(np.array([1.0, 2.0], ">f8")).tolist() == [1.0, 2.0]


def test_arange_matches_numpy() -> None:
    for args in [(5,), (2, 7), (0, 1, 0.1), (5, -5, -3), (0.5, 3.0)]:
        np.testing.assert_allclose(ag.arange(*args).numpy(), np.arange(*args), rtol=1e-6)
    with pytest.raises(ValueError, match="step must not be 0"):
        ag.arange(0, 3, 0)


def test_linspace_ends_exactly() -> None:
    x = ag.linspace(0, 1, 7)
    assert x[0].item() == 0 and x[-1].item() == 1
    np.testing.assert_allclose(x.numpy(), np.linspace(0, 1, 7), rtol=1e-6)
    assert ag.linspace(0, 1, 0).shape == (0,)


def test_creation_arguments() -> None:
    assert ag.ones(2, device="cpu", requires_grad=True).requires_grad
    with pytest.raises(RuntimeError, match="'cuda' is not available"):
        ag.zeros(2, device="cuda")
    x = ag.ones(3)
    for wrong in (ag.zeros, ag.rand, ag.arange, ag.randperm, ag.eye):
        with pytest.raises(TypeError, match="unexpected argument 'dtyp'"):
            wrong(2, dtyp=ag.float32)
    for wrong in (ag.zeros_like, ag.rand_like, ag.randn_like):
        with pytest.raises(TypeError, match="unexpected argument 'dtyp'"):
            wrong(x, dtyp=ag.float32)
    assert ag.zeros(3, out=x) is x
    assert ag.zeros(size=(2, 3), layout=None).shape == ag.rand(size=(2, 3)).shape == (2, 3)
    assert str(ag.zeros(1).device) == "cpu"
    assert ag.device("cpu:0").index == 0


def test_seeding_repeats_draws() -> None:
    ag.manual_seed(5)
    first = [ag.rand(3), ag.randn(2, 2), ag.randint(0, 9, (4,)), ag.randperm(6)]
    ag.manual_seed(5)
    again = [ag.rand(3), ag.randn(2, 2), ag.randint(0, 9, (4,)), ag.randperm(6)]
    assert all(ag.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not ag.equal(ag.rand(3), first[0])


def test_generators_are_independent() -> None:
    g = ag.Generator().manual_seed(1)
    ag.manual_seed(0)
    expected = ag.rand(3)
    ag.manual_seed(0)
    ag.rand(3, generator=g)
    assert ag.equal(ag.rand(3), expected)
    state = g.get_state()
    a = ag.randn(4, generator=g)
    assert ag.equal(ag.randn(4, generator=g.set_state(state)), a)


def test_random_numbers_have_their_distribution() -> None:
    ag.manual_seed(0)
    u, z = ag.rand(20000), ag.randn(20000)
    assert u.min().item() >= 0 and u.max().item() < 1
    assert abs(u.mean().item() - 0.5) < 0.01
    assert abs(z.mean().item()) < 0.03 and abs(z.std().item() - 1) < 0.03
    r = ag.randint(-2, 3, (5000,))
    assert r.unique().tolist() == [-2, -1, 0, 1, 2]
    assert sorted(ag.randperm(50).tolist()) == list(range(50))
    assert abs(ag.bernoulli(ag.full((5000,), 0.3)).mean().item() - 0.3) < 0.03


def test_multinomial() -> None:
    ag.manual_seed(0)
    weights = ag.tensor([[0.0, 1.0, 3.0], [1.0, 0.0, 0.0]])
    draws = ag.multinomial(weights, 4000, replacement=True)
    share = (draws[0] == 2).float().mean().item()
    assert abs(share - 0.75) < 0.03
    assert (draws[1] == 0).all()
    assert sorted(ag.multinomial(ag.ones(5), 5).tolist()) == [0, 1, 2, 3, 4]


def test_in_place_draws() -> None:
    ag.manual_seed(0)
    x = ag.empty(5000)
    assert abs(x.normal_(2, 0.5).mean().item() - 2) < 0.05
    assert x.uniform_(-1, 3).min().item() >= -1
    assert x.exponential_(2.0).min().item() >= 0
    assert set(x.bernoulli_(0.5).unique().tolist()) == {0.0, 1.0}
    assert ag.empty(100, dtype=ag.int64).random_(3).max().item() <= 2


def test_deepcopy_keeps_grad_and_leafness() -> None:
    x = ag.ones(2, requires_grad=True)
    (x * 3).sum().backward()
    y = copy.deepcopy(x)
    assert y.requires_grad and y.is_leaf
    assert y.grad is not None and y.grad.tolist() == [3, 3]
    with ag.no_grad():
        y[0] = 5
    assert x.tolist() == [1, 1]
    with pytest.raises(RuntimeError, match="only leaves"):
        copy.deepcopy(x * 2)


def test_legacy_constructors() -> None:
    assert ag.LongTensor([1, 2]).dtype is ag.int64
    assert ag.FloatTensor(2, 3).shape == (2, 3)
    assert isinstance(ag.arange(2), ag.LongTensor)
    assert not isinstance(ag.ones(2), ag.LongTensor)
