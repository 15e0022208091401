"""Commonsense-Dialogues (Zhou et al. 2021): a social context and the turns so far -> the next turn.

Every turn is a target, also the first one, which follows the context alone: this reproduces the sizes of Wen et al.
2023, Table 6. A source is the context and the turns before the target (`fdistill.data.sources.dialogue`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from fdistill.data.lines import one_line
from fdistill.data.sources import Corpus, Example
from fdistill.data.sources.dialogue import join_turns
from fdistill.data.sources.files import local_files
from fdistill.data.sources.files.rows import Row
from fdistill.data.sources.files.text_files import json_document
from fdistill.data.sources.options import read_options
from fdistill.data.sources.published.dataset import (
    SPLIT_RULE,
    Published,
    PublishedOptions,
    finish,
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
    """Yield one example per turn of a dialogue."""
    turns = row.get("turns")
    if not isinstance(turns, list) or not all(isinstance(turn, str) for turn in turns):
        raise row.wrong("turns", "a list of texts")
    texts = [one_line(text) for text in (row.text("context"), *turns)]
    for number, turn in enumerate(texts[1:]):
        source = join_turns(texts[: number + 1])
        yield Example(id=f"{dialogue}/{number}", group=dialogue, source=source, references=(turn,))


def json_dialogues(file: Path) -> Iterator[Row]:
    """Yield the dialogues of one of the authors' JSON files, which maps ids to dialogues."""
    dialogues = json_document(file)
    if not isinstance(dialogues, dict):
        raise UserError(f"{file}: not a mapping of dialogues; give a Commonsense-Dialogues file")
    for name, dialogue in dialogues.items():
        yield Row(f"{file}, dialogue '{name}'", dialogue)


FORMATS = local_files.FORMATS | {".json": json_dialogues}
DATASET = Published(
    name="Commonsense Dialogue",
    licence="CC-BY-NC-4.0",
    places=(  # the authors' own files first, since the hub has copies by others
        WebFiles((f"{FILES}train.json", f"{FILES}valid.json", f"{FILES}test.json"), one_per_split(FORMATS)),
        Hub(REPOSITORY),
        Hub(REPOSITORY, revision=PARQUET_BRANCH),
    ),
    as_examples=as_examples,
    columns=("context", "turns"),
    local_files="data/*.json of the GitHub repository alexa/Commonsense-Dialogues",
    split_rule=f"{SPLIT_RULE}, by dialogue",
)


@dataclass(frozen=True)
class Options(PublishedOptions):
    """The options of a task file's `source:`."""

    formats: ClassVar = FORMATS
