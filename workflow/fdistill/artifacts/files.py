"""Reading and writing Parquet tables with a checked schema, JSON, and JSON lines.

Every reader raises UserError with file and remedy for a file that is missing, truncated, damaged, replaced by another
run's (see `fdistill.artifacts.records`), or in another format.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fdistill.artifacts import journal, records
from fdistill.artifacts.atomic import atomic, write_text
from fdistill.artifacts.records import OURS, remedy
from fdistill.artifacts.shapes import Shape, mistake, parse
from fdistill.runtime.errors import UserError

if TYPE_CHECKING:  # pyarrow is imported where a table is read or written: most short jobs do not need it
    import pyarrow as pa

IDENTITY = "fdistill"  # the metadata key of a Parquet file's identity
JSON_ESCAPES = "backslashreplace"  # writes half a surrogate pair, which UTF-8 cannot encode, as JSON's \udc80
OLD_SEAL = "seal"  # the key under which files of version 0.5.0 and earlier contain a hash of themselves


_OWN_DATA = (
    "give a file that one of its rules made. Your own data are a task's source (docs/your_data.md); "
    "workflow/scripts/infer.py runs a trained model on them"
)


def write_json(path: Path | str, value: dict[str, Any]) -> None:
    """Write `value` as indented JSON with a trailing newline, atomically.

    Raises UserError for a number that is not finite, which JSON does not have.
    """
    _check_numbers(path, value)
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n", JSON_ESCAPES)


def _check_numbers(path: Path | str, value: Any, key: str = "") -> None:
    """Raise UserError with the key of the first number in `value` that is not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{path}: {key.lstrip('.')} is {value}, which is no result; the file is not written")
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for name, item in items:
        _check_numbers(path, item, f"{key}[{name}]" if isinstance(name, int) else f"{key}.{name}")


def read_json(path: Path | str, shape: Shape = dict, otherwise: str = OURS) -> dict[str, Any]:
    """Read a file that `write_json` wrote. Raises UserError also when its content has not the given shape.

    `otherwise` says what to do about a file that no record lists (see `records.remedy`).
    """
    with _reading(path, "valid JSON", otherwise):
        value = parse(Path(path).read_text(encoding="utf-8"))
    _accept(path, OLD_SEAL in value)
    check_shape(path, value, shape, otherwise)
    return value


def check_shape(path: Path | str, value: Any, shape: Shape, otherwise: str = OURS) -> None:
    """Raise UserError when `value`, the content of the file, has not the shape."""
    if wrong := mistake(value, shape):
        raise UserError(f"{path}: {wrong}; {remedy(path, otherwise)}")


def write_json_lines(path: Path | str, lines: Iterable[dict[str, Any]], identity: dict | None = None) -> None:
    """Write one JSON object per line, atomically; the last line contains `identity` (see `write_parquet`).

    Raises UserError as `write_json` does.
    """
    lines = [*lines, {"identity": identity or {}}]
    _check_numbers(path, lines)
    write_text(path, "".join(json.dumps(line) + "\n" for line in lines))


def read_json_lines(path: Path | str, shape: Shape = dict) -> tuple[list[dict[str, Any]], dict]:
    """Return the lines that `write_json_lines` wrote, which have the given shape, and their identity."""
    with _reading(path, "one JSON object per line"):
        *lines, last = [parse(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
        if not isinstance(last.get("identity"), dict):
            raise ValueError("the last line has no identity: the file is truncated, or another program wrote it")
    _accept(path, OLD_SEAL in last)
    check_shape(path, lines, [shape])
    return lines, last["identity"]


def read_identity(path: Path | str) -> dict:
    """Return the identity of a .parquet or .jsonl file, or the content of a JSON file."""
    if Path(path).suffix == ".jsonl":
        return read_json_lines(path)[1]
    if Path(path).suffix in (".csv", ".tsv", ".txt"):  # the user's own: no stage writes them to be read by another
        raise _foreign(path)
    if Path(path).suffix != ".parquet":
        return read_json(path)
    from pyarrow import parquet

    with _reading(path, "a readable Parquet file"):
        metadata = parquet.read_schema(path).metadata
    return _identity(path, metadata)


def write_parquet(path: Path | str, rows: dict[str, list], schema: "pa.Schema", identity: dict | None = None) -> None:
    """Write the columns `rows` with `schema`, atomically; each page has a checksum, the metadata contain `identity`.

    `identity` says what the rows were made from (hashes, seeds, settings), so that a later stage can refuse rows that
    belong to another teacher, tokenizer or run (see `read_parquet`).
    """
    from pyarrow import Table, parquet

    metadata = {IDENTITY: json.dumps(identity or {}, sort_keys=True)}
    with atomic(path) as temporary:
        table = Table.from_pydict(rows, schema=schema).replace_schema_metadata(metadata)
        parquet.write_table(table, temporary, write_page_checksum=True)


def read_parquet(path: Path | str, schema: "pa.Schema") -> tuple[dict[str, list], dict]:
    """Read a table that `write_parquet` wrote: its columns as Python lists, and its identity.

    Raises UserError also when the file lacks a column of `schema` or has it with another type.
    """
    from pyarrow.parquet import ParquetFile  # read_table would also accept a folder of files

    with _reading(path, "a readable Parquet file"), ParquetFile(path, page_checksum_verification=True) as file:
        table = file.read()
    identity = _identity(path, table.schema.metadata)
    for field in schema:
        if field.name not in table.column_names:
            raise UserError(
                f"{path}: column '{field.name}' is missing; expected {', '.join(schema.names)}, "
                f"found {', '.join(table.column_names)}; {remedy(path)}"
            )
        actual_type = table.schema.field(field.name).type
        if actual_type != field.type:
            raise UserError(
                f"{path}: column '{field.name}' has type {actual_type}, expected {field.type}; {remedy(path)}"
            )
    return table.select(schema.names).to_pydict(), identity


def _identity(path: Path | str, metadata: dict[bytes, bytes] | None) -> dict:
    """Return the identity in a Parquet file's metadata."""
    metadata = metadata or {}
    if IDENTITY.encode() not in metadata:
        raise _foreign(path)
    _accept(path, OLD_SEAL.encode() in metadata)
    with _reading(path, "a readable Parquet file"):
        return parse(metadata[IDENTITY.encode()].decode())


def _foreign(path: Path | str) -> UserError:
    """Return the error for a file that is no stage's output: the user's own, which a task or infer.py can read."""
    return UserError(f"{path}: not written by this workflow; {_OWN_DATA}")


@contextmanager
def _reading(path: Path | str, form: str, otherwise: str = _OWN_DATA) -> Iterator[None]:
    """Turn an error of reading or parsing into a UserError; `form` says what the file should be."""
    try:
        if not Path(path).stat().st_size:
            raise UserError(f"{path}: is empty; {remedy(path, otherwise)}")
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the rule that makes it") from None
    except Exception as error:
        if not isinstance(error, ValueError | OSError) and type(error).__module__ != "pyarrow.lib":
            raise
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not {form} ({reason}); {remedy(path, otherwise)}") from None


def _accept(path: Path | str, is_old: bool) -> None:
    """Note the file as an input. Raises UserError for an old version's file and for one that its record contradicts."""
    if is_old:
        raise UserError(
            f"{path}: was written by version 0.5.0 or earlier, whose results this version does not read; delete it and "
            "run again (of a whole study: delete the folder results)"
        )
    records.check(Path(path), note_input(path))


def note_input(path: Path | str) -> str:
    """Note the file at `path` as an input of the running script; return its SHA-256."""
    digest = sha256(path)
    journal.note_input(path, digest)
    return digest


def sha256(path: Path | str) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal. Raises UserError when it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the rule that makes it") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); see to its permissions and its disk") from None
