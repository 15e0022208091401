"""What one run of a script reads, writes and costs: the contents of its provenance record, collected as it runs.

`fdistill.config.cli.run` opens the journal of a script. Whoever uses the library without one records nothing.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Journal:
    """The notes of one run."""

    inputs: dict[str, str] = field(default_factory=dict)  # path or hub id -> SHA-256, or the hub's revision
    outputs: list[Path] = field(default_factory=list)
    started_at: int = field(default_factory=time.time_ns)  # names the run's cost note
    started: float = field(default_factory=time.monotonic)
    earlier_costs: dict[str, dict[str, float]] = field(default_factory=dict)  # of interrupted runs, by their notes


_current: ContextVar[Journal | None] = ContextVar("journal", default=None)


def current() -> Journal | None:
    """The journal of the script that is running, if one is."""
    return _current.get()


@contextmanager
def opened() -> Iterator[Journal]:
    """A new journal, which is the current one inside the block."""
    journal = Journal()
    token = _current.set(journal)
    try:
        yield journal
    finally:
        _current.reset(token)


def note_input(name: Path | str, identity: str) -> None:
    """Record that the run has read `name`; `identity` is a SHA-256 or a revision."""
    if (journal := current()) is not None:
        journal.inputs[str(name)] = identity


def note_output(path: Path) -> None:
    """Record that the run has written `path`."""
    if (journal := current()) is not None:
        journal.outputs.append(path)
