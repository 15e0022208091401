"""What published data sets share: splits that are given, places where they can be read, and known sizes."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import ClassVar

from fdistill.data.sources import SPLITS, UNLABELLED, Corpus, Example
from fdistill.data.sources.files.local_files import (
    AS_GIVEN,
    FORMATS,
    PATH,
    Reader,
    check_path,
    check_per_split,
    read_files,
    read_sources,
)
from fdistill.data.sources.files.rows import BadRows, Pair, Row, Rows
from fdistill.data.sources.published.hub import Hub, HubDown
from fdistill.data.sources.published.web import WebFiles
from fdistill.runtime.errors import UserError

log = logging.getLogger(__name__)

SPLIT_RULE = "as published"

AsExamples = Callable[[Row, str], Iterable[Example]]  # (row, id) -> examples


@dataclass(frozen=True)
class Published:
    """A published data set: the places where it can be read, and what its rows mean."""

    name: str
    licence: str
    places: tuple[Hub | WebFiles, ...]  # tried in this order
    as_examples: AsExamples
    columns: tuple[str, ...]  # those that `as_examples` reads
    local_files: str  # which local files can be given instead, in words
    split_rule: str = SPLIT_RULE  # of the places; local files are split as they are given


@dataclass(frozen=True)
class PublishedOptions:
    """The options of a task file's `source:` that all published data sets have."""

    path: dict[str, str] | None = field(default=None, metadata=PATH)  # default: the hub or the web
    expected_counts: dict[str, int] | None = None  # per split; default: any number
    formats: ClassVar[dict[str, Reader]] = FORMATS  # readers of the files in `path`, by suffix

    def __post_init__(self):
        if self.path:
            check_path(self.path, self.formats)
        if self.expected_counts:
            check_per_split("expected_counts", self.expected_counts, int, "a whole number")


def read_corpus(dataset: Published, options: PublishedOptions) -> Corpus:
    """Return the examples of every row, in order, from `options.path` or else from the data set's places.

    Unlabelled inputs in `options.path` have the form of the model's own, in the column `source`.
    Raises UserError when no place has the data set whole, with the reason of each.
    """
    if not options.path:
        return _from_places(dataset)
    rows, origins = read_files(options.path, options.formats, dataset.columns)
    bad_rows = BadRows()
    splits = _examples(dataset, rows, bad_rows)
    sources = read_sources(options.path, ("source",))
    unlabelled = bad_rows.examples(UNLABELLED, sources, lambda row, n: [_unlabelled(row, f"{UNLABELLED}/{n}")])
    bad_rows.refuse("Correct the files, or take another copy of the data set")
    return Corpus(splits, AS_GIVEN, origins=origins, unlabelled=unlabelled)


def _from_places(dataset: Published) -> Corpus:
    """The corpus from the first place that has it whole."""
    failures, hub_down = [], False
    for place in dataset.places:
        if hub_down and isinstance(place, Hub):
            failures.append(f"{place}: not tried")
            continue
        try:
            rows, origins = place.read()
            bad_rows = BadRows()
            corpus = Corpus(_examples(dataset, rows, bad_rows), dataset.split_rule)
            if bad_rows.reasons:
                raise UserError(bad_rows.reasons[0])
        except UserError as error:
            hub_down = hub_down or isinstance(error, HubDown)
            failures.append(f"{place}: {error}")
            log.warning("%s cannot be read from %s", dataset.name, failures[-1])
            continue
        corpus.origins = [{"licence": dataset.licence} | origin for origin in origins]
        log.info("%s read from %s", dataset.name, place)
        for note in (origin["note"] for origin in origins if "note" in origin):
            log.warning("%s: %s", dataset.name, note)
        return corpus
    raise UserError(
        f"{dataset.name} cannot be read; tried in this order:\n  " + "\n  ".join(failures) + "\n"
        "Check the network, or name local files in the task file: "
        f"source.path: {{train: FILE, dev: FILE, test: FILE}} ({dataset.local_files})"
    )


def _examples(dataset: Published, rows: Rows, bad_rows: BadRows) -> dict[str, list[Example]]:
    def examples_of(row: Row, id: str) -> Iterable[Example]:
        if isinstance(row, Pair):
            return [Example(id, id, row.text("source"), (row.text("target"),))]
        return dataset.as_examples(row, id)

    return {
        split: bad_rows.examples(split, rows[split], lambda row, n, split=split: examples_of(row, f"{split}/{n}"))
        for split in SPLITS
    }


def _unlabelled(row: Row, id: str) -> Example:
    if not row.text("source").strip():
        raise UserError(f"{row.place}: 'source' is empty; fill it in or remove the row")
    return Example(id, id, row.text("source"), ())


def finish(corpus: Corpus, expected: dict[str, int] | None) -> Corpus:
    """Check the splits' sizes, then drop blank references and examples without text, which are of no use.

    Sizes in papers include blank examples, hence the order. Raises UserError as `Corpus.check_sizes` does.
    """
    corpus.check_sizes(expected)
    for split, examples in corpus.splits.items():
        kept = [example for example in map(_without_blanks, examples) if example.source.strip() and example.references]
        corpus.count(f"{split}: source and reference not blank", len(examples), len(kept))
        corpus.splits[split] = kept
    return corpus


def _without_blanks(example: Example) -> Example:
    return replace(example, references=tuple(text for text in example.references if text.strip()))
