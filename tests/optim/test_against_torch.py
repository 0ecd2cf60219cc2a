"""Optimizers beside PyTorch's: equal steps for drawn hyper-parameters; state dicts both ways."""

import numpy as np
import pytest

import argand as ag
from argand import nn, optim

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

STEPS = 22
RTOL = {"float32": 2e-5, "float64": 1e-11, "complex64": 2e-5, "complex128": 1e-11}
SHAPES = [(3, 4), (5,), (2, 3, 2)]


def pick(rng, *values):
    return values[rng.integers(len(values))]


def betas(rng):
    return (pick(rng, 0.0, 0.5, 0.9), pick(rng, 0.3, 0.95, 0.999))


def shared(rng):
    """What most of them take."""
    return {"lr": pick(rng, 0.001, 0.05, 0.3), "maximize": pick(rng, False, True)}


def decay(rng):
    return {"weight_decay": pick(rng, 0.0, 0.03)}


DRAWS = {
    "SGD": lambda r: {
        **shared(r),
        **decay(r),
        **pick(
            r,
            {"momentum": 0.9, "nesterov": True},
            {"momentum": 0.7, "dampening": 0.4},
            {"momentum": 0.0},
        ),
    },
    "ASGD": lambda r: {
        **shared(r),
        **decay(r),
        "lambd": pick(r, 1e-4, 0.1),
        "alpha": pick(r, 0.75, 0.3),
        "t0": pick(r, 1e6, 0.0, 5.5),
    },
    "Adam": lambda r: {**shared(r), **decay(r), "betas": betas(r), "amsgrad": pick(r, False, True)},
    "AdamW": lambda r: {
        **shared(r),
        **decay(r),
        "betas": betas(r),
        "amsgrad": pick(r, False, True),
    },
    "Adamax": lambda r: {**shared(r), **decay(r), "betas": betas(r), "eps": pick(r, 1e-8, 1e-2)},
    "NAdam": lambda r: {
        **shared(r),
        **decay(r),
        "betas": betas(r),
        "momentum_decay": pick(r, 4e-3, 0.5),
        "decoupled_weight_decay": pick(r, False, True),
    },
    "RAdam": lambda r: {
        **shared(r),
        **decay(r),
        "betas": betas(r),
        "decoupled_weight_decay": pick(r, False, True),
    },
    "RMSprop": lambda r: {
        **shared(r),
        **decay(r),
        "alpha": pick(r, 0.99, 0.5),
        "momentum": pick(r, 0.0, 0.9),
        "centered": pick(r, False, True),
        "eps": 1e-2,  # centered, 1e-8 would divide by what is left of a cancellation
    },
    "Adagrad": lambda r: {
        **shared(r),
        **decay(r),
        "lr_decay": pick(r, 0.0, 0.1),
        "initial_accumulator_value": pick(r, 0.0, 0.5),
    },
    "Adadelta": lambda r: {**shared(r), **decay(r), "rho": pick(r, 0.9, 0.2)},
    "Rprop": lambda r: {
        **shared(r),
        "etas": pick(r, (0.5, 1.2), (0.3, 2.0)),
        "step_sizes": pick(r, (1e-6, 50), (1e-3, 0.1)),
    },
    "Adafactor": lambda r: {
        **shared(r),
        **decay(r),
        "beta2_decay": pick(r, -0.8, -0.3),
        "eps": pick(r, (None, 1e-3), (1e-6, 0.1)),
        "d": pick(r, 1.0, 2.0),
    },
}
REAL_ONLY = {"Adafactor", "Muon", "SparseAdam"}


def drawn(rng, dtype, shapes=SHAPES):
    """Random values for each shape."""
    values = [rng.standard_normal(shape) for shape in shapes]
    if dtype.startswith("complex"):
        values = [v + 1j * rng.standard_normal(v.shape) for v in values]
    return [v.astype(dtype) for v in values]


def both(name, options, dtype, seed):
    """Ours and theirs, over the same parameters in two groups."""
    start = drawn(np.random.default_rng(seed), dtype)
    made = []
    for library, tensor, parameter in (
        (optim, ag.tensor, nn.Parameter),
        (torch.optim, torch.tensor, torch.nn.Parameter),
    ):
        ps = [parameter(tensor(v.copy())) for v in start]
        groups = [{"params": ps[:1]}, {"params": ps[1:], "lr": 0.02}]
        made.append((ps, getattr(library, name)(groups, **options)))
    return made


def advance(sides, rng, dtype, steps):
    """The same gradients for both; some parameters have none at times."""
    for t in range(steps):
        grads = drawn(rng, dtype)
        grads = [None if t % 4 == 1 and i == 2 else g for i, g in enumerate(grads)]
        for (ps, optimizer), tensor in zip(sides, (ag.tensor, torch.tensor), strict=True):
            for p, g in zip(ps, grads, strict=True):
                p.grad = None if g is None else tensor(g)
            optimizer.step()


def arrays(ps):
    return [p.detach().numpy() for p in ps]


def assert_near(got, expected, dtype):
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=RTOL[dtype], atol=RTOL[dtype])


def plain(value):
    """A state dict with arrays for tensors."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(plain(v) for v in value)
    return value.detach().numpy().copy() if hasattr(value, "detach") else value


def as_torch(value):
    """A state dict of arrays as PyTorch's."""
    if isinstance(value, dict):
        return {k: as_torch(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(as_torch(v) for v in value)
    return torch.tensor(value) if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("seed", range(4))
def test_steps(name, seed):
    rng = np.random.default_rng(seed + 100)
    options = DRAWS[name](rng)
    kinds = ("float32", "float64") if name in REAL_ONLY else tuple(RTOL)
    for dtype in kinds:
        sides = both(name, options, dtype, seed)
        advance(sides, np.random.default_rng(seed), dtype, STEPS)
        (mine, ours), (other, theirs) = sides
        assert_near(arrays(mine), arrays(other), dtype)
        got, expected = plain(ours.state_dict()), plain(theirs.state_dict())
        for a, b in zip(got["param_groups"], expected["param_groups"], strict=True):
            assert set(a) == set(b)
            assert {k: a[k] for k in b} == b
        assert list(got["state"]) == list(expected["state"])
        for number, state in expected["state"].items():
            assert set(got["state"][number]) == {k for k, v in state.items() if v is not None}
            for key, value in got["state"][number].items():
                assert_near([value], [state[key]], dtype)


@pytest.mark.parametrize("name", DRAWS)
def test_checkpoints_go_on_in_the_other_library(name):
    rng = np.random.default_rng(7)
    dtype = "float64" if name in REAL_ONLY else pick(rng, "float64", "complex128")
    options = DRAWS[name](rng)
    sides = both(name, options, dtype, 1)
    advance(sides, rng, dtype, 9)
    (mine, ours), (other, theirs) = sides
    crossed = both(name, {"lr": 1.0}, dtype, 2)  # with other numbers, which are loaded too
    (new, taken), (new_other, given) = crossed
    taken.load_state_dict(plain(theirs.state_dict()))
    given.load_state_dict(as_torch(plain(ours.state_dict())))
    with torch.no_grad(), ag.no_grad():
        for p, q, value in zip(new, new_other, arrays(mine), strict=True):
            p.copy_(ag.tensor(value))
            q.copy_(torch.tensor(value))
    before = rng.bit_generator.state
    advance(sides, rng, dtype, 9)
    rng.bit_generator.state = before
    advance(crossed, rng, dtype, 9)
    for ps in (mine, new, new_other):
        assert_near(arrays(ps), arrays(other), dtype)


def test_muon():
    """The iteration is rounded to bfloat16: some elements differ by one rounding."""
    rng = np.random.default_rng(0)
    for shape, options in (
        ((4, 6), {"lr": 0.01, "nesterov": False}),
        ((7, 3), {"lr": 0.02, "adjust_lr_fn": "match_rms_adamw", "momentum": 0.6}),
    ):
        start = rng.standard_normal(shape).astype(np.float32)
        p, q = nn.Parameter(ag.tensor(start.copy())), torch.nn.Parameter(torch.tensor(start))
        ours, theirs = optim.Muon([p], **options), torch.optim.Muon([q], **options)
        for _ in range(STEPS):
            g = rng.standard_normal(shape).astype(np.float32)
            p.grad, q.grad = ag.tensor(g), torch.tensor(g)
            ours.step()
            theirs.step()
        np.testing.assert_allclose(*arrays([p, q]), rtol=0, atol=options["lr"] * STEPS * 2**-8)
        got, expected = plain(ours.state_dict()), plain(theirs.state_dict())
        assert got["param_groups"] == expected["param_groups"]
        buffers = [s["state"][0]["momentum_buffer"] for s in (got, expected)]
        np.testing.assert_allclose(*buffers, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Sparse")  # PyTorch says what it does not check
def test_sparse_adam():
    rng = np.random.default_rng(3)
    start = rng.standard_normal((6, 3))
    p, q = nn.Parameter(ag.tensor(start.copy())), torch.nn.Parameter(torch.tensor(start))
    options = {"lr": 0.05, "betas": (0.8, 0.95)}
    ours, theirs = optim.SparseAdam([p], **options), torch.optim.SparseAdam([q], **options)
    for _ in range(STEPS):
        rows, g = rng.choice(6, 2, replace=False), rng.standard_normal((2, 3))
        dense = np.zeros_like(start)
        dense[rows] = g
        p.grad = ag.tensor(dense)
        q.grad = torch.sparse_coo_tensor(torch.tensor(rows)[None], torch.tensor(g), (6, 3))
        ours.step()
        theirs.step()
    np.testing.assert_allclose(*arrays([p, q]), rtol=1e-12)
    assert ours.state_dict()["param_groups"] == theirs.state_dict()["param_groups"]


def rosenbrock(x, y):
    return ((1 - x) ** 2).sum() + 10 * ((y - x * x) ** 2).sum()


def minimize(library, tensor, parameter, options, loaded=None, steps=3, of=rosenbrock):
    ps = [parameter(tensor(np.array([-1.2, 0.3]))), parameter(tensor(np.array([1.0, 2.0])))]
    optimizer = library.LBFGS(ps, **options)
    if loaded is not None:
        state, values = loaded
        optimizer.load_state_dict(state)
        for p, value in zip(ps, values, strict=True):
            p.data = tensor(value.copy())
    losses = []

    def closure():
        optimizer.zero_grad()
        loss = of(*ps)
        loss.backward()
        losses.append(loss.item())
        return loss

    first = [optimizer.step(closure).item() for _ in range(steps)]
    return ps, optimizer, first, losses


@pytest.mark.parametrize(
    "options",
    [
        {"line_search_fn": "strong_wolfe"},
        {"line_search_fn": "strong_wolfe", "max_iter": 4, "history_size": 2, "lr": 0.5},
        {"lr": 0.02, "max_iter": 7},
        {"lr": 0.01, "max_iter": 3, "history_size": 1, "max_eval": 2},
        {"line_search_fn": "strong_wolfe", "max_iter": 9, "max_eval": 3, "lr": 30.0},
    ],
)
def test_lbfgs(options):
    mine = minimize(optim, ag.tensor, nn.Parameter, options)
    other = minimize(torch.optim, torch.tensor, torch.nn.Parameter, options)
    for got, expected in zip(mine[2:], other[2:], strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-12)
    assert_near(arrays(mine[0]), arrays(other[0]), "float32")
    got, expected = plain(mine[1].state_dict()), plain(other[1].state_dict())
    assert got["param_groups"] == expected["param_groups"]
    assert set(got["state"][0]) == set(expected["state"][0]) - {"al"}
    on = minimize(optim, ag.tensor, nn.Parameter, options, (expected, arrays(mine[0])), 2)
    back = as_torch(got), arrays(mine[0])
    over = minimize(torch.optim, torch.tensor, torch.nn.Parameter, options, back, 2)
    np.testing.assert_allclose(on[2], over[2], rtol=1e-5, atol=1e-12)


def test_differentiable_updates():
    """The gradient of what a step gave with respect to where it began."""

    def play(library, tensor, name):
        start = tensor(np.array([1.0, -2.0]))
        start.requires_grad_()
        x = start * 1.0
        optimizer = getattr(library, name)([x], lr=0.1, differentiable=True)
        x.grad = start**3
        optimizer.step()
        (x**2).sum().backward()
        return start.grad.numpy()

    for name in ("SGD", "Adam", "RMSprop", "ASGD", "Adadelta"):
        got, expected = play(optim, ag.tensor, name), play(torch.optim, torch.tensor, name)
        np.testing.assert_allclose(got, expected, rtol=1e-6, err_msg=name)
