"""WMT16 EN-RO (Bojar et al. 2016): an English sentence -> its Romanian translation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdistill.data.sources import Corpus, Example
from fdistill.data.sources.files.rows import Row
from fdistill.data.sources.filters import shuffled
from fdistill.data.sources.options import read_options
from fdistill.data.sources.published.dataset import Published, PublishedOptions, finish, read_corpus
from fdistill.data.sources.published.hub import PARQUET_BRANCH, Hub
from fdistill.data.sources.published.web import WebFiles, archived_pairs

ARCHIVES = ()
REPOSITORY, CONFIG = "wmt/wmt16", "ro-en"


@dataclass(frozen=True)
class Options(PublishedOptions):
    """The options of a task file's `source:`."""

    train_size: int | None = None  # pairs without blanks that are sampled from train; None keeps all
    sample_seed: int = 1


def load(archives: dict[str, Path], options: dict[str, Any]) -> Corpus:
    """Build the corpus (see `fdistill.data.sources.source_module`).

    An example's id has the number of its row, so that the prepared training split records which rows were sampled.
    """
    chosen = read_options(Options, options)
    corpus = read_corpus(DATASET, chosen)
    corpus.splits["train"] = sample(corpus.splits["train"], chosen, corpus)
    return finish(corpus, chosen.expected_counts)


def as_examples(row: Row, id: str) -> list[Example]:
    """Return a row's pair of sentences, which are under `translation`, as on the hub, or in columns `en` and `ro`."""
    where = ("translation",) if row.has("translation") else ()
    return [Example(id, id, row.text(*where, "en"), (row.text(*where, "ro"),))]


def sample(examples: list[Example], chosen: Options, corpus: Corpus) -> list[Example]:
    """Return `train_size` examples with text on both sides, chosen by the seed, in the order of the data set."""
    full = [example for example in examples if example.source.strip() and example.references[0].strip()]
    corpus.count("train: neither side blank", len(examples), len(full))
    sampled = shuffled(full, key=lambda example: f"{chosen.sample_seed}/{example.id}")[: chosen.train_size]
    corpus.count("train: sampled", len(full), len(sampled))
    if chosen.train_size is not None:
        corpus.split_rule += "; train is a seeded sample"
    ids = {example.id for example in sampled}
    return [example for example in full if example.id in ids]


DATASET = Published(
    name="WMT16 EN-RO",
    licence="unknown",  # as the hub states it
    places=(
        Hub(REPOSITORY, CONFIG),
        Hub(REPOSITORY, CONFIG, PARQUET_BRANCH),
        WebFiles(
            ("https://cdn-datasets.huggingface.co/translation/wmt_en_ro.tar.gz",),
            archived_pairs,
            note="these files were preprocessed for other systems: their text differs from the hub's, "
            "and scores may not be comparable with published ones",
        ),
    ),
    as_examples=as_examples,
    columns=("translation", "en", "ro"),
    local_files="JSON lines or Parquet with the column translation: {en, ro}, any table with the columns en and ro, "
    "or .source with .target",
)
