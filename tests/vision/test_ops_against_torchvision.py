"""`vision.ops`, `vision.utils` and `vision.io` against torchvision's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from against import BOXES, PIXELS, agree, torchvision

import argand as ag
from argand.vision import io, ops, utils

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

RNG = np.random.default_rng(11)


def boxes(count: int, size: float = 20.0) -> np.ndarray:
    low = RNG.uniform(0, size, (count, 2))
    return np.concatenate([low, low + RNG.uniform(1, size / 2, (count, 2))], 1).astype(np.float32)


A, B = boxes(7), boxes(9)
PAIRED = boxes(7)
SCORES = RNG.random(60).astype(np.float32)
MANY = boxes(60)
GROUPS = RNG.integers(0, 3, 60)
FEATURES = RNG.normal(size=(2, 8, 12, 14)).astype(np.float32)
REGIONS = np.array(
    [
        [0, 1, 2, 15, 12],
        [1, -3, -4, 9, 8],
        [0, 16, 5, 40, 30],
        [1, 3, 3, 3.5, 3.2],
        [0, 6, 6, 2, 3],
    ],
    np.float32,
)
MASKS = RNG.random((4, 9, 10)) > 0.8
MASKS[2] = False

CASES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "nms": (lambda o, x, s: o.nms(x, s, 0.4), (MANY, SCORES)),
    "batched_nms": (lambda o, x, s, g: o.batched_nms(x, s, g, 0.3), (MANY, SCORES, GROUPS)),
    "batched_nms of many": (
        lambda o, x, s, g: o.batched_nms(x, s, g, 0.3),
        (boxes(1100, 300.0), RNG.random(1100).astype(np.float32), RNG.integers(0, 3, 1100)),
    ),
    "remove_small_boxes": (lambda o, x: o.remove_small_boxes(x, 5), (A,)),
    "clip_boxes_to_image": (lambda o, x: o.clip_boxes_to_image(x, (12, 15)), (A,)),
    "box_area": (lambda o, x: o.box_area(x), (A,)),
    "box_area of bytes": (lambda o, x: o.box_area(x, "xywh"), (A.astype(np.uint8),)),
    "box_iou": (lambda o, x, y: o.box_iou(x, y), (A, B)),
    "box_iou of sizes": (lambda o, x, y: o.box_iou(x, y, "cxcywh"), (A, B)),
    "box_iou of whole numbers": (lambda o, x, y: o.box_iou(x, y), (A.astype(int), B.astype(int))),
    "box_iou of rotated ones": (
        lambda o, x, y: o.box_iou(x, y, "cxcywhr"),
        tuple(
            np.concatenate([b, RNG.uniform(-90, 90, (len(b), 1))], 1, dtype="f4") for b in (A, B)
        ),
    ),
    "generalized_box_iou": (lambda o, x, y: o.generalized_box_iou(x, y), (A, B)),
    "complete_box_iou": (lambda o, x, y: o.complete_box_iou(x, y), (A, B)),
    "distance_box_iou": (lambda o, x, y: o.distance_box_iou(x, y), (A, B)),
    "masks_to_boxes": (lambda o, x: o.masks_to_boxes(x), (MASKS,)),
    **{
        f"{name}_box_iou_loss {reduction}": (
            lambda o, x, y, n=name, r=reduction: getattr(o, f"{n}_box_iou_loss")(x, y, r),
            (A, PAIRED),
        )
        for name in ("generalized", "complete", "distance")
        for reduction in ("none", "mean", "sum")
    },
    "sigmoid_focal_loss": (
        lambda o, x, y: o.sigmoid_focal_loss(x, y, reduction="mean"),
        (RNG.normal(size=(4, 5)).astype(np.float32), (RNG.random((4, 5)) > 0.5).astype(np.float32)),
    ),
    "roi_align": (lambda o, x, r: o.roi_align(x, r, (3, 2), 0.7, 2, True), (FEATURES, REGIONS)),
    "roi_align of pixels": (lambda o, x, r: o.roi_align(x, r, 3, 0.7), (FEATURES, REGIONS)),
    "roi_pool": (lambda o, x, r: o.roi_pool(x, r, (3, 2), 0.7), (FEATURES, REGIONS)),
    "ps_roi_align": (lambda o, x, r: o.ps_roi_align(x, r, (2, 2), 0.7, 2), (FEATURES, REGIONS)),
    "ps_roi_pool": (lambda o, x, r: o.ps_roi_pool(x, r, (2, 2), 0.7), (FEATURES, REGIONS)),
    "deform_conv2d": (
        lambda o, x, w, f, m, b: o.deform_conv2d(x, f, w, b, (2, 1), (1, 2), (1, 2), m),
        (
            FEATURES,
            RNG.normal(size=(6, 4, 3, 2)).astype(np.float32),
            RNG.normal(size=(2, 24, 6, 16)).astype(np.float32) * 2,
            RNG.random((2, 12, 6, 16)).astype(np.float32),
            RNG.normal(size=6).astype(np.float32),
        ),
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore")
def test_ops(name: str) -> None:
    call, arrays = CASES[name]
    gradients = (
        all(a.dtype == np.float32 for a in arrays) and "nms" not in name and "rotated" not in name
    )
    mine = [ag.tensor(a.copy()) for a in arrays]
    yours = [torch.from_numpy(a.copy()) for a in arrays]
    # torchvision's gradient of ps_roi_pool is not that of its values at the border of the image
    gradients = gradients and name != "ps_roi_pool"
    leaves = [i for i in range(len(arrays)) if gradients and not (i == 1 and "roi" in name)]
    for i in leaves if name not in ("remove_small_boxes",) else ():
        mine[i].requires_grad_(), yours[i].requires_grad_()
    found, wanted = call(ops, *mine), call(torchvision.ops, *yours)
    agree(found, wanted, 2e-5)
    if wanted.requires_grad:
        found.sum().backward()
        wanted.sum().backward()
        for i in leaves:
            agree(mine[i].grad, yours[i].grad, 1e-4)


@pytest.mark.parametrize("old", ["xyxy", "xywh", "cxcywh", "xywhr", "cxcywhr", "xyxyxyxy"])
@pytest.mark.parametrize("new", ["xyxy", "xywh", "cxcywh", "xywhr", "cxcywhr", "xyxyxyxy"])
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_box_convert(old: str, new: str, dtype: str) -> None:
    count = {"xywhr": 5, "cxcywhr": 5, "xyxyxyxy": 8}.get(old, 4)
    numbers = (np.arange(3 * count).reshape(3, count) * 7 % 31).astype(dtype)
    try:
        wanted = torchvision.ops.box_convert(torch.from_numpy(numbers), old, new)
    except NotImplementedError:
        with pytest.raises(NotImplementedError):
            ops.box_convert(ag.tensor(numbers), old, new)
        return
    agree(ops.box_convert(ag.tensor(numbers), old, new), wanted, 1e-5)


def test_layers_with_the_same_weights() -> None:
    makes: list[tuple[Callable[[Any, Any], Any], tuple[int, ...]]] = [
        (lambda o, n: o.Conv2dNormActivation(3, 6, 5, 2, dilation=1), (2, 3, 9, 8)),
        (lambda o, n: o.Conv3dNormActivation(3, 4, 3, norm_layer=None), (1, 3, 4, 5, 6)),
        (lambda o, n: o.SqueezeExcitation(4, 2), (2, 4, 5, 6)),
        (lambda o, n: o.MLP(5, [6, 3], n.LayerNorm), (4, 5)),
        (lambda o, n: o.FrozenBatchNorm2d(4), (2, 4, 5, 6)),
        (lambda o, n: o.Permute([0, 2, 1]), (2, 3, 4)),
    ]
    for make, shape in makes:
        theirs, ours = make(torchvision.ops, torch.nn), make(ops, ag.nn)
        names = theirs.state_dict()
        assert list(ours.state_dict()) == list(names)
        ours.load_state_dict({k: ag.tensor(v.numpy()) for k, v in names.items()})
        x = RNG.normal(size=shape).astype(np.float32)
        agree(ours(ag.tensor(x)), theirs(torch.from_numpy(x)), 1e-5)
        assert repr(ours) == repr(theirs)


def test_pyramids_with_the_same_weights() -> None:
    shapes = {"a": (1, 3, 16, 16), "b": (1, 5, 8, 8), "c": (1, 7, 4, 4)}
    arrays = {k: RNG.normal(size=s).astype(np.float32) for k, s in shapes.items()}
    theirs, ours = (x.FeaturePyramidNetwork([3, 5, 7], 4) for x in (torchvision.ops, ops))
    ours.load_state_dict({k: ag.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    x, y = (
        {k: ag.tensor(v) for k, v in arrays.items()},
        {k: torch.from_numpy(v) for k, v in arrays.items()},
    )
    mine, yours = ours(x), theirs(y)
    agree(dict(mine), dict(yours), 1e-5)
    some = np.array([[0, 0, 200, 200], [3, 4, 20, 20], [10, 0, 60, 40]], np.float32)
    pools = [z.MultiScaleRoIAlign(["a", "b", "c"], 3, 2) for z in (ops, torchvision.ops)]
    found = pools[0](mine, [ag.tensor(some)], [(256, 256)])
    agree(found, pools[1](yours, [torch.from_numpy(some)], [(256, 256)]), 1e-5)


def test_what_is_dropped() -> None:
    before, ag.settings.generator = ag.settings.generator, "mt19937"
    try:
        for name, args in (
            ("stochastic_depth", (0.4, "row")),
            ("stochastic_depth", (0.4, "batch")),
            ("drop_block2d", (0.3, 3)),
            ("drop_block3d", (0.3, 3)),
        ):
            shape = (4, 3, 6, 6, 6) if name.endswith("3d") else (4, 3, 6, 6)
            ag.manual_seed(3)
            torch.manual_seed(3)
            wanted = getattr(torchvision.ops, name)(torch.ones(shape), *args)
            agree(getattr(ops, name)(ag.ones(*shape), *args), wanted, 1e-6)
    finally:
        ag.settings.generator = before


# -- drawing, files --------------------------------------------------------------------------------

MASK_PAIR = np.stack([PIXELS[0] > 99, PIXELS[1] > 150])
POINTS = np.array([[[3, 4], [20, 9], [12, 18]]])
TURNED = np.array([[5, 9, 20, 3, 24, 12, 9, 18]])
FLOW = np.random.default_rng(2).normal(size=(2, 2, 9, 8)).astype(np.float32)
FLOATS = (PIXELS / 255).astype(np.float32)
THREE = np.stack([FLOATS] * 5)
COLOURS = ["red", (1, 2, 3), "#00ff00"]
LABELS = {"labels": ["a", "b", "c"], "fill_labels": True, "label_colors": "white"}
SCALED = {"normalize": True, "scale_each": True, "value_range": (0.2, 0.7)}
SEEN = np.array([[True, False, True]])

# By name: the function, the arrays, the other arguments.
DRAWN: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "grid": ("make_grid", (THREE,), {"nrow": 3, "padding": 1, "pad_value": 0.5}),
    "grid of gray ones": ("make_grid", (THREE[:, :1],), {"normalize": True}),
    "grid scaled": ("make_grid", (THREE[:2],), SCALED),
    "boxes": ("draw_bounding_boxes", (PIXELS, BOXES), {"labels": ["a", "b", None], "width": 2}),
    "boxes filled": ("draw_bounding_boxes", (PIXELS, BOXES), {"colors": COLOURS, "fill": True}),
    "boxes with labels": ("draw_bounding_boxes", (PIXELS[:1], BOXES), LABELS),
    "boxes rotated": ("draw_bounding_boxes", (PIXELS, TURNED), {}),
    "boxes on floats": ("draw_bounding_boxes", (FLOATS, BOXES), {}),
    "masks": ("draw_segmentation_masks", (PIXELS, MASK_PAIR), {"alpha": 0.6}),
    "masks on floats": ("draw_segmentation_masks", (FLOATS, MASK_PAIR[0]), {"colors": "red"}),
    "points": ("draw_keypoints", (PIXELS, POINTS), {"connectivity": [(0, 1)], "colors": "red"}),
    "points seen": ("draw_keypoints", (PIXELS, POINTS), {"visibility": SEEN, "radius": 3}),
    "flow": ("flow_to_image", (FLOW,), {}),
}


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.filterwarnings("ignore")
def test_pictures(name: str) -> None:
    function, arrays, options = DRAWN[name]
    results = []
    for library, tensor in ((utils, ag.tensor), (torchvision.utils, torch.from_numpy)):
        given = {k: tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        call = getattr(library, function)
        results.append(call(*(tensor(a.copy()) for a in arrays), **given))
    agree(*results, 1e-6)


def test_files(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, library, tensor in ((one, io, ag.tensor), (two, torchvision.io, torch.from_numpy)):
        folder.mkdir()
        library.write_png(tensor(PIXELS), str(folder / "a.png"))
        library.write_jpeg(tensor(PIXELS), str(folder / "a.jpg"), quality=90)
        library.write_png(tensor(PIXELS[:1]), str(folder / "gray.png"))
    for path in sorted([*one.iterdir(), *two.iterdir()]):
        for mode in ("UNCHANGED", "GRAY", "RGB"):
            wanted = torchvision.io.read_image(str(path), torchvision.io.ImageReadMode[mode])
            found = io.read_image(path, io.ImageReadMode[mode])
            apart = np.abs(found.numpy().astype(int) - wanted.numpy())
            if path.suffix == ".jpg":  # of noise, by another decoder
                assert apart.mean() < 1
            else:  # gray may be rounded another way
                assert apart.max() <= (1 if mode == "GRAY" else 0)
