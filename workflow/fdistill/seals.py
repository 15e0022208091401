"""Seals: a file carries its own hash, so that whoever reads it knows that it is what was written.

A seal is `MARK` and the hexadecimal SHA-256 of the file with these digits as zeros. It stands in a Parquet file's
metadata, under the key `seal` of a JSON file, and in the last line of a file of JSON lines.
"""

import hashlib
from pathlib import Path

from fdistill.runtime.errors import UserError

MARK = "fdistill-sha256:"
ZEROS = "0" * 64
BLANK = MARK + ZEROS


def close(path: Path) -> None:
    """Put the hash into the file's last `BLANK`."""
    content = path.read_bytes()
    before, _, after = content.rpartition(BLANK.encode())
    path.write_bytes(before + MARK.encode() + hashlib.sha256(content).hexdigest().encode() + after)


def check(path: Path) -> bool:
    """Whether the file has a seal; UserError when it is empty, or when its seal is not that of its content."""
    content = path.read_bytes()
    if not content:
        raise UserError(f"{path}: is empty; delete it and run again")
    before, mark, after = content.rpartition(MARK.encode())
    digest, after = after[: len(ZEROS)], after[len(ZEROS) :]
    if mark and digest != hashlib.sha256(before + BLANK.encode() + after).hexdigest().encode():
        raise UserError(f"{path}: is damaged, its content is not what was written; delete it and run again")
    return bool(mark)
