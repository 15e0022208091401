"""Commonsense-Dialogues (Zhou et al. 2021): a social context and the turns so far -> the next turn.

Every turn is a target, the first one, too, which follows the context alone: this gives the sizes of Wen et
al. 2023, Table 6. A source is the context and the turns before it, each closed by `chitchat`'s separator.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fdistill.data.sources import Corpus, Example, published
from fdistill.data.sources.chitchat import TURN_SEPARATOR
from fdistill.data.sources.filters import read_options
from fdistill.data.sources.hub import Hub
from fdistill.data.sources.local_files import Reader, json_document
from fdistill.data.sources.published import Options, one_line
from fdistill.data.sources.rows import Row
from fdistill.errors import UserError

ARCHIVES = ()
HUB = Hub(
    id="gretelai/commonsense-dialogues",
    licence="CC-BY-NC-4.0",
    elsewhere="data/*.json of the GitHub repository alexa/Commonsense-Dialogues",
)
SPLIT_RULE = f"{published.SPLIT_RULE}, by dialogue"


def load(archives: dict[str, Path], options: dict[str, Any]) -> Corpus:
    """Build the corpus (see `fdistill.data.sources.source_module`)."""
    chosen = read_options(Options, options)
    corpus = published.read_corpus(SPLIT_RULE, chosen, HUB, READERS, as_examples)
    return published.finish(corpus, chosen.expected_counts)


def as_examples(row: Row, dialogue: str) -> Iterator[Example]:
    """One example per turn of a dialogue."""
    turns = row.get("turns")
    if not isinstance(turns, list) or not all(isinstance(turn, str) for turn in turns):
        raise row.wrong("turns", "a list of texts")
    said = [one_line(text) for text in (row.text("context"), *turns)]
    for number, turn in enumerate(said[1:]):
        source = "".join(f"{text}{TURN_SEPARATOR}" for text in said[: number + 1])
        yield Example(id=f"{dialogue}/{number}", group=dialogue, source=source, references=(turn,))


def json_dialogues(file: Path) -> Iterator[tuple[str, Any]]:
    """The dialogues of a raw JSON file, a mapping from their ids."""
    dialogues = json_document(file)
    if not isinstance(dialogues, dict):
        raise UserError(f"{file}: not a mapping of dialogues; give a Commonsense-Dialogues file")
    for name, dialogue in dialogues.items():
        yield f"dialogue '{name}'", dialogue


READERS: dict[str, Reader] = {".json": json_dialogues}
