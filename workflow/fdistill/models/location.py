"""Where a model lies that a setting names: one rule for Snakemake's rules, preflight and the scripts.

A name means a folder on this machine if there is one, or if it is written as a path (`/x`, `./x`, `~/x`, `x/y/z`). Any
other name is a hub id, which has at most one slash. Nothing here imports torch or transformers.
"""

import os
from pathlib import Path

from fdistill.runtime.errors import UserError

SCRATCH = "scratch"  # in the place of a name: random weights
WEIGHTS = "model.safetensors"
PICKLE = "pytorch_model.bin"
CONFIG = "config.json"
# The files of a LoRA adapter that are read.
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_PICKLE = "adapter_model.bin"

TEXTS = {".json", ".model", ".spm", ".txt", ".jinja"}  # configurations, vocabularies, merges, chat templates


def local_folder(name: str | Path) -> Path | None:
    """Return the folder that `name` means, which may not exist; None for a hub id.

    Raises UserError for the home folder of an unknown user.
    """
    try:
        folder = Path(name).expanduser()
    except RuntimeError:
        raise UserError(f"{name}: there is no such user on this machine; write the whole path of the folder") from None
    is_path = folder.is_absolute() or str(name).startswith((".", "~")) or str(name).count("/") > 1
    return folder if is_path or os.path.isdir(folder) else None  # noqa: PTH112 - Path.is_dir raises for a long name


def short_name(name: str | Path) -> str:
    """Return `name` as others may read it: that of a folder without its place on this machine, or the hub id."""
    folder = local_folder(name)
    return str(name) if folder is None else folder.resolve().name


def files_of(folder: Path) -> list[Path]:
    """Return the files of a model's folder that loading it may read: texts and weights, pickles if it has no others."""
    files = sorted(file for file in folder.iterdir() if file.is_file())
    weights = [file for file in files if file.suffix == ".safetensors"]
    pickles = [file for file in files if file.name.startswith("pytorch_model") and file.suffix == ".bin"]
    return [file for file in files if file.suffix in TEXTS] + (weights or pickles)


def input_files(name: str | Path) -> list[str]:
    """Return the files that a job reads of the model `name`; none of a hub id.

    A rule lists them among its inputs: replaced weights do not change the modification time of their folder. Of a
    folder that does not exist it is the configuration, which Snakemake then reports as missing.
    """
    folder = local_folder(name)
    if folder is None:
        return []
    return [str(file) for file in (files_of(folder) if folder.is_dir() else [folder / CONFIG])]


def adapter_files(name: str | Path) -> list[str]:
    """Return the files that a job reads of the adapter `name`, as `input_files` does of a model."""
    folder = local_folder(name)
    if folder is None:
        return []
    weights = [folder / name for name in (ADAPTER_WEIGHTS, ADAPTER_PICKLE) if (folder / name).is_file()]
    return list(map(str, [folder / ADAPTER_CONFIG, *weights[:1]]))
