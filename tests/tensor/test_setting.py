"""`set_`, `_base`, `dim_order`, `swap_tensors`, and memory by itself."""

import weakref

import numpy as np
import pytest

import argand as ag
from argand import nn


def test_set_shares_the_memory_of_a_tensor_or_storage():
    x, memory = ag.zeros(2), ag.arange(6.0)
    assert x.set_(memory) is x and x.is_set_to(memory)
    x.set_(memory.untyped_storage(), 2, (2, 2), (2, 1))
    assert x.tolist() == [[2, 3], [4, 5]]
    before = memory._version
    x.add_(10)
    assert memory.tolist() == [0, 1, 12, 13, 14, 15] and memory._version == before + 1
    memory[3] = -1.0
    assert x[0, 1] == -1
    assert x.set_(memory.storage(), 4).tolist() == [14, 15]
    assert x.set_(memory, 1, (2,), (3,)).tolist() == [1, 14]
    assert x.set_().shape == (0,)


def test_set_reads_bytes_as_the_tensors_own_dtype():
    bits = ag.zeros(1, dtype=ag.int32).set_(ag.tensor([1.0, -2.0]).untyped_storage())
    assert bits.tolist() == np.array([1.0, -2.0], np.float32).view(np.int32).tolist()


def test_set_takes_the_memory_of_a_transposed_tensor_in_its_order():
    turned = ag.arange(6.0).view(2, 3).T.clone()
    assert turned.storage().tolist() == [0, 1, 2, 3, 4, 5]
    x = ag.zeros(0).set_(turned.untyped_storage())
    assert x.tolist() == [0, 1, 2, 3, 4, 5]
    x[1] = 9.0
    assert turned[1, 0] == 9


@pytest.mark.parametrize(
    ("args", "kind", "text"),
    [
        ((ag.ones(2, dtype=ag.int32),), RuntimeError, "int32"),
        ((ag.arange(6.0), 4, (5,)), RuntimeError, "reaches element 8 of 6"),
        ((ag.arange(6.0).untyped_storage(), -1, (2,), (1,)), RuntimeError, "offset -1"),
        ((ag.ones(2).int().storage(),), RuntimeError, "expected a storage of float32"),
        ((3,), TypeError, "a tensor or a storage"),
    ],
)
def test_set_refuses(args, kind, text):
    x = ag.zeros(2)
    with pytest.raises(kind, match=text):
        x.set_(*args)
    assert x.tolist() == [0, 0]


def test_set_refuses_a_leaf_outside_no_grad():
    leaf = ag.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        leaf.set_(ag.zeros(2))
    with ag.no_grad():
        leaf.set_(ag.tensor([3.0, 4.0]))
    (leaf**2).sum().backward()
    assert leaf.grad.tolist() == [6, 8]


def test_a_view_knows_its_base():
    x = ag.ones(2, 3, requires_grad=True)
    for view in (x[0], x[0][1:], x.T, x.expand(4, 2, 3), x.reshape(6), x.view_as(x)):
        assert view._is_view() and view._base is x
    for other in (x, x.detach(), x.data, x.clone(), x.contiguous(), nn.Parameter(ag.ones(2))):
        assert not other._is_view() and other._base is None


def test_the_order_of_dimensions():
    image = ag.ones(2, 3, 4, 5)
    assert image.dim_order() == (0, 1, 2, 3)
    assert image.to(memory_format=ag.channels_last).dim_order() == (0, 2, 3, 1)
    assert ag.ones(2, 3).T.dim_order(ambiguity_check=True) == (1, 0)
    one = ag.ones(1, 1, 3)
    assert one.dim_order(ambiguity_check=[ag.contiguous_format]) == (0, 1, 2)
    for ambiguous in (one, ag.ones(2, 3).expand(4, 2, 3)):
        assert ambiguous.dim_order() == (0, 1, 2)
        with pytest.raises(RuntimeError, match="unique dim order"):
            ambiguous.dim_order(ambiguity_check=True)
    with pytest.raises(TypeError, match="bool or a list"):
        one.dim_order(ambiguity_check=5)


def test_tensors_swap_all_they_are():
    a, b = nn.Parameter(ag.ones(2)), ag.zeros(3)
    a.note, a.grad = 1, ag.tensor([5.0, 6.0])
    ag.utils.swap_tensors(a, b)
    assert type(a) is ag.Tensor and a.tolist() == [0, 0, 0] and not a.requires_grad
    assert type(b) is nn.Parameter and b.note == 1 and b.grad.tolist() == [5, 6]
    b.square().sum().backward()
    assert b.grad.tolist() == [7, 8]


def test_what_others_hold_is_not_swapped():
    a, b = ag.ones(2), ag.zeros(2)
    view = b[0]
    with pytest.raises(RuntimeError, match="Cannot swap t2"):
        ag.utils.swap_tensors(a, b)
    known = weakref.ref(a)
    with pytest.raises(RuntimeError, match="Cannot swap t1 because it has weakref"):
        ag.utils.swap_tensors(a, ag.zeros(2))
    assert known() is a and view._base is b and a.tolist() == [1, 1]


def test_dtypes_tell_their_sign_and_their_complex_numbers():
    signed = {d: d.is_signed for d in (ag.float32, ag.int8, ag.complex64, ag.float16, ag.bfloat16)}
    assert all(signed.values())
    assert not any(d.is_signed for d in (ag.bool, ag.uint8, ag.uint32, ag.uint64))
    assert ag.float32.to_complex() is ag.complex64 and ag.float64.to_complex() is ag.complex128
    assert ag.complex64.to_complex() is ag.complex64 and ag.complex128.to_real() is ag.float64
    with pytest.raises(RuntimeError, match="no complex dtype for int8"):
        ag.int8.to_complex()


def test_results_of_several_parts_have_classes():
    kinds = ag.return_types
    assert isinstance(ag.ones(2, 3).max(0), kinds.max)
    assert isinstance(ag.linalg.svd(ag.eye(2)), kinds.linalg_svd)
    assert not isinstance((1, 2), kinds.topk) and not isinstance(ag.linalg.qr(ag.eye(2)), kinds.max)
    made = kinds.sort((1, 2))
    assert made.values == 1 and isinstance(made, kinds.sort) and kinds.svd.n_fields == 3
    assert kinds.max_out is not None and kinds.max in kinds.all_return_types
    with pytest.raises(TypeError, match="2-sequence"):
        kinds.sort((1, 2, 3))
    with pytest.raises(AttributeError, match="nothing"):
        kinds.nothing  # noqa: B018
