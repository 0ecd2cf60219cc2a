"""TensorFlow.  Modes:
  graph  one tf.function per step
  xla    the same with jit_compile=True
Networks are written with tf.* operations on variables (what Keras layers call, without
their Python); the optimizers use TensorFlow's own fused update operations."""

import math
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import tensorflow as tf
from common import LR, SEED, Skip, main, workload

rng = np.random.default_rng(SEED)
ops = tf.raw_ops


def rand(*shape, scale=1.0):
    return tf.constant(rng.standard_normal(shape, dtype=np.float32) * np.float32(scale))


def ints(high, *shape):
    return tf.constant(rng.integers(0, high, shape, dtype=np.int32))


def function(mode, f):
    return tf.function(f, jit_compile=True if mode == "xla" else None, autograph=False)


class Params:
    """Variables by name, made on first use."""

    def __init__(self):
        self.v, self.state = {}, {}

    def get(self, name, make):
        if name not in self.v:
            with tf.init_scope():
                self.v[name] = tf.Variable(make())
        return self.v[name]

    def dense(self, x, name, o, bias=True):
        i = x.shape[-1]
        w = self.get(name + "w", lambda: rand(i, o, scale=1 / math.sqrt(i)))
        y = tf.matmul(tf.reshape(x, (-1, i)), w) if len(x.shape) > 2 else tf.matmul(x, w)
        if bias:
            y = tf.nn.bias_add(y, self.get(name + "b", lambda: tf.zeros(o)))
        return tf.reshape(y, (*x.shape[:-1], o)) if len(x.shape) > 2 else y

    def conv(self, x, name, o, k, stride=1, pad=0, depthwise=False):
        i = x.shape[-1]
        p = [[0, 0], [pad, pad], [pad, pad], [0, 0]]
        if depthwise:
            w = self.get(name, lambda: rand(k, k, i, 1, scale=1 / k))
            return tf.nn.depthwise_conv2d(x, w, (1, stride, stride, 1), p)
        w = self.get(name, lambda: rand(k, k, i, o, scale=1 / math.sqrt(k * k * i)))
        return tf.nn.conv2d(x, w, stride, p)

    def bn(self, x, name, training):
        c = x.shape[-1]
        w, b = self.get(name + "w", lambda: tf.ones(c)), self.get(name + "b", lambda: tf.zeros(c))
        if name not in self.state:
            with tf.init_scope():
                self.state[name] = (
                    tf.Variable(tf.zeros(c), trainable=False),
                    tf.Variable(tf.ones(c), trainable=False),
                )
        rm, rv = self.state[name]
        if not training:
            return tf.compat.v1.nn.fused_batch_norm(
                x, w, b, rm, rv, epsilon=1e-5, is_training=False
            )[0]
        y, m, v = tf.compat.v1.nn.fused_batch_norm(x, w, b, epsilon=1e-5, is_training=True)
        rm.assign(0.9 * rm + 0.1 * m)
        rv.assign(0.9 * rv + 0.1 * v)
        return y


def train(mode, loss, P, kind, *data):
    loss(*data)  # makes the variables
    vs = list(P.v.values())
    slots = [(tf.Variable(tf.zeros_like(v)), tf.Variable(tf.zeros_like(v))) for v in vs]
    b1, b2, wd = (0.9, 0.99, 0.1) if kind == "adamw" else (0.9, 0.999, 0.0)
    p1, p2 = tf.Variable(b1), tf.Variable(b2)

    def step(*data):
        with tf.GradientTape() as t:
            value = loss(*data)
        for v, (m, s), g in zip(vs, slots, t.gradient(value, vs), strict=False):
            if isinstance(g, tf.IndexedSlices):
                g = tf.math.unsorted_segment_sum(g.values, g.indices, v.shape[0])
            if kind == "sgd":
                ops.ResourceApplyMomentum(var=v.handle, accum=m.handle, lr=LR, grad=g, momentum=0.9)
            else:
                if wd:
                    v.assign_sub(LR * wd * v)
                ops.ResourceApplyAdam(
                    var=v.handle,
                    m=m.handle,
                    v=s.handle,
                    beta1_power=p1,
                    beta2_power=p2,
                    lr=LR,
                    beta1=b1,
                    beta2=b2,
                    epsilon=1e-8,
                    grad=g,
                )
        if kind != "sgd":
            p1.assign(p1 * b1)
            p2.assign(p2 * b2)
        return value

    f = function(mode, step)
    return lambda: f(*data).numpy()


def wait(out):
    for t in tf.nest.flatten(out):
        t.numpy() if t.shape.num_elements() < 1000 else None
    return out


def infer(mode, f, *data):
    f(*data)
    g = function(mode, f)
    return lambda: wait(g(*data))


def xent(logits, y):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits))


def mlp(P, x, sizes, name=""):
    for i, o in enumerate(sizes):
        x = P.dense(x, name + str(i), o)
        if i < len(sizes) - 1:
            x = tf.nn.relu(x)
    return x


@workload("mlp_train")
def _(mode):
    P = Params()
    return train(
        mode,
        lambda x, y: xent(mlp(P, x, (512, 512, 10)), y),
        P,
        "adam",
        rand(128, 784),
        ints(10, 128),
    )


@workload("mlp_infer", "mlp_infer_b1")
def _(mode, wid):
    P = Params()
    return infer(
        mode, lambda x: mlp(P, x, (512, 512, 10)), rand(1 if wid.endswith("b1") else 128, 784)
    )


def mnist(P, x):
    x = tf.nn.relu(tf.nn.bias_add(P.conv(x, "c1", 32, 3), P.get("b1", lambda: tf.zeros(32))))
    x = tf.nn.relu(tf.nn.bias_add(P.conv(x, "c2", 64, 3), P.get("b2", lambda: tf.zeros(64))))
    x = tf.reshape(tf.nn.max_pool2d(x, 2, 2, "VALID"), (x.shape[0], 9216))
    return tf.nn.log_softmax(P.dense(tf.nn.relu(P.dense(x, "f1", 128)), "f2", 10))


@workload("mnist_train")
def _(mode):
    P = Params()

    def loss(x, y):
        return -tf.reduce_mean(tf.gather(mnist(P, x), y, axis=1, batch_dims=1))

    return train(mode, loss, P, "adam", rand(64, 28, 28, 1), ints(10, 64))


@workload("mnist_infer")
def _(mode):
    P = Params()
    return infer(mode, lambda x: mnist(P, x), rand(64, 28, 28, 1))


def resnet18(P, x, tr):
    relu = tf.nn.relu
    x = relu(P.bn(P.conv(x, "stem", 64, 3, 1, 1), "bn", tr))
    for i, (c, s) in enumerate(
        ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1))
    ):
        k, cin = f"b{i}", x.shape[-1]
        y = relu(P.bn(P.conv(x, k + "c1", c, 3, s, 1), k + "n1", tr))
        y = P.bn(P.conv(y, k + "c2", c, 3, 1, 1), k + "n2", tr)
        if s != 1 or cin != c:
            x = P.bn(P.conv(x, k + "s", c, 1, s), k + "sn", tr)
        x = relu(x + y)
    return P.dense(tf.reduce_mean(x, (1, 2)), "fc", 10)


def resnet50(P, x, tr=False):
    relu = tf.nn.relu
    x = relu(P.bn(P.conv(x, "stem", 64, 7, 2, 3), "bn", tr))
    x = tf.nn.max_pool2d(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), 3, 2, "VALID")  # x >= 0 here
    for c, reps, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for i in range(reps):
            k, s, cin = f"s{c}_{i}", stride if i == 0 else 1, x.shape[-1]
            y = relu(P.bn(P.conv(x, k + "c1", c, 1), k + "n1", tr))
            y = relu(P.bn(P.conv(y, k + "c2", c, 3, s, 1), k + "n2", tr))
            y = P.bn(P.conv(y, k + "c3", 4 * c, 1), k + "n3", tr)
            if s != 1 or cin != 4 * c:
                x = P.bn(P.conv(x, k + "s", 4 * c, 1, s), k + "sn", tr)
            x = relu(x + y)
    return P.dense(tf.reduce_mean(x, (1, 2)), "fc", 1000)


MOBILENET_BLOCKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenetv2(P, x, tr=False):
    relu6 = tf.nn.relu6
    x = relu6(P.bn(P.conv(x, "stem", 32, 3, 2, 1), "bn", tr))
    for t, c, reps, stride in MOBILENET_BLOCKS:
        for i in range(reps):
            k, s, cin = f"m{c}_{i}", stride if i == 0 else 1, x.shape[-1]
            y, h = x, cin * t
            if t != 1:
                y = relu6(P.bn(P.conv(y, k + "e", h, 1), k + "en", tr))
            y = relu6(P.bn(P.conv(y, k + "d", h, 3, s, 1, depthwise=True), k + "dn", tr))
            y = P.bn(P.conv(y, k + "p", c, 1), k + "pn", tr)
            x = x + y if s == 1 and cin == c else y
    x = relu6(P.bn(P.conv(x, "head", 1280, 1), "hn", tr))
    return P.dense(tf.reduce_mean(x, (1, 2)), "fc", 1000)


@workload("resnet18_train")
def _(mode):
    P = Params()
    return train(
        mode,
        lambda x, y: xent(resnet18(P, x, True), y),
        P,
        "sgd",
        rand(32, 32, 32, 3),
        ints(10, 32),
    )


@workload("resnet18_infer", "resnet50_infer_b1", "mobilenetv2_infer_b1")
def _(mode, wid):
    f = {
        "resnet18_infer": resnet18,
        "resnet50_infer_b1": resnet50,
        "mobilenetv2_infer_b1": mobilenetv2,
    }[wid]
    P = Params()
    x = rand(32, 32, 32, 3) if f is resnet18 else rand(1, 224, 224, 3)
    return infer(mode, lambda x: f(P, x, False), x)


def layernorm(x, w, b=None, eps=1e-5):
    m, v = tf.nn.moments(x, -1, keepdims=True)
    y = (x - m) * (tf.math.rsqrt(v + eps) * w)
    return y if b is None else y + b


def norm(P, x, name, bias, eps=1e-5):
    d = x.shape[-1]
    w = P.get(name + "w", lambda: tf.ones(d))
    return layernorm(x, w, P.get(name + "b", lambda: tf.zeros(d)) if bias else None, eps)


def attention(q, k, v, causal):  # (b, heads, t, hd); TensorFlow has no fused one on the CPU
    s = tf.matmul(q, k, transpose_b=True) * (1 / math.sqrt(q.shape[-1]))
    if causal:
        t = q.shape[2]
        s = s + tf.constant(np.triu(np.full((t, t), -1e9, np.float32), 1))
    return tf.matmul(tf.nn.softmax(s), v)


def heads_of(z, heads):
    b, t, d = z.shape
    return tf.transpose(tf.reshape(z, (b, t, heads, d // heads)), (0, 2, 1, 3))


def merge(y):
    b, h, t, e = y.shape
    return tf.reshape(tf.transpose(y, (0, 2, 1, 3)), (b, t, h * e))


def gpt_block(P, x, n, heads, bias, approximate, cache=None):
    d = x.shape[-1]
    q, k, v = (
        heads_of(z, heads)
        for z in tf.split(P.dense(norm(P, x, n + "ln1", bias), n + "qkv", 3 * d, bias), 3, -1)
    )
    if cache is None:
        y = attention(q, k, v, True)
    else:
        kc, vc = cache
        kc[:, :, 127:].assign(k)
        vc[:, :, 127:].assign(v)
        y = attention(q, kc, vc, False)
    x = x + P.dense(merge(y), n + "proj", d, bias)
    u = tf.nn.gelu(
        P.dense(norm(P, x, n + "ln2", bias), n + "up", 4 * d, bias), approximate=approximate
    )
    return x + P.dense(u, n + "down", d, bias), k, v


def gpt(
    P,
    idx,
    layers=6,
    heads=6,
    d=384,
    block=256,
    vocab=65,
    bias=False,
    approximate=False,
    last=False,
    caches=None,
):
    wte = P.get("wte", lambda: rand(vocab, d, scale=0.02))
    wpe = P.get("wpe", lambda: rand(block, d, scale=0.02))
    x = tf.gather(wte, idx) + (wpe[: idx.shape[1]] if caches is None else wpe[127:128])
    kv = []
    for i in range(layers):
        x, k, v = gpt_block(P, x, f"l{i}", heads, bias, approximate, caches and caches[i])
        kv += [k, v]
    if last:
        x = x[:, -1:]
    x = norm(P, x, "lnf", bias)
    y = tf.matmul(tf.reshape(x, (-1, d)), wte, transpose_b=True)
    return y, kv


@workload("gpt_train")
def _(mode):
    P = Params()

    def loss(x, y):
        return xent(gpt(P, x)[0], tf.reshape(y, (-1,)))

    return train(mode, loss, P, "adamw", ints(65, 8, 256), ints(65, 8, 256))


@workload("gpt_infer")
def _(mode):
    P = Params()
    return infer(mode, lambda x: gpt(P, x)[0], ints(65, 8, 256))


GPT2 = {
    "layers": 12,
    "heads": 12,
    "d": 768,
    "block": 1024,
    "vocab": 50257,
    "bias": True,
    "approximate": True,
    "last": True,
}


@workload("gpt2_prefill")
def _(mode):
    P = Params()
    return infer(mode, lambda x: gpt(P, x, **GPT2), ints(50257, 1, 128))


@workload("gpt2_decode")
def _(mode):
    P = Params()
    caches = [
        (tf.Variable(rand(1, 12, 128, 64)), tf.Variable(rand(1, 12, 128, 64))) for _ in range(12)
    ]
    return infer(mode, lambda x: gpt(P, x, caches=caches, **GPT2)[0], ints(50257, 1, 1))


@workload("minilm_infer")
def _(mode):
    P = Params()
    d, ff, heads = 384, 1536, 12

    def f(idx):
        x = tf.gather(P.get("word", lambda: rand(30522, d, scale=0.02)), idx)
        x = (
            x
            + P.get("pos", lambda: rand(512, d, scale=0.02))[: idx.shape[1]]
            + P.get("typ", lambda: rand(2, d))[0]
        )
        x = norm(P, x, "ln", True, 1e-12)
        for i in range(6):
            n = f"l{i}"
            q, k, v = (heads_of(P.dense(x, n + c, d), heads) for c in "qkv")
            x = norm(
                P, x + P.dense(merge(attention(q, k, v, False)), n + "o", d), n + "ln1", True, 1e-12
            )
            u = tf.nn.gelu(P.dense(x, n + "up", ff), approximate=False)
            x = norm(P, x + P.dense(u, n + "down", d), n + "ln2", True, 1e-12)
        return x

    return infer(mode, f, ints(30522, 8, 128))


@workload("lstm_train")
def _(mode):
    P = Params()
    hid = 256

    def loss(idx, y, h0, c0):
        x = tf.gather(P.get("emb", lambda: rand(10000, 200, scale=0.1)), idx)
        for n in range(2):
            gx = tf.unstack(P.dense(x, f"x{n}", 4 * hid))
            h, c, out = h0[n], c0[n], []
            for g in gx:  # 35 steps, unrolled in the graph
                i, f, o, u = tf.split(g + P.dense(h, f"h{n}", 4 * hid), 4, -1)
                c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(u)
                h = tf.sigmoid(o) * tf.tanh(c)
                out.append(h)
            x = tf.stack(out)
        return xent(tf.reshape(P.dense(x, "dec", 10000), (-1, 10000)), y)

    return train(
        mode,
        loss,
        P,
        "adam",
        ints(10000, 35, 20),
        ints(10000, 700),
        tf.zeros((2, 20, hid)),
        tf.zeros((2, 20, hid)),
    )


@workload("vae_train")
def _(mode):
    P = Params()

    def loss(x):
        h = tf.nn.relu(P.dense(x, "1", 400))
        mu, lv = P.dense(h, "mu", 20), P.dense(h, "lv", 20)
        z = mu + tf.random.normal(mu.shape) * tf.exp(0.5 * lv)
        rec = tf.sigmoid(P.dense(tf.nn.relu(P.dense(z, "3", 400)), "4", 784))

        def log(v):
            return tf.maximum(tf.math.log(v), -100.0)

        bce = -tf.reduce_sum(x * log(rec) + (1 - x) * log(1 - rec))
        return bce - 0.5 * tf.reduce_sum(1 + lv - mu * mu - tf.exp(lv))

    return train(mode, loss, P, "adam", tf.constant(rng.random((128, 784), dtype=np.float32)))


@workload("gcn_train")
def _(mode):
    P = Params()
    n = 2708
    src = np.concatenate((rng.integers(0, n, 10556), np.arange(n))).astype(np.int32)
    dst = np.concatenate((rng.integers(0, n, 10556), np.arange(n))).astype(np.int32)
    deg = np.bincount(dst, minlength=n).astype(np.float32)
    nrm = (1 / np.sqrt(deg[src] * deg[dst]))[:, None].astype(np.float32)

    def loss(x, src, dst, nrm, y):
        def agg(h):
            return tf.math.unsorted_segment_sum(tf.gather(h, src) * nrm, dst, n)

        h = tf.nn.relu(agg(P.dense(x, "1", 16, False)) + P.get("b1", lambda: tf.zeros(16)))
        h = agg(P.dense(h, "2", 7, False)) + P.get("b2", lambda: tf.zeros(7))
        return xent(h[:140], y)

    return train(
        mode,
        loss,
        P,
        "adam",
        rand(n, 1433),
        tf.constant(src),
        tf.constant(dst),
        tf.constant(nrm),
        ints(7, 140),
    )


@workload("dqn_train")
def _(mode):
    P, T = Params(), Params()
    sizes = (128, 128, 2)

    def loss(s, a, r, s2):
        q = tf.gather(mlp(P, s, sizes), a, axis=1, batch_dims=1)[:, 0]
        t = tf.stop_gradient(r + 0.99 * tf.reduce_max(mlp(T, s2, sizes), 1))
        e = tf.abs(q - t)
        return tf.reduce_mean(tf.where(e < 1, 0.5 * e * e, e - 0.5))

    return train(mode, loss, P, "adam", rand(128, 4), ints(2, 128, 1), rand(128), rand(128, 4))


@workload("dqn_infer_b1")
def _(mode):
    P = Params()
    return infer(mode, lambda x: mlp(P, x, (128, 128, 2)), rand(1, 4))


C0 = math.sqrt(2 / math.pi)
C1 = C0 * 0.044715
PAD = [[0, 0], [1, 1], [1, 1], [0, 0]]
MICRO = {
    "gelu_chain": (lambda x: (tf.tanh((x * x * C1 + C0) * x) + 1.0) * x * 0.5, [(4096, 1024)]),
    "softmax": (lambda x: tf.nn.softmax(x), [(4096, 1024)]),
    "layernorm": (layernorm, [(4096, 1024), (1024,), (1024,)]),
    "sum0": (lambda x: tf.reduce_sum(x, 0), [(4096, 1024)]),
    "sum1": (lambda x: tf.reduce_sum(x, 1), [(4096, 1024)]),
    "bmm": (tf.matmul, [(96, 128, 64), (96, 64, 128)]),
    "conv3x3": (lambda x, w: tf.nn.conv2d(x, w, 1, PAD), [(32, 56, 56, 64), (3, 3, 64, 64)]),
    "dwconv3x3": (
        lambda x, w: tf.nn.depthwise_conv2d(x, w, (1, 1, 1, 1), PAD),
        [(32, 28, 28, 128), (3, 3, 128, 1)],
    ),
    "attention": (lambda q, k, v: attention(q, k, v, True), [(8, 6, 256, 64)] * 3),
    "transpose": (lambda x: tf.transpose(x), [(4096, 4096)]),
}
for _n in (256, 512, 1024, 2048):
    MICRO[f"matmul{_n}"] = (tf.matmul, [(_n, _n), (_n, _n)])


@workload(*["micro_" + k for k in MICRO])
def _(mode, wid):
    f, shapes = MICRO[wid[6:]]
    return infer(mode, f, *[rand(*s) for s in shapes])


@workload("micro_conv3x3_bwd")
def _(mode):
    def f(x, w, g):
        with tf.GradientTape() as t:
            t.watch((x, w))
            y = tf.nn.conv2d(x, w, 1, PAD)
        return (y, *t.gradient(y, (x, w), g))

    return infer(mode, f, rand(32, 56, 56, 64), rand(3, 3, 64, 64), rand(32, 56, 56, 64))


@workload("micro_embedding")
def _(mode):
    def f(w, i, g):
        return tf.gather(w, i), tf.math.unsorted_segment_sum(g, i, 10000)

    return infer(mode, f, rand(10000, 256), ints(10000, 4096), rand(4096, 256))


def chain10(x):
    for _ in range(5):
        x = tf.tanh(x * 1.1)
    return x


@workload(
    "overhead_add",
    "overhead_add_grad",
    "overhead_chain10",
    "overhead_jit_call",
    "overhead_chain10_jit",
)
def _(mode, wid):
    a, b, x = rand(4), rand(4), tf.constant(0.5)

    def grad(x):
        with tf.GradientTape() as t:
            t.watch(x)
            y = chain10(x)
        return t.gradient(y, x)

    if "jit" in wid:
        f = function(mode, grad if "chain" in wid else lambda a, b: a + b)
        args = (x,) if "chain" in wid else (a, b)
        return lambda: f(*args)
    if mode == "xla":
        raise Skip("an eager figure")
    if wid == "overhead_add":
        return lambda: a + b
    if wid == "overhead_add_grad":

        def step():
            with tf.GradientTape() as t:
                t.watch((a, b))
                return a + b

        return step
    return lambda: grad(x)


if __name__ == "__main__":
    main("tensorflow", ["graph", "xla"], lambda: {"tensorflow": tf.__version__})
