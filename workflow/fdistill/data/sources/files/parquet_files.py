"""Parquet: one file, or a folder of parts that are read as one table."""

import io
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from fdistill.data.sources.files.identification import PARQUET, check_start, opened, suffix_of
from fdistill.data.sources.files.rows import BadRow, Row, repeated
from fdistill.runtime.errors import UserError

BATCH = 8192  # rows that are converted at a time


def parts(path: Path) -> list[Path]:
    """Return the files of a table: the file itself, or a folder's `.parquet` files by name.

    Names that begin with `.` or `_` are left out, as by the programs that write such folders. Raises UserError for a
    folder without such files, and for one with other files or with folders in it, as of a partitioned table.
    """
    if not path.is_dir():
        return [path]
    entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith((".", "_")))
    if folders := [entry.name for entry in entries if entry.is_dir()]:
        raise UserError(f"{path}: contains the folder {folders[0]}; put the .parquet files of a table in one folder")
    if other := next((entry.name for entry in entries if suffix_of(entry) != ".parquet"), None):
        raise UserError(
            f"{path}: contains {other}, which does not end in .parquet; rename it if it is a part of the table, or "
            "remove it"
        )
    if not entries:
        raise UserError(f"{path}: is a folder without .parquet files; correct the path")
    return entries


def parquet_rows(path: Path, columns: Collection[str] | None = None) -> Iterator[Row]:
    """Yield the rows of a Parquet file or of a folder of them; of its columns only those in `columns` (None: all)."""
    for file in parts(path):
        name = f"{path}, {file.name} row" if file != path else f"{path}, row"
        yield from _file_rows(file, name, columns)


def _file_rows(file: Path, name: str, columns: Collection[str] | None) -> Iterator[Row]:
    """The rows of one file; their places are `name` and a number."""
    with opened(file) as stream:
        yield from _table_rows(stream if stream.seekable() else io.BytesIO(stream.read()), file, name, columns)


def _table_rows(stream: BinaryIO, file: Path, name: str, columns: Collection[str] | None) -> Iterator[Row]:
    if not (start := stream.read(32)):
        raise UserError(f"{file}: is empty (0 bytes); give a file with rows")
    check_start(start, file, PARQUET)
    stream.seek(0)
    try:
        with pq.ParquetFile(stream, page_checksum_verification=True) as table:
            names = table.schema_arrow.names
            if (twice := repeated(names)) is not None:
                raise UserError(f"{file}: column '{twice}' occurs twice; rename one")
            used = [column for column in names if columns is None or column in columns]
            unread = tuple(column for column in names if column not in used)
            number = 0
            for batch in table.iter_batches(BATCH, columns=used):
                for values in _converted(batch):
                    number += 1
                    place = f"{name} {number}"
                    yield BadRow(place, values) if isinstance(values, str) else Row(place, values, unread)
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{file}: not a readable Parquet file ({reason}); check that it is complete") from None


def _converted(batch: pa.RecordBatch) -> list[dict[str, Any] | str]:
    """Each row as a mapping; or the reason why Python cannot hold it, as with a date after the year 9999."""
    try:
        return batch.to_pylist()
    except Exception:  # pyarrow, datetime and the time zones have their own errors each: look at every value
        return [_mapping(batch, row) for row in range(batch.num_rows)]


def _mapping(batch: pa.RecordBatch, row: int) -> dict[str, Any] | str:
    values = {}
    for column, array in zip(batch.schema.names, batch.columns, strict=True):
        try:
            values[column] = array[row].as_py()
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            return f"'{column}' ({array.type}) cannot be read ({reason}); correct or remove the row"
    return values
