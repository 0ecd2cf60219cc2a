"""Linear algebra: PyTorch's rules for shapes, and messages that name what was called."""

import random

import numpy as np
import pytest

import argand as ag

RNG = np.random.default_rng(0)
A = RNG.normal(size=(2, 3, 3))


@pytest.mark.parametrize("shape", [(2, 3), (3,), (2, 3, 1), (3, 2), (2, 3, 4)])
def test_solve_takes_a_vector_a_batch_of_vectors_or_matrices(shape: tuple[int, ...]) -> None:
    b = RNG.normal(size=shape)
    vectors = len(shape) == 1 or shape == A.shape[:-1]
    wanted = np.linalg.inv(A) @ (b[..., None] if vectors else b)
    found = ag.linalg.solve(ag.tensor(A), ag.tensor(b)).numpy()
    np.testing.assert_allclose(found, wanted[..., 0] if vectors else wanted, rtol=1e-9)


@pytest.mark.parametrize("shape", [(4, 2), (2, 4), (3, 4, 4), (2, 0)])
def test_svd_gives_whole_bases_unless_told_otherwise(shape: tuple[int, ...]) -> None:
    x = RNG.normal(size=shape)
    for options in ({}, {"full_matrices": True}, {"full_matrices": False}):
        wanted = np.linalg.svd(x, **options)
        found = [part.numpy() for part in ag.linalg.svd(ag.tensor(x), **options)]
        compiled = ag.compile(lambda a, o=options: tuple(ag.linalg.svd(a, **o)))(ag.tensor(x))
        for f, c, w in zip(found, compiled, wanted, strict=True):
            np.testing.assert_allclose(np.abs(f), np.abs(w), atol=1e-12)
            np.testing.assert_allclose(c.numpy(), f, atol=1e-12)


def test_gradients_flow_through_the_part_of_the_bases_that_the_matrix_determines() -> None:
    x = ag.tensor(RNG.normal(size=(4, 2)), requires_grad=True)
    weight = RNG.normal(size=(4, 2))
    U, S, Vh = ag.linalg.svd(x)
    ((U[:, :2] * S) @ Vh * ag.tensor(weight)).sum().backward()  # the product is x again
    np.testing.assert_allclose(x.grad.numpy(), weight, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ag.linalg.inv(ag.ones(2, 3)), r"^linalg\.inv\(f32\(2, 3\)\): .*square"),
        (lambda: ag.linalg.inv(ag.ones(2, 2)), r"^linalg\.inv\(f32\(2, 2\)\): singular"),
        (lambda: ag.linalg.solve(ag.ones(2, 2), ag.ones(3, 1)), r"^linalg\.solve\(.*: f32\(2, 2\)"),
        (lambda: ag.linalg.svd(ag.ones(2)), r"^linalg\.svd\(f32\(2,\)\): "),
        (lambda: ag.linalg.norm("a"), r"^linalg\.norm\('a'\): "),
        (lambda: ag.linalg.matrix_norm(ag.ones(2, 2), 3), r"^linalg\.matrix_norm\(.*\): ord must"),
        (lambda: ag.compile(ag.linalg.inv)(ag.ones(2, 2)), r"^linalg\.inv: singular"),
    ],
)
def test_messages_name_the_function_of_linalg(call: object, message: str) -> None:
    with pytest.raises((RuntimeError, TypeError, ValueError), match=message):
        call()


def test_norms_of_matrices_need_matrices():
    A = ag.ones(5, 6)
    for ord in ("fro", "nuc"):
        with pytest.raises(RuntimeError, match="dim must be a pair"):
            ag.linalg.norm(A, ord, dim=1)
        with pytest.raises(RuntimeError, match="at least 2 dimensions"):
            ag.linalg.norm(A[0], ord)
    with pytest.raises(RuntimeError, match="with ord, give dim"):
        ag.linalg.norm(ag.ones(2, 5, 6), 2)


@pytest.mark.parametrize(
    ("equation", "dtypes", "wanted"),
    [
        ("ij,jk->ik", ("float16", "float32"), "float32"),
        ("ij,jk->ik", ("uint8", "int8"), "int16"),
        ("ij,ik->ijk", ("bool", "float32"), "float32"),
        ("ij,jk,kl->il", ("int32", "float16", "float16"), "float16"),
    ],
)
def test_einsum_promotes_where_nothing_is_contracted(equation, dtypes, wanted):
    shapes = [(3, 1), *[(1, 3) if equation.startswith("ij,j") else (3, 2)] * (len(dtypes) - 1)]
    if len(dtypes) == 3:
        shapes = [(3, 1), (1, 1), (1, 2)]
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 2, s) for s in shapes]
    given = [ag.tensor(a).to(getattr(ag, d)) for a, d in zip(arrays, dtypes, strict=True)]
    found = ag.einsum(equation, *given)
    assert found.dtype is getattr(ag, wanted)
    np.testing.assert_array_equal(found.numpy(), np.einsum(equation, *arrays))


def test_einsum_of_two_dtypes_contracts_nothing():
    for equation in ("ij,jk->ik", "...j,jk->...k"):
        with pytest.raises(ag.ArgandError, match="one dtype"):
            ag.einsum(equation, ag.ones(2, 2), ag.ones(2, 2, dtype=ag.float64))


def test_einsum_of_random_equations_with_repeated_labels_and_dots():
    draw = random.Random(0)
    rng = np.random.default_rng(0)
    compared = 0
    while compared < 150:
        sizes = {c: draw.randint(1, 3) for c in "abc"}
        broadcast = [draw.randint(1, 3) for _ in range(draw.randint(0, 2))]
        terms, arrays = [], []
        for _ in range(draw.randint(1, 2)):
            term = draw.choices("abc", k=draw.randint(0, 4))
            shape = [[sizes[c]] for c in term]
            if draw.random() < 0.7:
                at = draw.randint(0, len(term))
                term.insert(at, "...")
                shape.insert(at, broadcast[draw.randint(0, len(broadcast)) :])
            terms.append("".join(term))
            arrays.append(rng.standard_normal([n for part in shape for n in part]))
        equation = ",".join(terms)
        if draw.random() < 0.6:
            letters = sorted(set(equation) - {",", "."})
            kept = draw.sample(letters, draw.randint(0, len(letters)))
            if "..." in equation:
                kept.insert(draw.randint(0, len(kept)), "...")
            equation += "->" + "".join(kept)
        expected = np.einsum(equation, *arrays)
        found = ag.einsum(equation, *[ag.tensor(np.asarray(a)) for a in arrays]).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-12, err_msg=equation, strict=True)
        compared += 1
