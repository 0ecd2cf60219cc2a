"""Functions of lists of tensors, and assertions, that libraries call under the alias."""

import numpy as np
import pytest

import argand as ag
from argand import checks, foreach

A, B = np.array([0.5, -0.25]), np.array([[2.0], [3.0]])


def tensors():
    return [ag.tensor(A), ag.tensor(B)]


@pytest.mark.parametrize(
    "name, others, wanted",
    [
        ("add", ([A, B],), lambda x: x + x),
        ("add", (2.0,), lambda x: x + 2),
        ("mul", ([3.0, 3.0],), lambda x: x * 3),
        ("div", (4.0,), lambda x: x / 4),
        ("neg", (), np.negative),
        ("exp", (), np.exp),
        ("clamp_min", (0.0,), lambda x: np.maximum(x, 0)),
        ("maximum", ([-A, -B],), lambda x: np.maximum(x, -x)),
        ("addcmul", ([A, B], [A, B], 0.5), lambda x: x + 0.5 * x * x),
        ("addcdiv", ([A, B], [A, B], [2.0, 2.0]), lambda x: x + 2),
        ("lerp", ([A, B], 0.25), lambda x: x),
        ("pow", (2.0,), lambda x: x**2),
        ("zero", (), np.zeros_like),
    ],
)
def test_a_list_is_computed_tensor_by_tensor(name, others, wanted):
    given = [
        [ag.tensor(x) if isinstance(x, np.ndarray) else x for x in o] if isinstance(o, list) else o
        for o in others
    ]
    if name != "zero":
        found = getattr(foreach, f"_foreach_{name}")(tensors(), *given)
        for result, x in zip(found, (A, B), strict=True):
            np.testing.assert_allclose(result.numpy(), wanted(x), rtol=1e-12)
    changed = tensors()
    assert getattr(foreach, f"_foreach_{name}_")(changed, *given) is None
    for result, x in zip(changed, (A, B), strict=True):
        np.testing.assert_allclose(result.numpy(), wanted(x), rtol=1e-12)


def test_lists_have_one_length_and_every_name_computes():
    with pytest.raises(ValueError, match="2 tensors and 1 values"):
        foreach._foreach_add(tensors(), tensors()[:1])
    changed = tensors()
    foreach._foreach_copy_(changed, [ag.zeros(2), ag.ones(2, 1)])
    assert changed[1].tolist() == [[1.0], [1.0]] and changed[0].tolist() == [0.0, 0.0]
    assert [n.item() for n in foreach._foreach_norm(tensors(), 1)] == [0.75, 5.0]
    for name in foreach._ONE.split():
        changed = [ag.tensor(np.full(2, 0.5))]
        getattr(foreach, f"_foreach_{name}_")(changed) if name != "clone" else None
        if name not in ("zero",):
            (result,) = getattr(foreach, f"_foreach_{name}")([ag.tensor(np.full(2, 0.5))])
            assert name == "clone" or result.tolist() == changed[0].tolist(), name


def test_assertions():
    checks._check(True)
    checks._assert(True, "fine")
    for check, error in (
        (checks._check, RuntimeError),
        (checks._check_value, ValueError),
        (checks._check_type, TypeError),
        (checks._check_index, IndexError),
    ):
        with pytest.raises(error, match="too few"):
            check(False, lambda: "too few")
    with pytest.raises(AssertionError, match="too few"):
        checks._assert(False, "too few")
    with pytest.raises(RuntimeError):
        checks._check_is_size(-1)
    assert checks._shape_as_tensor(ag.ones(2, 3)).tolist() == [2, 3]
