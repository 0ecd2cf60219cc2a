"""PyTorch's older constructors, the memory behind tensors, and datasets with a type."""

from __future__ import annotations

import numpy as np
import pytest

import argand as ag


def test_the_class_makes_tensors() -> None:
    assert ag.Tensor(2, 3).shape == (2, 3)
    assert ag.Tensor(ag.Size((2, 3))).shape == (2, 3)
    assert ag.Tensor([1, 2]).dtype is ag.float32
    assert ag.Tensor(np.arange(3)).tolist() == [0.0, 1.0, 2.0]
    assert ag.Tensor().shape == (0,)
    x = ag.ones(2, requires_grad=True)
    alias = ag.Tensor(x)
    assert alias.data_ptr() == x.data_ptr()
    assert not alias.requires_grad
    with pytest.raises(TypeError, match="expected float32, got int64"):
        ag.Tensor(ag.tensor([1]))


@pytest.mark.parametrize("number", [2.5, True, None, 1j, np.float32(2), "a"])
def test_one_number_is_no_sequence(number: object) -> None:
    for make in (ag.Tensor, ag.FloatTensor, ag.ones(2).new):
        with pytest.raises(TypeError, match="expected sizes or a sequence of numbers"):
            make(number)


def test_sizes_may_be_numpys() -> None:
    assert ag.Tensor(np.int64(3)).shape == ag.LongTensor(np.int32(3)).shape == (3,)
    assert ag.FloatTensor().shape == (0,)
    assert ag.FloatTensor(ag.Size((2, 3))).shape == (2, 3)


def test_a_subclass_makes_its_own() -> None:
    class Named(ag.Tensor):
        pass

    found = Named([1.0, 2.0])
    assert type(found) is Named
    assert found.tolist() == [1.0, 2.0]


def test_new_has_the_dtype_of_the_tensor() -> None:
    x = ag.tensor([1, 2])
    assert x.new(2, 1).tolist() == [[0], [0]]
    assert x.new([1.5]).dtype is ag.int64
    assert x.new().shape == (0,)


def test_views_have_one_storage() -> None:
    x = ag.arange(6).reshape(2, 3)
    assert x.t()[1:].untyped_storage() == x.untyped_storage()
    assert x.clone().untyped_storage() != x.untyped_storage()
    assert (x.storage().size(), x.untyped_storage().size()) == (6, 48)
    assert x[1].storage().tolist() == list(range(6))
    assert x[1].data_ptr() - x.untyped_storage().data_ptr() == 24


def test_a_dataset_may_say_its_samples() -> None:
    class Numbers(ag.data.Dataset[int]):
        def __len__(self) -> int:
            return 3

        def __getitem__(self, i: int) -> int:
            return i

    batches = [b.tolist() for b in ag.data.DataLoader(Numbers(), batch_size=2)]
    assert batches == [[0, 1], [2]]


def test_a_type_is_a_dtype_for_the_method_type() -> None:
    x = ag.tensor([1, 2])
    assert x.type(ag.FloatTensor).dtype is ag.float32
    assert (
        x.type(ag.Tensor).dtype is ag.float32 and x.type("torch.DoubleTensor").dtype is ag.float64
    )
    with pytest.raises(TypeError):
        x.type(int, 3)
    with pytest.raises(TypeError, match="is not a dtype"):
        x.type(list)


def test_variables_are_tensors() -> None:
    x = ag.ones(2)
    with pytest.warns(UserWarning, match="volatile was removed and now has no effect"):
        assert ag.autograd.Variable(x, volatile=True) is x
    assert ag.autograd.Variable(x, requires_grad=True).requires_grad


def test_what_a_tensor_says_of_its_memory_and_its_gradient() -> None:
    x = ag.ones(3, requires_grad=True)
    y = x * 2
    assert (x.retains_grad, y.retains_grad) == (False, False)
    for t in (x, y):
        t.retain_grad()
    assert (x.retains_grad, y.retains_grad) == (False, True)
    assert not x.is_pinned()
    assert x.detach().is_set_to(x)
    assert not x.is_set_to(x[1:])
    assert not x.is_set_to(x.clone())
