"""Filters that sources share: a fixed pseudo-random order, caps on repetition, n-gram overlap, first sentences."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

T = TypeVar("T")


def position(key: str) -> float:
    """Return a pseudo-random number in [0, 1) that depends on `key` alone, so that it is the same on every machine."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64


def shuffled(items: Iterable[T], key: Callable[[T], str]) -> list[T]:
    """Return `items` in the order of their keys' positions; adding or removing an item leaves the others in order."""
    return sorted(items, key=lambda item: (position(key(item)), key(item)))


def distinct(items: Iterable[T], key: Callable[[T], Hashable]) -> list[T]:
    """Return the first item of each key, in order."""
    return capped(items, key, 1)


def capped(items: Iterable[T], key: Callable[[T], Hashable], limit: int) -> list[T]:
    """Return at most the first `limit` items of each key, in order."""
    seen: Counter[Hashable] = Counter()
    kept = []
    for item in items:
        seen[key(item)] += 1
        if seen[key(item)] <= limit:
            kept.append(item)
    return kept


def ngrams(words: list[str], n: int) -> set[tuple[str, ...]]:
    """Return the distinct n-grams; a text of fewer than n words is one gram, so that it can still be compared."""
    return {tuple(words[i : i + n]) for i in range(max(1, len(words) - n + 1))}


class Overlap:
    """The largest share of a text's n-grams that occur in any single text of a growing collection."""

    def __init__(self, n: int):
        self.n = n
        self._texts_with: dict[tuple[str, ...], list[int]] = {}
        self._size = 0

    def add(self, words: list[str]) -> None:
        """Add a text to the collection."""
        for gram in ngrams(words, self.n):
            self._texts_with.setdefault(gram, []).append(self._size)
        self._size += 1

    def __call__(self, words: list[str]) -> float:
        """Return the maximum over all texts of |grams(words) ∩ grams(text)| / |grams(words)|, in [0, 1]."""
        grams = ngrams(words, self.n)
        shared = Counter(index for gram in grams for index in self._texts_with.get(gram, ()))
        return max(shared.values(), default=0) / len(grams)


# A full stop, question mark or exclamation mark before a capital or a digit, unless after these abbreviations.
SENTENCE_END = re.compile(
    r"(?<!\be\.g)(?<!\bi\.e)(?<!\betc)(?<!\bvs)(?<!\bcf)(?<!\bal)(?<!\bInc)(?<!\b[Nn]o)"
    r"[.!?](?=[\"')]?\s+[\"'(]?[A-Z0-9])"
)


def first_sentence(text: str) -> str:
    """Return the first sentence of an English paragraph that is on one line."""
    end = SENTENCE_END.search(text)
    return text[: end.end()] if end else text


def words(text: str) -> list[str]:
    """Return the lower-case words and numbers of a text, without punctuation."""
    return re.findall(r"[a-z0-9]+(?:['’][a-z]+)?", text.lower())
