"""Reads published data sets from files on the web, which the authors or others have published."""

import io
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from fdistill.artifacts.atomic import atomic
from fdistill.artifacts.files import note_input
from fdistill.data.archives import is_cached, read_members
from fdistill.data.sources import SPLITS
from fdistill.data.sources.files.local_files import Reader
from fdistill.data.sources.files.rows import SPLIT_NAMES, Pair, Row, Rows, unpartnered
from fdistill.runtime.errors import UserError

log = logging.getLogger(__name__)

TIMEOUT = (10, 60)  # seconds until a connection, and until the next bytes
NAMED = 4  # files that a message names
CHUNK = 2**20  # bytes that are written at a time


@dataclass(frozen=True)
class WebFiles:
    """A data set in files on the web, and the reader of their rows."""

    urls: tuple[str, ...]
    reader: Callable[[list[Path]], Rows]  # from the downloaded files, in the order of `urls`, to rows
    note: str = ""  # how the text differs from other places, for log and manifest

    def __str__(self) -> str:
        names = [PurePosixPath(url).name for url in self.urls]
        more = f", … ({len(names)} files)" if len(names) > NAMED else ""
        return f"{urlsplit(self.urls[0]).netloc}, {', '.join(names[:NAMED])}{more}"

    def read(self) -> tuple[Rows, list[dict[str, str]]]:
        """Return the rows by split, and the files as origins for the manifest.

        Raises UserError for a file that cannot be downloaded at once, for damaged content when its row is read.
        """
        files = [download(url) for url in self.urls]
        origins = [
            {"package": file.name, "version": f"from {urlsplit(url).netloc}", "url": url, "sha256": note_input(file)}
            for url, file in zip(self.urls, files, strict=True)
        ]
        if self.note:
            origins[0]["note"] = self.note
        return {split: _downloaded(rows) for split, rows in self.reader(files).items()}, origins


def _downloaded(rows: Iterable[Row]) -> Iterator[Row]:
    try:
        yield from rows
    except UserError as error:
        raise UserError(f"{error}. The file was downloaded: delete it and run again") from None


def download(url: str) -> Path:
    """Return the file at `url` in the cache of the `datasets` library, downloaded if it is not there yet.

    A download that breaks off leaves no file. Raises UserError when the file cannot be downloaded.
    """
    import requests

    path = cached_path(url)
    if is_cached(path):
        return path
    log.info("downloading %s", url)
    try:
        with atomic(path) as temporary, requests.get(url, stream=True, timeout=TIMEOUT) as response:
            response.raise_for_status()
            with temporary.open("wb") as file:
                for chunk in response.iter_content(CHUNK):
                    file.write(chunk)
    except OSError as error:  # errors of `requests` are OSErrors too; their first argument has the reason
        reason = getattr(error.args[0] if error.args else None, "reason", error)
        raise UserError(
            f"{url}: cannot be downloaded ({reason}); check the network. To place it by hand, copy the file to {path}"
        ) from None
    return path


def cached_path(url: str) -> Path:
    """Return where the file at `url` is, or will be, in the cache of the `datasets` library."""
    import datasets  # imported here, because it is slow and the configuration is checked without it

    parts = urlsplit(url)
    return Path(datasets.config.DOWNLOADED_DATASETS_PATH) / parts.netloc / parts.path.lstrip("/")


def one_per_split(formats: dict[str, Reader]) -> Callable[[list[Path]], Rows]:
    """Return a reader of three files: train, dev and test."""
    return lambda files: {split: formats[file.suffix](file) for split, file in zip(SPLITS, files, strict=True)}


def archived_pairs(files: list[Path]) -> Rows:
    """Read one archive with `train.source` and `train.target`, and the same for `val` and `test`."""
    (archive,) = files
    lines = {}
    for name, content in read_members(archive, lambda name: name.endswith((".source", ".target"))):
        stem, _, side = PurePosixPath(name).name.rpartition(".")
        lines[SPLIT_NAMES.get(stem, stem), side] = io.BytesIO(content).readlines()
    missing = [f"{split}.{side}" for split in SPLITS for side in ("source", "target") if (split, side) not in lines]
    if missing:
        raise UserError(f"{archive}: lacks {', '.join(missing)}: not the expected archive; delete it and run again")
    return {split: _pairs(f"{archive}, {split}", lines[split, "source"], lines[split, "target"]) for split in SPLITS}


def _pairs(place: str, sources: list[bytes], targets: list[bytes]) -> Iterator[Row]:
    if len(sources) != len(targets):
        raise unpartnered(f"{place}.source", len(sources), f"{place}.target", len(targets))
    for number, (source, target) in enumerate(zip(sources, targets, strict=True), start=1):
        line = f"{place}, line {number}"
        yield Pair.of(line, decoded(source, line).rstrip(), decoded(target, line).rstrip())


def decoded(content: bytes, place: str) -> str:
    """Return bytes of an archive as text; raises UserError when they are not UTF-8."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{place}: not UTF-8 text ({error})") from None
