"""From a plain causal language model to an archive that generates with pages of keys and values."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from argand.base.dim import Dim
from argand.base.errors import ArgumentError
from argand.export.program import ExportedProgram
from argand.ir import bind as crossroads
from argand.ir.bind import Interpreter
from argand.nn.functional import scaled_dot_product_attention
from argand.nn.module import Module
from argand.ops.attention import ScaledDotProductAttention
from argand.serve.generation.layout import CARD, DECODE, LEAST, PREFILL, Layout
from argand.tensor.core import Tensor, wrap
from argand.tensor.formulas import arange
from argand.tensor.joining import cat, stack
from argand.transform.mode import no_grad

_POSITIONS = ("positions", "position_ids")
_POOL = 4  # pages of the example
_TOLERANCE = 1e-3
_HIDDEN = -1e4  # what a mask adds to scores that are not to count, or less
_MASKED = 1024  # tokens for which masks are looked at


class _Attended(Interpreter):
    """Passes everything on to the interpreter below but attention, which a function computes."""

    def __init__(
        self, below: Interpreter, attend: Callable[..., Tensor], reads_masks: bool = False
    ) -> None:
        self.below = below
        self.attend = attend
        self.reads_masks = reads_masks
        for name in vars(Interpreter):
            if name not in vars(_Attended) and not name.startswith("__"):
                setattr(self, name, getattr(below, name))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.below, name)

    def bind(self, op: Any, inputs: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, ...]:
        if not isinstance(op, ScaledDotProductAttention):
            return self.below.bind(op, inputs, params)
        if not (params["is_causal"] or len(inputs) > 3 or inputs[0].shape[-2] == 1):
            raise ArgumentError(
                "the model attends to tokens that come later: generation takes a causal model, "
                "scaled_dot_product_attention(..., is_causal=True)"
            )
        if self.reads_masks and len(inputs) > 3:
            _check_mask(inputs[3].numpy_array(), inputs[0].shape[-2])
        with crossroads.interpreting(self.below):
            return (self.attend(*inputs[:3], params["scale"]),)


def _check_mask(mask: np.ndarray, length: int) -> None:
    """Refuse a mask that does anything but hide the tokens that come later."""
    bias = np.where(mask, 0.0, -np.inf) if mask.dtype == bool else mask.astype(np.float64)
    bias = np.broadcast_to(bias, (*mask.shape[:-2], length, length))
    earlier = np.tri(length, dtype=bool)
    if (bias[..., earlier] != 0).any() or (bias[..., ~earlier] > _HIDDEN).any():
        raise ArgumentError(
            "the model's attention has a mask that is not the causal one (a window, or a bias by "
            f"the distance), seen with {length} tokens; generation takes causal models"
        )


class Pages:
    """The attention of one call: keys and values of earlier tokens from pages, and new ones.

    `pools` are keys and values (layers, pool, page, heads, width), `table` (rows, pages) and
    `start` (rows) say where those of each row are.
    """

    def __init__(self, start: Tensor, table: Tensor, pools: tuple[Tensor, Tensor]) -> None:
        self.start = start
        self.table = table
        self.pools = pools
        self.new: tuple[list[Tensor], list[Tensor]] = ([], [])

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Attention of the new tokens to all up to themselves; a mask of the model's is dropped."""
        tokens = query.shape[-2]
        earlier = self.table.shape[1] * self.pools[0].shape[2]
        keys, values = (self._all(i, x) for i, x in enumerate((key, value)))
        rows = self.table.shape[0]
        ones = (1,) * (query.ndim - 2)
        stored = (arange(earlier) < self.start.reshape(rows, 1)).reshape(rows, *ones, earlier)
        order = arange(tokens)
        fresh = (order.reshape(tokens, 1) >= order).reshape(1, *ones[1:], tokens, tokens)
        mask = cat(
            [
                stored.expand(rows, *ones[1:], tokens, earlier),
                fresh.expand(rows, *ones[1:], tokens, tokens),
            ],
            -1,
        )
        found: Tensor = scaled_dot_product_attention(query, keys, values, mask, scale=scale)
        return found

    def _all(self, which: int, new: Tensor) -> Tensor:
        """Keys, or values, of the earlier tokens with the new ones behind them."""
        heads, width = self.pools[which].shape[3:]
        own = new[:, :, 0] if new.ndim == 5 else new  # heads of queries share them in groups,
        copies = own.shape[1] // heads  # or they were repeated for these before
        own = own[:, ::copies] if copies > 1 else own
        rows = own.shape[0]
        layer = len(self.new[which])
        self.new[which].append(own.transpose(1, 2))
        found: Tensor = self.pools[which][layer][self.table]
        found = found.reshape(rows, found.shape[1] * found.shape[2], heads, width).transpose(1, 2)
        found = cat([found, own], 2)
        if copies > 1:
            found = found.repeat_interleave(copies, 1)
        if new.ndim == 5:
            found = found.unsqueeze(2).expand(*new.shape[:3], found.shape[2], width)
        return found

    def stacked(self) -> dict[str, Tensor]:
        """The new keys and values of all layers: (layers, rows, tokens, heads, width)."""
        return {"new_keys": stack(self.new[0]), "new_values": stack(self.new[1])}


def _caller(model: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """The logits of a model for tokens at positions."""
    function = model.forward if isinstance(model, Module) else model
    names = list(inspect.signature(function).parameters)
    named = next((n for n in _POSITIONS if n in names), None)
    if named is None:
        raise ArgumentError(
            "generation takes a model whose forward has an argument positions (or position_ids), "
            "the places of the tokens; forward(tokens, positions) with "
            "self.embedding(tokens) + self.places(positions)"
        )
    options = {"use_cache": False} if "use_cache" in names else {}

    def call(tokens: Tensor, positions: Tensor) -> Tensor:
        found = model(tokens, **{named: positions}, **options)
        found = getattr(found, "logits", found)
        logits: Tensor = found[0] if isinstance(found, tuple) else found
        return logits

    return call


def _paged(call: Callable[[Tensor, Tensor], Tensor], pages: Pages, tokens: Tensor) -> Tensor:
    """The logits of tokens behind those in pages."""
    positions = pages.start.reshape(-1, 1) + arange(tokens.shape[1])
    with crossroads.interpreting(_Attended(crossroads.current(), pages.attend)):
        return call(tokens, positions)


def export(
    model: Any,
    *,
    context: int,
    page: int = 16,
    chunk: int = 64,
    vocabulary: Sequence[str] | None = None,
    tokenizer: str | None = None,
    type: str = "tokenizers",
    unknown: str = "[UNK]",
    start: Sequence[int] = (),
    stop: Sequence[int] = (),
    roles: Mapping[str, str] | None = None,
    stop_texts: Sequence[str] = (),
    card: Mapping[str, Any] | None = None,
) -> ExportedProgram:
    """A causal language model as a program that a server generates text with.

    The model is a module (in `eval` mode) or a function: token ids (rows, length) and the argument
    `positions` (or `position_ids`), their places, give logits (rows, length, vocabulary), or an
    object with `logits`. Its attention is `F.scaled_dot_product_attention`, which is exchanged for
    one over pages of keys and values; a mask must be the causal one, which is checked for up to
    1,024 tokens, and a window in a transformers model's `config` is refused. That a few tokens give
    the same is checked before anything is returned.

    Args:
        model: the module or function.
        context: the most tokens of a text, prompt included.
        page: the tokens of a page of the cache.
        chunk: the tokens of a prompt that are computed at once; a multiple of `page`.
        vocabulary: for a token a character, the characters; else
        tokenizer: the contents of a tokenizer's file, and
        type: what it is; see `ag.export.card.text`.
        unknown: the token for what the vocabulary lacks.
        start: token ids before each prompt that is a text.
        stop: token ids that end a text.
        roles: for chats, what stands for a message: `{"user": "Q: {content}\\n", "prompt": "A:"}`.
        stop_texts: what ends an answer in a chat besides.
        card: further fields of the model card.

    Raises ArgumentError where the model takes no positions, is not causal, or can't be cached.

    >>> class Last(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.embedding = nn.Embedding(3, 4)
    ...     def forward(self, tokens, positions):
    ...         x = self.embedding(tokens).unsqueeze(1)
    ...         return F.scaled_dot_product_attention(x, x, x, is_causal=True)[:, 0, :, :3]
    >>> program = ag.serve.generation.export(Last().eval(), context=32, vocabulary="abc")
    >>> list(program.signatures)
    ['prefill', 'decode']
    """
    call = _caller(model)
    _check_window(model, context)
    with no_grad():
        layers, heads, width, dtype = _shape_of_cache(call, context)
    assets: dict[str, bytes] = {}
    if vocabulary is not None:
        assets["vocabulary.json"] = json.dumps(list(vocabulary)).encode()
        type = "characters"
    elif tokenizer is not None:
        assets["tokenizer.json" if type == "tokenizers" else "vocabulary.txt"] = tokenizer.encode()
    layout = Layout(
        layers,
        heads,
        width,
        page,
        chunk,
        context,
        tokenizer=next(iter(assets), None),
        type=type,
        unknown=unknown,
        start=tuple(start),
        stop=tuple(stop),
        stop_texts=tuple(stop_texts),
        **({} if roles is None else {"roles": roles}),
    )
    program = ExportedProgram()
    program.card = {**(card or {}), CARD: layout.fields()}
    program.assets = assets
    pool = np.zeros((layers, _POOL, page, heads, width), dtype.numpy)
    _add_signatures(program, call, layout, pool)
    with no_grad():
        _check(program, call, layout, pool)
    return program


def _check_window(model: Any, context: int) -> None:
    """Refuse a model of transformers whose tokens see only those of a window before them."""
    config = getattr(model, "config", None)
    window = getattr(config, "sliding_window", None) or context
    if window < context and getattr(config, "use_sliding_window", True):
        raise ArgumentError(
            f"the model attends within a window of {window} tokens, fewer than the context "
            f"{context}; generation takes causal models: give context={window}"
        )


def _shape_of_cache(call: Any, context: int) -> tuple[int, int, int, Any]:
    """Layers, heads, width and dtype of the keys, from a call."""
    seen: list[tuple[Any, ...]] = []

    def attend(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        own = key[:, :, 0] if key.ndim == 5 else key
        if (
            key.ndim not in (4, 5)
            or own.shape != (value[:, :, 0] if key.ndim == 5 else value).shape
        ):
            raise ArgumentError(
                f"generation takes keys and values (rows, heads, length, width), got "
                f"{tuple(key.shape)} and {tuple(value.shape)}"
            )
        seen.append((int(own.shape[1]), int(own.shape[3]), own.dtype))
        found: Tensor = scaled_dot_product_attention(query, key, value, is_causal=True)
        return found

    def look(length: int, reads_masks: bool) -> None:
        tokens = wrap(np.zeros((1, length), np.int64))
        with crossroads.interpreting(_Attended(crossroads.current(), attend, reads_masks)):
            call(tokens, arange(length).reshape(1, length))

    look(min(context, _MASKED), True)
    seen.clear()
    for length in (1, min(context, LEAST)):  # some repeat the keys' heads for one of these
        look(length, False)
    if not seen:
        raise ArgumentError("the model never calls F.scaled_dot_product_attention")
    heads, width, dtype = min(seen, key=lambda shape: shape[0])
    if any(h % heads or (w, d) != (width, dtype) for h, w, d in seen):
        raise ArgumentError(f"the layers' keys have several shapes: {set(seen)}")
    return len(seen) // 2, heads, width, dtype


def _add_signatures(program: ExportedProgram, call: Any, layout: Layout, pool: np.ndarray) -> None:
    def prefill(
        tokens: Tensor, start: Tensor, table: Tensor, wanted: Tensor, keys: Tensor, values: Tensor
    ) -> Any:
        pages = Pages(start, table, (keys, values))
        logits = _paged(call, pages, tokens)
        return {"logits": logits[0][wanted], **pages.stacked()}

    def decode(tokens: Tensor, start: Tensor, table: Tensor, keys: Tensor, values: Tensor) -> Any:
        pages = Pages(start, table, (keys, values))
        logits = _paged(call, pages, tokens)
        return {"logits": logits[:, 0], **pages.stacked()}

    def zeros(*shape: int) -> Tensor:
        return wrap(np.zeros(shape, np.int64))

    keys, values = (wrap(pool.copy()) for _ in range(2))
    rows, wanted = Dim("rows", min=LEAST), Dim("wanted", min=LEAST)
    chunk = Dim("chunk", min=LEAST, max=max(LEAST, min(layout.chunk, layout.context)))
    table = Dim("pages", min=LEAST, max=max(layout.table_size(layout.context), _POOL))
    pools = {1: Dim("pool", min=LEAST)}
    program.add_signature(
        PREFILL,
        prefill,
        (zeros(1, LEAST), zeros(1), zeros(1, LEAST + 1), zeros(LEAST), keys, values),
        dynamic_shapes=({1: chunk}, {}, {1: table}, {0: wanted}, pools, pools),
    )
    program.add_signature(
        DECODE,
        decode,
        (zeros(LEAST, 1), zeros(LEAST), zeros(LEAST, LEAST + 1), keys, values),
        dynamic_shapes=({0: rows}, {0: rows}, {0: rows, 1: table}, pools, pools),
    )


def _check(program: ExportedProgram, call: Any, layout: Layout, pool: np.ndarray) -> None:
    """Compare a few tokens of both signatures with the plain model."""
    length = min(layout.context, LEAST + 2)
    if length < LEAST + 1:
        return
    plain = call(wrap(np.arange(length)[None] % LEAST), arange(length).reshape(1, length))
    pools = [pool.copy(), pool.copy()]
    head = length - 1
    table, tokens = np.array([[1, 2, 3]]), np.arange(length) % LEAST
    found = program.signatures[PREFILL](
        tokens[None, :head], np.array([0]), table, np.array([0, head - 1]), *pools
    )
    for i in range(head):
        place = (slice(None), 1 + i // layout.page, i % layout.page)
        pools[0][place] = found["new_keys"].numpy_array()[:, 0, i]
        pools[1][place] = found["new_values"].numpy_array()[:, 0, i]
    last = program.signatures[DECODE](
        np.repeat(tokens[-1:, None], 2, 0), np.full(2, head), np.repeat(table, 2, 0), *pools
    )
    for name, a, b in (
        ("prefill", found["logits"][-1], plain[0, head - 1]),
        ("decode", last["logits"][0], plain[0, head]),
    ):
        off = float((a - b).abs().max().item()) / max(float(b.abs().max().item()), 1e-30)
        if not off <= _TOLERANCE:
            raise ArgumentError(
                f"with the cache, the model's logits are {off:.2g} off ({name}): what a token "
                "gives must depend on the tokens before it by F.scaled_dot_product_attention, and "
                "on its position by the argument, alone"
            )


__all__ = ["Pages", "export"]
