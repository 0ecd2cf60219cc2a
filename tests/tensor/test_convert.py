"""NumPy and the other array libraries, both ways."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy import special
from sklearn.linear_model import LinearRegression

import argand as ag


def test_numpy_shares_memory() -> None:
    t = ag.zeros(3)
    t.numpy()[1] = 5
    assert t.tolist() == [0, 5, 0]
    assert np.shares_memory(np.asarray(t), t.numpy())


def test_numpy_of_a_gradient_tensor_is_refused() -> None:
    x = ag.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"detach\(\)\.numpy"):
        x.numpy()
    assert x.detach().numpy().tolist() == [1, 1]
    assert x.numpy(force=True).tolist() == [1, 1]


def test_numpy_functions_take_tensors() -> None:
    t = ag.tensor([0.0, 1.0])
    out = np.sin(t)
    assert isinstance(out, ag.Tensor)
    np.testing.assert_allclose(out.numpy(), np.sin([0, 1]), rtol=1e-6)
    assert np.mean(t) == 0.5
    assert isinstance(np.add(t, np.ones(2, np.float32)), ag.Tensor)
    target = ag.zeros(2)
    np.exp(t, out=target)
    np.testing.assert_allclose(target.numpy(), np.exp([0, 1]), rtol=1e-6)


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("mode", ["eager", "compiled"])
@pytest.mark.parametrize("left", [np.int64(3), np.float64(3), np.float32(3), np.int8(3)])
def test_a_number_of_numpy_before_a_tensor_leaves_its_dtype(mode, left, grad):
    t = ag.tensor([1.0, 2.0], requires_grad=grad)

    def f(t):
        return left * t, left - t, left / t, left**t, left < t, np.sin(t), np.add(left, t)

    products, *rest, below, sines, sums = (f if mode == "eager" else ag.compile(f))(t)
    assert below.dtype is ag.bool
    assert {x.dtype for x in (products, *rest, sines, sums)} == {ag.float32}
    np.testing.assert_array_equal(products.detach().numpy(), [3.0, 6.0])
    assert products.requires_grad is grad
    assert (np.float64(3) * ag.tensor([1, 2])).dtype is ag.float32


def test_arrays_and_tensors_mix_in_operators() -> None:
    t, a = ag.tensor([1.0, 2.0]), np.array([3.0, 4.0], np.float32)
    assert isinstance(t + a, ag.Tensor) and (t + a).tolist() == [4, 6]
    assert isinstance(a * t, ag.Tensor) and (a * t).tolist() == [3, 8]


def test_arrays_record_gradients_in_operators() -> None:
    x = ag.tensor([1.0, 2.0], requires_grad=True)
    a = np.array([3.0, 4.0], np.float32)
    (a * x + np.exp(x)).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), a + np.exp([1, 2]), rtol=1e-6)


def test_comparison_with_what_is_no_number() -> None:
    t = ag.ones(2)
    assert (t == None) is False  # noqa: E711  # this is what is tested
    assert (t != "a") is True
    assert None not in [t]


def test_scipy_and_sklearn_take_tensors() -> None:
    t = ag.tensor([0.5, 1.5], dtype=ag.float64)
    np.testing.assert_allclose(np.asarray(special.gamma(t)), special.gamma([0.5, 1.5]))
    x = ag.arange(10).float().reshape(10, 1)
    model = LinearRegression().fit(x, 2 * x[:, 0] + 1)
    np.testing.assert_allclose(model.coef_, [2], rtol=1e-4)


def test_dlpack_both_ways() -> None:
    t = ag.arange(4).float()
    array = np.from_dlpack(t)
    assert np.shares_memory(array, t.numpy())
    back = ag.from_dlpack(array)
    back[0] = 8
    assert t[0].item() == 8


def test_buffers() -> None:
    t = ag.frombuffer(bytearray(np.arange(3, dtype=np.int32).tobytes()), dtype=ag.int32)
    assert t.tolist() == [0, 1, 2]
    assert memoryview(t.numpy()).nbytes == 12


def test_read_only_memory_is_not_written() -> None:
    array = np.arange(3.0)
    array.flags.writeable = False
    t = ag.from_numpy(array)
    assert (t + 1).tolist() == [1, 2, 3]
    with pytest.raises(RuntimeError, match="read-only"):
        t.add_(1)
    with pytest.raises(RuntimeError, match="read-only"):
        t[[0, 1]] = 1.0


def test_reduce_serves_other_processes() -> None:
    x = ag.tensor([1.0, 2.0], requires_grad=True)
    y = pickle.loads(pickle.dumps(x))
    assert y.tolist() == [1, 2] and y.requires_grad and y.is_leaf


def test_item_and_python_numbers() -> None:
    assert ag.tensor([[3]]).item() == 3
    assert float(ag.tensor(2.5)) == 2.5 and int(ag.tensor(2.5)) == 2
    assert [10, 20, 30][ag.tensor(1)] == 20
    assert bool(ag.tensor([0.0])) is False
    assert ag.tensor([1.5, 2.5], dtype=ag.bfloat16).tolist() == [1.5, 2.5]
    with pytest.raises(TypeError, match="only integer tensors"):
        [1, 2][ag.tensor(1.0)]


def test_to() -> None:
    t = ag.ones(2)
    assert t.to("cpu") is t and t.to(ag.float32) is t and t.cpu() is t
    assert t.to(ag.float32, copy=True) is not t
    assert t.to("float64").dtype is ag.float64
    assert t.to(ag.device("cpu"), ag.int32).dtype is ag.int32
    assert t.to(ag.zeros(1, dtype=ag.bool)).dtype is ag.bool
    with pytest.raises(RuntimeError, match="computes on the CPU"):
        t.to("cuda:0")
    with pytest.raises(RuntimeError, match="computes on the CPU"):
        t.cuda()


def test_view_as_another_dtype() -> None:
    bits = ag.tensor([1.0, -2.0]).view(ag.int32)
    assert bits.tolist() == np.array([1.0, -2.0], np.float32).view(np.int32).tolist()


def test_half_precision() -> None:
    x = ag.tensor([1.0, 2.0], dtype=ag.bfloat16)
    assert (x * 1.5).dtype is ag.bfloat16
    assert (x + x.half()).dtype is ag.float32
    assert x.sum().item() == 3.0
    assert x.float().tolist() == [1.0, 2.0]


def test_conversions_store_images_as_asked() -> None:
    x = ag.randn(2, 3, 4, 5)
    last = (60, 1, 15, 3)
    for y in (
        x.to(memory_format=ag.channels_last),
        x.to(ag.float32, memory_format=ag.channels_last, copy=True),
        x.clone(memory_format=ag.channels_last),
        x.float(memory_format=ag.channels_last),
        x.cpu(memory_format=ag.channels_last),
    ):
        assert y.stride() == last and y.is_contiguous(memory_format=ag.channels_last)
        np.testing.assert_array_equal(y.numpy(), x.numpy())
        assert y.to(memory_format=ag.channels_last) is y
        assert y.to(memory_format=ag.preserve_format) is y
        assert y.to(memory_format=ag.contiguous_format).stride() == x.stride()
        again = y.clone(memory_format=ag.channels_last)
        assert again.stride() == last and again.data_ptr() != y.data_ptr()
    assert x.double(memory_format=ag.channels_last).stride() == last
    with pytest.raises(RuntimeError, match=r"memory_format must be one of .*got str 'last'"):
        x.to(memory_format="last")
    video = ag.randn(2, 3, 4, 5, 6)
    y = video.contiguous(memory_format=ag.channels_last_3d)
    assert y.stride() == (360, 1, 90, 18, 3)
    assert y.is_contiguous(memory_format=ag.channels_last_3d) and not y.is_contiguous()
    np.testing.assert_array_equal(y.numpy(), video.numpy())
    assert not x.is_contiguous(memory_format=ag.channels_last_3d)
    layers = ag.nn.Sequential(ag.nn.Conv3d(2, 3, 2), ag.nn.Conv2d(2, 3, 2))
    layers.to(memory_format=ag.channels_last_3d)
    assert layers[0].weight.stride() == (16, 1, 8, 4, 2)
    assert layers[1].weight.is_contiguous()
    with pytest.raises(RuntimeError, match="channels_last takes images of 4 dim"):
        ag.ones(2, 3).to(memory_format=ag.channels_last)
