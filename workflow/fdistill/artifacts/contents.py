"""Hashes of the user's own files, each computed again only when the file's status has changed.

A modification time does not tell a replaced file: `mv`, `cp -p` and rsync bring their own, which may be old. The time
of the last change of status, which nobody can set, does.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from fdistill.artifacts.atomic import write_text
from fdistill.artifacts.files import sha256


def content_hashes(files: Iterable[str], store: Path) -> list[str]:
    """Return the SHA-256 of each of `files` that can be read; what reads the others reports them.

    `store` is a JSON file that keeps the hashes for the next call, with the status that each file had.
    """
    try:
        known = json.loads(store.read_bytes())
    except (OSError, ValueError):
        known = {}
    hashes, found = [], {}
    for file in map(Path, files):
        try:
            status = file.stat()
            if not file.is_file():  # a device would be read for ever
                continue
            key = f"{file.absolute()} {status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
            found[key] = known.get(key) or sha256(file)
        except OSError:
            continue
        hashes.append(found[key])
    if not found.keys() <= known.keys():
        write_text(store, json.dumps(known | found, indent=1) + "\n")
    return hashes
