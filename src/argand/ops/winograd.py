"""Convolutions by Winograd's minimal filtering F(2x2, 3x3): fewer products for constant weights.

A result of 2x2 pixels of a 3x3 convolution is A^T ((G w G^T) * (B^T d B)) A, with d the 4x4 pixels
that it depends on and * element by element: 16 products for each pair of channels, where the sum
takes 36 (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016). G w G^T is
computed once for weights that don't change.

         1  0 -1  0          1    0    0
         0  1  1  0         1/2  1/2  1/2           1  1  1  0
  B^T =  0 -1  1  0    G =  1/2 -1/2  1/2    A^T =  0  1 -1 -1
         0  1  0 -1          0    0    1

No result depends on a pixel outside its own 3x3 window: rows 0 and 3 of the 4x4 are only in those
products that the results they belong to are made of. So a large pixel spoils no neighbour, and what
is rounded is as large as the window's pixels times the kernel's largest tap. But an infinite pixel,
or sums that overflow, make NaN where `conv2d` has infinity: such images are computed again, as the
sum that it states.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from argand.base.dtype import bool_, float32, float64
from argand.base.errors import DTypeError, ShapeError
from argand.base.shape import same_shape
from argand.ir.elementwise import lifted
from argand.ir.families import Composite
from argand.ir.op import describe, ops
from argand.ir.samples import ErrorSample, Sample, T
from argand.ops.window import conv_output, pair

Prepared = tuple[tuple[Any, ...], dict[str, Any]]
Grid = Sequence[Sequence[Any]]
Size = tuple[Any, Any]

KERNEL = (3, 3)
_STEP = {"stride": (1, 1), "dilation": (1, 1)}


def _check_dtypes(op: str, *operands: Any) -> None:
    dtypes = {x.dtype for x in operands}
    if len(dtypes) != 1 or not dtypes <= {float32, float64}:
        raise DTypeError(f"{op}: {describe(*operands)}: expected one dtype, float32 or float64")


def _part(x: Any, start: Sequence[Any], stop: Sequence[Any], step: Sequence[int]) -> Any:
    return ops.slice(x, tuple(start), tuple(stop), tuple(step))


def _transposed(grid: Grid) -> list[list[Any]]:
    return [list(column) for column in zip(*grid, strict=True)]


class WinogradWeight(Composite):
    """G w G^T of kernels w (O, C, 3, 3): u (16, C, O), element (i, j) of the 4x4 at 4i + j.

    Computed in float64, where the halves are exact and each element is rounded once in the end.
    """

    samples = (Sample(T((5, 3, 3, 3))), Sample(T((1, 2, 3, 3))), Sample(T((0, 2, 3, 3))))
    error_samples = (
        ErrorSample(RuntimeError, "kernels of 3x3", T((2, 2, 3, 2))),
        ErrorSample(RuntimeError, "kernels of 3x3", T((2, 3, 3))),
    )

    def prepare(self, w: Any) -> Prepared:
        w = lifted(w)
        _check_dtypes(self.name, w)
        if len(w.shape) != 4 or not same_shape(w.shape[2:], KERNEL):
            raise ShapeError(f"{self.name}: {describe(w)}: expected kernels of 3x3")
        return (w,), {}

    def body(w: Any) -> Any:
        outputs, inputs = w.shape[:2]
        wide = ops.cast(w, float64)
        taps = [
            [
                ops.reshape(
                    _part(wide, (0, 0, p, q), (outputs, inputs, p + 1, q + 1), (1, 1, 1, 1)),
                    (outputs, inputs),
                )
                for q in range(3)
            ]
            for p in range(3)
        ]
        columns = [_weighted(column) for column in _transposed(taps)]
        rows = [_weighted(row) for row in _transposed(columns)]
        stacked = _stacked([[ops.permute(u, (1, 0)) for u in row] for row in rows])
        return ops.cast(ops.reshape(stacked, (16, inputs, outputs)), w.dtype)


def _weighted(g: Sequence[Any]) -> list[Any]:
    """G times a column of three."""
    ends, middle = ops.add(g[0], g[2]), g[1]
    return [
        g[0],
        ops.mul(ops.add(ends, middle), 0.5),
        ops.mul(ops.sub(ends, middle), 0.5),
        g[2],
    ]


def image_tiles(x: Any, padding: Any) -> Grid:
    """B^T d B of the 4x4 tiles d of images (N, C, H, W), two pixels apart: element (i, j) of each,
    (N, TH, TW, C). The last tiles of an odd size reach into zeros."""
    n, c, *size = x.shape
    h, w = whole = padded_size(size, padding)
    rest = [t - s - p for t, s, p in zip(whole, size, padding, strict=True)]
    sides = [(0, 0), *zip(padding, rest, strict=True), (0, 0)]
    image = ops.permute(x, (0, 2, 3, 1))
    if any(n != 0 for side in sides for n in side):
        image = ops.pad(image, tuple(sides), 0)
    pixels = [
        [_part(image, (0, i, j, 0), (n, h - 3 + i, w - 3 + j, c), (1, 2, 2, 1)) for j in range(4)]
        for i in range(4)
    ]
    columns = [_differences(column) for column in _transposed(pixels)]
    return [_differences(row) for row in _transposed(columns)]


def result_tiles(m: Any) -> Grid:
    """A^T m A of the products m (4, 4, N, TH, TW, O) of tiles: pixel (i, j), (N, TH, TW, O)."""
    _, _, *shape = m.shape
    zeros = [0] * len(shape)
    parts = [
        [
            ops.reshape(_part(m, (i, j, *zeros), (i + 1, j + 1, *shape), (1,) * 6), shape)
            for j in range(4)
        ]
        for i in range(4)
    ]
    columns = [_sums(column) for column in _transposed(parts)]
    return [_sums(row) for row in _transposed(columns)]


def tile_count(size: Any, padding: Any) -> Size:
    """How many tiles of 2x2 cover a convolution's result, vertically and horizontally."""
    h, w = conv_output("winograd_pixels", size, KERNEL, {**_STEP, "padding": padding})
    return (h + 1) // 2, (w + 1) // 2


def padded_size(size: Any, padding: Any) -> Size:
    """The height and width of images that whole tiles cover."""
    ty, tx = tile_count(size, padding)
    return 2 * ty + 2, 2 * tx + 2


def _differences(d: Sequence[Any]) -> list[Any]:
    """B^T times a column of four."""
    return [
        ops.sub(d[0], d[2]),
        ops.add(d[1], d[2]),
        ops.sub(d[2], d[1]),
        ops.sub(d[1], d[3]),
    ]


def _sums(m: Sequence[Any]) -> list[Any]:
    """A^T times a column of four."""
    return [
        ops.add(ops.add(m[0], m[1]), m[2]),
        ops.sub(ops.sub(m[1], m[2]), m[3]),
    ]


class WinogradPixels(Composite):
    """`conv2d` of images x (N, C, H, W) by way of u (16, C, O), which is `winograd_weight`(w).

    y (N, 2 TH, 2 TW, O), channels last, with a pixel more in a direction whose size is odd.
    """

    samples = tuple(
        Sample(T((n, c, h, w)), T((16, c, o)), padding)
        for n, c, h, w, o, padding in (
            (2, 3, 5, 6, 4, 1),
            (1, 2, 4, 4, 3, (0, 2)),
            (0, 2, 4, 4, 3, 1),
        )
    )
    error_samples = (
        ErrorSample(RuntimeError, "is larger than the image", T((1, 1, 2, 2)), T((16, 1, 1))),
        ErrorSample(RuntimeError, "expected images", T((1, 2, 4, 4)), T((16, 3, 4))),
    )

    def prepare(self, x: Any, u: Any, padding: Any = 0) -> Prepared:
        x, u = lifted(x), lifted(u)
        _check_dtypes(self.name, x, u)
        fits = len(x.shape) == 4 and len(u.shape) == 3
        if not fits or not same_shape(u.shape[:2], (16, x.shape[1])):
            raise ShapeError(
                f"{self.name}: {describe(x, u)}: expected images (N, C, H, W) and u (16, C, O)"
            )
        return (x, u), {"padding": pair(padding, f"{self.name}: padding")}

    def reads_image(self, operand: int) -> bool:
        return operand == 0

    def body(x: Any, u: Any, padding: Any) -> Any:
        n, c = x.shape[:2]
        ty, tx = tile_count(x.shape[2:], padding)
        v = ops.reshape(_stacked(image_tiles(x, padding)), (16, n * ty * tx, c))
        m = ops.reshape(ops.matmul(v, u), (4, 4, n, ty, tx, u.shape[2]))
        y = ops.permute(_stacked(result_tiles(m)), (2, 3, 0, 4, 1, 5))
        return ops.reshape(y, (n, 2 * ty, 2 * tx, u.shape[2]))


def _stacked(grid: Grid) -> Any:
    shape = (1, 1, *grid[0][0].shape)
    rows = [ops.cat(*[ops.reshape(v, shape) for v in row], dim=1) for row in grid]
    return ops.cat(*rows, dim=0)


class WinogradConv2d(Composite):
    """`conv2d` of images x and kernels w (O, C, 3, 3), by way of u = `winograd_weight`(w).

    Its rounding errors are relative to the pixels of a result's window times the largest taps of
    the kernels. An image of whose results one isn't finite is computed as `conv2d` does.
    """

    samples = tuple(
        Sample(T((n, c, h, w)), T((o, c, 3, 3)), T((16, c, o)), padding)
        for n, c, h, w, o, padding in (
            (2, 3, 5, 6, 4, 1),
            (1, 2, 4, 4, 3, (0, 2)),
            (0, 2, 4, 4, 3, 1),
        )
    )
    error_samples = (
        ErrorSample(
            RuntimeError, "expected (16, 2, 4)", T((1, 2, 4, 4)), T((4, 2, 3, 3)), T((16, 4, 2))
        ),
    )

    def prepare(self, x: Any, w: Any, u: Any, padding: Any = 0) -> Prepared:
        x, w, u = lifted(x), lifted(w), lifted(u)
        _check_dtypes(self.name, x, w, u)
        wanted = (16, *w.shape[1::-1])
        if not same_shape(u.shape, wanted):
            raise ShapeError(
                f"{self.name}: {describe(x, w, u)}: u must be winograd_weight(w), expected {wanted}"
            )
        return (x, w, u), {"padding": pair(padding, f"{self.name}: padding")}

    keeps_order = True

    def reads_columns(self, operand: int, inputs: Any, params: dict[str, Any]) -> bool:
        return operand == 2

    def body(x: Any, w: Any, u: Any, padding: Any) -> Any:
        y = ops.winograd_pixels(x, u, padding)
        h, width = conv_output("conv2d", x.shape[2:], KERNEL, {**_STEP, "padding": padding})
        part = _part(y, (0, 0, 0, 0), (y.shape[0], h, width, y.shape[3]), (1,) * 4)
        part = ops.permute(part, (0, 3, 1, 2))
        return ops.conv2d_unless(ops.all(ops.isfinite(y), (1, 2, 3)), part, x, w, padding)


class Conv2dUnless(Composite):
    """y[n] where done[n], else `conv2d`(x[n], w): only the images that aren't done are computed.

    done (N,), y (N, O, H', W'), x (N, C, H, W), w (O, C, KH, KW), stride 1.
    """

    samples = (
        Sample(T((2,), dtype="bool"), T((2, 4, 5, 6)), T((2, 3, 5, 6)), T((4, 3, 3, 3)), 1),
        Sample(T((3,), dtype="bool"), T((3, 1, 2, 2)), T((3, 2, 4, 4)), T((1, 2, 3, 3)), 0),
    )
    error_samples = (
        ErrorSample(
            RuntimeError,
            "a boolean for each image",
            T((3,), dtype="bool"),
            T((2, 1, 2, 2)),
            T((2, 2, 4, 4)),
            T((1, 2, 3, 3)),
        ),
    )

    def prepare(self, done: Any, y: Any, x: Any, w: Any, padding: Any = 0) -> Prepared:
        done, y, x, w = lifted(done), lifted(y), lifted(x), lifted(w)
        _check_dtypes(self.name, y, x, w)
        if done.dtype is not bool_ or not same_shape(done.shape, x.shape[:1]):
            raise ShapeError(
                f"{self.name}: {describe(done, y, x, w)}: expected a boolean for each image"
            )
        return (done, y, x, w), {"padding": pair(padding, f"{self.name}: padding")}

    keeps_order = True

    def reads_image(self, operand: int) -> bool:
        return operand in (1, 2)

    @property
    def gives_image(self) -> bool:
        return True

    def body(done: Any, y: Any, x: Any, w: Any, padding: Any) -> Any:
        each = ops.reshape(done, (*done.shape, 1, 1, 1))
        return ops.where(ops.expand(each, y.shape), y, ops.conv2d(x, w, padding=padding))
