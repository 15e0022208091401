"""What a person sees while Snakemake runs: one line for each job that starts, and a sign of life when none does.

Snakemake prints about fifteen lines for a job and has no shorter form that says which task and method it is and where
its log lies. They are still in its log file, and errors are printed as ever.
"""

import logging
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

DEFAULT_HANDLER = "DefaultStreamHandler"  # the one of Snakemake that writes to the terminal
ROUTINE = ("job_info", "job_started", "job_finished", "progress", "resources_info")  # its events (LogEvent)
SELECTING = "Select jobs to execute..."  # has no event
# Seconds without a line after which one says what runs: on a terminal, and in a log that is read later.
PATIENCE, PATIENCE_OF_LOGS = 60.0, 600.0
SHORTEST_WAIT = 1.0
TAIL = 4096  # bytes at the end of a job's log in which its last line is looked for


@dataclass(frozen=True)
class _Job:
    name: str
    log: str
    started: float


class JobLines(logging.Handler):
    """Prints Snakemake's events to `stream`: a line for a job that starts, and one at intervals when none does."""

    def __init__(self, stream: TextIO, total: int, result: str = ""):
        """Print to `stream` about a run of `total` jobs; `result` is added to the last line."""
        super().__init__()
        self.stream = stream
        self.patience = PATIENCE if stream.isatty() else PATIENCE_OF_LOGS
        self.running: dict[int, _Job] = {}
        self.done, self.total, self.result = 0, total, result
        self.last_line = time.monotonic()
        threading.Thread(target=self._watch, daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Print a job that starts; note which jobs run and how many have finished."""
        event = getattr(record, "event", None)
        if event == "job_info":
            job = _Job(job_name(record.rule_name, record.wildcards), next(iter(record.log), ""), time.monotonic())
            self.running[record.jobid] = job
            self._print(f"{job.name}  {job.log}")
        elif event == "job_finished":
            self.running.pop(record.job_id, None)
        elif event == "job_error":
            self.running.pop(record.jobid, None)
        elif event == "progress":
            self.done, self.total = record.done, record.total
            if self.done == self.total:
                self._print(f"all jobs are finished{self.result}")

    def _print(self, text: str) -> None:
        share = f"{self.done}/{self.total}"
        self.stream.write(f"{time.strftime('%H:%M:%S')}  {share:>7}  {text}\n")
        self.stream.flush()
        self.last_line = time.monotonic()

    def _watch(self) -> None:
        while True:
            time.sleep(max(SHORTEST_WAIT, self.last_line + self.patience - time.monotonic()))
            with self.lock:
                if self.running and time.monotonic() - self.last_line >= self.patience:
                    self.report()

    def report(self) -> None:
        """Print how many jobs run, and of the one that has run longest the last line of its log."""
        job = min(self.running.values(), key=lambda job: job.started)
        minutes = (time.monotonic() - job.started) / 60
        last = last_line(Path(job.log))
        self._print(f"{len(self.running)} running; for {minutes:.0f} min {job.name}{': ' if last else ''}{last}")


def job_name(rule: str, wildcards: Any) -> str:
    """Return what a line calls a job: `distill xsum/tvd/seed1`."""
    values = [f"seed{value}" if name == "seed" else value for name, value in (wildcards or {}).items()]
    return f"{rule} {'/'.join(values)}".strip()


def last_line(log: Path) -> str:
    """Return the last line of a log that is being written; "" if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def show_job_lines(logger: logging.Logger, settings: Any, total: int, result: str = "") -> None:
    """Print one line per job of the `total` from now on, unless the user has chosen what Snakemake prints.

    `result` is added to the last line. `settings` are Snakemake's OutputSettings. With `--verbose`, with `--quiet
    rules` or `progress`, and with a logger plugin, nothing changes.
    """
    handlers = [handler for handler in logger.handlers if handler.name == DEFAULT_HANDLER]
    chosen = {str(choice).rpartition(".")[2].lower() for choice in settings.quiet or ()} & {"rules", "progress", "all"}
    if not handlers or chosen or settings.verbose:
        return
    handlers[0].addFilter(lambda record: getattr(record, "event", None) not in ROUTINE and record.msg != SELECTING)
    stream = handlers[0].stream
    stream.write("    time     done  a job that starts, and its log, which `tail -f` follows\n")
    logger.addHandler(JobLines(stream, total, result))
