"""Activation layers; each is the function of the same name in `argand.nn.functional`."""

from __future__ import annotations

from typing import Any

from argand.base.notices import notice
from argand.nn import functional as F
from argand.nn.init import constant_
from argand.nn.module import Module
from argand.nn.parameter import Parameter
from argand.tensor.creation import full


class _Activation(Module):
    """A layer without parameters that keeps `names` of its constructor's arguments."""

    names: tuple[str, ...] = ()

    def _keep(self, **values: Any) -> None:
        super().__init__()
        for name, value in values.items():
            setattr(self, name, value)

    def extra_repr(self) -> str:
        parts = [f"{n}={getattr(self, n)}" for n in self.names]
        if getattr(self, "inplace", False):
            parts.append("inplace=True")
        return ", ".join(parts)


class ReLU(_Activation):
    """max(x, 0), element by element; with `inplace` in the input's memory. See `F.relu`.

    >>> nn.ReLU()(ag.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def __init__(self, inplace: bool = False) -> None:
        self._keep(inplace=inplace)

    def forward(self, input: Any) -> Any:
        """max(x, 0)."""
        return F.relu(input, self.inplace)


class ReLU6(_Activation):
    """min(max(x, 0), 6). See `F.relu6`.

    >>> nn.ReLU6()(ag.tensor([-1.0, 9.0]))
    tensor([0., 6.])
    """

    def __init__(self, inplace: bool = False) -> None:
        self._keep(inplace=inplace)

    def forward(self, input: Any) -> Any:
        """min(max(x, 0), 6)."""
        return F.relu6(input, self.inplace)


class LeakyReLU(_Activation):
    """x where x > 0, negative_slope * x elsewhere. See `F.leaky_relu`.

    >>> nn.LeakyReLU(0.1)(ag.tensor([-2.0, 3.0]))
    tensor([-0.2000,  3.0000])
    """

    names = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        self._keep(negative_slope=negative_slope, inplace=inplace)

    def forward(self, input: Any) -> Any:
        """x above 0, negative_slope * x elsewhere."""
        return F.leaky_relu(input, self.negative_slope, self.inplace)


class ELU(_Activation):
    """x where x > 0, alpha * (exp(x) - 1) elsewhere. See `F.elu`.

    >>> nn.ELU()(ag.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """

    names = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self._keep(alpha=alpha, inplace=inplace)

    def forward(self, input: Any) -> Any:
        """x above 0, alpha * (exp(x) - 1) elsewhere."""
        return F.elu(input, self.alpha, self.inplace)


class SELU(_Activation):
    """scale * elu(x, alpha) with the self-normalising constants of Klambauer et al. (2017). See
    `F.selu`.

    >>> nn.SELU()(ag.tensor([-1.0, 1.0]))
    tensor([-1.1113,  1.0507])
    """

    def __init__(self, inplace: bool = False) -> None:
        self._keep(inplace=inplace)

    def forward(self, input: Any) -> Any:
        """scale * elu(x, alpha)."""
        return F.selu(input, self.inplace)


class GELU(_Activation):
    """x * Phi(x), with Phi the normal distribution function; or its approximation, "tanh". See
    `F.gelu`.

    >>> nn.GELU(approximate="tanh")(ag.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.1588,  0.0000,  0.8412])
    """

    def __init__(self, approximate: str = "none") -> None:
        self._keep(approximate=approximate)

    def forward(self, input: Any) -> Any:
        """x * Phi(x)."""
        return F.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(_Activation):
    """x * sigmoid(x), also called swish. See `F.silu`.

    >>> nn.SiLU()(ag.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.2689,  0.0000,  0.7311])
    """

    def __init__(self, inplace: bool = False) -> None:
        self._keep(inplace=inplace)

    def forward(self, input: Any) -> Any:
        """x * sigmoid(x)."""
        return F.silu(input, self.inplace)


class Mish(_Activation):
    """x * tanh(softplus(x)). See `F.mish`.

    >>> nn.Mish()(ag.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.3034,  0.0000,  0.8651])
    """

    def __init__(self, inplace: bool = False) -> None:
        self._keep(inplace=inplace)

    def forward(self, input: Any) -> Any:
        """x * tanh(softplus(x))."""
        return F.mish(input, self.inplace)


class Softplus(_Activation):
    """log(1 + exp(beta * x)) / beta; x itself where beta * x > threshold. See `F.softplus`.

    >>> nn.Softplus()(ag.tensor([0.0, 30.0]))
    tensor([ 0.6931, 30.0000])
    """

    names = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self._keep(beta=beta, threshold=threshold)

    def forward(self, input: Any) -> Any:
        """log(1 + exp(beta * x)) / beta."""
        return F.softplus(input, self.beta, self.threshold)


class Hardtanh(_Activation):
    """x kept within [min_val, max_val]. See `F.hardtanh`.

    >>> nn.Hardtanh()(ag.tensor([-3.0, 0.5]))
    tensor([-1.0000,  0.5000])
    """

    names = ("min_val", "max_val")

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        if min_value is not None or max_value is not None:
            notice(
                "Hardtanh: min_value= and max_value= are the older names of min_val=, max_val=",
                FutureWarning,
            )
        min_val = min_val if min_value is None else min_value
        max_val = max_val if max_value is None else max_value
        self._keep(min_val=min_val, max_val=max_val, inplace=inplace)

    def forward(self, input: Any) -> Any:
        """x kept within [min_val, max_val]."""
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)


class Hardsigmoid(_Activation):
    """relu6(x + 3) / 6. See `F.hardsigmoid`.

    >>> nn.Hardsigmoid()(ag.tensor([-4.0, 0.0]))
    tensor([0.0000, 0.5000])
    """

    def __init__(self, inplace: bool = False) -> None:
        self._keep(inplace=inplace)

    def forward(self, input: Any) -> Any:
        """relu6(x + 3) / 6."""
        return F.hardsigmoid(input, self.inplace)


class Hardswish(_Activation):
    """x * relu6(x + 3) / 6. See `F.hardswish`.

    >>> nn.Hardswish()(ag.tensor([1.0, 4.0]))
    tensor([0.6667, 4.0000])
    """

    def __init__(self, inplace: bool = False) -> None:
        self._keep(inplace=inplace)

    def forward(self, input: Any) -> Any:
        """x * relu6(x + 3) / 6."""
        return F.hardswish(input, self.inplace)


class Tanh(Module):
    """(exp(x) - exp(-x)) / (exp(x) + exp(-x)), in [-1, 1].

    >>> nn.Tanh()(ag.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7616])
    """

    def forward(self, input: Any) -> Any:
        """tanh(x)."""
        return F.tanh(input)


class Sigmoid(Module):
    """1 / (1 + exp(-x)), in [0, 1].

    >>> nn.Sigmoid()(ag.tensor([0.0, 1.0]))
    tensor([0.5000, 0.7311])
    """

    def forward(self, input: Any) -> Any:
        """1 / (1 + exp(-x))."""
        return F.sigmoid(input)


class LogSigmoid(Module):
    """log(sigmoid(x)), without overflow. See `F.logsigmoid`.

    >>> nn.LogSigmoid()(ag.tensor([-100.0, 0.0]))
    tensor([-100.0000,   -0.6931])
    """

    def forward(self, input: Any) -> Any:
        """log(sigmoid(x))."""
        return F.logsigmoid(input)


class Softsign(Module):
    """x / (1 + abs(x)). See `F.softsign`.

    >>> nn.Softsign()(ag.tensor([-3.0, 1.0]))
    tensor([-0.7500,  0.5000])
    """

    def forward(self, input: Any) -> Any:
        """x / (1 + abs(x))."""
        return F.softsign(input)


class PReLU(Module):
    """x where x > 0, weight * x elsewhere: `weight` is trained and starts at `init` (He et al.,
    2015).

    With `num_parameters` above 1 there is one weight for each channel (dimension 1).

    >>> nn.PReLU()(ag.tensor([-4.0, 2.0]))
    tensor([-1.,  2.], grad_fn=<WhereBackward0>)
    """

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(full((num_parameters,), init, dtype=dtype, device=device))

    def reset_parameters(self) -> None:
        """The weight as at the start."""
        constant_(self.weight, self.init)

    def forward(self, input: Any) -> Any:
        """x above 0, weight * x elsewhere."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class Softmax(_Activation):
    """exp(x) / sum(exp(x)) along `dim`. See `F.softmax`.

    >>> nn.Softmax(dim=-1)(ag.tensor([1.0, 2.0, 3.0]))
    tensor([0.0900, 0.2447, 0.6652])
    """

    names = ("dim",)

    def __init__(self, dim: int | None = None) -> None:
        self._keep(dim=dim)

    def forward(self, input: Any) -> Any:
        """softmax(x)."""
        return F.softmax(input, self.dim)


class Softmin(_Activation):
    """softmax(-x) along `dim`. See `F.softmin`.

    >>> nn.Softmin(dim=-1)(ag.tensor([1.0, 2.0, 3.0]))
    tensor([0.6652, 0.2447, 0.0900])
    """

    names = ("dim",)

    def __init__(self, dim: int | None = None) -> None:
        self._keep(dim=dim)

    def forward(self, input: Any) -> Any:
        """softmax(-x)."""
        return F.softmin(input, self.dim)


class LogSoftmax(_Activation):
    """x - log(sum(exp(x))) along `dim`. See `F.log_softmax`.

    >>> nn.LogSoftmax(dim=-1)(ag.tensor([1.0, 2.0, 3.0]))
    tensor([-2.4076, -1.4076, -0.4076])
    """

    names = ("dim",)

    def __init__(self, dim: int | None = None) -> None:
        self._keep(dim=dim)

    def forward(self, input: Any) -> Any:
        """log(softmax(x))."""
        return F.log_softmax(input, self.dim)


class GLU(_Activation):
    """a * sigmoid(b) for the halves a and b of the input along `dim`. See `F.glu`.

    >>> nn.GLU()(ag.tensor([1.0, 2.0, 0.0, 0.0]))
    tensor([0.5000, 1.0000])
    """

    names = ("dim",)

    def __init__(self, dim: int = -1) -> None:
        self._keep(dim=dim)

    def forward(self, input: Any) -> Any:
        """a * sigmoid(b)."""
        return F.glu(input, self.dim)


class CELU(_Activation):
    """max(0, x) + min(0, alpha * (exp(x / alpha) - 1)). See `F.celu`.

    >>> nn.CELU(2.0)(ag.tensor([-2.0, 2.0]))
    tensor([-1.2642,  2.0000])
    """

    names = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self._keep(alpha=alpha, inplace=inplace)

    def forward(self, input: Any) -> Any:
        """celu(x)."""
        return F.celu(input, self.alpha, self.inplace)


class Hardshrink(_Activation):
    """x where abs(x) > lambd, 0 elsewhere.

    >>> nn.Hardshrink()(ag.tensor([-1.0, 0.3]))
    tensor([-1.,  0.])
    """

    def __init__(self, lambd: float = 0.5) -> None:
        self._keep(lambd=lambd)

    def forward(self, input: Any) -> Any:
        """hardshrink(x)."""
        return F.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Softshrink(_Activation):
    """sign(x) * max(abs(x) - lambd, 0).

    >>> nn.Softshrink()(ag.tensor([-2.0, 0.3]))
    tensor([-1.5000,  0.0000])
    """

    def __init__(self, lambd: float = 0.5) -> None:
        self._keep(lambd=lambd)

    def forward(self, input: Any) -> Any:
        """softshrink(x)."""
        return F.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Tanhshrink(Module):
    """x - tanh(x), element by element.

    >>> nn.Tanhshrink()(ag.tensor([1.0]))
    tensor([0.2384])
    """

    def forward(self, input: Any) -> Any:
        """tanhshrink(x)."""
        return F.tanhshrink(input)


class Threshold(_Activation):
    """x where x > threshold, `value` elsewhere.

    >>> nn.Threshold(1.0, -1.0)(ag.tensor([0.5, 2.0]))
    tensor([-1.,  2.])
    """

    names = ("threshold", "value")

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        self._keep(threshold=threshold, value=value, inplace=inplace)

    def forward(self, input: Any) -> Any:
        """threshold(x)."""
        return F.threshold(input, self.threshold, self.value, self.inplace)


class RReLU(_Activation):
    """x where x > 0, a * x elsewhere; in training `a` is drawn for every element. See `F.rrelu`.

    >>> nn.RReLU().eval()(ag.tensor([-24.0, 1.0]))
    tensor([-5.5000,  1.0000])
    """

    names = ("lower", "upper")

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False) -> None:
        self._keep(lower=lower, upper=upper, inplace=inplace)

    def forward(self, input: Any) -> Any:
        """rrelu(x)."""
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)


class Softmax2d(Module):
    """exp(x) / sum(exp(x)) over the channels of images (N, C, H, W) or (C, H, W).

    >>> nn.Softmax2d()(ag.zeros(2, 1, 1)).flatten()
    tensor([0.5000, 0.5000])
    """

    def forward(self, input: Any) -> Any:
        """softmax(x) over the channels."""
        return F.softmax(input, -3)
