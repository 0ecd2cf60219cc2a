"""The table of Tensor's methods and of the functions of the package.

An op of the registry becomes a function and a method by being named here; a function of one of this
room's modules likewise. Nothing else is public. tests/architecture pins the names.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Set
from types import FunctionType
from typing import Any

from argand.base.dtype import ALL
from argand.base.naming import published
from argand.base.userstack import UserCall, register_call
from argand.ir import bind as crossroads
from argand.ir.entries import planned
from argand.ir.op import Op, ops, registry
from argand.ir.overrides import open_to_all, open_to_modes
from argand.tensor import (
    algebra,
    arranging,
    autograd,
    combining,
    convert,
    creation,
    differences,
    draws,
    elementary,
    factors,
    formulas,
    gamma,
    generators,
    histograms,
    indexing,
    joining,
    layouts,
    legacy,
    methods,
    numeric,
    older_algebra,
    ordering,
    padding,
    printing,
    random,
    reducing,
    regions,
    scattering,
    searching,
    selecting,
    setting,
    shaping,
    shared,
    signals,
    spectra,
    storage,
    strides,
    subclass,
    systems,
    windows,
    writing,
)
from argand.tensor.core import Tensor
from argand.tensor.dunders import inplace_operators, named, operators
from argand.tensor.inplace import apply_inplace
from argand.tensor.names import ALIASES, COPIES, INPLACE, INPLACE_FUNCTIONS, METHOD_ALIASES
from argand.tensor.operands import of_tensors
from argand.tensor.outputs import check_apart, written


def _words(text: str) -> list[str]:
    return text.split()


# Ops that are a function and a method under their own name.
OPS = _words("""
    abs acos acosh add asin asinh atan atan2 atanh bitwise_and bitwise_left_shift bitwise_not
    bitwise_or bitwise_right_shift bitwise_xor ceil clamp copysign cos cosh digamma div eq erf
    erfc erfinv exp exp2 expm1 floor floor_divide fmax fmin fmod gcd ge gt i0 igamma igammac
    isfinite isinf isnan le lerp lgamma log log10 log1p log2 logical_and logical_not logical_or
    logical_xor lt matmul maximum minimum mul ne neg nextafter pow reciprocal relu remainder
    rsqrt sigmoid sign signbit sin sinh sqrt square sub tan tanh trunc xlogy
""")

# Functions of a module that are methods too, by module.
BOTH: dict[Any, str] = {
    algebra: """addbmm addmm addmv addr baddbmm bmm cross dot inner matrix_power mm mv outer
        vdot""",
    combining: "corrcoef cov kron",
    factors: "cholesky_inverse cholesky_solve geqrf ormqr",
    older_algebra: """cholesky det inverse lu lu_solve matrix_exp orgqr qr slogdet svd
        triangular_solve""",
    systems: "logdet pinverse",
    elementary: """addcdiv addcmul allclose clamp_max clamp_min deg2rad equal frac heaviside hypot
        is_complex is_floating_point is_nonzero is_same_size is_signed isclose isneginf isposinf
        isreal logaddexp logit nan_to_num prelu rad2deg round sinc""",
    gamma: "mvlgamma",
    differences: """diff gradient""",
    histograms: """bincount histc histogram""",
    indexing: """index_put nonzero""",
    numeric: """angle conj conj_physical float_power frexp is_conj is_inference is_neg lcm ldexp
        logaddexp2 positive resolve_conj resolve_neg sgn""",
    draws: "multinomial",
    random: "bernoulli",
    ordering: """argsort cummax cummin kthvalue median mode msort nanmedian nanquantile quantile
        sort topk""",
    regions: """as_strided as_strided_scatter diagonal_scatter select_scatter slice_scatter""",
    reducing: """all amax amin aminmax any argmax argmin count_nonzero cumprod cumsum dist
        log_softmax logcumsumexp logsumexp max mean min nanmean nansum norm prod softmax std
        sum var""",
    scattering: """index_add index_copy index_fill index_reduce scatter scatter_add
        scatter_reduce""",
    searching: """isin unique unique_consecutive""",
    signals: "istft stft",
    selecting: """argwhere gather masked_fill masked_scatter masked_select nonzero_static put take
        take_along_dim""",
    arranging: """diag diag_embed diagflat flip fliplr flipud repeat_interleave roll rot90 tile
        trace tril triu""",
    joining: """chunk dsplit hsplit index_select narrow select split split_with_sizes tensor_split
        unbind vsplit""",
    shaping: """adjoint broadcast_to flatten movedim numel permute ravel reshape squeeze swapaxes t
        transpose unflatten unsqueeze""",
    convert: """clone imag real""",
    spectra: "renorm",
}

# Functions only.
FUNCTIONS: dict[Any, str] = {
    algebra: "cdist chain_matmul einsum tensordot",
    combining: """block_diag cartesian_prod combinations cumulative_trapezoid trapezoid vander""",
    factors: "lu_unpack",
    spectra: "pca_lowrank svd_lowrank",
    convert: "from_dlpack is_tensor typename",
    creation: """as_tensor asarray empty empty_like frombuffer from_numpy full full_like ones
        ones_like scalar_tensor tensor zeros zeros_like""",
    formulas: """arange empty_permuted empty_strided eye linspace logspace meshgrid tril_indices
        triu_indices""",
    draws: "binomial poisson",
    histograms: "histogramdd",
    elementary: "finfo iinfo rsub",
    gamma: "polygamma",
    numeric: "polar view_as_complex view_as_real",
    padding: "constant_pad_nd",
    printing: "get_printoptions printoptions set_printoptions",
    generators: "fork_rng get_rng_state initial_seed manual_seed seed set_rng_state",
    random: "normal rand rand_like randint randint_like randn randn_like randperm",
    reducing: "std_mean var_mean",
    scattering: "segment_reduce",
    searching: "bucketize searchsorted",
    selecting: "unravel_index where",
    joining: "atleast_1d atleast_2d atleast_3d cat column_stack dstack hstack stack vstack",
    shaping: "broadcast_tensors",
    windows: """bartlett_window blackman_window hamming_window hann_window kaiser_window""",
    writing: "fill",
}

# Methods only.
METHODS: dict[Any, str] = {
    autograd: "register_hook register_post_accumulate_grad_hook retain_grad",
    convert: """detach_ data_ptr element_size get_device numpy pin_memory
        storage_offset to tolist type_as""",
    creation: "new_empty new_full new_ones new_tensor new_zeros",
    layouts: """ccol_indices coalesce col_indices crow_indices dense_dim indices is_coalesced
        row_indices sparse_dim sparse_mask to_dense to_sparse to_sparse_coo to_sparse_csc
        to_sparse_csr values _indices _nnz _values""",
    legacy: "new",
    shared: "is_shared share_memory_",
    storage: "storage untyped_storage",
    formulas: "new_empty_strided",
    random: "bernoulli_ cauchy_ exponential_ geometric_ log_normal_ normal_ random_ uniform_",
    scattering: "scatter_ scatter_add_ scatter_reduce_",
    selecting: "index_put_",
    arranging: "repeat",
    regions: "unfold",
    shaping: "dim expand expand_as reshape_as size sum_to_size view view_as",
    strides: "contiguous is_contiguous stride",
    writing: """copy_ fill_ fill_diagonal_ resize_ resize_as_ squeeze_ swapaxes_ t_ transpose_
        unsqueeze_ zero_ as_strided_""",
}

# They take no argument worth explaining, or are types.
_BARE = frozenset(("dim", "finfo", "iinfo", "numel", "numpy", "size", "tolist"))


# They take lists of numbers, however long, and give plain tensors, as in PyTorch.
_OF_NUMBERS = frozenset(
    _words("as_tensor asarray frombuffer from_numpy is_tensor scalar_tensor tensor typename")
)
# Their functions look at values, draw random numbers or give no tensors: calls have no plan.
_UNPLANNED = (
    *(autograd, creation, formulas, generators, histograms, layouts, printing, random, windows),
)


def _unwrapped(function: Any) -> Any:
    return function


# Functions with ``out=`` in PyTorch, beside those of ops and those that have it themselves.
_WITH_OUT = frozenset(
    _words("""
    addbmm addcdiv addcmul addmm addmv addr amax amin aminmax arange baddbmm bmm bucketize cholesky
    cholesky_inverse cholesky_solve column_stack conj_physical cross cummax cummin cumprod deg2rad
    diag dot dstack empty empty_like empty_permuted empty_strided eye float_power frac frexp full
    gather geqrf heaviside histc histogram histogramdd hstack hypot index_select inner inverse
    isneginf isposinf kron kthvalue lcm ldexp linspace logaddexp logaddexp2 logcumsumexp logit
    logspace logsumexp lu_solve lu_unpack masked_select matrix_power mm mode multinomial mv mvlgamma
    nan_to_num nanmean nanquantile nonzero normal ones ones_like ormqr outer polar
    polygamma quantile rand rand_like randint randn randn_like randperm renorm round searchsorted
    sgn sinc sort std_mean svd take_along_dim topk triangular_solve tril triu var_mean vdot
    vstack where zeros zeros_like
""")
)


# Those whose ``out=`` shares no memory with an operand.
_APART = frozenset(("gather", "index_select", "kthvalue", "masked_select"))


def _names(table: dict[Any, str], taking: Set[str] = frozenset()) -> Iterable[tuple[str, Any]]:
    """The functions of a table; those in `taking` get ``out=``."""
    for module, names in table.items():
        for name in _words(names):
            function = getattr(module, name)
            function = with_out(function) if name in taking else function
            yield name, _entered(module, name)(function)


def _entered(module: Any, name: str) -> Callable[[Any], Any]:
    """What the calls of a function of a table go through."""
    if name in _BARE:
        return _unwrapped
    if name in _OF_NUMBERS:
        return open_to_modes
    return open_to_all if module in _UNPLANNED else planned


# -- functions of ops ------------------------------------------------------------------------------


class _Shown:
    """What `inspect.signature` sees of an op's function: PyTorch's names, and `out=`.

    It is looked up as what the function wraps, so that it is made only when somebody asks.
    """

    def __init__(self, op: Op) -> None:
        self.op = op

    @property
    def __signature__(self) -> inspect.Signature:
        names = {"x": "input", "start": "input", "y": "other"}
        bare = inspect.Parameter.empty
        taken = [
            p.replace(name=names.get(p.name, p.name), annotation=bare)
            for p in inspect.signature(self.op).parameters.values()
        ]
        out = inspect.Parameter("out", inspect.Parameter.KEYWORD_ONLY, default=None)
        return inspect.Signature([*taken, out])


class _ShownWithOut:
    """What `inspect.signature` sees of a function that was given `out=`."""

    def __init__(self, function: Any) -> None:
        self.function = function

    @property
    def __signature__(self) -> inspect.Signature:
        shown = inspect.signature(self.function)
        taken = list(shown.parameters.values())
        out = inspect.Parameter("out", inspect.Parameter.KEYWORD_ONLY, default=None)
        rest = taken[-1:] if taken[-1].kind is inspect.Parameter.VAR_KEYWORD else []
        return shown.replace(parameters=[*taken[: len(taken) - len(rest)], out, *rest])


def function_of(op: Op) -> Any:
    """An op as a plain function, with PyTorch's argument names and `out=`."""
    call = of_tensors(op)

    def function(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            args, kwargs, out = _renamed(args, kwargs)
            if out is not None:
                return written(out, call(*args, **kwargs))
        return call(*args, **kwargs)

    return _planned_for(op, function)


def _planned_for(op: Op, function: Any) -> Any:
    register_call(function, lambda local: UserCall(op, op.name, local["args"], local["kwargs"]))
    function.__wrapped__ = _Shown(op)
    return planned(named(function, op.name, op.__doc__))


def _renamed(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any], Any]:
    out = kwargs.pop("out", None)
    given = list(args)
    for name in ("input", "other", "exponent", "tensor2"):
        if name in kwargs and len(given) == (0 if name == "input" else 1):
            given.append(kwargs.pop(name))
    return tuple(given), kwargs, out


def method_of(op: Op) -> Any:
    """An op as a method."""
    call = of_tensors(op)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs:
            args, kwargs, out = _renamed((self, *args), kwargs)
            found = call(*args, **kwargs)
            return found if out is None else written(out, found)
        return call(self, *args)

    return _planned_for(op, method)


def inplace_of(name: str, function: Any) -> Any:
    """The in-place twin of an op or function."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return apply_inplace(function, self, *args, **kwargs)

    method.__wrapped__ = function  # type: ignore[attr-defined]  # what signatures follow
    return planned(
        named(method, f"{name}_", _INPLACE.format(name, inspect.cleandoc(function.__doc__)))
    )


_INPLACE = """`{}` in place: the result overwrites this tensor, which is returned.

Raises RuntimeError for a leaf that requires grad, DTypeError where the dtype can't hold the result.

{}"""


def copy_of(name: str, function: Any) -> Any:
    """The twin of a function of views whose results have memory of their own."""

    def copied(*args: Any, **kwargs: Any) -> Any:
        found = function(*args, **kwargs)
        if isinstance(found, tuple):
            return tuple(ops.contiguous(part) for part in found)
        return ops.contiguous(found)

    copied.__wrapped__ = function  # type: ignore[attr-defined]
    return planned(
        named(copied, f"{name}_copy", _COPY.format(name, inspect.cleandoc(function.__doc__)))
    )


_COPY = """`{}` with memory of its own: a copy where that gives a view.

{}"""


def alias_of(function: Any, name: str) -> Any:
    """A function under another name, which its errors use, and overrides."""

    @functools.wraps(function)
    def alias(*args: Any, **kwargs: Any) -> Any:
        if crossroads.pushed:
            return crossroads.called(alias, function, args, kwargs)
        return function(*args, **kwargs)

    opened = planned if getattr(function, "is_planned", False) else open_to_all
    found = opened(named(alias, name, function.__doc__))
    module, _, short = name.rpartition(".")
    published(f"argand.{module}" if module else "argand", {short: found})
    return found


def with_out(function: Any) -> Any:
    """A function with ``out=``: a tensor, or a tensor for each result, to write into."""

    @functools.wraps(function)
    def call(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        if out is not None and function.__name__ in _APART:
            check_apart(function.__name__, out, (*args, *kwargs.values()))
        found = function(*args, **kwargs)
        return found if out is None else written(out, found)

    call.__wrapped__ = _ShownWithOut(function)  # type: ignore[assignment]  # for signatures
    register_call(call, _call_with_out)
    return call


def _call_with_out(local: Mapping[str, Any]) -> UserCall:
    function = local["function"]
    return UserCall(function, function.__qualname__, local["args"], local["kwargs"])


# -- building --------------------------------------------------------------------------------------


def _functions() -> dict[str, Callable[..., Any]]:
    found: dict[str, Callable[..., Any]] = {name: function_of(registry.get(name)) for name in OPS}
    found |= dict(_names(BOTH, _WITH_OUT))
    found |= dict(_names(FUNCTIONS, _WITH_OUT))
    found |= {
        "broadcast_shapes": open_to_all(shaping.broadcast_shapes),
        "complex": open_to_all(with_out(formulas.complex_of)),
        "alias_copy": planned(strides.alias_copy),
        "detach": open_to_all(Tensor.detach),
        "numel": open_to_all(shaping.numel),
        "detach_copy": planned(strides.detach_copy),
        "diagonal": planned(regions.diagonal_of),
    }
    views = found | {"expand": shaping.expand, "unfold": regions.unfold, "view": shaping.view}
    found |= {f"{name}_copy": copy_of(name, views[name]) for name in COPIES}
    found |= {name: alias_of(found[target], name) for name, target in ALIASES.items()}
    found |= {f"{name}_": inplace_of(name, found[name]) for name in INPLACE_FUNCTIONS}
    return found | {name: planned(getattr(writing, name)) for name in ("fill_", "zero_")}


def _methods() -> dict[str, Any]:
    found: dict[str, Any] = {name: method_of(registry.get(name)) for name in OPS}
    found |= dict(_names(BOTH))
    found |= dict(_names(METHODS))
    found |= dict.fromkeys(_NEVER, property(methods.never))
    found |= {
        "diagonal": planned(regions.diagonal_of),
        "narrow_copy": functions["narrow_copy"],
        "where": open_to_all(selecting.where_method),
        "type": open_to_all(convert.type_),
        "cpu": open_to_all(convert.to_cpu),
        "cuda": open_to_all(convert.to_cuda),
        "xpu": open_to_all(convert.to_xpu),
        "device": property(convert.device_of),
        "nbytes": property(convert.nbytes),
        "itemsize": property(convert.itemsize),
        "is_pinned": methods.is_pinned,
        "is_set_to": methods.is_set_to,
        "_base": property(methods.base),
        "_is_view": methods.is_view,
        "dim_order": open_to_all(setting.dim_order),
        "set_": open_to_all(setting.set_),
        "retains_grad": property(methods.retains_grad),
        "is_cpu": property(methods.is_cpu),
        "is_meta": property(methods.is_meta),
        "layout": property(layouts.layout),
        "real": property(convert.real),
        "imag": property(convert.imag),
        "T": property(planned(shaping.reversed_dims)),
        "mT": property(planned(shaping.matrix_transpose)),
        "mH": property(shaping.adjoint),
        "H": property(shaping.conjugate_transpose),
        "backward": open_to_all(methods.backward),
        "apply_": methods.apply_each,
        "map_": open_to_all(methods.map_each),
        "map2_": open_to_all(methods.map2_each),
        "to_device": open_to_all(methods.to_device),
        "polygamma": planned(gamma.polygamma_method),
    }
    for name, target in (ALIASES | METHOD_ALIASES).items():
        if target in found:
            found[name] = alias_of(found[target], name)
    for dtype in ALL:
        if dtype.name in _CASTS:
            found[_CASTS[dtype.name]] = open_to_all(convert.caster(dtype, _CASTS[dtype.name]))
    for name in INPLACE:
        found[f"{name}_"] = inplace_of(name, found[name])
    found["__pos__"] = found["positive"]
    return found | inplace_operators() | operators() | _special()


_NEVER = [
    "is_cuda",
    "is_hpu",
    "is_ipu",
    "is_maia",
    "is_mkldnn",
    "is_mps",
    "is_mtia",
    "is_nested",
    "is_quantized",
    "is_sparse",
    "is_sparse_csr",
    "is_vulkan",
    "is_xla",
    "is_xpu",
]

_CASTS = {
    "float32": "float",
    "float64": "double",
    "float16": "half",
    "bfloat16": "bfloat16",
    "int64": "long",
    "int32": "int",
    "int16": "short",
    "int8": "char",
    "uint8": "byte",
    "bool": "bool",
    "complex64": "cfloat",
    "complex128": "cdouble",
}


def _special() -> dict[str, Any]:
    return {
        "__getitem__": planned(indexing.getitem),
        "__setitem__": planned(indexing.setitem),
        "__iter__": convert.iterate,
        "__contains__": convert.contains,
        "__new__": staticmethod(legacy.construct),
        "__repr__": printing.show,
        "__format__": printing.formatted,
        "__array__": convert.array_protocol,
        "__array_ufunc__": convert.array_ufunc,
        "__array_namespace__": methods.array_namespace,
        "__dlpack__": convert.dlpack,
        "__dlpack_device__": convert.dlpack_device,
        "__deepcopy__": convert.deepcopy,
        "__reduce__": convert.reduced,
        "__getattr__": methods.missing,
    }


def install() -> None:
    """Give Tensor its methods, and then its subclasses theirs; overrides know all by their names
    here."""
    methods = _methods()
    for name, value in (*functions.items(), *methods.items()):
        if isinstance(value, FunctionType) and value.__name__ not in (*functions, *methods):
            value.__name__ = name
    for name, value in methods.items():
        setattr(Tensor, name, value)
    published("argand", methods, owner="Tensor.")
    published("argand", functions)
    subclass.install()


functions = _functions()
install()
