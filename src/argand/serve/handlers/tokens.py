"""Tokenizers: strings to token ids and back, from an asset that is data."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from argand.base.errors import ArgumentError, FormatError, MissingExtraError

_LONGEST_WORD = 100  # as BERT has it
_WORDS = re.compile(r"\w+|[^\w\s]")


class Tokenizer(Protocol):
    """Token ids of a text, and the text of token ids."""

    size: int

    def encode(self, text: str, most: int | None = None) -> list[int]:
        """The ids of the tokens, the first `most`; FormatError for a piece that has none, where no
        token stands for unknown ones."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of tokens."""
        ...

    def id(self, token: str) -> int | None:
        """The id of one token."""
        ...


class Vocabulary:
    """Tokens by number: lines, or a JSON list."""

    def __init__(self, asset: str, data: bytes, unknown: str, lower: bool) -> None:
        try:
            tokens = json.loads(data) if asset.endswith(".json") else data.decode().splitlines()
        except ValueError as e:
            raise FormatError(f"{asset}: no vocabulary: {e}") from None
        if not isinstance(tokens, list) or not all(isinstance(t, str) for t in tokens):
            raise FormatError(f"{asset}: a vocabulary is a list of strings")
        self.tokens: list[str] = tokens
        self.numbers = {token: i for i, token in enumerate(tokens)}
        self.size = len(tokens)
        self.unknown = self.numbers.get(unknown)
        self.lower = lower

    def id(self, token: str) -> int | None:
        """The id of one token."""
        return self.numbers.get(token)

    def encode(self, text: str, most: int | None = None) -> list[int]:
        """The ids of the pieces of a text."""
        pieces = self._pieces(text.lower() if self.lower else text)
        return [self._id(piece) for piece in pieces[:most]]

    def _pieces(self, text: str) -> list[str]:
        raise NotImplementedError

    def _id(self, piece: str) -> int:
        found = self.numbers.get(piece, self.unknown)
        if found is None:
            raise FormatError(f"{piece!r:.40} is not in the vocabulary, which has no unknown token")
        return found

    def decode(self, ids: Sequence[int]) -> str:
        """The tokens with spaces between."""
        return " ".join(self._known(ids))

    def _known(self, ids: Sequence[int]) -> list[str]:
        return [self.tokens[i] for i in ids if 0 <= i < self.size]


class Characters(Vocabulary):
    """A token a character."""

    def _pieces(self, text: str) -> list[str]:
        return list(text)

    def decode(self, ids: Sequence[int]) -> str:
        """The characters."""
        return "".join(self._known(ids))


class Words(Vocabulary):
    """A token for each run of letters and digits, and for each other character but spaces."""

    def _pieces(self, text: str) -> list[str]:
        return _WORDS.findall(text)


class WordPiece(Vocabulary):
    """Words as the longest pieces that the vocabulary has, those inside a word with ``##`` before
    them (Schuster and Nakajima, 2012; as BERT)."""

    def _pieces(self, text: str) -> list[str]:
        found: list[str] = []
        for word in _bert_words(text, self.lower):
            found += self._of_word(word)
        return found

    def _of_word(self, word: str) -> list[str]:
        pieces: list[str] = []
        start = 0
        while start < len(word) <= _LONGEST_WORD:
            prefix = "##" if start else ""
            ends = range(len(word), start, -1)
            end = next((e for e in ends if prefix + word[start:e] in self.numbers), None)
            if end is None:
                return [word]  # unknown as a whole
            pieces.append(prefix + word[start:end])
            start = end
        return pieces or [word]

    def decode(self, ids: Sequence[int]) -> str:
        """The words."""
        return " ".join(self._known(ids)).replace(" ##", "")


def _bert_words(text: str, lower: bool) -> list[str]:
    """Words and signs: accents go where case does, ideographs stand alone."""
    if lower:
        text = unicodedata.normalize("NFD", text)
        text = "".join(c for c in text if unicodedata.category(c) != "Mn")
    spaced = []
    for c in text:
        alone = _is_sign(c) or 0x3400 <= ord(c) <= 0x9FFF or 0xF900 <= ord(c) <= 0xFAFF
        category = unicodedata.category(c)
        if category in ("Cc", "Cf") and c not in "\t\n\r":
            continue
        spaced.append(f" {c} " if alone else c)
    return "".join(spaced).split()


def _is_sign(c: str) -> bool:
    return unicodedata.category(c).startswith("P") or (c.isascii() and c in "$+<=>^`|~")


class Library:
    """The file of the library `tokenizers`, which computes it."""

    def __init__(self, asset: str, data: bytes, unknown: str = "", lower: bool = False) -> None:
        try:
            import tokenizers  # type: ignore[import-not-found, unused-ignore]
        except ImportError:
            raise MissingExtraError(
                f"{asset} is read by the library tokenizers: pip install tokenizers"
            ) from None
        try:
            self._made: Any = tokenizers.Tokenizer.from_str(data.decode())
        except Exception as e:  # it raises Exception itself
            raise FormatError(f"{asset}: no tokenizer: {e!s:.200}") from None
        self._made.no_padding()
        self._made.no_truncation()
        self.size: int = self._made.get_vocab_size()

    def encode(self, text: str, most: int | None = None) -> list[int]:
        """The ids, with what the file puts around a text."""
        found = self._made.encode(text, add_special_tokens=False)
        if most is not None:
            found.truncate(most - self._made.num_special_tokens_to_add(False))
        return list(self._made.post_process(found).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text, without special tokens."""
        return str(self._made.decode(list(ids)))

    def id(self, token: str) -> int | None:
        """The id of one token."""
        found: int | None = self._made.token_to_id(token)
        return found


_KINDS: dict[str, Callable[[str, bytes, str, bool], Any]] = {
    "characters": Characters,
    "words": Words,
    "wordpiece": WordPiece,
    "tokenizers": Library,
}


def tokenizer_of(
    kind: str, asset: str, data: bytes | None, unknown: str = "[UNK]", lower: bool = False
) -> Tokenizer:
    """The tokenizer that an asset is; ArgumentError where it is missing."""
    if data is None:
        raise ArgumentError(f"the model needs the asset {asset!r}, which its file lacks")
    made: Tokenizer = _KINDS[kind](asset, data, unknown, lower)
    return made


__all__ = ["Tokenizer", "tokenizer_of"]
