"""Text files in UTF-8, with or without a byte-order mark, with line ends of Unix or Windows: lines, pairs, and JSON."""

import codecs
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fdistill.data.sources.files.identification import TEXT, check_start, converted, opened
from fdistill.data.sources.files.rows import BadRow, Pair, Row, repeated, unpartnered
from fdistill.runtime.errors import UserError


def byte_lines(file: Path) -> Iterator[bytes]:
    """Yield the lines of a text file with their line feeds, without a byte-order mark.

    Raises UserError for a file that is no text, and for one whose lines end in carriage returns alone.
    """
    with opened(file) as lines:
        for number, line in enumerate(lines):
            if number == 0:
                check_start(line, file, TEXT)
                line = line.removeprefix(codecs.BOM_UTF8)
                if not line.endswith(b"\n") and b"\r" in line.rstrip(b"\r"):
                    raise carriage_returns(file)
            yield line


def carriage_returns(file: Path) -> UserError:
    """Return the error for a file whose lines end in carriage returns alone."""
    return UserError(
        f"{file}: its lines end in carriage returns alone, as old Macs wrote them; convert them: "
        + converted(r"tr '\r' '\n'", file)
    )


def decoded(line: bytes, file: Path, place: str) -> str:
    """Return a line of a file as text; raises UserError with its place when it is not UTF-8."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{place}: {not_utf_8(error, file)}") from None


def not_utf_8(error: UnicodeDecodeError, file: Path) -> str:
    """Return what is wrong with a line that is not UTF-8, and what to do."""
    return (
        f"not UTF-8 text ({error.reason} {error.object[error.start]:#04x} at byte {error.start + 1} of the line); "
        f"convert it: {converted('iconv -f ITS_ENCODING -t UTF-8', file)}"
    )


def text_of(file: Path) -> str:
    """Return the whole text of a file; raises UserError as `byte_lines` and `decoded` do."""
    lines = enumerate(byte_lines(file), start=1)
    return "".join(decoded(line, file, f"{file}, line {number}") for number, line in lines)


def text_lines(file: Path) -> Iterator[Row]:
    """Return a row per line, blank lines too, with the line under the one key `source`."""
    return _line_rows(file, lambda line, place: {"source": _without_end(line, place)})


def json_lines(file: Path) -> Iterator[Row]:
    """Return a row per line of a JSON-lines file; blank lines are skipped."""
    return _line_rows(file, json_value, skip_blank=True)


def _line_rows(file: Path, values: Callable[[str, str], Any], skip_blank: bool = False) -> Iterator[Row]:
    """Yield a row per line with what `values` makes of the line and its place; a bad one if it raises UserError."""
    for number, line in enumerate(byte_lines(file), start=1):
        if skip_blank and not line.strip():
            continue
        place = f"{file}, line {number}"
        try:
            row = Row(place, values(decoded(line, file, place), place))
        except UserError as error:
            row = BadRow(place, str(error).removeprefix(f"{place}: "))
        yield row


def json_document(file: Path) -> Any:
    """Return the content of a JSON file; raises UserError with its name when it is damaged."""
    return json_value(text_of(file), str(file))


def json_value(text: str, place: str) -> Any:
    """Return the value of a JSON text.

    Raises UserError with its place when it is invalid, or has a key twice, a number that is not finite or half of a
    surrogate pair.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        mapping = dict(pairs)
        if len(mapping) < len(pairs):
            twice = repeated([key for key, _ in pairs])
            raise UserError(f"{place}: key '{twice}' occurs twice; rename or remove one")
        return mapping

    def finite(word: str) -> float:
        if not math.isfinite(number := float(word)):
            raise UserError(f"{place}: {word} is no number of JSON; write null, or correct it")
        return number

    try:
        value = json.loads(text, object_pairs_hook=unique, parse_float=finite, parse_constant=finite)
        if "\\ud" in text.lower():  # an escaped surrogate, which JSON accepts without its other half
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = error.object[error.start].encode("ascii", "backslashreplace").decode()
        raise UserError(
            f"{place}: {half} is half of a surrogate pair and no character; correct or remove the text"
        ) from None
    except ValueError as error:
        what = f"{error.msg}, character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else error
        raise UserError(f"{place}: not valid JSON ({what}); check that it is complete") from None
    except RecursionError:
        raise UserError(f"{place}: brackets are nested too deeply to be data; correct or remove it") from None
    return value


def line_pairs(file: Path) -> Iterator[Row]:
    """Yield each line of `NAME.source` with the same line of `NAME.target`; raises UserError if one is longer."""
    yield from parallel_lines(file, target_file(file))


def parallel_lines(file: Path, partner: Path) -> Iterator[Row]:
    """Yield each line of a file with the same line of its partner; raises UserError if one is longer."""
    sources, targets = (sum(1 for _ in byte_lines(path)) for path in (file, partner))
    if sources != targets:
        raise unpartnered(file, sources, partner, targets)
    pairs = zip(text_lines(file), text_lines(partner), strict=True)
    for number, rows in enumerate(pairs, start=1):
        if bad := next((row for row in rows if isinstance(row, BadRow)), None):
            yield bad
        else:
            yield Pair.of(f"{file} and {partner.name}, line {number}", *(row.text("source") for row in rows))


def _without_end(line: str, place: str) -> str:
    """The text of a line; raises UserError for a carriage return within, which ends a line in some programs."""
    text = line.removesuffix("\n").removesuffix("\r")
    if "\r" in text:
        raise UserError(f"{place}: has a carriage return within the line; remove it or end the line there")
    return text


def target_file(source_file: Path) -> Path:
    """Return the file with the targets of a file of sources."""
    return source_file.with_suffix(".target")
