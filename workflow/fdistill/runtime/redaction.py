"""Keeps secrets out of logs and messages: tokens and passwords from the environment, and credentials in URLs."""

import logging
import os
import re

_SECRET_NAMES = re.compile(r"TOKEN|PASSW|SECRET|CREDENTIAL|API_?KEY|ACCESS_?KEY|_KEY$", re.IGNORECASE)
_URL_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+(?=@)")
SHORTEST = 6  # characters of a secret; shorter values, as of TOKENIZERS_PARALLELISM=true, are not secrets
HIDDEN = "***"


def is_secret_name(name: str) -> bool:
    """Whether `redact` hides the value of the environment variable of this name."""
    return _SECRET_NAMES.search(name) is not None


def redact(text: str) -> str:
    """Return `text` with `***` for the values of environment variables named like secrets and for `user:password@`."""
    # Without blanks and line ends around them, with which a key's file may end and which nobody sends.
    values = {value.strip() for name, value in os.environ.items() if is_secret_name(name)}
    secrets = {value for value in values if len(value) >= SHORTEST}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return without_credentials(text)


def without_credentials(text: str) -> str:
    """Return `text` with `***` for `user:password@` in URLs."""
    return _URL_CREDENTIALS.sub(HIDDEN, text)


class Formatter(logging.Formatter):
    """Formats log records, tracebacks included, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the redacted line."""
        return redact(super().format(record))
