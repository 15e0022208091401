"""What every script shares: its error handling and its log."""

import logging
import sys
from collections.abc import Callable

from fdistill.errors import UserError


def run(main: Callable[[], None]) -> None:
    """Run a script's `main`; a `UserError` becomes one clear message and exit status 1."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr, force=True
    )
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
