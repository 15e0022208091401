"""Checkpoints: a transformers model folder (safetensors) with its tokenizer, and the identity of both."""

import difflib
import hashlib
import json
import logging
import re
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from fdistill.artifacts import journal
from fdistill.artifacts.atomic import atomic
from fdistill.artifacts.files import note_input
from fdistill.artifacts.manifest import MANIFEST, WEIGHTS, check_files, write_manifest
from fdistill.models.architectures import model_class, wrap
from fdistill.models.families import Family, family_of
from fdistill.models.language_model import LanguageModel
from fdistill.models.tokenization import decoder_prompt, set_languages
from fdistill.runtime.errors import UserError

log = logging.getLogger(__name__)

transformers.utils.logging.disable_progress_bar()  # ours says more (see `progress`)
# MarianTokenizer asks for a normaliser that it does not use.
warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")

PICKLE = "pytorch_model.bin"

# What checkpoints hold beside weights: masks and position counters, which older versions of transformers saved.
_NOT_WEIGHTS = re.compile(r"(^|\.)(attn\.(masked_)?bias|position_ids|version)$")

# What a generation config says of the model rather than of decoding; the rest is not used.
_NOT_DECODING = {"transformers_version", "_from_model_config", "use_cache", "output_attentions", "output_hidden_states"}


@dataclass
class Checkpoint:
    """A model with the tokenizer it reads and writes.

    `source_prefixes` are those that the checkpoint's configuration recommends for some tasks (T5).
    """

    model: LanguageModel
    tokenizer: PreTrainedTokenizerBase
    source_prefixes: tuple[str, ...] = ()

    def __post_init__(self):
        """A decoder-only model continues its source: what is nearest to the end stays when a source is cut."""
        self.tokenizer.truncation_side = "right" if self.model.family.is_encoder_decoder else "left"


def load(
    name: str | Path,
    device: str = "cpu",
    source_language: str | None = None,
    target_language: str | None = None,
    allow_pickle: bool = False,
) -> Checkpoint:
    """Load a local folder or a hub id, in float32, safetensors only unless `allow_pickle`.

    The language codes are for a tokenizer that marks texts with them (mBART) and is not saved with the right ones.
    Raises UserError when the checkpoint cannot be found or read, is of an unknown family, does not hold the weights
    of its configuration, no fewer and no more, or is not what `save` wrote with a manifest.
    """
    check_files(Path(name))
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)  # left open, transformers would ask
        family = family_of(config.model_type)
        if not getattr(config, "share_encoder_decoder_embeddings", True):  # some of Marian's
            raise UserError(
                f"{name}: has a vocabulary each for sources and targets; give a checkpoint with one for both"
            )
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        module, report = _read(name, config, family, allow_pickle)
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
    _check_weights(name, report)
    rows, highest = module.get_input_embeddings().num_embeddings, max(tokenizer.get_vocab().values())
    if highest >= rows:  # more rows than tokens are fine: T5's are rounded up
        raise UserError(
            f"{name}: the tokenizer has token ids up to {highest}, the model embeddings for {rows} only; "
            "give a tokenizer and a model that belong together"
        )
    _note(name, config)
    set_languages(tokenizer, name, source_language, target_language)
    if tokenizer.pad_token is None:  # GPT-2, DialoGPT; no mask is made from pad tokens, so EOS can serve
        tokenizer.pad_token = tokenizer.eos_token
    module.config.pad_token_id = tokenizer.pad_token_id
    prefixes = _source_prefixes(config)
    _drop_decoding(name, module)
    return Checkpoint(wrap(module.to(device), decoder_prompt(tokenizer)), tokenizer, prefixes)


def _read(
    name: str | Path, config: PreTrainedConfig, family: Family, allow_pickle: bool
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The model, and what transformers has to say of its weights."""
    read = partial(
        model_class(family).from_pretrained,
        name,
        config=config,
        dtype=torch.float32,
        trust_remote_code=False,
        ignore_mismatched_sizes=True,  # refused by `load`, together with missing weights
        output_loading_info=True,
    )
    try:
        return read(use_safetensors=True)
    except OSError as error:
        if WEIGHTS not in str(error).strip().partition("\n")[0]:
            raise
        if not allow_pickle:
            raise UserError(
                f"{name}: has no {WEIGHTS}, the one format that is read (a .bin file can run code when it is opened). "
                "If you trust it, set model.teacher.allow_pickle (finetune_teacher.py --allow-pickle)"
            ) from None
    try:
        return read(use_safetensors=False, weights_only=True)
    except (UnpicklingError, EOFError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{name}: its .bin file is damaged, or holds more than tensors, which is not opened ({reason}); "
            f"give a checkpoint with {WEIGHTS}"
        ) from None


def _note(name: str | Path, config: PreTrainedConfig) -> None:
    """Take down which checkpoint from elsewhere was read; of one of ours, its manifest is taken down."""
    if (Path(name) / MANIFEST).is_file():
        return
    weights = [path for path in (Path(name) / WEIGHTS, Path(name) / PICKLE) if path.is_file()]
    if weights:
        note_input(weights[0])
    elif revision := getattr(config, "_commit_hash", None):
        journal.note_input(name, revision)


def _check_weights(name: str | Path, report: dict[str, Any]) -> None:
    """Refuse what transformers lets pass: random numbers for weights that are not there, and weights left out."""
    wrong = sorted(report["missing_keys"]) + sorted(key for key, *_ in report["mismatched_keys"])
    if wrong:
        raise UserError(
            f"{name}: {len(wrong)} weights are missing or of another shape than config.json says "
            f"(first: {wrong[0]}); delete the folder and run again, or give another checkpoint"
        )
    unused = sorted(key for key in report["unexpected_keys"] if not _NOT_WEIGHTS.search(key))
    if unused:
        raise UserError(
            f"{name}: {len(unused)} weights have no place in the model of config.json (first: {unused[0]}); "
            "it may have fewer layers than the weights: put the config.json that belongs to them, "
            "or give another checkpoint"
        )


def _source_prefixes(config: PreTrainedConfig) -> tuple[str, ...]:
    """The prefixes of `task_specific_params`, in order."""
    tasks = getattr(config, "task_specific_params", None) or {}
    return tuple(dict.fromkeys(task["prefix"] for task in tasks.values() if task.get("prefix", "").strip()))


def _drop_decoding(name: str | Path, module: PreTrainedModel) -> None:
    """Forget how the checkpoint would decode, and say so once: what we save of it has nothing left to forget."""
    tokens = {"bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id"}
    settings = module.generation_config.to_diff_dict()
    dropped = [f"{key} {value}" for key, value in sorted(settings.items()) if key not in tokens | _NOT_DECODING]
    tasks = module.config.__dict__.pop("task_specific_params", None) or {}
    module.config.__dict__.pop("prefix", None)
    if tasks:
        dropped.append(f"task_specific_params of {', '.join(tasks)}")
    if dropped:
        log.info("%s: the task decides how to decode; not used of the checkpoint: %s", name, "; ".join(dropped))


def save(
    checkpoint: Checkpoint,
    path: Path | str,
    manifest: dict[str, Any] | None = None,
    weights: dict[str, Tensor] | None = None,
) -> None:
    """Write model, tokenizer and `manifest` (how the model came about) with every file's hash to `path`, atomically.

    `weights` are the model's where it does not hold them itself, whole (see `fdistill.models.fsdp`).
    """
    with atomic(path, directory=True) as folder:
        checkpoint.model.module.save_pretrained(folder, state_dict=weights)
        checkpoint.tokenizer.save_pretrained(folder)
        if manifest is not None:
            write_manifest(folder, manifest)


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
