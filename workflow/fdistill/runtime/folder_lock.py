"""One run per folder. Snakemake's own lock does not hold: every run, also a short one, removes all locks at its end."""

import fcntl
import os
from pathlib import Path

from fdistill.runtime.errors import UserError


def claim(path: Path) -> None:
    """Lock the file at `path` until this process ends. Raises UserError when another process has locked it.

    Does nothing on a file system without locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)  # never closed: closing it would release the lock
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(file, 20).decode(errors="replace").strip()
        raise UserError(
            f"{Path.cwd()}: another run works here (process {holder}). Wait until it ends; a dry run (-n) and "
            "target preflight may run beside it, and so may a run with --directory and another folder, in which "
            "relative paths of data begin"
        ) from None
    except OSError:
        return
    os.truncate(file, 0)
    os.write(file, f"{os.getpid()}\n".encode())
