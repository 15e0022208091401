"""Atomic writes: a file or folder is there whole, or not at all."""

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

# How a person can mend what the operating system reports about a disk.
_REMEDIES = {
    errno.ENOSPC: "make room there, or work on another disk",
    errno.EDQUOT: "make room within your quota, or work on another disk",
    errno.EROFS: "mount it for writing, or work in another folder (snakemake --directory)",
    errno.EACCES: "give yourself the right to write there, or work in another folder (snakemake --directory)",
    errno.EPERM: "give yourself the right to write there, or work in another folder (snakemake --directory)",
    errno.ENOTDIR: "a file stands where a folder should: remove or rename it",
    errno.EEXIST: "a file stands where a folder should: remove or rename it",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EIO: "look after the disk, or work on another one",
}


@contextmanager
def atomic(path: Path | str, *, directory: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` only if the block succeeds.

    A reader therefore sees the old content, the new content, or nothing, never half a file; a write that fails leaves
    the old content. Raises UserError, naming file and remedy, when the disk refuses it.
    """
    path = Path(path)
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
        records.record_of(path).unlink(missing_ok=True)  # it describes the content that is replaced now
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
    """The system's error number. safetensors and tokenizers raise errors of their own, which give it in words."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found.group(1)) if found else None


def write_text(path: Path | str, text: str) -> None:
    """Write `text` to `path` atomically as UTF-8."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
