"""The files of a checkpoint, looked at before the model is made: what is missing, a pointer, cut off or no JSON object.

A checkpoint comes from elsewhere, so that a message names the file and what is wrong with it, and never advises to
delete what no rule can make again.
"""

import json
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from fdistill.models.location import ADAPTER_CONFIG, CONFIG, PICKLE, WEIGHTS, files_of
from fdistill.runtime.errors import UserError, reason

INDEX = ".index.json"
SAFETENSORS = {WEIGHTS, WEIGHTS + INDEX}
PICKLES = {PICKLE, PICKLE + INDEX}
TOKENIZERS = (  # the files of each kind of tokenizer
    {"tokenizer.json"},
    {"vocab.json", "merges.txt"},
    {"spiece.model"},
    {"sentencepiece.bpe.model"},
    {"source.spm", "target.spm", "vocab.json"},
)
OBJECTS = {
    *(CONFIG, "generation_config.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json"),
}

POINTER = b"version https://git-lfs.github.com/spec/"
LARGEST_CONFIG = 1 << 20  # bytes; real ones have a few thousand
FLOATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}

NO_SAFETENSORS = (
    f"has no {WEIGHTS}, and nothing else is read by default: {PICKLE} can run code when it is opened; "
    "if you trust it, set allow_pickle: true beside its init (--allow-pickle)"
)
COPY = "copy the checkpoint again, or give another one"


def check_names(name: str, files: set[str], allow_pickle: bool) -> None:
    """Raise UserError when a checkpoint with `files` lacks configuration, tokenizer or weights that are read."""
    if ADAPTER_CONFIG in files:
        raise UserError(
            f"{name}: has an adapter ({ADAPTER_CONFIG}), which is not read here; merge it into its model and save "
            "that, or give the model itself, and the adapter beside it as `adapter` of a teacher"
        )
    if CONFIG not in files:
        raise UserError(f"{name}: has no {CONFIG}; give a folder that `save_pretrained` wrote")
    if not any(kind <= files for kind in TOKENIZERS):
        known = ", or ".join(" and ".join(sorted(kind)) for kind in TOKENIZERS)
        raise UserError(f"{name}: has no tokenizer ({known}); save it there as well")
    if files & SAFETENSORS or (allow_pickle and files & PICKLES):
        return
    if files & PICKLES:
        raise UserError(f"{name}: {NO_SAFETENSORS}")
    raise UserError(f"{name}: has no {WEIGHTS}; give a checkpoint that `save_pretrained` wrote")


def check_content(folder: Path) -> None:
    """Raise UserError for a Git LFS pointer in place of a file, and for one of `OBJECTS` without a JSON object."""
    for file in files_of(folder):
        with file.open("rb") as opened:
            if opened.read(len(POINTER)) == POINTER:
                raise UserError(
                    f"{file}: is a Git LFS pointer, not the file itself; run `git lfs pull` in its repository"
                )
        if file.name in OBJECTS:
            read_object(file)


def read_object(file: Path) -> dict[str, Any]:
    """Return the JSON object in a file. Raises UserError for anything else."""
    if file.name == CONFIG and file.stat().st_size > LARGEST_CONFIG:
        raise UserError(f"{file}: has {file.stat().st_size:,} bytes, which no configuration has; {COPY}")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except RecursionError:
        raise UserError(f"{file}: brackets are nested too deeply; {COPY}") from None
    except (OSError, ValueError) as error:  # also invalid UTF-8
        raise UserError(f"{file}: is not valid JSON ({reason(error)}); {COPY}") from None
    if not isinstance(content, dict):
        raise UserError(f"{file}: contains no JSON object but {type(content).__name__}; {COPY}")
    return content


def stored_shapes(folder: Path) -> dict[str, Tensor]:
    """Return the weights in a folder as tensors without numbers, of the stored types and shapes.

    Only headers are read; an integer type is returned as int8. Raises UserError for a file that is missing, damaged or
    cut off. Pickles are read if there is nothing else: whether that is allowed, `check_names` says.
    """
    for name, shapes in ((WEIGHTS, safetensors_shapes), (PICKLE, pickle_shapes)):
        if (folder / name).is_file():
            return shapes(folder / name)
        if (folder / (name + INDEX)).is_file():
            return _sharded(folder / (name + INDEX), shapes)
    raise UserError(f"{folder}: has no {WEIGHTS}; give a checkpoint that `save_pretrained` wrote")


def safetensors_shapes(file: Path) -> dict[str, Tensor]:
    """Return what `stored_shapes` does, of one safetensors file."""
    try:
        with safe_open(file, "pt") as opened:
            slices = {key: opened.get_slice(key) for key in opened.keys()}  # noqa: SIM118 - no mapping
            return {
                key: torch.empty(part.get_shape(), dtype=FLOATS.get(part.get_dtype(), torch.int8), device="meta")
                for key, part in slices.items()
            }
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        raise UserError(f"{file}: damaged or cut off ({reason(error)}); {COPY}") from None


def pickle_shapes(file: Path) -> dict[str, Tensor]:
    """Return what `stored_shapes` does, of one pickle."""
    try:
        content = torch.load(file, map_location="meta", weights_only=True)
    except (UnpicklingError, EOFError, RuntimeError, OSError, ValueError, LookupError, TypeError) as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{file}: the .bin file is damaged, or contains more than tensors and is not opened ({first_line}); "
            f"give a checkpoint with {WEIGHTS}"
        ) from None
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UserError(f"{file}: contains more than tensors; give a checkpoint with {WEIGHTS}")
    return {
        key: value if value.is_floating_point() else value.to(torch.int8)  # as of safetensors
        for key, value in content.items()
    }


def _sharded(index: Path, shapes: Any) -> dict[str, Tensor]:
    content = read_object(index)
    places = content.get("weight_map")
    if not isinstance(places, dict) or not places or not isinstance(content.get("metadata"), dict):
        raise UserError(f"{index}: does not list weights and their files (weight_map, metadata); {COPY}")
    stored: dict[str, Tensor] = {}
    for name in dict.fromkeys(map(str, places.values())):
        if Path(name).name != name:  # a path would leave the folder
            raise UserError(f"{index}: '{name[:80]}' is not the name of a file in the folder; {COPY}")
        if not (index.parent / name).is_file():
            raise UserError(f"{index.parent / name}: no such file, but {index.name} lists it; {COPY}")
        stored |= shapes(index.parent / name)
    if missing := sorted(places.keys() - stored.keys()):
        raise UserError(f"{index}: lists {len(missing)} weights that no file contains (first: {missing[0]}); {COPY}")
    return stored
