"""The user's own data set, in files of sources and targets that a task file names.

An empty source or target is a bad row here. In a published data set it is not, since papers count such examples too.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fdistill.data.sources import SPLITS, UNLABELLED, Corpus, Example
from fdistill.data.sources.files.identification import suffix_of
from fdistill.data.sources.files.local_files import (
    AS_GIVEN,
    FORMATS,
    HEADED,
    PATH,
    check_path,
    check_per_split,
    read_files,
    read_sources,
)
from fdistill.data.sources.files.rows import BadRow, BadRows, Row, listed
from fdistill.data.sources.options import read_options
from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import nearest

log = logging.getLogger(__name__)

ARCHIVES = ()
REFUSE, DROP = "refuse", "drop"


@dataclass(frozen=True)
class Options:
    """The options of a task file's `source:`."""

    path: dict[str, str] = field(metadata=PATH)
    source_column: str = "source"
    target_column: str | list[str] = "target"  # a text or a list of references; or a column per reference
    group_column: str | None = None  # rows of one group, such as a conversation, belong together
    id_column: str | None = None  # default: the row's split and place
    expected_counts: dict[str, int] | None = None  # per split; default: any number
    on_bad_rows: str = REFUSE  # or "drop", which counts them
    licence: str = "not stated"  # of the data, for the manifest and the model card

    def __post_init__(self):
        check_path(self.path, FORMATS)
        if self.expected_counts:
            check_per_split("expected_counts", self.expected_counts, int, "a whole number")
        if self.on_bad_rows not in (REFUSE, DROP):
            raise UserError(f"source.on_bad_rows: '{self.on_bad_rows}' is unknown; known: {REFUSE}, {DROP}")

    @property
    def columns(self) -> dict[str, str]:
        """The names of the columns that are read, each with the option that names it."""
        targets = self.target_column if isinstance(self.target_column, tuple) else (self.target_column,)
        options = {self.group_column: "group_column", self.id_column: "id_column"}
        options |= dict.fromkeys(targets, "target_column") | {self.source_column: "source_column"}
        return {column: option for column, option in options.items() if column is not None}


def load(archives: dict[str, Path], options: dict[str, Any]) -> Corpus:
    """Build the corpus (see `fdistill.data.sources.source_module`).

    All files are read before bad rows are refused or dropped. Raises UserError also when a split has no good row.
    """
    chosen = read_options(Options, options)
    rows, origins = read_files(chosen.path, FORMATS, chosen.columns)
    bad_rows, places = BadRows(), {}
    checked = {split: _with_columns(rows[split], chosen.path[split], chosen.columns) for split in SPLITS}
    splits = {
        split: bad_rows.examples(
            split, checked[split], lambda row, _, split=split: [_example(row, split, chosen, places)]
        )
        for split in SPLITS
    }
    unlabelled = _unlabelled(chosen, bad_rows, places)
    if not all(splits.values()) or (UNLABELLED in chosen.path and not unlabelled):
        bad_rows.refuse("Correct the files: every split needs a row that can be used")
    if chosen.on_bad_rows == REFUSE:
        bad_rows.refuse(f"Correct the files, or leave such rows out: source.on_bad_rows: {DROP}")
    origins = [origin | {"licence": chosen.licence} for origin in origins]
    corpus = Corpus(splits, AS_GIVEN, origins=origins, dropped=bad_rows.counts, unlabelled=unlabelled)
    for split, count in bad_rows.counts.items():
        if count:
            used = len(unlabelled if split == UNLABELLED else splits[split])
            log.warning("%s: %d bad rows dropped", split, count)
            corpus.count(f"{split}: rows that can be used", used + count, used)
    for reason in bad_rows.reasons:
        log.warning("dropped: %s", reason)
    corpus.check_sizes(chosen.expected_counts)
    return corpus


def _unlabelled(chosen: Options, bad_rows: BadRows, places: dict[str, str]) -> list[Example]:
    """The inputs of `path.unlabelled`, if it is there; targets are not read.

    The file need not have ids, nor groups: a column that is missing, or empty in every row, is as one without a name.
    """
    if UNLABELLED not in chosen.path:
        return []
    columns = {column: option for column, option in chosen.columns.items() if option != "target_column"}
    readable = (row for row in read_sources(chosen.path, columns) if not _is_bad(row))
    filled = {column for row in readable for column in columns if not _is_blank(row.values.get(column))}
    optional = {"id_column": chosen.id_column, "group_column": chosen.group_column}
    given = replace(chosen, **{option: column if column in filled else None for option, column in optional.items()})
    needed = {chosen.source_column: "source_column"}
    rows = _with_columns(read_sources(chosen.path, columns), chosen.path[UNLABELLED], needed)
    return bad_rows.examples(UNLABELLED, rows, lambda row, _: [_example(row, UNLABELLED, given, places)])


def _is_bad(row: Row) -> bool:
    """Whether a row has no columns that could be read."""
    return isinstance(row, BadRow) or not isinstance(row.values, dict)


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _with_columns(rows: Iterable[Row], file: str, columns: dict[str, str]) -> Iterator[Row]:
    """Yield the rows of a file; raises UserError for a column that none of them has.

    That is known from the first row of a format with a header, and from the last one of JSON lines.
    """
    lacking, found = dict(columns), {}
    for row in rows:
        if lacking and not _is_bad(row):
            found |= dict.fromkeys([*row.values, *row.unread])
            lacking = {column: option for column, option in lacking.items() if column not in found}
            if lacking and suffix_of(file) in HEADED:
                break
        yield row
    if lacking and found:
        column, option = lacking.popitem()
        raise UserError(f"{file}: no column '{column}' (source.{option}); {_hint(column, list(found), file)}")


def _hint(column: str, found: list[str], file: str) -> str:
    """What the name of a missing column may have been meant for, or the columns that there are."""
    if len(found) == 1 and suffix_of(file) in (".csv", ".tsv") and any(mark in found[0] for mark in ";,\t|"):
        return f"its only column is '{found[0]}'; separate columns by commas in a .csv file, by tabs in a .tsv file"
    near = nearest(column, found)
    return near if near.startswith("did you mean") else f"found: {listed(found)}"


def _example(row: Row, split: str, chosen: Options, places: dict[str, str]) -> Example:
    """The example of a row; `places` collects the ids of all splits and their rows.

    Without a column of ids a row's place is its id, and without one of groups its id is its group.
    """
    id = f"{split}/{row.place.rpartition(', ')[2]}" if chosen.id_column is None else _name(row, chosen.id_column)
    if id in places:
        raise UserError(f"{row.place}: id '{id}' was given already ({places[id]}); make every id unique")
    group = id if chosen.group_column is None else _name(row, chosen.group_column)
    references = () if split == UNLABELLED else _references(row, chosen.target_column)
    example = Example(id, group, _filled(row, chosen.source_column), references)
    if any("\0" in text for text in (id, group, example.source, *example.references)):
        raise UserError(f"{row.place}: has a NUL character, which no text has; correct or remove the row")
    places[id] = row.place
    return example


def _filled(row: Row, column: str) -> str:
    text = row.text(column)
    if not text.strip():
        raise UserError(f"{row.place}: '{column}' is empty; fill it in or remove the row")
    return text


def _references(row: Row, target: str | tuple[str, ...]) -> tuple[str, ...]:
    """The references: one text, a list of texts, or the texts of several columns without the empty ones."""
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
