"""Text files: UTF-8 with Unix line ends, or an error that names the line and a command that corrects the file."""

import codecs
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fdistill.data.sources.files.rows import Pair, Row, unpartnered
from fdistill.runtime.errors import UserError


def text_lines(file: Path, windows_ends: bool = False) -> Iterator[str]:
    """Yield the lines of a file with their line feeds; no other control character ends a line.

    Raises UserError with the line's number for bytes that are not UTF-8, for a byte-order mark, and for Windows line
    ends unless `windows_ends` allows them.
    """
    name = shlex.quote(str(file))
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if number == 1 and line.startswith(codecs.BOM_UTF8):
                raise UserError(
                    rf"{file}, line 1: begins with a byte-order mark; remove it: sed -i '1s/^\xEF\xBB\xBF//' {name}"
                )
            if line.endswith(b"\r\n") and not windows_ends:
                raise UserError(rf"{file}, line {number}: has a Windows line end; remove them: sed -i 's/\r$//' {name}")
            try:
                yield line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{file}, line {number}: not UTF-8 text ({error.reason} {line[error.start]:#04x} at byte "
                    f"{error.start + 1} of the line); convert it: iconv -f ITS_ENCODING -t UTF-8 {name} > NEW_FILE"
                ) from None


def json_lines(file: Path) -> Iterator[Row]:
    """Yield a row per line of a JSON-lines file; blank lines are skipped."""
    for number, line in enumerate(text_lines(file), start=1):
        if line.strip():
            place = f"{file}, line {number}"
            yield Row(place, _parsed(line, place))


def json_document(file: Path) -> Any:
    """Return the content of a JSON file; raises UserError with its name when it is damaged."""
    return _parsed("".join(text_lines(file, windows_ends=True)), str(file))


def _parsed(text: str, place: str) -> Any:
    """The value of a JSON text; raises UserError when it is invalid or has half of a surrogate pair."""
    try:
        value = json.loads(text)
        if "\\ud" in text.lower():  # an escaped surrogate, which JSON accepts without its other half
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = error.object[error.start].encode("ascii", "backslashreplace").decode()
        raise UserError(
            f"{place}: {half} is half of a surrogate pair and no character; correct or remove the text"
        ) from None
    except ValueError as error:
        raise UserError(f"{place}: not valid JSON ({error}); check that it is complete") from None
    return value


def line_pairs(file: Path) -> Iterator[Row]:
    """Yield each line of `NAME.source` with the same line of `NAME.target`; raises UserError if one is longer."""
    partner = target_file(file)
    sources, targets = (sum(1 for _ in text_lines(path)) for path in (file, partner))
    if sources != targets:
        raise unpartnered(file, sources, partner, targets)
    pairs = zip(text_lines(file), text_lines(partner), strict=True)
    for number, (source, target) in enumerate(pairs, start=1):
        yield Pair.of(f"{file} and {partner.name}, line {number}", source.removesuffix("\n"), target.removesuffix("\n"))


def target_file(source_file: Path) -> Path:
    """Return the file with the targets of a file of sources."""
    return source_file.with_suffix(".target")
