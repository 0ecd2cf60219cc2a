"""The same layers with the same state dict in PyTorch, where it is installed."""

import numpy as np
import pytest

import argand as ag

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

CASES = [
    ("Linear", (5, 3), {}, [(2, 5)]),
    ("Conv2d", (4, 6, 3), {"stride": 2, "padding": 1, "groups": 2}, [(2, 4, 7, 7)]),
    ("Conv2d", (2, 3, 4), {"padding": "same"}, [(2, 2, 7, 6)]),
    ("Conv2d", (2, 3, 3), {"padding": 1, "padding_mode": "reflect"}, [(2, 2, 7, 6)]),
    ("Conv1d", (4, 6, 3), {"dilation": 2, "padding": 2}, [(2, 4, 9)]),
    ("MaxPool2d", (3,), {"stride": 2, "padding": 1, "ceil_mode": True}, [(2, 3, 8, 7)]),
    ("AvgPool2d", (3,), {"stride": 2, "padding": 1, "count_include_pad": False}, [(2, 3, 8, 7)]),
    ("AvgPool2d", (2,), {"divisor_override": 3}, [(2, 3, 8, 8)]),
    ("AdaptiveAvgPool2d", ((None, 2),), {}, [(2, 3, 5, 4)]),
    ("BatchNorm1d", (4,), {}, [(6, 4)]),
    ("BatchNorm1d", (4,), {"momentum": None}, [(6, 4, 3)]),
    ("BatchNorm2d", (4,), {"affine": False}, [(3, 4, 2, 2)]),
    ("LayerNorm", (6,), {}, [(3, 6)]),
    ("LayerNorm", ((2, 6),), {"bias": False}, [(3, 2, 6)]),
    ("GroupNorm", (2, 4), {}, [(3, 4, 5)]),
    ("RMSNorm", (6,), {}, [(3, 6)]),
    ("Bilinear", (3, 4, 2), {}, [(5, 3), (5, 4)]),
    ("PReLU", (4,), {}, [(3, 4, 5)]),
    ("GLU", (1,), {}, [(3, 4, 5)]),
    ("Softmax", (), {"dim": 1}, [(3, 4)]),
    ("Softplus", (3.0, 2.0), {}, [(30,)]),
    ("CosineSimilarity", (), {}, [(3, 4), (3, 4)]),
    ("Upsample", (), {"scale_factor": 2}, [(1, 2, 3, 3)]),
    ("ConvTranspose2d", (4, 6, 3), {"stride": 2, "output_padding": 1}, [(2, 4, 5, 4)]),
    ("ConvTranspose2d", (4, 6, 3), {"groups": 2, "padding": 1, "dilation": 2}, [(4, 5, 4)]),
    ("ConvTranspose1d", (4, 6, 3), {"stride": 2, "bias": False}, [(2, 4, 5)]),
    ("InstanceNorm1d", (4,), {"affine": True}, [(3, 4, 5)]),
    ("InstanceNorm2d", (4,), {}, [(3, 4, 5, 2)]),
    ("PixelShuffle", (2,), {}, [(2, 8, 3, 4)]),
    ("Unfold", ((2, 3),), {"stride": 2, "padding": 1}, [(2, 3, 5, 6)]),
    ("ReflectionPad2d", ((1, 2, 0, 1),), {}, [(2, 3, 4, 5)]),
    ("ReplicationPad2d", (2,), {}, [(2, 3, 4, 5)]),
    ("ConstantPad2d", (1, 3.5), {}, [(2, 3, 4, 5)]),
    ("ConstantPad1d", ((2, 0), -1.0), {}, [(2, 3, 4)]),
    ("RNNCell", (3, 4), {"nonlinearity": "relu"}, [(2, 3), (2, 4)]),
    ("GRUCell", (3, 4), {"bias": False}, [(2, 3)]),
    ("Unflatten", (1, (2, 2)), {}, [(3, 4)]),
    ("Conv3d", (2, 4, 3), {"groups": 2, "dilation": (1, 2, 1), "padding": 1}, [(2, 2, 5, 6, 4)]),
    ("BatchNorm3d", (3,), {}, [(2, 3, 2, 3, 2)]),
    ("MaxPool3d", (3, 2, 1), {"ceil_mode": True}, [(1, 2, 6, 5, 7)]),
    ("AvgPool3d", (3, 2, 1), {"count_include_pad": False}, [(1, 2, 6, 5, 7)]),
    ("AdaptiveAvgPool2d", ((4, 3),), {}, [(2, 3, 6, 5)]),
    ("AdaptiveMaxPool1d", (4,), {}, [(2, 3, 6)]),
    ("Upsample", (), {"scale_factor": 1.5, "mode": "bicubic"}, [(1, 2, 5, 3)]),
    ("UpsamplingBilinear2d", (), {"size": (7, 2)}, [(1, 2, 5, 3)]),
    ("LocalResponseNorm", (3,), {"alpha": 0.5}, [(2, 5, 4, 3)]),
    ("Fold", ((5, 6), 3), {"padding": 1, "stride": 2}, [(2, 9, 9)]),
    ("TransformerEncoderLayer", (8, 2, 16, 0.0), {"norm_first": True}, [(5, 3, 8)]),
    ("TransformerDecoderLayer", (8, 2, 16, 0.0), {}, [(5, 3, 8), (4, 3, 8)]),
    ("Transformer", (8, 2, 1, 1, 16, 0.0), {"batch_first": True}, [(2, 5, 8), (2, 4, 8)]),
]
CASES += [
    ("ConvTranspose3d", (4, 6, 3), {"stride": 2, "output_padding": 1}, [(2, 4, 3, 4, 2)]),
    (
        "ConvTranspose3d",
        (4, 2, (2, 3, 1)),
        {"groups": 2, "dilation": 2, "padding": 1},
        [(4, 3, 4, 5)],
    ),
    ("InstanceNorm1d", (4,), {"track_running_stats": True}, [(3, 4, 5)]),
    ("InstanceNorm3d", (4,), {"track_running_stats": True, "affine": True}, [(3, 4, 2, 3, 2)]),
    ("InstanceNorm2d", (4,), {"momentum": 0.3, "track_running_stats": True}, [(4, 5, 2)]),
    ("AvgPool2d", (3, 2, 1), {"divisor_override": 3, "ceil_mode": True}, [(2, 3, 8, 7)]),
    ("AvgPool3d", (3, 2, 1), {"divisor_override": 5}, [(1, 2, 6, 5, 7)]),
    ("AdaptiveMaxPool3d", ((2, 3, 4),), {}, [(2, 3, 5, 6, 6)]),
    ("LPPool1d", (4.0, 2), {}, [(2, 3, 8)]),
    ("LPPool2d", (2.0, 3), {"stride": 2, "ceil_mode": True}, [(2, 3, 8, 7)]),
    ("LPPool3d", (2.0, 2), {}, [(2, 3, 4, 4, 5)]),
    ("ZeroPad1d", ((2, 1),), {}, [(2, 3, 4)]),
    ("ZeroPad3d", (1,), {}, [(2, 3, 4, 2, 3)]),
    ("ConstantPad3d", (1, -2.5), {}, [(2, 3, 4, 2, 3)]),
    ("ReflectionPad3d", ((1, 2, 0, 1, 1, 1),), {}, [(2, 3, 4, 3, 4)]),
    ("ReplicationPad3d", (1,), {}, [(2, 3, 4, 3, 4)]),
    ("CircularPad3d", ((1, 2, 0, 1, 1, 1),), {}, [(2, 3, 4, 3, 4)]),
]
CASES += [(n, (), {}, [(4, 5)]) for n in ("ReLU", "ReLU6", "ELU", "SELU", "GELU", "SiLU", "Mish")]
CASES += [(n, (), {}, [(4, 5)]) for n in ("Softsign", "Hardtanh", "Hardsigmoid", "Hardswish")]
CASES += [(n, (), {}, [(4, 5)]) for n in ("Tanh", "Sigmoid", "LogSigmoid", "LeakyReLU")]


def names(case):
    return f"{case[0]}{case[1]}{case[2] or ''}"


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # PyTorch's, of its own speed
@pytest.mark.parametrize("case", CASES, ids=names)
def test_layer(case):
    name, args, kwargs, shapes = case
    rng = np.random.default_rng(3)
    theirs = getattr(torch.nn, name)(*args, **kwargs).double()
    ours = getattr(ag.nn, name)(*args, **kwargs).double()
    assert repr(ours) == repr(theirs).replace("NonDynamicallyQuantizable", "")
    state = {k: v.numpy() for k, v in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict({k: ag.tensor(v) for k, v in state.items()})
    arrays = [rng.standard_normal(s) * 2 for s in shapes]
    xs = [ag.tensor(a).requires_grad_() for a in arrays]
    ts = [torch.tensor(a, requires_grad=True) for a in arrays]
    for _ in range(2):
        y, expected = ours(*xs), theirs(*ts)
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-7, atol=1e-9)
    noise = rng.standard_normal(expected.shape)
    (y * ag.tensor(noise)).sum().backward()
    (expected * torch.tensor(noise)).sum().backward()
    pairs = [*zip(xs, ts, strict=True), *zip(ours.parameters(), theirs.parameters(), strict=True)]
    for mine, their in pairs:
        np.testing.assert_allclose(mine.grad.numpy(), their.grad.numpy(), rtol=1e-6, atol=1e-8)
    for mine, their in zip(ours.buffers(), theirs.buffers(), strict=True):
        np.testing.assert_allclose(mine.numpy(), their.numpy(), rtol=1e-9)
    ours.eval()
    theirs.eval()
    y, expected = ours(*xs).detach().numpy(), theirs(*ts).detach().numpy()
    np.testing.assert_allclose(y, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("bias", [False, True])
def test_adaptive_softmax(bias):
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(8, 20, [4, 11], 2.0, bias).double()
    ours = ag.nn.AdaptiveLogSoftmaxWithLoss(8, 20, [4, 11], 2.0, bias).double()
    assert repr(ours) == repr(theirs)
    ours.load_state_dict({k: ag.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    x, target = np.random.default_rng(1).standard_normal((9, 8)), np.arange(0, 18, 2)
    mine, their = (
        ours(ag.tensor(x), ag.tensor(target)),
        theirs(torch.tensor(x), torch.tensor(target)),
    )
    for a, b in zip(mine, their, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy())
    mine.loss.backward()
    their.loss.backward()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), atol=1e-12)
    for name in ("log_prob", "predict"):
        a, b = getattr(ours, name)(ag.tensor(x)), getattr(theirs, name)(torch.tensor(x))
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy())
    with pytest.raises(IndexError, match="20"):
        ours(ag.tensor(x), ag.tensor(target + 4))


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bag(mode):
    theirs = torch.nn.EmbeddingBag(10, 4, mode=mode, padding_idx=3).double()
    ours = ag.nn.EmbeddingBag(10, 4, mode=mode, padding_idx=3).double()
    assert repr(ours) == repr(theirs)
    ours.load_state_dict({k: ag.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    index, starts = np.array([1, 3, 4, 3, 9, 9, 0]), np.array([0, 2, 2, 5])
    y, expected = (
        ours(ag.tensor(index), ag.tensor(starts)),
        theirs(torch.tensor(index), torch.tensor(starts)),
    )
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy())
    y.square().sum().backward()
    expected.square().sum().backward()
    np.testing.assert_allclose(ours.weight.grad.numpy(), theirs.weight.grad.numpy())


def test_synchronised_batch_norm_in_one_process():
    model = ag.nn.Sequential(ag.nn.Conv1d(2, 3, 1), ag.nn.Sequential(ag.nn.BatchNorm1d(3)))
    x = ag.tensor(np.random.default_rng(1).standard_normal((4, 2, 5))).float()
    expected, state = model(x), list(model.state_dict())
    made = ag.nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert type(made[1][0]) is ag.nn.SyncBatchNorm
    assert list(made.state_dict()) == state
    assert made(x).equal(expected)


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize(
    "options",
    [{"add_bias_kv": True}, {"add_zero_attn": True, "bias": False}, {"kdim": 6, "vdim": 5}],
)
def test_multihead_attention_options(options, weights):
    theirs = torch.nn.MultiheadAttention(8, 2, **options).double()
    ours = ag.nn.MultiheadAttention(8, 2, **options).double()
    state = {k: ag.tensor(v.numpy()) for k, v in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict(state)
    rng = np.random.default_rng(0)
    sizes = (8, options.get("kdim", 8), options.get("vdim", 8))
    arrays = [rng.standard_normal((n, 3, s)) for n, s in zip((5, 4, 4), sizes, strict=True)]
    padding = np.array([[False, True, False, True], [False] * 4, [False, False, False, True]])
    got = ours(*map(ag.tensor, arrays), key_padding_mask=ag.tensor(padding), need_weights=weights)
    expected = theirs(
        *map(torch.tensor, arrays), key_padding_mask=torch.tensor(padding), need_weights=weights
    )
    for mine, their in zip(got, expected, strict=True):
        if their is None:
            assert mine is None
            continue
        np.testing.assert_allclose(mine.detach().numpy(), their.detach().numpy(), atol=1e-12)


def test_multihead_attention():
    theirs = torch.nn.MultiheadAttention(8, 2).double()
    ours = ag.nn.MultiheadAttention(8, 2).double()
    ours.load_state_dict({k: ag.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    rng = np.random.default_rng(0)
    q, k = rng.standard_normal((5, 3, 8)), rng.standard_normal((4, 3, 8))
    mask = rng.random((5, 4)) < 0.3
    mask[:, 0] = False
    got = ours(ag.tensor(q), ag.tensor(k), ag.tensor(k), attn_mask=ag.tensor(mask))
    args = torch.tensor(q), torch.tensor(k), torch.tensor(k)
    expected = theirs(*args, attn_mask=torch.tensor(mask))
    for mine, their in zip(got, expected, strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), their.detach().numpy(), rtol=1e-7)


RECURRENT = [
    ("LSTM", (3, 4), {"num_layers": 2, "bidirectional": True}, (5, 2, 3)),
    ("LSTM", (3, 4), {"batch_first": True, "bias": False}, (2, 5, 3)),
    ("GRU", (3, 4), {"num_layers": 2}, (5, 2, 3)),
    ("GRU", (3, 4), {"bidirectional": True}, (5, 3)),
    ("RNN", (3, 4), {"nonlinearity": "relu"}, (5, 2, 3)),
]


@pytest.mark.parametrize("case", RECURRENT, ids=names)
@pytest.mark.parametrize("given", [False, True], ids=["zeros", "given"])
def test_recurrent(case, given):
    name, args, kwargs, shape = case
    theirs = getattr(torch.nn, name)(*args, **kwargs).double()
    ours = getattr(ag.nn, name)(*args, **kwargs).double()
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({k: ag.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape)
    first = theirs(torch.tensor(x))[1]
    states = first if isinstance(first, tuple) else (first,)
    arrays = [rng.standard_normal(tuple(s.shape)) for s in states]
    mine, their = [ag.tensor(a) for a in arrays], [torch.tensor(a) for a in arrays]
    hx = (tuple(mine) if len(mine) > 1 else mine[0]) if given else None
    tx = (tuple(their) if len(their) > 1 else their[0]) if given else None
    got, end = ours(ag.tensor(x), hx)
    expected, last = theirs(torch.tensor(x), tx)
    pairs = [(got, expected)]
    pairs += zip(end, last, strict=True) if isinstance(last, tuple) else [(end, last)]
    for a, b in pairs:
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-8, atol=1e-12)
    got.sum().backward()
    expected.sum().backward()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-7, atol=1e-10)
