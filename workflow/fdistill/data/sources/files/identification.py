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

# First bytes -> what such a file is, and what to do with it; {name} is the file, quoted for a shell.
SIGNATURES = {
    b"\x1f\x8b": ("compressed by gzip", "decompress it: gzip -dc {name} > NEW_FILE"),
    b"BZh": ("compressed by bzip2", "decompress it: bzip2 -dc {name} > NEW_FILE"),
    b"\xfd7zXZ\x00": ("compressed by xz", "decompress it: xz -dc {name} > NEW_FILE"),
    b"\x28\xb5\x2f\xfd": ("compressed by zstd", "decompress it: zstd -dc {name} > NEW_FILE"),
    b"PK\x03\x04": ("a zip archive or a spreadsheet (.xlsx)", "unpack it, or save the sheet as CSV in UTF-8"),
    b"\xd0\xcf\x11\xe0": ("an old Excel or Word file", "save the sheet as CSV in UTF-8"),
    b"%PDF": ("a PDF", "give its text"),
    b"SQLite format 3": ("an SQLite database", "export the table as CSV"),
    b"\x89HDF": ("an HDF5 file", "export the table as Parquet"),
    b"\xff\xfe": ("text in UTF-16", "convert it: iconv -f UTF-16 -t UTF-8 {name} > NEW_FILE"),
    b"\xfe\xff": ("text in UTF-16", "convert it: iconv -f UTF-16 -t UTF-8 {name} > NEW_FILE"),
    b"version https://git-lfs.": ("a Git LFS pointer, the data are elsewhere", "fetch them: git lfs pull"),
    b"PAR1": ("a Parquet file", "rename it to end in .parquet"),
}


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


def check_start(start: bytes, file: Path, expected: str) -> None:
    """Raise UserError when the first bytes of a file are those of another kind than `expected`, `TEXT` or `PARQUET`."""
    for signature, (kind, remedy) in SIGNATURES.items():
        if start.startswith(signature) and not (signature == b"PAR1" and expected == PARQUET):
            raise UserError(f"{file}: is {kind}, not {expected}; {remedy.format(name=shlex.quote(str(file)))}")
