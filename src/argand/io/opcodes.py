"""A reader of pickled data that can build nothing but what it is given a list of.

A pickle is a program for a small stack machine. This is such a machine without the instructions
that could import or run anything: a name of a class or function (GLOBAL) is looked up in a fixed
list, then among those that the program has registered, and nowhere else, and only what these have
can be called. Names that are not there are collected, so that the error can give them all; nothing
that they would have made is used.

Its memory is bounded by the size of the file: what copies an argument counts against that size.
"""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from argand.base.errors import ArgandError, FormatError
from argand.io.registered import Registry, is_dangerous, new, set_state
from argand.io.source import Stream
from argand.io.storages import Inside
from argand.tensor.core import Size

_DEEPEST = 1000
_KEYS = frozenset((str, int, float, bool, type(None), bytes))
# What the arguments of a call on the list can lead to.
_WRONG = (ArgandError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
_CONTAINERS: tuple[Any, ...] = (list, tuple, set, frozenset)
_SIZED = (bytearray, bytes, dict, frozenset, list, set, str, tuple)
# As Python 2 named them, and protocol 2 does.
_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_OLD_TYPES = {"builtins.long": "builtins.int", "builtins.unicode": "builtins.str"}


class Builder(NamedTuple):
    """A name on the list that may be called: the function, and how it is called.

    `cost` tells how many bytes a call copies, so that they are counted.
    """

    name: str
    make: Callable[..., Any]
    cost: Callable[..., int] = lambda *args: 0


class Refused(NamedTuple):
    """What stands for the result of a name that is not on the list."""

    name: str


class RefusedError(FormatError):
    """A file that asks for names which are on no list."""

    def __init__(self, said: str, names: list[str]) -> None:
        super().__init__(said)
        self.names = names


class Machine:
    """Reads one pickled object from a stream.

    `names` is the list: by "module.name" a Builder, or a value that needs no call. `states` has a
    function for each type whose objects may be given a state. `persistent` gives the object of a
    persistent id. `encoding` decodes the texts of Python 2.
    Where the object `describes` storages, it may have their types in it.
    """

    def __init__(
        self,
        stream: Stream,
        names: Mapping[str, Any],
        states: Mapping[type, Callable[[Any, Any], None]],
        persistent: Callable[[Any], Any] | None = None,
        encoding: str = "utf-8",
        describes: bool = False,
    ) -> None:
        self.stream = stream
        self.names = names
        self.states = states
        self.persistent = persistent
        self.encoding = encoding
        self.describes = describes
        self.registry = Registry()
        self.refused: dict[str, None] = {}
        self.memo: dict[int, Any] = {}
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.budget = 4 * stream.source.size + 1000

    def run(self) -> Any:
        """The object; FormatError for anything that is not whole, well-formed and on the list."""
        try:
            return self._run()
        except FormatError:
            if self.refused:
                raise self._refusal() from None
            raise
        except (IndexError, KeyError):
            raise self.error("it uses what it has not made") from None

    def error(self, reason: str) -> FormatError:
        """The error that names the file."""
        return self.stream.source.error(f"its pickled data can't be read: {reason}")

    def spend(self, count: int) -> None:
        """Count bytes that are copied."""
        self.budget -= count
        if self.budget < 0:
            raise self.error("it copies more than it has")

    def _run(self) -> Any:
        take, acts = self.stream.take, _ACTS
        while (code := take(1)) != b".":
            act = acts.get(code)
            if act is None:
                raise self.error(
                    f"instruction {code!r} at byte {self.stream.place - 1} is none that data need"
                )
            act(self)
        result = self.stack.pop()
        if self.stack or self.marked:
            raise self.error("it ends before its objects do")
        if self.refused:
            raise self._refusal()
        if not self.describes:
            self._check(result)
        return result

    def _refusal(self) -> FormatError:
        names = list(self.refused)
        more = f" and {len(names) - 20} more" if len(names) > 20 else ""
        return RefusedError(
            f"{self.stream.source.name}: refused, since it asks for {', '.join(names[:20])}{more}: "
            "load builds tensors, numbers, strings, plain containers and what the program has "
            f"registered, and runs nothing, whatever weights_only says{_remedy(names)}",
            names,
        )

    def _check(self, result: Any) -> None:
        """Nothing in the result but data, and no deeper than Python can follow."""
        seen: set[int] = set()
        waiting: list[tuple[Any, int]] = [(result, 1)]
        while waiting:
            x, depth = waiting.pop()
            kind = type(x)
            if issubclass(kind, Builder | Refused | Inside):
                raise self.error(f"it gives {getattr(x, 'name', kind.__name__)}, which is no data")
            parts = self._parts(x)
            if not parts or id(x) in seen:
                continue
            if depth > _DEEPEST:
                raise self.error(f"containers nested more than {_DEEPEST} deep")
            seen.add(id(x))
            waiting.extend((part, depth + 1) for part in parts)

    def _parts(self, x: Any) -> list[Any]:
        """What a container, or an object of a registered class, holds."""
        own = list(vars(x).values()) if self.registry.has_instance(x) and _has_vars(x) else []
        if isinstance(x, dict):
            return [*dict.values(x), *own]
        kind = next((k for k in _CONTAINERS if isinstance(x, k)), None)
        return own if kind is None else [*kind.__iter__(x), *own]

    # -- what the instructions do ------------------------------------------------------------------

    def _number(self, form: str) -> Any:
        (value,) = struct.unpack(form, self.stream.take(struct.calcsize(form)))
        return value

    def _push(self, value: Any) -> None:
        self.stack.append(value)

    def _mark(self) -> None:
        if len(self.marked) >= _DEEPEST:
            raise self.error(f"containers nested more than {_DEEPEST} deep")
        self.marked.append(self.stack)
        self.stack = []

    def _since_mark(self) -> list[Any]:
        found, self.stack = self.stack, self.marked.pop()
        return found

    def _pop_mark(self) -> None:
        self._since_mark()

    def _pop(self) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self._since_mark()

    def _protocol(self) -> None:
        if self._number("<B") > 5:
            raise self.error("a protocol of pickled data that is not known")

    def _frame(self) -> None:
        self._number("<Q")

    def _text(self, form: str) -> None:
        data = self.stream.take(self._number(form))
        try:
            self._push(str(data, "utf-8", "surrogatepass"))
        except UnicodeDecodeError:
            raise self.error("a string is not UTF-8") from None

    def _old_text(self, form: str) -> None:
        count = self._number(form)
        if count < 0:
            raise self.error("a string of negative length")
        data = self.stream.take(count)
        if self.encoding == "bytes":
            return self._push(data)
        try:
            self._push(str(data, self.encoding))
        except UnicodeDecodeError:
            raise self.error(
                f"a string of Python 2 is not {self.encoding}; try encoding='latin1' or 'bytes'"
            ) from None

    def _bytes(self, form: str) -> None:
        self._push(self.stream.take(self._number(form)))

    def _bytearray(self) -> None:
        self._push(bytearray(self.stream.take(self._number("<Q"))))

    def _long(self, form: str) -> None:
        count = self._number(form)
        if count < 0:
            raise self.error("a number of negative length")
        self._push(int.from_bytes(self.stream.take(count), "little", signed=True))

    def _put(self, place: int) -> None:
        self.memo[place] = self.stack[-1]

    def _get(self, place: int) -> None:
        self._push(self.memo[place])

    def _append(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is list:
            target.extend(items)
        elif isinstance(target, list) and self.registry.has_instance(target):
            list.extend(target, items)
        elif type(target) is not Refused:
            raise self.error(f"items are appended to a {type(target).__name__}")

    def _add_items(self) -> None:
        items = self._since_mark()
        target = self.stack[-1]
        if type(target) is set:
            target.update(map(self._key, items))
        elif type(target) is not Refused:
            raise self.error(f"items are added to a {type(target).__name__}")

    def _set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if len(items) % 2:
            raise self.error("a key without a value")
        if type(target) in (dict, OrderedDict, Counter):
            for key, value in zip(items[::2], items[1::2], strict=True):
                target[self._key(key)] = value
        elif isinstance(target, dict) and self.registry.has_instance(target):
            for key, value in zip(items[::2], items[1::2], strict=True):
                dict.__setitem__(target, self._key(key), value)
        elif type(target) is not Refused:
            raise self.error(f"keys are set in a {type(target).__name__}")

    def _key(self, key: Any) -> Any:
        """A key that is hashed in time that its size bounds."""
        parts = key if type(key) in (tuple, Size) else (key,)
        for part in parts:
            if type(part) is int and part.bit_length() > 64:
                raise self.error("a key is an integer of more than 64 bits")
            known = type(part) in _KEYS or type(part) is Refused
            if not known and not self.registry.has_instance(part):
                raise self.error(f"a key of type {type(part).__name__}")
        if len(parts) > 1:
            self.spend(len(parts))
        return key

    def _frozenset(self) -> None:
        self._push(frozenset(map(self._key, self._since_mark())))

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set_items([key, value])

    def _tuple(self, count: int) -> None:
        if len(self.stack) < count:
            raise IndexError
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def _global(self) -> None:
        try:
            module, name = self.stream.line().decode(), self.stream.line().decode()
        except UnicodeDecodeError:
            raise self.error("a name is not UTF-8") from None
        self._push(self._found(module, name))

    def _stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            raise self.error("a name is no string")
        self._push(self._found(module, name))

    def _found(self, module: str, name: str) -> Any:
        full = f"{_MODULES.get(module, module)}.{name}"
        full = _OLD_TYPES.get(full, full)
        if full in self.names:
            return self.names[full]
        if full in self.registry.names:
            return self.registry.names[full]
        self.refused[f"{full!r:.200}"[1:-1]] = None
        if len(self.refused) > 1000:
            raise self._refusal()
        return Refused(full)

    def _call(self) -> None:
        self._reduce(lambda kind, args: kind(*args))

    def _new(self) -> None:
        self._reduce(new)

    def _reduce(self, build: Callable[[Any, tuple[Any, ...]], Any]) -> None:
        """Call what is under the arguments; one that is registered by `build`."""
        args = self.stack.pop()
        made = self.stack.pop()
        known = self.registry.has(made)
        if type(made) is Builder or known:
            name = made.name if type(made) is Builder else _title(made)
            if type(args) is not tuple:
                raise self.error(f"{name} is called with a {type(args).__name__}")
            made = self._built(made, name, build, args) if known else self._made(made, args)
        elif type(made) is not Refused:
            raise self.error(f"a {type(made).__name__} is called")
        self._push(made)

    def _made(self, builder: Builder, args: tuple[Any, ...]) -> Any:
        if self.refused:  # the arguments may be stand-ins; the file is refused in the end
            return Refused(builder.name)
        try:
            cost = builder.cost(*args)
            made = builder.make(*args) if cost <= self.budget else None
        except _WRONG as e:
            raise self.error(f"{builder.name}: {e}") from None
        self.spend(cost)
        return made

    def _built(self, kind: Any, name: str, build: Callable[..., Any], args: Any) -> Any:
        """What a registered class or function makes; whatever it raises is the file's fault."""
        if self.refused:
            return Refused(name)
        self.spend(4 * sum(len(a) for a in args if type(a) in _SIZED))
        try:
            return build(kind, args)
        except Exception as e:
            raise self.error(f"{name}: {type(e).__name__}: {e!s:.200}") from e

    def _build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if self.refused:
            return
        wrong: tuple[type[Exception], ...] = _WRONG
        give = self.states.get(type(target))
        if give is None and self.registry.has_instance(target):
            give, wrong = set_state, (Exception,)
        if give is None:
            raise self.error(f"a {type(target).__name__} is given a state")
        if type(state) is tuple:
            self.spend(sum(len(part) for part in state if type(part) is bytes))
        try:
            give(target, state)
        except wrong as e:
            raise self.error(f"the state of a {type(target).__name__}: {e!s:.200}") from None

    def _persistent(self) -> None:
        if self.persistent is None:
            raise self.error("an object from outside where there is none")
        key = self.stack.pop()
        self._push(Refused("") if self.refused else self.persistent(key))


def _remedy(names: list[str]) -> str:
    if all(name.startswith("torch.") and not name.startswith("torch.nn.") for name in names):
        return ", and these are kinds of tensors that Argand does not have"
    if any(name.startswith("torch.nn.") for name in names):
        return (
            ". If the file is a whole module, save its state in PyTorch instead, "
            "torch.save(model.state_dict(), path), and load that with "
            "model.load_state_dict(ag.load(path))"
        )
    if never := [name for name in names if is_dangerous(name)]:
        return f". No file gets {', '.join(never[:3])}, even if registered"
    listed = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return (
        f". Where these may be built from this file, register them before: "
        f"ag.serialization.add_safe_globals([{listed}])"
    )


def _title(x: Any) -> str:
    return str(getattr(x, "__qualname__", type(x).__name__))


def _has_vars(x: Any) -> bool:
    return isinstance(getattr(x, "__dict__", None), dict)


_ACTS: dict[bytes, Callable[[Machine], None]] = {
    b"\x80": Machine._protocol,
    b"\x95": Machine._frame,
    b"(": Machine._mark,
    b"0": Machine._pop,
    b"1": Machine._pop_mark,
    b"N": lambda m: m._push(None),
    b"\x88": lambda m: m._push(True),
    b"\x89": lambda m: m._push(False),
    b"J": lambda m: m._push(m._number("<i")),
    b"K": lambda m: m._push(m._number("<B")),
    b"M": lambda m: m._push(m._number("<H")),
    b"G": lambda m: m._push(m._number(">d")),
    b"\x8a": lambda m: m._long("<B"),
    b"\x8b": lambda m: m._long("<i"),
    b"X": lambda m: m._text("<I"),
    b"\x8c": lambda m: m._text("<B"),
    b"\x8d": lambda m: m._text("<Q"),
    b"U": lambda m: m._old_text("<B"),
    b"T": lambda m: m._old_text("<i"),
    b"C": lambda m: m._bytes("<B"),
    b"B": lambda m: m._bytes("<I"),
    b"\x8e": lambda m: m._bytes("<Q"),
    b"\x96": Machine._bytearray,
    b"]": lambda m: m._push([]),
    b"}": lambda m: m._push({}),
    b")": lambda m: m._push(()),
    b"\x8f": lambda m: m._push(set()),
    b"a": lambda m: m._append([m.stack.pop()]),
    b"e": lambda m: m._append(m._since_mark()),
    b"s": Machine._set_item,
    b"u": lambda m: m._set_items(m._since_mark()),
    b"\x90": Machine._add_items,
    b"\x91": Machine._frozenset,
    b"t": lambda m: m._push(tuple(m._since_mark())),
    b"\x85": lambda m: m._tuple(1),
    b"\x86": lambda m: m._tuple(2),
    b"\x87": lambda m: m._tuple(3),
    b"q": lambda m: m._put(m._number("<B")),
    b"r": lambda m: m._put(m._number("<I")),
    b"\x94": lambda m: m._put(len(m.memo)),
    b"h": lambda m: m._get(m._number("<B")),
    b"j": lambda m: m._get(m._number("<I")),
    b"c": Machine._global,
    b"\x93": Machine._stack_global,
    b"R": Machine._call,
    b"\x81": Machine._new,
    b"b": Machine._build,
    b"Q": Machine._persistent,
}

__all__ = ["Builder", "Machine", "Refused", "RefusedError"]
