"""Images and strings in, class names out, as a model's card says."""

from __future__ import annotations

import base64
import io
import json
import struct
import sys
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import argand as ag
from argand import nn
from argand.export import card
from argand.nn import functional as F
from argand.serve import ModelOptions, ModelVersion, ServeError, Status, handlers
from argand.vision import transforms

pillow = pytest.importorskip("PIL.Image")
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.25, 0.3]
CLASSES = "ant\nbee\ncat"


def version_of(program: Any, folder: Path, **options: Any) -> ModelVersion:
    """A version that has read the program's file."""
    program.save(folder / "model.argand", **options)
    version = ModelVersion("model", 1, folder / "model.argand", ModelOptions())
    version.read()
    return version


def png(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    pillow.fromarray(pixels).save(file, kind)
    return file.getvalue()


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    """Classifies images of 8 x 8 pixels."""
    ag.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 3)).eval()
    shapes = ({0: ag.Dim("rows")},)
    program = ag.export.export(model, (ag.ones(2, 3, 8, 8),), dynamic_shapes=shapes)
    how = card.image(size=8, resize=12, mean=MEAN, std=STD, interpolation="bilinear")
    described = {
        "inputs": {"input": how},
        "outputs": {"output": card.classes("classes.txt", softmax=True, top=2)},
    }
    folder = tmp_path_factory.mktemp("classifier")
    return version_of(program, folder, card=described, assets={"classes.txt": CLASSES})


def test_an_image_becomes_what_torchvisions_transforms_make_of_it(
    classifier: ModelVersion,
) -> None:
    pixels = noise(20, 31, 3)
    chain = transforms.Compose(
        [
            transforms.Resize(12),
            transforms.CenterCrop(8),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    expected = chain(pillow.fromarray(pixels)).numpy()[None]
    data = png(pixels)
    encoded = base64.b64encode(data).decode()
    form = b'--x\r\nContent-Disposition: form-data; name="data"; filename="a.png"\r\n'
    form += b"Content-Type: image/png\r\n\r\n" + data + b"\r\n--x--\r\n"
    bodies: list[tuple[bytes, str]] = [
        (data, "image/png"),
        (data, ""),
        (form, "multipart/form-data; boundary=x"),
        (json.dumps({"data": encoded}).encode(), "application/json"),
        (json.dumps({"input": {"b64": encoded}}).encode(), "application/json; charset=utf-8"),
        (json.dumps({"instances": [{"b64": encoded}]}).encode(), "application/json"),
        (json.dumps({"input": expected.tolist()}).encode(), "application/json"),
    ]
    signature = classifier.signature()
    for body, kind in bodies:
        found = handlers.inputs_of(classifier, signature, body, kind)
        np.testing.assert_array_equal(found["input"], expected, strict=True)
    given = {"input": np.array([data, data], object)}
    found = handlers.converted(classifier, signature, given)
    np.testing.assert_array_equal(found["input"], np.concatenate([expected, expected]))
    assert handlers.converted(classifier, signature, found) is found


def test_scores_become_the_names_of_the_best_classes(classifier: ModelVersion) -> None:
    signature = classifier.signature()
    scores = np.float32([[1, 3, 2], [5, 0, 0]])
    shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    found = handlers.answer_of(classifier, signature, [scores])
    assert [list(row) for row in found] == [["bee", "cat"], ["ant", "bee"]]
    assert list(found[0].values()) == pytest.approx([shares[0, 1], shares[0, 2]])
    assert list(handlers.answer_of(classifier, signature, [scores[:1]])) == ["bee", "cat"]
    assert handlers.is_described(classifier, signature)


def test_classes_of_one_name_are_told_apart(tmp_path: Path) -> None:
    program = ag.export.export(lambda x: x * 1, (ag.ones(1, 3),))
    described = {"outputs": {"output": card.classes("names.txt", top=None)}}
    version = version_of(
        program, tmp_path, card=described, assets={"names.txt": "crane\nbee\ncrane"}
    )
    answer = handlers.answer_of(version, version.signature(), [np.float32([[0.5, 0.25, 0.125]])])
    assert answer == {"crane (0)": 0.5, "bee": 0.25, "crane (2)": 0.125}


def header(width: int, height: int) -> bytes:
    """A PNG that says how large it is, and has little in it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    body = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body += chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (header(60000, 60000), "image/png"),
        (header(9000, 9000), "image/png"),
        (header(0, 5), "image/png"),
        (png(noise(40, 40, 3))[:700], "image/png"),
        (png(noise(40, 40, 3), "JPEG")[:300], "image/jpeg"),
        (b"", "image/png"),
        (b"%PDF-1.7 no image", "application/octet-stream"),
        (b"\x93NUMPY\x01\x00", "image/png"),
        (b'{"data": "no base64!"}', "application/json"),
        (b'{"data": []}', "application/json"),
        (b'{"data": [[1, 2], [3]]}', "application/json"),
    ],
)
def test_what_is_no_image_is_refused_with_the_field_in_bounded_memory(
    classifier: ModelVersion, body: bytes, kind: str
) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ServeError) as caught:
            handlers.inputs_of(classifier, classifier.signature(), body, kind)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert (caught.value.status, caught.value.field) == (Status.INVALID_ARGUMENT, "input")


def test_16_bits_a_pixel_are_made_8_and_32_are_refused(classifier: ModelVersion) -> None:
    gray = noise(8, 8)
    signature = classifier.signature()
    expected = handlers.inputs_of(classifier, signature, png(gray), "image/png")["input"]
    wide = png(gray.astype(np.uint16) * 257)
    found = handlers.inputs_of(classifier, signature, wide, "image/png")["input"]
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ServeError, match="32 bits a pixel") as caught:
        handlers.inputs_of(classifier, signature, png(gray.astype(np.float32), "TIFF"), "")
    assert caught.value.field == "input"


def test_a_small_file_of_a_large_image_is_not_decoded(classifier: ModelVersion) -> None:
    body = png(np.zeros((6000, 6000), np.uint8))
    assert len(body) < 1 << 17
    with pytest.raises(ServeError, match="6000 x 6000 pixels, the model takes up to 33554432"):
        handlers.inputs_of(classifier, classifier.signature(), body, "image/png")


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b"{", "application/json", "no JSON"),
        (b"[" * 100000, "application/json", "no JSON"),
        (b"x", "multipart/form-data; boundary=y", "no parts|no form"),
        (b'{"imput": 1}', "application/json", "did you mean input"),
    ],
)
def test_bodies_that_hold_nothing_are_refused(
    classifier: ModelVersion, body: bytes, kind: str, message: str
) -> None:
    with pytest.raises(ServeError, match=message):
        handlers.inputs_of(classifier, classifier.signature(), body, kind)


class Pixels(nn.Module):
    """A classifier of images of any size, as they are decoded."""

    def __init__(self, antialias: bool) -> None:
        super().__init__()
        ag.manual_seed(1)
        self.antialias = antialias
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, pixels: ag.Tensor) -> ag.Tensor:
        x = pixels.permute(0, 3, 1, 2).float() / 255
        x = F.interpolate(x, size=(16, 16), mode="bilinear", antialias=self.antialias)
        x = (x - ag.tensor(MEAN).view(3, 1, 1)) / ag.tensor(STD).view(3, 1, 1)
        return self.head(self.conv(x).relu().mean((2, 3)))


@pytest.mark.parametrize("antialias", [False, True])
def test_a_program_that_resizes_and_normalises_gives_the_bits_of_the_script(
    tmp_path: Path, antialias: bool
) -> None:
    model = Pixels(antialias).eval()
    sizes = {0: ag.Dim("rows"), 1: ag.Dim("height"), 2: ag.Dim("width")}
    example = ag.tensor(noise(2, 20, 30, 3))
    program = ag.export.export(model, (example,), dynamic_shapes=({**sizes},))
    how = card.image(layout="NHWC")
    version = version_of(program, tmp_path, card={"inputs": {"pixels": how}})
    signature = version.signature()
    for height, width in ((20, 30), (7, 50), (64, 33)):
        pixels = noise(height, width, 3)
        inputs = handlers.inputs_of(version, signature, png(pixels), "image/png")
        np.testing.assert_array_equal(inputs["pixels"][0], pixels)
        (found,) = signature.run(signature.check(inputs).arrays)
        expected = ag.compile(model)(ag.tensor(pixels[None])).detach().numpy()
        assert found.tobytes() == expected.tobytes()


# -- texts -----------------------------------------------------------------------------------------

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able", "cafe", "!", "the"]


def text_model(folder: Path, how: dict[str, Any], vocabulary: str | bytes) -> ModelVersion:
    """A model of token ids and a mask."""

    def count(input_ids: Any, attention_mask: Any) -> Any:
        seen = (input_ids * attention_mask).sum(1, keepdim=True)
        return ag.cat([seen, -seen], 1).float()

    ids = ag.ones(2, 4, dtype=ag.int64)
    sizes = {0: ag.Dim("rows"), 1: ag.Dim("length")}
    program = ag.export.export(count, (ids, ids * 1), dynamic_shapes=({**sizes}, {**sizes}))
    name = how.get("tokenizer", "tokenizer.json")
    described = {"inputs": {"input_ids": how}, "outputs": {"output": card.classes(top=None)}}
    return version_of(program, folder, card=described, assets={name: vocabulary})


def test_wordpiece_gives_berts_pieces_a_mask_and_padding(tmp_path: Path) -> None:
    how = card.text(
        "vocab.txt",
        "wordpiece",
        max_length=8,
        pad=True,
        lower=True,
        start="[CLS]",
        end="[SEP]",
        mask="attention_mask",
    )
    version = text_model(tmp_path, how, "\n".join(PIECES))
    signature = version.signature()
    found = handlers.inputs_of(version, signature, "UNaffable Café!".encode(), "text/plain")
    assert found["input_ids"].tolist() == [[2, 4, 5, 6, 7, 8, 3, 0]]
    assert found["attention_mask"].tolist() == [[1, 1, 1, 1, 1, 1, 1, 0]]
    texts = {"input_ids": np.array(["the " * 20, "unheard"])}
    found = handlers.converted(version, signature, texts)
    assert found["input_ids"].tolist() == [[2, 9, 9, 9, 9, 9, 9, 3], [2, 1, 3, 0, 0, 0, 0, 0]]
    (scores,) = signature.run(signature.check(found).arrays)
    assert handlers.answer_of(version, signature, [scores])[1] == {"0": 6.0, "1": -6.0}


def test_a_text_without_its_characters_or_of_other_bytes_is_refused(tmp_path: Path) -> None:
    how = card.text("characters.json", "characters", mask="attention_mask", max_length=4)
    version = text_model(tmp_path, how, json.dumps(["\n", "a", "b"]))
    signature = version.signature()
    found = handlers.inputs_of(version, signature, b"ba\nabba", "text/plain")
    assert found["input_ids"].tolist() == [[2, 1, 0, 1]]
    bodies = [(b"xa", "text/plain"), (b"\xff\xfe", "text/plain"), (b"", "text/plain")]
    for body, kind in [*bodies, (b'{"data": 3}', "application/json")]:
        with pytest.raises(ServeError) as caught:
            handlers.inputs_of(version, signature, body, kind)
        assert caught.value.status is Status.INVALID_ARGUMENT
        assert caught.value.field


def test_the_tokenizers_library_reads_its_own_files(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({t: i for i, t in enumerate(PIECES)}, unk_token="[UNK]")
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    made.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    how = card.text(max_length=5, mask="attention_mask")
    version = text_model(tmp_path, how, made.to_str())
    found = handlers.inputs_of(version, version.signature(), b"unaffable the the", "")
    assert found["input_ids"].tolist() == [[2, 4, 5, 6, 3]]


def test_a_text_needs_no_name_where_the_mask_follows_from_it(tmp_path: Path) -> None:
    how = card.text("c.txt", "characters", mask="attention_mask")
    version = text_model(tmp_path, how, "a\nb\nc")
    asked = handlers.asked_inputs(version, version.signature())
    assert [x.name for x in asked] == ["input_ids"]


def test_a_library_that_is_missing_is_no_fault_of_the_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    version = text_model(tmp_path, card.text(mask="attention_mask"), "{}")
    with pytest.raises(ServeError, match="pip install tokenizers") as caught:
        handlers.inputs_of(version, version.signature(), b"the", "text/plain")
    assert caught.value.status is Status.FAILED_PRECONDITION


# -- numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int32", "uint64", "float16"])
def test_numbers_are_read_as_the_other_protocols_read_them(tmp_path: Path, dtype: str) -> None:
    example = ag.ones(2, 3).to(getattr(ag, dtype))
    program = ag.export.export(lambda x: x * 1, (example,), dynamic_shapes=({0: ag.Dim("n")},))
    version = version_of(program, tmp_path)
    signature = version.signature()
    for body, kind in [
        (b'{"x": [[1, 2, 100]]}', "application/json"),
        (b"[[1, 2, 100]]", "application/x-www-form-urlencoded"),  # as curl -d sends it
        (b' {"data": [1, 2, 100]}', ""),
    ]:
        found = handlers.inputs_of(version, signature, body, kind)
        np.testing.assert_array_equal(found["x"], np.array([[1, 2, 100]], dtype), strict=True)
    with pytest.raises(ServeError, match=f"x: .* is out of the range of {dtype}") as caught:
        handlers.inputs_of(version, signature, b"[[1, -70000, 99999999999999999999]]", "")
    assert caught.value.field == "x"
    with pytest.raises(ServeError, match=r"x takes numbers, x: \w+\(n, 3\), got 9 bytes"):
        handlers.inputs_of(version, signature, b"1, 2, 100", "text/plain")


def test_a_form_has_an_image_and_numbers(tmp_path: Path) -> None:
    def brighter(image: Any, by: Any) -> Any:
        return image.float().mean((1, 2, 3)) * by

    rows = {0: ag.Dim("n")}
    example = (ag.ones(2, 3, 4, 4), ag.ones(2))
    program = ag.export.export(brighter, example, dynamic_shapes=(rows, rows))
    version = version_of(program, tmp_path, card={"inputs": {"image": card.image()}})
    parts = [(b"image", png(noise(4, 4, 3))), (b"by", b"2.5")]
    body = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % p for p in parts
    )
    found = handlers.inputs_of(
        version, version.signature(), body + b"--x--\r\n", "multipart/form-data; boundary=x"
    )
    assert found["by"].tolist() == [2.5] and found["image"].shape == (1, 3, 4, 4)


# -- boxes, pixels, cards --------------------------------------------------------------------------


def test_boxes_and_pixels_are_told_as_torchserve_tells_them(tmp_path: Path) -> None:
    def detect(x: Any) -> Any:
        return {"boxes": x, "labels": x[:, :, 0].long(), "scores": x[:, :, 1]}

    program = ag.export.export(detect, (ag.ones(1, 2, 4),))
    described = {"outputs": {"boxes": card.detections(classes="classes.json", threshold=0.6)}}
    version = version_of(
        program, tmp_path, card=described, assets={"classes.json": '["ant", "bee"]'}
    )
    boxes = np.float32([[[1, 0.5, 3, 4], [1, 0.75, 7, 8]]])
    outputs = version.signature().run([boxes])
    answer = handlers.answer_of(version, version.signature(), outputs)
    assert answer == [{"bee": [1.0, 0.75, 7.0, 8.0], "score": 0.75}]

    program = ag.export.export(lambda x: x * 1, (ag.ones(1, 2, 2, 2),))
    described = {"outputs": {"output": card.segments()}}
    version = version_of(program, tmp_path, card=described)
    scores = np.float32([[[[0, 9], [9, 0]], [[0, 0], [0, 9]]]])
    answer = handlers.answer_of(version, version.signature(), [scores])
    assert np.array(answer)[..., 0].tolist() == [[0, 0], [0, 1]]
    assert answer[0][0] == [0, 0.5]


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({"inputs": 3}, "card.inputs: expected descriptions by name"),
        ({"inputs": {"x": {"kind": "picture"}}}, "card.inputs.x.kind: expected image or text"),
        ({"inputs": {"y": {"kind": "image"}}}, "card.inputs.y: there is no input 'y'"),
        ({"inputs": {"x": {"kind": "image", "men": 1}}}, r"inputs.x.men: .* did you mean mean"),
        ({"inputs": {"x": {"kind": "image", "mean": [1, 2]}}}, "x.mean: it has 1 or 3 numbers"),
        ({"inputs": {"x": {"kind": "image", "mean": "0"}}}, "x.mean: expected numbers, got '0'"),
        ({"inputs": {"x": {"kind": "image", "size": [0, 1]}}}, r"x.size: it is \[height, width\]"),
        ({"inputs": {"x": {"kind": "image", "layout": "CHW"}}}, "x.layout: one of NCHW, NHWC"),
        ({"inputs": {"x": {"kind": "text"}}}, "it needs the asset 'tokenizer.json'"),
        ({"inputs": {"x": card.text("classes.txt") | {"mask": "m"}}}, "there is no input 'm'"),
        ({"outputs": {"x": {"kind": "classes"}}}, "card.outputs.x: there is no output 'x'"),
        ({"outputs": {"output": card.classes("c.txt")}}, "it needs the asset 'c.txt'"),
    ],
)
def test_a_card_that_does_not_fit_is_not_written(
    tmp_path: Path, described: Any, message: str
) -> None:
    program = ag.export.export(lambda x: x * 2, (ag.ones(1, 3, 8, 8),))
    with pytest.raises(ValueError, match=message):
        program.save(tmp_path / "x.argand", card=described, assets={"classes.txt": CLASSES})
    assert not list(tmp_path.iterdir())
