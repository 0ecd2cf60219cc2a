"""Random functions that change Python state: eagerly and compiled the same results, state, and
identities, over calls with random changes between them."""

from __future__ import annotations

import collections
import random
from collections.abc import Callable
from typing import Any

import pytest

import argand as ag

# Statements of a function of `x`, with a holder `o`, a dictionary `d`, a list `l`, a deque `q` and
# a variable `c` of the enclosing function. `T` is a random tensor, `N` a random number of theirs.
STATEMENTS = (
    "o.h = o.h * 0.5 + T",
    "o.h = T",
    "o.g, o.h = o.h, o.g",
    "o.g = o.h",
    "o.h = x",
    "o.h = o.h + 0.25; o.h.add_(T * 0.5)",
    "o.n += 1",
    "o.n = (o.n + 1) % 3",
    "o.s = o.s * 0.5 + 1",
    "o.flag = not o.flag",
    "o.pair = (T, o.pair[0], o.pair[2] + 1)",
    "o.extra = T",
    "o.__dict__.pop('extra', None)",
    "y = y + getattr(o, 'extra', 0.5)",
    "y = y * getattr(o, f'gain{o.n % 2}')",
    "o.inner.v = o.inner.v + T",
    "o.inner = type(o)(v=T)",
    "d['a'] = d['a'] + T",
    "d[f'k{o.n % 3}'] = T",
    "d.setdefault('z', x * 2); d.pop('z')",
    "d.update(a=T, b=d['a'])",
    "d['a'], d['b'] = d['b'], d['a']",
    "y = y + sum(d.values())",
    "d['a'] = d.pop('a')",
    "l.append(T)",
    "l.insert(0, T)",
    "l[0] = l[-1] + T",
    "l.reverse()",
    "l[1:] = [T, *l[2:4]]",
    "del l[3:]",
    "l.append(l.pop(0))",
    "y = y + l[o.n % len(l)]",
    "y = y * len(l)",
    "q.append(T)",
    "q.rotate(1)",
    "y = y - sum(q) * 0.125",
    "c = c + T",
    "c = o.h * 1",
    "y = y + c",
    "if o.flag: y = y * 2",
    "if o.n % 2 == 0: o.s = o.s + 1",
    "for i in range(2): o.h = o.h * 0.5 + i",
    "try: o.n += 1; d['missing' if o.flag else 'a']\n    except KeyError: o.s = 0.5",
    "with o.level(): y = y + o.depth",
    "y = y * o.s + o.n",
    "b[o.n % 2] = T",
    "b.mul_(0.5)",
    "y = y + b.sum(0)",
)
TENSORS = ("x", "o.h", "c", "y", "d['a']", "l[0]", "(x * 0.5)", "o.pair[0]", "q[0]", "o.inner.v")
CHANGES = (
    "pass",
    "pass",
    "o.h = vector(1, 1, 1)",
    "o.n = 5",
    "o.n = 0",
    "o.s = 3.0",
    "o.flag = True",
    "o.gain0 = 4.0",
    "o.gain1 = 0.25",
    "o.h = o.g",
    "o.h.mul_(0.5)",
    "o.g.add_(1.0)",
    "d['a'] = vector(2, 0, 2)",
    "d.pop('k1', None)",
    "d['new'] = vector(0, 0, 1)",
    "l[:] = [vector(1, 0, 0)]",
    "l.append(o.h)",
    "q.clear(); q.append(vector(1, 2, 1))",
    "c = vector(0, 1, 0)",
    "o.inner = type(o)(v=vector(1, 1, 2))",
    "o.inner.v = o.h",
    "b.zero_()",
)


def vector(*values: float) -> Any:
    return ag.tensor([float(v) for v in values])


class Holder:
    """An object with state, and a context manager that changes it."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    def level(self) -> Holder:
        return self

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *what: object) -> None:
        self.depth -= 1


def make(rng: random.Random) -> tuple[str, list[str]]:
    """The source of a function in its surroundings, and of the changes between its calls."""
    body = rng.sample(STATEMENTS, rng.randint(2, 6))
    body = [s.replace("T", rng.choice(TENSORS)) for s in body]
    result = rng.choice(("y", "(y, o.h)", "[y, c]", "y.sum()", "{'y': y, 'n': o.n}"))
    source = "\n    ".join(("def f(x):", "global c", "y = x * 1", *body, f"return {result}"))
    return source, [rng.choice(CHANGES) for _ in range(4)]


def surroundings() -> dict[str, Any]:
    h, g = vector(0, 1, 0), vector(1, 1, 1)
    o = Holder(h=h, g=g, n=0, s=1.0, flag=False, depth=0, gain0=2.0, gain1=3.0)
    o.pair, o.inner = (vector(1, 2, 3), vector(0, 0, 0), 0), Holder(v=vector(1, 0, 1))
    return {
        "ag": ag,
        "vector": vector,
        "o": o,
        "d": {"a": vector(1, 2, 0), "b": vector(0, 2, 1)},
        "l": [vector(1, 1, 0), vector(0, 1, 1)],
        "q": collections.deque([vector(1, 0, 0)], maxlen=2),
        "b": ag.zeros(2, 3),
        "c": vector(0, 0, 0),
    }


def describe(value: Any, numbers: dict[int, tuple[int, Any]]) -> Any:
    """A value as text can tell it, with a number for each object, the same for the same one."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return round(value, 4)
    number = numbers.setdefault(id(value), (len(numbers), value))[0]
    if isinstance(value, ag.Tensor):
        return number, str(value.dtype), value.requires_grad, rounded(value.tolist())
    if isinstance(value, dict):
        return number, [(k, describe(v, numbers)) for k, v in value.items()]
    if isinstance(value, tuple):
        return tuple(describe(v, numbers) for v in value)
    if isinstance(value, list | collections.deque):
        return number, [describe(v, numbers) for v in value]
    return number, [(k, describe(v, numbers)) for k, v in vars(value).items()]


def rounded(numbers: Any) -> Any:
    return [rounded(n) for n in numbers] if isinstance(numbers, list) else float(f"{numbers:.4g}")


def outcome(source: str, changes: list[str], wrap: Callable[[Any], Any]) -> list[Any]:
    """What the calls give and leave behind, or the exception of the one that fails."""
    space, numbers, found = surroundings(), {}, []
    exec(compile(source, "random_state", "exec"), space)
    f = wrap(space["f"])
    for i, change in enumerate(["pass", *changes]):
        exec(change, space)
        try:
            result = f(vector(1 + i, 2, 0.5))
        except Exception as error:
            found.append(type(error).__name__)
            break
        state = [space[name] for name in "odlqbc"]
        found.append(describe([result, *state], numbers)[1])
    return found


def check(seed: int, backend: str) -> None:
    source, changes = make(random.Random(seed))
    want = outcome(source, changes, lambda f: f)
    got = outcome(source, changes, lambda f: ag.compile(f, backend=backend))
    for i, (a, b) in enumerate(zip(got, want, strict=True)):
        assert a == b, f"seed {seed}, call {i} of\n{source}\nwith {changes}:\n{a}\neagerly\n{b}"


@pytest.mark.parametrize("seed", range(40))
def test_random_state(seed: int) -> None:
    check(seed, "cpu" if seed % 4 == 0 else "reference")


@pytest.mark.slow
@pytest.mark.parametrize("part", range(20))
def test_much_random_state(part: int) -> None:
    for seed in range(1000 + 50 * part, 1050 + 50 * part):
        check(seed, "cpu" if seed % 5 == 0 else "reference")
