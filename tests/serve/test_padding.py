"""Requests of different lengths in one batch: the bits, what is refused, and what is declared."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import run
from web import asked

import argand as ag
from argand import nn
from argand.nn import functional as F
from argand.serve import BatchOptions, Engine, ModelOptions, ServeError, padding_trials, serve
from argand.serve.batching import Batch
from argand.serve.config import read_config
from argand.serve.padding import Padding
from argand.serve.signature import ServedSignature, served_signatures
from argand.serve.trials import Trials

WORDS = 50


class Encoder(nn.Module):
    """Attention with a boolean mask, a network, and a mean of the words that are there."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, width), nn.Embedding(128, width)
        self.norm, self.qkv = nn.LayerNorm(width), nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, ids: Any, mask: Any) -> Any:
        rows, length = ids.shape
        x = self.words(ids) + self.places(ag.arange(length))
        q, k, v = (
            t.reshape(rows, length, 2, -1).transpose(1, 2)
            for t in self.qkv(self.norm(x)).chunk(3, -1)
        )
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None].bool())
        x = x + F.gelu(self.out(attended.transpose(1, 2).reshape(rows, length, -1)))
        weights = mask.unsqueeze(-1).to(x.dtype)
        return x, (x * weights).sum(1) / weights.sum(1)


class Layers(nn.Module):
    """nn.TransformerEncoder with a mask that is True for what is not there."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, 2, 32, dropout=0.0, batch_first=True)
        self.words, self.encoder = nn.Embedding(WORDS, width), nn.TransformerEncoder(layer, 2)

    def forward(self, ids: Any, mask: Any) -> Any:
        x = self.encoder(self.words(ids), src_key_padding_mask=mask)
        return x, x[:, 0]


class Additive(nn.Module):
    """Attention of floats, masked by a large number that is added, as old models have it."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)

    def forward(self, x: Any, mask: Any) -> Any:
        scores = self.query(x) @ x.transpose(1, 2) + (mask == 0).unsqueeze(1) * -1e30
        return F.softmax(scores, -1) @ x


def masked(model: nn.Module, *, as_bool: bool = False, most: int = 64) -> Any:
    """The program of a model of ids and a mask, any number of rows of any length."""
    sizes = {0: ag.Dim("rows"), 1: ag.Dim("length", max=most)}
    ids = ag.randint(0, WORDS, (2, 7))
    mask = ag.zeros(2, 7, dtype=ag.bool) if as_bool else ag.ones(2, 7, dtype=ag.int64)
    program = ag.export.export(model.eval(), (ids, mask), dynamic_shapes=(sizes, sizes))
    program.card["padded"] = {"length": {"ids": 0, "mask": as_bool or 0}}
    return program


def floats(function: Any, dims: Mapping[int, Any], *more: Any, **padded: Any) -> Any:
    """The program of a function of (rows, length, 8) and others."""
    args = (ag.ones(2, 7, 8), *more)
    shapes = tuple({d: s for d, s in dims.items() if d < a.ndim} for a in args)
    program = ag.export.export(function, args, dynamic_shapes=shapes)
    program.card["padded"] = padded
    return program


def trial(program: Any, **options: Any) -> ServedSignature:
    """Its signature after the trial calls."""
    (signature,) = served_signatures(program, BatchOptions(**options)).values()
    Trials(signature, program.samples).run(32)
    return signature


Arrays = list[np.ndarray]


def together(signature: ServedSignature, requests: Sequence[Arrays]) -> list[Arrays]:
    """The outputs of requests in one padded batch."""
    padding = signature.padding
    assert padding is not None
    names = [x.name for x in signature.inputs]
    sizes = [signature.check(dict(zip(names, r, strict=True))).sizes for r in requests]
    found = signature.run(padding.together(requests, sizes))
    outputs, start = [], 0
    for request, own in zip(requests, sizes, strict=True):
        outputs.append(padding.cut(found, slice(start, start + len(request[0])), own))
        start += len(request[0])
    return outputs


def assert_bits(signature: ServedSignature, requests: Sequence[Arrays]) -> None:
    """Each request has in a padded batch the bits that it has alone."""
    for request, found in zip(requests, together(signature, requests), strict=True):
        for a, b in zip(found, signature.run(request), strict=True):
            assert a.shape == b.shape
            assert a.tobytes() == b.tobytes()


def a_text(random: np.random.Generator, length: int, *, as_bool: bool = False) -> Arrays:
    """One to three rows of ids, of which some are masked."""
    rows = int(random.integers(1, 4))
    there = random.random((rows, length)) < 0.8
    there[:, 0] = True
    mask = ~there if as_bool else there.astype(np.int64)
    return [random.integers(0, WORDS, (rows, length)), mask]


# -- the bits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_onnx", [False, True])
@pytest.mark.parametrize("kind", [Encoder, Layers])
def test_padded_requests_have_the_bits_that_they_have_alone(
    kind: Any, as_onnx: bool, tmp_path: Path
) -> None:
    ag.manual_seed(0)
    model, as_bool = kind(), kind is Layers
    program = masked(model, as_bool=as_bool)
    if as_onnx:
        pytest.importorskip("onnx")
        sizes = {0: ag.Dim("rows"), 1: ag.Dim("length")}
        mask = ag.zeros(2, 7, dtype=ag.bool) if as_bool else ag.ones(2, 7, dtype=ag.int64)
        args = (ag.randint(0, WORDS, (2, 7)), mask)
        ag.onnx.export(model, args, tmp_path / "m.onnx", dynamic_shapes=(sizes, sizes))
        program = ag.onnx.load(tmp_path / "m.onnx")
        program.card["padded"] = {"length": {"ids": 0, "mask": as_bool or 0}}
    signature = trial(program)
    assert signature.padding_reason is None
    assert signature.padding is not None
    assert signature.padding.largest["length"] >= 64
    random = np.random.default_rng(1)
    for least, most in ((2, 4), (5, 9), (30, 34), (33, 64), (2, 64)):
        lengths = [least, most, *random.integers(least, most + 1, 4)]
        assert_bits(signature, [a_text(random, int(n), as_bool=as_bool) for n in lengths])


def test_requests_of_random_lengths_are_answered_as_alone_by_fewer_calls() -> None:
    ag.manual_seed(0)
    program = masked(Encoder())
    random = np.random.default_rng(2)
    requests = [a_text(random, int(n)) for n in random.integers(0, 65, 80)]
    batches: list[Batch] = []

    async def ask(engine: Engine) -> list[Any]:
        version = engine.find("words")
        signature = version.signature()
        futures = [version.submit(signature, {"ids": x, "mask": m}) for x, m in requests]
        return await asyncio.gather(*futures)

    async def both() -> tuple[list[Any], list[Any]]:
        engine = Engine()
        engine.observers.append(lambda version, batch: batches.append(batch))
        await engine.add("words", program)
        padded, calls = await ask(engine), list(batches)
        await engine.close()
        assert sum(b.requests for b in calls) == 80
        assert len(calls) < 35
        share = sum(b.padded for b in calls) / sum(b.elements for b in calls)
        assert 0.01 < share < 0.25
        batches.clear()
        exact = Engine(default=ModelOptions(batching=BatchOptions(padded={}, max_rows=1)))
        exact.observers.append(lambda version, batch: batches.append(batch))
        await exact.add("words", program)
        alone = await ask(exact)
        await exact.close()
        assert sum(b.padded for b in batches) == 0
        return padded, alone

    for found, expected in zip(*run(both()), strict=True):
        for a, b in zip(found, expected, strict=True):
            assert a.shape == b.shape
            assert a.tobytes() == b.tobytes()


def test_workers_find_out_and_pad_as_well() -> None:
    pytest.importorskip("msgspec")
    ag.manual_seed(0)
    good, bad = masked(Encoder()), masked(Encoder())
    bad.card["padded"] = {"length": {"ids": 0, "mask": 1}}  # what is appended counts
    random = np.random.default_rng(3)
    requests = [a_text(random, int(n)) for n in random.integers(40, 47, 12)]
    batches: list[Batch] = []

    async def ask() -> tuple[list[Any], Any]:
        engine = Engine(workers=1)
        engine.observers.append(lambda version, batch: batches.append(batch))
        version = await engine.add("words", good)
        other = (await engine.add("wrong", bad)).signature()
        signature = version.signature()
        futures = [version.submit(signature, {"ids": x, "mask": m}) for x, m in requests]
        found = await asyncio.gather(*futures)
        await engine.close()
        return found, other

    found, other = run(ask())
    assert other.padding is None
    assert "has other bits than computed alone" in other.padding_reason
    assert len(batches) < 7
    assert sum(b.padded for b in batches) > 0
    for request, outputs in zip(requests, found, strict=True):
        tensors = [ag.tensor(a) for a in request]
        for a, b in zip(outputs, good.default.flat(tensors), strict=True):
            assert a.tobytes() == b.detach().numpy().tobytes()


def test_hostile_values_stay_in_their_rows() -> None:
    ag.manual_seed(0)
    dims = {0: ag.Dim("rows"), 1: ag.Dim("length", max=64)}
    program = floats(Additive().eval(), dims, ag.ones(2, 7), length={"x": 0.0, "mask": 0})
    signature = trial(program)
    assert signature.padding_reason is None
    random = np.random.default_rng(4)
    for hostile in (np.nan, np.inf, -np.inf, 3e38, 1e-40, -0.0):
        requests = []
        for length in (9, 12, 10, 11):
            x = random.standard_normal((2, length, 8)).astype(np.float32)
            x[0, random.integers(length)] = hostile if len(requests) % 2 else 1.0
            mask = (random.random((2, length)) < 0.7).astype(np.float32)
            mask[:, -1] = 1.0
            requests.append([x, mask])
        assert_bits(signature, requests)


def test_a_request_that_masks_everything_is_not_padded() -> None:
    ag.manual_seed(0)
    dims = {0: ag.Dim("rows"), 1: ag.Dim("length", max=64)}
    program = floats(Additive().eval(), dims, ag.ones(2, 7), length={"x": 0.0, "mask": 0})
    signature = trial(program)
    x, mask = np.ones((2, 10, 8), np.float32), np.ones((2, 10), np.float32)
    usual = signature.check({"x": x, "mask": mask}).key
    longer = signature.check({"x": np.ones((1, 12, 8), np.float32), "mask": np.ones((1, 12), "f4")})
    assert longer.key == usual
    mask[1] = 0.0  # attends to all, padding as well: the bits would be others
    alone = signature.check({"x": x, "mask": mask})
    assert alone.key != usual
    (found,) = signature.run([x, mask])
    (padded, _) = together(
        signature, [[x, mask], [np.ones((1, 12, 8), "f4"), np.ones((1, 12), "f4")]]
    )
    assert padded[0][0].tobytes() == found[0].tobytes()
    assert padded[0][1].tobytes() != found[1].tobytes()


def test_several_sizes_ints_and_floats_and_outputs_with_and_without_them() -> None:
    def pooled(x: Any, kinds: Any, steps: Any) -> Any:
        there = (kinds > 0).to(x.dtype).unsqueeze(-1) * steps[:, None, :, None]
        x = x * there
        return x, x.sum(2), x.sum(2).sum(1), kinds * 3, kinds.sum(2).sum(1)

    rows, height, width = ag.Dim("rows"), ag.Dim("height", max=20), ag.Dim("width", max=24)
    args = (ag.ones(2, 5, 6, 3), ag.ones(2, 5, 6, dtype=ag.int32), ag.ones(2, 6))
    shapes = (*[{0: rows, 1: height, 2: width}] * 2, {0: rows, 1: width})
    program = ag.export.export(pooled, args, dynamic_shapes=shapes)
    program.card["padded"] = {
        "height": {"x": 0, "kinds": 0},
        "width": {"x": -1.5, "kinds": 0, "steps": 0},
    }
    signature = trial(program, max_padding=0.5)
    assert signature.padding_reason is None
    assert signature.padding is not None
    assert signature.padding.largest == {"height": 20, "width": 24}
    random = np.random.default_rng(5)
    for least, most in ((2, 3), (4, 7), (10, 19)):
        requests = []
        for _ in range(5):
            n, h, w = random.integers(1, 4), *random.integers(least, most + 1, 2)
            x = random.standard_normal((n, h, w, 3)).astype(np.float32)
            kinds = random.integers(0, 9, (n, h, w)).astype(np.int32)
            requests.append([x, kinds, random.standard_normal((n, w)).astype(np.float32)])
        assert_bits(signature, requests)


def test_an_output_may_be_shorter_by_a_number() -> None:
    """Convolutions that see no padding need no mask, but for the outputs that do."""
    ag.manual_seed(0)
    convolution = nn.Conv1d(8, 4, 3).eval()

    def valid(x: Any) -> Any:
        return convolution(x.transpose(1, 2)).transpose(1, 2)

    dims = {0: ag.Dim("rows"), 1: ag.Dim("length", min=3, max=40)}
    signature = trial(floats(valid, dims, length={"x": 0}))
    assert signature.padding_reason is None
    random = np.random.default_rng(6)
    requests = [[random.standard_normal((1, n, 8)).astype(np.float32)] for n in (9, 8, 9, 7)]
    assert_bits(signature, requests)
    assert together(signature, requests)[3][0].shape == (1, 5, 4)


# -- what does not qualify -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.mean(1),
        lambda x: F.softmax(x, 1),
        lambda x: x.amax(1),
        lambda x: x.flip(1),
        lambda x: x / x.shape[1],
        lambda x: x.norm(dim=1).nan_to_num() * 0 + x.shape[1] // 40,  # from 40 on
    ],
    ids=["mean", "softmax", "max", "flip", "length", "long"],
)
def test_a_model_that_sees_the_padding_is_refused_and_answers_right(
    function: Any, caplog: pytest.LogCaptureFixture
) -> None:
    dims = {0: ag.Dim("rows"), 1: ag.Dim("length", max=64)}
    program = floats(function, dims, length={"x": 0})
    requests = [np.full((1, n, 8), float(n), np.float32) for n in (50, 48, 50, 49)]

    async def ask() -> tuple[Any, list[Any]]:
        engine = Engine()
        version = await engine.add("seeing", program)
        signature = version.signature()
        futures = [version.submit(signature, {"x": x}) for x in requests]
        found = await asyncio.gather(*futures)
        await engine.close()
        return signature, found

    with caplog.at_level(logging.WARNING, "argand.serve"):
        signature, found = run(ask())
    assert signature.batched
    assert signature.padding is None
    assert "has other bits than computed alone" in signature.padding_reason
    assert "seeing version 1, serving_default is not padded: a request" in caplog.text
    for x, (y,) in zip(requests, found, strict=True):
        np.testing.assert_array_equal(y, program(ag.tensor(x)).numpy())


def test_sizes_are_padded_only_as_far_as_they_were_tried() -> None:
    ag.manual_seed(0)
    signature = trial(masked(Encoder(), most=2000))  # which has places for 128
    assert signature.padding is not None
    assert signature.padding.largest == {"length": 128}
    keys = {}
    for length in (1, 100, 110, 129, 130):
        ids = np.ones((1, length), np.int64)
        keys[length] = signature.check({"ids": ids, "mask": ids}).key
    assert keys[100] == keys[110]
    assert len(set(keys.values())) == 4


def test_trials_take_no_more_memory_than_is_reasonable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(padding_trials, "ELEMENTS", 4 * 16 * 8)
    dims = {0: ag.Dim("rows"), 1: ag.Dim("length", max=5000)}
    signature = trial(floats(lambda x: x + 1, dims, length={"x": 0}))
    assert signature.padding is not None
    assert signature.padding.largest["length"] == 16


def test_a_bucket_bounds_the_share_of_padding() -> None:
    program = masked(Encoder())
    info = program.default
    for share in (0.0, 0.1, 0.25, 0.5, 0.9):
        padding = Padding(program.card["padded"], info.inputs, info.outputs, share)
        padding.limit({"length": 1000})
        buckets: dict[Any, list[int]] = {}
        for length in range(1001):
            ids = np.ones((1, length), np.int64)
            key = padding.key([ids, ids], {"rows": 1, "length": length})
            buckets.setdefault(key, []).append(length)
        assert buckets.pop((0, (), ())) == [0]
        assert (1 in [b[0] for b in buckets.values()]) and [1] in buckets.values()
        for lengths in buckets.values():
            assert lengths == list(range(lengths[0], lengths[-1] + 1))
            assert 1 - lengths[0] / lengths[-1] <= share + 1e-9
        if share == 0.5:
            assert [2, 3, 4] in buckets.values()


# -- what is declared ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("padded", "message"),
    [
        (5, "card.padded: expected values by the names of sizes, got 5"),
        ({"length": 0}, "card.padded.length: expected values by the names of inputs, got 0"),
        ({"lenght": {"ids": 0}}, "did you mean length"),
        ({"rows": {"ids": 0, "mask": 0}}, "the first dimension of 'ids', which has the rows"),
        ({"length": {"ids": 0}}, "it lacks the value for 'mask'"),
        ({"length": {"ids": 0, "mask": 0, "mesk": 0}}, "length.mesk: no input of that name"),
        ({"length": {"ids": 0.5, "mask": 0}}, "card.padded.length.ids: expected int64, got 0.5"),
        ({"length": {"ids": 2**63, "mask": 0}}, "expected int64, got 9223372036854775808"),
        ({"length": {"ids": 0, "mask": True}}, "length.mask: expected int64, got True"),
    ],
)
def test_a_declaration_that_does_not_fit_is_refused(
    padded: Any, message: str, tmp_path: Path
) -> None:
    program = masked(Encoder())
    with pytest.raises(ag.base.errors.ArgumentError) as caught:
        program.save(tmp_path / "m.argand", card={"padded": padded})
    assert message in str(caught.value)
    program.card["padded"] = padded
    with pytest.raises(ServeError) as told:
        served_signatures(program, BatchOptions())
    assert str(told.value) == str(caught.value)


def test_parts_of_other_sizes_are_no_sizes_to_pad() -> None:
    half = ag.Dim("half")
    program = ag.export.export(
        lambda x, y: x.sum(1) + y.sum(1),
        (ag.ones(2, 3), ag.ones(2, 6)),
        dynamic_shapes=({0: ag.Dim("n"), 1: half}, {0: ag.Dim("n"), 1: 2 * half}),
    )
    program.card["padded"] = {"half": {"x": 0, "y": 0}}
    with pytest.raises(ServeError, match=r"the input 'y' has a dimension 2\*half; only sizes"):
        served_signatures(program, BatchOptions())


def test_options_stand_in_place_of_the_card(tmp_path: Path) -> None:
    ag.manual_seed(0)
    program = masked(Encoder())
    assert trial(program, padded={}).padding is None
    assert trial(program, max_padding=0.0).padding is None
    del program.card["padded"]
    assert trial(program).findings == (None, None, None)
    path = tmp_path / "serve.toml"
    path.write_text(
        "[models.words.batching]\nmax_padding = 0.4\n"
        "[models.words.batching.padded.length]\nids = 0\nmask = 0\n"
    )
    batching = read_config(path).models["words"].batching
    assert batching.padded == {"length": {"ids": 0, "mask": 0}}
    (signature,) = served_signatures(program, batching).values()
    assert signature.padding is not None
    assert signature.padding.share == pytest.approx(0.4)
    for wrong, message in (
        ("max_padding = 1", "models.words.batching: max_padding must be below 1, got 1"),
        ("max_padding = -0.5", "max_padding must be at least 0, got -0.5"),
        ("padded = { length = 5 }", "models.words.batching.padded must be"),
        ('padded = { length = { ids = "0" } }', "models.words.batching.padded must be"),
    ):
        path.write_text(f"[models.words.batching]\n{wrong}\n")
        with pytest.raises(ag.base.errors.ArgumentError, match=message):
            read_config(path)


def test_why_lengths_are_not_mixed_is_told_over_http(tmp_path: Path) -> None:
    pytest.importorskip("httptools")
    dims = {0: ag.Dim("rows"), 1: ag.Dim("length", max=64)}
    with serve(floats(lambda x: x.mean(1), dims, length={"x": 0}), port=0, block=False) as server:
        told = asked(server, "GET", "/v2/models/model/config").json["parameters"]
    assert list(told) == ["not_padded"]
    assert "has other bits than computed alone" in told["not_padded"]["string_value"]
