"""Mixed precision: which dtype an operation computes in, weights cast once, scaled gradients."""

import numpy as np
import pytest

import argand as ag
from argand import nn, optim
from argand.amp import state
from argand.ir import bind as crossroads
from argand.nn import functional as F

LOWERED = {
    "matmul": lambda x: x @ x,
    "mm": lambda x: ag.mm(x, x),
    "method": lambda x: x.matmul(x),
    "addmm": lambda x: ag.addmm(x, x, x),
    "linear": lambda x: F.linear(x, x, x[0]),
    "einsum": lambda x: ag.einsum("ij,jk->ik", x, x),
    "vecdot": lambda x: ag.linalg.vecdot(x, x),
    "prelu": lambda x: F.prelu(x, x[0, :1]),
    "LSTM": lambda x: nn.LSTM(3, 3, dtype=x.dtype)(x)[1][1],
    "inner": lambda x: ag.inner(x, x),
    "conv2d": lambda x: F.conv2d(x[None, None], x[None, None], x[0, :1]),
    "attention": lambda x: F.scaled_dot_product_attention(x[None], x[None], x[None]),
}
RAISED = {
    "mse_loss": lambda x: F.mse_loss(x, x),
    "cross_entropy": lambda x: F.cross_entropy(x, ag.tensor([0, 1, 2])),
    "kl_div": lambda x: F.kl_div(x, x, reduction="sum"),
    "prod": lambda x: x.prod(),
    "cdist": lambda x: ag.cdist(x, x),
    "trace": lambda x: ag.trace(x),
    "reflect": lambda x: F.pad(x, (1, 1), "reflect"),
    "replicate": lambda x: F.pad(x[None], pad=(1, 1, 1, 1), mode="replicate"),
    "inv": lambda x: ag.linalg.inv(x + 3 * ag.eye(3, dtype=x.dtype)),
    "lstsq": lambda x: ag.linalg.lstsq(x, x).solution,
    "method": lambda x: (x + 3 * ag.eye(3, dtype=x.dtype)).inverse(),
}
UNCHANGED = {
    "add": lambda x: x + x,
    "softmax": lambda x: F.softmax(x, 0),
    "sum": lambda x: x.sum(),
    "relu": lambda x: x.relu(),
    "layer_norm": lambda x: F.layer_norm(x, (3,)),
    "mv": lambda x: ag.mv(x, x[0]),
    "dot": lambda x: ag.dot(x[0], x[0]),
    "vdot": lambda x: ag.vdot(x[0], x[0]),
    "addmv": lambda x: ag.addmv(x[0], x, x[0]),
    "inner of vectors": lambda x: ag.inner(x[0], x[0]),
    "einsum of one": lambda x: ag.einsum("ij->ji", x),
    "einsum without a sum": lambda x: ag.einsum("ij,k->ijk", x, x[0]),
    "interpolate": lambda x: F.interpolate(x[None], 5, mode="linear"),
    "adaptive_avg_pool1d": lambda x: F.adaptive_avg_pool1d(x[None], 2),
    "max_pool3d": lambda x: F.max_pool3d(x[None, None], 1, return_indices=True)[0],
    "constant": lambda x: F.pad(x, (1, 1)),
    "circular": lambda x: F.pad(x, (1, 1), "circular"),
}


@pytest.mark.parametrize("to", [ag.bfloat16, ag.float16])
def test_dtypes(to):
    with ag.autocast("cpu", dtype=to):
        for name, f in LOWERED.items():
            assert f(ag.ones(3, 3)).dtype is to, name
            assert f(ag.ones(3, 3, dtype=ag.float64)).dtype is ag.float64, name
        for name, f in RAISED.items():
            assert f(ag.ones(3, 3, dtype=to)).dtype is ag.float32, name
        for name, f in UNCHANGED.items():
            for dtype in (ag.float32, to):
                assert f(ag.ones(3, 3, dtype=dtype)).dtype is dtype, name
    for name, f in LOWERED.items():
        assert f(ag.ones(3, 3)).dtype is ag.float32, name


def test_dtypes_are_torchs():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    G = torch.nn.functional
    calls = {
        "matmul": (lambda x: x @ x, LOWERED["matmul"]),
        "addmm": (lambda x: torch.addmm(x, x, x), LOWERED["addmm"]),
        "mse_loss": (lambda x: G.mse_loss(x, x), RAISED["mse_loss"]),
        "prod": (lambda x: x.prod(), RAISED["prod"]),
        "trace": (lambda x: torch.trace(x), RAISED["trace"]),
        "softmax": (lambda x: G.softmax(x, 0), UNCHANGED["softmax"]),
        "sum": (lambda x: x.sum(), UNCHANGED["sum"]),
        "cat": (lambda x: torch.cat([x, x.float()]), lambda x: ag.cat([x, x.float()])),
    }
    for name, (theirs, ours) in calls.items():
        for dtype in ("float32", "bfloat16", "float64"):
            with torch.autocast("cpu"), ag.autocast("cpu"):
                expected = theirs(torch.ones(3, 3, dtype=getattr(torch, dtype))).dtype
                got = ours(ag.ones(3, 3, dtype=getattr(ag, dtype))).dtype
            assert str(got).rpartition(".")[2] == str(expected).rpartition(".")[2], (name, dtype)


def test_blocks_nest_and_end():
    x = ag.ones(2, 2)
    assert not ag.is_autocast_enabled("cpu")
    with ag.autocast("cpu"):
        with ag.autocast("cpu", enabled=False):
            assert (x @ x).dtype is ag.float32 and not ag.is_autocast_enabled("cpu")
        with ag.autocast("cpu", dtype=ag.float16):
            assert (x @ x).dtype is ag.float16 and ag.get_autocast_dtype("cpu") is ag.float16
        assert (x @ x).dtype is ag.bfloat16 and ag.is_autocast_enabled("cpu")
        with pytest.raises(ValueError, match="on purpose"), ag.autocast("cpu", enabled=False):
            raise ValueError("on purpose")
        assert ag.is_autocast_enabled("cpu")
    assert (x @ x).dtype is ag.float32

    @ag.autocast("cpu")
    def product(x):
        return x @ x

    assert product(x).dtype is ag.bfloat16
    with pytest.warns(UserWarning, match="'cuda' changes nothing"), ag.autocast("cuda"):
        assert (x @ x).dtype is ag.float32
    with pytest.warns(UserWarning, match="float64 changes nothing"):
        ag.autocast("cpu", dtype=ag.float64)
    with pytest.raises(RuntimeError, match="unknown device 'tpu'"):
        ag.autocast("tpu")


def test_calls_that_have_plans_see_the_block():
    """Outside the block a call has run often enough to have native code of its own."""
    x = ag.ones(4, 4)
    for _ in range(300):
        assert (x @ x).dtype is ag.float32
    with ag.autocast("cpu"):
        for _ in range(3):
            assert (x @ x).dtype is ag.bfloat16
            assert ag.mm(x, x).dtype is ag.bfloat16
    assert (x @ x).dtype is ag.float32


def test_a_weight_is_cast_again_when_it_is_written():
    w = nn.Parameter(ag.ones(2, 2))
    x = ag.ones(1, 2)
    with ag.autocast("cpu"):
        first = x @ w
        with ag.no_grad():
            w.fill_(3.0)
            assert (x @ w).tolist() == [[6.0, 6.0]]
        second = x @ w
        assert first.tolist() == [[2.0, 2.0]] and second.tolist() == [[6.0, 6.0]]
    second.sum().backward()
    assert w.grad.dtype is ag.float32 and w.grad.tolist() == [[1.0, 1.0]] * 2


def trained(compiled):
    ag.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    rng = np.random.default_rng(0)
    x = ag.tensor(rng.standard_normal((16, 4)).astype(np.float32))
    y = ag.tensor(rng.integers(0, 3, 16))
    kinds = []

    def step(x, y):
        with ag.autocast("cpu"):
            out = model(x)
            kinds.append(out.dtype)
            loss = F.cross_entropy(out, y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    fast = ag.compile(step) if compiled else step
    losses = [fast(x, y).item() for _ in range(5)]
    assert set(kinds) == {ag.bfloat16}
    return losses


def test_compiled_steps():
    np.testing.assert_allclose(trained(True), trained(False), rtol=1e-2)


def test_a_compiled_function_in_a_block_is_not_that_of_outside():
    product = ag.compile(lambda x: x @ x)
    for size in (2, 2, 3, 4, 5):  # from the second size on programs are for any
        x = ag.ones(size, size)
        assert product(x).dtype is ag.float32
        with ag.autocast("cpu"):
            assert product(x).dtype is ag.bfloat16
        with ag.autocast("cpu", dtype=ag.float16):
            assert product(x).dtype is ag.float16
            with ag.autocast("cpu", enabled=False):
                assert product(x).dtype is ag.float32
    assert len(product.specialisations) <= 6


def test_a_compiled_function_computes_as_the_block_says():
    """The casts are in its program, and its gradients are those of eager code."""
    x, w = ag.rand(4, 4), ag.rand(4, 4).requires_grad_()

    def loss(x, w):
        return F.mse_loss(F.linear(x, w), x) + ag.mv(x, w[0]).sum()

    fast = ag.compile(loss)
    with ag.autocast("cpu"):
        expected, found = loss(x, w), fast(x, w)
        (right,) = ag.autograd.grad(expected, w)
        (slope,) = ag.autograd.grad(found, w)
    assert found.dtype is ag.float32 and slope.dtype is ag.float32
    assert "bf16" in str(fast.specialisations[0].executable.program)
    np.testing.assert_allclose(found.item(), expected.item(), rtol=1e-2)
    np.testing.assert_allclose(slope.numpy(), right.numpy(), rtol=2e-2, atol=1e-2)
    with ag.autocast("cpu"):
        again = fast(x, w)
    with pytest.raises(ag.ArgandError, match="use autocast inside the function"):
        ag.autograd.grad(again, w, create_graph=True)


def test_gradients_of_what_is_not_cast_are_not_cast_in_a_block():
    x, v = ag.rand(8, 8), ag.rand(8).requires_grad_()
    (right,) = ag.autograd.grad(ag.mv(x, v).square().sum(), v)
    with ag.autocast("cpu"):
        (found,) = ag.autograd.grad(ag.mv(x, v).square().sum(), v)
    assert found.tolist() == right.tolist()


def test_a_state_without_a_block():
    x = ag.ones(2, 2)
    assert ag.is_autocast_cache_enabled()
    ag.set_autocast_enabled("cpu", True)
    try:
        assert (x @ x).dtype is ag.bfloat16
        ag.set_autocast_dtype("cpu", ag.float16)
        assert (x @ x).dtype is ag.float16 and ag.get_autocast_cpu_dtype() is ag.float16
        assert ag.is_autocast_cpu_enabled() and not ag.is_autocast_enabled()
        with ag.autocast("cpu", dtype=ag.bfloat16, cache_enabled=False):
            assert not ag.is_autocast_cache_enabled()
        assert ag.is_autocast_cache_enabled() and (x @ x).dtype is ag.float16
    finally:
        ag.set_autocast_enabled("cpu", False)
        ag.set_autocast_dtype("cpu", ag.bfloat16)
    assert (x @ x).dtype is ag.float32
    ag.set_autocast_enabled(True)
    assert ag.is_autocast_enabled("cuda") and (x @ x).dtype is ag.float32
    ag.set_autocast_enabled("cuda", False)
    for wrong in (
        lambda: ag.set_autocast_enabled("cpu", 1),
        lambda: ag.is_autocast_enabled("tpu"),
        lambda: ag.get_autocast_dtype("meta"),
        lambda: ag.set_autocast_dtype("cpu", 3),
    ):
        with pytest.raises((TypeError, RuntimeError)):
            wrong()


def test_nothing_is_left_of_blocks():
    """Calls have plans again, and copies of weights are forgotten."""
    before, w = crossroads.pushed, nn.Parameter(ag.ones(2, 2))
    with ag.autocast("cpu"), ag.autocast("cpu", enabled=False), ag.autocast("cpu"):
        w @ w
        assert crossroads.pushed == before + 1 and len(state._state.caster.cache) == 1
        with ag.autocast("cpu"):
            pass
        assert len(state._state.caster.cache) == 1
    assert crossroads.pushed == before and not state._state.caster.cache
    with pytest.warns(UserWarning, match="changes nothing"), ag.autocast("cuda"):
        assert crossroads.pushed == before


def test_functions_of_the_users():
    seen = []

    class Product(ag.autograd.Function):
        @staticmethod
        @ag.amp.custom_fwd(device_type="cpu")
        def forward(ctx, x):
            seen.append((x @ x).dtype)
            return x * 2

        @staticmethod
        @ag.amp.custom_bwd(device_type="cpu")
        def backward(ctx, g):
            seen.append((g @ g).dtype)
            return g * 2

    class Exact(ag.autograd.Function):
        @staticmethod
        @ag.amp.custom_fwd(device_type="cpu", cast_inputs=ag.float32)
        def forward(ctx, x):
            seen.append((x @ x).dtype)
            return x * 2

        @staticmethod
        @ag.amp.custom_bwd(device_type="cpu")
        def backward(ctx, g):
            return g * 2

    x = ag.ones(2, 2, requires_grad=True)
    with ag.autocast("cpu"):
        y = Product.apply(x).sum()
        Exact.apply(x.bfloat16())
    y.backward()
    assert seen == [ag.bfloat16, ag.float32, ag.bfloat16]


class TestGradScaler:
    def make(self, **options):
        w = nn.Parameter(ag.tensor([1.0]))
        return w, optim.SGD([w], lr=0.1), ag.amp.GradScaler("cpu", **options)

    def test_steps(self):
        w, opt, scaler = self.make(init_scale=8.0, growth_interval=2)
        for expected_scale in (8.0, 16.0):
            opt.zero_grad()
            scaler.scale((3 * w).sum()).backward()
            scaler.step(opt)
            scaler.update()
            assert scaler.get_scale() == expected_scale
        np.testing.assert_allclose(w.detach().numpy(), [0.4], rtol=1e-6)

    def test_infinite_gradients_are_left_out(self):
        w, opt, scaler = self.make(init_scale=8.0)
        w.grad = ag.tensor([float("inf")])
        scaler.step(opt)
        scaler.update()
        assert w.item() == 1.0 and scaler.get_scale() == 4.0

    def test_unscale_once(self):
        w, opt, scaler = self.make(init_scale=8.0)
        scaler.scale((3 * w).sum()).backward()
        scaler.unscale_(opt)
        assert w.grad.tolist() == [3.0]
        with pytest.raises(RuntimeError, match="already been called"):
            scaler.unscale_(opt)
        scaler.step(opt)
        with pytest.raises(RuntimeError, match="already been called"):
            scaler.step(opt)
        scaler.update()
        with pytest.raises(AssertionError, match="no gradients were checked"):
            scaler.update()

    def test_disabled(self):
        w, opt, scaler = self.make(enabled=False)
        loss = (3 * w).sum()
        assert scaler.scale(loss) is loss and scaler.state_dict() == {}
        loss.backward()
        scaler.step(opt)
        scaler.update()
        assert scaler.get_scale() == 1.0 and w.item() == pytest.approx(0.7)
        with pytest.warns(UserWarning, match="is disabled"):
            assert not ag.amp.GradScaler().is_enabled()

    def test_a_compiled_scale_follows(self):
        w, opt, scaler = self.make(init_scale=8.0)
        scaled = ag.compile(lambda x: scaler.scale(x))
        assert scaled(ag.tensor(1.0)).item() == 8.0
        scaler.update(2.0)
        assert scaled(ag.tensor(1.0)).item() == 2.0

        @ag.compile
        def step(x):
            w.grad = x
            scaler.step(opt)

        with pytest.raises(RuntimeError, match="GradScaler looks at the values"):
            step(ag.ones(1))

    def test_state_is_torchs(self):
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        _, _, scaler = self.make(init_scale=4.0, growth_interval=3)
        other = torch.amp.GradScaler("cpu", init_scale=32.0)
        assert set(scaler.state_dict()) == set(other.state_dict())
        other.load_state_dict(scaler.state_dict())
        assert other.get_scale() == 4.0
        scaler.load_state_dict(torch.amp.GradScaler("cpu").state_dict())
        assert scaler.get_scale() == 65536.0 and scaler.get_growth_interval() == 2000
        with pytest.raises(ValueError, match="lacks"):
            scaler.load_state_dict({})
