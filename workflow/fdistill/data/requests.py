"""What a trained model is asked: rows with sources, from a file or the standard input, in the formats of a study."""

import json
from collections.abc import Iterator
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from fdistill.data.sources.files.parquet_files import parquet_rows
from fdistill.data.sources.files.rows import BadRow, Row, listed
from fdistill.data.sources.files.table_files import csv_rows, tsv_rows
from fdistill.data.sources.files.text_files import json_lines, text_lines
from fdistill.runtime.errors import UserError

COLUMN = "source"

Request = dict[str, Any]  # the row as it was read, with values that JSON has; its source is under the chosen column


def _parquet_rows(file: Path) -> Iterator[Row]:
    """Yield the rows of a Parquet file with values that JSON has: times and decimal numbers become texts."""
    for row in parquet_rows(file):
        if not isinstance(row, BadRow):
            try:
                row = Row(row.place, json.loads(json.dumps(row.values, default=_text, allow_nan=False)))
            except (TypeError, ValueError) as error:
                row = BadRow(row.place, f"has a value that JSON lacks ({error}); leave out its column")
        yield row


def _text(value: Any) -> str:
    if isinstance(value, date | time | timedelta | Decimal):  # a datetime is a date
        return str(value)
    raise TypeError(f"of type {type(value).__name__}")


FORMATS = {"text": text_lines, "csv": csv_rows, "tsv": tsv_rows, "jsonl": json_lines, "parquet": _parquet_rows}


def read_requests(file: Path, kind: str, column: str = COLUMN) -> Iterator[Request]:
    """Yield one mapping per row of a file of format `kind`, as soon as it is read; see `identification.STDIN`.

    Text has one source per line, blank ones too; its rows have the one key `column`. CSV and TSV have a header. Blank
    lines of these and of JSON lines are no rows.

    Raises UserError with the line or row for content that is not of the format, and for a row whose `column` is
    missing or no text.
    """
    read = FORMATS[kind]
    for row in read(file, column) if read is text_lines else read(file):
        if not isinstance(row.values, dict):
            raise UserError(f'{row.place}: not a JSON object; write {{"{column}": "..."}}')
        if column not in row.values:
            raise UserError(
                f"{row.place}: no column '{column}' (found: {listed(list(row.values))}); give it as --column"
            )
        row.text(column)
        yield row.values
