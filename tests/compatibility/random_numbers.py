"""Random numbers: what PyTorch draws after `manual_seed`, which Argand's Mersenne Twister draws.

    python tests/compatibility/random_numbers.py --write          # random_numbers.json

It needs an interpreter with torch 2.13 (CPU, AVX2). `tests/tensor/test_random_numbers.py` compares.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from page import command

NUMBERS = Path(__file__).with_name("random_numbers.json")
FLOATS = ("float32", "float64", "float16", "bfloat16")
WHOLE = ("int64", "int32", "int16", "int8", "uint8", "bool")
SIZES = (0, 1, 5, 15, 16, 17, 31, 33, 1000)

Case = Callable[[Any], Any]


def described(m: Any, t: Any) -> str:
    """The dtype, the shape, the first numbers and a digest of all bits of a tensor."""
    t = t.detach().contiguous()
    bits = t.view(m.int16) if t.dtype is m.bfloat16 else t
    digest = hashlib.sha256(bits.numpy().tobytes()).hexdigest()[:16]
    dtype = str(t.dtype).split(".")[-1]
    first = t.reshape(-1)[:2].tolist()
    return f"{dtype} {tuple(t.shape)} {first} {digest}"


def drawn(m: Any, case: Case, seed: int = 0) -> list[str]:
    """The tensors that a case gives after a seed, and what is drawn next."""
    m.manual_seed(seed)
    found = case(m)
    found = found if isinstance(found, list) else [found]
    return [*(described(m, t) for t in found), described(m, m.rand(1))]


IN_PLACE: dict[str, tuple[Any, ...]] = {
    "normal_": (0.3, 0.7),
    "uniform_": (-0.3, 0.71),
    "exponential_": (0.7,),
    "cauchy_": (0.3, 0.7),
    "log_normal_": (0.3, 0.7),
    "geometric_": (0.3,),
    "bernoulli_": (0.3,),
    "random_": (3, 90),
}


def ramp(m: Any, *shape: int, dtype: str = "float32") -> Any:
    """Quarters from -1.5 to 1.5, again and again."""
    count = 1
    for size in shape:
        count *= size
    return ((m.arange(count) % 13 - 6).to(m.float64) / 4).reshape(shape).to(getattr(m, dtype))


def _sized(dtype: str, n: int) -> dict[str, Case]:
    def filled(name: str, given: tuple[Any, ...]) -> Case:
        return lambda m: getattr(m.empty(n, dtype=getattr(m, dtype)), name)(*given)

    found = {f"{name}{given}": filled(name, given) for name, given in IN_PLACE.items()}
    found |= {
        "rand": lambda m: m.rand(n, dtype=getattr(m, dtype)),
        "randn": lambda m: m.randn(n, dtype=getattr(m, dtype)),
        "random_()": lambda m: m.empty(n, dtype=getattr(m, dtype)).random_(),
        "dropout": lambda m: m.nn.functional.dropout(ramp(m, n, dtype=dtype), 0.3),
        "alpha_dropout": lambda m: m.nn.functional.alpha_dropout(
            ramp(m, n, dtype=dtype), 0.3, True
        ),
    }
    if dtype != "float16":
        found["rrelu"] = lambda m: m.nn.functional.rrelu(ramp(m, n, dtype=dtype), training=True)
    return {f"{name}, {dtype}, {n}": case for name, case in found.items()}


def _numbers(n: int) -> dict[str, Case]:
    found: dict[str, Case] = {
        "randperm": lambda m: m.randperm(n),
        "randint": lambda m: m.randint(0, 100, (n,)),
        "randint of 2 words": lambda m: m.randint(-(2**40), 2**40, (n,)),
        "rand, complex64": lambda m: m.view_as_real(m.rand(n, dtype=m.complex64)),
        "randn, complex128": lambda m: m.view_as_real(m.randn(n, dtype=m.complex128)),
        "normal_ transposed": lambda m: m.zeros(n, 3).t().normal_(),
        "normal_ strided": lambda m: m.zeros(n, 6)[:, ::2].normal_(),
        "uniform_ permuted": lambda m: m.zeros(n, 3, 2).permute(1, 2, 0).uniform_(),
        "randn_like permuted": lambda m: m.randn_like(m.zeros(n, 3, 2).permute(1, 2, 0)),
        "dropout permuted": lambda m: m.nn.functional.dropout(m.ones(n, 3, 2).permute(1, 2, 0)),
        "bernoulli transposed": lambda m: m.bernoulli(m.full((n, 3), 0.4).t()),
        "bernoulli_ of a tensor": lambda m: m.zeros(3, n).t().bernoulli_(m.full((n, 3), 0.4)),
        "normal of tensors": lambda m: m.normal(m.ones(n), m.full((n,), 0.3)),
        "normal of a mean": lambda m: m.normal(m.ones(n), 0.3),
        "normal of a deviation": lambda m: m.normal(0.3, m.ones(n)),
    }
    return {f"{name}, {n}": case for name, case in found.items()}


def _weights(m: Any, dtype: str) -> Any:
    return ((m.arange(1, 60) % 7).to(m.float64) + 0.5).to(getattr(m, dtype))


def _choices(dtype: str) -> dict[str, Case]:
    def both(m: Any) -> Any:
        return m.stack([_weights(m, dtype), _weights(m, dtype) + 1])

    found: dict[str, Case] = {
        "multinomial": lambda m: m.multinomial(_weights(m, dtype), 5),
        "multinomial of one": lambda m: m.multinomial(_weights(m, dtype), 1, True),
        "multinomial again": lambda m: m.multinomial(_weights(m, dtype), 300, True),
        "multinomial of rows": lambda m: m.multinomial(both(m), 3),
        "multinomial of rows again": lambda m: m.multinomial(both(m), 30, True),
    }
    return {f"{name}, {dtype}": case for name, case in found.items()}


def _state(m: Any) -> Any:
    m.randn(5)
    m.rand(7)
    return m.get_rng_state()


def _generator(m: Any) -> list[Any]:
    g = m.Generator().manual_seed(7)
    found = [m.rand(3, generator=g), m.randperm(5, generator=g), m.randn(3, generator=g)]
    return [*found, g.get_state(), m.randn(20, generator=g)]


def _forked(m: Any) -> list[Any]:
    with m.random.fork_rng():
        inside = m.rand(3)
    return [inside, m.rand(3)]


OTHERS: dict[str, Case] = {
    "state": _state,
    "state of a seed": lambda m: m.get_rng_state(),
    "state after a run": lambda m: [m.rand(624), m.get_rng_state()],
    "generator": _generator,
    "fork_rng": _forked,
    "initial seed": lambda m: m.tensor(m.initial_seed()),
    "pairs": lambda m: [m.randn(3), m.randn(3), m.rand(1), m.randn(20), m.randn(1)],
    "long": lambda m: [m.randn(100_003), m.rand(60_000), m.rand(3)],
    "random_ of a range": lambda m: m.empty(50, dtype=m.int64).random_(-(2**40), 2**40),
    "randint_like": lambda m: m.randint_like(m.zeros(3, 4), 3, 9),
    "normal of a size": lambda m: m.normal(0.2, 0.3, (20,)),
    "poisson": lambda m: m.poisson(m.tensor([0.0, 0.5, 3.0, 9.9, 10.0, 60.0, 500.0] * 9)),
    "binomial": lambda m: m.binomial(
        m.tensor([10.0, 10.0, 100.0, 1000.0, 0.0] * 9), m.tensor([0.2, 0.9, 0.5, 0.7, 0.5] * 9)
    ),
    "dropout2d": lambda m: m.nn.functional.dropout2d(m.ones(3, 4, 5, 5)),
    "dropout3d": lambda m: m.nn.functional.dropout3d(m.ones(3, 4, 2, 2, 2)),
    "feature_alpha_dropout": lambda m: m.nn.functional.feature_alpha_dropout(
        ramp(m, 3, 4, 5), 0.3, True
    ),
    "channels_last": lambda m: m.nn.functional.dropout(
        ramp(m, 2, 3, 4, 5).to(memory_format=m.channels_last)
    ),
}
SEEDS = 1, -1, 2**32, 2**40 + 3, 2**63 + 7
LAYERS: dict[str, Case] = {
    "Linear": lambda m: m.nn.Linear(5, 7),
    "Linear, float64": lambda m: m.nn.Linear(5, 7, dtype=m.float64),
    "Linear, bfloat16": lambda m: m.nn.Linear(5, 7, dtype=m.bfloat16),
    "Bilinear": lambda m: m.nn.Bilinear(3, 4, 5),
    "Conv1d": lambda m: m.nn.Conv1d(4, 6, 3, groups=2),
    "Conv2d": lambda m: m.nn.Conv2d(3, 8, 3),
    "Conv3d": lambda m: m.nn.Conv3d(2, 3, 2),
    "ConvTranspose1d": lambda m: m.nn.ConvTranspose1d(4, 6, 3, groups=2),
    "ConvTranspose2d": lambda m: m.nn.ConvTranspose2d(3, 8, 3),
    "ConvTranspose3d": lambda m: m.nn.ConvTranspose3d(2, 3, 2),
    "Embedding": lambda m: m.nn.Embedding(10, 6, padding_idx=2),
    "EmbeddingBag": lambda m: m.nn.EmbeddingBag(10, 3),
    "RNN": lambda m: m.nn.RNN(3, 5, 2, bidirectional=True),
    "LSTM": lambda m: m.nn.LSTM(3, 5, 2, bidirectional=True),
    "LSTM, projected": lambda m: m.nn.LSTM(3, 5, 2, proj_size=2),
    "GRU": lambda m: m.nn.GRU(3, 5, 2),
    "RNNCell": lambda m: m.nn.RNNCell(3, 5),
    "LSTMCell": lambda m: m.nn.LSTMCell(3, 5),
    "GRUCell": lambda m: m.nn.GRUCell(3, 5),
    "MultiheadAttention": lambda m: m.nn.MultiheadAttention(8, 2),
    "MultiheadAttention, apart": lambda m: m.nn.MultiheadAttention(
        8, 2, kdim=3, vdim=5, add_bias_kv=True
    ),
    "TransformerEncoderLayer": lambda m: m.nn.TransformerEncoderLayer(8, 2, 16),
    "TransformerDecoderLayer": lambda m: m.nn.TransformerDecoderLayer(8, 2, 16),
    "Transformer": lambda m: m.nn.Transformer(8, 2, 2, 2, 16),
    "AdaptiveLogSoftmaxWithLoss": lambda m: m.nn.AdaptiveLogSoftmaxWithLoss(6, 20, [4, 10]),
    "LazyLinear": lambda m: _called(m.nn.LazyLinear(7), m.ones(2, 5)),
    "LazyConv2d": lambda m: _called(m.nn.LazyConv2d(4, 3), m.ones(1, 2, 6, 6)),
    "Sequential": lambda m: m.nn.Sequential(
        m.nn.Conv2d(1, 32, 3), m.nn.Conv2d(32, 64, 3), m.nn.Linear(9216, 128), m.nn.Linear(128, 10)
    ),
}


def _called(layer: Any, x: Any) -> Any:
    layer(x)
    return layer


def _of_layer(make: Case) -> Case:
    return lambda m: [t for _, t in sorted(make(m).state_dict().items())]


INIT: dict[str, Callable[[Any, Any], Any]] = {
    "uniform_": lambda m, t: m.nn.init.uniform_(t, -1, 3),
    "normal_": lambda m, t: m.nn.init.normal_(t, 1, 3),
    "trunc_normal_": lambda m, t: m.nn.init.trunc_normal_(t, 0.5, 2.0, -3.0, 1.0),
    "xavier_uniform_": lambda m, t: m.nn.init.xavier_uniform_(t, 1.3),
    "xavier_normal_": lambda m, t: m.nn.init.xavier_normal_(t, 1.3),
    "kaiming_uniform_": lambda m, t: m.nn.init.kaiming_uniform_(t, nonlinearity="relu"),
    "kaiming_normal_": lambda m, t: m.nn.init.kaiming_normal_(t, mode="fan_out"),
    "sparse_": lambda m, t: m.nn.init.sparse_(t, 0.3),
}


def _loaded(m: Any, **options: Any) -> list[Any]:
    """Two epochs of a loader."""
    samples = m.utils.data.TensorDataset(m.arange(20))
    loader = m.utils.data.DataLoader(samples, 3, **options)
    return [m.cat([batch for (batch,) in loader]) for _ in range(2)]


def _sampled(name: str, *given: Any) -> Case:
    def case(m: Any) -> list[Any]:
        sampler = getattr(m.utils.data, name)(*given)
        return _loaded(m, sampler=sampler)

    return case


def _own(m: Any) -> list[Any]:
    g = m.Generator().manual_seed(3)
    sampler = m.utils.data.RandomSampler(range(20), generator=g)
    return [*_loaded(m, shuffle=True, generator=g), m.tensor(list(sampler)), m.rand(2, generator=g)]


ORDERS: dict[str, Case] = {
    "DataLoader": _loaded,
    "DataLoader, shuffled": lambda m: _loaded(m, shuffle=True),
    "DataLoader, shuffled by a generator": _own,
    "RandomSampler": _sampled("RandomSampler", range(20), False, 70),
    "RandomSampler, again": _sampled("RandomSampler", range(20), True, 70),
    "SubsetRandomSampler": _sampled("SubsetRandomSampler", [1, 5, 3, 2, 9]),
    "WeightedRandomSampler": _sampled("WeightedRandomSampler", [0.1, 0.5, 0.2, 0.9], 30),
    "WeightedRandomSampler, once": _sampled("WeightedRandomSampler", [0.1, 0.5, 0.2], 3, False),
    "random_split": lambda m: [
        m.tensor(list(part.indices)) for part in m.utils.data.random_split(range(20), [12, 8])
    ],
}


def _steps(m: Any) -> Any:
    return ramp(m, 3, 4, 8)


def _trained(make: Case, *given: Case) -> Case:
    def case(m: Any) -> Any:
        layer = make(m)
        m.manual_seed(1)
        found = layer(*(g(m) for g in given))
        return found[0] if isinstance(found, tuple) else found

    return case


_WIDTHS = {"dropout": 0.3, "batch_first": True}
DROPPED: dict[str, Case] = {
    "TransformerEncoder": _trained(
        lambda m: m.nn.TransformerEncoder(m.nn.TransformerEncoderLayer(8, 2, 16, 0.3), 2), _steps
    ),
    "TransformerEncoderLayer": _trained(
        lambda m: m.nn.TransformerEncoderLayer(8, 2, 16, **_WIDTHS), _steps
    ),
    "Transformer": _trained(lambda m: m.nn.Transformer(8, 2, 2, 2, 16, 0.3), _steps, _steps),
    "Transformer, batch first": _trained(
        lambda m: m.nn.Transformer(8, 2, 2, 2, 16, **_WIDTHS), _steps, _steps
    ),
    "MultiheadAttention": _trained(
        lambda m: m.nn.MultiheadAttention(8, 2, 0.3), _steps, _steps, _steps
    ),
    "scaled_dot_product_attention": lambda m: m.nn.functional.scaled_dot_product_attention(
        _steps(m), _steps(m), _steps(m), dropout_p=0.3
    ),
    "LSTM": _trained(lambda m: m.nn.LSTM(8, 5, 3, dropout=0.3), _steps),
    "LSTM, batch first": _trained(
        lambda m: m.nn.LSTM(8, 5, 3, bidirectional=True, **_WIDTHS), _steps
    ),
    "GRU": _trained(lambda m: m.nn.GRU(8, 5, 3, dropout=0.3), _steps),
    "RNN": _trained(lambda m: m.nn.RNN(8, 5, 3, dropout=0.3), _steps),
    "gumbel_softmax": lambda m: m.nn.functional.gumbel_softmax(ramp(m, 20)),
    "orthogonal_": lambda m: m.nn.init.orthogonal_(m.empty(6, 5)),
    "spectral_norm": lambda m: m.nn.utils.spectral_norm(m.nn.Linear(3, 4))(m.ones(3)),
    "parametrizations.spectral_norm": lambda m: m.nn.utils.parametrizations.spectral_norm(
        m.nn.Linear(3, 4)
    )(m.ones(3)),
}
"""What is computed of random numbers, so that the last bits differ."""


def dropped(m: Any, case: Case) -> list[float]:
    """The first numbers of what a case gives after a seed, and the sum of all, and what is next."""
    m.manual_seed(0)
    found = case(m).detach().to(m.float64).reshape(-1)
    return [*found[:6].tolist(), found.sum().item(), m.rand(1).item()]


def _distribution(name: str, *parameters: list[float]) -> Case:
    def case(m: Any) -> Any:
        return getattr(m.distributions, name)(*map(m.tensor, parameters)).sample((5,))

    return case


_A, _B, _P = [0.5, 1.5, 3.0], [2.0, 0.7, 1.0], [0.2, 0.5, 0.9]
SAMPLED: dict[str, Case] = {
    f"distributions.{name}": _distribution(name, *parameters)
    for name, parameters in {
        "Bernoulli": [_P],
        "Beta": [_A, _B],
        "Chi2": [_A],
        "Dirichlet": [_A],
        "Gamma": [_A, _B],
        "NegativeBinomial": [_B, [0.1, 0.3, 0.5]],
        "StudentT": [[1.5, 3.0, 9.0]],
        "Categorical": [_P],
        "Cauchy": [_A, _B],
        "Exponential": [_A],
        "Geometric": [_P],
        "Gumbel": [_A, _B],
        "HalfCauchy": [_A],
        "Laplace": [_A, _B],
        "LogNormal": [_A, _B],
        "Normal": [_A, _B],
        "OneHotCategorical": [_P],
        "Pareto": [_A, _B],
        "RelaxedBernoulli": [_B, _P],
        "Weibull": [_A, _B],
    }.items()
}


def _initial(name: str, dtype: str, shape: tuple[int, int]) -> Case:
    return lambda m: INIT[name](m, m.empty(*shape, dtype=getattr(m, dtype)))


COMPUTED = DROPPED | SAMPLED


def cases() -> dict[str, Case]:
    """What draws, by names."""
    found: dict[str, Case] = {}
    for n in SIZES:
        for dtype in FLOATS:
            found |= _sized(dtype, n)
        found |= _numbers(n)
    for dtype in FLOATS:
        found |= _choices(dtype)
    for dtype in WHOLE:
        found[f"random_(), {dtype}"] = _whole(dtype, "random_")
        found[f"bernoulli_(), {dtype}"] = _whole(dtype, "bernoulli_")
    found |= {f"seed {seed}": _seeded(seed) for seed in SEEDS}
    found |= ORDERS | OTHERS | {name: _of_layer(make) for name, make in LAYERS.items()}
    for name in INIT:
        for dtype in ("float32", "float64", "bfloat16"):
            for shape in ((6, 5), (40, 30)):
                found[f"init.{name} {dtype} {shape}"] = _initial(name, dtype, shape)
    return found


def _seeded(seed: int) -> Case:
    return lambda m: m.manual_seed(seed) and m.randn(17)


def _whole(dtype: str, name: str) -> Case:
    return lambda m: getattr(m.empty(50, dtype=getattr(m, dtype)), name)()


def numbers(m: Any) -> dict[str, Any]:
    """What all cases give."""
    found: dict[str, Any] = {name: drawn(m, case) for name, case in cases().items()}
    return found | {"computed": {name: dropped(m, case) for name, case in COMPUTED.items()}}


def made() -> str:
    """The file with PyTorch's numbers."""
    import torch  # only this command needs it

    return json.dumps(numbers(torch), indent=0) + "\n"


if __name__ == "__main__":
    sys.exit(command(__doc__, made, NUMBERS.read_text, NUMBERS.write_text))
