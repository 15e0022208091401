"""Local text files: UTF-8 with Unix line ends, or an error that names the line and the command that mends it."""

import codecs
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fdistill.data.sources.files.rows import Pair, Row, unpartnered
from fdistill.runtime.errors import UserError


def text_lines(file: Path, windows_ends: bool = False) -> Iterator[str]:
    """The lines of a file with their ends, which are line feeds only: a text may hold any other control character.

    Raises UserError with the line's number for what is not UTF-8, for a byte-order mark, and for Windows line ends
    unless `windows_ends` takes them.
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
    """One JSON object per line, blank lines aside."""
    for number, line in enumerate(text_lines(file), start=1):
        if line.strip():
            place = f"{file}, line {number}"
            yield Row(place, _parsed(line, place))


def json_document(file: Path) -> Any:
    """A whole JSON file; UserError names it when it is damaged."""
    return _parsed("".join(text_lines(file, windows_ends=True)), str(file))


def _parsed(text: str, place: str) -> Any:
    """The value that is JSON text; UserError when it is not, or holds what no file could be written with."""
    try:
        value = json.loads(text)
        if "\\ud" in text.lower():  # an escaped surrogate, which JSON takes without its other half too
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = error.object[error.start].encode("ascii", "backslashreplace").decode()
        raise UserError(
            f"{place}: {half} is half of a surrogate pair and no character; mend or remove the text"
        ) from None
    except ValueError as error:
        raise UserError(f"{place}: not valid JSON ({error}); is it complete?") from None
    return value


def line_pairs(file: Path) -> Iterator[Row]:
    """The lines of `NAME.source`, each with the same line of `NAME.target` beside it."""
    partner = target_file(file)
    sources, targets = (sum(1 for _ in text_lines(one)) for one in (file, partner))
    if sources != targets:
        raise unpartnered(file, sources, partner, targets)
    pairs = zip(text_lines(file), text_lines(partner), strict=True)
    for number, (source, target) in enumerate(pairs, start=1):
        yield Pair.of(f"{file} and {partner.name}, line {number}", source.removesuffix("\n"), target.removesuffix("\n"))


def target_file(source_file: Path) -> Path:
    """The file of the targets that belong to a file of sources."""
    return source_file.with_suffix(".target")
