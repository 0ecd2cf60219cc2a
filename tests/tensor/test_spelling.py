"""Reductions by NumPy's names of their arguments."""

from __future__ import annotations

import operator

import numpy as np
import pytest

import argand as ag

REDUCTIONS = ["sum", "mean", "prod", "var", "std", "max", "min", "argmax", "argmin", "any", "all"]


@pytest.mark.parametrize("name", REDUCTIONS)
def test_axis_keepdims_and_out(name: str) -> None:
    x = ag.tensor(np.random.default_rng(0).standard_normal((3, 4)))
    reduce = getattr(ag, name)
    wanted, found = reduce(x, 1, keepdim=True), reduce(x, axis=1, keepdims=True)
    if name in ("max", "min"):
        wanted, found = wanted.values, found.values
    else:
        out = ag.zeros(3, 1, dtype=wanted.dtype)
        assert reduce(x, 1, keepdim=True, out=out) is out
        np.testing.assert_array_equal(out.numpy(), wanted.numpy())
    assert found.shape == (3, 1)
    np.testing.assert_array_equal(found.numpy(), wanted.numpy())
    with pytest.raises(TypeError, match="unexpected argument 'axes'"):
        reduce(x, axes=1)


def test_sizes_may_be_given_by_name():
    x = ag.arange(6).view(size=(2, 3))
    assert x.reshape(shape=(3, 2)).tolist() == ag.reshape(input=x, shape=(3, 2)).tolist()
    assert x.permute(dims=(1, 0)).tolist() == ag.permute(x, dims=[1, 0]).tolist() == x.T.tolist()
    assert (
        ag.tile(x, dims=(2, 1)).tolist() == x.repeat(repeats=(2, 1)).tolist() == [*x.tolist()] * 2
    )
    assert x.expand(size=(2, -1, 3)).shape == (2, 2, 3)
    assert x.sum_to_size(size=(1, 3)).tolist() == [[3, 5, 7]]
    assert x.resize_(size=(3, 2)).shape == (3, 2)
    with pytest.raises(TypeError, match="once"):
        x.permute(1, 0, dims=(0, 1))


def test_parts_may_be_given_by_their_ends_or_their_number() -> None:
    x = ag.arange(5)
    assert [p.tolist() for p in x.tensor_split(indices=[1, 3])] == [[0], [1, 2], [3, 4]]
    assert [p.tolist() for p in ag.tensor_split(x, sections=2)] == [[0, 1, 2], [3, 4]]
    for wrong in ({}, {"indices": [1], "sections": 2}):
        with pytest.raises(TypeError, match="takes one of"):
            ag.tensor_split(x, **wrong)


def test_parts_and_sums_of_shapes_are_shapes() -> None:
    shape = ag.ones(2, 3, 4).shape
    for found, wanted in (
        (shape[:-1], (2, 3)),
        (operator.add(shape[1:], (5,)), (3, 4, 5)),
        (operator.add((5,), shape), (5, 2, 3, 4)),
        (shape[:1] * 2, (2, 2)),
        (2 * shape[:1] + ag.Size([7]), (2, 2, 7)),
    ):
        assert type(found) is ag.Size and found == wanted
        assert found.numel() == np.prod(wanted)
    assert shape[-1] == 4 and isinstance(shape[0], int)
    with pytest.raises(TypeError):
        operator.add(shape, [1])


NAMED_DIMENSIONS = {
    "amax": (),
    "cumprod": (),
    "logsumexp": (),
    "nanmean": (),
    "softmax": (),
    "sort": (),
    "topk": (2,),
    "unbind": (),
    "unsqueeze": (),
    "repeat_interleave": (2,),
}


@pytest.mark.parametrize("name", NAMED_DIMENSIONS)
def test_axis_is_dim_wherever_there_is_a_dim(name: str) -> None:
    x = ag.tensor(np.random.default_rng(0).standard_normal((3, 4)))
    for function in (getattr(ag, name), getattr(ag.Tensor, name)):
        wanted, found = (function(x, *NAMED_DIMENSIONS[name], **{by: 0}) for by in ("dim", "axis"))
        for a, b in zip(wanted, found, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert ag.amax(x, axis=(0,), keepdims=True).shape == (1, 4)
    with pytest.raises(TypeError, match="axes"):
        getattr(ag, name)(x, *NAMED_DIMENSIONS[name], axes=0)


def test_dimensions_are_swapped_by_numpys_names() -> None:
    x = ag.ones(2, 3)
    assert ag.swapaxes(x, axis0=0, axis1=1).shape == x.swapaxes(axis0=1, axis1=0).shape == (3, 2)
    assert x.clone().swapaxes_(axis0=0, axis1=1).shape == x.swapdims(dim0=0, dim1=1).shape == (3, 2)


def test_numbers_alone_make_0d_tensors() -> None:
    cases: list[tuple[ag.Tensor, float, ag.dtype]] = [
        (ag.add(7, 2), 9, ag.int64),
        (ag.add(True, 2), 3, ag.int64),
        (ag.add(2, 3, alpha=2), 8, ag.int64),
        (ag.sub(7.5, 2), 5.5, ag.float32),
        (ag.mul(2, 1.5), 3, ag.float32),
        (ag.divide(7, 2), 3.5, ag.float32),
        (ag.div(7, 2, rounding_mode="floor"), 3, ag.int64),
        (ag.floor_divide(7.0, 2), 3, ag.float32),
    ]
    for found, value, dtype in cases:
        assert found.shape == () and found.dtype is dtype and found.item() == value
    for name in ("pow", "remainder", "maximum"):
        with pytest.raises(TypeError, match="Tensor"):
            getattr(ag, name)(7, 2)


def test_sizes_may_be_0d_tensors_of_whole_numbers() -> None:
    n, m = ag.tensor(2), ag.tensor(3)
    assert ag.equal(ag.eye(n, m), ag.eye(2, 3)) and ag.equal(ag.eye(n), ag.eye(2))
    assert ag.equal(ag.signal.windows.hann(m), ag.signal.windows.hann(3))
    assert ag.signal.windows.kaiser(ag.tensor(1.0), beta=ag.tensor(1.0)).tolist() == [1]
    for function in (ag.eye, ag.signal.windows.hann):
        with pytest.raises(TypeError, match="integer"):
            function(ag.tensor(3.0))


def test_extremes_may_be_scattered_by_their_older_names() -> None:
    x, index, src = ag.ones(3), ag.tensor([0, 0, 2]), ag.tensor([2.0, -3.0, 4.0])
    assert ag.scatter_reduce(x, 0, index, src, "min").tolist() == [-3, 1, 1]
    assert x.scatter_reduce(0, index, src, "max", include_self=False).tolist() == [2, 1, 4]


@pytest.mark.parametrize("dtype", [ag.float16, ag.bfloat16])
def test_powers_of_16_bits(dtype: ag.dtype) -> None:
    found = ag.vander(ag.tensor([1, 2, 3], dtype=dtype))
    assert found.dtype is dtype and found.tolist() == [[1, 1, 1], [4, 2, 1], [9, 3, 1]]
    with pytest.raises(ag.ArgandError, match="not defined for"):
        ag.linalg.vander(ag.tensor([1, 2, 3], dtype=dtype))


def test_arguments_have_pytorchs_names() -> None:
    x = ag.arange(16.0).reshape(4, 4)
    assert len(x.split(split_size=2)) == len(ag.split(x, split_size_or_sections=2)) == 2
    assert ag.equal(ag.add(x1=x, x2=x), ag.mul(x, x2=ag.tensor(2.0)))
    assert ag.sum(a=x) == ag.sum(x=x) == 120
    assert ag.promote_types(type1=ag.int8, type2=ag.uint8) is ag.int16
    assert x.clone().fill_diagonal_(fill_value=0).trace() == 0
    assert x.clone().resize_as_(the_template=ag.ones(2, 2)).shape == (2, 2)
    drawn = x.clone().random_(**{"from": 5, "to": 6})
    assert (drawn == 5).all()
    with pytest.raises(TypeError, match="form"):
        x.random_(form=5)
    copied = ag.from_dlpack(ext_tensor=x, copy=True)
    assert ag.equal(copied, x) and copied.data_ptr() != x.data_ptr()
