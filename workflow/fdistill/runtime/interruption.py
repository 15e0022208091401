"""Being told to stop: by the scheduler, by the user, or by the clock when a SLURM job's time is nearly over."""

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
MARGIN = 180.0  # seconds before that: for the step under way and for writing a large model's state


class Stopped(SystemExit):
    """Ends a script with status 75: it was told to stop, has kept its work, and goes on when it is run again."""

    def __init__(self):
        super().__init__(STATUS)


class Interruption:
    """A context in which a signal does not end the process: `reason` says that one came, and which.

    A second Ctrl-C ends it all the same. In a SLURM job the alarm is set for shortly before the end of its time. Only
    for the main thread, as signals are.
    """

    def __init__(self):
        self.reason: str | None = None
        self._at_once = False

    def __enter__(self) -> "Interruption":
        self._before = {number: signal.signal(number, self._told) for number in SIGNALS}
        if os.environ.get(END_TIME, "").isdigit():
            remaining = max(0.0, int(os.environ[END_TIME]) - time.time())
            # A short job works for half of its time, or it would never get anywhere.
            signal.setitimer(signal.ITIMER_REAL, max(remaining - MARGIN, remaining / 2, 0.001))
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _told(self, number: int, _: FrameType | None) -> None:
        first = self.reason is None
        self.reason = "the job's time is nearly over" if number == signal.SIGALRM else signal.Signals(number).name
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)
        if first and self._at_once:
            raise Stopped

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Long work that can be begun again: within it, being told to stop raises `Stopped`."""
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def stop(self, where: str) -> NoReturn:
        """End the script with one line that says why, `where` it stands, and what to do."""
        log.warning("%s: stopped at %s; run again to go on", self.reason, where)
        raise Stopped
