"""What `onnx.export` raises."""

from __future__ import annotations

from argand.base.errors import ArgandError


class OnnxExporterError(ArgandError, RuntimeError):
    """What a model can't be exported for: every op that ONNX can't express, with the user's line.

    Nothing has been written when it is raised. Follows `torch.onnx.OnnxExporterError`.

    >>> try:
    ...     ag.onnx.export(lambda x: ag.special.zeta(x, 2.0), (ag.ones(2),))
    ... except ag.onnx.OnnxExporterError as error:
    ...     print(str(error).splitlines()[0])
    lambda can't be exported to ONNX, and nothing was written:
    """


__all__ = ["OnnxExporterError"]
