"""Local files, one per split: their checks, and the reader of each format."""

from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from fdistill.artifacts.files import note_input
from fdistill.data.sources import SPLITS, UNLABELLED
from fdistill.data.sources.files.identification import check_regular, suffix_of
from fdistill.data.sources.files.parquet_files import parquet_rows, parts
from fdistill.data.sources.files.rows import Row, Rows
from fdistill.data.sources.files.table_files import csv_rows, tsv_rows
from fdistill.data.sources.files.text_files import json_lines, line_pairs, target_file, text_lines
from fdistill.runtime.errors import UserError
from fdistill.runtime.validation import show

Reader = Callable[[Path], Iterable[Row]]

# A new format is one entry, by the suffix of its files.
FORMATS: dict[str, Reader] = {
    ".jsonl": json_lines,
    ".ndjson": json_lines,
    ".csv": csv_rows,
    ".tsv": tsv_rows,
    ".parquet": parquet_rows,
    ".source": line_pairs,
}
SOURCES_ONLY = FORMATS | {".source": text_lines}  # the formats of unlabelled inputs
PATH = {
    "description": "One file per split: {train: FILE, dev: FILE, test: FILE}, and unlabelled: FILE if there are inputs "
    "without targets; docs/your_data.md splits one file."
}
AS_GIVEN = "as given"  # the split rule of local files
HEADED = (".csv", ".tsv", ".parquet")  # the formats that name their columns once
COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip", ".7z", ".rar")


def check_per_split(key: str, values: dict[str, Any], type_: type, what: str, optional: tuple[str, ...] = ()) -> None:
    """Raise UserError unless `values`, the option `source.{key}`, has one value of type `type_` for each split.

    It may have one for each of `optional` too.
    """
    if set(values) - set(optional) != set(SPLITS) or not all(type(value) is type_ for value in values.values()):
        rest = " but ".join(["nothing else", *optional])
        raise UserError(f"source.{key}: {show(values)} must have {what} for each of {', '.join(SPLITS)}, and {rest}")


def check_path(path: dict[str, str], formats: dict[str, Reader]) -> None:
    """Raise UserError unless `source.path` names a file of a known format for each split; it need not exist yet.

    It may name one of unlabelled inputs too.
    """
    check_per_split("path", path, str, "a file", optional=(UNLABELLED,))
    for split, file in path.items():
        known = SOURCES_ONLY if split == UNLABELLED else formats
        if suffix_of(file) not in known:
            what = "decompress" if suffix_of(file) in COMPRESSED else "convert or rename"
            raise UserError(f"source.path.{split}: '{file}' ends in none of {', '.join(known)}; {what} it")
        if "{" in file:
            raise UserError(f"source.path.{split}: '{file}' has a brace, a wildcard to Snakemake; rename it")
        try:
            expanded(file)
        except UserError as error:
            raise UserError(f"source.path.{split}: {error}") from None


def named_file(name: str, formats: Collection[str]) -> Path:
    """Return the path of a file that a setting names; raises UserError for one that ends in none of `formats`."""
    file = expanded(name)
    if suffix_of(file) not in formats:
        raise UserError(f"'{name}' ends in none of {', '.join(formats)}; convert or rename it")
    if "{" in name:
        raise UserError(f"'{name}' has a brace, a wildcard to Snakemake; rename it")
    return file


def existing_file(file: Path, key: str) -> Path:
    """Return the path of a file or of a folder of Parquet parts; raises UserError, with its `key`, if there is none."""
    if not file.is_dir() and not check_regular(file):
        raise UserError(f"{file}: no such file; correct {key}")
    return file


def expanded(file: str) -> Path:
    """Return the path with `~` as the user's folder; raises UserError for a name that no path can have."""
    if not file.isprintable():
        raise UserError(f"{file!r} has a control character; correct the path")
    try:
        return Path(file).expanduser()
    except RuntimeError:  # of pathlib
        user = Path(file).parts[0]
        raise UserError(f"'{file}': this machine knows no home folder for {user}; write the whole path") from None


def input_files(source: dict[str, Any]) -> list[str]:
    """Return every local file that a task's `source:` names: also a folder's parts, and a .source file's .target."""
    path = {split: expanded(file) for split, file in (source.get("path") or {}).items()}
    files = list(path.values())
    labelled = [file for split, file in path.items() if split != UNLABELLED]
    targets = [target_file(file) for file in labelled if FORMATS.get(suffix_of(file)) is line_pairs]
    return [
        str(part) for file in files + targets for part in (parts(file) if suffix_of(file) == ".parquet" else [file])
    ]


def read_files(
    path: dict[str, str], formats: dict[str, Reader], columns: Collection[str] | None = None
) -> tuple[Rows, list[dict[str, str]]]:
    """Return the rows of one local file per split, and the files as origins of a corpus.

    `columns` are the ones that the rows need; None reads all. Raises UserError for a missing file at once, for damaged
    content when its row is read.
    """
    names = dict.fromkeys(input_files({"path": path}))
    for name in names:
        try:
            exists = check_regular(Path(name))
        except UserError as error:
            raise UserError(f"source.path: {error}") from None
        if not exists:
            raise UserError(f"source.path: no such file '{name}' (relative to {Path.cwd()}); correct the path")
    folders = {expanded(file) for file in path.values()}
    origins = [
        {
            "package": "/".join(
                Path(name).parts[-2 if Path(name).parent in folders else -1 :]
            ),  # a part has its folder
            "version": "local file",
            "licence": "not stated",
            "sha256": note_input(name),
        }
        for name in names
    ]
    return {split: _rows(expanded(path[split]), formats, columns) for split in SPLITS}, origins


def read_sources(path: dict[str, str], columns: Collection[str]) -> Iterator[Row]:
    """Yield the rows of the file of unlabelled inputs, which `read_files` has found to exist; none without one."""
    if UNLABELLED in path:
        yield from _rows(expanded(path[UNLABELLED]), SOURCES_ONLY, columns)


def _rows(file: Path, formats: dict[str, Reader], columns: Collection[str] | None) -> Iterator[Row]:
    read = formats[suffix_of(file)]
    row = None
    for row in read(file, columns) if read is parquet_rows else read(file):
        yield row
    if row is None:
        header = " behind its header" if read in (csv_rows, tsv_rows) else ""
        raise UserError(f"source.path: {file} has no rows{header}; give one with texts")
