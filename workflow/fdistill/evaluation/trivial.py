"""Trivial systems, which need no model: a student that does not beat them has learnt nothing."""

from collections import Counter
from collections.abc import Callable

from fdistill.data.lines import one_line
from fdistill.data.sources.dialogue import TURN_SEPARATOR
from fdistill.evaluation.metrics.texts import SENTENCE_END


def most_frequent(train: dict[str, list], test: dict[str, list]) -> list[str]:
    """Return the most frequent training target for every input; of equally frequent ones, the first alphabetically."""
    counts = Counter(references[0] for references in train["references"])
    target = min(counts, key=lambda text: (-counts[text], text))
    return [target] * len(test["id"])


def source(train: dict[str, list], test: dict[str, list]) -> list[str]:
    """Return the source of every input, without the separators of a dialogue's turns."""
    return [one_line(text.replace(TURN_SEPARATOR, " ")) for text in test["source"]]


def first_sentence(train: dict[str, list], test: dict[str, list]) -> list[str]:
    """Return the first sentence of every source, the usual baseline for summarisation."""
    return [SENTENCE_END.split(text.strip(), maxsplit=1)[0] for text in test["source"]]


# (columns of the training split, columns of the test split) -> one output per test input
SYSTEMS: dict[str, Callable[[dict[str, list], dict[str, list]], list[str]]] = {
    "most_frequent": most_frequent,
    "source": source,
    "first_sentence": first_sentence,
}
