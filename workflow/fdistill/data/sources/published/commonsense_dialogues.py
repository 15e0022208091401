"""Commonsense-Dialogues (Zhou et al. 2021): a social context and the turns so far -> the next turn.

Every turn is a target, the first one, too, which follows the context alone: this gives the sizes of Wen et
al. 2023, Table 6. A source is the context and the turns before it, each closed by `chitchat`'s separator.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from fdistill.data.sources import Corpus, Example
from fdistill.data.sources.embedded.chitchat import TURN_SEPARATOR
from fdistill.data.sources.files import local_files
from fdistill.data.sources.files.rows import Row
from fdistill.data.sources.files.text_files import json_document
from fdistill.data.sources.options import read_options
from fdistill.data.sources.published.dataset import (
    SPLIT_RULE,
    Published,
    PublishedOptions,
    finish,
    one_line,
    read_corpus,
)
from fdistill.data.sources.published.hub import PARQUET_BRANCH, Hub
from fdistill.data.sources.published.web import WebFiles, one_per_split
from fdistill.runtime.errors import UserError

ARCHIVES = ()
FILES = "https://raw.githubusercontent.com/alexa/Commonsense-Dialogues/main/data/"
REPOSITORY = "gretelai/commonsense-dialogues"


def load(archives: dict[str, Path], options: dict[str, Any]) -> Corpus:
    """Build the corpus (see `fdistill.data.sources.source_module`)."""
    chosen = read_options(Options, options)
    return finish(read_corpus(DATASET, chosen), chosen.expected_counts)


def as_examples(row: Row, dialogue: str) -> Iterator[Example]:
    """One example per turn of a dialogue."""
    turns = row.get("turns")
    if not isinstance(turns, list) or not all(isinstance(turn, str) for turn in turns):
        raise row.wrong("turns", "a list of texts")
    said = [one_line(text) for text in (row.text("context"), *turns)]
    for number, turn in enumerate(said[1:]):
        source = "".join(f"{text}{TURN_SEPARATOR}" for text in said[: number + 1])
        yield Example(id=f"{dialogue}/{number}", group=dialogue, source=source, references=(turn,))


def json_dialogues(file: Path) -> Iterator[Row]:
    """The dialogues of a raw JSON file, a mapping from their ids."""
    dialogues = json_document(file)
    if not isinstance(dialogues, dict):
        raise UserError(f"{file}: not a mapping of dialogues; give a Commonsense-Dialogues file")
    for name, dialogue in dialogues.items():
        yield Row(f"{file}, dialogue '{name}'", dialogue)


FORMATS = local_files.FORMATS | {".json": json_dialogues}
DATASET = Published(
    name="Commonsense Dialogue",
    licence="CC-BY-NC-4.0",
    places=(  # the authors' own files first: the hub has copies by others
        WebFiles((f"{FILES}train.json", f"{FILES}valid.json", f"{FILES}test.json"), one_per_split(FORMATS)),
        Hub(REPOSITORY),
        Hub(REPOSITORY, revision=PARQUET_BRANCH),
    ),
    as_examples=as_examples,
    local_files="data/*.json of the GitHub repository alexa/Commonsense-Dialogues",
    split_rule=f"{SPLIT_RULE}, by dialogue",
)


@dataclass(frozen=True)
class Options(PublishedOptions):
    """The task file's `source:` mapping."""

    formats: ClassVar = FORMATS
