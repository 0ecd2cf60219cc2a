"""tinygrad on the CPU through its LLVM renderer (needs a libLLVM of 14 to 20 on the machine),
every step a TinyJit.  No BEAM search (the default)."""

import math
import os

os.environ.setdefault("DEV", "CPU:LLVM")

import itertools

import tinygrad
from common import LR, SEED, Skip, main, workload
from tinygrad import Context, Device, Tensor, TinyJit, nn

DEV = Device[Device.DEFAULT]


def rand(*shape):
    return Tensor.randn(*shape).contiguous().realize()


def ints(high, *shape):
    return Tensor.randint(*shape, low=0, high=high).contiguous().realize()


def train(loss, opt, *data):
    @TinyJit
    def f(*data):
        opt.zero_grad()
        value = loss(*data).backward()
        return value.realize(*opt.schedule_step())

    def step():
        with Context(TRAINING=1):
            f(*data)
        DEV.synchronize()

    return warm(step)


def warm(step):
    step()  # TinyJit runs the first call as it is, captures the second
    step()
    return step


def infer(f, *data):
    g = TinyJit(lambda *a: f(*a).realize())

    def step():
        g(*data)
        DEV.synchronize()

    return warm(step)


class MLP:
    def __init__(self, *sizes):
        self.layers = [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]

    def __call__(self, x):
        for layer in self.layers[:-1]:
            x = layer(x).relu()
        return self.layers[-1](x)


def adam(net):
    return nn.optim.Adam(nn.state.get_parameters(net), lr=LR)


@workload("mlp_train")
def _(mode):
    Tensor.manual_seed(SEED)
    net = MLP(784, 512, 512, 10)
    return train(
        lambda x, y: net(x).sparse_categorical_crossentropy(y),
        adam(net),
        rand(128, 784),
        ints(10, 128),
    )


@workload("mlp_infer", "mlp_infer_b1")
def _(mode, wid):
    return infer(MLP(784, 512, 512, 10), rand(1 if wid.endswith("b1") else 128, 784))


class Mnist:
    def __init__(self):
        self.c1, self.c2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
        self.f1, self.f2 = nn.Linear(9216, 128), nn.Linear(128, 10)

    def __call__(self, x):
        x = self.c2(self.c1(x).relu()).relu().max_pool2d((2, 2)).flatten(1)
        return self.f2(self.f1(x).relu())


@workload("mnist_train")
def _(mode):
    net = Mnist()
    return train(
        lambda x, y: net(x).sparse_categorical_crossentropy(y),
        adam(net),
        rand(64, 1, 28, 28),
        ints(10, 64),
    )


@workload("mnist_infer")
def _(mode):
    return infer(Mnist(), rand(64, 1, 28, 28))


class Block:
    def __init__(self, cin, c, s):
        self.c1, self.n1 = nn.Conv2d(cin, c, 3, s, 1, bias=False), nn.BatchNorm(c)
        self.c2, self.n2 = nn.Conv2d(c, c, 3, 1, 1, bias=False), nn.BatchNorm(c)
        self.short = (
            [nn.Conv2d(cin, c, 1, s, bias=False), nn.BatchNorm(c)] if s != 1 or cin != c else []
        )

    def __call__(self, x):
        y = self.n2(self.c2(self.n1(self.c1(x)).relu()))
        return (y + x.sequential(self.short)).relu()


class ResNet18:
    def __init__(self):
        self.stem, self.bn, self.blocks, cin = (
            nn.Conv2d(3, 64, 3, 1, 1, bias=False),
            nn.BatchNorm(64),
            [],
            64,
        )
        for c, s in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
            self.blocks.append(Block(cin, c, s))
            cin = c
        self.fc = nn.Linear(512, 10)

    def __call__(self, x):
        return self.fc(self.bn(self.stem(x)).relu().sequential(self.blocks).mean((2, 3)))


@workload("resnet18_train")
def _(mode):
    if not os.environ.get("TINYGRAD_SLOW"):
        raise Skip("left out: takes minutes (set TINYGRAD_SLOW=1)")
    net = ResNet18()
    opt = nn.optim.SGD(nn.state.get_parameters(net), lr=LR, momentum=0.9)
    return train(
        lambda x, y: net(x).sparse_categorical_crossentropy(y),
        opt,
        rand(32, 3, 32, 32),
        ints(10, 32),
    )


@workload("resnet18_infer")
def _(mode):
    return infer(ResNet18(), rand(32, 3, 32, 32))


class GPTBlock:
    def __init__(self, d, heads):
        self.ln1, self.ln2, self.heads = nn.LayerNorm(d), nn.LayerNorm(d), heads
        self.qkv, self.proj = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.up, self.down = nn.Linear(d, 4 * d, bias=False), nn.Linear(4 * d, d, bias=False)

    def __call__(self, x):
        b, t, d = x.shape
        q, k, v = (
            z.reshape(b, t, self.heads, d // self.heads).transpose(1, 2)
            for z in self.qkv(self.ln1(x)).chunk(3, -1)
        )
        x = x + self.proj(
            q.scaled_dot_product_attention(k, v, is_causal=True).transpose(1, 2).reshape(b, t, d)
        )
        return x + self.down(self.up(self.ln2(x)).gelu())


class GPT:
    def __init__(self):
        self.wte, self.wpe = nn.Embedding(65, 384), nn.Embedding(256, 384)
        self.blocks, self.lnf = [GPTBlock(384, 6) for _ in range(6)], nn.LayerNorm(384)

    def __call__(self, idx):
        x = self.wte(idx) + self.wpe.weight[: idx.shape[1]]
        return self.lnf(x.sequential(self.blocks)) @ self.wte.weight.T


@workload("gpt_train")
def _(mode):
    if not os.environ.get("TINYGRAD_SLOW"):
        raise Skip("left out: not through its first steps after 200 s (set TINYGRAD_SLOW=1)")
    net = GPT()
    opt = nn.optim.AdamW(nn.state.get_parameters(net), lr=LR, b1=0.9, b2=0.99, weight_decay=0.1)
    return train(
        lambda x, y: net(x).sparse_categorical_crossentropy(y),
        opt,
        ints(65, 8, 256),
        ints(65, 8, 256),
    )


@workload("gpt_infer")
def _(mode):
    return infer(GPT(), ints(65, 8, 256))


@workload("dqn_train")
def _(mode):
    net, target = MLP(4, 128, 128, 2), MLP(4, 128, 128, 2)

    def loss(s, a, r, s2):
        q = net(s).gather(1, a).squeeze(1)
        e = (q - (r + 0.99 * target(s2).max(1)).detach()).abs()
        return (e < 1).where(0.5 * e * e, e - 0.5).mean()

    return train(loss, adam(net), rand(128, 4), ints(2, 128, 1), rand(128), rand(128, 4))


@workload("dqn_infer_b1")
def _(mode):
    return infer(MLP(4, 128, 128, 2), rand(1, 4))


C0 = math.sqrt(2 / math.pi)
C1 = C0 * 0.044715
MICRO = {
    "gelu_chain": (lambda x: (((x * x * C1 + C0) * x).tanh() + 1.0) * x * 0.5, [(4096, 1024)]),
    "softmax": (lambda x: x.softmax(), [(4096, 1024)]),
    "layernorm": (lambda x, w, b: x.layernorm() * w + b, [(4096, 1024), (1024,), (1024,)]),
    "sum0": (lambda x: x.sum(0), [(4096, 1024)]),
    "sum1": (lambda x: x.sum(1), [(4096, 1024)]),
    "bmm": (lambda a, b: a @ b, [(96, 128, 64), (96, 64, 128)]),
    "conv3x3": (lambda x, w: x.conv2d(w, padding=1), [(32, 64, 56, 56), (64, 64, 3, 3)]),
    "dwconv3x3": (
        lambda x, w: x.conv2d(w, padding=1, groups=128),
        [(32, 128, 28, 28), (128, 1, 3, 3)],
    ),
    "attention": (
        lambda q, k, v: q.scaled_dot_product_attention(k, v, is_causal=True),
        [(8, 6, 256, 64)] * 3,
    ),
    "transpose": (lambda x: x.T.contiguous(), [(4096, 4096)]),
}
for _n in (256, 512, 1024, 2048):
    MICRO[f"matmul{_n}"] = (lambda a, b: a @ b, [(_n, _n), (_n, _n)])


@workload(*["micro_" + k for k in MICRO])
def _(mode, wid):
    f, shapes = MICRO[wid[6:]]
    return infer(f, *[rand(*s) for s in shapes])


@workload("overhead_add", "overhead_jit_call")
def _(mode, wid):
    a, b = rand(4), rand(4)
    if wid == "overhead_jit_call":
        return infer(lambda a, b: a + b, a, b)

    def step():
        (a + b).realize()
        DEV.synchronize()

    return step


if __name__ == "__main__":
    main(
        "tinygrad",
        ["llvm"],
        lambda: {"tinygrad": getattr(tinygrad, "__version__", "0.14.0"), "dev": os.environ["DEV"]},
    )
