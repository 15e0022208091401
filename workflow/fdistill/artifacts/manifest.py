"""A checkpoint's manifest: how the model was made, and the hash of each of its files.

Nothing here imports torch or transformers.
"""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fdistill import __version__
from fdistill.artifacts.files import check_shape, read_json, sha256, write_json
from fdistill.artifacts.records import MANIFEST, check, is_recorded, record_of, remedy
from fdistill.artifacts.shapes import Shape, mistake
from fdistill.runtime.errors import UserError

WEIGHTS = "model.safetensors"
_ELSEWHERE = f"copy the folder again, or, if {MANIFEST} is another program's, remove or rename it"
SHAPE: dict[str, Shape] = {"files": {...: str}, "lineage?": {...: str}}


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write `manifest`, and with it the hashes of all files in `folder`, by their paths in it."""
    files = {file.relative_to(folder).as_posix(): sha256(file) for file in sorted(folder.rglob("*")) if file.is_file()}
    write_json(folder / MANIFEST, {**manifest, "files": files})


def manifest_of(folder: Path) -> dict[str, Any]:
    """Return what `write_manifest` wrote; an empty mapping for a checkpoint from elsewhere.

    That one has no manifest, or another program's of the same name. Raises UserError when the manifest of a model that
    this workflow wrote is missing or damaged.
    """
    path = folder / MANIFEST
    if path.is_file():
        content = read_json(path, otherwise=_ELSEWHERE)
        if mistake(content, SHAPE) and not is_recorded(path):
            return {}
        check_shape(path, content, SHAPE)
        return content
    record = record_of(folder if folder.name not in ("", "..") else folder.resolve())
    if record.is_file():
        raise UserError(f"{path}: no such file, but {record} lists it; {_remedy(folder)}")
    return {}


def check_files(folder: Path) -> None:
    """Raise UserError when a file of the manifest is missing from `folder` or has another content.

    A model in one file has no manifest: the record beside it, if there is one, says what its content is.
    """
    if folder.is_file():
        return check(folder, sha256(folder))
    for name, digest in manifest_of(folder).get("files", {}).items():
        file = folder / name
        if not os.path.isfile(file):  # noqa: PTH113 - Path.is_file raises an error for some names
            raise UserError(f"{file}: no such file, but {MANIFEST} lists it; {_remedy(folder)}")
        if sha256(file) != digest:
            raise UserError(f"{file}: is damaged, its content is not what was written; {_remedy(folder)}")


def _remedy(folder: Path) -> str:
    return remedy(folder / MANIFEST, _ELSEWHERE)


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
