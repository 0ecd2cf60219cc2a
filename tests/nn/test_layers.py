"""Layers against their formulas in float64 NumPy, gradients against finite differences."""

import math

import numpy as np
import pytest
from scipy import special

import argand as ag
from argand import nn
from argand.nn import functional as F

rng = np.random.default_rng(7)


def array(t):
    return np.asarray(t.detach().numpy(), np.float64)


def double(*shape):
    return ag.tensor(rng.standard_normal(shape))


def check_gradients(f, *tensors, tolerance=1e-6):
    """The gradients of sum(f * noise) against central differences in float64."""
    for t in tensors:
        t.requires_grad_()
        t.grad = None
    noise = rng.standard_normal(tuple(f(*tensors).shape))
    (f(*tensors) * ag.tensor(noise)).sum().backward()
    for t in tensors:
        flat = t.detach().numpy().reshape(-1)
        grad = array(t.grad).reshape(-1)
        for i in rng.choice(flat.size, min(flat.size, 6), replace=False):
            before, step = flat[i], 1e-6
            values = []
            for shift in (step, -step):
                flat[i] = before + shift
                with ag.no_grad():
                    values.append(float((array(f(*tensors)) * noise).sum()))
            flat[i] = before
            assert grad[i] == pytest.approx((values[0] - values[1]) / (2 * step), abs=tolerance)


# -- references ----------------------------------------------------------------------------------


def conv2d(x, w, b=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
    n = len(x)
    o, cg, kh, kw = w.shape
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    oh = (x.shape[2] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    ow = (x.shape[3] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    y = np.zeros((n, o, oh, ow))
    for out in range(o):
        g = out // (o // groups)
        for i in range(oh):
            for j in range(ow):
                top, left = i * stride[0], j * stride[1]
                rows = slice(top, top + dilation[0] * (kh - 1) + 1, dilation[0])
                columns = slice(left, left + dilation[1] * (kw - 1) + 1, dilation[1])
                window = x[:, g * cg : (g + 1) * cg, rows, columns]
                y[:, out, i, j] = (window * w[out]).sum((1, 2, 3))
    return y if b is None else y + b[:, None, None]


def normalized(x, axes, eps):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


ACTIVATIONS = [
    (nn.ReLU(), lambda x: np.maximum(x, 0)),
    (nn.ReLU6(), lambda x: np.clip(x, 0, 6)),
    (nn.LeakyReLU(0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
    (nn.ELU(1.5), lambda x: np.where(x > 0, x, 1.5 * np.expm1(x))),
    (
        nn.SELU(),
        lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    ),
    (nn.GELU(), lambda x: x * 0.5 * (1 + special.erf(x / math.sqrt(2)))),
    (
        nn.GELU("tanh"),
        lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    ),
    (nn.SiLU(), lambda x: x * special.expit(x)),
    (nn.Mish(), lambda x: x * np.tanh(np.log1p(np.exp(x)))),
    (nn.Softplus(2.0), lambda x: np.log1p(np.exp(2 * x)) / 2),
    (nn.Softsign(), lambda x: x / (1 + abs(x))),
    (nn.Hardtanh(-0.5, 0.7), lambda x: np.clip(x, -0.5, 0.7)),
    (nn.Hardsigmoid(), lambda x: np.clip(x + 3, 0, 6) / 6),
    (nn.Hardswish(), lambda x: x * np.clip(x + 3, 0, 6) / 6),
    (nn.Tanh(), np.tanh),
    (nn.Sigmoid(), special.expit),
    (nn.LogSigmoid(), special.log_expit),
    (nn.PReLU(), lambda x: np.where(x > 0, x, 0.25 * x)),
    (nn.Softmax(1), lambda x: special.softmax(x, 1)),
    (nn.Softmin(0), lambda x: special.softmax(-x, 0)),
    (nn.LogSoftmax(-1), lambda x: special.log_softmax(x, -1)),
    (nn.GLU(), lambda x: x[:, :3] * special.expit(x[:, 3:])),
    (nn.Identity(), lambda x: x),
]


@pytest.mark.parametrize(("layer", "reference"), ACTIVATIONS, ids=lambda v: type(v).__name__)
def test_activations(layer, reference):
    layer.double()
    x = double(4, 6) * 2
    np.testing.assert_allclose(array(layer(x)), reference(array(x)), rtol=1e-9, atol=1e-12)
    check_gradients(layer, x)


def test_inplace_activation():
    x = ag.tensor([-1.0, 2.0])
    assert nn.ReLU(inplace=True)(x) is x
    assert x.tolist() == [0.0, 2.0]
    assert repr(nn.ReLU(inplace=True)) == "ReLU(inplace=True)"


def test_linear():
    layer = nn.Linear(5, 3).double()
    x = double(2, 4, 5)
    w, b = array(layer.weight), array(layer.bias)
    np.testing.assert_allclose(array(layer(x)), array(x) @ w.T + b, rtol=1e-12)
    check_gradients(
        lambda x, w, b: F.linear(x, w, b), x, layer.weight.detach(), layer.bias.detach()
    )
    assert nn.Linear(5, 3, bias=False).bias is None
    with pytest.raises(RuntimeError, match=r"the inner sizes 4 and 5 differ"):
        nn.Linear(5, 3)(ag.ones(2, 4))


def test_bilinear():
    layer = nn.Bilinear(3, 4, 2).double()
    x, y = double(5, 3), double(5, 4)
    expected = np.einsum("ni,oij,nj->no", array(x), array(layer.weight), array(y))
    np.testing.assert_allclose(array(layer(x, y)), expected + array(layer.bias), rtol=1e-10)


CONVOLUTIONS = [
    {"kernel_size": 3},
    {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)},
    {"kernel_size": 3, "dilation": 2, "padding": 2},
    {"kernel_size": 3, "groups": 2, "bias": False},
    {"kernel_size": 1},
]


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
def test_conv2d(options):
    layer = nn.Conv2d(4, 6, **options).double()
    x = double(2, 4, 7, 6)
    expected = conv2d(
        array(x),
        array(layer.weight),
        None if layer.bias is None else array(layer.bias),
        layer.stride,
        layer.padding,
        layer.dilation,
        layer.groups,
    )
    np.testing.assert_allclose(array(layer(x)), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(array(layer(x[0])), expected[0], rtol=1e-9, atol=1e-12)
    check_gradients(layer, x)


def test_conv2d_same_padding_and_modes():
    x = double(1, 2, 5, 6)
    assert nn.Conv2d(2, 3, (3, 4), padding="same").double()(x).shape == (1, 3, 5, 6)
    assert nn.Conv2d(2, 3, 3, padding="valid").double()(x).shape == (1, 3, 3, 4)
    for mode, numpy_mode in (("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")):
        layer = nn.Conv2d(2, 3, 3, padding=1, padding_mode=mode).double()
        padded = np.pad(array(x), ((0, 0), (0, 0), (1, 1), (1, 1)), numpy_mode)
        expected = conv2d(padded, array(layer.weight), array(layer.bias))
        np.testing.assert_allclose(array(layer(x)), expected, rtol=1e-9)


def test_conv1d():
    layer = nn.Conv1d(3, 4, 3, stride=2, padding=1).double()
    x = double(2, 3, 9)
    expected = conv2d(
        array(x)[:, :, None], array(layer.weight)[:, :, None], array(layer.bias), (1, 2), (0, 1)
    )[:, :, 0]
    np.testing.assert_allclose(array(layer(x)), expected, rtol=1e-9)
    assert list(layer.state_dict()) == ["weight", "bias"]
    assert layer.weight.shape == (4, 3, 3)
    check_gradients(layer, x)


def test_conv_refuses_groups_that_dont_divide():
    with pytest.raises(ValueError, match=r"groups \(3\) must divide"):
        nn.Conv2d(4, 6, 3, groups=3)


def test_conv_error_names_the_shapes():
    with pytest.raises(RuntimeError, match=r"f32\(1, 3, 8, 8\) and f32\(6, 4, 3, 3\)"):
        nn.Conv2d(4, 6, 3)(ag.ones(1, 3, 8, 8))


def test_pooling():
    x = double(2, 3, 6, 8)
    a = array(x)
    windows = a.reshape(2, 3, 3, 2, 4, 2)
    np.testing.assert_allclose(array(nn.MaxPool2d(2)(x)), windows.max((3, 5)))
    np.testing.assert_allclose(array(nn.AvgPool2d(2)(x)), windows.mean((3, 5)), rtol=1e-12)
    np.testing.assert_allclose(array(nn.MaxPool1d(2)(x[0])), a[0].reshape(3, 6, 4, 2).max(3))
    np.testing.assert_allclose(
        array(nn.AvgPool1d(2)(x[0])), a[0].reshape(3, 6, 4, 2).mean(3), rtol=1e-12
    )
    np.testing.assert_allclose(array(nn.AdaptiveAvgPool2d(1)(x))[..., 0, 0], a.mean((2, 3)))
    np.testing.assert_allclose(
        array(nn.AdaptiveAvgPool2d((3, 4))(x)), windows.mean((3, 5)), rtol=1e-12
    )
    np.testing.assert_allclose(array(nn.AdaptiveMaxPool2d(1)(x))[..., 0, 0], a.max((2, 3)))
    with pytest.raises(RuntimeError, match="must be positive"):
        nn.AdaptiveAvgPool2d(0)(x)
    for layer in (nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(3, 2, 1), nn.AdaptiveAvgPool2d(2)):
        check_gradients(layer, double(1, 2, 6, 6))


@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm(affine):
    layer = nn.BatchNorm2d(3, affine=affine).double()
    x = double(4, 3, 2, 5) * 2 + 1
    a = array(x)
    np.testing.assert_allclose(array(layer(x)), normalized(a, (0, 2, 3), 1e-5), rtol=1e-9)
    mean, var = a.mean((0, 2, 3)), a.var((0, 2, 3), ddof=1)
    np.testing.assert_allclose(array(layer.running_mean), 0.1 * mean, rtol=1e-12)
    np.testing.assert_allclose(array(layer.running_var), 0.9 + 0.1 * var, rtol=1e-12)
    assert layer.num_batches_tracked.item() == 1
    check_gradients(lambda x: F.batch_norm(x, None, None, training=True), x, tolerance=1e-5)
    layer.eval()
    shape = (3, 1, 1)
    expected = (a - array(layer.running_mean).reshape(shape)) / np.sqrt(
        array(layer.running_var).reshape(shape) + 1e-5
    )
    np.testing.assert_allclose(array(layer(x)), expected, rtol=1e-9)


def test_batch_norm_average_of_all_batches():
    layer = nn.BatchNorm1d(2, momentum=None).double()
    batches = [double(5, 2) for _ in range(3)]
    for x in batches:
        layer(x)
    expected = np.mean([array(x).mean(0) for x in batches], 0)
    np.testing.assert_allclose(array(layer.running_mean), expected, rtol=1e-9)


def test_batch_norm_refusals():
    with pytest.raises(RuntimeError, match="more than 1 value per channel"):
        nn.BatchNorm1d(2)(ag.ones(1, 2))
    with pytest.raises(RuntimeError, match="expected an input of 4 dimensions"):
        nn.BatchNorm2d(2)(ag.ones(1, 2))
    assert nn.BatchNorm1d(2, track_running_stats=False).running_mean is None


def test_layer_norm():
    layer = nn.LayerNorm((4, 5)).double()
    with ag.no_grad():
        layer.weight.copy_(double(4, 5))
        layer.bias.copy_(double(4, 5))
    x = double(3, 4, 5)
    expected = normalized(array(x), (1, 2), 1e-5) * array(layer.weight) + array(layer.bias)
    np.testing.assert_allclose(array(layer(x)), expected, rtol=1e-9)
    check_gradients(layer, x, tolerance=1e-5)
    assert nn.LayerNorm(4, bias=False).bias is None
    assert not list(nn.LayerNorm(4, elementwise_affine=False).parameters())


def test_rms_and_group_norm():
    x = double(2, 6, 3)
    a = array(x)
    expected = a / np.sqrt((a**2).mean(-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(array(nn.RMSNorm(3, eps=1e-6).double()(x)), expected, rtol=1e-9)
    grouped = normalized(a.reshape(2, 2, 9), -1, 1e-5).reshape(2, 6, 3)
    np.testing.assert_allclose(array(nn.GroupNorm(2, 6).double()(x)), grouped, rtol=1e-9)
    with pytest.raises(RuntimeError, match="can't be divided into 4 groups"):
        nn.GroupNorm(4, 6)


def test_dropout():
    ag.manual_seed(0)
    layer, x = nn.Dropout(0.25), ag.ones(200, 200)
    y = array(layer(x))
    assert set(np.unique(y)) == {0.0, np.float64(np.float32(1 / 0.75))}
    assert abs((y == 0).mean() - 0.25) < 0.01
    ag.manual_seed(0)
    np.testing.assert_array_equal(array(layer(x)), y)
    assert not np.array_equal(array(layer(x)), y)
    assert layer.eval()(x) is x
    assert array(nn.Dropout(1.0)(x)).sum() == 0
    images = array(nn.Dropout2d(0.5)(ag.ones(8, 16, 3, 3)))
    assert ((images == 0).all((2, 3)) | (images == 2).all((2, 3))).all()
    with pytest.raises(ValueError, match="between 0 and 1"):
        nn.Dropout(1.5)


def test_dropout_gradient_uses_the_same_mask():
    x = ag.ones(50, requires_grad=True)
    y = F.dropout(x, 0.5)
    y.sum().backward()
    np.testing.assert_array_equal(array(x.grad), array(y))


def test_embedding():
    layer = nn.Embedding(5, 3, padding_idx=-1).double()
    assert array(layer.weight)[4].tolist() == [0.0] * 3
    index = ag.tensor([[0, 4], [2, 0]])
    np.testing.assert_array_equal(array(layer(index)), array(layer.weight)[[[0, 4], [2, 0]]])
    layer(index).sum().backward()
    assert array(layer.weight.grad).sum(1).tolist() == [6.0, 0.0, 3.0, 0.0, 0.0]
    with pytest.raises(IndexError, match="index 7 is out of range"):
        layer(ag.tensor([7]))
    table = ag.tensor([[1.0, 2.0]])
    assert not nn.Embedding.from_pretrained(table).weight.requires_grad


def test_flatten_and_unflatten():
    x = ag.ones(2, 3, 4, 5)
    assert nn.Flatten()(x).shape == (2, 60)
    assert nn.Flatten(0, 1)(x).shape == (6, 4, 5)
    assert nn.Unflatten(1, (3, 1))(x).shape == (2, 3, 1, 4, 5)
    assert nn.ZeroPad2d(1)(x).shape == (2, 3, 6, 7)
    assert nn.Upsample(scale_factor=2)(x).shape == (2, 3, 8, 10)


def test_multihead_attention():
    layer = nn.MultiheadAttention(6, 2, batch_first=True).double()
    q, k = double(2, 3, 6), double(2, 4, 6)
    w, b = array(layer.in_proj_weight), array(layer.in_proj_bias)
    parts = [
        array(x) @ w[i * 6 : i * 6 + 6].T + b[i * 6 : i * 6 + 6] for i, x in enumerate((q, k, k))
    ]
    heads = [p.reshape(2, -1, 2, 3).transpose(0, 2, 1, 3) for p in parts]
    scores = special.softmax(heads[0] @ heads[1].transpose(0, 1, 3, 2) / math.sqrt(3), -1)
    joined = (scores @ heads[2]).transpose(0, 2, 1, 3).reshape(2, 3, 6)
    out, weights = layer(q, k, k)
    expected = joined @ array(layer.out_proj.weight).T + array(layer.out_proj.bias)
    np.testing.assert_allclose(array(out), expected, rtol=1e-9)
    np.testing.assert_allclose(array(weights), scores.mean(1), rtol=1e-9)
    plain, none = layer(q, k, k, need_weights=False)
    assert none is None
    np.testing.assert_allclose(array(plain), expected, rtol=1e-9)
    padding = ag.tensor([[False, False, True, True], [False, False, False, True]])
    _, weights = layer(q, k, k, key_padding_mask=padding)
    assert (array(weights)[0, :, 2:] == 0).all()
    assert list(layer.state_dict()) == [
        "in_proj_weight",
        "in_proj_bias",
        "out_proj.weight",
        "out_proj.bias",
    ]


def test_attention_masks_and_dropout():
    q, k, v = double(2, 2, 4, 3), double(2, 2, 4, 3), double(2, 2, 4, 5)
    scores = array(q) @ array(k).transpose(0, 1, 3, 2) / math.sqrt(3)
    lower = np.tril(np.ones((4, 4), bool))
    expected = special.softmax(np.where(lower, scores, -np.inf), -1) @ array(v)
    causal = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    np.testing.assert_allclose(array(causal), expected, rtol=1e-9)
    masked = F.scaled_dot_product_attention(q, k, v, attn_mask=ag.tensor(lower))
    np.testing.assert_allclose(array(masked), expected, rtol=1e-9)
    dropped = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=1e-12)
    np.testing.assert_allclose(array(dropped), expected, rtol=1e-6)


def test_a_causal_row_sees_what_its_mask_lets_it_see_besides():
    q, k, v = double(2, 2, 4, 3), double(2, 2, 6, 3), double(2, 2, 6, 5)
    scores = array(q) @ array(k).transpose(0, 1, 3, 2) / math.sqrt(3)
    lower = np.tril(np.ones((4, 6), bool))
    added = np.random.default_rng(0).standard_normal((2, 1, 4, 6))
    expected = special.softmax(np.where(lower, scores + added, -np.inf), -1) @ array(v)
    found = F.scaled_dot_product_attention(q, k, v, ag.tensor(added), is_causal=True)
    np.testing.assert_allclose(array(found), expected, rtol=1e-9)
    seen = added > -0.5
    seen[:, :, :, 0] = seen[:, :, 2, 0] = True
    seen[:, :, 3] = False  # a row that sees nothing
    scores = np.where(lower & seen, scores, -np.inf)
    scores[:, :, 3] = 0
    expected = special.softmax(scores, -1) @ array(v)
    expected[:, :, 3] = 0
    found = F.scaled_dot_product_attention(q, k, v, ag.tensor(seen), is_causal=True)
    np.testing.assert_allclose(array(found), expected, rtol=1e-9)


@pytest.mark.parametrize("heads", [None, 1, 6])
@pytest.mark.parametrize("p", [0.0, 1e-12])
def test_attention_of_heads_that_share_keys(heads, p):
    q, k, v = double(2, 6, 4, 3), double(2, 2, 5, 3), double(2, 2, 5, 7)
    mask = ag.randn(4, 5) if heads is None else ag.randn(2, heads, 4, 5)
    mask = mask.to(q.dtype)
    repeated = [np.repeat(array(x), 3, axis=1) for x in (k, v)]
    scores = array(q) @ repeated[0].transpose(0, 1, 3, 2) / math.sqrt(3) + array(mask)
    expected = special.softmax(scores, -1) @ repeated[1]
    y = F.scaled_dot_product_attention(q, k, v, mask, p, enable_gqa=True)
    np.testing.assert_allclose(array(y), expected, rtol=1e-6)


def test_pad():
    x = double(2, 3, 4, 5)
    a = array(x)
    np.testing.assert_array_equal(
        array(F.pad(x, (1, 2, 3, 0), value=7.0)),
        np.pad(a, ((0, 0), (0, 0), (3, 0), (1, 2)), constant_values=7.0),
    )
    np.testing.assert_array_equal(
        array(F.pad(x, (-1, 2))), np.pad(a[..., 1:], [(0, 0)] * 3 + [(0, 2)])
    )
    for mode, name in (("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")):
        expected = np.pad(a, ((0, 0), (0, 0), (1, 3), (2, 1)), name)
        np.testing.assert_array_equal(array(F.pad(x, (2, 1, 1, 3), mode)), expected)
    with pytest.raises(ValueError, match="mode must be one of"):
        F.pad(x, (1, 1), "mirror")
    with pytest.raises(ValueError, match="pairs of numbers"):
        F.pad(x, (1, 1, 1))


def test_unfold_interpolate_one_hot_normalize():
    x = double(2, 3, 5, 6)
    w = double(4, 3, 3, 2)
    columns = array(F.unfold(x, (3, 2), stride=(2, 1), padding=(1, 0)))
    product = array(w).reshape(4, -1) @ columns
    expected = conv2d(array(x), array(w), None, (2, 1), (1, 0))
    np.testing.assert_allclose(product.reshape(expected.shape), expected, rtol=1e-9)
    bigger = array(F.interpolate(x, size=(10, 9)))
    rows, cols = np.arange(10) * 5 // 10, np.arange(9) * 6 // 9
    np.testing.assert_array_equal(bigger, array(x)[:, :, rows][..., cols])
    assert F.one_hot(ag.tensor([2, 0])).tolist() == [[0, 0, 1], [1, 0, 0]]
    for p in (1, 2, 3, math.inf):
        norms = np.linalg.norm(array(x), p, 1, keepdims=True)
        np.testing.assert_allclose(array(F.normalize(x, p)), array(x) / norms, rtol=1e-9)


def test_conv_transpose_is_the_adjoint_of_conv():
    w, x, g = double(6, 4, 3, 3), double(2, 4, 7, 8), double(2, 6, 4, 4)
    forward = F.conv2d(x, w, stride=2, padding=1)
    assert forward.shape == g.shape
    back = F.conv_transpose2d(g, w, stride=2, padding=1, output_padding=(0, 1))
    assert back.shape == x.shape
    assert (forward * g).sum().item() == pytest.approx((x * back).sum().item())
    with pytest.raises(ValueError, match="output_padding must be less"):
        F.conv_transpose2d(g, w, output_padding=1)


def test_lstm_step_by_step():
    layer, x = nn.LSTM(3, 4).double(), double(5, 2, 3)
    cell = nn.LSTMCell(3, 4).double()
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in layer.state_dict().items()})
    state = None
    outputs, (h, c) = layer(x)
    w_ih, w_hh, b_ih, b_hh = (array(p) for p in layer.parameters())
    hidden, memory = np.zeros((2, 4)), np.zeros((2, 4))
    for t in range(5):
        state = cell(x[t], state)
        gates = array(x[t]) @ w_ih.T + b_ih + hidden @ w_hh.T + b_hh
        i, f, g, o = np.split(gates, 4, 1)
        memory = special.expit(f) * memory + special.expit(i) * np.tanh(g)
        hidden = special.expit(o) * np.tanh(memory)
        np.testing.assert_allclose(array(outputs[t]), hidden, rtol=1e-9)
        np.testing.assert_allclose(array(state[0]), hidden, rtol=1e-9)
    np.testing.assert_allclose(array(h[0]), hidden, rtol=1e-9)
    np.testing.assert_allclose(array(c[0]), memory, rtol=1e-9)
    with pytest.raises(RuntimeError, match=r"expected an input \(L, N, 3\)"):
        layer(double(5, 2, 4))
    with pytest.raises(RuntimeError, match="hx must have shape"):
        layer(x, (double(2, 2, 4), double(2, 2, 4)))


def test_gru_and_rnn_formulas():
    x = double(4, 2, 3)
    gru, rnn = nn.GRU(3, 4).double(), nn.RNN(3, 4).double()
    w, u, b, v = (array(p) for p in gru.parameters())
    h = np.zeros((2, 4))
    for t in range(4):
        a, z = np.split(array(x[t]) @ w.T + b, 3, 1), np.split(h @ u.T + v, 3, 1)
        reset, update = special.expit(a[0] + z[0]), special.expit(a[1] + z[1])
        h = (1 - update) * np.tanh(a[2] + reset * z[2]) + update * h
    np.testing.assert_allclose(array(gru(x)[1][0]), h, rtol=1e-9)
    w, u, b, v = (array(p) for p in rnn.parameters())
    h = np.zeros((2, 4))
    for t in range(4):
        h = np.tanh(array(x[t]) @ w.T + b + h @ u.T + v)
    np.testing.assert_allclose(array(rnn(x)[0][-1]), h, rtol=1e-9)


def test_batch_norm_of_nothing():
    empty = ag.ones(0)
    assert F.batch_norm(empty, empty, empty, training=True).shape == (0,)
    with pytest.raises(ag.ArgandError, match="at least 2 dimensions"):
        F.batch_norm(ag.ones(3), None, None, training=True)
