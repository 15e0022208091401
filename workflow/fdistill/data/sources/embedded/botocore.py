"""Data-to-text: a field or operation of a cloud API, as a record -> the first sentence of its documentation."""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdistill.data.archives import Archive
from fdistill.data.sources import Corpus, Example
from fdistill.data.sources.embedded.botocore_models import ATTRIBUTES, KINDS, Record, model_records, read_models
from fdistill.data.sources.filters import Overlap, capped, distinct, position, shuffled, words
from fdistill.data.sources.options import check_bounds, read_options
from fdistill.runtime.errors import UserError

ARCHIVES = (
    Archive(
        package="botocore",
        version="1.44.5",
        filename="botocore-1.44.5-py3-none-any.whl",
        sha256="8f16a56d1dff125dd65322ae021efa7ba5195a6db5102b96862566055b748921",
        licence="Apache-2.0",
    ),
)

SENTENCE = re.compile(r"[A-Z][^<>|\\]*[^.]\.")  # without remains of mark-up
SUPPORT = 0.5  # share of a target's content words that its record must contain
OPENING_CAP = 150  # most targets that begin with the same four words
SERVICE_CAP = 400  # most records of one service
COPIED = 0.7  # share of a held-out target's 4-grams that one training target may contain
DEV, TEST = 0.05, 0.15  # a service whose position is in [0, DEV) is dev, in [DEV, TEST) test, else train


@dataclass(frozen=True)
class Options:
    """The options of a task file's `source:`; a size of None keeps all examples."""

    kinds: tuple[str, ...] = KINDS
    attributes: tuple[str, ...] = ATTRIBUTES
    target_words: tuple[int, int] = (3, 40)
    # Records go with a word that fewer training records hold, of those that pass the other filters; None keeps all. A
    # word may be in fewer records afterwards, when those that held it go for their other words.
    min_word_records: int | None = None
    train_size: int | None = None
    dev_size: int | None = None
    test_size: int | None = None

    def __post_init__(self):
        for key, known in (("kinds", KINDS), ("attributes", ATTRIBUTES)):
            for value in getattr(self, key):
                if value not in known:
                    raise UserError(f"source.{key}: unknown value '{value}'; known: {', '.join(known)}")
        check_bounds("target_words", self.target_words)


def load(archives: dict[str, Path], options: dict[str, Any]) -> Corpus:
    """Build the corpus (see `fdistill.data.sources.source_module`)."""
    chosen = read_options(Options, options)
    corpus = Corpus(
        {}, split_rule=f"by service, seeded hash: {1 - TEST:.0%} train, {DEV:.0%} dev, {TEST - DEV:.0%} test"
    )
    records = [record for model in read_models(archives["botocore"]) for record in model_records(*model, chosen.kinds)]
    records = select(records, chosen, corpus)
    splits = split(records, corpus)
    if chosen.min_word_records is not None:
        splits = with_known_words(splits, chosen, corpus)
    for name, size in (("train", chosen.train_size), ("dev", chosen.dev_size), ("test", chosen.test_size)):
        examples = to_examples(splits[name], chosen.attributes, merge=name != "train")
        if size is not None:
            corpus.count(f"{name}: sampled", len(examples), min(size, len(examples)))
            examples = examples[:size]
        corpus.splits[name] = examples
    return corpus


def select(records: list[Record], chosen: Options, corpus: Corpus) -> list[Record]:
    """Return the records that pass every filter, in a fixed random order; `corpus` counts what each filter keeps."""

    def keep(step: str, kept: list[Record]) -> None:
        nonlocal records
        corpus.count(step, len(records), len(kept))
        records = kept

    low, high = chosen.target_words
    keep("a full sentence", [r for r in records if SENTENCE.fullmatch(r.target)])
    keep(f"{low} to {high} words", [r for r in records if low <= len(r.target.split()) <= high])
    records = shuffled(records, key=lambda r: r.id)
    keep(
        "one record per name and sentence of a service",
        distinct(records, key=lambda r: (r.service, r.name.lower(), r.target)),
    )
    keep(
        f"record holds {SUPPORT:.0%} of the target's content words",
        [r for r in records if support(r.target, r.source(chosen.attributes)) >= SUPPORT],
    )
    keep(
        f"opening four words, at most {OPENING_CAP}",
        capped(records, lambda r: tuple(r.target.lower().split()[:4]), OPENING_CAP),
    )
    keep(f"service, at most {SERVICE_CAP}", capped(records, lambda r: r.service, SERVICE_CAP))
    return records


# Words that a record cannot be expected to contain.
FUNCTION_WORDS = frozenset(
    words(
        """a about after all an and any are as at be been before being both but by can could did do does each
        either for from had has have how if in into is it its may might more most must no not of on one only
        or other over per should since so some such than that the their them then there these they this those
        through to under until up upon used using via was we were what when where whether which while who
        whose why will with within would you your"""
    )
)
ENDING = re.compile(r"(?:ations?|ions?|ings?|ed|ers?|ies|es|s|e|y)$")


def stem(word: str) -> str:
    """Return a crude stem, the same for `policies` and `policy`, and for `creates`, `created` and `creation`."""
    short = ENDING.sub("", word)
    return short if len(short) >= 3 else word


def support(target: str, source: str) -> float:
    """Return the share of the target's content words whose stem is in the source; 0 without content words."""
    content = [stem(word) for word in words(target) if word not in FUNCTION_WORDS]
    stems = {stem(word) for word in words(source)}
    return sum(word in stems for word in content) / len(content) if content else 0.0


def split(records: list[Record], corpus: Corpus) -> dict[str, list[Record]]:
    """Return the records by split, without held-out targets that are nearly a training target."""
    splits: dict[str, list[Record]] = {"train": [], "dev": [], "test": []}
    for record in records:
        place = position(record.service)
        splits["dev" if place < DEV else "test" if place < TEST else "train"].append(record)
    overlap = Overlap(n=4)
    for record in splits["train"]:
        overlap.add(words(record.target))
    for name in ("dev", "test"):
        kept = [record for record in splits[name] if overlap(words(record.target)) <= COPIED]
        step = f"{name}: at most {COPIED:.0%} of its 4-grams in one training target"
        corpus.count(step, len(splits[name]), len(kept))
        splits[name] = kept
    return splits


def with_known_words(splits: dict[str, list[Record]], chosen: Options, corpus: Corpus) -> dict[str, list[Record]]:
    """Return the records of which at least `min_word_records` of the given training records hold each word.

    Words are counted once, before any record goes, and so may be in fewer of the returned training records.
    Words are those of source and target. Rarer ones are mostly names of one service's own things: no model can learn
    them from the other services, and a small one makes up words in their place.
    """

    def vocabulary(record: Record) -> set[str]:
        return set(words(f"{record.source(chosen.attributes)} {record.target}"))

    holding = Counter(word for record in splits["train"] for word in vocabulary(record))
    known = {word for word, count in holding.items() if count >= chosen.min_word_records}
    kept = {name: [r for r in records if vocabulary(r) <= known] for name, records in splits.items()}
    for name, records in splits.items():
        step = f"{name}: each word in {chosen.min_word_records} of the training records so far"
        corpus.count(step, len(records), len(kept[name]))
    return kept


def to_examples(records: list[Record], attributes: tuple[str, ...], merge: bool) -> list[Example]:
    """Return examples in the records' order; with `merge`, records of equal text are one with several references."""
    alike: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        alike[record.source(attributes) if merge else record.id].append(record)
    return [
        Example(
            id=same[0].id,
            group=same[0].service,
            source=same[0].source(attributes),
            references=tuple(dict.fromkeys(record.target for record in same)),
        )
        for same in alike.values()
    ]
