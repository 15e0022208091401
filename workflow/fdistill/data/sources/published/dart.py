"""DART v1.1.1 (Nan et al. 2021): a set of triples -> a sentence that expresses them.

A source is the triples, `subject : relation : object` with the relation in lower case, joined by ` | `.

Train and dev have one example per entry of the data set. Test has one per distinct set of triples, with the references
of all its entries. These rules reproduce the sizes of Wen et al. 2023, Table 6.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from fdistill.data.sources import Corpus, Example
from fdistill.data.sources.files import local_files
from fdistill.data.sources.files.rows import Row
from fdistill.data.sources.files.text_files import json_document, text_of
from fdistill.data.sources.options import read_options
from fdistill.data.sources.published.dataset import Published, PublishedOptions, finish, read_corpus
from fdistill.data.sources.published.hub import PARQUET_BRANCH, Hub
from fdistill.data.sources.published.web import WebFiles, one_per_split
from fdistill.data.sources.splits import one_per_source
from fdistill.runtime.errors import UserError

ARCHIVES = ()
FILES = "https://raw.githubusercontent.com/Yale-LILY/dart/master/data/v1.1.1/dart-v1.1.1-full-"


def load(archives: dict[str, Path], options: dict[str, Any]) -> Corpus:
    """Build the corpus (see `fdistill.data.sources.source_module`)."""
    chosen = read_options(Options, options)
    corpus = read_corpus(DATASET, chosen)
    merged = one_per_source(corpus.splits["test"], chosen.test_references)
    corpus.count("test: entries with the same triples merged", len(corpus.splits["test"]), len(merged))
    corpus.splits["test"] = merged
    corpus.split_rule += "; test entries with the same triples are one input"
    return finish(corpus, chosen.expected_counts)


def as_examples(row: Row, id: str) -> list[Example]:
    """Return one example per entry, with all its sentences as references."""
    source = " | ".join(f"{s} : {r.lower()} : {o}" for s, r, o in triples(row))
    return [Example(id=id, group=id, source=source, references=tuple(sentences(row)))]


def triples(row: Row) -> list[list[str]]:
    """Return the entry's (subject, relation, object) triples; raises UserError when they have another form."""
    value = row.get("tripleset")
    if not _list_of(value, list) or not all(_list_of(triple, str) and len(triple) == 3 for triple in value):
        raise row.wrong("tripleset", "a list of [subject, relation, object]")
    return value


def sentences(row: Row) -> list[str]:
    """Return the entry's texts; raises UserError when they have another form.

    Annotations are a list of mappings in the authors' files, and a mapping of lists on the hub.
    """
    value = row.get("annotations")
    if _list_of(value, dict):
        value = {"text": [annotation.get("text") for annotation in value]}
    if not isinstance(value, dict) or not _list_of(value.get("text"), str):
        raise row.wrong("annotations", "a list of {source, text} or {source: [...], text: [...]}")
    return value["text"]


def gem_entries(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the entries of GEM's version, whose training split has a row per sentence with the entry's `dart_id`."""
    entries: dict[Any, list[Row]] = {}
    for row in rows:
        entries.setdefault(row.get("dart_id"), []).append(row)
    for same in entries.values():
        texts = [text for row in same for text in row.get("references") or [row.get("target")]]
        yield Row(same[0].place, {"tripleset": same[0].get("tripleset"), "annotations": {"text": texts}})


def json_entries(file: Path) -> Iterator[Row]:
    """Yield the entries of one of the authors' JSON files, which is a list."""
    entries = json_document(file)
    if not isinstance(entries, list):
        raise UserError(f"{file}: not a list of entries; give a DART v1.1.1 file")
    for number, entry in enumerate(entries, start=1):
        yield Row(f"{file}, entry {number}", entry)


def xml_entries(file: Path) -> Iterator[Row]:
    """Yield the entries of one of the authors' XML files in the form of the JSON entries."""
    text = text_of(file)
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise UserError(f"{file}: not valid XML ({error}); check that it is complete") from None
    for number, entry in enumerate(root.iter("entry"), start=1):
        triples = [(triple.text or "").split(" | ") for triple in entry.iterfind("modifiedtripleset/mtriple")]
        texts = [lex.text or "" for lex in entry.iterfind("lex")]
        yield Row(f"{file}, entry {number}", {"tripleset": triples, "annotations": {"text": texts}})


def _list_of(value: Any, type_: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, type_) for item in value)


FORMATS = local_files.FORMATS | {".json": json_entries, ".xml": xml_entries}
DATASET = Published(
    name="DART",
    licence="MIT",
    places=(
        Hub("Yale-LILY/dart", revision=PARQUET_BRANCH),  # its main branch has a loading script only
        Hub("GEM/dart", revision=PARQUET_BRANCH, adapt=gem_entries),
        WebFiles((f"{FILES}train.json", f"{FILES}dev.json", f"{FILES}test.json"), one_per_split(FORMATS)),
        WebFiles((f"{FILES}train.json", f"{FILES}dev.json", f"{FILES}test.xml"), one_per_split(FORMATS)),
    ),
    as_examples=as_examples,
    columns=("tripleset", "annotations"),
    local_files="dart-v1.1.1-full-*.json of the GitHub repository Yale-LILY/dart, data/v1.1.1; .xml for test",
)


@dataclass(frozen=True)
class Options(PublishedOptions):
    """The options of a task file's `source:`."""

    test_references: int | None = None  # the first so many of each test input; None keeps all
    formats: ClassVar = FORMATS
