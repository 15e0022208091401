"""Opens files, and identifies what lies under a name, so that a file of another kind is refused by what it is."""

import shlex
import stat
import sys
from pathlib import Path
from typing import BinaryIO

from fdistill.runtime.errors import UserError

# What is neither a file nor a folder: opening a pipe waits for a writer, and a device need not end.
SPECIAL = {
    stat.S_ISFIFO: "a named pipe (FIFO)",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}

STDIN = Path("/dev/stdin")  # the path that stands for the standard input
TEXT, PARQUET = "text", "Parquet"
SAMPLE = 4096  # bytes at the start of a file that are looked at

# First bytes -> what such a file is, what to do with it, and for that a command that reads the standard input, if any.
# Of two signatures that begin alike the longer one stands first.
SIGNATURES = {
    b"\x1f\x8b": ("compressed by gzip", "decompress it", "gzip -dc"),
    b"BZh": ("compressed by bzip2", "decompress it", "bzip2 -dc"),
    b"\xfd7zXZ\x00": ("compressed by xz", "decompress it", "xz -dc"),
    b"\x28\xb5\x2f\xfd": ("compressed by zstd", "decompress it", "zstd -dc"),
    b"\x04\x22\x4d\x18": ("compressed by lz4", "decompress it", "lz4 -dc"),
    b"PK\x03\x04": ("a zip archive or a spreadsheet (.xlsx)", "unpack it, or save the sheet as CSV in UTF-8", ""),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "unpack it", ""),
    b"Rar!\x1a\x07": ("a RAR archive", "unpack it", ""),
    b"\xd0\xcf\x11\xe0": ("an old Excel or Word file", "save the sheet as CSV in UTF-8", ""),
    b"%PDF": ("a PDF", "give its text", ""),
    b"SQLite format 3": ("an SQLite database", "export the table as CSV", ""),
    b"\x89HDF": ("an HDF5 file", "export the table as Parquet", ""),
    b"ARROW1": ("an Arrow file", "save the table as Parquet", ""),
    b"\xff\xff\xff\xff": ("a stream of Arrow", "save the table as Parquet", ""),
    b"FEA1": ("a Feather file", "save the table as Parquet", ""),
    b"Obj\x01": ("an Avro file", "export the table as Parquet", ""),
    b"\x93NUMPY": ("a NumPy array", "save its texts as CSV in UTF-8", ""),
    b"\xff\xfe\0\0": ("text in UTF-32", "convert it", "iconv -f UTF-32 -t UTF-8"),
    b"\0\0\xfe\xff": ("text in UTF-32", "convert it", "iconv -f UTF-32 -t UTF-8"),
    b"\xff\xfe": ("text in UTF-16", "convert it", "iconv -f UTF-16 -t UTF-8"),
    b"\xfe\xff": ("text in UTF-16", "convert it", "iconv -f UTF-16 -t UTF-8"),
    b"version https://git-lfs.": ("a Git LFS pointer, the data are elsewhere", "fetch them: git lfs pull", ""),
    b"PAR1": ("a Parquet file", "rename it to end in .parquet", ""),
}
UNMARKED = ("UTF-32LE", "UTF-32BE", "UTF-16LE", "UTF-16BE")  # encodings whose text has NUL bytes, without a mark


def suffix_of(file: str | Path) -> str:
    """Return the suffix of a file's name, by which its format is chosen: in lower case, with its dot."""
    return Path(file).suffix.lower()


def check_regular(path: Path, expected: str = "a file") -> bool:
    """Return whether a file exists at `path`; raises UserError when something else stands there.

    `expected` says in the message what should stand there.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', error)}); correct the path") from None
    if stat.S_ISREG(mode):
        return True
    kind = next((text for test, text in SPECIAL.items() if test(mode)), "a folder")
    raise UserError(f"{path}: is {kind}, not {expected}; remove or rename it, or correct the path")


def opened(file: Path) -> BinaryIO:
    """Open a file to read; of `STDIN`, return the stream, which need not be one that a path can open again.

    Raises UserError when it cannot be opened.
    """
    if file == STDIN and sys.stdin is None:
        raise UserError(f"{file}: is closed; give the standard input something to read, or name a file")
    try:
        return sys.stdin.buffer if file == STDIN else file.open("rb")
    except OSError as error:
        raise UserError(
            f"{file}: cannot be read ({error.strerror}); correct the path, or make the file readable"
        ) from None


def is_stream(file: Path) -> bool:
    """Return whether this is the standard input or a pipe, which a command cannot read again, nor anyone rename."""
    return file == STDIN or file.is_fifo()


def converted(command: str, file: Path) -> str:
    """Return, for a message, how `command` converts a file; it reads the standard input and writes to the standard
    output.
    """
    return f"send it through {command}" if is_stream(file) else f"{command} < {shlex.quote(str(file))} > NEW_FILE"


def check_start(start: bytes, file: Path, expected: str) -> None:
    """Raise UserError when the first bytes of a file are those of another kind than `expected`, `TEXT` or `PARQUET`."""
    found = next((found for signature, found in SIGNATURES.items() if start.startswith(signature)), None)
    if not found and expected == TEXT:
        found = _with_nul_bytes(start[:SAMPLE])
    if not found or (found == SIGNATURES[b"PAR1"] and expected == PARQUET):
        return
    kind, remedy, command = found
    if found == SIGNATURES[b"PAR1"] and is_stream(file):
        remedy = "give --format parquet"
    raise UserError(f"{file}: is {kind}, not {expected}; {remedy}{command and ': ' + converted(command, file)}")


def _with_nul_bytes(start: bytes) -> tuple[str, str, str] | None:
    """What has many NUL bytes, as in `SIGNATURES`; None for text in UTF-8, which has them for NUL characters alone."""
    if not start or start.count(0) * 4 < len(start):
        return None
    if start[257:262] == b"ustar":
        return "a tar archive", "unpack it", ""
    for encoding in UNMARKED:
        width = int(encoding[4:6]) // 8  # bytes
        text = start[: len(start) // width * width].decode(encoding, "replace")
        if "\0" not in text and 2 * sum(map(str.isascii, text)) > len(text):
            return f"text in {encoding}", "convert it", f"iconv -f {encoding} -t UTF-8"
    return "binary data", "export its texts as CSV in UTF-8", ""
