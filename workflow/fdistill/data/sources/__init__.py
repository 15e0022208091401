"""Where a task's text comes from. A new corpus is one module here and one line in `SOURCES`."""

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from fdistill.runtime.errors import UserError

# kind (as written in a task file's `source: {kind: ...}`) -> module in this package
SOURCES = {
    "botocore": "embedded.botocore",
    "docstrings": "embedded.docstrings",
    "wordnet_ro": "embedded.wordnet_ro",
    "chitchat": "embedded.chitchat",
    "dart": "published.dart",
    "xsum": "published.xsum",
    "wmt16": "published.wmt16",
    "commonsense_dialogues": "published.commonsense_dialogues",
    "cnn_dailymail": "published.cnn_dailymail",
    "files": "files.own_files",
}


@dataclass(frozen=True)
class Example:
    """One input with its references; `group` is what a split never cuts (a service, a conversation)."""

    id: str
    group: str
    source: str
    references: tuple[str, ...]


@dataclass
class Corpus:
    """What a source module returns: the three splits and how they came about."""

    splits: dict[str, list[Example]]  # keys: train, dev, test
    split_rule: str  # in words, for the manifest and the data table
    # {"step", "before", "after"} per filter, in order
    counts: list[dict[str, Any]] = field(default_factory=list)
    # what was read that is no pinned archive: {"package", "version", "licence"}; of a file "sha256", "url", "note", too
    origins: list[dict[str, str]] = field(default_factory=list)

    def count(self, step: str, before: int, after: int) -> None:
        """Record what one filter kept."""
        self.counts.append({"step": step, "before": before, "after": after})


def source_module(kind: str) -> ModuleType:
    """The module of a source kind.

    It has `ARCHIVES: tuple[Archive, ...]`, the pinned files it reads (see `fdistill.data.archives`), `Options`, a
    dataclass of the task file's `source:` mapping, and `load(archives: dict[str, Path], options: dict) ->
    Corpus`, where `archives` maps an archive's package name to its verified local file.
    """
    if kind not in SOURCES:
        raise UserError(f"source.kind: unknown source '{kind}'; known: {', '.join(SOURCES)}")
    return importlib.import_module(f"fdistill.data.sources.{SOURCES[kind]}")


def load(kind: str, archives: dict[str, Path], options: dict[str, Any]) -> Corpus:
    """Build the corpus of one source kind from its verified archives."""
    return source_module(kind).load(archives, options)
