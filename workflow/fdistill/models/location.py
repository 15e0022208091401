"""Where a model lies that a setting names: one rule for Snakemake's rules, preflight and the scripts.

A name means a folder on this machine if there is one, or if it is written as a path (`/x`, `./x`, `~/x`, `x/y/z`). One
that ends in `.gguf` means a file, which has a whole model in it. Any other name is a hub id, which has at most one
slash. `package:NAME` is a model that a package carries. Nothing here imports torch or transformers.
"""

import os
from pathlib import Path

from fdistill.runtime.errors import UserError

SCRATCH = "scratch"  # in the place of a name: random weights
WEIGHTS = "model.safetensors"
PICKLE = "pytorch_model.bin"
CONFIG = "config.json"
GGUF = ".gguf"
PACKAGE = "package:"
# The files of a LoRA adapter that are read.
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_PICKLE = "adapter_model.bin"

TEXTS = {".json", ".model", ".spm", ".txt", ".jinja"}  # configurations, vocabularies, merges, chat templates


def local_path(name: str | Path) -> Path | None:
    """Return the folder, or the GGUF file, that `name` means, which may not exist; None for any other model.

    Raises UserError for the home folder of an unknown user.
    """
    try:
        path = Path(name).expanduser()
    except RuntimeError:
        raise UserError(f"{name}: there is no such user on this machine; write the whole path of the folder") from None
    is_path = path.is_absolute() or str(name).startswith((".", "~")) or str(name).count("/") > 1
    is_path = not str(name).startswith(PACKAGE) and (is_path or path.suffix == GGUF)
    return path if is_path or os.path.isdir(path) else None  # noqa: PTH112 - Path.is_dir raises for a long name


def short_name(name: str | Path) -> str:
    """Return `name` as others may read it: a folder or file without its place on this machine, or the hub id."""
    folder = local_path(name)
    return str(name) if folder is None else folder.resolve().name


def is_gguf(path: Path) -> bool:
    """Return whether what `local_path` returned is a GGUF file, which may not exist, and no folder."""
    return path.suffix == GGUF and not path.is_dir()


def files_of(folder: Path) -> list[Path]:
    """Return the files that loading a model may read: the GGUF file; or of a folder texts and weights.

    Pickles are among these if it has no other weights.
    """
    if is_gguf(folder):
        return [folder]
    files = sorted(file for file in folder.iterdir() if file.is_file())
    weights = [file for file in files if file.suffix == ".safetensors"]
    pickles = [file for file in files if file.name.startswith("pytorch_model") and file.suffix == ".bin"]
    return [file for file in files if file.suffix in TEXTS] + (weights or pickles)


def input_files(name: str | Path) -> list[str]:
    """Return the files that a job reads of the model `name`; none of a hub id or a package.

    A rule lists them among its inputs: replaced weights do not change the modification time of their folder. Of a
    folder that does not exist it is the configuration, which Snakemake then reports as missing.
    """
    folder = local_path(name)
    if folder is None:
        return []
    exists = folder.is_dir() or is_gguf(folder)
    return [str(file) for file in (files_of(folder) if exists else [folder / CONFIG])]


def adapter_inputs(name: str | Path) -> list[str]:
    """Return the files that a job reads of the adapter `name`, as `input_files` does of a model."""
    folder = local_path(name)
    if folder is None:
        return []
    weights = [folder / name for name in (ADAPTER_WEIGHTS, ADAPTER_PICKLE) if (folder / name).is_file()]
    return list(map(str, [folder / ADAPTER_CONFIG, *weights[:1]]))
