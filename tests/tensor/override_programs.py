"""Programs of PyTorch's page "Extending PyTorch", and others in their style, for any library.

Each takes the module `torch`, and gives what it printed or computed as plain Python.
"""

from __future__ import annotations

import functools
from typing import Any

Result = list[Any]


def scalar_tensor(torch: Any) -> Result:
    """A diagonal matrix that is no tensor, with functions of its own for some of the library's."""
    handled: dict[Any, Any] = {}

    def implements(function: Any) -> Any:
        def decorator(func: Any) -> Any:
            functools.update_wrapper(func, function)
            handled[function] = func
            return func

        return decorator

    class ScalarTensor:
        def __init__(self, n: int, value: float) -> None:
            self._n = n
            self._value = value

        def __repr__(self) -> str:
            return f"ScalarTensor(N={self._n}, value={self._value})"

        def tensor(self) -> Any:
            return self._value * torch.eye(self._n)

        @classmethod
        def __torch_function__(
            cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if kwargs is None:
                kwargs = {}
            if func not in handled or not all(
                issubclass(t, torch.Tensor | ScalarTensor) for t in types
            ):
                return NotImplemented
            return handled[func](*args, **kwargs)

    @implements(torch.mean)
    def mean(input: Any) -> float:
        return float(input._value) / input._n

    def ensure_tensor(data: Any) -> Any:
        return data.tensor() if isinstance(data, ScalarTensor) else torch.as_tensor(data)

    @implements(torch.add)
    def add(input: Any, other: Any) -> Any:
        if isinstance(input, ScalarTensor) and isinstance(other, ScalarTensor):
            return ScalarTensor(input._n, input._value + other._value)
        return torch.add(ensure_tensor(input), ensure_tensor(other))

    d = ScalarTensor(2, 2)
    found: Result = [repr(d), d.tensor().tolist(), torch.mean(d), repr(torch.add(d, d))]
    found.append(torch.add(d, torch.tensor([[1.0, 1.0], [1.0, 1.0]])).tolist())
    for unknown in (lambda: torch.mul(d, 2), lambda: torch.add(torch.ones(2), d, alpha=2)):
        try:
            unknown()
        except TypeError as error:
            found.append("ScalarTensor" in str(error) or "alpha" in str(error))
    return found


def logging_tensor(torch: Any) -> Result:
    """A subclass that notes each call."""
    log: list[str] = []

    class LoggingTensor(torch.Tensor):  # type: ignore[name-defined, misc]  # given at run time
        @classmethod
        def __torch_function__(
            cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if func is not torch.Tensor.__repr__:
                log.append(f"{func.__name__} {[type(a).__name__ for a in args]} {args!r}"[:30])
            if kwargs is None:
                kwargs = {}
            return super().__torch_function__(func, types, args, kwargs)

    x = LoggingTensor([1.0, 2.0])
    y = x * 2 + torch.tensor([1.0, 1.0])
    z = torch.cat([y, torch.zeros(1)]).exp().log()
    kinds = [type(v).__name__ for v in (x, y, z, z[0], z.sum(), z.reshape(3, 1), z.max(0).values)]
    return [*kinds, z.shape == (3,), z.tolist(), *log]


def metadata_tensor(torch: Any) -> Result:
    """A wrapper that takes what it was told along."""

    class MetadataTensor:
        def __init__(self, data: Any, metadata: Any = None, **kwargs: Any) -> None:
            self._t = torch.as_tensor(data, **kwargs)
            self._metadata = metadata

        def __repr__(self) -> str:
            return f"Metadata:\n{self._metadata}\n\ndata:\n{self._t}"

        @classmethod
        def __torch_function__(
            cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if kwargs is None:
                kwargs = {}
            metadatas = tuple(a._metadata for a in args if hasattr(a, "_metadata"))
            args = [getattr(a, "_t", a) for a in args]
            assert len(metadatas) > 0
            ret = func(*args, **kwargs)
            return MetadataTensor(ret, metadata=metadatas[0])

    metadata = {"owner": "Ministry of Silly Walks"}
    m = MetadataTensor([[1, 2], [3, 4]], metadata=metadata)
    t = torch.tensor([[1, 2], [1, 2]])
    relu = torch.nn.functional.relu(MetadataTensor([-1.0, 1.0], metadata="r"))
    return [repr(torch.add(t, m)), repr(torch.mul(t, m)), repr(t + m), repr(relu)]


def image_with_attributes(torch: Any) -> Result:
    """A subclass in fastai's style: attributes are copied to what operations give."""

    class TensorBase(torch.Tensor):  # type: ignore[name-defined, misc]  # given at run time
        debug = False

        def __new__(cls, x: Any, **kwargs: Any) -> Any:
            res = torch.tensor(x).as_subclass(cls) if isinstance(x, list) else x.as_subclass(cls)
            for k, v in kwargs.items():
                setattr(res, k, v)
            return res

        def set_meta(self, x: Any) -> Any:
            for k, v in getattr(x, "__dict__", {}).items():
                if k not in self.__dict__:
                    setattr(self, k, v)
            return self

        @classmethod
        def __torch_function__(
            cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            ret = super().__torch_function__(func, types, args=args, kwargs=kwargs or {})
            given = next((a for a in args if isinstance(a, cls)), None)
            return ret.set_meta(given) if isinstance(ret, cls) and given is not None else ret

    class TensorImage(TensorBase):
        def flip_lr(self) -> Any:
            return self.flip(-1)

    class TensorMask(TensorBase):
        pass

    image = TensorImage([[1.0, 2.0], [3.0, 4.0]], extent=2, title="lake")
    mask = TensorMask([[True, False], [False, True]])
    bright = (image * 2).clamp(max=6.0)
    found: Result = [type(v).__name__ for v in (image, bright, image[0], image.flip_lr(), mask)]
    found += [bright.title, bright.extent, bright.flip_lr().tolist(), image.flip_lr().title]
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Flatten())
    out = model(image)
    found += [type(out).__name__, out.title, type(model[0].weight * 1).__name__]
    out.sum().backward()
    found += [type(model[0].weight.grad).__name__, type(torch.stack([image, image])).__name__]
    try:
        image * mask
    except TypeError:
        found.append("unrelated")
    leaf = image.detach().requires_grad_()
    (leaf * leaf).sum().backward()
    found += [leaf.grad.tolist(), type(leaf).__name__, leaf.title, leaf.is_leaf]
    return found


def classes_and_priority(torch: Any) -> Result:
    """Which class gets a call, and what declining leads to."""
    calls: list[str] = []

    def make(name: str, base: Any, declines: bool = False) -> Any:
        def function(cls: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            calls.append(f"{name} {func.__name__} {sorted(t.__name__ for t in types)}")
            if declines:
                return NotImplemented
            return super(made, cls).__torch_function__(func, types, args, kwargs)

        made = type(name, (base,), {"__torch_function__": classmethod(function)})
        return made

    a = make("A", torch.Tensor)
    b = make("B", a)
    c = make("C", torch.Tensor)
    shy = make("Shy", a, declines=True)
    x = torch.ones(2)
    found: Result = []
    pairs = [(a, b), (b, a), (a, a), (a, c), (a, shy), (shy, a), (b, shy)]
    for first, second in pairs:
        calls.clear()
        try:
            made = torch.add(x.as_subclass(first), x.as_subclass(second))
            found.append([type(made).__name__, *calls])
        except TypeError:
            found.append(["TypeError", *calls])
        try:
            found.append(type(x.as_subclass(first) + x.as_subclass(second)).__name__)
        except TypeError:
            found.append("TypeError")
    p = torch.nn.Parameter(torch.ones(2))
    found += [type(p * 2).__name__, type(p * x.as_subclass(b)).__name__]
    found += [isinstance(p, torch.Tensor), isinstance(x, b), isinstance(x.as_subclass(b), a)]
    return found


def modes(torch: Any) -> Result:
    """Modes see all calls, inner ones first; what they call goes to the outer ones."""
    log: list[str] = []

    class Named(torch.overrides.TorchFunctionMode):  # type: ignore[name-defined, misc]  # given
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            log.append(f"{self.name} {func.__name__}")
            return func(*args, **(kwargs or {}))

    class Doubling(torch.overrides.TorchFunctionMode):  # type: ignore[name-defined, misc]  # given
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            ret = func(*args, **(kwargs or {}))
            return torch.mul(ret, 2) if func is torch.add else ret

    class Sub(torch.Tensor):  # type: ignore[name-defined, misc]  # given at run time
        pass

    x = torch.ones(2)
    sub = x.as_subclass(Sub)
    for _ in range(4):  # as often as a plan needs
        x + x, torch.add(x, x)
    with Named("outer"):
        torch.zeros(2)
        with Named("inner"):
            y = x + 1
            torch.nn.functional.relu(y)
        z = sub + 1
        with torch._C.DisableTorchFunction():
            x + 1
        with torch._C.DisableTorchFunctionSubclass():
            w = sub + 1
    with Doubling():
        doubled = torch.add(x, x).tolist()
    return [*log, type(z).__name__, type(w).__name__, doubled, torch.add(x, x).tolist()]


PROGRAMS = [
    scalar_tensor,
    logging_tensor,
    metadata_tensor,
    image_with_attributes,
    classes_and_priority,
    modes,
]
