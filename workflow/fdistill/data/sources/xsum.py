"""XSum (Narayan et al. 2018): a BBC article -> its one-sentence summary."""

from pathlib import Path
from typing import Any

from fdistill.data.sources import Corpus, Example, published
from fdistill.data.sources.filters import read_options
from fdistill.data.sources.hub import Hub
from fdistill.data.sources.published import Options, one_line
from fdistill.data.sources.rows import Row

ARCHIVES = ()
HUB = Hub(
    id="EdinburghNLP/xsum",
    revisions=("main", "refs/convert/parquet"),  # main has had a loading script only
    licence="unknown",  # as the hub states it
    elsewhere="JSON lines or Parquet with the columns document and summary",
)


def load(archives: dict[str, Path], options: dict[str, Any]) -> Corpus:
    """Build the corpus (see `fdistill.data.sources.source_module`)."""
    chosen = read_options(Options, options)
    corpus = published.read_corpus(published.SPLIT_RULE, chosen, HUB, {}, as_examples)
    return published.finish(corpus, chosen.expected_counts)


def as_examples(row: Row, id: str) -> list[Example]:
    """One article, on one line as in the data that BART was fine-tuned on; its summary."""
    return [Example(id, id, one_line(row.text("document")), (one_line(row.text("summary")),))]
