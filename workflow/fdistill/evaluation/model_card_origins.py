"""What a model card says of the data, checkpoints, labels and layers that a model was made from, and their licences."""

import os.path
import re
from pathlib import Path
from typing import Any

from fdistill.artifacts.contributions import LABELS, LAYERS, OUTPUTS, WEIGHTS
from fdistill.models.location import SCRATCH
from fdistill.models.student_layers import PRETRAINED, RANDOM, TEACHER, Start

UNKNOWN = "unknown: look for the terms of its publisher before you use or publish the model"
NO_LICENCE = f", licence: {UNKNOWN}"  # no checkpoint and no file of labels has one on record
GIVEN = {
    LABELS: "Labels of another teacher",
    LAYERS: "Layers of another model",
    OUTPUTS: "Outputs of a teacher from outside",
    WEIGHTS: "Checkpoint that the student started from",
}


def is_on_hub(init: str) -> bool:
    """Return whether a teacher's `init` is a hub id."""
    return init != SCRATCH and not _is_local(init) and re.fullmatch(r"[\w.-]+(/[\w.-]+)?", init) is not None


def _is_local(init: str) -> bool:
    return os.path.exists(os.path.expanduser(init))  # noqa: PTH110, PTH111 - Path's raise errors for some names


def origin(init: str) -> str:
    """Return what a teacher was fine-tuned from; a folder without its place on this machine."""
    if init == SCRATCH:
        return "random weights"
    return f"`{Path(init).name if _is_local(init) else init}`"


def given(entries: list[dict[str, str]]) -> dict[str, str]:
    """Return what the model has from others than its teacher and its data, by the name of the row."""
    rows: dict[str, list[str]] = {}
    for entry in entries:
        rows.setdefault(GIVEN[entry["what"]], []).append(f"`{entry['name']}`, SHA-256 `{entry['sha256']}`{NO_LICENCE}")
    return {name: "; ".join(texts) for name, texts in rows.items()}


def layers(starts: dict[str, Any] | None, depths: dict[str, int]) -> dict[str, str]:
    """Return the row that says which of its teacher's layers a student copied; none of a model without `starts`.

    `starts` are the stacks' values in `model.student`, `depths` the teacher's layers by stack.
    """
    texts = [f"{stack}: {_copied(Start.read(value), depths[stack])}" for stack, value in (starts or {}).items()]
    return {"Layers, counted from 0": "; ".join(texts)} if texts else {}


def _copied(start: Start, depth: int) -> str:
    numbers = start.copied(depth)
    if all(number is RANDOM for number in numbers):
        return f"{start.count}, with random weights"
    others = {TEACHER: "the teacher", PRETRAINED: "the checkpoint that the teacher was fine-tuned from"}
    origin = others.get(start.origin, f"the teacher of task {start.origin}")
    copied = ", ".join("random" if number is RANDOM else str(number) for number in numbers)
    return f"{start.count}, copied from {copied} of the {depth} of {origin}"


def archive(entry: dict[str, Any]) -> str:
    """Return an archive of the data with its licence."""
    licence, digest = entry.get("licence", UNKNOWN), entry.get("sha256")  # a hub data set has none
    return f"{entry['package']} {entry['version']}, licence: {licence}" + (f", SHA-256 `{digest}`" if digest else "")
