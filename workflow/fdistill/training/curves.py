"""The curve of a training, sent to the sinks that section `logging` turns on while it is made.

`train.jsonl` is the curve; sinks receive the same numbers at the same steps, and influence nothing. Each is served by a
thread of its own, so that no step waits for a server. One that fails is given up with a warning.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

from fdistill.runtime.errors import reason
from fdistill.training.sinks import SINKS, Training

log = logging.getLogger(__name__)

CLOSE_SECONDS = 60.0  # at the end, for what the sinks have not yet sent


class _Interrupted(Exception):
    """Raised inside a sink whose training ends before its curve does."""


class _Sender(threading.Thread):
    """Sends entries of the history to one sink."""

    def __init__(self, key: str, options: Any, training: Training):
        super().__init__(name=f"curve to {key}", daemon=True)
        self.key, self.options, self.training = key, options, training
        self.entries: SimpleQueue[dict[str, Any] | _Interrupted | None] = SimpleQueue()

    def run(self) -> None:
        try:
            with SINKS[self.key](self.options, self.training) as send:
                while (entry := self.entries.get()) is not None:
                    if isinstance(entry, _Interrupted):
                        raise entry
                    send(entry["step"], numbers(entry))
        except _Interrupted:
            pass
        except Exception as error:  # whatever a library or its server may do; the training does not depend on it
            text = (
                "logging.%s: the curve is not sent any further (%s: %s); the training goes on, and its curve is in %s"
            )
            log.warning(text, self.key, type(error).__name__, reason(error), "train.jsonl")


class Curves:
    """Sends a growing history to sinks, each entry once."""

    def __init__(self, senders: list[_Sender]):
        self.senders, self.sent = senders, 0

    def send(self, history: list[dict[str, Any]]) -> None:
        """Send the entries of `history` that were not sent yet: of a resumed training, first those of before."""
        for entry in history[self.sent :]:
            for sender in self.senders:
                sender.entries.put(entry)
        self.sent = len(history)


NO_CURVES = Curves([])


@contextmanager
def opened(sinks: dict[str, Any], training: Training) -> Iterator[Curves]:
    """Open `sinks`, given as options by key of section `logging`, and close them when the training ends.

    What goes wrong with a sink, and an end that takes longer than `CLOSE_SECONDS`, is logged and raises nothing.
    """
    senders = [_Sender(key, options, training) for key, options in sinks.items()]
    for sender in senders:
        sender.start()
    end: _Interrupted | None = _Interrupted()
    try:
        yield Curves(senders)
        end = None
    finally:
        for sender in senders:
            sender.entries.put(end)
        limit = time.monotonic() + CLOSE_SECONDS
        for sender in senders:
            sender.join(max(0.0, limit - time.monotonic()))
            if sender.is_alive():
                log.warning(
                    "logging.%s: the end of the curve was not sent within %.0f s; it is in train.jsonl",
                    *(sender.key, CLOSE_SECONDS),
                )


def numbers(entry: dict[str, Any]) -> dict[str, float]:
    """Return an entry's numbers by name: `loss`, `learning_rate`, `dev/nll`, `steps_of/student_samples`."""
    flat = {}
    for key, value in entry.items():
        if isinstance(value, dict):
            flat |= {f"{key}/{name}": float(number) for name, number in value.items()}
        elif key != "step":
            flat[key] = float(value)
    return flat
