"""Texts by the v2 protocol's gRPC (`v2_texts`): a stream gives an answer for each piece, the last
with the parameter `triton_final_response`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from argand.serve.generation import Generation
from argand.serve.handlers.strings import objects
from argand.serve.v2_texts import TEXT
from argand_client.datatypes import to_bytes

FINAL = "triton_final_response"


def ends_empty(parameters: Mapping[str, Any]) -> bool:
    """Whether a client wants an answer without outputs behind the last piece of a text."""
    return parameters.get("triton_enable_empty_final_response") is True


async def pieces(generation: Generation) -> AsyncIterator[tuple[str, str | None]]:
    """The text as it comes; with the last piece why it ended."""
    async with aclosing(aiter(generation)) as found:
        async for piece in found:
            if piece.text or piece.finish:
                yield piece.text, piece.finish


def write(answer: Any, text: str, finish: str | None, *, final: bool | None = None) -> Any:
    """Fill a ModelInferResponse; `final` says whether it is the last, else the reason does."""
    answer.outputs.add(name=TEXT, datatype="BYTES", shape=[1])
    answer.raw_output_contents.append(to_bytes(objects([text])))
    if finish is not None:
        answer.parameters["finish_reason"].string_param = finish
    answer.parameters[FINAL].bool_param = finish is not None if final is None else final
    return answer


__all__ = ["FINAL", "ends_empty", "pieces", "write"]
