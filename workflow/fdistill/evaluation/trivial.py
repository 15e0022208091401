"""Trivial systems: what a model must beat before its numbers mean anything."""

import re
from collections import Counter
from collections.abc import Callable

from fdistill.data.sources.dialogue import TURN_SEPARATOR

SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(])")


def most_frequent(train: dict[str, list], test: dict[str, list]) -> list[str]:
    """The most frequent training target, for every input (of equally frequent ones, the first alphabetically)."""
    counts = Counter(references[0] for references in train["references"])
    answer = min(counts, key=lambda text: (-counts[text], text))
    return [answer] * len(test["id"])


def source(train: dict[str, list], test: dict[str, list]) -> list[str]:
    """The source itself, without the marks between a dialogue's turns."""
    return [" ".join(text.replace(TURN_SEPARATOR, " ").split()) for text in test["source"]]


def first_sentence(train: dict[str, list], test: dict[str, list]) -> list[str]:
    """The source's first sentence, the usual baseline of summarisation."""
    return [SENTENCE_END.split(text.strip(), maxsplit=1)[0] for text in test["source"]]


SYSTEMS: dict[str, Callable[[dict[str, list], dict[str, list]], list[str]]] = {
    "most_frequent": most_frequent,
    "source": source,
    "first_sentence": first_sentence,
}
