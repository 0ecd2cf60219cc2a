"""What ops promise beyond their samples: ties, empties, NaN, indices, losses, norms, text forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special

from argand.base.dtype import float16, float32, float64, int64
from argand.base.errors import ArgandError, IndexRangeError
from argand.ir import families
from argand.ir.interpret import interpret
from argand.ir.op import Op, TensorType, ops, registry
from argand.ir.program import Program
from argand.ir.record import record, record_body
from argand.ir.verify import verify
from argand.transform.graph import differentiate, vjp


def test_extremes_share_the_gradient(grad: Any) -> None:
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    np.testing.assert_allclose(
        grad(lambda v: ops.amax(v, 1), x), [[0, 0.5, 0.5], [1 / 3, 1 / 3, 1 / 3]]
    )


def test_product_gradient_at_zeros(grad: Any) -> None:
    np.testing.assert_array_equal(grad(ops.prod, np.array([2.0, 0.0, 3.0])), [0, 6, 0])
    np.testing.assert_array_equal(grad(ops.prod, np.array([2.0, 0.0, 0.0])), [0, 0, 0])


def test_empty_reductions(run: Any) -> None:
    nothing = np.zeros((0, 2), np.float32)
    assert run(lambda v: ops.sum(v, 0), nothing).tolist() == [0, 0]
    assert run(lambda v: ops.prod(v, 0), nothing).tolist() == [1, 1]
    assert np.isnan(run(lambda v: ops.mean(v, 0), nothing)).all()
    assert run(lambda v: ops.any(v, 0), nothing).tolist() == [False, False]
    assert run(lambda v: ops.all(v, 0), nothing).tolist() == [True, True]


def test_16_bit_sums_are_accumulated_in_float32(run: Any) -> None:
    x = np.full(4096, 1.0, np.float16)
    assert run(ops.sum, x) == 4096
    assert run(ops.mean, x) == 1


def test_std_of_a_constant_has_no_gradient(grad: Any) -> None:
    np.testing.assert_array_equal(grad(ops.std, np.ones(4)), np.zeros(4))


def test_logsumexp_of_infinities(run: Any) -> None:
    x = np.array([[-np.inf, -np.inf], [np.inf, 0.0], [-np.inf, 1.0]])
    np.testing.assert_array_equal(run(lambda v: ops.logsumexp(v, 1), x), [-np.inf, np.inf, 1.0])


def test_softmax_of_large_values(run: Any) -> None:
    x = np.array([[1000.0, 1000.0], [-1000.0, 1000.0]])
    np.testing.assert_array_equal(run(lambda v: ops.softmax(v, 1), x), [[0.5, 0.5], [0, 1]])


def test_sorting_is_stable_and_puts_nan_last(run: Any) -> None:
    x = np.array([2.0, np.nan, 1.0, 2.0])
    values, order = run(lambda v: ops.sort(v), x)
    assert order.tolist() == [2, 0, 3, 1]
    np.testing.assert_array_equal(values, [1, 2, 2, np.nan])
    assert run(lambda v: ops.sort(v, descending=True), x)[1].tolist() == [1, 0, 3, 2]


def test_negative_indices(run: Any) -> None:
    x, i = np.arange(12.0).reshape(3, 4), np.array([-1, 0])
    np.testing.assert_array_equal(run(ops.index, x, i), x[i])
    y = run(lambda a, v, j: ops.index_put(a, v, j, accumulate=True), x, np.ones((2, 4)), i)
    np.testing.assert_array_equal(y, x + np.array([[1], [0], [1]]))


def test_scatter_order(run: Any) -> None:
    x, i, s = np.zeros(3), np.array([1, 1, 0]), np.array([1.0, 2.0, 3.0])
    assert run(lambda a, j, v: ops.scatter(a, 0, j, v), x, i, s).tolist() == [3, 2, 0]
    assert run(lambda a, j, v: ops.scatter_add(a, 0, j, v), x, i, s).tolist() == [3, 3, 0]


def test_embedding_padding_row_gets_no_gradient(grad: Any) -> None:
    g = grad(lambda w, i: ops.embedding(w, i, 1), np.ones((3, 2)), np.array([0, 1, 1, 2, 2]))
    assert g.tolist() == [[1, 1], [0, 0], [2, 2]]


def test_index_errors_name_value_and_size(run: Any) -> None:
    with pytest.raises(IndexRangeError, match=r"embedding: index 9 is out of range .* size 4"):
        run(ops.embedding, np.ones((4, 2)), np.array([0, 9]))
    with pytest.raises(IndexError, match="gather: index -1"):
        run(lambda x, i: ops.gather(x, 0, i), np.ones(4), np.array([-1]))


def test_cross_entropy_with_everything_ignored(run: Any) -> None:
    x, t = np.ones((2, 3)), np.array([-100, -100])
    assert np.isnan(run(ops.cross_entropy, x, t))
    assert run(lambda a, b: ops.cross_entropy(a, b, reduction="sum"), x, t) == 0


def test_cross_entropy_saves_no_matrix() -> None:
    op: Any = ops.cross_entropy
    inputs, outputs = op.saves({})
    program = record(
        lambda x, t: ops.cross_entropy(x, t),
        [TensorType(float32, (64, 10)), TensorType(int64, (64,))],
    )
    (node,) = program.nodes
    assert [node.outputs[n].shape for n in outputs] == [(64,)]
    assert list(inputs) == [0, 1]


def test_attention_rows_that_see_nothing_give_zero(run: Any) -> None:
    q = np.ones((2, 3))
    mask = np.array([[False, False], [True, False]])
    y = run(lambda a, m: ops.scaled_dot_product_attention(a, a, a, m), q, mask)
    np.testing.assert_array_equal(y, [[0, 0, 0], [1, 1, 1]])


def test_layer_norm_of_16_bit_floats(run: Any) -> None:
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(4, 64)) * 100 + 1000).astype(np.float16)
    y = run(lambda v: ops.layer_norm(v, 64), x)
    wide = x.astype(np.float64)
    expected = (wide - wide.mean(1, keepdims=True)) / wide.std(1, keepdims=True)
    assert y.dtype == np.float16
    np.testing.assert_allclose(y, expected, atol=5e-3)


def test_max_pool_of_nan_and_infinity(run: Any) -> None:
    x = np.full((1, 1, 2, 2), -np.inf)
    assert run(lambda v: ops.max_pool2d(v, 2), x).item() == -np.inf
    x[0, 0, 1, 0] = np.nan
    assert np.isnan(run(lambda v: ops.max_pool2d(v, 2), x)).all()


def test_max_pool_of_minus_infinity_points_inside(grad: Any) -> None:
    g = grad(lambda v: ops.max_pool2d(v, 3, 1, 1), np.full((1, 1, 2, 2), -np.inf))
    assert g.sum() == 4


def test_unbatched_images(run: Any) -> None:
    x, w = np.ones((2, 4, 4)), np.ones((3, 2, 3, 3))
    assert run(ops.conv2d, x, w).shape == (3, 2, 2)
    assert run(lambda v: ops.avg_pool2d(v, 2), x).shape == (2, 2, 2)


def test_matmul_folds_leading_dimensions_into_rows() -> None:
    types = [TensorType(float32, (2, 3, 4)), TensorType(float32, (4, 5))]
    program = record(lambda a, b: ops.matmul(a, b), types)
    assert [n.op.name for n in program] == ["reshape", "matmul", "reshape"]
    assert program.nodes[1].outputs[0].shape == (6, 5)


def test_matmul_of_16_bit_floats(run: Any) -> None:
    x = np.full((1, 4096), 1.0, np.float16)
    assert run(lambda a: ops.matmul(a, ops.permute(a, (1, 0))), x).item() == 4096


def test_einsum_ellipsis_broadcasts(run: Any) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(1, 3, 2, 4)), rng.normal(size=(5, 1, 4, 2))
    y = run(lambda x, z: ops.einsum("...ij,...jk->...ik", x, z), a, b)
    np.testing.assert_allclose(y, a @ b)


def test_einsum_keeps_the_dtype_of_whole_numbers(run: Any) -> None:
    a, b = np.arange(6, dtype=np.int32).reshape(2, 3), np.arange(4, dtype=np.int32)
    y = run(lambda x, z: ops.einsum("ij,k->ik", x, z), a, b)  # j is summed first
    assert y.dtype == np.int32
    np.testing.assert_array_equal(y, np.einsum("ij,k->ik", a, b))


@pytest.mark.parametrize(
    ("name", "params", "exact"),
    [
        ("softmax", {"dim": 1}, lambda x: scipy.special.softmax(x, 1)),
        ("log_softmax", {"dim": 1}, lambda x: scipy.special.log_softmax(x, 1)),
        ("kl_div", {"reduction": "none", "log_target": False}, lambda x, t: t * (np.log(t) - x)),
        ("mse_loss", {"reduction": "sum"}, lambda x, t: np.square(x - t).sum()),
    ],
)
def test_16_bit_floats_of_composites_are_rounded_once(name: str, params: Any, exact: Any) -> None:
    rng, count = np.random.default_rng(0), exact.__code__.co_argcount
    arrays = [rng.uniform(0.1, 4, (16, 5)).astype(np.float16) for _ in range(count)]
    types = tuple(TensorType(float16, a.shape) for a in arrays)
    (found,) = interpret(record_body(registry.get(name), types, params), arrays)
    wanted = exact(*(a.astype(np.float64) for a in arrays))
    assert found.dtype == np.float16
    assert np.all(np.abs(found - wanted) <= 2.0**-11 * np.abs(wanted) * 1.001 + 1e-6)


def test_cond_is_differentiated_by_each_operand(run: Any, grad: Any) -> None:
    def f(x: Any, p: Any) -> Any:
        return ops.cond(p, lambda v, y: v * y, lambda v, y: v + y, x, ops.exp(x))

    x = np.array([0.5, 1.0])
    for p in (True, False):
        y = np.exp(x)
        np.testing.assert_allclose(run(f, x, p), x * y if p else x + y)
        np.testing.assert_allclose(grad(f, x, np.bool_(p)), y + x * y if p else 1 + y)


def test_differentiate_keeps_outputs_and_state() -> None:
    from argand.ir.program import Value

    x, w = Value(float64, (3,), "x"), Value(float64, (3,), "w")
    program = Program("f", [x], [w])
    from argand.ir.bind import interpreting
    from argand.ir.record import Recorder

    with interpreting(Recorder(program)):
        loss = ops.sum(ops.square(x * w))
        program.writes[0] = w + 1.0
    program.outputs = [loss]
    gradient = verify(differentiate(program, [1], keep=True))
    a, b = np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])
    value, g, written = interpret(gradient, [a, b])
    np.testing.assert_allclose(value, np.sum((a * b) ** 2))
    np.testing.assert_allclose(g, 2 * a * a * b)
    np.testing.assert_allclose(written, b + 1)


def test_an_input_that_nothing_depends_on_has_a_zero_gradient() -> None:
    kind = TensorType(float32, (2,))
    program = vjp(record(lambda x, y: ops.exp(x), [kind, kind]), [1], [0])
    (g,) = interpret(program, [np.ones(2, np.float32)] * 3)
    assert g.tolist() == [0, 0]


def test_integers_have_no_gradient() -> None:
    program = record(lambda x: x + 1, [TensorType(int64, (2,))])
    with pytest.raises(ArgandError, match="only floating-point values have gradients"):
        vjp(program, [0], [0])


def test_defining_an_op_checks_what_it_states() -> None:
    from argand.ir.elementwise import Elementwise
    from argand.ir.samples import Uniform

    with pytest.raises(TypeError, match="does not state body"):
        type("Bodiless", (Elementwise,), {"samples": Uniform(-1, 1), "__doc__": "Nothing."})
    with pytest.raises(TypeError, match="has no docstring"):
        body = staticmethod(lambda b, x: x)
        type("Undocumented", (Elementwise,), {"samples": Uniform(-1, 1), "body": body})


@pytest.mark.parametrize(
    ("family", "lacks"),
    [
        (families.Move, "infer, run, adjoint"),
        (families.View, "infer, run, adjoint, view_strides"),
        (families.Gather, "infer, run, adjoint"),
        (families.Scatter, "infer, run, adjoint, values, target, collides, adds"),
        (families.Convolution, "infer, run, adjoint, roles"),
        (families.Scan, "infer, run, adjoint, combine"),
        (families.Random, "infer, run, element"),
    ],
)
def test_a_member_states_what_its_family_asks(family: type[Op], lacks: str) -> None:
    stated = {"samples": (), "__doc__": "Nothing.", "source": lambda *given: ()}
    with pytest.raises(TypeError, match=f"op lacking does not state {lacks}, which its family"):
        type("Lacking", (family,), stated)
