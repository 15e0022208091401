"""What a trained model is asked: rows with sources, from a file or the standard input, in the formats of a study."""

import json
from collections.abc import Iterator
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from fdistill.data.sources.files.identification import SAMPLE, TEXT, check_start, is_stream, opened, suffix_of
from fdistill.data.sources.files.parquet_files import parquet_rows
from fdistill.data.sources.files.rows import BadRow, Row, listed
from fdistill.data.sources.files.table_files import csv_rows, tsv_rows
from fdistill.data.sources.files.text_files import json_lines, text_lines
from fdistill.runtime.errors import UserError

COLUMN = "source"
JSON = json.JSONDecoder()

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


SUFFIXES = {"": "text", ".txt": "text", ".source": "text", ".ndjson": "jsonl"} | {
    f".{kind}": kind for kind in FORMATS if kind != "text"
}


def format_of(file: Path) -> str:
    """Return the format that a file's suffix says, in capitals too; without a suffix, as a stream, it is text.

    Raises UserError for another suffix; first for what the file is, if that is known, such as compressed.
    """
    if (suffix := suffix_of(file)) not in SUFFIXES:
        if not is_stream(file):
            with opened(file) as stream:
                check_start(stream.read(SAMPLE), file, TEXT)
        raise UserError(
            f"{file}: '{suffix}' is none of {', '.join(filter(None, SUFFIXES))}; give the file's format: --format "
            f"{' or '.join(FORMATS)}"
        )
    return SUFFIXES[suffix]


def read_requests(file: Path, kind: str | None = None, column: str | None = None) -> Iterator[Request]:
    """Yield one mapping per row of a file of format `kind` (None: see `format_of`), as soon as it is read.

    The standard input is `identification.STDIN`. Text has one source per line, blank ones too; its rows have the one
    key `source`. CSV and TSV have a header. Blank lines of these and of JSON lines are no rows. `column` is the one of
    the sources, by default `source`.

    Raises UserError with the line or row for content that is not of the format, for a row whose `column` is missing or
    no text, for a `column` of text, and, where no `kind` was given, for a text that begins with JSON.
    """
    form = kind or format_of(file)
    if form == "text" and column is not None:
        raise UserError(f"{file}: is read as text, which has no columns; leave out --column, or give another --format")
    column = column or COLUMN
    for number, row in enumerate(FORMATS[form](file)):
        if not isinstance(row.values, dict):
            raise UserError(f'{row.place}: not a JSON object; write {{"{column}": "..."}}')
        if column not in row.values:
            raise UserError(
                f"{row.place}: no column '{column}' (found: {listed(list(row.values))}); give it as --column"
            )
        text = row.text(column)
        if number == 0 and form == "text" and kind is None and _is_json(text):
            raise UserError(
                f"{row.place}: is JSON, not a source; give --format jsonl for an object per line, or --format text if "
                "it is a source"
            )
        yield row.values


def _is_json(line: str) -> bool:
    """Whether a line is a JSON object, or the beginning of one or of a list of objects."""
    if (text := line.strip()) in ("{", "[", "[{"):
        return True
    try:
        value, end = JSON.raw_decode(inner := text.lstrip("[ "))
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and inner[end : end + 1] in ("", ",", "]")
