"""How a contraction is run: an ordered list of rules, a pure function of its shape and the target.

The order in which an element's products are added depends on K alone (`K_BLOCK`), never on what is
decided here, with the one exception that `splits` names.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from operator import itemgetter
from typing import Final

from argand.kernels.contraction.geometry import Geometry, geometry, product
from argand.kernels.contraction.panels import stored_for_unit
from argand.kernels.contraction.spec import Contraction, ContractionAxis, Operand
from argand.kernels.contraction.tiles import tiles
from argand.nest.builder import Ty, static
from argand.nest.target import Target

__all__ = ["FEW_ROWS", "K_BLOCK", "ContractionPlan", "plan"]

K_BLOCK: Final = 256
"""Products in one fused chain; the sums of the chains are added in order."""

FEW_ROWS: Final = 4
"""Up to this many rows B is read once, in place."""

FEW_TURNED: Final = 8
"""The same when B is transposed in registers and the number of rows is known."""

WAY_BYTES: Final = 4096
WAYS: Final = 8
"""Lines this far apart share a set of the first-level cache, which holds so many: its index comes
out of the offset in a page."""

WIDEST_WINDOW: Final = 32
"""Taps along x that are written out, at most."""

HALF_VECTOR: Final = 32
"""Bytes of the shortest vector that is worth taking in place of one twice as long: machines do more
of these a cycle."""

MOST_INSIDE: Final = 2 * K_BLOCK
"""So long a sum's weights of a vector of channels stay in the first-level cache."""

SHORTEST_RUN: Final = 4
"""Contiguous weights that are worth transposing in registers."""

SPARE_REGISTERS: Final = 6
"""What a weight's gradient needs beside its sums: pixels of both operands."""

GROUPED_LONG_K: Final = 1 << 10
"""A weight's gradient over fewer pixels is one piece."""

SPLITS: Final = 16
LONG_K: Final = 32 * K_BLOCK

C_SHARE: Final = 4
"""Partial sums may take this part of the second-level cache, beside the packed panels."""

TABLE_ROWS: Final = 768
"""Rows of a block that go through tables, which want their place in the cache too."""

SHARED_BYTES: Final = 1 << 25
"""The largest B that is packed as a whole."""

SERIAL_FLOPS: Final = 2_000_000
"""About 20 microseconds of one core: less than this stays on one thread."""


@dataclasses.dataclass(frozen=True)
class ContractionPlan:
    """One way to run a contraction.

    `a`: "place" (rows a stride apart) or "table" (through row pointers), each read in place;
    "rows" or "cols" packed along k or along m. `b`: "place", "transpose" (k-contiguous, done in
    registers; packed unless few rows), "copy", "gather". `few` > 0: only when there are at most
    that many rows. A tile is `rows` x `vectors` registers, a block is `mc` x `nc` of C. `groups`:
    lanes run "across" groups (`grouped`), or "inside" one, a row of pixels at a time
    (`group_rows`). Of a weight's gradient `vectors` are the rows of the kernel that are in
    registers.
    """

    name: str
    rows: int
    vectors: int
    lanes: int
    a: str
    b: str
    mc: int = 0
    nc: int = 0
    few: int = 0
    splits: int = 1
    shared: bool = False
    groups: str = ""

    @property
    def width(self) -> int:
        """Columns of a tile."""
        return self.vectors * self.lanes

    def __str__(self) -> str:
        tile = f"{self.rows}x{self.vectors}x{self.lanes}"
        guard = f" if m <= {self.few}" if self.few else ""
        if self.splits > 1:
            condition = "" if self.groups else f" if k >= {LONG_K}"
            guard = f"{condition}, {self.splits} splits"
        block = f" block {self.mc}x{self.nc}" if self.mc else ""
        shared = " shared" if self.shared else ""
        return f"{self.name}: tile {tile}{block}, a {self.a}, b {self.b}{shared}{guard}"


# rules --------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Shape:
    """What the rules look at; a size is None when it is only known at run time."""

    m: int | None
    n: int | None
    k: int | None
    cells: int | None
    """batch times taps"""
    tabled: bool
    outer: bool
    a_unit: str
    b_unit: str
    a_plain: bool
    b_plain: bool
    b_apart: int | None
    """elements from one column of B to the next"""
    panel: int
    """columns of a panel that B is stored in, 0 where it isn't"""
    taps: int | None
    b_once: bool
    """whether all batches see the same B"""
    lanes: int
    registers: int
    acc_bytes: int
    c_bytes: int
    long_k: bool
    groups: int | None
    """how many groups there are to run across, 0 where that can't be"""
    depth: int
    """channels of a group"""
    kernel: tuple[int, int]
    """rows of a grouped weight's gradient, and its sums for a channel; zeros where unknown"""
    unit: bool
    """whether a matrix unit can compute it"""
    inside: str
    """how the weights of one group are packed where its pixels can be computed row by row"""


def _shape(spec: Contraction, geo: Geometry, target: Target) -> _Shape:
    acc = Ty(spec.acc)
    return _Shape(
        m=product(geo.rows),
        n=static(geo.col.extent),
        k=product((*geo.outer, geo.inner)),
        cells=product((*geo.batch, *geo.taps)),
        tabled=geo.tabled,
        outer=bool(geo.outer) or geo.ranged,
        a_unit="k" if geo.a.unit(geo.inner) else "m" if geo.a.unit(geo.rows[-1]) else "",
        b_unit="n" if geo.b.unit(geo.col) else "k" if geo.b.unit(geo.inner) else "",
        a_plain=geo.a.elem == spec.acc,
        b_plain=geo.b.elem == spec.acc,
        b_apart=static(geo.b.stride(geo.col)),
        panel=geo.panels.width if geo.panels else 0,
        taps=product(geo.taps),
        b_once=all(
            static(axis.extent) == 1 or static(geo.b.stride(axis)) == 0 for axis in geo.batch
        ),
        lanes=_lanes(spec, target),
        registers=target.vector_registers,
        acc_bytes=acc.bytes,
        c_bytes=target.l2 // C_SHARE,
        long_k=spec.long_k,
        groups=static(spec.across.extent) if spec.across and _is_grouped(spec) else 0,
        depth=static(geo.col.extent) or 0,
        kernel=(product(spec.m[:1]) or 0, product(spec.m) or 0) if spec.across else (0, 0),
        unit=stored_for_unit(spec, target),
        inside=_inside_groups(spec),
    )


def _lanes(spec: Contraction, target: Target) -> int:
    """Elements of a vector: as many as the machine has, but half of them where that is a group's
    channels, and the pixels of a row can be computed together or the sums of a row of its weight's
    gradient would leave the registers. Each group is a product of its own then."""
    lanes = target.lanes(spec.acc)
    depth = static(spec.n[-1].extent) if spec.n else None
    if (
        spec.across is None
        or 2 * (depth or 0) != lanes
        or lanes * Ty(spec.acc).bytes < 2 * HALF_VECTOR
    ):
        return lanes
    if spec.long_k:
        width = static(spec.m[1].extent) or 0
        apart = (width + 1) * (depth or 0) >= target.vector_registers
    else:
        apart = bool(_inside_groups(spec))
    return lanes // 2 if apart else lanes


def _is_grouped(spec: Contraction) -> bool:
    """Whether the lanes can be the channels of several groups: as many on both sides, contiguous,
    under a small window of known size."""
    across, window = spec.across, spec.m if spec.long_k else spec.k
    ky, kx, depth = (static(axis.extent) for axis in window)
    steps = [static(step) for bound in spec.a.bounds for step in bound.terms.values()]
    return (
        across is not None
        and static(across.extent) != 1
        and spec.batch == (across,)
        and depth is not None
        and [static(axis.extent) for axis in spec.n] == [depth]
        and _are_contiguous(spec.a, across, window[2], depth)
        and (not spec.long_k or _are_contiguous(spec.b, across, spec.n[0], depth))
        and None not in steps
        and ky is not None
        and kx is not None
        and kx <= WIDEST_WINDOW
        and ky * kx * depth <= K_BLOCK
    )


def _are_contiguous(
    operand: Operand, group: ContractionAxis, channel: ContractionAxis, depth: int
) -> bool:
    """Whether the channels of all groups are contiguous."""
    jump = static(operand.stride(group))
    return jump == depth and (depth == 1 or operand.unit(channel))


def _inside_groups(spec: Contraction) -> str:
    """How the weights of a group are packed for `group_rows`, "" where that is not for it: the
    taps of each pixel have to be known now, the image's channels to be contiguous."""
    across = spec.across
    if spec.long_k or across is None or static(across.extent) == 1 or spec.batch != (across,):
        return ""
    inner, pixels = spec.k[-1], spec.m[-1]
    sizes = [static(axis.extent) for axis in (*spec.k, *spec.n, pixels)]
    bounds = [b for b in spec.a.bounds if pixels in b.terms]
    sizes += [static(size) for b in bounds for size in (b.offset, b.extent, *b.terms.values())]
    steps = [static(step) for b in spec.a.bounds for step in b.terms.values()]
    if None in sizes or None in steps or not spec.a.unit(inner):
        return ""
    width, depth, taps = (product(axes) or 0 for axes in (spec.k[1:2], spec.k[-1:], spec.k[:-1]))
    if width > WIDEST_WINDOW or depth > K_BLOCK or depth * taps > MOST_INSIDE:
        return ""
    if spec.b.unit(spec.n[-1]):
        return "copy"
    run = product(spec.b.contiguous(spec.k)) or 0
    return "transpose" if run >= SHORTEST_RUN else "gather"


def plan(spec: Contraction, target: Target) -> tuple[ContractionPlan, ...]:
    """The ways to run it, in order: the first whose condition holds. The last has none."""
    shape = _shape(spec, geometry(spec, target), target)
    found: list[ContractionPlan] = []
    for rule in RULES:
        choice = rule(shape)
        if choice is not None:
            found.append(choice)
            if not _conditional(choice, shape):
                break
    return tuple(found)


def _conditional(choice: ContractionPlan, shape: _Shape) -> bool:
    if choice.groups:
        return False
    if choice.few:
        return shape.m is None
    return choice.splits > 1 and shape.k is None


def _grouped(s: _Shape) -> ContractionPlan | None:
    """A convolution with few channels a group: lanes are the channels of several groups, so that
    none is idle; neighbouring pixels share what they read."""
    if s.groups == 0 or s.lanes % s.depth or (s.depth > 1 and 2 * s.depth > s.lanes):
        return None
    lanes = s.lanes
    if s.groups is not None:
        lanes = min(lanes, 1 << (s.groups * s.depth - 1).bit_length())
    if s.long_k:
        splits = SPLITS if s.k is None or s.k >= GROUPED_LONG_K else 1
        height, sums = s.kernel
        held = height if sums + SPARE_REGISTERS <= s.registers else 1
        return ContractionPlan(
            "grouped", 4, held, lanes, "place", "place", splits=splits, groups="across"
        )
    pixels = 8 if s.registers >= 32 else 6 if s.registers >= 16 else 2
    if s.depth > 1 and 2 * s.depth == s.lanes:
        pixels = max(2, pixels // 2)  # more weights need registers
    return ContractionPlan("grouped", pixels, 1, lanes, "place", "copy", groups="across")


def _group_rows(s: _Shape) -> ContractionPlan | None:
    """A convolution whose groups fill vectors: neighbouring pixels of a row against vectors of one
    group's channels. All that a tile reads is a known distance apart, and taps outside the image
    cost nothing."""
    if not s.inside or s.depth == 0 or s.depth % s.lanes:
        return None
    vectors = 2 if s.registers >= 16 and s.depth % (2 * s.lanes) == 0 else 1
    pixels = 14 if s.registers >= 32 else 12 // vectors if s.registers >= 16 else 4
    return ContractionPlan(
        "group rows", pixels, vectors, s.lanes, "place", s.inside, groups="inside"
    )


def _matrix_unit(s: _Shape) -> ContractionPlan | None:
    """Weights that were stored for a matrix unit. That is decided without the rows, so a row's bits
    don't depend on how many there are."""
    if not s.unit:
        return None
    return ContractionPlan("matrix unit", 32, 2, s.lanes, "parts", "parts", groups="unit")


def _few_rows(s: _Shape) -> ContractionPlan | None:
    """Few rows, as in inference at batch 1: every element of B is used once or twice, so it is read
    in place, at the speed of memory."""
    if s.tabled or s.outer or s.taps != 1 or not (s.a_plain and s.b_plain and s.b_unit):
        return None
    most = FEW_TURNED if s.b_unit == "k" and s.registers >= 16 else FEW_ROWS
    if s.m is not None and s.m > most:
        return None
    rows = max(1, s.m) if s.m is not None else 1 if s.b_unit == "k" else 2
    if s.b_unit == "k":
        two = rows <= 2 and (s.n or 0) >= 2 * s.lanes and _fit_l1(s, 2 * s.lanes)
        few = FEW_ROWS if s.m is None else most
        return ContractionPlan(
            "few rows", rows, 2 if two else 1, s.lanes, "place", "transpose", few=few
        )
    room = (s.registers - 2) // (rows + 1)
    vectors = min(8, room) if rows > 1 or s.registers > 16 else 8
    if s.panel:
        vectors = _fitting(s, vectors)
    if s.n is not None:
        vectors = max(1, min(vectors, -(-s.n // s.lanes)))
    return ContractionPlan("few rows", rows, vectors, s.lanes, "place", "place", few=FEW_ROWS)


def _fit_l1(s: _Shape, columns: int) -> bool:
    """Whether a line of each of so many columns of B stays in the first-level cache while all are
    read one after the other: columns a power of two apart meet in few sets."""
    if s.b_apart is None:
        return True
    return columns * math.gcd(s.b_apart * s.acc_bytes, WAY_BYTES) <= WAYS * WAY_BYTES


def _long_k(s: _Shape) -> ContractionPlan | None:
    """Small C and long K, as a weight gradient: K is cut, the partial sums are added as a tree."""
    if not s.long_k or (s.k is not None and s.k < LONG_K):
        return None
    sizes = (s.m, s.n, s.cells)
    if None not in sizes:
        m, n, cells = (size or 0 for size in sizes)
        if m * n * cells * s.acc_bytes > 4 * s.c_bytes:
            return None
    return dataclasses.replace(_blocked(s, SPLITS), name="long k", splits=SPLITS)


def _blocked(s: _Shape, splits: int = 1) -> ContractionPlan:
    """The blocked product: B packed for a block of C, A read in place or packed too."""
    rows, vectors = _tile(s)
    mc, nc = _block(s, rows, vectors * s.lanes, splits)
    found = ContractionPlan("blocked", rows, vectors, s.lanes, _place_a(s), _place_b(s), mc, nc)
    return dataclasses.replace(found, shared=splits == 1 and _share_b(s, found))


RULES: Final[tuple[Callable[[_Shape], ContractionPlan | None], ...]] = (
    _grouped,
    _group_rows,
    _matrix_unit,
    _few_rows,
    _long_k,
    _blocked,
)


def _tile(s: _Shape) -> tuple[int, int]:
    """Registers of C that leave room for one vector of A and a row of B; least waste along n."""
    # twelve row pointers would not fit the general registers
    fitting = [t for t in tiles(s.registers) if not (s.tabled and t[0] == 12)]
    if s.n is None:
        return fitting[0]
    if s.panel:
        whole = [t for t in fitting if s.panel % (t[1] * s.lanes) == 0]
        return max(whole, key=itemgetter(1), default=(fitting[0][0], _fitting(s, fitting[0][1])))
    vectors = max(1, -(-s.n // s.lanes))
    if vectors <= fitting[0][1] and vectors < 2:
        return (fitting[0][0], vectors)
    return min(fitting, key=lambda tile: (-(-vectors // tile[1]) * tile[1], fitting.index(tile)))


def _fitting(s: _Shape, most: int) -> int:
    """The most vectors that a panel of B has whole numbers of."""
    return max(v for v in range(1, most + 1) if s.panel % (v * s.lanes) == 0)


def _place_a(s: _Shape) -> str:
    if not s.a_plain:
        return "rows"
    if s.tabled:
        return "table" if s.a_unit == "k" else "rows"
    if s.a_unit == "k":
        return "place"
    if s.a_unit == "m":
        reuse = s.n is None or s.n >= 32 * s.lanes
        return "cols" if reuse and not s.outer else "place"
    return "rows"


def _place_b(s: _Shape) -> str:
    if s.panel:
        return "place"
    if s.b_unit == "n":
        once = s.b_plain and s.m is not None and s.m * (s.taps or 1) <= 16
        return "place" if once else "copy"
    return "transpose" if s.b_unit == "k" else "gather"


def _share_b(s: _Shape, found: ContractionPlan) -> bool:
    """Whether packing B once for all blocks of rows pays: there are several, and it is not huge."""
    if found.b == "place" or not _may_share(s):
        return False
    if s.m is None or s.cells is None:
        return True
    return -(-s.m // found.mc) * s.cells // (s.taps or 1) > 1


def _may_share(s: _Shape) -> bool:
    if not s.b_once:
        return False
    if s.m is None or s.n is None or s.k is None or s.cells is None:
        return s.outer  # a convolution: weights are small, images many
    return s.n * s.k * s.acc_bytes <= SHARED_BYTES


def _block(s: _Shape, rows: int, width: int, splits: int) -> tuple[int, int]:
    """mc x nc of C: wide in m where B is packed (reuse), small enough for the second-level cache,
    and at least eight blocks when there is work for them."""
    m = 384 if s.m is None else max(1, s.m)
    n = 128 if s.n is None else max(1, s.n)
    # with B packed once for all, a wide block of few rows reads far memory least
    wide = splits == 1 and s.m is not None and s.m >= 512 and _may_share(s)
    nc = _part(n, 512 if wide else 128, width)
    most = (2 if wide else 1) * s.c_bytes // (s.acc_bytes * nc * (s.taps or 1))
    most = min(most, TABLE_ROWS if s.tabled else m + rows)
    mc = _rows_part(m, max(rows, most), rows)
    if s.m is None or s.n is None or s.k is None or s.cells is None:
        return mc, nc
    flops = 2 * s.m * s.n * s.k * s.cells

    def blocks() -> int:
        return -(-m // mc) * -(-n // nc) * splits * (s.cells or 1) // (s.taps or 1)

    wanted = min(8, 2 * flops // SERIAL_FLOPS)
    while blocks() < wanted:
        # each block packs its own part of B for its rows, so columns are split first
        if nc > 4 * width and mc <= 4 * nc:
            nc = _part(n, nc // 2, width)
        elif mc > 16 * rows:
            mc = _rows_part(m, mc // 2, rows)
        elif nc > 4 * width or (nc > width and blocks() < 2):
            nc = _part(n, nc // 2, width)
        else:
            break
    return mc, nc


def _rows_part(size: int, most: int, unit: int) -> int:
    """The same for rows, which need no multiple when the shares come out even: then every block is
    alike, and the code for other heights is saved."""
    parts = -(-size // most)
    for candidate in range(parts, parts + parts // 2 + 1):
        if size % candidate == 0:
            return size // candidate
    return _part(size, most, unit)


def _part(size: int, most: int, unit: int) -> int:
    """An even share of `size`: at most `most`, a multiple of `unit`."""
    most = max(unit, most // unit * unit)
    parts = -(-size // most)
    share = -(-size // parts)
    return -(-share // unit) * unit
