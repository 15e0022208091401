"""Records: `NAME.provenance.json` beside an output contains the hash of every file that its job wrote.

A file that is read is compared with the records in its folder and in the folder above. They detect a damaged file, and
one that another run's file has replaced, which is complete and would pass any check of its own content.
"""

import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fdistill.runtime.errors import UserError

log = logging.getLogger(__name__)

SUFFIX = ".provenance.json"
OWN_HASH = "record_sha256"  # nothing else detects damage of the record itself


def record_of(path: Path) -> Path:
    """Return the path of the record of the job whose first output is `path`."""
    return path.with_name(path.name + SUFFIX)


def record_text(content: dict[str, Any]) -> str:
    """Return the text of a record with this content and its own hash."""
    return json.dumps(content | {OWN_HASH: _own_hash(content)}, indent=2, ensure_ascii=False) + "\n"


def read_record(path: Path) -> dict[str, Any]:
    """Return the content of a record. Raises UserError when the file is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        own_hash = content.pop(OWN_HASH)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the rule that makes it") from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        own_hash = content = None
    if content is None or own_hash != _own_hash(content):
        raise UserError(f"{path}: is damaged, its content is not what was written; delete it and run again")
    return content


def _own_hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def check(path: Path, digest: str) -> None:
    """Raise UserError when a record lists the file at `path`, but no record lists it with the SHA-256 `digest`.

    A job's record lies beside its first output and lists all of its outputs; for a folder it lists the manifest inside.
    Paths are relative to where the record lies now, because results may have been moved. A damaged record is logged
    and not used, because the results themselves may be intact.
    """
    recorded = list(_recorded_hashes(path))
    if recorded and digest not in [recorded_digest for _, recorded_digest in recorded]:
        record, _ = recorded[0]
        result = record.parent / path.absolute().relative_to(record.parent).parts[0]  # the file or its model folder
        what = "it" if result == path.absolute() else f"its {path.name}"
        raise UserError(
            f"{result}: was changed or replaced: {record} lists another hash of {what}; delete it and run the rule "
            "that makes it again, or, if the change is intended, delete the record"
        )


def _recorded_hashes(path: Path) -> Iterator[tuple[Path, str]]:
    """Yield each record that lists `path`, with the hash in it; records lie in its folder or the folder above."""
    path = path.absolute()
    for folder in path.parents[:2]:
        for record in sorted(folder.glob(f"*{SUFFIX}")):
            try:
                outputs = read_record(record)["outputs"]
                first = Path(next(iter(outputs)))
            except (UserError, LookupError, TypeError, StopIteration):
                log.warning("%s: damaged; the results beside it are not checked against it", record)
                continue
            # The path of the record's folder when its job ran.
            original_folder = first.parent if record == record_of(folder / first.name) else first.parent.parent
            if digest := outputs.get(str(original_folder / path.relative_to(folder))):
                yield record, digest
