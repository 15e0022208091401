"""Checkpoints: reading and writing a transformers model folder (safetensors) with its tokenizer."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import GgufConfig, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from fdistill.artifacts import journal
from fdistill.artifacts.atomic import atomic
from fdistill.artifacts.files import note_input
from fdistill.artifacts.manifest import check_files, write_manifest
from fdistill.artifacts.records import MANIFEST
from fdistill.models.adapters import merge_adapter
from fdistill.models.architectures import model_class, wrap
from fdistill.models.chat_template import end_with_turn
from fdistill.models.checkpoint_files import NO_SAFETENSORS
from fdistill.models.configurations import TEACHER_CONFIG, scratch_configuration, without_numbers
from fdistill.models.families import Family
from fdistill.models.language_model import LanguageModel
from fdistill.models.location import WEIGHTS, files_of, local_path
from fdistill.models.outlines import Outline, check_weights, describe, from_pretrained, reading
from fdistill.models.tokenization import decoder_prompt, save_tokenizer, set_languages, set_sides, token_count
from fdistill.runtime.errors import UserError

log = logging.getLogger(__name__)

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
        set_sides(self.tokenizer, self.model.family)

    @property
    def family(self) -> Family:
        """The family of the model."""
        return self.model.family

    @property
    def config(self) -> PreTrainedConfig:
        """The configuration of the model."""
        return self.model.module.config


def load(
    name: str | Path,
    device: str = "cpu",
    source_language: str | None = None,
    target_language: str | None = None,
    allow_pickle: bool = False,
    reports_decoding: bool = True,
    outline: Outline | None = None,
    adapter: str | None = None,
    is_chat: bool = False,
) -> Checkpoint:
    """Load a local folder, a GGUF file or a hub id, in float32; from safetensors or GGUF only, unless `allow_pickle`.

    The checkpoint's decoding settings are dropped, which the log says with `reports_decoding`. The language codes are
    for a tokenizer that marks texts with them (mBART) and is not saved with the right ones. `outline` is what
    `describe` returned, if the caller has it. A LoRA `adapter`, a folder or hub id, is merged into the model's weights.
    Texts of a model that `is_chat` end as its chat template closes a turn (`chat_template.end_with_turn`).
    Raises UserError when the checkpoint cannot be found or read, is of an unknown family, has missing, unused or
    infinite weights, or differs from the manifest that `save` wrote; and as `adapters.merge_adapter` does.
    """
    folder = local_path(name)
    check_files(Path(name) if folder is None else folder)
    outline = outline or describe(name, allow_pickle)
    with reading(name):
        module, report = _read_model(name, outline, allow_pickle)
        check_weights(name, outline, report)
        _check_finite(name, module)
        _note_input(name, outline.config)
        if adapter is not None:
            merge_adapter(adapter, str(name), module, outline.family, allow_pickle)
    tokenizer = outline.tokenizer
    if is_chat:
        end_with_turn(tokenizer, module.config)
    set_languages(tokenizer, name, source_language, target_language)
    if tokenizer.pad_token is None:  # GPT-2, DialoGPT; no mask is made from pad tokens, so EOS can serve
        tokenizer.pad_token = tokenizer.eos_token
    module.config.pad_token_id = tokenizer.pad_token_id
    with reading(name):
        prefixes = _source_prefixes(outline.config)
        _drop_decoding(name, module, reports_decoding)
        model = wrap(module.to(device), decoder_prompt(tokenizer), token_count(tokenizer))
        return Checkpoint(model, tokenizer, prefixes)


def _read_model(name: str | Path, outline: Outline, allow_pickle: bool) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Read the model from GGUF or safetensors, or else from a pickle where that is allowed."""
    if outline.is_gguf:  # as a model like any other, which can be trained and saved
        return from_pretrained(outline, **outline.source, quantization_config=GgufConfig(dequantize=True))
    try:
        return from_pretrained(outline, **outline.source, use_safetensors=True)
    except OSError as error:
        if WEIGHTS not in str(error).strip().partition("\n")[0]:
            raise
        if not allow_pickle:
            raise UserError(f"{name}: {NO_SAFETENSORS}") from None
    return from_pretrained(outline, **outline.source, use_safetensors=False, weights_only=True)


def _note_input(name: str | Path, config: PreTrainedConfig) -> None:
    """Note a checkpoint from elsewhere as an input, by its files or hub revision; `check_files` notes our own."""
    folder = local_path(name)
    if folder is None:
        if revision := getattr(config, "_commit_hash", None):
            journal.note_input(name, revision)
    elif not (folder / MANIFEST).is_file():
        for file in files_of(folder):
            note_input(file)


def _check_finite(name: str | Path, module: PreTrainedModel) -> None:
    """Raise UserError for a weight that is infinite or not a number: the model would repeat one token for ever."""
    for key, weight in module.state_dict().items():
        if weight.is_floating_point() and weight.numel():
            lowest, highest = torch.aminmax(weight)  # either is NaN if any number is
            if not (lowest.isfinite() and highest.isfinite()):
                raise UserError(
                    f"{name}: the weight {key} contains infinite numbers or NaN; give a checkpoint whose training did "
                    "not diverge"
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


def from_scratch(
    family: Family,
    config: dict[str, Any],
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    key: str = TEACHER_CONFIG,
) -> Checkpoint:
    """Return a randomly initialised model; `config` holds keyword arguments of the family's `config_class`.

    `key` is the setting that `config` comes from, for messages.
    Raises UserError for a key or a value that the configuration class does not accept.
    """
    ids = {
        "vocab_size": token_count(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id,
    }
    if family.is_encoder_decoder:
        ids["decoder_start_token_id"] = getattr(tokenizer, f"{family.decoder_start}_id")
    configuration = scratch_configuration(family, config, ids, key)
    without_numbers(configuration, family, key)
    torch.manual_seed(seed)
    module = model_class(family)(configuration)
    return Checkpoint(wrap(module), tokenizer)
