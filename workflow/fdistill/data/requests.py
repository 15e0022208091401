"""What a trained model is asked: sources from a file or a stream, as text, CSV or JSON lines."""

import csv
import io
import json
from collections.abc import Callable, Iterable
from typing import Any

from fdistill.runtime.errors import UserError

COLUMN = "source"

Request = dict[str, Any]  # the row as it was read; its source is under the chosen column


def _text(lines: Iterable[str], name: str, column: str) -> list[Request]:
    return [{column: line} for line in lines]


def _csv(lines: Iterable[str], name: str, column: str) -> list[Request]:
    csv.field_size_limit(2**31 - 1)  # some articles are longer than the module's default
    records = csv.reader((line + "\n" for line in lines), strict=True)
    rows: list[Request] = []
    header: list[str] = []
    try:
        for record in records:
            place = f"{name}, line {records.line_num}"
            if not header:
                header = record
                if doubled := sorted(key for key in set(header) if header.count(key) > 1):
                    raise UserError(f"{place}: column '{doubled[0]}' occurs twice; rename one")
            elif len(record) == len(header):
                rows.append(dict(zip(header, record, strict=True)))
            elif record:  # empty for a blank line
                raise UserError(f"{place}: has {len(record)} fields, the header {len(header)}; correct the row")
    except csv.Error as error:
        raise UserError(f"{name}, line {records.line_num}: not valid CSV ({error}); correct the row") from None
    return rows


def _json_lines(lines: Iterable[str], name: str, column: str) -> list[Request]:
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_unique, parse_constant=_no_constant)
            json.dumps(row, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise UserError(f"{name}, line {number}: has half of a surrogate pair; correct the text") from None
        except (ValueError, RecursionError) as error:
            raise UserError(f"{name}, line {number}: not valid JSON ({error}); correct the line") from None
        if not isinstance(row, dict):
            raise UserError(f'{name}, line {number}: not a JSON object; write {{"{column}": "..."}}')
        rows.append(row)
    return rows


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError("a key occurs twice")
    return row


FORMATS: dict[str, Callable[[Iterable[str], str, str], list[Request]]] = {
    "text": _text,
    "csv": _csv,
    "jsonl": _json_lines,
}


def read_requests(content: bytes, name: str, kind: str, column: str = COLUMN) -> list[Request]:
    """Return one mapping per row of `content`, a file or stream of format `kind`; `name` stands for it in messages.

    Text has one source per line, blank ones too; its rows have the one key `column`. CSV has a header. Blank lines of
    CSV and JSON lines are no rows. A byte-order mark and Windows line ends are read as if they were not there.

    Raises UserError with the line for content that is not UTF-8 or not of the format, and for a row whose `column` is
    missing or no text.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{name}, line {line}: not UTF-8 text ({error.reason}); convert it with iconv") from None
    lines = [line.removesuffix("\n").removesuffix("\r") for line in io.StringIO(text, newline="\n")]
    rows = FORMATS[kind](lines, name, column)
    for number, row in enumerate(rows, start=1):
        if column not in row:
            raise UserError(
                f"{name}, row {number}: no column '{column}' (found: {', '.join(row)}); give it as --column"
            )
        if not isinstance(row[column], str):
            raise UserError(f"{name}, row {number}: '{column}' is not text; correct the row")
    return rows
