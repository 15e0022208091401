"""Labels of the training split that another teacher made, as text: read from a user's file, checked, stored."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from fdistill.artifacts.files import note_input, read_parquet, write_parquet
from fdistill.data.schemas import LABELS
from fdistill.data.sources.files import local_files
from fdistill.data.sources.files.identification import suffix_of
from fdistill.data.sources.files.local_files import existing_file, named_file
from fdistill.data.sources.files.parquet_files import parts
from fdistill.runtime.errors import UserError

FORMATS = {suffix: reader for suffix, reader in local_files.FORMATS.items() if suffix != ".source"}  # which has no ids
ID, TEXT = "id", "text"
NAMED = 3  # ids that a refusal names


def label_file(name: str) -> Path:
    """Return the path of a user's file of labels; raises UserError for a name of no known format."""
    return named_file(name, FORMATS)


def files_of(name: str) -> list[Path]:
    """Return the files that a user's labels are in: one, or the parts of a Parquet table."""
    return parts(label_file(name))


def checked_label_file(name: str) -> Path:
    """Return the path of a user's file of labels; raises UserError when there is none."""
    return existing_file(label_file(name), "other_teacher.labels")


def read_label_file(name: str, wanted: Sequence[str], known: Sequence[str], split: Path) -> dict[str, list]:
    """Return a user's labels as the columns of `schemas.LABELS`, by input in the order of `wanted`.

    An input may have several labels, which keep their order. `known` are the ids of all of the file `split`: labels of
    inputs that are not `wanted` are left out. Raises UserError for a file that cannot be read, for a row without `id`
    and `text`, for a blank text, for labels that miss a wanted input, and for labels of unknown inputs.
    """
    file = checked_label_file(name)
    for part in files_of(name):
        note_input(part)
    texts: dict[str, list[str]] = {}
    for row in FORMATS[suffix_of(file)](file):
        text = row.text(TEXT)
        if not text.strip():  # as preparation refuses a target; only a model may have had nothing to say
            raise UserError(f"{row.place}: '{TEXT}' is blank; write the label, or remove the row")
        texts.setdefault(row.text(ID), []).append(text)
    check_ids(file, texts, wanted, known, split)
    rows = [(example, number, text) for example in wanted for number, text in enumerate(texts[example])]
    ids, numbers, labels = (list(column) for column in zip(*rows, strict=True))
    return {"id": ids, "sample": numbers, "text": labels, "log_prob": [None] * len(rows)}


def check_ids(file: Path, labelled: Collection[str], wanted: Sequence[str], known: Sequence[str], split: Path) -> None:
    """Raise UserError, with the first ids and how many there are, unless `labelled` are ids of inputs, all `wanted`.

    `known` are the ids of the inputs, which are those of the file `split`.
    """
    inputs = set(known)
    missing = [example for example in wanted if example not in labelled]
    unknown = [example for example in labelled if example not in inputs]
    mistakes = [
        f"{what} {len(ids):,} {of} ({first_of(ids)})"
        for what, ids, of in (
            ("has no label for", missing, f"of {len(wanted):,} inputs"),
            ("labels", unknown, "inputs that the training split does not have"),
        )
        if ids
    ]
    if mistakes:
        raise UserError(
            f"{file}: {' and '.join(mistakes)}; its column '{ID}' must have the ids of {split}, "
            "so make the labels for that file, or correct the ids"
        )


def first_of(ids: Sequence[str]) -> str:
    """Return the ids that a refusal names: the first ones."""
    return ", ".join(map(repr, ids[:NAMED])) + (", ..." if len(ids) > NAMED else "")


def write_labels(path: Path, columns: dict[str, list], identity: dict[str, Any]) -> None:
    """Write the columns of `schemas.LABELS`; `identity` says which model or file they come from, and how."""
    write_parquet(path, columns, LABELS, identity)


def read_labels(path: Path, ids: Sequence[str], split: Path) -> tuple[dict[str, list], dict[str, Any]]:
    """Return what `write_labels` wrote, and its identity; raises UserError unless every input has a label.

    `ids` are those of the inputs, which are in the file `split`.
    """
    columns, identity = read_parquet(path, LABELS)
    check_ids(path, dict.fromkeys(columns["id"]), ids, ids, split)
    return columns, identity
