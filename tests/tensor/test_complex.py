"""Complex tensors against NumPy and closed forms."""

import numpy as np
import pytest

import argand as ag

Z = np.array([3 + 4j, 0, -2j, 1e200 + 1e200j, complex("nan"), complex(1, np.inf)])


def test_abs_is_real() -> None:
    found = ag.abs(ag.tensor(Z))
    assert found.dtype is ag.float64
    np.testing.assert_array_equal(found.numpy(), np.abs(Z))
    assert ag.tensor([3 + 4j]).abs().dtype is ag.float32
    np.testing.assert_array_equal(ag.compile(ag.abs)(ag.tensor(Z)).numpy(), np.abs(Z))


def test_the_gradient_of_abs_is_the_direction() -> None:
    z = ag.tensor(Z[:3], requires_grad=True)
    z.abs().backward(ag.tensor([1.0, 1.0, 10.0], dtype=ag.float64))
    np.testing.assert_allclose(z.grad.numpy(), [0.6 + 0.8j, 0, -10j], rtol=1e-15)


def test_the_gradient_of_abs_can_be_differentiated() -> None:
    z = ag.tensor([3 + 4j], dtype=ag.complex128, requires_grad=True)
    (slope,) = ag.autograd.grad(z.abs().sum(), z, create_graph=True)
    (found,) = ag.autograd.grad(slope, z, ag.tensor([1 + 0j], dtype=ag.complex128))
    # Of x / |x| with x = a + ib by a: the Hessian's column ((b * b, -a * b) / |x|^3).
    np.testing.assert_allclose(found.numpy(), [(16 - 12j) / 125], rtol=1e-14)


@pytest.mark.parametrize("name", ["isnan", "isinf", "isfinite"])
def test_tests_of_numbers_look_at_both_parts(name: str) -> None:
    found = getattr(ag, name)(ag.tensor(Z))
    np.testing.assert_array_equal(found.numpy(), getattr(np, name)(Z))


def test_the_gradient_of_a_real_operand_is_real() -> None:
    z, s = ag.tensor([3 + 4j]), ag.tensor([5.0], requires_grad=True)
    (found,) = ag.autograd.grad(s * z, s, ag.tensor([1 + 2j]))
    assert found.dtype is ag.float32
    assert found.item() == 11.0  # Re((1 + 2i) * conj(3 + 4i))


def test_gradients_flow_through_the_parts() -> None:
    z = ag.tensor([1 + 2j, 3 - 1j], requires_grad=True)
    (z.real * z.imag).sum().backward()
    np.testing.assert_array_equal(z.grad.numpy(), [2 + 1j, -1 + 3j])  # b + ia
    a, b = ag.tensor([1.0, 2.0], requires_grad=True), ag.tensor(3.0, requires_grad=True)
    ag.complex(a, b).abs().square().sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), [2, 4], rtol=1e-6)
    np.testing.assert_allclose(b.grad.numpy(), 12, rtol=1e-6)


def test_the_parts_are_views() -> None:
    z = ag.tensor([1 + 2j, 3 + 4j])
    z.real.fill_(7)
    z.imag[0] = 9
    assert z.tolist() == [7 + 9j, 7 + 4j]
    w = ag.tensor([2.0], requires_grad=True)
    y = ag.complex(w, w)
    y.real.mul_(3)  # 3w + iw
    y.abs().square().sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), [40], rtol=1e-6)


def test_an_infinite_imaginary_part_leaves_the_real_one() -> None:
    found = ag.complex(ag.tensor(1.0), ag.tensor(float("inf"))).item()
    assert (found.real, found.imag) == (1.0, float("inf"))


def test_an_imaginary_number_is_true() -> None:
    z = ag.tensor([1j, 0j, 2 + 0j])
    assert z.bool().tolist() == [True, False, True]
    assert z.any().item() and not z.all().item()
    assert z[:1].all().item()


def test_variance_adds_that_of_both_parts() -> None:
    z = ag.tensor([1 + 2j, 1j, -1, 0j])
    assert z.var().dtype is ag.float32
    np.testing.assert_allclose(z.var().item(), 19 / 12, rtol=1e-6)
    np.testing.assert_allclose(z.std().item(), np.sqrt(19 / 12), rtol=1e-6)


def test_a_product_is_differentiated_with_conjugates() -> None:
    z = ag.tensor([1 + 2j, 3 - 1j], requires_grad=True)
    z.prod().real.backward()  # Re(z w), whose gradient in z is conj(w)
    np.testing.assert_allclose(z.grad.numpy(), [3 + 1j, 1 - 2j], rtol=1e-6)
