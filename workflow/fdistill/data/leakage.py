"""Leakage: how much of the dev and test splits also occurs in what models are trained on."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence

from fdistill.data.sources import UNLABELLED, Example
from fdistill.data.words import is_word, separate
from fdistill.runtime.errors import UserError


def leakage(
    splits: dict[str, list[Example]], unlabelled: Sequence[Example] = (), n: int = 8
) -> dict[str, dict[str, float]]:
    """Return the overlap of every other split with `train`: {split: {measure: share in [0, 1]}}.

    - `groups`: the share of the split's groups that also occur in train, or among the `unlabelled` inputs;
    - `sources`: the share of its examples whose source is also a training source, or an unlabelled one;
    - `targets`: the share of its references that are also training references;
    - `ngrams`: for each reference the share of its distinct n-grams that occur in some training reference,
      averaged over references; a reference of fewer than n words counts as a single n-gram.

    Of unlabelled inputs, if there are any, only `sources` is returned: the share that repeats training sources, which
    is no leakage.

    Texts are compared as sequences of lower-cased words in any script (`words.separate`) and symbols, so that case,
    punctuation and spacing do not hide a copy; a text of punctuation only is compared as it is.
    Training texts can be gigabytes: they are split into words one at a time, and only their hashes are kept.
    Raises UserError for an empty split.
    """
    for name, examples in splits.items():
        if not examples:
            raise UserError(f"split '{name}' is empty; relax the source's filters or change its sizes")
    train = splits["train"]
    groups = {example.group for example in (*train, *unlabelled)}
    labelled = {_digest(_words(example.source)) for example in train}
    without_labels = [_digest(_words(example.source)) for example in unlabelled]
    sources = labelled.union(without_labels)

    held_out = {name: examples for name, examples in splits.items() if name != "train"}
    references = {
        name: [_words(reference) for example in examples for reference in example.references]
        for name, examples in held_out.items()
    }
    # Only n-grams of the held-out references are looked up: those of the training split would fill the memory.
    wanted = {gram for texts in references.values() for text in texts for gram in _grams(text, min(n, len(text)))}
    lengths = {len(gram) for gram in wanted}
    in_train: set[tuple[str, ...]] = set()
    targets: set[int] = set()
    for text in (_words(reference) for example in train for reference in example.references):
        digest = _digest(text)
        if digest not in targets:
            targets.add(digest)
            in_train |= {gram for length in lengths for gram in _grams(text, length) if gram in wanted}

    def copied_share(text: tuple[str, ...]) -> float:
        grams = set(_grams(text, min(n, len(text))))
        return len(grams & in_train) / len(grams)

    return {
        name: {
            "groups": _share(group in groups for group in {example.group for example in examples}),
            "sources": _share(_digest(_words(example.source)) in sources for example in examples),
            "targets": _share(_digest(text) in targets for text in references[name]),
            "ngrams": _share(copied_share(text) for text in references[name]),
        }
        for name, examples in held_out.items()
    } | ({UNLABELLED: {"sources": _share(source in labelled for source in without_labels)}} if unlabelled else {})


def _words(text: str) -> tuple[str, ...]:
    words = separate(text.lower()).split()
    return tuple(filter(is_word, words)) or tuple(words)


def _digest(words: tuple[str, ...]) -> int:
    """A 64-bit hash of the words; any two of a million different texts collide with probability 3e-8."""
    return int.from_bytes(hashlib.blake2b(" ".join(words).encode(), digest_size=8).digest())


def _grams(words: tuple[str, ...], length: int) -> Iterator[tuple[str, ...]]:
    """The n-grams of `length` words; none if the text is shorter."""
    return (words[start : start + length] for start in range(len(words) - length + 1))


def _share(values: Iterable[bool | float]) -> float:
    values = list(values)
    return sum(values) / len(values)
