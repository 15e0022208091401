"""The progress of long work: a bar on a terminal, plain lines at intervals in a log."""

import logging
import sys
import time

from tqdm import tqdm

log = logging.getLogger(__name__)

LOG_INTERVAL = 10.0  # seconds between two lines in a log


class Progress:
    """Shows how many of `total` steps are done, with figures such as the loss or tokens per second."""

    def __init__(self, name: str, total: int, done: int = 0):
        """Start with `done` steps, which an interrupted run has finished; `name` comes first in each line."""
        self.name, self.total, self.done, self.done_before = name, total, done, done
        self.started = self.last_line = time.monotonic()
        self.bar = tqdm(total=total, initial=done, desc=name, file=sys.stderr) if sys.stderr.isatty() else None

    def advance(self, steps: int = 1, **figures: float) -> None:
        """Add `steps` and show `figures`."""
        self.done += steps
        if self.bar is not None:
            self.bar.set_postfix({name: f"{value:.4g}" for name, value in figures.items()}, refresh=False)
            self.bar.update(steps)
            return
        now = time.monotonic()
        if now - self.last_line >= LOG_INTERVAL or self.done >= self.total:
            self.last_line = now
            eta = (now - self.started) / (self.done - self.done_before) * (self.total - self.done)
            shown = "".join(f"  {name} {value:.4g}" for name, value in figures.items())
            log.info(
                "%s %d/%d (%.0f %%)%s  ETA %s",
                self.name,
                self.done,
                self.total,
                100 * self.done / max(self.total, 1),
                shown,
                time.strftime("%H:%M:%S", time.gmtime(eta)),
            )

    def close(self) -> None:
        """End the bar's line on a terminal."""
        if self.bar is not None:
            self.bar.close()
