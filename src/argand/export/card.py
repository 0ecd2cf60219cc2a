"""What a model card says of inputs and outputs: what a server makes of an image or a string, and
what the numbers mean.

A card's field ``inputs`` has descriptions by the names of inputs, ``outputs`` by those of outputs:

    card={"inputs": {"input": ag.export.card.image(size=224, mean=[0.485, 0.456, 0.406])},
          "outputs": {"output": ag.export.card.classes("classes.txt", softmax=True)}}

Its field ``padded`` says which sizes may be padded, see `argand.export.padded`.

They are data. `save` holds them against the signatures and the assets; a server and `argand
predict` follow them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from argand.base.errors import ArgumentError, did_you_mean
from argand.export.padded import check_padded

LAYOUTS = ("NCHW", "NHWC")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")
TOKENIZERS = ("characters", "words", "wordpiece", "tokenizers")


class Described:
    """A description, read from JSON by `of`; ArgumentError names the field that is wrong."""

    kind: ClassVar[str]

    @property
    def assets(self) -> list[str]:
        """The names of the assets that it needs."""
        return []

    @property
    def names(self) -> list[str]:
        """Further inputs, or outputs, that it speaks of."""
        return []


@dataclass(frozen=True, slots=True)
class Image(Described):
    """An image of any size; see `image`."""

    kind = "image"
    channels: int = 3
    size: tuple[int, ...] | None = None
    resize: int | None = None
    scale: float = 255.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    layout: str = "NCHW"
    interpolation: str = "bicubic"
    max_pixels: int = 1 << 25

    def __post_init__(self) -> None:
        _hold(self.channels in (1, 3, 4), "channels", "is 1, 3 or 4", self.channels)
        sizes = self.size or (1, 1)
        _hold(len(sizes) == 2 and min(sizes) > 0, "size", "is [height, width]", self.size)
        least = max(sizes)
        enough = self.resize is None or self.resize >= least
        _hold(enough, "resize", f"is {least} at least, what is cut out", self.resize)
        _hold(self.scale > 0, "scale", "is above 0", self.scale)
        for name, values in (("mean", self.mean), ("std", self.std)):
            fits = len(values) in (1, self.channels)
            _hold(fits, name, f"has 1 or {self.channels} numbers, one a channel", list(values))
        _hold(all(x > 0 for x in self.std), "std", "is above 0", list(self.std))
        _one_of("layout", self.layout, LAYOUTS)
        _one_of("interpolation", self.interpolation, INTERPOLATIONS)
        _hold(self.max_pixels > 0, "max_pixels", "is above 0", self.max_pixels)


@dataclass(frozen=True, slots=True)
class Text(Described):
    """A string; see `text`."""

    kind = "text"
    tokenizer: str = "tokenizer.json"
    type: str = "tokenizers"
    max_length: int | None = None
    pad: bool = False
    pad_token: int = 0
    lower: bool = False
    unknown: str = "[UNK]"
    start: str | None = None
    end: str | None = None
    mask: str | None = None
    types: str | None = None

    def __post_init__(self) -> None:
        _one_of("type", self.type, TOKENIZERS)
        least = (self.start is not None) + (self.end is not None) + 1
        enough = self.max_length is None or self.max_length >= least
        _hold(enough, "max_length", f"is {least} at least", self.max_length)
        told = not self.pad or self.max_length is not None
        _hold(told, "pad", "needs max_length, the length that is padded to", self.pad)

    @property
    def assets(self) -> list[str]:
        """The tokenizer's file."""
        return [self.tokenizer]

    @property
    def names(self) -> list[str]:
        """The inputs for the mask and the types of the tokens."""
        return [x for x in (self.mask, self.types) if x is not None]


@dataclass(frozen=True, slots=True)
class Classes(Described):
    """Scores of classes; see `classes`."""

    kind = "classes"
    classes: str | None = None
    softmax: bool = False
    sigmoid: bool = False
    top: int | None = 5
    threshold: float | None = None

    def __post_init__(self) -> None:
        one = not (self.softmax and self.sigmoid)
        _hold(one, "sigmoid", "and softmax are not both applied", self.sigmoid)
        _hold(self.top is None or self.top > 0, "top", "is above 0", self.top)

    @property
    def assets(self) -> list[str]:
        """The file with the names."""
        return [] if self.classes is None else [self.classes]


@dataclass(frozen=True, slots=True)
class Detections(Described):
    """Boxes of objects; see `detections`."""

    kind = "detections"
    labels: str = "labels"
    scores: str = "scores"
    classes: str | None = None
    threshold: float = 0.5

    @property
    def assets(self) -> list[str]:
        """The file with the names of the classes."""
        return [] if self.classes is None else [self.classes]

    @property
    def names(self) -> list[str]:
        """The outputs with the labels and scores."""
        return [self.labels, self.scores]


@dataclass(frozen=True, slots=True)
class Segments(Described):
    """Scores of classes for each pixel; see `segments`."""

    kind = "segments"
    classes: str | None = None

    @property
    def assets(self) -> list[str]:
        """The file with the names."""
        return [] if self.classes is None else [self.classes]


@dataclass(frozen=True, slots=True)
class Decoded(Described):
    """Token ids that are a text; see `decoded`."""

    kind = "decoded"
    tokenizer: str = "tokenizer.json"
    type: str = "tokenizers"

    def __post_init__(self) -> None:
        _one_of("type", self.type, TOKENIZERS)

    @property
    def assets(self) -> list[str]:
        """The tokenizer's file."""
        return [self.tokenizer]


INPUTS: dict[str, Any] = {x.kind: x for x in (Image, Text)}
OUTPUTS: dict[str, Any] = {x.kind: x for x in (Classes, Detections, Segments, Decoded)}


# -- writing a card --------------------------------------------------------------------------------


def image(
    *,
    size: int | Sequence[int] | None = None,
    resize: int | None = None,
    channels: int = 3,
    scale: float = 255.0,
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
    layout: str = "NCHW",
    interpolation: str = "bicubic",
    max_pixels: int = 1 << 25,
) -> dict[str, Any]:
    """An input that is an image: (pixels / scale - mean) / std in the input's layout and dtype;
    an input of uint8 has the pixels as they are.

    Args:
        size: height and width (an int for both); without it those of the input, where they are
            numbers, else the image's own.
        resize: the shorter side is made so long first, and the middle of `size` is cut out; without
            it the image is made as large as `size`, whatever its proportions.
        channels: 1 (grey), 3 (red, green, blue) or 4 (and alpha).
        scale, mean, std: numbers, or one for each channel.
        layout: "NCHW" or "NHWC"; an input of three dimensions lacks the N.
        interpolation: "nearest", "bilinear", "bicubic" or "lanczos", as Pillow computes it.
        max_pixels: larger images are refused before they are decoded.

    >>> ag.export.card.image(size=32, mean=0.5)
    {'kind': 'image', 'size': [32, 32], 'mean': [0.5]}
    """
    if isinstance(size, int):
        size = (size, size)
    return _fields(
        Image(
            channels=channels,
            size=None if size is None else tuple(size),
            resize=resize,
            scale=scale,
            mean=_floats(mean),
            std=_floats(std),
            layout=layout,
            interpolation=interpolation,
            max_pixels=max_pixels,
        )
    )


def text(
    tokenizer: str = "tokenizer.json",
    type: str = "tokenizers",
    *,
    max_length: int | None = None,
    pad: bool = False,
    pad_token: int = 0,
    lower: bool = False,
    unknown: str = "[UNK]",
    start: str | None = None,
    end: str | None = None,
    mask: str | None = None,
    types: str | None = None,
) -> dict[str, Any]:
    """An input of token ids, which are made of a string.

    Args:
        tokenizer: the asset with the vocabulary.
        type: what the asset is: "tokenizers", the JSON file of that library, which must be
            installed; else a text with a token a line, which stand for "characters", for "words"
            (runs of letters and digits, and other characters) or are joined to them ("wordpiece",
            as BERT does: pieces inside a word begin with ``##``).
        max_length: longer texts are cut.
        pad: shorter ones are filled up to `max_length` with `pad_token`. Without it each request
            has its own length; a server computes requests of equal lengths together, and of
            others where the card's field ``padded`` says how.
        lower: whether the text becomes lower case first. Not for "tokenizers", which says itself.
        unknown: the token for what the vocabulary lacks.
        start, end: tokens put around, such as ``[CLS]`` and ``[SEP]``.
        mask: the input that is 1 for tokens and 0 for what was filled up.
        types: the input that is 0 for each token, as BERT has it.

    >>> ag.export.card.text("vocab.txt", "wordpiece", max_length=128, mask="attention_mask")
    {'kind': 'text', 'tokenizer': 'vocab.txt', 'type': 'wordpiece', 'max_length': 128, \
'mask': 'attention_mask'}
    """
    return _fields(
        Text(
            tokenizer=tokenizer,
            type=type,
            max_length=max_length,
            pad=pad,
            pad_token=pad_token,
            lower=lower,
            unknown=unknown,
            start=start,
            end=end,
            mask=mask,
            types=types,
        )
    )


def classes(
    classes: str | None = None,
    *,
    softmax: bool = False,
    sigmoid: bool = False,
    top: int | None = 5,
    threshold: float | None = None,
) -> dict[str, Any]:
    """An output with a score for each class along its last dimension.

    Args:
        classes: the asset with their names, a line each or a JSON list; numbers without it.
        softmax, sigmoid: what makes shares of the scores.
        top: how many of the best are told; None for all.
        threshold: the least score that is told.

    >>> ag.export.card.classes("classes.txt", softmax=True, top=3)
    {'kind': 'classes', 'classes': 'classes.txt', 'softmax': True, 'top': 3}
    """
    return _fields(
        Classes(classes=classes, softmax=softmax, sigmoid=sigmoid, top=top, threshold=threshold)
    )


def detections(
    labels: str = "labels",
    scores: str = "scores",
    *,
    classes: str | None = None,
    threshold: float = 0.5,
) -> dict[str, Any]:
    """An output of boxes (x1, y1, x2, y2); the outputs `labels` and `scores` say what is in each,
    and how sure that is.

    >>> ag.export.card.detections(threshold=0.3)
    {'kind': 'detections', 'threshold': 0.3}
    """
    return _fields(Detections(labels=labels, scores=scores, classes=classes, threshold=threshold))


def segments(classes: str | None = None) -> dict[str, Any]:
    """An output with a score for each class (dimension 1) and pixel.

    >>> ag.export.card.segments("classes.txt")
    {'kind': 'segments', 'classes': 'classes.txt'}
    """
    return _fields(Segments(classes=classes))


def decoded(tokenizer: str = "tokenizer.json", type: str = "tokenizers") -> dict[str, Any]:
    """An output of token ids that are a text; see `text`.

    >>> ag.export.card.decoded("characters.txt", "characters")
    {'kind': 'decoded', 'tokenizer': 'characters.txt', 'type': 'characters'}
    """
    return _fields(Decoded(tokenizer=tokenizer, type=type))


def _floats(x: float | Sequence[float]) -> tuple[float, ...]:
    return (float(x),) if isinstance(x, int | float) else tuple(map(float, x))


def _fields(made: Any) -> dict[str, Any]:
    """A description as JSON: its kind, and what differs from the defaults."""
    found: dict[str, Any] = {"kind": made.kind}
    for field in dataclasses.fields(made):
        value = getattr(made, field.name)
        if value != field.default:
            found[field.name] = list(value) if isinstance(value, tuple) else value
    return found


# -- reading a card --------------------------------------------------------------------------------


def inputs_described(card: Mapping[str, Any]) -> dict[str, Any]:
    """The descriptions of a card by the names of inputs; ArgumentError names what is wrong."""
    return _all(card, "inputs", INPUTS)


def outputs_described(card: Mapping[str, Any]) -> dict[str, Any]:
    """The descriptions of a card by the names of outputs."""
    return _all(card, "outputs", OUTPUTS)


def default_image(card: Mapping[str, Any]) -> Image:
    """How a card's field ``image`` has images, for inputs that are not described."""
    value = card.get("image")
    if not isinstance(value, Mapping):
        return Image()
    made: Image = described({"kind": "image", **value}, "card.image", INPUTS)
    return made


def _all(card: Mapping[str, Any], part: str, kinds: Mapping[str, Any]) -> dict[str, Any]:
    value = card.get(part, {})
    if not isinstance(value, Mapping):
        raise ArgumentError(f"card.{part}: expected descriptions by name, got {value!r:.60}")
    return {name: described(x, f"card.{part}.{name}", kinds) for name, x in value.items()}


def described(value: Any, where: str, kinds: Mapping[str, Any]) -> Any:
    """One description."""
    if not isinstance(value, Mapping) or value.get("kind") not in kinds:
        kind = value.get("kind") if isinstance(value, Mapping) else value
        raise ArgumentError(f"{where}.kind: expected {' or '.join(kinds)}, got {kind!r:.60}")
    kind = kinds[value["kind"]]
    given: dict[str, Any] = {}
    fields = {f.name: f for f in dataclasses.fields(kind)}
    for name, x in value.items():
        if name == "kind":
            continue
        if name not in fields:
            hint = did_you_mean(str(name), fields)
            raise ArgumentError(f"{where}.{name}: {kind.kind} has no such field{hint}")
        given[name] = _typed(x, str(fields[name].type), f"{where}.{name}")
    try:
        return kind(**given)
    except ArgumentError as error:
        raise ArgumentError(f"{where}.{error}") from None


def _typed(x: Any, declared: str, where: str) -> Any:
    """A value of JSON as a field has it."""
    wanted = declared.removesuffix(" | None")
    if x is None and wanted != declared:
        return None
    if wanted == "tuple[int, ...]" and _is(x, int):
        return (x, x)
    if wanted.startswith("tuple"):
        of = float if "float" in wanted else int
        items = x if isinstance(x, list | tuple) else [x]
        if all(_is(i, of) for i in items):
            return tuple(of(i) for i in items)
    elif wanted == "float" and _is(x, float):
        return float(x)
    elif _is(x, {"int": int, "bool": bool, "str": str}.get(wanted, object)):
        return x
    raise ArgumentError(f"{where}: expected {_READABLE.get(wanted, wanted)}, got {x!r:.60}")


_READABLE = {"tuple[int, ...]": "ints", "tuple[float, ...]": "numbers", "str": "a string"}


def _is(x: Any, kind: type) -> bool:
    if isinstance(x, bool):
        return kind is bool
    return isinstance(x, int | float if kind is float else kind)


def _hold(fits: bool, field: str, rule: str, value: Any) -> None:
    if not fits:
        raise ArgumentError(f"{field}: it {rule}, got {value!r:.60}")


def _one_of(field: str, value: Any, known: Collection[str]) -> None:
    if value not in known:
        hint = did_you_mean(str(value), known)
        raise ArgumentError(f"{field}: one of {', '.join(known)}, got {value!r:.60}{hint}")


# -- checking a card -------------------------------------------------------------------------------


def check_card(
    card: Mapping[str, Any], signatures: Collection[Any], assets: Mapping[str, Any]
) -> None:
    """Hold a card against the signatures and assets of a program; ArgumentError says what is
    wrong."""
    check_padded(card.get("padded", {}), signatures)
    for part, found in (("inputs", inputs_described(card)), ("outputs", outputs_described(card))):
        names = {x.name for s in signatures for x in getattr(s, part)}
        for name, description in found.items():
            for n in (name, *description.names):
                if n not in names:
                    raise ArgumentError(
                        f"card.{part}.{name}: there is no {part[:-1]} {n!r}"
                        f"{did_you_mean(n, names)}; there are {', '.join(sorted(names))}"
                    )
            for asset in description.assets:
                if asset not in assets:
                    raise ArgumentError(
                        f"card.{part}.{name}: it needs the asset {asset!r}, give it to save: "
                        f"assets={{{asset!r}: ...}}"
                    )


def names_of_classes(asset: str, data: bytes) -> list[str]:
    """The names of classes in an asset: lines, or a JSON list; ValueError for anything else."""
    if asset.endswith(".json"):
        found = json.loads(data)
        if isinstance(found, dict):  # TorchServe's index_to_name.json
            found = [found[str(i)] for i in range(len(found)) if str(i) in found]
        if not isinstance(found, list):
            raise ValueError(f"{asset}: no JSON list of names")
        return [str(x[-1] if isinstance(x, list) and x else x) for x in found]
    return data.decode().splitlines()


__all__ = [
    "Classes",
    "Decoded",
    "Described",
    "Detections",
    "Image",
    "Segments",
    "Text",
    "check_card",
    "classes",
    "decoded",
    "default_image",
    "detections",
    "image",
    "inputs_described",
    "names_of_classes",
    "outputs_described",
    "segments",
    "text",
]
