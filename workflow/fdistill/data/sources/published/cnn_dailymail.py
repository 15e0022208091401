"""CNN/DailyMail (See et al. 2017): a news article -> its highlights, a summary of a few sentences."""

from pathlib import Path
from typing import Any

from fdistill.data.lines import one_line, tidy_lines
from fdistill.data.sources import Corpus, Example
from fdistill.data.sources.files.rows import Row
from fdistill.data.sources.options import read_options
from fdistill.data.sources.published.dataset import Published, finish, read_corpus
from fdistill.data.sources.published.dataset import PublishedOptions as Options
from fdistill.data.sources.published.hub import PARQUET_BRANCH, Hub

ARCHIVES = ()
REPOSITORY, VERSION = "abisee/cnn_dailymail", "3.0.0"


def load(archives: dict[str, Path], options: dict[str, Any]) -> Corpus:
    """Build the corpus (see `fdistill.data.sources.source_module`)."""
    chosen = read_options(Options, options)
    return finish(read_corpus(DATASET, chosen), chosen.expected_counts)


def as_examples(row: Row, id: str) -> list[Example]:
    """Return an article with its highlights, a line each: rougeLsum takes lines for sentences."""
    return [Example(id, id, one_line(row.text("article")), (tidy_lines(row.text("highlights")),))]


DATASET = Published(
    name="CNN/DailyMail",
    licence="Apache-2.0",  # as the hub states it
    places=(Hub(REPOSITORY, VERSION), Hub(REPOSITORY, VERSION, PARQUET_BRANCH)),
    as_examples=as_examples,
    columns=("article", "highlights"),
    local_files="JSON lines, CSV, TSV or Parquet with the columns article and highlights, or .source with .target",
)
