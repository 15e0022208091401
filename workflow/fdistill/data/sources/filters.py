"""What sources share that turn documentation into pairs: seeded order, caps, n-grams, first sentences."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

T = TypeVar("T")


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
