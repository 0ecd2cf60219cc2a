"""JAX: every step is one jax.jit'ed function; training steps donate parameters and
optimizer state.  Images are NHWC, the layout XLA's CPU backend takes.  Modes:
  jit     weights are arguments of the compiled function
  closed  (inference only) the function closes over its weights: constants, which XLA may lay
          out and fold as it likes; the results are compared with those of mode jit"""

import itertools
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import LR, SEED, Skip, main, settings, workload
from jax import lax

if hasattr(jax.config, "jax_use_simplified_jaxpr_constants"):
    # Some versions of JAX pass what a function closes over as hidden arguments; this keeps
    # them constants of the program.
    jax.config.update("jax_use_simplified_jaxpr_constants", False)

rng = np.random.default_rng(SEED)


def rand(*shape, scale=1.0):
    return jnp.asarray(rng.standard_normal(shape, dtype=np.float32) * np.float32(scale))


def ints(high, *shape):
    return jnp.asarray(rng.integers(0, high, shape, dtype=np.int32))


def train(mode, loss, params, opt, *data, state=None):
    """loss(params, [state,] *data) -> loss [, new state]; all in one compiled step."""
    inference_only(mode)
    opt_state = opt.init(params)

    @partial(jax.jit, donate_argnums=(0, 1, 2))
    def update(params, opt_state, state, *data):
        if state is None:
            value, g = jax.value_and_grad(loss)(params, *data)
            new = None
        else:
            (value, new), g = jax.value_and_grad(loss, has_aux=True)(params, state, *data)
        u, opt_state = opt.update(g, opt_state, params)
        return optax.apply_updates(params, u), opt_state, new, value

    now = [params, opt_state, state]

    def step():
        now[0], now[1], now[2], value = update(*now, *data)
        return value.block_until_ready()

    return step


def inference_only(mode):
    if mode == "closed":
        raise Skip("weights are closed over for inference")


def infer(mode, f, weights, *data):
    """f(*weights, *data); in mode closed the weights are constants of the compiled function."""
    given = jax.jit(f)
    if mode != "closed":
        return lambda: jax.block_until_ready(given(*weights, *data))
    if not weights:
        raise Skip("no weights to close over")
    settings.frozen = True
    closed = jax.jit(lambda *data: f(*weights, *data))
    if settings.check:
        same(closed(*data), given(*weights, *data))
    return lambda: jax.block_until_ready(closed(*data))


def same(got, want):
    """Raises ValueError unless both ways of giving the weights lead to the same results."""
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        error, size = float(jnp.abs(a - b).max()), float(jnp.abs(b).max())
        if not error <= 1e-4 * size:
            raise ValueError(f"weights closed over change the result by {error / size:.2g}")


def xent(logits, y):
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()


def dense(i, o, bias=True):
    p = {"w": rand(i, o, scale=1 / math.sqrt(i))}
    if bias:
        p["b"] = jnp.zeros(o)
    return p


def lin(p, x):
    y = x @ p["w"]
    return y + p["b"] if "b" in p else y


def mlp_params(sizes):
    return [dense(a, b) for a, b in itertools.pairwise(sizes)]


def mlp(ps, x):
    for p in ps[:-1]:
        x = jax.nn.relu(lin(p, x))
    return lin(ps[-1], x)


@workload("mlp_train")
def _(mode):
    return train(
        mode,
        lambda p, x, y: xent(mlp(p, x), y),
        mlp_params((784, 512, 512, 10)),
        optax.adam(LR),
        rand(128, 784),
        ints(10, 128),
    )


@workload("mlp_infer", "mlp_infer_b1")
def _(mode, wid):
    x = rand(1 if wid.endswith("b1") else 128, 784)
    return infer(mode, mlp, [mlp_params((784, 512, 512, 10))], x)


# --- convolutions, NHWC / HWIO


def convw(k, i, o, groups=1):
    return rand(k, k, i // groups, o, scale=1 / math.sqrt(k * k * i // groups))


def conv(x, w, stride=1, pad=0, groups=1):
    return lax.conv_general_dilated(
        x,
        w,
        (stride, stride),
        ((pad, pad), (pad, pad)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def maxpool(x, k, s, pad=0):
    return lax.reduce_window(
        x, -jnp.inf, lax.max, (1, k, k, 1), (1, s, s, 1), ((0, 0), (pad, pad), (pad, pad), (0, 0))
    )


def mnist_params():
    return {
        "c1": convw(3, 1, 32),
        "b1": jnp.zeros(32),
        "c2": convw(3, 32, 64),
        "b2": jnp.zeros(64),
        "f1": dense(9216, 128),
        "f2": dense(128, 10),
    }


def mnist(p, x):
    x = jax.nn.relu(conv(x, p["c1"]) + p["b1"])
    x = jax.nn.relu(conv(x, p["c2"]) + p["b2"])
    x = maxpool(x, 2, 2).reshape(x.shape[0], -1)
    return jax.nn.log_softmax(lin(p["f2"], jax.nn.relu(lin(p["f1"], x))))


@workload("mnist_train")
def _(mode):
    def loss(p, x, y):
        return -jnp.take_along_axis(mnist(p, x), y[:, None], 1).mean()

    return train(mode, loss, mnist_params(), optax.adam(LR), rand(64, 28, 28, 1), ints(10, 64))


@workload("mnist_infer")
def _(mode):
    return infer(mode, mnist, [mnist_params()], rand(64, 28, 28, 1))


class Net:
    """Collects parameters and batch-norm states while a network is built, replays them later."""

    def __init__(self):
        self.p, self.s, self.building = {}, {}, True

    def conv(self, x, name, o, k, stride=1, pad=0, groups=1):
        if self.building:
            self.p[name] = convw(k, x.shape[-1], o, groups)
        return conv(x, self.p[name], stride, pad, groups)

    def bn(self, x, name):
        c = x.shape[-1]
        if self.building:
            self.p[name] = (jnp.ones(c), jnp.zeros(c))
            self.s[name] = (jnp.zeros(c), jnp.ones(c))
        w, b = self.p[name]
        rm, rv = self.s[name]
        if self.training:
            m = x.mean((0, 1, 2))
            v = jnp.square(x).mean((0, 1, 2)) - jnp.square(m)
            n = x.size // c
            self.new[name] = (0.9 * rm + 0.1 * m, 0.9 * rv + 0.1 * v * (n / (n - 1)))
        else:
            m, v = rm, rv
        return (x - m) * (lax.rsqrt(v + 1e-5) * w) + b

    def fc(self, x, name, o):
        if self.building:
            self.p[name] = dense(x.shape[-1], o)
        return lin(self.p[name], x)

    def run(self, f, p, s, x, training):
        self.p, self.s, self.new, self.training = p, s, {}, training
        y = f(self, x)
        return y, self.new


def init(f, x):
    net = Net()
    net.training = False
    f(net, x)
    net.building = False
    return net, net.p, net.s


def resnet18(n, x):
    relu = jax.nn.relu
    x = relu(n.bn(n.conv(x, "stem", 64, 3, 1, 1), "bn"))
    cin = 64
    for i, (c, s) in enumerate(
        ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1))
    ):
        k = f"b{i}"
        y = relu(n.bn(n.conv(x, k + "c1", c, 3, s, 1), k + "n1"))
        y = n.bn(n.conv(y, k + "c2", c, 3, 1, 1), k + "n2")
        if s != 1 or cin != c:
            x = n.bn(n.conv(x, k + "s", c, 1, s), k + "sn")
        x, cin = relu(x + y), c
    return n.fc(x.mean((1, 2)), "fc", 10)


def resnet50(n, x):
    relu = jax.nn.relu
    x = maxpool(relu(n.bn(n.conv(x, "stem", 64, 7, 2, 3), "bn")), 3, 2, 1)
    cin = 64
    for c, reps, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for i in range(reps):
            k, s = f"s{c}_{i}", stride if i == 0 else 1
            y = relu(n.bn(n.conv(x, k + "c1", c, 1), k + "n1"))
            y = relu(n.bn(n.conv(y, k + "c2", c, 3, s, 1), k + "n2"))
            y = n.bn(n.conv(y, k + "c3", 4 * c, 1), k + "n3")
            if s != 1 or cin != 4 * c:
                x = n.bn(n.conv(x, k + "s", 4 * c, 1, s), k + "sn")
            x, cin = relu(x + y), 4 * c
    return n.fc(x.mean((1, 2)), "fc", 1000)


MOBILENET_BLOCKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenetv2(n, x):
    relu6 = jax.nn.relu6
    x = relu6(n.bn(n.conv(x, "stem", 32, 3, 2, 1), "bn"))
    for t, c, reps, stride in MOBILENET_BLOCKS:
        for i in range(reps):
            k, s, cin = f"m{c}_{i}", stride if i == 0 else 1, x.shape[-1]
            y, h = x, cin * t
            if t != 1:
                y = relu6(n.bn(n.conv(y, k + "e", h, 1), k + "en"))
            y = relu6(n.bn(n.conv(y, k + "d", h, 3, s, 1, groups=h), k + "dn"))
            y = n.bn(n.conv(y, k + "p", c, 1), k + "pn")
            x = x + y if s == 1 and cin == c else y
    x = relu6(n.bn(n.conv(x, "head", 1280, 1), "hn"))
    return n.fc(x.mean((1, 2)), "fc", 1000)


@workload("resnet18_train")
def _(mode):
    x = rand(32, 32, 32, 3)
    net, p, s = init(resnet18, x)

    def loss(p, s, x, y):
        logits, new = net.run(resnet18, p, s, x, True)
        return xent(logits, y), new

    return train(mode, loss, p, optax.sgd(LR, momentum=0.9), x, ints(10, 32), state=s)


@workload("resnet18_infer", "resnet50_infer_b1", "mobilenetv2_infer_b1")
def _(mode, wid):
    f = {
        "resnet18_infer": resnet18,
        "resnet50_infer_b1": resnet50,
        "mobilenetv2_infer_b1": mobilenetv2,
    }[wid]
    x = rand(32, 32, 32, 3) if f is resnet18 else rand(1, 224, 224, 3)
    net, p, s = init(f, x)
    return infer(mode, lambda p, s, x: net.run(f, p, s, x, False)[0], [p, s], x)


# --- transformers


def layernorm(x, w, b=None, eps=1e-5):
    m = x.mean(-1, keepdims=True)
    v = jnp.square(x - m).mean(-1, keepdims=True)
    y = (x - m) * lax.rsqrt(v + eps) * w
    return y if b is None else y + b


def gpt_params(layers, d, block, vocab, bias):
    def norm():
        return {"w": jnp.ones(d), "b": jnp.zeros(d)} if bias else {"w": jnp.ones(d)}

    return {
        "wte": rand(vocab, d, scale=0.02),
        "wpe": rand(block, d, scale=0.02),
        "lnf": norm(),
        "blocks": [
            {
                "ln1": norm(),
                "ln2": norm(),
                "qkv": dense(d, 3 * d, bias),
                "proj": dense(d, d, bias),
                "up": dense(d, 4 * d, bias),
                "down": dense(4 * d, d, bias),
            }
            for _ in range(layers)
        ],
    }


def norm(p, x):
    return layernorm(x, p["w"], p.get("b"))


def qkv(p, x, heads):
    b, t, d = x.shape
    return [
        z.reshape(b, t, heads, d // heads)
        for z in jnp.split(lin(p["qkv"], norm(p["ln1"], x)), 3, -1)
    ]


def rest(p, x, y, approximate):
    x = x + lin(p["proj"], y.reshape(x.shape))
    return x + lin(p["down"], jax.nn.gelu(lin(p["up"], norm(p["ln2"], x)), approximate=approximate))


def gpt_block(p, x, heads, approximate):
    q, k, v = qkv(p, x, heads)
    return rest(p, x, jax.nn.dot_product_attention(q, k, v, is_causal=True), approximate), k, v


def gpt(p, idx, heads=6, approximate=False):
    x = p["wte"][idx] + p["wpe"][: idx.shape[1]]
    for b in p["blocks"]:
        x = gpt_block(b, x, heads, approximate)[0]
    return norm(p["lnf"], x) @ p["wte"].T


@workload("gpt_train")
def _(mode):
    opt = optax.adamw(LR, b1=0.9, b2=0.99, weight_decay=0.1)
    return train(
        mode,
        lambda p, x, y: xent(gpt(p, x), y),
        gpt_params(6, 384, 256, 65, False),
        opt,
        ints(65, 8, 256),
        ints(65, 8, 256),
    )


@workload("gpt_infer")
def _(mode):
    return infer(mode, gpt, [gpt_params(6, 384, 256, 65, False)], ints(65, 8, 256))


@workload("gpt2_prefill")
def _(mode):
    def f(p, idx):
        x = p["wte"][idx] + p["wpe"][: idx.shape[1]]
        ks, vs = [], []
        for b in p["blocks"]:
            x, k, v = gpt_block(b, x, 12, True)
            ks.append(k)
            vs.append(v)
        return norm(p["lnf"], x[:, -1:]) @ p["wte"].T, ks, vs

    return infer(mode, f, [gpt_params(12, 768, 1024, 50257, True)], ints(50257, 1, 128))


@workload("gpt2_decode")
def _(mode):
    p = gpt_params(12, 768, 1024, 50257, True)

    def f(p, idx, cache):
        x = p["wte"][idx] + p["wpe"][127:128]
        new = []
        for b, (kc, vc) in zip(p["blocks"], cache, strict=False):
            q, k, v = qkv(b, x, 12)
            kc = lax.dynamic_update_slice(kc, k, (0, 127, 0, 0))
            vc = lax.dynamic_update_slice(vc, v, (0, 127, 0, 0))
            x = rest(b, x, jax.nn.dot_product_attention(q, kc, vc), True)
            new.append((kc, vc))
        return norm(p["lnf"], x) @ p["wte"].T, new

    now = [[(rand(1, 128, 12, 64), rand(1, 128, 12, 64)) for _ in range(12)]]
    idx = ints(50257, 1, 1)
    settings.frozen = mode == "closed"
    if settings.frozen:
        run = jax.jit(partial(f, p), donate_argnums=(1,))
        if settings.check:
            # `run` takes its cache over, so it gets a copy.
            same(run(idx, jax.tree.map(jnp.copy, now[0])), jax.jit(f)(p, idx, now[0]))
    else:
        run = partial(jax.jit(f, donate_argnums=(2,)), p)

    def step():
        logits, now[0] = run(idx, now[0])
        logits.block_until_ready()

    return step


@workload("minilm_infer")
def _(mode):
    d, ff, heads = 384, 1536, 12
    p = {
        "word": rand(30522, d, scale=0.02),
        "pos": rand(512, d, scale=0.02),
        "typ": rand(2, d, scale=0.02),
        "ln": {"w": jnp.ones(d), "b": jnp.zeros(d)},
        "layers": [
            {
                "q": dense(d, d),
                "k": dense(d, d),
                "v": dense(d, d),
                "o": dense(d, d),
                "up": dense(d, ff),
                "down": dense(ff, d),
                "ln1": {"w": jnp.ones(d), "b": jnp.zeros(d)},
                "ln2": {"w": jnp.ones(d), "b": jnp.zeros(d)},
            }
            for _ in range(6)
        ],
    }

    def f(p, idx):
        def ln(q, x):
            return layernorm(x, q["w"], q["b"], 1e-12)

        b, t = idx.shape
        x = ln(p["ln"], p["word"][idx] + p["pos"][:t] + p["typ"][0])
        for layer in p["layers"]:
            q, k, v = (lin(layer[n], x).reshape(b, t, heads, d // heads) for n in "qkv")
            x = ln(
                layer["ln1"],
                x + lin(layer["o"], jax.nn.dot_product_attention(q, k, v).reshape(b, t, d)),
            )
            x = ln(
                layer["ln2"],
                x + lin(layer["down"], jax.nn.gelu(lin(layer["up"], x), approximate=False)),
            )
        return x

    return infer(mode, f, [p], ints(30522, 8, 128))


@workload("lstm_train")
def _(mode):
    hid = 256
    p = {
        "emb": rand(10000, 200, scale=0.1),
        "dec": dense(hid, 10000),
        "l": [{"x": dense(i, 4 * hid), "h": dense(hid, 4 * hid)} for i in (200, hid)],
    }

    def loss(p, idx, y, h0, c0):
        x = p["emb"][idx]
        for n, layer in enumerate(p["l"]):
            gx = lin(layer["x"], x)  # the input products of all steps at once

            def cell(hc, g, layer=layer):
                h, c = hc
                i, f, o, u = jnp.split(g + lin(layer["h"], h), 4, -1)
                c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(u)
                h = jax.nn.sigmoid(o) * jnp.tanh(c)
                return (h, c), h

            _, x = lax.scan(cell, (h0[n], c0[n]), gx)
        return xent(lin(p["dec"], x).reshape(-1, 10000), y)

    return train(
        mode,
        loss,
        p,
        optax.adam(LR),
        ints(10000, 35, 20),
        ints(10000, 700),
        jnp.zeros((2, 20, hid)),
        jnp.zeros((2, 20, hid)),
    )


@workload("vae_train")
def _(mode):
    p = {
        "1": dense(784, 400),
        "mu": dense(400, 20),
        "lv": dense(400, 20),
        "3": dense(20, 400),
        "4": dense(400, 784),
    }

    def loss(p, key, x):
        key, k = jax.random.split(key)
        h = jax.nn.relu(lin(p["1"], x))
        mu, lv = lin(p["mu"], h), lin(p["lv"], h)
        z = mu + jax.random.normal(k, mu.shape) * jnp.exp(0.5 * lv)
        rec = jax.nn.sigmoid(lin(p["4"], jax.nn.relu(lin(p["3"], z))))

        def log(v):
            return jnp.maximum(jnp.log(v), -100.0)  # as binary_cross_entropy clamps

        bce = -(x * log(rec) + (1 - x) * log(1 - rec)).sum()
        return bce - 0.5 * (1 + lv - mu * mu - jnp.exp(lv)).sum(), key

    return train(
        mode,
        loss,
        p,
        optax.adam(LR),
        jnp.asarray(rng.random((128, 784), dtype=np.float32)),
        state=jax.random.key(SEED),
    )


@workload("gcn_train")
def _(mode):
    n = 2708
    src = np.concatenate((rng.integers(0, n, 10556), np.arange(n))).astype(np.int32)
    dst = np.concatenate((rng.integers(0, n, 10556), np.arange(n))).astype(np.int32)
    deg = np.bincount(dst, minlength=n).astype(np.float32)
    nrm = (1 / np.sqrt(deg[src] * deg[dst]))[:, None].astype(np.float32)
    p = {
        "w1": rand(1433, 16, scale=0.03),
        "b1": jnp.zeros(16),
        "w2": rand(16, 7, scale=0.25),
        "b2": jnp.zeros(7),
    }

    def loss(p, x, src, dst, nrm, y):
        def agg(h):
            return jnp.zeros_like(h).at[dst].add(h[src] * nrm)

        h = jax.nn.relu(agg(x @ p["w1"]) + p["b1"])
        return xent((agg(h @ p["w2"]) + p["b2"])[:140], y)

    return train(
        mode,
        loss,
        p,
        optax.adam(LR),
        rand(n, 1433),
        jnp.asarray(src),
        jnp.asarray(dst),
        jnp.asarray(nrm),
        ints(7, 140),
    )


@workload("dqn_train")
def _(mode):
    sizes = (4, 128, 128, 2)
    target = mlp_params(sizes)

    def loss(p, target, s, a, r, s2):
        q = jnp.take_along_axis(mlp(p, s), a, 1)[:, 0]
        t = lax.stop_gradient(r + 0.99 * mlp(target, s2).max(1))
        return optax.huber_loss(q, t).mean()

    return train(
        mode,
        loss,
        mlp_params(sizes),
        optax.adam(LR),
        target,
        rand(128, 4),
        ints(2, 128, 1),
        rand(128),
        rand(128, 4),
    )


@workload("dqn_infer_b1")
def _(mode):
    return infer(mode, mlp, [mlp_params((4, 128, 128, 2))], rand(1, 4))


# --- single operations

C0 = math.sqrt(2 / math.pi)
C1 = C0 * 0.044715
MICRO = {
    "gelu_chain": (lambda x: (jnp.tanh((x * x * C1 + C0) * x) + 1.0) * x * 0.5, [(4096, 1024)]),
    "softmax": (lambda x: jax.nn.softmax(x, -1), [(4096, 1024)]),
    "layernorm": (layernorm, [(4096, 1024), (1024,), (1024,)]),
    "sum0": (lambda x: x.sum(0), [(4096, 1024)]),
    "sum1": (lambda x: x.sum(1), [(4096, 1024)]),
    "bmm": (jnp.matmul, [(96, 128, 64), (96, 64, 128)]),
    "conv3x3": (lambda x, w: conv(x, w, 1, 1), [(32, 56, 56, 64), (3, 3, 64, 64)]),
    "dwconv3x3": (lambda x, w: conv(x, w, 1, 1, 128), [(32, 28, 28, 128), (3, 3, 1, 128)]),
    "attention": (
        lambda q, k, v: jax.nn.dot_product_attention(q, k, v, is_causal=True),
        [(8, 256, 6, 64)] * 3,
    ),
    "transpose": (lambda x: x.T, [(4096, 4096)]),
}
for _n in (256, 512, 1024, 2048):
    MICRO[f"matmul{_n}"] = (jnp.matmul, [(_n, _n), (_n, _n)])


@workload(*["micro_" + k for k in MICRO])
def _(mode, wid):
    f, shapes = MICRO[wid[6:]]
    return infer(mode, f, [], *[rand(*s) for s in shapes])


@workload("micro_conv3x3_bwd")
def _(mode):
    def f(x, w, g):
        y, vjp = jax.vjp(lambda x, w: conv(x, w, 1, 1), x, w)
        return y, vjp(g)  # y too: XLA would drop the unused forward

    return infer(mode, f, [], rand(32, 56, 56, 64), rand(3, 3, 64, 64), rand(32, 56, 56, 64))


@workload("micro_embedding")
def _(mode):
    def f(w, i, g):
        y, vjp = jax.vjp(lambda w: w[i], w)
        return y, vjp(g)

    return infer(mode, f, [], rand(10000, 256), ints(10000, 4096), rand(4096, 256))


def chain10(x):
    for _ in range(5):
        x = jnp.tanh(x * 1.1)
    return x


@workload(
    "overhead_add",
    "overhead_add_grad",
    "overhead_chain10",
    "overhead_jit_call",
    "overhead_chain10_jit",
)
def _(mode, wid):
    inference_only(mode)
    a, b, x = rand(4), rand(4), jnp.float32(0.5)
    if wid == "overhead_add":
        return lambda: (a + b).block_until_ready()
    if wid == "overhead_add_grad":
        return lambda: jax.vjp(lambda a, b: a + b, a, b)[0].block_until_ready()
    if wid == "overhead_chain10":
        return lambda: jax.grad(chain10)(x).block_until_ready()
    if wid == "overhead_jit_call":
        f = jax.jit(lambda a, b: a + b)
        return lambda: f(a, b).block_until_ready()
    g = jax.jit(jax.grad(chain10))
    return lambda: g(x).block_until_ready()


if __name__ == "__main__":
    main("jax", ["jit", "closed"], lambda: {"jax": jax.__version__, "optax": optax.__version__})
