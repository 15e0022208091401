"""Records: `NAME.provenance.json` beside an output contains the hash of every file that its job wrote.

A file that is read is compared with the records in its folder and in the folder above. They detect a damaged file, and
one that another run's file has replaced, which is complete and would pass any check of its own content. A file that no
record lists is one from elsewhere, and is read unchecked.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from fdistill.artifacts.shapes import Shape, parse
from fdistill.runtime.errors import UserError

SUFFIX = ".provenance.json"
OWN_HASH = "record_sha256"  # nothing else detects damage of the record itself
MANIFEST = "manifest.json"  # stands for the folder that it lies in: it contains the hashes of the other files
OURS = "give a file that it wrote"
_SHAPE: dict[str, Shape] = {OWN_HASH: str, "stage?": str, "outputs": {...: str}}


@dataclass(frozen=True)
class Listing:
    """A record that lists a file, with the hash in it, and the output of the workflow that the file belongs to."""

    record: Path
    digest: str
    target: Path  # as the job was given it
    stage: str


def record_of(path: Path) -> Path:
    """Return the path of the record of the job whose first output is `path`."""
    return path.with_name(path.name + SUFFIX)


def record_text(content: dict[str, Any]) -> str:
    """Return the text of a record with this content and its own hash."""
    return json.dumps(content | {OWN_HASH: _own_hash(content)}, indent=2, ensure_ascii=False) + "\n"


def read_record(path: Path, shape: dict[str, Shape] | None = None) -> dict[str, Any]:
    """Return the content of a record; `shape` is that of the keys that are needed besides `outputs`.

    Raises UserError when the file is missing, damaged, or of another shape.
    """
    try:
        content = parse(path.read_text(encoding="utf-8"), _SHAPE | (shape or {}))
        if content.pop(OWN_HASH) != _own_hash(content):
            raise ValueError("its content is not what was written")
        if not content["outputs"]:
            raise ValueError("it lists no output")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the rule that makes it") from None
    except (OSError, ValueError, RecursionError) as error:
        reason, result = " ".join(str(error).split()), path.name.removesuffix(SUFFIX) or "its file"
        raise UserError(
            f"{path}: is damaged, {reason}; delete it and {result}, and run the rule that makes them again, or, "
            f"if {result} is as it should be, delete the record alone, or move it"
        ) from None
    return content


def _own_hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def check(path: Path, digest: str) -> None:
    """Raise UserError when a record lists the file at `path`, but no record lists it with the SHA-256 `digest`.

    A job's record lies beside its first output and lists all of its outputs; for a folder it lists the manifest inside.
    Paths are relative to where the record lies now, because results may have been moved. Without a record that lists
    the file, one that is damaged may be the one that did: it is refused.
    """
    listings, damages = _listings(path)
    if digest in [listing.digest for listing in listings]:
        return
    if listings:
        is_folders = listings[0].target.name != path.name
        result, what = (path.parent, f"its {path.name}") if is_folders else (path, "it")
        raise UserError(
            f"{result}: was changed or replaced: {listings[0].record} lists another hash of {what}; "
            f"{remedy(path)}, or, if the change is intended, delete the record"
        )
    if damages:
        raise damages[0]


def record_of_job(path: Path, shape: dict[str, Shape] | None = None) -> dict[str, Any] | None:
    """Return the record of the job that wrote the file at `path`, None if no record lists it; `shape` as `read_record`.

    Raises UserError for a record of another shape.
    """
    listings, _ = _listings(path)
    return read_record(listings[0].record, shape) if listings else None


def place_now(name: str, record: dict[str, Any], output: Path) -> Path:
    """Return where the file `name` of a job's record lies now, by where one of its outputs does.

    Names are relative to the folder that the job ran in, and results may have been moved since.
    """

    def common(recorded: Path) -> int:
        pairs = zip(reversed(recorded.parts), reversed(output.absolute().parts), strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

    recorded = max(map(Path, record["outputs"]), key=common)
    moved = common(recorded)
    then, now = Path(*recorded.parts[:-moved]), Path(*output.absolute().parts[:-moved])
    file = Path(name)
    return now / file.relative_to(then) if not file.is_absolute() and file.is_relative_to(then) else file


def is_recorded(path: Path) -> bool:
    """Whether a record lists the file or folder at `path`."""
    return bool(_listings(path / MANIFEST if path.is_dir() else path)[0])


def remedy(path: Path | str, otherwise: str = OURS) -> str:
    """Return what to do about the file at `path`, which cannot be used.

    A file that a record lists is made again; of another one, which the user may have made, `otherwise` is said.
    """
    listings, _ = _listings(Path(path))
    if not listings:
        return f"no record beside it says that this workflow wrote it; {otherwise}"
    target, stage = listings[0].target, listings[0].stage
    what = "the folder" if target.name != Path(path).name else "it"
    return f"delete {what} and run again (target {target}, made by {stage})"


def _listings(path: Path) -> tuple[list[Listing], list[UserError]]:
    """Return the records that list the file at `path`, and the damages of the other records beside it.

    Records lie in the file's folder, or in the folder above. Their paths are absolute or relative as `path` is.
    """
    absolute = path.absolute()
    listings, damages = [], []
    for folder in absolute.parents[:2]:
        for record in sorted(folder.glob(f"*{SUFFIX}")):
            shown = record if path.is_absolute() else Path(os.path.relpath(record))
            try:
                content = read_record(shown)
            except UserError as error:
                if record.exists():  # not deleted meanwhile, together with the output that a job replaces
                    damages.append(error)
                continue
            first = Path(next(iter(content["outputs"])))
            # The path of the record's folder when its job ran.
            original_folder = first.parent if record.name == first.name + SUFFIX else first.parent.parent
            original = original_folder / absolute.relative_to(folder)
            if digest := content["outputs"].get(str(original)):
                is_folders = original.name == MANIFEST and folder != absolute.parent
                target = original.parent if is_folders else original
                listings.append(Listing(shown, digest, target, content.get("stage", "one of its rules")))
    return listings, damages
