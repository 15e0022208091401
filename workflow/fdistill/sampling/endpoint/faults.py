"""What may go wrong with a request: the fault's name, what was said, and whether to ask again.

No message contains a secret: what a server says is redacted.
"""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any

from fdistill.runtime.redaction import redact
from fdistill.runtime.validation import printable

LONGEST = 300  # characters of a server's words that are kept


class Then(Enum):
    """What follows from a fault."""

    AGAIN = "the request is made again"
    NEXT = "the row is given up, the others are asked for"
    STOP = "the run ends: every request would have the same fault"


@dataclass
class Fault(Exception):
    """A request without a usable answer."""

    name: str  # one of few, which are counted
    said: str
    then: Then
    wait: float | None = None  # seconds that the server asks to wait before the next request
    usage: dict[str, int] | None = None  # tokens that are paid for nevertheless
    is_of_row: bool = False  # whether the endpoint works, and has nothing usable for this one row

    def __str__(self) -> str:
        return f"{self.name}: {self.said}" if self.said else self.name


# Timeout, conflict, too early, too many requests, and the server's own faults. 501 is a request that it does not know.
_PASSING = {408, 409, 425, 429, *range(500, 600)} - {501}
_REMEDIES = {
    401: "the key is missing or wrong; see --key-variable",
    402: "the account has no money left",
    403: "the key has no right to this",
    404: "correct --url, --api or --model",
    501: "the endpoint does not offer what was asked for",
}
_SPENT = "insufficient_quota"  # also a 429, but waiting does not help


def fault_of_status(status: int, headers: Mapping[str, str], text: str) -> Fault:
    """Return the fault that an answer with a status other than 200 is."""
    message, code = _words(text)
    name = f"status {status}"
    if code == _SPENT:
        return Fault(name, f"{message}; {_REMEDIES[402]}", Then.STOP)
    if status in _PASSING:
        return Fault(name, message, Then.AGAIN, wait_of(headers))
    if status in _REMEDIES:
        return Fault(name, f"{message}; {_REMEDIES[status]}", Then.STOP)
    if 300 <= status < 400:
        return Fault(name, f"moved to {shortened(headers.get('location', 'nowhere'))}; correct --url", Then.STOP)
    return Fault(name, message, Then.NEXT, is_of_row=True)


def wait_of(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that `Retry-After` asks for, as a number or a date; None without it, or if it is neither."""
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def shortened(text: str) -> str:
    """Return a server's words on one line, without secrets and control characters and not too long."""
    line = printable(" ".join(redact(text).split()))
    return line if len(line) <= LONGEST else line[:LONGEST] + " ..."


def _words(text: str) -> tuple[str, Any]:
    """Return the message of an error's body, and its code if it has one."""
    try:
        error = json.loads(text)
    except (ValueError, RecursionError):
        return shortened(text), None
    error = error.get("error", error) if isinstance(error, dict) else error
    if not isinstance(error, dict):
        return shortened(error if isinstance(error, str) else text), None
    return shortened(str(error.get("message") or error.get("detail") or text)), error.get("code")
