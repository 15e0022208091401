"""WMT16 EN-RO (Bojar et al. 2016): an English sentence -> its Romanian translation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdistill.data.sources import Corpus, Example, published
from fdistill.data.sources.filters import read_options, shuffled
from fdistill.data.sources.hub import Hub
from fdistill.data.sources.rows import Row

ARCHIVES = ()
HUB = Hub(
    id="wmt/wmt16",
    config="ro-en",
    licence="unknown",  # as the hub states it
    elsewhere="JSON lines or Parquet with the column translation: {en, ro}",
)
SPLIT_RULE = f"{published.SPLIT_RULE}; train is a seeded sample"


@dataclass(frozen=True)
class Options(published.Options):
    """The task file's `source:` mapping."""

    train_size: int | None = None  # pairs drawn from train, blank ones never; None keeps all
    sample_seed: int = 1


def load(archives: dict[str, Path], options: dict[str, Any]) -> Corpus:
    """Build the corpus (see `fdistill.data.sources.source_module`).

    An example's id has the number of its row, so that the prepared training split records what was drawn.
    """
    chosen = read_options(Options, options)
    corpus = published.read_corpus(SPLIT_RULE, chosen, HUB, {}, as_examples)
    corpus.splits["train"] = sample(corpus.splits["train"], chosen, corpus)
    return published.finish(corpus, chosen.expected_counts)


def as_examples(row: Row, id: str) -> list[Example]:
    """One pair of sentences."""
    return [Example(id, id, row.text("translation", "en"), (row.text("translation", "ro"),))]


def sample(examples: list[Example], chosen: Options, corpus: Corpus) -> list[Example]:
    """`train_size` examples with text on both sides, in the order of the data set; the seed decides which."""
    full = [example for example in examples if example.source.strip() and example.references[0].strip()]
    corpus.count("train: neither side blank", len(examples), len(full))
    drawn = shuffled(full, key=lambda example: f"{chosen.sample_seed}/{example.id}")[: chosen.train_size]
    corpus.count("train: sampled", len(full), len(drawn))
    ids = {example.id for example in drawn}
    return [example for example in full if example.id in ids]
