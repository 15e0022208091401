"""A data set of the user's own, in files of sources and targets: one task file describes it.

Unlike the published data sets, which their papers count with all their flaws, it is refused when a source or a
target is empty.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdistill.data.sources import Corpus, Example
from fdistill.data.sources.files.local_files import FORMATS, check_path, check_per_split, read_files
from fdistill.data.sources.files.rows import SPLITS, Row
from fdistill.data.sources.options import read_options
from fdistill.data.sources.published.dataset import check_counts
from fdistill.runtime.errors import UserError

ARCHIVES = ()
SPLIT_RULE = "as given"


@dataclass(frozen=True)
class Options:
    """The task file's `source:` mapping."""

    path: dict[str, str]  # a file per split
    source_column: str = "source"
    target_column: str | list[str] = "target"  # a text, or a list of references; or a column per reference
    group_column: str | None = None  # what belongs together, as the turns of a conversation
    id_column: str | None = None  # without: where the row stands
    expected_counts: dict[str, int] | None = None  # per split; without: any

    def __post_init__(self):
        check_path(self.path, FORMATS)
        if self.expected_counts:
            check_per_split("expected_counts", self.expected_counts, int, "a whole number")


def load(archives: dict[str, Path], options: dict[str, Any]) -> Corpus:
    """Build the corpus (see `fdistill.data.sources.source_module`)."""
    chosen = read_options(Options, options)
    rows, origins = read_files(chosen.path, FORMATS)
    seen: dict[str, str] = {}
    splits = {split: list(_examples(rows[split], split, chosen, seen)) for split in SPLITS}
    corpus = Corpus(splits, SPLIT_RULE, origins=origins)
    check_counts(corpus, chosen.expected_counts)
    return corpus


def _examples(rows: Iterable[Row], split: str, chosen: Options, seen: dict[str, str]) -> Iterator[Example]:
    """One example per row; `seen` gathers the ids of all splits, and where they stand."""
    for row in rows:
        id = _name(row, chosen.id_column) if chosen.id_column else f"{split}/{row.place.rpartition(', ')[2]}"
        if id in seen:
            raise UserError(f"{row.place}: id '{id}' was given already ({seen[id]}); ids tell the examples apart")
        seen[id] = row.place
        group = _name(row, chosen.group_column) if chosen.group_column else id
        yield Example(id, group, _filled(row, chosen.source_column), _references(row, chosen.target_column))


def _filled(row: Row, column: str) -> str:
    text = row.text(column)
    if not text.strip():
        raise UserError(f"{row.place}: '{column}' is empty; fill it in or remove the row")
    return text


def _references(row: Row, target: str | tuple[str, ...]) -> tuple[str, ...]:
    """The references: a text, a list of texts, or those of several columns that are not empty."""
    if isinstance(target, tuple):
        texts = tuple(text for column in target if (text := row.text_or_blank(column)).strip())
        if not texts:
            raise UserError(f"{row.place}: {', '.join(target)} are all empty; fill one in or remove the row")
        return texts
    value = row.get(target)
    if not isinstance(value, list):
        return (_filled(row, target),)
    if not value or not all(isinstance(text, str) and text.strip() for text in value):
        raise row.wrong(target, "a text or a list of texts, none of them empty")
    return tuple(value)


def _name(row: Row, column: str) -> str:
    value = row.get(column)
    if not isinstance(value, str | int) or not str(value).strip():
        raise row.wrong(column, "a name or a number")
    return str(value)
