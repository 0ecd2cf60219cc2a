"""PyTorch's tutorials of `torch.func`, and smaller lines, run by Argand and by PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import argand as ag

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


def f(m: Any, *shape: int, seed: int = 0, low: float = -1.0, dtype: Any = np.float32) -> Any:
    """A float tensor with fixed contents, for either library."""
    return m.tensor(np.random.default_rng(seed).uniform(low, 1, shape).astype(dtype))


def filled(m: Any, module: Any, seed: int = 0) -> Any:
    """A module with fixed parameters."""
    with m.no_grad():
        for i, p in enumerate(module.parameters()):
            p.copy_(f(m, *p.shape, seed=seed + i) * 0.5)
    return module


def convolutional(m: Any, seed: int = 0) -> Any:
    """The tutorials' network, smaller."""
    n = m.nn
    return filled(
        m,
        n.Sequential(
            n.Conv2d(1, 4, 3, 1),
            n.ReLU(),
            n.Conv2d(4, 6, 3, 1),
            n.ReLU(),
            n.MaxPool2d(2),
            n.Flatten(),
            n.Linear(6 * 4 * 4, 16),
            n.ReLU(),
            n.Linear(16, 10),
            n.LogSoftmax(1),
        ),
        seed,
    )


def per_sample_gradients(m: Any) -> Any:
    """Gradients of each sample by `vmap(grad(...))`."""
    model = convolutional(m)
    params = {k: v.detach() for k, v in model.named_parameters()}
    data, targets = f(m, 5, 1, 12, 12, seed=50), m.tensor([1, 4, 0, 9, 3])

    def loss(params: Any, sample: Any, target: Any) -> Any:
        out = m.func.functional_call(model, params, (sample.unsqueeze(0),))
        return m.nn.functional.nll_loss(out, target.unsqueeze(0))

    of_each = m.func.vmap(m.func.grad(loss), in_dims=(None, 0, 0))
    in_chunks = m.func.vmap(m.func.grad(loss), in_dims=(None, 0, 0), chunk_size=2)
    return of_each(params, data, targets), in_chunks(params, data, targets)


def ensembles(m: Any) -> Any:
    """Several models as one by `stack_module_state`."""
    models = [convolutional(m, seed=10 * i) for i in range(3)]
    params, buffers = m.func.stack_module_state(models)
    data = f(m, 3, 2, 1, 12, 12, seed=51)

    def call(params: Any, buffers: Any, x: Any) -> Any:
        return m.func.functional_call(models[0], (params, buffers), (x,))

    own = m.vmap(call)(params, buffers, data)
    shared = m.vmap(call, in_dims=(0, 0, None))(params, buffers, data[0])
    shared.sum().backward()
    return own, shared, params["0.weight"].grad, params["8.bias"].grad


def jacobians_and_hessians(m: Any) -> Any:
    """Rows and columns, products, batches, by both modes."""
    weight, bias, x = f(m, 6, 5), f(m, 6, seed=1), f(m, 5, seed=2)
    fn = m.func

    def predict(weight: Any, bias: Any, x: Any) -> Any:
        return m.nn.functional.linear(x, weight, bias).tanh()

    rows = fn.jacrev(predict, argnums=2)(weight, bias, x)
    columns = fn.jacfwd(predict, argnums=2)(weight, bias, x)
    both = fn.jacrev(predict, argnums=(0, 1))(weight, bias, x)
    second = fn.hessian(predict, argnums=2)(weight, bias, x)
    mixed = fn.jacrev(fn.jacfwd(predict, argnums=2), argnums=0)(weight, bias, x)
    xs = f(m, 4, 5, seed=3)
    batch = fn.vmap(fn.jacrev(predict, argnums=2), in_dims=(None, None, 0))(weight, bias, xs)
    hessians = fn.vmap(fn.hessian(predict, argnums=2), in_dims=(None, None, 0))(weight, bias, xs)

    def product(g: Callable[..., Any], primals: Any, tangents: Any) -> Any:
        return fn.jvp(fn.grad(g), primals, tangents)[1]

    hvp = product(lambda x: x.sin().sum(), (xs,), (xs * 2,))
    return rows, columns, both, second, mixed, batch, hessians, hvp


def tangent_kernels(m: Any) -> Any:
    """The neural tangent kernel, by contraction and by products."""
    n = m.nn
    net = filled(m, n.Sequential(n.Conv2d(2, 3, 3), n.ReLU(), n.Flatten(), n.Linear(48, 4)))
    params = {k: v.detach() for k, v in net.named_parameters()}
    first, second = f(m, 3, 2, 6, 6, seed=60), f(m, 2, 2, 6, 6, seed=61)

    def call(params: Any, x: Any) -> Any:
        return m.func.functional_call(net, params, (x.unsqueeze(0),)).squeeze(0)

    def contracted(x1: Any, x2: Any) -> Any:
        jacobian = m.func.vmap(m.func.jacrev(call), (None, 0))
        j1 = [j.flatten(2) for j in jacobian(params, x1).values()]
        j2 = [j.flatten(2) for j in jacobian(params, x2).values()]
        return sum(m.einsum("Naf,Mbf->NMab", a, b) for a, b in zip(j1, j2, strict=True))

    def by_products(x1: Any, x2: Any) -> Any:
        def one(x1: Any, x2: Any) -> Any:
            pull = m.func.vjp(lambda p: call(p, x1), params)[1]

            def column(v: Any) -> Any:
                return m.func.jvp(lambda p: call(p, x2), (params,), pull(v))[1]

            return m.func.vmap(column)(m.eye(4))

        return m.func.vmap(m.func.vmap(one, (None, 0)), (0, None))(x1, x2)

    return contracted(first, second), by_products(first, second)


def sinusoids(m: Any) -> Any:
    """Model-agnostic meta-learning of sinusoids (MAML), three steps of it."""
    params = [f(m, *s, seed=i) for i, s in enumerate([(8, 1), (8,), (8, 8), (8,), (1, 8), (1,)])]

    def net(x: Any, params: Any) -> Any:
        for i in (0, 2):
            x = m.nn.functional.linear(x, params[i], params[i + 1]).relu()
        return m.nn.functional.linear(x, params[4], params[5])

    def task_loss(params: Any, x1: Any, y1: Any, x2: Any, y2: Any) -> Any:
        def inner(params: Any) -> Any:
            return ((net(x1, params) - y1) ** 2).mean()

        moved = [p - 0.1 * g for p, g in zip(params, m.func.grad(inner)(params), strict=True)]
        return ((net(x2, moved) - y2) ** 2).mean()

    params = tuple(p.requires_grad_() for p in params)
    optimizer = m.optim.Adam(params, 0.01)
    losses = []
    for step in range(3):
        tasks = [f(m, 4, 10, 1, seed=100 * step + i) for i in range(2)]
        data = (tasks[0], tasks[0].sin(), tasks[1], tasks[1].sin())
        loss = m.func.vmap(task_loss, (None, 0, 0, 0, 0))(params, *data).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return losses, [p.detach() for p in params]


def dual_numbers(m: Any) -> Any:
    """The tutorial of forward-mode differentiation, with a module."""
    fw = m.autograd.forward_ad
    model, x = filled(m, m.nn.Linear(5, 4)), f(m, 3, 5, seed=70)
    params = dict(model.named_parameters())
    with fw.dual_level():
        for i, (name, p) in enumerate(params.items()):
            delattr(model, name)
            setattr(model, name, fw.make_dual(p, f(m, *p.shape, seed=71 + i)))
        out = model(x).tanh()
        primal, tangent = fw.unpack_dual(out)
    other = filled(m, m.nn.Linear(5, 4), seed=75)
    own, pushed = m.func.jvp(lambda x: m.func.functional_call(other, params, (x,)), (x,), (x,))
    return primal, tangent, own, pushed


def functionals(m: Any) -> Any:
    """`autograd.functional`, and gradients of several cotangents."""
    x, v = f(m, 4), f(m, 4, seed=1)
    of = m.autograd.functional

    def cubes(x: Any) -> Any:
        return (x**3).sum()

    leaf = f(m, 3, 2, seed=2).requires_grad_()
    y = leaf.exp() @ f(m, 2, 2, seed=3)
    many = m.autograd.grad(y, leaf, f(m, 5, 3, 2, seed=4), is_grads_batched=True)
    return (
        of.jacobian(lambda x: x.sin() * x.sum(), x, vectorize=True),
        of.jacobian(lambda x, y: (x * y, x.sum()), (x, v)),
        of.hessian(cubes, x),
        of.vjp(lambda x: x * x, x, v),
        of.jvp(lambda x: x * x, x, v),
        of.hvp(cubes, x, v),
        of.vhp(cubes, x, v),
        many,
    )


def norms_and_attention(m: Any) -> Any:
    """Modules whose ops have rules of their own."""
    n, x = m.nn, f(m, 3, 2, 6, 8, seed=80)
    block = filled(m, n.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True))
    norm = filled(m, n.Sequential(n.GroupNorm(2, 2), n.BatchNorm2d(2, track_running_stats=False)))
    params = {k: v.detach() for k, v in block.named_parameters()}

    def loss(params: Any, x: Any) -> Any:
        return (m.func.functional_call(block, params, (x,)) ** 2).mean()

    return (
        m.vmap(norm, in_dims=0)(x.reshape(3, 1, 2, 6, 8)),
        m.vmap(m.func.grad(loss), in_dims=(None, 0))(params, x),
        m.vmap(lambda q: n.functional.scaled_dot_product_attention(q, x[0], x[1]))(x),
        m.vmap(lambda i: n.functional.interpolate(i, scale_factor=2.0), in_dims=1)(x),
    )


def masks(m: Any) -> Any:
    """Attention masks out of a function of places, as transformers makes them."""
    padding = m.tensor([[True, True, False, True], [False, True, True, True]])

    def visible(b: Any, h: Any, q: Any, k: Any) -> Any:
        return (k <= q) & padding[b, k] & (h >= 0)

    mapped = visible
    for dims in ((None, None, None, 0), (None, None, 0, None), (None, 0, None, None)):
        mapped = m.vmap(mapped, in_dims=dims, out_dims=0)
    mapped = m.vmap(mapped, in_dims=(0, None, None, None), out_dims=0)
    return mapped(m.arange(2), m.arange(1), m.arange(4), m.arange(4))


def loops(m: Any) -> Any:
    """Places, writes and conditions inside a map."""

    def step(x: Any, i: Any) -> Any:
        y = x.clone()
        y[0] = x[i]
        y.mul_(2.0)
        return m.where(y > 0, y, -y).cumsum(0), y.sort()[1], y.argmax(), x.new_zeros(2).add_(i)

    x, i = f(m, 4, 3), m.tensor([0, 2, 1, 1])
    return m.vmap(step)(x, i), m.vmap(step, in_dims=(1, None))(x, i[1])


CASES: list[Callable[[Any], Any]] = [
    per_sample_gradients,
    ensembles,
    jacobians_and_hessians,
    tangent_kernels,
    sinusoids,
    dual_numbers,
    functionals,
    norms_and_attention,
    masks,
    loops,
]


def leaves(tree: Any) -> list[Any]:
    """The tensors of a result, in order."""
    if isinstance(tree, dict):
        return [x for k in sorted(tree) for x in leaves(tree[k])]
    if isinstance(tree, list | tuple):
        return [x for part in tree for x in leaves(part)]
    return [tree]


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_as_pytorch(case: Callable[[Any], Any]) -> None:
    found, wanted = leaves(case(ag)), leaves(case(torch))
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        assert tuple(a.shape) == tuple(b.shape)
        assert str(a.dtype).partition(".")[2] == str(b.dtype).partition(".")[2]
        assert a.requires_grad == b.requires_grad
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=2e-4, atol=1e-5)
