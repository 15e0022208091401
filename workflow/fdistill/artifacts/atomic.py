"""Atomic writes: a file or folder appears complete, or not at all."""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
CHECKPOINTS = "checkpoints"  # the folder of unfinished work beside a study's results (rules/common.smk)
_OTHERWISE = "use another folder (snakemake --directory)"  # /proc and its like report ENOENT


@contextmanager
def atomic(path: Path | str, *, directory: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which is renamed to `path` only if the block succeeds.

    A reader therefore sees the old content, the new content, or nothing, never half a file. A write that fails leaves
    the old content; of several at once, the last one to end remains. Raises UserError when `path` has no name, when a
    file stands where a folder is to be written or the other way round, for text that UTF-8 cannot encode, and, with
    file and remedy, when the operating system refuses the write.
    """
    path = Path(path)
    if path.name in ("", ".."):
        raise UserError(f"'{path}': names the folder that one is in or above, where nothing is written; give a name")
    if path.is_file() if directory else path.is_dir():
        kinds = ("file", "folder") if directory else ("folder", "file")
        raise UserError(f"{path}: is a {kinds[0]}, where a {kinds[1]} is to be written; remove or rename it")
    workspace = None
    try:
        workspace = _workspace(path)
        temporary = workspace / path.name
        if directory:
            temporary.mkdir()
        yield temporary
        _move(temporary, path)
    except UnicodeEncodeError as error:
        character = f"U+{ord(error.object[error.start]):04X}"
        raise UserError(
            f"{path}: cannot be written: its name or text contains {character}, half of a pair, which UTF-8 cannot "
            "encode; correct the data or settings that it comes from"
        ) from None
    except Exception as error:
        number = _errno(error)
        if number is None or not (number in _REMEDIES or _is_about(error, path)):
            raise
        remedy = _REMEDIES.get(number, _OTHERWISE)
        raise UserError(f"{path}: cannot be written ({os.strerror(number)}); {remedy}") from None
    finally:
        if workspace is not None:
            shutil.rmtree(workspace, ignore_errors=True)
    journal.note_output(path)


def _workspace(path: Path, attempts: int = 10) -> Path:
    """Make and return a folder beside `path`, again where another job's `remove` deletes the one around it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except FileNotFoundError:
        if attempts == 1:
            raise
        return _workspace(path, attempts - 1)


def _move(temporary: Path, path: Path) -> None:
    """Rename `temporary` to `path`; a folder there is moved away first, and so is one that another thread then puts."""
    while True:
        records.record_of(path).unlink(missing_ok=True)  # it describes the old content
        try:
            temporary.replace(path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        else:
            return
        with suppress(FileNotFoundError):  # another thread has moved it
            path.rename(Path(tempfile.mkdtemp(dir=temporary.parent)) / path.name)


def _errno(error: Exception) -> int | None:
    """Return the system's error number, which the errors of safetensors and tokenizers have only in their text."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    match = re.search(r"\(os error (\d+)\)", str(error))
    return int(match.group(1)) if match else None


def _is_about(error: Exception, path: Path) -> bool:
    """Whether a system's error names `path`, what is written in its place, or a folder above it."""
    name = getattr(error, "filename", None)
    if not isinstance(name, str | os.PathLike):
        return False
    place, folder = Path(name).absolute(), path.parent.absolute()
    return folder.is_relative_to(place) or (
        place.is_relative_to(folder) and path.name in place.relative_to(folder).parts[0]
    )


def remove(path: Path) -> None:
    """Delete a file or folder of unfinished work, and the folders above it that are empty then, up to `CHECKPOINTS`.

    The rules have such folders made there; outside of it they may be the user's.
    """
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    above = path.absolute().parents
    names = [folder.name for folder in above]
    if CHECKPOINTS in names:
        with suppress(OSError):  # the first that is not empty
            for folder in above[: names.index(CHECKPOINTS) + 1]:
                folder.rmdir()


def write_text(path: Path | str, text: str, errors: str = "strict") -> None:
    """Write `text` to `path` atomically as UTF-8; `errors` says what becomes of half a surrogate pair."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors=errors)
