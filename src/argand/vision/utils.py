"""Pictures of results: grids of images, and what was found drawn on them; `torchvision.utils`."""

from __future__ import annotations

import contextlib
import math
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from argand.base.dtype import bool_, float32, int64, uint8
from argand.io.replacing import replacing
from argand.tensor.core import Tensor, wrap
from argand.tensor.creation import tensor
from argand.tensor.joining import cat, stack
from argand.transform.mode import no_grad
from argand.vision.pillow import from_pixels, pillow
from argand.vision.transforms.conversion import pil_to_tensor, to_dtype_image, to_pil_image

__all__ = [
    "draw_bounding_boxes",
    "draw_keypoints",
    "draw_segmentation_masks",
    "flow_to_image",
    "make_grid",
    "save_image",
]


# -- grids -----------------------------------------------------------------------------------------


def make_grid(
    tensor: Any,
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Any:
    """Images (N, C, H, W), or a list of them, as one image with `nrow` in a row and `padding`
    pixels between; gray ones get three channels. `normalize` brings the values from `value_range`,
    or from the least and greatest (of each image with `scale_each`), to [0, 1].

    >>> from argand.vision.utils import make_grid
    >>> make_grid(ag.ones(5, 3, 4, 4), nrow=3).shape
    argand.Size([3, 14, 20])
    """
    with no_grad():
        images = _images(tensor)
        if normalize:
            images = _normalized(images, value_range, scale_each)
        if images.shape[0] == 1:
            return images.squeeze(0)
        return _laid_out(images, nrow, padding, pad_value)


def _images(given: Any) -> Any:
    """A batch (N, C, H, W) of what may be one image, or a list."""
    several = given if isinstance(given, list | tuple) else [given]
    for x in several:
        if not isinstance(x, Tensor):
            raise TypeError(f"tensor or list of tensors expected, got {type(x)}")
    images: Any = stack(several) if isinstance(given, list | tuple) else given
    if images.ndim == 2:
        images = images.unsqueeze(0)
    if images.ndim == 3:
        images = images.unsqueeze(0)
    if images.ndim != 4:
        raise ValueError(f"expected images (N, C, H, W), got {tuple(images.shape)}")
    return cat((images, images, images), 1) if images.shape[1] == 1 else images


def _normalized(images: Any, limits: Any, each: bool) -> Any:
    if limits is not None and not isinstance(limits, tuple):
        raise TypeError(
            "value_range has to be a tuple (min, max) if specified. min and max are numbers"
        )

    def scaled(image: Any) -> Any:
        low, high = limits or (image.min().item(), image.max().item())
        return (image.clamp(low, high) - low) / max(high - low, 1e-5)

    return stack([scaled(image) for image in images]) if each else scaled(images)


def _laid_out(images: Any, nrow: int, padding: int, pad_value: float) -> Any:
    count, channels, height, width = images.shape
    columns = min(nrow, count)
    rows = math.ceil(count / columns)
    height, width = height + padding, width + padding
    grid = images.new_full(
        (channels, height * rows + padding, width * columns + padding), pad_value
    )
    for i, image in enumerate(images):
        row, column = divmod(i, columns)
        top, left = row * height + padding, column * width + padding
        grid[:, top : top + height - padding, left : left + width - padding] = image
    return grid


def save_image(tensor: Any, fp: Any, format: str | None = None, **kwargs: Any) -> None:
    """Write images in [0, 1] as an image file, several as a grid; see `make_grid` for the options.
    `fp` is a name or an open file.

    >>> import os, tempfile
    >>> from argand.vision.utils import save_image
    >>> path = os.path.join(tempfile.mkdtemp(), "a.png")
    >>> save_image(ag.rand(4, 3, 8, 8), path)
    >>> ag.vision.io.read_image(path).shape
    argand.Size([3, 12, 42])
    """
    grid = make_grid(tensor, **kwargs)
    array = (grid * 255 + 0.5).clamp(0, 255).permute(1, 2, 0).to(uint8).numpy()
    image = from_pixels(np.ascontiguousarray(array), "RGB" if array.shape[2] == 3 else "RGBA")
    if not isinstance(fp, str | os.PathLike):
        image.save(fp, format=format)
        return
    path = Path(fp)
    kinds = pillow().registered_extensions()
    if format is None and path.suffix.lower() not in kinds:
        raise ValueError(f"{path}: unknown kind of image {path.suffix!r}; say format='PNG'")
    with replacing(path) as temporary:
        image.save(temporary, format=format or kinds[path.suffix.lower()])


# -- drawing ---------------------------------------------------------------------------------------


def _check_image(image: Any, channels: tuple[int, ...]) -> None:
    if not isinstance(image, Tensor):
        raise TypeError(f"The image must be a tensor, got {type(image)}")
    if not (image.dtype == uint8 or image.is_floating_point()):
        raise ValueError(f"The image dtype must be uint8 or float, got {image.dtype}")
    if image.ndim != 3:
        raise ValueError("Pass individual images, not batches")
    if image.shape[0] not in channels:
        kinds = "grayscale and RGB images are" if len(channels) > 1 else "RGB images are"
        raise ValueError(f"Only {kinds} supported")


def _palette(count: int) -> list[tuple[int, ...]]:
    """Colours that are far apart."""
    return [
        tuple(i * base % 255 for base in (2**25 - 1, 2**15 - 1, 2**21 - 1)) for i in range(count)
    ]


def _colours(colors: Any, count: int) -> list[tuple[int, ...]]:
    """A colour (r, g, b) for each of some objects, of one for all, a list, or none."""
    if colors is None:
        return _palette(count)
    if isinstance(colors, list):
        if len(colors) < count:
            raise ValueError(
                "Number of colors must be equal or larger than the number of objects, but got "
                f"{len(colors)} < {count}."
            )
    elif not isinstance(colors, tuple | str):
        raise ValueError(
            f"colors must be a tuple or a string, or a list thereof, but got {colors}."
        )
    elif isinstance(colors, tuple) and len(colors) != 3:
        raise ValueError(f"If passed as tuple, colors should be an RGB triplet, but got {colors}.")
    else:
        colors = [colors] * count
    named = pillow("ImageColor").getrgb
    return [named(c) if isinstance(c, str) else tuple(c) for c in colors]


@contextlib.contextmanager
def _drawn_on(image: Any, mode: str | None = None) -> Iterator[tuple[Any, list[Any]]]:
    """A pen on a copy of an image, and where the copy comes as a tensor of the same dtype."""
    bytes_of = to_dtype_image(image, uint8, scale=True) if image.dtype != uint8 else image
    found: list[Any] = []
    picture = to_pil_image(bytes_of)
    yield pillow("ImageDraw").Draw(picture, mode), found
    made = pil_to_tensor(picture)
    found.append(to_dtype_image(made, image.dtype, scale=True))


def draw_bounding_boxes(
    image: Any,
    boxes: Any,
    labels: list[str | None] | None = None,
    colors: Any = None,
    fill: bool | None = False,
    width: int = 1,
    font: str | None = None,
    font_size: int | None = None,
    label_colors: Any = None,
    label_background_colors: Any = None,
    fill_labels: bool = False,
) -> Any:
    """An image (C, H, W) with boxes (N, 4) of corners, or (N, 8) of rotated ones, drawn on it; with
    a label each, filled if asked for.

    >>> from argand.vision.utils import draw_bounding_boxes
    >>> image = ag.zeros(3, 4, 4, dtype=ag.uint8)
    >>> draw_bounding_boxes(image, ag.tensor([[0, 0, 2, 2]]), colors="white")[0]
    tensor([[255, 255, 255,   0],
            [255,   0, 255,   0],
            [255, 255, 255,   0],
            [  0,   0,   0,   0]], dtype=argand.uint8)
    """
    _check_image(image, (1, 3))
    if boxes.shape[-1] == 4 and bool((boxes[:, :2] > boxes[:, 2:]).any()):
        raise ValueError(
            "Boxes need to be in (xmin, ymin, xmax, ymax) format. Use vision.ops.box_convert to "
            "convert them"
        )
    count = boxes.shape[0]
    if count == 0:
        warnings.warn("boxes doesn't contain any box. No box was drawn", stacklevel=2)
        return image
    if labels is not None and len(labels) != count:
        raise ValueError(
            f"Number of boxes ({count}) and labels ({len(labels)}) mismatch. Please specify labels "
            "for each box."
        )
    outlines = _colours(colors, count)
    texts = _colours(label_colors or "black", count) if label_colors or fill_labels else outlines
    filled = label_background_colors if fill_labels and label_background_colors else None
    grounds = _colours(filled, count) if filled else outlines
    letters = _font(font, font_size)
    image = image.tile(3, 1, 1) if image.shape[0] == 1 else image
    with _drawn_on(image, "RGBA" if fill else None) as (pen, found):
        for i, box in enumerate(boxes.to(int64).tolist()):
            inside = (*outlines[i], 100) if fill else None
            _draw_box(pen, box, outlines[i], inside, width)
            if labels is not None and labels[i] is not None:
                place = (box[0] + width + 1, box[1] + width + 1)
                if fill_labels:
                    left, top, right, bottom = pen.textbbox(place, labels[i], font=letters)
                    pen.rectangle((left - 1, top - 1, right + 1, bottom + 1), fill=grounds[i])
                pen.text(place, labels[i], fill=texts[i], font=letters)
    return found[0]


def _font(font: str | None, size: int | None) -> Any:
    if font is None:
        if size is not None:
            told = "Argument 'font_size' will be ignored since 'font' is not set."
            warnings.warn(told, stacklevel=3)
        return pillow("ImageFont").load_default()
    return pillow("ImageFont").truetype(font=font, size=size or 10)


def _draw_box(pen: Any, box: list[int], outline: Any, fill: Any, width: int) -> None:
    if len(box) == 4:
        pen.rectangle(box, width=width, outline=outline, fill=fill)
        return
    corners = list(zip(box[::2], box[1::2], strict=True))
    _draw_dashes(pen, corners[0], corners[1], outline, width)  # the side that tells which way is up
    for start, end in zip(corners[1:], [*corners[2:], corners[0]], strict=True):
        pen.line((start, end), width=width, fill=outline)
    pen.polygon(box, fill=fill, outline=None, width=0)


def _draw_dashes(pen: Any, start: Any, end: Any, colour: Any, width: int, length: int = 5) -> None:
    (x1, y1), (x2, y2) = start, end
    rest, angle = math.hypot(x2 - x1, y2 - y1), math.atan2(y2 - y1, x2 - x1)
    visible, place = True, (float(x1), float(y1))
    while rest > 0:
        step = min(rest, length)
        after = (place[0] + math.cos(angle) * step, place[1] + math.sin(angle) * step)
        if visible:
            pen.line([place, after], colour, width)
        visible, place, rest = not visible, after, rest - step


def draw_segmentation_masks(image: Any, masks: Any, alpha: float = 0.8, colors: Any = None) -> Any:
    """An RGB image (3, H, W) with masks (N, H, W) of booleans laid over it, each in its colour;
    `alpha` is how little of the image is seen through. Where masks overlap it is black.

    >>> from argand.vision.utils import draw_segmentation_masks
    >>> image, mask = ag.zeros(3, 1, 2, dtype=ag.uint8), ag.tensor([[True, False]])
    >>> draw_segmentation_masks(image, mask, alpha=1.0, colors="red")[0]
    tensor([[255,   0]], dtype=argand.uint8)
    """
    _check_image(image, (3,))
    masks = masks[None] if masks.ndim == 2 else masks
    if masks.ndim != 3:
        raise ValueError("masks must be of shape (H, W) or (batch_size, H, W)")
    if masks.dtype is not bool_:
        raise ValueError(f"The masks must be of dtype bool. Got {masks.dtype}")
    if masks.shape[-2:] != image.shape[-2:]:
        raise ValueError("The image and the masks must have the same height and width")
    if masks.shape[0] == 0:
        warnings.warn("masks doesn't contain any mask. No mask was drawn", stacklevel=2)
        return image
    scale = 255 if image.is_floating_point() else 1
    with no_grad():
        laid = image.detach()
        for mask, colour in zip(masks, _colours(colors, len(masks)), strict=False):
            values = tensor([v / scale for v in colour]).to(image.dtype).reshape(3, 1, 1)
            laid = values.where(mask, laid)
        laid = laid.masked_fill(masks.sum(0) > 1, 0)
        return (image * (1 - alpha) + laid * alpha).to(image.dtype)


def draw_keypoints(
    image: Any,
    keypoints: Any,
    connectivity: list[tuple[int, int]] | None = None,
    colors: Any = None,
    radius: int = 2,
    width: int = 3,
    visibility: Any = None,
) -> Any:
    """An RGB image (3, H, W) with points (N, K, 2) of x and y of N objects drawn on it, and lines
    between the pairs of numbers in `connectivity`; only where `visibility` (N, K) says so.

    >>> from argand.vision.utils import draw_keypoints
    >>> image = ag.zeros(3, 5, 5, dtype=ag.uint8)
    >>> draw_keypoints(image, ag.tensor([[[2, 2]]]), colors="red", radius=1)[0].sum().item() > 0
    True
    """
    _check_image(image, (3,))
    if keypoints.ndim != 3:
        raise ValueError("keypoints must be of shape (num_instances, K, 2)")
    seen = np.ones(keypoints.shape[:-1], bool) if visibility is None else visibility.numpy() != 0
    seen = seen[..., 0] if seen.ndim == 3 else seen
    if seen.shape != tuple(keypoints.shape[:-1]):
        raise ValueError(
            "keypoints and visibility must have the same dimensionality for num_instances and K. "
            f"Got visibility.shape={seen.shape!r} and keypoints.shape={keypoints.shape!r}"
        )
    with _drawn_on(image) as (pen, found):
        for points, visible in zip(keypoints.to(int64).tolist(), seen, strict=True):
            for (x, y), shown in zip(points, visible, strict=True):
                if shown:
                    around = [x - radius, y - radius, x + radius, y + radius]
                    pen.ellipse(around, fill=colors, outline=None, width=0)
            for start, end in connectivity or ():
                if visible[start] and visible[end]:
                    pen.line((*points[start], *points[end]), width=width)
    return found[0]


# -- optical flow ----------------------------------------------------------------------------------


def flow_to_image(flow: Any) -> Any:
    """Optical flow (2, H, W) or (N, 2, H, W) as an RGB image: the direction is the hue, the speed
    how strong it is. Baker et al. (2007).

    >>> from argand.vision.utils import flow_to_image
    >>> flow_to_image(ag.zeros(2, 1, 1)).flatten()
    tensor([255, 255, 255], dtype=argand.uint8)
    """
    if flow.dtype is not float32:
        raise ValueError(f"Flow should be of dtype torch.float, got {flow.dtype}.")
    batch = flow[None] if flow.ndim == 3 else flow
    if batch.ndim != 4 or batch.shape[1] != 2:
        raise ValueError(
            f"Input flow should have shape (2, H, W) or (N, 2, H, W), got {flow.shape}."
        )
    moves = batch.detach().numpy()
    longest = np.sqrt((moves**2).sum(axis=1)).max(initial=0)
    moves = moves / (longest + np.finfo(np.float32).eps)
    speed = np.sqrt((moves**2).sum(axis=1))
    angle = np.arctan2(-moves[:, 1], -moves[:, 0]) / np.float32(np.pi)
    wheel = _colour_wheel()
    place = (angle + 1) / 2 * np.float32(len(wheel) - 1)
    before = np.floor(place).astype(np.int64)
    part = (place - before).astype(np.float32)
    behind = (before + 1) % len(wheel)
    planes = []
    for channel in (wheel / np.float32(255)).T:
        hue = (1 - part) * channel[before] + part * channel[behind]
        planes.append(np.floor(255 * (1 - speed * (1 - hue))))
    image = wrap(np.stack(planes, axis=1).astype(np.uint8))
    return image[0] if flow.ndim == 3 else image


# Steps from one colour to the next: which channel changes, and whether it rises.
_STEPS = ((15, 1, True), (6, 0, False), (4, 2, True), (11, 1, False), (13, 0, True), (6, 2, False))


def _colour_wheel() -> np.ndarray:
    """Red, yellow, green, cyan, blue, magenta, and what is between: (55, 3)."""
    rows, colour = [], np.array([255, 0, 0], np.float32)
    for count, channel, rises in _STEPS:
        for i in range(count):
            row = colour.copy()
            row[channel] = (
                math.floor(255 * i / count) if rises else 255 - math.floor(255 * i / count)
            )
            rows.append(row)
        colour[channel] = 255 if rises else 0
    return np.stack(rows)
