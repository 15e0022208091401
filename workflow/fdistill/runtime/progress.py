"""Progress of long work: a bar on a terminal, plain lines at intervals in a log."""

import logging
import sys
import time

from tqdm import tqdm

log = logging.getLogger(__name__)

LOG_INTERVAL = 10.0  # seconds between two lines in a log


class Progress:
    """Counts `total` steps of `what`, with figures such as the loss or tokens per second."""

    def __init__(self, what: str, total: int, done: int = 0):
        """`done` were done before, by a run that was stopped."""
        self.what, self.total, self.done, self.before = what, total, done, done
        self.began = self.last_line = time.monotonic()
        self.bar = tqdm(total=total, initial=done, desc=what, file=sys.stderr) if sys.stderr.isatty() else None

    def advance(self, steps: int = 1, **figures: float) -> None:
        """Move on by `steps` and show `figures`."""
        self.done += steps
        if self.bar is not None:
            self.bar.set_postfix({name: f"{value:.4g}" for name, value in figures.items()}, refresh=False)
            self.bar.update(steps)
            return
        now = time.monotonic()
        if now - self.last_line >= LOG_INTERVAL or self.done >= self.total:
            self.last_line = now
            eta = (now - self.began) / (self.done - self.before) * (self.total - self.done)
            shown = "".join(f"  {name} {value:.4g}" for name, value in figures.items())
            log.info(
                "%s %d/%d (%.0f %%)%s  ETA %s",
                self.what,
                self.done,
                self.total,
                100 * self.done / max(self.total, 1),
                shown,
                time.strftime("%H:%M:%S", time.gmtime(eta)),
            )

    def close(self) -> None:
        """End the bar's line."""
        if self.bar is not None:
            self.bar.close()
