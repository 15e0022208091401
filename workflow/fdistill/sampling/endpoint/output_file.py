"""The file of outputs, which is written anew from the stored answers by every run that has them all."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from fdistill.artifacts.atomic import atomic
from fdistill.data.sources.files.text_files import byte_lines
from fdistill.runtime.errors import UserError
from fdistill.sampling.endpoint.store import AnswerStore

THINK = "<think>"  # with which models begin what they think, where the server leaves it in the text


def check_own(path: Path, store: AnswerStore, sources: dict[str, str]) -> None:
    """Raise UserError if a file is at `path` with a line that is none of the stored answers: it would be lost.

    `sources` are those of the whole split, by id.
    """
    if not path.is_file():
        return
    for number, line in enumerate(byte_lines(path), start=1):
        try:
            row = json.loads(line)
            is_own = row in _rows(store, row["id"], sources[row["id"]])
        except (ValueError, LookupError, TypeError, RecursionError):
            is_own = False
        if not is_own:
            raise UserError(
                f"{path}, line {number}: is none of the answers in {store.path}, and this run would remove it; give "
                "another --output, or move the file, and put lines of your own into a copy of what this script writes"
            )


def write_outputs(path: Path, store: AnswerStore, sources: dict[str, str], count: int) -> dict[str, int]:
    """Write `count` outputs of each input, which are its id and source; return how many there are, and of which kinds.

    The order is that of `sources`.
    """
    written = dict.fromkeys(("outputs", "unfinished", "repeated", "thinking"), 0)
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for example, source in sources.items():
            texts: set[str] = set()
            for row in islice(_rows(store, example, source), count):
                file.write(json.dumps(row) + "\n")
                written["outputs"] += 1
                written["unfinished"] += not row["finished"]
                written["repeated"] += row["text"] in texts  # as an earlier output of the same input
                written["thinking"] += THINK in row["text"]
                texts.add(row["text"])
    return written


def _rows(store: AnswerStore, example: str, source: str) -> Iterator[dict[str, Any]]:
    """Yield the outputs of an input as rows of the file."""
    for output in store.outputs(example):
        yield {"id": example, "source": source, **output}
