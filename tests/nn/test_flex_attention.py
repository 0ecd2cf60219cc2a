"""flex_attention against its formula in NumPy, place by place; masks by blocks as PyTorch's."""

import numpy as np
import pytest

import argand as ag
from argand.nn.attention.flex_attention import (
    AuxRequest,
    BlockMask,
    and_masks,
    create_block_mask,
    create_mask,
    flex_attention,
    or_masks,
)

B, H, L, E = 2, 4, 20, 6
SLOPES = ag.tensor([0.5, 0.25, 0.125, 0.0625])
BIAS = ag.linspace(-1, 1, 2 * L)


def causal(b, h, q, k):
    return q >= k


def window(b, h, q, k):
    return q - k <= 4


MODS = {
    "alibi": (
        lambda s, b, h, q, k: s + SLOPES[h] * (k - q),
        lambda s, h, q, k: s + 0.5 ** (h + 1) * (k - q),
    ),
    "bias": (
        lambda s, b, h, q, k: s + BIAS[q - k + L],
        lambda s, h, q, k: s + float(BIAS[q - k + L]),
    ),
    "cap": (lambda s, b, h, q, k: 2 * ag.tanh(s / 2), lambda s, h, q, k: 2 * np.tanh(s / 2)),
    "any": (
        lambda s, b, h, q, k: ag.where(ag.stack([q == k, q == k + 1]).any(), s, -ag.inf),
        lambda s, h, q, k: s if q - k in (0, 1) else -np.inf,
    ),
    "none": (None, lambda s, h, q, k: s),
}
MASKS = {
    "whole": (None, lambda q, k: True),
    "causal": (causal, lambda q, k: q >= k),
    "window": (and_masks(causal, window), lambda q, k: 0 <= q - k <= 4),
    "nothing": (lambda b, h, q, k: k > q + 10, lambda q, k: k > q + 10),
}


def inputs(*shapes):
    rng = np.random.default_rng(0)
    return [ag.tensor(rng.standard_normal(shape), dtype=ag.float32) for shape in shapes]


def formula(q, k, v, score, keep):
    q, k, v = (x.numpy().astype(float) for x in (q, k, v))
    scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])
    for place in np.ndindex(scores.shape):
        _, h, i, j = place
        scores[place] = score(scores[place], h, i, j) if keep(i, j) else -np.inf
    weights = np.exp(scores)
    total = weights.sum(-1, keepdims=True)
    with np.errstate(divide="ignore"):
        return weights / np.where(total, total, 1) @ v, np.log(total)[..., 0], scores.max(-1)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("mod", MODS)
def test_attention_of_changed_scores(mod, mask):
    q, k, v = inputs(*[(B, H, L, E)] * 3)
    (score_mod, score), (mask_mod, keep) = MODS[mod], MASKS[mask]
    block_mask = mask_mod and create_block_mask(mask_mod, None, None, L, L, BLOCK_SIZE=8)
    wanted, lse, most = formula(q, k, v, score, keep)
    found = flex_attention(q, k, v, score_mod, block_mask)
    np.testing.assert_allclose(found.numpy(), wanted, atol=2e-5)
    request = AuxRequest(lse=True, max_scores=True)
    found, aux = flex_attention(q, k, v, score_mod, block_mask, return_aux=request)
    np.testing.assert_allclose(found.numpy(), wanted, atol=2e-5)
    np.testing.assert_allclose(aux.lse.numpy(), lse, atol=2e-5)
    np.testing.assert_allclose(aux.max_scores.numpy(), most, atol=2e-5)


def test_it_is_differentiated_and_compiled():
    block_mask = create_block_mask(causal, None, None, L, L, BLOCK_SIZE=8)

    def loss(q, k, v):
        return (flex_attention(q, k, v, MODS["alibi"][0], block_mask) ** 2).sum()

    grads = []
    for step in (loss, ag.compile(loss)):
        given = [x.requires_grad_() for x in inputs(*[(B, H, L, E)] * 3)]
        grads.append(ag.autograd.grad(step(*given), given))
    for eager, compiled in zip(*grads, strict=True):
        assert ag.allclose(eager, compiled, atol=1e-5)
    q, k, v = (x.double() for x in inputs(*[(1, 1, 4, 3)] * 3))
    mask = create_block_mask(causal, None, None, 4, 4, BLOCK_SIZE=2)
    leaves = [x.requires_grad_() for x in (q, k, v)]
    attend = lambda *x: flex_attention(*x, MODS["cap"][0], mask)  # noqa: E731
    assert ag.autograd.gradcheck(attend, leaves)


def test_a_compiled_function_takes_masks():
    attend = ag.compile(flex_attention)
    q, k, v = inputs(*[(B, H, L, E)] * 3)
    for mask_mod in (causal, window):
        mask = create_block_mask(mask_mod, None, None, L, L, BLOCK_SIZE=8)
        assert ag.allclose(attend(q, k, v, None, mask), flex_attention(q, k, v, None, mask))


def test_fewer_heads_and_batches_of_keys():
    q, k, v = inputs((B, 8, L, E), (1, 2, L, E), (1, 2, L, 3))
    mask = create_block_mask(causal, B, None, L, L, BLOCK_SIZE=8)
    every = [x.expand(B, 2, *x.shape[2:]).repeat_interleave(4, 1) for x in (k, v)]
    wanted = flex_attention(q, *every, MODS["cap"][0], mask)
    found = flex_attention(q, k, v, MODS["cap"][0], mask, enable_gqa=True)
    assert found.shape == (B, 8, L, 3) and ag.allclose(found, wanted)
    half = flex_attention(q.half(), k.half(), v.half(), None, mask, enable_gqa=True)
    assert half.dtype is ag.float16 and flex_attention(q.double(), *every).dtype is ag.float64


def test_masks_by_blocks():
    mask = create_block_mask(causal, None, None, 40, 40, BLOCK_SIZE=16)
    assert mask.shape == (1, 1, 40, 40) and mask.numel() == 1600
    assert mask.to_dense()[0, 0].tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert mask.kv_num_blocks.tolist() == [[[1, 1, 3]]]  # the last row is cut off: none is full
    assert mask.full_kv_num_blocks.tolist() == [[[0, 1, 0]]]
    assert mask.q_num_blocks.tolist() == [[[2, 2, 1]]] and mask.kv_indices.dtype is ag.int32
    assert abs(mask.sparsity() - 4) < 1e-9
    assert ag.equal(mask.elements(), create_mask(causal, 1, 1, 40, 40))
    assert mask._adjust(20, 33).to_dense()[0, 0].tolist() == [[1, 0, 0], [1, 1, 0]]
    assert str(mask).splitlines()[1:] == ["(0, 0)", "██    ", "████  ", "██████", ")"]
    assert "    sparsity=4.00%,\n    mask_mod=causal\n)" in repr(mask)
    assert mask.as_tuple()[-1] is causal and len(mask.as_tuple(flatten=False)) == 11
    plain = create_block_mask(causal, 1, 1, 40, 40, BLOCK_SIZE=(8, 16), separate_full_blocks=False)
    assert plain.full_kv_indices is None and plain.to_dense().shape == (1, 1, 5, 3)
    assert ag.equal(plain.elements(), mask.elements())


def test_masks_of_given_blocks():
    numbers, columns = ag.tensor([[[1, 2]]]), ag.tensor([[[[1, 0], [0, 1]]]])
    mask = BlockMask.from_kv_blocks(numbers, columns, BLOCK_SIZE=2)
    assert mask.elements()[0, 0].int().tolist() == [[0, 0, 1, 1]] * 2 + [[1, 1, 1, 1]] * 2
    q, k, v = inputs(*[(1, 1, 4, E)] * 3)
    alone = flex_attention(q[:, :, :2], k[:, :, 2:], v[:, :, 2:])
    assert ag.allclose(flex_attention(q, k, v, block_mask=mask)[:, :, :2], alone, atol=1e-6)


def test_parts_of_masks():
    mask = create_block_mask(or_masks(causal, window), 2, 3, 32, 32, BLOCK_SIZE=16)
    assert mask[0, -1].kv_indices.shape == (1, 1, 2, 2) and mask[1].shape == (1, 3, 32, 32)
    with pytest.raises(RuntimeError, match="sliced BlockMask"):
        flex_attention(*inputs(*[(1, 1, 32, E)] * 3), block_mask=mask[0, 0])


def test_masks_of_functions_of_scores():
    found = create_mask(lambda s, b, h, q, k: ag.where(q >= k, s, -ag.inf), None, 2, 3, 3)
    assert found.shape == (1, 2, 3, 3) and ag.equal(found[0, 1], ag.ones(3, 3).tril().bool())


@pytest.mark.parametrize(
    ("shapes", "options", "kind", "text"),
    [
        ([(1, 4, 8, 6), (1, 2, 8, 6), (1, 2, 8, 6)], {}, ValueError, "Hq=4 and Hkv=2"),
        ([(1, 3, 8, 6), (1, 2, 8, 6), (1, 2, 8, 6)], {"enable_gqa": True}, ValueError, "multiple"),
        ([(1, 1, 8, 6), (1, 1, 8, 4), (1, 1, 8, 4)], {}, ValueError, "E=6 and E=4"),
        ([(1, 1, 8, 6), (2, 1, 8, 6), (2, 1, 8, 6)], {}, ValueError, "Bq=1 and Bkv=2"),
        ([(1, 8, 6)] * 3, {}, NotImplementedError, "4D"),
        (
            [(1, 1, 8, 6)] * 3,
            {"block_mask": create_block_mask(causal, 1, 1, 9, 8)},
            ValueError,
            "_adjust",
        ),
    ],
)
def test_what_does_not_fit(shapes, options, kind, text):
    with pytest.raises(kind, match=text):
        flex_attention(*inputs(*shapes), **options)


def test_functions_of_other_arguments_are_refused():
    with pytest.raises(AssertionError, match="mask_mod function"):
        create_block_mask(MODS["cap"][0], 1, 1, 8, 8)
    with pytest.raises(AssertionError, match="4 arguments"):
        create_mask(lambda q, k: q >= k, 1, 1, 8, 8)
    with pytest.raises(ValueError, match="the same dtype"):
        q, k, v = inputs(*[(1, 1, 4, E)] * 3)
        flex_attention(q, k.double(), v.double())
