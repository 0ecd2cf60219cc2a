"""The fusion pass: text in, text out."""

from __future__ import annotations

import textwrap

import pytest

import argand.ops  # noqa: F401 - fills the registry
from argand.ir.text import parse_program
from argand.ir.verify import verify
from argand.kernels.match import plan_of
from argand.kernels.plan import Plan
from argand.lowering.region import Region
from argand.passes import fuse_match
from argand.passes.fuse import fuse
from argand.passes.fuse_graph import Unit, numbers, units_in_order


def fused(text: str) -> str:
    program = parse_program(textwrap.dedent(text))
    before = str(program)
    result = verify(fuse(program))
    assert str(program) == before
    parse_program(str(result))
    return str(result)


def kernels(text: str) -> list[str]:
    """The kernels of the fused program: kind, and ops that are no views."""
    program = fuse(parse_program(textwrap.dedent(text)))
    found = []
    for node in program.nodes:
        names = [n.op.name for region in node.regions for n in region.nodes]
        names = [n for n in names if n not in ("expand", "reshape", "permute", "full")]
        found.append(f"{node.params.get('kind', node.op.name)} {' '.join(names)}".strip())
    return found


def expect(text: str, wanted: str) -> None:
    assert fused(text).strip() == textwrap.dedent(wanted).strip()


def test_a_chain_is_one_loop() -> None:
    expect(
        """
        program f(x: f32[8, 3], y: f32[3]) {
          %0: f32[8, 3] = expand(y) {shape=(8, 3)}
          %1: f32[8, 3] = add(x, %0)
          %2: f32[8, 3] = relu(%1)
          return %2
        }""",
        """
        program f(x: f32[8, 3], y: f32[3]) {
          %0: f32[8, 3] = fusion(y, x) {kind="loop"} with
            loop(x0: f32[3], x1: f32[8, 3]) {
              %0: f32[8, 3] = expand(x0) {shape=(8, 3)}
              %1: f32[8, 3] = add(x1, %0)
              %2: f32[8, 3] = relu(%1)
              return %2
            }
          return %0
        }""",
    )


def test_one_op_stays_itself() -> None:
    text = """
        program f(x: f32[8]) {
          %0: f32[8] = exp(x)
          return %0
        }"""
    expect(text, text)


def test_softmax_is_one_kernel_of_rows() -> None:
    text = """
        program f(x: f32[N, 9]) {
          %0: f32[N, 1] = amax(x) {dim=(1,), keepdim=True}
          %1: f32[N, 9] = expand(%0) {shape=(N, 9)}
          %2: f32[N, 9] = sub(x, %1)
          %3: f32[N, 9] = exp(%2)
          %4: f32[N, 1] = sum(%3) {dim=(1,), keepdim=True}
          %5: f32[N, 9] = expand(%4) {shape=(N, 9)}
          %6: f32[N, 9] = div(%3, %5)
          return %6
        }"""
    assert kernels(text) == ["rows amax sub exp sum div"]


def test_a_contraction_takes_its_epilogue_and_the_optimizer_step() -> None:
    text = """
        program f(x: f32[4, 8], g: f32[4, 5], lr: f32[]; state w: f32[5, 8]) {
          %0: f32[5, 4] = permute(g) {dims=(1, 0)}
          %1: f32[5, 8] = matmul(%0, x)
          %2: f32[5, 8] = expand(lr) {shape=(5, 8)}
          %3: f32[5, 8] = mul(%1, %2)
          %4: f32[5, 8] = sub(w, %3)
          return ; w <- %4
        }"""
    assert kernels(text) == ["contract matmul mul sub"]


@pytest.mark.parametrize(
    ("rows", "function", "wanted"),
    [
        (2048, "relu", ["contract matmul relu"]),
        (2048, "tanh", ["contract matmul tanh"]),
        (2048, "gelu", ["matmul", "gelu"]),  # its chains overlap in a loop
        (16, "gelu", ["contract matmul gelu"]),  # too small for a kernel of its own
    ],
)
def test_a_dear_function_of_a_large_product_is_a_loop(
    rows: int, function: str, wanted: list[str]
) -> None:
    text = f"""
        program f(x: f32[{rows}, 64], w: f32[64, 64]) {{
          %0: f32[{rows}, 64] = matmul(x, w)
          %1: f32[{rows}, 64] = {function}(%0)
          return %1
        }}"""
    assert kernels(text) == wanted


def test_a_value_that_others_need_is_stored_and_what_needs_all_of_it_is_apart() -> None:
    text = """
        program f(x: f32[64, 64], w: f32[64, 64]) {
          %0: f32[64, 64] = tanh(x)
          %1: f32[64, 64] = matmul(%0, w)
          %2: f32[64, 64] = add(%1, %0)
          return %2
        }"""
    assert kernels(text) == ["tanh", "contract matmul add"]


def test_no_ring_of_kernels() -> None:
    """%3 needs %0 and what the product makes of %0: it can't join %0's kernel."""
    text = """
        program f(x: f32[64, 64], w: f32[64, 64]) {
          %0: f32[64, 64] = exp(x)
          %1: f32[64, 64] = matmul(%0, w)
          %2: f32[64, 64] = exp(%1)
          %3: f32[64, 64] = matmul(%2, w)
          %4: f32[64, 64] = add(%0, %3)
          return %4
        }"""
    assert kernels(text) == ["exp", "contract matmul exp", "contract matmul add"]


def test_a_cheap_value_is_computed_again_by_each_reader() -> None:
    text = """
        program f(x: f32[512, 512]) {
          %0: f32[512, 512] = mul(x, 2.0)
          %1: f32[512] = sum(%0) {dim=(0,), keepdim=False}
          %2: f32[512] = sum(%0) {dim=(1,), keepdim=False}
          return %1, %2
        }"""
    assert kernels(text) == ["rows mul sum sum"]  # nothing is stored in between


def test_the_base_of_a_view_that_is_a_result_is_stored() -> None:
    text = """
        program f(x: f32[4]) {
          %0: f32[4] = exp(x)
          %1: f32[2, 2] = reshape(%0) {shape=(2, 2)}
          %2: f32[4] = sin(%0)
          return %1, %2
        }"""
    program = verify(fuse(parse_program(textwrap.dedent(text))))
    assert [len(node.outputs) for node in program.nodes] == [2, 1]


def test_a_value_of_another_shape_is_stored_by_a_kernel_of_its_own() -> None:
    text = """
        program f(x: f32[512, 512], v: f32[512]) {
          %0: f32[512] = exp(v)
          %1: f32[512, 512] = expand(%0) {shape=(512, 512)}
          %2: f32[512, 512] = add(x, %1)
          return %0, %2
        }"""
    assert kernels(text) == ["exp", "loop add"]


def test_small_loops_share_a_kernel() -> None:
    text = """
        program f(a: f32[7], b: f32[9]; state p: f32[7], q: f32[9]) {
          %0: f32[7] = sub(p, a)
          %1: f32[9] = sub(q, b)
          return ; p <- %0; q <- %1
        }"""
    assert kernels(text) == ["loop sub sub"]


def test_small_loops_around_a_host_op_stay_apart() -> None:
    """The second needs what the host makes of the first."""
    text = """
        program f(x: f32[3, 3]) {
          %0: f32[3, 3] = exp(x)
          %1: f32[3, 3] = linalg_inv(%0)
          %2: f32[3, 3] = sin(%1)
          return %2
        }"""
    assert kernels(text) == ["exp", "linalg_inv", "sin"]


def test_what_may_fail_takes_no_other_along() -> None:
    text = """
        program f(i: i64[4], t: f32[5, 2]; state w: f32[2]) {
          %0: f32[2] = add(w, 1.0)
          %1: f32[4, 2] = embedding(t, i)
          return %1; w <- %0
        }"""
    assert kernels(text) == ["add", "embedding"]


def test_views_belong_to_their_readers_and_to_results() -> None:
    text = """
        program f(x: f32[4, 6]) {
          %0: f32[6, 4] = permute(x) {dims=(1, 0)}
          %1: f32[6, 4] = exp(%0)
          return %1, %0
        }"""
    assert sorted(kernels(text)) == ["loop exp", "permute"]


def test_a_host_op_is_no_part_of_a_kernel() -> None:
    text = """
        program f(x: f32[6, 6]) {
          %0: f32[6, 6] = exp(x)
          %1: f32[6, 6] = linalg_inv(%0)
          %2: f32[6, 6] = mul(%1, 2.0)
          return %2
        }"""
    assert kernels(text) == ["exp", "linalg_inv", "mul"]


def test_column_sums_ride_along_with_rows() -> None:
    text = """
        program f(x: f32[N, 64], g: f32[N, 64]) {
          %0: f32[N, 64] = mul(x, g)
          %1: f32[N, 1] = sum(%0) {dim=(1,), keepdim=True}
          %2: f32[N, 64] = expand(%1) {shape=(N, 64)}
          %3: f32[N, 64] = sub(g, %2)
          %4: f32[64] = sum(%0) {dim=(0,), keepdim=False}
          return %3, %4
        }"""
    assert kernels(text) == ["rows mul sum sub sum"]


def test_layers_that_look_alike_are_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    answer = fuse_match.match

    def counted(region: Region) -> Plan | None:
        asked[-1] += 1
        return answer(region)

    monkeypatch.setattr(fuse_match, "match", counted)
    for layers in (3, 9):
        asked.append(0)
        assert (
            kernels(stack_of(layers))
            == [
                "contract matmul add relu",
                "rows amax sub",
            ]
            * layers
        )
    assert asked[0] == asked[1]


def stack_of(layers: int) -> str:
    lines = ["program f(x0: f32[8, 64], w: f32[64, 64]) {"]
    for i in range(layers):
        a, b, c, _, e, f = (f"%{6 * i + k}: f32[8, 64]" for k in range(6))
        n = 6 * i
        lines += [
            f"  {a} = matmul({f'%{n - 1}' if i else 'x0'}, w)",
            f"  {b} = add(%{n}, 0.5)",
            f"  {c} = relu(%{n + 1})",
            f"  %{n + 3}: f32[8, 1] = amax(%{n + 2}) {{dim=(1,), keepdim=True}}",
            f"  {e} = expand(%{n + 3}) {{shape=(8, 64)}}",
            f"  {f} = sub(%{n + 2}, %{n + 4})",
        ]
    return "\n".join([*lines, f"  return %{6 * layers - 1}", "}"])


def test_sets_of_nodes_are_bits() -> None:
    assert list(numbers(0)) == []
    assert list(numbers(1 << 70 | 0b101)) == [0, 2, 70]


def test_units_come_after_what_they_read_and_a_ring_is_refused() -> None:
    first, second, third = (Unit("loop", nodes, 0) for nodes in (0b1001, 0b10, 0b100))
    second.reads, first.reads = 0b100, 0b100
    assert units_in_order([first, second, third]) == [third, second, first]
    third.reads = 0b1
    with pytest.raises(AssertionError, match="ring"):
        units_in_order([first, second, third])


# what fusion asks, kernels keep -------------------------------------------------------------------


def test_a_constant_operand_of_a_product_is_stored_and_its_epilogue_is_fused() -> None:
    text = """
        program f(w: f32[3, 4], b: f32[3]) {
          %0: f32[2, 4] = full() {shape=(2, 4), value=0.0, dtype=f32}
          %1: f32[4, 3] = permute(w) {dims=(1, 0)}
          %2: f32[2, 3] = matmul(%0, %1)
          %3: f32[2, 3] = expand(b) {shape=(2, 3)}
          %4: f32[2, 3] = add(%2, %3)
          return %4
        }"""
    assert kernels(text) == ["full", "contract matmul add"]


def test_a_product_and_its_transpose_are_added_by_a_kernel_of_its_own() -> None:
    text = """
        program f(x: f32[3, 3], y: f32[3, 3]) {
          %0: f32[3, 3] = matmul(x, y)
          %1: f32[3, 3] = permute(%0) {dims=(1, 0)}
          %2: f32[3, 3] = add(%0, %1)
          return %2
        }"""
    assert kernels(text) == ["matmul", "loop add"]


def test_an_epilogue_that_a_convolution_has_no_loops_for_is_a_kernel_of_its_own() -> None:
    window = "stride=(1, 1), padding=(0, 0), dilation=(1, 1)"
    text = f"""
        program f(x: f32[1, 3, 1, 1], w: f32[9, 1, 1, 1], b: f32[1, 3, 1]) {{
          %0: f32[1, 9, 1, 1] = conv2d(x, w) {{{window}, groups=3}}
          %1: f32[3] = reshape(b) {{shape=(3,)}}
          %2: f32[9] = pad(%1) {{padding=((0, 6),), value=0.5}}
          %3: f32[1, 9, 1, 1] = reshape(%2) {{shape=(1, 9, 1, 1)}}
          %4: f32[1, 9, 1, 1] = add(%0, %3)
          return %4
        }}"""
    assert sorted(kernels(text)) == ["conv2d", "loop pad add"]


def test_the_smallest_value_is_stored_where_a_product_cannot_read_through_views() -> None:
    """The four elements of each sum are not evenly spaced in memory."""
    text = """
        program f(x: f32[2, 4, 3], y: f32[4, 5]) {
          %0: f32[3, 4, 2] = permute(x) {dims=(2, 1, 0)}
          %1: f32[3, 8] = reshape(%0) {shape=(3, 8)}
          %2: f32[3, 4] = slice(%1) {start=(0, 0), stop=(3, 4), step=(1, 1)}
          %3: f32[3, 5] = matmul(%2, y)
          return %3
        }"""
    program = fuse(parse_program(textwrap.dedent(text)))
    stored = [str(v.type) for node in program.nodes for v in node.outputs]
    assert stored == ["f32[3, 4]", "f32[3, 5]"]


def test_a_node_stays_where_its_kernel_could_not_compute_the_rest_without_it() -> None:
    """`where` connects the rows of the exponential with those of the comparison."""
    text = """
        program f(x: f32[64, 1024], y: f32[64, 1024]) {
          %0: f32[64, 1024] = exp(x)
          %1: bool[64, 1024] = gt(y, 0.0)
          %2: bool[64] = any(%1) {dim=(1,), keepdim=False}
          %3: f32[64, 1024] = where(%1, %0, 0.0:f32)
          %4: f32[64, 512] = slice(%3) {start=(0, 0), stop=(64, 512), step=(1, 1)}
          %5: f32[64, 512] = neg(%4)
          return %0, %1, %2, %5
        }"""
    program = fuse(parse_program(textwrap.dedent(text)))
    assert all(plan_of(node) is not None for node in program.nodes)
    assert kernels(text) == ["rows exp gt any where", "loop slice neg"]
