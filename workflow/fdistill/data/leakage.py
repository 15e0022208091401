"""How much of dev and test was already in train."""

import hashlib
import re
from collections.abc import Iterable, Iterator

from fdistill.data.sources import Example
from fdistill.runtime.errors import UserError


def leakage(splits: dict[str, list[Example]], n: int = 8) -> dict[str, dict[str, float]]:
    """Overlap of each split other than `train` with `train`, by split; every value is a share in [0, 1].

    - `groups`: of the split's groups, those that train has, too;
    - `sources`: of its examples, those whose source is some training source;
    - `targets`: of its references, those that are some training reference;
    - `ngrams`: mean over its references of the share of their distinct n-grams that occur in some training
      reference, where a reference shorter than n words is one gram.

    Texts are compared as sequences of lower-cased words: case, punctuation and spacing do not hide a copy.
    Of the training texts only hashes are kept, one text's words at a time: they may be gigabytes.
    Raises UserError for an empty split.
    """
    for name, examples in splits.items():
        if not examples:
            raise UserError(f"split '{name}' is empty; relax the source's filters or change its sizes")
    train = splits["train"]
    groups = {example.group for example in train}
    sources = {_digest(_words(example.source)) for example in train}

    held_out = {name: examples for name, examples in splits.items() if name != "train"}
    references = {
        name: [_words(reference) for example in examples for reference in example.references]
        for name, examples in held_out.items()
    }
    # Only the grams that are asked for are looked up: train's own would fill the memory.
    wanted = {gram for texts in references.values() for text in texts for gram in _grams(text, min(n, len(text)))}
    lengths = {len(gram) for gram in wanted}
    found: set[tuple[str, ...]] = set()
    targets: set[int] = set()
    for text in (_words(reference) for example in train for reference in example.references):
        digest = _digest(text)
        if digest not in targets:
            targets.add(digest)
            found |= {gram for length in lengths for gram in _grams(text, length) if gram in wanted}

    def copied(text: tuple[str, ...]) -> float:
        grams = set(_grams(text, min(n, len(text))))
        return len(grams & found) / len(grams)

    return {
        name: {
            "groups": _share(group in groups for group in {example.group for example in examples}),
            "sources": _share(_digest(_words(example.source)) in sources for example in examples),
            "targets": _share(_digest(text) in targets for text in references[name]),
            "ngrams": _share(copied(text) for text in references[name]),
        }
        for name, examples in held_out.items()
    }


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", text.lower()))


def _digest(words: tuple[str, ...]) -> int:
    """64 bits of the words: of a million texts two differ and agree in them with a chance of 3e-8."""
    return int.from_bytes(hashlib.blake2b(" ".join(words).encode(), digest_size=8).digest())


def _grams(words: tuple[str, ...], length: int) -> Iterator[tuple[str, ...]]:
    """The grams of that many words; none if the text is shorter."""
    return (words[start : start + length] for start in range(len(words) - length + 1))


def _share(values: Iterable[bool | float]) -> float:
    values = list(values)
    return sum(values) / len(values)
