"""Tables: CSV and TSV, whose rows are named by their line in the file, and Parquet."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fdistill.data.sources.files.rows import Row
from fdistill.data.sources.files.text_files import text_lines
from fdistill.runtime.errors import UserError

LONGEST_FIELD = 2**31 - 1  # some articles are longer than the csv module's default


def csv_rows(file: Path) -> Iterator[Row]:
    """Yield the rows of a CSV file with a header; a quoted field may contain line breaks."""
    return _delimited(file, ",")


def tsv_rows(file: Path) -> Iterator[Row]:
    """Yield the rows of a TSV file with a header; fields are quoted as in CSV."""
    return _delimited(file, "\t")


def _delimited(file: Path, delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_FIELD)
    records = csv.reader(text_lines(file, windows_ends=True), delimiter=delimiter, strict=True)
    header, line = None, 1
    try:
        for record in records:
            place, line = f"{file}, line {line}", records.line_num + 1
            if header is None:
                header = _header(record, place)
            elif len(record) == len(header):
                yield Row(place, dict(zip(header, record, strict=True)))
            elif record:  # empty for a blank line
                raise UserError(
                    f"{place}: has {len(record)} fields, the header {len(header)} ({', '.join(header)}); "
                    "put a field that contains the delimiter or a quotation mark in quotation marks"
                )
    except csv.Error as error:
        raise UserError(
            f"{file}, line {line}: not valid {file.suffix[1:].upper()} ({error}); write a quotation mark within a "
            'quoted field twice (""), and close every quoted field'
        ) from None


def _header(names: list[str], place: str) -> list[str]:
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UserError(f"{place}: column '{min(twice)}' occurs twice; rename one")
    return names


def parquet_rows(file: Path) -> Iterator[Row]:
    """Yield the rows of a Parquet file."""
    number = 0
    try:
        for batch in pq.ParquetFile(file).iter_batches():
            for values in batch.to_pylist():
                number += 1
                yield Row(f"{file}, row {number}", values)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{file}: not a readable Parquet file ({error}); check that it is complete") from None
