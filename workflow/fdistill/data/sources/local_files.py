"""Published data sets from local files."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fdistill.data.sources.rows import SPLITS, Row
from fdistill.errors import UserError

Reader = Callable[[Path], Iterator[tuple[str, Any]]]  # a file -> ("line 3", values) of each row


def read_files(paths: dict[str, str], readers: dict[str, Reader]) -> tuple[dict[str, Iterator[Row]], list[Path]]:
    """The rows of one local file per split, and the files; `readers` by suffix join those of `READERS`.

    Raises UserError for a missing file and an unknown suffix now, for damaged content once it is reached.
    """
    readers = readers | READERS
    files = {split: Path(paths[split]).expanduser() for split in SPLITS}
    for split, file in files.items():
        if not file.is_file():
            raise UserError(f"source.path.{split}: no such file '{file}' (seen from {Path.cwd()})")
        if file.suffix not in readers:
            raise UserError(f"source.path.{split}: '{file}' ends in none of {', '.join(readers)}")
    return {split: _rows(file, readers[file.suffix]) for split, file in files.items()}, list(files.values())


def _rows(file: Path, reader: Reader) -> Iterator[Row]:
    for place, values in reader(file):
        yield Row(f"{file}, {place}", values)


def json_lines(file: Path) -> Iterator[tuple[str, Any]]:
    """One JSON object per line, blank lines aside. Any line ends do, and a byte-order mark does no harm."""
    with file.open(encoding="utf-8-sig") as lines:
        try:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield f"line {number}", json.loads(line)
        except UnicodeDecodeError as error:
            raise UserError(f"{file}: not UTF-8 text ({error}); save it as UTF-8") from None
        except ValueError as error:
            raise UserError(f"{file}, line {number}: not valid JSON ({error}); is it complete?") from None


def json_document(file: Path) -> Any:
    """A whole JSON file; UserError names it when it is damaged."""
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise UserError(f"{file}: not valid JSON ({error}); is it complete?") from None


def parquet_rows(file: Path) -> Iterator[tuple[str, Any]]:
    """The rows of a Parquet file."""
    number = 0
    try:
        for batch in pq.ParquetFile(file).iter_batches():
            for values in batch.to_pylist():
                number += 1
                yield f"row {number}", values
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{file}: not a readable Parquet file ({error}); is it complete?") from None


READERS: dict[str, Reader] = {".jsonl": json_lines, ".parquet": parquet_rows}
