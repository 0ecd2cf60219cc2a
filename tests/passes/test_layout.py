"""The layout pass: channels-last around convolutions."""

from __future__ import annotations

import textwrap

import argand.ops
from argand.ir.text import parse_program
from argand.ir.verify import verify
from argand.passes.layout import layout

assert argand.ops  # fills the registry


def laid_out(text: str) -> str:
    result = str(verify(layout(verify(parse_program(textwrap.dedent(text))))))
    return "\n".join(line.strip() for line in result.splitlines()[1:-1])


def test_a_chain_of_convolutions_stays_channels_last() -> None:
    window = "{stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1}"
    assert laid_out(
        f"""
        program f(x: f32[2, 3, 5, 5]; state w: f32[4, 3, 3, 3], v: f32[4, 4, 3, 3]) {{
          %0: f32[2, 4, 5, 5] = conv2d(x, w) {window}
          %1: f32[2, 4, 5, 5] = relu(%0)
          %2: f32[2, 4, 5, 5] = conv2d(%1, v) {window}
          %3: f32[2, 100] = reshape(%2) {{shape=(2, 100)}}
          return %3, %1
        }}"""
    ) == textwrap.dedent(
        f"""\
        %0: f32[2, 3, 5, 5]@0231 = contiguous(x)
        %1: f32[2, 4, 5, 5]@0231 = conv2d(%0, w) {window}
        %2: f32[2, 4, 5, 5]@0231 = relu(%1)
        %3: f32[2, 4, 5, 5]@0231 = conv2d(%2, v) {window}
        %4: f32[2, 100] = reshape(%3) {{shape=(2, 100)}}
        %5: f32[2, 4, 5, 5] = contiguous(%2)
        return %4, %5"""
    )


def test_one_channel_needs_no_copy() -> None:
    window = "{stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1}"
    text = laid_out(
        f"""
        program f(x: f32[2, 1, 5, 5]; state w: f32[4, 1, 3, 3]) {{
          %0: f32[2, 4, 3, 3] = conv2d(x, w) {window}
          return %0
        }}"""
    )
    assert text == f"%0: f32[2, 4, 3, 3] = conv2d(x, w) {window}\nreturn %0"


def test_a_row_major_image_of_channels_seen_as_channels_first_is_read_in_place() -> None:
    window = "{stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1}"
    text = laid_out(
        f"""
        program f(x: f32[2, 5, 5, 3]; state w: f32[3, 3, 3, 3]) {{
          %0: f32[2, 3, 5, 5] = permute(x) {{dims=(0, 3, 1, 2)}}
          %1: f32[2, 3, 5, 5] = conv2d(%0, w) {window}
          %2: f32[2, 3, 5, 5] = add(%0, %1)
          return %2
        }}"""
    )
    assert text == textwrap.dedent(
        f"""\
        %0: f32[2, 3, 5, 5]@0231 = permute(x) {{dims=(0, 3, 1, 2)}}
        %1: f32[2, 3, 5, 5]@0231 = conv2d(%0, w) {window}
        %2: f32[2, 3, 5, 5] = add(%0, %1)
        return %2"""
    )


def test_written_state_stays_row_major() -> None:
    window = "{stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1}"
    text = laid_out(
        f"""
        program f(x: f32[2, 3, 5, 5]; state w: f32[3, 3, 3, 3], u: f32[2, 3, 5, 5]) {{
          %0: f32[2, 3, 5, 5] = conv2d(x, w) {window}
          %1: f32[2, 3, 5, 5] = conv2d(%0, w) {window}
          return %1; u <- %0
        }}"""
    )
    assert text.splitlines()[-2:] == [
        "%3: f32[2, 3, 5, 5] = contiguous(%1)",
        "return %2; u <- %3",
    ]
