"""GGUF files: a model and its tokenizer in one file, the format of llama.cpp, looked at before transformers reads it.

transformers computes with the stored weights in float32, whatever type they are quantised to. What it does not know in
a file it passes over without a word, so that a file whose model would then be another one is refused here.
"""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
from transformers import PreTrainedModel
from transformers.modeling_gguf_pytorch_utils import (
    GGUF_SUPPORTED_ARCHITECTURES,
    TensorProcessor,
    get_gguf_hf_weights_map,
)

from fdistill.models.checkpoint_files import COPY, POINTER
from fdistill.runtime.errors import UserError, reason
from fdistill.runtime.validation import show

MAGIC = b"GGUF"
ARCHITECTURE, KIND, PARTS = "general.architecture", "general.type", "split.count"
TOKENIZER = ("tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.eos_token_id")
ORIGINAL = "give the checkpoint that it was made from, a folder or a hub id"
ENDS = ("tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id")  # of a turn and of a message
# What llama.cpp scales rotary positions by, after the architecture's name, with the values that leave them as they are.
_SCALING = {
    "rope.scaling.type": ("none",),
    "rope.scaling.factor": (0, 1),  # without a type, too
    "rope.scale_linear": (0, 1),  # the factor in older files
    "rope.scaling.attn_factor": (1,),
}
# What gguf's reader raises where the bytes that it expects are not there, or mean nothing.
_DAMAGED = (OSError, ValueError, LookupError, TypeError, ArithmeticError)


def check_gguf(file: Path) -> tuple[list[str], list[int]]:
    """Raise UserError for a file that is missing, damaged or cut off, or whose model would not be the one in it.

    Returns the names of its tensors, and the ids of the tokens that end a text besides EOS. No weights are read.
    """
    _check_kind(file)
    try:
        reader = gguf.GGUFReader(file)
        keys = {
            key: field.contents()
            for key, field in reader.fields.items()
            if not key.startswith("tokenizer.") or key in ENDS  # the others are long
        }
    except _DAMAGED as error:
        raise UserError(f"{file}: damaged or cut off ({reason(error)}); {COPY}") from None
    _check_keys(file, keys)
    if missing := [key for key in TOKENIZER if key not in reader.fields]:
        raise UserError(f"{file}: has no tokenizer, or one without EOS (no {missing[0]}); {ORIGINAL}")
    for kind in dict.fromkeys(tensor.tensor_type for tensor in reader.tensors):
        block = np.zeros(gguf.GGML_QUANT_SIZES[kind][1], np.uint8)
        try:
            gguf.dequantize(block, kind)
        except NotImplementedError:
            raise UserError(
                f"{file}: weights are stored as {kind.name}, which the package gguf cannot read; give the model in "
                "another type, such as Q8_0 or F16"
            ) from None
    return [tensor.name for tensor in reader.tensors], [keys[key] for key in ENDS if key in keys]


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
    if architecture not in GGUF_SUPPORTED_ARCHITECTURES or architecture == "t5":  # whose activation it passes over
        raise UserError(
            f"{file}: {ARCHITECTURE} is {show(architecture)}, which transformers does not read from GGUF; {ORIGINAL}"
        )
    for suffix, unscaled in _SCALING.items():
        key = f"{architecture}.{suffix}"
        if (value := keys.get(key, unscaled[0])) not in unscaled:
            raise UserError(f"{file}: {key} is {show(value)}, which transformers does not read from GGUF; {ORIGINAL}")


def check_tensors(file: Path, tensors: list[str], module: PreTrainedModel) -> None:
    """Raise UserError unless the tensors in the file are those that transformers reads for the model, without numbers.

    It passes over others: biases, norms and factors of rotary positions (Llama 3.1), with which llama.cpp computes.
    """
    read = get_gguf_hf_weights_map(module, TensorProcessor()).keys()  # only mixtures of experts have names of their own
    if unread := [name for name in tensors if name not in read]:
        raise UserError(
            f"{file}: {len(unread)} tensors have no place in its model, which transformers does not read from GGUF "
            f"(first: {unread[0]}); {ORIGINAL}"
        )
    # Without an output layer in the file, transformers ties it to the embeddings.
    if missing := sorted(read - {*tensors, "output.weight"}):
        raise UserError(f"{file}: {len(missing)} tensors are missing (first: {missing[0]}); {COPY}")
