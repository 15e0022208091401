"""Files: atomic writes, hashes, Parquet tables with a checked schema, and manifests."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fdistill.errors import UserError


@contextmanager
def atomic(path: Path | str, *, directory: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` only if the block succeeds.

    A reader therefore sees the old content, the new content, or nothing, never half a file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    workspace = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    temporary = workspace / path.name
    try:
        if directory:
            temporary.mkdir()
        yield temporary
        if path.is_dir():
            shutil.rmtree(path)
        temporary.replace(path)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def write_text(path: Path | str, text: str) -> None:
    """Write `text` to `path` atomically as UTF-8."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: object) -> None:
    """Write `value` as indented JSON with a trailing newline, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path | str) -> dict:
    """Read a JSON file; UserError when it is missing or damaged."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the rule that makes it") from None
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}); delete it and run again") from None


def sha256(path: Path | str) -> str:
    """Hex SHA-256 of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_parquet(path: Path | str, rows: dict[str, list], schema: pa.Schema, identity: dict | None = None) -> None:
    """Write columns `rows` under `schema`, atomically; `identity` travels in the file's metadata.

    `identity` says what the rows were made from (hashes, seeds, settings), so that a later stage can refuse
    rows that belong to another teacher, tokenizer or run (see `read_parquet`).
    """
    table = pa.Table.from_pydict(rows, schema=schema)
    table = table.replace_schema_metadata({b"fdistill": json.dumps(identity or {}, sort_keys=True).encode()})
    with atomic(path) as temporary:
        pq.write_table(table, temporary)


def read_parquet(path: Path | str, schema: pa.Schema) -> tuple[dict[str, list], dict]:
    """Read a table written by `write_parquet`: its columns as Python lists, and its identity.

    Raises UserError when the file is missing, is not Parquet, or has other columns or types than `schema`.
    """
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the rule that makes it") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path}: not a readable Parquet file ({error}); delete it and run again") from None
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
    metadata = table.schema.metadata or {}
    return table.select(schema.names).to_pydict(), json.loads(metadata.get(b"fdistill", b"{}"))
