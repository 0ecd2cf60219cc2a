"""Text from language models: archives with a cache in pages, and continuous batching."""

from argand.serve.generation.exporting import export
from argand.serve.generation.generator import Generator, begin, generator_of, is_language_model
from argand.serve.generation.layout import Layout, layout_of
from argand.serve.generation.sampling import Sampling
from argand.serve.generation.sequences import Answer, Generation, Piece
from argand.serve.options import GenerationOptions

__all__ = [
    "Answer",
    "Generation",
    "GenerationOptions",
    "Generator",
    "Layout",
    "Piece",
    "Sampling",
    "begin",
    "export",
    "generator_of",
    "is_language_model",
    "layout_of",
]
