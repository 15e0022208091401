"""Checkpoints: a transformers model folder (safetensors) with its tokenizer, and the identity of both."""

import difflib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase

from fdistill.errors import UserError
from fdistill.files import atomic, sha256, write_json
from fdistill.models.families import Family, family_of
from fdistill.models.language_model import LanguageModel, model_class, wrap

transformers.utils.logging.disable_progress_bar()  # ours says more (see `progress`)

WEIGHTS = "model.safetensors"


@dataclass
class Checkpoint:
    """A model with the tokenizer it reads and writes."""

    model: LanguageModel
    tokenizer: PreTrainedTokenizerBase

    def __post_init__(self):
        """A decoder-only model continues its source: what is nearest to the end stays when a source is cut."""
        self.tokenizer.truncation_side = "right" if self.model.family.is_encoder_decoder else "left"


def load(name: str | Path, device: str = "cpu") -> Checkpoint:
    """Load a local folder or a hub id, in float32, safetensors only.

    Raises UserError when it cannot be found or read, or is of an unknown family.
    """
    try:
        config = AutoConfig.from_pretrained(name)
        family = family_of(config.model_type)
        tokenizer = AutoTokenizer.from_pretrained(name)
        module, report = model_class(family).from_pretrained(
            name,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # refused below, together with missing weights
            output_loading_info=True,
        )
    except (OSError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{name}: cannot be loaded as a model ({reason}); give a folder that `save_pretrained` wrote "
            "or a hub id that this machine can reach"
        ) from None
    except Exception as error:  # safetensors raises its own untyped errors on a damaged file
        if type(error).__module__.split(".")[0] != "safetensors":
            raise
        raise UserError(f"{Path(name) / WEIGHTS}: damaged ({error}); delete the folder and run again") from None
    # transformers would go on with random numbers in their place.
    wrong = sorted(report["missing_keys"]) + sorted(key for key, *_ in report["mismatched_keys"])
    if wrong:
        raise UserError(
            f"{name}: {len(wrong)} weights are missing or of another shape than config.json says "
            f"(first: {wrong[0]}); delete the folder and run again, or give another checkpoint"
        )
    if tokenizer.pad_token is None:  # GPT-2, DialoGPT; no mask is made from pad tokens, so EOS can serve
        tokenizer.pad_token = tokenizer.eos_token
    module.config.pad_token_id = tokenizer.pad_token_id
    return Checkpoint(wrap(module.to(device)), tokenizer)


def save(checkpoint: Checkpoint, path: Path | str, manifest: dict[str, Any] | None = None) -> None:
    """Write model, tokenizer and `manifest` (how the model came about) to folder `path`, atomically."""
    with atomic(path, directory=True) as folder:
        checkpoint.model.module.save_pretrained(folder)
        checkpoint.tokenizer.save_pretrained(folder)
        if manifest is not None:
            write_json(folder / "manifest.json", manifest)


def from_scratch(family: Family, config: dict[str, Any], tokenizer: PreTrainedTokenizerBase, seed: int) -> Checkpoint:
    """A randomly initialised model; `config` holds keyword arguments of the family's `config_class`.

    Raises UserError for a key or a value that the configuration does not take.
    """
    config_class = getattr(transformers, family.config_class)
    default = config_class()
    for key in config:
        if not hasattr(default, key):  # transformers would keep it and go on without it
            near = difflib.get_close_matches(key, default.to_dict(), n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise UserError(f"model.teacher.config: {family.config_class} has no key '{key}'{hint}")
    torch.manual_seed(seed)
    ids = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id,
    }
    if family.is_encoder_decoder:
        ids["decoder_start_token_id"] = getattr(tokenizer, f"{family.decoder_start}_id")
    try:
        module = model_class(family)(config_class(**(ids | config)))
    except (StrictDataclassError, TypeError, ValueError) as error:
        raise UserError(f"model.teacher.config: {' '.join(str(error).split())}") from None
    return Checkpoint(wrap(module), tokenizer)


def model_identity(path: Path | str) -> str:
    """SHA-256 of a checkpoint's weights: which teacher made these samples."""
    weights = Path(path) / WEIGHTS
    if not weights.exists():
        raise UserError(f"{weights}: no such file; {path} is not a finished checkpoint, run the rule that makes it")
    return sha256(weights)


def tokenizer_identity(tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256 of the vocabulary and the special tokens: which token ids mean what."""
    content = {"vocabulary": tokenizer.get_vocab(), "special": tokenizer.special_tokens_map}
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def check_same_vocabulary(teacher: Checkpoint, student: Checkpoint) -> None:
    """Distributions can only be compared over one vocabulary: UserError names both."""
    sizes = [c.model.module.config.vocab_size for c in (teacher, student)]
    if sizes[0] != sizes[1]:
        raise UserError(
            f"teacher and student have different vocabularies ({sizes[0]} and {sizes[1]} tokens); "
            "initialise the student from this teacher (rule init_student)"
        )
    if tokenizer_identity(teacher.tokenizer) != tokenizer_identity(student.tokenizer):
        raise UserError(
            "teacher and student have different tokenizers of the same size; "
            "initialise the student from this teacher (rule init_student)"
        )
