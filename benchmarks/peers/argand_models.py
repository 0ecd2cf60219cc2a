"""The networks of torch_models.py, written with Argand."""

import math
from itertools import pairwise

import argand as ag
import argand.nn.functional as F
from argand import nn


class MLP(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, sizes=(784, 512, 512, 10)):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


class MnistCNN(nn.Module):
    """The net of pytorch/examples mnist without dropout; gives log-probabilities."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.fc1 = nn.Linear(9216, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = ag.flatten(F.max_pool2d(x, 2), 1)
        x = F.relu(self.fc1(x))
        return F.log_softmax(self.fc2(x), dim=1)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm, beside a shortcut."""

    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.short = None
        if stride != 1 or cin != cout:
            self.short = nn.Sequential(
                nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout)
            )

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + (x if self.short is None else self.short(x)))


class ResNet18Cifar(nn.Module):
    """ResNet-18 with a 3x3 stem for images of 32 x 32."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(64)
        blocks, cin = [], 64
        for c, s in ((64, 1), (128, 2), (256, 2), (512, 2)):
            blocks += [BasicBlock(cin, c, s), BasicBlock(c, c, 1)]
            cin = c
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(512, 10)

    def forward(self, x):
        x = F.relu(self.bn(self.stem(x)))
        x = self.blocks(x)
        return self.fc(x.mean((2, 3)))


class Bottleneck(nn.Module):
    """Convolutions 1x1, 3x3 (with the stride) and 1x1, beside a shortcut."""

    def __init__(self, cin, mid, stride):
        super().__init__()
        cout = mid * 4
        self.conv1 = nn.Conv2d(cin, mid, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(mid)
        self.conv2 = nn.Conv2d(mid, mid, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(mid)
        self.conv3 = nn.Conv2d(mid, cout, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(cout)
        self.short = None
        if stride != 1 or cin != cout:
            self.short = nn.Sequential(
                nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout)
            )

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.short is None else self.short(x)))


class ResNet50(nn.Module):
    """ResNet-50 for 1000 classes."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn = nn.BatchNorm2d(64)
        blocks, cin = [], 64
        for c, n, s in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
            for i in range(n):
                blocks.append(Bottleneck(cin, c, s if i == 0 else 1))
                cin = c * 4
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(2048, 1000)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn(self.stem(x))), 3, 2, 1)
        x = self.blocks(x)
        return self.fc(x.mean((2, 3)))


class InvertedResidual(nn.Module):
    """Widen, depthwise convolution, narrow; added to the input where the shapes agree."""

    def __init__(self, cin, cout, stride, expand):
        super().__init__()
        h = cin * expand
        layers = []
        if expand != 1:
            layers += [nn.Conv2d(cin, h, 1, bias=False), nn.BatchNorm2d(h), nn.ReLU6()]
        layers += [
            nn.Conv2d(h, h, 3, stride, 1, groups=h, bias=False),
            nn.BatchNorm2d(h),
            nn.ReLU6(),
            nn.Conv2d(h, cout, 1, bias=False),
            nn.BatchNorm2d(cout),
        ]
        self.f = nn.Sequential(*layers)
        self.add = stride == 1 and cin == cout

    def forward(self, x):
        return x + self.f(x) if self.add else self.f(x)


MOBILENET_BLOCKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class MobileNetV2(nn.Module):
    """MobileNetV2 1.0 for 1000 classes."""

    def __init__(self):
        super().__init__()
        layers = [nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6()]
        cin = 32
        for t, c, n, s in MOBILENET_BLOCKS:
            for i in range(n):
                layers.append(InvertedResidual(cin, c, s if i == 0 else 1, t))
                cin = c
        layers += [nn.Conv2d(cin, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU6()]
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(1280, 1000)

    def forward(self, x):
        return self.fc(self.features(x).mean((2, 3)))


class Norm(nn.Module):
    """Layer norm over the last axis, with or without a bias."""

    def __init__(self, n, bias):
        super().__init__()
        self.weight = nn.Parameter(ag.ones(n))
        self.bias = nn.Parameter(ag.zeros(n)) if bias else None

    def forward(self, x):
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, 1e-5)


class GPTBlock(nn.Module):
    """Pre-norm causal attention and a GELU network, each added to the stream."""

    def __init__(self, d, heads, bias, approx):
        super().__init__()
        self.ln1 = Norm(d, bias)
        self.qkv = nn.Linear(d, 3 * d, bias=bias)
        self.proj = nn.Linear(d, d, bias=bias)
        self.ln2 = Norm(d, bias)
        self.up = nn.Linear(d, 4 * d, bias=bias)
        self.down = nn.Linear(4 * d, d, bias=bias)
        self.heads, self.approx = heads, approx

    def split(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(self.ln1(x)).split(d, dim=2)
        return [z.view(b, t, self.heads, d // self.heads).transpose(1, 2) for z in (q, k, v)]

    def rest(self, x, y):
        x = x + self.proj(y.transpose(1, 2).reshape(x.shape))
        return x + self.down(F.gelu(self.up(self.ln2(x)), approximate=self.approx))

    def forward(self, x):
        q, k, v = self.split(x)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.rest(x, y), k, v

    def decode(self, x, kc, vc):
        """One token; the caches (b, heads, positions, size) get it in their last place."""
        q, k, v = self.split(x)
        kc[:, :, -1:] = k
        vc[:, :, -1:] = v
        return self.rest(x, F.scaled_dot_product_attention(q, kc, vc))


class GPT(nn.Module):
    """nanoGPT: learned positions, tied embedding, logits of every position."""

    def __init__(self, layers, heads, d, block, vocab, bias=False, approx="none"):
        super().__init__()
        self.wte = nn.Embedding(vocab, d)
        self.wpe = nn.Embedding(block, d)
        self.blocks = nn.ModuleList(GPTBlock(d, heads, bias, approx) for _ in range(layers))
        self.lnf = Norm(d, bias)
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, 0, 0.02)

    def embed(self, idx):
        return self.wte(idx) + self.wpe.weight[: idx.shape[1]]

    def head(self, x):
        return F.linear(self.lnf(x), self.wte.weight)

    def forward(self, idx):
        x = self.embed(idx)
        for block in self.blocks:
            x = block(x)[0]
        return self.head(x)


def baby_gpt():
    """The network of gpt_train and gpt_infer."""
    return GPT(6, 6, 384, 256, 65)


def gpt2():
    """The network of gpt2_prefill and gpt2_decode."""
    return GPT(12, 12, 768, 1024, 50257, bias=True, approx="tanh")


class Prefill(nn.Module):
    """The last position's logits, and the keys and values of all positions."""

    def __init__(self, g):
        super().__init__()
        self.g = g

    def forward(self, idx):
        x, ks, vs = self.g.embed(idx), [], []
        for block in self.g.blocks:
            x, k, v = block(x)
            ks.append(k)
            vs.append(v)
        return self.g.head(x[:, -1:]), ag.stack(ks), ag.stack(vs)


class Decode(nn.Module):
    """One token at position 127: writes the caches (layers, 1, heads, 128, size) in place."""

    def __init__(self, g):
        super().__init__()
        self.g = g

    def forward(self, idx, kc, vc):
        x = self.g.wte(idx) + self.g.wpe.weight[127:128]
        for i, block in enumerate(self.g.blocks):
            x = block.decode(x, kc[i], vc[i])
        return self.g.head(x)


class BertLayer(nn.Module):
    """Post-norm attention over all positions, and a GELU network."""

    def __init__(self, d, heads, ff):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(d, d) for _ in range(4))
        self.ln1 = nn.LayerNorm(d, eps=1e-12)
        self.up, self.down = nn.Linear(d, ff), nn.Linear(ff, d)
        self.ln2 = nn.LayerNorm(d, eps=1e-12)
        self.heads = heads

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = (
            f(x).view(b, t, self.heads, d // self.heads).transpose(1, 2)
            for f in (self.q, self.k, self.v)
        )
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, d)
        x = self.ln1(x + self.o(y))
        return self.ln2(x + self.down(F.gelu(self.up(x))))


class MiniLM(nn.Module):
    """A BERT-style encoder: last hidden states."""

    def __init__(self, layers=6, d=384, heads=12, ff=1536, vocab=30522):
        super().__init__()
        self.word = nn.Embedding(vocab, d)
        self.pos = nn.Embedding(512, d)
        self.typ = nn.Embedding(2, d)
        self.ln = nn.LayerNorm(d, eps=1e-12)
        self.layers = nn.ModuleList(BertLayer(d, heads, ff) for _ in range(layers))

    def forward(self, idx):
        x = self.ln(self.word(idx) + self.pos.weight[: idx.shape[1]] + self.typ.weight[0])
        for layer in self.layers:
            x = layer(x)
        return x


class LSTMLM(nn.Module):
    """Embedding, LSTM, decoder to the vocabulary."""

    def __init__(self, vocab=10000, emb=200, hid=256, layers=2):
        super().__init__()
        self.emb = nn.Embedding(vocab, emb)
        self.rnn = nn.LSTM(emb, hid, layers)
        self.dec = nn.Linear(hid, vocab)
        self.layers, self.hid = layers, hid

    def forward(self, idx, h, c):
        y, _ = self.rnn(self.emb(idx), (h, c))
        return self.dec(y)


class VAE(nn.Module):
    """Reconstruction, mean and log-variance."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 400)
        self.fc21, self.fc22 = nn.Linear(400, 20), nn.Linear(400, 20)
        self.fc3, self.fc4 = nn.Linear(20, 400), nn.Linear(400, 784)

    def forward(self, x):
        h = F.relu(self.fc1(x))
        mu, logvar = self.fc21(h), self.fc22(h)
        z = mu + ag.randn_like(mu) * ag.exp(0.5 * logvar)
        return ag.sigmoid(self.fc4(F.relu(self.fc3(z)))), mu, logvar


def vae_loss(rec, x, mu, logvar):
    """Summed binary cross-entropy and divergence from the normal distribution."""
    bce = F.binary_cross_entropy(rec, x, reduction="sum")
    return bce - 0.5 * ag.sum(1 + logvar - mu.pow(2) - logvar.exp())


class GCN(nn.Module):
    """Aggregation by gather and scatter-add over the edge list, after each product."""

    def __init__(self, fin=1433, hid=16, classes=7):
        super().__init__()
        self.w1 = nn.Parameter(ag.randn(fin, hid) / math.sqrt(fin))
        self.b1 = nn.Parameter(ag.zeros(hid))
        self.w2 = nn.Parameter(ag.randn(hid, classes) / math.sqrt(hid))
        self.b2 = nn.Parameter(ag.zeros(classes))

    @staticmethod
    def aggregate(h, src, dst, norm):
        return ag.zeros_like(h).index_add(0, dst, h[src] * norm)

    def forward(self, x, src, dst, norm):
        x = F.relu(self.aggregate(x @ self.w1, src, dst, norm) + self.b1)
        return self.aggregate(x @ self.w2, src, dst, norm) + self.b2


C0 = math.sqrt(2 / math.pi)
C1 = C0 * 0.044715


def gelu_chain(x):
    """tanh GELU by hand: 8 elementwise operations."""
    return (ag.tanh((x * x * C1 + C0) * x) + 1.0) * x * 0.5


def micro_ops():
    """name -> (function, input shapes); forward only."""
    ops = {
        "gelu_chain": (gelu_chain, [(4096, 1024)]),
        "softmax": (lambda x: ag.softmax(x, -1), [(4096, 1024)]),
        "layernorm": (
            lambda x, w, b: F.layer_norm(x, (1024,), w, b),
            [(4096, 1024), (1024,), (1024,)],
        ),
        "sum0": (lambda x: x.sum(0), [(4096, 1024)]),
        "sum1": (lambda x: x.sum(1), [(4096, 1024)]),
        "bmm": (lambda a, b: ag.bmm(a, b), [(96, 128, 64), (96, 64, 128)]),
        "conv3x3": (
            lambda x, w: F.conv2d(x, w, padding=1),
            [(32, 64, 56, 56), (64, 64, 3, 3)],
        ),
        "dwconv3x3": (
            lambda x, w: F.conv2d(x, w, padding=1, groups=128),
            [(32, 128, 28, 28), (128, 1, 3, 3)],
        ),
        "attention": (
            lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
            [(8, 6, 256, 64)] * 3,
        ),
        "transpose": (lambda x: x.t().contiguous(), [(4096, 4096)]),
    }
    for n in (256, 512, 1024, 2048):
        ops[f"matmul{n}"] = (lambda a, b: a @ b, [(n, n), (n, n)])
    return ops
