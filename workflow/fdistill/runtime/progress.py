"""The progress of long work: a bar on a terminal, plain lines at intervals in a log."""

import logging
import sys
import time

from tqdm import tqdm

log = logging.getLogger(__name__)

LOG_INTERVAL = 10.0  # seconds between two lines in a log


class Progress:
    """Shows how many of `total` steps are done, with figures such as the loss or tokens per second."""

    def __init__(self, name: str, total: int | None, done: int = 0):
        """Start with `done` steps, which an interrupted run has finished; `name` comes first in each line.

        `total` is None when nobody knows it, as of a stream.
        """
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
        if now - self.last_line >= LOG_INTERVAL or (self.total is not None and self.done >= self.total):
            self.last_line = now
            pace = (now - self.started) / (self.done - self.done_before)  # seconds per step
            shown = "".join(f"  {name} {value:.4g}" for name, value in figures.items())
            rate = f"{1 / pace:.3g}/s" if 0 < pace < 1 else f"{pace:.3g} s each"
            share = end = ""
            if self.total is not None:
                share = f"/{self.total} ({100 * self.done / max(self.total, 1):.0f} %)"
                end = f"  ETA {_duration(pace * (self.total - self.done))}"
            log.info("%s %d%s  %s%s%s", self.name, self.done, share, rate, shown, end)

    def close(self) -> None:
        """End the bar's line on a terminal."""
        if self.bar is not None:
            self.bar.close()


def _duration(seconds: float) -> str:
    """Return hours, minutes and seconds; the hours may be more than a day's."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
