"""The ops of torchvision, against loops in float64."""

import numpy as np
import pytest

import argand as ag
from argand.library import ops
from argand.vision.ops.registered import nms, roi_align


def overlap(a, b):
    sides = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
    area = [(x[2:] - x[:2]).prod() for x in (a, b)]
    return sides.prod() / (sum(area) - sides.prod())


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.9])
def test_boxes_that_overlap_a_better_one_are_left_out(threshold):
    rng = np.random.default_rng(3)
    low = rng.uniform(0, 10, (40, 2))
    boxes = np.concatenate([low, low + rng.uniform(1, 6, (40, 2))], 1)
    scores = rng.permutation(40) / 40
    wanted = []
    for i in np.argsort(-scores):
        if all(overlap(boxes[i], boxes[j]) <= threshold for j in wanted):
            wanted.append(int(i))
    assert nms(ag.tensor(boxes), ag.tensor(scores), threshold).tolist() == wanted
    assert 1 < len(wanted) < 40 or threshold == 0.9
    assert nms(ag.zeros(0, 4), ag.zeros(0), 0.5).tolist() == []
    with pytest.raises(RuntimeError, match="nms: boxes must be"):
        nms(ag.zeros(2, 4), ag.zeros(3), 0.5)


def sample(image, y, x):
    height, width = image.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0.0), height - 1), min(max(x, 0.0), width - 1)
    top, left = int(y), int(x)
    low, right = min(top + 1, height - 1), min(left + 1, width - 1)
    b, r = y - top, x - left
    above = image[top, left] * (1 - r) + image[top, right] * r
    return above * (1 - b) + (image[low, left] * (1 - r) + image[low, right] * r) * b


def aligned_loop(images, rois, scale, height, width, ratio, aligned):
    found = np.zeros((len(rois), images.shape[1], height, width))
    for k, (n, *box) in enumerate(rois):
        x1, y1, x2, y2 = (v * scale - 0.5 * aligned for v in box)
        w, h = (x2 - x1, y2 - y1) if aligned else (max(x2 - x1, 1.0), max(y2 - y1, 1.0))
        rows = ratio if ratio > 0 else int(np.ceil(h / height))
        columns = ratio if ratio > 0 else int(np.ceil(w / width))
        for c, i, j in np.ndindex(found.shape[1:]):
            values = [
                sample(
                    images[int(n), c],
                    y1 + (i + (p + 0.5) / rows) * h / height,
                    x1 + (j + (q + 0.5) / columns) * w / width,
                )
                for p in range(rows)
                for q in range(columns)
            ]
            found[k, c, i, j] = np.mean(values)
    return found


@pytest.mark.parametrize("ratio", [-1, 2])
@pytest.mark.parametrize("aligned", [False, True])
def test_the_features_inside_boxes(ratio, aligned):
    rng = np.random.default_rng(5)
    images = rng.normal(size=(2, 2, 7, 9))
    rois = [[0, 1, 2, 11, 9], [1, -3, -4, 6, 5], [0, 10, 3, 30, 20], [1, 2, 2, 2.5, 2.2]]
    options = (0.5, 2, 3, ratio, aligned)
    x = ag.tensor(images, requires_grad=True)
    found = ops.torchvision.roi_align(x, ag.tensor(rois, dtype=ag.float64), *options)
    wanted = aligned_loop(images, rois, *options)
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-12, atol=1e-13)
    # linear in the images: the gradient of a sum is what each pixel counts
    found.sum().backward()
    assert np.isclose((x.grad.numpy() * images).sum(), wanted.sum())
    assert roi_align(x, ag.zeros(0, 5), *options).shape == (0, 2, 2, 3)


def test_ops_that_are_absent_say_so_and_the_library_is_taken_for_loaded():
    ops.load_library("/somewhere/torchvision/_C_stable.so")
    with pytest.raises(AttributeError, match="qnms is not in Argand"):
        ops.torchvision.qnms(1)
    ops.torchvision.nms.register_autograd(None)
    assert ops.torchvision.nms(ag.tensor([[0.0, 0, 1, 1]]), ag.ones(1), 0.5).tolist() == [0]


def test_the_ops_of_detectors_have_gradients():
    rng = np.random.default_rng(2)
    x = ag.tensor(rng.normal(size=(1, 8, 6, 7)), requires_grad=True)
    rois = ag.tensor([[0.0, 1, 1, 4.4, 3.7], [0, 2, 0, 6, 5]], dtype=ag.float64)
    calls = {
        "roi_pool": lambda t: ops.torchvision.roi_pool(t, rois, 1.0, 2, 3)[0],
        "ps_roi_pool": lambda t: ops.torchvision.ps_roi_pool(t, rois, 1.0, 2, 2)[0],
        "ps_roi_align": lambda t: ops.torchvision.ps_roi_align(t, rois, 1.0, 2, 2, 2)[0],
    }
    for name, call in calls.items():
        assert ag.autograd.gradcheck(call, (x,)), name
    best, places = ops.torchvision.roi_pool(x, rois, 1.0, 2, 3)
    flat = x.detach().reshape(8, -1)
    for k, c, i, j in np.ndindex(*best.shape):
        assert best[k, c, i, j].item() == flat[c, places[k, c, i, j].item()].item()


def test_a_deformed_convolution_is_a_plain_one_where_nothing_moves():
    rng = np.random.default_rng(4)
    x, w = (ag.tensor(rng.normal(size=s)) for s in ((2, 4, 5, 6), (6, 2, 3, 3)))
    bias, offset = ag.tensor(rng.normal(size=6)), ag.zeros(2, 2 * 2 * 9, 3, 3, dtype=ag.float64)
    mask = ag.ones(2, 2 * 9, 3, 3, dtype=ag.float64)
    window = (2, 2, 1, 1, 1, 1, 2, 2, True)
    call = ops.torchvision.deform_conv2d
    plain = ag.nn.functional.conv2d(x, w, bias, 2, 1, 1, 2)
    assert call(x, w, offset, mask, bias, *window).allclose(plain)
    # a whole pixel to the right is the convolution of the image moved to the left
    offset[:, 1::2] = 1.0
    moved = ag.nn.functional.pad(x, (0, 1))[..., 1:]
    wanted = ag.nn.functional.conv2d(
        ag.nn.functional.pad(x, (1, 2, 1, 1))[..., 1:], w, bias, 2, 0, 1, 2
    )
    assert (
        call(x, w, offset, mask, bias, *window).allclose(wanted[..., :3]) and moved.shape == x.shape
    )
    small = [
        t.detach().requires_grad_()
        for t in (
            x[:1, :, :3, :3],
            w,
            offset[:1, :, :2, :2] * 0.3 + 0.35,
            mask[:1, :, :2, :2],
            bias,
        )
    ]
    assert ag.autograd.gradcheck(lambda *t: call(t[0], t[1], t[2], t[3], t[4], *window), small)


def test_the_ops_of_image_files(tmp_path):
    pytest.importorskip("PIL")
    ops.load_library("/somewhere/torchvision/image.so")
    image = ag.arange(24, dtype=ag.uint8).reshape(3, 2, 4)
    path = str(tmp_path / "a.png")
    ops.image.write_file(path, ops.image.encode_png(image, 6))
    assert ops.image.decode_png(ops.image.read_file(path), 3, False).equal(image)
    assert ops.image.decode_image(ops.image.read_file(path), 1, True).shape == (1, 2, 4)
    with pytest.raises(OSError, match="linked against PyTorch"):
        ops.load_library("/somewhere/else/image.so")
