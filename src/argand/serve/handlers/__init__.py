"""Images, strings and class names at a model's two ends, as its card describes them.

`inputs_of` makes arrays of the body of a request, `converted` of strings among the arrays of one,
and `answer_of` makes what the card says of outputs. They block for as long as decoding takes.
"""

from argand.serve.handlers.handler import answer_of, converted, inputs_of, is_described

__all__ = ["answer_of", "converted", "inputs_of", "is_described"]
