"""Sparse tensors against dense NumPy, closed forms, and numbers and texts of PyTorch 2.13."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest

import argand as ag

PLACES = [[0, 1, 1, 2, 0], [2, 0, 2, 3, 2]]
DTYPES = [ag.float32, ag.float64, ag.int64]


def pattern(dense_size=(), dtype=ag.float64, coalesced=False):
    """A sparse (3, 4, ...) tensor in which a place repeats, and its dense array."""
    values = np.random.default_rng(0).integers(1, 9, (5, *dense_size)).astype(dtype.numpy)
    dense = np.zeros((3, 4, *dense_size), dtype.numpy)
    np.add.at(dense, tuple(PLACES), values)
    x = ag.sparse_coo_tensor(PLACES, ag.tensor(values), dense.shape)
    return (x.coalesce() if coalesced else x), dense


@pytest.mark.parametrize("coalesced", [False, True])
@pytest.mark.parametrize("size", [(), (2,)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_forms_hold_the_same_elements(dtype, size, coalesced):
    x, dense = pattern(size, dtype, coalesced)
    plain = ag.tensor(dense)
    held = [x, x.coalesce(), x.clone(), x.to_sparse_csr(), x.to_sparse_csc(), plain.to_sparse(2)]
    held += [plain.to_sparse(), plain.to_sparse(1), plain.to_sparse_csr(len(size))]
    held += [x.to_sparse_csc().to_sparse_coo(), x.to_sparse_csr().to_sparse(), x.double()]
    for y in held:
        np.testing.assert_array_equal(y.to_dense().numpy(), dense)
        assert tuple(y.shape) == dense.shape and y.sparse_dim() + y.dense_dim() == dense.ndim
        assert y.numel() == dense.size
    assert x.is_coalesced() is coalesced and x.coalesce().is_coalesced()
    assert x.coalesce().indices().tolist() == [[0, 1, 1, 2], [2, 0, 2, 3]]


ALIKE = {
    "abs": lambda x: x.abs(),
    "neg": lambda x: -x,
    "sqrt": lambda x: x.sqrt(),
    "sin": ag.sin,
    "times a number": lambda x: x * 3,
    "number times": lambda x: 0.5 * x,
    "divided": lambda x: x / 4,
    "squared": lambda x: x**2,
    "times itself": lambda x: x * x,
    "plus itself": lambda x: x + x,
    "minus itself": lambda x: x - 2 * x,
    "alpha": lambda x: ag.add(x, x, alpha=3),
    "row": lambda x: x[1],
    "element": lambda x: x[0, 2],
    "column": lambda x: x.select(1, 2),
    "last": lambda x: x.select(-1, -1),
    "chosen": lambda x: x.index_select(0, ag.tensor([2, 1, 1])),
    "chosen last": lambda x: x.index_select(-1, ag.tensor([1, 0])),
    "cat": lambda x: ag.cat([x, x], 1),
    "cat last": lambda x: ag.cat([x, x], -1),
    "stack": lambda x: ag.stack([x, x]),
    "unsqueeze": lambda x: x.unsqueeze(1),
    "narrow": lambda x: x.narrow_copy(1, 1, 2),
    "transposed": lambda x: x.transpose(0, 1),
    "sum": lambda x: x.sum(),
    "sum 0": lambda x: x.sum(0),
    "sum 1": lambda x: x.sum(1, keepdim=True),
    "sum both": lambda x: x.sum((0, 1)),
    "sum last": lambda x: x.sum(-1),
    "norm": lambda x: x.norm(),
    "times plain": lambda x: x * ag.arange(4.0, dtype=ag.float64).reshape(4, *[1] * (x.ndim - 2)),
    "plain plus": lambda x: ag.ones(x.shape, dtype=ag.float64) + x,
    "zeros": ag.zeros_like,
}


@pytest.mark.parametrize("size", [(), (2,)])
@pytest.mark.parametrize("name", ALIKE)
def test_gives_what_the_dense_tensor_gives(name, size):
    x, dense = pattern(size)
    wanted = ALIKE[name](ag.tensor(dense)).numpy()
    for y in (x, x.coalesce()):
        np.testing.assert_allclose(ALIKE[name](y).to_dense().numpy(), wanted, atol=1e-14)


@pytest.mark.parametrize("log", [False, True])
def test_softmax_is_of_what_is_held(log):
    x, dense = pattern()
    function = ag.sparse.log_softmax if log else ag.sparse.softmax
    for dim in (0, 1):
        filled = np.where(dense == 0, -np.inf, dense)
        shifted = np.exp(filled - filled.max(dim, keepdims=True, initial=-1e9))
        total = shifted.sum(dim, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            wanted = shifted / total
        found = function(x, dim)
        at = wanted[tuple(found.indices().numpy())]
        np.testing.assert_allclose(found.values().numpy(), np.log(at) if log else at, rtol=1e-12)


COO = """tensor(indices=tensor([[0, 1, 1],
                       [2, 0, 2]]),
       values=tensor([3., 4., 5.]),
       size=(2, 3), nnz=3, layout=argand.sparse_coo)"""
HYBRID = """tensor(indices=tensor([], size=(1, 0)),
       values=tensor([], size=(0, 3)),
       size=(2, 3), nnz=0, dtype=argand.float64, layout=argand.sparse_coo)"""
CSR = """tensor(crow_indices=tensor([0, 1, 3]),
       col_indices=tensor([2, 0, 2]),
       values=tensor([3., 4., 5.]), size=(2, 3), nnz=3,
       layout=argand.sparse_csr)"""


def test_text_is_pytorchs():
    x = ag.sparse_coo_tensor([[0, 1, 1], [2, 0, 2]], [3.0, 4.0, 5.0], (2, 3))
    assert repr(x) == COO and repr(x.to_sparse_csr()) == CSR
    assert repr(ag.zeros(2, 3, dtype=ag.float64).to_sparse(1)) == HYBRID
    assert repr(x.requires_grad_()) == COO[:-1] + ", requires_grad=True)"
    assert repr(ag.sparse_coo) == "argand.sparse_coo" and x.type() == "argand.sparse.FloatTensor"


def test_copies_and_files():
    x, dense = pattern((2,))
    for y in (x, x.coalesce(), x.to_sparse_csr(), x.to_sparse_csc()):
        file = io.BytesIO()
        ag.save({"adj": y, "same": y}, file)
        file.seek(0)
        again = ag.load(file)
        assert again["adj"] is again["same"]
        for z in (again["adj"], pickle.loads(pickle.dumps(y)), copy.deepcopy(y), y.clone()):
            assert repr(z) == repr(y) and z.layout is y.layout
            np.testing.assert_array_equal(z.to_dense().numpy(), dense)


def test_a_buffer_moves_with_its_module():
    module = ag.nn.Module()
    module.register_buffer("adj", pattern()[0])
    state = {name: x.clone() for name, x in module.state_dict().items()}
    module.float()
    assert module.adj.dtype is ag.float32 and module.adj.is_sparse
    module.double().adj.mul_(2)
    module.load_state_dict(state)
    np.testing.assert_array_equal(module.adj.to_dense().numpy(), pattern()[1])


def test_old_constructors():
    x = ag.sparse.FloatTensor(ag.tensor([[0, 1], [1, 0]]), ag.tensor([1.0, 2.0]), ag.Size((2, 2)))
    assert x.to_dense().tolist() == [[0, 1], [2, 0]] and isinstance(x, ag.sparse.FloatTensor)
    assert not isinstance(x, ag.sparse.DoubleTensor)
    assert ag.sparse.LongTensor(2, 3).dtype is ag.int64
    with pytest.raises(TypeError, match="float64"):
        ag.sparse.DoubleTensor(ag.tensor([[0]]), ag.tensor([1.0]), (1,))


MISUSES = {
    r"exp\(.*: not there .*to_dense": lambda x: ag.exp(x),
    "can't become an array": lambda x: x.numpy(),
    "same nnz": lambda x: ag.sparse_coo_tensor([[0, 1]], [1.0]),
    "index 5 for dimension 0 of size 3": lambda x: ag.sparse_coo_tensor([[5]], [1.0], (3,)),
    "negative index -1": lambda x: ag.sparse_coo_tensor([[-1]], [1.0], (3,)),
    "uncoalesced": lambda x: x.indices(),
    "expected .n, m. and .m, p.": lambda x: x @ ag.ones(3, 2, dtype=ag.float64),
    "one dtype": lambda x: x @ ag.ones(4, 2),
    "zeroth power": lambda x: x**0,
    "scalar or zero-dim": lambda x: x / x,
    "aren't broadcast": lambda x: x + pattern((2,))[0],
    "takes integers": lambda x: x[:2],
    "expected a sparse tensor": lambda x: ag.ones(2).coalesce(),
    "must grow from 0 to 2": lambda x: ag.sparse_csr_tensor([0, 2, 1], [0, 1], [1.0, 2.0]),
    "must be in 0 to 1": lambda x: ag.sparse_csr_tensor([0, 1, 2], [0, 5], [1.0, 2.0], (2, 2)),
}


@pytest.mark.parametrize("message", MISUSES)
def test_errors_say_what_to_do(message):
    with pytest.raises((RuntimeError, TypeError), match=message):
        MISUSES[message](pattern()[0])


def test_a_leaf_has_a_sparse_gradient():
    """Values in one place have the gradient of the place, once."""
    x = pattern()[0].requires_grad_()
    right = ag.tensor(np.random.default_rng(1).standard_normal((4, 3)))
    (x @ right).sum().backward()
    wanted = np.broadcast_to(right.numpy().sum(1), (3, 4)) * (pattern()[1] != 0)
    np.testing.assert_allclose(x.grad.to_dense().numpy(), wanted, rtol=1e-12)
    assert x.is_leaf and x.grad.is_sparse and x.grad._nnz() == 4


GRADIENTS = {
    "times plain": lambda s, x: s @ x,
    "csr": lambda s, x: s.to_sparse_csr() @ x,
    "plain times": lambda s, x: x.t() @ s.t(),
    "addmm": lambda s, x: ag.sparse.addmm(x[:3], s, x, beta=2, alpha=3),
    "coalesced": lambda s, x: s.coalesce().values() * 2,
    "dense": lambda s, x: (s * s).to_dense(),
    "softmax": lambda s, x: ag.sparse.softmax(s, 1).to_dense(),
    "log_softmax": lambda s, x: ag.sparse.log_softmax(s, 0).to_dense(),
    "sum": lambda s, x: ag.sparse.sum(s, 0).to_dense(),
    "sampled": lambda s, x: ag.sparse.sampled_addmm(s, x[:3], x.t(), beta=2.0).to_dense(),
    "mask": lambda s, x: x.repeat(1, 2)[:3, :4].sparse_mask(s).to_dense(),
    "sparse times sparse": lambda s, x: (s @ s.t()).to_dense(),
    "row": lambda s, x: s.t()[2].to_dense(),
    "to sparse": lambda s, x: (x * 2).to_sparse().to_dense(),
    "bmm": lambda s, x: ag.stack([s, s]).bmm(ag.stack([x, 2 * x])),
    "mv": lambda s, x: s.mv(x[:, 0]),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_by_differences(name):
    rng = np.random.default_rng(3)
    v, x = (ag.tensor(rng.uniform(1, 2, s), requires_grad=True) for s in [(5,), (4, 4)])

    def function(v, x):
        return GRADIENTS[name](ag.sparse_coo_tensor(PLACES, v, (3, 4)), x)

    assert ag.autograd.gradcheck(function, (v, x))
