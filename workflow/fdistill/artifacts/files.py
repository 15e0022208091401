"""Files: atomic writes, hashes, Parquet tables with a checked schema, and JSON; all of them sealed (`seals`)."""

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fdistill import seals
from fdistill.artifacts import records
from fdistill.lean_imports import refused
from fdistill.runtime.errors import UserError

if TYPE_CHECKING:  # pyarrow is imported where a table is read or written: most jobs that are short have none
    import pyarrow as pa

# What this process has read, with its SHA-256 or the hub's revision, and written: see `fdistill.artifacts.provenance`.
READ: dict[str, str] = {}
WRITTEN: list[Path] = []

SEAL = "seal"

# What a person can mend about a disk, in words.
_REMEDIES = {
    errno.ENOSPC: "make room there, or work on another disk",
    errno.EDQUOT: "make room within your quota, or work on another disk",
    errno.EROFS: "mount it for writing, or work in another folder (snakemake --directory)",
    errno.EACCES: "give yourself the right to write there, or work in another folder (snakemake --directory)",
    errno.EPERM: "give yourself the right to write there, or work in another folder (snakemake --directory)",
    errno.ENOTDIR: "a file stands where a folder should: remove or rename it",
    errno.EEXIST: "a file stands where a folder should: remove or rename it",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EIO: "look after the disk, or work on another one",
}


@contextmanager
def atomic(path: Path | str, *, directory: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` only if the block succeeds.

    A reader therefore sees the old content, the new content, or nothing, never half a file; a write that fails leaves
    the old content. Raises UserError, naming file and remedy, when the disk does not take it.
    """
    path = Path(path)
    workspace = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        workspace = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        temporary = workspace / path.name
        if directory:
            temporary.mkdir()
        yield temporary
        if path.is_dir():
            path.rename(workspace / "old")
        records.record_of(path).unlink(missing_ok=True)  # is of what stood there until now
        temporary.replace(path)
    except Exception as error:
        number = _errno(error)
        if number not in _REMEDIES:
            raise
        raise UserError(f"{path}: cannot be written ({os.strerror(number)}); {_REMEDIES[number]}") from None
    finally:
        if workspace is not None:
            shutil.rmtree(workspace, ignore_errors=True)
    WRITTEN.append(path)


def _errno(error: Exception) -> int | None:
    """The system's error number; safetensors and tokenizers have errors of their own, which say it in words."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    said = re.search(r"\(os error (\d+)\)", str(error))
    return int(said.group(1)) if said else None


def write_text(path: Path | str, text: str) -> None:
    """Write `text` to `path` atomically as UTF-8."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        if seals.BLANK in text:
            seals.close(temporary)


def write_json(path: Path | str, value: dict[str, Any]) -> None:
    """Write `value` as indented JSON, sealed, with a trailing newline, atomically."""
    write_text(path, json.dumps({**value, SEAL: seals.BLANK}, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path | str, keys: Iterable[str] = ()) -> dict[str, Any]:
    """Read what `write_json` wrote; UserError when it is missing or damaged, or lacks one of `keys`."""
    with _reading(path, "valid JSON") as sealed:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    _check_sealed(path, sealed)
    if lacking := [key for key in keys if key not in value]:
        raise UserError(f"{path}: key '{lacking[0]}' is missing; delete the file and run again")
    return {key: part for key, part in value.items() if key != SEAL}


def write_json_lines(path: Path | str, lines: Iterable[dict[str, Any]], identity: dict | None = None) -> None:
    """Write one JSON object per line, and a last one with `identity` (see `write_parquet`) and the seal; atomically."""
    last = {"identity": identity or {}, SEAL: seals.BLANK}
    write_text(path, "".join(json.dumps(line) + "\n" for line in (*lines, last)))


def read_json_lines(path: Path | str) -> tuple[list[dict[str, Any]], dict]:
    """The lines that `write_json_lines` wrote, and their identity; UserError when the file is missing or damaged."""
    with _reading(path, "one JSON object per line") as sealed:
        lines = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    _check_sealed(path, sealed)
    return lines[:-1], lines[-1]["identity"]


def read_identity(path: Path | str) -> dict:
    """The identity of a .parquet or .jsonl file, or all of a JSON file; UserError when it is missing or damaged."""
    if Path(path).suffix == ".jsonl":
        return read_json_lines(path)[1]
    if Path(path).suffix != ".parquet":
        return read_json(path)
    from pyarrow import parquet

    with _reading(path, "a readable Parquet file") as sealed:
        metadata = parquet.read_schema(path).metadata
    _check_sealed(path, sealed)
    return json.loads(metadata[b"fdistill"])


@contextmanager
def _reading(path: Path | str, form: str) -> Iterator[bool]:
    """Whether the file at `path` has a seal. What is wrong with it becomes a UserError; `form` is what it should be."""
    try:
        yield seals.check(Path(path))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the rule that makes it") from None
    except Exception as error:
        if not isinstance(error, ValueError | OSError) and type(error).__module__ != "pyarrow.lib":
            raise
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not {form} ({reason}); delete it and run again") from None


def _check_sealed(path: Path | str, sealed: bool) -> None:
    """Refuse a file without a seal and one that has taken another's place; take down one that has been read."""
    if not sealed:
        raise UserError(
            f"{path}: has no seal: it is cut off, or was not written by this version; delete it and run again"
        )
    records.check(Path(path), note_input(path))


def note_input(path: Path | str) -> str:
    """Take down that the file at `path` was read; its SHA-256."""
    READ[str(path)] = digest = sha256(path)
    return digest


def sha256(path: Path | str) -> str:
    """Hex SHA-256 of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_parquet(path: Path | str, rows: dict[str, list], schema: "pa.Schema", identity: dict | None = None) -> None:
    """Write columns `rows` under `schema`, sealed, atomically; `identity` travels in the file's metadata.

    `identity` says what the rows were made from (hashes, seeds, settings), so that a later stage can refuse
    rows that belong to another teacher, tokenizer or run (see `read_parquet`).
    """
    from pyarrow import Table, parquet

    with refused("pandas"):  # which pyarrow would import, to see whether the lists are of pandas
        table = Table.from_pydict(rows, schema=schema)
    metadata = {"fdistill": json.dumps(identity or {}, sort_keys=True), SEAL: seals.BLANK}
    with atomic(path) as temporary:
        parquet.write_table(table.replace_schema_metadata(metadata), temporary)
        seals.close(temporary)


def read_parquet(path: Path | str, schema: "pa.Schema") -> tuple[dict[str, list], dict]:
    """Read a table written by `write_parquet`: its columns as Python lists, and its identity.

    Raises UserError when the file is missing, is not Parquet, is damaged, or has other columns or types than `schema`.
    """
    from pyarrow.parquet import ParquetFile  # read_table is for folders of files too, and imports pandas for them

    with _reading(path, "a readable Parquet file") as sealed, ParquetFile(path) as file:
        table = file.read()
    for field in schema:
        if field.name not in table.column_names:
            raise UserError(
                f"{path}: column '{field.name}' is missing; expected {', '.join(schema.names)}, "
                f"found {', '.join(table.column_names)}; delete the file and run again"
            )
        found = table.schema.field(field.name).type
        if found != field.type:
            raise UserError(
                f"{path}: column '{field.name}' has type {found}, expected {field.type}; delete it and run again"
            )
    _check_sealed(path, sealed)
    return table.select(schema.names).to_pydict(), json.loads(table.schema.metadata[b"fdistill"])
