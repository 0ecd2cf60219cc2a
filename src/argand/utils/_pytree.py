"""`argand.utils._pytree`: nested containers, taken apart and put together, as libraries use
`torch.utils._pytree`.

Containers are lists, tuples, named tuples, dicts, OrderedDicts, defaultdicts, deques, and classes
that were registered; anything else, None too, is a leaf.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

Context = Any
PyTree = Any


class NodeDef(NamedTuple):
    """How objects of a class are taken apart and put together."""

    flatten_fn: Callable[[Any], tuple[Iterable[Any], Context]]
    unflatten_fn: Callable[[Iterable[Any], Context], Any]
    flatten_with_keys_fn: Callable[[Any], tuple[Iterable[Any], Context]] | None = None


SUPPORTED_NODES: dict[type, NodeDef] = {}


def register_pytree_node(
    cls: type,
    flatten_fn: Any,
    unflatten_fn: Any,
    *,
    flatten_with_keys_fn: Any = None,
    **options: Any,
) -> None:
    """Take objects of a class for containers.

    `flatten_fn` gives an object's parts and a context; `unflatten_fn` makes an object of them.
    `flatten_with_keys_fn` gives pairs of places and parts, for `tree_flatten_with_path`.
    """
    SUPPORTED_NODES[cls] = NodeDef(flatten_fn, unflatten_fn, flatten_with_keys_fn)


_register_pytree_node = register_pytree_node


def _values(mapping: Any) -> tuple[list[Any], list[Any]]:
    return list(mapping.values()), list(mapping)


register_pytree_node(list, lambda x: (x, None), lambda parts, _: list(parts))
register_pytree_node(tuple, lambda x: (x, None), lambda parts, _: tuple(parts))
register_pytree_node(dict, _values, lambda parts, keys: dict(zip(keys, parts, strict=True)))
register_pytree_node(
    OrderedDict, _values, lambda parts, keys: OrderedDict(zip(keys, parts, strict=True))
)
register_pytree_node(
    defaultdict,
    lambda x: (list(x.values()), [x.default_factory, list(x)]),
    lambda parts, c: defaultdict(c[0], zip(c[1], parts, strict=True)),
)
register_pytree_node(
    deque, lambda x: (list(x), x.maxlen), lambda parts, limit: deque(parts, maxlen=limit)
)


_DICTS = frozenset((dict, OrderedDict, defaultdict))
"""Of one kind beside each other: only their keys are compared."""


def _dict_flatten(d: Any) -> tuple[list[Any], list[Any]]:
    return _values(d)


def _dict_flatten_with_keys(d: Any) -> tuple[list[tuple[MappingKey, Any]], list[Any]]:
    return [(MappingKey(k), part) for k, part in d.items()], list(d)


def _dict_unflatten(values: Iterable[Any], context: list[Any]) -> dict[Any, Any]:
    return dict(zip(context, values, strict=True))


@dataclass(frozen=True)
class SequenceKey:
    """The place of a part in a list, a tuple or a deque."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx!r}]"

    def get(self, sequence: Any) -> Any:
        """The part of a sequence at this place."""
        return sequence[self.idx]


@dataclass(frozen=True)
class MappingKey:
    """The place of a part in a dict."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"

    def get(self, mapping: Any) -> Any:
        """The part of a dict at this place."""
        return mapping[self.key]


@dataclass(frozen=True)
class GetAttrKey:
    """The place of a part that is an attribute: of a named tuple, say."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"

    def get(self, obj: Any) -> Any:
        """The attribute of an object."""
        return getattr(obj, self.name)


KeyPath = tuple[Any, ...]


class _Named:
    """The type that stands for all named tuples."""


register_pytree_node(_Named, lambda x: (x, type(x)), lambda parts, cls: cls(*parts))


def is_namedtuple_class(cls: type) -> bool:
    """Whether it is a class of named tuples."""
    fields = getattr(cls, "_fields", None)
    return isinstance(cls, type) and issubclass(cls, tuple) and isinstance(fields, tuple)


def is_namedtuple(obj: Any) -> bool:
    """Whether it is a named tuple, or a class of them."""
    return is_namedtuple_class(obj if isinstance(obj, type) else type(obj))


is_namedtuple_instance = _is_namedtuple_instance = is_namedtuple


def _kind(tree: PyTree) -> Any:
    return _Named if is_namedtuple_class(type(tree)) else type(tree)


@dataclass(frozen=True, eq=True)
class TreeSpec:
    """The structure of nested containers: of each its class, its context and its parts."""

    type: Any
    context: Context
    children_specs: list[TreeSpec]

    @property
    def num_leaves(self) -> int:
        """How many leaves it has."""
        return 1 if self.type is None else sum(c.num_leaves for c in self.children_specs)

    @property
    def num_children(self) -> int:
        """How many parts the outermost container has."""
        return len(self.children_specs)

    @property
    def num_nodes(self) -> int:
        """How many containers and leaves it has."""
        return 1 + sum(c.num_nodes for c in self.children_specs)

    def is_leaf(self) -> bool:
        """Whether it is a leaf alone."""
        return self.type is None

    def unflatten(self, leaves: Iterable[Any]) -> PyTree:
        """Containers of this structure with these leaves."""
        return tree_unflatten(leaves, self)

    def __repr__(self) -> str:
        if self.type is None:
            return "*"
        return f"TreeSpec({self.type.__name__}, {self.context}, {self.children_specs})"

    def __hash__(self) -> int:
        return hash((self.type, repr(self.context), tuple(self.children_specs)))


PyTreeSpec = TreeSpec


def LeafSpec() -> TreeSpec:  # noqa: N802  # PyTorch's name
    """The structure of a leaf."""
    return TreeSpec(None, None, [])


IsLeaf = Callable[[Any], bool] | None


_get_node_type = _kind


def tree_is_leaf(tree: PyTree, is_leaf: IsLeaf = None) -> bool:
    """Whether it is no container."""
    return (is_leaf is not None and is_leaf(tree)) or _kind(tree) not in SUPPORTED_NODES


def tree_flatten(tree: PyTree, is_leaf: IsLeaf = None) -> tuple[list[Any], TreeSpec]:
    """The leaves and the structure.

    >>> from argand.utils._pytree import tree_flatten
    >>> tree_flatten({"a": [1, 2], "b": None})
    ([1, 2, None], TreeSpec(dict, ['a', 'b'], [TreeSpec(list, None, [*, *]), *]))
    """
    leaves: list[Any] = []
    return leaves, _flatten(tree, leaves, is_leaf)


def _flatten(tree: PyTree, leaves: list[Any], is_leaf: IsLeaf) -> TreeSpec:
    if tree_is_leaf(tree, is_leaf):
        leaves.append(tree)
        return LeafSpec()
    kind = _kind(tree)
    parts, context = SUPPORTED_NODES[kind].flatten_fn(tree)
    return TreeSpec(kind, context, [_flatten(part, leaves, is_leaf) for part in parts])


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> PyTree:
    """Containers of a structure, with these leaves.

    >>> from argand.utils._pytree import tree_flatten, tree_unflatten
    >>> tree_unflatten([3, 4], tree_flatten((1, [2]))[1])
    (3, [4])
    """
    given = list(leaves)
    if len(given) != treespec.num_leaves:
        raise ValueError(
            f"tree_unflatten: {len(given)} leaves for a structure that holds {treespec.num_leaves}"
        )
    return _unflatten(iter(given), treespec)


def _unflatten(leaves: Any, spec: TreeSpec) -> PyTree:
    if spec.type is None:
        return next(leaves)
    parts = [_unflatten(leaves, child) for child in spec.children_specs]
    return SUPPORTED_NODES[spec.type].unflatten_fn(parts, spec.context)


def tree_leaves(tree: PyTree, is_leaf: IsLeaf = None) -> list[Any]:
    """The leaves."""
    return tree_flatten(tree, is_leaf)[0]


def tree_iter(tree: PyTree, is_leaf: IsLeaf = None) -> Iterable[Any]:
    """The leaves, one by one."""
    yield from tree_leaves(tree, is_leaf)


def tree_structure(tree: PyTree, is_leaf: IsLeaf = None) -> TreeSpec:
    """The structure."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(
    func: Callable[..., Any], tree: PyTree, *rests: PyTree, is_leaf: IsLeaf = None
) -> PyTree:
    """Containers of the same structure, whose leaves are `func` of the leaves.

    >>> from argand.utils._pytree import tree_map
    >>> tree_map(lambda x: x + 1, {"a": [1, 2]})
    {'a': [2, 3]}
    """
    leaves, spec = tree_flatten(tree, is_leaf)
    others = [_leaves_as(spec, rest) for rest in rests]
    return tree_unflatten([func(*each) for each in zip(leaves, *others, strict=True)], spec)


def _children_with_keys(tree: PyTree) -> Iterable[tuple[Any, Any]]:
    """The places and the parts of a container."""
    kind = _kind(tree)
    if kind in _DICTS:
        return [(MappingKey(key), part) for key, part in tree.items()]
    if kind is _Named:
        return [(GetAttrKey(name), getattr(tree, name)) for name in type(tree)._fields]
    node = SUPPORTED_NODES[kind]
    if node.flatten_with_keys_fn is not None:
        return list(node.flatten_with_keys_fn(tree)[0])
    if kind not in (list, tuple, deque):
        raise ValueError(
            f"objects of {kind.__name__} have no places: register it with flatten_with_keys_fn"
        )
    return [(SequenceKey(i), part) for i, part in enumerate(tree)]


def _leaves_with_path(
    tree: PyTree, is_leaf: IsLeaf, path: KeyPath
) -> Iterator[tuple[KeyPath, Any]]:
    if tree_is_leaf(tree, is_leaf):
        yield path, tree
        return
    for key, part in _children_with_keys(tree):
        yield from _leaves_with_path(part, is_leaf, (*path, key))


def tree_leaves_with_path(tree: PyTree, is_leaf: IsLeaf = None) -> list[tuple[KeyPath, Any]]:
    """The leaves, each behind its path."""
    return list(_leaves_with_path(tree, is_leaf, ()))


def tree_flatten_with_path(
    tree: PyTree, is_leaf: IsLeaf = None
) -> tuple[list[tuple[KeyPath, Any]], TreeSpec]:
    """The leaves, each behind its path, and the structure.

    >>> from argand.utils._pytree import keystr, tree_flatten_with_path
    >>> [(keystr(path), leaf) for path, leaf in tree_flatten_with_path({"a": [1, 2]})[0]]
    [("['a'][0]", 1), ("['a'][1]", 2)]
    """
    return tree_leaves_with_path(tree, is_leaf), tree_structure(tree, is_leaf)


def tree_map_with_path(
    func: Callable[..., Any], tree: PyTree, *rests: PyTree, is_leaf: IsLeaf = None
) -> PyTree:
    """`tree_map` whose function is given the leaf's path first.

    >>> from argand.utils._pytree import keystr, tree_map_with_path
    >>> tree_map_with_path(lambda path, x: f"{keystr(path)}: {x}", {"a": [1, 2]})
    {'a': ["['a'][0]: 1", "['a'][1]: 2"]}
    """
    found, spec = tree_flatten_with_path(tree, is_leaf)
    others = [_leaves_as(spec, rest) for rest in rests]
    leaves = [func(path, leaf, *rest) for (path, leaf), *rest in zip(found, *others, strict=True)]
    return tree_unflatten(leaves, spec)


def keystr(kp: KeyPath) -> str:
    """A path as Python writes it."""
    return "".join(map(str, kp))


def key_get(obj: Any, kp: KeyPath) -> Any:
    """What is at a path of containers."""
    for key in kp:
        obj = key.get(obj)
    return obj


def tree_map_(
    func: Callable[..., Any], tree: PyTree, *rests: PyTree, is_leaf: IsLeaf = None
) -> PyTree:
    """Call `func` of the leaves; the containers themselves come back."""
    tree_map(func, tree, *rests, is_leaf=is_leaf)
    return tree


def _leaves_as(spec: TreeSpec, tree: PyTree) -> list[Any]:
    """The parts of containers at the leaves of a structure that they begin with."""
    if spec.type is None:
        return [tree]
    kind = _kind(tree)
    if kind is not spec.type and not {kind, spec.type} <= _DICTS:
        wanted = spec.context if spec.type is _Named else spec.type
        raise ValueError(f"expected a {wanted.__name__}, got a {type(tree).__name__}")
    given = list(SUPPORTED_NODES[kind].flatten_fn(tree)[0])
    if len(given) != spec.num_children:
        raise ValueError(
            f"expected a {spec.type.__name__} of {spec.num_children} parts, got one of {len(given)}"
        )
    if kind in _DICTS:
        keys = spec.context[1] if spec.type is defaultdict else spec.context
        if set(tree) != set(keys):
            raise ValueError(f"expected the keys {list(keys)}, got {list(tree)}")
        given = [tree[key] for key in keys]
    return [
        leaf
        for child, part in zip(spec.children_specs, given, strict=True)
        for leaf in _leaves_as(child, part)
    ]


def map_only(kinds: Any, /) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator: the function is called for objects of these classes (or, for a function, those
    that it is true of), and other objects are left as they are."""
    is_one = kinds if callable(kinds) and not isinstance(kinds, type) else None

    def decorated(func: Callable[..., Any]) -> Callable[..., Any]:
        def call(x: Any) -> Any:
            wanted = is_one(x) if is_one is not None else isinstance(x, kinds)
            return func(x) if wanted else x

        return call

    return decorated


def tree_map_only(
    kinds: Any, func: Callable[..., Any], tree: PyTree, is_leaf: IsLeaf = None
) -> PyTree:
    """`tree_map` for leaves of these classes; others are left as they are.

    >>> from argand.utils._pytree import tree_map_only
    >>> tree_map_only(int, lambda x: -x, [1, "a"])
    [-1, 'a']
    """
    return tree_map(map_only(kinds)(func), tree, is_leaf=is_leaf)


def tree_map_only_(
    kinds: Any, func: Callable[..., Any], tree: PyTree, is_leaf: IsLeaf = None
) -> PyTree:
    """Call `func` of leaves of these classes; the containers themselves come back."""
    return tree_map_(map_only(kinds)(func), tree, is_leaf=is_leaf)


def tree_all(pred: Callable[[Any], bool], tree: PyTree, is_leaf: IsLeaf = None) -> bool:
    """Whether `pred` is true of all leaves."""
    return all(map(pred, tree_leaves(tree, is_leaf)))


def tree_any(pred: Callable[[Any], bool], tree: PyTree, is_leaf: IsLeaf = None) -> bool:
    """Whether `pred` is true of a leaf."""
    return any(map(pred, tree_leaves(tree, is_leaf)))


def tree_all_only(
    kinds: Any, pred: Callable[[Any], bool], tree: PyTree, is_leaf: Any = None
) -> bool:
    """Whether `pred` is true of all leaves of these classes."""
    return all(pred(x) for x in tree_leaves(tree, is_leaf) if isinstance(x, kinds))


def tree_any_only(
    kinds: Any, pred: Callable[[Any], bool], tree: PyTree, is_leaf: Any = None
) -> bool:
    """Whether `pred` is true of a leaf of these classes."""
    return any(pred(x) for x in tree_leaves(tree, is_leaf) if isinstance(x, kinds))


def _broadcast_to_and_flatten(
    tree: PyTree, treespec: TreeSpec, is_leaf: IsLeaf = None
) -> list[Any] | None:
    """The leaves for a structure; a leaf of `tree` counts for all below it. None if they differ."""
    if tree_is_leaf(tree, is_leaf):
        return [tree] * treespec.num_leaves
    if treespec.type is None or _kind(tree) is not treespec.type:
        return None
    parts, context = SUPPORTED_NODES[treespec.type].flatten_fn(tree)
    given = list(parts)
    if len(given) != treespec.num_children or context != treespec.context:
        return None
    found: list[Any] = []
    for part, child in zip(given, treespec.children_specs, strict=True):
        below = _broadcast_to_and_flatten(part, child, is_leaf)
        if below is None:
            return None
        found += below
    return found
