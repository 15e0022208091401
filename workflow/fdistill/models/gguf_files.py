"""GGUF files: a model and its tokenizer in one file, the format of llama.cpp, looked at before transformers reads it.

transformers computes with the stored weights in float32, whatever type they are quantised to. What it does not know in
a file it passes over without a word, so that a file whose model would then be another one is refused here.
"""

import re
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

from fdistill.models.checkpoint_files import COPY, POINTER
from fdistill.runtime.errors import UserError, reason
from fdistill.runtime.validation import show

MAGIC = b"GGUF"
ARCHITECTURE, KIND, PARTS = "general.architecture", "general.type", "split.count"
TOKENIZER = ("tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.eos_token_id")
ORIGINAL = "give the checkpoint that it was made from, a folder or a hub id"
_BLOCK = re.compile(r"blk\.(\d+)\.")
# What gguf's reader raises where the bytes that it expects are not there, or mean nothing.
_DAMAGED = (OSError, ValueError, LookupError, TypeError, ArithmeticError)


def check_gguf(file: Path) -> None:
    """Raise UserError for a file that is missing, damaged or cut off, or whose model would not be the one in it.

    The header is read, and no weights.
    """
    _check_kind(file)
    try:
        reader = gguf.GGUFReader(file)
        keys = {key: field.contents() for key, field in reader.fields.items() if not key.startswith("tokenizer.")}
    except _DAMAGED as error:
        raise UserError(f"{file}: damaged or cut off ({reason(error)}); {COPY}") from None
    _check_keys(file, keys)
    if missing := [key for key in TOKENIZER if key not in reader.fields]:
        raise UserError(f"{file}: has no tokenizer, or one without EOS (no {missing[0]}); {ORIGINAL}")
    _check_blocks(file, keys, [tensor.name for tensor in reader.tensors])
    for kind in dict.fromkeys(tensor.tensor_type for tensor in reader.tensors):
        block = np.zeros(gguf.GGML_QUANT_SIZES[kind][1], np.uint8)
        try:
            gguf.dequantize(block, kind)
        except NotImplementedError:
            raise UserError(
                f"{file}: weights are stored as {kind.name}, which the package gguf cannot read; give the model in "
                "another type, such as Q8_0 or F16"
            ) from None


def _check_kind(file: Path) -> None:
    try:
        with file.open("rb") as opened:
            start = opened.read(len(POINTER))
    except FileNotFoundError:
        raise UserError(f"{file}: there is no such file; give a GGUF file, a folder, or a hub id") from None
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); see to its permissions and its disk") from None
    if start == POINTER:
        raise UserError(f"{file}: is a Git LFS pointer, not the file itself; run `git lfs pull` in its repository")
    if not start.startswith(MAGIC):
        raise UserError(f"{file}: is no GGUF file, whose first bytes are {MAGIC.decode()}; {COPY}")


def _check_keys(file: Path, keys: dict[str, Any]) -> None:
    """Raise UserError for what is no whole model, or none that transformers computes as llama.cpp does."""
    if (kind := keys.get(KIND, "model")) != "model":
        raise UserError(f"{file}: {KIND} is {show(kind)}, not model; {ORIGINAL}")
    if (parts := keys.get(PARTS, 1)) != 1:
        raise UserError(
            f"{file}: is one of {parts} parts of a model ({PARTS}); join them, with llama.cpp's `llama-gguf-split "
            "--merge`, and give the whole file"
        )
    architecture = keys.get(ARCHITECTURE)
    if architecture not in GGUF_SUPPORTED_ARCHITECTURES:
        raise UserError(
            f"{file}: {ARCHITECTURE} is {show(architecture)}, which transformers does not read from GGUF; {ORIGINAL}"
        )
    key = f"{architecture}.rope.scaling.type"
    if (scaling := keys.get(key, "none")) != "none":
        raise UserError(f"{file}: {key} is {show(scaling)}, which transformers does not read from GGUF; {ORIGINAL}")


def _check_blocks(file: Path, keys: dict[str, Any], tensors: list[str]) -> None:
    """Raise UserError for tensors that transformers would pass over: further layers, and scaled rotary positions."""
    if "rope_freqs.weight" in tensors:  # Llama 3.1 and later
        raise UserError(
            f"{file}: scales its rotary positions (rope_freqs.weight), which transformers does not read from GGUF; "
            f"{ORIGINAL}"
        )
    key = f"{keys[ARCHITECTURE]}.block_count"
    layers = 1 + max((int(match[1]) for match in map(_BLOCK.match, tensors) if match), default=-1)
    if keys.get(key) != layers:
        raise UserError(f"{file}: {key} is {show(keys.get(key))}, but there are {layers} layers in it; {COPY}")
