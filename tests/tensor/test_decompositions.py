"""Decompositions and what is solved by them: values, gradients to second order, fields, errors."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg

import argand as ag

LA = ag.linalg
DTYPES = ("float32", "float64", "complex64", "complex128")


def drawn(*shape: int, dtype: str = "float64", seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=shape)
    if dtype.startswith("complex"):
        values = values + 1j * rng.normal(size=shape)
    return values.astype(dtype)


def leaf(*shape: int, dtype: str = "float64", seed: int = 0) -> Any:
    return ag.tensor(drawn(*shape, dtype=dtype, seed=seed), requires_grad=True)


def hermitian(x: Any) -> Any:
    return (x + x.mH) / 2


def definite(x: Any) -> Any:
    return x @ x.mH + ag.eye(x.shape[-1], dtype=x.dtype)


Function = Callable[..., Any]

# Functions that depend on no sign and no phase, and the shapes of their operands.
SMOOTH: dict[str, tuple[Function, tuple[tuple[int, ...], ...]]] = {
    "det": (LA.det, ((2, 3, 3),)),
    "slogdet": (lambda a: tuple(LA.slogdet(a)), ((3, 3),)),
    "inv": (LA.inv, ((2, 3, 3),)),
    "inv_ex": (lambda a: LA.inv_ex(a).inverse, ((2, 3, 3),)),
    "pinv wide": (LA.pinv, ((3, 4),)),
    "pinv tall": (LA.pinv, ((2, 4, 2),)),
    "pinv of rank 1": (lambda a, b: LA.pinv(a @ b), ((3, 1), (1, 4))),
    "pinv hermitian": (lambda a: LA.pinv(hermitian(a), hermitian=True), ((3, 3),)),
    "solve": (LA.solve, ((3, 3), (2, 3, 2))),
    "solve right": (lambda a, b: LA.solve(a, b, left=False), ((3, 3), (2, 2, 3))),
    "solve_ex": (lambda a, b: LA.solve_ex(a, b).result, ((2, 3, 3), (3, 2))),
    "triangular": (lambda a, b: LA.solve_triangular(a, b, upper=True), ((3, 3), (3, 2))),
    "triangular right": (
        lambda a, b: LA.solve_triangular(a, b, upper=False, left=False, unitriangular=True),
        ((3, 3), (2, 3)),
    ),
    "cholesky": (lambda a: LA.cholesky(definite(a)), ((2, 3, 3),)),
    "cholesky upper": (lambda a: LA.cholesky(definite(a), upper=True), ((3, 3),)),
    "cholesky_ex": (lambda a: LA.cholesky_ex(definite(a)).L, ((2, 3, 3),)),
    "cholesky_solve": (lambda b, a: ag.cholesky_solve(b, a.tril()), ((3, 2), (3, 3))),
    "cholesky_inverse": (lambda a: ag.cholesky_inverse(a.triu(), upper=True), ((3, 3),)),
    "qr": (lambda a: tuple(LA.qr(a)), ((2, 4, 3),)),
    "qr wide": (lambda a: tuple(LA.qr(a)), ((3, 5),)),
    "qr complete": (lambda a: tuple(LA.qr(a, "complete")), ((3, 4),)),
    "lu": (lambda a: tuple(LA.lu(a))[1:], ((2, 3, 3),)),
    "lu wide": (lambda a: tuple(LA.lu(a))[1:], ((3, 5),)),
    "lu tall": (lambda a: tuple(LA.lu(a))[1:], ((5, 3),)),
    "lu_solve": (lambda a, b: LA.lu_solve(*LA.lu_factor(a), b, adjoint=True), ((3, 3), (3, 2))),
    "eigh": (lambda a: (LA.eigh(hermitian(a))[0], abs(LA.eigh(hermitian(a))[1])), ((3, 3),)),
    "eigvalsh": (lambda a: LA.eigvalsh(hermitian(a), "U"), ((2, 3, 3),)),
    "eig": (lambda a: (LA.eig(a)[0], abs(LA.eig(a)[1])), ((3, 3),)),
    "eigvals": (LA.eigvals, ((2, 2, 2),)),
    "svd": (lambda a: (lambda u, s, v: (u @ v, s))(*LA.svd(a, False)), ((3, 4),)),
    "svdvals": (LA.svdvals, ((2, 4, 3),)),
    "matrix_exp": (LA.matrix_exp, ((2, 3, 3),)),
    "matrix_power": (lambda a: LA.matrix_power(a, -3), ((3, 3),)),
    "nuclear norm": (lambda a: LA.matrix_norm(a, "nuc"), ((2, 3, 4),)),
    "spectral norm": (lambda a: LA.matrix_norm(a, -2), ((3, 4),)),
    "cond": (LA.cond, ((3, 3),)),
    "cond of columns": (lambda a: LA.cond(a, 1), ((3, 3),)),
    "lstsq": (lambda a, b: tuple(LA.lstsq(a, b, driver="gels"))[:2], ((4, 2), (4, 3))),
    "householder": (LA.householder_product, ((4, 3), (3,))),
    "ormqr": (lambda a, t, c: ag.ormqr(a, t, c, transpose=True), ((4, 2), (2,), (4, 3))),
    "ormqr right": (lambda a, t, c: ag.ormqr(a, t, c, left=False), ((4, 2), (2,), (3, 4))),
    "tensorinv": (lambda a: LA.tensorinv(a, 1), ((6, 2, 3),)),
    "tensorsolve": (LA.tensorsolve, ((2, 3, 6), (2, 3))),
    "vander": (lambda a: LA.vander(a, N=4), ((2, 3),)),
    "vecdot": (LA.vecdot, ((2, 3), (3,))),
    "multi_dot": (lambda *a: LA.multi_dot(a), ((3,), (3, 4), (4, 2), (2, 5))),
    "kron": (ag.kron, ((2, 3), (2, 1, 2))),
    "block_diag": (ag.block_diag, ((2, 3), (2,))),
    "cov": (ag.cov, ((2, 4),)),
    "corrcoef": (ag.corrcoef, ((2, 4),)),
    "trapezoid": (lambda y, x: ag.trapezoid(y, x, dim=0), ((3, 2), (3,))),
    "cumulative_trapezoid": (lambda y: ag.cumulative_trapezoid(y, dx=0.5), ((2, 3),)),
}


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_of_both_orders(name: str, dtype: str) -> None:
    function, shapes = SMOOTH[name]
    xs = tuple(leaf(*s, dtype=dtype, seed=i) for i, s in enumerate(shapes))
    assert ag.autograd.gradcheck(function, xs)
    if name != "corrcoef":  # on the edge of what it is clamped to
        assert ag.autograd.gradgradcheck(function, xs)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3, 3), (2, 5, 3), (0, 2, 2), (0, 0), (40, 40), (3, 50)])
def test_factors_multiply_to_the_matrix(shape: tuple[int, ...], dtype: str) -> None:
    a, near = drawn(*shape, dtype=dtype), 1e-3 if dtype[-2:] in ("32", "64") else 1e-10
    near = 1e-10 if dtype in ("float64", "complex128") else near
    x = ag.tensor(a)
    P, L, U = LA.lu(x)
    Q, R = LA.qr(x)
    Uu, S, Vh = LA.svd(x, full_matrices=False)
    for product in (P @ L @ U, Q @ R, (Uu * S[..., None, :]) @ Vh):
        assert product.dtype is x.dtype
        np.testing.assert_allclose(product.numpy(), a, atol=near)
    if shape[-1] == shape[-2]:
        w, v = LA.eigh(hermitian(x))
        np.testing.assert_allclose(
            ((v * w[..., None, :]) @ v.mH).numpy(), hermitian(x).numpy(), atol=near
        )


def test_lu_is_lapacks() -> None:
    for shape in ((1, 1), (16, 16), (17, 17), (33, 50), (70, 40)):
        a = drawn(*shape, seed=shape[0])
        LU, pivots = LA.lu_factor(ag.tensor(a))
        wanted, order = scipy.linalg.lu_factor(a)
        np.testing.assert_allclose(LU.numpy(), wanted, atol=1e-12)
        np.testing.assert_array_equal(pivots.numpy(), order + 1)


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("left", [False, True])
def test_lu_solve_takes_each_side(left: bool, adjoint: bool) -> None:
    a, b = drawn(2, 3, 3, dtype="complex128"), drawn(3, 3, dtype="complex128", seed=1)
    found = LA.lu_solve(*LA.lu_factor(ag.tensor(a)), ag.tensor(b), left=left, adjoint=adjoint)
    whole = np.conj(a.swapaxes(-1, -2)) if adjoint else a
    product = whole @ found.numpy() if left else found.numpy() @ whole
    np.testing.assert_allclose(product, np.broadcast_to(b, product.shape), atol=1e-12)


def test_ldl_solves_symmetric_and_hermitian_systems() -> None:
    b = drawn(5, 2, dtype="complex128", seed=1)
    for is_hermitian in (False, True):
        a = drawn(2, 5, 5, dtype="complex128")
        a = a + (np.conj(a.swapaxes(-1, -2)) if is_hermitian else a.swapaxes(-1, -2))
        LD, pivots, info = LA.ldl_factor_ex(ag.tensor(a), hermitian=is_hermitian)
        assert not info.any()
        found = LA.ldl_solve(LD, pivots, ag.tensor(b), hermitian=is_hermitian)
        np.testing.assert_allclose(a @ found.numpy(), np.broadcast_to(b, (2, 5, 2)), atol=1e-11)


def test_without_scipy_ldl_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.linalg", None)
    with pytest.raises(ImportError, match=r"pip install 'argand\[scipy\]'"):
        LA.ldl_factor(ag.eye(2))


def test_a_singular_matrix_has_a_determinant_with_a_gradient() -> None:
    a = drawn(3, 3)
    a[2] = a[0] + a[1]
    x = ag.tensor(a, requires_grad=True)
    LA.det(x).backward()
    cofactors = np.array(
        [
            [(-1) ** (i + j) * np.linalg.det(np.delete(np.delete(a, i, 0), j, 1)) for j in range(3)]
            for i in range(3)
        ]
    )
    np.testing.assert_allclose(x.grad.numpy(), cofactors, atol=1e-12)
    assert (
        ag.logdet(ag.tensor([[-1.0]])).isnan() and ag.logdet(ag.tensor([[0.0]])).item() == -np.inf
    )


def test_infos_tell_where_a_matrix_fails() -> None:
    good, bad = drawn(3, 3), np.diag([2.0, 0.0, 1.0])
    both = ag.tensor(np.stack([good, bad]))
    assert LA.lu_factor_ex(both).info.tolist() == [0, 2]
    inverse, info = LA.inv_ex(both)
    assert info.tolist() == [0, 2] and info.dtype is ag.int32
    np.testing.assert_allclose(inverse[0].numpy(), np.linalg.inv(good), atol=1e-12)
    assert not inverse[1].isfinite().all()
    for shown, order in (([1.0, 1.0, -1.0], 3), ([-1.0, 1.0, 1.0], 1), ([1.0, -1.0, -1.0], 2)):
        L, info = LA.cholesky_ex(ag.tensor(np.stack([np.eye(3), np.diag(shown)])))
        assert info.tolist() == [0, order] and bool((L[0] == ag.eye(3).double()).all())
    for call in (
        lambda: LA.inv_ex(both, check_errors=True),
        lambda: LA.lu_factor(both),
        lambda: LA.solve_ex(both, both, check_errors=True),
        lambda: LA.cholesky_ex(both, check_errors=True),
        lambda: LA.ldl_factor_ex(ag.zeros(2, 2), check_errors=True),
    ):
        with pytest.raises(RuntimeError, match=r"singular|not positive definite|is 0"):
            call()


def test_tolerances_say_what_counts_as_zero() -> None:
    a = ag.tensor(np.diag([1.0, 0.1, 0.001]))
    rank = LA.matrix_rank
    assert [rank(a).item(), rank(a, rtol=0.01).item(), rank(a, atol=0.5).item()] == [3, 2, 1]
    assert rank(a, atol=0.01, rtol=0.5).item() == 1
    assert rank(a.expand(2, 3, 3), atol=ag.tensor([0.01, 0.5])).tolist() == [2, 1]
    assert rank(-a, hermitian=True, rtol=0.01).item() == 2
    np.testing.assert_allclose(LA.pinv(a, atol=0.01).numpy(), np.diag([1.0, 10.0, 0.0]))
    np.testing.assert_allclose(LA.pinv(-a, rtol=0.5, hermitian=True).numpy(), np.diag([-1.0, 0, 0]))


@pytest.mark.parametrize("driver", ["gels", "gelsy", "gelsd", "gelss", None])
def test_least_squares(driver: str | None) -> None:
    a, b = drawn(2, 5, 3), drawn(2, 5, 2, seed=1)
    found = LA.lstsq(ag.tensor(a), ag.tensor(b), driver=driver)
    for i in range(2):
        x, residual, rank, values = np.linalg.lstsq(a[i], b[i], rcond=None)
        np.testing.assert_allclose(found.solution[i].numpy(), x, atol=1e-12)
        if driver not in ("gelsy", None):
            np.testing.assert_allclose(found.residuals[i].numpy(), residual, atol=1e-12)
        if driver != "gels":
            assert found.rank[i].item() == rank
        if driver in ("gelsd", "gelss"):
            np.testing.assert_allclose(found.singular_values[i].numpy(), values, atol=1e-12)


def test_fields_have_pytorchs_names() -> None:
    a = ag.tensor(drawn(3, 3))
    names = {
        "slogdet": ("sign", "logabsdet"),
        "eigh": ("eigenvalues", "eigenvectors"),
        "eig": ("eigenvalues", "eigenvectors"),
        "qr": ("Q", "R"),
        "svd": ("U", "S", "Vh"),
        "lu": ("P", "L", "U"),
        "lu_factor": ("LU", "pivots"),
        "lu_factor_ex": ("LU", "pivots", "info"),
        "ldl_factor": ("LD", "pivots"),
        "ldl_factor_ex": ("LD", "pivots", "info"),
        "inv_ex": ("inverse", "info"),
    }
    for name, fields in names.items():
        assert getattr(LA, name)(a)._fields == fields
    assert ag.svd(a)._fields == ("U", "S", "V") and ag.geqrf(a)._fields == ("a", "tau")


def test_results_go_where_out_says() -> None:
    a = ag.tensor(drawn(3, 3))
    found, Q, R = ag.zeros(3, 3).double(), ag.zeros(3, 3).double(), ag.zeros(3, 3).double()
    assert LA.inv(a, out=found) is found and bool((found == LA.inv(a)).all())
    assert LA.qr(a, out=(Q, R)).R is R and ag.allclose(Q @ R, a)


def test_the_error_is_also_known_as_pytorchs() -> None:
    with pytest.raises(ag.linalg.LinAlgError):
        LA.inv(ag.zeros(2, 2))


def test_singular_values_of_equal_size_have_a_gradient() -> None:
    a = ag.eye(3, requires_grad=True)
    LA.svdvals(a).sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), np.eye(3), atol=1e-6)


def test_all_run_in_compiled_programs() -> None:
    a, b = ag.tensor(drawn(3, 3)), ag.tensor(drawn(3, 2, seed=1))

    def several(a: Any, b: Any) -> tuple[Any, ...]:
        LU, pivots = LA.lu_factor(a)
        Q, R = LA.qr(a)
        return (
            LA.lu_solve(LU, pivots, b),
            Q @ R,
            LA.det(a),
            LA.pinv(b),
            LA.eigvalsh(hermitian(a)),
            LA.matrix_exp(a),
            LA.matrix_rank(a),
            LA.lstsq(a, b).solution,
            ag.ormqr(*ag.geqrf(a), b),
        )

    for found, wanted in zip(ag.compile(several)(a, b), several(a, b), strict=True):
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-12, atol=1e-12)


def test_a_compiled_step_differentiates_a_factorisation() -> None:
    a = leaf(3, 3)

    @ag.compile
    def loss(a: Any) -> Any:
        return (LA.qr(a).R.square().sum() + LA.slogdet(a).logabsdet) * LA.svdvals(a)[0]

    (found,) = ag.autograd.grad(loss(a), a)
    (wanted,) = ag.autograd.grad(loss.__wrapped__(a), a)
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-11)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LA.det(ag.ones(2, 3)), r"linalg\.det\(f32\(2, 3\)\): .*square"),
        (lambda: LA.qr(ag.ones(2, 2), "raw"), "mode must be"),
        (lambda: LA.eigh(ag.ones(2, 2), "X"), "UPLO must be"),
        (lambda: LA.svd(ag.ones(2, 2), driver="gesvd"), "driver"),
        (lambda: LA.lstsq(ag.ones(2, 2), ag.ones(2, 1), driver="gel"), "driver must be one of"),
        (lambda: LA.lstsq(ag.ones(2, 2), ag.ones(3, 1)), "rows differ"),
        (lambda: LA.lu(ag.ones(2, 2), pivot=False), "without pivots"),
        (lambda: LA.lu_solve(ag.ones(2, 2), ag.ones(2), ag.ones(2, 1)), "pivots must be int32"),
        (lambda: ag.lu_unpack(ag.eye(2), ag.tensor([1, 9], dtype=ag.int32)), "between 1 and 2"),
        (lambda: LA.householder_product(ag.ones(2, 3), ag.ones(2)), "more columns than rows"),
        (lambda: LA.cond(ag.ones(2, 3), 1), "square"),
        (lambda: LA.multi_dot([ag.ones(2)]), "at least 2"),
        (lambda: LA.tensorinv(ag.ones(2, 3, 4)), "6 rows and 4 columns"),
        (lambda: LA.inv(ag.ones(2, 2).half()), "not defined for float16"),
        (lambda: LA.vecdot(ag.tensor([1]), ag.tensor([1])), "not defined for int64"),
        (lambda: ag.cdist(ag.ones(2, 2), ag.ones(2, 2), compute_mode="x"), "compute_mode"),
        (lambda: ag.combinations(ag.ones(2, 2)), "expected a vector"),
        (lambda: ag.cov(ag.ones(2, 3), fweights=ag.ones(3)), "fweights can't be float32"),
        (lambda: ag.trapezoid(ag.ones(3), ag.ones(3), dx=1.0), "not both"),
    ],
)
def test_wrong_calls_say_what_is_wrong(call: Function, message: str) -> None:
    with pytest.raises((RuntimeError, TypeError, ValueError), match=message):
        call()


def test_what_has_no_gradient_says_so() -> None:
    a = leaf(4, 3)
    for call in (lambda: LA.qr(a, "complete").Q, lambda: LA.qr(a, "r").R):
        with pytest.raises(RuntimeError, match="no gradient"):
            call().sum().backward()


# -- integrals, products of all with all, covariances ----------------------------------------------


def test_integrals_and_covariances_are_numpys() -> None:
    y, x, w = drawn(4, 5), np.sort(drawn(5)), np.array([1, 2, 3, 1, 2])
    t = [ag.tensor(v) for v in (y, x, w)]
    np.testing.assert_allclose(ag.trapezoid(t[0], t[1]).numpy(), np.trapezoid(y, x))
    np.testing.assert_allclose(ag.trapz(t[0], dx=0.5).numpy(), np.trapezoid(y, dx=0.5))
    np.testing.assert_allclose(
        ag.cumulative_trapezoid(t[0], t[1]).numpy(),
        scipy.integrate.cumulative_trapezoid(y, x, axis=-1),
    )
    for options in ({}, {"correction": 0}, {"fweights": w}, {"aweights": w / 3.0}):
        named = {("ddof" if k == "correction" else k): v for k, v in options.items()}
        given = {k: ag.tensor(v) if k != "correction" else v for k, v in options.items()}
        np.testing.assert_allclose(ag.cov(t[0], **given).numpy(), np.cov(y, **named))
    np.testing.assert_allclose(ag.corrcoef(t[0]).numpy(), np.corrcoef(y))
    np.testing.assert_array_equal(
        ag.kron(t[2], ag.tensor([[1, 2]])).numpy(), np.kron(w, np.array([[1, 2]]))
    )
    found = ag.block_diag(t[0], t[2]).numpy()
    np.testing.assert_array_equal(found, scipy.linalg.block_diag(y, w))


def test_combinations_and_products() -> None:
    x = ag.tensor([1, 2, 3])
    assert ag.combinations(x, 2, True).shape == (6, 2) and ag.combinations(x, 0).shape == (0,)
    assert ag.combinations(x, 4).shape == (0, 4)
    assert ag.cartesian_prod(x, x, x).shape == (27, 3) and ag.cartesian_prod(x) is x


def test_distances_of_equal_points_have_a_gradient() -> None:
    for p in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, float("inf")):
        a = ag.ones(2, 3, requires_grad=True)
        ag.cdist(a, ag.ones(2, 3), p).sum().backward()
        assert bool(a.grad.isfinite().all()), p


def test_low_rank_approximations() -> None:
    a = drawn(2, 30, 4) @ drawn(2, 4, 20, seed=1)
    U, S, V = ag.svd_lowrank(ag.tensor(a), q=6)
    np.testing.assert_allclose(((U * S[..., None, :]) @ V.mH).numpy(), a, atol=1e-9)
    centred = a - a.mean(-2, keepdims=True)
    U, S, V = ag.pca_lowrank(ag.tensor(a), q=5)
    np.testing.assert_allclose(((U * S[..., None, :]) @ V.mH).numpy(), centred, atol=1e-9)


def test_products_go_in_the_cheapest_order() -> None:
    shapes = [(10, 100), (100, 5), (5, 50)]
    program = ag.compile(lambda *m: ag.chain_matmul(*m)).program(*(ag.ones(*s) for s in shapes))
    assert "f32[10, 5]" in str(program) and "f32[100, 50]" not in str(program)
