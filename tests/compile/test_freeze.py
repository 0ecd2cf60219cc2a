"""`freeze=True`: what depends on constant state alone is computed once, until the state moves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import argand as ag
from argand import nn, optim
from argand.compile.constants import split_constants
from argand.ir.text import parse_program
from machines import HERE

TEXT = """
program f(x: f32[4, 8]; state w: f32[16, 8], b: f32[16], steps: i64[]) {
  %0: f32[8, 16] = permute(w) {dims=(1, 0)}
  %1: f32[4, 16] = matmul(x, %0)
  %2: f32[16] = exp(b)
  %3: f32[4, 16] = expand(%2) {shape=(4, 16)}
  %4: f32[4, 16] = add(%1, %3)
  %5: i64[] = add(steps, 1)
  return %4; steps <- %5
}
"""

ONCE = """\
program f.constants(; state w: f32[16, 8], b: f32[16]) {
  %0: f32[8, 16] = permute(w) {dims=(1, 0)}
  %1: f32[16] = exp(b)
  %2: f32[8, 16] = contiguous(%0)
  %3: f32[16] = contiguous(%1)
  return %2, %3
}"""

REST = """\
program f(x: f32[4, 8]; state steps: i64[], "packed.0": f32[8, 16], "packed.1": f32[16]) {
  %0: f32[4, 16] = matmul(x, "packed.0")
  %1: f32[4, 16] = expand("packed.1") {shape=(4, 16)}
  %2: f32[4, 16] = add(%0, %1)
  %3: i64[] = add(steps, 1)
  return %2; steps <- %3
}"""


def test_a_program_is_parted_at_its_constants() -> None:
    split = split_constants(parse_program(TEXT), [True, True, True], "reference")
    assert split is not None
    assert (str(split.once), str(split.rest)) == (ONCE, REST)
    assert (split.sources, split.kept) == ([0, 1], [2])


def test_state_that_may_change_is_no_constant() -> None:
    assert split_constants(parse_program(TEXT), [False, False, True], "reference") is None


CONVOLUTIONS = """
program f(x: f32[1, 4, 6, 6]; state w: f32[8, 4, 3, 3], v: f32[8, 1, 3, 3]) {
  %0: f32[1, 8, 6, 6] = conv2d(x, w) {stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1}
  %1: f32[1, 8, 6, 6] = conv2d(%0, v) {stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=8}
  %2: f32[8, 1, 3, 3] = exp(v)
  return %1, %2, v
}
"""


def test_a_weight_is_stored_in_the_order_that_its_convolution_reads() -> None:
    split = split_constants(parse_program(CONVOLUTIONS), [True, True], "reference")
    assert split is not None
    assert (
        str(split.once)
        == """\
program f.constants(; state w: f32[8, 4, 3, 3], v: f32[8, 1, 3, 3]) {
  %0: f32[8, 1, 3, 3] = exp(v)
  %1: f32[3, 3, 4, 8] = permute(w) {dims=(2, 3, 1, 0)}
  %2: f32[3, 3, 4, 8] = contiguous(%1)
  %3: f32[8, 1, 3, 3] = contiguous(%0)
  return %2, %3
}"""
    )
    # v is a result too, so it stays as it is
    window = "stride=(1, 1), padding=(1, 1), dilation=(1, 1)"
    assert (
        str(split.rest)
        == f"""\
program f(x: f32[1, 4, 6, 6]; state v: f32[8, 1, 3, 3], "packed.0": f32[3, 3, 4, 8], \
"packed.1": f32[8, 1, 3, 3]) {{
  %0: f32[8, 4, 3, 3] = permute("packed.0") {{dims=(3, 2, 0, 1)}}
  %1: f32[1, 8, 6, 6] = conv2d(x, %0) {{{window}, groups=1}}
  %2: f32[1, 8, 6, 6] = conv2d(%1, v) {{{window}, groups=8}}
  return %2, "packed.1", v
}}"""
    )
    assert (split.sources, split.kept) == ([0, 1], [1])


def test_columns_are_stored_in_panels() -> None:
    text = TEXT.replace("8]", "5]").replace("[8", "[5").replace("16", "128")
    with ag.settings.using(target="avx512"):
        split = split_constants(parse_program(text), [True, True, True], "cpu")
    assert split is not None
    assert str(split.once).splitlines()[1:7] == [
        "  %0: f32[5, 128] = permute(w) {dims=(1, 0)}",
        "  %1: f32[128] = exp(b)",
        "  %2: f32[5, 2, 64] = reshape(%0) {shape=(5, 2, 64)}",
        "  %3: f32[2, 5, 64] = permute(%2) {dims=(1, 0, 2)}",
        "  %4: f32[2, 5, 64] = contiguous(%3)",
        "  %5: f32[128] = contiguous(%1)",
    ]
    assert str(split.rest).splitlines()[1:4] == [
        '  %0: f32[5, 2, 64] = permute("packed.0") {dims=(1, 0, 2)}',
        "  %1: f32[5, 128] = reshape(%0) {shape=(5, 128)}",
        "  %2: f32[4, 128] = matmul(x, %1)",
    ]


class _Panels(nn.Module):
    """Products and convolutions whose weights are stored in panels, read in several ways."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(128, 96), nn.Linear(96, 128, bias=False)
        self.head.weight = self.words.weight  # stored as it is: it is read by rows too
        self.first, self.image = nn.Linear(96, 192), nn.Conv2d(3, 64, 3, padding=1, stride=2)
        self.second, self.third = (
            nn.Conv2d(64, 192, 1),
            nn.Conv2d(192, 64, 3, dilation=2, padding=2),
        )

    def forward(self, ids: Any, image: Any) -> Any:
        x = self.words(ids)
        parts = self.first(x).reshape(*x.shape[:2], 6, 32).transpose(1, 2)  # heads of half a panel
        attended = nn.functional.scaled_dot_product_attention(parts, parts, parts)
        joined = attended.transpose(1, 2).flatten(2)[..., :96] + x
        y = self.third(self.second(self.image(image).relu()).relu())
        return self.head(joined) + (joined @ self.first.weight.T).amax(-1, keepdim=True), y


@pytest.mark.parametrize("target", HERE)
def test_weights_in_panels_agree(target: str) -> None:
    ag.manual_seed(0)
    model = _Panels().eval()
    with ag.settings.using(target=target):
        frozen = ag.compile(model, freeze=True)
        for rows, length in ((1, 3), (2, 7), (3, 5)):  # known sizes, then symbols
            ids, image = ag.randint(0, 128, (rows, length)), ag.rand(rows, 3, 9, 7 + length)
            with ag.no_grad():
                for found, expected in zip(frozen(ids, image), model(ids, image), strict=True):
                    np.testing.assert_allclose(
                        found.numpy(), expected.numpy(), rtol=1e-5, atol=2e-5
                    )
                model.second.weight.mul_(1.25)  # seen by the next call


def _images() -> nn.Module:
    ag.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 12, 3, stride=2, padding=1),
        nn.Conv2d(12, 12, 5, padding=2, groups=12),
        nn.ConvTranspose2d(12, 7, 3, stride=2),
        nn.Conv2d(7, 5, 1, bias=False),
    )


def test_convolutions_with_frozen_weights_agree() -> None:
    model = _images()
    frozen = ag.compile(model, freeze=True)
    x = ag.rand(2, 3, 9, 11)
    with ag.no_grad():
        for _ in range(2):
            np.testing.assert_allclose(frozen(x).numpy(), _plain(model, x), rtol=2e-6, atol=2e-6)
            model[0].weight.mul_(1.5)  # seen by the next call
            model[2].weight.sub_(0.5)


def _model() -> nn.Module:
    ag.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 33), nn.BatchNorm1d(33), nn.Tanh(), nn.Linear(33, 7)).eval()


def _plain(model: Any, x: Any) -> Any:
    with ag.no_grad():
        return np.array(model(x).tolist(), np.float32)


@pytest.mark.parametrize("batch", [1, 5])
def test_frozen_and_eager_agree(batch: int) -> None:
    model = _model()
    frozen = ag.compile(model, freeze=True)
    x = ag.rand(batch, 20)
    with ag.no_grad():
        found = [frozen(x), frozen(x)]
    for y in found:
        np.testing.assert_allclose(y.numpy(), _plain(model, x), rtol=2e-6, atol=1e-6)
    assert "constants" in frozen.explain()


def test_a_write_is_seen() -> None:
    model = _model()
    frozen = ag.compile(model, freeze=True)
    x = ag.rand(3, 20)
    with ag.no_grad():
        before = frozen(x).numpy().copy()
        model[0].weight.mul_(2)
        after = frozen(x).numpy()
    assert not np.array_equal(before, after)
    np.testing.assert_allclose(after, _plain(model, x), rtol=2e-6, atol=1e-6)


def test_new_weights_are_seen() -> None:
    model = _model()
    frozen = ag.compile(model, freeze=True)
    x = ag.rand(3, 20)
    with ag.no_grad():
        frozen(x)
        model.load_state_dict({k: v * 0 + 0.5 for k, v in model.state_dict().items()})
        np.testing.assert_allclose(frozen(x).numpy(), _plain(model, x), rtol=2e-6, atol=1e-6)
        model[3].weight.data = ag.ones(7, 33)
        np.testing.assert_allclose(frozen(x).numpy(), _plain(model, x), rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("first", ["compiled", "shared"])
def test_memory_that_numpy_shares_is_read_at_every_call(first: str) -> None:
    model = _model()
    frozen = ag.compile(model, freeze=True)
    x = ag.rand(3, 20)
    with ag.no_grad():
        if first == "compiled":
            frozen(x)
        view = model[0].weight.detach().numpy()
        for factor in (2.0, 0.5, 3.0):
            view *= factor
            np.testing.assert_allclose(frozen(x).numpy(), _plain(model, x), rtol=2e-6, atol=1e-6)


def test_a_parameter_on_an_array_is_shared() -> None:
    array = np.ones((7, 20), np.float32)
    layer = nn.Linear(20, 7, bias=False)
    layer.weight = nn.Parameter(ag.from_numpy(array))
    frozen = ag.compile(layer, freeze=True)
    x = ag.ones(1, 20)
    with ag.no_grad():
        assert float(frozen(x)[0, 0]) == 20.0
        array *= 2
        assert float(frozen(x)[0, 0]) == 40.0


def test_a_training_step_stays_right() -> None:
    losses = []
    for freeze in (False, True):
        ag.manual_seed(1)
        model = nn.Linear(6, 3)
        opt = optim.SGD(model.parameters(), lr=0.1)

        @ag.compile(freeze=freeze)
        def step(x: Any, y: Any, model: Any = model, opt: Any = opt) -> Any:
            opt.zero_grad()
            loss = nn.functional.mse_loss(model(x), y)
            loss.backward()
            opt.step()
            return loss

        x, y = ag.rand(8, 6), ag.rand(8, 3)
        losses.append([float(step(x, y)) for _ in range(4)])
    assert losses[0] == losses[1]
    assert losses[0][3] < losses[0][0]
