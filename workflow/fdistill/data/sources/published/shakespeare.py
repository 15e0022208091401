"""Shakespeare's plays in the original and in modern English (Xu et al. 2012), aligned by sentence.

The code of Calderon et al. 2023 translates the original into modern English, Xu et al. do the reverse. An example's
group is its play. Test is Romeo and Juliet, as for Xu et al.; dev is Twelfth Night, train the other fifteen plays.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from fdistill.data.lines import one_line
from fdistill.data.sources import UNLABELLED, Corpus, Example
from fdistill.data.sources.files.rows import Row, Rows
from fdistill.data.sources.files.text_files import parallel_lines
from fdistill.data.sources.options import check_bounds, read_options
from fdistill.data.sources.published.dataset import Published, PublishedOptions, finish, read_corpus
from fdistill.data.sources.published.web import WebFiles
from fdistill.runtime.errors import UserError

ARCHIVES = ()
FILES = "https://raw.githubusercontent.com/cocoxu/Shakespeare/master/data/align/plays/merged/"
ORIGINAL, MODERN = SIDES = ("original", "modern")
DEV, TEST = "twelfthnight", "romeojuliet"
PLAYS = (  # of train, by the names of their files
    *("antony-and-cleopatra", "asyoulikeit", "errors", "hamlet", "henryv", "juliuscaesar", "lear", "macbeth"),
    *("merchant", "msnd", "muchado", "othello", "richardiii", "shrew", "tempest"),
)


@dataclass(frozen=True)
class Options(PublishedOptions):
    """The options of a task file's `source:`."""

    target: str = MODERN  # the English that is written, one of SIDES; the source is the other
    words: tuple[int, int] | None = None  # fewest and most words of either side; None keeps all

    def __post_init__(self):
        super().__post_init__()
        if self.target not in SIDES:
            raise UserError(f"source.target: unknown value '{self.target}'; known: {', '.join(SIDES)}")
        if self.words is not None:
            check_bounds("words", self.words)


def load(archives: dict[str, Path], options: dict[str, Any]) -> Corpus:
    """Build the corpus (see `fdistill.data.sources.source_module`)."""
    chosen = read_options(Options, options)
    corpus = read_corpus(replace(DATASET, as_examples=partial(as_examples, target=chosen.target)), chosen)
    if chosen.words is not None:
        keep_lengths(corpus, *chosen.words)
    return finish(corpus, chosen.expected_counts)


def as_examples(row: Row, id: str, target: str = MODERN) -> list[Example]:
    """Return a pair of sentences, both on one line."""
    source = ORIGINAL if target == MODERN else MODERN
    group = row.text("play") if row.has("play") else id
    return [Example(id, group, one_line(row.text(source)), (one_line(row.text(target)),))]


def keep_lengths(corpus: Corpus, fewest: int, most: int) -> None:
    """Keep the examples whose texts have `fewest` to `most` words, separated by blanks; unlabelled inputs too."""

    def kept(name: str, examples: list[Example], where: str) -> list[Example]:
        fitting = [
            example
            for example in examples
            if all(fewest <= len(text.split()) <= most for text in (example.source, *example.references))
        ]
        corpus.count(f"{name}: {fewest} to {most} words{where}", len(examples), len(fitting))
        return fitting

    for split, examples in corpus.splits.items():
        corpus.splits[split] = kept(split, examples, " on both sides")
    if corpus.unlabelled:
        corpus.unlabelled = kept(UNLABELLED, corpus.unlabelled, "")


def files_of(*plays: str) -> tuple[str, ...]:
    """Return the addresses of the aligned files of plays: of each the original, then the modern one."""
    return tuple(f"{FILES}{play}_{side}.snt.aligned" for play in plays for side in SIDES)


def play_rows(files: list[Path]) -> Rows:
    """Read the files of `files_of(*PLAYS, DEV, TEST)`."""
    pairs = zip(files[::2], files[1::2], strict=True)
    rows = {play: _sentences(play, *pair) for play, pair in zip((*PLAYS, DEV, TEST), pairs, strict=True)}
    return {"train": chain(*(rows[play] for play in PLAYS)), "dev": rows[DEV], "test": rows[TEST]}


def _sentences(play: str, original: Path, modern: Path) -> Iterator[Row]:
    for row in parallel_lines(original, modern):
        yield Row(row.place, {"play": play, ORIGINAL: row.text("source"), MODERN: row.text("target")})


DATASET = Published(
    name="Shakespeare",
    licence="not stated",
    places=(WebFiles(files_of(*PLAYS, DEV, TEST), play_rows),),
    as_examples=as_examples,
    columns=(*SIDES, "play"),
    local_files="JSON lines, CSV, TSV or Parquet with the columns original and modern, and play if the plays are "
    "known, or .source with .target",
    split_rule="by play: test is Romeo and Juliet, dev Twelfth Night",
)
