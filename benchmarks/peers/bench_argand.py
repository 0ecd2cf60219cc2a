"""Argand.  Modes:
  compile  @ag.compile on the whole training step, the forward pass, the operation; networks'
           forward passes with freeze=True (the results say "frozen")
  eager    the same code without the decorator

Results are checked before the clock starts, and a failed check is a failed workload: a
compiled step against the eager one (losses, and what the steps did to the parameters), a
forward pass against the eager one, single operations and the MLP against NumPy in float64."""

import subprocess
from functools import partial
from pathlib import Path

import argand_models as M
import numpy as np
import references
from common import LR, SEED, Skip, main, settings, workload

import argand as ag
import argand.nn.functional as F
from argand import nn, optim

rng = np.random.default_rng(SEED)
CHECKED_STEPS = 3


def rand(*shape):
    return ag.tensor(rng.standard_normal(shape, dtype=np.float32))


def image(*shape):
    """Random images in the layout that convolutions are made for, as in PyTorch's tuned column."""
    return rand(*shape).contiguous(memory_format=ag.channels_last)


def ints(high, *shape):
    return ag.tensor(rng.integers(0, high, shape, dtype=np.int64))


def array(t):
    return np.array(t.detach().numpy())


class WrongResult(Exception):  # noqa: N818 - it is the result that is wrong
    """Argand computed something else than the reference."""


def agree(what, got, want, tolerance):
    """Raises unless the largest error is within `tolerance` of the largest value."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    if got.shape != want.shape:
        raise WrongResult(f"{what}: shape {got.shape}, expected {want.shape}")
    error = np.max(np.abs(got - want), initial=0.0) / max(np.max(np.abs(want), initial=0.0), 1e-30)
    if not error <= tolerance:
        raise WrongResult(
            f"{what}: off by {error:.2g} of the largest value ({tolerance:g} allowed)"
        )


# --- training


def step_function(mode, loss_of, opt):
    """One training step.  The gradients are gone when it returns, so none need be written."""

    def step(*data):
        loss = loss_of(*data)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    return ag.compile(step) if mode == "compile" else step


def first_steps(mode, build, data):
    """The losses of the first steps, and how far they moved each parameter."""
    ag.manual_seed(SEED)
    net, opt, loss_of = build()
    start = [array(p) for p in net.parameters()]
    step = step_function(mode, loss_of, opt)
    losses = [float(step(*data)) for _ in range(CHECKED_STEPS)]
    moved = [array(p) - s for p, s in zip(net.parameters(), start, strict=True)]
    return losses, moved


def check_training(mode, build, data):
    """Losses fall, and the compiled steps do what the eager ones do.

    Adam's first steps have the size of the learning rate whatever the gradient's size, so a
    rounding error in a gradient near zero moves a parameter visibly: the mean is compared."""
    losses, moved = first_steps("eager", build, data)
    if not losses[-1] < losses[0]:
        raise WrongResult(f"the loss does not fall: {losses}")
    if mode == "eager":
        return
    got_losses, got_moved = first_steps(mode, build, data)
    agree("losses", got_losses, losses, 1e-5)
    for i, (got, want) in enumerate(zip(got_moved, moved, strict=True)):
        error = np.mean(np.abs(got - want)) / max(np.mean(np.abs(want)), 1e-30)
        if not error <= 0.02:
            raise WrongResult(f"update of parameter {i}: off by {error:.2g} of its mean size")


def train(mode, build, *data, checked=None):
    """build() gives the network, the optimizer and the loss as a function of the data.

    `checked` builds what is checked in its stead."""
    if settings.check:
        check_training(mode, checked or build, data)
    ag.manual_seed(SEED)
    _, opt, loss_of = build()
    step = step_function(mode, loss_of, opt)
    return lambda: step(*data)


@workload("mlp_train")
def _(mode):
    def build():
        net = M.MLP()
        opt = optim.Adam(net.parameters(), lr=LR)
        return net, opt, lambda x, y: F.cross_entropy(net(x), y)

    return train(mode, build, rand(128, 784), ints(10, 128))


@workload("mnist_train")
def _(mode):
    def build():
        net = M.MnistCNN()
        opt = optim.Adam(net.parameters(), lr=LR)
        return net, opt, lambda x, y: F.nll_loss(net(x), y)

    return train(mode, build, rand(64, 1, 28, 28), ints(10, 64))


@workload("resnet18_train")
def _(mode):
    def build(lr=LR):
        net = M.ResNet18Cifar()
        opt = optim.SGD(net.parameters(), lr=lr, momentum=0.9)
        return net, opt, lambda x, y: F.cross_entropy(net(x), y)

    # Three steps of SGD at LR are lost in the rounding of the parameters; at 1e-2 rounding alone
    # grows past what is allowed (so do eager float32 steps against float64).
    checked = partial(build, 1e-4)
    return train(mode, build, image(32, 3, 32, 32), ints(10, 32), checked=checked)


@workload("lstm_train")
def _(mode):
    def build():
        net = M.LSTMLM()
        opt = optim.Adam(net.parameters(), lr=LR)
        return net, opt, lambda x, y, h, c: F.cross_entropy(net(x, h, c).view(-1, 10000), y)

    state = ag.zeros(2, 20, 256), ag.zeros(2, 20, 256)
    return train(mode, build, ints(10000, 35, 20), ints(10000, 700), *state)


@workload("vae_train")
def _(mode):
    def build(lr=LR):
        net = M.VAE()
        opt = optim.Adam(net.parameters(), lr=lr)

        def loss(x):
            rec, mu, logvar = net(x)
            return M.vae_loss(rec, x, mu, logvar)

        return net, opt, loss

    # At LR the fresh noise of every step moves the loss further than the step does.
    x = ag.tensor(rng.random((128, 784), dtype=np.float32))
    return train(mode, build, x, checked=partial(build, 1e-3))


@workload("gcn_train")
def _(mode):
    def build():
        net = M.GCN()
        opt = optim.Adam(net.parameters(), lr=LR)
        return net, opt, lambda x, s, d, n, y: F.cross_entropy(net(x, s, d, n)[:140], y)

    loops = np.arange(2708)
    src, dst = (np.concatenate((rng.integers(0, 2708, 10556), loops)) for _ in range(2))
    degree = np.bincount(dst, minlength=2708)
    norm = (1 / np.sqrt(degree[src] * degree[dst]))[:, None].astype(np.float32)
    edges = map(ag.tensor, (src, dst, norm))
    return train(mode, build, rand(2708, 1433), *edges, ints(7, 140))


@workload("gpt_train")
def _(mode):
    def build():
        net = M.baby_gpt()
        opt = optim.AdamW(net.parameters(), lr=LR, betas=(0.9, 0.99), weight_decay=0.1)
        return net, opt, lambda x, y: F.cross_entropy(net(x).view(-1, 65), y.view(-1))

    return train(mode, build, ints(65, 8, 256), ints(65, 8, 256))


@workload("dqn_train")
def _(mode):
    def build():
        net, target = M.MLP((4, 128, 128, 2)), M.MLP((4, 128, 128, 2))

        def loss(s, a, r, s2):
            q = net(s).gather(1, a).squeeze(1)
            with ag.no_grad():
                t = r + 0.99 * target(s2).max(1).values
            return F.smooth_l1_loss(q, t)

        return net, optim.Adam(net.parameters(), lr=LR), loss

    return train(mode, build, rand(128, 4), ints(2, 128, 1), rand(128), rand(128, 4))


# --- inference


def infer(mode, f, *data, reference=None, tolerance=1e-5):
    """f(*data) with nothing recorded; `reference` gives the same in float64 NumPy.

    Compiled networks are frozen: their weights are constants of the compiled code."""

    def run(*data):
        with ag.no_grad():
            return f(*data)

    settings.frozen = mode == "compile" and isinstance(f, nn.Module)
    fast = ag.compile(run, freeze=settings.frozen) if mode == "compile" else run
    if settings.check:
        want = reference(*(array(t).astype(np.float64) for t in data)) if reference else None
        wants = outputs(run(*data)) if want is None else [want]
        for _ in range(2):  # the second call may take another way than the first
            for i, (got, want) in enumerate(zip(outputs(fast(*data)), wants, strict=True)):
                agree(f"output {i}", got, want, tolerance)
    return lambda: fast(*data)


def outputs(result):
    """The arrays of one result or of several."""
    return [array(t) for t in (result if isinstance(result, tuple) else (result,))]


def infer_mlp(mode, sizes, batch):
    ag.manual_seed(SEED)
    net = M.MLP(sizes)
    net.eval()
    params = [array(p.detach().clone()).astype(np.float64) for p in net.parameters()]
    x = rand(batch, sizes[0])
    return infer(mode, net, x, reference=lambda x: references.mlp(x, params[::2], params[1::2]))


@workload("mlp_infer", "mlp_infer_b1")
def _(mode, wid):
    return infer_mlp(mode, (784, 512, 512, 10), 1 if wid.endswith("b1") else 128)


@workload("dqn_infer_b1")
def _(mode):
    return infer_mlp(mode, (4, 128, 128, 2), 1)


@workload("mnist_infer")
def _(mode):
    ag.manual_seed(SEED)
    net = M.MnistCNN()
    net.eval()
    return infer(mode, net, rand(64, 1, 28, 28))


@workload("resnet18_infer", "resnet50_infer_b1", "mobilenetv2_infer_b1")
def _(mode, wid):
    ag.manual_seed(SEED)
    nets = {
        "resnet18_infer": (M.ResNet18Cifar, (32, 3, 32, 32)),
        "resnet50_infer_b1": (M.ResNet50, (1, 3, 224, 224)),
        "mobilenetv2_infer_b1": (M.MobileNetV2, (1, 3, 224, 224)),
    }
    build, shape = nets[wid]
    net = build()
    net.eval()
    return infer(mode, net, image(*shape), tolerance=1e-4)


@workload("gpt_infer", "minilm_infer", "gpt2_prefill", "gpt2_decode")
def _(mode, wid):
    ag.manual_seed(SEED)
    cache = [(12, 1, 12, 128, 64)] * 2
    build, high, shape, others = {
        "gpt_infer": (M.baby_gpt, 65, (8, 256), []),
        "minilm_infer": (M.MiniLM, 30522, (8, 128), []),
        "gpt2_prefill": (lambda: M.Prefill(M.gpt2()), 50257, (1, 128), []),
        "gpt2_decode": (lambda: M.Decode(M.gpt2()), 50257, (1, 1), cache),
    }[wid]
    net = build()
    net.eval()
    return infer(mode, net, ints(high, *shape), *(rand(*s) for s in others), tolerance=1e-4)


# --- single operations


@workload(*["micro_" + k for k in references.MICRO])
def _(mode, wid):
    f, shapes = M.micro_ops()[wid[6:]]
    args = [rand(*s) for s in shapes]
    if "conv" in wid:
        args[0] = image(*shapes[0])
    return infer(mode, f, *args, reference=references.MICRO[wid[6:]])


@workload("micro_embedding")
def _(mode):
    def f(i, w, g):
        y = F.embedding(i, w)
        return y, *ag.autograd.grad(y, (w,), g)

    i, w, g = ints(10000, 4096), rand(10000, 256), rand(4096, 256)
    w.requires_grad_()
    fast = ag.compile(f) if mode == "compile" else f
    if settings.check:
        want = np.zeros((10000, 256))
        np.add.at(want, array(i), array(g).astype(np.float64))
        refs = array(w)[array(i)], want
        for _ in range(2):
            for name, got, ref in zip(("y", "dw"), fast(i, w, g), refs, strict=True):
                agree(name, array(got), ref, 1e-6)
    return lambda: fast(i, w, g)


@workload("micro_conv3x3_bwd")
def _(mode):
    def f(x, w, g):
        y = F.conv2d(x, w, padding=1)
        return y, *ag.autograd.grad(y, (x, w), g)

    x, w, g = image(32, 64, 56, 56), rand(64, 64, 3, 3), image(32, 64, 56, 56)
    x.requires_grad_()
    w.requires_grad_()
    fast = ag.compile(f) if mode == "compile" else f
    if settings.check:
        wide = [array(t).astype(np.float64) for t in (x, w, g)]
        want = (references.conv3x3(*wide[:2]), *references.conv3x3_gradients(*wide))
        for _ in range(2):
            for name, got, ref in zip(("y", "dx", "dw"), fast(x, w, g), want, strict=True):
                agree(name, array(got), ref, 5e-5)  # dw sums 100,000 products
    return lambda: fast(x, w, g)


# --- overheads


def chain10(x):
    for _ in range(5):
        x = ag.tanh(x * 1.1)
    return x


def chain10_slope(x):
    """d chain10 / dx in float64."""
    slope = 1.0
    for _ in range(5):
        x = np.tanh(x * 1.1)
        slope *= 1.1 * (1 - x * x)
    return slope


@workload("overhead_add", "overhead_add_grad")
def _(mode, wid):
    if mode != "eager":
        raise Skip("an eager figure")
    a, b = rand(4), rand(4)
    if wid == "overhead_add_grad":
        a.requires_grad_()
    if settings.check:
        agree("sum", array(a + b), array(a) + array(b), 1e-7)

    def step():
        a + b

    return step


@workload("overhead_chain10")
def _(mode):
    if mode != "eager":
        raise Skip("an eager figure")
    x = ag.tensor(0.5, requires_grad=True)
    if settings.check:
        agree("slope", array(ag.autograd.grad(chain10(x), x)[0]), chain10_slope(0.5), 1e-5)
    return lambda: ag.autograd.grad(chain10(x), x)


@workload("overhead_jit_call")
def _(mode):
    if mode != "compile":
        raise Skip("a figure for compiled code")
    f = ag.compile(lambda a, b: a + b)
    a, b = rand(4), rand(4)
    if settings.check:
        for _ in range(2):
            agree("sum", array(f(a, b)), array(a) + array(b), 1e-7)
    return lambda: f(a, b)


@workload("overhead_chain10_jit")
def _(mode):
    if mode != "compile":
        raise Skip("a figure for compiled code")
    f = ag.compile(lambda x: ag.autograd.grad(chain10(x), x)[0])
    x = ag.tensor(0.5, requires_grad=True)
    if settings.check:
        for _ in range(2):
            agree("slope", array(f(x)), chain10_slope(0.5), 1e-5)
    return lambda: f(x)


def commit():
    """The commit that the imported package lies at, with + where files differ from it."""
    git = ["git", "-C", str(Path(ag.__file__).parent), "describe", "--always", "--dirty=+"]
    try:
        said = subprocess.run([*git, "--exclude=*"], capture_output=True, text=True)
    except OSError:
        return "unknown"
    return said.stdout.strip() or "unknown"


def versions():
    return {"argand": ag.__version__, "commit": commit(), "numpy": np.__version__}


if __name__ == "__main__":
    main("argand", ["compile", "eager"], versions)
