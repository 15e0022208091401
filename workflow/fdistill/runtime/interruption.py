"""Signals that stop a script cleanly: from the scheduler, from Ctrl-C, or shortly before a SLURM job's time is over."""

import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

log = logging.getLogger(__name__)

STATUS = 75  # EX_TEMPFAIL of sysexits.h: nothing is wrong, run it again
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGALRM)
END_TIME = "SLURM_JOB_END_TIME"  # Unix time at which SLURM ends the job
MARGIN = 180.0  # seconds before that: for the current step and for writing a large model's state


class Stopped(SystemExit):
    """Exit with status 75: the script received a signal, has saved its progress, and resumes when it is run again."""

    def __init__(self):
        super().__init__(STATUS)


class Interruption:
    """A context in which a signal does not end the process but is kept in `reason`, for the code inside to act on.

    `reason` is None until a signal arrives, then its name. A second Ctrl-C ends the process. In a SLURM job, an alarm
    is set for shortly before the job's end. Use it in the main thread only, as Python's signal handlers require.
    """

    def __init__(self):
        self.reason: str | None = None
        self._at_once = False

    def __enter__(self) -> "Interruption":
        self._previous_handlers = {number: signal.signal(number, self._handle) for number in SIGNALS}
        if os.environ.get(END_TIME, "").isdigit():
            remaining = max(0.0, int(os.environ[END_TIME]) - time.time())
            # A job shorter than twice the margin runs for half of its time: otherwise it would make no progress.
            signal.setitimer(signal.ITIMER_REAL, max(remaining - MARGIN, remaining / 2, 0.001))
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _: FrameType | None) -> None:
        is_first = self.reason is None
        self.reason = "the job's time is nearly over" if number == signal.SIGALRM else signal.Signals(number).name
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)
        if is_first and self._at_once:
            raise Stopped

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Mark long work that can be repeated: inside this context, the first signal raises `Stopped` immediately."""
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def stop(self, where: str) -> NoReturn:
        """Log why the script stops, `where` in its work, and what to do; then raise `Stopped`."""
        log.warning("%s: stopped at %s; run again to go on", self.reason, where)
        raise Stopped
