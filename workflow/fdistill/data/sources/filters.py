"""What sources share that turn documentation into pairs: seeded order, caps, n-grams, first sentences."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import MISSING, fields
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from fdistill.runtime.errors import UserError

T = TypeVar("T")


def read_options(cls: type[T], options: dict[str, Any]) -> T:
    """The dataclass `cls` from a task file's `source:` mapping (less its `kind`), with lists as tuples.

    Raises UserError for a key that `cls` does not have, for one that it needs, and for a value of the wrong type;
    whole numbers are above 0.
    """
    hints, known = get_type_hints(cls), [field.name for field in fields(cls)]
    given = {key: value for key, value in options.items() if key != "kind"}
    for key, value in given.items():
        if key not in known:
            raise UserError(f"source.{key}: unknown option; known: {', '.join(known)}")
        if not _fits(value, hints[key]):
            raise UserError(f"source.{key}: {value!r} is not {_in_words(hints[key])}")
    for field in fields(cls):
        if field.default is MISSING and field.default_factory is MISSING and field.name not in given:
            raise UserError(f"source.{field.name}: missing; give {_in_words(hints[field.name])}")
    return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in given.items()})


def _fits(value: Any, hint: Any) -> bool:
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    return any(_is(value, get_origin(kind) or kind) for kind in kinds)


def _is(value: Any, kind: type) -> bool:
    if kind is int:
        return type(value) is int and value > 0
    if kind is float:
        return type(value) in (int, float)
    return isinstance(value, list if kind is tuple else kind)


def _in_words(hint: Any) -> str:
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    return " or ".join(_WORDS[get_origin(kind) or kind] for kind in kinds)


_WORDS = {
    int: "a whole number above 0",
    float: "a number",
    str: "text",
    tuple: "a list",
    list: "a list",
    dict: "a mapping",
    NoneType: "null",
}


def position(key: str) -> float:
    """A number in [0, 1) that depends on `key` alone: the same on every machine, in every run."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64


def shuffled(items: Iterable[T], key: Callable[[T], str]) -> list[T]:
    """`items` in the order of their keys' positions: one item more or less does not move the others."""
    return sorted(items, key=lambda item: (position(key(item)), key(item)))


def distinct(items: Iterable[T], key: Callable[[T], Hashable]) -> list[T]:
    """The first item of each key."""
    return capped(items, key, 1)


def capped(items: Iterable[T], key: Callable[[T], Hashable], limit: int) -> list[T]:
    """At most the first `limit` items of each key."""
    seen: Counter[Hashable] = Counter()
    kept = []
    for item in items:
        seen[key(item)] += 1
        if seen[key(item)] <= limit:
            kept.append(item)
    return kept


def ngrams(words: list[str], n: int) -> set[tuple[str, ...]]:
    """The distinct n-grams; a shorter text counts as one gram, so that it can still be compared."""
    return {tuple(words[i : i + n]) for i in range(max(1, len(words) - n + 1))}


class Overlap:
    """How much of a text's n-grams one text of a growing collection shares with it, at most."""

    def __init__(self, n: int):
        self.n = n
        self._holders: dict[tuple[str, ...], list[int]] = {}
        self._size = 0

    def add(self, words: list[str]) -> None:
        """Put a text into the collection."""
        for gram in ngrams(words, self.n):
            self._holders.setdefault(gram, []).append(self._size)
        self._size += 1

    def __call__(self, words: list[str]) -> float:
        """The maximum over the collection of |grams(words) ∩ grams(text)| / |grams(words)|, in [0, 1]."""
        grams = ngrams(words, self.n)
        shared = Counter(index for gram in grams for index in self._holders.get(gram, ()))
        return max(shared.values(), default=0) / len(grams)


# a full stop, question or exclamation mark before a capital or a digit, but not after these abbreviations
SENTENCE_END = re.compile(
    r"(?<!\be\.g)(?<!\bi\.e)(?<!\betc)(?<!\bvs)(?<!\bcf)(?<!\bal)(?<!\bInc)(?<!\b[Nn]o)"
    r"[.!?](?=[\"')]?\s+[\"'(]?[A-Z0-9])"
)


def first_sentence(text: str) -> str:
    """The first sentence of a paragraph of English on one line."""
    end = SENTENCE_END.search(text)
    return text[: end.end()] if end else text


def words(text: str) -> list[str]:
    """Lower-case words and numbers of a text, punctuation dropped."""
    return re.findall(r"[a-z0-9]+(?:['’][a-z]+)?", text.lower())
