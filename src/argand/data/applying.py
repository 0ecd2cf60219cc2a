"""Users' functions in pipelines: their errors name the stage, and others may run them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from argand.data.randomness import mixed
from argand.tensor.generators import Generator

Thunk = Callable[[], Any]
Submit = Callable[[Thunk, int], Thunk]


@dataclasses.dataclass(frozen=True)
class Apply:
    """A function of a stage, and where the stage was added."""

    stage: str
    function: Callable[..., Any]
    place: str
    generator: bool = False

    def __call__(self, element: Any, number: int = 0, seed: int = 0) -> Any:
        extra = (Generator().manual_seed(mixed(seed, number)),) if self.generator else ()
        try:
            return self.function(element, *extra)
        except Exception as error:
            self._explain(error)
            raise

    def _explain(self, error: Exception) -> None:
        """Say in the error which stage it comes from."""
        name = getattr(self.function, "__name__", type(self.function).__name__)
        text = f"in {self.stage}({name}) of the pipeline, added in {self.place}"
        plain = type(error).__str__ is Exception.__str__ and len(error.args) == 1
        if plain and isinstance(error.args[0], str):
            error.args = (f"{error.args[0]}  [{text}]",)
        else:
            error.add_note(text)


def threads(count: int) -> Submit:
    """Elements computed by threads."""
    from concurrent.futures import ThreadPoolExecutor  # most pipelines need none

    pool = ThreadPoolExecutor(count, thread_name_prefix="argand pipeline")
    return lambda thunk, _: pool.submit(thunk).result
