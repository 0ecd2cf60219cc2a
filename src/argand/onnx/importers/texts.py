"""Texts, as NumPy arrays of objects, and pictures in files."""

from __future__ import annotations

import functools
import io
import math
import re
from typing import Any

import numpy as np

from argand.base.errors import ArgumentError
from argand.onnx.arrays import strings
from argand.onnx.registry import importer
from argand.onnx.values import Host, ag, host_of, is_text, tensor_of
from argand.tensor.core import Tensor


@importer("StringConcat")
def _string_concat(a: Host, b: Host) -> Any:
    a, b = np.broadcast_arrays(a, b)
    return strings((x + y for x, y in zip(a.flat, b.flat, strict=True)), a.shape)


@importer("StringSplit")
def _string_split(x: Host, *, delimiter: str | None = None, maxsplit: int | None = None) -> Any:
    limit = -1 if maxsplit is None else maxsplit
    parts = [text.split(delimiter or None, limit) for text in x.flat]
    width = max(map(len, parts), default=0)
    padded = (text for row in parts for text in [*row, *[""] * (width - len(row))])
    counts = np.array([len(row) for row in parts], np.int64).reshape(x.shape)
    return strings(padded, (*x.shape, width)), counts


@importer("RegexFullMatch")
def _regex_full_match(x: Host, *, pattern: str) -> Any:
    try:
        compiled = re.compile(pattern)
    except re.error as e:
        raise ArgumentError(f"RegexFullMatch: the pattern {pattern!r} is not one: {e}") from e
    if _nested_repeats(pattern):
        raise ArgumentError(
            f"RegexFullMatch: the pattern {pattern!r} repeats what repeats, which could take "
            "forever; write it without"
        )
    found = [compiled.fullmatch(text) is not None for text in x.flat]
    return np.array(found, np.bool_).reshape(x.shape)


def _nested_repeats(pattern: str) -> bool:
    """Whether a group that contains a repetition is repeated itself: ``(a+)+``."""
    inside = r"\((?:[^()\\]|\\.)*[*+}](?:[^()\\]|\\.)*\)"
    return re.search(inside + r"[*+{]", pattern) is not None or r"\1" in pattern


@importer("StringNormalizer")
def _string_normalizer(
    x: Host,
    *,
    case_change_action: str = "NONE",
    is_case_sensitive: int = 0,
    locale: str = "en_US",
    stopwords: Any = (),
) -> Any:
    change: Any = {"LOWER": str.lower, "UPPER": str.upper, "NONE": str}[case_change_action]
    fold: Any = str if is_case_sensitive else str.lower
    stops = {fold(s) for s in stopwords}
    kept = [change(t) for t in x.flat if fold(t) not in stops] or [""]
    return strings(kept, (*x.shape[:-1], len(kept)))


@importer("TfIdfVectorizer")
def _tf_idf(
    x: Any,
    *,
    max_gram_length: int,
    max_skip_count: int,
    min_gram_length: int,
    mode: str,
    ngram_counts: Any,
    ngram_indexes: Any,
    pool_int64s: Any = None,
    pool_strings: Any = None,
    weights: Any = None,
) -> Any:
    array = np.asarray(x if isinstance(x, np.ndarray) else x.numpy())
    pool = list(pool_strings if pool_strings is not None else pool_int64s)
    grams = _grams(pool, list(ngram_counts))
    rows = array.reshape(1, -1) if array.ndim == 1 else array
    counts = np.zeros((len(rows), max(ngram_indexes) + 1), np.float32)
    for row, tokens in zip(counts, rows.tolist(), strict=True):
        for n in range(min_gram_length, max_gram_length + 1):
            for skip in range(1 if n == 1 else max_skip_count + 1):
                for i in range(len(tokens) - (n - 1) * (skip + 1)):
                    gram = tuple(tokens[i : i + (n - 1) * (skip + 1) + 1 : skip + 1])
                    if gram in grams:
                        row[ngram_indexes[grams[gram]]] += 1
    made: Any = ag.tensor(_weighted(counts, mode, ngram_indexes, weights))
    return made[0] if array.ndim == 1 else made


def _grams(pool: list[Any], starts: list[int]) -> dict[tuple[Any, ...], int]:
    """The number of each n-gram: the pool has those of length 1 first, then of length 2, ..."""
    found: dict[tuple[Any, ...], int] = {}
    for n, start in enumerate(starts, 1):
        stop = starts[n] if n < len(starts) else len(pool)
        for i in range(start, stop - n + 1, n):
            found[tuple(pool[i : i + n])] = len(found)
    return found


def _weighted(counts: Any, mode: str, places: Any, weights: Any) -> Any:
    factors = np.ones(counts.shape[1], np.float32)
    if weights is not None:
        factors[list(places)] = weights
    match mode:
        case "TF":
            return counts
        case "IDF":
            return np.where(counts > 0, factors, 0).astype(np.float32)
        case "TFIDF":
            return counts * factors
    raise ArgumentError(f"TfIdfVectorizer: mode {mode!r} is unknown")


@importer("ImageDecoder")
def _image_decoder(encoded: Host, *, pixel_format: str = "RGB") -> Any:
    from argand.vision.pillow import pillow

    modes = {"RGB": "RGB", "BGR": "RGB", "Grayscale": "L"}
    if pixel_format not in modes:
        raise ArgumentError(f"ImageDecoder: pixel_format {pixel_format!r} is unknown")
    reader = pillow(why="ImageDecoder")
    with reader.open(io.BytesIO(encoded.astype(np.uint8).tobytes())) as image:
        pixels = np.asarray(image.convert(modes[pixel_format]))
    if pixel_format == "Grayscale":
        pixels = pixels[:, :, None]
    return ag.tensor(np.ascontiguousarray(pixels[..., ::-1] if pixel_format == "BGR" else pixels))


# -- tables of ai.onnx.ml --------------------------------------------------------------------------

_table = functools.partial(importer, domain="ai.onnx.ml")


@_table("LabelEncoder")
def _label_encoder(
    x: Any,
    *,
    classes_strings: Any = None,
    default_float: float = -0.0,
    default_int64: int = -1,
    default_string: str = "_Unused",
    default_tensor: Any = None,
    keys_floats: Any = None,
    keys_int64s: Any = None,
    keys_strings: Any = None,
    keys_tensor: Any = None,
    values_floats: Any = None,
    values_int64s: Any = None,
    values_strings: Any = None,
    values_tensor: Any = None,
) -> Any:
    array = np.asarray(x if isinstance(x, np.ndarray) else x.numpy())
    if classes_strings is not None:  # before version 2: texts to numbers and back
        if array.dtype == object:
            keys_strings, values_int64s = classes_strings, range(len(classes_strings))
        else:
            keys_int64s, values_strings = range(len(classes_strings)), classes_strings
    keys = _given(keys_floats, keys_int64s, keys_strings, keys_tensor)
    values = _given(values_floats, values_int64s, values_strings, values_tensor)
    if values_tensor is not None:
        default, dtype = _first(default_tensor, values_tensor), values_tensor.dtype
    elif values_strings is not None:
        default, dtype = default_string, np.dtype(object)
    elif values_int64s is not None:
        default, dtype = default_int64, np.dtype(np.int64)
    else:
        default, dtype = default_float, np.dtype(np.float32)
    table = {_key(k): v for k, v in zip(keys, values, strict=True)}
    found = [table.get(_key(e), default) for e in array.reshape(-1).tolist()]
    if dtype.kind == "O":
        return strings(found, array.shape)
    return np.array(found, dtype).reshape(array.shape)


def _first(default: Any, values: Any) -> Any:
    if default is not None:
        return default.reshape(-1)[0]
    return "_Unused" if values.dtype == object else values.dtype.type(-1)


def _key(value: Any) -> Any:
    return "NaN of a table" if isinstance(value, float) and math.isnan(value) else value


def _given(*choices: Any) -> list[Any]:
    """The one list that is given."""
    for c in choices:
        if c is not None:
            return c.reshape(-1).tolist() if isinstance(c, np.ndarray) else list(c)
    raise ArgumentError("a table has no keys, or no values")


@_table("CategoryMapper")
def _category_mapper(
    x: Any,
    *,
    cats_int64s: Any,
    cats_strings: Any,
    default_int64: int = -1,
    default_string: str = "_Unused",
) -> Any:
    array = np.asarray(x if isinstance(x, np.ndarray) else x.numpy())
    table: dict[Any, Any]
    if array.dtype == object:
        table = dict(zip(cats_strings, cats_int64s, strict=True))
        found = [table.get(e, default_int64) for e in array.flat]
        return np.array(found, np.int64).reshape(array.shape)
    table = dict(zip(cats_int64s, cats_strings, strict=True))
    return strings((table.get(int(e), default_string) for e in array.flat), array.shape)


@_table("OneHotEncoder")
def _one_hot_encoder(
    x: Any, *, cats_int64s: Any = None, cats_strings: Any = None, zeros: int = 1
) -> Any:
    categories = _given(cats_strings, cats_int64s)
    array = np.asarray(x if isinstance(x, np.ndarray) else x.detach().numpy())
    places = {c: i for i, c in enumerate(categories)}
    made = np.zeros((array.size, len(categories)), np.float32)
    for row, e in zip(made, array.reshape(-1).tolist(), strict=True):
        at = places.get(e)
        if at is not None:
            row[at] = 1
        elif not zeros:
            raise ArgumentError(f"OneHotEncoder: {e!r} is none of the categories")
    return ag.tensor(made.reshape(*array.shape, len(categories)))


# -- numbers of ai.onnx.ml -------------------------------------------------------------------------


@_table("ArrayFeatureExtractor")
def _array_feature_extractor(x: Any, places: Any) -> Any:
    shape = [*x.shape[:-1], -1] if x.ndim > 1 else [1, -1]
    if is_text(x):  # names of classes, of which a classifier's numbers pick some
        return np.take(x, host_of(places).reshape(-1), -1).reshape(shape)
    x, places = tensor_of(x), tensor_of(places)
    return ag.index_select(x, x.ndim - 1, places.reshape(-1).to(ag.int64)).reshape(shape)


@_table("Binarizer")
def _binarizer(x: Tensor, *, threshold: float = 0.0) -> Any:
    return (x > threshold).to(x.dtype)


@_table("Scaler")
def _scaler(x: Tensor, *, offset: Any, scale: Any) -> Any:
    return (x.to(ag.float32) - ag.tensor(list(offset))) * ag.tensor(list(scale))


@_table("Normalizer")
def _normalizer(x: Tensor, *, norm: str = "MAX") -> Any:
    x = x.to(ag.float32)
    match norm:
        case "MAX":
            size = ag.amax(x, -1, True)
        case "L1":
            size = ag.sum(ag.abs(x), -1, True)
        case _:
            size = ag.sqrt(ag.sum(x * x, -1, True))
    return ag.where(size == 0, x, x / size)


@_table("Imputer")
def _imputer(
    x: Tensor,
    *,
    imputed_value_floats: Any = None,
    imputed_value_int64s: Any = None,
    replaced_value_float: float = 0.0,
    replaced_value_int64: int = 0,
) -> Any:
    if imputed_value_floats is not None:
        new, old = ag.tensor(list(imputed_value_floats)), replaced_value_float
        missing = ag.isnan(x) if math.isnan(old) else x == old
    else:
        new = ag.tensor(list(imputed_value_int64s or ()))
        missing = x == replaced_value_int64
    return ag.where(missing, new, x)


@_table("FeatureVectorizer")
def _feature_vectorizer(*values: Tensor, inputdimensions: Any = None) -> Any:
    columns = [v.reshape(v.shape[0], -1).to(ag.float32) for v in values]
    sizes = list(inputdimensions or (c.shape[1] for c in columns))
    return ag.cat([c.narrow(1, 0, n) for c, n in zip(columns, sizes, strict=True)], 1)


@_table("ZipMap")
def _zip_map(x: Any, *, classlabels_int64s: Any = None, classlabels_strings: Any = None) -> Any:
    labels = _given(classlabels_strings, classlabels_int64s)
    rows = np.asarray(x if isinstance(x, np.ndarray) else x.detach().numpy())
    return [dict(zip(labels, row.tolist(), strict=True)) for row in rows.reshape(-1, len(labels))]


@_table("DictVectorizer")
def _dict_vectorizer(x: Any, *, int64_vocabulary: Any = None, string_vocabulary: Any = None) -> Any:
    words = _given(string_vocabulary, int64_vocabulary)
    rows = x if isinstance(x, list) else [x]
    made = np.array([[row.get(w, 0) for w in words] for row in rows])
    return ag.tensor(made if isinstance(x, list) else made.reshape(1, -1))
