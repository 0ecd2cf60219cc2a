"""Images, strings and class names at a model's two ends, as its card describes them.

`inputs_of` makes arrays of the body of a request, `converted` of strings among the arrays of one,
and `answer_of` makes what the card says of outputs. They block for as long as decoding takes;
`settled` is `converted` for an event loop, worth awaiting where `has_strings`, and `asked_inputs`
are the inputs that a request must name.
"""

from argand.serve.handlers.handler import (
    answer_of,
    asked_inputs,
    class_names,
    converted,
    inputs_of,
    is_described,
    main_input,
)
from argand.serve.handlers.settling import has_strings, settled

__all__ = [
    "answer_of",
    "asked_inputs",
    "class_names",
    "converted",
    "has_strings",
    "inputs_of",
    "is_described",
    "main_input",
    "settled",
]
