"""Train a small GPT on the characters of a text, and let it write.

python examples/char_gpt.py --text shakespeare.txt
python examples/char_gpt.py --text shakespeare.txt --export models/shakespeare/1/model.argand
"""

import argparse
import time
from pathlib import Path

import numpy as np

import argand as ag
from argand import nn, optim
from argand.nn import functional as F


class Block(nn.Module):
    """Causal attention and a GELU network, each behind a layer norm and added to the stream."""

    def __init__(self, width, heads):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.heads = heads

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (
            part.view(b, t, self.heads, c // self.heads).transpose(1, 2)
            for part in self.qkv(self.norm1(x)).split(c, dim=2)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(b, t, c))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    """Characters and positions embedded, blocks, and the logits of the next character."""

    def __init__(self, vocabulary, layers, heads, width, length):
        super().__init__()
        self.characters = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, 0, 0.02)

    def forward(self, tokens, positions=None):
        if positions is None:
            positions = ag.arange(tokens.shape[1])
        x = self.characters(tokens) + self.positions(positions)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def windows(data, count, length, rng):
    """Random pieces of the text, and the same moved on by one character."""
    starts = rng.integers(0, len(data) - length - 1, count)
    pieces = np.stack([data[s : s + length + 1] for s in starts])
    return ag.tensor(pieces[:, :-1].copy()), ag.tensor(pieces[:, 1:].copy())


def write(predict, tokens, count, length, temperature):
    """`count` more tokens, each drawn from the prediction for the last position.

    The window is always `length` long (padded at its end), so that one program serves every step.
    """
    tokens = list(tokens)
    for _ in range(count):
        seen = tokens[-length:]
        window = np.zeros((1, length), np.int64)
        window[0, : len(seen)] = seen
        logits = predict(ag.tensor(window))[0, len(seen) - 1]
        chances = F.softmax(logits / temperature, -1)
        tokens.append(int(ag.multinomial(chances, 1).item()))
    return tokens


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", required=True, metavar="FILE")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--length", type=int, default=64, help="characters seen at once")
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--characters", type=int, default=400, help="how many to write")
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--prompt", default="\n")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--export", metavar="FILE", help="an archive for `argand serve`")
    parser.add_argument("--eager", action="store_true", help="don't compile")
    options = parser.parse_args()

    text = Path(options.text).read_text(encoding="utf-8")
    alphabet = sorted(set(text) | set(options.prompt))
    numbers = {c: i for i, c in enumerate(alphabet)}
    data = np.array([numbers[c] for c in text], np.int64)
    train, held_out = data[: len(data) * 9 // 10], data[len(data) * 9 // 10 :]
    rng = np.random.default_rng(options.seed)
    ag.manual_seed(options.seed)

    model = GPT(len(alphabet), options.layers, options.heads, options.width, options.length)
    optimizer = optim.AdamW(model.parameters(), lr=options.lr, betas=(0.9, 0.99), weight_decay=0.1)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps, options.lr / 10)

    def loss_of(x, y):
        logits = model(x)
        return F.cross_entropy(logits.reshape(-1, len(alphabet)), y.reshape(-1))

    def step(x, y):
        loss = loss_of(x, y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss

    def predict(x):
        with ag.no_grad():
            return model(x)

    def evaluate(x, y):
        with ag.no_grad():
            return loss_of(x, y)

    if not options.eager:
        step, predict, evaluate = ag.compile(step), ag.compile(predict), ag.compile(evaluate)

    count = sum(p.numel() for p in model.parameters())
    print(f"{len(text):,} characters of {len(alphabet)} kinds, {count:,} parameters")
    started = time.perf_counter()
    for i in range(options.steps):
        loss = step(*windows(train, options.batch_size, options.length, rng)).item()
        schedule.step()
        if i == 0 or (i + 1) % max(options.steps // 10, 1) == 0:
            held = windows(held_out, options.batch_size * 4, options.length, rng)
            seconds = time.perf_counter() - started
            print(
                f"step {i + 1}: loss {loss:.3f}, held out {evaluate(*held).item():.3f}, "
                f"{seconds:.1f} s",
                flush=True,
            )
    if options.export:
        from argand.serve import generation

        program = generation.export(model.eval(), context=options.length, vocabulary=alphabet)
        Path(options.export).parent.mkdir(parents=True, exist_ok=True)
        program.save(options.export)
    start = [numbers[c] for c in options.prompt]
    written = write(predict, start, options.characters, options.length, options.temperature)
    print("".join(alphabet[i] for i in written))


if __name__ == "__main__":
    main()
