"""Tables: CSV and TSV, whose rows are named by their line in the file."""

import csv
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from fdistill.data.sources.files.identification import converted
from fdistill.data.sources.files.rows import BadRow, Row, listed, repeated
from fdistill.data.sources.files.text_files import byte_lines, carriage_returns, not_utf_8
from fdistill.runtime.errors import UserError

LONGEST_FIELD = 2**31 - 1  # some articles are longer than the csv module's default

REREADS = 10  # fields never closed after which the rest is read again; each costs as much as the file

KINDS = {",": "CSV", ";": "CSV", "\t": "TSV"}  # by delimiter
NAMES_DELIMITER = re.compile(r'"?sep=([,;\t])"?')  # a line before the header, which tells Excel the delimiter

CARRIAGE_RETURN = "new-line character"  # in the csv module's error for one outside quotation marks

COMMA_OF_FIELDS = re.compile(r",(?! )")  # one before a space is more likely a part of the text


def csv_rows(file: Path) -> Iterator[Row]:
    """Yield the rows of a CSV file with a header; a quoted field may contain line breaks."""
    return _delimited(file, ",")


def tsv_rows(file: Path) -> Iterator[Row]:
    """Yield the rows of a TSV file with a header; fields are quoted as in CSV."""
    return _delimited(file, "\t")


def spreadsheet_rows(file: Path, column: str) -> Iterator[Row]:
    """Yield the rows of a CSV file as a spreadsheet saves it: with commas, semicolons or tabs, by its language.

    The delimiter is the one by which the header has `column`, or that a line `sep=;` before the header names. Columns
    may be without a name: spreadsheets save empty ones too.
    """
    first = next(byte_lines(file), b"").decode("utf-8", "replace").rstrip("\r\n")
    if named := NAMES_DELIMITER.fullmatch(first):
        return _delimited(file, named[1], skipped=1, nameless=True)
    found = (delimiter for delimiter in KINDS if column in _fields(first, delimiter))
    return _delimited(file, next(found, ","), nameless=True)


def _fields(line: str, delimiter: str) -> list[str]:
    """The fields of a line; none if it is invalid, which `_delimited` says."""
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _delimited(file: Path, delimiter: str, skipped: int = 0, nameless: bool = False) -> Iterator[Row]:
    """Yield the rows of a file with `skipped` lines before its header, which may leave several columns `nameless`."""
    csv.field_size_limit(LONGEST_FIELD)
    lines = _Lines(file)
    for _ in range(skipped):
        next(lines)
    records = csv.reader(lines, delimiter=delimiter, strict=True)
    header = _header(records, lines, delimiter, nameless)
    rereads = REREADS
    while True:
        lines.start_record()
        try:
            record = next(records)
        except StopIteration:
            return
        except csv.Error as error:
            reason = _invalid(error, file, delimiter)
            if lines.at_end and rereads:  # a field that is never closed: only the line that opens it is surely wrong
                rereads -= 1
                lines.take_back()
            yield BadRow(lines.place, reason, len(lines.record))
            continue
        if reason := lines.undecodable():
            yield BadRow(lines.place, reason)
        elif len(lines.record) > 1 and _are_rows(lines.record, record, len(header), delimiter):
            reason = (
                "a quotation mark opens a field that ends in another line, but each of these lines would be a row by "
                f"itself (if it is one text, give it in a .jsonl or .parquet file); {_quoting(file, delimiter)}"
            )
            yield BadRow(lines.place, reason, len(lines.record))
        elif len(record) == len(header):
            yield Row(f"{file}, line {lines.first}", dict(zip(header, record, strict=True)))
        elif record:  # empty for a blank line
            yield BadRow(
                f"{file}, line {lines.first}",
                f"has {len(record)} fields, the header {len(header)} ({listed(header)}); "
                + (
                    "put a field that contains the delimiter or a quotation mark in quotation marks"
                    if len(record) > len(header)
                    else "add what is missing, with a delimiter between the fields"
                ),
            )


def _header(records: Iterator[list[str]], lines: "_Lines", delimiter: str, nameless: bool) -> list[str]:
    lines.start_record()
    try:
        names = next(records, [])
    except csv.Error as error:
        if CARRIAGE_RETURN in str(error):  # which `byte_lines` does not notice where a field contains a line feed
            raise carriage_returns(lines.file) from None
        raise UserError(f"{lines.place}: {_invalid(error, lines.file, delimiter)}") from None
    if reason := lines.undecodable():
        raise UserError(f"{lines.place}: {reason}")
    if len(lines.record) > 1:
        raise UserError(f"{lines.place}: a quotation mark in the header runs over the line's end; close it")
    if not names:
        raise UserError(f"{lines.place}: has no header; the first line names the columns")
    if (twice := repeated([name for name in names if name.strip()])) is not None:
        raise UserError(f"{lines.place}: column '{twice}' occurs twice; rename one")
    if not nameless and (unnamed := sum(not name.strip() for name in names)) > 1:
        raise UserError(f"{lines.place}: {unnamed} columns have no name; name them, or remove those that are empty")
    return names


def _are_rows(lines: list[str], record: list[str], fields: int, delimiter: str) -> bool:
    """Whether each line of a record has as many fields as the header, so that its line ends are not those of a text.

    Blank lines are left out, since they are no rows. A comma before a space counts where the record itself has a space
    behind a comma that ends a field.
    """
    spaced = delimiter != "," or any(field.startswith(" ") for field in record[1:])
    filled = [line for line in (line.rstrip("\r\n") for line in lines) if line]
    counts = (line.count(delimiter) if spaced else len(COMMA_OF_FIELDS.findall(line)) for line in filled)
    return fields > 1 and all(count == fields - 1 for count in counts)


def _invalid(error: csv.Error, file: Path, delimiter: str) -> str:
    kind = KINDS[delimiter]
    if CARRIAGE_RETURN in str(error):
        return (
            f"not valid {kind}: a carriage return stands within the line; remove it or put the field in quotation marks"
        )
    return f"not valid {kind} ({error}); {_quoting(file, delimiter)}"


def _quoting(file: Path, delimiter: str) -> str:
    rule = 'write a quotation mark within a quoted field twice (""), and close every quoted field'
    if delimiter != "\t":
        return rule
    script = r"""s/\r$//; s/"/""/g; s/\t/"\t"/g; s/.*/"&"/"""
    return f"{rule}; if no field of the file is quoted, quote them all: " + converted(f"sed '{script}'", file)


class _Lines:
    """The lines of a file for `csv.reader`, which are numbered, and kept until the next record begins."""

    def __init__(self, file: Path):
        self.file = file
        self.lines = byte_lines(file)
        self.again: deque[str] = deque()  # lines to be read again
        self.record: list[str] = []  # the lines of the current record
        self.first = 1  # the number of the record's first line
        self.at_end = False
        self.reasons: dict[int, str] = {}  # by line, why it is not text
        self.read = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if self.again:
            line = self.again.popleft()
        else:
            content = next(self.lines, None)
            if content is None:
                self.at_end = True
                raise StopIteration
            self.read += 1
            try:
                line = content.decode("utf-8")
            except UnicodeDecodeError as error:
                line = content.decode("utf-8", "surrogateescape")
                self.reasons[self.read] = not_utf_8(error, self.file)
        self.record.append(line)
        return line

    def start_record(self) -> None:
        """Begin a record at the next line."""
        self.first += len(self.record)
        self.record, self.at_end = [], False

    def take_back(self) -> None:
        """Read the record's lines after the first one again."""
        self.again.extendleft(reversed(self.record[1:]))
        del self.record[1:]

    def undecodable(self) -> str | None:
        """Return why a line of the record is not text; None if all are."""
        numbers = range(self.first, self.first + len(self.record)) if self.reasons else ()
        return next((self.reasons[number] for number in numbers if number in self.reasons), None)

    @property
    def place(self) -> str:
        """The file and the lines of the record."""
        last = self.first + len(self.record) - 1
        return f"{self.file}, line {self.first}" if last <= self.first else f"{self.file}, lines {self.first} to {last}"
