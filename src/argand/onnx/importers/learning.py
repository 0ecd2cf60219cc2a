"""Models of ai.onnx.ml: trees, linear models, support vectors."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from argand.base.errors import FormatError
from argand.onnx.arrays import strings
from argand.onnx.registry import Call, importer
from argand.onnx.values import ag
from argand.tensor.core import Tensor

_model = functools.partial(importer, domain="ai.onnx.ml")
Array = np.ndarray[Any, Any]

# -- what the models share -------------------------------------------------------------------------


def transformed(scores: Any, how: str | int) -> Any:
    """Scores through what the attribute post_transform names."""
    names = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
    name = names[how] if isinstance(how, int) else how
    match name:
        case "NONE":
            return scores
        case "SOFTMAX":
            return ag.softmax(scores, -1)
        case "LOGISTIC":
            return ag.sigmoid(scores)
        case "SOFTMAX_ZERO":
            powers = ag.where(scores == 0, ag.zeros_like(scores), ag.exp(scores))
            return powers / ag.sum(powers, -1, True)
        case "PROBIT":
            return ag.erfinv(scores * 2 - 1) * 1.4142135623730951
    raise FormatError(f"post_transform {name!r} is unknown")


def _labels(places: Any, ints: Any, texts: Any) -> Any:
    """The labels of classes by their numbers."""
    if texts:
        chosen = places.numpy()
        return strings((texts[int(i)] for i in chosen), chosen.shape)
    return ag.tensor(np.array(ints, np.int64))[places] if ints else places


def _classified(scores: Any, how: str, ints: Any, texts: Any, positive: bool, binary: bool) -> Any:
    """Labels and scores of each row. `binary` says that one score stands for two classes."""
    if binary:
        s = scores.reshape(-1, 1)
        second = s > 0.5 if positive else s > 0
        if positive or how == "NONE":
            both = ag.cat([1 - s, s] if positive else [-s, s], 1)
        else:
            both = ag.cat([-s, s], 1)
        made = transformed(both, how)
        return _labels(second.reshape(-1).to(ag.int64), ints, texts), made
    return _labels(ag.argmax(scores, 1), ints, texts), transformed(scores, how)


# -- trees -----------------------------------------------------------------------------------------

_MODES = {
    "BRANCH_LEQ": 0,
    "BRANCH_LT": 1,
    "BRANCH_GTE": 2,
    "BRANCH_GT": 3,
    "BRANCH_EQ": 4,
    "BRANCH_NEQ": 5,
    "BRANCH_MEMBER": 6,
    "LEAF": 7,
}


class _Forest(NamedTuple):
    """Trees as tables of their nodes: where each leads to, and what a leaf adds to each target."""

    roots: Array
    modes: Array
    features: Array
    splits: Array
    yes: Array
    no: Array
    missing: Array
    adds: Array
    members: Array | None = None

    def leaves(self, x: Any) -> Any:
        """The leaf of each row in each tree."""
        rows = x.shape[0]
        at = ag.tensor(self.roots).reshape(1, -1).expand(rows, len(self.roots))
        columns = [ag.tensor(v) for v in (self.modes, self.features, self.splits)]
        lead = [ag.tensor(v) for v in (self.yes, self.no, self.missing)]
        used = [int(m) for m in np.unique(self.modes) if m != 7]
        for _ in range(self.depth()):
            mode, feature, split = (c[at] for c in columns)
            value = ag.gather(x, 1, feature)
            goes = ag.zeros_like(at, dtype=ag.bool)
            for m in used:
                goes = ag.where(mode == m, self.compare(m, value, split, at), goes)
            goes = ag.where(ag.isnan(value), lead[2][at], goes)
            at = ag.where(goes, lead[0][at], lead[1][at])
        return at

    def compare(self, mode: int, value: Any, split: Any, at: Any) -> Any:
        match mode:
            case 0:
                return value <= split
            case 1:
                return value < split
            case 2:
                return value >= split
            case 3:
                return value > split
            case 4:
                return value == split
            case 5:
                return value != split
        assert self.members is not None
        return ag.any(ag.tensor(self.members)[at] == value.unsqueeze(-1), -1)

    def depth(self) -> int:
        """Steps from the roots to the furthest leaf; FormatError where a branch leads back."""
        level = self.roots
        for steps in range(len(self.modes) + 1):
            level = np.unique(level[self.modes[level] != 7])
            if not len(level):
                return steps
            level = np.concatenate([self.yes[level], self.no[level]])
        raise FormatError("a tree's branches lead back to it")

    def scores(self, x: Any, aggregate: str | int, base: Sequence[float]) -> Any:
        """What all trees give for each target."""
        each = ag.tensor(self.adds)[self.leaves(x)]
        names = ("AVERAGE", "SUM", "MIN", "MAX")
        match names[aggregate] if isinstance(aggregate, int) else aggregate:
            case "SUM":
                made = ag.sum(each, 1)
            case "AVERAGE":
                made = ag.mean(each, 1)
            case "MIN":
                made = ag.amin(each, 1)
            case _:
                made = ag.amax(each, 1)
        return made + ag.tensor(list(base)).to(made.dtype) if len(base) else made


def _places(trees: Any, nodes: Any) -> dict[tuple[int, int], int]:
    return {key: i for i, key in enumerate(zip(trees, nodes, strict=True))}


def _forest(a: dict[str, Any], kind: str, targets: int) -> _Forest:
    """The trees of the older ops, from their attributes."""
    trees, ids = a["nodes_treeids"], a["nodes_nodeids"]
    at = _places(trees, ids)
    n = len(trees)
    modes = np.array([_MODES[m] for m in a["nodes_modes"]], np.int64)

    def lead(to: Sequence[int]) -> Array:
        return np.array([i if modes[i] == 7 else at[trees[i], to[i]] for i in range(n)], np.int64)

    values = _numbers(a, "nodes_values")
    adds = np.zeros((n, targets), values.dtype)
    weights = _numbers(a, f"{kind}_weights")
    keys = zip(a[f"{kind}_treeids"], a[f"{kind}_nodeids"], a[f"{kind}_ids"], strict=True)
    for (tree, node, target), w in zip(keys, weights, strict=True):
        adds[at[tree, node], target] += w
    tracks = a.get("nodes_missing_value_tracks_true") or [0] * n
    firsts: dict[int, int] = {}
    for i, tree in enumerate(trees):
        firsts.setdefault(tree, i)
    return _Forest(
        np.array(list(firsts.values()), np.int64),
        modes,
        np.array(a["nodes_featureids"], np.int64),
        values,
        lead(a["nodes_truenodeids"]),
        lead(a["nodes_falsenodeids"]),
        np.array(tracks, np.bool_),
        adds,
    )


def _numbers(a: dict[str, Any], name: str) -> Array:
    """An attribute of floats, or of a tensor."""
    given = a.get(f"{name}_as_tensor")
    return np.array(a.get(name) or (), np.float32) if given is None else np.asarray(given)


@_model("TreeEnsembleRegressor")
def _tree_regressor(
    x: Tensor,
    *,
    aggregate_function: str = "SUM",
    base_values: Any = None,
    base_values_as_tensor: Any = None,
    n_targets: int = 1,
    nodes_falsenodeids: Any,
    nodes_featureids: Any,
    nodes_hitrates: Any = None,
    nodes_hitrates_as_tensor: Any = None,
    nodes_missing_value_tracks_true: Any = None,
    nodes_modes: Any,
    nodes_nodeids: Any,
    nodes_treeids: Any,
    nodes_truenodeids: Any,
    nodes_values: Any = None,
    nodes_values_as_tensor: Any = None,
    post_transform: str = "NONE",
    target_ids: Any,
    target_nodeids: Any,
    target_treeids: Any,
    target_weights: Any = None,
    target_weights_as_tensor: Any = None,
) -> Any:
    given = dict(locals())
    forest = _forest(given, "target", n_targets)
    base = _numbers(given, "base_values").tolist()
    return transformed(forest.scores(_floats(x), aggregate_function, base), post_transform)


def _floats(x: Any) -> Any:
    return x if x.dtype.is_floating_point else x.to(ag.float32)


@_model("TreeEnsembleClassifier")
def _tree_classifier(
    x: Tensor,
    *,
    base_values: Any = None,
    base_values_as_tensor: Any = None,
    class_ids: Any,
    class_nodeids: Any,
    class_treeids: Any,
    class_weights: Any = None,
    class_weights_as_tensor: Any = None,
    classlabels_int64s: Any = None,
    classlabels_strings: Any = None,
    nodes_falsenodeids: Any,
    nodes_featureids: Any,
    nodes_hitrates: Any = None,
    nodes_hitrates_as_tensor: Any = None,
    nodes_missing_value_tracks_true: Any = None,
    nodes_modes: Any,
    nodes_nodeids: Any,
    nodes_treeids: Any,
    nodes_truenodeids: Any,
    nodes_values: Any = None,
    nodes_values_as_tensor: Any = None,
    post_transform: str = "NONE",
) -> Any:
    given = dict(locals())
    count = len(classlabels_int64s or classlabels_strings or ())
    binary = count == 2 and len(set(class_ids)) == 1
    if binary:
        given["class_ids"] = [0] * len(class_ids)
    forest = _forest(given, "class", 1 if binary else count)
    base = _numbers(given, "base_values").tolist()
    scores = forest.scores(_floats(x), "SUM", base)
    positive = bool((_numbers(given, "class_weights") >= 0).all())
    return _classified(
        scores, post_transform, classlabels_int64s, classlabels_strings, positive, binary
    )


@_model("TreeEnsemble")
def _tree_ensemble(
    x: Tensor,
    *,
    aggregate_function: int = 1,
    leaf_targetids: Any,
    leaf_weights: Any,
    membership_values: Any = None,
    n_targets: int = 1,
    nodes_falseleafs: Any,
    nodes_falsenodeids: Any,
    nodes_featureids: Any,
    nodes_hitrates: Any = None,
    nodes_missing_value_tracks_true: Any = None,
    nodes_modes: Any,
    nodes_splits: Any,
    nodes_trueleafs: Any,
    nodes_truenodeids: Any,
    post_transform: int = 0,
    tree_roots: Any,
) -> Any:
    n, leaves = len(nodes_featureids), len(leaf_targetids)
    modes = np.concatenate([nodes_modes.astype(np.int64), np.full(leaves, 7)])
    ends = np.arange(n, n + leaves)

    def lead(to: Any, to_leaf: Any) -> Array:
        to, is_leaf = np.array(to, np.int64), np.array(to_leaf, bool)
        return np.concatenate([np.where(is_leaf, to + n, to), ends])

    adds = np.zeros((n + leaves, n_targets), leaf_weights.dtype)
    adds[ends, list(leaf_targetids)] = leaf_weights
    tracks = list(nodes_missing_value_tracks_true or [0] * n) + [0] * leaves
    forest = _Forest(
        np.array(tree_roots, np.int64),
        modes,
        np.array([*nodes_featureids, *[0] * leaves], np.int64),
        np.concatenate([nodes_splits, np.zeros(leaves, nodes_splits.dtype)]),
        lead(nodes_truenodeids, nodes_trueleafs),
        lead(nodes_falsenodeids, nodes_falseleafs),
        np.array(tracks, np.bool_),
        adds,
        _members(modes, membership_values),
    )
    return transformed(forest.scores(x, aggregate_function, ()), post_transform)


def _members(modes: Array, values: Any) -> Array | None:
    """The set of each node that asks for members; NaN, which nothing equals, fills the rows."""
    if values is None or not len(values):
        return None
    ends = np.flatnonzero(np.isnan(values))
    sets = [s[~np.isnan(s)] for s in np.split(values, ends)][: int((modes == 6).sum())]
    table = np.full((len(modes), max(map(len, sets), default=1)), np.nan, values.dtype)
    for row, members in zip(np.flatnonzero(modes == 6), sets, strict=True):
        table[row, : len(members)] = members
    return table


# -- linear models, support vectors ----------------------------------------------------------------


@_model("LinearRegressor")
def _linear_regressor(
    x: Tensor,
    *,
    coefficients: Any,
    intercepts: Any = None,
    post_transform: str = "NONE",
    targets: int = 1,
) -> Any:
    return transformed(_linear(x, coefficients, intercepts, targets), post_transform)


def _linear(x: Any, coefficients: Any, intercepts: Any, count: int) -> Any:
    made = ag.matmul(x.to(ag.float32), ag.tensor(list(coefficients)).reshape(count, -1).T)
    return made + ag.tensor(list(intercepts)) if intercepts else made


@_model("LinearClassifier")
def _linear_classifier(
    x: Tensor,
    *,
    classlabels_ints: Any = None,
    classlabels_strings: Any = None,
    coefficients: Any,
    intercepts: Any = None,
    multi_class: int = 0,
    post_transform: str = "NONE",
) -> Any:
    labels = len(classlabels_ints or classlabels_strings or ())
    count = len(coefficients) // x.shape[-1]
    scores = _linear(x, coefficients, intercepts, count)
    return _classified(
        scores,
        post_transform,
        classlabels_ints,
        classlabels_strings,
        positive=False,
        binary=labels == 2 and count == 1,
    )


def _kernel(x: Any, vectors: Any, kind: str, parameters: Any) -> Any:
    gamma, coefficient, degree = (*(parameters or ()), 0.0, 0.0, 0.0)[:3]
    if kind == "RBF":
        apart = x.unsqueeze(1) - vectors
        return ag.exp(-gamma * ag.sum(apart * apart, -1))
    product = ag.matmul(x, vectors.T)
    match kind:
        case "LINEAR":
            return product
        case "POLY":
            return (gamma * product + coefficient) ** degree
        case "SIGMOID":
            return ag.tanh(gamma * product + coefficient)
    raise FormatError(f"kernel_type {kind!r} is unknown")


@_model("SVMRegressor")
def _svm_regressor(
    x: Tensor,
    *,
    coefficients: Any,
    kernel_params: Any = None,
    kernel_type: str = "LINEAR",
    n_supports: int = 0,
    one_class: int = 0,
    post_transform: str = "NONE",
    rho: Any = None,
    support_vectors: Any = None,
    node: Call,
) -> Any:
    x = x.to(ag.float32)
    factors = ag.tensor(list(coefficients))
    if n_supports:
        vectors = ag.tensor(list(support_vectors)).reshape(n_supports, -1)
        scores = ag.matmul(_kernel(x, vectors, kernel_type, kernel_params), factors)
    else:
        scores = ag.matmul(x, factors)
    scores = (scores + (rho[0] if rho else 0.0)).reshape(-1, 1)
    if one_class:
        return ag.where(scores > 0, ag.ones_like(scores), -ag.ones_like(scores))
    return transformed(scores, post_transform)
