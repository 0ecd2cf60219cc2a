"""Generation: continuous batching over pages gives what each request gives alone."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import engine_of, put, run
from texts import GPT, LETTERS, plain_logits, plain_loop, small_model

import argand as ag
from argand import nn
from argand.nn import functional as F
from argand.serve import ServeError, State, Status, generation
from argand.serve.execution import Executor
from argand.serve.generation import GenerationOptions, Generator, Sampling
from argand.serve.generation.layout import Layout
from argand.serve.generation.sampling import draw, uniform
from argand.serve.signature import ServedSignature

CONTEXT, PAGE, CHUNK = 64, 4, 8


@pytest.fixture(scope="module")
def model() -> GPT:
    return small_model(CONTEXT)


@pytest.fixture(scope="module")
def program(model: GPT, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The model's archive, read again."""
    made = generation.export(
        model, context=CONTEXT, page=PAGE, chunk=CHUNK, vocabulary=LETTERS, stop_texts=["U"]
    )
    path = tmp_path_factory.mktemp("lm") / "model.argand"
    made.save(path)
    return ag.export.load(path)


def generator_of(program: Any, **options: Any) -> Generator:
    signatures = {n: ServedSignature(s) for n, s in program.signatures.items()}
    return Generator(signatures, program.card, program.assets.get, GenerationOptions(**options))


def pages_of(count: int, layout: Layout) -> int:
    """The memory of so many pages."""
    return count * 2 * layout.layers * layout.page * layout.heads * layout.width * 4


def requests(count: int) -> list[tuple[list[int], Sampling]]:
    """Random prompts of all lengths, and ways to draw."""
    rng = np.random.default_rng(7)
    found = []
    for i in range(count):
        prompt = rng.integers(0, len(LETTERS), rng.integers(1, 40)).tolist()
        how = Sampling(
            max_tokens=int(rng.integers(1, 24)),
            temperature=float(rng.choice([0.0, 0.7, 1.3])),
            top_k=int(rng.choice([0, 5])),
            top_p=float(rng.choice([1.0, 0.9])),
            min_p=float(rng.choice([0.0, 0.02])),
            repetition_penalty=float(rng.choice([1.0, 1.2])),
            frequency_penalty=float(rng.choice([0.0, 0.5])),
            seed=i,
            logprobs=2,
        )
        found.append((prompt, how))
    return found


def test_fifty_requests_at_random_times_give_what_each_gives_alone_and_without_a_cache(
    program: Any, model: GPT
) -> None:
    asked = requests(50)
    layout = generator_of(program).layout

    async def alone(prompt: list[int], how: Sampling) -> Any:
        return await generator_of(program).submit(prompt, how).answers()

    async def together() -> Any:
        # too few pages for all, so that some are computed again
        made = generator_of(program, max_rows=8, memory=pages_of(24, layout))
        rng = np.random.default_rng(1)
        order = rng.permutation(len(asked))

        async def later(i: int) -> Any:
            for _ in range(int(rng.integers(0, 60))):
                await asyncio.sleep(0.0005)
            prompt, how = asked[i]
            return await made.submit(prompt, how, priority=int(i % 3 == 0)).answers()

        found = await asyncio.gather(*(later(i) for i in order))
        await made.scheduler.finished()
        return dict(zip(order.tolist(), found, strict=True)), made

    found, made = run(together())
    assert made.scheduler.preempted > 0
    assert made.facts["pages_used"] == made.facts["running"] == made.facts["waiting"] == 0
    pool = made.scheduler.pool
    assert pool.free + pool.stored == pool.count == 24
    for i, (prompt, how) in enumerate(asked):
        assert found[i] == run(alone(prompt, how))  # the bits of the log-probabilities, too
        tokens = [d.token for d in found[i][0].tokens]
        assert tokens == plain_loop(model, prompt, how, CONTEXT)


def test_the_cache_gives_the_models_own_logits(program: Any, model: GPT) -> None:
    prompt = np.random.default_rng(3).integers(0, len(LETTERS), 30).tolist()

    async def ask() -> Any:
        how = Sampling(max_tokens=20, temperature=0, logprobs=3)
        return await generator_of(program).submit(prompt, how, echo=True).answers()

    (answer,) = run(ask())
    tokens = [d.token for d in answer.tokens]
    assert tokens[:30] == prompt
    assert answer.tokens[0].logprob is None
    assert answer.text.startswith("".join(LETTERS[t] for t in prompt))
    logs = F.log_softmax(ag.tensor(plain_logits(model, tokens)), -1).numpy()
    expected = logs[np.arange(len(tokens) - 1), tokens[1:]]
    np.testing.assert_allclose([d.logprob for d in answer.tokens[1:]], expected, atol=2e-5)
    for row, drawn in zip(logs, answer.tokens[1:], strict=False):
        assert [t for t, _ in drawn.top] == np.argsort(-row, kind="stable")[:3].tolist()


def test_several_answers_share_the_pages_of_their_prompt(program: Any, model: GPT) -> None:
    prompt = np.random.default_rng(4).integers(0, len(LETTERS), 33).tolist()
    how = Sampling(max_tokens=6, seed=11)

    async def ask() -> Any:
        made = generator_of(program)
        request = made.submit(prompt, how, count=3)
        await asyncio.sleep(0)
        while any(s.computed < s.prompt for s in made.scheduler.running):
            await asyncio.sleep(0)
        shared = set.intersection(*(set(s.pages) for s in made.scheduler.running))
        return await request.answers(), shared

    found, shared = run(ask())
    assert len(shared) == 32 // PAGE
    for i, answer in enumerate(found):
        expected = plain_loop(model, prompt, how, CONTEXT, i)
        assert [d.token for d in answer.tokens] == expected


def test_a_cancelled_request_leaves_no_page_behind(program: Any) -> None:
    async def ask() -> Generator:
        made = generator_of(program, max_rows=2)
        endless = Sampling(max_tokens=1000, seed=0)
        cancelled = [made.submit([1, 2, 3], endless) for _ in range(3)]
        seen = 0
        async for _ in cancelled[0]:
            seen += 1
            if seen == 3:
                break  # as a client that goes away
        cancelled[1].cancel()
        cancelled[2].cancel()
        await made.scheduler.finished()
        assert cancelled[0].made < 20  # of the 61 that the context has room for
        return made

    facts = run(ask()).facts
    assert (facts["pages_used"], facts["running"], facts["waiting"]) == (0, 0, 0)


def test_a_step_that_ends_after_nobody_waits_for_it_is_dropped(program: Any) -> None:
    made = generator_of(program)
    late: list[Any] = []

    class Slow(Executor):
        def start(self, signature: Any, arrays: Any, done: Any, askers: Any = ()) -> None:
            late.append(done)

    async def cancelled() -> None:
        made.scheduler._executor = Slow()
        step = asyncio.create_task(made.scheduler._call(made.scheduler.decode, []))
        await asyncio.sleep(0)
        step.cancel()
        with pytest.raises(asyncio.CancelledError):
            await step
        for found in ([], ValueError()):
            late[0](found)  # raises nothing

    run(cancelled())


def test_a_deadline_ends_a_request_and_a_full_queue_refuses_one(program: Any) -> None:
    async def ask() -> tuple[ServeError, ServeError]:
        made = generator_of(program, max_rows=1, max_waiting=2)
        long = Sampling(max_tokens=60, seed=0)
        late = made.submit([1], long, timeout=-1.0)
        requests = [made.submit([1], long)]
        with pytest.raises(ServeError) as full:
            requests += [made.submit([1], long) for _ in range(3)]
        with pytest.raises(ServeError) as passed:
            await late.answers()
        for request in requests:
            request.cancel()
        await made.scheduler.finished()
        with pytest.raises(ServeError) as later:
            _ = [made.submit([1], long) for _ in range(4)]
        assert later.value.retry_after > 0.0  # since some have ended
        await made.scheduler.finished()
        return passed.value, full.value

    passed, full = run(ask())
    assert passed.status is Status.DEADLINE_EXCEEDED
    assert full.status is Status.RESOURCE_EXHAUSTED


def test_the_most_urgent_request_goes_first(program: Any) -> None:
    async def ask() -> list[str]:
        made = generator_of(program, max_rows=1)
        ended: list[str] = []
        how = Sampling(max_tokens=10, seed=0)
        slow = made.submit([1], how, priority=1, on_end=lambda: ended.append("slow"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        urgent = made.submit([2], how, priority=0, on_end=lambda: ended.append("urgent"))
        await asyncio.gather(slow.answers(), urgent.answers())
        return ended

    assert run(ask()) == ["urgent", "slow"]


def test_texts_end_at_stop_texts_and_tokens_and_show_nothing_of_them(
    program: Any, model: GPT
) -> None:
    how = Sampling(max_tokens=30, seed=5)
    prompt = [3, 4, 5]
    letters = "".join(LETTERS[t] for t in plain_loop(model, prompt, how, CONTEXT))
    stop = letters[11:14]
    cut = letters.index(stop)

    async def ask(how: Sampling) -> Any:
        return [piece async for piece in generator_of(program).submit(prompt, how)]

    pieces = run(ask(dataclasses.replace(how, stop=("no such text", stop))))
    text = "".join(p.text for p in pieces)
    assert text == letters[:cut]
    assert pieces[-1].finish == "stop"
    for i in range(len(pieces)):  # what is told early is part of the answer for good
        assert letters.startswith("".join(p.text for p in pieces[: i + 1]))
    token = LETTERS.index(letters[11])
    first = letters.index(letters[11])
    pieces = run(ask(dataclasses.replace(how, stop_tokens=(token,))))
    assert "".join(p.text for p in pieces) == letters[:first]
    assert run(ask(how))[-1].finish == "length"


@pytest.mark.parametrize(
    ("prompt", "how", "field"),
    [
        ("", {}, "prompt"),
        ([], {}, "prompt"),
        ("a" * CONTEXT, {}, "prompt"),
        ("unknown: \N{SNOWMAN}", {}, "prompt"),
        ([len(LETTERS)], {}, "prompt"),
        ([-1], {}, "prompt"),
        ("a", {"temperature": -1.0}, "temperature"),
        ("a", {"temperature": float("nan")}, "temperature"),
        ("a", {"top_p": 0.0}, "top_p"),
        ("a", {"min_p": 2.0}, "min_p"),
        ("a", {"max_tokens": -1}, "max_tokens"),
        ("a", {"repetition_penalty": 0.0}, "repetition_penalty"),
        ("a", {"logprobs": 99}, "logprobs"),
        ("a", {"stop": ("",)}, "stop"),
        ("a", {"logit_bias": {99: 1.0}}, "logit_bias"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_field(
    program: Any, prompt: Any, how: dict[str, Any], field: str
) -> None:
    async def ask() -> None:
        await generator_of(program).submit(prompt, Sampling(**how)).answers()

    with pytest.raises(ServeError) as caught:
        run(ask())
    assert (caught.value.status, caught.value.field) == (Status.INVALID_ARGUMENT, field)


def test_models_of_transformers_generate_what_they_generate_themselves() -> None:
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    if torch.Tensor is not ag.Tensor:
        pytest.skip("torch is PyTorch here, not Argand")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    more = {"intermediate_size": 64, "num_key_value_heads": 2, "max_position_embeddings": 64}
    llama = transformers.LlamaConfig(vocab_size=100, **sizes, **more)
    gpt = transformers.GPT2Config(vocab_size=100, n_positions=64, n_embd=32, n_layer=2, n_head=4)
    prompt = np.random.default_rng(0).integers(0, 100, 20).tolist()
    models = (transformers.LlamaForCausalLM(llama), transformers.GPT2LMHeadModel(gpt))
    for model in models:
        made = generation.export(model.eval(), context=64, page=4, chunk=8)

        async def ask(made: Any = made) -> Any:
            how = Sampling(max_tokens=12, temperature=0)
            return await generator_of(made).submit(prompt, how).answers()

        (answer,) = run(ask())
        given = torch.tensor([prompt])
        expected = model.generate(given, max_new_tokens=12, do_sample=False, pad_token_id=0)
        assert [d.token for d in answer.tokens] == expected[0, 20:].tolist()


# -- exporting -------------------------------------------------------------------------------------


class Grouped(nn.Module):
    """Heads of queries share keys and values, which may be repeated for longer texts, as
    transformers' models do; it gives a tuple."""

    def __init__(self, repeats: bool) -> None:
        super().__init__()
        self.repeats = repeats
        ag.manual_seed(2)
        self.tokens, self.places = nn.Embedding(9, 16), nn.Embedding(32, 16)
        self.q, self.k, self.v = nn.Linear(16, 16), nn.Linear(16, 8), nn.Linear(16, 8)
        self.head = nn.Linear(16, 9)

    def forward(self, input_ids: Any, position_ids: Any, use_cache: bool = True) -> Any:
        assert not use_cache
        x = self.tokens(input_ids) + self.places(position_ids)
        b, t, _ = x.shape
        q, k, v = (f(x).view(b, t, -1, 4).transpose(1, 2) for f in (self.q, self.k, self.v))
        if self.repeats and t > 1:
            k, v = k.repeat_interleave(2, 1), v.repeat_interleave(2, 1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return (self.head(y.transpose(1, 2).reshape(b, t, 16)),)


@pytest.mark.parametrize("repeats", [False, True])
def test_grouped_heads_keep_one_copy_of_their_keys(tmp_path: Path, repeats: bool) -> None:
    model = Grouped(repeats).eval()
    made = generation.export(model, context=32, page=4, chunk=4)
    assert made.card["generation"]["heads"] == 2
    made.save(tmp_path / "g.argand")
    prompt, how = [1, 2, 3, 4, 5, 6, 7, 8, 0], Sampling(max_tokens=9, temperature=0)
    loaded = ag.export.load(tmp_path / "g.argand")

    async def ask() -> Any:
        return await generator_of(loaded).submit(prompt, how).answers()

    def plain(tokens: Any, positions: Any) -> Any:
        return model(tokens, positions, use_cache=False)[0]

    (answer,) = run(ask())
    assert [d.token for d in answer.tokens] == plain_loop(plain, prompt, how, 32)
    assert answer.text == ""


class Odd(nn.Module):
    """A model that is no causal language model with positions, one way or another."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.tokens = nn.Embedding(5, 8)

    def forward(self, tokens: Any, positions: Any) -> Any:
        x = self.tokens(tokens).unsqueeze(1)
        if self.kind == "mean":
            x = x + x.mean(2, keepdim=True)
        if self.kind == "none":
            return x[:, 0]
        if self.kind in ("window", "bias"):
            far = positions[0, :, None] - positions[0]
            bias = -0.1 * far if self.kind == "bias" else ag.where(far < 8, 0.0, -ag.inf)
            mask = ag.where(far < 0, -ag.inf, bias)
            return F.scaled_dot_product_attention(x, x, x, mask)[:, 0]
        causal = self.kind != "both ways"
        return F.scaled_dot_product_attention(x, x, x, is_causal=causal)[:, 0]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Odd("mean"), "logits are .* off"),
        (Odd("none"), "never calls F.scaled_dot_product_attention"),
        (Odd("both ways"), "attends to tokens that come later"),
        (Odd("window"), "a mask that is not the causal one"),
        (Odd("bias"), "a mask that is not the causal one"),
        (nn.Embedding(5, 5), "an argument positions"),
    ],
)
def test_models_that_cannot_be_cached_are_refused(model: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generation.export(model.eval(), context=16)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"page": 3}, "chunk: a multiple of page"),
        ({"layers": 0}, "layers: an int above 0"),
        ({"roles": ["user"]}, "roles: texts by role"),
        ({"stop": ["x"]}, "stop: a list of ints"),
        ({"pages": 3}, "pages: no such field; did you mean page"),
        ({"heads": 3}, "the signature decode takes keys"),
    ],
)
def test_a_card_that_lies_is_told(program: Any, change: dict[str, Any], message: str) -> None:
    card = {"generation": program.card["generation"] | change}
    signatures = {n: ServedSignature(s) for n, s in program.signatures.items()}
    with pytest.raises((ValueError, ServeError), match=message):
        Generator(signatures, card, program.assets.get)


def test_a_version_that_is_replaced_ends_its_texts_and_lets_its_pages_go(
    program: Any, model: GPT, tmp_path: Path
) -> None:
    put(program, tmp_path, "letters", 1)
    how = Sampling(max_tokens=40, seed=1)

    async def ask() -> tuple[str, str]:
        async with engine_of(tmp_path) as engine:
            old = engine.find("letters")
            begun = generation.begin(old, "the ", sampling=how)
            kept = weakref.ref(generation.generator_of(old).scheduler.pool)
            put(program, tmp_path, "letters", 2)
            polled = asyncio.create_task(engine.poll())
            (answer,) = await begun.answers()
            await polled
            assert (old.state, engine.find("letters").number) == (State.END, 2)
            gc.collect()
            assert kept() is None
            with pytest.raises(ServeError) as caught:
                generation.begin(old, "the ", sampling=how)
            assert caught.value.status is Status.UNAVAILABLE
            (again,) = await generation.begin(
                engine.find("letters"), "the ", sampling=how
            ).answers()
            return answer.text, again.text

    tokens = plain_loop(model, [LETTERS.index(c) for c in "the "], how, CONTEXT)
    expected = "".join(LETTERS[t] for t in tokens)
    assert run(ask()) == (expected, expected)


def test_pages_for_less_than_a_context_make_it_shorter(program: Any, model: GPT) -> None:
    layout = generator_of(program).layout
    how = Sampling(max_tokens=50, seed=3)

    async def ask() -> Any:
        made = generator_of(program, memory=pages_of(3, layout))
        answers = await made.submit([1, 2], how).answers()
        return answers, made

    (answer,), made = run(ask())
    assert [d.token for d in answer.tokens] == plain_loop(model, [1, 2], how, 12)
    assert (answer.finish, made.layout.context, made.facts["pages_used"]) == ("length", 12, 0)
    card = program.card | {"generation": program.card["generation"] | {"context": 1 << 60}}
    signatures = {n: ServedSignature(s) for n, s in program.signatures.items()}
    made = Generator(signatures, card, program.assets.get, GenerationOptions(memory=1 << 20))
    assert made.scheduler.pool.keys.nbytes < 1 << 20
    with pytest.raises(ServeError, match=r"GenerationOptions\.memory is 1"):
        generator_of(program, memory=1)


# -- sampling --------------------------------------------------------------------------------------


def shares_of(logits: np.ndarray, how: Sampling) -> np.ndarray:
    """The probabilities of tokens, told token by token as the definitions have them."""
    shares = np.exp(logits / how.temperature)
    shares /= shares.sum()
    order = sorted(range(len(shares)), key=lambda t: (-shares[t], t))
    order = order[: how.top_k or len(order)]
    mass = sum(shares[t] for t in order)
    kept, total = [], 0.0
    for token in order:
        if total / mass < how.top_p and shares[token] >= how.min_p * shares[order[0]]:
            kept.append(token)
        total += shares[token]
    found = np.zeros_like(shares)
    found[kept] = shares[kept]
    return found / found.sum()


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"temperature": 0.4},
        {"top_k": 7},
        {"top_k": 500},
        {"top_p": 0.6},
        {"min_p": 0.3},
        {"top_k": 20, "top_p": 0.8, "temperature": 1.7},
        {"top_p": 0.95, "min_p": 0.05},
    ],
)
def test_tokens_are_drawn_in_proportion_to_the_probabilities_that_are_left(
    how: dict[str, Any],
) -> None:
    sampling = Sampling(**how)
    logits = np.random.default_rng(5).normal(size=40) * 2
    expected = shares_of(logits, sampling)
    grid = (np.arange(4000) + 0.5) / 4000
    drawn = [draw(logits, [0], 1, sampling, u).token for u in grid]
    found = np.bincount(drawn, minlength=40) / len(grid)
    np.testing.assert_allclose(found, expected, atol=1 / 2000)
    assert set(drawn) <= set(np.flatnonzero(expected))


def test_penalties_and_biases_change_what_they_say() -> None:
    logits = np.array([2.0, 1.9, -1.0, 1.5])
    greedy = {"temperature": 0.0}
    before = [0, 0, 1]

    def token(**how: Any) -> int:
        return draw(logits, before, 1, Sampling(**greedy, **how), 0.5).token

    assert token() == 0
    assert token(repetition_penalty=2.0) == 3  # 1, 0.95, -1, 1.5
    assert token(presence_penalty=0.3) == 0  # 1.7, 1.6, -1, 1.5
    assert token(frequency_penalty=0.2, presence_penalty=0.4) == 3  # 1.4, 1.3, -1, 1.5
    assert token(logit_bias={2: 4.0}) == 2
    seen = np.array([uniform(1, 2, i) for i in range(2000)])
    assert 0.48 < seen.mean() < 0.52
    assert abs(np.corrcoef(seen[1:], seen[:-1])[0, 1]) < 0.06
    assert len({uniform(a, b, c) for a in range(5) for b in range(5) for c in range(5)}) == 125
