"""Where each number of the report comes from: its file, what made it, and the command that makes it again."""

import shlex
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fdistill.artifacts.files import sha256
from fdistill.artifacts.records import record_of_job
from fdistill.evaluation.tables.table import Table, cells_of

SHAPE = {"code": {"commit": str, "dirty": (bool, None)}, "packages": {...: str}}


@dataclass(frozen=True)
class Origins:
    """The table of files with their commands, and the code and the packages that the jobs' records name."""

    table: Table
    commits: list[str]
    packages: list[str]
    unrecorded: list[Path]


def origins(parts: dict[str, list[Path]], command: str) -> Origins:
    """Return the origins of the report's files, by the part of the report that shows them.

    `command` makes the file whose path is added to it. Raises UserError for a record of another shape.
    """
    rows, marks, records = [], [], {}
    for part, paths in parts.items():
        rows.append([])
        for path in dict.fromkeys(paths):
            records[path] = record_of_job(path, SHAPE)
            rows[-1].append(["" if rows[-1] else part, f"{command} {shlex.quote(str(path))}", sha256(path)[:16]])
            marks.append(["", "code", "code"])
    headings = ["Part", "Command, in the folder of the study", "SHA-256, first digits"]
    cells = cells_of(headings, [section for section in rows if section])
    found = [record for record in records.values() if record]
    return Origins(
        table=Table(
            "",
            cells,
            title="Files",
            widths={headings[1]: 0.6},
            marks=pd.DataFrame(marks, cells.index, cells.columns),
        ),
        commits=sorted(
            {record["code"]["commit"][:12] + " (changed)" * bool(record["code"]["dirty"]) for record in found}
        ),
        packages=sorted({f"{name} {version}" for record in found for name, version in record["packages"].items()}),
        unrecorded=[path for path, record in records.items() if record is None],
    )
