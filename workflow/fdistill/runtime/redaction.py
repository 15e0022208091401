"""Secrets stay out of logs and messages: tokens and passwords of the environment, and those within addresses."""

import logging
import os
import re

_NAMES = re.compile(r"TOKEN|PASSW|SECRET|CREDENTIAL|API_?KEY|ACCESS_?KEY", re.IGNORECASE)
_IN_ADDRESS = re.compile(r"(?<=://)[^/\s@]+(?=@)")
SHORTEST = 6  # characters of a value that is taken for a secret: TOKENIZERS_PARALLELISM=true is none
HIDDEN = "***"


def redact(text: str) -> str:
    """`text` without the values of environment variables that are named like secrets, nor `user:password@`."""
    secrets = {value for name, value in os.environ.items() if _NAMES.search(name) and len(value) >= SHORTEST}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _IN_ADDRESS.sub(HIDDEN, text)


class Formatter(logging.Formatter):
    """Formats a line of the log, tracebacks included, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """The redacted line."""
        return redact(super().format(record))
