"""Atomic writes: a file or folder appears complete, or not at all."""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fdistill.artifacts import journal, records
from fdistill.runtime.errors import UserError

# What the user can do about an error that the operating system reports.
_REMEDIES = {
    errno.ENOSPC: "make room there, or use another disk",
    errno.EDQUOT: "make room within your quota, or use another disk",
    errno.EROFS: "mount it for writing, or use another folder (snakemake --directory)",
    errno.EACCES: "get permission to write there, or use another folder (snakemake --directory)",
    errno.EPERM: "get permission to write there, or use another folder (snakemake --directory)",
    errno.ENOTDIR: "a file stands where a folder should: remove or rename it",
    errno.EEXIST: "a file stands where a folder should: remove or rename it",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EIO: "check the disk, or use another one",
}


@contextmanager
def atomic(path: Path | str, *, directory: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which is renamed to `path` only if the block succeeds.

    A reader therefore sees the old content, the new content, or nothing, never half a file. A write that fails leaves
    the old content. Raises UserError when a file stands where a folder is to be written or the other way round, and,
    with file and remedy, when the operating system refuses the write.
    """
    path = Path(path)
    if path.exists() and path.is_dir() != directory:
        kinds = ("file", "folder") if directory else ("folder", "file")
        raise UserError(f"{path}: is a {kinds[0]}, where a {kinds[1]} is to be written; remove or rename it")
    workspace = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        workspace = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        temporary = workspace / path.name
        if directory:
            temporary.mkdir()
        yield temporary
        if path.is_dir():
            path.rename(workspace / "old")
        records.record_of(path).unlink(missing_ok=True)  # it describes the old content
        temporary.replace(path)
    except Exception as error:
        number = _errno(error)
        if number not in _REMEDIES:
            raise
        raise UserError(f"{path}: cannot be written ({os.strerror(number)}); {_REMEDIES[number]}") from None
    finally:
        if workspace is not None:
            shutil.rmtree(workspace, ignore_errors=True)
    journal.note_output(path)


def _errno(error: Exception) -> int | None:
    """Return the system's error number, which the errors of safetensors and tokenizers have only in their text."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    match = re.search(r"\(os error (\d+)\)", str(error))
    return int(match.group(1)) if match else None


def write_text(path: Path | str, text: str) -> None:
    """Write `text` to `path` atomically as UTF-8."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
