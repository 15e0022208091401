"""A checkpoint's manifest: how the model was made, and the hash of each of its files.

Nothing here imports torch or transformers.
"""

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fdistill import __version__
from fdistill.artifacts.files import read_json, sha256, write_json
from fdistill.artifacts.records import record_of
from fdistill.runtime.errors import UserError

WEIGHTS = "model.safetensors"
MANIFEST = "manifest.json"


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write `manifest`, and with it the hashes of all files in `folder`."""
    files = {file.name: sha256(file) for file in sorted(folder.iterdir())}
    write_json(folder / MANIFEST, {**manifest, "files": files})


def manifest_of(folder: Path) -> dict[str, Any]:
    """Return what `write_manifest` wrote; an empty mapping for a checkpoint from elsewhere, which has no manifest.

    Raises UserError when the manifest is missing beside the record of a model that this workflow wrote.
    """
    path, record = folder / MANIFEST, record_of(folder.absolute())
    if path.is_file():
        return read_json(path)
    if record.is_file():
        raise UserError(f"{path}: no such file, but {record} lists it; delete the folder and run again")
    return {}


def check_files(folder: Path) -> None:
    """Raise UserError when a file of the manifest is missing from `folder` or has another content."""
    for name, digest in manifest_of(folder).get("files", {}).items():
        file = folder / name
        if not file.is_file():
            raise UserError(f"{file}: no such file, but {MANIFEST} lists it; delete the folder and run again")
        if sha256(file) != digest:
            raise UserError(f"{file}: is damaged, its content is not what was written; delete the folder and run again")


def model_identity(path: Path | str) -> str:
    """Return the SHA-256 of a checkpoint's weights, by which samples name their teacher.

    Raises UserError when the folder has no weights.
    """
    weights = Path(path) / WEIGHTS
    if not weights.exists():
        raise UserError(f"{weights}: no such file; {path} is not a finished checkpoint, run the rule that makes it")
    return sha256(weights)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that influence a model's numbers."""
    own = {"python": platform.python_version(), "fdistill": __version__}
    return own | {package: version(package) for package in ("torch", "transformers", "tokenizers")}
