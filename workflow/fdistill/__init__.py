"""f-DISTILL: sequence-level knowledge distillation as f-divergence minimisation."""

import os
import signal
import sys
from pathlib import Path

__version__ = "0.15.0"  # read from here: the package need not be installed, rules put this folder on the path

INTERRUPTED = 130  # exit status after Ctrl-C, as shells report it


def end_at_once(*_: object) -> None:
    """Write one line and end the process: the handler of Ctrl-C while a script has nothing to clean up."""
    os.write(sys.__stderr__.fileno(), b"interrupted\n")
    os._exit(INTERRUPTED)


# A script imports this first, and then for seconds what runs its models; `config.cli.run` takes over.
_program = Path(getattr(sys.modules.get("__main__"), "__file__", None) or "").resolve()
if _program.parent == Path(__file__).resolve().parents[1] / "scripts" and (
    signal.getsignal(signal.SIGINT) is signal.default_int_handler
):
    signal.signal(signal.SIGINT, end_at_once)
