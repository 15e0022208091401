"""Sources: where a task's text comes from.

A new source is one module and one line in `SOURCES`. `embedded` has corpora from pinned packages, `published` the
papers' data sets, `files` the user's own files and the formats that they may have.
"""

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from fdistill.runtime.errors import UserError

SPLITS = ("train", "dev", "test")
UNLABELLED = "unlabelled"  # a fourth split, of inputs without references; it may be empty

# kind (as written in a task file's `source: {kind: ...}`) -> module in this package
SOURCES = {
    "botocore": "embedded.botocore",
    "docstrings": "embedded.docstrings",
    "wordnet_ro": "embedded.wordnet_ro",
    "chitchat": "embedded.chitchat",
    "cmudict": "embedded.cmudict",
    "dart": "published.dart",
    "xsum": "published.xsum",
    "wmt16": "published.wmt16",
    "commonsense_dialogues": "published.commonsense_dialogues",
    "cnn_dailymail": "published.cnn_dailymail",
    "squad_questions": "published.squad_questions",
    "shakespeare": "published.shakespeare",
    "art": "published.art",
    "files": "files.own_files",
}


@dataclass(frozen=True)
class Example:
    """One input with its references, none if it is unlabelled.

    Examples of one `group` (a service, a conversation) lie in the same split.
    """

    id: str
    group: str
    source: str
    references: tuple[str, ...]


@dataclass
class Corpus:
    """What a source returns: the splits, and for the manifest how they were built."""

    splits: dict[str, list[Example]]  # by the names in SPLITS
    split_rule: str  # in words, for the manifest and the data table
    # {"step", "before", "after"} per filter, in order
    counts: list[dict[str, Any]] = field(default_factory=list)
    # inputs that are not pinned archives: {"package", "version", "licence"}, and for files "sha256", "url", "note"
    origins: list[dict[str, str]] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)  # rows by split that were left out because they are bad
    unlabelled: list[Example] = field(default_factory=list)  # inputs without references, which train students too

    def count(self, step: str, before: int, after: int) -> None:
        """Record the number of items before and after one filter."""
        self.counts.append({"step": step, "before": before, "after": after})

    def check_sizes(self, expected: dict[str, int] | None) -> None:
        """Raise UserError, with both numbers, unless the splits have the expected sizes (None: any)."""
        sizes = {split: len(self.splits[split]) for split in SPLITS}
        wrong = [
            f"{split} has {sizes[split]:,} examples, not {expected[split]:,}"
            for split in SPLITS
            if expected and sizes[split] != expected[split]
        ]
        if wrong:
            raise UserError(
                f"source.expected_counts: {'; '.join(wrong)}. Check that this is the whole data set in the right "
                "version; to use it as it is, set source.expected_counts to null in the task file"
            )


def source_module(kind: str) -> ModuleType:
    """Return the module of a source kind; raises UserError for an unknown kind.

    The module has `ARCHIVES: tuple[Archive, ...]`, the pinned files that it reads (see `fdistill.data.archives`);
    `Options`, a dataclass of the task file's `source:` mapping; and `load(archives: dict[str, Path], options: dict) ->
    Corpus`, where `archives` maps the package name of an archive to its verified local file.
    """
    if kind not in SOURCES:
        raise UserError(f"source.kind: unknown source '{kind}'; known: {', '.join(SOURCES)}")
    return importlib.import_module(f"fdistill.data.sources.{SOURCES[kind]}")


def load(kind: str, archives: dict[str, Path], options: dict[str, Any]) -> Corpus:
    """Build the corpus of a source kind from its verified archives; raises UserError for bad options or files."""
    return source_module(kind).load(archives, options)
