"""The journal of a run: what a script reads, writes and costs, noted while it runs, for its provenance record.

`fdistill.config.cli.run` opens a script's journal, which all threads share. Without an open journal, as when the
library is used from other programs, nothing is noted.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Journal:
    """Inputs, outputs and costs of one run."""

    inputs: dict[str, str] = field(default_factory=dict)  # path or hub id -> SHA-256, or the hub's revision
    outputs: list[Path] = field(default_factory=list)
    started_at: int = field(default_factory=time.time_ns)  # names the file of the run's cost
    started: float = field(default_factory=time.monotonic)
    earlier_costs: dict[str, dict[str, float]] = field(default_factory=dict)  # interrupted runs', by their files' names


_open: list[Journal] = []  # the innermost last


def current() -> Journal | None:
    """Return the open journal; None if there is none."""
    return _open[-1] if _open else None


@contextmanager
def opened() -> Iterator[Journal]:
    """Open a new journal, which `current` returns inside the block."""
    _open.append(Journal())
    try:
        yield _open[-1]
    finally:
        _open.pop()


def note_input(name: Path | str, identity: str) -> None:
    """Note that the run has read the file or hub id `name`; `identity` is its SHA-256 or revision."""
    if (journal := current()) is not None:
        journal.inputs[str(name)] = identity


def note_output(path: Path) -> None:
    """Note that the run has written `path`."""
    if (journal := current()) is not None:
        journal.outputs.append(path)
