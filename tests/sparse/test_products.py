"""Products of sparse tensors against NumPy: values, duplicates, gradients."""

from __future__ import annotations

import numpy as np
import pytest

import argand as ag


def drawn(shape, count, seed, dtype=np.float64):
    """Places, values and the dense array of a random pattern, in which places repeat."""
    rng = np.random.default_rng(seed)
    places = np.stack([rng.integers(0, n, count) for n in shape])
    values = rng.standard_normal(count).astype(dtype)
    dense = np.zeros(shape, dtype)
    np.add.at(dense, tuple(places), values)
    return ag.tensor(places), ag.tensor(values), dense


@pytest.mark.parametrize("count", [0, 1, 7, 40])
@pytest.mark.parametrize("multiply", [ag.mm, ag.matmul, ag.spmm, ag.sparse.mm])
def test_times_a_plain_matrix(count, multiply):
    places, values, dense = drawn((4, 5), count, count)
    x = ag.sparse_coo_tensor(places, values, (4, 5))
    right, left = (
        np.random.default_rng(i).standard_normal(s) for i, s in enumerate([(5, 3), (2, 4)])
    )
    np.testing.assert_allclose(multiply(x, ag.tensor(right)).numpy(), dense @ right, atol=1e-14)
    np.testing.assert_allclose(multiply(ag.tensor(left), x).numpy(), left @ dense, atol=1e-14)
    both = multiply(x, x.t())
    np.testing.assert_allclose(both.to_dense().numpy(), dense @ dense.T, atol=1e-14)


def test_gradients_of_a_product():
    """d(A X)/dX = A^T g, and d(A X)/dA at the places of A is g X^T."""
    places, values, dense = drawn((4, 5), 9, 3)
    values.requires_grad_()
    right = ag.tensor(np.random.default_rng(1).standard_normal((5, 3)), requires_grad=True)
    g = np.random.default_rng(2).standard_normal((4, 3))
    (ag.sparse_coo_tensor(places, values, (4, 5)) @ right).backward(ag.tensor(g))
    np.testing.assert_allclose(right.grad.numpy(), dense.T @ g, atol=1e-14)
    of_dense = g @ right.detach().numpy().T
    np.testing.assert_allclose(values.grad.numpy(), of_dense[tuple(places.numpy())], atol=1e-14)


COMPILED = {
    "captured": lambda s: lambda x: s @ x,
    "csr": lambda s: (lambda c: lambda x: c @ x)(s.to_sparse_csr()),
    "scaled": lambda s: lambda x: ag.relu((s * 2) @ x),
    "sampled": lambda s: lambda x: ag.sparse.sampled_addmm(s, x[:4], x.t()).to_dense(),
    "returned": lambda s: lambda x: s * x[:4],
}


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_functions_capture_sparse_tensors(name):
    places, values, _ = drawn((4, 5), 9, 1)
    s = ag.sparse_coo_tensor(places, values, (4, 5))
    function = COMPILED[name](s)
    x = ag.tensor(np.random.default_rng(1).standard_normal((5, 5)))
    compiled = ag.compile(function)
    for _ in range(2):
        found, wanted = compiled(x).to_dense(), function(x).to_dense()
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-14)
        s._values().mul_(2)


class Propagation(ag.nn.Module):
    """A layer of a graph convolution, with the graph as a buffer."""

    def __init__(self, graph):
        super().__init__()
        self.register_buffer("graph", graph)
        self.weight = ag.nn.Parameter(ag.ones(3, 2, dtype=ag.float64))

    def forward(self, x):
        return ag.spmm(self.graph, x @ self.weight)


def test_compiled_step_of_a_graph_convolution():
    places, values, dense = drawn((5, 5), 12, 4)
    model = Propagation(ag.sparse_coo_tensor(places, values, (5, 5)))
    opt = ag.optim.SGD(model.parameters(), lr=0.1)
    x = np.random.default_rng(2).standard_normal((5, 3))

    @ag.compile
    def step(x):
        loss = model(x).square().sum()
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    weight = np.ones((3, 2))
    for _ in range(3):
        y = dense @ x @ weight
        np.testing.assert_allclose(step(ag.tensor(x)).item(), (y**2).sum(), rtol=1e-12)
        weight = weight - 0.1 * (dense @ x).T @ (2 * y)
    np.testing.assert_allclose(model.weight.detach().numpy(), weight, rtol=1e-12)


def test_compiled_functions_take_sparse_tensors():
    compiled = ag.compile(lambda s, x: s @ x)
    for seed in range(3):
        places, values, dense = drawn((4, 5), 9, seed)
        s = ag.sparse_coo_tensor(places, values, (4, 5))
        found = compiled(s, ag.ones(5, 2, dtype=ag.float64))
        np.testing.assert_allclose(found.numpy(), dense @ np.ones((5, 2)), rtol=1e-13)


def test_what_looks_at_places_is_refused_while_traced():
    places, values, _ = drawn((4, 5), 9, 1)
    s = ag.sparse_coo_tensor(places, values, (4, 5))
    with pytest.raises(ag.ArgandError, match="traced"):
        ag.compile(lambda i, v: ag.sparse_coo_tensor(i, v).to_dense())(s._indices(), s._values())


def test_sums_are_the_same_on_any_number_of_threads():
    rng = np.random.default_rng(0)
    places = ag.tensor(rng.integers(0, 300, (2, 20_000)))
    s = ag.sparse_coo_tensor(places, ag.tensor(rng.standard_normal(20_000)), (300, 300))
    x, before, found = ag.tensor(rng.standard_normal((300, 96))), ag.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            ag.set_num_threads(threads)
            found.append((s @ x).numpy().tobytes())
    finally:
        ag.set_num_threads(before)
    assert found[0] == found[1] == found[2]
