"""Image files as tensors (C, H, W) of bytes, by Pillow: the names of `torchvision.io`."""

from __future__ import annotations

import io as streams
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from argand.base.dtype import uint8
from argand.base.errors import FormatError
from argand.io.replacing import replacing
from argand.tensor.core import Tensor, wrap
from argand.vision.pillow import from_pixels, pillow, pixels

__all__ = [
    "ImageReadMode",
    "decode_avif",
    "decode_gif",
    "decode_heic",
    "decode_image",
    "decode_jpeg",
    "decode_png",
    "decode_webp",
    "encode_jpeg",
    "encode_png",
    "read_file",
    "read_image",
    "write_file",
    "write_jpeg",
    "write_png",
]


class ImageReadMode(Enum):
    """The channels that an image is read with.

    >>> from argand.vision.io import ImageReadMode
    >>> ImageReadMode.RGBA
    <ImageReadMode.RGB_ALPHA: 4>
    """

    UNCHANGED = 0
    GRAY = 1
    GRAY_ALPHA = 2
    RGB = 3
    RGB_ALPHA = 4
    RGBA = RGB_ALPHA


_PIL_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_KEPT = ("L", "LA", "RGB", "RGBA")


def read_file(path: Any) -> Tensor:
    """The bytes of a file, as a vector.

    >>> import os, tempfile
    >>> from argand.vision.io import read_file, write_file
    >>> path = os.path.join(tempfile.mkdtemp(), "a")
    >>> write_file(path, ag.tensor([1, 2], dtype=ag.uint8))
    >>> read_file(path)
    tensor([1, 2], dtype=argand.uint8)
    """
    return wrap(np.frombuffer(bytearray(Path(path).read_bytes()), np.uint8))


def write_file(filename: Any, data: Tensor) -> None:
    """Write a vector of bytes as a file, whole or not at all.

    >>> import os, tempfile
    >>> from argand.vision.io import write_file
    >>> path = os.path.join(tempfile.mkdtemp(), "a")
    >>> write_file(path, ag.zeros(3, dtype=ag.uint8))
    >>> os.path.getsize(path)
    3
    """
    _check_bytes(data, 1)
    with replacing(Path(filename)) as temporary:
        Path(temporary).write_bytes(data.detach().numpy().tobytes())


def _check_bytes(data: Any, dims: int) -> None:
    if not isinstance(data, Tensor) or data.dtype != uint8 or data.ndim != dims:
        got = f"{data.dtype}, {data.ndim}-d" if isinstance(data, Tensor) else type(data).__name__
        raise RuntimeError(f"expected a tensor of uint8 with {dims} dimension(s), got {got}")


def _decoded(input: Any, mode: Any, upright: bool, formats: Any, what: str) -> Tensor:
    _check_bytes(input, 1)
    stream = streams.BytesIO(input.detach().numpy().tobytes())
    errors = (OSError, SyntaxError, ValueError)
    try:
        image = pillow().open(stream, formats=formats)
        if upright:
            image = pillow("ImageOps").exif_transpose(image)
        return wrap(np.ascontiguousarray(pixels(_in_mode(image, mode)).transpose(2, 0, 1)))
    except errors as error:
        raise FormatError(f"{what}: these {len(input)} bytes are no such image: {error}") from None


def _in_mode(image: Any, mode: Any) -> Any:
    asked = ImageReadMode[mode.upper()] if isinstance(mode, str) else mode
    if asked is not ImageReadMode.UNCHANGED:
        return image.convert(_PIL_MODES[asked.value])
    if image.mode in _KEPT or image.mode.startswith("I;16"):
        return image
    return image.convert(
        "RGBA" if "transparency" in image.info else "L" if image.mode == "1" else "RGB"
    )


def decode_image(
    input: Any, mode: Any = ImageReadMode.UNCHANGED, apply_exif_orientation: bool = False
) -> Tensor:
    """The image (C, H, W) of the bytes of a file, or of the file of that name: JPEG, PNG, GIF, WebP
    and what else Pillow reads. `apply_exif_orientation` turns it upright.

    Raises FormatError for what is no image.

    >>> from argand.vision.io import decode_image, encode_png
    >>> decode_image(encode_png(ag.zeros(3, 2, 4, dtype=ag.uint8))).shape
    argand.Size([3, 2, 4])
    """
    if not isinstance(input, Tensor):
        input = read_file(input)
    return _decoded(input, mode, apply_exif_orientation, None, "decode_image")


read_image = decode_image


def decode_jpeg(
    input: Any,
    mode: Any = ImageReadMode.UNCHANGED,
    device: Any = "cpu",
    apply_exif_orientation: bool = False,
) -> Any:
    """The image (C, H, W) of the bytes of a JPEG file; a list of them for a list.

    >>> from argand.vision.io import decode_jpeg, encode_jpeg
    >>> decode_jpeg(encode_jpeg(ag.zeros(1, 8, 8, dtype=ag.uint8))).shape
    argand.Size([1, 8, 8])
    """
    if isinstance(input, list):
        if not input:
            raise ValueError("Input list must contain at least one element")
        return [decode_jpeg(x, mode, device, apply_exif_orientation) for x in input]
    return _decoded(input, mode, apply_exif_orientation, ["JPEG"], "decode_jpeg")


def decode_png(
    input: Any, mode: Any = ImageReadMode.UNCHANGED, apply_exif_orientation: bool = False
) -> Tensor:
    """The image (C, H, W) of the bytes of a PNG file.

    >>> from argand.vision.io import decode_png, encode_png
    >>> decode_png(encode_png(ag.ones(1, 1, 2, dtype=ag.uint8)))
    tensor([[[1, 1]]], dtype=argand.uint8)
    """
    return _decoded(input, mode, apply_exif_orientation, ["PNG"], "decode_png")


def decode_webp(input: Any, mode: Any = ImageReadMode.UNCHANGED) -> Tensor:
    """The image (C, H, W) of the bytes of a WebP file."""
    return _decoded(input, mode, False, ["WEBP"], "decode_webp")


def decode_avif(input: Any, mode: Any = ImageReadMode.UNCHANGED) -> Tensor:
    """The image (C, H, W) of the bytes of an AVIF file, where Pillow reads these."""
    return _decoded(input, mode, False, ["AVIF"], "decode_avif")


def decode_heic(input: Any, mode: Any = ImageReadMode.UNCHANGED) -> Tensor:
    """The image (C, H, W) of the bytes of a HEIC file, where a plugin of Pillow reads these."""
    return _decoded(input, mode, False, ["HEIF"], "decode_heic")


def decode_gif(input: Any) -> Tensor:
    """The image (3, H, W) of the bytes of a GIF file, or (N, 3, H, W) where it has N > 1 frames."""
    _check_bytes(input, 1)
    stream = streams.BytesIO(input.detach().numpy().tobytes())
    try:
        image = pillow().open(stream, formats=["GIF"])
        frames = []
        for number in range(image.n_frames):
            image.seek(number)
            frames.append(pixels(image.convert("RGB")).transpose(2, 0, 1))
    except (OSError, SyntaxError, ValueError) as error:
        raise FormatError(f"decode_gif: these bytes are no GIF image: {error}") from None
    return wrap(np.stack(frames) if len(frames) > 1 else np.ascontiguousarray(frames[0]))


def _encoded(input: Any, format: str, **options: Any) -> Tensor:
    _check_bytes(input, 3)
    if input.shape[0] not in (1, 3):
        raise RuntimeError(f"the number of channels must be 1 or 3, got {input.shape[0]}")
    array = input.detach().permute(1, 2, 0).numpy()
    stream = streams.BytesIO()
    from_pixels(array, "L" if input.shape[0] == 1 else "RGB").save(stream, format, **options)
    return wrap(np.frombuffer(bytearray(stream.getvalue()), np.uint8))


def encode_jpeg(input: Any, quality: int = 75) -> Any:
    """The bytes of a JPEG file of an image (C, H, W) of bytes with 1 or 3 channels; a list for a
    list.

    >>> from argand.vision.io import encode_jpeg
    >>> encode_jpeg(ag.zeros(3, 8, 8, dtype=ag.uint8))[:2]
    tensor([255, 216], dtype=argand.uint8)
    """
    if not 1 <= quality <= 100:
        raise ValueError("Image quality should be a positive number between 1 and 100")
    if isinstance(input, list):
        if not input:
            raise ValueError("encode_jpeg requires at least one input tensor when a list is passed")
        return [encode_jpeg(x, quality) for x in input]
    return _encoded(input, "JPEG", quality=quality)


def encode_png(input: Any, compression_level: int = 6) -> Tensor:
    """The bytes of a PNG file of an image (C, H, W) of bytes with 1 or 3 channels.

    >>> from argand.vision.io import encode_png
    >>> bytes(encode_png(ag.zeros(1, 1, 1, dtype=ag.uint8))[1:4].tolist())
    b'PNG'
    """
    if not 0 <= compression_level <= 9:
        raise RuntimeError("Compression level should be between 0 and 9")
    return _encoded(input, "PNG", compress_level=compression_level)


def write_jpeg(input: Any, filename: Any, quality: int = 75) -> None:
    """Write an image (C, H, W) of bytes as a JPEG file."""
    write_file(filename, encode_jpeg(input, quality))


def write_png(input: Any, filename: Any, compression_level: int = 6) -> None:
    """Write an image (C, H, W) of bytes as a PNG file.

    >>> import os, tempfile
    >>> from argand.vision.io import read_image, write_png
    >>> path = os.path.join(tempfile.mkdtemp(), "a.png")
    >>> write_png(ag.ones(1, 1, 2, dtype=ag.uint8), path)
    >>> read_image(path)
    tensor([[[1, 1]]], dtype=argand.uint8)
    """
    write_file(filename, encode_png(input, compression_level))


# -- the functions of `torch.ops.image`, for the library torchvision as it is ----------------------


def _by_number(decode: Any) -> Any:
    """A decoder whose mode is a number."""

    def call(data: Any, mode: int = 0, *upright: bool) -> Any:
        options = {"apply_exif_orientation": upright[0]} if upright else {}
        return decode(data, ImageReadMode(mode), **options)

    return call


FUNCTIONS: dict[str, Any] = {
    "decode_gif": decode_gif,
    "decode_image": _by_number(decode_image),
    "decode_jpeg": _by_number(decode_jpeg),
    "decode_png": _by_number(decode_png),
    "decode_webp": _by_number(decode_webp),
    "encode_jpeg": encode_jpeg,
    "encode_png": encode_png,
    "read_file": read_file,
    "write_file": write_file,
}
"""The ops of torchvision's library of images."""
