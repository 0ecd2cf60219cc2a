"""Masks of attention by blocks: BlockMask, and the functions that make one."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

from argand.base.dtype import bool_, float32, int8, int32
from argand.base.late import resolve
from argand.nn.functional import pad
from argand.tensor.core import Tensor
from argand.tensor.creation import zeros
from argand.tensor.formulas import arange

Mod = Callable[..., Any]
BLOCK = 128
_TENSORS = (
    "kv_num_blocks",
    "kv_indices",
    "full_kv_num_blocks",
    "full_kv_indices",
    "q_num_blocks",
    "q_indices",
    "full_q_num_blocks",
    "full_q_indices",
)


def noop_mask(batch: Any, head: Any, token_q: Any, token_kv: Any) -> Any:
    """True: every query takes every key.

    >>> from argand.nn.attention.flex_attention import create_mask, noop_mask
    >>> create_mask(noop_mask, 1, 1, 1, 2)
    tensor([[[[True, True]]]])
    """
    return batch.new_ones((), dtype=bool_)


def _of_a_part(batch: Any, head: Any, token_q: Any, token_kv: Any) -> Any:
    raise RuntimeError("Cannot use mask_mod from a sliced BlockMask")


class BlockMask:
    """Which blocks of a mask (B, H, queries, keys) have any True in them, and which nothing else.

    Row i of blocks has `kv_num_blocks[b, h, i]` blocks with some True, at the columns
    `kv_indices[b, h, i]`, and as many in `full_kv_num_blocks` and `full_kv_indices` that are True
    all over; `q_num_blocks` and so on are the same by columns. `mask_mod` says what is True in the
    former. Made by `create_block_mask` or `from_kv_blocks`. Follows
    `torch.nn.attention.flex_attention.BlockMask`.

    >>> from argand.nn.attention.flex_attention import create_block_mask
    >>> mask = create_block_mask(lambda b, h, q, k: q >= k, None, None, 4, 4, BLOCK_SIZE=2)
    >>> mask.shape, mask.sparsity(), mask.to_dense()[0, 0]
    ((1, 1, 4, 4), 25.0, tensor([[1, 0],
            [1, 1]], dtype=argand.int32))
    """

    def __init__(
        self,
        seq_lengths: tuple[int, int],
        kv_num_blocks: Any,
        kv_indices: Any,
        full_kv_num_blocks: Any,
        full_kv_indices: Any,
        q_num_blocks: Any,
        q_indices: Any,
        full_q_num_blocks: Any,
        full_q_indices: Any,
        BLOCK_SIZE: tuple[int, int] = (BLOCK, BLOCK),  # PyTorch's name
        mask_mod: Mod = noop_mask,
    ) -> None:
        _check_pairs(kv_indices, full_kv_num_blocks, full_kv_indices)
        self.seq_lengths = seq_lengths
        self.kv_num_blocks, self.kv_indices = kv_num_blocks, kv_indices
        self.full_kv_num_blocks, self.full_kv_indices = full_kv_num_blocks, full_kv_indices
        self.q_num_blocks, self.q_indices = q_num_blocks, q_indices
        self.full_q_num_blocks, self.full_q_indices = full_q_num_blocks, full_q_indices
        self.BLOCK_SIZE = BLOCK_SIZE
        self.mask_mod = mask_mod

    @classmethod
    def from_kv_blocks(
        cls,
        kv_num_blocks: Any,
        kv_indices: Any,
        full_kv_num_blocks: Any = None,
        full_kv_indices: Any = None,
        BLOCK_SIZE: int | tuple[int, int] = BLOCK,  # PyTorch's name
        mask_mod: Mod | None = None,
        seq_lengths: tuple[int, int] | None = None,
        compute_q_blocks: bool = True,
    ) -> BlockMask:
        """A mask of the blocks of its rows; those of its columns are found."""
        _check_pairs(kv_indices, full_kv_num_blocks, full_kv_indices)
        size = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else BLOCK_SIZE
        rows, columns = kv_indices.shape[-2:]
        columnwise: list[Any] = [None] * 4
        if compute_q_blocks:
            columnwise[:2] = _turned(kv_num_blocks, kv_indices)
            if full_kv_num_blocks is not None:
                columnwise[2:] = _turned(full_kv_num_blocks, full_kv_indices)
        rowwise = (kv_num_blocks, kv_indices, full_kv_num_blocks, full_kv_indices)
        lengths = seq_lengths or (rows * size[0], columns * size[1])
        parts: Any = (lengths, *rowwise, *columnwise, size, mask_mod or noop_mask)
        return cls(*parts)

    def as_tuple(self, flatten: bool = True) -> tuple[Any, ...]:
        """All that it is made of, sizes by themselves if `flatten`."""
        tensors = [getattr(self, name) for name in _TENSORS]
        if flatten:
            return (*self.seq_lengths, *tensors, *self.BLOCK_SIZE, self.mask_mod)
        return (self.seq_lengths, *tensors, self.BLOCK_SIZE, self.mask_mod)

    @property
    def shape(self) -> tuple[int, ...]:
        """(B, H, queries, keys)."""
        return (*self.kv_indices.shape[:-2], *self.seq_lengths)

    def numel(self) -> int:
        """The number of elements of the mask."""
        return math.prod(self.shape)

    def sparsity(self) -> float:
        """How much of the mask lies in blocks without any True, in percent."""
        blocks = int(self.kv_num_blocks.sum())
        if self.full_kv_num_blocks is not None:
            blocks += int(self.full_kv_num_blocks.sum())
        return 100 * (1 - blocks * math.prod(self.BLOCK_SIZE) / self.numel())

    def to_dense(self) -> Any:
        """1 for each block with any True, 0 for each other: (B, H, rows, columns)."""
        found = _dense(self.kv_num_blocks, self.kv_indices)
        if self.full_kv_num_blocks is None:
            return found
        return found | _dense(self.full_kv_num_blocks, self.full_kv_indices)

    def elements(self) -> Any:
        """The mask: True within full blocks, and where `mask_mod` says so in the others."""
        shape = (*self.kv_indices.shape[:2], *self.seq_lengths)
        inside = self._spread(_dense(self.kv_num_blocks, self.kv_indices))
        found = inside & create_mask(self.mask_mod, *shape)
        if self.full_kv_num_blocks is None:
            return found
        return found | self._spread(_dense(self.full_kv_num_blocks, self.full_kv_indices))

    def _spread(self, blocks: Any) -> Any:
        """Elements of blocks."""
        queries, keys = self.seq_lengths
        q, k = (arange(n) // size for n, size in zip((queries, keys), self.BLOCK_SIZE, strict=True))
        return blocks[:, :, q][:, :, :, k] != 0

    def __getitem__(self, index: Any) -> BlockMask:
        """The mask of some of the batch, heads and rows of blocks; it has no `mask_mod`."""
        given = index if isinstance(index, tuple) else (index,)
        sizes = self.kv_num_blocks.shape[:3]
        padded = (*given, slice(None), slice(None), slice(None))[:3]
        chosen = tuple(_kept(i, n) for i, n in zip(padded, sizes, strict=True))
        full = self.full_kv_num_blocks is not None
        return BlockMask.from_kv_blocks(
            self.kv_num_blocks[chosen],
            self.kv_indices[chosen],
            self.full_kv_num_blocks[chosen] if full else None,
            self.full_kv_indices[chosen] if full else None,
            self.BLOCK_SIZE,
            _of_a_part,
            self.seq_lengths,
            self.q_indices is not None,
        )

    def _adjust(self, new_q_len: int, new_kv_len: int) -> BlockMask:
        """The upper left corner, of other lengths."""
        lengths: tuple[int, int] = (new_q_len, new_kv_len)
        rows, columns = (-(-n // size) for n, size in zip(lengths, self.BLOCK_SIZE, strict=True))
        pairs: list[Any] = []
        for numbers, indices in (
            (self.kv_num_blocks, self.kv_indices),
            (self.full_kv_num_blocks, self.full_kv_indices),
        ):
            if numbers is None:
                pairs += [None, None]
            else:
                pairs += _ordered(_dense(numbers, indices)[..., :rows, :columns])
        pairs += [self.BLOCK_SIZE, self.mask_mod, lengths, self.q_indices is not None]
        return self.from_kv_blocks(*pairs)

    def to(self, device: Any) -> BlockMask:
        """The same on a device."""
        parts: Any = [x.to(device) if isinstance(x, Tensor) else x for x in self.as_tuple(False)]
        return BlockMask(*parts)

    def to_string(self, grid_size: int | tuple[int, int] = (20, 20), limit: int = 4) -> str:
        """A picture of the blocks, of at most `limit` masks; -1 for one character each block."""
        dense = self.to_dense()
        rows, columns = dense.shape[-2:]
        if grid_size == -1:
            grid_size = (rows, columns)
        grid = (grid_size, grid_size) if isinstance(grid_size, int) else grid_size
        texts = []
        for number, place in enumerate(itertools.product(*map(range, dense.shape[:-2]))):
            if number == limit:
                texts += ["...", "To print out more, set BlockMask.to_string(limit=N)"]
                texts.append(
                    "You can also index (BlockMask[batch, head]) to choose a specific batch or head"
                )
                break
            texts.append(f"{place}\n" + "".join(_picture(dense[place], grid)))
        return "\n".join(texts)

    def __str__(self) -> str:
        head = f"BlockMask(shape={self.shape}, sparsity={self.sparsity():.2f}%, \n"
        return f"{head}{self.to_string().strip()}\n)"

    def __repr__(self) -> str:
        shapes = {name: getattr(self, name) for name in _TENSORS}
        lines = [f"    {k}={None if t is None else t.shape}," for k, t in shapes.items()]
        mod = getattr(self.mask_mod, "__name__", self.mask_mod)
        lines += [f"    BLOCK_SIZE={self.BLOCK_SIZE},", f"    shape={self.shape},"]
        lines += [f"    sparsity={self.sparsity():.2f}%,", f"    mask_mod={mod}"]
        return "\n".join(["BlockMask(", *lines, ")"])


def _check_pairs(indices: Any, full_numbers: Any, full_indices: Any) -> None:
    if indices.ndim < 2:
        raise RuntimeError("BlockMask must have at least 2 dimensions")
    if (full_numbers is None) != (full_indices is None):
        raise AssertionError(
            "full_kv_num_blocks and full_kv_indices must be both provided or omitted"
        )


def _kept(index: Any, size: int) -> Any:
    """An index that keeps its dimension."""
    if not isinstance(index, int):
        return index
    first = index + size if index < 0 else index
    return slice(first, first + 1)


def _picture(blocks: Any, grid: tuple[int, int]) -> Iterator[str]:
    steps = [max(1, -(-n // most)) for n, most in zip(blocks.shape, grid, strict=True)]
    for r in range(0, blocks.shape[0], steps[0]):
        for c in range(0, blocks.shape[1], steps[1]):
            part = blocks[r : r + steps[0], c : c + steps[1]]
            share = float(part.to(float32).mean())
            yield 2 * ("█" if share == 1 else " " if share == 0 else "░")
        yield "\n"


def _ordered(dense: Any) -> tuple[Any, Any]:
    """The numbers of blocks in each row, and their columns, before those of the others."""
    return dense.sum(-1).to(int32), (dense == 0).to(int8).argsort(-1, stable=True).to(int32)


def _dense(numbers: Any, indices: Any) -> Any:
    """The blocks of the rows as 1, others as 0."""
    columns = indices.shape[-1]
    held = (arange(columns) < numbers.unsqueeze(-1)).to(int32)
    return zeros(*indices.shape, dtype=int32).scatter(-1, indices.long(), held)


def _turned(numbers: Any, indices: Any) -> tuple[Any, Any]:
    return _ordered(_dense(numbers, indices).transpose(-2, -1))


# -- making them -----------------------------------------------------------------------------------


def parameters_of(mod: Mod) -> int:
    """How many arguments without a default a function of scores or masks takes."""
    found = inspect.signature(mod).parameters.values()
    return sum(p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD for p in found)


def over_all(mod: Mod, scores: tuple[Any, ...], sizes: tuple[int, ...]) -> Any:
    """What a function of one place of (B, H, queries, keys) gives for all of them."""
    each, vmap = mod, resolve("func.vmap")
    for dims in (
        (None, None, None, 0),
        (None, None, 0, None),
        (None, 0, None, None),
        (0, *[None] * 3),
    ):
        each = vmap(each, (*(0 for _ in scores), *dims))
    return each(*scores, *map(arange, sizes))


def create_mask(
    mod_fn: Mod,
    B: Any,
    H: Any,
    Q_LEN: int,
    KV_LEN: int,
    device: Any = None,
) -> Any:
    """The mask (B, H, queries, keys) of a function of a batch's number, a head's, a query's and a
    key's; or, of a function that takes a score before them, where it gives more than -inf to 0.

    Follows `torch.nn.attention.flex_attention.create_mask`.

    >>> from argand.nn.attention.flex_attention import create_mask
    >>> create_mask(lambda b, h, q, k: q >= k, None, None, 2, 2)
    tensor([[[[ True, False],
              [ True,  True]]]])
    """
    sizes = (B or 1, H or 1, Q_LEN, KV_LEN)
    count = parameters_of(mod_fn)
    if count == 5:
        return over_all(mod_fn, (zeros(*sizes),), sizes) != -math.inf
    if count != 4:
        raise AssertionError(
            f"a mask_mod takes 4 arguments and a score_mod 5, got a function of {count}"
        )
    return over_all(mod_fn, (), sizes)


def create_block_mask(
    mask_mod: Mod,
    B: Any,  # PyTorch's names
    H: Any,
    Q_LEN: int,
    KV_LEN: int,
    device: Any = None,
    BLOCK_SIZE: int | tuple[int, int] = BLOCK,
    _compile: bool = False,
    separate_full_blocks: bool = True,
) -> BlockMask:
    """The BlockMask of `mask_mod`, a function of a batch's number, a head's, a query's and a key's
    that gives a bool; B or H of None is 1, for all.

    Follows `torch.nn.attention.flex_attention.create_block_mask`.

    >>> from argand.nn.attention.flex_attention import create_block_mask
    >>> create_block_mask(lambda b, h, q, k: q >= k, 1, 1, 256, 256).sparsity()
    25.0
    """
    if parameters_of(mask_mod) != 4:
        raise AssertionError(f"create_block_mask requires a mask_mod function! Got {mask_mod}")
    size = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else BLOCK_SIZE
    mask = create_mask(mask_mod, B, H, Q_LEN, KV_LEN)
    mask = pad(mask, (0, -KV_LEN % size[1], 0, -Q_LEN % size[0]))
    rows, columns = mask.shape[-2] // size[0], mask.shape[-1] // size[1]
    counts = mask.view(*mask.shape[:2], rows, size[0], columns, size[1]).sum((3, 5))
    whole = counts == math.prod(size)
    partial = counts > 0
    pairs: Any = (*_ordered(partial.to(int8)), None, None)
    if separate_full_blocks:
        pairs = (*_ordered((partial & ~whole).to(int8)), *_ordered(whole.to(int8)))
    parts: Any = (*pairs, size, mask_mod, (Q_LEN, KV_LEN))
    return BlockMask.from_kv_blocks(*parts)


def or_masks(*mask_mods: Mod) -> Mod:
    """The function that is True where any of the functions is.

    >>> from argand.nn.attention.flex_attention import create_mask, or_masks
    >>> either = or_masks(lambda b, h, q, k: q == k, lambda b, h, q, k: k == 0)
    >>> create_mask(either, 1, 1, 2, 2)[0, 0]
    tensor([[ True, False],
            [ True,  True]])
    """
    return _combined("or_masks", mask_mods, False)


def and_masks(*mask_mods: Mod) -> Mod:
    """The function that is True where all of the functions are.

    >>> from argand.nn.attention.flex_attention import and_masks, create_mask
    >>> both = and_masks(lambda b, h, q, k: q >= k, lambda b, h, q, k: q - k < 2)
    >>> create_mask(both, 1, 1, 3, 3)[0, 0]
    tensor([[ True, False, False],
            [ True,  True, False],
            [False,  True,  True]])
    """
    return _combined("and_masks", mask_mods, True)


def _combined(name: str, mods: tuple[Mod, ...], both: bool) -> Mod:
    if not all(callable(mod) for mod in mods):
        raise RuntimeError(f"All inputs should be callable mask_mods: {mods}")

    def mask_mod(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        found = b.new_full((), both, dtype=bool_)
        for mod in mods:
            here = mod(b, h, q_idx, kv_idx)
            found = found & here if both else found | here
        return found

    mask_mod.__name__ = mask_mod.__qualname__ = name.replace("masks", "mask")
    return mask_mod
