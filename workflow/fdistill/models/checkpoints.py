"""Checkpoints: reading and writing a transformers model folder (safetensors) with its tokenizer."""

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
from fdistill.models.tokenization import decoder_prompt, save_tokenizer, set_languages
from fdistill.runtime.errors import UserError

log = logging.getLogger(__name__)

transformers.utils.logging.disable_progress_bar()  # `runtime.progress` reports instead
transformers.utils.logging.set_verbosity_error()  # what its warnings are about, `load` checks and says
# MarianTokenizer recommends a normaliser that it does not use.
warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")

PICKLE = "pytorch_model.bin"

# Entries of a checkpoint that are not weights: masks and position counters, which older versions of transformers saved.
_NOT_WEIGHTS = re.compile(r"(^|\.)(attn\.(masked_)?bias|position_ids|version)$")

# Keys of a generation config that describe the model, not decoding.
_NOT_DECODING = {"transformers_version", "_from_model_config", "use_cache", "output_attentions", "output_hidden_states"}


@dataclass
class Checkpoint:
    """A model with its tokenizer.

    `source_prefixes` are the ones that the checkpoint's configuration recommends for some tasks (T5).
    """

    model: LanguageModel
    tokenizer: PreTrainedTokenizerBase
    source_prefixes: tuple[str, ...] = ()

    def __post_init__(self):
        """Set the side on which the tokenizer cuts and pads sources."""
        self.tokenizer.truncation_side = self.tokenizer.padding_side = self.model.family.source_side


def load(
    name: str | Path,
    device: str = "cpu",
    source_language: str | None = None,
    target_language: str | None = None,
    allow_pickle: bool = False,
    reports_decoding: bool = True,
) -> Checkpoint:
    """Load a local folder or a hub id, in float32; from safetensors only, unless `allow_pickle`.

    The checkpoint's decoding settings are dropped, which the log says with `reports_decoding`. The language codes are
    for a tokenizer that marks texts with them (mBART) and is not saved with the right ones.
    Raises UserError when the checkpoint cannot be found or read, is of an unknown family, has missing or unused
    weights, or differs from the manifest that `save` wrote.
    """
    check_files(Path(name))
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)  # by default, transformers asks the user
        family = family_of(config.model_type)
        if not getattr(config, "share_encoder_decoder_embeddings", True):  # some of Marian's
            raise UserError(
                f"{name}: has separate vocabularies for sources and targets; give a checkpoint with a shared one"
            )
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        module, report = _read_model(name, config, family, allow_pickle)
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
            f"{name}: the tokenizer has token ids up to {highest}, but the model has only {rows} embeddings; "
            "give a tokenizer and a model that belong together"
        )
    _note_input(name, config)
    set_languages(tokenizer, name, source_language, target_language)
    if tokenizer.pad_token is None:  # GPT-2, DialoGPT; no mask is made from pad tokens, so EOS can serve
        tokenizer.pad_token = tokenizer.eos_token
    module.config.pad_token_id = tokenizer.pad_token_id
    prefixes = _source_prefixes(config)
    _drop_decoding(name, module, reports_decoding)
    return Checkpoint(wrap(module.to(device), decoder_prompt(tokenizer)), tokenizer, prefixes)


def _read_model(
    name: str | Path, config: PreTrainedConfig, family: Family, allow_pickle: bool
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Return the model, and transformers' report on missing, unexpected and mismatched weights."""
    from_pretrained = partial(
        model_class(family).from_pretrained,
        name,
        config=config,
        dtype=torch.float32,
        trust_remote_code=False,
        ignore_mismatched_sizes=True,  # `load` refuses them, together with missing weights
        output_loading_info=True,
    )
    try:
        return from_pretrained(use_safetensors=True)
    except OSError as error:
        if WEIGHTS not in str(error).strip().partition("\n")[0]:
            raise
        if not allow_pickle:
            raise UserError(
                f"{name}: has no {WEIGHTS}, and nothing else is read by default: a .bin file can run code when it is "
                "opened. If you trust it, set model.teacher.allow_pickle (finetune_teacher.py --allow-pickle)"
            ) from None
    try:
        return from_pretrained(use_safetensors=False, weights_only=True)
    except (UnpicklingError, EOFError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{name}: its .bin file is damaged, or contains more than tensors and is not opened ({reason}); "
            f"give a checkpoint with {WEIGHTS}"
        ) from None


def _note_input(name: str | Path, config: PreTrainedConfig) -> None:
    """Note a checkpoint from elsewhere as an input, by its weights or hub revision; `check_files` notes our own."""
    if (Path(name) / MANIFEST).is_file():
        return
    weights = [path for path in (Path(name) / WEIGHTS, Path(name) / PICKLE) if path.is_file()]
    if weights:
        note_input(weights[0])
    elif revision := getattr(config, "_commit_hash", None):
        journal.note_input(name, revision)


def _check_weights(name: str | Path, report: dict[str, Any]) -> None:
    """Raise UserError for missing, mismatched or unused weights, for which transformers only warns."""
    wrong = sorted(report["missing_keys"]) + sorted(key for key, *_ in report["mismatched_keys"])
    if wrong:
        raise UserError(
            f"{name}: {len(wrong)} weights are missing or of another shape than in config.json (first: {wrong[0]}); "
            "delete the folder and run again, or give another checkpoint"
        )
    unused = sorted(key for key in report["unexpected_keys"] if not _NOT_WEIGHTS.search(key))
    if unused:
        raise UserError(
            f"{name}: {len(unused)} weights have no place in the model of config.json (first: {unused[0]}); "
            "config.json may have fewer layers than the weights: put the right config.json in the folder, "
            "or give another checkpoint"
        )


def _source_prefixes(config: PreTrainedConfig) -> tuple[str, ...]:
    """Return the source prefixes of `task_specific_params`, in order."""
    tasks = getattr(config, "task_specific_params", None) or {}
    return tuple(dict.fromkeys(task["prefix"] for task in tasks.values() if task.get("prefix", "").strip()))


def _drop_decoding(name: str | Path, module: PreTrainedModel, reports: bool) -> None:
    """Drop the checkpoint's decoding settings, and log them if it `reports`; `save` then writes none."""
    tokens = {"bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id"}
    settings = module.generation_config.to_diff_dict()
    dropped = [f"{key} {value}" for key, value in sorted(settings.items()) if key not in tokens | _NOT_DECODING]
    tasks = module.config.__dict__.pop("task_specific_params", None) or {}
    module.config.__dict__.pop("prefix", None)
    if tasks:
        dropped.append(f"task_specific_params of {', '.join(tasks)}")
    if dropped and reports:
        log.info(
            "%s: generation settings of the checkpoint are ignored, the task has its own: %s", name, "; ".join(dropped)
        )


def save(
    checkpoint: Checkpoint,
    path: Path | str,
    manifest: dict[str, Any] | None = None,
    weights: dict[str, Tensor] | None = None,
) -> None:
    """Write model, tokenizer and `manifest` (how the model was made), with every file's hash, to `path`, atomically.

    `weights` replace the model's own if it is sharded (see `fdistill.models.fsdp`).
    """
    with atomic(path, directory=True) as folder:
        checkpoint.model.module.save_pretrained(folder, state_dict=weights)
        save_tokenizer(checkpoint.tokenizer, folder)
        if manifest is not None:
            write_manifest(folder, manifest)


def from_scratch(family: Family, config: dict[str, Any], tokenizer: PreTrainedTokenizerBase, seed: int) -> Checkpoint:
    """Return a randomly initialised model; `config` holds keyword arguments of the family's `config_class`.

    Raises UserError for a key or a value that the configuration class does not accept.
    """
    config_class = getattr(transformers, family.config_class)
    default = config_class()
    for key in config:
        if not hasattr(default, key):  # transformers would store the key and ignore it
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
    """Return the SHA-256 of the vocabulary and the special tokens: what each token id means."""
    content = {"vocabulary": tokenizer.get_vocab(), "special": tokenizer.special_tokens_map}
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def check_same_vocabulary(teacher: Checkpoint, student: Checkpoint) -> None:
    """Raise UserError unless teacher and student have the same vocabulary, over which they can be compared."""
    sizes = [checkpoint.model.module.config.vocab_size for checkpoint in (teacher, student)]
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
