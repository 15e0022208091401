"""DART v1.1.1 (Nan et al. 2021): a set of triples -> a sentence that says them.

A source is its triples, `subject : relation : object`, the relation in lower case, joined by ` | `.

Train and dev have one example per entry of the data set. Test has one per distinct set of triples, whose
references are those of all its entries. These are the rules that give the sizes of Wen et al. 2023, Table 6.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdistill.data.sources import Corpus, Example, published
from fdistill.data.sources.filters import distinct, read_options
from fdistill.data.sources.hub import Hub
from fdistill.data.sources.local_files import Reader, json_document
from fdistill.data.sources.rows import Row
from fdistill.errors import UserError

ARCHIVES = ()
HUB = Hub(
    id="Yale-LILY/dart",
    revisions=("refs/convert/parquet",),  # the main branch has a loading script only
    licence="MIT",
    elsewhere="data/v1.1.1 of the GitHub repository Yale-LILY/dart: dart-v1.1.1-full-*.json; .xml for test",
)
SPLIT_RULE = "as published; test entries with the same triples are one input"


@dataclass(frozen=True)
class Options(published.Options):
    """The task file's `source:` mapping."""

    test_references: int | None = None  # of each test input, the first ones; None keeps all


def load(archives: dict[str, Path], options: dict[str, Any]) -> Corpus:
    """Build the corpus (see `fdistill.data.sources.source_module`)."""
    chosen = read_options(Options, options)
    corpus = published.read_corpus(SPLIT_RULE, chosen, HUB, READERS, as_examples)
    merged = merge(corpus.splits["test"], chosen.test_references)
    corpus.count("test: entries with the same triples merged", len(corpus.splits["test"]), len(merged))
    corpus.splits["test"] = merged
    return published.finish(corpus, chosen.expected_counts)


def as_examples(row: Row, id: str) -> list[Example]:
    """One example per entry, with all its sentences as references."""
    source = " | ".join(f"{s} : {r.lower()} : {o}" for s, r, o in triples(row))
    return [Example(id=id, group=id, source=source, references=tuple(sentences(row)))]


def triples(row: Row) -> list[list[str]]:
    """The entry's (subject, relation, object) triples."""
    value = row.get("tripleset")
    if not _list_of(value, list) or not all(_list_of(triple, str) and len(triple) == 3 for triple in value):
        raise row.wrong("tripleset", "a list of [subject, relation, object]")
    return value


def sentences(row: Row) -> list[str]:
    """The entry's texts. Annotations are a list of mappings in raw files, a mapping of lists on the hub."""
    value = row.get("annotations")
    if _list_of(value, dict):
        value = {"text": [annotation.get("text") for annotation in value]}
    if not isinstance(value, dict) or not _list_of(value.get("text"), str):
        raise row.wrong("annotations", "a list of {source, text} or {source: [...], text: [...]}")
    return value["text"]


def merge(examples: list[Example], limit: int | None) -> list[Example]:
    """One example per source, with the first `limit` of its distinct references, blank ones left out."""
    references: dict[str, dict[str, None]] = {}
    for example in examples:
        references.setdefault(example.source, {}).update(dict.fromkeys(filter(str.strip, example.references)))
    return [
        Example(example.id, example.group, example.source, tuple(references[example.source])[:limit])
        for example in distinct(examples, lambda example: example.source)
    ]


def json_entries(file: Path) -> Iterator[tuple[str, Any]]:
    """The entries of a raw JSON file, a list."""
    entries = json_document(file)
    if not isinstance(entries, list):
        raise UserError(f"{file}: not a list of entries; give a DART v1.1.1 file")
    for number, entry in enumerate(entries, start=1):
        yield f"entry {number}", entry


def xml_entries(file: Path) -> Iterator[tuple[str, Any]]:
    """The entries of a raw XML file, in the form of the JSON ones."""
    try:
        root = ElementTree.parse(file).getroot()
    except ElementTree.ParseError as error:
        raise UserError(f"{file}: not valid XML ({error}); is it complete?") from None
    for number, entry in enumerate(root.iter("entry"), start=1):
        triples = [(triple.text or "").split(" | ") for triple in entry.iterfind("modifiedtripleset/mtriple")]
        texts = [lex.text or "" for lex in entry.iterfind("lex")]
        yield f"entry {number}", {"tripleset": triples, "annotations": {"text": texts}}


def _list_of(value: Any, type_: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, type_) for item in value)


READERS: dict[str, Reader] = {".json": json_entries, ".xml": xml_entries}
