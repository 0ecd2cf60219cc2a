"""PyTorch.  Modes:
eager    as written, default optimizers
tuned    eager with fused optimizers, and channels_last for the CNNs
compile  torch.compile, default mode (inductor): forward+loss+backward, and the optimizer step
freeze   (inference only) torch.compile with inductor's freezing: folds batch norm, packs weights
"""

import torch
import torch.nn.functional as F
import torch_models as M
from common import LR, SEED, Skip, main, settings, workload


def rand(*shape):
    return torch.randn(*shape)


def ints(high, *shape):
    return torch.randint(0, high, shape)


def compiled(mode):
    return mode in ("compile", "freeze")


def prepare(mode):
    torch.manual_seed(SEED)
    if mode == "freeze":
        import torch._inductor.config as c

        c.freezing = True
    if compiled(mode):
        torch._dynamo.reset()


def image(mode, model, x):
    """channels_last where the mode is the tuned one."""
    if mode == "tuned":
        return model.to(memory_format=torch.channels_last), x.contiguous(
            memory_format=torch.channels_last
        )
    return model, x


def adam(mode, params):
    return torch.optim.Adam(params, lr=LR, fused=True if mode == "tuned" else None)


def train(mode, loss_fn, opt, *data):
    if mode == "freeze":
        raise Skip("freezing is for inference")
    opt_step = opt.step
    if compiled(mode):
        loss_fn = torch.compile(loss_fn)
        opt_step = torch.compile(opt.step)

    def step():
        opt.zero_grad(set_to_none=True)
        loss = loss_fn(*data)
        loss.backward()
        opt_step()
        return loss

    return step


def infer(mode, f, *data):
    if isinstance(f, torch.nn.Module):
        f.eval()
    if compiled(mode):
        f = torch.compile(f)
    if mode == "freeze":
        settings.frozen = True

        def step():
            with torch.no_grad():
                return f(*data)
    else:

        def step():
            with torch.inference_mode():
                return f(*data)

    return step


@workload("mlp_train")
def _(mode):
    prepare(mode)
    m, x, y = M.MLP(), rand(128, 784), ints(10, 128)
    return train(mode, lambda x, y: F.cross_entropy(m(x), y), adam(mode, m.parameters()), x, y)


@workload("mlp_infer", "mlp_infer_b1")
def _(mode, wid):
    prepare(mode)
    return infer(mode, M.MLP(), rand(1 if wid.endswith("b1") else 128, 784))


@workload("mnist_train")
def _(mode):
    prepare(mode)
    m, x = image(mode, M.MnistCNN(), rand(64, 1, 28, 28))
    return train(
        mode, lambda x, y: F.nll_loss(m(x), y), adam(mode, m.parameters()), x, ints(10, 64)
    )


@workload("mnist_infer")
def _(mode):
    prepare(mode)
    m, x = image(mode, M.MnistCNN(), rand(64, 1, 28, 28))
    return infer(mode, m, x)


@workload("resnet18_train")
def _(mode):
    prepare(mode)
    m, x = image(mode, M.ResNet18Cifar(), rand(32, 3, 32, 32))
    opt = torch.optim.SGD(
        m.parameters(), lr=LR, momentum=0.9, fused=True if mode == "tuned" else None
    )
    return train(mode, lambda x, y: F.cross_entropy(m(x), y), opt, x, ints(10, 32))


@workload("resnet18_infer")
def _(mode):
    prepare(mode)
    m, x = image(mode, M.ResNet18Cifar(), rand(32, 3, 32, 32))
    return infer(mode, m, x)


@workload("resnet50_infer_b1", "mobilenetv2_infer_b1")
def _(mode, wid):
    prepare(mode)
    m, x = image(mode, M.ResNet50() if "resnet" in wid else M.MobileNetV2(), rand(1, 3, 224, 224))
    return infer(mode, m, x)


@workload("gpt_train")
def _(mode):
    prepare(mode)
    m = M.baby_gpt()
    opt = torch.optim.AdamW(
        m.parameters(),
        lr=LR,
        betas=(0.9, 0.99),
        weight_decay=0.1,
        fused=True if mode == "tuned" else None,
    )

    def loss(x, y):
        return F.cross_entropy(m(x).view(-1, 65), y.view(-1))

    return train(mode, loss, opt, ints(65, 8, 256), ints(65, 8, 256))


@workload("gpt_infer")
def _(mode):
    prepare(mode)
    return infer(mode, M.baby_gpt(), ints(65, 8, 256))


@workload("gpt2_prefill")
def _(mode):
    prepare(mode)
    return infer(mode, M.Prefill(M.gpt2()), ints(50257, 1, 128))


@workload("gpt2_decode")
def _(mode):
    prepare(mode)
    return infer(
        mode,
        M.Decode(M.gpt2()),
        ints(50257, 1, 1),
        rand(12, 1, 12, 128, 64),
        rand(12, 1, 12, 128, 64),
    )


@workload("minilm_infer")
def _(mode):
    prepare(mode)
    return infer(mode, M.MiniLM(), ints(30522, 8, 128))


@workload("lstm_train")
def _(mode):
    prepare(mode)
    m = M.LSTMLM()
    h, c = torch.zeros(2, 20, 256), torch.zeros(2, 20, 256)

    def loss(x, y, h, c):
        return F.cross_entropy(m(x, h, c).view(-1, 10000), y)

    return train(
        mode, loss, adam(mode, m.parameters()), ints(10000, 35, 20), ints(10000, 700), h, c
    )


@workload("vae_train")
def _(mode):
    prepare(mode)
    m = M.VAE()

    def loss(x):
        rec, mu, logvar = m(x)
        return M.vae_loss(rec, x, mu, logvar)

    return train(mode, loss, adam(mode, m.parameters()), torch.rand(128, 784))


@workload("gcn_train")
def _(mode):
    prepare(mode)
    m = M.GCN()
    x = rand(2708, 1433)
    loops = torch.arange(2708)
    src, dst = torch.cat((ints(2708, 10556), loops)), torch.cat((ints(2708, 10556), loops))
    deg = torch.bincount(dst, minlength=2708).float()
    norm = (deg[src] * deg[dst]).rsqrt().unsqueeze(1)

    def loss(x, s, d, n, y):
        return F.cross_entropy(m(x, s, d, n)[:140], y)

    return train(mode, loss, adam(mode, m.parameters()), x, src, dst, norm, ints(7, 140))


@workload("dqn_train")
def _(mode):
    prepare(mode)
    net, target = M.MLP((4, 128, 128, 2)), M.MLP((4, 128, 128, 2))

    def loss(s, a, r, s2):
        q = net(s).gather(1, a).squeeze(1)
        with torch.no_grad():
            t = r + 0.99 * target(s2).max(1).values
        return F.smooth_l1_loss(q, t)

    return train(
        mode,
        loss,
        adam(mode, net.parameters()),
        rand(128, 4),
        ints(2, 128, 1),
        rand(128),
        rand(128, 4),
    )


@workload("dqn_infer_b1")
def _(mode):
    prepare(mode)
    return infer(mode, M.MLP((4, 128, 128, 2)), rand(1, 4))


@workload(*["micro_" + k for k in M.micro_ops()])
def _(mode, wid):
    prepare(mode)
    if mode == "freeze":
        raise Skip("no weights to freeze")
    f, shapes = M.micro_ops()[wid[6:]]
    args = [rand(*s) for s in shapes]
    if mode == "tuned":
        if "conv" not in wid:
            raise Skip("same as eager")
        args = [a.contiguous(memory_format=torch.channels_last) for a in args]
    return infer(mode, f, *args)


@workload("micro_conv3x3_bwd")
def _(mode):
    prepare(mode)
    if mode == "freeze":
        raise Skip("freezing is for inference")
    x, w, g = rand(32, 64, 56, 56), rand(64, 64, 3, 3), rand(32, 64, 56, 56)
    if mode == "tuned":
        x, w, g = (t.contiguous(memory_format=torch.channels_last) for t in (x, w, g))
    x.requires_grad_()
    w.requires_grad_()

    def f(x, w):
        return F.conv2d(x, w, padding=1)

    if compiled(mode):
        f = torch.compile(f)
    return lambda: torch.autograd.grad(f(x, w), (x, w), g)


@workload("micro_embedding")
def _(mode):
    prepare(mode)
    if mode in ("freeze", "tuned"):
        raise Skip("same as eager")
    w, i, g = rand(10000, 256).requires_grad_(), ints(10000, 4096), rand(4096, 256)

    def f(i, w):
        return F.embedding(i, w)

    if compiled(mode):
        f = torch.compile(f)
    return lambda: torch.autograd.grad(f(i, w), w, g)


def chain10(x):
    for _ in range(5):
        x = torch.tanh(x * 1.1)
    return x


@workload("overhead_add", "overhead_add_grad", "overhead_chain10")
def _(mode, wid):
    if mode != "eager":
        raise Skip("an eager figure")
    a, b = rand(4), rand(4)
    if wid == "overhead_add":
        torch.set_grad_enabled(False)

        def step():
            a + b

        return step
    torch.set_grad_enabled(True)
    a.requires_grad_()
    if wid == "overhead_add_grad":

        def step():
            a + b

        return step
    x = torch.tensor(0.5, requires_grad=True)
    return lambda: torch.autograd.grad(chain10(x), x)


@workload("overhead_jit_call", "overhead_chain10_jit")
def _(mode, wid):
    if mode != "compile":
        raise Skip("a figure for compiled code")
    prepare(mode)
    torch.set_grad_enabled(True)
    if wid == "overhead_jit_call":
        f = torch.compile(lambda a, b: a + b)
        a, b = rand(4), rand(4)
        return lambda: f(a, b)
    f = torch.compile(chain10)
    x = torch.tensor(0.5, requires_grad=True)
    return lambda: torch.autograd.grad(f(x), x)


if __name__ == "__main__":
    main(
        "torch",
        ["eager", "tuned", "compile", "freeze"],
        lambda: {"torch": torch.__version__, "threads": torch.get_num_threads()},
    )
