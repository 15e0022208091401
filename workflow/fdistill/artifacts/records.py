"""What the records beside results (see `provenance`) say of a file: whether it is the one that was written there.

A whole file of another run that has taken a result's place is sealed, too; the record is all that contradicts it.
"""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

from fdistill import seals
from fdistill.runtime.errors import UserError

log = logging.getLogger(__name__)

SUFFIX = ".provenance.json"


def record_of(path: Path) -> Path:
    """Where the record of a job lies whose first output is `path`."""
    return path.with_name(path.name + SUFFIX)


def check(path: Path, digest: str) -> None:
    """UserError when the file at `path` with this SHA-256 is named by records, and by each with another hash.

    A job's record lies beside its first output and names all of them, of a folder the manifest in it. Names count from
    there, as results may have been moved since. A record that cannot be read says nothing: it is no reason to stop.
    """
    told = list(_told(path))
    if told and digest not in [its for _, its in told]:
        record, _ = told[0]
        result = record.parent / path.absolute().relative_to(record.parent).parts[0]  # the file, or the folder it is of
        raise UserError(
            f"{result}: is not what was written there: {record} has another hash of it; delete it and run the "
            "rule that makes it again, or, if it is meant to be there, delete the record"
        )


def _told(path: Path) -> Iterator[tuple[Path, str]]:
    """The records that name `path`, in its folder and the one above, each with the hash that it gives."""
    path = path.absolute()
    for folder in path.parents[: 0 if path.name.endswith(SUFFIX) else 2]:  # of records there are none
        for record in sorted(folder.glob(f"*{SUFFIX}")):
            try:
                seals.check(record)
                outputs = json.loads(record.read_text(encoding="utf-8"))["outputs"]
                first = Path(next(iter(outputs)))
                # as the job had named the folder that the record is in
                there = first.parent if record == record_of(folder / first.name) else first.parent.parent
                if digest := outputs.get(str(there / path.relative_to(folder))):
                    yield record, digest
            except (UserError, OSError, ValueError, LookupError, TypeError, StopIteration, AttributeError):
                log.warning("%s: damaged; it is not known whether the results beside it are those of its job", record)
