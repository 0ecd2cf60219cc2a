"""Nested tensors do to each of their tensors what is done to it alone; PyTorch 2.13 agrees."""

import copy
import pickle

import pytest

import argand as ag
import argand.nn.functional as F
from argand import nested, nn

COUNTS = (2, 4, 1)


def parts(*rest, dtype=ag.float32, counts=COUNTS):
    ag.manual_seed(0)
    return [ag.randn(n, *rest).to(dtype) for n in counts]


def made(*rest, **options):
    return nested.nested_tensor(parts(*rest), layout=ag.jagged, **options)


def each(found, wanted, **close):
    """Whether a nested tensor is made of these tensors."""
    assert isinstance(found, nested.NestedTensor)
    pieces = found.unbind()
    assert len(pieces) == len(wanted)
    return all(
        tuple(a.shape) == tuple(b.shape) and ag.allclose(a, b, atol=1e-6)
        for a, b in zip(pieces, wanted, strict=True)
    )


def test_what_it_is():
    x = made(3)
    assert x.is_nested and x.layout is ag.jagged and x.ndim == 3 and len(x) == 3
    assert x.size(0) == 3 and x.size(-1) == 3 and x.numel() == 21 and x.dtype is ag.float32
    assert x.size(1) == (x * 2).size(1) and x.size(1) != 2 and x.size(1) > 1
    assert x.offsets().tolist() == [0, 2, 6, 7] and x.lengths() is None
    assert x.values().shape == (7, 3) and repr(x).startswith("NestedTensor(size=(3, j")
    assert not ag.ones(2).is_nested and each(x, parts(3)) and [p.shape[0] for p in x] == [2, 4, 1]
    strided = nested.nested_tensor([ag.ones(1, 2), ag.ones(2, 2)])
    assert strided.layout is ag.strided
    assert repr(strided) == (
        "nested_tensor([\n  tensor([[1., 1.]]),\n  tensor([[1., 1.],\n          [1., 1.]])\n])"
    )
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x)), x.clone(), x.detach()):
        assert each(twin, parts(3)) and each(twin + x, [2 * p for p in parts(3)])


def test_ways_to_make_one():
    values = ag.arange(6.0)
    x = nested.nested_tensor_from_jagged(values, ag.tensor([0, 2, 6]))
    assert each(x, [values[:2], values[2:]])
    x = nested.nested_tensor_from_jagged(values, ag.tensor([0, 2, 6]), ag.tensor([1, 3]))
    assert each(x, [values[:1], values[2:5]]) and x.lengths().tolist() == [1, 3]
    assert x.sum() == 9 and x.to_padded_tensor(7.0).tolist() == [[0, 7, 7], [2, 3, 4]]
    dense = ag.arange(12.0).view(2, 6)
    x = nested.narrow(dense, 1, ag.tensor([0, 1]), ag.tensor([2, 3]), layout=ag.jagged)
    assert each(x, [dense[0, :2], dense[1, 1:4]])
    assert each(nested.as_nested_tensor(dense, layout=ag.jagged), list(dense))
    mask = ag.tensor([[True, False, True], [False, False, True]])
    assert each(nested.masked_select(dense[:, :3], mask), [dense[0, [0, 2]], dense[1, 2:3]])
    other = nested.nested_tensor([ag.ones(2, 3), ag.ones(2, 6)], layout=ag.jagged)
    assert isinstance(other.shape[2], type(x.shape[1])) and other.shape[1] == 2
    assert nested.nested_tensor([[1.0, 2.0], [3.0]]).to_padded_tensor(0.0).tolist() == [
        [1, 2],
        [3, 0],
    ]
    assert nested.nested_tensor([[1, 2], [3]], dtype=ag.float64).dtype is ag.float64


POINTWISE = {
    "mul": lambda x: x * 2,
    "rsub": lambda x: 1 - x,
    "row": lambda x: x + ag.tensor([1.0, 2.0, 3.0]),
    "self": lambda x: x * x + x,
    "exp": lambda x: ag.exp(x),
    "gelu": F.gelu,
    "relu": lambda x: x.relu(),
    "linear": lambda x: F.linear(x, ag.arange(6.0).view(2, 3), ag.ones(2)),
    "matmul": lambda x: x @ ag.arange(6.0).view(3, 2),
    "norm": lambda x: F.layer_norm(x, (3,)),
    "softmax": lambda x: F.softmax(x, -1),
    "sum": lambda x: x.sum(-1),
    "mean": lambda x: x.mean(-1, keepdim=True),
    "max": lambda x: x.max(-1).values,
    "cat": lambda x: ag.cat([x, 2 * x], -1),
    "slice": lambda x: x[..., :2],
    "select": lambda x: x.select(-1, 1),
    "where": lambda x: ag.where(x > 0, x, 0 * x),
    "method": lambda x: x.where(x > 0, -x),
    "filled": lambda x: x.masked_fill(x > 0, -1.0),
    "shape": lambda x: x.unflatten(-1, (3, 1)).flatten(-2),
    "cast": lambda x: x.double().half().float(),
}


@pytest.mark.parametrize("name", POINTWISE)
def test_each_tensor_by_itself(name):
    function = POINTWISE[name]
    pieces = [p.requires_grad_() for p in parts(3)]
    x = nested.as_nested_tensor(pieces, layout=ag.jagged)
    found = function(x)
    assert each(found, [function(p) for p in pieces])
    (found.values() ** 2).sum().backward()
    wanted = ag.autograd.grad(sum((function(p) ** 2).sum() for p in pieces), pieces)
    assert all(ag.allclose(p.grad, g, atol=1e-5) for p, g in zip(pieces, wanted, strict=True))


def test_compiled_functions_take_them():
    def step(x):
        return F.gelu(F.linear(x, ag.arange(6.0).view(2, 3)) + x[..., :2]), x.sum(1)

    x = made(3)
    compiled = ag.compile(step)
    found, sums = compiled(x)
    wanted, other = step(x)
    assert each(found, wanted.unbind()) and ag.allclose(sums, other)
    assert each(found + wanted, [2 * w for w in wanted.unbind()])
    shorter = nested.nested_tensor(parts(3, counts=(1, 3)), layout=ag.jagged)
    assert each(compiled(shorter)[0], step(shorter)[0].unbind())


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "amin", "prod", "logsumexp"])
def test_reductions_over_what_differs(name):
    pieces = [p.requires_grad_() for p in parts(3)]
    x = nested.as_nested_tensor(pieces, layout=ag.jagged)
    found = getattr(x, name)(1)
    wanted = ag.stack([getattr(p, name)(0) for p in pieces])
    assert ag.allclose(found, wanted)
    given = ag.autograd.grad((found**2).sum(), pieces)
    for g, w in zip(given, ag.autograd.grad((wanted**2).sum(), pieces), strict=True):
        assert ag.allclose(g, w)
    assert ag.allclose(x.sum(), ag.cat(pieces).sum()) and x.max() == ag.cat(pieces).max()
    assert ag.allclose(x.sum((0, 1)), ag.cat(pieces).sum(0))
    assert each(x.softmax(1), [p.softmax(0) for p in pieces])


def test_dimensions_turn():
    x, pieces = made(3, 2), parts(3, 2)
    turned = x.transpose(1, 2)
    assert turned.shape[2] == x.shape[1] and each(turned, [p.transpose(0, 1) for p in pieces])
    assert each(turned * ag.ones(3, 1, 1), [p.transpose(0, 1) for p in pieces])
    assert each(turned.sum(1), [p.sum(1) for p in pieces])
    assert each(x.permute(0, 2, 3, 1), [p.permute(1, 2, 0) for p in pieces])
    assert each(x.view(3, -1, 6), [p.flatten(1) for p in pieces])
    assert each(x.reshape(3, x.size(1), 1, 6), [p.reshape(-1, 1, 6) for p in pieces])
    assert each(x.unsqueeze(1).squeeze(1), pieces) and each(x[:, :, 1], [p[:, 1] for p in pieces])
    halves = zip(x.chunk(2, -1), zip(*[p.chunk(2, -1) for p in pieces], strict=True), strict=True)
    assert all(each(found, wanted) for found, wanted in halves)
    assert each(ag.cat([x, x]), pieces * 2) and ag.equal(x[1], pieces[1])
    assert each(x + ag.arange(3.0).view(3, 1, 1, 1), [p + i for i, p in enumerate(pieces)])


def test_padding_and_its_gradient():
    pieces = [p.requires_grad_() for p in parts(3)]
    x = nested.as_nested_tensor(pieces, layout=ag.jagged)
    padded = x.to_padded_tensor(-1.0)
    assert padded.shape == (3, 4, 3) and ag.equal(padded[0, :2], pieces[0])
    assert (padded[2, 1:] == -1).all()
    (padded**2).sum().backward()
    assert all(ag.allclose(p.grad, 2 * p) for p in pieces)
    assert x.to_padded_tensor(0.0, output_size=(3, 6, 3)).shape == (3, 6, 3)
    turned = x.transpose(1, 2).to_padded_tensor(0.0)
    assert ag.equal(turned, nested.to_padded_tensor(x, 0.0).transpose(1, 2))


@pytest.mark.parametrize("is_causal", [False, True])
def test_attention_of_each_tensor(is_causal):
    x = made(8, requires_grad=True)

    def heads(t):
        return t.unflatten(-1, (2, 4)).transpose(-3, -2)

    found = F.scaled_dot_product_attention(heads(x), heads(x), heads(x), is_causal=is_causal)
    found = found.transpose(1, 2).flatten(-2)
    pieces = [p.requires_grad_() for p in parts(8)]
    wanted = [
        F.scaled_dot_product_attention(*[heads(p)] * 3, is_causal=is_causal)
        .transpose(-3, -2)
        .flatten(-2)
        for p in pieces
    ]
    assert each(found, wanted)
    (found.values() ** 2).sum().backward()
    given = ag.autograd.grad(sum((w**2).sum() for w in wanted), pieces)
    assert each(x.grad, given)


def test_layers_take_them():
    ag.manual_seed(1)
    model = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 4), nn.GELU(), nn.Dropout(0.5)).eval()
    assert each(model(made(8)), [model(p) for p in parts(8)])
    table = nn.Embedding(10, 3)
    words = nested.nested_tensor([ag.tensor([1, 2]), ag.tensor([3])], layout=ag.jagged)
    assert each(table(words), [table(ag.tensor([1, 2])), table(ag.tensor([3]))])
    model.train()
    (model(made(8)).values() ** 2).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: nested.nested_tensor([], layout=ag.jagged), "empty tensor list"),
        (lambda x: nested.nested_tensor([ag.ones(1), ag.ones(1).int()]), "same dtype"),
        (lambda x: nested.nested_tensor([ag.ones(1, 2), ag.ones(2, 3)]), "differ in one size"),
        (lambda x: nested.nested_tensor([ag.ones(1), ag.ones(1, 1)]), "number of dimensions"),
        (lambda x: nested.nested_tensor_from_jagged(ag.ones(3)), "At least one"),
        (lambda x: nested.nested_tensor_from_jagged(ag.ones(3), ag.tensor([0, 4])), "beyond"),
        (lambda x: x + nested.nested_tensor(parts(3)[::-1], layout=ag.jagged), "same sizes"),
        (lambda x: x + ag.ones(3, 4, 3), "ragged dimension"),
        (lambda x: x.sum(0), "batch dimension"),
        (lambda x: x.flatten(1), "ragged dim"),
        (lambda x: x.transpose(0, 1), "dim=0"),
        (lambda x: ag.stack([x, x]), "stack.*not there for nested tensors"),
        (lambda x: x.to_padded_tensor(0.0, (3, 3, 3)), "smaller"),
        (lambda x: x.numpy(), "nested tensors"),
        (lambda x: range(x.size(1)), "no number"),
        (lambda x: F.scaled_dot_product_attention(x, x, x), "must all be nested"),
    ],
)
def test_what_is_refused(call, text):
    with pytest.raises(RuntimeError, match=text):
        call(made(3))
