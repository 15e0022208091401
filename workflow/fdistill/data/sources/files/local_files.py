"""Local files, one per split: their checks, and the reader of each format."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from fdistill.artifacts.files import note_input
from fdistill.data.sources import SPLITS
from fdistill.data.sources.files.rows import Row, Rows
from fdistill.data.sources.files.table_files import csv_rows, parquet_rows, tsv_rows
from fdistill.data.sources.files.text_files import json_lines, line_pairs, target_file
from fdistill.runtime.errors import UserError

Reader = Callable[[Path], Iterable[Row]]

# A new format is one entry, by the suffix of its files.
FORMATS: dict[str, Reader] = {
    ".jsonl": json_lines,
    ".csv": csv_rows,
    ".tsv": tsv_rows,
    ".parquet": parquet_rows,
    ".source": line_pairs,
}


def check_per_split(key: str, values: dict[str, Any], type_: type, what: str) -> None:
    """Raise UserError unless `values`, the option `source.{key}`, has one value of type `type_` for each split."""
    if set(values) != set(SPLITS) or not all(type(value) is type_ for value in values.values()):
        raise UserError(f"source.{key}: {values!r} must have {what} for each of {', '.join(SPLITS)}, and nothing else")


def check_path(path: dict[str, str], formats: dict[str, Reader]) -> None:
    """Raise UserError unless `source.path` names a file of a known format for each split; it need not exist yet."""
    check_per_split("path", path, str, "a file")
    for split, file in path.items():
        if Path(file).suffix not in formats:
            raise UserError(f"source.path.{split}: '{file}' ends in none of {', '.join(formats)}; convert or rename it")
        if "{" in file:
            raise UserError(f"source.path.{split}: '{file}' has a brace, a wildcard to Snakemake; rename it")


def input_files(source: dict[str, Any]) -> list[str]:
    """Return every local file that a task's `source:` names, and the .target file of each .source file."""
    files = [Path(file).expanduser() for file in (source.get("path") or {}).values()]
    targets = [target_file(file) for file in files if FORMATS.get(file.suffix) is line_pairs]
    return [str(file) for file in files + targets]


def read_files(path: dict[str, str], formats: dict[str, Reader]) -> tuple[Rows, list[dict[str, str]]]:
    """Return the rows of one local file per split, and the files as origins of a corpus.

    Raises UserError for a missing file at once, for damaged content when its row is read.
    """
    names = input_files({"path": path})
    for name in names:
        if not Path(name).is_file():
            raise UserError(f"source.path: no such file '{name}' (relative to {Path.cwd()}); correct the path")
    origins = [
        {"package": Path(name).name, "version": "local file", "licence": "not stated", "sha256": note_input(name)}
        for name in names
    ]
    return {split: formats[Path(path[split]).suffix](Path(path[split]).expanduser()) for split in SPLITS}, origins
