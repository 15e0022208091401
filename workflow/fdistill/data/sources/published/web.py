"""Published data sets from the files that their authors, or others, have put on the web."""

import io
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from fdistill.artifacts.atomic import atomic
from fdistill.artifacts.files import note_input
from fdistill.data.archives import read_members
from fdistill.data.sources.files.local_files import Reader
from fdistill.data.sources.files.rows import OUR_NAMES, SPLITS, Pair, Row, Rows, unpartnered
from fdistill.runtime.errors import UserError

log = logging.getLogger(__name__)

TIMEOUT = (10, 60)  # seconds: for a connection, and for the next bytes
CHUNK = 2**20


@dataclass(frozen=True)
class WebFiles:
    """A data set in files on the web, and what makes rows of them."""

    urls: tuple[str, ...]
    reader: Callable[[list[Path]], Rows]  # the downloaded files, in the order of `urls` -> their rows
    note: str = ""  # how the text differs from that of the other places

    def __str__(self) -> str:
        names = ", ".join(PurePosixPath(url).name for url in self.urls)
        return f"{urlsplit(self.urls[0]).netloc}, {names}"

    def read(self) -> tuple[Rows, list[dict[str, str]]]:
        """Their rows by split, and the origins for the manifest.

        Raises UserError for a file that cannot be had now, for damaged content once it is reached.
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
        raise UserError(f"{error} It was downloaded: delete it, and it is fetched again") from None


def download(url: str) -> Path:
    """The file at `url` in the cache of the `datasets` library; downloaded, whole or not at all, if need be.

    Raises UserError when it cannot be had.
    """
    import datasets  # here, because the configuration is checked without it
    import requests

    place = urlsplit(url)
    path = Path(datasets.config.DOWNLOADED_DATASETS_PATH) / place.netloc / place.path.lstrip("/")
    if path.exists():
        return path
    log.info("downloading %s", url)
    try:
        with atomic(path) as temporary, requests.get(url, stream=True, timeout=TIMEOUT) as response:
            response.raise_for_status()
            with temporary.open("wb") as file:
                for chunk in response.iter_content(CHUNK):
                    file.write(chunk)
    except OSError as error:  # the network's errors, too, are of this kind, and hold what went wrong
        reason = getattr(error.args[0] if error.args else None, "reason", error)
        raise UserError(
            f"{url}: cannot be downloaded ({reason}); nothing was kept. To place it by hand, copy the file to {path}"
        ) from None
    return path


def one_per_split(formats: dict[str, Reader]) -> Callable[[list[Path]], Rows]:
    """A reader of three files: train, dev, test."""
    return lambda files: {split: formats[file.suffix](file) for split, file in zip(SPLITS, files, strict=True)}


def archived_pairs(files: list[Path]) -> Rows:
    """A reader of one archive with the files `train.source`, `train.target`, and so for `val` and `test`."""
    (archive,) = files
    lines = {}
    for name, content in read_members(archive, lambda name: name.endswith((".source", ".target"))):
        stem, _, side = PurePosixPath(name).name.rpartition(".")
        lines[OUR_NAMES.get(stem, stem), side] = io.BytesIO(content).readlines()
    missing = [f"{split}.{side}" for split in SPLITS for side in ("source", "target") if (split, side) not in lines]
    if missing:
        raise UserError(f"{archive}: lacks {', '.join(missing)}; it is not the archive that is known here")
    return {split: _pairs(f"{archive}, {split}", lines[split, "source"], lines[split, "target"]) for split in SPLITS}


def _pairs(place: str, sources: list[bytes], targets: list[bytes]) -> Iterator[Row]:
    if len(sources) != len(targets):
        raise unpartnered(f"{place}.source", len(sources), f"{place}.target", len(targets))
    for number, (source, target) in enumerate(zip(sources, targets, strict=True), start=1):
        line = f"{place}, line {number}"
        yield Pair.of(line, decoded(source, line).rstrip(), decoded(target, line).rstrip())


def decoded(content: bytes, place: str) -> str:
    """A piece of an archive as text; UserError when it is not UTF-8."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{place}: not UTF-8 text ({error})") from None
